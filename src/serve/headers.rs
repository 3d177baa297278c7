//! The headers that a file's answers have in an environment, but for those that follow from the bytes: computed once, when the file
//! is loaded.

use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, STRICT_TRANSPORT_SECURITY,
};

use super::resource::{CDN_CACHE_CONTROL, SURROGATE_CONTROL};
use crate::environment::{Environment, tag, tags_of};
use crate::error::Result;
use crate::manifest::{File, Kind, Manifest};
use crate::page::{self, Surroundings};

/// `Cache-Control` of what is reached by a name that goes on to name what changes.
pub const STABLE: &str = "no-cache";

/// What the headers of all files follow from.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
    pub surroundings: &'a Surroundings,
    /// Whether other origins are to be let in to assets: where one of the environments that are served together has pages
    /// elsewhere. Whichever of them a CDN gets an asset from, it keeps the headers for a year, and gives them to all.
    pub shares_assets: bool,
}

/// Why a header can't be sent.
#[derive(Debug, thiserror::Error)]
#[error("`{name}: {value}` of `{path}` is no header")]
pub struct NoHeader {
    path: String,
    name: String,
    value: String,
}

impl Terms<'_> {
    /// The headers of the file at `path`; `document` is what is sent, where that is HTML.
    pub fn headers(&self, path: &str, file: &File, document: Option<&str>) -> Result<Result<HeaderMap, NoHeader>> {
        let mut fields = self.of_any(path, file);
        if let Some(html) = document {
            let own = page::headers(self.environment, self.surroundings, path, html)?;
            fields.extend(own.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)));
        }
        Ok(to_map(path, file, fields))
    }

    fn of_any(&self, path: &str, file: &File) -> Vec<(HeaderName, String)> {
        let Terms { environment, .. } = self;
        let name = HeaderName::from_static;
        let mut fields = vec![
            (CONTENT_TYPE, file.media_type.clone()),
            (name("x-content-type-options"), "nosniff".to_owned()),
            (name("cross-origin-resource-policy"), self.resource_policy(file).to_owned()),
        ];
        match file.kind {
            // An old one would keep an old release alive wherever it is kept.
            Kind::Page if file.is_worker() => fields.push((CACHE_CONTROL, "no-cache".to_owned())),
            Kind::Page => {
                fields.push((CACHE_CONTROL, environment.page_cache_control()));
                let directives = [
                    (CDN_CACHE_CONTROL, environment.page_cdn_cache_control()),
                    (SURROGATE_CONTROL, environment.page_surrogate_control()),
                ];
                fields.extend(directives.into_iter().filter_map(|(name, value)| Some((name, value?))));
            }
            Kind::Asset => {
                fields.push((CACHE_CONTROL, self.manifest.cache_control(file).to_owned()));
                if self.shares_assets {
                    // Fonts, modules and whatever carries `integrity` are fetched by CORS. The answer is the same for every
                    // origin, so that it does not vary by it: https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
                    fields.push((name("access-control-allow-origin"), "*".to_owned()));
                    // Who measures a page sees nothing of what comes from another origin without it.
                    fields.push((name("timing-allow-origin"), "*".to_owned()));
                }
            }
            Kind::Public => fields.push((CACHE_CONTROL, self.manifest.cache_control(file).to_owned())),
        }
        if !environment.cdn_tags.is_empty() {
            let tags = self.tags(path, file);
            fields.extend(environment.cdn_tags.iter().map(|header| (name(header.name()), header.join(&tags))));
        }
        fields
    }

    /// An asset outlives the release that brought it, so it is not tagged with that.
    fn tags(&self, path: &str, file: &File) -> Vec<String> {
        let mut tags = tags_of(file.kind, path);
        if file.kind != Kind::Asset {
            tags.push(tag("release", self.manifest.release.as_str()));
        }
        tags
    }

    /// <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header>. A document has no business within another origin's.
    fn resource_policy(&self, file: &File) -> &'static str {
        match file.kind {
            Kind::Page => "same-origin",
            _ if self.shares_assets => "cross-origin",
            _ => "same-site",
        }
    }
}

/// With the user's own, which win; one that is empty is left out, but for what is added later where nothing is said.
fn to_map(path: &str, file: &File, fields: Vec<(HeaderName, String)>) -> Result<HeaderMap, NoHeader> {
    let fault =
        |name: &str, value: &str| NoHeader { path: path.to_owned(), name: name.to_owned(), value: value.to_owned() };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = to_value(&value).map_err(|_| fault(name.as_str(), &value))?;
        headers.insert(name, value);
    }
    for (name, value) in &file.headers {
        let field = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = field.ok_or_else(|| fault(name, value))?;
        match value.is_empty() && name != STRICT_TRANSPORT_SECURITY {
            true => headers.remove(name),
            false => headers.insert(name, value),
        };
    }
    Ok(headers)
}

/// A value that many files have needs no count of who uses it, which each answer would have to raise and to lower.
fn to_value(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    const COMMON: [&str; 27] = [
        "public, max-age=31536000, immutable",
        "no-cache",
        "nosniff",
        "same-site",
        "same-origin",
        "cross-origin",
        "*",
        "text/html; charset=utf-8",
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
        "text/plain; charset=utf-8",
        "text/xml; charset=utf-8",
        "application/json; charset=utf-8",
        "application/manifest+json; charset=utf-8",
        "application/wasm",
        "application/pdf",
        "application/octet-stream",
        "image/svg+xml; charset=utf-8",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/x-icon",
        "font/woff",
        "font/woff2",
        "video/mp4",
    ];
    match COMMON.into_iter().find(|common| *common == text) {
        Some(common) => Ok(HeaderValue::from_static(common)),
        None => HeaderValue::try_from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::TagHeader;
    use crate::serve::fixture::Site;

    fn headers(site: &Site, environment: &Environment, path: &str, document: Option<&str>) -> HeaderMap {
        let surroundings = Surroundings::default();
        let terms = Terms {
            manifest: &site.manifest,
            environment,
            surroundings: &surroundings,
            shares_assets: environment.shares_assets(),
        };
        terms.headers(path, &site.manifest.files[path], document).unwrap().unwrap()
    }

    fn elsewhere() -> Environment {
        let mut environment = Environment::new("production");
        environment.asset_base = "https://cdn.example.com/".parse().unwrap();
        environment
    }

    #[test]
    fn assets_let_other_origins_in_where_pages_are_of_another() {
        let site = Site::new().asset("a.css", "a{}").page("index.html", "x").public("robots.txt", "x");
        let css = site.file_of("a.css");
        let here = headers(&site, &Environment::new("x"), &css, None);
        assert!(!here.contains_key("access-control-allow-origin") && !here.contains_key("vary"));
        assert_eq!(here["cross-origin-resource-policy"], "same-site");
        let there = headers(&site, &elsewhere(), &css, None);
        assert_eq!(there["access-control-allow-origin"], "*");
        assert_eq!(there["timing-allow-origin"], "*");
        assert_eq!(there["cross-origin-resource-policy"], "cross-origin");
        let page = headers(&site, &elsewhere(), "index.html", Some("x"));
        assert!(!page.contains_key("access-control-allow-origin"));
        assert_eq!(page["cross-origin-resource-policy"], "same-origin");
        for path in ["index.html", "robots.txt", &css] {
            assert_eq!(headers(&site, &elsewhere(), path, None)["x-content-type-options"], "nosniff");
        }
    }

    #[test]
    fn pages_are_tagged_by_release_and_path_and_assets_by_neither() {
        let site = Site::new().asset("a.css", "a{}").page("docs/a b.html", "x").public("robots.txt", "x");
        let mut environment = elsewhere();
        environment.cdn_tags = vec![TagHeader::SurrogateKey, TagHeader::CacheTag];
        let release = site.manifest.release.as_str();
        let page = headers(&site, &environment, "docs/a b.html", None);
        assert_eq!(page["surrogate-key"], format!("pages page-docs/a%20b.html release-{release}").as_str());
        assert_eq!(page["cache-tag"], format!("pages,page-docs/a%20b.html,release-{release}").as_str());
        assert_eq!(headers(&site, &environment, &site.file_of("a.css"), None)["cache-tag"], "assets");
        let public = headers(&site, &environment, "robots.txt", None);
        assert_eq!(public["cache-tag"], format!("public,file-robots.txt,release-{release}").as_str());
        environment.cdn_tags.clear();
        assert!(!headers(&site, &environment, "docs/a b.html", None).contains_key("cache-tag"));
    }

    #[test]
    fn caches_before_us_have_directives_of_their_own() {
        let site = Site::new().page("index.html", "x").public("robots.txt", "x");
        let mut environment = elsewhere();
        environment.cdn_cache_control = Some("max-age=60".to_owned());
        environment.surrogate_control = Some("max-age=600".to_owned());
        environment.stale_if_error = Some(86400);
        let page = headers(&site, &environment, "index.html", None);
        assert_eq!(page["cdn-cache-control"], "max-age=60, stale-if-error=86400");
        assert_eq!(page["surrogate-control"], "max-age=600, stale-if-error=86400");
        assert_eq!(page[CACHE_CONTROL], "public, max-age=0, stale-if-error=86400");
        let public = headers(&site, &environment, "robots.txt", None);
        assert_eq!(public[CACHE_CONTROL], "no-cache");
        assert!(!public.contains_key("surrogate-control"));
    }

    #[test]
    fn what_the_user_says_wins_and_an_empty_header_is_left_out() {
        let site = Site::new()
            .page("index.html", "x")
            .header("index.html", "x-frame-options", "")
            .header("index.html", "content-security-policy", "default-src *")
            .header("index.html", "x-own", "1");
        let page = headers(&site, &elsewhere(), "index.html", Some("x"));
        assert!(!page.contains_key("x-frame-options"));
        assert_eq!(page["content-security-policy"], "default-src *");
        assert_eq!(page["x-own"], "1");
        assert_eq!(page["referrer-policy"], "strict-origin-when-cross-origin");
    }
}

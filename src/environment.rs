//! An environment: where a release's assets are fetched from, and where they are published to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::asset::url_path;
use crate::encoding::Encoding;

mod cdn;
mod security;
mod tags;

pub use cdn::{By, Cdn, CloudFront, Cloudflare, Fastly, HttpPurge};
pub use security::{Enforcement, Security};
pub use tags::{TagHeader, tag, tags_of};

/// A resolved environment. The one named `development` always exists, with everything at its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub name: String,
    /// What stands before the path of a fingerprinted file in a page.
    pub asset_base: AssetBase,
    /// The origin of the pages, `https://www.example.com`, without a slash at its end; for URLs that must be absolute.
    pub site: Option<String>,
    /// The hosts whose pages are this environment's, in lower case and without a port; `*.` at the start stands for any
    /// subdomain.
    pub hosts: Vec<String>,
    pub store: Option<StoreUrl>,
    /// The endpoint of an S3 API that is not AWS.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Where private source maps go.
    pub maps: Option<MapsStore>,
    pub keep: Keep,
    /// What is purged when a release goes live.
    pub cdn: Option<Cdn>,
    /// Whether the store is itself a website, with no server in front: pages are then also written at its root.
    pub website: Option<bool>,
    /// The one content coding that files are stored in, under their own names, for a store whose clients can't choose; without it
    /// each coding has a name of its own.
    pub encoding: Option<Encoding>,
    /// `CDN-Cache-Control` for pages (RFC 9213).
    pub cdn_cache_control: Option<String>,
    /// `Surrogate-Control` for pages, which older CDNs read (<https://www.w3.org/TR/edge-arch/>).
    pub surrogate_control: Option<String>,
    /// For how many seconds after they have become stale pages may be shown while they are asked for anew (RFC 5861 section 3).
    pub stale_while_revalidate: Option<u32>,
    /// For how many seconds pages may be shown while the server fails (RFC 5861 section 4).
    pub stale_if_error: Option<u32>,
    /// The headers that tell a CDN what to purge together.
    pub cdn_tags: Vec<TagHeader>,
    /// Whether pages name what they need in a `Link` header (RFC 8288).
    pub preload_headers: bool,
    pub security: Security,
    /// Where pages load the libraries from that the configuration declares.
    pub libraries: Libraries,
    /// How a server finds out that assets are not to be had from another origin; none if it does not ask.
    pub failover: Option<Failover>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libraries {
    /// From where all assets are.
    #[default]
    Local,
    /// From the public CDN that each one names.
    Cdn,
}

/// A store for what is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapsStore {
    pub url: StoreUrl,
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

/// Which releases a store keeps when it is pruned: those that are either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest.
    pub releases: u32,
    /// Those that were published within so many days.
    pub days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { releases: 5, days: 30 }
    }
}

/// When pages are bound to the server's own origin in place of one that fails, and when back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failover {
    /// Between two probes, more or less.
    pub interval: Duration,
    /// For a whole probe.
    pub timeout: Duration,
    /// So many probes have to fail in a row before pages are bound to the server's origin.
    pub fail_after: u32,
    /// So many have to succeed in a row before they are bound back.
    pub recover_after: u32,
}

impl Default for Failover {
    fn default() -> Self {
        Failover { interval: Duration::from_secs(10), timeout: Duration::from_secs(5), fail_after: 3, recover_after: 3 }
    }
}

impl Environment {
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Environment {
            security: Security::of(&name),
            name,
            asset_base: AssetBase::default(),
            site: None,
            hosts: Vec::new(),
            store: None,
            endpoint: None,
            region: None,
            maps: None,
            keep: Keep::default(),
            cdn: None,
            website: None,
            encoding: None,
            cdn_cache_control: None,
            failover: Some(Failover::default()),
            surrogate_control: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            cdn_tags: Vec::new(),
            preload_headers: true,
            libraries: Libraries::default(),
        }
    }

    /// `Cache-Control` of pages. What is `no-cache` may never be shown stale (RFC 9111 section 5.2.2.4), so where staleness is
    /// allowed, they are stale at once instead.
    pub fn page_cache_control(&self) -> String {
        let is_allowed = self.staleness().next().is_some();
        self.with_staleness(if is_allowed { "public, max-age=0" } else { "no-cache" })
    }

    /// `CDN-Cache-Control` of pages. A cache that goes by it leaves `Cache-Control` aside (RFC 9213 section 2.2), so it has to say of
    /// staleness what that says.
    pub fn page_cdn_cache_control(&self) -> Option<String> {
        self.cdn_cache_control.as_deref().map(|directives| self.with_staleness(directives))
    }

    /// `Surrogate-Control` of pages, of which the same is true. CDNs that read it know the directives of RFC 5861 in it.
    pub fn page_surrogate_control(&self) -> Option<String> {
        self.surrogate_control.as_deref().map(|directives| self.with_staleness(directives))
    }

    /// The directives that allow pages to be shown when they are stale, each with its seconds.
    fn staleness(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let each = [("stale-while-revalidate", self.stale_while_revalidate), ("stale-if-error", self.stale_if_error)];
        each.into_iter().filter_map(|(name, seconds)| Some((name, seconds?)))
    }

    /// Adds those that are not there already.
    fn with_staleness(&self, directives: &str) -> String {
        let names = |directive: &str| directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        let said: Vec<String> = directives.split(',').map(names).collect();
        let added = self.staleness().filter(|(name, _)| !said.iter().any(|said| said == name));
        let added = added.map(|(name, seconds)| format!("{name}={seconds}"));
        let own = Some(directives.to_owned()).filter(|own| !own.trim().is_empty());
        own.into_iter().chain(added).collect::<Vec<_>>().join(", ")
    }

    /// Where the pages are to be had: `site`, or else each host by its own name over TLS. Without slashes at their ends.
    pub fn origins(&self) -> Vec<String> {
        match &self.site {
            Some(site) => vec![site.clone()],
            None => {
                let named = self.hosts.iter().filter(|host| !host.contains('*'));
                named.map(|host| format!("https://{host}")).collect()
            }
        }
    }

    /// Whether pages and assets are of different origins, or pages of several, so that other origins have to be let in to the
    /// assets.
    pub fn shares_assets(&self) -> bool {
        self.asset_base.is_other_origin() || self.hosts.len() > 1 || self.hosts.iter().any(|host| host.contains('*'))
    }
}

/// `/`, `/below/`, `https://cdn.example.com/` or `//cdn.example.com/`: always with a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetBase(String);

impl AssetBase {
    /// The URL of a file, whose path is given as in the output folder (`assets/css/a-….css`).
    pub fn url(&self, file: &str) -> String {
        format!("{}{}", self.0, url_path(file))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether assets come from another origin than the pages, as far as the configuration tells.
    pub fn is_other_origin(&self) -> bool {
        self.0.contains("//")
    }

    /// `https://cdn.example.com` or `//cdn.example.com`, where it is another origin.
    pub fn origin(&self) -> Option<&str> {
        let start = self.0.find("//")? + 2;
        let end = self.0.get(start..)?.find('/').map_or(self.0.len(), |at| start + at);
        self.0.get(..end)
    }
}

impl Default for AssetBase {
    fn default() -> Self {
        AssetBase("/".to_owned())
    }
}

impl fmt::Display for AssetBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AssetBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).or_else(|| text.strip_prefix("//"));
        let well_formed = match host {
            Some(rest) => !rest.is_empty() && !rest.starts_with('/') && !rest.contains("//"),
            None => text.starts_with('/') && !text.contains("//"),
        };
        if !well_formed || text.contains(['?', '#', '"', '\'', '<', '>', '\\']) || text.contains(char::is_whitespace) {
            return Err(format!("`{text}` is no base for URLs: write `/`, `/below/` or `https://cdn.example.com/`"));
        }
        Ok(AssetBase(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

/// Where a release is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder, as the user wrote it: absolute, or relative to the root.
    Folder(String),
    /// `s3://bucket/prefix`; the prefix is without slashes at its ends, and may be empty.
    S3 { bucket: String, prefix: String },
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(format!("`{text}` names no bucket: write `s3://bucket/prefix`"));
            }
            return Ok(StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        let folder = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
        if folder.is_empty() || folder.contains("://") {
            return Err(format!("`{text}` is no store: write a folder or `s3://bucket/prefix`"));
        }
        Ok(StoreUrl::Folder(folder.to_owned()))
    }
}

impl StoreUrl {
    /// Whether one of the two lies in the other, as far as their names tell.
    pub fn overlaps(&self, other: &StoreUrl) -> bool {
        let within = |a: &str, b: &str| {
            let parts = |path: &str| -> Vec<String> {
                path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
            };
            a.starts_with('/') == b.starts_with('/') && parts(a).starts_with(&parts(b))
        };
        match (self, other) {
            (StoreUrl::Folder(a), StoreUrl::Folder(b)) => within(a, b) || within(b, a),
            (StoreUrl::S3 { bucket, prefix: a }, StoreUrl::S3 { bucket: other, prefix: b }) => {
                bucket == other && (within(a, b) || within(b, a))
            }
            _ => false,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Folder(folder) => f.write_str(folder),
            StoreUrl::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            StoreUrl::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_end_with_a_slash_and_say_whose_origin_they_are() {
        for (text, url, other) in [
            ("/", "/assets/a%20b.css", false),
            ("/v1", "/v1/assets/a%20b.css", false),
            ("https://cdn.example.com", "https://cdn.example.com/assets/a%20b.css", true),
            ("//cdn.example.com/x/", "//cdn.example.com/x/assets/a%20b.css", true),
        ] {
            let base: AssetBase = text.parse().unwrap();
            assert_eq!(base.url("assets/a b.css"), url);
            assert_eq!(base.is_other_origin(), other, "{text}");
        }
        for bad in ["", "cdn.example.com", "https://", "/a//b", "https://x/?a", "ftp://x/", "/a b/"] {
            assert!(bad.parse::<AssetBase>().is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for (text, want) in [
            ("/v1/", None),
            ("https://c.example/", Some("https://c.example")),
            ("https://c.example:8443/a/b/", Some("https://c.example:8443")),
            ("//c.example/x/", Some("//c.example")),
        ] {
            assert_eq!(text.parse::<AssetBase>().unwrap().origin(), want, "{text}");
        }
    }

    #[test]
    fn pages_are_at_their_site_or_else_at_each_host() {
        let mut environment = Environment::new("production");
        assert!(environment.origins().is_empty());
        environment.hosts = ["a.example", "*.a.example", "b.example"].map(str::to_owned).into();
        assert_eq!(environment.origins(), ["https://a.example", "https://b.example"]);
        environment.site = Some("http://a.example:8080".to_owned());
        assert_eq!(environment.origins(), ["http://a.example:8080"]);
    }

    #[test]
    fn pages_that_may_be_stale_say_so() {
        let mut environment = Environment::new("production");
        assert_eq!(environment.page_cache_control(), "no-cache");
        environment.stale_if_error = Some(600);
        assert_eq!(environment.page_cache_control(), "public, max-age=0, stale-if-error=600");
        environment.stale_while_revalidate = Some(5);
        assert_eq!(environment.page_cache_control(), "public, max-age=0, stale-while-revalidate=5, stale-if-error=600");
    }

    #[test]
    fn cdns_are_told_of_staleness_where_they_look() {
        let mut environment = Environment::new("production");
        environment.stale_while_revalidate = Some(5);
        environment.stale_if_error = Some(600);
        assert_eq!((environment.page_cdn_cache_control(), environment.page_surrogate_control()), (None, None));
        for (own, want) in [
            ("max-age=60", "max-age=60, stale-while-revalidate=5, stale-if-error=600"),
            ("max-age=60, Stale-If-Error = 0", "max-age=60, Stale-If-Error = 0, stale-while-revalidate=5"),
            ("stale-while-revalidate=1,stale-if-error=2", "stale-while-revalidate=1,stale-if-error=2"),
            ("", "stale-while-revalidate=5, stale-if-error=600"),
        ] {
            environment.cdn_cache_control = Some(own.to_owned());
            environment.surrogate_control = Some(own.to_owned());
            assert_eq!(environment.page_cdn_cache_control().as_deref(), Some(want));
            assert_eq!(environment.page_surrogate_control().as_deref(), Some(want));
        }
        (environment.stale_while_revalidate, environment.stale_if_error) = (None, None);
        environment.cdn_cache_control = Some("max-age=60".to_owned());
        assert_eq!(environment.page_cdn_cache_control().as_deref(), Some("max-age=60"));
    }

    #[test]
    fn stores_overlap_where_one_lies_in_the_other() {
        for (a, b, want) in [
            ("s3://b/site", "s3://b/site/maps", true),
            ("s3://b/site", "s3://b", true),
            ("s3://b/site", "s3://b/site2", false),
            ("s3://b/site", "s3://c/site", false),
            ("published", "./published/maps/", true),
            ("published", "maps", false),
            ("/srv/a", "srv/a", false),
            ("srv", "s3://srv", false),
        ] {
            let (a, b): (StoreUrl, StoreUrl) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (want, want), "{a} {b}");
        }
    }

    #[test]
    fn stores_are_folders_or_buckets() {
        let s3 = |bucket: &str, prefix: &str| StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!("s3://b/p/q/".parse(), Ok(s3("b", "p/q")));
        assert_eq!("s3://b".parse(), Ok(s3("b", "")));
        assert_eq!("file:///srv/www".parse(), Ok(StoreUrl::Folder("/srv/www".into())));
        assert_eq!("out/site".parse(), Ok(StoreUrl::Folder("out/site".into())));
        for bad in ["s3://", "https://x", ""] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
    }
}

//! The table of a build: every file of an output folder, verified, bound to an environment, under all the URLs that name it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use rayon::prelude::*;

use super::headers::Terms;
use super::resource::Resource;
use super::table::{Table, TableBuilder};
use crate::asset::{LogicalPath, decode_url_path};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, File, Kind, Manifest};
use crate::page::{self, Surroundings};

/// The page that is the body of every 404, and has no URL of its own.
const NOT_FOUND: &str = "404.html";

impl Table {
    /// Loads the build in `out` for an environment. Reads, verifies and compresses on all cores; blocks meanwhile.
    ///
    /// Fails with [`Error::Manifest`] where a file is not what the manifest says.
    pub fn load(out: &Path, environment: &Environment) -> Result<Table> {
        let mut tables = Table::load_each(out, std::slice::from_ref(environment))?;
        tables
            .pop()
            .ok_or_else(|| Error::Manifest { path: out.join(manifest::PATH), reason: "no environment".to_owned() })
    }

    /// As [`Table::load`], one table for each environment, in which bodies that are the same are there once.
    pub fn load_each(out: &Path, environments: &[Environment]) -> Result<Vec<Table>> {
        let manifest = Manifest::load(out)?;
        let surroundings = surroundings(out, &manifest)?;
        let mut loaded: Vec<(&Environment, Resources)> = Vec::new();
        let mut tables = Vec::new();
        for environment in environments {
            let dist = Dist { out, environment, manifest: &manifest, surroundings: &surroundings };
            let resources = dist.resources(&loaded)?;
            tables.push(dist.table(&resources)?);
            loaded.push((environment, resources));
        }
        Ok(tables)
    }
}

/// Stylesheets are read for it. One that is not what was built is found out when it is loaded.
fn surroundings(out: &Path, manifest: &Manifest) -> Result<Surroundings> {
    let sheets = manifest.files.par_iter().filter(|(_, file)| file.media_type.starts_with("text/css"));
    let texts: Result<Vec<String>> = sheets
        .map(|(path, _)| {
            LogicalPath::new(path.as_str())
                .map_err(|_| fault(out, format!("it names `{path}`, which is not below the output folder")))?;
            Ok(String::from_utf8_lossy(&fs::read(&out.join(path))?).into_owned())
        })
        .collect();
    Ok(Surroundings::of(manifest, texts?.iter().map(String::as_str)))
}

fn fault(out: &Path, reason: String) -> Error {
    Error::Manifest { path: out.join(manifest::PATH), reason }
}

#[derive(Clone, Copy)]
struct Dist<'a> {
    out: &'a Path,
    environment: &'a Environment,
    manifest: &'a Manifest,
    surroundings: &'a Surroundings,
}

/// By the path below the output folder.
type Resources<'a> = BTreeMap<&'a str, Arc<Resource>>;

impl<'a> Dist<'a> {
    /// `loaded` are those of other environments.
    fn resources(&self, loaded: &[(&Environment, Resources<'a>)]) -> Result<Resources<'a>> {
        let terms = Terms { manifest: self.manifest, environment: self.environment, surroundings: self.surroundings };
        let equal = loaded.iter().find(|(other, _)| terms.agrees(other));
        let files = self.manifest.files.par_iter();
        let resource = |path: &'a str, file: &File| -> Result<Arc<Resource>> {
            let is_document = file.kind == Kind::Page || file.media_type.starts_with("text/html");
            let other =
                |(_, resources): &(&Environment, Resources<'a>)| resources.get(path).cloned().filter(|_| !is_document);
            if let Some(same) = equal.and_then(other) {
                return Ok(same);
            }
            Ok(Arc::new(match loaded.first().and_then(other) {
                Some(other) => other.with_headers(&self.headers(terms, path, file, None)?),
                None => self.resource(terms, path, file)?,
            }))
        };
        files.map(|(path, file)| Ok((path.as_str(), resource(path, file)?))).collect()
    }

    fn resource(&self, terms: Terms<'_>, path: &str, file: &File) -> Result<Resource> {
        if LogicalPath::new(path).is_err() {
            return Err(self.fault(format!("it names `{path}`, which is not below the output folder")));
        }
        let body = self.read(path, file.length, &file.digest)?;
        let bound = match file.kind {
            Kind::Page => page::bind(self.manifest, self.environment, path, &body)?,
            Kind::Asset | Kind::Public => Vec::new(),
        };
        let sent = if file.kind == Kind::Page { &bound } else { &body };
        // What is in no known encoding can't be hashed as a browser would.
        let document = std::str::from_utf8(sent).ok().filter(|_| file.media_type.starts_with("text/html"));
        let headers = self.headers(terms, path, file, document)?;
        if file.kind == Kind::Page && bound != body {
            return compressed(path, file, headers, bound);
        }
        let mut resource = Resource::new(&file.digest, headers.clone(), Bytes::from(body));
        for (encoding, variant) in &file.variants {
            let body = self.read(&File::sidecar(path, *encoding), variant.length, &variant.digest)?;
            resource = resource.variant(*encoding, headers.clone(), Bytes::from(body));
        }
        Ok(resource)
    }

    fn headers(&self, terms: Terms<'_>, path: &str, file: &File, document: Option<&str>) -> Result<HeaderMap> {
        terms.headers(path, file, document)?.map_err(|error| self.fault(error.to_string()))
    }

    /// Reads a file that has to be what was built.
    fn read(&self, path: &str, length: u64, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = fs::read(&self.out.join(path))?;
        if bytes.len() as u64 != length || Digest::of(&bytes) != *digest {
            let out = self.out.display();
            return Err(self.fault(format!("`{path}` is not what it says: `{out}` was changed after it was built")));
        }
        Ok(bytes)
    }

    fn fault(&self, reason: String) -> Error {
        fault(self.out, reason)
    }

    /// Files come first, so that each keeps the path that it has in the output folder, whatever else would be reachable there.
    fn table(&self, resources: &Resources) -> Result<Table> {
        let mut table = TableBuilder::default();
        if let Some(hsts) = &self.environment.security.hsts {
            table.hsts(HeaderValue::try_from(hsts).map_err(|_| self.fault(format!("`{hsts}` is no header value")))?);
        }
        if let Some(page) = resources.get(NOT_FOUND) {
            table.not_found(Resource::clone(page));
        }
        let served = || resources.iter().filter(|(path, _)| **path != NOT_FOUND);
        for (path, resource) in served() {
            table.resource(format!("/{path}"), Arc::clone(resource));
        }
        self.stable_names(&mut table, resources)?;
        if let Some(base) = self.base() {
            for (path, resource) in served() {
                table.resource(format!("{base}{path}"), Arc::clone(resource));
            }
        }
        let is_asset = |path: &str| self.manifest.files.get(path).is_some_and(|file| file.kind == Kind::Asset);
        let (assets, documents): (Vec<_>, Vec<_>) = served().partition(|(path, _)| is_asset(path));
        for (path, resource) in assets {
            self.below_static(&mut table, path, resource);
        }
        for (path, resource) in &documents {
            clean_url(&mut table, path, resource);
        }
        // Redirects give way to every resource.
        for (path, _) in &documents {
            clean_redirect(&mut table, path);
        }
        Ok(table.build())
    }

    /// Names that go on to name what changes: those that an app which knows of no fingerprints writes, and those of chunks.
    fn stable_names(&self, table: &mut TableBuilder, resources: &Resources) -> Result<()> {
        let stable = |file: &str| -> Result<Arc<Resource>> {
            let resource = resources.get(file).ok_or_else(|| self.fault(format!("`{file}` is not among the files")))?;
            Ok(Arc::new(Resource::clone(resource).with_cache_control(HeaderValue::from_static("no-cache"))))
        };
        for (logical, entry) in &self.manifest.entries {
            let resource = stable(&entry.file)?;
            table.resource(format!("/static/{logical}"), Arc::clone(&resource));
            table.resource(format!("/{}/{logical}", self.manifest.prefix), resource);
        }
        for (name, file) in &self.manifest.chunks {
            let resource = stable(file)?;
            self.below_static(table, name, &resource);
            if let Some(base) = self.base() {
                table.resource(format!("{base}{name}"), Arc::clone(&resource));
            }
            table.resource(format!("/{name}"), resource);
        }
        Ok(())
    }

    /// A stylesheet that is fetched as `/static/css/a.css` asks for `../img/b-….png` below `/static/` too.
    fn below_static(&self, table: &mut TableBuilder, path: &str, resource: &Arc<Resource>) {
        if let Some(rest) = path.strip_prefix(&self.manifest.prefix).and_then(|rest| rest.strip_prefix('/')) {
            table.resource(format!("/static/{rest}"), Arc::clone(resource));
        }
    }

    /// The decoded path that assets have in this environment, where that is another path of this server: `/v1/`.
    fn base(&self) -> Option<String> {
        let base = &self.environment.asset_base;
        (!base.is_other_origin() && base.as_str() != "/").then(|| decode_url_path(base.as_str()))?
    }
}

/// A page that binding has changed, compressed anew in the codings that its file has.
fn compressed(path: &str, file: &File, headers: HeaderMap, bytes: Vec<u8>) -> Result<Resource> {
    let bytes = Bytes::from(bytes);
    let mut resource = Resource::new(&Digest::of(&bytes), headers.clone(), bytes.clone());
    for encoding in file.variants.keys() {
        let body = Encoding::compress(*encoding, &bytes).map_err(Error::io("compress", path))?;
        if body.len() < bytes.len() {
            resource = resource.variant(*encoding, headers.clone(), Bytes::from(body));
        }
    }
    Ok(resource)
}

/// `about.html` is at `/about` too, `docs/index.html` at `/docs/`.
fn clean_url(table: &mut TableBuilder, path: &str, resource: &Arc<Resource>) {
    if let Some(stem) = path.strip_suffix(".html") {
        let url = match folder_of_index(stem) {
            Some(folder) => format!("/{folder}"),
            None => format!("/{stem}"),
        };
        table.resource(url, Arc::clone(resource));
    }
}

/// From the clean URL with or without the slash at its end, whichever is wrong, to the right one.
fn clean_redirect(table: &mut TableBuilder, path: &str) {
    let Some(stem) = path.strip_suffix(".html") else { return };
    match folder_of_index(stem) {
        Some("") => {}
        Some(folder) => table.redirect(format!("/{}", folder.trim_end_matches('/')), &format!("/{folder}")),
        None => table.redirect(format!("/{stem}/"), &format!("/{stem}")),
    }
}

/// `docs/` of `docs/index`.
fn folder_of_index(stem: &str) -> Option<&str> {
    stem.strip_suffix("index").filter(|folder| folder.is_empty() || folder.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fixture::Site;
    use crate::serve::table::Route;
    use http::header::CACHE_CONTROL;

    const CSS: &str =
        "body { background: url(../img/a.png) } body { color: red } body { color: red } body { color: red }";

    fn environment() -> Environment {
        Environment::new("development")
    }

    /// `200 <cache-control> <etag>`, `308 <location>`, or `-`.
    fn at(table: &Table, path: &str) -> String {
        match table.get(path) {
            Some(Route::Resource(resource)) => {
                let headers = &resource.identity().headers;
                format!("200 {} {}", headers[CACHE_CONTROL].to_str().unwrap(), headers["etag"].to_str().unwrap())
            }
            Some(Route::Redirect(to)) => format!("308 {to}"),
            None => "-".to_owned(),
        }
    }

    fn ok(cache_control: &str, body: &str) -> String {
        format!("200 {cache_control} \"{}\"", Digest::of(body.as_bytes()).fingerprint().as_str())
    }

    const FOREVER: &str = "public, max-age=31536000, immutable";

    #[test]
    fn an_asset_has_its_own_url_and_its_logical_names() {
        let site = Site::new().asset("css/a.css", CSS);
        let file = site.file_of("css/a.css");
        let table = site.table(&environment()).unwrap();
        let rest = file.strip_prefix("assets/").unwrap();
        assert_eq!(at(&table, &format!("/{file}")), ok(FOREVER, CSS));
        assert_eq!(at(&table, &format!("/static/{rest}")), ok(FOREVER, CSS));
        assert_eq!(at(&table, "/static/css/a.css"), ok("no-cache", CSS));
        assert_eq!(at(&table, "/assets/css/a.css"), ok("no-cache", CSS));
        assert_eq!(at(&table, "/css/a.css"), "-");
    }

    #[test]
    fn chunks_have_stable_names() {
        let site = Site::new().asset("js/a.js", "1").chunk("assets/js/a~1f.js", "js/a.js");
        let table = site.table(&environment()).unwrap();
        for path in ["/assets/js/a~1f.js", "/static/js/a~1f.js"] {
            assert_eq!(at(&table, path), ok("no-cache", "1"), "{path}");
        }
    }

    #[test]
    fn a_base_below_the_same_origin_is_another_way_to_the_files() {
        let site = Site::new().asset("css/a.css", CSS).asset("js/a.js", "1").chunk("assets/js/a~1f.js", "js/a.js");
        let file = site.file_of("css/a.css");
        let mut environment = environment();
        environment.asset_base = "/v%201/".parse().unwrap();
        let table = site.table(&environment).unwrap();
        assert_eq!(at(&table, &format!("/v 1/{file}")), ok(FOREVER, CSS));
        assert_eq!(at(&table, &format!("/{file}")), ok(FOREVER, CSS));
        assert_eq!(at(&table, "/v 1/assets/js/a~1f.js"), ok("no-cache", "1"));
        environment.asset_base = "https://cdn.example.com/v1/".parse().unwrap();
        assert_eq!(at(&site.table(&environment).unwrap(), &format!("/v1/{file}")), "-");
    }

    #[test]
    fn pages_have_clean_urls() {
        let site = Site::new()
            .page("index.html", "home")
            .page("about.html", "about")
            .page("docs/index.html", "docs")
            .page("both.html", "file")
            .page("both/index.html", "folder")
            .public("reindex.html", "public")
            .asset("x.html", "asset");
        let asset = site.file_of("x.html");
        let table = site.table(&environment()).unwrap();
        for (path, want) in [
            ("/", ok("no-cache", "home")),
            ("/index.html", ok("no-cache", "home")),
            ("/index", "-".into()),
            ("/about", ok("no-cache", "about")),
            ("/about.html", ok("no-cache", "about")),
            ("/about/", "308 /about".into()),
            ("/docs/", ok("no-cache", "docs")),
            ("/docs", "308 /docs/".into()),
            ("/docs/index", "-".into()),
            ("/both", ok("no-cache", "file")),
            ("/both/", ok("no-cache", "folder")),
            ("/reindex", ok("no-cache", "public")),
            ("/reindex/", "308 /reindex".into()),
            (&format!("/{}/", asset.trim_end_matches(".html")), "-".into()),
        ] {
            assert_eq!(at(&table, path), want, "{path}");
        }
    }

    #[test]
    fn a_file_keeps_its_path_whatever_else_would_be_there() {
        let site = Site::new()
            .page("about.html", "page")
            .public("about", "file")
            .public("static/a.css", "own")
            .asset("a.css", CSS);
        let table = site.table(&environment()).unwrap();
        assert_eq!(at(&table, "/about"), ok("no-cache", "file"));
        assert_eq!(at(&table, "/static/a.css"), ok("no-cache", "own"));
    }

    #[test]
    fn the_page_for_404_has_no_url() {
        let table = Site::new().page("404.html", "lost").table(&environment()).unwrap();
        for path in ["/404.html", "/404", "/404/"] {
            assert_eq!(at(&table, path), "-", "{path}");
        }
        let headers = &table.not_found().unwrap().identity().headers;
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key("etag"));
    }

    #[test]
    fn dot_folders_are_left_out() {
        let site = Site::new().public(".vite/manifest.json", "{}").public(".well-known/security.txt", "s");
        let table = site.table(&environment()).unwrap();
        assert_eq!(at(&table, "/.vite/manifest.json"), "-");
        assert_eq!(at(&table, "/.fingerpost/manifest.json"), "-");
        assert_eq!(at(&table, "/.well-known/security.txt"), ok("no-cache", "s"));
    }

    #[test]
    fn headers_come_from_the_environment_and_the_configuration() {
        let site = Site::new()
            .page("index.html", "home")
            .asset("a.css", CSS)
            .header("index.html", "x-own", "1")
            .header("index.html", "cache-control", "private");
        let mut environment = environment();
        environment.cdn_cache_control = Some("max-age=60".to_owned());
        let css = format!("/{}", site.file_of("a.css"));
        let table = site.table(&environment).unwrap();
        let headers = |path: &str| match table.get(path) {
            Some(Route::Resource(resource)) => resource.identity().headers.clone(),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(headers("/")["cdn-cache-control"], "max-age=60");
        assert_eq!(headers("/")["x-own"], "1");
        assert_eq!(headers("/")[CACHE_CONTROL], "private");
        assert!(!headers(&css).contains_key("cdn-cache-control"));
        environment.cdn_cache_control = Some("a\nb".to_owned());
        assert!(site.table(&environment).unwrap_err().to_string().contains("of `index.html` is no header"));
    }

    #[test]
    fn documents_have_the_policy_of_what_is_sent() {
        let site = Site::new()
            .page("index.html", "<link rel=stylesheet href=/static/a.css><script>1</script>")
            .page("app.webmanifest", "{}")
            .page("404.html", "<script>2</script>")
            .public("own.html", "<script>3</script>")
            .asset("a.css", "@import 'https://fonts.example/a.css';");
        let mut environment = environment();
        environment.asset_base = "https://cdn.example.com/".parse().unwrap();
        let table = site.table(&environment).unwrap();
        let policy = |headers: &HeaderMap| {
            headers.get("content-security-policy").map(|value| value.to_str().unwrap().to_owned())
        };
        let at = |path: &str| match table.get(path) {
            Some(Route::Resource(resource)) => resource.identity().headers.clone(),
            other => panic!("{path}: {other:?}"),
        };
        let hash = |text: &[u8]| Digest::of(text).integrity().as_str().to_owned();
        let page = policy(&at("/")).unwrap();
        assert!(
            page.contains(&hash(b"1"))
                && page.contains("style-src 'self' https://cdn.example.com/ https://fonts.example "),
            "{page}"
        );
        assert!(at("/")["link"].to_str().unwrap().starts_with("<https://cdn.example.com/assets/a-"));
        assert!(policy(&table.not_found().unwrap().identity().headers).unwrap().contains(&hash(b"2")));
        assert!(policy(&at("/own.html")).unwrap().contains(&hash(b"3")));
        assert_eq!(policy(&at("/app.webmanifest")), None);
        assert_eq!(policy(&at(&format!("/{}", site.file_of("a.css")))), None);
    }

    #[test]
    fn sidecars_are_loaded() {
        let site = Site::new().asset("a.css", &CSS.repeat(20));
        let file = site.file_of("a.css");
        let table = site.table(&environment()).unwrap();
        let Some(Route::Resource(resource)) = table.get(&format!("/{file}")) else { panic!("it is there") };
        let seen: Vec<_> = resource.representations().map(|r| (r.encoding, r.body.length())).collect();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[0].0, Some(Encoding::Brotli));
        assert!(seen[0].1 < seen[3].1 / 10);
    }

    #[test]
    fn a_bound_page_is_compressed_anew() {
        let text = CSS.repeat(20);
        let site = Site::new().page("index.html", &text);
        let file = &site.manifest.files["index.html"];
        let resource = compressed("index.html", file, HeaderMap::new(), text.replace("red", "blue").into()).unwrap();
        let print = Digest::of(text.replace("red", "blue").as_bytes()).fingerprint();
        let tags: Vec<&str> = resource.representations().map(|r| r.headers["etag"].to_str().unwrap()).collect();
        let print = print.as_str();
        assert_eq!(
            tags,
            [
                format!("\"{print}-br\""),
                format!("\"{print}-zstd\""),
                format!("\"{print}-gzip\""),
                format!("\"{print}\"")
            ]
        );
        let resource = compressed("index.html", file, HeaderMap::new(), b"x".to_vec()).unwrap();
        assert!(!resource.is_negotiated(), "what grows is left out");
    }

    #[test]
    fn what_was_changed_after_the_build_is_refused() {
        let text = CSS.repeat(20);
        for change in ["", ".br"] {
            let site = Site::new().asset("a.css", &text);
            let path = format!("{}{change}", site.file_of("a.css"));
            let mut bytes = std::fs::read(site.out().join(&path)).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(site.out().join(&path), bytes).unwrap();
            let error = site.table(&environment()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{path}` is not what it says")), "{error}");
            assert!(error.contains("was changed after it was built"), "{error}");
        }
    }

    #[test]
    fn a_manifest_can_not_lead_out_of_the_folder() {
        for path in ["../secret", "/etc/passwd", "a//b", "a/../../b"] {
            let mut site = Site::new().public("a.txt", "x");
            let file = site.manifest.files.remove("a.txt").unwrap();
            site.manifest.files.insert(path.to_owned(), file);
            let error = site.table(&environment()).unwrap_err().to_string();
            assert!(error.contains("not below the output folder"), "{error}");
        }
    }
}

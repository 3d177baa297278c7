//! The tables of a build: every file of an output folder, bound to an environment, under all the URLs that name it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use rayon::prelude::*;

use super::failover::Probe;
use super::fields::Fields;
use super::headers::{STABLE, Terms};
use super::kept::{Kept, Staged};
use super::load::{Files, Loaded, Scrutiny, fault, is_large};
use super::resource::{Bodies, Resource};
use super::retention::Retention;
use super::routes::{Routes, Target};
use super::storage::{Policy, Storage};
use super::table::{Table, TableBuilder};
use crate::config;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::manifest::{File, Kind, Manifest};
use crate::page::{Binder, Statics, Surroundings};

/// The failures for which a site may have pages of its own, each by the name of its status: `502.html`.
const FAILURES: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

impl Table {
    /// Loads the build in `out` for an environment. Reads, verifies and compresses on all cores; blocks meanwhile.
    ///
    /// Fails with [`Error::Manifest`] where a file is not what the manifest says.
    pub fn load(out: &Path, environment: &Environment) -> Result<Table> {
        let mut release = Release::load(out, std::slice::from_ref(environment), &Policy::default(), &[])?;
        Ok(release.tables.pop().unwrap_or_default())
    }

    /// A table of a build that lies nowhere: `files` are those of the manifest, by path. They are taken as they are, and not compressed. The
    /// pages of an application behind it can be bound to them.
    pub fn of(
        manifest: &Manifest,
        files: &BTreeMap<String, Bytes>,
        environment: &Environment,
        application: Option<&config::Upstream>,
    ) -> Result<Table> {
        let mut policy = Policy { encodings: Vec::new(), ..Policy::default() };
        if let Some(settings) = application {
            (policy.binds_answers, policy.statics) = (settings.rewrite, settings.statics.clone());
        }
        let environments = std::slice::from_ref(environment);
        let mut release =
            Release::of(Files::Memory(files), manifest, Scrutiny::First(&|| true), environments, &policy, &[])?;
        Ok(release.tables.pop().unwrap_or_default())
    }
}

/// A build, ready to be served.
pub(super) struct Release {
    /// One for each environment.
    pub(super) tables: Vec<Table>,
    /// Files that tell whether another origin has this release.
    pub(super) probes: Vec<Probe>,
    /// Counts what the tables hold.
    pub(super) storage: Storage,
    /// Whether there are codings yet to be made, for what the build has not compressed.
    pub(super) is_unfinished: bool,
    /// Whether files are yet to be verified.
    pub(super) is_provisional: bool,
    /// What is kept of it for the next start, once it is served.
    pub(super) staged: Option<Result<Staged>>,
}

impl Release {
    /// Loads the build in `out` for several environments. What the tables of the same environments `before` hold is taken again
    /// where it can be, and their fingerprinted files stay for as many releases as the policy says. Blocks meanwhile.
    pub(super) fn load(
        out: &Path,
        environments: &[Environment],
        policy: &Policy,
        before: &[Arc<Table>],
    ) -> Result<Release> {
        Release::load_with(Scrutiny::First(&|| true), out, environments, policy, before)
    }

    /// As [`Release::load`], but that it can be given up, or left to be finished later.
    pub(super) fn load_with(
        scrutiny: Scrutiny<'_>,
        out: &Path,
        environments: &[Environment],
        policy: &Policy,
        before: &[Arc<Table>],
    ) -> Result<Release> {
        let manifest = Manifest::load(out)?;
        let kept = Kept::of(policy);
        let earlier = match (&kept, before) {
            (Some(kept), []) => kept.tables(&manifest, environments, policy),
            _ => before.to_vec(),
        };
        // What is yet to be verified is kept when that is done.
        let is_left = matches!(scrutiny, Scrutiny::Later) && is_large(&manifest, policy);
        let staged = kept.filter(|_| !is_left).map(|kept| kept.stage(out, &manifest));
        let release = Release::of(Files::Folder(out), &manifest, scrutiny, environments, policy, &earlier)?;
        Ok(Release { staged, ..release })
    }

    pub(super) fn of(
        files: Files<'_>,
        manifest: &Manifest,
        scrutiny: Scrutiny<'_>,
        environments: &[Environment],
        policy: &Policy,
        before: &[Arc<Table>],
    ) -> Result<Release> {
        let loaded = Loaded::new(files, manifest, environments, policy, before, scrutiny)?;
        let surroundings = surroundings(files, manifest)?;
        let shares_assets = environments.iter().any(Environment::shares_assets);
        let mut retention = Retention::new(policy, &loaded.storage);
        let shared = policy.binds_answers.then(|| Arc::new(manifest.clone()));
        let statics = Arc::new(Statics::new(manifest, &policy.statics));
        let (mut tables, mut by_headers) = (Vec::with_capacity(environments.len()), ByHeaders::new());
        for (index, environment) in environments.iter().enumerate() {
            let (surroundings, statics) = (&surroundings, &statics);
            let dist = Dist { out: files.out(), environment, manifest, surroundings, statics, shares_assets };
            let mut table = dist.table(&dist.resources(&loaded, index, &mut by_headers)?)?;
            if let Some(manifest) = &shared {
                table.binder(Arc::new(Binder::new(Arc::clone(manifest), environment.clone(), Arc::clone(statics))));
            }
            if let Some(before) = before.get(index) {
                retention.keep(&mut table, before, &manifest.release);
            }
            tables.push(table);
        }
        let held = loaded.storage.held();
        let tables = tables.into_iter().map(|table| table.build_of(manifest.release.clone(), held)).collect();
        let probes = Probe::choose(manifest);
        let Loaded { is_unfinished, is_provisional, storage, .. } = loaded;
        Ok(Release { tables, probes, storage, is_unfinished, is_provisional, staged: None })
    }
}

struct Dist<'a> {
    out: &'a Path,
    environment: &'a Environment,
    manifest: &'a Manifest,
    surroundings: &'a Surroundings,
    statics: &'a Statics,
    shares_assets: bool,
}

/// Stylesheets are read for it.
pub(super) fn surroundings(files: Files<'_>, manifest: &Manifest) -> Result<Surroundings> {
    let sheets = manifest.files.par_iter().filter(|(_, file)| file.media_type.starts_with("text/css"));
    let read = |(path, _): (&String, &File)| {
        let bytes = files.read(path)?;
        let names_others = memmem::find(&bytes, b"//").is_some();
        Ok(names_others.then(|| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let texts: Vec<String> = sheets.map(read).filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(Surroundings::of(manifest, texts.iter().map(String::as_str)))
}

/// By the path below the output folder.
type Resources<'a> = BTreeMap<&'a str, Resource>;

/// What the headers of a fingerprinted file depend on.
type Look<'a> = (&'a str, &'a BTreeMap<String, String>);

/// One set of fields for all that are equal. They are many kilobytes, and of files there may be a hundred thousand.
struct Pool<'a, 'p> {
    by_look: HashMap<Look<'a>, Arc<Fields>>,
    /// Those of all environments.
    by_headers: &'p mut ByHeaders,
}

type ByHeaders = HashMap<Vec<(HeaderName, Vec<u8>)>, Arc<Fields>>;

impl<'a> Pool<'a, '_> {
    fn fields(&mut self, file: &'a File, headers: impl FnOnce() -> Result<HeaderMap>) -> Result<Arc<Fields>> {
        let look = (file.media_type.as_str(), &file.headers);
        // A document has a policy of its own.
        let is_of_a_kind = file.kind == Kind::Asset && !is_document(file);
        if is_of_a_kind && let Some(fields) = self.by_look.get(&look) {
            return Ok(Arc::clone(fields));
        }
        let headers = headers()?;
        let mut key: Vec<(HeaderName, Vec<u8>)> =
            headers.iter().map(|(name, value)| (name.clone(), value.as_bytes().to_vec())).collect();
        key.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        let fields = Arc::clone(self.by_headers.entry(key).or_insert_with(|| Arc::new(Fields::new(headers))));
        if is_of_a_kind {
            self.by_look.insert(look, Arc::clone(&fields));
        }
        Ok(fields)
    }
}

pub(super) fn is_document(file: &File) -> bool {
    file.media_type.starts_with("text/html")
}

impl<'a> Dist<'a> {
    fn resources(&self, loaded: &Loaded, environment: usize, by_headers: &mut ByHeaders) -> Result<Resources<'a>> {
        let mut pool = Pool { by_look: HashMap::new(), by_headers };
        let mut resources = Resources::new();
        for (path, file) in &self.manifest.files {
            let bodies = loaded.bodies(environment, path).ok_or_else(|| self.fault(format!("`{path}` is not held")))?;
            let fields = pool.fields(file, || self.headers(path, file, &bodies))?;
            let resource = Resource::of(fields, bodies);
            resources.insert(path, if self.manifest.is_fingerprinted(file) { resource.aged(0) } else { resource });
        }
        Ok(resources)
    }

    fn headers(&self, path: &str, file: &File, bodies: &Bodies) -> Result<HeaderMap> {
        let identity = bodies.part(None).filter(|_| is_document(file));
        let bytes = identity.map(|part| part.content.read()).transpose().map_err(Error::io("read", path))?;
        // What is in no known encoding can't be hashed as a browser would.
        let document = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Dist { environment, manifest, surroundings, shares_assets, .. } = *self;
        let terms = Terms { manifest, environment, surroundings, shares_assets };
        terms.headers(path, file, document)?.map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, reason: String) -> Error {
        fault(self.out, reason)
    }

    fn table(&self, resources: &Resources) -> Result<TableBuilder> {
        let mut table = TableBuilder::default();
        if let Some(hsts) = &self.environment.security.hsts {
            table.hsts(HeaderValue::try_from(hsts).map_err(|_| self.fault(format!("`{hsts}` is no header value")))?);
        }
        table.reserve(resources.len() + self.manifest.entries.len() + self.manifest.chunks.len());
        for (status, page) in [StatusCode::NOT_FOUND]
            .iter()
            .chain(&FAILURES)
            .filter_map(|status| Some((*status, resources.get(format!("{}.html", status.as_str()).as_str())?)))
        {
            table.error_page(status, page.clone());
        }
        let routes = Routes { manifest: self.manifest, environment: self.environment, statics: self.statics };
        let (from, to) = routes.alias();
        table.alias(from, to);
        let file = |path: &str| {
            resources.get(path).cloned().ok_or_else(|| self.fault(format!("`{path}` is not among the files")))
        };
        let mut no_cache: HashMap<*const Fields, Arc<Fields>> = HashMap::new();
        routes.each(|url, target| {
            match target {
                Target::File(path) => table.resource(url, file(path)?),
                Target::Stable(path) => {
                    let resource = file(path)?;
                    let fields = no_cache.entry(Arc::as_ptr(resource.fields())).or_insert_with(|| {
                        Arc::new(resource.fields().with_cache_control(HeaderValue::from_static(STABLE)))
                    });
                    let fields = Arc::clone(fields);
                    table.resource(url, resource.with_fields(fields));
                }
                Target::Redirect(to) => table.redirect_to(url, to),
            }
            Ok(())
        })?;
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::fingerprint::Digest;
    use crate::serve::Content;
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
                let headers = resource.identity().headers();
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
        let headers = table.error_page(StatusCode::NOT_FOUND).unwrap().identity().headers();
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
            Some(Route::Resource(resource)) => resource.identity().headers(),
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
    fn sidecars_are_loaded() {
        let site = Site::new().asset("a.css", &CSS.repeat(20));
        let file = site.file_of("a.css");
        let table = site.table(&environment()).unwrap();
        let Some(Route::Resource(resource)) = table.get(&format!("/{file}")) else { panic!("it is there") };
        let length = |encoding| resource.representation(encoding).unwrap().body.length();
        let seen: Vec<_> = resource.encodings().map(|encoding| (encoding, length(encoding))).collect();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[0].0, Some(Encoding::Brotli));
        assert!(seen[0].1 < seen[3].1 / 10);
    }

    #[test]
    fn a_bound_page_is_compressed_anew() {
        let text = "<a href=/x>x</a>".repeat(20);
        let meta = "<meta name=fingerpost:environment content=''>";
        let site = Site::new().page("index.html", &format!("{meta}{text}"));
        let table = site.table(&Environment::new("staging")).unwrap();
        let page = table.resource("/").unwrap();
        let identity = page.identity().body.read().unwrap();
        assert!(String::from_utf8_lossy(&identity).contains("staging"));
        let tag = |encoding| {
            String::from_utf8(page.representation(encoding).unwrap().etag.unwrap().as_bytes().to_vec()).unwrap()
        };
        for (encoding, suffix) in page.encodings().zip(["-br", "-zstd", "-gzip", ""]) {
            let sent = page.representation(encoding).unwrap().body.read().unwrap();
            assert_eq!(tag(encoding), format!("\"{}{suffix}\"", Digest::of(&sent).fingerprint().as_str()));
        }
    }

    /// Where the bodies of a file are, the identity last: `m`emory, `f`ile, `c`losed.
    fn places(table: &Table, path: &str) -> String {
        let resource = table.resource(path).unwrap();
        let place = |encoding| match resource.representation(encoding).unwrap().body {
            Content::Memory(_) => 'm',
            Content::File(_) => 'f',
            Content::Closed(_) => 'c',
        };
        resource.encodings().map(place).collect()
    }

    fn load(site: &Site, policy: &Policy, before: &[Arc<Table>]) -> Arc<Table> {
        site.write_manifest();
        let mut release = Release::load(&site.out(), &[environment()], policy, before).unwrap();
        Arc::new(release.tables.pop().unwrap())
    }

    #[test]
    fn what_memory_has_no_room_for_stays_in_its_file() {
        let text = CSS.repeat(40);
        let site = Site::new().asset("a.css", &text).asset("b.png", "not much");
        let (css, png) = (format!("/{}", site.file_of("a.css")), format!("/{}", site.file_of("b.png")));
        let policy = Policy { memory: 1000, ..Policy::default() };
        let table = load(&site, &policy, &[]);
        assert_eq!((places(&table, &css).as_str(), places(&table, &png).as_str()), ("mmmf", "m"));
        assert!(table.held() <= 1000);
        let none = Policy { memory: 0, ..Policy::default() };
        assert_eq!(places(&load(&site, &none, &[]), &css), "ffff");
        let small = Policy { largest_in_memory: 10, ..Policy::default() };
        assert_eq!(places(&load(&site, &small, &[]), &png), "m");
        assert_eq!(places(&load(&site, &small, &[]), &css), "ffff");
        let body = |table: &Table| table.resource(&css).unwrap().identity().body.read().unwrap();
        assert_eq!(body(&table), text);
    }

    #[test]
    fn equal_bodies_are_held_once() {
        let text = CSS.repeat(40);
        let site = Site::new().public("a.css", &text).public("b.css", &text);
        let table = site.table(&environment()).unwrap();
        let address = |path| match table.resource(path).unwrap().identity().body {
            Content::Memory(bytes) => bytes.as_ptr(),
            other => panic!("{other:?}"),
        };
        assert_eq!(address("/a.css"), address("/b.css"));
        assert!(table.held() < 2 * text.len() as u64);
    }

    #[test]
    fn a_reload_takes_again_what_is_the_same() {
        let text = CSS.repeat(40);
        let site = Site::new().asset("a.css", &text).public("b.bin", &"b".repeat(5000));
        let css = format!("/{}", site.file_of("a.css"));
        let policy = Policy { largest_in_memory: 4000, ..Policy::default() };
        let first = load(&site, &policy, &[]);
        let second = load(&site, &policy, &[Arc::clone(&first)]);
        let same = |path: &str| {
            let content = |table: &Table| table.resource(path).unwrap().identity().body.clone();
            match (content(&first), content(&second)) {
                (Content::Memory(a), Content::Memory(b)) => a.as_ptr() == b.as_ptr(),
                (Content::File(a), Content::File(b)) => Arc::ptr_eq(a.stored(), b.stored()),
                _ => false,
            }
        };
        assert!(same(&css) && same("/b.bin"));
        assert_eq!(first.held(), second.held());
    }

    /// A release of one stylesheet, whose text is `a` and the number.
    fn release(number: usize) -> Site {
        let mut site = Site::new().asset("a.css", &format!("{CSS}a{number}"));
        site.manifest.release = crate::release::ReleaseId::of(&Digest::of(&[number as u8]));
        site
    }

    #[test]
    fn fingerprinted_files_of_the_last_releases_stay() {
        let policy = Policy { keep_releases: 2, ..Policy::default() };
        let sites: Vec<Site> = (0..4).map(release).collect();
        let paths: Vec<String> = sites.iter().map(|site| format!("/{}", site.file_of("a.css"))).collect();
        let mut table = load(&sites[0], &policy, &[]);
        for (index, site) in sites.iter().enumerate().skip(1) {
            table = load(site, &policy, &[table]);
            assert_eq!(at(&table, "/static/a.css"), ok("no-cache", &format!("{CSS}a{index}")), "the newest");
        }
        assert_eq!(at(&table, &paths[0]), "-", "three releases ago");
        for (index, path) in paths.iter().enumerate().skip(1) {
            assert_eq!(at(&table, path), ok(FOREVER, &format!("{CSS}a{index}")));
        }
        let again = load(&sites[3], &policy, &[Arc::clone(&table)]);
        assert_ne!(at(&again, &paths[1]), "-", "the same release again is no new one");
        let back = load(&sites[1], &policy, &[again]);
        assert_eq!(at(&back, "/static/a.css"), ok("no-cache", &format!("{CSS}a1")));
        assert_ne!(at(&back, &paths[3]), "-");
        let none = Policy { keep_releases: 0, ..policy };
        assert_eq!(at(&load(&sites[0], &none, &[back]), &paths[1]), "-");
    }

    #[test]
    fn what_stays_falls_to_a_file_and_outlives_its_folder() {
        let policy = Policy { memory: 400, ..Policy::default() };
        let (old, new) = (release(0), release(1));
        let path = format!("/{}", old.file_of("a.css"));
        let first = load(&old, &policy, &[]);
        drop(old);
        let table = load(&new, &policy, &[first]);
        assert!(table.held() <= 400);
        let resource = table.resource(&path).unwrap();
        assert!(places(&table, &path).contains('f'));
        assert_eq!(resource.identity().body.read().unwrap(), format!("{CSS}a0"));
        for encoding in resource.encodings().flatten() {
            let body = resource.representation(Some(encoding)).unwrap().body.read().unwrap();
            assert_eq!(body, encoding.compress(format!("{CSS}a0").as_bytes()).unwrap());
        }
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
            Some(Route::Resource(resource)) => resource.identity().headers(),
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
        assert!(
            policy(&table.error_page(StatusCode::NOT_FOUND).unwrap().identity().headers())
                .unwrap()
                .contains(&hash(b"2"))
        );
        assert!(policy(&at("/own.html")).unwrap().contains(&hash(b"3")));
        assert_eq!(policy(&at("/app.webmanifest")), None);
        assert_eq!(policy(&at(&format!("/{}", site.file_of("a.css")))), None);
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

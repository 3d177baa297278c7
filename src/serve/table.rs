//! The table: from a URL's path to the answer. A request is answered from it alone; it never touches the file system.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::{HeaderValue, StatusCode};
use rustc_hash::FxBuildHasher;

use super::content::Content;
use super::resource::{Bodies, Resource};
use super::routes::local;
use super::sites::Sites;
use crate::asset::is_hidden;
use crate::page::Binder;
use crate::release::ReleaseId;

/// Every URL of a site. It is never changed: a new release is a new table, put in its place through a [`Handle`].
#[derive(Debug, Default)]
pub struct Table {
    /// By a hash that is quick and no more: the paths are the site's own, so nobody can make them collide.
    routes: HashMap<Box<str>, Route, FxBuildHasher>,
    /// The bodies for what fails.
    errors: Vec<(StatusCode, Resource)>,
    /// What begins with the first is also where the second leads; neither is a route of its own.
    alias: Option<(Box<str>, Box<str>)>,
    hsts: Option<HeaderValue>,
    release: ReleaseId,
    /// Bytes of bodies in memory.
    held: u64,
    binder: Option<Arc<Binder>>,
}

/// How much a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Inventory {
    pub urls: usize,
    /// Bytes of bodies in memory.
    pub memory_bytes: u64,
    /// Bytes of bodies that are read from their files.
    pub file_bytes: u64,
}

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Route {
    Resource(Resource),
    /// The absolute path to go to, percent-encoded: `/docs/`.
    Redirect(Box<str>),
}

impl Table {
    /// What is at a path, given absolute and decoded (`/css/a b.css`).
    pub fn get(&self, path: &str) -> Option<&Route> {
        self.routes.get(path).or_else(|| self.by_alias(path))
    }

    fn by_alias(&self, path: &str) -> Option<&Route> {
        let (from, to) = self.alias.as_ref()?;
        let rest = path.strip_prefix(from.as_ref())?;
        let route = self.routes.get(format!("{to}{rest}").as_str())?;
        matches!(route, Route::Resource(_)).then_some(route)
    }

    pub(super) fn resource(&self, path: &str) -> Option<&Resource> {
        match self.routes.get(path)? {
            Route::Resource(resource) => Some(resource),
            Route::Redirect(_) => None,
        }
    }

    /// The resources, each with its path.
    pub(super) fn resources(&self) -> impl Iterator<Item = (&str, &Resource)> {
        self.routes.iter().filter_map(|(path, route)| match route {
            Route::Resource(resource) => Some((path.as_ref(), resource)),
            Route::Redirect(_) => None,
        })
    }

    /// How much there is in it. What several URLs share is counted once.
    pub fn inventory(&self) -> Inventory {
        let (mut seen, mut inventory) = (HashSet::new(), Inventory { urls: self.routes.len(), ..Inventory::default() });
        let mut places = HashSet::new();
        for resource in self.resources().map(|(_, resource)| resource).chain(self.errors.iter().map(|(_, page)| page)) {
            if !seen.insert(Arc::as_ptr(resource.bodies())) {
                continue;
            }
            for (_, part) in resource.bodies().parts() {
                match &part.content {
                    Content::Memory(bytes) if places.insert((bytes.as_ptr(), bytes.len())) => {
                        inventory.memory_bytes += bytes.len() as u64;
                    }
                    Content::Memory(_) => {}
                    Content::File(_) | Content::Closed(_) => inventory.file_bytes += part.content.length(),
                }
            }
        }
        inventory
    }

    /// The site's own page for an error, if it has one.
    pub(super) fn error_page(&self, status: StatusCode) -> Option<&Resource> {
        let of = |status| self.errors.iter().find(|(other, _)| *other == status).map(|(_, page)| page);
        let any = || of(StatusCode::INTERNAL_SERVER_ERROR).filter(|_| status.is_server_error());
        of(status).or_else(any)
    }

    /// Binds what an application behind this server answers.
    pub(super) fn binder(&self) -> Option<&Arc<Binder>> {
        self.binder.as_ref()
    }

    /// The release that it was made of; empty if it was made of something else.
    pub fn release(&self) -> &ReleaseId {
        &self.release
    }

    /// Bytes of bodies in memory, of all tables that were loaded together.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The same table with other bodies for the same content, where there are some.
    pub(super) fn with_bodies(&self, held: u64, other: impl Fn(&Arc<Bodies>) -> Option<Arc<Bodies>>) -> Table {
        let change = |resource: &Resource| match other(resource.bodies()) {
            Some(bodies) => resource.clone().with_bodies(bodies),
            None => resource.clone(),
        };
        let route = |route: &Route| match route {
            Route::Resource(resource) => Route::Resource(change(resource)),
            Route::Redirect(to) => Route::Redirect(to.clone()),
        };
        Table {
            routes: self.routes.iter().map(|(path, other)| (path.clone(), route(other))).collect(),
            errors: self.errors.iter().map(|(status, page)| (*status, change(page))).collect(),
            alias: self.alias.clone(),
            hsts: self.hsts.clone(),
            release: self.release.clone(),
            held,
            binder: self.binder.clone(),
        }
    }

    /// `Strict-Transport-Security` for answers over TLS.
    pub(super) fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }
}

/// Builds a [`Table`]. The first to take a path keeps it, so what has a path of its own comes before what is only reachable there too.
#[derive(Debug, Default)]
pub struct TableBuilder(Table);

impl TableBuilder {
    /// Puts a resource at a path, which is absolute and decoded (`/css/a b.css`).
    ///
    /// Nothing is put below a dot-folder, nor in a dot-file, but below `.well-known` (RFC 8615).
    pub fn resource(&mut self, path: impl Into<Box<str>>, resource: Resource) {
        self.insert(path.into(), Route::Resource(resource));
    }

    /// Redirects one path to another of this site, both absolute and decoded.
    pub fn redirect(&mut self, from: impl Into<Box<str>>, to: &str) {
        self.redirect_to(from, local(to));
    }

    /// To a path of this site that is percent-encoded.
    pub(super) fn redirect_to(&mut self, from: impl Into<Box<str>>, to: String) {
        self.insert(from.into(), Route::Redirect(to.into()));
    }

    /// Lets paths that begin with `from` lead where those lead that begin with `to`, both with slashes at their ends, if nothing
    /// else is there.
    pub fn alias(&mut self, from: impl Into<Box<str>>, to: impl Into<Box<str>>) {
        self.0.alias = Some((from.into(), to.into()));
    }

    /// Takes a resource for the body of every 404; its validator and its caching are dropped.
    pub fn not_found(&mut self, resource: Resource) {
        self.error_page(StatusCode::NOT_FOUND, resource);
    }

    /// Takes a resource for the body of an error; the one of 500 is for every error of a server that has none of its own.
    pub fn error_page(&mut self, status: StatusCode, resource: Resource) {
        self.0.errors.push((status, resource.into_error()));
    }

    pub(super) fn binder(&mut self, binder: Arc<Binder>) {
        self.0.binder = Some(binder);
    }

    pub(super) fn reserve(&mut self, paths: usize) {
        self.0.routes.reserve(paths);
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.routes.contains_key(path)
    }

    /// Sends this as `Strict-Transport-Security` (RFC 6797) with every answer over TLS.
    pub fn hsts(&mut self, value: HeaderValue) {
        self.0.hsts = Some(value);
    }

    pub fn build(self) -> Table {
        self.build_of(ReleaseId::default(), 0)
    }

    /// `held` are bytes of bodies in memory.
    pub(super) fn build_of(self, release: ReleaseId, held: u64) -> Table {
        let mut table = Table { release, held, ..self.0 };
        table.routes.shrink_to_fit();
        table
    }

    fn insert(&mut self, path: Box<str>, route: Route) {
        if !is_hidden(&path) {
            self.0.routes.entry(path).or_insert(route);
        }
    }
}

/// The tables that are served now. Clones share them; a swap reaches all of them, and requests under way keep what they have.
#[derive(Debug, Clone)]
pub struct Handle(Arc<ArcSwap<Sites>>);

impl Handle {
    /// Serves one table for every host, or [`Sites`].
    pub fn new(sites: impl Into<Sites>) -> Self {
        Handle(Arc::new(ArcSwap::from_pointee(sites.into())))
    }

    /// Serves others from now on, all of them at once.
    pub fn swap(&self, sites: impl Into<Sites>) {
        self.0.store(Arc::new(sites.into()));
    }

    pub(super) fn load(&self) -> Guard<Arc<Sites>> {
        self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use bytes::Bytes;
    use http::HeaderMap;

    fn resource(body: &'static str) -> Resource {
        Resource::new(&Digest::of(body.as_bytes()), HeaderMap::new(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn dot_files_and_folders_stay_out() {
        let mut table = TableBuilder::default();
        for path in ["/.env", "/.git/config", "/a/.b/c", "/a/..", "/.well-known/security.txt", "/a.b/c..d"] {
            table.resource(path, resource("x"));
        }
        let table = table.build();
        let mut paths: Vec<&str> = table.routes.keys().map(AsRef::as_ref).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/.well-known/security.txt", "/a.b/c..d"]);
    }

    #[test]
    fn what_urls_share_is_counted_once() {
        let mut table = TableBuilder::default();
        let shared = resource("12345");
        table.resource("/a", shared.clone());
        table.resource("/static/a", shared);
        table.resource("/b", resource("678"));
        table.redirect("/b/", "/b");
        table.not_found(resource("lost"));
        let want = Inventory { urls: 4, memory_bytes: 5 + 3 + 4, file_bytes: 0 };
        assert_eq!(table.build().inventory(), want);
    }

    #[test]
    fn the_first_keeps_the_path() {
        let mut table = TableBuilder::default();
        table.resource("/docs", resource("file"));
        table.redirect("/docs", "/docs/");
        assert!(matches!(table.build().get("/docs"), Some(Route::Resource(_))));
    }

    #[test]
    fn no_redirect_names_another_site() {
        for (to, want) in [
            ("/docs/", "/docs/"),
            ("//evil.example/", "/evil.example/"),
            ("/\\evil.example/", "/evil.example/"),
            ("\\/evil.example", "/evil.example"),
            ("/a b/", "/a%20b/"),
            ("/a\r\nb/", "/a%0D%0Ab/"),
        ] {
            let mut table = TableBuilder::default();
            table.redirect("/from", to);
            match table.build().get("/from") {
                Some(Route::Redirect(location)) => assert_eq!(location.as_ref(), want),
                other => panic!("{to}: {other:?}"),
            }
        }
    }
}

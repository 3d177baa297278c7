//! The table: from a URL's path to the answer. A request is answered from it alone; it never touches the file system.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;

use super::resource::Resource;
use super::sites::Sites;
use crate::asset::{is_hidden, url_path};

/// Every URL of a site. It is never changed: a new release is a new table, put in its place through a [`Handle`].
#[derive(Debug)]
pub struct Table {
    routes: HashMap<String, Route>,
    not_found: Option<Resource>,
    hsts: Option<HeaderValue>,
}

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Route {
    Resource(Arc<Resource>),
    /// The absolute path to go to, percent-encoded: `/docs/`.
    Redirect(String),
}

impl Table {
    /// What is at a path, given absolute and decoded (`/css/a b.css`).
    pub fn get(&self, path: &str) -> Option<&Route> {
        self.routes.get(path)
    }

    /// The body for what is not there, if the site has one.
    pub(super) fn not_found(&self) -> Option<&Resource> {
        self.not_found.as_ref()
    }

    /// `Strict-Transport-Security` for answers over TLS.
    pub(super) fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }
}

/// Builds a [`Table`]. The first to take a path keeps it, so what has a path of its own comes before what is only reachable there too.
#[derive(Debug, Default)]
pub struct TableBuilder {
    routes: HashMap<String, Route>,
    not_found: Option<Resource>,
    hsts: Option<HeaderValue>,
}

impl TableBuilder {
    /// Puts a resource at a path, which is absolute and decoded (`/css/a b.css`).
    ///
    /// Nothing is put below a dot-folder, nor in a dot-file, but below `.well-known` (RFC 8615).
    pub fn resource(&mut self, path: impl Into<String>, resource: impl Into<Arc<Resource>>) {
        self.insert(path.into(), Route::Resource(resource.into()));
    }

    /// Redirects one path to another of this site, both absolute and decoded.
    pub fn redirect(&mut self, from: impl Into<String>, to: &str) {
        // Two slashes, or one and what a browser takes for one, would start another site's name: RFC 3986 section 4.2.
        let local = format!("/{}", to.trim_start_matches(['/', '\\']));
        self.insert(from.into(), Route::Redirect(url_path(&local)));
    }

    /// Takes a resource for the body of every 404; its validator and its caching are dropped.
    pub fn not_found(&mut self, resource: Resource) {
        self.not_found = Some(resource.into_error());
    }

    /// Sends this as `Strict-Transport-Security` (RFC 6797) with every answer over TLS.
    pub fn hsts(&mut self, value: HeaderValue) {
        self.hsts = Some(value);
    }

    pub fn build(self) -> Table {
        Table { routes: self.routes, not_found: self.not_found, hsts: self.hsts }
    }

    fn insert(&mut self, path: String, route: Route) {
        if !is_hidden(&path) {
            self.routes.entry(path).or_insert(route);
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
        let mut paths: Vec<&str> = table.routes.keys().map(String::as_str).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/.well-known/security.txt", "/a.b/c..d"]);
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
                Some(Route::Redirect(location)) => assert_eq!(location, want),
                other => panic!("{to}: {other:?}"),
            }
        }
    }
}

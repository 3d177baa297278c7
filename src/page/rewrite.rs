//! Points a page's asset URLs to where the environment keeps them.

use std::ops::Deref;
use std::sync::Arc;

use super::statics::Statics;
use crate::asset::{document_base, local_path, url_path};
use crate::environment::{Environment, Libraries};
use crate::html::{Editor, Fallback, Link, Place};
use crate::manifest::{Kind, Manifest};
use crate::release::Stamp;

pub struct Rewriter<M, E> {
    manifest: M,
    environment: E,
    /// The page's absolute URL path, for its relative URLs.
    base: Option<String>,
    /// What an application calls its own.
    statics: Arc<Statics>,
}

/// What a path in a page stands for.
enum Target<'a> {
    /// A fingerprinted file, by its path below the output folder.
    Asset(&'a str),
    /// A document under its own name, which stays on the page's origin.
    Document(&'a str),
    /// The stable name of a chunk, a key of the import map.
    Chunk(&'a str),
}

impl<M: Deref<Target = Manifest> + Send, E: Deref<Target = Environment> + Send> Rewriter<M, E> {
    pub fn new(manifest: M, environment: E, path: &str) -> Self {
        Rewriter { manifest, environment, base: Some(format!("/{path}")), statics: Arc::default() }
    }

    /// Knows files by an application's own URLs, too.
    pub fn with_statics(self, statics: Arc<Statics>) -> Self {
        Rewriter { statics, ..self }
    }

    /// Whether the page's URLs are those of its own site: a `<base>` may lead elsewhere.
    pub fn is_at_home(&self) -> bool {
        self.base.is_some()
    }

    /// The fingerprinted file that a URL of the page stands for.
    pub fn file(&self, url: &str) -> Option<&str> {
        let (path, _) = local_path(self.base.as_deref()?, url)?;
        match self.target(&path)? {
            Target::Asset(file) => Some(file),
            Target::Document(_) | Target::Chunk(_) => None,
        }
    }

    fn target(&self, path: &str) -> Option<Target<'_>> {
        let below = path.strip_prefix('/')?;
        if let Some((stable, _)) = self.manifest.chunks.get_key_value(below) {
            return Some(Target::Chunk(stable));
        }
        let named = || self.manifest.resolve(self.manifest.logical(path)?);
        let own = || self.statics.file(path);
        let file =
            self.manifest.files.get_key_value(below).map(|(file, _)| file.as_str()).or_else(named).or_else(own)?;
        match self.manifest.files.get(file)?.kind {
            Kind::Asset => Some(Target::Asset(file)),
            Kind::Page | Kind::Public => Some(Target::Document(file)),
        }
    }

    /// A library where a public CDN has it, with the copy that is here for when it can't be had.
    fn library(&self, place: Place, path: &str) -> Option<Link> {
        let takes_copy = matches!(place, Place::Script { module: false } | Place::Stylesheet);
        let is_wanted = self.environment.libraries == Libraries::Cdn && (takes_copy || place == Place::Preload);
        if !is_wanted {
            return None;
        }
        let Target::Asset(file) = self.target(path)? else { return None };
        let library = self.manifest.libraries.get(file)?;
        let integrity = self.manifest.files.get(file)?.integrity.as_str().to_owned();
        let url = self.environment.asset_base.url(file);
        let fallback = takes_copy.then(|| Fallback { url, integrity, global: library.global.clone() });
        let integrity = Some(library.integrity.as_str().to_owned());
        Some(Link { url: library.cdn.clone(), integrity, other_origin: true, fallback })
    }

    /// The string of a JSON document in this environment, if it is exactly an asset's URL.
    pub fn string(&mut self, string: &str) -> Option<String> {
        self.url(Place::Json, string).map(|link| link.url)
    }
}

impl<M: Deref<Target = Manifest> + Send, E: Deref<Target = Environment> + Send> Editor for Rewriter<M, E> {
    fn base(&mut self, href: &str) {
        self.base = self.base.take().and_then(|base| document_base(&base, href));
    }

    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        if place == Place::Json && !url.starts_with('/') {
            return None;
        }
        let (path, suffix) = local_path(self.base.as_deref()?, url)?;
        if let Some(link) = self.library(place, &path) {
            return Some(link);
        }
        let base = &self.environment.asset_base;
        let (mut new, integrity) = match self.target(&path)? {
            Target::Asset(file) if place == Place::Use => (format!("/{}", url_path(file)), None),
            Target::Asset(file) => {
                let known = self.manifest.files.get(file).filter(|_| place.takes_integrity());
                let integrity = known.map(|file| file.integrity.as_str().to_owned());
                (base.url(file), integrity)
            }
            Target::Document(file) => {
                // A document that is named by its own URL needs no other.
                self.manifest.logical(&path)?;
                (format!("/{}", url_path(file)), None)
            }
            Target::Chunk(stable) => (base.url(stable), None),
        };
        if place == Place::Shared {
            // Who shares a page fetches its image from elsewhere: relative URLs and `//` mean nothing there.
            if new.starts_with("//") {
                new.insert_str(0, "https:");
            } else if let (true, Some(site)) = (new.starts_with('/'), &self.environment.site) {
                new.insert_str(0, site);
            }
        }
        new.push_str(suffix);
        let other_origin = integrity.is_some() && base.is_other_origin();
        (new != url).then_some(Link { url: new, integrity, other_origin, fallback: None })
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        Stamp { environment: &self.environment.name, release: &self.manifest.release }.meta(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::LogicalPath;
    use crate::fingerprint::Digest;
    use crate::manifest::{Entry, File, Library, Mode};
    use crate::page::bind;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(Mode::Production, "assets");
        manifest.release = "0123456789abcdef".parse().unwrap();
        for (name, path, kind) in [
            ("css/a.css", "assets/css/a-1.css", Kind::Asset),
            ("js/a.js", "assets/js/a-1.js", Kind::Asset),
            ("img/a b.png", "assets/img/a b-1.png", Kind::Asset),
            ("site.webmanifest", "site.webmanifest", Kind::Page),
            ("", "docs/index.html", Kind::Page),
        ] {
            let file = File::new(kind, path, path.as_bytes());
            manifest.files.insert(path.into(), file);
            if let Ok(name) = LogicalPath::new(name) {
                manifest.entries.insert(name, Entry::new(path.into()));
            }
        }
        manifest.chunks.insert("assets/js/c~1.js".into(), "assets/js/a-1.js".into());
        manifest
    }

    fn bound(base: &str, html: &str) -> String {
        let mut environment = Environment::new("test");
        environment.asset_base = base.parse().unwrap();
        environment.site = Some("https://www.example.com".into());
        let once = bind(&manifest(), &environment, "docs/index.html", html.as_bytes()).unwrap();
        let twice = bind(&manifest(), &environment, "docs/index.html", &once).unwrap();
        assert_eq!(once, twice, "binding again changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn urls_go_where_the_environment_keeps_assets() {
        let integrity = Digest::of(b"assets/css/a-1.css").integrity();
        for (html, want) in [
            (
                r#"<link rel="stylesheet" href="/assets/css/a-1.css">"#.to_owned(),
                format!(r#"<link rel="stylesheet" href="https://c/assets/css/a-1.css" integrity="{}" crossorigin="anonymous">"#, integrity.as_str()),
            ),
            (r#"<img src="/static/img/a%20b.png?x#y">"#.into(), r#"<img src="https://c/assets/img/a%20b-1.png?x#y">"#.into()),
            (r#"<img src="../assets/img/a%20b-1.png">"#.into(), r#"<img src="https://c/assets/img/a%20b-1.png">"#.into()),
            (
                r#"<script type="importmap">{"imports":{"/assets/js/c~1.js":"/assets/js/a-1.js"}}</script>"#.into(),
                r#"<script type="importmap">{"imports":{"https://c/assets/js/c~1.js":"https://c/assets/js/a-1.js"}}</script>"#.into(),
            ),
            (r#"<link rel="manifest" href="/assets/site.webmanifest">"#.into(), r#"<link rel="manifest" href="/site.webmanifest">"#.into()),
            (r#"<svg><use href="/assets/img/a%20b.png#i"/></svg>"#.into(), r#"<svg><use href="/assets/img/a%20b-1.png#i" /></svg>"#.into()),
            (r#"<meta name="fingerpost:environment" content="development">"#.into(), r#"<meta name="fingerpost:environment" content="test">"#.into()),
        ] {
            assert_eq!(bound("https://c/", &html), want);
        }
    }

    #[test]
    fn what_is_not_ours_passes_unchanged() {
        for html in [
            r#"<script src="https://example.com/assets/js/a-1.js"></script>"#,
            r##"<a href="#top">x</a><a href="/about?x=/assets/js/a-1.js">y</a>"##,
            r#"<img src="data:image/png;base64,xx"><img src="/assets/unknown.png"><img src=//evil/assets/js/a-1.js>"#,
            r#"<script type="application/ld+json">{"x":"js/a.js","y":"see /assets/js/a-1.js"}</script>"#,
        ] {
            assert_eq!(bound("https://c/", html), html);
        }
    }

    #[test]
    fn libraries_come_from_their_cdn_where_that_is_wanted() {
        let mut manifest = manifest();
        let own = Digest::of(b"assets/js/a-1.js").integrity();
        let there = Digest::of(b"as it came").integrity();
        let library =
            Library { cdn: "https://l.example/a.js?x=1&y".into(), integrity: there.clone(), global: Some("A".into()) };
        manifest.libraries.insert("assets/js/a-1.js".into(), library);
        let mut environment = Environment::new("test");
        let page = "<script src=/static/js/a.js></script><script src=/static/js/a.js async></script>\
                    <script type=module src=/static/js/a.js></script><a href=/static/js/a.js>a</a>";
        let bound = |environment: &Environment, html: &str| {
            String::from_utf8(bind(&manifest, environment, "docs/index.html", html.as_bytes()).unwrap()).unwrap()
        };
        assert!(!bound(&environment, page).contains("l.example"));
        environment.libraries = Libraries::Cdn;
        environment.asset_base = "https://c/".parse().unwrap();
        let once = bound(&environment, page);
        assert_eq!(bound(&environment, &once), once, "binding again changes nothing");
        let from_cdn = format!(
            "<script src=\"https://l.example/a.js?x=1&amp;y\" integrity=\"{}\" crossorigin=\"anonymous\" \
             data-fallback=\"https://c/assets/js/a-1.js\" data-fallback-integrity=\"{}\" data-global=\"A\"></script><script>(",
            there.as_str(),
            own.as_str()
        );
        assert!(once.starts_with("<script>addEventListener(") && once.contains(&from_cdn), "{once}");
        assert_eq!(once.matches("l.example").count(), 2, "{once}");
        assert_eq!(once.matches("document.write(").count(), 1, "nobody waits for the second: {once}");
        assert!(once.contains("<a href=\"https://c/assets/js/a-1.js\">"), "{once}");
    }

    #[test]
    fn shared_images_are_absolute() {
        let html = r#"<meta property="og:image" content="/assets/img/a%20b.png">"#;
        for (base, want) in [
            ("/", "https://www.example.com/assets/img/a%20b-1.png"),
            ("//c/", "https://c/assets/img/a%20b-1.png"),
            ("https://c/", "https://c/assets/img/a%20b-1.png"),
        ] {
            assert_eq!(bound(base, html), format!(r#"<meta property="og:image" content="{want}">"#));
        }
    }
}

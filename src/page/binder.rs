//! Binds what an application answers, as [`bind`](super::bind) does with the pages of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, HeaderMap, HeaderValue, LINK};
use serde_json::{Map, Value, json};

use super::csp::{self, Needs};
use super::memo::{Memo, Notes};
use super::rewrite::Rewriter;
use super::statics::Statics;
use crate::asset::LogicalPath;
use crate::environment::{Environment, Libraries};
use crate::fingerprint::Digest;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Entry, Manifest};

/// A release in an environment, for pages that are not its own.
#[derive(Debug)]
pub struct Binder {
    manifest: Arc<Manifest>,
    environment: Arc<Environment>,
    mark: String,
    statics: Arc<Statics>,
    /// Which of the entries are modules, by file.
    modules: BTreeMap<String, LogicalPath>,
    /// All chunks: a page that comes piece by piece does not say before its first module which of them it will need.
    import_map: Map<String, Value>,
    /// The map as it stands in a page that has none.
    map_text: String,
    /// Of policies.
    needs: Needs,
    memo: Arc<Memo>,
}

impl Binder {
    pub fn new(manifest: Arc<Manifest>, environment: Environment, statics: Arc<Statics>) -> Self {
        let Environment { name, asset_base, .. } = &environment;
        let mark = Digest::of(format!("{} {name} {}", manifest.release, asset_base.as_str()).as_bytes());
        let mark = mark.fingerprint().as_str().get(..8).unwrap_or_default().to_owned();
        let modules = manifest.entries.iter().filter(|(_, entry)| entry.module);
        let modules = modules.map(|(logical, entry)| (entry.file.clone(), logical.clone())).collect();
        let chunks = manifest.chunks.iter();
        let imports: Map<String, Value> =
            chunks.map(|(stable, file)| (asset_base.url(stable), asset_base.url(file).into())).collect();
        let integrity =
            |file: &String| Some((asset_base.url(file), manifest.files.get(file)?.integrity.as_str().into()));
        let integrity: Map<String, Value> = manifest.chunks.values().filter_map(integrity).collect();
        let import_map = match imports.is_empty() {
            true => Map::new(),
            false => {
                Map::from_iter([("imports".to_owned(), imports.into()), ("integrity".to_owned(), integrity.into())])
            }
        };
        let map_text = text_of(&import_map);
        let map_hash = || format!("'{}'", Digest::of(map_text.as_bytes()).integrity().as_str());
        let libraries = match environment.libraries {
            Libraries::Cdn => Some(&manifest.libraries),
            Libraries::Local => None,
        };
        let copies = libraries.filter(|all| !all.is_empty()).map(|_| html::fallback_hashes());
        let are = |extension: &str| -> Vec<String> {
            let all = libraries.into_iter().flatten().filter(|(file, _)| file.ends_with(extension));
            all.map(|(_, library)| library.cdn.clone()).collect()
        };
        let hashes = (!import_map.is_empty()).then(map_hash).into_iter().chain(copies.into_iter().flatten()).collect();
        let assets = Some(&environment.asset_base).filter(|base| base.is_other_origin()).cloned();
        let needs = Needs { assets, hashes, scripts: are(".js"), styles: are(".css") };
        let (environment, memo) = (Arc::new(environment), Arc::default());
        Binder { environment, mark, statics, modules, import_map, map_text, needs, memo, manifest }
    }

    /// What tells a page that was bound by this from the same page bound by another.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The page at `path` (absolute, as it was asked for, of this host), to be written piece by piece; none in a charset that can't be
    /// read.
    pub fn stream(self: &Arc<Self>, host: Option<&str>, path: &str, charset: Option<&str>) -> Option<html::Stream> {
        let editor = Application {
            rewriter: self.rewriter(path),
            host: host.unwrap_or_default().to_owned(),
            binder: Arc::clone(self),
            notes: self.memo.open(),
            has_map: self.import_map.is_empty(),
            given: BTreeSet::new(),
        };
        html::Stream::new(charset, Box::new(editor))
    }

    /// Binds what a page's headers say of its assets.
    pub fn fields(&self, path: &str, headers: &mut HeaderMap) {
        let mut rewriter = self.rewriter(path);
        edit(headers, LINK, |links| link(links, &mut rewriter));
        for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
            edit(headers, name, |policy| csp::admit(policy, &self.needs));
        }
    }

    fn rewriter(&self, path: &str) -> Rewriter<Arc<Manifest>, Arc<Environment>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let rewriter = Rewriter::new(Arc::clone(&self.manifest), Arc::clone(&self.environment), path);
        rewriter.with_statics(Arc::clone(&self.statics))
    }

    /// What a browser has to know before it loads a module; what was given already is left out.
    fn needs(&self, entry: &Entry, given: &mut BTreeSet<String>) -> String {
        let base = &self.environment.asset_base;
        let mut html = String::new();
        let mut add = |start: &str, file: &String| {
            if !given.insert(file.clone()) {
                return;
            }
            html.push_str(start);
            html.push_str(&format!(" href=\"{}\"", base.url(file).replace('&', "&amp;")));
            if let Some(file) = self.manifest.files.get(file) {
                html.push_str(&format!(" integrity=\"{}\"", file.integrity.as_str()));
            }
            html.push_str(if base.is_other_origin() { " crossorigin=\"anonymous\">" } else { ">" });
        };
        entry.css.iter().for_each(|file| add("<link rel=\"stylesheet\"", file));
        entry.imports.iter().for_each(|file| add("<link rel=\"modulepreload\"", file));
        html
    }
}

/// As it stands in a page; no end tag may appear in it.
fn text_of(map: &Map<String, Value>) -> String {
    json!(map).to_string().replace('<', "\\u003c")
}

/// Edits an application's page.
struct Application {
    rewriter: Rewriter<Arc<Manifest>, Arc<Environment>>,
    /// That of the page, by which it may call its own files.
    host: String,
    binder: Arc<Binder>,
    notes: Notes,
    /// Whether the page has the import map, or needs none.
    has_map: bool,
    /// Files that are loaded already.
    given: BTreeSet<String>,
}

impl Application {
    /// The origin that an absolute URL of the page's own begins with, and the path that follows.
    fn own<'u>(&self, url: &'u str) -> (&'u str, &'u str) {
        let own = || {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
            let path = rest.strip_prefix(self.host.as_str()).filter(|path| path.starts_with('/'))?;
            url.split_at_checked(url.len() - path.len())
        };
        own().filter(|_| !self.host.is_empty()).unwrap_or(("", url))
    }
}

impl Editor for Application {
    fn before(&mut self, place: Place, url: &str) -> Option<String> {
        let file = match place {
            Place::Script { module: true } | Place::Stylesheet | Place::Preload => {
                self.rewriter.file(self.own(url).1)?
            }
            _ => return None,
        };
        self.given.insert(file.to_owned());
        let entry = self.binder.manifest.entries.get(self.binder.modules.get(file)?)?;
        let mut html = String::new();
        if !std::mem::replace(&mut self.has_map, true) {
            html = format!("<script type=\"importmap\">{}</script>", self.binder.map_text);
        }
        html.push_str(&self.binder.needs(entry, &mut self.given));
        (!html.is_empty()).then_some(html)
    }

    fn base(&mut self, href: &str) {
        self.rewriter.base(href);
    }

    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        let is_noted = place == Place::Other && url.starts_with('/') && self.rewriter.is_at_home();
        if let Some(new) = self.notes.get(url).filter(|_| is_noted) {
            return Some(new.to_owned().into());
        }
        let (origin, path) = self.own(url);
        let mut link = self.rewriter.url(place, path)?;
        // What was absolute may have to be: feeds and images are fetched from elsewhere.
        if link.url.starts_with('/') && !link.url.starts_with("//") {
            link.url.insert_str(0, origin);
        }
        if is_noted {
            self.notes.note(url, &link.url);
        }
        Some(link)
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        self.rewriter.meta(name)
    }

    fn reads_script(&self, kind: &str) -> bool {
        kind == "importmap"
    }

    /// A page's own map takes in the one that it needs.
    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        if kind != "importmap" || std::mem::replace(&mut self.has_map, true) {
            return None;
        }
        let mut own = serde_json::from_str::<Map<String, Value>>(text).ok()?;
        for (section, entries) in &self.binder.import_map {
            let object = own.entry(section).or_insert_with(|| json!({}));
            object.as_object_mut()?.extend(entries.as_object()?.clone());
        }
        Some(text_of(&own))
    }
}

/// Edits each line of a field.
fn edit(headers: &mut HeaderMap, name: http::HeaderName, mut edit: impl FnMut(&str) -> Option<String>) {
    let http::header::Entry::Occupied(mut lines) = headers.entry(name) else { return };
    for line in lines.iter_mut() {
        let edited = line.to_str().ok().and_then(&mut edit);
        if let Some(edited) = edited.and_then(|edited| HeaderValue::try_from(edited).ok()) {
            *line = edited;
        }
    }
}

/// The targets of a `Link` (RFC 8288 section 3): what stands between `<` and `>`, outside of quotes.
fn link(value: &str, editor: &mut impl Editor) -> Option<String> {
    let (mut out, mut rest, mut is_quoted, mut is_edited) = (String::with_capacity(value.len()), value, false, false);
    while let Some(at) = rest.find(['"', '<']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if before.ends_with('"') {
            is_quoted = !is_quoted;
        } else if let Some((url, _)) = rest.split_once('>').filter(|_| !is_quoted) {
            let new = editor.url(Place::Other, url).map(|link| link.url);
            is_edited |= new.is_some();
            out.push_str(new.as_deref().unwrap_or(url));
            rest = rest.get(url.len()..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    is_edited.then_some(out)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::manifest::{File, Kind, Mode};

    struct Moves;

    impl Editor for Moves {
        fn url(&mut self, _: Place, url: &str) -> Option<Link> {
            url.starts_with("/static/").then(|| format!("https://c{url}").into())
        }
    }

    fn binder(base: &str) -> Arc<Binder> {
        let mut manifest = Manifest::new(Mode::Production, "assets");
        for (name, file) in [
            ("app.js", "assets/app-1.js"),
            ("main.css", "assets/main-1.css"),
            ("", "assets/c-1.js"),
            ("", "assets/s-1.css"),
        ] {
            manifest.files.insert(file.into(), File::new(Kind::Asset, file, b"x"));
            if let Ok(name) = LogicalPath::new(name) {
                manifest.entries.insert(name, Entry { module: file.ends_with("app-1.js"), ..Entry::new(file.into()) });
            }
        }
        let entry = manifest.entries.get_mut(&LogicalPath::new("app.js").unwrap()).unwrap();
        (entry.imports, entry.css) =
            (vec!["assets/c-1.js".into()], vec!["assets/main-1.css".into(), "assets/s-1.css".into()]);
        manifest.chunks.insert("assets/c~1.js".into(), "assets/c-1.js".into());
        let mut environment = Environment::new("production");
        environment.asset_base = base.parse().unwrap();
        manifest.files.get_mut("assets/s-1.css").unwrap().source = Some("admin/static/s.css".into());
        let folders = BTreeMap::from([("/admin/files/".to_owned(), "admin/static/".to_owned())]);
        let statics = Statics::new(&manifest, &folders);
        Arc::new(Binder::new(Arc::new(manifest), environment, Arc::new(statics)))
    }

    fn bound(base: &str, html: &str) -> String {
        let mut stream = binder(base).stream(Some("www.a:80"), "/a/b", Some("utf-8")).unwrap();
        let pieces = html.as_bytes().chunks(7).map(Bytes::copy_from_slice);
        let mut out: Vec<u8> = pieces.flat_map(|piece| stream.write(piece)).collect();
        out.extend(stream.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_module_is_given_what_it_needs() {
        let x = Digest::of(b"x").integrity();
        let x = x.as_str();
        let (app, main) =
            ("<script type=module src=/static/app.js></script>", "<link rel=stylesheet href=/static/main.css>");
        let map =
            format!(r#"{{"imports":{{"/assets/c~1.js":"/assets/c-1.js"}},"integrity":{{"/assets/c-1.js":"{x}"}}}}"#);
        let module = r#"<script type=module src="/assets/app-1.js"></script>"#;
        let sheet = r#"<link rel=stylesheet href="/assets/main-1.css">"#;
        let rest = format!(
            "<link rel=\"stylesheet\" href=\"/assets/s-1.css\" integrity=\"{x}\"><link rel=\"modulepreload\" href=\"/assets/c-1.js\" integrity=\"{x}\">"
        );
        assert_eq!(
            bound("/", &format!("{main}{app}{app}")),
            format!("{sheet}<script type=\"importmap\">{map}</script>{rest}{module}{module}")
        );
        let own = bound("/", &format!("<script type=importmap>{{\"imports\":{{\"x\":\"/y\"}}}}</script>{main}{app}"));
        assert!(own.starts_with("<script type=importmap>{\"imports\":{\"x\":\"/y\",\"/assets/c~1.js\":"), "{own}");
        assert_eq!(own.matches("importmap").count(), 1);
        assert!(bound("https://c/", app).contains("href=\"https://c/assets/c-1.js\" integrity=\""));
        assert_eq!(bound("/", main), sheet, "what has no module needs no map");
    }

    #[test]
    fn a_page_may_call_its_own_by_its_host() {
        for (base, url, want) in [
            ("/", "http://www.a:80/static/main.css?v", "http://www.a:80/assets/main-1.css?v"),
            ("https://c/", "https://www.a:80/static/main.css", "https://c/assets/main-1.css"),
            ("/", "http://www.a/static/main.css", "http://www.a/static/main.css"),
            ("/", "http://www.a:80.evil/static/main.css", "http://www.a:80.evil/static/main.css"),
        ] {
            let html = |url: &str| format!("<meta property=og:image content=\"{url}\">");
            assert_eq!(bound(base, &html(url)), html(want));
        }
    }

    #[test]
    fn an_application_has_static_files_elsewhere() {
        for (url, want) in [
            ("/admin/files/s.css", "/assets/s-1.css"),
            ("../admin/files/s.css?v=1", "/assets/s-1.css?v=1"),
            ("/admin/static/s.css", "/admin/static/s.css"),
            ("/admin/files/other.css", "/admin/files/other.css"),
        ] {
            let html = |url: &str| format!("<img src=\"{url}\">");
            assert_eq!(bound("/", &html(url)), html(want));
        }
    }

    #[test]
    fn a_policy_lets_in_what_was_added() {
        let hash = binder("/").needs.hashes[0].clone();
        for (base, policy, want) in [
            ("/", "script-src 'self'", format!("script-src 'self' {hash}")),
            ("/", "default-src 'self'; script-src 'unsafe-inline'", String::new()),
            ("/", "script-src 'unsafe-inline' 'nonce-1'", format!("script-src 'unsafe-inline' 'nonce-1' {hash}")),
            ("/", "default-src 'none'", String::new()),
            ("/", "img-src 'self'", String::new()),
        ] {
            let mut headers = HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, policy.parse().unwrap())]);
            binder(base).fields("/", &mut headers);
            let want = if want.is_empty() { policy } else { &want };
            assert_eq!(headers[CONTENT_SECURITY_POLICY], want);
        }
        let hash = binder("https://c/").needs.hashes[0].clone();
        let mut headers =
            HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"))]);
        binder("https://c/").fields("/", &mut headers);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], format!("default-src 'self' https://c/ {hash}"));
    }

    #[test]
    fn the_targets_of_links_are_edited() {
        for (value, want) in [
            (
                "</static/a.css>; rel=preload; title=\"</static/a.css>, \", </b>; rel=next,</static/c.js>;rel=preload",
                Some(
                    "<https://c/static/a.css>; rel=preload; title=\"</static/a.css>, \", </b>; rel=next,<https://c/static/c.js>;rel=preload",
                ),
            ),
            ("</b>; rel=next", None),
            ("</static/a.css", None),
            ("", None),
        ] {
            assert_eq!(link(value, &mut Moves).as_deref(), want, "{value}");
        }
    }
}

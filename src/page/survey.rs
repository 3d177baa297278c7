//! What a page loads and runs, by itself and from elsewhere: all that its headers follow from.

use std::collections::{BTreeMap, BTreeSet};

use crate::asset::is_external;
use crate::environment::AssetBase;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::html::{self, Tag, Visitor};

/// A directive of a policy that says where something may come from, <https://www.w3.org/TR/CSP3/#directives-fetch>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Directive {
    Base,
    Connect,
    Default,
    Font,
    Form,
    Frame,
    Image,
    Manifest,
    Media,
    Object,
    Script,
    Style,
    Worker,
}

/// What a survey of a page found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Other origins that the page names, as source expressions.
    pub sources: BTreeMap<Directive, BTreeSet<String>>,
    /// Hashes of scripts, import maps and speculation rules in the page: `sha256-…`.
    pub scripts: BTreeSet<String>,
    /// Hashes of event handlers in attributes, and of `javascript:` URLs.
    pub handlers: BTreeSet<String>,
    /// Hashes of `<style>`s.
    pub styles: BTreeSet<String>,
    /// Hashes of `style` attributes.
    pub style_attributes: BTreeSet<String>,
    /// The frames that are given a feature by `allow`, as origins.
    pub delegated: BTreeMap<String, BTreeSet<String>>,
    /// In the order of the page.
    pub loads: Vec<Load>,
    pub has_import_map: bool,
    /// It says by a `<meta>` what may be loaded.
    pub has_own_policy: bool,
    /// It shows something by a plug-in's element.
    pub has_objects: bool,
    /// It runs scripts from files.
    pub has_scripts: bool,
    /// Each of those is checked by its integrity.
    pub has_integrity: bool,
    /// Where relative URLs lead to, if that is another origin.
    base: Option<String>,
    /// What the environment's assets on another origin begin with. They are let in without being named.
    own: Option<String>,
}

/// Something that the page is going to need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub url: String,
    pub kind: LoadKind,
    /// The attributes that a preload has to share with what it is for.
    pub crossorigin: Option<String>,
    pub integrity: Option<String>,
    pub media: Option<String>,
    /// The media type, of what the page preloads.
    pub media_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadKind {
    Stylesheet,
    Module,
    /// A module that another one imports.
    Import,
    /// What the page preloads, by its `as`.
    Preload(String),
}

/// Looks through a page as it is sent. `name` is how the user knows it, `assets` where its environment's assets are.
pub fn survey(name: &str, page: &str, assets: &AssetBase) -> Result<Survey> {
    let own = Some(assets.as_str().to_owned()).filter(|_| assets.is_other_origin());
    let mut survey = Survey { has_integrity: true, own, ..Survey::default() };
    html::visit(name, page, &mut survey)?;
    Ok(survey)
}

impl Visitor for Survey {
    fn element(&mut self, tag: &Tag) {
        for (name, value) in &tag.attributes {
            if name.strip_prefix("on").is_some_and(|event| event.chars().all(|c| c.is_ascii_alphabetic())) {
                self.handlers.insert(hash(value));
            }
            if starts_with(value, "javascript:") && is_navigation(&tag.name, name) {
                self.handlers.insert(hash(value.trim()));
            }
        }
        if let Some(style) = tag.get("style") {
            self.style_attributes.insert(hash(style));
            self.css(style);
        }
        match tag.name.as_str() {
            "script" => self.script(tag),
            "link" => self.link(tag),
            "base" => self.base(tag),
            "meta" => self.has_own_policy |= tag.has_word("http-equiv", "content-security-policy"),
            "img" | "image" | "feimage" | "use" => {
                self.attributes(tag, Directive::Image, &["src", "href", "xlink:href"]);
                self.srcset(tag, "srcset");
            }
            "source" => {
                self.attributes(tag, Directive::Media, &["src"]);
                self.srcset(tag, "srcset");
            }
            "input" => {
                self.attributes(tag, Directive::Image, &["src"]);
                self.attributes(tag, Directive::Form, &["formaction"]);
            }
            "video" | "audio" | "track" => {
                self.attributes(tag, Directive::Media, &["src"]);
                self.attributes(tag, Directive::Image, &["poster"]);
            }
            "iframe" | "frame" => self.frame(tag),
            "object" | "embed" => {
                self.has_objects = true;
                // What they show may be a document: https://www.w3.org/TR/CSP3/#directive-object-src
                for directive in [Directive::Object, Directive::Frame] {
                    self.attributes(tag, directive, &["data", "src"]);
                }
            }
            "form" => self.attributes(tag, Directive::Form, &["action"]),
            "button" => self.attributes(tag, Directive::Form, &["formaction"]),
            "a" | "area" => {
                for url in tag.get("ping").into_iter().flat_map(str::split_ascii_whitespace) {
                    self.source(Directive::Connect, url, origin);
                }
            }
            "body" | "table" | "td" | "th" => self.attributes(tag, Directive::Image, &["background"]),
            _ => {}
        }
    }

    fn text(&mut self, tag: &Tag, text: &str) {
        if tag.name == "style" {
            self.styles.insert(hash(text));
            self.css(text);
            return;
        }
        let kind = script_kind(tag);
        if kind == ScriptKind::Data || tag.has("src") {
            return;
        }
        self.scripts.insert(hash(text));
        match kind {
            ScriptKind::ImportMap => self.import_map(text),
            // What it imports by a URL of its own is in no map that could vouch for it.
            _ => self.has_integrity &= !text.contains("import"),
        }
    }
}

impl Survey {
    fn script(&mut self, tag: &Tag) {
        let kind = script_kind(tag);
        self.has_import_map |= kind == ScriptKind::ImportMap;
        // Scripts in drawings have `href`.
        let url = ["src", "href", "xlink:href"].into_iter().find_map(|name| tag.get(name));
        let (Some(url), ScriptKind::Classic | ScriptKind::Module) = (url, kind) else { return };
        let url = url.trim();
        self.has_scripts = true;
        // Without CORS there is no integrity to check: https://w3c.github.io/webappsec-subresource-integrity/#integrity-policy-section
        let is_cors = kind == ScriptKind::Module || tag.has("crossorigin");
        self.has_integrity &= is_cors && tag.get("integrity").is_some_and(|value| !value.trim().is_empty());
        match kind {
            // A module names others of its origin by relative URLs.
            ScriptKind::Module => self.source(Directive::Script, url, origin),
            _ => self.source(Directive::Script, url, exactly),
        }
        if kind == ScriptKind::Module && !tag.has("nomodule") {
            self.load(tag, url, LoadKind::Module);
        }
    }

    fn link(&mut self, tag: &Tag) {
        let Some(url) = tag.get("href").map(str::trim).filter(|url| !url.is_empty()) else { return };
        let is = |word| tag.has_word("rel", word);
        let kind = tag.get("as").unwrap_or_default().to_ascii_lowercase();
        if is("stylesheet") {
            self.source(Directive::Style, url, exactly);
            let applies = !is("alternate") && !tag.has("disabled");
            if applies && !tag.get("media").is_some_and(|media| media.trim().eq_ignore_ascii_case("print")) {
                self.load(tag, url, LoadKind::Stylesheet);
            }
        } else if is("modulepreload") {
            self.source(Directive::Script, url, origin);
            self.load(tag, url, LoadKind::Import);
        } else if is("preload") {
            let directive = match kind.as_str() {
                "script" => Directive::Script,
                "style" => Directive::Style,
                "image" => Directive::Image,
                "font" => Directive::Font,
                "fetch" => Directive::Connect,
                _ => Directive::Default,
            };
            self.source(directive, url, exactly);
            if !kind.is_empty() && !tag.has("imagesrcset") {
                self.load(tag, url, LoadKind::Preload(kind));
            }
            self.srcset(tag, "imagesrcset");
        } else if is("manifest") {
            self.source(Directive::Manifest, url, exactly);
        } else if tag.get("rel").is_some_and(|rel| rel.to_ascii_lowercase().contains("icon")) {
            self.source(Directive::Image, url, origin);
        } else if is("prefetch") {
            self.source(Directive::Default, url, exactly);
        }
    }

    fn load(&mut self, tag: &Tag, url: &str, kind: LoadKind) {
        let owned = |name: &str| tag.get(name).map(str::to_owned);
        let media_type = owned("type").filter(|_| matches!(kind, LoadKind::Preload(_)));
        self.loads.push(Load {
            url: url.to_owned(),
            kind,
            crossorigin: owned("crossorigin"),
            integrity: owned("integrity").filter(|value| !value.is_empty()),
            media: owned("media").filter(|value| !value.trim().is_empty()),
            media_type,
        });
    }

    /// The first counts: <https://html.spec.whatwg.org/#the-base-element>.
    fn base(&mut self, tag: &Tag) {
        let href = tag.get("href").map(str::trim).filter(|_| self.base.is_none());
        if let Some(source) = href.and_then(origin) {
            self.sources.entry(Directive::Base).or_default().insert(source.clone());
            self.base = Some(source);
        }
    }

    fn frame(&mut self, tag: &Tag) {
        let Some(url) = tag.get("src").map(str::trim) else { return };
        self.source(Directive::Frame, url, origin);
        let Some(origin) = origin(url) else { return };
        for feature in tag.get("allow").unwrap_or_default().split(';') {
            if let Some(name) = feature.split_ascii_whitespace().next() {
                self.delegated.entry(name.to_ascii_lowercase()).or_default().insert(origin.clone());
            }
        }
    }

    /// Both what a map leads to and what it leads from may be on another origin.
    fn import_map(&mut self, text: &str) {
        let Ok(map) = serde_json::from_str::<serde_json::Value>(text) else { return };
        let scopes = map.get("scopes").and_then(|scopes| scopes.as_object()).into_iter().flat_map(|all| all.values());
        let urls = map.get("imports").into_iter().chain(scopes).filter_map(|urls| urls.as_object());
        for url in urls.flat_map(|urls| urls.values()).filter_map(|url| url.as_str()) {
            self.source(Directive::Script, url, origin);
            // What the map does not vouch for would be refused.
            let is_checked = map.get("integrity").and_then(|all| all.get(url)).is_some();
            self.has_integrity &= is_checked || url.ends_with('/');
        }
    }

    /// A style's URLs may be those of sheets, images or fonts.
    fn css(&mut self, css: &str) {
        html::edit_css(css, |url| {
            for directive in [Directive::Style, Directive::Image, Directive::Font] {
                self.source(directive, url, exactly);
            }
            None
        });
    }

    fn srcset(&mut self, tag: &Tag, name: &str) {
        for url in tag.get(name).into_iter().flat_map(html::srcset_urls) {
            self.source(Directive::Image, url, origin);
        }
    }

    fn attributes(&mut self, tag: &Tag, directive: Directive, names: &[&str]) {
        for name in names {
            if let Some(url) = tag.get(name) {
                self.source(directive, url.trim(), origin);
            }
        }
    }

    fn source(&mut self, directive: Directive, url: &str, expression: fn(&str) -> Option<String>) {
        let source = match is_external(url) {
            true if self.own.as_deref().is_some_and(|own| url.starts_with(own)) => None,
            true => expression(url),
            false => self.base.clone(),
        };
        if let Some(source) = source {
            self.sources.entry(directive).or_default().insert(source);
        }
    }
}

/// What a `<script>` is, by its type (<https://html.spec.whatwg.org/#attr-script-type>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScriptKind {
    Classic,
    Module,
    ImportMap,
    /// Rules for what to load before it is asked for, which count as a script to a policy.
    Rules,
    /// Nothing that a browser runs.
    Data,
}

fn script_kind(tag: &Tag) -> ScriptKind {
    let kind = tag.get("type").unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "module" => ScriptKind::Module,
        "importmap" => ScriptKind::ImportMap,
        "speculationrules" => ScriptKind::Rules,
        "" => ScriptKind::Classic,
        // https://mimesniff.spec.whatwg.org/#javascript-mime-type
        kind if kind.ends_with("javascript") || kind.contains("/javascript1.") => ScriptKind::Classic,
        kind if kind.ends_with("/ecmascript") || kind.ends_with("x-ecmascript") => ScriptKind::Classic,
        "text/jscript" | "text/livescript" => ScriptKind::Classic,
        _ => ScriptKind::Data,
    }
}

/// Whether following an attribute runs the script in its URL.
fn is_navigation(tag: &str, name: &str) -> bool {
    matches!(
        (tag, name),
        ("a" | "area", "href" | "xlink:href") | ("iframe" | "frame", "src") | ("form", "action") | (_, "formaction")
    )
}

fn hash(text: &str) -> String {
    Digest::of(text.as_bytes()).integrity().as_str().to_owned()
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.trim_start().get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// The origin of an absolute URL as a source expression; without its scheme if the URL has none.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = split_scheme(url)?;
    let host = rest.get(..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()))?;
    let host = host.rsplit('@').next().filter(|host| is_host(host))?;
    Some(format!("{scheme}{}", host.to_ascii_lowercase()))
}

/// An absolute URL as a source expression that allows nothing else.
///
/// <https://www.w3.org/TR/CSP3/#match-paths>: the path is compared, and a query may not stand in the expression.
fn exactly(url: &str) -> Option<String> {
    let source = origin(url)?;
    let rest = split_scheme(url)?.1;
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let path = path.get(..path.find(['?', '#']).unwrap_or(path.len()))?;
    match path.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Some(format!("{source}{}", path.replace(';', "%3B").replace(',', "%2C"))),
        false => Some(source),
    }
}

/// `https://` (or nothing, where the URL begins with `//`) and what follows it.
fn split_scheme(url: &str) -> Option<(&'static str, &str)> {
    ["https://", "http://", "//"].into_iter().find_map(|start| {
        let rest = url.get(start.len()..)?;
        starts_with(url, start).then_some((if start == "//" { "" } else { start }, rest))
    })
}

/// A host that can stand in a policy, with or without a port.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Survey {
        survey("page", html, &AssetBase::default()).unwrap()
    }

    #[track_caller]
    fn assert_sources(html: &str, want: &[(Directive, &str)]) {
        let survey = found(html);
        let all =
            survey.sources.iter().flat_map(|(directive, sources)| sources.iter().map(|s| (*directive, s.as_str())));
        assert_eq!(all.collect::<Vec<_>>(), want, "{html}");
    }

    #[test]
    fn what_runs_in_the_page_is_hashed_as_it_stands() {
        let survey = found(
            "<script>alert(1)</script><script type=module>\nimport './a.js'\n</script><script type=importmap>{}</script>\
             <script type=speculationrules>{}</script><script type=application/ld+json>{\"a\":1}</script><script src=/a.js>x</script>\
             <p onclick='f(&quot;x&quot;)' once=1 on-x=2><a href=\"javascript:void(0)\">",
        );
        let hashes = |texts: &[&str]| texts.iter().map(|text| hash(text)).collect::<BTreeSet<_>>();
        assert_eq!(survey.scripts, hashes(&["alert(1)", "\nimport './a.js'\n", "{}"]));
        assert_eq!(survey.handlers, hashes(&["f(\"x\")", "1", "javascript:void(0)"]));
        assert!(survey.has_import_map && survey.has_scripts && !survey.has_integrity);
    }

    #[test]
    fn what_styles_the_page_is_hashed_too() {
        let survey = found("<style>a{}</style><p style='color:&#114;ed'>");
        assert_eq!(survey.styles, BTreeSet::from([hash("a{}")]));
        assert_eq!(survey.style_attributes, BTreeSet::from([hash("color:red")]));
    }

    #[test]
    fn other_origins_by_what_comes_from_them() {
        use Directive::*;
        for (html, want) in [
            ("<script src=https://c.example/a.js?x></script>", &[(Script, "https://c.example/a.js")][..]),
            ("<script type=module src=https://esm.example/a></script>", &[(Script, "https://esm.example")]),
            ("<script type=importmap>{\"imports\":{\"a\":\"//esm.example/a\"}}</script>", &[(Script, "esm.example")]),
            ("<link rel=stylesheet href='https://f.example/css2?family=A'>", &[(Style, "https://f.example/css2")]),
            (
                "<img src=//i.example/a.png srcset='https://J.example/b 2x, /c 3x'>",
                &[(Image, "https://j.example"), (Image, "i.example")],
            ),
            ("<iframe src=https://v.example/embed/1></iframe>", &[(Frame, "https://v.example")]),
            (
                "<form action=https://p.example/x><button formaction=https://q.example>",
                &[(Form, "https://p.example"), (Form, "https://q.example")],
            ),
            (
                "<object data=https://o.example/a.pdf></object>",
                &[(Frame, "https://o.example"), (Object, "https://o.example")],
            ),
            (
                "<style>@import 'https://s.example/a;b.css';</style>",
                &[
                    (Font, "https://s.example/a%3Bb.css"),
                    (Image, "https://s.example/a%3Bb.css"),
                    (Style, "https://s.example/a%3Bb.css"),
                ],
            ),
            ("<noscript><img src=http://t.example:8080/p></noscript>", &[(Image, "http://t.example:8080")]),
            (
                "<base href=https://b.example/x/><img src=a.png>",
                &[(Base, "https://b.example"), (Image, "https://b.example")],
            ),
            (
                "<a href=https://a.example>x</a><img src=data:,><script type=text/template src=https://n.example></script>",
                &[],
            ),
            ("<img src='https://evil.example;script-src *'><img src='https://a b/'>", &[]),
        ] {
            assert_sources(html, want);
        }
    }

    #[test]
    fn assets_of_the_environment_are_not_named() {
        let assets = "https://cdn.example.com/site/".parse().unwrap();
        let html = "<script type=module src=https://cdn.example.com/site/a.js></script><script type=module src=https://cdn.example.com/b.js></script>";
        let sources = survey("page", html, &assets).unwrap().sources;
        assert_eq!(
            sources,
            BTreeMap::from([(Directive::Script, BTreeSet::from(["https://cdn.example.com".to_owned()]))])
        );
    }

    #[test]
    fn what_the_page_will_need() {
        let survey = found(
            "<link rel=stylesheet href=/a.css integrity=sha256-x crossorigin=anonymous><link rel=stylesheet href=/p.css media=print>\
             <link rel='alternate stylesheet' href=/b.css><script type=module src=/a.js></script><script src=/c.js></script>\
             <link rel=modulepreload href=/b.js><link rel=preload as=font href=/f.woff2 type=font/woff2 crossorigin>\
             <link rel=preload as=image imagesrcset='/i 2x' href=/i>",
        );
        let loads: Vec<_> = survey.loads.iter().map(|load| (load.url.as_str(), load.kind.clone())).collect();
        assert_eq!(
            loads,
            [
                ("/a.css", LoadKind::Stylesheet),
                ("/a.js", LoadKind::Module),
                ("/b.js", LoadKind::Import),
                ("/f.woff2", LoadKind::Preload("font".into())),
            ]
        );
        assert_eq!(survey.loads[0].integrity.as_deref(), Some("sha256-x"));
        assert_eq!(survey.loads[3].crossorigin.as_deref(), Some(""));
    }

    #[test]
    fn integrity_is_of_all_scripts_or_it_is_none() {
        for (html, want) in [
            ("<script src=/a.js integrity=sha256-x crossorigin></script>", true),
            ("<script src=/a.js integrity=sha256-x></script>", false),
            ("<script type=module src=/a.js integrity=sha256-x></script>", true),
            ("<script type=module src=/a.js></script>", false),
            ("<script type=importmap>{\"imports\":{\"a\":\"/a.js\"}}</script>", false),
            (
                "<script type=importmap>{\"imports\":{\"a\":\"/a.js\"},\"integrity\":{\"/a.js\":\"sha256-x\"}}</script>",
                true,
            ),
        ] {
            assert_eq!(found(html).has_integrity, want, "{html}");
        }
    }

    #[test]
    fn frames_are_given_features() {
        let survey = found(
            "<iframe src=https://v.example/1 allow='camera; Microphone *'></iframe><iframe src=/own allow=camera></iframe>",
        );
        let want = BTreeSet::from(["https://v.example".to_owned()]);
        assert_eq!(
            survey.delegated,
            BTreeMap::from(["camera", "microphone"].map(|name| (name.to_owned(), want.clone())))
        );
    }
}

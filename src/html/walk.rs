//! What is done at each place of a page that may name something. Whoever reads the page shows it here, and what becomes of it is the
//! editor's to say.

use std::borrow::Cow;

use memchr::memchr;

use super::places::urls_of;
use super::{Editor, Link, Place, css_urls, dimensions, fallback, references, rewrite_strings, scanner, srcset};

/// An element's start, whoever has read it. Values are as they stand in the page, which lives for `'p`: with their references.
pub trait Element<'p> {
    /// In lower case.
    fn name(&self) -> &str;
    /// The attributes that are URLs.
    fn urls(&self) -> &'static [&'static str] {
        urls_of(self.name())
    }
    fn get(&self, name: &str) -> Option<Cow<'p, str>>;
    fn has(&self, name: &str) -> bool;
    /// The value's references stay what they are; quotes in it are no matter.
    fn set(&mut self, name: &'static str, value: String);
    fn remove(&mut self, name: &str);
    /// Inserts HTML before what is there already.
    fn before(&mut self, html: &str);
    /// Inserts HTML behind a script's end tag.
    fn after(&mut self, html: &str);
}

pub struct Walk<'e> {
    pub editor: Box<dyn Editor + 'e>,
    /// Within a `<picture>`: whether all its sources so far have their size.
    picture: Option<bool>,
    /// Whether an element so far has a copy that takes its place.
    has_copies: bool,
    /// The `type` of the script whose text is being read.
    kind: Option<String>,
}

impl<'e> Walk<'e> {
    pub fn new(editor: Box<dyn Editor + 'e>) -> Self {
        Walk { editor, picture: None, has_copies: false, kind: None }
    }
}

impl Walk<'_> {
    pub fn element<'p>(&mut self, element: &mut impl Element<'p>) {
        match element.name() {
            "base" => {
                if let Some(href) = element.get("href") {
                    self.editor.base(&references::decode(href.trim()));
                }
            }
            "script" => self.script(element),
            "link" => {
                self.link(element);
                self.candidates(element, "imagesrcset");
            }
            "meta" => self.meta(element),
            name => {
                let place = if name == "use" { Place::Use } else { Place::Other };
                let has_candidates = matches!(name, "img" | "source");
                let urls = element.urls();
                if self.editor.knows_sizes() {
                    self.dimensions(element);
                }
                for name in urls {
                    self.attribute(element, name, place);
                }
                if has_candidates {
                    self.candidates(element, "srcset");
                }
            }
        }
    }

    fn candidates<'p>(&mut self, element: &mut impl Element<'p>, name: &'static str) {
        let Some(value) = element.get(name) else { return };
        if let Some(new) = srcset::rewrite(&value, |url| self.plain(Place::Other, url)) {
            element.set(name, new);
        }
    }

    /// The `style` that any element may have.
    pub fn style<'p>(&mut self, element: &mut impl Element<'p>) {
        let Some(value) = element.get("style") else { return };
        if let Some(css) = css_urls::rewrite(&references::decode(&value), |url| self.plain(Place::Other, url)) {
            element.set("style", escaped(css));
        }
    }

    /// Writes the size of an image, before its URL is another one. Sources of a picture may differ in shape, so its image has one
    /// only if each of them has its own.
    fn dimensions<'p>(&mut self, element: &mut impl Element<'p>) {
        let attribute = |name: &str| element.get(name);
        let is_source = element.name() == "source";
        let size = match element.name() {
            "picture" => {
                self.picture = Some(true);
                return;
            }
            "source" if self.picture.is_some() => dimensions::of(attribute, &mut |url| self.editor.size(url)),
            "img" if self.picture.take() != Some(false) => dimensions::of(attribute, &mut |url| self.editor.size(url)),
            _ => return,
        };
        if is_source {
            self.picture = Some(self.picture == Some(true) && (size.is_some() || element.has("width")));
        }
        if let Some((width, height)) = size {
            element.set("width", width.to_string());
            element.set("height", height.to_string());
        }
    }

    fn script<'p>(&mut self, element: &mut impl Element<'p>) {
        let kind = element.get("type").unwrap_or_default().trim().to_ascii_lowercase();
        let module = kind == "module";
        self.attribute(element, "src", Place::Script { module });
        self.kind = Some(kind);
    }

    fn link<'p>(&mut self, element: &mut impl Element<'p>) {
        let rel = element.get("rel").unwrap_or_default();
        let is = |word: &str| rel.split_ascii_whitespace().any(|part| part.eq_ignore_ascii_case(word));
        let is_loaded = || {
            let kind = element.get("as").unwrap_or_default();
            ["script", "style"].iter().any(|own| kind.eq_ignore_ascii_case(own))
        };
        let place = if is("stylesheet") {
            Place::Stylesheet
        } else if is("modulepreload") || (is("preload") && is_loaded()) {
            Place::Preload
        } else {
            Place::Other
        };
        self.attribute(element, "href", place);
    }

    fn meta<'p>(&mut self, element: &mut impl Element<'p>) {
        let name = element.get("property").or_else(|| element.get("name")).unwrap_or_default();
        let own = self.editor.meta(&name).filter(|content| element.get("content").as_deref() != Some(content.as_str()));
        if let Some(content) = own {
            element.set("content", content);
        }
        const IMAGES: [&str; 6] = [
            "og:image",
            "og:image:url",
            "og:image:secure_url",
            "twitter:image",
            "twitter:image:src",
            "msapplication-tileimage",
        ];
        if IMAGES.iter().any(|image| name.eq_ignore_ascii_case(image)) {
            self.attribute(element, "content", Place::Shared);
        }
    }

    fn attribute<'p>(&mut self, element: &mut impl Element<'p>, name: &'static str, place: Place) {
        let Some(value) = element.get(name) else { return };
        let url = references::decode(trimmed(&value));
        if let Some(html) = self.editor.before(place, &url) {
            element.before(&html);
        }
        let Some(link) = self.editor.url(place, &url) else { return };
        element.set(name, escaped(link.url));
        if place.takes_integrity() && (link.other_origin || element.has("integrity")) {
            match link.integrity {
                Some(integrity) => element.set("integrity", integrity),
                // What was true of another file's bytes would keep this one from loading.
                None => element.remove("integrity"),
            }
            if link.other_origin && !element.has("crossorigin") {
                element.set("crossorigin", "anonymous".to_owned());
            }
        }
        if let Some(copy) = &link.fallback {
            let is_first = !std::mem::replace(&mut self.has_copies, true);
            fallback::attach(element, copy, is_first);
        }
    }

    fn plain(&mut self, place: Place, url: &str) -> Option<String> {
        self.editor.url(place, url).map(|link| link.url)
    }

    /// Whether the text of the script that has just begun may become another one.
    pub fn reads_script(&self) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        is_json(kind) || self.editor.reads_script(kind)
    }

    pub fn script_text(&mut self, text: &str) -> Option<String> {
        let kind = self.kind.take().unwrap_or_default();
        let edited =
            is_json(&kind).then(|| rewrite_strings(text, |_, string| self.plain(Place::Json, string))).flatten();
        let replaced = self.editor.script(&kind, edited.as_deref().unwrap_or(text));
        replaced.or(edited)
    }

    /// Where scripts run, what stands in `<noscript>` is text: to parsers of a browser's kind, and so to those of pages here.
    pub fn noscript_text(&mut self, text: &str) -> Option<String> {
        scanner::edit_part(text, &mut Inner(&mut *self.editor)).filter(|new| new != text)
    }

    pub fn style_text(&mut self, text: &str) -> Option<String> {
        css_urls::rewrite(text, |url| self.plain(Place::Other, url))
    }
}

/// The editor of a part of a page, which has no head.
struct Inner<'e>(&'e mut dyn Editor);

impl Editor for Inner<'_> {
    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        self.0.url(place, url)
    }

    fn base(&mut self, href: &str) {
        self.0.base(href);
    }

    fn knows_sizes(&self) -> bool {
        self.0.knows_sizes()
    }

    fn size(&mut self, url: &str) -> Option<(u32, u32)> {
        self.0.size(url)
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        self.0.meta(name)
    }

    fn reads_script(&self, kind: &str) -> bool {
        self.0.reads_script(kind)
    }

    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        self.0.script(kind, text)
    }
}

fn is_json(kind: &str) -> bool {
    kind.ends_with("json") || matches!(kind, "importmap" | "speculationrules")
}

fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// As an attribute's value.
fn escaped(text: String) -> String {
    if memchr(b'&', text.as_bytes()).is_some() { text.replace('&', "&amp;") } else { text }
}

//! What is done at each place of a page that may name something: the parser calls it, and it asks the editor.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use lol_html::html_content::{ContentType, DocumentEnd, TextChunk};
use lol_html::send::{DocumentContentHandlers, Element, ElementContentHandlers};
use lol_html::{HandlerResult, Selector, end};

use super::{Editor, Link, Place, css_urls, dimensions, edit, fallback, references, rewrite_strings, srcset};

/// A walk, shared by what the parser calls.
#[derive(Clone)]
pub struct Shared<'e>(Arc<Mutex<Walk<'e>>>);

impl<'e> Shared<'e> {
    pub fn new(editor: Box<dyn Editor + 'e>) -> Self {
        Shared(Arc::new(Mutex::new(Walk::new(editor))))
    }

    /// What was taken out of the page and is not put back yet.
    pub fn held(&self) -> Option<String> {
        self.lock().held()
    }

    fn lock(&self) -> MutexGuard<'_, Walk<'e>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn end_handler(&self) -> DocumentContentHandlers<'e> {
        let walk = self.clone();
        end!(move |end| {
            walk.lock().end(end);
            Ok(())
        })
    }

    /// `elements` are those that are looked at, beside what any element may have.
    pub fn element_handlers(
        &self,
        elements: &'static Known,
    ) -> Vec<(Cow<'static, Selector>, ElementContentHandlers<'e>)> {
        let element = |selector: &'static Known, edit: fn(&mut Walk<'e>, &mut Element<'_, '_>) -> HandlerResult| {
            let walk = self.clone();
            let edit = move |element: &mut Element<'_, '_>| edit(&mut walk.lock(), element);
            Some((Cow::Borrowed(selector.as_ref()?), ElementContentHandlers::default().element(edit)))
        };
        let raw = |selector: &'static Known, edit: fn(&mut Walk<'e>, &str) -> Option<String>| {
            let walk = self.clone();
            let edit = move |chunk: &mut TextChunk<'_>| {
                walk.lock().raw_text(chunk, edit);
                Ok(())
            };
            Some((Cow::Borrowed(selector.as_ref()?), ElementContentHandlers::default().text(edit)))
        };
        let handlers = [
            element(elements, Walk::element),
            element(&STYLED, Walk::style),
            raw(&SCRIPT, Walk::script_text),
            raw(&STYLE, Walk::style_text),
            // Where scripts run, its content is text: to parsers of a browser's kind, and so to this one.
            raw(&NOSCRIPT, Walk::noscript_text),
        ];
        handlers.into_iter().flatten().collect()
    }
}

/// A selector that is parsed once. That each of them can be is tested.
pub type Known = LazyLock<Option<Selector>>;

/// All of them.
pub static ANY: Known = LazyLock::new(|| "*".parse().ok());
static STYLED: Known = LazyLock::new(|| "[style]".parse().ok());
static SCRIPT: Known = LazyLock::new(|| "script".parse().ok());
static STYLE: Known = LazyLock::new(|| "style".parse().ok());
static NOSCRIPT: Known = LazyLock::new(|| "noscript".parse().ok());

/// The elements that have a URL somewhere, in HTML and SVG (<https://html.spec.whatwg.org/#attributes-3>).
pub static WITH_URLS: Known = LazyLock::new(|| {
    "a, area, audio, base, embed, feImage, form, frame, iframe, image, img, input, link, meta, object, script, source, track, use, video"
        .parse()
        .ok()
});

/// What is still to be inserted at the end of the head.
type Pending = Arc<Mutex<Option<String>>>;

fn take(pending: &Pending) -> Option<String> {
    pending.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct Walk<'e> {
    editor: Box<dyn Editor + 'e>,
    head_done: bool,
    /// Once it was asked for.
    head_end: Option<Pending>,
    /// Within a `<picture>`: whether all its sources so far have their size.
    picture: Option<bool>,
    /// Whether an element so far has a copy that takes its place.
    has_copies: bool,
    /// The `type` of the script whose text is being read.
    kind: Option<String>,
    text: RawText,
}

/// The text of a `<script>`, `<style>` or `<noscript>`, which comes in pieces and is edited as one.
#[derive(Debug)]
enum RawText {
    /// What has come so far, and was taken out of the page.
    Held(String),
    /// It is too long, or not in the encoding that it should be in, and stays as it is.
    GivenUp,
}

/// Bytes of such a text that are held at most.
const LONGEST_TEXT: usize = 4 << 20;

impl<'e> Walk<'e> {
    fn new(editor: Box<dyn Editor + 'e>) -> Self {
        let text = RawText::Held(String::new());
        Walk { editor, head_done: false, head_end: None, picture: None, has_copies: false, kind: None, text }
    }
}

impl Walk<'_> {
    fn element(&mut self, element: &mut Element<'_, '_>) -> HandlerResult {
        let tag = element.tag_name();
        self.head(element, &tag);
        self.head_end(element, &tag);
        match tag.as_str() {
            "base" => {
                if let Some(href) = element.get_attribute("href") {
                    self.editor.base(&references::decode(href.trim()));
                }
            }
            "script" => self.script(element)?,
            "link" => self.link(element)?,
            "meta" => self.meta(element)?,
            tag => {
                self.dimensions(element, tag)?;
                let place = if tag == "use" { Place::Use } else { Place::Other };
                for name in urls_of(tag) {
                    self.attribute(element, name, place)?;
                }
            }
        }
        if matches!(tag.as_str(), "img" | "source") {
            self.candidates(element, "srcset")?;
        }
        if tag == "link" {
            self.candidates(element, "imagesrcset")?;
        }
        Ok(())
    }

    fn candidates(&mut self, element: &mut Element<'_, '_>, name: &str) -> HandlerResult {
        let Some(value) = element.get_attribute(name) else { return Ok(()) };
        set(element, name, srcset::rewrite(&value, |url| self.plain(Place::Other, url)))
    }

    fn style(&mut self, element: &mut Element<'_, '_>) -> HandlerResult {
        let Some(value) = element.get_attribute("style") else { return Ok(()) };
        let new = css_urls::rewrite(&references::decode(&value), |url| self.plain(Place::Other, url));
        set(element, "style", new.map(|css| css.replace('&', "&amp;")))
    }

    /// Writes the size of an image, before its URL is another one. Sources of a picture may differ in shape, so its image has one
    /// only if each of them has its own.
    fn dimensions(&mut self, element: &mut Element<'_, '_>, tag: &str) -> HandlerResult {
        let attribute = |name: &str| element.get_attribute(name);
        let size = match tag {
            "picture" => {
                self.picture = Some(true);
                return Ok(());
            }
            "source" if self.picture.is_some() => dimensions::of(attribute, &mut |url| self.editor.size(url)),
            "img" if self.picture.take() != Some(false) => dimensions::of(attribute, &mut |url| self.editor.size(url)),
            _ => return Ok(()),
        };
        if tag == "source" {
            self.picture = Some(self.picture == Some(true) && (size.is_some() || element.has_attribute("width")));
        }
        if let Some((width, height)) = size {
            element.set_attribute("width", &width.to_string())?;
            element.set_attribute("height", &height.to_string())?;
        }
        Ok(())
    }

    /// The import map has to stand before anything that may load a module.
    fn head(&mut self, element: &mut Element<'_, '_>, tag: &str) {
        if self.head_done || matches!(tag, "html" | "head") {
            return;
        }
        self.head_done = true;
        if let Some(html) = self.editor.head() {
            match tag == "meta" && element.has_attribute("charset") {
                true => element.after(&html, ContentType::Html),
                false => element.before(&html, ContentType::Html),
            }
        }
    }

    /// At the head's end tag, or, where that is left out, before the first element that can't be in the head.
    fn head_end(&mut self, element: &mut Element<'_, '_>, tag: &str) {
        let editor = &mut self.editor;
        let pending = self.head_end.get_or_insert_with(|| Arc::new(Mutex::new(editor.head_end())));
        match tag {
            "html" | "title" | "meta" | "link" | "style" | "script" | "base" | "noscript" | "template" => {}
            "head" => {
                let pending = Arc::clone(pending);
                if let Some(handlers) = element.end_tag_handlers() {
                    handlers.push(Box::new(move |end| {
                        if let Some(html) = take(&pending) {
                            end.before(&html, ContentType::Html);
                        }
                        Ok(())
                    }));
                }
            }
            _ => {
                if let Some(html) = take(pending) {
                    element.before(&html, ContentType::Html);
                }
            }
        }
    }

    /// A document that is nothing but a head.
    fn end(&mut self, end: &mut DocumentEnd<'_>) {
        if let Some(html) = self.head_end.take().and_then(|pending| take(&pending)) {
            end.append(&html, ContentType::Html);
        }
    }

    fn script(&mut self, element: &mut Element<'_, '_>) -> HandlerResult {
        let kind = element.get_attribute("type").unwrap_or_default().trim().to_ascii_lowercase();
        let module = kind == "module";
        self.attribute(element, "src", Place::Script { module })?;
        self.kind = Some(kind);
        Ok(())
    }

    fn link(&mut self, element: &mut Element<'_, '_>) -> HandlerResult {
        let rel = element.get_attribute("rel").unwrap_or_default().to_ascii_lowercase();
        let is = |word: &str| rel.split_ascii_whitespace().any(|part| part == word);
        let kind = element.get_attribute("as").unwrap_or_default().to_ascii_lowercase();
        let place = if is("stylesheet") {
            Place::Stylesheet
        } else if is("modulepreload") || (is("preload") && matches!(kind.as_str(), "script" | "style")) {
            Place::Preload
        } else {
            Place::Other
        };
        self.attribute(element, "href", place)
    }

    fn meta(&mut self, element: &mut Element<'_, '_>) -> HandlerResult {
        let name = element.get_attribute("property").or_else(|| element.get_attribute("name")).unwrap_or_default();
        let own = self.editor.meta(&name).filter(|content| element.get_attribute("content").as_ref() != Some(content));
        if let Some(content) = own {
            element.set_attribute("content", &content)?;
        }
        const IMAGES: [&str; 6] = [
            "og:image",
            "og:image:url",
            "og:image:secure_url",
            "twitter:image",
            "twitter:image:src",
            "msapplication-tileimage",
        ];
        if IMAGES.contains(&name.to_ascii_lowercase().as_str()) {
            self.attribute(element, "content", Place::Shared)?;
        }
        Ok(())
    }

    fn attribute(&mut self, element: &mut Element<'_, '_>, name: &str, place: Place) -> HandlerResult {
        let Some(value) = element.get_attribute(name) else { return Ok(()) };
        let url = references::decode(value.trim());
        if let Some(html) = self.editor.before(place, url.as_str()) {
            element.before(&html, ContentType::Html);
        }
        let Some(link) = self.editor.url(place, url.as_str()) else { return Ok(()) };
        element.set_attribute(name, &link.url.replace('&', "&amp;"))?;
        let takes_integrity = matches!(place, Place::Script { .. } | Place::Stylesheet | Place::Preload);
        if takes_integrity && (link.other_origin || element.has_attribute("integrity")) {
            match link.integrity {
                Some(integrity) => element.set_attribute("integrity", &integrity)?,
                // What was true of another file's bytes would keep this one from loading.
                None => element.remove_attribute("integrity"),
            }
            if link.other_origin && !element.has_attribute("crossorigin") {
                element.set_attribute("crossorigin", "anonymous")?;
            }
        }
        if let Some(copy) = &link.fallback {
            let is_first = !std::mem::replace(&mut self.has_copies, true);
            fallback::attach(element, copy, is_first)?;
        }
        Ok(())
    }

    fn plain(&mut self, place: Place, url: &str) -> Option<String> {
        self.editor.url(place, url).map(|link| link.url)
    }

    fn raw_text(&mut self, chunk: &mut TextChunk<'_>, edit: fn(&mut Self, &str) -> Option<String>) {
        let is_last = chunk.last_in_text_node();
        let RawText::Held(held) = &mut self.text else {
            if is_last {
                self.text = RawText::Held(String::new());
            }
            return;
        };
        // Written again, what could not be read would not be what it was.
        if held.len() + chunk.as_str().len() > LONGEST_TEXT || chunk.as_str().contains(char::REPLACEMENT_CHARACTER) {
            let held = std::mem::take(held);
            if !held.is_empty() {
                chunk.before(&held, ContentType::Html);
            }
            self.text = if is_last { RawText::Held(String::new()) } else { RawText::GivenUp };
            return;
        }
        if !is_last {
            held.push_str(chunk.as_str());
            chunk.remove();
            return;
        }
        let is_whole = held.is_empty();
        let mut text = std::mem::take(held);
        text.push_str(chunk.as_str());
        match edit(self, &text) {
            Some(new) => chunk.replace(&new, ContentType::Html),
            None if is_whole => {}
            None => chunk.replace(&text, ContentType::Html),
        }
    }

    fn held(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.text, RawText::GivenUp) {
            RawText::Held(held) => Some(held),
            RawText::GivenUp => None,
        }
    }

    fn script_text(&mut self, text: &str) -> Option<String> {
        let kind = self.kind.take().unwrap_or_default();
        let json = kind.ends_with("json") || matches!(kind.as_str(), "importmap" | "speculationrules");
        let edited = json.then(|| rewrite_strings(text, |_, string| self.plain(Place::Json, string))).flatten();
        let replaced = self.editor.script(&kind, edited.as_deref().unwrap_or(text));
        replaced.or(edited)
    }

    fn noscript_text(&mut self, text: &str) -> Option<String> {
        let mut inner = Inner(&mut *self.editor);
        edit("noscript", text, &mut inner).ok().filter(|new| new != text)
    }

    fn style_text(&mut self, text: &str) -> Option<String> {
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

    fn size(&mut self, url: &str) -> Option<(u32, u32)> {
        self.0.size(url)
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        self.0.meta(name)
    }

    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        self.0.script(kind, text)
    }
}

/// The attributes of an element that are URLs.
fn urls_of(tag: &str) -> &'static [&'static str] {
    match tag {
        "a" | "area" => &["href", "xlink:href"],
        "img" | "iframe" | "frame" | "embed" | "source" | "track" | "audio" | "input" => &["src"],
        "image" | "feimage" | "use" => &["href", "xlink:href"],
        "video" => &["src", "poster"],
        "form" => &["action"],
        "object" => &["data"],
        "div" | "p" | "span" | "li" | "ul" | "td" | "tr" | "h1" | "h2" | "h3" | "section" => &[],
        // Of one's own, perhaps.
        _ => &["href", "xlink:href", "src", "poster", "action"],
    }
}

fn set(element: &mut Element<'_, '_>, name: &str, value: Option<String>) -> HandlerResult {
    if let Some(value) = value {
        element.set_attribute(name, &value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selectors_are_some() {
        assert!([&ANY, &STYLED, &SCRIPT, &STYLE, &NOSCRIPT, &WITH_URLS].iter().all(|selector| selector.is_some()));
    }
}

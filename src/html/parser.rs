//! A page read by a parser that knows all of HTML's syntax: pages of a build, and those of an application that the
//! [scanner](super::scanner) leaves to it.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use lol_html::errors::RewritingError;
use lol_html::html_content::{BailOut, ContentType, DocumentEnd, EndTag, TextChunk};
use lol_html::send::{
    self, DocumentContentHandlers, ElementContentHandlers, HtmlRewriter, RewriteStrSettings, Settings,
};
use lol_html::{AsciiCompatibleEncoding, HandlerResult, MemorySettings, Selector, end, rewrite_str};

use super::Editor;
use super::head::Head;
use super::places::ELEMENTS;
use super::stream::MEMORY;
use super::walk::{Element, Walk};

/// The whole page, with every URL as the editor wants it.
pub fn edit(html: &str, editor: &mut dyn Editor) -> Result<String, RewritingError> {
    let shared = Shared::new(Walk::new(Box::new(editor)), Some(Head::default()));
    let mut settings = RewriteStrSettings::new_send().with_strict(false);
    for handlers in shared.element_handlers(&ANY) {
        settings = settings.append_element_content_handler(handlers);
    }
    rewrite_str(html, settings.append_document_content_handler(shared.end_handler()))
}

/// A page that is edited while it comes. Nothing is inserted in its head.
pub struct Parser {
    /// None once parsing has failed.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    out: Arc<Mutex<Vec<u8>>>,
}

type Sink = Box<dyn FnMut(&[u8]) + Send>;

impl Parser {
    /// `adjusts` is whether a `<meta>` may say what the page's encoding is. None if it is one in which a tag is not what it is in ASCII.
    pub fn new(encoding: &'static encoding_rs::Encoding, adjusts: bool, walk: Walk<'static>) -> Option<Self> {
        let encoding = AsciiCompatibleEncoding::new(encoding)?;
        let shared = Shared::new(walk, None);
        let memory = MemorySettings::new()
            .with_max_allowed_memory_usage(MEMORY)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let mut settings = Settings::new_for_handler_types()
            .with_encoding(encoding)
            .with_adjust_charset_on_meta_tag(adjusts)
            .with_memory_settings(memory)
            .with_graceful_bail_out_on_content_handler_error(true)
            .with_strict(false);
        for handlers in shared.element_handlers(&WITH_URLS) {
            settings = settings.append_element_content_handler(handlers);
        }
        let settings =
            settings.append_bail_out_handler(Box::new(move |_: &RewritingError, bail_out: &mut BailOut<'_>| {
                if let Some(held) = shared.lock().held() {
                    bail_out.append(&held, ContentType::Html);
                }
            }));
        let out = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&out);
        let sink: Sink = Box::new(move |bytes| into.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes));
        Some(Parser { rewriter: Some(HtmlRewriter::new(settings, sink)), out })
    }

    /// Reads what is no part of the page, for what follows to be understood as if it came after that.
    pub fn prepare(&mut self, html: &str) {
        self.write(html.as_bytes());
    }

    /// What can be passed on once these bytes have come.
    pub fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.rewriter {
            Some(rewriter) => {
                if rewriter.write(bytes).is_err() {
                    self.rewriter = None;
                }
            }
            None => return bytes.to_vec(),
        }
        self.take()
    }

    /// What is left when nothing more comes.
    pub fn end(&mut self) -> Vec<u8> {
        // What a failure leaves out was passed on before.
        let _ = self.rewriter.take().map(HtmlRewriter::end);
        self.take()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A walk, shared by what the parser calls.
#[derive(Clone)]
struct Shared<'e>(Arc<Mutex<State<'e>>>);

struct State<'e> {
    walk: Walk<'e>,
    /// None where nothing is inserted.
    head: Option<Head>,
    text: RawText,
    /// What becomes of the text of the last element that has such text: in a drawing, one may be in another.
    edit: fn(&mut Walk<'e>, &str) -> Option<String>,
}

impl<'e> Shared<'e> {
    fn new(walk: Walk<'e>, head: Option<Head>) -> Self {
        Shared(Arc::new(Mutex::new(State { walk, head, text: RawText::Held(String::new()), edit: Walk::style_text })))
    }

    fn lock(&self) -> MutexGuard<'_, State<'e>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_handler(&self) -> DocumentContentHandlers<'e> {
        let shared = self.clone();
        end!(move |end: &mut DocumentEnd<'_>| {
            if let Some(html) = shared.lock().head.as_mut().and_then(Head::rest) {
                end.append(&html, ContentType::Html);
            }
            Ok(())
        })
    }

    /// `elements` are those that are looked at, beside what any element may have.
    fn element_handlers(&self, elements: &'static Known) -> Vec<(Cow<'static, Selector>, ElementContentHandlers<'e>)> {
        let element = |selector: &'static Known, edit: fn(&mut State<'e>, &mut send::Element<'_, '_>)| {
            let shared = self.clone();
            let edit = move |element: &mut send::Element<'_, '_>| -> HandlerResult {
                edit(&mut shared.lock(), element);
                Ok(())
            };
            Some((Cow::Borrowed(selector.as_ref()?), ElementContentHandlers::default().element(edit)))
        };
        let raw = || {
            let shared = self.clone();
            let edit = move |chunk: &mut TextChunk<'_>| {
                shared.lock().raw_text(chunk);
                Ok(())
            };
            Some((Cow::Borrowed(RAW.as_ref()?), ElementContentHandlers::default().text(edit)))
        };
        let handlers =
            [element(elements, State::element), element(&STYLED, State::style), element(&RAW, State::raw), raw()];
        handlers.into_iter().flatten().collect()
    }
}

/// A selector that is parsed once. That each of them can be is tested.
type Known = LazyLock<Option<Selector>>;

/// All of them.
static ANY: Known = LazyLock::new(|| "*".parse().ok());
static STYLED: Known = LazyLock::new(|| "[style]".parse().ok());
static RAW: Known = LazyLock::new(|| "script, style, noscript".parse().ok());
static WITH_URLS: Known = LazyLock::new(|| ELEMENTS.map(|(name, _)| name).join(", ").parse().ok());

/// The text of a `<script>`, `<style>` or `<noscript>`, which comes in pieces and is edited as one.
#[derive(Debug)]
enum RawText {
    /// What has come so far, and was taken out of the page.
    Held(String),
    /// It is too long, or not in the encoding that it should be in, and stays as it is.
    GivenUp,
}

/// Bytes of such a text that are held at most.
pub const LONGEST_TEXT: usize = 4 << 20;

impl<'e> State<'e> {
    fn element(&mut self, element: &mut send::Element<'_, '_>) {
        if let Some(head) = &mut self.head {
            head.element(element, &mut *self.walk.editor);
        }
        let name = element.tag_name();
        self.walk.element(&mut Parsed { name, element });
    }

    fn style(&mut self, element: &mut send::Element<'_, '_>) {
        self.walk.style(&mut Parsed { name: String::new(), element });
    }

    fn raw(&mut self, element: &mut send::Element<'_, '_>) {
        self.edit = match element.tag_name().as_str() {
            "script" => Walk::script_text,
            "noscript" => Walk::noscript_text,
            _ => Walk::style_text,
        };
    }

    fn raw_text(&mut self, chunk: &mut TextChunk<'_>) {
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
        match (self.edit)(&mut self.walk, &text) {
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
}

/// An element that this parser has read.
struct Parsed<'s, 'r, 't> {
    name: String,
    element: &'s mut send::Element<'r, 't>,
}

impl<'p> Element<'p> for Parsed<'_, '_, '_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        self.element.get_attribute(name).map(Cow::Owned)
    }

    fn has(&self, name: &str) -> bool {
        self.element.has_attribute(name)
    }

    fn set(&mut self, name: &'static str, value: String) {
        // No name that is set here is one that can't be.
        let _ = self.element.set_attribute(name, &value);
    }

    fn remove(&mut self, name: &str) {
        self.element.remove_attribute(name);
    }

    fn before(&mut self, html: &str) {
        self.element.before(html, ContentType::Html);
    }

    fn after(&mut self, html: &str) {
        let (name, html) = (self.name.clone(), html.to_owned());
        // In a drawing, the end of something around it may be where a script ends, too. What runs there runs too early.
        let put = move |end: &mut EndTag<'_>| {
            if end.name() == name {
                end.after(&html, ContentType::Html);
            }
            Ok(())
        };
        // A script can have content, so this does not fail.
        let _ = self.element.on_end_tag(Box::new(put));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selectors_are_some() {
        assert!([&ANY, &STYLED, &RAW, &WITH_URLS].iter().all(|selector| selector.is_some()));
    }
}

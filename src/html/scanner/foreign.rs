//! Which elements are SVG's or MathML's: there, no text is raw, and there are CDATA sections.
//!
//! Without the whole tree this can't be known for certain. It is told as the [parser](crate::html) tells it, in every case.

use super::outline::Outline;
use crate::html::places::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Html,
    Svg,
    Math,
}

/// The spaces that the elements around are in, from within the document's own.
#[derive(Debug, Default)]
pub struct Spaces(Vec<Space>);

macro_rules! is_one_of {
    ($key:expr, $($name:literal)+) => { $($key == const { Key::of($name) })||+ };
}

impl Spaces {
    fn current(&self) -> Space {
        self.0.last().copied().unwrap_or(Space::Html)
    }

    /// Whether there is none but the document's own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn are_foreign(&self) -> bool {
        self.current() != Space::Html
    }

    /// Start tags that lead where these do.
    pub fn tags(&self) -> String {
        let outer = [Space::Html].into_iter().chain(self.0.iter().copied());
        let tag = |(outer, space)| match (outer, space) {
            (_, Space::Svg) => "<svg>",
            (_, Space::Math) => "<math>",
            (Space::Math, Space::Html) => "<mi>",
            (_, Space::Html) => "<desc>",
        };
        outer.zip(self.0.iter().copied()).map(tag).collect()
    }

    pub fn open(&mut self, key: Key, outline: &Outline, tag: &[u8]) {
        if is_one_of!(key, b"svg") {
            self.0.push(Space::Svg);
        } else if is_one_of!(key, b"math") {
            self.0.push(Space::Math);
        } else if self.are_foreign() {
            self.open_foreign(key, outline, tag);
        }
    }

    fn open_foreign(&mut self, key: Key, outline: &Outline, tag: &[u8]) {
        let space = self.current();
        let has = |name: &[u8]| outline.value(tag, name).is_some();
        let is_font = || is_one_of!(key, b"font") && (has(b"color") || has(b"size") || has(b"face"));
        if is_html(key) || is_font() {
            self.0.pop();
        } else if !outline.is_closed() && (is_way_back(space, key) || is_annotation(space, key, outline, tag)) {
            self.0.push(Space::Html);
        }
    }

    pub fn close(&mut self, key: Key) {
        let Some((space, outer)) = self.0.split_last() else { return };
        let leaves = match space {
            Space::Html => {
                let outer = outer.last().copied().unwrap_or(Space::Html);
                is_way_back(outer, key) || (outer == Space::Math && is_one_of!(key, b"annotation-xml"))
            }
            Space::Svg => is_one_of!(key, b"svg" b"p" b"br"),
            Space::Math => is_one_of!(key, b"math" b"p" b"br"),
        };
        if leaves {
            self.0.pop();
        }
    }
}

/// Whether an element of that space has HTML within
/// (<https://html.spec.whatwg.org/#html-integration-point>).
fn is_way_back(space: Space, key: Key) -> bool {
    match space {
        Space::Html => false,
        Space::Svg => is_one_of!(key, b"desc" b"title" b"foreignobject"),
        Space::Math => is_one_of!(key, b"mi" b"mo" b"mn" b"ms" b"mtext"),
    }
}

fn is_annotation(space: Space, key: Key, outline: &Outline, tag: &[u8]) -> bool {
    let is_html =
        |value: &[u8]| [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|own| value.eq_ignore_ascii_case(own));
    space == Space::Math && is_one_of!(key, b"annotation-xml") && outline.values(tag, b"encoding").any(is_html)
}

/// Whether an element is HTML's wherever it stands (<https://html.spec.whatwg.org/#parsing-main-inforeign>).
fn is_html(key: Key) -> bool {
    is_one_of!(key, b"b" b"big" b"blockquote" b"body" b"br" b"center" b"code" b"dd" b"div" b"dl" b"dt" b"em" b"embed" b"h1"
        b"h2" b"h3" b"h4" b"h5" b"h6" b"head" b"hr" b"i" b"img" b"li" b"listing" b"menu" b"meta" b"nobr" b"ol" b"p" b"pre"
        b"ruby" b"s" b"small" b"span" b"strong" b"strike" b"sub" b"sup" b"table" b"tt" b"u" b"ul" b"var")
}

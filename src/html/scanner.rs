//! A page that is edited while it comes, by a reader that looks at nothing but what may hold a URL: the rest is passed on as it is.
//!
//! It tells tags from text as browsers do (<https://html.spec.whatwg.org/#tokenization>), and takes for text, and for foreign, what
//! the [parser](super::parser) takes for it: what comes out of both is the same, byte for byte, which is tested. The few things that
//! it does not know how to read it leaves to the parser, from there on.

mod charset;
mod foreign;
mod markup;
mod outline;
mod part;
#[cfg(test)]
mod proof;
mod raw;
mod tag;
mod text;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr;

use super::places::urls_of;
use super::walk::Walk;

pub use charset::Charset;
use charset::Meta;
use foreign::Spaces;
use markup::{Declared, Markup};
use outline::Outline;
pub use part::edit_part;
use raw::{Raw, Until};
use tag::{Edits, Tag};

/// Which elements are looked at, beside what any element may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elements {
    All,
    WithUrls,
}

/// Where in the page the next byte stands.
enum Place<'e> {
    /// Among text and tags.
    Data,
    /// In what is no tag, such as a comment.
    Markup(Markup),
    /// In the text of an element that has nothing else, and what may become of it.
    Text(Raw, Option<Edit<'e>>),
}

type Edit<'e> = fn(&mut Walk<'e>, &str) -> Option<String>;

/// How far a piece was read.
#[derive(Debug, Clone, Copy)]
enum Read {
    /// What follows is the beginning of something.
    UpTo(usize),
    /// Here begins a tag that somebody else has to read.
    Declined(usize),
}

pub struct Scanner<'e> {
    walk: Walk<'e>,
    charset: Charset,
    elements: Elements,
    place: Place<'e>,
    spaces: Spaces,
    outline: Outline,
    edits: Edits,
    /// The beginning of something whose end has not come yet.
    held: Vec<u8>,
    /// The text of an element that may be edited, as far as it came in earlier pieces.
    text: Vec<u8>,
    out: Vec<u8>,
    /// Up to where the piece at hand is in `out`, or in `text`.
    copied: usize,
}

impl<'e> Scanner<'e> {
    pub fn new(charset: Charset, walk: Walk<'e>) -> Self {
        Scanner::of(charset, walk, Elements::WithUrls)
    }

    fn of(charset: Charset, walk: Walk<'e>, elements: Elements) -> Self {
        Scanner {
            walk,
            charset,
            elements,
            place: Place::Data,
            spaces: Spaces::default(),
            outline: Outline::default(),
            edits: Edits::default(),
            held: Vec::new(),
            text: Vec::new(),
            out: Vec::new(),
            copied: 0,
        }
    }

    /// What can be passed on once these bytes have come, and what of them somebody else has to read.
    pub fn write(&mut self, piece: Bytes) -> (Bytes, Option<Bytes>) {
        if self.held.is_empty() {
            return match self.read(&piece) {
                Read::UpTo(end) => {
                    self.held.extend_from_slice(piece.get(end..).unwrap_or_default());
                    (self.passed(&piece, end), None)
                }
                Read::Declined(at) => (self.passed(&piece, at), Some(piece.slice(at..))),
            };
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(&piece);
        let read = self.read(&all);
        let (Read::UpTo(end) | Read::Declined(end)) = read;
        self.copy(&all, end);
        all.drain(..end);
        let passed = std::mem::take(&mut self.out).into();
        match read {
            Read::UpTo(_) => {
                self.held = all;
                (passed, None)
            }
            Read::Declined(_) => (passed, Some(all.into())),
        }
    }

    /// What is left when nothing more comes.
    pub fn end(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        self.copied = 0;
        if let Place::Text(_, Some(edit)) = self.place {
            self.edit_text(&held, 0, held.len(), edit);
        }
        self.copy(&held, held.len());
        std::mem::take(&mut self.out).into()
    }

    /// What was held back, as it came.
    pub fn give_up(&mut self) -> Bytes {
        let mut held = std::mem::take(&mut self.text);
        held.append(&mut self.held);
        held.into()
    }

    /// Bytes that are held back.
    pub fn holds(&self) -> usize {
        self.held.len()
    }

    /// What the reader of what is left has to know: the page's charset, and the elements around.
    pub fn into_parts(self) -> (Walk<'e>, Charset, String) {
        (self.walk, self.charset, self.spaces.tags())
    }

    fn passed(&mut self, piece: &Bytes, end: usize) -> Bytes {
        if self.out.is_empty() {
            return piece.slice(self.copied..end);
        }
        self.copy(piece, end);
        std::mem::take(&mut self.out).into()
    }

    /// What comes before `end` stays as it is.
    fn copy(&mut self, bytes: &[u8], end: usize) {
        if self.out.capacity() == 0 {
            // Most of a piece is copied once something of it is not what it was, and URLs become longer.
            self.out.reserve(bytes.len() + bytes.len() / 4);
        }
        self.out.extend_from_slice(bytes.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn read(&mut self, bytes: &[u8]) -> Read {
        self.copied = 0;
        let mut at = 0;
        loop {
            let next = match &mut self.place {
                Place::Data => self.data(bytes, at),
                Place::Markup(markup) => match markup.end(bytes, at) {
                    Some(end) => {
                        self.place = Place::Data;
                        Ok(end)
                    }
                    None => Err(Read::UpTo(bytes.len())),
                },
                Place::Text(raw, edit) => {
                    let edit = *edit;
                    match raw.end(bytes, at) {
                        Until::End(end) => {
                            self.place = Place::Data;
                            if let Some(edit) = edit {
                                self.edit_text(bytes, at, end, edit);
                            }
                            Ok(end)
                        }
                        Until::Cut(end) => {
                            if edit.is_some() {
                                self.hold_text(bytes, at, end);
                            }
                            Err(Read::UpTo(end))
                        }
                    }
                }
            };
            match next {
                Ok(next) => at = next,
                Err(read) => return read,
            }
        }
    }

    /// Reads tags, up to where something else begins.
    fn data(&mut self, bytes: &[u8], mut at: usize) -> Result<usize, Read> {
        loop {
            let start = match self.outline.is_begun() {
                true => 0,
                false => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    // Tags often follow one another.
                    let found = if rest.first() == Some(&b'<') { Some(0) } else { memchr(b'<', rest) };
                    let Some(found) = found else { return Err(Read::UpTo(bytes.len())) };
                    let start = at + found;
                    let is_end = match rest.get(found + 1..).unwrap_or_default() {
                        [] | [b'/'] => return Err(Read::UpTo(start)),
                        [first, ..] if first.is_ascii_alphabetic() => false,
                        [b'/', first, ..] if first.is_ascii_alphabetic() => {
                            if self.passes_ends()
                                && let Some(length) = outline::name_only(bytes.get(start..).unwrap_or_default())
                            {
                                at = start + length;
                                continue;
                            }
                            true
                        }
                        [b'/', b'>', ..] => {
                            at = start + 3;
                            continue;
                        }
                        [b'!', rest @ ..] => {
                            let (markup, length) = match Markup::declared(rest, self.spaces.are_foreign()) {
                                Declared::Unknown => return Err(Read::UpTo(start)),
                                Declared::Begins(markup, length) => (markup, length),
                            };
                            self.place = Place::Markup(markup);
                            return Ok(start + 2 + length);
                        }
                        [b'?' | b'/', ..] => {
                            self.place = Place::Markup(Markup::Bogus);
                            return Ok(start + 2);
                        }
                        _ => {
                            at = start + 1;
                            continue;
                        }
                    };
                    if let Some(length) = self.outline.begin(bytes.get(start..).unwrap_or_default(), is_end)
                        && self.is_passed()
                    {
                        self.outline.reset();
                        at = start + length;
                        continue;
                    }
                    start
                }
            };
            let tag = bytes.get(start..).unwrap_or_default();
            let Some(length) = self.outline.read(tag) else { return Err(Read::UpTo(start)) };
            if !self.tag(bytes, start, start + length) {
                return Err(Read::Declined(start));
            }
            at = start + length;
            if !matches!(self.place, Place::Data) {
                return Ok(at);
            }
        }
    }

    /// Whether nothing becomes of the tag that has just begun, nor of what follows it.
    fn is_passed(&self) -> bool {
        match self.outline.is_end() {
            true => self.passes_ends(),
            false => self.passes_most() && !self.outline.key().matters(),
        }
    }

    /// Whether nothing becomes of an end tag, whatever its name.
    fn passes_ends(&self) -> bool {
        self.passes_most() && self.edits.after.is_empty()
    }

    /// Whether only some elements are looked at, and none around says how to read others.
    fn passes_most(&self) -> bool {
        self.elements == Elements::WithUrls && self.spaces.is_empty()
    }

    /// A tag has come. Whether it was one that can be read here.
    fn tag(&mut self, bytes: &[u8], start: usize, end: usize) -> bool {
        let key = self.outline.key();
        if !self.outline.is_styled() && self.is_passed() {
            return true;
        }
        if self.outline.is_end() {
            self.spaces.close(key);
            if !self.edits.after.is_empty() {
                // It was given to a script, whose end tag is the next of all.
                self.copy(bytes, end);
                let after = std::mem::take(&mut self.edits.after);
                self.out.extend_from_slice(&self.charset.bytes(&after));
            }
            return true;
        }
        let (raw, is_foreign) = (Raw::of(key), self.spaces.are_foreign());
        if let Some(raw) = &raw
            && if is_foreign { raw.is_edited() } else { self.outline.is_cut() }
        {
            // In a drawing, the text of scripts and styles is among other elements; and after `<script src=>` the parser sees tags.
            return false;
        }
        if !self.element(bytes, start, end) {
            return false;
        }
        self.spaces.open(key, &self.outline, bytes.get(start..end).unwrap_or_default());
        if let Some(raw) = raw.filter(|_| !is_foreign) {
            let edit: Option<Edit<'e>> = match raw.name() {
                "script" if self.walk.reads_script() => Some(Walk::script_text),
                "style" => Some(Walk::style_text),
                "noscript" => Some(Walk::noscript_text),
                _ => None,
            };
            self.place = Place::Text(raw, edit);
        }
        true
    }

    /// Looks at an element's start. Whether it is understood.
    fn element(&mut self, bytes: &[u8], start: usize, end: usize) -> bool {
        let tag = bytes.get(start..end).unwrap_or_default();
        let kind = match self.elements {
            Elements::WithUrls => self.outline.key().with_urls().map(|(name, urls)| (Cow::Borrowed(name), urls)),
            Elements::All => {
                let name = String::from_utf8_lossy(self.outline.name(tag)).to_ascii_lowercase();
                let urls = urls_of(&name);
                Some((name.into(), urls))
            }
        };
        let (is_looked_at, is_styled) = (kind.is_some(), self.outline.is_styled());
        if !is_looked_at && !is_styled {
            return true;
        }
        let Charset { encoding, .. } = self.charset;
        let mut element = Tag::new(tag, kind.unwrap_or_default(), &self.outline, encoding, &mut self.edits);
        if is_looked_at {
            match self.charset.meta(&element) {
                Meta::Nothing => {}
                Meta::Is(charset) => self.charset = charset,
                Meta::Unknown => return false,
            }
            self.walk.element(&mut element);
        }
        if is_styled {
            self.walk.style(&mut element);
        }
        if element.is_edited() {
            self.copy(bytes, start);
            self.edits.write(tag, &self.outline, encoding, &mut self.out);
            self.copied = end;
        }
        true
    }
}

//! A tag: where its parts are, and what is changed of it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use memchr::memchr;

use super::charset::text;
use crate::html::places::Key;
use crate::html::walk::Element;

/// As far as a tag has come, where its parts are: <https://html.spec.whatwg.org/#tag-name-state> and what follows. All places are
/// counted from its `<`.
#[derive(Debug, Default)]
pub struct Outline {
    /// None if there is no tag.
    state: Option<State>,
    /// Up to where it was read.
    read: usize,
    name: (usize, usize),
    /// Of the name, once there is one.
    key: Key,
    attributes: Vec<Attribute>,
    is_styled: bool,
    /// It ends with `/>`.
    is_closed: bool,
    /// It ends where a value should stand.
    is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Name,
    BeforeAttribute,
    Attribute,
    AfterAttribute,
    BeforeValue,
    Quoted(u8),
    Unquoted,
    Slash,
}

#[derive(Debug, Clone, Copy)]
struct Attribute {
    start: usize,
    name_end: usize,
    /// Of the value; the same if there is none.
    value: (usize, usize),
    /// After the value's quote.
    end: usize,
}

/// What a byte may mean in a tag.
mod means {
    pub const SPACE: u8 = 1;
    pub const END: u8 = 2;
    pub const SLASH: u8 = 4;
    pub const EQUALS: u8 = 8;
}
use means::{END, EQUALS, SLASH, SPACE};

static MEANINGS: [u8; 256] = {
    let mut meanings = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        meanings[byte] = match byte as u8 {
            b' ' | b'\n' | b'\r' | b'\t' | b'\x0c' => SPACE,
            b'>' => END,
            b'/' => SLASH,
            b'=' => EQUALS,
            _ => 0,
        };
        byte += 1;
    }
    meanings
};

fn is(byte: u8, meanings: u8) -> bool {
    MEANINGS[usize::from(byte)] & meanings != 0
}

pub fn is_space(byte: u8) -> bool {
    is(byte, SPACE)
}

/// Whether a name ends before this byte.
pub fn ends_name(byte: u8) -> bool {
    is(byte, SPACE | END | SLASH)
}

/// The next eight bytes, if there are as many.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

const EACH: u64 = 0x0101_0101_0101_0101;

/// How many bytes of a word come before the first that is zero.
fn before_zero(word: u64) -> Option<usize> {
    let zeros = word.wrapping_sub(EACH) & !word & (0x80 * EACH);
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / 8)
}

/// Where the first byte that means one of these is, or the end.
fn until(bytes: &[u8], from: usize, meanings: u8) -> usize {
    let mut at = from;
    while let Some(word) = word(bytes, at) {
        // All that mean something are below the letters.
        let Some(length) = before_zero(word & (0xc0 * EACH)) else {
            at += 8;
            continue;
        };
        at += length;
        if bytes.get(at).is_some_and(|byte| is(*byte, meanings)) {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| is(*byte, meanings)).unwrap_or(rest.len())
}

/// Where a value ends. Most are short.
fn quote(bytes: &[u8], from: usize) -> Option<usize> {
    for at in [from, from + 8, from + 16] {
        let Some(word) = word(bytes, at) else { break };
        if let Some(length) = before_zero(word ^ (u64::from(b'"') * EACH)) {
            return Some(at + length);
        }
    }
    Some(from + memchr(b'"', bytes.get(from..)?)?)
}

impl Outline {
    /// Begins with a tag; how long it is, if there is nothing in it but a name.
    pub fn begin(&mut self, tag: &[u8], is_end: bool) -> Option<usize> {
        let name = if is_end { 2 } else { 1 };
        let end = until(tag, name, SPACE | END | SLASH);
        self.attributes.clear();
        (self.name, self.read) = ((name, end), end);
        (self.is_styled, self.is_closed, self.is_cut) = (false, false, false);
        let next = tag.get(end);
        if next.is_some() {
            self.key = Key::of(self.name(tag));
        }
        self.state = Some(if next.is_some() { State::BeforeAttribute } else { State::Name });
        (next == Some(&b'>')).then_some(end + 1)
    }

    /// What has begun needs no reading.
    pub fn reset(&mut self) {
        self.state = None;
    }

    pub fn is_begun(&self) -> bool {
        self.state.is_some()
    }

    /// Reads on in a tag; how long it is, once it has come as a whole.
    pub fn read(&mut self, tag: &[u8]) -> Option<usize> {
        let mut at = self.read;
        let mut state = self.state?;
        while let Some(&byte) = tag.get(at) {
            match state {
                State::BeforeAttribute if byte == b' ' => {
                    at = self.plain(tag, at);
                }
                State::Name => {
                    // It goes on where it was cut.
                    at = until(tag, at, SPACE | END | SLASH);
                    self.name.1 = at;
                    if tag.get(at).is_some() {
                        self.key = Key::of(self.name(tag));
                        state = State::BeforeAttribute;
                    }
                }
                State::BeforeAttribute | State::Slash if byte == b'>' => {
                    self.is_closed = matches!(state, State::Slash);
                    return self.finish(at);
                }
                State::BeforeAttribute | State::Slash => {
                    state = State::BeforeAttribute;
                    at += 1;
                    if byte == b'/' {
                        state = State::Slash;
                    } else if !is_space(byte) {
                        self.attributes.push(Attribute { start: at - 1, name_end: at, value: (at, at), end: at });
                        state = State::Attribute;
                    }
                }
                State::Attribute => {
                    at = until(tag, at, SPACE | END | SLASH | EQUALS);
                    if let Some(attribute) = self.attributes.last_mut() {
                        (attribute.name_end, attribute.value, attribute.end) = (at, (at, at), at);
                    }
                    if tag.get(at).is_some() {
                        self.is_styled |= self.attributes.last().is_some_and(|attribute| attribute.is(tag, b"style"));
                        state = State::AfterAttribute;
                    }
                }
                State::AfterAttribute if byte == b'=' => {
                    state = State::BeforeValue;
                    at += 1;
                }
                State::AfterAttribute | State::BeforeValue if is_space(byte) => at += 1,
                State::AfterAttribute => state = State::BeforeAttribute,
                State::BeforeValue if byte == b'>' => {
                    self.is_cut = true;
                    return self.finish(at);
                }
                State::BeforeValue => {
                    state = State::Unquoted;
                    if matches!(byte, b'"' | b'\'') {
                        state = State::Quoted(byte);
                        at += 1;
                    }
                    if let Some(attribute) = self.attributes.last_mut() {
                        attribute.value = (at, at);
                    }
                }
                State::Quoted(quote) => match memchr(quote, tag.get(at..)?) {
                    Some(length) => {
                        at += length + 1;
                        self.value_ends(at - 1, at);
                        state = State::BeforeAttribute;
                    }
                    None => at = tag.len(),
                },
                State::Unquoted => {
                    at = until(tag, at, SPACE | END);
                    if tag.get(at).is_some() {
                        self.value_ends(at, at);
                        state = State::BeforeAttribute;
                    }
                }
            }
        }
        (self.read, self.state) = (at, Some(state));
        None
    }

    /// Reads attributes as nearly all are written, ` a="b"`, where they have come as a whole. Where the next byte is to be read otherwise.
    fn plain(&mut self, tag: &[u8], mut space: usize) -> usize {
        loop {
            let start = space + 1;
            let name_end = until(tag, start, SPACE | END | SLASH | EQUALS);
            let value = name_end + 2;
            let Some([b'=', b'"']) = tag.get(name_end..value) else { return start };
            let Some(value_end) = quote(tag, value) else { return start };
            if name_end == start {
                return start;
            }
            let (value, end) = ((value, value_end), value_end + 1);
            let attribute = Attribute { start, name_end, value, end };
            self.is_styled |= attribute.is(tag, b"style");
            self.attributes.push(attribute);
            if tag.get(end) != Some(&b' ') {
                return end;
            }
            space = end;
        }
    }

    fn finish(&mut self, at: usize) -> Option<usize> {
        self.state = None;
        Some(at + 1)
    }

    fn value_ends(&mut self, at: usize, end: usize) {
        if let Some(attribute) = self.attributes.last_mut() {
            attribute.value.1 = at;
            attribute.end = end;
        }
    }

    pub fn is_end(&self) -> bool {
        self.name.0 == 2
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub fn name<'t>(&self, tag: &'t [u8]) -> &'t [u8] {
        tag.get(self.name.0..self.name.1).unwrap_or_default()
    }

    /// Whether it has a `style`.
    pub fn is_styled(&self) -> bool {
        self.is_styled
    }

    pub fn key(&self) -> Key {
        self.key
    }

    pub fn value<'t>(&self, tag: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
        self.values(tag, name).next()
    }

    /// An attribute may be given more than once, and only the first counts. `name` is in lower case.
    pub fn values<'t>(&self, tag: &'t [u8], name: &[u8]) -> impl Iterator<Item = &'t [u8]> {
        let own = self.attributes.iter().filter(move |attribute| attribute.is(tag, name));
        own.map(|attribute| tag.get(attribute.value.0..attribute.value.1).unwrap_or_default())
    }

    fn position(&self, tag: &[u8], name: &[u8]) -> Option<usize> {
        self.attributes.iter().position(|attribute| attribute.is(tag, name))
    }
}

impl Attribute {
    #[inline]
    fn is(&self, tag: &[u8], name: &[u8]) -> bool {
        self.name_end - self.start == name.len()
            && tag.get(self.start..self.name_end).is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// What is changed of a tag, and inserted before it.
#[derive(Debug, Default)]
pub struct Edits {
    before: String,
    /// Values of attributes that it has, by their place in the outline; none for those that are taken out.
    changed: Vec<(usize, Option<String>)>,
    added: Vec<(&'static str, String)>,
}

/// A start tag of the page that lives for `'p`.
pub struct Tag<'p, 's> {
    bytes: &'p [u8],
    name: Cow<'s, str>,
    outline: &'s Outline,
    encoding: &'static Encoding,
    edits: &'s mut Edits,
}

impl<'p, 's> Tag<'p, 's> {
    pub fn new(
        bytes: &'p [u8],
        name: Cow<'s, str>,
        outline: &'s Outline,
        encoding: &'static Encoding,
        edits: &'s mut Edits,
    ) -> Self {
        Tag { bytes, name, outline, encoding, edits }
    }

    pub fn is_edited(&self) -> bool {
        !(self.edits.before.is_empty() && self.edits.changed.is_empty() && self.edits.added.is_empty())
    }

    /// Writes it as it is by now: what is changed, and between attributes one space, where anything is changed.
    pub fn write(self, out: &mut Vec<u8>) {
        let Tag { bytes, outline, encoding, edits, .. } = self;
        let encoded = |text: &str, out: &mut Vec<u8>| match encoding == UTF_8 || text.is_ascii() {
            true => out.extend_from_slice(text.as_bytes()),
            false => out.extend_from_slice(&encoding.encode(text).0),
        };
        encoded(&edits.before, out);
        edits.before.clear();
        if edits.changed.is_empty() && edits.added.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        let value = |text: &str, out: &mut Vec<u8>| {
            out.extend_from_slice(b"=\"");
            match memchr(b'"', text.as_bytes()) {
                Some(_) => encoded(&text.replace('"', "&quot;"), out),
                None => encoded(text, out),
            }
            out.push(b'"');
        };
        let mut copy = Copy { bytes, from: 0, to: outline.name.1 };
        let mut is_empty = true;
        for (index, attribute) in outline.attributes.iter().enumerate() {
            match edits.changed.iter().find(|(changed, _)| *changed == index) {
                None => copy.attribute(attribute.start, attribute.end, out),
                Some((_, None)) => continue,
                Some((_, Some(text))) => {
                    copy.attribute(attribute.start, attribute.name_end, out);
                    copy.flush(out);
                    value(text, out);
                    (copy.from, copy.to) = (attribute.end, attribute.end);
                }
            }
            is_empty = false;
        }
        copy.flush(out);
        for (name, text) in edits.added.drain(..) {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            value(&text, out);
            is_empty = false;
        }
        edits.changed.clear();
        out.extend_from_slice(match (outline.is_closed, is_empty) {
            (true, false) => b" />",
            (true, true) => b"/>",
            (false, _) => b">",
        });
    }
}

/// What is copied next of a tag.
struct Copy<'p> {
    bytes: &'p [u8],
    from: usize,
    to: usize,
}

impl Copy<'_> {
    /// A space, and these bytes.
    fn attribute(&mut self, start: usize, end: usize, out: &mut Vec<u8>) {
        if !(self.to + 1 == start && self.bytes.get(self.to) == Some(&b' ')) {
            self.flush(out);
            out.push(b' ');
            self.from = start;
        }
        self.to = end;
    }

    fn flush(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes.get(self.from..self.to).unwrap_or_default());
    }
}

impl<'p> Element<'p> for Tag<'p, '_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        if let Some((_, value)) = self.edits.added.iter().find(|(added, _)| *added == name) {
            return Some(value.clone().into());
        }
        let index = self.outline.position(self.bytes, name.as_bytes())?;
        if let Some((_, value)) = self.edits.changed.iter().find(|(changed, _)| *changed == index) {
            return value.clone().map(Cow::Owned);
        }
        let (start, end) = self.outline.attributes.get(index)?.value;
        Some(text(self.encoding, self.bytes.get(start..end)?))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn set(&mut self, name: &'static str, value: String) {
        let edits = &mut *self.edits;
        match self.outline.position(self.bytes, name.as_bytes()) {
            Some(index) => match edits.changed.iter_mut().find(|(changed, _)| *changed == index) {
                Some((_, changed)) => *changed = Some(value),
                None => edits.changed.push((index, Some(value))),
            },
            None => match edits.added.iter_mut().find(|(added, _)| *added == name) {
                Some((_, added)) => *added = value,
                None => edits.added.push((name, value)),
            },
        }
    }

    fn remove(&mut self, name: &str) {
        for (index, attribute) in self.outline.attributes.iter().enumerate() {
            if attribute.is(self.bytes, name.as_bytes()) {
                self.edits.changed.retain(|(changed, _)| *changed != index);
                self.edits.changed.push((index, None));
            }
        }
        self.edits.added.retain(|(added, _)| *added != name);
    }

    fn before(&mut self, html: &str) {
        self.edits.before.push_str(html);
    }
}

//! A tag as it stands in a page: where its parts are.

use memchr::memchr;

use crate::html::places::Key;
use crate::html::words::{below, position, word};

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
    /// One space, a name, `="`, a value, `"`, and so on, up to `>`.
    is_tidy: bool,
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
pub struct Attribute {
    pub start: usize,
    pub name_end: usize,
    /// Of the value; the same if there is none.
    pub value: (usize, usize),
    /// After the value's quote.
    pub end: usize,
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

/// Where the first byte that means one of these is, or the end.
fn until(bytes: &[u8], mut from: usize, meanings: u8) -> usize {
    // All that means something comes before the letters.
    while let Some(word) = word(bytes, from) {
        match below(word, b'A') {
            None => from += 8,
            Some(at) if bytes.get(from + at).is_some_and(|byte| is(*byte, meanings)) => return from + at,
            Some(at) => from += at + 1,
        }
    }
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| is(*byte, meanings)).unwrap_or(rest.len())
}

/// Where a value ends.
fn quote(bytes: &[u8], from: usize) -> Option<usize> {
    // Most are short.
    let near = [from, from + 8, from + 16];
    let found = near.into_iter().find_map(|at| Some(at + position(word(bytes, at)?, b'"')?));
    found.or_else(|| Some(from + memchr(b'"', bytes.get(from..)?)?))
}

/// How long an end tag is that has nothing in it but a name, if it has come as a whole.
pub fn name_only(tag: &[u8]) -> Option<usize> {
    let end = until(tag, 2, SPACE | END | SLASH);
    (tag.get(end) == Some(&b'>')).then_some(end + 1)
}

impl Outline {
    /// Begins with a tag; how long it is, if there is nothing in it but a name.
    pub fn begin(&mut self, tag: &[u8], is_end: bool) -> Option<usize> {
        let start = if is_end { 2 } else { 1 };
        let (key, length) = Key::before(tag.get(start..).unwrap_or_default(), ends_name);
        let end = start + length;
        self.attributes.clear();
        (self.name, self.key, self.read) = ((start, end), key, end);
        (self.is_styled, self.is_tidy, self.is_closed, self.is_cut) = (false, true, false, false);
        let next = tag.get(end);
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
                    continue;
                }
                State::Name => {
                    // It goes on where it was cut.
                    let (key, length) = Key::before(tag.get(self.name.0..)?, ends_name);
                    at = self.name.0 + length;
                    (self.key, self.name.1) = (key, at);
                    if tag.get(at).is_some() {
                        state = State::BeforeAttribute;
                    }
                    continue;
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
            self.is_tidy = false;
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
            let quoted = tag.get(name_end..value).filter(|between| *between == b"=\"" && name_end > start);
            let Some(value_end) = quoted.and_then(|_| quote(tag, value)) else {
                self.is_tidy = false;
                return start;
            };
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

    /// Whether nothing of it, if something of it is changed, is to be written in another way.
    pub fn is_tidy(&self) -> bool {
        self.is_tidy
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

    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Where the tag's name ends.
    pub fn name_end(&self) -> usize {
        self.name.1
    }

    pub fn position(&self, tag: &[u8], name: &[u8]) -> Option<usize> {
        self.attributes.iter().position(|attribute| attribute.is(tag, name))
    }
}

impl Attribute {
    #[inline]
    pub fn is(&self, tag: &[u8], name: &[u8]) -> bool {
        self.name_end - self.start == name.len()
            && tag.get(self.start..self.name_end).is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

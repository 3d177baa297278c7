//! A start tag as it is edited: what is changed of it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use memchr::memchr;

use super::charset::text;
use super::outline::Outline;
use crate::html::walk::Element;

/// What is changed of a tag, and inserted before it.
#[derive(Debug, Default)]
pub struct Edits {
    before: String,
    /// Values of attributes that it has, by their place in the outline; none for those that are taken out.
    changed: Vec<(usize, Option<String>)>,
    added: Vec<(&'static str, String)>,
    /// Inserted behind the element's end.
    pub after: String,
}

impl Edits {
    /// Whether attributes were given other values in the order in which they stand, and none was taken out.
    fn are_in_order(&self) -> bool {
        self.changed.iter().all(|(_, text)| text.is_some()) && self.changed.is_sorted_by_key(|(index, _)| *index)
    }

    /// Writes the tag with what is changed, and one space between attributes where anything is. Then there is nothing to change.
    pub fn write(&mut self, bytes: &[u8], outline: &Outline, encoding: &'static Encoding, out: &mut Vec<u8>) {
        let edits = self;
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
        let mut is_empty = false;
        if outline.is_tidy() && edits.are_in_order() {
            let mut from = 0;
            for (attribute, text) in edits
                .changed
                .iter()
                .filter_map(|(index, text)| Some((outline.attributes().get(*index)?, text.as_ref()?)))
            {
                out.extend_from_slice(bytes.get(from..attribute.name_end).unwrap_or_default());
                value(text, out);
                from = attribute.end;
            }
            out.extend_from_slice(bytes.get(from..bytes.len() - 1).unwrap_or_default());
        } else {
            let mut copy = Copy { bytes, from: 0, to: outline.name_end() };
            is_empty = true;
            for (index, attribute) in outline.attributes().iter().enumerate() {
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
        }
        for (name, text) in edits.added.drain(..) {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            value(&text, out);
            is_empty = false;
        }
        edits.changed.clear();
        out.extend_from_slice(match (outline.is_closed(), is_empty) {
            (true, false) => b" />",
            (true, true) => b"/>",
            (false, _) => b">",
        });
    }
}

/// A start tag of the page that lives for `'p`.
pub struct Tag<'p, 's> {
    bytes: &'p [u8],
    name: Cow<'s, str>,
    urls: &'static [&'static str],
    outline: &'s Outline,
    encoding: &'static Encoding,
    edits: &'s mut Edits,
}

impl<'p, 's> Tag<'p, 's> {
    pub fn new(
        bytes: &'p [u8],
        (name, urls): (Cow<'s, str>, &'static [&'static str]),
        outline: &'s Outline,
        encoding: &'static Encoding,
        edits: &'s mut Edits,
    ) -> Self {
        Tag { bytes, name, urls, outline, encoding, edits }
    }

    pub fn is_edited(&self) -> bool {
        !(self.edits.before.is_empty() && self.edits.changed.is_empty() && self.edits.added.is_empty())
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

    fn urls(&self) -> &'static [&'static str] {
        self.urls
    }

    fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        if let Some((_, value)) = self.edits.added.iter().find(|(added, _)| *added == name) {
            return Some(value.clone().into());
        }
        let index = self.outline.position(self.bytes, name.as_bytes())?;
        if let Some((_, value)) = self.edits.changed.iter().find(|(changed, _)| *changed == index) {
            return value.clone().map(Cow::Owned);
        }
        let (start, end) = self.outline.attributes().get(index)?.value;
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
        for (index, attribute) in self.outline.attributes().iter().enumerate() {
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

    fn after(&mut self, html: &str) {
        self.edits.after.push_str(html);
    }
}

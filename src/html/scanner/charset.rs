//! The encoding of a page, in which tags are what they are in ASCII.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::html::walk::Element;

#[derive(Debug, Clone, Copy)]
pub struct Charset {
    pub encoding: &'static Encoding,
    /// Whether a `<meta>` may say that it is another one.
    pub adjusts: bool,
}

/// What an element says of the page's charset.
#[derive(Debug)]
pub enum Meta {
    Nothing,
    Is(Charset),
    /// Something that is not understood here.
    Unknown,
}

impl Charset {
    pub const UTF_8: Charset = Charset { encoding: UTF_8, adjusts: false };

    /// `label` is what the page's media type says, or else its `<meta>` may. None if it is an encoding in which a tag is not what it
    /// is in ASCII, or none that browsers know (<https://encoding.spec.whatwg.org/#names-and-labels>).
    pub fn of(label: Option<&str>) -> Option<Self> {
        let encoding = match label {
            Some(label) => Encoding::for_label(label.trim().as_bytes())?,
            // What browsers take it for, and the only one in which every byte is something, and so comes out as it was.
            None => WINDOWS_1252,
        };
        encoding.is_ascii_compatible().then_some(Charset { encoding, adjusts: label.is_none() })
    }

    /// Whether each byte that means something in ASCII means that wherever it stands.
    pub fn is_plain(self) -> bool {
        self.encoding == UTF_8 || self.encoding.is_single_byte()
    }

    pub fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        text(self.encoding, bytes)
    }

    pub fn bytes(self, text: &str) -> Cow<'_, [u8]> {
        self.encoding.encode(text).0
    }

    /// What an element says of it: `<meta charset>`, or else `<meta http-equiv=content-type>`.
    pub fn meta<'p>(self, element: &impl Element<'p>) -> Meta {
        if !self.adjusts || element.name() != "meta" {
            return Meta::Nothing;
        }
        let named = |label: &str| {
            Encoding::for_label_no_replacement(label.as_bytes()).filter(|encoding| encoding.is_ascii_compatible())
        };
        if let Some(encoding) = element.get("charset").and_then(|label| named(&label)) {
            return of_meta(encoding);
        }
        if !element.get("http-equiv").is_some_and(|kind| kind.eq_ignore_ascii_case("content-type")) {
            return Meta::Nothing;
        }
        let content = element.get("content").unwrap_or_default();
        match content.split_once(';') {
            None => Meta::Nothing,
            Some(("text/html", parameter)) => {
                let label = parameter.trim_start_matches(' ').strip_prefix("charset=").unwrap_or_default();
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                match label.bytes().all(is_token) && !label.is_empty() {
                    true => named(label).map_or(Meta::Nothing, of_meta),
                    false => Meta::Unknown,
                }
            }
            Some(_) => Meta::Unknown,
        }
    }
}

fn of_meta(encoding: &'static Encoding) -> Meta {
    let charset = Charset { encoding, adjusts: false };
    if charset.is_plain() { Meta::Is(charset) } else { Meta::Unknown }
}

pub fn text<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if encoding == UTF_8 || text.is_ascii() => text.into(),
        _ => encoding.decode_without_bom_handling(bytes).0,
    }
}

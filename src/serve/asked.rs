//! The fields of a request that its answer depends on, found in one pass: to look each of them up takes longer than all else.

use std::slice;

use http::header::{ACCEPT_ENCODING, HOST, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

use super::loops::CDN_LOOP;

/// Each field with its lines.
#[derive(Debug, Default)]
pub struct Asked<'r> {
    pub accept_encoding: Lines<'r>,
    pub cdn_loop: Lines<'r>,
    pub host: Lines<'r>,
    pub if_match: Lines<'r>,
    pub if_none_match: Lines<'r>,
    pub if_range: Lines<'r>,
    pub range: Lines<'r>,
}

/// The lines of a field. There is hardly ever more than one.
#[derive(Debug, Default)]
pub enum Lines<'r> {
    #[default]
    None,
    One(&'r [u8]),
    /// Behind a box, so that the usual ones are small.
    #[expect(clippy::box_collection, reason = "a box is a third of a vector")]
    Several(Box<Vec<&'r [u8]>>),
}

impl<'r> Asked<'r> {
    pub fn of(headers: &'r HeaderMap) -> Self {
        let mut asked = Asked::default();
        for (name, value) in headers {
            if let Some(lines) = asked.field(name) {
                lines.push(value.as_bytes());
            }
        }
        asked
    }

    /// As [`Asked::of`], of a head that was read by itself; none if it asks for something else of the connection than to be kept.
    pub fn of_plain(fields: &[httparse::Header<'r>]) -> Option<Self> {
        let mut asked = Asked::default();
        for field in fields {
            let name = field.name;
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let lines = match name.len() {
                4 if is("host") => &mut asked.host,
                5 if is("range") => &mut asked.range,
                8 if is("if-match") => &mut asked.if_match,
                8 if is("if-range") => &mut asked.if_range,
                8 if is("cdn-loop") => &mut asked.cdn_loop,
                10 if is("connection") => match field.value.eq_ignore_ascii_case(b"keep-alive") {
                    true => continue,
                    false => return None,
                },
                13 if is("if-none-match") => &mut asked.if_none_match,
                15 if is("accept-encoding") => &mut asked.accept_encoding,
                _ => continue,
            };
            lines.push(field.value);
        }
        Some(asked)
    }

    fn field(&mut self, name: &HeaderName) -> Option<&mut Lines<'r>> {
        Some(match name {
            name if *name == HOST => &mut self.host,
            name if *name == ACCEPT_ENCODING => &mut self.accept_encoding,
            name if *name == IF_NONE_MATCH => &mut self.if_none_match,
            name if *name == RANGE => &mut self.range,
            name if *name == IF_RANGE => &mut self.if_range,
            name if *name == IF_MATCH => &mut self.if_match,
            name if *name == CDN_LOOP => &mut self.cdn_loop,
            _ => return None,
        })
    }
}

impl<'r> Lines<'r> {
    fn push(&mut self, line: &'r [u8]) {
        match self {
            Lines::None => *self = Lines::One(line),
            Lines::One(first) => *self = Lines::Several(Box::new(vec![*first, line])),
            Lines::Several(lines) => lines.push(line),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Lines::None)
    }

    /// The one line. Two of a field that is no list are malformed (RFC 9110 section 5.3).
    pub fn only(&self) -> Option<&'r [u8]> {
        match self {
            Lines::One(line) => Some(line),
            Lines::None | Lines::Several(_) => None,
        }
    }

    /// All of them, in their order.
    pub fn iter(&self) -> slice::Iter<'_, &'r [u8]> {
        match self {
            Lines::None => [].iter(),
            Lines::One(line) => slice::from_ref(line).iter(),
            Lines::Several(lines) => lines.iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn each_line_is_found_in_its_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (HOST, "a"),
            (IF_MATCH, "1"),
            (HeaderName::from_static("accept"), "x"),
            (IF_MATCH, "2"),
            (RANGE, "3"),
            (CDN_LOOP, "4"),
            (IF_MATCH, "5"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let asked = Asked::of(&headers);
        let text =
            |lines: &Lines<'_>| lines.iter().map(|line| str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(" ");
        let all = [&asked.host, &asked.if_match, &asked.range, &asked.cdn_loop, &asked.if_none_match, &asked.if_range];
        assert_eq!(all.map(text), ["a", "1 2 5", "3", "4", "", ""]);
        assert!(asked.accept_encoding.is_empty() && !asked.host.is_empty());
        assert_eq!((asked.range.only(), asked.if_match.only()), (Some(b"3".as_slice()), None));
    }
}

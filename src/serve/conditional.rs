//! Conditional requests: what the preconditions of a GET or HEAD say of the selected representation (RFC 9110 section 13).
//!
//! `If-Modified-Since` and `If-Unmodified-Since` are ignored, as sections 13.1.3 and 13.1.4 ask where a representation has no
//! modification date: a build has no times, and no `Last-Modified` is ever sent.

use super::asked::{Asked, Lines};

/// What to do after the preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They hold, or there are none.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: it is not what the client takes it for.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 section 13.2.2, against the selected representation's strong ETag.
pub fn evaluate(asked: &Asked<'_>, etag: &[u8]) -> Outcome {
    if !asked.if_match.is_empty() && !names(&asked.if_match, |tag| tag == etag) {
        return Outcome::Failed;
    }
    // The weak comparison, section 8.8.3.2.
    let same = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == etag;
    if names(&asked.if_none_match, same) {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether `Range` counts: without `If-Range`, or where that is the strong ETag. A date never is the one of a representation that
/// has none (RFC 9110 section 13.1.5).
pub fn range_applies(asked: &Asked<'_>, etag: &[u8]) -> bool {
    asked.if_range.iter().all(|line| *line == etag)
}

/// Whether the field is `*`, or one of its tags is as asked.
fn names(lines: &Lines<'_>, is: impl Fn(&[u8]) -> bool) -> bool {
    lines.iter().any(|line| line.trim_ascii() == b"*" || Tags(line).any(&is))
}

/// The entity tags of a list, quotes and `W/` included. A tag may hold commas; what is no tag is passed over to the next comma.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let start = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
            let rest = self.0.get(start..)?;
            let (tag, rest) = split_tag(rest);
            self.0 = rest;
            if tag.is_some() {
                return tag;
            }
        }
    }
}

/// The tag that `text` starts with, and what follows it.
fn split_tag(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let opaque = text.strip_prefix(b"W/").unwrap_or(text);
    if let Some(inner) = opaque.strip_prefix(b"\"")
        && let Some(end) = inner.iter().position(|byte| *byte == b'"')
        && let Some((tag, rest)) = text.split_at_checked(text.len() - inner.len() + end + 1)
    {
        return (Some(tag), rest);
    }
    let comma = text.iter().position(|byte| *byte == b',').unwrap_or(text.len());
    (None, text.get(comma..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
    use proptest::prelude::*;

    const ETAG: &[u8] = b"\"3f-br\"";

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, want) in [
            ("\"3f-br\"", Outcome::NotModified),
            ("W/\"3f-br\"", Outcome::NotModified),
            ("\"a\", \"3f-br\"", Outcome::NotModified),
            ("\"a,b\" ,, W/\"3f-br\"", Outcome::NotModified),
            ("junk, \"3f-br\"", Outcome::NotModified),
            (" * ", Outcome::NotModified),
            ("\"3f\"", Outcome::Proceed),
            ("\"3f-gzip\"", Outcome::Proceed),
            ("3f-br", Outcome::Proceed),
            ("w/\"3f-br\"", Outcome::Proceed),
            ("\"a, \"3f-br", Outcome::Proceed),
            ("", Outcome::Proceed),
        ] {
            assert_eq!(evaluate(&Asked::of(&headers(&[(IF_NONE_MATCH, value)])), ETAG), want, "{value}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for (value, want) in [
            ("\"3f-br\"", Outcome::Proceed),
            ("\"a\", \"3f-br\"", Outcome::Proceed),
            ("*", Outcome::Proceed),
            ("W/\"3f-br\"", Outcome::Failed),
            ("\"a\"", Outcome::Failed),
            ("", Outcome::Failed),
        ] {
            assert_eq!(evaluate(&Asked::of(&headers(&[(IF_MATCH, value)])), ETAG), want, "{value}");
        }
    }

    #[test]
    fn if_match_comes_before_if_none_match() {
        let both = |first, second| evaluate(&Asked::of(&headers(&[(IF_MATCH, first), (IF_NONE_MATCH, second)])), ETAG);
        assert_eq!(both("\"a\"", "\"3f-br\""), Outcome::Failed);
        assert_eq!(both("\"3f-br\"", "\"3f-br\""), Outcome::NotModified);
        assert_eq!(both("*", "\"a\""), Outcome::Proceed);
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut lines = headers(&[(IF_NONE_MATCH, "\"a\"")]);
        lines.append(IF_NONE_MATCH, HeaderValue::from_bytes(ETAG).unwrap());
        assert_eq!(evaluate(&Asked::of(&lines), ETAG), Outcome::NotModified);
    }

    #[test]
    fn dates_are_ignored() {
        let date = "Tue, 01 Jan 2030 00:00:00 GMT";
        let dates = headers(&[(http::header::IF_MODIFIED_SINCE, date), (http::header::IF_UNMODIFIED_SINCE, date)]);
        assert_eq!(evaluate(&Asked::of(&dates), ETAG), Outcome::Proceed);
    }

    #[test]
    fn if_range_takes_the_strong_tag_alone() {
        assert!(range_applies(&Asked::default(), ETAG));
        assert!(range_applies(&Asked::of(&headers(&[(IF_RANGE, "\"3f-br\"")])), ETAG));
        for value in ["W/\"3f-br\"", "\"3f\"", "Tue, 01 Jan 2030 00:00:00 GMT", "*", ""] {
            assert!(!range_applies(&Asked::of(&headers(&[(IF_RANGE, value)])), ETAG), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_that_ends(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Tags(&bytes).count() <= bytes.len());
        }

        #[test]
        fn a_tag_is_found_wherever_it_stands(
            before in prop::collection::vec("(W/)?\"[a-z,]{0,5}\"", 0..4),
            after in prop::collection::vec("(W/)?\"[a-z,]{0,5}\"", 0..4),
        ) {
            let list = before.into_iter().chain(["\"3f-br\"".to_owned()]).chain(after).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(evaluate(&Asked::of(&headers(&[(IF_NONE_MATCH, &list)])), ETAG), Outcome::NotModified);
        }
    }
}

//! Range requests: which bytes `Range` asks for, and the body that holds several parts (RFC 9110 section 14).

use std::ops::Range;

use http::HeaderValue;

use super::content::Content;

/// More are not answered one by one: RFC 9110 section 17.15 lets a server ignore what costs more than the whole.
const MOST: usize = 16;

/// What `Range` selects of a representation. No range is empty, and all lie within the representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// 200: the field is ignored (section 14.2), as it is no valid set of byte ranges, or one that is too costly.
    Whole,
    One(Range<u64>),
    /// At least two, in the order that was asked for, none of which overlap.
    Several(Vec<Range<u64>>),
    /// 416: all begin past the end.
    Unsatisfiable,
}

/// Reads the field for a representation of `length` bytes.
pub fn select(field: &[u8], length: u64) -> Selected {
    let mut unit_and_set = field.splitn(2, |byte| *byte == b'=');
    let (Some(unit), Some(set)) = (unit_and_set.next(), unit_and_set.next()) else { return Selected::Whole };
    // `Content-Range` can't name a byte of what is empty, neither as satisfied nor, for a suffix, as unsatisfiable.
    if !unit.eq_ignore_ascii_case(b"bytes") || length == 0 {
        return Selected::Whole;
    }
    let mut ranges = Vec::new();
    let mut written = 0;
    for spec in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        written += 1;
        match resolve(spec, length) {
            Some(Some(range)) => ranges.push(range),
            Some(None) => {}
            None => return Selected::Whole,
        }
        if written > MOST {
            return Selected::Whole;
        }
    }
    match ranges.len() {
        0 if written == 0 => Selected::Whole,
        0 => Selected::Unsatisfiable,
        _ if overlap(&ranges) => Selected::Whole,
        1 => ranges.pop().map_or(Selected::Whole, Selected::One),
        _ => Selected::Several(ranges),
    }
}

/// One range, `Some(None)` if it can't be satisfied, `None` if it is malformed.
fn resolve(spec: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (spec.get(..dash)?, spec.get(dash + 1..)?);
    let range = match (first, last) {
        (b"", b"") => return None,
        (b"", suffix) => length.saturating_sub(number(suffix)?)..length,
        (first, b"") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some((!range.is_empty()).then_some(range))
}

/// Digits; a number past all lengths is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

fn overlap(ranges: &[Range<u64>]) -> bool {
    let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    sorted.iter().zip(sorted.iter().skip(1)).any(|(before, after)| after.start < before.end)
}

/// `Content-Range` of a part, section 14.4.
pub fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1))
}

/// A `multipart/byteranges` body, section 14.6. The boundary has to be one that the content does not hold.
pub fn multipart(
    content: &Content,
    ranges: &[Range<u64>],
    media_type: Option<&HeaderValue>,
    boundary: &str,
) -> Vec<Content> {
    let mut contents = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(media_type) = media_type {
            head.extend_from_slice(b"content-type: ");
            head.extend_from_slice(media_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("content-range: {}\r\n\r\n", content_range(range, content.length())).as_bytes());
        contents.push(Content::Memory(head.into()));
        contents.push(content.slice(range.clone()));
    }
    contents.push(Content::Memory(format!("\r\n--{boundary}--\r\n").into()));
    contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn one_range() {
        for (field, want) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-9", 0..10),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=3-99999999999999999999999999", 3..10),
            ("bytes=-99999999999999999999999999", 0..10),
            ("BYTES= 1-2 ,", 1..3),
            ("bytes=1-2,50-60", 1..3),
        ] {
            assert_eq!(select(field.as_bytes(), 10), Selected::One(want), "{field}");
        }
    }

    #[test]
    fn what_is_no_byte_range_is_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-",
            "bytes=1",
            "bytes=2-1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0-1,x",
            "bytes =0-1",
            "lines=0-1",
            "bytes=0x1-2",
            "bytes=--1",
            "bytes=1 - 2",
        ] {
            assert_eq!(select(field.as_bytes(), 10), Selected::Whole, "{field}");
        }
        let unit = format!("{}=0-1", "b".repeat(10_000));
        assert_eq!(select(unit.as_bytes(), 10), Selected::Whole, "an over-long unit");
    }

    #[test]
    fn past_the_end_is_unsatisfiable() {
        for field in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=10-,20-30", "bytes=99999999999999999999999999-"] {
            assert_eq!(select(field.as_bytes(), 10), Selected::Unsatisfiable, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selected::Whole, "there is nothing to be past of");
    }

    #[test]
    fn several_keep_their_order_and_never_overlap() {
        assert_eq!(select(b"bytes=5-6, 0-1", 10), Selected::Several(vec![5..7, 0..2]));
        assert_eq!(select(b"bytes=0-1,2-3", 10), Selected::Several(vec![0..2, 2..4]), "side by side");
        assert_eq!(select(b"bytes=0-5,3-7", 10), Selected::Whole);
        assert_eq!(select(b"bytes=0-,-1", 10), Selected::Whole);
    }

    #[test]
    fn there_is_a_limit() {
        let field =
            |n: usize| format!("bytes={}", (0..n).map(|i| format!("{0}-{0}", i * 2)).collect::<Vec<_>>().join(","));
        assert!(matches!(select(field(16).as_bytes(), 100), Selected::Several(ranges) if ranges.len() == 16));
        assert_eq!(select(field(17).as_bytes(), 100), Selected::Whole);
        assert_eq!(
            select(field(17).as_bytes(), 1),
            Selected::Whole,
            "counted before what can't be satisfied is dropped"
        );
    }

    #[test]
    fn parts_say_what_they_are() {
        let body = Content::Memory(Bytes::from_static(b"0123456789"));
        let contents = multipart(&body, &[0..2, 5..6], Some(&HeaderValue::from_static("text/plain")), "b");
        let out: Vec<u8> = contents
            .iter()
            .flat_map(|content| match content {
                Content::Memory(bytes) => bytes.to_vec(),
                Content::File(_) | Content::Closed(_) => panic!("nothing here is a file"),
            })
            .collect();
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "\r\n--b\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\
             \r\n--b\r\ncontent-type: text/plain\r\ncontent-range: bytes 5-5/10\r\n\r\n5\r\n--b--\r\n"
        );
    }

    fn spec() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..50u32, 0..50u32).prop_map(|(a, b)| format!("{a}-{b}")),
            (0..50u32).prop_map(|a| format!("{a}-")),
            (0..50u32).prop_map(|a| format!("-{a}")),
        ]
    }

    proptest! {
        #[test]
        fn ranges_are_disjoint_and_within(specs in prop::collection::vec(spec(), 1..20), length in 0..40u64) {
            let ranges = match select(format!("bytes={}", specs.join(",")).as_bytes(), length) {
                Selected::One(range) => vec![range],
                Selected::Several(ranges) => ranges,
                _ => vec![],
            };
            let mut seen = vec![false; usize::try_from(length).unwrap()];
            for range in ranges {
                prop_assert!(!range.is_empty() && range.end <= length);
                for byte in &mut seen[range.start as usize..range.end as usize] {
                    prop_assert!(!std::mem::replace(byte, true));
                }
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..40), length in 0..20u64) {
            select(&[b"bytes=".as_slice(), &bytes].concat(), length);
            select(&bytes, length);
        }
    }
}

//! `CDN-Loop`, RFC 8586: whoever passes requests on puts its name into it, and whoever finds its own name in it stops.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::asked::Lines;

pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Whether a request has come by whom this name is of before.
pub fn names(lines: &Lines<'_>, id: &str) -> bool {
    lines.iter().any(|line| ids(line).any(|other| other.eq_ignore_ascii_case(id.as_bytes())))
}

/// Adds a name to a request that is passed on (section 2: to the end of the list, in a line of its own or not). A request of one's
/// own, such as a probe, carries none: it may rightly come back to its sender.
pub fn append(headers: &mut HeaderMap, id: HeaderValue) {
    headers.append(CDN_LOOP, id);
}

/// The `cdn-id`s of a line, without their parameters.
fn ids(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let elements = line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    elements.map(|element| element.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::asked::Asked;
    use proptest::prelude::*;

    fn carries(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CDN_LOOP, line.parse().unwrap());
        }
        names(&Asked::of(&headers).cdn_loop, "fingerpost")
    }

    #[test]
    fn a_name_is_found_in_the_list() {
        for (lines, want) in [
            (&["fingerpost"][..], true),
            (
                &[
                    "foo123.foocdn.example, barcdn.example; trace=\"abcdef\"",
                    "AnotherCDN; abc=123; def=\"456\", Fingerpost ; x=1",
                ],
                true,
            ),
            (&["foo; x=\"a, fingerpost\""], false),
            (&["foo; x=\"\\\", fingerpost\", b"], false),
            (&["fingerpost.example", "my-fingerpost"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(carries(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn what_is_appended_is_found() {
        let mut headers = HeaderMap::from_iter([(CDN_LOOP, HeaderValue::from_static("cloudflare"))]);
        append(&mut headers, HeaderValue::from_static("fingerpost"));
        assert!(
            names(&Asked::of(&headers).cdn_loop, "fingerpost") && names(&Asked::of(&headers).cdn_loop, "cloudflare")
        );
        assert_eq!(headers.get_all(CDN_LOOP).iter().count(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(ids(&bytes).count() <= bytes.len() + 1);
        }
    }
}

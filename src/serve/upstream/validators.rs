//! Entity tags of pages whose URLs were rewritten: the application's, with what they were bound to.
//!
//! What an application calls the same is another page in another release or environment. So its tag is given out with a mark of both,
//! as a weak one; the application gets its own tag back, and never one with another mark.

use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// Stands before the mark.
const BEFORE: &str = "~fp";

/// The tag of a page that was bound to what `mark` is of.
pub fn derive(headers: &mut HeaderMap, mark: &str) {
    let Some(tag) = headers.get_mut(ETAG) else { return };
    let opaque = tag.to_str().ok().and_then(opaque);
    match opaque.map(|opaque| HeaderValue::try_from(["W/\"", opaque, BEFORE, mark, "\""].concat())) {
        Some(Ok(derived)) => *tag = derived,
        _ => drop(headers.remove(ETAG)),
    }
}

/// Puts the application's tags in the place of those that were derived from them. Whether there was one.
pub fn restore(headers: &mut HeaderMap, mark: &str) -> bool {
    let mut found = false;
    for name in [IF_NONE_MATCH, IF_MATCH] {
        found |= restore_list(headers, &name, mark);
    }
    // A part of a page as it was is no part of it as it is sent.
    let is_derived = |value: &HeaderValue| value.to_str().is_ok_and(|tag| tag.contains(BEFORE));
    if headers.get(IF_RANGE).is_some_and(is_derived) {
        headers.remove(IF_RANGE);
        headers.remove(RANGE);
    }
    found
}

/// Whether a request names this strong tag as a weak one.
pub fn is_named_weakly(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(split).any(|named| named.strip_prefix("W/").is_some_and(|named| named.as_bytes() == tag.as_bytes()))
}

fn restore_list(headers: &mut HeaderMap, name: &HeaderName, mark: &str) -> bool {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    if !lines.iter().any(|line| line.contains(BEFORE)) {
        return false;
    }
    let ending = format!("{BEFORE}{mark}");
    let mut tags: Vec<String> = Vec::new();
    let mut found = false;
    for tag in lines.iter().flat_map(|line| split(line)) {
        match opaque(tag).map(|opaque| (opaque.strip_suffix(&ending), opaque.contains(BEFORE))) {
            // It is not known whether the application's was weak; as both it is what it was.
            Some((Some(own), _)) => {
                found = true;
                tags.extend([format!("\"{own}\""), format!("W/\"{own}\"")]);
            }
            Some((None, true)) => {}
            Some((None, false)) | None => tags.push(tag.to_owned()),
        }
    }
    headers.remove(name);
    if tags.is_empty() && *name == IF_MATCH {
        // Of those that were named, none is current: it still has to fail.
        tags.push(format!("\"{BEFORE}\""));
    }
    if let Some(value) = HeaderValue::try_from(tags.join(", ")).ok().filter(|value| !value.is_empty()) {
        headers.insert(name, value);
    }
    found
}

/// What stands between the quotes (RFC 9110 section 8.8.3).
fn opaque(tag: &str) -> Option<&str> {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')
}

/// The elements of a list of tags, in which commas may stand.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = line.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    parts.map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(tag: &str) -> String {
        let mut headers = HeaderMap::from_iter([(ETAG, tag.parse().unwrap())]);
        derive(&mut headers, "m1");
        headers.get(ETAG).map_or_else(String::new, |tag| tag.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_tag_is_marked_and_weak() {
        for (tag, want) in
            [("\"a,b\"", "W/\"a,b~fpm1\""), ("W/\"x\"", "W/\"x~fpm1\""), ("\"\"", "W/\"~fpm1\""), ("x", ""), ("\"", "")]
        {
            assert_eq!(derived(tag), want);
        }
    }

    #[test]
    fn the_application_gets_its_own_back() {
        for (tags, want) in [
            ("W/\"a,b~fpm1\"", (true, "\"a,b\", W/\"a,b\"")),
            ("\"other\", W/\"x~fpm1\" , \"y\"", (true, "\"other\", \"x\", W/\"x\", \"y\"")),
            ("W/\"x~fpm2\", \"y\"", (false, "\"y\"")),
            ("W/\"x~fpm2\"", (false, "")),
            ("\"x\"", (false, "\"x\"")),
            ("*", (false, "*")),
        ] {
            let mut headers = HeaderMap::from_iter([(IF_NONE_MATCH, tags.parse().unwrap())]);
            let found = restore(&mut headers, "m1");
            let got = headers.get(IF_NONE_MATCH).map_or("", |tags| tags.to_str().unwrap());
            assert_eq!((found, got), want, "{tags}");
        }
    }

    #[test]
    fn a_weak_name_of_a_strong_tag_is_found() {
        let tag = HeaderValue::from_static("\"a,b\"");
        for (tags, want) in
            [("\"x\", W/\"a,b\"", true), ("\"a,b\"", false), ("W/\"a\"", false), ("W/\"a,b\"x", false), ("*", false)]
        {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, tags.parse().unwrap())]);
            assert_eq!(is_named_weakly(&headers, &tag), want, "{tags}");
        }
    }

    #[test]
    fn what_must_match_still_fails_where_nothing_can() {
        let mut headers = HeaderMap::from_iter([(IF_MATCH, "W/\"x~fpm2\"".parse().unwrap())]);
        restore(&mut headers, "m1");
        assert_eq!(headers[IF_MATCH], "\"~fp\"");
    }

    #[test]
    fn a_part_of_what_was_rewritten_is_not_asked_for() {
        for (tag, is_kept) in [("W/\"x~fpm1\"", false), ("\"x\"", true)] {
            let mut headers =
                HeaderMap::from_iter([(IF_RANGE, tag.parse().unwrap()), (RANGE, HeaderValue::from_static("bytes=0-"))]);
            restore(&mut headers, "m1");
            assert_eq!((headers.contains_key(RANGE), headers.contains_key(IF_RANGE)), (is_kept, is_kept));
        }
    }
}

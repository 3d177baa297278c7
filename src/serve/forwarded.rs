//! The `Forwarded` header, RFC 7239.

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, HeaderName};

/// What one proxy says of the request that it got. All of it is none where it could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hop {
    /// Of whoever sent the request to the proxy.
    pub address: Option<IpAddr>,
    pub scheme: Option<String>,
    pub host: Option<String>,
}

/// What the header says in all its lines, the nearest proxy's last (RFC 7239 section 4).
pub fn hops(headers: &HeaderMap, name: &HeaderName) -> Vec<Hop> {
    elements(headers, name).iter().map(|element| element.as_deref().map_or_else(Hop::default, hop)).collect()
}

/// The elements as they are written; none in the place of one that can't be read. It takes nothing with it that a proxy has added to
/// the right, or anybody could hide from us behind the proxy.
pub fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for line in headers.get_all(name) {
        let line = String::from_utf8_lossy(line.as_bytes());
        let parts: Vec<&str> = match has_whole_quotes(&line) {
            true => split(&line, ',').collect(),
            false => line.split(',').collect(),
        };
        let parts = parts.into_iter().map(str::trim).filter(|element| !element.is_empty());
        all.extend(parts.map(|part| Some(part.to_owned()).filter(|part| part.is_ascii() && has_whole_quotes(part))));
    }
    all
}

/// Whether each quoted string is a value and ends.
fn has_whole_quotes(text: &str) -> bool {
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once('"') {
        let Some(after) = after_quote(quoted).map(str::trim_start) else { return false };
        if !before.trim_end().ends_with('=') || !(after.is_empty() || after.starts_with([',', ';'])) {
            return false;
        }
        rest = after;
    }
    true
}

/// What follows a quoted string that has begun.
fn after_quote(quoted: &str) -> Option<&str> {
    let mut is_escaped = false;
    let end = quoted.find(|c: char| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        c == '"' && !was_escaped
    })?;
    quoted.get(end + 1..)
}

fn hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { return Hop::default() };
        let Some(value) = unquoted(value.trim()) else { return Hop::default() };
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.address = address(&value),
            "proto" => hop.scheme = Some(value),
            "host" => hop.host = Some(value),
            _ => {}
        }
    }
    hop
}

/// A node's address (RFC 7239 section 6): with or without a port, IPv6 in brackets or, as other headers have it, without.
pub fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    if let Ok(address) = node.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    bare.parse().ok()
}

/// The parts between separators that stand in no quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.find(|c: char| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => return c == separator && !quoted,
            }
            false
        });
        match end {
            Some(end) => {
                rest = text.get(end + separator.len_utf8()..);
                text.get(..end)
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// A token as it is, or what a quoted string says (RFC 9110 section 5.6.4).
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.is_empty() && !value.contains('"')).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => out.push(characters.next()?),
            _ => out.push(character),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{FORWARDED, HeaderValue};
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Vec<Hop> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        hops(&headers, &FORWARDED)
    }

    fn hop(address: &str, scheme: &str, host: &str) -> Hop {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Hop { address: address.parse().ok(), scheme: some(scheme), host: some(host) }
    }

    #[test]
    fn the_examples_of_the_standard() {
        for (lines, want) in [
            (&["for=\"_gazonk\""][..], vec![hop("", "", "")]),
            (&["For=\"[2001:db8:cafe::17]:4711\""], vec![hop("2001:db8:cafe::17", "", "")]),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], vec![hop("192.0.2.60", "http", "")]),
            (&["for=192.0.2.43, for=198.51.100.17"], vec![hop("192.0.2.43", "", ""), hop("198.51.100.17", "", "")]),
            (
                &["for=192.0.2.43", "for=198.51.100.17;host=a"],
                vec![hop("192.0.2.43", "", ""), hop("198.51.100.17", "", "a")],
            ),
            (&["for=unknown"], vec![hop("", "", "")]),
            (&["for=192.0.2.43,, for=198.51.100.17,"], vec![hop("192.0.2.43", "", ""), hop("198.51.100.17", "", "")]),
            (&[""], vec![]),
            (&["host=\"a,b;c\\\"d\";proto=https"], vec![hop("", "https", "a,b;c\"d")]),
        ] {
            assert_eq!(read(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for line in [
            "for",
            "for=1.1.1.1;x",
            "for=\"1.1.1.1",
            "for=;proto=https",
            "for=1.1.1.1;host=a\"b",
            "for=1.1.1.1;a\"b=c",
            "for=1.1.1.1;host=\"a\"b",
            "for=1.1.1.1;host=\u{e9}",
        ] {
            assert_eq!(read(&[line]), [Hop::default()], "{line}");
        }
    }

    #[test]
    fn what_is_malformed_hides_nothing_to_its_right() {
        for left in ["for=\"", "for=\"x\\", "for=1.1.1.1;a\"b=c", "for=\"x\"y", "\u{e9}", "for=\"\u{e9}\"", "\""] {
            for (right, want) in [
                ("for=192.0.2.9", hop("192.0.2.9", "", "")),
                ("for=192.0.2.9;host=\"a:80\";proto=https", hop("192.0.2.9", "https", "a:80")),
                ("for=\"[2001:db8::9]:80\"", hop("2001:db8::9", "", "")),
            ] {
                assert_eq!(read(&[&format!("{left}, {right}")]), [Hop::default(), want], "{left} {right}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "[ -~]{0,60}") {
            let commas = line.matches(',').count();
            prop_assert!(read(&[&line]).len() <= commas + 1);
        }

        #[test]
        fn what_is_written_is_read(v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), host in "[a-z,;\"\\\\ ]{1,12}") {
            let (v4, v6) = (std::net::Ipv4Addr::from(v4), std::net::Ipv6Addr::from(v6));
            let quoted = host.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("for={v4};proto=https , for=\"[{v6}]:80\";host=\"{quoted}\"");
            prop_assert_eq!(read(&[&line]), [hop(&v4.to_string(), "https", ""), hop(&v6.to_string(), "", &host)]);
        }
    }
}

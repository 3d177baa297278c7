//! Who a request comes from and which site it is for, with proxies before us taken at their word only if they are trusted.
//!
//! Each proxy adds what it saw to the right, and whoever is further out may have written anything to the left. So the chain is read
//! from the right, for as long as the one who vouches for the next is trusted (RFC 7239 section 8.1).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};
use ipnet::IpNet;

use super::forwarded::{self, Hop};
use super::peer::Peer;
use crate::config::ProxyHeaders;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where a request comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// None where the transport doesn't say.
    pub address: Option<IpAddr>,
    /// Whether the client speaks TLS, to us or to the proxy that it knows.
    pub is_secure: bool,
    /// The host that it asked a proxy for, where that is another one than the request has.
    pub host: Option<String>,
}

/// The proxies that are believed, and by which headers.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    networks: Arc<[IpNet]>,
    headers: ProxyHeaders,
}

impl Proxies {
    pub fn new(networks: Vec<IpNet>, headers: ProxyHeaders) -> Self {
        Proxies { networks: networks.into(), headers }
    }

    /// Whether who is at that address is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        // A socket for both protocols shows IPv4 as a part of IPv6.
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client of a request that came from this peer.
    pub fn client(&self, peer: Option<Peer>, headers: &HeaderMap) -> Client {
        let Some(peer) = peer else { return Client::default() };
        let mut client = Client { address: Some(peer.address.ip().to_canonical()), is_secure: peer.is_tls, host: None };
        if self.networks.is_empty() || !self.trusts(peer.address.ip()) {
            return client;
        }
        for hop in self.hops(headers).into_iter().rev() {
            if !client.address.is_some_and(|address| self.trusts(address)) {
                break;
            }
            if let Some(scheme) = hop.scheme {
                client.is_secure = scheme.eq_ignore_ascii_case("https");
            }
            client.host = hop.host.or(client.host);
            match hop.address {
                Some(address) => client.address = Some(address.to_canonical()),
                // Who it was is hidden or not to be read, and so is all that they have said.
                None => break,
            }
        }
        client
    }

    /// What the proxies say, the nearest one last.
    fn hops(&self, headers: &HeaderMap) -> Vec<Hop> {
        match self.headers {
            ProxyHeaders::Forwarded => forwarded::hops(headers, &FORWARDED),
            ProxyHeaders::XForwarded => {
                let mut hops: Vec<Hop> = elements(headers, &FOR)
                    .map(|element| Hop { address: element.and_then(forwarded::address), ..Hop::default() })
                    .collect();
                if hops.is_empty() {
                    hops.push(Hop::default());
                }
                align(&mut hops, elements(headers, &PROTO), |hop, scheme| hop.scheme = scheme);
                align(&mut hops, elements(headers, &FORWARDED_HOST), |hop, host| hop.host = host);
                hops
            }
        }
    }
}

/// The values of a list in several lines, but for those that can't be read.
pub fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    elements(headers, name).flatten()
}

/// The elements of a list in several lines (RFC 9110 section 5.6.1); none in the place of one that can't be read. It takes no other
/// with it: what a proxy adds is on the same line as what its client sends.
pub fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'h str>> {
    let elements = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let elements = elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
    elements.map(|element| str::from_utf8(element).ok().filter(|text| text.is_ascii()))
}

/// Gives each hop its element if there is one for each. Most proxies keep only one, which the nearest has set or checked.
fn align<'e>(
    hops: &mut [Hop],
    elements: impl Iterator<Item = Option<&'e str>>,
    set: impl Fn(&mut Hop, Option<String>),
) {
    let elements: Vec<Option<&str>> = elements.collect();
    if elements.len() == hops.len() {
        hops.iter_mut().zip(elements).for_each(|(hop, element)| set(hop, element.map(str::to_owned)));
    } else if let (Some(hop), Some(element)) = (hops.last_mut(), elements.last()) {
        set(hop, element.map(str::to_owned));
    }
}

/// The host that a request names, with its port: by its target (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1), or else by its `Host`.
pub fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    match uri.authority() {
        // Not who asks, if that is said at all.
        Some(authority) => authority.as_str().rsplit('@').next(),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

/// Whether it is a host with or without a port, or nothing (RFC 9112 section 3.2). Of what RFC 3986 section 3.2.2 allows, addresses of
/// versions to come are none here, nor names with a comma, which are two hosts in one line.
pub fn is_host(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| !IN_A_NAME[usize::from(*byte)]).unwrap_or(rest.len());
        rest = match rest.get(end..).unwrap_or_default() {
            [] => return true,
            [b':', port @ ..] => return !text.starts_with(b":") && is_port(port),
            [b'%', first, second, after @ ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => after,
            _ => return text.strip_prefix(b"[").is_some_and(is_literal),
        };
    }
}

/// What stands in a name as it is: unreserved characters and delimiters, but the comma.
const IN_A_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};

/// Whether it is an address of IPv6 behind its bracket.
fn is_literal(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b']');
    let (Some(address), Some(after)) = (parts.next(), parts.next()) else { return false };
    let is_address = str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_address && (after.is_empty() || after.strip_prefix(b":").is_some_and(is_port))
}

fn is_port(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Whether two hosts are one, where either may leave out the port that is the scheme's own (RFC 9110 section 4.2.3).
pub fn is_same_host(a: &[u8], b: &[u8], scheme: Option<&str>) -> bool {
    let own: &[u8] = if scheme == Some("https") { b":443" } else { b":80" };
    let name =
        |host: &[u8]| host.strip_suffix(own).or_else(|| host.strip_suffix(b":")).unwrap_or(host).to_ascii_lowercase();
    a.eq_ignore_ascii_case(b) || name(a) == name(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn proxies(headers: ProxyHeaders) -> Proxies {
        Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], headers)
    }

    fn client(proxies: &Proxies, peer: &str, headers: &[(&str, &str)]) -> String {
        let request = headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).unwrap();
        let peer = Peer { address: format!("{peer}:1").parse().unwrap(), is_tls: false };
        let Client { address, is_secure, host } = proxies.client(Some(peer), request.headers());
        let scheme = if is_secure { "https" } else { "http" };
        format!("{} {scheme} {}", address.unwrap(), host.unwrap_or_default()).trim_end().to_owned()
    }

    #[test]
    fn x_forwarded_is_read_from_the_right_by_trusted_proxies() {
        let trusting = proxies(ProxyHeaders::XForwarded);
        for (peer, headers, want) in [
            (
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "203.0.113.7"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "a.example"),
                ][..],
                "203.0.113.7 https a.example",
            ),
            ("[::ffff:10.0.0.1]", &[("x-forwarded-for", "203.0.113.7")], "203.0.113.7 http"),
            (
                "192.0.2.1",
                &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a")],
                "192.0.2.1 http",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.7")], "203.0.113.7 http"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.2")], "203.0.113.7 http"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7 http"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "203.0.113.7, 10.0.0.2"), ("x-forwarded-proto", "https, http")],
                "203.0.113.7 https",
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1, 203.0.113.7"), ("x-forwarded-proto", "https")],
                "203.0.113.7 https",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "junk")], "10.0.0.1 http"),
            // What can't be read hides nobody who comes after it.
            ("10.0.0.1", &[("x-forwarded-for", "\u{e9}, 203.0.113.7")], "203.0.113.7 http"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, \u{e9}, 10.0.0.2")], "10.0.0.2 http"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "\u{e9}, 203.0.113.7"), ("x-forwarded-proto", "\u{e9}, https")],
                "203.0.113.7 https",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-host", "\u{e9}")], "203.0.113.7 http"),
            ("10.0.0.1", &[("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7 http"),
            ("[fd00::1]", &[("x-forwarded-for", "2001:db8::1")], "2001:db8::1 http"),
            ("10.0.0.1", &[("x-forwarded-proto", "https")], "10.0.0.1 https"),
            ("10.0.0.1", &[("forwarded", "for=203.0.113.7;proto=https")], "10.0.0.1 http"),
            ("10.0.0.1", &[], "10.0.0.1 http"),
        ] {
            assert_eq!(client(&trusting, peer, headers), want, "{peer} {headers:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_it_is_what_the_proxies_send() {
        let trusting = proxies(ProxyHeaders::Forwarded);
        for (headers, want) in [
            (
                &[("forwarded", "for=203.0.113.7;proto=https;host=a.example;by=10.0.0.1")][..],
                "203.0.113.7 https a.example",
            ),
            (
                &[("forwarded", "for=1.1.1.1;host=evil, for=203.0.113.7;host=\"a.example:8080\"")],
                "203.0.113.7 http a.example:8080",
            ),
            (&[("forwarded", "for=203.0.113.7;proto=https, for=10.0.0.3;proto=http")], "203.0.113.7 https"),
            (&[("forwarded", "for=\"[2001:db8::1]:4711\"")], "2001:db8::1 http"),
            (&[("forwarded", "for=1.1.1.1, for=_hidden;proto=https")], "10.0.0.1 https"),
            (&[("forwarded", "for=1.1.1.1, nonsense")], "10.0.0.1 http"),
            (&[("forwarded", "for=\", for=203.0.113.7;host=\"a.example\"")], "203.0.113.7 http a.example"),
            (&[("forwarded", "for=\u{e9}, for=203.0.113.7;proto=https")], "203.0.113.7 https"),
            (&[("x-forwarded-for", "203.0.113.7")], "10.0.0.1 http"),
        ] {
            assert_eq!(client(&trusting, "10.0.0.1", headers), want, "{headers:?}");
        }
    }

    #[test]
    fn the_target_says_the_host_before_the_header_does() {
        let request = Request::get("http://a.example:80/x").header("host", "b.example").body(()).unwrap();
        assert_eq!(host(request.uri(), request.headers()), Some("a.example:80"));
        let request = Request::get("https://user:secret@[::1]:8443/x").body(()).unwrap();
        assert_eq!(host(request.uri(), request.headers()), Some("[::1]:8443"));
        let request = Request::get("/x").header("host", "b.example:8080").body(()).unwrap();
        assert_eq!(host(request.uri(), request.headers()), Some("b.example:8080"));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_may_have_a_port() {
        for good in [
            "",
            "a",
            "a.example.",
            "a_b.example:8080",
            "a:",
            "A-b~c!$&'()*+;=",
            "%41%e2",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            ":80",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:80 ",
            "[::1",
            "::1",
            "a]",
            "[a]",
            "[]",
            "[::1]x",
            "[::1]:x",
            "[::1]]",
            "x[::1]",
            "%41[::1]",
            "[::1%25lo]",
            "[v1.x]",
            "a{b",
            "%zz",
            "%4",
            "%",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "user@a",
            "a,b",
            "<a>",
            "\"a\"",
            "a\u{e9}",
            "a\t",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn hosts_are_one_in_whatever_case_and_with_the_schemes_own_port() {
        for (a, b, scheme, want) in [
            ("a.example", "A.Example", "http", true),
            ("a", "a:80", "http", true),
            ("a:443", "A:", "https", true),
            ("[::1]:443", "[::1]", "https", true),
            ("a:8080", "a:8080", "http", true),
            ("a:80", "a", "https", false),
            ("a:8080", "a", "http", false),
            ("a", "b", "http", false),
        ] {
            assert_eq!(is_same_host(a.as_bytes(), b.as_bytes(), Some(scheme)), want, "{a} {b}");
            assert_eq!(is_same_host(b.as_bytes(), a.as_bytes(), Some(scheme)), want, "{b} {a}");
        }
    }

    proptest! {
        /// What a URL may name is a host here.
        #[test]
        fn whatever_is_plain_is_a_host(host in "[a-z0-9._-]{1,20}(:[0-9]{0,5})?", v6 in any::<[u16; 8]>()) {
            prop_assert!(is_host(host.as_bytes()));
            let address = format!("[{}]:80", Ipv6Addr::from(v6));
            prop_assert!(is_host(address.as_bytes()));
        }

        /// Whatever stands to the left of what a trusted proxy has added changes nothing.
        #[test]
        fn nobody_can_speak_for_another(left in "[0-9a-f.:, \";=x\u{e9}-]{0,40}") {
            let headers = [("x-forwarded-for", format!("{left}, 203.0.113.7, 10.9.9.9"))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            prop_assert_eq!(client(&proxies(ProxyHeaders::XForwarded), "10.0.0.1", &headers), "203.0.113.7 http");
        }

        #[test]
        fn nor_by_forwarded(left in "[0-9a-z.:, \";=\\\\\u{e9}-]{0,40}") {
            for own in ["for=203.0.113.7", "for=203.0.113.7;by=\"[fd00::1]\""] {
                let value = format!("{left}, {own}, for=10.9.9.9");
                let got = client(&proxies(ProxyHeaders::Forwarded), "10.0.0.1", &[("forwarded", value.as_str())]);
                prop_assert_eq!(got, "203.0.113.7 http");
            }
        }
    }
}

//! Who a request comes from and which site it is for, with proxies before us taken at their word only if they are trusted.
//!
//! Each proxy adds what it saw to the right, and whoever is further out may have written anything to the left. So the chain is read
//! from the right, for as long as the one who vouches for the next is trusted (RFC 7239 section 8.1).

use std::net::IpAddr;
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
                let mut hops: Vec<Hop> = values(headers, &FOR)
                    .map(|value| Hop { address: forwarded::address(value), ..Hop::default() })
                    .collect();
                if hops.is_empty() {
                    hops.push(Hop::default());
                }
                align(&mut hops, values(headers, &PROTO), |hop, value| hop.scheme = Some(value.to_owned()));
                align(&mut hops, values(headers, &FORWARDED_HOST), |hop, value| hop.host = Some(value.to_owned()));
                hops
            }
        }
    }
}

/// The values of a list in several lines.
pub fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|value| !value.is_empty())
}

/// Gives each hop its value if there is one for each. Most proxies keep only one, which the nearest has set or checked.
fn align<'v>(hops: &mut [Hop], values: impl DoubleEndedIterator<Item = &'v str>, set: impl Fn(&mut Hop, &str)) {
    let values: Vec<&str> = values.collect();
    if values.len() == hops.len() {
        hops.iter_mut().zip(values).for_each(|(hop, value)| set(hop, value));
    } else if let (Some(hop), Some(value)) = (hops.last_mut(), values.last()) {
        set(hop, value);
    }
}

/// The host that a request names: by its target (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1), or else by its `Host`.
pub fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    uri.host().or_else(|| headers.get(HOST)?.to_str().ok())
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
            (&[("x-forwarded-for", "203.0.113.7")], "10.0.0.1 http"),
        ] {
            assert_eq!(client(&trusting, "10.0.0.1", headers), want, "{headers:?}");
        }
    }

    #[test]
    fn the_target_says_the_host_before_the_header_does() {
        let request = Request::get("http://a.example:80/x").header("host", "b.example").body(()).unwrap();
        assert_eq!(host(request.uri(), request.headers()), Some("a.example"));
        let request = Request::get("/x").header("host", "b.example:8080").body(()).unwrap();
        assert_eq!(host(request.uri(), request.headers()), Some("b.example:8080"));
    }

    proptest! {
        /// Whatever stands to the left of what a trusted proxy has added changes nothing.
        #[test]
        fn nobody_can_speak_for_another(left in "[0-9a-f.:, \";=x-]{0,40}") {
            let headers = [("x-forwarded-for", format!("{left}, 203.0.113.7, 10.9.9.9"))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            prop_assert_eq!(client(&proxies(ProxyHeaders::XForwarded), "10.0.0.1", &headers), "203.0.113.7 http");
        }

        #[test]
        fn nor_by_forwarded(left in "(for=[a-z0-9.]{0,9}[;,])?(host=[a-z]{1,5},)?") {
            let value = format!("{left} for=203.0.113.7, for=10.9.9.9");
            let got = client(&proxies(ProxyHeaders::Forwarded), "10.0.0.1", &[("forwarded", value.as_str())]);
            // What is in one element with the client's address was said by the proxy that added it.
            prop_assume!(!left.ends_with(';'));
            prop_assert_eq!(got, "203.0.113.7 http");
        }
    }
}

//! The fields of what is passed on, in both directions: what concerns one connection stays on it (RFC 9110 section 7.6.1).

use std::net::IpAddr;

use http::Version;
use http::header::{
    CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::serve::client::{Client, elements, values};
use crate::serve::forwarded;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What else applications believe of proxies, and nobody may say of himself.
static BELIEVED: [HeaderName; 8] = [
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-protocol"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-scheme"),
    HeaderName::from_static("x-url-scheme"),
];

/// What a client asks a connection to become, `websocket` for one.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(UPGRADE)?;
    values(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| asked.clone())
}

/// What is about one connection, beside what is named there as such.
static OF_HOP: [HeaderName; 8] =
    [CONNECTION, KEEP_ALIVE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// Takes out those fields that are there. Hardly any is, and to compare a name with the few that are there takes less than to hash it.
pub fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        if headers.keys().any(|own| own == name) {
            headers.remove(name);
        }
    }
}

/// Takes out what is about the connection that it came by, and what is named there as such.
pub fn end_of_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| OF_HOP.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = values(headers, &CONNECTION)
        .filter(|token| !token.eq_ignore_ascii_case("keep-alive") && !token.eq_ignore_ascii_case("close"))
        .filter_map(|token| token.parse().ok())
        .collect();
    let trailers = values(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    // What says where a message ends, whom it is for or where it was is not the connection's, whatever is named.
    for name in named.into_iter().filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH) {
        headers.remove(name);
    }
    remove(headers, &OF_HOP);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// What this server adds to those that a message has come by (RFC 9110 section 7.6.3), by the protocol that it has come in.
#[derive(Debug)]
pub struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// None if the name can't stand in a field.
    pub fn new(pseudonym: &str) -> Option<Self> {
        let of = |protocol| HeaderValue::try_from(format!("{protocol} {pseudonym}")).ok();
        Some(Via { http10: of("1.0")?, http11: of("1.1")?, http2: of("2.0")? })
    }

    pub fn add(&self, headers: &mut HeaderMap, version: Version) {
        let own = match version {
            Version::HTTP_2 => &self.http2,
            Version::HTTP_10 => &self.http10,
            _ => &self.http11,
        };
        headers.append(VIA, own.clone());
    }
}

/// Says who asks, and for what, in the fields that applications read. What came in them is kept only from a proxy that is trusted.
/// `host` is what the client asked for.
pub fn add_forwarded(
    headers: &mut HeaderMap,
    host: Option<&str>,
    client: &Client,
    peer: Option<IpAddr>,
    is_trusted: bool,
) {
    let scheme = if client.is_secure { "https" } else { "http" };
    let address = peer.map(|address| address.to_string());
    let mut element = String::with_capacity(64);
    match (peer, &address) {
        (Some(IpAddr::V6(_)), Some(address)) => {
            ["for=\"[", address, "]\""].into_iter().for_each(|part| element.push_str(part))
        }
        (_, Some(address)) => ["for=", address].into_iter().for_each(|part| element.push_str(part)),
        (_, None) => {}
    }
    if let Some(host) = host
        && !host.contains(['"', '\\'])
    {
        [";host=\"", host, "\""].into_iter().for_each(|part| element.push_str(part));
    }
    [";proto=", scheme].into_iter().for_each(|part| element.push_str(part));
    let element = element.trim_start_matches(';');

    let (said, said_for) = if is_trusted { said(headers) } else { Default::default() };
    let own = address.as_deref().and_then(|address| HeaderValue::from_str(address).ok());
    let seen = match client.address {
        address if address == peer => own.clone(),
        address => address.and_then(|address| HeaderValue::try_from(address.to_string()).ok()),
    };
    let chains = [
        (FORWARDED, chain(said, element)),
        (FORWARDED_FOR, if is_trusted { address.as_deref().and_then(|own| chain(said_for, own)) } else { own }),
        (FORWARDED_HOST, host.and_then(|host| HeaderValue::from_str(host).ok())),
        (FORWARDED_PROTO, Some(HeaderValue::from_static(scheme))),
        (REAL_IP, seen),
    ];
    headers.reserve(chains.len() + 2);
    for (name, value) in chains {
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(&name)),
        }
    }
    let is_ours = |name: &HeaderName| {
        BELIEVED.contains(name) || [FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REAL_IP].contains(name)
    };
    // An application that reads names as variables (RFC 3875 section 4.1.18) takes `x_real_ip` for `x-real-ip`.
    let is_disguised = |name: &HeaderName| {
        name.as_str().contains('_') && name.as_str().replace('_', "-").parse().is_ok_and(|name| is_ours(&name))
    };
    let lies: Vec<HeaderName> =
        headers.keys().filter(|name| is_disguised(name) || (!is_trusted && BELIEVED.contains(name))).cloned().collect();
    for name in lies {
        headers.remove(name);
    }
}

/// What proxies have said before us, in `Forwarded` and in `X-Forwarded-For`. What can't be read of it is nobody, for the application
/// as for us, and hides nothing there that comes after it.
fn said(headers: &HeaderMap) -> (Vec<String>, Vec<String>) {
    let all = forwarded::elements(headers, &FORWARDED).into_iter();
    let addresses = elements(headers, &FORWARDED_FOR).map(|element| element.unwrap_or("unknown").to_owned()).collect();
    (all.map(|element| element.unwrap_or_else(|| "for=unknown".to_owned())).collect(), addresses)
}

fn chain(mut said: Vec<String>, own: &str) -> Option<HeaderValue> {
    said.push(own.to_owned());
    HeaderValue::try_from(said.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut all: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_about_a_connection_stays_on_it() {
        let mut fields = headers(&[
            ("connection", "close, X-Private"),
            ("connection", "host, content-length"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("x-private", "1"),
            ("x-public", "2"),
            ("host", "a"),
            ("content-length", "3"),
            ("trailer", "x-sum"),
        ]);
        end_of_hop(&mut fields);
        assert_eq!(shown(&fields), ["content-length: 3", "host: a", "te: trailers", "trailer: x-sum", "x-public: 2"]);
    }

    #[test]
    fn an_upgrade_is_asked_for_in_two_fields() {
        for (fields, want) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")][..], Some("websocket")),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade")], None),
        ] {
            assert_eq!(upgrade(&headers(fields)).as_ref().map(|value| value.to_str().unwrap()), want, "{fields:?}");
        }
    }

    #[test]
    fn who_asks_is_said_and_lies_are_not_passed_on() {
        let lies = [
            ("host", "www.example.com"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-ssl", "on"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x_real-ip", "1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
        ];
        let address = "192.0.2.7".parse().ok();
        let client = Client { address, is_secure: false, host: None };
        let mut fields = headers(&lies);
        add_forwarded(&mut fields, Some("www.example.com"), &client, address, false);
        assert_eq!(
            shown(&fields),
            [
                "forwarded: for=192.0.2.7;host=\"www.example.com\";proto=http",
                "host: www.example.com",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: www.example.com",
                "x-forwarded-proto: http",
                "x-real-ip: 192.0.2.7",
            ]
        );
        // A trusted proxy at ::1 has seen 192.0.2.7.
        let peer = "::1".parse().ok();
        let client = Client { address, is_secure: true, host: Some("shop.example.com".into()) };
        let mut fields = headers(&[("host", "10.0.0.1"), ("x-forwarded-for", "1.1.1.1, 192.0.2.7")]);
        add_forwarded(&mut fields, Some("shop.example.com"), &client, peer, true);
        assert_eq!(
            shown(&fields),
            [
                "forwarded: for=\"[::1]\";host=\"shop.example.com\";proto=https",
                "host: 10.0.0.1",
                "x-forwarded-for: 1.1.1.1, 192.0.2.7, ::1",
                "x-forwarded-host: shop.example.com",
                "x-forwarded-proto: https",
                "x-real-ip: 192.0.2.7",
            ]
        );
    }

    #[test]
    fn what_can_not_be_read_hides_nobody_from_the_application() {
        let address = "192.0.2.7".parse().ok();
        let client = Client { address, is_secure: false, host: None };
        let mut fields = headers(&[
            ("x-forwarded-for", "\u{e9},192.0.2.7"),
            ("forwarded", "for=\"x, for=192.0.2.7"),
            ("forwarded", "for=\u{e9}, for=\"[2001:db8::1]\""),
        ]);
        add_forwarded(&mut fields, None, &client, "10.0.0.1".parse().ok(), true);
        assert_eq!(
            shown(&fields),
            [
                "forwarded: for=unknown, for=192.0.2.7, for=unknown, for=\"[2001:db8::1]\", for=10.0.0.1;proto=http",
                "x-forwarded-for: unknown, 192.0.2.7, 10.0.0.1",
                "x-forwarded-proto: http",
                "x-real-ip: 192.0.2.7",
            ]
        );
    }

    #[test]
    fn a_message_says_whom_it_came_by() {
        let mut fields = headers(&[("via", "1.0 fred")]);
        let own = Via::new("fingerpost").unwrap();
        own.add(&mut fields, Version::HTTP_11);
        own.add(&mut fields, Version::HTTP_2);
        assert_eq!(shown(&fields), ["via: 1.0 fred", "via: 1.1 fingerpost", "via: 2.0 fingerpost"]);
    }
}

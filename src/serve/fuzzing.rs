//! Everything that reads bytes from outside, each with what must hold of it whatever the bytes are. `fuzz/` and a test call these.

mod messages;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, RANGE, VARY,
};
use http::{HeaderName, Method, Request, StatusCode, Uri};
use ipnet::IpNet;

pub use messages::{framing, hop};

use super::asked::Asked;
use super::client::Proxies;
use super::conditional::{self, Outcome};
use super::content::Content;
use super::log_line::{Clock, Record, write_line};
use super::loops::{self, CDN_LOOP};
use super::negotiate::Accepted;
use super::peer::Peer;
use super::quick::{Quick, Seen};
use super::range::{self, Selected};
use super::resource::Resource;
use super::sites::Sites;
use super::table::{Route, Table, TableBuilder};
use super::{Body, Handle, Handler, respond};
use crate::asset::{decode_url_path, is_hidden, url_path};
use crate::config::{LogFormat, ProxyHeaders};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::fingerprint::Digest;
use crate::html::{Editor, Link, Place, Stream};
use crate::manifest::Manifest;

/// It panics if something does not hold.
pub type Target = fn(&[u8]);

/// Each by its name.
pub const TARGETS: [(&str, Target); 14] = [
    ("accept_encoding", accept_encoding),
    ("cdn_loop", cdn_loop),
    ("conditions", conditions),
    ("forwarded", forwarded),
    ("framing", framing),
    ("hop", hop),
    ("host", host),
    ("log_line", log_line),
    ("manifest", manifest),
    ("page", page),
    ("path", path),
    ("range", range),
    ("request", request),
    ("wire", wire),
];

const BODY: &[u8] = b"0123456789 some text to have ranges of";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

fn resource() -> Resource {
    let headers = || {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
        headers
    };
    let coded = |encoding: Encoding| Bytes::from_static(encoding.token().as_bytes());
    Encoding::ALL
        .into_iter()
        .fold(Resource::new(&Digest::of(BODY), headers(), Bytes::from_static(BODY)), |resource, encoding| {
            resource.variant(encoding, coded(encoding))
        })
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(build_table)
}

fn build_table() -> Table {
    let mut table = TableBuilder::default();
    table.resource("/a", resource());
    table.resource("/a b/ü", resource());
    table.redirect("/docs", "/docs/");
    table.redirect("//evil.example", "//evil.example/");
    table.build()
}

/// The lines of a field: what is no header's value is left out.
fn lines(name: HeaderName, data: &[u8]) -> HeaderMap {
    let values = data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

/// `name: value` in each line; what is no field is left out.
fn fields<'d>(lines: impl Iterator<Item = &'d [u8]>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii());
        HeaderName::from_bytes(name).ok().zip(value.ok())
    })
}

/// `Accept-Encoding`: lines are one list, and what the client wants least is never preferred.
pub fn accept_encoding(data: &[u8]) {
    let lines = lines(ACCEPT_ENCODING, data);
    let joined: Vec<u8> = lines.values().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    let joined = HeaderValue::from_bytes(&joined).map(|value| HeaderMap::from_iter([(ACCEPT_ENCODING, value)]));
    let accepted = Accepted::of(&Asked::of(&lines));
    if let Ok(joined) = &joined {
        assert_eq!(accepted, Accepted::of(&Asked::of(joined)), "lines of a field are one list");
    }
    let resource = resource();
    if accepted.select(&resource).is_none() {
        let mentions_zero = lines.values().any(|value| value.as_bytes().contains(&b'0'));
        assert!(mentions_zero, "nothing is unacceptable unless it is said to be");
    }
}

/// `If-Match` and `If-None-Match`: a tag is found wherever it stands in a list, and what follows it does not matter.
pub fn conditions(data: &[u8]) {
    const ETAG: &[u8] = b"\"3f-br\"";
    let none_match = lines(IF_NONE_MATCH, data);
    let with_own = [b"\"3f-br\", ", data].concat();
    assert_ne!(conditional::evaluate(&Asked::of(&none_match), ETAG), Outcome::Failed);
    if let Ok(value) = HeaderValue::from_bytes(&with_own) {
        let outcome = |name| {
            let headers = HeaderMap::from_iter([(name, value.clone())]);
            conditional::evaluate(&Asked::of(&headers), ETAG)
        };
        assert_eq!(outcome(IF_NONE_MATCH), Outcome::NotModified);
        assert_eq!(outcome(IF_MATCH), Outcome::Proceed);
    }
    assert_ne!(conditional::evaluate(&Asked::of(&lines(IF_MATCH, data)), ETAG), Outcome::NotModified);
}

/// `Range`: what is selected lies within, is not empty, and does not overlap. The first byte is the representation's length.
pub fn range(data: &[u8]) {
    let Some((length, field)) = data.split_first() else { return };
    let length = u64::from(*length);
    let ranges = match range::select(field, length) {
        Selected::One(range) => vec![range],
        Selected::Several(ranges) => {
            assert!((2..=16).contains(&ranges.len()), "{ranges:?}");
            ranges
        }
        Selected::Whole | Selected::Unsatisfiable => return,
    };
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.start);
    let mut end = 0;
    for range in &sorted {
        assert!(end <= range.start && range.start < range.end && range.end <= length, "{sorted:?} of {length}");
        end = range.end;
    }
    let body = Content::Memory(vec![b'x'; usize::try_from(length).unwrap_or(0)].into());
    let parts = Body::of(range::multipart(&body, &ranges, None, "b"));
    assert!(parts.remaining() > ranges.iter().map(|range| range.end - range.start).sum());
}

/// An application's page: in whatever pieces it comes, what becomes of it is what the parser of whole pages makes of it. The first byte
/// says how long the pieces are, and in which charset they are read.
pub fn page(data: &[u8]) {
    struct Moves;
    impl Editor for Moves {
        fn url(&mut self, place: Place, url: &str) -> Option<Link> {
            let integrity = place.takes_integrity().then(|| "sha256-x".to_owned());
            url.contains('/').then(|| Link {
                url: format!("https://c\"&{url}"),
                integrity,
                other_origin: true,
                fallback: None,
            })
        }

        fn before(&mut self, place: Place, url: &str) -> Option<String> {
            (place == Place::Stylesheet).then(|| format!("<x y={url}>"))
        }
    }
    let Some((first, page)) = data.split_first() else { return };
    let charset = Some(if first % 2 == 0 { "utf-8" } else { "windows-1252" });
    let (mut scanned, mut parsed) = (Vec::new(), Vec::new());
    if let Some(mut stream) = Stream::new(charset, Box::new(Moves)) {
        for piece in page.chunks(usize::from(first / 2 + 1)) {
            scanned.extend(stream.write(Bytes::copy_from_slice(piece)));
        }
        scanned.extend(stream.end());
    }
    if let Some(mut stream) = Stream::parsed(charset, Box::new(Moves)) {
        parsed.extend(stream.write(Bytes::copy_from_slice(page)));
        parsed.extend(stream.end());
    }
    assert_eq!(String::from_utf8_lossy(&scanned), String::from_utf8_lossy(&parsed));
    // The parser can't put back what is not in the page's charset, once a text has come in pieces.
    if charset != Some("utf-8") || std::str::from_utf8(page).is_ok() {
        assert_eq!(scanned, parsed);
    }
}

/// A URL's path: what is decoded is encoded and decoded again to the same; and no redirect leaves the site.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(decoded) = decode_url_path(text) {
        assert!(!decoded.contains('\0'));
        assert_eq!(decode_url_path(&url_path(&decoded)).as_deref(), Some(decoded.as_str()));
        let mut table = TableBuilder::default();
        table.resource(format!("/{decoded}"), resource());
        table.redirect("/from", &decoded);
        let table = table.build();
        assert!(!is_hidden(&decoded) || table.get(&format!("/{decoded}")).is_none());
        if let Some(Route::Redirect(to)) = table.get("/from") {
            assert!(to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"), "{to}");
            assert!(HeaderValue::from_str(to).is_ok(), "{to}");
        }
    }
}

/// A whole request: a line with method and target, then a line for each header.
pub fn request(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next().unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else { return };
    let (Ok(method), Ok(target)) = (Method::from_bytes(method), Uri::try_from(target)) else { return };
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    request.headers_mut().insert(http::header::HOST, HeaderValue::from_static("localhost"));
    request.headers_mut().extend(fields(lines));
    let response = respond(table(), &request);
    let (status, headers) = (response.status(), response.headers());
    assert!(
        matches!(status.as_u16(), 200 | 204 | 206 | 304 | 308 | 400 | 404 | 405 | 406 | 412 | 414 | 416),
        "{status}"
    );
    let cache = headers.get(CACHE_CONTROL).map(HeaderValue::as_bytes);
    if status.is_client_error() {
        assert_eq!(cache, Some(b"no-store".as_slice()), "{status}");
    }
    if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) {
        assert!(headers.contains_key(VARY), "{status}");
    }
    assert!(status != StatusCode::PARTIAL_CONTENT || request.headers().contains_key(RANGE));
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let remaining = response.body().remaining();
    match *request.method() {
        Method::HEAD => assert_eq!(remaining, 0),
        // Otherwise the transport tells it.
        _ => assert_eq!(length.unwrap_or(remaining), remaining, "{status}"),
    }
}

/// What a connection receives: what is answered past hyper is a request by itself and whole, and its answer has one head.
pub fn wire(data: &[u8]) {
    static QUICK: OnceLock<Option<Quick>> = OnceLock::new();
    let quick = QUICK.get_or_init(|| Quick::of(&Handler::new(Handle::new(build_table())), true));
    let Some(quick) = quick else { return assert!(quick.is_some(), "it answers from a table") };
    let mut out = Vec::new();
    let answer = match quick.look(data, &mut out) {
        Seen::Answered(answer) => answer,
        Seen::Alone(length) => {
            assert!(out.is_empty() && data[..length].ends_with(b"\n"));
            // Without what follows it, it is the same request.
            return assert!(matches!(quick.look(&data[..length], &mut out), Seen::Alone(same) if same == length));
        }
        Seen::Unclear => return assert!(out.is_empty(), "nothing has happened"),
    };
    assert!(data[..answer.request].ends_with(b"\n"));
    assert!(data.trim_ascii_start().starts_with(b"GET /"));
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(out.len());
    let head = String::from_utf8_lossy(&out[..end]);
    assert!(["200", "206", "304"].iter().any(|status| head[9..].starts_with(status)), "{head}");
    assert!(head.lines().skip(1).all(|line| line.contains(": ")), "{head}");
    let told = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    assert_eq!(out.len() as u64, end as u64 + 4 + told - answer.body.length(), "{head}");
}

/// `Forwarded` and `X-Forwarded-For`: whatever is written to the left of what our own proxy has added, be it on the same line, the client
/// is the one that it names.
pub fn forwarded(data: &[u8]) {
    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    for (name, headers, own) in [
        ("forwarded", ProxyHeaders::Forwarded, "for=192.0.2.9"),
        ("forwarded", ProxyHeaders::Forwarded, "for=\"192.0.2.9:80\";host=\"a.example\";proto=https"),
        ("x-forwarded-for", ProxyHeaders::XForwarded, "192.0.2.9"),
    ] {
        let proxies = Proxies::new(vec![IpNet::from(PROXY)], headers);
        let mut request = Request::new(());
        let peer = Some(Peer { address: SocketAddr::new(PROXY, 1), is_tls: false });
        let Ok(value) = HeaderValue::from_bytes(&[data, b", ", own.as_bytes()].concat()) else { return };
        request.headers_mut().insert(name, value);
        assert_eq!(proxies.client(peer, request.headers()).address, Some(CLIENT), "{name}");
        request.headers_mut().append(name, HeaderValue::from_static(own));
        assert_eq!(proxies.client(peer, request.headers()).address, Some(CLIENT), "{name}");
    }
}

/// A line of the access log: one line, whatever a client sends.
pub fn log_line(data: &[u8]) {
    let mut request = Request::new(());
    let half = data.len() / 2;
    for (name, value) in [("user-agent", data.get(..half)), ("referer", data.get(half..))] {
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            request.headers_mut().insert(name, value);
        }
    }
    if let Ok(target) = Uri::try_from(data) {
        *request.uri_mut() = target;
    }
    let record = Record::of(&request, None, &Proxies::default());
    for format in [LogFormat::Combined, LogFormat::Json] {
        let mut line = Vec::new();
        write_line(&mut line, format, &record, &mut Clock::default());
        assert_eq!(line.iter().filter(|byte| **byte < b' ').count(), 1, "the end alone");
        assert!(line.ends_with(b"\n"));
    }
}

/// A manifest: what is read is written so that the same is read again.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        let text = manifest.to_json();
        assert_eq!(Manifest::parse(text.as_bytes()).map(|again| again.to_json()), Ok(text));
    }
}

/// `CDN-Loop`: who has been there is found, and nobody else; on the same line, nothing that follows can hide it.
pub fn cdn_loop(data: &[u8]) {
    const ID: &str = "fingerpost";
    let is_found = |headers: &HeaderMap| loops::names(&Asked::of(headers).cdn_loop, ID);
    let sent = lines(CDN_LOOP, data);
    let is_said =
        |value: &HeaderValue| value.as_bytes().windows(ID.len()).any(|part| part.eq_ignore_ascii_case(ID.as_bytes()));
    assert!(!is_found(&sent) || sent.values().any(is_said), "nobody has said so");
    let mut passed_on = sent;
    loops::append(&mut passed_on, HeaderValue::from_static(ID));
    assert!(is_found(&passed_on), "what is on other lines does not matter");
    if let Ok(value) = HeaderValue::from_bytes(&[ID.as_bytes(), b", ", data].concat()) {
        assert!(is_found(&HeaderMap::from_iter([(CDN_LOOP, value)])));
    }
}

/// `Host`, in lines: two are none, what is no host is refused, and which environment a host leads to is said by its name alone.
pub fn host(data: &[u8]) {
    static SITES: OnceLock<(Sites, [Arc<Table>; 2])> = OnceLock::new();
    let (sites, [one, below]) = SITES.get_or_init(|| {
        let environment = |host: &str| Environment { hosts: vec![host.to_owned()], ..Environment::new(host) };
        let environments = [environment("a.example"), environment("*.b.example")];
        let tables = [(); 2].map(|()| Arc::<Table>::default());
        (Sites::new(environments.iter().zip(tables.clone()), None), tables)
    });
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/a");
    *request.headers_mut() = lines(HOST, data);
    let is_taken = respond(table(), &request).status() == StatusCode::OK;
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return assert!(!is_taken, "HTTP/1.1 has one") };
    let is_visible = host.iter().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\,\"<>".contains(byte));
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let port = host.get(name.len() + 1..).unwrap_or_default();
    let is_plain = !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
        && port.iter().all(u8::is_ascii_digit);
    assert!(is_visible || !is_taken, "{:?}", String::from_utf8_lossy(host));
    assert!(is_taken || !is_plain, "{:?}", String::from_utf8_lossy(host));
    let Some(host) = str::from_utf8(host).ok().filter(|_| is_taken) else { return };
    let leads_to = |table: &Arc<Table>| sites.get(host).is_some_and(|chosen| Arc::ptr_eq(chosen, table));
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    assert_eq!(leads_to(one), name == "a.example", "{host}");
    assert_eq!(leads_to(below), name.len() > ".b.example".len() && name.ends_with(".b.example"), "{host}");
}

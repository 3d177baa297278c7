//! The plainest requests, answered without a detour: a GET of HTTP/1.1 for what is in memory or an open file, whole, in one range, or
//! not modified.
//!
//! Nine in ten requests are such. What they are answered is decided as for any other, by [`decide`]; left out is what hyper does
//! before and after, which takes longer than all else: a map of the request's fields, another of the answer's, and both taken apart
//! again. A request that is in any way unusual is left to hyper as it is, so that there is one place for the difficult things.

use std::any::Any;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::asked::Asked;
use super::client::is_host;
use super::content::Content;
use super::handler::Handler;
use super::metrics::{Counted, Metrics};
use super::observe::watched;
use super::represent::{Decision, decide};
use super::resource::Representation;
use super::table::{Route, Table};

/// A request with more fields is unusual.
const FIELDS: usize = 64;

/// Bytes of a body that are written behind the head, rather than beside it.
const SMALL: usize = 4096;

/// Answers a connection's plain requests.
#[derive(Debug)]
pub struct Quick {
    handler: Handler,
    metrics: Option<Arc<Metrics>>,
    /// Whether the connection can send files.
    sends_files: bool,
}

/// What bytes begin with.
#[derive(Debug)]
pub enum Seen {
    Answered(Written),
    /// Another request, of so many bytes, to which nothing belongs but its head (RFC 9112 section 6.3), so that what follows it is a
    /// request again.
    Alone(usize),
    /// Half a head, or a request that may have a body, or none.
    Unclear,
}

/// An answer that is to be written: the head, with what there is of a small body, and the rest.
#[derive(Debug)]
pub struct Written {
    /// Bytes of the request.
    pub request: usize,
    /// Never closed; a file was asked for its soundness just before.
    pub body: Content,
    pub due: Option<Due>,
}

/// An answer that is to be counted when it is over.
#[derive(Debug)]
pub struct Due {
    metrics: Arc<Metrics>,
    counted: Counted,
    start: Instant,
    /// Bytes of the body.
    length: u64,
    /// Bytes of head and body that are yet to be written.
    left: u64,
}

impl Due {
    pub fn left(&mut self, bytes: u64) {
        self.left = bytes;
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        let sent = self.length.saturating_sub(self.left);
        self.metrics.count(self.counted, sent, self.start.elapsed());
    }
}

impl Quick {
    /// None if the service does more than to answer from a table: if it is another, if a layer wraps it, or if a log is kept.
    pub fn of<S: 'static>(service: &S, sends_files: bool) -> Option<Self> {
        let (handler, metrics) = match watched(service) {
            Some(observed) => observed.if_counted_at_most()?,
            None => ((service as &dyn Any).downcast_ref::<Handler>()?, None),
        };
        let is_direct = !handler.is_behind_proxy();
        is_direct.then(|| Quick { handler: handler.clone(), metrics: metrics.cloned(), sends_files })
    }

    /// Answers the request that the bytes begin with, if it is plain: puts the head of the answer to `out`, to which otherwise nothing
    /// happens.
    pub fn look(&self, bytes: &[u8], out: &mut Vec<u8>) -> Seen {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) if is_alone(&request) && has_whole_lines(bytes, length) => {
                self.answer(&request, length, out).map_or(Seen::Alone(length), Seen::Answered)
            }
            _ => Seen::Unclear,
        }
    }

    fn answer(&self, request: &httparse::Request<'_, '_>, length: usize, out: &mut Vec<u8>) -> Option<Written> {
        let start = self.metrics.as_ref().map(|_| Instant::now());
        let path = request.path.filter(|path| is_plain(path))?;
        if request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let asked = Asked::of_plain(request.headers)?;
        let host = asked.host.only().filter(|host| is_host(host))?;
        if !asked.cdn_loop.is_empty() {
            return None;
        }
        let sites = self.handler.sites();
        let table = sites.choose(|| str::from_utf8(host).ok())?;
        let Route::Resource(resource) = table.get(path)? else { return None };
        let (status, representation, range) = match decide(resource, &Method::GET, &asked) {
            Decision::Whole(representation) => (StatusCode::OK, representation, None),
            Decision::NotModified(representation) => (StatusCode::NOT_MODIFIED, representation, None),
            Decision::Part(representation, range) => (StatusCode::PARTIAL_CONTENT, representation, Some(range)),
            _ => return None,
        };
        let body = match (status, &range) {
            (StatusCode::NOT_MODIFIED, _) => Content::Memory(Bytes::new()),
            (_, None) => representation.body.clone(),
            (_, Some(range)) => representation.body.slice(range.clone()),
        };
        let body = match body {
            // A few bytes of a file are sooner read than sent from there.
            Content::File(segment) if segment.length() <= SMALL as u64 => segment.read_now()?.ok()?.into(),
            // A doubt takes time.
            Content::File(segment) if !self.sends_files || !segment.stored().is_unchanged() => return None,
            Content::Closed(_) => return None,
            body => body,
        };
        let lines = representation.lines(status == StatusCode::NOT_MODIFIED);
        let counted = Counted::plain(status, lines.is_immutable, representation.encoding);
        let due = self.metrics.as_ref().zip(start).map(|(metrics, start)| Due {
            metrics: Arc::clone(metrics),
            counted,
            start,
            length: body.length(),
            left: u64::MAX,
        });
        self.head(out, table, status, &representation, range.as_ref(), body.length());
        let body = match body {
            Content::Memory(bytes) if bytes.len() <= SMALL => {
                out.extend_from_slice(&bytes);
                Content::Memory(Bytes::new())
            }
            body => body,
        };
        Some(Written { request: length, body, due })
    }

    fn head(
        &self,
        out: &mut Vec<u8>,
        table: &Table,
        status: StatusCode,
        representation: &Representation<'_>,
        range: Option<&Range<u64>>,
        length: u64,
    ) {
        let is_not_modified = status == StatusCode::NOT_MODIFIED;
        let lines = &representation.lines(is_not_modified).text;
        let body = usize::try_from(length).ok().filter(|length| *length <= SMALL);
        out.reserve(lines.len() + body.unwrap_or(0) + 256);
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        put(&[match status {
            StatusCode::NOT_MODIFIED => b"HTTP/1.1 304 Not Modified\r\n",
            StatusCode::PARTIAL_CONTENT => b"HTTP/1.1 206 Partial Content\r\n",
            _ => b"HTTP/1.1 200 OK\r\n",
        }]);
        if let Some(tag) = &representation.etag {
            put(&[b"etag: ", tag.as_bytes(), b"\r\n"]);
        }
        put(&[lines]);
        if let Some(range) = range {
            let (mut first, mut last, mut all) = (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
            put(&[
                b"content-range: bytes ",
                first.format(range.start).as_bytes(),
                b"-",
                last.format(range.end.saturating_sub(1)).as_bytes(),
                b"/",
                all.format(representation.body.length()).as_bytes(),
                b"\r\n",
            ]);
        }
        if self.handler.is_tls()
            && let Some(hsts) = representation.hsts(table.hsts())
        {
            put(&[b"strict-transport-security: ", hsts.as_bytes(), b"\r\n"]);
        }
        if !is_not_modified {
            put(&[b"content-length: ", itoa::Buffer::new().format(length).as_bytes(), b"\r\n"]);
        }
        DATE.with_borrow_mut(|date| put(&[b"date: ", date.now(), b"\r\n\r\n"]));
    }
}

/// Whether each line of a head of this length ends as it should; a bare line feed is for whoever refuses it.
fn has_whole_lines(bytes: &[u8], length: usize) -> bool {
    let head = bytes.get(..length).unwrap_or_default();
    memchr::memchr_iter(b'\n', head).all(|at| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\r'))
}

/// Whether nothing can belong to a request but its head.
fn is_alone(request: &httparse::Request<'_, '_>) -> bool {
    const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "expect", "upgrade"];
    let frames = |field: &httparse::Header<'_>| FRAMING.iter().any(|name| field.name.eq_ignore_ascii_case(name));
    request.method != Some("CONNECT") && !request.headers.iter().any(frames)
}

/// Whether a target is a path that means what it says: nothing of it is encoded, and there is no query.
fn is_plain(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte))
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { second: u64::MAX, text: String::new() }) };
}

/// The time as `Date` has it (RFC 9110 section 6.6.1), written once for each second.
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs);
        if second != self.second {
            *self = Date { second, text: httpdate::fmt_http_date(now) };
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use crate::serve::fixture::{agree, answered, quick};
    use crate::serve::{Handle, Peer, Resource, TableBuilder, respond};
    use http::Request;
    use http::header::{HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};

    fn table() -> Table {
        let mut table = TableBuilder::default();
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-own"), HeaderValue::from_static("1"));
        headers.append(HeaderName::from_static("x-own"), HeaderValue::from_static("2"));
        for (path, length) in [("/", 10), ("/a.b/C-d_e~1.js", SMALL), ("/large", SMALL + 1)] {
            let body = vec![b'x'; length];
            table.resource(path, Resource::new(&Digest::of(&body), headers.clone(), Bytes::from(body)));
        }
        table.redirect("/to", "/");
        table.build()
    }

    #[test]
    fn plain_requests_are_answered_as_by_the_table() {
        for path in ["/", "/a.b/C-d_e~1.js", "/large"] {
            for headers in [
                &[][..],
                &[("range", "bytes=2-5")],
                &[("range", "bytes=-3")],
                &[("if-none-match", "*"), ("connection", "Keep-Alive"), ("accept", "text/html, */*;q=0.1")],
                &[("accept-encoding", "br, gzip"), ("cookie", "a=b"), ("user-agent", "x")],
            ] {
                let request =
                    headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
                let request = request.header("host", "a").body(()).unwrap();
                let ours = answered(table(), &request).unwrap_or_else(|| panic!("{path} {headers:?} is plain"));
                agree(ours, respond(&table(), &request));
            }
        }
    }

    #[test]
    fn hsts_is_there_once_over_tls_and_a_files_own_wins() {
        let mut table = TableBuilder::default();
        table.hsts(HeaderValue::from_static("max-age=9"));
        for (path, own) in [("/", None), ("/own", Some("max-age=1")), ("/none", Some(""))] {
            let headers = own.map(|own| (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(own)));
            table.resource(
                path,
                Resource::new(&Digest::of(b"x"), headers.into_iter().collect(), Bytes::from_static(b"x")),
            );
        }
        let handler = Handler::new(Handle::new(table.build()));
        for is_tls in [true, false] {
            let peer = Peer { address: ([192, 0, 2, 1], 1).into(), is_tls };
            let quick = Quick::of(&handler.clone().for_peer(peer), true).unwrap();
            for (path, want) in [("/", Some("max-age=9")), ("/own", Some("max-age=1")), ("/none", None)] {
                let mut out = Vec::new();
                let seen = quick.look(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(), &mut out);
                assert!(matches!(seen, Seen::Answered(_)), "{path}");
                let head = String::from_utf8(out).unwrap();
                let all = head.lines().filter_map(|line| line.strip_prefix("strict-transport-security: "));
                assert_eq!(all.collect::<Vec<_>>(), Vec::from_iter(want.filter(|_| is_tls)), "{path} {is_tls}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        let quick = quick(table());
        let head = |line: &str, fields: &str| format!("{line}\r\nhost: a\r\n{fields}\r\n");
        let get = |fields: &str| head("GET / HTTP/1.1", fields);
        assert!(matches!(quick.look(get("").as_bytes(), &mut Vec::new()), Seen::Answered(_)));
        for text in [
            head("HEAD / HTTP/1.1", ""),
            head("POST / HTTP/1.1", ""),
            head("get / HTTP/1.1", ""),
            head("GET / HTTP/1.0", ""),
            head("GET http://a/ HTTP/1.1", ""),
            head("GET /?x HTTP/1.1", ""),
            head("GET /%61 HTTP/1.1", ""),
            head("GET /a#b HTTP/1.1", ""),
            head("GET * HTTP/1.1", ""),
            head("GET /to HTTP/1.1", ""),
            head("GET /missing HTTP/1.1", ""),
            get("connection: close\r\n"),
            get("connection: keep-alive, upgrade\r\n"),
            get("content-length: 0\r\n"),
            get("Transfer-Encoding: chunked\r\n"),
            get("expect: 100-continue\r\n"),
            get("upgrade: h2c\r\n"),
            get("host: b\r\n"),
            get("cdn-loop: a\r\n"),
            get("range: bytes=0-1,3-4\r\n"),
            get("range: bytes=99-\r\n"),
            get("if-match: \"x\"\r\n"),
            get("accept-encoding: identity;q=0\r\n"),
            get("x : y\r\n"),
            get("x: y\r\n z\r\n"),
            get(&"x: y\r\n".repeat(FIELDS)),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a\r\n".to_owned(),
            String::new(),
        ] {
            let mut out = Vec::new();
            assert!(!matches!(quick.look(text.as_bytes(), &mut out), Seen::Answered(_)) && out.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_request_is_alone_if_nothing_can_belong_to_it() {
        let alone = "HEAD /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let quick = quick(table());
        let look = |text: &str| quick.look(text.as_bytes(), &mut Vec::new());
        assert!(matches!(look(&format!("{alone}GET")), Seen::Alone(length) if length == alone.len()));
        for text in [
            "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nupgrade: x\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n",
            "junk\r\n\r\n",
        ] {
            assert!(matches!(look(text), Seen::Unclear), "{text}");
        }
    }
}

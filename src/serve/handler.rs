//! From a request to its answer: one look-up in the table, and what is said where nothing is found. No I/O, nothing that waits.

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, ORIGIN, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use super::answer::Answer;
use super::asked::{Asked, Lines};
use super::body::Body;
use super::client::{self, Client, Proxies, is_host, is_same_host};
use super::content::Content;
use super::loops;
use super::negotiate::Accepted;
use super::peer::Peer;
use super::represent::represent;
use super::resource::{Representation, Resource};
use super::sites::Sites;
use super::table::{Handle, Route, Table};
use crate::asset::decode_url_path;

/// Bytes of the longest path that is looked up; a longer one is answered 414 (RFC 9110 section 4.1 asks for 8,000 at least).
const LONGEST_PATH: usize = 8 * 1024;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Request headers that a script of another origin may set, and that mean something here.
const ASKABLE: HeaderValue = HeaderValue::from_static("if-match, if-none-match, if-range, range");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A [`Handle`]'s tables as a tower service, for [`Server::run`](super::Server::run) or to be wrapped in layers before.
#[derive(Debug, Clone)]
pub struct Handler {
    handle: Handle,
    front: Arc<Front>,
    peer: Option<Peer>,
}

/// What is known of what stands before the server.
#[derive(Debug, Clone, Default)]
pub struct Front {
    pub proxies: Proxies,
    /// The server's own name in `CDN-Loop` (RFC 8586); without one, nobody looks for it.
    pub cdn_id: Option<String>,
}

impl Handler {
    pub fn new(handle: Handle) -> Self {
        Handler { handle, front: Arc::default(), peer: None }
    }

    pub fn behind(self, front: Front) -> Self {
        Handler { front: Arc::new(front), ..self }
    }

    /// For a connection. Without, nobody knows whom it answers.
    pub fn for_peer(self, peer: Peer) -> Self {
        Handler { peer: Some(peer), ..self }
    }

    /// Whether others may say who asks.
    pub(super) fn is_behind_proxy(&self) -> bool {
        self.peer.is_some_and(|peer| self.front.proxies.trusts(peer.address.ip()))
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        self.peer
    }

    pub(super) fn is_tls(&self) -> bool {
        self.peer.is_some_and(|peer| peer.is_tls)
    }

    pub(super) fn sites(&self) -> arc_swap::Guard<Arc<Sites>> {
        self.handle.load()
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        match self.look_up(request, |_, _, _| false) {
            Routed::Here(response) => response,
            Routed::Beyond(..) => error(StatusCode::NOT_FOUND),
        }
    }

    /// The answer to a request, unless it is for whoever is behind this server.
    pub(super) fn look_up<B>(
        &self,
        request: &Request<B>,
        is_beyond: fn(&Table, &Request<B>, &Asked<'_>) -> bool,
    ) -> Routed {
        let sites = self.handle.load();
        let client = self.front.proxies.client(self.peer, request.headers());
        let host = || client.host.as_deref().or_else(|| client::host(request.uri(), request.headers()));
        // What is no host is answered by `answer_to`, whichever table it is given.
        let table = sites.choose(host);
        let asked = Asked::of(request.headers());
        let is_loop = self.front.cdn_id.as_ref().is_some_and(|id| loops::names(&asked.cdn_loop, id));
        let inherited = table.and_then(|table| table.hsts());
        let (mut response, hsts) = match table {
            _ if is_loop => (error(StatusCode::LOOP_DETECTED), inherited),
            Some(table) if is_beyond(table, request, &asked) => {
                return Routed::Beyond(Arc::clone(table), client);
            }
            Some(table) => answer_to(table, request, &asked),
            None if !has_right_host(request, &asked) => (error(StatusCode::BAD_REQUEST), None),
            None => (error(StatusCode::MISDIRECTED_REQUEST), None),
        };
        // RFC 6797 section 7.2: in the clear it must not be sent.
        if client.is_secure
            && let Some(hsts) = hsts
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response.into()
    }
}

/// An answer, and its `Strict-Transport-Security` if it goes out over TLS.
pub(super) type WithHsts<'t> = (Response<Body>, Option<&'t HeaderValue>);

/// Whose a request is.
pub(super) enum Routed {
    Here(Response<Body>),
    /// In no table; this is the one that has the request's host.
    Beyond(Arc<Table>, Client),
}

impl From<Response<Body>> for Routed {
    fn from(response: Response<Body>) -> Self {
        Routed::Here(response)
    }
}

impl<B> tower::Service<Request<B>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Answer::checked(guarded(|| self.respond(&request)))
    }
}

/// 500 in place of a panic. Not tower-http's `CatchPanic`, which boxes the body of every response.
fn guarded(answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| error(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Answers a request from the table.
pub fn respond<B>(table: &Table, request: &Request<B>) -> Response<Body> {
    answer_to(table, request, &Asked::of(request.headers())).0
}

fn answer_to<'t, B>(table: &'t Table, request: &Request<B>, asked: &Asked<'_>) -> WithHsts<'t> {
    let (response, hsts) = match *request.method() {
        _ if !has_right_host(request, asked) => (error(StatusCode::BAD_REQUEST), table.hsts()),
        Method::GET | Method::HEAD => retrieve(table, request, asked),
        Method::OPTIONS => (options(table, request), table.hsts()),
        _ => (with(error(StatusCode::METHOD_NOT_ALLOWED), ALLOW, METHODS), table.hsts()),
    };
    match *request.method() {
        Method::HEAD => (only_head(response), hsts),
        _ => (response, hsts),
    }
}

/// RFC 9110 section 9.3.2: the headers of a GET and no body. The transport tells how long a body is, which a HEAD's answer hasn't.
fn only_head(mut response: Response<Body>) -> Response<Body> {
    // RFC 9110 section 8.6: the length of a 304 would be that of the 200.
    if response.status() != StatusCode::NOT_MODIFIED {
        let length = response.body().remaining();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::default())
}

/// RFC 9112 section 3.2: HTTP/1.1 without a `Host`, or with two, or with one that is no host, is a bad request. So is HTTP/2 with neither
/// that nor `:authority`, or with both for two hosts (RFC 9113 section 8.3.1). A target that says who asks is refused too: it is there to
/// deceive (RFC 9110 section 4.2.4).
pub(super) fn has_right_host<B>(request: &Request<B>, asked: &Asked<'_>) -> bool {
    let uri = request.uri();
    let named = uri.authority().map(|authority| authority.as_str().as_bytes());
    if !named.is_none_or(is_host) {
        return false;
    }
    match (&asked.host, request.version(), named) {
        (Lines::Several(_), ..) => false,
        (Lines::None, Version::HTTP_2, named) => named.is_some(),
        (Lines::None, version, _) => version != Version::HTTP_11,
        (Lines::One(host), Version::HTTP_2, Some(named)) => {
            is_host(host) && is_same_host(host, named, uri.scheme_str())
        }
        (Lines::One(host), Version::HTTP_2, None) => is_host(host) && !host.is_empty(),
        (Lines::One(host), ..) => is_host(host),
    }
}

fn retrieve<'t, B>(table: &'t Table, request: &Request<B>, asked: &Asked<'_>) -> WithHsts<'t> {
    let path = match decoded_path(request.uri()) {
        Ok(path) => path,
        Err(status) => return (error(status), table.hsts()),
    };
    match table.get(&path) {
        Some(Route::Resource(resource)) => {
            (represent(resource, request.method(), asked), resource.fields().hsts(table.hsts()))
        }
        Some(Route::Redirect(to)) => (redirect(to, request.uri().query()), table.hsts()),
        None => not_found(table, asked),
    }
}

/// The path of the target in origin form or in absolute form (RFC 9112 section 3.2).
pub(super) fn decoded_path(uri: &Uri) -> Result<Cow<'_, str>, StatusCode> {
    let path = uri.path();
    if path.len() > LONGEST_PATH {
        return Err(StatusCode::URI_TOO_LONG);
    }
    if !path.starts_with('/') {
        return Err(StatusCode::BAD_REQUEST);
    }
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(path));
    }
    decode_url_path(path).map(Cow::Owned).ok_or(StatusCode::BAD_REQUEST)
}

/// 308, so that the method stays what it is; with the query, which says something to the page's scripts.
fn redirect(to: &str, query: Option<&str>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    set(
        &mut headers,
        LOCATION,
        match query {
            Some(query) => format!("{to}?{query}"),
            None => to.to_owned(),
        },
    );
    headers.insert(CACHE_CONTROL, NO_CACHE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    answer(StatusCode::PERMANENT_REDIRECT, headers, Bytes::new())
}

fn not_found<'t>(table: &'t Table, asked: &Asked<'_>) -> WithHsts<'t> {
    error_page(table, StatusCode::NOT_FOUND, |page| Accepted::selected(asked, page))
}

/// An error's answer, with the site's own page for it if there is one, in the representation that is selected, or else as it is.
pub(super) fn error_page<'t>(
    table: &'t Table,
    status: StatusCode,
    select: impl FnOnce(&'t Resource) -> Option<Representation<'t>>,
) -> WithHsts<'t> {
    let Some(page) = table.error_page(status) else { return (error(status), table.hsts()) };
    let representation = select(page).unwrap_or_else(|| page.identity());
    let response = answer(status, representation.headers(), representation.body.clone());
    (response, page.fields().hsts(table.hsts()))
}

/// What may be done, and to what is for other origins too, what those may do (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
fn options<B>(table: &Table, request: &Request<B>) -> Response<Body> {
    let headers =
        HeaderMap::from_iter([(ALLOW, METHODS), (CACHE_CONTROL, NO_STORE), (X_CONTENT_TYPE_OPTIONS, NOSNIFF)]);
    let mut response = answer(StatusCode::NO_CONTENT, headers, Bytes::new());
    let asks = [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD].iter().all(|name| request.headers().contains_key(name));
    let resource = decoded_path(request.uri()).ok().filter(|_| asks).and_then(|path| table.get(&path));
    if let Some(Route::Resource(resource)) = resource
        && let Some(origins) = resource.fields().own().get(ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        response.headers_mut().extend([
            (ACCESS_CONTROL_ALLOW_ORIGIN, origins.clone()),
            (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (ACCESS_CONTROL_ALLOW_HEADERS, ASKABLE),
            // Chromium keeps it for two hours at most, Firefox for a day.
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ]);
    }
    response
}

/// An error's answer: nothing may store it, and it has no validator.
pub fn error(status: StatusCode) -> Response<Body> {
    let body = Bytes::from(format!("{status}\n"));
    let length = HeaderValue::from(body.len());
    let headers = HeaderMap::from_iter([
        (CACHE_CONTROL, NO_STORE),
        (CONTENT_TYPE, TEXT),
        (CONTENT_LENGTH, length),
        (X_CONTENT_TYPE_OPTIONS, NOSNIFF),
    ]);
    answer(status, headers, body)
}

pub(super) fn answer(status: StatusCode, headers: HeaderMap, content: impl Into<Content>) -> Response<Body> {
    with_body(status, headers, Body::new(content))
}

pub(super) fn with_body(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

/// Sets a header to text that comes from numbers, tokens and URLs, and so is always a header's value.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::environment::Environment;
    use crate::serve::fixture::Site;
    use crate::serve::table::TableBuilder;
    use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HOST, VARY};
    use http_body_util::BodyExt;

    /// A resource at `/a.txt` with the bodies `0123456789`, and `br-body` in Brotli.
    fn table() -> Table {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, TEXT);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        let digest = crate::fingerprint::Digest::of(b"0123456789");
        let plain = Resource::new(&digest, headers, Bytes::from_static(b"0123456789"));
        let coded = plain.clone().variant(Encoding::Brotli, Bytes::from_static(b"br-body"));
        let mut table = TableBuilder::default();
        table.resource("/a.txt", coded);
        table.resource("/plain.txt", plain);
        table.resource("/a b/ü.txt", Resource::new(&digest, HeaderMap::new(), Bytes::new()));
        table.redirect("/docs", "/docs/");
        table.build()
    }

    const TAG: &str = "\"84d89877f0d4041e\"";
    const BR_TAG: &str = "\"ee8fb9c3e9903aa8-br\"";

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(target).header(HOST, "localhost");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    fn ask(method: &str, target: &str, headers: &[(&str, &str)]) -> Response<Body> {
        respond(&table(), &request(method, target, headers))
    }

    fn get(target: &str, headers: &[(&str, &str)]) -> Response<Body> {
        ask("GET", target, headers)
    }

    fn body(response: Response<Body>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(response.into_body().collect()).unwrap().to_bytes().to_vec()
    }

    #[track_caller]
    fn assert_is_error(response: &Response<Body>, status: u16) {
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert!(!response.headers().contains_key(ETAG));
    }

    #[test]
    fn get_and_head_differ_in_the_body_alone() {
        for headers in [&[][..], &[("accept-encoding", "br")], &[("if-none-match", TAG)], &[("if-match", "\"x\"")]] {
            for target in ["/a.txt", "/missing", "/docs"] {
                let (get, head) = (get(target, headers), ask("HEAD", target, headers));
                assert_eq!(get.status(), head.status());
                let mut of_get = get.headers().clone();
                if get.status() != 304 {
                    of_get.insert(CONTENT_LENGTH, get.body().remaining().into());
                }
                assert_eq!(&of_get, head.headers(), "{target} {headers:?}");
                assert_eq!(body(head), b"");
            }
        }
        assert_eq!(ask("HEAD", "/a.txt", &[]).headers()[CONTENT_LENGTH], "10");
    }

    #[test]
    fn other_methods() {
        let options = ask("OPTIONS", "/a.txt", &[]);
        assert_eq!((options.status().as_u16(), &options.headers()[ALLOW]), (204, &METHODS));
        assert_eq!(ask("OPTIONS", "*", &[]).status(), 204);
        for method in ["POST", "PUT", "DELETE", "TRACE", "PATCH", "MAKECOFFEE"] {
            let refused = ask(method, "/a.txt", &[]);
            assert_is_error(&refused, 405);
            assert_eq!(refused.headers()[ALLOW], "GET, HEAD, OPTIONS");
        }
    }

    #[test]
    fn the_representation_is_negotiated_and_every_answer_says_so() {
        let plain = get("/a.txt", &[]);
        assert_eq!(plain.headers()[ETAG], TAG);
        let coded = get("/a.txt", &[("accept-encoding", "gzip, br")]);
        assert_eq!(coded.headers()[ETAG], BR_TAG);
        assert_eq!(coded.headers()["content-encoding"], "br");
        assert_eq!(body(coded), b"br-body");
        for (headers, status) in [
            (&[][..], 200),
            (&[("accept-encoding", "br")], 200),
            (&[("if-none-match", "*")], 304),
            (&[("range", "bytes=0-1")], 206),
            (&[("range", "bytes=0-1,4-5")], 206),
            (&[("accept-encoding", "identity;q=0")], 406),
            (&[("if-match", "\"x\"")], 412),
            (&[("range", "bytes=10-")], 416),
        ] {
            let response = get("/a.txt", headers);
            assert_eq!(
                (response.status().as_u16(), &response.headers()[VARY]),
                (status, "accept-encoding".try_into().as_ref().unwrap())
            );
            if status >= 400 {
                assert_is_error(&response, status);
            }
        }
        assert!(!get("/plain.txt", &[]).headers().contains_key(VARY));
    }

    #[test]
    fn a_304_is_for_the_selected_representation() {
        let response = get("/a.txt", &[("if-none-match", TAG)]);
        assert_eq!(response.status(), 304);
        let mut names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "etag", "vary"]);
        assert_eq!(get("/a.txt", &[("if-none-match", BR_TAG)]).status(), 200);
        assert_eq!(get("/a.txt", &[("if-none-match", BR_TAG), ("accept-encoding", "br")]).status(), 304);
        assert_eq!(ask("HEAD", "/a.txt", &[("if-none-match", TAG)]).status(), 304);
    }

    #[test]
    fn a_range_is_of_the_selected_representation() {
        let one = get("/a.txt", &[("range", "bytes=2-4")]);
        assert_eq!(one.status(), 206);
        assert_eq!(one.headers()[CONTENT_RANGE], "bytes 2-4/10");
        assert_eq!(one.headers()[ETAG], TAG);
        assert_eq!(body(one), b"234");
        let coded = get("/a.txt", &[("range", "bytes=-4"), ("accept-encoding", "br")]);
        assert_eq!(coded.headers()[CONTENT_RANGE], "bytes 3-6/7");
        assert_eq!(coded.headers()["content-encoding"], "br");
        assert_eq!(body(coded), b"body");
        let past = get("/a.txt", &[("range", "bytes=10-")]);
        assert_is_error(&past, 416);
        assert_eq!(past.headers()[CONTENT_RANGE], "bytes */10");
    }

    #[test]
    fn several_ranges_are_a_multipart() {
        let response = get("/plain.txt", &[("range", "bytes=0-1,-2")]);
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()[CONTENT_TYPE], "multipart/byteranges; boundary=84d89877f0d4041e");
        assert!(!response.headers().contains_key(CONTENT_RANGE), "RFC 9110 section 15.3.7.2 forbids it");
        let length = response.body().remaining();
        let text = String::from_utf8(body(response)).unwrap();
        assert_eq!(text.len() as u64, length);
        assert!(text.contains("bytes 0-1/10\r\n\r\n01\r\n--84d89877f0d4041e\r\n"), "{text}");
        assert!(text.ends_with("bytes 8-9/10\r\n\r\n89\r\n--84d89877f0d4041e--\r\n"), "{text}");
        assert_eq!(get("/a.txt", &[("range", "bytes=0-1,-2"), ("accept-encoding", "br")]).status(), 200);
    }

    #[test]
    fn a_range_that_does_not_count_gives_the_whole() {
        for headers in [
            &[("range", "bytes=0-1"), ("if-range", "\"other\"")][..],
            &[("range", "bytes=0-1"), ("if-range", "W/\"84d89877f0d4041e\"")],
            &[("range", "bytes=0-1"), ("if-range", "Tue, 01 Jan 2030 00:00:00 GMT")],
            &[("range", "bytes=0-1"), ("if-range", BR_TAG)],
            &[("range", "bytes=0-1"), ("range", "bytes=2-3")],
            &[("range", "lines=0-1")],
            &[("if-range", TAG)],
        ] {
            let response = get("/a.txt", headers);
            assert_eq!(response.status(), 200, "{headers:?}");
            assert_eq!(body(response), b"0123456789");
        }
        assert_eq!(get("/a.txt", &[("range", "bytes=0-1"), ("if-range", TAG)]).status(), 206);
        assert_eq!(ask("HEAD", "/a.txt", &[("range", "bytes=0-1")]).status(), 200);
        assert_eq!(get("/a.txt", &[("range", "bytes=0-1"), ("if-none-match", TAG)]).status(), 304, "conditions first");
    }

    #[test]
    fn targets() {
        for (target, status) in [
            ("/a%20b/%C3%BC.txt", 200),
            ("/%61.txt", 200),
            ("http://elsewhere.example/a.txt?x", 200),
            ("/a.txt?any=query", 200),
            ("/%00", 400),
            ("/%ff", 400),
            ("*", 400),
            ("/%zz", 404),
            ("/..%2f..%2fetc/passwd", 404),
            ("/../a.txt", 404),
            ("//a.txt", 404),
            ("//evil.example/..%2f", 404),
            ("//docs", 404),
            ("/.env", 404),
        ] {
            assert_eq!(get(target, &[]).status(), status, "{target}");
        }
        assert_is_error(&get(&format!("/{}", "a".repeat(9 * 1024)), &[]), 414);
        assert_is_error(&get(&format!("/{}", "a".repeat(8 * 1024 - 1)), &[]), 404);
    }

    #[test]
    fn a_redirect_keeps_the_query() {
        for (target, location) in
            [("/docs", "/docs/"), ("/docs?", "/docs/?"), ("/docs?q=//x&y=%0d%0a", "/docs/?q=//x&y=%0d%0a")]
        {
            let response = get(target, &[]);
            assert_eq!(response.status(), 308);
            assert_eq!(response.headers()[LOCATION], location);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        }
    }

    #[test]
    fn there_is_one_host() {
        let with = |version, hosts: &[&str]| {
            let request = Request::get("/a.txt").version(version);
            let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
            respond(&table(), &request.body(()).unwrap()).status().as_u16()
        };
        assert_eq!(with(Version::HTTP_11, &[]), 400);
        assert_eq!(with(Version::HTTP_11, &["a", "a"]), 400);
        assert_eq!(with(Version::HTTP_10, &["a", "a"]), 400);
        for bad in ["a b", "a/b", "user@a", "a,b", "a:b", "[::1", "a{b", "%zz"] {
            assert_eq!(with(Version::HTTP_11, &[bad]), 400, "{bad}");
        }
        for good in ["a", "[::1]:80", "a_b.example:8080", ""] {
            assert_eq!(with(Version::HTTP_11, &[good]), 200, "{good}");
        }
        assert_eq!(with(Version::HTTP_10, &[]), 200);
    }

    #[test]
    fn what_the_target_names_is_a_host_and_that_of_the_field() {
        for (version, target, host, want) in [
            (Version::HTTP_2, "http://a.example/a.txt", None, 200),
            (Version::HTTP_2, "http://a.example/a.txt", Some("A.example:80"), 200),
            (Version::HTTP_2, "https://a.example:8443/a.txt", Some("a.example:8443"), 200),
            (Version::HTTP_2, "http://a.example/a.txt", Some("b.example"), 400),
            (Version::HTTP_2, "http://a.example/a.txt", Some("a.example:8080"), 400),
            (Version::HTTP_2, "http://a.example/a.txt", Some(""), 400),
            (Version::HTTP_2, "http://user@a.example/a.txt", None, 400),
            (Version::HTTP_2, "http://a:b/a.txt", None, 400),
            (Version::HTTP_2, "/a.txt", Some("a.example"), 200),
            (Version::HTTP_2, "/a.txt", Some(""), 400),
            (Version::HTTP_2, "/a.txt", None, 400),
            // RFC 9112 section 3.2.2: the field is not looked at, but has to be one.
            (Version::HTTP_11, "http://a.example/a.txt", Some("b.example"), 200),
            (Version::HTTP_11, "http://a.example/a.txt", Some("b{"), 400),
            (Version::HTTP_11, "http://a.example/a.txt", None, 400),
            (Version::HTTP_11, "http://user:secret@a.example/a.txt", Some("a.example"), 400),
        ] {
            let mut request = Request::get(target).version(version).body(()).unwrap();
            request.headers_mut().extend(host.map(|host| (HOST, HeaderValue::from_static(host))));
            assert_eq!(respond(&table(), &request).status(), want, "{version:?} {target} {host:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_404_with_the_sites_own_page() {
        assert_is_error(&get("/missing", &[]), 404);
        assert_eq!(body(get("/missing", &[])), b"404 Not Found\n");
        let lost = "<p>lost</p>".repeat(50);
        let table = Site::new().page("404.html", &lost).table(&Environment::new("development")).unwrap();
        for (headers, coding) in
            [(&[][..], None), (&[("accept-encoding", "gzip")], Some("gzip")), (&[("accept-encoding", "*;q=0")], None)]
        {
            for conditions in [&[][..], &[("if-none-match", "*")], &[("if-match", "\"x\"")], &[("range", "bytes=0-1")]]
            {
                for target in ["/missing", "/404", "/404.html"] {
                    let response = respond(&table, &request("GET", target, &[headers, conditions].concat()));
                    assert_is_error(&response, 404);
                    assert_eq!(response.headers().get("content-encoding").map(|v| v.to_str().unwrap()), coding);
                    assert_eq!(response.headers()[VARY], "accept-encoding");
                    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
                }
            }
        }
        assert_eq!(body(respond(&table, &request("GET", "/missing", &[]))), lost.as_bytes());
    }

    /// What a handler answers, asked by someone at `peer`.
    fn through(handler: &Handler, peer: (&str, bool), request: Request<()>) -> Response<Body> {
        let address = format!("{}:1", peer.0).parse().unwrap();
        handler.clone().for_peer(Peer { address, is_tls: peer.1 }).respond(&request)
    }

    fn front() -> Front {
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        Front { proxies: Proxies::new(networks, Default::default()), cdn_id: Some("fingerpost".to_owned()) }
    }

    #[test]
    fn hsts_is_for_who_speaks_tls() {
        let site = Site::new().page("index.html", "x");
        let table = |name: &str| site.table(&Environment::new(name)).unwrap();
        let handler = Handler::new(Handle::new(table("production"))).behind(front());
        let https = ("x-forwarded-proto", "https");
        for (peer, headers, want) in [
            (("192.0.2.1", true), &[][..], true),
            (("192.0.2.1", false), &[], false),
            (("192.0.2.1", false), &[https], false),
            (("10.0.0.1", false), &[https], true),
            (("10.0.0.1", true), &[("x-forwarded-proto", "http")], false),
        ] {
            for (method, target) in [("GET", "/"), ("GET", "/missing"), ("POST", "/")] {
                let response = through(&handler, peer, request(method, target, headers));
                let says = response.headers().get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap());
                assert_eq!(says, want.then_some("max-age=31536000"), "{peer:?} {headers:?} {target}");
            }
        }
        let development = Handler::new(Handle::new(table("development")));
        let response = through(&development, ("192.0.2.1", true), request("GET", "/", &[]));
        assert!(!response.headers().contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn a_files_own_hsts_wins_and_an_empty_one_is_none() {
        let hsts = "strict-transport-security";
        let site = Site::new()
            .page("index.html", "x")
            .page("own.html", "x")
            .page("none.html", "x")
            .page("404.html", "x")
            .header("own.html", hsts, "max-age=1")
            .header("none.html", hsts, "")
            .header("404.html", hsts, "max-age=4");
        let handlers = ["production", "development"]
            .map(|name| Handler::new(Handle::new(site.table(&Environment::new(name)).unwrap())));
        for (target, production, development) in [
            ("/", Some("max-age=31536000"), None),
            ("/own", Some("max-age=1"), Some("max-age=1")),
            ("/none", None, None),
            ("/missing", Some("max-age=4"), Some("max-age=4")),
            ("/own/", Some("max-age=31536000"), None),
        ] {
            for (handler, want) in handlers.iter().zip([production, development]) {
                for (is_tls, want) in [(true, want), (false, None)] {
                    let response = through(handler, ("192.0.2.1", is_tls), request("GET", target, &[]));
                    let all: Vec<&HeaderValue> = response.headers().get_all(STRICT_TRANSPORT_SECURITY).iter().collect();
                    assert_eq!(all, Vec::from_iter(want), "{target} {is_tls}");
                }
            }
        }
    }

    #[test]
    fn the_host_chooses_the_environment() {
        let site = Site::new().page("index.html", "<meta name=fingerpost:environment content=>");
        site.write_manifest();
        let environment = |name: &str, host: &str| {
            let mut environment = Environment::new(name);
            environment.hosts = vec![host.to_owned()];
            environment
        };
        let environments = [environment("a", "a.example"), environment("b", "b.example")];
        let handler = |other| {
            let sites = crate::serve::Sites::load(&site.out(), &environments, other).unwrap();
            Handler::new(Handle::new(sites)).behind(front())
        };
        let ask = |handler: &Handler, peer: &str, target: &str, headers: &[(&str, &str)]| {
            let request =
                headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
            let response = through(handler, (peer, false), request.body(()).unwrap());
            match response.status().as_u16() {
                200 => String::from_utf8(body(response))
                    .unwrap()
                    .replace(['"', '>'], "")
                    .rsplit('=')
                    .next()
                    .unwrap()
                    .to_owned(),
                status => status.to_string(),
            }
        };
        let forwarded = ("x-forwarded-host", "b.example");
        for (peer, target, headers, lax, strict) in [
            ("192.0.2.1", "/", &[("host", "B.example:80")][..], "b", "b"),
            ("192.0.2.1", "http://b.example/", &[("host", "a.example")], "b", "b"),
            ("192.0.2.1", "/", &[("host", "c.example")], "a", "421"),
            ("192.0.2.1", "/", &[("host", "a.example"), forwarded], "a", "a"),
            ("10.0.0.1", "/", &[("host", "a.example"), forwarded, ("x-forwarded-for", "192.0.2.1")], "b", "b"),
            ("192.0.2.1", "/", &[], "400", "400"),
            ("192.0.2.1", "/", &[("host", "b/x")], "400", "400"),
            ("192.0.2.1", "/", &[("host", "b.example"), ("host", "a.example")], "400", "400"),
        ] {
            assert_eq!(ask(&handler(Some("a")), peer, target, headers), lax, "{target} {headers:?}");
            assert_eq!(ask(&handler(None), peer, target, headers), strict, "{target} {headers:?}");
        }
    }

    #[test]
    fn a_request_that_comes_round_is_stopped() {
        let handler = Handler::new(Handle::new(table())).behind(front());
        let ask = |handler: &Handler, value| {
            through(handler, ("192.0.2.1", false), request("GET", "/a.txt", &[("cdn-loop", value)]))
        };
        assert_is_error(&ask(&handler, "cdn.example, fingerpost; x=1"), 508);
        assert_eq!(ask(&handler, "cdn.example").status(), 200);
        assert_eq!(ask(&Handler::new(Handle::new(table())), "fingerpost").status(), 200);
    }

    #[test]
    fn other_origins_may_ask_for_what_lets_them_in() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let digest = crate::fingerprint::Digest::of(b"x");
        let mut builder = TableBuilder::default();
        builder.resource("/open.js", Resource::new(&digest, headers, Bytes::from_static(b"x")));
        builder.resource("/closed.js", Resource::new(&digest, HeaderMap::new(), Bytes::from_static(b"x")));
        let table = builder.build();
        let preflight = [
            ("origin", "https://a.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "range"),
        ];
        let ask = |target: &str, headers: &[(&str, &str)]| respond(&table, &request("OPTIONS", target, headers));
        let open = ask("/open.js", &preflight);
        assert_eq!(open.status(), 204);
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            ("access-control-allow-headers", "if-match, if-none-match, if-range, range"),
            ("access-control-max-age", "86400"),
        ] {
            assert_eq!(open.headers()[name], value);
        }
        assert!(!open.headers().contains_key(VARY));
        for response in [
            ask("/closed.js", &preflight),
            ask("/missing.js", &preflight),
            ask("/open.js", &preflight[..1]),
            ask("*", &preflight),
        ] {
            assert_eq!(response.status(), 204);
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        }
        assert_eq!(respond(&table, &request("GET", "/open.js", &[])).headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn answers_without_a_file_are_not_sniffed() {
        for (method, target) in
            [("GET", "/missing"), ("GET", "/docs"), ("OPTIONS", "/a.txt"), ("OPTIONS", "*"), ("PUT", "/")]
        {
            assert_eq!(ask(method, target, &[]).headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{method} {target}");
        }
    }

    #[test]
    fn a_panic_is_a_500() {
        assert_is_error(&guarded(|| panic!("on purpose")), 500);
    }

    #[test]
    fn accept_encoding_may_come_in_several_lines() {
        let mut request = request("GET", "/a.txt", &[("accept-encoding", "identity;q=0.5")]);
        request.headers_mut().append(ACCEPT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(respond(&table(), &request).headers()[ETAG], BR_TAG);
    }
}

//! What the world gets: the public URLs of a release, asked for as browsers do and compared with the release's record.

mod body;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, ORIGIN,
    USER_AGENT, VARY,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use self::body::content;
use super::drift::{Difference, Drift, Found};
use crate::asset::url_path;
use crate::client::{self, Client};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::manifest::File;
use crate::progress::Progress;
use crate::release::{Object, Record};

/// Requests that are under way at once.
const CONCURRENCY: usize = 8;

/// For an answer's head, and for its body besides the time that its bytes take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes in a second that an answer has to bring.
const SLOWEST: u64 = 16 << 10;

/// How often something that failed is asked for, and the pause before it is asked for again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// At most so many redirects are followed (a page may be at another URL than its file's).
const REDIRECTS: usize = 3;

/// Headers that are for the caches on the way, and needn't arrive.
const FOR_CACHES: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

/// Something that has a public URL, in all its encodings.
#[derive(Debug, PartialEq)]
struct Resource<'a> {
    url: String,
    object: &'a Object,
    /// The one coding that the object itself is in.
    own: Option<Encoding>,
    /// The codings that lie beside it.
    encodings: BTreeMap<Encoding, &'a Object>,
    /// Whether it is what a wrong path is answered with.
    is_error_page: bool,
    /// Whether pages of another origin need its leave to use it.
    is_shared: bool,
}

/// One answer: whether its bytes and headers were right, and how many bytes came.
struct Answer {
    bytes: u64,
    found: Vec<Found>,
    /// Whether it came in the encoding that was asked for.
    is_encoded: bool,
}

/// What differs in the answers of a release's public URLs from what its record says.
pub async fn answers(environment: &Environment, record: &Record, progress: &dyn Progress) -> Result<Vec<Difference>> {
    let mut drift = Drift::new(environment, String::new());
    compare(environment, record, &mut drift, progress).await?;
    Ok(drift.differences)
}

pub(super) async fn compare(
    environment: &Environment,
    record: &Record,
    drift: &mut Drift,
    progress: &dyn Progress,
) -> Result<()> {
    let resources = resources(environment, record);
    if resources.is_empty() {
        return Err(Error::Usage {
            message: format!("the environment `{}` has no public URLs to compare with", environment.name),
            help: format!(
                "set `site`, or an `asset_base` with a host, in `[env.{}]`; without `--live` only the store is compared",
                environment.name
            ),
        });
    }
    let client = Client::new().map_err(|error| Error::Usage {
        message: format!("can't speak TLS: {error}"),
        help: "leave out `--live`: then only the store is compared".to_owned(),
    })?;
    let asks: Vec<(&Resource<'_>, Option<Encoding>)> = resources
        .iter()
        .flat_map(|resource| {
            let encodings = resource.encodings.keys().map(|encoding| Some(*encoding));
            std::iter::once(resource.own).chain(encodings).map(move |encoding| (resource, encoding))
        })
        .collect();
    let length = |(resource, encoding): &(&Resource<'_>, Option<Encoding>)| resource.expected(*encoding).length;
    progress.transfer("compare URLs", asks.len(), asks.iter().map(length).sum());
    let (origin, client) = (origin(environment), &client);
    let mut answers = stream::iter(asks)
        .map(|(resource, encoding)| {
            let origin = origin.as_str();
            async move {
                let answer = patiently(client, resource, encoding, origin).await;
                progress.moved(&resource.url, answer.bytes);
                (resource, encoding, answer)
            }
        })
        .buffer_unordered(CONCURRENCY);
    let (mut urls, mut plain) = (0, 0);
    while let Some((resource, encoding, answer)) = answers.next().await {
        urls += 1;
        drift.bytes += answer.bytes;
        plain += usize::from(encoding.is_some() && !answer.is_encoded && answer.found.is_empty());
        let place = match encoding {
            Some(encoding) => format!("{} ({encoding})", resource.url),
            None => resource.url.clone(),
        };
        let differences = answer.found.into_iter().map(|found| Difference { place: place.clone(), found });
        drift.differences.extend(differences);
    }
    drift.urls = Some(urls);
    if plain > 0 {
        drift.warnings.push(format!(
            "{plain} of {urls} answers came without the encoding that was asked for and published: nothing in front of the \
             store chooses among `.br`, `.zst` and `.gz`"
        ));
    }
    Ok(())
}

/// The origin that pages ask from.
fn origin(environment: &Environment) -> String {
    let host = || Some(format!("https://{}", environment.hosts.iter().find(|host| !host.contains('*'))?));
    // RFC 6454 section 7: an origin that is nobody's.
    environment.site.clone().or_else(host).unwrap_or_else(|| "null".to_owned())
}

/// All of a release that has a URL, as far as the environment tells where.
fn resources<'a>(environment: &Environment, record: &'a Record) -> Vec<Resource<'a>> {
    let pages = format!("releases/{}/", record.release);
    let site = environment.site.as_deref();
    let url = |key: &str| match key.strip_prefix(&pages) {
        // A folder's page is at the folder.
        Some(page) => {
            let folder = page.strip_suffix("index.html").filter(|folder| folder.is_empty() || folder.ends_with('/'));
            Some(format!("{}/{}", site?, url_path(folder.unwrap_or(page))))
        }
        None => match environment.asset_base.url(key) {
            url if url.starts_with("//") => Some(format!("https:{url}")),
            url if url.starts_with('/') => Some(format!("{}{url}", site?)),
            url => Some(url),
        },
    };
    let is_sidecar = |key: &str, object: &Object| {
        let original = |encoding: Encoding| key.strip_suffix(encoding.extension())?.strip_suffix('.');
        object.headers.contains_key("content-encoding")
            && Encoding::ALL.into_iter().filter_map(original).any(|key| record.objects.contains_key(key))
    };
    // What else is below `releases/` is the store's own.
    let is_public = |key: &str| key.starts_with(&pages) || !key.starts_with("releases/");
    let own = record.objects.iter().filter(|(key, _)| is_public(key) && !record.is_copy(key));
    own.filter(|(key, object)| !is_sidecar(key, object))
        .filter_map(|(key, object)| {
            let sidecar = |encoding| Some((encoding, record.objects.get(&File::sidecar(key, encoding))?));
            let is_asset = !key.starts_with(&pages);
            Some(Resource {
                url: url(key)?,
                object,
                own: object.headers.get(CONTENT_ENCODING.as_str()).and_then(|token| Encoding::of_token(token)),
                encodings: Encoding::ALL.into_iter().filter_map(sidecar).collect(),
                is_error_page: key.strip_prefix(&pages) == Some("404.html"),
                is_shared: is_asset && environment.asset_base.is_other_origin() && needs_leave(object),
            })
        })
        .collect()
}

/// Whether browsers let pages of another origin use it only with that origin's leave (<https://fetch.spec.whatwg.org/#http-cors-protocol>):
/// fonts, modules, and what carries `integrity` or is fetched.
fn needs_leave(object: &Object) -> bool {
    let kind = object.headers.get("content-type").map_or("", String::as_str);
    let essence = kind.split(';').next().unwrap_or_default();
    essence.starts_with("font/")
        || matches!(essence, "text/css" | "text/javascript" | "application/json" | "application/wasm")
}

impl Resource<'_> {
    fn expected(&self, encoding: Option<Encoding>) -> &Object {
        encoding.and_then(|encoding| self.encodings.get(&encoding).copied()).unwrap_or(self.object)
    }
}

/// Asks again where that may help.
async fn patiently(client: &Client, resource: &Resource<'_>, encoding: Option<Encoding>, origin: &str) -> Answer {
    let time = PATIENCE + Duration::from_secs(resource.object.length / SLOWEST);
    let mut attempt = 1;
    loop {
        let reason = match tokio::time::timeout(time, ask(client, resource, encoding, origin)).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(failure)) if attempt == ATTEMPTS || !failure.may_pass => failure.reason,
            Err(_) if attempt == ATTEMPTS => "was not answered in time".to_owned(),
            _ => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
                continue;
            }
        };
        return Answer { bytes: 0, found: vec![Found::Unusable { reason }], is_encoded: false };
    }
}

/// Why there is nothing to compare.
struct Failure {
    reason: String,
    /// Whether it may be otherwise in a moment.
    may_pass: bool,
}

impl Failure {
    fn passing(reason: String) -> Self {
        Failure { reason, may_pass: true }
    }

    fn lasting(reason: String) -> Self {
        Failure { reason, may_pass: false }
    }
}

async fn ask(
    client: &Client,
    resource: &Resource<'_>,
    encoding: Option<Encoding>,
    origin: &str,
) -> Result<Answer, Failure> {
    let response = follow(client, resource, encoding, origin).await?;
    let status = response.status();
    let wanted = status == StatusCode::OK || status == StatusCode::NOT_FOUND && resource.is_error_page;
    if !wanted {
        let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        return Err(Failure { reason: format!("is answered with status {}", status.as_u16()), may_pass: passes });
    }
    let (head, body) = response.into_parts();
    let mut found = headers(resource, status, &head.headers, origin);
    let coding = text(&head.headers, CONTENT_ENCODING.as_str()).filter(|coding| coding != "identity");
    let used = match &coding {
        None => None,
        Some(coding) => match encoding.filter(|encoding| encoding.token() == coding) {
            Some(encoding) => Some(encoding),
            None => {
                // Nobody asked for it, so nobody can read it.
                found.push(Found::Header {
                    name: CONTENT_ENCODING.to_string(),
                    expected: encoding.map(|encoding| encoding.token().to_owned()),
                    actual: Some(coding.clone()),
                });
                return Ok(Answer { bytes: 0, found, is_encoded: false });
            }
        },
    };
    if resource.own.is_some() && used.is_none() {
        let expected = resource.own.map(|encoding| encoding.token().to_owned());
        found.push(Found::Header { name: CONTENT_ENCODING.to_string(), expected, actual: None });
    }
    if used.is_some() && resource.own.is_none() && !varies(&head.headers) {
        let actual = text(&head.headers, VARY.as_str());
        found.push(Found::Header { name: VARY.to_string(), expected: Some("accept-encoding".to_owned()), actual });
    }
    let (bytes, difference) = content(resource, used, body).await?;
    found.extend(difference);
    Ok(Answer { bytes, found, is_encoded: used.is_some() })
}

/// The answer, after redirects.
async fn follow(
    client: &Client,
    resource: &Resource<'_>,
    encoding: Option<Encoding>,
    origin: &str,
) -> Result<Response<Incoming>, Failure> {
    let mut url = resource.url.clone();
    for _ in 0..=REDIRECTS {
        let mut request = Request::get(&url)
            .header(USER_AGENT, concat!("fingerpost/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, encoding.map_or("identity", Encoding::token));
        if resource.is_shared {
            request = request.header(ORIGIN, origin);
        }
        let request =
            request.body(Bytes::new()).map_err(|_| Failure::lasting("is no URL that can be asked for".to_owned()))?;
        let response = client
            .send(request)
            .await
            .map_err(|error| Failure::passing(format!("could not be fetched: {}", client::reason(&error))))?;
        let target = text(response.headers(), LOCATION.as_str()).filter(|_| response.status().is_redirection());
        match target {
            None => return Ok(response),
            Some(target) if target.starts_with("http://") || target.starts_with("https://") => url = target,
            Some(target) => {
                let start = url.find("//").map_or(0, |at| at + 2);
                let host_end = url.get(start..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| start + at);
                let (host, path) = url.split_at(host_end);
                url = format!("{host}{}", crate::asset::resolve_url_path(path, &target));
            }
        }
    }
    Err(Failure::lasting("leads from one redirect to the next".to_owned()))
}

/// The headers of the record, and those that follow from how it is used.
fn headers(resource: &Resource<'_>, status: StatusCode, got: &HeaderMap, origin: &str) -> Vec<Found> {
    // An error has headers of its own: it must not be kept as long as a page, for one.
    let is_due = |name: &str| match status {
        // The encoding follows from what was asked for.
        StatusCode::OK => !FOR_CACHES.contains(&name) && name != CONTENT_ENCODING.as_str(),
        _ => name == CONTENT_TYPE.as_str(),
    };
    let recorded = resource.object.headers.iter().filter(|(name, _)| is_due(name));
    let mut found: Vec<Found> = recorded
        .filter_map(|(name, expected)| {
            let actual = text(got, name);
            let is_same = actual.as_ref().is_some_and(|actual| plain(actual) == plain(expected));
            (!is_same).then(|| Found::Header { name: name.clone(), expected: Some(expected.clone()), actual })
        })
        .collect();
    if resource.is_shared && !resource.object.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN.as_str()) {
        let actual = text(got, ACCESS_CONTROL_ALLOW_ORIGIN.as_str());
        if !actual.as_deref().is_some_and(|allowed| allowed == "*" || allowed == origin) {
            let name = ACCESS_CONTROL_ALLOW_ORIGIN.to_string();
            found.push(Found::Header { name, expected: Some("*".to_owned()), actual });
        }
    }
    found
}

/// A header's value, its lines joined (RFC 9110 section 5.3).
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Case and white space say nothing in the headers of a release.
fn plain(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect()
}

fn varies(headers: &HeaderMap) -> bool {
    let vary = text(headers, VARY.as_str()).unwrap_or_default().to_ascii_lowercase();
    vary.split(',').any(|name| matches!(name.trim(), "accept-encoding" | "*"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use tokio::net::TcpListener;

    use super::*;
    use crate::fingerprint::Digest;
    use crate::progress::Silent;
    use crate::release::ReleaseId;

    const CSS: &str = "a { color: red } b { color: red } c { color: red }";
    const FOR_EVER: &str = "public, max-age=31536000, immutable";

    fn object(body: &[u8], headers: &[(&str, &str)]) -> Object {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Object { length: body.len() as u64, digest: Digest::of(body), headers }
    }

    fn record() -> Record {
        let release: ReleaseId = "0123456789abcdef".parse().unwrap();
        let css = [("content-type", "text/css; charset=utf-8"), ("cache-control", FOR_EVER)];
        let packed = [css[0], css[1], ("content-encoding", "br")];
        let html = [("content-type", "text/html; charset=utf-8"), ("cdn-cache-control", "max-age=60")];
        let page = |path: &str| format!("releases/{release}/{path}");
        let brotli = Encoding::Brotli.compress(CSS.as_bytes()).unwrap();
        let objects = [
            ("assets/a.css".to_owned(), object(CSS.as_bytes(), &css)),
            ("assets/a.css.br".to_owned(), object(&brotli, &packed)),
            ("assets/a.png".to_owned(), object(b"png", &[("content-type", "image/png")])),
            (page("index.html"), object(b"front", &html)),
            (page("404.html"), object(b"lost", &html)),
            (page("docs/index.html"), object(b"docs", &html)),
            (page("a b.html"), object(b"a b", &html)),
            // The program's own, for moving a release.
            (format!("releases/{release}.tar.zst"), object(b"archive", &[("content-type", "application/zstd")])),
            // A website has them at its root as well.
            ("index.html".to_owned(), object(b"front", &html)),
        ];
        Record { release, environment: "production".to_owned(), parent: None, objects: objects.into() }
    }

    type Given = Response<Full<Bytes>>;

    fn given(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Given {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    /// What a front that does everything right answers.
    fn right(path: &str, encoding: &str) -> Given {
        let html = ("content-type", "text/html;charset=UTF-8");
        let css = [
            ("content-type", "text/css; charset=utf-8"),
            ("cache-control", FOR_EVER),
            ("access-control-allow-origin", "*"),
            ("vary", "Accept-Encoding"),
            ("content-encoding", "br"),
        ];
        match (path, encoding) {
            ("/cdn/assets/a.css", "br") => given(200, &css, &Encoding::Brotli.compress(CSS.as_bytes()).unwrap()),
            ("/cdn/assets/a.css", _) => given(200, &css[..4], CSS.as_bytes()),
            ("/cdn/assets/a.png", _) => given(200, &[("content-type", "image/png")], b"png"),
            ("/", _) => given(200, &[html], b"front"),
            ("/404.html", _) => given(404, &[html], b"lost"),
            ("/docs/", _) => given(301, &[("location", "../docs/moved")], b""),
            ("/docs/moved", _) => given(200, &[html], b"docs"),
            ("/a%20b.html", _) => given(200, &[html], b"a b"),
            _ => given(404, &[], b""),
        }
    }

    /// What is told of a release whose front answers so; the host left out.
    async fn compared(front: impl Fn(&str, &str) -> Given + Clone + Send + Sync + 'static) -> (Drift, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let front = front.clone();
                let answer = service_fn(move |request: Request<Incoming>| {
                    let encoding = request.headers()[ACCEPT_ENCODING].to_str().unwrap();
                    let answer = front(request.uri().path(), encoding);
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        let mut environment = Environment::new("production");
        environment.site = Some(host.clone());
        environment.asset_base = format!("{host}/cdn/").parse().unwrap();
        let mut drift = Drift::new(&environment, String::new());
        compare(&environment, &record(), &mut drift, &Silent).await.unwrap();
        serving.abort();
        drift.differences.sort_by(|a, b| a.place.cmp(&b.place));
        let told = drift.differences.iter().map(|difference| difference.to_string().replace(&host, "")).collect();
        (drift, told)
    }

    #[tokio::test]
    async fn what_is_as_published_is_found_to_be() {
        let (drift, told) = compared(right).await;
        assert_eq!((told, drift.warnings, drift.urls), (Vec::new(), Vec::new(), Some(7)));
    }

    #[tokio::test]
    async fn a_front_that_packs_by_itself_or_not_at_all_is_right_too() {
        let (drift, told) = compared(|path, encoding| {
            let mut answer = right(path, encoding);
            if encoding == "br" {
                let other = Encoding::Brotli.compress_with(crate::encoding::Effort::Little, CSS.as_bytes()).unwrap();
                assert_ne!(Digest::of(&other), Digest::of(&Encoding::Brotli.compress(CSS.as_bytes()).unwrap()));
                *answer.body_mut() = Full::new(other.into());
            }
            answer
        })
        .await;
        assert_eq!((told, drift.warnings.len()), (Vec::new(), 0));
        let (drift, told) = compared(|path, _| right(path, "identity")).await;
        assert_eq!((told, drift.warnings.len()), (Vec::new(), 1));
        assert!(drift.warnings[0].starts_with("1 of 7 answers came without"), "{drift:?}");
    }

    #[tokio::test]
    async fn each_way_to_be_wrong_is_told() {
        type Spoil = fn(&str, &str) -> Given;
        let cases: [(Spoil, &str); 8] = [
            (|_, _| given(200, &[("content-type", "image/png")], b"gif"), "`/cdn/assets/a.png` has other bytes"),
            (|_, _| given(200, &[("content-type", "image/png")], b"longer"), "`/cdn/assets/a.png` has 6 bytes, not 3"),
            (|_, _| given(200, &[], b"png"), "`/cdn/assets/a.png` lacks `content-type: image/png`"),
            (
                |_, _| given(200, &[("content-type", "text/plain")], b"png"),
                "`/cdn/assets/a.png` has `content-type: text/plain`, not `image/png`",
            ),
            (|_, _| given(404, &[], b""), "`/cdn/assets/a.png` is answered with status 404"),
            (|_, _| given(503, &[], b""), "`/cdn/assets/a.png` is answered with status 503"),
            (
                |path, _| given(302, &[("location", path)], b""),
                "`/cdn/assets/a.png` leads from one redirect to the next",
            ),
            (
                |_, _| given(200, &[("content-type", "image/png"), ("content-encoding", "gzip")], b"png"),
                "`/cdn/assets/a.png` has `content-encoding: gzip`, and should have none",
            ),
        ];
        for (spoil, want) in cases {
            let (_, told) = compared(move |path, encoding| match path {
                "/cdn/assets/a.png" => spoil(path, encoding),
                _ => right(path, encoding),
            })
            .await;
            assert!(told.len() == 1 && told[0].starts_with(want), "{want}: {told:?}");
        }
        let (_, told) = compared(|path, encoding| {
            let mut answer = right(path, encoding);
            answer.headers_mut().remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            answer.headers_mut().remove(VARY);
            answer
        })
        .await;
        assert_eq!(
            told,
            [
                "`/cdn/assets/a.css` lacks `access-control-allow-origin: *`",
                "`/cdn/assets/a.css (br)` lacks `access-control-allow-origin: *`",
                "`/cdn/assets/a.css (br)` lacks `vary: accept-encoding`",
            ]
        );
        let (_, told) = compared(|path, encoding| {
            let mut answer = right(path, encoding);
            if encoding == "br" {
                *answer.body_mut() = Full::new(Bytes::from_static(b"no brotli"));
            }
            answer
        })
        .await;
        assert!(told.len() == 1 && told[0].starts_with("`/cdn/assets/a.css (br)` has 9 bytes"), "{told:?}");
    }

    #[test]
    fn what_is_stored_in_one_coding_is_asked_for_in_it() {
        let mut environment = Environment::new("production");
        environment.asset_base = "//cdn.example/".parse().unwrap();
        let mut record = record();
        record.objects.remove("assets/a.css.br");
        let css = record.objects.get_mut("assets/a.css").unwrap();
        css.headers.insert("content-encoding".to_owned(), "gzip".to_owned());
        let resources = resources(&environment, &record);
        let told: Vec<_> = resources.iter().map(|resource| (resource.url.as_str(), resource.own)).collect();
        // Of pages nobody says where they are.
        assert_eq!(
            told,
            [("https://cdn.example/assets/a.css", Some(Encoding::Gzip)), ("https://cdn.example/assets/a.png", None)]
        );
    }

    #[tokio::test]
    async fn an_environment_without_a_public_side_is_told() {
        let environment = Environment::new("production");
        let mut drift = Drift::new(&environment, String::new());
        let error = compare(&environment, &record(), &mut drift, &Silent).await.unwrap_err();
        assert_eq!(error.to_string(), "the environment `production` has no public URLs to compare with");
        assert_eq!(error.exit_code(), 2);
    }
}

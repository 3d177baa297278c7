//! The admin listener: health, readiness, metrics, the release, and a reload, over HTTP on an address of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::body::Body;
use super::limits::Limits;
use super::metrics::{self, Metrics};
use super::server::Server;
use super::status::{Phase, Status};
use crate::error::{Error, Result};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Reloads that may be asked for while one is under way.
const WAITING: usize = 8;

/// Somebody who wants the release loaded anew, and an answer when that is done: the release, or what went wrong.
pub(super) type ReloadRequest = oneshot::Sender<Result<String, Failure>>;

/// An error as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Failure {
    pub fn of(error: &Error) -> Self {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        Failure { error: text, help: miette::Diagnostic::help(error).map(|help| help.to_string()) }
    }
}

/// An admin listener that answers until it is dropped.
#[derive(Debug)]
pub(super) struct Admin {
    address: SocketAddr,
    is_local: bool,
    task: JoinHandle<()>,
}

impl Admin {
    /// Listens on `HOST:PORT`, or on a port of the loopback address where no host is given (`9100` or `:9100`).
    ///
    /// Fails with [`Error::Usage`] if that can't be had.
    pub async fn start(
        written: &str,
        status: Arc<Status>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, mpsc::Receiver<ReloadRequest>)> {
        let address = full_address(written);
        let server = Server::bind(&address).await.map_err(|error| refusal(&address, &error))?;
        let limits = Limits { grace: Duration::from_secs(1), ..Limits::default() };
        let (reloads, asked) = mpsc::channel(WAITING);
        let address = server.local_addr();
        let is_local = address.ip().is_loopback();
        let service = Service(Arc::new(Desk { status, metrics, reloads, is_local }));
        let task = tokio::spawn(server.with_limits(limits).run(move |_| service.clone(), std::future::pending()));
        Ok((Admin { address, is_local, task }, asked))
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        self.is_local
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn full_address(written: &str) -> String {
    let port = written.strip_prefix(':').unwrap_or(written);
    match port.parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => written.to_owned(),
    }
}

fn refusal(address: &str, error: &Error) -> Error {
    let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Error::Usage {
        message: format!("could not listen on `{address}` for `--admin`{reason}"),
        help: "pass an address that is free, such as `--admin 127.0.0.1:9100`, or `--admin 0` for any free port"
            .to_owned(),
    }
}

#[derive(Debug)]
struct Desk {
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    reloads: mpsc::Sender<ReloadRequest>,
    is_local: bool,
}

#[derive(Debug, Clone)]
struct Service(Arc<Desk>);

impl<B> tower::Service<Request<B>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let desk = Arc::clone(&self.0);
        let (head, _) = request.into_parts();
        Box::pin(async move {
            let response = match desk.refuse(&head) {
                Some(refusal) => refusal,
                None => desk.answer(&head.method, head.uri.path()).await,
            };
            Ok(match head.method {
                Method::HEAD => response.map(|_| Body::default()),
                _ => response,
            })
        })
    }
}

impl Desk {
    async fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        let allowed = match path {
            "/healthz" | "/readyz" | "/metrics" | "/release" => "GET, HEAD",
            "/reload" => "POST",
            _ => {
                return text(
                    StatusCode::NOT_FOUND,
                    "there are /healthz, /readyz, /metrics, /release and POST /reload\n",
                );
            }
        };
        if !allowed.split(", ").any(|name| name == method.as_str()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &format!("allowed: {allowed}\n"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return response;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => answer(StatusCode::OK, metrics::MEDIA_TYPE, self.metrics.text()),
            "/release" => self.release(),
            _ => self.reload().await,
        }
    }

    /// A page in somebody's browser must not be able to reload the server, nor to read from it by a name that it makes resolve to
    /// this machine (DNS rebinding).
    fn refuse(&self, head: &http::request::Parts) -> Option<Response<Body>> {
        const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        let from_elsewhere = head.headers.contains_key(ORIGIN)
            || head.headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "none" && site != "same-origin");
        if from_elsewhere && head.method != Method::GET && head.method != Method::HEAD {
            return Some(text(StatusCode::FORBIDDEN, "not for web pages\n"));
        }
        let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = authority.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes));
        (self.is_local && host.is_some_and(|host| !is_local_name(host)))
            .then(|| text(StatusCode::MISDIRECTED_REQUEST, "ask by an address, or as localhost\n"))
    }

    fn ready(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Ready<'a> {
            status: &'static str,
            release: Option<&'a str>,
        }
        let (phase, live) = (self.status.phase(), self.status.live());
        let status = match phase {
            Phase::Ready => StatusCode::OK,
            Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        json(status, &Ready { status: phase.as_str(), release: live.as_deref().map(|live| live.release.as_str()) })
    }

    fn release(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Release<'a> {
            release: &'a str,
            environment: &'a str,
            /// Seconds since 1970.
            loaded: u64,
            load_seconds: f64,
            #[serde(flatten)]
            inventory: super::table::Inventory,
        }
        let Some(live) = self.status.live() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no release is loaded yet\n");
        };
        json(
            StatusCode::OK,
            &Release {
                release: &live.release,
                environment: &live.environment,
                loaded: live.loaded.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
                load_seconds: live.took.as_secs_f64(),
                inventory: live.inventory,
            },
        )
    }

    /// Answers when the release is loaded, or could not be.
    async fn reload(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Reloaded {
            release: String,
        }
        let (answer, answered) = oneshot::channel();
        let busy =
            Failure { error: "the server is starting, stopping, or has enough reloads to do".to_owned(), help: None };
        if self.reloads.try_send(answer).is_err() {
            return json(StatusCode::SERVICE_UNAVAILABLE, &busy);
        }
        match answered.await {
            Ok(Ok(release)) => json(StatusCode::OK, &Reloaded { release }),
            Ok(Err(failure)) => json(StatusCode::INTERNAL_SERVER_ERROR, &failure),
            // It was asked for too late.
            Err(_) => json(StatusCode::SERVICE_UNAVAILABLE, &busy),
        }
    }
}

/// Whether a `Host` is an address or `localhost`, with or without a port.
fn is_local_name(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    answer(status, TEXT, text.to_owned())
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    answer(status, JSON, serde_json::to_string(value).unwrap_or_default() + "\n")
}

fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Bytes::from(body)));
    *response.status_mut() = status;
    let length = HeaderValue::from(response.body().remaining());
    *response.headers_mut() = HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_LENGTH, length),
    ]);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fixture::{Answer, Client};
    use crate::serve::status::Live;
    use crate::serve::table::Inventory;
    use std::time::SystemTime;

    struct Fixture {
        admin: Admin,
        status: Arc<Status>,
        asked: mpsc::Receiver<ReloadRequest>,
    }

    async fn start() -> Fixture {
        let status = Arc::new(Status::default());
        let metrics = Arc::new(Metrics::new(Arc::default(), Arc::clone(&status), None));
        let (admin, asked) = Admin::start("0", Arc::clone(&status), metrics).await.unwrap();
        Fixture { admin, status, asked }
    }

    impl Fixture {
        async fn ask(&self, line: &str) -> Answer {
            Client::connect(self.admin.local_addr()).await.ask(line, "").await
        }

        async fn get(&self, path: &str) -> (String, String) {
            let answer = self.ask(&format!("GET {path}")).await;
            (answer.status().to_owned(), String::from_utf8(answer.body).unwrap())
        }
    }

    fn live() -> Live {
        Live {
            release: String::new(),
            environment: "production".to_owned(),
            loaded: SystemTime::now(),
            took: Duration::from_millis(250),
            inventory: Inventory::default(),
        }
    }

    #[tokio::test]
    async fn readiness_follows_the_server() {
        let fixture = start().await;
        let told = |status: &str, text: &str| (status.to_owned(), format!("{text}\n"));
        assert_eq!(fixture.get("/healthz").await, told("200", "ok"));
        assert_eq!(fixture.get("/readyz").await, told("503", r#"{"status":"starting","release":null}"#));
        assert_eq!(fixture.get("/release").await.0, "503");
        fixture.status.loaded(Live { release: "0123456789abcdef".to_owned(), ..live() });
        assert_eq!(fixture.get("/readyz").await, told("200", r#"{"status":"ready","release":"0123456789abcdef"}"#));
        let (status, text) = fixture.get("/release").await;
        let release: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, "200");
        assert_eq!((&release["environment"], &release["load_seconds"]), (&"production".into(), &0.25.into()));
        fixture.status.draining();
        assert_eq!(fixture.get("/readyz").await, told("503", r#"{"status":"draining","release":"0123456789abcdef"}"#));
        assert_eq!(fixture.get("/healthz").await.0, "200");
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let fixture = start().await;
        let answer = fixture.ask("GET /metrics").await;
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("# TYPE fingerpost_requests_total counter\n"), "{text}");
    }

    #[tokio::test]
    async fn a_reload_is_answered_when_it_is_done() {
        let mut fixture = start().await;
        let address = fixture.admin.local_addr();
        let ask = || async move { Client::connect(address).await.ask("POST /reload", "content-length: 0\r\n").await };
        for (outcome, status, text) in [
            (Ok("0123456789abcdef".to_owned()), "200", r#"{"release":"0123456789abcdef"}"#),
            (
                Err(Failure::of(&Error::Manifest { path: "/x".into(), reason: "it is bad".to_owned() })),
                "500",
                r#"{"error":"could not load the manifest `/x`: it is bad","help":"run `fingerpost build`"}"#,
            ),
        ] {
            let asking = tokio::spawn(ask());
            fixture.asked.recv().await.unwrap().send(outcome).unwrap();
            let answer = asking.await.unwrap();
            assert_eq!((answer.status(), answer.body.as_slice()), (status, format!("{text}\n").as_bytes()));
        }
        fixture.asked.close();
        assert_eq!(ask().await.status(), "503");
    }

    #[tokio::test]
    async fn web_pages_can_not_reload_and_no_name_is_rebound() {
        let fixture = start().await;
        for headers in ["origin: http://evil.example\r\n", "sec-fetch-site: cross-site\r\n"] {
            let mut client = Client::connect(fixture.admin.local_addr()).await;
            assert_eq!(client.ask("POST /reload", &format!("content-length: 0\r\n{headers}")).await.status(), "403");
        }
        for (host, status) in [
            ("evil.example", "421"),
            ("127.0.0.1.evil.example:80", "421"),
            ("localhost:9100", "200"),
            ("LOCALHOST", "200"),
            ("[::1]:9100", "200"),
            ("127.0.0.1", "200"),
        ] {
            let mut client = Client::connect(fixture.admin.local_addr()).await;
            client.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            assert_eq!(client.answer(false).await.status(), status, "{host}");
        }
    }

    #[tokio::test]
    async fn methods_and_paths() {
        let fixture = start().await;
        assert_eq!(fixture.ask("HEAD /healthz").await.status(), "200");
        assert_eq!(fixture.ask("GET /").await.status(), "404");
        let refused = fixture.ask("GET /reload").await;
        assert_eq!((refused.status(), refused.header("allow")), ("405", Some("post")));
        assert_eq!(fixture.ask("DELETE /healthz").await.status(), "405");
    }

    #[tokio::test]
    async fn an_address_that_can_not_be_had_is_a_wrong_setting() {
        let taken = Server::bind("127.0.0.1:0").await.unwrap().local_addr();
        let _holder = Server::bind(&taken.to_string()).await.unwrap();
        for address in [&taken.port().to_string(), &taken.to_string(), "nonsense", "192.0.2.1:80"] {
            let (status, metrics) = (Arc::<Status>::default(), Metrics::new(Arc::default(), Arc::default(), None));
            let error = Admin::start(address, status, Arc::new(metrics)).await.unwrap_err();
            assert!(error.to_string().contains("for `--admin`: "), "{error}");
            assert_eq!(error.exit_code(), 2, "{address}");
        }
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for (written, want) in [
            ("9100", "127.0.0.1:9100"),
            (":9100", "127.0.0.1:9100"),
            ("0.0.0.0:9100", "0.0.0.0:9100"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(full_address(written), want);
        }
    }
}

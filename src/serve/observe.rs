//! A layer round a service that counts its answers, writes them to the access log, and says in `Server-Timing` how they came about.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use http::{Request, Response};
use tower::Service;

use super::access_log::Entrance;
use super::body::{Body, OnEnd};
use super::client::Proxies;
use super::handler::Handler;
use super::log_line::Record;
use super::metrics::{Counted, Metrics};
use super::peer::Peer;
use super::status::Status;
use super::unheard::Unheard;
use super::upstream::Gateway;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What to do with each answer. With nothing to do a request costs a comparison more.
#[derive(Debug, Clone, Default)]
pub struct Observer(Option<Arc<Duties>>);

#[derive(Debug)]
struct Duties {
    metrics: Option<Arc<Metrics>>,
    log: Option<Entrance>,
    server_timing: bool,
    status: Arc<Status>,
    /// Whose word is taken for who asks.
    proxies: Proxies,
}

impl Observer {
    pub(super) fn new(
        status: Arc<Status>,
        metrics: Option<Arc<Metrics>>,
        log: Option<Entrance>,
        server_timing: bool,
        proxies: Proxies,
    ) -> Self {
        let has_duties = metrics.is_some() || log.is_some() || server_timing;
        Observer(has_duties.then(|| Arc::new(Duties { metrics, log, server_timing, status, proxies })))
    }

    /// Observes a service.
    pub fn observe<S>(self, service: S) -> Observed<S> {
        Observed { service, observer: self, peer: None }
    }
}

/// An observed service.
#[derive(Debug, Clone)]
pub struct Observed<S> {
    service: S,
    observer: Observer,
    peer: Option<Peer>,
}

/// The service of a connection, if it is one of those.
pub(super) fn watched<S: 'static>(service: &S) -> Option<&dyn Watched> {
    let service = service as &dyn Any;
    let plain = || service.downcast_ref::<Observed<Handler>>().map(|observed| observed as &dyn Watched);
    let gateway = || service.downcast_ref::<Observed<Gateway>>().map(|observed| observed as &dyn Watched);
    plain().or_else(gateway)
}

/// A service that answers from a table first, and is told whom it answers.
pub trait FromTable {
    fn for_peer(self, peer: Peer) -> Self;

    fn handler(&self) -> &Handler;
}

impl FromTable for Handler {
    fn for_peer(self, peer: Peer) -> Self {
        Handler::for_peer(self, peer)
    }

    fn handler(&self) -> &Handler {
        self
    }
}

impl FromTable for Gateway {
    fn for_peer(self, peer: Peer) -> Self {
        Gateway::for_peer(self, peer)
    }

    fn handler(&self) -> &Handler {
        Gateway::handler(self)
    }
}

impl<S: FromTable> Observed<S> {
    /// For a connection.
    pub fn for_peer(self, peer: Peer) -> Self {
        Observed { service: self.service.for_peer(peer), peer: Some(peer), ..self }
    }
}

/// An observed service of a server's own, whichever it is.
pub(super) trait Watched {
    /// What answers from the table, if its answers are counted at most, and where.
    fn if_counted_at_most(&self) -> Option<(&Handler, Option<&Arc<Metrics>>)>;

    /// Counts and logs what no service has seen.
    fn unheard(&self, unheard: Unheard);
}

impl<S: FromTable> Watched for Observed<S> {
    fn if_counted_at_most(&self) -> Option<(&Handler, Option<&Arc<Metrics>>)> {
        match &self.observer.0 {
            None => Some((self.service.handler(), None)),
            Some(duties) if duties.log.is_none() && !duties.server_timing => {
                Some((self.service.handler(), duties.metrics.as_ref()))
            }
            Some(_) => None,
        }
    }

    fn unheard(&self, unheard: Unheard) {
        let Some(duties) = &self.observer.0 else { return };
        if let Some(metrics) = &duties.metrics {
            metrics.count(Counted::unheard(unheard.status), 0, unheard.took);
        }
        if let Some(log) = duties.log.as_ref().filter(|log| log.wants()) {
            let release = duties.status.with_live(|live| live.release.clone());
            log.hand_over(Box::new(Record { release, ..Record::unheard(&unheard, self.peer) }));
        }
    }
}

impl<S, B> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let watch = self.observer.0.as_ref().map(|duties| Watch::start(duties, self.peer, &request));
        Observing { answer: self.service.call(request), watch }
    }
}

/// An answer on its way.
#[derive(Debug)]
pub struct Observing<F> {
    answer: F,
    watch: Option<Watch>,
}

impl<F> Future for Observing<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = Pin::new(&mut self.answer).poll(cx);
        let watch = &mut self.watch;
        answer.map(|answer| match watch.take() {
            None => answer,
            Some(watch) => answer.map(|response| watch.attach(response)),
        })
    }
}

/// What is known of a request before it is answered.
#[derive(Debug)]
struct Watch {
    duties: Arc<Duties>,
    start: Instant,
    record: Option<Box<Record>>,
}

impl Watch {
    fn start<B>(duties: &Arc<Duties>, peer: Option<Peer>, request: &Request<B>) -> Self {
        let is_logged = duties.log.as_ref().is_some_and(Entrance::wants);
        let record = is_logged.then(|| Box::new(Record::of(request, peer, &duties.proxies)));
        Watch { duties: Arc::clone(duties), start: Instant::now(), record }
    }

    fn attach(mut self, mut response: Response<Body>) -> Response<Body> {
        if self.duties.server_timing
            && let Some(timing) = self.timing(&response)
        {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
        let counted = Counted::of(&response);
        if let Some(record) = &mut self.record {
            record.status = response.status().as_u16();
            record.kind = counted.kind();
            record.encoding = response.headers().get(CONTENT_ENCODING).cloned();
            record.release = self.duties.status.with_live(|live| live.release.clone());
        }
        if self.record.is_some() || self.duties.metrics.is_some() {
            response.body_mut().on_end(Box::new(Tail { watch: self, counted }));
        }
        response
    }

    /// <https://www.w3.org/TR/server-timing/#the-server-timing-header-field>: durations are in milliseconds.
    fn timing(&self, response: &Response<Body>) -> Option<HeaderValue> {
        let mut text = String::with_capacity(96);
        let lookup = self.start.elapsed().as_secs_f64() * 1000.0;
        let encoding = response.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let encoding = encoding.unwrap_or("identity");
        // Writing to a string never fails.
        let _ = write!(text, "lookup;dur={lookup:.3}, encoding;desc=\"{encoding}\"");
        // A release is hex digits.
        let _ = self.duties.status.with_live(|live| write!(text, ", release;desc=\"{}\"", live.release));
        HeaderValue::try_from(text).ok()
    }
}

/// What remains to be done when the body is over.
struct Tail {
    watch: Watch,
    counted: Counted,
}

impl OnEnd for Tail {
    fn ended(self: Box<Self>, sent: u64) {
        let Tail { watch: Watch { duties, start, record }, counted } = *self;
        let took: Duration = start.elapsed();
        if let Some(metrics) = &duties.metrics {
            metrics.count(counted, sent, took);
        }
        if let (Some(log), Some(mut record)) = (&duties.log, record) {
            (record.bytes, record.took) = (sent, took);
            log.hand_over(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::environment::Environment;
    use crate::serve::Handle;
    use crate::serve::access_log::{AccessLog, Output, Settings};
    use crate::serve::fixture::Site;
    use crate::serve::status::Live;
    use http_body_util::BodyExt;
    use std::net::SocketAddr;
    use std::time::SystemTime;
    use tower::ServiceExt;

    fn handler() -> (Handler, Arc<Status>) {
        let environment = Environment::new("development");
        let table = Site::new().asset("css/a.css", &"a { color: red }\n".repeat(20)).table(&environment).unwrap();
        let status = Arc::new(Status::default());
        status.loaded(Live {
            release: table.release().to_string(),
            environment: "development".to_owned(),
            loaded: SystemTime::now(),
            took: Duration::ZERO,
            inventory: table.inventory(),
        });
        (Handler::new(Handle::new(table)), status)
    }

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::get(target).header("host", "a.example");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    async fn ask(service: &Observed<Handler>, request: Request<()>) -> Response<Body> {
        let peer = Peer { address: SocketAddr::from(([192, 0, 2, 7], 1)), is_tls: false };
        service.clone().for_peer(peer).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn each_answer_is_counted_and_logged_when_it_is_over() {
        let (handler, status) = handler();
        let metrics = Arc::new(Metrics::new(Arc::default(), Arc::clone(&status), None));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let output = Output::File(path.clone());
        let log = AccessLog::open(&Settings { output, format: LogFormat::Json, sample: 1.0 }).unwrap();
        let service =
            Observer::new(status, Some(Arc::clone(&metrics)), Some(log.entrance()), false, Proxies::default())
                .observe(handler);
        let whole = ask(&service, request("/static/css/a.css?q", &[("accept-encoding", "gzip")])).await;
        assert!(!whole.headers().contains_key(SERVER_TIMING));
        let requests = |metrics: &Arc<Metrics>| {
            let text = metrics.text();
            text.lines().find_map(|line| line.strip_prefix("fingerpost_request_duration_seconds_count ")?.parse().ok())
        };
        assert_eq!(requests(&metrics), Some(0), "its body is still to be sent");
        let length = whole.into_body().collect().await.unwrap().to_bytes().len();
        assert_eq!(requests(&metrics), Some(1));
        drop(ask(&service, request("/nothing", &[("user-agent", "x")])).await);
        assert_eq!(requests(&metrics), Some(2));
        drop(log);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        for (key, want) in [
            ("client", serde_json::Value::from("192.0.2.7")),
            ("target", "/static/css/a.css?q".into()),
            ("status", 200.into()),
            ("bytes", length.into()),
            ("encoding", "gzip".into()),
            ("kind", "document".into()),
            ("host", "a.example".into()),
            ("release", Live::clone(&service.observer.0.as_ref().unwrap().status.live().unwrap()).release.into()),
        ] {
            assert_eq!(lines[0][key], want, "{key}");
        }
        for (key, want) in [("status", serde_json::Value::from(404)), ("bytes", 0.into()), ("kind", "error".into())] {
            assert_eq!(lines[1][key], want, "{key}: given up");
        }
    }

    #[tokio::test]
    async fn server_timing_tells_the_lookup_the_coding_and_the_release() {
        let (handler, status) = handler();
        let release = status.live().unwrap().release.clone();
        let service = Observer::new(status, None, None, true, Proxies::default()).observe(handler);
        for (headers, coding) in [(&[][..], "identity"), (&[("accept-encoding", "br")], "br")] {
            let response = ask(&service, request("/static/css/a.css", headers)).await;
            let timing = response.headers()[SERVER_TIMING].to_str().unwrap();
            let rest = timing.strip_prefix("lookup;dur=").unwrap();
            let (duration, rest) = rest.split_once(", ").unwrap();
            assert!(duration.parse::<f64>().unwrap() < 1000.0, "{timing}");
            assert_eq!(rest, format!("encoding;desc=\"{coding}\", release;desc=\"{release}\""));
        }
    }

    #[tokio::test]
    async fn without_duties_nothing_is_changed() {
        let (handler, status) = handler();
        let observer = Observer::new(status, None, None, false, Proxies::default());
        assert!(observer.0.is_none());
        let service = observer.observe(handler.clone());
        let target = "/static/css/a.css";
        let (plain, observed) =
            (handler.oneshot(request(target, &[])).await.unwrap(), ask(&service, request(target, &[])).await);
        assert_eq!(plain.headers(), observed.headers());
    }

    /// Nanoseconds for a request, of the whole service with its answer dropped: `cargo test --lib observing_costs -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures, and prints what it finds: there is nothing that could fail"]
    fn what_observing_costs() {
        let (handler, status) = handler();
        let metrics = || Arc::new(Metrics::new(Arc::default(), Arc::clone(&status), None));
        let void = || Settings {
            output: Output::Writer(|| Box::new(std::io::sink())),
            format: LogFormat::Combined,
            sample: 1.0,
        };
        let log = AccessLog::open(&void()).unwrap();
        let few = AccessLog::open(&Settings { sample: 0.01, ..void() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cases = [
            ("nothing", Observer::default()),
            ("metrics", Observer::new(Arc::clone(&status), Some(metrics()), None, false, Proxies::default())),
            ("server timing", Observer::new(Arc::clone(&status), None, None, true, Proxies::default())),
            ("log of 1 %", Observer::new(Arc::clone(&status), None, Some(few.entrance()), false, Proxies::default())),
            ("log", Observer::new(Arc::clone(&status), None, Some(log.entrance()), false, Proxies::default())),
            (
                "all",
                Observer::new(Arc::clone(&status), Some(metrics()), Some(log.entrance()), true, Proxies::default()),
            ),
        ];
        // Few at a time, as few would be at once: many lie in no cache.
        let batch = || -> Vec<_> {
            (0..200).map(|_| request("/static/css/a.css", &[("accept-encoding", "gzip, br")])).collect()
        };
        let mut best = [Duration::MAX; 6];
        for _ in 0..500 {
            for ((_, observer), best) in cases.iter().zip(&mut best) {
                let (service, requests) = (observer.clone().observe(handler.clone()), batch());
                let start = Instant::now();
                runtime.block_on(async {
                    for request in requests {
                        drop(ask(&service, request).await);
                    }
                });
                *best = start.elapsed().min(*best);
            }
        }
        for ((name, _), best) in cases.iter().zip(best) {
            println!("{name}: {} ns a request", best.as_nanos() / 200);
        }
    }
}

//! Counts of answers, for Prometheus. Counting is a few additions to numbers that are a thread's own; adding up and writing them out is
//! left to who asks.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::access_log::Tally;
use super::connections::{Connections, Refusal};
use super::status::{Failover, Phase, Status};
use crate::encoding::Encoding;

/// The `Content-Type` of [`Metrics::text`].
pub const MEDIA_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Upper ends of the histogram's buckets, in nanoseconds. Answers from memory take microseconds, those to slow readers minutes.
const BUCKETS: [u64; 14] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// What an answer is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    class: usize,
    kind: Kind,
    encoding: Option<usize>,
    is_not_modified: bool,
}

/// What was answered with, as a cache would see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What is kept for ever: `immutable`.
    Asset,
    /// What is asked for again: pages, files under names of their own, logical names.
    Document,
    Redirect,
    Error,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Asset, Kind::Document, Kind::Redirect, Kind::Error];

    const fn as_str(self) -> &'static str {
        match self {
            Kind::Asset => "asset",
            Kind::Document => "document",
            Kind::Redirect => "redirect",
            Kind::Error => "error",
        }
    }
}

/// Content codings, the last for none.
const ENCODINGS: [&str; 4] = [Encoding::Brotli.token(), Encoding::Zstd.token(), Encoding::Gzip.token(), "identity"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Counted {
    pub fn of<B>(response: &Response<B>) -> Self {
        let (status, headers) = (response.status(), response.headers());
        let kind = match status.as_u16() {
            400.. => Kind::Error,
            304 => Kind::of(headers),
            300..400 => Kind::Redirect,
            _ => Kind::of(headers),
        };
        let has_content = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        Counted {
            class: usize::from(status.as_u16() / 100).saturating_sub(1),
            kind,
            encoding: has_content.then(|| coding(headers)),
            is_not_modified: status == StatusCode::NOT_MODIFIED,
        }
    }

    /// Of a 200, 206 or 304 whose fields are known.
    pub fn plain(status: StatusCode, is_immutable: bool, encoding: Option<Encoding>) -> Self {
        let last = ENCODINGS.len() - 1;
        let coding = encoding
            .map_or(last, |encoding| ENCODINGS.iter().position(|token| *token == encoding.token()).unwrap_or(last));
        let is_not_modified = status == StatusCode::NOT_MODIFIED;
        Counted {
            class: usize::from(status.as_u16() / 100).saturating_sub(1),
            kind: if is_immutable { Kind::Asset } else { Kind::Document },
            encoding: (!is_not_modified).then_some(coding),
            is_not_modified,
        }
    }

    /// Of what was refused before it was a request.
    pub fn unheard(status: StatusCode) -> Self {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        Counted { class, kind: Kind::Error, encoding: None, is_not_modified: false }
    }

    pub fn kind(self) -> &'static str {
        self.kind.as_str()
    }
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        if is_immutable(headers) { Kind::Asset } else { Kind::Document }
    }
}

/// Whether caches keep for ever what has these fields.
pub fn is_immutable(headers: &HeaderMap) -> bool {
    const WORD: &[u8] = b"immutable";
    // It mostly stands at the end. The value is short, and a searcher takes longer to set up than to go through it.
    headers
        .get(CACHE_CONTROL)
        .map(HeaderValue::as_bytes)
        .is_some_and(|value| value.ends_with(WORD) || value.windows(WORD.len()).any(|part| part == WORD))
}

/// The place in [`ENCODINGS`].
fn coding(headers: &HeaderMap) -> usize {
    let last = ENCODINGS.len() - 1;
    headers
        .get(CONTENT_ENCODING)
        .map_or(last, |value| ENCODINGS.iter().position(|token| token.as_bytes() == value.as_bytes()).unwrap_or(last))
}

/// Counts that one thread adds to, and others read. So nothing has to be locked for an addition, which takes twenty times as long.
/// Aligned so that no two lie on one line of a cache, nor on the one that is fetched beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// Whether the thread is gone that added to it, and another may.
    is_free: AtomicBool,
    requests: [[AtomicU64; Kind::ALL.len()]; CLASSES.len()],
    encodings: [AtomicU64; ENCODINGS.len()],
    not_modified: AtomicU64,
    bytes: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl Shard {
    fn count(&self, counted: Counted, bytes: u64, took: Duration) {
        // One thread adds to it: none gets lost between the two.
        let add = |count: Option<&AtomicU64>, by: u64| {
            if let Some(count) = count {
                count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
            }
        };
        add(self.requests.get(counted.class).and_then(|class| class.get(counted.kind as usize)), 1);
        add(counted.encoding.and_then(|index| self.encodings.get(index)), 1);
        if counted.is_not_modified {
            add(Some(&self.not_modified), 1);
        }
        add(Some(&self.bytes), bytes);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|end| nanos <= *end).unwrap_or(BUCKETS.len());
        add(self.buckets.get(bucket), 1);
        add(Some(&self.nanos), nanos);
    }
}

/// The shard of a thread, for as long as the thread lasts or counts for the same server.
#[derive(Debug)]
struct Own {
    number: usize,
    shard: Arc<Shard>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.shard.is_free.store(true, Ordering::Release);
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Tells it from others that a thread may have counted for.
    number: usize,
    shards: Mutex<Vec<Arc<Shard>>>,
    connections: Arc<Connections>,
    status: Arc<Status>,
    access_log: Option<Arc<Tally>>,
}

impl Metrics {
    pub fn new(connections: Arc<Connections>, status: Arc<Status>, access_log: Option<Arc<Tally>>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Metrics { number, shards: Mutex::default(), connections, status, access_log }
    }

    /// Counts an answer that is over.
    pub fn count(&self, counted: Counted, bytes: u64, took: Duration) {
        let counted_there = OWN.try_with(|own| {
            let mut own = own.borrow_mut();
            if own.as_ref().is_none_or(|own| own.number != self.number) {
                *own = Some(self.own());
            }
            own.as_ref().map(|own| own.shard.count(counted, bytes, took))
        });
        if counted_there.is_err() {
            // The thread is ending.
            self.own().shard.count(counted, bytes, took);
        }
    }

    /// A shard for a thread.
    fn own(&self) -> Own {
        let mut shards = self.shards();
        let left = shards.iter().find(|shard| shard.is_free.swap(false, Ordering::Acquire)).map(Arc::clone);
        let shard = left.unwrap_or_else(|| {
            let shard = Arc::<Shard>::default();
            shards.push(Arc::clone(&shard));
            shard
        });
        Own { number: self.number, shard }
    }

    fn shards(&self) -> MutexGuard<'_, Vec<Arc<Shard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All counts in Prometheus' text format, see [`MEDIA_TYPE`].
    pub fn text(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix("fingerpost");
        registry.register_collector(Box::new(Scrape(Arc::clone(self))));
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }

    fn sum(&self, of: impl Fn(&Shard) -> Option<&AtomicU64>) -> u64 {
        self.shards().iter().filter_map(|shard| of(shard)).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Writer(encoder);
        self.answers(&mut out)?;
        self.connections(&mut out)?;
        self.release(&mut out)?;
        self.access_log(&mut out)
    }
}

impl Scrape {
    fn answers(&self, out: &mut Writer) -> fmt::Result {
        let metrics = &self.0;
        let mut requests = Vec::new();
        for (class, name) in CLASSES.iter().enumerate() {
            for kind in Kind::ALL {
                let count = metrics.sum(|shard| shard.requests.get(class)?.get(kind as usize));
                requests.push(([("class", *name), ("kind", kind.as_str())], count));
            }
        }
        requests.retain(|(_, count)| *count > 0);
        out.counters("requests", "Requests answered, by class of status and kind of answer", &requests)?;
        let encodings = ENCODINGS.iter().enumerate();
        let encodings: Vec<_> = encodings
            .map(|(index, name)| ([("encoding", *name)], metrics.sum(|shard| shard.encodings.get(index))))
            .collect();
        out.counters("encodings", "Answers with content, by the content coding that was chosen", &encodings)?;
        let not_modified = metrics.sum(|shard| Some(&shard.not_modified));
        out.counter("not_modified", "Requests answered 304", not_modified)?;
        out.counter(
            "response_bytes",
            "Bytes of bodies handed to connections",
            metrics.sum(|shard| Some(&shard.bytes)),
        )?;
        let buckets: Vec<(f64, u64)> = (0..=BUCKETS.len())
            .map(|index| {
                let end = BUCKETS.get(index).map_or(f64::INFINITY, |nanos| *nanos as f64 / 1e9);
                (end, metrics.sum(|shard| shard.buckets.get(index)))
            })
            .collect();
        let seconds = Duration::from_nanos(metrics.sum(|shard| Some(&shard.nanos))).as_secs_f64();
        let help = "From a request's head to the last byte of its answer's body handed to the connection";
        let mut metric = out.0.encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }

    fn connections(&self, out: &mut Writer) -> fmt::Result {
        let connections = &self.0.connections;
        out.gauge("connections_open", "Connections that are open", connections.open() as f64)?;
        out.counter("connections_accepted", "Connections that were let in", connections.accepted())?;
        let refused = Refusal::ALL.map(|why| ([("reason", why.as_str())], connections.refused(why)));
        out.counters("connections_refused", "Connections that were not let in", &refused)
    }

    fn release(&self, out: &mut Writer) -> fmt::Result {
        let status = &self.0.status;
        let is_ready = status.phase() == Phase::Ready;
        out.gauge("ready", "Whether a release is served, and the server is not on its way out", f64::from(is_ready))?;
        let (done, failed) = status.reloads();
        let reloads = [([("result", "ok")], done), ([("result", "failed")], failed)];
        out.counters("reloads", "Reloads of the release", &reloads)?;
        if let Some(live) = status.live() {
            let labels = [("release", live.release.as_str()), ("environment", live.environment.as_str())];
            let help = "The release that is served, always 1";
            let mut metric = out.0.encode_descriptor("release_info", help, None, MetricType::Gauge)?;
            ConstGauge::new(1u64).encode(metric.encode_family(&labels)?)?;
            let loaded = live.loaded.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            out.gauge("release_loaded_timestamp_seconds", "When the release was loaded", loaded)?;
            out.gauge("release_load_seconds", "How long loading the release took", live.took.as_secs_f64())?;
            let inventory = live.inventory;
            out.gauge("release_urls", "URLs of the release", inventory.urls as f64)?;
            out.gauge("body_memory_bytes", "Bytes of bodies held in memory", inventory.memory_bytes as f64)?;
            out.gauge("body_file_bytes", "Bytes of bodies read from their files", inventory.file_bytes as f64)?;
        }
        let failovers = status.failovers();
        if failovers.is_empty() {
            return Ok(());
        }
        let help = "Whether pages take their assets from their own origin, because the asset base fails";
        let mut metric = out.0.encode_descriptor("failover_active", help, None, MetricType::Gauge)?;
        for (environment, (to, _)) in &failovers {
            let labels = [("environment", environment.as_str())];
            ConstGauge::new(f64::from(*to == Failover::Origin)).encode(metric.encode_family(&labels)?)?;
        }
        let times = failovers.iter().map(|(environment, (_, times))| ([("environment", environment.as_str())], *times));
        out.counters("failovers", "Times that the asset base was given up", &times.collect::<Vec<_>>())
    }

    fn access_log(&self, out: &mut Writer) -> fmt::Result {
        let Some(tally) = &self.0.access_log else { return Ok(()) };
        out.counter("access_log_lines", "Lines written to the access log", tally.written())?;
        out.counter("access_log_dropped", "Lines that the access log was too slow for", tally.dropped())?;
        out.counter("access_log_errors", "Failures to write or open the access log", tally.errors())
    }
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let counter = ConstCounter::new(count);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counters<const N: usize>(&mut self, name: &str, help: &str, counts: &[([(&str, &str); N], u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            ConstCounter::new(*count).encode(metric.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::Live;
    use crate::serve::table::Inventory;
    use std::time::SystemTime;

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(Arc::default(), Arc::default(), None))
    }

    fn response(status: u16, cache: &str, encoding: &str) -> Response<()> {
        let response = Response::builder().status(status).header(CACHE_CONTROL, cache);
        let response = if encoding.is_empty() { response } else { response.header(CONTENT_ENCODING, encoding) };
        response.body(()).unwrap()
    }

    #[track_caller]
    fn assert_says(text: &str, line: &str) {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }

    #[test]
    fn answers_are_counted_by_class_kind_and_coding() {
        let metrics = metrics();
        let forever = "public, max-age=31536000, immutable";
        for (status, cache, encoding) in [
            (200, forever, "br"),
            (206, forever, "gzip"),
            (304, forever, ""),
            (200, "no-cache", ""),
            (304, "no-cache", ""),
            (308, "no-cache", ""),
            (404, "no-store", "br"),
            (500, "no-store", ""),
        ] {
            metrics.count(Counted::of(&response(status, cache, encoding)), 10, Duration::from_micros(30));
        }
        let text = metrics.text();
        for line in [
            "fingerpost_requests_total{class=\"2xx\",kind=\"asset\"} 2",
            "fingerpost_requests_total{class=\"3xx\",kind=\"asset\"} 1",
            "fingerpost_requests_total{class=\"2xx\",kind=\"document\"} 1",
            "fingerpost_requests_total{class=\"3xx\",kind=\"document\"} 1",
            "fingerpost_requests_total{class=\"3xx\",kind=\"redirect\"} 1",
            "fingerpost_requests_total{class=\"4xx\",kind=\"error\"} 1",
            "fingerpost_requests_total{class=\"5xx\",kind=\"error\"} 1",
            "fingerpost_encodings_total{encoding=\"br\"} 1",
            "fingerpost_encodings_total{encoding=\"gzip\"} 1",
            "fingerpost_encodings_total{encoding=\"identity\"} 1",
            "fingerpost_not_modified_total 2",
            "fingerpost_response_bytes_total 80",
            "fingerpost_request_duration_seconds_bucket{le=\"2.5e-05\"} 0",
            "fingerpost_request_duration_seconds_bucket{le=\"5e-05\"} 8",
            "fingerpost_request_duration_seconds_bucket{le=\"+Inf\"} 8",
            "fingerpost_request_duration_seconds_count 8",
        ] {
            assert_says(&text, line);
        }
    }

    #[test]
    fn threads_lose_no_count() {
        let (metrics, other) = (metrics(), metrics());
        let counted = Counted::of(&response(200, "no-cache", ""));
        let count = |metrics: &Metrics| metrics.count(counted, 1, Duration::from_secs(100));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32).map(|_| scope.spawn(|| (0..1000).for_each(|_| count(&metrics)))).collect();
            // A scope does not wait until what is a thread's own is gone.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        // One after the other, and for several.
        for _ in 0..100 {
            let there = metrics.shards().len();
            std::thread::scope(|scope| {
                scope.spawn(|| [&metrics, &other, &metrics].map(|metrics| count(metrics))).join().unwrap();
            });
            assert!(metrics.shards().len() == there && other.shards().len() == 1, "they are used again");
        }
        let text = metrics.text();
        assert_says(&text, "fingerpost_response_bytes_total 32200");
        assert_says(&text, "fingerpost_request_duration_seconds_bucket{le=\"60\"} 0");
        assert_says(&text, "fingerpost_request_duration_seconds_count 32200");
        assert_says(&other.text(), "fingerpost_response_bytes_total 100");
    }

    #[test]
    fn the_release_and_what_happened_to_it() {
        let status = Arc::new(Status::default());
        let metrics = Arc::new(Metrics::new(Arc::default(), Arc::clone(&status), None));
        let text = metrics.text();
        assert_says(&text, "fingerpost_ready 0.0");
        assert!(!text.contains("failover") && !text.contains("release_info"), "{text}");
        status.loaded(Live {
            release: "0123456789abcdef".to_owned(),
            environment: "a\"b".to_owned(),
            loaded: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
            took: Duration::from_millis(1500),
            inventory: Inventory { urls: 3, memory_bytes: 4, file_bytes: 5 },
        });
        status.reloaded(false);
        ["a\"b", "c"].into_iter().for_each(|environment| status.watches(environment));
        status.failed_over("c", Failover::Origin);
        let text = metrics.text();
        for line in [
            "fingerpost_ready 1.0",
            "fingerpost_release_info{release=\"0123456789abcdef\",environment=\"a\\\"b\"} 1",
            "fingerpost_release_loaded_timestamp_seconds 5.0",
            "fingerpost_release_load_seconds 1.5",
            "fingerpost_body_memory_bytes 4.0",
            "fingerpost_body_file_bytes 5.0",
            "fingerpost_reloads_total{result=\"ok\"} 0",
            "fingerpost_reloads_total{result=\"failed\"} 1",
            "fingerpost_failover_active{environment=\"a\\\"b\"} 0.0",
            "fingerpost_failovers_total{environment=\"a\\\"b\"} 0",
            "fingerpost_failover_active{environment=\"c\"} 1.0",
            "fingerpost_failovers_total{environment=\"c\"} 1",
        ] {
            assert_says(&text, line);
        }
    }
}

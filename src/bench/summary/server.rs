//! What the load says of a strategy's servers.

use super::super::metric::Metric;
use super::super::report::{Load, Paced, Report, ServerSample};
use super::super::statistics::{Buckets, Estimate, Percentile};

/// Who asks has no time left if it is on its core for such a part of the time: it is one thread.
const BUSY: f64 = 0.95;

/// Requests that were due and never sent were given up after so long, in microseconds.
const LOST_US: f64 = 1e6;

#[derive(Debug)]
pub struct Server {
    pub throughput: Option<Estimate>,
    /// Microseconds per request.
    pub cpu: Option<Estimate>,
    /// As `cpu`, of who sends the pages alone, where an object store answers for the rest.
    pub pages_cpu: Option<Estimate>,
    pub memory: Option<Estimate>,
    /// Microseconds, from round to round.
    pub p50: Option<Estimate>,
    pub p99: Option<Estimate>,
    /// All rounds together.
    pub latencies: Buckets,
    /// Of both kinds of load.
    pub requests: u64,
    pub errors: u64,
    /// Of the saturating load, without errors.
    pub answered: u64,
    pub bytes: u64,
    /// Of the open loop.
    pub unsent: u64,
    /// Cores in use while saturated.
    pub generator_cores: f64,
    pub server_cores: f64,
    pub bound: Bound,
}

/// Whose time ran out while a server was saturated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Of who asked, while who answered had some left: the strategy could have answered more.
    Generator,
    Servers,
    Neither,
}

/// The percentiles that are shown.
pub const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Server {
    pub fn of(samples: &[ServerSample], report: &Report) -> Option<Self> {
        if samples.is_empty() {
            return None;
        }
        let (cores, seed) = (report.machine.cores, report.settings.seed);
        let estimate = |metric: Metric| Estimate::of(&self::samples(samples, metric), seed);
        let mut latencies = Buckets::default();
        for sample in samples {
            add(&mut latencies, sample);
        }
        let saturated = || samples.iter().map(|sample| &sample.saturated);
        let loads = || samples.iter().flat_map(|sample| [&sample.saturated, &sample.paced.load]);
        let seconds: f64 = saturated().map(|load| load.seconds).sum();
        let in_use = |micros: u64| if seconds > 0.0 { micros as f64 / 1e6 / seconds } else { 0.0 };
        let generator_cores = in_use(saturated().map(|load| load.client_cpu_us).sum());
        let server_cores = in_use(saturated().map(|load| load.server_cpu_us).sum());
        // Each side has half of the cores.
        let bound = match (server_cores >= BUSY * (cores / 2).max(1) as f64, generator_cores >= BUSY) {
            (true, _) => Bound::Servers,
            // Of servers that are not known, nothing is to be said.
            (false, true) if server_cores > 0.0 => Bound::Generator,
            _ => Bound::Neither,
        };
        Some(Server {
            throughput: estimate(Metric::Throughput),
            cpu: estimate(Metric::Cpu),
            pages_cpu: Estimate::of(&samples.iter().filter_map(pages_cpu).collect::<Vec<_>>(), seed),
            memory: estimate(Metric::Memory),
            p50: estimate(Metric::Latency50),
            p99: estimate(Metric::Latency99),
            latencies,
            requests: loads().map(|load| load.requests).sum(),
            errors: loads().map(|load| load.errors).sum(),
            answered: saturated().map(answered).sum(),
            bytes: saturated().map(|load| load.bytes).sum(),
            unsent: samples.iter().map(|sample| sample.paced.unsent).sum(),
            bound,
            generator_cores,
            server_cores,
        })
    }

    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        match metric {
            Metric::Throughput => self.throughput,
            Metric::Cpu => self.cpu,
            Metric::Memory => self.memory,
            Metric::Latency50 => self.p50,
            Metric::Latency99 => self.p99,
            _ => None,
        }
    }

    pub fn percentiles(&self) -> [Percentile; 4] {
        PERCENTILES.map(|(_, share)| self.latencies.percentile(share))
    }
}

/// What was never sent, and what was answered by no answer, is slower than all others. Older reports have latencies of the latter, too.
fn add(latencies: &mut Buckets, sample: &ServerSample) {
    let Paced { load, unsent, latencies: found, .. } = &sample.paced;
    let known: u64 = found.iter().map(|(_, count)| count).sum();
    latencies.add(found, unsent + load.requests.saturating_sub(known));
}

/// Errors are among the requests.
fn answered(load: &Load) -> u64 {
    load.requests.saturating_sub(load.errors)
}

fn cpu(load: &Load) -> Option<f64> {
    let good = answered(load);
    (good > 0 && load.server_cpu_us > 0).then(|| load.server_cpu_us as f64 / good as f64)
}

fn pages_cpu(sample: &ServerSample) -> Option<f64> {
    cpu(sample.pages.as_ref()?)
}

/// A metric in each round. A round without an answer has none.
pub fn samples(samples: &[ServerSample], metric: Metric) -> Vec<f64> {
    let latency = |sample: &ServerSample, share: f64| {
        let mut buckets = Buckets::default();
        add(&mut buckets, sample);
        match buckets.percentile(share) {
            Percentile::Micros(micros) => Some(micros as f64),
            // A round that was too bad for a figure is a bad one, not none.
            Percentile::Beyond(most) => Some(f64::max(most as f64, LOST_US)),
            Percentile::Unknown => None,
        }
    };
    let of = |sample: &ServerSample| {
        let (load, good) = (&sample.saturated, answered(&sample.saturated) as f64);
        match metric {
            Metric::Throughput => (good > 0.0 && load.seconds > 0.0).then(|| good / load.seconds),
            Metric::Cpu => cpu(load),
            Metric::Memory => (sample.memory > 0).then_some(sample.memory as f64),
            Metric::Latency50 => latency(sample, 0.5),
            Metric::Latency99 => latency(sample, 0.99),
            _ => None,
        }
    };
    samples.iter().filter_map(of).collect()
}

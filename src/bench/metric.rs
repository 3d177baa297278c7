//! What is measured, and which way is better.

use std::fmt;

use super::report::{Fetch, From, Visit};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Requests per second, saturated.
    Throughput,
    /// Microseconds of CPU per request.
    Cpu,
    /// Bytes.
    Memory,
    /// Microseconds at the open loop's rate.
    Latency50,
    Latency99,
    /// Milliseconds of a visit.
    FirstByte,
    FirstPaint,
    LargestPaint,
    Load,
    /// Of a visit, over the network.
    Requests,
    Bytes,
}

impl Metric {
    pub const SERVER: [Metric; 5] =
        [Metric::Throughput, Metric::Cpu, Metric::Memory, Metric::Latency50, Metric::Latency99];
    pub const VISIT: [Metric; 6] =
        [Metric::FirstByte, Metric::FirstPaint, Metric::LargestPaint, Metric::Load, Metric::Requests, Metric::Bytes];

    pub fn more_is_better(self) -> bool {
        self == Metric::Throughput
    }

    /// The same each time but for trifles, so that one round is enough.
    pub fn is_counted(self) -> bool {
        matches!(self, Metric::Requests | Metric::Bytes)
    }

    /// What it is in one visit.
    pub fn of(self, visit: &Visit) -> Option<f64> {
        match self {
            Metric::FirstByte => Some(visit.first_byte_ms),
            Metric::FirstPaint => visit.first_paint_ms,
            Metric::LargestPaint => visit.largest_paint_ms,
            Metric::Load => Some(visit.load_ms),
            Metric::Requests => Some(fetched(visit).count() as f64),
            Metric::Bytes => Some(fetched(visit).map(|fetch| fetch.bytes).sum::<u64>() as f64),
            Metric::Throughput | Metric::Cpu | Metric::Memory | Metric::Latency50 | Metric::Latency99 => None,
        }
    }
}

/// What of a visit came over the network.
pub fn fetched(visit: &Visit) -> impl Iterator<Item = &Fetch> {
    visit.fetches.iter().filter(|fetch| fetch.from == From::Network)
}

/// What of a visit came over the network from where the page itself came from.
pub fn beside_page(visit: &Visit) -> impl Iterator<Item = &Fetch> {
    let origin = |fetch: &Fetch| fetch.url.split('/').take(3).map(str::to_owned).collect::<Vec<_>>();
    let page = visit.fetches.iter().find(|fetch| fetch.kind == "document").map(origin);
    fetched(visit).filter(move |fetch| Some(origin(fetch)) == page)
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Throughput => "requests per second",
            Metric::Cpu => "CPU per request",
            Metric::Memory => "memory",
            Metric::Latency50 => "latency p50",
            Metric::Latency99 => "latency p99",
            Metric::FirstByte => "first byte",
            Metric::FirstPaint => "first paint",
            Metric::LargestPaint => "largest paint",
            Metric::Load => "load",
            Metric::Requests => "requests",
            Metric::Bytes => "bytes",
        })
    }
}

//! What a run of the bench found: every sample, and what it takes to run it again.
//!
//! The document that `bench --json` prints and `--from` and `--compare` read. Nothing in it is derived: medians, intervals and costs
//! are computed from it when it is shown, so that an old report is judged by the same rules as a new one.
//!
//! Times are milliseconds where a name ends in `_ms` and microseconds where it ends in `_us`; sizes are bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The shape of this document; one of another version is refused.
pub const VERSION: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    /// The program that measured, `fingerpost 0.1.0`.
    pub program: String,
    /// When it began (RFC 3339, UTC).
    pub begun: String,
    /// How long all of it took.
    pub seconds: f64,
    pub machine: Machine,
    /// What took part, with the version that it told: `nginx` → `1.22.1`.
    pub programs: BTreeMap<String, String>,
    pub settings: Settings,
    pub site: Site,
    pub strategies: Vec<Measured>,
    /// One strategy measured a second time in each round as if it were another: what differs between the two is noise.
    pub noise: Option<Noise>,
    /// What was noticed on the way that makes a figure doubtful.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory: u64,
    /// Kernel and release, `Linux 6.1.0`.
    pub system: String,
}

/// What was asked for; with the same settings the bench runs again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub quick: bool,
    pub rounds: u32,
    /// How long each measurement of a server lasts in each round.
    pub seconds: f64,
    /// Connections that ask at once for saturation.
    pub connections: u32,
    /// Requests per second of the open loop, the same for every strategy.
    pub rate: f64,
    /// Of what is drawn by chance.
    pub seed: u64,
    /// The page that is visited, `/`.
    pub page: String,
    pub networks: Vec<Network>,
    #[serde(default)]
    pub emulation: Emulation,
    /// The distances of visitors from the origin, as round trips from where their network ends.
    pub distances_ms: Vec<f64>,
    /// The strategies by name, as asked for.
    pub strategies: Vec<String>,
    /// The command of the user's own application, in place of a plain one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<String>,
    /// The user's own bucket, in place of one that is started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store: Option<Bucket>,
}

/// A bucket of the user's, for the strategy `storage`. Who may write there is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// `s3://bucket/prefix`
    pub store: String,
    /// Of its S3 API.
    pub endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// Where browsers get what lies at `store`; none if at the endpoint itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asset_base: Option<String>,
}

/// How networks are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// By relays on loopback, which hand bytes on later. All reports are of these that don't say.
    #[default]
    Relays,
    /// By the kernel, in a network namespace of the bench's own.
    Netem,
}

impl Emulation {
    /// As `--emulation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Emulation::Relays => "relays",
            Emulation::Netem => "netem",
        }
    }
}

/// What lies between a visitor and the nearest server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// `fibre`, `4g`, `slow-3g`.
    pub name: String,
    pub round_trip_ms: f64,
    /// Bits per second towards the visitor.
    pub down: u64,
    pub up: u64,
}

/// The site that was served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Site {
    pub name: String,
    pub pages: usize,
    pub files: usize,
    /// Of all its files as built, without packed variants.
    pub bytes: u64,
    /// The source that the second release changes.
    pub changed: String,
    /// What one visit asks a server for, in order: the requests of the load.
    pub requests: Vec<String>,
}

/// One strategy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// As given to `--strategy`: `proxy-nginx`.
    pub name: String,
    /// Which of the seven classic ways it is, or none of them.
    pub way: Option<Way>,
    /// In a few words, for people.
    pub title: String,
    /// What stands behind it: the programs and how they are connected, in a sentence or two.
    pub description: String,
    /// Why it was not measured, if it was not; then there are no samples.
    pub missing: Option<Missing>,
    /// The commands that were started, in order.
    pub commands: Vec<String>,
    /// The configuration files that they read, by name.
    pub configurations: BTreeMap<String, String>,
    pub servers: Vec<ServerSample>,
    pub visits: Vec<Visit>,
    /// What the edges said of themselves, for strategies that have some.
    pub edges: Vec<EdgeSample>,
    /// What the strategy keeps stored, variants and older releases included.
    pub stored_bytes: u64,
    /// Whether asset requests reach an object store that bills them, rather than a machine.
    pub billed_requests: bool,
    /// Whether the bytes to visitors are a CDN's traffic, rather than a machine's.
    pub delivered_by_edge: bool,
}

/// The seven classic ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    App,
    Proxy,
    Cdn,
    Bundles,
    Hybrid,
    Storage,
    Worker,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// `varnishd is not installed`
    pub reason: String,
    /// `apt-get install varnish`
    pub remedy: String,
}

/// One round of load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerSample {
    pub round: u32,
    /// As much as it takes: each connection asks again as soon as it has its answer.
    pub saturated: Load,
    /// At the rate of the settings, whatever the server does: latencies count from when a request was due (no coordinated omission).
    pub paced: Paced,
    /// As `saturated`, of what goes to who sends the pages, and by their CPU time alone, where an object store answers for the rest: in a
    /// load of both they wait for the store, and a server that is woken for each request takes several times as much for it. None where
    /// there is no store, and in reports that are older than this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<Load>,
    /// Resident memory of all its processes, shared pages once, after the load; 0 where it is not known.
    pub memory: u64,
}

/// What a stretch of load took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub seconds: f64,
    pub requests: u64,
    /// Answers that were none: refused, cut off, or with a status of 429, or of 500 and over.
    pub errors: u64,
    /// As received, header fields included.
    pub bytes: u64,
    /// CPU time of all of the strategy's processes; 0 where it is not known.
    pub server_cpu_us: u64,
    /// CPU time of who asked.
    pub client_cpu_us: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paced {
    pub load: Load,
    /// Requests due per second.
    pub rate: f64,
    /// Requests that were never sent, as too many were waiting.
    pub unsent: u64,
    /// Latencies from when each was due: upper bound of a bucket in microseconds, and how many fell into it; ascending.
    pub latencies: Vec<(u64, u64)>,
}

/// One visit of the page by a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Visit {
    pub round: u32,
    pub kind: VisitKind,
    /// The name of a network of the settings.
    pub network: String,
    /// The round trip to the origin from where the visitor's network ends, one of the settings' distances; the network's own comes on top.
    pub origin_ms: f64,
    /// As `origin_ms`, to the nearest edge, if the strategy has one.
    pub edge_ms: Option<f64>,
    /// Whether the edge had been asked before for what is visited.
    pub edge_warm: bool,
    /// From the start of the navigation to the page's first byte.
    pub first_byte_ms: f64,
    /// First contentful paint; none if nothing was painted.
    pub first_paint_ms: Option<f64>,
    /// Largest contentful paint.
    pub largest_paint_ms: Option<f64>,
    /// To the load event's end.
    pub load_ms: f64,
    pub fetches: Vec<Fetch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VisitKind {
    /// Nothing is kept from before.
    First,
    /// The same release again.
    Repeat,
    /// After a release that changed one file, by somebody who had visited before.
    AfterRelease,
    /// After a release that changed one file, by somebody who had not.
    AfterReleaseCold,
}

/// Something that the browser asked for in a visit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fetch {
    pub url: String,
    /// `document`, `stylesheet`, `script`, `image`, `font`, `other`.
    pub kind: String,
    pub status: u16,
    pub from: From,
    /// Received over the network, header fields included; 0 from a cache.
    pub bytes: u64,
    /// Since the navigation's start.
    pub start_ms: f64,
    pub first_byte_ms: f64,
    pub end_ms: f64,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    Network,
    Cache,
    Worker,
}

/// What an edge counted in a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EdgeSample {
    pub round: u32,
    /// `near`, or with its distance from the origin.
    pub edge: String,
    pub cold: bool,
    pub hits: u64,
    pub misses: u64,
    /// What it fetched from the origin.
    pub origin_bytes: u64,
}

/// Two measurements of one strategy, in the same rounds as all others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noise {
    pub strategy: String,
    pub servers: Vec<ServerSample>,
    pub visits: Vec<Visit>,
}

//! `fingerpost.toml` as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access_log::LogFormat;
use super::budget::Size;
use super::{Images, Pages, ProxyHeaders, SourceMaps, UpstreamHost, nearest, quoted};
use crate::environment::{By, Enforcement, Libraries, TagHeader};
use crate::error::Fault;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub build: Build,
    pub define: BTreeMap<String, serde_json::Value>,
    pub external: BTreeMap<String, String>,
    pub bundle: Vec<Bundle>,
    pub tool: Vec<Tool>,
    pub keep: Vec<Keep>,
    pub compress: Compress,
    pub images: Images,
    pub library: BTreeMap<String, Library>,
    pub context: BTreeMap<String, serde_json::Value>,
    pub env: BTreeMap<String, Environment>,
    pub headers: Vec<Headers>,
    pub security: Security,
    pub budget: Vec<Budget>,
    pub serve: Serve,
    pub dev: Dev,
    pub worker: Option<Worker>,
    pub manifest: BTreeMap<String, Manifest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    pub name: String,
    pub pages: Pages,
    pub wait: f64,
    pub keep: u32,
    pub offline: Option<String>,
    pub precache: Vec<String>,
    pub list: Option<String>,
    pub register: bool,
    pub kill: bool,
}

impl Default for Worker {
    fn default() -> Self {
        Worker {
            name: "sw.js".to_owned(),
            pages: Pages::default(),
            wait: 3.0,
            keep: 50,
            offline: None,
            precache: ["*.css", "*.js", "*.woff2"].map(str::to_owned).to_vec(),
            list: None,
            register: true,
            kill: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    pub assets: String,
    pub templates: String,
    pub out: String,
    pub prefix: String,
    pub targets: Option<String>,
    pub source_maps: SourceMaps,
    pub cache: String,
    pub cache_max_mb: u64,
    pub manifests: Option<Vec<String>>,
    pub import_map: Option<String>,
}

impl Default for Build {
    fn default() -> Self {
        Build {
            assets: "assets".to_owned(),
            templates: "templates".to_owned(),
            out: "dist".to_owned(),
            prefix: "assets".to_owned(),
            targets: None,
            source_maps: SourceMaps::Private,
            cache: ".fingerpost-cache".to_owned(),
            cache_max_mb: 1024,
            manifests: None,
            import_map: None,
        }
    }
}

/// A framework's manifest. Of which keys there may be depends on the framework.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    pub path: Option<String>,
    pub public_path: Option<String>,
    pub precache: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub name: String,
    pub inputs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub command: Command,
    #[serde(default)]
    pub inputs: Vec<String>,
    pub output: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a command is a list of words, or one line for the shell")]
pub enum Command {
    Words(Vec<String>),
    Line(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    pub encodings: Vec<String>,
}

impl Default for Compress {
    fn default() -> Self {
        Compress { encodings: ["br", "zstd", "gzip"].map(str::to_owned).to_vec() }
    }
}

/// A library that a public CDN has too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Library {
    pub file: String,
    pub cdn: String,
    pub global: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    pub asset_base: Option<String>,
    pub site: Option<String>,
    pub hosts: Vec<String>,
    pub store: Option<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub maps_store: Option<String>,
    pub maps_endpoint: Option<String>,
    pub maps_region: Option<String>,
    pub website: Option<bool>,
    pub encoding: Option<String>,
    pub cdn: Option<Cdn>,
    pub keep: Option<Retention>,
    pub cdn_cache_control: Option<String>,
    pub failover: Option<Failover>,
    pub surrogate_control: Option<String>,
    pub stale_while_revalidate: Option<u32>,
    pub stale_if_error: Option<u32>,
    pub cdn_tags: Vec<TagHeader>,
    pub preload_headers: Option<bool>,
    pub libraries: Libraries,
    pub security: Security,
}

/// Of which keys there may be depends on the provider.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Cdn {
    pub provider: String,
    pub endpoint: Option<String>,
    pub distribution: Option<String>,
    pub wait: Option<bool>,
    pub zone: Option<String>,
    pub by: Option<By>,
    pub batch: Option<usize>,
    pub service: Option<String>,
    pub soft: Option<bool>,
    pub url: Option<OneOrMany>,
    pub method: Option<String>,
    pub headers: Option<BTreeMap<String, String>>,
    pub body: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or a list of texts")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// `[security]`, and what an environment has instead.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    pub policy: Option<Enforcement>,
    pub inline_styles: Option<bool>,
    pub allow: BTreeMap<String, Vec<String>>,
    pub frame_ancestors: Option<String>,
    pub report_to: Option<String>,
    pub hsts: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub releases: Option<u32>,
    pub days: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Serve {
    pub tls: Option<Tls>,
    pub drain: Option<f64>,
    pub header_timeout: Option<f64>,
    pub idle_timeout: Option<f64>,
    pub write_timeout: Option<f64>,
    pub min_write_rate: Option<u64>,
    pub sendfile: Option<bool>,
    pub connections: Option<usize>,
    pub connections_per_address: Option<usize>,
    pub access_log: Option<AccessLog>,
    pub server_timing: bool,
    pub memory: Option<Size>,
    pub largest_in_memory: Option<Size>,
    pub keep_releases: Option<u8>,
    pub keep_in: Option<String>,
    pub compress: Option<bool>,
    pub unknown_host: Option<String>,
    pub trusted_proxies: Vec<String>,
    pub proxy_headers: ProxyHeaders,
    pub cdn_id: Option<String>,
    pub upstream: Option<Upstream>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Dev {
    pub origins: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub url: String,
    #[serde(default)]
    pub host: UpstreamHost,
    pub connect_timeout: Option<f64>,
    pub timeout: Option<f64>,
    pub retries: Option<u8>,
    pub rewrite: Option<bool>,
    pub compress: Option<bool>,
    #[serde(default, rename = "static")]
    pub statics: BTreeMap<String, String>,
}

/// `true` and `false` turn it on and off.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`failover` is `true`, `false` or a table of `interval`, `timeout`, `fail_after`, `recover_after`"
)]
pub enum Failover {
    On(bool),
    With(FailoverKeys),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailoverKeys {
    pub interval: Option<f64>,
    pub timeout: Option<f64>,
    pub fail_after: Option<u32>,
    pub recover_after: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert: String,
    pub key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    #[serde(rename = "match")]
    pub pattern: String,
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    #[serde(default)]
    pub unset: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    #[serde(rename = "match")]
    pub pattern: String,
    pub max_br: Option<Size>,
    pub max_gzip: Option<Size>,
    pub max_raw: Option<Size>,
    #[serde(default)]
    pub total: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    pub path: String,
    #[serde(default)]
    pub format: LogFormat,
    pub sample: Option<f64>,
}

pub fn parse(name: &str, text: &str) -> Result<File, Fault> {
    read_toml(name, text)
}

/// Parses the text; a fault points at the place, and an unknown key names the nearest known one.
pub fn read_toml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Fault> {
    toml::from_str(text).map_err(|error| {
        let (message, help) = explain(error.message());
        let mut fault = Fault::new(message);
        if let Some(help) = help {
            fault = fault.hint(help);
        }
        match error.span() {
            Some(span) => fault.at(name, text, span.start, span.len().max(1)),
            None => fault,
        }
    })
}

/// serde words an unknown key as ``unknown field `x`, expected one of `a`, `b` ``; what it knows is turned into a hint.
fn explain(message: &str) -> (String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return (message.to_owned(), None);
    };
    let mut quotes = rest.split('`');
    let written = quotes.next().unwrap_or_default();
    let known: Vec<&str> = quotes.skip(1).step_by(2).collect();
    let help = match nearest(written, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", quoted(&known)),
    };
    (format!("unknown key `{written}`"), Some(help))
}

//! `fingerpost serve`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::terminal::Terminal;
use super::{Global, below, block_on, trace};
use crate::config::{AccessLog, Config, LogPath, Origin, UnknownHost, Upstream, parse_size};
use crate::error::{Error, Result};
use crate::serve::access_log::{Output, Settings};
use crate::serve::{self, Change, Event, Front, Limits, Operation, Options, Policy, Proxies, TlsFiles};
use crate::{follow, publish};

#[derive(clap::Args)]
pub struct Args {
    /// The environment that pages are bound to [default: the one that has the request's host, or else development]
    #[arg(short, long, value_name = "NAME", env = "FINGERPOST_ENV")]
    env: Option<String>,
    /// The output folder of a build [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// Serve what is live in a store, and follow it: a folder or `s3://bucket/prefix`; alone, the environment's own
    #[arg(long, value_name = "STORE", num_args = 0..=1, default_missing_value = "", conflicts_with = "out", env = "FINGERPOST_STORE")]
    store: Option<String>,
    /// How often to look whether another release is live in the store
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, env = "FINGERPOST_POLL")]
    poll: Duration,
    /// Where releases from the store are kept for the next start, which then can do without the store; a folder of this server's own
    /// [default: nowhere]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_STORE_CACHE")]
    store_cache: Option<PathBuf>,
    /// The application to ask for what the build does not have: `http://HOST:PORT`, `https://…`, `h2c://…` or `unix:PATH`
    #[arg(long, value_name = "URL", env = "FINGERPOST_UPSTREAM")]
    upstream: Option<Origin>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", env = "FINGERPOST_LISTEN")]
    listen: String,
    /// The server's certificate and those that lead up to a root, in PEM; it makes the server speak TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "FINGERPOST_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "FINGERPOST_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// How long requests under way may take when the server stops [default: 10]
    #[arg(long, value_name = "SECONDS", env = "FINGERPOST_DRAIN")]
    drain: Option<u64>,
    /// Where to answer about health and metrics, and take reloads; a port alone is of this machine only [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "FINGERPOST_ADMIN")]
    admin: Option<String>,
    /// Where to write a line for each answer; `-` is stdout [default: nowhere]
    #[arg(long, value_name = "FILE", env = "FINGERPOST_ACCESS_LOG")]
    access_log: Option<String>,
    /// Say in each answer how long it took to find, in `Server-Timing`
    #[arg(long, env = "FINGERPOST_SERVER_TIMING")]
    server_timing: bool,
    /// What to trace on stderr: a level, or `TARGET=LEVEL` separated by commas [default: nothing]
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,
    /// How much of the site is held in memory, such as `64 MiB`; the rest stays in its files [default: 256 MiB]
    #[arg(long, value_name = "SIZE", env = "FINGERPOST_MEMORY", value_parser = size)]
    memory: Option<u64>,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "write bytes as a number, or a text such as `170 KB` or `1.5 MiB`".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "write seconds, such as `5` or `0.5`".to_owned())
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    if let Some(filter) = &args.log {
        trace::start(filter, terminal)?;
    }
    let config = global.load()?;
    let out = below(&config, args.out.as_deref(), &config.out);
    let tls = tls(&config, args);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = Options {
        front: front(&config),
        limits: limits(&config, args),
        sendfile: config.serve.transport.sendfile.unwrap_or(true),
        tls,
        operation: operation(&config, args),
        policy: policy(&config, args),
        upstream: upstream(&config, args),
        ..environments(&config, args, out)?
    };
    match &args.store {
        None => block_on(serve::run(options, |event| tell(&event, scheme, terminal))),
        Some(store) => follow(&config, args, store, options, |event| tell(&event, scheme, terminal), terminal),
    }
}

fn upstream(config: &Config, args: &Args) -> Option<Upstream> {
    let written = config.serve.upstream.clone();
    let Some(origin) = args.upstream.clone().map(|origin| origin.below(&config.root)) else { return written };
    Some(Upstream { origin: origin.clone(), ..written.unwrap_or_else(|| Upstream::new(origin)) })
}

/// Serves what is live in a store.
fn follow(
    config: &Config,
    args: &Args,
    store: &str,
    serve: Options,
    tell: impl Fn(serve::Event),
    terminal: &Terminal,
) -> Result<()> {
    let mut environment = config.environment(args.env.as_deref().unwrap_or("production"))?.clone();
    if !store.is_empty() {
        environment.store = Some(store.parse().map_err(|message| Error::Usage {
            message,
            help: "for a store elsewhere than at AWS, set `endpoint` in the environment as well".to_owned(),
        })?);
    }
    let temporary;
    let folder = match &args.store_cache {
        Some(folder) => below(config, Some(folder), folder),
        None => {
            temporary = tempfile::tempdir().map_err(Error::io("create a folder in", std::env::temp_dir()))?;
            temporary.path().to_owned()
        }
    };
    let observer = |event| match event {
        follow::Event::Serve(event) => tell(event),
        follow::Event::Fetched { release, took } => {
            terminal.finish();
            terminal.say(&format!("fetched release {release} in {:.1} s", took.as_secs_f64()));
        }
        follow::Event::Behind(error) | follow::Event::Damaged(error) | follow::Event::Untidy(error) => {
            terminal.complain(&error);
        }
        follow::Event::Followed => terminal.must_say("the store can be followed again"),
    };
    block_on(async {
        let store = publish::open(&config.root, &environment, terminal).await?;
        let options = follow::Options { store, folder, interval: args.poll, serve };
        follow::run(options, terminal, observer).await
    })
}

/// The environment that is asked for, or those that the request's host chooses among.
fn environments(config: &Config, args: &Args, out: PathBuf) -> Result<Options> {
    let other = match (&args.env, &config.serve.front.unknown_host) {
        (Some(name), _) => return Ok(Options::new(out, config.environment(name)?.clone(), &args.listen)),
        (None, UnknownHost::Environment(name)) => Some(name),
        (None, UnknownHost::Refuse) => None,
    };
    let is_served = |name: &String, hosts: &[String]| !hosts.is_empty() || Some(name) == other;
    let environments = config.environments.values().filter(|env| is_served(&env.name, &env.hosts));
    Ok(Options {
        environments: environments.cloned().collect(),
        other: other.cloned(),
        ..Options::new(out, config.environment("development")?.clone(), &args.listen)
    })
}

fn front(config: &Config) -> Front {
    let front = &config.serve.front;
    Front {
        proxies: Proxies::new(front.trusted_proxies.clone(), front.proxy_headers),
        cdn_id: Some(front.cdn_id.clone()),
    }
}

fn limits(config: &Config, args: &Args) -> Limits {
    let limits = Limits::from(&config.serve.transport);
    match args.drain {
        Some(seconds) => Limits { grace: Duration::from_secs(seconds), ..limits },
        None => limits,
    }
}

fn policy(config: &Config, args: &Args) -> Policy {
    let storage = &config.serve.storage;
    // What is encrypted can't be sent from its file by the system.
    let largest = if tls(config, args).is_some() { Policy::LARGEST_OVER_TLS } else { Policy::LARGEST };
    Policy {
        memory: args.memory.unwrap_or(storage.memory),
        largest_in_memory: storage.largest_in_memory.unwrap_or(largest),
        keep_releases: storage.keep_releases,
        keep_in: storage.keep_in.as_ref().and_then(|folder| kept(config, args, folder)),
        encodings: if storage.compress { config.encodings.clone() } else { Vec::new() },
        ..Policy::default()
    }
}

/// Where files of earlier releases are kept: of what comes from a store, beside that.
fn kept(config: &Config, args: &Args, folder: &Path) -> Option<PathBuf> {
    match (&args.store, &args.store_cache) {
        (None, _) => Some(folder.to_owned()),
        (Some(_), Some(cache)) => Some(below(config, Some(cache), cache).join("kept")),
        (Some(_), None) => None,
    }
}

fn tls(config: &Config, args: &Args) -> Option<TlsFiles> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: config.root.join(cert), key: config.root.join(key) }),
        _ => config.serve.transport.tls.as_ref().map(|tls| TlsFiles { cert: tls.cert.clone(), key: tls.key.clone() }),
    }
}

fn operation(config: &Config, args: &Args) -> Operation {
    let mut log = config.serve.access_log.clone();
    if let Some(written) = &args.access_log {
        let path = LogPath::new(&config.root, written);
        log = Some(AccessLog { path: path.clone(), ..log.unwrap_or_else(|| AccessLog::new(path)) });
    }
    Operation {
        admin: args.admin.clone(),
        access_log: log.map(settings),
        server_timing: args.server_timing || config.serve.server_timing,
    }
}

fn settings(log: AccessLog) -> Settings {
    let stdout: fn() -> Box<dyn Write + Send> = || Box::new(std::io::stdout());
    let output = match log.path {
        LogPath::Stdout => Output::Writer(stdout),
        LogPath::File(path) => Output::File(path),
    };
    Settings { output, format: log.format, sample: log.sample }
}

fn tell(event: &Event, scheme: &str, terminal: &Terminal) {
    match event {
        // Said however quiet: programs wait for these.
        Event::Admin(address) => terminal.must_say(&format!("admin on http://{address}")),
        Event::Listening(address) => terminal.must_say(&format!("listening on {scheme}://{address}")),
        Event::Reloaded => terminal.say("reloaded"),
        Event::ReloadFailed(error) | Event::Unsound(error) => terminal.complain(error),
        Event::NotKept(error) => {
            terminal.must_say("warning: files of this release are not kept for the next start of the server");
            terminal.complain(error);
        }
        Event::Failover(Change::Failed { base, failures, error }) => terminal
            .must_say(&format!("warning: assets are served from here, as `{base}` failed {failures} times: {error}")),
        Event::Failover(Change::Recovered { base, successes, after }) => terminal.must_say(&format!(
            "assets are served from `{base}` again: it answered {successes} times, after {} s",
            after.as_secs()
        )),
        Event::Stopping => terminal.say("finishing the requests under way"),
    }
}

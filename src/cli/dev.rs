//! `fingerpost dev`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::mpsc;

use super::keys::Keys;
use super::terminal::Terminal;
use super::{Global, block_on};
use crate::config::{Config, Origin, Upstream, WebOrigin};
use crate::dev::{self, Command, Event, Method, Problem, Rebuilt};
use crate::error::Result;
use crate::progress::Progress;
use crate::serve::TlsFiles;

/// Where it listens if nothing else is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// At most so many names are listed for a rebuild.
const NAMES: usize = 3;

#[derive(clap::Args)]
pub struct Args {
    /// The environment that pages are bound to
    #[arg(short, long, default_value = "development", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080, or the next port that is free]
    #[arg(long, value_name = "ADDR", env = "FINGERPOST_LISTEN")]
    listen: Option<SocketAddr>,
    /// Fail if the port is taken, instead of taking the next one
    #[arg(long)]
    strict_port: bool,
    /// Listen on every network of this machine, for other devices
    #[arg(long)]
    host: bool,
    /// Answer to this name too; `.example.com` stands for all below it
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Let pages of this origin load and read what is served, such as those of an app whose assets these are
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<WebOrigin>,
    /// Ask this application for what is not built here, and let its pages hear of changes: `http://HOST:PORT`, `https://…`, `h2c://…` or
    /// `unix:PATH`
    #[arg(long, value_name = "URL")]
    upstream: Option<Origin>,
    /// Serve over TLS, with a certificate that is made for this machine
    #[arg(long)]
    https: bool,
    /// Open the browser
    #[arg(long)]
    open: bool,
    /// Show the network URL as a QR code
    #[arg(long)]
    qr: bool,
    #[command(flatten)]
    watch: Watch,
}

/// How changes are heard of.
#[derive(clap::Args)]
pub struct Watch {
    /// Look at the files every so many milliseconds, where the file system gives no notice of changes
    #[arg(long, value_name = "MS", num_args = 0..=1, default_missing_value = "100", env = "FINGERPOST_WATCH_POLL")]
    poll: Option<std::num::NonZeroU64>,
}

impl Watch {
    pub fn method(&self) -> Method {
        self.poll.map_or(Method::Notice, |interval| Method::Poll(Duration::from_millis(interval.get())))
    }
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let mut listen = args.listen.unwrap_or(LISTEN);
    if args.host {
        listen.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }
    let networks = if listen.ip().is_unspecified() { networks() } else { Vec::new() };
    let loader = global.clone();
    let options = dev::Options {
        load: Box::new(move || loader.load()),
        config_file: global.config.clone(),
        environment: args.env.clone(),
        listen,
        strict_port: args.strict_port,
        hosts: args.allow_host.clone(),
        origins: args.origin.clone(),
        upstream: args.upstream.clone().map(|origin| upstream(&config, &origin.below(&config.root))),
        tls: args.https.then(|| certificate(&config, &args.allow_host, &networks)).transpose()?,
        method: args.watch.method(),
    };
    let console =
        Console { terminal, https: args.https, networks, qr: args.qr, open: args.open, address: OnceLock::new() };
    let (commands, asked) = mpsc::channel(8);
    let mut keys = Keys::listen();
    block_on(async {
        let pressed = async {
            loop {
                console.press(keys.next().await, &commands).await;
            }
        };
        tokio::select! {
            result = dev::run(options, asked, |event| console.tell(&event)) => result,
            () = pressed => Ok(()),
        }
    })
}

/// As `serve` has it, but that pages have to be read to put something into them.
fn upstream(config: &Config, origin: &Origin) -> Upstream {
    let written = config.serve.upstream.clone().unwrap_or_else(|| Upstream::new(origin.clone()));
    Upstream { origin: origin.clone(), rewrite: true, compress: false, ..written }
}

/// The addresses at which other devices reach this machine.
fn networks() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.iter().map(if_addrs::Interface::ip);
    // What is of the link alone needs a zone in its URL, which browsers don't take.
    addresses.filter(|address| !address.is_loopback() && address.is_ipv4()).collect()
}

fn certificate(config: &Config, names: &[String], networks: &[IpAddr]) -> Result<TlsFiles> {
    let folder = match &config.cache {
        Some(cache) => cache.join("certificate"),
        None => std::env::temp_dir().join("fingerpost-certificate"),
    };
    let names: Vec<String> =
        names.iter().map(|name| if name.starts_with('.') { format!("*{name}") } else { name.clone() }).collect();
    let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];
    dev::provide_certificate(&folder, &names, &[&here, networks].concat())
}

/// Who speaks with the developer.
struct Console<'t> {
    terminal: &'t Terminal,
    https: bool,
    networks: Vec<IpAddr>,
    qr: bool,
    open: bool,
    /// Where it listens, once it does.
    address: OnceLock<SocketAddr>,
}

impl Console<'_> {
    fn tell(&self, event: &Event<'_>) {
        let terminal = self.terminal;
        match event {
            Event::Listening { address, wanted } => {
                let _ = self.address.set(*address);
                if address.port() != wanted.port() && wanted.port() != 0 {
                    terminal.say(&format!("port {} is taken, so it is {}", wanted.port(), address.port()));
                }
                terminal.must_say(&format!("listening on {}://{address}", self.scheme()));
                self.urls();
                if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
                    terminal.say("keys     r rebuild, o open, u URLs, e next environment, q quit");
                }
                if self.open {
                    self.browse();
                }
            }
            Event::Built(rebuilt) => terminal.must_say(&headline(rebuilt)),
            Event::Failed(error) => terminal.complain(error),
            Event::Environment(name) => terminal.say(&format!("environment `{name}`")),
            Event::Warning(message) => Progress::warn(terminal, message.clone()),
            Event::Thrown(problem) => terminal.must_say(&thrown(problem)),
            Event::Stopping => {}
        }
    }

    async fn press(&self, key: char, commands: &mpsc::Sender<Command>) {
        let command = match key {
            'r' => Command::Rebuild,
            'e' => Command::NextEnvironment,
            'q' => Command::Quit,
            'u' => return self.urls(),
            'o' => return self.browse(),
            '\n' => return self.terminal.say(""),
            _ => return,
        };
        // It is gone only when all is over.
        let _ = commands.send(command).await;
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn urls(&self) {
        let Some(address) = self.address.get() else { return };
        let (scheme, port) = (self.scheme(), address.port());
        let local = match address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => format!("{scheme}://localhost:{port}/"),
            _ => format!("{scheme}://{address}/"),
        };
        self.terminal.say(&format!("local    {local}"));
        let networks: Vec<String> = self.networks.iter().map(|ip| format!("{scheme}://{ip}:{port}/")).collect();
        networks.iter().for_each(|url| self.terminal.say(&format!("network  {url}")));
        if self.qr {
            self.terminal.say(&qr(networks.first().unwrap_or(&local)));
        }
    }

    fn browse(&self) {
        let Some(address) = self.address.get() else { return };
        let url = format!("{}://localhost:{}/", self.scheme(), address.port());
        if let Err(error) = open::that_detached(&url) {
            Progress::warn(self.terminal, format!("could not open a browser: {error}; open {url} yourself"));
        }
    }
}

/// A URL for a camera.
fn qr(url: &str) -> String {
    let code = qrcode::QrCode::new(url.as_bytes());
    code.map(|code| code.render::<qrcode::render::unicode::Dense1x2>().build()).unwrap_or_default()
}

fn headline(rebuilt: &Rebuilt) -> String {
    let Rebuilt { because: changed, changed: others, files, took, tabs, told } = rebuilt;
    let built = match changed.is_empty() {
        true => format!("{files} files"),
        false => format!("{} of {files} files", others.len()),
    };
    let told = match (told, tabs) {
        (_, 0) => String::new(),
        (told, 1) => format!(", {told} of 1 tab told"),
        (told, tabs) => format!(", {told} of {tabs} tabs told"),
    };
    format!("{}built {built} in {}{told}", because(changed), milliseconds(*took))
}

/// Which sources made it necessary: `css/a.css changed: `.
pub fn because(changed: &[String]) -> String {
    let named = changed.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match changed.len().checked_sub(NAMES) {
        _ if changed.is_empty() => String::new(),
        None | Some(0) => format!("{named} changed: "),
        Some(more) => format!("{named} and {more} more changed: "),
    }
}

pub fn milliseconds(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1000.0),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.2} s"),
    }
}

fn thrown(problem: &Problem) -> String {
    match &problem.place {
        Some(place) => format!("a page threw {} at {}:{}:{}", problem.message, place.file, place.line, place.column),
        None => format!("a page threw {}", problem.message),
    }
}

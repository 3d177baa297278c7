//! Working on a site: what changes is built, and every browser that shows it hears of it.
//!
//! One thread builds, one build after another; the rest waits for what happens: in the file system, in the terminal, in the browsers.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};

mod builder;
mod certificate;
mod changes;
mod debounce;
mod editor;
mod folders;
mod guard;
mod insert;
mod poll;
mod problem;
mod runtime;
mod service;
mod tabs;
mod update;
mod watch;
mod write;

use debounce::Debouncer;
use folders::Folders;
pub use guard::Guard;
pub use problem::{Problem, Row, Spot};
use service::{Heard, Service, Site};
pub use watch::Method;
use watch::Watcher;
pub use write::{Writing, Written, write};

use crate::build::Snapshot;
use crate::config::{Config, Upstream, WebOrigin};
use crate::environment::{AssetBase, Environment};
use crate::error::{Error, Result};
use crate::serve::{self, Gateway, Handle, Handler, Limits, Server, Signals, Sites, Table, Tls, TlsFiles};
use builder::{Builder, Job, Outcome};
pub use certificate::provide as provide_certificate;
use changes::Changes;

/// How a site is worked on.
pub struct Options {
    /// Reads the configuration; again when it has changed.
    pub load: Box<dyn Fn() -> Result<Config> + Send>,
    /// Where that lies, if it was said.
    pub config_file: Option<PathBuf>,
    /// The name of the environment that pages are bound to.
    pub environment: String,
    pub listen: SocketAddr,
    /// Whether another port may be taken in its place.
    pub strict_port: bool,
    /// Beside this machine's own names.
    pub hosts: Vec<String>,
    /// Whose pages may use what is served, beside those of the configuration.
    pub origins: Vec<WebOrigin>,
    /// The application that makes the pages, and is asked for all that is not built here.
    pub upstream: Option<Upstream>,
    pub tls: Option<TlsFiles>,
    pub method: Method,
}

/// What a developer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Forget everything, and build it all.
    Rebuild,
    /// Bind the pages to the next environment.
    NextEnvironment,
    Quit,
}

/// What happens, for people to know.
#[derive(Debug)]
pub enum Event<'a> {
    /// The first build is done, or has failed, and connections are accepted.
    Listening {
        address: SocketAddr,
        wanted: SocketAddr,
    },
    Built(&'a Rebuilt),
    Failed(&'a Error),
    Environment(&'a str),
    /// Something that goes on all the same.
    Warning(String),
    /// A page has thrown an error.
    Thrown(&'a Problem),
    Stopping,
}

/// A build, in numbers.
#[derive(Debug)]
pub struct Rebuilt {
    /// What was heard to have changed, below the root; empty for the first one.
    pub because: Vec<String>,
    /// Files that are others than before.
    pub changed: Vec<String>,
    pub files: usize,
    pub took: Duration,
    /// Of so many tabs so many had something to do.
    pub tabs: usize,
    pub told: usize,
}

/// Of so many origins it is said that they were refused.
const REFUSALS: usize = 10;

/// Builds and serves a site while it is worked on, until it is told to stop.
pub async fn run(options: Options, commands: Receiver<Command>, tell: impl Fn(Event<'_>)) -> Result<()> {
    let config = (options.load)()?;
    let environment = development(&config, &options.environment)?;
    let tls = options.tls.clone().map(Tls::load).transpose()?;
    let (server, address) = bind(&options).await?;
    let guard = Guard::new(&config, &options.hosts, &options.origins);
    let (tell_of, pages) = unbounded_channel();
    let site = Arc::new(Site::new(config.root.clone(), guard, tell_of));
    let handle = Handle::new(Sites::from(Table::default()));
    let (events, heard) = unbounded_channel();
    let changes = Changes { heard, debouncer: Debouncer::default() };
    let mut dev = DevServer {
        watcher: Watcher::new(options.method, events)?,
        folders: Folders::of(&config, options.config_file.as_deref(), std::iter::empty()),
        builder: Builder::start(&config, environment, options.config_file.clone(), options.upstream.clone())?,
        config,
        site: Arc::clone(&site),
        handle: handle.clone(),
        is_bound_anew: false,
        pages,
        refused: BTreeSet::new(),
        tell: &tell,
        options,
    };
    dev.watch()?;
    dev.build(BTreeSet::new()).await;
    let mut signals = Signals::install()?;
    tell(Event::Listening { address, wanted: dev.options.listen });
    let mut server = server.with_limits(Limits { grace: Duration::from_millis(300), ..Limits::default() });
    if let Some(tls) = tls {
        server = server.with_tls(tls);
    }
    let handler = Handler::new(handle);
    let upstream =
        dev.options.upstream.clone().map(|settings| serve::Upstream::new(settings, "fingerpost")).transpose()?;
    let application = upstream.map(|upstream| Gateway::new(handler.clone(), Arc::new(upstream)));
    let make = move |peer: serve::Peer| Service {
        site: Arc::clone(&site),
        handler: handler.clone().for_peer(peer),
        application: application.clone().map(|application| application.for_peer(peer)),
    };
    let working = async {
        // Whatever is being built is given up. A terminal that is closed ends it, too.
        tokio::select! {
            _ = signals.next() => {}
            () = dev.work(changes, commands) => {}
        }
        tell(Event::Stopping);
    };
    server.run(make, working).await;
    Ok(())
}

/// The socket, at the wanted address or at the next one that is free.
async fn bind(options: &Options) -> Result<(Server, SocketAddr)> {
    let wanted = options.listen;
    let ports = match (options.strict_port, wanted.port()) {
        (true, port) | (false, port @ 0) => port..=port,
        (false, port) => port..=port.saturating_add(20),
    };
    let mut refused = None;
    for port in ports {
        match Server::bind(&SocketAddr::new(wanted.ip(), port).to_string()).await {
            Ok(server) => {
                let address = server.local_addr();
                return Ok((server, address));
            }
            Err(error @ Error::Listen { .. }) if is_taken(&error) => drop(refused.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or(Error::Listen { address: wanted.to_string(), source: io::ErrorKind::AddrInUse.into() }))
}

fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
}

/// An environment as it is while a site is worked on: no other origin has what is built here, and what a browser would remember for
/// long is left out.
fn development(config: &Config, name: &str) -> Result<Environment> {
    let mut environment = config.environment(name)?.clone();
    environment.asset_base = AssetBase::default();
    environment.security.hsts = None;
    environment.hosts.clear();
    Ok(environment)
}

/// The one who has it all in hand.
struct DevServer<'t> {
    options: Options,
    config: Config,
    folders: Folders,
    watcher: Watcher,
    builder: Builder,
    site: Arc<Site>,
    handle: Handle,
    /// Whether the next build's pages are bound to another environment than those that are shown.
    is_bound_anew: bool,
    /// What pages give to know.
    pages: UnboundedReceiver<Heard>,
    /// Whose pages were refused; it is said once each.
    refused: BTreeSet<WebOrigin>,
    tell: &'t dyn Fn(Event<'_>),
}

impl DevServer<'_> {
    async fn work(&mut self, mut changes: Changes, mut commands: Receiver<Command>) {
        let mut has_commands = true;
        loop {
            tokio::select! {
                biased;
                command = commands.recv(), if has_commands => match command {
                    Some(Command::Quit) => return,
                    Some(Command::Rebuild) => self.renew().await,
                    Some(Command::NextEnvironment) => self.next_environment().await,
                    None => has_commands = false,
                },
                Some(heard) = self.pages.recv() => self.hear(heard),
                told = changes.next(&self.folders) => {
                    self.watcher.renew(&told);
                    match self.folders.are_settings(&told) {
                        true => self.configure(&told).await,
                        false => self.build(told).await,
                    }
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Thrown(problem) => (self.tell)(Event::Thrown(&problem)),
            // Whoever sends requests chooses what they say, so not each of them is worth a line.
            Heard::Refused(origin) => {
                if self.refused.len() < REFUSALS && self.refused.insert(origin.clone()) {
                    (self.tell)(Event::Warning(format!(
                        "a page of {origin} was refused; if it is yours, pass `--origin {origin}`, or name it in `[dev] origins`"
                    )));
                }
            }
        }
    }

    /// Builds everything by the configuration as it is now.
    async fn renew(&mut self) {
        self.configure(&BTreeSet::new()).await;
    }

    async fn configure(&mut self, told: &BTreeSet<PathBuf>) {
        let loaded = (self.options.load)().and_then(|config| {
            let environment = development(&config, &self.options.environment)?;
            Ok((config, environment))
        });
        match loaded {
            Ok((config, environment)) => {
                self.config = config.clone();
                let guard = Guard::new(&config, &self.options.hosts, &self.options.origins);
                self.site.guard.store(Arc::new(guard));
                self.builder.ask(Job::Bind(Box::new(environment)));
                self.builder.ask(Job::Configure(Box::new(config)));
                self.build(told.clone()).await;
            }
            Err(error) => self.fail(&error),
        }
    }

    async fn next_environment(&mut self) {
        let names: Vec<&String> = self.config.environments.keys().collect();
        let at = names.iter().position(|name| **name == self.options.environment).map_or(0, |at| at + 1);
        let Some(name) = names.get(at % names.len().max(1)).map(ToString::to_string) else { return };
        match development(&self.config, &name) {
            Ok(environment) => {
                self.options.environment = name;
                self.builder.ask(Job::Bind(Box::new(environment)));
                self.is_bound_anew = true;
                (self.tell)(Event::Environment(&self.options.environment));
                self.build(BTreeSet::new()).await;
            }
            Err(error) => (self.tell)(Event::Failed(&error)),
        }
    }

    async fn build(&mut self, told: BTreeSet<PathBuf>) {
        let because = told.iter().map(|path| crate::fs::display_name(&self.config.root, path)).collect();
        self.builder.ask(Job::Build(told));
        match self.builder.outcome().await {
            Ok(Outcome { made, folders, warnings, took }) => {
                if let Some(folders) = folders {
                    self.folders = folders;
                }
                warnings.into_iter().for_each(|warning| (self.tell)(Event::Warning(warning)));
                match made {
                    Ok((snapshot, table)) => self.show(snapshot, table, because, took),
                    Err(error) => self.fail(&error),
                }
            }
            Err(error) => self.fail(&error),
        }
        if let Err(error) = self.watch() {
            (self.tell)(Event::Warning(error.to_string()));
        }
    }

    fn show(&mut self, snapshot: Snapshot, table: Table, because: Vec<String>, took: Duration) {
        let files = snapshot.manifest.files.len();
        let mut state = self.site.state();
        // What is served first is what pages are told of.
        self.handle.swap(Sites::from(table));
        let build = next_build(state.shown.build);
        let changed = state.shown.take(build, snapshot);
        if std::mem::take(&mut self.is_bound_anew) {
            state.shown.renew_pages();
        }
        state.problems.clear();
        let told = self.site.tabs.tell(build, |page, since| state.update(page, since));
        drop(state);
        let tabs = self.site.tabs.count();
        (self.tell)(Event::Built(&Rebuilt { because, changed, files, took, tabs, told }));
    }

    fn fail(&self, error: &Error) {
        let mut state = self.site.state();
        state.problems = Problem::of(error);
        let build = state.shown.build;
        self.site.tabs.tell(build, |page, since| state.update(page, since));
        drop(state);
        (self.tell)(Event::Failed(error));
    }

    fn watch(&mut self) -> Result<()> {
        if let Some(warning) = self.watcher.follow(self.folders.wanted())? {
            (self.tell)(Event::Warning(warning));
        }
        Ok(())
    }
}

/// Greater than the last one, and than those of programs that ran before.
fn next_build(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    u64::try_from(now).unwrap_or(u64::MAX).max(last + 1)
}

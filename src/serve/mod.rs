//! Serving a release from memory: [`Table::load`] computes every answer, [`respond`] picks one, [`Server`] sends it.
//!
//! [`run`] is all of it, until a signal ends it. Who needs other parts puts them together: a [`TableBuilder`] makes a table of
//! anything, a [`Handle`] swaps tables while they are served, a [`Handler`] is a tower service that layers can wrap.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::error::{Error, Result};

pub mod access_log;
mod admin;
mod answer;
mod body;
mod completion;
mod conditional;
mod connection;
mod connections;
mod content;
mod current;
mod dist;
mod failover;
mod fields;
#[cfg(test)]
mod fixture;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod limits;
mod listen;
mod load;
mod log_line;
mod metrics;
#[cfg(test)]
mod model;
mod negotiate;
mod observe;
mod operate;
mod peer;
mod range;
mod resource;
mod retention;
mod server;
mod signal;
mod status;
mod storage;
mod stored;
mod system;
mod table;
mod tls;

use operate::Operator;

pub use answer::Answer;
pub use body::{Body, End, OnEnd};
pub use connections::{Connections, Open, Refusal};
pub use content::{Closed, Content, Segment};
pub use current::Current;
pub use failover::{Change, ProbeError};
pub use handler::{Handler, error, respond};
pub use limits::Limits;
pub use observe::{Observed, Observer};
pub use operate::Operation;
pub use peer::Peer;
pub use resource::Resource;
pub use server::Server;
pub use signal::{Signal, Signals};
pub use status::{Failover, Live, Phase, Status};
pub use storage::Policy;
pub use stored::{Standing, Stored};
pub use table::{Handle, Inventory, Route, Table, TableBuilder};
pub use tls::{Tls, TlsFiles};

use system::Notice;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The output folder of a build.
    pub out: PathBuf,
    pub environment: Environment,
    /// `HOST:PORT`; port 0 takes a free one. Not used if the service manager hands over a socket.
    pub listen: String,
    pub limits: Limits,
    /// Without it, requests are taken in the clear.
    pub tls: Option<TlsFiles>,
    pub operation: Operation,
    /// How much is held in memory.
    pub policy: Policy,
}

/// What happens while serving, for people to know.
#[derive(Debug)]
pub enum Event {
    /// The admin listener answers here.
    Admin(SocketAddr),
    /// Connections are accepted here.
    Listening(SocketAddr),
    Reloaded,
    /// What is served is still the release from before.
    ReloadFailed(Error),
    /// Assets are to be had from another origin no longer, or again.
    Failover(Change),
    /// Requests under way are being finished.
    Stopping,
}

/// Serves a build until it is told to stop; SIGHUP, or the admin listener, loads the build anew.
pub async fn run(options: Options, observer: impl Fn(Event)) -> Result<()> {
    let mut operator = Operator::start(&options.operation).await?;
    if let Some(address) = operator.admin_addr() {
        observer(Event::Admin(address));
    }
    let environment = options.environment.name.as_str();
    let (table, took) = load(&options).await?;
    let server = Server::bind(&options.listen).await?.counting(operator.connections());
    operator.loaded(&table, environment, took);
    let handle = Handle::new(table);
    // Before the address is told: who reads it may send a signal at once.
    let mut signals = Signals::install()?;
    tracing::info!(address = %server.local_addr(), environment, "listening");
    observer(Event::Listening(server.local_addr()));
    let service = operator.observe(Handler::new(handle.clone()));
    let shutdown = async {
        loop {
            let asker = tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => break,
                    Signal::Reload => {
                        operator.reopen_log();
                        None
                    }
                },
                asker = operator.reload_asked() => Some(asker),
            };
            match load(&options).await {
                Ok((table, took)) => {
                    operator.loaded(&table, environment, took);
                    handle.swap(table);
                    operator.reloaded(Ok(()), asker);
                    observer(Event::Reloaded);
                }
                Err(error) => {
                    operator.reloaded(Err(&error), asker);
                    observer(Event::ReloadFailed(error));
                }
            }
            system::notify(Notice::Ready);
        }
        system::notify(Notice::Stopping);
        operator.draining();
        observer(Event::Stopping);
    };
    server.run(service, shutdown).await;
    Ok(())
}

/// Loads aside, so that requests are answered meanwhile. Tells how long it took, too.
async fn load(options: &Options) -> Result<(Table, Duration)> {
    let Options { out, environment, .. } = options.clone();
    let span = tracing::info_span!("load", out = %out.display(), environment = environment.name);
    let start = Instant::now();
    let work = move || span.in_scope(|| Table::load(&out, &environment).inspect(|table| tell_of(table, start)));
    let loaded = tokio::task::spawn_blocking(work).await;
    let failed =
        |error: tokio::task::JoinError| Error::Manifest { path: options.out.clone(), reason: error.to_string() };
    Ok((loaded.map_err(failed)??, start.elapsed()))
}

fn tell_of(table: &Table, start: Instant) {
    let Inventory { urls, memory_bytes, file_bytes } = table.inventory();
    let release = table.release().map(ToString::to_string);
    tracing::info!(release, urls, memory_bytes, file_bytes, took = ?start.elapsed(), "loaded");
}

#[cfg(all(test, unix))]
mod tests {
    use super::fixture::{Client, PATIENCE, Site};
    use super::*;
    use tokio::sync::mpsc::UnboundedReceiver;

    fn signal(name: &str) {
        let command = format!("kill -{name} {}", std::process::id());
        assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    fn options(out: PathBuf) -> Options {
        Options {
            out,
            environment: Environment::new("development"),
            listen: "127.0.0.1:0".to_owned(),
            limits: Limits::default(),
            tls: None,
        }
    }

    async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("it happens in time").expect("it goes on")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn signals_reload_and_stop() {
        let site = Site::new().page("index.html", "one");
        site.write_manifest();
        let options = options(site.out());
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let running = tokio::spawn(run(options, move |event| sender.send(event).unwrap()));
        let Event::Listening(address) = next(&mut events).await else { panic!("it listens first") };
        let mut client = Client::connect(address).await;
        assert_eq!(client.ask("GET /", "").await.body, b"one");

        let site = site.page("index.html", "two");
        signal("HUP");
        match next(&mut events).await {
            Event::ReloadFailed(error) => assert!(error.to_string().contains("`index.html` is not what"), "{error}"),
            other => panic!("the manifest is of the old page: {other:?}"),
        }
        assert_eq!(client.ask("GET /", "").await.body, b"one");

        site.write_manifest();
        signal("HUP");
        assert!(matches!(next(&mut events).await, Event::Reloaded));
        assert_eq!(client.ask("GET /", "").await.body, b"two");

        signal("TERM");
        assert!(matches!(next(&mut events).await, Event::Stopping));
        assert!(client.is_closed().await);
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn without_a_build_nothing_listens() {
        let error = run(options(PathBuf::from("/nonexistent")), |event| panic!("{event:?}")).await.unwrap_err();
        assert!(error.to_string().contains("there is no such file"), "{error}");
    }
}

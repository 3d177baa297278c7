//! Serving a release from memory: [`Table::load`] computes every answer, [`respond`] picks one, [`Server`] sends it.
//!
//! [`run`] is all of it, until a signal ends it. Who needs other parts puts them together: a [`TableBuilder`] makes a table of
//! anything, a [`Handle`] swaps tables while they are served, a [`Handler`] is a tower service that layers can wrap.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::error::{Error, Result};

mod body;
mod client;
mod conditional;
mod content;
mod dist;
#[cfg(test)]
mod fixture;
mod forwarded;
mod handler;
mod headers;
mod loops;
mod negotiate;
mod peer;
mod range;
mod resource;
mod server;
mod signal;
mod sites;
mod table;

pub use body::Body;
pub use client::{Client, Proxies};
pub use content::{Content, Segment, Stored};
pub use handler::{Front, Handler, error, respond};
pub use loops::{append as append_cdn_loop, names as is_in_cdn_loop};
pub use peer::Peer;
pub use resource::Resource;
pub use server::{Limits, Server};
pub use signal::{Signal, Signals};
pub use sites::Sites;
pub use table::{Handle, Route, Table, TableBuilder};

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The output folder of a build.
    pub out: PathBuf,
    /// One, or several that are told apart by their hosts.
    pub environments: Vec<Environment>,
    /// The name of the one that is for hosts which none of them names; without it, those are refused.
    pub other: Option<String>,
    pub front: Front,
    /// `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
}

impl Options {
    /// One environment for every host.
    pub fn new(out: impl Into<PathBuf>, environment: Environment, listen: impl Into<String>) -> Self {
        let other = Some(environment.name.clone());
        let environment = Environment { hosts: Vec::new(), ..environment };
        Options {
            out: out.into(),
            environments: vec![environment],
            other,
            front: Front::default(),
            listen: listen.into(),
        }
    }
}

/// What happens while serving, for people to know.
#[derive(Debug)]
pub enum Event {
    /// Connections are accepted here.
    Listening(SocketAddr),
    Reloaded,
    /// What is served is still the release from before.
    ReloadFailed(Error),
    /// Requests under way are being finished.
    Stopping,
}

/// Serves a build until it is told to stop; SIGHUP loads the build anew.
pub async fn run(options: Options, observer: impl Fn(Event)) -> Result<()> {
    let handle = Handle::new(load(&options).await?);
    let server = Server::bind(&options.listen).await?;
    // Before the address is told: who reads it may send a signal at once.
    let mut signals = Signals::install()?;
    observer(Event::Listening(server.local_addr()));
    let shutdown = async {
        while signals.next().await == Signal::Reload {
            match load(&options).await {
                Ok(sites) => {
                    handle.swap(sites);
                    observer(Event::Reloaded);
                }
                Err(error) => observer(Event::ReloadFailed(error)),
            }
        }
        observer(Event::Stopping);
    };
    server.run(Handler::new(handle.clone()).behind(options.front.clone()), shutdown).await;
    Ok(())
}

/// Loads aside, so that requests are answered meanwhile.
async fn load(options: &Options) -> Result<Sites> {
    let Options { out, environments, other, .. } = options.clone();
    let loaded = tokio::task::spawn_blocking(move || Sites::load(&out, &environments, other.as_deref())).await;
    loaded.unwrap_or_else(|error| Err(Error::Manifest { path: options.out.clone(), reason: error.to_string() }))
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

    async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("it happens in time").expect("it goes on")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn signals_reload_and_stop() {
        let site = Site::new().page("index.html", "one");
        site.write_manifest();
        let options = Options::new(site.out(), Environment::new("development"), "127.0.0.1:0");
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
        let options = Options::new("/nonexistent", Environment::new("development"), "127.0.0.1:0");
        let error = run(options, |event| panic!("{event:?}")).await.unwrap_err();
        assert!(error.to_string().contains("there is no such file"), "{error}");
    }
}

//! Serving a release from memory: [`Table::load`] computes every answer, [`respond`] picks one, [`Server`] sends it.
//!
//! [`run`] is all of it, until a signal ends it. Who needs other parts puts them together: a [`TableBuilder`] makes a table of
//! anything, a [`Handle`] swaps tables while they are served, a [`Handler`] is a tower service that layers can wrap.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::error::{Error, Result};

mod answer;
mod body;
mod completion;
mod conditional;
mod content;
mod current;
mod dist;
mod failover;
mod fields;
#[cfg(test)]
mod fixture;
mod handler;
mod load;
mod negotiate;
mod range;
mod resource;
mod retention;
mod server;
mod signal;
mod storage;
mod stored;
mod table;

pub use answer::Answer;
pub use body::Body;
pub use content::{Closed, Content, Segment};
pub use current::Current;
pub use failover::{Change, ProbeError};
pub use handler::{Handler, error, respond};
pub use resource::Resource;
pub use server::{Limits, Server};
pub use signal::{Signal, Signals};
pub use storage::Policy;
pub use stored::{Standing, Stored};
pub use table::{Handle, Route, Table, TableBuilder};

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The output folder of a build.
    pub out: PathBuf,
    pub environment: Environment,
    /// `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// How much is held in memory.
    pub policy: Policy,
}

/// What happens while serving, for people to know.
#[derive(Debug)]
pub enum Event {
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

/// Serves a build until it is told to stop; SIGHUP loads the build anew.
pub async fn run(options: Options, observer: impl Fn(Event)) -> Result<()> {
    let Options { out, environment, listen, policy } = options;
    let current = Current::load(out, vec![environment], policy).await?;
    let server = Server::bind(&listen).await?;
    // Before the address is told: who reads it may send a signal at once.
    let mut signals = Signals::install()?;
    observer(Event::Listening(server.local_addr()));
    let signalled = async {
        while signals.next().await == Signal::Reload {
            observer(match current.reload().await {
                Ok(()) => Event::Reloaded,
                Err(error) => Event::ReloadFailed(error),
            });
        }
        observer(Event::Stopping);
    };
    let shutdown = async {
        tokio::select! {
            () = signalled => {}
            () = current.fail_over(|change| observer(Event::Failover(change))) => {}
        }
    };
    server.run(Handler::new(current.handle().clone()), shutdown).await;
    current.stop();
    Ok(())
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
        let options = Options {
            out: site.out(),
            environment: Environment::new("development"),
            listen: "127.0.0.1:0".to_owned(),
            policy: Policy::default(),
        };
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
        let options = Options {
            out: PathBuf::from("/nonexistent"),
            environment: Environment::new("development"),
            listen: "127.0.0.1:0".to_owned(),
            policy: Policy::default(),
        };
        let error = run(options, |event| panic!("{event:?}")).await.unwrap_err();
        assert!(error.to_string().contains("there is no such file"), "{error}");
    }
}

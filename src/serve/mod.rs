//! Serving a release from memory: [`Table::load`] computes every answer, [`respond`] picks one, [`Server`] sends it.
//!
//! [`run`] is all of it, until a signal ends it. Who needs other parts puts them together: a [`TableBuilder`] makes a table of
//! anything, a [`Handle`] swaps tables while they are served, a [`Handler`] is a tower service that layers can wrap.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::error::{Error, Result};

mod body;
mod conditional;
mod connection;
mod connections;
mod content;
mod dist;
#[cfg(test)]
mod fixture;
mod handler;
mod limits;
mod listen;
mod negotiate;
mod peer;
mod range;
mod resource;
mod server;
mod signal;
pub mod slack;
mod system;
mod table;
mod tls;

pub use body::Body;
pub use connections::{Connections, Refusal};
pub use content::{Content, Segment, Stored};
pub use handler::{Handler, error, respond};
pub use limits::Limits;
pub use peer::Peer;
pub use resource::Resource;
pub use server::Server;
pub use signal::{Signal, Signals};
pub use table::{Handle, Route, Table, TableBuilder};
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

/// Serves a build until it is told to stop; SIGHUP loads the build and the certificate anew. A service manager is told how it goes.
pub async fn run(options: Options, observer: impl Fn(Event)) -> Result<()> {
    system::raise_file_limit();
    let tls = options.tls.clone().map(Tls::load).transpose()?;
    let handle = Handle::new(load(&options).await?);
    let mut server = match Server::from_system()? {
        Some(server) => server,
        None => Server::bind(&options.listen).await?,
    };
    server = server.with_limits(options.limits);
    if let Some(tls) = tls.clone() {
        server = server.with_tls(tls);
    }
    // Before the address is told: who reads it may send a signal at once.
    let mut signals = Signals::install()?;
    observer(Event::Listening(server.local_addr()));
    system::notify(Notice::Ready);
    let shutdown = async {
        while signals.next().await == Signal::Reload {
            system::notify(Notice::Reloading);
            match reload(&options, &handle, tls.as_ref()).await {
                Ok(()) => observer(Event::Reloaded),
                Err(error) => observer(Event::ReloadFailed(error)),
            }
            system::notify(Notice::Ready);
        }
        system::notify(Notice::Stopping);
        observer(Event::Stopping);
    };
    server.run(Handler::new(handle.clone()), shutdown).await;
    Ok(())
}

/// All of it, or nothing: what can't be loaded leaves everything as it was.
async fn reload(options: &Options, handle: &Handle, tls: Option<&Tls>) -> Result<()> {
    let table = load(options).await?;
    if let Some(tls) = tls {
        tls.reload()?;
    }
    handle.swap(table);
    Ok(())
}

/// Loads aside, so that requests are answered meanwhile.
async fn load(options: &Options) -> Result<Table> {
    let Options { out, environment, .. } = options.clone();
    let loaded = tokio::task::spawn_blocking(move || Table::load(&out, &environment)).await;
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

//! Serving a release from memory: [`Table::load`] computes every answer, [`respond`] picks one, [`Server`] sends it.
//!
//! [`run`] is all of it, until a signal ends it. Who needs other parts puts them together: a [`TableBuilder`] makes a table of
//! anything, a [`Handle`] swaps tables while they are served, a [`Handler`] is a tower service that layers can wrap.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::config;
use crate::environment::Environment;
use crate::error::{Error, Result};

pub mod access_log;
mod admin;
mod answer;
mod asked;
mod body;
mod client;
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
mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod headers;
mod kept;
mod limits;
mod listen;
mod load;
mod log_line;
mod loops;
mod metrics;
#[cfg(test)]
mod model;
mod negotiate;
mod observe;
mod operate;
mod outline;
mod peer;
mod quick;
mod range;
mod represent;
mod resource;
mod retention;
mod routes;
mod server;
mod signal;
mod sites;
pub mod slack;
mod status;
mod storage;
mod stored;
mod system;
mod table;
mod tls;
mod tunnel;
mod unheard;
mod upstream;

use operate::Operator;
use system::Notice;

pub use answer::Answer;
pub use body::{Body, End, OnEnd};
pub(crate) use client::host as requested_host;
pub use client::{Client, Proxies};
pub use connections::{Connections, Open, Refusal};
pub use content::{Closed, Content, Segment};
pub use current::Current;
pub(crate) use failover::jitter;
pub use failover::{Change, ProbeError};
pub use handler::{Front, Handler, error, respond};
pub use limits::Limits;
pub use loops::{append as append_cdn_loop, names as is_in_cdn_loop};
pub use observe::{Observed, Observer};
pub use operate::Operation;
pub use outline::{Headers, Outline, Place};
pub use peer::Peer;
pub use resource::Resource;
pub use server::Server;
pub use signal::{Signal, Signals};
pub use sites::Sites;
pub(crate) use sites::name as host_name;
pub use status::{Failover, Failovers, Live, Phase, Status};
pub use storage::Policy;
pub use stored::{Standing, Stored};
pub use table::{Handle, Inventory, Route, Table, TableBuilder};
pub use tls::{Tls, TlsFiles};
pub use upstream::{Gateway, Upstream};

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
    /// `HOST:PORT`; port 0 takes a free one. Not used if the service manager hands over a socket.
    pub listen: String,
    pub limits: Limits,
    /// Whether files are sent by `sendfile`, where they can be.
    pub sendfile: bool,
    /// Without it, requests are taken in the clear.
    pub tls: Option<TlsFiles>,
    /// How much is held in memory.
    pub policy: Policy,
    pub operation: Operation,
    /// The application that is asked for what the build does not have.
    pub upstream: Option<config::Upstream>,
}

impl Options {
    /// One environment for every host, and all else as it is by default.
    pub fn new(out: impl Into<PathBuf>, environment: Environment, listen: impl Into<String>) -> Self {
        let other = Some(environment.name.clone());
        let environment = Environment { hosts: Vec::new(), ..environment };
        Options {
            out: out.into(),
            environments: vec![environment],
            other,
            front: Front::default(),
            listen: listen.into(),
            limits: Limits::default(),
            sendfile: true,
            tls: None,
            policy: Policy::default(),
            operation: Operation::default(),
            upstream: None,
        }
    }

    /// What the environments are called, for those who watch.
    fn environment(&self) -> String {
        let names: Vec<&str> = self.environments.iter().map(|environment| environment.name.as_str()).collect();
        names.join(",")
    }
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
    /// Of a build that was large enough to be served before it was verified, a file is not what it says. It is not served, the others are.
    Unsound(Error),
    /// Files of what is served can't be kept for the next start.
    NotKept(Error),
    /// Assets are to be had from another origin no longer, or again.
    Failover(Change),
    /// Requests under way are being finished.
    Stopping,
}

/// A build to go on with, in another folder.
#[derive(Debug)]
pub struct Next {
    pub out: PathBuf,
    /// Is told whether it is served now.
    pub served: oneshot::Sender<bool>,
}

/// Serves a build until it is told to stop; SIGHUP, or the admin listener, loads the build and the certificate anew. A service
/// manager is told how it goes.
pub async fn run(options: Options, observer: impl Fn(Event)) -> Result<()> {
    run_and_follow(options, mpsc::channel(1).1, observer).await
}

/// As [`run`], and goes on with other builds as they come.
pub async fn run_and_follow(
    options: Options,
    mut builds: mpsc::Receiver<Next>,
    observer: impl Fn(Event),
) -> Result<()> {
    system::raise_file_limit();
    let mut operator = Operator::start(&options.operation, options.front.proxies.clone()).await?;
    if let Some(address) = operator.admin_addr() {
        observer(Event::Admin(address));
    }
    let tls = options.tls.clone().map(Tls::load).transpose()?;
    let environment = options.environment();
    let start = Instant::now();
    let Options { out, environments, other, mut policy, .. } = options.clone();
    let pseudonym = options.front.cdn_id.as_deref().unwrap_or("fingerpost");
    let upstream = options.upstream.clone().map(|settings| Upstream::new(settings, pseudonym)).transpose()?;
    if let Some(settings) = &options.upstream {
        (policy.binds_answers, policy.statics) = (settings.rewrite, settings.statics.clone());
    }
    let current = Current::load(out, environments, other, policy).await?;
    let mut server = match Server::from_system()? {
        Some(server) => server,
        None => Server::bind(&options.listen).await?,
    };
    server = server.with_limits(options.limits).with_sendfile(options.sendfile).counting(operator.connections());
    if let Some(tls) = tls.clone() {
        server = server.with_tls(tls);
    }
    operator.loaded(&current, &environment, start.elapsed());
    let status = operator.status();
    current.watched().for_each(|environment| status.watches(environment));
    // Before the address is told: who reads it may send a signal at once.
    let mut signals = Signals::install()?;
    tracing::info!(address = %server.local_addr(), environment, "listening");
    observer(Event::Listening(server.local_addr()));
    system::notify(Notice::Ready);
    let handler = Handler::new(current.handle().clone()).behind(options.front.clone());
    let gateway = upstream.map(|upstream| operator.observe(Gateway::new(handler.clone(), Arc::new(upstream))));
    let service = operator.observe(handler);
    // Nobody waits for it but who comes after the next start.
    let mut verifying = pin!(async {
        let kept = current.keep().await;
        let verified = current.verify().await;
        (verified, kept.and(current.keep().await))
    });
    let mut is_verifying = true;
    let asked = async {
        let mut hung_up = false;
        loop {
            let (mut asker, mut next) = (None, None);
            tokio::select! {
                (verified, kept) = &mut verifying, if is_verifying => {
                    is_verifying = false;
                    kept.unwrap_or_else(|error| observer(Event::NotKept(error)));
                    match verified {
                        Ok(true) => operator.loaded(&current, &environment, start.elapsed()),
                        Ok(false) => {}
                        Err(error) => observer(Event::Unsound(error)),
                    }
                    continue;
                }
                () = std::future::ready(()), if hung_up => operator.reopen_log(),
                signal = signals.next() => match signal {
                    Signal::Stop => break,
                    Signal::Reload => operator.reopen_log(),
                },
                request = operator.reload_asked() => asker = Some(request),
                Some(build) = builds.recv() => next = Some(build),
            };
            hung_up = false;
            system::notify(Notice::Reloading);
            let start = Instant::now();
            let out = next.as_ref().map(|next| next.out.clone());
            let outcome = tokio::select! {
                outcome = reload(&current, tls.as_ref(), out) => outcome,
                () = stop(&mut signals, &mut hung_up) => break,
            };
            if let Some(next) = next {
                // Who has gone meanwhile is not told.
                let _ = next.served.send(outcome.is_ok());
            }
            match outcome {
                Ok(kept) => {
                    kept.unwrap_or_else(|error| observer(Event::NotKept(error)));
                    operator.loaded(&current, &environment, start.elapsed());
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
        // What is being loaded is given up.
        current.stop();
        system::notify(Notice::Stopping);
        operator.draining();
        observer(Event::Stopping);
    };
    let fail_over = current.fail_over(|environment, change| {
        let to = match change {
            Change::Failed { .. } => Failover::Origin,
            Change::Recovered { .. } => Failover::Base,
        };
        status.failed_over(environment, to);
        observer(Event::Failover(change));
    });
    let shutdown = async {
        tokio::select! {
            () = asked => {}
            () = fail_over => {}
        }
    };
    match gateway {
        None => server.run(|peer| service.clone().for_peer(peer), shutdown).await,
        Some(gateway) => server.run(|peer| gateway.clone().for_peer(peer), shutdown).await,
    }
    Ok(())
}

/// Waits until the server is to stop; notes whether a reload was asked for meanwhile.
async fn stop(signals: &mut Signals, hung_up: &mut bool) {
    while signals.next().await == Signal::Reload {
        *hung_up = true;
    }
}

/// The certificate first: one that can't be read leaves all as it was. Says as well whether what is served is kept for the next start.
async fn reload(current: &Arc<Current>, tls: Option<&Tls>, out: Option<PathBuf>) -> Result<Result<()>> {
    tls.map_or(Ok(()), Tls::reload)?;
    current.reload(out).await?;
    Ok(current.keep().await)
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

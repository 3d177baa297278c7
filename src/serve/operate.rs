//! What watches over a server while it runs: its status, its metrics, its access log and its admin listener, put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::access_log::{self, AccessLog};
use super::admin::{Admin, Failure, ReloadRequest};
use super::client::Proxies;
use super::connections::Connections;
use super::current::Current;
use super::metrics::Metrics;
use super::observe::{Observed, Observer};
use super::status::{Live, Status};
use super::table::Inventory;
use crate::error::{Error, Result};

/// How a server is watched over. By default it is not.
#[derive(Debug, Clone, Default)]
pub struct Operation {
    /// `HOST:PORT` of the admin listener; `PORT` alone is one of the loopback address.
    pub admin: Option<String>,
    pub access_log: Option<access_log::Settings>,
    /// Whether each answer says in `Server-Timing` how it came about.
    pub server_timing: bool,
}

#[derive(Debug)]
pub(super) struct Operator {
    status: Arc<Status>,
    connections: Arc<Connections>,
    log: Option<AccessLog>,
    admin: Option<(Admin, Receiver<ReloadRequest>)>,
    observer: Observer,
}

impl Operator {
    /// Opens what is to be written and listens where is to be answered, so that what can't be had is known before all else.
    pub async fn start(operation: &Operation, proxies: Proxies) -> Result<Self> {
        let log = operation.access_log.as_ref().map(AccessLog::open).transpose()?;
        let (status, connections) = (Arc::<Status>::default(), Arc::<Connections>::default());
        let (mut admin, mut metrics) = (None, None);
        if let Some(address) = &operation.admin {
            let tally = log.as_ref().map(AccessLog::tally);
            let counts = Arc::new(Metrics::new(Arc::clone(&connections), Arc::clone(&status), tally));
            let started = Admin::start(address, Arc::clone(&status), Arc::clone(&counts)).await?;
            let (address, is_local) = (started.0.local_addr(), started.0.is_local());
            tracing::info!(%address, "admin listens");
            if !is_local {
                tracing::warn!(%address, "other machines can reach the admin listener, which asks for no password");
            }
            (admin, metrics) = (Some(started), Some(counts));
        }
        let entrance = log.as_ref().map(AccessLog::entrance);
        let observer = Observer::new(Arc::clone(&status), metrics, entrance, operation.server_timing, proxies);
        Ok(Operator { status, connections, log, admin, observer })
    }

    /// Where the admin listener listens.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(admin, _)| admin.local_addr())
    }

    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    pub fn observe<S>(&self, service: S) -> Observed<S> {
        self.observer.clone().observe(service)
    }

    /// What is served from now on. Makes the server ready.
    pub fn loaded(&self, current: &Current, environment: &str, took: Duration) {
        let live = Live::of(current, environment, took);
        let Inventory { urls, memory_bytes, file_bytes } = live.inventory;
        tracing::info!(release = live.release, urls, memory_bytes, file_bytes, ?took, "loaded");
        self.status.loaded(live);
    }

    /// Where it is told how the server is.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Waits until a reload is asked for.
    pub async fn reload_asked(&mut self) -> ReloadRequest {
        let asked = match &mut self.admin {
            Some((_, requests)) => requests.recv().await,
            None => None,
        };
        match asked {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }

    /// Counts how a reload went, and tells who asked for it.
    pub fn reloaded(&self, outcome: Result<(), &Error>, asker: Option<ReloadRequest>) {
        self.status.reloaded(outcome.is_ok());
        let release = self.status.live().map(|live| live.release.clone()).unwrap_or_default();
        match outcome {
            Ok(()) => tracing::info!(release, "reloaded"),
            Err(error) => tracing::error!(%error, release, "reload failed, the release from before is still served"),
        }
        if let Some(asker) = asker {
            // Who has gone meanwhile is not told.
            let _ = asker.send(outcome.map(|()| release).map_err(Failure::of));
        }
    }

    /// Opens the log's file anew.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    pub fn draining(&self) {
        self.status.draining();
        tracing::info!("stopping");
    }
}

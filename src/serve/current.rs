//! What is served now, and what it is replaced by: the build when it is loaded anew, the other binding when an origin fails or
//! recovers, the same tables with more codings when those are made.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::completion::complete;
use super::dist::Release;
use super::failover::{Change, Probe, watch};
use super::storage::{Policy, Storage};
use super::table::{Handle, Table};
use crate::environment::{AssetBase, Environment};
use crate::error::{Error, Result};

/// One environment of a build, loaded and served.
#[derive(Debug)]
pub struct Current {
    out: PathBuf,
    /// The environment, and where pages fail over, the same with its assets on this server's own origin.
    bindings: Vec<Environment>,
    policy: Policy,
    handle: Handle,
    state: Mutex<State>,
    /// Counts loads. What was begun for an earlier one is given up.
    load: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// One for each binding.
    tables: Vec<Arc<Table>>,
    probes: Arc<[Probe]>,
    has_failed_over: bool,
}

impl State {
    fn of(tables: Vec<Table>, probes: Vec<Probe>) -> Self {
        State { tables: tables.into_iter().map(Arc::new).collect(), probes: probes.into(), has_failed_over: false }
    }

    fn table(&self) -> Arc<Table> {
        let bound = self.tables.get(usize::from(self.has_failed_over)).or(self.tables.first());
        bound.map(Arc::clone).unwrap_or_default()
    }
}

impl Current {
    /// Loads the build in `out`.
    ///
    /// Fails as [`Table::load`] does.
    pub async fn load(out: PathBuf, environment: Environment, policy: Policy) -> Result<Arc<Self>> {
        let mut bindings = vec![environment];
        if let Some(environment) = bindings.first()
            && environment.failover.is_some()
            && environment.asset_base.is_other_origin()
        {
            bindings.push(Environment { asset_base: AssetBase::default(), ..environment.clone() });
        }
        let Release { tables, probes, storage, is_unfinished } =
            release(out.clone(), bindings.clone(), policy.clone(), Vec::new()).await?;
        let state = State::of(tables, probes);
        let handle = Handle::new(state.table());
        let load = AtomicU64::new(0);
        let current = Arc::new(Current { out, bindings, policy, handle, state: Mutex::new(state), load });
        if is_unfinished {
            current.complete(storage, 0);
        }
        Ok(current)
    }

    /// What answers requests.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Bytes of bodies that are held in memory.
    pub fn held(&self) -> u64 {
        self.state().table().held()
    }

    /// Loads the build anew, aside: requests are answered meanwhile. If that fails, nothing changes.
    pub async fn reload(self: &Arc<Self>) -> Result<()> {
        // Codings that are being made are given up: they would be of what is replaced.
        let load = self.load.fetch_add(1, Ordering::Relaxed) + 1;
        let before = self.state().tables.clone();
        let loaded = release(self.out.clone(), self.bindings.clone(), self.policy.clone(), before).await;
        let Release { tables, probes, storage, is_unfinished } = loaded?;
        let mut state = self.state();
        *state = State { has_failed_over: state.has_failed_over, ..State::of(tables, probes) };
        self.handle.swap(state.table());
        drop(state);
        if is_unfinished {
            self.complete(storage, load);
        }
        Ok(())
    }

    /// Binds pages to this server's origin while the environment's other one fails, and tells of it. Never ends.
    pub async fn fail_over(&self, mut changed: impl FnMut(Change)) {
        let (Some(environment), 2..) = (self.bindings.first(), self.bindings.len()) else {
            return std::future::pending().await;
        };
        let settings = environment.failover.unwrap_or_default();
        let probes = || Arc::clone(&self.state().probes);
        let switch = |change: Change| {
            let mut state = self.state();
            state.has_failed_over = matches!(change, Change::Failed { .. });
            self.handle.swap(state.table());
            drop(state);
            changed(change);
        };
        watch(&environment.asset_base, &settings, probes, switch).await;
    }

    /// Gives up what is under way in the background.
    pub fn stop(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes the codings that the build has left out, in the background.
    fn complete(self: &Arc<Self>, storage: Storage, load: u64) {
        let current = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let goes_on = || current.load.load(Ordering::Relaxed) == load;
            let tables = current.state().tables.clone();
            let Some(completed) = complete(&tables, &storage, &current.policy.encodings, goes_on) else { return };
            let mut state = current.state();
            // Looked at again under the lock, as a reload may have come between.
            if goes_on() {
                state.tables = completed.into_iter().map(Arc::new).collect();
                current.handle.swap(state.table());
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn release(out: PathBuf, bindings: Vec<Environment>, policy: Policy, before: Vec<Arc<Table>>) -> Result<Release> {
    let place = out.clone();
    let loaded = tokio::task::spawn_blocking(move || Release::load(&out, &bindings, &policy, &before)).await;
    loaded.unwrap_or_else(|error| Err(Error::Manifest { path: place, reason: error.to_string() }))
}

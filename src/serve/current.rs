//! What is served now, and what it is replaced by: the build when it is loaded anew, the other binding when an origin fails or
//! recovers, the same tables with more codings when those are made.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;

use super::completion::complete;
use super::dist::Release;
use super::failover::{Change, Probe, watch};
use super::storage::{Policy, Storage};
use super::table::{Handle, Table};
use crate::environment::{AssetBase, Environment};
use crate::error::{Error, Result};

/// A build, loaded for its environments and served.
#[derive(Debug)]
pub struct Current {
    out: PathBuf,
    /// The environments, and after them their stand-ins: the same with their assets on this server's own origin.
    bindings: Vec<Environment>,
    /// The stand-in of each environment, by its place among the bindings; none where pages don't fail over.
    stand_ins: Vec<Option<usize>>,
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
    /// By environment.
    has_failed_over: Vec<bool>,
}

impl State {
    fn of(tables: Vec<Table>, probes: Vec<Probe>, has_failed_over: Vec<bool>) -> Self {
        State { tables: tables.into_iter().map(Arc::new).collect(), probes: probes.into(), has_failed_over }
    }
}

impl Current {
    /// Loads the build in `out` for one environment or several.
    ///
    /// Fails as [`Table::load`] does.
    pub async fn load(out: PathBuf, environments: Vec<Environment>, policy: Policy) -> Result<Arc<Self>> {
        let has_failed_over = vec![false; environments.len()];
        let mut bindings = environments.clone();
        let stand_in = |environment: &Environment| {
            let can_fail = environment.failover.is_some() && environment.asset_base.is_other_origin();
            can_fail.then(|| {
                bindings.push(Environment { asset_base: AssetBase::default(), ..environment.clone() });
                bindings.len() - 1
            })
        };
        let stand_ins = environments.iter().map(stand_in).collect();
        let Release { tables, probes, storage, is_unfinished } =
            release(out.clone(), bindings.clone(), policy.clone(), Vec::new()).await?;
        let state = State::of(tables, probes, has_failed_over);
        let (handle, load) = (Handle::new(Table::default()), AtomicU64::new(0));
        let state = Mutex::new(state);
        let current = Arc::new(Current { out, bindings, stand_ins, policy, handle, state, load });
        current.publish(&current.state());
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
        self.state().tables.first().map_or(0, |table| table.held())
    }

    /// Loads the build anew, aside: requests are answered meanwhile. If that fails, nothing changes.
    pub async fn reload(self: &Arc<Self>) -> Result<()> {
        let before = self.state().tables.clone();
        let loaded = release(self.out.clone(), self.bindings.clone(), self.policy.clone(), before).await;
        let Release { tables, probes, storage, is_unfinished } = loaded?;
        let mut state = self.state();
        // Codings that are being made are given up: they would be of what is replaced.
        let load = self.load.fetch_add(1, Ordering::Relaxed) + 1;
        let next = State::of(tables, probes, state.has_failed_over.clone());
        let old = std::mem::replace(&mut *state, next);
        self.publish(&state);
        drop(state);
        // A hundred thousand routes take a while to go.
        drop(tokio::task::spawn_blocking(move || drop(old)));
        if is_unfinished {
            self.complete(storage, load);
        }
        Ok(())
    }

    /// Binds pages to this server's origin while an environment's other one fails, and tells of it. Never ends.
    pub async fn fail_over(&self, changed: impl Fn(Change)) {
        let changed = &changed;
        let watched =
            self.bindings.iter().zip(&self.stand_ins).enumerate().filter_map(|(place, (environment, other))| {
                other.as_ref()?;
                let switch = move |change: Change| {
                    let mut state = self.state();
                    if let Some(failed) = state.has_failed_over.get_mut(place) {
                        *failed = matches!(change, Change::Failed { .. });
                    }
                    self.publish(&state);
                    drop(state);
                    changed(change);
                };
                let probes = move || Arc::clone(&self.state().probes);
                Some(async move {
                    let settings = environment.failover.unwrap_or_default();
                    watch(&environment.asset_base, &settings, probes, switch).await;
                })
            });
        join_all(watched).await;
        std::future::pending().await
    }

    /// Gives up what is under way in the background.
    pub fn stop(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    /// Serves for each environment the table that it has now, all at once.
    fn publish(&self, state: &State) {
        let table = |(place, (other, failed)): (usize, (&Option<usize>, &bool))| {
            let place = other.filter(|_| *failed).unwrap_or(place);
            state.tables.get(place).map(Arc::clone).unwrap_or_default()
        };
        let mut tables = self.stand_ins.iter().zip(&state.has_failed_over).enumerate().map(table);
        self.handle.swap(tables.next().unwrap_or_default());
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
                current.publish(&state);
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

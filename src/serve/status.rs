//! How the server is: starting, ready or on its way out, and which release it serves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;

use super::current::Current;
use super::table::Inventory;

/// What the admin listener tells of a server, and what its layers look up.
#[derive(Debug, Default)]
pub struct Status {
    phase: AtomicU8,
    live: ArcSwapOption<Live>,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    failovers: Mutex<Failovers>,
}

/// Of each environment where that is watched, by its name: where its pages have their assets, and how often that had to be their own
/// origin.
pub type Failovers = BTreeMap<String, (Failover, u64)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No release is loaded yet.
    Starting,
    Ready,
    /// Requests under way are being finished, and no new connection is let in.
    Draining,
}

impl Phase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// What is served now.
#[derive(Debug, Clone)]
pub struct Live {
    /// The release's id; empty for a table that no release was loaded into.
    pub release: String,
    pub environment: String,
    pub loaded: SystemTime,
    /// How long loading took.
    pub took: Duration,
    pub inventory: Inventory,
}

impl Live {
    pub fn of(current: &Current, environment: &str, took: Duration) -> Self {
        let (inventory, release) = current.inventory();
        Live {
            release: release.to_string(),
            environment: environment.to_owned(),
            loaded: SystemTime::now(),
            took,
            inventory,
        }
    }
}

/// Where pages say that their assets are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failover {
    /// At the environment's `asset_base`, which answers.
    #[default]
    Base,
    /// At the pages' own origin, because `asset_base` does not answer.
    Origin,
}

impl Status {
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// A release is served from now on.
    pub fn loaded(&self, live: Live) {
        self.live.store(Some(Arc::new(live)));
        // A reload while the server stops does not make it ready again.
        let _ = self.phase.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub fn draining(&self) {
        self.phase.store(2, Ordering::Release);
    }

    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// Runs `look` on what is served now, which is cheaper than taking a share of it.
    pub(super) fn with_live<T>(&self, look: impl FnOnce(&Live) -> T) -> Option<T> {
        self.live.load().as_deref().map(look)
    }

    pub fn reloaded(&self, is_ok: bool) {
        let count = if is_ok { &self.reloads } else { &self.failed_reloads };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many reloads succeeded, and how many failed.
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Ordering::Relaxed), self.failed_reloads.load(Ordering::Relaxed))
    }

    /// From now on it is watched where the pages of an environment have their assets.
    pub fn watches(&self, environment: &str) {
        self.known().entry(environment.to_owned()).or_default();
    }

    /// Says where the pages of an environment have their assets now; a change to [`Failover::Origin`] is counted.
    pub fn failed_over(&self, environment: &str, to: Failover) {
        let mut known = self.known();
        let (before, times) = known.entry(environment.to_owned()).or_default();
        *times += u64::from(to == Failover::Origin && *before != to);
        *before = to;
    }

    pub fn failovers(&self) -> Failovers {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, Failovers> {
        self.failovers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(release: &str) -> Live {
        Live {
            release: release.to_owned(),
            environment: "development".to_owned(),
            loaded: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            inventory: Inventory::default(),
        }
    }

    #[test]
    fn a_server_is_ready_from_its_first_release_until_it_stops() {
        let status = Status::default();
        assert_eq!((status.phase(), status.live().is_none()), (Phase::Starting, true));
        status.loaded(live("a"));
        assert_eq!(status.phase(), Phase::Ready);
        status.draining();
        status.loaded(live("b"));
        assert_eq!(status.phase(), Phase::Draining);
        assert_eq!(status.with_live(|live| live.release.clone()).as_deref(), Some("b"));
    }

    #[test]
    fn only_a_change_of_side_is_a_failover() {
        let status = Status::default();
        assert!(status.failovers().is_empty());
        status.watches("a");
        assert_eq!(status.failovers()["a"], (Failover::Base, 0), "it is known before anything happens");
        for (to, times) in [(Failover::Base, 0), (Failover::Origin, 1), (Failover::Origin, 1), (Failover::Base, 1)] {
            status.failed_over("a", to);
            assert_eq!(status.failovers()["a"], (to, times));
        }
    }

    #[test]
    fn environments_fail_over_each_by_itself() {
        let status = Status::default();
        ["a", "b"].into_iter().for_each(|name| status.watches(name));
        status.failed_over("a", Failover::Origin);
        assert_eq!(status.failovers()["b"], (Failover::Base, 0));
        status.failed_over("b", Failover::Origin);
        status.failed_over("b", Failover::Base);
        let known = status.failovers();
        assert_eq!((known["a"], known["b"]), ((Failover::Origin, 1), (Failover::Base, 1)));
    }
}

//! What is served now, and what it is replaced by: the build when it is loaded anew, the other binding when an origin fails or
//! recovers, the same tables with more codings when those are made.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;

use super::completion::complete;
use super::dist::Release;
use super::failover::{Change, Probe, watch};
use super::kept::Staged;
use super::load::Scrutiny;
use super::sites::Sites;
use super::storage::{Policy, Storage};
use super::table::{Handle, Inventory, Table};
use crate::environment::{AssetBase, Environment};
use crate::error::{Error, Result};
use crate::release::ReleaseId;

/// A build, loaded and served.
#[derive(Debug)]
pub struct Current {
    environments: Vec<Environment>,
    /// The name of the environment for hosts that none of them names.
    other: Option<String>,
    /// Every environment, and of those whose pages fail over, the same with its assets on this server's own origin.
    bindings: Vec<Environment>,
    /// By environment: its other binding's place.
    stand_ins: Vec<Option<usize>>,
    policy: Policy,
    handle: Handle,
    state: Mutex<State>,
    /// Counts loads. What was begun for an earlier one is given up.
    load: AtomicU64,
    /// Whether nothing more is to be loaded.
    is_stopped: AtomicBool,
    /// Whether files were left to be verified, and codings to be made after that.
    is_provisional: bool,
}

#[derive(Debug)]
struct State {
    /// The output folder of the build.
    out: PathBuf,
    /// One for each binding.
    tables: Vec<Arc<Table>>,
    probes: Arc<[Probe]>,
    /// By environment.
    has_failed_over: Vec<bool>,
    /// What is to be kept for the next start, as it is served now.
    staged: Option<Result<Staged>>,
}

impl State {
    fn of(out: PathBuf, release: Release, has_failed_over: Vec<bool>) -> Self {
        let Release { tables, probes, staged, .. } = release;
        let tables = tables.into_iter().map(Arc::new).collect();
        State { out, tables, probes: probes.into(), has_failed_over, staged }
    }

    /// The table for hosts that no environment names, or the first.
    fn first(&self) -> Arc<Table> {
        self.tables.first().map(Arc::clone).unwrap_or_default()
    }
}

/// Where the binding of an environment to this server's own origin would be of use.
fn stand_in(environment: &Environment) -> Option<Environment> {
    let is_of_use = environment.failover.is_some() && environment.asset_base.is_other_origin();
    is_of_use.then(|| Environment { asset_base: AssetBase::default(), ..environment.clone() })
}

impl Current {
    /// Loads the build in `out` for each of the environments. The one named `other` is for hosts that none of them names; without
    /// it, those are refused. A large build is yet to be verified after that, see [`Current::verify`].
    ///
    /// Fails as [`Table::load`] does.
    pub async fn load(
        out: PathBuf,
        environments: Vec<Environment>,
        other: Option<String>,
        policy: Policy,
    ) -> Result<Arc<Self>> {
        let mut bindings = environments.clone();
        let mut stand_ins = Vec::with_capacity(environments.len());
        for environment in &environments {
            let other = stand_in(environment);
            stand_ins.push(other.is_some().then_some(bindings.len()));
            bindings.extend(other);
        }
        let (place, bound, by) = (out.clone(), bindings.clone(), policy.clone());
        let loaded = move || Release::load_with(Scrutiny::Later, &place, &bound, &by, &[]);
        let mut release = aside(&out, loaded).await?;
        let (is_unfinished, is_provisional) = (release.is_unfinished, release.is_provisional);
        let storage = std::mem::take(&mut release.storage);
        let state = State::of(out, release, vec![false; environments.len()]);
        let handle = Handle::new(sites(&environments, &stand_ins, other.as_deref(), &state));
        let (load, is_stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let state = Mutex::new(state);
        let current = Current {
            environments,
            other,
            bindings,
            stand_ins,
            policy,
            handle,
            state,
            load,
            is_stopped,
            is_provisional,
        };
        let current = Arc::new(current);
        if is_unfinished && !is_provisional {
            current.complete(storage, 0);
        }
        Ok(current)
    }

    /// What answers requests.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How much there is in all tables, and the release that they are of.
    pub fn inventory(&self) -> (Inventory, ReleaseId) {
        let first = self.state().first();
        (first.inventory(), first.release().clone())
    }

    /// Bytes of bodies that are held in memory.
    pub fn held(&self) -> u64 {
        self.state().first().held()
    }

    fn swap(&self, state: &State) {
        self.handle.swap(sites(&self.environments, &self.stand_ins, self.other.as_deref(), state));
    }

    /// Loads the build anew, aside: requests are answered meanwhile. If that fails, nothing changes. With `out`, the build there is
    /// served from now on.
    pub async fn reload(self: &Arc<Self>, out: Option<PathBuf>) -> Result<()> {
        let current = Arc::clone(self);
        self.load_again(out, move || !current.is_stopped.load(Ordering::Relaxed)).await
    }

    /// Verifies what was left at first, aside, and holds it where it belongs; says whether there was anything. If that fails, files
    /// go on to be verified when they are asked for.
    pub async fn verify(self: &Arc<Self>) -> Result<bool> {
        if !self.is_provisional {
            return Ok(false);
        }
        let current = Arc::clone(self);
        // A reload does the same.
        let is_first = move || current.load.load(Ordering::Relaxed) == 0;
        match self.load_again(None, is_first.clone()).await {
            Err(_) if !is_first() => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Gives it up where it is not wanted any more.
    async fn load_again(
        self: &Arc<Self>,
        out: Option<PathBuf>,
        is_wanted: impl Fn() -> bool + Send + Sync + Clone + 'static,
    ) -> Result<()> {
        let (current, goes_on) = (Arc::clone(self), is_wanted.clone());
        let (before, out) = {
            let state = self.state();
            (state.tables.clone(), out.unwrap_or_else(|| state.out.clone()))
        };
        let place = out.clone();
        let loaded = move || {
            let Current { bindings, policy, .. } = &*current;
            Release::load_with(Scrutiny::First(&goes_on), &place, bindings, policy, &before)
        };
        let mut release = aside(&out, loaded).await?;
        let (is_unfinished, storage) = (release.is_unfinished, std::mem::take(&mut release.storage));
        let mut state = self.state();
        if !is_wanted() {
            return Ok(());
        }
        // Codings that are being made are given up: they would be of what is replaced.
        let load = self.load.fetch_add(1, Ordering::Relaxed) + 1;
        let next = State::of(out, release, state.has_failed_over.clone());
        let old = std::mem::replace(&mut *state, next);
        self.swap(&state);
        drop(state);
        // A hundred thousand routes take a while to go.
        drop(tokio::task::spawn_blocking(move || drop(old)));
        if is_unfinished {
            self.complete(storage, load);
        }
        Ok(())
    }

    /// Notes what is served now for the next start, if that is wanted, and removes what was noted for too long.
    pub async fn keep(&self) -> Result<()> {
        let Some(staged) = self.state().staged.take() else { return Ok(()) };
        let kept = tokio::task::spawn_blocking(move || staged.and_then(Staged::commit)).await;
        kept.unwrap_or(Ok(()))
    }

    /// The names of the environments whose other origin is watched.
    pub fn watched(&self) -> impl Iterator<Item = &str> {
        let watched = self.environments.iter().zip(&self.stand_ins).filter(|(_, stand_in)| stand_in.is_some());
        watched.map(|(environment, _)| environment.name.as_str())
    }

    /// Binds pages to this server's origin while their environment's other one fails, and tells of it, with the environment's name.
    /// Never ends.
    pub async fn fail_over(&self, changed: impl Fn(&str, Change)) {
        let watched = self.environments.iter().zip(&self.stand_ins).enumerate();
        let watched = watched.filter(|(_, (_, stand_in))| stand_in.is_some());
        let watches = watched.map(|(index, (environment, _))| {
            let switch = {
                let changed = &changed;
                move |change: Change| {
                    let mut state = self.state();
                    if let Some(has_failed_over) = state.has_failed_over.get_mut(index) {
                        *has_failed_over = matches!(change, Change::Failed { .. });
                    }
                    self.swap(&state);
                    drop(state);
                    changed(&environment.name, change);
                }
            };
            let probes = || Arc::clone(&self.state().probes);
            let settings = environment.failover.unwrap_or_default();
            async move { watch(&environment.asset_base, &settings, probes, switch).await }
        });
        join_all(watches).await;
        std::future::pending().await
    }

    /// Gives up what is under way in the background.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
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
                current.swap(&state);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of each environment the table that is served now.
fn sites(environments: &[Environment], stand_ins: &[Option<usize>], other: Option<&str>, state: &State) -> Sites {
    let bound = environments.iter().zip(stand_ins).zip(&state.has_failed_over).enumerate();
    let tables = bound.filter_map(|(index, ((environment, stand_in), has_failed_over))| {
        let place = stand_in.filter(|_| *has_failed_over).unwrap_or(index);
        Some((environment, Arc::clone(state.tables.get(place)?)))
    });
    Sites::new(tables, other)
}

/// Loads a release without holding up anything else.
async fn aside(out: &Path, load: impl FnOnce() -> Result<Release> + Send + 'static) -> Result<Release> {
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.unwrap_or_else(|error| Err(Error::Manifest { path: out.to_owned(), reason: error.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::content::Content;
    use crate::serve::fixture::Site;
    use crate::serve::{Body, Handler};
    use http::{Request, Response, StatusCode};
    use tower::ServiceExt;

    /// As if every build were too large to be verified first.
    fn policy() -> Policy {
        Policy { verified_first: 0, ..Policy::default() }
    }

    async fn load(site: &Site, policy: Policy) -> Arc<Current> {
        site.write_manifest();
        let environments = vec![Environment::new("development")];
        Current::load(site.out(), environments, Some("development".to_owned()), policy).await.unwrap()
    }

    async fn get(current: &Current, path: &str) -> Response<Body> {
        let request = Request::get(path).header("host", "a").body(()).unwrap();
        Handler::new(current.handle().clone()).oneshot(request).await.unwrap()
    }

    async fn text(current: &Current, path: &str) -> (StatusCode, String) {
        let (head, mut body) = get(current, path).await.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.next_piece(u64::MAX) {
            bytes.extend(piece.read().unwrap());
        }
        (head.status, String::from_utf8(bytes).unwrap())
    }

    fn is_in_memory(current: &Current, path: &str) -> bool {
        let table = current.state().first();
        matches!(table.resource(path).unwrap().identity().body, Content::Memory(_))
    }

    #[tokio::test]
    async fn a_large_build_is_served_before_it_is_verified() {
        let site = Site::new().asset("a.css", "a { color: red }").page("index.html", "<p>hello");
        let css = format!("/{}", site.file_of("a.css"));
        let current = load(&site, policy()).await;
        assert!(!is_in_memory(&current, &css));
        for path in [&css, "/static/a.css"] {
            assert_eq!(text(&current, path).await, (StatusCode::OK, "a { color: red }".to_owned()));
        }
        assert!(text(&current, "/").await.1.contains("hello"));
        assert!(current.verify().await.unwrap());
        assert!(is_in_memory(&current, &css));
        assert_eq!(text(&current, &css).await.1, "a { color: red }");
        assert!(!load(&site, Policy::default()).await.verify().await.unwrap(), "a small one was verified first");
    }

    /// As of a site that is too large to be held open, and to be verified first.
    #[tokio::test]
    async fn files_of_what_was_served_are_kept_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        let (first, second) = (Site::new().asset("a.css", "a { color: red }"), Site::new().asset("b.css", "b {}"));
        let mut second = second;
        second.manifest.release = crate::release::ReleaseId::of(&crate::fingerprint::Digest::of(b"second"));
        let css = format!("/{}", first.file_of("a.css"));
        for verified_first in [0, u64::MAX] {
            let policy = || Policy { verified_first, keep_in: Some(kept.clone()), ..Policy::default() };
            let current = load(&first, policy()).await;
            current.keep().await.unwrap();
            current.verify().await.unwrap();
            current.keep().await.unwrap();
            let current = load(&second, policy()).await;
            assert_eq!(text(&current, &css).await, (StatusCode::OK, "a { color: red }".to_owned()));
            assert_eq!(text(&current, "/static/a.css").await.0, StatusCode::NOT_FOUND, "its name is gone");
            current.verify().await.unwrap();
            assert_eq!(text(&current, &css).await.1, "a { color: red }");
            let current = load(&second, Policy { keep_in: None, ..policy() }).await;
            assert_eq!(text(&current, &css).await.0, StatusCode::NOT_FOUND);
        }
    }

    #[tokio::test]
    async fn what_is_not_what_was_built_is_not_served_the_rest_is() {
        let site = Site::new().asset("a.css", "a { color: red }").asset("b.css", "b { color: red }");
        let [a, b] = ["a.css", "b.css"].map(|name| format!("/{}", site.file_of(name)));
        std::fs::write(site.out().join(&a[1..]), "a { color: bad }").unwrap();
        let current = load(&site, policy()).await;
        assert_eq!(text(&current, &a).await.0, StatusCode::SERVICE_UNAVAILABLE);
        let error = current.verify().await.unwrap_err().to_string();
        assert!(error.contains(&a[1..]), "{error}");
        assert_eq!(text(&current, &a).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(&current, &b).await, (StatusCode::OK, "b { color: red }".to_owned()));
    }

    #[tokio::test]
    async fn a_reload_or_a_stop_makes_an_end_of_verifying() {
        let site = Site::new().asset("a.css", "a { color: red }");
        let css = format!("/{}", site.file_of("a.css"));
        let current = load(&site, policy()).await;
        current.stop();
        assert!(!current.verify().await.unwrap());
        assert!(!is_in_memory(&current, &css));
        let current = load(&site, policy()).await;
        current.reload(None).await.unwrap();
        assert!(is_in_memory(&current, &css));
        assert!(!current.verify().await.unwrap());
    }
}

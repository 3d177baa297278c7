//! Serving what is live in a store: the release that its pointer names is fetched into a folder and served from there, and when the
//! pointer moves, so do all servers that follow it, each within its interval.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::fs::{self, Staged};
use crate::progress::{Progress, Silent};
use crate::publish::{self, Absent, Fetched, Published, Store};
use crate::release::{Current, ReleaseId};
use crate::serve::{self, Next};

/// Which release was served last, a [`Current`]. Its name is none that a release has.
const SERVED: &str = "served.json";

/// Between two tries of a release that can't be served, at most.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Where to look for releases, and how often.
#[derive(Debug)]
pub struct Options<S> {
    pub store: S,
    /// Where releases are fetched to, each into a folder of its own. They stay there for the next start, which then doesn't need the
    /// store. One server's own.
    pub folder: PathBuf,
    /// Between two looks at the pointer, more or less.
    pub interval: Duration,
    /// The output folder in it is not used.
    pub serve: serve::Options,
}

/// What happens, for people to know.
#[derive(Debug)]
pub enum Event {
    Serve(serve::Event),
    /// A release is in its folder, to be served next.
    Fetched {
        release: ReleaseId,
        took: Duration,
    },
    /// What is served is what was served before; the store is asked again. Said once for each cause.
    Behind(Error),
    /// The store can be followed again.
    Followed,
    /// A release that was fetched earlier is not whole any more: it is not served, and fetched again where it is wanted.
    Damaged(Error),
    /// A release that is not wanted any more can't be removed, or what is served can't be noted.
    Untidy(Error),
}

/// Serves the release that is live in a store, and those that follow it, until it is told to stop.
///
/// Fails where none can be had at the start.
pub async fn run<S: Store>(options: Options<S>, progress: &dyn Progress, observer: impl Fn(Event)) -> Result<()> {
    let Options { store, folder, interval, mut serve } = options;
    let releases = Releases { store, folder, interval, is_unsound: AtomicBool::new(false) };
    let (first, behind) = match releases.fetch_live(progress, &observer).await {
        Ok(fetched) => (fetched, None),
        Err(error) => match releases.latest(&observer).await {
            Some(kept) => {
                let said = error.to_string();
                observer(Event::Behind(error));
                (kept, Some(said))
            }
            None => return Err(error),
        },
    };
    serve.out.clone_from(&first.out);
    releases.remember(&first, &observer);
    let (builds, coming) = mpsc::channel(1);
    let server = serve::run_and_follow(serve, coming, |event| {
        if matches!(event, serve::Event::Unsound(_)) {
            releases.is_unsound.store(true, Ordering::Relaxed);
        }
        observer(Event::Serve(event));
    });
    tokio::select! {
        served = server => served,
        never = releases.follow(first, behind, &builds, &observer) => match never {},
    }
}

struct Releases<S> {
    store: S,
    folder: PathBuf,
    interval: Duration,
    /// Whether a file of what is served turned out to be damaged, so that all of it is to be fetched again.
    is_unsound: AtomicBool,
}

/// A release that could not be served, and when it is tried again: a store may be mended.
#[derive(Debug)]
struct Refused {
    release: ReleaseId,
    pause: Duration,
    until: Instant,
}

impl Refused {
    /// Each time the pause is twice as long.
    fn again(before: Option<Refused>, release: &ReleaseId, interval: Duration) -> Self {
        let before = before.filter(|before| before.release == *release);
        let pause = before.map_or(interval, |before| (before.pause * 2).min(LONGEST.max(interval)));
        Refused { release: release.clone(), pause, until: Instant::now() + scattered(pause) }
    }

    fn waits(&self, release: &ReleaseId) -> bool {
        self.release == *release && Instant::now() < self.until
    }
}

/// A quarter more or less: servers that were started together don't go on to ask together.
fn scattered(time: Duration) -> Duration {
    time.mul_f64(0.75 + serve::jitter() / 2.0)
}

impl<S: Store> Releases<S> {
    /// Looks at the pointer for ever. `behind` is what was said of why it could not be followed.
    async fn follow(
        &self,
        mut current: Fetched,
        mut behind: Option<String>,
        builds: &mpsc::Sender<Next>,
        observer: &impl Fn(Event),
    ) -> Infallible {
        let mut refused: Option<Refused> = None;
        loop {
            tokio::time::sleep(scattered(self.interval)).await;
            let outcome = match publish::live(&self.store).await {
                Ok(release) if refused.as_ref().is_some_and(|refused| refused.waits(&release)) => continue,
                Ok(release) if release == current.manifest.release && !self.is_unsound() => Ok(None),
                Ok(release) => {
                    let is_tried_again = refused.as_ref().is_some_and(|refused| refused.release == release);
                    let next = self.next(&release, &current, is_tried_again, builds, observer).await;
                    // That the store fails says nothing of the release.
                    if matches!(next, Ok(None) | Err(Error::Io { .. } | Error::Publish { .. })) {
                        refused = Some(Refused::again(refused.take(), &release, self.interval));
                    }
                    next
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(next) => {
                    if behind.take().is_some() {
                        observer(Event::Followed);
                    }
                    let Some(next) = next else { continue };
                    refused = None;
                    let before = std::mem::replace(&mut current, next);
                    self.remember(&current, observer);
                    // The one before may still be read from.
                    self.tidy(&[&current.out, &before.out], observer);
                }
                Err(error) => {
                    let said = error.to_string();
                    if behind.as_ref() != Some(&said) {
                        behind = Some(said);
                        observer(Event::Behind(error));
                    }
                }
            }
        }
    }

    /// Has the server go on with a release; `None` if it refuses to, which it says itself.
    async fn next(
        &self,
        release: &ReleaseId,
        current: &Fetched,
        is_tried_again: bool,
        builds: &mpsc::Sender<Next>,
        observer: &impl Fn(Event),
    ) -> Result<Option<Fetched>> {
        let is_damaged = self.is_unsound();
        // What is wrong may lie in a file that both have.
        let earlier = Some(current).filter(|_| !is_tried_again && !is_damaged);
        let next = match is_damaged && *release == current.manifest.release {
            true => self.fetch_anew(release, earlier, &Silent, observer).await?,
            false => self.fetch(release, earlier, &Silent, observer).await?,
        };
        let (served, is_served) = oneshot::channel();
        let sent = builds.send(Next { out: next.out.clone(), served }).await;
        if sent.is_ok() && is_served.await == Ok(true) {
            self.is_unsound.store(false, Ordering::Relaxed);
            return Ok(Some(next));
        }
        if next.out != current.out {
            remove(&next.out).unwrap_or_else(|error| observer(Event::Untidy(error)));
        }
        Ok(None)
    }

    fn is_unsound(&self) -> bool {
        self.is_unsound.load(Ordering::Relaxed)
    }

    async fn fetch_live(&self, progress: &dyn Progress, observer: &impl Fn(Event)) -> Result<Fetched> {
        self.store.preflight().await?;
        self.fetch(&publish::live(&self.store).await?, None, progress, observer).await
    }

    /// The release in its folder, where it may be already. Nothing is fetched that `earlier` has.
    async fn fetch(
        &self,
        release: &ReleaseId,
        earlier: Option<&Fetched>,
        progress: &dyn Progress,
        observer: &impl Fn(Event),
    ) -> Result<Fetched> {
        let out = self.folder.join(release.as_str());
        if out.exists() {
            match Fetched::open(&out).await {
                Ok(kept) => return Ok(kept),
                Err(error) => observer(Event::Damaged(error)),
            }
        }
        self.fetch_anew(release, earlier, progress, observer).await
    }

    async fn fetch_anew(
        &self,
        release: &ReleaseId,
        earlier: Option<&Fetched>,
        progress: &dyn Progress,
        observer: &impl Fn(Event),
    ) -> Result<Fetched> {
        let out = self.folder.join(release.as_str());
        let begun = Instant::now();
        let published = Published::open(&self.store, release).await?;
        let staged = Staged::beside(&out)?;
        published.files(&self.store, staged.path(), earlier, |_| true, progress).await?;
        let Fetched { manifest, .. } = published.complete(staged.path(), Absent::LeaveOut).await?;
        // All there or not there at all.
        staged.commit()?;
        observer(Event::Fetched { release: release.clone(), took: begun.elapsed() });
        Ok(Fetched { out, manifest })
    }
}

impl<S> Releases<S> {
    /// Of what was fetched earlier and is whole, what was served last, or else what was fetched last. What is damaged is removed.
    async fn latest(&self, observer: &impl Fn(Event)) -> Option<Fetched> {
        let mut kept = self.kept();
        let time = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
        let served = self.served();
        kept.sort_by_key(|(path, release)| (Some(release) == served.as_ref(), time(path)));
        for (out, _) in kept.into_iter().rev() {
            match Fetched::open(&out).await {
                Ok(fetched) => return Some(fetched),
                Err(error) => {
                    observer(Event::Damaged(error));
                    remove(&out).unwrap_or_else(|error| observer(Event::Untidy(error)));
                }
            }
        }
        None
    }

    fn served(&self) -> Option<ReleaseId> {
        let text = std::fs::read(self.folder.join(SERVED)).ok()?;
        Some(serde_json::from_slice::<Current>(&text).ok()?.release)
    }

    /// Notes what is served, for the next start: it need not be what was fetched last.
    fn remember(&self, served: &Fetched, observer: &impl Fn(Event)) {
        let path = self.folder.join(SERVED);
        let (release, new) = (served.manifest.release.clone(), path.with_extension("new"));
        let text = serde_json::to_vec(&Current { release }).unwrap_or_default();
        let written = fs::write(&new, &text);
        let written = written.and_then(|()| std::fs::rename(&new, &path).map_err(Error::io("replace", &path)));
        written.unwrap_or_else(|error| observer(Event::Untidy(error)));
    }

    fn kept(&self) -> Vec<(PathBuf, ReleaseId)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), entry.file_name().to_str()?.parse().ok()?))).collect()
    }

    /// Removes all releases but these.
    fn tidy(&self, kept: &[&Path], observer: &impl Fn(Event)) {
        for (path, _) in self.kept() {
            if !kept.contains(&path.as_path()) {
                remove(&path).unwrap_or_else(|error| observer(Event::Untidy(error)));
            }
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(Error::io("remove", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_refused_is_tried_again_ever_later() {
        let (one, two) = ("0123456789abcdef".parse().unwrap(), "fedcba9876543210".parse().unwrap());
        let interval = Duration::from_secs(5);
        let mut refused = None;
        let pauses = [5, 10, 20, 40, 80, 160, 300, 300].map(|_| {
            let next = Refused::again(refused.take(), &one, interval);
            assert!(next.waits(&one) && !next.waits(&two));
            let pause = next.pause.as_secs();
            refused = Some(next);
            pause
        });
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(Refused::again(refused, &two, interval).pause, interval, "another one has its own");
        let rarely = LONGEST * 2;
        assert_eq!(Refused::again(Some(Refused::again(None, &one, rarely)), &one, rarely).pause, rarely);
    }
}

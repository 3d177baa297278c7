//! Serving what is live in a store: the release that its pointer names is fetched into a folder and served from there, and when the
//! pointer moves, so do all servers that follow it, each within its interval.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::fs::Staged;
use crate::manifest::Manifest;
use crate::progress::{Progress, Silent};
use crate::publish::{self, Absent, Fetched, Published, Store};
use crate::release::ReleaseId;
use crate::serve::{self, Next};

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
    /// A release that is not wanted any more can't be removed.
    Untidy(Error),
}

/// Serves the release that is live in a store, and those that follow it, until it is told to stop.
///
/// Fails where none can be had at the start.
pub async fn run<S: Store>(options: Options<S>, progress: &dyn Progress, observer: impl Fn(Event)) -> Result<()> {
    let Options { store, folder, interval, mut serve } = options;
    let releases = Releases { store, folder };
    let (first, behind) = match releases.fetch_live(progress, &observer).await {
        Ok(fetched) => (fetched, None),
        Err(error) => match releases.newest() {
            Some(kept) => {
                let said = error.to_string();
                observer(Event::Behind(error));
                (kept, Some(said))
            }
            None => return Err(error),
        },
    };
    serve.out.clone_from(&first.out);
    let (builds, coming) = mpsc::channel(1);
    let server = serve::run_and_follow(serve, coming, |event| observer(Event::Serve(event)));
    tokio::select! {
        served = server => served,
        never = releases.follow(first, behind, interval, &builds, &observer) => match never {},
    }
}

struct Releases<S> {
    store: S,
    folder: PathBuf,
}

impl<S: Store> Releases<S> {
    /// Looks at the pointer for ever. `behind` is what was said of why it could not be followed.
    async fn follow(
        &self,
        mut current: Fetched,
        mut behind: Option<String>,
        interval: Duration,
        builds: &mpsc::Sender<Next>,
        observer: &impl Fn(Event),
    ) -> Infallible {
        let mut refused: Option<ReleaseId> = None;
        loop {
            // Servers that were started together don't go on to ask together.
            tokio::time::sleep(interval.mul_f64(0.75 + crate::serve::jitter() / 2.0)).await;
            let next = match publish::live(&self.store).await {
                Ok(release) if release == current.manifest.release || refused.as_ref() == Some(&release) => Ok(None),
                Ok(release) => self.fetch(&release, Some(&current), &Silent, observer).await.map(Some),
                Err(error) => Err(error),
            };
            match next {
                Ok(next) => {
                    if behind.take().is_some() {
                        observer(Event::Followed);
                    }
                    let Some(next) = next else { continue };
                    let (served, is_served) = oneshot::channel();
                    let sent = builds.send(Next { out: next.out.clone(), served }).await;
                    if sent.is_ok() && is_served.await == Ok(true) {
                        let before = std::mem::replace(&mut current, next);
                        // The one before may still be read from.
                        if let Err(error) = self.tidy(&[&current.out, &before.out]) {
                            observer(Event::Untidy(error));
                        }
                    } else {
                        refused = Some(next.manifest.release);
                    }
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

    async fn fetch_live(&self, progress: &dyn Progress, observer: &impl Fn(Event)) -> Result<Fetched> {
        self.store.preflight().await?;
        self.fetch(&publish::live(&self.store).await?, None, progress, observer).await
    }

    /// The release in its folder, where it may be already. Nothing is fetched that `current` has.
    async fn fetch(
        &self,
        release: &ReleaseId,
        current: Option<&Fetched>,
        progress: &dyn Progress,
        observer: &impl Fn(Event),
    ) -> Result<Fetched> {
        let out = self.folder.join(release.as_str());
        if let Ok(manifest) = Manifest::load(&out) {
            return Ok(Fetched { out, manifest });
        }
        let begun = Instant::now();
        let published = Published::open(&self.store, release).await?;
        let staged = Staged::beside(&out)?;
        published.files(&self.store, staged.path(), current, |_| true, progress).await?;
        let Fetched { manifest, .. } = published.complete(staged.path(), Absent::LeaveOut).await?;
        // All there or not there at all.
        staged.commit()?;
        observer(Event::Fetched { release: release.clone(), took: begun.elapsed() });
        Ok(Fetched { out, manifest })
    }
}

impl<S> Releases<S> {
    /// Of what was fetched earlier, the latest.
    fn newest(&self) -> Option<Fetched> {
        let time = |(path, _): &(PathBuf, ReleaseId)| path.metadata().and_then(|data| data.modified()).ok();
        let (out, _) = self.kept().into_iter().max_by_key(time)?;
        let manifest = Manifest::load(&out).ok()?;
        Some(Fetched { out, manifest })
    }

    fn kept(&self) -> Vec<(PathBuf, ReleaseId)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), entry.file_name().to_str()?.parse().ok()?))).collect()
    }

    /// Removes all releases but these.
    fn tidy(&self, kept: &[&Path]) -> Result<()> {
        for (path, _) in self.kept() {
            if !kept.contains(&path.as_path()) {
                std::fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

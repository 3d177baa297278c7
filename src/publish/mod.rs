//! Publishing: a build's files are put into a store in an order that is safe to stop at any point, then the release is pointed to.
//!
//! [`contents`] says what a release consists of, [`plan()`] compares that with what a [`Store`] holds, and [`publish_to`]
//! carries the plan out. Nothing is ever deleted.

pub mod contents;
pub mod folder;
pub mod plan;
pub mod s3;
pub mod store;

use std::path::{Component, Path, PathBuf};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::contents::{ATTEMPT, CURRENT, Item, bookkeeping, contents, pointer, record_key};
pub use self::contents::{Build, Stage};
pub use self::folder::Folder;
use self::folder::blocking;
pub use self::plan::{Action, Step};
use self::plan::{Held, plan};
pub use self::s3::S3;
pub use self::store::Store;
use self::store::{Condition, Put};
use crate::environment::StoreUrl;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::progress::Progress;
use crate::release::{Current, Record, ReleaseId};

/// Writes that are under way at once.
const CONCURRENCY: usize = 16;

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What a publish did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub release: ReleaseId,
    pub environment: String,
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    pub dry_run: bool,
    /// In the order of writing.
    pub steps: Vec<Step>,
    /// Objects written, the pointer not counted.
    pub uploaded: usize,
    /// Objects that were in the store already.
    pub kept: usize,
    /// Bytes of the objects written.
    pub bytes: u64,
    /// Whether another release was current before, or none.
    pub moved: bool,
    pub warnings: Vec<String>,
}

/// Publishes the build to the environment's store; a folder is taken relative to `root`.
pub async fn publish(root: &Path, build: Build<'_>, options: Options, progress: &dyn Progress) -> Result<Report> {
    let environment = build.environment;
    match &environment.store {
        Some(StoreUrl::Folder(folder)) => {
            let folder = apart(&root.join(folder), build.out)?;
            publish_to(&Folder::new(folder), build, options, progress).await
        }
        Some(StoreUrl::S3 { bucket, prefix }) => {
            let (endpoint, region) = (environment.endpoint.as_deref(), environment.region.as_deref());
            let store = S3::connect(bucket, prefix, endpoint, region, None).await;
            publish_to(&store, build, options, progress).await
        }
        None => Err(Error::Usage {
            message: format!("the environment `{}` has no store to publish to", environment.name),
            help: format!("set `store` in `[env.{}]`: a folder or `s3://bucket/prefix`", environment.name),
        }),
    }
}

/// Publishes the build to a store that is open already.
pub async fn publish_to<S: Store>(
    store: &S,
    build: Build<'_>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Report> {
    let release = &build.manifest.release;
    let website = build.environment.website.unwrap_or(S::WEBSITE);
    let (held, version) = survey(store, release).await?;
    let mut items = contents(&build, website)?;
    let documents = bookkeeping(&build, &items, parent(release, &held));
    items.extend(documents);
    items.push(pointer(release));
    items.sort_by_key(|item| item.stage);
    let mut steps = plan(release, &items, &held);
    let mut warnings = warnings(build.manifest.mode, &steps);
    if !options.dry_run {
        let publish = Publish { store, release, version, held: &held, progress };
        publish.carry_out(&items, &mut steps, &mut warnings).await?;
    }
    Ok(report(store.place(""), build, options, steps, warnings))
}

/// The record of the release that is live in the store.
pub async fn live_record<S: Store>(store: &S) -> Result<Record> {
    let missing = |what: &str| Error::Publish {
        message: format!("`{}` holds no {what}", store.place("")),
        help: "publish a release to it first".to_owned(),
    };
    let (release, _) = live(store).await?.ok_or_else(|| missing("live release"))?;
    document(store, &record_key(&release)).await?.ok_or_else(|| missing("record of its live release"))
}

/// What the store holds, and the version of its pointer.
///
/// The listing comes first: it proves that the store is there and lets this user in, before any work is done.
async fn survey<S: Store>(store: &S, release: &ReleaseId) -> Result<(Held, Option<String>)> {
    let mut held = Held { listing: store.list().await?, ..Held::default() };
    let mut version = None;
    if held.listing.contains_key(CURRENT) {
        (held.current, version) = live(store).await?.unzip();
    }
    for release in [Some(release), held.current.as_ref()].into_iter().flatten() {
        let key = record_key(release);
        if !held.records.contains_key(release) && held.listing.contains_key(&key) {
            held.records.extend(document(store, &key).await?.map(|record| (release.clone(), record)));
        }
    }
    if held.listing.contains_key(ATTEMPT) {
        held.attempt = document(store, ATTEMPT).await?;
    }
    Ok((held, version))
}

/// One of the program's own documents; what can't be read is as good as missing, and is written anew.
async fn document<S: Store, T: DeserializeOwned>(store: &S, key: &str) -> Result<Option<T>> {
    Ok(store.get(key).await?.and_then(|stored| serde_json::from_slice(&stored.body).ok()))
}

/// The release that is live, and the pointer's version.
async fn live<S: Store>(store: &S) -> Result<Option<(ReleaseId, String)>> {
    let Some(stored) = store.get(CURRENT).await? else { return Ok(None) };
    match serde_json::from_slice::<Current>(&stored.body) {
        Ok(current) => Ok(Some((current.release, stored.version))),
        // Somebody else's file, perhaps: better not written over.
        Err(error) => Err(Error::Publish {
            message: format!("`{}` does not say which release is live: {error}", store.place(CURRENT)),
            help: "if nothing else uses that file, remove it and publish again; else set another `store`".to_owned(),
        }),
    }
}

/// The release that this one follows; publishing it again doesn't change that.
fn parent(release: &ReleaseId, held: &Held) -> Option<ReleaseId> {
    match &held.current {
        Some(current) if current == release => held.records.get(release)?.parent.clone(),
        current => current.clone(),
    }
}

fn warnings(mode: Mode, steps: &[Step]) -> Vec<String> {
    let mut warnings = Vec::new();
    if mode == Mode::Development {
        warnings.push("this is a development build; `fingerpost build` makes one for production".to_owned());
    }
    let at_root = |step: &Step| matches!(step.stage, Stage::Root | Stage::RootPage) && step.action != Action::Keep;
    if steps.iter().any(at_root) {
        warnings.push(
            "the store is a website with no server in front, so its pages are replaced one by one, after all that they refer \
             to: for a moment some are new and some old, a publish that stops among them leaves it so until it is run \
             again, and pages that the new release lacks stay"
                .to_owned(),
        );
    }
    warnings
}

fn report(store: String, build: Build<'_>, options: Options, steps: Vec<Step>, warnings: Vec<String>) -> Report {
    let written = |step: &&Step| matches!(step.action, Action::Upload | Action::Replace);
    Report {
        release: build.manifest.release.clone(),
        environment: build.environment.name.clone(),
        store,
        dry_run: options.dry_run,
        uploaded: steps.iter().filter(written).count(),
        kept: steps.iter().filter(|step| step.action == Action::Keep && step.stage != Stage::Pointer).count(),
        bytes: steps.iter().filter(written).map(|step| step.length).sum(),
        moved: !options.dry_run && steps.iter().any(|step| step.action == Action::Point),
        steps,
        warnings,
    }
}

/// A publish that is under way.
struct Publish<'a, S> {
    store: &'a S,
    release: &'a ReleaseId,
    /// The pointer's version when the store was surveyed.
    version: Option<String>,
    held: &'a Held,
    progress: &'a dyn Progress,
}

impl<S: Store> Publish<'_, S> {
    /// Stage by stage; none begins before the one before it is done as a whole.
    async fn carry_out(&self, items: &[Item], steps: &mut [Step], warnings: &mut Vec<String>) -> Result<()> {
        let changes = steps.iter().filter(|step| step.action != Action::Keep).count();
        self.progress.stage("publish", changes);
        let stages = items.chunk_by(|a, b| a.stage == b.stage).zip(steps.chunk_by_mut(|a, b| a.stage == b.stage));
        for (items, steps) in stages {
            if steps.iter().all(|step| step.action == Action::Keep) {
                continue;
            }
            match items {
                [pointer] if pointer.stage == Stage::Pointer => self.point(pointer).await?,
                items => self.write_all(items, steps).await?,
            }
            match items.first().map(|item| item.stage) {
                Some(Stage::Asset) => self.verify(items).await?,
                Some(Stage::Record) => self.probe(items, warnings).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn write_all(&self, items: &[Item], steps: &mut [Step]) -> Result<()> {
        stream::iter(items.iter().zip(steps).filter(|(_, step)| step.action != Action::Keep))
            .map(|(item, step)| async move {
                if self.write(item, step.action).await? == Put::Refused {
                    // Its name says what it holds, so whoever was first wrote the same.
                    step.action = Action::Keep;
                    step.reason = "another publish wrote it meanwhile".to_owned();
                }
                self.progress.step();
                Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn write(&self, item: &Item, action: Action) -> Result<Put> {
        let (body, length, digest) = (item.body.clone(), item.object.length, item.object.digest);
        let body = blocking(move || body.checked(length, digest)).await?;
        let fresh = item.stage == Stage::Asset && action == Action::Upload;
        let condition = if fresh { Condition::IfAbsent } else { Condition::Always };
        match self.store.put(&item.key, &body, &item.object, &condition).await? {
            Put::Unsupported => self.store.put(&item.key, &body, &item.object, &Condition::Always).await,
            put => Ok(put),
        }
    }

    /// Nothing refers to an asset before the store has told that it holds all of them.
    async fn verify(&self, items: &[Item]) -> Result<()> {
        let listing = self.store.list().await?;
        match items.iter().find(|item| listing.get(&item.key) != Some(&item.object.length)) {
            None => Ok(()),
            Some(item) => Err(Error::Publish {
                message: format!("`{}` is not in the store as it was written", self.store.place(&item.key)),
                help: "publish again; if that doesn't help, see whether something else writes there".to_owned(),
            }),
        }
    }

    /// Writes the record once more, under the condition that it isn't there: some stores ignore conditions and answer 200
    /// (Garage 2.5), and this finds out without harm.
    async fn probe(&self, items: &[Item], warnings: &mut Vec<String>) -> Result<()> {
        for item in items {
            let put = self.store.put(&item.key, &item.body, &item.object, &Condition::IfAbsent).await?;
            if put != Put::Refused {
                warnings.push(
                    "the store doesn't honour conditional writes, so two publishes at once can't notice each other: let \
                     only one run at a time"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Moves the pointer, if it is still the one that was surveyed.
    async fn point(&self, item: &Item) -> Result<()> {
        let condition = match &self.version {
            Some(version) => Condition::IfVersion(version.clone()),
            None => Condition::IfAbsent,
        };
        let put = match self.store.put(CURRENT, &item.body, &item.object, &condition).await {
            Ok(Put::Unsupported) => self.store.put(CURRENT, &item.body, &item.object, &Condition::Always).await,
            put => put,
        };
        let failure = match put {
            Ok(Put::Written) => None,
            Ok(_) => Some(self.lost(None)),
            Err(error) => Some(error),
        };
        let Some(failure) = failure else {
            self.progress.step();
            return Ok(());
        };
        // A failure may hide a success whose answer got lost, and some stores answer the loser of a race with an error.
        match live(self.store).await {
            Ok(Some((now, _))) if now == *self.release => Ok(()),
            Ok(Some((now, _))) if Some(&now) != self.held.current.as_ref() => Err(self.lost(Some(&now))),
            _ => Err(failure),
        }
    }

    fn lost(&self, winner: Option<&ReleaseId>) -> Error {
        let place = self.store.place(CURRENT);
        Error::Publish {
            message: match winner {
                Some(winner) => format!("another publish went first: {winner} is live, not {}", self.release),
                None => format!("`{place}` was written by another publish at the same time"),
            },
            help: "see whether what is live is what you want; if not, publish again".to_owned(),
        }
    }
}

/// The folder to publish to, which must not share anything with the output folder: a build replaces that as a whole.
fn apart(folder: &Path, out: &Path) -> Result<PathBuf> {
    let folder = normal(folder);
    let out = normal(out);
    if folder.starts_with(&out) || out.starts_with(&folder) {
        return Err(Error::Usage {
            message: format!("the store `{}` and the output folder `{}` overlap", folder.display(), out.display()),
            help: "set a `store` beside the output folder, not in it or round it".to_owned(),
        });
    }
    Ok(folder)
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

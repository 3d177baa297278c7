//! Publishing: a build's files are put into a store in an order that is safe to stop at any point, then the release is pointed to.
//!
//! [`contents()`] says what a release consists of, `survey` what a [`Store`] holds, [`plan()`] compares the two, and a `Publication`
//! carries the plan out. Nothing is deleted but by [`prune()`].

mod archive;
pub mod contents;
mod drift;
mod exact;
mod fetch;
pub mod folder;
mod guard;
mod history;
mod listing;
mod maps;
mod open;
mod pace;
mod patient;
pub mod plan;
mod pointer;
mod preflight;
mod promote;
mod prune;
mod public;
mod publication;
pub mod purge;
mod repair;
mod rollback;
pub mod s3;
#[cfg(test)]
mod site;
pub mod store;
#[cfg(test)]
mod storms;
mod survey;
mod website;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::contents::{Build, Stage};
use self::contents::{Item, bookkeeping, contents, expected, pointer, record_key};
pub use self::drift::{Difference, Drift, Found, drift};
pub use self::fetch::{Absent, Fetched, Published};
pub use self::folder::Folder;
pub use self::history::{Releases, Summary, releases};
pub use self::maps::{MapStep, Maps};
pub use self::open::{AnyStore, open};
pub use self::patient::Patient;
pub use self::plan::{Action, Step};
use self::plan::{Document, Held, plan};
use self::pointer::Pointer;
use self::preflight::{beside, keeps_conditions};
pub use self::promote::promote;
pub use self::prune::{Deleted, Kept, Pruned, prune};
pub use self::public::answers;
use self::publication::Publication;
use self::purge::{PENDING, Purge};
use self::repair::repair;
pub use self::rollback::{Rollback, rollback};
pub use self::s3::S3;
pub use self::store::Store;
use self::store::{Room, tidy};
use self::survey::{Surveyed, survey};
use crate::environment::StoreUrl;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::Mode;
use crate::progress::Progress;
use crate::release::{Record, ReleaseId};

/// Objects that are worked on at once; how many requests a store gets at once is its own matter (see [`pace`]).
const CONCURRENCY: usize = pace::MOST;

/// How a publish or a rollback is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only says what would be done.
    pub dry_run: bool,
    /// Reads all of the release that the store holds, and writes again what differs.
    pub repair: bool,
    pub purge: purge::Options,
}

/// What a publish did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub release: ReleaseId,
    /// The release that was live before, if there was one.
    pub previous: Option<ReleaseId>,
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
    /// Whether the pointer was moved: another release was current before, or none.
    pub moved: bool,
    /// None where the environment has no CDN.
    pub purge: Option<purge::Report>,
    pub warnings: Vec<String>,
    /// Private source maps, where the environment has a place for them.
    pub maps: Option<Maps>,
}

/// Publishes the build to the environment's store; a folder is taken relative to `root`.
pub async fn publish(root: &Path, build: Build<'_>, options: Options, progress: &dyn Progress) -> Result<Report> {
    if let Some(StoreUrl::Folder(folder)) = &build.environment.store {
        apart(&root.join(folder), build.out)?;
    }
    let store = open(root, build.environment, progress).await?;
    let prepared = Prepared::new(&store, build, options, progress).await?;
    // Before anything goes live that they belong to.
    let maps = match &build.environment.maps {
        None => None,
        Some(maps) => {
            if let StoreUrl::Folder(folder) = &maps.url {
                apart(&root.join(folder), build.out)?;
            }
            Some(maps::upload(&open::open_maps(root, maps, progress).await, &build, options.dry_run, progress).await?)
        }
    };
    Ok(Report { maps, ..prepared.carry_out(progress).await? })
}

/// Publishes the build to a store that is open already.
pub async fn publish_to<S: Store>(
    store: &S,
    build: Build<'_>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Report> {
    Prepared::new(store, build, options, progress).await?.carry_out(progress).await
}

/// A publish that is planned.
struct Prepared<'a, S> {
    store: &'a S,
    build: Build<'a>,
    options: Options,
    surveyed: Surveyed,
    purge: Option<Purge<'a>>,
    items: Vec<Item>,
    steps: Vec<Step>,
}

impl<'a, S: Store> Prepared<'a, S> {
    async fn new(store: &'a S, build: Build<'a>, options: Options, progress: &dyn Progress) -> Result<Self> {
        if build.manifest.mode == Mode::Development {
            return Err(Error::Usage {
                message: "this is a development build, whose files are not named by what is in them".to_owned(),
                help: "run `fingerpost build`, and publish that".to_owned(),
            });
        }
        let release = &build.manifest.release;
        let website = build.environment.website.unwrap_or_else(|| store.is_website());
        let expected = expected(&build);
        let surveyed = beside(store, survey(store, release, &expected)).await?;
        let noted = surveyed.held.listing.contains_key(PENDING);
        let mut purge = Purge::prepare(store, noted, build.environment, options.purge, options.dry_run).await?;
        let mut items = contents(&build, website)?;
        let documents = bookkeeping(&build, &items, parent(release, &surveyed.held));
        items.extend(documents);
        items.push(pointer(release));
        items.sort_by_key(|item| item.stage);
        let mut steps = plan(release, &items, &surveyed.held);
        if options.repair {
            repair(store, &items, &mut steps, progress).await?;
        }
        renew_record(&mut steps);
        if let Some(purge) = &mut purge {
            purge.of_publish(&surveyed.held, release, &items, &steps);
        }
        Ok(Prepared { store, build, options, surveyed, purge, items, steps })
    }

    async fn carry_out(self, progress: &dyn Progress) -> Result<Report> {
        let Prepared { store, build, options, surveyed, purge, items, mut steps } = self;
        let previous = surveyed.held.current.clone();
        let mut warnings = warnings(&steps);
        if !options.dry_run {
            tidy(store, progress).await;
        }
        if !options.dry_run && steps.iter().any(|step| step.action != Action::Keep) {
            if !keeps_conditions(store).await? {
                warnings.push(
                    "the store doesn't honour conditional writes, so two publishes at once can't notice each other: let \
                     only one run at a time"
                        .to_owned(),
                );
            }
            let Surveyed { pointer: live, guard, .. } = surveyed;
            let room = Room::default();
            let (release, purge) = (&build.manifest.release, purge.as_ref());
            let publication = Publication { store, release, live, guard, room, purge, progress };
            publication.carry_out(&items, &mut steps).await?;
        }
        let mut report = report(store.place(""), build, options, previous, steps, warnings);
        if let Some(purge) = purge {
            report.purge = Some(purge.finish(store, options.dry_run, progress).await);
        }
        Ok(report)
    }
}

/// A record that is there already is written again before its release goes live: prunes go by its date.
fn renew_record(steps: &mut [Step]) {
    if steps.iter().any(|step| step.action == Action::Point) {
        let record = steps.iter_mut().filter(|step| step.stage == Stage::Record && step.action == Action::Keep);
        record.for_each(|step| {
            step.action = Action::Replace;
            step.reason = "its date tells that the release is in use".into();
        });
    }
}

/// The release that is live in the store.
pub async fn live<S: Store>(store: &S) -> Result<ReleaseId> {
    Ok(Pointer::read(store).await?.ok_or_else(|| holds_no(store, "live release"))?.release)
}

/// The record of the release that is live in the store.
pub async fn live_record<S: Store>(store: &S) -> Result<Record> {
    let live = live(store).await?;
    document(store, &record_key(&live)).await?.ok_or_else(|| holds_no(store, "record of its live release"))
}

fn holds_no<S: Store>(store: &S, what: &str) -> Error {
    Error::Publish {
        message: format!("`{}` holds no {what}", store.place("")),
        help: "publish a release to it first".to_owned(),
    }
}

/// One of the program's own documents; what can't be read is as good as missing, and is written anew.
async fn document<S: Store, T: DeserializeOwned>(store: &S, key: &str) -> Result<Option<T>> {
    Ok(document_as_it_is(store, key).await?.map(|document| document.content))
}

/// As [`document`], with the digest of what lies there.
async fn document_as_it_is<S: Store, T: DeserializeOwned>(store: &S, key: &str) -> Result<Option<Document<T>>> {
    let Some(stored) = store.get(key).await? else { return Ok(None) };
    let content = serde_json::from_slice(&stored.body).ok();
    Ok(content.map(|content| Document { content, digest: Digest::of(&stored.body) }))
}

/// The release that this one follows; publishing it again doesn't change that.
fn parent(release: &ReleaseId, held: &Held) -> Option<ReleaseId> {
    match &held.current {
        Some(current) if current == release => held.records.get(release)?.content.parent.clone(),
        current => current.clone(),
    }
}

fn warnings(steps: &[Step]) -> Vec<String> {
    let mut warnings = Vec::new();
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

fn report(
    store: String,
    build: Build<'_>,
    options: Options,
    previous: Option<ReleaseId>,
    steps: Vec<Step>,
    warnings: Vec<String>,
) -> Report {
    let written = |step: &&Step| matches!(step.action, Action::Upload | Action::Replace);
    Report {
        release: build.manifest.release.clone(),
        previous,
        environment: build.environment.name.clone(),
        store,
        dry_run: options.dry_run,
        uploaded: steps.iter().filter(written).count(),
        kept: steps.iter().filter(|step| step.action == Action::Keep && step.stage != Stage::Pointer).count(),
        bytes: steps.iter().filter(written).map(|step| step.length).sum(),
        moved: !options.dry_run && steps.iter().any(|step| step.action == Action::Point),
        purge: None,
        steps,
        warnings,
        maps: None,
    }
}

/// The folder to publish to, which must not share anything with the output folder: a build replaces that as a whole.
fn apart(folder: &Path, out: &Path) -> Result<PathBuf> {
    let folder = fs::normalize(folder);
    let out = fs::normalize(out);
    if folder.starts_with(&out) || out.starts_with(&folder) {
        return Err(Error::Usage {
            message: format!("the store `{}` and the output folder `{}` overlap", folder.display(), out.display()),
            help: "set a `store` beside the output folder, not in it or round it".to_owned(),
        });
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::contents::CURRENT;
    use super::site::{Built, Site};
    use super::store::{Body, Condition, Entries, Put, Stored};
    use super::*;
    use crate::error::Outlook;
    use crate::progress::Silent;
    use crate::release::{Current, Object, Record};

    /// A folder whose writes can be meddled with.
    struct Meddled<F> {
        folder: Folder,
        meddle: F,
        written: Mutex<Vec<String>>,
    }

    enum Meddle {
        No,
        Fail,
        Forget,
        Ignore,
        Unsupported,
    }

    impl<F: Fn(&str, usize) -> Meddle + Send + Sync> Meddled<F> {
        fn new(root: &Path, meddle: F) -> Self {
            Meddled { folder: Folder::new(root), meddle, written: Mutex::default() }
        }
    }

    impl<F: Fn(&str, usize) -> Meddle + Send + Sync> Store for Meddled<F> {
        fn is_website(&self) -> bool {
            true
        }

        fn place(&self, key: &str) -> String {
            self.folder.place(key)
        }

        async fn entries(&self) -> Result<Entries> {
            self.folder.entries().await
        }

        async fn delete(&self, key: &str) -> Result<()> {
            self.folder.delete(key).await
        }

        async fn get(&self, key: &str) -> Result<Option<Stored>> {
            self.folder.get(key).await
        }

        fn kept_headers(&self) -> &'static [&'static str] {
            self.folder.kept_headers()
        }

        async fn download(&self, key: &str, file: &Path) -> Result<bool> {
            self.folder.download(key, file).await
        }

        async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
            let nth = {
                let mut written = self.written.lock().unwrap();
                written.push(key.to_owned());
                written.len()
            };
            match (self.meddle)(key, nth) {
                Meddle::No => self.folder.put(key, body, object, condition).await,
                Meddle::Forget => Ok(Put::Written),
                Meddle::Ignore => self.folder.put(key, body, object, &Condition::Always).await,
                Meddle::Unsupported if *condition != Condition::Always => Ok(Put::Unsupported),
                Meddle::Unsupported => self.folder.put(key, body, object, condition).await,
                Meddle::Fail => Err(Error::Store {
                    action: "write",
                    place: key.to_owned(),
                    help: String::new(),
                    outlook: Outlook::Lasting,
                    source: "the disk is full".into(),
                }),
            }
        }
    }

    fn site() -> Site {
        Site::new()
            .asset("css/a.css", &"a { color: red }\n".repeat(40))
            .asset("js/a.js", "alert(1)")
            .page("about.html", "about")
            .page("index.html", "one")
            .public("robots.txt", "User-agent: *\n")
    }

    async fn run<S: Store>(store: &S, built: &Built) -> Result<Report> {
        publish_to(store, built.as_build(), Options::default(), &Silent).await
    }

    /// But for the store's own: a write that was under way when another failed may still end, and then its temporary file is gone.
    fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
        let is_own = |entry: &walkdir::DirEntry| entry.file_name().to_str().unwrap().starts_with(".publish");
        let files = entries.filter(|entry| entry.file_type().is_file() && !is_own(entry));
        files.map(|entry| (crate::fs::display_name(root, entry.path()), std::fs::read(entry.path()).unwrap())).collect()
    }

    fn help(error: &Error) -> String {
        miette::Diagnostic::help(error).map(|help| help.to_string()).unwrap_or_default()
    }

    /// Everything that the live release refers to is there as its record says, but for what lies at a website's root.
    fn assert_whole(root: &Path, live: &ReleaseId) {
        let files = files(root);
        let current: Current = serde_json::from_slice(&files[CURRENT]).unwrap();
        assert_eq!(current.release, *live);
        let record: Record = serde_json::from_slice(&files[&record_key(live)]).unwrap();
        for (key, object) in record.objects.iter().filter(|(key, _)| key.contains('/')) {
            assert_eq!(crate::fingerprint::Digest::of(&files[key]), object.digest, "{key}");
        }
    }

    #[tokio::test]
    async fn a_folder_holds_the_site_and_a_second_publish_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path());
        let built = site().build();
        let report = run(&store, &built).await.unwrap();
        assert!(report.moved);
        assert_eq!((report.uploaded, report.kept), (14, 0));
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        let before = files(root.path());
        for (path, file) in &built.manifest.files {
            assert_eq!(crate::fingerprint::Digest::of(&before[path]), file.digest, "{path}");
        }
        assert_whole(root.path(), built.release());

        let again = run(&store, &built).await.unwrap();
        assert_eq!((again.uploaded, again.kept, again.bytes, again.moved), (0, 14, 0, false));
        assert!(again.warnings.is_empty());
        assert_eq!(files(root.path()), before);
    }

    #[test]
    fn a_publish_may_run_on_any_thread() {
        fn sendable(_: impl Send) {}
        let built = site().build();
        sendable(publish(Path::new("/"), built.as_build(), Options::default(), &Silent));
    }

    #[tokio::test]
    async fn a_dry_run_says_the_same_and_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path().join("store"));
        let built = site().build();
        let dry = publish_to(&store, built.as_build(), Options { dry_run: true, ..Options::default() }, &Silent)
            .await
            .unwrap();
        assert!(!root.path().join("store").exists());
        let report = run(&store, &built).await.unwrap();
        assert_eq!(dry.steps, report.steps);
        assert!(!dry.moved && report.moved);
        let json = serde_json::to_value(&dry).unwrap();
        assert_eq!(json["steps"][0]["action"], "upload");
        assert_eq!(json["dry_run"], true);
    }

    #[tokio::test]
    async fn a_new_release_names_its_parent_and_leaves_the_old_one_there() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path());
        let (old, new) = (site().build(), site().page("index.html", "two").build());
        run(&store, &old).await.unwrap();
        let report = run(&store, &new).await.unwrap();
        assert!(report.moved);
        let files = files(root.path());
        let record: Record = serde_json::from_slice(&files[&record_key(new.release())]).unwrap();
        assert_eq!(record.parent.as_ref(), Some(old.release()));
        assert_eq!(files[&format!("releases/{}/index.html", old.release())], b"one");
        assert_eq!(files["index.html"], b"two");
        // Publishing the old build again makes it live again.
        run(&store, &old).await.unwrap();
        assert_whole(root.path(), old.release());
        assert_eq!(std::fs::read(root.path().join("index.html")).unwrap(), b"one");
    }

    #[tokio::test]
    async fn a_failure_at_any_write_leaves_the_old_release_whole_and_a_rerun_finishes() {
        let new = site().page("index.html", "two").asset("js/b.js", "alert(2)").build();
        let mut failures = 0;
        for fail_at in 1.. {
            let root = tempfile::tempdir().unwrap();
            let old = site().build();
            run(&Folder::new(root.path()), &old).await.unwrap();
            let stopped = |_: &str, nth| if nth == fail_at { Meddle::Fail } else { Meddle::No };
            let Err(error) = run(&Meddled::new(root.path(), stopped), &new).await else { break };
            failures += 1;
            assert_eq!(error.exit_code(), 4);
            assert_whole(root.path(), old.release());
            // Whatever a stopped publish left behind, both builds can be published.
            for built in [&old, &new] {
                run(&Folder::new(root.path()), built).await.unwrap();
                assert_whole(root.path(), built.release());
                for (path, file) in &built.manifest.files {
                    let bytes = std::fs::read(root.path().join(path)).unwrap();
                    assert_eq!(crate::fingerprint::Digest::of(&bytes), file.digest, "{path}, failed at {fail_at}");
                }
            }
        }
        // Three to find out about the store, one asset, the attempt, the archive, three pages, the record, one page at the root, the
        // pointer.
        assert_eq!(failures, 12);
    }

    #[tokio::test]
    async fn a_file_that_changed_since_the_build_stops_the_publish() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path());
        let old = site().build();
        run(&store, &old).await.unwrap();
        let new = site().asset("js/b.js", "alert(2)").build();
        let path = new.manifest.files.keys().find(|path| path.starts_with("assets/js/b-")).unwrap();
        new.overwrite(path, "alert(3)");
        let error = run(&store, &new).await.unwrap_err();
        assert!(error.to_string().ends_with("is not the file that the build made"), "{error}");
        assert!(help(&error).starts_with("run `fingerpost build`"));
        assert_whole(root.path(), old.release());
        std::fs::remove_file(new.out().join(path)).unwrap();
        assert_eq!(run(&store, &new).await.unwrap_err().exit_code(), 4);
    }

    #[tokio::test]
    async fn an_asset_that_the_store_lost_is_noticed_before_anything_refers_to_it() {
        let root = tempfile::tempdir().unwrap();
        let forgetful =
            Meddled::new(root.path(), |key, _| if key.ends_with(".js") { Meddle::Forget } else { Meddle::No });
        let error = run(&forgetful, &site().build()).await.unwrap_err();
        assert!(error.to_string().ends_with("is not in the store as it was written"), "{error}");
        assert!(!root.path().join(CURRENT).exists());
        assert!(!root.path().join("index.html").exists());
    }

    #[tokio::test]
    async fn who_loses_the_race_for_the_pointer_is_told_who_won() {
        let root = tempfile::tempdir().unwrap();
        run(&Folder::new(root.path()), &site().build()).await.unwrap();
        let rival = site().page("index.html", "rival").build();
        let pointed = std::sync::atomic::AtomicBool::new(false);
        let pointer = pointer(rival.release());
        let racing = Meddled::new(root.path(), |key, _| {
            if key == CURRENT && !pointed.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let Body::Bytes(bytes) = &pointer.body else { unreachable!() };
                std::fs::write(root.path().join(CURRENT), bytes).unwrap();
            }
            Meddle::No
        });
        let mine = site().page("index.html", "mine").build();
        let error = run(&racing, &mine).await.unwrap_err();
        let (winner, loser) = (rival.release(), mine.release());
        assert_eq!(error.to_string(), format!("another publish went first: {winner} is live, not {loser}"));
        assert_eq!(error.exit_code(), 4);
    }

    #[tokio::test]
    async fn a_pointer_that_was_moved_though_the_answer_got_lost_is_a_success() {
        let root = tempfile::tempdir().unwrap();
        let built = site().build();
        let pointer = pointer(built.release());
        let lossy = Meddled::new(root.path(), |key, _| {
            if key != CURRENT {
                return Meddle::No;
            }
            let Body::Bytes(bytes) = &pointer.body else { unreachable!() };
            std::fs::write(root.path().join(CURRENT), bytes).unwrap();
            Meddle::Fail
        });
        assert!(run(&lossy, &built).await.unwrap().moved);
    }

    #[tokio::test]
    async fn a_store_without_conditional_writes_is_published_to_with_a_warning() {
        for unsupported in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let meddle = |_: &str, _| if unsupported { Meddle::Unsupported } else { Meddle::Ignore };
            let store = Meddled::new(root.path(), meddle);
            let built = site().build();
            let report = run(&store, &built).await.unwrap();
            assert!(report.warnings.iter().any(|text| text.contains("conditional writes")), "{:?}", report.warnings);
            assert_whole(root.path(), built.release());
        }
    }

    #[tokio::test]
    async fn the_pointer_is_written_last_and_pages_after_what_they_refer_to() {
        let root = tempfile::tempdir().unwrap();
        let store = Meddled::new(root.path(), |_, _| Meddle::No);
        run(&store, &site().build()).await.unwrap();
        let written = store.written.lock().unwrap().clone();
        let at = |key: &str| written.iter().position(|other| other.starts_with(key)).unwrap();
        let last_asset = written.iter().rposition(|key| key.starts_with("assets/")).unwrap();
        assert!(last_asset < at("releases/attempt.json"));
        assert!(at("robots.txt") < at("index.html").min(at("about.html")));
        assert_eq!(written.last().unwrap(), CURRENT);
    }

    #[tokio::test]
    async fn somebody_elses_pointer_is_not_written_over() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(CURRENT), "{\"volts\": 5}").unwrap();
        let error = run(&Folder::new(root.path()), &site().build()).await.unwrap_err();
        assert!(error.to_string().contains("does not say which release is live"), "{error}");
        assert_eq!(files(root.path()).len(), 1);
    }

    #[tokio::test]
    async fn an_environment_names_its_store_relative_to_the_root() {
        let root = tempfile::tempdir().unwrap();
        let mut built = site().build();
        let attempt = async |built: &Built| publish(root.path(), built.as_build(), Options::default(), &Silent).await;
        let error = attempt(&built).await.unwrap_err();
        assert_eq!(error.to_string(), "the environment `production` has no store");
        assert_eq!((help(&error).contains("[env.production]"), error.exit_code()), (true, 2));

        built.environment.store = Some("file:served/site".parse().unwrap());
        let report = attempt(&built).await.unwrap();
        assert_eq!(report.store, root.path().join("served/site").display().to_string());
        assert!(root.path().join("served/site/index.html").exists());

        for inside in ["x", "..", "."] {
            built.environment.store = Some(built.out().join(inside).to_str().unwrap().parse().unwrap());
            let error = attempt(&built).await.unwrap_err();
            assert!(error.to_string().contains("overlap"), "{error}");
        }
    }
}

//! Deleting what no release needs that is to be kept: the only thing that ever deletes.
//!
//! It marks the objects of all releases that are kept, and sweeps the others; for what is published meanwhile, see [`guard`](super::guard).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::CONCURRENCY;
use super::contents::{ATTEMPT, CURRENT, record_key};
use super::guard::{LONGEST, Run, STATE};
use super::history::{History, Past};
use super::preflight::PROBE;
use super::purge::PENDING;
use super::store::{Store, tidy};
use crate::environment::Keep;
use crate::error::{Error, Result};
use crate::fingerprint::is_fingerprinted;
use crate::progress::Progress;
use crate::release::ReleaseId;

/// What no record names may belong to a publish that is under way, unless it is older.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a prune did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Pruned {
    pub environment: String,
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    pub dry_run: bool,
    /// The newest first, each with why it is kept.
    pub kept: Vec<Kept>,
    pub dropped: Vec<ReleaseId>,
    /// In the order of deletion.
    pub deleted: Vec<Deleted>,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub release: ReleaseId,
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Below the store's prefix.
    pub key: String,
    pub length: u64,
    pub reason: &'static str,
}

/// Deletes the releases that are neither among the newest nor young enough, and what belonged to them alone.
pub async fn prune<S: Store>(
    store: &S,
    environment: &str,
    keep: Keep,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Pruned> {
    let plan = if dry_run {
        plan(&known(store).await?, keep, SystemTime::now())
    } else {
        tidy(store, progress).await;
        let run = Run::begin(store).await?;
        // Taken after the word was left, so that whoever has not seen it is in here.
        let swept = plan_and_sweep(store, &run, keep, progress).await;
        // Also if it failed: what is left is found by the next.
        let ended = run.end(store).await;
        let plan = swept?;
        ended?;
        plan
    };
    Ok(Pruned {
        environment: environment.to_owned(),
        store: store.place(""),
        dry_run,
        bytes: plan.deleted.iter().map(|deleted| deleted.length).sum(),
        kept: plan.kept,
        dropped: plan.dropped,
        deleted: plan.deleted,
    })
}

async fn plan_and_sweep<S: Store>(store: &S, run: &Run, keep: Keep, progress: &dyn Progress) -> Result<Plan> {
    let plan = plan(&known(store).await?, keep, SystemTime::now());
    sweep(store, run, &plan, progress).await?;
    Ok(plan)
}

/// Fails if nobody knows what is live.
async fn known<S: Store>(store: &S) -> Result<History> {
    let history = History::of(store).await?;
    match &history.live {
        Some(live) if history.live().is_none() => Err(Error::Publish {
            message: format!("`{}` has no record of {}, which is live", store.place(""), live.release),
            help: "publish again; nothing was deleted".to_owned(),
        }),
        _ => Ok(history),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    kept: Vec<Kept>,
    dropped: Vec<ReleaseId>,
    deleted: Vec<Deleted>,
}

/// What stays and what goes, decided without touching either.
fn plan(history: &History, keep: Keep, now: SystemTime) -> Plan {
    let age = |time: SystemTime| now.duration_since(time).unwrap_or_default();
    let live = history.live.as_ref().map(|pointer| &pointer.release);
    let parent = history.live().and_then(|past| past.record.parent.as_ref());
    let young = Duration::from_secs(u64::from(keep.days) * 24 * 60 * 60);
    let newest = usize::try_from(keep.releases).unwrap_or(usize::MAX);
    let reason = |(index, past): (usize, &Past)| {
        let release = Some(&past.record.release);
        match () {
            () if release == live => Some("it is live"),
            () if release == parent => Some("it was live before"),
            () if age(past.published) < LONGEST => Some("it was published just now"),
            () if index < newest => Some("it is among the newest"),
            () if age(past.published) < young => Some("it is young"),
            () => None,
        }
    };
    let (mut kept, mut dropped, mut marked) = (Vec::new(), Vec::new(), BTreeSet::new());
    marked.extend([CURRENT, ATTEMPT, STATE, PROBE, PENDING].map(str::to_owned));
    for (index, past) in history.releases.iter().enumerate() {
        match reason((index, past)) {
            Some(reason) => {
                kept.push(Kept { release: past.record.release.clone(), reason });
                marked.insert(record_key(&past.record.release));
                marked.extend(past.record.objects.keys().cloned());
            }
            None => dropped.push(past),
        }
    }
    let of_dropped: BTreeSet<String> = dropped
        .iter()
        .flat_map(|past| past.record.objects.keys().cloned().chain([record_key(&past.record.release)]))
        .collect();
    let asset_folders: BTreeSet<&str> = history
        .releases
        .iter()
        .flat_map(|past| past.record.objects.keys())
        .filter(|key| !key.starts_with("releases/") && is_fingerprinted(key))
        .filter_map(|key| Some(key.split_once('/')?.0))
        .collect();
    // Of a publish that was stopped: nothing but names that this program gives.
    let is_ours = |key: &str| match key.split_once('/') {
        Some(("releases", rest)) => rest.split(['/', '.']).next().is_some_and(|id| id.parse::<ReleaseId>().is_ok()),
        Some((folder, _)) => asset_folders.contains(folder) && is_fingerprinted(key),
        None => false,
    };
    let fate = |key: &str, modified: SystemTime| match () {
        () if marked.contains(key) => None,
        () if of_dropped.contains(key) => Some("no release needs it that is kept"),
        () if is_ours(key) && age(modified) > GRACE => Some("it is of no release"),
        () => None,
    };
    let mut deleted: Vec<Deleted> = history
        .entries
        .iter()
        .filter_map(|(key, entry)| {
            Some(Deleted { key: key.clone(), length: entry.length, reason: fate(key, entry.modified)? })
        })
        .collect();
    deleted.sort_by_cached_key(|deleted| (order(&deleted.key), deleted.key.clone()));
    Plan { kept, dropped: dropped.into_iter().map(|past| past.record.release.clone()).collect(), deleted }
}

/// Records first, so that nobody goes back to a release that is half gone; assets last.
fn order(key: &str) -> u8 {
    match key.strip_prefix("releases/") {
        Some(rest) if !rest.contains('/') => 0,
        Some(_) => 1,
        None => 2,
    }
}

async fn sweep<S: Store>(store: &S, run: &Run, plan: &Plan, progress: &dyn Progress) -> Result<()> {
    progress.stage("prune", plan.deleted.len());
    for stage in plan.deleted.chunk_by(|a, b| order(&a.key) == order(&b.key)) {
        let deletions = stage.iter().map(|deleted| async move {
            run.goes_on()?;
            store.delete(&deleted.key).await.inspect(|()| progress.step())
        });
        stream::iter(deletions).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::super::guard::{Guard, under_way};
    use super::super::site::{Built, Site};
    use super::super::{Options, publish_to, rollback};
    use super::*;
    use crate::environment::Environment;
    use crate::progress::Silent;
    use crate::publish::Folder;

    const DAY: u64 = 24 * 60 * 60;

    fn build(text: &str) -> Built {
        Site::new().asset("css/a.css", text).asset("js/a.js", "alert(1)").page("index.html", text).build()
    }

    struct Case {
        root: tempfile::TempDir,
        store: Folder,
    }

    impl Case {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = Folder::new(root.path());
            Case { root, store }
        }

        /// Publishes it, as so many days ago.
        async fn publish(&self, built: &Built, days: u64) -> ReleaseId {
            publish_to(&self.store, built.as_build(), Options::default(), &Silent).await.unwrap();
            self.age(&record_key(built.release()), days);
            built.release().clone()
        }

        fn age(&self, key: &str, days: u64) {
            let file = File::options().write(true).open(self.root.path().join(key)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * DAY)).unwrap();
        }

        fn put(&self, key: &str, days: u64) {
            crate::fs::write(&self.root.path().join(key), b"x").unwrap();
            self.age(key, days);
        }

        async fn prune(&self, releases: u32, days: u32) -> Pruned {
            prune(&self.store, "production", Keep { releases, days }, false, &Silent).await.unwrap()
        }

        fn has(&self, key: &str) -> bool {
            self.root.path().join(key).exists()
        }
    }

    fn asset(text: &str) -> String {
        let name = crate::fingerprint::Digest::of(text.as_bytes()).fingerprint().name("css/a.css");
        format!("assets/{name}")
    }

    #[tokio::test]
    async fn what_is_kept_stays_whole_and_the_rest_goes() {
        let case = Case::new();
        let builds: Vec<Built> = ["one", "two", "three", "four"].map(build).into();
        let mut releases = Vec::new();
        for (built, days) in builds.iter().zip([90, 60, 40, 3]) {
            releases.push(case.publish(built, days).await);
        }
        case.put("downloads/notes.txt", 90);
        case.put("assets/README-of-somebody.txt", 90);
        case.put("assets/css/left-0123456789abcdef.css", 2);
        case.put("assets/css/new-0123456789abcdef.css", 0);
        case.put("releases/0123456789abcdef/index.html", 2);

        let plan = prune(&case.store, "production", Keep { releases: 1, days: 7 }, true, &Silent).await.unwrap();
        assert!(case.has(&asset("one")), "nothing was deleted");
        let done = case.prune(1, 7).await;
        assert_eq!((plan.deleted, plan.bytes), (done.deleted.clone(), done.bytes));
        let kept: Vec<(&ReleaseId, &str)> = done.kept.iter().map(|kept| (&kept.release, kept.reason)).collect();
        assert_eq!(kept, [(&releases[3], "it is live"), (&releases[2], "it was live before")]);
        assert_eq!(done.dropped, [releases[1].clone(), releases[0].clone()]);
        for (key, is_there) in [
            (asset("one"), false),
            (asset("two"), false),
            (asset("three"), true),
            (asset("four"), true),
            (format!("releases/{}/index.html", releases[0]), false),
            (format!("releases/{}", releases[0]), false),
            (record_key(&releases[1]), false),
            (record_key(&releases[2]), true),
            ("index.html".to_owned(), true),
            ("downloads/notes.txt".to_owned(), true),
            ("assets/README-of-somebody.txt".to_owned(), true),
            ("assets/css/left-0123456789abcdef.css".to_owned(), false),
            ("assets/css/new-0123456789abcdef.css".to_owned(), true),
            ("releases/0123456789abcdef/index.html".to_owned(), false),
        ] {
            assert_eq!(case.has(&key), is_there, "{key}");
        }
        let history = History::of(&case.store).await.unwrap();
        assert!(history.releases.iter().all(|past| history.missing(&past.record).next().is_none()));
        assert_eq!(case.prune(1, 7).await.deleted, []);
    }

    #[tokio::test]
    async fn releases_are_kept_by_number_or_by_age() {
        let case = Case::new();
        for (text, days) in [("one", 50), ("two", 40), ("three", 30), ("four", 20), ("five", 10)] {
            case.publish(&build(text), days).await;
        }
        let history = History::of(&case.store).await.unwrap();
        let kept = |releases, days| plan(&history, Keep { releases, days }, SystemTime::now()).kept.len();
        assert_eq!([kept(0, 0), kept(3, 0), kept(0, 35), kept(2, 45), kept(9, 0)], [2, 3, 3, 4, 5]);
    }

    #[tokio::test]
    async fn a_release_that_is_published_again_is_new_again() {
        let case = Case::new();
        let (one, two, three) = (build("one"), build("two"), build("three"));
        for (built, days) in [(&one, 90), (&two, 80), (&three, 70)] {
            case.publish(built, days).await;
        }
        rollback(
            &case.store,
            &Environment::new("production"),
            Some(one.release().as_str()),
            Options::default(),
            &Silent,
        )
        .await
        .unwrap();
        publish_to(&case.store, three.as_build(), Options::default(), &Silent).await.unwrap();
        let done = case.prune(0, 0).await;
        assert_eq!(done.dropped, [two.release().clone()]);
    }

    #[tokio::test]
    async fn a_prune_that_is_under_way_is_waited_for_and_one_that_was_killed_is_not() {
        let case = Case::new();
        let (one, two) = (build("one"), build("two"));
        case.publish(&one, 90).await;
        let run = Run::begin(&case.store).await.unwrap();
        let refused = |error: Error| assert_eq!((error.to_string(), error.exit_code()), (under_way().to_string(), 4));
        refused(publish_to(&case.store, two.as_build(), Options::default(), &Silent).await.unwrap_err());
        refused(prune(&case.store, "production", Keep::default(), false, &Silent).await.unwrap_err());
        refused(
            rollback(
                &case.store,
                &Environment::new("production"),
                Some(one.release().as_str()),
                Options::default(),
                &Silent,
            )
            .await
            .unwrap_err(),
        );
        case.age(STATE, 1);
        publish_to(&case.store, two.as_build(), Options::default(), &Silent).await.unwrap();
        case.prune(5, 30).await;
        run.end(&case.store).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_publish_counts_on_may_not_go_meanwhile() {
        let case = Case::new();
        let one = build("one");
        let release = case.publish(&one, 90).await;
        let entries = case.store.entries().await.unwrap();
        let guard = Guard::enter(&case.store, &entries).await.unwrap();
        let key = record_key(&release);
        let counted = [(key.as_str(), entries[&key].length)];
        guard.check(&case.store, counted.into_iter()).await.unwrap();
        let run = Run::begin(&case.store).await.unwrap();
        assert_eq!(
            guard.check(&case.store, counted.into_iter()).await.unwrap_err().to_string(),
            under_way().to_string()
        );
        run.end(&case.store).await.unwrap();
        guard.check(&case.store, counted.into_iter()).await.unwrap();
        std::fs::remove_file(case.root.path().join(&key)).unwrap();
        let error = guard.check(&case.store, counted.into_iter()).await.unwrap_err().to_string();
        assert!(error.ends_with("was pruned meanwhile"), "{error}");
    }

    #[tokio::test]
    async fn without_a_record_of_what_is_live_nothing_is_deleted() {
        let case = Case::new();
        let (one, two) = (build("one"), build("two"));
        case.publish(&one, 90).await;
        let live = case.publish(&two, 80).await;
        let remove = |path: &Path| std::fs::remove_file(case.root.path().join(path)).unwrap();
        remove(Path::new(&record_key(&live)));
        let error = prune(&case.store, "production", Keep { releases: 0, days: 0 }, false, &Silent).await.unwrap_err();
        assert!(error.to_string().contains("no record of"), "{error}");
        assert!(case.has(&asset("one")) && case.has(&asset("two")));
        crate::fs::write(&case.root.path().join(record_key(&live)), b"{}").unwrap();
        let error = prune(&case.store, "production", Keep { releases: 0, days: 0 }, false, &Silent).await.unwrap_err();
        assert!(error.to_string().contains("is no record of a release"), "{error}");
    }
}

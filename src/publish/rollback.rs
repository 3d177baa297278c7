//! Going back to a release that was published before: nothing is uploaded that is not there already, and the pointer is moved.

use serde::Serialize;

use super::Options;
use super::contents::{Stage, attempt, json, json_item, pointer, record_key};
use super::guard::Guard;
use super::history::{History, Past};
use super::pointer::point;
use super::purge::{self, PENDING, Purge};
use super::store::{Store, put};
use super::website::{self, settle};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::progress::Progress;
use crate::release::{Record, ReleaseId};

/// What a rollback did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Rollback {
    pub environment: String,
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    pub dry_run: bool,
    pub from: Option<ReleaseId>,
    pub to: ReleaseId,
    /// Pages and public files at the root of a website that are written anew, below the store's prefix.
    pub replaced: Vec<String>,
    /// Whether the pointer was moved, or would be: another release was live.
    pub moved: bool,
    /// None where the environment has no CDN.
    pub purge: Option<purge::Report>,
}

/// Makes a release live again: the one whose name begins so, or else the one that was live before this one.
pub async fn rollback<S: Store>(
    store: &S,
    environment: &Environment,
    release: Option<&str>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Rollback> {
    let history = History::of(store).await?;
    let guard = Guard::enter(store, &history.entries).await?;
    let noted = history.entries.contains_key(PENDING);
    let mut purge = Purge::prepare(store, noted, environment, options.purge, options.dry_run).await?;
    let past = target(&history, release, &store.place(""))?;
    let record = &past.record;
    whole(&history, record)?;
    let done = website::attempted(store).await?;
    let known = history.live().map(|live| &live.record).filter(|live| done == Some(Digest::of(&json(live))));
    let root = website::root(record, known);
    let from = history.live.as_ref().map(|pointer| pointer.release.clone());
    let moved = from.as_ref() != Some(&record.release);
    if let Some(purge) = &mut purge {
        purge.of_rollback(history.live().map(|live| &live.record), record, root.iter().map(|(key, _)| *key));
    }
    if !options.dry_run && (moved || !root.is_empty()) {
        let length = root.iter().map(|(_, object)| object.length).sum();
        progress.transfer("roll back", root.len() + 1, length);
        // As in a publish: from here on, no record is to be taken for what lies at the root, and no prune takes this release away.
        put(store, &attempt(record)).await?;
        put(store, &json_item(Stage::Record, record_key(&record.release), record)).await?;
        let stay = record.objects.iter().filter(|(key, _)| !record.is_copy(key));
        guard.check(store, stay.map(|(key, object)| (key.as_str(), object.length))).await?;
        if let Some(purge) = &purge {
            purge.leave(store).await?;
        }
        website::write(store, record, &root, progress).await?;
        if moved {
            let pointed = point(store, &pointer(&record.release), &record.release, history.live.as_ref()).await;
            if root.is_empty() {
                pointed?;
            } else {
                settle(store, pointed, progress).await?;
            }
        }
        progress.step();
    }
    let purge = match purge {
        Some(purge) => Some(purge.finish(store, options.dry_run, progress).await),
        None => None,
    };
    Ok(Rollback {
        environment: environment.name.clone(),
        store: store.place(""),
        dry_run: options.dry_run,
        from,
        to: record.release.clone(),
        replaced: root.into_iter().map(|(key, _)| key.to_owned()).collect(),
        moved,
        purge,
    })
}

fn target<'a>(history: &'a History, release: Option<&str>, place: &str) -> Result<&'a Past> {
    if let Some(start) = release {
        return history.named(start, place);
    }
    let refused = |message: String| Error::Usage {
        message,
        help: "name a release: `fingerpost releases` lists those that are there".to_owned(),
    };
    let Some(live) = &history.live else {
        return Err(Error::Publish {
            message: format!("`{place}` holds no live release"),
            help: "publish a release to it first".to_owned(),
        });
    };
    let live = history
        .release(&live.release)
        .ok_or_else(|| refused(format!("`{place}` holds no record of {}, which is live", live.release)))?;
    let parent = live.record.parent.as_ref();
    let parent = parent.ok_or_else(|| refused(format!("no release was live before {}", live.record.release)))?;
    history
        .release(parent)
        .ok_or_else(|| refused(format!("{parent}, which was live before, is not in `{place}` any more")))
}

/// A release that objects are missing of would break what is live.
fn whole(history: &History, record: &Record) -> Result<()> {
    let mut missing = history.missing(record);
    match missing.next() {
        None => Ok(()),
        Some(first) => Err(Error::Publish {
            message: format!(
                "{} of the {} objects of {} are not in the store as they were published, `{first}` among them",
                1 + missing.count(),
                record.objects.len(),
                record.release
            ),
            help:
                "go back to another release, or build this one's sources and publish them; what is live stays as it is"
                    .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pointer::Pointer;
    use super::super::publish_to;
    use super::super::site::{Built, Site};
    use super::*;
    use crate::progress::Silent;
    use crate::publish::{Folder, releases};

    fn build(text: &str) -> Built {
        Site::new()
            .asset("css/a.css", text)
            .page("index.html", text)
            .page("about.html", "about")
            .public("a.txt", text)
            .build()
    }

    struct Case {
        root: tempfile::TempDir,
        store: Folder,
    }

    impl Case {
        async fn of(builds: &[&Built]) -> Self {
            let root = tempfile::tempdir().unwrap();
            let case = Case { store: Folder::new(root.path()), root };
            for built in builds {
                publish_to(&case.store, built.as_build(), Options::default(), &Silent).await.unwrap();
                // Records are told apart by their dates.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            case
        }

        async fn rollback(&self, release: Option<&str>) -> Result<Rollback> {
            rollback(&self.store, &Environment::new("production"), release, Options::default(), &Silent).await
        }

        async fn live(&self) -> ReleaseId {
            Pointer::read(&self.store).await.unwrap().unwrap().release
        }

        fn text(&self, key: &str) -> String {
            std::fs::read_to_string(self.root.path().join(key)).unwrap()
        }
    }

    #[tokio::test]
    async fn the_release_before_is_live_again_as_it_was() {
        let (one, two, three) = (build("one"), build("two"), build("three"));
        let case = Case::of(&[&one, &two, &three]).await;
        let dry_run = Options { dry_run: true, ..Options::default() };
        let plan = rollback(&case.store, &Environment::new("production"), None, dry_run, &Silent).await.unwrap();
        assert_eq!(case.live().await, *three.release(), "nothing was changed");
        let done = case.rollback(None).await.unwrap();
        assert_eq!((&done.from, &done.to, done.moved), (&Some(three.release().clone()), two.release(), true));
        assert_eq!(done.replaced, ["a.txt", "index.html"], "what is the same in both stays");
        assert_eq!(plan.replaced, done.replaced);
        assert_eq!(case.live().await, *two.release());
        assert_eq!((case.text("index.html"), case.text("a.txt")), ("two".to_owned(), "two".to_owned()));
        assert_eq!(case.rollback(None).await.unwrap().to, *one.release());
        assert_eq!(case.text("index.html"), "one");
        let again = case.rollback(Some(one.release().as_str())).await.unwrap();
        assert_eq!((again.moved, again.replaced.len()), (false, 0));
        let error = case.rollback(None).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no release was live before {}", one.release()));
        let back = case.rollback(three.release().as_str().get(..8)).await.unwrap();
        assert_eq!((back.to, case.text("index.html")), (three.release().clone(), "three".to_owned()));
    }

    #[tokio::test]
    async fn a_release_that_is_not_whole_is_refused_and_nothing_changes() {
        let (one, two) = (build("one"), build("two"));
        let case = Case::of(&[&one, &two]).await;
        let asset = one.manifest.files.keys().find(|path| path.starts_with("assets/")).unwrap();
        std::fs::remove_file(case.root.path().join(asset)).unwrap();
        let error = case.rollback(None).await.unwrap_err();
        assert!(error.to_string().contains(&format!("`{asset}` among them")), "{error}");
        assert_eq!(error.exit_code(), 4);
        assert_eq!((case.live().await, case.text("index.html")), (two.release().clone(), "two".to_owned()));
        let told = releases(&case.store, "production").await.unwrap();
        let told: Vec<_> = told.releases.iter().map(|r| (&r.release, r.live, r.missing)).collect();
        assert_eq!(told, [(two.release(), true, 0), (one.release(), false, 1)]);
    }

    #[tokio::test]
    async fn pages_that_are_not_what_was_published_are_not_put_back() {
        let (one, two) = (build("one"), build("two"));
        let case = Case::of(&[&one, &two]).await;
        std::fs::write(case.root.path().join(format!("releases/{}/index.html", one.release())), "eno").unwrap();
        let error = case.rollback(None).await.unwrap_err();
        assert!(error.to_string().contains("is not what"), "{error}");
        assert_eq!((case.live().await, case.text("index.html")), (two.release().clone(), "two".to_owned()));
    }

    #[tokio::test]
    async fn unknown_releases_and_empty_stores_are_told() {
        let one = build("one");
        let case = Case::of(&[&one]).await;
        for (name, says) in [("ffffffffffffffff", "there is no release"), ("", "no release was live before")] {
            let error = case.rollback(Some(name).filter(|name| !name.is_empty())).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = Case::of(&[]).await.rollback(None).await.unwrap_err();
        assert!(error.to_string().contains("holds no live release"), "{error}");
    }

    #[tokio::test]
    async fn what_releases_share_is_told() {
        let (one, two) = (build("one"), build("two"));
        let case = Case::of(&[&one, &two]).await;
        let told = releases(&case.store, "production").await.unwrap().releases;
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].shared, told[0].parent.as_ref()), (told[0].bytes, Some(one.release())));
        // `about.html` at the root: it lies below each release as well.
        assert_eq!(told[1].shared, "about".len() as u64);
        assert!(told[0].published.ends_with('Z'), "{}", told[0].published);
    }
}

//! Private source maps: put into a store of their own, before a release that they belong to goes live, for whatever reads errors.
//!
//! A map lies at its file's path with `.map` after it, so that a file's URL leads to it; `releases/ID.json` says which a release has.
//! Nothing is deleted: a page that is open somewhere may tell of errors long after its release was pruned.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::contents::{Build, Stage, json, json_item, record_key};
use super::folder::Folder;
use super::history::released;
use super::plan::Action;
use super::store::{Body, Condition, Entries, Store};
use super::{CONCURRENCY, document};
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::manifest;
use crate::progress::Progress;
use crate::release::{Object, ReleaseId};

/// What became of a build's private source maps, or would.
#[derive(Debug, Clone, Serialize)]
pub struct Maps {
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    pub steps: Vec<MapStep>,
    /// Objects written.
    pub uploaded: usize,
    /// Objects that were in the store already.
    pub kept: usize,
    /// Bytes of the objects written.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapStep {
    pub action: Action,
    /// Below the store's prefix.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// Why, in plain words.
    pub reason: &'static str,
}

/// `releases/ID.json`: the maps of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    release: ReleaseId,
    /// By key.
    maps: BTreeMap<String, Map>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Map {
    /// Bytes.
    length: u64,
    /// SHA-256.
    digest: Digest,
}

/// Uploads what the store lacks; the first failure ends it.
pub async fn upload<S: Store>(store: &S, build: &Build<'_>, dry_run: bool, progress: &dyn Progress) -> Result<Maps> {
    store.preflight().await?;
    let entries = store.entries().await?;
    let folder = build.out.join(manifest::MAPS);
    let index = Index { release: build.manifest.release.clone(), maps: of_build(&folder).await? };
    let key = record_key(&index.release);
    let newest = newest(store, &entries).await?;
    let mut steps: Vec<MapStep> =
        index.maps.iter().map(|(key, map)| step(key, *map, &entries, newest.as_ref())).collect();
    let item = json_item(Stage::Record, &key, &index);
    let held: Option<Index> = if entries.contains_key(&key) { document(store, &key).await? } else { None };
    let is_latest = newest.as_ref().is_some_and(|newest| newest.key == key);
    let (action, reason) = match (held, entries.contains_key(&key)) {
        (Some(held), _) if held == index && is_latest => (Action::Keep, "in the store with the same content"),
        (_, true) => (Action::Replace, "its date tells which maps are the latest"),
        (_, false) => (Action::Upload, "not in the store"),
    };
    if !dry_run {
        let missing: Vec<&MapStep> = steps.iter().filter(|step| step.action != Action::Keep).collect();
        progress.transfer("upload maps", missing.len(), missing.iter().map(|step| step.length).sum());
        let mut writes = Vec::new();
        for step in missing {
            writes.push(write(store, &folder, step, &index, progress));
        }
        stream::iter(writes).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        // Last: what it names is there then.
        if action != Action::Keep {
            store.put(&key, &item.body, &item.object, &Condition::Always).await?;
        }
    }
    steps.push(MapStep { action, key, length: json(&index).len() as u64, reason });
    let written = || steps.iter().filter(|step| step.action != Action::Keep);
    Ok(Maps {
        store: store.place(""),
        uploaded: written().count(),
        kept: steps.len() - written().count(),
        bytes: written().map(|step| step.length).sum(),
        steps,
    })
}

/// The maps of a build, by key.
async fn of_build(folder: &Path) -> Result<BTreeMap<String, Map>> {
    let lying = Folder::new(folder);
    if !folder.exists() {
        return Ok(BTreeMap::new());
    }
    let mut maps = BTreeMap::new();
    for key in lying.entries().await?.into_keys() {
        if let Some(seen) = lying.inspect(&key).await? {
            maps.insert(key, Map { length: seen.length, digest: seen.digest });
        }
    }
    Ok(maps)
}

/// The index that was written last, and where.
struct Newest {
    key: String,
    index: Index,
}

/// What it says of a map holds unless that was written later; `None` where nothing is known.
async fn newest<S: Store>(store: &S, entries: &Entries) -> Result<Option<Newest>> {
    let indices = entries.iter().filter(|(key, _)| released(key).is_some());
    let Some((key, _)) = indices.max_by_key(|(_, entry)| entry.modified) else { return Ok(None) };
    let index = document::<S, Index>(store, key).await?;
    Ok(index.map(|index| Newest { key: key.clone(), index }))
}

fn step(key: &str, map: Map, entries: &Entries, newest: Option<&Newest>) -> MapStep {
    let (action, reason) = match (entries.get(key), newest) {
        (None, _) => (Action::Upload, "not in the store"),
        (Some(entry), Some(Newest { key: index_key, index })) => {
            let since = entries.get(index_key).is_some_and(|index| entry.modified > index.modified);
            match index.maps.get(key) {
                Some(known) if *known == map && entry.length == map.length && !since => {
                    (Action::Keep, "in the store with the same content")
                }
                // The same code may come of other sources: a comment was changed, say.
                Some(_) => (Action::Replace, "differs, or may do so"),
                None => (Action::Replace, "in the store, and not known to be the same"),
            }
        }
        (Some(_), None) => (Action::Replace, "in the store, and not known to be the same"),
    };
    MapStep { action, key: key.to_owned(), length: map.length, reason }
}

async fn write<S: Store>(
    store: &S,
    folder: &Path,
    step: &MapStep,
    index: &Index,
    progress: &dyn Progress,
) -> Result<()> {
    let Some(Map { length, digest }) = index.maps.get(&step.key).copied() else { return Ok(()) };
    let body = Body::File(folder.join(&step.key)).checked(length, digest).await?;
    let headers = [("content-type", "application/json; charset=utf-8"), ("cache-control", "no-cache")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let object = Object { length, digest, headers };
    store.put(&step.key, &body, &object, &Condition::Always).await?;
    progress.moved(&step.key, length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::publish::site::{Built, Site};

    fn build(maps: &[(&str, &str)]) -> Built {
        let mut site = Site::new().page("index.html", "page");
        for (path, map) in maps {
            site = site.page(&format!("{}/{path}.map", manifest::MAPS), map);
        }
        site.build()
    }

    async fn told(store: &Folder, built: &Built) -> Vec<String> {
        let done = upload(store, &built.as_build(), false, &Silent).await.unwrap();
        done.steps
            .iter()
            .map(|step| format!("{} {}", step.action, step.key.replace(built.release().as_str(), "ID")))
            .collect()
    }

    #[tokio::test]
    async fn only_what_is_missing_or_other_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        let one = build(&[("assets/a-1.js", "one"), ("assets/b-1.js", "bee")]);
        let dry = upload(&store, &one.as_build(), true, &Silent).await.unwrap();
        assert_eq!((dry.uploaded, store.entries().await.unwrap().len()), (3, 0));
        assert_eq!(
            told(&store, &one).await,
            ["upload assets/a-1.js.map", "upload assets/b-1.js.map", "upload releases/ID.json"]
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("assets/a-1.js.map")).unwrap(), "one");
        let all_kept = ["keep assets/a-1.js.map", "keep assets/b-1.js.map", "keep releases/ID.json"];
        assert_eq!(told(&store, &one).await, all_kept);
        // Another release has one of them, and a map of the same length that is another.
        let two = build(&[("assets/a-1.js", "two"), ("assets/b-1.js", "bee"), ("assets/c-1.js", "sea")]);
        assert_eq!(
            told(&store, &two).await,
            [
                "replace assets/a-1.js.map",
                "keep assets/b-1.js.map",
                "upload assets/c-1.js.map",
                "upload releases/ID.json"
            ]
        );
        // Back to the first: its index is there, and is not what the maps are by now.
        assert_eq!(
            told(&store, &one).await,
            ["replace assets/a-1.js.map", "keep assets/b-1.js.map", "replace releases/ID.json"]
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("assets/a-1.js.map")).unwrap(), "one");
        assert_eq!(told(&store, &one).await, all_kept);
    }

    #[tokio::test]
    async fn a_map_that_was_written_after_the_last_index_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        let built = build(&[("assets/a-1.js", "one")]);
        told(&store, &built).await;
        // As another publish leaves it that was killed before its index.
        let map = folder.path().join("assets/a-1.js.map");
        std::fs::write(&map, "two").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&map).unwrap().set_modified(later).unwrap();
        assert_eq!(told(&store, &built).await, ["replace assets/a-1.js.map", "keep releases/ID.json"]);
        assert_eq!(std::fs::read_to_string(&map).unwrap(), "one");
    }
}

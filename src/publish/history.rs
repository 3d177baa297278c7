//! The releases that a store holds.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::CONCURRENCY;
use super::contents::record_key;
use super::pointer::Pointer;
use super::store::{Entries, Store};
use crate::date::Date;
use crate::error::{Error, Result};
use crate::release::{Object, Record, ReleaseId};

/// What a store holds, as one listing and the records of all releases tell.
#[derive(Debug, Clone)]
pub struct History {
    pub entries: Entries,
    pub live: Option<Pointer>,
    /// The newest first.
    pub releases: Vec<Past>,
}

/// A release that was published.
#[derive(Debug, Clone)]
pub struct Past {
    pub record: Record,
    /// When its record was written, by the store's clock.
    pub published: SystemTime,
}

impl History {
    /// Fails also where a record can't be read: nobody knows then what belongs to it.
    pub async fn of<S: Store>(store: &S) -> Result<Self> {
        let entries = store.entries().await?;
        let live = Pointer::read(store).await?;
        let records: Vec<(ReleaseId, SystemTime)> =
            entries.iter().filter_map(|(key, entry)| Some((released(key)?, entry.modified))).collect();
        let reads = records.into_iter().map(|(release, published)| async move {
            let key = record_key(&release);
            // Pruned meanwhile, perhaps.
            let Some(stored) = store.get(&key).await? else { return Ok(None) };
            let unreadable = |reason: String| Error::Publish {
                message: format!("`{}` is no record of a release: {reason}", store.place(&key)),
                help: "move it out of the way if something else has put it there; else publish that release again"
                    .to_owned(),
            };
            let record: Record = serde_json::from_slice(&stored.body).map_err(|error| unreadable(error.to_string()))?;
            match record.release == release {
                true => Ok(Some(Past { record, published })),
                false => Err(unreadable(format!("it is of {}", record.release))),
            }
        });
        let releases: Vec<Option<Past>> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut releases: Vec<Past> = releases.into_iter().flatten().collect();
        releases.sort_by(|a, b| (b.published, &b.record.release).cmp(&(a.published, &a.record.release)));
        Ok(History { entries, live, releases })
    }

    pub fn release(&self, release: &ReleaseId) -> Option<&Past> {
        self.releases.iter().find(|past| past.record.release == *release)
    }

    /// The release that is live, with its record.
    pub fn live(&self) -> Option<&Past> {
        self.release(&self.live.as_ref()?.release)
    }

    /// The one release whose name begins so.
    pub fn named(&self, start: &str, place: &str) -> Result<&Past> {
        let mut found = self.releases.iter().filter(|past| past.record.release.as_str().starts_with(start));
        match (found.next(), found.next()) {
            (Some(past), None) => Ok(past),
            (Some(_), Some(_)) => Err(Error::Usage {
                message: format!("more than one release in `{place}` begins with `{start}`"),
                help: "write more of its name: `fingerpost releases` lists them".to_owned(),
            }),
            (None, _) => Err(Error::Usage {
                message: format!("there is no release `{start}` in `{place}`"),
                help: "`fingerpost releases` lists those that are there".to_owned(),
            }),
        }
    }

    /// The objects of a release that the store does not hold as they were written, and that can't be had from others of it.
    pub fn missing<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = &'a str> {
        let is_there = |key: &String, object: &Object| self.entries.get(key).is_some_and(|e| e.length == object.length);
        let gone = move |(key, object): &(&String, &Object)| !record.is_copy(key) && !is_there(key, object);
        record.objects.iter().filter(gone).map(|(key, _)| key.as_str())
    }
}

/// The release whose record lies at a key.
pub(super) fn released(key: &str) -> Option<ReleaseId> {
    key.strip_prefix("releases/")?.strip_suffix(".json")?.parse().ok()
}

/// What `fingerpost releases` tells.
#[derive(Debug, Clone, Serialize)]
pub struct Releases {
    pub environment: String,
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    /// The newest first.
    pub releases: Vec<Summary>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub release: ReleaseId,
    pub live: bool,
    /// When it was published, by the store's clock: RFC 3339, UTC.
    pub published: String,
    /// Seconds since then.
    pub age: u64,
    pub parent: Option<ReleaseId>,
    pub objects: usize,
    pub bytes: u64,
    /// Of those, bytes of objects that the live release consists of as well.
    pub shared: u64,
    /// Objects of it that are not in the store any more.
    pub missing: usize,
}

/// The releases in an environment's store.
pub async fn releases<S: Store>(store: &S, environment: &str) -> Result<Releases> {
    let history = History::of(store).await?;
    let live = history.live.as_ref().map(|pointer| &pointer.release);
    let nothing = BTreeMap::new();
    let of_live = history.live().map_or(&nothing, |past| &past.record.objects);
    let now = SystemTime::now();
    let summary = |past: &Past| {
        let objects = &past.record.objects;
        let shared = objects.iter().filter(|(key, object)| of_live.get(*key) == Some(*object));
        Summary {
            release: past.record.release.clone(),
            live: live == Some(&past.record.release),
            published: format!("{}Z", Date::of(past.published)),
            age: now.duration_since(past.published).as_ref().map_or(0, Duration::as_secs),
            parent: past.record.parent.clone(),
            objects: objects.len(),
            bytes: objects.values().map(|object| object.length).sum(),
            shared: shared.map(|(_, object)| object.length).sum(),
            missing: history.missing(&past.record).count(),
        }
    };
    Ok(Releases {
        environment: environment.to_owned(),
        store: store.place(""),
        releases: history.releases.iter().map(summary).collect(),
    })
}

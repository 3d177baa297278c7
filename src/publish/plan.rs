//! The plan of a publish: what is to be in the store against what is there, decided without touching either.

use std::fmt;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::contents::{Attempt, Item, Stage, json};
use super::store::Listing;
use crate::fingerprint::Digest;
use crate::release::{Object, Record, ReleaseId};

/// What the store is known to hold, learnt from one listing and a few of the program's own documents.
#[derive(Debug, Clone, Default)]
pub struct Held {
    pub listing: Listing,
    /// The release that `current.json` names.
    pub current: Option<ReleaseId>,
    /// The records of that release and of the one to be published, as far as they are there.
    pub records: BTreeMap<ReleaseId, Record>,
    /// What the last publish set out to make true.
    pub attempt: Option<Attempt>,
}

/// One step of a plan, for people and for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub stage: Stage,
    pub action: Action,
    /// Below the store's prefix.
    pub key: String,
    /// Bytes of the body as stored.
    pub length: u64,
    /// Why, in plain words.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Written where nothing is.
    Upload,
    /// There already; not touched.
    Keep,
    /// Written over what is there.
    Replace,
    /// The pointer is moved: from here on the release is live.
    Point,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Upload => "upload",
            Action::Keep => "keep",
            Action::Replace => "replace",
            Action::Point => "point",
        })
    }
}

/// A step for each item, in the same order.
pub fn plan(release: &ReleaseId, items: &[Item], held: &Held) -> Vec<Step> {
    let known = Known::of(release, held);
    let step = |item: &Item| {
        let (action, reason) = match item.stage {
            Stage::Pointer => point(release, held),
            _ => decide(item, held.listing.get(&item.key).copied(), known.content(item)),
        };
        Step { stage: item.stage, action, key: item.key.clone(), length: item.object.length, reason }
    };
    items.iter().map(step).collect()
}

fn point(release: &ReleaseId, held: &Held) -> (Action, String) {
    match &held.current {
        None => (Action::Point, "no release is current yet".to_owned()),
        Some(current) if current == release => (Action::Keep, "the release is current already".to_owned()),
        Some(current) => (Action::Point, format!("the release is not current yet: {current} is")),
    }
}

fn decide(item: &Item, listed: Option<u64>, known: Option<Content<'_>>) -> (Action, String) {
    let replace = |reason: String| (Action::Replace, reason);
    let keep = |reason: &str| (Action::Keep, reason.to_owned());
    let Some(length) = listed else {
        return (Action::Upload, "not in the store".to_owned());
    };
    if length != item.object.length {
        return replace(format!("differs: {length} bytes in the store, {} here", item.object.length));
    }
    match known {
        Some(known) if known.digest != item.object.digest => replace("differs: other content".to_owned()),
        Some(Content { headers: Some(headers), .. }) if *headers != item.object.headers => {
            replace(format!("differs: other headers ({})", changed_names(headers, &item.object.headers)))
        }
        Some(_) => keep("in the store with the same content"),
        None if item.stage == Stage::Asset => keep("in the store with the same name and length"),
        None => replace("in the store, but no record vouches for its content".to_owned()),
    }
}

fn changed_names(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&str> =
        a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).map(String::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What an object holds beyond its length.
struct Content<'a> {
    digest: Digest,
    headers: Option<&'a BTreeMap<String, String>>,
}

/// Which record tells of which object.
struct Known<'a> {
    this: Option<&'a Record>,
    current: Option<&'a Record>,
    this_digest: Option<Digest>,
    attempt: Option<&'a Attempt>,
    /// Whether nothing that can change was written since that record was made true.
    this_vouches: bool,
    current_vouches: bool,
}

impl<'a> Known<'a> {
    fn of(release: &ReleaseId, held: &'a Held) -> Self {
        let this = held.records.get(release);
        let current = held.current.as_ref().and_then(|current| held.records.get(current));
        let digest = |record: Option<&Record>| record.map(|record| Digest::of(&json(record)));
        let (this_digest, current_digest) = (digest(this), digest(current));
        let last = held.attempt.as_ref().map(|attempt| attempt.record);
        Known {
            this,
            current,
            this_digest,
            attempt: held.attempt.as_ref(),
            this_vouches: last.is_some() && this_digest == last,
            current_vouches: last.is_some() && current_digest == last,
        }
    }

    fn content(&self, item: &Item) -> Option<Content<'a>> {
        let find = |record: Option<&'a Record>| record.and_then(|record| record.objects.get(&item.key));
        let object: Option<&'a Object> = match item.stage {
            // The record of what is current is the later one, and so the one that knows the headers.
            Stage::Asset => find(self.current).or_else(|| find(self.this)),
            Stage::Page => find(self.this).filter(|_| self.this_vouches),
            Stage::Root | Stage::RootPage => find(self.current).filter(|_| self.current_vouches),
            Stage::Attempt => return self.attempt.map(|attempt| Content::of_document(Digest::of(&json(attempt)))),
            Stage::Record => return self.this_digest.map(Content::of_document),
            Stage::Pointer => None,
        };
        object.map(|object| Content { digest: object.digest, headers: Some(&object.headers) })
    }
}

impl Content<'_> {
    fn of_document(digest: Digest) -> Self {
        Content { digest, headers: None }
    }
}

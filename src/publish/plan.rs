//! The plan of a publish: what is to be in the store against what is there, decided without touching either.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
    pub records: BTreeMap<ReleaseId, Document<Record>>,
    /// What the last publish set out to make true.
    pub attempt: Option<Attempt>,
    /// The keys that were written after that was said.
    pub since_attempt: BTreeSet<String>,
}

/// One of the program's own documents, as a store holds it.
#[derive(Debug, Clone)]
pub struct Document<T> {
    pub content: T,
    /// Of the bytes that it is written with.
    pub digest: Digest,
}

pub type Reason = Cow<'static, str>;

/// One step of a plan, for people and for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub stage: Stage,
    pub action: Action,
    /// Below the store's prefix.
    pub key: String,
    /// Bytes of the body as stored.
    pub length: u64,
    /// Why, in plain words: mostly the same for very many.
    pub reason: Reason,
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
    let known = Known::of(release, items, held);
    let step = |item: &Item| {
        let (action, reason) = match item.stage {
            Stage::Pointer => point(release, held),
            _ => decide(item, held.listing.get(&item.key).copied(), known.content(item)),
        };
        Step { stage: item.stage, action, key: item.key.clone(), length: item.object.length, reason }
    };
    items.iter().map(step).collect()
}

fn point(release: &ReleaseId, held: &Held) -> (Action, Reason) {
    match &held.current {
        None => (Action::Point, "no release is current yet".into()),
        Some(current) if current == release => (Action::Keep, "the release is current already".into()),
        Some(current) => (Action::Point, format!("the release is not current yet: {current} is").into()),
    }
}

fn decide(item: &Item, listed: Option<u64>, known: Option<Content<'_>>) -> (Action, Reason) {
    let replace = |reason: Reason| (Action::Replace, reason);
    let keep = |reason: &'static str| (Action::Keep, reason.into());
    let Some(length) = listed else {
        return (Action::Upload, "not in the store".into());
    };
    if length != item.object.length {
        return replace(format!("differs: {length} bytes in the store, {} here", item.object.length).into());
    }
    match known {
        Some(known) if known.digest != item.object.digest => replace("differs: other content".into()),
        Some(Content { headers: Some(headers), .. }) if *headers != item.object.headers => {
            replace(format!("differs: other headers ({})", changed_names(headers, &item.object.headers)).into())
        }
        Some(_) => keep("in the store with the same content"),
        None if item.stage == Stage::Asset => keep("in the store with the same name and length"),
        None => replace("in the store, but no record vouches for its content".into()),
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
    /// What was written by a publish that was stopped, and set out to do the same as this one.
    resumed: Option<&'a BTreeSet<String>>,
}

impl<'a> Known<'a> {
    fn of(release: &ReleaseId, items: &[Item], held: &'a Held) -> Self {
        let this = held.records.get(release);
        let current = held.current.as_ref().and_then(|current| held.records.get(current));
        let digest = |record: Option<&Document<Record>>| record.map(|record| record.digest);
        let (this_digest, current_digest) = (digest(this), digest(current));
        let content = |record: Option<&'a Document<Record>>| record.map(|record| &record.content);
        let last = held.attempt.as_ref().map(|attempt| attempt.record);
        let wanted = items.iter().find(|item| item.stage == Stage::Record).map(|item| item.object.digest);
        Known {
            resumed: Some(&held.since_attempt).filter(|_| last.is_some() && wanted == last),
            this: content(this),
            current: content(current),
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
        let known = object.map(|object| Content { digest: object.digest, headers: Some(&object.headers) });
        let is_resumed = item.stage != Stage::Asset && self.resumed.is_some_and(|keys| keys.contains(&item.key));
        known.or_else(|| is_resumed.then(|| Content::of_document(item.object.digest)))
    }
}

impl Content<'_> {
    fn of_document(digest: Digest) -> Self {
        Content { digest, headers: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::contents::{ATTEMPT, bookkeeping, contents, pointer, record_key};
    use crate::publish::site::{Built, Site};

    fn items(built: &Built, parent: Option<ReleaseId>) -> Vec<Item> {
        let mut items = contents(&built.as_build(), true).unwrap();
        let documents = bookkeeping(&built.as_build(), &items, parent);
        items.extend(documents);
        items.push(pointer(built.release()));
        items.sort_by_key(|item| item.stage);
        items
    }

    /// The store as it is after all these items were written.
    fn held_after(built: &Built, items: &[Item]) -> Held {
        let body = |key: &str| {
            let item = items.iter().find(|item| item.key == key).unwrap();
            match &item.body {
                crate::publish::store::Body::Bytes(bytes) => bytes.clone(),
                other => panic!("{other:?}"),
            }
        };
        let record = body(&record_key(built.release()));
        let record = Document { content: serde_json::from_slice(&record).unwrap(), digest: Digest::of(&record) };
        Held {
            listing: items.iter().map(|item| (item.key.clone(), item.object.length)).collect(),
            current: Some(built.release().clone()),
            records: BTreeMap::from([(built.release().clone(), record)]),
            attempt: Some(serde_json::from_slice(&body(ATTEMPT)).unwrap()),
            since_attempt: BTreeSet::new(),
        }
    }

    fn text(built: &Built, items: &[Item], held: &Held) -> String {
        let line = |step: Step| {
            format!(
                "{:9} {:7} {} ({})",
                format!("{:?}", step.stage),
                format!("{:?}", step.action),
                step.key,
                step.reason
            )
        };
        let lines: Vec<String> = plan(built.release(), items, held).into_iter().map(line).collect();
        lines.join("\n").replace(built.release().as_str(), "NEW")
    }

    fn site() -> Site {
        Site::new()
            .asset("css/a.css", "a { color: red }\n")
            .page("about.html", "about")
            .page("index.html", "hello")
            .public("robots.txt", "User-agent: *\n")
    }

    #[test]
    fn an_empty_store_gets_everything_and_the_pointer_last() {
        let built = site().build();
        insta::assert_snapshot!(text(&built, &items(&built, None), &Held::default()), @r"
        Asset     Upload  assets/css/a-e9af44705e38a129.css (not in the store)
        Attempt   Upload  releases/attempt.json (not in the store)
        Page      Upload  releases/NEW.tar.zst (not in the store)
        Page      Upload  releases/NEW/about.html (not in the store)
        Page      Upload  releases/NEW/index.html (not in the store)
        Page      Upload  releases/NEW/robots.txt (not in the store)
        Record    Upload  releases/NEW.json (not in the store)
        Root      Upload  robots.txt (not in the store)
        RootPage  Upload  about.html (not in the store)
        RootPage  Upload  index.html (not in the store)
        Pointer   Point   current.json (no release is current yet)
        ");
    }

    #[test]
    fn the_same_build_again_needs_nothing() {
        let built = site().build();
        let items = items(&built, None);
        let held = held_after(&built, &items);
        assert!(plan(built.release(), &items, &held).iter().all(|step| step.action == Action::Keep));
    }

    #[test]
    fn one_changed_page_leaves_the_other_objects_alone() {
        let old = site().build();
        let held = held_after(&old, &items(&old, None));
        let new = site().page("index.html", "HELLO").build();
        let text = text(&new, &items(&new, Some(old.release().clone())), &held).replace(old.release().as_str(), "OLD");
        insta::assert_snapshot!(text, @r"
        Asset     Keep    assets/css/a-e9af44705e38a129.css (in the store with the same content)
        Attempt   Replace releases/attempt.json (differs: other content)
        Page      Upload  releases/NEW.tar.zst (not in the store)
        Page      Upload  releases/NEW/about.html (not in the store)
        Page      Upload  releases/NEW/index.html (not in the store)
        Page      Upload  releases/NEW/robots.txt (not in the store)
        Record    Upload  releases/NEW.json (not in the store)
        Root      Keep    robots.txt (in the store with the same content)
        RootPage  Keep    about.html (in the store with the same content)
        RootPage  Replace index.html (differs: other content)
        Pointer   Point   current.json (the release is not current yet: OLD is)
        ");
    }

    #[test]
    fn after_a_publish_that_stopped_midway_no_page_at_the_root_is_trusted() {
        let old = site().build();
        let mut held = held_after(&old, &items(&old, None));
        held.attempt = Some(Attempt { record: Digest::of(b"another record") });
        let steps = plan(old.release(), &items(&old, None), &held);
        for step in steps {
            let trusted = matches!(step.stage, Stage::Asset | Stage::Record | Stage::Pointer);
            assert_eq!(step.action == Action::Keep, trusted, "{step:?}");
        }
    }

    #[test]
    fn pages_are_trusted_that_a_stopped_publish_of_the_same_has_written() {
        let built = site().build();
        let items = items(&built, None);
        let mut held = held_after(&built, &items);
        held.records.clear();
        held.current = None;
        let page = format!("releases/{}/about.html", built.release());
        held.since_attempt = BTreeSet::from([page.clone(), "index.html".to_owned()]);
        let kept = |held: &Held| {
            let steps = plan(built.release(), &items, held).into_iter();
            let kept = steps.filter(|step| step.action == Action::Keep && step.stage > Stage::Attempt);
            kept.map(|step| step.key).collect::<Vec<_>>()
        };
        assert_eq!(kept(&held), [page.as_str(), "index.html"]);
        held.attempt = Some(Attempt { record: Digest::of(b"another record") });
        assert!(kept(&held).is_empty());
    }

    #[test]
    fn what_differs_is_named() {
        let built = site().build();
        let items = items(&built, None);
        let mut held = held_after(&built, &items);
        let asset = items[0].key.clone();
        let reason = |held: &Held| {
            let step = &plan(built.release(), &items, held)[0];
            format!("{:?}: {}", step.action, step.reason)
        };
        let object = held.records.get_mut(built.release()).unwrap().content.objects.get_mut(&asset).unwrap();
        object.headers.insert("cache-control".to_owned(), "no-cache".to_owned());
        assert_eq!(reason(&held), "Replace: differs: other headers (cache-control)");
        let object = held.records.get_mut(built.release()).unwrap().content.objects.get_mut(&asset).unwrap();
        object.digest = Digest::of(b"");
        assert_eq!(reason(&held), "Replace: differs: other content");
        held.listing.insert(asset.clone(), 3);
        assert_eq!(reason(&held), "Replace: differs: 3 bytes in the store, 17 here");
        held.listing.remove(&asset);
        assert_eq!(reason(&held), "Upload: not in the store");
        held.listing.insert(asset, 17);
        held.records.clear();
        assert_eq!(reason(&held), "Keep: in the store with the same name and length");
    }
}

//! What keeps a prune from taking away what somebody is about to count on.
//!
//! Both leave word. A prune says in [`STATE`] that it is under way, before it looks which releases there are. Who publishes, or goes back
//! to a release, looks there before taking stock, writes the release's record, and looks there again (see [`Guard`]) before anything
//! refers to the release. So a prune that has not seen that record is seen itself, and one that begins later sees it, and keeps a release
//! whose record is new.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::contents::{Stage, json_item};
use super::document;
use super::store::{Condition, Entries, Put, Store, put_if_known};
use crate::error::{Error, Result};

/// Whether a prune is under way, a [`State`].
pub const STATE: &str = "releases/prune.json";

/// What was under way for longer has been killed; and a record that is older is not of a publish that is under way.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A prune stops by itself before it is taken for one that was killed.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// `releases/prune.json`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Counts prunes, so that one that came and went shows.
    run: u64,
    running: bool,
    /// Tells it from another that counted the same.
    #[serde(default)]
    nonce: u64,
}

/// A prune that is under way.
#[derive(Debug)]
pub struct Run {
    state: State,
    begun: SystemTime,
}

impl Run {
    pub async fn begin<S: Store>(store: &S) -> Result<Self> {
        let entries = store.entries().await?;
        let begun = SystemTime::now();
        let (before, condition) = match store.get(STATE).await? {
            None => (State::default(), Condition::IfAbsent),
            Some(stored) => {
                (serde_json::from_slice(&stored.body).unwrap_or_default(), Condition::IfVersion(stored.version))
            }
        };
        if before.running && is_recent(&entries) {
            return Err(under_way());
        }
        // Seeded by the system, anew for each.
        let nonce = RandomState::new().hash_one(begun);
        let state = State { run: before.run + 1, running: true, nonce };
        let refused = write(store, state, &condition).await? == Put::Refused;
        // It may have been written all the same, and the answer lost.
        match refused && document(store, STATE).await? != Some(state) {
            true => Err(under_way()),
            false => Ok(Run { state, begun }),
        }
    }

    /// Fails when it has taken so long that nobody may rely on it any more.
    pub fn goes_on(&self) -> Result<()> {
        match SystemTime::now().duration_since(self.begun) {
            Ok(age) if age < DEADLINE => Ok(()),
            _ => Err(Error::Publish {
                message: "pruning has taken more than half an hour, and stops".to_owned(),
                help: "prune again: what is left is deleted then".to_owned(),
            }),
        }
    }

    pub async fn end<S: Store>(self, store: &S) -> Result<()> {
        write(store, State { running: false, ..self.state }, &Condition::Always).await.map(|_| ())
    }
}

async fn write<S: Store>(store: &S, state: State, condition: &Condition) -> Result<Put> {
    let item = json_item(Stage::Record, STATE, &state);
    put_if_known(store, &item.key, &item.body, &item.object, condition).await
}

fn is_recent(entries: &Entries) -> bool {
    let age = entries.get(STATE).map(|entry| SystemTime::now().duration_since(entry.modified).unwrap_or_default());
    age.is_some_and(|age| age < LONGEST)
}

pub fn under_way() -> Error {
    Error::Publish {
        message: "the store is being pruned at the moment".to_owned(),
        help: "try again when that is done; a prune that was killed is waited for, for an hour".to_owned(),
    }
}

/// Whoever counts on what lies in a store looks out for prunes: at the beginning, and when the release's record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard(Option<State>);

impl Guard {
    /// Fails if a prune is under way.
    pub async fn enter<S: Store>(store: &S, entries: &Entries) -> Result<Self> {
        if !entries.contains_key(STATE) {
            return Ok(Guard(None));
        }
        let state = document::<S, State>(store, STATE).await?;
        match state.is_some_and(|state| state.running) && is_recent(entries) {
            true => Err(under_way()),
            false => Ok(Guard(state)),
        }
    }

    /// Fails if one is under way now, or came meanwhile and took something of what is counted on: keys with their lengths.
    pub async fn check<'a, S: Store>(&self, store: &S, mut wanted: impl Iterator<Item = (&'a str, u64)>) -> Result<()> {
        let now = document::<S, State>(store, STATE).await?;
        if now == self.0 {
            return Ok(());
        }
        if now.is_some_and(|state| state.running) {
            return Err(under_way());
        }
        let held: BTreeMap<String, u64> = store.list().await?;
        match wanted.find(|(key, length)| held.get(*key) != Some(length)) {
            None => Ok(()),
            Some((key, _)) => Err(Error::Publish {
                message: format!("`{}` was pruned meanwhile", store.place(key)),
                help: "try again; what is live is still the old release".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::store::{Body, Seen, Stored};
    use super::*;
    use crate::publish::Folder;
    use crate::release::Object;

    #[test]
    fn a_prune_stops_before_it_is_taken_for_dead() {
        let begun = |ago: Duration| Run { state: State::default(), begun: SystemTime::now() - ago };
        assert!(begun(Duration::from_secs(1)).goes_on().is_ok());
        assert!(begun(DEADLINE).goes_on().is_err());
        assert!(begun(LONGEST).goes_on().is_err() && DEADLINE < LONGEST);
        let ahead = Run { state: State::default(), begun: SystemTime::now() + LONGEST };
        assert!(ahead.goes_on().is_err(), "the clock was set back");
    }

    /// A folder in which another prune begins just before this one says that it does.
    struct Raced(Folder);

    impl Store for Raced {
        fn is_website(&self) -> bool {
            self.0.is_website()
        }

        fn place(&self, key: &str) -> String {
            self.0.place(key)
        }

        async fn entries(&self) -> Result<Entries> {
            self.0.entries().await
        }

        async fn get(&self, key: &str) -> Result<Option<Stored>> {
            self.0.get(key).await
        }

        async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
            self.0.inspect(key).await
        }

        fn kept_headers(&self) -> &'static [&'static str] {
            self.0.kept_headers()
        }

        async fn download(&self, key: &str, file: &Path) -> Result<bool> {
            self.0.download(key, file).await
        }

        async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
            Run::begin(&self.0).await?;
            self.0.put(key, body, object, condition).await
        }

        async fn delete(&self, key: &str) -> Result<()> {
            self.0.delete(key).await
        }
    }

    #[tokio::test]
    async fn of_two_prunes_that_count_the_same_one_begins() {
        let root = tempfile::tempdir().unwrap();
        let error = Run::begin(&Raced(Folder::new(root.path()))).await.unwrap_err();
        assert_eq!(error.to_string(), under_way().to_string());
    }
}

//! Taking stock of a store before a publish: one listing, and the few documents that tell what is in it.

use std::time::Duration;

use futures_util::try_join;

use super::contents::{ATTEMPT, CURRENT, record_key};
use super::guard::Guard;
use super::plan::Held;
use super::pointer::Pointer;
use super::store::{Entry, Store};
use super::{document, document_as_it_is};
use crate::error::Result;
use crate::release::ReleaseId;

/// What the clocks of a store's servers may differ by.
const SKEW: Duration = Duration::from_secs(2);

/// What was found in a store.
pub struct Surveyed {
    pub held: Held,
    pub pointer: Option<Pointer>,
    pub guard: Guard,
}

/// What the store holds.
///
/// The listing comes first, and is quicker if about these keys are there: it proves that the store is there and lets this user in, before any work is done.
pub async fn survey<S: Store>(store: &S, release: &ReleaseId, expected: &[String]) -> Result<Surveyed> {
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let entries = store.entries_near(&expected).await?;
    let guard = Guard::enter(store, &entries).await?;
    let attempt = entries.get(ATTEMPT).and_then(|attempt| attempt.modified.checked_add(SKEW));
    let is_later = |entry: &Entry| attempt.is_some_and(|attempt| entry.modified > attempt);
    let since_attempt = entries.iter().filter(|(_, entry)| is_later(entry)).map(|(key, _)| key.clone()).collect();
    let listing = entries.into_iter().map(|(key, entry)| (key, entry.length)).collect();
    let mut held = Held { listing, since_attempt, ..Held::default() };
    let listed = |key: &str| held.listing.contains_key(key);
    let live = async { if listed(CURRENT) { Pointer::read(store).await } else { Ok(None) } };
    let record = record_key(release);
    let own = async { if listed(&record) { document_as_it_is(store, &record).await } else { Ok(None) } };
    let attempt = async { if listed(ATTEMPT) { document(store, ATTEMPT).await } else { Ok(None) } };
    let (pointer, own, attempt) = try_join!(live, own, attempt)?;
    held.attempt = attempt;
    held.records.extend(own.map(|record| (release.clone(), record)));
    held.current = pointer.as_ref().map(|pointer: &Pointer| pointer.release.clone());
    if let Some(current) = held.current.clone().filter(|current| current != release)
        && held.listing.contains_key(&record_key(&current))
    {
        let record = document_as_it_is(store, &record_key(&current)).await?;
        held.records.extend(record.map(|record| (current, record)));
    }
    Ok(Surveyed { held, pointer, guard })
}

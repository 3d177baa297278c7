//! The pointer: which release is live, and how it is moved so that of two who move it at once only one does.

use super::contents::{CURRENT, Item};
use super::store::{Condition, Put, Store, put_if_known};
use crate::error::{Error, Result};
use crate::release::{Current, ReleaseId};

/// The pointer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub release: ReleaseId,
    /// What a conditional write compares.
    pub version: String,
}

impl Pointer {
    /// The release that is live, if there is one.
    pub async fn read<S: Store>(store: &S) -> Result<Option<Self>> {
        let Some(stored) = store.get(CURRENT).await? else { return Ok(None) };
        match serde_json::from_slice::<Current>(&stored.body) {
            Ok(current) => Ok(Some(Pointer { release: current.release, version: stored.version })),
            // Somebody else's file, perhaps: better not written over.
            Err(error) => Err(Error::Publish {
                message: format!("`{}` does not say which release is live: {error}", store.place(CURRENT)),
                help: "if nothing else uses that file, remove it and publish again; else set another `store`"
                    .to_owned(),
            }),
        }
    }
}

/// Points to `release`, if the pointer is still what it was `before`.
pub async fn point<S: Store>(store: &S, item: &Item, release: &ReleaseId, before: Option<&Pointer>) -> Result<()> {
    let condition = match before {
        Some(pointer) => Condition::IfVersion(pointer.version.clone()),
        None => Condition::IfAbsent,
    };
    let failure = match put_if_known(store, CURRENT, &item.body, &item.object, &condition).await {
        Ok(Put::Written | Put::Confirmed) => return Ok(()),
        Ok(Put::Refused | Put::Unsupported) => lost(store, release, None),
        Err(error) => error,
    };
    // A failure may hide a success whose answer got lost, and some stores answer the loser of a race with an error.
    match Pointer::read(store).await {
        Ok(Some(now)) if now.release == *release => Ok(()),
        Ok(Some(now)) if Some(&now.release) != before.map(|pointer| &pointer.release) => {
            Err(lost(store, release, Some(&now.release)))
        }
        _ => Err(failure),
    }
}

fn lost<S: Store>(store: &S, release: &ReleaseId, winner: Option<&ReleaseId>) -> Error {
    let place = store.place(CURRENT);
    Error::Publish {
        message: match winner {
            Some(winner) => format!("another publish went first: {winner} is live, not {release}"),
            None => format!("`{place}` was written by another publish at the same time"),
        },
        help: "see whether what is live is what you want; if not, publish again".to_owned(),
    }
}

//! What is found out before any work is done: whether this user may write, and whether the store keeps to conditions.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::contents::{Stage, json_item};
use super::store::{Condition, Put, Store};
use crate::error::Result;

/// Written to find out; it says nothing.
pub const PROBE: &str = "releases/probe.json";

/// No object has it.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

/// For how long an answer is expected before anybody wonders whether there will be one.
const WONDER: Duration = Duration::from_millis(200);

/// Begins with the work at once, and fails within seconds where nothing can be asked of the store. Whether it can is asked apart from the
/// work only if that is not done soon.
pub async fn beside<S: Store, T>(store: &S, work: impl Future<Output = Result<T>>) -> Result<T> {
    store.admit().await?;
    let asking = async {
        tokio::time::sleep(WONDER).await;
        store.preflight().await
    };
    match select(pin!(work), pin!(asking)).await {
        Either::Left((done, _)) => done,
        Either::Right((answered, work)) => {
            answered?;
            work.await
        }
    }
}

/// Whether the store keeps to conditions; some ignore them and answer 200 (Garage 2.5). Fails where this user may not write.
pub async fn keeps_conditions<S: Store>(store: &S) -> Result<bool> {
    let item = json_item(Stage::Attempt, PROBE, &serde_json::json!({}));
    let put = async |condition| store.put(PROBE, &item.body, &item.object, &condition).await;
    put(Condition::Always).await?;
    let (if_absent, if_version) = (Condition::IfAbsent, Condition::IfVersion(NO_VERSION.to_owned()));
    let (if_absent, if_version) = futures_util::try_join!(put(if_absent), put(if_version))?;
    Ok(if_absent == Put::Refused && if_version == Put::Refused)
}

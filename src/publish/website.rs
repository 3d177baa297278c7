//! The root of a website, where each release writes its files over those of the one before: copies of what it has below `releases/ID/`.
//!
//! Of two who publish at once both write there, and only one moves the pointer after that. So whoever has written there looks afterwards
//! what is live (see [`settle`]); and since all leave word in [`ATTEMPT`] before they write there, who has won finds out that somebody
//! else has begun to write meanwhile.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::contents::{ATTEMPT, Attempt, attempt, json};
use super::store::{Body, Condition, Room, Store, put};
use super::{CONCURRENCY, document, live_record};
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::progress::{Progress, Silent};
use crate::release::{Object, Record};

/// So often what is live may change while the root is written anew, before that is given up.
const MOVES: usize = 5;

/// What a release has at the root of a website, and is not known to be there as this release has it: files first, then pages.
pub fn root<'a>(record: &'a Record, known: Option<&Record>) -> Vec<(&'a str, &'a Object)> {
    let nothing = BTreeMap::new();
    let known = known.map_or(&nothing, |record| &record.objects);
    let mut root: Vec<(&str, &Object)> = record
        .objects
        .iter()
        .filter(|(key, object)| record.is_copy(key) && known.get(*key) != Some(*object))
        .map(|(key, object)| (key.as_str(), object))
        .collect();
    root.sort_by_key(|(key, object)| (is_page(object), *key));
    root
}

fn is_page(object: &Object) -> bool {
    object.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// Writes what [`root`] gave: first files, then pages.
pub async fn write<S: Store>(
    store: &S,
    record: &Record,
    root: &[(&str, &Object)],
    progress: &dyn Progress,
) -> Result<()> {
    let room = Room::default();
    for files in root.chunk_by(|(_, a), (_, b)| is_page(a) == is_page(b)) {
        let mut left = files.iter();
        let copies = std::iter::from_fn(|| {
            let (key, object) = left.next()?;
            Some(copy(store, record, key, object, &room, progress))
        });
        stream::iter(copies).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    Ok(())
}

/// Writes a file of the release at the root.
async fn copy<S: Store>(
    store: &S,
    record: &Record,
    key: &str,
    object: &Object,
    room: &Room,
    progress: &dyn Progress,
) -> Result<()> {
    let _room = room.whole(object.length).await;
    let source = format!("releases/{}/{key}", record.release);
    let body = store.get(&source).await?.map(|stored| stored.body);
    let body = body.filter(|body| Digest::of(body) == object.digest).ok_or_else(|| Error::Publish {
        message: format!("`{}` is not what {} was published with", store.place(&source), record.release),
        help: "go back to another release, or build this one's sources and publish them".to_owned(),
    })?;
    store.put(key, &Body::Bytes(body), object, &Condition::Always).await?;
    progress.moved(key, object.length);
    Ok(())
}

/// Digest of the record that the last publish, or rollback, set out to make true.
pub async fn attempted<S: Store>(store: &S) -> Result<Option<Digest>> {
    Ok(document::<S, Attempt>(store, ATTEMPT).await?.map(|attempt| attempt.record))
}

/// After the pointer was moved, or lost to another publish: makes the root that of the release which is live, if others have written
/// there too.
pub async fn settle<S: Store>(store: &S, pointed: Result<()>, progress: &dyn Progress) -> Result<()> {
    match pointed {
        Ok(()) => {
            if let Err(error) = settle_root(store, false).await {
                progress.warn(format!(
                    "files at the website's root may be those of another publish at the same time ({error}): publish again"
                ));
            }
            Ok(())
        }
        Err(Error::Publish { message, help }) => match settle_root(store, true).await {
            Ok(()) => Err(Error::Publish { message, help }),
            Err(error) => Err(Error::Publish {
                message,
                help: format!(
                    "files at the website's root may be of either release ({error}): publish again what is to be live"
                ),
            }),
        },
        Err(error) => Err(error),
    }
}

/// Goes on until nobody else was there meanwhile.
async fn settle_root<S: Store>(store: &S, mut is_mixed: bool) -> Result<()> {
    for _ in 0..MOVES {
        let record = live_record(store).await?;
        if !is_mixed && attempted(store).await? == Some(Digest::of(&json(&record))) {
            return Ok(());
        }
        put(store, &attempt(&record)).await?;
        write(store, &record, &root(&record, None), &Silent).await?;
        is_mixed = false;
    }
    Err(Error::Publish {
        message: format!("`{}` goes on being published to", store.place("")),
        help: "publish again when that is over".to_owned(),
    })
}

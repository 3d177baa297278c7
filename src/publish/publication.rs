//! A publish that is under way: a plan is carried out, stage by stage.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::SemaphorePermit;

use super::CONCURRENCY;
use super::contents::{Item, Stage};
use super::guard::Guard;
use super::plan::{Action, Step};
use super::pointer::{Pointer, point};
use super::purge::Purge;
use super::store::{Body, Condition, Put, Room, Store, checked, lengths, put_if_known};
use super::website::settle;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::release::ReleaseId;

/// A publish that is under way.
pub struct Publication<'a, S> {
    pub store: &'a S,
    pub release: &'a ReleaseId,
    /// The pointer when the store was surveyed.
    pub live: Option<Pointer>,
    pub guard: Guard,
    pub room: Room,
    pub purge: Option<&'a Purge<'a>>,
    pub progress: &'a dyn Progress,
}

/// Files that are read at once by one thread, and bytes of these.
const READ_AT_ONCE: usize = 16;
const BYTES_AT_ONCE: u64 = 256 << 10;

/// Threads that read.
const READERS: usize = 2;

/// An item that is to be written, and the bytes for it.
struct Ready<'i, 'r> {
    item: &'i Item,
    step: &'i mut Step,
    body: Body,
    /// Until all that were read with it are written.
    _room: Option<Arc<SemaphorePermit<'r>>>,
}

/// The next items that are worth being read together: many small ones, or one large one.
fn batch<'i>(left: &mut VecDeque<(&'i Item, &'i mut Step)>) -> Vec<(&'i Item, &'i mut Step)> {
    let (mut batch, mut length) = (Vec::new(), 0);
    while let Some((item, _)) = left.front()
        && (batch.is_empty() || batch.len() < READ_AT_ONCE && length + item.object.length <= BYTES_AT_ONCE)
    {
        length += item.object.length;
        batch.extend(left.pop_front());
    }
    batch
}

impl<S: Store> Publication<'_, S> {
    /// Stage by stage; none begins before the one before it is done as a whole.
    pub async fn carry_out(&self, all: &[Item], steps: &mut [Step]) -> Result<()> {
        let changes: Vec<u64> =
            steps.iter().filter(|step| step.action != Action::Keep).map(|step| step.length).collect();
        self.progress.transfer("publish", changes.len(), changes.iter().sum());
        let stages = all.chunk_by(|a, b| a.stage == b.stage).zip(steps.chunk_by_mut(|a, b| a.stage == b.stage));
        for (items, steps) in stages {
            if steps.iter().all(|step| step.action == Action::Keep) {
                continue;
            }
            if let (Some(purge), Some(item)) = (self.purge, items.first())
                && item.stage > Stage::Attempt
            {
                purge.leave(self.store).await?;
            }
            let confirmed = match items {
                [pointer] if pointer.stage == Stage::Pointer => {
                    let pointed = point(self.store, pointer, self.release, self.live.as_ref()).await;
                    match all.iter().any(|item| matches!(item.stage, Stage::Root | Stage::RootPage)) {
                        true => settle(self.store, pointed, self.progress).await?,
                        false => pointed?,
                    }
                    self.progress.moved(&pointer.key, pointer.object.length);
                    0
                }
                items => self.write_all(items, steps).await?,
            };
            match items.first().map(|item| item.stage) {
                Some(Stage::Asset) if confirmed < items.len() => self.verify(items).await?,
                Some(Stage::Record) => {
                    let stays = |item: &&Item| matches!(item.stage, Stage::Asset | Stage::Page | Stage::Record);
                    let stay = all.iter().filter(stays).map(|item| (item.key.as_str(), item.object.length));
                    self.guard.check(self.store, stay).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The first failure ends it; what is under way then is given up. Gives how many the store has confirmed.
    async fn write_all(&self, items: &[Item], steps: &mut [Step]) -> Result<usize> {
        let mut confirmed = 0;
        let mut left: VecDeque<_> = items.iter().zip(steps).filter(|(_, step)| step.action != Action::Keep).collect();
        let (mut reading, mut under_way) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut ready: VecDeque<Ready> = VecDeque::new();
        loop {
            // Each is many kilobytes, so they are made as they are wanted.
            while under_way.len() < CONCURRENCY
                && let Some(ready) = ready.pop_front()
            {
                under_way.push(self.write_step(ready));
            }
            while reading.len() < READERS && ready.len() < READ_AT_ONCE && !left.is_empty() {
                reading.push(self.read(batch(&mut left)));
            }
            tokio::select! {
                Some(read) = reading.next() => ready.extend(read?),
                Some(written) = under_way.next() => confirmed += usize::from(written? == Put::Confirmed),
                else => return Ok(confirmed),
            }
        }
    }

    /// Reads the bodies of some items, and makes sure that they are what was built.
    async fn read<'i>(&self, batch: Vec<(&'i Item, &'i mut Step)>) -> Result<Vec<Ready<'i, '_>>> {
        let room = self.room.checked(batch.iter().map(|(item, _)| item.object.length).sum()).await.map(Arc::new);
        let bodies = batch.iter().map(|(item, _)| (item.body.clone(), item.object.length, item.object.digest));
        let bodies = checked(bodies.collect::<Vec<_>>()).await?;
        let ready =
            batch.into_iter().zip(bodies).map(|((item, step), body)| Ready { item, step, body, _room: room.clone() });
        Ok(ready.collect())
    }

    async fn write_step(&self, ready: Ready<'_, '_>) -> Result<Put> {
        let Ready { item, step, body, _room } = ready;
        let fresh = item.stage == Stage::Asset && step.action == Action::Upload;
        let condition = if fresh { Condition::IfAbsent } else { Condition::Always };
        let put = put_if_known(self.store, &item.key, &body, &item.object, &condition).await?;
        if put == Put::Refused {
            // Its name says what it holds, so whoever was first wrote the same.
            step.action = Action::Keep;
            step.reason = "another publish wrote it meanwhile".into();
        }
        self.progress.moved(&item.key, item.object.length);
        Ok(put)
    }

    /// Nothing refers to an asset before the store has told that it holds all of them: with each answer, or by a listing.
    async fn verify(&self, items: &[Item]) -> Result<()> {
        let mut expected: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        expected.sort_unstable();
        let listing = lengths(self.store.entries_near(&expected).await?);
        match items.iter().find(|item| listing.get(&item.key) != Some(&item.object.length)) {
            None => Ok(()),
            Some(item) => Err(Error::Publish {
                message: format!("`{}` is not in the store as it was written", self.store.place(&item.key)),
                help: "publish again; if that doesn't help, see whether something else writes there".to_owned(),
            }),
        }
    }
}

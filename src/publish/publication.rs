//! A publish that is under way: a plan is carried out, stage by stage.

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::CONCURRENCY;
use super::contents::{Item, Stage};
use super::guard::Guard;
use super::plan::{Action, Step};
use super::pointer::{Pointer, point};
use super::purge::Purge;
use super::store::{Condition, Put, Room, Store, put_if_known};
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
            match items {
                [pointer] if pointer.stage == Stage::Pointer => {
                    let pointed = point(self.store, pointer, self.release, self.live.as_ref()).await;
                    match all.iter().any(|item| matches!(item.stage, Stage::Root | Stage::RootPage)) {
                        true => settle(self.store, pointed, self.progress).await?,
                        false => pointed?,
                    }
                    self.progress.moved(&pointer.key, pointer.object.length);
                }
                items => self.write_all(items, steps).await?,
            }
            match items.first().map(|item| item.stage) {
                Some(Stage::Asset) => self.verify(items).await?,
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

    /// The first failure ends it; what is under way then is given up.
    async fn write_all(&self, items: &[Item], steps: &mut [Step]) -> Result<()> {
        let mut left = items.iter().zip(steps).filter(|(_, step)| step.action != Action::Keep);
        let mut under_way = FuturesUnordered::new();
        loop {
            // Each is many kilobytes, so they are made as they are wanted.
            while under_way.len() < CONCURRENCY
                && let Some((item, step)) = left.next()
            {
                under_way.push(self.write_step(item, step));
            }
            match under_way.next().await {
                Some(written) => written?,
                None => return Ok(()),
            }
        }
    }

    async fn write_step(&self, item: &Item, step: &mut Step) -> Result<()> {
        if self.write(item, step.action).await? == Put::Refused {
            // Its name says what it holds, so whoever was first wrote the same.
            step.action = Action::Keep;
            step.reason = "another publish wrote it meanwhile".into();
        }
        self.progress.moved(&item.key, item.object.length);
        Ok(())
    }

    async fn write(&self, item: &Item, action: Action) -> Result<Put> {
        let (body, length, digest) = (item.body.clone(), item.object.length, item.object.digest);
        // Until it is written.
        let _room = self.room.checked(length).await;
        let body = body.checked(length, digest).await?;
        let fresh = item.stage == Stage::Asset && action == Action::Upload;
        let condition = if fresh { Condition::IfAbsent } else { Condition::Always };
        put_if_known(self.store, &item.key, &body, &item.object, &condition).await
    }

    /// Nothing refers to an asset before the store has told that it holds all of them.
    async fn verify(&self, items: &[Item]) -> Result<()> {
        let listing = self.store.list().await?;
        match items.iter().find(|item| listing.get(&item.key) != Some(&item.object.length)) {
            None => Ok(()),
            Some(item) => Err(Error::Publish {
                message: format!("`{}` is not in the store as it was written", self.store.place(&item.key)),
                help: "publish again; if that doesn't help, see whether something else writes there".to_owned(),
            }),
        }
    }
}

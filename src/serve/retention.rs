//! Fingerprinted files of the last releases go on being served, so that a page that was opened before a release still finds the
//! chunks that it asks for later.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::content::Content;
use super::kept::Kept;
use super::resource::{Bodies, Resource};
use super::storage::{Policy, Storage, open_files};
use super::table::{Table, TableBuilder};
use crate::release::ReleaseId;

/// Takes what is kept from one load's tables to the next's.
pub(super) struct Retention<'a> {
    releases: u8,
    storage: &'a Storage,
    /// Where the files are when their build's folder is gone.
    kept: Option<PathBuf>,
    /// Files that may still be held open.
    open: usize,
    /// Bodies that were asked for already, by where they were; none if they can't be kept.
    moved: HashMap<*const Bodies, Option<Arc<Bodies>>>,
}

impl<'a> Retention<'a> {
    pub(super) fn new(policy: &Policy, storage: &'a Storage) -> Self {
        let kept = Kept::of(policy).map(|kept| kept.files());
        Retention { releases: policy.keep_releases, storage, kept, open: open_files(), moved: HashMap::new() }
    }

    /// Adds to `table`, which is of `release`, what was served `before` and is not there any more. The headers stay what they were.
    ///
    /// What memory has no room for goes to a file without a name. Files that were held open are held on. Those that are more than may
    /// be open are gone with their folder, unless they are kept elsewhere.
    pub(super) fn keep(&mut self, table: &mut TableBuilder, before: &Table, release: &ReleaseId) {
        let step = u8::from(before.release() != release);
        let mut old: Vec<(u8, &str, &Resource)> = before
            .resources()
            .filter_map(|(path, resource)| Some((resource.age()?.saturating_add(step), path, resource)))
            .filter(|(age, path, _)| *age <= self.releases && !table.has(path))
            .collect();
        // The newest have the first choice.
        old.sort_by_key(|(age, path, _)| (*age, *path));
        for (age, path, resource) in old {
            if let Some(bodies) = self.bodies(resource.bodies()) {
                table.resource(path, resource.clone().with_bodies(bodies).aged(age));
            }
        }
    }

    fn bodies(&mut self, bodies: &Arc<Bodies>) -> Option<Arc<Bodies>> {
        let known = Arc::as_ptr(bodies);
        if let Some(moved) = self.moved.get(&known) {
            return moved.clone();
        }
        let moved = bodies.map(|content| self.content(content)).map(Arc::new);
        self.moved.insert(known, moved.clone());
        moved
    }

    fn content(&mut self, content: &Content) -> Option<Content> {
        match content {
            Content::Memory(bytes) => Some(self.storage.keep(bytes.clone())),
            Content::File(segment) if segment.stored().verified().is_none() => Some(content.clone()),
            Content::File(_) => {
                self.open = self.open.checked_sub(1)?;
                Some(content.clone())
            }
            Content::Closed(closed) => closed.kept_in(self.kept.as_deref()?).map(Content::Closed),
        }
    }
}

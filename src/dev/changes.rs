//! The changes of a site, one after the other, each when it is over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::debounce::{Debouncer, FileEvent};
use super::folders::{About, Folders};
use crate::progress::Progress;

pub struct Changes {
    pub heard: UnboundedReceiver<FileEvent>,
    pub debouncer: Debouncer,
}

impl Changes {
    /// The paths that have changed. What happens meanwhile is not lost if nobody waits for it any more.
    pub async fn next(&mut self, folders: &Folders) -> BTreeSet<PathBuf> {
        loop {
            let due = self.debouncer.due(Path::exists).map(tokio::time::Instant::from_std);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(event) = self.heard.recv() => {
                    let matters = match &event {
                        FileEvent::Writing(path) | FileEvent::Done(path) => folders.about(path) != About::Nothing,
                        FileEvent::Missed => true,
                    };
                    if matters {
                        self.debouncer.note(event, Instant::now());
                    }
                }
                () = wait => return self.debouncer.take(),
            }
        }
    }
}

/// Keeps what a build warns of.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Warnings {
    fn stage(&self, _: &'static str, _: usize) {}
    fn step(&self) {}
    fn note(&self, _: String) {}
    fn warn(&self, message: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }
}

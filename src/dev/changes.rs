//! The changes of a site, one after the other, each when it is over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::folders::{About, Folders};
use super::quiet::{Happening, Quiet};
use crate::progress::Progress;

pub struct Changes {
    pub heard: UnboundedReceiver<Happening>,
    pub quiet: Quiet,
}

impl Changes {
    /// The paths that have changed. What happens meanwhile is not lost if nobody waits for it any more.
    pub async fn next(&mut self, folders: &Folders) -> BTreeSet<PathBuf> {
        loop {
            let due = self.quiet.due(Path::exists).map(tokio::time::Instant::from_std);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(happening) = self.heard.recv() => {
                    let matters = match &happening {
                        Happening::Writing(path) | Happening::Done(path) => folders.about(path) != About::Nothing,
                        Happening::Missed => true,
                    };
                    if matters {
                        self.quiet.note(happening, Instant::now());
                    }
                }
                () = wait => return self.quiet.take(),
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

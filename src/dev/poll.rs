//! Looks at files again and again, where the file system gives no notice of changes.
//!
//! notify's own poller takes a file's time in whole seconds, and so misses the second of two edits.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use walkdir::WalkDir;

use super::debounce::FileEvent;
use super::watch::Depth;
use crate::error::{Error, Result};
use crate::fs::Stamp;

/// Looks for as long as it is there.
pub struct Poller {
    looked: Arc<Mutex<Looked>>,
}

/// What is looked at, and what was seen.
#[derive(Default)]
struct Looked {
    wanted: BTreeMap<PathBuf, Depth>,
    seen: HashMap<PathBuf, Stamp>,
}

impl Poller {
    pub fn start(interval: Duration, sender: UnboundedSender<FileEvent>) -> Result<Self> {
        let looked = Arc::new(Mutex::new(Looked::default()));
        let seen = Arc::downgrade(&looked);
        let look = move || {
            loop {
                thread::sleep(interval);
                let Some(looked) = seen.upgrade() else { return };
                for path in lock(&looked).look() {
                    let _ = sender.send(FileEvent::Done(path));
                }
            }
        };
        let thread = thread::Builder::new().name("poll".to_owned());
        thread.spawn(look).map_err(Error::io("start a thread in", "."))?;
        Ok(Poller { looked })
    }

    /// Looks at these folders from now on, and at no others.
    pub fn follow(&self, wanted: BTreeMap<PathBuf, Depth>) {
        let mut looked = lock(&self.looked);
        if looked.wanted != wanted {
            // What is new to it has not changed by that.
            let mut now = scan(&wanted);
            now.extend(looked.seen.drain().filter(|(path, _)| is_within(&wanted, path)));
            *looked = Looked { wanted, seen: now };
        }
    }
}

impl Looked {
    /// What is other than at the last look.
    fn look(&mut self) -> Vec<PathBuf> {
        let now = scan(&self.wanted);
        let changed = now.iter().filter(|(path, stamp)| self.seen.get(*path) != Some(*stamp));
        let gone = self.seen.keys().filter(|path| !now.contains_key(*path));
        let mut told: Vec<PathBuf> = changed.map(|(path, _)| path).chain(gone).cloned().collect();
        told.sort();
        self.seen = now;
        told
    }
}

fn is_within(wanted: &BTreeMap<PathBuf, Depth>, path: &Path) -> bool {
    wanted.iter().any(|(folder, depth)| match depth {
        Depth::Folder => path.parent() == Some(folder.as_path()),
        Depth::Tree => path.starts_with(folder),
    })
}

fn scan(wanted: &BTreeMap<PathBuf, Depth>) -> HashMap<PathBuf, Stamp> {
    let mut found = HashMap::new();
    for (folder, depth) in wanted {
        let deepest = if *depth == Depth::Folder { 1 } else { usize::MAX };
        // What can't be read is not there.
        let entries = WalkDir::new(folder).min_depth(1).max_depth(deepest).follow_links(true).into_iter().flatten();
        for entry in entries {
            // A folder's time only says that something in it came or went, which is seen anyway.
            if let Some(stamp) = entry.metadata().ok().and_then(|data| Stamp::from_metadata(&data)) {
                found.insert(entry.into_path(), stamp);
            }
        }
    }
    found
}

fn lock(looked: &Mutex<Looked>) -> MutexGuard<'_, Looked> {
    looked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edit_is_seen_and_what_is_new_to_it_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let write = |path: &Path, text: &str| crate::fs::write(path, text.as_bytes()).unwrap();
        write(&one.join("a"), "1");
        write(&two.join("b/c"), "1");
        let poller = Poller { looked: Arc::default() };
        poller.follow([(one.clone(), Depth::Tree)].into());
        let look = || lock(&poller.looked).look();
        assert!(look().is_empty());
        write(&one.join("a"), "22");
        poller.follow([(one.clone(), Depth::Tree), (two.clone(), Depth::Tree)].into());
        assert_eq!(look(), [one.join("a")], "what happened before it was told more is not lost");
        write(&one.join("d"), "1");
        std::fs::remove_file(two.join("b/c")).unwrap();
        assert_eq!(look(), [one.join("d"), two.join("b/c")]);
        poller.follow([(two.clone(), Depth::Folder)].into());
        write(&two.join("b/c"), "1");
        assert!(look().is_empty(), "that lies deeper");
    }
}

//! Hears of changes in the file system: by its own notice where it gives one, otherwise by looking again and again.
//!
//! The only file that names notify.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::UnboundedSender;

use super::debounce::FileEvent;
use super::poll::Poller;
use crate::error::{Error, Result};

/// How often a file system is looked at that gives no notice.
const POLL: Duration = Duration::from_millis(100);

/// How changes are heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the system's notice, for as many folders as it gives any.
    Notice,
    /// By looking, that often: network file systems, and some that containers see, give no notice.
    Poll(Duration),
}

/// What is watched of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What lies in it.
    Folder,
    /// And in all folders below it.
    Tree,
}

pub struct Watcher {
    way: Way,
    watched: BTreeMap<PathBuf, Depth>,
    sender: UnboundedSender<FileEvent>,
}

enum Way {
    Notice(RecommendedWatcher),
    Poll(Poller),
}

impl Watcher {
    pub fn new(method: Method, sender: UnboundedSender<FileEvent>) -> Result<Self> {
        let way = match method {
            Method::Notice => {
                let sender = sender.clone();
                let hear = move |event| hear(event, &sender);
                Way::Notice(RecommendedWatcher::new(hear, Config::default()).map_err(|error| failed(&error))?)
            }
            Method::Poll(interval) => Way::Poll(Poller::start(interval, sender.clone())?),
        };
        Ok(Watcher { way, watched: BTreeMap::new(), sender })
    }

    /// Watches these folders, and no others. Where the system refuses to give notice of so many, they are looked at instead; the
    /// answer says so, and what to do.
    pub fn follow(&mut self, wanted: BTreeMap<PathBuf, Depth>) -> Result<Option<String>> {
        let wanted = without_covered(wanted);
        let error = match &self.way {
            Way::Poll(poller) => {
                poller.follow(wanted);
                return Ok(None);
            }
            Way::Notice(_) => match self.watch(&wanted) {
                Ok(()) => return Ok(None),
                Err(error) => error,
            },
        };
        if !is_limit(&error) {
            return Err(failed(&error));
        }
        let poller = Poller::start(POLL, self.sender.clone())?;
        poller.follow(wanted);
        self.way = Way::Poll(poller);
        Ok(Some(format!(
            "the system watches no more folders for this user ({error}), so they are looked at every {} ms, which takes more of the \
             processor; raise the limit with `sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024`",
            POLL.as_millis()
        )))
    }

    fn watch(&mut self, wanted: &BTreeMap<PathBuf, Depth>) -> notify::Result<()> {
        let Way::Notice(notice) = &mut self.way else { return Ok(()) };
        let is_old = |(path, depth): &(&PathBuf, &Depth)| wanted.get(*path) != Some(*depth);
        let old: Vec<PathBuf> = self.watched.iter().filter(is_old).map(|(path, _)| path.clone()).collect();
        for path in old {
            // It may be gone, and its watch with it.
            let _ = notice.unwatch(&path);
            self.watched.remove(&path);
        }
        for (path, depth) in wanted {
            if self.watched.contains_key(path) {
                continue;
            }
            let mode = match depth {
                Depth::Folder => RecursiveMode::NonRecursive,
                Depth::Tree => RecursiveMode::Recursive,
            };
            match notice.watch(path, mode) {
                Ok(()) => drop(self.watched.insert(path.clone(), *depth)),
                // Whoever makes it again is noticed by the folder above.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Watches anew what may have been made again since it was watched: the watch of a folder goes with it. Of packages that are
    /// installed again only the list of them may be heard of.
    pub fn renew(&mut self, told: &BTreeSet<PathBuf>) {
        let is_list = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("node_modules"));
        let folders = told.iter().filter(|path| path.is_dir());
        let packages = told.iter().filter(|path| is_list(path)).filter_map(|path| path.parent());
        let again: BTreeSet<&Path> = folders.map(PathBuf::as_path).chain(packages).collect();
        let wanted = self.watched.clone();
        self.watched.retain(|path, _| !again.iter().any(|again| path.starts_with(again)));
        // Where that fails, it is told when the folders are followed after the build.
        let _ = self.watch(&wanted);
    }
}

/// Leaves out what lies in a tree that is watched anyway.
fn without_covered(wanted: BTreeMap<PathBuf, Depth>) -> BTreeMap<PathBuf, Depth> {
    let trees: Vec<PathBuf> =
        wanted.iter().filter(|(_, depth)| **depth == Depth::Tree).map(|(path, _)| path.clone()).collect();
    let is_covered = |path: &PathBuf| trees.iter().any(|tree| tree != path && path.starts_with(tree));
    wanted.into_iter().filter(|(path, _)| !is_covered(path)).collect()
}

/// Passes on what matters.
fn hear(event: notify::Result<notify::Event>, sender: &UnboundedSender<FileEvent>) {
    let Ok(event) = event else {
        let _ = sender.send(FileEvent::Missed);
        return;
    };
    if event.need_rescan() {
        let _ = sender.send(FileEvent::Missed);
    }
    let is_written = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => return,
        EventKind::Modify(ModifyKind::Metadata(_)) => return,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => false,
        // Both names were told one by one before.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
        _ => true,
    };
    for path in event.paths {
        let _ = sender.send(if is_written { FileEvent::Done(path) } else { FileEvent::Writing(path) });
    }
}

/// What inotify(7) says when a user watches too much, or has too many instances.
fn is_limit(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => matches!(
            error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
            Some(rustix::io::Errno::NOSPC | rustix::io::Errno::MFILE)
        ),
        _ => false,
    }
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn failed(error: &notify::Error) -> Error {
    Error::Usage {
        message: format!("could not watch the site's files: {error}"),
        help: "pass `--poll`, which looks at them again and again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_tree_is_watched_with_it() {
        let wanted = [("/a", Depth::Tree), ("/a/b", Depth::Folder), ("/c", Depth::Folder), ("/ab", Depth::Tree)];
        let wanted = wanted.map(|(path, depth)| (PathBuf::from(path), depth)).into();
        let left: Vec<PathBuf> = without_covered(wanted).into_keys().collect();
        assert_eq!(left, ["/a", "/ab", "/c"].map(PathBuf::from));
    }
}

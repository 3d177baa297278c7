//! When a change is over: what is written in several steps is built once, and not while it is half there.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Something that happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEvent {
    /// It is being written; the end of it will be told.
    Writing(PathBuf),
    /// It is there, is gone, or has another name, and that is all.
    Done(PathBuf),
    /// Some things happened, and nobody knows which.
    Missed,
}

/// After a change that is over, others of the same go often by within this time.
const SHORT: Duration = Duration::from_millis(2);
/// When a file was removed: editors put another in its place.
const GONE: Duration = Duration::from_millis(40);
/// When many files change, more will.
const MANY: Duration = Duration::from_millis(30);
/// When a file is being written whose end was not told.
const OPEN: Duration = Duration::from_millis(150);
/// However much goes on, something is built in this time.
const MOST: Duration = Duration::from_secs(2);

/// So many paths at once are no edit of a person's.
const FEW: usize = 8;

/// What has happened since the last build.
#[derive(Debug, Default)]
pub struct Debouncer {
    paths: BTreeSet<PathBuf>,
    writing: HashSet<PathBuf>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Debouncer {
    pub fn note(&mut self, event: FileEvent, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
        match event {
            FileEvent::Writing(path) => {
                self.writing.insert(path.clone());
                self.paths.insert(path);
            }
            FileEvent::Done(path) => {
                self.writing.remove(&path);
                self.paths.insert(path);
            }
            FileEvent::Missed => {}
        }
    }

    /// When to build, if nothing else happens; none if there is nothing to build for. `is_there` tells whether there is a file.
    pub fn due(&self, is_there: impl Fn(&Path) -> bool) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        let pause = match self.paths.len() {
            _ if !self.writing.is_empty() => OPEN,
            FEW.. => MANY,
            _ if !self.paths.iter().all(|path| is_there(path)) => GONE,
            _ => SHORT,
        };
        Some((last + pause).min(first + MOST))
    }

    /// What is to be built for now.
    pub fn take(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(self).paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FileEvent::{Done, Writing};

    fn path(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    fn due_after(events: &[(u64, FileEvent)], missing: &[&str]) -> Duration {
        let start = Instant::now();
        let mut debouncer = Debouncer::default();
        let mut last = start;
        for (at, event) in events {
            last = start + Duration::from_millis(*at);
            debouncer.note(event.clone(), last);
        }
        let there = |path: &Path| !missing.iter().any(|name| Path::new(name) == path);
        debouncer.due(there).unwrap() - last
    }

    #[test]
    fn an_edit_is_built_at_once() {
        assert_eq!(Debouncer::default().due(|_| true), None);
        assert_eq!(due_after(&[(0, Writing(path("a"))), (1, Done(path("a")))], &[]), SHORT);
    }

    #[test]
    fn what_is_half_there_is_waited_for() {
        assert_eq!(due_after(&[(0, Writing(path("a")))], &[]), OPEN);
        assert_eq!(due_after(&[(0, Done(path("a")))], &["a"]), GONE);
        let many: Vec<_> = (0..20).map(|index| (index, Done(path(&index.to_string())))).collect();
        assert_eq!(due_after(&many, &[]), MANY);
    }

    #[test]
    fn what_never_ends_is_built_all_the_same() {
        let always: Vec<_> = (0..300).map(|index| (index * 10, Writing(path("a")))).collect();
        assert!(due_after(&always, &[]) < OPEN);
        let mut debouncer = Debouncer::default();
        debouncer.note(Done(path("a")), Instant::now());
        debouncer.note(FileEvent::Missed, Instant::now());
        assert_eq!(debouncer.take(), BTreeSet::from([path("a")]));
        assert_eq!(debouncer.due(|_| true), None);
    }
}

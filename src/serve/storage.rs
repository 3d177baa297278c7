//! Where bodies are held: what is small and text in memory, as far as the budget goes, and all else in its file.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::process::{Resource as Limit, getrlimit};

use super::content::{Closed, Content, Segment};
use super::resource::Part;
use super::stored::{Identity, Stored, Verified, changed, place};
use crate::encoding::Encoding;
use crate::fingerprint::Digest;
use crate::page::Folders;

/// How much is held where.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Bytes of bodies in memory, all releases that are served together.
    pub memory: u64,
    /// Bytes of the largest body that is held in memory.
    pub largest_in_memory: u64,
    /// How many releases before the current one keep their fingerprinted files.
    pub keep_releases: u8,
    /// A folder where these files are for the next start; one server's own. Without it, they last as long as the process.
    pub keep_in: Option<PathBuf>,
    /// The codings that are made where a build has made none.
    pub encodings: Vec<Encoding>,
    /// How much may be verified before the first answer, in bytes of bodies, each of which counts for 16 KiB at least. Of a
    /// larger build, a file is verified when it is asked for, and all of them behind.
    pub verified_first: u64,
    /// Whether what the pages of an application behind the server are bound by is held too.
    pub binds_answers: bool,
    /// Where that application has static files of its own.
    pub statics: Folders,
}

/// Bytes of the largest file that is copied to memory as well. Of one that is larger, who wants a part mostly wants a large one.
const LARGEST_COPIED: u64 = 1 << 20;

/// The part of the memory that copies may take; pages that are made and codings that are yet to be made want some, too.
const COPIES: u64 = 8;

/// As many bytes are verified in the time that it takes to open a file.
pub(super) const LEAST: u64 = 16 << 10;

impl Policy {
    /// From about this size on it costs less to have the system send a file than to hand it what is in memory.
    pub const LARGEST: u64 = 64 << 10;

    /// As before, where the system can't do that.
    pub const LARGEST_OVER_TLS: u64 = 128 << 10;
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            memory: 256 << 20,
            largest_in_memory: Policy::LARGEST,
            keep_releases: 5,
            keep_in: None,
            encodings: Encoding::ALL.to_vec(),
            // Half a second on one core.
            verified_first: 512 << 20,
            binds_answers: false,
            statics: Folders::new(),
        }
    }
}

/// Files that may be held open for the current release, and as many again for those before: half of what the process may open in
/// all, as connections need some, too.
pub(super) fn open_files() -> usize {
    let most = getrlimit(Limit::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(most / 4).unwrap_or(usize::MAX)
}

/// Where a body is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    /// In its file, which stays open.
    Open,
    /// As before, and in memory as well.
    Copied,
    /// In its file, which is opened for each answer.
    Closed,
}

/// A body that is to be held, as far as its place depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) length: u64,
    /// Whether it is text, or something like it: what a page waits for.
    pub(super) is_text: bool,
}

/// The place of each body. Text goes before what is not, and the small before the large: that is how most requests find their answer
/// in memory. Those that memory has no room for stay open in the same order, and what is left of memory has copies of the first of them.
/// The same bodies always get the same places.
pub(super) fn places(bodies: &[Candidate], memory: u64, largest: u64, open: usize) -> Vec<Place> {
    let mut order: Vec<usize> = (0..bodies.len()).collect();
    order.sort_by_key(|index| bodies.get(*index).map(|body| (!body.is_text, body.length)));
    let mut places = vec![Place::Closed; bodies.len()];
    let (mut left, mut open) = (memory, open);
    for index in &order {
        let (Some(body), Some(place)) = (bodies.get(*index), places.get_mut(*index)) else { continue };
        *place = match left.checked_sub(body.length) {
            Some(rest) if body.length <= largest => {
                left = rest;
                Place::Memory
            }
            _ if open > 0 => {
                open -= 1;
                Place::Open
            }
            _ => Place::Closed,
        };
    }
    let mut left = left.min(memory / COPIES);
    for index in &order {
        let (Some(body), Some(place @ Place::Open)) = (bodies.get(*index), places.get_mut(*index)) else { continue };
        if let (Some(rest), ..=LARGEST_COPIED) = (left.checked_sub(body.length), body.length) {
            left = rest;
            *place = Place::Copied;
        }
    }
    places
}

/// A file below the output folder, and what it has to hold.
#[derive(Debug, Clone)]
pub(super) struct Source<'a> {
    pub(super) folder: &'a Arc<Path>,
    pub(super) name: &'a Arc<str>,
    pub(super) encoding: Option<Encoding>,
    pub(super) length: u64,
    pub(super) digest: Digest,
}

impl Source<'_> {
    /// Verifies the file, and holds it in that place. What was held `before` of a file of that name is taken again if it can be.
    /// Blocks.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] if the file is not what it has to be.
    pub(super) fn hold(&self, at: Place, before: Option<&Part>) -> io::Result<Part> {
        let before = before.filter(|part| part.seal == self.digest.seal());
        match at {
            Place::Memory => self.read(before),
            Place::Open | Place::Copied => {
                let is_copied = at == Place::Copied;
                if let Some(part) = before
                    && let Content::File(segment) = &part.content
                    && segment.stored().is_copied() == is_copied
                    && segment.stored().is_at(&self.path())
                    && segment.stored().verify()
                {
                    return Ok(part.clone());
                }
                let (verified, file) = self.verify()?;
                let stored = Stored::new(verified, file);
                let stored = if is_copied { stored.copied()? } else { stored };
                Ok(Part::new(&self.digest, Content::File(Arc::new(stored).segment()), 0))
            }
            Place::Closed => {
                if let Some(part) = before
                    && let Content::Closed(closed) = &part.content
                    && closed.is_unchanged()
                {
                    return Ok(part.clone());
                }
                let (verified, _) = self.verify()?;
                Ok(Part::new(&self.digest, Content::Closed(Closed::new(verified)), 0))
            }
        }
    }

    /// Leaves the file where it is, unread.
    pub(super) fn leave(&self) -> Part {
        let verified = Verified::later(self.folder, self.name, self.encoding, self.length, self.digest);
        Part::new(&self.digest, Content::Closed(Closed::new(Arc::new(verified))), 0)
    }

    fn path(&self) -> PathBuf {
        place(self.folder, self.name, self.encoding)
    }

    fn verify(&self) -> io::Result<(Arc<Verified>, File)> {
        Verified::new(self.folder, self.name, self.encoding, self.length, self.digest)
    }

    fn read(&self, before: Option<&Part>) -> io::Result<Part> {
        let mut file = File::open(self.path())?;
        let identity = Identity::of(&file.metadata()?);
        if identity.length() != self.length {
            return Err(changed());
        }
        let source = match identity.settles_in() {
            // Another change would not show.
            Some(_) => 0,
            None => hash(&identity).max(1),
        };
        let before = before.filter(|part| matches!(part.content, Content::Memory(_)));
        if let Some(part) = before.filter(|part| part.source == source && source != 0) {
            return Ok(part.clone());
        }
        let mut bytes = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        file.read_exact(&mut bytes)?;
        if Digest::of(&bytes) != self.digest {
            return Err(changed());
        }
        // One copy is enough while both releases are there.
        let content = before.map_or_else(|| Content::Memory(bytes.into()), |part| part.content.clone());
        Ok(Part::new(&self.digest, content, source))
    }
}

fn hash(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}

/// Counts what is in memory, and holds what has no file of its own: bound pages, and bodies of releases whose folder is gone.
#[derive(Debug, Default)]
pub(super) struct Storage {
    memory: u64,
    held: AtomicU64,
    spill: Mutex<Option<Spill>>,
}

/// A file without a name, for what memory has no room for.
#[derive(Debug)]
struct Spill {
    stored: Arc<Stored>,
    length: u64,
}

impl Storage {
    pub(super) fn new(memory: u64) -> Self {
        Storage { memory, held: AtomicU64::new(0), spill: Mutex::new(None) }
    }

    /// Bytes of bodies in memory.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that there is room for.
    pub(super) fn room(&self) -> u64 {
        self.memory.saturating_sub(self.held())
    }

    /// Counts what is in memory already.
    pub(super) fn count(&self, content: &Content) {
        self.held.fetch_add(content.held(), Ordering::Relaxed);
    }

    /// Whether so many bytes more are within the budget; if so, they are counted.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let more = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.memory);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Holds bytes, in memory if there is room. Where no file can be written either, they stay in memory.
    pub(super) fn keep(&self, bytes: Bytes) -> Content {
        if self.take(bytes.len() as u64) {
            return Content::Memory(bytes);
        }
        match self.write(&bytes) {
            Ok(segment) => Content::File(segment),
            Err(error) => {
                tracing::warn!(%error, "more is held in memory than it should be: no temporary file can be written");
                let content = Content::Memory(bytes);
                self.count(&content);
                content
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Segment> {
        let mut spill = self.spill.lock().unwrap_or_else(PoisonError::into_inner);
        let spill = match &mut *spill {
            Some(spill) => spill,
            none => none.insert(Spill { stored: Arc::new(Stored::nameless(tempfile::tempfile()?)), length: 0 }),
        };
        spill.stored.file().write_all_at(bytes, spill.length)?;
        let start = spill.length;
        spill.length += bytes.len() as u64;
        Ok(Segment::new(Arc::clone(&spill.stored), start..spill.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate((length, is_text): (u64, bool)) -> Candidate {
        Candidate { length, is_text }
    }

    #[test]
    fn small_text_is_in_memory_and_the_rest_in_files_as_many_open_as_may_be() {
        let bodies = [(50, false), (40, true), (101, true), (10, true), (60, true), (1, false)].map(candidate);
        let got = places(&bodies, 60, 100, 2);
        use Place::{Closed, Copied, Memory, Open};
        assert_eq!(got, [Closed, Memory, Open, Memory, Open, Memory]);
        assert_eq!(places(&[candidate((0, false))], 0, 100, 0), [Memory], "nothing needs no room");
        let (large, larger) = ((2 << 20, true), (1000, true));
        let bodies = [large, larger, (200, false), larger, (10, false)].map(candidate);
        assert_eq!(places(&bodies, 16_000, 100, 9), [Open, Copied, Open, Copied, Memory], "an eighth is for copies");
        assert_eq!(places(&bodies, 16_000, 100, 2), [Closed, Copied, Closed, Copied, Memory]);
    }

    proptest! {
        #[test]
        fn no_budget_is_overdrawn(
            bodies in prop::collection::vec((0..200u64, any::<bool>()), 0..40),
            memory in 0..2000u64,
            open in 0..10usize,
        ) {
            let bodies: Vec<Candidate> = bodies.into_iter().map(candidate).collect();
            let places = places(&bodies, memory, 100, open);
            let held: u64 = bodies.iter().zip(&places).filter(|(_, p)| **p == Place::Memory).map(|(b, _)| b.length).sum();
            let copied: u64 = bodies.iter().zip(&places).filter(|(_, p)| **p == Place::Copied).map(|(b, _)| b.length).sum();
            prop_assert!(held + copied <= memory && copied <= memory / COPIES);
            let is_open = |place: &&Place| matches!(place, Place::Open | Place::Copied);
            prop_assert!(places.iter().filter(is_open).count() <= open);
            let large = bodies.iter().zip(&places).filter(|(body, _)| body.length > 100);
            prop_assert!(large.into_iter().all(|(_, place)| *place != Place::Memory));
        }
    }

    #[test]
    fn what_memory_has_no_room_for_is_in_a_file_and_reads_the_same() {
        let storage = Storage::new(10);
        let texts = ["0123456", "abcd", "xyz", "more"];
        let kept: Vec<Content> = texts.iter().map(|text| storage.keep(Bytes::from_static(text.as_bytes()))).collect();
        let in_memory: Vec<bool> = kept.iter().map(|content| matches!(content, Content::Memory(_))).collect();
        assert_eq!(in_memory, [true, false, true, false]);
        assert_eq!(storage.held(), 10);
        for (content, text) in kept.iter().zip(texts) {
            assert_eq!(content.read().unwrap(), text);
        }
    }
}

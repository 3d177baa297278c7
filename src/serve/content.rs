//! The bytes of a representation: in memory, or in a file that was verified when the release was loaded.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::ReadWriteFlags;

use super::stored::{Identity, Standing, Stored, Verified};

/// Bytes that are sent, or a part of them.
#[derive(Debug, Clone)]
pub enum Content {
    Memory(Bytes),
    /// In a file that is held open.
    File(Segment),
    /// In a file that is not held open, as too many are. [`Handler`](super::Handler) opens it before the answer leaves, so no
    /// transport ever sees it.
    Closed(Closed),
}

/// A part of a file.
#[derive(Debug, Clone)]
pub struct Segment {
    stored: Arc<Stored>,
    range: Range<u64>,
}

/// A part of a file that is yet to be opened.
#[derive(Debug, Clone)]
pub struct Closed {
    verified: Arc<Verified>,
    range: Range<u64>,
}

impl Content {
    pub fn length(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(segment) => segment.length(),
            Content::Closed(closed) => closed.range.end - closed.range.start,
        }
    }

    /// A part of it; what lies past its end is left out.
    pub fn slice(&self, range: Range<u64>) -> Content {
        match self {
            Content::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let start = place(range.start);
                Content::Memory(bytes.slice(start..place(range.end).max(start)))
            }
            Content::File(segment) => Content::File(segment.slice(range)),
            Content::Closed(closed) => {
                let range = within(&closed.range, &range);
                Content::Closed(Closed { verified: Arc::clone(&closed.verified), range })
            }
        }
    }

    /// All of it, wherever it lies; blocks meanwhile.
    pub(super) fn read(&self) -> io::Result<Bytes> {
        match self {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::File(segment) => segment.read(),
            Content::Closed(closed) => closed.open()?.read(),
        }
    }

    /// Bytes that it takes in memory.
    pub(super) fn held(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(segment) => segment.stored.held(),
            Content::Closed(_) => 0,
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content::Memory(bytes)
    }
}

/// The part of `whole` that `part` is, counted from its beginning.
fn within(whole: &Range<u64>, part: &Range<u64>) -> Range<u64> {
    let place = |at: u64| whole.start.saturating_add(at).min(whole.end);
    let start = place(part.start);
    start..place(part.end).max(start)
}

impl Segment {
    pub(super) fn new(stored: Arc<Stored>, range: Range<u64>) -> Self {
        Segment { stored, range }
    }

    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn slice(&self, range: Range<u64>) -> Segment {
        Segment { stored: Arc::clone(&self.stored), range: within(&self.range, &range) }
    }

    /// Where it lies in its file.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    pub fn stored(&self) -> &Arc<Stored> {
        &self.stored
    }

    /// Reads it, if that can be done without waiting for a disk.
    ///
    /// Fails as [`Segment::read`] does.
    pub(super) fn read_now(&self) -> Option<io::Result<Bytes>> {
        if let Some(bytes) = self.stored.copy(self.range()) {
            return Some(Ok(bytes));
        }
        let mut bytes = vec![0; usize::try_from(self.length()).ok()?];
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = bytes.get_mut(filled..) {
            let at = self.range.start + filled as u64;
            match rustix::io::preadv2(self.stored.file(), &mut [IoSliceMut::new(rest)], at, ReadWriteFlags::NOWAIT) {
                // Its end, or what only a wait can tell, or a file system that can't do it: `read` will see.
                Ok(0) | Err(_) => return None,
                Ok(count) => filled += count,
            }
        }
        // Asked after reading, so what is given is right whatever happens to the file meanwhile.
        self.stored.is_unchanged().then(|| Ok(bytes.into()))
    }

    /// Reads it; may block meanwhile, for as long as it takes to read the whole file if there is a doubt about it.
    ///
    /// Fails with [`io::ErrorKind::UnexpectedEof`] if the file has become shorter, and with [`io::ErrorKind::InvalidData`] if it
    /// is not what was verified.
    pub fn read(&self) -> io::Result<Bytes> {
        self.stored.copy(self.range()).map_or_else(|| self.stored.read(self.range()), Ok)
    }
}

impl Closed {
    pub(super) fn new(verified: Arc<Verified>) -> Self {
        let range = 0..verified.length();
        Closed { verified, range }
    }

    /// Whether its file is certainly what it was.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = std::fs::metadata(self.verified.path()).map(|data| Identity::of(&data));
        now.is_ok_and(|now| self.verified.standing(&now) == Standing::Same)
    }

    /// The same file where it is kept when the build's folder is gone, if it is.
    pub(super) fn kept_in(&self, folder: &Path) -> Option<Self> {
        let verified = Arc::new(self.verified.elsewhere(folder));
        let is_there = std::fs::metadata(verified.path()).is_ok_and(|data| data.len() == verified.length());
        is_there.then(|| Closed { verified, range: self.range.clone() })
    }

    /// The part of a file that is open by now, if it is this one.
    pub(super) fn at(&self, stored: &Arc<Stored>) -> Option<Segment> {
        let is_it = stored.verified().is_some_and(|verified| Arc::ptr_eq(verified, &self.verified));
        is_it.then(|| Segment { stored: Arc::clone(stored), range: self.range.clone() })
    }

    /// Opens the file by the path that was recorded when the release was loaded; blocks meanwhile. Whether it is still what was
    /// verified is for [`Stored::standing`] to say.
    pub(super) fn open(&self) -> io::Result<Segment> {
        let stored = Arc::new(Stored::open(Arc::clone(&self.verified))?);
        Ok(Segment { stored, range: self.range.clone() })
    }
}

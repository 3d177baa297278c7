//! The bytes of a representation: in memory, or in a file that was verified when the release was loaded.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::ReadWriteFlags;

/// Bytes that are sent, or a part of them.
#[derive(Debug, Clone)]
pub enum Content {
    Memory(Bytes),
    File(Segment),
}

/// A part of a file.
#[derive(Debug, Clone)]
pub struct Segment {
    stored: Arc<Stored>,
    range: Range<u64>,
}

/// A file whose bytes are known.
#[derive(Debug)]
pub struct Stored {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Content {
    pub fn length(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(segment) => segment.length(),
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
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content::Memory(bytes)
    }
}

impl Segment {
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn slice(&self, range: Range<u64>) -> Segment {
        let place = |at: u64| self.range.start.saturating_add(at).min(self.range.end);
        let start = place(range.start);
        Segment { stored: Arc::clone(&self.stored), range: start..place(range.end).max(start) }
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

    /// Reads it; blocks meanwhile.
    ///
    /// Fails with [`io::ErrorKind::UnexpectedEof`] if the file has become shorter, and with [`io::ErrorKind::InvalidData`] if it has
    /// changed otherwise.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.length()).map_err(io::Error::other)?];
        self.stored.file.read_exact_at(&mut bytes, self.range.start)?;
        match self.stored.is_unchanged() {
            true => Ok(bytes.into()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed")),
        }
    }
}

impl Stored {
    /// Opens a file of that many bytes.
    pub fn open(path: &Path, length: u64) -> io::Result<Self> {
        Ok(Stored { path: path.to_owned(), file: File::open(path)?, length })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file is still what it was.
    pub fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|now| now.len() == self.length)
    }

    /// All of it.
    pub fn segment(self: Arc<Self>) -> Segment {
        let range = 0..self.length;
        Segment { stored: self, range }
    }
}

//! A file whose bytes are verified once, and the question whether it is still what it was.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::content::Segment;
use crate::encoding::Encoding;
use crate::fingerprint::Digest;
use crate::manifest;

/// Kernels stamp files with a clock that moves in ticks, of at most 10 ms. What is changed in the tick of its last change can't be
/// told from what it was, so nothing is verified within that time of a change.
const TICK: Duration = Duration::from_millis(20);

/// What tells a file from another, and from itself before it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    /// As before, of the last change of the inode: also where a program sets the other time back. Links to the file change it too,
    /// and a build makes those for what stays the same.
    changed: i128,
}

impl Identity {
    pub(super) fn of(data: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Identity {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: nanoseconds(data.mtime(), data.mtime_nsec()),
            changed: nanoseconds(data.ctime(), data.ctime_nsec()),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How long to wait until another change would show.
    pub(super) fn settles_in(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let age = i128::try_from(now).ok()? - self.changed;
        // A change in the future is one by another clock, and shows anyway.
        let age = Duration::from_nanos(u64::try_from(age).ok()?);
        TICK.checked_sub(age).filter(|rest| !rest.is_zero())
    }
}

/// Whether a file is still what was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Same,
    /// Something about it has changed that need not be its bytes: [`Stored::verify`] can tell.
    Doubtful,
    /// Its bytes are others, or can't be read.
    Changed,
}

/// What a file has to hold, and what was verified of that.
#[derive(Debug)]
pub struct Verified {
    /// The output folder.
    folder: Arc<Path>,
    /// Below it, without the coding's extension.
    name: Arc<str>,
    encoding: Option<Encoding>,
    length: u64,
    digest: Digest,
    seen: Mutex<Seen>,
}

/// Identities of a file when it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// When its bytes had the digest; none before it was read for the first time.
    sound: Option<Identity>,
    /// When they last had another.
    unsound: Option<Identity>,
}

impl Verified {
    /// Verifies the file at that place; gives what its identity was meanwhile. Blocks.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] if its bytes have another digest, or change while they are read.
    pub(super) fn new(
        folder: &Arc<Path>,
        name: &Arc<str>,
        encoding: Option<Encoding>,
        length: u64,
        digest: Digest,
    ) -> io::Result<(Arc<Self>, File)> {
        let file = File::open(place(folder, name, encoding))?;
        let identity = match identity_with(&file, length, &digest)? {
            (identity, true) => identity,
            (_, false) => return Err(changed()),
        };
        let verified = Verified::later(folder, name, encoding, length, digest);
        verified.seen().sound = Some(identity);
        Ok((Arc::new(verified), file))
    }

    /// Leaves the file at that place to be verified when somebody asks for it: until then, there is a doubt about it.
    pub(super) fn later(
        folder: &Arc<Path>,
        name: &Arc<str>,
        encoding: Option<Encoding>,
        length: u64,
        digest: Digest,
    ) -> Self {
        let (folder, name) = (Arc::clone(folder), Arc::clone(name));
        Verified { folder, name, encoding, length, digest, seen: Mutex::default() }
    }

    /// What the file of that name in another folder has to hold, yet to be verified.
    pub(super) fn elsewhere(&self, folder: &Path) -> Self {
        Verified::later(&folder.into(), &self.name, self.encoding, self.length, self.digest)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn path(&self) -> PathBuf {
        place(&self.folder, &self.name, self.encoding)
    }

    pub(super) fn standing(&self, now: &Identity) -> Standing {
        let Seen { sound, unsound } = *self.seen();
        match Some(*now) {
            now if now == sound => Standing::Same,
            _ if now.length != self.length => Standing::Changed,
            now if now == unsound => Standing::Changed,
            _ => Standing::Doubtful,
        }
    }

    fn verify(&self, file: &File) -> bool {
        let Ok((identity, is_same)) = identity_with(file, self.length, &self.digest) else { return false };
        let mut seen = self.seen();
        match is_same {
            true => seen.sound = Some(identity),
            false => {
                seen.unsound = Some(identity);
                tracing::error!(path = %self.path().display(), "a file is not what was built: it is not served any more");
            }
        }
        is_same
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a file lies, or its sidecar.
pub(super) fn place(folder: &Path, name: &str, encoding: Option<Encoding>) -> PathBuf {
    match encoding {
        Some(encoding) => folder.join(manifest::File::sidecar(name, encoding)),
        None => folder.join(name),
    }
}

/// The identity of a file, and whether its bytes have that digest, both of one moment.
fn identity_with(file: &File, length: u64, digest: &Digest) -> io::Result<(Identity, bool)> {
    let before = Identity::of(&file.metadata()?);
    if before.length != length {
        return Ok((before, false));
    }
    if let Some(rest) = before.settles_in() {
        std::thread::sleep(rest);
    }
    let is_same = Digest::of_reader(FromStart { file, at: 0 })? == *digest;
    let after = Identity::of(&file.metadata()?);
    if before != after {
        return Err(changed());
    }
    Ok((after, is_same))
}

pub(super) fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file is not what was verified")
}

/// Reads a file without its own position, which others share.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file whose bytes are known, open.
#[derive(Debug)]
pub struct Stored {
    /// None of a file that has no name, and so is nobody else's to change.
    verified: Option<Arc<Verified>>,
    file: File,
    /// All of it, for who wants a part.
    copy: Option<Bytes>,
}

impl Stored {
    /// Opens a file again that was verified.
    pub(super) fn open(verified: Arc<Verified>) -> io::Result<Self> {
        let file = File::open(verified.path())?;
        Ok(Stored::new(verified, file))
    }

    pub(super) fn new(verified: Arc<Verified>, file: File) -> Self {
        Stored { verified: Some(verified), file, copy: None }
    }

    /// A file that only this process knows.
    pub(super) fn nameless(file: File) -> Self {
        Stored { verified: None, file, copy: None }
    }

    /// The same file, held in memory as well. Fails as [`Segment::read`] does.
    pub(super) fn copied(self) -> io::Result<Self> {
        Ok(Stored { copy: Some(self.read(0..self.length())?), ..self })
    }

    pub(super) fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// A part of it that is in memory, whatever has happened to the file.
    pub(super) fn copy(&self, range: Range<u64>) -> Option<Bytes> {
        let bytes = self.copy.as_ref()?;
        let place = |at: u64| usize::try_from(at).ok().filter(|at| *at <= bytes.len());
        Some(bytes.slice(place(range.start)?..place(range.end)?))
    }

    /// Bytes that it takes in memory.
    pub(super) fn held(&self) -> u64 {
        self.copy.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn verified(&self) -> Option<&Arc<Verified>> {
        self.verified.as_ref()
    }

    /// Whether its bytes are certainly those that were verified: one call to the system, no reading. `false` may also be a
    /// doubt, see [`Stored::standing`].
    ///
    /// To be asked after the bytes were read: what changes later hurts them no more.
    pub fn is_unchanged(&self) -> bool {
        self.standing() == Standing::Same
    }

    /// As [`Stored::is_unchanged`], and tells a doubt from a change.
    pub fn standing(&self) -> Standing {
        let Some(verified) = &self.verified else { return Standing::Same };
        match self.file.metadata() {
            Ok(data) => verified.standing(&Identity::of(&data)),
            Err(_) => Standing::Changed,
        }
    }

    /// Settles a doubt: reads the file, and remembers what came out. Blocks meanwhile.
    pub fn verify(&self) -> bool {
        match (self.standing(), &self.verified) {
            (Standing::Doubtful, Some(verified)) => verified.verify(&self.file),
            (standing, _) => standing == Standing::Same,
        }
    }

    /// Reads a part of the file, as [`Segment::read`] does. Whether it is what was verified is asked after reading, so what is given is right
    /// whatever happens to the file meanwhile.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, range.start)?;
        match self.standing() {
            Standing::Same => Ok(bytes.into()),
            Standing::Doubtful if self.verify() => Ok(bytes.into()),
            Standing::Doubtful | Standing::Changed => Err(changed()),
        }
    }

    /// Bytes of a file that was verified.
    fn length(&self) -> u64 {
        self.verified.as_ref().map_or(0, |verified| verified.length())
    }

    /// Whether that path leads to it.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let (Ok(there), Ok(own)) = (std::fs::metadata(path), self.file.metadata()) else { return false };
        (there.dev(), there.ino()) == (own.dev(), own.ino())
    }

    /// All of a file that was verified.
    pub(super) fn segment(self: Arc<Self>) -> Segment {
        let range = 0..self.length();
        Segment::new(self, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Content;
    use std::fs;

    const TEXT: &[u8] = b"0123456789";

    struct Case {
        folder: tempfile::TempDir,
        stored: Arc<Stored>,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a.txt"), TEXT).unwrap();
            let (verified, file) =
                Verified::new(&folder.path().into(), &"a.txt".into(), None, 10, Digest::of(TEXT)).unwrap();
            Case { folder, stored: Arc::new(Stored::new(verified, file)) }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("a.txt")
        }

        fn read(&self) -> io::Result<Vec<u8>> {
            Content::File(Arc::clone(&self.stored).segment()).slice(2..5).read().map(|bytes| bytes.to_vec())
        }
    }

    #[test]
    fn an_untouched_file_is_the_same() {
        let case = Case::new();
        assert_eq!(case.stored.standing(), Standing::Same);
        assert_eq!(case.read().unwrap(), b"234");
    }

    #[test]
    fn links_and_times_and_removal_are_doubts_that_pass() {
        let case = Case::new();
        let other = case.folder.path().join("b.txt");
        let steps: [&dyn Fn(); 4] = [
            &|| fs::hard_link(case.path(), &other).unwrap(),
            &|| fs::File::open(case.path()).unwrap().set_modified(SystemTime::now()).unwrap(),
            &|| fs::remove_file(&other).unwrap(),
            &|| fs::remove_file(case.path()).unwrap(),
        ];
        for step in steps {
            std::thread::sleep(TICK);
            step();
            assert_eq!(case.stored.standing(), Standing::Doubtful);
            assert!(!case.stored.is_unchanged());
            assert_eq!(case.read().unwrap(), b"234");
            assert_eq!(case.stored.standing(), Standing::Same, "the doubt is settled");
        }
    }

    #[test]
    fn other_bytes_under_the_old_time_are_found_out() {
        let case = Case::new();
        let time = fs::metadata(case.path()).unwrap().modified().unwrap();
        fs::write(case.path(), b"9876543210").unwrap();
        fs::File::options().write(true).open(case.path()).unwrap().set_modified(time).unwrap();
        assert_eq!(case.stored.standing(), Standing::Doubtful);
        assert_eq!(case.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(case.stored.standing(), Standing::Changed, "it is not read again and again");
        std::thread::sleep(TICK);
        fs::write(case.path(), TEXT).unwrap();
        assert_eq!(case.read().unwrap(), b"234", "right bytes are right whoever wrote them");
    }

    #[test]
    fn another_length_is_a_change() {
        let case = Case::new();
        fs::write(case.path(), b"0123456789 and more").unwrap();
        assert_eq!(case.stored.standing(), Standing::Changed);
        assert_eq!(case.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::write(case.path(), b"0").unwrap();
        assert_eq!(case.read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_replaced_is_held() {
        let case = Case::new();
        fs::write(case.folder.path().join("new"), b"new").unwrap();
        fs::rename(case.folder.path().join("new"), case.path()).unwrap();
        assert_eq!(case.read().unwrap(), b"234");
    }

    #[test]
    fn a_copy_is_right_whatever_becomes_of_the_file() {
        let case = Case::new();
        let verified = Arc::clone(case.stored.verified().unwrap());
        let copied = || Stored::open(Arc::clone(&verified)).and_then(Stored::copied);
        let segment = Arc::new(copied().unwrap()).segment();
        assert_eq!(segment.stored().held(), 10);
        fs::write(case.path(), b"987").unwrap();
        let part = Content::File(segment).slice(2..5);
        assert_eq!(part.read().unwrap(), b"234".as_slice());
        let Content::File(part) = part else { panic!("it stays a file") };
        assert_eq!(part.read_now().unwrap().unwrap(), b"234".as_slice());
        assert_eq!(copied().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        fs::write(case.path(), b"9876543210").unwrap();
        assert_eq!(copied().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn wrong_bytes_are_refused_from_the_first() {
        let case = Case::new();
        for (length, text) in [(10, b"another".as_slice()), (11, TEXT)] {
            let got = Verified::new(&case.folder.path().into(), &"a.txt".into(), None, length, Digest::of(text));
            assert_eq!(got.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}

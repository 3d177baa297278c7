//! What earlier builds made, by what it was made from: a folder of entries that builds share, even at the same time.
//!
//! It never stops a build, and never changes what one makes: an entry proves its own integrity, so that what is damaged is made
//! again, and where nothing can be written, nothing is kept.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::progress::Progress;

/// What backup programs look for in a folder that is not worth keeping: <https://bford.info/cachedir/>.
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Results of earlier builds. It may be removed at any time.\n";

/// An entry begins with so many bytes: the digest of its key and what follows, in hex.
const HEADER: usize = 64;

/// The beginning of a name under which an entry is being written.
const UNFINISHED: &str = "new-";

/// An entry's time is when it was last of use, give or take this much: most hits then write nothing.
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a file takes on a disk is a multiple of this many bytes, near enough.
const BLOCK: u64 = 4096;

/// The results of earlier builds. Shared by all threads of one.
#[derive(Debug)]
pub struct Cache {
    /// None if nothing is to be kept.
    folder: Option<PathBuf>,
    max_bytes: u64,
    /// Stands in every key: another program may make something else of the same sources.
    program: String,
    hits: AtomicUsize,
    made: AtomicUsize,
    kept: AtomicUsize,
    /// Why an entry could not be written; no further one is tried then.
    refused: OnceLock<io::Error>,
}

impl Cache {
    pub fn open(config: &Config) -> Self {
        Cache {
            folder: config.cache.clone(),
            max_bytes: config.cache_max_bytes,
            program: program(),
            hits: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            refused: OnceLock::new(),
        }
    }

    /// What `make` gives, taken from the cache if it was made before. `parts` are all that it depends on, besides the program.
    pub fn get_or_make(
        &self,
        kind: &'static str,
        parts: &[&[u8]],
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let Some(folder) = &self.folder else { return make() };
        let key = self.key(kind, parts);
        if let Some(bytes) = find(folder, &key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(bytes);
        }
        let bytes = make()?;
        self.made.fetch_add(1, Ordering::Relaxed);
        self.keep(folder, &key, &bytes);
        Ok(bytes)
    }

    /// As [`Cache::get_or_make`], for what is more than bytes.
    pub fn get_or_make_value<T: Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        parts: &[&[u8]],
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.get_valid_or_make(kind, parts, |_| true, make)
    }

    /// As [`Cache::get_or_make_value`], for what depends on more than can be told before it is made: what is kept says of itself
    /// whether it still holds.
    pub fn get_valid_or_make<T: Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        parts: &[&[u8]],
        is_valid: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(folder) = &self.folder else { return make() };
        let key = self.key(kind, parts);
        let kept = find(folder, &key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(value) = kept.filter(is_valid) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(value);
        }
        let value = make()?;
        self.made.fetch_add(1, Ordering::Relaxed);
        if let Ok(bytes) = serde_json::to_vec(&value) {
            self.keep(folder, &key, &bytes);
        }
        Ok(value)
    }

    /// Whether anything is.
    pub fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// What was last remembered under that name. It need not hold any more.
    pub fn recall<T: DeserializeOwned>(&self, kind: &'static str, name: &[&[u8]]) -> Option<T> {
        let bytes = find(self.folder.as_ref()?, &self.key(kind, name))?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps what a later build may be glad to know, in the place of what it was.
    pub fn remember<T: Serialize>(&self, kind: &'static str, name: &[&[u8]], value: &T) {
        if let (Some(folder), Ok(bytes)) = (&self.folder, serde_json::to_vec(value)) {
            self.keep(folder, &self.key(kind, name), &bytes);
        }
    }

    /// The build is over: tells what the cache was good for, and makes room if there is too much in it.
    pub fn close(&self, progress: &dyn Progress) {
        let Some(folder) = &self.folder else { return };
        let (hits, made) = (self.hits.load(Ordering::Relaxed), self.made.load(Ordering::Relaxed));
        progress.note(format!("cache: {hits} of {} results were there", hits + made));
        if let Some(error) = self.refused.get() {
            progress.warn(format!("could not write to the cache `{}`: {error}; it works without", folder.display()));
        }
        if self.kept.load(Ordering::Relaxed) > 0 {
            evict(folder, self.max_bytes);
        }
    }

    fn key(&self, kind: &str, parts: &[&[u8]]) -> Digest {
        Digest::of_parts([self.program.as_bytes(), kind.as_bytes()].into_iter().chain(parts.iter().copied()))
    }

    fn keep(&self, folder: &Path, key: &Digest, bytes: &[u8]) {
        if self.refused.get().is_some() {
            return;
        }
        match write(folder, key, bytes) {
            Ok(()) => {
                self.kept.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let _ = self.refused.set(error);
            }
        }
    }
}

/// The version tells what a released program makes. While the program is being worked on its version stays, so then it is
/// told by its file.
fn program() -> String {
    let mut program = env!("CARGO_PKG_VERSION").to_owned();
    if cfg!(debug_assertions)
        && let Ok(metadata) = std::env::current_exe().and_then(|path| path.metadata())
        && let Ok(modified) = metadata.modified()
    {
        program += &format!(" {} {modified:?}", metadata.len());
    }
    program
}

/// Two hex digits name the folder: file systems are slow where a hundred thousand names lie in one.
fn path(folder: &Path, key: &Digest) -> PathBuf {
    let name = key.to_string();
    folder.join(&name[..2]).join(&name[2..])
}

fn find(folder: &Path, key: &Digest) -> Option<Vec<u8>> {
    let mut file = File::open(path(folder, key)).ok()?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    if header != *seal(key, &bytes).as_bytes() {
        return None;
    }
    let used = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > RECENT) {
        // An entry that can't be marked is gone sooner, and made again.
        let _ = file.set_modified(now);
    }
    Some(bytes)
}

/// Covers the key too, so that an entry under another's name is not taken for it.
fn seal(key: &Digest, bytes: &[u8]) -> String {
    Digest::of_parts([key.to_string().as_bytes(), bytes]).to_string()
}

/// An entry is there whole or not at all, so that readers need no lock, and of two that write the same one either may win.
fn write(folder: &Path, key: &Digest, bytes: &[u8]) -> io::Result<()> {
    let path = path(folder, key);
    let shard = path.parent().unwrap_or(folder);
    if !shard.is_dir() {
        prepare(folder)?;
        fs::create_dir_all(shard)?;
    }
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(shard)?;
    file.write_all(seal(key, bytes).as_bytes())?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The folder is for nobody's backup and nobody's repository.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in [("CACHEDIR.TAG", TAG), (".gitignore", "*\n")] {
        if !folder.join(name).exists() {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// Removes what was of no use for longest, until the rest is within the bound.
///
/// Another build may be reading: one that finds an entry gone makes it again.
fn evict(folder: &Path, max_bytes: u64) {
    let mut entries = entries(folder);
    let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
    entries.sort();
    for (_, size, path) in entries {
        if total <= max_bytes {
            return;
        }
        if fs::remove_file(&path).is_ok() {
            total -= size;
        }
    }
}

/// Every entry, finished or not: when it was last of use, what it takes on the disk, and where it is.
///
/// A folder may have been named by mistake, so nothing else is looked at.
fn entries(folder: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut found = Vec::new();
    for shard in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !shard.file_name().to_str().is_some_and(|name| name.len() == 2 && is_hex(name)) {
            continue;
        }
        for entry in fs::read_dir(shard.path()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let ours = (name.len() == 62 && is_hex(name)) || name.starts_with(UNFINISHED);
            let Some(metadata) = entry.metadata().ok().filter(|metadata| ours && metadata.is_file()) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((used, metadata.len().next_multiple_of(BLOCK), entry.path()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn age(folder: &Path, key: &Digest, days: u32) {
        let entry = File::open(path(folder, key)).unwrap();
        entry.set_modified(SystemTime::now() - days * RECENT).unwrap();
    }

    #[test]
    fn what_was_of_no_use_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (name, days) in [("a", 3), ("b", 5), ("c", 4)] {
            write(folder, &key(name), name.as_bytes()).unwrap();
            age(folder, &key(name), days);
        }
        assert_eq!(find(folder, &key("b")).as_deref(), Some(b"b".as_slice()), "which is of use once more");
        evict(folder, 3 * BLOCK);
        assert_eq!(entries(folder).len(), 3);
        evict(folder, 2 * BLOCK);
        assert_eq!(find(folder, &key("c")), None);
        evict(folder, BLOCK);
        assert!(find(folder, &key("a")).is_none() && find(folder, &key("b")).is_some());
    }

    #[test]
    fn nothing_but_entries_is_ever_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, &key("a"), b"a").unwrap();
        for name in ["letter.txt", "ab/letter.txt", "photos/2020.jpg"] {
            crate::fs::write(&folder.join(name), b"mine").unwrap();
        }
        crate::fs::write(&folder.join("ab/new-left"), b"by a killed build").unwrap();
        evict(folder, 0);
        assert!(entries(folder).is_empty());
        for name in ["letter.txt", "ab/letter.txt", "photos/2020.jpg", "CACHEDIR.TAG"] {
            assert!(folder.join(name).exists(), "{name}");
        }
    }
}

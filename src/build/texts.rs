//! What was read of the sources, so that nothing is read twice: the texts of scripts, at which several stages look, and the digests
//! of all that a stage has had in hand. All see the same, whatever becomes of the files meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arcstr::ArcStr;

use super::memo::Paths;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;

#[derive(Debug)]
pub struct Texts {
    root: PathBuf,
    seen: Mutex<HashMap<PathBuf, Seen>>,
    /// What was read since the last look.
    fresh: Mutex<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Seen {
    /// Of the file's bytes.
    digest: Digest,
    /// If it is a script.
    text: Option<ArcStr>,
}

impl Texts {
    pub fn new(root: &Path) -> Self {
        Texts { root: root.to_owned(), seen: Mutex::default(), fresh: Mutex::default() }
    }

    pub fn read(&self, path: &Path) -> Result<ArcStr> {
        if let Some(text) = self.seen().get(path).and_then(|seen| seen.text.clone()) {
            return Ok(text);
        }
        let bytes = fs::read(path)?;
        let digest = Digest::of(&bytes);
        let text = ArcStr::from(fs::to_text(bytes, &fs::display_name(&self.root, path))?);
        lock(&self.fresh).push(path.to_owned());
        let mut seen = self.seen();
        let seen = seen.entry(path.to_owned()).or_insert(Seen { digest, text: None });
        Ok(seen.text.get_or_insert(text).clone())
    }

    /// Takes note of the digest of a file's bytes.
    pub fn remember(&self, path: &Path, digest: Digest) {
        lock(&self.fresh).push(path.to_owned());
        self.seen().entry(path.to_owned()).or_insert(Seen { digest, text: None });
    }

    /// What was read of a script, if it was.
    pub fn peek(&self, path: &Path) -> Option<ArcStr> {
        self.seen().get(path).and_then(|seen| seen.text.clone())
    }

    /// The files of which something became known since the last call.
    pub fn fresh(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *lock(&self.fresh))
    }

    /// The digest of a file's bytes, if anyone has read it.
    pub fn digest(&self, path: &Path) -> Option<Digest> {
        self.seen().get(path).map(|seen| seen.digest)
    }

    /// Every file of which something is known.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.seen().keys().cloned().collect()
    }

    /// Reads these anew when they are wanted.
    pub fn forget(&self, paths: &Paths) {
        self.seen().retain(|path, _| !paths.contains(path));
    }

    pub fn keep_only(&self, is_wanted: impl Fn(&Path) -> bool) {
        self.seen().retain(|path, _| is_wanted(path));
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<PathBuf, Seen>> {
        lock(&self.seen)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

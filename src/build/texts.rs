//! What was read of the sources, so that nothing is read twice: the texts of scripts, at which several stages look, what they import, and the digests
//! of all that a stage has had in hand. All see the same, whatever becomes of the files meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use arcstr::ArcStr;

use super::lock;
use super::memo::Paths;
use super::transform::script::{self, Syntax};
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;

#[derive(Debug)]
pub struct Texts {
    root: PathBuf,
    seen: Mutex<HashMap<PathBuf, Seen>>,
    /// What was read since the last look, if anyone will look.
    fresh: Option<Mutex<Vec<PathBuf>>>,
}

#[derive(Debug)]
struct Seen {
    /// Of the file's bytes.
    digest: Digest,
    /// If it is a script.
    text: Option<ArcStr>,
    syntax: Option<Arc<Syntax>>,
}

impl Texts {
    /// `lasts` says whether there will be another build.
    pub fn new(root: &Path, lasts: bool) -> Self {
        Texts { root: root.to_owned(), seen: Mutex::default(), fresh: lasts.then(Mutex::default) }
    }

    pub fn read(&self, path: &Path) -> Result<ArcStr> {
        if let Some(text) = self.seen().get(path).and_then(|seen| seen.text.clone()) {
            return Ok(text);
        }
        let bytes = fs::read(path)?;
        let digest = Digest::of(&bytes);
        let text = ArcStr::from(fs::to_text(bytes, &fs::display_name(&self.root, path))?);
        self.note(path);
        let mut seen = self.seen();
        let seen = seen.entry(path.to_owned()).or_insert(Seen { digest, text: None, syntax: None });
        Ok(seen.text.get_or_insert(text).clone())
    }

    /// What a look at a script tells; it is looked at once.
    pub fn syntax(&self, path: &Path) -> Result<Arc<Syntax>> {
        if let Some(syntax) = self.seen().get(path).and_then(|seen| seen.syntax.clone()) {
            return Ok(syntax);
        }
        let syntax = Arc::new(script::syntax(path, &self.read(path)?));
        let mut seen = self.seen();
        let kept = seen.get_mut(path).map(|seen| Arc::clone(seen.syntax.get_or_insert_with(|| Arc::clone(&syntax))));
        Ok(kept.unwrap_or(syntax))
    }

    /// Takes note of the digest of a file's bytes.
    pub fn remember(&self, path: &Path, digest: Digest) {
        self.note(path);
        self.seen().entry(path.to_owned()).or_insert(Seen { digest, text: None, syntax: None });
    }

    fn note(&self, path: &Path) {
        if let Some(fresh) = &self.fresh {
            lock(fresh).push(path.to_owned());
        }
    }

    /// What is known of a script, if it was read.
    pub fn peek(&self, path: &Path) -> Option<(ArcStr, Option<Arc<Syntax>>)> {
        self.seen().get(path).and_then(|seen| Some((seen.text.clone()?, seen.syntax.clone())))
    }

    /// The files of which something became known since the last call.
    pub fn fresh(&self) -> Vec<PathBuf> {
        self.fresh.as_ref().map(|fresh| std::mem::take(&mut *lock(fresh))).unwrap_or_default()
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
        let mut seen = self.seen();
        for path in paths {
            seen.remove(path);
        }
    }

    pub fn keep_only(&self, is_wanted: impl Fn(&Path) -> bool) {
        self.seen().retain(|path, _| is_wanted(path));
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<PathBuf, Seen>> {
        lock(&self.seen)
    }
}

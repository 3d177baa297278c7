//! The texts of scripts. Several stages look at them: the first reads the file, and all see the same.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use arcstr::ArcStr;

use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;

#[derive(Debug)]
pub struct Texts {
    root: PathBuf,
    seen: Mutex<HashMap<PathBuf, Text>>,
}

#[derive(Debug, Clone)]
pub struct Text {
    pub text: ArcStr,
    /// Of the file's bytes.
    digest: Digest,
}

impl Texts {
    pub fn new(root: &Path) -> Self {
        Texts { root: root.to_owned(), seen: Mutex::default() }
    }

    pub fn read(&self, path: &Path) -> Result<ArcStr> {
        if let Some(seen) = self.seen().get(path) {
            return Ok(seen.text.clone());
        }
        let bytes = fs::read(path)?;
        let digest = Digest::of(&bytes);
        let text = ArcStr::from(fs::to_text(bytes, &fs::display_name(&self.root, path))?);
        let read = Text { text, digest };
        Ok(self.seen().entry(path.to_owned()).or_insert(read).text.clone())
    }

    /// The digest of a file's bytes, if anyone has read it.
    pub fn digest(&self, path: &Path) -> Option<Digest> {
        self.seen().get(path).map(|seen| seen.digest)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<PathBuf, Text>> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

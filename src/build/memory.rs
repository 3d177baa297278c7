//! What a process remembers from build to build, so that the next one does only what depends on a change.
//!
//! A result is kept with the files that it was made of, and forgotten with any of them. What a name leads to depends on which files
//! there are, so all that has to do with names is forgotten when a file comes or goes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::discover::Sources;
use super::modules::Modules;
use super::output::Output;
use super::pages::{Draft, Finished};
use super::styles::{Made, StyleKey};
use super::texts::Texts;
use super::transform::script::Syntax;

#[derive(Debug)]
pub struct Memory {
    /// Whether there will be another build.
    lasts: bool,
    pub texts: Arc<Texts>,
    pub syntax: Memo<PathBuf, Syntax>,
    /// Which paths are those of files.
    files: Mutex<HashMap<OsString, bool>>,
    pub copies: Memo<PathBuf, Output>,
    pub scripts: Memo<(String, Vec<PathBuf>), Output>,
    pub styles: Memo<StyleKey, Made>,
    pub brought: Arc<Memo<PathBuf, Output>>,
    /// By what each entry is called and made of.
    pub modules: Memo<Vec<(String, Vec<PathBuf>)>, Modules>,
    /// By template; of those with other assets about them.
    pub drafts: Memo<String, Draft>,
    pub pages: Memo<String, Finished>,
    /// Which asset names there were for the drafts, and whether each is a module's.
    named: Mutex<Arc<BTreeMap<String, bool>>>,
    /// Every source that there was, if there was a build.
    sources: Option<BTreeSet<PathBuf>>,
    /// Every file that the last build was made of.
    stamps: HashMap<PathBuf, Stamp>,
    begun: SystemTime,
}

impl Memory {
    /// For one build.
    pub fn short(root: &Path) -> Self {
        Memory::new(root, false)
    }

    /// For as many as there will be.
    pub fn lasting(root: &Path) -> Self {
        Memory::new(root, true)
    }

    fn new(root: &Path, lasts: bool) -> Self {
        Memory {
            lasts,
            texts: Arc::new(Texts::new(root)),
            syntax: Memo::new(true),
            files: Mutex::default(),
            copies: Memo::new(lasts),
            scripts: Memo::new(lasts),
            styles: Memo::new(lasts),
            brought: Arc::new(Memo::new(lasts)),
            modules: Memo::new(lasts),
            drafts: Memo::new(lasts),
            pages: Memo::new(lasts),
            named: Mutex::default(),
            sources: None,
            stamps: HashMap::new(),
            begun: SystemTime::UNIX_EPOCH,
        }
    }

    /// Whether there will be another build, which can do with what this one knows.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// Forgets what may hold no longer, given what there is now, and which paths are said to have changed.
    pub fn refresh(&mut self, sources: &Sources, told: &BTreeSet<PathBuf>) {
        if !self.lasts {
            return;
        }
        self.begun = SystemTime::now();
        let now = sources.paths();
        let came_or_went = self.sources.as_ref().is_some_and(|before| *before != now);
        let is_stale = |path: &PathBuf, stamp: &Stamp| told.contains(path) || Stamp::of(path) != Some(*stamp);
        let stale = self.stamps.par_iter().filter(|(path, stamp)| is_stale(path, stamp));
        let changed: HashSet<PathBuf> = stale.map(|(path, _)| path.clone()).collect();
        let gone = changed.iter().any(|path| !path.is_file());
        // Of what lies among the sources all is known already.
        let elsewhere = told.iter().any(|path| !self.stamps.contains_key(path) && !sources.is_among(path));
        self.sources = Some(now);
        self.stamps.retain(|path, _| !changed.contains(path));
        self.forget(&changed);
        if came_or_went || gone || elsewhere {
            self.forget_names();
        }
    }

    fn forget(&mut self, changed: &HashSet<PathBuf>) {
        if changed.is_empty() {
            return;
        }
        self.texts.forget(changed);
        self.syntax.forget(changed);
        self.copies.forget(changed);
        self.scripts.forget(changed);
        self.styles.forget(changed);
        self.brought.forget(changed);
        self.modules.forget(changed);
        self.drafts.forget(changed);
    }

    /// What a file is made of may stay; what was found by a name may be another file now.
    fn forget_names(&mut self) {
        lock(&self.files).clear();
        self.styles.clear();
        self.modules.clear();
        self.drafts.clear();
        self.pages.clear();
        self.copies.keep_only(|path| path.is_file());
        self.brought.keep_only(|path| path.is_file());
        self.scripts.keep_only(|(_, inputs)| inputs.iter().all(|path| path.is_file()));
        self.texts.keep_only(Path::is_file);
        self.syntax.keep_only(|path| path.is_file());
    }

    /// Takes note of what the build was made of, to see whether it changes.
    pub fn settle(&mut self, sources: &Sources) {
        if !self.lasts {
            return;
        }
        let memos = [
            self.copies.inputs(),
            self.scripts.inputs(),
            self.styles.inputs(),
            self.brought.inputs(),
            self.modules.inputs(),
            self.drafts.inputs(),
        ];
        let read = self.texts.paths().into_iter().chain(sources.templates.values().cloned());
        let inputs: HashSet<PathBuf> = memos.into_iter().flatten().chain(read).collect();
        // What was written since the build began may have been read before that.
        let begun = self.begun.checked_sub(GRAIN).unwrap_or(SystemTime::UNIX_EPOCH);
        // Of those that were as they had been when it began, the stamps are known.
        let before = std::mem::take(&mut self.stamps);
        let stamp = |path: PathBuf| {
            let stamp = || Stamp::of(&path).filter(|stamp| stamp.modified < begun).unwrap_or(Stamp::UNSURE);
            let stamp = before.get(&path).copied().unwrap_or_else(stamp);
            (path, stamp)
        };
        self.stamps = inputs.into_iter().map(stamp).collect();
    }

    /// Every file that the last build was made of, but for those that it is made of by being there.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.stamps.keys().map(PathBuf::as_path)
    }

    /// Whether there is a file of that name, as the build has seen it.
    pub fn is_file(&self, path: &Path) -> bool {
        if let Some(is_file) = lock(&self.files).get(path.as_os_str()) {
            return *is_file;
        }
        let is_file = path.is_file();
        lock(&self.files).insert(path.into(), is_file);
        is_file
    }

    /// What assets may be named is the same for all drafts: with other ones, none of those that are kept holds.
    pub fn name_assets(&self, known: BTreeMap<String, bool>) -> Arc<BTreeMap<String, bool>> {
        let mut named = lock(&self.named);
        if **named != known {
            *named = Arc::new(known);
            self.drafts.clear();
            self.pages.clear();
        }
        Arc::clone(&named)
    }
}

/// What tells that a file has been written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

/// A file's time is at most so far behind the clock.
const GRAIN: Duration = Duration::from_millis(20);

impl Stamp {
    /// That of no file.
    const UNSURE: Stamp = Stamp { modified: SystemTime::UNIX_EPOCH, length: u64::MAX, inode: 0 };

    fn of(path: &Path) -> Option<Self> {
        let data = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Stamp { modified: data.modified().ok()?, length: data.len(), inode: data.ino() })
    }
}

/// Results by what they were made for, each with the files that it was made of.
#[derive(Debug)]
pub struct Memo<K, V> {
    /// None if nothing is kept.
    made: Option<Mutex<HashMap<K, Kept<V>>>>,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    inputs: Box<[PathBuf]>,
}

impl<K: Eq + Hash, V> Memo<K, V> {
    fn new(keeps: bool) -> Self {
        Memo { made: keeps.then(Mutex::default) }
    }

    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        lock(self.made.as_ref()?).get(key).map(|kept| Arc::clone(&kept.value))
    }

    pub fn keep(&self, key: K, value: V, inputs: impl IntoIterator<Item = PathBuf>) -> Arc<V> {
        let value = Arc::new(value);
        if let Some(made) = &self.made {
            let inputs: Box<[PathBuf]> = inputs.into_iter().collect();
            // Of what a tool has made nobody hears when it changes.
            if inputs.iter().all(|input| input.is_file()) {
                lock(made).insert(key, Kept { value: Arc::clone(&value), inputs });
            }
        }
        value
    }

    fn forget(&self, changed: &HashSet<PathBuf>) {
        if let Some(made) = &self.made {
            lock(made).retain(|_, kept| !kept.inputs.iter().any(|input| changed.contains(input)));
        }
    }

    fn keep_only(&self, is_wanted: impl Fn(&K) -> bool) {
        if let Some(made) = &self.made {
            lock(made).retain(|key, _| is_wanted(key));
        }
    }

    fn clear(&self) {
        self.keep_only(|_| false);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        let made = self.made.as_ref().map(lock);
        made.iter().flat_map(|made| made.values()).flat_map(|kept| kept.inputs.iter().cloned()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

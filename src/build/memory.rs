//! What a process remembers from build to build, so that the next one does only what depends on a change.
//!
//! A result is kept with the files that it was made of, and forgotten with any of them. What a name leads to depends on which files
//! there are, so all that has to do with names is forgotten when a file comes or goes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use rustc_hash::FxBuildHasher;

use super::discover::Sources;
use super::graph::{self, Graph};
use super::lock;
use super::memo::{Inputs, Memo, Paths};
use super::modules::{Kept, Key, Modules};
use super::output::Output;
use super::pages::{Draft, Finished};
use super::styles::{Made, StyleKey};
use super::texts::Texts;
use super::transform::script::Syntax;
use crate::error::Result;
use crate::fs::Stamp;

#[derive(Debug)]
pub struct Memory {
    /// Whether there will be another build.
    lasts: bool,
    pub texts: Arc<Texts>,
    /// Which paths are those of files.
    files: Mutex<HashMap<OsString, bool>>,
    pub copies: Memo<PathBuf, Output>,
    pub scripts: Memo<(String, Vec<PathBuf>), Output>,
    pub styles: Memo<StyleKey, Made>,
    pub brought: Arc<Memo<PathBuf, Output>>,
    pub modules: Memo<Key, Modules>,
    /// What bundled them, as long as the same scripts import the same.
    pub bundler: Mutex<Option<Kept>>,
    /// By template; of those with other assets about them.
    pub drafts: Memo<String, Draft>,
    pub pages: Memo<String, Finished>,
    named: Mutex<Named>,
    graph: Mutex<Option<Planned>>,
    /// Every source that there was, if there was a build.
    sources: Option<Arc<Sources>>,
    /// Every file that the last build was made of.
    stamps: Stamps,
    /// Those of the last generation whose stamp is to be taken anew.
    forgotten: Paths,
    /// Goes up when there are others.
    generation: u64,
    /// Whether all of them are to be looked for again.
    recounts: bool,
    begun: SystemTime,
}

/// What drafts were made with.
#[derive(Debug, Default)]
struct Named {
    /// Which asset names there were, and whether each is a module's.
    assets: Arc<BTreeMap<String, bool>>,
    /// Whether there are no others by now.
    holds: bool,
}

/// What becomes of each source, and the drafts from which that follows.
#[derive(Debug)]
struct Planned {
    drafts: Vec<Arc<Draft>>,
    graph: Arc<Graph>,
}

/// By path; none where it may have been written to since it was read. As a path, each would be hashed part by part, which takes longer than
/// all else that is done with it.
type Stamps = HashMap<OsString, Option<Stamp>, FxBuildHasher>;

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
            texts: Arc::new(Texts::new(root, lasts)),
            files: Mutex::default(),
            copies: Memo::new(lasts),
            scripts: Memo::new(lasts),
            styles: Memo::new(lasts),
            brought: Arc::new(Memo::new(lasts)),
            modules: Memo::new(lasts),
            bundler: Mutex::default(),
            drafts: Memo::new(lasts),
            pages: Memo::new(lasts),
            named: Mutex::default(),
            graph: Mutex::default(),
            sources: None,
            stamps: Stamps::default(),
            forgotten: Paths::default(),
            generation: 0,
            recounts: true,
            begun: SystemTime::UNIX_EPOCH,
        }
    }

    /// Whether there will be another build, which can do with what this one knows.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// The sources of the last build, if they are those of this one, and of what is in them only that has changed which is told.
    /// All of it has to be a file that was there before.
    pub fn trust(&mut self, told: &BTreeSet<PathBuf>) -> Option<Arc<Sources>> {
        let sources = self.sources.clone().filter(|sources| self.lasts && sources.made.is_empty())?;
        // What editors write for a moment beside a file was no source, and is none.
        let is_passing = |path: &PathBuf| sources.is_among(path) && !path.exists() && !sources.has(path);
        let is_known = |path: &PathBuf| self.stamps.contains_key(path.as_os_str());
        let (known, others): (BTreeSet<&PathBuf>, BTreeSet<&PathBuf>) = told.iter().partition(|path| is_known(path));
        let holds = !known.is_empty() && known.iter().all(|path| path.is_file()) && others.into_iter().all(is_passing);
        if !holds {
            return None;
        }
        self.begun = SystemTime::now();
        let before: Vec<_> = known.iter().map(|path| self.texts.peek(path)).collect();
        self.forget(&known.iter().map(|path| (*path).clone()).collect());
        // Of a script that nobody has read nobody knows what it imports.
        let mut read = known.into_iter().zip(before).filter_map(|(path, before)| Some((path, before?)));
        if !read.all(|(path, (text, syntax))| self.imports_the_same(path, &text, syntax)) {
            self.forget_graph();
        }
        Some(sources)
    }

    fn imports_the_same(&self, path: &Path, before: &str, syntax: Option<Arc<Syntax>>) -> bool {
        match syntax {
            Some(syntax) => self.texts.syntax(path).is_ok_and(|now| now == syntax),
            None => self.texts.read(path).is_ok_and(|now| graph::name_the_same(before, &now)),
        }
    }

    /// Scripts may be other than they were: modules or not, or importing others.
    fn forget_graph(&self) {
        lock(&self.named).holds = false;
        *lock(&self.graph) = None;
        *lock(&self.bundler) = None;
    }

    /// Forgets what may hold no longer, given what there is now, and which paths are said to have changed.
    pub fn refresh(&mut self, sources: &Arc<Sources>, told: &BTreeSet<PathBuf>) {
        if !self.lasts {
            return;
        }
        self.begun = SystemTime::now();
        self.recounts = true;
        self.forget_graph();
        let came_or_went = self.sources.as_ref().is_some_and(|before| !before.are_where(sources));
        let is_told = |path: &OsStr| told.contains(Path::new(path));
        let is_stale = |path: &OsStr, stamp: &Option<Stamp>| {
            is_told(path) || stamp.is_none() || Stamp::of(Path::new(path)) != *stamp
        };
        let stale = self.stamps.par_iter().filter(|(path, stamp)| is_stale(path, stamp));
        let changed: Paths = stale.map(|(path, _)| PathBuf::from(path)).collect();
        let gone = changed.iter().any(|path| !path.is_file());
        // Of what lies among the sources all is known already.
        let is_elsewhere = |path: &PathBuf| !self.stamps.contains_key(path.as_os_str()) && !sources.is_among(path);
        let elsewhere = told.iter().any(is_elsewhere);
        self.sources = Some(Arc::clone(sources));
        self.forget(&changed);
        if came_or_went || gone || elsewhere {
            self.forget_names();
        }
    }

    fn forget(&mut self, changed: &Paths) {
        if changed.is_empty() {
            return;
        }
        for path in changed {
            if self.stamps.remove(path.as_os_str()).is_some() {
                self.forgotten.insert(path.clone());
            }
        }
        self.texts.forget(changed);
        self.copies.forget(changed);
        self.scripts.forget(changed);
        self.styles.forget(changed);
        self.brought.forget(changed);
        self.modules.forget(changed);
        if let Some(bundler) = lock(&self.bundler).as_mut() {
            bundler.note(changed);
        }
        self.drafts.forget(changed);
    }

    /// What a file is made of may stay; what was found by a name may be another file now.
    fn forget_names(&mut self) {
        lock(&self.files).clear();
        self.styles.clear();
        self.modules.clear();
        *lock(&self.bundler) = None;
        self.drafts.clear();
        self.pages.clear();
        self.copies.keep_only(|path| path.is_file());
        self.brought.keep_only(|path| path.is_file());
        self.scripts.keep_only(|(_, inputs)| inputs.iter().all(|path| path.is_file()));
        self.texts.keep_only(Path::is_file);
    }

    /// Takes note of what the build was made of, to see whether it changes.
    pub fn settle(&mut self) {
        if !self.lasts {
            return;
        }
        // What was made in this build, and all that is kept of earlier ones.
        let memos: [&dyn Inputs; 6] =
            [&self.copies, &self.scripts, &self.styles, &*self.brought, &self.modules, &self.drafts];
        let fresh: Vec<PathBuf> = memos.iter().flat_map(|memo| memo.fresh()).chain(self.texts.fresh()).collect();
        let mut before = Stamps::default();
        let inputs: Vec<PathBuf> = match std::mem::take(&mut self.recounts) {
            true => {
                before = std::mem::take(&mut self.stamps);
                memos.iter().flat_map(|memo| memo.all()).chain(self.texts.paths()).collect()
            }
            false => fresh,
        };
        let templates = self.sources.iter().flat_map(|sources| sources.templates.values());
        // What was written since the build began may have been read before that.
        let begun = self.begun.checked_sub(GRAIN).unwrap_or(SystemTime::UNIX_EPOCH);
        let stamp = |path: &OsStr| Stamp::of(Path::new(path)).filter(|stamp| stamp.modified < begun);
        let generation = self.generation;
        for path in inputs.into_iter().chain(templates.cloned()) {
            if let Entry::Vacant(entry) = self.stamps.entry(path.into_os_string()) {
                // Of what was as it had been when the build began, the stamp is known.
                let known = before.remove(entry.key());
                if known.is_none() && !self.forgotten.remove(Path::new(entry.key())) {
                    self.generation += 1;
                }
                let stamp = known.unwrap_or_else(|| stamp(entry.key()));
                entry.insert(stamp);
            }
        }
        if self.generation != generation {
            self.forgotten.clear();
        }
    }

    /// Every file that the last build was made of, but for those that it is made of by being there.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.stamps.keys().map(Path::new)
    }

    /// Goes up when there are others.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What becomes of each source, if that follows from the same as before.
    pub fn graph(&self, drafts: &[Arc<Draft>], make: impl FnOnce() -> Result<Graph>) -> Result<Arc<Graph>> {
        let mut kept = lock(&self.graph);
        let is_same = |before: &&Planned| {
            let pairs = before.drafts.iter().zip(drafts);
            before.drafts.len() == drafts.len() && pairs.into_iter().all(|(before, now)| Arc::ptr_eq(before, now))
        };
        if let Some(planned) = kept.as_ref().filter(is_same) {
            return Ok(Arc::clone(&planned.graph));
        }
        let graph = Arc::new(make()?);
        *kept = Some(Planned { drafts: drafts.to_vec(), graph: Arc::clone(&graph) });
        Ok(graph)
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
    pub fn named(&self, look: impl FnOnce() -> Result<BTreeMap<String, bool>>) -> Result<Arc<BTreeMap<String, bool>>> {
        let mut named = lock(&self.named);
        if !named.holds {
            let assets = look()?;
            if *named.assets != assets {
                named.assets = Arc::new(assets);
                self.drafts.clear();
                self.pages.clear();
            }
            named.holds = true;
        }
        Ok(Arc::clone(&named.assets))
    }
}

/// A file's time is at most so far behind the clock.
const GRAIN: Duration = Duration::from_millis(4);

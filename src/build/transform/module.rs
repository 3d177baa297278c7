//! Module graphs: bundled, split, tree-shaken and minified by rolldown, with chunk names that don't cascade.
//!
//! Each chunk is generated under a stable name, made of its path and of the module that names it; the chunks import each
//! other by these. Once its bytes are final, the file is named by their digest, and an import map in the page leads from the
//! stable name to the file. So an edit to one module renames one file, not every importer.
//!
//! The only place that names rolldown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arcstr::ArcStr;
use rayon::prelude::*;
use rolldown_common::{Output, OutputChunk};

use crate::build::cache::Cache;
use crate::build::contents::Import;
use crate::build::gather;
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::fs;
use crate::manifest::Mode;

mod ahead;
mod bundler;
mod closed;
mod division;
mod edits;
mod effects;
mod faults;
mod glob;
mod imports;
mod layout;
mod maps;
mod minify;
mod naming;
mod notices;
mod options;
mod plugin;
mod references;
mod sheets;
mod ways;

pub use bundler::Bundler;
use division::import_in_order;
use faults::faults;
pub use glob::files as glob_files;
pub use imports::{ClassNames, Piece};
pub use layout::Sheet;
use naming::{Naming, stem};
use options::options;
use plugin::{Hooks, lock};
pub use references::{Reference, find as find_references};

/// A module that a page loads, or several that make a bundle.
pub struct EntryModule {
    /// Its name in the output, without the fingerprint: `js/app.js`.
    pub name: String,
    /// Absolute paths.
    pub inputs: Vec<PathBuf>,
}

/// What modules need from the rest of the build. Files are named by their paths below the prefix, with their fingerprint.
pub trait Host: fmt::Debug + Send + Sync {
    /// What is in a script.
    fn text(&self, path: &Path) -> Result<ArcStr>;
    /// The file that a source became; one that nobody else brings is brought into the build.
    fn asset(&self, path: &Path) -> Result<String, Fault>;
    /// The file that a stylesheet by itself becomes.
    fn sheet_file(&self, path: &Path) -> Result<String, Fault>;
    /// A stylesheet's compiled text.
    fn sheet_text(&self, path: &Path) -> Result<Vec<Piece>, Fault>;
    fn css_module(&self, path: &Path) -> Result<ClassNames, Fault>;
    fn data_url(&self, path: &Path) -> Result<String, Fault>;
}

/// What the bundler made.
#[derive(Debug, Default)]
pub struct Bundled {
    pub chunks: Vec<Chunk>,
    pub sheets: Vec<Sheet>,
    /// The stylesheets that modules import, in whatever file they are.
    pub imported_sheets: BTreeSet<PathBuf>,
    /// The licences of all that is in the chunks.
    pub notices: Option<String>,
    /// What each module imports, by its path below the root.
    pub sources: BTreeMap<String, BTreeSet<Import>>,
    /// The files that were read as code or as text.
    pub read: Vec<PathBuf>,
}

/// A script for the browser.
#[derive(Debug)]
pub struct Chunk {
    /// Its path below the prefix while its bytes are not final: `js/app~1f0c2a9b.js`.
    pub stable: String,
    /// Its path below the prefix without a fingerprint: `js/app.js`.
    pub path: String,
    pub name: String,
    /// The index of the entry that it is, if it is one.
    pub entry: Option<usize>,
    pub is_dynamic_entry: bool,
    /// It runs by itself and shares nothing with a page: a worker.
    pub is_closed: bool,
    /// The module that it was made for, below the root; none for what several share.
    pub source: Option<String>,
    pub code: String,
    pub map: Option<String>,
    /// What is in it, in the order in which it runs.
    pub modules: Vec<Module>,
    /// Stable paths of the chunks that it needs before it runs.
    pub imports: Vec<String>,
    /// Stable paths of what it may load later: chunks and workers.
    pub dynamic_imports: Vec<String>,
    /// The names that others can import from it.
    pub exports: Vec<String>,
    /// The files that it refers to by URL, below the prefix.
    pub files: Vec<String>,
    /// If it is loaded by itself: the stylesheets that it needs, as indices of [`Bundled::sheets`], in the order of the cascade.
    pub sheets: Vec<usize>,
}

/// A module's part of a chunk.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its path below the root.
    pub source: String,
    /// Bytes of what is left of it, before the chunk is minified.
    pub bytes: usize,
}

/// What a bundle and the closed scripts within it share.
#[derive(Debug)]
struct Job {
    config: Config,
    mode: Mode,
    /// What `import.meta.env` says beside the mode.
    variables: BTreeMap<String, String>,
    host: Arc<dyn Host>,
    cache: Arc<Cache>,
    /// By path: the scripts that were bundled by themselves.
    closed: Mutex<BTreeMap<PathBuf, Arc<closed::Closed>>>,
    /// By id: the modules' code as it was before anything was done to it.
    loaded: Mutex<HashMap<PathBuf, ArcStr>>,
    /// By module: the comments that ask to be kept.
    notices: Mutex<BTreeMap<String, Vec<String>>>,
    warnings: Mutex<BTreeSet<String>>,
    /// By module: what it imports.
    sources: Mutex<BTreeMap<String, BTreeSet<Import>>>,
}

impl Job {
    fn new(
        config: &Config,
        mode: Mode,
        variables: BTreeMap<String, String>,
        host: Arc<dyn Host>,
        cache: &Arc<Cache>,
    ) -> Self {
        Job {
            config: config.clone(),
            mode,
            variables,
            host,
            cache: Arc::clone(cache),
            closed: Mutex::default(),
            loaded: Mutex::default(),
            notices: Mutex::default(),
            warnings: Mutex::default(),
            sources: Mutex::default(),
        }
    }
}

/// All that was made, in an order that doesn't depend on which thread was first.
fn collect(job: &Job, hooks: &Hooks, naming: &Naming, assets: Vec<Output>) -> Result<Bundled> {
    let layout = hooks.layout();
    let mut chunks: Vec<OutputChunk> = assets
        .into_iter()
        .filter_map(|asset| match asset {
            Output::Chunk(chunk) => Some(Arc::unwrap_or_clone(chunk)),
            Output::Asset(_) => None,
        })
        .collect();
    import_in_order(&mut chunks);
    let ids = chunks.iter().flat_map(|chunk| &chunk.module_ids).map(|id| PathBuf::from(id.as_str()));
    let closed = lock(&job.closed);
    let in_workers = closed.values().flat_map(|closed| &closed.modules);
    let comments = lock(&job.notices);
    let may_have_notices = |id: &PathBuf| {
        let id = id.to_string_lossy();
        id.contains("/node_modules/") || comments.contains_key(id.as_ref())
    };
    let ids = ids.chain(in_workers.map(|module| job.config.root.join(&module.source)));
    let sources = ids.filter(may_have_notices).collect();
    let workers: BTreeSet<&String> = closed.values().map(|closed| &closed.stable).collect();
    let made: Vec<Result<Chunk>> =
        chunks.into_par_iter().map(|chunk| page_chunk(job, hooks, naming, &workers, chunk)).collect();
    let mut chunks = gather(made)?;
    chunks.extend(closed.values().map(|closed| worker_chunk(job, closed)));
    chunks.sort_by(|a, b| a.stable.cmp(&b.stable));
    Ok(Bundled {
        chunks,
        sheets: layout.map(|layout| layout.sheets.clone()).unwrap_or_default(),
        imported_sheets: hooks.sheets(),
        notices: notices::gather(&job.config.root, &sources, &comments),
        sources: std::mem::take(&mut *lock(&job.sources)),
        read: lock(&job.loaded).keys().filter_map(|id| imports::read_by(&id.to_string_lossy())).collect(),
    })
}

fn page_chunk(
    job: &Job,
    hooks: &Hooks,
    naming: &Naming,
    workers: &BTreeSet<&String>,
    chunk: OutputChunk,
) -> Result<Chunk> {
    let facade = chunk.facade_module_id.as_ref().map(|id| id.as_str());
    let stable = chunk.filename.to_string();
    let source = facade.filter(|id| Path::new(id).is_absolute());
    let files = lock(&hooks.files).remove(&stable).unwrap_or_default();
    let (workers, files): (Vec<String>, Vec<String>) = files.into_iter().partition(|file| workers.contains(file));
    let sheets = hooks.layout().and_then(|layout| layout.by_root.get(&stable).cloned());
    let imports = |names: &[ArcStr]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut made = Chunk {
        path: format!("{}.js", naming.path(&chunk.name, facade)),
        name: chunk.name.to_string(),
        entry: facade.and_then(|id| naming.entry(id)).filter(|_| chunk.is_entry),
        is_dynamic_entry: chunk.is_dynamic_entry,
        is_closed: false,
        source: source.map(|id| fs::display_name(&job.config.root, Path::new(id))),
        modules: modules(naming, &chunk),
        imports: imports(&chunk.imports),
        dynamic_imports: imports(&chunk.dynamic_imports).into_iter().chain(workers).collect(),
        exports: chunk.exports.iter().map(ToString::to_string).collect(),
        files,
        sheets: sheets.unwrap_or_default(),
        code: String::new(),
        map: None,
        stable,
    };
    let (code, map) = minify::minify(job, chunk.code, chunk.map, hooks.begun(&made.stable))?;
    made.map = map.map(|map| maps::to_json(job, &made.stable, map));
    made.code = code;
    Ok(made)
}

fn worker_chunk(job: &Job, closed: &closed::Closed) -> Chunk {
    Chunk {
        stable: closed.stable.clone(),
        path: closed.path.clone(),
        name: stem(&closed.path).to_owned(),
        entry: None,
        is_dynamic_entry: true,
        is_closed: true,
        source: Some(fs::display_name(&job.config.root, &closed.source)),
        code: closed.code.clone(),
        map: closed.map.clone(),
        modules: closed.modules.clone(),
        imports: Vec::new(),
        dynamic_imports: Vec::new(),
        exports: Vec::new(),
        files: closed.files.clone(),
        sheets: Vec::new(),
    }
}

fn modules(naming: &Naming, chunk: &OutputChunk) -> Vec<Module> {
    let modules = chunk.modules.keys.iter().zip(&chunk.modules.values);
    modules
        .map(|(id, module)| Module { source: naming.portable(id.as_str()), bytes: module.rendered_length() })
        .collect()
}

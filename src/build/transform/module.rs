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
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use arcstr::ArcStr;
use rayon::prelude::*;
use rolldown::{
    BundlerBuilder, CodeSplittingMode, InputItem, ManualCodeSplittingOptions, MatchGroup, MatchGroupName,
    MatchGroupTest,
};
use rolldown_common::{Output, OutputChunk};
use rolldown_error::{BuildDiagnostic, DiagnosticOptions, EventKind};

use crate::build::cache::Cache;
use crate::build::contents::Import;
use crate::build::gather;
use crate::build::variables;
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::Mode;
use crate::progress::Progress;

mod ahead;
mod closed;
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

use faults::faults;
pub use glob::files as glob_files;
pub use imports::{ClassNames, Piece};
pub use layout::Sheet;
use naming::{Naming, stem};
use options::options;
use plugin::{Hooks, Scope, lock};
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
    pub read: BTreeSet<PathBuf>,
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

/// Bundles the entries as one graph, so that they share their chunks.
pub fn bundle(
    config: &Config,
    mode: Mode,
    entries: &[EntryModule],
    host: Arc<dyn Host>,
    cache: &Arc<Cache>,
    progress: &dyn Progress,
) -> Result<Bundled> {
    if entries.is_empty() {
        return Ok(Bundled::default());
    }
    let naming = Arc::new(Naming::new(config, entries));
    let job = Arc::new(Job {
        config: config.clone(),
        mode,
        variables: variables::read(&config.root, mode)?,
        host,
        cache: Arc::clone(cache),
        closed: Mutex::default(),
        loaded: Mutex::default(),
        notices: Mutex::default(),
        warnings: Mutex::default(),
        sources: Mutex::default(),
    });
    let hooks = Arc::new(Hooks::new(Arc::clone(&job), Scope::Page(Arc::clone(&naming))));
    let told = |diagnostics: Vec<BuildDiagnostic>| faults(config, &hooks, &diagnostics);
    let mut options = options(&job, &naming)?;
    let input = |(entry, id): (&EntryModule, &String)| InputItem {
        name: Some(stem(&entry.name).to_owned()),
        import: id.clone(),
    };
    options.input = Some(entries.iter().zip(naming.ids()).map(input).collect());
    options.code_splitting = Some(CodeSplittingMode::Advanced(packages_apart()));
    effects::keep_lazy_sheets(&hooks, &mut options);
    let mut bundler = BundlerBuilder::default()
        .with_options(options)
        .with_plugins(vec![Arc::clone(&hooks) as _])
        .build()
        .map_err(|error| told(error.into_vec()))?;
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    // The bundler blocks a thread of this pool for each file that it reads, and one more drives it.
    threads.enable_all().worker_threads(rayon::current_num_threads());
    let runtime = threads.build().map_err(Error::io("start threads for", &config.root))?;
    // As a task: who waits for it out of the pool would be woken by another thread for each module.
    let generated = runtime.block_on(runtime.spawn(async move { bundler.generate().await }));
    let generated = generated.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let output = generated.map_err(|error| told(error.into_vec()))?;

    let (unresolved, warnings): (Vec<_>, Vec<_>) =
        output.warnings.into_iter().partition(|warning| matches!(warning.kind(), EventKind::UnresolvedImport));
    if !unresolved.is_empty() {
        return Err(told(unresolved));
    }
    let options = DiagnosticOptions { cwd: config.root.clone() };
    for warning in warnings {
        // What a package's author should know helps nobody here.
        let place = warning.to_diagnostic_with(&options).get_primary_location();
        if !place.is_some_and(|(file, ..)| file.contains("node_modules/")) {
            progress.warn(warning.to_message_with(&options));
        }
    }
    lock(&job.warnings).iter().for_each(|warning| progress.warn(warning.clone()));
    collect(&job, &hooks, &naming, output.assets)
}

/// What comes from packages is in chunks of its own, so that an edit of the site's scripts doesn't rename it. A package is loaded
/// only where it was before: what different entries need is kept apart.
fn packages_apart() -> ManualCodeSplittingOptions {
    let packages = |id: &str| {
        let within = id.contains("/node_modules/");
        Box::pin(async move { Ok(Some(within)) }) as Pin<Box<dyn Future<Output = anyhow::Result<Option<bool>>> + Send>>
    };
    ManualCodeSplittingOptions {
        groups: Some(vec![MatchGroup {
            name: MatchGroupName::Static("vendor".to_owned()),
            test: Some(MatchGroupTest::Function(Arc::new(packages))),
            // Bytes of source. Below that, another request costs more than it saves.
            min_size: Some(20_000.0),
            entries_aware: Some(true),
            ..MatchGroup::default()
        }]),
        ..ManualCodeSplittingOptions::default()
    }
}

/// All that was made, in an order that doesn't depend on which thread was first.
fn collect(job: &Job, hooks: &Hooks, naming: &Naming, assets: Vec<Output>) -> Result<Bundled> {
    let chunks: Vec<OutputChunk> = assets
        .into_iter()
        .filter_map(|asset| match asset {
            Output::Chunk(chunk) => Some(Arc::unwrap_or_clone(chunk)),
            Output::Asset(_) => None,
        })
        .collect();
    let ids = chunks.iter().flat_map(|chunk| &chunk.module_ids).map(|id| PathBuf::from(id.as_str()));
    let closed = lock(&job.closed);
    let in_workers = closed.values().flat_map(|closed| &closed.modules);
    let sources = ids.chain(in_workers.map(|module| job.config.root.join(&module.source))).collect();
    let workers: BTreeSet<&String> = closed.values().map(|closed| &closed.stable).collect();
    let made: Vec<Result<Chunk>> =
        chunks.into_par_iter().map(|chunk| page_chunk(job, hooks, naming, &workers, chunk)).collect();
    let mut chunks = gather(made)?;
    chunks.extend(closed.values().map(|closed| worker_chunk(job, closed)));
    chunks.sort_by(|a, b| a.stable.cmp(&b.stable));
    Ok(Bundled {
        chunks,
        sheets: hooks.layout().map(|layout| layout.sheets.clone()).unwrap_or_default(),
        imported_sheets: hooks.sheets(),
        notices: notices::gather(&job.config.root, &sources, &lock(&job.notices)),
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
    let sheets = hooks.layout().and_then(|layout| layout.by_root.get(&stable)).cloned();
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

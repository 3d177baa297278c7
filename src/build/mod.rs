//! From sources to an output folder: this file reads top to bottom as the stages.
//!
//! Leaves first: by the time a file is fingerprinted, every URL inside it is final, so that its fingerprint covers its own bytes
//! and, through them, everything that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::config::{Config, SourceMaps};
use crate::error::{Error, Fault, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::html::Place;
use crate::manifest::{Entry, Kind, Manifest, Mode};
use crate::progress::Progress;
use crate::release::ReleaseId;

mod answers;
mod brought;
mod budget;
mod cache;
mod changes;
mod compress;
mod contents;
mod dialect;
mod discover;
mod emit;
mod graph;
mod images;
mod import_map;
mod libraries;
mod memo;
mod memory;
mod metafile;
mod modules;
mod output;
mod pages;
mod record;
mod report;
mod session;
mod styles;
mod template;
mod texts;
mod tools;
mod transform;
mod variables;
mod worker;

pub use budget::Breach;
pub use changes::{Cause, Changes, Explained};
pub use session::{Session, Snapshot};
pub use transform::script::{Syntax, syntax, without_types};

use brought::Brought;
use cache::Cache;
use changes::Comparison;
use discover::Sources;
use graph::{Graph, Scripts, Unit};
use images::Images;
use memory::Memory;
use output::{Maps, Names, Output, Outputs};
use record::Record;
use template::Templates;
use transform::css::Compiler;
use transform::script;

/// Bytes of a thread's stack: parsers and minifiers go down one level for each level of what they read.
const STACK: usize = 256 << 20;

/// What the command line decides about a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to, an absolute path.
    pub out: PathBuf,
    pub mode: Mode,
    /// Whether to make `.br`, `.zst` and `.gz`.
    pub compress: bool,
    /// How many threads; 0 for one for each core. The result is the same.
    pub threads: usize,
}

/// What every stage knows.
struct Site<'a> {
    config: &'a Config,
    mode: Mode,
    cache: &'a Arc<Cache>,
    memory: &'a Memory,
    /// What every page has before all else in its head.
    head: &'a str,
    progress: &'a dyn Progress,
}

/// A build that is done.
#[derive(Debug)]
pub struct Built {
    pub manifest: Manifest,
    /// The limits of the configuration that are exceeded.
    pub breaches: Vec<Breach>,
    record: Record,
    /// That of the build which was in the output folder before.
    last: Option<Record>,
    outputs: Outputs,
    root: PathBuf,
    /// Every source below the assets folder, parts too, by its name below the root.
    assets: Vec<String>,
}

impl Built {
    /// The names that changed since the last build into this folder; none if there was no such build.
    pub fn changes(&self) -> Option<Changes> {
        self.comparison().changes()
    }

    /// How many files are others than in the last build into this folder, or were not in it; none if there was no such build.
    pub fn differing(&self) -> Option<usize> {
        let last = self.last.as_ref()?;
        let is_same = |(name, made): &(&String, &record::Made)| {
            last.files.get(*name).is_some_and(|before| before.digest == made.digest)
        };
        Some(self.record.files.iter().filter(|made| !is_same(made)).count())
    }

    /// Why a file is another than in the last build, or that it is not. Several files if `what` is a source of several.
    pub fn why(&self, what: &str) -> Result<Vec<Explained>> {
        self.comparison().why(&self.manifest, what)
    }

    fn comparison(&self) -> Comparison<'_> {
        Comparison { last: self.last.as_ref(), now: &self.record }
    }
}

/// Builds the site into the output folder, which is replaced whole, or not at all.
pub fn build(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Built> {
    let cache = Arc::new(Cache::open(config));
    let mut memory = Memory::short(&config.root);
    let built = threads(options.threads)?.install(|| {
        refuse_overlap(config, &options.out)?;
        let made = make(config, options.mode, &cache, &mut memory, &BTreeSet::new(), "", progress)?;
        write(config, options, &cache, &memory, made, progress)
    })?;
    cache.close(progress);
    Ok(built)
}

fn threads(count: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(count).stack_size(STACK).build().map_err(|error| Error::Usage {
        message: format!("could not start {count} threads: {error}"),
        help: "pass fewer with `--threads`".to_owned(),
    })
}

/// Every file in its final form, but not compressed, and written nowhere.
struct Made {
    outputs: Outputs,
    release: ReleaseId,
    /// As it is before the pages are bound to an environment.
    unsealed: BTreeMap<String, Digest>,
    sources: Arc<Sources>,
}

/// The stages, up to what is common to all that builds are made for. `told` are paths that are known to have changed since the
/// last time.
fn make(
    config: &Config,
    mode: Mode,
    cache: &Arc<Cache>,
    memory: &mut Memory,
    told: &BTreeSet<PathBuf>,
    head: &str,
    progress: &dyn Progress,
) -> Result<Made> {
    let head = &format!("{head}{}", worker::registration(config, mode));
    progress.stage("discover", 0);
    let sources = match memory.trust(told) {
        Some(sources) => sources,
        None => {
            let by_tools = tools::run(&Site { config, mode, cache, memory, head, progress })?;
            let sources = Arc::new(Sources::discover(config, by_tools)?);
            memory.refresh(&sources, told);
            sources
        }
    };
    let outputs = stages(&Site { config, mode, cache, memory, head, progress }, &sources);
    // What was read is known, and what of it changes next, however this ends.
    memory.settle();
    let mut outputs = outputs?;
    let unsealed = outputs.files.iter().map(|(path, output)| (path.clone(), output.digest)).collect();
    let release = pages::seal(&mut outputs, mode)?;
    Ok(Made { outputs, release, unsealed, sources })
}

fn stages(site: &Site<'_>, sources: &Sources) -> Result<Outputs> {
    let Site { config, mode, progress, memory, .. } = *site;
    let templates = Templates::load(config, sources)?;
    let scripts = Scripts::new(config, memory);
    let drafts = pages::draft(site, sources, &templates, &scripts)?;
    let graph = memory.graph(&drafts, || {
        let references = |draft: &Arc<pages::Draft>| {
            let template = draft.page.template.clone();
            let named = draft.survey.references.clone().into_iter();
            named.map(move |(place, name)| (place, name, template.clone())).collect::<Vec<_>>()
        };
        let references: Vec<(Place, String, String)> = drafts.iter().flat_map(references).collect();
        Graph::new(config, sources, &references, &scripts)
    })?;

    let mut outputs = Outputs::new(&config.prefix, Names::of(mode));
    let images = Arc::new(Images::new(config, mode, site.cache));
    add_copies(site, sources, &graph, &images, &mut outputs)?;
    add_scripts(site, &graph.scripts, &mut outputs)?;
    let brought = Arc::new(Brought::new(config, &images, &memory.brought, &outputs));
    let compiler = Arc::new(Compiler::new(config, mode, site.cache)?);
    tools::provide(sources, &compiler, config)?;
    progress.stage("modules and stylesheets", graph.styles.len());
    // Side by side: much of what the bundler does is done by one thread.
    let (styles, imported) = rayon::join(
        || styles::compile(site, &compiler, &graph.styles, &brought),
        || modules::add(site, &compiler, &graph.modules, &brought, &mut outputs),
    );
    let imported = match imported {
        Ok(imported) => imported,
        // Whoever mends one wants to know of the others.
        Err(Error::Build(faults)) => return Err(Error::Build(styles::with_faults(faults, &graph.styles, &styles))),
        Err(error) => return Err(error),
    };
    styles::add(site, &compiler, &graph.styles, styles, &imported, &mut outputs)?;
    brought.hand_over(&mut outputs)?;
    images.tell(progress);
    import_map::add(site, &mut outputs)?;
    libraries::add(site, &mut outputs)?;
    pages::add_documents(config, &graph.documents, &mut outputs)?;
    pages::add(site, &templates, drafts, &mut outputs)?;
    worker::add(config, mode, progress, &mut outputs)?;
    dialect::add_workbox(config, &mut outputs)?;
    Ok(outputs)
}

/// Compresses what was made, holds it against the budgets, and puts it in the output folder's place.
fn write(
    config: &Config,
    options: &Options,
    cache: &Arc<Cache>,
    memory: &Memory,
    made: Made,
    progress: &dyn Progress,
) -> Result<Built> {
    let Made { mut outputs, release, unsealed, sources } = made;
    let record = Record::new(config, options.mode, &outputs, &unsealed, &memory.texts)?;
    if options.compress {
        compress::compress(config, cache, progress, &mut outputs)?;
    }
    let mut manifest = outputs.manifest(config, options.mode);
    manifest.release = release;
    let breaches = budget::breaches(&config.budgets, &outputs, progress)?;
    let last = Record::load(&options.out);
    let others = dialect::manifests(&config.dialects, &outputs, &manifest)?;
    emit::emit(&options.out, &outputs, &manifest, &record, &others, progress)?;
    let assets = sources.assets.values().chain(sources.parts.values());
    let assets = assets.map(|path| fs::display_name(&config.root, path)).collect();
    Ok(Built { manifest, breaches, record, last, outputs, root: config.root.clone(), assets })
}

/// The output folder is replaced whole, so it must not hold the sources, nor lie among them.
fn refuse_overlap(config: &Config, out: &Path) -> Result<()> {
    let clash = [&config.assets, &config.templates]
        .into_iter()
        .find(|folder| out.starts_with(folder) || folder.starts_with(out) || config.root.starts_with(out));
    match clash {
        None => Ok(()),
        Some(folder) => Err(Error::Usage {
            message: format!(
                "`{}` can't be the output folder: it and the sources in `{}` overlap",
                out.display(),
                folder.display()
            ),
            help: "choose another with `--out`: it is replaced whole by each build".to_owned(),
        }),
    }
}

/// Whoever panicked with it has not left anything half done: what is locked is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fault in a shared part shows up once for each page or stylesheet that it is in; it is told once.
fn distinct(mut faults: Vec<Fault>) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(format!("{fault:?}")));
    faults
}

/// All results, or every fault among them; another error stops at once.
fn gather<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::with_capacity(results.len());
    let mut faults = Vec::new();
    for result in results {
        match result {
            Ok(value) => done.push(value),
            Err(Error::Build(more)) => faults.extend(more),
            Err(error) => return Err(error),
        }
    }
    if faults.is_empty() { Ok(done) } else { Err(Error::Build(distinct(faults))) }
}

/// Images, fonts and all else that is taken as it is.
fn add_copies(site: &Site<'_>, sources: &Sources, graph: &Graph, images: &Images, outputs: &mut Outputs) -> Result<()> {
    let Site { config, progress, memory, .. } = *site;
    progress.stage("copy", graph.copies.len() + sources.public.len());
    let copy = |path: &PathBuf, make: &dyn Fn(Vec<u8>) -> Output| -> Result<Arc<Output>> {
        progress.step();
        if let Some(output) = memory.copies.get(path) {
            return Ok(output);
        }
        let bytes = sources.read(path)?;
        let length = bytes.len();
        let output = make(bytes);
        if output.bytes.len() == length {
            memory.texts.remember(path, output.digest);
        }
        Ok(memory.copies.keep(path.clone(), output, [path.clone()]))
    };
    let copies = graph.copies.par_iter().filter_map(|unit| Some((unit, unit.inputs.first()?)));
    let made = copies.map(|(unit, path)| {
        let source = || Some(fs::display_name(&config.root, path));
        let make = |bytes| Output::new(Kind::Asset, source(), images.optimise(unit.name.as_str(), bytes));
        Ok((unit, copy(path, &make)?))
    });
    for (unit, output) in made.collect::<Result<Vec<(&Unit, Arc<Output>)>>>()? {
        add_asset(config, outputs, unit, unit.name.as_str(), Output::clone(&output))?;
    }
    let known = |name: &str| name.ends_with(".webmanifest");
    for (path, source) in &sources.public {
        let kind = if known(path) { Kind::Page } else { Kind::Public };
        let make = |bytes| Output::new(kind, Some(fs::display_name(&config.root, source)), bytes);
        let output = copy(source, &make)?;
        outputs.add(path.clone(), Output::clone(&output))?;
    }
    Ok(())
}

/// Adds it at that path, under the unit's name.
fn add_asset(config: &Config, outputs: &mut Outputs, unit: &Unit, path: &str, output: Output) -> Result<(), Fault> {
    let file = outputs.add_asset(path, output, config.source_maps == SourceMaps::Public)?;
    outputs.name(&unit.name, unit.single(), Entry::new(file))
}

/// Classic scripts, and bundles of them: each is minified by itself and none is wrapped.
fn add_scripts(site: &Site<'_>, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    let Site { config, progress, .. } = *site;
    progress.stage("scripts", units.len());
    let made: Vec<Result<Arc<Output>>> = units
        .par_iter()
        .map(|unit| {
            let made = script(site, unit);
            progress.step();
            made
        })
        .collect();
    for (unit, output) in units.iter().zip(gather(made)?) {
        add_asset(config, outputs, unit, unit.name.as_str(), Output::clone(&output))?;
    }
    Ok(())
}

fn script(site: &Site<'_>, unit: &Unit) -> Result<Arc<Output>> {
    let Site { config, mode, cache, memory, .. } = *site;
    let key = (unit.name.to_string(), unit.inputs.clone());
    if let Some(output) = memory.scripts.get(&key) {
        return Ok(output);
    }
    let mut inputs = Vec::new();
    for path in &unit.inputs {
        let name = fs::display_name(&config.root, path);
        let text = fs::read_text(path, &name)?;
        inputs.push((name, text));
    }
    let make = || Ok(script::concatenate(unit.name.as_str(), &inputs, mode)?);
    let made = match mode {
        Mode::Development => make()?,
        Mode::Production => {
            let mut parts = vec![unit.name.as_str().as_bytes()];
            parts.extend(inputs.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]));
            cache.get_or_make_value("script", &parts, make)?
        }
    };
    let source = unit.single().map(|path| fs::display_name(&config.root, path));
    let mut output = Output::compiled(unit.name.as_str(), source, made.code, made.map, Maps::of(config, mode));
    Arc::make_mut(&mut output.inputs).extend(inputs.into_iter().map(|(name, _)| name));
    Ok(memory.scripts.keep(key, output, unit.inputs.iter().cloned()))
}

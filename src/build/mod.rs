//! From sources to an output folder: this file reads top to bottom as the stages.
//!
//! Leaves first: by the time a file is fingerprinted, every URL inside it is final, so that its fingerprint covers its own bytes
//! and, through them, everything that it refers to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::config::{Config, SourceMaps};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::html::Place;
use crate::manifest::{Entry, Kind, Manifest, Mode};
use crate::progress::Progress;

mod answers;
mod brought;
mod budget;
mod cache;
mod changes;
mod compress;
mod contents;
mod discover;
mod emit;
mod graph;
mod images;
mod metafile;
mod modules;
mod output;
mod pages;
mod record;
mod report;
mod styles;
mod template;
mod texts;
mod tools;
mod transform;
mod variables;
mod vite;

pub use budget::Breach;
pub use changes::{Cause, Changes, Explained};

use brought::Brought;
use cache::Cache;
use changes::Comparison;
use discover::Sources;
use graph::{Graph, Scripts, Unit};
use images::Images;
use output::{Output, Outputs};
use record::Record;
use template::Templates;
use texts::Texts;
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
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).stack_size(STACK).build().map_err(|error| {
            Error::Usage {
                message: format!("could not start {} threads: {error}", options.threads),
                help: "pass fewer with `--threads`".to_owned(),
            }
        })?;
    let cache = Arc::new(Cache::open(config));
    let site = Site { config, mode: options.mode, cache: &cache, progress };
    let built = threads.install(|| stages(&site, options))?;
    cache.close(progress);
    Ok(built)
}

fn stages(site: &Site<'_>, options: &Options) -> Result<Built> {
    let Site { config, mode, progress, .. } = *site;
    refuse_overlap(config, &options.out)?;
    config.warnings.iter().for_each(|warning| progress.warn(warning.clone()));

    progress.stage("discover", 0);
    let sources = Sources::discover(config, tools::run(site)?)?;
    let templates = Templates::load(config, &sources)?;
    let texts = Arc::new(Texts::new(&config.root));
    let scripts = Scripts::new(config, &texts);
    let drafts = pages::draft(site, &sources, &templates, &scripts)?;
    let references: Vec<(Place, String, String)> = drafts
        .iter()
        .flat_map(|draft| {
            draft.survey.references.iter().map(|(place, name)| (*place, name.clone(), draft.page.template.clone()))
        })
        .collect();
    let graph = Graph::new(config, &sources, &references, &scripts)?;

    let mut outputs = Outputs::new(&config.prefix);
    let images = Arc::new(Images::new(config, site.cache));
    add_copies(site, &sources, &graph, &images, &texts, &mut outputs)?;
    add_scripts(site, &graph.scripts, &mut outputs)?;
    let brought = Arc::new(Brought::new(config, &images, &outputs));
    let compiler = Arc::new(Compiler::new(config, mode, site.cache)?);
    tools::provide(&sources, &compiler, config)?;
    progress.stage("modules and stylesheets", graph.styles.len());
    // Side by side: much of what the bundler does is done by one thread.
    let (styles, imported) = rayon::join(
        || styles::compile(site, &compiler, &graph.styles, &brought),
        || modules::add(site, &compiler, &graph.modules, &texts, &brought, &mut outputs),
    );
    styles::add(site, &compiler, &graph.styles, styles, &imported?, &mut outputs)?;
    brought.hand_over(&mut outputs)?;
    images.tell(progress);
    pages::add_documents(config, &graph.documents, &mut outputs)?;
    pages::add(site, &templates, drafts, &mut outputs)?;
    let record = Record::new(config, mode, &outputs, &texts)?;
    let release = pages::seal(&mut outputs, mode)?;
    if options.compress {
        compress::compress(site, &mut outputs)?;
    }
    let mut manifest = outputs.manifest(config, mode);
    manifest.release = release;
    let breaches = budget::breaches(&config.budgets, &outputs, progress)?;
    let last = Record::load(&options.out);
    emit::emit(&options.out, &outputs, &manifest, &record, progress)?;
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
fn add_copies(
    site: &Site<'_>,
    sources: &Sources,
    graph: &Graph,
    images: &Images,
    texts: &Texts,
    outputs: &mut Outputs,
) -> Result<()> {
    let Site { config, progress, .. } = *site;
    progress.stage("copy", graph.copies.len() + sources.public.len());
    let read = |path: &Path| {
        progress.step();
        sources.read(path)
    };
    let copies = graph.copies.par_iter().filter_map(|unit| Some((unit, unit.single()?)));
    let made = copies.map(|(unit, path)| {
        let bytes = read(path)?;
        let length = bytes.len();
        let output = asset(config, unit, images.optimise(unit.name.as_str(), bytes), None);
        if output.bytes.len() == length {
            texts.remember(path, output.digest);
        }
        Ok((unit, output))
    });
    for (unit, output) in made.collect::<Result<Vec<(&Unit, Output)>>>()? {
        add_asset(config, outputs, unit, unit.name.as_str(), output)?;
    }
    let known = |name: &str| name.ends_with(".webmanifest");
    for (path, source) in &sources.public {
        let kind = if known(path) { Kind::Page } else { Kind::Public };
        let output = Output::new(kind, Some(fs::display_name(&config.root, source)), read(source)?);
        texts.remember(source, output.digest);
        outputs.add(path.clone(), output)?;
    }
    Ok(())
}

/// The one file that a unit became.
fn asset(config: &Config, unit: &Unit, bytes: Vec<u8>, map: Option<String>) -> Output {
    let source = unit.single().map(|path| fs::display_name(&config.root, path));
    let mut output = Output::new(Kind::Asset, source, bytes);
    output.inputs = unit.inputs.iter().map(|path| fs::display_name(&config.root, path)).collect();
    output.map = map.filter(|_| config.source_maps != SourceMaps::None);
    output
}

/// Adds it at that path, under the unit's name.
fn add_asset(config: &Config, outputs: &mut Outputs, unit: &Unit, path: &str, output: Output) -> Result<(), Fault> {
    let file = outputs.add_asset(path, output, config.source_maps == SourceMaps::Public)?;
    outputs.name(&unit.name, unit.single(), Entry::new(file))
}

/// Classic scripts, and bundles of them: each is minified by itself and none is wrapped.
fn add_scripts(site: &Site<'_>, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    let Site { config, mode, cache, progress } = *site;
    progress.stage("scripts", units.len());
    let made: Vec<Result<script::Minified>> = units
        .par_iter()
        .map(|unit| {
            let mut inputs = Vec::new();
            for path in &unit.inputs {
                let name = fs::display_name(&config.root, path);
                let text = fs::read_text(path, &name)?;
                inputs.push((name, text));
            }
            progress.step();
            let make = || Ok(script::concatenate(unit.name.as_str(), &inputs, mode)?);
            match mode {
                Mode::Development => make(),
                Mode::Production => {
                    let mut parts = vec![unit.name.as_str().as_bytes()];
                    parts.extend(inputs.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]));
                    cache.get_or_make_value("script", &parts, make)
                }
            }
        })
        .collect();
    for (unit, made) in units.iter().zip(gather(made)?) {
        add_asset(config, outputs, unit, unit.name.as_str(), asset(config, unit, made.code.into_bytes(), made.map))?;
    }
    Ok(())
}

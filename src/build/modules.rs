//! The stage that bundles module graphs, with the stylesheets that they import, and what is remembered of who imports whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arcstr::ArcStr;
use rayon::prelude::*;

use super::brought::{Brought, StyleUrls};
use super::graph::Unit;
use super::output::{Imports, Maps, Names, Output, Outputs};
use super::record::Relation;
use super::styles::{self, Made};
use super::texts::Texts;
use super::transform::css::{self, Compiler, Style};
use super::transform::html::reach;
use super::transform::module::{Bundled, Bundler, ClassNames, EntryModule, Host, Piece, Sheet};
use super::{Site, gather, lock};
use crate::asset::{relative_url, split_suffix};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::{Entry, Kind};

mod kept;

pub use kept::Kept;

/// What each entry is called and made of.
pub type Key = Vec<(String, Vec<PathBuf>)>;

/// Where the licences of packages lie, below the output folder.
const NOTICES: &str = "third-party-licenses.txt";

/// A module graph as it was bundled.
#[derive(Debug)]
pub struct Modules {
    bundled: Bundled,
    /// What each of its chunks is written to.
    chunks: Vec<Output>,
    told: Arc<Told>,
    taken: Taken,
}

/// By source: what the modules have brought into the build.
type Taken = Arc<[(PathBuf, (String, Output))]>;

/// Bundles the modules as one graph, and names each chunk after its final bytes. Gives the stylesheets that they import.
pub(super) fn add(
    site: &Site<'_>,
    compiler: &Arc<Compiler>,
    units: &[Unit],
    brought: &Arc<Brought>,
    outputs: &mut Outputs,
) -> Result<BTreeSet<PathBuf>> {
    let entries = entries(units)?;
    let key: Key = entries.iter().map(|entry| (entry.name.clone(), entry.inputs.clone())).collect();
    let modules = match site.memory.modules.get(&key) {
        Some(modules) => {
            modules.restore(brought)?;
            modules
        }
        None => kept::make(site, compiler, &entries, key, brought)?,
    };
    let bundled = &modules.bundled;
    // Nobody asks what is in a build that the next one follows.
    if !site.memory.lasts() {
        outputs.sources.extend(bundled.sources.clone());
    }
    let mut files = add_sheets(site, compiler, &bundled.sheets, brought, outputs)?;
    let sheets: Vec<String> = bundled.sheets.iter().filter_map(|sheet| files.get(&sheet.stable).cloned()).collect();
    modules.add_chunks(site, &mut files, outputs)?;
    connect(site, units, bundled, &files, &sheets, outputs)?;
    if let Some(notices) = &bundled.notices {
        let output = Output::new(Kind::Public, None, notices.clone().into_bytes());
        if !outputs.files.contains_key(NOTICES) {
            outputs.add(NOTICES.to_owned(), output)?;
        }
    }
    Ok(bundled.imported_sheets.clone())
}

impl Modules {
    fn new(site: &Site<'_>, mut bundled: Bundled, told: Arc<Told>, taken: Taken) -> Self {
        let maps = Maps::of(site.config, site.mode);
        let chunks = bundled.chunks.par_iter_mut().map(|chunk| {
            let code = std::mem::take(&mut chunk.code);
            let mut output = Output::compiled(&chunk.path, chunk.source.clone(), code, chunk.map.take(), maps);
            output.name = format!("{}/{}", site.config.prefix, chunk.stable);
            Arc::make_mut(&mut output.inputs)
                .extend(chunk.modules.iter().map(|module| split_suffix(&module.source).0.to_owned()));
            output
        });
        let chunks = chunks.collect();
        Modules { bundled, chunks, told, taken }
    }

    /// Brings into the build what the modules brought when they were bundled.
    fn restore(&self, brought: &Brought) -> Result<()> {
        self.taken.iter().for_each(|(source, taken)| brought.take(source, taken));
        self.told.assets.iter().try_for_each(|source| brought.file(source).map(drop))?;
        Ok(())
    }

    /// Adds the chunks to the outputs, and each one's file by its stable path to `files`.
    fn add_chunks(&self, site: &Site<'_>, files: &mut BTreeMap<String, String>, outputs: &mut Outputs) -> Result<()> {
        let chunks = &self.bundled.chunks;
        // A worker that a worker starts is known there by its bytes as they are: nothing may be added to them.
        let by_name: BTreeSet<&String> = chunks.iter().flat_map(|chunk| &chunk.files).collect();
        let mut taken = BTreeSet::new();
        for (chunk, output) in chunks.iter().zip(&self.chunks) {
            let is_final = by_name.contains(&output.digest.fingerprint().name(&chunk.path));
            // Two modules of the same text are two modules: they must not become one file. Each start of a worker is a new one anyway.
            let is_first = chunk.is_closed || taken.insert((&chunk.path, output.digest));
            let path = match outputs.names {
                Names::Fingerprinted if is_first => &chunk.path,
                Names::Fingerprinted | Names::Plain => &chunk.stable,
            };
            let public = Maps::of(site.config, site.mode) == Maps::Public && !is_final;
            let file = outputs.add_asset(path, output.clone(), public)?;
            files.insert(chunk.stable.clone(), file);
        }
        Ok(())
    }
}

fn entries(units: &[Unit]) -> Result<Vec<EntryModule>, Fault> {
    let name = |unit: &Unit| {
        format!("{}.js", unit.name.as_str().rsplit_once('.').map_or(unit.name.as_str(), |(stem, _)| stem))
    };
    let mut names = BTreeMap::new();
    for unit in units {
        if let Some(other) = names.insert(name(unit), &unit.name) {
            let fault = Fault::new(format!("`{other}` and `{}` would both be written to `{}`", unit.name, name(unit)));
            return Err(fault.hint("rename one of them"));
        }
    }
    Ok(units.iter().map(|unit| EntryModule { name: name(unit), inputs: unit.inputs.clone() }).collect())
}

/// Compiles the stylesheets of the modules; gives each one's file by its stable path.
fn add_sheets(
    site: &Site<'_>,
    compiler: &Compiler,
    sheets: &[Sheet],
    brought: &Brought,
    outputs: &mut Outputs,
) -> Result<BTreeMap<String, String>> {
    let config = site.config;
    let made: Vec<Result<Arc<Made>>> = sheets
        .par_iter()
        .map(|sheet| {
            let style = css::Sheet { name: sheet.path.clone(), inputs: &sheet.inputs, composed: false };
            styles::make(site, compiler, brought, &sheet.path, &style)
        })
        .collect();
    let mut files = BTreeMap::new();
    for (sheet, made) in sheets.iter().zip(gather(made)?) {
        made.remember(config, outputs);
        let mut output = made.output.clone();
        output.name = format!("{}/{}", config.prefix, sheet.stable);
        let path = match outputs.names {
            Names::Fingerprinted => &sheet.path,
            Names::Plain => &sheet.stable,
        };
        let file = outputs.add_asset(path, output, Maps::of(config, site.mode) == Maps::Public)?;
        files.insert(sheet.stable.clone(), file);
    }
    Ok(files)
}

/// Remembers who imports whom, what the import map has to say, and which file each entry became.
fn connect(
    site: &Site<'_>,
    units: &[Unit],
    bundled: &Bundled,
    files: &BTreeMap<String, String>,
    sheets: &[String],
    outputs: &mut Outputs,
) -> Result<()> {
    let config = site.config;
    let file = |stable: &String| files.get(stable).cloned();
    let mut imported: BTreeSet<&String> = BTreeSet::new();
    for chunk in &bundled.chunks {
        let imports = Imports {
            fixed: chunk.imports.iter().filter_map(file).collect(),
            dynamic: chunk.dynamic_imports.iter().filter_map(file).collect(),
            sheets: chunk.sheets.iter().filter_map(|sheet| sheets.get(*sheet).cloned()).collect(),
            files: chunk.files.iter().map(|file| format!("{}/{file}", config.prefix)).collect(),
            is_dynamic_entry: chunk.is_dynamic_entry,
            name: chunk.name.clone(),
            exports: chunk.exports.clone(),
            modules: chunk.modules.iter().map(|module| (module.source.clone(), module.bytes as u64)).collect(),
        };
        imported.extend(chunk.imports.iter().chain(&chunk.dynamic_imports));
        if chunk.is_dynamic_entry {
            imported.extend(chunk.sheets.iter().filter_map(|sheet| Some(&bundled.sheets.get(*sheet)?.stable)));
        }
        if let Some(file) = file(&chunk.stable) {
            outputs.imports.insert(file, imports);
        }
    }
    // Where a chunk's file is called as the others call it, nothing has to lead there.
    let import_map = files.iter().filter(|(stable, _)| imported.contains(stable) && outputs.names != Names::Plain);
    outputs.chunks = import_map.map(|(stable, file)| (format!("{}/{stable}", config.prefix), file.clone())).collect();
    for chunk in &bundled.chunks {
        let (Some(unit), Some(file)) = (chunk.entry.and_then(|entry| units.get(entry)), file(&chunk.stable)) else {
            continue;
        };
        let imports = reach(outputs, &[&file], false).into_iter().skip(1).map(str::to_owned).collect();
        let css = outputs.imports.get(&file).map(|imports| imports.sheets.clone()).unwrap_or_default();
        outputs.name(&unit.name, unit.single(), Entry { file, imports, css, module: true })?;
    }
    Ok(())
}

/// What modules asked for beside their own texts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// The files that what they are bundled to depends on.
    inputs: BTreeSet<PathBuf>,
    /// The files whose URLs they name.
    assets: BTreeSet<PathBuf>,
    /// Those of them that were made into something else.
    taken: BTreeSet<PathBuf>,
}

/// What the modules find beside themselves.
#[derive(Debug)]
struct Shelf {
    texts: Arc<Texts>,
    brought: Arc<Brought>,
    compiler: Arc<Compiler>,
    maps: Maps,
    told: Arc<Mutex<Told>>,
}

impl Shelf {
    fn below_prefix(&self, file: String) -> String {
        let below = file.strip_prefix(&self.brought.config().prefix).and_then(|file| file.strip_prefix('/'));
        below.map(str::to_owned).unwrap_or(file)
    }

    fn compile(
        &self,
        path: &Path,
        write: &(dyn Fn(&str, &str) -> String + Sync),
    ) -> Result<(Style, BTreeSet<(Relation, String)>), Fault> {
        let name = fs::display_name(&self.brought.config().root, path);
        let inputs = [path.to_owned()];
        let urls = StyleUrls::new(&self.brought, write);
        let style = self.compiler.compile(&css::Sheet { name, inputs: &inputs, composed: true }, &urls);
        let style = style.map_err(|faults| Error::Build(faults).into_fault())?;
        let (refers, targets) = urls.into_told();
        let mut told = lock(&self.told);
        told.inputs.extend(style.parts.iter().cloned());
        told.assets.extend(targets);
        Ok((style, refers))
    }
}

/// What stands for a file's URL in a stylesheet's text until the script that holds it has its place; CSS has no such character
/// but in strings, where it would be escaped.
const MARK: char = '\u{fdd0}';

impl Host for Shelf {
    fn text(&self, path: &Path) -> Result<ArcStr> {
        self.texts.read(path)
    }

    fn asset(&self, path: &Path) -> Result<String, Fault> {
        let file = self.brought.file(path)?;
        lock(&self.told).assets.insert(path.to_owned());
        Ok(self.below_prefix(file))
    }

    fn sheet_file(&self, path: &Path) -> Result<String, Fault> {
        let config = self.brought.config();
        let name = self.brought.name(path);
        let path_of = format!("{}.css", name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem));
        let from = format!("{}/{path_of}", config.prefix);
        let (style, refers) = self.compile(path, &|file, suffix| relative_url(&from, file) + suffix)?;
        let source = fs::display_name(&config.root, path);
        let mut output = Output::compiled(&path_of, Some(source), style.code, Some(style.map), self.maps);
        Arc::make_mut(&mut output.inputs).extend(style.parts.iter().map(|part| fs::display_name(&config.root, part)));
        output.refers = refers;
        lock(&self.told).taken.insert(path.to_owned());
        Ok(self.below_prefix(self.brought.add(path, &path_of, output)))
    }

    fn sheet_text(&self, path: &Path) -> Result<Vec<Piece>, Fault> {
        let (style, _) = self.compile(path, &|file, suffix| format!("{MARK}{file}{MARK}{suffix}"))?;
        let pieces = style.code.split(MARK).enumerate();
        let piece = |(index, text): (usize, &str)| match index % 2 {
            0 => Piece::Text(text.to_owned()),
            _ => Piece::File(self.below_prefix(text.to_owned())),
        };
        Ok(pieces.map(piece).collect())
    }

    fn css_module(&self, path: &Path) -> Result<ClassNames, Fault> {
        let told = |faults| Error::Build(faults).into_fault();
        let module = self.compiler.module(path).map_err(told)?;
        let mut queue = vec![path.to_owned()];
        while let Some(path) = queue.pop() {
            let others = &self.compiler.module(&path).map_err(told)?.dependencies;
            if lock(&self.told).inputs.insert(path) {
                queue.extend(others.iter().cloned());
            }
        }
        Ok(ClassNames { classes: module.exports.clone(), dependencies: module.dependencies.clone() })
    }

    fn data_url(&self, path: &Path) -> Result<String, Fault> {
        lock(&self.told).inputs.insert(path.to_owned());
        self.brought.data_url(path)
    }
}

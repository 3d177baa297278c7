//! The stage that bundles module graphs, with the stylesheets that they import, and what is remembered of who imports whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arcstr::ArcStr;
use rayon::prelude::*;

use super::brought::{Brought, StyleUrls};
use super::graph::Unit;
use super::output::{Imports, Output, Outputs};
use super::styles::{Made, remember};
use super::texts::Texts;
use super::transform::css::{self, Compiler};
use super::transform::html::reach;
use super::transform::module::{Bundled, Chunk, ClassNames, EntryModule, Host, Piece, Sheet, bundle};
use super::{Site, gather};
use crate::asset::{relative_url, split_suffix};
use crate::config::SourceMaps;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::{Entry, Kind};

/// Where the licences of packages lie, below the output folder.
const NOTICES: &str = "third-party-licenses.txt";

/// Bundles the modules as one graph, and names each chunk after its final bytes. Gives the stylesheets that they import.
pub(super) fn add(
    site: &Site<'_>,
    compiler: &Arc<Compiler>,
    units: &[Unit],
    texts: &Arc<Texts>,
    brought: &Arc<Brought>,
    outputs: &mut Outputs,
) -> Result<BTreeSet<PathBuf>> {
    let Site { config, mode, progress, .. } = *site;
    let entries = entries(units)?;
    let host = Shelf { texts: Arc::clone(texts), brought: Arc::clone(brought), compiler: Arc::clone(compiler) };
    let mut bundled = bundle(config, mode, &entries, Arc::new(host), site.cache, progress)?;
    outputs.sources.extend(bundled.sources.clone());
    let mut files = add_sheets(site, compiler, &bundled.sheets, brought, outputs)?;
    let sheets: Vec<String> = bundled.sheets.iter().filter_map(|sheet| files.get(&sheet.stable).cloned()).collect();
    add_chunks(site, &mut bundled.chunks, &mut files, outputs)?;
    connect(site, units, &bundled, &files, &sheets, outputs)?;
    if let Some(notices) = bundled.notices {
        let output = Output::new(Kind::Public, None, notices.into_bytes());
        if !outputs.files.contains_key(NOTICES) {
            outputs.add(NOTICES.to_owned(), output)?;
        }
    }
    Ok(bundled.imported_sheets)
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
    let made: Vec<Result<Made>> = sheets
        .par_iter()
        .map(|sheet| {
            let from = format!("{}/{}", config.prefix, sheet.path);
            let write = |file: &str, suffix: &str| relative_url(&from, file) + suffix;
            let urls = StyleUrls::new(brought, &write);
            let style = compiler
                .compile(&css::Sheet { name: sheet.path.clone(), inputs: &sheet.inputs, composed: false }, &urls)
                .map_err(Error::Build)?;
            Ok((style, urls.into_refers()))
        })
        .collect();
    let mut files = BTreeMap::new();
    for (sheet, (style, refers)) in sheets.iter().zip(gather(made)?) {
        remember(config, &style, outputs);
        let source = match sheet.inputs.as_slice() {
            [only] => Some(fs::display_name(&config.root, only)),
            _ => None,
        };
        let mut output = Output::new(Kind::Asset, source, style.code.into_bytes());
        output.map = Some(style.map).filter(|_| config.source_maps != SourceMaps::None);
        output.name = format!("{}/{}", config.prefix, sheet.stable);
        output.inputs.extend(style.parts.iter().map(|part| fs::display_name(&config.root, part)));
        output.refers = refers;
        let file = outputs.add_asset(&sheet.path, output, config.source_maps == SourceMaps::Public)?;
        files.insert(sheet.stable.clone(), file);
    }
    Ok(files)
}

/// Moves the chunks' code to the outputs, and adds each one's file by its stable path to `files`.
fn add_chunks(
    site: &Site<'_>,
    chunks: &mut [Chunk],
    files: &mut BTreeMap<String, String>,
    outputs: &mut Outputs,
) -> Result<()> {
    // A worker that a worker starts is known there by its bytes as they are: nothing may be added to them.
    let by_name: BTreeSet<String> = chunks.iter().flat_map(|chunk| chunk.files.iter().cloned()).collect();
    let mut taken = BTreeSet::new();
    for chunk in chunks {
        let mut output = Output::new(Kind::Asset, chunk.source.clone(), std::mem::take(&mut chunk.code).into_bytes());
        let is_final = by_name.contains(&output.digest.fingerprint().name(&chunk.path));
        // Two modules of the same text are two modules: they must not become one file. Each start of a worker is a new one anyway.
        let path = match chunk.is_closed || taken.insert((chunk.path.clone(), output.digest)) {
            true => &chunk.path,
            false => &chunk.stable,
        };
        output.map = chunk.map.take();
        output.name = format!("{}/{}", site.config.prefix, chunk.stable);
        output.inputs.extend(chunk.modules.iter().map(|module| split_suffix(&module.source).0.to_owned()));
        let public = site.config.source_maps == SourceMaps::Public && !is_final;
        let file = outputs.add_asset(path, output, public)?;
        files.insert(chunk.stable.clone(), file);
    }
    Ok(())
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
    let import_map = files.iter().filter(|(stable, _)| imported.contains(stable));
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

/// What the modules find beside themselves.
#[derive(Debug)]
struct Shelf {
    texts: Arc<Texts>,
    brought: Arc<Brought>,
    compiler: Arc<Compiler>,
}

impl Shelf {
    fn below_prefix(&self, file: String) -> String {
        let below = file.strip_prefix(&self.brought.config().prefix).and_then(|file| file.strip_prefix('/'));
        below.map(str::to_owned).unwrap_or(file)
    }

    fn compile(&self, path: &Path, write: &(dyn Fn(&str, &str) -> String + Sync)) -> Result<Made, Fault> {
        let name = fs::display_name(&self.brought.config().root, path);
        let inputs = [path.to_owned()];
        let urls = StyleUrls::new(&self.brought, write);
        let made = self.compiler.compile(&css::Sheet { name, inputs: &inputs, composed: true }, &urls);
        Ok((made.map_err(|faults| Error::Build(faults).into_fault())?, urls.into_refers()))
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
        Ok(self.below_prefix(self.brought.file(path)?))
    }

    fn sheet_file(&self, path: &Path) -> Result<String, Fault> {
        let config = self.brought.config();
        let name = self.brought.name(path);
        let path_of = format!("{}.css", name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem));
        let from = format!("{}/{path_of}", config.prefix);
        let (style, refers) = self.compile(path, &|file, suffix| relative_url(&from, file) + suffix)?;
        let source = fs::display_name(&config.root, path);
        let mut output = Output::new(Kind::Asset, Some(source), style.code.into_bytes());
        output.map = Some(style.map).filter(|_| config.source_maps != SourceMaps::None);
        output.inputs.extend(style.parts.iter().map(|part| fs::display_name(&config.root, part)));
        output.refers = refers;
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
        let module = self.compiler.module(path).map_err(|faults| Error::Build(faults).into_fault())?;
        Ok(ClassNames { classes: module.exports.clone(), dependencies: module.dependencies.clone() })
    }

    fn data_url(&self, path: &Path) -> Result<String, Fault> {
        self.brought.data_url(path)
    }
}

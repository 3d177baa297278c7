//! The stage that compiles stylesheets, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::brought::{Brought, StyleUrls};
use super::contents::{Import, ImportKind};
use super::graph::Unit;
use super::output::{Maps, Output, Outputs};
use super::transform::css::{Compiler, Sheet};
use super::{Site, add_asset, distinct, gather};
use crate::asset::{LogicalPath, relative_url};
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;

/// What a stylesheet is made for: its name, its sources, and whether what they compose from goes in too.
pub type StyleKey = (String, Vec<PathBuf>, bool);

/// A stylesheet as it is written.
#[derive(Debug)]
pub struct Made {
    pub output: Output,
    /// The files that went into it.
    parts: BTreeSet<PathBuf>,
    imports: Vec<(PathBuf, PathBuf, String)>,
    /// The files that its `url()`s lead to.
    brought: BTreeSet<PathBuf>,
}

/// Makes the stylesheet of these inputs, to be written to `path` below the prefix. `name` is how the user knows it.
pub(super) fn make(
    site: &Site<'_>,
    compiler: &Compiler,
    brought: &Brought,
    path: &str,
    sheet: &Sheet<'_>,
) -> Result<Arc<Made>> {
    let config = site.config;
    let key = (path.to_owned(), sheet.inputs.to_owned(), sheet.composed);
    if let Some(made) = site.memory.styles.get(&key) {
        made.brought.iter().try_for_each(|file| brought.file(file).map(drop))?;
        return Ok(made);
    }
    let from = format!("{}/{path}", config.prefix);
    let write = |file: &str, suffix: &str| relative_url(&from, file) + suffix;
    let urls = StyleUrls::new(brought, &write);
    let style = compiler.compile(sheet, &urls).map_err(Error::Build)?;
    let source = match sheet.inputs {
        [only] => Some(fs::display_name(&config.root, only)),
        _ => None,
    };
    let mut output = Output::compiled(path, source, style.code, Some(style.map), Maps::of(config, site.mode));
    let inputs = sheet.inputs.iter().chain(&style.parts);
    output.inputs = Arc::new(inputs.map(|part| fs::display_name(&config.root, part)).collect());
    let (refers, brought) = urls.into_told();
    output.refers = refers;
    let parts: Vec<PathBuf> = style.parts.iter().cloned().collect();
    let made = Made { output, parts: style.parts, imports: style.imports, brought };
    Ok(site.memory.styles.keep(key, made, parts))
}

/// Compiles each stylesheet.
pub(super) fn compile(
    site: &Site<'_>,
    compiler: &Compiler,
    units: &[Unit],
    brought: &Brought,
) -> Vec<Result<Arc<Made>>> {
    let Site { config, progress, .. } = *site;
    units
        .par_iter()
        .map(|unit| {
            let own = unit.single().map(|path| fs::display_name(&config.root, path));
            let name = own.unwrap_or_else(|| unit.name.to_string());
            let sheet = Sheet { name, inputs: &unit.inputs, composed: true };
            let made = make(site, compiler, brought, &output_path(&unit.name), &sheet);
            progress.step();
            made
        })
        .collect()
}

/// Adds what became of each stylesheet to the outputs; one that nobody names is left out if it is a part of another, or of a script
/// (`imported`).
pub(super) fn add(
    site: &Site<'_>,
    compiler: &Compiler,
    units: &[Unit],
    made: Vec<Result<Arc<Made>>>,
    imported: &BTreeSet<PathBuf>,
    outputs: &mut Outputs,
) -> Result<()> {
    let Site { config, progress, .. } = *site;
    compiler.warnings().into_iter().for_each(|warning| progress.warn(warning));
    let parts = parts(units, &made, imported);
    let is_part = |unit: &Unit| unit.inputs.iter().any(|input| parts.contains(input));
    // A part need not compile by itself: Sass may count on what others define.
    let kept = units.iter().zip(made).filter(|(unit, _)| unit.named || !is_part(unit));
    let (units, made): (Vec<&Unit>, Vec<Result<Arc<Made>>>) = kept.unzip();
    let styles = gather(made)?;
    let mut names = BTreeMap::new();
    for (unit, made) in units.into_iter().zip(styles) {
        let path = output_path(&unit.name);
        if let Some(other) = names.insert(path.clone(), &unit.name) {
            let fault = Fault::new(format!("`{other}` and `{}` would both be written to `{path}`", unit.name));
            return Err(fault.hint("rename one of them, or remove it if it was compiled from the other").into());
        }
        made.remember(config, outputs);
        add_asset(config, outputs, unit, &path, made.output.clone())?;
    }
    Ok(())
}

/// These faults, and those of the stylesheets that are no parts of others.
pub(super) fn with_faults(mut faults: Vec<Fault>, units: &[Unit], made: &[Result<Arc<Made>>]) -> Vec<Fault> {
    let parts = parts(units, made, &BTreeSet::new());
    for (unit, made) in units.iter().zip(made) {
        let is_part = unit.inputs.iter().any(|input| parts.contains(input));
        if let Err(Error::Build(more)) = made
            && (unit.named || !is_part)
        {
            faults.extend(more.iter().cloned());
        }
    }
    distinct(faults)
}

impl Made {
    /// Remembers what the stylesheet's sources import, for those who ask what is in a build.
    pub fn remember(&self, config: &Config, outputs: &mut Outputs) {
        for (from, to, written) in &self.imports {
            let import = Import::of(fs::display_name(&config.root, to), ImportKind::Rule);
            let import = Import { original: Some(written.clone()), ..import };
            outputs.sources.entry(fs::display_name(&config.root, from)).or_default().insert(import);
        }
    }
}

/// Every file that is a part of another stylesheet, or of a script (`imported`).
fn parts(units: &[Unit], made: &[Result<Arc<Made>>], imported: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let styles = units.iter().zip(made).filter_map(|(unit, made)| Some((unit, made.as_ref().ok()?)));
    let others = styles
        .flat_map(|(unit, made)| made.parts.iter().filter(|part| !unit.inputs.contains(part) || unit.inputs.len() > 1));
    others.chain(imported).cloned().collect()
}

/// What a stylesheet is written to: its logical path, as CSS.
fn output_path(name: &LogicalPath) -> String {
    match name.as_str().rsplit_once('.') {
        Some((stem, _)) if name.extension() != "css" => format!("{stem}.css"),
        _ => name.to_string(),
    }
}

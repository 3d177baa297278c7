//! The stage that compiles stylesheets, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;

use super::brought::{Brought, StyleUrls};
use super::contents::{Import, ImportKind};
use super::graph::Unit;
use super::output::Outputs;
use super::record::Relation;
use super::transform::css::{Compiler, Sheet, Style};
use super::{Site, add_asset, asset, gather};
use crate::asset::{LogicalPath, relative_url};
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;

/// A stylesheet, and the files that its `url()`s name.
pub type Made = (Style, BTreeSet<(Relation, String)>);

/// Compiles each stylesheet.
pub(super) fn compile(site: &Site<'_>, compiler: &Compiler, units: &[Unit], brought: &Brought) -> Vec<Result<Made>> {
    let Site { config, progress, .. } = *site;
    units
        .par_iter()
        .map(|unit| {
            let own = unit.single().map(|path| fs::display_name(&config.root, path));
            let name = own.unwrap_or_else(|| unit.name.to_string());
            let from = format!("{}/{}", config.prefix, unit.name);
            let write = |file: &str, suffix: &str| relative_url(&from, file) + suffix;
            let urls = StyleUrls::new(brought, &write);
            let style = compiler.compile(&Sheet { name, inputs: &unit.inputs, composed: true }, &urls);
            progress.step();
            Ok((style.map_err(Error::Build)?, urls.into_refers()))
        })
        .collect()
}

/// Adds what became of each stylesheet to the outputs; one that nobody names is left out if it is a part of another, or of a script
/// (`imported`).
pub(super) fn add(
    site: &Site<'_>,
    compiler: &Compiler,
    units: &[Unit],
    made: Vec<Result<Made>>,
    imported: &BTreeSet<PathBuf>,
    outputs: &mut Outputs,
) -> Result<()> {
    let Site { config, progress, .. } = *site;
    compiler.warnings().into_iter().for_each(|warning| progress.warn(warning));
    let parts = parts(units, &made, imported);
    let is_part = |unit: &Unit| unit.inputs.iter().any(|input| parts.contains(input));
    // A part need not compile by itself: Sass may count on what others define.
    let kept = units.iter().zip(made).filter(|(unit, _)| unit.named || !is_part(unit));
    let (units, made): (Vec<&Unit>, Vec<Result<Made>>) = kept.unzip();
    let styles = gather(made)?;
    let mut names = BTreeMap::new();
    for (unit, (style, refers)) in units.into_iter().zip(styles) {
        let path = output_path(&unit.name);
        if let Some(other) = names.insert(path.clone(), &unit.name) {
            let fault = Fault::new(format!("`{other}` and `{}` would both be written to `{path}`", unit.name));
            return Err(fault.hint("rename one of them, or remove it if it was compiled from the other").into());
        }
        remember(config, &style, outputs);
        let mut output = asset(config, unit, style.code.into_bytes(), Some(style.map));
        output.inputs.extend(style.parts.iter().map(|part| fs::display_name(&config.root, part)));
        output.refers = refers;
        add_asset(config, outputs, unit, &path, output)?;
    }
    Ok(())
}

/// Remembers what the stylesheet's sources import, for those who ask what is in a build.
pub(super) fn remember(config: &Config, style: &Style, outputs: &mut Outputs) {
    for (from, to, written) in &style.imports {
        let import = Import::of(fs::display_name(&config.root, to), ImportKind::Rule);
        let import = Import { original: Some(written.clone()), ..import };
        outputs.sources.entry(fs::display_name(&config.root, from)).or_default().insert(import);
    }
}

/// Every file that is a part of another stylesheet, or of a script (`imported`).
fn parts(units: &[Unit], made: &[Result<Made>], imported: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let styles = units.iter().zip(made).filter_map(|(unit, made)| Some((unit, made.as_ref().ok()?)));
    let others = styles.flat_map(|(unit, (style, _))| {
        style.parts.iter().filter(|part| !unit.inputs.contains(part) || unit.inputs.len() > 1)
    });
    others.chain(imported).cloned().collect()
}

/// What a stylesheet is written to: its logical path, as CSS.
fn output_path(name: &LogicalPath) -> String {
    match name.as_str().rsplit_once('.') {
        Some((stem, _)) if name.extension() != "css" => format!("{stem}.css"),
        _ => name.to_string(),
    }
}

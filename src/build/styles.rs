//! The stage that compiles stylesheets, side by side.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rayon::prelude::*;

use super::brought::{Brought, StyleUrls};
use super::graph::Unit;
use super::output::Outputs;
use super::transform::css::{Compiler, Sheet, Style};
use super::{Site, add_asset, gather};
use crate::asset::relative_url;
use crate::error::{Error, Result};
use crate::fs;

/// Compiles each stylesheet; one that nobody names is left out if it is a part of another, or of a script (`imported`).
pub(super) fn add(
    site: &Site<'_>,
    compiler: &Compiler,
    units: &[Unit],
    imported: &BTreeSet<PathBuf>,
    brought: &Brought,
    outputs: &mut Outputs,
) -> Result<()> {
    let Site { config, progress, .. } = *site;
    progress.stage("stylesheets", units.len());
    let made: Vec<Result<Style>> = units
        .par_iter()
        .map(|unit| {
            let own = unit.single().map(|path| fs::display_name(&config.root, path));
            let name = own.unwrap_or_else(|| unit.name.to_string());
            let from = format!("{}/{}", config.prefix, unit.name);
            let urls = StyleUrls { brought, write: &|file, suffix| relative_url(&from, file) + suffix };
            let style = compiler.compile(&Sheet { name, inputs: &unit.inputs }, &urls);
            progress.step();
            style.map_err(Error::Build)
        })
        .collect();
    let done: Vec<(&Unit, Style)> = units.iter().zip(gather(made)?).collect();
    let parts: BTreeSet<&PathBuf> = done
        .iter()
        .flat_map(|(unit, style)| {
            style.parts.iter().filter(|part| !unit.inputs.contains(part) || unit.inputs.len() > 1)
        })
        .chain(imported)
        .collect();
    for (unit, style) in &done {
        let is_part = unit.inputs.iter().any(|input| parts.contains(input));
        if unit.named || !is_part {
            add_asset(
                config,
                outputs,
                unit,
                unit.name.as_str(),
                style.code.clone().into_bytes(),
                Some(style.map.clone()),
            )?;
        }
    }
    Ok(())
}

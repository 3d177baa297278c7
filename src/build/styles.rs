//! The stage that compiles stylesheets, side by side, and what their `url()`s become.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use super::graph::Unit;
use super::output::{Output, Outputs};
use super::transform::css::{Compiler, Sheet, Style, Urls};
use super::{Site, add_asset, gather};
use crate::asset::{LogicalPath, decode_url_path, local_path, relative_url, split_suffix, url_path};
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::{Kind, logical_name};

/// Compiles each stylesheet; one that nobody names is left out if it is a part of another.
pub(super) fn add(site: &Site<'_>, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    let Site { config, mode, progress, .. } = *site;
    progress.stage("stylesheets", units.len());
    let compiler = Compiler::new(&config.root, mode, &config.targets)?;
    let extra = Mutex::new(BTreeMap::new());
    let made: Vec<Result<Style>> = units
        .par_iter()
        .map(|unit| {
            let own = unit.single().map(|path| fs::display_name(&config.root, path));
            let name = own.unwrap_or_else(|| unit.name.to_string());
            let urls = StyleUrls { config, outputs, sheet: &unit.name, extra: &extra };
            let style = compiler.compile(&Sheet { name, inputs: &unit.inputs }, &urls);
            progress.step();
            style.map_err(Error::Build)
        })
        .collect();
    let done: Vec<(&Unit, Style)> = units.iter().zip(gather(made)?).collect();
    for (source, (file, output)) in extra.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        outputs.remember(&source, &file);
        outputs.add(file, output)?;
    }
    let parts: BTreeSet<&PathBuf> = done
        .iter()
        .flat_map(|(unit, style)| {
            style.parts.iter().filter(|part| !unit.inputs.contains(part) || unit.inputs.len() > 1)
        })
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

/// Resolves the `url()`s of one stylesheet, and gathers the files outside the assets folder that they lead to.
struct StyleUrls<'a> {
    config: &'a Config,
    outputs: &'a Outputs,
    sheet: &'a LogicalPath,
    extra: &'a Mutex<BTreeMap<PathBuf, (String, Output)>>,
}

impl Urls for StyleUrls<'_> {
    fn resolve(&self, file: &Path, url: &str) -> Result<Option<String>, Fault> {
        let config = self.config;
        let base = format!("/{}", fs::display_name(&config.root, file));
        let Some((local, suffix)) = local_path(&base, url) else { return Ok(None) };
        let missing = || {
            Fault::new(format!("`{}` refers to `{url}`, which isn't there", fs::display_name(&config.root, file)))
                .hint("check the path: it is relative to the stylesheet that it stands in")
        };
        if url.starts_with('/') {
            let Some(name) = logical_name(&config.prefix, &local) else { return Ok(None) };
            let entry = self.outputs.entries.get(name).ok_or_else(missing)?;
            return Ok(Some(self.relative(&entry.file, suffix)));
        }
        // Package files may stand in a folder above the root, where no path below it leads.
        let path = split_suffix(url).0;
        let decoded = decode_url_path(path).ok_or_else(missing)?;
        let target = fs::normalize(&file.parent().unwrap_or(&config.root).join(decoded));
        if !fs::within(&config.root, &target) {
            return Err(Fault::new(format!("`{url}` leads out of the site's root"))
                .hint("move the file below the root, or pass a `--root` that holds both"));
        }
        if let Ok(public) = target.strip_prefix(config.assets.join("public")) {
            let public = public.to_string_lossy().replace('\\', "/");
            return if target.is_file() { Ok(Some(format!("/{}{suffix}", url_path(&public)))) } else { Err(missing()) };
        }
        if let Some(file) = self.outputs.of_source(&target) {
            return Ok(Some(self.relative(file, suffix)));
        }
        if !target.is_file() {
            return Err(missing());
        }
        Ok(Some(self.relative(&self.bring(&target)?, suffix)))
    }
}

impl StyleUrls<'_> {
    /// Relative, so that a stylesheet's bytes are the same in every environment.
    fn relative(&self, file: &str, suffix: &str) -> String {
        relative_url(&format!("{}/{}", self.config.prefix, self.sheet), file) + suffix
    }

    /// Makes an asset of a file outside the assets folder: one of a package.
    fn bring(&self, path: &Path) -> Result<String, Fault> {
        let mut extra = self.extra.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((file, _)) = extra.get(path) {
            return Ok(file.clone());
        }
        let source = fs::display_name(&self.config.root, path);
        let bytes = fs::read(path).map_err(|error| Fault::new(error.to_string()))?;
        let name = match source.rfind("node_modules/") {
            Some(at) => format!("vendor/{}", &source[at + "node_modules/".len()..]),
            None => path
                .strip_prefix(&self.config.assets)
                .map_or(source.clone(), |path| path.to_string_lossy().into_owned()),
        };
        let output = Output::new(Kind::Asset, Some(source), bytes);
        let file = format!("{}/{}", self.config.prefix, output.digest.fingerprint().name(&name));
        extra.insert(path.to_owned(), (file.clone(), output));
        Ok(file)
    }
}

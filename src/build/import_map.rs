//! The script that gives a page its import map, for pages that neither the build nor the server makes.
//!
//! Chunks import each other by stable names, which an import map in the page leads to files. A framework that reads a manifest of the
//! build writes elements for scripts and stylesheets, and knows of no such map; but it can load a script before all modules, and
//! that script can write the map. It tells URLs by where it lies itself, so that it is the same file in every environment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Site;
use super::output::{Names, Output, Outputs};
use super::record::Relation;
use super::transform::html::reach;
use super::transform::script::{self, Goal};
use crate::asset::relative_url;
use crate::error::{Fault, Result};
use crate::manifest::{Entry, Kind};

const CODE: &str = include_str!("import_map.js");

/// Puts the script among the outputs, once every chunk has its file.
pub fn add(site: &Site<'_>, outputs: &mut Outputs) -> Result<()> {
    let dialects = &site.config.dialects;
    let Some(name) = &dialects.import_map else {
        if dialects.are_for_pages() && !outputs.chunks.is_empty() {
            site.progress.warn(
                "modules import each other by way of an import map, which pages of other frameworks have to load: name a script for \
                 it in `import_map` of `[build]`, such as `js/import-map.js`, unless the pages come through `serve --upstream`"
                    .to_owned(),
            );
        }
        return Ok(());
    };
    let mut output = Output::new(Kind::Asset, None, code(site, name.as_str(), outputs)?.into_bytes());
    output.refers = outputs.chunks.values().map(|file| (Relation::ImportMap, file.clone())).collect();
    let file = outputs.add_asset(name.as_str(), output, false)?;
    Ok(outputs.name(name, None, Entry::new(file))?)
}

fn code(site: &Site<'_>, name: &str, outputs: &Outputs) -> Result<String> {
    let from = format!("{}/{name}", outputs.prefix);
    let url = |path: &str| relative_url(&from, path);
    let imports: BTreeMap<String, String> =
        outputs.chunks.iter().map(|(stable, file)| (url(stable), url(file))).collect();
    // A framework preloads what an entry imports at once, and not each says its integrity: by one that the preload did not have, a
    // browser would fetch the file again.
    let modules = outputs.entries.values().filter(|entry| entry.module).map(|entry| entry.file.as_str());
    let at_once: BTreeSet<&str> = reach(outputs, &modules.collect::<Vec<_>>(), false).into_iter().collect();
    let files: BTreeSet<&String> = outputs.chunks.values().filter(|file| !at_once.contains(file.as_str())).collect();
    let integrity: BTreeMap<String, String> = files
        .into_iter()
        .filter_map(|file| Some((url(file), outputs.files.get(file)?.digest.integrity().as_str().to_owned())))
        .collect();
    let map = json!({"imports": imports, "integrity": integrity, "external": site.config.external});
    let code = CODE.replace("MAP", &map.to_string());
    if outputs.names == Names::Plain {
        return Ok(code);
    }
    let minified = script::minify(name, &code, Goal::Classic).map_err(|error| Fault::new(error.to_string()))?;
    Ok(minified.code)
}

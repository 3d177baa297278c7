//! The stage that bundles module graphs, and what is remembered of who imports whom.

use std::collections::{BTreeMap, BTreeSet};

use super::Site;
use super::graph::Unit;
use super::output::{Imports, Output, Outputs};
use super::transform::html::reach;
use super::transform::module::{EntryModule, bundle};
use crate::config::SourceMaps;
use crate::error::{Fault, Result};
use crate::manifest::{Entry, Kind};

/// Bundles the modules as one graph, and names each chunk after its final bytes.
pub(super) fn add(site: &Site<'_>, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    let Site { config, mode, progress, .. } = *site;
    progress.stage("modules", 0);
    let name = |unit: &Unit| {
        format!("{}.js", unit.name.as_str().rsplit_once('.').map_or(unit.name.as_str(), |(stem, _)| stem))
    };
    let entries: Vec<EntryModule> =
        units.iter().map(|unit| EntryModule { name: name(unit), inputs: unit.inputs.clone() }).collect();
    let mut names = BTreeMap::new();
    for (unit, entry) in units.iter().zip(&entries) {
        if let Some(other) = names.insert(entry.name.clone(), &unit.name) {
            let fault = Fault::new(format!("`{other}` and `{}` would both be written to `{}`", unit.name, entry.name));
            return Err(fault.hint("rename one of them").into());
        }
    }
    let chunks = bundle(config, mode, &entries, progress)?;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for chunk in &chunks {
        if chunk.code.contains("new URL(") && chunk.code.contains("import.meta.url") {
            let name = chunk.source.as_deref().unwrap_or(&chunk.path);
            progress
                .warn(format!("`{name}` names files with `new URL(…, import.meta.url)`, which are not followed yet"));
        }
        let mut output = Output::new(Kind::Asset, chunk.source.clone(), chunk.code.clone().into_bytes());
        // Two modules of the same text are two modules: they must not become one file.
        let path = match taken.insert((chunk.path.clone(), output.digest)) {
            true => &chunk.path,
            false => &chunk.stable,
        };
        output.map.clone_from(&chunk.map);
        let file = outputs.add_asset(path, output, config.source_maps == SourceMaps::Public)?;
        files.insert(chunk.stable.clone(), file);
    }
    let file = |stable: &String| files.get(stable).cloned();
    let mut imported = BTreeSet::new();
    for chunk in &chunks {
        let imports = Imports {
            fixed: chunk.imports.iter().filter_map(file).collect(),
            dynamic: chunk.dynamic_imports.iter().filter_map(file).collect(),
            is_dynamic_entry: chunk.is_dynamic_entry,
            name: chunk.name.clone(),
        };
        imported.extend(chunk.imports.iter().chain(&chunk.dynamic_imports));
        if let Some(file) = file(&chunk.stable) {
            outputs.imports.insert(file, imports);
        }
    }
    let import_map = files.iter().filter(|(stable, _)| imported.contains(stable));
    outputs.chunks = import_map.map(|(stable, file)| (format!("{}/{stable}", config.prefix), file.clone())).collect();
    for chunk in &chunks {
        let (Some(unit), Some(file)) = (chunk.entry.and_then(|entry| units.get(entry)), file(&chunk.stable)) else {
            continue;
        };
        let imports = reach(outputs, &[&file], false).into_iter().skip(1).map(str::to_owned).collect();
        outputs.name(&unit.name, unit.single(), Entry { file, imports, module: true })?;
    }
    Ok(())
}

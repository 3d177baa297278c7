//! `[library]`: the local copies of libraries, and what a page has to know of them to load the one of a public CDN.
//!
//! A script is taken byte for byte. A stylesheet is compiled like any other, since what its URLs lead to has another name here. What
//! the CDN sends is held against the digest of the file as it came.

use super::graph::Unit;
use super::output::Outputs;
use super::{Graph, Scripts, Site, Sources};
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::Library;

/// Adds the libraries to the work of a build, each under its name, or under the one that it has among the assets.
pub fn plan(config: &Config, sources: &Sources, scripts: &Scripts<'_>, graph: &mut Graph) -> Result<()> {
    for library in &config.libraries {
        let own = sources.assets.iter().find(|(_, path)| **path == library.file).map(|(name, _)| name);
        let unit = Unit { name: own.unwrap_or(&library.name).clone(), inputs: vec![library.file.clone()], named: true };
        if library.name.extension() == "css" {
            graph.styles.push(unit);
        } else if scripts.is_module(&library.file)? {
            let file = fs::display_name(&config.root, &library.file);
            let fault = Fault::new(format!("the library `{}` is a module: `{file}`", library.key));
            return Err(fault
                .hint("name the build of it that is a classic script, or import it and let it be bundled")
                .into());
        } else {
            graph.copies.push(unit);
        }
    }
    Ok(())
}

/// Lets pages name each library by `lib/NAME`, and remembers where else it is to be had.
pub(super) fn add(site: &Site<'_>, outputs: &mut Outputs) -> Result<()> {
    for library in &site.config.libraries {
        let by_path = outputs.by_source().get(&library.file).cloned();
        let named = outputs.entries.get(&library.name).map(|entry| entry.file.clone());
        let Some(file) = named.or(by_path) else { continue };
        if !outputs.entries.contains_key(&library.name) {
            outputs.name(&library.name, None, crate::manifest::Entry::new(file.clone()))?;
        }
        let integrity = Digest::of(&fs::read(&library.file)?).integrity();
        let known = Library { cdn: library.cdn.clone(), integrity, global: library.global.clone() };
        outputs.libraries.insert(file, known);
    }
    Ok(())
}

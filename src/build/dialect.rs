//! The build in the words of the frameworks that pages are made by: for each the manifest that it reads.
//!
//! They lie beside what is served and are no part of a release; but Workbox's list, which browsers fetch.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::Outputs;
use crate::asset::extension;
use crate::config::{Dialect, Dialects};
use crate::error::Fault;
use crate::manifest::Manifest;

mod django;
mod phoenix;
mod propshaft;
mod vite;
mod webpack;
mod workbox;

pub use workbox::{add as add_workbox, entries as workbox_entries};

/// What is known of a build, for a manifest of it.
#[derive(Clone, Copy)]
struct Build<'a> {
    outputs: &'a Outputs,
    manifest: &'a Manifest,
    /// The folder that the manifest lies in.
    folder: &'a str,
}

/// The manifests by their paths below the output folder.
pub fn manifests(
    dialects: &Dialects,
    outputs: &Outputs,
    manifest: &Manifest,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut written = BTreeMap::new();
    for (dialect, path) in &dialects.paths {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let build = Build { outputs, manifest, folder };
        let text = match dialect {
            Dialect::Django => django::manifest(build),
            Dialect::Phoenix => phoenix::manifest(build),
            Dialect::Propshaft => propshaft::manifest(build),
            Dialect::Vite => vite::manifest(outputs, manifest),
            Dialect::Webpack => webpack::manifest(build, &dialects.public_path),
            // It is part of the release.
            Dialect::Workbox => continue,
        };
        if manifest.files.contains_key(path) {
            let fault = Fault::new(format!("the manifest for `{}` would replace `{path}`", dialect.as_str()));
            return Err(fault.hint(format!("write it elsewhere: set `path` of `[manifest.{}]`", dialect.as_str())));
        }
        written.insert(path.clone(), text);
    }
    Ok(written)
}

impl<'a> Build<'a> {
    /// The file of each thing that a page may name. What was compiled goes by the extension of what it became, too, and the
    /// stylesheet of a module by the module's name: a framework knows the files that browsers get, and not what they were made from.
    fn names(self) -> BTreeMap<String, &'a str> {
        let entries = &self.manifest.entries;
        let mut names: BTreeMap<String, &str> =
            entries.iter().map(|(name, entry)| (name.to_string(), entry.file.as_str())).collect();
        for (name, entry) in entries {
            let stem = match name.as_str().rsplit_once('.') {
                Some((stem, _)) => stem,
                None => continue,
            };
            let sheet = match entry.css.as_slice() {
                [only] => Some(only),
                _ => None,
            };
            for file in [Some(&entry.file), sheet].into_iter().flatten() {
                names.entry(format!("{stem}.{}", extension(file))).or_insert(file);
            }
        }
        names
    }

    /// A file's path as a manifest has it whose reader puts one base before all: below the folder that the manifest lies in, or, where
    /// that holds no assets, below theirs.
    fn below_base(self, file: &str) -> &str {
        let prefix = &self.manifest.prefix;
        let holds_assets = self.folder.is_empty() || format!("{prefix}/").starts_with(&format!("{}/", self.folder));
        let base = if holds_assets { self.folder } else { prefix };
        file.strip_prefix(base).map_or(file, |rest| rest.trim_start_matches('/'))
    }
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

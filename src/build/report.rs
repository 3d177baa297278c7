//! The report: one page, without a request to anywhere, that shows what is in each file of a build.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use super::Built;
use super::budget::sent;
use super::contents::Source;
use super::output::Output;
use crate::encoding::Encoding;
use crate::error::Result;
use crate::fs;
use crate::manifest::{Kind, Mode};
use crate::release::ReleaseId;

const PAGE: &str = include_str!("report.html");

/// What stands in the page where the data goes.
const DATA: &str = "{{data}}";

#[derive(Serialize)]
struct Data<'a> {
    version: &'static str,
    release: &'a ReleaseId,
    mode: Mode,
    outputs: Vec<OutputRow>,
    duplicates: Vec<Duplicate>,
    /// None where no page says what is used.
    unused: Option<Vec<Unused>>,
    /// None where there is no build to compare with.
    changes: Option<Told>,
}

#[derive(Serialize)]
struct OutputRow {
    path: String,
    kind: Kind,
    /// All in bytes.
    raw: u64,
    gzip: u64,
    br: u64,
    zstd: u64,
    /// Bytes by source.
    parts: BTreeMap<String, u64>,
}

/// A package that is in the graph more than once.
#[derive(Serialize)]
struct Duplicate {
    name: String,
    copies: Vec<Copy>,
}

#[derive(Serialize)]
struct Copy {
    path: String,
    version: Option<String>,
    /// In all outputs together.
    bytes: u64,
    /// Sources outside it that import it.
    importers: BTreeSet<String>,
}

#[derive(Serialize)]
struct Unused {
    source: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Told {
    headline: String,
    changes: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
}

impl Built {
    /// The report as a page of HTML.
    pub fn report(&self) -> Result<String> {
        let outputs: Vec<OutputRow> =
            self.outputs.files.par_iter().map(|(path, output)| self.row(path, output)).collect::<Result<_>>()?;
        let changes = self.changes().map(|changes| Told {
            headline: changes.to_string(),
            changes: changes.changes.iter().map(ToString::to_string).collect(),
            added: changes.added,
            removed: changes.removed,
        });
        let data = Data {
            version: env!("CARGO_PKG_VERSION"),
            release: &self.manifest.release,
            mode: self.manifest.mode,
            duplicates: self.duplicates(&outputs),
            unused: self.unused(),
            outputs,
            changes,
        };
        // In a `<script>` no markup but its own end, or a comment's begin, means anything.
        let json = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
        Ok(PAGE.replacen(DATA, &json, 1))
    }

    fn row(&self, path: &str, output: &Output) -> Result<OutputRow> {
        Ok(OutputRow {
            path: path.to_owned(),
            kind: output.kind,
            raw: output.bytes.len() as u64,
            gzip: sent(path, output, Encoding::Gzip)?,
            br: sent(path, output, Encoding::Brotli)?,
            zstd: sent(path, output, Encoding::Zstd)?,
            parts: self.parts(path, output),
        })
    }

    fn duplicates(&self, outputs: &[OutputRow]) -> Vec<Duplicate> {
        let sources = self.sources();
        let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (folder, name) in sources.keys().filter_map(|source| package(source)) {
            by_name.entry(name).or_default().insert(folder);
        }
        let several = by_name.into_iter().filter(|(_, folders)| folders.len() > 1);
        let duplicate = |(name, folders): (&str, BTreeSet<&str>)| Duplicate {
            name: name.to_owned(),
            copies: folders.into_iter().map(|folder| self.copy(folder, &sources, outputs)).collect(),
        };
        several.map(duplicate).collect()
    }

    fn copy(&self, folder: &str, sources: &BTreeMap<String, Source>, outputs: &[OutputRow]) -> Copy {
        let is_in = |source: &str| package(source).is_some_and(|(own, _)| own == folder);
        let manifest = self.path_of(&format!("{folder}/package.json")).and_then(|path| fs::read(&path).ok());
        let manifest: Option<serde_json::Value> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let parts = outputs.iter().flat_map(|output| &output.parts).filter(|(source, _)| is_in(source));
        let imports = |source: &Source| source.imports.iter().any(|import| is_in(&import.path));
        let importers = sources.iter().filter(|(name, source)| !is_in(name) && imports(source));
        Copy {
            path: folder.to_owned(),
            version: manifest.and_then(|manifest| Some(manifest.get("version")?.as_str()?.to_owned())),
            bytes: parts.map(|(_, bytes)| bytes).sum(),
            importers: importers.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The assets that nothing leads to, from the pages and from what keeps its name.
    fn unused(&self) -> Option<Vec<Unused>> {
        let files = &self.record.files;
        let mut queue: Vec<&String> =
            files.iter().filter(|(_, made)| made.kind != Kind::Asset).map(|(name, _)| name).collect();
        if !files.values().any(|made| made.kind == Kind::Page) {
            return None;
        }
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut sources: Vec<&String> = Vec::new();
        while let Some(name) = queue.pop() {
            if let Some(made) = files.get(name).filter(|_| reached.insert(name)) {
                sources.extend(made.inputs.keys());
                queue.extend(made.refers.iter().map(|reference| &reference.to));
            }
        }
        // What a module imports is used, also where nothing of it was left after all that is unused in it was shaken off.
        let mut used: BTreeSet<&String> = BTreeSet::new();
        while let Some(source) = sources.pop() {
            if used.insert(source) {
                sources.extend(self.outputs.sources.get(source).into_iter().flatten().map(|import| &import.path));
            }
        }
        let bytes = |source: &String| self.path_of(source).and_then(|path| Some(path.metadata().ok()?.len()));
        let unused = self.assets.iter().filter(|source| !used.contains(source));
        Some(unused.map(|source| Unused { source: source.clone(), bytes: bytes(source).unwrap_or_default() }).collect())
    }
}

/// The folder and the name of the package that a source is of.
fn package(source: &str) -> Option<(&str, &str)> {
    const PACKAGES: &str = "node_modules/";
    let start = source.rfind(PACKAGES)? + PACKAGES.len();
    let rest = source.get(start..)?;
    let parts = if rest.starts_with('@') { 2 } else { 1 };
    let end = rest.match_indices('/').nth(parts - 1)?.0;
    Some((source.get(..start + end)?, rest.get(..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_the_innermost_one() {
        for (source, want) in [
            ("node_modules/a/index.js", Some(("node_modules/a", "a"))),
            ("node_modules/@s/a/x/y.js", Some(("node_modules/@s/a", "@s/a"))),
            ("node_modules/a/node_modules/b/i.js", Some(("node_modules/a/node_modules/b", "b"))),
            ("assets/js/a.js", None),
            ("node_modules/stray.js", None),
        ] {
            assert_eq!(package(source), want, "{source}");
        }
    }
}

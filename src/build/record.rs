//! `.fingerpost/inputs.json`: what each file of a build was made of, so that the next build can tell why a name changed.
//!
//! Sorted, without times or absolute paths. Never served, never published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::output::{Imports, Output, Outputs};
use super::texts::Texts;
use super::variables;
use crate::config::Config;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{Kind, Mode};

/// Where it lies, below the output folder.
pub const PATH: &str = ".fingerpost/inputs.json";

/// The one version of the format that this program reads and writes.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Every file of the build, by the name that it has in each build: its path without the fingerprint.
    pub files: BTreeMap<String, Made>,
}

/// How a file was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    /// Its path below the output folder.
    pub file: String,
    pub kind: Kind,
    /// Of its bytes; of a page's before it is bound to an environment, which stamps the release into it.
    pub digest: Digest,
    /// Every source that went into it, by its name below the root, and the SHA-256 of its bytes.
    pub inputs: BTreeMap<String, Digest>,
    /// What else its bytes depend on; empty for a copy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub options: BTreeMap<String, String>,
    /// The files that it refers to, by name.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub refers: BTreeSet<Reference>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub to: String,
    pub kind: Relation,
}

/// How one file refers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// A `url()` of a stylesheet.
    Url,
    /// A chunk that a chunk needs before it runs; by a stable name, which the import map leads on from.
    Import,
    /// A chunk or a worker that a chunk may load later; by a stable name as well.
    DynamicImport,
    /// A stylesheet that a chunk needs; by a stable name as well, where the chunk itself sees to it.
    Stylesheet,
    /// Any other file that a script names by its URL.
    Asset,
    /// The import map of a page.
    ImportMap,
    /// A `modulepreload` of a page.
    Preload,
    /// Any other place in a page, or in a web app manifest.
    Page,
    /// The comment that names a public source map.
    SourceMap,
}

impl Relation {
    /// Whether what refers holds the other's fingerprint, and so changes with it.
    pub const fn holds_the_fingerprint(self) -> bool {
        !matches!(self, Relation::Import | Relation::DynamicImport | Relation::Stylesheet)
    }
}

impl Record {
    /// `unsealed` are the digests of the outputs before the pages were bound.
    pub fn new(
        config: &Config,
        mode: Mode,
        outputs: &Outputs,
        unsealed: &BTreeMap<String, Digest>,
        texts: &Texts,
    ) -> Result<Self> {
        let names = names(outputs);
        let sources: BTreeSet<&String> = outputs.files.values().flat_map(|output| output.inputs.iter()).collect();
        let digests: BTreeMap<&String, Digest> = sources
            .into_par_iter()
            .filter_map(|name| Some((name, locate(&config.root, name)?)))
            .map(|(name, path)| match texts.digest(&path) {
                Some(digest) => Ok((name, digest)),
                None => Ok((name, Digest::of(&fs::read(&path)?))),
            })
            .collect::<Result<_>>()?;
        let options = options(config, mode)?;
        let made = |(path, output): (&String, &Output)| {
            let inputs: BTreeMap<String, Digest> =
                output.inputs.iter().filter_map(|input| Some((input.clone(), *digests.get(input)?))).collect();
            let imports = outputs.imports.get(path);
            let imported = imports.into_iter().flat_map(Imports::references);
            let named = output.refers.iter().map(|(kind, to)| (*kind, to));
            let reference = |(kind, to): (Relation, &String)| Some(Reference { to: names.get(to)?.clone(), kind });
            let made = Made {
                file: path.clone(),
                kind: output.kind,
                digest: unsealed.get(path).copied().unwrap_or(output.digest),
                options: match is_copy(output, &inputs) {
                    true => BTreeMap::new(),
                    false => options_of(output.kind, &options),
                },
                inputs,
                refers: named.chain(imported).filter_map(reference).collect(),
            };
            (names.get(path).unwrap_or(path).clone(), made)
        };
        Ok(Record { version: VERSION, files: outputs.files.iter().map(made).collect() })
    }

    /// The record of the build in `out`. What can't be read is none: there is nothing to compare with then.
    pub fn load(out: &Path) -> Option<Self> {
        let record: Record = serde_json::from_slice(&std::fs::read(out.join(PATH)).ok()?).ok()?;
        (record.version == VERSION).then_some(record)
    }

    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// What each file is called in every build, by path. Of several with one name, each is called by its source as well.
fn names(outputs: &Outputs) -> BTreeMap<String, String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for output in outputs.files.values() {
        *count.entry(&output.name).or_default() += 1;
    }
    let name = |path: &String, output: &Output| match count.get(output.name.as_str()) {
        Some(1) => output.name.clone(),
        _ => format!("{} ({})", output.name, output.source.as_ref().unwrap_or(path)),
    };
    outputs.files.iter().map(|(path, output)| (path.clone(), name(path, output))).collect()
}

/// Where a source of that name lies: below the root, or in the `node_modules` of a folder above it.
pub fn locate(root: &Path, name: &str) -> Option<PathBuf> {
    let folders = root.ancestors().take(if name.starts_with("node_modules/") { usize::MAX } else { 1 });
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_copy(output: &Output, inputs: &BTreeMap<String, Digest>) -> bool {
    inputs.len() == 1 && inputs.values().all(|digest| *digest == output.digest)
}

/// All that bytes may depend on beside sources, by name.
fn options(config: &Config, mode: Mode) -> Result<BTreeMap<&'static str, String>> {
    Ok(BTreeMap::from([
        ("version of fingerpost", env!("CARGO_PKG_VERSION").to_owned()),
        ("mode", mode.as_str().to_owned()),
        ("targets", config.targets.query(mode).to_owned()),
        ("source_maps", format!("{:?}", config.source_maps).to_lowercase()),
        ("prefix", config.prefix.clone()),
        ("context", fingerprint(&config.context)),
        ("define", fingerprint(&config.define)),
        ("variables", fingerprint(&variables::read(&config.root, mode)?)),
    ]))
}

/// What is long is told apart by its digest.
fn fingerprint(values: &impl Serialize) -> String {
    Digest::of(&serde_json::to_vec(values).unwrap_or_default()).fingerprint().as_str().to_owned()
}

fn options_of(kind: Kind, options: &BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
    let matters = |name: &str| match name {
        "targets" | "source_maps" | "define" | "variables" => kind == Kind::Asset,
        "prefix" | "context" => kind != Kind::Asset,
        _ => true,
    };
    options.iter().filter(|(name, _)| matters(name)).map(|(name, value)| (name.to_string(), value.clone())).collect()
}

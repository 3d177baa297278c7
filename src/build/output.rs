//! What a build makes: each file with its final bytes and name, and which source became which file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::contents::Import;
use super::record::Relation;
use crate::asset::{LogicalPath, extension};
use crate::config::{Config, SourceMaps};
use crate::encoding::Encoding;
use crate::error::Fault;
use crate::fingerprint::Digest;
use crate::manifest::{Entry, File, Kind, Library, Manifest, Mode, Variant};

/// A file of the build, in memory. Clones share its bytes.
#[derive(Debug, Clone)]
pub struct Output {
    pub kind: Kind,
    /// Its path without the fingerprint: what it is called in every build.
    pub name: String,
    /// The file it was made from, below the root.
    pub source: Option<String>,
    /// Every file that went into it, by its name below the root.
    pub inputs: Arc<BTreeSet<String>>,
    /// The files that its bytes name, by path.
    pub refers: BTreeSet<(Relation, String)>,
    pub bytes: Bytes,
    /// Of `bytes`.
    pub digest: Digest,
    /// The encoded bodies that are smaller than the file.
    pub variants: BTreeMap<Encoding, Vec<u8>>,
    /// The private source map, as JSON.
    pub map: Option<String>,
}

impl Output {
    pub fn new(kind: Kind, source: Option<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let inputs = Arc::new(source.iter().cloned().collect());
        let (name, refers, variants) = (String::new(), BTreeSet::new(), BTreeMap::new());
        Output { kind, name, source, inputs, refers, bytes, digest, variants, map: None }
    }

    /// An asset made by a compiler, at that path without a fingerprint; with its source map where maps go.
    pub fn compiled(path: &str, source: Option<String>, mut code: String, map: Option<String>, maps: Maps) -> Self {
        let map = map.filter(|_| maps != Maps::None);
        if let (Maps::Inline, Some(map)) = (maps, &map) {
            code.push_str(&map_comment(path, &format!("data:application/json;base64,{}", STANDARD.encode(map))));
        }
        let mut output = Output::new(Kind::Asset, source, code);
        output.map = map.filter(|_| maps != Maps::Inline);
        output
    }

    /// The same file with other bytes.
    pub fn set_bytes(&mut self, bytes: Vec<u8>) {
        self.digest = Digest::of(&bytes);
        self.bytes = bytes.into();
    }
}

/// Where source maps go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    None,
    /// In the file itself.
    Inline,
    /// Beside the files that are served and published.
    Private,
    /// Among them.
    Public,
}

impl Maps {
    /// While a site is being worked on, a map goes where the browser finds it without a request.
    pub fn of(config: &Config, mode: Mode) -> Self {
        match (config.source_maps, mode) {
            (SourceMaps::None, _) => Maps::None,
            (_, Mode::Development) => Maps::Inline,
            (SourceMaps::Private, Mode::Production) => Maps::Private,
            (SourceMaps::Public, Mode::Production) => Maps::Public,
        }
    }
}

/// What an asset's file is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// After its bytes, so that it may be kept for ever.
    Fingerprinted,
    /// As its source, so that nothing that names it changes with it.
    Plain,
}

impl Names {
    pub const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Production => Names::Fingerprinted,
            Mode::Development => Names::Plain,
        }
    }

    /// The name of the file at `path` with that digest.
    pub fn name(self, path: &str, digest: &Digest) -> String {
        match self {
            Names::Fingerprinted => digest.fingerprint().name(path),
            Names::Plain => path.to_owned(),
        }
    }
}

/// Everything made so far. A stage asks it for the names of what earlier stages made.
#[derive(Debug)]
pub struct Outputs {
    pub prefix: String,
    pub names: Names,
    /// By path below the output folder.
    pub files: BTreeMap<String, Output>,
    pub entries: BTreeMap<LogicalPath, Entry>,
    /// The stable path of each chunk that others import, and its file.
    pub chunks: BTreeMap<String, String>,
    /// For each chunk, by file: the stable paths of what it imports, at once and later.
    pub imports: BTreeMap<String, Imports>,
    /// What each source names, by its own name below the root.
    pub sources: BTreeMap<String, BTreeSet<Import>>,
    /// The files that a public CDN has, too.
    pub libraries: BTreeMap<String, Library>,
    by_source: HashMap<PathBuf, String>,
}

/// What a chunk imports, as paths of files below the output folder.
#[derive(Debug, Default, Clone)]
pub struct Imports {
    pub fixed: Vec<String>,
    pub dynamic: Vec<String>,
    /// If it is loaded by itself: the stylesheets that it needs, in the order of the cascade.
    pub sheets: Vec<String>,
    /// Other files that it refers to by URL.
    pub files: Vec<String>,
    pub is_dynamic_entry: bool,
    /// The name that the bundler gave it.
    pub name: String,
    /// The names that others can import from it.
    pub exports: Vec<String>,
    /// The modules in it, by source, and how many bytes each was before the chunk was minified.
    pub modules: Vec<(String, u64)>,
}

impl Imports {
    /// Every file that the chunk refers to, and how.
    pub fn references(&self) -> impl Iterator<Item = (Relation, &String)> {
        let all = [
            (Relation::Import, &self.fixed),
            (Relation::DynamicImport, &self.dynamic),
            (Relation::Stylesheet, &self.sheets),
            (Relation::Asset, &self.files),
        ];
        all.into_iter().flat_map(|(relation, files)| files.iter().map(move |file| (relation, file)))
    }
}

impl Outputs {
    pub fn new(prefix: &str, names: Names) -> Self {
        Outputs {
            prefix: prefix.to_owned(),
            names,
            files: BTreeMap::new(),
            entries: BTreeMap::new(),
            chunks: BTreeMap::new(),
            imports: BTreeMap::new(),
            sources: BTreeMap::new(),
            libraries: BTreeMap::new(),
            by_source: HashMap::new(),
        }
    }

    /// Adds an asset. `path` is its name below the prefix, without the fingerprint; gives its path.
    pub fn add_asset(&mut self, path: &str, mut output: Output, public_map: bool) -> Result<String, Fault> {
        if public_map && let Some(map) = output.map.take() {
            // A public map is named by its own digest, since the file's name covers the comment that refers to it.
            let name = Digest::of(map.as_bytes()).fingerprint().name(path) + ".map";
            let comment = map_comment(path, name.rsplit('/').next().unwrap_or(&name));
            output.set_bytes([&output.bytes, comment.as_bytes()].concat());
            let file = format!("{}/{name}", self.prefix);
            output.refers.insert((Relation::SourceMap, file.clone()));
            let mut map = Output::new(Kind::Asset, None, map.into_bytes());
            map.name = format!("{}/{path}.map", self.prefix);
            map.inputs.clone_from(&output.inputs);
            self.add(file, map)?;
        }
        let file = format!("{}/{}", self.prefix, self.names.name(path, &output.digest));
        if output.name.is_empty() {
            output.name = format!("{}/{path}", self.prefix);
        }
        self.add(file.clone(), output)?;
        Ok(file)
    }

    /// Adds a file under that very path.
    pub fn add(&mut self, path: String, mut output: Output) -> Result<(), Fault> {
        if let Some(other) = self.files.get(&path) {
            if other.kind == Kind::Asset && output.kind == Kind::Asset && other.bytes == output.bytes {
                return Ok(());
            }
            let name = |output: &Output| output.source.clone().unwrap_or_else(|| "a bundle".to_owned());
            return Err(Fault::new(format!(
                "`{}` and `{}` would both be written to `{path}`",
                name(other),
                name(&output)
            ))
            .hint("rename one of them"));
        }
        if output.name.is_empty() {
            output.name.clone_from(&path);
        }
        self.files.insert(path, output);
        Ok(())
    }

    /// Lets pages name a file by that path, and stylesheets by its source's.
    pub fn name(&mut self, path: &LogicalPath, source: Option<&Path>, entry: Entry) -> Result<(), Fault> {
        if let Some(source) = source {
            self.by_source.insert(source.to_owned(), entry.file.clone());
        }
        match self.entries.insert(path.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(Fault::new(format!("two things are named `{path}`: a bundle and a file, or two bundles"))
                .hint("give the bundle another name")),
        }
    }

    /// Remembers which file a source outside the assets folder became.
    pub fn remember(&mut self, source: &Path, file: &str) {
        self.by_source.insert(source.to_owned(), file.to_owned());
    }

    /// The file that each source became.
    pub fn by_source(&self) -> &HashMap<PathBuf, String> {
        &self.by_source
    }

    /// The manifest of what is there, without a release yet.
    pub fn manifest(&self, config: &Config, mode: Mode) -> Manifest {
        let mut manifest = Manifest::new(mode, self.prefix.as_str());
        manifest.entries = self.entries.clone();
        manifest.chunks = self.chunks.clone();
        manifest.libraries = self.libraries.clone();
        manifest.files =
            self.files.iter().map(|(path, output)| (path.clone(), describe(config, path, output))).collect();
        manifest
    }
}

fn describe(config: &Config, path: &str, output: &Output) -> File {
    let variant = |bytes: &Vec<u8>| Variant { length: bytes.len() as u64, digest: Digest::of(bytes) };
    let rules = config.headers.iter().filter(|rule| rule.pattern.matches(path));
    File {
        source: output.source.clone(),
        variants: output.variants.iter().map(|(encoding, bytes)| (*encoding, variant(bytes))).collect(),
        headers: rules.flat_map(|rule| rule.set.clone()).collect(),
        ..File::of(output.kind, path, output.bytes.len() as u64, output.digest)
    }
}

/// The comment that leads from a script or a stylesheet to its map.
fn map_comment(path: &str, url: &str) -> String {
    match extension(path).as_str() {
        "css" | "scss" | "sass" => format!("\n/*# sourceMappingURL={url} */\n"),
        _ => format!("\n//# sourceMappingURL={url}\n"),
    }
}

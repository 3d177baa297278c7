//! The files that stylesheets and scripts refer to: those that the site has anyway, and those that they bring, such as a package's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::contents::{Import, ImportKind};
use super::images::Images;
use super::memo::Memo;
use super::output::{Names, Output, Outputs};
use super::record::Relation;
use super::transform::css::Urls;
use crate::asset::{LogicalPath, decode_url_path, local_path, media_type, split_suffix, url_path};
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::{Entry, Kind, logical_name};

/// Every file that may be referred to once the copies are made. Paths are those below the output folder.
#[derive(Debug)]
pub struct Brought {
    config: Config,
    images: Arc<Images>,
    /// By source.
    known: HashMap<PathBuf, String>,
    /// By logical name.
    entries: BTreeMap<String, String>,
    memory: Arc<Memo<PathBuf, Output>>,
    names: Names,
    /// By source: what nobody but a reference brings into the build.
    files: Mutex<BTreeMap<PathBuf, (String, Output)>>,
    /// By source: what its `url()`s name.
    named: Mutex<BTreeMap<String, BTreeSet<Import>>>,
}

impl Brought {
    pub fn new(config: &Config, images: &Arc<Images>, memory: &Arc<Memo<PathBuf, Output>>, outputs: &Outputs) -> Self {
        let entry = |(name, entry): (&LogicalPath, &Entry)| (name.as_str().to_owned(), entry.file.clone());
        Brought {
            config: config.clone(),
            images: Arc::clone(images),
            memory: Arc::clone(memory),
            names: outputs.names,
            known: outputs.by_source().clone(),
            entries: outputs.entries.iter().map(entry).collect(),
            files: Mutex::default(),
            named: Mutex::default(),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file that a source becomes.
    pub fn file(&self, source: &Path) -> Result<String, Fault> {
        if let Some(file) = self.known.get(source) {
            return Ok(file.clone());
        }
        if let Some((file, _)) = self.lock().get(source) {
            return Ok(file.clone());
        }
        let output = match self.memory.get(&source.to_owned()) {
            Some(output) => output,
            None => {
                let bytes = self.read(source)?;
                let output = Output::new(Kind::Asset, Some(fs::display_name(&self.config.root, source)), bytes);
                self.memory.keep(source.to_owned(), output, [source.to_owned()])
            }
        };
        Ok(self.add(source, &self.name(source), Output::clone(&output)))
    }

    /// What a source other than the site's assets was made into, if it was.
    pub fn taken(&self, source: &Path) -> Option<(String, Output)> {
        self.lock().get(source).cloned()
    }

    /// Takes what was taken in an earlier build.
    pub fn take(&self, source: &Path, taken: &(String, Output)) {
        self.lock().entry(source.to_owned()).or_insert_with(|| taken.clone());
    }

    fn read(&self, source: &Path) -> Result<Vec<u8>, Fault> {
        let bytes = fs::read(source).map_err(Error::into_fault)?;
        Ok(self.images.optimise(&fs::display_name(&self.config.root, source), bytes))
    }

    /// Takes what a source was made into as the file that it becomes, under that name below the prefix.
    pub fn add(&self, source: &Path, name: &str, mut output: Output) -> String {
        output.name = format!("{}/{name}", self.config.prefix);
        let file = format!("{}/{}", self.config.prefix, self.names.name(name, &output.digest));
        self.lock().insert(source.to_owned(), (file.clone(), output));
        file
    }

    /// A source's name below the prefix, without a fingerprint.
    pub fn name(&self, source: &Path) -> String {
        let name = fs::display_name(&self.config.root, source);
        match name.rfind("node_modules/") {
            Some(at) => format!("vendor/{}", &name[at + "node_modules/".len()..]),
            None => {
                source.strip_prefix(&self.config.assets).map_or(name, |path| path.to_string_lossy().replace('\\', "/"))
            }
        }
    }

    /// A source's bytes as a URL.
    pub fn data_url(&self, source: &Path) -> Result<String, Fault> {
        let bytes = self.read(source)?;
        let kind = media_type(&source.to_string_lossy()).replace("; ", ";");
        Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
    }

    /// Puts what was brought among the outputs.
    pub fn hand_over(&self, outputs: &mut Outputs) -> Result<()> {
        for (source, (file, output)) in std::mem::take(&mut *self.lock()) {
            outputs.remember(&source, &file);
            outputs.add(file, output)?;
        }
        let named = std::mem::take(&mut *self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        for (source, imports) in named {
            outputs.sources.entry(source).or_default().extend(imports);
        }
        Ok(())
    }

    /// Remembers that a stylesheet's `url()` leads to a source, for those who ask what is in a build.
    fn remember(&self, file: &Path, url: &str, target: &Path) {
        let name = |path: &Path| fs::display_name(&self.config.root, path);
        let import = Import { original: Some(url.to_owned()), ..Import::of(name(target), ImportKind::Url) };
        let mut named = self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        named.entry(name(file)).or_default().insert(import);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (String, Output)>> {
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Resolves the `url()`s of a stylesheet.
pub struct StyleUrls<'a> {
    brought: &'a Brought,
    /// How a file is written in the stylesheet, with the URL's query and fragment.
    write: &'a (dyn Fn(&str, &str) -> String + Sync),
    refers: Mutex<BTreeSet<(Relation, String)>>,
    /// The sources of the files that were written.
    targets: Mutex<BTreeSet<PathBuf>>,
}

impl<'a> StyleUrls<'a> {
    pub fn new(brought: &'a Brought, write: &'a (dyn Fn(&str, &str) -> String + Sync)) -> Self {
        StyleUrls { brought, write, refers: Mutex::default(), targets: Mutex::default() }
    }

    /// The files that were written so far, and the sources of those that are known by their sources.
    pub fn into_told(self) -> (BTreeSet<(Relation, String)>, BTreeSet<PathBuf>) {
        let refers = self.refers.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        (refers, self.targets.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn write(&self, file: &str, suffix: &str) -> String {
        let mut refers = self.refers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        refers.insert((Relation::Url, file.to_owned()));
        (self.write)(file, suffix)
    }
}

impl Urls for StyleUrls<'_> {
    fn resolve(&self, file: &Path, url: &str) -> Result<Option<String>, Fault> {
        let config = &self.brought.config;
        let base = format!("/{}", fs::display_name(&config.root, file));
        let Some((local, suffix)) = local_path(&base, url) else { return Ok(None) };
        let missing = || {
            Fault::new(format!("`{}` refers to `{url}`, which isn't there", fs::display_name(&config.root, file)))
                .hint("check the path: it is relative to the stylesheet that it stands in")
        };
        if url.starts_with('/') {
            let Some(name) = logical_name(&config.prefix, &local) else { return Ok(None) };
            let file = self.brought.entries.get(name).ok_or_else(missing)?;
            return Ok(Some(self.write(file, suffix)));
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
        if !self.brought.known.contains_key(&target) && !target.is_file() {
            return Err(missing());
        }
        self.brought.remember(file, url, &target);
        self.targets.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(target.clone());
        Ok(Some(self.write(&self.brought.file(&target)?, suffix)))
    }
}

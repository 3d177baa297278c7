//! How chunks and the stylesheets of modules are named while their bytes are not final.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::fingerprint::Digest;
use crate::fs;

use super::EntryModule;

/// The specifier of an entry that is made of several modules.
pub const BUNDLE: &str = "fingerpost:bundle/";

/// How chunks are named, and how names lead back to entries.
#[derive(Debug)]
pub struct Naming {
    root: PathBuf,
    assets: PathBuf,
    /// Module ids of the entries, in order.
    ids: Vec<String>,
    /// The entries' names, in order.
    names: Vec<String>,
    /// What the entries of several modules import.
    bundles: Vec<Vec<PathBuf>>,
}

impl Naming {
    pub fn new(config: &Config, entries: &[EntryModule]) -> Self {
        let id = |(index, entry): (usize, &EntryModule)| match entry.inputs.as_slice() {
            [only] => only.to_string_lossy().into_owned(),
            _ => format!("{BUNDLE}{index}"),
        };
        Naming {
            root: config.root.clone(),
            assets: config.assets.clone(),
            ids: entries.iter().enumerate().map(id).collect(),
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            bundles: entries.iter().map(|entry| entry.inputs.clone()).collect(),
        }
    }

    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The modules of all entries.
    pub fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.bundles.iter().flatten()
    }

    pub fn entry(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|entry| entry == id)
    }

    /// What an entry of several modules imports.
    pub fn bundle(&self, id: &str) -> Option<&[PathBuf]> {
        let index: usize = id.strip_prefix(BUNDLE)?.parse().ok()?;
        self.bundles.get(index).map(Vec::as_slice)
    }

    /// A module's id in words that are the same wherever the site lies.
    pub fn portable(&self, id: &str) -> String {
        match self.entry(id).filter(|_| id.starts_with(BUNDLE)) {
            Some(entry) => format!("{BUNDLE}{}", self.names[entry]),
            None => fs::display_name(&self.root, Path::new(id)),
        }
    }

    /// The chunk's path below the prefix without `.js`: an entry's own, a module's below the assets folder, or `chunks/NAME`.
    pub fn path(&self, name: &str, facade: Option<&str>) -> String {
        if let Some(entry) = facade.and_then(|id| self.entry(id)) {
            return without_extension(&self.names[entry]).to_owned();
        }
        let own = facade.and_then(|id| Path::new(id).strip_prefix(&self.assets).ok());
        match own {
            Some(path) => without_extension(&path.to_string_lossy().replace('\\', "/")).to_owned(),
            None => format!("chunks/{}", name.rsplit('/').next().unwrap_or(name)),
        }
    }

    /// `js/app~1f0c2a9b.js`. A chunk that several share takes its name from the first of its modules in the order of their
    /// ids, which changes less often than the order in which they run.
    pub fn stable(&self, name: &str, facade: Option<&str>, modules: &[&str]) -> String {
        let seed = match facade {
            Some(id) => format!("module {}", self.portable(id)),
            None => format!("shared {}", modules.iter().map(|id| self.portable(id)).min().unwrap_or_default()),
        };
        format!("{}~{}.js", self.path(name, facade), short(&seed))
    }

    /// The path and the stable path of a stylesheet of these sheets: named after the one root that needs it, or else after
    /// the first of them; its stable path doesn't change when a sheet is added.
    pub fn sheet(&self, root: Option<(&str, &str)>, sheets: &[String]) -> (String, String) {
        let first = sheets.iter().map(String::as_str).min().unwrap_or_default();
        let path = match root {
            Some((name, facade)) => self.path(name, Some(facade)),
            None => self.path(stem(sheets.first().map_or(first, String::as_str)), Some(first)),
        };
        let seed = format!("sheet {}", sheets.iter().map(|id| self.portable(id)).min().unwrap_or_default());
        (format!("{path}.css"), format!("{path}~{}.css", short(&seed)))
    }
}

fn short(seed: &str) -> String {
    let digest = Digest::of(seed.as_bytes()).fingerprint();
    digest.as_str().get(..8).unwrap_or_default().to_owned()
}

pub fn stem(path: &str) -> &str {
    without_extension(path.rsplit('/').next().unwrap_or(path))
}

fn without_extension(path: &str) -> &str {
    match path.rfind('.') {
        Some(dot) if !path[dot..].contains('/') => &path[..dot],
        _ => path,
    }
}

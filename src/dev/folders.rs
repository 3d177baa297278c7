//! Which folders to watch, and what a change in them is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::watch::Depth;
use crate::config::{Config, fixed_part};

/// Files of the root that say how to build. What is in them is read when the configuration is.
const SETTINGS: [&str; 4] = ["package.json", "tsconfig.json", "jsconfig.json", ".browserslistrc"];

/// What a change of a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// How to build.
    Settings,
    Sources,
    Nothing,
}

/// What is watched of a site.
#[derive(Debug, Default)]
pub struct Folders {
    root: PathBuf,
    /// Where all files matter.
    trees: BTreeSet<PathBuf>,
    /// Files that matter, wherever they lie.
    files: BTreeSet<PathBuf>,
    /// Where files matter that were used, and those that might be used in their place.
    folders: BTreeSet<PathBuf>,
    config: PathBuf,
    /// What builds write.
    written: Vec<PathBuf>,
}

impl Folders {
    /// `inputs` are the files that the last build was made of.
    pub fn of<'a>(config: &Config, file: Option<&Path>, inputs: impl Iterator<Item = &'a Path>) -> Self {
        let root = config.root.clone();
        let kept = config.keeps.iter().map(|keep| keep.from.clone());
        let tools = config.tools.iter().flat_map(|tool| &tool.inputs).map(|glob| root.join(fixed_part(glob)));
        // A tool that reads anything in the root would have all be watched, packages and what builds write too.
        let (files, tools): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
            tools.filter(|path| *path != root).partition(|path| path.is_file());
        let trees: BTreeSet<PathBuf> =
            [config.assets.clone(), config.templates.clone()].into_iter().chain(kept).chain(tools).collect();
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        let is_in_tree = |path: &Path| trees.iter().any(|tree| path.starts_with(tree));
        let mut add = |path: &Path| folders.extend(path.parent().filter(|_| !is_in_tree(path)).map(Path::to_owned));
        inputs.for_each(&mut add);
        files.iter().for_each(|path| add(path));
        // When packages are installed, this is where it is seen first, and last.
        folders.insert(root.join("node_modules"));
        let config_file = root.join(file.unwrap_or(Path::new(crate::config::DEFAULT_FILE)));
        let written = [Some(config.out.clone()), config.cache.clone(), Some(root.join(".git"))];
        Folders { trees, files, folders, config: config_file, written: written.into_iter().flatten().collect(), root }
    }

    /// A folder that builds write.
    pub fn leave_out(&mut self, folder: &Path) {
        self.written.push(folder.to_owned());
    }

    /// What to watch.
    pub fn wanted(&self) -> BTreeMap<PathBuf, Depth> {
        let own = self.config.parent().map(Path::to_owned).into_iter().chain([self.root.clone()]);
        let folders = self.folders.iter().cloned().chain(own).map(|path| (path, Depth::Folder));
        let trees = self.trees.iter().cloned().map(|path| (path, Depth::Tree));
        folders.chain(trees).collect()
    }

    /// Whether one of these says how to build.
    pub fn are_settings(&self, paths: &BTreeSet<PathBuf>) -> bool {
        paths.iter().any(|path| self.about(path) == About::Settings)
    }

    pub fn about(&self, path: &Path) -> About {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_setting = SETTINGS.contains(&name.as_ref()) || name == ".env" || name.starts_with(".env.");
        if path == self.config || (path.parent() == Some(self.root.as_path()) && is_setting) {
            return About::Settings;
        }
        if self.written.iter().any(|folder| path.starts_with(folder)) {
            return About::Nothing;
        }
        // A new one beside a file that was used may be meant by the same name.
        let is_near = path.parent().is_some_and(|folder| folder != self.root && self.folders.contains(folder));
        let is_named = self.folders.contains(path) || self.files.contains(path);
        let is_source = is_near || is_named || self.trees.iter().any(|tree| path.starts_with(tree));
        if is_source { About::Sources } else { About::Nothing }
    }
}

//! What there is: the files below `assets/`, `assets/public/` and `templates/`, and nothing outside the root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;
use walkdir::{DirEntry, WalkDir};

use super::transform::sass::is_sass;
use crate::asset::{LogicalPath, extension};
use crate::config::{Config, Keep, fixed_part};
use crate::error::{Error, Fault, Result};
use crate::fs;

/// The folder below `assets/` that is copied as it is to the site's root.
const PUBLIC: &str = "public";

/// A site's sources, each by its name and with its absolute path.
#[derive(Debug, Default)]
pub struct Sources {
    /// Assets, by logical path; those whose name or folder begins with `_` are parts of others only.
    pub assets: BTreeMap<LogicalPath, PathBuf>,
    pub parts: BTreeMap<LogicalPath, PathBuf>,
    /// What tools made, by the path that it would have.
    pub made: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that keep their names, by their path below the site's root. If two claim one path, adding them to the outputs tells.
    pub public: Vec<(String, PathBuf)>,
    /// Templates, by their name, which is their path below `templates/`.
    pub templates: BTreeMap<String, PathBuf>,
    /// The folders that were looked through.
    folders: Vec<PathBuf>,
}

impl Sources {
    /// `made` is what tools made, which lies nowhere.
    pub fn discover(config: &Config, made: BTreeMap<PathBuf, Vec<u8>>) -> Result<Self> {
        let folders = [&config.assets, &config.templates].into_iter().chain(config.keeps.iter().map(|keep| &keep.from));
        let mut sources = Sources { made, folders: folders.cloned().collect(), ..Sources::default() };
        let mut assets = files(config, &config.assets, false)?;
        assets.extend(sources.made.keys().map(|path| (fs::display_name(&config.assets, path), path.clone())));
        for (name, path) in assets {
            if name.strip_prefix(PUBLIC).is_some_and(|rest| rest.starts_with('/')) {
                continue;
            }
            let list = match name.split('/').any(|part| part.starts_with('_')) {
                true => &mut sources.parts,
                false => &mut sources.assets,
            };
            let name = LogicalPath::new(name).map_err(|error| Fault::new(error.to_string()).hint("rename the file"))?;
            list.insert(name, path);
        }
        sources.public = files(config, &config.assets.join(PUBLIC), true)?.into_iter().collect();
        for keep in &config.keeps {
            sources.public.extend(kept(config, keep)?);
        }
        sources.templates = files(config, &config.templates, false)?;
        if sources.assets.is_empty() && sources.templates.is_empty() && sources.public.is_empty() {
            return Err(Fault::new(format!(
                "there is nothing to build: neither `{}` nor `{}` holds a file",
                fs::display_name(&config.root, &config.assets),
                fs::display_name(&config.root, &config.templates)
            ))
            .hint("pass the site's root with `--root`, or begin one with `fingerpost init`")
            .into());
        }
        Ok(sources)
    }

    /// Whether the others are the same files, whatever is in them.
    pub fn are_where(&self, others: &Sources) -> bool {
        // Not as paths, which are compared part by part.
        self.paths().map(|path| path.as_os_str()).eq(others.paths().map(|path| path.as_os_str()))
    }

    /// Whether there is a source at that path.
    pub fn has(&self, path: &Path) -> bool {
        self.paths().any(|source| source.as_os_str() == path.as_os_str())
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let assets = self.assets.values().chain(self.parts.values());
        let public = self.public.iter().map(|(_, path)| path);
        assets.chain(public).chain(self.templates.values())
    }

    /// Whether a path lies where all that there is is known.
    pub fn is_among(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder))
    }

    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.made.get(path).map_or_else(|| fs::read(path), |bytes| Ok(bytes.clone()))
    }

    /// The source of that logical path, part or not.
    pub fn asset(&self, path: &str) -> Option<(&LogicalPath, &PathBuf)> {
        self.assets.get_key_value(path).or_else(|| self.parts.get_key_value(path))
    }
}

/// The files of `[[keep]]`, by their path below the site's root.
fn kept(config: &Config, keep: &Keep) -> Result<Vec<(String, PathBuf)>> {
    let files = files(config, &keep.from, false)?.into_iter().filter(|(name, _)| keep.wants(name));
    let place = |name: &str| match name {
        // What is kept is a single file, which has no name below itself.
        "" => keep.to.to_string(),
        name => format!("{}/{name}", keep.to),
    };
    let kept: Vec<_> = files.map(|(name, path)| (place(&name), path)).collect();
    if kept.is_empty() { Err(Error::Config(keep.nothing.clone())) } else { Ok(kept) }
}

/// Whether it is a stylesheet, or is compiled to one.
pub fn is_style(path: &str) -> bool {
    extension(path) == "css" || is_sass(path)
}

/// Whether it is a script that a browser could run as it is.
pub fn is_plain_script(path: &str) -> bool {
    matches!(extension(path).as_str(), "js" | "mjs")
}

/// Whether it is a script that has to be compiled first.
pub fn is_compiled_script(path: &str) -> bool {
    matches!(extension(path).as_str(), "ts" | "mts" | "tsx" | "jsx")
}

/// The files below `folder`, by their path relative to it. Dot-files are left out, but `.well-known` where that is wanted.
fn files(config: &Config, folder: &Path, well_known: bool) -> Result<BTreeMap<String, PathBuf>> {
    let mut out = BTreeMap::new();
    if !folder.exists() {
        return Ok(out);
    }
    let wanted = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || (!name.starts_with('.') || (well_known && name == ".well-known"))
                && !(entry.file_type().is_dir() && name == "node_modules")
    };
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(wanted) {
        let entry = entry.map_err(|error| walk_error(config, &error))?;
        if entry.path_is_symlink() {
            stays_inside(config, entry.path())?;
        }
        if entry.file_type().is_file() {
            let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let name = relative.to_str().ok_or_else(|| {
                Fault::new(format!("the name of `{}` is not UTF-8", entry.path().display())).hint("rename the file")
            })?;
            out.insert(name.replace('\\', "/"), entry.into_path());
        }
    }
    Ok(out)
}

/// The files below the root that are like the pattern, sorted; those of packages and what builds write only if it says so.
pub fn matching(config: &Config, glob: &GlobMatcher) -> Result<Vec<PathBuf>> {
    let start = config.root.join(fixed_part(glob));
    let wanted = |entry: &DirEntry| {
        let made = entry.path() == config.out || config.cache.as_deref() == Some(entry.path());
        let name = entry.file_name();
        entry.depth() == 0 || !(made || name == "node_modules" || name == ".git")
    };
    let mut found = Vec::new();
    if !start.exists() {
        return Ok(found);
    }
    for entry in WalkDir::new(start).sort_by_file_name().into_iter().filter_entry(wanted) {
        let entry = entry.map_err(|error| walk_error(config, &error))?;
        let name = fs::display_name(&config.root, entry.path());
        if entry.path().is_file() && glob.is_match(name) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// Refuses a link that leads out of the site's root, other than to a package.
fn stays_inside(config: &Config, path: &Path) -> Result<()> {
    let target = path.canonicalize().map_err(Error::io("follow the link", path))?;
    if fs::within(&config.root, &target) {
        return Ok(());
    }
    let name = fs::display_name(&config.root, path);
    Err(Fault::new(format!("the link `{name}` leads out of the site's root, to `{}`", target.display()))
        .hint("copy what it points to, or pass a `--root` that holds both")
        .into())
}

fn walk_error(config: &Config, error: &walkdir::Error) -> Error {
    let path = error.path().unwrap_or(&config.root).to_owned();
    if let Some(ancestor) = error.loop_ancestor() {
        let (name, ancestor) = (fs::display_name(&config.root, &path), fs::display_name(&config.root, ancestor));
        return Fault::new(format!("the link `{name}` leads back to its own parent `{ancestor}`"))
            .hint("remove the link")
            .into();
    }
    match error.io_error() {
        Some(source) => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            Error::Io { action: "read", path, source }
        }
        None => Fault::new(error.to_string()).into(),
    }
}

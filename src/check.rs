//! Checks on a site without touching its output: that it builds, and that it builds to the same bytes anywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use crate::build::{self, Built, Options};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fs;
use crate::manifest::{Kind, Mode};
use crate::page;
use crate::progress::{Progress, Silent};

pub mod libraries;

/// More threads than small machines have cores, so that work is done in another order than on one.
const SEVERAL: usize = 8;

/// Where packages lie; they are linked to and not copied.
const PACKAGES: &str = "node_modules";

/// A folder that holds this says of itself that it is a cache (<https://bford.info/cachedir/>), such as Cargo's `target`.
const CACHE: &str = "CACHEDIR.TAG";

/// Every file of a build, by its path below the output folder.
type Tree = BTreeMap<String, Vec<u8>>;

/// A file that is not the same in both builds.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub path: String,
    #[serde(flatten)]
    pub found: Found,
}

#[derive(Debug, Serialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Found {
    /// Only the build on one thread, or only that on several, has the file.
    OnlyOnce,
    /// The first byte that differs, and what stands there in each if it is text.
    Bytes { offset: usize, text: Option<[String; 2]> },
}

/// What a comparison of two builds found.
#[derive(Debug)]
pub struct Comparison {
    pub built: Built,
    pub files: usize,
    /// Of all files together.
    pub bytes: u64,
    pub differences: Vec<Difference>,
}

/// Builds the site into a temporary folder, and binds its pages to the environment, if one is named.
pub fn builds(config: &Config, environment: Option<&Environment>, progress: &dyn Progress) -> Result<Built> {
    let folder = temporary()?;
    Ok(build_into(config, environment, &folder.path().join("dist"), 0, progress)?.0)
}

/// Builds two copies of the site, in folders whose paths have different lengths, on one thread and on several.
///
/// `file` is the configuration's, as [`Config::load`] takes it.
pub fn reproducible(
    config: &Config,
    file: Option<&Path>,
    environment: Option<&str>,
    progress: &dyn Progress,
) -> Result<Comparison> {
    // A configuration outside the site stays where it is.
    let file = file.map(|file| {
        let path = fs::normalize(&config.root.join(file));
        path.strip_prefix(&config.root).map(Path::to_owned).unwrap_or(path)
    });
    let build = |folder: &str, threads: usize, progress: &dyn Progress| {
        let temporary = temporary()?;
        let root = temporary.path().join(folder);
        copy_site(config, &root)?;
        let mut copy = Config::load(&root, file.as_deref())?;
        // What an earlier build made proves nothing.
        copy.cache = None;
        let environment = environment.map(|name| copy.environment(name)).transpose()?;
        build_into(&copy, environment, &temporary.path().join("dist"), threads, progress)
    };
    let (built, one) = build("site", 1, progress)?;
    let (_, several) = build("a/folder/with/a/longer/path/site", SEVERAL, &Silent)?;
    Ok(Comparison {
        built,
        files: one.len(),
        bytes: one.values().map(|bytes| bytes.len() as u64).sum(),
        differences: differences(&one, &several),
    })
}

fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(Error::io("create a folder in", std::env::temp_dir()))
}

fn build_into(
    config: &Config,
    environment: Option<&Environment>,
    out: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Built, Tree)> {
    let options = Options { out: out.to_owned(), mode: Mode::Production, compress: true, threads };
    let built = build::build(config, &options, progress)?;
    let mut tree = read_tree(out)?;
    if let Some(environment) = environment {
        for (path, _) in built.manifest.files.iter().filter(|(_, file)| file.kind == Kind::Page) {
            if let Some(bytes) = tree.get_mut(path) {
                *bytes = page::bind(&built.manifest, environment, path, bytes)?;
            }
        }
    }
    Ok((built, tree))
}

fn read_tree(folder: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    for entry in WalkDir::new(folder) {
        let entry = entry.map_err(|error| Error::io("read", folder)(error.into()))?;
        if entry.file_type().is_file() {
            tree.insert(fs::display_name(folder, entry.path()), fs::read(entry.path())?);
        }
    }
    Ok(tree)
}

/// Copies the site but its output, and leads packages to where they are.
fn copy_site(config: &Config, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(Error::io("create the folder", to))?;
    // Packages may also be in a folder above the root; the nearest is where they are looked for first.
    let above = config.root.ancestors().skip(1).map(|folder| folder.join(PACKAGES)).find(|folder| folder.is_dir());
    if let (Some(packages), Some(parent)) = (above, to.parent()) {
        link(&packages, &parent.join(PACKAGES))?;
    }
    let wanted = |entry: &walkdir::DirEntry| {
        entry.depth() == 0
            || entry.path() != config.out
                && entry.file_name() != ".git"
                && !(entry.file_type().is_dir() && entry.path().join(CACHE).exists())
    };
    let mut entries = WalkDir::new(&config.root).into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|error| Error::io("read", &config.root)(error.into()))?;
        let (path, target) = (entry.path(), to.join(entry.path().strip_prefix(&config.root).unwrap_or(entry.path())));
        if !wanted(&entry) {
            if entry.file_type().is_dir() {
                entries.skip_current_dir();
            }
        } else if entry.path_is_symlink() {
            link(&link_target(config, path, to)?, &target)?;
        } else if entry.file_type().is_dir() && entry.file_name() == PACKAGES {
            link_packages(config, path, to, &target)?;
            entries.skip_current_dir();
        } else if entry.file_type().is_dir() {
            std::fs::create_dir_all(&target).map_err(Error::io("create the folder", &target))?;
        } else if entry.file_type().is_file() {
            std::fs::copy(path, &target).map_err(Error::io("copy", path))?;
        }
    }
    Ok(())
}

/// A folder of links, one to each package. A package of the site's own, which a link leads to, is the copy's.
fn link_packages(config: &Config, packages: &Path, to: &Path, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target).map_err(Error::io("create the folder", target))?;
    for entry in WalkDir::new(packages).min_depth(1).max_depth(1) {
        let entry = entry.map_err(|error| Error::io("read", packages)(error.into()))?;
        let (path, target) = (entry.path(), target.join(entry.file_name()));
        if entry.path_is_symlink() {
            link(&link_target(config, path, to)?, &target)?;
        } else if entry.file_name().to_string_lossy().starts_with('@') {
            link_packages(config, path, to, &target)?;
        } else {
            link(path, &target)?;
        }
    }
    Ok(())
}

/// Where a copied link has to lead: into the copy if it leads into the site, else to where it always did.
fn link_target(config: &Config, link: &Path, to: &Path) -> Result<PathBuf> {
    let written = std::fs::read_link(link).map_err(Error::io("read the link", link))?;
    let target = fs::normalize(&link.parent().unwrap_or(&config.root).join(written));
    Ok(match target.strip_prefix(&config.root) {
        Ok(inside) => to.join(inside),
        Err(_) => target,
    })
}

fn link(target: &Path, link: &Path) -> Result<()> {
    rustix::fs::symlink(target, link).map_err(|error| Error::io("create the link", link)(error.into()))
}

fn differences(one: &Tree, several: &Tree) -> Vec<Difference> {
    let found = |path: &String| match (one.get(path), several.get(path)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => Some(first_difference(a, b)),
        _ => Some(Found::OnlyOnce),
    };
    let others = several.keys().filter(|path| !one.contains_key(*path));
    let paths = one.keys().chain(others);
    paths.filter_map(|path| Some(Difference { path: path.clone(), found: found(path)? })).collect()
}

fn first_difference(a: &[u8], b: &[u8]) -> Found {
    let offset = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let text = std::str::from_utf8(a).is_ok() && std::str::from_utf8(b).is_ok();
    Found::Bytes { offset, text: text.then(|| [excerpt(a, offset), excerpt(b, offset)]) }
}

/// A line's worth of text from a little before the offset.
fn excerpt(bytes: &[u8], offset: usize) -> String {
    let (start, end) = (offset.saturating_sub(20), (offset + 40).min(bytes.len()));
    String::from_utf8_lossy(bytes.get(start..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found() {
        let tree =
            |pairs: &[(&str, &[u8])]| pairs.iter().map(|(path, bytes)| (path.to_string(), bytes.to_vec())).collect();
        let one: Tree =
            tree(&[("a.txt", b"same"), ("b.txt", b"ab c"), ("c.bin", b"\xff\x00"), ("only", b""), ("p", b"ab")]);
        let two: Tree =
            tree(&[("a.txt", b"same"), ("b.txt", b"ab d"), ("c.bin", b"\xff\x01"), ("other", b""), ("p", b"abc")]);
        let found: Vec<String> = differences(&one, &two)
            .into_iter()
            .map(|difference| format!("{} {:?}", difference.path, difference.found))
            .collect();
        assert_eq!(
            found,
            [
                "b.txt Bytes { offset: 3, text: Some([\"ab c\", \"ab d\"]) }",
                "c.bin Bytes { offset: 1, text: None }",
                "only OnlyOnce",
                "p Bytes { offset: 2, text: Some([\"ab\", \"abc\"]) }",
                "other OnlyOnce",
            ]
        );
    }
}

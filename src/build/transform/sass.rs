//! Sass, compiled to CSS; what becomes of that is for [`super::css`].
//!
//! The only place that names grass.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use codemap::SpanLoc;
use grass::{ErrorKind, Fs, Logger, Options};
use serde::{Deserialize, Serialize};

use crate::asset::extension;
use crate::build::cache::Cache;
use crate::error::{Error, Fault};
use crate::fingerprint::Digest;
use crate::fs::{self, within};

/// A Sass stylesheet as CSS.
#[derive(Debug)]
pub struct Compiled {
    pub css: String,
    /// Every file that was read, itself included.
    pub parts: BTreeSet<PathBuf>,
    /// What `@warn`, `@debug` and deprecated features have to say.
    pub warnings: Vec<String>,
}

/// Whether it is Sass, in either syntax.
pub fn is_sass(path: &str) -> bool {
    matches!(extension(path).as_str(), "scss" | "sass")
}

/// What is kept of a compilation: its result, and all that it found out about the disk. Paths are those from the root, of what
/// lies elsewhere absolute.
#[derive(Serialize, Deserialize)]
struct Kept {
    css: String,
    warnings: Vec<String>,
    /// Each file that was read, and what was in it.
    read: BTreeMap<PathBuf, Digest>,
    /// Each path that was looked at, and whether there was a file.
    files: BTreeMap<PathBuf, bool>,
    /// Each path that was looked at, and whether there was a folder.
    folders: BTreeMap<PathBuf, bool>,
}

impl Kept {
    /// Whether compiling again would come to the same.
    fn is_valid(&self, root: &Path) -> bool {
        self.files.iter().all(|(path, is)| root.join(path).is_file() == *is)
            && self.folders.iter().all(|(path, is)| root.join(path).is_dir() == *is)
            && self
                .read
                .iter()
                .all(|(path, digest)| std::fs::read(root.join(path)).is_ok_and(|bytes| Digest::of(&bytes) == *digest))
    }
}

/// Compiles a file. What it names is looked for beside the file that names it, in `assets`, and in the packages.
pub fn compile(cache: &Cache, root: &Path, assets: &Path, path: &Path) -> Result<Compiled, Fault> {
    let (name, folder) = (fs::display_name(root, path), fs::display_name(root, assets));
    let key = [name.as_bytes(), folder.as_bytes()];
    let make = || Ok(make(root, assets, path)?);
    let kept = cache.get_valid_or_make("sass", &key, |kept: &Kept| kept.is_valid(root), make);
    let Kept { css, warnings, read, .. } = kept.map_err(Error::into_fault)?;
    Ok(Compiled { css, parts: read.into_keys().map(|path| root.join(path)).collect(), warnings })
}

fn make(root: &Path, assets: &Path, path: &Path) -> Result<Kept, Fault> {
    let files = Files::new(root, assets, path);
    let log = Log { root, lines: RefCell::default() };
    let options = Options::default().fs(&files).logger(&log).load_paths(&files.folders).allows_charset(false);
    let name = fs::display_name(root, path);
    // grass panics where it isn't finished.
    let compiled = catch_unwind(AssertUnwindSafe(|| grass::from_path(path, &options)));
    let css = match compiled {
        Ok(Ok(css)) => css,
        Ok(Err(error)) => return Err(fault(root, &name, error.kind())),
        Err(_) => {
            return Err(Fault::new(format!("the Sass compiler gave up on `{name}`"))
                .hint("compile it with another one, as a `[[tool]]`"));
        }
    };
    let Seen { read, files, folders } = files.seen.into_inner();
    Ok(Kept { css, warnings: log.lines.into_inner(), read, files, folders })
}

fn fault(root: &Path, name: &str, kind: ErrorKind) -> Fault {
    match kind {
        ErrorKind::ParseError { message, loc, .. } => {
            let name = fs::display_name(root, Path::new(loc.file.name()));
            let hint = match message.starts_with("Can't find stylesheet") {
                true => {
                    "check the path; it is looked for beside this file, in the assets folder, and in `node_modules`"
                }
                false => "correct the stylesheet at the marked place",
            };
            Fault::new(format!("`{name}` is not valid Sass: {}", message.trim_end_matches('.'))).hint(hint).at_line(
                &name,
                loc.file.source(),
                loc.begin.line + 1,
                loc.begin.column + 1,
            )
        }
        ErrorKind::IoError(error) => Fault::new(format!("could not compile `{name}`: {error}"))
            .hint("keep what it uses below the site's root, in a place that can be read"),
        kind => Fault::new(format!("could not compile `{name}`: {kind:?}")),
    }
}

/// The files that Sass may see.
#[derive(Debug)]
struct Files<'a> {
    root: &'a Path,
    /// Where a file is looked for that isn't beside the one that names it.
    folders: Vec<PathBuf>,
    seen: RefCell<Seen>,
}

/// What was asked of the disk, and answered, as [`Kept`] has it.
#[derive(Debug, Default)]
struct Seen {
    read: BTreeMap<PathBuf, Digest>,
    files: BTreeMap<PathBuf, bool>,
    folders: BTreeMap<PathBuf, bool>,
}

impl<'a> Files<'a> {
    fn new(root: &'a Path, assets: &Path, path: &Path) -> Self {
        let mut files = Files { root, folders: vec![assets.to_owned()], seen: RefCell::default() };
        let packages = path.ancestors().skip(1).map(|folder| folder.join("node_modules"));
        let packages: Vec<PathBuf> = packages.filter(|path| files.is_folder(path)).collect();
        files.folders.extend(packages);
        files
    }

    fn key(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }

    fn is_there(&self, path: &Path) -> bool {
        let is_file = path.is_file();
        self.seen.borrow_mut().files.insert(self.key(path), is_file);
        is_file
    }

    fn is_folder(&self, path: &Path) -> bool {
        let is_folder = path.is_dir();
        self.seen.borrow_mut().folders.insert(self.key(path), is_folder);
        is_folder
    }

    fn find(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::normalize(path);
        if self.is_there(&path) {
            return Some(path);
        }
        self.in_package(&path).or_else(|| self.elsewhere(&path))
    }

    /// grass looks for a name with an extension beside the file only (`find_import` in its `visitor.rs`).
    fn elsewhere(&self, path: &Path) -> Option<PathBuf> {
        let beside = |file: &PathBuf| Some(path.strip_prefix(self.root.join(file).parent()?).ok()?.to_owned());
        let named: Option<PathBuf> = {
            let seen = self.seen.borrow();
            seen.read.keys().filter_map(beside).min_by_key(|name| name.as_os_str().len())
        };
        let named = named?;
        self.folders.iter().map(|folder| folder.join(&named)).find(|path| self.is_there(path))
    }

    /// `~name/…`, as webpack has it, and `pkg:name/…` (<https://sass-lang.com/documentation/at-rules/use/#pkg-urls>) mean packages.
    fn in_package(&self, path: &Path) -> Option<PathBuf> {
        let parts: Vec<&str> = path.components().map(|part| part.as_os_str().to_str()).collect::<Option<_>>()?;
        let package = |part: &&str| part.strip_prefix('~').or_else(|| part.strip_prefix("pkg:")).map(str::to_owned);
        let (at, name) = parts.iter().enumerate().find_map(|(at, part)| Some((at, package(part)?)))?;
        let before: PathBuf = path.components().take(at).collect();
        let inner: PathBuf = path.components().skip(at + 1).collect();
        let mut candidates = before.ancestors().map(|folder| folder.join("node_modules").join(&name).join(&inner));
        candidates.find(|path| self.is_there(path))
    }
}

impl Fs for Files<'_> {
    fn is_dir(&self, path: &Path) -> bool {
        self.is_folder(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = fs::display_name(self.root, path);
        if !within(self.root, path) {
            return Err(io::Error::other(format!("`{name}` leads out of the site's root")));
        }
        let told = |error: Error| io::Error::other(error.to_string());
        let bytes = fs::read(path).map_err(told)?;
        self.seen.borrow_mut().read.insert(self.key(path), Digest::of(&bytes));
        Ok(fs::to_text(bytes, &name).map_err(told)?.into_bytes())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.find(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// What Sass says besides.
#[derive(Debug)]
struct Log<'a> {
    root: &'a Path,
    lines: RefCell<Vec<String>>,
}

impl Logger for Log<'_> {
    fn debug(&self, location: SpanLoc, message: &str) {
        self.warn(location, message);
    }

    fn warn(&self, location: SpanLoc, message: &str) {
        let name = fs::display_name(self.root, Path::new(location.file.name()));
        self.lines.borrow_mut().push(format!("{name}:{}: {message}", location.begin.line + 1));
    }
}

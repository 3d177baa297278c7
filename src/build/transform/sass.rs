//! Sass, compiled to CSS; what becomes of that is for [`super::css`].
//!
//! The only place that names grass.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use codemap::SpanLoc;
use grass::{ErrorKind, Fs, Logger, Options};

use crate::asset::extension;
use crate::error::Fault;
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

/// Compiles a file. What it names is looked for beside the file that names it, in `assets`, and in the packages.
pub fn compile(root: &Path, assets: &Path, path: &Path) -> Result<Compiled, Fault> {
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
    Ok(Compiled { css, parts: files.read.into_inner(), warnings: log.lines.into_inner() })
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

/// The files that Sass may see, and those that it has read.
#[derive(Debug)]
struct Files<'a> {
    root: &'a Path,
    /// Where a file is looked for that isn't beside the one that names it.
    folders: Vec<PathBuf>,
    read: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Files<'a> {
    fn new(root: &'a Path, assets: &Path, path: &Path) -> Self {
        let mut folders = vec![assets.to_owned()];
        folders.extend(path.ancestors().skip(1).map(|folder| folder.join("node_modules")).filter(|path| path.is_dir()));
        Files { root, folders, read: RefCell::default() }
    }

    fn find(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::normalize(path);
        if path.is_file() {
            return Some(path);
        }
        in_package(&path).or_else(|| self.elsewhere(&path))
    }

    /// grass looks for a name with an extension beside the file only (`find_import` in its `visitor.rs`).
    fn elsewhere(&self, path: &Path) -> Option<PathBuf> {
        let read = self.read.borrow();
        let named = read
            .iter()
            .filter_map(|file| path.strip_prefix(file.parent()?).ok())
            .min_by_key(|name| name.as_os_str().len())?;
        self.folders.iter().map(|folder| folder.join(named)).find(|path| path.is_file())
    }
}

/// `~name/…`, as webpack has it, and `pkg:name/…` (<https://sass-lang.com/documentation/at-rules/use/#pkg-urls>) mean packages.
fn in_package(path: &Path) -> Option<PathBuf> {
    let parts: Vec<&str> = path.components().map(|part| part.as_os_str().to_str()).collect::<Option<_>>()?;
    let package = |part: &&str| part.strip_prefix('~').or_else(|| part.strip_prefix("pkg:")).map(str::to_owned);
    let (at, name) = parts.iter().enumerate().find_map(|(at, part)| Some((at, package(part)?)))?;
    let before: PathBuf = path.components().take(at).collect();
    let inner: PathBuf = path.components().skip(at + 1).collect();
    let mut candidates = before.ancestors().map(|folder| folder.join("node_modules").join(&name).join(&inner));
    candidates.find(|path| path.is_file())
}

impl Fs for Files<'_> {
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = fs::display_name(self.root, path);
        if !within(self.root, path) {
            return Err(io::Error::other(format!("`{name}` leads out of the site's root")));
        }
        let text = fs::read_text(path, &name).map_err(|error| io::Error::other(error.to_string()))?;
        self.read.borrow_mut().insert(path.to_owned());
        Ok(text.into_bytes())
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

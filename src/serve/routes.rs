//! The URLs of a build: which of its files, or which other URL, each of them leads to.

use crate::asset::{decode_url_path, is_hidden, url_path};
use crate::environment::Environment;
use crate::error::Result;
use crate::manifest::{Kind, Manifest};
use crate::page::Statics;

/// The page that is the body of every 404, and has no URL of its own.
pub const NOT_FOUND: &str = "404.html";

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// To a file, given by its path below the output folder.
    File(&'a str),
    /// To a file, by a name that goes on to name what changes.
    Stable(&'a str),
    /// To another path of this site, percent-encoded.
    Redirect(String),
}

/// What follows from a manifest and an environment.
#[derive(Debug, Clone, Copy)]
pub struct Routes<'a> {
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
    pub statics: &'a Statics,
}

impl<'a> Routes<'a> {
    /// Gives each path (absolute and decoded) with where it leads. The first that comes for a path is the one that counts: files come
    /// first, so that each keeps the path that it has in the output folder, whatever else would be reachable there; redirects last.
    pub fn each(&self, mut put: impl FnMut(String, Target<'a>) -> Result<()>) -> Result<()> {
        let manifest = self.manifest;
        let mut give = |path: String, target| if is_hidden(&path) { Ok(()) } else { put(path, target) };
        let served = || manifest.files.iter().filter(|(path, _)| *path != NOT_FOUND);
        for (path, _) in served() {
            give(format!("/{path}"), Target::File(path))?;
        }
        for (logical, entry) in &manifest.entries {
            give(format!("/{}/{logical}", manifest.prefix), Target::Stable(&entry.file))?;
        }
        for (path, file) in self.statics.iter() {
            give(path.to_owned(), Target::Stable(file))?;
        }
        let base = self.base();
        for (name, file) in &manifest.chunks {
            if let Some(base) = &base {
                give(format!("{base}{name}"), Target::Stable(file))?;
            }
            give(format!("/{name}"), Target::Stable(file))?;
        }
        if let Some(base) = &base {
            for (path, _) in served() {
                give(format!("{base}{path}"), Target::File(path))?;
            }
        }
        let documents = || served().filter(|(_, file)| file.kind != Kind::Asset);
        for (path, _) in documents() {
            if let Some(url) = clean_url(path) {
                give(url, Target::File(path))?;
            }
        }
        for (path, _) in documents() {
            if let Some((from, to)) = clean_redirect(path) {
                give(from, Target::Redirect(local(&to)))?;
            }
        }
        Ok(())
    }

    /// What begins with the first is also where the second leads, if nothing else is there: a stylesheet that is fetched as
    /// `/static/css/a.css` asks for `../img/b-….png` below `/static/` too.
    pub fn alias(&self) -> (String, String) {
        ("/static/".to_owned(), format!("/{}/", self.manifest.prefix))
    }

    /// The decoded path that assets have in this environment, where that is another path of this server: `/v1/`.
    pub fn base(&self) -> Option<String> {
        let base = &self.environment.asset_base;
        (!base.is_other_origin() && base.as_str() != "/").then(|| decode_url_path(base.as_str()))?
    }
}

/// A path of this site, percent-encoded. Two slashes, or one and what a browser takes for one, would start another site's name:
/// RFC 3986 section 4.2.
pub(super) fn local(path: &str) -> String {
    url_path(&format!("/{}", path.trim_start_matches(['/', '\\'])))
}

/// `about.html` is at `/about` too, `docs/index.html` at `/docs/`.
fn clean_url(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".html")?;
    Some(match folder_of_index(stem) {
        Some(folder) => format!("/{folder}"),
        None => format!("/{stem}"),
    })
}

/// From the clean URL with or without the slash at its end, whichever is wrong, to the right one.
fn clean_redirect(path: &str) -> Option<(String, String)> {
    let stem = path.strip_suffix(".html")?;
    match folder_of_index(stem) {
        Some("") => None,
        Some(folder) => Some((format!("/{}", folder.trim_end_matches('/')), format!("/{folder}"))),
        None => Some((format!("/{stem}/"), format!("/{stem}"))),
    }
}

/// `docs/` of `docs/index`.
fn folder_of_index(stem: &str) -> Option<&str> {
    stem.strip_suffix("index").filter(|folder| folder.is_empty() || folder.ends_with('/'))
}

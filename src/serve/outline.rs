//! What a build is served as, without the bodies: for whoever has to tell another server to do the same.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, VARY,
};
use rayon::prelude::*;

use super::dist::{is_document, surroundings};
use super::fields::Fields;
use super::headers::{STABLE, Terms};
use super::load::{Files, fault};
use super::routes::{NOT_FOUND, Routes, Target};
use crate::environment::Environment;
use crate::error::Result;
use crate::manifest::{File, Kind, Manifest};
use crate::page::{self, Folders, Statics};

/// The header fields of an answer, by lower-case name, but for those that follow from the bytes and the coding.
pub type Headers = BTreeMap<String, String>;

/// A build in an environment.
#[derive(Debug, Default)]
pub struct Outline {
    /// Each path (absolute and decoded) with the file that is there.
    pub files: BTreeMap<String, Place>,
    /// Each path with the one to go to, percent-encoded.
    pub redirects: BTreeMap<String, String>,
    /// The body of every 404.
    pub not_found: Option<Place>,
    /// That body, as it is in this environment.
    pub not_found_text: Option<String>,
    /// The decoded path that assets have too, where the environment has them elsewhere on this server: `/v1/`.
    pub base: Option<String>,
    /// `Strict-Transport-Security`, for answers over TLS.
    pub hsts: Option<String>,
    /// The pages that are other bytes in this environment than in the output folder.
    pub bound: Vec<String>,
}

/// A file, and what it is sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path below the output folder.
    pub file: String,
    pub headers: Arc<Headers>,
    /// Whether it is there in content codings too, so that the answer depends on `Accept-Encoding`.
    pub varies: bool,
}

impl Outline {
    /// Reads the pages of the build in `out`, and binds them. `folders` are where an application has its own static files.
    pub fn of(out: &Path, manifest: &Manifest, environment: &Environment, folders: &Folders) -> Result<Outline> {
        let surroundings = surroundings(Files::Folder(out), manifest)?;
        let shares_assets = environment.shares_assets();
        let terms = Terms { manifest, environment, surroundings: &surroundings, shares_assets };
        let mut sheets = Sheets { out, manifest, own: HashMap::new(), sent: HashMap::new() };
        let (bound, not_found_text) = sheets.fill(&terms)?;
        let statics = Statics::new(manifest, folders);
        let routes = Routes { manifest, environment, statics: &statics };
        let hsts = environment.security.hsts.clone();
        let mut outline = Outline { base: routes.base(), hsts, bound, not_found_text, ..Outline::default() };
        routes.each(|url, target| {
            if outline.is_free(&url) {
                match target {
                    Target::File(path) => drop(outline.files.insert(url, sheets.place(path, false)?)),
                    Target::Stable(path) => drop(outline.files.insert(url, sheets.place(path, true)?)),
                    Target::Redirect(to) => drop(outline.redirects.insert(url, to)),
                }
            }
            Ok(())
        })?;
        outline.follow(&routes.alias());
        outline.not_found = sheets.own.get(NOT_FOUND).map(|own| {
            let headers = Arc::new(written(Fields::new(own.as_ref().clone()).of_error().own()));
            let varies = manifest.files.get(NOT_FOUND).is_some_and(|file| !file.variants.is_empty());
            Place { file: NOT_FOUND.to_owned(), headers, varies }
        });
        Ok(outline)
    }

    fn is_free(&self, url: &str) -> bool {
        !self.files.contains_key(url) && !self.redirects.contains_key(url)
    }

    fn follow(&mut self, (from, to): &(String, String)) {
        let below = self.files.iter().filter_map(|(url, place)| Some((url.strip_prefix(to)?, place)));
        let aliases = below.map(|(rest, place)| (format!("{from}{rest}"), place.clone()));
        let free: Vec<(String, Place)> = aliases.filter(|(url, _)| self.is_free(url)).collect();
        self.files.extend(free);
    }
}

/// The headers of all files.
struct Sheets<'a> {
    out: &'a Path,
    manifest: &'a Manifest,
    /// As [`Terms`] have them, by path.
    own: HashMap<&'a str, Arc<HeaderMap>>,
    /// As they are written: for each of those, at a file's own name or at a stable one.
    sent: HashMap<(*const HeaderMap, bool), Arc<Headers>>,
}

/// A page in the environment.
struct Bound<'a> {
    path: &'a str,
    /// Whether it is other bytes than in the output folder.
    is_other: bool,
    headers: HeaderMap,
    /// Kept of the page for 404.
    text: Option<String>,
}

impl<'a> Sheets<'a> {
    /// Gives the pages that the environment changes, and the text of that for 404.
    fn fill(&mut self, terms: &Terms<'_>) -> Result<(Vec<String>, Option<String>)> {
        let (out, manifest) = (self.out, self.manifest);
        let of = |path: &str, file: &File, document: Option<&str>| {
            terms.headers(path, file, document)?.map_err(|error| fault(out, error.to_string()))
        };
        let pages = manifest.files.par_iter().filter(|(_, file)| is_document(file) || file.kind == Kind::Page);
        let bind = |(path, file): (&'a String, &File)| {
            let built = Files::Folder(out).read(path)?;
            let bound = page::bind(manifest, terms.environment, path, &built)?;
            let html = str::from_utf8(&bound).ok().filter(|_| is_document(file));
            let text = html.filter(|_| path == NOT_FOUND).map(str::to_owned);
            Ok(Bound { path: path.as_str(), is_other: bound != built, headers: of(path, file, html)?, text })
        };
        let mut pages: Vec<Bound<'_>> = pages.map(bind).collect::<Result<_>>()?;
        let not_found = pages.iter_mut().find_map(|page| page.text.take());
        let bound = pages.iter().filter(|page| page.is_other).map(|page| page.path.to_owned()).collect();
        self.own.extend(pages.into_iter().map(|page| (page.path, Arc::new(page.headers))));
        let mut equal: HashMap<(&str, &Headers), Arc<HeaderMap>> = HashMap::new();
        for (path, file) in &manifest.files {
            if self.own.contains_key(path.as_str()) {
                continue;
            }
            // What is not fingerprinted has tags that name it.
            let look = (file.media_type.as_str(), &file.headers);
            let known = equal.get(&look).filter(|_| file.kind == Kind::Asset).cloned();
            let headers = known.map_or_else(|| of(path, file, None).map(Arc::new), Ok)?;
            if file.kind == Kind::Asset {
                equal.insert(look, Arc::clone(&headers));
            }
            self.own.insert(path, headers);
        }
        Ok((bound, not_found))
    }

    fn place(&mut self, path: &str, is_stable: bool) -> Result<Place> {
        let missing = || fault(self.out, format!("`{path}` is not among the files"));
        let own = self.own.get(path).ok_or_else(missing)?;
        let headers = self.sent.entry((Arc::as_ptr(own), is_stable)).or_insert_with(|| {
            let fields = Fields::new(own.as_ref().clone());
            let fields = if is_stable { fields.with_cache_control(HeaderValue::from_static(STABLE)) } else { fields };
            Arc::new(written(fields.own()))
        });
        let mut headers = Arc::clone(headers);
        let varies = self.manifest.files.get(path).is_some_and(|file| !file.variants.is_empty());
        if varies && headers.contains_key(VARY.as_str()) {
            Arc::make_mut(&mut headers).remove(VARY.as_str());
        }
        Ok(Place { file: path.to_owned(), headers, varies })
    }
}

/// Without what follows from the bytes, as [`Fields`] has it.
fn written(headers: &HeaderMap) -> Headers {
    let follow: [HeaderName; 5] = [ETAG, CONTENT_LENGTH, CONTENT_ENCODING, LAST_MODIFIED, ACCEPT_RANGES];
    let own = headers.iter().filter(|(name, _)| !follow.contains(name));
    own.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

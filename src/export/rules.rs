//! What is answered at which path, in few rules: one for fingerprinted files of an extension, however many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::site::Site;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::serve::{Headers, Outline, Place};

/// The answers of a server, by the decoded path of a request. What is in none of them is 404.
#[derive(Debug, Default)]
pub struct Rules {
    pub environment: String,
    /// Whose pages these are; any host's if there are none.
    pub hosts: Vec<String>,
    pub release: String,
    /// Where the files lie on the server.
    pub folder: PathBuf,
    /// Files by path, but for those that the next rule tells of.
    pub files: BTreeMap<String, Found>,
    /// Fingerprinted files, whichever release they are of: by extension, which is empty for those that have none.
    pub fingerprinted: Vec<Fingerprinted>,
    /// The folders of URLs in which fingerprinted files are, each with slashes at its ends.
    pub mounts: Vec<String>,
    /// The folder in which they lie, below the server's.
    pub assets: String,
    /// By path, where to go to instead, percent-encoded.
    pub redirects: BTreeMap<String, String>,
    /// The body of every 404.
    pub not_found: Option<Found>,
    /// That body's text, bound to the environment.
    pub not_found_text: Option<String>,
    /// The sets of headers that answers have.
    pub looks: Vec<Arc<Headers>>,
    pub hsts: Option<String>,
}

/// A file that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path below the server's folder, with a slash before it.
    pub file: String,
    /// Its headers, among the [`Rules::looks`].
    pub look: usize,
    /// Its sidecars.
    pub codings: Vec<Encoding>,
}

impl Found {
    /// Whether the answer depends on `Accept-Encoding`.
    pub fn varies(&self) -> bool {
        !self.codings.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprinted {
    /// With its dot.
    pub extension: String,
    pub look: usize,
    /// Whether any of them has sidecars.
    pub varies: bool,
}

#[derive(Default)]
struct Looks {
    all: Vec<Arc<Headers>>,
    by_headers: HashMap<Arc<Headers>, usize>,
}

impl Looks {
    fn of(&mut self, headers: &Arc<Headers>) -> usize {
        *self.by_headers.entry(Arc::clone(headers)).or_insert_with(|| {
            self.all.push(Arc::clone(headers));
            self.all.len() - 1
        })
    }
}

impl Rules {
    pub fn of(site: &Site<'_>, outline: &Outline) -> Result<Rules> {
        let Site { manifest, environment, .. } = site;
        let mut looks = Looks::default();
        let assets = format!("/{}/", manifest.prefix);
        let own = outline.files.iter().filter_map(|(url, place)| Some((by_rule(site, url, &place.file)?, place)));
        let mut counts: BTreeMap<String, BTreeMap<usize, usize>> = BTreeMap::new();
        let mut varying = BTreeSet::new();
        for (extension, place) in own {
            if place.varies {
                varying.insert(extension.clone());
            }
            *counts.entry(extension).or_default().entry(looks.of(&place.headers)).or_default() += 1;
        }
        let most =
            |counts: BTreeMap<usize, usize>| counts.into_iter().max_by_key(|(look, count)| (*count, usize::MAX - look));
        let fingerprinted: Vec<Fingerprinted> = counts
            .into_iter()
            .filter_map(|(extension, counts)| {
                let varies = varying.contains(&extension);
                Some(Fingerprinted { extension, look: most(counts)?.0, varies })
            })
            .collect();
        let mut mounts = vec![assets.clone(), "/static/".to_owned()];
        mounts.extend(outline.base.as_ref().map(|base| format!("{base}{}/", manifest.prefix)));
        mounts.sort();
        mounts.dedup();
        let found = |looks: &mut Looks, place: &Place| Found {
            file: site.layout.path(manifest, &place.file),
            look: looks.of(&place.headers),
            codings: manifest
                .files
                .get(&place.file)
                .map_or_else(Vec::new, |file| file.variants.keys().copied().collect()),
        };
        let mut files = BTreeMap::new();
        for (url, place) in &outline.files {
            plain(url)?;
            plain(&place.file)?;
            let found = found(&mut looks, place);
            // At another path than its own it is by another rule.
            let is_at_own = mounts.iter().any(|mount| url.strip_prefix(mount) == place.file.strip_prefix(&assets[1..]));
            let rule = by_rule(site, &format!("/{}", place.file), &place.file).filter(|_| is_at_own);
            let is_told = rule.is_some_and(|extension| {
                fingerprinted.iter().any(|rule| rule.extension == extension && rule.look == found.look)
            });
            if !is_told {
                files.insert(url.clone(), found);
            }
        }
        outline.redirects.keys().try_for_each(|url| plain(url))?;
        Ok(Rules {
            environment: environment.name.clone(),
            hosts: environment.hosts.clone(),
            release: manifest.release.to_string(),
            folder: site.folder.clone(),
            files,
            fingerprinted,
            mounts,
            assets,
            redirects: outline.redirects.clone(),
            not_found: outline.not_found.as_ref().map(|place| found(&mut looks, place)),
            not_found_text: outline.not_found_text.clone(),
            looks: looks.all,
            hsts: outline.hsts.clone(),
        })
    }

    /// The names of all headers but `Content-Type`, each with what it is by look.
    pub fn fields(&self) -> BTreeMap<&str, Vec<(usize, &str)>> {
        let mut fields: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
        for (look, headers) in self.looks.iter().enumerate() {
            for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_TYPE) {
                fields.entry(name).or_default().push((look, value));
            }
        }
        fields
    }

    pub fn content_type(&self, look: usize) -> &str {
        self.looks.get(look).and_then(|headers| headers.get(CONTENT_TYPE)).map_or("", String::as_str)
    }

    /// Whether other origins are let in to anything.
    pub fn shares(&self) -> bool {
        self.looks.iter().any(|headers| headers.contains_key("access-control-allow-origin"))
    }
}

const CONTENT_TYPE: &str = "content-type";

/// The extension of a file whose name has its fingerprint, if it is at its own path.
fn by_rule(site: &Site<'_>, url: &str, path: &str) -> Option<String> {
    let file = site.manifest.files.get(path).filter(|file| site.manifest.is_fingerprinted(file))?;
    let name = url.strip_prefix('/').filter(|own| *own == path)?.rsplit('/').next()?;
    path.strip_prefix(&site.manifest.prefix)?.strip_prefix('/')?;
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) => (stem, format!(".{extension}")),
        None => (name, String::new()),
    };
    let print = file.digest.fingerprint();
    let stem = stem.strip_suffix(print.as_str())?.strip_suffix('-')?;
    (!stem.is_empty()).then_some(extension)
}

/// No server's configuration can hold a line's end, and nobody means to have one in a name.
fn plain(name: &str) -> Result<()> {
    match name.contains(|c: char| c.is_control()) {
        false => Ok(()),
        true => Err(Error::Usage {
            message: format!("{name:?} has a control character in its name"),
            help: "give the file another name: servers' configurations have no place for it".to_owned(),
        }),
    }
}

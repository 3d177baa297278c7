//! A build's files, verified and held, and its pages, bound: what the tables of every environment are made of.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;

use super::resource::{Bodies, Part};
use super::storage::{Candidate, LEAST, Place, Policy, Source, Storage, open_files, places};
use super::table::Table;
use crate::asset::{LogicalPath, is_compressible};
use crate::encoding::{Effort, Encoding};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, File, Kind, Manifest};
use crate::page;

/// Bytes of bound pages that are compressed as well as can be, before anything is served; that takes about two seconds a megabyte.
/// More pages are compressed quickly.
const SLOWLY: usize = 256 << 10;

/// Where a build's files are.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    /// In an output folder.
    Folder(&'a Path),
    /// In memory, by path.
    Memory(&'a BTreeMap<String, Bytes>),
}

impl<'a> Files<'a> {
    /// The output folder; for what is in memory, a place to be told of.
    pub(super) fn out(self) -> &'a Path {
        match self {
            Files::Folder(out) => out,
            Files::Memory(_) => Path::new(""),
        }
    }

    pub(super) fn read(self, path: &str) -> Result<Bytes> {
        match self {
            Files::Folder(out) => Ok(fs::read(&out.join(path))?.into()),
            Files::Memory(files) => {
                files.get(path).cloned().ok_or_else(|| fault(self.out(), format!("`{path}` is not among the files")))
            }
        }
    }
}

pub(super) struct Loaded<'a> {
    out: &'a Path,
    files_of: Files<'a>,
    manifest: &'a Manifest,
    policy: &'a Policy,
    scrutiny: Scrutiny<'a>,
    /// Whether files were left to be verified.
    pub(super) is_provisional: bool,
    /// Whether there are codings to be made that the build has not made.
    pub(super) is_unfinished: bool,
    before: &'a [Arc<Table>],
    pub(super) storage: Storage,
    /// By path below the output folder, as they were built; pages that no environment leaves as they are are not among them.
    files: HashMap<&'a str, Arc<Bodies>>,
    /// By environment, the pages that are other bytes there.
    bound: Vec<HashMap<&'a str, Arc<Bodies>>>,
}

/// When the files of a build are verified.
#[derive(Clone, Copy)]
pub(super) enum Scrutiny<'a> {
    /// When they are asked for, if they are many. Pages are verified first in any case.
    Later,
    /// Before any is served, for as long as it is still wanted.
    First(&'a (dyn Fn() -> bool + Sync)),
}

/// A page as it is sent: its path, digest and bytes, and the bytes in each coding.
type Packed<'a> = (&'a str, Digest, Vec<u8>, Vec<(Encoding, Vec<u8>)>);

/// A page, and what it is in each environment where it is not what was built, or has to be compressed.
struct Page<'a> {
    path: &'a str,
    file: &'a File,
    bound: Vec<Option<Vec<u8>>>,
}

impl<'a> Loaded<'a> {
    pub(super) fn new(
        files_of: Files<'a>,
        manifest: &'a Manifest,
        environments: &[Environment],
        policy: &'a Policy,
        before: &'a [Arc<Table>],
        scrutiny: Scrutiny<'a>,
    ) -> Result<Self> {
        let storage = Storage::new(policy.memory);
        let bound = environments.iter().map(|_| HashMap::new()).collect();
        let is_unfinished =
            !policy.encodings.is_empty() && manifest.files.values().all(|file| file.variants.is_empty());
        let out = files_of.out();
        let mut loaded = Loaded {
            out,
            files_of,
            manifest,
            policy,
            scrutiny,
            is_provisional: false,
            is_unfinished,
            before,
            storage,
            files: HashMap::new(),
            bound,
        };
        if let Some(path) = manifest.files.keys().find(|path| LogicalPath::new(path.as_str()).is_err()) {
            return Err(fault(out, format!("it names `{path}`, which is not below the output folder")));
        }
        let mut pages = loaded.bind(environments)?;
        let changed = |page: &Page| page.bound.iter().all(Option::is_some);
        let elsewhere: HashMap<&str, ()> = pages.iter().filter(|p| changed(p)).map(|page| (page.path, ())).collect();
        for index in 0..environments.len() {
            let pages = pages.iter_mut();
            let here = pages.filter_map(|page| Some((page.path, page.file, page.bound.get_mut(index)?.take()?)));
            let packed = loaded.pack(here.collect(), index)?;
            if let Some(bound) = loaded.bound.get_mut(index) {
                *bound = packed;
            }
        }
        loaded.files = loaded.hold(|path| !elsewhere.contains_key(path))?;
        Ok(loaded)
    }

    /// What is sent for a file in an environment.
    pub(super) fn bodies(&self, environment: usize, path: &str) -> Option<Arc<Bodies>> {
        let bound = self.bound.get(environment).and_then(|bound| bound.get(path));
        bound.or_else(|| self.files.get(path)).cloned()
    }

    fn bind(&self, environments: &[Environment]) -> Result<Vec<Page<'a>>> {
        let pages: Vec<(&String, &File)> =
            self.manifest.files.iter().filter(|(_, file)| file.kind == Kind::Page).collect();
        pages.into_par_iter().map(|(path, file)| self.bind_page(environments, path, file)).collect()
    }

    fn bind_page(&self, environments: &[Environment], path: &'a str, file: &'a File) -> Result<Page<'a>> {
        self.goes_on(path)?;
        let built = self.read(path, file)?;
        let has_sidecars = file.has_sidecars(self.out, path);
        let bind = |environment| {
            let bound = page::bind(self.manifest, environment, path, &built)?;
            Ok((bound != built || !has_sidecars).then_some(bound))
        };
        Ok(Page { path, file, bound: environments.iter().map(bind).collect::<Result<_>>()? })
    }

    /// Reads a file that has to be what was built.
    fn read(&self, path: &str, file: &File) -> Result<Vec<u8>> {
        let bytes = self.files_of.read(path)?;
        // What is in memory was built in this process.
        let is_built = matches!(self.files_of, Files::Memory(_));
        match is_built || (bytes.len() as u64 == file.length && Digest::of(&bytes) == file.digest) {
            true => Ok(bytes.into()),
            false => Err(self.changed(path)),
        }
    }

    /// Pages that binding has changed, compressed anew in the codings that their files have.
    fn pack(
        &self,
        pages: Vec<(&'a str, &'a File, Vec<u8>)>,
        environment: usize,
    ) -> Result<HashMap<&'a str, Arc<Bodies>>> {
        let before = self.before.get(environment);
        let known = |path: &str, digest: &Digest| {
            let bodies = before?.resource(&format!("/{path}"))?.bodies();
            let is_it = bodies.part(None).is_some_and(|identity| identity.seal == digest.seal());
            is_it.then(|| Arc::clone(bodies))
        };
        let mut packed = HashMap::with_capacity(pages.len());
        let mut work = Vec::new();
        for (path, file, bytes) in pages {
            let digest = Digest::of(&bytes);
            match known(path, &digest) {
                Some(bodies) => {
                    bodies.parts().for_each(|(_, part)| self.storage.count(&part.content));
                    packed.insert(path, bodies);
                }
                None => work.push((path, file, digest, bytes)),
            }
        }
        let effort = match work.iter().map(|(.., bytes)| bytes.len()).sum::<usize>() {
            ..=SLOWLY => Effort::Most,
            _ => Effort::Little,
        };
        let made: Vec<Packed> = work
            .into_par_iter()
            .with_max_len(1)
            .map(|(path, file, digest, bytes)| {
                self.goes_on(path)?;
                let encoded = self.compress(path, file, &bytes, effort)?;
                Ok((path, digest, bytes, encoded))
            })
            .collect::<Result<_>>()?;
        // In order, so that the same pages are always those that memory has room for.
        for (path, digest, bytes, encoded) in made {
            let identity = Part::new(&digest, self.storage.keep(bytes.into()), 0);
            let part = |(encoding, bytes): (Encoding, Vec<u8>)| {
                (encoding, Part::new(&Digest::of(&bytes), self.storage.keep(bytes.into()), 0))
            };
            let bodies = Bodies::new(identity, encoded.into_iter().map(part).collect());
            packed.insert(path, Arc::new(bodies));
        }
        Ok(packed)
    }

    fn compress(&self, path: &str, file: &File, bytes: &[u8], effort: Effort) -> Result<Vec<(Encoding, Vec<u8>)>> {
        let encodings: Vec<Encoding> = match self.is_unfinished {
            true if is_compressible(&file.media_type) => self.policy.encodings.clone(),
            true => Vec::new(),
            false if self.policy.encodings.is_empty() => Vec::new(),
            false => file.variants.keys().copied().collect(),
        };
        let mut made = Vec::new();
        for encoding in encodings {
            let packed = encoding.compress_with(effort, bytes).map_err(Error::io("compress", path))?;
            if packed.len() < bytes.len() {
                made.push((encoding, packed.into_boxed_slice().into_vec()));
            }
        }
        Ok(made)
    }

    /// Verifies the files that are wanted, if it is not to be done later, and holds each body once, wherever it lies.
    fn hold(&mut self, wanted: impl Fn(&str) -> bool) -> Result<HashMap<&'a str, Arc<Bodies>>> {
        if let Files::Memory(_) = self.files_of {
            return self.take(wanted);
        }
        let folder: Arc<Path> = self.out.into();
        let files: Vec<(&'a str, Arc<str>, &'a File)> = (self.manifest.files.iter())
            .filter(|(path, _)| wanted(path))
            .map(|(path, file)| (path.as_str(), Arc::from(path.as_str()), file))
            .collect();
        let (mut sources, mut candidates) = (Vec::new(), Vec::new());
        let mut places_of = HashMap::new();
        for (_, name, file) in &files {
            let is_text = is_compressible(&file.media_type);
            for (encoding, length, digest) in parts(file) {
                places_of.entry(digest).or_insert_with(|| {
                    sources.push(Source { folder: &folder, name, encoding, length, digest });
                    candidates.push(Candidate { length, is_text });
                    sources.len() - 1
                });
            }
        }
        self.is_provisional = matches!(self.scrutiny, Scrutiny::Later) && is_large(self.manifest, self.policy);
        let held: Vec<Part> = match self.is_provisional {
            true => sources.iter().map(Source::leave).collect(),
            false => {
                let places = places(&candidates, self.storage.room(), self.policy.largest_in_memory, open_files());
                let held = sources.par_iter().zip(places).map(|(source, place)| self.hold_one(source, place));
                held.collect::<Result<_>>()?
            }
        };
        held.iter().for_each(|part| self.storage.count(&part.content));
        let part = |digest: &Digest| places_of.get(digest).and_then(|index| held.get(*index)).cloned();
        let mut bodies = HashMap::with_capacity(files.len());
        for (path, _, file) in &files {
            let identity = part(&file.digest).ok_or_else(|| self.changed(path))?;
            let encoded = file.variants.iter().filter_map(|(encoding, other)| Some((*encoding, part(&other.digest)?)));
            let mut encoded: Vec<(Encoding, Part)> = encoded.collect();
            if self.is_unfinished {
                encoded.extend(self.made_before(path, &identity));
            }
            bodies.insert(*path, Arc::new(Bodies::new(identity, encoded)));
        }
        Ok(bodies)
    }

    /// As [`Loaded::hold`], of what is in memory already.
    fn take(&self, wanted: impl Fn(&str) -> bool) -> Result<HashMap<&'a str, Arc<Bodies>>> {
        let files = self.manifest.files.iter().filter(|(path, _)| wanted(path));
        let take = |(path, file): (&'a String, &File)| {
            let identity = Part::new(&file.digest, self.files_of.read(path)?.into(), 0);
            Ok((path.as_str(), Arc::new(Bodies::new(identity, Vec::new()))))
        };
        files.map(take).collect()
    }

    fn hold_one(&self, source: &Source<'_>, place: Place) -> Result<Part> {
        self.goes_on(source.name)?;
        let before = self.before(source.name).and_then(|bodies| bodies.part(source.encoding));
        source.hold(place, before).map_err(|error| self.failed(source, error))
    }

    /// Fails at a file where all of it is given up, for nobody to be told of.
    fn goes_on(&self, path: &str) -> Result<()> {
        match self.scrutiny {
            Scrutiny::First(is_wanted) if !is_wanted() => {
                Err(Error::io("read", self.out.join(path))(io::ErrorKind::Interrupted.into()))
            }
            _ => Ok(()),
        }
    }

    /// What was held of a file of that name.
    fn before(&self, path: &str) -> Option<&Arc<Bodies>> {
        Some(self.before.first()?.resource(&format!("/{path}"))?.bodies())
    }

    /// The codings that were made of the same bytes while an earlier release was served.
    fn made_before(&self, path: &str, identity: &Part) -> Vec<(Encoding, Part)> {
        let Some(bodies) = self.before(path) else { return Vec::new() };
        if bodies.part(None).is_none_or(|before| before.seal != identity.seal) {
            return Vec::new();
        }
        let made = bodies.parts().filter_map(|(encoding, part)| Some((encoding?, part.clone())));
        made.filter(|(_, part)| self.storage.take(part.content.held())).collect()
    }

    fn failed(&self, source: &Source, error: io::Error) -> Error {
        let path = match source.encoding {
            Some(encoding) => File::sidecar(source.name, encoding),
            None => source.name.to_string(),
        };
        match error.kind() {
            io::ErrorKind::InvalidData => self.changed(&path),
            _ => Error::io("read", self.out.join(path))(error),
        }
    }

    fn changed(&self, path: &str) -> Error {
        let out = self.out.display();
        fault(self.out, format!("`{path}` is not what it says: `{out}` was changed after it was built"))
    }
}

/// Whether a build is too large to be verified before it is served.
pub(super) fn is_large(manifest: &Manifest, policy: &Policy) -> bool {
    let lengths = manifest.files.values().flat_map(parts).map(|(_, length, _)| length.max(LEAST));
    lengths.sum::<u64>() > policy.verified_first
}

/// The representations of a file: coding, bytes, digest.
pub(super) fn parts(file: &File) -> impl Iterator<Item = (Option<Encoding>, u64, Digest)> {
    let variants: &BTreeMap<_, _> = &file.variants;
    let encoded = variants.iter().map(|(encoding, variant)| (Some(*encoding), variant.length, variant.digest));
    std::iter::once((None, file.length, file.digest)).chain(encoded)
}

pub(super) fn fault(out: &Path, reason: String) -> Error {
    Error::Manifest { path: out.join(manifest::PATH), reason }
}

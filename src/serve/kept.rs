//! Fingerprinted files of what was served, kept on the disk for the next start: a build replaces its output folder whole, and a process
//! that ends forgets what it held.
//!
//! ```text
//! served.json             the releases, the last one first
//! ID.json                 the manifest of such a release, of what no later one has
//! files/assets/NAME-HASH  their files and sidecars: links to those of the build where they can be, or else copies
//! ```

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::dist::Release;
use super::load::{Files, Scrutiny, parts};
use super::storage::Policy;
use super::table::Table;
use crate::asset::LogicalPath;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{File, Manifest};
use crate::release::ReleaseId;

const SERVED: &str = "served.json";
const FILES: &str = "files";
const LOCK: &str = "lock";

/// What another server that keeps its files here may be about to serve is younger than that.
const UNDER_WAY: Duration = Duration::from_secs(60 * 60);

/// Where files are kept, and for how many releases.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: PathBuf,
    releases: usize,
}

/// A release whose files are there, to be noted once it is served.
#[derive(Debug)]
pub(super) struct Staged {
    kept: Kept,
    manifest: Manifest,
}

impl Kept {
    pub(super) fn of(policy: &Policy) -> Option<Self> {
        let folder = policy.keep_in.clone().filter(|_| policy.keep_releases > 0)?;
        Some(Kept { folder, releases: policy.keep_releases.into() })
    }

    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Sees to it that the fingerprinted files of the build in `out` are here. To be done before they are verified: a link changes what
    /// tells that a file is the same.
    pub(super) fn stage(&self, out: &Path, manifest: &Manifest) -> Result<Staged> {
        let manifest =
            reduced(manifest, |path, file| manifest.is_fingerprinted(file) && LogicalPath::new(path).is_ok());
        let lock = self.lock()?;
        // Before the files: nobody removes what a record names.
        self.write(&name(&manifest.release), manifest.to_json().as_bytes())?;
        drop(lock);
        let files: Vec<(&String, &File)> = manifest.files.iter().collect();
        files.par_iter().try_for_each(|(path, file)| {
            parts(file).try_for_each(|(encoding, length, _)| {
                let path = encoding.map_or_else(|| (*path).clone(), |encoding| File::sidecar(path, encoding));
                let to = self.files().join(&path);
                put(&out.join(&path), &to, length).map_err(Error::io("keep a file as", &to))
            })
        })?;
        Ok(Staged { kept: self.clone(), manifest })
    }

    /// The tables of earlier releases, of what neither `current` nor a later one of them has; one for each environment.
    pub(super) fn tables(&self, current: &Manifest, environments: &[Environment], policy: &Policy) -> Vec<Arc<Table>> {
        let served = self.served();
        let earlier = served.iter().filter(|release| **release != current.release).take(self.releases);
        let mut known: HashSet<String> = current.files.keys().cloned().collect();
        let mut manifests = Vec::new();
        for release in earlier {
            let Some(manifest) = self.manifest(release) else { continue };
            let manifest = reduced(&manifest, |path, _| !known.contains(path));
            known.extend(manifest.files.keys().cloned());
            manifests.push(manifest);
        }
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for manifest in manifests.iter().rev() {
            let files = self.files();
            let load = |manifest: &Manifest| {
                Release::of(Files::Folder(&files), manifest, Scrutiny::Later, environments, policy, &tables)
            };
            let loaded = load(&self.present(manifest, is_there)).or_else(|_| load(&self.present(manifest, is_sound)));
            match loaded {
                Ok(release) => tables = release.tables.into_iter().map(Arc::new).collect(),
                Err(error) => tracing::warn!(%error, release = %manifest.release, "its files are not served any more"),
            }
        }
        tables
    }

    /// What of a release is here, as far as a look at each file tells. What is not what it has to be is removed.
    fn present(&self, manifest: &Manifest, look: fn(&Path, u64, &Digest) -> bool) -> Manifest {
        let files = self.files();
        let is_there = |path: &str, length: u64, digest: &Digest| {
            let file = files.join(path);
            let is_there = look(&file, length, digest);
            if !is_there {
                // It may not even be there.
                let _ = std::fs::remove_file(&file);
            }
            is_there
        };
        let mut manifest = reduced(manifest, |path, file| is_there(path, file.length, &file.digest));
        for (path, file) in &mut manifest.files {
            file.variants
                .retain(|encoding, variant| is_there(&File::sidecar(path, *encoding), variant.length, &variant.digest));
        }
        manifest
    }

    fn served(&self) -> Vec<ReleaseId> {
        let text = std::fs::read(self.folder.join(SERVED)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn manifest(&self, release: &ReleaseId) -> Option<Manifest> {
        Manifest::parse(&std::fs::read(self.folder.join(name(release))).ok()?).ok()
    }

    fn lock(&self) -> Result<std::fs::File> {
        let path = self.folder.join(LOCK);
        if !path.exists() {
            if std::fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Error::Usage {
                    message: format!("`{}` holds something else than files of earlier releases", self.folder.display()),
                    help: "name a folder of their own in `[serve] keep_in`".to_owned(),
                });
            }
            fs::write(&path, b"")?;
            // Neither sources nor worth a backup: <https://bford.info/cachedir/>.
            const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n";
            for (name, text) in [("CACHEDIR.TAG", TAG), (".gitignore", "*\n")] {
                fs::write(&self.folder.join(name), text.as_bytes())?;
            }
        }
        let lock = std::fs::File::options().create(true).append(true).open(&path);
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        lock.map_err(Error::io("lock", path))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        fs::write(&new, text)?;
        std::fs::rename(&new, &path).map_err(Error::io("replace", path))
    }

    /// Removes records of releases that are not among these, and files that none of these names.
    fn prune(&self, served: &[ReleaseId]) -> Result<()> {
        let mut named: HashSet<PathBuf> = HashSet::new();
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io("list", &self.folder))?;
        for entry in entries.flatten() {
            let file_name = entry.file_name();
            let release = file_name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<ReleaseId>().ok());
            let Some(release) = release else { continue };
            let age = entry.metadata().and_then(|data| data.modified()).ok();
            let age = age.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default();
            if !served.contains(&release) && age > UNDER_WAY {
                std::fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
                continue;
            }
            for (path, file) in self.manifest(&release).map(|manifest| manifest.files).unwrap_or_default() {
                named.extend(file.variants.keys().map(|encoding| File::sidecar(&path, *encoding).into()));
                named.insert(path.into());
            }
        }
        let files = self.files();
        remove_but(&files, &|path| path.strip_prefix(&files).is_ok_and(|path| named.contains(path)))
            .map_err(Error::io("remove what is kept no longer in", &files))
    }
}

impl Staged {
    /// The release is served now. What was kept for too many releases is removed.
    pub(super) fn commit(self) -> Result<()> {
        let Staged { kept, manifest } = self;
        let _lock = kept.lock()?;
        let mut served = kept.served();
        let is_new = served.first() != Some(&manifest.release);
        served.retain(|release| *release != manifest.release);
        served.insert(0, manifest.release.clone());
        // The one that is served, and those before.
        for old in served.drain(served.len().min(kept.releases + 1)..) {
            // Another server may have done so.
            let _ = std::fs::remove_file(kept.folder.join(name(&old)));
        }
        if is_new {
            for release in served.iter().skip(1) {
                let Some(earlier) = kept.manifest(release) else { continue };
                let rest = reduced(&earlier, |path, _| !manifest.files.contains_key(path));
                if rest.files.len() < earlier.files.len() {
                    kept.write(&name(release), rest.to_json().as_bytes())?;
                }
            }
            kept.write(SERVED, &serde_json::to_vec(&served).unwrap_or_default())?;
        }
        kept.prune(&served)
    }
}

fn name(release: &ReleaseId) -> String {
    format!("{release}.json")
}

/// Some of a build's files, and nothing that names them.
fn reduced(manifest: &Manifest, wanted: impl Fn(&String, &File) -> bool) -> Manifest {
    let mut reduced = Manifest::new(manifest.mode, manifest.prefix.clone());
    reduced.release = manifest.release.clone();
    let files = manifest.files.iter().filter(|(path, file)| wanted(path, file));
    reduced.files = files.map(|(path, file)| (path.clone(), file.clone())).collect();
    reduced
}

/// Puts a file there, unless one of that length is there already: its name says what it holds.
fn put(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    match fs::link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if std::fs::metadata(to)?.len() == length {
                return Ok(());
            }
            std::fs::remove_file(to)?;
            put(from, to, length)
        }
        // On another file system, or one that knows no links.
        Err(_) => {
            let new = to.with_extension("new");
            std::fs::copy(from, &new)?;
            std::fs::rename(new, to)
        }
        linked => linked,
    }
}

fn is_there(path: &Path, length: u64, _: &Digest) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.len() == length)
}

fn is_sound(path: &Path, length: u64, digest: &Digest) -> bool {
    is_there(path, length, digest)
        && std::fs::File::open(path).and_then(Digest::of_reader).is_ok_and(|found| found == *digest)
}

/// Removes files below a folder that are not wanted, and folders that nothing is in.
fn remove_but(folder: &Path, wanted: &impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_but(&path, wanted)?;
            // It may hold something.
            let _ = std::fs::remove_dir(&path);
        } else if !wanted(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

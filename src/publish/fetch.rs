//! A release brought out of a store into a folder that is as its build left it: to be served from, or to be published elsewhere.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rayon::prelude::*;

use super::CONCURRENCY;
use super::archive;
use super::contents::{archive_key, record_key};
use super::folder::blocking;
use super::store::Store;
use crate::asset::is_hidden;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, File, Kind, Manifest, Variant};
use crate::progress::Progress;
use crate::release::{Record, ReleaseId};

/// A release in a store, with all of it that is not one of its files.
#[derive(Debug)]
pub struct Published {
    record: Record,
    /// Of the build that it was published from.
    pub manifest: Manifest,
    archive: Bytes,
}

/// The folder of a build, and what it is.
#[derive(Debug)]
pub struct Fetched {
    pub out: PathBuf,
    pub manifest: Manifest,
}

/// Bytes of a release up to which all of it is compared before it is served. Of a larger one a server compares the files as they are
/// asked for, so that nobody waits for it to start.
const FEW: u64 = 512 << 20;

impl Fetched {
    /// What was fetched into a folder earlier. Fails where something of it is not there any more as it was fetched; of a large
    /// release, only lengths and pages are compared.
    pub async fn open(out: &Path) -> Result<Self> {
        let out = out.to_owned();
        blocking(move || {
            let damaged = |message: String| Error::Publish {
                message,
                help: "nothing else may write there; the release is fetched again, or another one served".to_owned(),
            };
            let manifest = Manifest::load(&out).map_err(|error| damaged(error.to_string()))?;
            let fetched = Fetched { out, manifest };
            let parts: Vec<Lying> = fetched.parts().collect();
            let is_small = parts.iter().map(|part| part.length).sum::<u64>() <= FEW;
            let is_whole = |part: &Lying| {
                let path = fetched.out.join(&part.path);
                let is_long = std::fs::metadata(&path).is_ok_and(|found| found.len() == part.length);
                let digest = || std::fs::File::open(&path).and_then(Digest::of_reader);
                is_long && (!(is_small || part.is_page) || digest().is_ok_and(|digest| digest == part.digest))
            };
            match parts.par_iter().find_any(|part| !is_whole(part)) {
                None => Ok(fetched),
                Some(Lying { path, .. }) => {
                    Err(damaged(format!("`{}` is not what was fetched there", fetched.out.join(path).display())))
                }
            }
        })
        .await
    }

    fn parts(&self) -> impl Iterator<Item = Lying> {
        let files = self.manifest.files.iter().filter(|(path, _)| !is_hidden(path));
        files.flat_map(|(path, file)| {
            let is_page = file.kind == Kind::Page;
            // Pages have none here.
            let variants = file.variants.iter().filter(move |_| !is_page);
            let sidecars = variants.map(move |(encoding, variant)| {
                let path = File::sidecar(path, *encoding);
                Lying { path, length: variant.length, digest: variant.digest, is_page }
            });
            let plain = Lying { path: path.clone(), length: file.length, digest: file.digest, is_page };
            std::iter::once(plain).chain(sidecars)
        })
    }
}

/// A file that lies in a folder, and what it has to be.
struct Lying {
    /// Below the output folder.
    path: String,
    length: u64,
    digest: Digest,
    is_page: bool,
}

/// What to do about sidecars of a build that its store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The folder does without, and its manifest does not name them.
    LeaveOut,
    /// They are made again.
    Make,
}

/// A file of a build, and the object that it is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Below the output folder.
    path: String,
    key: String,
    /// What the object is in and the file is not.
    coding: Option<Encoding>,
    length: u64,
    digest: Digest,
}

/// The path of a sidecar, below the output folder.
type Sidecar = (String, Encoding);

impl Published {
    pub async fn open<S: Store>(store: &S, release: &ReleaseId) -> Result<Self> {
        let bad = |key: &str, reason: String| Error::Publish {
            message: format!("`{}` {reason}", store.place(key)),
            help: "build that release's sources and publish them again".to_owned(),
        };
        let read = async |key: String| match store.get(&key).await? {
            Some(stored) => Ok((key, stored.body)),
            None => Err(bad(&key, "is not there, without which the release can't be fetched".to_owned())),
        };
        let (key, record) = read(record_key(release)).await?;
        let record: Record = serde_json::from_slice(&record)
            .map_err(|error| bad(&key, format!("is no record of a release: {error}")))?;
        let (key, archive) = read(archive_key(release)).await?;
        let manifest = archive::manifest(&archive).map_err(|error| bad(&key, format!("can't be read: {error}")))?;
        match record.release == *release && manifest.release == *release {
            true => Ok(Published { record, manifest, archive }),
            false => Err(bad(&key, format!("is not of {release}"))),
        }
    }

    /// The paths of fingerprinted files and their sidecars.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        self.record
            .objects
            .keys()
            .map(String::as_str)
            .filter(|key| !key.starts_with("releases/") && !self.record.is_copy(key))
    }

    /// The files but pages, as far as the store has them, and the sidecars that it does not have.
    fn parts(&self) -> Result<(Vec<Part>, Vec<Sidecar>)> {
        let (mut parts, mut absent) = (Vec::new(), Vec::new());
        let files = self.manifest.files.iter().filter(|(path, file)| file.kind != Kind::Page && !is_hidden(path));
        for (path, file) in files {
            let key = match file.kind {
                Kind::Asset => path.clone(),
                Kind::Page | Kind::Public => format!("releases/{}/{path}", self.record.release),
            };
            let object = self.record.objects.get(&key).ok_or_else(|| Error::Publish {
                message: format!("the record of {} does not name `{key}`", self.record.release),
                help: "build that release's sources and publish them again".to_owned(),
            })?;
            let coding = object.headers.get("content-encoding").and_then(|token| Encoding::of_token(token));
            let part = |path: &str, key: &str, coding, length, digest| Part {
                path: path.to_owned(),
                key: key.to_owned(),
                coding,
                length,
                digest,
            };
            parts.push(part(path, &key, coding, file.length, file.digest));
            for (encoding, variant) in &file.variants {
                let (path, beside) = (File::sidecar(path, *encoding), File::sidecar(&key, *encoding));
                match () {
                    () if self.record.objects.contains_key(&beside) => {
                        parts.push(part(&path, &beside, None, variant.length, variant.digest));
                    }
                    () if coding == Some(*encoding) => {
                        parts.push(part(&path, &key, None, variant.length, variant.digest));
                    }
                    () => absent.push((path, *encoding)),
                }
            }
        }
        Ok((parts, absent))
    }

    /// Whether the store has all that the build had.
    pub fn is_complete(&self) -> Result<bool> {
        Ok(self.parts()?.1.is_empty())
    }

    /// Brings the files but pages whose paths below `out` are `wanted`. What `earlier` has already is linked to.
    pub async fn files<S: Store>(
        &self,
        store: &S,
        out: &Path,
        earlier: Option<&Fetched>,
        wanted: impl Fn(&str) -> bool,
        progress: &dyn Progress,
    ) -> Result<()> {
        let (mut parts, _) = self.parts()?;
        parts.retain(|part| wanted(&part.path));
        let have = earlier.map(digests).unwrap_or_default();
        progress.transfer("fetch", parts.len(), parts.iter().map(|part| part.length).sum());
        let mut fetches = Vec::with_capacity(parts.len());
        for part in &parts {
            let known = have.get(&part.path).filter(|known| known.0 == part.digest).map(|known| known.1.as_path());
            fetches.push(async move {
                let is_linked = known.is_some_and(|known| fs::link(known, &out.join(&part.path)).is_ok());
                if !is_linked {
                    fetch(store, part, out).await?;
                }
                progress.moved(&part.path, part.length);
                Ok::<_, Error>(())
            });
        }
        stream::iter(fetches).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Makes a build of the files that lie in `out`: with its pages, which have no sidecars, and its manifest.
    pub async fn complete(&self, out: &Path, absent: Absent) -> Result<Fetched> {
        let (_, missing) = self.parts()?;
        let (out, mut manifest, archive) = (out.to_owned(), self.manifest.clone(), self.archive.clone());
        blocking(move || {
            match absent {
                Absent::LeaveOut => leave_out(&mut manifest, &missing),
                Absent::Make => make(&out, &mut manifest, &missing)?,
            }
            let unpacked = archive::unpack(&archive, &manifest, &out);
            unpacked.map_err(|reason| Error::Publish {
                message: format!("the archive of {} can't be unpacked: {reason}", manifest.release),
                help: "build that release's sources and publish them again".to_owned(),
            })?;
            fs::write(&out.join(manifest::PATH), manifest.to_json().as_bytes())?;
            Ok(Fetched { out, manifest })
        })
        .await
    }
}

/// By path below the output folder: the digest of what lies there, and where.
fn digests(fetched: &Fetched) -> HashMap<String, (Digest, PathBuf)> {
    let parts = fetched.parts();
    parts.map(|Lying { path, digest, .. }| (path.clone(), (digest, fetched.out.join(path)))).collect()
}

async fn fetch<S: Store>(store: &S, part: &Part, out: &Path) -> Result<()> {
    let target = out.join(&part.path);
    let (folder, file) = (target.parent().unwrap_or(out).to_owned(), target.clone());
    blocking(move || std::fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))).await?;
    let is_there = store.download(&part.key, &file).await?;
    let (coding, length, digest) = (part.coding, part.length, part.digest);
    let is_right = blocking(move || {
        if let (true, Some(coding)) = (is_there, coding) {
            let packed = fs::read(&target)?;
            match coding.decompress(&packed, length as usize) {
                Ok(bytes) => fs::write(&target, &bytes)?,
                Err(error) if error.kind() == ErrorKind::InvalidData => return Ok(false),
                Err(error) => return Err(Error::io("unpack", &target)(error)),
            }
        }
        let found = || std::fs::File::open(&target).and_then(Digest::of_reader).map_err(Error::io("read", &target));
        Ok(is_there && found()? == digest)
    });
    match (is_there, is_right.await?) {
        (true, true) => Ok(()),
        (is_there, _) => Err(Error::Publish {
            message: match is_there {
                true => format!("`{}` is not what the release was published with", store.place(&part.key)),
                false => format!("`{}` is in the release's record, and not in the store", store.place(&part.key)),
            },
            help: "build that release's sources and publish them again".to_owned(),
        }),
    }
}

fn leave_out(manifest: &mut Manifest, missing: &[Sidecar]) {
    for (sidecar, encoding) in missing {
        if let Some(file) = original(manifest, sidecar, *encoding) {
            file.variants.remove(encoding);
        }
    }
}

fn original<'a>(manifest: &'a mut Manifest, sidecar: &str, encoding: Encoding) -> Option<&'a mut File> {
    let path = sidecar.strip_suffix(encoding.extension())?.strip_suffix('.')?;
    manifest.files.get_mut(path)
}

/// The same bytes as the build made, unless another version of this program has.
fn make(out: &Path, manifest: &mut Manifest, missing: &[Sidecar]) -> Result<()> {
    let make_one = |(sidecar, encoding): &Sidecar| {
        let target = out.join(sidecar);
        let bytes = fs::read(&target.with_extension(""))?;
        let packed = encoding.compress(&bytes).map_err(Error::io("compress", &target))?;
        fs::write(&target, &packed)?;
        Ok(Variant { length: packed.len() as u64, digest: Digest::of(&packed) })
    };
    let made: Vec<Variant> = missing.par_iter().map(make_one).collect::<Result<_>>()?;
    for ((sidecar, encoding), variant) in missing.iter().zip(made) {
        if let Some(file) = original(manifest, sidecar, *encoding) {
            file.variants.insert(*encoding, variant);
        }
    }
    Ok(())
}

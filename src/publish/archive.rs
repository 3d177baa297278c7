//! `releases/ID.tar.zst`: what can't be had from the rest of a release: its manifest, and its pages as they were built, bound to no
//! environment. With the objects that the release consists of it makes up the build again, for another environment or a server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::store::read_checked;
use crate::asset::{LogicalPath, is_hidden};
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, File, Kind, Manifest};

/// Fast, and nine tenths of what the slow levels save.
const LEVEL: i32 = 3;

/// The archive of the build in `out`: the same bytes for the same build.
pub fn pack(out: &Path, manifest: &Manifest) -> Result<Vec<u8>> {
    let failed = || Error::io("pack", out);
    let encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(failed())?;
    let mut archive = tar::Builder::new(encoder);
    let mut append = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes).map_err(failed())
    };
    append(manifest::PATH, manifest.to_json().as_bytes())?;
    for (path, file) in pages(manifest) {
        append(path, &read_checked(&out.join(path), file.digest)?)?;
    }
    archive.into_inner().and_then(zstd::Encoder::finish).map_err(failed())
}

/// What an archive holds, with the pages left where it lies.
pub fn manifest(archive: &[u8]) -> Result<Manifest, String> {
    let mut text = Vec::new();
    let mut archive = open(archive)?;
    let first = archive.entries().and_then(|mut entries| entries.next().transpose());
    let mut first = first.map_err(said)?.ok_or("it is empty")?;
    if first.path().map_err(said)? != Path::new(manifest::PATH) {
        return Err(format!("it does not begin with `{}`", manifest::PATH));
    }
    first.read_to_end(&mut text).map_err(said)?;
    let manifest = Manifest::parse(&text)?;
    match manifest.files.keys().find(|path| LogicalPath::new(path.as_str()).is_err()) {
        Some(path) => Err(format!("it names `{path}`, which is no path below the output folder")),
        None => Ok(manifest),
    }
}

/// Writes the pages of an archive below `out`; each has to be what the manifest says.
pub fn unpack(archive: &[u8], manifest: &Manifest, out: &Path) -> Result<(), String> {
    let mut missing: BTreeMap<&str, &File> = pages(manifest).collect();
    for entry in open(archive)?.entries().map_err(said)?.skip(1) {
        let mut entry = entry.map_err(said)?;
        let path = entry.path().map_err(said)?.to_string_lossy().into_owned();
        let Some(file) = missing.remove(path.as_str()) else { return Err(format!("it holds `{path}` as well")) };
        let mut bytes = Vec::new();
        (&mut entry).take(file.length + 1).read_to_end(&mut bytes).map_err(said)?;
        if Digest::of(&bytes) != file.digest {
            return Err(format!("`{path}` in it is not what the build made"));
        }
        fs::write(&out.join(&path), &bytes).map_err(|error| error.to_string())?;
    }
    match missing.into_keys().next() {
        Some(path) => Err(format!("it lacks `{path}`")),
        None => Ok(()),
    }
}

fn pages(manifest: &Manifest) -> impl Iterator<Item = (&str, &File)> {
    let pages = manifest.files.iter().filter(|(path, file)| file.kind == Kind::Page && !is_hidden(path));
    pages.map(|(path, file)| (path.as_str(), file))
}

fn open(archive: &[u8]) -> Result<tar::Archive<impl Read + '_>, String> {
    Ok(tar::Archive::new(zstd::Decoder::new(archive).map_err(said)?))
}

fn said(error: std::io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::site::{Built, Site};

    fn built() -> Built {
        Site::new().asset("a.css", "a { color: red }").page("index.html", "hello").page("docs/a.html", "docs").build()
    }

    fn archived(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for (path, bytes) in files {
            let mut header = tar::Header::new_old();
            // As `append_data` would not: it refuses what leads out.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn pages_and_manifest_come_back_as_they_were() {
        let built = built();
        let archive = pack(built.out(), &built.manifest).unwrap();
        assert_eq!(archive, pack(built.out(), &built.manifest).unwrap());
        let manifest = manifest(&archive).unwrap();
        assert_eq!(manifest.to_json(), built.manifest.to_json());
        let out = tempfile::tempdir().unwrap();
        unpack(&archive, &manifest, out.path()).unwrap();
        let text = |path: &str| std::fs::read_to_string(out.path().join(path)).unwrap();
        assert_eq!((text("index.html"), text("docs/a.html")), ("hello".to_owned(), "docs".to_owned()));
        assert!(!out.path().join("assets").exists());
    }

    #[test]
    fn an_archive_that_holds_anything_else_is_refused() {
        let built = built();
        let json = built.manifest.to_json();
        let first = (manifest::PATH, json.as_bytes());
        let (index, docs) = (("index.html", &b"hello"[..]), ("docs/a.html", &b"docs"[..]));
        let out = tempfile::tempdir().unwrap();
        let unpacked = |files: &[(&str, &[u8])]| unpack(&archived(files), &built.manifest, out.path());
        assert_eq!(unpacked(&[first, index, docs]), Ok(()));
        assert_eq!(unpacked(&[first, index]), Err("it lacks `docs/a.html`".to_owned()));
        assert_eq!(unpacked(&[first, index, docs, index]), Err("it holds `index.html` as well".to_owned()));
        let changed = [first, ("index.html", b"HELLO"), docs];
        assert_eq!(unpacked(&changed), Err("`index.html` in it is not what the build made".to_owned()));
        let out_of_it = [first, index, docs, ("../../out.html", b"x")];
        assert_eq!(unpacked(&out_of_it), Err("it holds `../../out.html` as well".to_owned()));
        let whole = archived(&[first, index, docs]);
        assert!(unpack(&whole[..whole.len() / 2], &built.manifest, out.path()).is_err());
    }

    #[test]
    fn a_manifest_that_leads_out_of_the_folder_is_refused() {
        let built = built();
        let json = built.manifest.to_json().replace("docs/a.html", "../../a.html");
        let error = manifest(&archived(&[(manifest::PATH, json.as_bytes())])).unwrap_err();
        assert_eq!(error, "it names `../../a.html`, which is no path below the output folder");
        assert!(manifest(&archived(&[("other.json", b"{}")])).unwrap_err().starts_with("it does not begin with"));
        assert_eq!(manifest(&archived(&[])).unwrap_err(), "it is empty");
        assert!(manifest(b"no archive").is_err());
    }
}

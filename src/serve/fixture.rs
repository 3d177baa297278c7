//! A built site for tests: the output folder that a build would have left.

use std::path::PathBuf;

use crate::asset::{LogicalPath, media_type};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, Entry, File, Kind, Manifest, Mode, Variant};
use crate::release::ReleaseId;
use crate::serve::Table;

pub struct Site {
    folder: tempfile::TempDir,
    pub manifest: Manifest,
}

impl Site {
    pub fn new() -> Self {
        let mut manifest = Manifest::new(Mode::Production, "assets");
        manifest.release = ReleaseId::of(&Digest::of(b""));
        Site { folder: tempfile::tempdir().unwrap(), manifest }
    }

    pub fn asset(mut self, logical: &str, body: &str) -> Self {
        let file = format!("assets/{}", Digest::of(body.as_bytes()).fingerprint().name(logical));
        let entry = Entry { file: file.clone(), imports: Vec::new(), module: false };
        self.manifest.entries.insert(LogicalPath::new(logical).unwrap(), entry);
        self.file(Kind::Asset, &file, body)
    }

    pub fn page(self, path: &str, body: &str) -> Self {
        self.file(Kind::Page, path, body)
    }

    pub fn public(self, path: &str, body: &str) -> Self {
        self.file(Kind::Public, path, body)
    }

    pub fn chunk(mut self, stable: &str, logical: &str) -> Self {
        let file = self.file_of(logical);
        self.manifest.chunks.insert(stable.to_owned(), file);
        self
    }

    pub fn header(mut self, path: &str, name: &str, value: &str) -> Self {
        let file = self.manifest.files.get_mut(path).unwrap();
        file.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, kind: Kind, path: &str, body: &str) -> Self {
        let write = |path: &str, bytes: &[u8]| fs::write(&self.out().join(path), bytes).unwrap();
        write(path, body.as_bytes());
        let packed = Encoding::ALL.into_iter().map(|e| (e, e.compress(body.as_bytes()).unwrap()));
        let smaller = packed.filter(|(_, bytes)| bytes.len() < body.len());
        let variants = smaller.map(|(encoding, bytes)| {
            write(&File::sidecar(path, encoding), &bytes);
            (encoding, Variant { length: bytes.len() as u64, digest: Digest::of(&bytes) })
        });
        let digest = Digest::of(body.as_bytes());
        let file = File {
            kind,
            source: None,
            media_type: media_type(path),
            length: body.len() as u64,
            digest,
            integrity: digest.integrity(),
            variants: variants.collect(),
            headers: [].into(),
        };
        self.manifest.files.insert(path.to_owned(), file);
        self
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("dist")
    }

    pub fn file_of(&self, logical: &str) -> String {
        self.manifest.resolve(logical).unwrap().to_owned()
    }

    pub fn write_manifest(&self) {
        fs::write(&self.out().join(manifest::PATH), self.manifest.to_json().as_bytes()).unwrap();
    }

    pub fn table(&self, environment: &Environment) -> Result<Table> {
        self.write_manifest();
        Table::load(&self.out(), environment)
    }
}

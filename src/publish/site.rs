//! A build made by hand, for the tests of publishing.

use std::collections::BTreeMap;
use std::path::Path;

use super::Build;
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::fingerprint::Digest;
use crate::manifest::{File, Kind, Manifest, Mode, Variant};
use crate::release::ReleaseId;

/// What is to be built: `Site::new().asset("css/a.css", "…").page("index.html", "…").build()`.
pub struct Site {
    files: BTreeMap<String, Source>,
    pub environment: Environment,
}

struct Source {
    kind: Kind,
    bytes: Vec<u8>,
    headers: BTreeMap<String, String>,
}

impl Site {
    pub fn new() -> Self {
        Site { files: BTreeMap::new(), environment: Environment::new("production") }
    }

    /// A fingerprinted file; `path` is the logical one.
    pub fn asset(self, path: &str, text: &str) -> Self {
        let name = Digest::of(text.as_bytes()).fingerprint().name(path);
        self.file(&format!("assets/{name}"), Kind::Asset, text)
    }

    pub fn page(self, path: &str, text: &str) -> Self {
        self.file(path, Kind::Page, text)
    }

    pub fn public(self, path: &str, text: &str) -> Self {
        self.file(path, Kind::Public, text)
    }

    pub fn header(mut self, path: &str, name: &str, value: &str) -> Self {
        self.files.get_mut(path).unwrap().headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, path: &str, kind: Kind, text: &str) -> Self {
        let source = Source { kind, bytes: text.as_bytes().to_vec(), headers: BTreeMap::new() };
        self.files.insert(path.to_owned(), source);
        self
    }

    pub fn build(self) -> Built {
        let out = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(Mode::Production, "assets");
        for (path, Source { kind, bytes, headers }) in &self.files {
            crate::fs::write(&out.path().join(path), bytes).unwrap();
            let mut variants = BTreeMap::new();
            for encoding in Encoding::ALL {
                let packed = encoding.compress(bytes).unwrap();
                if packed.len() < bytes.len() {
                    crate::fs::write(&out.path().join(File::sidecar(path, encoding)), &packed).unwrap();
                    let variant = Variant { length: packed.len() as u64, digest: Digest::of(&packed) };
                    variants.insert(encoding, variant);
                }
            }
            let file = File { variants, headers: headers.clone(), ..File::new(*kind, path, bytes) };
            manifest.files.insert(path.clone(), file);
        }
        let parts = self.files.iter().flat_map(|(path, source)| [path.as_bytes(), &source.bytes]);
        manifest.release = ReleaseId::of(&Digest::of_parts(parts));
        Built { out, manifest, environment: self.environment }
    }
}

/// A build, with its output folder for as long as this lives.
pub struct Built {
    out: tempfile::TempDir,
    pub manifest: Manifest,
    pub environment: Environment,
}

impl Built {
    pub fn as_build(&self) -> Build<'_> {
        Build { out: self.out(), manifest: &self.manifest, environment: &self.environment }
    }

    pub fn out(&self) -> &Path {
        self.out.path()
    }

    pub fn release(&self) -> &ReleaseId {
        &self.manifest.release
    }

    /// Changes a file behind the manifest's back.
    pub fn overwrite(&self, path: &str, text: &str) {
        std::fs::write(self.out().join(path), text).unwrap();
    }
}

//! `.fingerpost/manifest.json`: everything that serving and publishing need to know of a build. Sorted, without times or absolute paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::asset::{LogicalPath, media_type};
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::fingerprint::{Digest, Integrity};
use crate::release::ReleaseId;

/// Where the manifest lies, below the output folder.
pub const PATH: &str = ".fingerpost/manifest.json";

/// Where private source maps lie, below the output folder: each at its file's path, with `.map` after it.
pub const MAPS: &str = ".fingerpost/maps";

/// The one version of the format that this program reads and writes.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    pub release: ReleaseId,
    pub mode: Mode,
    /// The URL folder of fingerprinted files, without slashes at its ends: `assets`.
    pub prefix: String,
    /// Every file of the build but the sidecars, by its path below the output folder, which is also its URL's path.
    pub files: BTreeMap<String, File>,
    /// What pages may refer to, by logical path (or a bundle's name): entries and assets.
    pub entries: BTreeMap<LogicalPath, Entry>,
    /// The import map: the stable path of each chunk (`assets/js/util~1f0c2a9b.js`) to its file.
    pub chunks: BTreeMap<String, String>,
    /// The files that a public CDN has, too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub libraries: BTreeMap<String, Library>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Production,
    Development,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Production => "production",
            Mode::Development => "development",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    pub kind: Kind,
    /// The file it was made from, below the root; none for what the bundler put together from several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// The whole `Content-Type`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes of the file as it is, not encoded.
    pub length: u64,
    /// SHA-256 of the file as it is, not encoded.
    pub digest: Digest,
    pub integrity: Integrity,
    /// The sidecars that exist; each is smaller than the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub variants: BTreeMap<Encoding, Variant>,
    /// Headers from `[[headers]]`, by lower-case name; they win over those that the program sets by itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A fingerprinted file: the same in every environment, cached for ever.
    Asset,
    /// A document that is bound to the environment when it is served or published (HTML, a web app manifest).
    Page,
    /// A file from `public/`, under its own name.
    Public,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Bytes of the body after encoding.
    pub length: u64,
    /// SHA-256 of the body after encoding.
    pub digest: Digest,
}

/// Where a public CDN has a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Its URL there.
    pub cdn: String,
    /// Of what is there: the file as it came, before anything was done to it.
    pub integrity: Integrity,
    /// The property of `window` that is there once a script has run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub global: Option<String>,
}

/// Something that a page can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path below the output folder, a key of [`Manifest::files`].
    pub file: String,
    /// The chunks that a module needs before it can run, in order; for `modulepreload`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub imports: Vec<String>,
    /// The stylesheets that a module needs before it runs, in the order of the cascade.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub css: Vec<String>,
    /// Whether a `<script>` that loads it must say `type="module"`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub module: bool,
}

impl Entry {
    /// Something that needs nothing else.
    pub fn new(file: String) -> Self {
        Entry { file, imports: Vec::new(), css: Vec::new(), module: false }
    }
}

impl Manifest {
    pub fn new(mode: Mode, prefix: impl Into<String>) -> Self {
        Manifest {
            version: VERSION,
            release: ReleaseId::default(),
            mode,
            prefix: prefix.into(),
            files: BTreeMap::new(),
            entries: BTreeMap::new(),
            chunks: BTreeMap::new(),
            libraries: BTreeMap::new(),
        }
    }

    /// Loads the manifest of the build in `out`.
    pub fn load(out: &Path) -> Result<Self> {
        let path = out.join(PATH);
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => bad(&path, "there is no such file"),
            _ => Error::io("read", &path)(error),
        })?;
        Manifest::parse(&text).map_err(|reason| bad(&path, reason))
    }

    /// Reads a manifest's text; the error says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if manifest.version != VERSION {
            return Err(format!("it is of version {}, this program reads version {VERSION}", manifest.version));
        }
        if let Some(missing) = manifest.entries.values().find(|entry| !manifest.files.contains_key(&entry.file)) {
            return Err(format!("an entry names `{}`, which is not among the files", missing.file));
        }
        Ok(manifest)
    }

    /// Whether a file's name covers its bytes. In a development build, none does.
    pub fn is_fingerprinted(&self, file: &File) -> bool {
        file.kind == Kind::Asset && self.mode == Mode::Production
    }

    /// `Cache-Control` of a file, by what it is.
    pub fn cache_control(&self, file: &File) -> &'static str {
        match self.mode {
            Mode::Production => file.cache_control(),
            Mode::Development => "no-cache",
        }
    }

    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The file that a logical path stands for.
    pub fn resolve(&self, path: &str) -> Option<&str> {
        self.entries.get(path).map(|entry| entry.file.as_str())
    }

    /// The logical path that a URL's absolute, decoded path names: `/static/css/a.css`, or `/assets/css/a.css` under the prefix.
    pub fn logical<'a>(&self, path: &'a str) -> Option<&'a str> {
        logical_name(&self.prefix, path)
    }
}

/// See [`Manifest::logical`]; also for when there is no manifest yet.
pub fn logical_name<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let path = path.strip_prefix('/')?;
    path.strip_prefix("static/").or_else(|| path.strip_prefix(prefix)?.strip_prefix('/'))
}

impl File {
    /// A file of these bytes at `path`, by whose extension its type is told; in no coding.
    pub fn new(kind: Kind, path: &str, bytes: &[u8]) -> Self {
        Self::of(kind, path, bytes.len() as u64, Digest::of(bytes))
    }

    /// As [`File::new`], of bytes whose digest is known.
    pub fn of(kind: Kind, path: &str, length: u64, digest: Digest) -> Self {
        File {
            kind,
            source: None,
            media_type: media_type(path),
            length,
            digest,
            integrity: digest.integrity(),
            variants: BTreeMap::new(),
            headers: BTreeMap::new(),
        }
    }

    /// The sidecar's path, for the file at `path`.
    pub fn sidecar(path: &str, encoding: Encoding) -> String {
        format!("{path}.{}", encoding.extension())
    }

    /// Whether the file's sidecars lie in `out`. A build that was fetched from a store has none of its pages.
    pub fn has_sidecars(&self, out: &Path, path: &str) -> bool {
        self.variants.keys().all(|encoding| out.join(Self::sidecar(path, *encoding)).exists())
    }

    /// `Cache-Control` by what the file is, in a production build.
    /// A service worker: bound to an environment as a page is, and asked for anew each time, of whoever has it.
    pub fn is_worker(&self) -> bool {
        self.kind == Kind::Page && self.media_type.starts_with("text/javascript")
    }

    pub fn cache_control(&self) -> &'static str {
        match self.kind {
            Kind::Asset => "public, max-age=31536000, immutable",
            Kind::Page | Kind::Public => "no-cache",
        }
    }
}

fn bad(path: &Path, reason: impl ToString) -> Error {
    Error::Manifest { path: PathBuf::from(path), reason: reason.to_string() }
}

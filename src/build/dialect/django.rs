//! `staticfiles.json`, which Django's `ManifestStaticFilesStorage` reads, and WhiteNoise's, which is one.
//!
//! Schema: `ManifestFilesMixin` of `django/contrib/staticfiles/storage.py`, Django 5.2. Files are relative to `STATIC_URL`, under which
//! there is what lies beside the manifest.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Build, json};
use crate::fingerprint::Digest;
use crate::manifest::Kind;

/// The version that Django writes since 4.2; its readers know this one and `1.0`.
const VERSION: &str = "1.1";

#[derive(Serialize)]
struct Staticfiles<'a> {
    paths: BTreeMap<String, &'a str>,
    version: &'static str,
    /// Of all names, in as many digits as Django's own: it is what tells one release from another.
    hash: String,
}

pub fn manifest(build: Build<'_>) -> String {
    let mut paths: BTreeMap<String, &str> =
        build.names().into_iter().map(|(name, file)| (name, build.below_base(file))).collect();
    // A file's final name stands for itself: django-vite asks the storage for the URL of what it found in Vite's manifest.
    let assets = build.manifest.files.iter().filter(|(_, file)| file.kind == Kind::Asset);
    for (path, _) in assets {
        let file = build.below_base(path);
        paths.entry(file.to_owned()).or_insert(file);
    }
    let all = paths.iter().flat_map(|(name, file)| [name.as_bytes(), file.as_bytes()]);
    let hash: String = Digest::of_parts(all).fingerprint().as_str().chars().take(12).collect();
    json(&Staticfiles { paths, version: VERSION, hash })
}

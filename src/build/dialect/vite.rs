//! `.vite/manifest.json`, which Vite writes and many frameworks read.
//!
//! Schema: <https://vite.dev/guide/backend-integration>, Vite 7; each chunk also carries `integrity`, under the key that Laravel looks for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json;
use crate::asset::LogicalPath;
use crate::build::output::Outputs;
use crate::manifest::{File, Kind, Manifest};

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_entry: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_dynamic_entry: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dynamic_imports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    css: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assets: Vec<&'a str>,
    integrity: &'a str,
}

/// The manifest as JSON, sorted by key.
pub fn manifest(outputs: &Outputs, manifest: &Manifest) -> String {
    let names: BTreeMap<&str, &LogicalPath> =
        manifest.entries.iter().map(|(name, entry)| (entry.file.as_str(), name)).collect();
    let key = |path: &str| key(manifest, &names, path);
    let keys = |paths: &[String]| paths.iter().map(|path| key(path)).collect();
    let is_chunk = |(path, file): &(&String, &File)| file.kind == Kind::Asset && !path.ends_with(".map");
    let mut chunks = BTreeMap::new();
    for (path, file) in manifest.files.iter().filter(is_chunk) {
        let own = key(path);
        // What has several sources has none: but readers take it for granted that an entry has one.
        let stands_for = names.contains_key(path.as_str()).then(|| own.clone());
        let imports = outputs.imports.get(path);
        let code = path.ends_with(".css") || path.ends_with(".js");
        let chunk = Chunk {
            file: path,
            name: imports.map(|imports| imports.name.as_str()),
            src: file.source.clone().or(stands_for),
            is_entry: code && names.contains_key(path.as_str()),
            is_dynamic_entry: imports.is_some_and(|imports| imports.is_dynamic_entry),
            imports: imports.map(|imports| keys(&imports.fixed)).unwrap_or_default(),
            dynamic_imports: imports.map(|imports| keys(&imports.dynamic)).unwrap_or_default(),
            css: imports.map(|imports| names_of(&imports.sheets)).unwrap_or_default(),
            assets: imports.map(|imports| names_of(&imports.files)).unwrap_or_default(),
            integrity: file.integrity.as_str(),
        };
        chunks.insert(own, chunk);
    }
    json(&chunks)
}

fn names_of(files: &[String]) -> Vec<&str> {
    files.iter().map(String::as_str).collect()
}

/// A file's key: its source, or its name where it is a bundle; for what the bundler split off `_` and the file's name, as Vite does.
fn key(manifest: &Manifest, names: &BTreeMap<&str, &LogicalPath>, path: &str) -> String {
    let source = manifest.files.get(path).and_then(|file| file.source.clone());
    let bundle = || names.get(path).map(ToString::to_string);
    source.or_else(bundle).unwrap_or_else(|| format!("_{}", path.rsplit('/').next().unwrap_or(path)))
}

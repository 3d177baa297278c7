//! `.manifest.json`, which Propshaft reads, the asset pipeline of Rails.
//!
//! Schema: `lib/propshaft/manifest.rb`, Propshaft 1.3.2; up to 1.1 its readers knew names only, and no integrity. Files are relative to
//! `config.assets.prefix`, under which there is what lies beside the manifest.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Build, json};

#[derive(Serialize)]
struct Asset<'a> {
    digested_path: &'a str,
    integrity: Option<&'a str>,
}

pub fn manifest(build: Build<'_>) -> String {
    let asset = |file| Asset {
        digested_path: build.below_base(file),
        integrity: build.manifest.files.get(file).map(|file| file.integrity.as_str()),
    };
    let assets: BTreeMap<String, Asset<'_>> =
        build.names().into_iter().map(|(name, file)| (name, asset(file))).collect();
    json(&assets)
}

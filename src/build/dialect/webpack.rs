//! `manifest.json` as webpack-manifest-plugin writes it: a name, and where its file is.
//!
//! Schema: <https://github.com/shellscape/webpack-manifest-plugin>, version 5; files are relative to webpack's output folder, here the URL
//! folder of fingerprinted files, and have `publicPath` before them.

use std::collections::BTreeMap;

use super::{Build, json};

pub fn manifest(build: Build<'_>, public_path: &str) -> String {
    let url = |file| format!("{public_path}{}", build.below_base(file));
    let files: BTreeMap<String, String> = build.names().into_iter().map(|(name, file)| (name, url(file))).collect();
    json(&files)
}

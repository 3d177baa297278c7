//! `cache_manifest.json`, which Phoenix reads when an endpoint starts (`cache_static_manifest`).
//!
//! Schema: `lib/phoenix/digester.ex` writes it, `warmup_static` of `lib/phoenix/endpoint/supervisor.ex` reads it, Phoenix 1.8. Names and
//! files are relative to the folder of static files (`priv/static`), so that `~p"/assets/css/app.css"` names `css/app.css`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Build, json};
use crate::fingerprint::sha512;

#[derive(Serialize)]
struct CacheManifest<'a> {
    version: u32,
    latest: BTreeMap<String, &'a str>,
    digests: BTreeMap<&'a str, Digested>,
}

#[derive(Serialize)]
struct Digested {
    logical_path: String,
    /// Only `mix phx.digest.clean` asks how old a file is; a build of ours has the same bytes whenever it was made.
    mtime: u64,
    size: usize,
    digest: String,
    /// Base64, for `integrity`.
    sha512: String,
}

pub fn manifest(build: Build<'_>) -> String {
    let prefix = &build.manifest.prefix;
    let latest: BTreeMap<String, &str> =
        build.names().into_iter().map(|(name, file)| (format!("{prefix}/{name}"), file)).collect();
    let mut digests = BTreeMap::new();
    for (name, file) in &latest {
        let Some(output) = build.outputs.files.get(*file) else { continue };
        digests.entry(*file).or_insert_with(|| Digested {
            logical_path: name.clone(),
            mtime: 0,
            size: output.bytes.len(),
            digest: output.digest.fingerprint().as_str().to_owned(),
            sha512: sha512(&output.bytes),
        });
    }
    json(&CacheManifest { version: 1, latest: latest.clone(), digests })
}

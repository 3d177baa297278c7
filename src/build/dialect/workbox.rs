//! Workbox's precache list, for a service worker of one's own: `self.__WB_MANIFEST`, which `importScripts` brings, or plain JSON.
//!
//! Schema: <https://developer.chrome.com/docs/workbox/modules/workbox-precaching>, version 7: what has a fingerprint in its URL needs no
//! revision. It is bound to the environment like a page, so that its URLs lead to where the assets are.

use serde_json::{Value, json};

use crate::asset::url_path;
use crate::build::output::{Names, Output, Outputs};
use crate::build::record::Relation;
use crate::config::{Config, Dialect, Pattern};
use crate::error::Fault;
use crate::manifest::Kind;

/// Puts the list among the outputs, once all that it names is there.
pub fn add(config: &Config, outputs: &mut Outputs) -> Result<(), Fault> {
    let dialects = &config.dialects;
    let Some(path) = dialects.paths.get(&Dialect::Workbox) else { return Ok(()) };
    let ours = config.worker.as_ref().map(|worker| worker.precache.as_slice());
    let patterns = dialects.precache.as_deref().or(ours);
    // While a site is being worked on, what a worker kept is in the way.
    let list = match outputs.names {
        Names::Plain => Vec::new(),
        Names::Fingerprinted => wanted(patterns, outputs),
    };
    let text = Value::from(entries(&list)).to_string();
    let text = if path.ends_with(".json") { text } else { format!("self.__WB_MANIFEST = {text};\n") };
    let mut output = Output::new(Kind::Page, None, text.into_bytes());
    output.refers = list.iter().map(|(path, _)| (Relation::Url, (*path).clone())).collect();
    outputs.add(path.clone(), output)
}

/// Every file that a pattern matches, by its name without a fingerprint; without patterns, what every page may need.
fn wanted<'a>(patterns: Option<&[Pattern]>, outputs: &'a Outputs) -> Vec<(&'a String, &'a Output)> {
    let is_wanted = |output: &Output| match patterns {
        Some(patterns) => patterns.iter().any(|pattern| pattern.matches(&output.name)),
        None => {
            let name = &output.name;
            output.kind == Kind::Asset && [".css", ".js", ".woff2"].iter().any(|extension| name.ends_with(extension))
        }
    };
    outputs.files.iter().filter(|(_, output)| is_wanted(output)).collect()
}

/// The list's entries for these files.
pub fn entries(files: &[(&String, &Output)]) -> Vec<Value> {
    let entry = |(path, output): &(&String, &Output)| {
        let url = format!("/{}", url_path(path));
        match output.kind {
            Kind::Asset => json!({"url": url, "revision": null, "integrity": output.digest.integrity().as_str()}),
            Kind::Page | Kind::Public => json!({"url": url, "revision": output.digest.fingerprint().as_str()}),
        }
    };
    files.iter().map(entry).collect()
}

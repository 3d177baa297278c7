//! What templates are told about assets: logical URLs while nothing is built yet, final ones afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::discover;
use super::output::Outputs;
use super::template::AssetUrls;
use crate::asset::url_path;
use crate::config::nearest;
use crate::error::Fault;
use crate::manifest::Entry;

/// Answers templates while nothing is built yet: with logical URLs.
pub struct DraftUrls {
    prefix: String,
    /// Each asset and bundle, and whether it is a module.
    known: Arc<BTreeMap<String, bool>>,
    /// What templates asked for since the last look.
    named: Mutex<Vec<String>>,
    /// Whether they asked for a digest.
    asked_integrity: AtomicBool,
}

impl DraftUrls {
    pub fn new(prefix: &str, known: Arc<BTreeMap<String, bool>>) -> Self {
        DraftUrls { prefix: prefix.to_owned(), known, named: Mutex::default(), asked_integrity: AtomicBool::new(false) }
    }

    pub fn take_named(&self) -> Vec<String> {
        std::mem::take(&mut self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Whether templates asked for the integrity of something since the last look.
    pub fn take_asked_integrity(&self) -> bool {
        self.asked_integrity.swap(false, Ordering::Relaxed)
    }

    fn module(&self, path: &str) -> Result<bool, Fault> {
        let name = path.trim_start_matches('/');
        self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(name.to_owned());
        self.known.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let fault = Fault::new(format!("there is no asset `{path}`"));
            match nearest(path, &names) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("name a file below the assets folder, or a bundle"),
            }
        })
    }
}

impl AssetUrls for DraftUrls {
    fn url(&self, path: &str) -> Result<String, Fault> {
        self.module(path)?;
        Ok(format!("/{}/{}", self.prefix, url_path(path.trim_start_matches('/'))))
    }

    fn integrity(&self, path: &str) -> Result<String, Fault> {
        self.module(path)?;
        self.asked_integrity.store(true, Ordering::Relaxed);
        Ok(String::new())
    }

    fn tags(&self, path: &str) -> Result<String, Fault> {
        let module = self.module(path)?;
        tags(path, &self.url(path)?, module)
    }
}

/// Answers templates when everything has its name.
pub struct FinalUrls {
    /// Each entry with its integrity.
    entries: BTreeMap<String, (Entry, String)>,
}

impl FinalUrls {
    pub fn new(outputs: &Outputs) -> Self {
        let integrity = |file: &str| Some(outputs.files.get(file)?.digest.integrity().as_str().to_owned());
        let answer = |entry: &Entry| (entry.clone(), integrity(&entry.file).unwrap_or_default());
        FinalUrls {
            entries: outputs.entries.iter().map(|(name, entry)| (name.as_str().to_owned(), answer(entry))).collect(),
        }
    }

    fn entry(&self, path: &str) -> Result<&(Entry, String), Fault> {
        let missing =
            || Fault::new(format!("`{path}` is only a part of other files")).hint("name the file that it goes into");
        self.entries.get(path.trim_start_matches('/')).ok_or_else(missing)
    }
}

impl AssetUrls for FinalUrls {
    fn url(&self, path: &str) -> Result<String, Fault> {
        Ok(format!("/{}", url_path(&self.entry(path)?.0.file)))
    }

    fn integrity(&self, path: &str) -> Result<String, Fault> {
        Ok(self.entry(path)?.1.clone())
    }

    fn tags(&self, path: &str) -> Result<String, Fault> {
        let module = self.entry(path)?.0.module;
        tags(path, &self.url(path)?, module)
    }
}

/// The element that loads an entry.
fn tags(path: &str, url: &str, module: bool) -> Result<String, Fault> {
    if discover::is_style(path) {
        Ok(format!("<link rel=\"stylesheet\" href=\"{url}\">"))
    } else if module {
        Ok(format!("<script type=\"module\" src=\"{url}\"></script>"))
    } else if discover::is_plain_script(path) {
        Ok(format!("<script src=\"{url}\"></script>"))
    } else {
        Err(Fault::new(format!("`asset_tags` knows no element for `{path}`"))
            .hint("it is for scripts and stylesheets; use `asset_url` for others"))
    }
}

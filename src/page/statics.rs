//! Static files of an application that lie outside of the assets folder, such as those of a blueprint: found by where they came from.

use std::collections::BTreeMap;

use crate::manifest::Manifest;

/// Where an application has its static files: from URL folders (`/admin/static/`) to folders below the site's root (`admin/static/`).
pub type Folders = BTreeMap<String, String>;

/// The built files below an application's own URLs, by path (`/admin/static/css/a.css`).
#[derive(Debug, Default)]
pub struct Statics(BTreeMap<String, String>);

impl Statics {
    pub fn new(manifest: &Manifest, folders: &Folders) -> Self {
        let mut files = BTreeMap::new();
        for (path, file) in &manifest.files {
            let Some(source) = &file.source else { continue };
            for (url, folder) in folders {
                if let Some(rest) = source.strip_prefix(folder.as_str()) {
                    files.entry(format!("{url}{rest}")).or_insert_with(|| path.clone());
                }
            }
        }
        Statics(files)
    }

    /// The file that an absolute and decoded path leads to, below the output folder.
    pub fn file(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Each path with its file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file.as_str()))
    }
}

//! Where the files are that another server is to send, and whether its pages are those of the environment.

use std::path::{Path, PathBuf};

use crate::environment::{Environment, StoreUrl};
use crate::error::{Error, Result};
use crate::fs;
use crate::manifest::{Kind, Manifest};
use crate::serve::Outline;

/// A build in an environment, as it lies on a server.
#[derive(Debug)]
pub struct Site<'a> {
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
    pub layout: Layout,
    pub folder: PathBuf,
}

/// How a build's files lie in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An output folder.
    Build,
    /// A store: pages and public files below `releases/ID/`, with their sidecars, where no later release writes over them.
    Store,
}

/// The folder that a server sends files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder<'a> {
    /// The environment's store, or else the output folder.
    Own,
    /// The same, at another path, on the server.
    At(&'a Path),
    /// In a bucket: what is written names no folder.
    Bucket,
}

impl Layout {
    /// The path of a file below the folder, with a slash before it.
    pub fn path(self, manifest: &Manifest, file: &str) -> String {
        let kind = manifest.files.get(file).map(|file| file.kind);
        match (self, kind) {
            (Layout::Build, _) | (_, Some(Kind::Asset) | None) => format!("/{file}"),
            (Layout::Store, _) => format!("/releases/{}/{file}", manifest.release),
        }
    }
}

impl<'a> Site<'a> {
    /// Refuses what would send other bytes than the environment has.
    pub fn of(
        root: &Path,
        out: &Path,
        manifest: &'a Manifest,
        environment: &'a Environment,
        folder: &Folder<'_>,
        outline: &Outline,
    ) -> Result<Self> {
        let name = &environment.name;
        let (layout, own) = match &environment.store {
            Some(StoreUrl::Folder(store)) => (Layout::Store, Some(fs::normalize(&root.join(store)))),
            Some(StoreUrl::S3 { .. }) => (Layout::Store, None),
            None => (Layout::Build, Some(out.to_owned())),
        };
        if let (Layout::Build, Some(page)) = (layout, outline.bound.first()) {
            return Err(usage(
                format!("`{page}` is another page in `{name}` than in the output folder"),
                format!(
                    "set `store = \"FOLDER\"` in `[env.{name}]`, publish to it, and let the server send what is there"
                ),
            ));
        }
        if let (Layout::Store, Some(encoding)) = (layout, environment.encoding) {
            return Err(usage(
                format!("the store of `{name}` has its files in {encoding} alone, under their own names"),
                format!("leave `encoding` out of `[env.{name}]`: a server chooses among the files beside each other"),
            ));
        }
        let folder = match (folder, own) {
            (Folder::At(folder), _) => (*folder).to_owned(),
            (Folder::Bucket, _) => PathBuf::new(),
            (Folder::Own, Some(own)) => std::path::absolute(&own).map_err(Error::io("find", &own))?,
            (Folder::Own, None) => {
                return Err(usage(
                    format!("the store of `{name}` is a bucket, and a server sends files from a folder"),
                    "say with `--folder` where the server has the bucket's copy".to_owned(),
                ));
            }
        };
        let is_text = folder.to_str().is_some_and(|text| !text.contains(|c: char| c.is_control()));
        if !is_text {
            return Err(usage(
                format!("{folder:?} can't be written in a configuration"),
                "say with `--folder` under which other path the server has it".to_owned(),
            ));
        }
        Ok(Site { manifest, environment, layout, folder })
    }

    /// What is to be done before a server can use the rules; nothing if it may be elsewhere.
    pub fn missing(&self) -> Option<String> {
        let record = self.folder.join(format!("releases/{}.json", self.manifest.release));
        let is_missing = self.layout == Layout::Store && self.folder.exists() && !record.exists();
        is_missing.then(|| {
            let (release, name) = (&self.manifest.release, &self.environment.name);
            format!("release {release} is not in `{}` yet: run `fingerpost publish --env {name}` before the server reads this", self.folder.display())
        })
    }
}

fn usage(message: String, help: String) -> Error {
    Error::Usage { message, help }
}

//! Of `[serve]`: what the server holds in memory, and for how long.

use std::path::{Path, PathBuf};

use super::resolve::inside;
use super::{Text, file};
use crate::error::Fault;

/// How bodies are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Bytes of bodies in memory.
    pub memory: u64,
    /// Bytes of the largest body that is held in memory; if it is not written, how the server is spoken to decides.
    pub largest_in_memory: Option<u64>,
    /// How many releases before the current one keep their fingerprinted files.
    pub keep_releases: u8,
    /// Where these are for the next start, if they are to be.
    pub keep_in: Option<PathBuf>,
    /// Whether to compress what the build has not.
    pub compress: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Storage { memory: 256 << 20, largest_in_memory: None, keep_releases: 5, keep_in: None, compress: true }
    }
}

impl Storage {
    pub(super) fn resolve(root: &Path, text: &Text, serve: &file::Serve) -> Result<Self, Fault> {
        let default = Storage::default();
        Ok(Storage {
            memory: serve.memory.as_ref().map_or(Ok(default.memory), |size| size.bytes(text))?,
            largest_in_memory: serve.largest_in_memory.as_ref().map(|size| size.bytes(text)).transpose()?,
            keep_releases: serve.keep_releases.unwrap_or(default.keep_releases),
            keep_in: match serve.keep_in.as_deref().unwrap_or(".fingerpost-served") {
                "none" => None,
                path => Some(inside(root, path).filter(|path| path != root).ok_or_else(|| {
                    text.fault(format!("`{path}` is no folder below the root"), path)
                        .hint("files of earlier releases need a folder of their own, or none (`none`)")
                })?),
            },
            compress: serve.compress.unwrap_or(default.compress),
        })
    }
}

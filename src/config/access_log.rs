//! `[serve] access_log`: where a server writes what it answered, how, and how much of it.

use std::path::{Path, PathBuf};

use super::{Text, file};
use crate::error::Fault;

#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    pub path: LogPath,
    pub format: LogFormat,
    /// The part of requests that is written down, from 0 to 1.
    pub sample: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPath {
    /// `-`
    Stdout,
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Apache's combined format, which most programs read.
    #[default]
    Combined,
    /// One JSON object a line.
    Json,
}

impl LogPath {
    /// A path as it is written: below the root, absolute, or `-`.
    pub fn new(root: &Path, written: &str) -> Self {
        match written {
            "-" => LogPath::Stdout,
            path => LogPath::File(crate::fs::normalize(&root.join(path))),
        }
    }
}

impl AccessLog {
    /// Everything, in the combined format.
    pub fn new(path: LogPath) -> Self {
        AccessLog { path, format: LogFormat::default(), sample: 1.0 }
    }

    pub(super) fn resolve(root: &Path, text: &Text, written: file::AccessLog) -> Result<Self, Fault> {
        if written.path.is_empty() {
            return Err(Fault::new("`access_log` has an empty `path`").hint("name a file, or write `-` for stdout"));
        }
        let sample = written.sample.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample) {
            return Err(text
                .fault(format!("`sample = {sample}` is no part of requests"), "sample")
                .hint("write a number from 0 (none) to 1 (all)"));
        }
        Ok(AccessLog { path: LogPath::new(root, &written.path), format: written.format, sample })
    }
}

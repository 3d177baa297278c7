//! `[serve]`: how a build is served.

use std::path::Path;

use super::{AccessLog, Storage, Text, Transport, file};
use crate::error::Fault;

/// What `serve` takes from the configuration.
#[derive(Debug, Clone, Default)]
pub struct Serve {
    pub transport: Transport,
    pub storage: Storage,
    pub access_log: Option<AccessLog>,
    /// Whether answers say how they came about, in `Server-Timing`.
    pub server_timing: bool,
}

impl Serve {
    pub(super) fn resolve(root: &Path, text: &Text, serve: file::Serve) -> Result<Self, Fault> {
        let transport = Transport::resolve(root, text, &serve)?;
        let storage = Storage::resolve(text, &serve)?;
        let access_log = serve.access_log.map(|written| AccessLog::resolve(root, text, written)).transpose()?;
        Ok(Serve { transport, storage, access_log, server_timing: serve.server_timing })
    }
}

//! `[serve]`: how a build is served.

use std::collections::BTreeMap;
use std::path::Path;

use super::{AccessLog, Front, Storage, Text, Transport, Upstream, file, front};
use crate::environment::Environment;
use crate::error::Fault;

/// What `serve` takes from the configuration.
#[derive(Debug, Clone)]
pub struct Serve {
    pub front: Front,
    pub transport: Transport,
    pub storage: Storage,
    pub access_log: Option<AccessLog>,
    /// Whether answers say how they came about, in `Server-Timing`.
    pub server_timing: bool,
    pub upstream: Option<Upstream>,
}

impl Serve {
    pub(super) fn resolve(
        root: &Path,
        text: &Text,
        serve: file::Serve,
        environments: &BTreeMap<String, Environment>,
    ) -> Result<Self, Fault> {
        let front = front::resolve(text, &serve, environments)?;
        let transport = Transport::resolve(root, text, &serve)?;
        let storage = Storage::resolve(root, text, &serve)?;
        let access_log = serve.access_log.map(|written| AccessLog::resolve(root, text, written)).transpose()?;
        let upstream = serve.upstream.as_ref().map(|written| Upstream::resolve(root, text, written)).transpose()?;
        Ok(Serve { front, transport, storage, access_log, server_timing: serve.server_timing, upstream })
    }
}

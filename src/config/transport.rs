//! Of `[serve]`: how connections are taken, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Text, file};
use crate::error::Fault;

/// What the file says; what it does not is for the server to decide.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transport {
    pub tls: Option<Certificate>,
    /// For requests under way when the server stops.
    pub drain: Option<Duration>,
    /// For a TLS handshake, and for the head of a request.
    pub header_timeout: Option<Duration>,
    /// For the next request.
    pub idle_timeout: Option<Duration>,
    /// For a client that takes nothing.
    pub write_timeout: Option<Duration>,
    /// Bytes a second that it has to take.
    pub min_write_rate: Option<u64>,
    /// Whether files are sent by `sendfile`.
    pub sendfile: Option<bool>,
    /// In all.
    pub connections: Option<usize>,
    pub connections_per_address: Option<usize>,
}

/// PEM files, by absolute paths. They may lie outside the site's root, where nothing is ever published from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Longer times are no times, but mistakes.
const LONGEST: f64 = 24.0 * 60.0 * 60.0;

impl Transport {
    pub(super) fn resolve(root: &Path, text: &Text, serve: &file::Serve) -> Result<Self, Fault> {
        let seconds = |key: &str, written: Option<f64>, least: f64| match written {
            Some(seconds) if !(least..=LONGEST).contains(&seconds) => Err(text
                .fault(format!("`{key}` can't be {seconds} seconds"), key)
                .hint(format!("write seconds, from {least} to {LONGEST}"))),
            written => Ok(written.map(Duration::from_secs_f64)),
        };
        for (key, written) in
            [("connections", serve.connections), ("connections_per_address", serve.connections_per_address)]
        {
            if written == Some(0) {
                return Err(text
                    .fault(format!("with `{key} = 0` nobody is served"), key)
                    .hint("leave it out, or raise it"));
            }
        }
        let tls = serve.tls.as_ref().map(|tls| Certificate { cert: root.join(&tls.cert), key: root.join(&tls.key) });
        Ok(Transport {
            tls,
            drain: seconds("drain", serve.drain, 0.0)?,
            header_timeout: seconds("header_timeout", serve.header_timeout, 0.1)?,
            idle_timeout: seconds("idle_timeout", serve.idle_timeout, 0.1)?,
            write_timeout: seconds("write_timeout", serve.write_timeout, 0.1)?,
            min_write_rate: serve.min_write_rate,
            sendfile: serve.sendfile,
            connections: serve.connections,
            connections_per_address: serve.connections_per_address,
        })
    }
}

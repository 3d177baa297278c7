//! What a client may ask of a server: time, connections and bytes.

use std::time::Duration;

use crate::config::Transport;

/// Bytes of a request's line and headers; 431 is the answer to more.
pub const LARGEST_HEAD: usize = 32 * 1024;

/// How long a server waits, and how many it lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a TLS handshake, for the first byte of a new connection, and for the rest of a request's head once it has begun.
    pub header_read: Duration,
    /// For the next request on a connection that had one.
    pub idle: Duration,
    /// For a client that takes nothing of its answer, or less than [`Limits::write_rate`].
    pub write: Duration,
    /// Bytes a second that a client has to take, on average over [`Limits::write`].
    pub write_rate: u64,
    /// For requests under way when the server stops.
    pub grace: Duration,
    /// Connections at a time; one more is closed at once.
    pub connections: usize,
    /// Connections of one address (for IPv6, of one /64). `None` is 1,024, and none at all for those from this machine,
    /// where proxies connect from.
    pub per_address: Option<usize>,
}

/// Connections of one address where nothing else is said.
pub const PER_ADDRESS: usize = 1024;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_read: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            write_rate: 512,
            grace: Duration::from_secs(10),
            connections: 65_536,
            per_address: None,
        }
    }
}

impl From<&Transport> for Limits {
    fn from(written: &Transport) -> Self {
        let standard = Limits::default();
        Limits {
            header_read: written.header_timeout.unwrap_or(standard.header_read),
            idle: written.idle_timeout.unwrap_or(standard.idle),
            write: written.write_timeout.unwrap_or(standard.write),
            write_rate: written.min_write_rate.unwrap_or(standard.write_rate),
            grace: written.drain.unwrap_or(standard.grace),
            connections: written.connections.unwrap_or(standard.connections),
            per_address: written.connections_per_address,
        }
    }
}

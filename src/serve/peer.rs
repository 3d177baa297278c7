//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// What a [`Server`](super::Server) knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Of the program that connected; a proxy's, if there is one.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
}

//! Who is at the other end of a connection. The server puts it into the extensions of each request.

use std::net::SocketAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    pub is_tls: bool,
}

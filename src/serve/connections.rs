//! How many connections there are, were, and were not let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a server's connections, shared by all who want to know.
#[derive(Debug, Default)]
pub struct Connections {
    accepted: AtomicU64,
    closed: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many as may be in all.
    Full,
    /// Its address has as many as one may have.
    Address,
    /// Its TLS handshake failed, or took too long.
    Handshake,
    /// The system could not give it to us (no file descriptors, no memory).
    System,
}

impl Refusal {
    pub const ALL: [Refusal; 4] = [Refusal::Full, Refusal::Address, Refusal::Handshake, Refusal::System];

    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Address => "address",
            Refusal::Handshake => "handshake",
            Refusal::System => "system",
        }
    }
}

impl Connections {
    /// Counts a connection for as long as what is returned lives.
    pub fn admit(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    pub fn refuse(&self, why: Refusal) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(why = why.as_str(), "connection refused");
    }

    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn open(&self) -> u64 {
        // In this order, so that one that is let in and closes meanwhile is not counted as less than none.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted().saturating_sub(closed)
    }

    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub struct Open(Arc<Connections>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_what_was_let_in_and_has_not_closed() {
        let connections = Arc::new(Connections::default());
        let (first, second) = (connections.admit(), connections.admit());
        connections.refuse(Refusal::Address);
        drop(first);
        assert_eq!((connections.accepted(), connections.open()), (2, 1));
        let refused = Refusal::ALL.map(|why| connections.refused(why));
        assert_eq!(refused, [0, 1, 0, 0]);
        drop(second);
        assert_eq!(connections.open(), 0);
    }
}

//! Requests that a connection refuses before they are any: only the transport knows of them, and nothing but what was wrong.

use std::time::Duration;

use http::{StatusCode, Version};

use super::observe::watched;

/// A request that was never handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheard {
    /// What it was answered, or would be if there were a sense in answering.
    pub status: StatusCode,
    pub version: Version,
    /// How long its head took.
    pub took: Duration,
}

impl Unheard {
    /// Counts and logs it where the answers of the connection's service are, if they are.
    pub fn tell<S: 'static>(self, service: &S) {
        if let Some(observed) = watched(service) {
            observed.unheard(self);
        }
    }
}

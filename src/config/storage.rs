//! Of `[serve]`: what the server holds in memory, and for how long; and when it stands in for another origin.

use std::time::Duration;

use super::{Text, file};
use crate::environment::Failover;
use crate::error::Fault;

/// What is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Bytes of bodies in memory.
    pub memory: u64,
    /// Bytes of the largest body that is held in memory.
    pub largest_in_memory: u64,
    /// How many releases before the current one keep their fingerprinted files.
    pub keep_releases: u8,
    /// Whether to compress what the build has not.
    pub compress: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Storage { memory: 256 << 20, largest_in_memory: 128 << 10, keep_releases: 5, compress: true }
    }
}

impl Storage {
    pub(super) fn resolve(text: &Text, serve: &file::Serve) -> Result<Self, Fault> {
        let default = Storage::default();
        Ok(Storage {
            memory: serve.memory.as_ref().map_or(Ok(default.memory), |size| size.bytes(text))?,
            largest_in_memory: serve
                .largest_in_memory
                .as_ref()
                .map_or(Ok(default.largest_in_memory), |size| size.bytes(text))?,
            keep_releases: serve.keep_releases.unwrap_or(default.keep_releases),
            compress: serve.compress.unwrap_or(default.compress),
        })
    }
}

/// `failover` of an environment; none if it is turned off.
pub(super) fn failover(text: &Text, failover: &file::Failover) -> Result<Option<Failover>, Fault> {
    let keys = match failover {
        file::Failover::On(on) => return Ok(on.then(Failover::default)),
        file::Failover::With(keys) => keys,
    };
    let default = Failover::default();
    let seconds = |key: &str, given: Option<f64>, default: Duration| match given {
        None => Ok(default),
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(time) if (0.05..=86_400.0).contains(&seconds) => Ok(time),
            _ => Err(text
                .fault(format!("`{key}` of `failover` can't be {seconds} seconds"), key)
                .hint("write seconds, from 0.05 to a day")),
        },
    };
    let times = |key: &str, given: Option<u32>, default: u32| match given {
        Some(0) => Err(text.fault(format!("`{key}` of `failover` can't be 0"), key).hint("write 1 or more")),
        given => Ok(given.unwrap_or(default)),
    };
    Ok(Some(Failover {
        interval: seconds("interval", keys.interval, default.interval)?,
        timeout: seconds("timeout", keys.timeout, default.timeout)?,
        fail_after: times("fail_after", keys.fail_after, default.fail_after)?,
        recover_after: times("recover_after", keys.recover_after, default.recover_after)?,
    }))
}

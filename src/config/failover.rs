//! `failover` of an environment: when the server stands in for its other origin.

use std::time::Duration;

use super::{Text, file};
use crate::environment::Failover;
use crate::error::Fault;

/// None if it is turned off.
pub(super) fn resolve(text: &Text, failover: &file::Failover) -> Result<Option<Failover>, Fault> {
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

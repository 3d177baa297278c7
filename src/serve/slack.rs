//! Memory that a burst has left behind. What connections free when they come to rest stays with the thread that had it, until that
//! thread asks for memory again; on a server that has become quiet that may be never.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How many connections make it worth while: of about 10 KiB each.
const BURST: usize = 256;

/// How often it was worth while.
static BURSTS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How many of these this thread has heard of.
    static HEARD: Cell<u64> = const { Cell::new(0) };
}

/// Notices when a burst is over.
#[derive(Debug, Default)]
pub struct Slack {
    rested: usize,
}

impl Slack {
    /// Now and then: so many connections were told to rest since the last time.
    pub(super) fn look(&mut self, resting: usize) {
        self.rested += resting;
        if resting == 0 && self.rested >= BURST {
            self.rested = 0;
            BURSTS.fetch_add(1, Relaxed);
            wake_threads();
        }
    }
}

/// A thread does something about it when it next has nothing else to do.
fn wake_threads() {
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    for _ in 0..4 * threads {
        tokio::spawn(tokio::task::yield_now());
    }
}

/// Gives back what this thread has freed, if there was a burst since the last time. For [`on_thread_park`], so that nobody waits for it.
///
/// [`on_thread_park`]: tokio::runtime::Builder::on_thread_park
pub fn give_back(how: fn()) {
    let bursts = BURSTS.load(Relaxed);
    HEARD.with(|heard| {
        if heard.replace(bursts) != bursts {
            how();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_given_back_once_it_is_over() {
        static GIVEN: AtomicU64 = AtomicU64::new(0);
        let given = || {
            give_back(|| {
                GIVEN.fetch_add(1, Relaxed);
            });
            GIVEN.load(Relaxed)
        };
        let before = given();
        let mut slack = Slack::default();
        slack.look(BURST - 1);
        slack.look(0);
        slack.look(1);
        assert_eq!(given(), before, "too few, or not over");
        slack.look(0);
        assert_eq!(given(), before + 1);
        assert_eq!(given(), before + 1, "once");
        slack.look(0);
        assert_eq!(given(), before + 1);
    }
}

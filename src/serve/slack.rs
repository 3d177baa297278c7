//! Memory that a burst has left behind. What connections free when they come to rest stays with the thread that had it, until that
//! thread asks for memory again; on a server that has become quiet that may be never.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Mutex, PoisonError};

/// How many connections make it worth while: of about 10 KiB each.
const BURST: usize = 256;

/// How often it was worth while.
static BURSTS: AtomicU64 = AtomicU64::new(0);

/// How many threads have heard of the last.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// How often those are woken that have not.
const CALLS: u32 = 10;

thread_local! {
    /// How many of these this thread has heard of.
    static HEARD: Cell<u64> = const { Cell::new(0) };
}

/// Notices when a burst is over.
#[derive(Debug, Default)]
pub struct Slack {
    rested: usize,
    /// How often threads are still to be called.
    calls: u32,
}

impl Slack {
    /// Now and then: so many connections were told to rest since the last time.
    pub(super) fn look(&mut self, resting: usize) {
        self.rested += resting;
        if resting == 0 && self.rested >= BURST {
            self.rested = 0;
            self.calls = CALLS;
            LISTENERS.store(0, Release);
            BURSTS.fetch_add(1, Release);
        }
        // A thread does something about it when it next has nothing else to do; which of them a task wakes is the runtime's affair.
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        if self.calls > 0 && LISTENERS.load(Acquire) < threads {
            self.calls -= 1;
            for _ in 0..4 * threads {
                tokio::spawn(tokio::task::yield_now());
            }
        }
    }
}

/// Gives back what this thread has freed, if there was a burst since the last time. For [`on_thread_park`], so that nobody waits for it.
///
/// [`on_thread_park`]: tokio::runtime::Builder::on_thread_park
pub fn give_back(how: fn()) {
    // One at a time: the allocator leaves to another thread what that is at, though it may have passed by this one's already.
    static TURN: Mutex<()> = Mutex::new(());
    let bursts = BURSTS.load(Acquire);
    HEARD.with(|heard| {
        if heard.replace(bursts) != bursts {
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            how();
            LISTENERS.fetch_add(1, Release);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

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

//! How many requests a store gets at once: fewer when it is asked too much, more again while it keeps up.
//!
//! As TCP does (RFC 5681 section 3.1): twice as many after each round of successes until the store could not cope with one, from then on one
//! more after each round, and half as many each time that it can't cope.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Requests at once in the beginning.
const START: usize = 16;

/// Requests at once at most.
pub const MOST: usize = 64;

#[derive(Debug)]
pub struct Pace {
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Permits of requests that are under way beyond the limit; they are not given back.
    surplus: usize,
    /// Successes since the limit was changed.
    successes: usize,
    /// Counts the times that it was lowered.
    lowered: usize,
    /// Nothing is asked before.
    resume: Option<Instant>,
    last_success: Option<Instant>,
}

impl Pace {
    pub fn new() -> Self {
        Pace {
            permits: Semaphore::new(START),
            state: Mutex::new(State {
                limit: START,
                surplus: 0,
                successes: 0,
                lowered: 0,
                resume: None,
                last_success: None,
            }),
        }
    }

    /// Waits until one more request may be made; it counts as under way for as long as the turn lives.
    pub async fn turn(&self) -> Turn<'_> {
        // It is never closed.
        let permit = self.permits.acquire().await.ok();
        let turn = Turn { pace: self, lowered: self.state().lowered, permit };
        let resume = self.state().resume;
        if let Some(resume) = resume {
            tokio::time::sleep_until(resume).await;
        }
        turn
    }

    pub fn limit(&self) -> usize {
        self.state().limit
    }

    pub fn last_success(&self) -> Option<Instant> {
        self.state().last_success
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct Turn<'a> {
    pace: &'a Pace,
    /// How often the limit had been lowered when it began.
    lowered: usize,
    permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    pub fn succeeded(self) {
        let mut state = self.pace.state();
        state.last_success = Some(Instant::now());
        // A limit that is not reached says nothing about what the store can bear.
        if self.pace.permits.available_permits() > 0 {
            return;
        }
        state.successes += 1;
        let is_round = state.lowered == 0 || state.successes >= state.limit;
        if is_round && state.limit < MOST {
            state.successes = 0;
            state.limit += 1;
            match state.surplus {
                0 => self.pace.permits.add_permits(1),
                _ => state.surplus -= 1,
            }
        }
    }

    /// The store could not cope; it may say how long it is to be left alone.
    pub fn was_too_much(self, pause: Option<Duration>) {
        let mut state = self.pace.state();
        state.resume = state.resume.max(pause.map(|pause| Instant::now() + pause));
        // Those that began before it was lowered tell nothing new.
        if self.lowered == state.lowered {
            let limit = (state.limit / 2).max(1);
            let fewer = state.limit - limit;
            state.surplus += fewer - self.pace.permits.forget_permits(fewer);
            state.limit = limit;
            state.successes = 0;
            state.lowered += 1;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turns(pace: &Pace, count: usize) -> Vec<Turn<'_>> {
        let mut turns = Vec::new();
        for _ in 0..count {
            turns.push(pace.turn().await);
        }
        turns
    }

    fn is_full(pace: &Pace) -> bool {
        futures_util::FutureExt::now_or_never(pace.turn()).is_none()
    }

    #[tokio::test]
    async fn it_is_halved_once_for_all_that_were_under_way() {
        let pace = Pace::new();
        let mut under_way = turns(&pace, START).await;
        assert!(is_full(&pace));
        under_way.drain(..5).for_each(|turn| turn.was_too_much(None));
        assert_eq!(pace.limit(), START / 2);
        assert!(is_full(&pace), "11 are still under way");
        under_way.truncate(START / 2 - 1);
        let one = futures_util::FutureExt::now_or_never(pace.turn()).unwrap();
        assert!(is_full(&pace));
        one.was_too_much(None);
        assert_eq!(pace.limit(), START / 4);
        drop(under_way);
        for _ in 0..5 {
            pace.turn().await.was_too_much(None);
        }
        assert_eq!(pace.limit(), 1);
        let last = pace.turn().await;
        assert!(is_full(&pace));
        drop(last);
        assert!(!is_full(&pace));
    }

    /// Of so many successes while all turns are taken.
    async fn grow(pace: &Pace, successes: usize) {
        for _ in 0..successes {
            let limit = pace.limit();
            let mut all = turns(pace, limit).await;
            all.pop().unwrap().succeeded();
        }
    }

    #[tokio::test]
    async fn it_doubles_a_round_until_the_store_can_not_cope() {
        let pace = Pace::new();
        for _ in 0..100 {
            pace.turn().await.succeeded();
        }
        assert_eq!(pace.limit(), START, "one at a time shows nothing");
        let all = turns(&pace, START).await;
        all.into_iter().for_each(Turn::succeeded);
        assert_eq!(pace.limit(), START + 1, "only the first of them found all turns taken");
        grow(&pace, START - 1).await;
        assert_eq!(pace.limit(), 2 * START);
        grow(&pace, MOST).await;
        assert_eq!(pace.limit(), MOST);
        let _all = turns(&pace, MOST).await;
        assert!(is_full(&pace));
    }

    #[tokio::test]
    async fn after_that_it_grows_by_one_a_round_while_it_is_used_up() {
        let pace = Pace::new();
        pace.turn().await.was_too_much(None);
        for limit in START / 2..MOST {
            assert_eq!(pace.limit(), limit);
            grow(&pace, limit).await;
        }
        assert_eq!(pace.limit(), MOST);
        let _all = turns(&pace, MOST).await;
        assert!(is_full(&pace));
    }

    #[tokio::test]
    async fn nobody_asks_while_the_store_wants_to_be_left_alone() {
        let pace = Pace::new();
        let begun = Instant::now();
        let pause = Duration::from_millis(100);
        pace.turn().await.was_too_much(Some(pause));
        pace.turn().await.was_too_much(Some(Duration::ZERO));
        assert!(begun.elapsed() >= pause);
        let begun = Instant::now();
        drop(pace.turn().await);
        assert!(begun.elapsed() < pause);
    }
}

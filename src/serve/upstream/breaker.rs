//! A circuit breaker: an application that does not answer is left alone for a while, and its clients are told at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open it.
const FAILURES: u32 = 5;

/// How long it stays open, at first and at most. Each attempt after it that fails doubles the time.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Until when nothing is asked for, once it is open.
    open_until: Option<Instant>,
    pause: Duration,
    /// One request is under way to find out whether it is over.
    is_trying: bool,
}

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Granted,
    /// It may after so long.
    Refused(Duration),
}

impl Breaker {
    /// Asks for leave; who gets it says what came of it.
    pub fn ask(&self, now: Instant) -> Leave {
        let mut state = self.lock();
        let Some(until) = state.open_until else { return Leave::Granted };
        match until.saturating_duration_since(now) {
            Duration::ZERO if !state.is_trying => {
                state.is_trying = true;
                Leave::Granted
            }
            Duration::ZERO => Leave::Refused(SHORTEST),
            left => Leave::Refused(left),
        }
    }

    /// The application answered, whatever it said. Whether that closed the breaker.
    pub fn answered(&self) -> bool {
        let mut state = self.lock();
        let was_open = state.open_until.is_some();
        *state = State::default();
        was_open
    }

    /// It did not. Whether that opened the breaker.
    pub fn failed(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.is_trying {
            state.is_trying = false;
            state.pause = (state.pause * 2).min(LONGEST);
            state.open_until = Some(now + state.pause);
            return false;
        }
        let opens = state.failures >= FAILURES && state.open_until.is_none();
        if opens {
            state.pause = SHORTEST;
            state.open_until = Some(now + SHORTEST);
        }
        opens
    }

    /// Nothing came of it: the client went away first.
    pub fn gave_up(&self) {
        self.lock().is_trying = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_through_after_a_while() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let after = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start));
        }
        assert!(!breaker.answered(), "it was not open");
        for count in 1..=FAILURES {
            assert_eq!(breaker.ask(start), Leave::Granted);
            assert_eq!(breaker.failed(start), count == FAILURES);
        }
        assert_eq!(breaker.ask(after(400)), Leave::Refused(Duration::from_millis(600)));
        assert_eq!(breaker.ask(after(1000)), Leave::Granted);
        assert_eq!(breaker.ask(after(1001)), Leave::Refused(SHORTEST), "one is enough to find out");
        assert!(!breaker.failed(after(1100)), "it was open");
        assert_eq!(breaker.ask(after(3000)), Leave::Refused(Duration::from_millis(100)), "twice as long");
        assert_eq!(breaker.ask(after(3100)), Leave::Granted);
        breaker.gave_up();
        assert_eq!(breaker.ask(after(3100)), Leave::Granted, "another finds out");
        assert!(breaker.answered());
        assert_eq!(breaker.ask(after(3100)), Leave::Granted);
        assert_eq!(breaker.ask(after(3100)), Leave::Granted);
    }

    #[test]
    fn it_is_never_open_for_long() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            breaker.failed(now);
        }
        for _ in 0..20 {
            now += LONGEST;
            assert_eq!(breaker.ask(now), Leave::Granted);
            breaker.failed(now);
        }
    }
}

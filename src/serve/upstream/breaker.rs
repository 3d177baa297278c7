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

/// Leave to ask. Given up with nothing said of it, nothing came of it: the client went away first.
#[derive(Debug)]
pub struct Leave<'b> {
    breaker: &'b Breaker,
    /// Whether it is the request that finds out.
    is_trial: bool,
}

impl Breaker {
    /// Leave for a request, or after how long there may be some.
    pub fn ask(&self, now: Instant) -> Result<Leave<'_>, Duration> {
        let mut state = self.lock();
        let Some(until) = state.open_until else { return Ok(Leave { breaker: self, is_trial: false }) };
        match until.saturating_duration_since(now) {
            Duration::ZERO if !state.is_trying => {
                state.is_trying = true;
                Ok(Leave { breaker: self, is_trial: true })
            }
            Duration::ZERO => Err(SHORTEST),
            left => Err(left),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// The application answered, whatever it said. Whether that closed the breaker.
    pub fn answered(self) -> bool {
        let mut state = self.breaker.lock();
        let was_open = state.open_until.is_some();
        *state = State::default();
        was_open
    }

    /// It did not. Whether that opened the breaker.
    pub fn failed(self, now: Instant) -> bool {
        let mut state = self.breaker.lock();
        state.failures = state.failures.saturating_add(1);
        if self.is_trial {
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
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breaker.lock().is_trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_through_after_a_while() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let after = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let asked = |now| breaker.ask(now);
        for _ in 1..FAILURES {
            assert!(!asked(start).unwrap().failed(start));
        }
        assert!(!asked(start).unwrap().answered(), "it was not open");
        let early = asked(start).unwrap();
        for count in 1..=FAILURES {
            assert_eq!(asked(start).unwrap().failed(start), count == FAILURES);
        }
        assert_eq!(asked(after(400)).unwrap_err(), Duration::from_millis(600));
        let trial = asked(after(1000)).unwrap();
        assert_eq!(asked(after(1001)).unwrap_err(), SHORTEST, "one is enough to find out");
        drop(early);
        assert_eq!(asked(after(1001)).unwrap_err(), SHORTEST, "what was asked before does not find out");
        assert!(!trial.failed(after(1100)), "it was open");
        assert_eq!(asked(after(3000)).unwrap_err(), Duration::from_millis(100), "twice as long");
        drop(asked(after(3100)).unwrap());
        let another = asked(after(3100)).expect("another finds out");
        assert!(another.answered());
        let (one, two) = (asked(after(3100)), asked(after(3100)));
        assert!(one.is_ok() && two.is_ok());
    }

    #[test]
    fn it_is_never_open_for_long() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            breaker.ask(now).unwrap().failed(now);
        }
        for _ in 0..20 {
            now += LONGEST;
            breaker.ask(now).unwrap().failed(now);
        }
    }
}

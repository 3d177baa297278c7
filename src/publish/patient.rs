//! A store that is asked again when it stumbles, and with fewer requests at once when it is asked too much.
//!
//! A write may have happened though its answer got lost. Then the next try meets its own first one: under a condition it is
//! [`Put::Refused`](super::store::Put::Refused), and who asked for that has to look whether what lies there is their own.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::listing;
use super::pace::Pace;
use super::store::{Body, Condition, Entries, Page, Put, Seen, Start, Store, Stored};
use crate::error::{Error, Outlook, Result};
use crate::progress::Progress;
use crate::release::Object;

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest wait after a first failure; it doubles with each one.
    pub first: Duration,
    /// The longest wait at all.
    pub longest: Duration,
    /// How long to go on while nothing succeeds, if the store has not answered yet: there may be none.
    pub before: Duration,
    /// The same, once it has answered.
    pub after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(20),
            before: Duration::from_secs(2),
            after: Duration::from_secs(120),
        }
    }
}

/// Times that damaged bytes are sent, or asked for, again.
const DAMAGED: u32 = 3;

/// Failures of one request after which people are told why nothing seems to happen.
const LONG: u32 = 4;

/// A store whose failures are outlasted where they pass.
pub struct Patient<'p, S> {
    store: S,
    pace: Pace,
    patience: Patience,
    progress: &'p dyn Progress,
    told: AtomicBool,
}

impl<'p, S: Store> Patient<'p, S> {
    pub fn new(store: S, progress: &'p dyn Progress) -> Self {
        Patient::with(store, progress, Patience::default())
    }

    pub fn with(store: S, progress: &'p dyn Progress, patience: Patience) -> Self {
        Patient { store, pace: Pace::new(), patience, progress, told: AtomicBool::new(false) }
    }

    /// Asks until there is an answer, or until none is to be expected any more.
    async fn persist<T, F: Future<Output = Result<T>> + Send>(&self, ask: impl Fn() -> F) -> Result<T> {
        let mut failures = Failures { begun: Instant::now(), all: 0, damaged: 0, expired: 0 };
        loop {
            let turn = self.pace.turn().await;
            let error = match ask().await {
                Ok(answer) => {
                    turn.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let outlook = outlook(&error);
            match outlook {
                Outlook::Busy(pause) => turn.was_too_much(pause.map(|pause| pause.min(self.patience.after))),
                _ => drop(turn),
            }
            let Some(wait) = failures.next(outlook, self.pace.last_success(), &self.patience) else {
                return Err(error);
            };
            self.tell(&error, outlook, failures.all);
            tokio::time::sleep(wait).await;
        }
    }

    fn tell(&self, error: &Error, outlook: Outlook, failures: u32) {
        self.progress.note(format!("{error} ({}); trying again", cause(error)));
        if failures == LONG && !self.told.swap(true, Ordering::Relaxed) {
            self.progress.warn(match (outlook, self.pace.limit()) {
                (Outlook::Busy(_), 1) => "the store asks to slow down; going on with one request at a time".to_owned(),
                (Outlook::Busy(_), limit) => {
                    format!("the store asks to slow down; going on with {limit} requests at once")
                }
                _ => format!("{error} so far ({}); trying again for {:?}", cause(error), self.patience.after),
            });
        }
    }
}

fn outlook(error: &Error) -> Outlook {
    match error {
        Error::Store { outlook, .. } => *outlook,
        _ => Outlook::Lasting,
    }
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// Of one request.
struct Failures {
    begun: Instant,
    all: u32,
    damaged: u32,
    expired: u32,
}

impl Failures {
    /// The wait before the next try, if there is to be one.
    ///
    /// The wait is random up to a bound that doubles, so that those who failed together don't come back together: "full jitter" in
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    fn next(&mut self, outlook: Outlook, last_success: Option<Instant>, patience: &Patience) -> Option<Duration> {
        match outlook {
            Outlook::Lasting => return None,
            Outlook::Unreachable => last_success.map(|_| ())?,
            Outlook::Passing | Outlook::Busy(_) => {}
            Outlook::Damaged => self.damaged += 1,
            Outlook::Expired => self.expired += 1,
        }
        self.all += 1;
        if self.damaged > DAMAGED || self.expired > 1 {
            return None;
        }
        let (since, patience_left) = match last_success {
            Some(success) => (success.max(self.begun), patience.after),
            None => (self.begun, patience.before),
        };
        let left = patience_left.checked_sub(since.elapsed()).filter(|left| !left.is_zero())?;
        let bound = patience.first.saturating_mul(1 << (self.all - 1).min(16)).min(patience.longest);
        Some(bound.mul_f64(fastrand::f64()).min(left))
    }
}

impl<S: fmt::Debug> fmt::Debug for Patient<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient").field("store", &self.store).field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl<S: Store> Store for Patient<'_, S> {
    fn is_website(&self) -> bool {
        self.store.is_website()
    }

    fn place(&self, key: &str) -> String {
        self.store.place(key)
    }

    async fn admit(&self) -> Result<()> {
        // Nothing is asked of the store, so its success says nothing of that.
        self.store.admit().await
    }

    async fn preflight(&self) -> Result<()> {
        self.persist(|| self.store.preflight()).await
    }

    async fn entries(&self) -> Result<Entries> {
        listing::all(self).await
    }

    async fn entries_near(&self, expected: &[&str]) -> Result<Entries> {
        listing::near(self, expected).await
    }

    async fn page(&self, from: Start<'_>) -> Result<Page> {
        self.persist(|| self.store.page(from)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.persist(|| self.store.get(key)).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
        self.persist(|| self.store.inspect(key)).await
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        self.store.kept_headers()
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool> {
        self.persist(|| self.store.download(key, file)).await
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        self.persist(|| self.store.put(key, body, object, condition)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.persist(|| self.store.delete(key)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::progress::Silent;

    /// A store that gives the failures of a list, one after the other, and then answers.
    struct Fails(Mutex<Vec<Outlook>>);

    impl Fails {
        fn next(&self) -> Result<()> {
            match self.0.lock().unwrap().pop() {
                None => Ok(()),
                Some(outlook) => Err(Error::Store {
                    action: "read",
                    place: "a".to_owned(),
                    help: String::new(),
                    outlook,
                    source: "it failed".into(),
                }),
            }
        }
    }

    impl Store for Fails {
        fn is_website(&self) -> bool {
            false
        }

        fn place(&self, key: &str) -> String {
            key.to_owned()
        }

        async fn entries(&self) -> Result<Entries> {
            self.next().map(|()| Entries::new())
        }

        async fn get(&self, _: &str) -> Result<Option<Stored>> {
            self.next().map(|()| None)
        }

        async fn inspect(&self, _: &str) -> Result<Option<Seen>> {
            self.next().map(|()| None)
        }

        fn kept_headers(&self) -> &'static [&'static str] {
            &[]
        }

        async fn download(&self, _: &str, _: &Path) -> Result<bool> {
            self.next().map(|()| true)
        }

        async fn put(&self, _: &str, _: &Body, _: &Object, _: &Condition) -> Result<Put> {
            self.next().map(|()| Put::Written)
        }

        async fn delete(&self, _: &str) -> Result<()> {
            self.next()
        }
    }

    const QUICK: Patience = Patience {
        first: Duration::from_micros(100),
        longest: Duration::from_millis(1),
        before: Duration::from_millis(50),
        after: Duration::from_millis(150),
    };

    /// The failures, which come before or after a first answer, and how many of them are left when it is over.
    async fn outlast(answered: bool, failures: &[Outlook]) -> (Result<()>, usize) {
        let patient = Patient::with(Fails(Mutex::default()), &Silent, QUICK);
        if answered {
            patient.delete("a").await.unwrap();
        }
        *patient.store.0.lock().unwrap() = failures.iter().rev().copied().collect();
        let done = patient.delete("a").await;
        let left = patient.store.0.lock().unwrap().len();
        (done, left)
    }

    #[tokio::test]
    async fn what_passes_is_outlasted_and_what_lasts_is_told_at_once() {
        use Outlook::*;
        for (answered, failures, succeeds) in [
            (false, &[Passing, Busy(None), Busy(Some(Duration::ZERO)), Passing][..], true),
            (true, &[Passing, Unreachable, Busy(None), Damaged, Damaged, Damaged, Expired], true),
            (false, &[Unreachable], false),
            (true, &[Lasting], false),
            (true, &[Passing, Lasting], false),
            (true, &[Damaged; 4], false),
            (true, &[Expired; 2], false),
        ] {
            let (done, left) = outlast(answered, failures).await;
            assert_eq!((done.is_ok(), left), (succeeds, 0), "{failures:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_away_is_given_up_the_sooner_if_it_never_answered() {
        for (answered, patience) in [(false, QUICK.before), (true, QUICK.after)] {
            let begun = Instant::now();
            let (done, left) = outlast(answered, &[Outlook::Passing; 100_000]).await;
            assert!(done.is_err() && left > 0);
            let took = begun.elapsed();
            assert!(took >= patience && took < patience + Duration::from_millis(100), "{took:?}");
        }
    }

    #[tokio::test]
    async fn success_elsewhere_is_a_reason_to_go_on() {
        let begun = Instant::now();
        let ago = |time: Duration| begun.checked_sub(time).unwrap();
        let mut failures = Failures { begun: ago(QUICK.after * 2), all: 0, damaged: 0, expired: 0 };
        assert_eq!(failures.next(Outlook::Passing, Some(ago(QUICK.after)), &QUICK), None);
        assert!(failures.next(Outlook::Passing, Some(begun), &QUICK).is_some());
    }

    #[tokio::test]
    async fn waits_grow_up_to_a_bound() {
        let patience = Patience::default();
        let longest = |failures: u32| {
            let waits = (0..200).map(|_| {
                let mut one = Failures { begun: Instant::now(), all: failures, damaged: 0, expired: 0 };
                one.next(Outlook::Passing, Some(Instant::now()), &patience).unwrap()
            });
            waits.max().unwrap()
        };
        for (failures, bound) in [(0, 0.1), (1, 0.2), (3, 0.8), (20, 20.0), (90, 20.0)] {
            let longest = longest(failures).as_secs_f64();
            assert!(longest <= bound && longest > bound * 0.8, "{failures}: {longest}");
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn stage(&self, _: &'static str, _: usize) {}
        fn step(&self) {}
        fn note(&self, _: String) {}
        fn warn(&self, message: String) {
            self.0.lock().unwrap().push(message);
        }
    }

    #[tokio::test]
    async fn people_are_told_once() {
        for (outlook, told) in [
            (Outlook::Busy(None), "the store asks to slow down; going on with one request at a time"),
            (Outlook::Passing, "could not read `a` so far (it failed); trying again for 150ms"),
        ] {
            let heard = Heard::default();
            let patient = Patient::with(Fails(Mutex::new(vec![outlook; 3])), &heard, QUICK);
            patient.delete("a").await.unwrap();
            assert!(heard.0.lock().unwrap().is_empty(), "that was nothing to speak of");
            for _ in 0..2 {
                *patient.store.0.lock().unwrap() = vec![outlook; 6];
                patient.delete("a").await.unwrap();
            }
            assert_eq!(*heard.0.lock().unwrap(), [told]);
        }
    }
}

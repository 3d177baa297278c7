//! Requests to the API of a CDN: made again while they may succeed yet, for as long as there is hope, and no longer.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use crate::client;

/// Requests that are under way at once.
pub const CONCURRENCY: usize = 8;

/// Bytes of the longest answer that is read.
const LONGEST: usize = 4 << 20;

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Before the second attempt, about; it doubles from one to the next.
    pub first: Duration,
    /// Between two attempts, unless the API asks for more.
    pub longest: Duration,
    /// For one request with all its attempts.
    pub total: Duration,
    /// For one attempt.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(20),
            total: Duration::from_secs(60),
            attempt: Duration::from_secs(15),
        }
    }
}

impl Patience {
    /// Doubling delays, each with up to as much again by chance, so that those who failed together don't come back together.
    pub fn delays(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .without_max_times()
            .with_jitter()
    }

    /// How long to wait for the next attempt, or `None` if that is too long.
    pub fn wait(&self, begun: Instant, failure: &Failure, delay: Option<Duration>) -> Option<Duration> {
        let wait = delay?.max(failure.after.unwrap_or_default());
        (begun.elapsed() + wait <= failure.within.unwrap_or(self.total)).then_some(wait)
    }
}

/// Why a CDN was not purged, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub message: String,
    pub help: String,
    /// Whether another attempt may succeed.
    #[serde(skip)]
    pub is_passing: bool,
    /// When the API wants to be asked again.
    #[serde(skip)]
    pub after: Option<Duration>,
    /// For how long it may pass, if that is longer than a request is tried otherwise.
    #[serde(skip)]
    pub within: Option<Duration>,
    /// Of the answer, if there was one.
    #[serde(skip)]
    pub status: Option<u16>,
}

impl Failure {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            help: help.into(),
            is_passing: false,
            after: None,
            within: None,
            status: None,
        }
    }

    /// One that another attempt may not meet.
    pub fn passing(message: impl Into<String>) -> Self {
        let help = "the CDN, or the network between, may be in trouble: wait a while";
        Failure { is_passing: true, ..Failure::new(message, help) }
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, or null.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the API wants to be waited for (RFC 9110 section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        match value.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                Some(httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).unwrap_or_default())
            }
        }
    }
}

/// How an API words its refusals.
pub trait Refusals {
    /// Why, if the answer says so.
    fn reason(&self, answer: &Answer) -> Option<String>;

    /// What to do about one that is not passing.
    fn help(&self, answer: &Answer) -> String;
}

#[derive(Debug)]
pub struct Client {
    inner: client::Client,
    patience: Patience,
    /// Attempts so far.
    requests: AtomicUsize,
}

impl Client {
    pub fn new(patience: Patience) -> Result<Self, Failure> {
        let inner = client::Client::new()
            .map_err(|error| Failure::new(format!("TLS can't be set up: {error}"), "this is a fault of the program"))?;
        Ok(Client { inner, patience, requests: AtomicUsize::new(0) })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Asks until there is an answer of success, or none is to be hoped for.
    pub async fn ask(&self, request: Request<Bytes>, refusals: &impl Refusals) -> Result<Answer, Failure> {
        let begun = Instant::now();
        (|| self.attempt(request.clone(), refusals))
            .retry(self.patience.delays())
            .when(|failure| failure.is_passing)
            .adjust(|failure, delay| self.patience.wait(begun, failure, delay))
            .await
    }

    async fn attempt(&self, mut request: Request<Bytes>, refusals: &impl Refusals) -> Result<Answer, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        const NAME: HeaderValue = HeaderValue::from_static(concat!("fingerpost/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(NAME);
        let place = place(request.uri());
        let exchange = async {
            let response = self.inner.send(request).await.map_err(|error| root(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| root(error.as_ref()))?;
            Ok::<_, String>(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        let answer = match tokio::time::timeout(self.patience.attempt, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => {
                let help = "check the network, and `endpoint` or `url` of `cdn` if there is one";
                let failure = Failure::passing(format!("`{place}` could not be asked: {reason}"));
                return Err(Failure { help: help.to_owned(), ..failure });
            }
            Err(_) => return Err(Failure::passing(format!("`{place}` did not answer in time"))),
        };
        if answer.status.is_success() {
            return match refusals.reason(&answer) {
                None => Ok(answer),
                Some(reason) => Err(Failure::new(format!("`{place}` refused: {reason}"), refusals.help(&answer))),
            };
        }
        let reason = refusals.reason(&answer).map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!("`{place}` answered with status {}{reason}", answer.status.as_u16());
        let is_passing = matches!(answer.status.as_u16(), 408 | 425 | 429 | 500 | 502..=504);
        let status = Some(answer.status.as_u16());
        Err(match is_passing {
            true => Failure { status, after: answer.retry_after(), ..Failure::passing(message) },
            false => Failure { status, ..Failure::new(message, refusals.help(&answer)) },
        })
    }
}

/// Without the user and the query, which may hold secrets.
fn place(uri: &http::Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", uri.host().unwrap_or_default(), uri.path())
}

/// The innermost cause says most.
fn root(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Secrets, which are in the process's environment.
pub trait Variables: Sync {
    fn get(&self, name: &str) -> Option<String>;
}

/// Those that the process has.
#[derive(Debug)]
pub struct OfProcess;

impl Variables for OfProcess {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

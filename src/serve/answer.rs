//! An answer on its way out: what it is read from is open, and is what was verified, before its head is sent.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Response, StatusCode};
use tokio::sync::Mutex;

use super::body::Body;
use super::content::Content;
use super::handler::error;
use super::stored::{Standing, Stored, changed};

/// Ready at once, but for the answer of somebody else, and that from a file that is not open or has been touched, which waits until
/// that is settled.
///
/// An answer that can't be right any more is a 503. What happens to the file later ends the connection, as the head is gone then.
#[derive(Debug)]
pub struct Answer(State);

enum State {
    Ready(Option<Response<Body>>),
    Settling(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Ready(_) => "Ready",
            State::Settling(_) => "Settling",
        })
    }
}

impl Answer {
    pub(super) fn checked(mut response: Response<Body>) -> Self {
        match standing(response.body_mut()) {
            Standing::Same => Answer::ready(response),
            Standing::Doubtful => Answer(State::Settling(Box::pin(settle(response)))),
            Standing::Changed => Answer::ready(unavailable(&response)),
        }
    }

    /// One that somebody else is asked for.
    pub(super) fn later(response: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Answer(State::Settling(Box::pin(response)))
    }

    fn ready(response: Response<Body>) -> Self {
        Answer(State::Ready(Some(response)))
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => {
                let response = response.take();
                Poll::Ready(Ok(response.unwrap_or_else(|| error(StatusCode::INTERNAL_SERVER_ERROR))))
            }
            State::Settling(settling) => settling.as_mut().poll(cx).map(Ok),
        }
    }
}

/// In place of an answer that can't be right any more.
fn unavailable(response: &Response<Body>) -> Response<Body> {
    let mut unavailable = error(StatusCode::SERVICE_UNAVAILABLE);
    // It is about the host, not about the answer.
    if let Some(hsts) = response.headers().get(STRICT_TRANSPORT_SECURITY) {
        unavailable.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    unavailable
}

/// Of all that a body is read from.
fn standing(body: &mut Body) -> Standing {
    let mut all = Standing::Same;
    for content in body.contents_mut() {
        match content {
            Content::Memory(_) => {}
            Content::File(segment) => match segment.stored().standing() {
                Standing::Same => {}
                Standing::Doubtful => all = Standing::Doubtful,
                Standing::Changed => return Standing::Changed,
            },
            Content::Closed(_) => all = Standing::Doubtful,
        }
    }
    all
}

async fn settle(mut response: Response<Body>) -> Response<Body> {
    match verify(response.body_mut()).await {
        Ok(()) => response,
        Err(_) => unavailable(&response),
    }
}

/// Opens what is closed, and reads what is in doubt.
async fn verify(body: &mut Body) -> io::Result<()> {
    // The parts of a multipart are of one file, which is opened once.
    let mut opened: Option<Arc<Stored>> = None;
    for content in body.contents_mut() {
        match content {
            Content::Memory(_) => {}
            Content::File(segment) => sound(segment.stored()).await?,
            Content::Closed(closed) => {
                let segment = match opened.as_ref().and_then(|stored| closed.at(stored)) {
                    Some(segment) => segment,
                    None => {
                        let closed = closed.clone();
                        blocking(move || closed.open()).await?
                    }
                };
                sound(segment.stored()).await?;
                opened = Some(Arc::clone(segment.stored()));
                *content = Content::File(segment);
            }
        }
    }
    Ok(())
}

/// So many files are read at once to settle doubts; who asks for the same file waits for its one reading.
const TURNS: usize = 16;
static TURN: [Mutex<()>; TURNS] = [const { Mutex::const_new(()) }; TURNS];

async fn sound(stored: &Arc<Stored>) -> io::Result<()> {
    if stored.is_unchanged() {
        return Ok(());
    }
    let place = stored.verified().map_or(0, |verified| Arc::as_ptr(verified).addr() / 64 % TURNS);
    let _turn = match TURN.get(place) {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    let stored = Arc::clone(stored);
    blocking(move || if stored.verify() { Ok(()) } else { Err(changed()) }).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

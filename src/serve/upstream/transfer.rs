//! Bodies on their way, and how long is waited for what doesn't come.

use std::error::Error as StdError;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::pool::Lease;

/// When something of a request moved last, and what it waits for.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Beat>>);

#[derive(Debug)]
struct Beat {
    last: Instant,
    /// For more of its body.
    waits_for_client: bool,
}

/// Who has not moved for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    Client,
    Application,
}

impl Pulse {
    pub fn new() -> Self {
        Pulse(Arc::new(Mutex::new(Beat { last: Instant::now(), waits_for_client: false })))
    }

    fn beat(&self, waits_for_client: bool) {
        let mut beat = self.lock();
        // What is waited for already is not news.
        if !(waits_for_client && beat.waits_for_client) {
            *beat = Beat { last: Instant::now(), waits_for_client };
        }
    }

    /// Waits for what is to come, unless nothing moves for so long meanwhile.
    pub async fn unless_silent<F: Future>(&self, patience: Duration, what: F) -> Result<F::Output, Silent> {
        let mut what = pin!(what);
        loop {
            let until = self.lock().last + patience;
            tokio::select! {
                biased;
                output = &mut what => return Ok(output),
                () = sleep_until(until) => {}
            }
            let beat = self.lock();
            if beat.last + patience <= Instant::now() {
                return Err(if beat.waits_for_client { Silent::Client } else { Silent::Application });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a request, on its way to the application.
#[derive(Debug)]
pub struct Upload {
    body: Option<Incoming>,
    pulse: Pulse,
}

impl Upload {
    pub fn new(body: Option<Incoming>, pulse: &Pulse) -> Self {
        Upload { body: body.filter(|body| !body.is_end_stream()), pulse: pulse.clone() }
    }
}

/// A request's body could not be read: its client is gone, or sends what is none.
#[derive(Debug, thiserror::Error)]
#[error("the client's body can't be read: {0}")]
pub struct ClientFault(#[source] hyper::Error);

/// Whether it was the client that made a request fail.
pub fn is_clients_fault(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|error| error.is::<ClientFault>())
}

impl Body for Upload {
    type Data = Bytes;
    type Error = ClientFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        let Upload { body, pulse } = &mut *self;
        let Some(body) = body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        pulse.beat(frame.is_pending());
        frame.map(|frame| frame.map(|frame| frame.map_err(ClientFault)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// The body of the application's answer.
pub struct Download {
    body: Incoming,
    /// Given back after the body, so that it is known whether that came to its end.
    lease: Option<Lease>,
    /// Until when its next piece has to be there, once it is waited for; and for how long each is. None where there is no end to that.
    patience: Option<(Duration, Pin<Box<Sleep>>)>,
    is_waiting: bool,
    /// What it ends by, which is told when all before it is on its way.
    failure: Option<io::Error>,
}

impl Download {
    /// `lease` is of the connection that it comes by.
    pub fn new(body: Incoming, lease: Option<Lease>) -> Self {
        Download { body, lease, patience: None, is_waiting: false, failure: None }
    }

    /// Waits for each piece for so long.
    pub fn patient(self, patience: Duration) -> Self {
        Download { patience: Some((patience, Box::pin(sleep(patience)))), ..self }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((patience, until)) = &mut self.patience else { return Poll::Pending };
        if !self.is_waiting {
            until.as_mut().reset(Instant::now() + *patience);
        }
        until.as_mut().poll(cx)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                // hyper drops what it has not written yet once it hears of that.
                self.failure = Some(io::Error::other(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(frame) => {
                self.is_waiting = false;
                if frame.is_none() {
                    self.lease = None;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
            }
            Poll::Pending => {
                let silence = self.poll_silence(cx);
                self.is_waiting = true;
                ready!(silence);
                Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! A way past hyper for the plainest requests of HTTP/1.1, between two that are hyper's.
//!
//! hyper asks for bytes when it waits for a request. Whole requests that are plain are answered then and there; hyper never sees
//! them. One that is not is given to hyper, by itself: nothing of what follows it, so that it is known where hyper stands, and nothing
//! at all until its answer is written. What can't be told apart from what follows it, such as a request with a body or half a head,
//! ends this for the connection; from there on all is hyper's.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

use super::sendfile::{Transfer, poll_write_head};
use super::transport::Transport;
use super::vitals::Vitals;
use crate::serve::content::Content;
use crate::serve::quick::{Due, Quick, Seen};

#[derive(Debug)]
pub struct Lane {
    quick: Quick,
    /// The answer that is being written; empty between two.
    head: Vec<u8>,
    body: Body,
    /// Bytes of both.
    written: u64,
    /// Whether the answer has to wait for its client, and is told to be under way.
    is_open: bool,
    due: Option<Due>,
    turn: Turn,
}

/// What follows the head.
#[derive(Debug)]
enum Body {
    Memory(Bytes),
    File(Transfer),
}

impl Body {
    const fn none() -> Self {
        Body::Memory(Bytes::new())
    }

    fn length(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File(transfer) => transfer.length(),
        }
    }
}

/// How many bytes were requests that are answered now, and whose those are that follow.
#[derive(Debug)]
pub struct Answered {
    pub used: usize,
    pub next: Next,
}

#[derive(Debug)]
pub enum Next {
    Ours,
    /// Hyper's are so many, and then it is to be seen.
    Hyper(usize),
    /// Hyper's are these and all that comes.
    All,
}

/// Whose turn it is.
#[derive(Debug)]
enum Turn {
    Ours,
    /// hyper has a request, which is not among so many that were handed on. Whoever asked for more meanwhile is woken after it.
    Hyper(u64, Option<Waker>),
}

impl Lane {
    pub fn new(quick: Quick) -> Self {
        Lane { quick, head: Vec::new(), body: Body::none(), written: 0, is_open: false, due: None, turn: Turn::Ours }
    }

    /// hyper asks for bytes: whether it gets none, as it has a request.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.turn {
            Turn::Ours => Poll::Ready(()),
            Turn::Hyper(_, waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// hyper has written all that it had; so many bytes wait behind its request.
    pub fn hyper_has_written(&mut self, vitals: &Vitals, waiting: usize) {
        if let Turn::Hyper(before, waker) = &mut self.turn
            && vitals.requests() > *before
            && vitals.has_nothing_open()
        {
            vitals.unheard(waiting);
            let waker = waker.take();
            self.turn = Turn::Ours;
            waker.into_iter().for_each(Waker::wake);
        }
    }

    pub fn is_writing(&self) -> bool {
        !self.head.is_empty()
    }

    /// Answers the plain requests that the bytes begin with; an answer may be left that is yet to be written out.
    pub fn answer<T: Transport>(
        &mut self,
        io: &mut T,
        vitals: &Vitals,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> io::Result<Answered> {
        let mut used = 0;
        let next = loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() || self.is_writing() {
                break Next::Ours;
            }
            match self.quick.look(rest, &mut self.head) {
                Seen::Answered(answer) => {
                    used += answer.request;
                    self.due = answer.due;
                    self.body = match answer.body {
                        Content::Memory(bytes) => Body::Memory(bytes),
                        Content::File(segment) => Body::File(Transfer::of_sound(segment)),
                        // It would have been left to hyper.
                        Content::Closed(_) => return Err(io::ErrorKind::Unsupported.into()),
                    };
                    vitals.has_one_more(bytes.len() - used);
                    if let Poll::Ready(Err(error)) = self.poll_write_out(io, vitals, cx) {
                        return Err(error);
                    }
                }
                Seen::Alone(length) => {
                    self.turn = Turn::Hyper(vitals.requests(), None);
                    break Next::Hyper(length);
                }
                Seen::Unclear => break Next::All,
            }
        };
        Ok(Answered { used, next })
    }

    /// Writes what is left of an answer.
    pub fn poll_write_out<T: Transport>(
        &mut self,
        io: &mut T,
        vitals: &Vitals,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let result = self.poll_write(io, vitals, cx);
        if result.is_pending() {
            if let Body::File(transfer) = &mut self.body {
                transfer.waits();
            }
            vitals.found_no_room();
            if !self.is_open {
                self.is_open = true;
                vitals.opens();
            }
            return Poll::Pending;
        }
        self.head.clear();
        (self.body, self.written, self.due) = (Body::none(), 0, None);
        if mem::take(&mut self.is_open) {
            vitals.ends();
        }
        result
    }

    fn poll_write<T: Transport>(&mut self, io: &mut T, vitals: &Vitals, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let all = self.head.len() as u64 + self.body.length();
        while self.written < all {
            let written = usize::try_from(self.written).unwrap_or(usize::MAX);
            let head = self.head.get(written..).unwrap_or_default();
            let count = match &mut self.body {
                Body::File(transfer) if head.is_empty() => ready!(transfer.poll_send(io.socket(), cx)),
                Body::File(_) => ready!(poll_write_head(io.socket(), cx, head)),
                Body::Memory(body) => {
                    let body = body.get(written.saturating_sub(self.head.len())..).unwrap_or_default();
                    let io = Pin::new(&mut *io);
                    match (head.is_empty(), body.is_empty()) {
                        (true, _) => ready!(io.poll_write(cx, body)),
                        (false, true) => ready!(io.poll_write(cx, head)),
                        (false, false) => ready!(io.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)])),
                    }
                }
            }?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count as u64;
            vitals.sent(count);
            if let Some(due) = &mut self.due {
                due.left(all - self.written);
            }
        }
        // Over TLS it is encrypted by now, and not yet on its way.
        Pin::new(io).poll_flush(cx)
    }
}

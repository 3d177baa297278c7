//! What a response carries: contents in a row. A transport that can send files by itself takes them out; any other reads the frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::content::Content;

/// Bytes of a file that are read at a time.
const CHUNK: u64 = 128 * 1024;

/// The body of an answer.
#[derive(Debug, Default)]
pub struct Body {
    /// What comes next.
    first: Option<Content>,
    /// What follows it, the last one first.
    rest: Vec<Content>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// Bytes that are yet to come.
    remaining: u64,
}

impl Body {
    pub fn new(content: impl Into<Content>) -> Self {
        let content = content.into();
        let remaining = content.length();
        Body { first: Some(content), rest: Vec::new(), reading: None, remaining }
    }

    /// These contents in a row.
    pub fn of(mut contents: Vec<Content>) -> Self {
        let remaining = contents.iter().map(Content::length).sum();
        contents.reverse();
        Body { first: contents.pop(), rest: contents, reading: None, remaining }
    }

    /// Bytes that are yet to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// What comes next, whole, for a transport that can do without frames. Not to be mixed with reading frames.
    pub fn next_content(&mut self) -> Option<Content> {
        let next = self.first.take()?;
        self.first = self.rest.pop();
        self.remaining = self.remaining.saturating_sub(next.length());
        Some(next)
    }

    /// Cuts the beginning off what lies in a file, and has it read where it may block.
    fn start_reading(&mut self, content: &Content) {
        let length = content.length();
        let own = content.slice(0..CHUNK.min(length));
        if length > CHUNK {
            self.first = Some(content.slice(CHUNK..length));
        } else {
            self.first = self.rest.pop();
        }
        self.reading = Some(tokio::task::spawn_blocking(move || own.read()));
    }

    /// What is yet to come, in no order.
    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                return Poll::Ready(Some(read.unwrap_or_else(|error| Err(io::Error::other(error)))));
            }
            match self.first.take() {
                None => return Poll::Ready(None),
                Some(Content::Memory(bytes)) => {
                    self.first = self.rest.pop();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(content) => self.start_reading(&content),
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = ready!(self.poll_bytes(cx));
        if let Some(Ok(bytes)) = &bytes {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

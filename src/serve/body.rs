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

    /// Whether some of it lies in a file.
    pub fn has_file(&self) -> bool {
        self.first.iter().chain(&self.rest).any(|content| matches!(content, Content::File(_)))
    }

    /// What comes next, for a transport that can do without frames: all of it, or of a file as many bytes as are wanted. Not to be mixed
    /// with reading frames.
    pub fn next_piece(&mut self, most: u64) -> Option<Content> {
        let piece = self.cut(most)?;
        self.remaining = self.remaining.saturating_sub(piece.length());
        Some(piece)
    }

    /// As [`Body::next_piece`], without an account of it.
    fn cut(&mut self, most: u64) -> Option<Content> {
        let next = self.first.take()?;
        let length = next.length();
        if length > most && matches!(next, Content::File(_)) {
            self.first = Some(next.slice(most..length));
            return Some(next.slice(0..most));
        }
        self.first = self.rest.pop();
        Some(next)
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                return Poll::Ready(Some(read.unwrap_or_else(|error| Err(io::Error::other(error)))));
            }
            match self.cut(CHUNK) {
                None => return Poll::Ready(None),
                Some(Content::Memory(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Content::File(segment)) => match segment.read_now() {
                    Some(read) => return Poll::Ready(Some(read)),
                    None => self.reading = Some(tokio::task::spawn_blocking(move || segment.read())),
                },
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

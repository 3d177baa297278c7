//! What a response carries: contents in a row. A transport that can send files by itself takes them out; any other reads the frames.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::content::Content;

/// Bytes of a file that are read at a time.
const CHUNK: u64 = 128 * 1024;

/// Told once when a body is over: handed to the connection whole, or given up before.
pub trait OnEnd: Send {
    /// `sent` is how many bytes of the body were handed to the connection.
    fn ended(self: Box<Self>, sent: u64);
}

/// The body of an answer. What is in it lies in one place, as an answer is handed from one to another a dozen times on its way.
#[derive(Debug, Default)]
pub struct Body(Option<Box<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// What comes next.
    first: Option<Content>,
    /// What follows it, the last one first.
    rest: Vec<Content>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// In the place of contents, what comes from elsewhere.
    stream: Option<Stream>,
    /// Bytes that are yet to come, of contents.
    remaining: u64,
    end: Option<End>,
}

/// A body that comes from elsewhere, nobody knows how long.
struct Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = io::Error> + Send>>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// Whom to tell of the end. A value of its own, so that a transport can keep it for longer than the body.
pub struct End {
    sent: u64,
    hook: Option<Box<dyn OnEnd>>,
}

impl End {
    /// Counts bytes that were handed to the connection.
    pub fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(hook) = self.hook.take() {
            hook.ended(self.sent);
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Body {
    pub fn new(content: impl Into<Content>) -> Self {
        let content = content.into();
        let remaining = content.length();
        match content {
            Content::Memory(bytes) if bytes.is_empty() => Body(None),
            content => Body(Some(Box::new(Contents { first: Some(content), remaining, ..Contents::default() }))),
        }
    }

    /// These contents in a row.
    pub fn of(mut contents: Vec<Content>) -> Self {
        let remaining = contents.iter().map(Content::length).sum();
        contents.reverse();
        let first = contents.pop();
        Body(Some(Box::new(Contents { first, rest: contents, remaining, ..Contents::default() })))
    }

    /// What another body brings, as it comes.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Self {
        match body.is_end_stream() {
            true => Body(None),
            false => Body(Some(Box::new(Contents { stream: Some(Stream(Box::pin(body))), ..Contents::default() }))),
        }
    }

    /// Tells `hook` when the body is over. Whoever is told already is told at once that nothing was sent.
    pub fn on_end(&mut self, hook: Box<dyn OnEnd>) {
        self.0.get_or_insert_default().end = Some(End { sent: 0, hook: Some(hook) });
    }

    /// Takes over the duty to tell of the end, for a transport that sends contents after it has dropped the body.
    pub fn take_end(&mut self) -> Option<End> {
        self.0.as_mut()?.end.take()
    }

    /// Bytes that are yet to come.
    pub fn remaining(&self) -> u64 {
        self.0.as_ref().map_or(0, |contents| contents.remaining)
    }

    /// Whether some of it lies in a file.
    pub fn has_file(&self) -> bool {
        let all = self.0.iter().flat_map(|contents| contents.first.iter().chain(&contents.rest));
        all.into_iter().any(|content| matches!(content, Content::File(_)))
    }

    /// What comes next, for a transport that can do without frames: all of it, or of a file as many bytes as are wanted. Not to be mixed
    /// with reading frames.
    pub fn next_piece(&mut self, most: u64) -> Option<Content> {
        let contents = self.0.as_mut()?;
        let piece = contents.cut(most)?;
        contents.advance(piece.length());
        Some(piece)
    }

    /// What is yet to come, in no order.
    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        self.0.iter_mut().flat_map(|contents| contents.first.iter_mut().chain(&mut contents.rest))
    }
}

impl Contents {
    fn advance(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_sub(bytes);
        if let Some(end) = &mut self.end {
            end.sent(bytes);
        }
    }

    /// As [`Body::next_piece`], without an account of it.
    fn cut(&mut self, most: u64) -> Option<Content> {
        let next = self.first.take()?;
        let length = next.length();
        if length > most && !matches!(next, Content::Memory(_)) {
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
                Some(content) => self.reading = Some(tokio::task::spawn_blocking(move || content.read())),
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(contents) = &mut self.0 else { return Poll::Ready(None) };
        if let Some(Stream(stream)) = &mut contents.stream {
            let frame = ready!(stream.as_mut().poll_frame(cx));
            if let (Some(end), Some(Ok(frame))) = (&mut contents.end, &frame)
                && let Some(bytes) = frame.data_ref()
            {
                end.sent(bytes.len() as u64);
            }
            return Poll::Ready(frame);
        }
        let bytes = ready!(contents.poll_bytes(cx));
        if let Some(Ok(bytes)) = &bytes {
            contents.advance(bytes.len() as u64);
        }
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self.0.as_ref().and_then(|contents| contents.stream.as_ref()) {
            Some(Stream(stream)) => stream.is_end_stream(),
            None => self.remaining() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().and_then(|contents| contents.stream.as_ref()) {
            Some(Stream(stream)) => stream.size_hint(),
            None => SizeHint::with_exact(self.remaining()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::mpsc;

    struct Tell(mpsc::Sender<u64>);

    impl OnEnd for Tell {
        fn ended(self: Box<Self>, sent: u64) {
            self.0.send(sent).unwrap();
        }
    }

    fn told() -> (Body, mpsc::Receiver<u64>) {
        let (sender, receiver) = mpsc::channel();
        let parts = [b"abc".as_slice(), b"de"].map(|bytes| Content::from(Bytes::from_static(bytes)));
        let mut body = Body::of(parts.into());
        body.on_end(Box::new(Tell(sender)));
        (body, receiver)
    }

    #[tokio::test]
    async fn the_end_is_told_once_with_what_was_sent() {
        let (body, told_whole) = told();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
        assert_eq!(told_whole.recv(), Ok(5));
        assert!(told_whole.recv().is_err());

        let (mut body, told_part) = told();
        body.frame().await.unwrap().unwrap();
        assert!(told_part.try_recv().is_err(), "it is not over");
        drop(body);
        assert_eq!(told_part.recv(), Ok(3));

        let (body, told_none) = told();
        drop(body);
        assert_eq!(told_none.recv(), Ok(0));
    }

    #[test]
    fn a_transport_can_tell_later() {
        let (mut body, told) = told();
        let mut end = body.take_end().unwrap();
        let first = body.next_piece(u64::MAX).unwrap();
        drop(body);
        assert!(told.try_recv().is_err());
        end.sent(first.length());
        drop(end);
        assert_eq!(told.recv(), Ok(3));
    }
}

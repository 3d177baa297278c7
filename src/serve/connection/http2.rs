//! HTTP/2 on a connection, by hyper and h2, with what they write gathered: h2 flushes after each frame of data, which costs a system
//! call, and under TLS a record, for each answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::exchange::{BodyError, Exchange, Passage};
use super::frames::Frames;
use super::held::Held;
use super::transport::{Ending, Transport};
use super::vitals::{Order, Stage, Vitals};
use crate::serve::limits::LARGEST_HEAD;
use crate::serve::unheard::Unheard;

/// Bytes that are gathered at most before they are written.
const GATHERED: usize = 256 * 1024;

/// Parts that are handed to the system with one call. A body's frame is two: its head, and what it holds.
const WRITTEN_AT_ONCE: usize = 64;

/// Requests at a time on one connection. RFC 9113 section 6.5.2 advises against fewer than 100.
const STREAMS: u32 = 128;

/// Bytes of request bodies that a client may send unasked: what RFC 9113 section 6.9.2 begins with. Few services here read any.
const WINDOW: u32 = 65_535;

/// Bytes of an answer that are held for a client which takes them slowly.
const HELD: usize = 256 * 1024;

/// A PING frame (RFC 9113 section 6.7) with eight bytes that h2 itself never sends.
const PING: [u8; 17] = *b"\0\0\x08\x06\0\0\0\0\0are you?";

/// hyper's and h2's own limits hold as well: 20 streams that were reset before they were accepted, and 1,024 that were reset for errors
/// (CVE-2023-44487 and CVE-2025-8671), and as many CONTINUATION frames as the list of headers allows (CVE-2024-28182).
pub fn builder() -> Builder<InPlace> {
    let mut builder = Builder::new(InPlace);
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LARGEST_HEAD as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(HELD);
    builder
}

/// Runs a stream where it was accepted. Only one that has to wait becomes a task of its own, which costs more than most answers.
#[derive(Debug, Clone, Copy)]
pub struct InPlace;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for InPlace {
    fn execute(&self, stream: F) {
        let mut stream = Box::pin(stream);
        // The task polls it again, and is woken then.
        if stream.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(stream);
        }
    }
}

/// Serves until the connection ends.
pub async fn serve<T, S, B>(io: T, service: S, vitals: &Arc<Vitals>, builder: &Builder<InPlace>)
where
    T: Transport,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static> + Clone + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    vitals.enter(Stage::Http2);
    let held = Arc::<Held>::default();
    let wire = Shared(Arc::new(Mutex::new(Wire {
        io,
        gathered: Gathered::new(Arc::clone(&held)),
        frames: Frames::default(),
        is_full: false,
        vitals: Arc::clone(vitals),
        ending: Ending::default(),
    })));
    let mut observed = service.clone();
    let exchange = Exchange::new(service, Arc::clone(vitals), Passage::Held(held), None);
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(wire.clone()), exchange));
    let (mut is_closing, mut is_over) = (false, false);
    let served = poll_fn(|cx| {
        // Not shared with anybody, which a service need not bear.
        let observed = &mut observed;
        vitals.attend(cx.waker());
        match vitals.order() {
            Some(Order::Cut) => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(Order::Close) if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            Some(Order::Rest) => {
                vitals.take_rest();
                wire.lock().gathered.give_back();
            }
            Some(Order::Ping) => {
                vitals.take(Order::Ping);
                wire.lock().ping();
            }
            _ => {}
        }
        // A failed connection concerns its client alone, who may have to be told of it still.
        is_over = is_over || connection.as_mut().poll(cx).is_ready();
        let mut wire = wire.lock();
        for status in wire.frames.take_refused() {
            Unheard { status, version: Version::HTTP_2, took: Duration::ZERO }.tell(observed);
        }
        let written = wire.poll_write_out(cx);
        wire.settle(&written);
        if is_over || matches!(written, Poll::Ready(Err(_))) { written } else { Poll::Pending }
    })
    .await;
    drop(connection);
    if served.is_ok() {
        let _ = poll_fn(|cx| match vitals.order() {
            Some(Order::Cut) => Poll::Ready(Ok(())),
            _ => wire.lock().poll_end(cx),
        })
        .await;
    }
}

/// The wire, for hyper to use, and to be written out when hyper is done.
struct Shared<T>(Arc<Mutex<Wire<T>>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Wire<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}

struct Wire<T> {
    io: T,
    gathered: Gathered,
    frames: Frames,
    /// Whether h2 has more to write than may be gathered.
    is_full: bool,
    vitals: Arc<Vitals>,
    ending: Ending,
}

/// What is to be written: bytes that were copied, and bodies where they lie.
#[derive(Debug)]
struct Gathered {
    held: Arc<Held>,
    copied: Vec<u8>,
    parts: VecDeque<Part>,
    /// Bytes of all parts.
    length: usize,
}

#[derive(Debug)]
enum Part {
    /// Bytes of what was copied.
    Copied(Range<usize>),
    Held(Bytes),
}

impl Gathered {
    fn new(held: Arc<Held>) -> Self {
        Gathered { held, copied: Vec::new(), parts: VecDeque::new(), length: 0 }
    }

    fn take(&mut self, slice: &[u8]) {
        self.length += slice.len();
        if let Some(part) = self.held.part(slice) {
            return self.parts.push_back(Part::Held(part));
        }
        if self.copied.len() > 2 * GATHERED {
            self.forget_written();
        }
        let start = self.copied.len();
        self.copied.extend_from_slice(slice);
        match self.parts.back_mut() {
            Some(Part::Copied(range)) => range.end = self.copied.len(),
            _ => self.parts.push_back(Part::Copied(start..self.copied.len())),
        }
    }

    /// Lets go of bytes that are written already, as of a client that takes them slowly there is always one that is not.
    fn forget_written(&mut self) {
        let copied = self.parts.iter_mut().filter_map(|part| match part {
            Part::Copied(range) => Some(range),
            Part::Held(_) => None,
        });
        let mut written = None;
        for range in copied {
            let written = *written.get_or_insert(range.start);
            *range = range.start - written..range.end - written;
        }
        self.copied.drain(..written.unwrap_or(self.copied.len()));
    }

    /// The first parts.
    fn slices(&self) -> [IoSlice<'_>; WRITTEN_AT_ONCE] {
        let mut slices = [IoSlice::new(&[]); WRITTEN_AT_ONCE];
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(match part {
                Part::Copied(range) => self.copied.get(range.clone()).unwrap_or_default(),
                Part::Held(bytes) => bytes,
            });
        }
        slices
    }

    /// So many bytes are gone.
    fn advance(&mut self, mut count: usize) {
        self.length -= count.min(self.length);
        while let Some(part) = self.parts.front_mut() {
            let length = match part {
                Part::Copied(range) => range.len(),
                Part::Held(bytes) => bytes.len(),
            };
            if count < length {
                match part {
                    Part::Copied(range) => range.start += count,
                    Part::Held(bytes) => bytes.advance(count),
                }
                break;
            }
            count -= length;
            self.parts.pop_front();
        }
        if self.parts.is_empty() {
            self.copied.clear();
        }
    }

    /// Gives back memory that was needed once.
    fn give_back(&mut self) {
        if self.parts.is_empty() {
            *self = Gathered::new(Arc::clone(&self.held));
            self.held.give_back();
        }
    }
}

impl<T: Transport> Wire<T> {
    /// Takes slices, if need be when others are written. Says how many bytes were taken.
    fn poll_gather(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        while self.gathered.length > 0 && self.gathered.length + length > GATHERED {
            match self.poll_some(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    self.is_full = true;
                    self.vitals.found_no_room();
                    return Poll::Pending;
                }
            }
        }
        self.is_full = false;
        let answers = self.vitals.answered();
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            self.frames.see(slice, answers);
            self.gathered.take(slice);
        }
        Poll::Ready(Ok(length))
    }

    /// Asks the client whether it is there; if so, something is received, whatever h2 thinks of that. Nothing comes between the bytes of
    /// another frame: one that is stuck is a matter of other limits.
    fn ping(&mut self) {
        if self.frames.is_between() && self.gathered.length == 0 {
            self.gathered.take(&PING);
        }
    }

    /// When all is answered and written, that is how many answers there were: some may have been given to who did not wait for them.
    fn settle(&mut self, written: &Poll<io::Result<()>>) {
        if written.is_ready() && !self.is_full && self.vitals.has_nothing_open() {
            self.frames.settle(self.vitals.answered());
        }
    }

    /// Writes some of what was gathered, of which there is something.
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let slices = self.gathered.slices();
        let count = self.gathered.parts.len().min(slices.len());
        let slices = slices.get(..count).unwrap_or_default();
        let count = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.vitals.sent(count);
        self.gathered.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Writes what was gathered, all of it.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_empty(cx);
        match &written {
            Poll::Ready(Ok(())) => self.vitals.sent(0),
            Poll::Pending => self.vitals.found_no_room(),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gathered.length > 0 {
            ready!(self.poll_some(cx))?;
        }
        // TLS holds what did not fit into the socket.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        self.ending.poll(&mut self.io, &self.vitals, cx)
    }
}

impl<T: Transport> AsyncWrite for Shared<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// It is written out when hyper has been polled.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_end(cx)
    }
}

impl<T: Transport> AsyncRead for Shared<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.lock();
        let room = into.remaining();
        let read = Pin::new(&mut wire.io).poll_read(cx, into);
        match &read {
            Poll::Ready(Ok(())) => wire.vitals.received(room - into.remaining()),
            Poll::Pending => wire.vitals.found_nothing_to_read(),
            Poll::Ready(Err(_)) => {}
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at most so many bytes.
    fn write(gathered: &mut Gathered, most: usize) -> Vec<u8> {
        let bytes: Vec<u8> = gathered.slices().iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        gathered.advance(bytes.len());
        bytes
    }

    /// What is written comes out as it was gathered, however much of it goes at a time.
    #[test]
    fn what_is_gathered_comes_out_in_order() {
        for step in [7, 700, 5000, 100_000] {
            let held = Arc::<Held>::default();
            let mut gathered = Gathered::new(Arc::clone(&held));
            let (mut put, mut got) = (Vec::new(), Vec::new());
            for number in 0..300 {
                let body = Bytes::from(vec![number as u8; 5000 + number * 17]);
                held.add(&body);
                let cut = body.len() / 3;
                for slice in [b"head".as_slice(), &body[..cut], b"next", &body[cut..]] {
                    put.extend_from_slice(slice);
                    gathered.take(slice);
                }
                // As for a client that is slow: some of it is always left.
                while gathered.length > 3 * GATHERED / 4 {
                    got.extend(write(&mut gathered, step));
                }
                assert!(gathered.copied.len() < 3 * GATHERED);
            }
            while gathered.length > 0 {
                got.extend(write(&mut gathered, usize::MAX));
            }
            assert!(put == got);
            assert!(gathered.copied.is_empty() && gathered.parts.is_empty());
        }
    }

    #[test]
    fn bodies_are_not_copied_and_what_was_written_is_let_go() {
        let held = Arc::<Held>::default();
        let mut gathered = Gathered::new(Arc::clone(&held));
        let body = Bytes::from(vec![1; 5000]);
        held.add(&body);
        gathered.take(&body);
        assert!(gathered.copied.is_empty());
        assert_eq!(gathered.slices()[0].as_ptr(), body.as_ptr());
        gathered.advance(5000);
        // Never empty, and for long.
        gathered.take(&[2; 1000]);
        for _ in 0..10_000 {
            gathered.take(&[2; 1000]);
            gathered.advance(1000);
        }
        assert!(gathered.copied.len() < 3 * GATHERED, "{}", gathered.copied.len());
    }
}

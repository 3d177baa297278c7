//! HTTP/2 on a connection, by hyper and h2, with what they write gathered: h2 flushes after each frame of data, which costs a system
//! call, and under TLS a record, for each answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::exchange::{BodyError, Exchange};
use super::transport::{Ending, Transport};
use super::vitals::{Order, Stage, Vitals};
use crate::serve::limits::LARGEST_HEAD;

/// Bytes that are gathered at most before they are written.
const GATHERED: usize = 64 * 1024;

/// Requests at a time on one connection. RFC 9113 section 6.5.2 advises against fewer than 100.
const STREAMS: u32 = 128;

/// Bytes of request bodies that a client may send unasked: what RFC 9113 section 6.9.2 begins with. Few services here read any.
const WINDOW: u32 = 65_535;

/// Bytes of an answer that are held for a client which takes them slowly.
const HELD: usize = 256 * 1024;

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
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static> + Clone,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    vitals.enter(Stage::Http2);
    let wire = Shared(Arc::new(Mutex::new(Wire {
        io,
        gathered: Vec::new(),
        written: 0,
        vitals: Arc::clone(vitals),
        ending: Ending::default(),
    })));
    let exchange = Exchange::new(service, Arc::clone(vitals), None);
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(wire.clone()), exchange));
    let (mut is_closing, mut is_over) = (false, false);
    let served = poll_fn(|cx| {
        vitals.attend(cx.waker());
        match vitals.order() {
            Some(Order::Cut) => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(Order::Close) if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            Some(Order::Rest) => {
                vitals.take_rest();
                wire.lock().give_back();
            }
            _ => {}
        }
        // A failed connection concerns its client alone, who may have to be told of it still.
        is_over = is_over || connection.as_mut().poll(cx).is_ready();
        let written = wire.lock().poll_write_out(cx);
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
    gathered: Vec<u8>,
    /// How much of it.
    written: usize,
    vitals: Arc<Vitals>,
    ending: Ending,
}

impl<T: Transport> Wire<T> {
    /// Takes slices in, or writes them behind what was gathered before. Says how many bytes were taken.
    fn poll_gather(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.gathered.len() + length <= GATHERED {
            for slice in slices {
                self.gathered.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(length));
        }
        let taken = loop {
            let before = self.gathered.get(self.written..).unwrap_or_default();
            let waiting = before.len();
            let mut all = Vec::with_capacity(slices.len() + 1);
            all.push(IoSlice::new(before));
            all.extend(slices.iter().map(|slice| IoSlice::new(slice)));
            let count = match Pin::new(&mut self.io).poll_write_vectored(cx, &all) {
                Poll::Ready(count) => count?,
                Poll::Pending => {
                    self.vitals.found_no_room();
                    return Poll::Pending;
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.vitals.sent(count);
            self.has_written(count.min(waiting));
            if count > waiting {
                break count - waiting;
            }
        };
        Poll::Ready(Ok(taken))
    }

    fn has_written(&mut self, count: usize) {
        self.written += count;
        if self.written == self.gathered.len() {
            self.gathered.clear();
            self.written = 0;
        }
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
        while let Some(rest @ [_, ..]) = self.gathered.get(self.written..) {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.vitals.sent(count);
            self.has_written(count);
        }
        // TLS holds what did not fit into the socket.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        self.ending.poll(&mut self.io, &self.vitals, cx)
    }

    /// Gives back memory that was needed once.
    fn give_back(&mut self) {
        if self.gathered.is_empty() {
            self.gathered = Vec::new();
        }
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

//! HTTP/1.1 on a connection, by hyper. While nothing happens, all that hyper holds for it is given back.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::exchange::{BodyError, Exchange, Passage};
use super::framing::Framing;
use super::lane::{Lane, Next};
use super::sendfile::{Files, is_of_a_file, out_of_step};
use super::transport::{Ending, Transport};
use super::vitals::{Order, Stage, Vitals};
use crate::serve::limits::LARGEST_HEAD;
use crate::serve::quick::Quick;
use crate::serve::tunnel::{self, Switch};
use crate::serve::unheard::Unheard;

pub fn builder() -> Builder {
    let mut builder = Builder::new();
    // The time for a head is kept by `Watch`; hyper's own costs a timer for each request.
    builder.header_read_timeout(None).max_header_size(LARGEST_HEAD).max_buf_size(2 * LARGEST_HEAD);
    builder
}

/// A connection on which nothing happens.
pub struct Resting<T> {
    pub io: T,
    /// Read, and not yet spoken of.
    pub unread: Bytes,
}

/// How serving a connection ended.
pub enum Served<T> {
    /// It goes on when there is something to read.
    Rests(Resting<T>),
    /// For good, perhaps with a request that was refused before it was one.
    Over(Option<Unheard>),
    /// It is HTTP's no more, and what is at its other end is to come.
    Becomes(Resting<T>, OnUpgrade),
}

/// Serves until the connection ends, or comes to rest.
pub async fn serve<T, S, B>(
    resting: Resting<T>,
    service: S,
    vitals: &Arc<Vitals>,
    (builder, sendfile): (&Builder, bool),
) -> Served<T>
where
    T: Transport,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    vitals.unheard(resting.unread.len());
    vitals.enter(Stage::Http1);
    let files = (T::SENDS_FILES && sendfile).then(Arc::<Files>::default);
    let lane = Quick::of(&service, files.is_some()).map(Lane::new);
    let io = Wire {
        io: resting.io,
        unread: resting.unread,
        files: files.clone(),
        vitals: Arc::clone(vitals),
        ending: Ending::default(),
        lane,
        owed: 0,
        framing: Framing::default(),
    };
    let passage = files.map_or(Passage::Nothing, Passage::Files);
    let switch = Switch::default();
    let exchange = Exchange::new(service, Arc::clone(vitals), passage, Some(switch.clone()));
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), exchange));
    let mut is_closing = false;
    let over = poll_fn(|cx| {
        vitals.attend(cx.waker());
        match vitals.order() {
            // Of one that was refused hyper says so when it has been closed.
            Some(Order::Cut) if vitals.stage() != Stage::Leaving => {
                let took = vitals.overdue();
                return Poll::Ready(Some(took.map(|took| unheard(StatusCode::REQUEST_TIMEOUT, took))));
            }
            Some(Order::Close) if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ => {}
        }
        // A failed connection concerns its client alone.
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(result.err().and_then(|error| refused(&error))));
        }
        match vitals.order() {
            Some(Order::Cut) => Poll::Ready(Some(None)),
            Some(Order::Rest) if vitals.take_rest() && vitals.is_idle() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await;
    let tunnel = switch.take().filter(|_| vitals.order() != Some(Order::Cut));
    if let (Some(unheard), None) = (over, &tunnel) {
        return Served::Over(unheard);
    }
    let parts = Pin::into_inner(connection).into_parts();
    let wire = parts.io.into_inner();
    // hyper has asked for more than was left over, or it would not be idle. A copy, as even an empty part of its buffer keeps all of it.
    let mut unread = parts.read_buf.to_vec();
    wire.framing.restore(&mut unread);
    unread.extend_from_slice(&wire.unread);
    let resting = Resting { io: wire.io, unread: unread.into() };
    match tunnel {
        None => Served::Rests(resting),
        Some(other) => Served::Becomes(resting, other),
    }
}

/// The connection as a tunnel, until both sides have ended, or it is told to end now.
pub async fn pass_on<T: Transport>(mut resting: Resting<T>, other: OnUpgrade, vitals: &Vitals) {
    vitals.enter(Stage::Tunnel);
    // Nobody notices otherwise that the client is gone. Where it can't be set, the application has to.
    let _ = socket2::SockRef::from(resting.io.socket()).set_keepalive(true);
    let mut passing = pin!(tunnel::run(&mut resting.io, &resting.unread, other));
    poll_fn(|cx| match vitals.order() {
        Some(Order::Cut) => Poll::Ready(()),
        // How it fails concerns those at its ends, who see it.
        _ => passing.as_mut().poll(cx).map(drop),
    })
    .await;
}

/// What hyper has answered by itself.
fn refused(error: &hyper::Error) -> Option<Unheard> {
    let status = match error.is_parse_too_large() {
        true => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        false => StatusCode::BAD_REQUEST,
    };
    (error.is_parse() && !error.is_parse_version_h2()).then(|| unheard(status, Duration::ZERO))
}

fn unheard(status: StatusCode, took: Duration) -> Unheard {
    Unheard { status, version: Version::HTTP_11, took }
}

/// What hyper reads from and writes to.
struct Wire<T> {
    io: T,
    unread: Bytes,
    files: Option<Arc<Files>>,
    vitals: Arc<Vitals>,
    ending: Ending,
    lane: Option<Lane>,
    /// So many bytes of what is unread are hyper's, as it has asked for them.
    owed: usize,
    /// Of what hyper gets.
    framing: Framing,
}

impl<T: Transport> Wire<T> {
    fn poll_write_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(files) = self.files.as_ref().filter(|files| !files.is_empty()) else {
            return self.poll_write_joined(cx, slices);
        };
        if !slices.iter().any(|slice| is_of_a_file(slice)) {
            // Queued, and not among what is written.
            return Poll::Ready(Err(out_of_step()));
        }
        let socket = self.io.socket();
        loop {
            ready!(files.poll_soundness(cx))?;
            ready!(socket.poll_write_ready(cx))?;
            match files.write(socket, slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl<T: Transport> Wire<T> {
    /// Writes slices, a few bytes of them as one: that is less to the system than to be told where each of them lies.
    fn poll_write_joined(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.io);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        match slices {
            [only] => io.poll_write(cx, only),
            _ if length > JOINED => io.poll_write_vectored(cx, slices),
            _ => JOIN.with_borrow_mut(|joined| {
                joined.clear();
                slices.iter().for_each(|slice| joined.extend_from_slice(slice));
                io.poll_write(cx, joined)
            }),
        }
    }
}

/// Bytes that are sooner copied than pointed at.
const JOINED: usize = 4096;

thread_local! {
    static JOIN: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(JOINED));
}

impl<T: Transport> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.poll_write_slices(cx, slices);
        match &written {
            Poll::Ready(Ok(count)) => this.vitals.sent(*count),
            Poll::Pending => this.vitals.found_no_room(),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    // Or else hyper copies bodies behind their heads.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        match &flushed {
            Poll::Ready(Ok(())) => {
                this.vitals.sent(0);
                if let Some(lane) = &mut this.lane {
                    lane.hyper_has_written(&this.vitals, this.unread.len());
                }
            }
            Poll::Pending => this.vitals.found_no_room(),
            Poll::Ready(Err(_)) => {}
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(lane) = &mut this.lane {
            // hyper knows nothing of an answer that is under way.
            ready!(lane.poll_write_out(&mut this.io, &this.vitals, cx))?;
        }
        // A client that has gone before is no failure, and would hide what it was refused for.
        let _ = ready!(this.ending.poll(&mut this.io, &this.vitals, cx));
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = this.poll_read_for_hyper(cx, into);
        if let Some(bytes) = into.filled_mut().get_mut(before..) {
            this.framing.follow(bytes);
        }
        if let Some(number) = this.framing.too_long() {
            this.vitals.gets_too_long(number);
        }
        read
    }
}

impl<T: Transport> Wire<T> {
    fn poll_read_for_hyper(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self;
        loop {
            let Some(lane) = &mut this.lane else {
                let count = this.unread.len().min(into.remaining());
                if count == 0 {
                    return receive(&mut this.io, &this.vitals, cx, into);
                }
                into.put_slice(&this.unread.split_to(count));
                return Poll::Ready(Ok(()));
            };
            if this.owed > 0 {
                let count = this.owed.min(into.remaining());
                into.put_slice(&this.unread.split_to(count));
                this.owed -= count;
                return Poll::Ready(Ok(()));
            }
            if lane.poll_turn(cx).is_pending() {
                // Whether anything waits is to be known when the connection ends.
                if this.unread.is_empty() && this.io.socket().poll_read_ready(cx).is_pending() {
                    this.vitals.found_nothing_to_read();
                }
                return Poll::Pending;
            }
            ready!(lane.poll_write_out(&mut this.io, &this.vitals, cx))?;
            let next = if this.unread.is_empty() {
                let before = into.filled().len();
                ready!(receive(&mut this.io, &this.vitals, cx, into))?;
                let received = into.filled().get(before..).unwrap_or_default();
                if received.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let answered = lane.answer(&mut this.io, &this.vitals, cx, received)?;
                this.unread = Bytes::copy_from_slice(received.get(answered.used..).unwrap_or_default());
                into.set_filled(before);
                answered.next
            } else {
                let answered = lane.answer(&mut this.io, &this.vitals, cx, &this.unread)?;
                this.unread.advance(answered.used);
                answered.next
            };
            match next {
                Next::Ours => {}
                Next::Hyper(length) => this.owed = length,
                Next::All => this.lane = None,
            }
        }
    }
}

fn receive<T: Transport>(
    io: &mut T,
    vitals: &Vitals,
    cx: &mut Context<'_>,
    into: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let room = into.remaining();
    let read = Pin::new(io).poll_read(cx, into);
    match &read {
        Poll::Ready(Ok(())) => vitals.received(room - into.remaining()),
        Poll::Pending => vitals.found_nothing_to_read(),
        Poll::Ready(Err(_)) => {}
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use crate::serve::fixture::Client;
    use crate::serve::{Handle, Handler, Resource, Server, TableBuilder};

    async fn connect() -> Client {
        let (mut table, body) = (TableBuilder::default(), Bytes::from_static(b"here"));
        table.resource("/a", Resource::new(&Digest::of(&body), http::HeaderMap::new(), body));
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let handler = Handler::new(Handle::new(table.build()));
        tokio::spawn(server.run(move |_| handler.clone(), std::future::pending()));
        Client::connect(address).await
    }

    /// RFC 9112 section 3, also of one whose path is short, and behind others.
    #[tokio::test]
    async fn a_target_that_is_too_long_is_told_from_fields_that_are() {
        for (before, target) in [(0, "/a?"), (1, "/a#"), (3, "/a?"), (0, "/"), (1, "http://a/?")] {
            let mut client = connect().await;
            let plain = "GET /a?y HTTP/1.1\r\nhost: a\r\n\r\n";
            let long = format!("GET {target}{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(50_000));
            client.send(format!("{}{long}{plain}", plain.repeat(before))).await;
            for _ in 0..before {
                assert_eq!(client.answer(false).await.body, b"here");
            }
            let answer = client.answer(false).await;
            assert_eq!((answer.status(), answer.header("connection")), ("414", Some("close")), "{target}");
            assert!(client.is_closed().await);
        }
        let mut client = connect().await;
        let long = format!("GET /a?{} HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000), "y".repeat(20_000));
        client.send(long).await;
        assert_eq!(client.answer(false).await.status(), "431");
    }

    #[tokio::test]
    async fn what_follows_an_upgrade_that_nobody_agrees_to_is_read_as_strictly() {
        let asking = "GET /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        let mut client = connect().await;
        client.send(format!("{asking}GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /a HTTP/1.1\nhost: a\n\n")).await;
        for status in ["200", "200", "400"] {
            assert_eq!(client.answer(false).await.status(), status);
        }
        assert!(client.is_closed().await);
    }
}

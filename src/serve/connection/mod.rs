//! One connection, from its first byte to its last: which protocol it speaks, and what it is told from outside.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tower::Service;

mod exchange;
mod frames;
pub(super) mod framing;
mod held;
mod http1;
mod http2;
mod lane;
mod registry;
mod sendfile;
mod transport;
mod vitals;

#[cfg(test)]
mod proof;

use exchange::BodyError;
use http1::{Resting, Served};
use transport::Transport;
use vitals::Vitals;

use super::connections::{Connections, Refusal};
use super::tls::Tls;
use super::unheard::Unheard;

pub use registry::{Place, Registry};
pub use vitals::{Order, Stage, interval};

/// How HTTP/2 begins (RFC 9113 section 3.4). No request of HTTP/1 begins with its first word.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of it that tell.
const TELLING: usize = 4;

/// How long to wait for more than a part of those, at first and at last. The system does not tell of more while there is something to
/// read.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(1);

/// What every connection of a server speaks.
#[derive(Debug)]
pub struct Protocols {
    http1: hyper::server::conn::http1::Builder,
    http2: hyper::server::conn::http2::Builder<http2::InPlace>,
    tls: Option<Tls>,
    connections: Arc<Connections>,
    sendfile: bool,
}

impl Protocols {
    /// Handshakes that fail are counted.
    pub fn new(tls: Option<Tls>, connections: Arc<Connections>, sendfile: bool) -> Self {
        Protocols { http1: http1::builder(), http2: http2::builder(), tls, connections, sendfile }
    }

    fn http1(&self) -> (&hyper::server::conn::http1::Builder, bool) {
        (&self.http1, self.sendfile)
    }

    /// Serves a connection until it ends.
    pub async fn serve<S, B>(self: Arc<Self>, stream: TcpStream, service: S, place: Place)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static> + Clone,
        S: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        match &self.tls {
            None => self.serve_plain(stream, service, &place.vitals).await,
            // Set apart, so that a connection without TLS does not take its room.
            Some(tls) => Box::pin(self.serve_tls(tls, stream, service, &place.vitals)).await,
        }
    }

    async fn serve_plain<S, B>(&self, stream: TcpStream, service: S, vitals: &Arc<Vitals>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static> + Clone,
        S: 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let mut resting = Resting { io: stream, unread: Bytes::new() };
        let mut wait = SHORT;
        loop {
            match begin(&resting, vitals).await {
                Begin::Nothing => return,
                Begin::Part => {
                    tokio::time::sleep(wait).await;
                    wait = LONG.min(wait * 2);
                }
                Begin::Http2 => return http2::serve(resting.io, service, vitals, &self.http2).await,
                Begin::Http1 => match http1::serve(resting, service.clone(), vitals, self.http1()).await {
                    Served::Rests(rests) => resting = rests,
                    Served::Over(unheard) => return tell(unheard, &service),
                    // Set apart, so that a connection that stays HTTP's does not take its room.
                    Served::Becomes(rests, other) => return Box::pin(http1::pass_on(rests, other, vitals)).await,
                },
            }
        }
    }

    async fn serve_tls<S, B>(&self, tls: &Tls, stream: TcpStream, service: S, vitals: &Arc<Vitals>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static> + Clone,
        S: 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let mut handshake = pin!(tls.accept(stream));
        let accepted = poll_fn(|cx| {
            vitals.attend(cx.waker());
            match vitals.order() {
                Some(Order::Cut) => Poll::Ready(None),
                _ => handshake.as_mut().poll(cx).map(Result::ok),
            }
        })
        .await;
        let Some(stream) = accepted else {
            self.connections.refuse(Refusal::Handshake);
            return;
        };
        if stream.get_ref().1.alpn_protocol() == Some(super::tls::HTTP_2) {
            return http2::serve(stream, service, vitals, &self.http2).await;
        }
        let mut resting = Resting { io: stream, unread: Bytes::new() };
        // What the handshake has brought along, rustls holds already.
        loop {
            match http1::serve(resting, service.clone(), vitals, self.http1()).await {
                Served::Rests(rests) => resting = rests,
                Served::Over(unheard) => return tell(unheard, &service),
                Served::Becomes(rests, other) => return Box::pin(http1::pass_on(rests, other, vitals)).await,
            }
            if !wakes(&resting, vitals).await {
                return;
            }
        }
    }
}

fn tell<S: 'static>(unheard: Option<Unheard>, service: &S) {
    if let Some(unheard) = unheard {
        unheard.tell(service);
    }
}

enum Begin {
    /// And nothing will come.
    Nothing,
    /// Too little to tell.
    Part,
    Http1,
    Http2,
}

/// Waits for the first bytes, and leaves them where they are.
async fn begin(resting: &Resting<TcpStream>, vitals: &Vitals) -> Begin {
    if !resting.unread.is_empty() {
        return Begin::Http1;
    }
    vitals.enter(Stage::Waiting);
    poll_fn(|cx| {
        unless_told(vitals, cx, |cx| {
            let mut bytes = [0; PREFACE.len()];
            let mut bytes = ReadBuf::new(&mut bytes);
            let peeked = ready!(resting.io.poll_peek(cx, &mut bytes));
            let begun = bytes.filled();
            Poll::Ready(match peeked {
                Err(_) | Ok(0) => Begin::Nothing,
                Ok(_) if vitals.requests() > 0 || !PREFACE.starts_with(begun) => Begin::Http1,
                Ok(count) if count < TELLING => Begin::Part,
                Ok(_) => Begin::Http2,
            })
        })
    })
    .await
    .unwrap_or(Begin::Nothing)
}

/// Waits until there is something to read, or the other end is gone.
async fn wakes<T: Transport>(resting: &Resting<T>, vitals: &Vitals) -> bool {
    if !resting.unread.is_empty() {
        return true;
    }
    vitals.enter(Stage::Waiting);
    poll_fn(|cx| unless_told(vitals, cx, |cx| resting.io.socket().poll_read_ready(cx)))
        .await
        .is_some_and(|ready| ready.is_ok())
}

/// Polls, and ends with nothing when the connection is told to end. What is there already comes before a friendly word.
fn unless_told<R>(
    vitals: &Vitals,
    cx: &mut Context<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Poll<Option<R>> {
    vitals.attend(cx.waker());
    vitals.take_rest();
    if vitals.order() == Some(Order::Cut) {
        return Poll::Ready(None);
    }
    match poll(cx) {
        Poll::Pending if vitals.order().is_some() => Poll::Ready(None),
        polled => polled.map(Some),
    }
}

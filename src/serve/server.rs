//! The server: accepts connections, speaks HTTP/1.1 and HTTP/2 (in the clear, by prior knowledge) on them, and stops without cutting
//! off a request.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};

use super::peer::Peer;
use crate::error::{Error, Result};

/// Bytes of a request's line and headers in HTTP/1.1; hyper answers 431 to more.
const LARGEST_HEAD: usize = 32 * 1024;

/// How long to leave accepting alone after it failed for want of something that others have to give back (EMFILE, ENOMEM).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens already, and is served from by [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// How long a server waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the whole head of a request, on an idle connection too.
    pub header_read: Duration,
    /// For requests under way when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { header_read: Duration::from_secs(30), grace: Duration::from_secs(10) }
    }
}

impl Server {
    /// Listens on `HOST:PORT`; port 0 takes a free one. From here on connections are taken in, and wait for [`Server::run`].
    pub async fn bind(address: &str) -> Result<Self> {
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Server { listener, address, limits: Limits::default() })
        };
        listen.await.map_err(|source| Error::Listen { address: address.to_owned(), source })
    }

    pub fn with_limits(self, limits: Limits) -> Self {
        Server { limits, ..self }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready; then lets go of the port, and waits for requests under way as long as [`Limits::grace`].
    pub async fn run<S, B>(self, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Server { listener, limits, .. } = self;
        let builder = builder(limits);
        let graceful = GracefulShutdown::new();
        // Dropped at the end, and with it every connection that is still open by then.
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, address) = tokio::select! {
                accepted = accept(&listener) => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut shutdown => break,
            };
            // So that the end of a response never waits for a delayed acknowledgement. Where it fails, responses are only slower.
            let _ = stream.set_nodelay(true);
            let spoken = Arc::new(AtomicBool::new(false));
            let heard = Arc::clone(&spoken);
            let service = service.clone().map_request(move |mut request: Request<Incoming>| {
                heard.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(Peer { address, is_tls: false });
                request
            });
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let connection = graceful.watch(connection.into_owned());
            connections.spawn(async move {
                let mut connection = pin!(connection);
                // hyper's own limit begins once it knows the version, so it doesn't hold for who sends nothing, or half of
                // HTTP/2's preface.
                tokio::select! {
                    _ = &mut connection => return,
                    () = tokio::time::sleep(limits.header_read) => {}
                }
                if spoken.load(Ordering::Relaxed) {
                    // A failed connection concerns its client alone.
                    let _ = connection.await;
                }
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(limits.grace, graceful.shutdown()).await;
    }
}

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_read).max_buf_size(LARGEST_HEAD);
    builder.http2().timer(TokioTimer::new());
    builder
}

/// The next connection. What fails is told by the client, or passes; the server goes on.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// accept(2): an error that the network has for the new connection already.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use crate::serve::fixture::{Client, PATIENCE};
    use crate::serve::{Handle, Handler, Resource, Table, TableBuilder};
    use http::HeaderMap;
    use http_body_util::Full;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use tower::Layer;

    fn table(body: &'static str) -> Table {
        let mut table = TableBuilder::default();
        let digest = Digest::of(body.as_bytes());
        table.resource("/", Resource::new(&digest, HeaderMap::new(), Bytes::from_static(body.as_bytes())));
        table.build()
    }

    fn handler() -> Handler {
        Handler::new(Handle::new(table("0123456789")))
    }

    /// A server that is running until it is stopped.
    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    impl Running {
        async fn stopped(self) {
            let _ = self.stop.send(());
            timeout(PATIENCE, self.server).await.expect("it stops in time").unwrap();
        }
    }

    async fn start<S, B>(service: S, limits: Limits) -> Running
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let server = Server::bind("127.0.0.1:0").await.unwrap().with_limits(limits);
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(service, async {
            let _ = stopped.await;
        }));
        Running { address, stop, server }
    }

    /// Answers after a while, or never.
    fn slow(
        wait: Duration,
    ) -> impl Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync {
        tower::service_fn(move |_| async move {
            tokio::time::sleep(wait).await;
            Ok(Response::new(Full::new(Bytes::from_static(b"slow"))))
        })
    }

    #[tokio::test]
    async fn one_connection_takes_many_requests() {
        let running = start(handler(), Limits::default()).await;
        let mut client = Client::connect(running.address).await;
        let first = client.ask("GET /", "").await;
        assert_eq!((first.status(), first.body.as_slice()), ("200", b"0123456789".as_slice()));
        assert!(first.header("date").is_some(), "RFC 9110 section 6.6.1 asks an origin server for it");
        let head = client.ask("HEAD /", "").await;
        assert_eq!((head.status(), head.header("content-length")), ("200", Some("10")));
        let etag = first.header("etag").unwrap().to_owned();
        let unchanged = client.ask("GET /", &format!("if-none-match: {etag}\r\n")).await;
        assert_eq!((unchanged.status(), unchanged.header("content-length")), ("304", None));
        let part = client.ask("GET /", "range: bytes=2-4\r\n").await;
        assert_eq!((part.status(), part.body.as_slice()), ("206", b"234".as_slice()));
        let posted = client.ask("POST /", "content-length: 3\r\n\r\nabc").await;
        assert_eq!(posted.status(), "405");
        running.stopped().await;
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let running = start(handler(), Limits::default()).await;
        let mut client = Client::connect(running.address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.answer(false).await.status(), "200");
        assert_eq!(client.answer(false).await.status(), "404");
        running.stopped().await;
    }

    /// The frames of RFC 9113 section 6, the fields as in RFC 7541 appendix A.
    #[tokio::test]
    async fn http_2_is_spoken_by_prior_knowledge() {
        let (data, headers, settings) = (0, 1, 4);
        const GET: &[u8] = &[0x82];
        const HEAD: &[u8] = b"\x42\x04HEAD";
        let running = start(handler(), Limits::default()).await;
        let mut client = Client::connect(running.address).await;
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send([0, 0, 0, settings, 0, 0, 0, 0, 0]).await;
        for (stream, method, want) in [(1, GET, b"0123456789".as_slice()), (3, HEAD, b"")] {
            let fields = [method, b"\x86\x84\x41\x09localhost"].concat();
            client.send([&[0, 0, fields.len() as u8, headers, 5, 0, 0, 0, stream], fields.as_slice()].concat()).await;
            let mut body = Vec::new();
            loop {
                let head = client.take(9).await;
                let payload = client.take(usize::from(head[1]) << 8 | usize::from(head[2])).await;
                if head[3] == data {
                    body.extend(payload);
                }
                let is_last = head[4] & 1 == 1;
                if head[8] == stream && is_last {
                    break;
                }
            }
            assert_eq!(body, want);
        }
        // Otherwise the server would ask whether it has seen that it is going away, and wait for an answer.
        drop(client);
        running.stopped().await;
    }

    #[tokio::test]
    async fn layers_can_wrap_the_handler() {
        let running = start(tower_http::cors::CorsLayer::permissive().layer(handler()), Limits::default()).await;
        let answer = Client::connect(running.address).await.ask("GET /", "origin: http://a.example\r\n").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        running.stopped().await;
    }

    #[tokio::test]
    async fn what_is_no_http_hurts_nobody_else() {
        let running = start(handler(), Limits::default()).await;
        let mut garbage = Client::connect(running.address).await;
        garbage.send("\x16\x03\x01 hello\r\n\r\n").await;
        assert_eq!(garbage.answer(false).await.status(), "400");
        let mut large = Client::connect(running.address).await;
        large.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(LARGEST_HEAD))).await;
        assert_eq!(large.answer(false).await.status(), "431");
        drop(Client::connect(running.address).await);
        assert_eq!(Client::connect(running.address).await.ask("GET /", "").await.status(), "200");
        running.stopped().await;
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_a_request_is_hung_up_on() {
        let limits = Limits { header_read: Duration::from_millis(100), ..Limits::default() };
        let running = start(handler(), limits).await;
        for start in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: a\r\n"] {
            let mut client = Client::connect(running.address).await;
            client.send(start).await;
            assert!(client.is_closed().await, "{start}");
        }
        let mut idle = Client::connect(running.address).await;
        assert_eq!(idle.ask("GET /", "").await.status(), "200");
        assert!(idle.is_closed().await, "idle after a request");
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_request_may_take_longer_than_its_head() {
        let limits = Limits { header_read: Duration::from_millis(50), ..Limits::default() };
        let running = start(slow(Duration::from_millis(300)), limits).await;
        assert_eq!(Client::connect(running.address).await.ask("GET /", "").await.body, b"slow");
        running.stopped().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_swap_loses_no_request_and_mixes_no_releases() {
        const BODIES: [&str; 2] = ["the old release", "the new one"];
        let tag = |body: &str| format!("\"{}\"", Digest::of(body.as_bytes()).fingerprint().as_str());
        let handle = Handle::new(table(BODIES[0]));
        let running = start(Handler::new(handle.clone()), Limits::default()).await;
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let mut client = Client::connect(running.address).await;
            clients.spawn(async move {
                for _ in 0..1000 {
                    let answer = client.ask("GET /", "").await;
                    let body = BODIES.into_iter().find(|body| body.as_bytes() == answer.body).expect("one of the two");
                    assert_eq!(answer.header("etag"), Some(tag(body).as_str()));
                }
            });
        }
        let mut round = 0;
        while !clients.is_empty() {
            round += 1;
            handle.swap(table(BODIES[round % 2]));
            tokio::select! {
                Some(done) = clients.join_next() => done.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        handle.swap(table("the last"));
        assert_eq!(Client::connect(running.address).await.ask("GET /", "").await.body, b"the last");
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_stop_finishes_requests_and_refuses_new_ones() {
        let running = start(slow(Duration::from_millis(400)), Limits::default()).await;
        let address = running.address;
        let mut idle = Client::connect(address).await;
        let mut busy = Client::connect(address).await;
        busy.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stopping = tokio::spawn(running.stopped());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is free already");
        assert!(!stopping.is_finished());
        assert!(idle.is_closed().await);
        assert_eq!(busy.answer(false).await.body, b"slow");
        assert!(busy.is_closed().await);
        stopping.await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_waits_no_longer_than_its_grace() {
        let limits = Limits { grace: Duration::from_millis(100), ..Limits::default() };
        let running = start(slow(PATIENCE * 10), limits).await;
        let mut busy = Client::connect(running.address).await;
        busy.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        running.stopped().await;
        assert!(busy.is_closed().await);
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = Server::bind("127.0.0.1:0").await.unwrap().local_addr();
        let first = Server::bind(&taken.to_string()).await.unwrap();
        let error = Server::bind(&first.local_addr().to_string()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("could not listen on `{taken}`"));
        assert!(Server::bind("nonsense").await.is_err());
    }
}

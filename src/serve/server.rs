//! The server: accepts connections, within limits, and stops without cutting off a request.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tower::Service;

use super::connection::{self, Order, Protocols, Registry, Stage};
use super::connections::{Connections, Refusal};
use super::limits::Limits;
use super::peer::Peer;
use super::slack::Slack;
use super::tls::Tls;
use super::{listen, system};
use crate::error::{Error, Result};

/// How long to leave accepting alone after it failed for want of something that others have to give back (EMFILE, ENOMEM).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections may take to end when they have been told to end now.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A socket that listens already, and is served from by [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    connections: Arc<Connections>,
    tls: Option<Tls>,
    sendfile: bool,
}

impl Server {
    /// Listens on `HOST:PORT`; port 0 takes a free one. From here on connections are taken in, and wait for [`Server::run`].
    pub async fn bind(address: &str) -> Result<Self> {
        let bound = listen::bind(address).await.and_then(Server::new);
        bound.map_err(|source| Error::Listen { address: address.to_owned(), source })
    }

    /// Takes over the socket that the system listens on for this process (systemd's socket activation), if it does.
    pub fn from_system() -> Result<Option<Self>> {
        let Some(listener) = system::handed_socket()? else { return Ok(None) };
        let server = TcpListener::from_std(listener).and_then(Server::new);
        server.map(Some).map_err(|source| Error::Listen { address: "LISTEN_FDS".to_owned(), source })
    }

    fn new(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Server {
            listener,
            address,
            limits: Limits::default(),
            connections: Arc::default(),
            tls: None,
            sendfile: true,
        })
    }

    pub fn with_limits(self, limits: Limits) -> Self {
        Server { limits, ..self }
    }

    /// Speaks TLS, and nothing else.
    pub fn with_tls(self, tls: Tls) -> Self {
        Server { tls: Some(tls), ..self }
    }

    /// Whether files may be sent by the system, which takes them from its cache when they go out. What overwrites one in place meanwhile,
    /// as no build does, is sent too.
    pub fn with_sendfile(self, sendfile: bool) -> Self {
        Server { sendfile, ..self }
    }

    /// Counts its connections there.
    pub fn counting(self, connections: Arc<Connections>) -> Self {
        Server { connections, ..self }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready; then lets go of the port, and waits for requests under way as long as [`Limits::grace`].
    ///
    /// `make` makes the service of a connection, given who is at its other end. Files in a [`Body`](super::Body) that no layer has wrapped are sent by the system
    /// itself on HTTP/1.1 without TLS.
    pub async fn run<S, B>(self, make: impl Fn(Peer) -> S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Server { listener, limits, connections, tls, sendfile, .. } = self;
        let is_tls = tls.is_some();
        let stage = if is_tls { Stage::Shaking } else { Stage::Waiting };
        let protocols = Arc::new(Protocols::new(tls, Arc::clone(&connections), sendfile));
        let open = AllOpen(Registry::default());
        let mut looks = interval(connection::interval(&limits));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = pin!(shutdown);
        let mut slack = Slack::default();
        loop {
            let (stream, address) = tokio::select! {
                accepted = accept(&listener, &connections) => accepted,
                _ = looks.tick() => {
                    slack.look(open.0.look(&limits));
                    continue;
                }
                () = &mut shutdown => break,
            };
            let place = match open.0.admit(address.ip(), stage, &limits) {
                Ok(place) => place,
                Err(refusal) => {
                    connections.refuse(refusal);
                    continue;
                }
            };
            // So that the end of a response never waits for a delayed acknowledgement. Where it fails, responses are only slower.
            let _ = stream.set_nodelay(true);
            let counted = connections.admit();
            let served = Arc::clone(&protocols).serve(stream, make(Peer { address, is_tls }), place);
            tokio::spawn(async move {
                served.await;
                drop(counted);
            });
        }
        drop(listener);
        open.0.tell_all(Order::Close);
        let emptied = async {
            let mut emptied = pin!(open.0.emptied());
            loop {
                tokio::select! {
                    () = &mut emptied => return,
                    _ = looks.tick() => {
                        open.0.look(&limits);
                    }
                }
            }
        };
        if timeout(limits.grace, emptied).await.is_err() {
            open.0.tell_all(Order::Cut);
            let _ = timeout(LAST_WORDS, open.0.emptied()).await;
        }
    }
}

/// The connections of a running server. They don't outlive it, however it ends.
struct AllOpen(Registry);

impl Drop for AllOpen {
    fn drop(&mut self) {
        self.0.tell_all(Order::Cut);
    }
}

/// The next connection. What fails is told by the client, or passes; the server goes on.
async fn accept(listener: &TcpListener, connections: &Connections) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => {
                connections.refuse(Refusal::System);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
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
    use crate::serve::limits::LARGEST_HEAD;
    use crate::serve::{Handle, Handler, Resource, Table, TableBuilder};
    use http::HeaderMap;
    use http_body_util::Full;
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, JoinSet};
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
        let server = tokio::spawn(server.run(move |_| service.clone(), async {
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

    /// What was received in the middle of a head is a part of it, whatever it looks like.
    #[tokio::test]
    async fn what_looks_like_a_request_is_none_within_another() {
        let running = start(handler(), Limits::default()).await;
        for cut in [" ", "", "\r\n "] {
            let mut client = Client::connect(running.address).await;
            client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /x HTTP/1.1\r\nhost: b\r\nx:{cut}")).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(client.answer(false).await.status(), "200");
            let second = client.answer(false).await;
            // A line that goes on on the next one is obsolete, and refused (RFC 9112 section 5.2); so are two hosts.
            assert!(matches!(second.status(), "400" | "404"), "{cut:?}: {}", second.status());
        }
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_body_is_never_taken_for_a_request() {
        let running = start(handler(), Limits::default()).await;
        let inner = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut client = Client::connect(running.address).await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nhost: a\r\n\r\nPUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
                inner.len()
            ))
            .await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.send(inner).await;
        assert_eq!(client.answer(false).await.status(), "200");
        assert_eq!(client.answer(false).await.status(), "405");
        client.send("GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 404"), "what came as a body was no request: {rest}");
        running.stopped().await;
    }

    #[tokio::test]
    async fn an_answer_from_memory_is_finished_when_the_server_stops() {
        let body = Bytes::from(vec![b'x'; 3_000_000]);
        let mut table = TableBuilder::default();
        table.resource("/", Resource::new(&Digest::of(&body), HeaderMap::new(), body.clone()));
        let running = start(Handler::new(Handle::new(table.build())), Limits::default()).await;
        let mut client = Client::over(with_small_buffer(running.address).await);
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /?x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stopping = tokio::spawn(running.stopped());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(client.answer(false).await.body == body);
        stopping.await.unwrap();
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
        let short = Duration::from_millis(200);
        let limits = Limits { header_read: short, idle: short, ..Limits::default() };
        let running = start(handler(), limits).await;
        for start in ["", "P", "GET / HTTP/1.1\r\nhost: a\r\n"] {
            let mut client = Client::connect(running.address).await;
            client.send(start).await;
            assert!(client.is_closed().await, "{start}");
        }
        let mut half_a_preface = Client::connect(running.address).await;
        half_a_preface.send("PRI * HT").await;
        let settings = half_a_preface.take(9).await;
        assert_eq!(settings[3], 4, "RFC 9113 section 3.4: a server's preface need not wait for the client's");
        let length = usize::from(settings[2]);
        half_a_preface.take(length).await;
        assert!(half_a_preface.is_closed().await);
        let mut in_parts = Client::connect(running.address).await;
        for part in ["P", "OS", "T / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            in_parts.send(part).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(in_parts.answer(false).await.status(), "405");
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

    /// A body of that many bytes.
    fn large(length: usize) -> Handler {
        let mut table = TableBuilder::default();
        let body: Bytes = (0..length).map(|at| (at / 7) as u8).collect();
        table.resource("/", Resource::new(&Digest::of(&body), HeaderMap::new(), body));
        Handler::new(Handle::new(table.build()))
    }

    #[tokio::test]
    async fn a_connection_at_rest_wakes_up() {
        let limits = Limits { idle: Duration::from_millis(800), ..Limits::default() };
        let running = start(handler(), limits).await;
        let mut client = Client::connect(running.address).await;
        for _ in 0..3 {
            assert_eq!(client.ask("GET /", "").await.body, b"0123456789");
            // Longer than it takes to come to rest, and less than it may be idle.
            tokio::time::sleep(Duration::from_millis(650)).await;
        }
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET").await;
        assert_eq!(client.answer(false).await.body, b"0123456789");
        tokio::time::sleep(Duration::from_millis(650)).await;
        client.send(" / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.answer(false).await.body, b"0123456789", "what came in part is not lost");
        assert!(client.is_closed().await);
        running.stopped().await;
    }

    /// Reads until the connection ends; says how many bytes came.
    async fn drain(stream: &mut tokio::net::TcpStream, bytes_at_a_time: usize, pause: Duration) -> usize {
        let mut buffer = vec![0; bytes_at_a_time];
        let mut total = 0;
        loop {
            match timeout(PATIENCE, tokio::io::AsyncReadExt::read(stream, &mut buffer)).await.expect("in time") {
                Ok(0) | Err(_) => return total,
                Ok(count) => total += count,
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn with_small_buffer(address: SocketAddr) -> tokio::net::TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(address).await.unwrap()
    }

    const LARGE: usize = 30_000_000;

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let limits = Limits { write: Duration::from_millis(300), ..Limits::default() };
        let running = start(large(LARGE), limits).await;
        let http1 = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
        let http2 = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            // The largest windows, so that it is the socket that is full.
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0],
            &[0, 0, 14, 1, 5, 0, 0, 0, 1],
            b"\x82\x86\x84\x41\x09localhost",
        ];
        for request in [http1, http2.concat()] {
            let mut stream = with_small_buffer(running.address).await;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1200)).await;
            let came = drain(&mut stream, 100_000, Duration::ZERO).await;
            assert!(came < LARGE, "{came} bytes");
        }
        running.stopped().await;
    }

    #[tokio::test]
    async fn who_takes_enough_is_not() {
        let limits = Limits { write: Duration::from_millis(200), write_rate: 1000, ..Limits::default() };
        let running = start(large(600_000), limits).await;
        let mut stream = with_small_buffer(running.address).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let came = drain(&mut stream, 10_000, Duration::from_millis(20)).await;
        assert!(came > 600_000, "{came} bytes");
        running.stopped().await;
    }

    #[tokio::test]
    async fn who_sends_a_body_reads_its_refusal() {
        let running = start(handler(), Limits::default()).await;
        for length in [10, 10_000, 900_000] {
            let mut client = Client::connect(running.address).await;
            let body = vec![b'x'; length];
            client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
            // By now it is answered, and a closed socket would be reset by what follows.
            tokio::time::sleep(Duration::from_millis(50)).await;
            client.send(&body).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(client.answer(false).await.status(), "405", "{length}");
        }
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_service_is_told_who_asks() {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let make = |peer: Peer| {
            tower::service_fn(move |_: Request<Incoming>| async move {
                Ok(Response::new(Full::new(Bytes::from(format!("{peer:?}")))))
            })
        };
        tokio::spawn(server.run(make, std::future::pending()));
        let mut client = Client::connect(address).await;
        let peer = Peer { address: client.local_addr(), is_tls: false };
        assert_eq!(client.ask("GET /", "").await.body, format!("{peer:?}").as_bytes());
    }

    /// A client of HTTP/2, and its connection, which runs by itself.
    async fn http2_client(
        address: SocketAddr,
    ) -> (hyper::client::conn::http2::SendRequest<http_body_util::Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
        use hyper_util::rt::{TokioExecutor, TokioIo};
        let stream = TokioIo::new(with_small_buffer(address).await);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    fn get() -> Request<http_body_util::Empty<Bytes>> {
        Request::get("http://localhost/").body(http_body_util::Empty::new()).unwrap()
    }

    async fn body(response: Response<Incoming>) -> Bytes {
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn http_2_loses_no_byte_however_slowly_it_is_taken() {
        const LENGTH: usize = 333_333;
        let expected: Bytes = (0..LENGTH).map(|at| (at / 7) as u8).collect();
        let running = start(large(LENGTH), Limits::default()).await;
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (sender, _) = http2_client(running.address).await;
            for _ in 0..50 {
                let (mut sender, expected) = (sender.clone(), expected.clone());
                clients.spawn(async move {
                    sender.ready().await.unwrap();
                    assert_eq!(body(sender.send_request(get()).await.unwrap()).await, expected);
                });
            }
        }
        while let Some(done) = timeout(PATIENCE, clients.join_next()).await.expect("in time") {
            done.unwrap();
        }
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_stop_finishes_what_http_2_has_begun() {
        let running = start(large(5_000_000), Limits::default()).await;
        let (mut sender, connection) = http2_client(running.address).await;
        let response = sender.send_request(get()).await.unwrap();
        let stopping = tokio::spawn(running.stopped());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!stopping.is_finished());
        assert_eq!(body(response).await.len(), 5_000_000);
        stopping.await.unwrap();
        let _ = timeout(PATIENCE, connection).await.expect("it is closed");
        assert!(sender.send_request(get()).await.is_err());
    }

    #[tokio::test]
    async fn an_idle_connection_of_http_2_is_closed_in_a_friendly_way() {
        let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
        let running = start(handler(), limits).await;
        let (mut sender, connection) = http2_client(running.address).await;
        assert_eq!(body(sender.send_request(get()).await.unwrap()).await, "0123456789");
        timeout(PATIENCE, connection).await.expect("it is closed").unwrap().expect("without an error");
        running.stopped().await;
    }

    #[tokio::test]
    async fn too_many_headers_are_refused() {
        let running = start(handler(), Limits::default()).await;
        let mut client = Client::connect(running.address).await;
        assert_eq!(client.ask("GET /", &"x: y\r\n".repeat(101)).await.status(), "431");
        assert!(client.is_closed().await);
        running.stopped().await;
    }

    #[tokio::test]
    async fn a_server_that_is_given_up_leaves_no_connection() {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let running = tokio::spawn(server.run(|_| handler(), std::future::pending()));
        let mut client = Client::connect(address).await;
        assert_eq!(client.ask("GET /", "").await.status(), "200");
        running.abort();
        assert!(client.is_closed().await);
    }
}

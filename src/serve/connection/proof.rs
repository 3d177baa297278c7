//! The proof that files are sent right: tens of thousands of requests at random, each answer compared with what memory would have given.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tower::Service;
use tower::util::MapRequest;

use crate::fingerprint::Digest;
use crate::serve::fixture::PATIENCE;
use crate::serve::stored::Verified;
use crate::serve::{Body, Content, Handle, Handler, Limits, Resource, Server, Stored, Table, TableBuilder, respond};

/// One that is below a packet, some around the size of a slot, and one of several.
const LENGTHS: [usize; 7] = [1, 700, 40_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000];

/// xorshift64*: the same requests each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

struct Proof {
    folder: tempfile::TempDir,
    bodies: Vec<Bytes>,
    /// As it should be answered.
    expected: Table,
}

impl Proof {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut dice = Dice(7);
        let bodies: Vec<Bytes> =
            LENGTHS.into_iter().map(|length| (0..length).map(|_| dice.roll(256) as u8).collect()).collect();
        let expected = table(&bodies, |_, bytes| bytes.clone().into());
        Proof { folder, bodies, expected }
    }

    /// The same, from files.
    fn table(&self) -> Table {
        self.table_of_files(|_| true)
    }

    /// The same, from files or from memory.
    fn table_of_files(&self, lies_in_file: fn(usize) -> bool) -> Table {
        table(&self.bodies, |number, bytes| {
            if !lies_in_file(number) {
                return bytes.clone().into();
            }
            let (folder, name) = (Arc::from(self.folder.path()), Arc::from(number.to_string()));
            std::fs::write(self.folder.path().join(&*name), bytes).unwrap();
            let (verified, file) = Verified::new(&folder, &name, None, bytes.len() as u64, Digest::of(bytes)).unwrap();
            Content::File(Arc::new(Stored::new(verified, file)).segment())
        })
    }

    /// A request, and what has to come back: status, some headers, body.
    async fn ask(&self, dice: &mut Dice) -> (String, Expected) {
        // The small ones mostly, or else all the time is spent on few.
        let number = if dice.roll(8) == 0 { dice.roll(LENGTHS.len()) } else { dice.roll(3) };
        let length = LENGTHS[number];
        let method = if dice.roll(6) == 0 { "HEAD" } else { "GET" };
        let mut headers = Vec::new();
        let mut range = || {
            let from = dice.roll(length);
            match dice.roll(3) {
                0 => format!("{from}-"),
                1 => format!("-{}", 1 + from),
                _ => format!("{from}-{}", from + dice.roll(200_000)),
            }
        };
        let ranges = format!("bytes={}", range());
        let several = format!("bytes={},{},{}", range(), range(), range());
        match dice.roll(6) {
            0 | 1 => headers.push(("range", ranges)),
            2 => headers.push(("range", several)),
            3 => headers.push(("if-none-match", "*".to_owned())),
            4 => headers.push(("range", format!("bytes={length}-"))),
            _ => {}
        }
        // What is asked for in this way is as usual as the rest, but not as plain.
        let query = if dice.roll(4) == 0 { "?x" } else { "" };
        let mut request = Request::builder().method(method).uri(format!("/{number}{query}")).header("host", "a");
        let mut text = format!("{method} /{number}{query} HTTP/1.1\r\nhost: a\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
            request = request.header(name, value);
        }
        let response = respond(&self.expected, &request.body(()).unwrap());
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (text + "\r\n", Expected { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

struct Expected {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

fn table(bodies: &[Bytes], content: impl Fn(usize, &Bytes) -> Content) -> Table {
    let mut table = TableBuilder::default();
    for (number, bytes) in bodies.iter().enumerate() {
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("image/png"))]);
        table.resource(format!("/{number}"), Resource::new(&Digest::of(bytes), headers, content(number, bytes)));
    }
    table.build()
}

async fn connect(address: SocketAddr, receive_buffer: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.connect(address).await.unwrap()
}

/// Reads an answer, in pieces if it is slow, and checks it. Reads `at_most` bytes of its body.
async fn check(stream: &mut TcpStream, expected: &Expected, slowly: bool, at_most: usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
        head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
    }
    let head = String::from_utf8(head).unwrap();
    assert_eq!(head[9..12], expected.status.to_string(), "{head}");
    for (name, value) in &expected.headers {
        let line = format!("{name}: {}", value.to_str().unwrap());
        assert!(head.lines().any(|other| other == line), "{line} is not in {head}");
    }
    let mut body = vec![0; expected.body.len().min(at_most)];
    let mut at = 0;
    while at < body.len() {
        let until = if slowly { body.len().min(at + 10_000) } else { body.len() };
        timeout(PATIENCE, stream.read_exact(&mut body[at..until])).await.expect("in time").unwrap();
        if slowly && at % 160_000 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        at = until;
    }
    assert!(body == expected.body[..body.len()], "wrong bytes after {head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_of_a_file_arrives_as_it_is() {
    let compared = compare(|_| true, 700, |handler| handler).await;
    assert!(compared > 20_000, "{compared} answers were compared");
}

/// A service that something is wrapped around is not passed by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_of_a_file_arrives_as_it_is_through_hyper() {
    let wrap = |handler| MapRequest::new(handler, (|request| request) as fn(Request<Incoming>) -> Request<Incoming>);
    let compared = compare(|_| true, 500, wrap).await;
    assert!(compared > 15_000, "{compared} answers were compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_from_memory_and_from_files_stand_in_order() {
    let compared = compare(|number| number % 2 == 1, 500, |handler| handler).await;
    assert!(compared > 15_000, "{compared} answers were compared");
}

/// Bodies are written from where they lie in memory, between frames that are copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_arrives_as_it_is_over_http_2() {
    let proof = Arc::new(Proof::new());
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr();
    let handler = Handler::new(Handle::new(proof.table_of_files(|number| number % 3 == 1)));
    tokio::spawn(server.run(move |_| handler.clone(), std::future::pending()));
    let clients = (0..6).map(|client| {
        let proof = Arc::clone(&proof);
        tokio::spawn(async move {
            let mut dice = Dice(client + 1);
            let stream = connect(address, (client % 3 == 0).then_some(4096)).await;
            let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            for _ in 0..if client % 3 == 0 { 10 } else { 60 } {
                let answers = (0..16).map(|_| {
                    let number = if dice.roll(8) == 0 { dice.roll(LENGTHS.len()) } else { dice.roll(3) };
                    let request = Request::get(format!("http://a/{number}")).version(Version::HTTP_2);
                    let from = dice.roll(LENGTHS[number]);
                    let request = match dice.roll(3) {
                        0 => request.header("range", format!("bytes={from}-")),
                        _ => request,
                    };
                    let request = request.body(Empty::<Bytes>::new()).unwrap();
                    let (expected, mut sender) = (respond(&proof.expected, &request), sender.clone());
                    async move {
                        // Some are given up when their head is there.
                        let leaves = number > 3 && from.is_multiple_of(3);
                        let answer = sender.send_request(request).await.unwrap();
                        assert_eq!(answer.status(), expected.status());
                        if leaves {
                            return;
                        }
                        let got = answer.into_body().collect().await.unwrap().to_bytes();
                        assert!(
                            got == expected.into_body().collect().await.unwrap().to_bytes(),
                            "wrong bytes of {number}"
                        );
                    }
                });
                timeout(PATIENCE, join_all(answers.collect::<Vec<_>>())).await.expect("they arrive");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// Asks at random, and says how many answers were compared.
async fn compare<S>(lies_in_file: fn(usize) -> bool, batches: usize, wrap: impl Fn(Handler) -> S) -> u64
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    const CLIENTS: u64 = 12;
    let proof = Arc::new(Proof::new());
    let server = Server::bind("127.0.0.1:0").await.unwrap().with_limits(Limits::default());
    let address = server.local_addr();
    let service = wrap(Handler::new(Handle::new(proof.table_of_files(lies_in_file))));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(server.run(move |_| service.clone(), async { drop(stopped.await) }));
    let compared = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (proof, compared) = (Arc::clone(&proof), Arc::clone(&compared));
            tokio::spawn(async move {
                let mut dice = Dice(client + 1);
                // Some with a buffer that is soon full, and of these some that take their time.
                let buffer = (client % 3 == 0).then_some(4096);
                let slowly = client % 6 == 0;
                let batches = if slowly { batches / 20 } else { batches };
                let mut stream = connect(address, buffer).await;
                for _ in 0..batches {
                    let mut batch = Vec::new();
                    for _ in 0..=dice.roll(6) {
                        batch.push(proof.ask(&mut dice).await);
                    }
                    let text: String = batch.iter().map(|(text, _)| text.as_str()).collect();
                    // Sometimes in pieces that have nothing to do with where a request ends.
                    let pieces = 1 + dice.roll(3).saturating_sub(1);
                    for piece in text.as_bytes().chunks(text.len().div_ceil(pieces)) {
                        stream.write_all(piece).await.unwrap();
                        if pieces > 1 {
                            sleep(Duration::from_micros(500)).await;
                        }
                    }
                    let leave_at = (dice.roll(10) == 0).then(|| dice.roll(batch.len()));
                    for (number, (_, expected)) in batch.iter().enumerate() {
                        let leaves = leave_at == Some(number);
                        let at_most = if leaves { dice.roll(expected.body.len() + 1) } else { usize::MAX };
                        check(&mut stream, expected, slowly, at_most).await;
                        compared.fetch_add(1, Ordering::Relaxed);
                        if leaves {
                            stream = connect(address, buffer).await;
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    stop.send(()).unwrap();
    timeout(PATIENCE, server).await.unwrap().unwrap();
    compared.load(Ordering::Relaxed)
}

/// A client that takes the first bytes of an answer, and its file, which something happens to meanwhile: what came, as far as the file
/// is long, and what should have. Answered by hyper, and past it.
async fn disturbed(disturb: impl Fn(&std::path::Path)) -> [(Vec<u8>, Bytes); 2] {
    let by_hyper = "GET /6 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let past_it = "GET /6 HTTP/1.1\r\nhost: a\r\n\r\nGET /0 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    [disturbed_at(by_hyper, &disturb).await, disturbed_at(past_it, &disturb).await]
}

async fn disturbed_at(requests: &str, disturb: impl Fn(&std::path::Path)) -> (Vec<u8>, Bytes) {
    let proof = Proof::new();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr();
    let handler = Handler::new(Handle::new(proof.table()));
    tokio::spawn(server.run(move |_| handler.clone(), std::future::pending()));
    let mut stream = connect(address, Some(4096)).await;
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1000];
    stream.read_exact(&mut answer).await.unwrap();
    disturb(&proof.folder.path().join("6"));
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut sent = answer.split_off(head);
    sent.truncate(LENGTHS[6]);
    (sent, proof.bodies[6].clone())
}

#[tokio::test]
async fn a_file_that_becomes_shorter_ends_the_connection() {
    let shorten = |path: &std::path::Path| {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3_400_000).unwrap();
    };
    for (sent, body) in disturbed(shorten).await {
        assert!(sent.len() < body.len(), "{} bytes", sent.len());
        assert!(body.starts_with(&sent));
    }
}

#[tokio::test]
async fn a_file_that_is_overwritten_ends_the_connection() {
    let overwrite = |path: &std::path::Path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 1000], LENGTHS[6] as u64 - 1000).unwrap();
    };
    for (sent, body) in disturbed(overwrite).await {
        assert!(sent.len() < body.len(), "{} bytes", sent.len());
        assert!(body.starts_with(&sent));
    }
}

/// As a build does it with files that have not changed: it shows, and is no change.
#[tokio::test]
async fn a_link_to_a_file_leaves_its_answer_whole() {
    let link = |path: &std::path::Path| std::fs::hard_link(path, path.with_extension("link")).unwrap();
    for (sent, body) in disturbed(link).await {
        assert!(sent == body, "{} bytes of {}", sent.len(), body.len());
    }
}

//! For tests: a built site, as a build would have left it in its output folder, and a client that speaks to a server byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::asset::LogicalPath;
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::Result;
use crate::fingerprint::Digest;
use crate::fs;
use crate::manifest::{self, Entry, File, Kind, Manifest, Mode, Variant};
use crate::release::ReleaseId;
use crate::serve::client::Proxies;
use crate::serve::log_line::Record;
use crate::serve::quick::{Quick, Seen};
use crate::serve::{Body, Handle, Handler, Peer, Table};

pub struct Site {
    folder: tempfile::TempDir,
    pub manifest: Manifest,
}

impl Site {
    pub fn new() -> Self {
        let mut manifest = Manifest::new(Mode::Production, "assets");
        manifest.release = ReleaseId::of(&Digest::of(b""));
        Site { folder: tempfile::tempdir().unwrap(), manifest }
    }

    pub fn asset(mut self, logical: &str, body: &str) -> Self {
        let file = format!("assets/{}", Digest::of(body.as_bytes()).fingerprint().name(logical));
        let entry = Entry::new(file.clone());
        self.manifest.entries.insert(LogicalPath::new(logical).unwrap(), entry);
        self.file(Kind::Asset, &file, body)
    }

    pub fn page(self, path: &str, body: &str) -> Self {
        self.file(Kind::Page, path, body)
    }

    pub fn public(self, path: &str, body: &str) -> Self {
        self.file(Kind::Public, path, body)
    }

    pub fn chunk(mut self, stable: &str, logical: &str) -> Self {
        let file = self.file_of(logical);
        self.manifest.chunks.insert(stable.to_owned(), file);
        self
    }

    pub fn header(mut self, path: &str, name: &str, value: &str) -> Self {
        let file = self.manifest.files.get_mut(path).unwrap();
        file.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, kind: Kind, path: &str, body: &str) -> Self {
        let write = |path: &str, bytes: &[u8]| fs::write(&self.out().join(path), bytes).unwrap();
        write(path, body.as_bytes());
        let packed = Encoding::ALL.into_iter().map(|e| (e, e.compress(body.as_bytes()).unwrap()));
        let smaller = packed.filter(|(_, bytes)| bytes.len() < body.len());
        let variants = smaller.map(|(encoding, bytes)| {
            write(&File::sidecar(path, encoding), &bytes);
            (encoding, Variant { length: bytes.len() as u64, digest: Digest::of(&bytes) })
        });
        let file = File { variants: variants.collect(), ..File::new(kind, path, body.as_bytes()) };
        self.manifest.files.insert(path.to_owned(), file);
        self
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("dist")
    }

    pub fn file_of(&self, logical: &str) -> String {
        self.manifest.resolve(logical).unwrap().to_owned()
    }

    pub fn write_manifest(&self) {
        fs::write(&self.out().join(manifest::PATH), self.manifest.to_json().as_bytes()).unwrap();
    }

    pub fn table(&self, environment: &Environment) -> Result<Table> {
        self.write_manifest();
        Table::load(&self.out(), environment)
    }
}

/// A connection. Nothing on it takes longer than [`PATIENCE`], or the test fails.
pub struct Client<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer in HTTP/1.1, its head in lower case.
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Client::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Client { stream, unread: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request with these lines after its first, and reads the answer.
    pub async fn ask(&mut self, line: &str, headers: &str) -> Answer {
        self.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")).await;
        self.answer(line.starts_with("HEAD")).await
    }

    pub async fn answer(&mut self, is_head: bool) -> Answer {
        let end = loop {
            match self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.read_more().await, "closed within a head: {:?}", self.unread),
            }
        };
        let head = String::from_utf8(self.take(end).await).unwrap().to_ascii_lowercase();
        let mut answer = Answer { head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").filter(|_| !is_head) {
            let length = length.parse().unwrap();
            answer.body = self.take(length).await;
        }
        answer
    }

    pub async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read_more().await, "closed {} bytes early", length - self.unread.len());
        }
        self.unread.drain(..length).collect()
    }

    /// All that comes until the server closes the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Whether anything comes before the connection is closed.
    pub async fn has_more(&mut self) -> bool {
        !self.unread.is_empty() || self.read_more().await
    }

    /// Whether the server closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.read_more().await
    }

    /// Whether there was more to read.
    async fn read_more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        // A reset is a close, too.
        read.expect("the server answers in time").unwrap_or(0) > 0
    }
}

/// What an access log is told of an answer.
pub fn record() -> Record {
    let request = Request::get("/css/a.css?x=1").header(HOST, "a.example").header(USER_AGENT, "curl/8");
    let peer = Peer { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5)), is_tls: true };
    Record {
        time: UNIX_EPOCH + Duration::from_millis(1_000_000_000_250),
        status: 200,
        kind: "asset",
        encoding: Some(HeaderValue::from_static("br")),
        bytes: 2326,
        took: Duration::from_micros(1500),
        release: Some("0123456789abcdef".to_owned()),
        ..Record::of(&request.body(()).unwrap(), Some(peer), &Proxies::default())
    }
}

pub fn quick(table: Table) -> Quick {
    Quick::of(&Handler::new(Handle::new(table)), true).unwrap()
}

/// What is answered past hyper, with whether it is: as a response, to be compared with what the table answers.
pub fn answered(table: Table, request: &Request<()>) -> Option<Response<Vec<u8>>> {
    let mut text = format!("{} {} HTTP/1.1\r\nhost: a\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != HOST) {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\nGET");
    let mut out = Vec::new();
    let Seen::Answered(answer) = quick(table).look(&text, &mut out) else { return None };
    assert_eq!(answer.request, text.len() - 3);
    out.extend_from_slice(&answer.body.read().unwrap());
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = str::from_utf8(&out[..end]).unwrap();
    let mut response = Response::builder().status(&head[9..12]);
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        response = response.header(name, value);
    }
    Some(response.body(out[end + 4..].to_vec()).unwrap())
}

/// Fails unless what is answered past hyper is what the table answers, as hyper would send it.
pub fn agree(ours: Response<Vec<u8>>, other: Response<Body>) {
    let (mut ours, body) = ours.into_parts();
    let date = ours.headers.remove("date").unwrap();
    assert!(httpdate::parse_http_date(date.to_str().unwrap()).unwrap().elapsed().unwrap() < PATIENCE);
    let (mut other, content) = other.into_parts();
    if other.status != StatusCode::NOT_MODIFIED {
        other.headers.insert(CONTENT_LENGTH, HeaderValue::from(content.remaining()));
    }
    let sorted = |headers: HeaderMap| {
        let mut all: Vec<(String, HeaderValue)> =
            headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!((ours.status, sorted(ours.headers)), (other.status, sorted(other.headers)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(body == runtime.block_on(content.collect()).unwrap().to_bytes());
}

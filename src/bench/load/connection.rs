//! A connection that asks over HTTP/1.1 and reads each answer to its end, with little work: it is not what is measured.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::Server;
use crate::fingerprint::Digest;

/// Room for a head, and for a piece of a body.
const BUFFER: usize = 64 << 10;

/// Fields of a head that are looked at.
const FIELDS: usize = 64;

#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
    filled: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer).await,
            Stream::Tls(stream) => stream.read(buffer).await,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// As received, with its head.
    pub bytes: u64,
    /// Whether more can be asked.
    pub keeps: bool,
}

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
    UntilClosed,
}

struct Head {
    length: usize,
    status: u16,
    body: Body,
    keeps: bool,
}

impl Connection {
    /// To a server that speaks plain HTTP.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Connection::to(&Server::plain(address)).await
    }

    pub async fn to(server: &Server) -> io::Result<Self> {
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let stream = match &server.tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let shaking = TlsConnector::from(tls.config.clone()).connect(tls.name.clone(), stream);
                Stream::Tls(Box::new(shaking.await?))
            }
        };
        Ok(Connection { stream, buffer: vec![0; BUFFER].into(), filled: 0 })
    }

    /// Of the other side's certificate: the SHA-256 of its public key (RFC 7469 section 2.4), in base64.
    pub fn key(&self) -> Option<String> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let certificate = stream.get_ref().1.peer_certificates()?.first()?;
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        Some(Digest::of(parsed.subject_public_key_info().as_ref()).base64())
    }

    /// Sends a request for a GET and waits until its answer is whole.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.send(request).await?;
        let head = loop {
            let head = self.head().await?;
            // What comes before the answer itself (RFC 9110 section 15.2).
            if head.status >= 200 {
                break head;
            }
        };
        let mut bytes = head.length as u64;
        bytes += match head.body {
            Body::Length(length) => self.skip(length).await?,
            Body::Chunked => self.chunks().await?,
            Body::UntilClosed => self.rest().await?,
        };
        Ok(Answer { status: head.status, bytes, keeps: head.keeps && head.body != Body::UntilClosed })
    }

    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(head) = parse(&self.buffer[..self.filled])? {
                self.consume(head.length);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            return Err(io::Error::other("a head without end"));
        }
        match self.stream.read(&mut self.buffer[self.filled..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }

    fn consume(&mut self, length: usize) {
        self.buffer.copy_within(length..self.filled, 0);
        self.filled -= length;
    }

    /// Reads so many bytes and forgets them.
    async fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        loop {
            let here = left.min(self.filled as u64) as usize;
            self.consume(here);
            left -= here as u64;
            if left == 0 {
                return Ok(length);
            }
            self.fill().await?;
        }
    }

    /// RFC 9112 section 7.1.
    async fn chunks(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.buffer[..self.filled]) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) => self.fill().await?,
                    Err(_) => return Err(io::Error::other("no size of a chunk")),
                }
            };
            self.consume(line);
            // Nobody that is measured here sends trailers, so the last chunk ends as the others do.
            bytes += line as u64 + self.skip(size + 2).await?;
            if size == 0 {
                return Ok(bytes);
            }
        }
    }

    async fn rest(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            bytes += self.filled as u64;
            self.filled = 0;
            match self.fill().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(bytes),
                Err(error) => return Err(error),
            }
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    let mut body = Body::UntilClosed;
    let mut keeps = response.version == Some(1);
    for field in response.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("content-length") && body != Body::Chunked {
            body = Body::Length(value.parse().map_err(io::Error::other)?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            body = Body::Chunked;
        } else if field.name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            keeps = false;
        }
    }
    if status < 200 || matches!(status, 204 | 304) {
        body = Body::Length(0);
    }
    Ok(Some(Head { length, status, body, keeps }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(text: &'static [u8]) -> io::Result<Vec<Answer>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A byte at a time: a head or a size may break anywhere.
            for byte in text.chunks(1) {
                stream.write_all(byte).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.unwrap();
            // What is still asked is heard, so that the connection is not reset.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let mut connection = Connection::open(address).await?;
        let first = connection.ask(b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut answers = vec![first];
        if first.keeps {
            answers.push(connection.ask(b"GET / HTTP/1.1\r\n\r\n").await?);
        }
        Ok(answers)
    }

    #[tokio::test]
    async fn answers_end_as_http_says() {
        let answer = |status, bytes, keeps| Answer { status, bytes, keeps };
        let texts: [(&[u8], Vec<Answer>); 3] = [
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
                vec![answer(200, 41, true), answer(304, 48, true)],
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
                vec![answer(200, 60, true), answer(503, 38, true)],
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nall the rest", vec![answer(200, 31, false)]),
        ];
        for (text, want) in texts {
            assert_eq!(answered(text).await.unwrap(), want, "{}", String::from_utf8_lossy(text));
        }
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        answered(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\nabc").await.unwrap_err();
        answered(b"nonsense\r\n\r\n").await.unwrap_err();
    }
}

//! A client that shows exactly what came over the wire.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Header names in lower case.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Response { status, headers, body }
    }

    /// The response that `bytes` begin with, and what follows it; `None` if it is not whole.
    pub fn parse<'a>(bytes: &'a [u8], method: &str) -> Option<(Response, &'a [u8])> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut response = Response { status, headers, body: Vec::new() };
        let rest = &bytes[end + 4..];
        // RFC 9112 section 6.3.
        let has_body = method != "HEAD" && status >= 200 && status != 204 && status != 304;
        let length = match response.header("content-length") {
            Some(length) if has_body => length.parse().ok()?,
            None if has_body => rest.len(),
            _ => 0,
        };
        response.body = rest.get(..length)?.to_vec();
        Some((response, &rest[length..]))
    }

    /// Each line, its name in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// All lines of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a header, which is a list, names this.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name).iter().flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A GET of an absolute path.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    request(address, "GET", path, headers)
}

pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let stream = connect(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    (&stream).write_all(format!("{head}\r\n").as_bytes()).expect("a request");
    read(BufReader::new(&stream), method)
}

/// A GET with a `Host` of its own, if it has any.
pub fn with_host(address: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let stream = connect(address);
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    (&stream)
        .write_all(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n").as_bytes())
        .expect("a request");
    read(BufReader::new(&stream), "GET")
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

fn read(mut reader: impl BufRead, method: &str) -> Response {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    let status = line().split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut headers = Vec::new();
    loop {
        let line = line();
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut response = Response { status, headers, body: Vec::new() };
    reader.read_to_end(&mut response.body).expect("a body");
    if method != "HEAD"
        && let Some(length) = response.header("content-length")
    {
        assert_eq!(length, response.body.len().to_string(), "the body is as long as its headers say");
    }
    response
}

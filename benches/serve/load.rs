//! Asks as fast as it is answered, from the other core, with programs that others wrote: wrk for HTTP/1.1, h2load for HTTP/2.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::peers::{CLIENT, Protocol, Running};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    pub path: String,
    pub fields: Vec<(&'static str, String)>,
}

/// An answer's head and the length of its body.
pub struct Answered {
    pub status: u16,
    head: String,
    pub length: usize,
}

impl Answered {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Asks once over HTTP/1.1, to see that the server does what it is measured at.
pub fn once(server: &Running, ask: &Ask) -> std::io::Result<Answered> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let fields: String = ask.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{fields}\r\n", ask.path)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Ok(Answered { status, head, length: bytes.len() - end })
}

/// Asks once over a connection that stays open.
pub fn ask_on(stream: &mut TcpStream, path: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // The answer is of 1,000 bytes, after its head.
    while bytes.windows(4).position(|four| four == b"\r\n\r\n").is_none_or(|at| bytes.len() < at + 1004) {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    Ok(())
}

pub const HTTP1_CONNECTIONS: usize = 64;
pub const HTTP2_CONNECTIONS: usize = 8;
pub const HTTP2_STREAMS: usize = 16;

/// Microseconds of the server's CPU for each answer.
pub fn run(server: &Running, protocol: Protocol, ask: &Ask, seconds: u64) -> Result<f64, String> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", CLIENT]);
    match protocol {
        Protocol::Http1 => {
            command.args([
                "wrk",
                "-t1",
                &format!("-c{HTTP1_CONNECTIONS}"),
                &format!("-d{seconds}s"),
                "--timeout",
                "10s",
            ]);
        }
        Protocol::Http2 => {
            command.args(["h2load", "-t1", &format!("-c{HTTP2_CONNECTIONS}"), &format!("-m{HTTP2_STREAMS}")]);
            command.args([&format!("-D{seconds}"), "--warm-up-time=0"]);
        }
    }
    for (name, value) in &ask.fields {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    command.arg(server.url(&ask.path));
    let before = server.cpu();
    let out = command.output().map_err(|error| format!("`taskset` (util-linux): {error}"))?;
    let cpu = server.cpu() - before;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let fail = |what: &str| format!("{what}: {text}{}", String::from_utf8_lossy(&out.stderr));
    if !out.status.success() {
        return Err(fail("needs wrk and h2load (`apt-get install wrk nghttp2-client`)"));
    }
    let requests = match protocol {
        Protocol::Http1 => {
            if text.contains("Non-2xx") || text.contains("Socket errors") {
                return Err(fail("not all was answered"));
            }
            number_before(&text, " requests in ")
        }
        Protocol::Http2 => {
            if !text.contains(" 0 failed, 0 errored, 0 timeout") {
                return Err(fail("not all was answered"));
            }
            number_before(&text, " succeeded")
        }
    };
    let requests = requests.filter(|count| *count > 0.0).ok_or_else(|| fail("no count"))?;
    Ok(cpu as f64 / 1000.0 / requests)
}

fn number_before(text: &str, mark: &str) -> Option<f64> {
    let before = &text[..text.find(mark)?];
    before.rsplit(|byte: char| !byte.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
}

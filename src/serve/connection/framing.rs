//! Where each request of HTTP/1 ends, as strictly as can be: what servers read in two ways is refused before hyper reads it in one.
//!
//! A proxy before us and an application behind us that disagree on where a request ends take the rest of one client's request for the
//! beginning of another's (RFC 9112 section 11.2). hyper lets some of that pass: it takes a bare line feed for the end of a line, and
//! prefers `Transfer-Encoding` where there is a `Content-Length` too. Here the byte that makes it so is made one that is in no head, so
//! that hyper answers 400 and ends the connection.

/// Bytes of a line that are kept, to see what it says.
const KEPT: usize = 256;

/// Follows the bytes of a connection.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    line: Line,
    lengths: Lengths,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests, where empty lines are nothing (RFC 9112 section 2.2).
    #[default]
    Between,
    Target,
    Fields,
    /// So many bytes of a body are yet to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk, with the end of its line.
    Chunk(u64),
    Trailers,
    /// Refused, or no request any more.
    Over,
}

/// The line that is being read.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    length: usize,
    ends: bool,
}

/// What a head says of its body.
#[derive(Debug, Default)]
struct Lengths {
    content: Option<u64>,
    is_chunked: bool,
    is_upgrade: bool,
}

/// A head that can be read in two ways.
struct Ambiguous;

impl Framing {
    /// Follows these bytes, and spoils the one by which a head becomes ambiguous.
    pub fn follow(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(byte) = bytes.get_mut(at) {
            match &mut self.state {
                State::Over => return,
                State::Body(left) | State::Chunk(left) => {
                    let skipped = (bytes.len() - at) as u64;
                    let skipped = skipped.min(*left);
                    *left -= skipped;
                    at += skipped as usize;
                    if *left == 0 {
                        self.state = match self.state {
                            State::Chunk(_) => State::ChunkSize,
                            _ => State::Between,
                        };
                    }
                    continue;
                }
                _ => {}
            }
            if self.push(*byte).is_err() {
                *byte = 0;
                self.state = State::Over;
                return;
            }
            at += 1;
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), Ambiguous> {
        match byte {
            b'\r' if !self.line.ends => self.line.ends = true,
            b'\n' if self.line.ends => {
                self.end_of_line()?;
                self.line.bytes.clear();
                (self.line.length, self.line.ends) = (0, false);
            }
            // A line feed by itself, or a carriage return within a line.
            b'\n' => return Err(Ambiguous),
            _ if self.line.ends => return Err(Ambiguous),
            // A line that goes on with the next (RFC 9112 section 5.2).
            b' ' | b'\t' if self.line.length == 0 && self.state == State::Fields => return Err(Ambiguous),
            byte => {
                if self.line.length < KEPT {
                    self.line.bytes.push(byte);
                }
                self.line.length += 1;
                if self.state == State::Between {
                    self.state = State::Target;
                }
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Ambiguous> {
        let line = &self.line;
        self.state = match self.state {
            State::Target => {
                self.lengths = Lengths::default();
                State::Fields
            }
            State::Fields if line.length > 0 => {
                self.lengths.read(line)?;
                State::Fields
            }
            State::Fields => match self.lengths {
                Lengths { is_upgrade: true, .. } => State::Over,
                Lengths { is_chunked: true, content: None, .. } => State::ChunkSize,
                Lengths { is_chunked: true, .. } => return Err(Ambiguous),
                Lengths { content: None | Some(0), .. } => State::Between,
                Lengths { content: Some(length), .. } => State::Body(length),
            },
            State::ChunkSize => match chunk_size(&line.bytes) {
                Some(0) => State::Trailers,
                Some(size) => State::Chunk(size.saturating_add(2)),
                // hyper says so.
                None => State::Over,
            },
            State::Trailers if line.length > 0 => State::Trailers,
            State::Trailers | State::Between => State::Between,
            state => state,
        };
        Ok(())
    }
}

impl Lengths {
    fn read(&mut self, line: &Line) -> Result<(), Ambiguous> {
        let Some(colon) = line.bytes.iter().position(|byte| *byte == b':') else { return Ok(()) };
        let (name, value) = line.bytes.split_at(colon);
        let is = |other: &str| name.trim_ascii().eq_ignore_ascii_case(other.as_bytes());
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let is_whole = line.length <= KEPT;
        if is("content-length") {
            let length = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = length.and_then(|text| text.parse().ok()).filter(|_| is_whole && self.content.is_none());
            self.content = Some(length.ok_or(Ambiguous)?);
        } else if is("transfer-encoding") {
            // What else a body is in, nobody here undoes.
            if self.is_chunked || !is_whole || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            self.is_chunked = true;
        } else if is("upgrade") {
            // What follows may be anything. Where the answer is no, hyper still reads it as a request.
            self.is_upgrade = true;
        }
        Ok(())
    }
}

/// RFC 9112 section 7.1, without extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    u64::from_str_radix(str::from_utf8(line.get(..digits)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the bytes pass unchanged, however they are cut into pieces; and where they don't, where.
    fn spoiled(text: &str) -> Option<usize> {
        let mut found = None;
        for size in [1, 2, 7, text.len().max(1)] {
            let mut bytes = text.as_bytes().to_vec();
            let mut framing = Framing::default();
            bytes.chunks_mut(size).for_each(|piece| framing.follow(piece));
            let at = bytes.iter().zip(text.as_bytes()).position(|(new, old)| new != old);
            assert!(size == 1 || at == found, "in pieces of {size}");
            found = at;
        }
        found
    }

    #[test]
    fn requests_in_a_row_pass() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\r\0POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding:\tChunked \r\n\r\n3;x=1\r\na\nb\r\n0A\r\n0123456\n89\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x01\n\x02",
            "GET / HTTP/1.1\r\nx: a\tb\r\nx:\r\n\r\n",
        ] {
            assert_eq!(spoiled(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_spoiled() {
        for text in [
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\r\nHost: a\n",
            "GET / HTTP/1.1\r\nHost: a\rx",
            "GET / HTTP/1.1\r\nHost: a\r\n ",
            "GET / HTTP/1.1\r\nHost: a\r\n\t",
            "GET / HTTP/1.1\r\n\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 4\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4, 4\r\n",
            "POST / HTTP/1.1\r\ncontent-length: +4\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 0x4\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n",
            "POST / HTTP/1.1\r\ncontent-length:\r\n",
            "POST / HTTP/1.1\r\ncontent-length : 4\r\ntransfer-encoding : chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n\n\nGET / HTTP/1.1\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nx: y\n",
        ] {
            assert_eq!(spoiled(text), Some(text.len() - 1), "{text:?}");
        }
        let padded = format!("POST / HTTP/1.1\r\ncontent-length:{}4\r\n", " ".repeat(KEPT));
        assert_eq!(spoiled(&padded), Some(padded.len() - 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut spoiled = bytes.clone();
            Framing::default().follow(&mut spoiled);
            prop_assert!(bytes.iter().zip(&spoiled).filter(|(a, b)| a != b).count() <= 1);
        }

        #[test]
        fn bodies_are_never_touched(body in prop::collection::vec(any::<u8>(), 1..100), cut in 1..50_usize) {
            let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            let chunked = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
            let all = [head.as_bytes(), &body, chunked.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            let (mut followed, mut framing) = (all.clone(), Framing::default());
            followed.chunks_mut(cut).for_each(|piece| framing.follow(piece));
            prop_assert_eq!(framing.state, State::Between);
            prop_assert!(followed == all);
        }
    }
}

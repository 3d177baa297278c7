//! Where each request of HTTP/1 ends, as strictly as can be: what servers read in two ways is refused before hyper reads it in one.
//!
//! A proxy before us and an application behind us that disagree on where a request ends take the rest of one client's request for the
//! beginning of another's (RFC 9112 section 11.2). hyper lets some of that pass: it takes a bare line feed for the end of a line, and
//! prefers `Transfer-Encoding` where there is a `Content-Length` too. Here the byte that makes it so is made one that is in no head, so
//! that hyper answers 400 and ends the connection.
//!
//! A target that is longer than any head may be ends the head where it may not go on, so that hyper hands the request on, and somebody can
//! say what is wrong with it: hyper would answer 431, and RFC 9112 section 3 asks for 414.

use crate::serve::limits::LARGEST_HEAD;

/// Bytes of a line that are kept, to see what it says.
const KEPT: usize = 256;

/// What a head ends with whose target is too long, in the place of what came. No request has less behind its target.
const END: &[u8] = b" HTTP/1.1\r\n\r\n";

/// Bytes of the longest method and target. There is room left for [`END`], and for some empty lines before.
const LONGEST_TARGET: usize = LARGEST_HEAD - 64;

/// Follows the bytes of a connection.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    line: Line,
    lengths: Lengths,
    /// Requests that have begun, as far as their target.
    requests: u64,
    /// The last of them has a target that is too long.
    is_too_long: bool,
    replaced: Replaced,
}

/// What was replaced by something else, in a row. It is put back where a connection has become something else than HTTP's.
#[derive(Debug, Default)]
struct Replaced {
    bytes: Vec<u8>,
    /// Bytes that came after it.
    followed: usize,
}

impl Replaced {
    fn put(&mut self, byte: &mut u8, other: u8) {
        self.bytes.push(*byte);
        *byte = other;
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests, where empty lines are nothing (RFC 9112 section 2.2).
    #[default]
    Between,
    Method,
    Target,
    Version,
    /// So many bytes of [`END`] stand where the target should go on.
    Cut(usize),
    Fields,
    /// So many bytes of a body are yet to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk, with the end of its line.
    Chunk(u64),
    Trailers,
    /// Refused: nothing that follows is a request.
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
}

/// A head that can be read in two ways.
struct Ambiguous;

impl Framing {
    /// Follows these bytes, and spoils the one by which a head becomes ambiguous.
    ///
    /// What comes after a request for an upgrade is followed as well: mostly nobody agrees to it. If somebody does, see
    /// [`Framing::restore`].
    pub fn follow(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(byte) = bytes.get_mut(at) {
            match &mut self.state {
                State::Over => {
                    self.replaced.followed += bytes.len() - at;
                    return;
                }
                State::Cut(given) => {
                    self.replaced.put(byte, END.get(*given).copied().unwrap_or_default());
                    *given += 1;
                    if *given == END.len() {
                        self.state = State::Over;
                    }
                    at += 1;
                    continue;
                }
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
            if self.goes_too_far(*byte) {
                self.requests += 1;
                self.is_too_long = true;
                self.state = State::Cut(0);
                continue;
            }
            if self.push(*byte).is_err() {
                self.replaced.put(byte, 0);
                self.state = State::Over;
            }
            at += 1;
        }
    }

    /// Puts back what was replaced, in the last bytes that were followed.
    pub fn restore(&self, last: &mut [u8]) {
        let Replaced { bytes, followed } = &self.replaced;
        let end = last.len().saturating_sub(*followed);
        let places = last.get_mut(..end).unwrap_or_default().iter_mut().rev();
        places.zip(bytes.iter().rev()).for_each(|(place, byte)| *place = *byte);
    }

    /// Which of the requests has a target that is too long, counted from 1. It is the last.
    pub fn too_long(&self) -> Option<u64> {
        self.is_too_long.then_some(self.requests)
    }

    /// Requests so far, as far as their target is there.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether no request has begun that is yet to end.
    pub fn is_between(&self) -> bool {
        self.state == State::Between && !self.line.ends
    }

    /// Whether a target goes on with this byte that is as long as it may be.
    fn goes_too_far(&self, byte: u8) -> bool {
        let may_go_on = self.state != State::Target || self.line.length < LONGEST_TARGET || self.line.ends;
        !may_go_on && !matches!(byte, b' ' | b'\r' | b'\n')
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
                self.state = match self.state {
                    State::Between => State::Method,
                    State::Method if byte == b' ' => State::Target,
                    State::Target if byte == b' ' => State::Version,
                    state => state,
                };
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Ambiguous> {
        let line = &self.line;
        self.state = match self.state {
            State::Method | State::Target | State::Version => {
                self.lengths = Lengths::default();
                self.requests += 1;
                State::Fields
            }
            State::Fields if line.length > 0 => {
                self.lengths.read(line)?;
                State::Fields
            }
            State::Fields => match self.lengths {
                Lengths { is_chunked: true, content: None, .. } => State::ChunkSize,
                Lengths { is_chunked: true, .. } => return Err(Ambiguous),
                Lengths { content: None | Some(0), .. } => State::Between,
                Lengths { content: Some(length), .. } => State::Body(length),
            },
            State::ChunkSize => match chunk_size(&line.bytes)? {
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
        }
        Ok(())
    }
}

/// RFC 9112 section 7.1, without extensions; none if it is none.
fn chunk_size(line: &[u8]) -> Result<Option<u64>, Ambiguous> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // Zeros, behind which there is what was not kept.
    if digits == KEPT {
        return Err(Ambiguous);
    }
    let digits = line.get(..digits).and_then(|digits| str::from_utf8(digits).ok());
    Ok(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()))
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
            "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nGET / HTTP/1.1\n",
        ] {
            assert_eq!(spoiled(text), Some(text.len() - 1), "{text:?}");
        }
        let padded = format!("POST / HTTP/1.1\r\ncontent-length:{}4\r\n", " ".repeat(KEPT));
        assert_eq!(spoiled(&padded), Some(padded.len() - 1));
        let zeros = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{}5\r\n", "0".repeat(KEPT));
        assert_eq!(spoiled(&zeros), Some(zeros.len() - 1));
    }

    /// What becomes of the bytes, given in pieces of a size.
    fn followed(text: &[u8], size: usize) -> (Vec<u8>, Framing) {
        let (mut bytes, mut framing) = (text.to_vec(), Framing::default());
        bytes.chunks_mut(size).for_each(|piece| framing.follow(piece));
        (bytes, framing)
    }

    #[test]
    fn what_was_no_request_after_all_is_put_back() {
        let head = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let long = format!("A B{}", "\x01".repeat(LARGEST_HEAD));
        for follows in ["\x01\n\x02\n\x03", "\n", &long] {
            let all = format!("{head}{follows}");
            for size in [1, 3, all.len()] {
                let (bytes, framing) = followed(all.as_bytes(), size);
                assert!(bytes.starts_with(head.as_bytes()) && bytes != all.as_bytes());
                // As far as hyper has left it.
                let mut last = bytes[head.len()..].to_vec();
                framing.restore(&mut last);
                assert!(last == follows.as_bytes(), "{follows:.9?} in pieces of {size}");
            }
        }
        let (mut bytes, framing) = followed(b"GET / HTTP/1.1\n12345", 4);
        let mut last = bytes.split_off(16);
        framing.restore(&mut last);
        assert_eq!(last, b"2345", "it is hyper's already");
    }

    #[test]
    fn a_target_that_is_too_long_ends_where_it_may_not_go_on() {
        let first = "GET / HTTP/1.1\r\n\r\n";
        let longest = format!("GET /{}", "x".repeat(LONGEST_TARGET - "GET /".len()));
        let rest = " HTTP/1.1\r\nhost: a\r\n\r\n";
        for size in [1, 7, 4096, usize::MAX] {
            let all = format!("{first}{longest}{rest}{first}");
            let (bytes, framing) = followed(all.as_bytes(), size);
            assert!(bytes == all.as_bytes() && framing.too_long().is_none() && framing.is_between());
            for more in ["x", "?xxxxxxxxxxxxxxxxxxxxxxxxx"] {
                let all = format!("{first}{longest}{more}{rest}{first}");
                let (mut bytes, framing) = followed(all.as_bytes(), size);
                assert_eq!((framing.too_long(), framing.state), (Some(2), State::Over));
                assert!(bytes.starts_with(&[first.as_bytes(), longest.as_bytes(), END].concat()));
                framing.restore(&mut bytes);
                assert!(bytes == all.as_bytes());
            }
        }
        // A method is no target, and a version neither.
        for line in ["x".repeat(LARGEST_HEAD), format!("GET / {}", "x".repeat(LARGEST_HEAD))] {
            assert_eq!(spoiled(&line), None);
        }
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

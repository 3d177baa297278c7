//! The frames of HTTP/2 as they are written. h2 refuses requests by itself and tells nobody; here it shows.

use http::StatusCode;

/// Bytes of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// Types of frames, RFC 9113 section 6.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// Error codes, RFC 9113 section 7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;

/// Follows what a server writes, frame by frame.
#[derive(Debug, Default)]
pub struct Frames {
    /// What is known of the frame that has begun: its head, and of one that says why it ends something what it says.
    begun: [u8; HEAD + 8],
    known: usize,
    /// Bytes that follow of which nothing has to be known.
    rest: usize,
    /// Heads of answers.
    heads: u64,
    /// The stream that got the last of them.
    last: u32,
    refused: Vec<StatusCode>,
}

impl Frames {
    /// So many answers were given to be written, and these bytes are written next.
    pub fn see(&mut self, mut bytes: &[u8], answers: u64) {
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            // Most heads come as a whole, and tell all there is to know.
            if self.known == 0
                && let Some((head, rest)) = bytes.split_first_chunk::<HEAD>()
                && !matches!(head[3], RST_STREAM | GOAWAY)
            {
                let [a, b, c, kind, _, stream @ ..] = *head;
                if kind == HEADERS {
                    self.answer(u32::from_be_bytes(stream), answers);
                }
                self.rest = length([a, b, c]);
                bytes = rest;
                continue;
            }
            let wanted = self.wanted();
            let missing = self.begun.get_mut(self.known..wanted).unwrap_or_default();
            let count = missing.len().min(bytes.len());
            for (byte, seen) in missing.iter_mut().zip(bytes) {
                *byte = *seen;
            }
            self.known += count;
            bytes = bytes.get(count..).unwrap_or_default();
            if self.known >= self.wanted() {
                self.judge(answers);
                self.rest = (HEAD + self.length()).saturating_sub(self.known);
                self.known = 0;
            }
        }
    }

    /// Whether no frame has begun that is yet to end.
    pub fn is_between(&self) -> bool {
        self.known == 0 && self.rest == 0
    }

    /// All that was answered so far is written, or never will be.
    pub fn settle(&mut self, answers: u64) {
        self.heads = answers;
    }

    /// What was refused since it was last asked.
    pub fn take_refused(&mut self) -> Vec<StatusCode> {
        std::mem::take(&mut self.refused)
    }

    fn length(&self) -> usize {
        let [a, b, c, ..] = self.begun;
        length([a, b, c])
    }

    /// Bytes of the frame that have to be known.
    fn wanted(&self) -> usize {
        let of_payload = match self.begun[3] {
            _ if self.known < HEAD => 0,
            RST_STREAM => 4,
            GOAWAY => 8,
            _ => 0,
        };
        HEAD + self.length().min(of_payload)
    }

    /// The head of an answer.
    fn answer(&mut self, stream: u32, answers: u64) {
        self.heads += 1;
        self.last = stream;
        if self.heads > answers {
            // Nobody has answered but h2. It does so for one reason: the fields are too large.
            self.heads = answers;
            self.refused.push(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
    }

    fn judge(&mut self, answers: u64) {
        let number = |at: usize| {
            let bytes = self.begun.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            u32::from_be_bytes(bytes.unwrap_or_default())
        };
        let stream = number(5);
        match self.begun[3] {
            HEADERS => self.answer(stream, answers),
            // Malformed (RFC 9113 section 8.1.1). After an answer it ends what is left of the stream.
            RST_STREAM if number(HEAD) == PROTOCOL_ERROR && stream != self.last => {
                self.refused.push(StatusCode::BAD_REQUEST);
            }
            GOAWAY if number(HEAD + 4) != NO_ERROR => self.refused.push(StatusCode::BAD_REQUEST),
            _ => {}
        }
    }
}

fn length([a, b, c]: [u8; 3]) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, 4, 0, 0, 0, stream], payload].concat()
    }

    /// What is refused, when two requests were answered, however the bytes are cut.
    fn refused(bytes: &[u8]) -> Vec<u16> {
        let mut seen = Vec::new();
        for step in [1, 2, 7, 9, 10, 1000] {
            let mut frames = Frames::default();
            bytes.chunks(step).for_each(|bytes| frames.see(bytes, 2));
            assert!(frames.is_between());
            seen.push(frames.take_refused().iter().map(StatusCode::as_u16).collect::<Vec<_>>());
        }
        assert!(seen.iter().all(|other| *other == seen[0]), "{seen:?}");
        seen.remove(0)
    }

    #[test]
    fn answers_and_their_ends_are_no_refusals() {
        let all = [
            frame(4, 0, &[0; 12]),
            frame(HEADERS, 1, b"\x88\x01\x07"),
            frame(0, 1, &[RST_STREAM; 40]),
            frame(HEADERS, 3, b""),
            frame(RST_STREAM, 3, &[0, 0, 0, 1]),
            frame(RST_STREAM, 5, &[0, 0, 0, 7]),
            frame(GOAWAY, 0, &[0; 8]),
            frame(GOAWAY, 0, b"\0\0\0\x05\0\0\0\0why"),
        ];
        assert_eq!(refused(&all.concat()), [0u16; 0]);
    }

    #[test]
    fn what_h2_answers_or_ends_by_itself_is_a_refusal() {
        let all = [
            frame(HEADERS, 1, b"\x88"),
            frame(HEADERS, 3, b"\x88"),
            frame(HEADERS, 5, b"\x48\x83\x69\x90"),
            frame(RST_STREAM, 5, &[0, 0, 0, 1]),
            frame(RST_STREAM, 7, &[0, 0, 0, 1]),
            frame(HEADERS, 9, b"\xbe"),
            frame(GOAWAY, 0, b"\0\0\0\x09\0\0\0\x0bwhy"),
        ];
        assert_eq!(refused(&all.concat()), [431, 400, 431, 400]);
    }

    #[test]
    fn an_answer_that_is_never_written_hides_no_refusal_for_long() {
        let mut frames = Frames::default();
        frames.settle(1);
        frames.see(&frame(HEADERS, 3, b"\xbe"), 1);
        assert_eq!(frames.take_refused(), [StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE]);
    }
}

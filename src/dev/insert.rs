//! Puts the script that hears of changes into an application's pages, as they pass.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, VIA};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

use crate::serve::Body;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of a page in which its head has to begin. Until then they are held.
const HELD: usize = 16 << 10;

/// What is sent of an answer from an application, or from the table before it. Only a page that says where its head is gets the script:
/// a fragment must not have it.
pub fn pass(response: Response<Body>, head: &str) -> Response<UnsyncBoxBody<Bytes, Failure>> {
    if !is_page(response.headers()) {
        return response.map(|body| body.map_err(Into::into).boxed_unsync());
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let passing = Passing { body: Box::pin(body), page: Insertion::new(head), ready: VecDeque::new() };
    Response::from_parts(parts, BodyExt::boxed_unsync(StreamBody::new(stream::unfold(passing, Passing::next))))
}

/// An application's page, as it can be changed: all that comes from one has passed a proxy (RFC 9110 section 7.6.3).
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    // What is written is ASCII, which is a part of any other charset: https://encoding.spec.whatwg.org/.
    kind.starts_with("text/html")
        && !kind.contains("utf-16")
        && headers.contains_key(VIA)
        && headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == HeaderValue::from_static("identity"))
}

struct Passing {
    body: Pin<Box<Body>>,
    page: Insertion,
    /// What goes out next.
    ready: VecDeque<Frame<Bytes>>,
}

impl Passing {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Failure>, Self)> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some((Ok(frame), self));
            }
            match self.body.frame().await.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => self.push(|page| page.write(bytes)),
                Some(Ok(Err(trailers))) => {
                    self.push(Insertion::end);
                    self.ready.push_back(trailers);
                }
                Some(Err(error)) => return Some((Err(error.into()), self)),
                None => {
                    self.push(Insertion::end);
                    if self.ready.is_empty() {
                        return None;
                    }
                }
            }
        }
    }

    fn push(&mut self, make: impl FnOnce(&mut Insertion) -> Bytes) {
        let bytes = make(&mut self.page);
        if !bytes.is_empty() {
            self.ready.push_back(Frame::data(bytes));
        }
    }
}

/// Holds a page until it is known where its head begins.
struct Insertion {
    /// What is put there; none once that is done, or can't be.
    text: Option<String>,
    held: Vec<u8>,
}

impl Insertion {
    fn new(text: &str) -> Self {
        Insertion { text: Some(text.to_owned()), held: Vec::new() }
    }

    fn write(&mut self, bytes: Bytes) -> Bytes {
        let Some(text) = &self.text else { return bytes };
        self.held.extend_from_slice(&bytes);
        match head(&self.held) {
            Head::After(at) => {
                let rest = self.held.split_off(at);
                self.held.extend_from_slice(text.as_bytes());
                self.held.extend(rest);
                self.end()
            }
            Head::Unknown if self.held.len() < HELD => Bytes::new(),
            Head::Unknown | Head::Missing => self.end(),
        }
    }

    /// What is left.
    fn end(&mut self) -> Bytes {
        self.text = None;
        std::mem::take(&mut self.held).into()
    }
}

enum Head {
    /// Its tag ends there.
    After(usize),
    Unknown,
    /// The body has begun.
    Missing,
}

fn head(page: &[u8]) -> Head {
    for at in memchr::memchr_iter(b'<', page) {
        let is_tag = |name: &[u8]| {
            let tag = page.get(at + 1..at + 1 + name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
            tag && page
                .get(at + 1 + name.len())
                .is_some_and(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
        };
        if is_tag(b"head") {
            return tag_end(page, at).map_or(Head::Unknown, Head::After);
        }
        if is_tag(b"body") {
            return Head::Missing;
        }
    }
    Head::Unknown
}

/// Past the `>` that ends the tag which begins there; one in quotes does not.
fn tag_end(page: &[u8], start: usize) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in page.iter().enumerate().skip(start) {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a page, in pieces of every size.
    fn passed(page: &str) -> String {
        let all: Vec<String> = (1..=page.len())
            .map(|size| {
                let mut insertion = Insertion::new("<X>");
                let mut out = Vec::new();
                for piece in page.as_bytes().chunks(size) {
                    out.extend(insertion.write(Bytes::copy_from_slice(piece)));
                }
                out.extend(insertion.end());
                String::from_utf8(out).unwrap()
            })
            .collect();
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn the_script_comes_first_in_the_head() {
        for (page, want) in [
            ("<!doctype html><html><head><title>t</title>", "<!doctype html><html><head><X><title>t</title>"),
            ("<HEAD lang='a>b'\n>x", "<HEAD lang='a>b'\n><X>x"),
            ("<header>x</header>", "<header>x</header>"),
            ("<li>a</li>", "<li>a</li>"),
            ("<body><pre>&lt;<head>", "<body><pre>&lt;<head>"),
            ("<head", "<head"),
        ] {
            assert_eq!(passed(page), want);
        }
    }

    #[test]
    fn a_page_without_a_head_is_not_held_for_ever() {
        let mut insertion = Insertion::new("<X>");
        let piece = Bytes::from(vec![b'a'; HELD - 1]);
        assert!(insertion.write(piece.clone()).is_empty());
        assert_eq!(insertion.write(piece.clone()).len(), 2 * piece.len());
        assert_eq!(insertion.write(Bytes::from_static(b"<head>")), "<head>");
    }
}

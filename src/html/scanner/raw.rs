//! The text of elements that hold nothing else, up to their end tag (<https://html.spec.whatwg.org/#rawtext-state> and what follows).

use memchr::{memchr, memchr2};

use super::markup::Tail;
use super::outline::ends_name;
use crate::html::places::{Key, RAW, RAW_KEYS};

#[derive(Debug)]
pub struct Raw {
    /// Of the element.
    name: &'static str,
    /// Of a script.
    escape: Escape,
    tail: Tail,
}

/// A script may hold a comment, and that a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Once,
    Twice,
}

/// How far a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Here begins its end tag.
    End(usize),
    /// What follows may be the beginning of one, if there is more.
    Cut(usize),
}

/// Whether something begins with a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    Yes,
    No,
    /// As far as it has come.
    Perhaps,
}

impl Raw {
    /// That of the element with this name, if it is one of them.
    pub fn of(key: Key) -> Option<Self> {
        let name = RAW.get(RAW_KEYS.position(key)?)?;
        Some(Raw { name, escape: Escape::None, tail: Tail::default() })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its text may be edited.
    pub fn is_edited(&self) -> bool {
        matches!(self.name, "noscript" | "script" | "style")
    }

    pub fn end(&mut self, bytes: &[u8], from: usize) -> Until {
        if self.name == "plaintext" {
            return Until::Cut(bytes.len());
        }
        let rest = bytes.get(from..).unwrap_or_default();
        match self.find(rest) {
            Until::End(at) => Until::End(from + at),
            Until::Cut(at) => {
                self.tail.push(rest.get(..at).unwrap_or_default());
                Until::Cut(from + at)
            }
        }
    }

    fn find(&mut self, text: &[u8]) -> Until {
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let found = match self.escape {
                Escape::None => memchr(b'<', rest),
                // Only the end of a comment is of interest beside tags.
                Escape::Once | Escape::Twice => memchr2(b'<', b'>', rest),
            };
            let Some(found) = found else { return Until::Cut(text.len()) };
            let here = at + found;
            at = here + 1;
            if text.get(here) == Some(&b'>') {
                let is_dash = |steps| self.tail.before(text, here, steps) == u16::from(b'-');
                if is_dash(1) && is_dash(2) {
                    self.escape = Escape::None;
                }
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            if self.escape != Escape::Twice {
                match is_end(rest, self.name) {
                    Begins::Yes => return Until::End(here),
                    Begins::Perhaps => return Until::Cut(here),
                    Begins::No => {}
                }
            }
            if self.name == "script" {
                match self.turn(rest) {
                    (Begins::Perhaps, _) => return Until::Cut(here),
                    (_, length) => at += length,
                }
            }
        }
    }

    /// What of a script's text begins or ends with a `<`, before what is left; and its length.
    fn turn(&mut self, rest: &[u8]) -> (Begins, usize) {
        let (begins, length, next) = match self.escape {
            Escape::None => (begins(rest, "!--", |_| true), 3, Escape::Once),
            Escape::Once => (begins(rest, "script", ends_name), 7, Escape::Twice),
            Escape::Twice => (begins(rest, "/script", ends_name), 8, Escape::Once),
        };
        match begins {
            Begins::Yes => {
                self.escape = next;
                (begins, length)
            }
            Begins::No | Begins::Perhaps => (begins, 0),
        }
    }
}

/// Whether what stands after a `<` is the end tag of an element.
fn is_end(rest: &[u8], name: &str) -> Begins {
    match rest.split_first() {
        None => Begins::Perhaps,
        Some((b'/', rest)) => begins(rest, name, ends_name),
        Some(_) => Begins::No,
    }
}

/// `word` is in lower case; `follows` tells of the byte after it.
fn begins(rest: &[u8], word: &str, follows: fn(u8) -> bool) -> Begins {
    let length = word.len().min(rest.len());
    let is_equal = rest.iter().zip(word.as_bytes()).all(|(byte, own)| byte.to_ascii_lowercase() == *own);
    match (is_equal, rest.get(length)) {
        (false, _) => Begins::No,
        (true, None) if length == word.len() && follows(b'x') => Begins::Yes,
        (true, None) => Begins::Perhaps,
        (true, Some(next)) if follows(*next) => Begins::Yes,
        (true, Some(_)) => Begins::No,
    }
}

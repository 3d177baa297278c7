//! A page that is edited while it comes, piece by piece.

use bytes::Bytes;

use super::Editor;
use super::parser::Parser;
use super::scanner::{Charset, Scanner};
use super::walk::Walk;

/// Bytes of a page that are held at most, as of a tag that does not end.
pub const MEMORY: usize = 8 << 20;

/// A page on its way through an editor, which inserts nothing in its head. What can not be parsed passes as it is.
pub struct Stream(Reader);

enum Reader {
    Scanner(Box<Scanner<'static>>),
    /// For what a scanner can't read.
    Parser(Box<Parser>),
    /// Too much would have to be held.
    Nobody,
}

impl Stream {
    /// `charset` is what the page's media type says, or else its `<meta>` may. None if it is an encoding in which a tag is not what it is
    /// in ASCII, or none that browsers know (<https://encoding.spec.whatwg.org/#names-and-labels>).
    pub fn new(charset: Option<&str>, editor: Box<dyn Editor>) -> Option<Self> {
        let charset = Charset::of(charset)?;
        let walk = Walk::new(editor);
        Some(Stream(match charset.is_plain() {
            true => Reader::Scanner(Box::new(Scanner::new(charset, walk))),
            false => Reader::Parser(Box::new(Parser::new(charset.encoding, charset.adjusts, walk)?)),
        }))
    }

    /// As [`Stream::new`], but read by the parser alone, which takes many times as long: what comes out is to be the same.
    pub fn parsed(charset: Option<&str>, editor: Box<dyn Editor>) -> Option<Self> {
        let Charset { encoding, adjusts } = Charset::of(charset)?;
        Some(Stream(Reader::Parser(Box::new(Parser::new(encoding, adjusts, Walk::new(editor))?))))
    }

    /// What can be passed on once these bytes have come.
    pub fn write(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.0 {
            Reader::Scanner(scanner) => {
                let (passed, declined) = scanner.write(bytes);
                match declined {
                    Some(rest) => [passed, self.go_on(&rest)].concat().into(),
                    None if scanner.holds() > MEMORY => {
                        let held = scanner.give_up();
                        self.0 = Reader::Nobody;
                        [passed, held].concat().into()
                    }
                    None => passed,
                }
            }
            Reader::Parser(parser) => parser.write(&bytes).into(),
            Reader::Nobody => bytes,
        }
    }

    /// What is left when nothing more comes.
    pub fn end(&mut self) -> Bytes {
        match &mut self.0 {
            Reader::Scanner(scanner) => scanner.end(),
            Reader::Parser(parser) => parser.end().into(),
            Reader::Nobody => Bytes::new(),
        }
    }

    /// Reads on where the scanner can't.
    fn go_on(&mut self, bytes: &Bytes) -> Bytes {
        let Reader::Scanner(scanner) = std::mem::replace(&mut self.0, Reader::Nobody) else { return bytes.clone() };
        let (walk, charset, before) = scanner.into_parts();
        let Some(mut parser) = Parser::new(charset.encoding, charset.adjusts, walk) else { return bytes.clone() };
        parser.prepare(&before);
        let passed = parser.write(bytes);
        self.0 = Reader::Parser(Box::new(parser));
        passed.into()
    }
}

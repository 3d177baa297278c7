//! What is neither tag nor text: comments, what is taken for one, and CDATA sections. It may end in a later piece than it begins in.

use memchr::memchr_iter;

/// The last bytes before a piece.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail([u16; 3]);

impl Tail {
    /// The byte that stands so many before the one at `at` in `bytes`: one to three.
    pub fn before(self, bytes: &[u8], at: usize, steps: usize) -> u16 {
        match at.checked_sub(steps) {
            Some(at) => bytes.get(at).copied().unwrap_or_default().into(),
            None => self.0.get(at + 3 - steps).copied().unwrap_or_default(),
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default() {
            self.0 = [self.0[1], self.0[2], u16::from(*byte)];
        }
    }
}

#[derive(Debug)]
pub enum Markup {
    Comment(Tail),
    Cdata(Tail),
    /// What ends at the next `>`: a doctype, `<?…>`, `</ …>` and the like.
    Bogus,
}

/// What begins with `<!`.
#[derive(Debug)]
pub enum Declared {
    /// It has not come as far yet.
    Unknown,
    /// This, so many bytes later.
    Begins(Markup, usize),
}

const DASH: u16 = b'-' as u16;
/// Of a comment's beginning. They may be those of `-->`, but not those of `--!>`.
const FIRST_DASH: u16 = 0x100;

impl Markup {
    /// `rest` is what stands after `<!`; CDATA sections are only where elements are foreign.
    pub fn declared(rest: &[u8], is_foreign: bool) -> Declared {
        const CDATA: &[u8] = b"[CDATA[";
        if rest.starts_with(b"--") {
            return Declared::Begins(Markup::Comment(Tail([0, FIRST_DASH, FIRST_DASH])), 2);
        }
        if is_foreign && rest.starts_with(CDATA) {
            return Declared::Begins(Markup::Cdata(Tail::default()), CDATA.len());
        }
        if b"--".starts_with(rest) || (is_foreign && CDATA.starts_with(rest)) {
            return Declared::Unknown;
        }
        Declared::Begins(Markup::Bogus, 0)
    }

    /// Where it ends, if that is in these bytes from `from` on.
    pub fn end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..).unwrap_or_default();
        let mut ends = memchr_iter(b'>', rest);
        let end = match self {
            Markup::Bogus => ends.next(),
            Markup::Comment(tail) => {
                let is_dash = |byte| byte == DASH || byte == FIRST_DASH;
                let before = |at, steps| tail.before(rest, at, steps);
                // https://html.spec.whatwg.org/#comment-end-bang-state
                let is_end = |at: &usize| {
                    (is_dash(before(*at, 1)) && is_dash(before(*at, 2)))
                        || (before(*at, 1) == u16::from(b'!') && before(*at, 2) == DASH && before(*at, 3) == DASH)
                };
                ends.find(is_end)
            }
            Markup::Cdata(tail) => {
                let is_bracket = |at, steps| tail.before(rest, at, steps) == u16::from(b']');
                ends.find(|at| is_bracket(*at, 1) && is_bracket(*at, 2))
            }
        };
        if let (None, Markup::Comment(tail) | Markup::Cdata(tail)) = (end, self) {
            tail.push(rest);
        }
        end.map(|end| from + end + 1)
    }
}

//! A part of a page, such as what stands in `<noscript>`.

use bytes::Bytes;

use super::{Charset, Elements, Scanner};
use crate::html::walk::Walk;
use crate::html::{Editor, Link, Place, parser};

/// A part of a page that is at hand as a whole, every element of which is looked at; none if nothing becomes of it.
pub fn edit_part(html: &str, editor: &mut dyn Editor) -> Option<String> {
    let piece = Bytes::copy_from_slice(html.as_bytes());
    // There is no way back once the editor was asked.
    let (_, declined) = part(Box::new(Nobody)).write(piece.clone());
    if declined.is_some() {
        return parser::edit(html, editor).ok();
    }
    let mut scanner = part(Box::new(editor));
    let (written, _) = scanner.write(piece);
    String::from_utf8([written, scanner.end()].concat()).ok()
}

fn part(editor: Box<dyn Editor + '_>) -> Scanner<'_> {
    Scanner::of(Charset::UTF_8, Walk::new(editor), Elements::All)
}

/// Edits nothing.
struct Nobody;

impl Editor for Nobody {
    fn url(&mut self, _: Place, _: &str) -> Option<Link> {
        None
    }

    fn reads_script(&self, _: &str) -> bool {
        false
    }
}

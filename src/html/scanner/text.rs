//! The text of a script, a stylesheet or a `<noscript>`, which becomes another one as a whole or stays as it is.

use super::{Edit, Place, Scanner};
use crate::html::parser::LONGEST_TEXT;

impl<'e> Scanner<'e> {
    /// Some of a text that may be edited has come, and more will.
    pub(super) fn hold_text(&mut self, bytes: &[u8], from: usize, to: usize) {
        let more = bytes.get(from..to).unwrap_or_default();
        if self.text.len() + more.len() > LONGEST_TEXT {
            if let Place::Text(_, edit) = &mut self.place {
                *edit = None;
            }
            self.out.append(&mut self.text);
            return;
        }
        self.copy(bytes, from);
        self.text.extend_from_slice(more);
        self.copied = to;
    }

    /// A text that may be edited ends at `to`.
    pub(super) fn edit_text(&mut self, bytes: &[u8], from: usize, to: usize, edit: Edit<'e>) {
        let last = bytes.get(from..to).unwrap_or_default();
        let is_whole = self.text.is_empty();
        let mut held = std::mem::take(&mut self.text);
        let text = match is_whole {
            true => last,
            false => {
                held.extend_from_slice(last);
                &held
            }
        };
        let decoded = Some(self.charset.text(text)).filter(|text| !text.is_empty() && text.len() <= LONGEST_TEXT);
        // Written again, what could not be read would not be what it was.
        let readable = decoded.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER));
        let new = readable.and_then(|text| edit(&mut self.walk, &text));
        if is_whole && new.is_none() {
            return;
        }
        self.copy(bytes, from);
        match new {
            Some(new) => self.out.extend_from_slice(&self.charset.bytes(&new)),
            None => self.out.extend_from_slice(&held),
        }
        self.copied = to;
    }
}

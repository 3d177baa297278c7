//! What URLs of assets have become: an application's pages name the same ones again and again.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxBuildHasher;

type Known = HashMap<Arc<str>, Arc<str>, FxBuildHasher>;

/// URLs that are held at most. A file has two or three, and those of a page are a small part of a large site.
const MOST: usize = 8192;

/// For all pages. Who reads it waits for nobody.
#[derive(Debug, Default)]
pub struct Memo(ArcSwap<Known>);

impl Memo {
    pub fn open(self: &Arc<Self>) -> Notes {
        Notes { memo: Arc::clone(self), known: self.0.load_full(), new: Vec::new() }
    }

    fn learn(&self, new: &[(Arc<str>, Arc<str>)]) {
        self.0.rcu(|known| {
            let mut known = Known::clone(known);
            let room = MOST.saturating_sub(known.len());
            known.extend(new.iter().take(room).cloned());
            known
        });
    }
}

/// For a page.
#[derive(Debug)]
pub struct Notes {
    memo: Arc<Memo>,
    known: Arc<Known>,
    new: Vec<(Arc<str>, Arc<str>)>,
}

impl Notes {
    pub fn get(&self, url: &str) -> Option<&str> {
        self.known.get(url).map(|new| &**new)
    }

    /// Only what can't be written in many ways is noted, for nobody to fill the memo with.
    pub fn note(&mut self, url: &str, new: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~');
        let is_one = url.bytes().all(is_plain) && !url.contains("//") && !url.contains("/.");
        if is_one && self.known.len() < MOST && self.new.len() < MOST {
            self.new.push((url.into(), new.into()));
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if !self.new.is_empty() {
            self.memo.learn(&self.new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_has_found_the_next_one_knows() {
        let memo = Arc::<Memo>::default();
        let mut notes = memo.open();
        for url in ["/static/a.css", "/static/a.css?v", "/static/./a.css", "/static//a.css", "/static/%61.css"] {
            notes.note(url, "/assets/a-1.css");
        }
        assert_eq!(notes.get("/static/a.css"), None);
        drop(notes);
        let notes = memo.open();
        assert_eq!(notes.get("/static/a.css"), Some("/assets/a-1.css"));
        assert_eq!(notes.known.len(), 1);
    }

    #[test]
    fn it_is_bounded() {
        let memo = Arc::<Memo>::default();
        for page in 0..3 {
            let mut notes = memo.open();
            (0..MOST / 2 + 1).for_each(|index| notes.note(&format!("/static/{page}-{index}"), "x"));
        }
        assert_eq!(memo.0.load().len(), MOST);
    }
}

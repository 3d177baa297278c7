//! The browsers' tabs that are open on the site, and how each is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::update::{Page, Update};

/// Every open tab. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tabs {
    open: Arc<Mutex<Vec<Tab>>>,
    next: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Tab {
    id: u64,
    page: Page,
    /// The build that it is of.
    build: u64,
    sender: UnboundedSender<Bytes>,
}

/// A tab's end of the line. The tab is open as long as this is.
#[derive(Debug)]
pub struct Subscription {
    pub receiver: UnboundedReceiver<Bytes>,
    id: u64,
    tabs: Tabs,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tabs.lock().retain(|tab| tab.id != self.id);
    }
}

impl Tabs {
    /// A tab opens a line; `first` is what it is told at once.
    pub fn open(&self, page: Page, build: u64, first: &Update) -> Subscription {
        let (sender, receiver) = unbounded_channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let _ = sender.send(event(first));
        self.lock().push(Tab { id, page, build, sender });
        Subscription { receiver, id, tabs: self.clone() }
    }

    /// Tells each tab what it has to do, given its page and the build that it is of. Gives how many had anything to do.
    pub fn tell(&self, build: u64, mut update: impl FnMut(&Page, u64) -> Update) -> usize {
        let mut told = 0;
        for tab in self.lock().iter_mut() {
            let update = update(&tab.page, tab.build);
            // What failed changes no page.
            if !matches!(update, Update::Errors { .. }) {
                tab.build = build;
            }
            told += usize::from(!matches!(update, Update::Fine { .. }));
            // Who has gone is removed by its end of the line.
            let _ = tab.sender.send(event(&update));
        }
        told
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Tab>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As <https://html.spec.whatwg.org/#event-stream-interpretation> has it. JSON has no line breaks of its own.
fn event(update: &Update) -> Bytes {
    format!("data: {}\n\n", serde_json::to_string(update).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Update {
        Update::Fine { build: "1".to_owned() }
    }

    #[test]
    fn a_tab_is_told_until_it_closes() {
        let tabs = Tabs::default();
        let mut one = tabs.open(Page::Own("/".to_owned()), 1, &fine());
        let two = tabs.open(Page::Foreign, 1, &fine());
        assert_eq!(tabs.count(), 2);
        let reload = |page: &Page, since| match page {
            Page::Own(_) => Update::Reload { build: "2".to_owned(), because: format!("since {since}") },
            Page::Foreign => fine(),
        };
        assert_eq!(tabs.tell(2, reload), 1);
        drop(two);
        assert_eq!((tabs.count(), tabs.tell(3, reload)), (1, 1));
        let mut heard = String::new();
        while let Ok(bytes) = one.receiver.try_recv() {
            heard += str::from_utf8(&bytes).unwrap();
        }
        let events: Vec<&str> = heard.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 3);
        assert!(events[1].contains("since 1") && events[2].contains("since 2"), "{events:?}");
    }
}

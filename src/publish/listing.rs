//! The listing of a store that gives it in parts: one after the other, or several at once where it is known about what there is.

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::pace;
use super::store::{Entries, Page, Start, Store};
use crate::error::Result;

/// Keys in a part, everywhere: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const PART: usize = 1000;

/// All objects, part by part.
pub async fn all<S: Store>(store: &S) -> Result<Entries> {
    let Page { mut entries, mut next } = store.page(Start::First).await?;
    while let Some(mark) = next {
        let page = store.page(Start::Mark(&mark)).await?;
        entries.extend(page.entries);
        next = page.next;
    }
    Ok(entries)
}

/// All objects, by spans that would each be one part if there were just the expected keys, which are in order.
pub async fn near<S: Store>(store: &S, expected: &[&str]) -> Result<Entries> {
    let whole = expected.chunks(PART).filter(|chunk| chunk.len() == PART);
    let bounds: Vec<&str> = whole.filter_map(|chunk| chunk.last().copied()).collect();
    let mut left = 0..=bounds.len();
    let (mut under_way, mut entries) = (FuturesUnordered::new(), Entries::new());
    loop {
        while under_way.len() < pace::MOST
            && let Some(next) = left.next()
        {
            let after = next.checked_sub(1).and_then(|before| bounds.get(before).copied());
            under_way.push(span(store, after, bounds.get(next).copied()));
        }
        match under_way.next().await {
            Some(Ok(Some(span))) => entries.extend(span),
            // It begins where it likes, or wants to begin at the beginning (directory buckets of AWS have no order).
            Some(_) => return all(store).await,
            None => return Ok(entries),
        }
    }
}

/// What follows on a key, at least up to another; nothing if the store does not go by the order of keys.
async fn span<S: Store>(store: &S, after: Option<&str>, until: Option<&str>) -> Result<Option<Entries>> {
    let Page { mut entries, mut next } = store.page(after.map_or(Start::First, Start::After)).await?;
    if entries.keys().next().zip(after).is_some_and(|(first, after)| first.as_str() <= after) {
        return Ok(None);
    }
    while let Some(mark) = next
        && entries.keys().next_back().zip(until).is_none_or(|(last, until)| last.as_str() < until)
    {
        let page = store.page(Start::Mark(&mark)).await?;
        entries.extend(page.entries);
        next = page.next;
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;

    use super::super::store::{Body, Condition, Entry, Put, Stored};
    use super::*;
    use crate::error::{Error, Outlook};
    use crate::release::Object;

    /// What a store makes of a key to begin after.
    #[derive(Clone, Copy)]
    enum After {
        Begins,
        Ignores,
        Refuses,
    }

    /// A store of so many keys that gives as many of them as a bucket would.
    struct Long {
        keys: Vec<String>,
        after: After,
        asked: AtomicUsize,
    }

    impl Long {
        fn new(keys: std::ops::Range<usize>, after: After) -> Self {
            Long { keys: keys.map(key).collect(), after, asked: AtomicUsize::new(0) }
        }

        /// Whether all of it is found with such expectations, and with how many requests.
        async fn found(&self, expected: std::ops::Range<usize>) -> usize {
            self.asked.store(0, Ordering::Relaxed);
            let expected: Vec<String> = expected.map(key).collect();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            let found = near(self, &expected).await.unwrap();
            assert!(found.into_keys().eq(self.keys.iter().cloned()));
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn key(number: usize) -> String {
        format!("assets/{number:05}.js")
    }

    impl Store for Long {
        fn is_website(&self) -> bool {
            false
        }

        fn place(&self, key: &str) -> String {
            key.to_owned()
        }

        async fn entries(&self) -> Result<Entries> {
            all(self).await
        }

        async fn page(&self, from: Start<'_>) -> Result<Page> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let begin = match (from, self.after) {
                (Start::First, _) | (Start::After(_), After::Ignores) => 0,
                (Start::After(key), After::Begins) | (Start::Mark(key), _) => {
                    self.keys.partition_point(|other| other.as_str() <= key)
                }
                (Start::After(_), After::Refuses) => {
                    return Err(Error::Store {
                        action: "list",
                        place: "a".to_owned(),
                        help: String::new(),
                        outlook: Outlook::Lasting,
                        source: "NotImplemented".into(),
                    });
                }
            };
            let part = self.keys.iter().skip(begin).take(PART);
            let entry = Entry { length: 1, modified: SystemTime::UNIX_EPOCH };
            let entries: BTreeMap<String, Entry> = part.map(|key| (key.clone(), entry)).collect();
            let next = entries.keys().next_back().filter(|last| Some(*last) != self.keys.last()).cloned();
            Ok(Page { entries, next })
        }

        async fn get(&self, _: &str) -> Result<Option<Stored>> {
            Ok(None)
        }

        fn kept_headers(&self) -> &'static [&'static str] {
            &[]
        }

        async fn download(&self, _: &str, _: &Path) -> Result<bool> {
            Ok(false)
        }

        async fn put(&self, _: &str, _: &Body, _: &Object, _: &Condition) -> Result<Put> {
            Ok(Put::Unsupported)
        }

        async fn delete(&self, _: &str) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn all_is_found_whatever_was_expected() {
        let store = Long::new(0..3500, After::Begins);
        assert_eq!(store.found(0..3500).await, 4, "as one after the other");
        for expected in [0..0, 0..999, 0..1000, 0..10_000, 2000..3500, 5000..9000] {
            store.found(expected).await;
        }
        assert_eq!(Long::new(0..0, After::Begins).found(0..3500).await, 4);
        assert_eq!(Long::new(0..1, After::Begins).found(0..10).await, 1);
    }

    #[tokio::test]
    async fn a_store_that_can_not_begin_in_the_middle_is_listed_from_the_start() {
        for after in [After::Ignores, After::Refuses] {
            for keys in [0..10, 0..2500] {
                Long::new(keys, after).found(0..2500).await;
            }
        }
    }
}

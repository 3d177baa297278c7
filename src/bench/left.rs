//! What a run has put into a bucket of the user's, and takes away at its end, whatever that is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::client;
use crate::error::{Error, Result};
use crate::progress::{Progress, Silent};
use crate::publish::store::{Body, Condition, Entries, Page, Put, Seen, Start, Stored};
use crate::publish::{Patient, S3, Store};
use crate::release::Object;

/// Objects that are deleted at once.
const CONCURRENCY: usize = 8;

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bucket with a list of what was written to it through this.
pub struct Noted {
    store: Patient<'static, S3>,
    written: Mutex<BTreeSet<String>>,
}

impl Noted {
    pub fn new(store: S3) -> Self {
        Noted { store: Patient::new(store, &Silent), written: Mutex::default() }
    }

    /// Deletes what was written, and nothing else.
    async fn clear(&self) -> Result<()> {
        let written = lock(&self.written).clone();
        self.delete_written().await?;
        // What was on its way when the run was stopped may have arrived after that.
        let late: Vec<String> = self.store.entries().await?.into_keys().filter(|key| written.contains(key)).collect();
        lock(&self.written).extend(late);
        self.delete_written().await
    }

    async fn delete_written(&self) -> Result<()> {
        let keys: Vec<String> = lock(&self.written).iter().cloned().collect();
        let deleting = stream::iter(keys).map(|key| async move {
            self.store.delete(&key).await?;
            lock(&self.written).remove(&key);
            Ok::<_, Error>(())
        });
        deleting.buffer_unordered(CONCURRENCY).try_collect().await
    }
}

/// All of a run's. Clones are the same.
#[derive(Clone, Default)]
pub struct Left(Arc<Mutex<Vec<Arc<Noted>>>>);

impl Left {
    /// From here on, what is written to it is deleted at the end.
    pub fn add(&self, store: Arc<Noted>) {
        lock(&self.0).push(store);
    }

    /// Deletes it, and tells what could not be.
    pub async fn clear(&self, progress: &dyn Progress) -> Vec<String> {
        let stores = lock(&self.0).clone();
        if stores.is_empty() {
            return Vec::new();
        }
        progress.stage("clear", stores.len());
        let mut told = Vec::new();
        for store in &stores {
            let why = match tokio::time::timeout(PATIENCE, store.clear()).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => client::reason(&error),
                Err(_) => format!("it takes longer than {} seconds", PATIENCE.as_secs()),
            };
            told.extend(remains(store, &why));
        }
        told
    }

    /// What lies there still, and why.
    pub fn told(&self, why: &str) -> Vec<String> {
        lock(&self.0).iter().filter_map(|store| remains(store, why)).collect()
    }
}

fn remains(store: &Noted, why: &str) -> Option<String> {
    let count = lock(&store.written).len();
    let place = store.place("");
    (count > 0).then(|| format!("{count} objects of the bench are left below `{place}/`, which can be deleted: {why}"))
}

/// What is locked is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for Noted {
    fn is_website(&self) -> bool {
        self.store.is_website()
    }

    fn place(&self, key: &str) -> String {
        self.store.place(key)
    }

    async fn admit(&self) -> Result<()> {
        self.store.admit().await
    }

    async fn preflight(&self) -> Result<()> {
        self.store.preflight().await
    }

    async fn entries(&self) -> Result<Entries> {
        self.store.entries().await
    }

    async fn entries_near(&self, expected: &[&str]) -> Result<Entries> {
        self.store.entries_near(expected).await
    }

    async fn page(&self, from: Start<'_>) -> Result<Page> {
        self.store.page(from).await
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.store.get(key).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
        self.store.inspect(key).await
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        self.store.kept_headers()
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool> {
        self.store.download(key, file).await
    }

    /// Noted before it is sent: whether it arrived is not known of one that breaks off.
    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        lock(&self.written).insert(key.to_owned());
        self.store.put(key, body, object, condition).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.store.delete(key).await
    }
}

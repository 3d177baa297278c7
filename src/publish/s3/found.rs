//! Credentials that were found once, for all who ask: the SDK, what is sent past it, and who only wants to know whether there are any.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

/// They are looked for again so long before they expire.
const MARGIN: Duration = Duration::from_secs(10);

/// Clones are of the same.
#[derive(Debug, Clone)]
pub struct Found(Arc<Held>);

#[derive(Debug)]
struct Held {
    source: SharedCredentialsProvider,
    /// Held while they are looked for, so that one looks, and the others wait.
    found: Mutex<Option<Credentials>>,
}

impl Found {
    pub fn by(source: SharedCredentialsProvider) -> Self {
        Found(Arc::new(Held { source, found: Mutex::default() }))
    }

    /// Has them looked for again; newer ones are on their way already if somebody is looking.
    pub fn forget(&self) {
        if let Ok(mut found) = self.0.found.try_lock() {
            *found = None;
        }
    }

    async fn get(&self) -> provider::Result {
        let mut found = self.0.found.lock().await;
        let lasts = |found: &&Credentials| found.expiry().is_none_or(|expiry| expiry > SystemTime::now() + MARGIN);
        if let Some(found) = found.as_ref().filter(lasts) {
            return Ok(found.clone());
        }
        let newer = self.0.source.provide_credentials().await?;
        *found = Some(newer.clone());
        Ok(newer)
    }
}

impl ProvideCredentials for Found {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives credentials that last so many seconds, each time others.
    #[derive(Debug)]
    struct Gives(AtomicUsize, u64);

    impl ProvideCredentials for Gives {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let key = self.0.fetch_add(1, Ordering::Relaxed).to_string();
            let expiry = SystemTime::now() + Duration::from_secs(self.1);
            future::ProvideCredentials::ready(Ok(Credentials::new(key, "secret", None, Some(expiry), "test")))
        }
    }

    #[tokio::test]
    async fn they_are_looked_for_once_until_they_expire_or_are_forgotten() {
        let found = |seconds| Found::by(SharedCredentialsProvider::new(Gives(AtomicUsize::new(0), seconds)));
        let key = async |found: &Found| found.provide_credentials().await.unwrap().access_key_id().to_owned();
        let long = found(3600);
        assert_eq!([key(&long).await, key(&long.clone()).await], ["0", "0"]);
        long.forget();
        assert_eq!([key(&long).await, key(&long).await], ["1", "1"]);
        let short = found(5);
        assert_eq!([key(&short).await, key(&short).await], ["0", "1"]);
    }
}

//! The store that an environment names, whichever kind it is.

use std::path::Path;

use super::folder::Folder;
use super::patient::Patient;
use super::s3::S3;
use super::store::{Body, Condition, Entries, Put, Seen, Store, Stored};
use crate::environment::{Environment, MapsStore, StoreUrl};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::release::Object;

#[derive(Debug)]
pub enum AnyStore<'p> {
    Folder(Folder),
    S3(Box<Patient<'p, S3>>),
}

/// Opens the environment's store; a folder is taken relative to `root`. The first request is its first use. That a bucket has to be
/// asked again and again is told to `progress`.
pub async fn open<'p>(root: &Path, environment: &Environment, progress: &'p dyn Progress) -> Result<AnyStore<'p>> {
    let Some(url) = &environment.store else {
        return Err(Error::Usage {
            message: format!("the environment `{}` has no store", environment.name),
            help: format!("set `store` in `[env.{}]`: a folder or `s3://bucket/prefix`", environment.name),
        });
    };
    Ok(open_at(root, url, environment.endpoint.as_deref(), environment.region.as_deref(), progress).await)
}

/// Opens the store for source maps.
pub async fn open_maps<'p>(root: &Path, maps: &MapsStore, progress: &'p dyn Progress) -> AnyStore<'p> {
    open_at(root, &maps.url, maps.endpoint.as_deref(), maps.region.as_deref(), progress).await
}

async fn open_at<'p>(
    root: &Path,
    url: &StoreUrl,
    endpoint: Option<&str>,
    region: Option<&str>,
    progress: &'p dyn Progress,
) -> AnyStore<'p> {
    match url {
        StoreUrl::Folder(folder) => AnyStore::Folder(Folder::new(crate::fs::normalize(&root.join(folder)))),
        StoreUrl::S3 { bucket, prefix } => {
            let store = S3::connect(bucket, prefix, endpoint, region, None).await;
            AnyStore::S3(Box::new(Patient::new(store, progress)))
        }
    }
}

impl Store for AnyStore<'_> {
    fn is_website(&self) -> bool {
        match self {
            AnyStore::Folder(store) => store.is_website(),
            AnyStore::S3(store) => store.is_website(),
        }
    }

    fn place(&self, key: &str) -> String {
        match self {
            AnyStore::Folder(store) => store.place(key),
            AnyStore::S3(store) => store.place(key),
        }
    }

    async fn admit(&self) -> Result<()> {
        match self {
            AnyStore::Folder(store) => store.admit().await,
            AnyStore::S3(store) => store.admit().await,
        }
    }

    async fn preflight(&self) -> Result<()> {
        match self {
            AnyStore::Folder(store) => store.preflight().await,
            AnyStore::S3(store) => store.preflight().await,
        }
    }

    async fn entries(&self) -> Result<Entries> {
        match self {
            AnyStore::Folder(store) => store.entries().await,
            AnyStore::S3(store) => store.entries().await,
        }
    }

    async fn entries_near(&self, expected: &[&str]) -> Result<Entries> {
        match self {
            AnyStore::Folder(store) => store.entries_near(expected).await,
            AnyStore::S3(store) => store.entries_near(expected).await,
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        match self {
            AnyStore::Folder(store) => store.get(key).await,
            AnyStore::S3(store) => store.get(key).await,
        }
    }

    async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
        match self {
            AnyStore::Folder(store) => store.inspect(key).await,
            AnyStore::S3(store) => store.inspect(key).await,
        }
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        match self {
            AnyStore::Folder(store) => store.kept_headers(),
            AnyStore::S3(store) => store.kept_headers(),
        }
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool> {
        match self {
            AnyStore::Folder(store) => store.download(key, file).await,
            AnyStore::S3(store) => store.download(key, file).await,
        }
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        match self {
            AnyStore::Folder(store) => store.put(key, body, object, condition).await,
            AnyStore::S3(store) => store.put(key, body, object, condition).await,
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self {
            AnyStore::Folder(store) => store.delete(key).await,
            AnyStore::S3(store) => store.delete(key).await,
        }
    }

    async fn tidy(&self) -> usize {
        match self {
            AnyStore::Folder(store) => store.tidy().await,
            AnyStore::S3(store) => store.tidy().await,
        }
    }
}

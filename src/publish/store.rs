//! A store: keys with bodies and headers, in a folder or in a bucket, and the little that publishing asks of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::release::Object;

/// Bytes of each object as stored, by key below the store's prefix.
pub type Listing = BTreeMap<String, u64>;

/// What a listing tells of each object, by key below the store's prefix.
pub type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Bytes of the body as stored.
    pub length: u64,
    /// When it was last written, by the store's clock.
    pub modified: SystemTime,
}

/// Where releases are published to. Keys are paths with `/` between their parts, below the folder or the bucket's prefix.
///
/// Every failure is an [`Error::Store`] that names the key and the way out.
pub trait Store: Send + Sync {
    /// Whether such a store is read as a website, with no server in front, unless the environment says otherwise.
    fn is_website(&self) -> bool;

    /// The key as people know it: a path, or `s3://bucket/prefix/key`; the store itself for an empty key.
    fn place(&self, key: &str) -> String;

    /// All objects of the store.
    fn entries(&self) -> impl Future<Output = Result<Entries>> + Send;

    /// As [`Store::entries`], for who only needs the lengths.
    fn list(&self) -> impl Future<Output = Result<Listing>> + Send {
        async { Ok(self.entries().await?.into_iter().map(|(key, entry)| (key, entry.length)).collect()) }
    }

    /// The object, or `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Stored>>> + Send;

    /// Writes the object as a whole: a reader sees what was there before or all of it.
    fn put(
        &self,
        key: &str,
        body: &Body,
        object: &Object,
        condition: &Condition,
    ) -> impl Future<Output = Result<Put>> + Send;

    /// Deletes the object, if it is there.
    fn delete(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
}

/// Writes under a condition where the store knows it, and anyway where it does not.
pub async fn put_if_known<S: Store>(
    store: &S,
    key: &str,
    body: &Body,
    object: &Object,
    condition: &Condition,
) -> Result<Put> {
    match store.put(key, body, object, condition).await? {
        Put::Unsupported => store.put(key, body, object, &Condition::Always).await,
        put => Ok(put),
    }
}

/// An object as the store gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub body: Bytes,
    /// The response headers that the store keeps, by lower-case name; a folder keeps none.
    pub headers: BTreeMap<String, String>,
    /// What a conditional write compares: a bucket's `ETag`, a folder's digest.
    pub version: String,
}

/// When a write may happen (RFC 9110 section 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// `If-None-Match: *`
    IfAbsent,
    /// `If-Match` with [`Stored::version`].
    IfVersion(String),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Written,
    /// The condition does not hold; nothing was changed.
    Refused,
    /// The store knows no such condition; nothing was changed.
    Unsupported,
}

/// Where the bytes of an object come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Bytes(Bytes),
    File(PathBuf),
}

/// Bytes up to which a file is read into memory, so that what was checked is what is sent: 1 MiB, as several are sent at once.
pub const IN_MEMORY: u64 = 1 << 20;

impl Body {
    /// Makes sure that the bytes are those of `digest`, and reads them if they are few. It blocks.
    ///
    /// A larger file is hashed here and read again when it is sent; the store checks the SHA-256 that goes with it.
    pub fn checked(&self, length: u64, digest: Digest) -> Result<Body> {
        let Body::File(path) = self else { return Ok(self.clone()) };
        let changed = || Error::Publish {
            message: format!("`{}` is not the file that the build made", path.display()),
            help: "run `fingerpost build`, then publish again; what is live is still the old release".to_owned(),
        };
        let read = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => changed(),
            _ => Error::io("read", path)(error),
        };
        let (body, found) = if length <= IN_MEMORY {
            let bytes = std::fs::read(path).map_err(read)?;
            let found = Digest::of(&bytes);
            (Body::Bytes(bytes.into()), found)
        } else {
            (self.clone(), File::open(path).and_then(Digest::of_reader).map_err(read)?)
        };
        if found == digest { Ok(body) } else { Err(changed()) }
    }
}

//! A store: keys with bodies and headers, in a folder or in a bucket, and the little that publishing asks of one.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::contents::Item;
use super::folder::blocking;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::progress::Progress;
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

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub entries: Entries,
    /// The mark to ask for the next part with, if there is one.
    pub next: Option<String>,
}

/// Where a part of a listing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    First,
    /// After this key, which need not be there.
    After(&'a str),
    /// After the part that gave this mark.
    Mark(&'a str),
}

/// What a listing tells, for who only needs the lengths.
pub fn lengths(entries: Entries) -> Listing {
    entries.into_iter().map(|(key, entry)| (key, entry.length)).collect()
}

/// Where releases are published to. Keys are paths with `/` between their parts, below the folder or the bucket's prefix.
///
/// Every failure is an [`Error::Store`] that names the key and the way out.
pub trait Store: Send + Sync {
    /// Whether such a store is read as a website, with no server in front, unless the environment says otherwise.
    fn is_website(&self) -> bool;

    /// The key as people know it: a path, or `s3://bucket/prefix/key`; the store itself for an empty key.
    fn place(&self, key: &str) -> String;

    /// Fails within seconds, with what to do about it, where this user has nothing to show the store. Asks nothing of it.
    fn admit(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// As [`Store::admit`], and where nothing can be asked of the store.
    fn preflight(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// All objects of the store.
    fn entries(&self) -> impl Future<Output = Result<Entries>> + Send;

    /// As [`Store::entries`], for who knows some of the keys that are probably there, in order: where a listing comes in parts, several
    /// are asked for at once.
    fn entries_near(&self, expected: &[&str]) -> impl Future<Output = Result<Entries>> + Send {
        let _ = expected;
        self.entries()
    }

    /// A part of [`Store::entries`], so that one that fails is asked for again alone.
    fn page(&self, from: Start<'_>) -> impl Future<Output = Result<Page>> + Send {
        let _ = from;
        async { Ok(Page { entries: self.entries().await?, next: None }) }
    }

    /// As [`Store::entries`], for who only needs the lengths.
    fn list(&self) -> impl Future<Output = Result<Listing>> + Send {
        async { Ok(lengths(self.entries().await?)) }
    }

    /// The object, or `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Stored>>> + Send;

    /// As [`Store::get`], for who only needs to know what the bytes are; however many there are, few are in memory at a time.
    fn inspect(&self, key: &str) -> impl Future<Output = Result<Option<Seen>>> + Send {
        async { Ok(self.get(key).await?.map(Seen::from)) }
    }

    /// The response headers, by lower-case name, that such a store keeps with an object.
    fn kept_headers(&self) -> &'static [&'static str];

    /// Writes the object's body into a new file, and says whether there is such an object.
    fn download(&self, key: &str, file: &Path) -> impl Future<Output = Result<bool>> + Send;

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

    /// Removes what writes that were killed have left beside the objects, and says how many files that were.
    fn tidy(&self) -> impl Future<Output = usize> + Send {
        async { 0 }
    }
}

/// Does [`Store::tidy`], which only those care for who ask for more.
pub async fn tidy<S: Store>(store: &S, progress: &dyn Progress) {
    match store.tidy().await {
        0 => {}
        count => {
            progress.note(format!("removed {count} files from `{}` that a killed publish has left", store.place("")))
        }
    }
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

/// Writes, whatever is there.
pub async fn put<S: Store>(store: &S, item: &Item) -> Result<()> {
    store.put(&item.key, &item.body, &item.object, &Condition::Always).await.map(|_| ())
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

/// What an object in a store turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of the body as stored.
    pub length: u64,
    pub digest: Digest,
    /// As [`Stored::headers`].
    pub headers: BTreeMap<String, String>,
}

impl From<Stored> for Seen {
    fn from(stored: Stored) -> Self {
        Seen { length: stored.body.len() as u64, digest: Digest::of(&stored.body), headers: stored.headers }
    }
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
    /// The store tells the digest of what it holds, and it is the right one.
    Confirmed,
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
    /// Makes sure that the bytes are those of `digest`, and reads them if they are few.
    ///
    /// A larger file is only looked at: it is compared while it is sent.
    pub async fn checked(self, length: u64, digest: Digest) -> Result<Body> {
        if let Body::Bytes(_) = self {
            return Ok(self);
        }
        let room = room(length);
        blocking(move || check(self, room, length, digest)).await
    }
}

/// For a body that is read. Made where it is let go of: each thread keeps what others free of its own.
fn room(length: u64) -> Vec<u8> {
    Vec::with_capacity(if length <= IN_MEMORY { length as usize } else { 0 })
}

fn check(body: Body, mut room: Vec<u8>, length: u64, digest: Digest) -> Result<Body> {
    let Body::File(path) = body else { return Ok(body) };
    if length > IN_MEMORY {
        return match std::fs::metadata(&path).map_err(unreadable(&path))?.len() == length {
            true => Ok(Body::File(path)),
            false => Err(changed(&path)),
        };
    }
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut room));
    read.map_err(unreadable(&path))?;
    if Digest::of(&room) == digest { Ok(Body::Bytes(room.into())) } else { Err(changed(&path)) }
}

/// As [`Body::checked`], of several at once: to have another thread do something takes longer than to read a small file.
pub async fn checked(bodies: impl IntoIterator<Item = (Body, u64, Digest)>) -> Result<Vec<Body>> {
    let bodies: Vec<_> =
        bodies.into_iter().map(|(body, length, digest)| (body, room(length), length, digest)).collect();
    if bodies.iter().all(|(body, ..)| matches!(body, Body::Bytes(_))) {
        return Ok(bodies.into_iter().map(|(body, ..)| body).collect());
    }
    blocking(move || bodies.into_iter().map(|(body, room, length, digest)| check(body, room, length, digest)).collect())
        .await
}

/// The bytes of a file that the build made, which have to be those of `digest`. It blocks.
pub fn read_checked(path: &Path, digest: Digest) -> Result<Bytes> {
    let bytes = std::fs::read(path).map_err(unreadable(path))?;
    if Digest::of(&bytes) == digest { Ok(bytes.into()) } else { Err(changed(path)) }
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound => changed(path),
        _ => Error::io("read", path)(error),
    }
}

/// Bytes of the bodies that are in memory at once, whatever their number.
const ROOM: u64 = 32 << 20;

/// Bytes that a body takes while it is sent piece by piece.
const PIECES: u64 = 1 << 20;

/// Room for bodies in memory: many small ones are under way at once, and few large ones.
#[derive(Debug)]
pub struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Room(Semaphore::new(ROOM as usize))
    }
}

impl Room {
    /// Waits until there is room for a body of that length that is held as a whole.
    pub async fn whole(&self, length: u64) -> Option<SemaphorePermit<'_>> {
        // One that is larger than all the room has it for itself. It is never closed.
        self.0.acquire_many(length.min(ROOM) as u32).await.ok()
    }

    /// As [`Room::whole`], for one that goes through [`Body::checked`].
    pub async fn checked(&self, length: u64) -> Option<SemaphorePermit<'_>> {
        self.whole(if length <= IN_MEMORY { length } else { PIECES }).await
    }
}

/// Something else has written to the output folder since.
pub fn changed(path: &Path) -> Error {
    Error::Publish {
        message: format!("`{}` is not the file that the build made", path.display()),
        help: "run `fingerpost build`, then publish again; what is live is still the old release".to_owned(),
    }
}

//! A store that is a folder: each write is a temporary file, made durable and then renamed.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::store::{Body, Condition, Listing, Put, Store, Stored};
use crate::asset::LogicalPath;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::release::Object;

/// Taken while a version is compared and replaced, so that of two publishers only one wins. Its name keeps it out of listings.
const LOCK: &str = ".publish.lock";

/// What the names of files begin with that are being written.
const TEMPORARY: &str = ".publish-";

#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder is made by the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Folder { root: root.into() }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        match LogicalPath::new(key) {
            Ok(key) => Ok(self.root.join(key.as_str())),
            Err(error) => Err(self.failed("use the key", key)(io::Error::new(io::ErrorKind::InvalidInput, error))),
        }
    }

    fn failed(&self, action: &'static str, key: &str) -> impl FnOnce(io::Error) -> Error {
        let place = self.place(key);
        move |source| Error::Store { action, place, help: help(&source), source: source.into() }
    }

    fn put_blocking(&self, key: &str, body: &Body, digest: Digest, condition: &Condition) -> Result<Put> {
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.root);
        let failed = || self.failed("write", key);
        fs::create_dir_all(folder).map_err(failed())?;
        let mut new = temporary().tempfile_in(folder).map_err(failed())?;
        fill(new.as_file_mut(), body, digest).map_err(failed())?;
        let renamed = match condition {
            Condition::Always => new.persist(&path),
            Condition::IfAbsent => new.persist_noclobber(&path),
            Condition::IfVersion(version) => {
                // The system lets go of the lock when the file is closed, so also when this process is killed.
                let lock = File::create(self.root.join(LOCK)).map_err(failed())?;
                lock.lock().map_err(failed())?;
                if self.get_blocking(key)?.is_none_or(|stored| stored.version != *version) {
                    return Ok(Put::Refused);
                }
                new.persist(&path)
            }
        };
        match renamed {
            Ok(_) => {}
            Err(error) if *condition == Condition::IfAbsent && error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(Put::Refused);
            }
            Err(error) => return Err(failed()(error.error)),
        }
        self.sync_folders(folder).map_err(failed())?;
        Ok(Put::Written)
    }

    /// A rename outlives a power cut once its folder is durable, and a new folder once the one above it is.
    fn sync_folders(&self, folder: &Path) -> io::Result<()> {
        let below = folder.ancestors().take_while(|folder| folder.starts_with(&self.root));
        if cfg!(unix) { below.map(File::open).try_for_each(|folder| folder?.sync_all()) } else { Ok(()) }
    }

    fn get_blocking(&self, key: &str) -> Result<Option<Stored>> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => {
                let version = Digest::of(&bytes).to_string();
                Ok(Some(Stored { body: bytes.into(), headers: Default::default(), version }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    fn list_blocking(&self) -> Result<Listing> {
        let mut listing = Listing::new();
        let own = |name: &str| name.starts_with(TEMPORARY) || name == LOCK;
        for entry in WalkDir::new(&self.root) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(self.failed("list", "")(error.into())),
            };
            if entry.depth() == 0 && !entry.file_type().is_dir() {
                return Err(self.failed("list", "")(io::ErrorKind::NotADirectory.into()));
            }
            if !entry.file_type().is_file() || own(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let length = entry.metadata().map_err(|error| self.failed("list", "")(error.into()))?.len();
            listing.insert(crate::fs::display_name(&self.root, entry.path()), length);
        }
        Ok(listing)
    }
}

impl Store for Folder {
    const WEBSITE: bool = true;

    fn place(&self, key: &str) -> String {
        self.root.join(key).display().to_string()
    }

    async fn list(&self) -> Result<Listing> {
        let store = self.clone();
        blocking(move || store.list_blocking()).await
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let (store, key) = (self.clone(), key.to_owned());
        blocking(move || store.get_blocking(&key)).await
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        let (store, key, body, condition) = (self.clone(), key.to_owned(), body.clone(), condition.clone());
        let digest = object.digest;
        blocking(move || store.put_blocking(&key, &body, digest, &condition)).await
    }
}

/// Runs what blocks where it may; a panic there goes on here.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and drops this future with everything else.
            Err(_) => std::future::pending().await,
        },
    }
}

fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Web servers read what is published; the process's umask still applies.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Writes the body and makes it durable.
fn fill(file: &mut File, body: &Body, digest: Digest) -> io::Result<()> {
    match body {
        Body::Bytes(bytes) => file.write_all(bytes)?,
        Body::File(path) => {
            io::copy(&mut File::open(path)?, file)?;
            file.rewind()?;
            if Digest::of_reader(&*file)? != digest {
                return Err(io::Error::other(format!("`{}` changed while it was copied", path.display())));
            }
        }
    }
    file.sync_all()
}

fn help(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there and publish again; what is live is still the old release".to_owned()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give the current user the right to write there, or set another `store`".to_owned()
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            "a file lies where a folder has to be, or the other way round: move it away, or set another `store`"
                .to_owned()
        }
        io::ErrorKind::InvalidInput => "rename the file: a key is a path that stays below the store".to_owned(),
        _ => "put right what the system says, then publish again; what is live is still the old release".to_owned(),
    }
}

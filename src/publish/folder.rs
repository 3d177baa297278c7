//! A store that is a folder: each write is a temporary file, made durable and then renamed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use walkdir::{DirEntry, WalkDir};

use super::store::{Body, Condition, Entries, Entry, Put, Seen, Store, Stored, changed};
use crate::asset::LogicalPath;
use crate::error::{Error, Outlook, Result};
use crate::fingerprint::Digest;
use crate::release::Object;

/// Taken while a version is compared and replaced, so that of two publishers only one wins. Its name keeps it out of listings.
const LOCK: &str = ".publish.lock";

/// What the names of files begin with that are being written; so many letters and digits follow.
const TEMPORARY: &str = ".publish-";
const RANDOM: usize = 6;

/// A file that was last written to longer ago is nobody's who publishes now.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A folder as a store: keys are paths below it; it keeps no headers, which the release's record has.
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
        move |source| Error::Store {
            action,
            place,
            help: help(&source),
            outlook: Outlook::Lasting,
            source: source.into(),
        }
    }

    fn put_blocking(&self, key: &str, body: &Body, digest: Digest, condition: &Condition) -> Result<Put> {
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.root);
        let failed = || self.failed("write", key);
        if let Condition::IfVersion(version) = condition
            && !self.is_version(key, version)?
        {
            return Ok(Put::Refused);
        }
        fs::create_dir_all(folder).map_err(failed())?;
        let mut new = temporary().tempfile_in(folder).map_err(failed())?;
        match body {
            Body::Bytes(bytes) => new.as_file_mut().write_all(bytes).map_err(failed())?,
            Body::File(source) => {
                let copied = copy(source, new.as_file_mut()).map_err(failed())?;
                if copied != digest {
                    return Err(changed(source));
                }
            }
        }
        new.as_file().sync_all().map_err(failed())?;
        let renamed = match condition {
            Condition::Always => new.persist(&path),
            Condition::IfAbsent => new.persist_noclobber(&path),
            Condition::IfVersion(version) => {
                // The system lets go of the lock when the file is closed, so also when this process is killed.
                let lock = File::create(self.root.join(LOCK)).map_err(failed())?;
                lock.lock().map_err(failed())?;
                if !self.is_version(key, version)? {
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

    fn is_version(&self, key: &str, version: &str) -> Result<bool> {
        Ok(self.get_blocking(key)?.is_some_and(|stored| stored.version == version))
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

    fn inspect_blocking(&self, key: &str) -> Result<Option<Seen>> {
        let path = self.path(key)?;
        let read = || {
            let file = File::open(&path)?;
            Ok::<_, io::Error>((file.metadata()?.len(), Digest::of_reader(file)?))
        };
        match read() {
            Ok((length, digest)) => Ok(Some(Seen { length, digest, headers: Default::default() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    fn list_blocking(&self) -> Result<Entries> {
        let mut entries = Entries::new();
        let own = |name: &str| name.starts_with(TEMPORARY) || name == LOCK;
        for entry in WalkDir::new(&self.root) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(self.failed("list", "")(error.into())),
            };
            if entry.depth() == 0 && !self.root.is_dir() {
                return Err(self.failed("list", "")(io::ErrorKind::NotADirectory.into()));
            }
            if !entry.file_type().is_file() || own(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let data = match entry.metadata() {
                Ok(data) => data,
                // Deleted just now.
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(self.failed("list", "")(error.into())),
            };
            let modified = data.modified().map_err(self.failed("list", ""))?;
            let key = crate::fs::display_name(&self.root, entry.path());
            entries.insert(key, Entry { length: data.len(), modified });
        }
        Ok(entries)
    }
}

impl Folder {
    /// That one can't be removed is no reason to stop.
    fn tidy_blocking(&self) -> usize {
        let is_left = |entry: &DirEntry| {
            let written = entry.metadata().ok().and_then(|data| data.modified().ok());
            let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
            entry.file_type().is_file() && is_temporary(entry.file_name()) && age.is_some_and(|age| age > ABANDONED)
        };
        let left = WalkDir::new(&self.root).into_iter().flatten().filter(is_left);
        left.filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
    }

    /// A folder that nothing is left in goes too, if it was a release's: nobody writes there any more.
    fn delete_blocking(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed("delete", key)(error)),
            _ => {}
        }
        let releases = self.root.join("releases");
        let folders = path.ancestors().skip(1).take_while(|folder| **folder != *releases);
        if path.starts_with(&releases) {
            let _ = folders.map(fs::remove_dir).take_while(io::Result::is_ok).count();
        }
        Ok(())
    }
}

impl Store for Folder {
    fn is_website(&self) -> bool {
        true
    }

    fn place(&self, key: &str) -> String {
        let path = if key.is_empty() { self.root.clone() } else { self.root.join(key) };
        path.display().to_string()
    }

    async fn entries(&self) -> Result<Entries> {
        let store = self.clone();
        blocking(move || store.list_blocking()).await
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let (store, key) = (self.clone(), key.to_owned());
        blocking(move || store.get_blocking(&key)).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
        let (store, key) = (self.clone(), key.to_owned());
        blocking(move || store.inspect_blocking(&key)).await
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool> {
        let (store, key, file) = (self.clone(), key.to_owned(), file.to_owned());
        blocking(move || match fs::copy(store.path(&key)?, file) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(store.failed("read", &key)(error)),
        })
        .await
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        let (store, key, body, condition) = (self.clone(), key.to_owned(), body.clone(), condition.clone());
        let digest = object.digest;
        blocking(move || store.put_blocking(&key, &body, digest, &condition)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (store, key) = (self.clone(), key.to_owned());
        blocking(move || store.delete_blocking(&key)).await
    }

    async fn tidy(&self) -> usize {
        let store = self.clone();
        blocking(move || store.tidy_blocking()).await
    }
}

/// Runs what blocks where it may; a panic there goes on here.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, and drops this future with everything else.
        Err(_) => std::future::pending().await,
    }
}

/// Whether a name is one that [`temporary`] gives.
fn is_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Web servers read what is published; the process's umask still applies.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Copies a file; the digest of the copy.
fn copy(source: &Path, file: &mut File) -> io::Result<Digest> {
    io::copy(&mut File::open(source)?, file)?;
    file.rewind()?;
    Digest::of_reader(&*file)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::store::Listing;

    async fn put(store: &Folder, key: &str, text: &str, condition: Condition) -> Result<Put> {
        let bytes = text.as_bytes().to_vec();
        let object = Object { length: bytes.len() as u64, digest: Digest::of(&bytes), headers: Default::default() };
        store.put(key, &Body::Bytes(bytes.into()), &object, &condition).await
    }

    async fn text(store: &Folder, key: &str) -> String {
        String::from_utf8(store.get(key).await.unwrap().unwrap().body.to_vec()).unwrap()
    }

    fn help(error: &Error) -> String {
        miette::Diagnostic::help(error).map(|help| help.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_empty_until_written_to() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path().join("new"));
        assert_eq!(store.list().await.unwrap(), Listing::new());
        assert_eq!(store.get("a").await.unwrap(), None);
        assert!(!root.path().join("new").exists());
        put(&store, "a/b.txt", "hello", Condition::Always).await.unwrap();
        assert_eq!(store.list().await.unwrap(), Listing::from([("a/b.txt".to_owned(), 5)]));
    }

    #[tokio::test]
    async fn conditions_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path());
        assert_eq!(put(&store, "a", "one", Condition::IfVersion("x".to_owned())).await.unwrap(), Put::Refused);
        assert_eq!(put(&store, "a", "one", Condition::IfAbsent).await.unwrap(), Put::Written);
        assert_eq!(put(&store, "a", "two", Condition::IfAbsent).await.unwrap(), Put::Refused);
        let version = store.get("a").await.unwrap().unwrap().version;
        assert_eq!(put(&store, "a", "two", Condition::IfVersion(version.clone())).await.unwrap(), Put::Written);
        assert_eq!(put(&store, "a", "three", Condition::IfVersion(version)).await.unwrap(), Put::Refused);
        assert_eq!(text(&store, "a").await, "two");
        assert_eq!(store.list().await.unwrap().len(), 1, "neither the lock nor what was refused is an object");
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_publishers_that_saw_the_same_version_one_wins() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path());
        put(&store, "a", "old", Condition::Always).await.unwrap();
        for first in [Condition::IfVersion(Digest::of(b"old").to_string()), Condition::IfAbsent] {
            let key = if first == Condition::IfAbsent { "b" } else { "a" };
            let all: Vec<_> = (0..24)
                .map(|n| {
                    let (store, condition) = (store.clone(), first.clone());
                    tokio::spawn(async move { put(&store, key, &n.to_string(), condition).await.unwrap() })
                })
                .collect();
            let mut won = 0;
            for one in all {
                won += usize::from(one.await.unwrap() == Put::Written);
            }
            assert_eq!(won, 1, "{first:?}");
        }
    }

    #[tokio::test]
    async fn keys_stay_below_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path().join("store"));
        for key in ["../a", "/etc/a", "a/../../b", ""] {
            let error = put(&store, key, "x", Condition::Always).await.unwrap_err();
            assert!(error.to_string().starts_with("could not use the key"), "{error}");
            assert!(help(&error).contains("stays below the store"), "{error}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_where_a_folder_has_to_be_is_said() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "file").unwrap();
        let error = put(&Folder::new(root.path()), "a/b", "x", Condition::Always).await.unwrap_err();
        assert_eq!(error.to_string(), format!("could not write `{}/a/b`", root.path().display()));
        assert_eq!(error.exit_code(), 4);
        let error = Folder::new(root.path().join("a")).list().await.unwrap_err();
        assert!(help(&error).contains("a file lies where a folder has to be"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_folder_may_be_a_link_to_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        let store = Folder::new(root.path().join("link"));
        put(&store, "a/b", "x", Condition::IfAbsent).await.unwrap();
        assert_eq!(store.list().await.unwrap(), Listing::from([("a/b".to_owned(), 1)]));
    }

    #[tokio::test]
    async fn a_large_file_is_copied_and_compared() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("source");
        fs::write(&source, "large").unwrap();
        let store = Folder::new(root.path().join("store"));
        let object =
            |text: &str| Object { length: 5, digest: Digest::of(text.as_bytes()), headers: Default::default() };
        let body = Body::File(source);
        store.put("a", &body, &object("large"), &Condition::Always).await.unwrap();
        assert_eq!(text(&store, "a").await, "large");
        let error = store.put("a", &body, &object("LARGE"), &Condition::Always).await.unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert_eq!(store.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_a_killed_publish_left_is_removed_when_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let store = Folder::new(root.path().join("store"));
        assert_eq!(store.tidy().await, 0, "there is no such folder yet");
        put(&store, "assets/a", "x", Condition::Always).await.unwrap();
        let lie = |key: &str, age: Duration| {
            crate::fs::write(&root.path().join("store").join(key), b"x").unwrap();
            let file = File::options().write(true).open(root.path().join("store").join(key)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let left = temporary().tempfile_in(root.path()).unwrap().path().file_name().unwrap().to_owned();
        let (left, old) = (left.to_str().unwrap(), ABANDONED + Duration::from_secs(1));
        let others = [".publish-notes", ".publish.lock", "assets/.publish-notes.txt", "publish-abcdef"];
        others.iter().for_each(|key| lie(key, old));
        lie(left, old);
        lie(&format!("assets/{left}"), old);
        lie(&format!("assets/css/{left}"), Duration::from_secs(60));
        assert_eq!(store.tidy().await, 2);
        let there = |key: &str| root.path().join("store").join(key).exists();
        assert!(!there(left) && !there(&format!("assets/{left}")));
        assert!(there(&format!("assets/css/{left}")), "it may be another publisher's");
        assert!(there("assets/a") && others.iter().all(|key| there(key)));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn web_servers_may_read_what_is_published() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        put(&Folder::new(root.path()), "a", "x", Condition::Always).await.unwrap();
        let plain = root.path().join("plain");
        fs::write(&plain, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&root.path().join("a")), mode(&plain));
    }
}

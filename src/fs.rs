//! The file system, with errors that name the path, and a folder's replacement in one step.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use crate::error::{Error, Fault, Result};

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}

/// Reads a file that has to be UTF-8; `name` is how the user knows it.
pub fn read_text(path: &Path, name: &str) -> Result<String> {
    to_text(read(path)?, name)
}

/// A file's bytes as text; `name` is how the user knows the file.
pub fn to_text(bytes: Vec<u8>, name: &str) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(name, error.as_bytes()))?;
    // A byte order mark is no part of the text, and would be a character in the middle of a bundle.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The fault of text that should be UTF-8, at the first byte that starts no character.
pub fn not_utf8(name: &str, bytes: &[u8]) -> Fault {
    let valid = std::str::from_utf8(bytes).err().map_or(bytes.len(), |error| error.valid_up_to());
    Fault::new(format!("`{name}` is not UTF-8: byte {valid} starts no valid character"))
        .hint("save the file as UTF-8, or keep it out of what is built as text")
        .at(name, String::from_utf8_lossy(bytes), valid, char::REPLACEMENT_CHARACTER.len_utf8())
}

/// Writes a file and the folders that it needs.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    in_its_folder(path, || fs::write(path, bytes)).map_err(Error::io("write", path))
}

/// Gives a file another name, and makes the folders that it needs.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    in_its_folder(to, || fs::hard_link(from, to))
}

/// Makes the folder only if it turns out to be missing: nearly all files have neighbours.
fn in_its_folder(path: &Path, make: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match (make(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            make()
        }
        (made, _) => made,
    }
}

/// What tells that a file has been written to, or is another: enough for who looks again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// None if there is no such file.
    pub fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().and_then(|data| Stamp::from_metadata(&data))
    }

    pub fn from_metadata(data: &fs::Metadata) -> Option<Self> {
        let modified = data.modified().ok()?;
        data.is_file().then(|| Stamp { modified, length: data.len(), inode: data.ino() })
    }
}

/// The path as the user knows it: relative to the root where it lies below it, with `/` between its parts.
///
/// It says nothing of where the site lies: of a package outside the root, `node_modules/` and what follows is named.
pub fn display_name(root: &Path, path: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(relative) => relative.to_string_lossy().replace('\\', "/"),
        Err(_) => portable(&path.to_string_lossy().replace('\\', "/")).to_owned(),
    }
}

/// A path outside the root without what differs from machine to machine, if it is a package's.
pub fn portable(path: &str) -> &str {
    path.rfind("/node_modules/").map_or(path, |at| &path[at + 1..])
}

/// The path without `.` and `..`, as written: links are not followed.
pub fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Whether a file may go into the build: it lies below the root, or in a `node_modules`, which may stand in a folder above it.
pub fn within(root: &Path, file: &Path) -> bool {
    lies_within(root, &file.canonicalize().unwrap_or_else(|_| file.to_owned()))
}

/// As [`within`], of a path that holds no link.
pub fn lies_within(root: &Path, real: &Path) -> bool {
    real.starts_with(root) || real.components().any(|part| part.as_os_str() == "node_modules")
}

/// A new folder beside `target` that replaces it as a whole on [`Staged::commit`], and is removed if that is never called.
pub struct Staged {
    folder: tempfile::TempDir,
    target: PathBuf,
    /// Held as long as the folder is in use, so that others can tell it from one that a killed program left.
    _lock: fs::File,
}

impl Staged {
    /// The folder that is replaced: a link stays, and what it leads to is replaced.
    pub fn target(path: &Path) -> PathBuf {
        let linked = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
        linked.unwrap_or_else(|| path.to_owned())
    }

    pub fn beside(target: &Path) -> Result<Self> {
        let target = &Self::target(target);
        let parent = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io("create the folder", parent))?;
        let prefix = format!(".{}-fingerpost-", target.file_name().unwrap_or_default().to_string_lossy());
        remove_abandoned(parent, &prefix);
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(parent)
            .map_err(Error::io("create a folder in", parent))?;
        let lock = fs::File::open(folder.path()).map_err(Error::io("open", folder.path()))?;
        // Where a file system knows no locks, nothing is told apart, and nothing removed.
        let _ = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        Ok(Staged { folder, target: target.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts the new folder in the target's place; a reader sees the old one or the new one, whole.
    pub fn commit(self) -> Result<()> {
        let Staged { folder, target, _lock } = self;
        open_to_readers(folder.path())?;
        match exchange(folder.path(), &target) {
            // The old folder now lies where the new one was staged, and goes with the guard.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(folder.path(), &target).map_err(Error::io("replace", &target))?;
                let _gone = folder.keep();
                Ok(())
            }
            Err(_) => two_renames(folder, &target),
        }
    }
}

/// Removes what killed programs left beside the target. That it can't be removed is no reason to stop.
fn remove_abandoned(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // `.old` is what two renames put aside: it may be the last good one.
        let ours = name.starts_with(prefix) && !name.ends_with(".old");
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let unlocked = |folder: fs::File| rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        if fs::File::open(entry.path()).is_ok_and(unlocked) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// For file systems that can't exchange two folders: the old one is put back if the new one can't take its place.
fn two_renames(folder: tempfile::TempDir, target: &Path) -> Result<()> {
    let aside = folder.path().with_extension("old");
    fs::rename(target, &aside).map_err(Error::io("replace", target))?;
    if let Err(error) = fs::rename(folder.path(), target) {
        let _ = fs::rename(&aside, target);
        return Err(Error::io("replace", target)(error));
    }
    let _gone = folder.keep();
    fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))
}

/// A temporary folder is private to its owner; what is built is for web servers to read.
fn open_to_readers(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("set the permissions of", folder))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, b: &Path) -> io::Result<()> {
    Err(match b.exists() {
        true => io::ErrorKind::Unsupported.into(),
        false => io::ErrorKind::NotFound.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_replaces_the_whole_folder() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("dist");
        write(&target.join("old/a.txt"), b"old").unwrap();
        for round in ["one", "two"] {
            let staged = Staged::beside(&target).unwrap();
            write(&staged.path().join("new.txt"), round.as_bytes()).unwrap();
            staged.commit().unwrap();
            assert_eq!(fs::read(target.join("new.txt")).unwrap(), round.as_bytes());
        }
        assert!(!target.join("old").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_what_is_in_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("dist");
        write(&root.path().join(".dist-fingerpost-left/a.txt"), b"left").unwrap();
        write(&root.path().join(".dist-backup/a.txt"), b"mine").unwrap();
        write(&root.path().join(".dist.txt"), b"mine").unwrap();
        let first = Staged::beside(&target).unwrap();
        let second = Staged::beside(&target).unwrap();
        assert!(first.path().exists() && second.path().exists() && root.path().join(".dist.txt").exists());
        assert!(root.path().join(".dist-backup/a.txt").exists());
        assert!(!root.path().join(".dist-fingerpost-left").exists());
    }

    #[test]
    fn without_a_commit_the_old_folder_stays() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("dist");
        write(&target.join("a.txt"), b"old").unwrap();
        drop(Staged::beside(&target).unwrap());
        assert_eq!(fs::read(target.join("a.txt")).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}

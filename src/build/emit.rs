//! Writes a build beside the output folder and puts it in that folder's place, whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::output::Outputs;
use super::record::{self, Record};
use crate::error::{Error, Result};
use crate::fs::{self, Staged};
use crate::manifest::{self, File, MAPS, Manifest};
use crate::progress::Progress;

/// Files that keep an empty output folder in a repository; a build carries them over.
const KEEP: [&str; 2] = [".gitkeep", ".gitignore"];

/// `others` are what is written beside it, by path.
pub fn emit(
    out: &Path,
    outputs: &Outputs,
    manifest: &Manifest,
    record: &Record,
    others: &BTreeMap<String, String>,
    progress: &dyn Progress,
) -> Result<()> {
    refuse_to_destroy(out)?;
    let staged = Staged::beside(out)?;
    let root = staged.path();
    progress.stage("write", outputs.files.len());
    let last = Staged::target(out);
    let files = outputs.files.par_iter().map(|(path, output)| {
        put(root, &last, path, &output.bytes)?;
        for (encoding, bytes) in &output.variants {
            put(root, &last, &File::sidecar(path, *encoding), bytes)?;
        }
        progress.step();
        Ok(())
    });
    // A map is larger than its file: another thread may take it.
    let maps = outputs.files.par_iter().filter_map(|(path, output)| {
        let map = output.map.as_ref()?;
        Some(put(root, &last, &format!("{MAPS}/{path}.map"), map.as_bytes()))
    });
    maps.chain(files).collect::<Result<()>>()?;
    fs::write(&root.join(manifest::PATH), manifest.to_json().as_bytes())?;
    fs::write(&root.join(record::PATH), record.to_json().as_bytes())?;
    for (path, text) in others {
        fs::write(&root.join(path), text.as_bytes())?;
    }
    for name in KEEP.iter().filter(|name| out.join(name).is_file()) {
        fs::write(&root.join(name), &fs::read(&out.join(name))?)?;
    }
    staged.commit()
}

/// Writes a file, or takes that of the last build if it is the same: then it keeps its time, which servers tell, and its place on the
/// disk.
fn put(root: &Path, last: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let (new, old) = (root.join(path), last.join(path));
    // Not every file system knows a file by two names.
    match is_same(&old, bytes) && fs::link(&old, &new).is_ok() {
        true => Ok(()),
        false => fs::write(&new, bytes),
    }
}

fn is_same(file: &Path, bytes: &[u8]) -> bool {
    let same_length = file.symlink_metadata().is_ok_and(|data| data.is_file() && data.len() == bytes.len() as u64);
    same_length && std::fs::read(file).is_ok_and(|old| old == bytes)
}

/// A folder that holds something which no build put there is not replaced.
fn refuse_to_destroy(out: &Path) -> Result<()> {
    if !out.exists() || out.join(manifest::PATH).exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(out).map_err(Error::io("read the folder", out))?;
    if entries.all(|entry| entry.is_ok_and(|entry| KEEP.iter().any(|name| entry.file_name() == *name))) {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!("`{}` holds files that no build put there, and a build would replace them", out.display()),
        help: "empty the folder, or choose another with `--out`".to_owned(),
    })
}

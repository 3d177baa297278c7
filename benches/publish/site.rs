//! What is published: a site of many files of noise, as small assets and large ones are once they are packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use tempfile::TempDir;

use super::store::Store;

pub struct Site {
    folder: TempDir,
    program: PathBuf,
}

impl Site {
    /// So many small files (1 to 20 KB) and so many of `length` bytes, with a page.
    pub fn new(program: PathBuf, small: usize, large: usize, length: usize) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let site = Site { folder, program };
        site.write("templates/index.html", b"<!doctype html><title>bench</title><p>hello");
        for n in 0..small {
            site.write(&small_file(n), &noise(n as u64, 1000 + n * 19_000 / small));
        }
        for n in 0..large {
            site.write(&format!("assets/large/{n}.bin"), &noise((small + n) as u64, length));
        }
        site
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The files that other programs are to upload.
    pub fn files(&self) -> PathBuf {
        self.root().join("files")
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    /// Other bytes in the first files, of the same length.
    pub fn change(&self, small: usize, count: usize, seed: u64) {
        for n in 0..count {
            self.write(&small_file(n), &noise((seed + 1) << 32 | n as u64, 1000 + n * 19_000 / small));
        }
    }

    /// Forgets what others were to upload before.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.files());
    }

    /// Builds it, and adds to what others upload what is new; the times of other files stay.
    pub fn build(&self) {
        let mut command = Command::new(&self.program);
        command.args(["build", "--quiet", "--no-compress", "--root"]).arg(self.root());
        assert!(command.status().is_ok_and(|status| status.success()), "the site is built");
        let dist = self.root().join("dist");
        for name in ["assets", "index.html"] {
            copy_new(&dist.join(name), &self.files().join(name));
        }
    }

    /// Where it is published to.
    pub fn publish_to(&self, store: &Store, prefix: &str) {
        let (bucket, endpoint) = (&store.bucket, &store.endpoint);
        let environment =
            format!("[env.production]\nasset_base = '/'\nstore = 's3://{bucket}/{prefix}'\nendpoint = '{endpoint}'\n");
        self.write("fingerpost.toml", environment.as_bytes());
    }

    /// As a rebuild from a fresh checkout leaves it: each file is of now, for everybody.
    pub fn touch(&self) {
        touch(&self.root().join("dist"));
        touch(&self.files());
    }

    /// Makes room: only what was built is published.
    pub fn drop_sources(&self) {
        fs::remove_dir_all(self.root().join("assets")).expect("a folder");
        fs::remove_dir_all(self.files()).expect("a folder");
    }
}

fn small_file(n: usize) -> String {
    format!("assets/small/{n}.bin")
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 32) as u32).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(4)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

fn copy_new(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy_new(&entry.path(), &to.join(entry.file_name()));
        }
    } else if !to.exists() {
        fs::hard_link(from, to).expect("a link");
    }
}

fn touch(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            touch(&entry.expect("an entry").path());
        }
    } else {
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now()).expect("its time");
    }
}

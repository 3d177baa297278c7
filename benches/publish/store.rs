//! The stores that are published to: an S3 server over a folder in memory, which is this program started again, and a Ceph cluster.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fingerpost::preview::bucket::Bucket;
use tempfile::TempDir;

use super::processes;

/// It is gone when it is dropped.
pub struct Store {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
    counted: Counted,
    server: Child,
    /// The server ends when this does.
    input: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    /// What a server of a folder holds.
    _folder: TempDir,
}

/// How requests are counted.
enum Counted {
    /// The server tells when it is asked.
    Asked,
    /// Each is a line of this file.
    Logged(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Folder,
    Ceph,
}

/// The argument that makes this program a server.
pub const SERVE: &str = "--serve-bucket";

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Folder => "s3s-fs",
            Kind::Ceph => "Ceph",
        }
    }

    /// Starts one that is empty. A folder's lies in memory if it may, where disks don't matter.
    pub fn start(self) -> Store {
        let memory = Path::new("/dev/shm");
        self.start_in(if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) })
    }

    pub fn start_in(self, place: &Path) -> Store {
        let folder = tempfile::tempdir_in(place).expect("a folder");
        let state = folder.path().join("state");
        let mut command = match self {
            Kind::Folder => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.arg(SERVE);
                command
            }
            Kind::Ceph => Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ceph/run")),
        };
        let mut server = command.arg(&state).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(server.stdout.take().expect("its output"));
        let [endpoint, bucket, access_key, secret_key] = std::array::from_fn(|_| line(&mut lines));
        let counted = match self {
            Kind::Folder => Counted::Asked,
            Kind::Ceph => Counted::Logged(state.join("gateway.log")),
        };
        let input = server.stdin.take();
        Store { endpoint, bucket, access_key, secret_key, counted, server, input, lines, _folder: folder }
    }
}

fn line(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert!(!line.is_empty(), "the store is ready");
    line.trim_end().to_owned()
}

impl Store {
    /// Requests so far.
    pub fn requests(&mut self) -> u64 {
        match &self.counted {
            Counted::Asked => {
                self.input.as_mut().expect("not dropped").write_all(b"\n").expect("it listens");
                line(&mut self.lines).parse().expect("a number")
            }
            Counted::Logged(log) => {
                // It is written a moment after the answer.
                std::thread::sleep(std::time::Duration::from_millis(500));
                let log = std::fs::read_to_string(log).expect("the log");
                log.lines().filter(|line| line.contains(" beast: ")).count() as u64
            }
        }
    }
}

impl Store {
    /// Seconds on a core so far, of all its processes.
    pub fn cpu(&self) -> f64 {
        processes::ticks(self.server.id()) as f64 / 100.0
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.server.wait();
    }
}

/// Serves a bucket in that folder until standard input ends; for each line there, tells how many requests there were.
pub fn serve(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    // What it does with files blocks a thread each; more of them than cores would only take turns, and the cores from who is measured.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(cores).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let requests = Arc::new(AtomicU64::new(0));
    let seen = requests.clone();
    let count = move |_: &http::Method, _: &str| {
        seen.fetch_add(1, Ordering::Relaxed);
        None
    };
    let bucket = runtime.block_on(Bucket::start_behind(folder, count)).expect("a bucket");
    println!("{}\n{}\n{}\n{}", bucket.endpoint, bucket.name, bucket.access_key, bucket.secret_key);
    for _ in std::io::stdin().lines() {
        println!("{}", requests.load(Ordering::Relaxed));
    }
}

//! The access log: a line for each answer. Requests hand over what they know and go on; a thread of its own writes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::log_line::{Clock, Record, write_line};
use crate::config::LogFormat;
use crate::error::{Error, Result};

/// Records that may wait for being written; more are dropped, and counted. A request never waits for a disk.
const CAPACITY: usize = 16 * 1024;

/// How long the thread lets records gather. As long as it isn't waiting for one, handing one over costs no system call.
const GATHER: Duration = Duration::from_millis(20);

/// How long a line may stay in a buffer.
const FLUSH: Duration = Duration::from_secs(1);

/// Where, how and what to write.
#[derive(Debug, Clone)]
pub struct Settings {
    pub output: Output,
    pub format: LogFormat,
    /// The part of requests that is written, from 0 to 1.
    pub sample: f64,
}

#[derive(Debug, Clone)]
pub enum Output {
    /// Appended to, and opened anew by [`AccessLog::reopen`].
    File(PathBuf),
    /// Whatever this opens.
    Writer(fn() -> Box<dyn Write + Send>),
}

/// How the log itself fares.
#[derive(Debug, Default)]
pub struct Tally {
    written: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
}

impl Tally {
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that there was no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Failures to write, or to open the file again.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

/// An open log. Dropping it writes out what was handed over by then.
#[derive(Debug)]
pub struct AccessLog {
    entrance: Entrance,
    thread: Option<JoinHandle<()>>,
}

/// Where records are handed over.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    records: SyncSender<Message>,
    shared: Arc<Shared>,
    sample: Sample,
}

#[derive(Debug, Default)]
struct Shared {
    tally: Arc<Tally>,
    reopen: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Wake,
    Close,
}

impl AccessLog {
    /// Opens the log and starts its thread.
    ///
    /// Fails with [`Error::Usage`] if the file can't be opened for writing, or is a folder.
    pub fn open(settings: &Settings) -> Result<Self> {
        let refuse = |path: &Path, error: io::Error| Error::Usage {
            message: format!("could not write the access log `{}`: {error}", path.display()),
            help: "name a file that the current user may write, in a folder that exists, or `-` for stdout".to_owned(),
        };
        let (out, path): (Box<dyn Write + Send>, _) = match &settings.output {
            Output::File(path) => (Box::new(append(path).map_err(|error| refuse(path, error))?), Some(path.clone())),
            Output::Writer(open) => (open(), None),
        };
        let (records, receiver) = sync_channel(CAPACITY);
        let shared = Arc::new(Shared::default());
        let mut writer =
            Writer { out: BufWriter::new(out), path, format: settings.format, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(move || writer.run(&receiver)).map_err(Error::io("start a thread in", "."))?;
        let entrance = Entrance { records, shared, sample: Sample::new(settings.sample) };
        Ok(AccessLog { entrance, thread: Some(thread) })
    }

    pub(super) fn entrance(&self) -> Entrance {
        self.entrance.clone()
    }

    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.entrance.shared.tally)
    }

    /// Lets go of the file and opens what lies at its path now, for programs that have renamed it (logrotate).
    pub fn reopen(&self) {
        self.entrance.shared.reopen.store(true, Ordering::Release);
        // Where there is no room for it, the thread is awake.
        let _ = self.entrance.records.try_send(Message::Wake);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && self.entrance.records.send(Message::Close).is_ok()
        {
            let _ = thread.join();
        }
    }
}

impl Entrance {
    /// Whether the next request is among those that are written.
    pub fn wants(&self) -> bool {
        self.sample.draw()
    }

    /// Never waits.
    pub fn hand_over(&self, record: Box<Record>) {
        match self.records.try_send(Message::Record(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.tally.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
    /// Where it can be opened anew.
    path: Option<PathBuf>,
    format: LogFormat,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&mut self, records: &Receiver<Message>) {
        let (mut clock, mut line) = (Clock::default(), Vec::new());
        let mut flushed = Instant::now();
        loop {
            let mut next = match records.recv_timeout(FLUSH.saturating_sub(flushed.elapsed())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Close),
            };
            let is_awake = next.is_some();
            while let Some(message) = next {
                match message {
                    Message::Record(record) => self.write(&record, &mut clock, &mut line),
                    Message::Wake => {}
                    Message::Close => return self.flush(),
                }
                next = records.try_recv().ok();
            }
            if self.shared.reopen.swap(false, Ordering::Acquire) {
                self.reopen();
            }
            if flushed.elapsed() >= FLUSH {
                self.flush();
                flushed = Instant::now();
            }
            if is_awake {
                std::thread::sleep(GATHER);
            }
        }
    }

    fn write(&mut self, record: &Record, clock: &mut Clock, line: &mut Vec<u8>) {
        line.clear();
        write_line(line, self.format, record, clock);
        match self.out.write_all(line) {
            Ok(()) => {
                self.shared.tally.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.failed("write", &error),
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.failed("write", &error);
        }
    }

    /// What was written before goes to the old file; it is kept if there is no new one.
    fn reopen(&mut self) {
        self.flush();
        let Some(path) = &self.path else { return };
        match append(path) {
            Ok(file) => self.out = BufWriter::new(Box::new(file)),
            Err(error) => self.failed("open", &error),
        }
    }

    fn failed(&self, what: &str, error: &io::Error) {
        self.shared.tally.errors.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, path = ?self.path, "could not {what} the access log");
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Draws so many of all, without a lock.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Of 2^32 numbers that can be drawn, those below it are taken.
    below: u64,
}

impl Sample {
    fn new(part: f64) -> Self {
        // A cast of a float saturates, so what is out of bounds is none or all.
        Sample { below: (part * (1u64 << 32) as f64) as u64 }
    }

    fn draw(self) -> bool {
        use std::cell::Cell;
        use std::hash::{BuildHasher, RandomState};
        thread_local! {
            static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
        }
        if self.below > u64::from(u32::MAX) {
            return true;
        }
        // Marsaglia's xorshift64*, https://doi.org/10.18637/jss.v008.i14: the upper half is good enough to choose lines by.
        STATE.with(|state| {
            let mut x = state.get();
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            state.set(x);
            x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32 < self.below
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fixture::record;
    use std::sync::{Condvar, Mutex};

    fn open(path: &Path) -> AccessLog {
        let output = Output::File(path.to_owned());
        AccessLog::open(&Settings { output, format: LogFormat::Combined, sample: 1.0 }).unwrap()
    }

    fn lines(path: &Path) -> usize {
        std::fs::read_to_string(path).unwrap().lines().count()
    }

    #[test]
    fn all_that_was_handed_over_is_written_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        std::fs::write(&path, "a line of before\n").unwrap();
        let log = open(&path);
        let (tally, entrance) = (log.tally(), log.entrance());
        (0..1000).for_each(|_| entrance.hand_over(Box::new(record())));
        drop(log);
        assert_eq!(lines(&path), 1001);
        entrance.hand_over(Box::new(record()));
        assert_eq!((tally.written(), tally.dropped(), tally.errors()), (1000, 1, 0), "nobody writes any more");
    }

    #[test]
    fn a_line_is_in_the_file_within_two_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let log = open(&path);
        log.entrance().hand_over(Box::new(record()));
        let late = Instant::now() + Duration::from_secs(20);
        while lines(&path) == 0 {
            assert!(Instant::now() < late);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_renamed_file_is_let_go_of() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let log = open(&path);
        log.entrance().hand_over(Box::new(record()));
        std::fs::rename(&path, &old).unwrap();
        log.reopen();
        let late = Instant::now() + Duration::from_secs(20);
        while !path.exists() {
            assert!(Instant::now() < late);
            std::thread::sleep(Duration::from_millis(10));
        }
        log.entrance().hand_over(Box::new(record()));
        drop(log);
        assert_eq!((lines(&old), lines(&path)), (1, 1));
    }

    #[test]
    fn a_file_that_can_not_be_opened_again_is_counted_and_the_old_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        std::fs::create_dir(&inner).unwrap();
        let log = open(&inner.join("a.log"));
        let moved = folder.path().join("moved");
        std::fs::rename(&inner, &moved).unwrap();
        log.reopen();
        let late = Instant::now() + Duration::from_secs(20);
        while log.tally().errors() == 0 {
            assert!(Instant::now() < late);
            std::thread::sleep(Duration::from_millis(10));
        }
        log.entrance().hand_over(Box::new(record()));
        drop(log);
        assert_eq!(lines(&moved.join("a.log")), 1);
    }

    #[test]
    fn a_place_that_can_not_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/such/folder/a.log")] {
            let output = Output::File(path.clone());
            let error = AccessLog::open(&Settings { output, format: LogFormat::Json, sample: 1.0 }).unwrap_err();
            assert!(error.to_string().contains(&format!("the access log `{}`", path.display())), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    /// Blocks whoever writes until the test lets them.
    static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut open = GATE.0.lock().unwrap();
            while !*open {
                open = GATE.1.wait(open).unwrap();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_hangs_costs_lines_and_not_requests() {
        let output = Output::Writer(|| Box::new(Stuck));
        let log = AccessLog::open(&Settings { output, format: LogFormat::Json, sample: 1.0 }).unwrap();
        let entrance = log.entrance();
        let start = Instant::now();
        let all = 4 * CAPACITY as u64;
        (0..all).for_each(|_| entrance.hand_over(Box::new(record())));
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits");
        let tally = log.tally();
        assert!(tally.dropped() > 0);
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
        drop(log);
        assert_eq!(tally.written() + tally.dropped(), all, "none is lost without being counted");
    }

    #[test]
    fn a_sample_is_of_the_size_that_was_asked_for() {
        let drawn = |part: f64| (0..100_000).filter(|_| Sample::new(part).draw()).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 100_000));
        let tenth = drawn(0.1);
        assert!((9_000..11_000).contains(&tenth), "{tenth}");
    }
}

//! A program that was started for the bench: what it takes, with all that it starts itself, and its end.
//!
//! Each has a process group of its own, which ends with this value, and also if the bench itself is killed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::report::Missing;

/// How long a server may take until it accepts a connection. Varnish compiles its configuration, which takes a while where many start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits beside the program for the bench's end of a pipe to be closed, then ends the whole group. What can't be caught (a kill, a
/// crash) closes it too.
const WATCH: &str = "exec 3<&0; (read _ <&3; kill -KILL 0) >/dev/null 2>&1 & exec \"$@\" 3<&- </dev/null";

/// A command line, to be started as a process.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    /// Where it runs.
    place: PathBuf,
    variables: Vec<(String, OsString)>,
    without: Vec<&'static str>,
    cores: Option<String>,
}

impl Launch {
    /// Runs in `folder`, which also takes its log.
    pub fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Launch {
            program: program.into(),
            arguments: Vec::new(),
            place: folder.clone(),
            folder,
            variables: Vec::new(),
            without: Vec::new(),
            cores: None,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Does not see a variable of this process.
    pub fn without(mut self, name: &'static str) -> Self {
        self.without.push(name);
        self
    }

    /// Runs elsewhere than where its log is.
    pub fn inside(mut self, place: PathBuf) -> Self {
        self.place = place;
        self
    }

    /// A list as `taskset` takes it; none leaves the choice to the system.
    pub fn on(mut self, cores: Option<&str>) -> Self {
        self.cores = cores.map(str::to_owned);
        self
    }

    /// As one would type it, where its log is.
    pub fn line(&self) -> String {
        let place = (self.place != self.folder).then(|| format!("cd {} &&", quoted(self.place.as_os_str())));
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str));
        place.into_iter().chain(variables).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
    }

    /// Starts it; its output goes to a log.
    pub fn start(&self) -> io::Result<Process> {
        let log = self.folder.join("log");
        let file = File::create(&log)?;
        self.spawn(log, Stdio::from(file.try_clone()?), file)
    }

    /// Starts it, with its output to be read here.
    pub fn start_piped(&self) -> io::Result<(Process, ChildStdout)> {
        let log = self.folder.join("log");
        let file = File::create(&log)?;
        let mut process = self.spawn(log, Stdio::piped(), file)?;
        let stdout = process.child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
        Ok((process, stdout))
    }

    /// Starts it, to be spoken to. It has to end by itself when it is no longer spoken to.
    pub fn start_talking(&self) -> io::Result<(Process, ChildStdin, ChildStdout)> {
        let log = self.folder.join("log");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.place).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Process { child, log, _held: None };
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok((process, stdin, stdout)),
            _ => Err(io::Error::other("it has no pipes")),
        }
    }

    fn spawn(&self, log: PathBuf, stdout: Stdio, stderr: File) -> io::Result<Process> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCH, "sh"]);
        if let Some(cores) = &self.cores {
            command.args(["taskset", "-c", cores]);
        }
        command.arg(&self.program).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in &self.without {
            command.env_remove(name);
        }
        command.current_dir(&self.place).process_group(0);
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        let mut child = command.spawn()?;
        let held = child.stdin.take();
        Ok(Process { child, log, _held: held })
    }
}

/// Ends when it is dropped, and all that it has started with it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// While this is open, the watcher waits.
    _held: Option<ChildStdin>,
}

impl Process {
    /// The number of its group, which is its own.
    pub fn group(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts connections there.
    pub async fn answers(&mut self, address: SocketAddr) -> Result<(), Missing> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Loopback answers at once, whoever listens or not.
            if TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {
                return Ok(());
            }
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Missing {
            reason: format!("it does not answer at {address}: {}", self.last_words()),
            remedy: "run its command by hand to see what it lacks".to_owned(),
        })
    }

    /// The end of what it has written.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// For a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What some groups of processes take together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Vec<u32>);

impl Meter {
    pub fn of<'p>(processes: impl IntoIterator<Item = &'p Process>) -> Self {
        Meter(processes.into_iter().map(Process::group).collect())
    }

    /// Whether there is anything to measure.
    pub fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Microseconds on a core so far: of all threads of all processes, as the scheduler counts them. Of those that have ended, what is
    /// known of their processes counts, which is no finer than a tick.
    pub fn cpu_us(&self) -> u64 {
        let of = |id: u32| {
            let threads = entries(&format!("/proc/{id}/task")).into_iter();
            let alive = threads.filter_map(|thread| on_core(&thread.join("schedstat"))).sum::<u64>() / 1000;
            let [own, ended] = in_all(id).unwrap_or_default();
            alive.max(own) + ended
        };
        self.processes().into_iter().map(of).sum()
    }

    /// Bytes of resident memory; what is shared counts once (the proportional set size).
    pub fn memory(&self) -> u64 {
        let text = |id| std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok();
        let kilobytes = |text: String| {
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        };
        self.processes().into_iter().filter_map(text).filter_map(kilobytes).sum::<u64>() << 10
    }

    /// All of the groups, but for the watchers.
    fn processes(&self) -> Vec<u32> {
        let in_group = |id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // The name in brackets may hold anything; state, parent and group follow.
            let group = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse().ok());
            group.is_some_and(|group: u32| self.0.contains(&group))
        };
        let is_watcher = |id: &u32| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == WATCH.as_bytes())
        };
        let ids = entries("/proc").into_iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok());
        ids.filter(in_group).filter(|id| !is_watcher(id)).collect()
    }
}

/// Microseconds that this thread was on a core so far.
pub fn own_cpu_us() -> u64 {
    on_core(Path::new("/proc/thread-self/schedstat")).unwrap_or(0) / 1000
}

fn on_core(schedstat: &Path) -> Option<u64> {
    std::fs::read_to_string(schedstat).ok()?.split(' ').next()?.parse().ok()
}

/// What Linux counts in where programs read it, whatever its own clock does (`USER_HZ`).
const TICK_US: u64 = 10_000;

/// Microseconds of a process with all threads that it has had, and of its children that have ended: user and system time of both
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
fn in_all(id: u32) -> Option<[u64; 2]> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in brackets may hold anything; the state follows, which is the third.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: Vec<u64> = rest.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse().ok()).collect();
    let [user, system, children_user, children_system] = ticks.try_into().ok()?;
    Some([(user + system) * TICK_US, (children_user + children_system) * TICK_US])
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

/// Below those that Linux takes for connections that go out: who knocks at one of these before anybody listens there may get it as
/// its own port, and be connected to itself.
const PORTS: Range<u16> = 10_240..32_768;

/// An address of loopback that nobody listened at just now, and that was not given to anybody before.
pub fn free_address() -> io::Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1000 {
        let port = fastrand::u16(PORTS);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let is_new = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if is_new && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::other("there is no free port"))
}

/// The program of that name, where the shell would find it. Debian keeps servers beside `bin`, in `sbin`, which few users search.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let with_sbin = folders.flat_map(|folder| {
        let beside = folder.file_name().filter(|name| *name == "bin").map(|_| folder.with_file_name("sbin"));
        std::iter::once(folder).chain(beside)
    });
    with_sbin.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What it says of its version, in its first line.
pub fn version(program: &Path, argument: &str) -> Option<String> {
    let out = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.bytes().any(|byte| byte.is_ascii_digit()))?;
    Some(line.trim().to_owned())
}

/// Which cores servers have, and which those who ask.
#[derive(Debug, Clone, Default)]
pub struct Cores {
    /// As `taskset` takes it; none if there is one core for all, or no `taskset`.
    pub servers: Option<String>,
    pub clients: Option<String>,
    /// How many the servers have.
    pub count: usize,
}

impl Cores {
    /// One half each.
    pub fn split() -> Self {
        let all = allowed();
        if all.len() < 2 || find("taskset").is_none() {
            return Cores { count: all.len().max(1), ..Cores::default() };
        }
        let (servers, clients) = all.split_at(all.len() / 2);
        let list = |cores: &[usize]| Some(cores.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        Cores { servers: list(servers), clients: list(clients), count: servers.len() }
    }

    /// From here on this process, all its threads, runs on the clients' cores.
    pub fn pin_client(&self) {
        if let Some(cores) = &self.clients {
            let own = std::process::id().to_string();
            let _ = Command::new("taskset").args(["-a", "-c", "-p", cores, &own]).output();
        }
    }
}

fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_measured_and_ends_whole() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sh -c 'while :; do :; done' & echo $! > child; while :; do :; done";
        let process = Launch::new("/bin/sh", folder.path()).args(["-c", script]).start().unwrap();
        let meter = Meter::of([&process]);
        let begun = Instant::now();
        while meter.cpu_us() < 50_000 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it runs");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(meter.memory() > 0);
        let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
        let is_alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        assert!(is_alive());
        drop(process);
        let begun = Instant::now();
        while is_alive() {
            assert!(begun.elapsed() < Duration::from_secs(5), "the child ends too");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_children_took_is_not_lost_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; touch done; sleep 30";
        let process = Launch::new("/bin/sh", folder.path()).args(["-c", script]).start().unwrap();
        let (meter, begun) = (Meter::of([&process]), Instant::now());
        while !folder.path().join("done").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it comes to its end");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(meter.cpu_us() > 50_000, "{}", meter.cpu_us());
    }

    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        let launch = Launch::new("/bin/sh", "/a").args(["-c", "exec it's"]).variable("PORT", "80");
        assert_eq!(launch.line(), r"PORT=80 /bin/sh -c 'exec it'\''s'");
        assert_eq!(launch.inside("/b c".into()).line(), r"cd '/b c' && PORT=80 /bin/sh -c 'exec it'\''s'");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}

//! The one fixture: a site in a folder of its own, and the program run on it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::setup::program;

/// Written fluently: `Site::new().asset("css/a.css", "…").template("index.html", "…")`.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Site { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The project's own site, copied.
    pub fn sample() -> Self {
        let site = Site::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["assets", "templates"] {
            copy(&root.join(name), &site.root().join(name));
        }
        copy(&root.join("fingerpost.toml"), &site.root().join("fingerpost.toml"));
        site
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(path, text);
        self
    }

    pub fn asset(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(&format!("assets/{path}"), text)
    }

    pub fn template(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.file(&format!("templates/{path}"), text)
    }

    pub fn config(self, text: &str) -> Self {
        self.file("fingerpost.toml", text)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let out = self.command(arguments).output().expect("the program runs");
        Run {
            code: out.status.code(),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(self.root()).args(arguments);
        for (name, _) in std::env::vars()
            .filter(|(name, _)| name.starts_with("FINGERPOST_") || name.starts_with("AWS_") || name == "RUST_LOG")
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Builds it, which has to succeed.
    pub fn build(&self, arguments: &[&str]) -> Dist {
        let run = self.run(&[&["build"], arguments].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        Dist { tree: tree(&self.root().join("dist")) }
    }

    /// Runs a command that serves, until the value is dropped.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(self.command(arguments))
    }
}

/// A stylesheet that is worth compressing, whatever a minifier does to it.
pub fn long_stylesheet() -> String {
    (0..200).map(|index| format!(".c{index} {{ margin: {index}px; color: rgb({index}, 1, 2) }}\n")).collect()
}

/// So many bytes that no compressor shortens, others for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Copies a file, or a folder with all in it.
pub fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).expect("a copy");
    }
}

/// What a run printed.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// What a build made, as it was then.
pub struct Dist {
    tree: BTreeMap<String, Vec<u8>>,
}

impl Dist {
    pub fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(self.bytes(path)).into_owned()
    }

    pub fn bytes(&self, path: &str) -> &[u8] {
        self.tree.get(path).unwrap_or_else(|| panic!("no {path}; there are {:#?}", self.names()))
    }

    pub fn manifest(&self) -> serde_json::Value {
        serde_json::from_str(&self.read(".fingerpost/manifest.json")).expect("JSON")
    }

    /// The file that a logical path became.
    pub fn named(&self, path: &str) -> String {
        let manifest = self.manifest();
        let file = manifest["entries"][path]["file"].as_str();
        file.unwrap_or_else(|| panic!("no entry {path} in {:#}", manifest["entries"])).to_owned()
    }

    /// Every file with its bytes.
    pub fn tree(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.tree
    }

    pub fn names(&self) -> Vec<String> {
        self.tree.keys().cloned().collect()
    }
}

/// Every file below a folder with its bytes.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(next) = queue.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                queue.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                out.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    out
}

/// A command that serves.
pub struct Server {
    child: Child,
    pub address: String,
    /// Of the admin listener, if there is one.
    pub admin: String,
    lines: mpsc::Receiver<String>,
    /// All that it said on stderr.
    said: Arc<Mutex<String>>,
    stdout: Option<JoinHandle<Vec<u8>>>,
}

impl Server {
    /// One that says where it listens.
    pub fn start(command: Command) -> Self {
        let mut server = Server::spawn(command);
        let address = |line: String| line.rsplit('/').next().expect("an address").to_owned();
        let mut line = server.wait_for(" on http");
        if line.contains("admin on ") {
            server.admin = address(line);
            line = server.wait_for("listening on http");
        }
        server.address = address(line);
        server
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let mut stdout = child.stdout.take().expect("stdout");
        let stdout = std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).expect("stdout");
            text
        });
        let (send, lines) = mpsc::channel();
        let said = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                all.lock().expect("whole").push_str(&format!("{line}\n"));
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Server { child, address: String::new(), admin: String::new(), lines, said, stdout: Some(stdout) }
    }

    /// All that it said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("whole").clone()
    }

    /// The next line on stderr that has this in it.
    pub fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("`{text}` was not said ({error}), but: {seen:#?}"),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Waits for its end, and gives what it wrote to stdout.
    pub fn stdout(mut self) -> String {
        self.wait();
        let text = self.stdout.take().expect("once").join().expect("stdout");
        String::from_utf8_lossy(&text).into_owned()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Waits for its end, and gives the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

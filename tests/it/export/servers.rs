//! Other people's servers, each with what was exported for it, on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::site::Site;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Caddy,
    Apache,
}

impl Program {
    pub const ALL: [Program; 3] = [Program::Nginx, Program::Caddy, Program::Apache];

    pub fn name(self) -> &'static str {
        match self {
            Program::Nginx => "nginx",
            Program::Caddy => "caddy",
            Program::Apache => "apache",
        }
    }

    /// Whether the server has its own way with the path, before any rule: `docs/export.md` says so.
    pub fn differs(self, path: &str) -> bool {
        match self {
            Program::Nginx => path.contains("%00") || path.contains("/../"),
            Program::Apache => ["%00", "/../", "%3F"].iter().any(|part| path.contains(part)),
            // A brace or a question mark in a name.
            Program::Caddy => ["%00", "/../", "%7B", "%7D", "%3F"].iter().any(|part| path.contains(part)),
        }
    }
}

/// A server that runs until the value is dropped.
pub struct Peer {
    child: Child,
    folder: tempfile::TempDir,
    pub address: String,
}

impl Peer {
    pub fn start(site: &Site, program: Program, environment: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let address = address.to_string();
        let rules = folder.path().join("rules");
        let output = rules.to_string_lossy().into_owned();
        let run =
            site.run(&["export", program.name(), "--env", environment, "--listen", &address, "--output", &output]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "exported");
        let mut command = match program {
            Program::Nginx => nginx(folder.path()),
            Program::Caddy => caddy(folder.path()),
            Program::Apache => apache(site, folder.path(), &address),
        };
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().expect("the server starts");
        let mut peer = Peer { child, folder, address };
        peer.wait();
        peer
    }

    fn wait(&mut self) {
        let late = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&self.address).is_err() {
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none() && Instant::now() < late, "it does not listen: {ended:?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // By the signal that lets it end its workers.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn nginx(folder: &Path) -> Command {
    let at = folder.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let text = format!(
        "{user}\ninclude /etc/nginx/modules-enabled/*.conf;\ndaemon off;\nmaster_process off;\npid {at}/pid;\n\
         error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {at}/rules;\n}}\n"
    );
    std::fs::write(folder.join("conf"), text).expect("a file");
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c"]).arg(folder.join("conf"));
    command
}

fn caddy(folder: &Path) -> Command {
    let text = format!("{{\n\tadmin off\n}}\nimport {}/rules\n", folder.display());
    std::fs::write(folder.join("Caddyfile"), text).expect("a file");
    let mut command = Command::new("caddy");
    command.env("HOME", folder).args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    command
}

/// Its workers are never root, and have to find the way to the files all the same.
fn apache(site: &Site, folder: &Path, address: &str) -> Command {
    use std::os::unix::fs::PermissionsExt;
    for open in [site.root(), folder] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o755)).expect("its owner's right");
    }
    let modules: String = ["mpm_event", "authz_core", "rewrite", "headers", "mime", "env", "dir"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let at = folder.display();
    let text = format!(
        "ServerRoot {at}\nPidFile {at}/pid\nMutex file:{at} default\nServerName localhost\n{modules}{user}\
         TypesConfig /etc/mime.types\nErrorLog {at}/errors\nListen {address}\nInclude {at}/rules\n"
    );
    std::fs::write(folder.join("conf"), text).expect("a file");
    let mut command = Command::new("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(folder.join("conf"));
    command
}

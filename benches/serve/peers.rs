//! The servers, each as its manual would have one set it up for files that never change, on one worker and without a log.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::processes;

/// The core of the servers, and that of who asks them.
pub const SERVER: &str = "0";
pub const CLIENT: &str = "1";

/// What is served, and where a server may put its own files.
pub struct Ground<'a> {
    pub program: &'a Path,
    pub bare: &'a Path,
    pub out: &'a Path,
    pub scratch: &'a Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    /// Over plain TCP, as both sides know.
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    Fingerpost,
    Bare,
    Nginx,
    Lighttpd,
    H2o,
    StaticWebServer,
}

impl Peer {
    pub const ALL: [Peer; 6] =
        [Peer::Fingerpost, Peer::Bare, Peer::Nginx, Peer::Lighttpd, Peer::H2o, Peer::StaticWebServer];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Fingerpost => "fingerpost",
            Peer::Bare => "bare hyper",
            Peer::Nginx => "nginx",
            Peer::Lighttpd => "lighttpd",
            Peer::H2o => "h2o",
            Peer::StaticWebServer => "static-web-server",
        }
    }

    /// The program, or how to come by it.
    fn program(self, ground: &Ground<'_>) -> Result<PathBuf, String> {
        let found = |names: &[&str]| names.iter().map(PathBuf::from).find(|path| path.exists());
        match self {
            Peer::Fingerpost => Ok(ground.program.to_owned()),
            Peer::Bare => Ok(ground.bare.to_owned()),
            Peer::Nginx => {
                found(&["/usr/sbin/nginx"]).ok_or("`apt-get install nginx libnginx-mod-http-brotli-static`".to_owned())
            }
            Peer::Lighttpd => found(&["/usr/sbin/lighttpd"]).ok_or("`apt-get install lighttpd`".to_owned()),
            Peer::H2o => found(&["/usr/bin/h2o"]).ok_or("`apt-get install h2o`".to_owned()),
            Peer::StaticWebServer => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/static-web-server");
                path.exists()
                    .then_some(path)
                    .ok_or("`cargo install static-web-server --version 2.44.1 --locked --root target/tools`".to_owned())
            }
        }
    }

    /// What the program calls itself.
    pub fn version(self, ground: &Ground<'_>) -> Result<String, String> {
        let program = self.program(ground)?;
        let argument = match self {
            Peer::Bare => return Ok("bare hyper of this commit".to_owned()),
            Peer::Nginx | Peer::Lighttpd => "-v",
            _ => "--version",
        };
        let out = Command::new(program).arg(argument).output().map_err(|error| error.to_string())?;
        let text = [out.stdout, out.stderr].concat();
        Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
    }

    pub fn start(self, ground: &Ground<'_>, protocol: Protocol) -> Result<Running, String> {
        let program = self.program(ground)?;
        let port = free_port();
        let folder = ground.scratch.join(format!("{}-{port}", self.name().replace(' ', "-")));
        fs::create_dir_all(&folder).expect("a folder");
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let (out, own) = (ground.out.display(), folder.display());
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", SERVER]).arg(&program).current_dir(&folder);
        match self {
            Peer::Fingerpost => {
                command.args(["serve", "--quiet", "--listen", &format!("127.0.0.1:{port}"), "--out"]).arg(ground.out);
            }
            Peer::Bare => {
                let protocol = if protocol == Protocol::Http2 { "h2" } else { "h1" };
                command.arg(port.to_string()).arg(ground.out).arg(protocol);
            }
            Peer::Nginx => {
                let http2 = if protocol == Protocol::Http2 { " http2" } else { "" };
                let config = file(
                    "nginx.conf",
                    format!(
                        "load_module /usr/lib/nginx/modules/ngx_http_brotli_static_module.so;\n\
                         worker_processes 1; daemon off; pid {own}/pid; error_log {own}/error.log;\n\
                         events {{ worker_connections 20000; multi_accept on; }}\n\
                         http {{\n include /etc/nginx/mime.types; types_hash_max_size 2048; access_log off;\n\
                         sendfile on; tcp_nopush on; tcp_nodelay on; gzip_static on; brotli_static on;\n\
                         keepalive_requests 1000000000; keepalive_timeout 75;\n\
                         client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;\n\
                         uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
                         open_file_cache max=200000 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1;\n\
                         server {{ listen 127.0.0.1:{port}{http2} backlog=4096; root {out};\n\
                         location /assets/ {{ add_header Cache-Control 'public, max-age=31536000, immutable'; }} }}\n}}\n"
                    ),
                );
                command.arg("-c").arg(config);
            }
            Peer::Lighttpd => {
                let config = file(
                    "lighttpd.conf",
                    format!(
                        "server.document-root = \"{out}\"\nserver.port = {port}\nserver.bind = \"127.0.0.1\"\n\
                         server.max-keep-alive-requests = 60000\nserver.max-connections = 20000\nserver.max-fds = 65536\n\
                         server.modules = (\"mod_setenv\")\nserver.errorlog = \"{own}/error.log\"\n\
                         mimetype.assign = (\".jpg\" => \"image/jpeg\", \".txt\" => \"text/plain\", \"\" => \"application/octet-stream\")\n\
                         $HTTP[\"url\"] =^ \"/assets/\" {{ setenv.add-response-header = \
                         (\"Cache-Control\" => \"public, max-age=31536000, immutable\") }}\n"
                    ),
                );
                command.arg("-D").arg("-f").arg(config);
            }
            Peer::H2o => {
                let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
                let config = file(
                    "h2o.yaml",
                    format!(
                        // As whoever runs this: by default it becomes `nobody`, who may read nothing here.
                        "user: {user}\nlisten:\n  host: 127.0.0.1\n  port: {port}\nnum-threads: 1\nmax-connections: 20000\n\
                         pid-file: {own}/pid\nerror-log: {own}/error.log\nhttp1-request-timeout: 75\n\
                         hosts:\n  default:\n    paths:\n      /:\n        file.dir: {out}\n        file.send-compressed: ON\n        \
                         header.set: \"Cache-Control: public, max-age=31536000, immutable\"\n"
                    ),
                );
                command.arg("-c").arg(config);
            }
            Peer::StaticWebServer => {
                if protocol == Protocol::Http2 {
                    return Err("it speaks HTTP/2 over TLS only".to_owned());
                }
                command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--root"]).arg(ground.out);
                command.args(["--log-level", "error", "--compression-static", "true", "--compression", "false"]);
                command.args(["--threads-multiplier", "1", "--grace-period", "0"]);
            }
        }
        let log = fs::File::create(folder.join("log")).expect("a file");
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a file")).stdout(log);
        Running::start(command, port)
            .ok_or_else(|| format!("it does not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default()))
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A server on its core; it ends with this.
pub struct Running {
    pub port: u16,
    child: Child,
}

impl Running {
    /// Runs a command that listens there; none if it doesn't.
    pub fn start(mut command: Command, port: u16) -> Option<Self> {
        let mut running = Running { port, child: command.spawn().ok()? };
        running.answers().then_some(running)
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn answers(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if TcpStream::connect(self.address()).is_ok() {
                return true;
            }
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Nanoseconds on a core so far: of all threads of all its processes, by the scheduler's own count.
    pub fn cpu(&self) -> u64 {
        let threads = processes::family(self.child.id()).into_iter().flat_map(processes::threads);
        threads
            .filter_map(|thread| {
                fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
            })
            .sum()
    }

    /// Bytes of memory, shared ones by halves (the proportional set size).
    pub fn memory(&self) -> u64 {
        let rollups = processes::family(self.child.id())
            .into_iter()
            .filter_map(|id| fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok());
        let pss = |text: String| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().trim_end_matches(" kB").parse::<u64>();
            Some(line.ok()? << 10)
        };
        rollups.filter_map(pss).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Those that nginx has started end with it, if it is asked and not killed.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

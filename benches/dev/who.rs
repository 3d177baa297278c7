//! The servers that are worked with.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program;
use crate::sites::Site;
use crate::{peers, processes};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Fingerpost,
    Vite,
    Esbuild,
}

impl Who {
    pub const ALL: [Who; 3] = [Who::Fingerpost, Who::Vite, Who::Esbuild];

    pub fn name(self) -> &'static str {
        match self {
            Who::Fingerpost => "fingerpost",
            Who::Vite => "vite",
            Who::Esbuild => "esbuild",
        }
    }

    fn command(self, site: &Site, port: u16) -> Command {
        let mut command = match self {
            Who::Fingerpost => {
                let mut command = Command::new(program());
                command.args(["dev", "--quiet", "--strict-port", "--listen", &format!("127.0.0.1:{port}")]);
                command
            }
            Who::Vite => {
                let mut command = Command::new("node");
                command.arg(peers::vite()).args(["--port", &port.to_string(), "--strictPort", "--host", "127.0.0.1"]);
                command
            }
            Who::Esbuild => {
                let mut command = Command::new(peers::esbuild());
                let sheets = std::fs::read_dir(site.root().join("assets/css")).expect("stylesheets");
                let sheets =
                    sheets.map(|entry| format!("assets/css/{}", entry.expect("one").file_name().to_string_lossy()));
                command.arg("assets/js/entry.js").args(sheets);
                command.args([
                    "--bundle",
                    "--format=esm",
                    "--sourcemap=inline",
                    "--log-level=error",
                    "--outbase=assets",
                    "--outdir=www",
                    "--servedir=www",
                    "--watch=forever",
                    &format!("--serve=127.0.0.1:{port}"),
                ]);
                command
            }
        };
        command.current_dir(site.root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Where the edited stylesheet is served.
    pub fn sheet(self) -> &'static str {
        match self {
            Who::Fingerpost => "/static/css/7.css",
            Who::Vite => "/assets/css/7.css",
            Who::Esbuild => "/css/7.css",
        }
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    pub started: Instant,
}

impl Server {
    pub fn start(who: Who, site: &Site) -> Self {
        if who == Who::Vite {
            // What it has found out about packages.
            let _ = std::fs::remove_dir_all(site.root().join("node_modules/.vite"));
        }
        let port = free_port();
        let mut command = who.command(site, port);
        let started = Instant::now();
        let child = command.spawn().expect("it starts");
        let server = Server { child, port, started };
        while server.get("/").is_none_or(|page| !page.starts_with("HTTP/1.1 200")) {
            assert!(started.elapsed() < Duration::from_secs(120), "{} does not answer", who.name());
            std::thread::sleep(Duration::from_millis(2));
        }
        server
    }

    /// The whole answer, if there is one.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\naccept: text/html,text/css,*/*\r\nconnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Hundredths of a second that it has worked, and what it has started.
    pub fn ticks(&self) -> u64 {
        processes::ticks(self.child.id())
    }

    /// MiB that it holds now, and what it has started.
    pub fn memory(&self) -> f64 {
        let of = |id: u32| {
            let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0)
        };
        processes::family(self.child.id()).into_iter().map(of).sum::<f64>() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

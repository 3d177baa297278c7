//! Headless Chromium, and visitors with it: each has a cache of their own.

mod fetches;
mod pipe;
mod visitor;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::process::{self, Launch, Process};
use super::report::Missing;
use pipe::Pipe;
pub use visitor::Visitor;

/// Names of the program, in Debian and elsewhere.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// The pipe is on two descriptors more, which the standard library can't set.
const DESCRIPTORS: &str = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null";

pub struct Browser {
    pipe: Pipe,
    /// Sessions of service workers, which ask for things too.
    workers: Vec<String>,
    _process: Process,
}

/// The browser's program.
pub fn find() -> Result<PathBuf, Missing> {
    let chosen = std::env::var_os("FINGERPOST_CHROMIUM").filter(|path| !path.is_empty()).map(PathBuf::from);
    chosen.or_else(|| NAMES.into_iter().find_map(process::find)).ok_or_else(|| Missing {
        reason: "there is no Chromium".to_owned(),
        remedy: "apt-get install chromium, or name one in `FINGERPOST_CHROMIUM`".to_owned(),
    })
}

impl Browser {
    /// Starts one that keeps what it has in `folder`. It takes servers for who they say that have one of these public keys: it has
    /// authorities of its own, and knows nothing of `SSL_CERT_FILE`, by which we have looked at these.
    pub async fn start(program: &Path, folder: &Path, keys: &[String]) -> Result<Self, String> {
        let arguments = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--disable-breakpad",
            "--mute-audio",
            "--enable-unsafe-swiftshader",
        ];
        let mut launch = Launch::new("/bin/sh", folder).args(["-c", DESCRIPTORS, "sh"]).arg(program).args(arguments);
        // It refuses to run as root with its own walls around it.
        if rustix::process::geteuid().is_root() {
            launch = launch.arg("--no-sandbox");
        }
        if !keys.is_empty() {
            launch = launch.arg(format!("--ignore-certificate-errors-spki-list={}", keys.join(",")));
        }
        launch = launch.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        let (process, commands, answers) = launch.start_talking().map_err(|error| error.to_string())?;
        let mut pipe = Pipe::new(commands, answers);
        pipe.call(None, "Browser.getVersion", json!({}))
            .await
            .map_err(|error| format!("{error}: {}", process.last_words()))?;
        let attach = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true,
            "filter": [{ "type": "service_worker" }] });
        pipe.call(None, "Target.setAutoAttach", attach).await?;
        Ok(Browser { pipe, workers: Vec::new(), _process: process })
    }

    async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        self.pipe.call(session, method, params).await
    }
}

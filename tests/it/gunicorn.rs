//! A Flask app under gunicorn.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::flask;
use crate::site::{Server, Site};

/// An app, which gunicorn ends with its workers when it is asked to; were it killed, it would leave them alone.
pub struct App {
    server: Server,
    pub url: String,
}

impl App {
    /// The `app` of a module in the site's root, with variables of its own, and the Python package as its sources are.
    pub fn start(site: &Site, module: &str, variables: &[(&str, &str)]) -> Self {
        let package = package();
        let package = ("PYTHONPATH", package.to_str().expect("a path"));
        App::start_with(&flask("gunicorn"), site, module, &[variables, &[package]].concat())
    }

    /// The same under another gunicorn.
    pub fn start_with(gunicorn: &Path, site: &Site, module: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(gunicorn);
        command.args(["--bind", "127.0.0.1:0", "--threads", "8", &format!("{module}:app")]).current_dir(site.root());
        command.env("PYTHONDONTWRITEBYTECODE", "1").envs(variables.iter().copied());
        let server = Server::spawn(command);
        let line = server.wait_for("Listening at: ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL").to_owned();
        App { server, url }
    }

    /// All that it said.
    pub fn said(&self) -> String {
        self.server.said()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.signal(rustix::process::Signal::TERM);
        self.server.wait();
    }
}

/// Where the Python package's sources are.
pub fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/src")
}

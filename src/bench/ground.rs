//! What all strategies share, in a temporary folder: two releases of the user's site, each built as the strategies need it.

mod sources;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::app;
use super::left::Left;
use super::process::Cores;
use super::report::{Bucket, Emulation, Missing};
use crate::build;
use crate::config::{Config, DEFAULT_FILE, Worker};
use crate::error::{Error, Result};
use crate::fs;
use crate::manifest::{self, Kind, Manifest, Mode};
use crate::progress::{Progress, Silent};

/// The site's configuration with a worker added to it, beside the copied sources.
const WITH_WORKER: &str = "fingerpost-bench-worker.toml";

/// How a release is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Made {
    /// As `build` makes it.
    Site,
    /// As `Site`, with a service worker.
    Worker,
    /// As `Site`, without pages: an application has its own.
    Assets,
    /// As `Site`, with nothing compressed ahead.
    Plain,
    /// What a Flask application has: templates, and static files that are neither minified nor fingerprinted.
    App,
    /// Each source a file of its own.
    Unbundled,
}

/// Of each kind the first release and the second.
pub type Releases = [PathBuf; 2];

pub struct Ground {
    pub folder: TempDir,
    /// The user's own site.
    pub root: PathBuf,
    pub cores: Cores,
    /// This program.
    pub program: PathBuf,
    /// The path of the page that is visited.
    pub page: String,
    /// The first release, and the source that the second changes.
    pub manifest: Manifest,
    pub changed: String,
    /// Names a Python that has Flask and gunicorn.
    pub python: Option<PathBuf>,
    /// Starts the user's own application, in place of the plain one.
    pub app: Option<String>,
    /// The user's own bucket, in place of one that is started.
    pub store: Option<Bucket>,
    /// What a run puts into it.
    pub left: Left,
    /// Whether load may go to other machines.
    pub allow_remote: bool,
    /// How far from the origin there are visitors, each with an edge near them.
    pub distances_ms: Vec<f64>,
    pub emulation: Emulation,
    /// Of the sources of each release.
    configs: [Config; 2],
    /// Their file, if it is not the default one.
    file: Option<PathBuf>,
    made: Mutex<HashMap<Made, Releases>>,
}

/// What is asked for.
pub struct Wanted<'w> {
    pub config: &'w Config,
    /// The configuration's file, if it is not the default one.
    pub file: Option<&'w Path>,
    pub page: &'w str,
    pub program: PathBuf,
    pub python: Option<PathBuf>,
    pub app: Option<String>,
    pub store: Option<Bucket>,
    pub left: Left,
    pub allow_remote: bool,
    pub distances_ms: Vec<f64>,
    pub emulation: Emulation,
}

impl Ground {
    /// Copies the sources twice, changes one of the second, and builds both.
    pub fn prepare(wanted: Wanted<'_>, progress: &dyn Progress) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fingerpost-bench-").tempdir();
        let folder = folder.map_err(Error::io("create a folder in", std::env::temp_dir()))?;
        let (config, file) = (wanted.config, wanted.file.map(|file| config_path(&wanted.config.root, file)));
        let roots = ["site-1", "site-2"].map(|name| folder.path().join(name));
        for root in &roots {
            sources::copy(&config.root, root, &config.out)?;
        }
        let load = |root: &Path| {
            let mut copied = Config::load(root, file.as_deref())?;
            copied.cache = Some(folder.path().join("cache"));
            Ok::<_, Error>(copied)
        };
        let configs = [load(&roots[0])?, load(&roots[1])?];
        let out = folder.path().join("out/site-1");
        let built = build_to(&configs[0], &out, Mode::Production, true, progress)?;
        page_of(&built, wanted.page).ok_or_else(|| no_page(&built, wanted.page))?;
        let changed = sources::change(&configs[1], &built)?;
        let second = folder.path().join("out/site-2");
        let changed_too = build_to(&configs[1], &second, Mode::Production, true, &Silent)?;
        if changed_too.release == built.release {
            return Err(Error::Usage {
                message: format!("a change of `{changed}` does not change what is built"),
                help: "let a page use a stylesheet or a script of the assets folder".to_owned(),
            });
        }
        Ok(Ground {
            root: config.root.clone(),
            cores: Cores::split(),
            program: wanted.program,
            page: wanted.page.to_owned(),
            manifest: built,
            changed,
            python: wanted.python,
            app: wanted.app,
            store: wanted.store,
            left: wanted.left,
            allow_remote: wanted.allow_remote,
            distances_ms: wanted.distances_ms,
            emulation: wanted.emulation,
            configs,
            file,
            made: Mutex::new(HashMap::from([(Made::Site, [out, second])])),
            folder,
        })
    }

    /// The output folders of both releases, built when they are first asked for.
    pub async fn built(&self, made: Made) -> Result<Releases, Missing> {
        let mut all = self.made.lock().await;
        if let Some(releases) = all.get(&made) {
            return Ok(releases.clone());
        }
        let name = format!("{made:?}").to_lowercase();
        let outs = [1, 2].map(|release| self.folder.path().join(format!("out/{name}-{release}")));
        for (config, out) in self.configs.iter().zip(&outs) {
            let (config, file, out) = (config.clone(), self.file.clone(), out.clone());
            let work = move || make(&config, file.as_deref(), &out, made);
            tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??;
        }
        all.insert(made, outs.clone());
        Ok(outs)
    }

    /// The file of the page that is visited, below an output folder.
    pub fn page_file(&self) -> String {
        page_of(&self.manifest, &self.page).unwrap_or_else(|| "index.html".to_owned())
    }
}

/// The site's own configuration, wherever the copy lies.
fn config_path(root: &Path, file: &Path) -> PathBuf {
    let path = root.join(file);
    match path.strip_prefix(root) {
        Ok(below) => below.to_owned(),
        Err(_) => path,
    }
}

fn make(config: &Config, file: Option<&Path>, out: &Path, made: Made) -> Result<(), Missing> {
    match made {
        Made::Site => build_to(config, out, Mode::Production, true, &Silent).map(drop)?,
        Made::Assets => {
            let mut manifest = build_to(config, out, Mode::Production, true, &Silent)?;
            manifest.files.retain(|path, file| !(file.kind == Kind::Page && path.ends_with(".html")));
            fs::write(&out.join(manifest::PATH), manifest.to_json().as_bytes())?;
        }
        Made::Plain => build_to(config, out, Mode::Production, false, &Silent).map(drop)?,
        Made::Worker => {
            build_to(&with_worker(config, file)?, out, Mode::Production, true, &Silent).map(drop)?;
        }
        Made::App => {
            let built = out.with_extension("built");
            let manifest = build_to(config, &built, Mode::Development, false, &Silent)?;
            app::write(&manifest, &built, out)?;
        }
        Made::Unbundled => super::unbundled::write(config, out)?,
    }
    Ok(())
}

fn build_to(config: &Config, out: &Path, mode: Mode, compress: bool, progress: &dyn Progress) -> Result<Manifest> {
    let options = build::Options { out: out.to_owned(), mode, compress, threads: 0 };
    Ok(build::build(config, &options, progress)?.manifest)
}

/// As the site has it, or else with a worker as it is by default.
fn with_worker(config: &Config, file: Option<&Path>) -> Result<Config> {
    if let Some(own) = &config.worker {
        let worker = Worker { register: true, kill: false, ..own.clone() };
        return Ok(Config { worker: Some(worker), ..config.clone() });
    }
    let path = config.root.join(file.unwrap_or(Path::new(DEFAULT_FILE)));
    let mut text = if path.exists() { fs::read_text(&path, DEFAULT_FILE)? } else { String::new() };
    text.push_str("\n[worker]\n");
    fs::write(&config.root.join(WITH_WORKER), text.as_bytes())?;
    let worker = Config::load(&config.root, Some(Path::new(WITH_WORKER)))?;
    Ok(Config { worker: worker.worker, ..config.clone() })
}

/// The file that answers for a page's path: `/about` is `about.html`, or `about/index.html`.
fn page_of(manifest: &Manifest, page: &str) -> Option<String> {
    let name = page.trim_matches('/');
    let names = match name {
        "" => vec!["index.html".to_owned()],
        name => vec![name.to_owned(), format!("{name}.html"), format!("{name}/index.html")],
    };
    names.into_iter().find(|name| manifest.files.get(name).is_some_and(|file| file.kind == Kind::Page))
}

fn no_page(manifest: &Manifest, page: &str) -> Error {
    let pages = manifest.files.iter().filter(|(_, file)| file.kind == Kind::Page).map(|(path, _)| path.as_str());
    let pages: Vec<&str> = pages.filter(|path| path.ends_with(".html")).take(5).collect();
    Error::Usage {
        message: format!("the site has no page `{page}`"),
        help: match pages.as_slice() {
            [] => "the bench visits a page: it needs a site with templates".to_owned(),
            pages => format!("name one with `--page`; there are `{}`", pages.join("`, `")),
        },
    }
}

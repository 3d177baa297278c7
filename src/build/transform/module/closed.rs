//! Scripts that run by themselves, such as workers: each is bundled into one closed file, since no import map reaches into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rolldown::{BundlerBuilder, CodeSplittingMode, InputItem};
use rolldown_common::Output;

use super::minify::minify;
use super::naming::{Naming, stem};
use super::plugin::{Hooks, Scope, lock};
use super::{Job, Module, faults, maps, modules, options};
use crate::build::output::Names;
use crate::error::{Error, Fault};
use crate::fingerprint::Digest;

/// A script in one file.
#[derive(Debug)]
pub struct Closed {
    /// Its path below the prefix without a fingerprint: `js/worker.js`.
    pub path: String,
    /// What the chunks of pages call it: `js/worker~1f0c2a9b.js`.
    pub stable: String,
    /// What other closed scripts call it: its path with the fingerprint.
    pub file: String,
    pub source: PathBuf,
    pub code: String,
    pub map: Option<String>,
    pub modules: Vec<Module>,
    /// The files that it refers to by URL, below the prefix.
    pub files: Vec<String>,
}

impl Closed {
    /// Whether a file is among those that it was made of.
    pub fn has(&self, root: &Path, path: &Path) -> bool {
        self.source == path || self.modules.iter().any(|module| root.join(&module.source) == path)
    }
}

/// Bundles the script at `path`, which the scripts `started_by` start, the last one directly.
pub async fn bundle(job: &Arc<Job>, path: &Path, started_by: &[PathBuf]) -> Result<Arc<Closed>, Fault> {
    if let Some(made) = lock(&job.closed).get(path) {
        return Ok(Arc::clone(made));
    }
    let made = Arc::new(generate(job, path, started_by).await?);
    Ok(Arc::clone(lock(&job.closed).entry(path.to_owned()).or_insert(made)))
}

async fn generate(job: &Arc<Job>, path: &Path, started_by: &[PathBuf]) -> Result<Closed, Fault> {
    let naming = Arc::new(Naming::new(&job.config, &[]));
    let id = path.to_string_lossy();
    let chain = started_by.iter().cloned().chain([path.to_owned()]).collect();
    let hooks = Arc::new(Hooks::new(Arc::clone(job), Scope::Worker(chain)));
    let mut options = options(job, &naming)?;
    options.input = Some(vec![InputItem { name: Some(stem(&id).to_owned()), import: id.clone().into_owned() }]);
    options.code_splitting = Some(CodeSplittingMode::Bool(false));
    let told = |diagnostics: Vec<_>| faults(&job.config, &hooks, &diagnostics).into_fault();
    let mut bundler = BundlerBuilder::default()
        .with_options(options)
        .with_plugins(vec![Arc::clone(&hooks) as _])
        .build()
        .map_err(|error| told(error.into_vec()))?;
    let output = bundler.generate().await.map_err(|error| told(error.into_vec()))?;
    if let Some(sheet) = hooks.sheets().first() {
        let (name, sheet) = (naming.portable(&id), naming.portable(&sheet.to_string_lossy()));
        lock(&job.warnings).insert(format!("`{name}` imports `{sheet}`, which has no effect in a worker"));
    }
    let chunk = output.assets.into_iter().find_map(|asset| match asset {
        Output::Chunk(chunk) => Some(Arc::unwrap_or_clone(chunk)),
        Output::Asset(_) => None,
    });
    let chunk = chunk.ok_or_else(|| Fault::new(format!("nothing is left of `{}`", naming.portable(&id))))?;
    let path_of = format!("{}.js", naming.path(&chunk.name, Some(&id)));
    let stable = naming.stable(&chunk.name, Some(&id), &[]);
    let modules = modules(&naming, &chunk);
    let (code, map) = minify(job, chunk.code, chunk.map, hooks.begun(&chunk.filename)).map_err(Error::into_fault)?;
    let names = Names::of(job.mode);
    Ok(Closed {
        file: match names {
            Names::Fingerprinted => names.name(&path_of, &Digest::of(code.as_bytes())),
            Names::Plain => stable.clone(),
        },
        path: path_of,
        source: path.to_owned(),
        map: map.map(|map| maps::to_json(job, &stable, map)),
        stable,
        code,
        modules,
        files: lock(&hooks.files).values().flatten().cloned().collect(),
    })
}

/// An expression for a URL that a worker may be started from, given the expression of the file's URL.
///
/// Workers have to come from the page's origin (<https://html.spec.whatwg.org/#worker-processing-model>). A file elsewhere
/// is imported by a script that is made on the spot; one in a `data:` URL is shared by all pages, as one in a `blob:` is not.
pub fn same_origin(url: &str, module: bool, shared: bool) -> String {
    let load = match module {
        true => "\"import \" + JSON.stringify(url)",
        false => "\"importScripts(\" + JSON.stringify(url) + \")\"",
    };
    let made = match shared {
        true => format!("\"data:text/javascript,\" + encodeURIComponent({load})"),
        false => format!("URL.createObjectURL(new Blob([{load}], {{ type: \"text/javascript\" }}))"),
    };
    format!("((url) => (new URL(url).origin === location.origin ? url : {made}))({url})")
}

//! How the last build came to its large modules, so that the next one begins with them.
//!
//! The bundler learns of a module once all on the way to it are parsed; what it finds last keeps one thread busy while the others
//! have nothing left to do. A way holds as long as the scripts along it are the same. Where one isn't, nothing is lost but time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rolldown::plugin::PluginContext;
use serde::{Deserialize, Serialize};

use super::Job;
use super::ahead::{LARGE, load, script_for};
use super::naming::Naming;
use super::options::define;
use super::plugin::lock;
use crate::build::discover::{is_compiled_script, is_plain_script};
use crate::fingerprint::Digest;
use crate::fs;

/// The kind of cache entry in which they are kept.
const KIND: &str = "ways";

/// Threads are few; the largest come first.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub struct Ways {
    /// The scripts that are entries, or an entry's, by their paths below the root. Without any, nothing is done.
    starts: BTreeMap<String, PathBuf>,
    is_begun: AtomicBool,
    is_recorded: AtomicBool,
    /// By importer: what it asks for.
    specifiers: Mutex<HashMap<String, BTreeSet<String>>>,
    /// Where known ways have led to.
    reached: Mutex<BTreeSet<String>>,
}

/// From a start, import by import.
#[derive(Debug, Serialize, Deserialize)]
struct Way {
    start: String,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// Of the text of the script that imports.
    digest: String,
    specifier: String,
}

impl Ways {
    /// None are taken and none remembered where nothing is kept.
    pub fn new(job: &Job, naming: &Naming) -> Arc<Self> {
        if !job.cache.is_kept() {
            return Arc::default();
        }
        let start = |path: &PathBuf| (fs::display_name(&job.config.root, path), path.clone());
        Arc::new(Ways {
            starts: naming.inputs().map(start).collect(),
            is_begun: AtomicBool::new(false),
            is_recorded: AtomicBool::new(false),
            specifiers: Mutex::default(),
            reached: Mutex::default(),
        })
    }

    /// Takes note of what a script imports.
    pub fn note(&self, importer: &str, specifier: &str) {
        if self.starts.is_empty() {
            return;
        }
        lock(&self.specifiers).entry(importer.to_owned()).or_default().insert(specifier.to_owned());
    }

    /// Has the bundler begin with what was large in the last build. To be called when it has begun with the entries; does so once.
    pub fn take(self: &Arc<Self>, job: &Arc<Job>, ctx: &PluginContext) {
        if self.starts.is_empty() || self.is_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let known: Vec<Way> = job.cache.recall(KIND, &[self.key(job).as_bytes()]).unwrap_or_default();
        for way in known {
            let (ways, job, ctx) = (Arc::clone(self), Arc::clone(job), ctx.clone());
            tokio::spawn(async move { ways.follow(&job, &ctx, &way).await });
        }
    }

    async fn follow(&self, job: &Job, ctx: &PluginContext, way: &Way) -> Option<()> {
        let mut path = self.starts.get(&way.start)?.clone();
        let mut found = None;
        for step in &way.steps {
            let text = job.host.text(&path).ok()?;
            if Digest::of(text.as_bytes()).to_string() != step.digest {
                return None;
            }
            let module = script_for(ctx, &path.to_string_lossy(), &step.specifier).await?;
            path = PathBuf::from(module.id.as_str());
            found = Some(module);
        }
        let module = found?;
        lock(&self.reached).insert(module.id.to_string());
        load(ctx, &module).await;
        Some(())
    }

    /// Remembers the ways to what is large now, unless they are known. A bundler that is kept does so once.
    pub async fn record(&self, job: &Job, ctx: &PluginContext) {
        if self.starts.is_empty() || self.is_recorded.swap(true, Ordering::Relaxed) {
            return;
        }
        let large = large(job);
        let is_known = |id: &String| self.is_start(id) || lock(&self.reached).contains(id);
        if large.iter().all(is_known) {
            return;
        }
        let mut ways = Vec::new();
        for id in large {
            ways.extend(self.way(job, ctx, &id).await);
        }
        job.cache.remember(KIND, &[self.key(job).as_bytes()], &ways);
    }

    async fn way(&self, job: &Job, ctx: &PluginContext, id: &str) -> Option<Way> {
        let path = self.path(ctx, id)?;
        let start = path.first()?;
        let (start, _) = self.starts.iter().find(|(_, path)| path.as_os_str() == start.as_str())?;
        let mut steps = Vec::new();
        for pair in path.windows(2) {
            let [importer, imported] = pair else { continue };
            let text = lock(&job.loaded).get(&PathBuf::from(importer)).cloned()?;
            let specifiers = lock(&self.specifiers).get(importer).cloned()?;
            // What a transform adds, such as the JSX runtime, depends on more than the text.
            let written = specifiers.into_iter().filter(|specifier| text.contains(specifier.as_str()));
            let mut leading = None;
            for specifier in written {
                let found = script_for(ctx, importer, &specifier).await;
                if found.is_some_and(|found| found.id.as_str() == imported) {
                    leading = Some(specifier);
                    break;
                }
            }
            steps.push(Step { digest: Digest::of(text.as_bytes()).to_string(), specifier: leading? });
        }
        Some(Way { start: start.clone(), steps })
    }

    fn is_start(&self, id: &str) -> bool {
        self.starts.values().any(|path| path.as_os_str() == id)
    }

    /// The modules from a start to this one, by the fewest imports.
    fn path(&self, ctx: &PluginContext, id: &str) -> Option<Vec<String>> {
        // By module: the one on the way to the target.
        let mut next = HashMap::from([(id.to_owned(), None)]);
        let mut queue = VecDeque::from([id.to_owned()]);
        while let Some(id) = queue.pop_front() {
            if self.is_start(&id) {
                let path = std::iter::successors(Some(id), |id| next.get(id).cloned().flatten());
                return Some(path.collect());
            }
            let info = ctx.get_module_info(&id)?;
            let importers: BTreeSet<&str> =
                info.importers.iter().chain(&info.dynamic_importers).map(|id| id.as_str()).collect();
            for importer in importers {
                if !next.contains_key(importer) {
                    next.insert(importer.to_owned(), Some(id.clone()));
                    queue.push_back(importer.to_owned());
                }
            }
        }
        None
    }

    /// What a script imports depends on its text, and on these.
    fn key(&self, job: &Job) -> String {
        let starts: Vec<&String> = self.starts.keys().collect();
        serde_json::json!([job.mode, define(&job.config, job.mode, &job.variables), starts]).to_string()
    }
}

/// The ids of the largest scripts, that first.
fn large(job: &Job) -> Vec<String> {
    let loaded = lock(&job.loaded);
    let mut large: Vec<(usize, String)> = loaded
        .iter()
        .filter(|(_, text)| text.len() >= LARGE)
        .map(|(path, text)| (text.len(), path.to_string_lossy().into_owned()))
        .filter(|(_, id)| is_plain_script(id) || is_compiled_script(id))
        .collect();
    large.sort_by(|a, b| b.cmp(a));
    large.into_iter().take(MOST).map(|(_, id)| id).collect()
}

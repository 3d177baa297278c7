//! The bundler, which may be kept from build to build: then it reads and analyses what has changed, and knows all else.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use arcstr::ArcStr;
use rolldown::{
    Bundle, BundleFactory, BundleFactoryOptions, BundleOutput, CodeSplittingMode, ExperimentalOptions, InputItem,
    ManualCodeSplittingOptions, MatchGroup, MatchGroupName, MatchGroupTest,
};
use rolldown_common::{BundleMode, ChunkingContext, ScanMode};
use rolldown_error::{BuildDiagnostic, BuildResult, DiagnosticOptions, EventKind};

use super::naming::{Naming, stem};
use super::options::options;
use super::plugin::{Hooks, Scope, lock};
use super::references;
use super::{Bundled, EntryModule, Host, Job, collect, effects, faults};
use crate::build::cache::Cache;
use crate::build::discover::{is_compiled_script, is_plain_script};
use crate::build::variables;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::progress::Progress;

pub struct Bundler {
    job: Arc<Job>,
    hooks: Arc<Hooks>,
    naming: Arc<Naming>,
    /// Whether there may be another build.
    lasts: bool,
    /// What it knows of the modules; none while it is at work, or once it is of no more use.
    bundle: Option<Bundle>,
}

impl fmt::Debug for Bundler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundler").field("naming", &self.naming).finish_non_exhaustive()
    }
}

impl Bundler {
    /// `lasts` says whether it may be asked again.
    pub fn new(
        config: &Config,
        mode: Mode,
        entries: &[EntryModule],
        host: Arc<dyn Host>,
        cache: &Arc<Cache>,
        lasts: bool,
    ) -> Result<Self> {
        let naming = Arc::new(Naming::new(config, entries));
        let job = Arc::new(Job::new(config, mode, variables::read(&config.root, mode)?, host, cache));
        let hooks = Arc::new(Hooks::new(Arc::clone(&job), Scope::Page(Arc::clone(&naming))));
        let mut options = options(&job, &naming)?;
        let input = |(entry, id): (&EntryModule, &String)| InputItem {
            name: Some(stem(&entry.name).to_owned()),
            import: id.clone(),
        };
        options.input = Some(entries.iter().zip(naming.ids()).map(input).collect());
        options.code_splitting = Some(CodeSplittingMode::Advanced(chunks(&hooks)));
        options.experimental =
            Some(ExperimentalOptions { incremental_build: Some(lasts), ..ExperimentalOptions::default() });
        effects::keep_lazy_sheets(&hooks, &mut options);
        let made = BundleFactory::new(BundleFactoryOptions {
            bundler_options: options,
            plugins: vec![Arc::clone(&hooks) as _],
            session: None,
            disable_tracing_setup: true,
        });
        let bundle = made.and_then(|mut factory| factory.create_bundle(BundleMode::FullBuild, None));
        let bundle = bundle.map_err(|error| faults(config, &hooks, &error.into_vec()))?;
        Ok(Bundler { job, hooks, naming, lasts, bundle: Some(bundle) })
    }

    /// Bundles the entries as one graph, so that they share their chunks.
    pub fn bundle(&mut self, progress: &dyn Progress) -> Result<Bundled> {
        let output = self.generate(ScanMode::Full)?.map_err(|error| self.told(&error.into_vec()))?;
        self.finish(output, progress)
    }

    /// Bundles them again, given the scripts that have changed; none if that has to be done from the start. That is so if more than
    /// these scripts' own code may be affected: what they import, load later, or refer to by URL.
    pub fn bundle_again(&mut self, changed: &BTreeSet<PathBuf>, progress: &dyn Progress) -> Option<Bundled> {
        let ids: BTreeSet<String> = changed.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        if ids.is_empty() || !ids.iter().all(|id| self.is_by_itself(id) && self.is_only_code(id)) {
            return None;
        }
        let before = self.imports(&ids);
        self.hooks.forget_output();
        let output = self.generate(ScanMode::Partial(ids.iter().map(ArcStr::from).collect())).ok()?.ok()?;
        let holds = ids.iter().all(|id| self.is_current(id) && self.is_only_code(id)) && self.imports(&ids) == before;
        if !holds {
            return None;
        }
        self.finish(output, progress).ok()
    }

    fn imports(&self, ids: &BTreeSet<String>) -> Vec<Option<Vec<String>>> {
        let modules = lock(&self.hooks.modules);
        ids.iter().map(|id| modules.imports.get(id).cloned()).collect()
    }

    /// Whether a file is a module of pages, and nothing else.
    fn is_by_itself(&self, id: &str) -> bool {
        let is_script = is_plain_script(id) || is_compiled_script(id);
        let is_queried =
            |other: &PathBuf| other.to_string_lossy().strip_prefix(id).is_some_and(|rest| rest.starts_with('?'));
        let in_closed =
            || lock(&self.job.closed).values().any(|closed| closed.has(&self.job.config.root, Path::new(id)));
        is_script && !lock(&self.job.loaded).keys().any(is_queried) && !in_closed()
    }

    /// Whether the module was read again: what a package's `browser` field has another file stand for is not.
    fn is_current(&self, id: &str) -> bool {
        let text = self.job.host.text(Path::new(id)).ok();
        text.is_some() && lock(&self.job.loaded).get(Path::new(id)).cloned() == text
    }

    /// Whether what was read of a module names no other file but by import statements.
    fn is_only_code(&self, id: &str) -> bool {
        let loaded = lock(&self.job.loaded).get(Path::new(id)).cloned();
        loaded.is_some_and(|code| !references::may_have(&code)) && !lock(&self.hooks.modules).lazy.contains_key(id)
    }

    fn generate(&mut self, scan: ScanMode<ArcStr>) -> Result<BuildResult<BundleOutput>> {
        let root = &self.job.config.root;
        let Some(mut bundle) = self.bundle.take() else {
            return Err(Error::io("bundle again in", root)(std::io::ErrorKind::Unsupported.into()));
        };
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        // The bundler blocks a thread of this pool for each file that it reads, and one more drives it.
        threads.enable_all().worker_threads(rayon::current_num_threads());
        let runtime = threads.build().map_err(Error::io("start threads for", root))?;
        let lasts = self.lasts;
        // As a task: who waits for it out of the pool would be woken by another thread for each module.
        let generated = runtime.block_on(runtime.spawn(async move {
            if !lasts {
                return (None, bundle.generate().await);
            }
            let output = match bundle.scan_modules(scan).await {
                Ok(scanned) => bundle.bundle_generate(scanned).await,
                Err(error) => Err(error),
            };
            (Some(bundle), output)
        }));
        let (bundle, output) = generated.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.bundle = bundle;
        Ok(output)
    }

    fn finish(&self, output: BundleOutput, progress: &dyn Progress) -> Result<Bundled> {
        let Bundler { job, hooks, naming, .. } = self;
        let (unresolved, warnings): (Vec<_>, Vec<_>) =
            output.warnings.into_iter().partition(|warning| matches!(warning.kind(), EventKind::UnresolvedImport));
        if !unresolved.is_empty() {
            return Err(self.told(&unresolved));
        }
        let options = DiagnosticOptions { cwd: job.config.root.clone() };
        for warning in warnings {
            // What a package's author should know helps nobody here.
            let place = warning.to_diagnostic_with(&options).get_primary_location();
            if !place.is_some_and(|(file, ..)| file.contains("node_modules/")) {
                progress.warn(warning.to_message_with(&options));
            }
        }
        lock(&job.warnings).iter().for_each(|warning| progress.warn(warning.clone()));
        collect(job, hooks, naming, output.assets)
    }

    fn told(&self, diagnostics: &[BuildDiagnostic]) -> Error {
        faults(&self.job.config, &self.hooks, diagnostics)
    }
}

/// What comes from packages is in chunks of its own, so that an edit of the site's scripts doesn't rename it. A package is loaded
/// only where it was before: what different entries need is kept apart. What is large is divided while it is worked on.
fn chunks(hooks: &Arc<Hooks>) -> ManualCodeSplittingOptions {
    let packages = |id: &str| {
        let within = is_package(id);
        Box::pin(async move { Ok(Some(within)) }) as Pin<Box<dyn Future<Output = anyhow::Result<Option<bool>>> + Send>>
    };
    let mut groups = vec![MatchGroup {
        name: MatchGroupName::Static("vendor".to_owned()),
        test: Some(MatchGroupTest::Function(Arc::new(packages))),
        // Bytes of source. Below that, another request costs more than it saves.
        min_size: Some(20_000.0),
        entries_aware: Some(true),
        ..MatchGroup::default()
    }];
    if hooks.job.mode == Mode::Development {
        let hooks = Arc::clone(hooks);
        let part = move |id: &str, _: &ChunkingContext| {
            let part = hooks.part(id);
            Box::pin(async move { Ok(part) }) as Pin<Box<dyn Future<Output = anyhow::Result<Option<String>>> + Send>>
        };
        groups.push(MatchGroup {
            name: MatchGroupName::Dynamic(Arc::new(part)),
            entries_aware: Some(true),
            // A part holds what follows on itself, and imports what it needs from those before it.
            include_dependencies_recursively: Some(false),
            ..MatchGroup::default()
        });
    }
    ManualCodeSplittingOptions { groups: Some(groups), ..ManualCodeSplittingOptions::default() }
}

pub fn is_package(id: &str) -> bool {
    id.contains("/node_modules/")
}

//! Module graphs: bundled, split, tree-shaken and minified by rolldown, with chunk names that don't cascade.
//!
//! Each chunk is generated under a stable name, made of its path and of the module that names it; the chunks import each
//! other by these. Once its bytes are final, the file is named by their digest, and an import map in the page leads from the
//! stable name to the file. So an edit to one module renames one file, not every importer.
//!
//! The only file that names rolldown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oxc::transformer::EngineTargets;
use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookResolveIdArgs, HookResolveIdOutput, HookResolveIdReturn,
    HookUsage, Plugin, PluginContext, Pluginable, SharedLoadPluginContext,
};
use rolldown::{
    BundlerBuilder, BundlerOptions, ChunkFilenamesOutputOption, InputItem, OutputFormat, Platform, RawMinifyOptions,
    SourceMapType,
};
use rolldown_common::{BundlerTransformOptions, Either, Output, OutputChunk, RollupPreRenderedChunk};
use rolldown_error::{BuildDiagnostic, DiagnosticOptions, EventKind};

use crate::asset::resolve_url_path;
use crate::config::{Config, SourceMaps};
use crate::error::{Fault, Result};
use crate::fingerprint::Digest;
use crate::fs::{self, within};
use crate::manifest::Mode;
use crate::progress::Progress;

/// A module that a page loads, or several that make a bundle.
pub struct EntryModule {
    /// Its name in the output, without the fingerprint: `js/app.js`.
    pub name: String,
    /// Absolute paths.
    pub inputs: Vec<PathBuf>,
}

/// What the bundler made.
pub struct Chunk {
    /// Its path below the prefix while its bytes are not final: `js/app~1f0c2a9b.js`.
    pub stable: String,
    /// Its path below the prefix without a fingerprint: `js/app.js`.
    pub path: String,
    pub name: String,
    /// The index of the entry that it is, if it is one.
    pub entry: Option<usize>,
    pub is_dynamic_entry: bool,
    /// The module that it was made for, below the root; none for what several share.
    pub source: Option<String>,
    pub code: String,
    pub map: Option<String>,
    /// Stable paths of the chunks that it needs before it runs.
    pub imports: Vec<String>,
    /// Stable paths of the chunks that it may load later.
    pub dynamic_imports: Vec<String>,
}

/// The specifier of an entry that is made of several modules.
const BUNDLE: &str = "fingerpost:bundle/";

/// Bundles the entries as one graph, so that they share their chunks.
pub fn bundle(config: &Config, mode: Mode, entries: &[EntryModule], progress: &dyn Progress) -> Result<Vec<Chunk>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let naming = Arc::new(Naming::new(config, entries));
    let sources = Arc::new(Sources { naming: Arc::clone(&naming), refused: Mutex::default() });
    let plugin: Arc<dyn Pluginable> = Arc::clone(&sources) as _;
    let faults = |diagnostics: Vec<BuildDiagnostic>| faults(config, &sources, &diagnostics);
    let options = options(config, mode, entries, &naming)?;
    let mut bundler = BundlerBuilder::default()
        .with_options(options)
        .with_plugins(vec![plugin])
        .build()
        .map_err(|error| faults(error.into_vec()))?;
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    // The bundler blocks a thread of this pool for each file that it reads, and one more drives it.
    threads.enable_all().worker_threads(rayon::current_num_threads());
    let runtime = threads.build().map_err(crate::error::Error::io("start threads for", &config.root))?;
    let output = runtime.block_on(bundler.generate()).map_err(|error| faults(error.into_vec()))?;

    let (unresolved, warnings): (Vec<_>, Vec<_>) =
        output.warnings.into_iter().partition(|warning| matches!(warning.kind(), EventKind::UnresolvedImport));
    if !unresolved.is_empty() {
        return Err(faults(unresolved));
    }
    for warning in warnings {
        progress.warn(warning.to_message_with(&DiagnosticOptions { cwd: config.root.clone() }));
    }
    let mut chunks = Vec::new();
    for output in output.assets {
        if let Output::Chunk(chunk) = output {
            chunks.push(naming.chunk(config, &chunk));
        }
    }
    chunks.sort_by(|a, b| a.stable.cmp(&b.stable));
    Ok(chunks)
}

fn options(
    config: &Config,
    mode: Mode,
    entries: &[EntryModule],
    naming: &Arc<Naming>,
) -> Result<BundlerOptions, Fault> {
    let production = mode == Mode::Production;
    let input = entries.iter().enumerate().map(|(index, entry)| InputItem {
        name: Some(stem(&entry.name).to_owned()),
        import: match entry.inputs.as_slice() {
            [only] => only.to_string_lossy().into_owned(),
            _ => format!("{BUNDLE}{index}"),
        },
    });
    let environment = serde_json::json!({
        "MODE": mode.as_str(), "PROD": production, "DEV": !production, "SSR": false, "BASE_URL": "/",
    });
    let mut define = BTreeMap::from([
        ("process.env.NODE_ENV".to_owned(), format!("{:?}", mode.as_str())),
        ("import.meta.env".to_owned(), environment.to_string()),
    ]);
    for (key, value) in environment.as_object().into_iter().flatten() {
        define.insert(format!("import.meta.env.{key}"), value.to_string());
    }
    let names = Arc::clone(naming);
    let filenames = ChunkFilenamesOutputOption::Fn(Arc::new(move |chunk: &RollupPreRenderedChunk| {
        let ids: Vec<&str> = chunk.module_ids.iter().map(|id| id.as_str()).collect();
        let stable = names.stable(&chunk.name, chunk.facade_module_id.as_ref().map(|id| id.as_str()), &ids);
        Box::pin(async move { Ok(stable) })
    }));
    Ok(BundlerOptions {
        input: Some(input.collect()),
        cwd: Some(config.root.clone()),
        // Only for the relative paths in source maps: nothing is written.
        dir: Some("dist".to_owned()),
        platform: Some(Platform::Browser),
        format: Some(OutputFormat::Esm),
        entry_filenames: Some(filenames.clone()),
        chunk_filenames: Some(filenames),
        sourcemap: (config.source_maps != SourceMaps::None).then_some(SourceMapType::Hidden),
        minify: Some(RawMinifyOptions::Bool(production)),
        define: Some(define.into_iter().collect()),
        transform: Some(BundlerTransformOptions {
            target: Some(Either::Right(engines(&config.targets)?)),
            ..BundlerTransformOptions::default()
        }),
        ..BundlerOptions::default()
    })
}

/// The browserslist query as the transformer wants it: `chrome109`, `safari15.6`. What runs no modules at all is left out.
fn engines(query: &str) -> Result<Vec<String>, Fault> {
    let targets = EngineTargets::try_from_query(query)
        .map_err(|error| Fault::new(format!("`{query}` is no browserslist query: {error}")))?;
    let mut engines: Vec<String> = targets
        .iter()
        .map(|(engine, version)| format!("{engine}{version}"))
        .filter(|engine| !engine.starts_with("ie") && !engine.starts_with("es"))
        .collect();
    engines.sort_unstable();
    Ok(engines)
}

/// How chunks are named, and how names lead back to entries.
#[derive(Debug)]
struct Naming {
    root: PathBuf,
    assets: PathBuf,
    /// Module ids of the entries, in order.
    ids: Vec<String>,
    /// The entries' names, in order.
    names: Vec<String>,
    /// What the entries of several modules import.
    bundles: Vec<Vec<PathBuf>>,
}

impl Naming {
    fn new(config: &Config, entries: &[EntryModule]) -> Self {
        let id = |(index, entry): (usize, &EntryModule)| match entry.inputs.as_slice() {
            [only] => only.to_string_lossy().into_owned(),
            _ => format!("{BUNDLE}{index}"),
        };
        Naming {
            root: config.root.clone(),
            assets: config.assets.clone(),
            ids: entries.iter().enumerate().map(id).collect(),
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            bundles: entries.iter().map(|entry| entry.inputs.clone()).collect(),
        }
    }

    fn entry(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|entry| entry == id)
    }

    /// A module's id in words that are the same wherever the site lies.
    fn portable(&self, id: &str) -> String {
        match self.entry(id).filter(|_| id.starts_with(BUNDLE)) {
            Some(entry) => format!("{BUNDLE}{}", self.names[entry]),
            None => fs::display_name(&self.root, Path::new(id)),
        }
    }

    /// The chunk's path below the prefix without `.js`: an entry's own, a module's below the assets folder, or `chunks/NAME`.
    fn path(&self, name: &str, facade: Option<&str>) -> String {
        if let Some(entry) = facade.and_then(|id| self.entry(id)) {
            return without_extension(&self.names[entry]).to_owned();
        }
        let own = facade.and_then(|id| Path::new(id).strip_prefix(&self.assets).ok());
        match own {
            Some(path) => without_extension(&path.to_string_lossy().replace('\\', "/")).to_owned(),
            None => format!("chunks/{}", name.rsplit('/').next().unwrap_or(name)),
        }
    }

    /// `js/app~1f0c2a9b.js`. A chunk that several share takes its name from the first of its modules in the order of their
    /// ids, which changes less often than the order in which they run.
    fn stable(&self, name: &str, facade: Option<&str>, modules: &[&str]) -> String {
        let seed = match facade {
            Some(id) => format!("module {}", self.portable(id)),
            None => format!("shared {}", modules.iter().map(|id| self.portable(id)).min().unwrap_or_default()),
        };
        let digest = Digest::of(seed.as_bytes()).fingerprint();
        format!("{}~{}.js", self.path(name, facade), digest.as_str().get(..8).unwrap_or_default())
    }

    fn chunk(&self, config: &Config, chunk: &OutputChunk) -> Chunk {
        let facade = chunk.facade_module_id.as_ref().map(|id| id.as_str());
        let stable = chunk.filename.to_string();
        let map = chunk.map.as_ref().map(|map| portable_map(&stable, &map.to_json_string()));
        let entry = facade.and_then(|id| self.entry(id)).filter(|_| chunk.is_entry);
        Chunk {
            path: format!("{}.js", self.path(&chunk.name, facade)),
            name: chunk.name.to_string(),
            entry,
            is_dynamic_entry: chunk.is_dynamic_entry,
            source: facade
                .filter(|id| Path::new(id).is_absolute())
                .map(|id| fs::display_name(&config.root, Path::new(id))),
            code: chunk.code.clone(),
            map,
            imports: chunk.imports.iter().map(ToString::to_string).collect(),
            dynamic_imports: chunk.dynamic_imports.iter().map(ToString::to_string).collect(),
            stable,
        }
    }
}

/// The source map with its sources below the root instead of relative to an output folder.
fn portable_map(stable: &str, json: &str) -> String {
    let Ok(mut map) = serde_json::from_str::<serde_json::Value>(json) else { return json.to_owned() };
    let base = format!("/dist/{stable}");
    for source in map.get_mut("sources").and_then(|sources| sources.as_array_mut()).into_iter().flatten() {
        let path = source.as_str().unwrap_or_default();
        let path = resolve_url_path(&base, path);
        *source = fs::portable(&path).trim_start_matches('/').into();
    }
    map.to_string()
}

/// Answers for what is no file on its own, entries of several modules, and refuses what must not go into a build.
#[derive(Debug)]
struct Sources {
    naming: Arc<Naming>,
    /// Why a file was refused, by its portable id: the bundler keeps a plugin's words to itself.
    refused: Mutex<BTreeMap<String, Fault>>,
}

impl Sources {
    fn refusal(&self, id: &str) -> Option<Fault> {
        let path = Path::new(id.split('?').next().unwrap_or(id));
        let name = self.naming.portable(id);
        if path.is_absolute() && !within(&self.naming.root, path) {
            let fault = Fault::new(format!("a script imports `{name}`, which lies out of the site's root"));
            return Some(fault.hint("move it below the root, or pass a `--root` that holds both"));
        }
        if path.extension().is_some_and(|extension| extension == "css") {
            let fault = Fault::new(format!("a script imports the stylesheet `{name}`, which is not supported yet"));
            return Some(fault.hint("link it from the page, or add it to a `[[bundle]]`"));
        }
        None
    }
}

impl Plugin for Sources {
    fn name(&self) -> Cow<'static, str> {
        "fingerpost:sources".into()
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load
    }

    async fn resolve_id(&self, _: &PluginContext, args: &HookResolveIdArgs<'_>) -> HookResolveIdReturn {
        Ok(args.specifier.starts_with(BUNDLE).then(|| HookResolveIdOutput::from_id(args.specifier)))
    }

    async fn load(&self, _: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        if let Some(index) = args.id.strip_prefix(BUNDLE) {
            let inputs = index.parse().ok().and_then(|index: usize| self.naming.bundles.get(index));
            let import = |path: &PathBuf| format!("import {:?};\n", path.to_string_lossy());
            let code: String = inputs.into_iter().flatten().map(import).collect();
            return Ok(Some(HookLoadOutput { code: code.into(), ..HookLoadOutput::default() }));
        }
        if let Some(fault) = self.refusal(args.id) {
            let name = self.naming.portable(args.id);
            let message = fault.to_string();
            self.refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name, fault);
            anyhow::bail!(message);
        }
        Ok(None)
    }
}

fn faults(config: &Config, sources: &Sources, diagnostics: &[BuildDiagnostic]) -> crate::error::Error {
    let options = DiagnosticOptions { cwd: config.root.clone() };
    let refused = sources.refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for diagnostic in diagnostics {
        let mut message = diagnostic.to_message_with(&options);
        let place = diagnostic.to_diagnostic_with(&options).get_primary_location();
        if !seen.insert((message.clone(), place.clone())) {
            continue;
        }
        let refusal = refused.iter().find(|(name, _)| message.contains(name.as_str()) || name.starts_with('/'));
        let at = place.map(|(file, line, column, _)| (config.root.join(file), line, column + 1));
        let name = at.as_ref().map(|(path, _, _)| fs::display_name(&config.root, path)).unwrap_or_default();
        if matches!(diagnostic.kind(), EventKind::ParseError) {
            message = format!("`{name}` is not a valid script: {message}");
        }
        let fault = match refusal {
            Some((_, fault)) => fault.clone(),
            None => Fault::new(message).hint(hint(&diagnostic.kind())),
        };
        faults.push(
            match at.and_then(|(path, line, column)| Some((std::fs::read_to_string(path).ok()?, line, column))) {
                Some((text, line, column)) => fault.at_line(name, text, line, column),
                None => fault,
            },
        );
    }
    crate::error::Error::Build(faults)
}

fn hint(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::UnresolvedImport => "check the path; a package has to be installed in `node_modules`",
        EventKind::MissingExportError => "check what the module exports, and the name's spelling",
        EventKind::ParseError => "correct the script at the marked place",
        _ => "the script can't be bundled as it stands",
    }
}

fn stem(path: &str) -> &str {
    without_extension(path.rsplit('/').next().unwrap_or(path))
}

fn without_extension(path: &str) -> &str {
    match path.rfind('.') {
        Some(dot) if !path[dot..].contains('/') => &path[..dot],
        _ => path,
    }
}

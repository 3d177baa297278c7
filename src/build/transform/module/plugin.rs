//! What the bundler asks of us while it reads and writes modules.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use arcstr::ArcStr;
use oxc::span::SourceType;
use rolldown::ModuleType;
use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookNoopReturn, HookRenderChunkArgs, HookRenderChunkOutput,
    HookRenderChunkReturn, HookRenderStartArgs, HookResolveFileUrlArgs, HookResolveFileUrlReturn, HookResolveIdArgs,
    HookResolveIdOutput, HookResolveIdReturn, HookTransformArgs, HookTransformAstArgs, HookTransformAstReturn,
    HookTransformOutput, HookTransformReturn, HookUsage, Plugin, PluginContext, SharedLoadPluginContext,
    SharedTransformPluginContext,
};
use rolldown_common::side_effects::DeterminedSideEffects;
use rolldown_common::{EmittedAsset, ModuleId, ModuleInfo, NormalModule, ResolvedExternal};

use super::edits::{dotted, edited, literal};
use super::imports::{Import, javascript};
use super::layout::Layout;
use super::minify::Begun;
use super::naming::{BUNDLE, Naming};
use super::references;
use super::sheets::Modules;
use super::ways::Ways;
use super::{Job, closed};
use crate::asset::{extension, is_external, relative_url, split_suffix};
use crate::build::contents::{self, ImportKind};
use crate::build::discover::{is_compiled_script, is_plain_script};
use crate::build::transform::script;
use crate::error::Fault;
use crate::fs;

/// Where the code will run.
#[derive(Debug)]
pub enum Scope {
    /// In a page, whose import map leads from stable names to files.
    Page(Arc<Naming>),
    /// In a worker, where no import map reaches: it is one closed file. These are the workers that it is started by, itself last.
    Worker(Vec<PathBuf>),
}

#[derive(Debug)]
pub struct Hooks {
    pub job: Arc<Job>,
    pub scope: Scope,
    pub modules: Mutex<Modules>,
    layout: Mutex<Option<Arc<Layout>>>,
    /// The bundler's reference of each file that is referred to.
    emitted: Mutex<HashMap<String, ArcStr>>,
    begun: Mutex<HashMap<String, Begun>>,
    /// By module: the part of its chunk that it is in, if that is divided.
    pub parts: Mutex<HashMap<String, String>>,
    /// By chunk: the files that it refers to by URL.
    pub files: Mutex<BTreeMap<String, BTreeSet<String>>>,
    ways: Arc<Ways>,
    /// Why a file was refused, by its portable id: the bundler keeps a plugin's words to itself.
    pub refused: Mutex<BTreeMap<String, Fault>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Hooks {
    pub fn new(job: Arc<Job>, scope: Scope) -> Self {
        let ways = match &scope {
            Scope::Page(naming) => Ways::new(&job, naming),
            Scope::Worker(_) => Arc::default(),
        };
        Hooks {
            job,
            scope,
            ways,
            modules: Mutex::default(),
            layout: Mutex::default(),
            emitted: Mutex::default(),
            begun: Mutex::default(),
            parts: Mutex::default(),
            files: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// What the stylesheets of the modules became; known once the chunks are rendered.
    pub fn layout(&self) -> Option<Arc<Layout>> {
        lock(&self.layout).clone()
    }

    /// Forgets what was made of the modules, but not what is known of them.
    pub fn forget_output(&self) {
        *lock(&self.layout) = None;
        lock(&self.modules).included.clear();
        lock(&self.begun).clear();
        lock(&self.files).clear();
    }

    /// The stylesheets that modules import for their effect.
    pub fn sheets(&self) -> BTreeSet<PathBuf> {
        lock(&self.modules).sheets.iter().map(PathBuf::from).collect()
    }

    pub fn name(&self, id: &str) -> String {
        match &self.scope {
            Scope::Page(naming) => naming.portable(id),
            Scope::Worker(_) => fs::display_name(&self.job.config.root, Path::new(id)),
        }
    }

    pub fn refuse(&self, id: &str, fault: Fault) -> anyhow::Error {
        let message = fault.to_string();
        lock(&self.refused).insert(self.name(id), fault);
        anyhow::anyhow!(message)
    }

    /// Why a module may not be in the build; the bundler follows links before it gives an id.
    fn outside(&self, path: &Path) -> Option<Fault> {
        if fs::lies_within(&self.job.config.root, path) {
            return None;
        }
        let name = self.name(&path.to_string_lossy());
        let fault = Fault::new(format!("a script imports `{name}`, which lies out of the site's root"));
        Some(fault.hint("move it below the root, or pass a `--root` that holds both"))
    }

    /// An expression for the URL of a file below the prefix, once the chunk that holds it has its place.
    pub async fn url(&self, ctx: &PluginContext, file: &str) -> anyhow::Result<String> {
        let known = lock(&self.emitted).get(file).cloned();
        let reference = match known {
            Some(reference) => reference,
            None => {
                let name = Some(file.into());
                // What is in it is of no interest: the file itself is made elsewhere.
                let asset = EmittedAsset { file_name: name, source: file.to_owned().into(), ..EmittedAsset::default() };
                let reference = ctx.emit_file_async(asset).await?;
                lock(&self.emitted).entry(file.to_owned()).or_insert(reference).clone()
            }
        };
        Ok(format!("import.meta.ROLLDOWN_FILE_URL_{reference}"))
    }

    /// The URL of an asset.
    pub async fn asset(&self, ctx: &PluginContext, importer: &str, path: &Path) -> anyhow::Result<String> {
        let file = self.job.host.asset(path).map_err(|fault| self.refuse(importer, fault))?;
        self.url(ctx, &file).await
    }

    /// The URL of a script that is bundled by itself; none if it is the script that asks.
    pub async fn closed(&self, ctx: &PluginContext, importer: &str, path: &Path) -> anyhow::Result<String> {
        let started_by = match &self.scope {
            Scope::Page(_) => &[][..],
            Scope::Worker(chain) => chain,
        };
        if started_by.last().is_some_and(|own| own == path) {
            return Ok("import.meta.url".to_owned());
        }
        if started_by.iter().any(|other| other == path) {
            let name = self.name(&path.to_string_lossy());
            let fault = Fault::new(format!("`{}` and `{name}` start each other as workers", self.name(importer)));
            return Err(self.refuse(importer, fault.hint("let the page start one of them")));
        }
        let made = closed::bundle(&self.job, path, started_by).await;
        let made = made.map_err(|fault| self.refuse(&path.to_string_lossy(), fault))?;
        let file = match &self.scope {
            Scope::Page(_) => &made.stable,
            Scope::Worker(_) => &made.file,
        };
        self.url(ctx, file).await
    }

    /// The file that a URL in a script leads to: beside the script, or else a package's.
    pub async fn target(&self, ctx: &PluginContext, importer: &str, specifier: &str) -> Option<PathBuf> {
        let path = split_suffix(specifier).0;
        if path.is_empty() || path.starts_with('/') || is_external(path) {
            return None;
        }
        let folder = Path::new(split_suffix(importer).0).parent()?;
        let beside = fs::normalize(&folder.join(path));
        if beside.is_file() {
            return Some(beside);
        }
        let resolved = ctx.resolve(path, Some(importer), None).await.ok()?.ok()?;
        Some(PathBuf::from(resolved.id.as_str())).filter(|path| path.is_file())
    }

    /// Whether a script has to be bundled to run by itself.
    pub fn is_module(path: &Path) -> bool {
        let name = path.to_string_lossy();
        let text = || std::fs::read_to_string(path).unwrap_or_default();
        is_compiled_script(&name)
            || extension(&name) == "mjs"
            || (is_plain_script(&name) && script::syntax(path, &text()).is_module)
    }

    /// The chunk with code that loads stylesheets before the chunks which it loads, if those have any.
    fn loading_sheets(&self, args: &HookRenderChunkArgs<'_>) -> anyhow::Result<Option<HookRenderChunkOutput>> {
        let Scope::Page(naming) = &self.scope else { return Ok(None) };
        let chunks = || args.chunks.values().cloned();
        let make = || Arc::new(Layout::new(naming, &mut lock(&self.modules), chunks()));
        let layout = Arc::clone(lock(&self.layout).get_or_insert_with(make));
        let lazy = |file: &ArcStr| layout.by_root.contains_key(file.as_str());
        if !args.chunk.dynamic_imports.iter().any(lazy) {
            return Ok(None);
        }
        let edits = layout.loading(&args.chunk.filename, &args.code);
        if edits.is_empty() {
            return Ok(None);
        }
        let (code, map) = edited(&args.code, &args.chunk.filename, edits)?;
        Ok(Some(HookRenderChunkOutput { code, map }))
    }

    /// What is already being done to the chunk.
    pub fn begun(&self, chunk: &str) -> Option<Begun> {
        lock(&self.begun).remove(chunk)
    }

    /// What a module that is no script of its own stands for, and what is in it if it is one.
    async fn code(&self, ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        if let (Scope::Page(naming), true) = (&self.scope, args.id.starts_with(BUNDLE)) {
            let import = |path: &PathBuf| format!("import {:?};\n", path.to_string_lossy());
            let code: String = naming.bundle(args.id).into_iter().flatten().map(import).collect();
            return Ok(Some(HookLoadOutput { code: code.into(), ..HookLoadOutput::default() }));
        }
        let (path, query) = args.id.split_once('?').unwrap_or((args.id, ""));
        if !Path::new(path).is_absolute() {
            return Ok(None);
        }
        if let Some(fault) = self.outside(Path::new(path)) {
            return Err(self.refuse(args.id, fault));
        }
        if let Some(code) = self.queried(&ctx, args.id, path, query).await? {
            return Ok(Some(javascript(code)));
        }
        match Import::of(path) {
            // Here, since the bundler would have another thread read it. What can't be read it tells itself.
            Import::Code => {
                let code = self.job.host.text(Path::new(path)).ok();
                if let Some(code) = &code {
                    self.ways.take(&self.job, &ctx);
                    Self::read_ahead(&ctx, args.id, code);
                }
                Ok(code.map(|code| HookLoadOutput { code, ..HookLoadOutput::default() }))
            }
            Import::Sheet => self.sheet(path).map(Some),
            Import::Asset => {
                let url = self.asset(&ctx, args.id, Path::new(path)).await?;
                Ok(Some(javascript(format!("export default {url};"))))
            }
            Import::Foreign => {
                let name = self.name(path);
                let fault = Fault::new(format!("a script imports `{name}`, and nothing here compiles such files"));
                Err(self.refuse(args.id, fault.hint("let a `[[tool]]` make JavaScript or CSS of it, and import that")))
            }
        }
    }
}

fn source_type(module_type: &ModuleType) -> Option<SourceType> {
    Some(match module_type {
        ModuleType::Js | ModuleType::Jsx => SourceType::mjs().with_jsx(true),
        ModuleType::Ts => SourceType::ts(),
        ModuleType::Tsx => SourceType::tsx(),
        _ => return None,
    })
}

impl Plugin for Hooks {
    fn name(&self) -> Cow<'static, str> {
        "fingerpost".into()
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId
            | HookUsage::Load
            | HookUsage::Transform
            | HookUsage::TransformAst
            | HookUsage::ModuleParsed
            | HookUsage::RenderStart
            | HookUsage::RenderChunk
            | HookUsage::ResolveFileUrl
    }

    async fn resolve_id(&self, ctx: &PluginContext, args: &HookResolveIdArgs<'_>) -> HookResolveIdReturn {
        if args.specifier.starts_with(BUNDLE) {
            return Ok(Some(HookResolveIdOutput::from_id(args.specifier)));
        }
        if self.job.config.is_external(args.specifier) {
            let mut output = HookResolveIdOutput::from_id(args.specifier);
            output.external = Some(ResolvedExternal::Bool(true));
            return Ok(Some(output));
        }
        let Some((path, query)) = args.specifier.split_once('?') else {
            if let Some(importer) = args.importer {
                self.ways.note(importer, args.specifier);
            }
            return Ok(None);
        };
        if !matches!(query, "raw" | "url" | "inline" | "worker" | "sharedworker") {
            return Ok(None);
        }
        match ctx.resolve(path, args.importer, None).await? {
            Ok(resolved) => Ok(Some(HookResolveIdOutput::from_id(format!("{}?{query}", resolved.id.as_str())))),
            Err(_) => Ok(None),
        }
    }

    async fn load(&self, ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        let loaded = self.code(ctx, args).await?;
        if let Some(output) = &loaded {
            lock(&self.job.loaded).insert(PathBuf::from(args.id), output.code.clone());
        }
        Ok(loaded)
    }

    async fn transform(&self, ctx: SharedTransformPluginContext, args: &HookTransformArgs<'_>) -> HookTransformReturn {
        let Some(source_type) = source_type(args.module_type) else { return Ok(None) };
        let name = self.name(args.id);
        let found = references::find(&name, args.code, source_type).map_err(|fault| self.refuse(args.id, fault))?;
        let mut edits = Vec::new();
        for (index, reference) in found.iter().enumerate() {
            edits.extend(self.replacement(&ctx, args.id, index, reference).await?);
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let (code, map) = edited(args.code, args.id, edits)?;
        Ok(Some(HookTransformOutput { code: Some(code), map, ..HookTransformOutput::default() }))
    }

    async fn transform_ast(&self, _: &PluginContext, args: HookTransformAstArgs<'_>) -> HookTransformAstReturn {
        let source = args.ast.source();
        let legal = args.ast.comments().iter().filter(|comment| comment.is_legal());
        let texts: Vec<String> = legal.map(|comment| comment.span.source_text(source).to_owned()).collect();
        match texts.is_empty() {
            true => drop(lock(&self.job.notices).remove(args.id)),
            false => drop(lock(&self.job.notices).insert(args.id.to_owned(), texts)),
        }
        Ok(args.ast)
    }

    async fn module_parsed(&self, _: &PluginContext, info: Arc<ModuleInfo>, module: &NormalModule) -> HookNoopReturn {
        let names = |ids: &mut dyn Iterator<Item = &ModuleId>| ids.map(ToString::to_string).collect::<Vec<_>>();
        let mut modules = lock(&self.modules);
        match module.side_effects {
            DeterminedSideEffects::UserDefined(false) => modules.pure.insert(info.id.to_string()),
            _ => modules.pure.remove(info.id.as_str()),
        };
        modules.imports.insert(info.id.to_string(), names(&mut info.imported_ids.iter()));
        match info.dynamically_imported_ids.is_empty() {
            true => modules.lazy.remove(info.id.as_str()),
            false => modules.lazy.insert(info.id.to_string(), names(&mut info.dynamically_imported_ids.iter())),
        };
        drop(modules);
        let name = |id: &ModuleId| split_suffix(&self.name(id.as_str())).0.to_owned();
        let import = |id: &ModuleId, kind| contents::Import::of(name(id), kind);
        let fixed = info.imported_ids.iter().map(|id| import(id, ImportKind::Statement));
        let dynamic = info.dynamically_imported_ids.iter().map(|id| import(id, ImportKind::Dynamic));
        lock(&self.job.sources).entry(name(&info.id)).or_default().extend(fixed.chain(dynamic));
        Ok(())
    }

    async fn render_start(&self, ctx: &PluginContext, _: &HookRenderStartArgs<'_>) -> HookNoopReturn {
        self.ways.record(&self.job, ctx).await;
        self.divide();
        Ok(())
    }

    async fn render_chunk(&self, _: &PluginContext, args: &HookRenderChunkArgs<'_>) -> HookRenderChunkReturn {
        let edited = self.loading_sheets(args)?;
        let code = edited.as_ref().map_or_else(|| Arc::clone(&args.code), |edited| Arc::new(edited.code.clone()));
        if let Some(begun) = Begun::new(&self.job, &code) {
            lock(&self.begun).insert(args.chunk.filename.to_string(), begun);
        }
        Ok(edited)
    }

    async fn resolve_file_url(&self, _: &PluginContext, args: &HookResolveFileUrlArgs<'_>) -> HookResolveFileUrlReturn {
        lock(&self.files).entry(args.chunk_id.to_owned()).or_default().insert(args.file_name.to_owned());
        let stable = lock(&self.job.closed).values().any(|closed| closed.stable == args.file_name);
        Ok(Some(match stable {
            // By the import map, so that an edit to the worker doesn't rename who starts it.
            true => format!("import.meta.resolve({})", literal(&dotted(args.chunk_id, args.file_name))),
            false => {
                format!("new URL({}, import.meta.url).href", literal(&relative_url(args.chunk_id, args.file_name)))
            }
        }))
    }
}

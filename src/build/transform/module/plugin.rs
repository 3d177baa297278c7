//! What the bundler asks of us while it reads and writes modules.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use arcstr::ArcStr;
use oxc::span::SourceType;
use rolldown::ModuleType;
use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookNoopReturn, HookRenderChunkArgs, HookRenderChunkOutput,
    HookRenderChunkReturn, HookRenderStartArgs, HookResolveFileUrlArgs, HookResolveFileUrlReturn, HookResolveIdArgs,
    HookResolveIdOutput, HookResolveIdReturn, HookTransformArgs, HookTransformAstArgs, HookTransformAstReturn,
    HookTransformOutput, HookTransformOutputMap, HookTransformReturn, HookUsage, Plugin, PluginContext,
    SharedLoadPluginContext, SharedTransformPluginContext,
};
use rolldown_common::side_effects::{DeterminedSideEffects, HookSideEffects};
use rolldown_common::{EmittedAsset, ModuleId, ModuleInfo, NormalModule, ResolvedExternal, RollupRenderedChunk};
use string_wizard::{Hires, MagicString, SourceMapOptions};

use super::naming::{BUNDLE, Naming};
use super::references::{self, Options, Place, Reference};
use super::sheets::{self, Modules};
use super::{Job, closed, glob};
use crate::asset::{extension, is_external, relative_url, resolve_url_path, split_suffix};
use crate::build::contents::{self, ImportKind};
use crate::build::discover::{is_compiled_script, is_plain_script};
use crate::build::transform::script;
use crate::error::Fault;
use crate::fs::{self, within};

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
    modules: Mutex<Modules>,
    layout: OnceLock<Layout>,
    /// The bundler's reference of each file that is referred to.
    emitted: Mutex<HashMap<String, ArcStr>>,
    /// By chunk: the files that it refers to by URL.
    pub files: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Why a file was refused, by its portable id: the bundler keeps a plugin's words to itself.
    pub refused: Mutex<BTreeMap<String, Fault>>,
}

/// Which stylesheets there are, and which chunk needs which.
#[derive(Debug, Default)]
pub struct Layout {
    pub sheets: Vec<Sheet>,
    /// By the file name of a chunk that is loaded by itself: indices of `sheets`, in the order of the cascade.
    pub by_root: BTreeMap<String, Vec<usize>>,
}

/// A stylesheet made of those that modules import.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its path below the prefix without a fingerprint: `js/app.css`.
    pub path: String,
    /// The same with what stands for it while its bytes are not final: `js/app~1f0c2a9b.css`.
    pub stable: String,
    /// Absolute paths, in order.
    pub inputs: Vec<PathBuf>,
}

/// A file's extension as what it is to a module that imports it.
enum Import {
    /// The bundler's own affair.
    Code,
    Sheet,
    Asset,
    /// It would have to be compiled by something else first.
    Foreign,
}

impl Import {
    fn of(path: &str) -> Import {
        match extension(path).as_str() {
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" | "json" | "txt" | "" => Import::Code,
            "css" | "scss" | "sass" => Import::Sheet,
            "vue" | "svelte" | "astro" | "mdx" | "less" | "styl" | "stylus" | "coffee" | "elm" => Import::Foreign,
            _ => Import::Asset,
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Hooks {
    pub fn new(job: Arc<Job>, scope: Scope) -> Self {
        Hooks {
            job,
            scope,
            modules: Mutex::default(),
            layout: OnceLock::new(),
            emitted: Mutex::default(),
            files: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// What the stylesheets of the modules became; known once the chunks are rendered.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.get()
    }

    /// The stylesheets that modules import for their effect.
    pub fn sheets(&self) -> BTreeSet<PathBuf> {
        lock(&self.modules).sheets.iter().map(PathBuf::from).collect()
    }

    fn name(&self, id: &str) -> String {
        match &self.scope {
            Scope::Page(naming) => naming.portable(id),
            Scope::Worker(_) => fs::display_name(&self.job.config.root, Path::new(id)),
        }
    }

    fn refuse(&self, id: &str, fault: Fault) -> anyhow::Error {
        let message = fault.to_string();
        lock(&self.refused).insert(self.name(id), fault);
        anyhow::anyhow!(message)
    }

    fn outside(&self, path: &Path) -> Option<Fault> {
        let name = self.name(&path.to_string_lossy());
        let fault = || Fault::new(format!("a script imports `{name}`, which lies out of the site's root"));
        (path.is_absolute() && !within(&self.job.config.root, path))
            .then(|| fault().hint("move it below the root, or pass a `--root` that holds both"))
    }

    /// An expression for the URL of a file below the prefix, once the chunk that holds it has its place.
    async fn url(&self, ctx: &PluginContext, file: &str) -> anyhow::Result<String> {
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
    async fn asset(&self, ctx: &PluginContext, importer: &str, path: &Path) -> anyhow::Result<String> {
        let file = self.job.host.asset(path).map_err(|fault| self.refuse(importer, fault))?;
        self.url(ctx, &file).await
    }

    /// The URL of a script that is bundled by itself; none if it is the script that asks.
    async fn closed(&self, ctx: &PluginContext, importer: &str, path: &Path) -> anyhow::Result<String> {
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
    async fn target(&self, ctx: &PluginContext, importer: &str, specifier: &str) -> Option<PathBuf> {
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
    fn is_module(path: &Path) -> bool {
        let name = path.to_string_lossy();
        let text = || std::fs::read_to_string(path).unwrap_or_default();
        is_compiled_script(&name)
            || extension(&name) == "mjs"
            || (is_plain_script(&name) && script::syntax(path, &text()).is_module)
    }

    /// The text that takes a reference's place, and the imports that it needs; none leaves it as it is.
    async fn replacement(
        &self,
        ctx: &PluginContext,
        importer: &str,
        index: usize,
        reference: &Reference,
    ) -> anyhow::Result<Vec<(Place, String)>> {
        match reference {
            Reference::Glob { call, glob } => {
                let root = &self.job.config.root;
                let found = glob::files(root, Path::new(split_suffix(importer).0), &glob.patterns)
                    .map_err(|fault| self.refuse(importer, fault))?;
                let (imports, object) = glob::code(glob, &found, index);
                Ok(vec![(0..0, imports), (call.clone(), object)])
            }
            Reference::Url { new, specifier } => {
                let Some(path) = self.target(ctx, importer, specifier).await else {
                    self.unknown_url(importer, specifier);
                    return Ok(Vec::new());
                };
                let url = match Self::is_module(&path) {
                    true => self.closed(ctx, importer, &path).await?,
                    false => self.asset(ctx, importer, &path).await?,
                };
                let suffix = split_suffix(specifier).1;
                let suffix = if suffix.is_empty() { String::new() } else { format!(" + {suffix:?}") };
                Ok(vec![(new.clone(), format!("new URL({url}{suffix})"))])
            }
            Reference::UrlTemplate { argument, parts } => {
                let pattern = parts.iter().map(|part| globset::escape(part)).collect::<Vec<_>>().join("*");
                if !pattern.starts_with('.') {
                    return Ok(Vec::new());
                }
                let importing = Path::new(split_suffix(importer).0);
                let found = glob::files(&self.job.config.root, importing, &[pattern])
                    .map_err(|fault| self.refuse(importer, fault))?;
                let mut pairs = Vec::new();
                for file in &found {
                    pairs.push(format!("{:?}: {}", file.key, self.asset(ctx, importer, &file.path).await?));
                }
                let table = format!("({{{}}})[", pairs.join(", "));
                Ok(vec![(argument.start..argument.start, table), (argument.end..argument.end, "]".to_owned())])
            }
            Reference::Worker { url, specifier, options, shared } => {
                let Some(path) = self.target(ctx, importer, specifier).await else {
                    self.unknown_url(importer, specifier);
                    return Ok(Vec::new());
                };
                let says_module = matches!(options, Options::Literal { is_module: Some(true), .. });
                let module = says_module || Self::is_module(&path);
                let file = match module {
                    true => self.closed(ctx, importer, &path).await?,
                    false => self.asset(ctx, importer, &path).await?,
                };
                let mut edits = vec![(url.clone(), closed::same_origin(&file, module, *shared))];
                if module {
                    edits.extend(module_options(options));
                }
                Ok(edits)
            }
        }
    }

    fn unknown_url(&self, importer: &str, specifier: &str) {
        if split_suffix(specifier).0.starts_with('.') {
            let importer = self.name(importer);
            lock(&self.job.warnings).insert(format!(
                "`{importer}` refers to `{specifier}` with `new URL(…, import.meta.url)`, and there is no such file"
            ));
        }
    }

    /// Code for an import that asks for something else than the module: its URL, its text, a worker.
    async fn queried(&self, ctx: &PluginContext, id: &str, path: &str, query: &str) -> anyhow::Result<Option<String>> {
        let refuse = |fault| self.refuse(id, fault);
        let file = Path::new(path);
        let code = match query {
            "raw" => {
                let text = fs::read_text(file, &self.name(path)).map_err(|error| refuse(error.into_fault()))?;
                format!("export default {};", literal(&text))
            }
            "url" => match Import::of(path) {
                Import::Sheet => {
                    let made = self.job.host.sheet_file(file).map_err(refuse)?;
                    format!("export default {};", self.url(ctx, &made).await?)
                }
                _ if Self::is_module(file) => format!("export default {};", self.closed(ctx, id, file).await?),
                _ => format!("export default {};", self.asset(ctx, id, file).await?),
            },
            "inline" => match Import::of(path) {
                Import::Sheet => {
                    let pieces = self.job.host.sheet_text(file).map_err(refuse)?;
                    let mut parts = vec!["\"\"".to_owned()];
                    for piece in pieces {
                        parts.push(match piece {
                            Piece::Text(text) => literal(&text),
                            Piece::File(file) => self.url(ctx, &file).await?,
                        });
                    }
                    format!("export default {};", parts.join(" + "))
                }
                _ => {
                    let url = self.job.host.data_url(file).map_err(refuse)?;
                    format!("export default {};", literal(&url))
                }
            },
            "worker" | "sharedworker" => {
                let class = if query == "worker" { "Worker" } else { "SharedWorker" };
                let url = self.closed(ctx, id, file).await?;
                let url = closed::same_origin(&url, true, class == "SharedWorker");
                format!(
                    "export default function (options) {{ return new {class}({url}, {{ ...options, type: \"module\" }}); }}"
                )
            }
            _ => return Ok(None),
        };
        Ok(Some(code))
    }

    fn sheet(&self, id: &str) -> anyhow::Result<HookLoadOutput> {
        let code = match is_css_module(id) {
            true => {
                let module = self.job.host.css_module(Path::new(id)).map_err(|fault| self.refuse(id, fault))?;
                class_names(&module)
            }
            false => "export {}".to_owned(),
        };
        lock(&self.modules).sheets.insert(id.to_owned());
        let mut output = javascript(code);
        output.side_effects = Some(HookSideEffects::False);
        Ok(output)
    }

    /// Divides the sheets into files, once all chunks are known.
    fn plan(&self, naming: &Naming, chunks: impl Iterator<Item = Arc<RollupRenderedChunk>>) -> Layout {
        let mut modules = lock(&self.modules);
        let mut roots: BTreeMap<String, (String, String)> = BTreeMap::new();
        for chunk in chunks {
            modules.included.extend(chunk.module_ids.iter().map(ToString::to_string));
            if let (true, Some(id)) = (chunk.is_entry || chunk.is_dynamic_entry, &chunk.facade_module_id) {
                roots.insert(chunk.filename.to_string(), (chunk.name.to_string(), id.to_string()));
            }
        }
        let orders: BTreeMap<String, Vec<String>> = roots
            .iter()
            .map(|(file, (_, id))| (file.clone(), modules.order(id)))
            .filter(|(_, order)| !order.is_empty())
            .collect();
        let mut layout = Layout::default();
        let mut part_of: HashMap<&str, usize> = HashMap::new();
        let parts = sheets::parts(&orders);
        for (index, part) in parts.iter().enumerate() {
            part_of.extend(part.iter().map(|sheet| (sheet.as_str(), index)));
            let mut owners = orders.iter().filter(|(_, order)| part.iter().any(|sheet| order.contains(sheet)));
            let owner = match (owners.next(), owners.next()) {
                (Some((file, order)), None) if order.len() == part.len() => roots.get(file),
                _ => None,
            };
            let (path, stable) = naming.sheet(owner.map(|(name, id)| (name.as_str(), id.as_str())), part);
            layout.sheets.push(Sheet { path, stable, inputs: part.iter().map(PathBuf::from).collect() });
        }
        for (root, order) in &orders {
            let mut needed: Vec<usize> =
                order.iter().filter_map(|sheet| part_of.get(sheet.as_str()).copied()).collect();
            needed.dedup();
            layout.by_root.insert(root.clone(), needed);
        }
        layout
    }
}

/// What a CSS module gives to the script that imports it.
#[derive(Debug)]
pub struct ClassNames {
    /// Each local name with the names of its element's `class`, separated by spaces.
    pub classes: BTreeMap<String, String>,
    /// The sheets that it composes from.
    pub dependencies: BTreeSet<PathBuf>,
}

/// A part of a stylesheet's text, or the URL of a file in it.
pub enum Piece {
    Text(String),
    /// Below the prefix.
    File(String),
}

fn is_css_module(path: &str) -> bool {
    [".module.css", ".module.scss", ".module.sass"].iter().any(|end| path.ends_with(end))
}

/// The names of a CSS module's classes as a module: all of them as an object, and each by its name.
fn class_names(module: &ClassNames) -> String {
    // Those that it composes from cascade before it.
    let import = |path: &PathBuf| format!("import {};\n", literal(&path.to_string_lossy()));
    let mut code: String = module.dependencies.iter().map(import).collect();
    code.push_str(&format!("export default {};", serde_json::to_string(&module.classes).unwrap_or_default()));
    for (index, (name, value)) in module.classes.iter().enumerate().filter(|(_, (name, _))| *name != "default") {
        code.push_str(&format!("\nconst c{index} = {}; export {{ c{index} as {} }};", literal(value), literal(name)));
    }
    code
}

/// A string as JavaScript has it; JSON's strings are JavaScript's since ES2019.
pub fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn javascript(code: impl Into<ArcStr>) -> HookLoadOutput {
    HookLoadOutput { code: code.into(), module_type: Some(ModuleType::Js), ..HookLoadOutput::default() }
}

/// Edits to a worker's options that make it a module worker.
fn module_options(options: &Options) -> Vec<(Place, String)> {
    match options {
        Options::None(at) => vec![(*at..*at, ", { type: \"module\" }".to_owned())],
        Options::Literal { is_module: Some(true), .. } => Vec::new(),
        Options::Literal { inner, .. } => vec![(*inner..*inner, " type: \"module\", ".to_owned())],
        Options::Expression(place) => vec![
            (place.start..place.start, "{ ...".to_owned()),
            (place.end..place.end, ", type: \"module\" }".to_owned()),
        ],
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

/// The code with some places replaced, and the map from there to here.
fn edited(code: &str, name: &str, edits: Vec<(Place, String)>) -> anyhow::Result<(String, HookTransformOutputMap)> {
    let mut magic = MagicString::new(code);
    for (place, text) in edits {
        let (start, end) = (u32::try_from(place.start)?, u32::try_from(place.end)?);
        match start == end {
            true => magic.append_left(start, text).map(|_| ()),
            false => magic.update(start, end, text).map(|_| ()),
        }
        .map_err(|error| anyhow::anyhow!("could not edit the script: {error:?}"))?;
    }
    let options = SourceMapOptions { hires: Hires::Boundary, include_content: false, source: name.into() };
    let map = HookTransformOutputMap::Sourcemap(Box::new(magic.source_map(options)));
    Ok((magic.to_string(), map))
}

/// Loads stylesheets by their stable names, each in its place in the cascade, and is done when all of them apply.
const LOAD_SHEETS: &str = r#"
function __fingerpost_sheets(names) {
  let next = null;
  const waits = [];
  for (const name of names.reverse()) {
    const href = import.meta.resolve(name);
    let link = [...document.querySelectorAll("link[rel~=stylesheet]")].find((link) => link.href === href);
    if (!link) {
      link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = href;
      const map = document.querySelector("script[type=importmap]");
      for (const [url, integrity] of Object.entries((map && JSON.parse(map.textContent).integrity) || {})) {
        if (new URL(url, document.baseURI).href === href) {
          link.integrity = integrity;
          link.crossOrigin = "anonymous";
        }
      }
      const made = link;
      made.loaded = new Promise((done, failed) => {
        made.onload = done;
        made.onerror = () => {
          made.remove();
          failed(new Error("could not load the stylesheet " + href));
        };
      });
      next ? next.before(made) : document.head.append(made);
    }
    waits.push(link.loaded);
    next = link;
  }
  return Promise.all(waits);
}
"#;

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
        let Some((path, query)) = args.specifier.split_once('?') else { return Ok(None) };
        if !matches!(query, "raw" | "url" | "inline" | "worker" | "sharedworker") {
            return Ok(None);
        }
        match ctx.resolve(path, args.importer, None).await? {
            Ok(resolved) => Ok(Some(HookResolveIdOutput::from_id(format!("{}?{query}", resolved.id.as_str())))),
            Err(_) => Ok(None),
        }
    }

    async fn load(&self, ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
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
            Import::Code => Ok(None),
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
        if !texts.is_empty() {
            lock(&self.job.notices).insert(args.id.to_owned(), texts);
        }
        Ok(args.ast)
    }

    async fn module_parsed(&self, _: &PluginContext, info: Arc<ModuleInfo>, module: &NormalModule) -> HookNoopReturn {
        if matches!(module.side_effects, DeterminedSideEffects::UserDefined(false)) {
            lock(&self.modules).pure.insert(info.id.to_string());
        }
        let name = |id: &ModuleId| split_suffix(&self.name(id.as_str())).0.to_owned();
        let import = |id: &ModuleId, kind| contents::Import::of(name(id), kind);
        let fixed = info.imported_ids.iter().map(|id| import(id, ImportKind::Statement));
        let dynamic = info.dynamically_imported_ids.iter().map(|id| import(id, ImportKind::Dynamic));
        lock(&self.job.sources).entry(name(&info.id)).or_default().extend(fixed.chain(dynamic));
        Ok(())
    }

    async fn render_start(&self, ctx: &PluginContext, _: &HookRenderStartArgs<'_>) -> HookNoopReturn {
        let mut modules = lock(&self.modules);
        for id in ctx.get_module_ids() {
            if let Some(info) = ctx.get_module_info(&id) {
                let imports = info.imported_ids.iter().map(ToString::to_string).collect();
                modules.imports.insert(id.to_string(), imports);
            }
        }
        Ok(())
    }

    async fn render_chunk(&self, _: &PluginContext, args: &HookRenderChunkArgs<'_>) -> HookRenderChunkReturn {
        let Scope::Page(naming) = &self.scope else { return Ok(None) };
        let layout = self.layout.get_or_init(|| self.plan(naming, args.chunks.values().cloned()));
        let lazy = |file: &ArcStr| layout.by_root.contains_key(file.as_str());
        if !args.chunk.dynamic_imports.iter().any(lazy) {
            return Ok(None);
        }
        let base = format!("/{}", args.chunk.filename);
        let mut edits = Vec::new();
        for (place, specifier) in references::dynamic_imports(&args.code) {
            let target = resolve_url_path(&base, &specifier);
            let Some(sheets) = layout.by_root.get(target.trim_start_matches('/')) else { continue };
            let names: Vec<String> =
                sheets.iter().map(|sheet| dotted(&args.chunk.filename, &layout.sheets[*sheet].stable)).collect();
            let names = serde_json::to_string(&names)?;
            edits.push((place.start..place.start, format!("__fingerpost_sheets({names}).then(() => ")));
            edits.push((place.end..place.end, ")".to_owned()));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        edits.push((args.code.len()..args.code.len(), LOAD_SHEETS.to_owned()));
        let (code, map) = edited(&args.code, &args.chunk.filename, edits)?;
        Ok(Some(HookRenderChunkOutput { code, map }))
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

/// A relative URL that is one to an import, too: it begins with a dot.
fn dotted(from: &str, to: &str) -> String {
    let url = relative_url(from, to);
    if url.starts_with('.') { url } else { format!("./{url}") }
}

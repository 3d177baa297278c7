//! From sources to an output folder: this file reads top to bottom as the stages.
//!
//! Leaves first: by the time a file is fingerprinted, every URL inside it is final, so that its fingerprint covers its own bytes
//! and, through them, everything that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use crate::asset::{LogicalPath, local_path, relative_url, url_path};
use crate::config::{Config, SourceMaps, nearest};
use crate::error::{Error, Fault, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Entry, Kind, Manifest, Mode, logical_name};
use crate::progress::Progress;
use crate::release::{ReleaseId, Stamp};

mod compress;
mod discover;
mod emit;
mod graph;
mod output;
mod template;
mod transform;
mod vite;

use discover::Sources;
use graph::{Graph, Scripts, Unit};
use output::{Imports, Output, Outputs};
use template::{AssetUrls, Page, Templates};
use transform::css::{Compiler, Sheet, Style, Urls};
use transform::html::{Survey, finish, finish_document, reach, survey};
use transform::module::{EntryModule, bundle};
use transform::script;

/// What the command line decides about a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to, an absolute path.
    pub out: PathBuf,
    pub mode: Mode,
    /// Whether to make `.br`, `.zst` and `.gz`.
    pub compress: bool,
    /// How many threads; 0 for one for each core. The result is the same.
    pub threads: usize,
}

/// Builds the site into the output folder, which is replaced whole, or not at all.
pub fn build(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Manifest> {
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().map_err(|error| Error::Usage {
            message: format!("could not start {} threads: {error}", options.threads),
            help: "pass fewer with `--threads`".to_owned(),
        })?;
    threads.install(|| stages(config, options, progress))
}

fn stages(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Manifest> {
    refuse_overlap(config, &options.out)?;
    config.warnings.iter().for_each(|warning| progress.warn(warning.clone()));

    progress.stage("discover", 0);
    let sources = Sources::discover(config)?;
    let templates = Templates::load(config, &sources)?;
    let scripts = Scripts::new(config);
    let drafts = draft(config, &sources, &templates, &scripts, progress)?;
    let references: Vec<(Place, String, String)> = drafts
        .iter()
        .flat_map(|draft| {
            draft.survey.references.iter().map(|(place, name)| (*place, name.clone(), draft.page.template.clone()))
        })
        .collect();
    let graph = Graph::new(config, &sources, &references, &scripts)?;

    let mut outputs = Outputs::new(&config.prefix);
    copy(config, &sources, &graph, &mut outputs, progress)?;
    styles(config, options.mode, &graph.styles, &mut outputs, progress)?;
    classic_scripts(config, options.mode, &graph.scripts, &mut outputs, progress)?;
    modules(config, options.mode, &graph.modules, &mut outputs, progress)?;
    documents(config, &graph.documents, &mut outputs)?;
    pages(config, options.mode, &templates, drafts, &mut outputs, progress)?;
    let release = seal(&mut outputs, options.mode)?;
    if options.compress {
        compress::compress(&mut outputs, &config.encodings, progress)?;
    }
    let mut manifest = outputs.manifest(config, options.mode);
    manifest.release = release;
    emit::emit(&options.out, &outputs, &manifest, progress)?;
    Ok(manifest)
}

/// The output folder is replaced whole, so it must not hold the sources, nor lie among them.
fn refuse_overlap(config: &Config, out: &Path) -> Result<()> {
    let clash = [&config.assets, &config.templates]
        .into_iter()
        .find(|folder| out.starts_with(folder) || folder.starts_with(out) || config.root.starts_with(out));
    match clash {
        None => Ok(()),
        Some(folder) => Err(Error::Usage {
            message: format!(
                "`{}` can't be the output folder: it and the sources in `{}` overlap",
                out.display(),
                folder.display()
            ),
            help: "choose another with `--out`: it is replaced whole by each build".to_owned(),
        }),
    }
}

/// A page rendered for a first time, to see what it names.
struct Draft {
    page: Page,
    survey: Survey,
}

fn draft(
    config: &Config,
    sources: &Sources,
    templates: &Templates,
    scripts: &Scripts<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Draft>> {
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for (name, path) in sources.assets.iter().chain(&sources.parts) {
        let script = discover::is_plain_script(name.as_str()) || discover::is_compiled_script(name.as_str());
        known.insert(name.as_str().to_owned(), script && scripts.is_module(path)?);
    }
    for bundle in &config.bundles {
        let mut module = false;
        for input in bundle.inputs.iter().filter(|_| bundle.name.extension() != "css") {
            module |= scripts.is_module(input)?;
        }
        known.insert(bundle.name.as_str().to_owned(), module);
    }
    let known = Arc::new(known);
    let renderer = templates.renderer(Arc::new(DraftUrls { prefix: config.prefix.clone(), known: Arc::clone(&known) }));
    let mut drafts = Vec::new();
    let mut faults = Vec::new();
    for page in &templates.pages {
        match renderer.render(page) {
            Ok(text) if is_html(&page.path) => {
                let survey = survey(&page.path, &text, &config.prefix, &|name| known.contains_key(name))?;
                for url in &survey.unknown {
                    progress.warn(format!("`{}` refers to `{url}`, and there is no such asset", page.template));
                }
                drafts.push(Draft { page: page.clone(), survey });
            }
            Ok(_) => drafts.push(Draft { page: page.clone(), survey: Survey::default() }),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(drafts) } else { Err(Error::Build(faults)) }
}

fn is_html(path: &str) -> bool {
    path.ends_with(".html") || path.ends_with(".htm")
}

/// Images, fonts and all else that is taken as it is.
fn copy(
    config: &Config,
    sources: &Sources,
    graph: &Graph,
    outputs: &mut Outputs,
    progress: &dyn Progress,
) -> Result<()> {
    progress.stage("copy", graph.copies.len() + sources.public.len());
    let read = |path: &PathBuf| {
        progress.step();
        fs::read(path)
    };
    let bodies: Vec<Vec<u8>> = graph.copies.par_iter().map(|unit| read(&unit.inputs[0])).collect::<Result<_>>()?;
    for (unit, bytes) in graph.copies.iter().zip(bodies) {
        add_asset(config, outputs, unit, unit.name.as_str(), bytes, None)?;
    }
    let known = |name: &str| name.ends_with(".webmanifest");
    for (path, source) in &sources.public {
        let kind = if known(path) { Kind::Page } else { Kind::Public };
        outputs.add(path.clone(), Output::new(kind, Some(fs::display_name(&config.root, source)), read(source)?))?;
    }
    Ok(())
}

/// Adds the one file that a unit became, under the unit's name.
fn add_asset(
    config: &Config,
    outputs: &mut Outputs,
    unit: &Unit,
    path: &str,
    bytes: Vec<u8>,
    map: Option<String>,
) -> Result<(), Fault> {
    let single = match unit.inputs.as_slice() {
        [only] => Some(only.as_path()),
        _ => None,
    };
    let source = single.map(|path| fs::display_name(&config.root, path));
    let mut output = Output::new(Kind::Asset, source, bytes);
    output.map = map.filter(|_| config.source_maps != SourceMaps::None);
    let file = outputs.add_asset(path, output, config.source_maps == SourceMaps::Public)?;
    outputs.name(&unit.name, single, Entry { file, imports: Vec::new(), module: false })
}

fn styles(config: &Config, mode: Mode, units: &[Unit], outputs: &mut Outputs, progress: &dyn Progress) -> Result<()> {
    progress.stage("stylesheets", units.len());
    let compiler = Compiler::new(&config.root, mode, &config.targets)?;
    let extra = Mutex::new(BTreeMap::new());
    let made: Vec<Result<Style, Vec<Fault>>> = units
        .par_iter()
        .map(|unit| {
            let name = match unit.inputs.as_slice() {
                [only] => fs::display_name(&config.root, only),
                _ => unit.name.as_str().to_owned(),
            };
            let urls = StyleUrls { config, outputs, sheet: &unit.name, extra: &extra };
            let style = compiler.compile(&Sheet { name, inputs: &unit.inputs }, &urls);
            progress.step();
            style
        })
        .collect();
    let mut done = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for (unit, style) in units.iter().zip(made) {
        match style {
            Ok(style) => done.push((unit, style)),
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        // A fault in a shared part shows up once for each stylesheet that it is in.
        let mut seen = BTreeSet::new();
        faults.retain(|fault| seen.insert(format!("{fault:?}")));
        return Err(Error::Build(faults));
    }
    for (source, (file, output)) in extra.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        outputs.remember(&source, &file);
        outputs.add(file, output)?;
    }
    let parts: BTreeSet<&PathBuf> = done
        .iter()
        .flat_map(|(unit, style)| {
            style.parts.iter().filter(|part| !unit.inputs.contains(part) || unit.inputs.len() > 1)
        })
        .collect();
    for (unit, style) in &done {
        let is_part = unit.inputs.iter().any(|input| parts.contains(input));
        if unit.named || !is_part {
            add_asset(
                config,
                outputs,
                unit,
                unit.name.as_str(),
                style.code.clone().into_bytes(),
                Some(style.map.clone()),
            )?;
        }
    }
    Ok(())
}

/// Resolves the `url()`s of one stylesheet, and gathers the files outside the assets folder that they lead to.
struct StyleUrls<'a> {
    config: &'a Config,
    outputs: &'a Outputs,
    sheet: &'a LogicalPath,
    extra: &'a Mutex<BTreeMap<PathBuf, (String, Output)>>,
}

impl Urls for StyleUrls<'_> {
    fn resolve(&self, file: &Path, url: &str) -> Result<Option<String>, Fault> {
        let config = self.config;
        let base = format!("/{}", fs::display_name(&config.root, file));
        let Some((local, suffix)) = local_path(&base, url) else { return Ok(None) };
        let missing = || {
            Fault::new(format!("`{}` refers to `{url}`, which isn't there", fs::display_name(&config.root, file)))
                .hint("check the path: it is relative to the stylesheet that it stands in")
        };
        if url.starts_with('/') {
            let Some(name) = logical_name(&config.prefix, &local) else { return Ok(None) };
            let entry = self.outputs.entries.get(name).ok_or_else(missing)?;
            return Ok(Some(self.relative(&entry.file, suffix)));
        }
        // Package files may stand in a folder above the root, where no path below it leads.
        let path = crate::asset::split_suffix(url).0;
        let decoded = crate::asset::decode_url_path(path).ok_or_else(missing)?;
        let target = fs::normalize(&file.parent().unwrap_or(&config.root).join(decoded));
        if !fs::within(&config.root, &target) {
            return Err(Fault::new(format!("`{url}` leads out of the site's root"))
                .hint("move the file below the root, or pass a `--root` that holds both"));
        }
        if let Ok(public) = target.strip_prefix(config.assets.join("public")) {
            let public = public.to_string_lossy().replace('\\', "/");
            return if target.is_file() { Ok(Some(format!("/{}{suffix}", url_path(&public)))) } else { Err(missing()) };
        }
        if let Some(file) = self.outputs.of_source(&target) {
            return Ok(Some(self.relative(file, suffix)));
        }
        if !target.is_file() {
            return Err(missing());
        }
        Ok(Some(self.relative(&self.bring(&target)?, suffix)))
    }
}

impl StyleUrls<'_> {
    /// Relative, so that a stylesheet's bytes are the same in every environment.
    fn relative(&self, file: &str, suffix: &str) -> String {
        relative_url(&format!("{}/{}", self.config.prefix, self.sheet), file) + suffix
    }

    /// Makes an asset of a file outside the assets folder: one of a package.
    fn bring(&self, path: &Path) -> Result<String, Fault> {
        let mut extra = self.extra.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((file, _)) = extra.get(path) {
            return Ok(file.clone());
        }
        let source = fs::display_name(&self.config.root, path);
        let bytes = fs::read(path).map_err(|error| Fault::new(error.to_string()))?;
        let name = match source.rfind("node_modules/") {
            Some(at) => format!("vendor/{}", &source[at + "node_modules/".len()..]),
            None => path
                .strip_prefix(&self.config.assets)
                .map_or(source.clone(), |path| path.to_string_lossy().into_owned()),
        };
        let output = Output::new(Kind::Asset, Some(source), bytes);
        let file = format!("{}/{}", self.config.prefix, output.digest.fingerprint().name(&name));
        extra.insert(path.to_owned(), (file.clone(), output));
        Ok(file)
    }
}

/// Classic scripts, and bundles of them: each is minified by itself and none is wrapped.
fn classic_scripts(
    config: &Config,
    mode: Mode,
    units: &[Unit],
    outputs: &mut Outputs,
    progress: &dyn Progress,
) -> Result<()> {
    progress.stage("scripts", units.len());
    let made: Vec<Result<script::Minified>> = units
        .par_iter()
        .map(|unit| {
            let mut inputs = Vec::new();
            for path in &unit.inputs {
                let name = fs::display_name(&config.root, path);
                let text = fs::read_text(path, &name)?;
                inputs.push((name, text));
            }
            progress.step();
            Ok(script::concatenate(&inputs, mode)?)
        })
        .collect();
    for (unit, made) in units.iter().zip(made) {
        let made = made?;
        add_asset(config, outputs, unit, unit.name.as_str(), made.code.into_bytes(), made.map)?;
    }
    Ok(())
}

fn modules(config: &Config, mode: Mode, units: &[Unit], outputs: &mut Outputs, progress: &dyn Progress) -> Result<()> {
    progress.stage("modules", 0);
    let name = |unit: &Unit| {
        format!("{}.js", unit.name.as_str().rsplit_once('.').map_or(unit.name.as_str(), |(stem, _)| stem))
    };
    let entries: Vec<EntryModule> =
        units.iter().map(|unit| EntryModule { name: name(unit), inputs: unit.inputs.clone() }).collect();
    let mut names = BTreeMap::new();
    for (unit, entry) in units.iter().zip(&entries) {
        if let Some(other) = names.insert(entry.name.clone(), &unit.name) {
            let fault = Fault::new(format!("`{other}` and `{}` would both be written to `{}`", unit.name, entry.name));
            return Err(fault.hint("rename one of them").into());
        }
    }
    let chunks = bundle(config, mode, &entries, progress)?;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for chunk in &chunks {
        let mut output = Output::new(Kind::Asset, chunk.source.clone(), chunk.code.clone().into_bytes());
        // Two modules of the same text are two modules: they must not become one file.
        let path = match taken.insert((chunk.path.clone(), output.digest)) {
            true => &chunk.path,
            false => &chunk.stable,
        };
        output.map.clone_from(&chunk.map);
        let file = outputs.add_asset(path, output, config.source_maps == SourceMaps::Public)?;
        files.insert(chunk.stable.clone(), file);
    }
    let file = |stable: &String| files.get(stable).cloned();
    let mut imported = BTreeSet::new();
    for chunk in &chunks {
        let imports = Imports {
            fixed: chunk.imports.iter().filter_map(file).collect(),
            dynamic: chunk.dynamic_imports.iter().filter_map(file).collect(),
            is_dynamic_entry: chunk.is_dynamic_entry,
            name: chunk.name.clone(),
        };
        imported.extend(chunk.imports.iter().chain(&chunk.dynamic_imports));
        if let Some(file) = file(&chunk.stable) {
            outputs.imports.insert(file, imports);
        }
    }
    let import_map = files.iter().filter(|(stable, _)| imported.contains(stable));
    outputs.chunks = import_map.map(|(stable, file)| (format!("{}/{stable}", config.prefix), file.clone())).collect();
    for chunk in &chunks {
        let (Some(unit), Some(file)) = (chunk.entry.and_then(|entry| units.get(entry)), file(&chunk.stable)) else {
            continue;
        };
        let imports = reach(outputs, &[&file], false).into_iter().skip(1).map(str::to_owned).collect();
        let single = if let [only] = unit.inputs.as_slice() { Some(only.as_path()) } else { None };
        outputs.name(&unit.name, single, Entry { file, imports, module: true })?;
    }
    Ok(())
}

/// Web app manifests: they keep their names at the site's root, since what they say is relative to where they lie.
fn documents(config: &Config, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    for unit in units {
        let source = fs::display_name(&config.root, &unit.inputs[0]);
        let text = fs::read_text(&unit.inputs[0], &source)?;
        serde_json::from_str::<serde_json::Value>(&text).map_err(|error| {
            Fault::new(format!("`{source}` is not valid JSON: {error}")).hint("correct it at the marked place").at_line(
                &source,
                text.as_str(),
                error.line(),
                error.column(),
            )
        })?;
        let path = unit.name.as_str().to_owned();
        outputs.add(path.clone(), Output::new(Kind::Page, Some(source), text.into_bytes()))?;
        let single = Some(unit.inputs[0].as_path());
        outputs.name(&unit.name, single, Entry { file: path, imports: Vec::new(), module: false })?;
    }
    let manifests: Vec<String> =
        outputs.files.iter().filter(|(_, output)| output.kind == Kind::Page).map(|(path, _)| path.clone()).collect();
    for path in manifests {
        if let Some(output) = outputs.files.get(&path) {
            let text = String::from_utf8_lossy(&output.bytes).into_owned();
            let finished = finish_document(&path, &text, outputs);
            let output = Output::new(Kind::Page, output.source.clone(), finished.into_bytes());
            outputs.files.insert(path, output);
        }
    }
    Ok(())
}

/// Renders the pages again, now that every asset has its name, and puts them in their final form.
fn pages(
    config: &Config,
    mode: Mode,
    templates: &Templates,
    drafts: Vec<Draft>,
    outputs: &mut Outputs,
    progress: &dyn Progress,
) -> Result<()> {
    progress.stage("pages", drafts.len());
    let mut answers = FinalUrls::default();
    for (name, entry) in &outputs.entries {
        let integrity = outputs.files.get(&entry.file).map(|output| output.digest.integrity().as_str().to_owned());
        answers.entries.insert(name.as_str().to_owned(), (entry.clone(), integrity.unwrap_or_default()));
    }
    let renderer = templates.renderer(Arc::new(answers));
    let folder = fs::display_name(&config.root, &config.templates);
    let made: Vec<Result<String>> = drafts
        .par_iter()
        .map(|draft| {
            let text = renderer.render(&draft.page)?;
            progress.step();
            if is_html(&draft.page.path) {
                finish(&draft.page.path, &text, outputs, mode, &draft.survey)
            } else {
                Ok(text)
            }
        })
        .collect();
    for (draft, text) in drafts.into_iter().zip(made) {
        let kind = if is_html(&draft.page.path) { Kind::Page } else { Kind::Public };
        let source = format!("{folder}/{}", draft.page.template);
        outputs.add(draft.page.path, Output::new(kind, Some(source), text?.into_bytes()))?;
    }
    Ok(())
}

/// Names the release after all that it holds, then binds the pages to `development`, so that they work as they lie there.
fn seal(outputs: &mut Outputs, mode: Mode) -> Result<ReleaseId> {
    let digests: Vec<(&str, String)> =
        outputs.files.iter().map(|(path, output)| (path.as_str(), output.digest.to_string())).collect();
    let parts = digests.iter().flat_map(|(path, digest)| [path.as_bytes(), digest.as_bytes()]);
    let release = ReleaseId::of(&Digest::of_parts(parts.chain([mode.as_str().as_bytes()])));

    struct Stamper<'a>(Stamp<'a>);
    impl Editor for Stamper<'_> {
        fn url(&mut self, _: Place, _: &str) -> Option<Link> {
            None
        }
        fn meta(&mut self, name: &str) -> Option<String> {
            self.0.meta(name)
        }
    }
    let mut stamper = Stamper(Stamp { environment: "development", release: &release });
    for (path, output) in outputs.files.iter_mut().filter(|(path, output)| output.kind == Kind::Page && is_html(path)) {
        let page = String::from_utf8_lossy(&output.bytes).into_owned();
        let stamped = html::edit(path, &page, &mut stamper)?;
        *output = Output::new(Kind::Page, output.source.take(), stamped.into_bytes());
    }
    Ok(release)
}

/// Answers templates while nothing is built yet: with logical URLs.
struct DraftUrls {
    prefix: String,
    /// Each asset and bundle, and whether it is a module.
    known: Arc<BTreeMap<String, bool>>,
}

impl DraftUrls {
    fn module(&self, path: &str) -> Result<bool, Fault> {
        self.known.get(path.trim_start_matches('/')).copied().ok_or_else(|| {
            let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let fault = Fault::new(format!("there is no asset `{path}`"));
            match nearest(path, &names) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("name a file below the assets folder, or a bundle"),
            }
        })
    }
}

impl AssetUrls for DraftUrls {
    fn url(&self, path: &str) -> Result<String, Fault> {
        self.module(path)?;
        Ok(format!("/{}/{}", self.prefix, url_path(path.trim_start_matches('/'))))
    }

    fn integrity(&self, path: &str) -> Result<String, Fault> {
        self.module(path)?;
        Ok(String::new())
    }

    fn tags(&self, path: &str) -> Result<String, Fault> {
        let module = self.module(path)?;
        tags(path, &self.url(path)?, module)
    }
}

/// Answers templates when everything has its name.
#[derive(Default)]
struct FinalUrls {
    /// Each entry with its integrity.
    entries: BTreeMap<String, (Entry, String)>,
}

impl FinalUrls {
    fn entry(&self, path: &str) -> Result<&(Entry, String), Fault> {
        let missing =
            || Fault::new(format!("`{path}` is only a part of other files")).hint("name the file that it goes into");
        self.entries.get(path.trim_start_matches('/')).ok_or_else(missing)
    }
}

impl AssetUrls for FinalUrls {
    fn url(&self, path: &str) -> Result<String, Fault> {
        Ok(format!("/{}", url_path(&self.entry(path)?.0.file)))
    }

    fn integrity(&self, path: &str) -> Result<String, Fault> {
        Ok(self.entry(path)?.1.clone())
    }

    fn tags(&self, path: &str) -> Result<String, Fault> {
        let module = self.entry(path)?.0.module;
        tags(path, &self.url(path)?, module)
    }
}

/// The element that loads an entry.
fn tags(path: &str, url: &str, module: bool) -> Result<String, Fault> {
    if discover::is_style(path) {
        Ok(format!("<link rel=\"stylesheet\" href=\"{url}\">"))
    } else if module {
        Ok(format!("<script type=\"module\" src=\"{url}\"></script>"))
    } else if discover::is_plain_script(path) {
        Ok(format!("<script src=\"{url}\"></script>"))
    } else {
        Err(Fault::new(format!("`asset_tags` knows no element for `{path}`"))
            .hint("it is for scripts and stylesheets; use `asset_url` for others"))
    }
}

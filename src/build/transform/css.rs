//! Stylesheets: `@import`s bundled, `url()`s pointed at fingerprinted files, lowered for the targets, minified.
//!
//! The only place that names lightningcss.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use elsa::sync::FrozenMap;
use lightningcss::error::Error as CssError;
use lightningcss::printer::PrinterOptions;
use lightningcss::rules::CssRuleList;
use lightningcss::stylesheet::{MinifyOptions, ParserFlags, ParserOptions, StyleSheet};
use lightningcss::targets::{Browsers, Targets};
use lightningcss::visitor::Visit;
use oxc_resolver::{ResolveOptions, Resolver};
use serde::{Deserialize, Serialize};

use super::sass::{self, is_sass};
use crate::asset::split_suffix;
use crate::build::cache::Cache;
use crate::config::Config;
use crate::error::{Error, Fault};
use crate::fs::{self, within};
use crate::manifest::{Mode, logical_name};

mod imports;
mod map;
mod modules;
mod rules;

use imports::Parts;
use map::{map_json, new_map};
pub use modules::Module;
use modules::is_module;
use rules::{UrlRewriter, first_things_first};

/// How every stylesheet of a build is compiled.
#[derive(Debug)]
pub struct Compiler {
    root: PathBuf,
    assets: PathBuf,
    prefix: String,
    mode: Mode,
    query: String,
    targets: Targets,
    cache: Arc<Cache>,
    resolver: Resolver,
    // What was read, and compiled, once.
    texts: FrozenMap<PathBuf, String>,
    sass: FrozenMap<PathBuf, Box<OnceLock<Result<sass::Compiled, Fault>>>>,
    modules: FrozenMap<PathBuf, Box<Module>>,
}

/// One stylesheet to compile.
pub struct Sheet<'a> {
    /// How the user knows it: its path below the root, or the bundle's name.
    pub name: String,
    /// Its sources, in order; several make a bundle.
    pub inputs: &'a [PathBuf],
    /// Whether what its CSS modules compose from goes in too; not where a page loads that by itself.
    pub composed: bool,
}

pub struct Style {
    pub code: String,
    pub map: String,
    /// The files that went into it, its inputs included.
    pub parts: BTreeSet<PathBuf>,
    /// Each import in them: the file that it stands in, the file that it means, and as it is written.
    pub imports: Vec<(PathBuf, PathBuf, String)>,
}

/// A stylesheet's text, and the map that leads back from it, as JSON.
#[derive(Serialize, Deserialize)]
struct Printed {
    code: String,
    map: String,
}

/// What a `url()` in `file` becomes: `Ok(None)` leaves it as it is, `Err` says why it can't be.
pub trait Urls: Sync {
    fn resolve(&self, file: &Path, url: &str) -> Result<Option<String>, Fault>;
}

impl Compiler {
    pub fn new(config: &Config, mode: Mode, cache: &Arc<Cache>) -> Result<Self, Fault> {
        let query = config.targets.query(mode);
        let resolver = Resolver::new(ResolveOptions {
            condition_names: vec!["style".to_owned(), "default".to_owned()],
            main_fields: vec!["style".to_owned(), "main".to_owned()],
            extensions: [".css", ".scss", ".sass"].map(str::to_owned).to_vec(),
            prefer_relative: true,
            ..ResolveOptions::default()
        });
        Ok(Compiler {
            root: config.root.clone(),
            assets: config.assets.clone(),
            prefix: config.prefix.clone(),
            mode,
            query: query.to_owned(),
            targets: targets(query)?,
            cache: Arc::clone(cache),
            resolver,
            texts: FrozenMap::new(),
            sass: FrozenMap::new(),
            modules: FrozenMap::new(),
        })
    }

    pub fn compile(&self, sheet: &Sheet<'_>, urls: &dyn Urls) -> Result<Style, Vec<Fault>> {
        let mut parts = Parts::load(self, sheet)?;
        let mut rules = parts.rules()?;
        first_things_first(&mut rules);
        let names = parts.iter().map(|part| fs::display_name(&self.root, &part.path)).collect();
        let mut stylesheet = StyleSheet::new(names, CssRuleList(rules), options(sheet.name.clone()));
        stylesheet.license_comments = parts.comments();
        let mut rewriter =
            UrlRewriter { compiler: self, parts: &parts, urls, at: None, written: Vec::new(), faults: Vec::new() };
        let Ok(()) = stylesheet.visit(&mut rewriter);
        let UrlRewriter { written, faults, .. } = rewriter;
        if !faults.is_empty() {
            return Err(faults);
        }
        let key = self.key(sheet, &parts, &written);
        let key: Vec<&[u8]> =
            [key.as_bytes()].into_iter().chain(parts.iter().map(|part| part.text.as_bytes())).collect();
        let print = || self.print(sheet, &parts, stylesheet).map_err(Error::Build);
        let printed = self.cache.get_or_make_value("style", &key, print).map_err(|error| match error {
            Error::Build(faults) => faults,
            error => vec![error.into_fault()],
        })?;
        Ok(Style {
            code: printed.code,
            map: printed.map,
            imports: parts.imports().to_vec(),
            parts: parts.iter().flat_map(|part| self.sources(&part.path)).map(Path::to_owned).collect(),
        })
    }

    /// All that a printed stylesheet depends on, beside the texts of its parts.
    fn key(&self, sheet: &Sheet<'_>, parts: &Parts<'_>, urls: &[Option<String>]) -> String {
        let name = |path: &Path| fs::display_name(&self.root, path);
        let names: Vec<String> = parts.iter().map(|part| name(&part.path)).collect();
        let inputs: Vec<String> = sheet.inputs.iter().map(|path| name(path)).collect();
        let imports: Vec<_> = parts.imports().iter().map(|(from, to, url)| (name(from), name(to), url)).collect();
        let how = (&self.query, self.mode, &sheet.name, sheet.composed);
        serde_json::json!([how, inputs, names, imports, urls]).to_string()
    }

    fn print(
        &self,
        sheet: &Sheet<'_>,
        parts: &Parts<'_>,
        mut stylesheet: StyleSheet<'_>,
    ) -> Result<Printed, Vec<Fault>> {
        let targets = self.targets;
        let failed = |what: &str, error: &dyn fmt::Display| {
            vec![Fault::new(format!("could not {what} `{}`: {error}", sheet.name))]
        };
        stylesheet
            .minify(MinifyOptions { targets, ..MinifyOptions::default() })
            .map_err(|error| failed("compile", &error))?;
        let mut map = new_map(parts, &self.root).map_err(|error| failed("map", &error))?;
        let printer = PrinterOptions {
            minify: self.mode == Mode::Production,
            targets,
            source_map: Some(&mut map),
            ..PrinterOptions::default()
        };
        let code = stylesheet.to_css(printer).map_err(|error| failed("print", &error))?.code;
        let map = map_json(map, parts, &self.root).map_err(|error| failed("map", &error))?;
        Ok(Printed { code, map })
    }

    /// What Sass had to say so far, each thing once.
    pub fn warnings(&self) -> BTreeSet<String> {
        let files = self.sass.keys_cloned();
        let compiled = files.iter().filter_map(|file| self.sass(file).ok());
        compiled.flat_map(|compiled| compiled.warnings.clone()).collect()
    }

    /// A file as CSS; Sass is compiled.
    fn css(&self, file: &Path) -> Result<&str, Vec<Fault>> {
        match is_sass(&file.to_string_lossy()) {
            true => self.sass(file).map(|compiled| compiled.css.as_str()).map_err(|fault| vec![fault.clone()]),
            false => self.read(file),
        }
    }

    fn sass(&self, file: &Path) -> Result<&sass::Compiled, &Fault> {
        let compiled = match self.sass.get(file) {
            Some(compiled) => compiled,
            None => self.sass.insert(file.to_owned(), Box::default()),
        };
        compiled.get_or_init(|| sass::compile(&self.cache, &self.root, &self.assets, file)).as_ref()
    }

    /// The files that one was made from, itself first: what stands in it may have been written in any of them.
    fn sources<'s>(&'s self, file: &'s Path) -> Vec<&'s Path> {
        let compiled = is_sass(&file.to_string_lossy()).then(|| self.sass(file).ok()).flatten();
        let parts = compiled.iter().flat_map(|compiled| &compiled.parts).map(PathBuf::as_path);
        [file].into_iter().chain(parts.filter(|part| *part != file)).collect()
    }

    /// Lets a text stand for a file that isn't there.
    pub fn provide(&self, file: &Path, text: String) {
        self.texts.insert(file.to_owned(), text);
    }

    fn is_file(&self, path: &Path) -> bool {
        self.texts.get(path).is_some() || path.is_file()
    }

    /// The text of a file, read once.
    fn read(&self, file: &Path) -> Result<&str, Vec<Fault>> {
        if let Some(text) = self.texts.get(file) {
            return Ok(text);
        }
        let name = fs::display_name(&self.root, file);
        let text = fs::read_text(file, &name).map_err(|error| match error {
            Error::Build(faults) => faults,
            error => vec![Fault::new(format!("could not read `{name}`: {error}"))],
        })?;
        Ok(self.texts.insert(file.to_owned(), text))
    }

    /// The file that a specifier in another means: one beside it, or a package's.
    fn locate(&self, specifier: &str, from: &Path) -> Result<PathBuf, Fault> {
        let name = fs::display_name(&self.root, from);
        let file = self.find(specifier, from).ok_or_else(|| {
            Fault::new(format!("`{name}` imports `{specifier}`, which isn't there"))
                .hint("check the path; a package has to be installed in `node_modules`")
        })?;
        if !within(&self.root, &file) {
            return Err(Fault::new(format!("`{name}` imports `{specifier}`, which leads out of the site's root"))
                .hint("move the stylesheet below the root, or pass a `--root` that holds both"));
        }
        Ok(file)
    }

    fn find(&self, specifier: &str, from: &Path) -> Option<PathBuf> {
        let path = split_suffix(specifier).0;
        if let Some(name) = logical_name(&self.prefix, path) {
            return Some(fs::normalize(&self.assets.join(name))).filter(|path| self.is_file(path));
        }
        let beside = |from: &Path| Some(fs::normalize(&from.parent()?.join(path))).filter(|path| self.is_file(path));
        let package = specifier.strip_prefix('~').unwrap_or(specifier);
        let resolve = || self.resolver.resolve(from.parent()?, package).ok().map(|found| found.full_path());
        self.sources(from).into_iter().find_map(beside).or_else(resolve)
    }
}

/// The browsers of a browserslist query, looked up once in a process.
fn targets(query: &str) -> Result<Targets, Fault> {
    static KNOWN: Mutex<BTreeMap<String, Targets>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(targets) = known.get(query) {
        return Ok(*targets);
    }
    let browsers = Browsers::from_browserslist([query])
        .map_err(|error| Fault::new(format!("`{query}` is no browserslist query: {error}")))?;
    let targets = Targets::from(browsers);
    known.insert(query.to_owned(), targets);
    Ok(targets)
}

/// How every stylesheet is parsed.
fn options<'a>(name: String) -> ParserOptions<'a> {
    let flags = ParserFlags::NESTING | ParserFlags::CUSTOM_MEDIA;
    ParserOptions { filename: name, flags, ..ParserOptions::default() }
}

/// The fault of a text that lightningcss refuses.
fn invalid(name: &str, text: &str, error: &CssError<impl fmt::Display>) -> Fault {
    let fault = Fault::new(format!("`{name}` is not valid CSS: {}", error.kind))
        .hint("correct the stylesheet at the marked place");
    match &error.loc {
        Some(loc) => fault.at_line(name, text, loc.line as usize + 1, loc.column as usize),
        None => fault,
    }
}

//! Stylesheets: `@import`s bundled, `url()`s pointed at fingerprinted files, lowered for the targets, minified.
//!
//! The only place that names lightningcss.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use elsa::sync::FrozenMap;
use lightningcss::bundler::{BundleErrorKind, Bundler, ResolveResult, SourceProvider};
use lightningcss::error::Error as CssError;
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::{MinifyOptions, ParserFlags, ParserOptions};
use lightningcss::targets::{Browsers, Targets};
use lightningcss::visitor::Visit;
use oxc_resolver::{ResolveOptions, Resolver};
use parcel_sourcemap::SourceMap;

use crate::asset::is_external;
use crate::error::{Error, Fault};
use crate::fs::{self, within};
use crate::manifest::Mode;

mod rules;

use rules::{UrlRewriter, first_things_first};

/// How every stylesheet of a build is compiled.
#[derive(Debug)]
pub struct Compiler {
    root: PathBuf,
    mode: Mode,
    targets: Targets,
    resolver: Resolver,
}

/// One stylesheet to compile.
pub struct Sheet<'a> {
    /// How the user knows it: its path below the root, or the bundle's name.
    pub name: String,
    /// Its sources, in order; several make a bundle.
    pub inputs: &'a [PathBuf],
}

pub struct Style {
    pub code: String,
    pub map: String,
    /// The files that went into it, its inputs included.
    pub parts: BTreeSet<PathBuf>,
}

/// What a `url()` in `file` becomes: `Ok(None)` leaves it as it is, `Err` says why it can't be.
pub trait Urls: Sync {
    fn resolve(&self, file: &Path, url: &str) -> Result<Option<String>, Fault>;
}

impl Compiler {
    /// `targets` is a browserslist query.
    pub fn new(root: &Path, mode: Mode, targets: &str) -> Result<Self, Fault> {
        let browsers = Browsers::from_browserslist([targets])
            .map_err(|error| Fault::new(format!("`{targets}` is no browserslist query: {error}")))?;
        let resolver = Resolver::new(ResolveOptions {
            condition_names: vec!["style".to_owned(), "default".to_owned()],
            main_fields: vec!["style".to_owned(), "main".to_owned()],
            extensions: vec![".css".to_owned()],
            prefer_relative: true,
            ..ResolveOptions::default()
        });
        Ok(Compiler { root: root.to_owned(), mode, targets: Targets::from(browsers), resolver })
    }

    pub fn compile(&self, sheet: &Sheet<'_>, urls: &dyn Urls) -> Result<Style, Vec<Fault>> {
        let provider = Provider::new(self, sheet);
        let entry = provider.entry.clone();
        let mut map = SourceMap::new("/");
        let options =
            ParserOptions { flags: ParserFlags::NESTING | ParserFlags::CUSTOM_MEDIA, ..ParserOptions::default() };
        let mut bundler = Bundler::new(&provider, Some(&mut map), options);
        let bundled = alone(|| bundler.bundle(&entry)).map_err(|error| vec![error])?;
        if let Some(fault) = provider.cycle() {
            return Err(vec![fault]);
        }
        let mut stylesheet = bundled.map_err(|error| vec![provider.fault(&error)])?;

        first_things_first(&mut stylesheet.rules.0);
        let mut rewriter = UrlRewriter {
            provider: &provider,
            urls,
            sources: stylesheet.sources.iter().map(PathBuf::from).collect(),
            source: 0,
            at: None,
            faults: Vec::new(),
        };
        let Ok(()) = stylesheet.visit(&mut rewriter);
        if !rewriter.faults.is_empty() {
            return Err(rewriter.faults);
        }

        let production = self.mode == Mode::Production;
        let targets = self.targets;
        stylesheet
            .minify(MinifyOptions { targets, ..MinifyOptions::default() })
            .map_err(|error| vec![Fault::new(format!("could not compile `{}`: {error}", sheet.name))])?;
        let printer = PrinterOptions {
            minify: production,
            targets,
            source_map: Some(&mut map),
            project_root: Some("/"),
            ..PrinterOptions::default()
        };
        let code = stylesheet
            .to_css(printer)
            .map_err(|error| vec![Fault::new(format!("could not print `{}`: {error}", sheet.name))])?
            .code;
        let map = self
            .map_json(&mut map)
            .map_err(|error| vec![Fault::new(format!("could not map `{}`: {error}", sheet.name))])?;
        drop(stylesheet);
        Ok(Style { code, map, parts: provider.parts() })
    }

    /// The source map with its sources relative to the root, so that it is the same wherever the site is built.
    fn map_json(&self, map: &mut SourceMap) -> Result<String, Box<dyn std::error::Error>> {
        let mut json: serde_json::Value = serde_json::from_str(&map.to_json(None)?)?;
        let root = self.root.to_string_lossy().replace('\\', "/");
        if let Some(sources) = json.get_mut("sources").and_then(|sources| sources.as_array_mut()) {
            for source in sources {
                let path = format!("/{}", source.as_str().unwrap_or_default().trim_start_matches('/'));
                let relative = path.strip_prefix(&root).map(|path| path.trim_start_matches(['/', '\0']));
                *source = relative.unwrap_or_else(|| fs::portable(&path)).into();
            }
        }
        Ok(json.to_string())
    }
}

/// Runs the bundler's own parallel work on one thread.
///
/// It numbers files in the order in which its threads find them; with one, that is the order of the text, so that the source
/// map is the same each time. Sheets are compiled side by side instead. The thread is none of a pool: a pool's thread that
/// waits for another pool takes up more of its own work meanwhile, one on top of the other, until its stack is full.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Fault> {
    let failed = |what: &str| Fault::new(format!("could not compile stylesheets: {what}"));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .stack_size(super::super::STACK)
        .build()
        .map_err(|error| failed(&error.to_string()))?;
    std::thread::scope(|scope| scope.spawn(|| pool.install(work)).join()).map_err(|_| failed("the bundler panicked"))
}

/// Gives the bundler its files, and remembers who imported whom.
struct Provider<'a> {
    compiler: &'a Compiler,
    entry: PathBuf,
    inputs: Vec<PathBuf>,
    texts: FrozenMap<PathBuf, String>,
    imports: Mutex<Vec<(PathBuf, PathBuf, String)>>,
}

impl<'a> Provider<'a> {
    fn new(compiler: &'a Compiler, sheet: &Sheet<'_>) -> Self {
        let texts = FrozenMap::new();
        let entry = match sheet.inputs {
            [only] => only.clone(),
            inputs => {
                // No file of this name can exist: a file name holds no NUL.
                let entry = compiler.root.join(format!("\0{}", sheet.name));
                // By the inputs' names, not their paths: this text stands in the source map.
                let import = |input: &PathBuf| format!("@import {:?};\n", fs::display_name(&compiler.root, input));
                let text = inputs.iter().map(import).collect();
                texts.insert(entry.clone(), text);
                entry
            }
        };
        Provider { compiler, entry, inputs: sheet.inputs.to_vec(), texts, imports: Mutex::default() }
    }

    fn name(&self, file: &Path) -> String {
        fs::display_name(&self.compiler.root, file)
    }

    fn parts(&self) -> BTreeSet<PathBuf> {
        let imports = self.imports.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let imported = imports.iter().map(|(_, to, _)| to.clone());
        imported.chain([self.entry.clone()]).filter(|path| !path.to_string_lossy().contains('\0')).collect()
    }

    /// A cycle of imports, if there is one: what a browser would make of it is not what anybody means.
    fn cycle(&self) -> Option<Fault> {
        let imports = self.imports.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut edges: HashMap<&Path, Vec<&Path>> = HashMap::new();
        for (from, to, _) in imports.iter() {
            edges.entry(from).or_default().push(to);
        }
        let mut path = find_cycle(&edges, &self.entry, &mut Vec::new(), &mut HashSet::new())?;
        // Told from the same file on, whichever stylesheet led into it.
        path.pop();
        let first = path.iter().enumerate().min_by_key(|(_, file)| (*file).clone()).map_or(0, |(at, _)| at);
        path.rotate_left(first);
        path.extend(path.first().cloned());
        let [from, to] = path.get(path.len() - 2..)? else { return None };
        let specifier =
            imports.iter().find(|(a, b, _)| a == from && b == to).map(|(_, _, specifier)| specifier.as_str());
        let names: Vec<String> = path.iter().map(|file| format!("`{}`", self.name(file))).collect();
        let fault = Fault::new(format!("stylesheets import each other in a circle: {}", names.join(" → ")))
            .hint("remove one of these imports");
        Some(self.locate(fault, from, specifier?))
    }

    /// Points the fault at where the specifier stands in the file.
    fn locate(&self, fault: Fault, file: &Path, specifier: &str) -> Fault {
        match self.texts.get(file) {
            Some(text) => match text.find(specifier) {
                Some(at) => fault.at(self.name(file), text, at, specifier.len()),
                None => fault,
            },
            None => fault,
        }
    }

    fn fault(&self, error: &CssError<BundleErrorKind<'_, SourceError>>) -> Fault {
        let located = |fault: Fault| match &error.loc {
            Some(loc) => {
                let file = Path::new(&loc.filename);
                match self.texts.get(file) {
                    Some(text) if file != self.entry || self.entry.exists() => {
                        fault.at_line(self.name(file), text, loc.line as usize + 1, loc.column as usize)
                    }
                    _ => fault,
                }
            }
            None => fault,
        };
        match &error.kind {
            BundleErrorKind::ResolverError(SourceError(fault)) => located(fault.clone()),
            kind => {
                let place = error.loc.as_ref().map(|loc| Path::new(&loc.filename)).unwrap_or(&self.entry);
                let file = self.name(place);
                located(Fault::new(format!("`{}` is not valid CSS: {kind}", file.trim_start_matches('\0')))).hint(
                    match kind {
                        BundleErrorKind::ExternalImportAfterBundledImport => "put it before the other imports",
                        _ => "correct the stylesheet at the marked place",
                    },
                )
            }
        }
    }
}

fn find_cycle(
    edges: &HashMap<&Path, Vec<&Path>>,
    at: &Path,
    path: &mut Vec<PathBuf>,
    done: &mut HashSet<PathBuf>,
) -> Option<Vec<PathBuf>> {
    if let Some(start) = path.iter().position(|seen| seen == at) {
        let mut cycle = path[start..].to_vec();
        cycle.push(at.to_owned());
        return Some(cycle);
    }
    if !done.insert(at.to_owned()) {
        return None;
    }
    path.push(at.to_owned());
    let found = edges.get(at).into_iter().flatten().find_map(|next| find_cycle(edges, next, path, done));
    path.pop();
    found
}

/// A [`Fault`] on its way through the bundler.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SourceError(Fault);

impl From<Fault> for SourceError {
    fn from(fault: Fault) -> Self {
        SourceError(fault)
    }
}

impl SourceProvider for Provider<'_> {
    type Error = SourceError;

    fn read<'a>(&'a self, file: &Path) -> Result<&'a str, Self::Error> {
        if let Some(text) = self.texts.get(file) {
            return Ok(text);
        }
        let name = self.name(file);
        let text = fs::read_text(file, &name).map_err(Error::into_fault)?;
        Ok(self.texts.insert(file.to_owned(), text))
    }

    fn resolve(&self, specifier: &str, from: &Path) -> Result<ResolveResult, Self::Error> {
        if is_external(specifier) {
            return Ok(ResolveResult::External(specifier.to_owned()));
        }
        let file = self.find(specifier, from).ok_or_else(|| {
            Fault::new(format!("`{}` imports `{specifier}`, which isn't there", self.name(from)))
                .hint("check the path; a package has to be installed in `node_modules`")
        })?;
        if !within(&self.compiler.root, &file) {
            return Err(Fault::new(format!(
                "`{}` imports `{specifier}`, which leads out of the site's root",
                self.name(from)
            ))
            .hint("move the stylesheet below the root, or pass a `--root` that holds both")
            .into());
        }
        let mut imports = self.imports.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        imports.push((from.to_owned(), file.clone(), specifier.to_owned()));
        Ok(ResolveResult::File(file))
    }
}

impl Provider<'_> {
    /// A file beside the importing one, or a package's.
    fn find(&self, specifier: &str, from: &Path) -> Option<PathBuf> {
        if from == self.entry && self.inputs.len() > 1 {
            return self.inputs.iter().find(|input| self.name(input) == specifier).cloned();
        }
        let folder = from.parent()?;
        let beside = fs::normalize(&folder.join(specifier.split(['?', '#']).next()?));
        if beside.is_file() {
            return Some(beside);
        }
        let package = specifier.strip_prefix('~').unwrap_or(specifier);
        self.compiler.resolver.resolve(folder, package).ok().map(|found| found.full_path())
    }
}

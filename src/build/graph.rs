//! What becomes of each source: an entry of a kind, a part of another, or a copy.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::discover::{Sources, is_compiled_script, is_plain_script, is_style};
use super::memory::Memory;
use super::transform::module::glob_files;
use super::{libraries, lock};
use crate::asset::{LogicalPath, extension};
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::html::Place;

/// Something that one output is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// What pages call it.
    pub name: LogicalPath,
    /// Absolute paths, in order.
    pub inputs: Vec<PathBuf>,
    /// A page or the configuration names it. A stylesheet that nobody names is left out if it is a part of another.
    pub named: bool,
}

impl Unit {
    /// Its source, if it has just one.
    pub fn single(&self) -> Option<&Path> {
        match self.inputs.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// The work of a build.
#[derive(Debug, Default)]
pub struct Graph {
    pub copies: Vec<Unit>,
    /// JSON documents that are bound to the environment: web app manifests.
    pub documents: Vec<Unit>,
    pub styles: Vec<Unit>,
    /// Classic scripts.
    pub scripts: Vec<Unit>,
    pub modules: Vec<Unit>,
}

/// Tells modules from classic scripts, each looked at once.
pub struct Scripts<'a> {
    config: &'a Config,
    memory: &'a Memory,
}

impl<'a> Scripts<'a> {
    pub fn new(config: &'a Config, memory: &'a Memory) -> Self {
        Scripts { config, memory }
    }

    pub fn is_module(&self, path: &Path) -> Result<bool> {
        Ok(is_compiled_script(&path.to_string_lossy())
            || extension(&path.to_string_lossy()) == "mjs"
            || self.memory.texts.syntax(path)?.is_module)
    }

    /// Every script that can be reached from these by relative imports. Packages are the bundler's to find.
    fn closure(&self, entries: impl IntoIterator<Item = PathBuf>) -> Result<HashSet<PathBuf>> {
        let walk = Walk::default();
        rayon::in_place_scope(|scope| entries.into_iter().for_each(|path| self.reach(scope, path, &walk)));
        let Walk { reached, mut faults } = walk;
        let first = faults.get_mut().ok().and_then(BTreeMap::pop_first);
        match first {
            Some((_, fault)) => Err(fault),
            None => Ok(reached.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn reach<'s>(&'s self, scope: &rayon::Scope<'s>, path: PathBuf, walk: &'s Walk) {
        let name = path.to_string_lossy();
        let is_script = is_plain_script(&name) || is_compiled_script(&name);
        if !is_script || !lock(&walk.reached).insert(path.clone()) {
            return;
        }
        scope.spawn(move |scope| match self.imports(&path) {
            Ok(found) => found.into_iter().for_each(|path| self.reach(scope, path, walk)),
            Err(fault) => drop(lock(&walk.faults).insert(path, fault)),
        });
    }

    /// The files that a script imports by relative paths.
    fn imports(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let folder = path.parent().unwrap_or(&self.config.root);
        let mut found = Vec::new();
        if !path.starts_with(&self.config.assets) {
            let text = self.memory.texts.read(path)?;
            if !text.contains(GLOB) {
                found.extend(relative_strings(&text).filter_map(|import| self.find(folder, import)));
                return Ok(found);
            }
        }
        let syntax = self.memory.texts.syntax(path)?;
        let relative = syntax.imports.iter().filter(|import| import.starts_with('.'));
        found.extend(relative.filter_map(|import| self.find(folder, import)));
        for patterns in &syntax.globs {
            let files = glob_files(&self.config.root, path, patterns).unwrap_or_default();
            found.extend(files.into_iter().map(|file| file.path));
        }
        Ok(found)
    }

    /// The file that a relative import means, by the rules that bundlers share.
    fn find(&self, folder: &Path, import: &str) -> Option<PathBuf> {
        let exact = fs::normalize(&folder.join(import.split('?').next().unwrap_or(import)));
        if self.memory.is_file(&exact) {
            return Some(exact);
        }
        let text = exact.to_string_lossy();
        let compiled = text.strip_suffix(".js").map(|stem| format!("{stem}.ts"));
        let extensions = ["tsx", "ts", "jsx", "js", "mts", "mjs"];
        let added = extensions.iter().map(|extension| format!("{text}.{extension}"));
        let index = extensions.iter().map(|extension| format!("{text}/index.{extension}"));
        compiled.into_iter().chain(added).chain(index).map(PathBuf::from).find(|path| self.memory.is_file(path))
    }
}

/// What a walk along the imports has come by.
#[derive(Default)]
struct Walk {
    reached: Mutex<HashSet<PathBuf>>,
    /// By script. The first in their order is told, whichever thread was first.
    faults: Mutex<BTreeMap<PathBuf, Error>>,
}

const GLOB: &str = "import.meta.glob";

/// The strings in a script that may be relative imports. That is all there is to know of scripts out of the assets' folder, of
/// which there may be thousands: which assets they import. The bundler parses them, and once is enough.
fn relative_strings(text: &str) -> impl Iterator<Item = &str> {
    let quotes = memchr::memchr3_iter(b'"', b'\'', b'`', text.as_bytes());
    quotes.filter_map(|quote| {
        let rest = &text[quote + 1..];
        let relative = rest.strip_prefix("..").or_else(|| rest.strip_prefix('.'))?;
        let first = *relative.as_bytes().first()?;
        let ends = first == text.as_bytes()[quote];
        let end = memchr::memchr2(text.as_bytes()[quote], b'\n', rest.as_bytes())?;
        (ends || first == b'/').then_some(&rest[..end])
    })
}

/// Whether two texts of a script out of the assets' folder may import the same.
pub fn name_the_same(before: &str, now: &str) -> bool {
    !before.contains(GLOB) && !now.contains(GLOB) && relative_strings(before).eq(relative_strings(now))
}

impl Graph {
    /// `references` are what pages say: a place, a logical path and the page.
    pub fn new(
        config: &Config,
        sources: &Sources,
        references: &[(Place, String, String)],
        scripts: &Scripts<'_>,
    ) -> Result<Self> {
        let mut graph = Graph::default();
        for bundle in &config.bundles {
            let unit = Unit { name: bundle.name.clone(), inputs: bundle.inputs.clone(), named: true };
            if sources.assets.get(&bundle.name).is_some_and(|path| !bundle.inputs.contains(path)) {
                let fault = Fault::new(format!("a bundle and a file are both named `{}`", bundle.name));
                return Err(fault.hint("give the bundle another name").into());
            }
            match is_style(bundle.name.as_str()) {
                true => graph.styles.push(unit),
                false if any_module(scripts, &bundle.inputs)? => graph.modules.push(unit),
                false => graph.scripts.push(unit),
            }
        }
        libraries::plan(config, sources, scripts, &mut graph)?;
        let libraries = config.libraries.iter().map(|library| &library.file);
        let taken: BTreeSet<&PathBuf> =
            config.bundles.iter().flat_map(|bundle| &bundle.inputs).chain(libraries).collect();
        let bundle_names: BTreeSet<&LogicalPath> = config.bundles.iter().map(|bundle| &bundle.name).collect();

        let module_bundles = graph.modules.iter().map(|unit| &unit.name);
        for (_, name, page) in references.iter().filter(|(place, ..)| *place == Place::Script { module: false }) {
            if module_bundles.clone().any(|bundle| bundle.as_str() == name) {
                return Err(Fault::new(format!(
                    "`{page}` loads `{name}` as a classic script, and it is a bundle of modules"
                ))
                .hint("write `<script type=\"module\" …>`, or `{{ asset_tags(…) }}`")
                .into());
            }
        }
        let named = named(sources, references, scripts, &bundle_names)?;
        let nothing_named = named.is_empty() && config.bundles.is_empty();
        for (name, role) in &named {
            let Some((name, path)) = sources.asset(name) else { continue };
            if config.libraries.iter().any(|library| library.file == *path) {
                continue;
            }
            let unit = Unit { name: name.clone(), inputs: vec![path.clone()], named: true };
            match role {
                Role::Style => graph.styles.push(unit),
                Role::Script => graph.scripts.push(unit),
                Role::Module => graph.modules.push(unit),
            }
        }
        let mut loose = Vec::new();
        for (name, path) in &sources.assets {
            if named.contains_key(name.as_str()) || bundle_names.contains(name) || taken.contains(path) {
                continue;
            }
            let top = !name.as_str().contains('/');
            let unit = Unit { name: name.clone(), inputs: vec![path.clone()], named: false };
            if is_style(name.as_str()) {
                graph.styles.push(unit);
            } else if is_plain_script(name.as_str()) {
                match scripts.is_module(path)? {
                    true if top && nothing_named => graph.modules.push(unit),
                    true => loose.push(unit),
                    false => graph.scripts.push(unit),
                }
            } else if is_compiled_script(name.as_str()) {
                if top && nothing_named {
                    graph.modules.push(unit);
                }
            } else if name.extension() == "webmanifest" {
                graph.documents.push(unit);
            } else {
                graph.copies.push(unit);
            }
        }
        // A module that no entry imports is an asset in its own right: bundled, since its own imports are renamed.
        let reached = scripts.closure(graph.modules.iter().flat_map(|unit| unit.inputs.clone()))?;
        loose.retain(|unit| unit.inputs.iter().all(|path| !reached.contains(path)));
        let inner = inner_modules(scripts, &loose)?;
        loose.retain(|unit| unit.inputs.iter().all(|path| !inner.contains(path)));
        graph.scripts.retain(|unit| unit.named || unit.inputs.iter().all(|path| !reached.contains(path)));
        graph.modules.extend(loose);
        graph.styles.sort_by(|a, b| a.name.cmp(&b.name));
        graph.scripts.sort_by(|a, b| a.name.cmp(&b.name));
        graph.modules.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(graph)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Style,
    Script,
    Module,
}

/// The scripts and stylesheets that pages name, and as what.
fn named(
    sources: &Sources,
    references: &[(Place, String, String)],
    scripts: &Scripts<'_>,
    bundles: &BTreeSet<&LogicalPath>,
) -> Result<BTreeMap<String, Role>> {
    let mut named: BTreeMap<String, (Role, &str)> = BTreeMap::new();
    let mut faults = Vec::new();
    for (place, name, page) in references {
        let Some((_, path)) = sources.asset(name) else { continue };
        if bundles.contains(&LogicalPath::new(name.as_str()).map_err(|error| Fault::new(error.to_string()))?) {
            continue;
        }
        let compiled = is_compiled_script(name);
        let role = match place {
            Place::Stylesheet if is_style(name) => Role::Style,
            Place::Script { module: false } if compiled => {
                faults.push(
                    Fault::new(format!("`{page}` loads `{name}` as a classic script, which it can't be"))
                        .hint("write `<script type=\"module\" …>`, or `{{ asset_tags(…) }}`"),
                );
                continue;
            }
            Place::Script { module: true } => Role::Module,
            Place::Script { module: false } => Role::Script,
            _ if is_style(name) => Role::Style,
            _ if compiled || (is_plain_script(name) && scripts.is_module(path)?) => Role::Module,
            _ if is_plain_script(name) => Role::Script,
            _ => continue,
        };
        match named.get(name.as_str()) {
            Some((other, first)) if *other != role && matches!(place, Place::Script { .. }) => faults.push(
                Fault::new(format!(
                    "`{name}` is a module in one place and a classic script in another: `{first}` and `{page}`"
                ))
                .hint("load it with `type=\"module\"` in both, or in neither"),
            ),
            Some(_) => {}
            None => {
                named.insert(name.clone(), (role, page));
            }
        }
    }
    if !faults.is_empty() {
        return Err(crate::error::Error::Build(faults));
    }
    Ok(named.into_iter().map(|(name, (role, _))| (name, role)).collect())
}

fn any_module(scripts: &Scripts<'_>, inputs: &[PathBuf]) -> Result<bool> {
    for input in inputs {
        if scripts.is_module(input)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of these modules that others of them import.
fn inner_modules(scripts: &Scripts<'_>, units: &[Unit]) -> Result<BTreeSet<PathBuf>> {
    let mut inner = BTreeSet::new();
    for unit in units {
        let reached = scripts.closure(unit.inputs.clone())?;
        // Of two that import each other, the first stays.
        let others = reached.into_iter().filter(|path| !unit.inputs.contains(path) && !inner.contains(&unit.inputs[0]));
        inner.extend(others.collect::<Vec<_>>());
    }
    Ok(inner)
}

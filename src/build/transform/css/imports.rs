//! A stylesheet and all that it imports, as one list of rules that cascade as they would in a browser.
//!
//! A browser takes an `@import` for the imported rules themselves, under the import's conditions, as often as it is written
//! (<https://www.w3.org/TR/css-cascade-5/#at-import>). So does this, but that a copy is left out where a later one of the same
//! rules outdoes it. lightningcss has a bundler too; it keeps one copy of each file, and so loses one that is imported both
//! with a layer and without.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use lightningcss::media_query::MediaList;
use lightningcss::printer::PrinterOptions;
use lightningcss::rules::import::ImportRule;
use lightningcss::rules::layer::{LayerBlockRule, LayerStatementRule};
use lightningcss::rules::media::MediaRule;
use lightningcss::rules::supports::SupportsRule;
use lightningcss::rules::{CssRule, CssRuleList, Location};
use lightningcss::stylesheet::StyleSheet;
use lightningcss::traits::ToCss;
use lightningcss::values::string::CowArcStr;

use super::{Compiler, Sheet, invalid, is_module, options};
use crate::asset::is_external;
use crate::error::Fault;
use crate::fs;

/// The files of one stylesheet, each parsed once.
pub struct Parts<'a> {
    compiler: &'a Compiler,
    composed: bool,
    roots: Vec<usize>,
    parts: Vec<Part<'a>>,
    indices: HashMap<PathBuf, usize>,
    imports: Vec<(PathBuf, PathBuf, String)>,
}

/// A file's rules; their locations hold the part's index.
pub struct Part<'a> {
    pub path: PathBuf,
    /// What was parsed: the file, or what it was compiled to.
    pub text: &'a str,
    /// Where that text came from, if it says so itself.
    pub map_url: Option<String>,
    head: Vec<Head<'a>>,
    body: Vec<CssRule<'a>>,
    comments: Vec<CowArcStr<'a>>,
    /// There are layers in it, or in what it imports.
    layered: bool,
    /// How many copies of the body are still to be placed.
    copies: usize,
}

/// What may stand before all other rules.
enum Head<'a> {
    Layers(CssRule<'a>),
    Elsewhere(ImportRule<'a>),
    Part(usize, ImportRule<'a>),
}

/// One copy of a part.
struct Copy<'a> {
    part: usize,
    chain: Chain,
    head: Vec<Placed<'a>>,
}

enum Placed<'a> {
    Layers(CssRule<'a>),
    Elsewhere(ImportRule<'a>),
    /// `None` where a later copy outdoes this one.
    Part(ImportRule<'a>, Option<Copy<'a>>),
}

/// The conditions that a copy stands under, from the outermost on.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Chain {
    key: String,
    layered: bool,
}

/// The imports that lead to a file: each file with the specifier that it is left by.
type Trail = Vec<(PathBuf, String)>;

impl<'a> Parts<'a> {
    /// The inputs are concatenated in that order.
    pub fn load(compiler: &'a Compiler, sheet: &Sheet<'_>) -> Result<Self, Vec<Fault>> {
        let composed = sheet.composed;
        let mut parts = Parts {
            compiler,
            composed,
            roots: Vec::new(),
            parts: Vec::new(),
            indices: HashMap::new(),
            imports: Vec::new(),
        };
        for input in sheet.inputs {
            let root = parts.part(input.clone(), &mut Vec::new())?;
            parts.roots.push(root);
        }
        Ok(parts)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Part<'a>> {
        self.parts.iter()
    }

    pub fn get(&self, index: usize) -> Option<&Part<'a>> {
        self.parts.get(index)
    }

    /// Each file that imports another, that one, and what is written there.
    pub fn imports(&self) -> &[(PathBuf, PathBuf, String)] {
        &self.imports
    }

    /// The comments that have to be kept, by licence.
    pub fn comments(&self) -> Vec<CowArcStr<'a>> {
        self.parts.iter().flat_map(|part| part.comments.clone()).collect()
    }

    fn part(&mut self, path: PathBuf, trail: &mut Trail) -> Result<usize, Vec<Fault>> {
        if let Some(index) = self.indices.get(&path) {
            return Ok(*index);
        }
        let (text, composed) = match is_module(&path) {
            true => {
                let module = self.compiler.module(&path)?;
                let composed = match self.composed || !trail.is_empty() {
                    true => module.dependencies.clone(),
                    false => BTreeSet::new(),
                };
                (module.code.as_str(), composed)
            }
            false => (self.compiler.css(&path)?, BTreeSet::new()),
        };
        let name = fs::display_name(&self.compiler.root, &path);
        let index = self.parts.len();
        let mut options = options(name.clone());
        options.source_index = index as u32;
        let sheet = StyleSheet::parse(text, options).map_err(|error| vec![invalid(&name, text, &error)])?;
        self.indices.insert(path.clone(), index);
        self.parts.push(Part {
            path: path.clone(),
            text,
            map_url: sheet.source_map_url(0).filter(|url| url.starts_with("data:")).cloned(),
            head: Vec::new(),
            body: Vec::new(),
            comments: sheet.license_comments,
            layered: text.to_ascii_lowercase().contains("@layer"),
            copies: 0,
        });
        let mut head = Vec::new();
        for file in composed {
            let specifier = fs::display_name(&self.compiler.root, &file);
            head.push(Head::Part(self.follow(&path, &specifier, file, trail)?, unconditional()));
        }
        let composed = head.len();
        let mut rules = sheet.rules.0.into_iter().peekable();
        while let Some(rule) = rules.next_if(is_head) {
            match rule {
                CssRule::Import(import) if is_external(&import.url) => {
                    if head.len() > composed && head.iter().skip(composed).any(|head| matches!(head, Head::Part(..))) {
                        return Err(vec![self.too_late(&path, text, &import)]);
                    }
                    head.push(Head::Elsewhere(import));
                }
                CssRule::Import(import) => {
                    let located = |fault| vec![at_rule(fault, &name, text, import.loc)];
                    let file = self.compiler.locate(&import.url, &path).map_err(located)?;
                    head.push(Head::Part(self.follow(&path, &import.url, file, trail)?, import));
                }
                CssRule::LayerStatement(_) => head.push(Head::Layers(rule)),
                _ => {}
            }
        }
        let layered = head.iter().any(|head| match head {
            Head::Part(part, import) => import.layer.is_some() || self.parts[*part].layered,
            Head::Elsewhere(import) => import.layer.is_some(),
            Head::Layers(_) => true,
        });
        let part = &mut self.parts[index];
        (part.head, part.body) = (head, rules.collect());
        part.layered |= layered;
        Ok(index)
    }

    fn follow(&mut self, from: &Path, specifier: &str, file: PathBuf, trail: &mut Trail) -> Result<usize, Vec<Fault>> {
        trail.push((from.to_owned(), specifier.to_owned()));
        if let Some(start) = trail.iter().position(|(path, _)| *path == file) {
            return Err(vec![self.circle(trail.split_off(start))]);
        }
        self.imports.push((from.to_owned(), file.clone(), specifier.to_owned()));
        let part = self.part(file, trail)?;
        trail.pop();
        Ok(part)
    }

    /// What a browser would make of a circle of imports is not what anybody means.
    fn circle(&self, mut trail: Trail) -> Fault {
        // Told from the same file on, whichever stylesheet led into it.
        let first = trail.iter().enumerate().min_by_key(|(_, step)| (*step).clone()).map_or(0, |(at, _)| at);
        trail.rotate_left(first);
        let name = |path: &Path| fs::display_name(&self.compiler.root, path);
        let names = trail.iter().chain(trail.first()).map(|(path, _)| format!("`{}`", name(path)));
        let names: Vec<String> = names.collect();
        let fault = Fault::new(format!("stylesheets import each other in a circle: {}", names.join(" → ")))
            .hint("remove one of these imports");
        let Some((path, specifier)) = trail.last() else { return fault };
        let text = self.compiler.read(path).unwrap_or_default();
        match text.find(specifier.as_str()) {
            Some(at) => fault.at(name(path), text, at, specifier.len()),
            None => fault,
        }
    }

    fn too_late(&self, path: &Path, text: &str, import: &ImportRule<'_>) -> Fault {
        let name = fs::display_name(&self.compiler.root, path);
        let message = format!("`{name}` imports `{}` after stylesheets that become a part of it", import.url);
        at_rule(Fault::new(message).hint("put it before the other imports"), &name, text, import.loc)
    }

    /// All rules, in the order in which a browser would come by them.
    pub fn rules(&mut self) -> Result<Vec<CssRule<'a>>, Vec<Fault>> {
        let mut plan = Plan { parts: &mut self.parts, anonymous: 0, seen: HashSet::new() };
        let mut copies: Vec<Copy> =
            self.roots.iter().rev().filter_map(|root| plan.copy(*root, Chain::default())).collect();
        copies.reverse();
        let mut assembly = Assembly {
            root: &self.compiler.root,
            parts: &mut self.parts,
            modules: HashSet::new(),
            conditions: Vec::new(),
            elsewhere: Vec::new(),
        };
        let mut rules = Vec::new();
        for copy in copies {
            assembly.place(copy, &mut rules).map_err(|fault| vec![fault])?;
        }
        // Only `@layer` statements may stand before an import.
        let at = rules.iter().take_while(|rule| matches!(rule, CssRule::LayerStatement(_))).count();
        rules.splice(at..at, assembly.elsewhere);
        Ok(rules)
    }
}

fn is_head(rule: &CssRule<'_>) -> bool {
    matches!(rule, CssRule::Import(_) | CssRule::LayerStatement(_) | CssRule::Ignored)
}

fn at_rule(fault: Fault, name: &str, text: &str, loc: Location) -> Fault {
    fault.at_line(name, text, loc.line as usize + 1, loc.column as usize)
}

fn unconditional<'a>() -> ImportRule<'a> {
    let loc = Location { source_index: 0, line: 0, column: 1 };
    ImportRule { url: "".into(), layer: None, supports: None, media: MediaList::new(), loc }
}

fn is_conditional(import: &ImportRule<'_>) -> bool {
    import.layer.is_some() || import.supports.is_some() || !import.media.media_queries.is_empty()
}

/// Decides, from the last rule to the first, which copies there are.
struct Plan<'p, 'a> {
    parts: &'p mut Vec<Part<'a>>,
    /// How many layers without a name there are: each is another.
    anonymous: usize,
    seen: HashSet<(usize, Chain)>,
}

impl<'a> Plan<'_, 'a> {
    fn copy(&mut self, part: usize, chain: Chain) -> Option<Copy<'a>> {
        let outdone = self.seen.contains(&(part, chain.clone()))
            || (!chain.layered && self.seen.contains(&(part, Chain::default())));
        let Part { layered, path, .. } = self.parts.get(part)?;
        // The order of layers is that of their first copies. Of a CSS module, the first copy is kept, not the last.
        if outdone && !layered && !is_module(path) {
            return None;
        }
        self.seen.insert((part, chain.clone()));
        self.parts[part].copies += 1;
        let head = std::mem::take(&mut self.parts[part].head);
        let mut placed: Vec<Placed> = head
            .iter()
            .rev()
            .map(|head| match head {
                Head::Layers(rule) => Placed::Layers(rule.clone()),
                Head::Elsewhere(import) => Placed::Elsewhere(import.clone()),
                Head::Part(part, import) => {
                    let chain = self.under(&chain, import);
                    Placed::Part(import.clone(), self.copy(*part, chain))
                }
            })
            .collect();
        placed.reverse();
        self.parts[part].head = head;
        Some(Copy { part, chain, head: placed })
    }

    fn under(&mut self, chain: &Chain, import: &ImportRule<'_>) -> Chain {
        if !is_conditional(import) {
            return chain.clone();
        }
        let conditions = ImportRule { url: "".into(), ..import.clone() };
        let mut key = chain.key.clone() + &conditions.to_css_string(PrinterOptions::default()).unwrap_or_default();
        if import.layer == Some(None) {
            self.anonymous += 1;
            key += &self.anonymous.to_string();
        }
        Chain { key, layered: chain.layered || import.layer.is_some() }
    }
}

/// Puts the copies in their places, from the first to the last.
struct Assembly<'p, 'a> {
    root: &'p Path,
    parts: &'p mut Vec<Part<'a>>,
    /// The CSS modules that are in place: what composes from one counts on its rules to come before.
    modules: HashSet<(usize, Chain)>,
    conditions: Vec<ImportRule<'a>>,
    /// Imports from other sites, which can stand nowhere but at the top.
    elsewhere: Vec<CssRule<'a>>,
}

impl<'a> Assembly<'_, 'a> {
    fn place(&mut self, copy: Copy<'a>, rules: &mut Vec<CssRule<'a>>) -> Result<(), Fault> {
        let index = copy.part;
        if is_module(&self.parts[index].path) && !self.modules.insert((index, copy.chain)) {
            return Ok(());
        }
        for head in copy.head {
            match head {
                Placed::Layers(rule) => rules.push(rule),
                Placed::Elsewhere(import) => self.place_elsewhere(index, import)?,
                Placed::Part(import, None) => rules.extend(wrap(&import, Vec::new())),
                Placed::Part(import, Some(copy)) if is_conditional(&import) => {
                    let mut inner = Vec::new();
                    self.conditions.push(import.clone());
                    self.place(copy, &mut inner)?;
                    self.conditions.pop();
                    rules.extend(wrap(&import, inner));
                }
                Placed::Part(_, Some(copy)) => self.place(copy, rules)?,
            }
        }
        let part = &mut self.parts[index];
        part.copies = part.copies.saturating_sub(1);
        match part.copies {
            0 => rules.append(&mut part.body),
            _ => rules.extend(part.body.iter().cloned()),
        }
        Ok(())
    }

    fn place_elsewhere(&mut self, part: usize, import: ImportRule<'a>) -> Result<(), Fault> {
        let conditions: Vec<&ImportRule> =
            self.conditions.iter().chain([&import]).filter(|import| is_conditional(import)).collect();
        let import = match conditions.as_slice() {
            [] => import,
            [only] => ImportRule { url: import.url.clone(), ..(*only).clone() },
            _ => {
                let part = &self.parts[part];
                let name = fs::display_name(self.root, &part.path);
                let message = format!(
                    "`{}` is imported under several conditions: where `{name}` is imported, and where it imports",
                    import.url
                );
                let hint = "import it in the stylesheet that the page loads, under one condition";
                return Err(at_rule(Fault::new(message).hint(hint), &name, part.text, import.loc));
            }
        };
        self.elsewhere.push(CssRule::Import(import));
        Ok(())
    }
}

/// The rules under an import's conditions. Where there are none, the layer is named all the same: layers are ordered by where
/// they are named first.
fn wrap<'a>(import: &ImportRule<'a>, mut rules: Vec<CssRule<'a>>) -> Option<CssRule<'a>> {
    let loc = import.loc;
    rules = match &import.layer {
        Some(Some(name)) if rules.is_empty() => {
            vec![CssRule::LayerStatement(LayerStatementRule { names: vec![name.clone()], loc })]
        }
        Some(name) => vec![CssRule::LayerBlock(LayerBlockRule { name: name.clone(), rules: CssRuleList(rules), loc })],
        None => rules,
    };
    if !rules.is_empty() && !import.media.media_queries.is_empty() {
        let query = import.media.clone();
        rules = vec![CssRule::Media(MediaRule { query, rules: CssRuleList(rules), loc })];
    }
    if let Some(condition) = import.supports.clone().filter(|_| !rules.is_empty()) {
        rules = vec![CssRule::Supports(SupportsRule { condition, rules: CssRuleList(rules), loc })];
    }
    rules.pop()
}

//! Pages: what they refer to, and their final form with fingerprinted URLs and the import map of their modules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::image;
use super::script::{self, Goal};
use crate::asset::{document_base, local_path, url_path};
use crate::build::Site;
use crate::build::output::{Names, Outputs};
use crate::build::record::Relation;
use crate::error::{Fault, Result};
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Entry, Mode, logical_name};

/// What a page says about assets before they are built.
#[derive(Debug, Default)]
pub struct Survey {
    /// Each asset that is named, and where.
    pub references: Vec<(Place, String)>,
    /// URLs below the prefix or `/static/` that name nothing.
    pub unknown: BTreeSet<String>,
    /// It brings an import map of its own.
    pub has_import_map: bool,
}

/// Looks through a rendered page. `known` tells whether a logical path names an asset or a bundle.
pub fn survey(path: &str, page: &str, prefix: &str, known: &(dyn Fn(&str) -> bool + Sync)) -> Result<Survey> {
    struct Looker<'a> {
        base: Option<String>,
        prefix: &'a str,
        known: &'a (dyn Fn(&str) -> bool + Sync),
        survey: Survey,
        invalid_map: Option<String>,
    }
    impl Editor for Looker<'_> {
        fn base(&mut self, href: &str) {
            self.base = self.base.take().and_then(|base| document_base(&base, href));
        }

        fn url(&mut self, place: Place, url: &str) -> Option<Link> {
            if let Some((logical, _)) = logical(self.base.as_deref(), self.prefix, place, url, self.known) {
                self.survey.references.push((place, logical));
            } else if place != Place::Json
                && let Some((local, _)) = self.base.as_deref().and_then(|base| local_path(base, url))
                && logical_name(self.prefix, &local).is_some()
            {
                self.survey.unknown.insert(url.to_owned());
            }
            None
        }

        fn script(&mut self, kind: &str, text: &str) -> Option<String> {
            if kind == "importmap" {
                self.survey.has_import_map = true;
                let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
                self.invalid_map = parsed.err().map(|error| error.to_string());
            }
            None
        }
    }
    let mut looker =
        Looker { base: Some(format!("/{path}")), prefix, known, survey: Survey::default(), invalid_map: None };
    html::edit(path, page, &mut looker)?;
    if let Some(error) = looker.invalid_map {
        let fault = Fault::new(format!("the import map of `{path}` is not valid: {error}"));
        return Err(fault.hint("correct its JSON: the site's own chunks are added to it").into());
    }
    Ok(looker.survey)
}

/// The logical path that a URL in a page names, and the URL's query and fragment.
///
/// `/static/css/a.css` and `/assets/css/a.css` do, and so does `css/a.css` without a slash before it, as plain pages have it.
fn logical<'a>(
    base: Option<&str>,
    prefix: &str,
    place: Place,
    url: &'a str,
    known: &(dyn Fn(&str) -> bool + Sync),
) -> Option<(String, &'a str)> {
    let rooted = url.starts_with('/');
    if place == Place::Json && !rooted {
        return None;
    }
    let (path, suffix) = local_path(base?, url)?;
    let named = logical_name(prefix, &path).filter(|name| known(name));
    let bare = || path.strip_prefix('/').filter(|name| (!rooted || name.ends_with(".webmanifest")) && known(name));
    let name = named.or_else(bare)?;
    Some((name.to_owned(), suffix))
}

/// A page in its final form, bound to no environment yet.
pub fn finish(site: &Site<'_>, path: &str, page: &str, outputs: &Outputs, survey: &Survey) -> Result<String> {
    let entries = survey.references.iter().filter_map(|(_, name)| outputs.entries.get(name.as_str()));
    let modules: Vec<&str> = entries.filter(|entry| entry.module).map(|entry| entry.file.as_str()).collect();
    let mut finisher = Finisher {
        base: Some(format!("/{path}")),
        outputs,
        imports: import_map(outputs, &modules),
        external: if modules.is_empty() { &NO_EXTERNAL } else { &site.config.external },
        preloads: preloads(outputs, &modules),
        sheets: sheets(outputs, &modules),
        merge: survey.has_import_map,
        dimensions: site.config.images.dimensions,
        minify: site.mode == Mode::Production,
        first: site.head,
    };
    let page = html::edit(path, page, &mut finisher)?;
    Ok(if finisher.minify { minify(&page) } else { page })
}

/// The strings of a web app manifest that name assets, pointed at their files.
pub fn finish_document(path: &str, text: &str, outputs: &Outputs) -> (String, BTreeSet<(Relation, String)>) {
    let base = format!("/{path}");
    let mut refers = BTreeSet::new();
    let known = |name: &str| outputs.entries.contains_key(name);
    let edit = |key: Option<&str>, string: &str| {
        // Images are under `src`, wherever they are: https://www.w3.org/TR/image-resource/
        let place = if key == Some("src") { Place::Other } else { return None };
        let (name, suffix) = logical(Some(&base), &outputs.prefix, place, string, &known)?;
        let file = &outputs.entries.get(name.as_str())?.file;
        refers.insert((Relation::Page, file.clone()));
        Some(format!("/{}{suffix}", url_path(file)))
    };
    let text = html::rewrite_strings(text, edit).unwrap_or_else(|| text.to_owned());
    (text, refers)
}

/// The files that a finished page names, and how.
pub fn references(outputs: &Outputs, survey: &Survey) -> BTreeSet<(Relation, String)> {
    let named: Vec<&Entry> =
        survey.references.iter().filter_map(|(_, name)| outputs.entries.get(name.as_str())).collect();
    let modules: Vec<&str> = named.iter().filter(|entry| entry.module).map(|entry| entry.file.as_str()).collect();
    let chunks = import_map(outputs, &modules).into_values().map(|file| (Relation::ImportMap, file.to_owned()));
    let preloads = preloads(outputs, &modules).into_iter().map(|file| (Relation::Preload, file.to_owned()));
    let sheets = sheets(outputs, &modules).into_iter().map(|file| (Relation::Page, file.to_owned()));
    let named = named.iter().map(|entry| (Relation::Page, entry.file.clone()));
    named.chain(sheets).chain(chunks).chain(preloads).collect()
}

struct Finisher<'a> {
    base: Option<String>,
    outputs: &'a Outputs,
    /// From stable path to file.
    imports: BTreeMap<&'a str, &'a str>,
    external: &'a BTreeMap<String, String>,
    preloads: Vec<&'a str>,
    /// What the page's modules import.
    sheets: Vec<&'a str>,
    /// The page brings an import map that ours goes into.
    merge: bool,
    dimensions: bool,
    minify: bool,
    /// What comes before all else in the head.
    first: &'a str,
}

impl Editor for Finisher<'_> {
    fn base(&mut self, href: &str) {
        self.base = self.base.take().and_then(|base| document_base(&base, href));
    }

    fn knows_sizes(&self) -> bool {
        self.dimensions
    }

    fn size(&mut self, url: &str) -> Option<(u32, u32)> {
        let (file, _) = self.file(Place::Other, url)?;
        image::size(file, &self.outputs.files.get(file)?.bytes)
    }

    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        let (file, suffix) = self.file(place, url)?;
        let url = format!("/{}{suffix}", url_path(file));
        Some(Link { url, integrity: self.integrity(file), other_origin: false, fallback: None })
    }

    fn head(&mut self) -> Option<String> {
        let mut html = self.first.to_owned();
        if self.merge {
            return (!html.is_empty()).then_some(html);
        }
        if !(self.imports.is_empty() && self.external.is_empty()) {
            html.push_str("<script type=\"importmap\">");
            html.push_str(&self.merged_map(serde_json::Map::new()));
            html.push_str("</script>");
        }
        for file in &self.preloads {
            // What is preloaded has to say the integrity that the import map asks for, or it is fetched twice.
            let integrity = match self.outputs.names {
                Names::Fingerprinted => format!(" integrity=\"{}\"", self.integrity(file).unwrap_or_default()),
                Names::Plain => String::new(),
            };
            html.push_str(&format!("<link rel=\"modulepreload\" href=\"/{}\"{integrity}>", url_path(file)));
        }
        (!html.is_empty()).then_some(html)
    }

    fn head_end(&mut self) -> Option<String> {
        let link = |file: &&str| format!("<link rel=\"stylesheet\" href=\"/{}\">", url_path(file));
        let html: String = self.sheets.iter().map(link).collect();
        (!html.is_empty()).then_some(html)
    }

    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        let goal = match kind {
            "importmap" if self.merge => {
                let own = serde_json::from_str::<serde_json::Map<_, _>>(text).ok()?;
                return Some(self.merged_map(own));
            }
            "" | "text/javascript" => Goal::Classic,
            "module" => Goal::Module,
            _ => return None,
        };
        if !self.minify || text.trim().is_empty() {
            return None;
        }
        // An inline script that doesn't parse is the page's own affair, and stays as it is.
        let code = script::minify("inline", text, goal).ok()?.code;
        // No end tag may appear in it; the minifier keeps strings as they are.
        (!code.to_ascii_lowercase().contains("</script")).then(|| code.trim_end().to_owned())
    }
}

impl<'a> Finisher<'a> {
    /// The file that a URL names, and the URL's query and fragment.
    fn file<'u>(&self, place: Place, url: &'u str) -> Option<(&'a str, &'u str)> {
        let known = |name: &str| self.outputs.entries.contains_key(name);
        let (name, suffix) = logical(self.base.as_deref(), &self.outputs.prefix, place, url, &known)?;
        Some((self.outputs.entries.get(name.as_str())?.file.as_str(), suffix))
    }

    fn integrity(&self, file: &str) -> Option<String> {
        Some(self.outputs.files.get(file)?.digest.integrity().as_str().to_owned())
    }

    /// An import map with the page's chunks, see <https://html.spec.whatwg.org/#import-maps>; `integrity` is by final URL.
    fn merged_map(&self, mut map: serde_json::Map<String, serde_json::Value>) -> String {
        let mut section = |name: &str, pairs: Vec<(String, String)>| {
            let object = map.entry(name).or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            if let Some(object) = object.as_object_mut() {
                object.extend(pairs.into_iter().map(|(key, value)| (key, value.into())));
            }
        };
        let url = |path: &str| format!("/{}", url_path(path));
        let own = self.imports.iter().map(|(stable, file)| (url(stable), url(file)));
        section("imports", self.external.clone().into_iter().chain(own).collect());
        let integrity = |file: &&str| Some((url(file), self.integrity(file)?));
        let files: BTreeSet<&str> = self.imports.values().copied().collect();
        section("integrity", files.iter().filter_map(integrity).collect());
        serde_json::Value::Object(map).to_string().replace('<', "\\u003c")
    }
}

static NO_EXTERNAL: BTreeMap<String, String> = BTreeMap::new();

/// The chunks that these modules may ever import, and the stylesheets of those, by stable path.
fn import_map<'a>(outputs: &'a Outputs, modules: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    let mut reached: BTreeSet<&str> = reach(outputs, modules, true).into_iter().collect();
    let lazy = reached.iter().filter_map(|file| outputs.imports.get(*file)).filter(|imports| imports.is_dynamic_entry);
    let sheets: Vec<&str> = lazy.flat_map(|imports| imports.sheets.iter().map(String::as_str)).collect();
    reached.extend(sheets);
    let wanted = outputs.chunks.iter().filter(|(_, file)| reached.contains(file.as_str()));
    wanted.map(|(stable, file)| (stable.as_str(), file.as_str())).collect()
}

/// The chunks that these modules need before they run, without the modules themselves.
fn preloads<'a>(outputs: &'a Outputs, modules: &[&'a str]) -> Vec<&'a str> {
    reach(outputs, modules, false).into_iter().filter(|file| !modules.contains(file)).collect()
}

/// The stylesheets that these modules need before they run, in order, each once.
fn sheets<'a>(outputs: &'a Outputs, modules: &[&'a str]) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let of = |file: &&'a str| outputs.imports.get(*file).map(|imports| &imports.sheets);
    let all = modules.iter().filter_map(of).flatten().map(String::as_str);
    all.filter(|sheet| seen.insert(*sheet)).collect()
}

/// Everything that is imported from here, the modules themselves first, in the order in which it is found.
pub fn reach<'a>(outputs: &'a Outputs, modules: &[&'a str], dynamic: bool) -> Vec<&'a str> {
    let mut reached: Vec<&str> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut queue: VecDeque<&str> = modules.iter().copied().collect();
    while let Some(file) = queue.pop_front() {
        if !seen.insert(file) {
            continue;
        }
        reached.push(file);
        if let Some(imports) = outputs.imports.get(file) {
            queue.extend(imports.fixed.iter().map(String::as_str));
            if dynamic {
                queue.extend(imports.dynamic.iter().map(String::as_str));
            }
        }
    }
    reached
}

/// Minifies within what the HTML standard allows: every tag stays, and a value loses its quotes only where it needs none.
fn minify(page: &str) -> String {
    let cfg = minify_html::Cfg {
        minify_css: true,
        // Inline scripts are minified by our own rules: here top-level names would be lost.
        minify_js: false,
        minify_doctype: false,
        keep_html_and_head_opening_tags: true,
        keep_closing_tags: true,
        ..minify_html::Cfg::default()
    };
    String::from_utf8(minify_html::minify(page.as_bytes(), &cfg)).unwrap_or_else(|_| page.to_owned())
}

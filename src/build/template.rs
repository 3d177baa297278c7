//! Pages from Jinja templates. The only file that names minijinja.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;

use minijinja::machinery::ast::{Expr, Stmt};
use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, ErrorKind, Value, context};

use super::discover::Sources;
use crate::asset::{extension, url_path};
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::fs;

/// A site's templates, read and parsed.
pub struct Templates {
    /// By name.
    texts: BTreeMap<String, String>,
    /// The names that each extends, includes or imports, as far as they are constant.
    uses: BTreeMap<String, Used>,
    /// Which templates are pages.
    pub pages: Vec<Page>,
    /// Values from `[context]`.
    context: Value,
    /// The templates' folder below the root, for messages.
    folder: String,
}

/// A template that is a page of its own.
#[derive(Debug, Clone)]
pub struct Page {
    pub template: String,
    /// Its path below the output folder: `about.html`.
    pub path: String,
}

/// Answers the templates' questions about assets. A fault has no place yet; the template's line is added to it.
pub trait AssetUrls: Send + Sync + 'static {
    /// The URL of an asset, by logical path.
    fn url(&self, path: &str) -> Result<String, Fault>;
    /// The `integrity` of an asset.
    fn integrity(&self, path: &str) -> Result<String, Fault>;
    /// The elements that load an entry.
    fn tags(&self, path: &str) -> Result<String, Fault>;
}

impl Templates {
    pub fn load(config: &Config, sources: &Sources) -> Result<Self> {
        let folder = fs::display_name(&config.root, &config.templates);
        let mut texts = BTreeMap::new();
        for (name, path) in sources.templates.iter().filter(|(name, _)| is_template(name)) {
            texts.insert(name.clone(), fs::read_text(path, &format!("{folder}/{name}"))?);
        }
        let mut templates = Templates {
            texts,
            uses: BTreeMap::new(),
            pages: Vec::new(),
            context: Value::from(minijinja::value::Serde(&config.context)),
            folder,
        };
        templates.uses = templates.find_uses()?;
        let used: BTreeSet<&String> = templates.uses.values().flat_map(|used| &used.names).collect();
        templates.pages = templates
            .texts
            .keys()
            .filter(|name| !used.contains(name) && !name.split('/').any(|part| part.starts_with('_')))
            .map(|name| Page { template: name.clone(), path: page_path(name) })
            .collect();
        Ok(templates)
    }

    fn find_uses(&self) -> Result<BTreeMap<String, Used>> {
        let mut uses = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, text) in &self.texts {
            match minijinja::machinery::parse(text, name, minijinja::syntax::SyntaxConfig::default()) {
                Ok(template) => references(&template, uses.entry(name.clone()).or_default()),
                Err(error) => faults.push(self.fault(&error, name)),
            }
        }
        if faults.is_empty() { Ok(uses) } else { Err(crate::error::Error::Build(faults)) }
    }

    /// The templates that this one is rendered with, itself left out.
    pub fn parts<'a>(&'a self, template: &'a str) -> BTreeSet<&'a str> {
        let mut parts = BTreeSet::new();
        let mut queue = vec![template];
        while let Some(name) = queue.pop() {
            let Some(used) = self.uses.get(name) else { continue };
            if used.is_open {
                return self.texts.keys().map(String::as_str).filter(|part| *part != template).collect();
            }
            let used = used.names.iter().map(String::as_str);
            queue.extend(used.filter(|used| self.texts.contains_key(*used) && parts.insert(*used)));
        }
        parts
    }

    /// An environment in which `urls` answers.
    pub fn renderer(&self, urls: Arc<dyn AssetUrls>) -> Renderer<'_> {
        let mut environment = Environment::new();
        environment.set_debug(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        for (name, text) in &self.texts {
            // Each was parsed before, so none is refused here.
            let _ = environment.add_template(name, text);
        }
        let pages: Vec<String> = self.pages.iter().map(|page| page.path.clone()).collect();
        for name in ["asset_url", "asset_url_for", "cdn_url_for", "cloud_url_for"] {
            let urls = Arc::clone(&urls);
            environment
                .add_function(name, move |path: &str| urls.url(path).map(Value::from_safe_string).map_err(carry));
        }
        let own = Arc::clone(&urls);
        environment.add_function("asset_integrity", move |path: &str| own.integrity(path).map_err(carry));
        let own = Arc::clone(&urls);
        environment.add_function("asset_tags", move |paths: Rest<String>| {
            let tags = paths.iter().map(|path| own.tags(path)).collect::<Result<Vec<_>, _>>().map_err(carry)?;
            Ok::<_, minijinja::Error>(Value::from_safe_string(tags.join("\n")))
        });
        environment.add_function("url_for", move |endpoint: &str, values: Kwargs| {
            url_for(&pages, urls.as_ref(), endpoint, &values).map(Value::from_safe_string)
        });
        // What a Flask template may ask for and a page without a request has none of.
        environment.add_function("get_flashed_messages", |_: Kwargs| Vec::<Value>::new());
        for name in ["session", "g", "config"] {
            environment.add_global(name, Value::from(BTreeMap::<String, Value>::new()));
        }
        Renderer { templates: self, environment }
    }

    /// The fault in the user's terms: the innermost error, at its place in the template that it happened in.
    fn fault(&self, error: &minijinja::Error, page: &str) -> Fault {
        let mut inner = error;
        while let Some(next) = inner.source().and_then(|source| source.downcast_ref::<minijinja::Error>()) {
            inner = next;
        }
        let name = inner.name().unwrap_or(page);
        let shown = format!("{}/{name}", self.folder);
        let fault = match inner.source().and_then(|source| source.downcast_ref::<Fault>()) {
            Some(fault) => fault.clone(),
            None => {
                let detail = inner.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
                let fault = Fault::new(format!("could not render `{shown}`: {}{detail}", inner.kind()));
                match hint(inner) {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                }
            }
        };
        let Some(text) = self.texts.get(name) else { return fault };
        match (inner.range(), inner.line()) {
            (Some(range), _) => fault.at(shown, text, range.start, range.len()),
            (None, Some(line)) => fault.at_line(shown, text, line, 1),
            (None, None) => fault,
        }
    }
}

/// Renders pages, with one set of answers.
pub struct Renderer<'a> {
    templates: &'a Templates,
    environment: Environment<'a>,
}

impl Renderer<'_> {
    pub fn render(&self, page: &Page) -> Result<String, Fault> {
        let url = page_url(&page.path);
        let request = context! { path => url, endpoint => page.path.trim_end_matches(".html"), args => context! {} };
        let context = context! { request, ..self.templates.context.clone() };
        self.environment
            .get_template(&page.template)
            .and_then(|template| template.render(context))
            .map_err(|error| self.templates.fault(&error, &page.template))
    }
}

/// The clean URL of a page: `/about` for `about.html`, `/docs/` for `docs/index.html`.
pub fn page_url(path: &str) -> String {
    let stem = path.strip_suffix(".html").unwrap_or(path);
    let stem = match stem {
        "index" => "",
        stem => stem.strip_suffix("/index").map_or(stem, |folder| &path[..folder.len() + 1]),
    };
    format!("/{}", url_path(stem))
}

fn is_template(name: &str) -> bool {
    matches!(extension(&page_path(name)).as_str(), "html" | "htm" | "xml" | "txt" | "json" | "webmanifest" | "svg")
}

fn page_path(name: &str) -> String {
    let stripped = [".j2", ".jinja", ".jinja2"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stripped.unwrap_or(name).to_owned()
}

fn carry(fault: Fault) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, fault.to_string()).with_source(fault)
}

fn hint(error: &minijinja::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::SyntaxError if error.detail().is_some_and(|detail| detail.contains("unknown statement assets")) => {
            Some(
                "`{% assets %}` is webassets' tag: declare a `[[bundle]]` and write `{{ asset_tags('NAME') }}`"
                    .to_owned(),
            )
        }
        ErrorKind::SyntaxError => Some("correct the template at the marked place".to_owned()),
        ErrorKind::TemplateNotFound => Some("check the name: it is a path below the templates folder".to_owned()),
        ErrorKind::UndefinedError => Some("give the value in `[context]` of the configuration".to_owned()),
        ErrorKind::UnknownFunction => Some(
            "there are `url_for`, `asset_url`, `asset_integrity` and `asset_tags`, and Jinja's own functions"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Flask's `url_for`: the endpoint `static` (also a blueprint's) means the assets folder, any other a page by its name.
fn url_for(
    pages: &[String],
    urls: &dyn AssetUrls,
    endpoint: &str,
    values: &Kwargs,
) -> Result<String, minijinja::Error> {
    let anchor = values.get::<Option<String>>("_anchor")?.map(|anchor| format!("#{}", url_path(&anchor)));
    for ignored in ["_external", "_scheme", "_method"] {
        let _ = values.get::<Option<Value>>(ignored)?;
    }
    let url = if endpoint == "static" || endpoint.ends_with(".static") {
        urls.url(values.get("filename")?).map_err(carry)?
    } else {
        let name = endpoint.replace('.', "/");
        let last = name.rsplit('/').next().unwrap_or(&name);
        let candidates = [format!("{name}.html"), format!("{name}/index.html"), format!("{last}.html")];
        let page = candidates.iter().find(|candidate| pages.contains(candidate)).ok_or_else(|| {
            let fault = Fault::new(format!("`url_for` names the endpoint `{endpoint}`, and no page is called so"))
                .hint("endpoints are `static`, with `filename`, and the names of pages without `.html`");
            carry(fault)
        })?;
        page_url(page)
    };
    let mut query = String::new();
    for name in values.args().filter(|name| !name.starts_with('_') && *name != "filename") {
        let value: Value = values.peek(name)?;
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&format!("{}={}", url_path(name), url_path(&value.to_string())));
    }
    Ok(url + &query + &anchor.unwrap_or_default())
}

/// What a template extends, includes or imports.
#[derive(Debug, Default)]
struct Used {
    names: BTreeSet<String>,
    /// Some of it has a name that is not constant.
    is_open: bool,
}

/// Gathers what a template extends, includes or imports.
fn references(stmt: &Stmt<'_>, used: &mut Used) {
    let each = |list: &[Stmt<'_>], used: &mut Used| list.iter().for_each(|stmt| references(stmt, used));
    match stmt {
        Stmt::Template(stmt) => each(&stmt.children, used),
        Stmt::Extends(stmt) => names(&stmt.name, used),
        Stmt::Include(stmt) => names(&stmt.name, used),
        Stmt::Import(stmt) => names(&stmt.expr, used),
        Stmt::FromImport(stmt) => names(&stmt.expr, used),
        Stmt::ForLoop(stmt) => {
            each(&stmt.body, used);
            each(&stmt.else_body, used);
        }
        Stmt::IfCond(stmt) => {
            each(&stmt.true_body, used);
            each(&stmt.false_body, used);
        }
        Stmt::WithBlock(stmt) => each(&stmt.body, used),
        Stmt::SetBlock(stmt) => each(&stmt.body, used),
        Stmt::AutoEscape(stmt) => each(&stmt.body, used),
        Stmt::FilterBlock(stmt) => each(&stmt.body, used),
        Stmt::Block(stmt) => each(&stmt.body, used),
        Stmt::Macro(stmt) => each(&stmt.body, used),
        Stmt::CallBlock(stmt) => each(&stmt.macro_decl.body, used),
        _ => {}
    }
}

/// The names in an expression: a string, a list of strings, or the branches of a condition.
fn names(expr: &Expr<'_>, used: &mut Used) {
    match expr {
        Expr::Const(constant) => used.names.extend(constant.value.as_str().map(str::to_owned)),
        Expr::List(list) => list.items.iter().for_each(|item| names(item, used)),
        Expr::IfExpr(branches) => {
            names(&branches.true_expr, used);
            branches.false_expr.iter().for_each(|expr| names(expr, used));
        }
        _ => used.is_open = true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_clean_urls() {
        for (path, url) in
            [("index.html", "/"), ("about.html", "/about"), ("docs/index.html", "/docs/"), ("a.xml", "/a.xml")]
        {
            assert_eq!(page_url(path), url, "{path}");
        }
    }

    #[test]
    fn what_others_use_is_no_page() {
        let text = "{% extends 'a' %}{% if x %}{% include ['b', 'c'] %}{% endif %}{# {% include 'd' %} #}\
                    {% import 'e' as e %}{% block x %}{% from 'f' import g %}{% endblock %}{% raw %}{% include 'h' %}{% endraw %}";
        let template = minijinja::machinery::parse(text, "t", Default::default()).unwrap();
        let mut used = Used::default();
        references(&template, &mut used);
        assert_eq!((used.names.into_iter().collect::<String>().as_str(), used.is_open), ("abcef", false));
    }
}

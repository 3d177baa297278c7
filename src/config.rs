//! The configuration: what the user wrote ([`file`]) is resolved once, and checked, into what the program uses ([`Config`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::asset::{LogicalPath, is_hidden};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::{Error, Fault, Result};
use crate::fs;

mod access_log;
mod budget;
mod failover;
mod file;
mod front;
mod keep;
mod pattern;
mod security;
mod serve;
mod storage;
mod targets;
mod tool;
mod transport;

pub use access_log::{AccessLog, LogFormat, LogPath};
pub use budget::{Budget, Limit, Measure, parse_size};
pub use front::{Front, ProxyHeaders, UnknownHost};
pub use keep::Keep;
pub use pattern::Pattern;
pub use serve::Serve;
pub use storage::Storage;
pub use targets::Targets;
pub use tool::Tool;
pub use transport::{Certificate, Transport};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "fingerpost.toml";

/// A site's configuration, resolved: every path absolute, every value checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The site's root, canonical. Nothing outside it is ever read into a build.
    pub root: PathBuf,
    pub assets: PathBuf,
    pub templates: PathBuf,
    pub out: PathBuf,
    /// The URL folder of fingerprinted files, without slashes at its ends.
    pub prefix: String,
    pub targets: Targets,
    pub source_maps: SourceMaps,
    /// Where results of earlier builds are kept; none if they are not.
    pub cache: Option<PathBuf>,
    /// How much of them.
    pub cache_max_bytes: u64,
    /// What stands for a name in scripts, as JSON.
    pub define: BTreeMap<String, serde_json::Value>,
    /// Specifiers that scripts import and no build resolves, with the URLs that pages load them from.
    pub external: BTreeMap<String, String>,
    /// Run before all else, in this order.
    pub tools: Vec<Tool>,
    pub bundles: Vec<Bundle>,
    pub keeps: Vec<Keep>,
    pub encodings: Vec<Encoding>,
    pub images: Images,
    /// Values for the templates.
    pub context: BTreeMap<String, serde_json::Value>,
    pub environments: BTreeMap<String, Environment>,
    pub headers: Vec<HeaderRule>,
    pub serve: Serve,
    pub budgets: Vec<Budget>,
    /// What the file asks for and this version does not do.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceMaps {
    /// Written where nothing is served or published from.
    Private,
    /// Written beside the file, which refers to them.
    Public,
    None,
}

/// What is done to images; there is nothing in it to check.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// Make PNGs smaller, without loss.
    pub optimize: bool,
    /// Write `width` and `height` where an `<img>` has neither.
    pub dimensions: bool,
}

impl Default for Images {
    fn default() -> Self {
        Images { optimize: false, dimensions: true }
    }
}

/// Several sources that make one output, in that order.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub name: LogicalPath,
    /// Absolute paths.
    pub inputs: Vec<PathBuf>,
}

/// Response headers for the files whose path below the output folder matches.
#[derive(Debug, Clone)]
pub struct HeaderRule {
    pub pattern: Pattern,
    /// By lower-case name; an empty value stands for a header that is left out.
    pub set: BTreeMap<String, String>,
}

impl Config {
    /// Reads `file` (below `root`), or the default file if there is one, or else takes the defaults.
    pub fn load(root: &Path, file: Option<&Path>) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| Error::Usage {
            message: format!("could not open the root `{}`: {error}", root.display()),
            help: "check `--root`".to_owned(),
        })?;
        let path = root.join(file.unwrap_or(Path::new(DEFAULT_FILE)));
        if file.is_none() && !path.exists() {
            return Config::parse(&root, DEFAULT_FILE, "");
        }
        let name = fs::display_name(&root, &path);
        let bytes = std::fs::read(&path).map_err(|error| Error::Usage {
            message: format!("could not read the configuration `{name}`: {error}"),
            help: "check `--config` and `--root`; without `--config`, `fingerpost.toml` is read if it exists"
                .to_owned(),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| Error::Config(fs::not_utf8(&name, error.as_bytes())))?;
        Config::parse(&root, &name, &text)
    }

    fn parse(root: &Path, name: &str, text: &str) -> Result<Self> {
        let file = file::parse(name, text).map_err(Error::Config)?;
        resolve(root, &Text { name, text }, file).map_err(Error::Config)
    }

    /// Keeps results of earlier builds elsewhere than the file says: in a folder, `user` or `none`.
    pub fn keep_cache_in(&mut self, place: &str) {
        self.cache = cache_folder(&self.root, place);
    }

    /// Whether a specifier is one of `[external]`, or lies below one that ends in `/`.
    pub fn is_external(&self, specifier: &str) -> bool {
        self.external.keys().any(|key| specifier == key || (key.ends_with('/') && specifier.starts_with(key.as_str())))
    }

    /// The environment of that name.
    pub fn environment(&self, name: &str) -> Result<&Environment> {
        self.environments.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.environments.keys().map(String::as_str).collect();
            Error::Usage {
                message: format!("there is no environment `{name}`"),
                help: match nearest(name, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}; add `[env.{name}]` to the configuration", quoted(&names)),
                },
            }
        })
    }
}

/// The configuration file, for pointing at a place in it.
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl Text<'_> {
    /// As [`Text::fault`], at the last place.
    fn fault_again(&self, message: impl Into<String>, value: &str) -> Fault {
        let fault = Fault::new(message);
        match self.text.rfind(value) {
            Some(at) => fault.at(self.name, self.text, at, value.len()),
            None => fault,
        }
    }

    /// A fault at the first place where `value` stands, in quotes if it does so anywhere, or with no place if it stands nowhere.
    fn fault(&self, message: impl Into<String>, value: &str) -> Fault {
        let fault = Fault::new(message);
        let quoted = self.text.find(&format!("\"{value}\"")).map(|at| (at, value.len() + 2));
        match quoted.or_else(|| Some((self.text.find(value)?, value.len()))) {
            Some((at, length)) => fault.at(self.name, self.text, at, length),
            None => fault,
        }
    }
}

fn resolve(root: &Path, text: &Text, file: file::File) -> Result<Config, Fault> {
    let folder = |path: &str| {
        inside(root, path).ok_or_else(|| {
            text.fault(format!("`{path}` leads out of the site's root"), path)
                .hint("name a folder below the root, or pass another `--root`")
        })
    };
    let build = file.build;
    let assets = folder(&build.assets)?;
    let templates = folder(&build.templates)?;
    let out = folder(&build.out)?;
    let cache = match build.cache.as_str() {
        "none" | "user" => cache_folder(root, &build.cache),
        path => Some(folder(path)?),
    };
    for (what, source) in [("assets", &assets), ("templates", &templates)] {
        if out.starts_with(source) || source.starts_with(&out) {
            return Err(text
                .fault(
                    format!("the output folder and `{what}` overlap: the output is replaced whole by each build"),
                    &build.out,
                )
                .hint("choose an `out` that holds no sources"));
        }
    }
    for (what, other) in [("out", &out), ("assets", &assets), ("templates", &templates)] {
        if cache.as_ref().is_some_and(|cache| cache.starts_with(other) || other.starts_with(cache)) {
            return Err(text
                .fault(format!("the cache and `{what}` overlap"), &build.cache)
                .hint("keep the cache in a folder of its own, or nowhere (`none`)"));
        }
    }
    let prefix = LogicalPath::new(build.prefix.trim_matches('/')).ok().filter(|prefix| !is_hidden(prefix.as_str()));
    let prefix = prefix.ok_or_else(|| {
        text.fault(format!("`{}` can't be the URL folder of fingerprinted files", build.prefix), &build.prefix)
            .hint("write a name such as `assets`")
    })?;
    let tools = file.tool.into_iter().map(|tool| tool::resolve(&assets, text, tool)).collect::<Result<Vec<_>, _>>()?;
    for (at, tool) in tools.iter().enumerate() {
        if tools[..at].iter().any(|other| other.output == tool.output) {
            return Err(text
                .fault_again(format!("two tools make `{}`", tool.output), tool.output.as_str())
                .hint("let one of them have another output"));
        }
    }
    let made: Vec<PathBuf> = tools.iter().map(|tool| assets.join(tool.output.as_str())).collect();
    let bundles = file
        .bundle
        .into_iter()
        .map(|bundle| resolve_bundle(root, &assets, &made, text, bundle))
        .collect::<Result<Vec<_>, _>>()?;
    for (at, bundle) in bundles.iter().enumerate() {
        if bundles[..at].iter().any(|other| other.name == bundle.name) {
            return Err(text
                .fault_again(format!("two bundles are named `{}`", bundle.name), bundle.name.as_str())
                .hint("give one of them another name, or put their inputs into one"));
        }
    }
    let keep = |keep| Keep::resolve(root, &out, prefix.as_str(), text, keep);
    let keeps = file.keep.into_iter().map(keep).collect::<Result<_, _>>()?;
    let mut encodings = Vec::new();
    for token in &file.compress.encodings {
        let encoding = Encoding::ALL.into_iter().find(|e| e.token() == token).ok_or_else(|| {
            text.fault(format!("unknown encoding `{token}`"), token).hint("there are `br`, `zstd` and `gzip`")
        })?;
        encodings.push(encoding);
    }
    encodings.sort_unstable();
    encodings.dedup();
    let targets = match &build.targets {
        Some(query) => Targets::configured(query, text)?,
        None => Targets::of_files(root)?,
    };
    let mut warnings = Vec::new();
    let mut environments = BTreeMap::from([("development".to_owned(), Environment::new("development"))]);
    let has_development = file.env.contains_key("development");
    for (name, env) in file.env {
        for (key, given) in [("cdn", env.cdn.is_some()), ("keep", env.keep.is_some())] {
            if given {
                warnings.push(format!("`{key}` of `[env.{name}]` has no effect yet"));
            }
        }
        let mut resolved = resolve_environment(text, &name, &env)?;
        for written in [&file.security, &env.security] {
            security::apply(text, written, &mut resolved.security)?;
        }
        environments.insert(name, resolved);
    }
    if let Some(development) = environments.get_mut("development").filter(|_| !has_development) {
        security::apply(text, &file.security, &mut development.security)?;
    }
    let headers = file.headers.into_iter().map(|rule| resolve_headers(text, rule)).collect::<Result<_, _>>()?;
    let budgets = file.budget.into_iter().map(|budget| Budget::resolve(text, budget)).collect::<Result<_, _>>()?;
    let serve = Serve::resolve(root, text, file.serve, &environments)?;
    if !file.library.is_empty() {
        warnings.push("`[library]` has no effect yet: the local files are used in every environment".to_owned());
    }
    Ok(Config {
        root: root.to_owned(),
        assets,
        templates,
        out,
        prefix: prefix.as_str().to_owned(),
        targets,
        source_maps: build.source_maps,
        cache,
        cache_max_bytes: build.cache_max_mb.saturating_mul(1 << 20),
        define: file.define,
        external: file.external,
        tools,
        bundles,
        keeps,
        encodings,
        images: file.images,
        context: file.context,
        environments,
        headers,
        serve,
        budgets,
        warnings,
    })
}

/// Where the cache lies, as written: a path, or `user` for the place that the system has for such, or `none`.
fn cache_folder(root: &Path, written: &str) -> Option<PathBuf> {
    // https://specifications.freedesktop.org/basedir-spec/latest/: a path that is not absolute has to be ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match written {
        "none" => None,
        "user" => {
            let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
            caches.map(|caches| caches.join("fingerpost"))
        }
        path => Some(fs::normalize(&root.join(path))),
    }
}

/// The path below the root, without following links; `None` if it leads out.
fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let mut out = root.to_owned();
    for part in Path::new(path).components() {
        match part {
            std::path::Component::Normal(part) => out.push(part),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if out != root => {
                out.pop();
            }
            _ => return None,
        }
    }
    (out != root).then_some(out)
}

/// `made` are the files that tools make.
fn resolve_bundle(
    root: &Path,
    assets: &Path,
    made: &[PathBuf],
    text: &Text,
    bundle: file::Bundle,
) -> Result<Bundle, Fault> {
    let name = LogicalPath::new(bundle.name.clone()).map_err(|error| {
        text.fault(error.to_string(), &bundle.name)
            .hint("name the bundle as a path below the assets folder, such as `css/site.css`")
    })?;
    if !matches!(name.extension().as_str(), "css" | "js" | "mjs") {
        return Err(text
            .fault(format!("the bundle `{name}` is neither a stylesheet nor a script"), &bundle.name)
            .hint("let the name end in `.css` or `.js`"));
    }
    if bundle.inputs.is_empty() {
        return Err(text
            .fault(format!("the bundle `{name}` has no inputs"), &bundle.name)
            .hint("list its sources in `inputs`"));
    }
    let is_there = |path: &PathBuf| path.is_file() || made.contains(path);
    let mut inputs = Vec::with_capacity(bundle.inputs.len());
    for input in &bundle.inputs {
        let path =
            [assets, root].into_iter().filter_map(|base| inside(base, input)).find(is_there).ok_or_else(|| {
                text.fault(format!("the bundle `{name}` names `{input}`, which isn't there"), input).hint(format!(
                    "inputs are paths below `{}`, or below the root (`node_modules/…`)",
                    fs::display_name(root, assets)
                ))
            })?;
        inputs.push(path);
    }
    Ok(Bundle { name, inputs })
}

fn resolve_environment(text: &Text, name: &str, env: &file::Environment) -> Result<Environment, Fault> {
    let mut out = Environment::new(name);
    if let Some(base) = &env.asset_base {
        out.asset_base = base.parse().map_err(|message: String| text.fault(message, base))?;
    }
    if let Some(store) = &env.store {
        out.store = Some(store.parse().map_err(|message: String| text.fault(message, store))?);
    }
    if let Some(site) = &env.site {
        if !site.starts_with("https://") && !site.starts_with("http://") {
            return Err(text
                .fault(format!("`{site}` is no origin"), site)
                .hint("write one such as `https://www.example.com`"));
        }
        out.site = Some(site.trim_end_matches('/').to_owned());
    }
    out.hosts = env.hosts.iter().map(|host| front::host(text, host)).collect::<Result<_, _>>()?;
    out.endpoint.clone_from(&env.endpoint);
    out.region.clone_from(&env.region);
    out.website = env.website;
    let directives = |value: &Option<String>| match value {
        Some(value) if http::HeaderValue::from_str(value).is_err() => Err(text
            .fault(format!("`{value}` can't be a header's value"), value)
            .hint("write directives such as `max-age=60`")),
        value => Ok(value.clone()),
    };
    out.cdn_cache_control = directives(&env.cdn_cache_control)?;
    out.surrogate_control = directives(&env.surrogate_control)?;
    out.stale_while_revalidate = env.stale_while_revalidate;
    out.stale_if_error = env.stale_if_error;
    out.cdn_tags.clone_from(&env.cdn_tags);
    out.preload_headers = env.preload_headers.unwrap_or(out.preload_headers);
    if let Some(failover) = &env.failover {
        out.failover = failover::resolve(text, failover)?;
    }
    Ok(out)
}

fn resolve_headers(text: &Text, rule: file::Headers) -> Result<HeaderRule, Fault> {
    let pattern = Pattern::new(text, &rule.pattern)?;
    let mut set = BTreeMap::new();
    let unset = rule.unset.into_iter().map(|name| (name, String::new()));
    for (name, value) in rule.set.into_iter().chain(unset) {
        let valid =
            http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(&value).is_ok();
        if !valid {
            return Err(text
                .fault(format!("`{name}: {value}` is no header"), if value.is_empty() { &name } else { &value })
                .hint("see RFC 9110 section 5 for what names and values may hold"));
        }
        let name = name.to_ascii_lowercase();
        // These follow from the bytes that are sent; another value would be wrong.
        if matches!(
            name.as_str(),
            "content-length"
                | "content-encoding"
                | "content-range"
                | "transfer-encoding"
                | "connection"
                | "etag"
                | "date"
                | "vary"
        ) {
            return Err(text
                .fault(
                    format!("`{name}` can't be set: it follows from what is sent"),
                    if value.is_empty() { &name } else { &value },
                )
                .hint("leave it out of `[[headers]]`"));
        }
        set.insert(name, value);
    }
    Ok(HeaderRule { pattern, set })
}

/// The candidate that is most like what was written, if one is like it at all.
pub fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(written.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``
fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Enforcement;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(Path::new("/site"), "fingerpost.toml", text)
    }

    fn fault(text: &str) -> String {
        use miette::Diagnostic;
        let error = parse(text).expect_err("a bad configuration");
        assert_eq!(error.exit_code(), 2, "{error}");
        let help = error.help().map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{error}{help}")
    }

    #[test]
    fn none_is_needed() {
        let config = parse("").unwrap();
        assert_eq!(config.assets, Path::new("/site/assets"));
        assert_eq!(config.encodings, Encoding::ALL);
        assert_eq!(config.environments.keys().collect::<Vec<_>>(), ["development"]);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        assert_eq!(fault("[build]\nasets = \"x\""), "unknown key `asets` | did you mean `assets`?");
        assert_eq!(
            fault("[env.production]\nasset_bas = \"/\""),
            "unknown key `asset_bas` | did you mean `asset_base`?"
        );
        assert!(fault("[zzzzzzzzzzzz]").contains("there are `build`"));
    }

    #[test]
    fn values_are_checked_where_they_are_written() {
        for (text, want) in [
            ("[build]\nout = \"../x\"", "leads out"),
            ("[build]\nout = \"assets/x\"", "overlap"),
            ("[build]\ncache = \"dist/cache\"", "the cache and `out` overlap"),
            ("[build]\ncache = \"/tmp\"", "leads out"),
            ("[build]\ntargets = \"netscape 4\"", "browserslist"),
            ("[build]\nsource_maps = \"secret\"", "unknown variant `secret`"),
            ("[compress]\nencodings = [\"lzma\"]", "unknown encoding `lzma`"),
            ("[env.production]\nasset_base = \"cdn\"", "no base for URLs"),
            ("[env.production]\nstore = \"https://x\"", "no store"),
            ("[env.production]\nsite = \"www\"", "no origin"),
            ("[[bundle]]\nname = \"../x.css\"\ninputs = [\"a\"]", "not a path below"),
            ("[[bundle]]\nname = \"x.css\"\ninputs = [\"a.css\"]", "isn't there"),
            ("[[bundle]]\nname = \"x.css\"\ninputs = []", "no inputs"),
            ("[[tool]]\ncommand = \"a\"\noutput = \"../x.css\"", "not a path below"),
            ("[[tool]]\ncommand = \"a\"\noutput = \"x.ts\"", "compiled further"),
            ("[[tool]]\ncommand = []\noutput = \"x.css\"", "no command"),
            ("[[tool]]\ncommand = 1\noutput = \"x.css\"", "a list of words, or one line"),
            ("[[tool]]\ncommand = \"a\"\ninputs = [\"[\"]\noutput = \"x.css\"", "no pattern"),
            ("[[tool]]\ncommand = \"a\"\noutput = \"x\"\n[[tool]]\ncommand = \"b\"\noutput = \"x\"", "two tools make"),
            ("[[headers]]\nmatch = \"[\"\nset = {}", "no pattern"),
            ("[[headers]]\nmatch = \"*\"\nset = { \"a b\" = \"c\" }", "no header"),
            ("[[headers]]\nmatch = \"*\"\nset = { ETag = \"c\" }", "can't be set"),
            ("[serve]\naccess_log = { path = \"\" }", "an empty `path`"),
            ("[serve]\naccess_log = { path = \"a\", sample = 1.5 }", "no part of requests"),
            ("[serve]\naccess_log = { path = \"a\", format = \"xml\" }", "unknown variant `xml`"),
            ("[serve]\naccess_log = { path = \"a\", fromat = \"json\" }", "unknown key `fromat`"),
            ("[[headers]]\nmatch = \"*\"\nunset = [\"Vary\"]", "can't be set"),
            ("[[headers]]\nmatch = \"*\"\nunset = [\"a b\"]", "no header"),
            ("[env.x]\nhosts = [\"https://a\"]", "no host"),
            ("[env.x]\nhosts = [\"a\"]\n[env.y]\nhosts = [\"A\"]", "two environments"),
            ("[env.x]\ncdn_tags = [\"tags\"]", "unknown variant `tags`"),
            ("[env.x]\nsurrogate_control = \"a\\nb\"", "can't be a header's value"),
            ("[security]\npolicy = \"lax\"", "unknown variant `lax`"),
            ("[security]\nallow = { script = [\"https://a\"] }", "there is no directive `script`"),
            ("[security]\nallow = { img-src = [\"a; b\"] }", "no source"),
            ("[security]\nframe_ancestors = \"a; b\"", "no list of sources"),
            ("[security]\nreport_to = \"/csp\"", "no absolute URL"),
            ("[env.x.security]\nhsts = \"forever\"", "says no `max-age`"),
            ("[serve]\ntrusted_proxies = [\"10.0.0\"]", "no network"),
            ("[serve]\nunknown_host = \"prod\"", "no environment `prod`"),
            ("[serve]\nunknown_host = \"refuse\"", "refuses every host"),
            ("[serve]\nproxy_headers = \"via\"", "unknown variant `via`"),
            ("[serve]\ncdn_id = \"a b\"", "no name"),
            ("[build", "unclosed"),
        ] {
            let got = fault(text);
            assert!(got.contains(want), "{text}: {got}");
        }
    }

    #[test]
    fn an_environment_has_the_sites_security_but_for_its_own() {
        let config = parse(
            "[security]\nhsts = \"max-age=60\"\nallow = { connect-src = [\"https://a\"] }\n\
             [env.x.security]\npolicy = \"report-only\"\nallow = { connect-src = [\"https://b\"], img-src = [\"*\"] }",
        )
        .unwrap();
        let (development, x) = (&config.environments["development"].security, &config.environments["x"].security);
        assert_eq!((development.hsts.as_deref(), x.hsts.as_deref()), (Some("max-age=60"), Some("max-age=60")));
        assert_eq!((development.policy, x.policy), (Enforcement::Enforce, Enforcement::ReportOnly));
        assert_eq!(development.allow["connect-src"], ["https://a"]);
        assert_eq!(x.allow["connect-src"], ["https://a", "https://b"]);
        assert_eq!(x.allow["img-src"], ["*"]);
        assert_eq!(parse("").unwrap().environments["development"].security.hsts, None);
    }

    #[test]
    fn hosts_are_names_in_lower_case() {
        let config = parse("[env.x]\nhosts = [\"WWW.Example.com\", \"*.example.com\", \"[::1]\"]").unwrap();
        assert_eq!(config.environments["x"].hosts, ["www.example.com", "*.example.com", "[::1]"]);
    }

    #[test]
    fn headers_can_be_left_out() {
        let config = parse("[[headers]]\nmatch = \"*\"\nset = { a = \"\" }\nunset = [\"X-Frame-Options\"]").unwrap();
        assert_eq!(
            config.headers[0].set,
            BTreeMap::from(["a", "x-frame-options"].map(|name| (name.to_owned(), String::new())))
        );
    }

    #[test]
    fn header_patterns_without_a_slash_match_the_name() {
        let config = parse("[[headers]]\nmatch = \"*.woff2\"\nset = { A = \"b\" }").unwrap();
        assert!(config.headers[0].pattern.matches("assets/fonts/x-0.woff2"));
        assert!(!config.headers[0].pattern.matches("assets/fonts/x-0.woff"));
        assert_eq!(config.headers[0].set.keys().collect::<Vec<_>>(), ["a"]);
    }
}

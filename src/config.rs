//! The configuration: what the user wrote ([`file`]) is resolved once, and checked, into what the program uses ([`Config`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::asset::LogicalPath;
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fs;

mod access_log;
mod budget;
mod cdn;
mod dev;
mod dialect;
mod failover;
mod file;
mod front;
mod keep;
mod library;
mod pattern;
mod resolve;
mod security;
mod serve;
mod storage;
mod targets;
mod text;
mod tool;
mod transport;
mod upstream;
mod worker;

pub use access_log::{AccessLog, LogFormat, LogPath};
pub use budget::{Budget, Limit, Measure, parse_size};
pub use dev::{Dev, WebOrigin};
pub use dialect::{Dialect, Dialects};
pub use file::read_toml;
pub use front::{Front, ProxyHeaders, UnknownHost};
pub use keep::Keep;
pub use library::Library;
pub use pattern::Pattern;
pub use serve::Serve;
pub use storage::Storage;
pub use targets::Targets;
pub use text::nearest;
pub use tool::{Tool, fixed_part};
pub use transport::{Certificate, Transport};
pub use upstream::{Origin, URLS as UPSTREAM_URLS, Upstream, UpstreamHost};
pub use worker::{Pages, Worker};

use resolve::{cache_folder, inside, resolve};
use text::{Text, quoted};

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
    pub libraries: Vec<Library>,
    pub encodings: Vec<Encoding>,
    pub images: Images,
    /// Values for the templates.
    pub context: BTreeMap<String, serde_json::Value>,
    pub environments: BTreeMap<String, Environment>,
    pub headers: Vec<HeaderRule>,
    pub serve: Serve,
    pub dev: Dev,
    pub budgets: Vec<Budget>,
    pub worker: Option<Worker>,
    /// The manifests that are written for frameworks.
    pub dialects: Dialects,
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
            ("[dev]\norigins = [\"localhost:5000\"]", "no origin"),
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

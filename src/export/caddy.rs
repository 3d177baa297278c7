//! Caddy: <https://caddyserver.com/docs/caddyfile>. Paths are looked up in a map; answers with the same fields share a matcher.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{FINGERPRINTED, Found, Rules, Settings, preamble, regex};
use crate::error::{Error, Result};

const CANNOT: [&str; 6] = [
    "406, and `*` in `Accept-Encoding`",
    "validators that are the same on each server: here they come from a file's time and length",
    "412 and 416 have the headers of the file, and no body of their own",
    "fingerprinted files without compressed forms may say that they vary by `Accept-Encoding`",
    "every path is compared with the list in turn: some thousands of pages are felt",
    "421 for hosts that are nobody's",
];

pub fn write(rules: &Rules, settings: &Settings) -> Result<String> {
    let mut headers = rules.looks.iter().flat_map(|headers| headers.iter());
    if let Some((name, _)) = headers.find(|(_, value)| !is_writable(value)) {
        return Err(Error::Usage {
            message: format!(
                "the header `{name}` has a brace in it, or a backslash and a backtick, which Caddy can't be told"
            ),
            help: "unset it for this environment, and set it in a file of Caddy's own (`--include`)".to_owned(),
        });
    }
    let folder = rules.folder.to_string_lossy();
    let paths = [Some(folder.as_ref()), settings.include.as_deref(), rules.hsts.as_deref()];
    if let Some(path) = paths.into_iter().flatten().find(|path| !is_writable(path)) {
        return Err(Error::Usage {
            message: format!("`{path}` has a brace in it, or a backslash and a backtick, which Caddy can't be told"),
            help: "say with `--folder` or `--include` another path".to_owned(),
        });
    }
    let fields = rules.fields().into_keys().collect();
    Ok(Caddy { rules, settings, fields, out: String::new() }.text())
}

const NOSNIFF: &str = "x-content-type-options";

struct Caddy<'a> {
    rules: &'a Rules,
    settings: &'a Settings,
    /// The names of headers, in the order of their variables.
    fields: Vec<&'a str>,
    out: String,
}

/// Whether it can be written: `{` begins a placeholder wherever it stands.
fn is_writable(text: &str) -> bool {
    !(text.contains(['{', '}']) || text.contains('\\') && text.contains('`'))
}

/// Whether a file can be named: `?` begins a query.
fn is_plain(text: &str) -> bool {
    is_writable(text) && !text.contains('?')
}

/// In quotes, where only a quote has to be escaped, and a backslash before one can't be; between backticks nothing is.
fn quoted(text: &str) -> String {
    match text.contains('\\') {
        true => format!("`{text}`"),
        false => format!("\"{}\"", text.replace('"', "\\\"")),
    }
}

/// What a regular expression's match is replaced by.
fn template(text: &str) -> String {
    text.replace('$', "$$")
}

impl Caddy<'_> {
    fn text(mut self) -> String {
        let mut cannot: Vec<String> = CANNOT.map(str::to_owned).to_vec();
        let left = self.rules.files.iter().filter(|(url, found)| !is_plain(url) || !is_plain(&found.file)).count();
        if left > 0 {
            cannot.push(format!("{left} paths with a brace or a question mark, which are left out"));
        }
        let cannot: Vec<&str> = cannot.iter().map(String::as_str).collect();
        self.out = preamble(self.rules, "Caddy (a site of a Caddyfile, or imported into one)", &cannot);
        let site = match &self.settings.listen {
            Some(listen) if listen.contains(':') => format!("http://{listen}"),
            Some(port) => format!("http://:{port}"),
            None if self.rules.hosts.is_empty() => ":80".to_owned(),
            None => self.rules.hosts.join(", "),
        };
        self.line(0, &format!("{site} {{"));
        if let Some(include) = &self.settings.include {
            self.line(1, &format!("import {}", quoted(include)));
        }
        self.line(1, "route {");
        self.line(2, &format!("root * {}", quoted(&self.rules.folder.to_string_lossy())));
        self.paths();
        self.looks();
        self.others();
        self.line(2, "@missing vars {fp_look} \"\"");
        self.line(2, "error @missing 404");
        self.files();
        self.line(1, "}");
        self.missing();
        self.line(0, "}");
        self.out
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "\t".repeat(indent));
    }

    /// Each path is a regular expression, as a plain one would have its braces read, and a backslash before its end.
    fn paths(&mut self) {
        let rules = self.rules;
        self.line(2, "map {path} {fp_file} {fp_look} {fp_vary} {");
        for (url, found) in rules.files.iter().filter(|(url, found)| is_plain(url) && is_plain(&found.file)) {
            let (file, vary) = (quoted(&template(&found.file)), if found.varies() { "1" } else { "" });
            self.line(3, &format!("\"~^{}$\" {file} \"{}\" \"{vary}\"", regex(url), found.look));
        }
        for (url, to) in rules.redirects.iter().filter(|(url, _)| is_plain(url)) {
            self.line(3, &format!("\"~^{}$\" {} \"moved\" \"\"", regex(url), quoted(&template(to))));
        }
        let mounts: Vec<String> = rules.mounts.iter().map(|mount| regex(mount)).collect();
        for rule in &rules.fingerprinted {
            let pattern = format!("~^(?:{})({FINGERPRINTED}{})$", mounts.join("|"), regex(&rule.extension));
            let file = quoted(&format!("{}${{1}}", template(&rules.assets)));
            let vary = if rule.varies { "1" } else { "" };
            self.line(3, &format!("\"{pattern}\" {file} \"{}\" \"{vary}\"", rule.look));
        }
        self.line(3, "default \"\" \"\" \"\"");
        self.line(2, "}");
    }

    /// From a look to the values of its fields, and to which fields it has.
    fn looks(&mut self) {
        let variables: String = (0..self.fields.len()).map(|index| format!(" {{fp_h{index}}}")).collect();
        self.line(2, &format!("map {{fp_look}} {{fp_set}} {{fp_type}}{variables} {{"));
        for (look, headers) in self.rules.looks.iter().enumerate() {
            let values = self.fields.iter().map(|name| headers.get(*name).map_or("", String::as_str));
            let values: String = values.map(|value| format!(" {}", quoted(value))).collect();
            let (set, kind) = (self.set(look), quoted(self.rules.content_type(look)));
            self.line(3, &format!("\"{look}\" \"{set}\" {kind}{values}"));
        }
        let empty = " \"\"".repeat(self.fields.len() + 2);
        self.line(3, &format!("default{empty}"));
        self.line(2, "}");
    }

    /// The numbers of the fields that a look has.
    fn set(&self, look: usize) -> String {
        let headers = self.rules.looks.get(look);
        let has = |name: &str| headers.is_some_and(|headers| headers.contains_key(name));
        let numbers = self.fields.iter().enumerate().filter(|(_, name)| has(name)).map(|(index, _)| index.to_string());
        numbers.collect::<Vec<_>>().join("-")
    }

    /// What is neither a file nor nothing.
    fn others(&mut self) {
        if self.rules.hsts.is_some() {
            let hsts = quoted(self.rules.hsts.as_deref().unwrap_or_default());
            self.line(2, "@tls protocol https");
            self.line(2, &format!("header @tls strict-transport-security {hsts}"));
        }
        if let Some(origin) = self.fields.iter().position(|name| *name == "access-control-allow-origin") {
            for line in [
                "@preflight {",
                "\tmethod OPTIONS",
                "\theader Origin *",
                "\theader Access-Control-Request-Method *",
                &format!("\tnot vars {{fp_h{origin}}} \"\""),
                "}",
                "header @preflight {",
                &format!("\taccess-control-allow-origin {{fp_h{origin}}}"),
                "\taccess-control-allow-methods \"GET, HEAD, OPTIONS\"",
                "\taccess-control-allow-headers \"if-match, if-none-match, if-range, range\"",
                "\taccess-control-max-age 86400",
                "}",
            ] {
                self.line(2, line);
            }
        }
        for line in [
            "@options method OPTIONS",
            "header @options {",
            "\tallow \"GET, HEAD, OPTIONS\"",
            "\tcache-control no-store",
            "\tx-content-type-options nosniff",
            "}",
            "respond @options 204",
            "@method not method GET HEAD",
            "header @method {",
            "\tallow \"GET, HEAD, OPTIONS\"",
            "\tcache-control no-store",
            "\tx-content-type-options nosniff",
            "}",
            "respond @method \"405 Method Not Allowed\n\" 405",
            "map {query} {fp_query} {",
            "\t\"~^(.+)$\" \"?${1}\"",
            "\tdefault \"\"",
            "}",
            "@moved vars {fp_look} moved",
            "header @moved {",
            "\tcache-control no-cache",
            "\tx-content-type-options nosniff",
            "}",
            "redir @moved \"{fp_file}{fp_query}\" 308",
        ] {
            self.line(2, line);
        }
    }

    /// The answer to what is not there, be it in no list or in no folder. What the list has set by then is taken back.
    fn missing(&mut self) {
        let rules = self.rules;
        let headers = rules.not_found.as_ref().and_then(|page| rules.looks.get(page.look)).cloned().unwrap_or_default();
        let is_stale = |name: &&&str| !headers.contains_key(**name) && !["cache-control", NOSNIFF].contains(*name);
        let stale: Vec<&str> = self.fields.iter().filter(is_stale).copied().collect();
        self.line(1, "handle_errors {");
        self.line(2, "header {");
        for (name, value) in headers.iter() {
            self.line(3, &format!("{name} {}", quoted(value)));
        }
        if headers.is_empty() {
            self.line(3, "content-type \"text/plain; charset=utf-8\"");
            self.line(3, "cache-control no-store");
            self.line(3, &format!("{NOSNIFF} nosniff"));
        }
        if rules.not_found.as_ref().is_some_and(Found::varies) {
            self.line(3, "vary accept-encoding");
        }
        for name in stale.into_iter().chain(["etag", "last-modified"]) {
            self.line(3, &format!("-{name}"));
        }
        self.line(3, "defer");
        self.line(2, "}");
        match &rules.not_found {
            None => {
                self.line(2, "respond \"{err.status_code} {err.status_text}\n\" {err.status_code}");
            }
            Some(page) => {
                for field in
                    ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"]
                {
                    self.line(2, &format!("request_header -{field}"));
                }
                self.line(2, &format!("rewrite * {}", quoted(&page.file)));
                self.file_server(2);
            }
        }
        self.line(1, "}");
    }

    fn file_server(&mut self, indent: usize) {
        for line in ["file_server {", "\tprecompressed br zstd gzip", "\tdisable_canonical_uris", "}"] {
            self.line(indent, line);
        }
    }

    fn files(&mut self) {
        let sets: BTreeSet<String> = (0..self.rules.looks.len()).map(|look| self.set(look)).collect();
        let sets: BTreeMap<usize, String> = sets.into_iter().enumerate().collect();
        for (number, set) in &sets {
            self.line(2, &format!("@set{number} vars {{fp_set}} {}", quoted(set)));
            self.line(2, &format!("header @set{number} {{"));
            self.line(3, "content-type {fp_type}");
            for index in set.split('-').filter_map(|index| index.parse::<usize>().ok()) {
                if let Some(name) = self.fields.get(index) {
                    let line = format!("{name} {{fp_h{index}}}");
                    self.line(3, &line);
                }
            }
            self.line(2, "}");
        }
        // Where it sends a sidecar, it says so by itself: the last word is ours.
        self.line(2, "@vary vars {fp_vary} 1");
        self.line(2, "header @vary {\n\t\t\tvary accept-encoding\n\t\t\tdefer\n\t\t}");
        self.line(2, "rewrite * {fp_file}");
        self.file_server(2);
    }
}

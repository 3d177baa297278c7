//! nginx: <https://nginx.org/en/docs/>. Paths are looked up in maps, so that one location serves a site of any size.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{FINGERPRINTED, Rules, Settings, preamble, regex};
use crate::asset::extension;

const CANNOT: [&str; 7] = [
    "zstd: Debian's nginx has no module for it",
    "q-values that prefer one coding to another (`q=0` counts), `*` in `Accept-Encoding`, and 406",
    "validators that are the same on each server: here they come from a file's time and length",
    "several ranges, and ranges of a compressed file, as it answers them",
    "a path that leads up by `..` is resolved here, and 404 there",
    "fingerprinted files without compressed forms may say that they vary by `Accept-Encoding`",
    "421 for hosts that are nobody's",
];

/// nginx reads words of 4 KiB at most, and quoting makes some longer.
const LONGEST: usize = 2000;

/// The longest key for which a bucket of nginx's maps has room by itself, on a machine of 64-byte cache lines.
const SHORT_KEY: usize = 44;

pub fn write(rules: &Rules, settings: &Settings) -> String {
    Nginx { rules, settings, name: variable(&rules.environment), out: String::new() }.text()
}

struct Nginx<'a> {
    rules: &'a Rules,
    settings: &'a Settings,
    /// What the names of variables begin with.
    name: String,
    out: String,
}

fn variable(environment: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("fp_{}", environment.chars().map(word).collect::<String>())
}

/// In quotes, with nothing in it that means anything. A dollar can't be escaped, so a variable holds one.
fn quoted(text: &str, name: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '$' => out.push_str(&format!("${{{name}_dollar}}")),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A word in quotes that knows of no variables, such as the key of a map.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Nginx<'_> {
    fn text(mut self) -> String {
        let mut cannot = CANNOT.to_vec();
        if self.settings.no_brotli {
            cannot.insert(0, "Brotli, as asked for by `--no-brotli`");
        }
        self.out = preamble(self.rules, "nginx (to be included in `http`)", &cannot);
        self.maps();
        self.fields();
        self.server();
        self.out
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    /// From a path to what is there. nginx compares keys without regard to case, so each answer begins with its path as it is written,
    /// and counts only for that.
    fn maps(&mut self) {
        let (rules, name) = (self.rules, self.name.clone());
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        for (url, place) in &rules.files {
            found.insert(url, format!("{url}\t{}\t{}\t{}", place.file, place.look, vary(place.varies())));
        }
        for (url, to) in &rules.redirects {
            found.insert(url, format!("{url}\t{to}\tmoved\t"));
        }
        let mut spellings: BTreeMap<String, usize> = BTreeMap::new();
        found.keys().for_each(|url| *spellings.entry(url.to_ascii_lowercase()).or_default() += 1);
        let longest = found.keys().map(|url| url.len()).max().unwrap_or_default();
        if longest > SHORT_KEY || found.len() > 1024 {
            self.line(0, "\n# Once for all of nginx: if it stands elsewhere too, keep the larger one.");
            self.line(0, &format!("map_hash_bucket_size {};", (longest + 32).next_power_of_two()));
            self.line(0, &format!("map_hash_max_size {};", (found.len() * 4).next_power_of_two().max(2048)));
        }
        self.line(0, &format!("\ngeo ${name}_dollar {{ default \"$\"; }}"));
        self.line(0, &format!("\nmap $uri ${name}_found {{"));
        self.line(4, "default \"\";");
        for (url, value) in &found {
            let key = match spellings.get(&url.to_ascii_lowercase()) {
                Some(1) => literal(url),
                _ => literal(&format!("~^{}\\z", regex(url))),
            };
            let value = quoted(value, &name).replace('\t', "\\t");
            self.line(4, &format!("{key} {value};"));
        }
        let mounts: Vec<String> = rules.mounts.iter().map(|mount| regex(mount)).collect();
        for rule in &rules.fingerprinted {
            let pattern = format!("~^(?:{})({FINGERPRINTED}{})\\z", mounts.join("|"), regex(&rule.extension));
            let folder = quoted(&rules.assets, &name);
            let folder = folder.trim_matches('"');
            self.line(
                4,
                &format!("{} \"$uri\\t{folder}$1\\t{}\\t{}\";", literal(&pattern), rule.look, vary(rule.varies)),
            );
        }
        self.line(0, "}");
        for (variable, group) in [("file", 2), ("look", 3), ("vary", 4)] {
            self.line(0, &format!("map \"${name}_found\\n$uri\" ${name}_{variable} {{"));
            self.line(4, "default \"\";");
            self.line(
                4,
                &format!("\"~^([^\\\\t\\\\n]+)\\\\t([^\\\\t\\\\n]+)\\\\t([^\\\\t\\\\n]+)\\\\t([^\\\\t\\\\n]*)\\\\n\\\\1\\\\z\" ${group};"),
            );
            self.line(0, "}");
        }
    }

    /// From a look to each header that it has.
    fn fields(&mut self) {
        let (rules, name) = (self.rules, self.name.clone());
        for (index, (field, values)) in rules.fields().iter().enumerate() {
            for part in 0..parts(values) {
                self.line(0, &format!("\n# {field}\nmap ${name}_look ${name}_h{index}_{part} {{"));
                self.line(4, "default \"\";");
                for (look, value) in values {
                    if let Some(piece) = pieces(value).nth(part) {
                        self.line(4, &format!("{look} {};", quoted(&piece, &name)));
                    }
                }
                self.line(0, "}");
            }
        }
        if let Some(hsts) = &rules.hsts {
            self.line(0, &format!("\nmap $https ${name}_hsts {{ on {}; default \"\"; }}", quoted(hsts, &name)));
        }
        if rules.shares() {
            let origin = self.value_of("access-control-allow-origin");
            let asked = format!("\"$http_origin\\n$http_access_control_request_method\\n{origin}\"");
            self.line(0, "");
            for (variable, value) in [("cors", "$1"), ("cors_methods", "\"GET, HEAD, OPTIONS\""), ("cors_age", "86400")]
            {
                let pattern = "\"~^[^\\\\n]+\\\\n[^\\\\n]+\\\\n([^\\\\n]+)\\\\z\"";
                self.line(0, &format!("map {asked} ${name}_{variable} {{ default \"\"; {pattern} {value}; }}"));
            }
            let askable = "\"if-match, if-none-match, if-range, range\"";
            self.line(0, &format!("map ${name}_cors ${name}_cors_headers {{ default {askable}; \"\" \"\"; }}"));
        }
    }

    /// The variables that hold a header's value, one after the other.
    fn value_of(&self, field: &str) -> String {
        let fields = self.rules.fields();
        let Some((index, (_, values))) = fields.iter().enumerate().find(|(_, (name, _))| **name == field) else {
            return String::new();
        };
        (0..parts(values)).map(|part| format!("${{{}_h{index}_{part}}}", self.name)).collect()
    }

    fn server(&mut self) {
        let (rules, name) = (self.rules, self.name.clone());
        let types = Types::of(rules);
        self.line(0, "\nserver {");
        match (&self.settings.listen, &self.settings.include) {
            (Some(listen), _) => self.line(4, &format!("listen {listen};")),
            (None, Some(_)) => {}
            (None, None) => self.line(4, "listen 80;"),
        }
        if let Some(include) = &self.settings.include {
            self.line(4, &format!("include {};", quoted(include, &name)));
        }
        if !rules.hosts.is_empty() {
            let hosts: Vec<String> = rules.hosts.iter().map(|host| quoted(host, &name)).collect();
            self.line(4, &format!("server_name {};", hosts.join(" ")));
        }
        self.line(4, &format!("root {};", quoted(&rules.folder.to_string_lossy(), &name)));
        for line in [
            "merge_slashes off;",
            "absolute_redirect off;",
            "gzip off;",
            "gzip_static on;",
            "gzip_proxied any;",
            "gzip_vary off;",
        ] {
            self.line(4, line);
        }
        if !self.settings.no_brotli {
            self.line(4, "brotli_static on;");
        }
        self.line(4, "types {");
        for (extension, kind) in &types.by_extension {
            self.line(8, &format!("{} {};", quoted(kind, &name), quoted(extension, &name)));
        }
        self.line(4, "}");
        self.line(4, "default_type application/octet-stream;\n");
        for (field, _) in rules.fields() {
            let value = self.value_of(field);
            self.line(4, &format!("add_header {} \"{value}\" always;", quoted(field, &name)));
        }
        // Before the path is that of the file: the map would find nothing then.
        self.line(4, &format!("set ${name}_varies ${name}_vary;"));
        self.line(4, &format!("add_header vary ${name}_varies always;"));
        self.hsts(4);
        self.line(0, "");
        self.line(4, "if ($request_method = OPTIONS) { return 479; }");
        self.line(4, "if ($request_method !~ \"^(?:GET|HEAD)$\") { return 405; }");
        self.line(4, &format!("if (${name}_look = moved) {{ return 478; }}"));
        self.line(4, &format!("if (${name}_look = \"\") {{ return 404; }}"));
        for (index, (_, looks)) in types.others.iter().enumerate() {
            let looks: Vec<String> = looks.iter().map(usize::to_string).collect();
            self.line(4, &format!("if (${name}_look ~ \"^(?:{})$\") {{ return {}; }}", looks.join("|"), 480 + index));
        }
        self.line(4, &format!("location / {{ try_files ${name}_file =404; }}"));
        for (index, (kind, _)) in types.others.iter().enumerate() {
            self.line(4, &format!("error_page {} = @{name}_type{index};", 480 + index));
            let kind = quoted(kind, &name);
            self.line(
                4,
                &format!(
                    "location @{name}_type{index} {{ types {{ }} default_type {kind}; try_files ${name}_file =404; }}"
                ),
            );
        }
        self.errors();
        self.line(0, "}");
    }

    fn hsts(&mut self, indent: usize) {
        if self.rules.hsts.is_some() {
            self.line(indent, &format!("add_header strict-transport-security ${}_hsts always;", self.name));
        }
    }

    /// What is neither a file nor nothing. Each has its own headers, and none of those above.
    fn errors(&mut self) {
        let (rules, name) = (self.rules, self.name.clone());
        self.line(0, "");
        self.line(4, &format!("error_page 478 =308 @{name}_moved;"));
        self.line(4, &format!("location @{name}_moved {{"));
        self.line(8, "add_header cache-control no-cache always;");
        self.line(8, "add_header x-content-type-options nosniff always;");
        self.hsts(8);
        self.line(8, &format!("return 308 ${name}_file$is_args$args;"));
        self.line(4, "}");
        self.line(4, &format!("error_page 479 =204 @{name}_options;"));
        self.line(4, &format!("location @{name}_options {{"));
        self.line(8, "add_header allow \"GET, HEAD, OPTIONS\" always;");
        self.line(8, "add_header cache-control no-store always;");
        self.line(8, "add_header x-content-type-options nosniff always;");
        self.hsts(8);
        if rules.shares() {
            for (field, variable) in [("origin", "cors"), ("methods", "cors_methods"), ("headers", "cors_headers")] {
                self.line(8, &format!("add_header access-control-allow-{field} ${name}_{variable} always;"));
            }
            self.line(8, &format!("add_header access-control-max-age ${name}_cors_age always;"));
        }
        self.line(8, "return 204;");
        self.line(4, "}");
        for (status, reason) in
            [(405, "Method Not Allowed"), (412, "Precondition Failed"), (416, "Range Not Satisfiable")]
        {
            self.error(status, reason);
        }
        let Some(page) = &rules.not_found else { return self.error(404, "Not Found") };
        self.line(4, &format!("error_page 404 @{name}_404;"));
        self.line(4, &format!("location @{name}_404 {{"));
        self.line(8, "etag off;");
        self.line(8, "add_header last-modified \"\" always;");
        let headers = rules.looks.get(page.look).cloned().unwrap_or_default();
        for (index, (field, value)) in headers.iter().filter(|(field, _)| *field != "content-type").enumerate() {
            let mut whole = String::new();
            for (part, piece) in pieces(value).enumerate() {
                self.line(8, &format!("set ${name}_lost{index}_{part} {};", quoted(&piece, &name)));
                whole.push_str(&format!("${{{name}_lost{index}_{part}}}"));
            }
            self.line(8, &format!("add_header {} \"{whole}\" always;", quoted(field, &name)));
        }
        if page.varies() {
            self.line(8, "add_header vary accept-encoding always;");
        }
        self.hsts(8);
        self.line(8, &format!("types {{ }} default_type {};", quoted(rules.content_type(page.look), &name)));
        self.line(8, &format!("try_files {} =404;", quoted(&page.file, &name)));
        self.line(4, "}");
    }

    fn error(&mut self, status: u16, reason: &str) {
        let name = self.name.clone();
        self.line(4, &format!("error_page {status} @{name}_{status};"));
        self.line(4, &format!("location @{name}_{status} {{"));
        if status == 405 {
            self.line(8, "add_header allow \"GET, HEAD, OPTIONS\" always;");
        }
        self.line(8, "add_header cache-control no-store always;");
        self.line(8, "add_header x-content-type-options nosniff always;");
        self.hsts(8);
        self.line(8, "types { } default_type \"text/plain; charset=utf-8\";");
        self.line(8, &format!("return {status} \"{status} {reason}\\n\";"));
        self.line(4, "}");
    }
}

fn vary(varies: bool) -> &'static str {
    if varies { "accept-encoding" } else { "" }
}

/// A value in words that nginx can read.
fn pieces(value: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = value.chars().collect();
    let pieces: Vec<String> = chars.chunks(LONGEST).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

fn parts(values: &[(usize, &str)]) -> usize {
    values.iter().map(|(_, value)| pieces(value).count()).max().unwrap_or(1).max(1)
}

/// `Content-Type`, which nginx tells by the extension; what has another one has to be served apart.
struct Types {
    by_extension: BTreeMap<String, String>,
    others: BTreeMap<String, Vec<usize>>,
}

impl Types {
    fn of(rules: &Rules) -> Self {
        let files = rules.files.values().map(|found| (extension(&found.file), found.look));
        let by_rule = rules
            .fingerprinted
            .iter()
            .map(|rule| (rule.extension.trim_start_matches('.').to_ascii_lowercase(), rule.look));
        let all: Vec<(String, usize)> = by_rule.chain(files).collect();
        let mut by_extension = BTreeMap::new();
        for (extension, look) in &all {
            let kind = rules.content_type(*look).to_owned();
            by_extension.entry(extension.clone()).or_insert(kind);
        }
        by_extension.insert(String::new(), "application/octet-stream".to_owned());
        let mut others: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (extension, look) in &all {
            let kind = rules.content_type(*look);
            let looks = others.get(kind).is_some_and(|looks| looks.contains(look));
            if by_extension.get(extension).is_some_and(|usual| usual != kind) && !looks {
                others.entry(kind.to_owned()).or_default().push(*look);
            }
        }
        by_extension.remove("");
        Types { by_extension, others }
    }
}

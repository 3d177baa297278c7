//! Apache: <https://httpd.apache.org/docs/2.4/>. Rules that rewrite find what is at a path, and leave a note of its headers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{FINGERPRINTED, Found, Rules, Settings, preamble, regex};
use crate::encoding::Encoding;

const CANNOT: [&str; 7] = [
    "q-values that prefer one coding to another (`q=0` counts), `*` in `Accept-Encoding`, and 406",
    "validators that are the same on each server: here they come from a file's time and length",
    "405, 412 and 416 have bodies of their own, and the last two the headers of the file",
    "`Location` is absolute, and `Allow` of 405 is there twice",
    "fingerprinted files without compressed forms may say that they vary by `Accept-Encoding`",
    "every path is compared with the list in turn: some thousands of pages are felt",
    "421 for hosts that are nobody's",
];

pub fn write(rules: &Rules, settings: &Settings) -> String {
    Apache { rules, settings, out: String::new() }.text()
}

struct Apache<'a> {
    rules: &'a Rules,
    settings: &'a Settings,
    out: String,
}

/// In quotes, for a directive whose words have no other meaning.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A header's value: a percent sign begins a variable in it, and `${` one of the configuration's own.
fn value(text: &str) -> String {
    quoted(&text.replace('%', "%%").replace("${", "%{fp_dollar}e{"))
}

/// What a rule puts in a path's place, without quotes, in which a quote can't be escaped. A backslash takes the meaning from what
/// follows it, also from a brace, which would make a variable of the configuration's with a dollar before it.
fn path(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '$' | '%' | '{' | '}' | '\\' | '"' | ' ') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether a file can be named: what follows `?` is taken for a query.
fn is_plain(url: &str, file: &str) -> bool {
    !url.contains('?') && !file.contains('?')
}

fn note(look: usize, varies: bool) -> String {
    format!("E=fp_look:{look}{}", if varies { ",E=fp_vary:1" } else { "" })
}

/// A condition on the note that a rule has left.
fn sent(looks: &BTreeSet<usize>) -> String {
    let looks: Vec<String> = looks.iter().map(|look| format!("'{look}'")).collect();
    format!("reqenv('fp_sent') -in {{{}}}", looks.join(","))
}

impl Apache<'_> {
    fn text(mut self) -> String {
        let mut cannot: Vec<String> = CANNOT.map(str::to_owned).to_vec();
        let left = self.rules.files.iter().filter(|(url, found)| !is_plain(url, &found.file)).count();
        if left > 0 {
            cannot.push(format!("{left} paths with a question mark, which are left out"));
        }
        let cannot: Vec<&str> = cannot.iter().map(String::as_str).collect();
        self.out = preamble(self.rules, "Apache 2.4 (modules: rewrite, headers, env, mime, dir)", &cannot);
        let listen = match &self.settings.listen {
            Some(listen) if listen.contains(':') => listen.clone(),
            Some(port) => format!("*:{port}"),
            None => "*:80".to_owned(),
        };
        self.line(0, &format!("<VirtualHost {listen}>"));
        if let Some((first, others)) = self.rules.hosts.split_first() {
            self.line(1, &format!("ServerName {}", quoted(first)));
            others.iter().for_each(|host| self.line(1, &format!("ServerAlias {}", quoted(host))));
        }
        let folder = quoted(&self.rules.folder.to_string_lossy());
        self.line(1, &format!("DocumentRoot {folder}"));
        self.line(1, &format!("<Directory {folder}>"));
        for line in [
            "Require all granted",
            "AllowOverride None",
            "Options FollowSymLinks",
            "DirectoryIndex disabled",
            "DirectorySlash Off",
            "RemoveEncoding .gz .br .zst",
            "RemoveType .gz .br .zst",
            "RemoveLanguage .br",
        ] {
            self.line(2, line);
        }
        self.line(1, "</Directory>");
        for line in ["AddDefaultCharset Off", "FileETag MTime Size", "TraceEnable Off", "SetEnv fp_dollar $"] {
            self.line(1, line);
        }
        self.routes();
        self.codings();
        self.headers();
        if let Some(include) = &self.settings.include {
            self.line(1, &format!("Include {}", quoted(include)));
        }
        self.line(0, "</VirtualHost>");
        self.out
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "    ".repeat(indent));
    }

    /// The number of the page for 404 among the looks, which no other answer has.
    fn lost(&self) -> usize {
        self.rules.looks.len()
    }

    fn routes(&mut self) {
        let rules = self.rules;
        let files: Vec<(&String, &Found)> =
            rules.files.iter().filter(|(url, found)| is_plain(url, &found.file)).collect();
        let redirects = rules.redirects.len();
        let found = files.len() + rules.fingerprinted.len();
        self.line(1, "RewriteEngine On");
        if let Some(page) = &rules.not_found {
            self.line(1, "RewriteCond %{ENV:REDIRECT_STATUS} =404");
            let skipped = 3 + redirects + found + 2;
            let note = note(self.lost(), page.varies());
            self.line(1, &format!("RewriteRule ^ {} [{note},S={skipped}]", path(&page.file)));
        }
        self.line(1, "RewriteCond %{REQUEST_METHOD} !^(?:GET|HEAD|OPTIONS)$");
        self.line(1, "RewriteRule ^ - [R=405,L]");
        // Rules see a path whose slashes have been merged, whatever `MergeSlashes` says.
        self.line(1, "RewriteCond %{REQUEST_METHOD} !=OPTIONS");
        self.line(1, "RewriteCond %{THE_REQUEST} \"^\\S+ /(?:[^? ]*/)?/\"");
        self.line(1, "RewriteRule ^ - [R=404,L]");
        self.line(1, "RewriteCond %{REQUEST_METHOD} =OPTIONS");
        self.line(1, &format!("RewriteRule ^ - [S={redirects}]"));
        for (url, to) in &rules.redirects {
            self.line(1, &format!("RewriteRule \"^{}$\" {} [E=fp_moved:1,R=308,NE,L]", regex(url), path(to)));
        }
        let mut left = found;
        for (url, place) in files {
            let note = note(place.look, place.varies());
            self.line(1, &format!("RewriteRule \"^{}$\" {} [{note},S={left}]", regex(url), path(&place.file)));
            left -= 1;
        }
        let mounts: Vec<String> = rules.mounts.iter().map(|mount| regex(mount)).collect();
        for rule in &rules.fingerprinted {
            let pattern = format!("^(?:{})({FINGERPRINTED}{})$", mounts.join("|"), regex(&rule.extension));
            let note = note(rule.look, rule.varies);
            self.line(1, &format!("RewriteRule \"{pattern}\" {}$1 [{note},S={left}]", path(&rules.assets)));
            left -= 1;
        }
        self.line(1, "RewriteCond %{REQUEST_METHOD} !=OPTIONS");
        self.line(1, "RewriteRule ^ - [R=404,L]");
        self.line(1, "RewriteCond %{REQUEST_METHOD} =OPTIONS");
        self.line(1, "RewriteRule ^ - [R=204,L]");
        self.line(1, "RewriteCond %{ENV:fp_look} ^(.+)$");
        self.line(1, "RewriteRule ^ - [E=fp_sent:%1]");
    }

    fn codings(&mut self) {
        let folder = path(&self.rules.folder.to_string_lossy());
        for encoding in Encoding::ALL {
            let (token, extension) = (encoding.token(), encoding.extension());
            let accepts = format!("(?:^|,)\\s*{token}\\s*(?:;\\s*q=(?!0(?:\\.0*)?\\s*(?:,|$))[^,]*)?(?:,|$)");
            self.line(1, &format!("RewriteCond %{{HTTP:Accept-Encoding}} \"{accepts}\" [NV,NC]"));
            self.line(1, &format!("RewriteCond {folder}$1.{extension} -f"));
            self.line(
                1,
                &format!(
                    "RewriteRule \"^(.*)$\" {folder}$1.{extension} [E=fp_coding:{token},E=no-gzip:1,E=no-brotli:1,L]"
                ),
            );
        }
        self.line(1, &format!("RewriteRule \"^(.*)$\" {folder}$1 [E=no-gzip:1,E=no-brotli:1,L]"));
    }

    fn headers(&mut self) {
        let rules = self.rules;
        let mut fields: BTreeMap<(&str, &str), BTreeSet<usize>> = BTreeMap::new();
        let lost = rules.not_found.as_ref().map(|page| (self.lost(), page.look));
        for (look, headers) in rules.looks.iter().enumerate() {
            let is_lost = lost.is_some_and(|(_, other)| other == look);
            for (name, value) in headers.iter() {
                let looks = fields.entry((name, value)).or_default();
                looks.insert(look);
                looks.extend(lost.filter(|_| is_lost).map(|(lost, _)| lost));
            }
        }
        for ((name, text), looks) in &fields {
            // That of an error's own document can't be told before.
            let when = if *name == "content-type" { "" } else { "always " };
            self.line(1, &format!("Header {when}set {} {} \"expr={}\"", quoted(name), value(text), sent(looks)));
        }
        for encoding in Encoding::ALL {
            let token = encoding.token();
            self.line(1, &format!("Header set content-encoding {token} \"expr=reqenv('fp_coding') == '{token}'\""));
        }
        self.line(1, "Header merge vary accept-encoding env=fp_vary");
        self.line(1, "Header always set cache-control no-cache env=fp_moved");
        self.line(1, "Header always set x-content-type-options nosniff env=fp_moved");
        let refused = "expr=%{REQUEST_METHOD} !~ /^(?:GET|HEAD)$/";
        self.line(1, &format!("Header always set allow \"GET, HEAD, OPTIONS\" \"{refused}\""));
        self.line(1, &format!("Header always set cache-control no-store \"{refused}\""));
        self.line(1, &format!("Header always set x-content-type-options nosniff \"{refused}\""));
        if let Some(hsts) = &rules.hsts {
            self.line(
                1,
                &format!("Header always set strict-transport-security {} \"expr=%{{HTTPS}} == 'on'\"", value(hsts)),
            );
        }
        self.preflights(&fields);
        if rules.not_found.is_some() {
            self.line(1, "ErrorDocument 404 /404");
            let is_lost = sent(&BTreeSet::from([self.lost()]));
            for name in ["etag", "last-modified"] {
                self.line(1, &format!("Header unset {name} \"expr={is_lost}\""));
            }
        } else {
            self.line(1, "ErrorDocument 404 \"404 Not Found\"");
            self.line(1, "Header always set cache-control no-store \"expr=%{REQUEST_STATUS} == 404\"");
            self.line(1, "Header always set x-content-type-options nosniff \"expr=%{REQUEST_STATUS} == 404\"");
        }
        self.line(1, "ErrorDocument 405 \"405 Method Not Allowed\"");
    }

    fn preflights(&mut self, fields: &BTreeMap<(&str, &str), BTreeSet<usize>>) {
        let origins = fields.iter().filter(|((name, _), _)| *name == "access-control-allow-origin");
        for ((name, origin), looks) in origins {
            let looks: Vec<String> = looks.iter().map(|look| format!("'{look}'")).collect();
            let when = format!(
                "expr=%{{REQUEST_METHOD}} == 'OPTIONS' && -n req_novary('Origin') && -n req_novary('Access-Control-Request-Method') && reqenv('fp_look') -in {{{}}}",
                looks.join(",")
            );
            for (name, value) in [
                (*name, value(origin).as_str()),
                ("access-control-allow-methods", "\"GET, HEAD, OPTIONS\""),
                ("access-control-allow-headers", "\"if-match, if-none-match, if-range, range\""),
                ("access-control-max-age", "86400"),
            ] {
                self.line(1, &format!("Header always set {name} {value} \"{when}\""));
            }
        }
    }
}

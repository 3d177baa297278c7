//! The configuration of another server that does what [`serve`](crate::serve) does: [`Rules`] say what is answered, whichever server it
//! is, and each dialect only writes them down.

mod apache;
mod caddy;
mod cloudfront;
mod nginx;
mod rules;
mod site;

pub use cloudfront::Function;
pub use rules::{Fingerprinted, Found, Rules};
pub use site::{Folder, Layout, Site};

use crate::error::{Error, Result};

/// Whose configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Nginx,
    Caddy,
    Apache,
}

/// What the rules leave open.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where to listen: a port, or `ADDRESS:PORT`.
    pub listen: Option<String>,
    /// A file of the user's own that is included in the server's block.
    pub include: Option<String>,
    /// For nginx without its module for Brotli.
    pub no_brotli: bool,
}

/// The configuration's text.
pub fn write(dialect: Dialect, rules: &Rules, settings: &Settings) -> Result<String> {
    check(settings)?;
    match dialect {
        Dialect::Nginx => Ok(nginx::write(rules, settings)),
        Dialect::Caddy => caddy::write(rules, settings),
        Dialect::Apache => Ok(apache::write(rules, settings)),
    }
}

fn check(settings: &Settings) -> Result<()> {
    let is_address = |text: &str| {
        let port = text.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        port && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '[' | ']' | '*' | '-'))
    };
    if let Some(include) = settings.include.as_deref().filter(|include| include.contains(|c: char| c.is_control())) {
        return Err(Error::Usage {
            message: format!("{include:?} can't be written in a configuration"),
            help: "include a file of another name".to_owned(),
        });
    }
    match settings.listen.as_deref().filter(|listen| !is_address(listen)) {
        None => Ok(()),
        Some(listen) => Err(Error::Usage {
            message: format!("`{listen}` is no place to listen"),
            help: "write a port, or `ADDRESS:PORT`".to_owned(),
        }),
    }
}

/// What stands at the top of each configuration.
fn preamble(rules: &Rules, server: &str, cannot: &[&str]) -> String {
    let mut text = format!("# {server} for the environment `{}`, release {}.\n", rules.environment, rules.release);
    text.push_str("# Written by `fingerpost export`: write it anew for each release, then reload the server.\n");
    if !cannot.is_empty() {
        text.push_str("# What `fingerpost serve` does and this does not:\n");
        cannot.iter().for_each(|line| text.push_str(&format!("# - {line}\n")));
    }
    text
}

/// As part of a regular expression: Perl's, Go's and PCRE agree on these.
fn regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '_' | '-' | '~' => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// A fingerprinted file's path below its folder, without what comes before the extension's dot; no part of it is hidden.
const FINGERPRINTED: &str = "(?:[^/.\\x00-\\x1f][^/\\x00-\\x1f]*/)*[^/.\\x00-\\x1f][^/\\x00-\\x1f]*-[0-9a-f]{16}";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::environment::Environment;
    use crate::fingerprint::Digest;
    use crate::manifest::{File, Kind, Manifest, Mode};
    use crate::serve::{Outline, Place};

    /// A build by hand: each URL with its file and what `x` is there.
    fn rules(files: &[(&str, &str, &str)], layout: Layout) -> Result<Rules> {
        let mut manifest = Manifest::new(Mode::Production, "assets");
        let mut outline = Outline::default();
        for (url, file, x) in files {
            let kind = if file.starts_with("assets/") { Kind::Asset } else { Kind::Page };
            manifest.files.insert((*file).to_owned(), File::new(kind, file, b"x"));
            let headers = BTreeMap::from([("x".to_owned(), (*x).to_owned())]).into();
            outline.files.insert((*url).to_owned(), Place { file: (*file).to_owned(), headers, varies: false });
        }
        outline.redirects.insert("/docs".to_owned(), "/docs/".to_owned());
        let environment = Environment::new("production");
        let site = Site { manifest: &manifest, environment: &environment, layout, folder: "/srv/a b".into() };
        Rules::of(&site, &outline)
    }

    fn named(path: &str) -> String {
        format!("assets/{}", Digest::of(b"x").fingerprint().name(path))
    }

    #[test]
    fn fingerprinted_files_are_one_rule_for_an_extension() {
        let [a, b, c, odd] = ["a.css", "b/b.css", "c.css", "LICENSE"].map(named);
        let at = |file: &str| format!("/{file}");
        let aliased = at(&a).replace("assets", "static");
        let rules = rules(
            &[
                (&at(&a), &a, "1"),
                (&aliased, &a, "1"),
                (&at(&b), &b, "1"),
                (&at(&c), &c, "2"),
                (&at(&odd), &odd, "1"),
                ("/static/a.css", &a, "1"),
                ("/about", "about.html", "3"),
            ],
            Layout::Store,
        )
        .unwrap();
        let listed: Vec<(&str, &str)> =
            rules.files.iter().map(|(url, found)| (url.as_str(), found.file.as_str())).collect();
        let page = format!("/releases/{}/about.html", rules.release);
        assert_eq!(
            listed,
            [("/about", page.as_str()), (&at(&c), &at(&c)), ("/static/a.css", &at(&a))],
            "what is like the most is told once"
        );
        let told: Vec<&str> = rules.fingerprinted.iter().map(|rule| rule.extension.as_str()).collect();
        assert_eq!(told, ["", ".css"]);
        assert_eq!(rules.mounts, ["/assets/", "/static/"]);
    }

    #[test]
    fn names_mean_nothing_in_any_dialect() {
        let hostile = "a\";}$uri ${x} {path} %{e} '`#";
        let url = format!("/{hostile}");
        let rules = rules(&[(&url, hostile, hostile)], Layout::Build).unwrap();
        let line = |dialect, part: &str| {
            let text = write(dialect, &rules, &Settings::default()).unwrap();
            text.lines()
                .find(|line| line.contains(part))
                .unwrap_or_else(|| panic!("{part} in {text}"))
                .trim()
                .to_owned()
        };
        assert_eq!(
            line(Dialect::Nginx, "\\t0\\t"),
            r##""/a\";}$uri ${x} {path} %{e} '`#" "/a\";}${fp_production_dollar}uri ${fp_production_dollar}{x} {path} %{e} '`#\t/a\";}${fp_production_dollar}uri ${fp_production_dollar}{x} {path} %{e} '`#\t0\t";"##
        );
        assert_eq!(
            line(Dialect::Nginx, "    0 \""),
            r##"0 "a\";}${fp_production_dollar}uri ${fp_production_dollar}{x} {path} %{e} '`#";"##
        );
        assert_eq!(
            line(Dialect::Apache, "fp_look:0"),
            r##"RewriteRule "^/a\x22\x3b\x7d\x24uri\x20\x24\x7bx\x7d\x20\x7bpath\x7d\x20\x25\x7be\x7d\x20\x27\x60\x23$" /a\";\}\$uri\ \$\{x\}\ \{path\}\ \%\{e\}\ '`# [E=fp_look:0,S=1]"##
        );
        assert_eq!(
            line(Dialect::Apache, "set \"x\""),
            r##"Header always set "x" "a\";}$uri %{fp_dollar}e{x} {path} %%{e} '`#" "expr=reqenv('fp_sent') -in {'0'}""##
        );
        let refused = write(Dialect::Caddy, &rules, &Settings::default()).unwrap_err();
        assert!(refused.to_string().contains("the header `x` has a brace in it"), "{refused}");
    }

    #[test]
    fn caddy_has_names_as_patterns() {
        let rules = rules(&[("/a\"$b c", "a\"$b c", "\"$1\""), ("/{x}", "{x}", "")], Layout::Build).unwrap();
        let text = write(Dialect::Caddy, &rules, &Settings::default()).unwrap();
        assert!(text.contains("\"~^/a\\x22\\x24b\\x20c$\" \"/a\\\"$$b c\" \"0\" \"\"\n"), "{text}");
        assert!(text.contains("# - 1 paths with a brace") && !text.contains("{x}"), "{text}");
    }

    #[test]
    fn a_control_character_is_refused() {
        for name in ["a\nb", "a\tb", "a\u{7f}b", "a\u{85}b"] {
            let error = rules(&[(&format!("/{name}"), name, "")], Layout::Build).unwrap_err();
            assert!(error.to_string().contains("has a control character in its name"), "{error}");
        }
    }

    #[test]
    fn where_to_listen_is_an_address() {
        let rules = rules(&[], Layout::Build).unwrap();
        for (listen, is_right) in [
            ("80", true),
            ("127.0.0.1:8080", true),
            ("[::1]:80", true),
            ("*:80", true),
            ("80;", false),
            ("80 ssl", false),
            ("host", false),
            ("1:2\n3", false),
        ] {
            let settings = Settings { listen: Some(listen.to_owned()), ..Settings::default() };
            for dialect in [Dialect::Nginx, Dialect::Caddy, Dialect::Apache] {
                assert_eq!(write(dialect, &rules, &settings).is_ok(), is_right, "{listen}");
            }
        }
    }

    #[test]
    fn a_store_has_its_pages_below_the_release() {
        let rules = rules(&[("/", "index.html", "")], Layout::Store).unwrap();
        assert_eq!(rules.folder, Path::new("/srv/a b"));
        let found = &rules.files["/"];
        assert!(found.file.starts_with("/releases/") && found.file.ends_with("/index.html"), "{found:?}");
    }
}

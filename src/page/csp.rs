//! A page's `Content-Security-Policy`, <https://www.w3.org/TR/CSP3/>: strict about what runs, open to what is only looked at.
//!
//! What may run is known: it is the site's own, or stands in the page, which is hashed. Which APIs a script will call and which
//! pictures it will show can't be seen in a page; whoever can't run a script gains nothing from those being open. Styles that are
//! written at run time are let in unless the configuration says otherwise, because so many packages write them.

use super::surroundings::Surroundings;
use super::survey::{Directive, Survey};
use crate::environment::{AssetBase, Environment, Security};

/// Hashes of event handlers beyond which handlers are let in whole: a header has to fit into the buffers of proxies, which are of
/// 4 or 8 KiB.
const MOST_HANDLERS: usize = 40;

/// Where browsers' reports go, by the name that `Reporting-Endpoints` gives it.
pub const ENDPOINT: &str = "fingerpost";

/// The policy for a page, of which `survey` is what was found in it and `surroundings` what the release has beside it.
pub fn policy(survey: &Survey, surroundings: &Surroundings, environment: &Environment) -> String {
    let security = &environment.security;
    let mut policy = Policy { security, directives: Vec::new() };
    // One more policy could only take away from what the page's own lets in.
    if !survey.has_own_policy {
        fetches(&mut policy, survey, surroundings, environment);
    }
    if !security.frame_ancestors.is_empty() {
        policy.add("frame-ancestors", [security.frame_ancestors.as_str()]);
    }
    if let Some(url) = &security.report_to {
        // Browsers that know the first take no notice of the second.
        policy.add("report-to", [ENDPOINT]);
        policy.add("report-uri", [url.as_str()]);
    }
    policy.to_value()
}

/// What pages of an application come to need by being bound.
#[derive(Debug, Default)]
pub struct Needs {
    /// Where assets of another origin are.
    pub assets: Option<AssetBase>,
    /// Of scripts in the page, with quotes.
    pub hashes: Vec<String>,
    /// Where scripts of other origins are, and stylesheets.
    pub scripts: Vec<String>,
    pub styles: Vec<String>,
}

/// An application's own policy, with what its page has come to need: assets of another origin may come from where it lets its own come
/// from, libraries where it lets scripts and stylesheets of its own in, and scripts in the page have their hash wherever they need one.
/// None if that changes nothing.
pub fn admit(policy: &str, needs: &Needs) -> Option<String> {
    let assets = needs.assets.as_ref().map(|base| source(base.as_str()));
    let has = |name: &str| policy.split(';').any(|directive| name_of(directive).eq_ignore_ascii_case(name));
    // The most special that there is counts: https://www.w3.org/TR/CSP3/#directive-fallback-list
    let of_scripts = ["script-src-elem", "script-src", "default-src"].into_iter().find(|name| has(name));
    let of_styles = ["style-src-elem", "style-src", "default-src"].into_iter().find(|name| has(name));
    let mut is_changed = false;
    let admitted = policy.split(';').map(|directive| {
        let (name, words) = (name_of(directive), || directive.split_ascii_whitespace().skip(1));
        let is_of = |directive: Option<&str>| directive.is_some_and(|kind| name.eq_ignore_ascii_case(kind));
        let is_of_assets = OF_ASSETS.iter().any(|kind| name.eq_ignore_ascii_case(kind));
        let lets_own_in = words().any(|word| word.eq_ignore_ascii_case("'self'"));
        let is_strict = words().any(|word| word.starts_with("'nonce-") || word.starts_with("'sha"));
        let lets_all_in = words().any(|word| word.eq_ignore_ascii_case("'unsafe-inline'")) && !is_strict;
        let lets_none_in = words().all(|word| word.eq_ignore_ascii_case("'none'"));
        let assets = assets.as_deref().filter(|_| is_of_assets && lets_own_in);
        let libraries = [(of_scripts, &needs.scripts), (of_styles, &needs.styles)];
        let libraries = libraries.into_iter().filter(|(kind, _)| is_of(*kind) && lets_own_in).flat_map(|(_, all)| all);
        let hashes = needs.hashes.iter().filter(|_| is_of(of_scripts) && !lets_all_in && !lets_none_in);
        let mut admitted = directive.to_owned();
        let more = assets.into_iter().chain(libraries.chain(hashes).map(String::as_str));
        for more in more.filter(|more| !words().any(|word| word == *more)) {
            is_changed = true;
            admitted.truncate(admitted.trim_end().len());
            admitted.push(' ');
            admitted.push_str(more);
        }
        admitted
    });
    let admitted = admitted.collect::<Vec<_>>().join(";");
    is_changed.then_some(admitted)
}

/// The directives that let assets in.
const OF_ASSETS: [&str; 9] = [
    "default-src",
    "font-src",
    "img-src",
    "manifest-src",
    "media-src",
    "script-src",
    "script-src-elem",
    "style-src",
    "style-src-elem",
];

fn name_of(directive: &str) -> &str {
    directive.split_ascii_whitespace().next().unwrap_or_default()
}

fn fetches(policy: &mut Policy<'_>, survey: &Survey, surroundings: &Surroundings, environment: &Environment) {
    let security = &environment.security;
    let base = &environment.asset_base;
    let own: Vec<String> =
        std::iter::once("'self'".to_owned()).chain(base.is_other_origin().then(|| source(base.as_str()))).collect();
    let own = || own.iter().map(String::as_str);
    let found = |directive| survey.sources.get(&directive).into_iter().flatten().map(String::as_str);
    // An API on a developer's machine has no certificate.
    let plain = |sources: &'static [&'static str]| {
        (environment.name == "development").then_some(sources).into_iter().flatten().copied()
    };

    policy.add("default-src", own().chain(found(Directive::Default)));
    policy.add("base-uri", std::iter::once("'self'").chain(found(Directive::Base)));
    policy.add(
        "object-src",
        match survey.has_objects {
            true => own().chain(found(Directive::Object)).collect::<Vec<_>>(),
            false => vec!["'none'"],
        },
    );

    let hashes = survey.scripts.iter().map(|hash| format!("'{hash}'")).collect::<Vec<_>>();
    let handlers = survey.handlers.iter().map(|hash| format!("'{hash}'")).collect::<Vec<_>>();
    let too_many = handlers.len() > MOST_HANDLERS;
    let scripts = own().chain(found(Directive::Script)).chain(hashes.iter().map(String::as_str));
    let hashed_handlers = handlers.iter().map(String::as_str).filter(|_| !too_many);
    let unsafe_hashes = (!handlers.is_empty() && !too_many).then_some("'unsafe-hashes'");
    // WebAssembly has no way to the page but by the scripts that load it.
    policy.add("script-src", scripts.chain(["'wasm-unsafe-eval'"]).chain(unsafe_hashes).chain(hashed_handlers));
    if too_many {
        policy.add("script-src-attr", ["'unsafe-inline'"]);
    }

    let styles = survey.styles.union(&survey.style_attributes).map(|hash| format!("'{hash}'")).collect::<Vec<_>>();
    let inline: Vec<&str> = match security.inline_styles {
        true => vec!["'unsafe-inline'"],
        false => styles
            .iter()
            .map(String::as_str)
            .chain((!survey.style_attributes.is_empty()).then_some("'unsafe-hashes'"))
            .collect(),
    };
    policy.add("style-src", own().chain(found(Directive::Style)).chain(surroundings.outside()).chain(inline));

    let seen = ["data:", "blob:", "https:"];
    policy.add("img-src", own().chain(found(Directive::Image)).chain(seen).chain(plain(&["http:"])));
    policy.add("media-src", own().chain(found(Directive::Media)).chain(seen).chain(plain(&["http:"])));
    policy
        .add("font-src", own().chain(found(Directive::Font)).chain(surroundings.outside()).chain(["data:", "https:"]));
    let called = ["data:", "blob:", "https:", "wss:"];
    policy.add("connect-src", own().chain(found(Directive::Connect)).chain(called).chain(plain(&["http:", "ws:"])));
    // A worker whose file is on another origin is started from a `blob:` URL, a shared one from a `data:` URL. What such a script
    // imports counts as a worker, too: https://html.spec.whatwg.org/#fetch-a-module-worker-script-tree
    let other_origin = base.is_other_origin().then_some("data:");
    policy.add("worker-src", own().chain(["blob:"]).chain(other_origin).chain(found(Directive::Worker)));
    policy.add("frame-src", ["'self'", "blob:", "data:"].into_iter().chain(found(Directive::Frame)));
    policy.add("manifest-src", std::iter::once("'self'").chain(found(Directive::Manifest)));
    policy.add("form-action", std::iter::once("'self'").chain(found(Directive::Form)));
    for name in Security::DIRECTIVES.iter().filter(|name| security.allow.contains_key(**name)) {
        policy.allow(name);
    }
}

/// An asset base as a source expression: all below it, and nothing else of a host that others may share.
fn source(base: &str) -> String {
    base.trim_start_matches("//").replace(';', "%3B").replace(',', "%2C")
}

struct Policy<'a> {
    security: &'a Security,
    directives: Vec<(&'a str, Vec<String>)>,
}

impl<'a> Policy<'a> {
    fn add<'s>(&mut self, name: &'a str, sources: impl IntoIterator<Item = &'s str>) {
        let mut unique: Vec<String> = Vec::new();
        for source in sources {
            if !unique.iter().any(|other| other == source) {
                unique.push(source.to_owned());
            }
        }
        self.directives.push((name, unique));
    }

    /// Adds what the configuration allows; a directive that isn't there would have been as `default-src` is.
    fn allow(&mut self, name: &'a str) {
        let Some(allowed) = self.security.allow.get(name) else { return };
        let general = name.strip_suffix("-attr").or_else(|| name.strip_suffix("-elem"));
        let fallback = general.unwrap_or("default-src");
        let of = |wanted: &str| self.directives.iter().position(|(name, _)| *name == wanted);
        let at = match of(name) {
            Some(at) => at,
            None => {
                let sources = of(fallback).and_then(|at| self.directives.get(at)).map(|(_, sources)| sources.clone());
                self.directives.push((name, sources.unwrap_or_default()));
                self.directives.len() - 1
            }
        };
        if let Some((_, sources)) = self.directives.get_mut(at) {
            // Beside others, `'none'` means nothing.
            sources.retain(|source| source != "'none'" && !allowed.contains(source));
            sources.extend(allowed.iter().cloned());
        }
    }

    fn to_value(&self) -> String {
        let line = |(name, sources): &(&str, Vec<String>)| format!("{name} {}", sources.join(" "));
        self.directives.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::survey::survey;

    fn made(environment: &Environment, html: &str) -> String {
        policy(&survey("page", html, &environment.asset_base).unwrap(), &Surroundings::default(), environment)
    }

    fn production() -> Environment {
        let mut environment = Environment::new("production");
        environment.asset_base = "https://cdn.example.com/site;1/".parse().unwrap();
        environment
    }

    /// The sources of a directive.
    fn directive(policy: &str, name: &str) -> String {
        let found = policy.split("; ").find_map(|directive| directive.strip_prefix(&format!("{name} ")));
        found.unwrap_or("-").to_owned()
    }

    #[test]
    fn a_page_of_files_needs_nothing_but_its_own() {
        insta::assert_snapshot!(
            made(&Environment::new("x"), "<script src=/a.js></script>").replace("; ", "\n"),
            @r"
        default-src 'self'
        base-uri 'self'
        object-src 'none'
        script-src 'self' 'wasm-unsafe-eval'
        style-src 'self' 'unsafe-inline'
        img-src 'self' data: blob: https:
        media-src 'self' data: blob: https:
        font-src 'self' data: https:
        connect-src 'self' data: blob: https: wss:
        worker-src 'self' blob:
        frame-src 'self' blob: data:
        manifest-src 'self'
        form-action 'self'
        frame-ancestors 'self'
        "
        );
    }

    #[test]
    fn scripts_in_the_page_are_let_in_by_their_hash() {
        let policy = made(&Environment::new("x"), "<script>alert(1)</script><p onclick='f()'>");
        assert_eq!(
            directive(&policy, "script-src"),
            "'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' 'wasm-unsafe-eval' 'unsafe-hashes' \
             'sha256-txEcTbKjvPN3LVSnDr4jbwq4/oYp0QzQ1F5ZrrUJlAo='"
                .replace(
                    "txEcTbKjvPN3LVSnDr4jbwq4/oYp0QzQ1F5ZrrUJlAo=",
                    &crate::fingerprint::Digest::of(b"f()").base64()
                )
        );
        assert!(!policy.contains("script-src-attr"));
        let many: String = (0..=MOST_HANDLERS).map(|index| format!("<p onclick='f({index})'>")).collect();
        let policy = made(&Environment::new("x"), &many);
        assert_eq!(directive(&policy, "script-src-attr"), "'unsafe-inline'");
        assert_eq!(directive(&policy, "script-src"), "'self' 'wasm-unsafe-eval'");
    }

    #[test]
    fn assets_on_another_origin_are_let_in_below_their_base_alone() {
        let policy = made(&production(), "");
        for name in ["default-src", "script-src", "style-src", "img-src", "font-src", "connect-src"] {
            assert!(
                directive(&policy, name).starts_with("'self' https://cdn.example.com/site%3B1/"),
                "{name}: {policy}"
            );
        }
        assert_eq!(directive(&policy, "worker-src"), "'self' https://cdn.example.com/site%3B1/ blob: data:");
        let mut environment = production();
        environment.asset_base = "//cdn.example.com/".parse().unwrap();
        assert!(directive(&made(&environment, ""), "script-src").starts_with("'self' cdn.example.com/ "));
    }

    #[test]
    fn styles_in_the_page_may_be_all_there_is() {
        let mut environment = production();
        environment.security.inline_styles = false;
        let html = "<style>a{}</style><p style='color:red'>";
        let styles = directive(&made(&environment, html), "style-src");
        let hash = |text: &[u8]| format!("'{}'", crate::fingerprint::Digest::of(text).integrity().as_str());
        assert!(styles.contains(&hash(b"a{}")) && styles.contains(&hash(b"color:red")), "{styles}");
        assert!(styles.contains("'unsafe-hashes'") && !styles.contains("inline"), "{styles}");
        assert!(!directive(&made(&environment, "<style>a{}</style>"), "style-src").contains("unsafe"));
    }

    #[test]
    fn what_the_configuration_allows_is_added() {
        let mut environment = Environment::new("x");
        let allow = [
            ("object-src", "https://o.example"),
            ("script-src", "'unsafe-eval'"),
            ("script-src-elem", "https://e.example"),
            ("child-src", "blob:"),
        ];
        environment.security.allow = allow.map(|(name, source)| (name.to_owned(), vec![source.to_owned()])).into();
        let policy = made(&environment, "<script>alert(1)</script>");
        assert_eq!(directive(&policy, "object-src"), "https://o.example");
        assert!(directive(&policy, "script-src").ends_with("'unsafe-eval'"));
        assert_eq!(directive(&policy, "child-src"), "'self' blob:");
        let elements = directive(&policy, "script-src-elem");
        assert!(elements.contains("'sha256-") && elements.ends_with("https://e.example"), "{elements}");
    }

    #[test]
    fn a_page_with_a_policy_of_its_own_keeps_it() {
        let policy =
            made(&Environment::new("x"), "<meta http-equiv=Content-Security-Policy content=\"default-src 'self'\">");
        assert_eq!(policy, "frame-ancestors 'self'");
    }

    #[test]
    fn reports_go_where_the_configuration_says() {
        let mut environment = Environment::new("x");
        environment.security.report_to = Some("https://r.example/csp".to_owned());
        let policy = made(&environment, "");
        assert!(policy.ends_with("report-to fingerpost; report-uri https://r.example/csp"), "{policy}");
    }
}

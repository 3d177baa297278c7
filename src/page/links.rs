//! A page's `Link` header (RFC 8288): what it is going to need, said before its first byte is parsed.

use std::fmt::Write;

use super::survey::{Load, LoadKind, Survey};
use crate::environment::Environment;

/// Targets that are named at most. More would compete with each other, and with the page.
const MOST: usize = 12;

/// Bytes of the header at most: proxies keep 4 or 8 KiB for all of an answer's headers.
const LONGEST: usize = 2048;

/// The header's value, if there is anything to say.
pub fn links(survey: &Survey, environment: &Environment) -> Option<String> {
    // What blocks the page comes first, then what its script waits for.
    let mut loads: Vec<&Load> = survey.loads.iter().collect();
    loads.sort_by_key(|load| rank(&load.kind));
    let mut out = String::new();
    let mut named: Vec<&str> = Vec::new();
    let preconnect = environment.asset_base.origin().map(|origin| format!("<{origin}>; rel=preconnect; crossorigin"));
    for load in loads {
        if named.contains(&load.url.as_str()) {
            continue;
        }
        if let Some(link) = link(load, survey.has_import_map) {
            named.push(&load.url);
            push(&mut out, &link);
        }
        if named.len() == MOST {
            break;
        }
    }
    // Where nothing is preloaded from there, the connection at least can be.
    let is_connected = environment.asset_base.origin().is_some_and(|origin| out.contains(origin));
    if let Some(preconnect) = preconnect.filter(|_| !is_connected) {
        push(&mut out, &preconnect);
    }
    (!out.is_empty()).then_some(out)
}

fn push(out: &mut String, link: &str) {
    if out.len() + link.len() + 2 <= LONGEST {
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(link);
    }
}

fn rank(kind: &LoadKind) -> u8 {
    match kind {
        LoadKind::Stylesheet => 0,
        LoadKind::Module => 1,
        LoadKind::Import => 2,
        LoadKind::Preload(_) => 3,
    }
}

fn link(load: &Load, has_import_map: bool) -> Option<String> {
    // A page is served under several URLs, and relative ones would mean another file at each.
    let is_absolute = load.url.starts_with('/') || load.url.starts_with("https://") || load.url.starts_with("http://");
    let is_plain = load.url.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte));
    if !is_absolute || !is_plain {
        return None;
    }
    let is_module = matches!(load.kind, LoadKind::Module | LoadKind::Import);
    let mut link = format!("<{}>; rel=", load.url);
    match &load.kind {
        LoadKind::Stylesheet => link.push_str("preload; as=style"),
        // A module that is loaded before the import map is parsed would resolve its imports without it:
        // https://html.spec.whatwg.org/#import-maps. As a script it is only fetched.
        LoadKind::Module | LoadKind::Import if has_import_map => link.push_str("preload; as=script"),
        LoadKind::Module | LoadKind::Import => link.push_str("modulepreload"),
        LoadKind::Preload(kind) if kind.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            link.push_str("preload; as=");
            link.push_str(kind);
        }
        LoadKind::Preload(_) => return None,
    }
    match load.crossorigin.as_deref().map(str::trim) {
        Some(mode) if mode.eq_ignore_ascii_case("use-credentials") => link.push_str("; crossorigin=use-credentials"),
        // Modules are always fetched by CORS: https://html.spec.whatwg.org/#fetch-a-single-module-script
        None if !is_module => {}
        _ => link.push_str("; crossorigin"),
    }
    for (name, value) in [("integrity", &load.integrity), ("media", &load.media), ("type", &load.media_type)] {
        let Some(value) = value else { continue };
        if !value.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\".contains(&byte)) {
            return None;
        }
        let _ = write!(link, "; {name}=\"{value}\"");
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::survey::survey;

    fn made(base: &str, html: &str) -> String {
        let mut environment = Environment::new("x");
        environment.asset_base = base.parse().unwrap();
        links(&survey("page", html, &environment.asset_base).unwrap(), &environment).unwrap_or_default()
    }

    #[test]
    fn sheets_come_before_modules_and_those_before_fonts() {
        let html = "<link rel=preload as=font type=font/woff2 href=/f.woff2 crossorigin><script type=module src=/a.js></script>\
                    <link rel=modulepreload href=/b.js><link rel=stylesheet href=/a.css media='(width > 1px)'>";
        assert_eq!(
            made("/", html),
            "</a.css>; rel=preload; as=style; media=\"(width > 1px)\", </a.js>; rel=modulepreload; crossorigin, \
             </b.js>; rel=modulepreload; crossorigin, </f.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\""
        );
    }

    #[test]
    fn they_match_what_the_page_will_ask_for() {
        let html = "<link rel=stylesheet href=https://c.example/a.css integrity=sha256-x crossorigin=anonymous>\
                    <script type=importmap>{}</script><script type=module src=https://c.example/a.js integrity=sha256-y crossorigin=anonymous></script>";
        assert_eq!(
            made("https://c.example/", html),
            "<https://c.example/a.css>; rel=preload; as=style; crossorigin; integrity=\"sha256-x\", \
             <https://c.example/a.js>; rel=preload; as=script; crossorigin; integrity=\"sha256-y\""
        );
        assert_eq!(made("https://c.example/x/", "<p>"), "<https://c.example>; rel=preconnect; crossorigin");
        assert_eq!(made("/", "<p>"), "");
    }

    #[test]
    fn what_can_not_stand_in_a_header_is_left_out() {
        for html in [
            "<link rel=stylesheet href='/a b.css'>",
            "<link rel=stylesheet href='/a>;rel=x.css'>",
            "<link rel=stylesheet href=a.css>",
            "<link rel=stylesheet href=/ä.css>",
            "<link rel=stylesheet href=/a.css media='x\"y'>",
            "<link rel=preload as='font;x' href=/a>",
        ] {
            assert_eq!(made("/", html), "", "{html}");
        }
    }

    #[test]
    fn the_header_is_bounded() {
        let few: String = (0..50).map(|index| format!("<link rel=stylesheet href=/{index}.css>")).collect();
        assert_eq!(made("/", &few).split(", ").count(), MOST);
        let long: String =
            (0..50).map(|index| format!("<link rel=stylesheet href=/{index}{}.css>", "x".repeat(300))).collect();
        let value = made("/", &long);
        assert!(value.len() <= LONGEST && value.split(", ").count() == 6, "{}", value.len());
    }
}

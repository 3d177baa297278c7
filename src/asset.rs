//! The names of assets: the logical path that people write, the media type that it implies, and the URL path it is served under.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize, de};

/// A path below `assets/`, with `/` between its parts: `css/main.css`. It never escapes the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LogicalPath(String);

impl LogicalPath {
    /// Refuses what is empty, absolute, leads out of the folder, or is no portable file name.
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidPath> {
        let path = path.into();
        let bad = |part: &str| part.is_empty() || part == "." || part == "..";
        if path.contains(['\\', '\0']) || path.split('/').any(bad) {
            return Err(InvalidPath(path));
        }
        Ok(LogicalPath(path))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The extension in lower case, without the dot; empty if there is none.
    pub fn extension(&self) -> String {
        extension(&self.0)
    }
}

impl fmt::Display for LogicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for LogicalPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LogicalPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LogicalPath::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is not a path below the assets folder")]
pub struct InvalidPath(pub String);

/// The extension of a path in lower case, without the dot.
pub fn extension(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_ascii_lowercase(),
        _ => String::new(),
    }
}

/// The `Content-Type` of a file by its name, with `charset=utf-8` where text needs it.
pub fn media_type(path: &str) -> String {
    let extension = extension(path);
    let essence = match extension.as_str() {
        // RFC 9239 made text/javascript the one name; the others are from the W3C's and IANA's registries.
        "js" | "mjs" | "cjs" => "text/javascript",
        "webmanifest" => "application/manifest+json",
        "map" => "application/json",
        "ico" => "image/x-icon",
        "" => "application/octet-stream",
        _ => mime_guess::from_ext(&extension).first_raw().unwrap_or("application/octet-stream"),
    };
    if essence.starts_with("text/")
        || matches!(essence, "application/json" | "application/manifest+json" | "image/svg+xml")
    {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    }
}

/// Whether bytes of this type are worth compressing at all; images, video and web fonts are compressed already.
pub fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/wasm"
                | "application/vnd.ms-fontobject"
                | "font/ttf"
                | "font/otf"
                | "font/collection"
                | "image/x-icon"
                | "image/bmp"
                | "application/octet-stream"
        )
}

/// Whether a path is nobody's to see: dot-files and what lies in dot-folders, but `.well-known` (RFC 8615).
pub fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') && part != ".well-known")
}

/// What the URL standard's path percent-encode set asks for, and `%` itself, since these are file names, not URLs yet.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'&')
    .add(b'\'')
    .add(b',');

/// A file's path as it stands in a URL: `img/a b.png` becomes `img/a%20b.png`.
pub fn url_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// The path of a URL, decoded; `None` if what comes out is not UTF-8 or holds a NUL.
pub fn decode_url_path(path: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

/// Whether a URL is not the site's to resolve: it has a scheme or a host, or is a fragment or a query alone.
pub fn is_external(url: &str) -> bool {
    let scheme = url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    scheme || url.is_empty() || url.starts_with("//") || url.starts_with(['#', '?'])
}

/// Splits a URL before its query or fragment: `a.svg?v#i` is `a.svg` and `?v#i`.
pub fn split_suffix(url: &str) -> (&str, &str) {
    url.split_at(url.find(['?', '#']).unwrap_or(url.len()))
}

/// The absolute URL path that a document's relative URLs start from, after a `<base href>` in the document at `base`; `None` if
/// they lead to another site.
pub fn document_base(base: &str, href: &str) -> Option<String> {
    match is_external(href) {
        true if href.is_empty() || href.starts_with(['#', '?']) => Some(base.to_owned()),
        true => None,
        false => Some(resolve_url_path(base, split_suffix(href).0)),
    }
}

/// The absolute, decoded path that a URL in the document at `base` (an absolute URL path) leads to, and its query and
/// fragment as they stand; `None` for what is not the site's.
pub fn local_path<'a>(base: &str, url: &'a str) -> Option<(Cow<'a, str>, &'a str)> {
    if is_external(url) {
        return None;
    }
    let (path, suffix) = split_suffix(url);
    // As nearly all are written.
    if path.starts_with('/') && !path.contains(['%', '\0']) && !path.contains("//") && !path.contains("/.") {
        return Some((path.into(), suffix));
    }
    Some((decode_url_path(&resolve_url_path(base, path))?.into(), suffix))
}

/// Resolves a URL's path (`../img/a.png`, `/x`) against the absolute path of the document that holds it (`/css/main.css`).
///
/// As in RFC 3986 section 5.2.4, `..` at the root stays there.
pub fn resolve_url_path(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if !path.starts_with('/') {
        parts.extend(base.split('/').filter(|part| !part.is_empty()));
        if !base.ends_with('/') {
            parts.pop();
        }
    }
    let folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") || path == "." || path == "..";
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = format!("/{}", parts.join("/"));
    if folder && !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// The relative URL that leads from one file to another, both below the same root: `css/a.css` to `img/b.png` is `../img/b.png`.
pub fn relative_url(from: &str, to: &str) -> String {
    let mut from: Vec<&str> = from.split('/').collect();
    from.pop();
    let to: Vec<&str> = to.split('/').collect();
    let shared = from.iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
    let mut out = "../".repeat(from.len() - shared);
    let rest = to[shared..].join("/");
    if out.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
        out.push_str("./");
    }
    out + &url_path(&rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logical_paths_stay_below_the_folder() {
        for good in ["a", "a/b.css", ".well-known/x", "a b/ü.png", "..a/b"] {
            assert!(LogicalPath::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "./a", "a\\b", "a\0"] {
            assert!(LogicalPath::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_that_browsers_insist_on() {
        for (name, want) in [
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.MJS", "text/javascript; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.woff2", "font/woff2"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), want, "{name}");
        }
    }

    #[test]
    fn urls_resolve_as_in_a_browser() {
        for (base, path, want) in [
            ("/css/main.css", "../img/a.png", "/img/a.png"),
            ("/css/main.css", "a.png", "/css/a.png"),
            ("/index.html", "../../a", "/a"),
            ("/docs/", "x", "/docs/x"),
            ("/docs/a", "./", "/docs/"),
            ("/docs/a", "..", "/"),
            ("/a/b", "/x/../y", "/y"),
        ] {
            assert_eq!(resolve_url_path(base, path), want, "{path} from {base}");
        }
    }

    proptest! {
        #[test]
        fn a_relative_url_leads_back(from in "[a-c]{1,2}(/[a-c ]{1,2}){0,3}", to in "[a-c]{1,2}(/[a-cü:%#]{1,2}){0,3}") {
            let url = relative_url(&from, &to);
            let reached = resolve_url_path(&format!("/{from}"), &url);
            prop_assert_eq!(decode_url_path(&reached).unwrap(), format!("/{}", to));
        }
    }
}

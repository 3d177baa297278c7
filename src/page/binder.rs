//! Binds what an application answers, as [`bind`](super::bind) does with the pages of a release.

use std::sync::Arc;

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, HeaderMap, HeaderValue, LINK};

use super::csp;
use super::rewrite::Rewriter;
use crate::environment::Environment;
use crate::fingerprint::Digest;
use crate::html::{self, Editor, Place};
use crate::manifest::Manifest;

/// A release in an environment, for pages that are not its own.
#[derive(Debug)]
pub struct Binder {
    manifest: Arc<Manifest>,
    environment: Arc<Environment>,
    mark: String,
}

impl Binder {
    pub fn new(manifest: Arc<Manifest>, environment: Environment) -> Self {
        let Environment { name, asset_base, .. } = &environment;
        let mark = Digest::of(format!("{} {name} {}", manifest.release, asset_base.as_str()).as_bytes());
        let mark = mark.fingerprint().as_str().get(..8).unwrap_or_default().to_owned();
        Binder { manifest, environment: Arc::new(environment), mark }
    }

    /// What tells a page that was bound by this from the same page bound by another.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The page at `path` (absolute, as it was asked for), to be written piece by piece; none in a charset that can't be read.
    pub fn stream(&self, path: &str, charset: Option<&str>) -> Option<html::Stream> {
        html::Stream::new(charset, Box::new(self.rewriter(path)))
    }

    /// Binds what a page's headers say of its assets.
    pub fn fields(&self, path: &str, headers: &mut HeaderMap) {
        let mut rewriter = self.rewriter(path);
        edit(headers, LINK, |links| link(links, &mut rewriter));
        let base = &self.environment.asset_base;
        if base.is_other_origin() {
            for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
                edit(headers, name, |policy| csp::admit(policy, base));
            }
        }
    }

    fn rewriter(&self, path: &str) -> Rewriter<Arc<Manifest>, Arc<Environment>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        Rewriter::new(Arc::clone(&self.manifest), Arc::clone(&self.environment), path)
    }
}

/// Edits each line of a field.
fn edit(headers: &mut HeaderMap, name: http::HeaderName, mut edit: impl FnMut(&str) -> Option<String>) {
    let http::header::Entry::Occupied(mut lines) = headers.entry(name) else { return };
    for line in lines.iter_mut() {
        let edited = line.to_str().ok().and_then(&mut edit);
        if let Some(edited) = edited.and_then(|edited| HeaderValue::try_from(edited).ok()) {
            *line = edited;
        }
    }
}

/// The targets of a `Link` (RFC 8288 section 3): what stands between `<` and `>`, outside of quotes.
fn link(value: &str, editor: &mut impl Editor) -> Option<String> {
    let (mut out, mut rest, mut is_quoted, mut is_edited) = (String::with_capacity(value.len()), value, false, false);
    while let Some(at) = rest.find(['"', '<']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if before.ends_with('"') {
            is_quoted = !is_quoted;
        } else if let Some((url, _)) = rest.split_once('>').filter(|_| !is_quoted) {
            let new = editor.url(Place::Other, url).map(|link| link.url);
            is_edited |= new.is_some();
            out.push_str(new.as_deref().unwrap_or(url));
            rest = rest.get(url.len()..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    is_edited.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::Link;

    struct Moves;

    impl Editor for Moves {
        fn url(&mut self, _: Place, url: &str) -> Option<Link> {
            url.starts_with("/static/").then(|| format!("https://c{url}").into())
        }
    }

    #[test]
    fn the_targets_of_links_are_edited() {
        for (value, want) in [
            (
                "</static/a.css>; rel=preload; title=\"</static/a.css>, \", </b>; rel=next,</static/c.js>;rel=preload",
                Some(
                    "<https://c/static/a.css>; rel=preload; title=\"</static/a.css>, \", </b>; rel=next,<https://c/static/c.js>;rel=preload",
                ),
            ),
            ("</b>; rel=next", None),
            ("</static/a.css", None),
            ("", None),
        ] {
            assert_eq!(link(value, &mut Moves).as_deref(), want, "{value}");
        }
    }
}

//! The plainest Flask application that shows the site: its templates, and Flask's own route for static files.

use std::path::Path;

use super::report::Missing;
use crate::error::{Error, Result};
use crate::fs;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Kind, Manifest};

/// In its folder: the application, `static`, `public`, `templates`, and the same templates as they are written for a proxy that knows the
/// build.
const APP: &str = r#""""A site's pages and static files, as Flask sends them. `TEMPLATES` names the templates' folder."""

import os

from flask import Flask, abort, render_template, send_from_directory

app = Flask(__name__, template_folder=os.environ.get("TEMPLATES", "templates"))
PAGES = set(app.jinja_env.list_templates())


@app.get("/")
@app.get("/<path:path>")
def page(path=""):
    name = path.strip("/")
    for template in (name, f"{name}.html", f"{name}/index.html" if name else "index.html"):
        if template in PAGES:
            return render_template(template)
    if os.path.isfile(os.path.join(app.root_path, "public", name)):
        return send_from_directory("public", name)
    abort(404)
"#;

/// The application's folder, of a development build.
pub fn write(manifest: &Manifest, built: &Path, out: &Path) -> Result<(), Missing> {
    fs::write(&out.join("app.py"), APP.as_bytes())?;
    for (path, file) in &manifest.files {
        let bytes = fs::read(&built.join(path))?;
        let is_page = file.kind == Kind::Page && path.ends_with(".html");
        let below = path.strip_prefix(&manifest.prefix).and_then(|rest| rest.strip_prefix('/'));
        match (is_page, below) {
            (true, _) => {
                let text = fs::to_text(bytes, path)?;
                for (folder, names) in [("templates", Names::Files), ("templates-for-proxy", Names::Sources)] {
                    let page = html::edit(path, &text, &mut Static { manifest, names })?;
                    fs::write(&out.join(folder).join(path), template(&page).as_bytes())?;
                }
            }
            (false, Some(below)) => fs::write(&out.join("static").join(below), &bytes)?,
            (false, None) => fs::write(&out.join("public").join(path), &bytes)?,
        }
    }
    Ok(())
}

/// Jinja takes it as it is.
fn template(page: &str) -> String {
    let page = page.replace("{%", "{% endraw %}{{ '{%' }}{% raw %}");
    format!("{{% raw %}}{page}{{% endraw %}}")
}

/// By which names pages call static files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Of the files that lie there.
    Files,
    /// Of the sources, which a proxy with the build turns into fingerprinted ones.
    Sources,
}

/// Calls the assets what a Flask application calls them.
struct Static<'m> {
    manifest: &'m Manifest,
    names: Names,
}

impl Editor for Static<'_> {
    fn url(&mut self, _: Place, url: &str) -> Option<Link> {
        let path = url.strip_prefix('/')?;
        let below = path.strip_prefix(&self.manifest.prefix)?.strip_prefix('/')?;
        let mut entries = self.manifest.entries.iter();
        let source = match self.names {
            Names::Files => None,
            Names::Sources => entries.find(|(_, entry)| entry.file == path).map(|(name, _)| name.to_string()),
        };
        Some(format!("/static/{}", source.as_deref().unwrap_or(below)).into())
    }
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        let help = miette::Diagnostic::help(&error).map(|help| help.to_string());
        Missing { reason: crate::client::reason(&error), remedy: help.unwrap_or_default() }
    }
}

impl From<std::io::Error> for Missing {
    fn from(error: std::io::Error) -> Self {
        Missing { reason: error.to_string(), remedy: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::LogicalPath;
    use crate::manifest::{Entry, File, Mode};

    #[test]
    fn pages_become_templates_that_call_files_static() {
        let (built, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut manifest = Manifest::new(Mode::Development, "assets");
        let page = r#"<script src="/assets/js/app~1.js"></script><img src="https://x/assets/a.png">{{ x }}{% y %}"#;
        for (path, kind, text) in [
            ("assets/js/app~1.js", Kind::Asset, "1"),
            ("robots.txt", Kind::Public, "2"),
            ("index.html", Kind::Page, page),
        ] {
            manifest.files.insert(path.to_owned(), File::new(kind, path, text.as_bytes()));
            crate::fs::write(&built.path().join(path), text.as_bytes()).unwrap();
        }
        let name = LogicalPath::new("js/app.ts").unwrap();
        manifest.entries.insert(name, Entry::new("assets/js/app~1.js".to_owned()));
        write(&manifest, built.path(), out.path()).unwrap();
        let read = |path: &str| std::fs::read_to_string(out.path().join(path)).unwrap();
        assert_eq!((read("static/js/app~1.js"), read("public/robots.txt")), ("1".to_owned(), "2".to_owned()));
        assert_eq!(
            read("templates/index.html"),
            r#"{% raw %}<script src="/static/js/app~1.js"></script><img src="https://x/assets/a.png">{{ x }}{% endraw %}{{ '{%' }}{% raw %} y %}{% endraw %}"#
        );
        assert!(read("templates-for-proxy/index.html").contains(r#"src="/static/js/app.ts""#));
    }
}

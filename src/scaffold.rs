//! A configuration to begin with: that of a small site, or of an app's bundles.

use std::path::Path;

mod webassets;

pub use webassets::{Imported, Request, import};

use crate::error::{Error, Result};
use crate::fs;

/// What both write.
pub const CONFIG: &str = "fingerpost.toml";

/// The site's files, by their path below the new root.
const FILES: [(&str, &str); 11] = [
    (CONFIG, include_str!("scaffold/fingerpost.toml")),
    (".gitignore", "/dist\n"),
    ("assets/css/main.css", include_str!("scaffold/assets/css/main.css")),
    ("assets/js/app.ts", include_str!("scaffold/assets/js/app.ts")),
    ("assets/js/clock.ts", include_str!("scaffold/assets/js/clock.ts")),
    ("assets/img/logo.svg", include_str!("scaffold/assets/img/logo.svg")),
    ("assets/public/robots.txt", "User-agent: *\nAllow: /\n"),
    ("templates/base.html", include_str!("scaffold/templates/base.html")),
    ("templates/index.html", include_str!("scaffold/templates/index.html")),
    ("templates/about.html", include_str!("scaffold/templates/about.html")),
    ("templates/404.html", include_str!("scaffold/templates/404.html")),
];

/// Writes the site into a folder, and gives the paths written. Nothing that is there is touched: if one of the files exists,
/// none is written.
pub fn init(folder: &Path) -> Result<Vec<&'static str>> {
    if let Some((path, _)) = FILES.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(Error::Usage {
            message: format!("`{}` already has a `{path}`", folder.display()),
            help: "begin in another folder: `fingerpost init FOLDER`".to_owned(),
        });
    }
    for (path, text) in FILES {
        fs::write(&folder.join(path), text.as_bytes())?;
    }
    Ok(FILES.map(|(path, _)| path).to_vec())
}

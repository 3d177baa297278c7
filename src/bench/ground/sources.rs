//! A site's sources, copied so that a release can differ from another in one file, and the user's own stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fs::display_name;
use crate::manifest::{Kind, Manifest};

/// More than a site's sources are, by far.
const MOST: u64 = 4 << 30;

/// What is no source.
const SKIPPED: [&str; 6] = [".git", ".hg", ".svn", ".venv", ".fingerpost-cache", ".fingerpost-served"];

/// Copies all below `from` that a build may read. `out` is what builds write.
pub fn copy(from: &Path, to: &Path, out: &Path) -> Result<()> {
    let mut left = MOST;
    fs::create_dir_all(to).map_err(Error::io("create the folder", to))?;
    let to = to.canonicalize().map_err(Error::io("find", to))?;
    folder(from, &to, out, false, &mut left)
}

fn folder(from: &Path, to: &Path, out: &Path, packages: bool, left: &mut u64) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io("create the folder", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read the folder", from))? {
        let entry = entry.map_err(Error::io("read the folder", from))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Error::io("read", &path))?;
        let target = to.join(&name);
        if kind.is_dir() {
            // Caches say so themselves (<https://bford.info/cachedir/>), and so do environments of Python.
            let is_other = path == out
                // Temporary folders may lie below the root, and a copy would hold itself.
                || target.starts_with(&path)
                || SKIPPED.iter().any(|skipped| name == *skipped)
                || path.join("CACHEDIR.TAG").exists()
                || path.join("pyvenv.cfg").exists();
            if !is_other {
                folder(&path, &target, out, packages || name == "node_modules", left)?;
            }
        } else if kind.is_symlink() {
            let leads = fs::read_link(&path).map_err(Error::io("read", &path))?;
            std::os::unix::fs::symlink(leads, &target).map_err(Error::io("write", &target))?;
        } else if kind.is_file() {
            file(&path, &target, packages, left)?;
        }
    }
    Ok(())
}

fn file(from: &Path, to: &Path, packages: bool, left: &mut u64) -> Result<()> {
    // Nobody writes into packages, and they are many.
    if packages && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let length = fs::copy(from, to).map_err(Error::io("copy", from))?;
    *left = left.checked_sub(length).ok_or_else(|| Error::Usage {
        message: "the site's root holds more than 4 GiB, which the bench would copy".to_owned(),
        help: "give the site a root of its own, with `--root`".to_owned(),
    })?;
    Ok(())
}

/// Adds a rule to a stylesheet that the build uses, or a statement to a script, and says which it was.
pub fn change(config: &Config, manifest: &Manifest) -> Result<String> {
    let path = candidates(config, manifest).next().ok_or_else(|| Error::Usage {
        message: "there is no stylesheet and no script that a release could change".to_owned(),
        help: "the bench changes one between two releases: it needs a site that has some".to_owned(),
    })?;
    let mut text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let is_script = path.extension().is_some_and(|extension| !matches!(extension.to_str(), Some("css" | "scss")));
    text.push_str(match is_script {
        true => "\nglobalThis.fingerpostBench = 2;\n",
        false => "\n.fingerpost-bench { color: #123456; }\n",
    });
    fs::write(&path, text).map_err(Error::io("write", &path))?;
    Ok(display_name(&config.root, &path))
}

/// Stylesheets before scripts, bundled ones first.
fn candidates(config: &Config, manifest: &Manifest) -> impl Iterator<Item = PathBuf> {
    let bundled = config.bundles.iter().flat_map(|bundle| bundle.inputs.iter().rev().cloned());
    let assets = manifest.files.values().filter(|file| file.kind == Kind::Asset);
    let single = assets.filter_map(|file| file.source.as_ref()).map(|source| config.root.join(source));
    let all: Vec<PathBuf> = bundled.chain(single).collect();
    let of = |extensions: &'static [&'static str]| {
        let all = all.clone();
        all.into_iter().filter(move |path| {
            path.extension().and_then(|extension| extension.to_str()).is_some_and(|own| extensions.contains(&own))
        })
    };
    of(&["css", "scss"]).chain(of(&["js", "mjs", "ts"])).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_source_is_left_behind() {
        let site = tempfile::tempdir().unwrap();
        let write = |path: &str| crate::fs::write(&site.path().join(path), b"x").unwrap();
        for path in [
            "assets/css/a.css",
            "dist/index.html",
            ".git/HEAD",
            "target/CACHEDIR.TAG",
            "env/pyvenv.cfg",
            "node_modules/a/index.js",
            ".browserslistrc",
        ] {
            write(path);
        }
        let root = site.path().canonicalize().unwrap();
        copy(&root, &root.join("tmp/copy"), &root.join("dist")).unwrap();
        let has = |path: &str| root.join("tmp/copy").join(path).exists();
        assert!(has("assets/css/a.css") && has("node_modules/a/index.js") && has(".browserslistrc"));
        assert!(!has("tmp") && !has("dist") && !has(".git") && !has("target") && !has("env"));
    }
}

//! `import.meta.glob(…)`: the files that match, and the object that takes the call's place.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use super::edits::literal;
use super::references::Glob;
use crate::error::Fault;
use crate::fs;

/// A file that a pattern matched.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Under what the script finds it: relative to the script, or to the root if the pattern is.
    pub key: String,
    /// Relative to the script.
    pub specifier: String,
    pub path: PathBuf,
}

/// The files that match the patterns of the script at `importer`, sorted by key, without that script itself. Patterns begin with
/// `./`, `../`, or with `/` or `**/` for the site's root; one that begins with `!` takes files away.
pub fn files(root: &Path, importer: &Path, patterns: &[String]) -> Result<Vec<Found>, Fault> {
    let folder = importer.parent().unwrap_or(root);
    let (without, with): (Vec<&String>, Vec<&String>) = patterns.iter().partition(|pattern| pattern.starts_with('!'));
    let excluded = without
        .iter()
        .map(|pattern| Ok(compile(root, folder, pattern.trim_start_matches('!'))?.0))
        .collect::<Result<Vec<_>, Fault>>()?;
    let mut found = BTreeMap::new();
    for pattern in with {
        let (matcher, base) = compile(root, folder, pattern)?;
        let wanted = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(name.starts_with('.') || name == "node_modules")
        };
        for entry in WalkDir::new(&base).into_iter().filter_entry(wanted).flatten() {
            let path = entry.path();
            let matches = entry.file_type().is_file() && path != importer && matcher.is_match(path);
            if matches && !excluded.iter().any(|matcher| matcher.is_match(path)) {
                let key = match pattern.starts_with('/') {
                    true => format!("/{}", fs::display_name(root, path)),
                    false => relative(folder, path),
                };
                found.insert(key, path.to_owned());
            }
        }
    }
    let file = |(key, path): (String, PathBuf)| Found { key, specifier: relative(folder, &path), path };
    Ok(found.into_iter().map(file).collect())
}

/// A pattern as one of absolute paths, and the folder below which all that it matches lies.
fn compile(root: &Path, folder: &Path, pattern: &str) -> Result<(GlobMatcher, PathBuf), Fault> {
    let (from, rest) = match pattern.strip_prefix('/') {
        Some(rest) => (root, rest),
        None if pattern.starts_with("./") || pattern.starts_with("../") => (folder, pattern),
        None if pattern.starts_with("**/") => (root, pattern),
        None => {
            let fault = Fault::new(format!("`import.meta.glob` can't look for `{pattern}`"));
            return Err(fault.hint("let the pattern begin with `./`, `../` or, for the site's root, `/`"));
        }
    };
    let is_plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let plain: Vec<&str> = rest.split('/').take_while(is_plain).collect();
    let base = fs::normalize(&from.join(plain.join("/")));
    let globbed = rest.split('/').skip(plain.len()).collect::<Vec<_>>().join("/");
    let escaped = globset::escape(&base.to_string_lossy());
    let absolute = if globbed.is_empty() { escaped } else { format!("{escaped}/{globbed}") };
    let glob = GlobBuilder::new(&absolute).literal_separator(true).build().map_err(|error| {
        Fault::new(format!("`{pattern}` is no pattern: {}", error.kind())).hint("write one such as `./pages/*.ts`")
    })?;
    if !fs::within(root, &base) {
        return Err(
            Fault::new(format!("the pattern `{pattern}` leads out of the site's root")).hint("look below the root")
        );
    }
    Ok((glob.compile_matcher(), base))
}

/// `./a.ts`, `../b/c.ts`
fn relative(folder: &Path, path: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(from.len() - shared);
    let down: Vec<_> = to[shared..].iter().map(|part| part.as_os_str().to_string_lossy()).collect();
    format!("{}{}", if up.is_empty() { "./" } else { &up }, down.join("/"))
}

/// The imports that the object needs, and the object itself; `index` tells the calls of one script apart.
pub fn code(glob: &Glob, files: &[Found], index: usize) -> (String, String) {
    let mut imports = String::new();
    let mut pairs = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let specifier = literal(&format!("{}{}", file.specifier, glob.query));
        let value = match (glob.eager, &glob.import) {
            (true, import) => {
                let name = format!("__glob_{index}_{at}");
                let what = match import.as_deref() {
                    None | Some("*") => format!("* as {name}"),
                    Some(export) => format!("{{ {} as {name} }}", literal(export)),
                };
                imports.push_str(&format!("import {what} from {specifier}; "));
                name
            }
            (false, None) => format!("() => import({specifier})"),
            (false, Some(export)) => format!("() => import({specifier}).then((m) => m[{}])", literal(export)),
        };
        pairs.push(format!("{}: {value}", literal(&file.key)));
    }
    (imports, format!("({{ {} }})", pairs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(files: &[&str], patterns: &[&str]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for file in files {
            fs::write(&root.join(file), b"").unwrap();
        }
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let found = super::files(&root, &root.join("assets/js/app.ts"), &patterns).unwrap();
        found.into_iter().map(|found| found.key).collect()
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        let files = [
            "assets/js/app.ts",
            "assets/js/a.ts",
            "assets/js/b.js",
            "assets/js/pages/c.ts",
            "assets/js/pages/deep/d.ts",
            "assets/js/node_modules/e/e.ts",
            "assets/js/.hidden.ts",
            "assets/img/f.svg",
            "assets/js/pages/[id].ts",
        ];
        for (patterns, want) in [
            (&["./*.ts"][..], &["./a.ts"][..]),
            (&["./pages/*.ts"], &["./pages/[id].ts", "./pages/c.ts"]),
            (&["./**/*.ts"], &["./a.ts", "./pages/[id].ts", "./pages/c.ts", "./pages/deep/d.ts"]),
            (&["./**/*.ts", "!./pages/**"], &["./a.ts"]),
            (&["./**/*.ts", "!**/d.ts", "!./a.ts"], &["./pages/[id].ts", "./pages/c.ts"]),
            (&["./*.{ts,js}"], &["./a.ts", "./b.js"]),
            (&["../img/*"], &["../img/f.svg"]),
            (&["/assets/img/*.svg"], &["/assets/img/f.svg"]),
            (&["./none/*"], &[]),
        ] {
            assert_eq!(keys(&files, patterns), want, "{patterns:?}");
        }
    }
}

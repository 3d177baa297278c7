//! The licences of what goes into the scripts, gathered from the comments that ask to be kept and from the packages' own files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::fs;

/// One text with the notices of these modules, by absolute path; none if there is nothing to tell. `comments` are those that
/// each module asks to keep.
pub fn gather(root: &Path, modules: &BTreeSet<PathBuf>, comments: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let mut by_package: BTreeMap<String, (Option<PathBuf>, BTreeSet<String>)> = BTreeMap::new();
    let mut titles: BTreeMap<PathBuf, String> = BTreeMap::new();
    for module in modules {
        let folder = package_folder(module);
        let kept = comments.get(module.to_string_lossy().as_ref());
        if folder.is_none() && kept.is_none() {
            continue;
        }
        let title = match &folder {
            Some(folder) => titles.entry(folder.clone()).or_insert_with(|| title(folder)).clone(),
            None => fs::display_name(root, module),
        };
        let (_, texts) = by_package.entry(title).or_insert((folder, BTreeSet::new()));
        texts.extend(kept.into_iter().flatten().map(|comment| comment.trim().to_owned()));
    }
    let mut out = String::new();
    for (title, (folder, texts)) in by_package {
        let licence = folder.and_then(|folder| licence(&folder));
        out.push_str(&format!("{title}\n{}\n\n", "-".repeat(title.chars().count())));
        for text in licence.iter().chain(&texts) {
            out.push_str(text.trim_end());
            out.push_str("\n\n");
        }
    }
    (!out.is_empty()).then(|| out.trim_end().to_owned() + "\n")
}

/// The folder of the package that a module belongs to.
fn package_folder(module: &Path) -> Option<PathBuf> {
    let text = module.to_string_lossy();
    let at = text.rfind("/node_modules/")? + "/node_modules/".len();
    let mut parts = text[at..].split('/');
    let first = parts.next()?;
    let name = if first.starts_with('@') { format!("{first}/{}", parts.next()?) } else { first.to_owned() };
    Some(PathBuf::from(&text[..at]).join(name))
}

/// `react 19.1.0 (MIT)`
fn title(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let field = |name: &str| package.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let name = field("name").unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let version = field("version").map(|version| format!(" {version}")).unwrap_or_default();
    let licence = field("license").map(|licence| format!(" ({licence})")).unwrap_or_default();
    format!("{name}{version}{licence}")
}

fn licence(folder: &Path) -> Option<String> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let is_licence = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        ["licence", "license", "copying"].iter().any(|start| name.starts_with(start)) && path.is_file()
    };
    let bytes = std::fs::read(names.iter().find(is_licence)?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

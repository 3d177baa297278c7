//! In front of Flask: the app of `tests/flask` is built as its author has set it up, and the Python package keeps what it promises.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::setup::{Need, flask, program};
use crate::site::{Site, copy};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![its_static_folders_are_built];
    trials.extend(trials![[Need::Flask]; the_package_passes_its_tests]);
    trials
}

/// Its own folder, and the files of blueprints that lie outside of it.
fn its_static_folders_are_built() {
    let site = Site::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask"), site.root());
    let dist = site.build(&[]);
    for name in [
        "css/site.css",
        "css/widgets.css",
        "img/logo.svg",
        "js/counter.js",
        "admin/css/site.css",
        "journal/journal.css",
    ] {
        assert!(dist.named(name).starts_with("assets/"), "{name}");
    }
    let manifest = dist.manifest();
    let files = manifest["files"].as_object().expect("files");
    let sources: Vec<&str> = files.values().filter_map(|file| file["source"].as_str()).collect();
    // By the source, and not by a name, the package finds what blueprints name.
    for source in ["admin/static/css/site.css", "admin/static/img/chart.svg", "journal/static/journal.css"] {
        assert!(sources.contains(&source), "{source} in {sources:?}");
    }
}

fn the_package_passes_its_tests() {
    let out = Command::new(flask("pytest"))
        .args(["--quiet", "--tb=short", "-rs"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python"))
        .env("FINGERPOST_BINARY", program())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains(" passed") && !said.contains("SKIPPED"), "{said}");
}

//! A second opinion on the answers' headers: REDbot, lint for HTTP.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::setup::{Need, redbot};
use crate::site::{Server, Site, long_stylesheet};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![[Need::Redbot]; it_finds_no_fault_in_pages_and_assets]
}

/// What it says and we mean, by the note's name, and why.
const MEANT: [(&str, &str); 1] = [
    // It lets shared caches keep an asset whose page was asked for with `Authorization` (RFC 9111 section 3.5), as behind a password.
    ("STORE_PUBLIC_UNNECESSARY", "a fingerprinted file is the same for everybody"),
];

/// Longer than the 97 bytes that it asks for, however well it is compressed: it takes a range that is all there is for a fault.
fn long_text() -> String {
    (0..400u32).map(|number| format!("{:x} ", number.wrapping_mul(2_654_435_761))).collect()
}

fn it_finds_no_fault_in_pages_and_assets() {
    let image =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/img/hills-480.png")).expect("an image");
    let site = Site::new()
        .asset("css/a.css", long_stylesheet())
        .asset("js/a.js", format!("console.log('{}')\n", long_text()))
        .asset("img/a.png", image)
        .asset("public/robots.txt", format!("User-agent: *\n# {}\n", long_text()))
        .template(
            "index.html",
            "<!doctype html><title>home</title>{{ asset_tags('css/a.css') }}<script src=\"{{ asset_url('js/a.js') }}\"></script>",
        )
        .template("about.html", format!("<!doctype html><title>about</title>{}", long_text()))
        .template("docs/index.html", format!("<!doctype html><title>docs</title>{}", long_text()))
        .template("404.html", "<!doctype html><title>nothing here</title>");
    let dist = site.build(&[]);
    let (css, js, image) = (dist.named("css/a.css"), dist.named("js/a.js"), dist.named("img/a.png"));
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let mut faults = Vec::new();
    for path in ["", "about", "docs/", "docs", "robots.txt", "static/css/a.css", "nothing", &css, &js, &image] {
        let notes = notes(&server, path);
        assert!(notes.iter().any(|note| note["level"] == "GOOD"), "it has looked at /{path}: {notes:?}");
        let is_fault = |note: &&Value| matches!(note["level"].as_str(), Some("WARN" | "BAD"));
        let is_meant = |note: &&Value| MEANT.iter().any(|(name, _)| note["note_id"] == *name);
        let found = notes.iter().filter(is_fault).filter(|note| !is_meant(note));
        faults.extend(found.map(|note| format!("/{path}: {} {}", note["note_id"], note["summary"])));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What it says of a URL, of each request that it makes for it.
fn notes(server: &Server, path: &str) -> Vec<Value> {
    let out = Command::new(redbot())
        .args(["--output-format", "har", &format!("http://{}/{path}", server.address)])
        .output()
        .expect("redbot runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let log: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {out:?}"));
    let entries = log["log"]["entries"].as_array().expect("entries");
    entries.iter().flat_map(|entry| entry["_red_messages"].as_array().cloned().unwrap_or_default()).collect()
}

//! `check`: whether a site builds, and to the same bytes anywhere, without touching its output folder.

use std::os::unix::fs::symlink;

use libtest_mimic::Trial;

use crate::setup::{Need, packages};
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        a_site_that_builds_is_said_to,
        a_site_that_does_not_build_fails,
        an_environment_is_bound_as_well,
        a_budget_is_checked,
        the_sample_is_reproducible,
        links_lead_where_they_led,
    ];
    trials.extend(trials![[Need::Packages]; packages_are_found_from_the_copies]);
    trials
}

fn a_site_that_builds_is_said_to() {
    let site = Site::new().asset("a.txt", "a");
    let run = site.run(&["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert!(run.stderr.contains("the configuration is right, and the sources build: 1 files"), "{}", run.stderr);
    assert!(!site.root().join("dist").exists());
}

fn a_site_that_does_not_build_fails() {
    assert_eq!(Site::new().asset("a.css", "a { background: url(no.png) }").run(&["check"]).code, Some(1));
    assert_eq!(Site::new().asset("a.txt", "a").config("[biuld]").run(&["check"]).code, Some(2));
}

fn an_environment_is_bound_as_well() {
    let site = Site::sample();
    assert_eq!(site.run(&["check", "-e", "production"]).code, Some(0));
    assert_eq!(site.run(&["check", "--env", "prodution"]).code, Some(2));
}

fn a_budget_is_checked() {
    let site = Site::new().asset("a.txt", "abc").config("[[budget]]\nmatch = '*'\nmax_raw = 1\n");
    assert_eq!(site.run(&["check"]).code, Some(3));
    let run = site.run(&["check", "--reproducible", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!((run.code, json["breaches"].as_array().map(Vec::len)), (Some(3), Some(1)));
}

fn the_sample_is_reproducible() {
    let site = Site::sample();
    let run = site.run(&["check", "--reproducible", "-e", "production"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("the same in both builds, byte for byte"), "{}", run.stderr);
    let run = site.run(&["check", "--reproducible", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    let built = site.build(&[]);
    let bytes: usize = built.tree().values().map(Vec::len).sum();
    assert_eq!((json["files"].clone(), json["bytes"].clone()), (built.tree().len().into(), bytes.into()));
    assert_eq!(json["differences"], serde_json::json!([]));
}

fn links_lead_where_they_led() {
    let site = Site::new()
        .asset("css/a.css", "@import './linked.css';\n")
        .file("styles/real.css", "a { color: red }\n")
        .file("packages/own/index.js", "export const own = () => document.title;\n")
        .file("packages/own/package.json", r#"{"name": "own", "main": "index.js", "type": "module"}"#)
        .file("node_modules/plain/index.js", "export const plain = () => document.body;\n")
        .file("node_modules/plain/package.json", r#"{"name": "plain", "main": "index.js", "type": "module"}"#)
        .file("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
        .asset("js/a.ts", "import { own } from 'own';\nimport { plain } from 'plain';\nconsole.log(own(), plain());\n");
    symlink("../../styles/real.css", site.root().join("assets/css/linked.css")).expect("a link");
    symlink(site.root().join("styles/real.css"), site.root().join("assets/css/absolute.css")).expect("a link");
    symlink("../packages/own", site.root().join("node_modules/own")).expect("a link");
    site.build(&[]);
    let run = site.run(&["check", "--reproducible"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

fn packages_are_found_from_the_copies() {
    let site = Site::new()
        .asset("js/a.ts", "import { Modal } from 'bootstrap';\nconsole.log(Modal);\n")
        .asset("css/a.css", "@import '@fortawesome/fontawesome-free/css/all.css';\n");
    symlink(packages(), site.root().join("node_modules")).expect("a link");
    let run = site.run(&["check", "--reproducible"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

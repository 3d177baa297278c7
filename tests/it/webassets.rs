//! `init --from-webassets`: an app that bundles with Flask-Assets goes over to what is built, and nobody who visits it notices.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::json;

use crate::browser::browse;
use crate::gunicorn::{App, package};
use crate::setup::{Need, flask};
use crate::site::{Run, Site, copy, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        [Need::Flask];
        its_bundles_are_built_in_the_same_order,
        only_the_configuration_is_added,
        what_can_not_be_read_is_said,
        bundles_in_yaml_need_no_app,
        the_interpreter_is_found
    ];
    trials.extend(trials![[Need::Flask, Need::Browser]; its_pages_work_behind_gunicorn]);
    trials.extend(trials![what_python_lacks_is_said]);
    trials
}

fn app() -> Site {
    let site = Site::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webassets"), site.root());
    site
}

/// Runs the command with the app's interpreter.
fn init(site: &Site, arguments: &[&str]) -> Run {
    let python = flask("python3");
    run(site, &[&["--python", python.to_str().expect("a path")], arguments].concat(), &[])
}

fn run(site: &Site, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = site.command(&[&["init"], arguments].concat());
    command.env("PYTHONPATH", package()).env("PYTHONWARNINGS", "ignore");
    command.env_remove("VIRTUAL_ENV").env_remove("FLASK_APP").envs(variables.iter().copied());
    let out = command.output().expect("the program runs");
    Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Where each of the marks stands in a text, in order.
fn order(text: &str, marks: &[&'static str]) -> Vec<&'static str> {
    let mut found: Vec<(usize, &str)> = marks.iter().map(|mark| (text.find(mark).expect(mark), *mark)).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, mark)| mark).collect()
}

/// What webassets itself makes of the bundles whose filters are there, by name.
fn made_by_webassets() -> BTreeMap<String, String> {
    let site = app();
    let script = "import json\nfrom app import app, assets\nwith app.app_context():\n\
                  \x20   names = ['css_all', 'js_all', 'print_all']\n\
                  \x20   built = {name: [hunk.data() for hunk in assets[name].build()] for name in names}\n\
                  print(json.dumps({name: ''.join(texts) for name, texts in built.items()}))\n";
    let out = Command::new(flask("python3"))
        .args(["-B", "-W", "ignore", "-c", script])
        .current_dir(site.root())
        .output()
        .expect("python runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn its_bundles_are_built_in_the_same_order() {
    let site = app();
    let run = init(&site, &["--from-webassets", "app:app", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["bundles"], json!(["gen/all.css", "gen/all.js", "gen/print.css", "gen/late.js"]));
    assert_eq!(
        report["warnings"],
        json!(["`js_late`: the filter `coffeescript` is left out: let `[[tool]]` run `coffee`"])
    );
    let written = std::fs::read_to_string(site.root().join("fingerpost.toml")).expect("a configuration");
    for line in [
        "assets = \"static\"",
        "# {% assets \"css_all\" %}",
        "# no longer needed, since a build does it by itself: cssrewrite",
        "# warning: the filter `coffeescript` is left out: let `[[tool]]` run `coffee`",
    ] {
        assert!(written.lines().any(|written| written == line), "{line} in:\n{written}");
    }
    let dist = site.build(&[]);
    let by_webassets = made_by_webassets();
    for (alias, name, marks) in [
        ("css_all", "gen/all.css", &["reset", "theme-a", "theme-b", "panel", "last"].map(css)[..]),
        ("print_all", "gen/print.css", &["print-a", "print-b"].map(css)[..]),
        ("js_all", "gen/all.js", &["b-first", "a-second", "third"]),
    ] {
        let ours = dist.read(&dist.named(name));
        assert_eq!(order(&ours, marks), order(&by_webassets[alias], marks), "{name}: {ours}");
    }
}

/// What each stylesheet of the app has, and no other.
fn css(name: &'static str) -> &'static str {
    match name {
        "reset" => ".reset",
        "theme-a" => ".theme-a",
        "theme-b" => ".theme-b",
        "panel" => ".panel",
        "last" => ".last",
        "print-a" => ".print-a",
        "print-b" => ".print-b",
        _ => name,
    }
}

fn only_the_configuration_is_added() {
    let site = app();
    // Folders that a build would take for its own.
    let site = site.file("dist/keep.txt", "the app's").file("pages/index.html", "{{ current_user.name }}");
    let before = tree(site.root());
    let run = init(&site, &["--from-webassets"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "fingerpost.toml\n");
    assert!(run.stderr.contains("4 bundles of `app`"), "{}", run.stderr);
    let mut after = tree(site.root());
    assert!(after.remove("fingerpost.toml").is_some());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before, "nothing else is touched");
    assert_eq!(site.run(&["build"]).code, Some(0));
    assert!(
        site.root().join("dist/keep.txt").is_file() && site.root().join("built/.fingerpost/manifest.json").is_file()
    );

    let again = init(&site, &["--from-webassets"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("already has a `fingerpost.toml`"), "{}", again.stderr);
    assert!(again.stderr.contains("python -m fingerpost.webassets TARGET"), "{}", again.stderr);
}

fn what_can_not_be_read_is_said() {
    let site = app()
        .file("broken.py", "raise ValueError('on purpose')\n")
        .file("empty.py", "app = None\n")
        .file("rooted.yml", "bundles:\n  all:\n    output: all.css\n    contents: static/css/last.css\n");
    for (target, reason) in [
        ("none:app", "could not import `none`: ModuleNotFoundError: No module named 'none'"),
        ("broken", "could not import `broken`: ValueError: on purpose"),
        ("empty", "`empty` has neither an environment of webassets nor an app with one"),
        ("none.yml", "there is no file `none.yml`"),
        ("rooted.yml", "the sources of `rooted.yml` lie in the root"),
        ("--json", "could not import `--json`"),
    ] {
        let run = init(&site, &[&format!("--from-webassets={target}")]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{target}: {}", run.stderr);
        let said: String = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(reason), "{target}: {said}");
        assert!(!said.contains("Traceback"), "{target}: {said}");
        assert!(!site.root().join("fingerpost.toml").exists(), "{target}");
    }
    // The static folder has to be below what is to be the root.
    let run = init(&site, &["templates", "--from-webassets=app"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let nowhere = init(&Site::new(), &["--from-webassets"]);
    assert!(nowhere.stderr.contains("neither a `wsgi.py` nor an `app.py`"), "{}", nowhere.stderr);
}

fn bundles_in_yaml_need_no_app() {
    let site = app().file(
        "assets.yml",
        "directory: static\nbundles:\n  css_all:\n    output: gen/all.css\n    contents:\n      - css/last.css\n      - css/reset.css\n",
    );
    let run = init(&site, &["--from-webassets", "assets.yml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let dist = site.build(&[]);
    assert_eq!(order(&dist.read(&dist.named("gen/all.css")), &[".reset", ".last"]), [".last", ".reset"]);
}

fn the_interpreter_is_found() {
    // That of `.venv` in the root, that of the active environment, and the one that is named.
    let folder = flask("python3").ancestors().nth(2).expect("an environment").to_owned();
    let site = app();
    std::os::unix::fs::symlink(&folder, site.root().join(".venv")).expect("a link");
    let found = run(&site, &["--from-webassets", "app"], &[("PATH", "")]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);

    let site = app();
    let active = [("VIRTUAL_ENV", folder.to_str().expect("a path")), ("PATH", ""), ("FLASK_APP", "app.py")];
    let found = run(&site, &["--from-webassets"], &active);
    assert_eq!(found.code, Some(0), "{}", found.stderr);

    let site = app();
    let missing = run(&site, &["--from-webassets", "--python", "no/such/python"], &active);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("could not run `no/such/python`"), "{}", missing.stderr);
}

fn what_python_lacks_is_said() {
    let site = app();
    let none = run(&site, &["--from-webassets"], &[("PATH", "")]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("could not run `python3`") && none.stderr.contains("--python"), "{}", none.stderr);
    let without = run(&site, &["--from-webassets"], &[("PYTHONPATH", ""), ("PYTHONNOUSERSITE", "1")]);
    let said: String = without.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(without.code, Some(2), "{said}");
    assert!(said.contains("does not have the package `fingerpost`"), "{said}");
    assert!(said.contains("`python3 -m pip install fingerpost` brings it"), "{said}");
    let stray = run(&site, &["--python", "python3"], &[]);
    assert!(stray.stderr.contains("--from-webassets"), "it is of no use alone: {}", stray.stderr);
}

fn its_pages_work_behind_gunicorn() {
    let site = app();
    assert_eq!(init(&site, &["--from-webassets"]).code, Some(0));
    let dist = site.build(&[]);
    let app = App::start(&site, "with_helper", &[]);
    browse(async |page| {
        page.open(&format!("{}/", app.url)).await;
        page.until("order.length === 4").await;
        let state = page
            .run(
                "const style = getComputedStyle(document.getElementById('text'));
                 const urls = [...document.querySelectorAll('link[rel=stylesheet], script[src]')].map((e) => e.href || e.src);
                 const image = style.backgroundImage.match(/url\\(\"(.*)\"\\)/)[1];
                 return [order, style.color, style.outlineColor, document.querySelector('link[media=all]') !== null,
                         urls.map((url) => new URL(url).pathname), (await fetch(image)).headers.get('content-type'), new URL(image).pathname];",
            )
            .await;
        let url = |name: &str| format!("/{}", dist.named(name));
        let urls = ["gen/all.css", "gen/print.css", "gen/all.js", "gen/late.js"].map(url);
        assert_eq!(
            state,
            json!([
                ["b-first", "a-second", "third", "late"],
                "rgb(4, 4, 4)",
                "rgb(3, 3, 3)",
                true,
                urls,
                "image/svg+xml; charset=utf-8",
                url("img/dot.svg"),
            ]),
            "{}",
            app.said()
        );
        assert_eq!(page.complaints().await, Vec::<String>::new());
    });
    assert!(!site.root().join("static/gen").exists(), "webassets builds nothing");
}

//! What a build says of the names that changed since the last one, and why they did.

use libtest_mimic::Trial;

use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        the_record_names_inputs_and_references,
        nothing_is_said_where_there_is_nothing_to_compare_with,
        an_edit_is_told_with_what_refers_to_it,
        why_leads_down_to_the_bytes_that_changed,
        a_setting_is_a_reason,
        a_module_s_edit_is_its_own_chunk_s_reason,
        a_page_changes_with_the_template_that_it_extends,
        what_is_new_and_what_is_gone_is_told,
        an_unknown_file_names_the_nearest,
        a_damaged_record_is_none,
        the_record_is_neither_served_nor_published,
    ]
}

fn site() -> Site {
    Site::new()
        .asset("css/main.css", "@import '_part.css';\nbody { background: url(../img/a.svg) }\n")
        .asset("css/_part.css", "p { margin: 0 }\n")
        .asset("img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .asset("js/app.ts", "import { word } from './util.ts';\nimport('./later.ts');\nconsole.log(word());\n")
        .asset("js/util.ts", "export const word = () => document.title + 'one';\n")
        .asset("js/other.ts", "import { word } from './util.ts';\nconsole.log(word(), 'other');\n")
        .asset("js/later.ts", "import { word } from './util.ts';\nconsole.log(word(), 'later');\n")
        .template(
            "_base.html",
            "<!doctype html><title>t</title>{{ asset_tags('css/main.css', 'js/app.ts', 'js/other.ts') }}{% block b %}{% endblock %}",
        )
        .template("index.html", "{% extends '_base.html' %}{% block b %}<img src=/static/img/a.svg>{% endblock %}")
}

/// Runs it, which has to succeed, and gives both streams with each fingerprint as `HASH`.
fn told(site: &Site, arguments: &[&str]) -> (String, String) {
    let run = site.run(&[&["build", "--no-compress"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    (unhashed(&run.stdout), unhashed(&run.stderr))
}

/// The text with every run of 16 hex digits as `HASH`.
fn unhashed(text: &str) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let (word, end) = piece.split_at(piece.trim_end_matches(|c: char| !c.is_ascii_hexdigit()).len());
        out.push_str(if word.len() == 16 { "HASH" } else { word });
        out.push_str(end);
    }
    out
}

fn record(site: &Site) -> serde_json::Value {
    let text = std::fs::read_to_string(site.root().join("dist/.fingerpost/inputs.json")).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

fn the_record_names_inputs_and_references() {
    let site = site();
    site.build(&["--no-compress"]);
    let record = record(&site);
    let files = &record["files"];
    let keys = |value: &serde_json::Value| value.as_object().expect("a map").keys().cloned().collect::<Vec<_>>();
    let style = &files["assets/css/main.css"];
    assert_eq!(keys(&style["inputs"]), ["assets/css/_part.css", "assets/css/main.css"]);
    assert_eq!(style["refers"], serde_json::json!([{ "to": "assets/img/a.svg", "kind": "url" }]));
    assert_eq!(style["options"]["targets"], "defaults");
    let image = &files["assets/img/a.svg"];
    assert_eq!(image["inputs"]["assets/img/a.svg"], image["digest"], "a copy has its source's digest");
    assert_eq!(image["options"], serde_json::Value::Null, "and depends on nothing else");
    let page = &files["index.html"];
    assert_eq!(keys(&page["inputs"]), ["templates/_base.html", "templates/index.html"]);
    let refers = page["refers"].as_array().expect("references");
    assert!(refers.contains(&serde_json::json!({ "to": "assets/img/a.svg", "kind": "page" })), "{page:#}");
    let kinds = |from: &str| {
        let (_, made) = files.as_object().expect("files").iter().find(|(name, _)| name.contains(from)).expect("it");
        made["refers"].as_array().expect("references").iter().map(|r| r["kind"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("js/app~"), ["import", "dynamic-import"]);
}

fn nothing_is_said_where_there_is_nothing_to_compare_with() {
    let site = site();
    let (_, first) = told(&site, &[]);
    assert!(!first.contains("changed"), "{first}");
    let (_, second) = told(&site, &[]);
    assert!(second.contains("0 of 6 names changed"), "{second}");
    let json: serde_json::Value = serde_json::from_str(&site.run(&["build", "--json"]).stdout).expect("JSON");
    assert_eq!((json["changes"].clone(), json["names"].clone()), (serde_json::json!([]), 6.into()));
}

fn an_edit_is_told_with_what_refers_to_it() {
    let site = site();
    told(&site, &[]);
    site.write("assets/img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='b'/>");
    let (_, stderr) = told(&site, &[]);
    let said = stderr.lines().skip_while(|line| !line.contains("changed:")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(said, @"
    2 of 6 names changed: 1 edited (assets/img/a.svg), 1 that refer to it
      assets/css/main-HASH.css (was assets/css/main-HASH.css)
        refers to assets/img/a-HASH.svg (was assets/img/a-HASH.svg)
          its source assets/img/a.svg changed (SHA-256 HASH → HASH)
      assets/img/a-HASH.svg (was assets/img/a-HASH.svg)
        its source assets/img/a.svg changed (SHA-256 HASH → HASH)
    ");
}

fn why_leads_down_to_the_bytes_that_changed() {
    for what in ["css/main.css", "assets/css/main.css", "assets/css/_part.css"] {
        let site = site();
        told(&site, &[]);
        site.write("assets/img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='b'/>");
        let (stdout, _) = told(&site, &["--why", what]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(stdout, @"
            assets/css/main-HASH.css (was assets/css/main-HASH.css)
              refers to assets/img/a-HASH.svg (was assets/img/a-HASH.svg)
                its source assets/img/a.svg changed (SHA-256 HASH → HASH)
            ");
        }
    }
    let site = site();
    let old = site.build(&["--no-compress"]).named("css/main.css");
    insta::assert_snapshot!(told(&site, &["--why", &old]).0, @"assets/css/main-HASH.css did not change");
    site.write("assets/img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='b'/>");
    let run = site.run(&["build", "--json", "--why", &old]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(json["why"][0]["was"], *old);
    assert_eq!(json["why"][0]["because"][0]["kind"], "reference");
    assert_eq!(json["why"][0]["because"][0]["because"][0]["source"], "assets/img/a.svg");
    assert_eq!(json["changes"][0], json["why"][0], "one shape");
}

fn a_setting_is_a_reason() {
    let site = site();
    told(&site, &[]);
    let (stdout, stderr) = told(&site, &["--mode", "development", "--why", "css/main.css"]);
    insta::assert_snapshot!(stdout, @"
    assets/css/main.css (was assets/css/main-HASH.css)
      the setting `mode` changed (`production` → `development`)
      refers to assets/img/a.svg (was assets/img/a-HASH.svg)
    ");
    assert!(stderr.contains("6 of 6 names changed: 5 by a setting"), "{stderr}");
}

fn a_module_s_edit_is_its_own_chunk_s_reason() {
    let site = site();
    told(&site, &[]);
    site.write("assets/js/util.ts", "export const word = () => document.title + 'two';\n");
    let (_, stderr) = told(&site, &[]);
    assert!(stderr.contains("1 of 6 names changed: 1 edited (assets/js/util.ts)"), "{stderr}");
    // A script is known by the name that pages call it by, too.
    let (stdout, _) = told(&site, &["--why", "js/app.ts"]);
    insta::assert_snapshot!(stdout, @"assets/js/app-HASH.js did not change");
}

fn a_page_changes_with_the_template_that_it_extends() {
    let site = site();
    told(&site, &[]);
    site.write(
        "templates/_base.html",
        "<!doctype html><title>u</title>{{ asset_tags('css/main.css', 'js/app.ts', 'js/other.ts') }}",
    );
    let (stdout, stderr) = told(&site, &["--why", "index.html"]);
    assert!(stderr.contains("0 of 6 names changed"), "a page keeps its name: {stderr}");
    assert!(stdout.contains("index.html has other bytes\n  its source templates/_base.html changed"), "{stdout}");
}

fn what_is_new_and_what_is_gone_is_told() {
    let site = site();
    told(&site, &[]);
    site.write("assets/img/b.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    let (stdout, stderr) = told(&site, &["--why", "img/b.svg"]);
    assert_eq!(stdout, "assets/img/b-HASH.svg is new\n");
    assert!(stderr.contains("0 of 7 names changed; 1 added"), "{stderr}");
    std::fs::remove_file(site.root().join("assets/img/b.svg")).expect("it was there");
    let json: serde_json::Value = serde_json::from_str(&site.run(&["build", "--json"]).stdout).expect("JSON");
    assert_eq!(unhashed(&json["removed"].to_string()), r#"["assets/img/b-HASH.svg"]"#);
}

fn an_unknown_file_names_the_nearest() {
    let run = site().run(&["build", "--why", "css/mian.css"]);
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!(run.stderr, @"
    error: x there is no file `css/mian.css` in this build
      help: did you mean `css/main.css`?
    ");
}

fn a_damaged_record_is_none() {
    let site = site();
    told(&site, &[]);
    for text in ["", "{\"version\": 99, \"files\": {}}"] {
        site.write("dist/.fingerpost/inputs.json", text);
        let (_, stderr) = told(&site, &[]);
        assert!(!stderr.contains("changed"), "{stderr}");
    }
}

fn the_record_is_neither_served_nor_published() {
    let site = site().config("[env.production]\nstore = 'store'\n");
    site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let answer = crate::http::get(&server.address, "/.fingerpost/inputs.json", &[]);
    assert_eq!(answer.status, 404);
    assert_eq!(site.run(&["publish"]).code, Some(0));
    let published = crate::site::tree(&site.root().join("store"));
    assert!(!published.keys().any(|path| path.contains("inputs.json")), "{:?}", published.keys());
}

//! `check`: whether a site builds, and to the same bytes anywhere, without touching its output folder.

use std::os::unix::fs::symlink;

use libtest_mimic::Trial;

use crate::setup::{Need, packages};
use crate::site::{Site, long_stylesheet};
use crate::transport::certificate;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        a_site_that_builds_is_said_to,
        a_site_that_does_not_build_fails,
        an_environment_is_bound_as_well,
        what_is_live_is_compared_with_its_release,
        what_the_public_urls_answer_is_compared_too,
        public_urls_are_asked_over_tls,
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
    assert_eq!(site.run(&["check", "-e", "staging"]).code, Some(0));
    assert_eq!(site.run(&["check", "--env", "prodution"]).code, Some(2));
}

fn what_is_live_is_compared_with_its_release() {
    let site = Site::new()
        .config("[env.production]\nstore = 'published'\n")
        .asset("css/a.css", long_stylesheet())
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}");
    let check = || site.run(&["check", "-e", "production"]);
    let run = check();
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains("`current.json` is missing"), "{}", run.stderr);

    let css = site.build(&[]).named("css/a.css");
    assert_eq!(site.run(&["publish"]).code, Some(0));
    let run = check();
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    assert!(run.stderr.contains("are what release"), "{}", run.stderr);

    site.write(&format!("published/{css}"), "a { color: blue }");
    std::fs::remove_file(site.root().join("published/index.html")).expect("it was there");
    let run = check();
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("`{css}` has 17 bytes, not ")), "{}", run.stderr);
    assert!(run.stderr.contains("`index.html` is missing"), "{}", run.stderr);
    let run = site.run(&["check", "-e", "production", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    let found: Vec<&str> =
        json["differences"].as_array().expect("some").iter().filter_map(|d| d["found"].as_str()).collect();
    assert_eq!((run.code, found), (Some(3), vec!["content", "missing"]), "{json:#}");
    assert_eq!((&json["differences"][0]["actual"]["length"], &json["urls"]), (&17.into(), &serde_json::Value::Null));

    // Lengths alone don't tell.
    let packed = format!("published/{css}.br");
    let length = std::fs::metadata(site.root().join(&packed)).expect("it is there").len();
    site.write(&packed, "x".repeat(length as usize));
    assert_eq!(site.run(&["publish"]).code, Some(0));
    let run = check();
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains("fingerpost publish --repair"), "{}", run.stderr);
    let run = site.run(&["publish", "--repair"]);
    assert!(run.stderr.contains("1 uploaded"), "{}", run.stderr);
    assert_eq!(check().code, Some(0));
    assert_eq!(site.run(&["check", "--live"]).code, Some(2), "of which environment?");
}

fn what_the_public_urls_answer_is_compared_too() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let config = format!(
        "[env.production]\nstore = 'published'\nsite = 'http://{free}'\nasset_base = 'http://{free}/'\n\
         [[headers]]\nmatch = '*.html'\nset = {{ x-own = '1' }}\n"
    );
    let site = Site::new()
        .config(&config)
        .asset("css/a.css", long_stylesheet())
        .asset("js/a.js", "console.log(document.title);\n".repeat(9))
        .asset("img/a b.png", "not much of an image")
        .asset("public/robots.txt", "User-agent: *\n")
        .template(
            "index.html",
            "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}{{ asset_tags('js/a.js') }}",
        )
        .template("about.html", "<!doctype html><title>about</title>")
        .template("docs/index.html", "<!doctype html><title>docs</title>")
        .template("404.html", "<!doctype html><title>lost</title>");
    site.build(&[]);
    assert_eq!(site.run(&["publish"]).code, Some(0));
    let check = || site.run(&["check", "--env", "production", "--live", "--json"]);
    let run = check();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(run.code, Some(3), "nobody serves it");
    assert_eq!(json["differences"][0]["found"], "unusable", "{json:#}");

    let serve = |site: &Site| site.serve(&["serve", "-e", "production", "--listen", &free.to_string()]);
    let server = serve(&site);
    let run = check();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(json["urls"].as_u64().expect("a number") > 8, "{json:#}");
    assert_eq!(json["warnings"], serde_json::json!([]));
    drop(server);

    // Another build is served than was published.
    site.write("templates/about.html", "<!doctype html><title>about us</title>");
    site.write("fingerpost.toml", config.replace("x-own", "x-other"));
    site.build(&[]);
    let _server = serve(&site);
    let run = check();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    let differences = json["differences"].as_array().expect("some").iter();
    let about = differences.filter(|difference| difference["place"] == format!("http://{free}/about.html"));
    let found: Vec<&str> = about.filter_map(|difference| difference["found"].as_str()).collect();
    assert_eq!((run.code, found), (Some(3), vec!["header", "content"]), "{json:#}");
}

fn public_urls_are_asked_over_tls() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let base = format!("https://localhost:{}", free.port());
    let site = Site::new()
        .config(&format!("[env.production]\nstore = 'published'\nsite = '{base}'\nasset_base = '{base}/'\n"))
        .asset("css/a.css", long_stylesheet())
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}");
    certificate(&site, "tls");
    site.build(&[]);
    assert_eq!(site.run(&["publish"]).code, Some(0));
    let listen = free.to_string();
    let tls = ["--tls-cert", "tls.pem", "--tls-key", "tls.key"];
    let _server = site.serve(&[&["serve", "-e", "production", "--listen", &listen], &tls[..]].concat());
    let run = site.run(&["check", "-e", "production", "--live"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains("could not be fetched") && run.stderr.contains("UnknownIssuer"), "{}", run.stderr);
    let mut command = site.command(&["check", "-e", "production", "--live"]);
    let out = command.env("SSL_CERT_FILE", site.root().join("tls.pem")).output().expect("it runs");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
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

//! Libraries that a public CDN has: from there where the environment says so, with their integrity; from here where that fails.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use libtest_mimic::Trial;
use serde_json::json;

use crate::browser::{Page, browse};
use crate::http::get;
use crate::setup::{Need, packages};
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        one_build_has_them_from_here_and_from_there,
        what_is_declared_is_checked,
        an_unchanged_app_has_them_too,
        versions_are_compared,
        bytes_are_compared
    ];
    trials.extend(trials![
        [Need::Packages, Need::Browser];
        a_cdn_that_answers_is_used,
        a_cdn_with_other_bytes_is_not_used,
        a_cdn_that_is_down_is_done_without,
        a_page_that_does_not_wait_gets_its_copy
    ]);
    trials
}

/// A server that stands for a public CDN, and for an application: it answers each path with what it has, under these headers.
struct Stand {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stand {
    fn new(files: Vec<(&'static str, Vec<u8>)>, headers: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (files, log) = (files.clone(), Arc::clone(&log));
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let file = files.iter().find(|(name, _)| *name == path);
                    let kind = if path.ends_with(".css") {
                        "text/css"
                    } else if path.ends_with(".js") {
                        "text/javascript"
                    } else {
                        "text/html"
                    };
                    let (status, body) = file.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                        body.len()
                    );
                    log.lock().expect("whole").push(path);
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
                });
            }
        });
        Stand { port, asked }
    }

    fn cdn(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        Stand::new(files, "access-control-allow-origin: *\r\n")
    }

    fn was_asked(&self, path: &str) -> bool {
        self.asked.lock().expect("whole").iter().any(|asked| asked == path)
    }
}

const JQUERY: &str = "/ajax/libs/jquery/3.6.0/jquery.min.js";
const BOOTSTRAP: &str = "/npm/bootstrap@5.3.8/dist/css/bootstrap.min.css";
const OTHER: &str = "/other.js";

/// Stands in for a library without a global that is told of.
const PLAIN: &str = "/*! other v1.2.3 */ document.documentElement.dataset.other = 'ran';\n";

fn config(port: u16) -> String {
    format!(
        "[library.jquery]\nfile = 'node_modules/jquery/dist/jquery.min.js'\ncdn = 'http://127.0.0.1:{port}{JQUERY}'\nglobal = 'jQuery'\n\
         [library.bootstrap]\nfile = 'node_modules/bootstrap/dist/css/bootstrap.min.css'\ncdn = 'http://127.0.0.1:{port}{BOOTSTRAP}'\n\
         [library.other]\nfile = 'assets/vendor/other.js'\ncdn = 'http://127.0.0.1:{port}{OTHER}'\n\
         [env.production]\nlibraries = 'cdn'\n"
    )
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(packages().join(path)).expect("a package's file")
}

/// A page that needs all three before it goes on.
fn site(port: u16, attributes: &str) -> Site {
    let site = Site::new().config(&config(port)).asset("vendor/other.js", PLAIN).template(
        "index.html",
        format!(
            "<!doctype html><html><head><meta charset=utf-8><title>Libraries</title><link rel=icon href=data:,>
             <link rel=stylesheet href=\"{{{{ asset_url('lib/bootstrap.css') }}}}\"></head><body><p class=d-none>hidden</p>
             <script src=\"{{{{ asset_url('lib/jquery.js') }}}}\" {attributes}></script>
             <script src=/static/vendor/other.js {attributes}></script>
             <script>document.documentElement.dataset.seen = [typeof jQuery, document.documentElement.dataset.other].join()</script></body></html>"
        ),
    );
    std::os::unix::fs::symlink(packages(), site.root().join("node_modules")).expect("a link");
    site
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (JQUERY, read("jquery/dist/jquery.min.js")),
        (BOOTSTRAP, read("bootstrap/dist/css/bootstrap.min.css")),
        (OTHER, PLAIN.as_bytes().to_vec()),
    ]
}

/// The same libraries as in a browser, but small, and no packages.
fn small(port: u16) -> Site {
    Site::new()
        .config(&config(port))
        .asset("vendor/other.js", PLAIN)
        .file("node_modules/jquery/package.json", "{ \"name\": \"jquery\", \"version\": \"3.6.0\" }")
        .file("node_modules/jquery/dist/jquery.min.js", "/*! jQuery v3.6.0 */\n window.jQuery = function jQuery() { return  1 };\n")
        .file("node_modules/bootstrap/dist/css/bootstrap.min.css", "/*!\n * Bootstrap  v5.3.8 (x)\n */\nb { background: url(../img/b.svg) }\n")
        .file("node_modules/bootstrap/dist/img/b.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .template(
            "index.html",
            "<!doctype html><html><head><title>x</title><link rel=stylesheet href=\"{{ asset_url('lib/bootstrap.css') }}\">\
             <script src=/static/lib/jquery.js></script>{{ asset_tags('lib/other.js') }}</head><body></body></html>",
        )
}

fn one_build_has_them_from_here_and_from_there() {
    let site = small(9);
    let dist = site.build(&[]);
    let jquery = dist.named("lib/jquery.js");
    let source = std::fs::read(site.root().join("node_modules/jquery/dist/jquery.min.js")).expect("a file");
    assert_eq!(dist.bytes(&jquery), source, "byte for byte");
    assert_eq!(dist.named("lib/other.js"), dist.named("vendor/other.js"), "one file of two names");
    assert!(
        dist.read(&dist.named("lib/bootstrap.css")).contains("url(../"),
        "what a stylesheet refers to is here, too"
    );
    let built = dist.read("index.html");
    assert!(built.contains(&format!("/{jquery}")) && !built.contains("127.0.0.1"), "{built}");
    let serve = |environment: &str| site.serve(&["serve", "--env", environment, "--listen", "127.0.0.1:0"]);
    let local = get(&serve("development").address, "/", &[]).text();
    assert!(local.contains(&jquery) && !local.contains("127.0.0.1:9") && !local.contains("data-fallback"), "{local}");
    let server = serve("production");
    let answer = get(&server.address, "/", &[]);
    let page = answer.text();
    let integrity = dist.manifest()["files"][&jquery]["integrity"].as_str().expect("an integrity").to_owned();
    for want in [
        format!(
            "src=\"http://127.0.0.1:9{JQUERY}\" integrity=\"{integrity}\" crossorigin=\"anonymous\" data-fallback=\"/{jquery}\""
        ),
        format!("data-fallback-integrity=\"{integrity}\" data-global=\"jQuery\">"),
        format!("href=\"http://127.0.0.1:9{BOOTSTRAP}\""),
        format!("src=\"http://127.0.0.1:9{OTHER}\""),
    ] {
        assert!(page.contains(&want), "{want} in {page}");
    }
    assert_eq!(page.matches("addEventListener(\"error\"").count(), 1, "{page}");
    assert_eq!(page.matches("document.write(").count(), 2, "one for each script: {page}");
    let policy = answer.header("content-security-policy").expect("a policy");
    let directive =
        |name: &str| policy.split("; ").find(|directive| directive.starts_with(name)).expect("a directive").to_owned();
    assert!(directive("script-src").contains(JQUERY) && !directive("script-src").contains("unsafe-inline"), "{policy}");
    assert!(directive("style-src").contains(BOOTSTRAP), "{policy}");
    // Another URL is another release: its pages are other ones.
    site.write("fingerpost.toml", config(10));
    assert_ne!(site.build(&[]).manifest()["release"], dist.manifest()["release"]);
}

fn what_is_declared_is_checked() {
    for (config, want) in [
        ("file = 'none.js'\ncdn = 'https://c.example/a.js'", "names `none.js`, which isn't there"),
        ("file = 'assets/vendor/a.txt'\ncdn = 'https://c.example/a.js'", "neither a classic script nor a stylesheet"),
        ("file = 'assets/vendor/other.js'\ncdn = '/a.js'", "no URL of a library"),
        (
            "file = 'assets/vendor/other.js'\ncdn = 'https://c.example/a.js'\nglobal = 'a.b'",
            "no name of a global variable",
        ),
        ("file = 'assets/module.js'\ncdn = 'https://c.example/a.js'", "is a module: `assets/module.js`"),
        ("file = '../a.js'\ncdn = 'https://c.example/a.js'", "isn't there"),
        ("file = 'assets/vendor/other.js'\ncdn = 'https://c.example/a.js'\nglobl = 'a'", "did you mean `global`?"),
        (
            "file = 'assets/vendor/other.js'\ncdn = 'https://c.example/a.js'\n[env.x]\nlibraries = 'public'",
            "unknown variant `public`",
        ),
    ] {
        let site = Site::new()
            .config(&format!("[library.a]\n{config}\n"))
            .asset("vendor/other.js", PLAIN)
            .asset("vendor/a.txt", "a")
            .asset("module.js", "export const a = 1");
        let run = site.run(&["build"]);
        assert!(run.code.is_some_and(|code| code != 0) && run.stderr.contains(want), "{config}: {}", run.stderr);
    }
}

/// An app that has written its own policy, and knows nothing of a CDN.
fn an_unchanged_app_has_them_too() {
    let site = small(9);
    site.build(&[]);
    let page = "<!doctype html><title>x</title><script src=/static/vendor/other.js></script><script>1</script>";
    let app = Stand::new(
        vec![("/", page.as_bytes().to_vec())],
        "content-security-policy: default-src 'self'; script-src 'self' 'nonce-x'; style-src 'self'\r\n",
    );
    let upstream = format!("http://127.0.0.1:{}", app.port);
    let server = site.serve(&["serve", "--env", "production", "--upstream", &upstream, "--listen", "127.0.0.1:0"]);
    // The site's own front page has the path `/`: the app's is asked for at another.
    let app_page = get(&server.address, "/?x", &[]).text();
    assert!(app_page.contains(OTHER), "{app_page}");
    let app = Stand::new(
        vec![("/app", page.as_bytes().to_vec())],
        "content-security-policy: script-src 'self' 'nonce-x'; style-src 'self'\r\n",
    );
    let upstream = format!("http://127.0.0.1:{}", app.port);
    let server = site.serve(&["serve", "--env", "production", "--upstream", &upstream, "--listen", "127.0.0.1:0"]);
    let answer = get(&server.address, "/app", &[]);
    let text = answer.text();
    assert!(
        text.contains(&format!("src=\"http://127.0.0.1:9{OTHER}\""))
            && text.contains("data-fallback=\"/assets/vendor/other-"),
        "{text}"
    );
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains(&format!("script-src 'self' 'nonce-x' http://127.0.0.1:9{JQUERY}")), "{policy}");
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
    assert!(policy.contains(&format!("style-src 'self' http://127.0.0.1:9{BOOTSTRAP}")), "{policy}");
}

fn versions_are_compared() {
    let site = small(9);
    let run = site.run(&["check", "--libraries"]);
    // The third's URL names no version.
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("jquery") && run.stderr.contains("3.6.0") && run.stderr.contains("5.3.8"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("no version"), "{}", run.stderr);
    site.write("node_modules/jquery/package.json", "{ \"name\": \"jquery\", \"version\": \"3.7.1\" }");
    let run = site.run(&["check", "--libraries"]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    for want in ["`jquery`", "3.6.0", "3.7.1", "node_modules/jquery/dist/jquery.min.js", JQUERY] {
        assert!(run.stderr.contains(want), "{want} in {}", run.stderr);
    }
    let run = site.run(&["check", "--libraries", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(told["libraries"][1]["verdict"], "other-version", "{told}");
    assert_eq!((&told["libraries"][1]["declared"], &told["libraries"][1]["local"]), (&json!("3.6.0"), &json!("3.7.1")));
    assert_eq!(Site::new().run(&["check", "--libraries"]).code, Some(0));
}

fn bytes_are_compared() {
    let read = |site: &Site, path: &str| std::fs::read(site.root().join(path)).expect("a file");
    let like = small(9);
    let files = vec![
        (JQUERY, read(&like, "node_modules/jquery/dist/jquery.min.js")),
        (BOOTSTRAP, read(&like, "node_modules/bootstrap/dist/css/bootstrap.min.css")),
        (OTHER, PLAIN.as_bytes().to_vec()),
    ];
    let site = small(Stand::cdn(files.clone()).port);
    let run = site.run(&["check", "--libraries=fetch"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let mut other = files;
    other[2].1.push(b'\n');
    other.remove(0);
    let site = small(Stand::cdn(other).port);
    let run = site.run(&["check", "--libraries=fetch"]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("404") && run.stderr.contains("`other`"), "{}", run.stderr);
}

/// Opens the page in production; gives what it said of itself, and the console.
async fn open(page: &Page, server: &Server) -> Vec<String> {
    page.open(&format!("http://{}/", server.address)).await;
    page.until("getComputedStyle(document.querySelector('p')).display === 'none'").await;
    page.complaints().await
}

fn serve(site: &Site) -> Server {
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    site.serve(&["serve", "--env", "production", "--listen", "127.0.0.1:0"])
}

const SEEN: &str = "return document.documentElement.dataset.seen";

/// Whether a complaint is one that a policy makes.
fn is_of_policy(complaint: &str) -> bool {
    complaint.contains("Content Security Policy")
        || complaint.contains("Content-Security-Policy")
        || complaint.contains("Integrity-Policy")
}

fn a_cdn_that_answers_is_used() {
    let cdn = Stand::cdn(all());
    let server = serve(&site(cdn.port, ""));
    browse(async |page| {
        assert_eq!(open(page, &server).await, Vec::<String>::new());
        assert_eq!(page.run(SEEN).await, json!("function,ran"));
        let own = "return performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => name.startsWith(origin))";
        assert_eq!(page.run(own).await, json!([]), "all comes from the CDN");
    });
    assert!([JQUERY, BOOTSTRAP, OTHER].iter().all(|path| cdn.was_asked(path)));
}

fn a_cdn_with_other_bytes_is_not_used() {
    let evil = all().into_iter().map(|(path, mut bytes)| {
        bytes.extend(b"\n;document.documentElement.dataset.evil = 1;");
        (path, bytes)
    });
    let cdn = Stand::cdn(evil.collect());
    let server = serve(&site(cdn.port, ""));
    browse(async |page| {
        let complaints = open(page, &server).await;
        assert_eq!(page.run(SEEN).await, json!("function,ran"), "{complaints:?}");
        assert_eq!(page.run("return document.documentElement.dataset.evil || ''").await, json!(""));
        assert!(complaints.iter().any(|complaint| complaint.contains("integrity")), "{complaints:?}");
        assert_eq!(complaints.iter().find(|complaint| is_of_policy(complaint)), None, "{complaints:?}");
    });
    assert!([JQUERY, BOOTSTRAP, OTHER].iter().all(|path| cdn.was_asked(path)));
}

fn a_cdn_that_is_down_is_done_without() {
    // Nobody listens where somebody did.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let server = serve(&site(port, ""));
    browse(async |page| {
        let complaints = open(page, &server).await;
        assert_eq!(page.run(SEEN).await, json!("function,ran"), "{complaints:?}");
        assert_eq!(complaints.iter().find(|complaint| is_of_policy(complaint)), None, "{complaints:?}");
    });
}

/// What comes after it can't be made to wait, as it did not before.
fn a_page_that_does_not_wait_gets_its_copy() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let server = serve(&site(port, "defer"));
    browse(async |page| {
        let complaints = open(page, &server).await;
        page.until("typeof jQuery === 'function' && document.documentElement.dataset.other === 'ran'").await;
        assert_eq!(complaints.iter().find(|complaint| is_of_policy(complaint)), None, "{complaints:?}");
    });
}

//! The server as a program: over the wire, with signals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::http::{get, request};
use crate::site::{Site, long_stylesheet};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        each_kind_of_file_has_its_headers,
        negotiation_by_q_values,
        conditions_and_ranges,
        logical_names_and_clean_urls,
        nothing_outside_is_served,
        errors_are_never_stored,
        sigterm_stops_and_sighup_reloads,
        a_reload_that_fails_keeps_what_is_served,
        a_port_in_use,
        a_build_that_was_changed_is_refused,
    ]
}

fn site() -> Site {
    Site::new()
        .asset("css/a.css", long_stylesheet())
        .asset("public/robots.txt", "User-agent: *\n")
        .asset("public/.well-known/x.txt", "x")
        .template("index.html", "<!doctype html><title>home</title>{{ asset_tags('css/a.css') }}")
        .template("about.html", "<!doctype html><title>about</title>")
        .template("docs/index.html", "<!doctype html><title>docs</title>")
        .template("404.html", "<!doctype html><title>nothing here</title>")
}

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn each_kind_of_file_has_its_headers() {
    let site = site();
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let server = site.serve(&LISTEN);
    for (path, kind, cache) in [
        (css.as_str(), "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/static/css/a.css", "text/css; charset=utf-8", "no-cache"),
        ("/robots.txt", "text/plain; charset=utf-8", "no-cache"),
    ] {
        let response = get(&server.address, path, &[]);
        assert_eq!(
            (response.status, response.header("content-type"), response.header("cache-control")),
            (200, Some(kind), Some(cache)),
            "{path}"
        );
        assert!(response.header("etag").is_some_and(|etag| etag.starts_with('"')), "{path}: strong");
        let head = request(&server.address, "HEAD", path, &[]);
        assert_eq!((head.header("content-length"), head.body.len()), (response.header("content-length"), 0), "{path}");
    }
}

fn negotiation_by_q_values() {
    let site = site();
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let server = site.serve(&LISTEN);
    let mut tags = Vec::new();
    for (accept, want) in [
        ("br, zstd, gzip", Some("br")),
        ("br;q=0, gzip", Some("gzip")),
        ("br;q=0.5, zstd;q=0.9", Some("zstd")),
        ("*", Some("br")),
        ("identity", None),
        ("deflate", None),
        ("", None),
    ] {
        let response = get(&server.address, &css, &[("accept-encoding", accept)]);
        assert_eq!((response.status, response.header("content-encoding")), (200, want), "{accept}");
        assert_eq!(response.header("vary"), Some("accept-encoding"), "{accept}");
        tags.push(response.header("etag").expect("an etag").to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "one for each representation: {tags:?}");
    assert_eq!(get(&server.address, &css, &[("accept-encoding", "identity;q=0, *;q=0")]).status, 406);
}

fn conditions_and_ranges() {
    let site = site();
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let server = site.serve(&LISTEN);
    let whole = get(&server.address, &css, &[]);
    let etag = whole.header("etag").expect("an etag");
    let again = get(&server.address, &css, &[("if-none-match", &format!("\"x\", W/{etag}"))]);
    assert_eq!((again.status, again.body.len(), again.header("vary")), (304, 0, Some("accept-encoding")));
    assert_eq!(get(&server.address, &css, &[("if-match", "\"x\"")]).status, 412);
    let part = get(&server.address, &css, &[("range", "bytes=2-5")]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..6]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 2-5/{}", whole.body.len()).as_str()));
    for (name, value, status) in
        [("range", "bytes=999999-", 416), ("range", "lines=1-2", 200), ("range", "bytes=5-2", 200)]
    {
        assert_eq!(get(&server.address, &css, &[(name, value)]).status, status, "{value}");
    }
    assert_eq!(get(&server.address, &css, &[("range", "bytes=0-1"), ("if-range", "\"x\"")]).status, 200);
    assert_eq!(get(&server.address, &css, &[("range", "bytes=0-1"), ("if-range", etag)]).status, 206);
}

fn logical_names_and_clean_urls() {
    let site = site();
    let css = site.build(&[]).named("css/a.css");
    let server = site.serve(&LISTEN);
    let at = |path: &str| get(&server.address, path, &[]);
    let file = at(&format!("/{css}"));
    for path in ["/static/css/a.css", "/assets/css/a.css"] {
        assert_eq!((at(path).body, at(path).header("etag")), (file.body.clone(), file.header("etag")), "{path}");
    }
    for (path, title) in
        [("/", "home"), ("/index.html", "home"), ("/about", "about"), ("/about.html", "about"), ("/docs/", "docs")]
    {
        assert!(at(path).text().contains(title), "{path}");
    }
    for (path, to) in [("/docs?x=1", "/docs/?x=1"), ("/about/", "/about")] {
        assert_eq!((at(path).status, at(path).header("location")), (308, Some(to)), "{path}");
    }
}

fn nothing_outside_is_served() {
    let site = site();
    site.build(&[]);
    let server = site.serve(&LISTEN);
    for path in [
        "/.fingerpost/manifest.json",
        "/.vite/manifest.json",
        "/../Cargo.toml",
        "/%2e%2e/fingerpost.toml",
        "/..%2f..%2fetc/passwd",
        "/assets/css/",
        "//etc/passwd",
        "/.env",
        "/static/../.fingerpost/manifest.json",
    ] {
        assert_eq!(get(&server.address, path, &[]).status, 404, "{path}");
    }
    assert_eq!(get(&server.address, "/.well-known/x.txt", &[]).status, 200);
    assert_eq!(get(&server.address, "/%00", &[]).status, 400);
    assert_eq!(get(&server.address, &format!("/{}", "x".repeat(9000)), &[]).status, 414);
    let location = get(&server.address, "//about/", &[]);
    assert_eq!((location.status, location.header("location")), (404, None));
}

fn errors_are_never_stored() {
    let site = site();
    site.build(&[]);
    let server = site.serve(&LISTEN);
    let missing = get(&server.address, "/nothing", &[]);
    assert!(missing.text().contains("nothing here"));
    assert_eq!(
        (missing.status, missing.header("cache-control"), missing.header("etag")),
        (404, Some("no-store"), None)
    );
    let post = request(&server.address, "POST", "/", &[("content-length", "0")]);
    assert_eq!(
        (post.status, post.header("allow"), post.header("cache-control")),
        (405, Some("GET, HEAD, OPTIONS"), Some("no-store"))
    );
}

fn sigterm_stops_and_sighup_reloads() {
    let site = site();
    site.build(&[]);
    let mut server = site.serve(&LISTEN);
    let address = server.address.clone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            let late = Instant::now() + Duration::from_secs(30);
            while !(stop.load(Ordering::Relaxed) && (seen.len() == 2 || Instant::now() > late)) {
                let response = get(&address, "/about", &[]);
                assert_eq!(response.status, 200);
                seen.insert(response.text());
            }
            seen
        });
        std::thread::sleep(Duration::from_millis(200));
        site.write("templates/about.html", "<!doctype html><title>changed</title>");
        site.build(&[]);
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        assert!(get(&address, "/about", &[]).text().contains("changed"));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(asking.join().expect("no request was dropped").len(), 2);
    });
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
}

fn a_reload_that_fails_keeps_what_is_served() {
    let site = site();
    site.build(&[]);
    let server = site.serve(&LISTEN);
    site.write("dist/about.html", "not what was built");
    server.signal(Signal::HUP);
    server.wait_for("error:");
    assert!(get(&server.address, "/about", &[]).text().contains("<title>about"));
}

fn a_port_in_use() {
    let site = site();
    site.build(&[]);
    let server = site.serve(&LISTEN);
    let run = site.run(&["serve", "--listen", &server.address]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("could not listen on") && run.stderr.contains("another program listens there"),
        "{}",
        run.stderr
    );
}

fn a_build_that_was_changed_is_refused() {
    let site = site();
    let css = site.build(&[]).named("css/a.css");
    site.write(&format!("dist/{css}"), "other bytes");
    let run = site.run(&LISTEN);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("is not what it says") && run.stderr.contains("changed after"), "{}", run.stderr);
}

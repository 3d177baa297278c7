//! `dev` beside an application: its pages are made by another server, its assets come from here, and its edits are seen there.

use libtest_mimic::Trial;
use serde_json::json;
use std::path::Path;

use crate::browser::{Page, browse};
use crate::gunicorn::App;
use crate::http;
use crate::setup::Need;
use crate::site::{Server, Site, copy};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![what_is_built_is_told_to_helpers, only_origins_that_are_named_are_let_in];
    trials.extend(trials![[Need::Browser]; a_first_build_that_fails_is_mended, other_local_sites_read_nothing]);
    trials.extend(
        trials![[Need::Flask, Need::Browser]; the_pages_of_a_flask_app_hear_of_edits, an_app_behind_dev_stays_as_it_is],
    );
    trials
}

const DEV: [&str; 3] = ["dev", "--listen", "127.0.0.1:0"];
const MANIFEST: &str = "/@fingerpost/manifest.json";

fn site() -> Site {
    Site::new()
        .asset("css/a.css", "p { color: rgb(1, 1, 1) }\n")
        .asset("js/app.js", "document.title = 'one';\n")
        .template("index.html", "<!doctype html><title>t</title><link rel=stylesheet href=/static/css/a.css>")
}

fn what_is_built_is_told_to_helpers() {
    let site = site();
    let server = site.serve(&DEV);
    let first = http::get(&server.address, MANIFEST, &[]);
    assert_eq!((first.status, first.header("cache-control")), (200, Some("no-cache")));
    let manifest: serde_json::Value = serde_json::from_str(&first.text()).expect("JSON");
    assert_eq!(
        (&manifest["mode"], &manifest["entries"]["css/a.css"]["file"]),
        (&json!("development"), &json!("assets/css/a.css"))
    );
    let tag = first.header("etag").expect("a tag").to_owned();
    let same = http::get(&server.address, MANIFEST, &[("if-none-match", &format!("\"x\", {tag}"))]);
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(tag.as_str()), 0));
    site.write("assets/css/b.css", "p { top: 0 }\n");
    server.wait_for("b.css changed");
    let next = http::get(&server.address, MANIFEST, &[("if-none-match", &tag)]);
    assert!(next.status == 200 && next.header("etag") != Some(tag.as_str()) && next.text().contains("css/b.css"));
    // What fails changes nothing.
    site.write("assets/css/b.css", "p { background: url(none.png) }\n");
    server.wait_for("none.png");
    let kept = http::get(&server.address, MANIFEST, &[("if-none-match", next.header("etag").expect("a tag"))]);
    assert_eq!(kept.status, 304);
}

fn only_origins_that_are_named_are_let_in() {
    let site = site();
    let server = site.serve(&[&DEV[..], &["--origin", "http://localhost:5000"]].concat());
    let ask =
        |method: &str, path: &str, headers: &[(&str, &str)]| http::request(&server.address, method, path, headers);
    for path in [MANIFEST, "/assets/js/app.js", "/@fingerpost/client.js"] {
        for origin in ["http://localhost:5000", "http://127.0.0.1:5000"] {
            let answer = ask("GET", path, &[("origin", origin)]);
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)), "{path}");
            assert!(answer.lists("vary", "origin"), "{path}");
        }
        for origin in ["http://localhost:5001", "https://localhost:5000", "http://evil.example", "null"] {
            let answer = ask("GET", path, &[("origin", origin)]);
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None), "{path} {origin}");
        }
    }
    // It is said how to let one in, if it may be the developer's own, and once.
    let line = server.wait_for("http://localhost:5001 was refused");
    assert!(line.contains("--origin http://localhost:5001") && line.contains("`[dev] origins`"), "{line}");
    assert!(!server.said().contains("evil.example"));

    // A browser asks first whether it may open the editor.
    let first = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-fingerpost")];
    let may = ask("OPTIONS", "/@fingerpost/open", &[&first[..], &[("origin", "http://localhost:5000")]].concat());
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, Some("http://localhost:5000")));
    assert!(may.lists("access-control-allow-headers", "x-fingerpost"));
    let may_not = ask("OPTIONS", "/@fingerpost/open", &[&first[..], &[("origin", "http://localhost:5001")]].concat());
    assert_eq!((may_not.status, may_not.header("access-control-allow-headers")), (403, None));

    let wrong = site.run(&["dev", "--origin", "localhost:5000"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("`localhost:5000` is no origin"), "{}", wrong.stderr);
}

/// A server of something else on this machine, whose page does not know the other.
fn stranger() -> (Site, Server) {
    let site =
        Site::new().template("index.html", "<!doctype html><title>t</title><link rel=icon href=data:,><p id=p>t</p>");
    site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    (site, server)
}

fn other_local_sites_read_nothing() {
    let site = site();
    let server = site.serve(&DEV);
    let (_folder, other) = stranger();
    browse(async |page| {
        page.open(&format!("http://{}/", other.address)).await;
        for path in [MANIFEST, "/assets/js/app.js", "/", "/@fingerpost/events"] {
            let read =
                format!("return await fetch('http://{}{path}').then(() => 'read', () => 'refused')", server.address);
            assert_eq!(page.run(&read).await, "refused", "{path}");
        }
        let module = format!(
            "return await import('http://{}/assets/js/app.js').then(() => 'ran', () => 'refused')",
            server.address
        );
        assert_eq!(page.run(&module).await, "refused");
        let opens = format!(
            "return await fetch('http://{}/@fingerpost/open', {{ method: 'POST', headers: {{ 'x-fingerpost': '1' }}, body: '{{}}' }})
                 .then(() => 'read', () => 'refused')",
            server.address
        );
        assert_eq!(page.run(&opens).await, "refused");
    });
}

/// What the overlay says, or nothing.
const OVERLAY: &str = "(document.querySelector('fingerpost-overlay')?.shadowRoot.textContent ?? '')";

fn a_first_build_that_fails_is_mended() {
    let site = site();
    site.write("assets/css/a.css", "p { background: url(none.png) }\n");
    let (folder, other) = stranger();
    let server = site.serve(&[&DEV[..], &["--origin", &format!("http://{}", other.address)]].concat());
    assert_eq!(http::get(&server.address, MANIFEST, &[]).status, 503);
    // What a helper writes that has no manifest.
    let (dev, head) = (&server.address, "<!doctype html><title>t</title><link rel=icon href=data:,>");
    folder.write(
        "templates/index.html",
        format!(
            "{head}<script src='http://{dev}/@fingerpost/client.js'></script><link rel=stylesheet href='http://{dev}/assets/css/a.css'><p id=p>t</p>"
        ),
    );
    folder.build(&[]);
    other.signal(rustix::process::Signal::HUP);
    browse(async |page| {
        for _ in 0..50 {
            page.open(&format!("http://{}/", other.address)).await;
            if page.run("return document.scripts.length").await == 1 {
                break;
            }
        }
        page.until(&format!("{OVERLAY}.includes('none.png')")).await;
        page.run("window.mark = 1").await;
        site.write("assets/css/a.css", "p { color: rgb(2, 2, 2) }\n");
        page.until(&format!("{OVERLAY} === '' && {COLOR} === 'rgb(2, 2, 2)'")).await;
        assert_eq!(page.run("return window.mark").await, 1);
    });
}

const COLOR: &str = "getComputedStyle(document.querySelector('p')).color";

/// Leaves a mark that a reload would remove, when the page's line is open.
async fn mark(page: &Page) {
    page.run("window.mark = 1").await;
    page.until("window.__fingerpost.listens").await;
}

fn the_pages_of_a_flask_app_hear_of_edits() {
    let site = Site::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask"), site.root());
    let server = site.serve(&DEV);
    let dev = format!("http://{}", server.address);
    let app = App::start(&site, "with_helper", &[("FINGERPOST_DEV_SERVER", &dev)]);
    let append = |path: &str, text: &str| {
        let old = std::fs::read_to_string(site.root().join(path)).expect("a file");
        site.write(path, format!("{old}\n{text}\n"));
    };
    browse(async |page| {
        // Nobody has said yet that these pages are the developer's own.
        page.open(&format!("{}/", app.url)).await;
        server.wait_for(&format!("a page of {} was refused", app.url));
        append("fingerpost.toml", &format!("[dev]\norigins = ['{}']", app.url));
        server.wait_for("fingerpost.toml changed");
        page.complaints().await;

        page.open(&format!("{}/", app.url)).await;
        page.until("document.documentElement.dataset.counter === 'ready'").await;
        let away = format!(
            "return [...document.querySelectorAll('link[rel=stylesheet], script[src], img')].map((e) => e.href || e.src).filter((url) => !url.startsWith('{dev}/'))"
        );
        assert_eq!(page.run(&away).await, json!([]), "all of it comes from dev");
        mark(page).await;

        // A stylesheet is put in its place.
        append("static/css/site.css", "h1 { color: rgb(1, 2, 3) }");
        page.until("getComputedStyle(document.querySelector('h1')).color === 'rgb(1, 2, 3)'").await;
        // So is an image, wherever it is shown, in a stylesheet of dev's as well.
        let logo = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'></svg>\n";
        site.write("static/img/logo.svg", logo);
        page.until("document.querySelector('header img').naturalWidth === 7").await;
        let sign = std::fs::read(site.root().join("static/img/sign-2x.png")).expect("an image");
        site.write("static/img/sign.png", sign);
        page.until("getComputedStyle(document.querySelector('main')).backgroundImage.includes('sign.png?v=')").await;
        // What this page does not show is none of its business.
        append("admin/static/css/site.css", "h1 { color: rgb(9, 9, 9) }");
        server.wait_for("admin/static/css/site.css changed");
        append("static/css/print.css", "h1 { color: rgb(9, 9, 9) }");
        server.wait_for("print.css changed");
        append("static/css/site.css", "h1 { color: rgb(2, 2, 3) }");
        page.until("getComputedStyle(document.querySelector('h1')).color === 'rgb(2, 2, 3)'").await;
        assert_eq!(page.run("return window.mark").await, 1, "all of it without a reload");
        assert_eq!(page.run("return document.querySelectorAll('link[rel=stylesheet]').length").await, 2);

        // An error is shown above the page until it is mended.
        let good = std::fs::read_to_string(site.root().join("static/css/site.css")).expect("a file");
        site.write("static/css/site.css", format!("{good}\np {{ background: url(none.png) }}\n"));
        page.until(&format!("{OVERLAY}.includes('none.png')")).await;
        site.write("static/css/site.css", &good);
        page.until(&format!("{OVERLAY} === ''")).await;
        assert_eq!(page.run("return window.mark").await, 1);
        assert_eq!(page.complaints().await, Vec::<String>::new());

        // Scripts load the page anew: a module, one that it imports later, a classic one.
        append("static/js/counter.js", "document.documentElement.dataset.edited = 'counter';");
        page.until("document.documentElement.dataset.edited === 'counter' && !window.mark").await;
        mark(page).await;
        page.run("document.querySelector('#counter').click()").await;
        page.until("document.querySelector('#counter').textContent === '1 of 1'").await;
        let lazy = "import { step } from './count.js';\nexport const say = (count) => `${count} in ${step}`;\n";
        site.write("static/js/lazy.js", lazy);
        page.until("!window.mark && document.documentElement.dataset.counter === 'ready'").await;
        page.run("document.querySelector('#counter').click()").await;
        page.until("document.querySelector('#counter').textContent === '1 in 1'").await;
        mark(page).await;
        append("static/js/site.js", "window.classic = 'edited';");
        page.until("window.classic === 'edited' && !window.mark").await;
        mark(page).await;

        // What a script throws is led back to its source, across origins.
        append("static/js/counter.js", "setTimeout(() => undefined.gone, 50);");
        page.until(&format!("{OVERLAY}.includes('static/js/counter.js:')")).await;
        server.wait_for("a page threw TypeError");
    });
}

fn an_app_behind_dev_stays_as_it_is() {
    let site = Site::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask"), site.root());
    let app = App::start(&site, "app", &[]);
    let server = site.serve(&[&DEV[..], &["--upstream", &app.url]].concat());
    let at = |path: &str| format!("http://{}{path}", server.address);
    let append = |path: &str, text: &str| {
        let old = std::fs::read_to_string(site.root().join(path)).expect("a file");
        site.write(path, format!("{old}\n{text}\n"));
    };
    browse(async |page| {
        page.open(&at("/")).await;
        page.until("document.documentElement.dataset.counter === 'ready'").await;
        mark(page).await;
        let first = "return [document.head.firstElementChild.src, document.querySelector('link[rel=stylesheet]').href]";
        assert_eq!(page.run(first).await, json!([at("/@fingerpost/client.js"), at("/assets/css/reset.css")]));
        append("static/css/site.css", "h1 { color: rgb(1, 2, 3) }");
        page.until("getComputedStyle(document.querySelector('h1')).color === 'rgb(1, 2, 3)'").await;
        append("static/css/print.css", "h1 { color: rgb(9, 9, 9) }");
        server.wait_for("print.css changed");
        let good = std::fs::read_to_string(site.root().join("static/css/site.css")).expect("a file");
        site.write("static/css/site.css", format!("{good}\np {{ background: url(none.png) }}\n"));
        page.until(&format!("{OVERLAY}.includes('none.png')")).await;
        site.write("static/css/site.css", format!("{good}\nh1 {{ color: rgb(4, 4, 4) }}\n"));
        page.until(&format!(
            "{OVERLAY} === '' && getComputedStyle(document.querySelector('h1')).color === 'rgb(4, 4, 4)'"
        ))
        .await;
        assert_eq!(page.run("return window.mark").await, 1, "all of it without a reload");
        append("static/js/counter.js", "document.documentElement.dataset.edited = 'counter';");
        page.until("document.documentElement.dataset.edited === 'counter' && !window.mark").await;

        // Blueprints have static folders of their own, which the configuration names.
        page.open(&at("/admin/")).await;
        mark(page).await;
        append("admin/static/css/site.css", "h1 { color: rgb(5, 5, 5) }");
        page.until("getComputedStyle(document.querySelector('h1')).color === 'rgb(5, 5, 5)'").await;
        assert_eq!(page.run("return window.mark").await, 1);
        // Forms and sessions are the app's.
        page.open(&at("/login")).await;
        page.run(
            "document.querySelector('[name=user]').value = 'Ann'; document.querySelector('[name=password]').value = 'open sesame';
             document.querySelector('main form').submit();",
        )
        .await;
        page.until("document.querySelector('h1')?.textContent === 'Hello, Ann'").await;
        assert_eq!(page.complaints().await, Vec::<String>::new());
        page.open(&at("/stream?pause=0.01")).await;
        mark(page).await;
        assert_eq!(page.run("return document.querySelectorAll('p').length").await, 3);
    });
    let get = |path: &str| http::get(&server.address, path, &[]);
    assert!(!get("/fragment").text().contains("@fingerpost"), "what is no page stays none");
    assert_eq!(get("/report.csv").header("content-disposition"), Some("attachment; filename=report.csv"));
    // A page is always sent: what it needs may have changed, though the app has not.
    let html = ("accept", "text/html");
    let tag = http::get(&server.address, "/validated", &[html]).header("etag").expect("a tag").to_owned();
    assert_eq!(http::get(&server.address, "/validated", &[html, ("if-none-match", &tag)]).status, 200);
    // It is still told apart who may read it.
    let foreign = http::get(&server.address, "/", &[("origin", "http://localhost:5001")]);
    assert_eq!(foreign.status, 403);
}

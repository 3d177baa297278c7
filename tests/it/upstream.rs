//! `serve --upstream`: a Flask app under gunicorn, as its author wrote it, and a browser that notices nothing.

use std::net::TcpListener;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::json;

use crate::browser::browse;
use crate::gunicorn::App;
use crate::http;
use crate::setup::Need;
use crate::site::{Site, copy};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![[Need::Flask]; what_the_app_sends_arrives, the_app_may_be_away];
    trials.extend(trials![[Need::Flask, Need::Browser]; an_app_that_knows_nothing_of_it_works_from_a_cdn]);
    trials
}

/// The app's folder, built, with an environment whose assets are at a port of their own.
fn built(cdn: u16) -> Site {
    let site = Site::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask"), site.root());
    let config = std::fs::read_to_string(site.root().join("fingerpost.toml")).expect("the app's");
    site.write(
        "fingerpost.toml",
        format!("{config}\n[env.edge]\nasset_base = 'http://localhost:{cdn}/'\nfailover = false\n"),
    );
    site.build(&[]);
    site
}

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn an_app_that_knows_nothing_of_it_works_from_a_cdn() {
    let port = free_port();
    let site = built(port);
    let app = App::start(&site, "app", &[]);
    let _cdn = site.serve(&["serve", "--env", "edge", "--listen", &format!("127.0.0.1:{port}")]);
    let server = site.serve(&["serve", "--env", "edge", "--upstream", &app.url, "--listen", "127.0.0.1:0"]);
    browse(async |page| {
        let at = |path: &str| format!("http://{}{path}", server.address);
        page.open(&at("/")).await;
        page.until("document.documentElement.dataset.counter === 'ready'").await;
        let loaded = page
            .run(
                "const urls = [...document.querySelectorAll('link[rel=stylesheet], script[src], img, link[rel=icon]')].map((e) => e.href || e.src);
                 return urls.filter((url) => !url.startsWith('http://localhost:'));",
            )
            .await;
        assert_eq!(loaded, json!([]), "everything comes from the CDN");
        let state = page
            .run(
                "return [document.documentElement.dataset.links, window.fromTheApp,
                         getComputedStyle(document.querySelector('p[style]')).backgroundImage.includes('/assets/img/sign-'),
                         [...document.images].every((image) => image.naturalWidth > 0),
                         document.querySelector('meta[property=\"og:image\"]').content.startsWith('http://localhost:')]",
            )
            .await;
        assert_eq!(state, json!(["5", "left as it is: /static/css/site.css", true, true, true]));
        page.run("document.querySelector('#counter').click()").await;
        page.until("document.querySelector('#counter').textContent.includes(' of ')").await;

        // The session, a form, a flash message, redirects.
        page.open(&at("/members")).await;
        page.until("location.pathname === '/login' && document.querySelector('.flash.warning')").await;
        let fill = |user: &str, password: &str| {
            format!(
                "document.querySelector('[name=user]').value = '{user}'; document.querySelector('[name=password]').value = '{password}';
                 document.querySelector('main form').submit();"
            )
        };
        page.run(&fill("Ann", "open sesame")).await;
        page.until("document.querySelector('h1')?.textContent === 'Hello, Ann'").await;
        page.until("document.querySelector('.flash.success')?.textContent === 'Welcome, Ann.'").await;
        page.open(&at("/guests")).await;
        page.run(
            "document.querySelector('[name=name]').value = 'Ann & <b>'; document.querySelector('main form').submit();",
        )
        .await;
        page.until("[...document.querySelectorAll('main li')].some((li) => li.textContent === 'Ann & <b>')").await;

        // Stylesheets of blueprints, from their own folders.
        for (path, file) in [("/admin/", "admin/css/site"), ("/journal/1", "journal/journal")] {
            page.open(&at(path)).await;
            let find =
                format!("return [...document.styleSheets].some((sheet) => sheet.href.includes('/assets/{file}-'))");
            assert_eq!(page.run(&find).await, json!(true), "{path}");
        }
        assert_eq!(page.complaints().await, Vec::<String>::new());

        page.open(&at("/latin-1")).await;
        assert_eq!(
            page.run("return [document.title, document.images[0].alt]").await,
            json!(["Été", "panneau à flèches"])
        );
        page.open(&at("/stream?pause=0.01")).await;
        assert_eq!(page.run("return document.querySelectorAll('p').length").await, json!(3));
        let events =
            "return await new Promise((done) => { const source = new EventSource('/events?pause=0.01'); let seen = 0;
                      source.onmessage = () => { seen += 1; if (seen === 3) { source.close(); done(seen); } }; })";
        assert_eq!(page.run(events).await, json!(3));
        page.open(&at("/no/such/page")).await;
        page.until("document.title === 'Not found' && document.styleSheets.length === 2").await;
    });
}

fn what_the_app_sends_arrives() {
    let site = built(1);
    let app = App::start(&site, "app", &[]);
    let server = site.serve(&["serve", "--env", "production", "--upstream", &app.url, "--listen", "127.0.0.1:0"]);
    let get = |path: &str, headers: &[(&str, &str)]| http::get(&server.address, path, headers);

    // A page with a validator of the app's own.
    let page = get("/validated", &[]);
    let tag = page.header("etag").expect("a tag").to_owned();
    assert!(page.text().contains("https://cdn.example.com/assets/css/site-"), "{}", page.text());
    let again = get("/validated", &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())));

    // A file of the app's own, with its ranges and validators.
    let logo = std::fs::read(site.root().join("static/img/logo.svg")).expect("the logo");
    let whole = get("/logo", &[("accept-encoding", "identity")]);
    assert_eq!(whole.body, logo);
    let part = get("/logo", &[("range", "bytes=2-5"), ("accept-encoding", "identity")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &logo[2..6]));
    let etag = whole.header("etag").expect("a tag");
    assert_eq!(get("/logo", &[("if-none-match", etag)]).status, 304);

    let report = get("/report.csv", &[]);
    assert_eq!(report.header("content-disposition"), Some("attachment; filename=report.csv"));
    let packed = get("/packed", &[]);
    assert!(packed.text().contains("https://cdn.example.com/") && packed.header("content-encoding").is_none());
    let policy = get("/policy", &[]);
    let admitted = policy.header("content-security-policy").expect("a policy");
    assert!(admitted.starts_with("default-src 'self' https://cdn.example.com/ 'sha256-"), "{admitted}");
    assert_eq!(get("/old-about", &[]).header("location"), Some("/about#team"));
    assert_eq!(get("/cookies", &[]).all("set-cookie").len(), 2);
    assert_eq!((get("/nothing", &[]).status, get("/broken", &[]).status), (204, 500));
    let json = get("/api/status", &[]);
    assert!(json.text().contains("/static/img/logo.svg"), "what is no page is not touched: {}", json.text());
    // What the app calls its files is answered by the server.
    let css = get("/static/css/site.css", &[]);
    assert_eq!((css.status, css.header("server")), (200, None));
    assert_eq!(get("/admin/static/css/site.css", &[]).header("server"), None);
    assert_eq!(get("/admin/static/img/chart.svg", &[]).header("via"), None);
}

fn the_app_may_be_away() {
    let site = built(1);
    let app = App::start(&site, "app", &[]);
    let server = site.serve(&["serve", "--upstream", &app.url, "--listen", "127.0.0.1:0"]);
    let status = |path: &str| http::get(&server.address, path, &[]).status;
    assert_eq!(status("/about"), 200);
    drop(app);
    let statuses: Vec<u16> = (0..6).map(|_| status("/about")).collect();
    assert!(statuses.contains(&502) && statuses.contains(&503), "{statuses:?}");
    assert_eq!(status("/static/css/site.css"), 200, "what is built is served");
}

//! The service worker, in a browser: what was seen once is there without a network, and an upgrade brings what changed and nothing else.

use std::net::TcpListener;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use crate::browser::{Page, browse};
use crate::setup::Need;
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![it_is_bound_to_its_environment, it_goes_where_it_is_not_wanted];
    trials.extend(trials![
        [Need::Browser];
        a_site_is_there_without_a_network,
        an_upgrade_and_a_way_back_bring_what_changed,
        it_can_be_killed
    ]);
    trials
}

fn site(css: &str) -> Site {
    let page = |title: &str| {
        format!(
            "<!doctype html><html><head><meta charset=utf-8><title>{title}</title><link rel=stylesheet href=/static/a.css>
             <link rel=stylesheet href=/static/b.css><script>window.updates = []; addEventListener('fingerpost:update', (event) => \
             window.updates.push(event.detail))</script><script type=module src=/static/app.js></script></head>
             <body><h1>{title}</h1></body></html>"
        )
    };
    Site::new()
        .config("[worker]\noffline = 'offline.html'\nlist = 'precache.json'\n[env.production]\nasset_base = 'https://cdn.example.com/'\n")
        .asset("a.css", css)
        .asset("b.css", "h1 { font-size: 40px }")
        .asset("app.js", "document.documentElement.dataset.app = 'ran'; export const later = () => import('./later.js')")
        .asset("later.js", "export const x = 1")
        .template("index.html", page("Front"))
        .template("about.html", page("About"))
        .template("offline.html", page("Offline"))
}

/// A port that is the same for all servers of a test, so that they are one to the browser.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn serve(site: &Site, port: u16) -> Server {
    site.serve(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--access-log", "access.log"])
}

/// The assets that a server was asked for, after so many of its answers; says how many there were.
fn asked(site: &Site, after: &mut usize) -> Vec<String> {
    let read = || std::fs::read_to_string(site.root().join("access.log")).expect("the log");
    // A line is written within two seconds.
    let mut text = read();
    loop {
        std::thread::sleep(Duration::from_millis(3500));
        let later = read();
        if later == text {
            break;
        }
        text = later;
    }
    let targets = text.lines().skip(*after).filter_map(|line| line.split('"').nth(1)?.split(' ').nth(1));
    let assets = targets.filter(|target| target.starts_with("/assets/")).map(str::to_owned).collect();
    *after = text.lines().count();
    assets
}

async fn controlled(page: &Page) {
    page.until("navigator.serviceWorker.controller?.state === 'activated'").await;
}

fn a_site_is_there_without_a_network() {
    let (site, port) = (site("h1 { color: rgb(1, 2, 3) }"), port());
    site.build(&[]);
    let server = serve(&site, port);
    browse(async |page| {
        let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
        page.open(&at("/")).await;
        controlled(page).await;
        drop(server);
        for path in ["/", "/#part"] {
            page.open(&at(path)).await;
            page.until("document.documentElement.dataset.app === 'ran'").await;
            let state = "const style = getComputedStyle(document.querySelector('h1'));
                         return [document.title, style.color, style.fontSize]";
            assert_eq!(page.run(state).await, json!(["Front", "rgb(1, 2, 3)", "40px"]));
        }
        page.open(&at("/about")).await;
        assert_eq!(page.run("return document.title").await, json!("Offline"), "it was never seen");
    });
}

fn an_upgrade_and_a_way_back_bring_what_changed() {
    let (site, port) = (site("h1 { color: rgb(1, 2, 3) }"), port());
    let old = site.build(&[]);
    let server = serve(&site, port);
    browse(async |page| {
        let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let color = "return getComputedStyle(document.querySelector('h1')).color";
        page.open(&at("/")).await;
        controlled(page).await;
        let mut answers = 0;
        let first = asked(&site, &mut answers);
        assert!(first.contains(&format!("/{}", old.named("a.css"))), "{first:?}");
        for (css, want) in
            [("h1 { color: rgb(4, 5, 6) }", "rgb(4, 5, 6)"), ("h1 { color: rgb(1, 2, 3) }", "rgb(1, 2, 3)")]
        {
            site.write("assets/a.css", css);
            let new = site.build(&[]);
            server.signal(rustix::process::Signal::HUP);
            server.wait_for("reloaded");
            page.run("await (await navigator.serviceWorker.getRegistration()).update()").await;
            page.until("window.updates.length === 1").await;
            // On the way back, the browser itself still has what it was sent for ever.
            let changed = format!("/{}", new.named("a.css"));
            let missing: Vec<String> = [changed].into_iter().filter(|path| !first.contains(path)).collect();
            assert_eq!(asked(&site, &mut answers), missing, "and nothing else");
            page.run("window.stays = true; window.updates[0].apply()").await;
            page.until("window.stays === undefined && document.readyState === 'complete'").await;
            controlled(page).await;
            assert_eq!(page.run(color).await, json!(want));
            let cached = page.run("const keys = await (await caches.open('fingerpost-assets')).keys();
                                   return keys.map((request) => new URL(request.url).pathname).filter((path) => path.includes('/a-'))").await;
            assert_eq!(cached, json!([format!("/{}", new.named("a.css"))]), "what the old one had is gone");
        }
        assert_eq!(asked(&site, &mut answers), Vec::<String>::new(), "all of it was there");
        // The icon that browsers ask for is none of the site's.
        let complaints = page.complaints().await;
        assert!(complaints.iter().all(|complaint| complaint.contains("favicon.ico")), "{complaints:?}");
        drop(server);
        page.open(&at("/")).await;
        assert_eq!(page.run(color).await, json!("rgb(1, 2, 3)"), "the page that is kept is the new one");
    });
}

fn it_can_be_killed() {
    let (site, port) = (site("h1 { color: rgb(1, 2, 3) }"), port());
    site.build(&[]);
    let server = serve(&site, port);
    browse(async |page| {
        page.open(&format!("http://127.0.0.1:{port}/")).await;
        controlled(page).await;
        site.write("fingerpost.toml", "[worker]\nkill = true\nregister = false\n");
        site.build(&[]);
        server.signal(rustix::process::Signal::HUP);
        server.wait_for("reloaded");
        page.run("window.stays = true; await (await navigator.serviceWorker.getRegistration()).update()").await;
        page.until(
            "window.stays === undefined && document.readyState === 'complete' && !navigator.serviceWorker.controller",
        )
        .await;
        let left =
            page.run("return [(await navigator.serviceWorker.getRegistrations()).length, await caches.keys()]").await;
        assert_eq!(left, json!([0, []]));
    });
}

fn it_is_bound_to_its_environment() {
    let site = site("h1 { color: red }");
    let dist = site.build(&[]);
    let a = dist.named("a.css");
    assert!(
        dist.read("sw.js").starts_with(&format!("const BUILD = {{\"assets\":{{\"/{a}\":\"sha256-")),
        "{}",
        dist.read("sw.js")
    );
    let server = site.serve(&["serve", "--env", "production", "--listen", "127.0.0.1:0"]);
    let worker = crate::http::get(&server.address, "/sw.js", &[]);
    assert_eq!((worker.status, worker.header("cache-control")), (200, Some("no-cache")));
    assert!(worker.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")));
    let text = worker.text();
    assert!(
        text.contains(&format!("\"https://cdn.example.com/{a}\":\"sha256-")) && !text.contains(&format!("\"/{a}\"")),
        "{text}"
    );
    let list: serde_json::Value =
        serde_json::from_slice(&crate::http::get(&server.address, "/precache.json", &[]).body).expect("JSON");
    let entry = |url: &str| list.as_array().expect("a list").iter().find(|entry| entry["url"] == url).cloned();
    assert_eq!(entry(&format!("https://cdn.example.com/{a}")).expect("it is listed")["revision"], json!(null));
    assert!(entry("/offline.html").expect("it is listed")["revision"].is_string());
    // A page that registers it says so in its policy.
    let page = crate::http::get(&server.address, "/", &[]);
    assert!(page.text().contains("navigator.serviceWorker") && page.header("integrity-policy").is_some());
}

fn it_goes_where_it_is_not_wanted() {
    let site = site("h1 { color: red }");
    let run = site.run(&["build", "--mode", "development"]);
    assert!(run.code == Some(0), "{}", run.stderr);
    let worker = std::fs::read_to_string(site.root().join("dist/sw.js")).expect("a worker");
    assert!(worker.contains("unregister()") && !worker.contains("BUILD"), "{worker}");
    let page = std::fs::read_to_string(site.root().join("dist/index.html")).expect("a page");
    assert!(!page.contains("serviceWorker"), "{page}");
    for (config, want) in [
        ("[worker]\noffline = 'none.html'", "names no page"),
        ("[worker]\nname = 'js/sw.js'", "no `name` of `worker`"),
        ("[worker]\nwait = 0", "can't be 0 seconds"),
    ] {
        site.write("fingerpost.toml", config);
        let run = site.run(&["build"]);
        assert!(run.code != Some(0) && run.stderr.contains(want), "{config}: {}", run.stderr);
    }
}

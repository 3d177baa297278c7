//! `serve --store` and `publish --promote`: a release goes from one environment to the next, and servers follow it.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::http::{Response, get};
use crate::site::{Server, Site, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        servers_follow_what_is_live,
        a_server_starts_from_what_it_has_when_the_store_is_gone,
        a_release_that_is_not_whole_is_not_served,
        a_server_of_a_store_in_one_coding,
        a_release_is_promoted_as_it_is,
        what_can_not_be_promoted_or_followed_is_told,
    ]
}

const CONFIG: &str = "
[env.staging]
asset_base = 'https://staging-cdn.example.com/'
store = 'staging'
[env.production]
asset_base = '/'
store = 'published'
";

fn site() -> Site {
    Site::new()
        .config(CONFIG)
        .asset("css/a.css", long_stylesheet())
        .asset("public/robots.txt", "User-agent: *\n")
        .template("index.html", page("one"))
}

fn page(title: &str) -> String {
    format!("<!doctype html><title>{title}</title>{{{{ asset_tags('css/a.css') }}}}<p>{}", "text ".repeat(200))
}

/// The release's name.
fn publish(site: &Site, title: &str, arguments: &[&str]) -> String {
    site.write("templates/index.html", page(title));
    site.build(&[]);
    let run = site.run(&[&["publish", "--json"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    report["release"].as_str().expect("a release").to_owned()
}

fn follow(site: &Site, arguments: &[&str]) -> Server {
    site.serve(&[&["serve", "--store", "--poll", "0.1", "--listen", "127.0.0.1:0"], arguments].concat())
}

fn title(response: &Response) -> String {
    let text = response.text();
    let start = text.find("<title>").expect("a title") + "<title>".len();
    text[start..].split("</title>").next().expect("a title").to_owned()
}

fn eventually(server: &Server, want: &str) {
    let begun = Instant::now();
    while title(&get(&server.address, "/", &[])) != want {
        assert!(begun.elapsed() < Duration::from_secs(30), "`{want}` is not served");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn servers_follow_what_is_live() {
    let site = site();
    publish(&site, "one", &[]);
    let servers = [follow(&site, &[]), follow(&site, &["--memory", "0"])];
    let css = site.build(&[]).named("css/a.css");
    // The server doesn't look at the output folder.
    std::fs::remove_dir_all(site.root().join("dist")).expect("removed");
    for server in &servers {
        let page = get(&server.address, "/", &[]);
        assert_eq!(title(&page), "one");
        assert!(page.header("content-security-policy").is_some(), "headers are made as from a build");
        for coding in ["identity", "br", "zstd", "gzip"] {
            for path in ["/", &format!("/{css}")] {
                let answer = get(&server.address, path, &[("accept-encoding", coding)]);
                let want = Some(coding).filter(|coding| *coding != "identity");
                assert_eq!((answer.status, answer.header("content-encoding")), (200, want), "{path}");
            }
        }
        for path in ["/robots.txt", "/static/css/a.css"] {
            assert_eq!(get(&server.address, path, &[]).status, 200, "{path}");
        }
        for path in ["/current.json", "/.fingerpost/manifest.json", "/releases/attempt.json"] {
            assert_eq!(get(&server.address, path, &[]).status, 404, "{path}");
        }
    }
    publish(&site, "two", &[]);
    servers.iter().for_each(|server| eventually(server, "two"));
    assert_eq!(site.run(&["rollback"]).code, Some(0));
    servers.iter().for_each(|server| eventually(server, "one"));
    for server in servers {
        server.signal(rustix::process::Signal::TERM);
        server.stdout();
    }
}

fn a_server_starts_from_what_it_has_when_the_store_is_gone() {
    let site = site();
    publish(&site, "one", &[]);
    let cache = ["--store-cache", "kept"];
    let server = follow(&site, &cache);
    let second = publish(&site, "two", &[]);
    eventually(&server, "two");
    let third = publish(&site, "three", &[]);
    eventually(&server, "three");
    let begun = Instant::now();
    let kept = || -> Vec<String> {
        let entries = std::fs::read_dir(site.root().join("kept")).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let mut want = [second, third];
    want.sort();
    while kept() != want {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", kept());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (css, link) = (tree(&site.root().join("kept")), std::fs::read_dir(site.root().join("kept")).expect("a folder"));
    assert!(css.keys().any(|path| path.ends_with(".css")) && link.count() == 2);
    drop(server);

    std::fs::rename(site.root().join("published"), site.root().join("away")).expect("renamed");
    let server = follow(&site, &cache);
    assert_eq!(title(&get(&server.address, "/", &[])), "three");
    std::fs::rename(site.root().join("away"), site.root().join("published")).expect("renamed");
    server.wait_for("the store can be followed again");
    publish(&site, "four", &[]);
    eventually(&server, "four");
}

fn a_release_that_is_not_whole_is_not_served() {
    let site = site();
    publish(&site, "one", &[]);
    let server = follow(&site, &[]);
    site.write("assets/js/b.js", "alert(1)");
    site.write("templates/b.html", "<script src=\"{{ asset_url('js/b.js') }}\"></script>");
    let second = publish(&site, "two", &[]);
    eventually(&server, "two");
    assert_eq!(site.run(&["rollback"]).code, Some(0));
    eventually(&server, "one");
    drop(server);
    let server = follow(&site, &[]);
    let store = site.root().join("published");
    let script = tree(&store).into_keys().find(|key| key.ends_with(".js")).expect("a script");
    let good = std::fs::read(store.join(&script)).expect("a script");
    // Of the same length, so that only its bytes tell.
    let spoilt: Vec<u8> = good.iter().map(|byte| if *byte == b'1' { b'9' } else { *byte }).collect();
    std::fs::write(store.join(&script), spoilt).expect("written");
    assert_eq!(site.run(&["rollback", &second]).code, Some(0));
    let line = server.wait_for("is not what the release was");
    assert!(line.contains("js/b-"), "{line}");
    assert_eq!(title(&get(&server.address, "/", &[])), "one");
    std::fs::write(store.join(&script), good).expect("written");
    server.wait_for("the store can be followed again");
    eventually(&server, "two");
}

fn a_server_of_a_store_in_one_coding() {
    let site = site();
    site.write("fingerpost.toml", format!("{CONFIG}encoding = 'gzip'\nwebsite = true\n"));
    publish(&site, "one", &[]);
    let store = tree(&site.root().join("published"));
    let css = site.build(&[]).named("css/a.css");
    for key in ["index.html", css.as_str()] {
        assert_eq!(&store[key][..2], [0x1f, 0x8b], "{key} is gzip under its own name");
    }
    assert!(!store.keys().any(|key| key.ends_with(".br") || key.ends_with(".gz")), "{:?}", store.keys());
    assert_eq!(store["robots.txt"], b"User-agent: *\n", "too short to be worth it");
    let server = follow(&site, &[]);
    let page = get(&server.address, "/", &[]);
    assert_eq!((title(&page).as_str(), page.header("content-encoding")), ("one", None));
    let packed = get(&server.address, &format!("/{css}"), &[("accept-encoding", "gzip")]);
    assert_eq!((&packed.body, packed.header("content-encoding")), (&store[&css], Some("gzip")));
}

fn a_release_is_promoted_as_it_is() {
    let site = site();
    let release = publish(&site, "one", &["--env", "staging"]);
    std::fs::remove_dir_all(site.root().join("dist")).expect("removed");
    let run = site.run(&["publish", "--promote", &release[..6], "--from", "staging", "--env", "production"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("release {release} is live in production")), "{}", run.stderr);
    let production = tree(&site.root().join("published"));
    let page = String::from_utf8_lossy(&production[&format!("releases/{release}/index.html")]).into_owned();
    assert!(page.contains("\"/assets/css/a-") || page.contains("=/assets/css/a-"), "{page}");
    assert!(!page.contains("staging-cdn"), "{page}");
    let again = site.run(&["publish", "--promote", &release, "--from", "staging", "--env", "production"]);
    assert!(again.stderr.contains("was live already"), "{}", again.stderr);
}

fn what_can_not_be_promoted_or_followed_is_told() {
    let site = site();
    let run = site.run(&["serve", "--store", "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("holds no live release"), "{}", run.stderr);
    let run = site.run(&["serve", "--store", "ftp://x", "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let run = site.run(&["publish", "--promote", "abc"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let run = site.run(&["publish", "--promote", "abc", "--from", "staging"]);
    assert!(run.stderr.contains("there is no release `abc`"), "{}", run.stderr);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

//! `serve --store` and `publish --promote`: a release goes from one environment to the next, and servers follow it.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::http::{Response, get};
use crate::site::{Server, Site, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        servers_follow_what_is_live,
        a_server_starts_from_what_it_has_when_the_store_is_gone,
        a_server_starts_from_what_it_served_last,
        a_damaged_release_is_fetched_again_or_another_served,
        a_release_that_the_server_refused_is_fetched_again_as_a_whole,
        a_store_that_was_mended_is_followed,
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
        // Files of earlier releases are in a folder of their own.
        names.retain(|name| name != "served.json" && name != "kept");
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
    assert!(css.keys().any(|path| path.ends_with(".css")) && link.count() == 4);
    drop(server);

    std::fs::rename(site.root().join("published"), site.root().join("away")).expect("renamed");
    let server = follow(&site, &cache);
    assert_eq!(title(&get(&server.address, "/", &[])), "three");
    std::fs::rename(site.root().join("away"), site.root().join("published")).expect("renamed");
    server.wait_for("the store can be followed again");
    publish(&site, "four", &[]);
    eventually(&server, "four");
}

fn away(site: &Site) {
    std::fs::rename(site.root().join("published"), site.root().join("away")).expect("renamed");
}

fn back(site: &Site) {
    std::fs::rename(site.root().join("away"), site.root().join("published")).expect("renamed");
}

/// Serves the first of two releases, from a cache that has both: the second one is live before it is gone back on.
fn served_after_a_rollback(site: &Site) -> [String; 2] {
    let first = publish(site, "one", &[]);
    let server = follow(site, &CACHE);
    let second = publish(site, "two", &[]);
    eventually(&server, "two");
    assert_eq!(site.run(&["rollback"]).code, Some(0));
    eventually(&server, "one");
    let noted = || std::fs::read_to_string(site.root().join("kept/served.json")).expect("it is noted");
    let begun = Instant::now();
    while !noted().contains(&first) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", noted());
        std::thread::sleep(Duration::from_millis(20));
    }
    [first, second]
}

const CACHE: [&str; 2] = ["--store-cache", "kept"];

fn a_server_starts_from_what_it_served_last() {
    let site = site();
    served_after_a_rollback(&site);
    away(&site);
    assert_eq!(title(&get(&follow(&site, &CACHE).address, "/", &[])), "one");
}

/// Other bytes of the same length, in the same file, whatever else it is linked to.
fn spoil(path: &Path) {
    let bytes = std::fs::read(path).expect("a file");
    std::fs::write(path, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>()).expect("written");
}

fn a_damaged_release_is_fetched_again_or_another_served() {
    let site = site();
    let [first, second] = served_after_a_rollback(&site);
    let page = |release: &str| site.root().join("kept").join(release).join("index.html");
    let manifest = site.root().join("kept").join(&first).join(".fingerpost/manifest.json");
    for damaged in [manifest, page(&first)] {
        spoil(&damaged);
        assert_eq!(title(&get(&follow(&site, &CACHE).address, "/", &[])), "one", "it is fetched again");
    }

    spoil(&page(&first));
    away(&site);
    let server = follow(&site, &CACHE);
    assert_eq!(title(&get(&server.address, "/", &[])), "two");
    assert!(!page(&first).exists());
    drop(server);
    spoil(&page(&second));
    let run = site.run(&["serve", "--store", "--store-cache", "kept", "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(
        run.stderr.contains("is not what was fetched there") && run.stderr.contains("holds no live release"),
        "{}",
        run.stderr
    );
    back(&site);
    assert_eq!(title(&get(&follow(&site, &CACHE).address, "/", &[])), "one");
}

/// What it has in common with the release before is linked to, and was damaged there.
fn a_release_that_the_server_refused_is_fetched_again_as_a_whole() {
    let site = site();
    let first = publish(&site, "one", &[]);
    let server = follow(&site, &CACHE);
    let css = site.build(&[]).named("css/a.css");
    spoil(&site.root().join("kept").join(first).join(&css));
    publish(&site, "two", &[]);
    server.wait_for("is not what it says");
    eventually(&server, "two");
    let got = get(&server.address, &format!("/{css}"), &[]);
    assert_eq!(got.body, tree(&site.root().join("published"))[&css]);
}

fn a_store_that_was_mended_is_followed() {
    let site = site();
    publish(&site, "one", &[]);
    let second = publish(&site, "two", &[]);
    assert_eq!(site.run(&["rollback"]).code, Some(0));
    let server = follow(&site, &[]);
    let archive = site.root().join(format!("published/releases/{second}.tar.zst"));
    let whole = std::fs::read(&archive).expect("an archive");
    spoil(&archive);
    assert_eq!(site.run(&["rollback", &second]).code, Some(0));
    server.wait_for(".tar.zst");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(title(&get(&server.address, "/", &[])), "one");
    std::fs::write(&archive, whole).expect("written");
    server.wait_for("the store can be followed again");
    eventually(&server, "two");
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

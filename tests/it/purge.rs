//! A CDN is told what to forget when a release goes live: here a cache on this machine that takes `PURGE`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use libtest_mimic::Trial;

use crate::site::{Run, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        publishing_purges_what_changed_and_makes_up_for_what_failed,
        rolling_back_purges_and_can_leave_it,
        a_purge_needs_its_secret_before_anything_is_published,
        a_preview_purges_nothing,
    ]
}

struct Cache {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    status: Arc<AtomicU16>,
}

impl Cache {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (asked, status): (Arc<Mutex<Vec<String>>>, _) = (Arc::default(), Arc::new(AtomicU16::new(200)));
        let (heard, answer) = (Arc::clone(&asked), Arc::clone(&status));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
                let head: Vec<String> =
                    std::iter::from_fn(|| lines.next()?.ok()).take_while(|line| !line.is_empty()).collect();
                let Some(first) = head.first() else { continue };
                let field = |name: &str| {
                    head.iter().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
                };
                let said = |name: &str| field(name).map_or("-", |(_, value)| value);
                let line = first.trim_end_matches(" HTTP/1.1");
                heard.lock().expect("a lock").push(format!("{line} {} {}", said("host"), said("authorization")));
                let status = answer.load(Ordering::Relaxed);
                let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Cache { address, asked, status }
    }

    /// What it was asked since the last time. A request that was given up may come all the same.
    fn purged(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("a lock"));
        asked.sort();
        asked.dedup();
        asked
    }

    fn site(&self) -> Site {
        Site::new()
            .config(&format!(
                "[env.production]\nstore = 'published'\nsite = 'https://www.example.com'\n\n[env.production.cdn]\n\
                 provider = 'http'\nurl = 'http://{}{{path}}'\n\
                 headers = {{ host = '{{host}}', authorization = 'Bearer ${{PURGE_TOKEN}}' }}\n",
                self.address
            ))
            .asset("css/a.css", "a { color: red }\n")
            .asset("public/robots.txt", "User-agent: *\n")
            .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}")
            .template("about.html", "<!doctype html><title>about</title>")
    }

    fn run(&self, site: &Site, arguments: &[&str]) -> Run {
        let out = site.command(arguments).env("PURGE_TOKEN", "s3cret").output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.address, "CACHE");
        Run { code: out.status.code(), stdout: text(&out.stdout), stderr: text(&out.stderr) }
    }
}

/// With the release's name, of 16 hex digits, and the store's place left out, and what is told of the upload.
fn scrubbed(site: &Site, text: &str) -> String {
    let words = |line: &str| {
        let word = |word: &str| match word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => "RELEASE".to_owned(),
            false => word.to_owned(),
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    let root = site.root().canonicalize().expect("the root");
    let lines = text.lines().filter(|line| !line.starts_with("warning:") && !line.contains("uploaded ("));
    lines.map(words).collect::<Vec<_>>().join("\n").replace(&*root.to_string_lossy(), "ROOT")
}

fn publishing_purges_what_changed_and_makes_up_for_what_failed() {
    let cache = Cache::start();
    let site = cache.site();
    site.build(&[]);
    let run = cache.run(&site, &["publish"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let all = ["/", "/about", "/about.html", "/index.html", "/robots.txt"];
    assert_eq!(cache.purged(), all.map(|path| format!("PURGE {path} www.example.com Bearer s3cret")));
    assert!(run.stderr.contains("5 URLs purged from the CDN (http) with 5 requests"), "{}", run.stderr);

    site.write("templates/about.html", "<!doctype html><title>changed</title>");
    site.build(&[]);
    let plan = cache.run(&site, &["publish", "--dry-run"]);
    let purges = plan.stdout.lines().skip_while(|line| !line.contains("what the CDN forgets")).collect::<Vec<_>>();
    insta::assert_snapshot!(format!("{}\n---\n{}", purges.join("\n").trim(), scrubbed(&site, &plan.stderr)), @r"
    step   what the CDN forgets
     purge  https://www.example.com/about
     purge  https://www.example.com/about.html
    ---
    2 URLs would be purged from the CDN (http)
    release RELEASE would be live in production at ROOT/published
    ");
    assert_eq!(cache.purged(), [""; 0]);

    cache.status.store(405, Ordering::Relaxed);
    let run = cache.run(&site, &["publish", "--quiet"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    // Either of the two may fail first.
    let told = scrubbed(&site, &run.stderr).replace("/about.html`", "/about`");
    insta::assert_snapshot!(told, @r"
    error: x release RELEASE is live, but the CDN (http) still has old pages:
      | `http://CACHE/about` answered with status 405
      help: let the cache take purges, and check `method` and `url` of `cdn`: it may be the origin
            that was asked; what is pending is purged when you publish again, also if nothing has
            changed
    ");
    cache.purged();

    cache.status.store(200, Ordering::Relaxed);
    let run = cache.run(&site, &["publish", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(report["moved"], false, "it was live already");
    assert_eq!(
        report["purge"],
        serde_json::json!({
            "provider": "http",
            "asks": [{ "by": "url", "names": ["https://www.example.com/about", "https://www.example.com/about.html"] }],
            "requests": 2, "ids": [], "waited": false, "pending": false, "failure": null
        })
    );
    assert_eq!(
        cache.purged(),
        ["/about", "/about.html"].map(|path| format!("PURGE {path} www.example.com Bearer s3cret"))
    );
    cache.run(&site, &["publish"]);
    assert_eq!(cache.purged(), [""; 0]);
    assert_eq!(cache.run(&site, &["publish", "--purge-all"]).code, Some(0));
    assert_eq!(cache.purged().len(), all.len());
}

fn rolling_back_purges_and_can_leave_it() {
    let cache = Cache::start();
    let site = cache.site();
    site.build(&[]);
    cache.run(&site, &["publish"]);
    site.write("templates/about.html", "<!doctype html><title>changed</title>");
    site.build(&[]);
    cache.run(&site, &["publish"]);
    cache.purged();
    let run = cache.run(&site, &["rollback", "--no-purge"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    insta::assert_snapshot!(scrubbed(&site, &run.stderr), @r"
    1 file at the website's root replaced
    not purged from the CDN (http) yet: 2 URLs
    release RELEASE is live in production at ROOT/published, after RELEASE
    ");
    assert_eq!(cache.purged(), [""; 0]);
    // The note stays when the store is pruned, and nothing else stumbles over it.
    for arguments in [&["prune"][..], &["releases"]] {
        assert_eq!(cache.run(&site, arguments).code, Some(0), "{arguments:?}");
    }
    let run = cache.run(&site, &["publish"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(cache.purged().len(), 2, "/about and /about.html");
}

fn a_purge_needs_its_secret_before_anything_is_published() {
    let cache = Cache::start();
    let site = cache.site();
    site.build(&[]);
    let run = site.run(&["publish"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @r"
    error: x `PURGE_TOKEN` is not set, which the CDN is purged with
      help: set it to what `cdn` in the configuration needs it for; `--no-purge` publishes without
    ");
    assert!(!site.root().join("published").exists());
    assert_eq!(site.run(&["publish", "--no-purge"]).code, Some(0));
}

fn a_preview_purges_nothing() {
    let cache = Cache::start();
    let site = cache.site();
    drop(site.serve(&["preview", "-e", "production"]));
    assert_eq!(cache.purged(), [""; 0]);
}

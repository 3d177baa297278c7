//! Publishes that are stopped, and publishes at the same time: what is live stays whole, and whoever is next finishes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::future::ready;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use fingerpost::fingerprint::Digest;
use fingerpost::preview::bucket::{Bucket, Fate, Reply};
use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use crate::setup::{Need, SmallDisk};
use crate::site::{Site, copy, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        killed_at_any_upload_to_a_bucket,
        killed_at_any_write_to_a_folder,
        of_eight_publishers_to_a_bucket_one_wins,
        of_eight_publishers_to_a_folder_one_wins,
        of_eight_publishers_to_a_website_one_wins_all_of_it,
    ];
    trials.extend(trials![[Need::SmallDisk]; a_disk_that_is_full_at_any_write]);
    trials
}

/// A site that is built, and so a release.
fn built(title: &str, environment: &str) -> (Site, String) {
    let site = Site::new()
        .config(&format!("[env.production]\n{environment}\n"))
        .asset("css/a.css", long_stylesheet())
        .asset("title.txt", title)
        .template("index.html", format!("<!doctype html><title>{title}</title>{{{{ asset_tags('css/a.css') }}}}"))
        .template("about.html", "<!doctype html><title>about</title>");
    let release = site.build(&[]).manifest()["release"].as_str().expect("a release").to_owned();
    (site, release)
}

/// That a store's folder holds the release as its record says, but for what lies at a website's root.
fn assert_whole(store: &Path, release: &str) {
    let files = tree(store);
    let document = |key: &str| -> serde_json::Value {
        serde_json::from_slice(files.get(key).unwrap_or_else(|| panic!("no {key}"))).expect("JSON")
    };
    let record = document(&format!("releases/{release}.json"));
    let objects = record["objects"].as_object().expect("objects");
    assert!(objects.len() > 5);
    for (key, object) in objects.iter().filter(|(key, _)| key.contains('/')) {
        let bytes = files.get(key).unwrap_or_else(|| panic!("no {key} of {release}"));
        assert_eq!(object["digest"], Digest::of(bytes).to_string(), "{key}");
    }
}

fn live(store: &Path) -> String {
    let current = fs::read(store.join("current.json")).expect("a pointer");
    let current: serde_json::Value = serde_json::from_slice(&current).expect("JSON");
    current["release"].as_str().expect("a release").to_owned()
}

/// Names of fingerprinted files, which are there or not.
fn assets(store: &Path) -> BTreeSet<String> {
    tree(store).into_keys().filter(|key| key.starts_with("assets/") && !key.contains("/.")).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// `fingerpost publish` to a bucket.
fn publish(site: &Site, bucket: &Bucket) -> Command {
    let mut command = site.command(&["publish", "--json"]);
    site.write(
        "fingerpost.toml",
        format!("[env.production]\nstore = 's3://{}/www'\nendpoint = '{}'\n", bucket.name, bucket.endpoint),
    );
    command
        .env("AWS_ACCESS_KEY_ID", &bucket.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &bucket.secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

fn finish(mut command: Command) -> serde_json::Value {
    let out = command.output().expect("it runs");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON document")
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Kills the program once `is_time`; whether it came to that.
fn kill(mut child: Child, mut is_time: impl FnMut() -> bool) -> bool {
    loop {
        if is_time() {
            child.kill().expect("killed");
            let _ = child.wait();
            return true;
        }
        if let Some(status) = child.try_wait().expect("a child") {
            assert_eq!(status.code(), Some(0));
            return false;
        }
    }
}

fn killed_at_any_upload_to_a_bucket() {
    let runtime = runtime();
    let ((old_site, old), (new_site, new)) = (built("old", ""), built("new", ""));
    let base = tempfile::tempdir().expect("a folder");
    let bucket = runtime.block_on(Bucket::start(base.path())).expect("a bucket");
    finish(publish(&old_site, &bucket));
    drop(bucket);
    // Before the bucket has done it, and after.
    for hold in [Fate::Lost(Reply::Silence), Fate::Done(Reply::Silence)] {
        let mut killed = 0;
        for nth in 1.. {
            let folder = tempfile::tempdir().expect("a folder");
            copy(base.path(), folder.path());
            let store = folder.path().join("site/www");
            let (reached, is_reached) = mpsc::channel();
            let puts = AtomicUsize::new(0);
            let fate = move |request: &http::request::Parts| {
                let is_it = request.method == http::Method::PUT && puts.fetch_add(1, Ordering::Relaxed) + 1 == nth;
                if is_it {
                    let _ = reached.send(());
                }
                ready(if is_it { hold } else { Fate::Served })
            };
            let bucket = runtime.block_on(Bucket::start_unreliable(folder.path(), fate)).expect("a bucket");
            let child = start(publish(&new_site, &bucket));
            let was_killed = kill(child, || {
                let is_it = is_reached.recv_timeout(Duration::from_millis(5)).is_ok();
                if is_it && hold != Fate::Lost(Reply::Silence) {
                    std::thread::sleep(Duration::from_millis(30));
                }
                is_it
            });
            drop(bucket);
            if !was_killed {
                break;
            }
            killed += 1;
            let now = live(&store);
            assert!(now == old || hold != Fate::Lost(Reply::Silence) && now == new, "killed at {nth}: {now} is live");
            assert_whole(&store, &now);

            let there = assets(&store);
            let sent = Arc::new(Mutex::new(BTreeSet::new()));
            let log = Arc::clone(&sent);
            let fate = move |request: &http::request::Parts| {
                if request.method == http::Method::PUT {
                    let key = request.uri.path().trim_start_matches("/site/www/").to_owned();
                    assert!(log.lock().expect("a lock").insert(key.clone()) || key.starts_with("releases/"), "{key}");
                }
                ready(Fate::Served)
            };
            let bucket = runtime.block_on(Bucket::start_unreliable(folder.path(), fate)).expect("a bucket");
            finish(publish(&new_site, &bucket));
            let sent = sent.lock().expect("a lock");
            let again: Vec<&String> = sent.intersection(&there).collect();
            assert!(again.is_empty(), "killed at {nth}, sent again: {again:?}");
            assert_eq!(live(&store), new);
            assert_whole(&store, &new);
            assert_whole(&store, &old);
        }
        // An asset, the attempt, two pages with their variants, the record, the probe, the pointer.
        assert!(killed >= 7, "{killed}");
    }
}

/// Each file with what tells whether it was written again.
fn inodes(store: &Path) -> BTreeMap<String, u64> {
    // What is being written goes while it is looked at.
    let entries = walkdir::WalkDir::new(store).into_iter().filter_map(Result::ok);
    let objects = entries
        .filter(|entry| entry.file_type().is_file() && !entry.file_name().to_string_lossy().starts_with(".publish"));
    let key = |path: &Path| path.strip_prefix(store).expect("below").to_string_lossy().into_owned();
    objects.filter_map(|entry| Some((key(entry.path()), entry.metadata().ok()?.ino()))).collect()
}

/// How many processes wait for the lock that a folder's pointer is moved under.
fn waiting(store: &Path) -> usize {
    let Ok(lock) = fs::metadata(store.join(".publish.lock")) else { return 0 };
    let inode = format!(":{} ", lock.ino());
    let locks = fs::read_to_string("/proc/locks").expect("Linux's locks");
    locks.lines().filter(|line| line.contains("->") && line.contains(&inode)).count()
}

fn killed_at_any_write_to_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let environment = format!("store = '{}'", store.display());
    let ((old_site, old), (new_site, new)) = (built("old", &environment), built("new", &environment));
    finish(old_site.command(&["publish", "--json"]));
    let base = folder.path().join("base");
    fs::rename(&store, &base).expect("kept");
    let mut seen = BTreeSet::new();
    // By the number of files that were written; it may come a few later. The last time at the pointer, which waits for this process.
    for written in 1.. {
        let _ = fs::remove_dir_all(&store);
        copy(&base, &store);
        let before = inodes(&store);
        let changed = || inodes(&store).iter().filter(|(key, inode)| before.get(*key) != Some(*inode)).count();
        let lock = File::create(store.join(".publish.lock")).expect("a lock");
        lock.lock().expect("locked");
        let child = start(new_site.command(&["publish", "--json"]));
        let at_pointer = Cell::new(false);
        kill(child, || {
            at_pointer.set(waiting(&store) > 0);
            at_pointer.get() || changed() >= written
        });
        drop(lock);
        seen.insert(changed());
        assert_eq!(live(&store), old, "killed after {written} files");
        assert_whole(&store, &old);

        let there = inodes(&store);
        finish(new_site.command(&["publish", "--json"]));
        assert_eq!(live(&store), new);
        assert_whole(&store, &new);
        let after = inodes(&store);
        let again: Vec<&String> =
            there.keys().filter(|key| key.starts_with("assets/") && after.get(*key) != there.get(*key)).collect();
        assert!(again.is_empty(), "written again: {again:?}");
        if at_pointer.get() {
            break;
        }
    }
    // What is read together is written almost at the same time.
    assert!(seen.len() >= 2, "{seen:?}");
}

/// Publishes all at once, from the same state; who wins.
fn race(publishers: Vec<(String, Child)>) -> String {
    let done: Vec<(String, Output)> =
        publishers.into_iter().map(|(release, child)| (release, child.wait_with_output().expect("its end"))).collect();
    let told: Vec<String> = done
        .iter()
        .map(|(release, out)| format!("{release} {:?} {}", out.status.code(), String::from_utf8_lossy(&out.stderr)))
        .collect();
    let won: Vec<&String> =
        done.iter().filter(|(_, out)| out.status.code() == Some(0)).map(|(release, _)| release).collect();
    let [winner] = won[..] else { panic!("{} winners: {told:#?}", won.len()) };
    for (release, out) in done.iter().filter(|(release, _)| release != winner) {
        assert_eq!(out.status.code(), Some(4), "{told:#?}");
        let text = String::from_utf8_lossy(&out.stderr).replace("\n", " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("another publish went first:"), "{text}");
        assert!(text.contains(winner.as_str()) && text.contains(release.as_str()), "{text}");
    }
    winner.clone()
}

const PUBLISHERS: usize = 8;

fn of_eight_publishers_to_a_bucket_one_wins() {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("site/www");
    let mut sites: Vec<(Site, String)> = (0..PUBLISHERS).map(|n| built(&format!("number {n}"), "")).collect();
    let releases: Vec<String> = sites.iter().map(|(_, release)| release.clone()).collect();
    while sites.len() > PUBLISHERS - 3 {
        // The pointer is not moved before all have seen the same one.
        let (arrived, arrivals) = tokio::sync::watch::channel(0);
        let all = sites.len();
        let fate = move |request: &http::request::Parts| {
            let is_pointer = request.method == http::Method::PUT && request.uri.path().ends_with("/current.json");
            let mut arrivals = arrivals.clone();
            if is_pointer {
                arrived.send_modify(|count| *count += 1);
            }
            async move {
                if is_pointer {
                    let _ = arrivals.wait_for(|count| *count >= all).await;
                }
                Fate::Served
            }
        };
        let bucket = runtime.block_on(Bucket::start_unreliable(folder.path(), fate)).expect("a bucket");
        let begun = sites.iter().map(|(site, release)| (release.clone(), start(publish(site, &bucket)))).collect();
        let winner = race(begun);
        assert_eq!(live(&store), winner);
        releases.iter().for_each(|release| assert_whole(&store, release));
        sites.retain(|(_, release)| *release != winner);
    }
}

fn of_eight_publishers_to_a_folder_one_wins() {
    of_eight_publishers_one_wins("website = false", |_, _| ());
}

/// All of them have written pages at the root before one moves the pointer.
fn of_eight_publishers_to_a_website_one_wins_all_of_it() {
    of_eight_publishers_one_wins("website = true", |store, winner| {
        let files = tree(store);
        for page in ["index.html", "about.html"] {
            assert_eq!(files[page], files[&format!("releases/{winner}/{page}")], "{page}");
        }
    });
}

fn of_eight_publishers_one_wins(website: &str, assert_root: impl Fn(&Path, &str)) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let environment = format!("store = '{}'\n{website}", store.display());
    let mut sites: Vec<(Site, String)> = (0..PUBLISHERS).map(|n| built(&format!("number {n}"), &environment)).collect();
    let releases: Vec<String> = sites.iter().map(|(_, release)| release.clone()).collect();
    let (first, _) = built("first", &environment);
    finish(first.command(&["publish", "--json"]));
    while sites.len() > PUBLISHERS - 3 {
        // The pointer is not moved before all wait to.
        let lock = File::create(store.join(".publish.lock")).expect("a lock");
        lock.lock().expect("locked");
        let begun: Vec<(String, Child)> = sites
            .iter()
            .map(|(site, release)| (release.clone(), start(site.command(&["publish", "--json"]))))
            .collect();
        let late = Instant::now() + Duration::from_secs(60);
        while waiting(&store) < sites.len() {
            assert!(Instant::now() < late, "{} of {} wait", waiting(&store), sites.len());
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(lock);
        let winner = race(begun);
        assert_eq!(live(&store), winner);
        releases.iter().for_each(|release| assert_whole(&store, release));
        assert_root(&store, &winner);
        sites.retain(|(_, release)| *release != winner);
    }
}

fn a_disk_that_is_full_at_any_write() {
    let disk = SmallDisk::mount().expect("a small disk");
    let store = disk.path().join("store");
    let site = |title: &str| {
        Site::new()
            .config(&format!("[env.production]\nstore = '{}'\nwebsite = false\n", store.display()))
            .asset("a.txt", title)
            .template("index.html", format!("<!doctype html><title>{title}</title>"))
    };
    let (old, new) = (site("old"), site("new"));
    old.build(&[]);
    let new_release = new.build(&[]).manifest()["release"].as_str().expect("a release").to_owned();
    finish(old.command(&["publish", "--json"]));
    let before = tree(&store);
    let mut failures = 0;
    // What is left of the disk, in pieces that files take.
    for left in 0.. {
        let filler = disk.path().join("filler");
        let mut fill = File::create(&filler).expect("a file");
        while std::io::Write::write_all(&mut fill, &[7; 4096]).is_ok() {}
        let full = fill.metadata().expect("its size").len();
        fill.set_len(full.saturating_sub(left * 4096)).expect("cut");
        let run = new.run(&["publish", "--json"]);
        if run.code == Some(0) {
            break;
        }
        failures += 1;
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        assert!(run.stderr.contains("could not write") && run.stderr.contains("free some space"), "{}", run.stderr);
        let now = tree(&store);
        for (key, bytes) in before.iter().filter(|(key, _)| *key != "releases/attempt.json") {
            assert_eq!(now.get(key), Some(bytes), "{key}");
        }
        assert!(!now.keys().any(|key| key.contains(".publish-")), "{:#?}", now.keys());
        fs::remove_file(&filler).expect("removed");
    }
    assert!(failures >= 3, "{failures}");
    assert_eq!(live(&store), new_release);
}

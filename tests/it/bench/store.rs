//! `storage` in a bucket of the user's: what is measured, what it leaves, and what it says of a bucket that won't do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fingerpost::bench::report::{Measured, Missing};
use fingerpost::error::Result;
use fingerpost::preview::bucket::Bucket;
use libtest_mimic::Trial;

use super::{alone_with, of, report, small};
use crate::setup::Need;
use crate::site::{Run, Server, Site, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        a_bucket_of_ones_own_is_measured_and_left_as_it_was,
        browsers_are_sent_to_the_named_base,
        a_bucket_that_will_not_do_is_told_with_the_way_out,
        a_bucket_elsewhere_needs_leave,
        who_stops_it_leaves_nothing_in_the_bucket
    ];
    trials.extend(trials![[Need::Browser]; visitors_get_assets_from_the_users_bucket]);
    trials
}

/// Somebody's S3 server, with what they keep there.
struct Users {
    bucket: Bucket,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Users {
    fn start(start: impl AsyncFnOnce(&Path) -> Result<Bucket>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = runtime.block_on(start(folder.path())).expect("a bucket");
        let users = Users { bucket, folder, _runtime: runtime };
        std::fs::create_dir_all(users.below("mine")).expect("a folder");
        std::fs::write(users.below("mine/current.json"), "theirs").expect("a file");
        users
    }

    fn readable() -> Self {
        Users::start(Bucket::start_readable)
    }

    fn below(&self, key: &str) -> std::path::PathBuf {
        self.folder.path().join(&self.bucket.name).join(key)
    }

    /// Nothing is there but what was there before.
    fn assert_untouched(&self) {
        let found = tree(&self.folder.path().join(&self.bucket.name));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["mine/current.json"]);
        assert_eq!(found["mine/current.json"], b"theirs");
    }

    fn arguments(&self) -> Vec<String> {
        let (store, endpoint) = (format!("s3://{}/mine", self.bucket.name), self.bucket.endpoint.clone());
        let own = ["--strategy", "storage", "--store", &store, "--endpoint", &endpoint];
        own.map(str::to_owned).to_vec()
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("AWS_ACCESS_KEY_ID", &self.bucket.access_key), ("AWS_SECRET_ACCESS_KEY", &self.bucket.secret_key)]
    }

    fn run(&self, site: &Site, more: &[&str]) -> Run {
        self.run_as(site, more, &self.variables())
    }

    fn run_as(&self, site: &Site, more: &[&str], variables: &[(&str, &str)]) -> Run {
        let own = self.arguments();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let quick = ["bench", "--quick", "--rounds", "1", "--seconds", "0.2"];
        alone_with(site, &[&quick[..], &own, more].concat(), variables)
    }
}

/// What holds of figures where the store's own work is not known.
fn assert_measured(measured: &Measured) {
    assert!(measured.missing.is_none(), "{:?}", measured.missing);
    let [sample] = &measured.servers[..] else { panic!("{measured:?}") };
    for load in [&sample.saturated, &sample.paced.load] {
        assert!(load.requests >= 6 && load.errors == 0, "{sample:?}");
        assert_eq!(load.server_cpu_us, 0, "a part would be taken for the whole");
    }
    let pages = sample.pages.as_ref().expect("what the server of the pages takes");
    assert!(pages.server_cpu_us > 0 && pages.requests > 20 && pages.errors == 0, "{sample:?}");
    assert_eq!(sample.memory, 0);
    assert!(measured.stored_bytes > 100, "{}", measured.stored_bytes);
}

fn a_bucket_of_ones_own_is_measured_and_left_as_it_was() {
    let (users, site) = (Users::readable(), small());
    let run = users.run(&site, &["--json", "--output", "report.json"]);
    let report = report(&run);
    let measured = of(&report, "storage");
    assert_measured(measured);
    let told = &measured.configurations["bucket.toml"];
    let place = format!("s3://{}/mine/fingerpost-bench-", users.bucket.name);
    assert!(told.contains(&place) && told.contains(&users.bucket.endpoint), "{told}");
    assert!(run.stderr.contains(&place) && run.stderr.contains("deletes at the end"), "{}", run.stderr);
    for secret in [&users.bucket.access_key, &users.bucket.secret_key] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
    users.assert_untouched();

    // The same once more, by the report alone, in a folder of its own.
    let quick = ["bench", "--from", "report.json", "--json"];
    let again = self::report(&alone_with(&site, &quick, &users.variables()));
    assert_measured(of(&again, "storage"));
    assert_eq!(again.settings.store, report.settings.store);
    assert_ne!(&of(&again, "storage").configurations["bucket.toml"], told);
    users.assert_untouched();

    // A bill has machines for what sends the pages.
    let shown = site.run(&["bench", "--show", "report.json", "--markdown", "report.md"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let text = std::fs::read_to_string(site.root().join("report.md")).expect("a file");
    let bill = text.split("A month's bill at AWS").nth(1).expect("bills");
    let row = bill.lines().find(|line| line.starts_with("| storage |")).expect("a row");
    assert!(row.contains('$') && row.contains("1 machine"), "{row}");
    let server = text.lines().find(|line| line.starts_with("| storage |")).expect("a row of the load");
    assert!(!server.contains("µs |") || server.contains('–'), "CPU that is not known is not shown: {server}");
}

/// Hands on what comes, with a word of it changed to another that is as long, and counts requests.
fn front(users: &Users, from: &'static str, to: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (counted, far) = (Arc::new(AtomicUsize::new(0)), users.bucket.endpoint.replace("http://", ""));
    let count = counted.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&far) else { return };
            let (near_too, far_too, count) =
                (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"), count.clone());
            std::thread::spawn(move || {
                hand_on(near, far, |bytes| {
                    count.fetch_add(usize::from(bytes.starts_with(b"GET ")), Ordering::Relaxed);
                });
            });
            std::thread::spawn(move || {
                hand_on(far_too, near_too, |bytes| {
                    let places = bytes.windows(from.len()).position(|window| window == from.as_bytes());
                    if let Some(at) = places {
                        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                    }
                });
            });
        }
    });
    (address, counted)
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn browsers_are_sent_to_the_named_base() {
    let (users, site) = (Users::readable(), small());
    let (address, counted) = front(&users, "nothing-of-this", "nothing-of-that");
    let base = format!("http://{address}/{}/mine", users.bucket.name);
    let report = report(&users.run(&site, &["--json", "--asset-base", &base]));
    let measured = of(&report, "storage");
    assert_measured(measured);
    // Two of three are for it.
    let (load, counted) = (&measured.servers[0].saturated, counted.load(Ordering::Relaxed) as u64);
    assert!(counted >= load.requests / 2, "{counted} of {}", load.requests);
    assert!(measured.configurations["bucket.toml"].contains(&format!("asset_base = \"{base}/fingerpost-bench-")));
    users.assert_untouched();
}

fn a_bucket_that_will_not_do_is_told_with_the_way_out() {
    let site = small();
    let refused = |run: Run| -> Missing {
        let report = report(&run);
        let measured = of(&report, "storage");
        assert!(measured.servers.is_empty() && measured.visits.is_empty());
        measured.missing.clone().expect("it is not measured")
    };
    let users = Users::readable();
    let [key, _] = users.variables();
    let mistaken = refused(users.run_as(&site, &["--json"], &[key, ("AWS_SECRET_ACCESS_KEY", "wrong")]));
    assert!(mistaken.reason.contains("SignatureDoesNotMatch"), "{mistaken:?}");
    assert!(mistaken.remedy.contains("`AWS_SECRET_ACCESS_KEY`"), "{mistaken:?}");
    let nowhere = ["bench", "--quick", "--rounds", "1", "--json", "--strategy", "storage", "--endpoint"];
    let nowhere = [&nowhere[..], &[&users.bucket.endpoint, "--store", "s3://nowhere/x"]].concat();
    let nowhere = refused(alone_with(&site, &nowhere, &users.variables()));
    assert!(nowhere.reason.contains("NoSuchBucket"), "{nowhere:?}");
    assert_eq!(nowhere.remedy, "make the bucket `nowhere`, or set another `--store`");

    let (address, _) = front(&users, "access-control-allow-origin", "access-control-allow-nobody");
    let base = format!("http://{address}/{}/mine/", users.bucket.name);
    let without = refused(users.run(&site, &["--json", "--asset-base", &base]));
    assert!(without.reason.contains("lacks `access-control-allow-origin: *`"), "{without:?}");
    assert!(without.remedy.contains("CORS rules") && without.remedy.contains("docs/stores.md"), "{without:?}");
    let (address, _) = front(&users, "content-encoding: gzip", "x-ontent-encoding: gzip");
    let base = format!("http://{address}/{}/mine/", users.bucket.name);
    let packed = small().asset("a.css", long_stylesheet());
    let other = refused(users.run(&packed, &["--json", "--asset-base", &base]));
    assert!(other.reason.contains("lacks `content-encoding: gzip`"), "{other:?}");
    assert!(other.remedy.contains("changes what is stored"), "{other:?}");
    let elsewhere = format!("{}/{}/other/", users.bucket.endpoint, users.bucket.name);
    let astray = refused(users.run(&site, &["--json", "--asset-base", &elsewhere]));
    assert!(astray.reason.contains("status 404") && astray.remedy.contains("`--asset-base`"), "{astray:?}");
    users.assert_untouched();

    let private = Users::start(Bucket::start);
    let closed = refused(private.run(&site, &["--json"]));
    assert!(closed.reason.contains("status 403"), "{closed:?}");
    assert!(closed.remedy.contains("let everybody read what is below `s3://"), "{closed:?}");
    private.assert_untouched();
    let run = private.run(&site, &[]);
    assert!(run.stdout.contains("storage") && run.stdout.contains("status 403"), "{}", run.stdout);
}

fn a_bucket_elsewhere_needs_leave() {
    let site = small();
    for (arguments, want) in [
        (&["--store", "s3://b/p", "--endpoint", "http://192.0.2.1"][..], "`storage` is not on this machine"),
        (&["--store", "published", "--endpoint", "http://127.0.0.1:9"], "`published` is no bucket"),
        (&["--store", "s3://b/p"], "--endpoint"),
        (&["--asset-base", "https://cdn.example/"], "--store"),
    ] {
        let run = site.run(&[&["bench", "--quick", "--strategy", "storage"], arguments].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want), "{}", run.stderr);
    }
}

fn who_stops_it_leaves_nothing_in_the_bucket() {
    let (users, site) = (Users::readable(), small());
    let own = users.arguments();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    for moment in ["`storage` publishes to", "round 1 of 50"] {
        let mut command =
            site.command(&[&["bench", "--verbose", "--rounds", "50", "--seconds", "5"][..], &own].concat());
        command.envs(users.variables()).env("FINGERPOST_CHROMIUM", "/none");
        let mut bench = Server::spawn(command);
        bench.wait_for(moment);
        bench.signal(rustix::process::Signal::INT);
        assert_eq!(bench.wait(), Some(1), "{}", bench.said());
        users.assert_untouched();
    }
}

fn visitors_get_assets_from_the_users_bucket() {
    let (users, site) = (Users::readable(), Site::sample());
    let own = users.arguments();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let quick = ["bench", "--quick", "--rounds", "1", "--seconds", "0.2", "--json"];
    let mut command = site.command(&[&quick[..], &own].concat());
    let out = command.envs(users.variables()).output().expect("it runs");
    let report = report(&Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    });
    let measured = of(&report, "storage");
    assert!(measured.missing.is_none() && !measured.visits.is_empty(), "{:?} {:?}", measured.missing, report.warnings);
    for visit in &measured.visits {
        let refused: Vec<_> = visit.fetches.iter().filter(|fetch| fetch.status != 200).collect();
        assert_eq!(refused.len(), 0, "{refused:?}");
    }
    let first = &measured.visits[0];
    assert!(first.fetches.iter().any(|fetch| fetch.url.contains("/mine/fingerpost-bench-")), "{first:?}");
    users.assert_untouched();
}

//! Where bodies are held, and for how long: budgets, files that change under the server, releases that follow each other, and an
//! origin that fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::http::get;
use crate::site::{Dist, Site, long_stylesheet, noise};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        without_memory_all_is_served_from_files,
        an_old_chunk_outlives_its_release,
        an_old_chunk_outlives_a_restart,
        what_is_kept_for_the_next_start_is_cleaned_up,
        files_that_change_under_the_server_are_never_served_wrong,
        files_that_are_overwritten_are_never_served_wrong_where_they_are_read,
        files_that_are_cut_short_while_they_are_sent_leave_their_answers_short,
        a_thousand_reloads_lose_and_mix_nothing,
        what_the_build_did_not_compress_is_compressed_later,
        a_cdn_that_fails_is_stood_in_for,
        sizes_and_times_are_checked
    ]
}

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn without_memory_all_is_served_from_files() {
    let site = Site::new()
        .asset("css/a.css", long_stylesheet())
        .asset("img/a.bin", noise(1, 300_000))
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}");
    let dist = site.build(&[]);
    let server = site.serve(&[&LISTEN[..], &["--memory", "0"]].concat());
    for name in ["css/a.css", "img/a.bin"] {
        let (file, url) = (dist.named(name), format!("/{}", dist.named(name)));
        let plain = get(&server.address, &url, &[]);
        assert!(plain.status == 200 && plain.body == dist.bytes(&file), "{name}");
        let part = get(&server.address, &url, &[("range", "bytes=100-1099")]);
        assert_eq!((part.status, &part.body[..]), (206, &dist.bytes(&file)[100..1100]));
        let parts = get(&server.address, &url, &[("range", "bytes=0-9,-10")]);
        assert_eq!(parts.status, 206);
        assert!(parts.body.windows(10).any(|window| window == &dist.bytes(&file)[..10]));
    }
    let css = dist.named("css/a.css");
    for (token, extension) in [("br", "br"), ("zstd", "zst"), ("gzip", "gz")] {
        let coded = get(&server.address, &format!("/{css}"), &[("accept-encoding", token)]);
        assert_eq!(coded.header("content-encoding"), Some(token));
        assert!(coded.body == dist.bytes(&format!("{css}.{extension}")), "{token}");
    }
}

fn lazy_site() -> Site {
    Site::new()
        .asset("css/a.css", format!("{}.one {{ color: red }}", long_stylesheet()))
        .asset("js/app.ts", "document.onclick = () => import('./later.ts');\n")
        .asset("js/later.ts", "console.log('the first of all');\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css', 'js/app.ts') }}")
}

/// The file of the one chunk that is loaded later.
fn chunk(dist: &Dist) -> String {
    let chunk = dist.names().into_iter().find(|name| name.contains("/later-") && name.ends_with(".js"));
    chunk.unwrap_or_else(|| panic!("no chunk in {:#?}", dist.names()))
}

fn an_old_chunk_outlives_its_release() {
    let site = lazy_site();
    let first = site.build(&[]);
    for memory in ["256 MiB", "100 B", "0"] {
        let server = site.serve(&[&LISTEN[..], &["--memory", memory]].concat());
        let old = [chunk(&first), first.named("css/a.css")];
        let kept: Vec<_> = old.iter().map(|file| get(&server.address, &format!("/{file}"), &[])).collect();
        site.write("assets/js/later.ts", format!("console.log('the second {memory}');\n"));
        site.write("assets/css/a.css", format!("{}.two {{ color: blue }}", long_stylesheet()));
        let second = site.build(&[]);
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        for (file, before) in old.iter().zip(kept) {
            assert!(!second.names().contains(file), "it is gone from the build");
            let after = get(&server.address, &format!("/{file}"), &[]);
            assert_eq!((after.status, &after.body[..]), (200, first.bytes(file)), "{memory}: {file}");
            for name in ["cache-control", "content-type", "etag", "vary"] {
                assert_eq!(after.header(name), before.header(name), "{name}");
            }
            let coded = get(&server.address, &format!("/{file}"), &[("accept-encoding", "br")]);
            match first.names().contains(&format!("{file}.br")) {
                true => assert_eq!(coded.body, first.bytes(&format!("{file}.br")), "{memory}: {file}"),
                false => assert_eq!(coded.body, first.bytes(file)),
            }
        }
        assert!(get(&server.address, "/static/css/a.css", &[]).text().contains(".two"), "the name leads on");
        let page = get(&server.address, "/", &[]).text();
        assert!(page.contains(&second.named("css/a.css")) && !page.contains(&old[1]));
        site.write("assets/js/later.ts", "console.log('the first of all');\n");
        site.write("assets/css/a.css", format!("{}.one {{ color: red }}", long_stylesheet()));
        site.build(&[]);
    }
}

/// Builds with another lazy chunk, and gives its path.
fn build_with(site: &Site, text: &str) -> (Dist, String) {
    site.write("assets/js/later.ts", format!("console.log('{text}');\n"));
    let dist = site.build(&[]);
    let chunk = chunk(&dist);
    (dist, chunk)
}

fn stop(mut server: crate::site::Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
}

const KEPT: &str = ".fingerpost-served";

/// Waits until what is served is noted.
fn wait_until_noted(site: &Site) {
    let manifest = fs::read_to_string(site.root().join("dist/.fingerpost/manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let first = format!("[{}", manifest["release"]);
    let late = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(site.root().join(KEPT).join("served.json")).is_ok_and(|text| text.starts_with(&first)) {
        assert!(Instant::now() < late, "it is not noted");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn an_old_chunk_outlives_a_restart() {
    let site = lazy_site();
    let (first_dist, first) = build_with(&site, &"the first of all ".repeat(200));
    let server = site.serve(&LISTEN);
    let before = get(&server.address, &format!("/{first}"), &[]);
    wait_until_noted(&site);
    // Without a word, and the build is replaced before anybody could look.
    drop(server);
    let (_, second) = build_with(&site, "the second");
    let server = site.serve(&LISTEN);
    let check = |server: &crate::site::Server| {
        let after = get(&server.address, &format!("/{first}"), &[]);
        assert_eq!((after.status, &after.body), (200, &before.body));
        for name in ["cache-control", "content-type", "etag", "vary"] {
            assert_eq!(after.header(name), before.header(name), "{name}");
        }
        let coded = get(&server.address, &format!("/{first}"), &[("accept-encoding", "br")]);
        assert_eq!(
            (coded.header("content-encoding"), &coded.body[..]),
            (Some("br"), first_dist.bytes(&format!("{first}.br")))
        );
    };
    check(&server);
    // One after a reload, and then another start.
    build_with(&site, "the third");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    wait_until_noted(&site);
    stop(server);
    let server = site.serve(&LISTEN);
    check(&server);
    assert_eq!(get(&server.address, &format!("/{second}"), &[]).status, 200);
    stop(server);
    // What is damaged is never served; the rest is.
    let path = site.root().join(KEPT).join("files").join(&first);
    let length = fs::metadata(&path).expect("it is kept").len();
    fs::write(&path, vec![b'x'; length as usize]).expect("written");
    let server = site.serve(&LISTEN);
    assert_eq!(get(&server.address, &format!("/{first}"), &[]).status, 404);
    assert_eq!(get(&server.address, &format!("/{second}"), &[]).status, 200);
}

fn what_is_kept_for_the_next_start_is_cleaned_up() {
    let site = lazy_site().config("[serve]\nkeep_releases = 1\n");
    let mut chunks = Vec::new();
    for text in ["one", "two", "three"] {
        chunks.push(build_with(&site, text).1);
        let server = site.serve(&LISTEN);
        wait_until_noted(&site);
        stop(server);
    }
    let is_kept = |file: &String| site.root().join(KEPT).join("files").join(file).exists();
    assert_eq!(chunks.iter().map(is_kept).collect::<Vec<_>>(), [false, true, true]);
    let records = fs::read_dir(site.root().join(KEPT)).expect("a folder").flatten();
    let records = records.filter(|entry| entry.file_name().to_string_lossy().len() == "0123456789abcdef.json".len());
    assert_eq!(records.count(), 2);
    let statuses = |config: &str| {
        site.write("fingerpost.toml", config);
        let server = site.serve(&LISTEN);
        let statuses = chunks.iter().map(|chunk| get(&server.address, &format!("/{chunk}"), &[]).status);
        statuses.collect::<Vec<_>>()
    };
    assert_eq!(statuses("[serve]\nkeep_releases = 1\n"), [404, 200, 200]);
    assert_eq!(statuses("[serve]\nkeep_in = 'none'\n"), [404, 404, 200]);
    // A folder that is somebody else's is left alone.
    site.write("mine/files/a.txt", "mine");
    site.write("fingerpost.toml", "[serve]\nkeep_in = 'mine'\n");
    let server = site.serve(&LISTEN);
    server.wait_for("not kept");
    assert!(server.wait_for("mine").contains("holds something else"), "{}", server.said());
    assert_eq!(fs::read_to_string(site.root().join("mine/files/a.txt")).expect("it is there"), "mine");
}

/// A connection that is used for as long as it lasts.
struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(address: &str) -> Self {
        Client { address: address.to_owned(), stream: None }
    }

    /// Status and body; none if the connection ended before the body did.
    fn get(&mut self, path: &str) -> Option<(u16, Vec<u8>)> {
        let answer = self.try_get(path);
        if answer.is_none() {
            self.stream = None;
        }
        answer
    }

    fn try_get(&mut self, path: &str) -> Option<(u16, Vec<u8>)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address).expect("a connection");
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
                none.insert(BufReader::new(stream))
            }
        };
        // In one piece: the second of two would wait for the first's acknowledgement.
        stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = None;
        loop {
            line.clear();
            stream.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length?];
        stream.read_exact(&mut body).ok()?;
        Some((status, body))
    }
}

fn files_that_change_under_the_server_are_never_served_wrong() {
    changes_under_the_server(true, &["removed", "replaced", "touched"]);
}

/// Nothing can be done about what is overwritten or cut short in place while the system sends it: its queues hold the file's own memory.
fn files_that_are_overwritten_are_never_served_wrong_where_they_are_read() {
    changes_under_the_server(false, &["truncated", "removed", "replaced", "overwritten", "backdated", "touched"]);
}

/// By `sendfile`, as is usual. What the system has been handed already is the file's own memory, and behind the new end a part of that is
/// made blank; no other byte is wrong, and no answer is as long as it says.
fn files_that_are_cut_short_while_they_are_sent_leave_their_answers_short() {
    // More than lies in sockets.
    const LENGTH: usize = 16 << 20;
    let site = Site::new().asset("a.bin", noise(1, LENGTH));
    let dist = site.build(&[]);
    let (url, whole) = (format!("/{}", dist.named("a.bin")), dist.bytes(&dist.named("a.bin")));
    let path = site.root().join("dist").join(dist.named("a.bin"));
    let server = site.serve(&[&LISTEN[..], &["--memory", "0"]].concat());
    // Both ways on which a file is sent: past hyper, and through it.
    for line in ["", "connection: close\r\n"] {
        for length in [0, 100, LENGTH / 2, LENGTH - 1] {
            let mut stream = TcpStream::connect(&server.address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 64 << 10).expect("a small buffer");
            stream.write_all(format!("GET {url} HTTP/1.1\r\nhost: a\r\n{line}\r\n").as_bytes()).expect("a request");
            let mut answer = vec![0; 1000];
            stream.read_exact(&mut answer).expect("the first bytes");
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_len(length as u64).expect("cut");
            // A reset is an end, too.
            let _ = stream.read_to_end(&mut answer);
            let (head, body) =
                answer.split_at(answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4);
            let head = String::from_utf8_lossy(head);
            assert!(
                head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {LENGTH}\r\n")),
                "{head}"
            );
            assert!(body.len() < LENGTH, "cut at {length}, it is whole");
            let kept = body.len().min(length);
            assert!(body[..kept] == whole[..kept], "cut at {length}, wrong bytes before that");
            let is_wrong = |(byte, right): (&u8, &u8)| byte != right && *byte != 0;
            assert!(!body.iter().zip(whole).any(is_wrong), "cut at {length}, wrong bytes behind that");
            assert_eq!(get(&server.address, &url, &[]).status, 503, "cut at {length}");
            fs::write(&path, whole).expect("restored");
            let again = get(&server.address, &url, &[]);
            assert!(again.status == 200 && again.body == whole, "restored after {length}: {}", again.status);
        }
    }
}

fn changes_under_the_server(sendfile: bool, names: &[&'static str]) {
    let site = Site::new().config(&format!("[serve]\nsendfile = {sendfile}\n"));
    let site = names.iter().fold(site, |site, name| {
        // Of several sizes, so that some are read in one piece.
        let length = 20_000 + 150_000 * name.len();
        site.asset(&format!("{name}.bin"), [noise(1, length), name.as_bytes().to_vec()].concat())
    });
    let dist = site.build(&[]);
    let server = site.serve(&[&LISTEN[..], &["--memory", "0"]].concat());
    let stop = AtomicBool::new(false);
    let (right, refused, cut) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let last: Mutex<BTreeMap<&str, u16>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (dist, stop) = (&dist, &stop);
            let (right, refused, cut, last) = (&right, &refused, &cut, &last);
            let mut client = Client::new(&server.address);
            scope.spawn(move || {
                for turn in worker.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = names[turn % names.len()];
                    let file = dist.named(&format!("{name}.bin"));
                    match client.get(&format!("/{file}")) {
                        Some((200, body)) => {
                            assert!(body == dist.bytes(&file), "wrong bytes of {name}");
                            right.fetch_add(1, Ordering::Relaxed);
                            last.lock().expect("a lock").insert(name, 200);
                        }
                        Some((status, _)) => {
                            assert_eq!(status, 503, "{name}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            last.lock().expect("a lock").insert(name, status);
                        }
                        None => {
                            cut.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        for round in 0..12 {
            std::thread::sleep(Duration::from_millis(150));
            for name in names.iter().copied() {
                let file = dist.named(&format!("{name}.bin"));
                let path = site.root().join("dist").join(&file);
                let whole = dist.bytes(&file);
                let other: Vec<u8> = whole.iter().map(|byte| !byte).collect();
                let is_odd = round % 2 == 1;
                match name {
                    // What was cut off comes back, and with it the right bytes.
                    "truncated" if is_odd => fs::write(&path, whole).expect("restored"),
                    "truncated" => {
                        fs::File::options().write(true).open(&path).expect("a file").set_len(100).expect("cut")
                    }
                    "removed" if round == 0 => fs::remove_file(&path).expect("removed"),
                    "replaced" => {
                        let new = path.with_extension("new");
                        fs::write(&new, &other).expect("another file");
                        fs::rename(new, &path).expect("replaced");
                    }
                    "overwritten" => fs::write(&path, if is_odd { whole } else { &other }).expect("overwritten"),
                    "backdated" => {
                        let time = fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
                        let mut open = fs::File::options().write(true).open(&path).expect("a file");
                        open.write_all(if is_odd { whole } else { &other }).expect("overwritten");
                        open.set_modified(time).expect("the old time");
                    }
                    "touched" => {
                        let open = fs::File::options().write(true).open(&path).expect("a file");
                        open.set_modified(std::time::SystemTime::now()).expect("another time");
                    }
                    _ => {}
                }
            }
        }
        // All hold the right bytes again, or the old file is still open.
        std::thread::sleep(Duration::from_millis(500));
        last.lock().expect("a lock").clear();
        std::thread::sleep(Duration::from_millis(1000));
        stop.store(true, Ordering::Relaxed);
    });
    let last = last.into_inner().expect("a lock");
    assert!(names.iter().all(|name| last.get(name) == Some(&200)), "{last:?}");
    let (right, refused) = (right.into_inner(), refused.into_inner());
    assert!(right > 100 && (sendfile || refused > 10), "{right} right, {refused} refused, {} cut", cut.into_inner());
}

fn a_thousand_reloads_lose_and_mix_nothing() {
    let site = Site::new().config("[build]\nout = 'next'\n").asset("css/a.css", "a { color: red }").template(
        "index.html",
        "<!doctype html><html><head><meta charset=utf-8><meta name='fingerpost:release' content=''>\
         {{ asset_tags('css/a.css') }}</head></html>",
    );
    let mut sheets = BTreeMap::new();
    for (release, color) in [("a", "red"), ("b", "blue")] {
        site.write("assets/css/a.css", format!("a{{color:{color}}}{}", long_stylesheet()));
        let run = site.run(&["build"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let next = site.root().join("next");
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(next.join(".fingerpost/manifest.json")).expect("a manifest"))
                .expect("JSON");
        let file = manifest["entries"]["css/a.css"]["file"].as_str().expect("a file").to_owned();
        let text = fs::read(next.join(&file)).expect("a sheet");
        sheets.insert(manifest["release"].as_str().expect("a release").to_owned(), (file, text));
        fs::rename(&next, site.root().join(release)).expect("kept");
    }
    let current = site.root().join("current");
    std::os::unix::fs::symlink("a", &current).expect("a link");
    let server = site.serve(&[&LISTEN[..], &["--out", "current"]].concat());
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    let mut reloads = 0;
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|_| {
                let (stop, asked, sheets) = (&stop, &asked, &sheets);
                let mut client = Client::new(&server.address);
                scope.spawn(move || {
                    let mut seen = BTreeMap::<String, usize>::new();
                    while !stop.load(Ordering::Relaxed) {
                        let (status, page) = client.get("/").expect("an answer");
                        assert_eq!(status, 200);
                        let page = String::from_utf8(page).expect("text");
                        let (release, (file, text)) =
                            sheets.iter().find(|(release, _)| page.contains(release.as_str())).expect("one of the two");
                        assert!(page.contains(file.as_str()), "the page is of {release}, its sheet is not: {page}");
                        let (status, sheet) = client.get(&format!("/{file}")).expect("an answer");
                        assert!(status == 200 && sheet == *text, "{status} for a sheet of {release}");
                        *seen.entry(release.clone()).or_default() += 1;
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    seen
                })
            })
            .collect();
        while reloads < 1000 && started.elapsed() < Duration::from_secs(60) {
            let link = site.root().join("link");
            std::os::unix::fs::symlink(["b", "a"][reloads % 2], &link).expect("a link");
            fs::rename(&link, &current).expect("switched");
            server.signal(Signal::HUP);
            server.wait_for("reloaded");
            reloads += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for asker in askers {
            assert_eq!(asker.join().expect("no answer failed").len(), 2, "both releases are seen");
        }
    });
    assert!(reloads >= 1000, "{reloads} reloads in a minute");
    assert!(asked.into_inner() > 1000);
}

fn what_the_build_did_not_compress_is_compressed_later() {
    let site = Site::new()
        .asset("css/a.css", long_stylesheet())
        .template("index.html", format!("<!doctype html><title>t</title>{}", "<p>text</p>".repeat(100)));
    let dist = site.build(&["--no-compress"]);
    let css = dist.named("css/a.css");
    let server = site.serve(&LISTEN);
    let ask = |address: &str, path: &str| get(address, path, &[("accept-encoding", "br")]);
    let url = format!("/{css}");
    let late = Instant::now() + Duration::from_secs(30);
    let coded = loop {
        let answer = ask(&server.address, &url);
        if answer.header("content-encoding") == Some("br") {
            break answer;
        }
        assert!(Instant::now() < late, "still not compressed");
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut plain = Vec::new();
    brotli::BrotliDecompress(&mut coded.body.as_slice(), &mut plain).expect("brotli");
    assert_eq!(plain, dist.bytes(&css));
    assert_eq!(coded.header("vary"), Some("accept-encoding"));
    assert_eq!(ask(&server.address, "/").header("content-encoding"), Some("br"));

    site.write("fingerpost.toml", "[serve]\ncompress = false\n");
    let server = site.serve(&LISTEN);
    std::thread::sleep(Duration::from_millis(500));
    for path in [url.as_str(), "/"] {
        assert_eq!(ask(&server.address, path).header("content-encoding"), None, "{path}");
    }
}

/// What a CDN of the test does.
const RIGHT: u8 = 0;
const WRONG: u8 = 1;
const SILENT: u8 = 2;
const GONE: u8 = 3;

/// Serves the files of a folder, by the mode that it is in.
fn cdn(listener: TcpListener, folder: std::path::PathBuf, mode: Arc<AtomicU8>) {
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let mut body = fs::read(folder.join(path)).unwrap_or_default();
            match mode.load(Ordering::Relaxed) {
                GONE => continue,
                SILENT => {
                    silent.push(stream);
                    continue;
                }
                WRONG => body.iter_mut().for_each(|byte| *byte = !*byte),
                _ => {}
            }
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
    });
}

fn a_cdn_that_fails_is_stood_in_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/", listener.local_addr().expect("an address"));
    let site = Site::new()
        .config(&format!(
            "[env.production]\nasset_base = '{base}'\n\
             failover = {{ interval = 0.1, timeout = 0.4, fail_after = 2, recover_after = 2 }}\n"
        ))
        .asset("css/a.css", long_stylesheet())
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}");
    let css = site.build(&[]).named("css/a.css");
    let mode = Arc::new(AtomicU8::new(RIGHT));
    cdn(listener, site.root().join("dist"), Arc::clone(&mode));
    let server = site.serve(&[&LISTEN[..], &["-e", "production", "--admin", "0"]].concat());
    let page = || get(&server.address, "/", &[]).text();
    let metrics = || {
        let text = get(&server.admin, "/metrics", &[]).text();
        ["failover_active", "failovers_total"].map(|name| {
            let name = format!("fingerpost_{name}{{environment=\"production\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
        })
    };
    let (theirs, ours) = (format!("\"{base}{css}\""), format!("\"/{css}\""));
    let by_cdn = |page: &str| page.contains(&theirs) && page.contains("crossorigin");
    let by_itself =
        |page: &str| (page.contains(&ours) || page.contains(&ours.replace('"', ""))) && !page.contains(&base);
    assert!(by_cdn(&page()), "{}", page());
    assert_eq!(metrics(), [Some(0.0), Some(0.0)], "before anything has happened");
    let troubles = [(WRONG, "other bytes"), (SILENT, "not answered in time"), (GONE, "failed 2 times")];
    for ((trouble, reason), times) in troubles.into_iter().zip([1.0, 2.0, 3.0]) {
        mode.store(trouble, Ordering::Relaxed);
        let line = server.wait_for("warning: assets are served from here");
        assert!(line.contains(reason) && line.contains(&base), "{line}");
        assert_eq!(metrics(), [Some(1.0), Some(times)]);
        assert!(by_itself(&page()), "{}", page());
        assert_eq!(get(&server.address, &format!("/{css}"), &[]).status, 200);
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        assert!(by_itself(&page()), "a reload does not bring it back: {}", page());
        mode.store(RIGHT, Ordering::Relaxed);
        server.wait_for("again: it answered 2 times");
        assert_eq!(metrics(), [Some(0.0), Some(times)]);
        assert!(by_cdn(&page()), "{}", page());
    }
    site.write("fingerpost.toml", format!("[env.production]\nasset_base = '{base}'\nfailover = false\n"));
    mode.store(GONE, Ordering::Relaxed);
    let server = site.serve(&[&LISTEN[..], &["-e", "production"]].concat());
    std::thread::sleep(Duration::from_millis(500));
    assert!(by_cdn(&get(&server.address, "/", &[]).text()));
}

fn sizes_and_times_are_checked() {
    let site = Site::new().template("index.html", "<!doctype html><title>t</title>");
    let run = site.run(&[&LISTEN[..], &["--memory", "lots"]].concat());
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("write bytes as a number"), "{}", run.stderr);
    for (config, want) in [
        ("[serve]\nmemory = 'lots'", "`lots` is no size"),
        ("[serve]\nmemroy = 1", "did you mean `memory`?"),
        ("[serve]\nkeep_releases = -1", "-1"),
        ("[serve]\nkeep_in = '.'", "`.` is no folder below the root"),
        ("[serve]\nkeep_in = 'dist/kept'", "the folder for files of earlier releases and `out` overlap"),
        ("[env.x]\nfailover = { interval = 0 }", "`interval` of `failover` can't be 0 seconds"),
        ("[env.x]\nfailover = { fail_after = 0 }", "`fail_after` of `failover` can't be 0"),
        ("[env.x]\nfailover = 'yes'", "`failover` is `true`, `false` or a table"),
    ] {
        site.write("fingerpost.toml", config);
        let run = site.run(&LISTEN);
        assert_eq!(run.code, Some(2), "{config}: {}", run.stderr);
        assert!(run.stderr.replace('\n', " ").contains(want), "{config}: {}", run.stderr);
    }
}

//! What an answer costs the server, beside nginx, lighttpd, h2o, static-web-server and a bare hyper program.
//!
//! `cargo bench --bench serve -- [CASE…]`: all cases, or those whose names begin so. One server at a time has one core, and who asks
//! has the other; all servers take turns in each round, and the figures are medians of `FINGERPOST_BENCH_RUNS` rounds (7) of
//! `FINGERPOST_BENCH_SECONDS` seconds each (2). `FINGERPOST_BENCH_BINARY` and `FINGERPOST_BENCH_BARE` are other programs to measure than
//! this commit's.

mod latency;
mod load;
mod peers;
#[path = "../processes.rs"]
mod processes;
mod proxy;
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fingerpost::manifest::Manifest;
use load::{Ask, HTTP1_CONNECTIONS, HTTP2_CONNECTIONS, HTTP2_STREAMS, once, run};
use peers::{CLIENT, Ground, Peer, Protocol, Running, SERVER};

/// Something to ask for.
struct Case {
    name: &'static str,
    protocol: Protocol,
    /// A logical path.
    file: &'static str,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Plain,
    /// With the entity tag that the server gave.
    Known,
    Brotli,
    Range,
}

const CASES: [Case; 10] = [
    Case { name: "1 KB", protocol: Protocol::Http1, file: "a1k.jpg", how: How::Plain },
    Case { name: "10 KB", protocol: Protocol::Http1, file: "a10k.jpg", how: How::Plain },
    Case { name: "100 KB", protocol: Protocol::Http1, file: "a100k.jpg", how: How::Plain },
    Case { name: "304", protocol: Protocol::Http1, file: "a10k.jpg", how: How::Known },
    Case { name: "brotli, 10 KB packed", protocol: Protocol::Http1, file: "text.txt", how: How::Brotli },
    Case { name: "range, 1 KB of 100", protocol: Protocol::Http1, file: "a100k.jpg", how: How::Range },
    Case { name: "1 MB", protocol: Protocol::Http1, file: "a1m.jpg", how: How::Plain },
    Case { name: "10 MB", protocol: Protocol::Http1, file: "a10m.jpg", how: How::Plain },
    Case { name: "h2 1 KB", protocol: Protocol::Http2, file: "a1k.jpg", how: How::Plain },
    Case { name: "h2 10 KB", protocol: Protocol::Http2, file: "a10k.jpg", how: How::Plain },
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted.as_str()));
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (rounds, seconds) = (number("FINGERPOST_BENCH_RUNS", 7), number("FINGERPOST_BENCH_SECONDS", 2) as u64);
    let program = std::env::var_os("FINGERPOST_BENCH_BINARY").unwrap_or(env!("CARGO_BIN_EXE_fingerpost").into());
    let bare = bare();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Servers that give up their privileges have to read below it.
    open_to_all(scratch.path());
    let out = scratch.path().join("site/dist");
    make_site(Path::new(&program), scratch.path().join("site"));
    let ground = Ground { program: Path::new(&program), bare: &bare, out: &out, scratch: scratch.path() };
    for peer in Peer::ALL {
        match peer.version(&ground) {
            Ok(version) => println!("{}: {version}", peer.name()),
            Err(missing) => println!("{}: not measured; {missing}", peer.name()),
        }
    }
    pin();
    println!(
        "\nCPU µs of the server for each answer; medians of {rounds} rounds of {seconds} s. Server on core {SERVER}, client on core \
         {CLIENT};\nHTTP/1.1: wrk with {HTTP1_CONNECTIONS} connections; h2 (over plain TCP): h2load with {HTTP2_CONNECTIONS} \
         connections of {HTTP2_STREAMS} streams.\n"
    );
    let names: Vec<&str> = Peer::ALL.iter().map(|peer| peer.name()).collect();
    println!("| case | {} | to nginx | to bare | to lighttpd |", names.join(" | "));
    println!("|---|{}", "--:|".repeat(names.len() + 3));
    for case in CASES.iter().filter(|case| is_wanted(case.name)) {
        println!("{}", row(case, &measure(&ground, case, rounds, seconds)));
    }
    if is_wanted("proxy") {
        behind(&ground, rounds, seconds);
    }
    if is_wanted("latency") {
        latency(&ground, rounds);
    }
    if is_wanted("idle") {
        idle(&ground);
    }
    if is_wanted("start") {
        start(&ground, rounds);
    }
}

/// A page of an application, with its asset URLs rewritten.
fn behind(ground: &Ground<'_>, rounds: usize, seconds: u64) {
    match proxy::measure(ground, rounds, seconds) {
        Ok((ours, nginx)) => {
            let (ours, nginx) = (median(ours.into_iter()), median(nginx.into_iter()));
            println!(
                "\nproxy, a page of 30 KB with 40 asset URLs: {ours:.1} µs, nginx with sub_filter {nginx:.1} µs: {:.2}",
                ours / nginx
            );
        }
        Err(missing) => println!("\nproxy: not measured; {missing}"),
    }
}

/// The bare program, optimised.
fn bare() -> PathBuf {
    if let Some(program) = std::env::var_os("FINGERPOST_BENCH_BARE") {
        return program.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--release", "--example", "bare"])
        .current_dir(root)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "`benches/serve/bare.rs` does not build");
    root.join("target/release/examples/bare")
}

/// All that this process asks, it asks from the client's core.
fn pin() {
    let own = std::process::id().to_string();
    let out = Command::new("taskset").args(["--cpu-list", "--pid", CLIENT, &own]).output();
    assert!(out.is_ok_and(|out| out.status.success()), "needs `taskset` (util-linux) and two cores");
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its owner may");
}

fn make_site(program: &Path, root: PathBuf) {
    let assets = root.join("assets");
    fs::create_dir_all(&assets).expect("a folder");
    fs::create_dir_all(root.join("templates")).expect("a folder");
    fs::write(root.join("templates/index.html"), "<!doctype html><title>bench</title><p>hello").expect("a file");
    for (name, length) in
        [("a1k", 1_000), ("a10k", 10_000), ("a100k", 100_000), ("a1m", 1_000_000), ("a10m", 10_000_000)]
    {
        fs::write(assets.join(format!("{name}.jpg")), site::noise_of(length)).expect("a file");
    }
    fs::write(assets.join("text.txt"), site::text_of(36_000)).expect("a file");
    let status = Command::new(program).args(["build", "--quiet", "--root"]).arg(&root).status();
    assert!(status.is_ok_and(|status| status.success()), "the site is built");
}

/// The path of a file, given its logical path.
fn path_of(ground: &Ground<'_>, logical: &str) -> String {
    let manifest = Manifest::load(ground.out).expect("a manifest");
    let entry = manifest.entries.iter().find(|(name, _)| name.as_str() == logical).expect("it was built");
    format!("/{}", entry.1.file)
}

/// The case's request, as it has to be made to that server, if the server answers it as it should.
fn ask(server: &Running, case: &Case, path: &str) -> Result<Ask, String> {
    let plain = Ask { path: path.to_owned(), fields: Vec::new() };
    let first = once(server, &plain).map_err(|error| error.to_string())?;
    let fields = match case.how {
        How::Plain => vec![],
        How::Known => vec![("If-None-Match", first.field("etag").ok_or("it gives no entity tag")?.to_owned())],
        How::Brotli => vec![("Accept-Encoding", "br, gzip".to_owned())],
        How::Range => vec![("Range", "bytes=50000-50999".to_owned())],
    };
    let ask = Ask { fields, ..plain };
    let got = once(server, &ask).map_err(|error| error.to_string())?;
    let right = match case.how {
        How::Plain => got.status == 200 && got.length > 900,
        How::Known => got.status == 304 && got.length == 0,
        How::Brotli => got.status == 200 && got.field("content-encoding") == Some("br"),
        How::Range => got.status == 206 && got.length == 1000,
    };
    right.then_some(ask).ok_or(format!("it answers {} with {} bytes", got.status, got.length))
}

/// Microseconds of each round, or why there are none.
type Table = BTreeMap<Peer, Result<Vec<f64>, String>>;

fn measure(ground: &Ground<'_>, case: &Case, rounds: usize, seconds: u64) -> Table {
    let path = path_of(ground, case.file);
    let mut table: Table = Peer::ALL.into_iter().map(|peer| (peer, Ok(Vec::new()))).collect();
    // One round more, to warm up.
    for round in 0..=rounds {
        for (peer, taken) in &mut table {
            let Ok(samples) = taken else { continue };
            let sample = peer.start(ground, case.protocol).and_then(|server| {
                let ask = match case.protocol {
                    Protocol::Http1 => ask(&server, case, &path)?,
                    Protocol::Http2 => Ask { path: path.clone(), fields: Vec::new() },
                };
                run(&server, case.protocol, &ask, if round == 0 { 1 } else { seconds })
            });
            match sample {
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(why) => *taken = Err(why),
            }
        }
    }
    for (peer, taken) in &table {
        if let Err(why) = taken {
            eprintln!("{}, {}: not measured; {}", case.name, peer.name(), why.trim());
        }
    }
    table
}

fn row(case: &Case, table: &Table) -> String {
    let cpu = |peer| table.get(&peer)?.as_ref().ok().map(|taken| median(taken.iter().copied()));
    let figure = |peer: Peer| cpu(peer).map_or("not measured".to_owned(), |us| format!("{us:.2}"));
    let ratio = |peer: Peer| match (cpu(Peer::Fingerpost), cpu(peer)) {
        (Some(own), Some(other)) => format!("{:.2}×", own / other),
        _ => String::new(),
    };
    let figures: Vec<String> = Peer::ALL.into_iter().map(figure).collect();
    let ratios = [Peer::Nginx, Peer::Bare, Peer::Lighttpd].map(ratio);
    format!("| {} | {} | {} |", case.name, figures.join(" | "), ratios.join(" | "))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What one waits at a fixed rate, which each server can hold.
fn latency(ground: &Ground<'_>, rounds: usize) {
    let path = path_of(ground, "a10k.jpg");
    let ask = Ask { path, fields: Vec::new() };
    println!("\nµs until 10 KB are there, over HTTP/1.1 at a fixed rate, counted from when a request was due:\n");
    println!("| requests per second | server | half within | 99 % within | 99.9 % within |\n|--:|---|--:|--:|--:|");
    for rate in [2_000, 10_000] {
        let peers = [Peer::Fingerpost, Peer::Nginx];
        let mut waits = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (peer, waits) in peers.iter().zip(&mut waits) {
                match peer.start(ground, Protocol::Http1) {
                    Ok(server) => waits.push(latency::at_rate(&server, &ask, rate, 64, Duration::from_secs(2))),
                    Err(why) => eprintln!("{}: not measured; {why}", peer.name()),
                }
            }
        }
        for (peer, waits) in peers.iter().zip(&waits) {
            let of = |value: fn(&latency::Waits) -> f64| median(waits.iter().map(value));
            let (p50, p99, p999) = (of(|waits| waits.p50), of(|waits| waits.p99), of(|waits| waits.p999));
            println!("| {rate} | {} | {p50:.0} | {p99:.0} | {p999:.0} |", peer.name());
        }
    }
}

/// What a connection takes that nothing comes over.
fn idle(ground: &Ground<'_>) {
    const COUNT: usize = 10_000;
    let path = path_of(ground, "a1k.jpg");
    println!("\nBytes of the server's memory for each of {COUNT} idle connections:\n");
    println!("| server | before its first request | after it |\n|---|--:|--:|");
    for peer in Peer::ALL {
        let server = match peer.start(ground, Protocol::Http1) {
            Ok(server) => server,
            Err(why) => {
                eprintln!("{}: not measured; {why}", peer.name());
                continue;
            }
        };
        // Long enough for memory to be given back: connections rest after a second or two.
        let settle = || std::thread::sleep(Duration::from_secs(8));
        let _ = once(&server, &Ask { path: path.clone(), fields: Vec::new() });
        settle();
        let none = server.memory();
        let connect = |_| std::net::TcpStream::connect(server.address());
        let mut connections = match (0..COUNT).map(connect).collect::<Result<Vec<_>, _>>() {
            Ok(connections) => connections,
            Err(error) => {
                eprintln!("{}: not measured; {error}: raise the limit of open files (`ulimit -n`)", peer.name());
                continue;
            }
        };
        settle();
        let each = |memory: u64| memory.saturating_sub(none) / COUNT as u64;
        let before = each(server.memory());
        if let Err(error) = connections.iter_mut().try_for_each(|stream| load::ask_on(stream, &path)) {
            eprintln!("{}: not measured; it does not answer all: {error}", peer.name());
            continue;
        }
        settle();
        println!("| {} | {before} | {} |", peer.name(), each(server.memory()));
    }
}

/// How long until a large site is served.
fn start(ground: &Ground<'_>, rounds: usize) {
    let shape = site::Shape { files: 100_000, bytes: 2 << 30 };
    let out = ground.scratch.join("large/dist");
    site::make(&out, shape);
    let large = Ground { out: &out, ..*ground };
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let server = Peer::Fingerpost.start(&large, Protocol::Http1).expect("it starts");
        let answered = once(&server, &Ask { path: "/".to_owned(), fields: Vec::new() }).expect("it answers");
        assert_eq!(answered.status, 200);
        taken.push((start.elapsed().as_secs_f64(), server.cpu() as f64 / 1e9, server.memory() >> 20));
    }
    let (wall, cpu) = (median(taken.iter().map(|taken| taken.0)), median(taken.iter().map(|taken| taken.1)));
    let memory = median(taken.iter().map(|taken| taken.2 as f64));
    println!(
        "\n{} files of 2 GiB: the first answer after {wall:.2} s on one core, {cpu:.2} s of CPU, {memory:.0} MiB of memory.",
        shape.files
    );
}

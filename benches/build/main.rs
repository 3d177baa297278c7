//! How long a build takes, beside programs that do the same: `cargo bench --bench build`, with the names of cases to run only those.
//!
//! Both sides of a case take turns, so that what else the machine does meets both. What is shown is the median of the runs;
//! `FINGERPOST_BENCH_RUNS` says of how many, and `FINGERPOST_BENCH_BINARY` which program to measure in the place of this one.

mod measure;
mod peers;
mod sites;
#[path = "../time.rs"]
mod time;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use measure::{Contender, Each, Measured, alternate};
use sites::Site;

/// Who or what was measured, and what it took.
type Rows = Vec<(String, Measured)>;

type Case = fn() -> Rows;

/// The fewest runs whose median says something.
const RUNS: usize = 5;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Err(reason) = peers::install().and_then(|()| time::check()) {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    let program = program();
    println!(
        "{}, {} cores",
        peers::versions(&program).join(", "),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!("medians of {} runs, both sides in turn; wall and CPU in seconds, memory at its peak\n", runs());
    println!("{}", measure::HEAD);
    for (name, case) in CASES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            print_case(name, case());
        }
    }
    ExitCode::SUCCESS
}

const CASES: [(&str, Case); 5] = [
    ("three10x", three_ten_times),
    ("small", small_site),
    ("again", second_build),
    ("many", many_assets),
    ("brotli", compressed),
];

/// Each row beside the first, which is ours.
fn print_case(name: &str, rows: Rows) {
    for (who, measured) in &rows {
        println!("{}", measured.row(name, who, &rows[0].1));
    }
    println!();
}

fn runs() -> usize {
    let runs = std::env::var("FINGERPOST_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok());
    runs.unwrap_or(RUNS)
}

fn program() -> PathBuf {
    let other = std::env::var_os("FINGERPOST_BENCH_BINARY").map(PathBuf::from);
    other.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_fingerpost")))
}

/// A build of ours with nothing left from the one before.
fn ours(site: &Site, arguments: &[&str]) -> Contender {
    let mut command = Command::new(program());
    command.args(["build", "--quiet", "--cache", "none", "--root"]).arg(site.root()).args(arguments);
    Contender::new("fingerpost", command, site.root().join("dist"))
}

fn esbuild(site: &Site, entries: &[&str]) -> Contender {
    let mut command = Command::new(peers::esbuild());
    command.current_dir(site.root()).args(entries);
    command.args([
        "--bundle",
        "--minify",
        "--sourcemap=external",
        "--format=esm",
        "--log-level=error",
        "--outdir=out/esbuild",
    ]);
    Contender::new("esbuild", command, site.root().join("out/esbuild"))
}

fn vite(site: &Site) -> Contender {
    let mut command = Command::new("node");
    command.current_dir(site.root()).arg(peers::vite()).args(["build", "--logLevel", "error"]);
    Contender::new("vite", command, site.root().join("out/vite"))
}

/// esbuild's own benchmark: the sources of three.js ten times, with source maps.
fn three_ten_times() -> Rows {
    let site = Site::three_ten_times();
    alternate(runs(), &[ours(&site, &["--no-compress"]), esbuild(&site, &["assets/js/entry.js"]), vite(&site)])
}

/// What a site of today has: a framework's styles, three libraries, twenty modules of its own, a page.
fn small_site() -> Rows {
    let site = Site::small();
    let entries = ["assets/js/entry.js", "assets/css/site.css"];
    alternate(runs(), &[ours(&site, &["--no-compress"]), esbuild(&site, &entries), vite(&site)])
}

/// The whole build of a site, and the one after an edit of one module.
fn second_build() -> Rows {
    let site = Site::application();
    let cache = site.root().join("cache");
    let mut edits = 0;
    let mut build = |edit: bool| {
        match edit {
            true => {
                edits += 1;
                site.edit(edits);
            }
            false => drop(std::fs::remove_dir_all(&cache)),
        }
        let mut command = Command::new(program());
        command.args(["build", "--quiet", "--cache"]).arg(&cache).arg("--root").arg(site.root());
        Contender::new("", command, site.root().join("dist")).run()
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..runs() {
        first.push(build(false));
        second.push(build(true));
    }
    let sizes = measure::Sizes::of(&site.root().join("dist"));
    vec![
        ("first build".to_owned(), Measured::median(first, sizes)),
        ("after an edit".to_owned(), Measured::median(second, sizes)),
    ]
}

/// What each small asset costs, and whether that stays so when there are many.
fn many_assets() -> Rows {
    let counts = [1_000, 10_000, 100_000];
    let measured = counts.map(|count| {
        let site = Site::many(count);
        alternate(runs(), &[ours(&site, &["--no-compress"])]).remove(0).1
    });
    let each: Vec<Each> = measured.iter().zip(counts).map(|(measured, count)| measured.each(count)).collect();
    let rows = measured.into_iter().zip(counts).zip(&each);
    rows.map(|((measured, count), own)| (format!("{count} assets: {}", own.beside(&each[0])), measured)).collect()
}

/// What compressing takes of a build.
fn compressed() -> Rows {
    let site = Site::three_ten_times();
    let brotli = Site::three_ten_times().config("[compress]\nencodings = ['br']\n");
    let mut rows = alternate(runs(), &[ours(&site, &["--no-compress"]), ours(&brotli, &[])]);
    for (row, name) in rows.iter_mut().zip(["plain", "with brotli"]) {
        row.0 = name.to_owned();
    }
    rows
}

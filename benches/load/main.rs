//! How long it takes until a large site can be served, and what that takes in memory.
//!
//! `cargo bench --bench load -- FILES MIB [DIR]`: makes a site of so many files and mebibytes (100,000 and 2,048 by default) in a
//! folder below `target`, or in DIR to be kept, and loads it: anew, again without a change, and within smaller budgets.

#[path = "../serve/site.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod site;

use std::path::PathBuf;
use std::time::Instant;

use fingerpost::environment::Environment;
use fingerpost::serve::{Current, Policy};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut number = |default| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (files, mebibytes) = (number(100_000), number(2048));
    let shape = site::Shape { files: files as usize, bytes: mebibytes << 20 };
    let kept = arguments.next().map(PathBuf::from);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let out = kept.unwrap_or_else(|| folder.path().join("dist"));
    if !out.exists() {
        let start = Instant::now();
        site::make(&out, shape);
        println!("made {files} files of {mebibytes} MiB in {:.1} s", start.elapsed().as_secs_f64());
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    println!("{:24} {:>8} {:>10} {:>10} {:>12}", "", "seconds", "RSS MiB", "bodies MiB", "B per file");
    for budget in [256u64, 64, 0] {
        let policy = Policy { memory: budget << 20, ..Policy::default() };
        let before = rss();
        let start = Instant::now();
        let load =
            Current::load(out.clone(), vec![Environment::new("development")], Some("development".to_owned()), policy);
        let current = runtime.block_on(load).expect("it loads");
        let report = |what: &str, start: Instant| {
            let seconds = start.elapsed().as_secs_f64();
            // What is freed is given back late.
            std::thread::sleep(std::time::Duration::from_secs(1));
            let (grown, held) = (rss().saturating_sub(before), current.held());
            let overhead = grown.saturating_sub(held) / files.max(1);
            println!("{what:24} {seconds:>8.2} {:>10} {:>10} {overhead:>12}", grown >> 20, held >> 20);
        };
        report(&format!("{budget} MiB"), start);
        let start = Instant::now();
        runtime.block_on(current.reload(None)).expect("it loads again");
        report("  again", start);
    }
    println!("at most {} MiB", status("VmHWM:") >> 20);
}

fn rss() -> u64 {
    status("VmRSS:")
}

/// Bytes, from proc(5).
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

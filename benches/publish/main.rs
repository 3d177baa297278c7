//! What publishing takes, beside s5cmd, rclone and aws-cli: `cargo bench --bench publish -- [s3s-fs|Ceph|memory…]`.
//!
//! In each round everybody publishes the same files to an empty store of its own, then again as they are, then with other times,
//! then with ten of them changed. All take turns, another one first in each round; the figures are medians of `FINGERPOST_BENCH_RUNS` rounds (5).
//! `FINGERPOST_BENCH_BINARY` is another program to measure than this commit's. What the store takes is told apart: it runs on the
//! same cores, so on two of them no wall time is less than half of what both take.

mod peers;
#[path = "../processes.rs"]
mod processes;
mod site;
mod store;
#[path = "../time.rs"]
mod time;

use std::path::Path;
use std::process::ExitCode;

use peers::{Upload, Who};
use site::Site;
use store::{Kind, Store};
use time::Run;

const SMALL: usize = 2000;
const LARGE: usize = 20;
const CHANGED: usize = 10;

const CASES: [&str; 4] = ["first publish", "no change", "other times", "ten changed"];

/// Bytes of the memory that publishing may take, whatever the site's size.
const MOST_MEMORY: f64 = 150.0 * 1024.0 * 1024.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [serve, folder] = &arguments[..]
        && serve == store::SERVE
    {
        store::serve(Path::new(folder));
        return ExitCode::SUCCESS;
    }
    if let Err(reason) = time::check().and_then(|()| peers::install()) {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let rounds = std::env::var("FINGERPOST_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(5);
    println!(
        "{}; {} cores",
        Who::ALL.map(Who::version).join(", "),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!("{SMALL} files of 1 to 20 KB, {LARGE} of 5 MiB, one page; medians of {rounds} rounds, all in turn\n");
    println!("| store | case | who | wall s | to s5cmd | CPU s | to s5cmd | the store's | peak MiB | requests |");
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for kind in [Kind::Folder, Kind::Ceph] {
        if wanted(kind.name()) {
            compare(kind, rounds);
        }
    }
    if wanted("memory") {
        memory();
    }
    ExitCode::SUCCESS
}

/// What one publish took.
#[derive(Clone, Copy)]
struct Taken {
    run: Run,
    /// Seconds on a core.
    store_cpu: f64,
    requests: u64,
}

fn compare(kind: Kind, rounds: usize) {
    let site = Site::new(peers::Who::Fingerpost.program(), SMALL, LARGE, 5 << 20);
    let mut taken: Vec<[Vec<Taken>; CASES.len()]> = Who::ALL.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        let mut stores: Vec<Store> = Vec::new();
        let count = if kind == Kind::Ceph { 1 } else { Who::ALL.len() };
        stores.extend((0..count).map(|_| kind.start()));
        for (case, _) in CASES.into_iter().enumerate() {
            match case {
                0 => {
                    site.forget();
                    site.build();
                }
                2 => site.touch(),
                3 => {
                    site.change(SMALL, CHANGED, round as u64);
                    site.build();
                }
                _ => {}
            }
            for turn in 0..Who::ALL.len() {
                let n = (round + turn) % Who::ALL.len();
                let (who, store) = (Who::ALL[n], &mut stores[n % count]);
                taken[n][case].push(publish(who, store, &site, case == 0));
            }
        }
    }
    for (case, name) in CASES.into_iter().enumerate() {
        let medians: Vec<Taken> = taken.iter().map(|taken| median(&taken[case])).collect();
        let beside = medians[Who::ALL.iter().position(|&who| who == Who::S5cmd).expect("it is one of them")].run;
        for (who, Taken { run, store_cpu, requests }) in Who::ALL.iter().zip(&medians) {
            println!(
                "| {} | {name} | {} | {:.2} | {:.2}× | {:.2} | {:.2}× | {store_cpu:.2} | {:.0} | {requests} |",
                kind.name(),
                who.name(),
                run.wall,
                run.wall / beside.wall,
                run.cpu,
                run.cpu / beside.cpu,
                run.peak_kib / 1024.0,
            );
        }
    }
}

fn publish(who: Who, store: &mut Store, site: &Site, first: bool) -> Taken {
    let prefix = who.name();
    site.publish_to(store, prefix);
    let upload = Upload { site: site.root(), files: &site.files(), first };
    let (requests, cpu) = (store.requests(), store.cpu());
    let run = Run::of(&who.command(store, prefix, &upload));
    Taken { run, store_cpu: store.cpu() - cpu, requests: store.requests() - requests }
}

fn median(taken: &[Taken]) -> Taken {
    let mut requests: Vec<u64> = taken.iter().map(|taken| taken.requests).collect();
    requests.sort_unstable();
    let mut cpu: Vec<f64> = taken.iter().map(|taken| taken.store_cpu).collect();
    cpu.sort_by(f64::total_cmp);
    let run = Run::median(&taken.iter().map(|taken| taken.run).collect::<Vec<_>>());
    Taken { run, store_cpu: cpu[cpu.len() / 2], requests: requests[requests.len() / 2] }
}

/// 10 GB, which is more than may be held in memory; on the disk, both as it was built and as the store keeps it.
fn memory() {
    let site = Site::new(Who::Fingerpost.program(), 0, 10_000, 1 << 20);
    site.build();
    site.drop_sources();
    let mut store = Kind::Folder.start_in(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let Taken { run, requests, .. } = publish(Who::Fingerpost, &mut store, &site, true);
    let peak = run.peak_kib * 1024.0;
    println!(
        "\n10,000 files of 1 MiB: {:.1} s, {:.1} CPU s, {requests} requests, {:.0} MiB at its peak; the most that it may take is {:.0}",
        run.wall,
        run.cpu,
        peak / f64::from(1 << 20),
        MOST_MEMORY / f64::from(1 << 20)
    );
    assert!(peak < MOST_MEMORY, "too much memory");
}

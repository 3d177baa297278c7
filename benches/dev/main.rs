//! How long an edit takes to be seen: `cargo bench --bench dev -- [modules|three10x|memory…]`.
//!
//! All take turns, each on its own copy of the files, with its server and its browser: an edit of a stylesheet and one of a script, from right before
//! the file is written to the moment when the page has it, by the page's own clock. `FINGERPOST_BENCH_RUNS` says of how many edits (20),
//! `FINGERPOST_BENCH_BINARY` which program to measure in the place of this one.

mod browser;
#[path = "../build/peers.rs"]
mod peers;
#[path = "../processes.rs"]
mod processes;
mod sites;
mod who;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use browser::Browser;
use sites::Site;
use who::{Server, Who};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Err(reason) = peers::install() {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    let runs = std::env::var("FINGERPOST_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(20);
    println!("{}", peers::versions(&program()).join(", "));
    println!("{runs} edits each, all in turn; milliseconds, median and 95th percentile\n");
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if is_wanted("modules") {
        runtime.block_on(compare("2,000 modules, 500 stylesheets", || Site::modules(2000, 500), runs));
    }
    if is_wanted("three10x") {
        runtime.block_on(compare("three10x", Site::three_ten_times, runs));
    }
    if is_wanted("memory") {
        memory(1000);
    }
    ExitCode::SUCCESS
}

pub fn program() -> PathBuf {
    let other = std::env::var_os("FINGERPOST_BENCH_BINARY").map(PathBuf::from);
    other.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_fingerpost")))
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// What one contender took, in milliseconds.
#[derive(Default)]
struct Taken {
    /// Until the first page was answered, and until its scripts had run.
    answered: f64,
    started: f64,
    sheet_served: Vec<f64>,
    sheet_seen: Vec<f64>,
    script_seen: Vec<f64>,
    memory: f64,
}

async fn compare(name: &str, make: impl Fn() -> Site, runs: usize) {
    let mut at_work = Vec::new();
    let mut taken: Vec<Taken> = Vec::new();
    for who in Who::ALL {
        let site = make();
        site.edit_script(0);
        site.edit_sheet(0);
        let browser = Browser::start().await;
        let server = Server::start(who, &site);
        let answered = server.started.elapsed().as_secs_f64() * 1000.0;
        browser.client.goto(&format!("http://127.0.0.1:{}/", server.port)).await.expect("a page");
        browser.until("window.done && document.readyState === 'complete'").await;
        let started = server.started.elapsed().as_secs_f64() * 1000.0;
        taken.push(Taken { answered, started, ..Taken::default() });
        at_work.push(AtWork { who, site, server, browser });
    }
    let mut edition = 0;
    for _ in 0..runs {
        for (index, AtWork { who, site, server, browser }) in at_work.iter().enumerate() {
            edition += 1;
            settle(&at_work).await;
            taken[index].sheet_served.push(served(site, server, *who, edition));
            edition += 1;
            settle(&at_work).await;
            taken[index].sheet_seen.push(sheet_seen(site, browser, edition).await);
            edition += 1;
            settle(&at_work).await;
            taken[index].script_seen.push(script_seen(site, browser, edition).await);
        }
    }
    println!("| {name} | first answer | first page | CSS served | | CSS seen | | script seen | | MiB |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (AtWork { who, server, .. }, taken) in at_work.iter().zip(&mut taken) {
        taken.memory = server.memory();
        println!(
            "| {} | {:.0} | {:.0} | {} | {} | {} | {:.0} |",
            who.name(),
            taken.answered,
            taken.started,
            told(&mut taken.sheet_served),
            told(&mut taken.sheet_seen),
            told(&mut taken.script_seen),
            taken.memory
        );
    }
    println!();
}

/// One contender, with all that is its own.
struct AtWork {
    who: Who,
    site: Site,
    server: Server,
    browser: Browser,
}

/// Waits until nobody does anything any more.
async fn settle(at_work: &[AtWork]) {
    let mut before: Vec<u64> = at_work.iter().map(|one| one.server.ticks()).collect();
    let start = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now: Vec<u64> = at_work.iter().map(|one| one.server.ticks()).collect();
        let quiet = now.iter().zip(&before).all(|(now, before)| now - before <= 1);
        if quiet || start.elapsed() > Duration::from_secs(10) {
            return;
        }
        before = now;
    }
}

fn served(site: &Site, server: &Server, who: Who, edition: usize) -> f64 {
    let wanted = format!("{}px", edition + 100);
    let start = Instant::now();
    site.edit_sheet(edition);
    while server.get(who.sheet()).is_none_or(|sheet| !sheet.contains(&wanted)) {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not serve the edit", who.name());
        std::thread::sleep(Duration::from_micros(500));
    }
    start.elapsed().as_secs_f64() * 1000.0
}

async fn sheet_seen(site: &Site, browser: &Browser, edition: usize) -> f64 {
    // The page looks by itself, as often as timers let it, so that no driver stands in between. A page that loads anew starts again.
    let look = format!(
        "window.seen = 0; (function look() {{ if (getComputedStyle(document.getElementById('p')).width === '{}px') window.seen = performance.timeOrigin + performance.now(); else setTimeout(look, 1); }})();",
        edition + 100
    );
    browser.client.execute(&look, vec![]).await.expect("a page");
    let start = now();
    site.edit_sheet(edition);
    let seen = browser.until("window.seen || null").await;
    seen.as_f64().unwrap_or(f64::NAN) - start
}

async fn script_seen(site: &Site, browser: &Browser, edition: usize) -> f64 {
    let start = now();
    site.edit_script(edition);
    let seen = browser.until(&format!("window.edition === {edition} && window.done || null")).await;
    seen.as_f64().unwrap_or(f64::NAN) - start
}

fn told(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() as f64 * part).ceil() as usize).clamp(1, values.len()) - 1];
    format!("{:.0} | {:.0}", at(0.5), at(0.95))
}

/// What ours holds after each hundred of so many edits.
fn memory(edits: usize) {
    let site = Site::modules(2000, 500);
    site.edit_sheet(0);
    site.edit_script(0);
    let server = Server::start(Who::Fingerpost, &site);
    let mut held = Vec::new();
    for edition in 1..=edits {
        // One in ten is a script, which shows when the page's script has it. A round number would be printed as `1e3`.
        if edition % 10 == 5 {
            site.edit_script(edition);
            let wanted = format!("window.edition = {edition};");
            let has = |script: &String| server.get(script).is_some_and(|script| script.contains(&wanted));
            while !scripts(&server).iter().any(has) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        served(&site, &server, Who::Fingerpost, edition);
        if edition % 100 == 0 {
            held.push(format!("{:.0}", server.memory()));
        }
    }
    println!("MiB after each 100 of {edits} edits: {}\n", held.join(", "));
}

/// The scripts that the page names.
fn scripts(server: &Server) -> Vec<String> {
    let page = server.get("/").unwrap_or_default();
    let words = page.split(['"', '=', '>', ' ']);
    words.filter(|word| word.starts_with('/') && word.ends_with(".js")).map(str::to_owned).collect()
}

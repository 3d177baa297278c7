//! `bench`: what it says it has measured it has measured, what it could not it names, and it leaves nothing behind.

mod store;
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fingerpost::bench::report::{Fetch, From, Measured, Report, Visit, VisitKind};
use libtest_mimic::Trial;

use crate::setup::{Need, flask, program};
use crate::site::{Run, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        what_is_missing_is_named_and_not_made_up,
        a_report_is_shown_again_and_held_against_another,
        load_goes_to_this_machine_only,
        a_strategy_of_ones_own_takes_part,
        who_stops_it_leaves_nothing_running,
        netem_that_can_not_be_had_is_said_before_anything_is_measured
    ];
    trials.extend(trials![[Need::Namespaces]; a_kernel_without_netem_is_told]);
    trials.extend(trials![[Need::Browser, Need::Nginx]; edges_are_nginx_where_there_is_no_varnish]);
    trials.extend(trials![[Need::Browser, Need::Netem]; the_kernel_s_networks_are_as_long_as_the_relays]);
    trials.extend(trials![[Need::Browser]; visits_show_the_network_and_the_caches]);
    trials.extend(
        trials![[Need::Browser, Need::Flask, Need::Nginx, Need::Varnish]; every_strategy_is_measured_with_what_debian_has],
    );
    trials.extend(store::trials());
    trials.extend(tls::trials());
    trials
}

fn report(run: &Run) -> Report {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

fn of<'r>(report: &'r Report, name: &str) -> &'r Measured {
    report.strategies.iter().find(|measured| measured.name == name).unwrap_or_else(|| panic!("{name}"))
}

fn visits(measured: &Measured, kind: VisitKind, origin_ms: f64) -> Vec<&Visit> {
    let found = measured.visits.iter().filter(|visit| visit.kind == kind && visit.origin_ms == origin_ms);
    found.collect()
}

/// Fetches that went over the network, the page itself left out.
fn over_the_network(visit: &Visit) -> Vec<&Fetch> {
    visit.fetches.iter().filter(|fetch| fetch.from == From::Network && fetch.kind != "document").collect()
}

/// What must hold of every load.
fn sane_load(measured: &Measured) {
    let name = &measured.name;
    assert!(!measured.servers.is_empty(), "{name}: no load");
    for sample in &measured.servers {
        assert!(sample.saturated.requests > 20, "{name}: {sample:?}");
        assert_eq!((sample.saturated.errors, sample.paced.load.errors), (0, 0), "{name}: {sample:?}");
        assert!(sample.saturated.server_cpu_us > 0 && sample.saturated.client_cpu_us > 0, "{name}: {sample:?}");
        assert!(sample.memory > 1 << 20, "{name}: {sample:?}");
        let counted: u64 = sample.paced.latencies.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, sample.paced.load.requests, "{name}");
        assert!(sample.paced.latencies.is_sorted(), "{name}");
    }
}

fn visits_show_the_network_and_the_caches() {
    let site = Site::sample();
    let run = site.run(&["bench", "--quick", "--strategy", "memory", "--strategy", "disk", "--rounds", "1", "--json"]);
    let report = report(&run);
    assert_eq!(report.strategies.iter().map(|measured| measured.name.as_str()).collect::<Vec<_>>(), ["memory", "disk"]);
    assert_eq!(report.warnings.iter().find(|warning| warning.contains("visit")), None);
    assert!(report.settings.rate >= 10.0 && report.site.requests.len() > 3, "{:?}", report.site);
    assert_eq!(report.noise.as_ref().map(|noise| (noise.strategy.as_str(), noise.servers.len())), Some(("memory", 1)));
    for measured in &report.strategies {
        sane_load(measured);
        assert!(measured.commands[0].contains(" serve "), "{:?}", measured.commands);
        assert!(measured.configurations.contains_key("fingerpost.toml"));
        for (origin_ms, round_trips) in [(10.0, 60.0), (100.0, 150.0)] {
            let [first] = visits(measured, VisitKind::First, origin_ms)[..] else { panic!("{:?}", measured.visits) };
            // One round trip for the connection, one for the page; Chromium may begin with the connection before its clock.
            assert!((1.9 * round_trips..6.0 * round_trips).contains(&first.first_byte_ms), "{origin_ms}: {first:?}");
            assert!(first.load_ms > first.first_byte_ms && first.first_paint_ms.is_some(), "{first:?}");
            assert!(first.largest_paint_ms >= first.first_paint_ms, "{first:?}");
            assert!(over_the_network(first).len() > 3, "{first:?}");
        }
        let [again] = visits(measured, VisitKind::Repeat, 10.0)[..] else { panic!("{:?}", measured.visits) };
        let assets = over_the_network(again).into_iter().filter(|fetch| fetch.url.contains("/assets/"));
        assert_eq!(assets.map(|fetch| fetch.url.as_str()).collect::<Vec<_>>(), [""; 0], "they are kept for ever");
        let [after] = visits(measured, VisitKind::AfterRelease, 10.0)[..] else { panic!("{:?}", measured.visits) };
        let changed: Vec<_> =
            over_the_network(after).into_iter().filter(|fetch| fetch.url.contains("/assets/")).collect();
        assert_eq!(changed.len(), 1, "one file changed: {changed:?}");
        assert!(changed[0].url.contains("/assets/css/site-"), "{changed:?}");
    }
    // The same again, but for what the machine does to it.
    let file = site.root().join("report.json");
    std::fs::write(&file, &run.stdout).expect("a file");
    let again = site.run(&["bench", "--from", "report.json", "--strategy", "memory", "--json"]);
    let settings = |report: &Report| {
        let mut settings = report.settings.clone();
        settings.strategies.clear();
        serde_json::to_string(&settings).expect("JSON")
    };
    assert_eq!(settings(&self::report(&again)), settings(&report));
}

fn every_strategy_is_measured_with_what_debian_has() {
    let site = Site::sample();
    let python = flask("python3");
    let python = python.to_str().expect("a path");
    let run =
        site.run(&["bench", "--quick", "--rounds", "1", "--seconds", "0.3", "--python", python, "--json", "--verbose"]);
    let report = report(&run);
    assert_eq!(report.strategies.len(), 13);
    let missing: BTreeMap<_, _> = report
        .strategies
        .iter()
        .filter_map(|measured| Some((measured.name.as_str(), &measured.missing.as_ref()?.reason)))
        .collect();
    assert_eq!(missing, BTreeMap::new());
    for measured in &report.strategies {
        sane_load(measured);
        assert!(visits(measured, VisitKind::First, 10.0).len() == 1 + usize::from(!measured.edges.is_empty()));
        for visit in &measured.visits {
            let refused: Vec<_> = visit.fetches.iter().filter(|fetch| fetch.status >= 400).collect();
            assert_eq!(refused.len(), 0, "{}: {refused:?}", measured.name);
            assert!(visit.load_ms > 0.0, "{}: {visit:?}", measured.name);
        }
    }
    for program in ["chromium", "fingerpost", "flask", "nginx", "varnish"] {
        assert!(report.programs.contains_key(program), "{program} in {:?}", report.programs);
    }
    for name in ["cdn", "hybrid"] {
        let edges = &of(&report, name).edges;
        assert!(edges.iter().any(|sample| sample.cold && sample.misses > 3), "{name}: {edges:?}");
        assert!(edges.iter().any(|sample| !sample.cold && sample.hits > 3), "{name}: {edges:?}");
    }
    let requests = |name: &str| visits(of(&report, name), VisitKind::First, 10.0)[0].fetches.len();
    assert!(requests("unbundled") > requests("bundled") + 5);
    let cpu = |name: &str| {
        let load = &of(&report, name).servers[0].saturated;
        load.server_cpu_us as f64 / load.requests as f64
    };
    assert!(cpu("on-the-fly") > 2.0 * cpu("precompressed"), "{} {}", cpu("on-the-fly"), cpu("precompressed"));
    assert!(cpu("app") > 5.0 * cpu("memory"), "{} {}", cpu("app"), cpu("memory"));
    let again = visits(of(&report, "worker"), VisitKind::Repeat, 10.0)[0];
    assert!(again.fetches.iter().any(|fetch| fetch.from == From::Worker), "{again:?}");
    let bucket = visits(of(&report, "storage"), VisitKind::First, 10.0)[0];
    let origins = |fetch: &&Fetch| fetch.url.split('/').nth(2).unwrap_or_default().to_owned();
    let fetched: std::collections::BTreeSet<String> = bucket.fetches.iter().map(|fetch| origins(&fetch)).collect();
    assert_eq!(fetched.len(), 2, "pages and assets: {fetched:?}");
    let built = visits(of(&report, "proxy"), VisitKind::First, 10.0)[0];
    assert!(built.fetches.iter().any(|fetch| fetch.url.contains("/assets/css/site-")), "{built:?}");
    assert!(!built.fetches.iter().any(|fetch| fetch.url.contains("/static/")), "{built:?}");
}

/// Nothing but the program itself is found.
fn alone(site: &Site, arguments: &[&str]) -> Run {
    alone_with(site, arguments, &[])
}

fn alone_with(site: &Site, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let empty = tempfile::tempdir().expect("a folder");
    let mut command = site.command(arguments);
    command.env("PATH", empty.path()).env_remove("VIRTUAL_ENV").envs(variables.iter().copied());
    let out = command.output().expect("the program runs");
    Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn small() -> Site {
    Site::new()
        .template(
            "index.html",
            "<!doctype html><link rel=stylesheet href=/assets/a.css><script src=/assets/b.js></script><p>x",
        )
        .asset("a.css", "p { color: red }")
        .asset("b.js", "window.b = 1;")
}

fn what_is_missing_is_named_and_not_made_up() {
    let site = small();
    let names = ["memory", "app", "proxy-nginx", "precompressed", "cdn"];
    let mut arguments = vec!["bench", "--quick", "--rounds", "1", "--seconds", "0.1", "--json"];
    arguments.extend(names.iter().flat_map(|name| ["--strategy", name]));
    let report = report(&alone(&site, &arguments));
    for (name, reason, remedy) in [
        ("app", "no Python with Flask and gunicorn", "pip install flask gunicorn"),
        ("proxy-nginx", "nginx is not installed", "apt-get install nginx"),
        ("precompressed", "nginx is not installed", "apt-get install nginx"),
        ("cdn", "neither varnishd nor nginx", "apt-get install varnish"),
    ] {
        let measured = of(&report, name);
        let missing = measured.missing.as_ref().unwrap_or_else(|| panic!("{name} is missing something"));
        assert!(missing.reason.contains(reason) && missing.remedy.contains(remedy), "{name}: {missing:?}");
        assert!(measured.servers.is_empty() && measured.visits.is_empty() && measured.edges.is_empty(), "{name}");
    }
    // Without a browser the page is read, and what it names is asked for.
    let memory = of(&report, "memory");
    sane_load(memory);
    assert!(memory.visits.is_empty());
    assert!(report.warnings.iter().any(|warning| warning.contains("no Chromium")), "{:?}", report.warnings);
    let [page, sheet, script] = &report.site.requests[..] else { panic!("{:?}", report.site.requests) };
    assert!(page == "/" && sheet.starts_with("/assets/a-") && script.starts_with("/assets/b-"), "{:?}", report.site);
    let run = alone(&site, &["bench", "--quick", "--rounds", "1", "--seconds", "0.1", "--strategy", "app"]);
    assert!(run.stdout.contains("there is no Python"), "{}", run.stdout);
}

fn a_report_is_shown_again_and_held_against_another() {
    let site = small();
    let arguments =
        ["bench", "--quick", "--rounds", "4", "--seconds", "0.1", "--strategy", "memory", "--output", "old.json"];
    let run = alone(&site, &arguments);
    assert!(run.code == Some(0) && run.stdout.contains("memory"), "{}{}", run.stdout, run.stderr);
    let shown = ["bench", "--show", "old.json", "--html", "page.html", "--markdown", "page.md", "--guide", "guide.md"];
    let run = site.run(&shown);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let file = |name: &str| std::fs::read_to_string(site.root().join(name)).expect(name);
    for (name, part) in [("page.html", "<svg"), ("page.md", "| memory |"), ("guide.md", "| guides say |")] {
        assert!(file(name).contains(part), "{part} in {name}");
    }
    assert!(!file("page.html").contains("<script"), "a page that is read");

    let compare = |old: &str, new: &str| site.run(&["bench", "--show", new, "--compare", old]);
    let same = compare("old.json", "old.json");
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    let edited = |name: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let mut report: serde_json::Value = serde_json::from_str(&file("old.json")).expect("JSON");
        edit(&mut report);
        std::fs::write(site.root().join(name), report.to_string()).expect("a file");
    };
    edited("slow.json", &|report| {
        // Both times, or it would be noise.
        for servers in ["/strategies/0/servers", "/noise/servers"] {
            for sample in report.pointer_mut(servers).and_then(serde_json::Value::as_array_mut).expect("samples") {
                let cpu = &mut sample["saturated"]["server_cpu_us"];
                *cpu = (cpu.as_u64().expect("a number") * 9).into();
            }
        }
    });
    let worse = compare("old.json", "slow.json");
    assert_eq!(worse.code, Some(3), "{}{}", worse.stdout, worse.stderr);
    assert!(worse.stderr.contains("`memory`") && worse.stdout.contains("worse by"), "{}{}", worse.stdout, worse.stderr);
    let better = compare("slow.json", "old.json");
    assert_eq!(better.code, Some(0), "{}", better.stderr);
    edited("other.json", &|report| report["settings"]["page"] = "/other".into());
    let other = compare("old.json", "other.json");
    assert!(other.code == Some(2) && other.stderr.contains("can't be compared"), "{}", other.stderr);
    // Before anything is measured.
    let settings = site.run(&["bench", "--from", "old.json", "--compare", "old.json", "--connections", "7"]);
    assert!(settings.code == Some(2) && settings.stderr.contains("the connections"), "{}", settings.stderr);
    assert!(!settings.stderr.contains("round 1"), "{}", settings.stderr);
    edited("netem.json", &|report| report["settings"]["emulation"] = "netem".into());
    let netem = compare("old.json", "netem.json");
    assert!(netem.code == Some(2) && netem.stderr.contains("emulation of networks"), "{}", netem.stderr);
    edited("before.json", &|report| {
        report["settings"].as_object_mut().expect("settings").remove("emulation");
    });
    let before = compare("old.json", "before.json");
    assert_eq!(before.code, Some(0), "one that does not say was made by relays: {}", before.stderr);
    edited("later.json", &|report| report["version"] = 9.into());
    let later = site.run(&["bench", "--show", "later.json"]);
    assert!(later.code == Some(2) && later.stderr.contains("version 9"), "{}", later.stderr);
    std::fs::write(site.root().join("prices.toml"), "currency = 1\n").expect("a file");
    let priced = site.run(&["bench", "--show", "old.json", "--prices", "prices.toml"]);
    assert!(priced.code == Some(2) && priced.stderr.contains("prices.toml"), "{}", priced.stderr);
}

fn load_goes_to_this_machine_only() {
    let site = small();
    for (arguments, want) in [
        (&["--strategy", "far=http://192.0.2.1/"][..], "`far` is not on this machine"),
        (&["--strategy", "memry"], "did you mean `memory`?"),
        (&["--page", "/none", "--strategy", "memory"], "the site has no page `/none`"),
        (&["--from", "none.json"], "could not read the report `none.json`"),
    ] {
        let run = site.run(&[&["bench", "--quick"], arguments].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want), "{}", run.stderr);
    }
}

fn a_strategy_of_ones_own_takes_part() {
    let site = small();
    site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let url = format!("url=http://{}", server.address);
    let command = format!("command={} serve --quiet --listen 127.0.0.1:{{port}}", program().display());
    let run = alone(
        &site,
        &[
            "bench",
            "--quick",
            "--rounds",
            "1",
            "--seconds",
            "0.1",
            "--json",
            "--strategy",
            &url,
            "--strategy",
            &command,
        ],
    );
    let report = report(&run);
    let (url, command) = (of(&report, "url"), of(&report, "command"));
    sane_load(command);
    assert!(url.servers[0].saturated.requests > 20, "{url:?}");
    assert_eq!(url.servers[0].saturated.server_cpu_us, 0, "nobody knows what it takes");
    assert!(command.commands[0].contains("serve --quiet"), "{:?}", command.commands);
}

fn who_stops_it_leaves_nothing_running() {
    let site = small();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::KILL] {
        let mut command = site.command(&["bench", "--verbose", "--rounds", "50", "--seconds", "5"]);
        command.args(["--strategy", "memory"]).env("FINGERPOST_CHROMIUM", "/none");
        // Who is killed can't tidy up.
        command.env("TMPDIR", site.root());
        let mut bench = crate::site::Server::spawn(command);
        bench.wait_for("round 1 of 50");
        let started = processes(bench.id());
        assert!(!started.is_empty(), "it has started servers");
        bench.signal(signal);
        let code = bench.wait();
        let said = bench.said();
        if signal == rustix::process::Signal::INT {
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("the bench was stopped before its end"), "{said}");
        }
        let begun = Instant::now();
        while started.iter().any(|id| is_alive(*id)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{started:?} are still there after {signal:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Finds these programs and no others: a script, or where there is none the system's own.
fn among(site: &Site, programs: &[(&str, &str)], arguments: &[&str]) -> Run {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, script) in programs {
        let path = folder.path().join(name);
        if script.is_empty() {
            let own = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(name));
            let own = own.into_iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("{name}"));
            std::os::unix::fs::symlink(own, path).expect("a link");
        } else {
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
        }
    }
    let out = site.command(arguments).env("PATH", folder.path()).output().expect("the program runs");
    Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn edges_are_nginx_where_there_is_no_varnish() {
    let site = Site::sample();
    // What Debian's script that starts Chromium uses comes along.
    let programs = [
        "nginx", "chromium", "sh", "env", "cat", "ls", "grep", "sed", "expr", "uname", "readlink", "dirname",
        "basename",
    ];
    let programs = programs.map(|name| (name, ""));
    let arguments = [
        "bench",
        "--quick",
        "--strategy",
        "hybrid",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--distance",
        "150",
        "--json",
    ];
    let report = report(&among(&site, &programs, &arguments));
    let hybrid = of(&report, "hybrid");
    assert!(report.programs.contains_key("nginx") && !hybrid.visits.is_empty(), "{:?} {hybrid:?}", report.programs);
    for fetch in hybrid.visits.iter().flat_map(|visit| &visit.fetches) {
        assert_eq!(fetch.status, 200, "{fetch:?}");
    }
    let count = |cold: bool| hybrid.edges.iter().find(|sample| sample.cold == cold).expect("what the edge counted");
    assert!(count(true).misses > 3 && count(true).hits == 0, "{:?}", hybrid.edges);
    assert!(count(false).hits > 3, "{:?}", hybrid.edges);
}

const BY_NETEM: [&str; 6] = ["bench", "--quick", "--emulation", "netem", "--strategy", "memory"];

/// The words of a message, however its lines are broken.
fn refused(run: &Run) -> String {
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    run.stderr.split_whitespace().filter(|word| !["│", "|"].contains(word)).collect::<Vec<_>>().join(" ")
}

fn says_all(told: &str, wants: &[&str]) {
    for want in wants {
        assert!(told.contains(want), "{want}: {told}");
    }
}

fn netem_that_can_not_be_had_is_said_before_anything_is_measured() {
    let site = small();
    let told = refused(&among(&site, &[], &BY_NETEM));
    assert!(told.contains("`unshare` is not installed") && told.contains("apt-get install util-linux"), "{told}");
    let told = refused(&among(&site, &[("unshare", "exit 0")], &BY_NETEM));
    assert!(told.contains("`ip` is not installed") && told.contains("apt-get install iproute2"), "{told}");
    let tools = |unshare| [("unshare", unshare), ("ip", "exit 0"), ("tc", "exit 0")];
    let told = refused(&among(&site, &tools("echo 'unshare failed: Operation not permitted' >&2; exit 1"), &BY_NETEM));
    says_all(
        &told,
        &[
            "may not have a network namespace",
            "Operation not permitted",
            "run it as root",
            "leave `--emulation netem` out",
        ],
    );
    // One that does nothing, and would come back for ever.
    let told = refused(&among(&site, &tools("while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\""), &BY_NETEM));
    assert!(told.contains("in the same network namespace"), "{told}");
    let told = refused(&site.run(&["bench", "--emulation", "netem", "--strategy", "mine=http://127.0.0.1:1"]));
    assert!(told.contains("`mine` can't be reached from the network namespace"), "{told}");
}

fn a_kernel_without_netem_is_told() {
    let site = small();
    const TC: &str = "while read -r line; do case $line in *netem*) echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2;; esac; done";
    let told = refused(&among(&site, &[("unshare", ""), ("ip", ""), ("tc", TC)], &BY_NETEM));
    says_all(
        &told,
        &[
            "without `sch_netem`",
            "Specified qdisc kind is unknown",
            "`modprobe -a sch_netem` as root",
            "leave `--emulation netem` out",
        ],
    );
}

fn the_kernel_s_networks_are_as_long_as_the_relays() {
    let site = Site::sample();
    let measured = |how: &str| {
        let arguments = [&BY_NETEM[..2], &["--emulation", how], &BY_NETEM[4..]].concat();
        let rest = [
            "--network",
            "4g",
            "--distance",
            "150",
            "--rounds",
            "1",
            "--seconds",
            "0.1",
            "--json",
            "--markdown",
            "page.md",
        ];
        let report = report(&site.run(&[&arguments[..], &rest].concat()));
        assert_eq!(report.warnings.iter().find(|warning| warning.contains("visit")), None);
        let page = std::fs::read_to_string(site.root().join("page.md")).expect("a page");
        assert!(page.contains(if how == "netem" { "made by the kernel" } else { "made by relays" }), "{page}");
        report
    };
    let (relays, netem) = (measured("relays"), measured("netem"));
    assert!(netem.programs.contains_key("tc") && netem.programs.contains_key("tcp"), "{:?}", netem.programs);
    let first_byte = |report: &Report| visits(of(report, "memory"), VisitKind::First, 150.0)[0].first_byte_ms;
    let (relayed, made) = (first_byte(&relays), first_byte(&netem));
    // A connection and a request, each a round trip of 50 and 150 ms.
    for taken in [relayed, made] {
        assert!((395.0..1000.0).contains(&taken), "relays {relayed}, netem {made}");
    }
    assert!((made - relayed).abs() < 250.0, "relays {relayed}, netem {made}");
    let document = netem.strategies[0].visits[0].fetches.first().expect("a page");
    assert!(document.url.starts_with("http://127.0.10.1:"), "{}", document.url);
}

/// Those that a process has started.
fn processes(parent: u32) -> Vec<u32> {
    let entries =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ids = entries.filter_map(|name| name.parse::<u32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, own)| own == parent)).collect()
}

fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|(state, _)| state != "Z")
}

/// Its state, and its parent.
fn stat(id: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

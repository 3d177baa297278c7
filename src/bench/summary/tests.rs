//! Summaries of reports that are whole, and of ones that are not.

use super::super::compare::{Trend, compare};
use super::super::report::{Load, Measured, Missing, Report};
use super::super::show::{self, sample};
use super::*;

fn prices() -> Prices {
    Prices::shipped().expect("a sheet")
}

fn named<'r>(report: &'r mut Report, name: &str) -> &'r mut Measured {
    report.strategies.iter_mut().find(|measured| measured.name == name).expect(name)
}

/// Everything that can be shown of a report; whatever it lacks, none of it may fail.
fn shown(report: &Report) -> String {
    let prices = prices();
    let summary = Summary::of(report, &prices);
    let comparison = compare(report, report, &prices);
    let html = show::html(&summary, Some(&comparison)).expect("a page");
    for wrong in ["NaN", "inf ", "<site>", "<script>alert", "<b>&amp; \""] {
        assert!(!html.contains(wrong), "{wrong} in the page");
    }
    let tables = format!("{:?}", show::terminal(&summary, Some(&comparison)));
    assert!(!tables.contains("NaN"), "{tables}");
    format!("{}\n{}\n{html}", show::markdown(&summary, Some(&comparison)), show::guide(&summary))
}

#[test]
fn whoever_does_not_differ_shares_a_group() {
    let (report, prices) = (sample::report(), prices());
    let summary = Summary::of(&report, &prices);
    let order = summary.order(Metric::Cpu, |of| of.server.as_ref()?.cpu);
    let group = |name: &str| {
        let place = order.iter().find(|place| summary.name(place.strategy) == name).expect(name);
        assert!(place.tested);
        place.group
    };
    // They were made with 38 and 38.5 µs, give or take.
    assert_eq!(group("proxy-fingerpost"), 0);
    assert_eq!(group("worker"), 0);
    assert_eq!(group("proxy-nginx"), 1);
    assert!(group("app") > group("mine"));
    assert!(summary.noise(Metric::Cpu) > 0.0 && summary.noise(Metric::Cpu) < 0.1, "{:?}", summary.noise);
    assert_eq!(summary.focus, Some(("4g".to_owned(), 50_000)));
}

#[test]
fn the_answer_is_among_the_best_and_the_cheapest_of_them() {
    let (report, prices) = (sample::report(), prices());
    let summary = Summary::of(&report, &prices);
    let pick = &summary.advice.verdict.as_ref().expect("a verdict").pick;
    let order = summary.order(Metric::Load, |of| of.view_load);
    let best: Vec<usize> = order.iter().filter(|place| place.group == 0).map(|place| place.strategy).collect();
    assert!(best.contains(&pick.strategy));
    let bill = |at: usize| summary.strategies[at].bill(0, 1e6).expect("a bill").total();
    assert!(best.iter().all(|at| bill(pick.strategy) <= bill(*at) * 1.05 + 0.01));
    let far = summary.advice.picks.iter().find(|pick| pick.site == "visitors far away").expect("far");
    assert!(["cdn-varnish", "storage"].contains(&summary.name(far.strategy)), "an edge is nearer");
}

#[test]
fn reports_that_lack_much_are_shown_all_the_same() {
    let whole = sample::report();
    assert!(shown(&whole).contains("not measured: apache2 is not installed (apt-get install apache2)"));

    let mut without_visits = whole.clone();
    without_visits.strategies.iter_mut().for_each(|measured| measured.visits.clear());
    let text = shown(&without_visits);
    assert!(text.contains("no visits were measured") && text.contains("servers' work alone"), "{text}");

    let mut one_round = whole.clone();
    one_round.settings.rounds = 1;
    for measured in &mut one_round.strategies {
        measured.servers.truncate(1);
        measured.visits.retain(|visit| visit.round == 0);
        measured.edges.clear();
    }
    assert!(shown(&one_round).contains("one round is too few to tell a difference from chance"));

    let mut nothing = whole.clone();
    nothing.noise = None;
    nothing.settings.networks.clear();
    for measured in &mut nothing.strategies {
        (measured.servers, measured.visits, measured.edges) = Default::default();
    }
    assert!(shown(&nothing).contains("Nothing was measured"));
    nothing.strategies.clear();
    shown(&nothing);

    let mut alone = whole.clone();
    alone.strategies.retain(|measured| measured.name == "mine");
    assert!(shown(&alone).contains("Use mine."));
}

#[test]
fn errors_mark_the_figures_and_are_told() {
    let mut report = sample::report();
    for sample in &mut named(&mut report, "mine").servers {
        (sample.saturated.errors, sample.paced.unsent) = (10, 500);
    }
    for sample in &mut named(&mut report, "app").servers {
        sample.saturated.errors = sample.saturated.requests;
        sample.paced.latencies.clear();
    }
    let text = shown(&report);
    assert!(text.contains("requests to `mine` failed") && text.contains("never sent"));
    let prices = prices();
    let summary = Summary::of(&report, &prices);
    let app = summary.strategies[0].server.as_ref().expect("a server");
    assert_eq!((app.throughput, app.cpu, app.p99), (None, None, None));
    assert_eq!(summary.strategies[0].bill(0, 1e6), None, "nothing is known of its capacity");
}

#[test]
fn a_generator_that_was_the_bottleneck_is_told_of() {
    let mut report = sample::report();
    for sample in &mut named(&mut report, "proxy-nginx").servers {
        (sample.saturated.server_cpu_us, sample.saturated.client_cpu_us) = (5_000_000, 14_000_000);
    }
    let prices = prices();
    let summary = Summary::of(&report, &prices);
    let told: Vec<&String> = summary.warnings.iter().filter(|warning| warning.contains("load generator")).collect();
    assert_eq!(told.len(), 1, "{:?}", summary.warnings);
    assert!(
        told[0].contains("`proxy-nginx`") && told[0].contains("2.8 cores in use, and 1.0 by the server"),
        "{told:?}"
    );
}

/// The store's own work is somebody else's: machines are for those who send the pages, which here is one request of each view.
#[test]
fn a_store_has_machines_for_its_pages_alone() {
    let mut report = sample::report();
    let storage = named(&mut report, "storage");
    storage.delivered_by_edge = false;
    storage.edges.clear();
    for fetch in storage.visits.iter_mut().flat_map(|visit| visit.fetches.iter_mut().skip(1)) {
        fetch.url = fetch.url.replace("site.test", "bucket.test");
    }
    let usage = |report: &Report| {
        let prices = prices();
        let summary = Summary::of(report, &prices);
        let strategy = summary.strategies.iter().find(|of| of.measured.name == "storage").expect("storage");
        (strategy.usage.expect("a use"), strategy.server.as_ref().expect("a server").cpu.map(|cpu| cpu.median))
    };
    let (before, all) = usage(&report);
    assert_eq!(before.cpu_us, all, "an older report has no more");
    assert_eq!(before.direct, View { bytes: 9000.0, requests: 1.0 });
    let meter = |report: &mut Report, all: Option<u64>| {
        for sample in &mut named(report, "storage").servers {
            sample.pages = Some(Load { requests: 1010, errors: 10, server_cpu_us: 40_000, ..sample.saturated.clone() });
            sample.saturated.server_cpu_us = all.unwrap_or(sample.saturated.server_cpu_us);
        }
    };
    meter(&mut report, None);
    let (apart, still) = usage(&report);
    assert_eq!((apart.cpu_us, still), (Some(40.0), all));
    // The user's bucket: nothing is known of what it takes.
    meter(&mut report, Some(0));
    let (unknown, none) = usage(&report);
    assert_eq!((unknown.cpu_us, none), (Some(40.0), None));
    let prices = prices();
    let bill = unknown.bill(&prices.providers[0], &prices.assumptions, 1e9).expect("a bill");
    // 1,900 pages a second at the peak, of 40 µs each.
    assert_eq!(bill.machines, 1);
    shown(&report);
}

/// A hybrid's pages are machines' work and traffic, however often edges have its assets.
#[test]
fn an_edge_has_what_has_its_host() {
    let mut report = sample::report();
    let usage = |report: &Report| {
        let prices = prices();
        let summary = Summary::of(report, &prices);
        let strategy = summary.strategies.iter().find(|of| of.measured.name == "cdn-varnish").expect("edges");
        strategy.usage.expect("a use")
    };
    let all = usage(&report);
    assert_eq!(all.direct, View::default(), "pages have the edge's host, too");
    named(&mut report, "cdn-varnish").way = Some(Way::Hybrid);
    assert_eq!(usage(&report).direct, View::default());
    for fetch in named(&mut report, "cdn-varnish").visits.iter_mut().flat_map(|visit| visit.fetches.iter_mut().skip(1))
    {
        fetch.url = fetch.url.replace("site.test", "assets.test");
    }
    let apart = usage(&report);
    assert_eq!(apart.direct, View { bytes: 9000.0, requests: 1.0 });
    assert_eq!(apart.view(), all.view());
}

/// The load of a page view, and the bill, of servers of the user's, which have no second release to be visited after.
#[test]
fn servers_of_one_release_are_judged_by_repeat_visits() {
    let mut report = sample::report();
    named(&mut report, "mine").visits.retain(|visit| visit.kind != VisitKind::AfterRelease);
    let prices = prices();
    let summary = Summary::of(&report, &prices);
    let mine = summary.strategies.iter().find(|of| of.measured.name == "mine").expect("it");
    let (network, origin) = summary.focus.clone().expect("visits");
    let load = |kind| mine.visit(kind, &network, origin).and_then(|of| of.estimate(Metric::Load)).expect("it").median;
    let repeat = prices.assumptions.repeat_visits;
    let want = (1.0 - repeat) * load(VisitKind::First) + repeat * load(VisitKind::Repeat);
    assert!((mine.view_load.expect("a load").median - want).abs() < 1e-6 * want);
    assert!(
        summary.warnings.iter().any(|warning| warning.contains("`mine` has one release")),
        "{:?}",
        summary.warnings
    );
    assert!((mine.usage.expect("a use").view().requests - (14.0 * (1.0 - repeat) + 6.0 * repeat)).abs() < 1e-9);
}

#[test]
fn refusals_are_slower_than_all_and_bad_rounds_count() {
    let mut report = sample::report();
    for (at, sample) in named(&mut report, "mine").servers.iter_mut().enumerate() {
        // Half of what was asked in the last rounds was refused, and has no latency.
        if at >= 3 {
            sample.paced.latencies.iter_mut().for_each(|(_, count)| *count /= 3);
            sample.paced.load.errors = 1000;
        }
    }
    let (prices, whole) = (prices(), sample::report());
    let p50 = |report: &Report| {
        let summary = Summary::of(report, &prices);
        let mine = summary.strategies.iter().find(|of| of.measured.name == "mine").expect("it");
        mine.server.as_ref().expect("a server").p50.expect("a median")
    };
    assert!(p50(&whole).high < 10_000.0);
    assert!(p50(&report).high >= 1e6, "{:?}", p50(&report));
    assert_eq!(p50(&report).samples, p50(&whole).samples);
}

#[test]
fn what_is_not_answered_any_more_is_a_regression() {
    let (report, prices) = (sample::report(), prices());
    let mut broken = report.clone();
    for sample in &mut named(&mut broken, "mine").servers {
        sample.saturated.errors = sample.saturated.requests;
    }
    let found = compare(&report, &broken, &prices);
    assert!(
        found.regressed() && found.lost.iter().any(|lost| lost.contains("CPU per request of `mine`")),
        "{:?}",
        found.lost
    );
    let mut gone = report.clone();
    let app = named(&mut gone, "app");
    (app.servers, app.visits) = (Vec::new(), Vec::new());
    app.missing = Some(Missing { reason: "gunicorn is not installed".to_owned(), remedy: String::new() });
    let found = compare(&report, &gone, &prices);
    assert!(found.regressed() && found.lost[0].contains("`app` was measured"), "{:?}", found.lost);
    assert!(shown(&gone).contains("gunicorn"));
}

/// All distances are visited over the first network, and it need not be the one that is shown where only one can be.
#[test]
fn distances_are_of_the_network_that_has_most() {
    let mut report = sample::report();
    for visit in report.strategies.iter_mut().flat_map(|of| &mut of.visits) {
        let swapped = [("4g", "fibre"), ("fibre", "4g")].into_iter().find(|(old, _)| visit.network == *old);
        visit.network = swapped.map_or(visit.network.clone(), |(_, new)| new.to_owned());
    }
    let prices = prices();
    let summary = Summary::of(&report, &prices);
    let network = far_network(&summary).expect("one");
    assert_eq!((network.as_str(), distances(&summary, &network).len()), ("fibre", 3));
    let far = summary.advice.picks.iter().find(|pick| pick.site == "visitors far away").expect("a pick");
    assert!(matches!(&far.measure, Measure::Load { network, origin_us: 150_000, .. } if network == "fibre"));
    // A visit that failed changes nothing of it.
    let focus = summary.focus.clone();
    named(&mut report, "mine").visits.remove(0);
    assert_eq!(Summary::of(&report, &prices).focus, focus);
}

#[test]
fn a_run_is_no_worse_than_itself_and_worse_than_a_better_one() {
    let (report, prices) = (sample::report(), prices());
    let same = compare(&report, &report, &prices);
    assert!(!same.changes.is_empty() && same.changes.iter().all(|change| change.verdict == Trend::None));
    let mut slower = report.clone();
    for visit in &mut named(&mut slower, "worker").visits {
        visit.load_ms *= 1.5;
    }
    let found = compare(&report, &slower, &prices);
    assert!(found.regressed());
    assert!(found.changes.iter().all(|change| change.verdict == Trend::None || change.strategy == "worker"));
    let back = compare(&slower, &report, &prices);
    assert!(!back.regressed() && back.count(Trend::Better) > 0);
}

#[test]
fn what_is_another_site_or_machine_is_not_compared() {
    let (report, prices) = (sample::report(), prices());
    let mut other = report.clone();
    other.settings.page = "/about".to_owned();
    other.machine.cores = 64;
    other.strategies.iter_mut().flat_map(|measured| &mut measured.visits).for_each(|visit| visit.load_ms *= 9.0);
    let found = compare(&report, &other, &prices);
    assert_eq!(
        found.refused,
        [
            "the machine: `Example CPU @ 3.00GHz, 4 cores` then, `Example CPU @ 3.00GHz, 64 cores` now",
            "the page: `/` then, `/about` now"
        ]
    );
    assert!(found.changes.is_empty() && !found.regressed());
    let mut fewer = report.clone();
    fewer.strategies.retain(|measured| measured.name != "mine");
    assert_eq!(compare(&report, &fewer, &prices).notes, ["`mine` is not in this run"]);
}

/// Writes the page of the sample where `FINGERPOST_SAMPLE` says, to be looked at.
#[test]
fn the_page_says_what_it_has_to() {
    let (report, prices) = (sample::report(), prices());
    let summary = Summary::of(&report, &prices);
    let html = show::html(&summary, None).expect("a page");
    if let Some(path) = std::env::var_os("FINGERPOST_SAMPLE") {
        let mut old = report.clone();
        named(&mut old, "worker").visits.iter_mut().for_each(|visit| visit.load_ms /= 1.4);
        let html = show::html(&summary, Some(&compare(&old, &report, &prices))).expect("a page");
        let path = std::path::PathBuf::from(path);
        std::fs::write(path.with_extension("html"), html).expect("written");
        std::fs::write(path.with_extension("md"), show::markdown(&summary, None) + &show::guide(&summary))
            .expect("written");
        std::fs::write(path.with_extension("json"), serde_json::to_vec_pretty(&report).expect("JSON"))
            .expect("written");
    }
    for id in ["percentiles", "shapes", "loads", "distance", "costs"] {
        assert!(html.contains(&format!("aria-labelledby=\"{id}-title {id}-desc\"")), "no chart of {id}");
    }
    assert!(!html.contains("http-equiv=\"refresh\"") && !html.contains("<script") && !html.contains("src=\"http"));
}

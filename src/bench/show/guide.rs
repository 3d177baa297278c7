//! The two tables that guides to static files have, with figures beside the usual words, and what the figures say of the words.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::cost::SCALES;
use super::super::metric::Metric;
use super::super::report::{VisitKind, Way};
use super::super::statistics::{Estimate, apart};
use super::super::summary::{Strategy, Summary, distances};
use super::markdown::{method, text};
use super::table::why;
use super::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Excellent,
    VeryGood,
    Good,
    Fair,
    Poor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Price {
    Low,
    Medium,
    High,
}

impl Grade {
    /// By how many times the best figure it is.
    fn of(times: f64) -> Self {
        match times {
            times if times <= 1.1 => Grade::Excellent,
            times if times <= 1.4 => Grade::VeryGood,
            times if times <= 2.0 => Grade::Good,
            times if times <= 3.0 => Grade::Fair,
            _ => Grade::Poor,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Grade::Excellent => "excellent",
            Grade::VeryGood => "very good",
            Grade::Good => "good",
            Grade::Fair => "fair",
            Grade::Poor => "poor",
        }
    }
}

impl Price {
    fn of(bill: f64, least: f64, low_bill: f64) -> Self {
        match bill / least {
            _ if bill <= low_bill => Price::Low,
            times if times <= 1.5 => Price::Low,
            times if times <= 3.0 => Price::Medium,
            _ => Price::High,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Price::Low => "low",
            Price::Medium => "medium",
            Price::High => "high",
        }
    }
}

/// What guides say of a way.
struct Usual {
    name: &'static str,
    performance: &'static str,
    grades: &'static [Grade],
    cost: &'static str,
    /// Of little traffic and of much.
    prices: [&'static [Price]; 2],
}

fn usual(way: Way) -> Usual {
    use Grade::{Excellent, Fair, Good, Poor, VeryGood};
    use Price::{High, Low, Medium};
    let (name, performance, grades, cost, prices): (_, _, &'static [Grade], _, [&'static [Price]; 2]) = match way {
        Way::App => ("application server", "poor", &[Fair, Poor], "low to start, high at scale", [&[Low], &[High]]),
        Way::Proxy => ("reverse proxy", "good", &[Good, VeryGood], "low", [&[Low], &[Low]]),
        Way::Cdn => ("CDN", "excellent", &[Excellent], "medium, pay per use", [&[Low, Medium], &[Medium]]),
        Way::Bundles => ("bundles in the framework", "good", &[Good, VeryGood], "low", [&[Low], &[Low]]),
        Way::Hybrid => ("hybrid by environment", "very good", &[VeryGood, Excellent], "medium", [&[Medium], &[Medium]]),
        Way::Storage => {
            ("object storage", "good to very good with a CDN", &[Good, VeryGood], "low per GB", [&[Low], &[Low]])
        }
        Way::Worker => ("service worker", "excellent on repeat visits", &[Excellent], "low", [&[Low], &[Low]]),
    };
    Usual { name, performance, grades, cost, prices }
}

/// Something that is graded: what it is called, and each strategy's figure in it.
struct Situation {
    name: String,
    metric: Metric,
    /// By strategy.
    figures: Vec<Option<Estimate>>,
    /// How many times the best each is; 1 where it does not differ from it.
    times: Vec<Option<f64>>,
}

impl Situation {
    fn of(summary: &Summary<'_>, name: String, metric: Metric, of: impl Fn(&Strategy<'_>) -> Option<Estimate>) -> Self {
        let mut figures = vec![None; summary.strategies.len()];
        let mut times = figures.iter().map(|_: &Option<Estimate>| None).collect::<Vec<Option<f64>>>();
        let order = summary.order(metric, of);
        let Some(best) = order.first().map(|place| place.estimate.median) else {
            return Situation { name, metric, figures, times };
        };
        for place in order {
            let same = place.group == 0 && place.tested;
            if let (Some(figure), Some(time)) = (figures.get_mut(place.strategy), times.get_mut(place.strategy)) {
                *figure = Some(place.estimate);
                *time = Some(if same { 1.0 } else { 1.0 + apart(place.estimate.median, best) });
            }
        }
        Situation { name, metric, figures, times }
    }
}

/// The tables of the guides, as Markdown.
pub fn guide(summary: &Summary<'_>) -> String {
    let mut out = String::from("## Performance\n\n");
    if let Some((network, origin)) = &summary.focus {
        let _ = writeln!(
            out,
            "Visits: until the load event, at {} where nothing else is said.\n",
            words::place(network, *origin)
        );
    }
    let situations = situations(summary);
    let heads: Vec<&str> = situations.iter().map(|situation| situation.name.as_str()).collect();
    let _ = writeln!(out, "| way | measured as | guides say | {} | the word is |", heads.join(" | "));
    let _ = writeln!(out, "|---|---|---|{}---|", "--:|".repeat(heads.len()));
    for (at, strategy, way) in ways(summary) {
        let usual = usual(way);
        let _ = write!(out, "| {} | {} | {} | ", usual.name, text(&strategy.measured.name), usual.performance);
        if let Some(missing) = &strategy.measured.missing {
            let _ = writeln!(out, "{}{} |", text(&why(missing)), " |".repeat(heads.len()));
            continue;
        }
        let cell = |situation: &Situation| match situation.figures.get(at) {
            Some(Some(figure)) => words::value(situation.metric, figure.median),
            _ => "–".to_owned(),
        };
        let cells: Vec<String> = situations.iter().map(cell).collect();
        let judged = situations.iter().filter(|situation| judged(situation, strategy, way)).filter_map(|situation| {
            let grade = Grade::of((*situation.times.get(at)?)?);
            let (name, fits) = (situation.name.clone(), usual.grades.contains(&grade));
            Some(Judged { topic: "", name, grade, fits })
        });
        let word = judge(&judged.collect::<Vec<_>>(), Grade::word);
        let _ = writeln!(out, "{} | {word} |", cells.join(" | "));
    }
    costs(summary, &mut out);
    rules(summary, &mut out);
    out
}

fn ways<'s, 'a>(summary: &'s Summary<'a>) -> Vec<(usize, &'s Strategy<'a>, Way)> {
    let all = summary.strategies.iter().enumerate();
    let mut ways: Vec<_> = all.filter_map(|(at, strategy)| Some((at, strategy, strategy.measured.way?))).collect();
    ways.sort_by_key(|(at, _, way)| (*way, *at));
    ways
}

fn situations(summary: &Summary<'_>) -> Vec<Situation> {
    let mut all = vec![Situation::of(summary, "CPU per request".to_owned(), Metric::Cpu, |of| of.server.as_ref()?.cpu)];
    let Some((network, focus)) = &summary.focus else { return all };
    let distances = distances(summary, network);
    let ends = [distances.first(), distances.last().filter(|_| distances.len() > 1)];
    for origin in ends.into_iter().flatten() {
        let load = |of: &Strategy<'_>| of.visit(VisitKind::First, network, *origin)?.estimate(Metric::Load);
        let away = words::millis(*origin as f64 / 1000.0);
        all.push(Situation::of(summary, format!("first visit, {away} away"), Metric::Load, load));
    }
    for kind in [VisitKind::Repeat, VisitKind::AfterRelease] {
        let load = |of: &Strategy<'_>| of.visit(kind, network, *focus)?.estimate(Metric::Load);
        all.push(Situation::of(summary, words::kind(kind).to_owned(), Metric::Load, load));
    }
    all
}

/// Whether guides mean this by their word: of a store the machines are not the site's, and of a worker they speak of repeat visits.
fn judged(situation: &Situation, strategy: &Strategy<'_>, way: Way) -> bool {
    match (situation.metric, way) {
        (Metric::Cpu, Way::Worker) => false,
        (Metric::Cpu, _) => !strategy.measured.billed_requests && !strategy.measured.delivered_by_edge,
        (_, Way::Worker) => situation.name.starts_with(words::kind(VisitKind::Repeat)),
        _ => true,
    }
}

/// Something that a word is held against.
struct Judged<G> {
    /// What it is part of, where words are about several things.
    topic: &'static str,
    name: String,
    grade: G,
    fits: bool,
}

/// `right` where it fits all, `wrong` where it fits none, else where it does.
fn judge<G: Copy + Ord>(all: &[Judged<G>], word: impl Fn(G) -> &'static str) -> String {
    let mut topics: Vec<(&str, BTreeMap<G, Vec<&str>>)> = Vec::new();
    for judged in all {
        if topics.last().is_none_or(|(topic, _)| *topic != judged.topic) {
            topics.push((judged.topic, BTreeMap::new()));
        }
        if let Some((_, by)) = topics.last_mut() {
            by.entry(judged.grade).or_default().push(&judged.name);
        }
    }
    let told = |(topic, by): &(&str, BTreeMap<G, Vec<&str>>)| {
        let alone = by.len() == 1;
        let grade = |(grade, names): (&G, &Vec<&str>)| {
            if alone { word(*grade).to_owned() } else { format!("{} ({})", word(*grade), names.join("; ")) }
        };
        format!("{topic}{}", by.iter().map(grade).collect::<Vec<_>>().join(", "))
    };
    let told = topics.iter().map(told).collect::<Vec<_>>().join(". ");
    match (all.iter().filter(|judged| judged.fits).count(), all.len()) {
        (_, 0) => "not judged".to_owned(),
        (fitting, all) if fitting == all => format!("right: {told}"),
        (0, _) => format!("**wrong**: {told}"),
        _ => format!("it depends: {told}"),
    }
}

fn costs(summary: &Summary<'_>, out: &mut String) {
    let currency = &summary.prices.currency;
    let provider = summary.prices.providers.first().map_or("", |provider| provider.name.as_str());
    let _ = writeln!(out, "\n## Cost\n\nA month's bill by page views, at {}.\n", text(provider));
    let heads = SCALES.map(words::views).join(" | ");
    let _ = writeln!(out, "| way | measured as | guides say | {heads} | the word is |");
    let _ = writeln!(out, "|---|---|---|{}---|", "--:|".repeat(SCALES.len()));
    for (at, strategy, way) in ways(summary) {
        let usual = usual(way);
        let _ = write!(out, "| {} | {} | {} | ", usual.name, text(&strategy.measured.name), usual.cost);
        if let Some(missing) = &strategy.measured.missing {
            let _ = writeln!(out, "{}{} |", text(&why(missing)), " |".repeat(SCALES.len()));
            continue;
        }
        let cells = SCALES.map(|views| {
            strategy.bill(0, views).map_or("–".to_owned(), |bill| match bill.machines {
                machines if machines > 1 => {
                    let machines = words::number(f64::from(machines));
                    format!("{} ({machines} machines)", words::money(bill.total(), currency))
                }
                _ => words::money(bill.total(), currency),
            })
        });
        let word = judge(&judged_costs(summary, at, &usual), Price::word);
        let _ = writeln!(out, "{} | {word} |", cells.join(" | "));
    }
}

/// At each provider, of little traffic and of much.
fn judged_costs(summary: &Summary<'_>, at: usize, usual: &Usual) -> Vec<Judged<Price>> {
    let low_bill = summary.prices.assumptions.low_bill;
    let mut all = Vec::new();
    for ((topic, views), fitting) in [("little traffic: ", 1e4), ("much traffic: ", 1e8)].into_iter().zip(usual.prices)
    {
        for (provider, sheet) in summary.prices.providers.iter().enumerate() {
            let total = |strategy: &Strategy<'_>| strategy.bill(provider, views).map(|bill| bill.total());
            let least = summary.strategies.iter().filter_map(total).fold(f64::INFINITY, f64::min);
            let Some(bill) = summary.strategies.get(at).and_then(total) else { continue };
            let grade = Price::of(bill, least, low_bill);
            all.push(Judged { topic, name: sheet.name.clone(), grade, fits: fitting.contains(&grade) });
        }
    }
    all
}

fn rules(summary: &Summary<'_>, out: &mut String) {
    let low = words::money(summary.prices.assumptions.low_bill, &summary.prices.currency);
    let _ = writeln!(
        out,
        "\n## How the words are judged\n\n\
         - A figure is *excellent* up to 1.1 times the best one or where it does not differ from it beyond chance and noise, *very \
         good* up to 1.4 times, *good* up to 2, *fair* up to 3, else *poor*; the best is among what was measured here.\n\
         - A bill is *low* up to 1.5 times the least one at the same provider or up to {low}, *medium* up to 3 times, else *high*; \
         little traffic is 10 thousand page views a month, much is 100 million.\n\
         - The guides' *poor* takes in fair, *good* very good, and *very good* excellent. A word is right where it fits all \
         figures that it is about, wrong where it fits none.\n\
         - CPU per request is not held against strategies whose servers are somebody else's, and of the service worker only \
         repeat visits are judged, as the guides speak of these.\n\n\
         ## Of what\n"
    );
    for line in method(summary) {
        let _ = writeln!(out, "- {}", text(&line));
    }
}

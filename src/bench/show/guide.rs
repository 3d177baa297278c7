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
        let graded = situations.iter().filter(|situation| judged(situation, strategy, way)).filter_map(|situation| {
            let times = (*situation.times.get(at)?)?;
            Some((situation.name.clone(), Grade::of(times)))
        });
        let word = judge(graded.collect(), |grade| usual.grades.contains(&grade), Grade::word);
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
    let away = |origin: &u64| format!("first visit, {}", words::place(network, *origin));
    let ends = [distances.first(), distances.last().filter(|_| distances.len() > 1)];
    for origin in ends.into_iter().flatten() {
        let load = |of: &Strategy<'_>| of.visit(VisitKind::First, network, *origin)?.estimate(Metric::Load);
        all.push(Situation::of(summary, away(origin), Metric::Load, load));
    }
    for kind in [VisitKind::Repeat, VisitKind::AfterRelease] {
        let load = |of: &Strategy<'_>| of.visit(kind, network, *focus)?.estimate(Metric::Load);
        let name = format!("{}, {}", words::kind(kind), words::place(network, *focus));
        all.push(Situation::of(summary, name, Metric::Load, load));
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

/// `right` where it fits all, `wrong` where it fits none, else where it does.
fn judge<G: Copy + Ord>(
    graded: Vec<(String, G)>,
    fits: impl Fn(G) -> bool,
    word: impl Fn(G) -> &'static str,
) -> String {
    let fitting = graded.iter().filter(|(_, grade)| fits(*grade)).count();
    let mut by: BTreeMap<G, Vec<String>> = BTreeMap::new();
    for (name, grade) in &graded {
        by.entry(*grade).or_default().push(name.clone());
    }
    let told: Vec<String> = by.iter().map(|(grade, names)| format!("{}: {}", word(*grade), names.join("; "))).collect();
    let all = by.keys().next().filter(|_| by.len() == 1).map(|grade| word(*grade));
    match (fitting, graded.len()) {
        (_, 0) => "not judged".to_owned(),
        (fitting, all) if fitting == all => "right".to_owned(),
        (0, _) => format!("**wrong**: {}", all.map_or_else(|| told.join(". "), |word| format!("{word} throughout"))),
        _ => format!("it depends. {}", told.join(". ")),
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
        let graded = graded_costs(summary, at);
        let fits =
            |(much, price): (bool, Price)| usual.prices.get(usize::from(much)).is_some_and(|fit| fit.contains(&price));
        let word = judge(graded, fits, |(_, price)| price.word());
        let _ = writeln!(out, "{} | {word} |", cells.join(" | "));
    }
}

/// At each provider, of little traffic and of much.
fn graded_costs(summary: &Summary<'_>, at: usize) -> Vec<(String, (bool, Price))> {
    let mut graded = Vec::new();
    for (provider, sheet) in summary.prices.providers.iter().enumerate() {
        for (much, views) in [(false, 1e4), (true, 1e8)] {
            let total = |strategy: &Strategy<'_>| strategy.bill(provider, views).map(|bill| bill.total());
            let least = summary.strategies.iter().filter_map(total).fold(f64::INFINITY, f64::min);
            let Some(bill) = summary.strategies.get(at).and_then(total) else { continue };
            let price = Price::of(bill, least, summary.prices.assumptions.low_bill);
            graded.push((format!("{} views, {}", words::views(views), sheet.name), (much, price)));
        }
    }
    graded
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

//! Tables of what follows from what was measured: bills, advice, and changes since an earlier run.

use super::super::compare::{Change, Comparison, Trend};
use super::super::cost::SCALES;
use super::super::prices::Provider;
use super::super::summary::Summary;
use super::table::{Cell, Table};
use super::words;

/// Bills by scale, at a provider.
pub fn costs(summary: &Summary<'_>, at: usize, provider: &Provider) -> Table {
    let heads = SCALES.iter().map(|views| words::views(*views));
    let mut table = Table::new(format!("A month's bill at {}, by page views", provider.name), "strategy", heads);
    for strategy in summary.strategies.iter().filter(|of| of.measured.missing.is_none()) {
        let cells = SCALES.iter().map(|views| match strategy.bill(at, *views) {
            None => Cell::text("–"),
            Some(bill) => {
                let machines = match bill.machines {
                    0 => None,
                    1 => Some("1 machine".to_owned()),
                    many => Some(format!("{} machines", words::number(f64::from(many)))),
                };
                Cell { aside: machines, ..Cell::text(words::money(bill.total(), &summary.prices.currency)) }
            }
        });
        table.push(strategy.measured.name.clone(), cells);
    }
    if summary.strategies.iter().any(|strategy| strategy.measured.billed_requests) {
        table.notes.push("with a store: machines for its pages alone".to_owned());
    }
    table.notes.push("–: its capacity was not measured, or this provider has not what it needs".to_owned());
    table
}

/// What a bill is made of.
pub fn bill(summary: &Summary<'_>, views: f64) -> Table {
    let provider = summary.prices.providers.first().map_or("", |provider| provider.name.as_str());
    let title = format!("What the bill for {} page views is made of, at {provider}", words::views(views));
    let heads =
        ["machines", "traffic", "requests", "storage", "fixed", "bytes a view", "requests a view"].map(str::to_owned);
    let mut table = Table::new(title, "strategy", heads);
    for strategy in &summary.strategies {
        let (Some(bill), Some(usage)) = (strategy.bill(0, views), strategy.usage) else { continue };
        let parts = [bill.machine_cost, bill.traffic, bill.requests, bill.storage, bill.fixed];
        let parts = parts.map(|part| Cell::text(words::money(part, &summary.prices.currency)));
        let view = usage.view();
        let view = [words::size(view.bytes), words::number(view.requests)].map(Cell::text);
        table.push(strategy.measured.name.clone(), parts.into_iter().chain(view));
    }
    table
}

pub fn picks(summary: &Summary<'_>) -> Table {
    let mut table = Table::texts("Which strategy for which site", &["what matters", "use", "by", "figure", "next to"]);
    for pick in &summary.advice.picks {
        let cells = [
            summary.name(pick.strategy).to_owned(),
            words::measure(pick),
            words::figure(summary, pick),
            words::reason(summary, pick),
        ];
        table.push(pick.site, cells.map(Cell::text));
    }
    table
}

pub fn noise(summary: &Summary<'_>) -> Table {
    let mut table = Table::new("Noise", "figure", ["differs by chance by up to".to_owned()]);
    for (metric, noise) in &summary.noise {
        table.push(metric.to_string(), [Cell::text(words::share(*noise))]);
    }
    table
}

pub fn assumptions(summary: &Summary<'_>) -> Table {
    let assumed = &summary.prices.assumptions;
    let mut table = Table::texts("Assumptions", &["what", "assumed"]);
    for (what, value) in [
        ("page views by somebody who comes back", words::share(assumed.repeat_visits)),
        ("their page views from one release to the next", words::number(assumed.views_per_release)),
        ("the busiest minute next to the month's mean", format!("{} times", words::number(assumed.peak_factor))),
        ("use of a machine's CPU and network at the peak", words::share(assumed.utilisation)),
        ("machines at least", assumed.least_machines.to_string()),
        ("hours in a month", words::number(assumed.hours)),
    ] {
        table.push(what, [Cell::text(value)]);
    }
    table
}

pub fn prices(summary: &Summary<'_>) -> Table {
    let mut table = Table::texts("Prices", &["provider", "of what", "as of", "source", "checked"]);
    for provider in &summary.prices.providers {
        for (name, published) in provider.published() {
            let checked = match (published.checked, published.note.as_str()) {
                (true, "") => "yes".to_owned(),
                (_, note) => note.to_owned(),
            };
            let cells = [name, &published.as_of, &published.source, &checked];
            table.push(provider.name.clone(), cells.map(Cell::text));
        }
    }
    table
}

fn figure(change: &Change) -> String {
    match &change.situation {
        Some(situation) => format!("{}, {}", change.metric, words::situation(situation)),
        None => change.metric.to_string(),
    }
}

/// What got worse, a line each.
/// What comes of a comparison, in a sentence.
pub fn outcome(comparison: &Comparison) -> &'static str {
    if !comparison.refused.is_empty() {
        "The two runs can't be compared."
    } else if comparison.regressed() {
        "Something got worse beyond chance and noise."
    } else if comparison.count(Trend::Unknown) == comparison.changes.len() {
        "There are too few rounds to tell what got worse from chance."
    } else {
        "Nothing got worse beyond chance and noise."
    }
}

pub fn regressions(comparison: &Comparison) -> Vec<String> {
    let worse = comparison.changes.iter().filter(|change| change.verdict == Trend::Worse);
    let worse = worse.map(|change| {
        let [then, now] = [change.old, change.new].map(|of| words::value(change.metric, of.median));
        format!("`{}`: {}: {then} then, {now} now", change.strategy, figure(change))
    });
    comparison.lost.iter().cloned().chain(worse).collect()
}

/// All changes, or only those that are none by chance.
pub fn changes(comparison: &Comparison, all: bool) -> Table {
    let mut table = Table::texts(
        format!("Since the run of {}", comparison.before),
        &["strategy", "figure", "then", "now", "change"],
    );
    let told = |change: &&Change| all || matches!(change.verdict, Trend::Better | Trend::Worse);
    for change in comparison.changes.iter().filter(told) {
        let what = figure(change);
        let trend = match change.verdict {
            Trend::Better => format!("better by {}", words::share(change.share())),
            Trend::Worse => format!("worse by {}", words::share(change.share())),
            Trend::None => "no difference".to_owned(),
            Trend::Unknown => "too few rounds to say".to_owned(),
        };
        let [then, now] = [change.old, change.new].map(|of| Cell::figure(change.metric, Some(of)));
        let trend = Cell { doubtful: false, best: false, ..Cell::text(trend) };
        table.push(change.strategy.clone(), [Cell::text(what), then, now, trend]);
    }
    table.notes.extend(comparison.refused.iter().map(|what| format!("can't be compared, since {what}")));
    table.notes.extend(comparison.lost.iter().chain(&comparison.notes).cloned());
    if comparison.refused.is_empty() {
        let [better, worse, none, unknown] =
            [Trend::Better, Trend::Worse, Trend::None, Trend::Unknown].map(|trend| comparison.count(trend));
        table.notes.push(format!(
            "{better} better, {worse} worse, {none} without a difference beyond chance and noise, {unknown} with too few rounds to say"
        ));
    }
    table
}

//! The tables, whatever they are written as.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::compare::{Change, Comparison, Trend};
use super::super::cost::SCALES;
use super::super::metric::Metric;
use super::super::prices::Provider;
use super::super::report::{Missing, VisitKind};
use super::super::statistics::Estimate;
use super::super::summary::{Edge, Situation, Strategy, Summary, distances};
use super::words;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    pub title: String,
    pub head: Vec<Head>,
    pub rows: Vec<Row>,
    /// What a reader has to know of it.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Head {
    pub name: String,
    pub number: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Row {
    Cells(Vec<Cell>),
    /// A strategy that there are no figures of, and why.
    Missing {
        name: String,
        why: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    pub text: String,
    /// Between what bounds the figure is, or what else belongs to it.
    pub aside: Option<String>,
    /// The best, or no different from it.
    pub best: bool,
    /// There were errors, or something else that makes it doubtful.
    pub doubtful: bool,
}

pub const KINDS: [VisitKind; 3] = [VisitKind::First, VisitKind::Repeat, VisitKind::AfterRelease];

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Cell { text: text.into(), ..Cell::default() }
    }

    fn figure(metric: Metric, estimate: Option<Estimate>) -> Self {
        let Some(estimate) = estimate else { return Cell::text("–") };
        let aside = words::range(metric, &estimate);
        Cell { text: words::value(metric, estimate.median), aside, ..Cell::default() }
    }

    /// With the marks that stand for how it is shown elsewhere.
    pub fn plain(&self) -> String {
        format!("{}{}{}", self.text, if self.best { "*" } else { "" }, if self.doubtful { "!" } else { "" })
    }
}

impl Table {
    fn new(title: impl Into<String>, first: &str, numbers: impl IntoIterator<Item = String>) -> Self {
        let first = Head { name: first.to_owned(), number: false };
        let numbers = numbers.into_iter().map(|name| Head { name, number: true });
        Table { title: title.into(), head: std::iter::once(first).chain(numbers).collect(), ..Table::default() }
    }

    fn texts(title: impl Into<String>, names: &[&str]) -> Self {
        let head = names.iter().map(|name| Head { name: (*name).to_owned(), number: false }).collect();
        Table { title: title.into(), head, ..Table::default() }
    }

    fn push(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(Row::Cells(std::iter::once(Cell::text(name)).chain(cells).collect()));
    }

    /// What the marks in its cells mean.
    fn legend(mut self) -> Self {
        let cells = || {
            self.rows.iter().filter_map(|row| match row {
                Row::Cells(cells) => Some(cells),
                Row::Missing { .. } => None,
            })
        };
        let best = cells().flatten().any(|cell| cell.best);
        let doubtful = cells().flatten().any(|cell| cell.doubtful);
        self.notes.extend(best.then(|| "*: the best, or not different from it beyond chance and noise".to_owned()));
        self.notes.extend(doubtful.then(|| "!: some requests failed".to_owned()));
        self
    }
}

/// A column of estimates.
struct Figure<'f> {
    head: String,
    metric: Metric,
    of: Box<dyn Fn(&Strategy<'_>) -> Option<Estimate> + 'f>,
}

fn figure<'f>(
    head: impl Into<String>,
    metric: Metric,
    of: impl Fn(&Strategy<'_>) -> Option<Estimate> + 'f,
) -> Figure<'f> {
    Figure { head: head.into(), metric, of: Box::new(of) }
}

/// A row for each strategy; in each column the best ones are marked, where there is one that is not.
fn figures(summary: &Summary<'_>, title: impl Into<String>, columns: &[Figure<'_>]) -> Table {
    let mut table = Table::new(title, "strategy", columns.iter().map(|column| column.head.clone()));
    let best: Vec<BTreeSet<usize>> = columns.iter().map(|column| best(summary, column.metric, &column.of)).collect();
    for (at, strategy) in summary.strategies.iter().enumerate() {
        if let Some(missing) = &strategy.measured.missing {
            table.rows.push(Row::Missing { name: strategy.measured.name.clone(), why: why(missing) });
            continue;
        }
        let failed = strategy.server.as_ref().is_some_and(|server| server.errors > 0 || server.unsent > 0);
        let cells = columns.iter().zip(&best).map(|(column, best)| {
            let estimate = (column.of)(strategy);
            let doubtful = failed && estimate.is_some() && Metric::SERVER.contains(&column.metric);
            Cell { best: best.contains(&at), doubtful, ..Cell::figure(column.metric, estimate) }
        });
        table.push(strategy.measured.name.clone(), cells);
    }
    table
}

fn best(summary: &Summary<'_>, metric: Metric, of: &dyn Fn(&Strategy<'_>) -> Option<Estimate>) -> BTreeSet<usize> {
    let places = summary.order(metric, of);
    let differ = places.iter().any(|place| place.group > 0);
    places.iter().filter(|place| differ && place.group == 0).map(|place| place.strategy).collect()
}

pub fn why(missing: &Missing) -> String {
    let remedy = if missing.remedy.is_empty() { String::new() } else { format!(" ({})", missing.remedy) };
    format!("not measured: {}{remedy}", missing.reason)
}

/// What is said on the terminal: the comparison of all, which for which site, and what was not measured.
pub fn terminal(summary: &Summary<'_>, comparison: Option<&Comparison>) -> Vec<Table> {
    let mut all = vec![overview(summary)];
    if summary.advice.picks.len() > 1 {
        all.push(picks(summary));
    }
    all.extend(comparison.map(|comparison| changes(comparison, false)));
    let mut missing = Table::texts("Not measured", &["strategy", "why"]);
    for table in &mut all {
        table.rows.retain(|row| match row {
            Row::Cells(_) => true,
            Row::Missing { name, why } => {
                missing.push(name.clone(), [Cell::text(why.trim_start_matches("not measured: "))]);
                false
            }
        });
    }
    all.push(missing);
    all.retain(|table| !table.rows.is_empty());
    all
}

pub fn overview(summary: &Summary<'_>) -> Table {
    let server = |head: &str, metric: Metric| figure(head, metric, move |of| of.server.as_ref()?.estimate(metric));
    let visit = |head: &str, metric: Metric, kind: VisitKind| {
        figure(head, metric, move |of: &Strategy<'_>| {
            let (network, origin) = summary.focus.as_ref()?;
            of.visit(kind, network, *origin)?.estimate(metric)
        })
    };
    let mut columns = vec![
        server("req/s", Metric::Throughput),
        server("CPU/req", Metric::Cpu),
        server("memory", Metric::Memory),
        server("p50", Metric::Latency50),
        server("p99", Metric::Latency99),
    ];
    if summary.focus.is_some() {
        columns.extend([
            visit("first", Metric::Load, VisitKind::First),
            visit("repeat", Metric::Load, VisitKind::Repeat),
            visit("released", Metric::Load, VisitKind::AfterRelease),
            visit("bytes", Metric::Bytes, VisitKind::First),
        ]);
    }
    let mut table = figures(summary, "The strategies", &columns);
    let million = 1e6;
    table.head.push(Head { name: "month".to_owned(), number: true });
    let mut measured = summary.strategies.iter().filter(|of| of.measured.missing.is_none());
    for row in &mut table.rows {
        let Row::Cells(cells) = row else { continue };
        let bill = measured.next().and_then(|strategy| strategy.bill(0, million));
        cells
            .push(Cell::text(bill.map_or("–".to_owned(), |bill| words::money(bill.total(), &summary.prices.currency))));
    }
    if let Some((network, origin)) = &summary.focus {
        table.notes.push(format!(
            "first, repeat, released: load of a visit at {}; bytes: of a first visit",
            words::place(network, *origin)
        ));
    }
    if let Some(provider) = summary.prices.providers.first() {
        table.notes.push(format!("month: bill for {} page views at {}", words::views(million), provider.name));
    }
    table.legend()
}

pub fn latency(summary: &Summary<'_>) -> Table {
    let names = super::super::summary::PERCENTILES.map(|(name, _)| name.to_owned());
    let more = ["requests", "never sent", "errors"].map(str::to_owned);
    let rate = words::number(summary.report.settings.rate);
    let title = format!("Latency at {rate} requests per second");
    let mut table = Table::new(title, "strategy", names.into_iter().chain(more));
    for strategy in &summary.strategies {
        let Some(server) = &strategy.server else { continue };
        let doubtful = server.errors > 0 || server.unsent > 0;
        let percentiles = server.percentiles().map(|of| Cell { doubtful, ..Cell::text(words::percentile(of)) });
        let counts = [server.latencies.total(), server.unsent, server.errors];
        let counts = counts.map(|count| Cell::text(words::number(count as f64)));
        table.push(strategy.measured.name.clone(), percentiles.into_iter().chain(counts));
    }
    table.notes.push(
        "from when a request was due to the end of its answer, all rounds together; –: too few requests for it"
            .to_owned(),
    );
    table.legend()
}

pub fn load(summary: &Summary<'_>) -> Table {
    let heads = ["server's cores", "generator's cores", "limited by"].map(str::to_owned);
    let mut table = Table::new("CPU in use while saturated", "strategy", heads);
    for strategy in &summary.strategies {
        let Some(server) = &strategy.server else { continue };
        let by = match (server.generator_bound, server.generator_cores + server.server_cores) {
            (true, _) => "the generator",
            (false, used) if used >= 0.8 * summary.report.machine.cores as f64 => "the strategy",
            (false, _) => "neither's CPU",
        };
        let cores = [server.server_cores, server.generator_cores].map(|cores| Cell::text(words::number(cores)));
        table.push(strategy.measured.name.clone(), cores.into_iter().chain([Cell::text(by)]));
    }
    table
}

pub fn visits(summary: &Summary<'_>) -> Option<Table> {
    let (network, origin) = summary.focus.as_ref()?;
    let heads = Metric::VISIT.map(|metric| metric.to_string());
    let title = format!("Visits at {}", words::place(network, *origin));
    let mut table = Table::new(title, "strategy and visit", heads);
    for kind in [VisitKind::First, VisitKind::Repeat, VisitKind::AfterRelease, VisitKind::AfterReleaseCold] {
        let of = |strategy: &Strategy<'_>, metric: Metric| strategy.visit(kind, network, *origin)?.estimate(metric);
        let best: Vec<_> =
            Metric::VISIT.iter().map(|metric| best(summary, *metric, &|strategy| of(strategy, *metric))).collect();
        for (at, strategy) in summary.strategies.iter().enumerate() {
            if strategy.visit(kind, network, *origin).is_none() {
                continue;
            }
            let cells = Metric::VISIT.iter().zip(&best).map(|(metric, best)| Cell {
                best: best.contains(&at),
                ..Cell::figure(*metric, of(strategy, *metric))
            });
            table.push(format!("{}, {}", strategy.measured.name, words::kind(kind)), cells);
        }
    }
    Some(table.legend())
}

/// First and repeat visits by network, each at the distance that is shown elsewhere, or the nearest that was measured.
pub fn networks(summary: &Summary<'_>) -> Option<Table> {
    let (_, focus) = summary.focus.as_ref()?;
    let mut columns = Vec::new();
    for network in &summary.report.settings.networks {
        let all = distances(summary, &network.name);
        let Some(origin) = all.iter().find(|origin| *origin == focus).or(all.first()).copied() else { continue };
        for (kind, word) in [(VisitKind::First, "first"), (VisitKind::Repeat, "repeat")] {
            columns.push(figure(format!("{}, {word}", network.name), Metric::Load, move |of: &Strategy<'_>| {
                of.visit(kind, &network.name, origin)?.estimate(Metric::Load)
            }));
        }
    }
    (columns.len() > 2).then(|| figures(summary, "Load by network", &columns).legend())
}

/// First visits by distance, with each state of an edge.
pub fn distance(summary: &Summary<'_>) -> Option<Table> {
    let (network, _) = summary.focus.as_ref()?;
    let all = distances(summary, network);
    if all.len() < 2 {
        return None;
    }
    let heads = all.iter().map(|origin| words::millis(*origin as f64 / 1000.0));
    let mut table =
        Table::new(format!("Load of a first visit by round trip to the origin, {network}"), "strategy", heads);
    for strategy in &summary.strategies {
        for edge in [Edge::None, Edge::Cold, Edge::Warm] {
            let of = |origin: &u64| {
                let situation =
                    Situation { kind: VisitKind::First, network: network.clone(), origin_us: *origin, edge };
                strategy.visits.get(&situation)?.estimate(Metric::Load)
            };
            if all.iter().all(|origin| of(origin).is_none()) {
                continue;
            }
            let name = &strategy.measured.name;
            let name = if edge == Edge::None { name.clone() } else { format!("{name}, {}", words::edge(edge)) };
            table.push(name, all.iter().map(|origin| Cell::figure(Metric::Load, of(origin))));
        }
    }
    Some(table)
}

pub fn hits(summary: &Summary<'_>) -> Option<Table> {
    let heads = ["hits, cold", "hits, warm", "from the origin for each request"].map(str::to_owned);
    let mut table = Table::new("What edges answer themselves", "strategy", heads);
    for strategy in summary.strategies.iter().filter(|of| !of.measured.edges.is_empty()) {
        let origin = strategy.usage.map(|usage| words::size(usage.origin_bytes));
        let hits = [strategy.hits.cold, strategy.hits.warm].map(|hits| hits.map(words::share));
        let cells = hits.into_iter().chain([origin]);
        table.push(strategy.measured.name.clone(), cells.map(|cell| Cell::text(cell.unwrap_or("–".to_owned()))));
    }
    (!table.rows.is_empty()).then_some(table)
}

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
        let view = [words::size(usage.view.bytes), words::number(usage.view.requests)].map(Cell::text);
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

/// All changes, or only those that are none by chance.
pub fn changes(comparison: &Comparison, all: bool) -> Table {
    let mut table = Table::texts(
        format!("Since the run of {}", comparison.before),
        &["strategy", "figure", "then", "now", "change"],
    );
    let told = |change: &&Change| all || matches!(change.verdict, Trend::Better | Trend::Worse);
    for change in comparison.changes.iter().filter(told) {
        let what = match &change.situation {
            Some(situation) => format!("{}, {}", change.metric, words::situation(situation)),
            None => change.metric.to_string(),
        };
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
    table.notes.extend(comparison.notes.iter().cloned());
    if comparison.refused.is_empty() {
        let [better, worse, none, unknown] =
            [Trend::Better, Trend::Worse, Trend::None, Trend::Unknown].map(|trend| comparison.count(trend));
        table.notes.push(format!(
            "{better} better, {worse} worse, {none} without a difference beyond chance and noise, {unknown} with too few rounds to say"
        ));
    }
    table
}

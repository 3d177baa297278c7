//! Tables of what was measured.

use super::super::metric::Metric;
use super::super::report::VisitKind;
use super::super::summary::{Bound, Edge, PERCENTILES, Situation, Strategy, Summary, distances, far_network};
use super::table::{Cell, Head, Row, Table, best, figure, figures};
use super::words;

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
    let names = PERCENTILES.map(|(name, _)| name.to_owned());
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
    let heads = ["bytes an answer", "server's cores", "generator's cores", "limited by"].map(str::to_owned);
    let mut table = Table::new("While saturated: bytes on the wire, and CPU in use", "strategy", heads);
    for strategy in &summary.strategies {
        let Some(server) = &strategy.server else { continue };
        let by = match server.bound {
            Bound::Generator => "the generator",
            Bound::Servers => "the strategy",
            Bound::Neither => "neither's CPU",
        };
        let bytes = (server.answered > 0).then(|| words::size(server.bytes as f64 / server.answered as f64));
        let cores = [server.server_cores, server.generator_cores].map(|cores| Cell::text(words::number(cores)));
        let bytes = Cell::text(bytes.unwrap_or("–".to_owned()));
        table.push(strategy.measured.name.clone(), [bytes].into_iter().chain(cores).chain([Cell::text(by)]));
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
    let network = far_network(summary)?;
    let all = distances(summary, &network);
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

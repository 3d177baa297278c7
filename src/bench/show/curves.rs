//! The charts of a summary: what is drawn in which.

use super::super::cost::SCALES;
use super::super::metric::Metric;
use super::super::report::VisitKind;
use super::super::statistics::{Buckets, Estimate};
use super::super::summary::{Summary, distances, far_network};
use super::chart::{self, Axis, Line, Lines, Mark, RowOf, Rows};
use super::{table::KINDS, words};

/// How far a percentile curve goes: up to the request in this many that is slower.
const NINES: f64 = 4.0;

/// Of strategies that answered: their places, names and latencies.
fn latencies<'s>(summary: &'s Summary<'_>) -> Vec<(usize, &'s str, &'s Buckets)> {
    let all = summary.strategies.iter().enumerate();
    all.filter_map(|(at, of)| Some((at, of.measured.name.as_str(), &of.server.as_ref()?.latencies)))
        .filter(|(_, _, buckets)| !buckets.counts().is_empty())
        .collect()
}

/// Which percentile a request stays below, along the axis: each further nine takes as much room.
pub fn percentiles(summary: &Summary<'_>) -> Option<String> {
    let measured = latencies(summary);
    let (low, high) = bounds(&measured)?;
    let lines = measured.iter().map(|(at, name, buckets)| Line {
        name: (*name).to_owned(),
        series: *at,
        points: curve(buckets),
    });
    let labels = [(0.0, "0"), (0.301, "50 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")];
    chart::lines(&Lines {
        id: "percentiles".to_owned(),
        title: "Latency by percentile".to_owned(),
        description:
            "For each strategy, the latency that a share of requests stays below; the table beside it has the figures."
                .to_owned(),
        x: Axis {
            label: "share of requests that are no slower".to_owned(),
            low: 0.0,
            high: NINES,
            ticks: labels.map(|(at, label)| (at, label.to_owned())).to_vec(),
        },
        y: logarithmic("latency", low, high, |micros| words::millis(micros / 1000.0)),
        lines: lines.collect(),
    })
}

fn curve(buckets: &Buckets) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    // Of a hundred requests, the slowest is at the 99th percentile.
    let least = (1.0 / buckets.total().max(1) as f64).max(10_f64.powf(-NINES));
    for (share, micros) in buckets.cumulative() {
        let nines = -(1.0 - share).max(least).log10();
        let point = (nines, (micros.max(1) as f64).log10());
        match points.last_mut() {
            // Points that fall on one pixel say nothing more.
            Some(last) if nines - last.0 < 0.005 => *last = point,
            _ => points.push(point),
        }
    }
    if let Some(first) = points.first().copied() {
        points.insert(0, (0.0, first.1));
    }
    points
}

/// Where the requests of each strategy lie.
pub fn shapes(summary: &Summary<'_>) -> Option<String> {
    let measured = latencies(summary);
    let (low, high) = bounds(&measured)?;
    let x =
        logarithmic("latency; the height is the share of requests", low, high, |micros| words::millis(micros / 1000.0));
    let rows = measured.iter().map(|(row, name, buckets)| {
        let mark = |share: f64| {
            let at = (buckets.percentile(share).micros()? as f64).max(1.0).log10();
            Some(Mark { series: *row, marker: 0, at, low: at, high: at })
        };
        RowOf {
            name: (*name).to_owned(),
            series: *row,
            shape: density(buckets, x.low, x.high),
            marks: [0.5, 0.99].into_iter().filter_map(mark).collect(),
        }
    });
    let rows = rows.collect();
    chart::rows(&Rows {
        id: "shapes".to_owned(),
        title: "How latencies are spread".to_owned(),
        description: "For each strategy, how many requests took how long; dots are the median and the 99th percentile."
            .to_owned(),
        x,
        rows,
    })
}

/// The share of requests by stretch of the axis, the most of it as 1.
fn density(buckets: &Buckets, low: f64, high: f64) -> Vec<(f64, f64)> {
    const STRETCHES: usize = 110;
    let mut counts = vec![0.0; STRETCHES + 1];
    for (micros, count) in buckets.counts() {
        let at = ((*micros).max(1) as f64).log10();
        let stretch = ((at - low) / (high - low) * STRETCHES as f64).round().max(0.0) as usize;
        if let Some(sum) = counts.get_mut(stretch.min(STRETCHES)) {
            *sum += *count as f64;
        }
    }
    let most = counts.iter().copied().fold(1.0, f64::max);
    let place = |at: usize| low + (high - low) * at as f64 / STRETCHES as f64;
    counts.iter().enumerate().map(|(at, count)| (place(at), count / most)).collect()
}

fn bounds(measured: &[(usize, &str, &Buckets)]) -> Option<(f64, f64)> {
    let bounds =
        measured.iter().flat_map(|(_, _, buckets)| buckets.counts().keys()).map(|micros| (*micros).max(1) as f64);
    let (low, high) = bounds.fold((f64::INFINITY, 0.0_f64), |(low, high), at| (low.min(at), high.max(at)));
    (high > 0.0).then_some((low, high))
}

/// From the power of ten (or its third) below to the one above.
fn logarithmic(label: &str, low: f64, high: f64, word: impl Fn(f64) -> String) -> Axis {
    let (low, high) = (low.log10(), high.log10());
    let steps: &[f64] = if high - low > 4.0 { &[1.0] } else { &[1.0, 3.0] };
    let first = low.floor() as i32 - 1;
    let all = (first..=high.ceil() as i32).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    let all: Vec<f64> = all.collect();
    let begin = all.iter().map(|at| at.log10()).filter(|at| *at <= low + 1e-9).fold(low, f64::max).min(low);
    let below = all.iter().map(|at| at.log10()).filter(|at| *at <= low + 1e-9).fold(f64::NEG_INFINITY, f64::max);
    let above = all.iter().map(|at| at.log10()).filter(|at| *at >= high - 1e-9).fold(f64::INFINITY, f64::min);
    let low = if below.is_finite() { below } else { begin };
    let high = if above.is_finite() { above.max(low + 0.5) } else { high.max(low + 0.5) };
    let within = all.into_iter().filter(|at| (low - 1e-9..=high + 1e-9).contains(&at.log10()));
    Axis { label: label.to_owned(), low, high, ticks: within.map(|at| (at.log10(), word(at))).collect() }
}

/// From 0 up, by steps that read well.
fn linear(label: &str, high: f64, word: impl Fn(f64) -> String) -> Axis {
    let rough = (high / 5.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough).unwrap_or(rough);
    let count = (high / step).ceil() as usize;
    let ticks =
        (0..=count).map(|at| at as f64 * step).map(|at| (at, if at == 0.0 { "0".to_owned() } else { word(at) }));
    Axis { label: label.to_owned(), low: 0.0, high: count as f64 * step, ticks: ticks.collect() }
}

/// First, repeat and after-release visits of each strategy, with their intervals.
pub fn loads(summary: &Summary<'_>) -> Option<String> {
    let (network, origin) = summary.focus.as_ref()?;
    let mut rows = Vec::new();
    let mut most: f64 = 0.0;
    for strategy in &summary.strategies {
        let of = |kind: VisitKind| strategy.visit(kind, network, *origin)?.estimate(Metric::Load);
        let found: Vec<(usize, Estimate)> =
            KINDS.iter().enumerate().filter_map(|(series, kind)| Some((series, of(*kind)?))).collect();
        most = found.iter().map(|(_, estimate)| estimate.high).fold(most, f64::max);
        let mark = |(series, of): (usize, Estimate)| Mark {
            series,
            marker: series,
            at: of.median,
            low: of.low,
            high: of.high,
        };
        let marks: Vec<Mark> = found.into_iter().map(mark).collect();
        if !marks.is_empty() {
            rows.push(RowOf { name: strategy.measured.name.clone(), series: 0, shape: Vec::new(), marks });
        }
    }
    if rows.is_empty() {
        return None;
    }
    chart::rows(&Rows {
        id: "loads".to_owned(),
        title: "Load of visits".to_owned(),
        description: "For each strategy, the load time of a first visit (circle), a repeat visit (triangle) and one after a release \
                      (cross), each with its interval."
            .to_owned(),
        x: linear("load", most, words::millis),
        rows,
    })
}

pub fn distance(summary: &Summary<'_>) -> Option<String> {
    let network = far_network(summary)?;
    let all = distances(summary, &network);
    let last = *all.last().filter(|_| all.len() > 1)?;
    let mut lines = Vec::new();
    for (series, strategy) in summary.strategies.iter().enumerate() {
        let point = |origin: &u64| {
            let load = strategy.visit(VisitKind::First, &network, *origin)?.estimate(Metric::Load)?;
            Some((*origin as f64 / 1000.0, load.median))
        };
        let points: Vec<(f64, f64)> = all.iter().filter_map(point).collect();
        if points.len() > 1 {
            lines.push(Line { name: strategy.measured.name.clone(), series, points });
        }
    }
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, load)| *load).fold(0.0, f64::max);
    if lines.is_empty() {
        return None;
    }
    chart::lines(&Lines {
        id: "distance".to_owned(),
        title: format!("First visits by distance, {network}"),
        description: "For each strategy, the load time of a first visit by the round trip to the origin; through a warm edge where there \
                      is one."
            .to_owned(),
        x: linear("round trip to the origin", last as f64 / 1000.0, words::millis),
        y: linear("load of a first visit", most, words::millis),
        lines,
    })
}

/// Bills by page views, both by powers of ten.
pub fn costs(summary: &Summary<'_>) -> Option<String> {
    // What costs nothing is drawn at the bottom.
    const LEAST: f64 = 0.1;
    let provider = summary.prices.providers.first()?;
    let steps = 5;
    let views =
        (0..=(SCALES.len() - 1) * steps).map(|step| 10_f64.powf(SCALES[0].log10() + step as f64 / steps as f64));
    let views: Vec<f64> = views.collect();
    let mut lines = Vec::new();
    for (series, strategy) in summary.strategies.iter().enumerate() {
        let Some(usage) = strategy.usage.filter(|_| strategy.measured.missing.is_none()) else { continue };
        let point = |views: &f64| {
            let bill = usage.bill(provider, &summary.prices.assumptions, *views)?.total();
            Some((views.log10(), bill.max(LEAST).log10()))
        };
        let points: Vec<(f64, f64)> = views.iter().filter_map(point).collect();
        if !points.is_empty() {
            lines.push(Line { name: strategy.measured.name.clone(), series, points });
        }
    }
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, bill)| *bill).fold(f64::NEG_INFINITY, f64::max);
    if lines.is_empty() {
        return None;
    }
    let currency = &summary.prices.currency;
    chart::lines(&Lines {
        id: "costs".to_owned(),
        title: format!("A month's bill at {}", provider.name),
        description: "For each strategy, the bill by page views a month, from 10 thousand to 1 billion; both axes by powers of ten."
            .to_owned(),
        x: Axis {
            label: "page views a month".to_owned(),
            low: SCALES[0].log10(),
            high: SCALES[SCALES.len() - 1].log10(),
            ticks: SCALES.map(|views| (views.log10(), words::views(views))).to_vec(),
        },
        y: logarithmic("a month's bill", LEAST, 10_f64.powf(most), |bill| words::money(bill, currency).replace(".00", "")),
        lines,
    })
}

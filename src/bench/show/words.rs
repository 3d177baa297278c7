//! Figures and judgements as people read them.

use super::super::metric::Metric;
use super::super::report::{Emulation, VisitKind};
use super::super::statistics::{Estimate, Percentile};
use super::super::summary::{Edge, Measure, Pick, Situation, Summary};

/// Three digits that mean something, and thousands apart: `12,300`, `1.24`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = if value.abs() >= 1.0 { value.abs().log10().floor() as i32 } else { 0 };
    let unit = 10_f64.powi(magnitude - 2);
    let rounded = (value / unit).round() * unit;
    let text = format!("{rounded:.*}", usize::try_from(2 - magnitude).unwrap_or(0));
    grouped(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
}

fn grouped(digits: &str) -> String {
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    match rest {
        Some(rest) => format!("{out}.{rest}"),
        None => out,
    }
}

pub fn millis(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{} s", number(ms / 1000.0)),
        ms if ms < 1.0 => format!("{} µs", number(ms * 1000.0)),
        ms => format!("{} ms", number(ms)),
    }
}

pub fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", number(value), units.get(unit).unwrap_or(&""))
}

pub fn share(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        percent if !percent.is_finite() => "–".to_owned(),
        percent if percent > 0.0 && percent < 0.1 => "less than 0.1 %".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

pub fn money(amount: f64, currency: &str) -> String {
    let text = match amount {
        amount if amount > 0.0 && amount < 0.01 => "0.01".to_owned(),
        amount if amount < 100.0 => format!("{amount:.2}"),
        amount => grouped(&format!("{amount:.0}")),
    };
    let less = if amount > 0.0 && amount < 0.01 { "< " } else { "" };
    match currency {
        "USD" => format!("{less}${text}"),
        "EUR" => format!("{less}€{text}"),
        other => format!("{less}{text} {other}"),
    }
}

/// `1 request`, `2 requests`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", number(count as f64), if count == 1 { "" } else { "s" })
}

/// How long something took that took long: `12.6 min`.
pub fn long(seconds: f64) -> String {
    if seconds < 120.0 { millis(seconds * 1000.0) } else { format!("{} min", number(seconds / 60.0)) }
}

/// Page views: `10 thousand`.
pub fn views(count: f64) -> String {
    match count {
        count if count >= 1e9 => format!("{} billion", number(count / 1e9)),
        count if count >= 1e6 => format!("{} million", number(count / 1e6)),
        count if count >= 1e3 => format!("{} thousand", number(count / 1e3)),
        count => number(count),
    }
}

pub fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Throughput | Metric::Requests => number(value),
        Metric::Memory | Metric::Bytes => size(value),
        Metric::Cpu | Metric::Latency50 | Metric::Latency99 => millis(value / 1000.0),
        Metric::FirstByte | Metric::FirstPaint | Metric::LargestPaint | Metric::Load => millis(value),
    }
}

/// The bounds, if there are any that differ: `1.20–1.31 s`.
pub fn range(metric: Metric, estimate: &Estimate) -> Option<String> {
    if estimate.samples < 2 {
        return None;
    }
    let (low, high) = (value(metric, estimate.low), value(metric, estimate.high));
    if low == high {
        return None;
    }
    let (same, unit) = (low.split_once(' '), high.split_once(' ').map(|(_, unit)| unit));
    Some(match same {
        Some((number, own)) if Some(own) == unit => format!("{number}–{high}"),
        _ => format!("{low}–{high}"),
    })
}

pub fn percentile(percentile: Percentile) -> String {
    match percentile {
        Percentile::Micros(micros) => millis(micros as f64 / 1000.0),
        Percentile::Beyond(micros) => format!("> {}", millis(micros as f64 / 1000.0)),
        Percentile::Unknown => "–".to_owned(),
    }
}

pub fn kind(kind: VisitKind) -> &'static str {
    match kind {
        VisitKind::First => "first visit",
        VisitKind::Repeat => "repeat visit",
        VisitKind::AfterRelease => "after a release",
        VisitKind::AfterReleaseCold => "after a release, new visitor",
    }
}

pub fn edge(edge: Edge) -> &'static str {
    match edge {
        Edge::None => "no edge",
        Edge::Cold => "cold edge",
        Edge::Warm => "warm edge",
    }
}

/// Who makes networks, and what of real ones is in it.
pub fn emulation(of: Emulation) -> &'static str {
    match of {
        Emulation::Relays => {
            "relays on loopback (a round trip for each connection's start, delay and rate; without TCP's slow start)"
        }
        Emulation::Netem => {
            "the kernel (netem in a network namespace: delay and rate, with TCP's own handshakes and slow start)"
        }
    }
}

/// Where a visitor is: `4g, 50 ms away`.
pub fn place(network: &str, origin_us: u64) -> String {
    format!("{network}, {} away", millis(origin_us as f64 / 1000.0).replace("0 µs", "0 ms"))
}

pub fn situation(of: &Situation) -> String {
    let edge = if of.edge == Edge::None { String::new() } else { format!(", {}", edge(of.edge)) };
    format!("{}, {}{edge}", kind(of.kind), place(&of.network, of.origin_us))
}

/// `a, b and c`.
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// What a pick was made by: `load of a first visit (4g, 50 ms away)`.
pub fn measure(pick: &Pick) -> String {
    match &pick.measure {
        Measure::View => "load of a mean page view".to_owned(),
        Measure::Load { kind: of, network, origin_us } => {
            format!("load, {} ({})", kind(*of), place(network, *origin_us))
        }
        Measure::Cpu => "CPU per request".to_owned(),
        Measure::Bill => format!("bill for {} page views a month", views(pick.views)),
    }
}

fn amount(summary: &Summary<'_>, measure: &Measure, estimate: &Estimate) -> String {
    match measure {
        Measure::View | Measure::Load { .. } => millis(estimate.median),
        Measure::Cpu => millis(estimate.median / 1000.0),
        Measure::Bill => money(estimate.median, &summary.prices.currency),
    }
}

/// The figure that a pick was made by.
pub fn figure(summary: &Summary<'_>, pick: &Pick) -> String {
    amount(summary, &pick.measure, &pick.estimate)
}

/// Why a strategy was picked, in whole sentences.
pub fn reason(summary: &Summary<'_>, pick: &Pick) -> String {
    let mut sentences = Vec::new();
    if let Some((worst, estimate)) = &pick.worst {
        let times = estimate.median / pick.estimate.median;
        let how = match times {
            times if !times.is_finite() => "much more".to_owned(),
            times if times >= 2.0 => format!("{} times as much", number(times)),
            times => format!("{} more", share(times - 1.0)),
        };
        let verb = if pick.measure == Measure::Bill { "costs" } else { "takes" };
        sentences.push(format!("{} {verb} {}, {how}.", summary.name(*worst), amount(summary, &pick.measure, estimate)));
    }
    let names: Vec<String> = pick.equal.iter().map(|at| summary.name(*at).to_owned()).collect();
    if !names.is_empty() {
        let are = if names.len() == 1 { "does" } else { "do" };
        let cheapest = if pick.measure == Measure::Bill {
            ""
        } else if bill(summary, pick).is_some() {
            "; it is the cheapest of them, or as cheap"
        } else {
            ""
        };
        sentences.push(format!("{} {are} not differ from it{cheapest}.", list(&names)));
    }
    if !pick.tested {
        sentences.push("Too few rounds to tell this from chance.".to_owned());
    }
    sentences.join(" ")
}

/// What the picked one costs in a month, at the scale that was looked at.
pub fn bill(summary: &Summary<'_>, pick: &Pick) -> Option<String> {
    let bill = summary.strategies.get(pick.strategy)?.bill(0, pick.views)?;
    Some(money(bill.total(), &summary.prices.currency))
}

/// What to use for the site, first of all.
pub fn verdict(summary: &Summary<'_>) -> Vec<String> {
    let Some(verdict) = &summary.advice.verdict else {
        return vec!["Nothing was measured, so there is nothing to say.".to_owned()];
    };
    let pick = &verdict.pick;
    let assumed = &summary.prices.assumptions;
    let name = summary.name(pick.strategy);
    let what = match pick.measure {
        Measure::View => format!("A mean page view loads in {}", figure(summary, pick)),
        _ => format!("A request takes {} of CPU", figure(summary, pick)),
    };
    let cost = bill(summary, pick)
        .map(|bill| format!(", and {} of them a month cost {bill}", views(pick.views)))
        .filter(|_| pick.measure == Measure::View);
    let mut lines = vec![format!("Use {name}. {what}{}.", cost.unwrap_or_default())];
    let reason = reason(summary, pick);
    lines.extend((!reason.is_empty()).then_some(reason));
    let behind: Vec<String> = verdict
        .behind
        .iter()
        .map(|of| format!("{} ({})", summary.name(of.strategy), amount(summary, &pick.measure, &of.estimate)))
        .collect();
    if !behind.is_empty() {
        lines.push(format!("Next, behind it beyond chance and noise: {}.", list(&behind)));
    }
    lines.push(match (&pick.measure, &summary.focus) {
        (Measure::View, Some((network, origin))) => format!(
            "For visitors at {}: {} of page views are by somebody who comes back, one in {} of these the first after a release.",
            place(network, *origin),
            share(assumed.repeat_visits),
            number(assumed.views_per_release)
        ),
        _ => "Without visits in a browser this goes by the servers' work alone.".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (found, want) in [
            (number(12_345.6), "12,300"),
            (number(999.6), "1,000"),
            (number(1.239), "1.24"),
            (number(0.0), "0"),
            (number(0.123_4), "0.12"),
            (number(1_234_567.0), "1,230,000"),
            (millis(1234.0), "1.23 s"),
            (millis(0.0312), "31.2 µs"),
            (millis(12.0), "12 ms"),
            (size(1536.0), "1.5 KiB"),
            (share(0.034), "3.4 %"),
            (money(0.001, "USD"), "< $0.01"),
            (money(12345.0, "USD"), "$12,345"),
            (money(59.567, "CHF"), "59.57 CHF"),
            (views(1e7), "10 million"),
            (list(&["a".to_owned(), "b".to_owned(), "c".to_owned()]), "a, b and c"),
        ] {
            assert_eq!(found, want);
        }
    }

    #[test]
    fn bounds_share_a_unit_where_they_can() {
        let estimate = |low: f64, high: f64, samples: usize| Estimate { median: low, low, high, samples };
        assert_eq!(range(Metric::Load, &estimate(1200.0, 1310.0, 5)).as_deref(), Some("1.2–1.31 s"));
        assert_eq!(range(Metric::Load, &estimate(900.0, 1310.0, 5)).as_deref(), Some("900 ms–1.31 s"));
        assert_eq!(range(Metric::Load, &estimate(900.0, 1310.0, 1)), None, "one sample has no bounds");
        assert_eq!(range(Metric::Requests, &estimate(9.0, 9.0, 5)), None);
    }
}

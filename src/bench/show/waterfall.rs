//! What a visit fetches, one thing below the other, as long as each took.

use serde::Serialize;

use super::super::metric::Metric;
use super::super::report::{Fetch, From, Visit};
use super::super::summary::{Strategy, Summary};
use super::table::KINDS;
use super::words;

/// Rows beyond these are counted only.
const ROWS: usize = 40;

#[derive(Serialize)]
pub struct Falls {
    pub strategy: String,
    pub title: String,
    pub falls: Vec<Fall>,
}

#[derive(Serialize)]
pub struct Fall {
    pub title: String,
    /// `load 1.2 s, 9 requests, 120 KiB`.
    pub about: String,
    pub rows: Vec<Bar>,
    pub left_out: usize,
    /// First paint, largest paint, load: what, when, and where along the axis in percent.
    pub moments: Vec<(&'static str, String, f64)>,
}

/// Percents of the axis.
#[derive(Serialize)]
pub struct Bar {
    pub name: String,
    pub url: String,
    pub kind: &'static str,
    pub from: &'static str,
    pub start: f64,
    pub wait: f64,
    pub get: f64,
    pub ends: String,
    pub about: String,
}

/// All on one axis, so that they can be compared; its end is the second part.
pub fn falls(summary: &Summary<'_>) -> (Vec<Falls>, String) {
    let shown: Vec<(&Strategy<'_>, Vec<&Visit>)> =
        summary.strategies.iter().map(|strategy| (strategy, typical(summary, strategy))).collect();
    let ends = shown.iter().flat_map(|(_, visits)| visits).map(|visit| end(visit));
    let most = ends.fold(1.0, f64::max);
    let falls = shown.into_iter().filter(|(_, visits)| !visits.is_empty()).map(|(strategy, visits)| Falls {
        strategy: strategy.measured.name.clone(),
        title: strategy.measured.title.clone(),
        falls: visits.into_iter().map(|visit| fall(visit, most)).collect(),
    });
    (falls.collect(), words::millis(most))
}

/// The visit of each kind that loads in the median time.
fn typical<'s>(summary: &Summary<'_>, strategy: &'s Strategy<'_>) -> Vec<&'s Visit> {
    let Some((network, origin)) = &summary.focus else { return Vec::new() };
    let times = KINDS.into_iter().filter_map(|kind| strategy.visit(kind, network, *origin));
    times.filter_map(|times| strategy.measured.visits.get(times.typical)).collect()
}

fn end(visit: &Visit) -> f64 {
    visit.fetches.iter().map(|fetch| fetch.end_ms).fold(visit.load_ms, f64::max)
}

fn fall(visit: &Visit, most: f64) -> Fall {
    let along = |ms: f64| (ms / most * 100.0).clamp(0.0, 100.0);
    let of = |metric: Metric| metric.of(visit).map(|value| words::value(metric, value)).unwrap_or_default();
    let fetched = visit.fetches.iter().filter(|fetch| fetch.from == From::Network).count();
    let moments = [
        ("first paint", visit.first_paint_ms),
        ("largest paint", visit.largest_paint_ms),
        ("load", Some(visit.load_ms)),
    ];
    Fall {
        title: words::kind(visit.kind).to_owned(),
        about: format!("load {}, {}, {}", of(Metric::Load), words::counted(fetched, "request"), of(Metric::Bytes)),
        rows: visit.fetches.iter().take(ROWS).map(|fetch| bar(fetch, along)).collect(),
        left_out: visit.fetches.len().saturating_sub(ROWS),
        moments: moments.into_iter().filter_map(|(name, ms)| Some((name, words::millis(ms?), along(ms?)))).collect(),
    }
}

fn bar(fetch: &Fetch, along: impl Fn(f64) -> f64) -> Bar {
    let (start, first, end) = (along(fetch.start_ms), along(fetch.first_byte_ms), along(fetch.end_ms));
    let (from, whence) = match fetch.from {
        From::Network => ("network", "network"),
        From::Cache => ("cache", "browser's cache"),
        From::Worker => ("worker", "service worker"),
    };
    let size =
        if fetch.from == From::Network { format!(", {}", words::size(fetch.bytes as f64)) } else { String::new() };
    let status = if fetch.status == 200 { String::new() } else { format!(", status {}", fetch.status) };
    Bar {
        name: name(&fetch.url),
        url: fetch.url.clone(),
        kind: kind(&fetch.kind),
        from,
        start,
        wait: (first - start).max(0.0),
        get: (end - first.max(start)).max(0.3),
        ends: words::millis(fetch.end_ms),
        about: format!("from the {whence}{size}{status}"),
    }
}

/// What becomes part of a class's name, so only what is known.
fn kind(kind: &str) -> &'static str {
    ["document", "stylesheet", "script", "image", "font"].into_iter().find(|known| *known == kind).unwrap_or("other")
}

/// The last part of a URL that says something.
fn name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_host = path.split_once("://").is_some_and(|(_, rest)| !rest.trim_end_matches('/').contains('/'));
    if last.is_empty() || is_host { "/".to_owned() } else { last.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_by_its_file() {
        for (url, want) in [
            ("https://a.test/", "/"),
            ("https://a.test", "/"),
            ("/", "/"),
            ("/css/a-1f.css?v=1#x", "a-1f.css"),
            ("https://a.test/blog/", "blog"),
        ] {
            assert_eq!(name(url), want, "{url}");
        }
    }
}

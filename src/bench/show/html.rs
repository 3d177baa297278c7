//! The report as one page that fetches nothing.

use minijinja::value::Serde;
use minijinja::{Environment, HtmlEscape, UndefinedBehavior, Value};
use serde::Serialize;

use super::super::compare::Comparison;
use super::super::metric::Metric;
use super::super::report::{Measured, VisitKind};
use super::super::summary::Summary;
use super::markdown::method;
use super::table::{self, Table};
use super::waterfall::{self, Falls};
use super::{curves, derived, measured, words};
use crate::error::{Fault, Result};

const PAGE: &str = include_str!("page.html");

/// All that the page says, as it says it.
#[derive(Serialize)]
struct View {
    site: String,
    about: String,
    program: String,
    verdict: Vec<String>,
    /// The strategy that is the answer, and what is told of it in figures.
    answer: Option<String>,
    figures: Vec<(String, String)>,
    warnings: Vec<String>,
    overview: Table,
    picks: Option<Table>,
    /// What differs since an earlier run, and all that was compared.
    changes: Option<Table>,
    compared: Option<Table>,
    outcome: &'static str,
    latency: Section,
    visits: Section,
    falls: Vec<Falls>,
    axis_end: String,
    distance: Section,
    cost: Section,
    method: Vec<String>,
    details: Vec<Table>,
    strategies: Vec<Told>,
}

/// Drawings, and the figures that they are of.
#[derive(Serialize, Default)]
struct Section {
    charts: Vec<String>,
    tables: Vec<Table>,
}

/// A strategy and how it was run.
#[derive(Serialize)]
struct Told {
    name: String,
    title: String,
    description: String,
    missing: Option<String>,
    commands: Vec<String>,
    configurations: Vec<(String, String)>,
}

pub fn html(summary: &Summary<'_>, comparison: Option<&Comparison>) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("marked", marked);
    // Its ending has all values escaped.
    let rendered = environment.render_named_str("page.html", PAGE, Value::from(Serde(&view(summary, comparison))));
    rendered.map_err(|error| Fault::new(format!("could not lay out the report: {error:#}")).into())
}

/// What stands between backticks is code.
fn marked(text: &str) -> Value {
    let mut html = String::new();
    let mut parts = text.split('`');
    let mut is_code = false;
    while let Some(part) = parts.next() {
        let text = HtmlEscape(part);
        html += &match is_code {
            false => text.to_string(),
            // The last one is closed by nothing.
            true if parts.clone().next().is_none() => format!("`{text}"),
            true => format!("<code>{text}</code>"),
        };
        is_code = !is_code;
    }
    Value::from_safe_string(html)
}

fn view(summary: &Summary<'_>, comparison: Option<&Comparison>) -> View {
    let report = summary.report;
    let filled = |table: Table| Some(table).filter(|table| !table.rows.is_empty() || !table.notes.is_empty());
    let some = |all: Vec<Option<Table>>| all.into_iter().flatten().collect::<Vec<Table>>();
    let pick = summary.advice.verdict.as_ref().map(|verdict| &verdict.pick);
    let (falls, axis_end) = waterfall::falls(summary);
    let providers = summary.prices.providers.iter().enumerate();
    let costs = providers.map(|(at, provider)| derived::costs(summary, at, provider));
    View {
        site: report.site.name.clone(),
        about: format!(
            "{}, {}, on {}, {} cores; {}",
            match report.strategies.len() {
                1 => "one strategy".to_owned(),
                many => format!("{many} strategies"),
            },
            words::counted(report.settings.rounds as usize, "round"),
            report.machine.cpu,
            report.machine.cores,
            report.begun
        ),
        program: report.program.clone(),
        verdict: words::verdict(summary),
        answer: pick.map(|pick| summary.name(pick.strategy).to_owned()),
        figures: figures(summary),
        warnings: summary.warnings.clone(),
        overview: measured::overview(summary),
        picks: filled(derived::picks(summary)),
        changes: comparison.map(|comparison| derived::changes(comparison, false)),
        compared: comparison.map(|comparison| derived::changes(comparison, true)),
        outcome: comparison.map_or("", derived::outcome),
        latency: Section {
            charts: [curves::percentiles(summary), curves::shapes(summary)].into_iter().flatten().collect(),
            tables: some(vec![filled(measured::latency(summary)), filled(measured::load(summary))]),
        },
        visits: Section {
            charts: curves::loads(summary).into_iter().collect(),
            tables: some(vec![measured::visits(summary), measured::networks(summary)]),
        },
        falls,
        axis_end,
        distance: Section {
            charts: curves::distance(summary).into_iter().collect(),
            tables: some(vec![measured::distance(summary), measured::hits(summary)]),
        },
        cost: Section {
            charts: curves::costs(summary).into_iter().collect(),
            tables: costs
                .chain([derived::bill(summary, 1e6), derived::assumptions(summary), derived::prices(summary)])
                .collect(),
        },
        method: method(summary),
        details: some(vec![filled(derived::noise(summary))]),
        strategies: report.strategies.iter().map(told).collect(),
    }
}

/// What the answer comes to, in a row of large figures.
fn figures(summary: &Summary<'_>) -> Vec<(String, String)> {
    let Some(verdict) = &summary.advice.verdict else { return Vec::new() };
    let Some(strategy) = summary.strategies.get(verdict.pick.strategy) else { return Vec::new() };
    let figure = |name: &str, metric: Metric, kind: VisitKind| {
        let estimate = summary.figure(strategy, metric, kind)?;
        Some((name.to_owned(), words::value(metric, estimate.median)))
    };
    let bill = words::bill(summary, &verdict.pick)
        .map(|bill| (format!("a month, {} views", words::views(verdict.pick.views)), bill));
    [
        figure("first visit", Metric::Load, VisitKind::First),
        figure("repeat visit", Metric::Load, VisitKind::Repeat),
        figure("after a release", Metric::Load, VisitKind::AfterRelease),
        figure("requests per second", Metric::Throughput, VisitKind::First),
        figure("CPU per request", Metric::Cpu, VisitKind::First),
        bill,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn told(of: &Measured) -> Told {
    Told {
        name: of.name.clone(),
        title: of.title.clone(),
        description: of.description.clone(),
        missing: of.missing.as_ref().map(table::why),
        commands: of.commands.clone(),
        configurations: of.configurations.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let html = |text: &str| marked(text).to_string();
        assert_eq!(html("`a<b` and `c`"), "<code>a&lt;b</code> and <code>c</code>");
        assert_eq!(html("one ` alone & more"), "one ` alone &amp; more");
    }
}

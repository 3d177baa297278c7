//! The tables, whatever they are written as.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::compare::Comparison;
use super::super::metric::Metric;
use super::super::report::{Missing, VisitKind};
use super::super::statistics::Estimate;
use super::super::summary::{Strategy, Summary};
use super::{derived, measured, words};

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

    pub fn figure(metric: Metric, estimate: Option<Estimate>) -> Self {
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
    pub fn new(title: impl Into<String>, first: &str, numbers: impl IntoIterator<Item = String>) -> Self {
        let first = Head { name: first.to_owned(), number: false };
        let numbers = numbers.into_iter().map(|name| Head { name, number: true });
        Table { title: title.into(), head: std::iter::once(first).chain(numbers).collect(), ..Table::default() }
    }

    pub fn texts(title: impl Into<String>, names: &[&str]) -> Self {
        let head = names.iter().map(|name| Head { name: (*name).to_owned(), number: false }).collect();
        Table { title: title.into(), head, ..Table::default() }
    }

    pub fn push(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(Row::Cells(std::iter::once(Cell::text(name)).chain(cells).collect()));
    }

    /// What the marks in its cells mean.
    pub fn legend(mut self) -> Self {
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

pub type Of<'f> = dyn Fn(&Strategy<'_>) -> Option<Estimate> + 'f;

/// A column of estimates.
pub struct Figure<'f> {
    head: String,
    metric: Metric,
    of: Box<Of<'f>>,
}

pub fn figure<'f>(
    head: impl Into<String>,
    metric: Metric,
    of: impl Fn(&Strategy<'_>) -> Option<Estimate> + 'f,
) -> Figure<'f> {
    Figure { head: head.into(), metric, of: Box::new(of) }
}

/// A row for each strategy; in each column the best ones are marked, where there is one that is not.
pub fn figures(summary: &Summary<'_>, title: impl Into<String>, columns: &[Figure<'_>]) -> Table {
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

pub fn best(summary: &Summary<'_>, metric: Metric, of: &dyn Fn(&Strategy<'_>) -> Option<Estimate>) -> BTreeSet<usize> {
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
    let mut all = vec![measured::overview(summary)];
    if summary.advice.picks.len() > 1 {
        all.push(derived::picks(summary));
    }
    all.extend(comparison.map(|comparison| derived::changes(comparison, false)));
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

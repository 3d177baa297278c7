//! The report as Markdown: for a pull request, a wiki, a ticket.

use std::fmt::Write;

use super::super::compare::Comparison;
use super::super::summary::Summary;
use super::table::{Cell, Row, Table};
use super::{derived, measured, words};

pub fn markdown(summary: &Summary<'_>, comparison: Option<&Comparison>) -> String {
    let report = summary.report;
    let mut out = format!("# How to serve {}\n\n", text(&report.site.name));
    for line in words::verdict(summary) {
        let _ = writeln!(out, "{}\n", text(&line));
    }
    let mut tables = vec![measured::overview(summary)];
    tables.extend((!summary.advice.picks.is_empty()).then(|| derived::picks(summary)));
    tables.extend(comparison.map(|comparison| derived::changes(comparison, true)));
    tables.extend([measured::latency(summary), measured::load(summary)]);
    tables.extend(
        [measured::visits(summary), measured::networks(summary), measured::distance(summary), measured::hits(summary)]
            .into_iter()
            .flatten(),
    );
    let providers = summary.prices.providers.iter().enumerate();
    tables.extend(providers.map(|(at, provider)| derived::costs(summary, at, provider)));
    tables.extend([
        derived::bill(summary, 1e6),
        derived::assumptions(summary),
        derived::prices(summary),
        derived::noise(summary),
    ]);
    for table in tables.iter().filter(|table| !table.rows.is_empty() || !table.notes.is_empty()) {
        write_table(&mut out, table);
    }
    if !summary.warnings.is_empty() {
        out.push_str("## What to be careful about\n\n");
        for warning in &summary.warnings {
            let _ = writeln!(out, "- {}", text(warning));
        }
        out.push('\n');
    }
    out.push_str("## Method\n\n");
    for line in method(summary) {
        let _ = writeln!(out, "- {}", text(&line));
    }
    out
}

pub fn write_table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "## {}\n", text(&table.title));
    if !table.rows.is_empty() {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        out.push_str(&line(table.head.iter().map(|head| text(&head.name)).collect()));
        out.push_str(&line(table.head.iter().map(|head| if head.number { "--:" } else { "---" }.to_owned()).collect()));
        for row in &table.rows {
            let cells = match row {
                Row::Cells(cells) => cells.iter().map(cell).collect(),
                Row::Missing { name, why } => {
                    let empty = table.head.len().saturating_sub(2);
                    [text(name), text(why)].into_iter().chain(std::iter::repeat_n(String::new(), empty)).collect()
                }
            };
            out.push_str(&line(cells));
        }
        out.push('\n');
    }
    for note in &table.notes {
        let _ = writeln!(out, "{}\n", text(note));
    }
}

fn cell(cell: &Cell) -> String {
    let aside = cell.aside.as_ref().map(|aside| format!(" ({})", text(aside))).unwrap_or_default();
    format!("{}{aside}", text(&cell.plain()))
}

/// As text, whatever is in it.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '*' | '[' | ']' | '_' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

/// On what, how and for how long.
pub fn method(summary: &Summary<'_>) -> Vec<String> {
    let (report, settings) = (summary.report, &summary.report.settings);
    let machine = &report.machine;
    let mut lines = vec![
        format!(
            "{} on {}, {} cores, {} of memory, {}; begun {}, {} in all",
            report.program,
            machine.cpu,
            machine.cores,
            words::size(machine.memory as f64),
            machine.system,
            report.begun,
            words::long(report.seconds)
        ),
        format!(
            "{} of each, strategies taking turns; in each {} saturated by {} connections, and {} at {} requests per second",
            words::counted(settings.rounds as usize, "round"),
            words::millis(settings.seconds * 1000.0),
            settings.connections,
            words::millis(settings.seconds * 1000.0),
            words::number(settings.rate)
        ),
        format!(
            "the page {} of a site of {} pages, {} files and {}; the second release changes {}",
            settings.page,
            report.site.pages,
            report.site.files,
            words::size(report.site.bytes as f64),
            report.site.changed
        ),
        "figures are medians; behind them, the interval that holds the median 95 times of 100, by bootstrap; with fewer than six \
         rounds it is the range, which holds it 94 times of 100 with five, 88 with four, 75 with three and 50 with two"
            .to_owned(),
        "two figures differ only where their intervals do not overlap and they lie further apart than the noise".to_owned(),
    ];
    let programs: Vec<String> = report.programs.iter().map(|(name, version)| format!("{name} {version}")).collect();
    lines.extend((!programs.is_empty()).then(|| format!("with {}", words::list(&programs))));
    let networks = settings.networks.iter().map(|network| {
        let megabits = |bits: u64| words::number(bits as f64 / 1e6);
        format!(
            "{} ({} of round trip, {}/{} Mbit/s)",
            network.name,
            words::millis(network.round_trip_ms),
            megabits(network.down),
            megabits(network.up)
        )
    });
    let networks: Vec<String> = networks.collect();
    let made = words::emulation(settings.emulation);
    lines.extend((!networks.is_empty()).then(|| format!("networks: {}, made by {made}", words::list(&networks))));
    lines
}

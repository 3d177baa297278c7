//! What the tables and the Markdown look like.

use super::super::prices::Prices;
use super::super::summary::Summary;
use super::table::Row;
use super::{guide, markdown, sample, terminal};

/// The sample with three strategies, one of them not measured.
fn shown<T>(show: impl Fn(&Summary<'_>) -> T) -> T {
    let prices = Prices::shipped().expect("a sheet");
    let mut report = sample::report();
    report.strategies.retain(|measured| ["app", "proxy-nginx", "proxy-apache"].contains(&measured.name.as_str()));
    show(&Summary::of(&report, &prices))
}

#[test]
fn the_terminal_has_a_row_for_each_strategy() {
    let text = shown(|summary| {
        let mut text = String::new();
        for table in terminal(summary, None) {
            let head: Vec<&str> = table.head.iter().map(|head| head.name.as_str()).collect();
            text.push_str(&format!("{}\n{}\n", table.title, head.join(" | ")));
            for row in &table.rows {
                let Row::Cells(cells) = row else { panic!("a terminal has no cells over several columns") };
                text.push_str(&format!("{}\n", cells.iter().map(|cell| cell.plain()).collect::<Vec<_>>().join(" | ")));
            }
            table.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
        }
        text
    });
    insta::assert_snapshot!(text, @"");
}

#[test]
fn markdown_begins_with_the_verdict() {
    let text = shown(|summary| markdown(summary, None));
    let begin = text.find("## Which").expect("advice");
    insta::assert_snapshot!(text[..begin].trim_end(), @"");
}

#[test]
fn the_guide_holds_words_against_figures() {
    let text = shown(guide);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    insta::assert_snapshot!(rows.join("\n"), @"");
}

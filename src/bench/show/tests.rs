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
    insta::assert_snapshot!(text, @r#"
    The strategies
    strategy | req/s | CPU/req | memory | p50 | p99 | first | repeat | released | bytes | month
    app | 1,100 | 907 µs | 87.3 MiB | 2.5 ms | 26 ms | 595 ms | 606 ms | 595 ms | 313 KiB | $77.48
    proxy-nginx | 36,500* | 54.8 µs* | 22.9 MiB* | 308 µs* | 2.94 ms* | 599 ms | 417 ms* | 405 ms* | 313 KiB | $68.67
    first, repeat, released: load of a visit at 4g, 50 ms away; bytes: of a first visit
    month: bill for 1 million page views at AWS
    *: the best, or not different from it beyond chance and noise
    Which strategy for which site
    what matters | use | by | figure | next to
    visitors nearby, and few | proxy-nginx | load, first visit (4g, 10 ms away) | 469 ms | app does not differ from it; it is the cheapest of them, or as cheap.
    visitors far away | proxy-nginx | load, first visit (4g, 150 ms away) | 889 ms | app does not differ from it; it is the cheapest of them, or as cheap.
    visitors with slow networks | proxy-nginx | load, first visit (slow-3g, 50 ms away) | 7.33 s | app does not differ from it; it is the cheapest of them, or as cheap.
    visitors who come back often | proxy-nginx | load, repeat visit (4g, 50 ms away) | 417 ms | app takes 606 ms, 45 % more.
    a release every day | proxy-nginx | load, after a release (4g, 50 ms away) | 405 ms | app takes 595 ms, 47 % more.
    as much as possible from one machine | proxy-nginx | CPU per request | 54.8 µs | app takes 907 µs, 16.6 times as much.
    as little money as possible | app | bill for 10 thousand page views a month | $59.57 | proxy-nginx does not differ from it.
    hundreds of millions of page views | proxy-nginx | bill for 100 million page views a month | $1,812 | app costs $2,762, 52 % more.
    Not measured
    strategy | why
    proxy-apache | apache2 is not installed (apt-get install apache2)
    "#);
}

#[test]
fn markdown_begins_with_the_verdict() {
    let text = shown(|summary| markdown(summary, None));
    let begin = text.find("## Which").expect("advice");
    insta::assert_snapshot!(text[..begin].trim_end(), @r#"
    # How to serve sample &lt;site>

    Use proxy-nginx. A mean page view loads in 507 ms, and 1 million of them a month cost $68.67.

    app takes 600 ms, 18 % more.

    Next, behind it beyond chance and noise: app (600 ms).

    For visitors at 4g, 50 ms away: 50 % of page views are by somebody who comes back, one in 5 of these the first after a release.

    ## The strategies

    | strategy | req/s | CPU/req | memory | p50 | p99 | first | repeat | released | bytes | month |
    | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
    | app | 1,100 (1,080–1,150) | 907 µs (873–924 µs) | 87.3 MiB (86.8–88 MiB) | 2.5 ms (2.48–2.51 ms) | 26 ms (23.7–27.9 ms) | 595 ms (587–611 ms) | 606 ms (578–611 ms) | 595 ms (570–621 ms) | 313 KiB | $77.48 |
    | proxy-nginx | 36,500\* (35,700–37,300) | 54.8 µs\* (53.6–56 µs) | 22.9 MiB\* (22.7–23.1 MiB) | 308 µs\* (308–314 µs) | 2.94 ms\* (2.29–3.18 ms) | 599 ms (578–614 ms) | 417 ms\* (388–425 ms) | 405 ms\* (386–433 ms) | 313 KiB | $68.67 |
    | proxy-apache | not measured: apache2 is not installed (apt-get install apache2) |  |  |  |  |  |  |  |  |  |

    first, repeat, released: load of a visit at 4g, 50 ms away; bytes: of a first visit

    month: bill for 1 million page views at AWS

    \*: the best, or not different from it beyond chance and noise
    "#);
}

#[test]
fn the_guide_holds_words_against_figures() {
    let text = shown(guide);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    insta::assert_snapshot!(rows.join("\n"), @r#"
    | way | measured as | guides say | CPU per request | first visit, 10 ms away | first visit, 150 ms away | repeat visit | after a release | the word is |
    | application server | app | poor | 907 µs | 482 ms | 873 ms | 606 ms | 595 ms | it depends: excellent (first visit, 10 ms away; first visit, 150 ms away), good (repeat visit; after a release), poor (CPU per request) |
    | reverse proxy | proxy-nginx | good | 54.8 µs | 469 ms | 889 ms | 417 ms | 405 ms | **wrong**: excellent |
    | reverse proxy | proxy-apache | good | not measured: apache2 is not installed (apt-get install apache2) | | | | | |
    | way | measured as | guides say | 10 thousand | 100 thousand | 1 million | 10 million | 100 million | 1 billion | the word is |
    | application server | app | low to start, high at scale | $59.57 | $59.57 | $77.48 | $320 | $2,762 (3 machines) | $20,081 (21 machines) | it depends: little traffic: low. much traffic: low (Google Cloud), medium (AWS; Hetzner and Cloudflare; Hetzner, Fastly and Backblaze) |
    | reverse proxy | proxy-nginx | low | $59.57 | $59.57 | $68.67 | $232 | $1,812 | $14,298 (6 machines) | right: little traffic: low. much traffic: low |
    | reverse proxy | proxy-apache | low | not measured: apache2 is not installed (apt-get install apache2) | | | | | | |
    "#);
}

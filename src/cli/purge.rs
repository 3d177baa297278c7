//! What `publish` and `rollback` say of the CDN, and what they are told of it.

use super::terminal::{Column, Terminal};
use crate::error::Result;
use crate::publish::purge::{Options, Report};
use crate::release::ReleaseId;

#[derive(clap::Args)]
pub struct Flags {
    /// Leave the CDN as it is; what is to be purged is purged by the next publish
    #[arg(long)]
    no_purge: bool,
    /// Wait until the CDN says that it has purged everywhere (CloudFront; others need no waiting for)
    #[arg(long, conflicts_with = "no_purge")]
    wait_for_cdn: bool,
}

impl Flags {
    pub fn options(&self, all: bool) -> Options {
        Options { skip: self.no_purge, all, wait: self.wait_for_cdn }
    }
}

/// Said before the line that the release is live.
pub fn tell(report: Option<&Report>, dry_run: bool, terminal: &Terminal) {
    let Some(report) = report.filter(|report| !report.asks.is_empty()) else { return };
    let rows = report.asks.iter().flat_map(|ask| ask.names.iter().map(|name| vec!["purge".to_owned(), name.clone()]));
    if dry_run {
        terminal.table(&[Column::Text("step"), Column::Text("what the CDN forgets")], rows.collect());
    }
    let what: Vec<String> = report.asks.iter().map(|ask| ask.by.counted(ask.names.len())).collect();
    let (what, provider) = (what.join(" and "), report.provider);
    let ids = match report.ids.as_slice() {
        [] => String::new(),
        [id] => format!(" ({id})"),
        [id, rest @ ..] => format!(" ({id} and {} more)", rest.len()),
    };
    terminal.say(&match (dry_run, report.pending) {
        (true, _) => format!("{what} would be purged from the CDN ({provider})"),
        (_, true) => format!("not purged from the CDN ({provider}) yet: {what}"),
        (_, false) => {
            let waited = if report.waited { ", everywhere by now" } else { "" };
            let requests = report.requests;
            let requests = format!("{requests} request{}", if requests == 1 { "" } else { "s" });
            format!("{what} purged from the CDN ({provider}) with {requests}{ids}{waited}")
        }
    });
}

/// The last thing of all, when everything else has been said.
pub fn result(report: Option<&Report>, release: &ReleaseId) -> Result<()> {
    report.and_then(|report| report.error(release)).map_or(Ok(()), Err)
}

//! `fingerpost publish`

use std::path::PathBuf;

use super::terminal::{Column, Terminal, bytes};
use super::{Global, below, block_on_this_thread, github, purge};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::publish::{self, Action, Build, Maps, Options, Report};

#[derive(clap::Args)]
pub struct Args {
    /// The environment to publish to
    #[arg(short, long, default_value = "production", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// The output folder of a build [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// Publish, in place of a build, a release that was published to another environment: its name, or the first digits of it
    #[arg(long, value_name = "RELEASE", requires = "from", conflicts_with = "out")]
    promote: Option<String>,
    /// The environment that the promoted release was published to
    #[arg(long, value_name = "NAME", requires = "promote")]
    from: Option<String>,
    /// Say what would be done, and why, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Fetch all of the release that is in the store already, and write again what is not as it was published
    #[arg(long)]
    repair: bool,
    /// Purge all of the site's pages from the CDN, whether they have changed or not
    #[arg(long, conflicts_with = "no_purge")]
    purge_all: bool,
    #[command(flatten)]
    purge: purge::Flags,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let options = Options { dry_run: args.dry_run, repair: args.repair, purge: args.purge.options(args.purge_all) };
    let report = match (&args.promote, &args.from) {
        (Some(release), Some(from)) => block_on_this_thread(async {
            let from = publish::open(&config.root, config.environment(from)?, terminal).await?;
            let store = publish::open(&config.root, environment, terminal).await?;
            publish::promote(&from, release, &store, environment, options, terminal).await
        })?,
        _ => {
            let out = below(&config, args.out.as_deref(), &config.out);
            let manifest = Manifest::load(&out)?;
            let build = Build { out: &out, manifest: &manifest, environment };
            block_on_this_thread(publish::publish(&config.root, build, options, terminal))?
        }
    };
    terminal.finish();
    tell(&report, terminal)?;
    github::published(&report)?;
    purge::result(report.purge.as_ref(), &report.release)
}

fn tell(report: &Report, terminal: &Terminal) -> Result<()> {
    for warning in &report.warnings {
        terminal.warn(warning.clone());
    }
    if terminal.report(report)? {
        return Ok(());
    }
    let shown = report.steps.iter().filter(|step| report.dry_run || step.action != Action::Keep);
    let rows =
        shown.map(|step| vec![step.action.to_string(), bytes(step.length), step.key.clone(), step.reason.to_string()]);
    let head = [Column::Text("step"), Column::Number("size"), Column::Text("key"), Column::Text("why")];
    terminal.table(&head, rows.collect());
    if let Some(maps) = &report.maps {
        tell_maps(maps, report.dry_run, terminal);
    }
    let (uploaded, kept, size) = (report.uploaded, report.kept, bytes(report.bytes));
    let would = if report.dry_run { "would be " } else { "" };
    terminal.say(&format!("{uploaded} {would}uploaded ({size}), {kept} in the store already"));
    purge::tell(report.purge.as_ref(), report.dry_run, terminal);
    let moves = report.steps.iter().any(|step| step.action == Action::Point);
    let live = match (report.dry_run, moves) {
        (true, true) => "would be live",
        (_, true) => "is live",
        (_, false) => "was live already",
    };
    terminal.say(&format!("release {} {live} in {} at {}", report.release, report.environment, report.store));
    Ok(())
}

fn tell_maps(maps: &Maps, dry_run: bool, terminal: &Terminal) {
    let shown = maps.steps.iter().filter(|step| dry_run || step.action != Action::Keep);
    let rows =
        shown.map(|step| vec![step.action.to_string(), bytes(step.length), step.key.clone(), step.reason.to_owned()]);
    let head = [Column::Text("step"), Column::Number("size"), Column::Text("map"), Column::Text("why")];
    terminal.table(&head, rows.collect());
    let would = if dry_run { "would be " } else { "" };
    let (uploaded, kept, size) = (maps.uploaded, maps.kept, bytes(maps.bytes));
    terminal.say(&format!("source maps: {uploaded} {would}uploaded ({size}) to {}, {kept} there already", maps.store));
}

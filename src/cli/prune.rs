//! `fingerpost prune`

use super::terminal::{Column, Terminal, bytes, counted};
use super::{Global, block_on_this_thread};
use crate::environment::Keep;
use crate::error::Result;
use crate::publish;

#[derive(clap::Args)]
pub struct Args {
    /// The environment whose store is pruned
    #[arg(short, long, default_value = "production", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// Keep so many of the newest releases [default: `keep.releases` of the environment, or 5]
    #[arg(long, value_name = "COUNT")]
    keep_releases: Option<u32>,
    /// Keep the releases of so many days [default: `keep.days` of the environment, or 30]
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Say what would be deleted, and why, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let keep = Keep {
        releases: args.keep_releases.unwrap_or(environment.keep.releases),
        days: args.keep_days.unwrap_or(environment.keep.days),
    };
    let done = block_on_this_thread(async {
        let store = publish::open(&config.root, environment, terminal).await?;
        publish::prune(&store, &environment.name, keep, args.dry_run, terminal).await
    })?;
    terminal.finish();
    if terminal.report(&done)? {
        return Ok(());
    }
    let rows = done.deleted.iter().map(|gone| vec![bytes(gone.length), gone.key.clone(), gone.reason.to_owned()]);
    if done.dry_run || terminal.verbose() {
        terminal.table(&[Column::Number("size"), Column::Text("key"), Column::Text("why")], rows.collect());
    }
    for kept in &done.kept {
        terminal.say(&format!("kept {}: {}", kept.release, kept.reason));
    }
    let would = if done.dry_run { "would be " } else { "" };
    let (releases, objects) = (counted(done.dropped.len(), "release"), counted(done.deleted.len(), "object"));
    let size = bytes(done.bytes);
    terminal.say(&format!("{releases} and {objects} {would}deleted ({size}) from {}", done.store));
    Ok(())
}

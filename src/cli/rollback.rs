//! `fingerpost rollback`

use super::terminal::{Terminal, counted};
use super::{Global, block_on_this_thread, github, purge};
use crate::error::Result;
use crate::publish::{self, Options, Rollback};

#[derive(clap::Args)]
pub struct Args {
    /// The release to make live, or the first digits of its name [default: the one that was live before]
    release: Option<String>,
    /// The environment whose store it lies in
    #[arg(short, long, default_value = "production", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    purge: purge::Flags,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let done = block_on_this_thread(async {
        let store = publish::open(&config.root, environment, terminal).await?;
        let options = Options { dry_run: args.dry_run, repair: false, purge: args.purge.options(false) };
        publish::rollback(&store, environment, args.release.as_deref(), options, terminal).await
    })?;
    terminal.finish();
    tell(&done, terminal)?;
    github::rolled_back(&done)?;
    purge::result(done.purge.as_ref(), &done.to)
}

fn tell(done: &Rollback, terminal: &Terminal) -> Result<()> {
    if terminal.report(done)? {
        return Ok(());
    }
    let would = if done.dry_run { "would be " } else { "" };
    if !done.replaced.is_empty() {
        terminal.say(&format!("{} at the website's root {would}replaced", counted(done.replaced.len(), "file")));
    }
    purge::tell(done.purge.as_ref(), done.dry_run, terminal);
    let is_live = match (done.dry_run, done.moved) {
        (true, true) => "would be live",
        (false, true) => "is live",
        (_, false) => "was live already",
    };
    let after = match &done.from {
        Some(from) if done.moved => format!(", after {from}"),
        _ => String::new(),
    };
    terminal.say(&format!("release {} {is_live} in {} at {}{after}", done.to, done.environment, done.store));
    Ok(())
}

//! `fingerpost serve`

use std::path::PathBuf;

use super::terminal::Terminal;
use super::{Global, below, block_on};
use crate::config::parse_size;
use crate::error::Result;
use crate::serve::{self, Change, Event, Options, Policy};

#[derive(clap::Args)]
pub struct Args {
    /// The environment that pages are bound to
    #[arg(short, long, default_value = "development", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// The output folder of a build [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", env = "FINGERPOST_LISTEN")]
    listen: String,
    /// How much of the site is held in memory, such as `64 MiB`; the rest stays in its files [default: 256 MiB]
    #[arg(long, value_name = "SIZE", env = "FINGERPOST_MEMORY", value_parser = size)]
    memory: Option<u64>,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "write bytes as a number, or a text such as `170 KB` or `1.5 MiB`".to_owned())
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let options = Options {
        out: below(&config, args.out.as_deref(), &config.out),
        environment: config.environment(&args.env)?.clone(),
        listen: args.listen.clone(),
        policy: Policy {
            memory: args.memory.unwrap_or(config.storage.memory),
            largest_in_memory: config.storage.largest_in_memory,
            keep_releases: config.storage.keep_releases,
            encodings: if config.storage.compress { config.encodings.clone() } else { Vec::new() },
        },
    };
    block_on(serve::run(options, |event| tell(&event, terminal)))
}

fn tell(event: &Event, terminal: &Terminal) {
    match event {
        // Said however quiet: programs wait for it.
        Event::Listening(address) => terminal.must_say(&format!("listening on http://{address}")),
        Event::Reloaded => terminal.say("reloaded"),
        Event::ReloadFailed(error) => terminal.complain(error),
        Event::Failover(Change::Failed { base, failures, error }) => terminal
            .must_say(&format!("warning: assets are served from here, as `{base}` failed {failures} times: {error}")),
        Event::Failover(Change::Recovered { base, successes, after }) => terminal.must_say(&format!(
            "assets are served from `{base}` again: it answered {successes} times, after {} s",
            after.as_secs()
        )),
        Event::Stopping => terminal.say("finishing the requests under way"),
    }
}

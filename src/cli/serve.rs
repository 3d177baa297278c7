//! `fingerpost serve`

use std::path::PathBuf;

use super::terminal::Terminal;
use super::{Global, below, block_on};
use crate::error::Result;
use crate::serve::{self, Event, Options};

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
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let options = Options {
        out: below(&config, args.out.as_deref(), &config.out),
        environment: config.environment(&args.env)?.clone(),
        listen: args.listen.clone(),
    };
    block_on(serve::run(options, |event| tell(&event, terminal)))
}

fn tell(event: &Event, terminal: &Terminal) {
    match event {
        // Said however quiet: programs wait for it.
        Event::Listening(address) => terminal.must_say(&format!("listening on http://{address}")),
        Event::Reloaded => terminal.say("reloaded"),
        Event::ReloadFailed(error) => terminal.complain(error),
        Event::Stopping => terminal.say("finishing the requests under way"),
    }
}

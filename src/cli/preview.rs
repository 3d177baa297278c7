//! `fingerpost preview`

use super::terminal::Terminal;
use super::{Global, block_on};
use crate::build;
use crate::environment::Environment;
use crate::error::Result;
use crate::manifest::Mode;
use crate::preview::{self, Event, Options};

#[derive(clap::Args)]
pub struct Args {
    /// The environment whose settings to take; its assets are served by the CDN of the preview all the same
    #[arg(short, long, value_name = "NAME", env = "FINGERPOST_ENV")]
    env: Option<String>,
    /// Where the site listens; port 0 takes a free one [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR", env = "FINGERPOST_LISTEN")]
    listen: Option<String>,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = match &args.env {
        Some(name) => config.environment(name)?.clone(),
        None => Environment::new("preview"),
    };
    let options = build::Options { out: config.out.clone(), mode: Mode::Production, compress: true, threads: 0 };
    let manifest = build::build(&config, &options, terminal)?;
    terminal.finish();
    super::build::report(&manifest, terminal)?;
    let options = Options { out: config.out, environment, listen: args.listen.clone() };
    block_on(preview::run(options, terminal, |event| tell(&event, terminal)))
}

fn tell(event: &Event, terminal: &Terminal) {
    match event {
        Event::Published(report) => {
            terminal.finish();
            terminal.say(&format!(
                "{} objects published to {}, {} of them new",
                report.uploaded + report.kept,
                report.store,
                report.uploaded
            ));
        }
        Event::Listening { site, cdn } => {
            if !terminal.json() {
                terminal.data(&format!("site  http://{site}/"));
                terminal.data(&format!("cdn   http://{cdn}/"));
            }
            terminal.must_say(&format!("listening on http://{site}"));
        }
        Event::Stopping => terminal.say("finishing the requests under way"),
    }
}

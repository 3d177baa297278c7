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
    let built = build::build(&config, &options, terminal)?;
    terminal.finish();
    if !terminal.json() {
        super::build::report(&super::build::Summary::new(&built, None), terminal)?;
    }
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
            let (site_url, cdn_url) = (format!("http://{site}/"), format!("http://{cdn}/"));
            if terminal.json() {
                terminal.data(&serde_json::json!({ "site": site_url, "cdn": cdn_url }).to_string());
            } else {
                terminal.data(&format!("site  {site_url}\ncdn   {cdn_url}"));
            }
            terminal.must_say(&format!("listening on http://{site}"));
        }
        Event::Stopping => terminal.say("finishing the requests under way"),
    }
}

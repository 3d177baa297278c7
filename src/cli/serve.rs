//! `fingerpost serve`

use std::path::PathBuf;

use super::terminal::Terminal;
use super::{Global, below, block_on};
use crate::config::{Config, UnknownHost};
use crate::error::Result;
use crate::serve::{self, Event, Front, Options, Proxies};

#[derive(clap::Args)]
pub struct Args {
    /// The environment that pages are bound to [default: the one that has the request's host, or else development]
    #[arg(short, long, value_name = "NAME", env = "FINGERPOST_ENV")]
    env: Option<String>,
    /// The output folder of a build [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", env = "FINGERPOST_LISTEN")]
    listen: String,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let out = below(&config, args.out.as_deref(), &config.out);
    let options = Options { front: front(&config), ..environments(&config, args, out)? };
    block_on(serve::run(options, |event| tell(&event, terminal)))
}

/// The environment that is asked for, or those that the request's host chooses among.
fn environments(config: &Config, args: &Args, out: PathBuf) -> Result<Options> {
    let other = match (&args.env, &config.serve.unknown_host) {
        (Some(name), _) => return Ok(Options::new(out, config.environment(name)?.clone(), &args.listen)),
        (None, UnknownHost::Environment(name)) => Some(name),
        (None, UnknownHost::Refuse) => None,
    };
    let is_served = |name: &String, hosts: &[String]| !hosts.is_empty() || Some(name) == other;
    let environments = config.environments.values().filter(|env| is_served(&env.name, &env.hosts));
    Ok(Options {
        environments: environments.cloned().collect(),
        other: other.cloned(),
        ..Options::new(out, config.environment("development")?.clone(), &args.listen)
    })
}

fn front(config: &Config) -> Front {
    let serve = &config.serve;
    Front {
        proxies: Proxies::new(serve.trusted_proxies.clone(), serve.proxy_headers),
        cdn_id: Some(serve.cdn_id.clone()),
    }
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

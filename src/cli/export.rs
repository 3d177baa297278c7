//! `fingerpost export`

use std::path::PathBuf;

use clap::ValueEnum;

use super::terminal::Terminal;
use super::{Global, below};
use crate::error::Result;
use crate::export::{self, Dialect, Folder, Rules, Settings, Site};
use crate::fs;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::serve::Outline;

#[derive(clap::Args)]
pub struct Args {
    /// Whose configuration
    server: Server,
    /// The environment whose headers and URLs are written
    #[arg(short, long, default_value = "development", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
    /// The output folder of the build [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// Where the server has the files [default: the environment's store, or else the output folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where the server listens: a port, or `ADDRESS:PORT` [default: 80]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A file of your own that the server includes beside the rules: certificates, logs
    #[arg(long, value_name = "FILE")]
    include: Option<String>,
    /// Leave out what nginx needs its module for Brotli for
    #[arg(long)]
    no_brotli: bool,
    /// Write to this file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Server {
    Nginx,
    Caddy,
    Apache,
}

impl From<Server> for Dialect {
    fn from(server: Server) -> Self {
        match server {
            Server::Nginx => Dialect::Nginx,
            Server::Caddy => Dialect::Caddy,
            Server::Apache => Dialect::Apache,
        }
    }
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let out = below(&config, args.out.as_deref(), &config.out);
    let manifest = Manifest::load(&out)?;
    let folders = config.serve.upstream.as_ref().map(|upstream| upstream.statics.clone()).unwrap_or_default();
    let outline = Outline::of(&out, &manifest, environment, &folders)?;
    let folder = args.folder.as_deref().map_or(Folder::Own, Folder::At);
    let site = Site::of(&config.root, &out, &manifest, environment, &folder, &outline)?;
    let rules = Rules::of(&site, &outline)?;
    let settings = Settings { listen: args.listen.clone(), include: args.include.clone(), no_brotli: args.no_brotli };
    let text = export::write(args.server.into(), &rules, &settings)?;
    if let Some(missing) = site.missing() {
        terminal.warn(missing);
    }
    match &args.output {
        Some(path) => fs::write(path, text.as_bytes()),
        None => {
            terminal.data(text.trim_end());
            Ok(())
        }
    }
}

//! `fingerpost export`

use std::path::PathBuf;

use clap::ValueEnum;

use super::terminal::Terminal;
use super::{Global, below};
use crate::error::{Error, Result};
use crate::export::{self, Dialect, Folder, Function, Rules, Settings, Site};
use crate::fs;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::serve::Outline;

#[derive(clap::Args)]
pub struct Args {
    /// Whose configuration, or a function for CloudFront
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
    /// Keep what CloudFront's function knows of the site in a key value store, and write the file that the store imports
    #[arg(long, value_name = "FILE")]
    key_values: Option<PathBuf>,
    /// Write to this file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Server {
    Nginx,
    Caddy,
    Apache,
    CloudfrontFunction,
}

impl Server {
    /// None for what is no server's configuration.
    fn dialect(self) -> Option<Dialect> {
        match self {
            Server::Nginx => Some(Dialect::Nginx),
            Server::Caddy => Some(Dialect::Caddy),
            Server::Apache => Some(Dialect::Apache),
            Server::CloudfrontFunction => None,
        }
    }
}

impl Args {
    /// Refuses flags that would be passed over.
    fn check(&self) -> Result<()> {
        let is_function = self.server.dialect().is_none();
        let flags = [
            ("--folder", is_function && self.folder.is_some()),
            ("--listen", is_function && self.listen.is_some()),
            ("--include", is_function && self.include.is_some()),
            ("--key-values", !is_function && self.key_values.is_some()),
        ];
        match flags.iter().find(|(_, is_idle)| *is_idle) {
            None => Ok(()),
            Some((flag, _)) => Err(Error::Usage {
                message: format!("`{flag}` says nothing here"),
                help: "leave it out: `--key-values` is for `cloudfront-function`, the others for servers".to_owned(),
            }),
        }
    }
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    args.check()?;
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let out = below(&config, args.out.as_deref(), &config.out);
    let manifest = Manifest::load(&out)?;
    let folders = config.serve.upstream.as_ref().map(|upstream| upstream.statics.clone()).unwrap_or_default();
    let outline = Outline::of(&out, &manifest, environment, &folders)?;
    let folder = match (&args.folder, args.server.dialect()) {
        (_, None) => Folder::Bucket,
        (Some(folder), _) => Folder::At(folder),
        (None, _) => Folder::Own,
    };
    let site = Site::of(&config.root, &out, &manifest, environment, &folder, &outline)?;
    let rules = Rules::of(&site, &outline)?;
    let settings = Settings { listen: args.listen.clone(), include: args.include.clone(), no_brotli: args.no_brotli };
    let text = match args.server.dialect() {
        Some(dialect) => export::write(dialect, &rules, &settings)?,
        None => {
            let Function { code, key_values } = Function::of(&rules, args.key_values.is_some())?;
            if let (Some(path), Some(text)) = (&args.key_values, key_values) {
                fs::write(path, text.as_bytes())?;
            }
            code
        }
    };
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

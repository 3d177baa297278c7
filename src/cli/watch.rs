//! `fingerpost watch`

use std::path::PathBuf;
use std::time::Duration;

use super::build::tell as tell_breach;
use super::dev::{Watch, because, milliseconds};
use super::terminal::Terminal;
use super::{Global, ModeArg, below, block_on};
use crate::build::{Built, Options};
use crate::dev::{self, Writing, Written};
use crate::error::Result;

#[derive(clap::Args)]
pub struct Args {
    /// Where to, replaced whole [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    out: Option<PathBuf>,
    /// What `NODE_ENV` and `import.meta.env.MODE` say, and whether to minify and to fingerprint
    #[arg(long, default_value = "development", env = "FINGERPOST_MODE")]
    mode: ModeArg,
    /// Make no `.br`, `.zst` and `.gz`; in development none are made
    #[arg(long)]
    no_compress: bool,
    #[command(flatten)]
    watch: Watch,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let loader = global.clone();
    let writing = Writing {
        load: Box::new(move || loader.load()),
        config_file: global.config.clone(),
        method: args.watch.method(),
    };
    let options = |config: &crate::config::Config| Options {
        out: below(config, args.out.as_deref(), &config.out),
        mode: args.mode.into(),
        compress: !args.no_compress && matches!(args.mode, ModeArg::Production),
        threads: 0,
    };
    block_on(dev::write(writing, options, terminal, |written| {
        terminal.finish();
        match written {
            Written::Built { built, because, took } => tell(terminal, built, &because, took),
            Written::Failed(error) => terminal.complain(error),
            Written::Warning(message) => crate::progress::Progress::warn(terminal, message),
        }
    }))
}

fn tell(terminal: &Terminal, built: &Built, changed: &[String], took: Duration) {
    let count = built.manifest.files.len();
    let others = match built.differing() {
        Some(others) if !changed.is_empty() => format!("{others} of {count} files"),
        _ => format!("{count} files"),
    };
    terminal.must_say(&format!("{}built {others} in {}", because(changed), milliseconds(took)));
    built.breaches.iter().for_each(|breach| terminal.say(&tell_breach(breach)));
}

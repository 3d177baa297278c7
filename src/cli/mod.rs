//! The command line: one file a command, each lowers its arguments and makes one library call.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::manifest::Mode;

mod bench;
mod build;
mod check;
mod dev;
mod events;
mod export;
mod github;
mod init;
mod keys;
mod libraries;
mod preview;
mod prune;
mod publish;
mod purge;
mod releases;
mod rollback;
mod serve;
mod terminal;
mod trace;
mod watch;

use terminal::Terminal;

/// From a site's sources to its users' browsers: build, publish and serve static assets.
#[derive(Parser)]
#[command(name = "fingerpost", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, clap::Args)]
struct Global {
    /// The site's root
    #[arg(short = 'C', long, global = true, default_value = ".", value_name = "DIR", env = "FINGERPOST_ROOT")]
    root: PathBuf,
    /// The configuration file; none is needed [default: fingerpost.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "FINGERPOST_CONFIG")]
    config: Option<PathBuf>,
    /// Where results of earlier builds are kept: a folder, `user` or `none` [default: .fingerpost-cache]
    #[arg(long, global = true, value_name = "DIR", env = "FINGERPOST_CACHE")]
    cache: Option<String>,
    /// Write one JSON document to stdout, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    /// Write what goes on to this file as it goes on, one JSON object a line; `-` is stderr, which then has nothing else
    #[arg(long, global = true, value_name = "FILE", env = "FINGERPOST_EVENTS")]
    events: Option<PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to use colour
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN", env = "FINGERPOST_COLOR")]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    /// Begin a small site that builds
    Init(init::Args),
    /// Build the site into the output folder
    Build(build::Args),
    /// Build into the output folder whenever a source changes, for those who have a server of their own
    Watch(watch::Args),
    /// Build in memory whenever a source changes, serve, and tell the browsers
    Dev(dev::Args),
    /// Build, publish into a bucket of its own, and serve the site with that bucket as its CDN
    Preview(preview::Args),
    /// Serve a build from memory
    Serve(Box<serve::Args>),
    /// Put a build into the environment's store, and make it live
    Publish(publish::Args),
    /// List the releases in the environment's store
    Releases(releases::Args),
    /// Make a release live again that was published before
    Rollback(rollback::Args),
    /// Delete old releases from the environment's store, and what belonged to them alone
    Prune(prune::Args),
    /// Write the configuration of another server that does what `serve` does with a build
    Export(export::Args),
    /// Check that the site builds, without touching its output folder
    Check(check::Args),
    /// Measure the classic ways of serving static files against each other, on this site and this machine
    Bench(Box<bench::Args>),
    #[command(hide = true)]
    BenchBucket(bench::BucketArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The `--mode` flag.
#[derive(Clone, Copy, ValueEnum)]
enum ModeArg {
    Production,
    Development,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Production => Mode::Production,
            ModeArg::Development => Mode::Development,
        }
    }
}

impl Global {
    fn load(&self) -> Result<Config> {
        let mut config = Config::load(&self.root, self.config.as_deref())?;
        if let Some(place) = &self.cache {
            config.keep_cache_in(place);
        }
        Ok(config)
    }
}

/// A path from the command line, relative to the root unless it is absolute.
fn below(config: &Config, path: Option<&Path>, default: &Path) -> PathBuf {
    path.map_or_else(|| default.to_owned(), |path| crate::fs::normalize(&config.root.join(path)))
}

/// Runs the program; the process's arguments are its input. `give_back` makes the allocator give the system what the thread that
/// calls it has freed.
pub fn main(give_back: fn()) -> ExitCode {
    let _ = GIVE_BACK.set(give_back);
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let mut terminal = Terminal::new(&cli.global);
    let begun = terminal.begin(&cli.global, matches.subcommand_name().unwrap_or_default());
    let code = match begun.and_then(|()| run(&cli, &terminal)) {
        Ok(()) => 0,
        Err(error) => {
            let code = error.exit_code();
            terminal.fail(error);
            code
        }
    };
    terminal.end(code);
    ExitCode::from(code)
}

fn run(cli: &Cli, terminal: &Terminal) -> Result<()> {
    match &cli.command {
        Command::Init(args) => init::run(&cli.global, args, terminal),
        Command::Build(args) => build::run(&cli.global, args, terminal),
        Command::Watch(args) => watch::run(&cli.global, args, terminal),
        Command::Dev(args) => dev::run(&cli.global, args, terminal),
        Command::Preview(args) => preview::run(&cli.global, args, terminal),
        Command::Serve(args) => serve::run(&cli.global, args, terminal),
        Command::Publish(args) => publish::run(&cli.global, args, terminal),
        Command::Releases(args) => releases::run(&cli.global, args, terminal),
        Command::Rollback(args) => rollback::run(&cli.global, args, terminal),
        Command::Prune(args) => prune::run(&cli.global, args, terminal),
        Command::Export(args) => export::run(&cli.global, args, terminal),
        Command::Check(args) => check::run(&cli.global, args, terminal),
        Command::Bench(args) => bench::run(&cli.global, args, terminal),
        Command::BenchBucket(args) => bench::bucket(args, terminal),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "fingerpost", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// As [`main`] was told.
static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// For what only talks to a store. Answers that come on other threads would have to wake this one, which took a sixth of a first publish's
/// CPU time; files are read, and pages bound, on threads of their own all the same.
fn block_on_this_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().map_err(Error::io("start threads in", "."))?.block_on(work)
}

/// Threads for what waits: sockets, signals, stores. On one core they would only stand in each other's way.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut threads = match std::thread::available_parallelism() {
        Ok(NonZero::<usize>::MIN) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    threads.enable_all();
    if let Some(give_back) = GIVE_BACK.get() {
        threads.on_thread_park(|| crate::serve::slack::give_back(*give_back));
    }
    let runtime = threads.build().map_err(Error::io("start threads in", "."))?;
    let done = runtime.block_on(work);
    // A load that was given up may be in the middle of a large file, or wait for a disk that does not answer. It changes nothing.
    runtime.shutdown_timeout(LAST_WORK);
    done
}

/// How long threads that still read or compress something are waited for, when nobody wants it any more.
const LAST_WORK: Duration = Duration::from_millis(500);

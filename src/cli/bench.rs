//! `fingerpost bench`

use std::path::{Path, PathBuf};

use super::terminal::{Column, Terminal};
use super::{Global, block_on};
use crate::bench::compare::{Comparison, compare};
use crate::bench::prices::Prices;
use crate::bench::report::{Bucket, Emulation, Report, VERSION};
use crate::bench::show::{self, Cell, Head, Row};
use crate::bench::summary::Summary;
use crate::bench::{self, Options};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::progress::Progress;

#[derive(clap::Args)]
pub struct Args {
    /// Measure less of each: two rounds of short loads, one network, two distances; under three minutes
    #[arg(long)]
    quick: bool,
    /// What to measure: a name, or a strategy of your own as `NAME=URL` or `NAME='COMMAND {port}'`; repeatable [default: all that there are]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Vec<String>,
    /// Send load to the machines of `--strategy NAME=URL`, `--endpoint` and `--asset-base` that are not this one
    #[arg(long)]
    allow_remote: bool,
    /// A bucket of your own for the strategy `storage`, `s3://BUCKET/PREFIX`, in place of one that is started: a folder of the run's own lies
    /// below the prefix until the end
    #[arg(long, value_name = "URL", requires = "endpoint")]
    store: Option<String>,
    /// The endpoint of its S3 API; credentials are found as `publish` finds them
    #[arg(long, value_name = "URL", requires = "store")]
    endpoint: Option<String>,
    /// Its region [default: as the AWS tools find it]
    #[arg(long, value_name = "NAME", requires = "store")]
    region: Option<String>,
    /// Where browsers get what lies at `--store`, without credentials [default: ENDPOINT/BUCKET/PREFIX/]
    #[arg(long, value_name = "URL", requires = "store")]
    asset_base: Option<String>,
    /// Your own application in place of a plain Flask one: a command that listens at `{port}`
    #[arg(long, value_name = "COMMAND", env = "FINGERPOST_BENCH_APP")]
    app: Option<String>,
    /// A Python that has Flask and gunicorn [default: that of $VIRTUAL_ENV, of .venv, or python3]
    #[arg(long, value_name = "FILE", env = "FINGERPOST_PYTHON")]
    python: Option<PathBuf>,
    /// The page that is visited [default: /]
    #[arg(long, value_name = "PATH")]
    page: Option<String>,
    /// Visitors' networks: `fibre`, `4g`, `slow-3g`; repeatable [default: all; with --quick, 4g]
    #[arg(long, value_name = "NAME")]
    network: Vec<String>,
    /// Who makes these networks: relays on loopback, or the kernel's netem in a network namespace of the bench's own (Linux) [default: relays]
    #[arg(long, value_name = "HOW")]
    emulation: Option<EmulationArg>,
    /// Round trips from visitors to the origin; repeatable [default: 10, 50, 150, 300; with --quick, 10, 100]
    #[arg(long, value_name = "MS")]
    distance: Vec<f64>,
    /// How often all of it is measured [default: 5; with --quick, 2]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// How long each load lasts [default: 2; with --quick, 0.2]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Connections that ask at once [default: 64; with --quick, 32]
    #[arg(long, value_name = "N")]
    connections: Option<u32>,
    /// Requests per second of the load that latencies are measured at [default: half of what the slowest strategy takes]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Draws another order of strategies in rounds [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Measure with the settings of an earlier report; other flags win over it
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Measure nothing: show an earlier report
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    show: Option<PathBuf>,
    /// Say what differs from an earlier report; what is worse beyond chance and noise ends with exit code 3
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Prices and assumptions for the month's bill, in TOML [default: a dated sheet of list prices]
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Write what was found as one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write what was found as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the tables of the usual guides as Markdown, with what was measured beside their words
    #[arg(long, value_name = "FILE")]
    guide: Option<PathBuf>,
    /// Write the report with every sample to this file, as `--json` does to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum EmulationArg {
    Relays,
    Netem,
}

impl From<EmulationArg> for Emulation {
    fn from(how: EmulationArg) -> Self {
        match how {
            EmulationArg::Relays => Emulation::Relays,
            EmulationArg::Netem => Emulation::Netem,
        }
    }
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    // What is read is found fault with before minutes have gone by.
    let prices = match &args.prices {
        Some(path) => Prices::parse(&path.display().to_string(), &read_text(&global.root, path, "price sheet")?)?,
        None => Prices::shipped()?,
    };
    let earlier = args.compare.as_deref().map(|path| read(&global.root, path)).transpose()?;
    let report = match &args.show {
        Some(path) => read(&global.root, path)?,
        None => measure(global, args, earlier.as_ref(), terminal)?,
    };
    if let Some(path) = &args.output {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Fault::new(error.to_string()))?;
        fs::write(&global.root.join(path), format!("{text}\n").as_bytes())?;
    }
    let summary = Summary::of(&report, &prices);
    let comparison = earlier.map(|earlier| compare(&earlier, &report, &prices));
    lay_out(global, args, &summary, comparison.as_ref())?;
    if !terminal.report(&report)? {
        tell(&summary, comparison.as_ref(), terminal);
    }
    match comparison {
        Some(comparison) if !comparison.refused.is_empty() => Err(no_comparison(&comparison.refused)),
        Some(comparison) if comparison.regressed() => Err(Error::Check {
            message: "worse than in the earlier run, beyond chance and noise".to_owned(),
            help: "`--html` and `--markdown` show all that has changed".to_owned(),
            findings: show::regressions(&comparison).into_iter().map(Fault::new).collect(),
        }),
        _ => Ok(()),
    }
}

fn column(head: &Head) -> Column<'_> {
    match head.number {
        true => Column::Number(&head.name),
        false => Column::Text(&head.name),
    }
}

fn no_comparison(refused: &[String]) -> Error {
    Error::Usage {
        message: format!("the two runs can't be compared, since {}", refused.join("; ")),
        help: "measure with the settings of the earlier one: `--from` its report".to_owned(),
    }
}

fn measure(global: &Global, args: &Args, earlier: Option<&Report>, terminal: &Terminal) -> Result<Report> {
    let config = global.load()?;
    let mut options = options(global, args)?;
    if let Some(earlier) = earlier {
        // What is found out in a warm-up is never twice the same.
        options.rate = options.rate.or(Some(earlier.settings.rate));
        let refused = bench::refused(&earlier.settings, &options)?;
        if !refused.is_empty() {
            return Err(no_comparison(&refused));
        }
    }
    bench::enter(&options, std::env::args_os().skip(1))?;
    let report = block_on(bench::run(&config, &options, terminal))?;
    terminal.finish();
    Ok(report)
}

fn lay_out(global: &Global, args: &Args, summary: &Summary<'_>, comparison: Option<&Comparison>) -> Result<()> {
    if let Some(path) = &args.html {
        fs::write(&global.root.join(path), show::html(summary, comparison)?.as_bytes())?;
    }
    if let Some(path) = &args.markdown {
        fs::write(&global.root.join(path), show::markdown(summary, comparison).as_bytes())?;
    }
    if let Some(path) = &args.guide {
        fs::write(&global.root.join(path), show::guide(summary).as_bytes())?;
    }
    Ok(())
}

/// For people.
fn tell(summary: &Summary<'_>, comparison: Option<&Comparison>, terminal: &Terminal) {
    for table in show::terminal(summary, comparison) {
        terminal.say(&format!("{}\n", table.title));
        let head: Vec<Column<'_>> = table.head.iter().map(column).collect();
        let rows = table.rows.iter().map(|row| match row {
            Row::Cells(cells) => cells.iter().map(Cell::plain).collect(),
            Row::Missing { name, why } => vec![name.clone(), why.clone()],
        });
        terminal.table(&head, rows.collect());
        terminal.say("");
        table.notes.iter().for_each(|note| terminal.say(note));
        terminal.say("");
    }
    summary.warnings.iter().for_each(|warning| terminal.warn(warning.clone()));
}

fn options(global: &Global, args: &Args) -> Result<Options> {
    let before = match &args.from {
        Some(path) => Options::from_settings(&read(&global.root, path)?.settings),
        None => Options::default(),
    };
    let many = |given: &[String], before: Vec<String>| if given.is_empty() { before } else { given.to_vec() };
    let store = args.store.clone().zip(args.endpoint.clone()).map(|(store, endpoint)| Bucket {
        store,
        endpoint,
        region: args.region.clone(),
        asset_base: args.asset_base.clone(),
    });
    let program = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    Ok(Options {
        quick: args.quick || before.quick,
        rounds: args.rounds.or(before.rounds),
        seconds: args.seconds.or(before.seconds),
        connections: args.connections.or(before.connections),
        rate: args.rate.or(before.rate),
        seed: args.seed.or(before.seed),
        page: args.page.clone().or(before.page),
        networks: many(&args.network, before.networks),
        emulation: args.emulation.map(Emulation::from).or(before.emulation),
        distances_ms: if args.distance.is_empty() { before.distances_ms } else { args.distance.clone() },
        strategies: many(&args.strategy, before.strategies),
        allow_remote: args.allow_remote,
        app: args.app.clone().or(before.app),
        store: store.or(before.store),
        python: args.python.clone(),
        file: global.config.clone(),
        program,
    })
}

/// Paths are relative to the root.
fn read_text(root: &Path, path: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(root.join(path)).map_err(|error| Error::Usage {
        message: format!("could not read the {what} `{}`: {error}", path.display()),
        help: "name a file that is there".to_owned(),
    })
}

fn read(root: &Path, path: &Path) -> Result<Report> {
    let text = read_text(root, path, "report")?;
    let report: Result<Report, String> = serde_json::from_str(&text).map_err(|error| error.to_string());
    let report = report.and_then(|report| match report.version {
        VERSION => Ok(report),
        other => Err(format!("it is of version {other}, this program reads version {VERSION}")),
    });
    report.map_err(|reason| Error::Usage {
        message: format!("`{}` is no report of the bench: {reason}", path.display()),
        help: "name a file that `bench --output` of this version has written".to_owned(),
    })
}

/// What `bench` starts as the store of its strategy `storage`; of no use to anybody else, and hidden.
#[derive(clap::Args)]
pub struct BucketArgs {
    folder: PathBuf,
}

pub fn bucket(args: &BucketArgs, terminal: &Terminal) -> Result<()> {
    block_on(bench::serve_bucket(args.folder.clone(), |access| {
        terminal.data(&serde_json::json!(access).to_string());
    }))
}

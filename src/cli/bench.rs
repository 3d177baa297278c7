//! `fingerpost bench`

use std::path::{Path, PathBuf};

use super::terminal::{Column, Terminal};
use super::{Global, block_on};
use crate::bench::report::{Report, VERSION, VisitKind};
use crate::bench::{self, Options};
use crate::error::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    /// Measure less of each: two rounds of short loads, one network, two distances; under three minutes
    #[arg(long)]
    quick: bool,
    /// What to measure: a name, or a strategy of your own as `NAME=URL` or `NAME='COMMAND {port}'`; repeatable [default: all that there are]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Vec<String>,
    /// Send load to the machines of `--strategy NAME=URL` that are not this one
    #[arg(long)]
    allow_remote: bool,
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
    /// Round trips from visitors to the origin; repeatable [default: 10, 50, 150, 300; with --quick, 10, 150]
    #[arg(long, value_name = "MS")]
    distance: Vec<f64>,
    /// How often all of it is measured [default: 5; with --quick, 2]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// How long each load lasts [default: 2; with --quick, 0.3]
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
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let options = options(global, args)?;
    let report = block_on(bench::run(&config, &options, terminal))?;
    terminal.finish();
    if terminal.report(&report)? {
        return Ok(());
    }
    show(&report, terminal);
    Ok(())
}

fn options(global: &Global, args: &Args) -> Result<Options> {
    let before = match &args.from {
        Some(path) => Options::from_settings(&read(&global.root, path)?.settings),
        None => Options::default(),
    };
    let many = |given: &[String], before: Vec<String>| if given.is_empty() { before } else { given.to_vec() };
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
        distances_ms: if args.distance.is_empty() { before.distances_ms } else { args.distance.clone() },
        strategies: many(&args.strategy, before.strategies),
        allow_remote: args.allow_remote,
        app: args.app.clone().or(before.app),
        python: args.python.clone(),
        file: global.config.clone(),
        program,
    })
}

/// A report, by a path that is relative to the root.
fn read(root: &Path, path: &Path) -> Result<Report> {
    let text = std::fs::read(root.join(path)).map_err(|error| Error::Usage {
        message: format!("could not read the report `{}`: {error}", path.display()),
        help: "name a file that `bench --json` has written".to_owned(),
    })?;
    let report: Result<Report, String> = serde_json::from_slice(&text).map_err(|error| error.to_string());
    let report = report.and_then(|report| match report.version {
        VERSION => Ok(report),
        other => Err(format!("it is of version {other}, this program reads version {VERSION}")),
    });
    report.map_err(|reason| Error::Usage {
        message: format!("`{}` is no report of the bench: {reason}", path.display()),
        help: "name a file that `bench --json` of this version has written".to_owned(),
    })
}

/// For people.
fn show(report: &Report, terminal: &Terminal) {
    let head = [
        Column::Text("strategy"),
        Column::Number("requests/s"),
        Column::Number("CPU µs/request"),
        Column::Number("p99 ms"),
        Column::Number("memory MiB"),
        Column::Number("first visit ms"),
        Column::Number("again ms"),
    ];
    let rows = report.strategies.iter().map(|measured| {
        if let Some(missing) = &measured.missing {
            let mut row = vec![measured.name.clone(), format!("not measured: {} ({})", missing.reason, missing.remedy)];
            row.resize(head.len(), String::new());
            return row;
        }
        let of_load = |figure: fn(&bench::report::ServerSample) -> f64| middle(measured.servers.iter().map(figure));
        let visits = |kind| {
            let near = report.settings.distances_ms.first().copied().unwrap_or_default();
            let visits = measured.visits.iter().filter(move |visit| visit.kind == kind && visit.origin_ms == near);
            middle(visits.map(|visit| visit.load_ms))
        };
        let saturated =
            |sample: &bench::report::ServerSample| sample.saturated.requests as f64 / sample.saturated.seconds;
        let cpu = |sample: &bench::report::ServerSample| {
            sample.saturated.server_cpu_us as f64 / sample.saturated.requests.max(1) as f64
        };
        let figures = [
            (of_load(saturated), 0),
            (of_load(cpu), 1),
            (of_load(p99), 1),
            (of_load(|sample| sample.memory as f64 / (1 << 20) as f64), 0),
            (visits(VisitKind::First), 0),
            (visits(VisitKind::Repeat), 0),
        ];
        let figures = figures
            .into_iter()
            .map(|(value, digits)| value.map_or_else(String::new, |value| format!("{value:.digits$}")));
        std::iter::once(measured.name.clone()).chain(figures).collect()
    });
    terminal.table(&head, rows.collect());
    for warning in &report.warnings {
        terminal.say(&format!("warning: {warning}"));
    }
}

fn p99(sample: &bench::report::ServerSample) -> f64 {
    let total: u64 = sample.paced.latencies.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    let within = sample.paced.latencies.iter().find(|(_, count)| {
        seen += count;
        seen * 100 >= total * 99
    });
    within.map_or(f64::NAN, |(us, _)| *us as f64 / 1000.0)
}

/// The median; none of nothing.
fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What `bench` starts as the store of its strategy `storage`; of no use to anybody else, and hidden.
#[derive(clap::Args)]
pub struct Bucket {
    folder: PathBuf,
}

pub fn bucket(args: &Bucket, terminal: &Terminal) -> Result<()> {
    block_on(bench::serve_bucket(args.folder.clone(), |access| {
        terminal.data(&serde_json::json!(access).to_string());
    }))
}

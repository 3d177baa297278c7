//! `fingerpost build`

use std::path::PathBuf;

use serde::Serialize;

use super::terminal::{Column, Terminal, bytes};
use super::{Global, ModeArg, below, github};
use crate::build::{self, Breach, Built, Changes, Explained, Options};
use crate::config::Measure;
use crate::encoding::Encoding;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::manifest::Mode;
use crate::release::ReleaseId;

/// At most so many files are shown; the rest is counted.
pub const ROWS: usize = 100;

/// At most so many changed names are listed, unless more is asked for.
const CHANGES: usize = 5;

#[derive(clap::Args)]
pub struct Args {
    /// Where to, replaced whole [default: dist]
    #[arg(long, value_name = "DIR", env = "FINGERPOST_OUT")]
    pub out: Option<PathBuf>,
    /// What `NODE_ENV` and `import.meta.env.MODE` say, and whether to minify
    #[arg(long, default_value = "production", env = "FINGERPOST_MODE")]
    pub mode: ModeArg,
    /// Make no `.br`, `.zst` and `.gz`
    #[arg(long)]
    pub no_compress: bool,
    /// How many threads [default: one for each core]
    #[arg(short = 'j', long, value_name = "N", env = "FINGERPOST_THREADS")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// Say why this source, asset or output is another than in the last build
    #[arg(long, value_name = "FILE")]
    pub why: Option<String>,
    /// Write what is in each file to this file, as esbuild's metafile
    #[arg(long, value_name = "FILE")]
    pub metafile: Option<PathBuf>,
    /// Write what is in each file to this file, as a page to look at
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let options = Options {
        out: below(&config, args.out.as_deref(), &config.out),
        mode: args.mode.into(),
        compress: !args.no_compress,
        threads: args.threads.map_or(0, Into::into),
    };
    let built = build::build(&config, &options, terminal)?;
    terminal.finish();
    if let Some(path) = &args.metafile {
        fs::write(&global.root.join(path), built.metafile().as_bytes())?;
    }
    if let Some(path) = &args.report {
        fs::write(&global.root.join(path), built.report()?.as_bytes())?;
    }
    let why = args.why.as_ref().map(|what| built.why(what)).transpose()?;
    let summary = Summary::new(&built, why);
    report(&summary, terminal)?;
    github::built(&summary)?;
    within_budget(&built.breaches, "; the output is written all the same")
}

/// What a build made, for people a table, for programs JSON.
pub fn report(summary: &Summary<'_>, terminal: &Terminal) -> Result<()> {
    if terminal.report(summary)? {
        return Ok(());
    }
    match &summary.why {
        Some(why) => why.iter().for_each(|explained| terminal.data(&explained.to_string())),
        None => table(summary, terminal),
    }
    terminal.say(&summary.headline());
    if let Some(changes) = &summary.changes {
        say_changes(changes, terminal);
    }
    Ok(())
}

fn table(summary: &Summary<'_>, terminal: &Terminal) {
    let rows = summary.files.iter().take(ROWS).map(|file| {
        let brotli = file.br.map(bytes).unwrap_or_default();
        vec![file.path.to_owned(), bytes(file.size), brotli, file.source.unwrap_or("several sources").to_owned()]
    });
    let head = [Column::Text("file"), Column::Number("size"), Column::Number("br"), Column::Text("from")];
    terminal.table(&head, rows.collect());
    let more = summary.files.len().saturating_sub(ROWS);
    if more > 0 {
        terminal.say(&format!("… and {more} more files; `--json` lists all"));
    }
}

fn say_changes(changes: &Changes, terminal: &Terminal) {
    terminal.say(&changes.to_string());
    let shown = if terminal.verbose() { usize::MAX } else { CHANGES };
    for explained in changes.changes.iter().take(shown) {
        terminal.say(&format!("  {}", explained.to_string().replace('\n', "\n  ")));
    }
    let more = changes.changes.len().saturating_sub(shown);
    if more > 0 {
        terminal.say(&format!("  … and {more} more; `-v` lists all"));
    }
}

/// Fails if a limit is exceeded. `note` says what became of the output.
pub fn within_budget(breaches: &[Breach], note: &str) -> Result<()> {
    if breaches.is_empty() {
        return Ok(());
    }
    let message = match breaches.len() {
        1 => format!("a budget is exceeded{note}"),
        count => format!("{count} budgets are exceeded{note}"),
    };
    Err(Error::Check {
        message,
        help: "make the files smaller, or raise the limits in `[[budget]]`".to_owned(),
        findings: breaches.iter().map(|breach| Fault::new(tell(breach))).collect(),
    })
}

/// Which file, which limit, and by how much.
pub fn tell(breach: &Breach) -> String {
    let over = match breach.size - breach.limit {
        1 => "1 byte".to_owned(),
        over => format!("{over} bytes"),
    };
    let (size, limit) = (bytes(breach.size), bytes(breach.limit));
    let how = match breach.measure {
        Measure::Raw => "as it is",
        Measure::Br => "as br",
        Measure::Gzip => "as gzip",
    };
    let percent = match breach.limit {
        0 => String::new(),
        limit => format!(" ({:.1} %)", (breach.size - limit) as f64 * 100.0 / limit as f64),
    };
    let who = match &breach.path {
        Some(path) => format!("`{path}` is {size} {how}"),
        None => format!("all that match `{}` are {size} {how}", breach.pattern),
    };
    format!("{who}: {over}{percent} more than the {limit} of the budget for `{}`", breach.pattern)
}

#[derive(Serialize)]
pub struct Summary<'a> {
    pub release: &'a ReleaseId,
    mode: Mode,
    pub files: Vec<Row<'a>>,
    #[serde(flatten)]
    pub changes: Option<Changes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Vec<Explained>>,
    pub breaches: &'a [Breach],
}

#[derive(Serialize)]
pub struct Row<'a> {
    pub path: &'a str,
    /// Bytes of the file as it is.
    pub size: u64,
    /// Bytes of its `.br`, if it has one.
    pub br: Option<u64>,
    source: Option<&'a str>,
}

impl<'a> Summary<'a> {
    pub fn new(built: &'a Built, why: Option<Vec<Explained>>) -> Self {
        let row = |(path, file): (&'a String, &'a crate::manifest::File)| Row {
            path,
            size: file.length,
            br: file.variants.get(&Encoding::Brotli).map(|variant| variant.length),
            source: file.source.as_deref(),
        };
        let manifest = &built.manifest;
        Summary {
            release: &manifest.release,
            mode: manifest.mode,
            files: manifest.files.iter().map(row).collect(),
            changes: built.changes(),
            why,
            breaches: &built.breaches,
        }
    }

    /// The build in one line.
    pub fn headline(&self) -> String {
        let total: u64 = self.files.iter().map(|file| file.size).sum();
        let compressed: u64 = self.files.iter().map(|file| file.br.unwrap_or(file.size)).sum();
        let (total, compressed) = (bytes(total), bytes(compressed));
        format!("{} files, {total}, {compressed} compressed, release {}", self.files.len(), self.release)
    }
}

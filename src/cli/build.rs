//! `fingerpost build`

use std::path::PathBuf;

use serde::Serialize;

use super::terminal::{Column, Terminal, bytes};
use super::{Global, ModeArg, below};
use crate::build::{self, Options};
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Mode};
use crate::release::ReleaseId;

/// At most so many files are shown; the rest is counted.
const ROWS: usize = 100;

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
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let options = Options {
        out: below(&config, args.out.as_deref(), &config.out),
        mode: args.mode.into(),
        compress: !args.no_compress,
        threads: args.threads.map_or(0, Into::into),
    };
    let manifest = build::build(&config, &options, terminal)?;
    terminal.finish();
    report(&manifest, terminal)
}

/// What a build made, for people a table, for programs JSON.
pub fn report(manifest: &Manifest, terminal: &Terminal) -> Result<()> {
    let summary = Summary::new(manifest);
    if terminal.json() {
        return terminal.document(&summary);
    }
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
    let total: u64 = summary.files.iter().map(|file| file.size).sum();
    let compressed: u64 = summary.files.iter().map(|file| file.br.unwrap_or(file.size)).sum();
    let names = (summary.files.len(), bytes(total), bytes(compressed), &summary.release);
    terminal.say(&format!("{} files, {}, {} compressed, release {}", names.0, names.1, names.2, names.3));
    Ok(())
}

#[derive(Serialize)]
struct Summary<'a> {
    release: &'a ReleaseId,
    mode: Mode,
    files: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    path: &'a str,
    /// Bytes of the file as it is.
    size: u64,
    /// Bytes of its `.br`, if it has one.
    br: Option<u64>,
    source: Option<&'a str>,
}

impl<'a> Summary<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let row = |(path, file): (&'a String, &'a crate::manifest::File)| Row {
            path,
            size: file.length,
            br: file.variants.get(&Encoding::Brotli).map(|variant| variant.length),
            source: file.source.as_deref(),
        };
        Summary { release: &manifest.release, mode: manifest.mode, files: manifest.files.iter().map(row).collect() }
    }
}

impl Terminal {
    /// One JSON document on stdout.
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).map_err(|error| Error::Usage {
            message: format!("could not write JSON: {error}"),
            help: "leave out `--json`".to_owned(),
        })?;
        self.data(&text);
        Ok(())
    }
}

//! Runs programs in turn, and tells what they took.

use std::path::{Path, PathBuf};
use std::process::Command;

use brotli::enc::BrotliEncoderParams;
use libdeflater::{CompressionLvl, Compressor};

use super::time::Run;

/// One side of a comparison.
pub struct Contender {
    name: &'static str,
    command: Command,
    out: PathBuf,
}

/// Bytes of what a site sends: scripts and stylesheets, in all.
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    raw: usize,
    gzip: usize,
    brotli: usize,
}

pub struct Measured {
    run: Run,
    sizes: Sizes,
}

/// What one asset of many took.
pub struct Each {
    wall_us: f64,
    cpu_us: f64,
    kib: f64,
}

impl Each {
    pub fn beside(&self, first: &Each) -> String {
        let beside = |own: f64, first: f64| format!("{own:.1} ({:.2}×)", own / first);
        format!(
            "each {} µs, {} CPU µs, {} KiB",
            beside(self.wall_us, first.wall_us),
            beside(self.cpu_us, first.cpu_us),
            beside(self.kib, first.kib)
        )
    }
}

impl Contender {
    pub fn new(name: &'static str, command: Command, out: PathBuf) -> Self {
        Contender { name, command, out }
    }

    /// Runs it once, which has to succeed.
    pub fn run(&self) -> Run {
        Run::of(&self.command)
    }
}

/// Runs each once to warm the disk's cache, then all of them in turn.
pub fn alternate(runs: usize, contenders: &[Contender]) -> Vec<(String, Measured)> {
    let mut taken: Vec<Vec<Run>> = contenders.iter().map(|contender| vec![contender.run()]).collect();
    taken.iter_mut().for_each(Vec::clear);
    for _ in 0..runs {
        for (contender, taken) in contenders.iter().zip(&mut taken) {
            taken.push(contender.run());
        }
    }
    let measured = |(contender, taken): (&Contender, Vec<Run>)| {
        (contender.name.to_owned(), Measured::median(taken, Sizes::of(&contender.out)))
    };
    contenders.iter().zip(taken).map(measured).collect()
}

impl Sizes {
    /// Compressed by the same compressor, whoever made them.
    pub fn of(folder: &Path) -> Self {
        let mut sizes = Sizes::default();
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                let below = Sizes::of(&path);
                sizes.raw += below.raw;
                sizes.gzip += below.gzip;
                sizes.brotli += below.brotli;
            } else if matches!(extension, Some("js" | "css")) {
                let bytes = std::fs::read(&path).expect("a file");
                sizes.raw += bytes.len();
                sizes.gzip += gzip(&bytes);
                sizes.brotli += brotli(&bytes);
            }
        }
        sizes
    }
}

fn gzip(bytes: &[u8]) -> usize {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    compressor.gzip_compress(bytes, &mut out).expect("it compresses")
}

fn brotli(bytes: &[u8]) -> usize {
    let mut out = Vec::new();
    let options = BrotliEncoderParams { quality: 11, size_hint: bytes.len(), ..BrotliEncoderParams::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut out, &options).expect("it compresses");
    out.len()
}

pub const HEAD: &str = "| case | what | wall s | | CPU s | | peak MiB | | raw kB | gzip kB | brotli kB |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

impl Measured {
    pub fn median(runs: Vec<Run>, sizes: Sizes) -> Self {
        Measured { run: Run::median(&runs), sizes }
    }

    /// What one of so many took.
    pub fn each(&self, count: usize) -> Each {
        let count = count as f64;
        Each {
            wall_us: self.run.wall * 1e6 / count,
            cpu_us: self.run.cpu * 1e6 / count,
            kib: self.run.peak_kib / count,
        }
    }

    /// A line of the table, with how many times that of the first it is.
    pub fn row(&self, case: &str, who: &str, first: &Measured) -> String {
        let first = first.run;
        let kilo = |bytes: usize| format!("{:.1}", bytes as f64 / 1000.0);
        format!(
            "| {case} | {who} | {:.2} | {:.2}× | {:.2} | {:.2}× | {:.0} | {:.2}× | {} | {} | {} |",
            self.run.wall,
            self.run.wall / first.wall,
            self.run.cpu,
            self.run.cpu / first.cpu,
            self.run.peak_kib / 1024.0,
            self.run.peak_kib / first.peak_kib,
            kilo(self.sizes.raw),
            kilo(self.sizes.gzip),
            kilo(self.sizes.brotli),
        )
    }
}

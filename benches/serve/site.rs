//! A large site as a build would have left it, made in seconds: its contents are of no sense, and compressed quickly.

use std::fs;
use std::path::Path;

use fingerpost::asset::{LogicalPath, is_compressible, media_type};
use fingerpost::encoding::{Effort, Encoding};
use fingerpost::fingerprint::Digest;
use fingerpost::manifest::{self, Entry, File, Kind, Manifest, Mode, Variant};
use fingerpost::release::ReleaseId;
use rayon::prelude::*;

/// How many files, and how large in all.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Fingerprinted files, six in ten of them scripts and stylesheets, each of those with three sidecars.
    pub files: usize,
    /// Bytes of them without sidecars, about.
    pub bytes: u64,
}

/// Makes the site in `out`, which is replaced. The same shape gives the same bytes.
pub fn make(out: &Path, shape: Shape) {
    let _ = fs::remove_dir_all(out);
    let folders: usize = shape.files.div_ceil(1000);
    for folder in 0..folders {
        fs::create_dir_all(out.join(format!("assets/{folder}"))).expect("a folder");
    }
    let average = (shape.bytes / shape.files.max(1) as u64).max(64);
    let made: Vec<(String, String, File)> = (0..shape.files).into_par_iter().map(|i| asset(out, i, average)).collect();
    let mut manifest = Manifest::new(Mode::Production, "assets");
    manifest.release = ReleaseId::of(&Digest::of(format!("{shape:?}").as_bytes()));
    for (logical, path, file) in made {
        manifest.entries.insert(LogicalPath::new(logical).expect("a path"), Entry::new(path.clone()));
        manifest.files.insert(path, file);
    }
    let page = "<!doctype html><title>a large site</title><meta name=fingerpost:environment content=development>";
    let file = put(out, Kind::Page, "index.html", page.as_bytes());
    manifest.files.insert("index.html".to_owned(), file);
    fs::create_dir_all(out.join(".fingerpost")).expect("a folder");
    fs::write(out.join(manifest::PATH), manifest.to_json()).expect("the manifest");
}

/// The logical path, the path and the description of a file.
fn asset(out: &Path, index: usize, average: u64) -> (String, String, File) {
    let mut random = Random(index as u64 + 1);
    let extension = match index % 10 {
        0..3 => "css",
        3..6 => "js",
        6..9 => "jpg",
        _ => "woff2",
    };
    // A text is a third of the average, an image twice as large: about what sites have.
    let is_text = matches!(extension, "css" | "js");
    let typical = if is_text { average / 3 } else { average * 2 };
    let length = typical / 4 + random.next() % (typical * 3 / 2).max(1);
    let bytes = if is_text { text(&mut random, length) } else { noise(&mut random, length) };
    let logical = format!("{}/f{index}.{extension}", index / 1000);
    let path = format!("assets/{}", Digest::of(&bytes).fingerprint().name(&logical));
    let file = put(out, Kind::Asset, &path, &bytes);
    (logical, path, file)
}

fn put(out: &Path, kind: Kind, path: &str, bytes: &[u8]) -> File {
    fs::write(out.join(path), bytes).expect("a file");
    let media_type = media_type(path);
    let encodings = if is_compressible(&media_type) { &Encoding::ALL[..] } else { &[] };
    let variants = encodings.iter().filter_map(|encoding| {
        let packed = encoding.compress_with(Effort::Little, bytes).expect("compresses");
        (packed.len() < bytes.len()).then(|| {
            fs::write(out.join(File::sidecar(path, *encoding)), &packed).expect("a sidecar");
            (*encoding, Variant { length: packed.len() as u64, digest: Digest::of(&packed) })
        })
    });
    File { variants: variants.collect(), ..File::new(kind, path, bytes) }
}

/// A text of about that length, always the same.
pub fn text_of(length: u64) -> Vec<u8> {
    text(&mut Random(1), length)
}

/// Bytes that don't compress, always the same.
pub fn noise_of(length: u64) -> Vec<u8> {
    let mut bytes = noise(&mut Random(1), length);
    bytes.truncate(length as usize);
    bytes
}

/// Words that compress about as well as a script does.
fn text(random: &mut Random, length: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "function ",
        "return ",
        "const ",
        "margin:",
        "padding:",
        "color:#",
        "import ",
        "export ",
        ".map(",
        "=>{",
        "});\n",
        "px;",
        "this.",
        "await ",
        "null",
        "display:flex;",
    ];
    let mut out = Vec::with_capacity(length as usize + 24);
    while (out.len() as u64) < length {
        let next = random.next();
        out.extend_from_slice(WORDS[next as usize % 16].as_bytes());
        if next.is_multiple_of(3) {
            out.extend_from_slice(format!("{:x}", next >> 44).as_bytes());
        }
    }
    out
}

fn noise(random: &mut Random, length: u64) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

//! Everything that reads bytes from outside, fed with spoilt input for a bounded time. `fuzz/run` does the same guided by coverage,
//! for as long as one likes, from the same seeds.

use std::path::Path;
use std::time::{Duration, Instant};

use fingerpost::serve::fuzzing::TARGETS;
use libtest_mimic::Trial;

use crate::setup::trial;
use crate::site::tree;

/// For each target.
const TIME: Duration = Duration::from_secs(2);

pub fn trials() -> Vec<Trial> {
    let each = TARGETS.map(|(name, target)| trial(&format!("fuzzing::{name}"), &[], move || spoil(name, target)));
    each.into_iter().collect()
}

fn spoil(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let seeds: Vec<Vec<u8>> = tree(&folder).into_values().collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    for seed in &seeds {
        target(seed);
    }
    // The same every time, as far as the machine is fast enough.
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (start, mut tried) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        let input = random.spoilt(&seeds);
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "{name} fails for {:?}: {input:?}", String::from_utf8_lossy(&input));
        tried += 1;
    }
    assert!(tried > 100, "{tried} tried in {TIME:?}");
}

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn spoilt(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const SPECIAL: [&[u8]; 27] = [
            b",",
            b";",
            b"=",
            b"-",
            b"\"",
            b"W/",
            b"*",
            b"q=0",
            b"\n",
            b"\0",
            b"%",
            b"%00",
            b"%2e",
            b"/",
            b"//",
            b"\\",
            b"..",
            b"18446744073709551615",
            b"\xff",
            b" ",
            b"\t",
            b"identity",
            b"\r\n",
            b"\r",
            b":",
            b"close",
            b"chunked",
        ];
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.splice(at..at, SPECIAL[self.below(SPECIAL.len())].iter().copied()).for_each(drop),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let part = other[from..].to_vec();
                    bytes.splice(at..at, part).for_each(drop);
                }
                _ => {
                    let end = at + self.below(bytes.len() - at + 1);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part).for_each(drop);
                }
            }
        }
        bytes.truncate(4096);
        bytes
    }
}

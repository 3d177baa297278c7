//! What a program takes, as the kernel tells.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// GNU time, which asks the kernel what a program took, threads and children and all.
const TIME: &str = "/usr/bin/time";

pub fn check() -> Result<(), String> {
    match Path::new(TIME).exists() {
        true => Ok(()),
        false => Err(format!("needs `{TIME}`: `apt-get install time`")),
    }
}

/// What one run took.
#[derive(Clone, Copy)]
pub struct Run {
    /// Seconds.
    pub wall: f64,
    /// Seconds.
    pub cpu: f64,
    pub peak_kib: f64,
}

impl Run {
    /// Runs it, which has to succeed.
    pub fn of(command: &Command) -> Self {
        let told = tempfile::NamedTempFile::new().expect("a file");
        let mut timed = Command::new(TIME);
        timed
            .args(["--format=%U %S %M", "--output"])
            .arg(told.path())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => timed.env(name, value),
                None => timed.env_remove(name),
            };
        }
        timed.current_dir(command.get_current_dir().unwrap_or(Path::new("."))).stdin(Stdio::null());
        let start = Instant::now();
        let out = timed.output().expect("it runs");
        let wall = start.elapsed().as_secs_f64();
        let (program, error) = (command.get_program().to_string_lossy(), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{program}: {error}");
        let text = std::fs::read_to_string(told.path()).expect("what it took");
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        Run { wall, cpu: numbers[0] + numbers[1], peak_kib: numbers[2] }
    }

    /// The median of each.
    pub fn median(runs: &[Run]) -> Self {
        let median = |value: fn(&Run) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Run { wall: median(|r| r.wall), cpu: median(|r| r.cpu), peak_kib: median(|r| r.peak_kib) }
    }
}

//! On what it was measured.

use super::report::Machine;

/// What the system tells of itself.
pub fn describe() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kilobytes = memory.and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0);
    let (kernel, release) = (read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"));
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory: kilobytes << 10,
        system: match kernel.trim() {
            "" => std::env::consts::OS.to_owned(),
            kernel => format!("{kernel} {}", release.trim()),
        },
    }
}

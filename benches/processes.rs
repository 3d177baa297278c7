//! Programs that have started others, as the kernel tells of them.

use std::fs;
use std::path::PathBuf;

/// A process and all that it has started.
pub fn family(id: u32) -> Vec<u32> {
    let mut found = vec![id];
    let mut at = 0;
    while let Some(id) = found.get(at) {
        for thread in threads(*id) {
            let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        at += 1;
    }
    found
}

/// Where the kernel tells of each of a process's threads.
pub fn threads(id: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Hundredths of a second that the family of a process has worked, in user mode and in the kernel's: fields 14 and 15 of
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, in units of `USER_HZ`, which is 100 wherever this runs.
#[allow(dead_code, reason = "not every bench asks")]
pub fn ticks(id: u32) -> u64 {
    let of = |id: u32| {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
    };
    family(id).into_iter().map(of).sum()
}

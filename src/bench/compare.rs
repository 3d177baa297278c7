//! A run next to an earlier one: what got better, what got worse, and what only looks so.

use super::metric::Metric;
use super::prices::Prices;
use super::report::Report;
use super::statistics::{Difference, Estimate, apart};
use super::summary::{Situation, Summary};

#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// When the earlier one began.
    pub before: String,
    /// What differs between the two so that no figure can be held against the other. Then there are no changes.
    pub refused: Vec<String>,
    /// What differs besides, and may be why figures do.
    pub notes: Vec<String>,
    pub changes: Vec<Change>,
}

/// A figure of a strategy, then and now.
#[derive(Clone, Debug)]
pub struct Change {
    pub strategy: String,
    pub metric: Metric,
    /// Of a visit's figure.
    pub situation: Option<Situation>,
    pub old: Estimate,
    pub new: Estimate,
    /// The share that both may differ by without a reason.
    pub noise: f64,
    pub verdict: Trend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    Better,
    Worse,
    None,
    /// Too few samples.
    Unknown,
}

impl Change {
    pub fn share(&self) -> f64 {
        apart(self.old.median, self.new.median)
    }
}

impl Comparison {
    /// Whether something is worse beyond noise and chance.
    pub fn regressed(&self) -> bool {
        self.changes.iter().any(|change| change.verdict == Trend::Worse)
    }

    pub fn count(&self, verdict: Trend) -> usize {
        self.changes.iter().filter(|change| change.verdict == verdict).count()
    }
}

pub fn compare(old: &Report, new: &Report, prices: &Prices) -> Comparison {
    let (before, now) = (Summary::of(old, prices), Summary::of(new, prices));
    let mut comparison = Comparison {
        before: old.begun.clone(),
        refused: refused(old, new),
        notes: notes(old, new),
        changes: Vec::new(),
    };
    for strategy in &now.strategies {
        let name = &strategy.measured.name;
        let Some(earlier) = before.strategies.iter().find(|of| of.measured.name == *name) else {
            comparison.notes.push(format!("`{name}` was not in the earlier run"));
            continue;
        };
        if !comparison.refused.is_empty() {
            continue;
        }
        let mut add = |metric: Metric, situation: Option<&Situation>, old: Option<Estimate>, new: Option<Estimate>| {
            if let (Some(old), Some(new)) = (old, new) {
                let noise = before.noise(metric).max(now.noise(metric));
                let verdict = verdict(&new, &old, noise, metric);
                let (strategy, situation) = (name.clone(), situation.cloned());
                comparison.changes.push(Change { strategy, metric, situation, old, new, noise, verdict });
            }
        };
        for metric in Metric::SERVER {
            let of = |server: Option<&super::summary::Server>| server?.estimate(metric);
            add(metric, None, of(earlier.server.as_ref()), of(strategy.server.as_ref()));
        }
        for (situation, times) in &strategy.visits {
            let earlier = earlier.visits.get(situation);
            for metric in [Metric::LargestPaint, Metric::Load, Metric::Requests, Metric::Bytes] {
                add(metric, Some(situation), earlier.and_then(|times| times.estimate(metric)), times.estimate(metric));
            }
        }
    }
    for earlier in &before.strategies {
        if !now.strategies.iter().any(|of| of.measured.name == earlier.measured.name) {
            comparison.notes.push(format!("`{}` is not in this run", earlier.measured.name));
        }
    }
    comparison
}

fn verdict(new: &Estimate, old: &Estimate, noise: f64, metric: Metric) -> Trend {
    match (Difference::of(new, old, noise, metric.is_counted()), metric.more_is_better()) {
        (Difference::None, _) => Trend::None,
        (Difference::Unknown, _) => Trend::Unknown,
        (Difference::More, true) | (Difference::Less, false) => Trend::Better,
        (Difference::Less, true) | (Difference::More, false) => Trend::Worse,
    }
}

/// Whatever makes a figure mean something else.
fn refused(old: &Report, new: &Report) -> Vec<String> {
    let networks = |report: &Report| {
        let one = |network: &super::report::Network| {
            format!("{} ({} ms, {}/{} bit/s)", network.name, network.round_trip_ms, network.down, network.up)
        };
        report.settings.networks.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let distances = |report: &Report| {
        report.settings.distances_ms.iter().map(|distance| format!("{distance} ms")).collect::<Vec<_>>().join(", ")
    };
    let machine = |report: &Report| format!("{}, {} cores", report.machine.cpu, report.machine.cores);
    [
        ("site", old.site.name.clone(), new.site.name.clone()),
        ("page", old.settings.page.clone(), new.settings.page.clone()),
        ("machine", machine(old), machine(new)),
        ("connections", old.settings.connections.to_string(), new.settings.connections.to_string()),
        ("rate", old.settings.rate.to_string(), new.settings.rate.to_string()),
        ("networks", networks(old), networks(new)),
        ("emulation of networks", old.settings.emulation.name().to_owned(), new.settings.emulation.name().to_owned()),
        ("distances", distances(old), distances(new)),
    ]
    .into_iter()
    .filter(|(_, old, new)| old != new)
    .map(|(what, old, new)| format!("the {what}: `{old}` then, `{new}` now"))
    .collect()
}

fn notes(old: &Report, new: &Report) -> Vec<String> {
    let mut notes: Vec<String> = [
        ("program", old.program.clone(), new.program.clone()),
        ("system", old.machine.system.clone(), new.machine.system.clone()),
        ("rounds", old.settings.rounds.to_string(), new.settings.rounds.to_string()),
        ("seconds of each measurement", old.settings.seconds.to_string(), new.settings.seconds.to_string()),
        ("site's files", old.site.files.to_string(), new.site.files.to_string()),
        ("site's bytes", old.site.bytes.to_string(), new.site.bytes.to_string()),
        ("requests of a visit", old.site.requests.len().to_string(), new.site.requests.len().to_string()),
        ("source that the release changes", old.site.changed.clone(), new.site.changed.clone()),
    ]
    .into_iter()
    .filter(|(_, old, new)| old != new)
    .map(|(what, old, new)| format!("the {what}: `{old}` then, `{new}` now"))
    .collect();
    for (name, version) in &new.programs {
        match old.programs.get(name) {
            Some(earlier) if earlier != version => notes.push(format!("{name}: `{earlier}` then, `{version}` now")),
            _ => {}
        }
    }
    notes
}

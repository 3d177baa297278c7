//! A run next to an earlier one: what got better, what got worse, and what only looks so.

use super::metric::Metric;
use super::prices::Prices;
use super::report::{Network, Report, Settings};
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
    /// What was known then, and is not any more: nothing answered, or too little.
    pub lost: Vec<String>,
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
        !self.lost.is_empty() || self.changes.iter().any(|change| change.verdict == Trend::Worse)
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
        lost: Vec::new(),
        changes: Vec::new(),
    };
    let mut lost = Vec::new();
    for strategy in &now.strategies {
        let name = &strategy.measured.name;
        let Some(earlier) = before.strategies.iter().find(|of| of.measured.name == *name) else {
            comparison.notes.push(format!("`{name}` was not in the earlier run"));
            continue;
        };
        if !comparison.refused.is_empty() {
            continue;
        }
        if let (None, Some(missing)) = (&earlier.measured.missing, &strategy.measured.missing) {
            comparison.lost.push(format!("`{name}` was measured, and could not be now: {}", missing.reason));
            continue;
        }
        if !earlier.visits.is_empty() && strategy.visits.is_empty() && now.focus.is_some() {
            comparison.lost.push(format!("`{name}` was visited, and could not be now"));
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
            let (then, now) = (of(earlier.server.as_ref()), of(strategy.server.as_ref()));
            add(metric, None, then, now);
            if then.is_some() && now.is_none() {
                lost.push(format!("{metric} of `{name}` was measured, and could not be now"));
            }
        }
        for (situation, times) in &strategy.visits {
            let earlier = earlier.visits.get(situation);
            for metric in [Metric::LargestPaint, Metric::Load, Metric::Requests, Metric::Bytes] {
                add(metric, Some(situation), earlier.and_then(|times| times.estimate(metric)), times.estimate(metric));
            }
        }
    }
    comparison.lost.append(&mut lost);
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
    let machine = |report: &Report| format!("{}, {} cores", report.machine.cpu, report.machine.cores);
    let found = [("site", old.site.name.clone(), new.site.name.clone()), ("machine", machine(old), machine(new))];
    differing(found.into_iter()).chain(refused_settings(&old.settings, &new.settings)).collect()
}

/// What of it is known before anything is measured. A rate of 0 is yet to be found out.
pub fn refused_settings(old: &Settings, new: &Settings) -> Vec<String> {
    let networks = |settings: &Settings| {
        let one = |network: &Network| {
            format!("{} ({} ms, {}/{} bit/s)", network.name, network.round_trip_ms, network.down, network.up)
        };
        settings.networks.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let distances = |settings: &Settings| {
        settings.distances_ms.iter().map(|distance| format!("{distance} ms")).collect::<Vec<_>>().join(", ")
    };
    let rate = |settings: &Settings| if new.rate > 0.0 { settings.rate.to_string() } else { String::new() };
    let found = [
        ("page", old.page.clone(), new.page.clone()),
        ("connections", old.connections.to_string(), new.connections.to_string()),
        ("rate", rate(old), rate(new)),
        ("networks", networks(old), networks(new)),
        ("emulation of networks", old.emulation.name().to_owned(), new.emulation.name().to_owned()),
        ("distances", distances(old), distances(new)),
    ];
    differing(found.into_iter()).collect()
}

fn differing<'a>(found: impl Iterator<Item = (&'a str, String, String)>) -> impl Iterator<Item = String> {
    let differ = found.filter(|(_, old, new)| old != new);
    differ.map(|(what, old, new)| format!("the {what}: `{old}` then, `{new}` now"))
}

fn notes(old: &Report, new: &Report) -> Vec<String> {
    let found = [
        ("program", old.program.clone(), new.program.clone()),
        ("system", old.machine.system.clone(), new.machine.system.clone()),
        ("rounds", old.settings.rounds.to_string(), new.settings.rounds.to_string()),
        ("seconds of each measurement", old.settings.seconds.to_string(), new.settings.seconds.to_string()),
        ("site's files", old.site.files.to_string(), new.site.files.to_string()),
        ("site's bytes", old.site.bytes.to_string(), new.site.bytes.to_string()),
        ("requests of a visit", old.site.requests.len().to_string(), new.site.requests.len().to_string()),
        ("source that the release changes", old.site.changed.clone(), new.site.changed.clone()),
    ];
    let mut notes: Vec<String> = differing(found.into_iter()).collect();
    for (name, version) in &new.programs {
        match old.programs.get(name) {
            Some(earlier) if earlier != version => notes.push(format!("{name}: `{earlier}` then, `{version}` now")),
            _ => {}
        }
    }
    notes
}

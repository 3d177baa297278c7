//! Visits by what they have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::super::metric::Metric;
use super::super::report::{Report, Visit, VisitKind};
use super::super::statistics::Estimate;

/// What visits that are compared have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Situation {
    pub kind: VisitKind,
    pub network: String,
    /// The round trip from the visitor to the origin, in microseconds.
    pub origin_us: u64,
    pub edge: Edge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    None,
    /// Nobody had asked it before.
    Cold,
    Warm,
}

/// The visits of a situation.
#[derive(Debug)]
pub struct Times {
    estimates: BTreeMap<Metric, Estimate>,
    /// The place of the one with the median load among all visits of the strategy: what a waterfall shows.
    pub typical: usize,
}

impl Times {
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        self.estimates.get(&metric).copied()
    }
}

impl Situation {
    pub fn of(visit: &Visit) -> Self {
        Situation {
            kind: visit.kind,
            network: visit.network.clone(),
            origin_us: micros(visit.origin_ms),
            edge: match (visit.edge_ms.is_some(), visit.edge_warm) {
                (false, _) => Edge::None,
                (true, false) => Edge::Cold,
                (true, true) => Edge::Warm,
            },
        }
    }
}

pub fn micros(ms: f64) -> u64 {
    (ms * 1000.0).round().max(0.0) as u64
}

pub fn groups(visits: &[Visit]) -> BTreeMap<Situation, Vec<&Visit>> {
    let mut groups: BTreeMap<Situation, Vec<&Visit>> = BTreeMap::new();
    for visit in visits {
        groups.entry(Situation::of(visit)).or_default().push(visit);
    }
    groups
}

pub fn times(visits: &[Visit], seed: u64) -> BTreeMap<Situation, Times> {
    let mut groups: BTreeMap<Situation, Vec<(usize, &Visit)>> = BTreeMap::new();
    for (at, visit) in visits.iter().enumerate() {
        groups.entry(Situation::of(visit)).or_default().push((at, visit));
    }
    let times = |mut visits: Vec<(usize, &Visit)>| {
        visits.sort_by(|(_, a), (_, b)| a.load_ms.total_cmp(&b.load_ms));
        let samples = |metric: Metric| visits.iter().filter_map(|(_, visit)| metric.of(visit)).collect::<Vec<f64>>();
        let estimates =
            Metric::VISIT.iter().filter_map(|metric| Some((*metric, Estimate::of(&samples(*metric), seed)?)));
        Times {
            estimates: estimates.collect(),
            typical: visits.get((visits.len().saturating_sub(1)) / 2).map_or(0, |(at, _)| *at),
        }
    };
    groups.into_iter().map(|(situation, visits)| (situation, times(visits))).collect()
}

/// The network and the distance from which there are most kinds of visits; of those with as many, the one in the middle.
pub fn focus(report: &Report) -> Option<(String, u64)> {
    let mut kinds: BTreeMap<(usize, u64), BTreeSet<VisitKind>> = BTreeMap::new();
    let position = |name: &str| report.settings.networks.iter().position(|network| network.name == name);
    for visit in report.strategies.iter().flat_map(|strategy| &strategy.visits) {
        let network = position(&visit.network).unwrap_or(usize::MAX);
        // Kinds rather than visits, of which one may fail.
        kinds.entry((network, micros(visit.origin_ms))).or_default().insert(visit.kind);
    }
    let most = kinds.values().map(BTreeSet::len).max()?;
    let mut best: Vec<(usize, u64)> =
        kinds.iter().filter(|(_, kinds)| kinds.len() == most).map(|(key, _)| *key).collect();
    let middle = |mut all: Vec<u64>| {
        all.sort_unstable();
        all.dedup();
        all.get(all.len().saturating_sub(1) / 2).copied()
    };
    let network = middle(best.iter().map(|(network, _)| *network as u64).collect())?;
    best.retain(|(of, _)| *of as u64 == network);
    let origin = middle(best.iter().map(|(_, origin)| *origin).collect())?;
    let name = report.settings.networks.get(network as usize).map(|network| network.name.clone());
    let unknown =
        || report.strategies.iter().flat_map(|strategy| &strategy.visits).next().map(|visit| visit.network.clone());
    Some((name.or_else(unknown)?, origin))
}

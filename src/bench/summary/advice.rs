//! What to use for which site: of the strategies that are best at what matters to it, the cheapest.

use super::super::cost::SCALES;
use super::super::metric::Metric;
use super::super::report::VisitKind;
use super::super::statistics::{Estimate, apart};
use super::{Place, Strategy, Summary};

/// Bills that differ by less are the same.
const SAME_BILL: f64 = 0.05;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advice {
    /// For the site that was measured, if anything was.
    pub verdict: Option<Verdict>,
    /// For sites to which one thing matters most.
    pub picks: Vec<Pick>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub pick: Pick,
    /// The strategies of the second best group, which are not the same as the best.
    pub behind: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    /// What site it is for.
    pub site: &'static str,
    pub measure: Measure,
    /// In [`Summary::strategies`], as all here.
    pub strategy: usize,
    pub estimate: Estimate,
    /// As good by the measure.
    pub equal: Vec<usize>,
    pub worst: Option<(usize, Estimate)>,
    /// Page views in a month that the price was looked up for, by which it was chosen among equals.
    pub views: f64,
    /// There were samples enough to tell who is better.
    pub tested: bool,
}

/// What matters to a site.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// The load of a page view, over all kinds of them.
    View,
    /// The load of one kind of visit.
    Load { kind: VisitKind, network: String, origin_us: u64 },
    /// CPU per request.
    Cpu,
    /// The month's bill.
    Bill,
}

impl Advice {
    pub fn of(summary: &Summary<'_>) -> Self {
        let mut advice = Advice { verdict: verdict(summary), picks: Vec::new() };
        let at = |network: Option<String>, of: fn(&[u64]) -> Option<&u64>| -> Option<(String, u64)> {
            let network = network?;
            let origin = *of(&distances(summary, &network))?;
            Some((network, origin))
        };
        let nearest = at(summary.focus.clone().map(|(network, _)| network), |all| all.first());
        let farthest = at(far_network(summary), |all| all.last());
        let is_farther = |far: &(String, u64)| nearest.as_ref().is_some_and(|(_, near)| far.1 > *near);
        let slowest = slowest(summary);
        for (site, place, kind, views) in [
            ("visitors nearby, and few", nearest.clone(), VisitKind::First, 1e4),
            ("visitors far away", farthest.filter(is_farther), VisitKind::First, 1e6),
            ("visitors with slow networks", slowest, VisitKind::First, 1e6),
            ("visitors who come back often", summary.focus.clone(), VisitKind::Repeat, 1e6),
            ("a release every day", summary.focus.clone(), VisitKind::AfterRelease, 1e6),
        ] {
            let Some((network, origin_us)) = place else { continue };
            let places = summary.order(Metric::Load, |of| of.visit(kind, &network, origin_us)?.estimate(Metric::Load));
            let measure = Measure::Load { kind, network: network.clone(), origin_us };
            advice.picks.extend(Pick::among(summary, site, measure, &places, views));
        }
        let own = |of: &Strategy<'_>| !of.measured.billed_requests && !of.measured.delivered_by_edge;
        let places = summary.order(Metric::Cpu, |of| of.server.as_ref().filter(|_| own(of))?.cpu);
        advice.picks.extend(Pick::among(summary, "as much as possible from one machine", Measure::Cpu, &places, 1e6));
        for (site, views) in [("as little money as possible", 1e4), ("hundreds of millions of page views", 1e8)] {
            advice.picks.extend(cheapest(summary, site, views));
        }
        advice
    }
}

impl Pick {
    fn among(
        summary: &Summary<'_>,
        site: &'static str,
        measure: Measure,
        places: &[Place],
        views: f64,
    ) -> Option<Self> {
        let first = places.first()?;
        let tested = places.iter().all(|place| place.tested);
        let best = places.iter().filter(|place| place.group == 0);
        // Where nothing can be told from chance, what was seen is said, and not that all are the same.
        let best: Vec<&Place> = if tested { best.collect() } else { vec![first] };
        let bill = |place: &Place| total(summary, place.strategy, views).unwrap_or(f64::INFINITY);
        let least = best.iter().map(|place| bill(place)).fold(f64::INFINITY, f64::min);
        let cheap = |place: &&&Place| bill(place) == least || apart(bill(place), least) <= SAME_BILL;
        let pick = best.iter().find(cheap).or(best.first())?;
        let others = best.iter().filter(|place| place.strategy != pick.strategy);
        let last = places.last().filter(|last| last.group > 0 || !tested).filter(|last| last.strategy != pick.strategy);
        Some(Pick {
            site,
            measure,
            strategy: pick.strategy,
            estimate: pick.estimate,
            equal: others.map(|place| place.strategy).collect(),
            worst: last.map(|last| (last.strategy, last.estimate)),
            views,
            tested,
        })
    }
}

/// By the load of a page view; where there were no visits, by the CPU that a request takes.
fn verdict(summary: &Summary<'_>) -> Option<Verdict> {
    let by_load = summary.order(Metric::Load, |of| of.view_load);
    let by_cpu = || summary.order(Metric::Cpu, |of| of.server.as_ref()?.cpu);
    let (measure, places) = if by_load.is_empty() { (Measure::Cpu, by_cpu()) } else { (Measure::View, by_load) };
    let pick = Pick::among(summary, "this site", measure, &places, 1e6)?;
    Some(Verdict { pick, behind: places.into_iter().filter(|place| place.group == 1).collect() })
}

fn cheapest(summary: &Summary<'_>, site: &'static str, views: f64) -> Option<Pick> {
    let all = (0..summary.strategies.len()).filter_map(|at| Some((at, total(summary, at, views)?)));
    let mut all: Vec<(usize, f64)> = all.collect();
    all.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let (strategy, least) = *all.first()?;
    let same = |bill: f64| apart(bill, least) <= SAME_BILL;
    let worst = all.last().filter(|(_, bill)| !same(*bill)).map(|(at, bill)| (*at, Estimate::exact(*bill)));
    Some(Pick {
        site,
        measure: Measure::Bill,
        strategy,
        estimate: Estimate::exact(least),
        equal: all.iter().skip(1).filter(|(_, bill)| same(*bill)).map(|(at, _)| *at).collect(),
        worst,
        views,
        tested: true,
    })
}

fn total(summary: &Summary<'_>, strategy: usize, views: f64) -> Option<f64> {
    debug_assert!(SCALES.contains(&views));
    Some(summary.strategies.get(strategy)?.bill(0, views)?.total())
}

/// The distances that there are first visits from, on a network.
pub fn distances(summary: &Summary<'_>, network: &str) -> Vec<u64> {
    let all = summary.strategies.iter().flat_map(|strategy| strategy.visits.keys());
    let mut distances: Vec<u64> =
        all.filter(|of| of.network == network && of.kind == VisitKind::First).map(|of| of.origin_us).collect();
    distances.sort_unstable();
    distances.dedup();
    distances
}

/// The network over which there are visits from most distances: all of them are visited over one.
pub fn far_network(summary: &Summary<'_>) -> Option<String> {
    let (focus, _) = summary.focus.as_ref()?;
    let names = summary.report.settings.networks.iter().map(|network| &network.name);
    // Of several, the one that is shown elsewhere.
    names.max_by_key(|name| (distances(summary, name).len(), *name == focus)).cloned().or_else(|| Some(focus.clone()))
}

/// The network with the least bandwidth that there are visits on, and a distance at which.
fn slowest(summary: &Summary<'_>) -> Option<(String, u64)> {
    let mut networks: Vec<_> = summary.report.settings.networks.iter().collect();
    networks.sort_by_key(|network| network.down);
    let at = |name: &str| {
        let distances = distances(summary, name);
        let focus = summary.focus.as_ref().map(|(_, origin)| *origin).filter(|origin| distances.contains(origin));
        Some((name.to_owned(), focus.or(distances.first().copied())?))
    };
    let found = networks.iter().find_map(|network| at(&network.name))?;
    (summary.focus.as_ref().map(|(network, _)| network) != Some(&found.0)).then_some(found)
}

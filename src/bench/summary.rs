//! What follows from a report: everything that is shown, and nothing of how.

mod advice;
mod server;
mod visits;

use std::collections::BTreeMap;

pub use advice::{Advice, Measure, Pick, Verdict, distances, far_network};
pub use server::{Bound, PERCENTILES, Server};
pub use visits::{Edge, Situation, Times};

use super::cost::{Bill, SCALES, Use, View};
use super::metric::{self, Metric};
use super::prices::{Prices, Provider};
use super::report::{EdgeSample, Fetch, Measured, Report, Visit, VisitKind, Way};
use super::statistics::{self, Difference, Estimate};

#[derive(Debug)]
pub struct Summary<'a> {
    pub report: &'a Report,
    pub prices: &'a Prices,
    /// The network and the distance (in microseconds of round trip) that are shown where only one can be. None without visits.
    pub focus: Option<(String, u64)>,
    pub strategies: Vec<Strategy<'a>>,
    /// By what share two measurements of the same thing differ (0.03 is 3 %). Empty where that was not measured.
    pub noise: BTreeMap<Metric, f64>,
    /// What makes a figure doubtful: what the report says itself, and what follows from its samples.
    pub warnings: Vec<String>,
    pub advice: Advice,
}

#[derive(Debug)]
pub struct Strategy<'a> {
    pub measured: &'a Measured,
    /// None where no load was measured.
    pub server: Option<Server>,
    pub visits: BTreeMap<Situation, Times>,
    pub hits: Hits,
    /// What a page view loads in, over all kinds of visits as often as they are assumed to be; in milliseconds.
    pub view_load: Option<Estimate>,
    /// By provider as in the sheet, and by scale as in [`SCALES`].
    pub bills: Vec<Vec<Option<Bill>>>,
    /// What the bills follow from; none where nothing was measured that they could.
    pub usage: Option<Use>,
}

/// Shares of requests that edges answer themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hits {
    pub cold: Option<f64>,
    pub warm: Option<f64>,
}

/// Strategies in the order of a figure. Those of one group don't differ from its first.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// In [`Summary::strategies`].
    pub strategy: usize,
    pub group: usize,
    pub estimate: Estimate,
    /// Whether there were samples enough to say that it differs, or does not.
    pub tested: bool,
}

impl<'a> Summary<'a> {
    pub fn of(report: &'a Report, prices: &'a Prices) -> Self {
        let focus = visits::focus(report);
        let strategies =
            report.strategies.iter().map(|measured| Strategy::of(measured, report, prices, focus.as_ref()));
        let mut summary = Summary {
            report,
            prices,
            strategies: strategies.collect(),
            noise: noise(report),
            warnings: report.warnings.clone(),
            advice: Advice::default(),
            focus,
        };
        summary.warn();
        summary.advice = Advice::of(&summary);
        summary
    }

    pub fn noise(&self, metric: Metric) -> f64 {
        self.noise.get(&metric).copied().unwrap_or_default()
    }

    /// The name of what is shown, for those who read.
    pub fn name(&self, strategy: usize) -> &str {
        self.strategies.get(strategy).map_or("", |strategy| strategy.measured.name.as_str())
    }

    /// A figure at the focus; of visits, those of `kind`.
    pub fn figure(&self, strategy: &Strategy<'_>, metric: Metric, kind: VisitKind) -> Option<Estimate> {
        match &self.focus {
            _ if Metric::SERVER.contains(&metric) => strategy.server.as_ref()?.estimate(metric),
            Some((network, origin)) => strategy.visit(kind, network, *origin)?.estimate(metric),
            None => None,
        }
    }

    /// The strategies that have a figure, best first.
    pub fn order(&self, metric: Metric, figure: impl Fn(&Strategy<'a>) -> Option<Estimate>) -> Vec<Place> {
        let better = if metric.more_is_better() { Difference::More } else { Difference::Less };
        let all = self.strategies.iter().enumerate();
        let mut found: Vec<(usize, Estimate)> = all.filter_map(|(at, of)| Some((at, figure(of)?))).collect();
        found.sort_by(|(_, a), (_, b)| match metric.more_is_better() {
            true => b.median.total_cmp(&a.median),
            false => a.median.total_cmp(&b.median),
        });
        let mut places: Vec<Place> = Vec::new();
        let mut first: Option<(usize, Estimate)> = None;
        for (strategy, estimate) in found {
            let (group, best) = first.unwrap_or((0, estimate));
            let difference = Difference::of(&best, &estimate, self.noise(metric), metric.is_counted());
            let group = if difference == better { group + 1 } else { group };
            if first.is_none() || difference == better {
                first = Some((group, estimate));
            }
            let tested =
                difference != Difference::Unknown || (places.is_empty() && estimate.samples >= statistics::FEWEST);
            places.push(Place { strategy, group, estimate, tested });
        }
        places
    }

    fn warn(&mut self) {
        let mut warnings = Vec::new();
        if self.report.noise.is_none() {
            warnings.push(
                "no strategy was measured against itself, so the noise is not known: only intervals tell differences"
                    .to_owned(),
            );
        }
        let rounds = self.report.settings.rounds;
        if (rounds as usize) < statistics::FEWEST {
            let rounds = if rounds == 1 { "one round is".to_owned() } else { format!("{rounds} rounds are") };
            warnings.push(format!(
                "{rounds} too few to tell a difference from chance: figures are shown, and nothing is concluded from times \
                 that differ; {} rounds are needed",
                statistics::FEWEST
            ));
        }
        for strategy in &self.strategies {
            let (name, Some(server)) = (&strategy.measured.name, &strategy.server) else { continue };
            if server.bound == Bound::Generator {
                warnings.push(format!(
                    "the load generator was the bottleneck when `{name}` was saturated ({:.1} cores in use, and {:.1} by the server): it \
                     can take more requests per second than are shown, and its CPU per request tells how many",
                    server.generator_cores, server.server_cores
                ));
            }
            if let Some(has_none) = strategy.has_no_release() {
                warnings.push(has_none);
            }
            if server.errors > 0 {
                warnings.push(format!(
                    "{} of {} requests to `{name}` failed: they count as slower than all, and its other figures are of those that did not",
                    server.errors, server.requests
                ));
            }
            if server.unsent > 0 {
                warnings.push(format!(
                    "`{name}` did not keep up with the rate of the open loop: {} requests were never sent, and count as slower than all",
                    server.unsent
                ));
            }
        }
        if self.focus.is_none() {
            warnings.push("no visits were measured: costs take each page view for a first visit, and nothing is said of how it feels".to_owned());
        }
        self.warnings.extend(warnings);
    }
}

impl<'a> Strategy<'a> {
    fn of(measured: &'a Measured, report: &Report, prices: &Prices, focus: Option<&(String, u64)>) -> Self {
        let seed = report.settings.seed;
        let mut strategy = Strategy {
            server: Server::of(&measured.servers, report),
            visits: visits::times(&measured.visits, seed),
            hits: Hits::of(&measured.edges),
            view_load: None,
            bills: Vec::new(),
            usage: None,
            measured,
        };
        let shares = prices.assumptions.shares();
        strategy.view_load = focus.and_then(|(network, origin)| strategy.view_load(network, *origin, shares));
        strategy.usage = strategy.usage(report, shares);
        let bill = |provider: &Provider, views: f64| strategy.usage?.bill(provider, &prices.assumptions, views);
        let bills = |provider: &Provider| SCALES.iter().map(|views| bill(provider, *views)).collect();
        strategy.bills = prices.providers.iter().map(bills).collect();
        strategy
    }

    /// As most visitors have it: by a warm edge, where there is one.
    pub fn visit(&self, kind: VisitKind, network: &str, origin_us: u64) -> Option<&Times> {
        let situation = |edge: Edge| Situation { kind, network: network.to_owned(), origin_us, edge };
        [Edge::Warm, Edge::None, Edge::Cold].into_iter().find_map(|edge| self.visits.get(&situation(edge)))
    }

    /// What is to be said of one that has visits, but none after a release.
    fn has_no_release(&self) -> Option<String> {
        let has = |kind: VisitKind| self.measured.visits.iter().any(|visit| visit.kind == kind);
        (has(VisitKind::Repeat) && !has(VisitKind::AfterRelease)).then(|| {
            format!(
                "`{}` has one release: page views after another one are taken for repeat visits",
                self.measured.name
            )
        })
    }

    fn view_load(&self, network: &str, origin: u64, shares: [f64; 3]) -> Option<Estimate> {
        let of = |kind: VisitKind| self.visit(kind, network, origin)?.estimate(Metric::Load);
        let load = |kind: VisitKind| of(kind).or_else(|| of(instead(kind)?));
        let kinds = [VisitKind::First, VisitKind::Repeat, VisitKind::AfterRelease];
        let parts: Option<Vec<_>> =
            shares.into_iter().zip(kinds).map(|(share, kind)| Some((share, load(kind)?))).collect();
        Estimate::weighted(&parts?)
    }

    /// What a visitor's kinds of page views come to, weighted, of what counts in a visit. None without a browser.
    fn view(&self, shares: [f64; 3], counted: impl Fn(&Visit) -> View) -> Option<View> {
        let median = |kind: VisitKind| -> Option<View> {
            let of = self.measured.visits.iter().filter(|visit| visit.kind == kind);
            let (bytes, requests): (Vec<f64>, Vec<f64>) =
                of.map(&counted).map(|view| (view.bytes, view.requests)).unzip();
            Some(View { bytes: statistics::median(&bytes)?, requests: statistics::median(&requests)? })
        };
        let first = median(VisitKind::First)?;
        let kinds = [VisitKind::First, VisitKind::Repeat, VisitKind::AfterRelease];
        let part = |kind: VisitKind| median(kind).or_else(|| median(instead(kind)?)).unwrap_or(first);
        let parts = shares.into_iter().zip(kinds).map(|(share, kind)| (share, part(kind)));
        Some(parts.fold(View::default(), |sum, (share, part)| View {
            bytes: sum.bytes + share * part.bytes,
            requests: sum.requests + share * part.requests,
        }))
    }

    /// All of a page view, and what of it comes from where the page itself comes from. Without a browser each view is taken for a first one;
    /// before a store the page is one of its requests, and edges are taken to have all.
    fn views(&self, report: &Report, shares: [f64; 3]) -> Option<(View, View)> {
        let sum = |fetches: &mut dyn Iterator<Item = &Fetch>| {
            fetches.fold(View::default(), |sum, fetch| View {
                bytes: sum.bytes + fetch.bytes as f64,
                requests: sum.requests + 1.0,
            })
        };
        let all = self.view(shares, |visit| sum(&mut metric::fetched(visit)));
        let beside = self.view(shares, |visit| sum(&mut metric::beside_page(visit)));
        if let (Some(all), Some(beside)) = (all, beside) {
            return Some((all, beside));
        }
        let requests = report.site.requests.len() as f64;
        let server = self.server.as_ref().filter(|server| server.answered > 0)?;
        let bytes = server.bytes as f64 / server.answered as f64;
        let all = View { bytes: requests * bytes, requests };
        Some((all, if self.measured.delivered_by_edge { all } else { View { bytes, requests: 1.0 } }))
    }

    fn usage(&self, report: &Report, shares: [f64; 3]) -> Option<Use> {
        let (all, beside_page) = self.views(report, shares)?;
        let (billed, by_edge) = (self.measured.billed_requests, self.measured.delivered_by_edge);
        let direct = match (by_edge, billed) {
            (false, false) => all,
            // Where all has one host, and some of it comes from edges, that is the edge. Others may have a part in a page.
            (true, _) if self.measured.way == Some(Way::Cdn) || beside_page == all => View::default(),
            _ => beside_page,
        };
        let edges: Vec<&EdgeSample> = self.measured.edges.iter().filter(|edge| !edge.cold).collect();
        let asked: u64 = edges.iter().map(|edge| edge.hits + edge.misses).sum();
        let from_origin: u64 = edges.iter().map(|edge| edge.origin_bytes).sum();
        // Of a store's strategy all work together is known from older reports: rather too much than too little.
        let cpu = |server: &Server| server.pages_cpu.filter(|_| billed).or(server.cpu);
        Some(Use {
            direct,
            elsewhere: all.without(direct),
            cpu_us: self.server.as_ref().and_then(cpu).map(|cpu| cpu.median),
            missed: self.hits.warm.map_or(1.0, |hits| 1.0 - hits),
            // Edges that said nothing are taken for ones that keep nothing.
            origin_bytes: if asked > 0 { from_origin as f64 / asked as f64 } else { all.bytes / all.requests.max(1.0) },
            stored: self.measured.stored_bytes as f64,
            billed,
            by_edge,
        })
    }

    /// A month's bill at a scale that is among [`SCALES`].
    pub fn bill(&self, provider: usize, views: f64) -> Option<&Bill> {
        let scale = SCALES.iter().position(|scale| *scale == views)?;
        self.bills.get(provider)?.get(scale)?.as_ref()
    }
}

/// Of servers that have one release alone, whoever comes after another one finds what was there before.
fn instead(kind: VisitKind) -> Option<VisitKind> {
    (kind == VisitKind::AfterRelease).then_some(VisitKind::Repeat)
}

impl Hits {
    fn of(edges: &[EdgeSample]) -> Self {
        let share = |cold: bool| {
            let of = || edges.iter().filter(|edge| edge.cold == cold);
            let hits: u64 = of().map(|edge| edge.hits).sum();
            let asked = hits + of().map(|edge| edge.misses).sum::<u64>();
            (asked > 0).then(|| hits as f64 / asked as f64)
        };
        Hits { cold: share(true), warm: share(false) }
    }
}

/// The noise of each metric; of visits, in the middle of all situations that were measured twice.
fn noise(report: &Report) -> BTreeMap<Metric, f64> {
    let (Some(noise), seed) = (&report.noise, report.settings.seed) else { return BTreeMap::new() };
    let Some(measured) = report.strategies.iter().find(|measured| measured.name == noise.strategy) else {
        return BTreeMap::new();
    };
    let server = Metric::SERVER.iter().filter_map(|metric| {
        let [a, b] = [&measured.servers, &noise.servers].map(|samples| server::samples(samples, *metric));
        Some((*metric, statistics::noise(&a, &b, seed)?))
    });
    let (first, again) = (visits::groups(&measured.visits), visits::groups(&noise.visits));
    let visits = Metric::VISIT.iter().filter_map(|metric| {
        let of = |visits: &[&super::report::Visit]| -> Vec<f64> {
            visits.iter().filter_map(|visit| metric.of(visit)).collect()
        };
        let each = first
            .iter()
            .filter_map(|(situation, visits)| statistics::noise(&of(visits), &of(again.get(situation)?), seed));
        Some((*metric, statistics::median(&each.collect::<Vec<_>>())?))
    });
    server.chain(visits).collect()
}

#[cfg(test)]
mod tests;

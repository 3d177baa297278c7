//! Visits by a browser: somebody comes for the first time, comes again, and comes after a release.

use super::browser::{Browser, Visitor};
use super::edge::Edge;
use super::report::{EdgeSample, Network, Settings, Visit, VisitKind};
use super::stand::{Place, Release, Stand};

/// From where visits are made, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub network: Network,
    pub region: usize,
    pub origin_ms: f64,
    /// Whether somebody comes again.
    pub returns: bool,
    /// Whether releases are part of it.
    pub releases: bool,
    pub quick: bool,
}

/// Near and far over each network, with releases where it is near; all other distances over the first network. From afar, people come
/// again over the first network alone, and not in a quick run, which has somebody there in its first round only.
pub fn cells(settings: &Settings, round: u32) -> Vec<Cell> {
    let far = settings.distances_ms.len() / 2;
    let mut cells = Vec::new();
    for (order, network) in settings.networks.iter().enumerate() {
        for (region, origin_ms) in settings.distances_ms.iter().enumerate() {
            let (near, quick) = (region == 0, settings.quick);
            if near || (!(quick && round > 1) && (order == 0 || region == far)) {
                let network = network.clone();
                cells.push(Cell {
                    network,
                    region,
                    origin_ms: *origin_ms,
                    returns: near || (order == 0 && !quick),
                    releases: near,
                    quick,
                });
            }
        }
    }
    cells
}

/// What a strategy's visits of one round came to.
#[derive(Debug, Default)]
pub struct Visits {
    pub visits: Vec<Visit>,
    pub edges: Vec<EdgeSample>,
}

/// One visit that is to be made.
#[derive(Clone, Copy)]
struct Call<'c> {
    round: u32,
    stand: &'c Stand,
    cell: &'c Cell,
    place: &'c Place,
    kind: VisitKind,
    edge_warm: bool,
}

impl Visits {
    /// All visits of a cell.
    pub async fn make(&mut self, round: u32, stand: &Stand, cell: &Cell, browser: &mut Browser) -> Result<(), String> {
        let place = Place::new(&cell.network, cell.region, cell.origin_ms);
        let edge = stand.edges.as_ref().and_then(|edges| edges.near.get(cell.region));
        let first = Call { round, stand, cell, place: &place, kind: VisitKind::First, edge_warm: false };
        let mut visitor = browser.visitor().await?;
        let made = self.visit_all(first, edge, &mut visitor, browser).await;
        if made.is_ok() {
            self.count(round, stand, cell, false);
        }
        // Whatever has come of it: a page that is still loading would be part of what comes next.
        browser.leave(visitor).await.and(made)
    }

    async fn visit_all(
        &mut self,
        first: Call<'_>,
        edge: Option<&Edge>,
        visitor: &mut Visitor,
        browser: &mut Browser,
    ) -> Result<(), String> {
        let Call { round, stand, cell, .. } = first;
        let again = |kind| Call { kind, edge_warm: edge.is_some(), ..first };
        if let Some(edge) = edge {
            edge.clear().await?;
            edge.counted();
        }
        self.visit(first, visitor, browser).await?;
        if edge.is_some() {
            // Another one, to whom the edge sends what it fetched for the first.
            self.count(round, stand, cell, true);
            visitor.give_way(browser).await?;
            self.visit(again(VisitKind::First), visitor, browser).await?;
        }
        if cell.returns {
            self.visit(again(VisitKind::Repeat), visitor, browser).await?;
        }
        if cell.releases && stand.releases {
            self.visit(again(VisitKind::AfterRelease), visitor, browser).await?;
        }
        // A quick run has no time for it.
        if cell.releases && stand.releases && !cell.quick {
            visitor.give_way(browser).await?;
            self.visit(again(VisitKind::AfterReleaseCold), visitor, browser).await?;
        }
        Ok(())
    }

    async fn visit(&mut self, call: Call<'_>, visitor: &mut Visitor, browser: &mut Browser) -> Result<(), String> {
        let release = match call.kind {
            VisitKind::First | VisitKind::Repeat => Release::First,
            VisitKind::AfterRelease | VisitKind::AfterReleaseCold => Release::Second,
        };
        // Whoever comes again comes later: no connection is open any more.
        call.stand.set(call.place, release).await?;
        let seen = visitor.visit(browser, &call.stand.page).await?;
        self.visits.push(Visit {
            round: call.round,
            kind: call.kind,
            network: call.cell.network.name.clone(),
            origin_ms: call.cell.origin_ms,
            edge_ms: call.stand.edges.as_ref().map(|_| call.place.edge_ms()),
            edge_warm: call.edge_warm,
            first_byte_ms: seen.first_byte_ms,
            first_paint_ms: seen.first_paint_ms,
            largest_paint_ms: seen.largest_paint_ms,
            load_ms: seen.load_ms,
            fetches: seen.fetches,
        });
        if call.stand.worker {
            visitor.await_worker(browser).await?;
        }
        Ok(())
    }

    fn count(&mut self, round: u32, stand: &Stand, cell: &Cell, cold: bool) {
        let Some(edge) = stand.edges.as_ref().and_then(|edges| edges.near.get(cell.region)) else { return };
        if let Some(counts) = edge.counted() {
            self.edges.push(EdgeSample {
                round,
                edge: edge.name.clone(),
                cold,
                hits: counts.hits,
                misses: counts.misses,
                origin_bytes: counts.origin_bytes,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Options;

    fn of(options: &Options, round: u32) -> Vec<(String, f64, bool, bool)> {
        let settings = options.resolve().unwrap().settings;
        let cells = cells(&settings, round).into_iter();
        cells.map(|cell| (cell.network.name, cell.origin_ms, cell.returns, cell.releases)).collect()
    }

    #[test]
    fn distances_are_visited_over_one_network_and_others_near_and_far() {
        let quick = Options { quick: true, ..Options::default() };
        let cell = |name: &str, ms, returns, releases| (name.to_owned(), ms, returns, releases);
        assert_eq!(of(&quick, 1), [cell("4g", 10.0, true, true), cell("4g", 100.0, false, false)]);
        assert_eq!(of(&quick, 2), [cell("4g", 10.0, true, true)]);
        let full = of(&Options::default(), 1);
        assert_eq!(of(&Options::default(), 5), full);
        assert_eq!(full.len(), 4 + 2 + 2);
        assert!(
            full.contains(&cell("fibre", 300.0, true, false)) && full.contains(&cell("slow-3g", 150.0, false, false))
        );
        let one = of(&Options { distances_ms: vec![80.0], networks: vec!["4g".to_owned()], ..Options::default() }, 1);
        assert_eq!(one, [cell("4g", 80.0, true, true)]);
    }
}

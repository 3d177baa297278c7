//! Rounds: in each, every strategy is put under load and visited, in an order that is drawn anew.

use std::time::Duration;

use super::Warnings;
use super::browser::Browser;
use super::ground::Ground;
use super::lineup::{Entrant, Lineup};
use super::load::Plan;
use super::report::{Noise, ServerSample, Settings};
use super::visits::{Visits, cells};
use crate::error::{Error, Fault, Result};
use crate::progress::Progress;

/// Of what the slowest strategy takes, so much is asked of each when latencies are measured.
const SHARE: f64 = 0.5;

/// How long servers are asked before anything counts.
const WARM_UP: Duration = Duration::from_millis(250);

pub struct Rounds<'r> {
    pub ground: &'r Ground,
    pub settings: &'r mut Settings,
    pub progress: &'r dyn Progress,
    pub warnings: &'r mut Warnings,
}

impl Rounds<'_> {
    /// Lets each server settle, and finds the rate that all can hold unless one is given.
    pub async fn warm_up(&mut self, lineup: &mut Lineup, rate: f64) -> Result<()> {
        let mut slowest = f64::INFINITY;
        for entrant in lineup.entrants.iter().filter(|entrant| !entrant.asks.is_empty()) {
            let load = self.plan(entrant, WARM_UP).saturate().await.map_err(stuck)?;
            if load.errors < load.requests {
                slowest = slowest.min((load.requests - load.errors) as f64 / load.seconds);
            }
        }
        if rate <= 0.0 {
            // A round number says that it is a choice, not a result.
            let found = if slowest.is_finite() { (slowest * SHARE / 10.0).floor() * 10.0 } else { 10.0 };
            self.settings.rate = found.max(10.0);
        }
        Ok(())
    }

    /// Measures, and measures one strategy a second time as if it were another.
    pub async fn run(&mut self, lineup: &mut Lineup, mut browser: Option<&mut Browser>) -> Result<Option<Noise>> {
        let taking_part: Vec<usize> =
            (0..lineup.entrants.len()).filter(|at| lineup.entrants[*at].running.is_some()).collect();
        let named = |name: &str| taking_part.iter().copied().find(|at| lineup.entrants[*at].measured.name == name);
        let twice = named("memory").or_else(|| taking_part.first().copied());
        let mut noise = twice.map(|at| Noise {
            strategy: lineup.entrants[at].measured.name.clone(),
            servers: Vec::new(),
            visits: Vec::new(),
        });
        let rounds = self.settings.rounds;
        self.progress.stage("measure", rounds as usize * 2 * (taking_part.len() + usize::from(noise.is_some())));
        for round in 1..=rounds {
            let mut order: Vec<(usize, bool)> = taking_part.iter().map(|at| (*at, false)).collect();
            order.extend(twice.map(|at| (at, true)));
            let mut chance = fastrand::Rng::with_seed(self.settings.seed.wrapping_add(u64::from(round)));
            chance.shuffle(&mut order);
            for (at, again) in &order {
                let entrant = &mut lineup.entrants[*at];
                self.at(round, &entrant.measured.name, "load");
                if let Some(sample) = self.server(round, entrant).await? {
                    match (again, &mut noise) {
                        (true, Some(noise)) => noise.servers.push(sample),
                        _ => entrant.measured.servers.push(sample),
                    }
                }
                self.progress.step();
            }
            chance.shuffle(&mut order);
            for (at, again) in &order {
                let entrant = &mut lineup.entrants[*at];
                self.at(round, &entrant.measured.name, "visits");
                if let Some(browser) = browser.as_deref_mut() {
                    let found = self.visit(round, entrant, browser).await;
                    match (again, &mut noise) {
                        (true, Some(noise)) => noise.visits.extend(found.visits),
                        _ => {
                            entrant.measured.visits.extend(found.visits);
                            entrant.measured.edges.extend(found.edges);
                        }
                    }
                }
                self.progress.step();
            }
        }
        Ok(noise)
    }

    async fn server(&mut self, round: u32, entrant: &Entrant) -> Result<Option<ServerSample>> {
        if entrant.asks.is_empty() {
            return Ok(None);
        }
        let plan = self.plan(entrant, Duration::from_secs_f64(self.settings.seconds));
        let meter = plan.meter.clone();
        let saturated = plan.clone().saturate().await.map_err(stuck)?;
        let paced = plan.pace(self.settings.rate).await.map_err(stuck)?;
        let name = &entrant.measured.name;
        let pages = match self.plan_pages(entrant) {
            Some(plan) => Some(plan.saturate().await.map_err(stuck)?),
            None => None,
        };
        let errors = saturated.errors + paced.load.errors + pages.as_ref().map_or(0, |load| load.errors);
        if errors > 0 {
            self.warnings.add(format!("`{name}`: {errors} requests of the load failed in round {round}"));
        }
        if paced.unsent > 0 {
            self.warnings.add(format!("`{name}` does not hold {:.0} requests a second", self.settings.rate));
        }
        Ok(Some(ServerSample { round, saturated, paced, pages, memory: meter.memory() }))
    }

    async fn visit(&mut self, round: u32, entrant: &Entrant, browser: &mut Browser) -> Visits {
        let mut visits = Visits::default();
        let Some(running) = &entrant.running else { return visits };
        for cell in cells(self.settings, round) {
            self.at(
                round,
                &entrant.measured.name,
                &format!("visits over {} from {} ms", cell.network.name, cell.origin_ms),
            );
            if let Err(error) = visits.make(round, &running.stand, &cell, browser).await {
                self.warnings.add(format!("`{}`: a visit failed: {error}", entrant.measured.name));
            }
        }
        // Load that comes next finds the device as it is by itself.
        if let Err(error) = running.stand.clear() {
            self.warnings.add(error);
        }
        visits
    }

    fn plan(&self, entrant: &Entrant, lasting: Duration) -> Plan {
        let stand = entrant.running.as_ref().map(|running| &running.stand);
        Plan {
            asks: entrant.asks.clone(),
            connections: self.settings.connections as usize,
            lasting,
            meter: stand.map(|stand| stand.meter.clone()).unwrap_or_default(),
            spins: self.ground.cores.clients.is_some(),
        }
    }

    /// Of who sends the pages, where an object store answers for the rest.
    fn plan_pages(&self, entrant: &Entrant) -> Option<Plan> {
        let meter = entrant.running.as_ref()?.stand.pages.clone()?;
        let mut plan = Plan { meter, ..self.plan(entrant, Duration::from_secs_f64(self.settings.seconds)) };
        plan.asks.retain(|ask| ask.of_page);
        (!plan.asks.is_empty()).then_some(plan)
    }

    fn at(&self, round: u32, name: &str, what: &str) {
        self.progress.at(&format!("round {round} of {}: {name}, {what}", self.settings.rounds));
    }
}

fn stuck(error: std::io::Error) -> Error {
    Fault::new(format!("the load generator failed: {error}"))
        .hint("free some memory or open files, and run again")
        .into()
}

//! Those that take part, and what is known of each.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::ground::Ground;
use super::load::Ask;
use super::report::Measured;
use super::strategy::{Running, Strategy};
use crate::progress::Progress;

/// A strategy; it runs unless something is missing.
pub struct Entrant {
    pub measured: Measured,
    pub running: Option<Running>,
    /// What one visit asks servers for.
    pub asks: Vec<Ask>,
    /// The paths of these.
    pub paths: Vec<String>,
}

pub struct Lineup {
    pub entrants: Vec<Entrant>,
    /// With their versions.
    pub programs: BTreeMap<String, String>,
}

impl Lineup {
    /// Starts all that can be started.
    pub async fn start(ground: &Ground, strategies: Vec<Strategy>, progress: &dyn Progress) -> Self {
        let start = |strategy: Strategy| async move {
            let mut measured = strategy.unmeasured();
            let running = strategy.start(ground, &mut measured, progress).boxed_local().await;
            progress.step();
            let running = match running {
                Ok(running) => Some(running),
                Err(missing) => {
                    progress
                        .warn(format!("`{}` is not measured: {} ({})", measured.name, missing.reason, missing.remedy));
                    measured.missing = Some(missing);
                    None
                }
            };
            Entrant { measured, running, asks: Vec::new(), paths: Vec::new() }
        };
        let entrants = join_all(strategies.into_iter().map(start)).await;
        let programs = entrants.iter().filter_map(|entrant| entrant.running.as_ref());
        let programs = programs.flat_map(|running| running.programs.iter().cloned()).collect();
        Lineup { entrants, programs }
    }

    /// Public keys of the servers that were found to be who they say.
    pub fn keys(&self) -> Vec<String> {
        let running = self.entrants.iter().filter_map(|entrant| entrant.running.as_ref());
        running.flat_map(|running| running.stand.reached.iter().filter_map(|reached| reached.key.clone())).collect()
    }

    /// What the load asks for: of the plainest strategy that takes part.
    pub fn requests(&self) -> Vec<String> {
        let plain = |name: &str| {
            self.entrants.iter().find(|entrant| entrant.measured.name == name && !entrant.paths.is_empty())
        };
        let found = plain("memory").or_else(|| plain("bundled"));
        let found = found.or_else(|| self.entrants.iter().find(|entrant| !entrant.paths.is_empty()));
        found.map(|entrant| entrant.paths.clone()).unwrap_or_default()
    }

    /// Ends all of it.
    pub fn into_measured(self) -> Vec<Measured> {
        self.entrants.into_iter().map(|entrant| entrant.measured).collect()
    }
}

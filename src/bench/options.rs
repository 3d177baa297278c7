//! What is asked of a run, and what it comes to where nothing is said.

use std::path::PathBuf;

use super::report::{Bucket, Emulation, Network, Settings};
use super::strategy::{Strategy, storage};
use crate::error::{Error, Result};

/// What the command line decides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub quick: bool,
    pub rounds: Option<u32>,
    pub seconds: Option<f64>,
    pub connections: Option<u32>,
    pub rate: Option<f64>,
    pub seed: Option<u64>,
    pub page: Option<String>,
    /// By their names; all if there is none.
    pub networks: Vec<String>,
    pub emulation: Option<Emulation>,
    pub distances_ms: Vec<f64>,
    /// By their names, or with what they are; all of ours if there is none.
    pub strategies: Vec<String>,
    /// Whether load may go to other machines.
    pub allow_remote: bool,
    /// Starts the user's own application.
    pub app: Option<String>,
    /// The user's own bucket for the strategy `storage`.
    pub store: Option<Bucket>,
    pub python: Option<PathBuf>,
    /// The configuration's file, if it is not the default one.
    pub file: Option<PathBuf>,
    /// This program, which serves.
    pub program: PathBuf,
}

/// All that is checked before anything is started.
pub struct Asked {
    /// The rate is zero where it is to be found out.
    pub settings: Settings,
    pub strategies: Vec<Strategy>,
}

/// Networks as they are often met: round trip in milliseconds, bits per second down and up.
const NETWORKS: [(&str, f64, u64, u64); 3] =
    [("fibre", 4.0, 100_000_000, 50_000_000), ("4g", 50.0, 9_000_000, 3_000_000), ("slow-3g", 400.0, 400_000, 400_000)];

impl Options {
    /// The options that lead to a report's settings.
    pub fn from_settings(settings: &Settings) -> Self {
        Options {
            quick: settings.quick,
            rounds: Some(settings.rounds),
            seconds: Some(settings.seconds),
            connections: Some(settings.connections),
            rate: Some(settings.rate),
            seed: Some(settings.seed),
            page: Some(settings.page.clone()),
            networks: settings.networks.iter().map(|network| network.name.clone()).collect(),
            emulation: Some(settings.emulation),
            distances_ms: settings.distances_ms.clone(),
            strategies: settings.strategies.clone(),
            app: settings.app.clone(),
            store: settings.store.clone(),
            ..Options::default()
        }
    }

    pub fn resolve(&self) -> Result<Asked> {
        let networks = match self.networks.as_slice() {
            [] if self.quick => vec![network("4g")?],
            [] => NETWORKS.iter().map(|(name, ..)| network(name)).collect::<Result<_>>()?,
            names => {
                let first = |at: &usize| !names[..*at].contains(&names[*at]);
                (0..names.len()).filter(first).map(|at| network(&names[at])).collect::<Result<_>>()?
            }
        };
        let names: Vec<String> = match self.strategies.as_slice() {
            [] => Strategy::ALL.iter().map(|strategy| strategy.name().to_owned()).collect(),
            names => names.to_vec(),
        };
        let strategies: Vec<Strategy> = names.iter().map(|name| Strategy::parse(name)).collect::<Result<_>>()?;
        if let Some(twice) = (1..strategies.len())
            .find(|at| strategies[..*at].iter().any(|other| other.name() == strategies[*at].name()))
        {
            return Err(Error::Usage {
                message: format!("`{}` is given twice", strategies[twice].name()),
                help: "name each strategy once".to_owned(),
            });
        }
        let uses_store = strategies.contains(&Strategy::Storage);
        let store = self.store.as_ref().filter(|_| uses_store).map(storage::resolve).transpose()?;
        let is_remote = |strategy: &&Strategy| match strategy {
            Strategy::Storage => store.as_ref().is_some_and(storage::is_remote),
            other => other.is_remote(),
        };
        if let Some(remote) = strategies.iter().find(is_remote).filter(|_| !self.allow_remote) {
            return Err(Error::Usage {
                message: format!("`{}` is not on this machine, and the bench would send load there", remote.name()),
                help: "if the machine is yours to load, say so with `--allow-remote`".to_owned(),
            });
        }
        let emulation = self.emulation.unwrap_or_default();
        let is_outside = |strategy: &&Strategy| match strategy {
            Strategy::Storage => store.is_some(),
            other => other.runs_already(),
        };
        if let Some(outside) = strategies.iter().find(is_outside)
            && emulation == Emulation::Netem
        {
            return Err(Error::Usage {
                message: format!(
                    "`{}` can't be reached from the network namespace in which netem makes networks",
                    outside.name()
                ),
                help: "give a command that starts it, as `NAME='COMMAND {port}'` (`storage`: no `--store`), or leave `--emulation netem` out"
                    .to_owned(),
            });
        }
        let mut distances_ms = match self.distances_ms.as_slice() {
            [] if self.quick => vec![10.0, 100.0],
            [] => vec![10.0, 50.0, 150.0, 300.0],
            distances => distances.to_vec(),
        };
        // The nearest is the first.
        distances_ms.sort_by(f64::total_cmp);
        distances_ms.dedup();
        let settings = Settings {
            quick: self.quick,
            rounds: self.rounds.unwrap_or(if self.quick { 2 } else { 5 }),
            seconds: self.seconds.unwrap_or(if self.quick { 0.2 } else { 2.0 }),
            connections: self.connections.unwrap_or(if self.quick { 32 } else { 64 }),
            rate: self.rate.unwrap_or(0.0),
            seed: self.seed.unwrap_or(1),
            page: self.page.clone().unwrap_or_else(|| "/".to_owned()),
            networks,
            emulation,
            distances_ms,
            strategies: names,
            app: self.app.clone(),
            store,
        };
        sane(&settings)?;
        Ok(Asked { settings, strategies })
    }
}

fn network(name: &str) -> Result<Network> {
    let found = NETWORKS.iter().find(|(own, ..)| *own == name);
    let (name, round_trip_ms, down, up) = *found.ok_or_else(|| Error::Usage {
        message: format!("there is no network `{name}`"),
        help: "there are `fibre`, `4g` and `slow-3g`".to_owned(),
    })?;
    Ok(Network { name: name.to_owned(), round_trip_ms, down, up })
}

fn sane(settings: &Settings) -> Result<()> {
    let is_sane = [
        ("--rounds", (1..=1000).contains(&settings.rounds)),
        ("--seconds", (0.05..=600.0).contains(&settings.seconds)),
        ("--connections", (1..=10_000).contains(&settings.connections)),
        ("--rate", (0.0..=1e7).contains(&settings.rate)),
        ("--distance", settings.distances_ms.iter().all(|distance| (0.0..=2000.0).contains(distance))),
        ("--page", settings.page.starts_with('/')),
    ];
    match is_sane.iter().find(|(_, is_sane)| !is_sane) {
        None => Ok(()),
        Some((flag, _)) => Err(Error::Usage {
            message: format!("`{flag}` is out of its range"),
            help: "rounds are 1 to 1000, seconds 0.05 to 600, connections 1 to 10000, distances up to 2000 ms, and a page begins with `/`"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_lead_back_to_themselves() {
        let (strategies, emulation) = (vec!["memory".to_owned()], Some(Emulation::Netem));
        let asked = Options { quick: true, strategies, emulation, ..Options::default() }.resolve().unwrap();
        let again = Options::from_settings(&asked.settings).resolve().unwrap();
        let text = |settings: &Settings| serde_json::to_string(settings).unwrap();
        assert_eq!(text(&asked.settings), text(&again.settings));
        assert_eq!(asked.settings.networks[0].name, "4g");
    }

    #[test]
    fn mistakes_are_told() {
        let refused = |options: Options| match options.resolve() {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(refused(Options { networks: named(&["5g"]), ..Options::default() }).contains("no network `5g`"));
        assert!(
            refused(Options { strategies: named(&["memory", "memory"]), ..Options::default() }).contains("given twice")
        );
        assert!(refused(Options { rounds: Some(0), ..Options::default() }).contains("--rounds"));
        let remote = Options { strategies: named(&["far=http://192.0.2.1/"]), ..Options::default() };
        assert!(refused(remote.clone()).contains("not on this machine"));
        assert_eq!(refused(Options { allow_remote: true, ..remote.clone() }), "");
        let emulation = Some(Emulation::Netem);
        let outside = Options { strategies: named(&["mine=http://127.0.0.1:8000"]), emulation, ..Options::default() };
        assert!(refused(outside).contains("`mine` can't be reached from the network namespace"));
        assert!(refused(Options { allow_remote: true, emulation, ..remote }).contains("can't be reached"));
        let inside = Options { strategies: named(&["mine=./serve {port}"]), emulation, ..Options::default() };
        assert_eq!(refused(inside), "");
        let bucket = Bucket {
            store: "s3://b/p".to_owned(),
            endpoint: "http://192.0.2.1".to_owned(),
            region: None,
            asset_base: None,
        };
        let far = Options { store: Some(bucket), ..Options::default() };
        assert!(refused(far.clone()).starts_with("`storage` is not on this machine"));
        assert_eq!(refused(Options { allow_remote: true, ..far.clone() }), "");
        assert!(
            refused(Options { allow_remote: true, emulation, ..far.clone() }).contains("`storage` can't be reached")
        );
        assert_eq!(refused(Options { strategies: named(&["memory"]), ..far }), "", "nobody goes there");
    }
}

//! The classic ways to serve static files, started one after another and measured against each other, on the user's own site.
//!
//! [`run`] reads top to bottom: the ground that all share, the strategies that take part, a warm-up, rounds, the report. In each round all
//! take part in another order, so that what happens to the machine meanwhile happens to all of them.

mod app;
mod browser;
pub mod compare;
pub mod cost;
mod edge;
mod ground;
mod left;
mod lineup;
mod load;
mod machine;
pub mod metric;
mod netem;
mod options;
pub mod prices;
mod process;
mod relay;
pub mod report;
mod requests;
mod rounds;
pub mod show;
mod stand;
pub mod statistics;
mod strategy;
pub mod summary;
mod unbundled;
mod visits;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::{Instant, SystemTime};

use crate::config::Config;
use crate::date::Date;
use crate::error::{Fault, Result};
use crate::progress::Progress;
use crate::serve::{Signal, Signals};
use browser::Browser;
use ground::{Ground, Wanted};
use left::Left;
use lineup::Lineup;
use options::Asked;
pub use options::Options;
pub use report::Report;
use report::{Emulation, Missing, Settings, Site, VERSION};
use rounds::Rounds;
pub use strategy::Strategy;
pub use strategy::storage::{Access, serve as serve_bucket};

/// Sees to it that [`run`] runs where it can: if the kernel is to make networks, this process becomes the same program with the same
/// arguments in a network namespace of its own, and this does not return. What stands in the way is an [`Error::Usage`](crate::error::Error::Usage).
pub fn enter(options: &Options, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    match options.resolve()?.settings.emulation {
        Emulation::Relays => Ok(()),
        Emulation::Netem => netem::enter(&options.program, arguments),
    }
}

/// Why a run with these options can't be compared with an earlier one, as far as that is known before it.
pub fn refused(earlier: &Settings, options: &Options) -> Result<Vec<String>> {
    Ok(compare::refused_settings(earlier, &options.resolve()?.settings))
}

/// Measures what is asked for, once [`enter`] was called. Whatever it starts ends with it, also when it is told to stop.
pub async fn run(config: &Config, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let asked = options.resolve()?;
    let mut signals = Signals::install()?;
    let left = Left::default();
    let outcome = tokio::select! {
        report = measure(config, options, asked, left.clone(), progress) => report,
        () = stop(&mut signals) => Err(Fault::new("the bench was stopped before its end").hint("nothing that it started is left").into()),
    };
    // Whatever the run came to, and unless somebody asks for the end once more.
    let told = tokio::select! {
        told = left.clear(progress) => told,
        () = stop(&mut signals) => left.told("the bench was stopped once more"),
    };
    match outcome {
        Ok(report) => Ok(Report { warnings: report.warnings.iter().cloned().chain(told).collect(), ..report }),
        Err(error) => {
            told.into_iter().for_each(|warning| progress.warn(warning));
            Err(error)
        }
    }
}

async fn stop(signals: &mut Signals) {
    while signals.next().await == Signal::Reload {}
}

async fn measure(
    config: &Config,
    options: &Options,
    asked: Asked,
    left: Left,
    progress: &dyn Progress,
) -> Result<Report> {
    let (begun, clock) = (format!("{}Z", Date::of(SystemTime::now())), Instant::now());
    let Asked { mut settings, strategies } = asked;
    // Before this process keeps to a part of it.
    let machine = machine::describe();
    let ground = Ground::prepare(
        Wanted {
            config,
            file: options.file.as_deref(),
            page: &settings.page,
            program: options.program.clone(),
            python: options.python.clone(),
            app: settings.app.clone(),
            store: settings.store.clone(),
            left,
            allow_remote: options.allow_remote,
            distances_ms: settings.distances_ms.clone(),
            emulation: settings.emulation,
        },
        progress,
    )?;
    // A stop that was asked for while this built is heard here.
    tokio::task::yield_now().await;
    progress.stage("start", strategies.len());
    let mut warnings = Warnings::default();
    let mut lineup = Lineup::start(&ground, strategies, progress).await;
    let mut browser = open_browser(&ground, &mut lineup, &mut warnings).await;
    ground.cores.pin_client();
    let settings_rate = settings.rate;
    requests::find(&ground, &mut lineup, browser.as_mut(), progress, &mut warnings).await;
    let mut rounds = Rounds { ground: &ground, settings: &mut settings, progress, warnings: &mut warnings };
    rounds.warm_up(&mut lineup, settings_rate).await?;
    let noise = rounds.run(&mut lineup, browser.as_mut()).await?;
    progress.stage("finish", 0);
    lineup.programs.insert("fingerpost".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    if settings.emulation == Emulation::Netem {
        lineup.programs.append(&mut netem::programs());
    }
    let manifest = &ground.manifest;
    Ok(Report {
        version: VERSION,
        program: concat!("fingerpost ", env!("CARGO_PKG_VERSION")).to_owned(),
        begun,
        seconds: clock.elapsed().as_secs_f64(),
        machine,
        site: Site {
            name: site_name(&ground),
            pages: manifest.files.keys().filter(|path| path.ends_with(".html")).count(),
            files: manifest.files.len(),
            bytes: manifest.files.values().map(|file| file.length).sum(),
            changed: ground.changed.clone(),
            requests: lineup.requests(),
        },
        settings,
        programs: std::mem::take(&mut lineup.programs),
        strategies: lineup.into_measured(),
        noise,
        warnings: warnings.into_list(),
    })
}

/// None if there is none, or none that works: then nobody visits.
async fn open_browser(ground: &Ground, lineup: &mut Lineup, warnings: &mut Warnings) -> Option<Browser> {
    let not_measured = |why: String| format!("visits were not measured: {why}");
    let program = match browser::find() {
        Ok(program) => program,
        Err(Missing { reason, remedy }) => {
            warnings.add(not_measured(format!("{reason} ({remedy})")));
            return None;
        }
    };
    let folder = ground.folder.path().join("browser");
    if let Err(error) = std::fs::create_dir_all(&folder) {
        warnings.add(not_measured(error.to_string()));
        return None;
    }
    if let Some(version) = process::version(&program, "--version") {
        lineup.programs.insert("chromium".to_owned(), version);
    }
    match Browser::start(&program, &folder, &lineup.keys()).await {
        Ok(browser) => Some(browser),
        Err(error) => {
            warnings.add(not_measured(format!("`{}` does not start: {error}", program.display())));
            None
        }
    }
}

fn site_name(ground: &Ground) -> String {
    ground.root.file_name().map_or_else(|| "site".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What was noticed, each thing once.
#[derive(Debug, Default)]
pub struct Warnings {
    list: Vec<String>,
    seen: BTreeSet<String>,
}

impl Warnings {
    pub fn add(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.seen.insert(warning.clone()) {
            self.list.push(warning);
        }
    }

    fn into_list(self) -> Vec<String> {
        self.list
    }
}

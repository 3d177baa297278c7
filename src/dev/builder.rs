//! The thread that builds, one build after another, and makes the table of each.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::changes::Warnings;
use super::folders::Folders;
use super::service;
use crate::build::{Session, Snapshot};
use crate::config::{Config, Upstream};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::serve::Table;

/// What the thread that builds is asked for.
pub enum Job {
    /// With what has changed.
    Build(BTreeSet<PathBuf>),
    /// By another configuration.
    Configure(Box<Config>),
    Bind(Box<Environment>),
}

/// What it came to.
pub struct Outcome {
    pub made: Result<(Snapshot, Table)>,
    /// None if they are the same as before.
    pub folders: Option<Folders>,
    pub warnings: Vec<String>,
    pub took: Duration,
}

/// The thread that builds. It ends with the process, in the middle of a build if need be: it writes nothing.
pub struct Builder {
    jobs: mpsc::Sender<Job>,
    outcomes: UnboundedReceiver<Outcome>,
}

impl Builder {
    pub fn start(
        config: &Config,
        environment: Environment,
        config_file: Option<PathBuf>,
        application: Option<Upstream>,
    ) -> Result<Self> {
        let (jobs, asked) = mpsc::channel();
        let (done, outcomes) = unbounded_channel();
        let session = session(config);
        let work = Work { session, environment, config_file, application, generation: None };
        let thread = std::thread::Builder::new().name("build".to_owned());
        thread.spawn(move || work.run(&asked, &done)).map_err(Error::io("start a thread in", &config.root))?;
        Ok(Builder { jobs, outcomes })
    }

    pub fn ask(&self, job: Job) {
        // Were the thread gone, no outcome would come, which is told there.
        let _ = self.jobs.send(job);
    }

    pub async fn outcome(&mut self) -> Result<Outcome> {
        self.outcomes.recv().await.ok_or_else(|| Error::Usage {
            message: "the thread that builds has ended".to_owned(),
            help: "start the program again, and report this".to_owned(),
        })
    }
}

fn session(config: &Config) -> Session {
    Session::new(config.clone(), Mode::Development, service::head())
}

struct Work {
    session: Session,
    environment: Environment,
    config_file: Option<PathBuf>,
    application: Option<Upstream>,
    /// Of the session's inputs, when they were last looked at.
    generation: Option<u64>,
}

impl Work {
    fn run(mut self, asked: &mpsc::Receiver<Job>, done: &UnboundedSender<Outcome>) {
        while let Ok(job) = asked.recv() {
            match job {
                Job::Bind(environment) => self.environment = *environment,
                Job::Configure(config) => {
                    self.session = session(&config);
                    self.generation = None;
                }
                Job::Build(told) => {
                    if done.send(self.build(&told)).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn build(&mut self, told: &BTreeSet<PathBuf>) -> Outcome {
        let start = Instant::now();
        let warnings = Warnings::default();
        let made = self.session.build(told, &warnings).and_then(|snapshot| {
            let table = Table::of(&snapshot.manifest, &snapshot.files, &self.environment, self.application.as_ref())?;
            Ok((snapshot, table))
        });
        let generation = Some(self.session.generation());
        let folders = (generation != self.generation)
            .then(|| Folders::of(self.session.config(), self.config_file.as_deref(), self.session.inputs()));
        self.generation = generation;
        Outcome { made, folders, warnings: warnings.take(), took: start.elapsed() }
    }
}

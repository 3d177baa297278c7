//! Builds into the output folder as the sources change, for those who have a server of their own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::unbounded_channel;

use super::changes::Changes;
use super::debounce::Debouncer;
use super::folders::Folders;
use super::watch::{Method, Watcher};
use crate::build::{Built, Options, Session};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fs;
use crate::progress::Progress;

/// What is built, and how it is heard of.
pub struct Writing {
    /// Reads the configuration; again when it has changed.
    pub load: Box<dyn Fn() -> Result<Config> + Send>,
    /// Where that lies, if it was said.
    pub config_file: Option<PathBuf>,
    pub method: Method,
}

/// What happens, for people to know.
pub enum Written<'a> {
    /// With what was heard to have changed, below the root.
    Built {
        built: &'a Built,
        because: Vec<String>,
        took: Duration,
    },
    Failed(&'a Error),
    Warning(String),
}

/// Builds now, and again whenever something changes, as long as the process lasts. `options` gives those of a configuration.
pub async fn write(
    writing: Writing,
    options: impl Fn(&Config) -> Options,
    progress: &dyn Progress,
    tell: impl Fn(Written<'_>),
) -> Result<()> {
    let config = (writing.load)()?;
    let (events, heard) = unbounded_channel();
    let mut changes = Changes { heard, debouncer: Debouncer::default() };
    let mut watcher = Watcher::new(writing.method, events)?;
    let mut how = options(&config);
    let mut session = Session::new(config, how.mode, "");
    let mut told: BTreeSet<PathBuf> = BTreeSet::new();
    let mut is_configured = Ok(());
    // Before the first build, so that nothing is missed that happens meanwhile.
    let mut folders = Folders::of(session.config(), writing.config_file.as_deref(), std::iter::empty());
    // The output folder may be another than the configuration's.
    folders.leave_out(&how.out);
    follow(&mut watcher, &folders, &tell)?;
    loop {
        let start = Instant::now();
        let root = session.config().root.clone();
        let because = told.iter().map(|path| fs::display_name(&root, path)).collect();
        let built = is_configured.and_then(|()| session.write(&how, &told, progress));
        let took = start.elapsed();
        folders = Folders::of(session.config(), writing.config_file.as_deref(), session.inputs());
        folders.leave_out(&how.out);
        follow(&mut watcher, &folders, &tell)?;
        match built {
            Ok(built) => tell(Written::Built { built: &built, because, took }),
            Err(error) => tell(Written::Failed(&error)),
        }
        told = changes.next(&folders).await;
        watcher.renew(&told);
        is_configured = Ok(());
        if folders.are_settings(&told) {
            is_configured = (writing.load)().map(|config| {
                how = options(&config);
                session = Session::new(config, how.mode, "");
            });
        }
    }
}

fn follow(watcher: &mut Watcher, folders: &Folders, tell: &impl Fn(Written<'_>)) -> Result<()> {
    if let Some(warning) = watcher.follow(folders.wanted())? {
        tell(Written::Warning(warning));
    }
    Ok(())
}

//! The bundler of a site that is being worked on, kept from build to build with what it was told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::memo::Paths;
use super::{Brought, Bundled, Bundler, Compiler, EntryModule, Key, Maps, Modules, Shelf, Site, Taken, Told, lock};
use crate::error::Result;

#[derive(Debug)]
pub struct Kept {
    key: Key,
    bundler: Bundler,
    /// What it asked for when it looked at all modules.
    told: Arc<Told>,
    taken: Taken,
    /// What it has asked for since.
    asked: Arc<Mutex<Told>>,
    /// The files that have changed since it was last at work.
    changed: BTreeSet<PathBuf>,
}

impl Kept {
    pub fn note(&mut self, changed: &Paths) {
        self.changed.extend(changed.iter().cloned());
    }

    /// The modules as they are now; none if they have to be bundled from the start.
    fn again(&mut self, site: &Site<'_>) -> Option<Modules> {
        let changed = std::mem::take(&mut self.changed);
        let changed: BTreeSet<PathBuf> = changed.intersection(&self.told.inputs).cloned().collect();
        let bundled = self.bundler.bundle_again(&changed, site.progress)?;
        // It was to read nothing but the scripts that have changed: what else it is told is of an earlier build.
        let has_asked = *lock(&self.asked) != Told::default();
        (!has_asked).then(|| Modules::new(site, bundled, Arc::clone(&self.told), Arc::clone(&self.taken)))
    }
}

/// Bundles the modules: those that have changed, if they can be bundled with what is known of the others.
pub fn make(
    site: &Site<'_>,
    compiler: &Arc<Compiler>,
    entries: &[EntryModule],
    key: Key,
    brought: &Arc<Brought>,
) -> Result<Arc<Modules>> {
    let memory = site.memory;
    if entries.is_empty() {
        return Ok(Arc::new(Modules::new(site, Bundled::default(), Arc::default(), Arc::default())));
    }
    let before = lock(&memory.bundler).take().filter(|kept| kept.key == key);
    let (kept, modules) = match before.and_then(|mut kept| kept.again(site).map(|modules| (kept, modules))) {
        Some((kept, modules)) => {
            modules.restore(brought)?;
            (kept, modules)
        }
        None => anew(site, compiler, entries, key.clone(), brought)?,
    };
    let modules = memory.modules.keep(key, modules, kept.told.inputs.iter().cloned());
    if memory.lasts() {
        *lock(&memory.bundler) = Some(kept);
    }
    Ok(modules)
}

fn anew(
    site: &Site<'_>,
    compiler: &Arc<Compiler>,
    entries: &[EntryModule],
    key: Key,
    brought: &Arc<Brought>,
) -> Result<(Kept, Modules)> {
    let Site { config, mode, progress, memory, .. } = *site;
    let asked = Arc::new(Mutex::new(Told::default()));
    let shelf = Shelf {
        texts: Arc::clone(&memory.texts),
        brought: Arc::clone(brought),
        compiler: Arc::clone(compiler),
        maps: Maps::of(config, mode),
        told: Arc::clone(&asked),
    };
    let mut bundler = Bundler::new(config, mode, entries, Arc::new(shelf), site.cache, memory.lasts())?;
    let bundled = bundler.bundle(progress)?;
    let mut told = std::mem::take(&mut *lock(&asked));
    told.inputs.extend(bundled.read.iter().cloned());
    let taken = told.taken.iter().filter_map(|source| Some((source.clone(), brought.taken(source)?))).collect();
    let kept = Kept { key, bundler, told: Arc::new(told), taken, asked, changed: BTreeSet::new() };
    let modules = Modules::new(site, bundled, Arc::clone(&kept.told), Arc::clone(&kept.taken));
    Ok((kept, modules))
}

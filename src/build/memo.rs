//! Results that are kept with the files that they were made of, and forgotten with any of them.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::lock;

/// Paths, for a look whether one is among them.
pub type Paths = HashSet<PathBuf>;

/// Results by what they were made for, each with the files that it was made of.
#[derive(Debug)]
pub struct Memo<K, V> {
    /// None if nothing is kept.
    made: Option<Mutex<HashMap<K, Kept<V>>>>,
    /// What was made since the last look was made of these.
    fresh: Mutex<Vec<PathBuf>>,
}

/// The files that what a memo keeps was made of.
pub trait Inputs {
    fn all(&self) -> Vec<PathBuf>;
    /// Of what was kept since the last call.
    fn fresh(&self) -> Vec<PathBuf>;
}

impl<K: Eq + Hash, V> Inputs for Memo<K, V> {
    fn all(&self) -> Vec<PathBuf> {
        let made = self.made.as_ref().map(lock);
        made.iter().flat_map(|made| made.values()).flat_map(|kept| kept.inputs.iter().cloned()).collect()
    }

    fn fresh(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *lock(&self.fresh))
    }
}

/// Whether an input is among what has changed, which mostly is one path: to compare that with each takes less than to hash them. Both
/// were found in the same way, so they are written in the same way.
fn has_changed(inputs: &[PathBuf], changed: &Paths) -> bool {
    const FEW: usize = 4;
    match changed.len() {
        ..=FEW => inputs.iter().any(|input| changed.iter().any(|path| path.as_os_str() == input.as_os_str())),
        _ => inputs.iter().any(|input| changed.contains(input)),
    }
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    inputs: Box<[PathBuf]>,
}

impl<K: Eq + Hash, V> Memo<K, V> {
    pub fn new(keeps: bool) -> Self {
        Memo { made: keeps.then(Mutex::default), fresh: Mutex::default() }
    }

    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        lock(self.made.as_ref()?).get(key).map(|kept| Arc::clone(&kept.value))
    }

    pub fn keep(&self, key: K, value: V, inputs: impl IntoIterator<Item = PathBuf>) -> Arc<V> {
        let value = Arc::new(value);
        if let Some(made) = &self.made {
            let inputs: Box<[PathBuf]> = inputs.into_iter().collect();
            // Of what a tool has made nobody hears when it changes.
            if inputs.iter().all(|input| input.is_file()) {
                lock(&self.fresh).extend(inputs.iter().cloned());
                lock(made).insert(key, Kept { value: Arc::clone(&value), inputs });
            }
        }
        value
    }

    pub fn forget(&self, changed: &Paths) {
        if let Some(made) = &self.made {
            lock(made).retain(|_, kept| !has_changed(&kept.inputs, changed));
        }
    }

    pub fn keep_only(&self, is_wanted: impl Fn(&K) -> bool) {
        if let Some(made) = &self.made {
            lock(made).retain(|key, _| is_wanted(key));
        }
    }

    pub fn clear(&self) {
        self.keep_only(|_| false);
    }
}

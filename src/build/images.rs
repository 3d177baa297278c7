//! Images made smaller without a change to what is seen, if the configuration asks for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::cache::Cache;
use super::transform::image;
use crate::asset::extension;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::progress::Progress;

#[derive(Debug)]
pub struct Images {
    wanted: bool,
    cache: Arc<Cache>,
    broken: Mutex<BTreeSet<String>>,
}

impl Images {
    pub fn new(config: &Config, mode: Mode, cache: &Arc<Cache>) -> Self {
        Images {
            wanted: config.images.optimize && mode == Mode::Production,
            cache: Arc::clone(cache),
            broken: Mutex::default(),
        }
    }

    /// The image's smaller form, if there is one; what is no image as it is. A broken image is its author's to mend, and stops
    /// nothing.
    pub fn optimise(&self, name: &str, bytes: Vec<u8>) -> Vec<u8> {
        type Optimise = fn(&str, &[u8]) -> Result<Option<Vec<u8>>, crate::error::Fault>;
        let (kind, optimise): (_, Optimise) = match extension(name).as_str() {
            _ if !self.wanted => return bytes,
            "png" => ("png", image::optimise_png),
            "svg" => ("svg", image::optimise_svg),
            _ => return bytes,
        };
        let make = || Ok(optimise(name, &bytes)?.unwrap_or_default());
        match self.cache.get_or_make(kind, &[&bytes], make) {
            Ok(smaller) if !smaller.is_empty() => smaller,
            Ok(_) => bytes,
            Err(broken) => {
                self.note(&broken);
                bytes
            }
        }
    }

    fn note(&self, broken: &Error) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).insert(broken.to_string());
    }

    /// Says which images are broken.
    pub fn tell(&self, progress: &dyn Progress) {
        let broken = std::mem::take(&mut *self.broken.lock().unwrap_or_else(PoisonError::into_inner));
        broken.into_iter().for_each(|message| progress.warn(message));
    }
}

//! `[worker]`: the service worker that is made for the site.

use std::time::Duration;

use super::{Pattern, Text, file};
use crate::error::Fault;

/// What a site's service worker does.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its file at the site's root. Once browsers know it, it must not be called otherwise.
    pub name: String,
    pub pages: Pages,
    /// For a page from the network, before the one that is kept is shown.
    pub wait: Duration,
    /// So many of the pages that were seen are kept.
    pub keep: u32,
    /// The page that is shown where there is neither network nor a page that is kept.
    pub offline: Option<String>,
    /// Which assets are fetched before they are asked for.
    pub precache: Vec<Pattern>,
    /// A file at the root with the list of those, for a worker of one's own.
    pub list: Option<String>,
    /// Whether pages register it.
    pub register: bool,
    /// Whether it is to undo all that it has done, and to go.
    pub kill: bool,
}

/// How a page is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pages {
    /// From the network, or as it was last, if that fails or takes too long.
    #[default]
    NetworkFirst,
    /// As it was last, while it is fetched for the next time.
    StaleWhileRevalidate,
    /// Not by the worker.
    None,
}

impl Worker {
    pub(super) fn resolve(text: &Text, written: file::Worker) -> Result<Self, Fault> {
        for (key, name) in [("name", Some(&written.name)), ("list", written.list.as_ref())] {
            let Some(name) = name else { continue };
            let extension = if key == "name" { ".js" } else { ".json" };
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !is_plain || name.starts_with('.') || !name.ends_with(extension) {
                return Err(text.fault(format!("`{name}` is no `{key}` of `worker`"), name).hint(format!(
                    "write a file's name that ends in `{extension}`; it lies at the site's root, whose pages it is for"
                )));
            }
        }
        if !(0.1..=60.0).contains(&written.wait) {
            return Err(text
                .fault(format!("`wait` of `worker` can't be {} seconds", written.wait), "wait")
                .hint("write seconds, from 0.1 to 60"));
        }
        let patterns = written.precache.iter().map(|pattern| Pattern::new(text, pattern));
        Ok(Worker {
            pages: written.pages,
            wait: Duration::from_secs_f64(written.wait),
            keep: written.keep,
            offline: written.offline,
            precache: patterns.collect::<Result<_, _>>()?,
            list: written.list,
            register: written.register,
            kill: written.kill,
            name: written.name,
        })
    }
}

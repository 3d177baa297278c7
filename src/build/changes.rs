//! What changed since the last build, and why: two records compared.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{Made, Record, Relation};
use crate::asset::LogicalPath;
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::manifest::{Kind, Manifest};

mod words;

/// The names that are not what they were in the last build.
#[derive(Debug, Serialize)]
pub struct Changes {
    /// How many fingerprinted names there are now.
    pub names: usize,
    pub changes: Vec<Explained>,
    /// Fingerprinted files that the last build had no counterpart of, and those that this one has none of.
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

/// One file of the build, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    pub path: String,
    /// Its path in the last build, if it was in it.
    pub was: Option<String>,
    /// Why its bytes are others than those of the last build; empty if they are not.
    pub because: Vec<Cause>,
}

/// Why a file's bytes changed. The same shape for people's eyes and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// A source has other bytes, is new among its sources (`was` is none) or gone from them (`now` is none).
    Source {
        source: String,
        was: Option<Digest>,
        now: Option<Digest>,
    },
    /// A setting, or the program's version.
    Option {
        name: String,
        was: Option<String>,
        now: Option<String>,
    },
    /// It names a file whose name changed.
    Reference {
        to: String,
        was: String,
        relation: Relation,
        because: Vec<Cause>,
    },
    /// It names a file that it did not name before, or no longer names one.
    ReferenceAdded {
        to: String,
        relation: Relation,
    },
    ReferenceRemoved {
        to: String,
        relation: Relation,
    },
    /// Nothing that is recorded differs.
    Unknown,
}

/// A build's record beside that of the build before.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    pub last: Option<&'a Record>,
    pub now: &'a Record,
}

impl Comparison<'_> {
    /// None if there is nothing to compare with.
    pub fn changes(&self) -> Option<Changes> {
        let last = self.last?;
        let assets = |record: &Record| -> BTreeMap<String, String> {
            let assets = record.files.iter().filter(|(_, made)| made.kind == Kind::Asset);
            assets.map(|(name, made)| (name.clone(), made.file.clone())).collect()
        };
        let (before, after) = (assets(last), assets(self.now));
        let without = |files: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
            let only = files.iter().filter(|(name, _)| !others.contains_key(*name));
            only.map(|(_, file)| file.clone()).collect()
        };
        let changed = after.iter().filter(|(name, file)| before.get(*name).is_some_and(|was| was != *file));
        Some(Changes {
            names: after.len(),
            changes: changed.map(|(name, _)| self.explain(name)).collect(),
            added: without(&after, &before),
            removed: without(&before, &after),
        })
    }

    /// What became of the files that `what` means: a source, a logical name or a path, with or without its fingerprint.
    pub fn why(&self, manifest: &Manifest, what: &str) -> Result<Vec<Explained>> {
        let what = what.trim_start_matches("./");
        let logical = format!("{}/{what}", manifest.prefix);
        // Of a script or of Sass that is another than the file's.
        let named = manifest.resolve(what);
        let before = |name: &str| Some(self.last?.files.get(name)?.file.as_str());
        let is_meant = |(name, made): &(&String, &Made)| {
            [name.as_str(), made.file.as_str()].contains(&what)
                || **name == logical
                || named == Some(made.file.as_str())
                || before(name) == Some(what)
        };
        let mut meant: Vec<&String> = self.now.files.iter().filter(is_meant).map(|(name, _)| name).collect();
        if meant.is_empty() {
            let made_of_it = self.now.files.iter().filter(|(_, made)| made.inputs.contains_key(what));
            meant = made_of_it.map(|(name, _)| name).collect();
        }
        if meant.is_empty() {
            return Err(self.unknown(manifest, what));
        }
        Ok(meant.into_iter().map(|name| self.explain(name)).collect())
    }

    fn unknown(&self, manifest: &Manifest, what: &str) -> Error {
        let files = self.now.files.iter().flat_map(|(name, made)| {
            let logical = name.strip_prefix(manifest.prefix.as_str()).and_then(|name| name.strip_prefix('/'));
            let inputs = made.inputs.keys().map(String::as_str);
            [name.as_str(), made.file.as_str()].into_iter().chain(logical).chain(inputs)
        });
        let known: Vec<&str> = files.chain(manifest.entries.keys().map(LogicalPath::as_str)).collect();
        Error::Usage {
            message: format!("there is no file `{what}` in this build"),
            help: match nearest(what, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a source, a logical name, or a path below the output folder".to_owned(),
            },
        }
    }

    fn explain(&self, name: &str) -> Explained {
        let now = self.now.files.get(name);
        let was = self.last.and_then(|last| last.files.get(name));
        Explained {
            path: now.map_or_else(|| name.to_owned(), |made| made.file.clone()),
            was: was.map(|made| made.file.clone()),
            because: now.zip(was).map(|(now, was)| self.because(now, was)).unwrap_or_default(),
        }
    }

    fn because(&self, now: &Made, was: &Made) -> Vec<Cause> {
        if now.digest == was.digest {
            return Vec::new();
        }
        let mut causes = sources(now, was);
        let options = differences(&was.options, &now.options).into_iter();
        causes.extend(options.map(|(name, was, now)| Cause::Option { name, was, now }));
        causes.extend(self.references(now, was));
        if causes.is_empty() {
            causes.extend(self.imports(now));
        }
        if causes.is_empty() {
            causes.push(Cause::Unknown);
        }
        causes
    }

    /// Follows what a file names, down to whose bytes changed. Names cover what they refer to, so this leads in no circle.
    fn references(&self, now: &Made, was: &Made) -> Vec<Cause> {
        let holds = |made: &Made| -> BTreeMap<String, Relation> {
            let held = made.refers.iter().filter(|reference| reference.kind.holds_the_fingerprint());
            held.map(|reference| (reference.to.clone(), reference.kind)).collect()
        };
        let (held, held_before) = (holds(now), holds(was));
        let changed = held.iter().filter_map(|(to, relation)| {
            let Some(_) = held_before.get(to) else {
                return Some(Cause::ReferenceAdded { to: self.file(to), relation: *relation });
            };
            let explained = self.explain(to);
            let was = explained.was.filter(|was| *was != explained.path)?;
            Some(Cause::Reference { to: explained.path, was, relation: *relation, because: explained.because })
        });
        let gone = held_before.iter().filter(|(to, _)| !held.contains_key(*to));
        let removed = gone.map(|(to, relation)| Cause::ReferenceRemoved { to: to.clone(), relation: *relation });
        changed.chain(removed).collect()
    }

    /// The bundler may put what a module exports in the place where another chunk uses it.
    fn imports(&self, now: &Made) -> Vec<Cause> {
        let by_stable_name = now.refers.iter().filter(|reference| !reference.kind.holds_the_fingerprint());
        let edited = by_stable_name.filter_map(|reference| {
            let (now, was) = (self.now.files.get(&reference.to)?, self.last?.files.get(&reference.to)?);
            let because = sources(now, was);
            let (to, was) = (now.file.clone(), was.file.clone());
            (!because.is_empty()).then_some(Cause::Reference { to, was, relation: reference.kind, because })
        });
        edited.collect()
    }

    fn file(&self, name: &str) -> String {
        self.now.files.get(name).map_or_else(|| name.to_owned(), |made| made.file.clone())
    }
}

fn sources(now: &Made, was: &Made) -> Vec<Cause> {
    let differ = differences(&was.inputs, &now.inputs).into_iter();
    differ.map(|(source, was, now)| Cause::Source { source, was, now }).collect()
}

/// Each key whose value is another, with its value before and now.
fn differences<T: Clone + PartialEq>(
    was: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
) -> Vec<(String, Option<T>, Option<T>)> {
    let gone = was.keys().filter(|key| !now.contains_key(*key));
    let keys = now.keys().chain(gone).filter(|key| was.get(*key) != now.get(*key));
    keys.map(|key| (key.clone(), was.get(key).cloned(), now.get(key).cloned())).collect()
}

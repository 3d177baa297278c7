//! `[build] manifests` and `[manifest]`: which frameworks read a manifest of the build, and where each one looks for its own.

use std::collections::BTreeMap;

use super::{Pattern, Text, file, nearest, quoted};
use crate::asset::LogicalPath;
use crate::error::Fault;

/// A manifest's schema, named after the tool whose readers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    Django,
    Phoenix,
    Propshaft,
    Vite,
    Webpack,
    Workbox,
}

impl Dialect {
    const ALL: [Dialect; 6] =
        [Dialect::Django, Dialect::Phoenix, Dialect::Propshaft, Dialect::Vite, Dialect::Webpack, Dialect::Workbox];

    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::Django => "django",
            Dialect::Phoenix => "phoenix",
            Dialect::Propshaft => "propshaft",
            Dialect::Vite => "vite",
            Dialect::Webpack => "webpack",
            Dialect::Workbox => "workbox",
        }
    }

    /// Where its reader looks for it if it is told nothing but where the files lie.
    fn path(self, prefix: &str) -> String {
        match self {
            Dialect::Django => format!("{prefix}/staticfiles.json"),
            Dialect::Phoenix => "cache_manifest.json".to_owned(),
            Dialect::Propshaft => format!("{prefix}/.manifest.json"),
            Dialect::Vite => ".vite/manifest.json".to_owned(),
            Dialect::Webpack => format!("{prefix}/manifest.json"),
            Dialect::Workbox => "precache.js".to_owned(),
        }
    }
}

/// What is written for frameworks.
#[derive(Debug, Clone)]
pub struct Dialects {
    /// Where each one lies, below the output folder.
    pub paths: BTreeMap<Dialect, String>,
    /// What stands before a file's path in webpack's.
    pub public_path: String,
    /// What is in Workbox's list; if it isn't said, what is in our own worker's.
    pub precache: Option<Vec<Pattern>>,
    /// The name of the script that gives a page its import map, if one is made.
    pub import_map: Option<LogicalPath>,
    /// Whether somebody chose them: a build that knows of no framework has nothing to tell its author.
    chosen: bool,
}

impl Dialects {
    /// Whether somebody chose one that pages are made by.
    pub fn are_for_pages(&self) -> bool {
        self.chosen && self.paths.keys().any(|dialect| *dialect != Dialect::Workbox)
    }

    pub(super) fn resolve(
        prefix: &str,
        text: &Text,
        names: Option<Vec<String>>,
        import_map: Option<String>,
        mut tables: BTreeMap<String, file::Manifest>,
    ) -> Result<Self, Fault> {
        let chosen = names.is_some();
        let names = names.unwrap_or_else(|| vec![Dialect::Vite.as_str().to_owned()]);
        let wanted = names.iter().map(|name| dialect(text, name)).collect::<Result<Vec<_>, _>>()?;
        for name in tables.keys() {
            if !wanted.contains(&dialect(text, name)?) {
                return Err(text
                    .fault(format!("`manifest.{name}` has no effect: the build writes no such manifest"), name)
                    .hint(format!("add `\"{name}\"` to `manifests` of `[build]`")));
            }
        }
        let mut dialects = Dialects {
            paths: BTreeMap::new(),
            public_path: String::new(),
            precache: None,
            import_map: import_map.map(|name| script(text, name)).transpose()?,
            chosen,
        };
        for dialect in wanted {
            let table = tables.remove(dialect.as_str()).unwrap_or_default();
            dialects.add(prefix, text, dialect, table)?;
        }
        Ok(dialects)
    }

    fn add(&mut self, prefix: &str, text: &Text, dialect: Dialect, table: file::Manifest) -> Result<(), Fault> {
        let name = dialect.as_str();
        let strange = [
            ("public_path", table.public_path.is_some() && dialect != Dialect::Webpack),
            ("precache", table.precache.is_some() && dialect != Dialect::Workbox),
        ];
        if let Some((key, _)) = strange.into_iter().find(|(_, is_strange)| *is_strange) {
            return Err(text
                .fault(format!("`manifest.{name}` has no `{key}`"), key)
                .hint(format!("`public_path` is webpack's, `precache` is Workbox's: leave `{key}` out")));
        }
        let path = match table.path {
            None => dialect.path(prefix),
            Some(path) => match LogicalPath::new(path.trim_start_matches('/')) {
                Ok(path) if !path.as_str().starts_with(OWN_FOLDER) => path.as_str().to_owned(),
                _ => {
                    return Err(text
                        .fault(format!("`{path}` can't be where `manifest.{name}` lies"), &path)
                        .hint("write a path below the output folder, such as `manifest.json`"));
                }
            },
        };
        if let Some((other, _)) = self.paths.iter().find(|(other, taken)| **taken == path && **other != dialect) {
            return Err(text
                .fault(
                    format!("the manifests for `{}` and `{name}` would both be written to `{path}`", other.as_str()),
                    &path,
                )
                .hint("give one of them another `path`"));
        }
        self.paths.insert(dialect, path);
        if dialect == Dialect::Webpack {
            self.public_path = table.public_path.unwrap_or_default();
        }
        if let Some(patterns) = table.precache {
            self.precache = Some(patterns.iter().map(|written| Pattern::new(text, written)).collect::<Result<_, _>>()?);
        }
        Ok(())
    }
}

/// What is ours alone.
const OWN_FOLDER: &str = ".fingerpost/";

fn dialect(text: &Text, name: &str) -> Result<Dialect, Fault> {
    Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == name).ok_or_else(|| {
        let known = Dialect::ALL.map(Dialect::as_str);
        text.fault(format!("no manifest is called `{name}`"), name).hint(match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", quoted(&known)),
        })
    })
}

fn script(text: &Text, name: String) -> Result<LogicalPath, Fault> {
    let path = LogicalPath::new(name.clone()).ok().filter(|path| path.extension() == "js");
    path.ok_or_else(|| {
        text.fault(format!("`{name}` can't be the name of the script with the import map"), &name)
            .hint("write a path that ends in `.js`, such as `js/import-map.js`")
    })
}

//! The browsers that stylesheets and scripts are made for: what the configuration says, or else what other tools are told, in
//! `.browserslistrc` or `package.json` (<https://github.com/browserslist/browserslist#config-file>).

use std::collections::BTreeMap;
use std::path::Path;

use super::Text;
use crate::error::{Error, Fault};
use crate::fs;
use crate::manifest::Mode;

const RC: &str = ".browserslistrc";
const PACKAGE: &str = "package.json";

/// A browserslist query for each mode.
#[derive(Debug, Clone)]
pub struct Targets {
    production: String,
    development: String,
}

impl Targets {
    pub fn query(&self, mode: Mode) -> &str {
        match mode {
            Mode::Production => &self.production,
            Mode::Development => &self.development,
        }
    }

    /// The configuration's query.
    pub(super) fn configured(query: &str, text: &Text) -> Result<Self, Fault> {
        check(query, text)?;
        Ok(Targets { production: query.to_owned(), development: query.to_owned() })
    }

    /// What the files at the root say; browserslist's defaults, if they say nothing.
    pub(super) fn of_files(root: &Path) -> Result<Self, Fault> {
        let read = |name: &str| {
            let path = root.join(name);
            path.is_file().then(|| fs::read_text(&path, name)).transpose().map_err(Error::into_fault)
        };
        let (rc, package) = (read(RC)?, read(PACKAGE)?);
        let in_rc = rc.as_deref().map(|text| (Text { name: RC, text }, sections(text)));
        let in_package = match &package {
            Some(text) => environments(text)?.map(|lists| (Text { name: PACKAGE, text }, lists)),
            None => None,
        };
        let (text, lists) = match (in_rc, in_package) {
            (None, None) => {
                return Ok(Targets { production: "defaults".to_owned(), development: "defaults".to_owned() });
            }
            (Some(found), None) | (None, Some(found)) => found,
            (Some(_), Some((text, _))) => {
                return Err(text
                    .fault(format!("`{PACKAGE}` and `{RC}` both say which browsers there are"), "browserslist")
                    .hint("keep one of the two"));
            }
        };
        check_lists(&lists, &text)?;
        let query = |mode: Mode| pick(&lists, mode).unwrap_or_else(|| "defaults".to_owned());
        Ok(Targets { production: query(Mode::Production), development: query(Mode::Development) })
    }
}

/// Queries, each with the environment that it is for.
type Queries = Vec<(String, String)>;

/// Those of the mode, or else of production, or else of no environment.
fn pick(lists: &Queries, mode: Mode) -> Option<String> {
    [mode.as_str(), "production", "defaults"].into_iter().find_map(|environment| {
        let queries: Vec<&str> =
            lists.iter().filter(|(name, _)| name == environment).map(|(_, query)| query.as_str()).collect();
        (!queries.is_empty()).then(|| queries.join(", "))
    })
}

fn check(query: &str, text: &Text) -> Result<(), Fault> {
    let found = browserslist::resolve([query], &browserslist::Opts::default());
    found.map(drop).map_err(|error| no_query(query, &error, text))
}

fn no_query(query: &str, error: &browserslist::Error, text: &Text) -> Fault {
    text.fault(format!("`{query}` is no browserslist query: {error}"), query)
        .hint("write a query such as `defaults` or `last 2 versions`")
}

/// Checks the queries of each environment, which may count on those before them: `not dead`.
fn check_lists(lists: &Queries, text: &Text) -> Result<(), Fault> {
    let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (environment, query) in lists {
        let queries = before.entry(environment).or_default();
        queries.push(query);
        browserslist::resolve(queries.as_slice(), &browserslist::Opts::default())
            .map_err(|error| no_query(query, &error, text))?;
    }
    Ok(())
}

/// The lines of a `.browserslistrc`: a query each, under the names of environments in brackets; `#` begins a comment.
fn sections(text: &str) -> Queries {
    let mut names = vec!["defaults".to_owned()];
    let mut queries = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(section) => names = section.split_whitespace().map(str::to_owned).collect(),
            None if line.is_empty() => {}
            None => queries.extend(names.iter().map(|name| (name.clone(), line.to_owned()))),
        }
    }
    queries
}

/// The `browserslist` of a `package.json`: a query, several, or either for each environment.
fn environments(text: &str) -> Result<Option<Queries>, Fault> {
    let package: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        Fault::new(format!("`{PACKAGE}` is not valid JSON: {error}")).at_line(
            PACKAGE,
            text,
            error.line(),
            error.column(),
        )
    })?;
    let of = |name: &str, value: &serde_json::Value| -> Option<Queries> {
        let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        list.iter().map(|query| Some((name.to_owned(), query.as_str()?.to_owned()))).collect()
    };
    let queries = match package.get("browserslist") {
        None => return Ok(None),
        Some(serde_json::Value::Object(lists)) => {
            lists.iter().map(|(name, list)| of(name, list)).collect::<Option<Vec<_>>>().map(|lists| lists.concat())
        }
        Some(value) => of("defaults", value),
    };
    queries.map(Some).ok_or_else(|| {
        Text { name: PACKAGE, text }
            .fault(format!("the `browserslist` of `{PACKAGE}` is neither a query nor a list of them"), "browserslist")
            .hint("write a query such as `\"defaults\"`, or a list")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(files: &[(&str, &str)]) -> Result<Targets, Fault> {
        let site = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(site.path().join(name), text).unwrap();
        }
        Targets::of_files(site.path())
    }

    #[test]
    fn a_mode_has_its_own_browsers_or_those_of_production() {
        for (name, text, production, development) in [
            (RC, "# these\nchrome 80 # old\n\nfirefox 70\n", "chrome 80, firefox 70", "chrome 80, firefox 70"),
            (RC, "ie 11\n[production staging]\nchrome 80\n[development]\nchrome 120\n", "chrome 80", "chrome 120"),
            (RC, "ie 11\n[modern]\nchrome 120\n", "ie 11", "ie 11"),
            (PACKAGE, "{\"browserslist\": \"> 1%\"}", "> 1%", "> 1%"),
            (PACKAGE, "{\"browserslist\": [\"> 1%\", \"not dead\"]}", "> 1%, not dead", "> 1%, not dead"),
            (PACKAGE, "{\"browserslist\": {\"production\": [\"ie 11\"]}}", "ie 11", "ie 11"),
            (
                PACKAGE,
                "{\"browserslist\": {\"production\": \"ie 11\", \"development\": [\"chrome 120\"]}}",
                "ie 11",
                "chrome 120",
            ),
            (PACKAGE, "{}", "defaults", "defaults"),
        ] {
            let targets = targets(&[(name, text)]).unwrap();
            assert_eq!(
                (targets.query(Mode::Production), targets.query(Mode::Development)),
                (production, development),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told() {
        for (files, want) in [
            (vec![(RC, "[production]\nnetscape 4\n")], "`netscape 4` is no browserslist query"),
            (vec![(PACKAGE, "{\"browserslist\": 1}")], "neither a query nor a list"),
            (vec![(PACKAGE, "{")], "not valid JSON"),
            (vec![(PACKAGE, "{\"browserslist\": []}"), (RC, "")], "both say which browsers"),
        ] {
            let fault = targets(&files).unwrap_err();
            assert!(fault.to_string().contains(want), "{fault}");
            assert!(miette::Diagnostic::labels(&fault).is_some(), "{fault}");
        }
    }
}

//! From bundles that are defined in Python, for webassets or Flask-Assets, to a configuration that builds them.
//!
//! The app's own Python says what there is: `python -m fingerpost.webassets --json`, of the package in `python/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::fs;

/// The one version of the answer that is read here.
const VERSION: u32 = 1;

/// Where an app lies if nobody says so, as Flask has it.
const USUAL: [&str; 2] = ["wsgi", "app"];

/// What is asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Where the app or its environment is: `shop:app`, or a YAML file.
    pub target: Option<String>,
    /// The interpreter that has the app's packages.
    pub python: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The target that was taken.
    pub target: String,
    /// The names of the bundles that will be built.
    pub bundles: Vec<String>,
    /// What did not carry over.
    pub warnings: Vec<String>,
}

/// Writes the configuration for an app's bundles into its folder. Nothing else there is touched.
pub fn import(folder: &Path, request: &Request) -> Result<Imported> {
    let path = folder.join(super::CONFIG);
    if path.exists() {
        return Err(Error::Usage {
            message: format!("`{}` already has a `{}`", folder.display(), super::CONFIG),
            help: "`python -m fingerpost.webassets TARGET` prints the bundles, for you to add".to_owned(),
        });
    }
    let folder = folder.canonicalize().map_err(Error::io("open the folder", folder))?;
    let target = match &request.target {
        Some(target) => target.clone(),
        None => usual(&folder)?,
    };
    let found = Python::find(&folder, request.python.as_deref()).ask(&folder, &target)?;
    let assets = found.assets(&target, &folder)?;
    let written = Written { target: &target, assets, folder: &folder }.text(&found.bundles);
    fs::write(&path, written.text.as_bytes())?;
    Ok(Imported { target, bundles: written.bundles, warnings: written.warnings })
}

fn usual(folder: &Path) -> Result<String> {
    let named = std::env::var("FLASK_APP").ok().filter(|name| !name.is_empty());
    let lies = || USUAL.into_iter().find(|name| folder.join(format!("{name}.py")).is_file()).map(str::to_owned);
    named.or_else(lies).ok_or_else(|| Error::Usage {
        message: format!("there is neither a `wsgi.py` nor an `app.py` in `{}`", folder.display()),
        help: "say where the app is: `--from-webassets MODULE:NAME`".to_owned(),
    })
}

/// An interpreter.
struct Python {
    path: PathBuf,
    /// Whether somebody said that it should be this one.
    is_named: bool,
}

impl Python {
    /// The one that is named; or else that of the environment that is active, of the one in the folder, of the path.
    fn find(folder: &Path, named: Option<&Path>) -> Self {
        if let Some(path) = named {
            return Python { path: path.to_owned(), is_named: true };
        }
        let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
        let mut environments = active.into_iter().chain([folder.join(".venv")]).map(|environment| {
            let own = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
            environment.join(own)
        });
        let path = environments.find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("python3"));
        Python { path, is_named: false }
    }

    fn ask(&self, folder: &Path, target: &str) -> Result<Found> {
        let mut command = Command::new(&self.path);
        command.args(["-m", "fingerpost.webassets", "--json", "--root"]).arg(folder).arg("--").arg(target);
        // Nothing is left behind in the app's folder.
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        let output = command.output().map_err(|error| self.does_not_run(&error))?;
        if !output.status.success() {
            return Err(self.failed(&output, target));
        }
        let read = serde_json::from_slice::<Found>(&output.stdout).map_err(|error| error.to_string());
        let right = |found: Found| match found.version {
            VERSION => Ok(found),
            other => Err(format!("it is of version {other}, and this program reads version {VERSION}")),
        };
        read.and_then(right).map_err(|reason| Error::Usage {
            message: format!("could not read what `{}` says of the bundles: {reason}", self.path.display()),
            help: self.install(),
        })
    }

    fn does_not_run(&self, error: &std::io::Error) -> Error {
        Error::Usage {
            message: format!("could not run `{}`: {error}", self.path.display()),
            help: match self.is_named {
                true => "name the interpreter that has the app's packages with `--python`".to_owned(),
                false => "install Python 3.11 or later, or name the app's interpreter with `--python`".to_owned(),
            },
        }
    }

    /// The package says what is wrong in a line of its own; what Python itself says ends with the reason.
    fn failed(&self, output: &Output, target: &str) -> Error {
        let said = String::from_utf8_lossy(&output.stderr);
        let python = self.path.display();
        if said.contains("No module named 'fingerpost") || said.contains("No module named fingerpost") {
            let message = format!("`{python}` does not have the package `fingerpost`, which reads the bundles");
            return Error::Usage { message, help: self.install() };
        }
        let reason = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
        let last = || said.lines().rev().find(|line| !line.trim().is_empty()).map(str::trim);
        Error::Usage {
            message: match reason.or_else(last) {
                Some(reason) => reason.to_owned(),
                None => format!("`{python} -m fingerpost.webassets {target}` failed ({})", output.status),
            },
            help: format!(
                "`{python}` was asked for `{target}`; name another app with `--from-webassets MODULE:NAME`, or the interpreter that has \
                 its packages with `--python`"
            ),
        }
    }

    fn install(&self) -> String {
        format!(
            "`{} -m pip install fingerpost` brings it; or name the interpreter of the app with `--python`",
            self.path.display()
        )
    }
}

/// What the package found, as it says it.
#[derive(Debug, Deserialize)]
struct Found {
    version: u32,
    /// The folder of the sources, below the root.
    assets: Option<String>,
    bundles: Vec<Bundle>,
}

#[derive(Debug, Deserialize)]
struct Bundle {
    name: String,
    inputs: Vec<String>,
    /// What templates call it.
    alias: Option<String>,
    /// Filters that a build does not have.
    #[serde(default)]
    filters: Vec<String>,
    /// Filters that a build has of its own.
    #[serde(default)]
    replaced: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Found {
    fn assets(&self, target: &str, folder: &Path) -> Result<&str> {
        let wrong = |message: String, help: &str| Err(Error::Usage { message, help: help.to_owned() });
        let root = folder.display();
        match self.assets.as_deref() {
            Some(".") => wrong(
                format!("the sources of `{target}` lie in the root `{root}` itself"),
                "move them into a folder below it: a site's other files are none of its assets",
            ),
            Some(assets) => Ok(assets),
            None => wrong(
                format!("the static folder of `{target}` is not below the root `{root}`"),
                "name a folder that holds it: `fingerpost init FOLDER --from-webassets …`",
            ),
        }
    }
}

/// A configuration that is being written.
struct Written<'a> {
    target: &'a str,
    assets: &'a str,
    folder: &'a Path,
}

struct Text {
    text: String,
    bundles: Vec<String>,
    warnings: Vec<String>,
}

impl Written<'_> {
    fn text(&self, found: &[Bundle]) -> Text {
        let mut out = Text { text: self.head(), bundles: Vec::new(), warnings: Vec::new() };
        let mut names = BTreeSet::new();
        for bundle in found {
            let mut warnings = bundle.warnings.clone();
            let is_first = names.insert(bundle.name.as_str());
            if !is_first {
                warnings.push(format!("another bundle is named `{}` as well: give it another name", bundle.name));
            }
            let has_kind = [".css", ".js", ".mjs"].iter().any(|end| bundle.name.ends_with(end));
            let is_built = is_first && has_kind && !bundle.inputs.is_empty();
            out.text.push_str(&bundle.table(&warnings, is_built));
            let called = bundle.alias.as_deref().unwrap_or(&bundle.name);
            out.warnings.extend(warnings.iter().map(|warning| format!("`{called}`: {warning}")));
            if is_built {
                out.bundles.push(bundle.name.clone());
            }
        }
        out.text.push_str(TAIL);
        out
    }

    fn head(&self) -> String {
        // A folder of the app's own templates is none of a site's pages: they need what only the app has.
        let pages = free(self.folder, &["pages", "site-pages", "fingerpost-pages"]);
        let is_output = |name: &&str| self.folder.join(name).join(crate::manifest::PATH).is_file();
        let out = ["dist"].into_iter().find(is_output).unwrap_or_else(|| free(self.folder, &["dist", "built"]));
        let out = if out == "dist" { String::new() } else { format!("out = {}\n", string(out)) };
        format!(
            "# What `fingerpost init --from-webassets` made of the bundles of `{}`.\n\n[build]\nassets = {}\n\
             templates = {}          # there is no such folder: the app renders its own templates\n{out}\n",
            one_line(self.target),
            string(self.assets),
            string(pages),
        )
    }
}

const TAIL: &str = "\
# Where built files are fetched from in production, if not from the app's own origin:
#
# [env.production]
# asset_base = \"https://cdn.example.com/\"
";

impl Bundle {
    /// The table, in comments if it can't be built as it is.
    fn table(&self, warnings: &[String], is_built: bool) -> String {
        let mut comments = Vec::new();
        if let Some(alias) = &self.alias {
            comments.push(format!("{{% assets {} %}}", string(alias)));
        }
        if !self.replaced.is_empty() {
            comments.push(format!("no longer needed, since a build does it by itself: {}", self.replaced.join(", ")));
        }
        if !self.filters.is_empty() {
            comments.push(format!("left out: {}", self.filters.join(", ")));
        }
        comments.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
        let mut out: String = comments.iter().map(|line| format!("# {}\n", one_line(line))).collect();
        let mark = if is_built { "" } else { "# " };
        let mut lines = vec!["[[bundle]]".to_owned(), format!("name = {}", string(&self.name))];
        match self.inputs.as_slice() {
            [] | [_] => {
                lines.push(format!("inputs = [{}]", self.inputs.iter().map(|input| string(input)).collect::<String>()))
            }
            inputs => {
                lines.push("inputs = [".to_owned());
                lines.extend(inputs.iter().map(|input| format!("  {},", string(input))));
                lines.push("]".to_owned());
            }
        }
        lines.iter().for_each(|line| out.push_str(&format!("{mark}{line}\n")));
        out.push('\n');
        out
    }
}

/// The first of the names that nothing in the folder has, or else the last.
fn free<'n>(folder: &Path, names: &[&'n str]) -> &'n str {
    let is_free = |name: &&&str| !folder.join(name).exists();
    names.iter().find(is_free).or(names.last()).copied().unwrap_or_default()
}

/// What JSON escapes in a string, TOML does in the same way, but for this one character.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(name: &str, inputs: &[&str]) -> Bundle {
        Bundle {
            name: name.to_owned(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            alias: None,
            filters: Vec::new(),
            replaced: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn written(folder: &Path, found: &[Bundle]) -> Text {
        Written { target: "shop:app", assets: "shop/static", folder }.text(found)
    }

    #[test]
    fn what_can_not_be_built_is_a_comment() {
        let folder = tempfile::tempdir().unwrap();
        let found = [
            Bundle { alias: Some("all\n\"x".to_owned()), ..bundle("a.css", &["b.css", "c\"\u{7f}.css"]) },
            Bundle { warnings: vec!["a\nb".to_owned()], ..bundle("a.css", &["d.css"]) },
            bundle("x.less", &["d.css"]),
            bundle("none.js", &[]),
        ];
        let text = written(folder.path(), &found);
        assert_eq!(text.bundles, ["a.css"]);
        assert_eq!(text.warnings.len(), 2, "{:?}", text.warnings);
        let lines: Vec<&str> = text.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "[build]",
                "assets = \"shop/static\"",
                "templates = \"pages\"          # there is no such folder: the app renders its own templates",
                "[[bundle]]",
                "name = \"a.css\"",
                "inputs = [",
                "  \"b.css\",",
                "  \"c\\\"\\u007f.css\",",
                "]"
            ]
        );
    }

    #[test]
    fn folders_of_the_apps_own_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pages", "dist"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let text = written(folder.path(), &[]).text;
        assert!(text.contains("templates = \"site-pages\"") && text.contains("out = \"built\"\n"), "{text}");
        std::fs::create_dir(folder.path().join("dist/.fingerpost")).unwrap();
        std::fs::write(folder.path().join("dist/.fingerpost/manifest.json"), "{}").unwrap();
        assert!(!written(folder.path(), &[]).text.contains("out ="));
    }
}

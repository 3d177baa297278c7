//! Imports of something else than code: stylesheets, URLs, texts, workers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arcstr::ArcStr;
use rolldown::ModuleType;
use rolldown::plugin::{HookLoadOutput, PluginContext};
use rolldown_common::side_effects::HookSideEffects;

use super::closed;
use super::edits::literal;
use super::plugin::{Hooks, lock};
use crate::asset::extension;
use crate::fs;

/// A file's extension as what it is to a module that imports it.
pub enum Import {
    /// The bundler's own affair.
    Code,
    Sheet,
    Asset,
    /// It would have to be compiled by something else first.
    Foreign,
}

impl Import {
    pub fn of(path: &str) -> Import {
        match extension(path).as_str() {
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" | "json" | "txt" | "" => Import::Code,
            "css" | "scss" | "sass" => Import::Sheet,
            "vue" | "svelte" | "astro" | "mdx" | "less" | "styl" | "stylus" | "coffee" | "elm" => Import::Foreign,
            _ => Import::Asset,
        }
    }
}

impl Hooks {
    /// Code for an import that asks for something else than the module: its URL, its text, a worker.
    pub async fn queried(
        &self,
        ctx: &PluginContext,
        id: &str,
        path: &str,
        query: &str,
    ) -> anyhow::Result<Option<String>> {
        let refuse = |fault| self.refuse(id, fault);
        let file = Path::new(path);
        let code = match query {
            "raw" => {
                let text = fs::read_text(file, &self.name(path)).map_err(|error| refuse(error.into_fault()))?;
                format!("export default {};", literal(&text))
            }
            "url" => match Import::of(path) {
                Import::Sheet => {
                    let made = self.job.host.sheet_file(file).map_err(refuse)?;
                    format!("export default {};", self.url(ctx, &made).await?)
                }
                _ if Self::is_module(file) => format!("export default {};", self.closed(ctx, id, file).await?),
                _ => format!("export default {};", self.asset(ctx, id, file).await?),
            },
            "inline" => match Import::of(path) {
                Import::Sheet => {
                    let pieces = self.job.host.sheet_text(file).map_err(refuse)?;
                    let mut parts = vec!["\"\"".to_owned()];
                    for piece in pieces {
                        parts.push(match piece {
                            Piece::Text(text) => literal(&text),
                            Piece::File(file) => self.url(ctx, &file).await?,
                        });
                    }
                    format!("export default {};", parts.join(" + "))
                }
                _ => {
                    let url = self.job.host.data_url(file).map_err(refuse)?;
                    format!("export default {};", literal(&url))
                }
            },
            "worker" | "sharedworker" => {
                let class = if query == "worker" { "Worker" } else { "SharedWorker" };
                let url = self.closed(ctx, id, file).await?;
                let url = closed::same_origin(&url, true, class == "SharedWorker");
                format!(
                    "export default function (options) {{ return new {class}({url}, {{ ...options, type: \"module\" }}); }}"
                )
            }
            _ => return Ok(None),
        };
        Ok(Some(code))
    }

    pub fn sheet(&self, id: &str) -> anyhow::Result<HookLoadOutput> {
        let code = match is_css_module(id) {
            true => {
                let module = self.job.host.css_module(Path::new(id)).map_err(|fault| self.refuse(id, fault))?;
                class_names(&module)
            }
            false => "export {}".to_owned(),
        };
        lock(&self.modules).sheets.insert(id.to_owned());
        let mut output = javascript(code);
        output.side_effects = Some(HookSideEffects::False);
        Ok(output)
    }
}

/// What a CSS module gives to the script that imports it.
#[derive(Debug)]
pub struct ClassNames {
    /// Each local name with the names of its element's `class`, separated by spaces.
    pub classes: BTreeMap<String, String>,
    /// The sheets that it composes from.
    pub dependencies: BTreeSet<PathBuf>,
}

/// A part of a stylesheet's text, or the URL of a file in it.
pub enum Piece {
    Text(String),
    /// Below the prefix.
    File(String),
}

/// The file that was read to load the module of that id. Of others it only matters that they are there; what stylesheets are made
/// of is known to who compiles them.
pub fn read_by(id: &str) -> Option<PathBuf> {
    let (path, query) = id.split_once('?').unwrap_or((id, ""));
    let is_read = match query {
        "" => matches!(Import::of(path), Import::Code),
        query => query == "raw",
    };
    (is_read && Path::new(path).is_absolute()).then(|| PathBuf::from(path))
}

fn is_css_module(path: &str) -> bool {
    [".module.css", ".module.scss", ".module.sass"].iter().any(|end| path.ends_with(end))
}

/// The names of a CSS module's classes as a module: all of them as an object, and each by its name.
fn class_names(module: &ClassNames) -> String {
    // Those that it composes from cascade before it.
    let import = |path: &PathBuf| format!("import {};\n", literal(&path.to_string_lossy()));
    let mut code: String = module.dependencies.iter().map(import).collect();
    code.push_str(&format!("export default {};", serde_json::to_string(&module.classes).unwrap_or_default()));
    for (index, (name, value)) in module.classes.iter().enumerate().filter(|(_, (name, _))| *name != "default") {
        code.push_str(&format!("\nconst c{index} = {}; export {{ c{index} as {} }};", literal(value), literal(name)));
    }
    code
}

/// Code as the bundler takes it.
pub fn javascript(code: impl Into<ArcStr>) -> HookLoadOutput {
    HookLoadOutput { code: code.into(), module_type: Some(ModuleType::Js), ..HookLoadOutput::default() }
}

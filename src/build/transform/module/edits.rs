//! What is written in the place of what a script refers to.

use std::path::Path;

use rolldown::plugin::{HookTransformOutputMap, PluginContext};
use string_wizard::{Hires, MagicString, SourceMapOptions};

use super::plugin::{Hooks, lock};
use super::references::{Options, Place, Reference};
use super::{closed, glob};
use crate::asset::{relative_url, split_suffix};

/// A text for a place in a script.
pub type Edit = (Place, String);

impl Hooks {
    /// The text that takes a reference's place, and the imports that it needs; none leaves it as it is.
    pub async fn replacement(
        &self,
        ctx: &PluginContext,
        importer: &str,
        index: usize,
        reference: &Reference,
    ) -> anyhow::Result<Vec<Edit>> {
        match reference {
            Reference::Glob { call, glob } => {
                let root = &self.job.config.root;
                let found = glob::files(root, Path::new(split_suffix(importer).0), &glob.patterns)
                    .map_err(|fault| self.refuse(importer, fault))?;
                let (imports, object) = glob::code(glob, &found, index);
                Ok(vec![(0..0, imports), (call.clone(), object)])
            }
            Reference::Url { new, specifier } => {
                let Some(path) = self.target(ctx, importer, specifier).await else {
                    self.unknown_url(importer, specifier);
                    return Ok(Vec::new());
                };
                let url = match Self::is_module(&path) {
                    true => self.closed(ctx, importer, &path).await?,
                    false => self.asset(ctx, importer, &path).await?,
                };
                let suffix = split_suffix(specifier).1;
                let suffix = if suffix.is_empty() { String::new() } else { format!(" + {suffix:?}") };
                Ok(vec![(new.clone(), format!("new URL({url}{suffix})"))])
            }
            Reference::UrlTemplate { argument, parts } => {
                let pattern = parts.iter().map(|part| globset::escape(part)).collect::<Vec<_>>().join("*");
                if !pattern.starts_with('.') {
                    return Ok(Vec::new());
                }
                let importing = Path::new(split_suffix(importer).0);
                let found = glob::files(&self.job.config.root, importing, &[pattern])
                    .map_err(|fault| self.refuse(importer, fault))?;
                let mut pairs = Vec::new();
                for file in &found {
                    pairs.push(format!("{:?}: {}", file.key, self.asset(ctx, importer, &file.path).await?));
                }
                let table = format!("({{{}}})[", pairs.join(", "));
                Ok(vec![(argument.start..argument.start, table), (argument.end..argument.end, "]".to_owned())])
            }
            Reference::Worker { url, specifier, options, shared } => {
                let Some(path) = self.target(ctx, importer, specifier).await else {
                    self.unknown_url(importer, specifier);
                    return Ok(Vec::new());
                };
                let says_module = matches!(options, Options::Literal { is_module: Some(true), .. });
                let module = says_module || Self::is_module(&path);
                let file = match module {
                    true => self.closed(ctx, importer, &path).await?,
                    false => self.asset(ctx, importer, &path).await?,
                };
                let mut edits = vec![(url.clone(), closed::same_origin(&file, module, *shared))];
                if module {
                    edits.extend(module_options(options));
                }
                Ok(edits)
            }
        }
    }

    fn unknown_url(&self, importer: &str, specifier: &str) {
        if split_suffix(specifier).0.starts_with('.') {
            let importer = self.name(importer);
            lock(&self.job.warnings).insert(format!(
                "`{importer}` refers to `{specifier}` with `new URL(…, import.meta.url)`, and there is no such file"
            ));
        }
    }
}

/// Edits to a worker's options that make it a module worker.
fn module_options(options: &Options) -> Vec<Edit> {
    match options {
        Options::None(at) => vec![(*at..*at, ", { type: \"module\" }".to_owned())],
        Options::Literal { is_module: Some(true), .. } => Vec::new(),
        Options::Literal { inner, .. } => vec![(*inner..*inner, " type: \"module\", ".to_owned())],
        Options::Expression(place) => vec![
            (place.start..place.start, "{ ...".to_owned()),
            (place.end..place.end, ", type: \"module\" }".to_owned()),
        ],
    }
}

/// The code with some places replaced, and the map from there to here.
pub fn edited(code: &str, name: &str, edits: Vec<Edit>) -> anyhow::Result<(String, HookTransformOutputMap)> {
    let mut magic = MagicString::new(code);
    for (place, text) in edits {
        let (start, end) = (u32::try_from(place.start)?, u32::try_from(place.end)?);
        match start == end {
            true => magic.append_left(start, text).map(|_| ()),
            false => magic.update(start, end, text).map(|_| ()),
        }
        .map_err(|error| anyhow::anyhow!("could not edit the script: {error:?}"))?;
    }
    let options = SourceMapOptions { hires: Hires::Boundary, include_content: false, source: name.into() };
    let map = HookTransformOutputMap::Sourcemap(Box::new(magic.source_map(options)));
    Ok((magic.to_string(), map))
}

/// A string as JavaScript has it; JSON's strings are JavaScript's since ES2019.
pub fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A relative URL that is one to an import, too: it begins with a dot.
pub fn dotted(from: &str, to: &str) -> String {
    let url = relative_url(from, to);
    if url.starts_with('.') { url } else { format!("./{url}") }
}

//! The build in the words of esbuild, for the tools that read its metafile.
//!
//! Schema: `Metafile` in <https://esbuild.github.io/api/#metafile>. Inputs are named below the root, outputs below the output folder.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Built;
use super::contents::{Import, Source};
use super::output::{Imports, Output};
use super::record::Relation;
use crate::asset::extension;
use crate::manifest::Kind;

#[derive(Serialize)]
struct Metafile {
    inputs: BTreeMap<String, InputFile>,
    outputs: BTreeMap<String, OutputFile>,
}

#[derive(Serialize)]
struct InputFile {
    bytes: u64,
    imports: Vec<Import>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputFile {
    bytes: u64,
    inputs: BTreeMap<String, Part>,
    imports: Vec<OutputImport>,
    exports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_point: Option<String>,
    /// Where it needs several stylesheets, the first of the cascade: there is a place for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    css_bundle: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    bytes_in_output: u64,
}

#[derive(Serialize)]
struct OutputImport {
    path: String,
    kind: &'static str,
}

impl Built {
    /// The metafile as JSON, sorted. Pages are none of its business, and neither is what `public/` holds.
    pub fn metafile(&self) -> String {
        let input = |source: Source| InputFile { bytes: source.bytes, imports: source.imports };
        let assets = self.outputs.files.iter().filter(|(_, output)| output.kind == Kind::Asset);
        let outputs: BTreeMap<String, OutputFile> =
            assets.map(|(path, output)| (path.clone(), self.output_file(path, output))).collect();
        let inputs = self.sources().into_iter().map(|(name, source)| (name, input(source))).collect();
        let metafile = Metafile { inputs, outputs };
        let mut text = serde_json::to_string_pretty(&metafile).unwrap_or_default();
        text.push('\n');
        text
    }

    fn output_file(&self, path: &str, output: &Output) -> OutputFile {
        let chunk = self.outputs.imports.get(path);
        let named = output.refers.iter().map(|(relation, path)| (*relation, path));
        let imports = chunk.into_iter().flat_map(Imports::references).chain(named);
        let import =
            |(relation, path): (Relation, &String)| Some(OutputImport { path: path.clone(), kind: kind(relation)? });
        let is_code = matches!(extension(path).as_str(), "js" | "css");
        let is_entry = self.manifest.entries.values().any(|entry| entry.file == path);
        OutputFile {
            bytes: output.bytes.len() as u64,
            inputs: self
                .parts(path, output)
                .into_iter()
                .map(|(source, bytes_in_output)| (source, Part { bytes_in_output }))
                .collect(),
            imports: imports.filter_map(import).collect(),
            exports: chunk.map(|chunk| chunk.exports.clone()).unwrap_or_default(),
            entry_point: output
                .source
                .clone()
                .filter(|_| is_code && (is_entry || chunk.is_some_and(|chunk| chunk.is_dynamic_entry))),
            css_bundle: chunk.and_then(|chunk| chunk.sheets.first().cloned()),
        }
    }
}

/// The word for it; none for what is said elsewhere in a metafile, or nowhere.
fn kind(relation: Relation) -> Option<&'static str> {
    match relation {
        Relation::Import => Some("import-statement"),
        Relation::DynamicImport => Some("dynamic-import"),
        Relation::Asset => Some("file-loader"),
        Relation::Url => Some("url-token"),
        Relation::Stylesheet | Relation::ImportMap | Relation::Preload | Relation::Page | Relation::SourceMap => None,
    }
}

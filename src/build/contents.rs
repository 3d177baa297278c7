//! What a build is made up of, in bytes: how much of each output comes from which source, and which sources name which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use oxc_sourcemap::SourceMap;
use serde::Serialize;

use super::Built;
use super::output::{Output, Outputs};
use super::record::{Relation, locate};
use crate::manifest::Kind;

/// Something that a source names, in the words of esbuild's metafile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Import {
    pub path: String,
    pub kind: ImportKind,
    /// As it is written there, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// It is none of the site's files, and stays as it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

impl Import {
    /// An import of one of the site's files.
    pub fn of(path: String, kind: ImportKind) -> Self {
        Import { path, kind, original: None, external: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ImportKind {
    #[serde(rename = "import-statement")]
    Statement,
    #[serde(rename = "dynamic-import")]
    Dynamic,
    #[serde(rename = "import-rule")]
    Rule,
    #[serde(rename = "url-token")]
    Url,
}

/// A source that went into the build.
#[derive(Debug)]
pub struct Source {
    pub bytes: u64,
    pub imports: Vec<Import>,
}

impl Built {
    /// Every source that went into an output, by its name below the root.
    pub(super) fn sources(&self) -> BTreeMap<String, Source> {
        let assets = self.record.files.values().filter(|made| made.kind == Kind::Asset);
        let names: BTreeSet<&String> = assets
            .flat_map(|made| made.inputs.keys())
            .chain(self.outputs.sources.keys())
            .filter(|name| self.path_of(name).is_some())
            .collect();
        let source = |name: &String| {
            let imports = self.outputs.sources.get(name);
            Source {
                bytes: self.path_of(name).and_then(|path| Some(path.metadata().ok()?.len())).unwrap_or_default(),
                // What the bundler brings along by itself is no source.
                imports: imports.into_iter().flatten().filter(|import| names.contains(&import.path)).cloned().collect(),
            }
        };
        names.iter().map(|name| ((*name).clone(), source(name))).collect()
    }

    pub(super) fn path_of(&self, source: &str) -> Option<PathBuf> {
        locate(&self.root, source)
    }

    /// How many bytes of an output come from each of its sources; what the bundler adds by itself is nobody's. A page is its
    /// own template's, whatever it includes.
    pub(super) fn parts(&self, path: &str, output: &Output) -> BTreeMap<String, u64> {
        let inputs: Vec<&String> = match output.kind {
            Kind::Asset => output.inputs.iter().filter(|input| self.path_of(input).is_some()).collect(),
            Kind::Page | Kind::Public => output.source.iter().collect(),
        };
        let whole = output.bytes.len() as u64;
        if let [only] = inputs.as_slice() {
            return BTreeMap::from([((*only).clone(), whole)]);
        }
        let mut parts: BTreeMap<String, u64> = inputs.iter().map(|input| ((*input).clone(), 0)).collect();
        let shares = match map_of(&self.outputs, output) {
            Some(map) => weigh(&map, &output.bytes),
            None => shares(&self.outputs, path, whole),
        };
        for (source, bytes) in shares {
            if let Some(part) = parts.get_mut(&source) {
                *part += bytes;
            }
        }
        parts
    }
}

/// The source map of an output, private or public.
fn map_of(outputs: &Outputs, output: &Output) -> Option<String> {
    let public = output.refers.iter().find(|(relation, _)| *relation == Relation::SourceMap);
    let public = public.and_then(|(_, path)| outputs.files.get(path));
    output.map.clone().or_else(|| Some(String::from_utf8_lossy(&public?.bytes).into_owned()))
}

/// Every byte counted for the source of the mapping that it follows.
fn weigh(map: &str, bytes: &[u8]) -> BTreeMap<String, u64> {
    let Ok(map) = SourceMap::from_json_string(map) else { return BTreeMap::new() };
    let mut mappings: Vec<(u32, u32, Option<u32>)> =
        map.get_tokens().map(|token| (token.get_dst_line(), token.get_dst_col(), token.get_source_id())).collect();
    mappings.sort_by_key(|(line, column, _)| (*line, *column));
    let mut mappings = mappings.into_iter().peekable();
    let (mut weights, mut source) = (BTreeMap::<u32, u64>::new(), None);
    // Lines and columns are counted from 0, columns in UTF-16, see https://tc39.es/ecma426/.
    let (mut line, mut column) = (0, 0);
    for char in String::from_utf8_lossy(bytes).chars() {
        while let Some((_, _, next)) = mappings.next_if(|(at, from, _)| (*at, *from) <= (line, column)) {
            source = next;
        }
        if let Some(source) = source {
            *weights.entry(source).or_default() += char.len_utf8() as u64;
        }
        match char {
            '\n' => (line, column) = (line + 1, 0),
            char => column += char.len_utf16() as u32,
        }
    }
    weights.into_iter().filter_map(|(id, weight)| Some((map.get_source(id)?.to_owned(), weight))).collect()
}

/// Without a map: in the proportion that the modules had before the chunk was minified.
fn shares(outputs: &Outputs, path: &str, whole: u64) -> BTreeMap<String, u64> {
    let modules = outputs.imports.get(path).map(|imports| imports.modules.as_slice()).unwrap_or_default();
    let rendered: u64 = modules.iter().map(|(_, bytes)| bytes).sum();
    let share = |bytes: u64| (u128::from(bytes) * u128::from(whole) / u128::from(rendered.max(1))) as u64;
    modules.iter().map(|(source, bytes)| (source.clone(), share(*bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_belongs_to_the_mapping_before_it() {
        // `é1;` from a.js, `two` and the second line from b.js: AAAA at column 0, ICAA at column 4, and at the next line's start.
        let map = r#"{"version":3,"sources":["a.js","b.js"],"names":[],"mappings":"AAAA,ICAA;AAAA"}"#;
        let weights = weigh(map, "é1;;two\nx".as_bytes());
        assert_eq!(weights, BTreeMap::from([("a.js".to_owned(), 5), ("b.js".to_owned(), 5)]));
        assert_eq!(weigh("{", b"x"), BTreeMap::new());
    }
}

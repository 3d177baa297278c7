//! What is done to a chunk when all of it is there: names are shortened, code is compressed, white space goes.
//!
//! Here, not in the bundler, so that a chunk that has not changed is taken from the cache.

use std::path::PathBuf;

use oxc::allocator::Allocator;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, LegalComment};
use oxc::mangler::MangleOptions;
use oxc::minifier::{CompressOptions, Minifier, MinifierOptions};
use oxc::parser::{ParseOptions, Parser};
use oxc::span::SourceType;
use oxc::transformer::EngineTargets;
use oxc_sourcemap::SourceMap;
use rolldown_sourcemap::collapse_sourcemaps;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::error::{Fault, Result};
use crate::manifest::Mode;

/// A chunk's code as it is printed at the end.
#[derive(Serialize, Deserialize)]
struct Printed {
    code: String,
    /// From there to the code as the bundler made it.
    map: Option<String>,
}

/// Minifies a chunk, in production; `name` stands in no result.
pub fn minify(
    job: &Job,
    name: &str,
    code: String,
    map: Option<SourceMap<'static>>,
) -> Result<(String, Option<SourceMap<'static>>)> {
    if job.mode != Mode::Production {
        return Ok((code, map));
    }
    let targets = job.config.targets.query(job.mode);
    let key = [code.as_bytes(), targets.as_bytes(), &[u8::from(map.is_some())]];
    let printed: Printed = job.cache.get_or_make_value("chunk", &key, || print(name, &code, targets, map.is_some()))?;
    let outer = printed.map.as_deref().map(SourceMap::from_json_string).transpose();
    let outer = outer.map_err(|error| Fault::new(format!("the source map of `{name}` can't be read: {error}")))?;
    let map = map.zip(outer).map(|(inner, outer)| collapse_sourcemaps(&[&inner, &outer]));
    Ok((printed.code, map))
}

fn print(name: &str, code: &str, targets: &str, with_map: bool) -> Result<Printed> {
    let allocator = Allocator::default();
    let options = ParseOptions { preserve_parens: false, ..ParseOptions::default() };
    let parsed = Parser::new(&allocator, code, SourceType::mjs().with_jsx(true)).with_options(options).parse();
    let mut program = parsed.program;
    let target = EngineTargets::try_from_query(targets)
        .map_err(|error| Fault::new(format!("`{targets}` is no browserslist query: {error}")))?;
    let minified = Minifier::new(MinifierOptions {
        mangle: Some(MangleOptions { top_level: Some(true), ..MangleOptions::default() }),
        mangle_properties: None,
        compress: Some(CompressOptions { target, ..CompressOptions::smallest() }),
    })
    .minify(&allocator, &mut program);
    let printed = Codegen::new()
        .with_options(CodegenOptions {
            minify: true,
            comments: CommentOptions { normal: false, jsdoc: false, annotation: false, legal: LegalComment::None },
            source_map_path: with_map.then(|| PathBuf::from(name)),
            ..CodegenOptions::default()
        })
        .with_scoping(minified.scoping)
        .with_private_member_mappings(minified.class_private_mappings)
        .build(&program);
    let map = printed.map.map(|mut map| {
        // What it leads to is the bundler's code, which nobody will look at.
        map.set_source_contents(vec![None]);
        map.to_json_string()
    });
    Ok(Printed { code: printed.code, map })
}

//! What is done to a chunk when all of it is there: names are shortened, code is compressed, white space goes.
//!
//! Here, not in the bundler, so that a chunk that has not changed is taken from the cache, and so that all cores have a part
//! of a large one.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use oxc::allocator::Allocator;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, LegalComment};
use oxc::mangler::MangleOptions;
use oxc::minifier::{CompressOptions, Minifier, MinifierOptions};
use oxc::parser::{ParseOptions, Parser, ParserReturn};
use oxc::span::SourceType;
use oxc::transformer::EngineTargets;
use oxc_sourcemap::{SourceMap, Token};
use serde::{Deserialize, Serialize};

use super::Job;
use super::maps::{Piece, Positions, compose};
use crate::build::STACK;
use crate::config::SourceMaps;
use crate::error::{Fault, Result};
use crate::manifest::Mode;

mod names;
mod parts;

/// A chunk's code as it is printed at the end.
#[derive(Debug, Serialize, Deserialize)]
struct Printed {
    code: String,
    /// In the code as the bundler made it.
    positions: Option<Positions>,
}

/// How a chunk is printed.
struct Style {
    targets: EngineTargets,
    with_map: bool,
}

/// Minifies a chunk, in production. If that has [`Begun`], it is waited for.
pub fn minify(
    job: &Job,
    code: String,
    map: Option<SourceMap<'static>>,
    begun: Option<Begun>,
) -> Result<(String, Option<SourceMap<'static>>)> {
    if job.mode != Mode::Production {
        return Ok((code, map));
    }
    let printed = match begun.and_then(|begun| begun.end(&code)) {
        Some(printed) => printed?,
        None => printed(job, &code)?,
    };
    Ok((printed.code, map.zip(printed.positions).map(|(map, positions)| compose(map, &positions))))
}

fn printed(job: &Job, code: &str) -> Result<Printed> {
    let query = job.config.targets.query(job.mode);
    let targets = EngineTargets::try_from_query(query)
        .map_err(|error| Fault::new(format!("`{query}` is no browserslist query: {error}")))?;
    let style = Style { targets, with_map: job.config.source_maps != SourceMaps::None };
    let key = [code.as_bytes(), query.as_bytes(), &[u8::from(style.with_map)]];
    job.cache.get_or_make_value("chunk", &key, || Ok(parts::print(code, &style).unwrap_or_else(|| print(code, &style))))
}

/// A large chunk that is minified while the bundler, on one thread, still writes its map.
#[derive(Debug)]
pub struct Begun {
    code: Arc<String>,
    printed: JoinHandle<Result<Printed>>,
}

impl Begun {
    /// None if the chunk is not worth it.
    pub fn new(job: &Arc<Job>, code: &Arc<String>) -> Option<Begun> {
        if job.mode != Mode::Production || !parts::is_large(code) {
            return None;
        }
        let (job, own) = (Arc::clone(job), Arc::clone(code));
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || printed(&job, &own));
        Some(Begun { code: Arc::clone(code), printed: thread.ok()? })
    }

    /// None if the chunk became another since.
    fn end(self, code: &str) -> Option<Result<Printed>> {
        self.printed.join().ok().filter(|_| *self.code == code)
    }
}

/// Minifies the chunk as one.
fn print(code: &str, style: &Style) -> Printed {
    let allocator = Allocator::default();
    let mut program = parse(&allocator, code).program;
    let minified = Minifier::new(MinifierOptions {
        mangle: Some(MangleOptions { top_level: Some(true), ..MangleOptions::default() }),
        mangle_properties: None,
        compress: Some(style.compress()),
    })
    .minify(&allocator, &mut program);
    let codegen = style.codegen().with_scoping(minified.scoping);
    let printed = codegen.with_private_member_mappings(minified.class_private_mappings).build(&program);
    let piece = |tokens| Piece { tokens, line: 0, column: 0, source_line: 0 };
    let positions = tokens(printed.map).map(|tokens| Positions(vec![piece(tokens)]));
    Printed { code: printed.code, positions }
}

fn parse<'a>(allocator: &'a Allocator, code: &'a str) -> ParserReturn<'a> {
    let options = ParseOptions { preserve_parens: false, ..ParseOptions::default() };
    Parser::new(allocator, code, SourceType::mjs().with_jsx(true)).with_options(options).parse()
}

fn tokens(map: Option<SourceMap<'_>>) -> Option<Box<[Token]>> {
    map.map(|map| map.into_parts().tokens)
}

impl Style {
    fn compress(&self) -> CompressOptions {
        // A third look at all of it costs a tenth of the time, and saves one byte in a hundred thousand.
        CompressOptions { target: self.targets.clone(), max_iterations: Some(1), ..CompressOptions::smallest() }
    }

    fn codegen<'a>(&self) -> Codegen<'a> {
        Codegen::new().with_options(CodegenOptions {
            minify: true,
            comments: CommentOptions { normal: false, jsdoc: false, annotation: false, legal: LegalComment::None },
            source_map_path: self.with_map.then(PathBuf::new),
            ..CodegenOptions::default()
        })
    }
}

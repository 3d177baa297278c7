//! Scripts as text: whether one is a module, what it imports, and minification that leaves a page's global scope alone.
//!
//! The only file, beside the bundler's, that names oxc.

use std::path::Path;

use oxc::allocator::Allocator;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, LegalComment};
use oxc::mangler::MangleOptions;
use oxc::minifier::{CompressOptions, Minifier, MinifierOptions};
use oxc::parser::{Parser, ParserReturn};
use oxc::semantic::SemanticBuilder;
use oxc::span::{GetSpan, SourceType};
use oxc::transformer::{TransformOptions, Transformer};
use oxc_sourcemap::{ConcatSourceMapBuilder, SourceMap};
use serde::{Deserialize, Serialize};

use super::module::{Reference, find_references};
use crate::error::Fault;
use crate::manifest::Mode;

/// What a look at a script tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// It imports or exports, or uses `import.meta`.
    pub is_module: bool,
    /// The specifiers of its imports, static and dynamic, and of what it starts as a worker.
    pub imports: Vec<String>,
    /// The patterns of each `import.meta.glob(…)`.
    pub globs: Vec<Vec<String>>,
}

/// Parses a script, without judging it: what is no valid script is taken as no module.
pub fn syntax(path: &Path, text: &str) -> Syntax {
    let allocator = Allocator::default();
    let source_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("js") | None => SourceType::unambiguous(),
        _ => SourceType::from_path(path).unwrap_or_default(),
    };
    let parsed = Parser::new(&allocator, text, source_type).parse();
    let record = &parsed.module_record;
    let mut imports: Vec<String> = record.requested_modules.keys().map(ToString::to_string).collect();
    for import in &record.dynamic_imports {
        let source = import.module_request.source_text(text);
        imports.extend(source.get(1..source.len().saturating_sub(1)).map(str::to_owned));
    }
    let mut globs = Vec::new();
    // A faulty one is told when the script is bundled.
    for reference in find_references("", text, source_type).unwrap_or_default() {
        match reference {
            Reference::Url { specifier, .. } | Reference::Worker { specifier, .. } => {
                imports.push(if specifier.starts_with('.') { specifier } else { format!("./{specifier}") });
            }
            Reference::Glob { glob, .. } => globs.push(glob.patterns),
            Reference::UrlTemplate { .. } => {}
        }
    }
    imports.sort_unstable();
    Syntax { is_module: record.has_module_syntax, imports, globs }
}

#[derive(Serialize, Deserialize)]
pub struct Minified {
    pub code: String,
    /// The source map, as JSON.
    pub map: Option<String>,
}

/// How a script is run, and so what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It shares the page's global scope: top-level names are neither renamed nor dropped.
    Classic,
    Module,
}

/// Minifies one script. `name` is how the user knows it, and stands in the map.
pub fn minify(name: &str, text: &str, goal: Goal) -> Result<Minified, Fault> {
    let allocator = Allocator::default();
    let source_type = match goal {
        Goal::Classic => SourceType::script(),
        Goal::Module => SourceType::mjs(),
    };
    let parsed = Parser::new(&allocator, text, source_type).parse();
    let ParserReturn { mut program, diagnostics, module_record, .. } = parsed;
    if let Some(diagnostic) = diagnostics.iter().next() {
        let at = diagnostic.labels.first().map(|label| (label.offset() as usize, label.len() as usize));
        let message = format!("`{name}` is not a valid script: {}", diagnostic.message);
        return Err(fault(name, text, message, at).hint("correct the script at the marked place"));
    }
    if goal == Goal::Classic && module_record.has_module_syntax {
        let declaration = program.body.iter().find(|statement| statement.is_module_declaration());
        let at = declaration.map(|declaration| (declaration.span().start as usize, declaration.span().size() as usize));
        let message = format!("`{name}` is a module, and is loaded as a classic script");
        return Err(fault(name, text, message, at).hint("load it with `<script type=\"module\">`"));
    }
    let classic = goal == Goal::Classic;
    let options = MinifierOptions {
        mangle: Some(MangleOptions { top_level: Some(!classic), ..MangleOptions::default() }),
        // The compressor takes a top-level `let` that its file never writes for a constant; another script may write it.
        compress: (!classic).then(CompressOptions::smallest),
        mangle_properties: None,
    };
    let minified = Minifier::new(options).minify(&allocator, &mut program);
    let printed = Codegen::new()
        .with_options(CodegenOptions {
            minify: true,
            comments: CommentOptions { normal: false, jsdoc: false, annotation: false, legal: LegalComment::Inline },
            source_map_path: Some(Path::new(name).to_owned()),
            ..CodegenOptions::default()
        })
        .with_scoping(minified.scoping)
        .with_private_member_mappings(minified.class_private_mappings)
        .build(&program);
    Ok(Minified { code: printed.code, map: printed.map.map(|map| map.to_json_string()) })
}

/// The script as a browser can run it, otherwise as it was written: without types. `name` is how the user knows it.
pub fn without_types(name: &str, text: &str) -> Result<String, Fault> {
    let allocator = Allocator::default();
    let path = Path::new(name);
    let source_type = SourceType::from_path(path).unwrap_or_default();
    if !source_type.is_typescript() {
        return Ok(text.to_owned());
    }
    let ParserReturn { mut program, diagnostics, .. } = Parser::new(&allocator, text, source_type).parse();
    let scoping = SemanticBuilder::new().build(&program).semantic.into_scoping();
    let options = TransformOptions::default();
    let transformed = Transformer::new(&allocator, path, &options).build_with_scoping(scoping, &mut program);
    let found = diagnostics.iter().chain(transformed.diagnostics.iter()).next();
    if let Some(diagnostic) = found {
        let at = diagnostic.labels.first().map(|label| (label.offset() as usize, label.len() as usize));
        let message = format!("`{name}` is not a valid script: {}", diagnostic.message);
        return Err(fault(name, text, message, at).hint("correct the script at the marked place"));
    }
    Ok(Codegen::new().build(&program).code)
}

/// One classic script of several, in order. In development each stands as it was written.
///
/// What only holds for a whole script can't hold for a part of one: a `#!` line goes, and so does `"use strict"`, which would
/// reach into the scripts after it.
pub fn concatenate(name: &str, inputs: &[(String, String)], mode: Mode) -> Result<Minified, Fault> {
    if let [(name, text)] = inputs {
        return match mode {
            Mode::Development => Ok(Minified { code: text.clone(), map: None }),
            Mode::Production => minify(name, text, Goal::Classic),
        };
    }
    let mut code = String::new();
    let mut maps = Vec::new();
    for (name, text) in inputs {
        let line = code.lines().count() as u32;
        let text = without_prologue(text);
        match mode {
            Mode::Development => code.push_str(&text),
            Mode::Production => {
                let minified = minify(name, &text, Goal::Classic)?;
                code.push_str(&minified.code);
                let map =
                    minified.map.and_then(|map| SourceMap::from_json_string(&map).ok().map(SourceMap::into_owned));
                maps.extend(map.map(|map| (map, line)));
            }
        }
        code.push_str("\n;\n");
    }
    check(name, &code)?;
    let parts: Vec<(&SourceMap<'_>, u32)> = maps.iter().map(|(map, line)| (map, *line)).collect();
    let map = ConcatSourceMapBuilder::from_sourcemaps(&parts).into_sourcemap().to_json_string();
    Ok(Minified { code, map: (!parts.is_empty()).then_some(map) })
}

/// The script with spaces in the place of its `#!` line and its directives, so that every position in it stays.
fn without_prologue(text: &str) -> String {
    let allocator = Allocator::default();
    let program = Parser::new(&allocator, text, SourceType::script()).parse().program;
    let mut out = text.to_owned();
    let hashbang = program.hashbang.iter().map(|hashbang| hashbang.span);
    for span in hashbang.chain(program.directives.iter().map(|directive| directive.span)) {
        let range = span.start as usize..span.end as usize;
        let blank = " ".repeat(range.len());
        if out.is_char_boundary(range.start) && out.is_char_boundary(range.end) {
            out.replace_range(range, &blank);
        }
    }
    out
}

/// Whether the scripts still make one together: two may declare the same name.
fn check(name: &str, code: &str) -> Result<(), Fault> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::script()).parse();
    let semantic = SemanticBuilder::new().with_check_syntax_error(true).build(&parsed.program);
    match parsed.diagnostics.iter().next().or_else(|| semantic.diagnostics.iter().next()) {
        None => Ok(()),
        Some(diagnostic) => {
            let at = diagnostic.labels.first().map(|label| (label.offset() as usize, label.len() as usize));
            let message = format!("the scripts of `{name}` do not make one together: {}", diagnostic.message);
            Err(fault(name, code, message, at).hint("leave one of them out of the bundle, or rename what both declare"))
        }
    }
}

fn fault(name: &str, text: &str, message: String, at: Option<(usize, usize)>) -> Fault {
    let fault = Fault::new(message);
    match at {
        Some((offset, length)) => fault.at(name, text, offset, length.max(1)),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(text: &str) -> String {
        minify("a.js", text, Goal::Classic).unwrap().code
    }

    #[test]
    fn globals_of_a_classic_script_keep_their_names() {
        let code = classic(
            "function toggleTheme(event) { const longLocal = event.detail; return longLocal + longLocal }\n\
             var unusedGlobal = 1; let other = 2; const third = 3; class Fourth {}\n(function () { function gone() {} })();",
        );
        for name in ["function toggleTheme(", "unusedGlobal", "other", "third", "class Fourth"] {
            assert!(code.contains(name), "{name}: {code}");
        }
        assert!(!code.contains("longLocal"), "locals are renamed: {code}");
    }

    #[test]
    fn a_module_is_told_by_its_syntax() {
        let told = |text| syntax(Path::new("a.js"), text).is_module;
        assert!(told("import './a.js'"));
        assert!(told("export const a = 1"));
        assert!(told("console.log(import.meta.url)"));
        assert!(!told("import('./a.js')"));
        assert!(!told("const a = 'import b from c'"));
        assert_eq!(
            syntax(Path::new("a.js"), "import a from './a'; import('./b'); export * from 'c'").imports,
            ["./a", "./b", "c"]
        );
    }

    #[test]
    fn a_syntax_error_is_placed() {
        let fault = minify("js/a.js", "let a = 1;\nlet = ;", Goal::Classic).err().expect("a fault");
        assert!(fault.to_string().starts_with("`js/a.js` is not a valid script: "), "{fault}");
        let fault = minify("js/a.js", "export let a", Goal::Classic).err().expect("a fault");
        assert!(format!("{:?}", miette::Report::new(fault)).contains("type=\"module\""));
    }
}

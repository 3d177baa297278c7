//! Scripts as text: whether one is a module, what it imports, and minification that leaves a page's global scope alone.
//!
//! The only file, beside the bundler's, that names oxc.

use std::path::Path;

use oxc::allocator::Allocator;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, LegalComment};
use oxc::diagnostics::OxcDiagnostic;
use oxc::mangler::MangleOptions;
use oxc::minifier::{CompressOptions, CompressOptionsUnused, Minifier, MinifierOptions};
use oxc::parser::{Parser, ParserReturn};
use oxc::span::SourceType;
use oxc_sourcemap::{ConcatSourceMapBuilder, SourceMap};

use crate::error::Fault;
use crate::manifest::Mode;

/// What a look at a script tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Syntax {
    /// It imports or exports, or uses `import.meta`.
    pub is_module: bool,
    /// The specifiers of its imports, static and dynamic.
    pub imports: Vec<String>,
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
    imports.sort_unstable();
    Syntax { is_module: record.has_module_syntax, imports }
}

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
    let ParserReturn { mut program, diagnostics, panicked, .. } = Parser::new(&allocator, text, source_type).parse();
    if let Some(diagnostic) = diagnostics.iter().next().filter(|_| panicked || !diagnostics.is_empty()) {
        return Err(fault(name, text, goal, diagnostic));
    }
    let classic = goal == Goal::Classic;
    let unused = match classic {
        true => CompressOptionsUnused::Keep,
        false => CompressOptionsUnused::Remove,
    };
    let options = MinifierOptions {
        mangle: Some(MangleOptions { top_level: Some(!classic), ..MangleOptions::default() }),
        compress: Some(CompressOptions { unused, ..CompressOptions::smallest() }),
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

/// One classic script of several, in order. In development each stands as it was written.
pub fn concatenate(inputs: &[(String, String)], mode: Mode) -> Result<Minified, Fault> {
    let mut code = String::new();
    let mut maps = Vec::new();
    for (name, text) in inputs {
        let line = code.lines().count() as u32;
        if mode == Mode::Development {
            code.push_str(text);
            if inputs.len() > 1 {
                code.push_str("\n;\n");
            }
            continue;
        }
        let minified = minify(name, text, Goal::Classic)?;
        code.push_str(&minified.code);
        if inputs.len() > 1 {
            code.push_str(";\n");
        }
        let map = minified.map.and_then(|map| SourceMap::from_json_string(&map).ok().map(|map| map.into_owned()));
        maps.extend(map.map(|map| (map, line)));
    }
    let parts: Vec<(&SourceMap<'_>, u32)> = maps.iter().map(|(map, line)| (map, *line)).collect();
    let map = match parts.as_slice() {
        [] => None,
        [(map, _)] => Some(map.to_json_string()),
        parts => Some(ConcatSourceMapBuilder::from_sourcemaps(parts).into_sourcemap().to_json_string()),
    };
    Ok(Minified { code, map })
}

fn fault(name: &str, text: &str, goal: Goal, diagnostic: &OxcDiagnostic) -> Fault {
    let fault = Fault::new(format!("`{name}` is not a valid script: {}", diagnostic.message));
    let fault = match syntax(Path::new(name), text).is_module && goal == Goal::Classic {
        true => fault.hint("it imports or exports: load it with `<script type=\"module\">`"),
        false => fault.hint("correct the script at the marked place"),
    };
    match diagnostic.labels.first() {
        Some(label) => fault.at(name, text, label.offset() as usize, (label.len() as usize).max(1)),
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

//! Large modules, read before they are asked for.
//!
//! The bundler learns what a module imports once it has parsed it and done more to it, so that large ones which import each other
//! in a row keep one thread busy while the others wait. What stands at a module's beginning can be told at once.

use std::path::Path;

use rolldown::plugin::PluginContext;
use rolldown_common::ResolvedId;
use rolldown_common::side_effects::HookSideEffects;

use super::imports::Import;
use super::plugin::Hooks;

/// Bytes of a module that takes a while to parse.
pub const LARGE: usize = 128 * 1024;

impl Hooks {
    /// Has the bundler begin with the scripts that a large one imports first. Nothing is read that would not be read anyway, and
    /// what can't be is told when the script itself asks for it.
    pub fn read_ahead(ctx: &PluginContext, importer: &str, text: &str) {
        if text.len() < LARGE {
            return;
        }
        for specifier in leading_imports(text) {
            let (ctx, importer, specifier) = (ctx.clone(), importer.to_owned(), specifier.to_owned());
            tokio::spawn(async move {
                if let Some(script) = script_for(&ctx, &importer, &specifier).await {
                    load(&ctx, &script).await;
                }
            });
        }
        // A thread of the pool keeps to itself what it has spawned last, and is about to parse: let that be of no use, so that others
        // have the rest.
        tokio::spawn(async {});
    }
}

/// The script that a specifier means, if it does mean one.
pub async fn script_for(ctx: &PluginContext, importer: &str, specifier: &str) -> Option<ResolvedId> {
    let found = ctx.resolve(specifier, Some(importer), None).await.ok()?.ok()?;
    let is_script = Path::new(found.id.as_str()).is_absolute()
        && !found.external.is_external()
        && matches!(Import::of(found.id.as_str()), Import::Code);
    is_script.then_some(found)
}

/// Has the bundler load a script now.
pub async fn load(ctx: &PluginContext, script: &ResolvedId) {
    // What fails is told when the script is asked for by another.
    let _ = ctx.load(&script.id, side_effects(script), script.module_def_format).await;
}

/// What the bundler would take from the package, which this way it isn't told of.
fn side_effects(found: &ResolvedId) -> Option<HookSideEffects> {
    let package = found.package_json.as_ref();
    found.side_effects.or_else(|| {
        let package = package?;
        let path = found.id.relative_path(package.realpath().parent()?);
        match package.check_side_effects_for(&path.to_string_lossy())? {
            true => Some(HookSideEffects::True),
            false => Some(HookSideEffects::False),
        }
    })
}

/// The specifiers of the imports and re-exports that a module begins with, each once, up to the first that is not plain.
fn leading_imports(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    while let Some((specifier, after)) = statement(skip_blanks(rest)) {
        rest = skip_blanks(after);
        // `with { type: 'json' }`: what it is depends on more than the specifier.
        if rest.starts_with("with") || rest.starts_with("assert") {
            break;
        }
        if let Some(specifier) = specifier
            && !found.contains(&specifier)
        {
            found.push(specifier);
        }
    }
    found
}

/// The import, the re-export or the directive (`'use strict'`) that the text begins with, and what follows it.
fn statement(text: &str) -> Option<(Option<&str>, &str)> {
    let quote = text.find(['"', '\''])?;
    let (clause, string) = text.split_at(quote);
    let (specifier, after) = quoted(string)?;
    if clause.is_empty() {
        return Some((None, after));
    }
    let names = clause.strip_prefix("import").or_else(|| clause.strip_prefix("export"))?.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"_$,*{}".contains(&byte);
    let is_import = match names.strip_suffix("from") {
        Some(names) => !names.is_empty() && names.bytes().all(is_plain),
        None => names.is_empty() && clause.starts_with("import"),
    };
    is_import.then_some((Some(specifier), after))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next()?;
    let (inner, after) = text.strip_prefix(quote)?.split_once(quote)?;
    (!inner.contains(['\\', '\n'])).then_some((inner, after))
}

/// Leaves out white space, semicolons and comments.
fn skip_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|char: char| char.is_whitespace() || char == ';');
        let after = match (text.strip_prefix("/*"), text.strip_prefix("//")) {
            (Some(comment), _) => comment.split_once("*/").map(|(_, after)| after),
            (_, Some(comment)) => comment.split_once('\n').map(|(_, after)| after),
            _ => return text,
        };
        text = after.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use oxc::allocator::Allocator;
    use oxc::parser::Parser;
    use oxc::span::SourceType;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn imports_are_told_up_to_the_first_that_is_not_plain() {
        for (text, want) in [
            ("/** @license */ import { a as b, $c } from './a.js';\nexport { d } from './a.js';\n", &["./a.js"][..]),
            ("'use strict';import'./a.js';import b,*as c from\"b\";export*from'./c.js'", &["./a.js", "b", "./c.js"]),
            ("import './a.js' // './no.js'\nexport const b = 'c'; import './d.js';", &["./a.js"]),
            ("import data from './a.json' with { type: 'json' };", &[]),
            ("import('./a.js'); import './b.js';", &[]),
            ("import.meta.url; const a = './b.js';", &[]),
            ("export default from_; const a = 'b';", &[]),
            ("import { 'a b' as c } from './d.js';", &[]),
            ("import /* './no.js' */ './a.js';", &[]),
            ("/* import './no.js'", &[]),
            ("import './a\\x62.js';", &[]),
            ("", &[]),
        ] {
            assert_eq!(leading_imports(text), want, "{text}");
        }
    }

    fn line() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "import a from './a.js'",
            "import { from } from \"./b.js\";",
            "export * as n from './c.js';",
            "import './d.js';",
            "'use strict'",
            "/* import './e.js' */",
            "// import './f.js'\n",
            "const text = `import './g.js'`;",
            "export default 'from \"./h.js\"';",
            "label: from: for (;;) {}",
            "const from = import('./i.js');",
        ])
    }

    proptest! {
        #[test]
        fn nothing_is_told_that_the_parser_does_not_find(lines in prop::collection::vec(line(), 0..6)) {
            let text = lines.join("\n");
            let allocator = Allocator::default();
            let parsed = Parser::new(&allocator, &text, SourceType::mjs()).parse();
            if parsed.diagnostics.is_empty() {
                let requested = &parsed.module_record.requested_modules;
                for specifier in leading_imports(&text) {
                    prop_assert!(requested.keys().any(|key| key.as_str() == specifier), "{specifier} in {text}");
                }
            }
        }
    }
}

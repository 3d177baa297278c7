//! A large chunk, minified in parts that threads take one by one.
//!
//! A chunk is a row of modules whose names were made distinct, so it can be cut between them, and each part is a module again:
//! it imports what it uses of the others, and exports what they use of it. The names that are known in the whole chunk are given
//! out once, for all parts; within a part the minifier names the rest. What comes out depends on where the chunk is cut, and
//! that on the chunk alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use oxc::allocator::{Allocator, ArenaVec};
use oxc::ast::ast::{
    ExportSpecifier, IdentifierReference, ImportOrExportKind, ModuleExportName, Program, Statement, StringLiteral,
};
use oxc::ast::builder::AstBuilder;
use oxc::mangler::{MangleOptions, Mangler};
use oxc::minifier::Compressor;
use oxc::semantic::{Reference, ReferenceFlags, Scoping, SemanticBuilder, Stats, SymbolFlags};
use oxc::span::{GetSpan, SPAN};
use oxc::str::Ident;
use oxc::syntax::node::NodeId;
use oxc_sourcemap::Token;

use super::names::{Global, Globals, Outline, Use};
use super::{Piece, Positions, Printed, Style, parse, tokens};
use crate::build::STACK;

/// A part has at least so many bytes. Smaller ones are minified faster, but see less of each other.
const PART: usize = 64 * 1024;

/// As the bundler begins a module.
const MODULE: &str = "\n//#region ";

/// Some modules of a chunk.
struct Part<'c> {
    code: &'c str,
    /// The line of the chunk on which it begins.
    line: u32,
}

/// A part as a program.
struct Module<'a> {
    index: usize,
    program: Program<'a>,
    scoping: Scoping,
    stats: Stats,
}

/// A part that is done.
struct Done {
    index: usize,
    code: String,
    tokens: Option<Box<[Token]>>,
    /// Line breaks in the code.
    breaks: u32,
    /// UTF-16 code units after the last one.
    width: u32,
}

/// Whether a chunk may be cut.
pub fn is_large(code: &str) -> bool {
    code.len() > PART
}

/// None if the chunk is small, or can't be cut.
pub fn print(code: &str, style: &Style) -> Option<Printed> {
    let parts = cut(code);
    if parts.len() < 2 {
        return None;
    }
    let threads = rayon::current_num_threads().min(parts.len());
    let (tell, outlines) = mpsc::channel();
    let mut done: Vec<Done> = thread::scope(|scope| {
        let start = |share: Vec<usize>| {
            let (give, globals) = mpsc::channel();
            let (parts, tell) = (&parts, tell.clone());
            let thread = thread::Builder::new().stack_size(STACK);
            let worker = thread.spawn_scoped(scope, move || work(parts, share, style, tell, &globals));
            Some((worker.ok()?, give))
        };
        let (workers, given): (Vec<_>, Vec<_>) = shares(&parts, threads).into_iter().filter_map(start).unzip();
        drop(tell);
        // That ends when each thread has told of its last part.
        let outlines: Vec<Outline> = outlines.iter().collect();
        if let Some(globals) = Globals::of(outlines, parts.len()).map(Arc::new) {
            given.iter().for_each(|give| drop(give.send(Arc::clone(&globals))));
        }
        drop(given);
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    done.sort_unstable_by_key(|done| done.index);
    (done.len() == parts.len()).then(|| join(&parts, done))
}

/// Cuts a chunk between modules. A mark within a string or a comment would leave it open, in a part that can't be parsed.
fn cut(code: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut line) = (0, 0);
    loop {
        let least = code.floor_char_boundary(start + PART);
        let Some(found) = code[least..].find(MODULE) else { break };
        let part = Part { code: &code[start..=least + found], line };
        line += lines(part.code);
        start = least + found + 1;
        parts.push(part);
    }
    parts.push(Part { code: &code[start..], line });
    parts
}

fn lines(code: &str) -> u32 {
    let lines = memchr::memchr_iter(b'\n', code.as_bytes()).count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

/// Line breaks, and UTF-16 code units after the last one.
fn extent(code: &str) -> (u32, u32) {
    let last = code.rfind('\n').map_or(0, |at| at + 1);
    let width: usize = code[last..].chars().map(char::len_utf16).sum();
    (lines(code), u32::try_from(width).unwrap_or(u32::MAX))
}

/// Which parts each thread has: a part's program can't go from one to another. The largest first, to who has least.
fn shares(parts: &[Part<'_>], threads: usize) -> Vec<Vec<usize>> {
    let mut by_size: Vec<usize> = (0..parts.len()).collect();
    by_size.sort_by_key(|index| Reverse(parts[*index].code.len()));
    let mut shares = BinaryHeap::from_iter((0..threads).map(|thread| (Reverse(0), Reverse(thread), Vec::new())));
    for index in by_size {
        if let Some(mut least) = shares.peek_mut() {
            least.0.0 += parts[index].code.len();
            least.2.push(index);
        }
    }
    shares.into_iter().map(|(.., share)| share).collect()
}

/// A thread's work: parts, which it finishes once the names of all of them are known.
fn work(
    parts: &[Part<'_>],
    share: Vec<usize>,
    style: &Style,
    tell: Sender<Outline>,
    globals: &Receiver<Arc<Globals>>,
) -> Vec<Done> {
    let allocator = Allocator::default();
    let mut modules = Vec::new();
    for index in share {
        let Some(module) = Module::parse(&allocator, parts[index].code, index) else { return Vec::new() };
        if tell.send(module.outline()).is_err() {
            return Vec::new();
        }
        modules.push(module);
    }
    drop(tell);
    let Ok(globals) = globals.recv() else { return Vec::new() };
    modules.into_iter().map(|module| module.finish(&allocator, &globals, style)).collect()
}

impl<'a> Module<'a> {
    /// None if that is no program by itself.
    fn parse(allocator: &'a Allocator, code: &'a str, index: usize) -> Option<Self> {
        let parsed = parse(allocator, code);
        if parsed.panicked || !parsed.diagnostics.is_empty() {
            return None;
        }
        let program = parsed.program;
        let semantic = SemanticBuilder::new().build(&program).semantic;
        let stats = semantic.stats();
        let scoping = semantic.into_scoping();
        Some(Module { index, program, scoping, stats })
    }

    fn outline(&self) -> Outline {
        let scoping = &self.scoping;
        let root = scoping.root_scope_id();
        let mut declared: Vec<_> = scoping.get_bindings(root).iter().map(|(name, symbol)| (*symbol, name)).collect();
        declared.sort_unstable_by_key(|(symbol, _)| *symbol);
        let references = |symbol| scoping.get_resolved_reference_ids(symbol).len();
        let used = scoping.root_unresolved_references().iter();
        Outline {
            index: self.index,
            has_eval: scoping.root_scope_flags().contains_direct_eval(),
            declared: declared.into_iter().map(|(symbol, name)| (name.to_string(), references(symbol))).collect(),
            used: used
                .map(|(name, references)| Use {
                    name: name.to_string(),
                    references: references.len(),
                    is_written: references.iter().any(|id| scoping.get_reference(*id).is_write()),
                })
                .collect(),
        }
    }

    fn finish(mut self, allocator: &'a Allocator, globals: &Globals, style: &Style) -> Done {
        let mut scoping = std::mem::take(&mut self.scoping);
        self.import_and_export(allocator, &mut scoping, globals);
        declare(&mut scoping, globals, false);
        Compressor::new(allocator).build_with_scoping(&mut self.program, scoping, style.compress());
        self.program.body.retain(|statement| statement.span() != SPAN || !statement.is_module_declaration());

        let mut semantic = SemanticBuilder::new()
            .with_build_nodes(true)
            .with_class_table(true)
            .with_stats(self.stats)
            .build(&self.program)
            .semantic;
        let scoping = semantic.scoping_mut();
        rename(scoping, globals);
        declare(scoping, globals, true);
        let options = MangleOptions { top_level: Some(false), ..MangleOptions::default() };
        let private = Mangler::new().with_options(options).build_with_semantic(&mut semantic, &self.program);
        let printed = style
            .codegen()
            .with_scoping(Some(semantic.into_scoping()))
            .with_private_member_mappings(Some(private))
            .build(&self.program);
        let is_closed = match self.program.body.last() {
            Some(Statement::FunctionDeclaration(_) | Statement::ClassDeclaration(_)) | None => true,
            Some(_) => false,
        };
        let mut code = printed.code;
        if !is_closed && !code.ends_with(';') {
            code.push(';');
        }
        let (breaks, width) = extent(&code);
        Done { index: self.index, tokens: tokens(printed.map), code, breaks, width }
    }

    /// Says in the program what it has to do with the other parts. An import tells the minifier that others run before it, which
    /// may call its functions.
    fn import_and_export(&mut self, allocator: &'a Allocator, scoping: &mut Scoping, globals: &Globals) {
        let builder = AstBuilder::new(allocator);
        let value = ImportOrExportKind::Value;
        let root = scoping.root_scope_id();
        let shared = |name: &str| globals.get(name).is_some_and(|global| global.is_shared);
        let bindings = scoping.get_bindings(root).iter().filter(|(name, _)| shared(name.as_str()));
        let own: Vec<(&str, _)> =
            bindings.map(|(name, symbol)| (allocator.alloc_str(name.as_str()) as &str, *symbol)).collect();
        let mut specifiers = ArenaVec::new_in(&allocator);
        for (name, symbol) in own {
            let reference = Reference::new_with_symbol_id(NodeId::DUMMY, symbol, root, ReferenceFlags::Read);
            let reference = scoping.create_reference(reference);
            scoping.add_resolved_reference(symbol, reference);
            let local = IdentifierReference::new_with_reference_id(SPAN, name, reference, &builder);
            let exported = ModuleExportName::new_identifier_name(SPAN, name, &builder);
            let local = ModuleExportName::IdentifierReference(local);
            specifiers.push(ExportSpecifier::new(SPAN, local, exported, value, &builder));
        }
        if self.index > 0 {
            let source = StringLiteral::new(SPAN, "", None, &builder);
            let import = Statement::new_import_declaration(SPAN, None, source, None, None, value, &builder);
            self.program.body.insert(0, import);
        }
        self.program.body.push(Statement::new_export_named_declaration(SPAN, specifiers, value, &builder));
    }
}

/// Declares what a part uses of others, as if it imported it; by the short names, if they are given to all.
fn declare(scoping: &mut Scoping, globals: &Globals, short: bool) {
    let root = scoping.root_scope_id();
    let used = scoping.root_unresolved_references().iter();
    let used: Vec<(String, Vec<_>, &Global)> = used
        .filter_map(|(name, ids)| globals.get(name.as_str()).map(|global| (name.to_string(), ids.to_vec(), global)))
        .collect();
    for (name, references, global) in used {
        let called = Ident::from(if short { &global.short } else { &name }.as_str());
        let symbol = scoping.create_symbol(SPAN, called, SymbolFlags::Import, root, NodeId::DUMMY);
        scoping.add_binding(root, called, symbol);
        for reference in references {
            scoping.delete_root_unresolved_reference(Ident::from(name.as_str()), reference);
            scoping.get_reference_mut(reference).set_symbol_id(symbol);
            scoping.add_resolved_reference(symbol, reference);
        }
    }
}

/// Gives a part's own names at the top level what they are called in the end.
fn rename(scoping: &mut Scoping, globals: &Globals) {
    let root = scoping.root_scope_id();
    let own = scoping.get_bindings(root).iter().map(|(name, symbol)| (name.to_string(), *symbol));
    let own: Vec<_> =
        own.filter_map(|(name, symbol)| globals.get(&name).map(|global| (name, symbol, global))).collect();
    // A name may be both what one was called and what another is called now.
    for (name, ..) in &own {
        scoping.remove_binding(root, Ident::from(name.as_str()));
    }
    for (_, symbol, global) in own {
        let short = Ident::from(global.short.as_str());
        scoping.set_symbol_name(symbol, short);
        scoping.add_binding(root, short, symbol);
    }
}

/// The parts as one program again.
fn join(parts: &[Part<'_>], done: Vec<Done>) -> Printed {
    let mut code = String::with_capacity(done.iter().map(|done| done.code.len() + 1).sum());
    let mut pieces = Vec::with_capacity(parts.len());
    let (mut line, mut column) = (0, 0);
    for (part, done) in parts.iter().zip(done) {
        pieces.extend(done.tokens.map(|tokens| Piece { tokens, line, column, source_line: part.line }));
        code += &done.code;
        column = if done.breaks == 0 { column + done.width } else { done.width };
        line += done.breaks;
    }
    Printed { code, positions: (!pieces.is_empty()).then_some(Positions(pieces)) }
}

#[cfg(test)]
mod tests {
    use oxc::transformer::EngineTargets;
    use oxc_sourcemap::SourceMap;

    use super::super::super::maps::compose;
    use super::*;

    /// A chunk of two modules, each of them long enough to be a part.
    fn chunk(first: &str, second: &str) -> String {
        let filler = |name: &str| format!("const {name} = {:?};\n", "x".repeat(PART));
        format!(
            "//#region a.js\n{}{first}\n//#endregion\n//#region b.js\n{}{second}\n//#endregion\nexport {{ a_text, b_text }};\n",
            filler("a_text"),
            filler("b_text"),
        )
    }

    fn style() -> Style {
        Style { targets: EngineTargets::default(), with_map: true }
    }

    fn printed(first: &str, second: &str) -> Option<String> {
        let short = |code: String| code.replace(&"x".repeat(PART), "…");
        print(&chunk(first, second), &style()).map(|printed| short(printed.code))
    }

    #[test]
    fn an_import_stays_that_only_another_part_uses() {
        let chunk = format!("import {{ far }} from \"./far.js\";\n{}", chunk("", "console.log(far);"));
        let code = print(&chunk, &style()).unwrap().code;
        assert!(code.starts_with("import{far as ee}from\"./far.js\";"), "{}", &code[..99]);
        assert!(code.contains("console.log(ee)"));
    }

    #[test]
    fn parts_call_what_they_share_by_one_name_and_what_is_of_the_browser_by_its_own() {
        let first =
            "function used(value) { const twice = value + value; return twice.ee }\nfunction unused() { gone() }";
        let second =
            "let { ee } = document;\nee.title = used(te), localStorage.te = ((local) => local + used(local))(ee);";
        insta::assert_snapshot!(printed(first, second).unwrap(), @"const ee=`…`;function ne(e){return(e+e).ee}const ie=`…`;let{ee:ae}=document;ae.title=ne(te),localStorage.te=(e=>e+ne(e))(ae);export{ee as a_text,ie as b_text};");
    }

    #[test]
    fn a_function_that_an_earlier_part_calls_sees_its_variables_before_they_are_set() {
        let second = "var late = 1;\nfunction read() { return late }\nconsole.log(read(), late);";
        let code = printed("console.log(read());", second).unwrap();
        assert!(!code.contains("return 1"), "{code}");
    }

    #[test]
    fn text_that_is_run_finds_the_names_that_it_was_written_with() {
        let code = printed("const near = 1; console.log(eval('near'));", "const far = 2; console.log(far);").unwrap();
        insta::assert_snapshot!(code, @"const a_text=`…`,near=1;console.log(eval(`near`));const b_text=`…`;console.log(2);export{a_text,b_text};");
    }

    #[test]
    fn what_can_not_be_cut_is_minified_as_one() {
        for (first, second) in [
            // Both are of one module for the bundler.
            ("let shared = 1; console.log(shared);", "shared = 2;"),
            ("console.log(`", "`)"),
            ("/*", "*/"),
        ] {
            assert_eq!(printed(first, second), None, "{first} {second}");
        }
        assert!(print("//#region a.js\nconst a = 1;\n//#endregion\nexport { a };", &style()).is_none());
    }

    #[test]
    fn each_line_of_the_chunk_is_found_again() {
        let chunk =
            chunk("const text = `two\nlines`;\nconsole.log(text);", "console.log(first(), `é`);\nfunction first() {}");
        let printed = print(&chunk, &style()).unwrap();
        let lines = u32::try_from(chunk.lines().count()).unwrap();
        let same = (0..lines).map(|line| Token::new(line, 0, line, 0, Some(0), None)).collect();
        let identity = SourceMap::new(None, vec![], None, vec!["chunk.js".into()], vec![], same, None);
        let map = compose(identity, &printed.positions.unwrap());
        for name in ["console.log(", "`é`"] {
            for (at, _) in printed.code.match_indices(name) {
                let before = &printed.code[..at];
                let column = before.rsplit('\n').next().unwrap().encode_utf16().count();
                let table = map.generate_lookup_table();
                let line = u32::try_from(before.matches('\n').count()).unwrap();
                let token = map.lookup_token(&table, line, u32::try_from(column).unwrap()).unwrap();
                let source = chunk.lines().nth(token.get_src_line() as usize).unwrap();
                assert!(source.contains(name), "{name} leads to {source}");
            }
        }
    }
}

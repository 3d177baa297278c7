//! While a site is worked on, a large graph of modules is in several files: an edit changes one of them, and of the others the
//! browser keeps what it has made of them.
//!
//! The modules are divided in the order in which they run, and nowhere within a cycle. So each file imports earlier ones only,
//! and all runs in the order in which it would as one file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use arcstr::ArcStr;
use rolldown_common::OutputChunk;

use super::bundler::is_package;
use super::edits::{dotted, literal};
use super::plugin::{Hooks, Scope, lock};
use super::sheets::Modules;
use crate::manifest::Mode;

/// Bytes of source that make a file. A smaller one takes the browser less time to read again, more of them more to ask for.
const LEAST: usize = 512 * 1024;

/// In which file each module is, given the modules of the entries and the size of each. One that isn't named is with its entry, or
/// with what loads it later.
fn divide(modules: &Modules, entries: &[String], size: impl Fn(&str) -> usize) -> HashMap<String, String> {
    by_size(modules, entries, LEAST, size)
}

fn by_size(
    modules: &Modules,
    entries: &[String],
    least: usize,
    size: impl Fn(&str) -> usize,
) -> HashMap<String, String> {
    let mut order: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for entry in entries {
        modules.walk(entry, |id| {
            places.entry(id).or_insert_with(|| {
                order.push(id);
                order.len() - 1
            });
        });
    }
    let entries: HashSet<&str> = entries.iter().map(String::as_str).collect();
    let imports = |id: &str| modules.imports.get(id).into_iter().flatten().map(String::as_str);
    let is_small = order.iter().map(|id| size(id)).sum::<usize>() < 2 * least;
    // An entry has a file of its own, and what imports one has to come after it.
    if is_small || order.iter().any(|id| imports(id).any(|import| entries.contains(import))) {
        return HashMap::new();
    }
    let mut found = HashMap::new();
    let (mut part, mut held, mut needed) = (Vec::new(), 0, 0);
    for (place, id) in order.iter().enumerate() {
        if entries.contains(id) {
            // What is left of its modules stays with it.
            part.clear();
            held = 0;
            continue;
        }
        part.push(*id);
        held += size(id);
        needed = imports(id).filter_map(|import| places.get(import)).fold(needed, |needed, at| needed.max(*at));
        // Nothing so far waits for what comes later.
        if held >= least && needed <= place {
            let name = format!("{place}/part");
            found.extend(part.drain(..).map(|id| (id.to_owned(), name.clone())));
            held = 0;
        }
    }
    found
}

impl Hooks {
    /// In which part of its chunk a module is, if that is divided; known once the chunks are about to be made.
    pub fn part(&self, id: &str) -> Option<String> {
        lock(&self.parts).get(id).cloned()
    }

    pub fn divide(&self) {
        let Scope::Page(naming) = &self.scope else { return };
        if self.job.mode == Mode::Development {
            let loaded = lock(&self.job.loaded);
            // Packages are in chunks of their own.
            let size = |id: &str| loaded.get(Path::new(id)).filter(|_| !is_package(id)).map_or(0, ArcStr::len);
            *lock(&self.parts) = divide(&lock(&self.modules), naming.ids(), size);
        }
    }
}

/// Has what is loaded by itself import its parts in the order in which they run, after packages. The bundler's own order is another:
/// it imports what it takes names from before what only has to have run.
pub fn import_in_order(chunks: &mut [OutputChunk]) {
    if !chunks.iter().any(|chunk| part_place(&chunk.name).is_some()) {
        return;
    }
    let places: HashMap<&str, usize> =
        chunks.iter().filter_map(|chunk| Some((chunk.filename.as_str(), place(chunk)?))).collect();
    let imports: HashMap<&str, Vec<&str>> = chunks
        .iter()
        .map(|chunk| (chunk.filename.as_str(), chunk.imports.iter().map(|file| file.as_str()).collect()))
        .collect();
    let statements = |chunk: &OutputChunk| {
        let root = chunk.filename.as_str();
        let (mut seen, mut stack) = (HashSet::from([root]), vec![root]);
        while let Some(file) = stack.pop() {
            stack.extend(imports.get(file).into_iter().flatten().copied().filter(|file| seen.insert(file)));
        }
        let mut parts: Vec<(usize, &str)> =
            seen.into_iter().filter_map(|file| Some((*places.get(file)?, file))).collect();
        parts.sort_unstable();
        parts.iter().map(|(_, file)| format!("import {}; ", literal(&dotted(root, file)))).collect::<String>()
    };
    let all: Vec<String> =
        chunks.iter().map(|chunk| if is_root(chunk) { statements(chunk) } else { String::new() }).collect();
    for (chunk, statements) in chunks.iter_mut().zip(all) {
        // On the line of the first import, which no source map speaks of; after a hashbang, if there is one.
        let start = if chunk.code.starts_with("#!") { chunk.code.find('\n').map(|end| end + 1) } else { Some(0) };
        if let Some(start) = start {
            chunk.code.insert_str(start, &statements);
        }
    }
}

fn is_root(chunk: &OutputChunk) -> bool {
    chunk.is_entry || chunk.is_dynamic_entry
}

/// When a chunk runs that is a part, or holds packages.
fn place(chunk: &OutputChunk) -> Option<usize> {
    let has_packages = || !is_root(chunk) && chunk.module_ids.iter().any(|id| is_package(id.as_str()));
    part_place(&chunk.name).or_else(|| has_packages().then_some(0))
}

fn part_place(name: &str) -> Option<usize> {
    let (place, _) = name.split_once('/').filter(|(_, part)| part.starts_with("part"))?;
    place.parse().ok().map(|place: usize| place + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each module imports those of its list.
    fn graph(imports: &[Vec<usize>]) -> Modules {
        let all = imports.iter().enumerate();
        let named =
            |(id, imports): (usize, &Vec<usize>)| (id.to_string(), imports.iter().map(usize::to_string).collect());
        Modules { imports: all.map(named).collect(), ..Modules::default() }
    }

    /// The parts of the first module's graph, in order.
    fn parts(imports: &[Vec<usize>], least: usize) -> Vec<Vec<String>> {
        let modules = graph(imports);
        let found = by_size(&modules, &["0".to_owned()], least, |_| 1);
        let mut order = Vec::new();
        modules.walk("0", |id| order.extend(found.get(id).map(|part| (part, id.to_owned()))));
        let parts = order.chunk_by(|(part, _), (next, _)| part == next);
        parts.map(|part| part.iter().map(|(_, id)| id.clone()).collect()).collect()
    }

    #[test]
    fn what_is_large_is_divided_in_the_order_in_which_it_runs() {
        let chain = [vec![1, 4], vec![2], vec![3], vec![], vec![]];
        assert_eq!(parts(&chain, 2), [["3", "2"], ["1", "4"]]);
        assert!(parts(&chain, 3).is_empty(), "that is not twice as large");
        // 3 imports 1.
        let cycle = [vec![1, 4], vec![2], vec![3], vec![1], vec![]];
        assert_eq!(parts(&cycle, 1), [vec!["3", "2", "1"], vec!["4"]]);
        let imported_entry = [vec![1], vec![2, 0], vec![3], vec![]];
        assert!(parts(&imported_entry, 1).is_empty());
    }

    /// Modules that import any others, how many of them are entries, and how many are loaded later.
    fn any() -> impl Strategy<Value = (Vec<Vec<usize>>, usize, usize)> {
        (1_usize..4, 1_usize..20).prop_flat_map(|(entries, others)| {
            let one = prop::collection::vec(entries..entries + others, 0..4);
            (prop::collection::vec(one, entries + others), Just(entries), 0..=others.min(3))
        })
    }

    proptest! {
        /// The bundler keeps apart what different roots need, or puts what is there anyway when something is loaded later with what
        /// loads that.
        #[test]
        fn no_file_imports_itself(
            (imports, entries, lazy) in any(),
            least in 1_usize..4,
            is_merged: bool,
        ) {
            let modules = graph(&imports);
            let ids: Vec<String> = (0..imports.len()).map(|id| id.to_string()).collect();
            let (roots, of_entries) = (&ids[..(entries + lazy).min(ids.len())], (1_u32 << entries) - 1);
            let mut needed_by: HashMap<&str, u32> = HashMap::new();
            for (index, root) in roots.iter().enumerate() {
                modules.walk(root, |id| *needed_by.entry(id).or_default() |= 1 << index);
            }
            let found = by_size(&modules, &ids[..entries], least, |_| 1);
            let bits = |id: &str| match needed_by[id] {
                bits if is_merged && bits & of_entries != 0 => bits & of_entries,
                bits => bits,
            };
            let file = |id: &str| (bits(id), found.get(id));
            let mut needs: HashMap<_, HashSet<_>> = HashMap::new();
            for id in needed_by.keys() {
                needs.entry(file(id)).or_default().extend(modules.imports[*id].iter().map(|import| file(import)));
            }
            for part in needs.keys().filter(|(_, part)| part.is_some()) {
                let (mut seen, mut stack) = (HashSet::new(), vec![part]);
                while let Some(file) = stack.pop() {
                    stack.extend(needs[file].iter().filter(|next| *next != file && seen.insert(*next)));
                }
                prop_assert!(!seen.contains(part), "{part:?} in {found:?}");
            }
        }
    }
}

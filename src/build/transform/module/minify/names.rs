//! The names that a whole chunk knows, and what they are called in the end.

use std::collections::{HashMap, HashSet};

use oxc::mangler::base54;
use oxc::syntax::keyword::is_reserved_keyword;

/// So many names have one letter. They are left to what is known in a part only, since that is referred to most.
const ONE_LETTER: u32 = 54;

/// What the whole has to know of a part.
pub struct Outline {
    pub index: usize,
    /// Its names at the top level, and how often they are referred to.
    pub declared: Vec<(String, usize)>,
    pub used: Vec<Use>,
    /// It runs text, which may name anything.
    pub has_eval: bool,
}

/// What a part uses that is declared elsewhere: in another part, or by the browser.
pub struct Use {
    pub name: String,
    pub references: usize,
    pub is_written: bool,
}

/// A name that is known in the whole chunk.
pub struct Global {
    /// What it will be called.
    pub short: String,
    /// Another part uses it.
    pub is_shared: bool,
    references: usize,
}

/// The names that are declared at the top level, by what they are called in the chunk.
pub struct Globals(HashMap<String, Global>);

impl Globals {
    /// None if the parts can't do with imports and exports.
    pub fn of(mut outlines: Vec<Outline>, parts: usize) -> Option<Self> {
        if outlines.len() != parts {
            return None;
        }
        outlines.sort_unstable_by_key(|outline| outline.index);
        let mut globals = HashMap::new();
        let mut order = Vec::new();
        for (name, references) in outlines.iter_mut().flat_map(|outline| std::mem::take(&mut outline.declared)) {
            let global = Global { short: String::new(), is_shared: false, references };
            if globals.insert(name.clone(), global).is_some() {
                return None;
            }
            order.push(name);
        }
        let mut of_the_browser = HashSet::new();
        let has_eval = outlines.iter().any(|outline| outline.has_eval);
        for used in outlines.into_iter().flat_map(|outline| outline.used) {
            match globals.get_mut(&used.name) {
                // An import can't be assigned to.
                Some(_) if used.is_written => return None,
                Some(global) => {
                    global.references += used.references;
                    global.is_shared = true;
                }
                None => drop(of_the_browser.insert(used.name)),
            }
        }
        if has_eval {
            globals.iter_mut().for_each(|(name, global)| global.short.clone_from(name));
            return Some(Globals(globals));
        }
        let free = |name: &String| !is_reserved_keyword(name) && !of_the_browser.contains(name);
        let short = (ONE_LETTER..).map(|index| base54(index).as_str().to_owned()).filter(free).take(order.len());
        let short: Vec<String> = short.collect();
        let mut by_use: Vec<usize> = (0..order.len()).collect();
        by_use.sort_by_cached_key(|index| std::cmp::Reverse(globals[&order[*index]].references));
        // The shortest for those of most use, and among those of one length in the order of the chunk, which compresses better.
        let mut by_use = by_use.into_iter();
        for same in short.chunk_by(|a, b| a.len() == b.len()) {
            let mut named: Vec<usize> = by_use.by_ref().take(same.len()).collect();
            named.sort_unstable();
            for (index, short) in named.into_iter().zip(same) {
                if let Some(global) = globals.get_mut(&order[index]) {
                    global.short.clone_from(short);
                }
            }
        }
        Some(Globals(globals))
    }

    pub fn get(&self, name: &str) -> Option<&Global> {
        self.0.get(name)
    }
}

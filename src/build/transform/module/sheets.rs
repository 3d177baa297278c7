//! Stylesheets that modules import: in which order each root's cascade, and which of them make one file.
//!
//! A root is a chunk that is loaded by itself: an entry, or the target of a dynamic `import()`. Its sheets cascade in the order
//! in which its modules would run. Sheets that several roots need are files that they share, so a file holds only sheets that
//! stand side by side and in one order wherever they are needed: whichever roots a page has loaded, each cascades as written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What the bundler knows of its modules, by id.
#[derive(Debug, Default)]
pub struct Modules {
    /// What each imports statically, in order.
    pub imports: HashMap<String, Vec<String>>,
    /// What each names in an `import()`.
    pub lazy: HashMap<String, Vec<String>>,
    /// Those whose package says that they have no side effects: their sheets are wanted only if they are.
    pub pure: HashSet<String>,
    /// Those that are in some chunk.
    pub included: HashSet<String>,
    /// The stylesheets.
    pub sheets: BTreeSet<String>,
}

impl Modules {
    /// Goes through a module and all that it imports, in the order in which they run.
    pub fn walk<'m>(&'m self, root: &'m str, run: impl FnMut(&'m str)) {
        self.walk_wanted(root, |_, _| true, run);
    }

    fn walk_wanted<'m>(&'m self, root: &'m str, is_wanted: impl Fn(&str, &str) -> bool, mut run: impl FnMut(&'m str)) {
        let mut seen = HashSet::from([root]);
        // Depth first, without recursion: what is imported comes before what imports it.
        let mut stack = vec![(root, 0)];
        while let Some((id, at)) = stack.pop() {
            let Some(import) = self.imports.get(id).and_then(|imports| imports.get(at)) else {
                run(id);
                continue;
            };
            stack.push((id, at + 1));
            if is_wanted(id, import) && seen.insert(import) {
                stack.push((import, 0));
            }
        }
    }

    /// The sheets of a root, in the order in which they cascade.
    pub fn order(&self, root: &str) -> Vec<String> {
        let mut order = Vec::new();
        let is_wanted = |id: &str, import: &str| !self.sheets.contains(import) || self.is_live(id);
        self.walk_wanted(root, is_wanted, |id| {
            if self.sheets.contains(id) {
                order.push(id.to_owned());
            }
        });
        order
    }

    /// Those that an `import()` brings sheets with which its module does not have already; none whose package says that it has no effect.
    pub fn lazy_with_sheets(&self) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for (importer, targets) in &self.lazy {
            let own: HashSet<String> = self.order(importer).into_iter().collect();
            let brings = |id: &&String| self.is_live(id) && self.order(id).iter().any(|sheet| !own.contains(sheet));
            wanted.extend(targets.iter().filter(brings).cloned());
        }
        wanted
    }

    fn is_live(&self, id: &str) -> bool {
        self.included.contains(id) || !self.pure.contains(id) || self.sheets.contains(id)
    }
}

/// The files that the sheets make, each a list of sheets, given the order of each root.
pub fn parts(orders: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut part_of = by_owners(orders);
    let mut next = part_of.values().max().map_or(0, |last| last + 1);
    while let Some(moved) = split(orders, &part_of) {
        for sheet in moved {
            part_of.insert(sheet, next);
        }
        next += 1;
    }
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut index: HashMap<usize, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for sheet in orders.values().flatten().filter(|sheet| seen.insert(*sheet)) {
        let index = *index.entry(part_of[sheet]).or_insert(parts.len());
        match parts.get_mut(index) {
            Some(part) => part.push(sheet.clone()),
            None => parts.push(vec![sheet.clone()]),
        }
    }
    parts
}

/// The coarsest division: sheets that the same roots need.
fn by_owners(orders: &BTreeMap<String, Vec<String>>) -> HashMap<String, usize> {
    let mut owners: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (root, order) in orders {
        for sheet in order {
            owners.entry(sheet).or_default().insert(root);
        }
    }
    let mut numbers: BTreeMap<&BTreeSet<&String>, usize> = BTreeMap::new();
    for roots in owners.values() {
        let next = numbers.len();
        numbers.entry(roots).or_insert(next);
    }
    owners.iter().map(|(sheet, roots)| ((*sheet).clone(), numbers[roots])).collect()
}

/// The sheets that have to leave their part, because other sheets stand between its members in some root's order, or because
/// two roots order its members differently.
fn split(orders: &BTreeMap<String, Vec<String>>, part_of: &HashMap<String, usize>) -> Option<Vec<String>> {
    let mut first: HashMap<usize, Vec<&String>> = HashMap::new();
    for order in orders.values() {
        let mut mine: HashMap<usize, Vec<&String>> = HashMap::new();
        let mut last = None;
        for (at, sheet) in order.iter().enumerate() {
            let part = part_of[sheet];
            let members = mine.entry(part).or_default();
            let broken = last != Some(part) && !members.is_empty();
            let other_order = first.get(&part).is_some_and(|first| first.get(members.len()) != Some(&sheet));
            if broken || other_order {
                // One member stays, so that each division ends with more parts than before.
                let from = if members.is_empty() { at + 1 } else { at };
                return Some(order[from..].iter().filter(|sheet| part_of[*sheet] == part).cloned().collect());
            }
            members.push(sheet);
            last = Some(part);
        }
        for (part, members) in mine {
            first.entry(part).or_insert(members);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn orders(roots: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let list = |sheets: &[&str]| sheets.iter().map(ToString::to_string).collect();
        roots.iter().map(|(root, sheets)| ((*root).to_owned(), list(sheets))).collect()
    }

    /// A root's sheets, read from the files that it needs.
    fn cascade(parts: &[Vec<String>], order: &[String]) -> Vec<String> {
        let mut files: Vec<&Vec<String>> = Vec::new();
        for sheet in order {
            let file = parts.iter().find(|part| part.contains(sheet)).unwrap();
            if files.last() != Some(&file) {
                files.push(file);
            }
        }
        files.into_iter().flatten().cloned().collect()
    }

    #[test]
    fn what_roots_share_is_shared_and_the_rest_is_one_file_each() {
        let orders = orders(&[("a", &["base", "a1", "a2"]), ("b", &["base", "b1"])]);
        assert_eq!(parts(&orders), [vec!["base"], vec!["a1", "a2"], vec!["b1"]] as [Vec<&str>; 3]);
    }

    #[test]
    fn a_sheet_between_two_of_another_root_divides_them() {
        let orders = orders(&[("a", &["a1", "s", "a2"]), ("b", &["s"])]);
        let parts = parts(&orders);
        assert_eq!(parts.len(), 3, "{parts:?}");
    }

    #[test]
    fn sheets_come_before_the_modules_that_import_them_run() {
        let imports = [("app", vec!["reset.css", "button", "app.css"]), ("button", vec!["button.css", "reset.css"])];
        let modules = Modules {
            imports: imports
                .map(|(id, imports)| (id.to_owned(), imports.into_iter().map(str::to_owned).collect()))
                .into(),
            sheets: ["reset.css", "button.css", "app.css"].map(str::to_owned).into(),
            ..Modules::default()
        };
        assert_eq!(modules.order("app"), ["reset.css", "button.css", "app.css"]);
    }

    #[test]
    fn an_unused_module_without_side_effects_brings_no_sheet() {
        let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        let modules = Modules {
            imports: HashMap::from([
                ("app".to_owned(), list(&["barrel"])),
                ("barrel".to_owned(), list(&["barrel.css", "used", "unused"])),
                ("used".to_owned(), list(&["used.css"])),
                ("unused".to_owned(), list(&["unused.css"])),
            ]),
            pure: ["barrel", "used", "unused"].map(str::to_owned).into(),
            included: ["app", "used"].map(str::to_owned).into(),
            sheets: ["barrel.css", "used.css", "unused.css"].map(str::to_owned).into(),
            ..Modules::default()
        };
        assert_eq!(modules.order("app"), ["used.css"]);
    }

    #[test]
    fn what_is_loaded_later_is_wanted_for_the_sheets_that_it_brings() {
        let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        let modules = Modules {
            imports: HashMap::from([
                ("deep".to_owned(), list(&["deeper"])),
                ("deeper".to_owned(), list(&["deep.css"])),
                ("pure".to_owned(), list(&["pure.css"])),
                ("around".to_owned(), list(&["pure"])),
                ("app".to_owned(), list(&["fixed.css"])),
                ("fixed".to_owned(), list(&["fixed.css"])),
            ]),
            lazy: HashMap::from([
                ("app".to_owned(), list(&["deep", "pure", "around", "plain", "theme.css", "fixed", "fixed.css"])),
                ("other".to_owned(), list(&["deep"])),
            ]),
            pure: ["pure", "theme.css"].map(str::to_owned).into(),
            sheets: ["deep.css", "pure.css", "fixed.css", "theme.css"].map(str::to_owned).into(),
            ..Modules::default()
        };
        assert_eq!(modules.lazy_with_sheets(), BTreeSet::from(["deep", "theme.css"].map(str::to_owned)));
    }

    proptest! {
        #[test]
        fn every_root_cascades_as_written(roots in proptest::collection::btree_map("[a-d]", proptest::sample::subsequence(vec!["1", "2", "3", "4", "5", "6"], 0..6).prop_shuffle(), 1..4)) {
            let orders: BTreeMap<String, Vec<String>> =
                roots.into_iter().map(|(root, order)| (root, order.into_iter().map(str::to_owned).collect())).collect();
            let parts = parts(&orders);
            for order in orders.values() {
                prop_assert_eq!(&cascade(&parts, order), order);
            }
        }
    }
}

//! Fewer paths for the same purge: CloudFront takes `/docs/*` for a whole folder, and charges it as one path.
//!
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PayingForInvalidation.html>

use std::collections::{BTreeMap, BTreeSet};

/// Paths with a wildcard that may be in progress at a time:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/InvalidationLimits.html>
const WILDCARDS: usize = 15;

/// Paths that cost nothing in a month.
const FREE: usize = 1000;

/// Characters of the longest path that is taken.
const LONGEST: usize = 4000;

/// What a folder and all folders below it hold.
#[derive(Debug, Clone, Copy, Default)]
struct Folder {
    due: usize,
    all: usize,
    /// Whether it holds fingerprinted files that are not due: nobody wants to fetch those again.
    has_assets: bool,
}

/// The paths to name so that all that are `due` are purged; `site` is all paths that there are, `assets` those of fingerprinted files.
///
/// A folder of which all is due is one wildcard. If there are still more paths than cost nothing, so is a folder of which at least half
/// is due, if there are no `assets` in it.
pub fn fold(due: BTreeSet<String>, site: &BTreeSet<String>, assets: &BTreeSet<String>) -> BTreeSet<String> {
    let mut folders: BTreeMap<&str, Folder> = BTreeMap::new();
    for path in due.union(site) {
        let is_due = due.contains(path);
        for name in folders_of(path) {
            let folder = folders.entry(name).or_default();
            folder.all += 1;
            folder.due += usize::from(is_due);
            folder.has_assets |= !is_due && assets.contains(path);
        }
    }
    let mut candidates: Vec<(&str, Folder)> = folders.into_iter().filter(|(_, folder)| folder.due > 1).collect();
    // The outer of two that save as much, as it covers the inner one.
    candidates.sort_by_key(|(name, folder)| (std::cmp::Reverse(folder.due), name.len()));
    let mut wildcards = Wildcards { due: &due, chosen: Vec::new() };
    for (name, folder) in &candidates {
        if folder.due == folder.all {
            wildcards.choose(name);
        }
    }
    for (name, folder) in &candidates {
        if wildcards.paths() > FREE && !folder.has_assets && folder.due * 2 >= folder.all {
            wildcards.choose(name);
        }
    }
    let folders = wildcards.chosen.iter().map(|folder| format!("{folder}*"));
    folders.chain(wildcards.others().cloned().map(shortened)).collect()
}

struct Wildcards<'a> {
    due: &'a BTreeSet<String>,
    chosen: Vec<&'a str>,
}

impl<'a> Wildcards<'a> {
    fn covers(&self, path: &str) -> bool {
        self.chosen.iter().any(|folder| path.starts_with(folder))
    }

    fn choose(&mut self, folder: &'a str) {
        if self.covers(folder) {
            return;
        }
        let outside = |other: &&str| !other.starts_with(folder);
        if self.chosen.iter().copied().filter(outside).count() < WILDCARDS {
            self.chosen.retain(outside);
            self.chosen.push(folder);
        }
    }

    fn others(&self) -> impl Iterator<Item = &'a String> {
        self.due.iter().filter(|path| !self.covers(path))
    }

    /// How many there are to name.
    fn paths(&self) -> usize {
        self.others().count() + self.chosen.len()
    }
}

/// The folders that a path lies in, or is: `/` and `/docs/` of `/docs/a.html`.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..=at))
}

/// A path that is too long is named by its beginning, not cut within an encoded byte.
fn shortened(path: String) -> String {
    let Some(start) = path.get(..LONGEST - 1).filter(|_| path.len() > LONGEST) else { return path };
    let end = match start.rfind('%') {
        Some(at) if at + 3 > start.len() => at,
        _ => start.len(),
    };
    format!("{}*", start.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set<'a>(paths: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        paths.into_iter().map(str::to_owned).collect()
    }

    fn folded(due: &[&str], rest: &[&str], assets: &[&str]) -> Vec<String> {
        let site = set([due, rest, assets].concat());
        fold(set(due.iter().copied()), &site, &set(assets.iter().copied())).into_iter().collect()
    }

    #[test]
    fn a_folder_of_which_all_is_due_is_one_path() {
        let docs = ["/docs/", "/docs/index.html", "/docs/a", "/docs/deep/b"];
        assert_eq!(folded(&docs, &["/index.html"], &[]), ["/docs/*"]);
        assert_eq!(folded(&docs, &["/docs/c"], &[]), ["/docs/", "/docs/a", "/docs/deep/b", "/docs/index.html"]);
        assert_eq!(folded(&docs[..1], &[], &[]), ["/docs/"], "one path is as cheap");
        assert_eq!(folded(&["/", "/index.html", "/a", "/b/c"], &[], &[]), ["/*"]);
    }

    #[test]
    fn assets_are_left_alone() {
        let all = ["/", "/index.html", "/docs/a", "/docs/b"];
        assert_eq!(folded(&all, &[], &["/assets/x-0.css", "/assets/y-0.css"]), ["/", "/docs/*", "/index.html"]);
        assert_eq!(folded(&["/assets/x"], &[], &["/assets/x", "/assets/y"]), ["/assets/x"]);
    }

    #[test]
    fn what_would_cost_is_folded_further() {
        let numbered = |folder: &str, count: usize| (0..count).map(|n| format!("/{folder}/{n}")).collect::<Vec<_>>();
        let (due, rest) = (numbered("blog", 1500), numbered("blog", 2500));
        let of = |due: &[String], assets: &[&str]| {
            let rest = rest.iter().map(String::as_str);
            let site: BTreeSet<String> = due.iter().cloned().chain(set(rest.chain(assets.iter().copied()))).collect();
            fold(due.iter().cloned().collect(), &site, &set(assets.iter().copied()))
        };
        assert_eq!(of(&due, &["/assets/a"]), set(["/blog/*"]), "more than half of it is due");
        assert_eq!(of(&due, &[]), set(["/*"]), "nothing else is there");
        assert_eq!(of(&due, &["/blog/a-0123456789abcdef.css"]).len(), 1500, "there is an asset in it");
        assert_eq!(of(&due[..1000], &["/assets/a"]).len(), 1000, "so many cost nothing");
        assert_eq!(of(&due[..1100], &["/assets/a"]).len(), 1100, "most of it need not be purged");
    }

    #[test]
    fn there_are_no_more_wildcards_than_may_be_in_progress() {
        let due: BTreeSet<String> =
            (0..40).flat_map(|folder| (0..2 + folder).map(move |file| format!("/{folder}/{file}"))).collect();
        let site: BTreeSet<String> = due.iter().cloned().chain(["/x".to_owned()]).collect();
        let paths = fold(due, &site, &BTreeSet::new());
        let wildcards: Vec<&String> = paths.iter().filter(|path| path.ends_with('*')).collect();
        assert_eq!(wildcards.len(), WILDCARDS);
        assert!(paths.contains("/39/*") && paths.contains("/0/1"), "{wildcards:?}");
    }

    #[test]
    fn a_path_that_is_too_long_is_cut() {
        let long = format!("/{}", "%C3%A4".repeat(1000));
        let cut = shortened(long.clone());
        assert!(cut.len() <= LONGEST && cut.ends_with("%A4*"), "{}", &cut[cut.len() - 9..]);
        assert!(long.starts_with(cut.trim_end_matches('*')));
        assert_eq!(shortened("/a".to_owned()), "/a");
    }

    proptest! {
        #[test]
        fn all_that_is_due_is_named_and_no_asset_beside(
            due in prop::collection::btree_set("/([ab]/){0,3}[a-d]?", 0..40),
            rest in prop::collection::btree_set("/([ab]/){0,3}[a-d]?", 0..10),
            assets in prop::collection::btree_set("/[ab]/[a-d]-0", 0..4),
        ) {
            let site: BTreeSet<String> = due.iter().chain(&rest).chain(&assets).cloned().collect();
            let named = fold(due.clone(), &site, &assets);
            let is_named = |path: &str| named.iter().any(|name| match name.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path == name,
            });
            prop_assert!(due.iter().all(|path| is_named(path)));
            prop_assert!(site.iter().all(|path| due.contains(path) || !is_named(path)), "few enough to cost nothing");
            prop_assert!(named.len() <= due.len());
        }
    }
}

//! The same sources give the same bytes, wherever they lie and on however many threads.

use libtest_mimic::Trial;

use crate::setup::{Need, packages};
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![the_sample_builds_the_same_in_two_folders_and_with_any_threads];
    trials.extend(trials![[Need::Packages]; so_do_real_packages]);
    trials
}

fn same(sites: [Site; 3]) {
    let trees: Vec<_> = sites
        .iter()
        .zip(["1", "2", "7"])
        .map(|(site, threads)| site.build(&["--threads", threads]).tree().clone())
        .collect();
    for tree in &trees[1..] {
        assert_eq!(tree.keys().collect::<Vec<_>>(), trees[0].keys().collect::<Vec<_>>());
        let differ: Vec<_> =
            tree.iter().filter(|(path, bytes)| trees[0][*path] != **bytes).map(|(path, _)| path).collect();
        assert!(differ.is_empty(), "{differ:?}");
    }
    for (path, bytes) in &trees[0] {
        let text = String::from_utf8_lossy(bytes);
        for site in &sites {
            assert!(!text.contains(&*site.root().to_string_lossy()), "{path} holds a path of this machine");
        }
    }
}

fn the_sample_builds_the_same_in_two_folders_and_with_any_threads() {
    same([Site::sample(), Site::sample(), Site::sample()]);
}

fn so_do_real_packages() {
    let site = || {
        let site = Site::new()
            .asset("css/site.css", "@import 'bootstrap/dist/css/bootstrap.css';\n@import '@fortawesome/fontawesome-free/css/all.css';\n")
            .asset("js/a.ts", "import { Modal } from 'bootstrap'; import('three').then((three) => console.log(three.REVISION, Modal));\n")
            .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/site.css', 'js/a.ts') }}");
        std::os::unix::fs::symlink(packages(), site.root().join("node_modules")).expect("a link");
        site
    };
    let sites = [site(), site(), site()];
    same(sites);
}

//! The cache makes builds quicker and changes nothing else, whatever state it is in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::setup::{Need, SmallDisk};
use crate::site::{Site, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        a_second_build_finds_everything,
        an_edit_makes_only_what_depends_on_it,
        a_stylesheet_is_made_again_when_anything_that_it_is_made_of_changes,
        what_is_begun_early_changes_nothing,
        what_is_begun_early_and_not_wanted_is_left_out,
        what_is_damaged_is_made_again,
        builds_at_once_share_one,
        it_stays_within_its_bound,
        none_writes_nothing,
        it_lies_where_it_is_said_to,
        where_nothing_can_be_written_a_warning_says_so,
    ];
    trials.extend(trials![[Need::SmallDisk]; on_a_full_disk_the_build_goes_on, one_that_may_only_be_read_is_read]);
    trials
}

fn site() -> Site {
    Site::new()
        .asset("css/a.css", long_stylesheet())
        .asset("js/a.js", "function greet(somebody) { return 'good morning, ' + somebody }\n".repeat(20))
        .asset("img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css', 'js/a.js') }}<p>t")
}

fn place(site: &Site) -> PathBuf {
    site.root().join(".fingerpost-cache")
}

/// The entries, without what marks the folder.
fn entries(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    tree(folder).into_iter().filter(|(name, _)| name.contains('/')).collect()
}

/// Builds, and gives how many results were there, how many there are in all, and what was made.
fn build(site: &Site, arguments: &[&str]) -> (usize, usize, BTreeMap<String, Vec<u8>>) {
    let run = site.run(&[&["build", "--verbose"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let line = run.stderr.lines().find(|line| line.starts_with("cache: ")).unwrap_or("cache: 0 of 0");
    let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1], tree(&site.root().join("dist")))
}

fn a_second_build_finds_everything() {
    let site = site();
    let (found, all, first) = build(&site, &[]);
    assert_eq!(found, 0);
    // A page, three assets and a script, each with three sidecars, but what does not shrink is counted too; and a stylesheet.
    assert!(all >= 13, "{all}");
    assert_eq!(entries(&place(&site)).len(), all);
    let (found, again, second) = build(&site, &[]);
    assert_eq!((found, again), (all, all));
    assert!(first == second);
    for (path, bytes) in &second {
        assert!(!String::from_utf8_lossy(bytes).contains("fingerpost-cache"), "{path} speaks of the cache");
    }
}

fn an_edit_makes_only_what_depends_on_it() {
    let site = site();
    let (_, all, _) = build(&site, &[]);
    site.write("assets/js/a.js", "function other() { return 'good evening' }\n".repeat(20));
    // The script, its three sidecars, and those of the page that names it.
    let (found, again, _) = build(&site, &[]);
    assert_eq!((again, again - found), (all, 7));
}

fn a_stylesheet_is_made_again_when_anything_that_it_is_made_of_changes() {
    let site = Site::new()
        .asset("css/a.css", "@import 'part.css';\na { background: url(../img/a.svg) }\n")
        .asset("css/part.css", "b { color: red }\n")
        .asset("css/main.scss", "@use 'colors';\nc { color: colors.$brand }\n")
        .asset("_colors.scss", "$brand: #010203;\n")
        .asset("img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css', 'css/main.scss') }}<p>t");
    let styles = || {
        let (found, all, files) = build(&site, &["--no-compress"]);
        let styles = files.iter().filter(|(path, _)| path.ends_with(".css"));
        let text: String = styles.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        (all - found, text)
    };
    assert_eq!(styles().0, 4, "three stylesheets, one of which is a part of another, and the Sass");
    assert_eq!(styles().0, 0);
    site.write("assets/css/part.css", "b { color: lime }\n");
    let (made, text) = styles();
    assert!(made == 2 && text.contains("b{color:#0f0}"), "{made}: {text}");
    let before = text;
    site.write("assets/img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg' width='1'/>");
    let (made, text) = styles();
    assert!(made == 1 && text != before, "it names the image by its fingerprint: {made}: {text}");
    site.write("assets/_colors.scss", "$brand: #040506;\n");
    let (made, text) = styles();
    assert!(made == 2 && text.contains("#040506"), "{made}: {text}");
    // Sass looks beside the file first: there was nothing.
    site.write("assets/css/_colors.scss", "$brand: #070809;\n");
    let (made, text) = styles();
    assert!(made == 2 && text.contains("#070809"), "{made}: {text}");
    assert_eq!(styles().0, 0);
}

/// Builds with a cache and without, which has to be the same, and gives how many files hold a line of the large library.
fn compare(site: &Site, what: &str) -> usize {
    let (.., with) = build(site, &[]);
    let (.., without) = build(site, &["--cache", "none"]);
    assert!(with == without, "{what}: {:?}, and without a cache {:?}", with.keys(), without.keys());
    with.values().filter(|bytes| String::from_utf8_lossy(bytes).contains("line 17 of the library")).count()
}

fn large(name: &str) -> String {
    let lines: String = (0..5000).map(|line| format!("  'line {line} of the library {name}',\n")).collect();
    format!("globalThis.{name} = true;\nexport const lines = [\n{lines}];\n")
}

/// Whether an import is one may depend on more than the script that it stands in.
fn what_is_begun_early_and_not_wanted_is_left_out() {
    let site = Site::new()
        .asset(
            "js/app.ts",
            "import { lines } from 'library';\nconst title: string = 'none';\ndocument.title = title;\n",
        )
        .file("tsconfig.json", r#"{ "compilerOptions": { "verbatimModuleSyntax": true } }"#)
        .file("node_modules/library/package.json", r#"{ "name": "library", "module": "a.js" }"#)
        .file("node_modules/library/a.js", large("a"))
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('js/app.ts') }}<p>t");
    compare(&site, "imported for its effects");
    site.write("tsconfig.json", r#"{ "compilerOptions": { "verbatimModuleSyntax": false } }"#);
    assert_eq!(compare(&site, "imported for types alone"), 0);
}

/// Modules that were large in the last build are begun with, if the way to them is the same.
fn what_is_begun_early_changes_nothing() {
    let shows = "import { lines } from 'library';\ndocument.title = lines[performance.now() | 0];\n";
    let site = Site::new()
        .asset("js/app.js", "import './other.js';\nimport('./page.js');\n")
        .asset("js/other.js", "document.body.dataset.other = 'one';\n")
        .asset("js/page.js", shows)
        .file("node_modules/library/package.json", r#"{ "name": "library", "module": "a.js" }"#)
        .file("node_modules/library/a.js", large("a"))
        .file("node_modules/library/b.js", large("b"))
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('js/app.js') }}<p>t");
    let compare = |what: &str| compare(&site, what);
    assert!(compare("first") > 0);
    site.write("assets/js/other.js", "document.body.dataset.other = 'two';\n");
    assert!(compare("beside the way") > 0);
    site.write("assets/js/page.js", "document.title = 'none';\n");
    assert_eq!(compare("the way ends"), 0);
    site.write("assets/js/page.js", shows);
    assert!(compare("the way is there again") > 0);
    site.write("node_modules/library/package.json", r#"{ "name": "library", "module": "b.js" }"#);
    assert!(compare("the same way leads elsewhere") > 0);
    site.write("assets/js/app.js", "import './other.js';\n");
    // The page is a script by itself then.
    assert!(compare("another way") > 0);
}

fn what_is_damaged_is_made_again() {
    let site = site();
    let (_, all, good) = build(&site, &[]);
    let folder = place(&site);
    let whole = entries(&folder);
    let other = whole.values().last().expect("an entry");
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_owned();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = |bytes: &[u8]| {
        [
            ("a bit of the seal", flipped(bytes, 0)),
            ("a bit at the end", flipped(bytes, bytes.len() - 1)),
            ("half", bytes[..bytes.len() / 2].to_owned()),
            ("nothing", Vec::new()),
            ("garbage", b"garbage".repeat(99)),
            ("more", [bytes, b"more"].concat()),
            ("another entry", other.clone()),
        ]
    };
    for (index, (what, _)) in damaged(other).into_iter().enumerate() {
        for (name, bytes) in &whole {
            std::fs::write(folder.join(name), &damaged(bytes)[index].1).expect("damage");
        }
        let (found, again, made) = build(&site, &[]);
        assert!(found <= usize::from(what == "another entry"), "{what}: {found} found");
        assert_eq!(again, all, "{what}");
        assert!(made == good, "{what}");
        assert!(entries(&folder) == whole, "{what}: the entries are whole again");
    }
}

fn builds_at_once_share_one() {
    let site = site();
    let (_, _, good) = build(&site, &["--cache", "none"]);
    let names = ["one", "two", "three", "four"];
    let running =
        names.map(|out| site.command(&["build", "--quiet", "--out", out]).spawn().expect("the program starts"));
    for mut build in running {
        assert_eq!(build.wait().expect("its end").code(), Some(0));
    }
    for out in names {
        assert!(tree(&site.root().join(out)) == good, "{out}");
    }
    let (found, all, _) = build(&site, &[]);
    assert_eq!(found, all);
}

fn it_stays_within_its_bound() {
    let mut site = Site::new().config("[build]\ncache_max_mb = 1\n");
    for index in 0..150 {
        site = site.asset(&format!("css/a{index}.css"), long_stylesheet() + &format!("a {{ z-index: {index} }}"));
    }
    build(&site, &[]);
    // On the disk a file takes whole blocks.
    let sizes = entries(&place(&site)).values().map(|bytes| bytes.len().next_multiple_of(4096)).collect::<Vec<_>>();
    let sum: usize = sizes.iter().sum();
    assert!(sum <= 1 << 20 && sum > 1 << 19, "{sum} bytes in {} entries", sizes.len());
}

fn none_writes_nothing() {
    for site in [site().config("[build]\ncache = 'none'\n"), site()] {
        let arguments = if site.root().join("fingerpost.toml").exists() { vec![] } else { vec!["--cache", "none"] };
        let before = std::fs::read_dir(site.root()).expect("a folder").count();
        assert_eq!(build(&site, &arguments).1, 0);
        assert_eq!(std::fs::read_dir(site.root()).expect("a folder").count(), before + 1, "the output alone is new");
    }
}

fn it_lies_where_it_is_said_to() {
    let home = tempfile::tempdir().expect("a folder");
    let site = site().config("[build]\ncache = 'user'\n");
    let cases = [
        (vec![("XDG_CACHE_HOME", "xdg")], "xdg/fingerpost"),
        (vec![("HOME", "home")], "home/.cache/fingerpost"),
        (vec![("HOME", "home"), ("FINGERPOST_CACHE", "named")], "named"),
    ];
    for (variables, want) in cases {
        let mut command = site.command(&["build", "--quiet"]);
        command.env_remove("XDG_CACHE_HOME");
        command.envs(variables.into_iter().map(|(name, folder)| (name, home.path().join(folder))));
        assert!(command.status().expect("the program runs").success());
        let folder = home.path().join(want);
        assert!(entries(&folder).len() >= 12, "{want}");
        assert!(folder.join("CACHEDIR.TAG").exists(), "{want}");
        assert_eq!(std::fs::read_to_string(folder.join(".gitignore")).expect("a file"), "*\n");
    }
    assert!(!place(&site).exists());
}

fn where_nothing_can_be_written_a_warning_says_so() {
    let site = site().file("taken", "a file");
    let good = build(&site, &["--cache", "none"]).2;
    let run = site.run(&["build", "--cache", "taken"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    let [warning] = warnings[..] else { panic!("one warning, not {warnings:?}") };
    assert!(warning.contains("could not write to the cache") && warning.contains("taken"), "{warning}");
    assert!(tree(&site.root().join("dist")) == good);
}

fn on_a_full_disk_the_build_goes_on() {
    let disk = SmallDisk::mount().expect("a small disk");
    let mut site = Site::new();
    for index in 0..40 {
        site = site.asset(&format!("css/a{index}.css"), long_stylesheet() + &format!("a {{ z-index: {index} }}"));
    }
    let good = build(&site, &["--cache", "none"]).2;
    let run = site.run(&["build", "--cache", &disk.path().to_string_lossy()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("warning: could not write to the cache"), "{}", run.stderr);
    assert!(tree(&site.root().join("dist")) == good);
}

fn one_that_may_only_be_read_is_read() {
    let disk = SmallDisk::mount().expect("a small disk");
    let site = site().asset("css/a.css", "a { color: red }\n".repeat(9));
    let cache = disk.path().to_string_lossy().into_owned();
    let (_, all, good) = build(&site, &["--cache", &cache]);
    disk.forbid_writing();
    let (found, again, made) = build(&site, &["--cache", &cache]);
    assert_eq!((found, again), (all, all));
    assert!(made == good);
}

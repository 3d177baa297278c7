//! Builds of a site that is being worked on: one after another, each made of what the last one has left and of what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oxc_sourcemap::SourceMap;

use super::cache::Cache;
use super::memory::Memory;
use super::output::{Imports, Outputs};
use super::record::Relation;
use super::{Built, Made, Options, make, refuse_overlap, threads, write};
use crate::config::Config;
use crate::error::Result;
use crate::manifest::{Kind, Manifest, Mode};
use crate::progress::Progress;

/// What is kept of a site from build to build. A build that fails leaves what it had.
pub struct Session {
    config: Config,
    mode: Mode,
    head: String,
    cache: Arc<Cache>,
    memory: Memory,
    /// Started by the first build.
    threads: Option<Arc<rayon::ThreadPool>>,
}

/// A build in memory.
#[derive(Debug)]
pub struct Snapshot {
    pub manifest: Manifest,
    /// By path below the output folder.
    pub files: BTreeMap<String, Bytes>,
    /// By page: every file that it may load, itself left out.
    pub uses: BTreeMap<String, BTreeSet<String>>,
}

impl Session {
    /// `head` is what each page has before all else in its head.
    pub fn new(config: Config, mode: Mode, head: impl Into<String>) -> Self {
        Session {
            mode,
            head: head.into(),
            cache: Arc::new(Cache::open(&config)),
            memory: match mode {
                Mode::Development => Memory::lasting(&config.root),
                // There a name covers all that its file refers to, so that little would be left of what is kept: the cache knows more.
                Mode::Production => Memory::short(&config.root),
            },
            threads: None,
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Builds the site anew. `told` are paths that are known to have changed since the last build; what else has, is found.
    pub fn build(&mut self, told: &BTreeSet<PathBuf>, progress: &dyn Progress) -> Result<Snapshot> {
        let threads = self.threads(0)?;
        let made = self.make(&threads, told, progress)?;
        Ok(threads.install(|| Snapshot::of(&self.config, self.mode, made)))
    }

    /// As [`Session::build`], into an output folder. `options` are the same each time.
    pub fn write(&mut self, options: &Options, told: &BTreeSet<PathBuf>, progress: &dyn Progress) -> Result<Built> {
        let threads = self.threads(options.threads)?;
        refuse_overlap(&self.config, &options.out)?;
        let made = self.make(&threads, told, progress)?;
        let Session { config, cache, memory, .. } = self;
        let built = threads.install(|| write(config, options, cache, memory, made, progress))?;
        cache.close(progress);
        Ok(built)
    }

    fn threads(&mut self, count: usize) -> Result<Arc<rayon::ThreadPool>> {
        if let Some(threads) = &self.threads {
            return Ok(Arc::clone(threads));
        }
        let threads = Arc::new(threads(count)?);
        self.threads = Some(Arc::clone(&threads));
        Ok(threads)
    }

    fn make(&mut self, threads: &rayon::ThreadPool, told: &BTreeSet<PathBuf>, progress: &dyn Progress) -> Result<Made> {
        let Session { config, mode, head, cache, memory, .. } = self;
        if *mode == Mode::Production {
            *memory = Memory::short(&config.root);
        }
        threads.install(|| make(config, *mode, cache, memory, told, head, progress))
    }

    /// Goes up when [`Session::inputs`] are others.
    pub fn generation(&self) -> u64 {
        self.memory.generation()
    }

    /// Every file that the last build was made of.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.memory.inputs()
    }
}

impl Snapshot {
    fn of(config: &Config, mode: Mode, made: Made) -> Self {
        let Made { outputs, release, .. } = made;
        let mut manifest = outputs.manifest(config, mode);
        manifest.release = release;
        let pages = outputs.files.iter().filter(|(_, output)| output.kind == Kind::Page);
        let uses = pages.map(|(path, _)| (path.clone(), used(&outputs, path))).collect();
        let files = outputs.files.into_iter().map(|(path, output)| (path, output.bytes)).collect();
        Snapshot { manifest, files, uses }
    }
}

/// Every file that can be reached from one by what the files name.
fn used(outputs: &Outputs, path: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut queue = vec![path];
    while let Some(path) = queue.pop() {
        let named = outputs.files.get(path).into_iter().flat_map(|output| &output.refers);
        let named = named.map(|(relation, to)| (*relation, to));
        let imported = outputs.imports.get(path).into_iter().flat_map(Imports::references);
        for (relation, to) in named.chain(imported) {
            if relation != Relation::SourceMap && !used.contains(to) {
                used.insert(to.clone());
                queue.push(to);
            }
        }
    }
    used
}

/// Where something that was built comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalPosition {
    /// Below the root.
    pub file: String,
    /// Both from 1.
    pub line: u32,
    pub column: u32,
    /// The file's text, where the map has it.
    pub text: Option<String>,
}

impl Snapshot {
    /// Where the code at a place in a file comes from, lines and columns counted from 1: what its source map says, or the source itself
    /// that became the file as it is.
    pub fn original_position(&self, path: &str, line: u32, column: u32) -> Option<OriginalPosition> {
        let (bytes, file) = (self.files.get(path)?, self.manifest.files.get(path)?);
        let text = std::str::from_utf8(bytes).ok()?;
        let Some(map) = inline_map(text) else {
            let source = file.source.clone()?;
            return Some(OriginalPosition { file: source, line, column, text: Some(text.to_owned()) });
        };
        let map = SourceMap::from_json_string(&map).ok()?;
        let table = map.generate_lookup_table();
        let token = map.lookup_token(&table, line.checked_sub(1)?, column.saturating_sub(1))?;
        let source = token.get_source_id()?;
        Some(OriginalPosition {
            file: map.get_source(source)?.to_owned(),
            line: token.get_src_line() + 1,
            column: token.get_src_col() + 1,
            text: map.get_source_content(source).map(|text| text.to_string()),
        })
    }
}

fn inline_map(text: &str) -> Option<String> {
    let (_, map) = text.rsplit_once("sourceMappingURL=data:application/json;base64,")?;
    let map = map.split(|c: char| c.is_whitespace() || c == '*').next()?;
    String::from_utf8(STANDARD.decode(map).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;

    /// A site of which every file has others that depend on it.
    const FILES: [(&str, &str); 19] = [
        (
            "fingerpost.toml",
            "[build]\ncache = \"none\"\n[[bundle]]\nname = \"css/all.css\"\ninputs = [\"css/a.css\", \"css/b.css\"]\n",
        ),
        (
            "templates/_base.html",
            "<!doctype html><html><head><title>{% block title %}{% endblock %}</title></head><body>{% block body %}{% endblock %}</body></html>",
        ),
        (
            "templates/index.html",
            "{% extends '_base.html' %}{% block body %}{{ asset_tags('css/all.css') }}{% include '_part.html' %}<script type=module src=/static/js/app.ts></script><img src=/static/img/a.svg>{% endblock %}",
        ),
        (
            "templates/about.html",
            "{% extends '_base.html' %}{% block body %}<link rel=stylesheet href=/static/css/c.scss><script src=/static/js/plain.js integrity=\"{{ asset_integrity('js/plain.js') }}\"></script>{% endblock %}",
        ),
        ("templates/_part.html", "<p>part</p>"),
        ("assets/css/a.css", "@import './base.css'; a { background: url(../img/a.svg) }"),
        ("assets/css/b.css", "b { color: red }"),
        ("assets/css/base.css", "html { margin: 0 }"),
        ("assets/css/c.scss", "@use 'parts/vars'; c { color: vars.$color; background: url(../img/b.svg) }"),
        ("assets/css/parts/_vars.scss", "$color: green;"),
        ("assets/css/m.module.css", ".m { color: blue }"),
        ("assets/img/a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("assets/img/b.svg", "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>"),
        (
            "assets/js/app.ts",
            "import { one } from './one'; import names from '../css/m.module.css'; import text from './note.txt?raw'; import './side.css'; console.log(one as number, names.m, text, new URL('../img/b.svg', import.meta.url).href); import('./lazy.js'); const all = import.meta.glob('./parts/*.js', { eager: true }); console.log(all);",
        ),
        ("assets/js/one.ts", "export const one: number = 1;"),
        ("assets/js/lazy.js", "import './lazy.css'; export const lazy = 1;"),
        ("assets/js/plain.js", "var plain = 1;"),
        ("assets/js/parts/p.js", "export default 'p';"),
        ("assets/js/note.txt", "note"),
    ];

    const SHEETS: [(&str, &str); 2] =
        [("assets/js/side.css", "side { color: red }"), ("assets/js/lazy.css", "lazy { color: red }")];

    struct Site {
        folder: tempfile::TempDir,
        session: Session,
    }

    impl Site {
        fn new() -> Self {
            Site::of(FILES.iter().chain(&SHEETS).copied())
        }

        fn of<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                write(folder.path(), path, text);
            }
            let session = session(Config::load(folder.path(), None).unwrap());
            Site { folder, session }
        }

        /// Builds on, and compares that with what a new session builds.
        fn check(&mut self, told: &[&str], what: &str) {
            let told = told.iter().map(|path| self.session.config().root.join(path)).collect();
            let built = self.session.build(&told, &Silent);
            let fresh = session(self.session.config().clone()).build(&BTreeSet::new(), &Silent);
            match (built, fresh) {
                (Ok(built), Ok(fresh)) => {
                    assert_eq!(
                        built.files.keys().collect::<Vec<_>>(),
                        fresh.files.keys().collect::<Vec<_>>(),
                        "{what}"
                    );
                    for (path, bytes) in &fresh.files {
                        let (ours, theirs) =
                            (String::from_utf8_lossy(&built.files[path]), String::from_utf8_lossy(bytes));
                        assert_eq!(ours, theirs, "{what}: {path}");
                    }
                    assert_eq!(built.uses, fresh.uses, "{what}");
                    assert_eq!(built.manifest.to_json(), fresh.manifest.to_json(), "{what}");
                }
                (Err(built), Err(fresh)) => assert_eq!(built.to_string(), fresh.to_string(), "{what}"),
                (built, fresh) => panic!("{what}: {built:?} is not {fresh:?}"),
            }
        }
    }

    fn session(config: Config) -> Session {
        Session::new(config, Mode::Development, "<script src=/x.js></script>")
    }

    fn write(root: &Path, path: &str, text: &str) {
        crate::fs::write(&root.join(path), text.as_bytes()).unwrap();
    }

    /// The same in each run, for each seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % bound
        }
    }

    #[test]
    fn edits_one_after_another_end_in_what_a_clean_build_makes() {
        let mut site = Site::new();
        site.check(&[], "the first build");
        let mut random = Random(26);
        let all: Vec<(&str, &str)> = FILES.iter().chain(&SHEETS).skip(1).copied().collect();
        for step in 0..200 {
            let root = site.folder.path().to_owned();
            let (path, text) = all[random.below(all.len())];
            let there = root.join(path).exists();
            let mut told = path.to_owned();
            let (kind, done) = match random.below(10) {
                // What was there before comes back, sooner or later.
                _ if !there => ("restore", write(&root, path, text)),
                0 => ("remove", fs::remove_file(root.join(path)).unwrap()),
                1 => {
                    let other = format!("{path}.new");
                    fs::rename(root.join(path), root.join(&other)).unwrap();
                    fs::rename(root.join(&other), root.join(path)).unwrap();
                    ("rename and back", ())
                }
                2 => {
                    let (folder, name) = path.rsplit_once('/').unwrap();
                    told = format!("{folder}/n{}-{}", random.below(3), name.trim_start_matches('_'));
                    ("create", write(&root, &told, text))
                }
                3 => ("break", write(&root, path, "{% { <<< ;;; import from")),
                4 => {
                    // Another tool copies files with their times.
                    let file = fs::File::options().write(true).open(root.join(path)).unwrap();
                    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
                    ("touch", ())
                }
                _ => ("edit", write(&root, path, &format!("{text}\n{}", comment(path, step)))),
            };
            let () = done;
            // Half of the time nobody has heard of it.
            let told = [told.as_str()];
            site.check(if random.below(2) == 0 { &told } else { &[] }, &format!("step {step}, {kind} {path}"));
        }
        for (path, text) in all {
            write(site.folder.path(), path, text);
        }
        site.check(&[], "all as it was");
    }

    /// What to watch follows from what was read, and takes about as long to find out as a small build.
    #[test]
    fn an_edit_is_nothing_else_that_was_read() {
        let mut site = Site::new();
        let root = site.folder.path().to_owned();
        site.check(&[], "the first build");
        let read = site.session.generation();
        for (path, texts) in [
            ("assets/js/one.ts", ["export const one = 2;", "export const one = 3;"]),
            ("assets/css/base.css", ["html { margin: 1px }", "html { margin: 2px }"]),
            ("templates/_part.html", ["{% broken", "<p>mended</p>"]),
        ] {
            for text in texts {
                write(&root, path, text);
                site.check(&[path], path);
                assert_eq!(site.session.generation(), read, "{path}");
            }
        }
        write(&root, "assets/js/two.ts", "export const two = 2;");
        write(&root, "assets/js/one.ts", "export { two as one } from './two';");
        site.check(&["assets/js/one.ts", "assets/js/two.ts"], "another is imported");
        assert!(site.session.generation() > read);
        let two = root.join("assets/js/two.ts");
        assert!(site.session.inputs().any(|path| path == two));
    }

    fn comment(path: &str, step: usize) -> String {
        match path.rsplit_once('.').unwrap().1 {
            "html" | "svg" => format!("<!-- {step} -->"),
            "css" | "scss" => format!("x{step} {{ color: red }}"),
            "js" | "ts" => format!("console.log({step});"),
            _ => step.to_string(),
        }
    }

    /// A build that fails early has not looked at what there is, and the next one must not believe that it has.
    #[test]
    fn what_a_failed_build_has_not_looked_at_is_looked_at_by_the_next_one() {
        let mut site = Site::new();
        let root = site.folder.path().to_owned();
        let (page, text) = FILES.iter().copied().find(|(path, _)| *path == "templates/about.html").unwrap();
        write(&root, page, "{% broken");
        site.check(&[], "the first build fails at a template");
        write(&root, page, text);
        site.check(&[page], "mended");
        write(&root, page, "{% broken");
        write(&root, "assets/css/late.css", "late { color: red }");
        site.check(&[page, "assets/css/late.css"], "broken again, and a file comes");
        write(&root, page, &format!("{text}<link rel=stylesheet href=/static/css/late.css>"));
        site.check(&[page], "mended again, and it names the file");
    }

    /// What the bundler knows of the other modules has to fit with whatever becomes of one.
    #[test]
    fn a_script_that_changes_is_bundled_with_what_is_known_of_the_others() {
        let app = "import { value, Kind, unused } from './lib'; import * as all from './all'; import old from './old.cjs';\n\
             import data from './data.json'; import './app.css'; console.log(value, Kind.A, all.one, all.two, old.x, data.n);\n\
             const shown = await import('./page'); console.log(shown.title);";
        let lib = "export const value: number = 1; export enum Kind { A = 1 } export function unused() {}";
        let mut site = Site::of([
            ("fingerpost.toml", "[build]\ncache = \"none\"\n"),
            (
                "templates/index.html",
                "{{ asset_tags('js/app.ts') }}{{ asset_tags('js/other.ts') }}{{ asset_tags('js/third.ts') }}",
            ),
            ("assets/js/app.ts", app),
            (
                "assets/js/other.ts",
                "import { value } from './lib'; import { pure } from 'pure'; console.log(value, pure); new Worker(new URL('./work.ts', import.meta.url), { type: 'module' });",
            ),
            ("assets/js/third.ts", "import { two } from './two'; export const third = two;"),
            ("assets/js/work.ts", "import { work } from './works'; work();"),
            ("assets/js/works.ts", "export const work = () => postMessage(1);"),
            ("assets/js/lib.ts", lib),
            ("assets/js/all.ts", "export * from './one'; export * from './two';"),
            ("assets/js/one.ts", "import './one.css'; export const one = 1;"),
            ("assets/js/two.ts", "export const two = 2;"),
            ("more/a.bin", "a"),
            ("more/b.bin", "b"),
            ("assets/js/page.tsx", "import './page.css'; export const title = 't'; export const spare = 's';"),
            ("assets/js/old.cjs", "exports.x = 1;"),
            ("assets/js/data.json", "{\"n\": 1}"),
            ("assets/js/app.css", "a { color: red }"),
            ("assets/js/one.css", "b { color: red }"),
            ("assets/js/page.css", "i { color: red }"),
            ("node_modules/pure/package.json", "{\"name\": \"pure\", \"main\": \"i.js\", \"sideEffects\": false}"),
            ("node_modules/pure/i.js", "/*! licence */ export const pure = 1; export const more = 2;"),
        ]);
        let root = site.folder.path().to_owned();
        site.check(&[], "the first build");
        let spare = app.replace("shown.title", "shown.spare");
        let edits = [
            ("js/lib.ts", "export const value: number = 2; export enum Kind { A = 7, B } export function unused() {}"),
            (
                "js/lib.ts",
                "/*! kept */ export let value = 2; value++; console.log('effect'); export class Kind { static A = 1 } export const unused = 1;",
            ),
            ("js/lib.ts", "export const value = 2, Kind = { A: 1 };"),
            ("js/lib.ts", "export const value = ;"),
            ("js/lib.ts", lib),
            ("js/two.ts", "export const two = 3, one = 4;"),
            ("js/two.ts", "export { one as two } from './one';"),
            ("js/two.ts", "import { one } from './one'; export const two = one + await Promise.resolve(1);"),
            ("js/one.ts", "import './one.css'; export const one = (() => { const two = 5; return two })();"),
            ("js/one.ts", "import './one.css'; export const one = new URL('../../more/a.bin', import.meta.url).href;"),
            ("js/one.ts", "import './one.css'; export const one = new URL('../../more/b.bin', import.meta.url).href;"),
            ("js/one.ts", "import './one.css'; export const one = 'none';"),
            ("js/one.ts", "export const one = () => import('./two');"),
            ("js/one.ts", "export const one = 1;"),
            ("js/page.tsx", "import './page.css'; export const title = 'other'; console.log('page');"),
            ("js/old.cjs", "exports.x = 2; exports.y = 3;"),
            ("js/old.cjs", "export default { x: 3 };"),
            ("js/data.json", "{\"n\": 2, \"m\": 3}"),
            (
                "js/app.ts",
                "import { value } from './lib'; const { spare } = await import('./page'); console.log(value, spare);",
            ),
            ("js/app.ts", spare.as_str()),
            ("js/app.ts", app),
            (
                "js/third.ts",
                "import { two } from './two'; import.meta.env.DEV && console.log(two); export const third = two, fourth = 4;",
            ),
            ("js/works.ts", "export const work = () => postMessage(2);"),
            ("js/work.ts", "import { work } from './works'; work(); work();"),
            ("js/app.css", "a { color: lime }"),
        ];
        for (step, (path, text)) in edits.into_iter().enumerate() {
            let path = format!("assets/{path}");
            write(&root, &path, text);
            site.check(&[&path], &format!("step {step}, {path}"));
        }
        let package = "node_modules/pure/i.js";
        write(&root, package, "export const pure = 3;");
        site.check(&[package], "a package");
    }

    /// Which module is in which file follows from their sizes.
    #[test]
    fn a_graph_that_is_divided_is_divided_alike_by_a_clean_build() {
        let module = |index: usize, length: usize| {
            let import = if index < 29 { format!("import './m{}.js';\n", index + 1) } else { String::new() };
            format!("{import}console.log({index});\n{}", "// filling\n".repeat(length / 11))
        };
        let mut site = Site::of([
            ("fingerpost.toml", "[build]\ncache = \"none\"\n"),
            ("templates/index.html", "{{ asset_tags('js/app.js') }}"),
            ("assets/js/app.js", "import './m0.js';"),
        ]);
        let root = site.folder.path().to_owned();
        (0..30).for_each(|index| write(&root, &format!("assets/js/m{index}.js"), &module(index, 40_000)));
        site.check(&[], "the first build");
        for (index, length) in [(20, 40_100), (20, 300_000), (3, 100), (20, 100)] {
            let path = format!("assets/js/m{index}.js");
            write(&root, &path, &module(index, length));
            site.check(&[&path], &path);
            let files = site.session.build(&BTreeSet::new(), &Silent).unwrap().files;
            assert!(files.keys().filter(|path| path.starts_with("assets/chunks/part~")).count() > 1, "{files:?}");
        }
    }

    #[test]
    fn a_script_that_changes_is_all_that_is_bundled_anew() {
        let mut site = Site::new();
        site.session.build(&BTreeSet::new(), &Silent).unwrap();
        let (root, script) = (site.folder.path().to_owned(), "assets/js/lazy.js");
        // Nobody is told of it, and whoever looked would find it out.
        fs::remove_file(root.join("assets/js/one.ts")).unwrap();
        write(&root, script, "import './lazy.css'; console.log('changed');");
        let built = site.session.build(&BTreeSet::from([root.join(script)]), &Silent).unwrap();
        let has = |word: &str| built.files.values().any(|bytes| String::from_utf8_lossy(bytes).contains(word));
        assert!(has("'changed'") || has("\"changed\""));
        write(&root, script, "import './lazy.css'; import './gone.js';");
        assert!(site.session.build(&BTreeSet::from([root.join(script)]), &Silent).is_err());
    }

    #[test]
    fn what_is_served_leads_back_to_its_source() {
        let mut site = Site::new();
        let snapshot = site.session.build(&BTreeSet::new(), &Silent).unwrap();
        let (path, bytes) = snapshot.files.iter().find(|(path, _)| path.starts_with("assets/js/app")).unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (line, column) = text
            .lines()
            .enumerate()
            .find_map(|(index, line)| Some((index as u32 + 1, line.find("console.log(1")? as u32 + 1)))
            .or_else(|| {
                text.lines()
                    .enumerate()
                    .find_map(|(index, line)| Some((index as u32 + 1, line.find("console.log(")? as u32 + 1)))
            })
            .unwrap();
        let origin = snapshot.original_position(path, line, column).unwrap();
        assert_eq!((origin.file.as_str(), origin.line), ("assets/js/app.ts", 1));
        assert!(origin.text.unwrap().contains("one as number"));
        let plain = snapshot.original_position("assets/js/plain.js", 1, 5).unwrap();
        assert_eq!((plain.file.as_str(), plain.line, plain.column), ("assets/js/plain.js", 1, 5));
    }

    #[test]
    fn an_edit_of_one_file_changes_that_file_alone() {
        let mut site = Site::new();
        let before = site.session.build(&BTreeSet::new(), &Silent).unwrap();
        for (path, want) in [
            ("assets/css/base.css", vec!["assets/css/all.css"]),
            ("assets/css/parts/_vars.scss", vec!["assets/css/c.css"]),
            ("assets/img/b.svg", vec!["assets/img/b.svg"]),
            ("assets/js/plain.js", vec!["about.html", "assets/js/plain.js"]),
            ("templates/_part.html", vec!["index.html"]),
            ("templates/_base.html", vec!["about.html", "index.html"]),
        ] {
            let root = site.folder.path().to_owned();
            let text = fs::read_to_string(root.join(path)).unwrap();
            write(
                &root,
                path,
                &format!("{}{text}", if path.ends_with("scss") { "// x\n$x: 1;" } else { "" })
                    .replace("green", "lime")
                    .replace("margin: 0", "margin: 1px")
                    .replace("<g/>", "<g></g>")
                    .replace("= 1;", "= 2;")
                    .replace("part</p>", "other</p>")
                    .replace("<body>", "<body class=x>"),
            );
            let after = site.session.build(&BTreeSet::new(), &Silent).unwrap();
            let changed: Vec<&str> = after
                .files
                .iter()
                .filter(|(path, bytes)| before.files.get(*path) != Some(*bytes))
                .map(|(path, _)| path.as_str())
                .collect();
            assert_eq!(changed, want, "{path}");
            write(&root, path, &text);
            site.session.build(&BTreeSet::new(), &Silent).unwrap();
        }
    }
}

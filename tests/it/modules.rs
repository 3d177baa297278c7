//! What scripts may import and refer to, and that it works where assets come from another origin.

use libtest_mimic::Trial;
use serde_json::json;

use crate::browser::browse;
use crate::setup::Need;
use crate::site::{Dist, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        an_edit_to_what_all_pages_share_renames_one_file,
        an_edit_leaves_the_packages_cached,
        the_environment_and_definitions_are_constants,
        packages_are_found_by_their_exports,
        an_unused_module_without_side_effects_is_left_out,
        licences_are_gathered_into_one_file,
        a_map_leads_from_the_minified_script_to_the_line_that_was_written,
        what_only_scripts_import_is_no_output_of_its_own,
        what_a_script_refers_to_must_be_there,
        workers_that_start_each_other_are_told,
        a_worker_may_start_a_worker,
        what_nothing_here_compiles_is_told,
    ];
    trials.extend(trials![
        [Need::Browser];
        sheets_of_modules_apply_before_the_modules_run,
        what_is_loaded_for_its_sheets_alone_brings_them,
        assets_are_found_by_url_and_by_query,
        globs_are_expanded,
        workers_start_from_another_origin,
        css_modules_give_their_names,
        what_is_external_comes_by_the_import_map,
        jsx_and_paths_follow_tsconfig,
    ]);
    trials
}

const PAGE: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><link rel=icon href=\"data:,\"><title>t</title>\
     {{ asset_tags('js/app.ts') }}</head><body><p id=p>p</p></body></html>";

const LOGO: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='3' height='2'/>";

fn site(app: &str) -> Site {
    Site::new().asset("js/app.ts", app).template("index.html", PAGE)
}

/// Opens the front page with its assets on another origin, and gives what a script returns once `ready` holds.
fn shown(site: &Site, ready: &str, script: &str) -> serde_json::Value {
    let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        browser.until(ready).await;
        let seen = browser.run(script).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        seen
    })
}

fn scripts(dist: &Dist) -> Vec<String> {
    dist.names().into_iter().filter(|name| name.starts_with("assets/") && name.ends_with(".js")).collect()
}

fn sheets_of_modules_apply_before_the_modules_run() {
    let site = site(
        "import './reset.css'; import { button } from './button'; import './app.css'; button();\n\
         const color = () => getComputedStyle(document.querySelector('#p')!).color;\n\
         const first = color();\n\
         document.body.dataset.first = first;\n\
         import('./lazy').then((lazy) => { document.body.dataset.lazy = lazy.seen; });\n",
    )
    .asset("js/reset.css", "p { color: rgb(1, 1, 1); margin: 1px }\n")
    .asset("js/button.ts", "import './button.css'; import './reset.css'; export const button = () => {};\n")
    .asset("js/button.css", "p { color: rgb(2, 2, 2); margin: 2px }\n")
    .asset("js/app.css", "p { color: rgb(3, 3, 3) }\n")
    // What both need cascades as the lazy module has it: its own sheet is the last.
    .asset("js/lazy.ts", "import './button.css'; import './lazy.css';\n\
         const style = getComputedStyle(document.querySelector('#p')!);\n\
         export const seen = `${style.color} ${style.marginTop} ${style.backgroundImage.includes('/assets/img/logo-')}`;\n")
    .asset("js/lazy.css", "p { color: rgb(4, 4, 4); background: url(../img/logo.svg) }\n")
    .asset("img/logo.svg", LOGO);
    let seen = shown(
        &site,
        "document.body.dataset.lazy",
        "const links = [...document.querySelectorAll('link[rel=stylesheet]')];
         return [document.body.dataset.first, document.body.dataset.lazy, links.every((link) => link.integrity && link.crossOrigin)]",
    );
    assert_eq!(seen, json!(["rgb(3, 3, 3)", "rgb(4, 4, 4) 2px true", true]));
}

/// The bundler knows of no effect that a stylesheet has, and drops an `import()` of which nothing is used.
fn what_is_loaded_for_its_sheets_alone_brings_them() {
    let site = site(
        "import './fixed.css'; import './unused';\n\
         const seen = () => { const style = getComputedStyle(document.querySelector('#p')!); return [style.color, style.marginTop, style.paddingTop]; };\n\
         const all = [seen()];\n\
         await import('./lazy');\n\
         all.push(seen());\n\
         await import('./theme.css');\n\
         all.push(seen());\n\
         import('./nothing');\n\
         import('./fixed.css').then(() => { all.push(seen()); document.body.dataset.seen = JSON.stringify(all); });\n",
    )
    .asset("js/fixed.css", "p { color: rgb(1, 1, 1); margin: 1px; padding: 1px }\n")
    .asset("js/unused.ts", "export const unused = 'never seen';\n")
    .asset("js/nothing.ts", "export const nothing = 'never seen';\n")
    .asset("js/lazy.ts", "import './deeper'; export const unused = 'never seen';\n")
    .asset("js/deeper.ts", "import './lazy.css'; export const deeper = 'never seen';\n")
    .asset("js/lazy.css", "#p { color: rgb(2, 2, 2) }\n")
    .asset("js/theme.css", "#p { margin: 3px }\n");
    let seen = shown(&site, "document.body.dataset.seen", "return JSON.parse(document.body.dataset.seen)");
    let after = json!(["rgb(2, 2, 2)", "3px", "1px"]);
    assert_eq!(seen, json!([["rgb(1, 1, 1)", "1px", "1px"], ["rgb(2, 2, 2)", "1px", "1px"], after, after]));
    let dist = site.build(&[]);
    let scripts = scripts(&dist);
    assert!(scripts.iter().all(|name| !dist.read(name).contains("never seen")), "{scripts:?}");
    assert!(scripts.iter().all(|name| !name.contains("nothing") && !name.contains("fixed")), "{scripts:?}");
}

fn assets_are_found_by_url_and_by_query() {
    let site = site(
        "import logo from '../img/logo.svg'; import url from '../img/logo.svg?url'; import raw from './note.txt?raw';\n\
         import text from './note.txt'; import inline from '../img/logo.svg?inline'; import css from './extra.css?inline';\n\
         import sheet from './extra.css?url'; import data, { version } from './data.json';\n\
         const name = 'logo';\n\
         const urls = [logo, url, new URL('../img/logo.svg', import.meta.url).href, new URL(`../img/${name}.svg`, import.meta.url).href];\n\
         const same = new Set(urls).size === 1 && new URL('../img/logo.svg#part', import.meta.url).hash === '#part';\n\
         const sheetText = await (await fetch(sheet)).text();\n\
         document.body.dataset.seen = JSON.stringify([same, new URL(logo).origin !== location.origin, (await fetch(logo)).ok, raw, text,\n\
           inline.startsWith('data:image/svg+xml'), css.includes(logo), sheetText.includes('logo-'), data.list.length, version]);\n",
    )
    .asset("img/logo.svg", LOGO)
    .asset("js/note.txt", "a \"note\"\n")
    .asset("js/extra.css", ".extra { background: url(../img/logo.svg) }")
    .asset("js/data.json", "{\"version\": \"1.2\", \"list\": [1, 2]}");
    let seen = shown(&site, "document.body.dataset.seen", "return JSON.parse(document.body.dataset.seen)");
    assert_eq!(seen, json!([true, true, true, "a \"note\"\n", "a \"note\"\n", true, true, true, 2, "1.2"]));
}

fn globs_are_expanded() {
    let site = site(
        "const lazy = import.meta.glob<{ name: string }>('./pages/*.ts');\n\
         const names = import.meta.glob('./pages/*.ts', { import: 'name' });\n\
         const eager = import.meta.glob(['./other/**/*.ts', '!**/skip.ts'], { eager: true, import: 'default' });\n\
         const texts = import.meta.glob('/assets/notes/*.txt', { query: '?raw', import: 'default', eager: true });\n\
         const loaded = await Promise.all(Object.values(lazy).map((load) => load()));\n\
         const named = await Promise.all(Object.values(names).map((load) => load()));\n\
         document.body.dataset.seen = JSON.stringify([Object.keys(lazy), loaded.map((m) => m.name), named, eager, texts]);\n",
    )
    .asset("js/pages/a.ts", "export const name = 'A';")
    .asset("js/pages/b.ts", "export const name = 'B';")
    .asset("js/other/c.ts", "export default 'C';")
    .asset("js/other/deep/d.ts", "export default 'D';")
    .asset("js/other/skip.ts", "export default 'skipped';")
    .asset("notes/n.txt", "note");
    let seen = shown(&site, "document.body.dataset.seen", "return JSON.parse(document.body.dataset.seen)");
    assert_eq!(
        seen,
        json!([
            ["./pages/a.ts", "./pages/b.ts"], ["A", "B"], ["A", "B"], {"./other/c.ts": "C", "./other/deep/d.ts": "D"},
            {"/assets/notes/n.txt": "note"},
        ])
    );
}

fn workers_start_from_another_origin() {
    let site = site(
        "import Queried from './queried?worker';\n\
         const told: Record<string, string> = {};\n\
         const tell = (name: string) => (event: MessageEvent) => { told[name] = event.data; document.body.dataset.told = Object.keys(told).sort().join(); document.body.dataset.all = JSON.stringify(told); };\n\
         const plain = new Worker(new URL('./plain.ts', import.meta.url)); plain.onmessage = tell('plain'); plain.postMessage(20);\n\
         const named = new Worker(new URL('./named.js', import.meta.url), { name: 'n', type: 'module' }); named.onmessage = tell('named');\n\
         const options = { name: 'o' };\n\
         const passed = new Worker(new URL('./named.js', import.meta.url), options); passed.onmessage = tell('passed');\n\
         const classic = new Worker(new URL('./classic.js', import.meta.url)); classic.onmessage = tell('classic');\n\
         const shared = new SharedWorker(new URL('./shared.ts', import.meta.url)); shared.port.onmessage = tell('shared'); shared.port.start();\n\
         const queried = new Queried(); queried.onmessage = tell('queried');\n",
    )
    .asset("js/math.ts", "export const twice = (n: number) => 2 * n;")
    .asset("js/plain.ts", "import { twice } from './math'; onmessage = (event) => postMessage(`${twice(event.data)} ${new URL('../img/logo.svg', import.meta.url).pathname.includes('/img/logo-')}`);")
    .asset("js/named.js", "import { twice } from './math'; import('./math').then((m) => postMessage(`${self.name} ${m.twice(2)}`)); export {};")
    .asset("js/classic.js", "postMessage('classic ' + typeof importScripts);")
    .asset("js/shared.ts", "import { twice } from './math'; let count = 0; (self as any).onconnect = (event: MessageEvent) => event.ports[0].postMessage(`${++count} ${twice(3)}`);")
    .asset("js/queried.ts", "import { twice } from './math'; postMessage(String(twice(4)));")
    .asset("img/logo.svg", LOGO);
    let seen = shown(
        &site,
        "document.body.dataset.told === 'classic,named,passed,plain,queried,shared'",
        "return JSON.parse(document.body.dataset.all)",
    );
    assert_eq!(
        seen,
        json!({"plain": "40 true", "named": "n 4", "passed": "o 4", "classic": "classic function", "shared": "1 6", "queried": "8"})
    );
}

fn css_modules_give_their_names() {
    let site = site(
        "import styles, { title } from './card.module.css';\n\
         const p = document.querySelector('#p')!; p.className = styles.card;\n\
         document.body.dataset.seen = JSON.stringify([title === styles.title, styles.card.split(' ').length, styles['with-dash'] !== 'with-dash', getComputedStyle(p).color, getComputedStyle(p).paddingTop]);\n",
    )
    .asset("js/card.module.css", ".card { composes: base from './base.module.css'; color: rgb(9, 9, 9) }\n.title { color: red }\n.with-dash { color: red }\n")
    .asset("js/base.module.css", ".base { padding: 7px; color: rgb(8, 8, 8) }\n");
    let seen = shown(&site, "document.body.dataset.seen", "return JSON.parse(document.body.dataset.seen)");
    assert_eq!(seen, json!([true, 2, true, "rgb(9, 9, 9)", "7px"]));
}

fn what_is_external_comes_by_the_import_map() {
    let site = site("import { answer } from 'answers'; import two from 'more/two.js'; document.body.dataset.seen = `${answer} ${two}`;")
        .config("[external]\nanswers = '/lib/answers.js'\n'more/' = '/lib/'\n")
        .asset("public/lib/answers.js", "export const answer = 42;\n")
        .asset("public/lib/two.js", "export default 2;\n");
    let seen = shown(&site, "document.body.dataset.seen", "return document.body.dataset.seen");
    assert_eq!(seen, json!("42 2"));
}

fn jsx_and_paths_follow_tsconfig() {
    // A JSX runtime of the site's own: the automatic transform imports it by the name in tsconfig.json.
    let site = site("import { view } from '@/view'; document.body.dataset.seen = view('x');")
        .file(
            "tsconfig.json",
            r#"{ "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "tiny", "baseUrl": ".", "paths": { "@/*": ["assets/js/parts/*"] } } }"#,
        )
        .file("node_modules/tiny/package.json", r#"{ "name": "tiny", "exports": { "./jsx-runtime": "./runtime.js" } }"#)
        .file("node_modules/tiny/runtime.js", "export const Fragment = 'f';\nexport const jsx = (tag, { children }) => `<${tag}>${children}</${tag}>`;\nexport const jsxs = jsx;\n")
        .asset("js/parts/view.tsx", "export const view = (text: string) => <b>{text}</b> as unknown as string;\n");
    let seen = shown(&site, "document.body.dataset.seen", "return document.body.dataset.seen");
    assert_eq!(seen, json!("<b>x</b>"));
}

fn an_edit_to_what_all_pages_share_renames_one_file() {
    let mut site =
        site("const pages = import.meta.glob('./pages/*.ts');\nObject.values(pages).forEach((load) => load());\n")
            .asset("js/util.ts", "export const util = (name: string) => console.log('before', name);\n");
    for page in 0..30 {
        let text = format!("import {{ util }} from '../util';\nutil('page {page}');\n");
        site = site.asset(&format!("js/pages/p{page}.ts"), text);
    }
    let before = scripts(&site.build(&["--no-compress"]));
    assert_eq!(before.len(), 32, "{before:#?}");
    site.write("assets/js/util.ts", "export const util = (name: string) => console.log('after', name);\n");
    let after = scripts(&site.build(&["--no-compress"]));
    let renamed: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(renamed.len(), 1, "{renamed:#?}");
}

fn an_edit_leaves_the_packages_cached() {
    let large = |name: &str| {
        (0..700).map(|line| format!("export const {name}{line} = '{name} {line} of many';\n")).collect::<String>()
    };
    let site = site("import * as early from 'early'; console.log('before', early); import('./lazy');")
        .asset("js/lazy.ts", "import * as late from 'late'; console.log(late);")
        .file("node_modules/early/index.js", large("early"))
        .file("node_modules/late/index.js", large("late"));
    let before = site.build(&["--no-compress"]);
    let chunk = |dist: &Dist, text: &str| {
        let names = scripts(dist).into_iter().filter(|name| dist.read(name).contains(text)).collect::<Vec<_>>();
        assert_eq!(names.len(), 1, "{names:?}");
        names.into_iter().next().expect("a name")
    };
    assert_ne!(chunk(&before, "early 5 of"), before.named("js/app.ts"));
    assert_ne!(chunk(&before, "late 5 of"), chunk(&before, "early 5 of"), "what is needed later is not loaded at once");
    site.write("assets/js/app.ts", "import * as early from 'early'; console.log('after', early); import('./lazy');");
    let after = site.build(&["--no-compress"]);
    let (old, new) = (scripts(&before), scripts(&after));
    let renamed: Vec<&String> = new.iter().filter(|name| !old.contains(name)).collect();
    assert_eq!(renamed, [&after.named("js/app.ts")]);
}

fn the_environment_and_definitions_are_constants() {
    let site = site(
        "console.log(import.meta.env.MODE, import.meta.env.PUBLIC_TITLE, import.meta.env.VITE_KEY, import.meta.env.SECRET, process.env.NODE_ENV, VERSION, LIMITS.max);\n\
         if (import.meta.env.DEV) console.log('only in development');\n",
    )
    .config("[define]\nVERSION = '1.2.3'\nLIMITS = { max = 5 }\n")
    .file(".env", "PUBLIC_TITLE='from .env'\nVITE_KEY=one\nSECRET=hidden\n")
    .file(".env.production", "VITE_KEY=two\n");
    let dist = site.build(&["--no-compress"]);
    let code = dist.read(&dist.named("js/app.ts"));
    for want in ["`production`", "`from .env`", "`two`", "`1.2.3`", "5"] {
        assert!(code.contains(want), "{want}: {code}");
    }
    assert!(!code.contains("hidden") && !code.contains("only in development"), "{code}");
    let dist = site.build(&["--no-compress", "--mode", "development"]);
    let code = dist.read(&dist.named("js/app.ts"));
    assert!(code.contains("only in development") && code.contains("\"one\""), "{code}");
}

fn packages_are_found_by_their_exports() {
    let site = site(
        "import { a } from 'many/a'; import old from 'old'; import { b } from '@own/many'; console.log(a, old.c, b);",
    )
    .file(
        "node_modules/many/package.json",
        r#"{ "exports": { "./a": { "node": "./wrong.js", "import": "./a.mjs", "require": "./wrong.js" } } }"#,
    )
    .file("node_modules/many/a.mjs", "export const a = 'esm a';")
    .file("node_modules/many/wrong.js", "module.exports = { a: 'wrong' };")
    .file("node_modules/old/package.json", r#"{ "main": "lib/index" }"#)
    .file(
        "node_modules/old/lib/index.js",
        "exports.c = 'common c'; if (process.env.NODE_ENV !== 'production') exports.c = 'wrong';",
    )
    .file("node_modules/@own/many/package.json", r#"{ "module": "b.js", "main": "wrong.js" }"#)
    .file("node_modules/@own/many/b.js", "export const b = 'module b';");
    let dist = site.build(&["--no-compress"]);
    let code = dist.read(&dist.named("js/app.ts"));
    for want in ["esm a", "common c", "module b"] {
        assert!(code.contains(want), "{want}: {code}");
    }
    assert!(!code.contains("wrong"), "{code}");
}

fn an_unused_module_without_side_effects_is_left_out() {
    let site = site("import { used } from 'kit'; console.log(used);")
        .file("node_modules/kit/package.json", r#"{ "main": "index.js", "type": "module", "sideEffects": ["*.css"] }"#)
        .file("node_modules/kit/index.js", "export { used } from './used.js'; export { unused } from './unused.js';")
        .file("node_modules/kit/used.js", "import './used.css'; export const used = 'is used';")
        .file(
            "node_modules/kit/unused.js",
            "import './unused.css'; console.log('has an effect'); export const unused = 'is unused';",
        )
        .file("node_modules/kit/used.css", ".used { color: red }")
        .file("node_modules/kit/unused.css", ".unused { color: red }");
    let dist = site.build(&["--no-compress"]);
    let all: String = dist
        .tree()
        .iter()
        .filter(|(name, _)| name.starts_with("assets/"))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes))
        .collect();
    assert!(all.contains("is used") && all.contains(".used{"), "{all}");
    assert!(!all.contains("unused") && !all.contains("has an effect"), "{all}");
}

fn licences_are_gathered_into_one_file() {
    let site = site("import 'lib'; import './own'; /*! mine */ console.log('app');")
        .asset("js/own.ts", "/** @license own words */\nconsole.log('own');")
        .file("node_modules/lib/package.json", r#"{ "name": "lib", "version": "3.2.1", "license": "MIT" }"#)
        .file("node_modules/lib/LICENSE.md", "The terms of lib\n")
        .file("node_modules/lib/index.js", "/*! lib banner */\nconsole.log('lib');");
    let dist = site.build(&["--no-compress"]);
    let text = dist.read("third-party-licenses.txt");
    for want in
        ["lib 3.2.1 (MIT)", "The terms of lib", "/*! lib banner */", "assets/js/own.ts", "own words", "/*! mine */"]
    {
        assert!(text.contains(want), "{want}: {text}");
    }
    let code = dist.read(&dist.named("js/app.ts"));
    assert!(!code.contains("banner") && !code.contains("license"), "{code}");
}

fn a_map_leads_from_the_minified_script_to_the_line_that_was_written() {
    let app = "import { shared } from './shared';\n\
               const pages = import.meta.glob('./pages/*.ts', { eager: true });\n\
               interface Unused { a: string }\n\
               const img = new URL('../img/logo.svg', import.meta.url);\n\
               export function run(longArgument: string) {\n\
               \x20 console.log('needle in the app', longArgument, pages, img.href);\n\
               }\n\
               run(shared());\n";
    let shared =
        "// A comment that goes.\n\n\nexport const shared = (): string => {\n  return 'needle in shared';\n};\n";
    let site = site(app)
        .asset("js/shared.ts", shared)
        .asset("js/pages/a.ts", "export const a = 1;\n")
        .asset("img/logo.svg", LOGO);
    let dist = site.build(&["--no-compress"]);
    let file = dist.named("js/app.ts");
    let code = dist.read(&file);
    let map = dist.read(&format!(".fingerpost/maps/{file}.map"));
    let map = oxc_sourcemap::SourceMap::from_json_string(&map).expect("a source map");
    for (needle, source, text) in
        [("needle in the app", "assets/js/app.ts", app), ("needle in shared", "assets/js/shared.ts", shared)]
    {
        let at = code.find(needle).unwrap_or_else(|| panic!("{needle}: {code}")) - 1;
        let line = code[..at].matches('\n').count() as u32;
        let column = (at - code[..at].rfind('\n').map_or(0, |newline| newline + 1)) as u32;
        let token = map.lookup_source_view_token(&map.generate_lookup_table(), line, column).expect("a token");
        let wanted = text[..text.find(needle).expect("the needle")].matches('\n').count() as u32;
        assert_eq!((token.get_source().expect("a source"), token.get_src_line()), (source, wanted), "{needle}");
        assert_eq!(token.get_source_content().map(|content| content.to_string()).as_deref(), Some(text));
    }
}

fn what_only_scripts_import_is_no_output_of_its_own() {
    let site = site("import './own.css'; import('./lazy'); new Worker(new URL('./w.ts', import.meta.url)); import.meta.glob('./many/*.js');")
        .asset("js/own.css", ".own { color: red }")
        .asset("js/lazy.js", "export default 1; console.log('lazy')")
        .asset("js/w.ts", "postMessage(1); export {};")
        .asset("js/many/m.js", "export default 2; console.log('many')");
    let dist = site.build(&["--no-compress"]);
    let manifest = dist.manifest();
    let entries: Vec<&String> = manifest["entries"].as_object().expect("an object").keys().collect();
    assert_eq!(entries, ["js/app.ts"]);
    assert_eq!(manifest["entries"]["js/app.ts"]["css"].as_array().map(Vec::len), Some(1));
}

fn what_a_script_refers_to_must_be_there() {
    let site = site("const missing = new URL('./gone.png', import.meta.url); console.log(missing.href);");
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains(
            "`assets/js/app.ts` refers to `./gone.png` with `new URL(…, import.meta.url)`, and there is no such file"
        ),
        "{}",
        run.stderr
    );

    site.write("assets/js/app.ts", "const pattern = './x/*.ts';\nimport.meta.glob(pattern);\n");
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("`import.meta.glob` takes patterns written as strings")
            && run.stderr.contains("app.ts:2:18"),
        "{}",
        run.stderr
    );

    site.write("assets/js/app.ts", "import.meta.glob('pages/*.ts');\n");
    let run = site.run(&["build", "--no-compress"]);
    assert!(run.stderr.contains("`import.meta.glob` can't look for `pages/*.ts`"), "{}", run.stderr);
}

fn workers_that_start_each_other_are_told() {
    let site = site("new Worker(new URL('./a.ts', import.meta.url));")
        .asset("js/a.ts", "new Worker(new URL('./b.ts', import.meta.url)); export {};")
        .asset("js/b.ts", "new Worker(new URL('./a.ts', import.meta.url)); export {};");
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("`assets/js/b.ts` and `assets/js/a.ts` start each other as workers"), "{}", run.stderr);
}

fn a_worker_may_start_a_worker() {
    for maps in ["private", "public"] {
        let site = site("new Worker(new URL('./a.ts', import.meta.url));")
            .config(&format!("[build]\nsource_maps = '{maps}'\n"))
            .asset("js/a.ts", "new Worker(new URL('./b.ts', import.meta.url)); new Worker(new URL('./a.ts', import.meta.url)); export {};")
            .asset("js/b.ts", "postMessage(1); export {};");
        let dist = site.build(&["--no-compress"]);
        let names = scripts(&dist);
        let outer = names.iter().find(|name| name.starts_with("assets/js/a-")).expect("the outer worker");
        let inner = names.iter().find(|name| name.starts_with("assets/js/b-")).expect("the inner worker");
        let code = dist.read(outer);
        assert!(
            code.contains(inner.rsplit('/').next().expect("a name")) && code.contains("(import.meta.url)"),
            "{code}"
        );
    }
}

fn what_nothing_here_compiles_is_told() {
    let site = site("import App from './App.vue'; console.log(App);").asset("js/App.vue", "<template></template>");
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("imports `assets/js/App.vue`, and nothing here compiles such files"), "{}", run.stderr);
}

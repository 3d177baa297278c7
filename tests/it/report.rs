//! What is in a build: for tools as esbuild's metafile, for people as a page.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use serde::Deserialize;

use crate::browser::browse;
use crate::setup::Need;
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        the_metafile_has_esbuild_s_schema,
        the_parts_of_an_output_are_no_more_than_it,
        who_imports_whom_is_in_the_metafile,
        the_report_asks_for_nothing,
        the_report_s_data_can_t_end_its_script,
        duplicates_and_unused_assets_are_found,
        both_are_the_same_bytes_each_time,
    ];
    trials.extend(trials![[Need::Browser]; the_page_works_from_a_file]);
    trials
}

/// As `Metafile` in esbuild's `lib/shared/types.ts`; a field that is not there is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metafile {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    bytes: u64,
    imports: Vec<Import>,
    #[serde(rename = "format")]
    _format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Cjs,
    Esm,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Import {
    path: String,
    kind: Kind,
    #[serde(default)]
    external: bool,
    original: Option<String>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    EntryPoint,
    ImportStatement,
    RequireCall,
    DynamicImport,
    RequireResolve,
    ImportRule,
    ComposesFrom,
    UrlToken,
    FileLoader,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Output {
    bytes: u64,
    inputs: BTreeMap<String, Part>,
    imports: Vec<Import>,
    exports: Vec<String>,
    entry_point: Option<String>,
    css_bundle: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Part {
    bytes_in_output: u64,
}

fn metafile(site: &Site) -> Metafile {
    site.build(&["--no-compress", "--metafile", "meta.json"]);
    let text = std::fs::read_to_string(site.root().join("meta.json")).expect("a metafile");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn report(site: &Site) -> String {
    site.build(&["--no-compress", "--report", "report.html"]);
    std::fs::read_to_string(site.root().join("report.html")).expect("a report")
}

/// The data in the report.
fn data(report: &str) -> serde_json::Value {
    let text = report.split_once("id=\"data\">").expect("data").1.split_once("</script>").expect("its end").0;
    serde_json::from_str(text).expect("JSON")
}

fn the_metafile_has_esbuild_s_schema() {
    let site = Site::sample();
    let metafile = metafile(&site);
    let dist = site.build(&["--no-compress"]);
    for (path, output) in &metafile.outputs {
        assert_eq!(output.bytes, dist.bytes(path).len() as u64, "{path}");
        assert!(output.inputs.keys().all(|input| metafile.inputs.contains_key(input)), "{path}: its inputs are there");
        for import in &output.imports {
            assert!(import.external || metafile.outputs.contains_key(&import.path), "{path} imports {import:?}");
        }
        if let Some(entry) = &output.entry_point {
            assert!(metafile.inputs.contains_key(entry), "{path} is of {entry}");
        }
        if let Some(sheet) = &output.css_bundle {
            assert!(metafile.outputs.contains_key(sheet), "{path} needs {sheet}");
        }
    }
    for (path, input) in &metafile.inputs {
        assert_eq!(input.bytes, site.root().join(path).metadata().expect("a source").len(), "{path}");
        for import in &input.imports {
            assert!(import.external || metafile.inputs.contains_key(&import.path), "{path} imports {import:?}");
        }
    }
    let app = &metafile.outputs[&dist.named("js/app.ts")];
    assert_eq!(app.entry_point.as_deref(), Some("assets/js/app.ts"));
    assert!(app.imports.iter().any(|import| import.kind == Kind::DynamicImport));
}

fn the_parts_of_an_output_are_no_more_than_it() {
    for maps in ["private", "public", "none"] {
        let site = Site::sample();
        let config = std::fs::read_to_string(site.root().join("fingerpost.toml")).expect("a configuration");
        let site = site.config(&config.replace("[build]", &format!("[build]\nsource_maps = \"{maps}\"")));
        let metafile = metafile(&site);
        let dist = site.build(&["--no-compress"]);
        for (path, output) in &metafile.outputs {
            let sum: u64 = output.inputs.values().map(|part| part.bytes_in_output).sum();
            assert!(sum <= output.bytes, "{path}: {sum} of {}", output.bytes);
        }
        let app = &metafile.outputs[&dist.named("js/app.ts")];
        assert!(app.inputs["assets/js/app.ts"].bytes_in_output > 0, "{maps}");
        let style = &metafile.outputs[&dist.named("css/site.css")];
        let sum: u64 = style.inputs.values().map(|part| part.bytes_in_output).sum();
        // Without a map nothing tells the parts of a stylesheet apart.
        assert!(maps == "none" || sum > style.bytes / 2, "{maps}: {sum} of {}", style.bytes);
    }
}

fn who_imports_whom_is_in_the_metafile() {
    let site = Site::new()
        .asset("css/a.css", "@import './b.css';\nb { background: url(../c.svg) }\n")
        .asset("css/b.css", "i { color: red }\n")
        .asset("c.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .asset("js/a.ts", "import { b } from './b';\nimport('./c');\nexport const kept = b();\n")
        .asset("js/b.ts", "export const b = () => document.title;\n")
        .asset("js/c.ts", "console.log(document.body);\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css', 'js/a.ts') }}");
    let metafile = metafile(&site);
    let imports = |input: &str| {
        let imports = metafile.inputs[input].imports.iter();
        imports.map(|i| format!("{} {:?} {:?}", i.path, i.kind, i.original.as_deref())).collect::<Vec<_>>()
    };
    assert_eq!(
        imports("assets/css/a.css"),
        ["assets/c.svg UrlToken Some(\"../c.svg\")", "assets/css/b.css ImportRule Some(\"./b.css\")"]
    );
    assert_eq!(imports("assets/js/a.ts"), ["assets/js/b.ts ImportStatement None", "assets/js/c.ts DynamicImport None"]);
    let site = site.asset("css/own.css", "u { color: blue }\n").asset(
        "js/a.ts",
        "import '../css/own.css';\nimport url from '../c.svg';\nimport { b } from './b';\nexport const kept = b() + url;\n",
    );
    let dist = site.build(&["--no-compress"]);
    let metafile = self::metafile(&site);
    let app = &metafile.outputs[&dist.named("js/a.ts")];
    assert!(app.css_bundle.as_ref().is_some_and(|sheet| sheet.ends_with(".css")), "{:?}", app.css_bundle);
    let kinds: Vec<&Kind> = app.imports.iter().map(|import| &import.kind).collect();
    assert_eq!(kinds, [&Kind::FileLoader]);
    let exports: Vec<&Vec<String>> =
        metafile.outputs.values().map(|output| &output.exports).filter(|exports| !exports.is_empty()).collect();
    assert_eq!(exports, [&["kept"]]);
}

fn the_report_asks_for_nothing() {
    let report = report(&Site::sample());
    assert!(report.contains("default-src 'none'"));
    let page = report.split_once("id=\"data\"").expect("data");
    let rest = page.1.split_once("</script>").expect("its end").1;
    for text in [page.0, rest] {
        for word in ["http://", "https://", "src=", "@import", "fetch("] {
            assert!(!text.replace("http://www.w3.org/2000/svg", "").contains(word), "{word}");
        }
    }
}

fn the_report_s_data_can_t_end_its_script() {
    let site = Site::new().asset("</script><b>.txt", "x").asset("<!--.txt", "x");
    let report = report(&site);
    assert_eq!(report.matches("</script>").count(), 2);
    assert!(!report.split_once("id=\"data\">").expect("data").1.contains("<!--"));
    assert_eq!(data(&report)["outputs"].as_array().map(Vec::len), Some(2));
}

fn duplicates_and_unused_assets_are_found() {
    let package = |version: &str| format!(r#"{{"name": "twice", "version": "{version}", "module": "i.js"}}"#);
    let site = Site::new()
        .file("node_modules/twice/package.json", package("1.0.0"))
        .file("node_modules/twice/i.js", "export const one = () => document.title;\n")
        .file("node_modules/other/package.json", r#"{"name": "other", "version": "3.0.0", "module": "i.js"}"#)
        .file("node_modules/other/i.js", "export { two } from 'twice';\n")
        .file("node_modules/other/node_modules/twice/package.json", package("2.0.0"))
        .file("node_modules/other/node_modules/twice/i.js", "export const two = () => document.body;\n")
        .asset("js/a.ts", "import type { T } from './types';\nimport { one } from 'twice';\nimport { two } from 'other';\nconsole.log(one(), two() as T);\n")
        .asset("js/types.ts", "export type T = unknown;\n")
        .asset("img/used.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .asset("img/unused.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='u'/>")
        .asset("css/a.css", "a { background: url(../img/used.svg) }\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css', 'js/a.ts') }}");
    let data = data(&report(&site));
    let copies = data["duplicates"][0]["copies"].as_array().expect("copies");
    let told: Vec<String> =
        copies.iter().map(|copy| format!("{} {} {}", copy["path"], copy["version"], copy["importers"])).collect();
    assert_eq!(
        told,
        [
            r#""node_modules/other/node_modules/twice" "2.0.0" ["node_modules/other/i.js"]"#,
            r#""node_modules/twice" "1.0.0" ["assets/js/a.ts"]"#
        ]
    );
    let unused: Vec<&str> =
        data["unused"].as_array().expect("a list").iter().filter_map(|item| item["source"].as_str()).collect();
    assert!(unused.contains(&"assets/img/unused.svg") && !unused.contains(&"assets/img/used.svg"), "{unused:?}");
    assert!(!unused.contains(&"assets/js/a.ts"), "{unused:?}");
    assert_eq!(data["changes"], serde_json::Value::Null);
}

fn both_are_the_same_bytes_each_time() {
    let made = || {
        let site = Site::sample();
        site.build(&["--metafile", "meta.json", "--report", "report.html"]);
        ["meta.json", "report.html"].map(|name| std::fs::read(site.root().join(name)).expect("a file"))
    };
    assert!(made() == made());
}

fn the_page_works_from_a_file() {
    let site = Site::sample();
    site.build(&[]);
    site.write("assets/css/reset.css", "html { margin: 1px }\n");
    report(&site);
    let url = format!("file://{}", site.root().join("report.html").display());
    browse(async |browser| {
        browser.open(&url).await;
        browser.until("document.querySelectorAll('.tile').length > 10").await;
        let seen = browser
            .run(
                "const group = document.querySelector('button.tile');
                 group.focus(); group.click();
                 const inside = document.querySelectorAll('#crumbs button').length;
                 document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
                 const outside = document.querySelectorAll('#crumbs button').length;
                 const filter = document.querySelector('#filter');
                 filter.value = 'index.html'; filter.dispatchEvent(new Event('input'));
                 return {
                   inside, outside, rows: document.querySelectorAll('#outputs tbody tr').length,
                   changes: document.querySelector('#changes').textContent.includes('names changed'),
                   requests: performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length,
                   labelled: [...document.querySelectorAll('.tile')].every((tile) => tile.ariaLabel && tile.tabIndex === 0),
                 };",
            )
            .await;
        assert_eq!(
            seen,
            serde_json::json!({ "inside": 2, "outside": 1, "rows": 1, "changes": true, "requests": 0, "labelled": true })
        );
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
}

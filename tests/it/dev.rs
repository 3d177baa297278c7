//! `dev` in a real browser: what a developer sees when a file is saved.

use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::browser::{Page, browse};
use crate::setup::Need;
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        [Need::Browser];
        a_stylesheet_is_swapped_without_a_reload_or_an_unstyled_frame,
        a_stylesheet_that_a_module_imports_is_swapped,
        an_image_is_swapped_wherever_it_is_shown,
        a_script_reloads_the_page,
        a_large_graph_in_several_files_runs_as_if_it_were_one,
        only_tabs_that_use_a_file_hear_of_it,
        errors_are_shown_until_they_are_mended,
        a_first_build_that_fails_is_shown_too,
        a_click_opens_the_editor,
        an_error_in_a_page_leads_to_its_source,
        a_server_that_starts_again_is_found,
        a_tab_that_was_hidden_catches_up
    ]
}

const DEV: [&str; 3] = ["dev", "--listen", "127.0.0.1:0"];

fn html(head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><link rel=icon href=\"data:,\"><title>t</title>{head}</head><body>{body}</body></html>"
    )
}

fn site() -> Site {
    let body =
        "<p id=p>text</p><input id=i><img id=m width=9 src=/static/img/a.svg><div id=d style='height:5000px'></div>";
    let head = "<link rel=stylesheet href=/static/css/a.css><script type=module src=/static/js/app.ts></script>";
    Site::new()
        .asset("css/a.css", "p { color: rgb(1, 1, 1) }\n#d { background: url(../img/a.svg) }\n")
        .asset("css/b.css", "p { color: rgb(2, 2, 2) }\n")
        .asset("img/a.svg", svg(10))
        .asset("js/app.ts", "import { word } from './word';\nimport './m.css';\ndocument.title = word as string;\n")
        .asset("js/word.ts", "export const word: string = 'one';\n")
        .asset("js/m.css", "input { color: rgb(3, 3, 3) }\n")
        .template("index.html", html(head, body))
        .template("about.html", html("<link rel=stylesheet href=/static/css/b.css>", "<p id=p>about</p>"))
}

fn svg(size: u32) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' width='{size}' height='{size}'></svg>")
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

/// Opens a page, and leaves a mark that a reload would remove. Its line to the server is open then.
async fn open(page: &Page, server: &Server, path: &str) {
    page.open(&url(server, path)).await;
    mark(page).await;
}

async fn mark(page: &Page) {
    page.run("window.mark = 1").await;
    page.until("window.__fingerpost.listens").await;
}

const COLOR: &str = "getComputedStyle(document.getElementById('p')).color";

fn a_stylesheet_is_swapped_without_a_reload_or_an_unstyled_frame() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        // The colour in each frame, from now on.
        page.run(&format!(
            "document.getElementById('i').value = 'typed'; scrollTo(0, 700); window.seen = new Set();
             const look = () => {{ seen.add({COLOR}); requestAnimationFrame(look); }}; look();"
        ))
        .await;
        for step in 2..12 {
            site.write("assets/css/a.css", format!("p {{ color: rgb({step}, 1, 1) }}\n"));
            page.until(&format!("{COLOR} === 'rgb({step}, 1, 1)'")).await;
        }
        let kept = page.run("return [window.mark, document.getElementById('i').value, Math.round(scrollY)]").await;
        assert_eq!(kept, serde_json::json!([1, "typed", 700]));
        let seen = page.run("return [...seen].sort()").await;
        let seen: Vec<&str> = seen.as_array().expect("a list").iter().filter_map(|seen| seen.as_str()).collect();
        assert!(seen.len() > 1 && seen.iter().all(|seen| seen.ends_with(", 1, 1)")), "no other styles: {seen:?}");
        assert_eq!(page.run("return document.querySelectorAll('link[rel=stylesheet]').length").await, 2);
        assert_eq!(page.complaints().await, Vec::<String>::new());
    });
}

fn a_stylesheet_that_a_module_imports_is_swapped() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        let color = "getComputedStyle(document.getElementById('i')).color";
        page.until(&format!("{color} === 'rgb(3, 3, 3)'")).await;
        site.write("assets/js/m.css", "input { color: rgb(4, 4, 4) }\n");
        page.until(&format!("{color} === 'rgb(4, 4, 4)'")).await;
        assert_eq!(page.run("return window.mark").await, 1);
    });
}

fn an_image_is_swapped_wherever_it_is_shown() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        page.until("document.getElementById('m').naturalWidth === 10").await;
        site.write("assets/img/a.svg", svg(20));
        page.until("document.getElementById('m').naturalWidth === 20").await;
        page.until("getComputedStyle(document.getElementById('d')).backgroundImage.includes('v=')").await;
        assert_eq!(page.run("return window.mark").await, 1);
        assert_eq!(page.complaints().await, Vec::<String>::new());
    });
}

fn a_script_reloads_the_page() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        page.until("document.title === 'one'").await;
        site.write("assets/js/word.ts", "export const word: string = 'two';\n");
        page.until("document.title === 'two'").await;
        assert_eq!(page.run("return window.mark ?? null").await, serde_json::Value::Null);
        let line = server.wait_for("word.ts changed");
        assert!(line.contains("built 1 of ") && line.contains("1 of 1 tab told"), "{line}");
        site.write("templates/index.html", html("", "three"));
        page.until("document.body.textContent === 'three'").await;
    });
}

/// Each module notes that it runs, and is long enough that some of them make a file.
fn long_module(name: &str, imports: &[String], rest: &str) -> String {
    let imports: String = imports.iter().map(|name| format!("import {{ f{name} }} from './{name}.js';\n")).collect();
    let calls = "// filling\n".repeat(4000);
    format!("{imports}export function f{name}() {{ return '{name}' }}\nwindow.ran.push('{name}');\n{rest}\n{calls}")
}

fn a_large_graph_in_several_files_runs_as_if_it_were_one() {
    const COUNT: usize = 60;
    // A tree with two branches at each module; some import one that imports them, and one that others import, too.
    let imports = |index: usize| -> Vec<usize> {
        let mut all: Vec<usize> =
            [2 * index + 1, 2 * index + 2, index + 7].into_iter().filter(|at| *at < COUNT).collect();
        all.extend((index % 9 == 4).then(|| (index - 1) / 2));
        all.sort_unstable();
        all.dedup();
        all
    };
    fn run(index: usize, imports: &dyn Fn(usize) -> Vec<usize>, order: &mut Vec<usize>, seen: &mut Vec<usize>) {
        if !seen.contains(&index) {
            seen.push(index);
            imports(index).into_iter().for_each(|import| run(import, imports, order, seen));
            order.push(index);
        }
    }
    let mut order = Vec::new();
    run(0, &imports, &mut order, &mut Vec::new());
    let wanted: Vec<String> = ["first".to_owned()]
        .into_iter()
        .chain(order.iter().map(|index| format!("m{index}")))
        .chain(["last".to_owned(), "app".to_owned(), "lazy".to_owned()])
        .collect();
    let site = Site::new()
        // Nobody takes a name from it.
        .asset("js/first.js", format!("window.ran = ['first'];\n{}", "// filling\n".repeat(60_000)))
        .asset("js/begin.js", "import './first.js';\nexport { fm0 } from './m0.js';\n")
        .asset("js/last.js", "window.ran.push('last');\n")
        .asset(
            "js/app.js",
            "import { fm0 } from './begin.js';\nimport './last.js';\nwindow.ran.push('app');\n\
             import('./lazy.js').then(({ said }) => (window.said = said + fm0()));\n",
        )
        .asset("js/lazy.js", "import { fm5 } from './m5.js';\nwindow.ran.push('lazy');\nexport const said = fm5();\n")
        .template("index.html", html("<script type=module src=/static/js/app.js></script>", ""));
    let write = |index: usize, rest: &str| {
        let imports: Vec<String> = imports(index).iter().map(|import| format!("m{import}")).collect();
        site.write(&format!("assets/js/m{index}.js"), long_module(&format!("m{index}"), &imports, rest));
    };
    (0..COUNT).for_each(|index| write(index, ""));
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        page.until("window.said === 'm5m0'").await;
        assert_eq!(page.run("return window.ran").await, serde_json::json!(wanted));
        let files =
            "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/chunks/part~')).length";
        assert_eq!(page.run(&format!("return {files} > 2")).await, true, "{files}");
        // What is left is as it was, and what changes is one file.
        write(40, "window.edited = true;");
        page.until("window.edited && window.said === 'm5m0'").await;
        assert_eq!(page.run("return window.ran").await, serde_json::json!(wanted));
        let line = server.wait_for("m40.js changed");
        assert!(line.contains("built 1 of "), "{line}");
        assert_eq!(page.complaints().await, Vec::<String>::new());
    });
}

fn only_tabs_that_use_a_file_hear_of_it() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        let first = page.tab().await;
        let second = page.open_tab(&url(&server, "/about")).await;
        mark(page).await;
        // In a headless browser, no tab is hidden by another.
        site.write("assets/js/word.ts", "export const word: string = 'two';\n");
        page.show(&first).await;
        page.until("document.title === 'two'").await;
        mark(page).await;
        page.show(&second).await;
        assert_eq!(page.run("return window.mark").await, 1, "it uses no script");
        site.write("assets/css/b.css", "p { color: rgb(9, 9, 9) }\n");
        page.until(&format!("{COLOR} === 'rgb(9, 9, 9)'")).await;
        page.show(&first).await;
        assert_eq!(page.run("return window.mark").await, 1);
        assert_eq!(page.run(&format!("return {COLOR}")).await, "rgb(1, 1, 1)");
    });
}

/// What the overlay says, or nothing.
const OVERLAY: &str = "(document.querySelector('fingerpost-overlay')?.shadowRoot.textContent ?? '')";

fn errors_are_shown_until_they_are_mended() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        site.write("assets/css/a.css", "p {\n  color: rgb(5, 5, 5);\n");
        site.write("assets/css/b.css", "p { background: url(../img/none.png) }\n");
        page.until(&format!("{OVERLAY}.includes('none.png')")).await;
        let said = page.run(&format!("return {OVERLAY}")).await;
        assert!(said.as_str().is_some_and(|said| said.contains("css/b.css")), "{said}");
        server.wait_for("none.png");
        assert_eq!(page.run("return window.mark").await, 1);
        // What was good is served still.
        open(page, &server, "/about").await;
        page.until(&format!("{OVERLAY}.includes('none.png')")).await;
        assert_eq!(page.run(&format!("return {COLOR}")).await, "rgb(2, 2, 2)");
        site.write("assets/js/word.ts", "export const word: string = ;\n");
        page.until(&format!("{OVERLAY}.includes('word.ts:1:') && {OVERLAY}.includes('none.png')")).await;
        site.write("assets/js/word.ts", "export const word: string = 'one';\n");
        site.write("assets/css/b.css", "p { color: rgb(6, 6, 6) }\n");
        site.write("assets/css/a.css", "p { color: rgb(6, 6, 6) }\n");
        page.until(&format!("{OVERLAY} === '' && {COLOR} === 'rgb(6, 6, 6)'")).await;
        assert_eq!(page.run("return window.mark").await, 1, "all of it without a reload");
    });
}

fn a_first_build_that_fails_is_shown_too() {
    let site = site();
    site.write("assets/js/word.ts", "export const word: string = ;\n");
    let server = site.serve(&DEV);
    browse(async |page| {
        page.open(&url(&server, "/")).await;
        page.until(&format!("{OVERLAY}.includes('word.ts:1:')")).await;
        site.write("assets/js/word.ts", "export const word: string = 'mended';\n");
        page.until("document.title === 'mended'").await;
    });
}

fn a_click_opens_the_editor() {
    let site = site();
    let told = site.root().join("told.txt");
    site.write(
        "editor.sh",
        format!(
            "#!/bin/sh\necho \"$@\" > '{}.part'; mv '{}.part' '{}'\n",
            told.display(),
            told.display(),
            told.display()
        ),
    );
    let script = site.root().join("editor.sh");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a script");
    let named = site.root().join("code");
    std::os::unix::fs::symlink(&script, &named).expect("a link");
    let mut command = site.command(&DEV);
    command.env("FINGERPOST_EDITOR", &named);
    let server = Server::start(command);
    browse(async |page| {
        open(page, &server, "/").await;
        site.write("assets/js/word.ts", "\nexport const word: string = ;\n");
        page.until(&format!("{OVERLAY}.includes('word.ts:2:')")).await;
        page.run("document.querySelector('fingerpost-overlay').shadowRoot.querySelector('.place').click()").await;
        let said = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::read_to_string(&told).ok()
        });
        let said = said.expect("the editor is started");
        assert!(said.starts_with("--goto ") && said.contains("assets/js/word.ts:2:"), "{said}");
        // Who has no business here opens nothing.
        std::fs::remove_file(&told).expect("it was told");
        let status = page
            .run("return (await fetch('/@fingerpost/open', { method: 'POST', headers: { 'x-fingerpost': '1' }, body: JSON.stringify({ file: '../../etc/passwd', line: 1, column: 1 }) })).status")
            .await;
        assert_eq!(status, 404);
        let status = page
            .run("return (await fetch('/@fingerpost/open', { method: 'POST', body: JSON.stringify({ file: 'assets/js/word.ts', line: 1, column: 1 }) })).status")
            .await;
        assert_eq!(status, 404, "a form of another site can't send the header");
        assert!(!told.exists());
    });
}

fn an_error_in_a_page_leads_to_its_source() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        let text = "export const word: string = 'one';\n\nsetTimeout(() => {\n  (undefined as any).gone();\n}, 50);\n";
        site.write("assets/js/word.ts", text);
        page.until(&format!("{OVERLAY}.includes('assets/js/word.ts:4:')")).await;
        let said = page.run(&format!("return {OVERLAY}")).await;
        assert!(said.as_str().is_some_and(|said| said.contains("(undefined as any).gone()")), "{said}");
        let line = server.wait_for("a page threw TypeError");
        assert!(line.contains("assets/js/word.ts:4:"), "{line}");
    });
}

fn a_server_that_starts_again_is_found() {
    let site = site();
    let mut server = site.serve(&DEV);
    let address = server.address.clone();
    browse(async |page| {
        open(page, &server, "/").await;
        server.signal(Signal::TERM);
        assert_eq!(server.wait(), Some(0), "it waits for no tab");
        site.write("assets/css/a.css", "p { color: rgb(7, 7, 7) }\n");
        let server = site.serve(&["dev", "--listen", &address, "--strict-port"]);
        page.until(&format!("{COLOR} === 'rgb(7, 7, 7)'")).await;
        drop(server);
    });
}

fn a_tab_that_was_hidden_catches_up() {
    let site = site();
    let server = site.serve(&DEV);
    browse(async |page| {
        open(page, &server, "/").await;
        page.run(
            "Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
             document.dispatchEvent(new Event('visibilitychange'));",
        )
        .await;
        site.write("assets/css/a.css", "p { color: rgb(8, 8, 8) }\n");
        server.wait_for("a.css changed");
        assert_eq!(page.run(&format!("return {COLOR}")).await, "rgb(1, 1, 1)", "it holds no connection");
        page.run("delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'));").await;
        page.until(&format!("{COLOR} === 'rgb(8, 8, 8)'")).await;
        assert_eq!(page.run("return window.mark").await, 1);
    });
}

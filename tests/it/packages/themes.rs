//! Themes and templates of whole sites, taken as their users take them.

use std::path::Path;

use libtest_mimic::Trial;
use serde_json::json;

use super::{shows, site, visits};
use crate::http::get;
use crate::setup::{Need, packages};
use crate::site::{Site, copy};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        [Need::Packages, Need::Browser];
        admin_lte_opens_and_collapses,
        every_page_of_sb_admin_2,
        html5_boilerplate_is_a_site,
    ]
}

fn admin_lte_opens_and_collapses() {
    let site = site()
        .asset("css/site.css", "@import 'admin-lte/dist/css/adminlte.css';\n")
        .asset("js/app.ts", "import 'bootstrap';\nimport 'admin-lte';\n")
        .template(
            "index.html",
            "<!doctype html>
            <html lang=en><head><meta charset=utf-8><link rel=icon href='data:,'><title>t</title>
            {{ asset_tags('css/site.css', 'js/app.ts') }}</head>
            <body class='layout-fixed sidebar-expand-lg'><div class=app-wrapper>
            <nav class='app-header navbar navbar-expand'><a id=menu data-lte-toggle=sidebar href='#' role=button>menu</a></nav>
            <aside class=app-sidebar><div class=sidebar-wrapper><ul class='nav sidebar-menu' data-lte-toggle=treeview>
            <li class=nav-item><a href='#' class=nav-link id=tree>more</a>
            <ul class='nav nav-treeview'><li class=nav-item><a href='#' class=nav-link>deep</a></li></ul></li></ul></div></aside>
            <main class=app-main><div class=card>
            <div class=card-header><button id=card class='btn btn-tool' data-lte-toggle=card-collapse>-</button></div>
            <div class=card-body>body</div></div></main>
            </div></body></html>",
        );
    shows(
        &site,
        "document.body.classList.contains('app-loaded')",
        r"
        for (const id of ['menu', 'card', 'tree']) document.querySelector(`#${id}`).click();
        const body = document.querySelector('.card-body');
        for (let i = 0; i < 100 && getComputedStyle(body).display !== 'none'; i++) await new Promise((r) => setTimeout(r, 50));
        const has = (selector, name) => document.querySelector(selector).classList.contains(name);
        return [has('body', 'sidebar-open'), has('.card', 'collapsed-card'), has('.nav-item', 'menu-open'), getComputedStyle(body).display];
        ",
        json!([true, true, true, "none"]),
    );
}

/// Its folders as they are below the assets, its pages as templates; what they would fetch from elsewhere is replaced.
fn every_page_of_sb_admin_2() {
    const FONT: &str = "<link\n        href=\"https://fonts.googleapis.com/css?family=Nunito:200,200i,300,300i,400,400i,600,600i,700,700i,800,800i,900,900i\"\n        rel=\"stylesheet\">";
    let (package, mut site) = (packages().join("startbootstrap-sb-admin-2"), Site::new());
    for folder in ["css", "img", "js", "vendor"] {
        copy(&package.join(folder), &site.root().join("assets").join(folder));
    }
    // A setting that its Chart.js warns of.
    let (demo, deprecated) = (site.root().join("assets/js/demo/chart-bar-demo.js"), "maxBarThickness: 25,");
    let script = std::fs::read_to_string(&demo).expect("a script");
    assert!(script.contains(deprecated));
    site = site.asset("js/demo/chart-bar-demo.js", script.replace(deprecated, ""));
    let pages = html(&package);
    assert_eq!(pages.len(), 14);
    for (name, text) in &pages {
        assert!(text.contains(FONT), "{name}");
        let text = text
            .replace(FONT, "<link rel=icon href='data:,'>")
            .replace("https://source.unsplash.com/Mv9hjnEUHR4/60x60", "img/undraw_profile.svg");
        site = site.template(name, text);
    }
    let dist = visits(&site, async |browser, address| {
        // That one is the answer to what is not there, and says so.
        for (name, _) in pages.iter().filter(|(name, _)| name != "404.html") {
            browser.open(&format!("http://{address}/{name}")).await;
            browser.until("window.jQuery?.fn.modal && jQuery.easing.easeInOutExpo").await;
        }
        browser.open(&format!("http://{address}/charts.html")).await;
        browser.until("Object.keys(Chart.instances).length === 3").await;
        browser.open(&format!("http://{address}/tables.html")).await;
        browser.until("document.querySelectorAll('#dataTable tbody tr').length === 10").await;
        browser.open(&format!("http://{address}/index.html")).await;
        browser.until("document.fonts.check('900 16px \"Font Awesome 5 Free\"')").await;
        let toggled = browser.run(
            "document.querySelector('#sidebarToggle').click(); return document.querySelector('.sidebar').classList.contains('toggled')",
        );
        assert_eq!(toggled.await, true);
    });
    for page in ["index.html", "404.html"] {
        let text = dist.read(page);
        // From the root, since a 404 is the answer at any path.
        assert!(text.contains(&format!("/{}", dist.named("vendor/jquery/jquery.min.js"))), "{text}");
    }
}

/// Its pages are templates, what has to lie at the root is in `public/`.
fn html5_boilerplate_is_a_site() {
    let (package, mut site) = (packages().join("html5-boilerplate/dist"), Site::new());
    for folder in ["css", "js"] {
        copy(&package.join(folder), &site.root().join("assets").join(folder));
    }
    for file in ["favicon.ico", "icon.png", "icon.svg", "robots.txt", "site.webmanifest"] {
        site = site.asset(&format!("public/{file}"), std::fs::read(package.join(file)).expect("a file"));
    }
    for (name, text) in html(&package) {
        site = site.template(&name, text);
    }
    visits(&site, async |browser, address| {
        browser.open(&format!("http://{address}/")).await;
        let seen = browser
            .run(
                r"
                const manifest = document.querySelector('link[rel=manifest]').href;
                const [icon] = (await (await fetch(manifest)).json()).icons;
                const image = new Image();
                image.src = new URL(icon.src, manifest);
                await image.decode();
                const rule = document.styleSheets[0].cssRules.length > 10;
                return [document.querySelector('p').textContent, image.naturalWidth, rule];
                ",
            )
            .await;
        assert_eq!(seen, json!(["Hello world! This is HTML5 Boilerplate.", 192, true]));
        let missing = get(address, "/nothing", &[]);
        assert_eq!(missing.status, 404);
        assert!(missing.text().contains("the page you were trying to view does not exist"), "{}", missing.text());
        assert_eq!(get(address, "/favicon.ico", &[]).header("content-type"), Some("image/x-icon"));
        assert!(get(address, "/robots.txt", &[]).text().contains("User-agent: *"));
    });
}

/// The pages in a folder, by their names.
fn html(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "html"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a page"))
        })
        .collect();
    pages.sort();
    pages
}

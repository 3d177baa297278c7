//! Real packages, each used for real by a page, in a real browser.

use libtest_mimic::Trial;

use crate::browser::{Page, browse};
use crate::setup::{Need, packages};
use crate::site::{Dist, Site};
use crate::trials;

mod applications;
mod kept;
mod themes;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        [Need::Packages, Need::Browser];
        bootstrap_from_its_modules,
        bootstrap_as_a_classic_bundle,
        fontawesome_shows_its_icons,
        htmx_swaps_a_fragment,
        three_constructs_a_scene,
    ];
    trials.extend(applications::trials());
    trials.extend(kept::trials());
    trials.extend(themes::trials());
    trials
}

fn site() -> Site {
    let site = Site::new();
    std::os::unix::fs::symlink(packages(), site.root().join("node_modules")).expect("a link");
    site
}

fn page(head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><link rel=icon href=\"data:,\"><title>t</title>{head}</head><body>{body}</body></html>"
    )
}

/// Builds the site, serves it at the address that the test in a browser gets, and checks that nothing went wrong there.
fn visits(site: &Site, test: impl AsyncFnOnce(&Page, &str)) -> Dist {
    let dist = site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        test(browser, &server.address).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
    dist
}

/// Opens the front page, and checks what a script returns.
fn shows(site: &Site, ready: &str, script: &str, want: serde_json::Value) -> Dist {
    visits(site, async |browser, address| {
        browser.open(&format!("http://{address}/")).await;
        browser.until(ready).await;
        assert_eq!(browser.run(script).await, want);
    })
}

fn bootstrap_from_its_modules() {
    let site = site()
        .asset("css/site.css", "@import 'bootstrap/dist/css/bootstrap.css';\n")
        .asset("js/app.ts", "import { Modal } from 'bootstrap';\n\
             const modal = Modal.getOrCreateInstance('#modal');\n\
             document.querySelector('#modal')!.addEventListener('shown.bs.modal', () => { document.body.dataset.shown = 'yes' });\n\
             modal.show();\n")
        .template("index.html", page(
            "{{ asset_tags('css/site.css', 'js/app.ts') }}",
            "<button class='btn btn-primary'>b</button><div class='modal fade' id=modal tabindex=-1><div class=modal-dialog><div class=modal-content>m</div></div></div>",
        ));
    shows(
        &site,
        "document.body.dataset.shown === 'yes'",
        "return [getComputedStyle(document.querySelector('.btn')).backgroundColor, getComputedStyle(document.querySelector('#modal')).display]",
        serde_json::json!(["rgb(13, 110, 253)", "block"]),
    );
}

fn bootstrap_as_a_classic_bundle() {
    let site = site()
        .config("[[bundle]]\nname = 'js/all.js'\ninputs = ['node_modules/bootstrap/dist/js/bootstrap.bundle.js', 'js/own.js']\n")
        .asset("js/own.js", "function own() { return typeof bootstrap.Modal.getOrCreateInstance }\n")
        .template("index.html", page("{{ asset_tags('js/all.js') }}", "<p onclick='this.textContent = own()'>t</p>"));
    shows(
        &site,
        "true",
        "document.querySelector('p').click(); return document.querySelector('p').textContent",
        "function".into(),
    );
}

fn fontawesome_shows_its_icons() {
    let site = site().asset("css/site.css", "@import '@fortawesome/fontawesome-free/css/all.css';\n").template(
        "index.html",
        page(
            "{{ asset_tags('css/site.css') }}",
            "<i class='fa-solid fa-house'></i><i class='fa-brands fa-github'></i>",
        ),
    );
    shows(
        &site,
        "document.fonts.status === 'loaded' && document.fonts.check(\"900 16px 'Font Awesome 7 Free'\")",
        "await document.fonts.ready; return [...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family.replaceAll('\"', '')).sort()",
        serde_json::json!(["Font Awesome 7 Brands", "Font Awesome 7 Free"]),
    );
}

fn htmx_swaps_a_fragment() {
    let site = site()
        .config("[[bundle]]\nname = 'js/htmx.js'\ninputs = ['node_modules/htmx.org/dist/htmx.js']\n")
        .template("fragment.html", "<b>swapped</b>")
        .template(
            "index.html",
            page(
                "{{ asset_tags('js/htmx.js') }}",
                "<p hx-get='/fragment' hx-trigger='load' hx-swap='innerHTML'>before</p>",
            ),
        );
    shows(
        &site,
        "document.querySelector('p b')",
        "return [document.querySelector('p').textContent, typeof htmx.ajax]",
        serde_json::json!(["swapped", "function"]),
    );
}

fn three_constructs_a_scene() {
    let site = site()
        .asset("js/scene.ts", "import * as THREE from 'three';\n\
             const scene = new THREE.Scene();\n\
             scene.add(new THREE.Mesh(new THREE.BoxGeometry(1, 2, 3), new THREE.MeshBasicMaterial({ color: 0xff0000 })));\n\
             const { OrbitControls } = await import('three/addons/controls/OrbitControls.js');\n\
             const controls = new OrbitControls(new THREE.PerspectiveCamera(), document.body);\n\
             const box = new THREE.Box3().setFromObject(scene);\n\
             document.body.dataset.scene = `${scene.children.length} ${box.getSize(new THREE.Vector3()).toArray()} ${typeof controls.update}`;\n")
        .template("index.html", page("{{ asset_tags('js/scene.ts') }}", ""));
    shows(&site, "document.body.dataset.scene", "return document.body.dataset.scene", "1 1,2,3 function".into());
}

//! The project's own site, as a visitor gets it from `preview`: everything but pages from another origin, checked.

use libtest_mimic::Trial;

use crate::browser::browse;
use crate::setup::Need;
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![[Need::Browser]; the_front_page_loads_from_the_cdn_with_integrity, every_page_opens_without_a_complaint, tampering_is_noticed]
}

fn the_front_page_loads_from_the_cdn_with_integrity() {
    let site = Site::sample();
    let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        browser
            .run("document.querySelector('#live').scrollIntoView(); await new Promise((r) => setTimeout(r, 300));")
            .await;
        browser.until("document.querySelector('#live').dataset.state === 'ready'").await;
        browser.run("await document.fonts.ready").await;
        let seen = browser
            .run(
                "const own = location.origin;
                 const all = performance.getEntriesByType('resource').filter((e) => e.name.includes('/assets/'));
                 const kinds = new Set(all.map((e) => new URL(e.name).pathname.split('.').pop()));
                 return {
                   fromOwn: all.filter((e) => e.name.startsWith(own)).map((e) => e.name),
                   origins: [...new Set(all.map((e) => new URL(e.name).origin))].length,
                   kinds: ['css', 'js', 'png', 'svg', 'woff2'].filter((kind) => kinds.has(kind)),
                   integrity: [...document.querySelectorAll('script[src],link[rel=stylesheet]')].every((e) => e.integrity && e.crossOrigin === 'anonymous'),
                   font: [...document.fonts].some((f) => f.status === 'loaded' && f.family.includes('Fingerpost')),
                   images: [...document.images].every((i) => i.complete && i.naturalWidth > 0),
                   environment: document.querySelector('meta[name=\"fingerpost:environment\"]').content,
                   global: typeof toggleTheme,
                 };",
            )
            .await;
        assert_eq!(
            seen,
            serde_json::json!({
                "fromOwn": [], "origins": 1, "kinds": ["css", "js", "png", "svg", "woff2"], "integrity": true, "font": true,
                "images": true, "environment": "preview", "global": "function",
            })
        );
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
}

fn every_page_opens_without_a_complaint() {
    let site = Site::sample();
    site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        for path in ["/", "/strategies", "/commands"] {
            browser.open(&format!("http://{}{path}", server.address)).await;
            browser.run("await document.fonts.ready; await new Promise((r) => setTimeout(r, 300))").await;
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
        }
    });
}

/// The check is real: a stylesheet of other bytes is not applied.
fn tampering_is_noticed() {
    let site = Site::new()
        .config("[env.tampered]\nasset_base = 'http://127.0.0.1:1/'\n")
        .asset("css/a.css", "p { color: rgb(1, 2, 3) }\n")
        .template(
            "index.html",
            "<!doctype html><link rel=icon href='data:,'><title>t</title>{{ asset_tags('css/a.css') }}<p>t</p>",
        );
    let dist = site.build(&["--no-compress"]);
    let html = dist
        .read("index.html")
        .replace("rel=stylesheet", "rel=stylesheet integrity=sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let site = Site::new()
        .asset("public/index.html", html)
        .asset(&format!("public/{}", dist.named("css/a.css")), dist.bytes(&dist.named("css/a.css")));
    site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        let color = browser.run("return getComputedStyle(document.querySelector('p')).color").await;
        assert_eq!(color, "rgb(0, 0, 0)");
        assert!(browser.complaints().await.iter().any(|complaint| complaint.contains("integrity")), "it says so");
    });
}

//! One build, every environment: it is chosen when serving, never when building.

use libtest_mimic::Trial;

use crate::http::get;
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![one_build_serves_every_environment, development_is_what_was_built, a_path_may_be_the_base]
}

const CONFIG: &str = "[env.staging]\nasset_base = 'https://staging-cdn.example.com/'\n\
     [env.production]\nasset_base = 'https://cdn.example.com/x'\nsite = 'https://www.example.com'\n\
     [env.below]\nasset_base = '/v1/'\n";

fn site() -> Site {
    Site::new()
        .config(CONFIG)
        .asset("css/a.css", "a { background: url(../img/p.svg) }\n")
        .asset("img/p.svg", "<svg xmlns='http://www.w3.org/2000/svg'></svg>")
        .asset("js/a.ts", "import('./later.ts');\n")
        .asset("js/later.ts", "console.log('later')\n")
        .asset("app.webmanifest", "{\"icons\": [{\"src\": \"/assets/img/p.svg\"}]}")
        .template(
            "index.html",
            "<!doctype html><html><head><meta charset=utf-8><meta name='fingerpost:environment' content=''>\
             <meta name='fingerpost:release' content=''><meta property='og:image' content='/assets/img/p.svg'>\
             {{ asset_tags('css/a.css', 'js/a.ts') }}<link rel=manifest href=/static/app.webmanifest></head>\
             <body><img src=/static/img/p.svg><svg><use href='/assets/img/p.svg#i'></use></svg></body></html>",
        )
}

fn one_build_serves_every_environment() {
    let site = site();
    let dist = site.build(&[]);
    let (css, image, script) = (dist.named("css/a.css"), dist.named("img/p.svg"), dist.named("js/a.ts"));
    let integrity = dist.manifest()["files"][&css]["integrity"].as_str().expect("integrity").to_owned();
    let release = dist.manifest()["release"].as_str().expect("a release").to_owned();
    for (environment, base) in
        [("staging", "https://staging-cdn.example.com/"), ("production", "https://cdn.example.com/x/")]
    {
        let server = site.serve(&["serve", "-e", environment, "--listen", "127.0.0.1:0"]);
        let html = get(&server.address, "/", &[]).text();
        for want in [
            format!("{base}{css}\" "),
            format!("integrity=\"{integrity}\" crossorigin=\"anonymous\""),
            format!("src=\"{base}{script}\""),
            format!("src=\"{base}{image}\""),
            format!("content=\"{base}{image}\""),
            format!("\"{base}assets/js/later~"),
            format!("content=\"{environment}\""),
            format!("content=\"{release}\""),
            // Browsers refuse these two from another origin.
            format!("/{image}#i"),
            "href=/app.webmanifest".to_owned(),
        ] {
            assert!(html.contains(&want), "{environment}: {want} in {html}");
        }
        let manifest = get(&server.address, "/app.webmanifest", &[]).text();
        assert!(manifest.contains(&format!("{base}{image}")), "{manifest}");
        let asset = get(&server.address, &format!("/{css}"), &[]).text();
        assert!(asset.contains("url(../img/p-"), "assets are the same everywhere: {asset}");
    }
}

fn development_is_what_was_built() {
    let site = site();
    let dist = site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(get(&server.address, "/", &[]).text(), dist.read("index.html"));
    assert!(dist.read("index.html").contains("content=\"development\""));
}

fn a_path_may_be_the_base() {
    let site = site();
    let dist = site.build(&[]);
    let server = site.serve(&["serve", "-e", "below", "--listen", "127.0.0.1:0"]);
    let url = format!("/v1/{}", dist.named("css/a.css"));
    let html = get(&server.address, "/", &[]).text();
    assert!(html.contains(&url) && !html.contains("integrity=\""), "{html}");
    let css = get(&server.address, &url, &[]);
    assert_eq!((css.status, css.header("cache-control")), (200, Some("public, max-age=31536000, immutable")));
}

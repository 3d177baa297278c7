//! `preview`: build, bucket, CDN and site in one command.

use libtest_mimic::Trial;

use crate::http::get;
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![pages_point_at_the_cdn, the_cdn_gives_what_the_bucket_holds, it_stops_when_told]
}

/// The URL of the stylesheet in the front page, as origin and path.
fn stylesheet(site: &str) -> (String, String) {
    let html = get(site, "/", &[]).text();
    let at = html.find("http://127.0.0.1:").expect("a URL of the CDN");
    let url: String = html[at + "http://".len()..].chars().take_while(|c| !matches!(c, '"' | ' ' | '>')).collect();
    let (origin, path) = url.split_once('/').expect("a path");
    (origin.to_owned(), format!("/{path}"))
}

fn site() -> Site {
    Site::new()
        .asset("css/a.css", "a { color: red }\n".repeat(100))
        .asset("img/a.png", "not much of an image")
        .template(
            "index.html",
            "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}<img src=/assets/img/a.png>",
        )
}

fn pages_point_at_the_cdn() {
    let site = site();
    let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    let html = get(&server.address, "/", &[]).text();
    let (cdn, _) = stylesheet(&server.address);
    assert_ne!(cdn, server.address, "another origin");
    assert!(html.contains("integrity=\"sha256-") && html.contains("crossorigin=\"anonymous\""), "{html}");
    assert!(html.contains(&format!("src=\"http://{cdn}/assets/img/a-")), "{html}");
}

fn the_cdn_gives_what_the_bucket_holds() {
    let site = site();
    let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    let (cdn, path) = stylesheet(&server.address);
    let plain = get(&cdn, &path, &[]);
    let packed = get(&cdn, &path, &[("accept-encoding", "br"), ("origin", "http://elsewhere")]);
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("text/css; charset=utf-8")));
    for (name, value) in [
        ("content-encoding", "br"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("access-control-allow-origin", "*"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(packed.header(name), Some(value), "{packed:?}");
    }
    let mut unpacked = Vec::new();
    brotli::BrotliDecompress(&mut packed.body.as_slice(), &mut unpacked).expect("brotli");
    assert_eq!(unpacked, plain.body);
    assert_eq!(get(&cdn, "/index.html", &[]).status, 404, "pages are the site's");
}

fn it_stops_when_told() {
    let site = site();
    let mut server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    server.signal(rustix::process::Signal::INT);
    assert_eq!(server.wait(), Some(0));
}

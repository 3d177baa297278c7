//! CloudFront's function, run by Node.js before a bucket that is a folder.

use std::process::Command;

use base64::Engine;
use serde_json::{Value, json};

use super::{CONFIG, Seen, encoded, seen};
use crate::http::{Response, request};
use crate::site::{Site, long_stylesheet};

type Asked<'a> = (&'a str, String, Vec<(&'a str, &'a str)>);

/// `is_own`: the second event has the request as the viewer sent it, rather than as the function made it; the documentation can be read
/// either way.
fn edge(site: &Site, pairs: bool, is_own: bool, asked: &[Asked<'_>]) -> Vec<Value> {
    let requests = asked.iter().map(|(method, url, headers)| {
        let (uri, query) = url.split_once('?').unwrap_or((url, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), json!({ "value": value }))
        });
        let query: serde_json::Map<String, Value> = pairs.collect();
        json!({ "method": method, "uri": uri, "headers": headers, "querystring": query, "isOwn": is_own })
    });
    let requests: Vec<Value> = requests.collect();
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/export/edge.js"));
    command.arg(site.root().join("function.js")).arg(site.root().join("store")).arg(json!(requests).to_string());
    if pairs {
        command.arg(site.root().join("pairs.json"));
    }
    let out = command.output().expect("node");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn response(answer: &Value) -> Response {
    let status = answer["statusCode"].as_u64().expect("a status") as u16;
    let headers = answer["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, field)| (name.clone(), field["value"].as_str().expect("text").to_owned()));
    let body = answer["body"].as_str().expect("a body");
    let body = match answer["isBase64"].as_bool() {
        Some(true) => base64::engine::general_purpose::STANDARD.decode(body).expect("base64"),
        _ => body.as_bytes().to_vec(),
    };
    Response::new(status, headers.collect(), body)
}

pub fn cloudfront_answers_as_serve_does() {
    let site = Site::new()
        .config(&format!("{CONFIG}[env.bare]\nstore = 'store'\nsecurity = {{ policy = 'off' }}\n"))
        .asset("css/a.css", long_stylesheet())
        .asset("js/a.ts", "import('./later.ts');\n")
        .asset("js/later.ts", "console.log('later')\n")
        .asset("public/robots.txt", "User-agent: *\n".repeat(20))
        .asset("public/odd.txt", "odd")
        .asset("public/h/$a ?&{b}\"'`#.txt", "hostile")
        .template("index.html", "<!doctype html><title>home</title>{{ asset_tags('css/a.css', 'js/a.ts') }}")
        .template("about.html", format!("<!doctype html><title>about</title><p>{}", "many words ".repeat(99)))
        .template("docs/index.html", "<!doctype html><title>docs</title>")
        .template("404.html", "<!doctype html><title>nothing</title><script>console.log(1)</script>");
    let dist = site.build(&[]);
    let css = format!("/{}", dist.named("css/a.css"));
    let codings = ["", "identity", "br", "gzip", "gzip, br, zstd", "br;q=0.5, zstd;q=0.9", "br;q=0, *", "deflate"];
    for (environment, with_pairs, is_own) in
        [("production", true, true), ("below", true, false), ("bare", false, false)]
    {
        assert_eq!(site.run(&["publish", "--env", environment]).code, Some(0));
        let path = |name: &str| site.root().join(name).to_string_lossy().into_owned();
        let (output, pairs) = (path("function.js"), path("pairs.json"));
        let mut arguments = vec!["export", "cloudfront-function", "--env", environment, "--output", &output];
        if with_pairs {
            arguments.extend(["--key-values", &pairs]);
        }
        let run = site.run(&arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        let serve = site.serve(&["serve", "--env", environment, "--listen", "127.0.0.1:0"]);
        let mut asked: Vec<Asked<'_>> = Vec::new();
        for path in [
            "/",
            "/index.html",
            "/about",
            "/about/?x=1&y=%20&z",
            "/docs",
            "/docs/",
            "/nothing",
            "/404.html",
            "/robots.txt",
            "/odd.txt",
            "/.fingerpost/manifest.json",
            "/current.json",
            "/static/css/a.css",
            "/assets/css/a.css",
            "/%61bout",
            "/assets/.x/a-0123456789abcdef.css",
            "/constructor",
            "/__proto__",
            &encoded("/h/$a ?&{b}\"'`#.txt"),
        ] {
            asked.extend(codings.map(|coding| ("GET", path.to_owned(), vec![("accept-encoding", coding)])));
            asked.push(("OPTIONS", path.to_owned(), vec![]));
            let preflight = vec![("origin", "https://o.example"), ("access-control-request-method", "GET")];
            asked.push(("OPTIONS", path.to_owned(), preflight));
            asked.push(("POST", path.to_owned(), vec![("content-length", "0")]));
        }
        // The distribution compresses these.
        asked.push(("GET", css.clone(), vec![]));
        asked.push(("GET", css.replacen("/assets/", "/static/", 1), vec![]));
        for ((method, path, headers), answer) in asked.iter().zip(edge(&site, with_pairs, is_own, &asked)) {
            let plain = |response: &Response| -> Seen {
                let mut seen = seen(response);
                // A fingerprinted file's are the distribution's.
                // The function's own page for 404 is in one coding.
                if response.status == 404 || path.contains(css.rsplit('/').next().unwrap_or_default()) {
                    seen.headers.remove("vary");
                }
                seen
            };
            let is_missing = answer["statusCode"] == 404;
            let headers = if is_missing { &Vec::new() } else { headers };
            let ours = request(&serve.address, method, path, headers);
            // It speaks TLS, which `serve` doesn't here.
            let mut theirs = plain(&response(&answer));
            let hsts = theirs.headers.remove("strict-transport-security");
            assert_eq!(hsts.as_deref(), Some("max-age=31536000"), "{method} {path}");
            assert_eq!(theirs, plain(&ours), "CloudFront (left), {method} {path} {headers:?}");
        }
    }
}

pub fn what_cloudfront_has_no_room_for_is_refused() {
    let page = |index: usize| format!("<!doctype html><title>{index}</title><script>console.log({index})</script>");
    let site =
        (0..60).fold(Site::new().config(CONFIG), |site, index| site.template(&format!("p{index}.html"), page(index)));
    site.build(&[]);
    let run = site.run(&["export", "cloudfront-function", "--env", "production"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    for part in ["CloudFront takes 10240", "sets of headers", "--key-values FILE"] {
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{part}: {}", run.stderr);
    }
    let run = site.run(&["export", "cloudfront-function", "--env", "production", "--listen", "80"]);
    assert!(run.code == Some(2) && run.stderr.contains("`--listen`"), "{}", run.stderr);
}

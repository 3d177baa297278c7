//! The servers that people have already, with the configuration that is exported for them: they answer as `serve` does.

mod edge;
mod servers;

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;

use crate::http::{Response, request};
use crate::setup::Need;
use crate::site::{Server, Site, long_stylesheet, tree};
use crate::trials;
use edge::{cloudfront_answers_as_serve_does, what_cloudfront_has_no_room_for_is_refused};
use servers::{Peer, Program};

pub fn trials() -> Vec<Trial> {
    [
        trials![[Need::WebServers]; nginx_answers_as_serve_does, caddy_answers_as_serve_does, apache_answers_as_serve_does, a_hostile_name_is_only_a_name],
        trials![[Need::Node]; cloudfront_answers_as_serve_does],
        trials![what_cloudfront_has_no_room_for_is_refused, pages_of_another_environment_are_refused, what_is_written_is_the_same_each_time],
    ]
    .into_iter()
    .flatten()
    .collect()
}

const CONFIG: &str = "[env.production]\nasset_base = 'https://cdn.example.com/'\nstore = 'store'\n\
     cdn_cache_control = 'max-age=60'\n\
     [env.below]\nasset_base = '/v1/'\nstore = 'store'\n\
     [[headers]]\nmatch = '*.txt'\nset = { 'x-own' = 'a \"b\" $c; \\ %e', 'cache-control' = 'public, max-age=60' }\n\
     [[headers]]\nmatch = 'odd.txt'\nset = { 'content-type' = 'text/x-odd' }\n";

/// Names that mean something in somebody's configuration.
const HOSTILE: [&str; 12] = [
    "a b;c.txt",
    "$uri.txt",
    "{path}.txt",
    "{$HOME}.txt",
    "%{HTTP_HOST}e.txt",
    "quote\"'`.txt",
    "back\\nslash.txt",
    "}\";return 200 x;#.txt",
    "ünï?&=.txt",
    "UPPER.txt",
    "upper.txt",
    "100%25^(.*)$[x]+.txt",
];

/// Their hashes make a policy that is longer than nginx's words may be.
fn scripts() -> String {
    (0..90).map(|index| format!("<script>console.log({index})</script>")).collect()
}

fn site() -> Site {
    let site = Site::new()
        .config(CONFIG)
        .asset("css/a.css", format!("{}b {{ background: url(../img/p.svg) }}", long_stylesheet()))
        .asset("img/p.svg", "<svg xmlns='http://www.w3.org/2000/svg'></svg>")
        .asset("img/UP.PNG", b"\x89PNG")
        .asset("js/a.ts", "import('./later.ts');\n")
        .asset("js/later.ts", "console.log('later')\n")
        .asset("public/robots.txt", "User-agent: *\n")
        .asset("public/odd.txt", "odd")
        .asset("public/.well-known/x.txt", "x")
        .asset("public/.env", "SECRET=1")
        .asset("public/LICENSE", "free\n".repeat(100))
        .template(
            "index.html",
            "<!doctype html><meta name='fingerpost:environment' content=''><title>home</title>\
             {{ asset_tags('css/a.css', 'js/a.ts') }}",
        )
        .template("about.html", "<!doctype html><title>about</title><script>console.log(1)</script>")
        .template("a/very/long/path/that/finds/no/place/in/a/bucket/of/nginx/as/it/is.html", "<!doctype html><p>long")
        .template("docs/index.html", format!("<!doctype html><title>docs</title><p>{}", "many words ".repeat(99)))
        .template("scripts.html", format!("<!doctype html><title>scripts</title>{}", scripts()))
        .template("404.html", format!("<!doctype html><title>nothing</title>{}", scripts()));
    HOSTILE
        .into_iter()
        .filter(|name| !name.contains('\\'))
        .fold(site, |site, name| site.asset(&format!("public/h/{name}"), format!("{name}\n")))
}

fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-');
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What of an answer has to be the same: all but what follows from who sends it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// Nobody's rules: they tell of the server, of the connection, or of the file's time.
const OWN: [&str; 11] = [
    "accept-ranges",
    "connection",
    "content-length",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "server",
    "transfer-encoding",
    "content-range",
    "upgrade",
];

fn seen(response: &Response) -> Seen {
    let mut headers = BTreeMap::new();
    for (name, value) in response.headers().iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let value = if name == "vary" { value.to_ascii_lowercase() } else { value.clone() };
        // Apache adds an empty one to the one that it was told to have.
        let is_second = name == "allow" && value.is_empty();
        assert!(
            response.status == 416 || is_second || headers.insert(name.clone(), value).is_none(),
            "{name} is there once: {response:?}"
        );
    }
    let mut body = body(response);
    // A redirect has nothing to say, and some say it.
    if matches!(response.status, 301..=308) || response.status == 204 {
        body.clear();
        headers.remove("content-type");
    }
    let body = match String::from_utf8(body) {
        Ok(text) => text,
        Err(error) => format!("{:?}", error.as_bytes()),
    };
    Seen { status: response.status, headers, body }
}

fn body(response: &Response) -> Vec<u8> {
    match response.header("transfer-encoding") {
        Some(_) => unchunked(&response.body),
        None => response.body.clone(),
    }
}

fn is_fingerprinted(path: &str) -> bool {
    path.split('-').skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() == 16)
}

/// RFC 9112 section 7.1.
fn unchunked(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = text.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&text[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let (chunk, rest) = text[end + 2..].split_at(length.expect("a chunk's length"));
        out.extend_from_slice(chunk);
        text = rest.strip_prefix(b"\r\n").unwrap_or_default();
    }
    out
}

/// `serve`, and another server with what was exported for it.
struct Pair {
    serve: Server,
    peer: Peer,
    program: Program,
}

impl Pair {
    fn start(site: &Site, program: Program, environment: &str) -> Self {
        if environment != "development" {
            let run = site.run(&["publish", "--env", environment]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
        }
        // Apache calls its validator of a file weak that changed within the last second.
        let a_minute_ago = SystemTime::now() - Duration::from_secs(60);
        for path in tree(site.root()).keys() {
            let file = File::options().write(true).open(site.root().join(path)).expect("a file");
            file.set_modified(a_minute_ago).expect("its time");
        }
        let serve = site.serve(&["serve", "--env", environment, "--listen", "127.0.0.1:0"]);
        Pair { serve, peer: Peer::start(site, program, environment), program }
    }

    fn both(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (Response, Response) {
        (request(&self.serve.address, method, path, headers), request(&self.peer.address, method, path, headers))
    }

    /// Asks both for the same, which they have to answer alike, but for what `docs/export.md` says.
    fn same(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let (ours, theirs) = self.both(method, path, headers);
        let (ours, mut seen) = (seen(&ours), seen(&theirs));
        // A rule for many may say more than is true of one.
        if is_fingerprinted(path) && !ours.headers.contains_key("vary") {
            seen.headers.remove("vary");
        }
        if matches!((self.program, ours.status), (_, 412 | 416) | (Program::Apache, 405)) {
            assert_eq!(seen.status, ours.status, "{:?}, {path} {headers:?}", self.program);
            return theirs;
        }
        if self.program == Program::Apache && ours.status == 308 {
            let own = format!("http://{}", self.peer.address);
            seen.headers.entry("location".to_owned()).and_modify(|to| *to = to.replacen(&own, "", 1));
        }
        assert_eq!(seen, ours, "{:?} (left), {method} {path} {headers:?}\n{}", self.program, self.peer.said());
        theirs
    }

    /// Each answer's validator is strong, its own, and gives a 304 with what guides caches.
    fn validates(&self, path: &str, accept: &str) -> String {
        let (ours, theirs) = self.both("GET", path, &[("accept-encoding", accept)]);
        let tag = |response: &Response| response.header("etag").map(str::to_owned).expect("a validator");
        let (our_tag, their_tag) = (tag(&ours), tag(&theirs));
        assert!(their_tag.starts_with('"'), "{path}: {their_tag}");
        for list in [their_tag.clone(), format!("\"x\", {their_tag}"), format!("W/{their_tag}")] {
            let again =
                request(&self.peer.address, "GET", path, &[("accept-encoding", accept), ("if-none-match", &list)]);
            let own = [("accept-encoding", accept), ("if-none-match", our_tag.as_str())];
            let ours = seen(&request(&self.serve.address, "GET", path, &own));
            let mut theirs = seen(&again);
            if self.program == Program::Apache {
                theirs.headers.remove("content-encoding");
            }
            assert_eq!(theirs, ours, "{:?} (left), {path} {list}", self.program);
            assert_eq!(again.status, 304);
        }
        let other = [("accept-encoding", accept), ("if-none-match", "\"x\"")];
        assert_eq!(request(&self.peer.address, "GET", path, &other).status, 200);
        their_tag
    }
}

fn answers_as_serve_does(program: Program, encodings: &[&str]) {
    let site = site();
    let dist = site.build(&[]);
    let names = ["css/a.css", "img/p.svg", "img/UP.PNG", "js/a.ts"].map(|name| format!("/{}", dist.named(name)));
    let chunk = dist.manifest()["chunks"].as_object().expect("chunks").keys().next().expect("one").clone();
    for environment in ["development", "production", "below"] {
        let pair = Pair::start(&site, program, environment);
        let mut paths: Vec<String> = [
            "/",
            "/index.html",
            "/index",
            "/about",
            "/about.html",
            "/about/",
            "/about/?x=1&y=%20",
            "/docs",
            "/docs?x=1",
            "/docs/",
            "/docs/index.html",
            "/docs/index",
            "/scripts",
            "/404",
            "/404.html",
            "/nothing",
            "/nothing/",
            "/robots.txt",
            "/odd.txt",
            "/.well-known/x.txt",
            "/.env",
            "/.fingerpost/manifest.json",
            "/.vite/manifest.json",
            "/current.json",
            "/releases/",
            "/LICENSE",
            "/static/css/a.css",
            "/assets/css/a.css",
            "/static/img/p.svg",
            "/static/img/UP.PNG",
            "/static/img/up.png",
            "/ABOUT",
            "/Robots.txt",
            "/assets/",
            "/assets",
            "//about",
            "/about?x=1",
            "/a/very/long/path/that/finds/no/place/in/a/bucket/of/nginx/as/it/is",
            "/assets/.x/a-0123456789abcdef.css",
            NOT_THERE,
            "/v1/static/css/a.css",
            "/static/../.env",
            "/%61bout",
            "/a%00b",
        ]
        .map(str::to_owned)
        .to_vec();
        paths.extend(names.iter().cloned());
        paths.extend(names.iter().map(|name| format!("/v1{name}")));
        paths.extend(names.iter().map(|name| format!("{name}.br")));
        paths.extend(names.iter().map(|name| name.replacen("/assets/", "/static/", 1)));
        paths.extend(HOSTILE.map(|name| encoded(&format!("/h/{name}"))));
        paths.extend([
            format!("/{chunk}"),
            format!("/v1/{chunk}"),
            format!("/static/{}", chunk.replacen("assets/", "", 1)),
        ]);
        for path in paths.iter().filter(|path| !program.differs(path)) {
            pair.same("GET", path, &[]);
            pair.same("HEAD", path, &[("accept-encoding", "gzip")]);
            for encoding in encodings {
                pair.same("GET", path, &[("accept-encoding", encoding)]);
            }
            pair.same("OPTIONS", path, &[]);
            // A pattern doesn't know which of its files are there.
            if *path != NOT_THERE {
                let preflight = [("origin", "https://o.example"), ("access-control-request-method", "GET")];
                pair.same("OPTIONS", path, &preflight);
            }
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                pair.same(method, path, &[("content-length", "0")]);
            }
        }
        for path in ["/", "/docs/", "/robots.txt", "/static/css/a.css", &names[0]] {
            let mut tags: Vec<String> = encodings.iter().map(|accept| pair.validates(path, accept)).collect();
            tags.sort();
            tags.dedup();
            // By its time and length: so files of another coding and the same length, written at once, can share one.
            let lengths = encodings
                .iter()
                .map(|accept| body(&request(&pair.peer.address, "GET", path, &[("accept-encoding", accept)])).len());
            let lengths: std::collections::BTreeSet<_> = lengths.collect();
            assert!(lengths.len() > 1 || path == "/robots.txt", "{path}: there is something to tell apart");
            assert_eq!(tags.len(), lengths.len(), "{path}: one each: {tags:?}");
        }
        ranges(&pair, &names[0]);
    }
}

const NOT_THERE: &str = "/assets/css/a-0123456789abcdef.css";

fn ranges(pair: &Pair, css: &str) {
    let tag = request(&pair.peer.address, "GET", css, &[]).header("etag").expect("a validator").to_owned();
    for range in ["bytes=2-5", "bytes=-3", "bytes=5-", "lines=1-2", "bytes=999999-"] {
        if range.starts_with("lines") && pair.program == Program::Caddy {
            continue;
        }
        let theirs = pair.same("GET", css, &[("range", range)]);
        let (ours, _) = pair.both("GET", css, &[("range", range)]);
        if theirs.status == 206 {
            assert_eq!(theirs.header("content-range"), ours.header("content-range"), "{range}");
        }
    }
    for (condition, status) in [(tag.as_str(), 206), ("\"x\"", 200)] {
        let headers = [("range", "bytes=0-1"), ("if-range", condition)];
        assert_eq!(request(&pair.peer.address, "GET", css, &headers).status, status, "{condition}");
    }
    pair.same("GET", css, &[("if-match", "\"x\"")]);
}

fn nginx_answers_as_serve_does() {
    answers_as_serve_does(
        Program::Nginx,
        &["", "identity", "gzip", "br", "br;q=0, gzip", "gzip, br", "gzip;q=0", "deflate"],
    );
}

fn caddy_answers_as_serve_does() {
    let encodings =
        ["", "identity", "gzip", "br", "zstd", "br;q=0, gzip", "gzip, br, zstd", "gzip;q=0", "br;q=0.5, zstd;q=0.9"];
    answers_as_serve_does(Program::Caddy, &encodings);
}

fn apache_answers_as_serve_does() {
    let encodings =
        ["", "identity", "gzip", "br", "zstd", "br;q=0, gzip", "gzip, br, zstd", "gzip;q=0", "br;q=0.0, zstd;q=0.9"];
    answers_as_serve_does(Program::Apache, &encodings);
}

/// The names of the whole site, and what they might have done, in each configuration.
fn a_hostile_name_is_only_a_name() {
    let site = site();
    site.build(&[]);
    for program in Program::ALL {
        let pair = Pair::start(&site, program, "development");
        for name in HOSTILE.into_iter().filter(|name| !name.contains('\\')) {
            let path = encoded(&format!("/h/{name}"));
            if program.differs(&path) {
                assert_eq!(request(&pair.peer.address, "GET", &path, &[]).status, 404, "{path}");
                continue;
            }
            let response = pair.same("GET", &path, &[]);
            assert_eq!((response.status, response.text()), (200, format!("{name}\n")), "{program:?}");
        }
    }
}

fn pages_of_another_environment_are_refused() {
    let site = Site::new()
        .config("[env.production]\nasset_base = 'https://cdn.example.com/'\n[env.bucket]\nstore = 's3://b/p'\n[env.packed]\nstore = 'x'\nencoding = 'gzip'\n")
        .asset("a.css", "b { color: red }")
        .template("index.html", "<!doctype html>{{ asset_tags('a.css') }}");
    site.build(&[]);
    for (arguments, message, help) in [
        (&["--env", "production"][..], "`index.html` is another page in `production`", "set `store = \"FOLDER\"`"),
        (&["--env", "bucket"], "the store of `bucket` is a bucket", "`--folder`"),
        (&["--env", "packed"], "has its files in gzip alone", "leave `encoding` out"),
        (&["--listen", "80; return 200"], "`80; return 200` is no place to listen", "a port"),
    ] {
        let run = site.run(&[&["export", "nginx"], arguments].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(message) && run.stderr.contains(help) && run.stdout.is_empty(), "{}", run.stderr);
    }
}

fn what_is_written_is_the_same_each_time() {
    let site = site();
    site.build(&[]);
    for program in Program::ALL {
        let export = |arguments: &[&str]| site.run(&[&["export", program.name()], arguments].concat()).stdout;
        let text = export(&[]);
        assert_eq!(export(&[]), text);
        let output = site.root().join("written");
        export(&["--output", &output.to_string_lossy()]);
        assert_eq!(std::fs::read_to_string(output).expect("a file"), text);
        assert!(export(&["--folder", "/srv/www"]).contains("/srv/www"));
    }
}

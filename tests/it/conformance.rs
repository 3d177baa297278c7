//! What a server owes to RFC 9110, 9111, 9112 and 9113: one table of cases, asked over each protocol; and what only HTTP/1.1 can get wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::http::{Response, get};
use crate::setup::{Need, certificate};
use crate::site::{Server, Site, long_stylesheet};
use crate::trials;
use crate::wire::{Question, Wire};

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        the_table_over_http_1,
        the_table_over_http_2_in_the_clear,
        nothing_leads_to_another_site,
        nothing_outside_is_reached,
        hosts,
        hosts_in_http_2,
        targets,
        heads_that_are_malformed,
        framing_that_smuggles,
        bodies_that_nobody_asked_for,
        connections_that_go_on,
        http_1_0,
    ];
    trials.extend(trials![[Need::Tls]; the_table_over_http_1_and_tls, the_table_over_http_2]);
    trials.extend(trials![[Need::Curl]; curl_sees_the_same]);
    trials
}

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A site that is served, and what is known of it.
struct Served {
    server: Server,
    /// The path of a stylesheet that has a representation in each coding.
    css: String,
    plain: Vec<u8>,
    /// ETags of the representations: as it is, and in Brotli.
    etag: String,
    br_etag: String,
    br_length: usize,
    _site: Site,
}

fn site() -> Site {
    Site::new()
        .asset("css/a.css", long_stylesheet())
        .asset("img/a b.png", "no compression")
        .asset("public/robots.txt", "User-agent: *\n")
        .asset("public/.well-known/x.txt", "x")
        .template("index.html", "<!doctype html><title>home</title>{{ asset_tags('css/a.css') }}")
        .template("about.html", "<!doctype html><title>about</title>")
        .template("docs/index.html", "<!doctype html><title>docs</title>")
        .template("404.html", "<!doctype html><title>nothing here</title>")
}

fn served(wire: Wire) -> Served {
    let site = site();
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let mut arguments = LISTEN.map(str::to_owned).to_vec();
    if wire.is_tls() {
        let (certificate, key) = certificate(site.root());
        arguments.extend(["--tls-cert".to_owned(), certificate, "--tls-key".to_owned(), key]);
    }
    let server = site.serve(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let ask = |coding: &str| {
        let headers = [("accept-encoding", coding.to_owned())];
        wire.ask(&server.address, &Question { method: "GET", target: &css, headers: &headers, body: b"" })
    };
    let (whole, packed) = (ask("identity"), ask("br"));
    let etag = |response: &Response| response.header("etag").expect("an etag").to_owned();
    let (etag, br_etag, br_length) = (etag(&whole), etag(&packed), packed.body.len());
    Served { server, css, plain: whole.body, etag, br_etag, br_length, _site: site }
}

/// A row of the table: what is asked, and what has to come of it.
struct Case {
    name: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: &'static [u8],
    status: u16,
    want: Vec<Want>,
}

enum Want {
    Header(&'static str, String),
    /// It is a list with this in it.
    Lists(&'static str, &'static str),
    Without(&'static str),
    Body(Vec<u8>),
    Holds(&'static str),
    Length(usize),
}

impl Case {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn sending(mut self, body: &'static [u8]) -> Self {
        self.body = body;
        self
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.want.push(Want::Header(name, value.into()));
        self
    }

    /// It varies by coding, and says so.
    fn varies(mut self) -> Self {
        self.want.push(Want::Lists("vary", "accept-encoding"));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.want.push(Want::Without(name));
        self
    }

    fn body(mut self, bytes: &[u8]) -> Self {
        self.want.push(Want::Body(bytes.to_vec()));
        self
    }

    fn holds(mut self, text: &'static str) -> Self {
        self.want.push(Want::Holds(text));
        self
    }

    fn length(mut self, bytes: usize) -> Self {
        self.want.push(Want::Length(bytes));
        self
    }

    fn check(&self, wire: Wire, address: &str) {
        let question = Question { method: self.method, target: &self.target, headers: &self.headers, body: self.body };
        let got = wire.ask(address, &question);
        let told =
            format!("{} over {wire:?}: {} {} {:?} gave {got:?}", self.name, self.method, self.target, self.headers);
        assert_eq!(got.status, self.status, "{told}");
        for want in &self.want {
            match want {
                Want::Header(name, value) => assert_eq!(got.header(name), Some(value.as_str()), "{name}: {told}"),
                Want::Lists(name, token) => assert!(got.lists(name, token), "{name} lists {token}: {told}"),
                Want::Without(name) => assert_eq!(got.header(name), None, "{told}"),
                Want::Body(bytes) => assert!(got.body == *bytes, "the body: {told}"),
                Want::Holds(text) => assert!(got.text().contains(text), "{text}: {told}"),
                Want::Length(length) => assert_eq!(got.body.len(), *length, "{told}"),
            }
        }
        always(self.method, &got, &told);
    }
}

/// What holds for every answer.
fn always(method: &str, got: &Response, told: &str) {
    assert!(got.header("date").is_some(), "RFC 9110 section 6.6.1: {told}");
    let cache = got.header("cache-control").unwrap_or_default();
    if got.status >= 400 {
        assert_eq!(cache, "no-store", "an error is not kept: {told}");
        assert_eq!(got.header("etag"), None, "an error has no validator: {told}");
    }
    assert!(!cache.contains("immutable") || matches!(got.status, 200 | 206 | 304), "{told}");
    if method == "HEAD" || matches!(got.status, 204 | 304) {
        assert!(got.body.is_empty(), "{told}");
    } else {
        assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()), "{told}");
    }
    if got.status == 204 {
        assert_eq!(got.header("content-length"), None, "RFC 9110 section 8.6: {told}");
    }
    if got.status == 304 {
        for name in ["content-encoding", "content-type", "content-length"] {
            assert_eq!(got.header(name), None, "RFC 9110 section 15.4.5: {told}");
        }
        assert!(got.header("etag").is_some() && got.header("cache-control").is_some(), "{told}");
    }
    assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{told}");
    for name in [
        "etag",
        "content-length",
        "content-type",
        "content-range",
        "content-encoding",
        "cache-control",
        "date",
        "location",
    ] {
        assert!(got.all(name).len() <= 1, "{name} once: {told}");
    }
}

fn ask(name: &'static str, method: &'static str, target: &str, status: u16) -> Case {
    Case { name, method, target: target.to_owned(), headers: Vec::new(), body: b"", status, want: Vec::new() }
}

const FOREVER: &str = "public, max-age=31536000, immutable";

fn table(served: &Served) -> Vec<Case> {
    let css = served.css.as_str();
    [methods(css, served), negotiation(css, served), conditions(css, served), ranges(css, served), paths(css)]
        .into_iter()
        .flatten()
        .collect()
}

fn methods(css: &str, served: &Served) -> Vec<Case> {
    let length = served.plain.len().to_string();
    let allow = "GET, HEAD, OPTIONS";
    vec![
        ask("GET", "GET", css, 200)
            .header("content-type", "text/css; charset=utf-8")
            .header("cache-control", FOREVER)
            .header("accept-ranges", "bytes")
            .body(&served.plain)
            .varies(),
        ask("HEAD is GET without the body", "HEAD", css, 200)
            .header("content-length", length)
            .header("etag", &served.etag)
            .header("cache-control", FOREVER)
            .varies(),
        ask("HEAD in a coding", "HEAD", css, 200)
            .with("accept-encoding", "br")
            .header("content-length", served.br_length.to_string())
            .header("content-encoding", "br")
            .varies(),
        ask("HEAD of nothing", "HEAD", "/nothing", 404),
        ask("OPTIONS", "OPTIONS", css, 204).header("allow", allow),
        ask("OPTIONS of nothing", "OPTIONS", "/nothing", 204).header("allow", allow),
        ask("POST", "POST", css, 405).header("allow", allow),
        ask("POST with a body", "POST", css, 405).sending(b"name=value").header("allow", allow),
        ask("PUT", "PUT", "/", 405).sending(b"x").header("allow", allow),
        ask("DELETE", "DELETE", css, 405).header("allow", allow),
        ask("PATCH", "PATCH", css, 405).header("allow", allow),
        ask("TRACE echoes nothing", "TRACE", css, 405).with("x-secret", "s3cret").header("allow", allow),
        ask("a method of nobody's", "MAKECOFFEE", css, 405).header("allow", allow),
        ask("methods are case-sensitive", "get", css, 405).header("allow", allow),
        ask("GET with a body", "GET", css, 200).sending(b"ignored").body(&served.plain),
        ask("another host beside the first", "GET", css, 400).with("host", "other.example"),
    ]
}

fn negotiation(css: &str, served: &Served) -> Vec<Case> {
    let accepting = |name, value: &str, coding: &str| {
        let case = ask(name, "GET", css, 200).with("accept-encoding", value).varies().header("cache-control", FOREVER);
        if coding.is_empty() {
            case.without("content-encoding").header("etag", &served.etag)
        } else {
            case.header("content-encoding", coding)
        }
    };
    vec![
        accepting("all codings", "gzip, deflate, br, zstd", "br"),
        accepting("br has a validator of its own", "br", "br").header("etag", &served.br_etag).length(served.br_length),
        accepting("gzip alone", "gzip", "gzip"),
        accepting("zstd alone", "zstd", "zstd"),
        accepting("x-gzip is gzip", "x-gzip", "gzip"),
        accepting("codings in any case", "GZip", "gzip"),
        accepting("the order of weights", "br;q=0.1, gzip;q=0.9, zstd;q=0.5", "gzip"),
        accepting("weights of three decimals", "br;q=0.998, zstd;q=0.999", "zstd"),
        accepting("q=0 refuses", "br;q=0, gzip", "gzip"),
        accepting("q=0.000 refuses", "br;q=0.000, zstd;q=0.0, gzip", "gzip"),
        accepting("q in upper case, white space", "br ; Q=0.2 , gzip\t; q=0.3", "gzip"),
        accepting("any", "*", "br"),
        accepting("any but", "br;q=0, *", "zstd"),
        accepting("any at last", "gzip, *;q=0.5", "gzip"),
        accepting("identity preferred", "identity, br;q=0.5", ""),
        accepting("identity at last", "identity;q=0.1, gzip;q=0.2", "gzip"),
        accepting("nothing that there is", "deflate, compress", ""),
        accepting("an empty field", "", ""),
        accepting("junk is passed over", "br;q=2, gzip;level=9, ;;, zstd;q=0.3", "zstd"),
        ask("without the field", "GET", css, 200).varies().without("content-encoding").body(&served.plain),
        ask("two lines are one list", "GET", css, 200)
            .with("accept-encoding", "gzip;q=0.5")
            .with("accept-encoding", "zstd")
            .header("content-encoding", "zstd")
            .varies(),
        ask("all refused", "GET", css, 406).with("accept-encoding", "*;q=0").varies().without("content-encoding"),
        ask("identity refused", "GET", css, 406).with("accept-encoding", "identity;q=0").varies(),
        ask("identity refused, another taken", "GET", css, 200)
            .with("accept-encoding", "identity;q=0, gzip")
            .header("content-encoding", "gzip")
            .varies(),
        ask("a 406 to HEAD", "HEAD", css, 406).with("accept-encoding", "*;q=0").varies(),
        ask("what is in one coding does not vary by it", "GET", "/.well-known/x.txt", 200)
            .with("accept-encoding", "br")
            .without("content-encoding")
            .body(b"x"),
        ask("and can still be refused", "GET", "/.well-known/x.txt", 406).with("accept-encoding", "identity;q=0"),
    ]
}

fn conditions(css: &str, served: &Served) -> Vec<Case> {
    let Served { etag, br_etag, .. } = served;
    let not_modified =
        |name, value: String| ask(name, "GET", css, 304).with("if-none-match", value).varies().header("etag", etag);
    let failed = |name, value: String| ask(name, "GET", css, 412).with("if-match", value).varies();
    let past = "Sat, 01 Jan 2000 00:00:00 GMT";
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    vec![
        not_modified("If-None-Match", etag.clone()).header("cache-control", FOREVER),
        not_modified("in a list", format!("\"a\", {etag} , \"b\"")),
        not_modified("weakly", format!("W/{etag}")),
        not_modified("any", "*".to_owned()),
        not_modified("after a tag with a comma", format!("\"a,b\",{etag}")),
        not_modified("after junk", format!("junk, {etag}")),
        not_modified("two lines are one list", "\"a\"".to_owned()).with("if-none-match", etag),
        ask("HEAD", "HEAD", css, 304).with("if-none-match", etag).varies(),
        ask("another", "GET", css, 200).with("if-none-match", "\"a\"").varies(),
        ask("a part of it", "GET", css, 200).with("if-none-match", &etag[..etag.len() - 2]),
        ask("without its quotes", "GET", css, 200).with("if-none-match", etag.trim_matches('"')),
        ask("that of another coding", "GET", css, 200).with("if-none-match", br_etag).varies(),
        ask("that of the selected coding", "GET", css, 304)
            .with("if-none-match", br_etag)
            .with("accept-encoding", "br")
            .header("etag", br_etag)
            .varies(),
        ask("If-Match", "GET", css, 200).with("if-match", etag).varies().body(&served.plain),
        ask("If-Match in a list", "GET", css, 200).with("if-match", format!("\"a\", {etag}")),
        ask("If-Match any", "GET", css, 200).with("if-match", "*"),
        ask("If-Match any of nothing", "GET", "/nothing", 404).with("if-match", "*"),
        failed("If-Match another", "\"a\"".to_owned()),
        failed("If-Match weakly", format!("W/{etag}")),
        failed("If-Match that of another coding", br_etag.clone()),
        ask("If-Match comes first", "GET", css, 412).with("if-match", "\"a\"").with("if-none-match", etag),
        ask("both hold", "GET", css, 304).with("if-match", etag).with("if-none-match", etag),
        ask("If-Modified-Since without a Last-Modified", "GET", css, 200)
            .with("if-modified-since", future)
            .without("last-modified"),
        ask("If-Unmodified-Since likewise", "GET", css, 200).with("if-unmodified-since", past),
        ask("If-None-Match wins over a date", "GET", css, 200)
            .with("if-none-match", "\"a\"")
            .with("if-modified-since", future),
        ask("a condition on a page", "GET", "/about", 304)
            .with("if-none-match", "*")
            .header("cache-control", "no-cache"),
        ask("a condition does not make an error a 304", "GET", "/nothing", 404).with("if-none-match", "*"),
        ask("a condition comes before a range", "GET", css, 304).with("if-none-match", etag).with("range", "bytes=0-1"),
        ask("a failed one too", "GET", css, 412).with("if-match", "\"a\"").with("range", "bytes=0-1"),
    ]
}

fn ranges(css: &str, served: &Served) -> Vec<Case> {
    let (plain, etag) = (&served.plain, &served.etag);
    let all = plain.len();
    let part = |name, value: &str, first: usize, end: usize| {
        ask(name, "GET", css, 206)
            .with("range", value)
            .header("content-range", format!("bytes {first}-{}/{all}", end - 1))
            .header("etag", etag)
            .header("cache-control", FOREVER)
            .body(&plain[first..end])
            .varies()
    };
    let whole = |name, value: String| {
        ask(name, "GET", css, 200).with("range", value).without("content-range").length(all).varies()
    };
    let unsatisfiable = |name, value: String| {
        ask(name, "GET", css, 416).with("range", value).header("content-range", format!("bytes */{all}")).varies()
    };
    let many = |count: usize| (0..count).map(|i| format!("{0}-{0}", 2 * i)).collect::<Vec<_>>().join(",");
    vec![
        part("the first byte", "bytes=0-0", 0, 1),
        part("some", "bytes=2-5", 2, 6),
        part("from a byte on", &format!("bytes={}-", all - 3), all - 3, all),
        part("the last ones", "bytes=-4", all - 4, all),
        part("all", "bytes=0-", 0, all),
        part("more than there are", "bytes=5-99999999", 5, all),
        part("more of the last than there are", "bytes=-99999999", 0, all),
        part("numbers past all bounds", "bytes=1-99999999999999999999999999", 1, all),
        part("the unit in any case", "Bytes=0-1", 0, 2),
        part("one that can be satisfied", &format!("bytes=0-1, {all}-"), 0, 2),
        ask("of a coded representation", "GET", css, 206)
            .with("range", "bytes=0-3")
            .with("accept-encoding", "br")
            .header("content-encoding", "br")
            .header("content-range", format!("bytes 0-3/{}", served.br_length))
            .length(4)
            .varies(),
        unsatisfiable("past the end", format!("bytes={all}-")),
        unsatisfiable("the last none", "bytes=-0".to_owned()),
        unsatisfiable("all past the end", format!("bytes={all}-,{}-{}", all + 5, all + 9)),
        whole("an unknown unit", "lines=1-2".to_owned()),
        whole("an over-long unit", format!("{}=0-1", "u".repeat(4000))),
        whole("no range", "bytes=".to_owned()),
        whole("backwards", "bytes=5-2".to_owned()),
        whole("no numbers", "bytes=a-b".to_owned()),
        whole("negative", "bytes=--1".to_owned()),
        whole("one malformed among several", "bytes=0-1,x".to_owned()),
        whole("overlapping", "bytes=0-9,5-14".to_owned()),
        whole("the same twice", "bytes=0-0,0-0".to_owned()),
        whole("too many", format!("bytes={}", many(17))),
        whole("far too many", format!("bytes={}", many(1000))),
        whole("two lines", "bytes=0-1".to_owned()).with("range", "bytes=2-3"),
        whole("coded ones in several parts", "bytes=0-1".to_owned()).with("range", "bytes=4-5"),
        ask("several", "GET", css, 206)
            .with("range", "bytes=0-1,-2")
            .without("content-range")
            .varies()
            .holds("content-range: bytes 0-1/"),
        ask("as many as may be", "GET", css, 206).with("range", format!("bytes={}", many(16))).holds("--\r\n"),
        ask("HEAD has none", "HEAD", css, 200).with("range", "bytes=0-1").without("content-range").varies(),
        part("If-Range", "bytes=0-1", 0, 2).with("if-range", etag),
        whole("If-Range weakly", "bytes=0-1".to_owned()).with("if-range", format!("W/{etag}")),
        whole("If-Range another", "bytes=0-1".to_owned()).with("if-range", "\"a\""),
        whole("If-Range a date", "bytes=0-1".to_owned()).with("if-range", "Fri, 01 Jan 2100 00:00:00 GMT"),
        whole("If-Range that of another coding", "bytes=0-1".to_owned()).with("if-range", &served.br_etag),
        whole("If-Range lets past the end pass", format!("bytes={all}-")).with("if-range", "\"a\""),
        ask("a range of nothing", "GET", "/nothing", 404).with("range", "bytes=0-1"),
        ask("a range of a redirect", "GET", "/docs", 308).with("range", "bytes=0-1"),
    ]
}

fn paths(css: &str) -> Vec<Case> {
    let redirect = |name, target: &str, to: &str| {
        ask(name, "GET", target, 308).header("location", to).header("cache-control", "no-cache")
    };
    let lost = |name, target: &str| {
        ask(name, "GET", target, 404).holds("nothing here").header("content-type", "text/html; charset=utf-8")
    };
    let long = |length: usize| format!("/{}", "x".repeat(length));
    vec![
        ask("a page", "GET", "/", 200)
            .header("content-type", "text/html; charset=utf-8")
            .header("cache-control", "no-cache"),
        ask("a clean URL", "GET", "/about", 200).holds("<title>about"),
        ask("a folder", "GET", "/docs/", 200).holds("<title>docs"),
        ask("a query", "GET", "/about?a=b&c", 200).holds("<title>about"),
        ask("a logical name", "GET", "/static/css/a.css", 200).header("cache-control", "no-cache").varies(),
        ask("a coded path", "GET", "/%61bout", 200).holds("<title>about"),
        ask("a space", "GET", "/static/img/a%20b.png", 200).body(b"no compression"),
        ask("a well-known file", "GET", "/.well-known/x.txt", 200).body(b"x"),
        redirect("a missing slash", "/docs", "/docs/"),
        redirect("with the query", "/docs?x=1&y=//z", "/docs/?x=1&y=//z"),
        redirect("a slash too many", "/about/", "/about"),
        ask("HEAD is redirected too", "HEAD", "/docs", 308).header("location", "/docs/"),
        lost("nothing", "/nothing"),
        lost("the page itself has no URL", "/404.html"),
        lost("an asset of another release", &css.replace(".css", "0.css")),
        lost("two slashes", "//about"),
        lost("two slashes and a folder", "//docs"),
        lost("another site", "//evil.example/%2e%2e"),
        lost("dots", "/../about"),
        lost("coded dots", "/%2e%2e/about"),
        lost("coded slashes", "/docs%2findex.html/x"),
        lost("backslashes", "/..%5cabout"),
        lost("a dot-file", "/.env"),
        lost("a dot-folder", "/.git/config"),
        lost("our own", "/.fingerpost/manifest.json"),
        lost("a coded dot-folder", "/%2efingerpost/manifest.json"),
        lost("a folder of assets", "/assets/css/"),
        lost("a coded percent", "/%2561bout"),
        lost("a lone percent", "/about%"),
        ask("NUL", "GET", "/%00", 400),
        ask("NUL in a name", "GET", "/about%00.html", 400),
        ask("what is not UTF-8", "GET", "/%ff%fe", 400),
        lost("a long path", &long(8000)),
        ask("a path that is too long", "GET", &long(9000), 414),
        ask("HEAD of it", "HEAD", &long(9000), 414),
        ask("a long query is the page's own affair", "GET", &format!("/about?{}", "q".repeat(9000)), 200),
    ]
}

fn over(wire: Wire) {
    let served = served(wire);
    let table = table(&served);
    assert!(table.len() > 130, "{}", table.len());
    for case in table {
        case.check(wire, &served.server.address);
    }
}

fn the_table_over_http_1() {
    over(Wire::Http1);
}

fn the_table_over_http_2_in_the_clear() {
    over(Wire::H2c);
}

fn the_table_over_http_1_and_tls() {
    over(Wire::Http1Tls);
}

fn the_table_over_http_2() {
    over(Wire::H2);
}

fn nothing_leads_to_another_site() {
    let served = served(Wire::Http1);
    for target in [
        "//evil.example",
        "//evil.example/",
        "//evil.example/docs",
        "///evil.example/",
        "/\\evil.example/",
        "/%5cevil.example/",
        "/%2fevil.example/",
        "//docs",
        "///docs",
        "/docs//",
        "//about/",
        "/./docs",
        "/docs/..//evil.example/",
        "/%09/evil.example",
        "/docs?//evil.example",
        "/docs?x=%0d%0alocation:%20//evil.example",
        "/docs%0d%0alocation:%20//evil.example",
    ] {
        let response = get(&served.server.address, target, &[]);
        for location in response.all("location") {
            let is_local = location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\");
            assert!(is_local && location.starts_with("/docs/"), "{target} leads to {location}");
        }
    }
}

/// Files that lie in the output folder but are of no build, and what links there lead to.
fn nothing_outside_is_reached() {
    let site = site();
    site.build(&[]);
    site.write("dist/.env", "SECRET=1");
    site.write("dist/.git/config", "SECRET=1");
    site.write("dist/later.txt", "SECRET=1");
    site.write("secret.txt", "SECRET=1");
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(to, site.root().join(from)).expect("a link");
    link("dist/hosts.txt", "/etc/hosts");
    link("dist/up", "..");
    let server = site.serve(&LISTEN);
    for path in [
        "/.env",
        "/.git/config",
        "/later.txt",
        "/hosts.txt",
        "/up/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/static/..%2f..%2fsecret.txt",
        "/etc/passwd",
        "/proc/self/environ",
        "/..%252fsecret.txt",
        "/secret.txt",
        "/fingerpost.toml",
        "/index.html%00.txt",
        "/%c0%ae%c0%ae/secret.txt",
    ] {
        let response = get(&server.address, path, &[]);
        assert!(matches!(response.status, 400 | 404), "{path}: {}", response.status);
        assert!(!response.text().contains("SECRET"), "{path}");
    }
}

/// A connection on which bytes are sent as they are.
struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Raw { stream, unread: Vec::new() }
    }

    /// A connection of its own, on which this was sent.
    fn asking(served: &Served, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Raw::new(&served.server.address);
        raw.send(bytes);
        raw
    }

    /// What was hung up on before it had said all is still answered, so a failure says nothing.
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// The next answer; `None` if the connection is closed instead.
    fn next(&mut self) -> Option<Response> {
        loop {
            if let Some((response, rest)) = Response::parse(&self.unread, "GET") {
                self.unread = rest.to_vec();
                return Some(response);
            }
            let mut more = [0; 16 * 1024];
            match self.stream.read(&mut more) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&more[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.unread)),
            }
        }
    }

    /// The statuses of all answers until the connection is closed.
    fn statuses(mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.next().map(|response| response.status)).collect()
    }
}

/// Sends bytes on a connection of their own, and gives the statuses of the answers until it is closed. Each has to be final.
fn statuses(served: &Served, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    Raw::asking(served, bytes).statuses()
}

/// A request for the page, after which the connection is closed.
const LAST: &str = "GET /about HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn hosts() {
    let served = served(Wire::Http1);
    for (host, status) in [
        ("", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a\r\nHost: b\r\n", 400),
        ("host: a b\r\n", 400),
        ("host: a/b\r\n", 400),
        ("host: a,b\r\n", 400),
        ("host: user@a\r\n", 400),
        ("host: <a>\r\n", 400),
        ("host: a\\b\r\n", 400),
        ("host: a?b\r\n", 400),
        ("host: a:b\r\n", 400),
        ("host: a:80:80\r\n", 400),
        ("host: :80\r\n", 400),
        ("host: [::1\r\n", 400),
        ("host: [a]\r\n", 400),
        ("host: ::1\r\n", 400),
        ("host: a]\r\n", 400),
        ("host: a{b\r\n", 400),
        ("host: %zz\r\n", 400),
        ("host: \u{fc}.example\r\n", 400),
        ("host: a\r\n", 200),
        ("host: a.example:8080\r\n", 200),
        ("host: [::1]:80\r\n", 200),
        ("host: 127.0.0.1\r\n", 200),
        ("host: [2001:db8::1]\r\n", 200),
        ("host: a%41b\r\n", 200),
        ("host: a:\r\n", 200),
        ("host:\r\n", 200),
    ] {
        // The first is answered by hyper, the second past it, if it is to be answered.
        for connection in ["connection: close\r\n", ""] {
            let request = format!("GET /about HTTP/1.1\r\n{host}{connection}\r\n");
            let got = Raw::asking(&served, request).next().map(|response| response.status);
            assert_eq!(got, Some(status), "{host:?} {connection}");
        }
    }
}

/// RFC 9113 section 8.3.1.
fn hosts_in_http_2() {
    let served = served(Wire::H2c);
    for (target, host, status) in [
        ("http://a.example/about", None, 200),
        ("http://a.example/about", Some("A.example"), 200),
        ("http://a.example/about", Some("a.example:80"), 200),
        ("https://a.example:443/about", Some("a.example"), 200),
        ("http://[::1]:8080/about", Some("[::1]:8080"), 200),
        ("/about", Some("a.example"), 200),
        ("http://a.example/about", Some("b.example"), 400),
        ("http://a.example/about", Some("a.example:8080"), 400),
        ("http://a.example/about", Some(""), 400),
        ("http://user@a.example/about", None, 400),
        ("http://user:secret@a.example/about", Some("a.example"), 400),
        ("http://a:b/about", None, 400),
        ("/about", Some("a:b"), 400),
        ("/about", Some(""), 400),
        ("/about", None, 400),
    ] {
        assert_eq!(over_http_2(&served.server.address, target, host), status, "{target} {host:?}");
    }
}

/// The status of the answer to a request whose `:authority` is what its target has of it.
fn over_http_2(address: &str, target: &str, host: Option<&str>) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        // h2 takes it for one that was translated, and lets it have no authority.
        let mut request = http::Request::get(target).version(http::Version::HTTP_11);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(()).expect("a request");
        std::future::poll_fn(|cx| client.poll_ready(cx)).await.expect("room for a stream");
        let (answer, _) = client.send_request(request, true).expect("a stream");
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("in time");
        answer.unwrap_or_else(|error| panic!("{target} {host:?}: {error}")).status().as_u16()
    })
}

fn targets() {
    let served = served(Wire::Http1);
    let asking = |line: &str| format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    for (line, status) in [
        ("GET http://a/about", 200),
        ("GET http://a.example:99/about?x", 200),
        ("GET https://a/about", 200),
        ("GET http://user@a/about", 400),
        ("GET http://a:b/about", 400),
        ("GET HTTP://a/about", 200),
        ("GET http://a", 200),
        ("GET http://a//about", 404),
        ("OPTIONS *", 204),
        ("OPTIONS http://a", 204),
        ("GET *", 400),
        ("GET about", 400),
        ("CONNECT a.example:443", 405),
        ("GET /about#fragment", 200),
        ("GET /a<b>", 400),
    ] {
        assert_eq!(statuses(&served, asking(line)), [status], "{line}");
    }
    for line in ["GET ", "GET /a b", " GET /", "GET  /", "G\u{1}T /", "GET /\u{1}", "GET /\0", "GET"] {
        assert_eq!(statuses(&served, asking(line)), [400], "{line:?}");
    }
    // RFC 9112 section 3, whatever of the target it is that is so long.
    for length in [9_000, 31_000, 32_700, 33_000, 60_000, 500_000] {
        let got = statuses(&served, asking(&format!("GET /{}", "x".repeat(length))));
        assert_eq!(got, [414], "{length}");
    }
    for start in ["/about?", "/about#", "http://a/about?"] {
        for length in [33_000, 500_000] {
            let got = statuses(&served, format!("{}{LAST}", asking(&format!("GET {start}{}", "x".repeat(length)))));
            assert_eq!(got, [414], "{start} and {length} more");
        }
    }
}

fn heads_that_are_malformed() {
    let served = served(Wire::Http1);
    let with = |lines: &str| format!("GET /about HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    for (lines, status) in [
        ("x: a\r\n b\r\n", 400),
        ("x: a\r\n\tb\r\n", 400),
        ("x : a\r\n", 400),
        (" x: a\r\n", 400),
        ("x\r\n", 400),
        (": a\r\n", 400),
        ("x y: a\r\n", 400),
        ("x: a\0b\r\n", 400),
        ("x: a\rb\r\n", 400),
        ("x(y): a\r\n", 400),
        ("x: \u{fc}\r\n", 200),
        ("x:\r\n", 200),
        ("x:a\r\n", 200),
        ("x: \t a \t \r\n", 200),
    ] {
        assert_eq!(statuses(&served, with(lines)), [status], "{lines:?}");
    }
    for line in [
        "GET /about HTTP/1.2\r\n",
        "GET /about HTTP/3.0\r\n",
        "GET /about HTTP/2.0\r\n",
        "GET /about http/1.1\r\n",
        "GET /about\r\n",
    ] {
        let got = statuses(&served, format!("{line}host: a\r\n\r\n"));
        assert!(matches!(got[..], [400 | 505] | []), "{line:?}: {got:?}");
    }
    assert_eq!(statuses(&served, with(&format!("x: {}\r\n", "y".repeat(40_000)))), [431], "a large header");
    assert_eq!(statuses(&served, with(&"x: y\r\n".repeat(5_000))), [431], "many headers");
    assert_eq!(
        statuses(&served, with(&format!("cookie: {}\r\n", "y".repeat(8_000)))),
        [200],
        "one that is not too large"
    );
    // RFC 9112 section 2.2 lets a recipient take a lone LF for the end of a line, and who stands before or behind it may not.
    for lines in ["GET /about HTTP/1.1\nhost: a\nconnection: close\n\n", "GET /about HTTP/1.1\nhost: a\n\n"] {
        assert_eq!(statuses(&served, lines), [400]);
    }
    // Empty lines before a request are nothing.
    assert_eq!(statuses(&served, format!("\r\n\r\n{LAST}")), [200]);
}

fn framing_that_smuggles() {
    let served = served(Wire::Http1);
    let hidden = "GET /docs/ HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = |lines: &str, body: &str| format!("POST /about HTTP/1.1\r\nhost: a\r\n{lines}\r\n{body}");
    // RFC 9112 section 6.3: an unrecoverable error, after which nothing on the connection is a request.
    for lines in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: 4, 5\r\n",
        "content-length: +4\r\n",
        "content-length: -4\r\n",
        "content-length: 4x\r\n",
        "content-length: 0x4\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length: \r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: \r\n",
    ] {
        let got = statuses(&served, post(lines, hidden));
        assert!(matches!(got[..], [400 | 501] | []), "{lines:?}: {got:?}");
    }
    // Both lengths: the server may reject it, or go by the chunks and then close (section 6.1).
    let got =
        statuses(&served, post("content-length: 6\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}")));
    assert!(matches!(got[..], [400] | [405]), "both lengths: {got:?}");
    // Chunks that are none: nothing after them is a request.
    for body in [
        "x\r\n",
        "-1\r\n",
        "1;\r\nabc\r\n",
        "4\r\nabcdefg\r\n",
        "ffffffffffffffffff\r\n",
        "1\r\na\r\n1\r\nb",
        " 1\r\na\r\n0\r\n\r\n",
    ] {
        let got = statuses(&served, post("transfer-encoding: chunked\r\n", &format!("{body}{hidden}")));
        assert!(matches!(got[..], [405] | [400] | []), "{body:?}: {got:?}");
    }
}

/// None of a body is ever taken for a request.
fn bodies_that_nobody_asked_for() {
    let served = served(Wire::Http1);
    let inner = "GET /docs/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let sized = format!("POST /about HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{inner}", inner.len());
    let chunked = format!(
        "POST /about HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
        inner.len()
    );
    let got = format!("GET /about HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{inner}", inner.len());
    for (what, request, status) in [("sized", sized, 405), ("chunked", chunked, 405), ("of a GET", got, 200)] {
        let mut raw = Raw::new(&served.server.address);
        raw.send(&request);
        raw.send(LAST);
        let first = raw.next().expect("an answer");
        assert_eq!(first.status, status, "{what}");
        // Either the connection is closed, or the next answer is that to the next request.
        if let Some(next) = raw.next() {
            assert!(next.status == 200 && next.text().contains("<title>about"), "{what}: {next:?}");
            assert!(raw.next().is_none(), "{what}");
        }
    }
    // 10 MB that nobody reads: it is answered, and does not go on for ever.
    let large = format!("POST /about HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 10 << 20);
    let mut raw = Raw::new(&served.server.address);
    raw.send(&large);
    assert_eq!(raw.next().map(|response| response.status), Some(405), "before the body has come");
    let piece = vec![b'x'; 64 * 1024];
    let sent = (0..160).take_while(|_| raw.stream.write_all(&piece).is_ok()).count();
    raw.send(LAST);
    let next = raw.next();
    assert!(
        sent < 160 || next.is_none_or(|response| response.text().contains("<title>about")),
        "drained, or hung up on"
    );
    // RFC 9110 section 10.1.1: who waits for leave to send gets an answer without sending.
    for method in ["POST", "GET"] {
        let mut raw = Raw::new(&served.server.address);
        raw.send(format!("{method} /about HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"));
        let first = raw.next().expect("an answer");
        let status = if first.status == 100 { raw.next().expect("a final answer").status } else { first.status };
        assert_eq!(status, if method == "POST" { 405 } else { 200 });
    }
}

fn connections_that_go_on() {
    let served = served(Wire::Http1);
    let mut raw = Raw::new(&served.server.address);
    for (line, headers, status) in [
        ("GET /about", "", 200),
        ("GET /nothing", "", 404),
        ("GET /docs", "", 308),
        ("OPTIONS /", "", 204),
        ("GET /about", "if-none-match: *\r\n", 304),
        ("GET /about", "range: bytes=0-3\r\n", 206),
        ("GET /about", "range: bytes=99999-\r\n", 416),
        ("DELETE /about", "", 405),
        ("GET /about", "", 200),
    ] {
        raw.send(format!("{line} HTTP/1.1\r\nhost: a\r\n{headers}\r\n"));
        assert_eq!(raw.next().map(|response| response.status), Some(status), "{line} {headers}");
    }
    // Pipelined, and one of them without a body to tell where it ends.
    let pipelined = "GET /about HTTP/1.1\r\nhost: a\r\n\r\nGET /about HTTP/1.1\r\nhost: a\r\nif-none-match: *\r\n\r\nGET /nothing HTTP/1.1\r\nhost: a\r\n\r\n";
    raw.send(format!("{pipelined}{LAST}"));
    let response = raw.next().expect("an answer");
    assert!(response.text().contains("<title>about"));
    assert_eq!(raw.statuses(), [304, 404, 200]);
    // A head that comes byte by byte.
    let mut raw = Raw::new(&served.server.address);
    raw.stream.set_nodelay(true).expect("no delay");
    for byte in LAST.as_bytes() {
        raw.send([*byte]);
    }
    assert_eq!(raw.statuses(), [200]);
}

fn http_1_0() {
    let served = served(Wire::Http1);
    assert_eq!(statuses(&served, "GET /about HTTP/1.0\r\n\r\n"), [200], "without a host, and closed after");
    assert_eq!(statuses(&served, "GET /about HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"), [400]);
    let mut raw = Raw::new(&served.server.address);
    raw.send("GET /about HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    let first = raw.next().expect("an answer");
    assert_eq!(first.header("transfer-encoding"), None, "RFC 9112 section 6.1");
    raw.send("GET /docs HTTP/1.0\r\n\r\n");
    assert_eq!(raw.statuses(), [308]);
    let got = statuses(
        &served,
        "POST /about HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /docs/ HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert!(matches!(got[..], [400] | [405]), "chunks are none of HTTP/1.0's: {got:?}");
}

/// A second opinion on what has just been tested by a client of our own.
fn curl_sees_the_same() {
    let served = served(Wire::Http1);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for (arguments, path, want) in [
            (&["--compressed"][..], served.css.as_str(), "200"),
            (&["--range", "0-9"], &served.css, "206"),
            (&["--range", "0-1,4-5"], &served.css, "206"),
            (&["--head"], &served.css, "200"),
            (&["--header", "accept-encoding: *;q=0"], &served.css, "406"),
            (&[], "/docs", "308"),
            (&["--data", "a=b"], "/about", "405"),
            (&["--path-as-is"], "/../about", "404"),
        ] {
            // curl before 8.3 takes the RST_STREAM that lets it off sending the rest (RFC 9113 section 8.1) for a failure, if it has not
            // read the answer by then.
            if arguments.contains(&"--data") && version != "--http1.1" {
                continue;
            }
            let url = format!("http://{}{path}", served.server.address);
            let out = std::process::Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--max-time",
                    "20",
                    "--output",
                    "/dev/null",
                    "--write-out",
                    "%{http_code}",
                    version,
                ])
                .args(arguments)
                .arg(url)
                .output()
                .expect("curl runs");
            let told = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{version} {arguments:?} {path}: {told}");
            assert_eq!(String::from_utf8_lossy(&out.stdout), want, "{version} {arguments:?} {path}");
        }
    }
}

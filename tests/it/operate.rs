//! Operating a server: the admin listener, the access log, timings, traces, and settings that can't work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::http::{get, request};
use crate::site::{Run, Server, Site, long_stylesheet};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        the_admin_listener_tells_how_the_server_is,
        a_reload_can_be_asked_for_over_http,
        answers_are_counted,
        what_is_refused_before_it_is_a_request_is_counted_and_logged,
        what_http_2_refuses_is_counted_and_logged,
        the_log_has_a_line_for_each_answer,
        the_log_is_opened_anew_for_logrotate,
        the_log_as_json_with_what_the_file_says,
        the_log_on_stdout,
        the_log_tells_what_was_really_sent,
        the_log_names_the_client_behind_a_proxy,
        answers_say_how_they_came_about,
        traces_are_for_who_asks,
        settings_that_can_not_work,
    ]
}

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn site() -> Site {
    let site = Site::new()
        .asset("css/a.css", long_stylesheet())
        .template("index.html", "<!doctype html><title>home</title>{{ asset_tags('css/a.css') }}")
        .template("about.html", "<!doctype html><title>about</title>");
    site.build(&[]);
    site
}

fn serve(site: &Site, arguments: &[&str]) -> Server {
    site.serve(&[&LISTEN[..], arguments].concat())
}

fn json(address: &str, path: &str) -> (u16, Value) {
    let response = get(address, path, &[]);
    (response.status, serde_json::from_str(&response.text()).expect("JSON"))
}

fn release(site: &Site) -> String {
    let text = std::fs::read_to_string(site.root().join("dist/.fingerpost/manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    manifest["release"].as_str().expect("a release").to_owned()
}

/// The value of a metric, by its name with its labels.
fn metric(server: &Server, name: &str) -> Option<f64> {
    let text = get(&server.admin, "/metrics", &[]).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn assert_metric(server: &Server, name: &str, want: f64) {
    let late = Instant::now() + Duration::from_secs(10);
    // An answer is counted when its connection is done with it, which may be after the client is.
    while metric(server, name) != Some(want) {
        assert!(Instant::now() < late, "{name} is {:?}, not {want}", metric(server, name));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn the_admin_listener_tells_how_the_server_is() {
    let site = site();
    let server = serve(&site, &["--admin", "0"]);
    assert!(server.admin.starts_with("127.0.0.1:"), "{}", server.admin);
    assert_eq!(get(&server.admin, "/healthz", &[]).text(), "ok\n");
    let (status, ready) = json(&server.admin, "/readyz");
    assert_eq!((status, &ready["status"], &ready["release"]), (200, &"ready".into(), &release(&site).into()));
    let (_, live) = json(&server.admin, "/release");
    assert_eq!((&live["release"], &live["environment"]), (&release(&site).into(), &"development".into()));
    assert!(live["memory_bytes"].as_u64() > Some(1000), "{live}");
    assert_eq!(get(&server.address, "/metrics", &[]).status, 404, "not for the public");
    let plain = serve(&site, &[]);
    assert_eq!(plain.admin, "", "off by default");
}

fn a_reload_can_be_asked_for_over_http() {
    let site = site();
    let server = serve(&site, &["--admin", "0"]);
    let reload = || {
        let response = request(&server.admin, "POST", "/reload", &[("content-length", "0")]);
        (response.status, serde_json::from_str::<Value>(&response.text()).expect("JSON"))
    };
    site.write("templates/about.html", "<!doctype html><title>changed</title>");
    site.build(&[]);
    let (status, answer) = reload();
    assert_eq!((status, &answer["release"]), (200, &release(&site).into()));
    assert!(get(&server.address, "/about", &[]).text().contains("changed"), "it is served when the answer comes");
    let live = release(&site);
    site.write("dist/about.html", "not what was built");
    let (status, answer) = reload();
    assert_eq!(status, 500);
    assert!(answer["error"].as_str().is_some_and(|text| text.contains("is not what it says")), "{answer}");
    assert_eq!(answer["help"], "run `fingerpost build`");
    server.wait_for("error:");
    assert_eq!(json(&server.admin, "/readyz").1["release"], live.as_str());
    assert_metric(&server, "fingerpost_reloads_total{result=\"ok\"}", 1.0);
    assert_metric(&server, "fingerpost_reloads_total{result=\"failed\"}", 1.0);
    let from_a_page = [("content-length", "0"), ("origin", "http://evil.example")];
    assert_eq!(request(&server.admin, "POST", "/reload", &from_a_page).status, 403);
}

fn answers_are_counted() {
    let site = site();
    let server = serve(&site, &["--admin", "0"]);
    let css = format!("/{}", css(&site));
    let whole = get(&server.address, &css, &[("accept-encoding", "br")]);
    let etag = whole.header("etag").expect("an etag");
    get(&server.address, &css, &[("accept-encoding", "br"), ("if-none-match", etag)]);
    get(&server.address, "/about", &[]);
    get(&server.address, "/nothing", &[]);
    request(&server.address, "HEAD", &css, &[]);
    for (name, want) in [
        ("requests_total{class=\"2xx\",kind=\"asset\"}", 2.0),
        ("requests_total{class=\"3xx\",kind=\"asset\"}", 1.0),
        ("requests_total{class=\"2xx\",kind=\"document\"}", 1.0),
        ("requests_total{class=\"4xx\",kind=\"error\"}", 1.0),
        ("encodings_total{encoding=\"br\"}", 1.0),
        ("not_modified_total", 1.0),
        ("request_duration_seconds_count", 5.0),
        ("connections_accepted_total", 5.0),
        ("connections_open", 0.0),
        ("ready", 1.0),
    ] {
        assert_metric(&server, &format!("fingerpost_{name}"), want);
    }
    let bytes = metric(&server, "fingerpost_response_bytes_total").expect("a count");
    assert!(bytes > whole.body.len() as f64 && bytes < whole.body.len() as f64 + 1000.0, "{bytes}");
}

/// What comes back for these bytes, until the server closes.
fn exchange(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(&server.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(bytes).expect("a request");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Of each line of a log in JSON: status, protocol, method.
fn logged(server: &mut Server, log: &Path) -> Vec<(u64, String, Value)> {
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let lines = read(log);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut seen: Vec<_> = lines
        .map(|line| {
            assert_eq!(line["client"], "127.0.0.1", "{line}");
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (line["status"].as_u64().expect("a status"), text("version"), line["method"].clone())
        })
        .collect();
    seen.sort_by_key(|(status, ..)| *status);
    seen
}

const JSON_LOG: &str = "[serve]\nheader_timeout = 1\naccess_log = { path = \"a.log\", format = \"json\" }\n";

fn what_is_refused_before_it_is_a_request_is_counted_and_logged() {
    let site = site().config(JSON_LOG);
    let mut server = serve(&site, &["--admin", "0"]);
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let long = format!("GET /?{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(40_000));
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\nno request\r\n\r\n", "HTTP/1.1 400"),
        (large.as_str(), "HTTP/1.1 431"),
        (long.as_str(), "HTTP/1.1 414"),
        ("GET / HTTP/1.1\r\nhost", ""),
        ("", ""),
    ] {
        let answer = String::from_utf8_lossy(&exchange(&server, bytes.as_bytes())).into_owned();
        assert!(answer.contains(status), "{bytes:.40}: {answer}");
    }
    assert_metric(&server, "fingerpost_requests_total{class=\"4xx\",kind=\"error\"}", 4.0);
    assert_metric(&server, "fingerpost_request_duration_seconds_count", 5.0);
    let logged = logged(&mut server, &site.root().join("a.log"));
    let version = || "HTTP/1.1".to_owned();
    assert_eq!(
        logged,
        [
            (200, version(), "GET".into()),
            (400, version(), Value::Null),
            (408, version(), Value::Null),
            (414, version(), Value::Null),
            (431, version(), Value::Null)
        ]
    );
}

/// RFC 9113 sections 4.1 and 6.2, RFC 7541 appendix A; `flags` 5 ends the fields and the stream, 4 the fields alone.
fn fields(stream: u8, flags: u8, fields: &[u8]) -> Vec<u8> {
    let [_, _, b, c] = (fields.len() as u32).to_be_bytes();
    [&[0, b, c, 1, flags, 0, 0, 0, stream], fields].concat()
}

fn what_http_2_refuses_is_counted_and_logged() {
    const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
    let site = site().config(JSON_LOG);
    let mut server = serve(&site, &["--admin", "0"]);
    // A field of 40,000 bytes, in three frames.
    let large = [GET, b"\x00\x01x\x7f\xc1\xb7\x02", &[b'y'; 40_000]].concat();
    let (first, rest) = large.split_at(16_000);
    let [second, third] = [&rest[..16_000], &rest[16_000..]].map(|part| {
        let mut frame = fields(3, 0, part);
        frame[3] = 9;
        frame
    });
    let third = {
        let mut third = third;
        third[4] = 4;
        third
    };
    let streams = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        fields(1, 5, GET),
        fields(3, 1, first),
        second,
        third,
        // A field of a connection.
        fields(5, 5, &[GET, b"\x00\x0aconnection\x01x"].concat()),
        fields(7, 5, GET),
    ];
    let (documents, errors) = (
        "fingerpost_requests_total{class=\"2xx\",kind=\"document\"}",
        "fingerpost_requests_total{class=\"4xx\",kind=\"error\"}",
    );
    let mut client = TcpStream::connect(&server.address).expect("a connection");
    client.write_all(&streams.concat()).expect("requests");
    assert_metric(&server, documents, 2.0);
    assert_metric(&server, errors, 2.0);
    // No stream has an even number. That is the end of the connection.
    client.write_all(&fields(8, 5, GET)).expect("a request");
    assert_metric(&server, errors, 3.0);
    assert_metric(&server, documents, 2.0);
    drop(client);
    let logged = logged(&mut server, &site.root().join("a.log"));
    let line = |status, method: Option<&str>| (status, "HTTP/2.0".to_owned(), Value::from(method));
    assert_eq!(
        logged,
        [line(200, Some("GET")), line(200, Some("GET")), line(400, None), line(400, None), line(431, None)]
    );
}

fn css(site: &Site) -> String {
    let text = std::fs::read_to_string(site.root().join("dist/.fingerpost/manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    manifest["entries"]["css/a.css"]["file"].as_str().expect("a file").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a log")
}

fn the_log_has_a_line_for_each_answer() {
    let site = site();
    let mut server = serve(&site, &["--access-log", "access.log"]);
    let length =
        get(&server.address, "/about?x=1", &[("user-agent", "a \"b\" \\"), ("referer", "http://r/")]).body.len();
    get(&server.address, "/nothing", &[]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let text = read(&site.root().join("access.log"));
    let lines: Vec<&str> = text.lines().collect();
    let [first, second] = lines[..] else { panic!("{text}") };
    let (client, rest) = first.split_once(" - - [").expect("a date");
    let (date, rest) = rest.split_once("] ").expect("a date");
    assert_eq!(client, "127.0.0.1");
    assert!(date.len() == "01/Jan/2026:00:00:00 +0000".len() && date.ends_with(" +0000"), "{date}");
    assert_eq!(rest, format!(r#""GET /about?x=1 HTTP/1.1" 200 {length} "http://r/" "a \"b\" \\""#));
    assert!(second.contains("\"GET /nothing HTTP/1.1\" 404 "), "{second}");
}

fn the_log_is_opened_anew_for_logrotate() {
    let site = site();
    let mut server = serve(&site, &["--access-log", "access.log"]);
    let (path, old) = (site.root().join("access.log"), site.root().join("access.log.1"));
    get(&server.address, "/about", &[]);
    std::fs::rename(&path, &old).expect("renamed");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let late = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < late);
        std::thread::sleep(Duration::from_millis(20));
    }
    get(&server.address, "/", &[]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    assert_eq!((read(&old).lines().count(), read(&path).lines().count()), (1, 1));
}

fn the_log_as_json_with_what_the_file_says() {
    let site = site().config(
        "[serve]\nserver_timing = true\naccess_log = { path = \"logs/access.json\", format = \"json\", sample = 0.5 }\n",
    );
    std::fs::create_dir(site.root().join("logs")).expect("a folder");
    let mut server = serve(&site, &[]);
    for _ in 0..200 {
        assert!(get(&server.address, "/about", &[("accept-encoding", "gzip")]).header("server-timing").is_some());
    }
    server.signal(Signal::TERM);
    server.wait();
    let text = read(&site.root().join("logs/access.json"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!((50..150).contains(&lines.len()), "half of 200, not {}", lines.len());
    let line = &lines[0];
    for (key, want) in [("client", "127.0.0.1"), ("target", "/about"), ("kind", "document"), ("scheme", "http")] {
        assert_eq!(line[key], want, "{line}");
    }
    assert_eq!((&line["status"], &line["release"]), (&200.into(), &release(&site).into()));
    assert!(line["seconds"].as_f64() < Some(10.0) && line["bytes"].as_u64() > Some(0), "{line}");
}

fn the_log_on_stdout() {
    let site = site();
    let server = serve(&site, &["--access-log", "-"]);
    get(&server.address, "/about", &[]);
    server.signal(Signal::TERM);
    let text = server.stdout();
    assert!(text.contains("\"GET /about HTTP/1.1\" 200 ") && text.lines().count() == 1, "{text}");
}

/// Of a file that the system sends by itself, too.
fn the_log_tells_what_was_really_sent() {
    let length = 64 << 20;
    let site = Site::new()
        .config("[serve]\ncompress = false\naccess_log = { path = \"a.log\", format = \"json\" }\n")
        .asset("public/large.bin", vec![b'x'; length])
        .template("index.html", "<!doctype html><title>home</title>");
    site.build(&["--no-compress"]);
    let mut server = serve(&site, &["--memory", "0"]);
    assert_eq!(get(&server.address, "/large.bin", &[]).body.len(), length);
    assert_eq!(get(&server.address, "/large.bin", &[("range", "bytes=1-1000000")]).body.len(), 1_000_000);
    let mut impatient = TcpStream::connect(&server.address).expect("a connection");
    impatient.write_all(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n").expect("a request");
    impatient.read_exact(&mut vec![0; 1000]).expect("a beginning");
    drop(impatient);
    std::thread::sleep(Duration::from_millis(300));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let text = read(&site.root().join("a.log"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sent: Vec<u64> = lines.iter().filter_map(|line| line["bytes"].as_u64()).collect();
    let [whole, part, given_up] = sent[..] else { panic!("{text}") };
    assert_eq!((whole, part), (length as u64, 1_000_000));
    assert!((1000..length as u64 / 2).contains(&given_up), "{given_up}");
}

fn the_log_names_the_client_behind_a_proxy() {
    let site = site()
        .config("[serve]\ntrusted_proxies = [\"127.0.0.1\"]\naccess_log = { path = \"a.log\", format = \"json\" }\n");
    let mut server = serve(&site, &[]);
    let forwarded = [("x-forwarded-for", "203.0.113.9, 192.0.2.7"), ("x-forwarded-proto", "https")];
    get(&server.address, "/about", &forwarded);
    server.signal(Signal::TERM);
    server.wait();
    let line: Value = serde_json::from_str(&read(&site.root().join("a.log"))).expect("JSON");
    assert_eq!((&line["client"], &line["scheme"]), (&"192.0.2.7".into(), &"https".into()), "{line}");
}

fn answers_say_how_they_came_about() {
    let site = site();
    let server = serve(&site, &["--server-timing"]);
    let response = get(&server.address, &format!("/{}", css(&site)), &[("accept-encoding", "br")]);
    let timing = response.header("server-timing").expect("a timing");
    let (lookup, rest) = timing.split_once(", ").expect("several");
    assert!(lookup.starts_with("lookup;dur="), "{timing}");
    assert_eq!(rest, format!("encoding;desc=\"br\", release;desc=\"{}\"", release(&site)));
    assert_eq!(get(&serve(&site, &[]).address, "/", &[]).header("server-timing"), None, "off by default");
}

fn traces_are_for_who_asks() {
    let site = site();
    let server = serve(&site, &["--log", "fingerpost=info", "--admin", "0"]);
    server.signal(Signal::HUP);
    let line = server.wait_for("loaded");
    assert!(line.contains("INFO") && line.contains("urls="), "{line}");
    server.wait_for("reloaded release=");
    let document = site.serve(&["--json", "serve", "--listen", "127.0.0.1:0", "--log", "info"]);
    document.signal(Signal::TERM);
    let line: Value = serde_json::from_str(&document.wait_for("\"stopping\"")).expect("JSON");
    assert_eq!((&line["level"], &line["fields"]["message"]), (&"INFO".into(), &"stopping".into()));
}

/// What is said of settings that can't work, with the root's path and the system's ports taken out.
fn refused(site: &Site, arguments: &[&str]) -> String {
    let Run { code, stderr, stdout } = site.run(&[&LISTEN[..], arguments].concat());
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let root = site.root().canonicalize().expect("a root");
    stderr.replace(&*root.to_string_lossy(), "ROOT")
}

fn settings_that_can_not_work() {
    let site = site();
    let told = refused(&site, &["--access-log", "no/such/folder/a.log"]);
    for want in
        ["could not write the access log `ROOT/no/such/folder/a.log`: No such", "help: name a file that the current"]
    {
        assert!(told.contains(want), "{told}");
    }
    let told = refused(&site, &["--access-log", "dist"]);
    assert!(told.contains("could not write the access log `ROOT/dist`: Is a directory"), "{told}");

    let taken = serve(&site, &["--admin", "0"]);
    let told = refused(&site, &["--admin", &taken.admin]).replace(&taken.admin, "ADDRESS");
    for want in
        ["could not listen on `ADDRESS` for `--admin`: Address already in use", "help: pass an address that is free"]
    {
        assert!(told.contains(want), "{told}");
    }
    let told = refused(&site, &["--admin", "nonsense"]);
    assert!(told.contains("could not listen on `nonsense` for `--admin`"), "{told}");

    let told = refused(&site, &["--log", "fingerpost=loud"]);
    assert!(told.contains("`fingerpost=loud` is no filter for traces") && told.contains("help:"), "{told}");

    let told = refused(&site, &["--env", "developmnt"]);
    insta::assert_snapshot!(told, @r"
    error: x there is no environment `developmnt`
      help: did you mean `development`?
    ");

    for (listen, help) in [
        ("nonsense", "write it as `HOST:PORT`"),
        ("127.0.0.1:99999", "write it as `HOST:PORT`"),
        ("192.0.2.1:8080", "no network interface of this machine has that address"),
        ("no-such-host.invalid:8080", "that name could not be looked up"),
    ] {
        let run = site.run(&["serve", "--listen", listen]);
        assert_eq!(run.code, Some(2), "{listen}: {}", run.stderr);
        let told = run.stderr.contains(&format!("could not listen on `{listen}`"));
        assert!(told && run.stderr.contains(help), "{}", run.stderr);
    }

    for (config, want) in [
        ("access_log = { path = \"a.log\", sample = 2.0 }", "`sample = 2` is no part of requests"),
        ("access_log = { path = \"\" }", "`access_log` has an empty `path`"),
        ("access_log = { path = \"a.log\", format = \"xml\" }", "unknown variant `xml`"),
        ("acces_log = { path = \"a.log\" }", "unknown key `acces_log`"),
    ] {
        let site = Site::new().config(&format!("[serve]\n{config}\n"));
        let told = refused(&site, &[]);
        assert!(told.contains(want), "{told}");
    }
}

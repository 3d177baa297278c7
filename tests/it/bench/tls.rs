//! Servers of the user's that speak TLS, by name: load goes to them as visits do, and only to them.

use fingerpost::bench::report::{From, VisitKind};
use libtest_mimic::Trial;

use super::{alone, alone_with, of, report};
use crate::setup::Need;
use crate::site::{Run, Server, Site};
use crate::transport::certificate;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![load_goes_over_tls_to_the_named_host_alone, a_certificate_that_is_not_trusted_is_told];
    trials.extend(trials![[Need::Browser]; the_browser_trusts_whom_the_load_trusts]);
    trials
}

const QUICK: [&str; 7] = ["bench", "--quick", "--rounds", "1", "--seconds", "0.1", "--json"];

/// A site behind TLS with a certificate of its own for `localhost`, and its port.
fn secured() -> (Site, Server, String) {
    let site = Site::new()
        .template(
            "index.html",
            "<!doctype html><link rel=stylesheet href=/assets/a.css><script src=https://127.0.0.1:9/assets/x.js></script><p>x",
        )
        .asset("a.css", "p { color: red }");
    certificate(&site, "tls");
    site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", "tls.pem", "--tls-key", "tls.key"]);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    (site, server, port)
}

fn load_goes_over_tls_to_the_named_host_alone() {
    let (site, _server, port) = secured();
    let mine = format!("mine=https://localhost:{port}");
    let trusted = site.root().join("tls.pem");
    let trusted = [("SSL_CERT_FILE", trusted.to_str().expect("a path"))];
    let run = alone_with(&site, &[&QUICK[..], &["--strategy", &mine]].concat(), &trusted);
    let report = report(&run);
    let measured = of(&report, "mine");
    assert!(measured.missing.is_none(), "{:?}", measured.missing);
    let [sample] = &measured.servers[..] else { panic!("{measured:?}") };
    assert!(sample.saturated.requests > 20 && sample.paced.load.requests > 0, "{sample:?}");
    assert_eq!((sample.saturated.errors, sample.paced.load.errors, sample.paced.unsent), (0, 0, 0), "{sample:?}");
    assert_eq!((sample.saturated.server_cpu_us, sample.memory), (0, 0), "nobody knows what it takes");
    let [page, sheet] = &report.site.requests[..] else { panic!("{:?}", report.site.requests) };
    assert!(page == "/" && sheet.starts_with("/assets/a-"), "{:?}", report.site.requests);
    let left_out = report.warnings.iter().find(|warning| warning.contains("https://127.0.0.1:9/assets/x.js"));
    assert!(left_out.is_some_and(|warning| warning.contains("is no part of the load")), "{:?}", report.warnings);
}

fn a_certificate_that_is_not_trusted_is_told() {
    let (site, _server, port) = secured();
    let tried = |url: String, trusted: bool| {
        let (mine, file) = (format!("mine={url}"), site.root().join("tls.pem"));
        let variables = [("SSL_CERT_FILE", file.to_str().expect("a path"))];
        let arguments = [&QUICK[..], &["--strategy", &mine]].concat();
        let run: Run = if trusted { alone_with(&site, &arguments, &variables) } else { alone(&site, &arguments) };
        let report = report(&run);
        assert!(of(&report, "mine").servers.is_empty());
        of(&report, "mine").missing.clone().expect("it is not measured")
    };
    let unknown = tried(format!("https://localhost:{port}"), false);
    assert!(unknown.reason.starts_with(&format!("`https://localhost:{port}`")), "{unknown:?}");
    assert!(unknown.reason.contains("UnknownIssuer") && unknown.remedy.contains("`SSL_CERT_FILE`"), "{unknown:?}");
    let other = tried(format!("https://127.0.0.1:{port}"), true);
    assert!(other.reason.contains("not valid for name") && other.remedy.contains("a name that its"), "{other:?}");
    let plain = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let plain = tried(format!("https://{}", plain.address), true);
    assert!(plain.remedy.contains("does not speak TLS"), "{plain:?}");
}

fn the_browser_trusts_whom_the_load_trusts() {
    let (site, _server, port) = secured();
    let mine = format!("mine=https://localhost:{port}");
    let mut command = site.command(&[&QUICK[..], &["--strategy", &mine]].concat());
    let out = command.env("SSL_CERT_FILE", site.root().join("tls.pem")).output().expect("it runs");
    let report = report(&Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    });
    let measured = of(&report, "mine");
    assert!(measured.missing.is_none(), "{:?} {:?}", measured.missing, report.warnings);
    assert_eq!(measured.servers.len(), 1);
    let first = measured.visits.iter().find(|visit| visit.kind == VisitKind::First).expect("a visit");
    let sheet = first.fetches.iter().find(|fetch| fetch.kind == "stylesheet").expect("a stylesheet");
    assert_eq!((sheet.status, sheet.from), (200, From::Network), "{first:?}");
    // Where certificates are only let pass, nothing is cached.
    let again = measured.visits.iter().find(|visit| visit.kind == VisitKind::Repeat).expect("a visit");
    let sheet = again.fetches.iter().find(|fetch| fetch.kind == "stylesheet").expect("a stylesheet");
    assert_eq!(sheet.from, From::Cache, "{again:?}");
}

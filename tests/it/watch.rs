//! `dev` and `watch` as programs: whatever happens in the file system, what is served is what a build of it would make.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::http::{get, with_host};
use crate::setup::Need;
use crate::site::{Server, Site, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![[Need::UserNamespaces]; where_the_system_watches_no_more_it_is_polled];
    trials.extend(trials![[Need::Curl]; it_speaks_tls_with_a_certificate_of_its_own]);
    trials.extend(trials![
        editors_that_write_by_rename,
        a_file_that_is_half_written_is_waited_for,
        a_checkout_of_a_thousand_files_is_a_build_or_two,
        folders_come_and_go,
        the_assets_folder_itself_comes_again,
        names_change_only_in_case,
        packages_that_are_links_are_watched,
        packages_appear_after_they_are_installed,
        changes_during_a_build_make_one_more,
        settings_and_variables_are_read_again,
        a_configuration_that_is_wrong_keeps_what_is_served,
        a_partial_rebuilds_its_pages_alone,
        polling_hears_of_everything_too,
        the_production_build_is_not_touched,
        watch_writes_the_output_folder,
        a_port_that_is_taken,
        foreign_hosts_and_pages_are_refused,
        a_development_build_is_not_published
    ]);
    trials
}

const DEV: [&str; 3] = ["dev", "--listen", "127.0.0.1:0"];

fn site() -> Site {
    Site::new()
        .asset("css/a.css", "a { color: red }\n")
        .asset("js/app.js", "import './part.js';\nconsole.log(import.meta.env.PUBLIC_WORD);\n")
        .asset("js/part.js", "console.log('part');\n")
        .template("_part.html", "part one")
        .template("index.html", "<!doctype html>{% include '_part.html' %}{{ asset_tags('css/a.css') }}<script type=module src=/static/js/app.js></script>")
        .template("about.html", "<!doctype html>about {{ word | default('nothing') }}")
}

/// Waits until what is served at the path is as wanted.
#[track_caller]
fn until(server: &Server, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let text = get(&server.address, path, &[]).text();
        if wanted(&text) {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{path} stays as it is: {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const CSS: &str = "/static/css/a.css";
const JS: &str = "/static/js/app.js";

fn editors_that_write_by_rename() {
    let site = site();
    let server = site.serve(&DEV);
    let path = site.root().join("assets/css/a.css");
    let vim = |text: &str| {
        let backup = path.with_extension("css~");
        fs::rename(&path, &backup).expect("a backup");
        fs::write(path.with_file_name("4913"), "").expect("a probe");
        fs::remove_file(path.with_file_name("4913")).expect("a probe");
        fs::write(&path, text).expect("the file");
        fs::remove_file(backup).expect("the backup");
    };
    let jetbrains = |text: &str| {
        let temporary = path.with_file_name("a.css___jb_tmp___");
        let old = path.with_file_name("a.css___jb_old___");
        fs::write(&temporary, text).expect("the new one");
        fs::rename(&path, &old).expect("the old one");
        fs::rename(&temporary, &path).expect("the new one");
        fs::remove_file(old).expect("the old one");
    };
    let atomic = |text: &str| {
        let temporary = path.with_file_name(".a.css.swp");
        fs::write(&temporary, text).expect("the new one");
        fs::rename(&temporary, &path).expect("the new one");
    };
    let in_place = |text: &str| fs::write(&path, text).expect("the file");
    let ways: [&dyn Fn(&str); 4] = [&vim, &jetbrains, &atomic, &in_place];
    for (index, write) in ways.into_iter().cycle().take(12).enumerate() {
        write(&format!("a {{ margin: 1{index}px }}\n"));
        until(&server, CSS, |css| css.contains(&format!("1{index}px")));
    }
    let said = server.said();
    assert!(!said.contains("isn't there") && !said.contains("no such file"), "nothing was built half: {said}");
}

fn a_file_that_is_half_written_is_waited_for() {
    use std::io::Write;
    let site = site();
    let server = site.serve(&DEV);
    for step in 1..6 {
        let mut file = fs::File::create(site.root().join("assets/css/a.css")).expect("a file");
        for part in ["a { mar", "gin: ", &format!("{step}px }}\n")] {
            file.write_all(part.as_bytes()).expect("a part");
            file.flush().expect("a part");
            // Long enough for a change that is over to be built.
            std::thread::sleep(Duration::from_millis(12));
        }
        drop(file);
        until(&server, CSS, |css| css.contains(&format!("{step}px")));
    }
    let said = server.said();
    assert_eq!(said.matches("changed: built").count(), 5, "one build for each: {said}");
}

fn a_checkout_of_a_thousand_files_is_a_build_or_two() {
    let site = site();
    for index in 0..1000 {
        site.write(&format!("assets/many/{index}.css"), "a { color: red }");
    }
    let server = site.serve(&DEV);
    for index in 0..1000 {
        site.write(&format!("assets/many/{index}.css"), format!("a {{ margin: 1{index}px }}"));
    }
    until(&server, "/static/many/999.css", |css| css.contains("1999px"));
    for index in [0, 1, 500, 998] {
        until(&server, &format!("/static/many/{index}.css"), |css| css.contains(&format!("1{index}px")));
    }
    std::thread::sleep(Duration::from_millis(300));
    let said = server.said();
    let builds = said.matches("changed: built").count();
    assert!((1..=3).contains(&builds), "{builds}: {said}");
}

fn folders_come_and_go() {
    let site = site();
    let server = site.serve(&DEV);
    site.write("assets/new/deep/er/b.css", "b { margin: 1px }");
    until(&server, "/static/new/deep/er/b.css", |css| css.contains("1px"));
    site.write("assets/new/deep/er/b.css", "b { margin: 2px }");
    until(&server, "/static/new/deep/er/b.css", |css| css.contains("2px"));
    fs::rename(site.root().join("assets/new"), site.root().join("assets/other")).expect("a rename");
    until(&server, "/static/other/deep/er/b.css", |css| css.contains("2px"));
    site.write("assets/other/deep/er/b.css", "b { margin: 3px }");
    until(&server, "/static/other/deep/er/b.css", |css| css.contains("3px"));
    fs::remove_dir_all(site.root().join("assets/other")).expect("a removal");
    until(&server, "/static/other/deep/er/b.css", |css| css.contains("404"));
}

fn the_assets_folder_itself_comes_again() {
    let site = site();
    let server = site.serve(&DEV);
    let (assets, away) = (site.root().join("assets"), site.root().join("away"));
    fs::rename(&assets, &away).expect("a rename");
    server.wait_for("there is no asset");
    fs::rename(&away, &assets).expect("a rename");
    server.wait_for("built");
    site.write("assets/css/a.css", "a { margin: 4px }");
    until(&server, CSS, |css| css.contains("4px"));
}

fn names_change_only_in_case() {
    let site = site();
    let server = site.serve(&DEV);
    site.write("assets/img/Logo.svg", "<svg/>");
    until(&server, "/static/img/Logo.svg", |svg| svg == "<svg/>");
    fs::rename(site.root().join("assets/img/Logo.svg"), site.root().join("assets/img/logo.svg")).expect("a rename");
    until(&server, "/static/img/logo.svg", |svg| svg == "<svg/>");
    until(&server, "/static/img/Logo.svg", |svg| svg.contains("404"));
}

fn packages_that_are_links_are_watched() {
    let site = site();
    site.write("packages/own/package.json", r#"{"name":"own","version":"1.0.0","main":"index.js"}"#);
    site.write("packages/own/index.js", "export const own = 'own one';\n");
    fs::create_dir_all(site.root().join("node_modules")).expect("a folder");
    std::os::unix::fs::symlink(site.root().join("packages/own"), site.root().join("node_modules/own")).expect("a link");
    site.write("assets/js/app.js", "import { own } from 'own';\nconsole.log(own);\n");
    let server = site.serve(&DEV);
    until(&server, JS, |js| js.contains("own one"));
    site.write("packages/own/index.js", "export const own = 'own two';\n");
    until(&server, JS, |js| js.contains("own two"));
}

fn packages_appear_after_they_are_installed() {
    let site = site();
    let server = site.serve(&DEV);
    site.write("assets/js/app.js", "import { word } from 'some-package';\nconsole.log(word);\n");
    server.wait_for("some-package");
    site.write(
        "node_modules/some-package/package.json",
        r#"{"name":"some-package","version":"1.0.0","main":"index.js"}"#,
    );
    site.write("node_modules/some-package/index.js", "export const word = 'installed';\n");
    site.write("node_modules/.package-lock.json", "{}");
    until(&server, JS, |js| js.contains("installed"));
    site.write("node_modules/some-package/index.js", "export const word = 'updated';\n");
    until(&server, JS, |js| js.contains("updated"));
}

fn changes_during_a_build_make_one_more() {
    let site = site();
    // A build that takes a while.
    let site = site.config("[build]\ncache = \"none\"\n[[tool]]\ncommand = [\"sh\", \"-c\", \"sleep 1.5; cat assets/css/a.css\"]\noutput = \"css/slow.css\"\n");
    let server = site.serve(&DEV);
    site.write("assets/css/a.css", "a { margin: 1px }");
    std::thread::sleep(Duration::from_millis(150));
    for step in 2..8 {
        site.write("assets/css/a.css", format!("a {{ margin: {step}px }}"));
        std::thread::sleep(Duration::from_millis(30));
    }
    until(&server, "/static/css/slow.css", |css| css.contains("7px"));
    std::thread::sleep(Duration::from_millis(1900));
    let said = server.said();
    assert_eq!(said.matches("changed: built").count(), 2, "{said}");
}

fn settings_and_variables_are_read_again() {
    let site = site();
    let server = site.serve(&DEV);
    until(&server, "/about", |page| page.contains("about nothing"));
    site.write("fingerpost.toml", "[context]\nword = \"configured\"\n");
    until(&server, "/about", |page| page.contains("about configured"));
    site.write(".env", "PUBLIC_WORD=variable\n");
    until(&server, JS, |js| js.contains("variable"));
    fs::remove_file(site.root().join("fingerpost.toml")).expect("it was there");
    until(&server, "/about", |page| page.contains("about nothing"));
}

fn a_configuration_that_is_wrong_keeps_what_is_served() {
    let site = site();
    let server = site.serve(&DEV);
    site.write("fingerpost.toml", "[bild]\n");
    let line = server.wait_for("bild");
    assert!(line.contains("bild"), "{line}");
    until(&server, "/about", |page| page.contains("about nothing"));
    site.write("fingerpost.toml", "[context]\nword = \"right\"\n");
    until(&server, "/about", |page| page.contains("about right"));
}

fn a_partial_rebuilds_its_pages_alone() {
    let site = site();
    let server = site.serve(&DEV);
    site.write("templates/_part.html", "part two");
    let line = server.wait_for("_part.html changed");
    assert!(line.contains("built 1 of "), "{line}");
    until(&server, "/", |page| page.contains("part two"));
}

fn polling_hears_of_everything_too() {
    let site = site();
    let server = site.serve(&[&DEV[..], &["--poll", "50"]].concat());
    site.write("assets/css/a.css", "a { margin: 11px }");
    until(&server, CSS, |css| css.contains("11px"));
    site.write("assets/css/new.css", "a { margin: 5px }");
    until(&server, "/static/css/new.css", |css| css.contains("5px"));
    fs::remove_file(site.root().join("assets/css/new.css")).expect("it was there");
    until(&server, "/static/css/new.css", |css| css.contains("404"));
}

/// Limits of inotify are a user's, in each of the user's namespaces: inotify(7), user_namespaces(7).
fn where_the_system_watches_no_more_it_is_polled() {
    let site = site();
    for index in 0..20 {
        site.write(&format!("assets/folder{index}/a.css"), "a { color: red }");
    }
    let own = site.command(&DEV);
    let mut command = Command::new("unshare");
    let script = "echo 5 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]).arg(own.get_program()).args(own.get_args());
    command.stdin(std::process::Stdio::null());
    let server = Server::start(command);
    let said = server.said();
    assert!(said.contains("max_user_watches"), "it says how to raise the limit: {said}");
    site.write("assets/folder19/a.css", "a { margin: 11px }");
    until(&server, "/static/folder19/a.css", |css| css.contains("11px"));
}

fn the_production_build_is_not_touched() {
    let site = site();
    site.build(&[]);
    let before = tree(&site.root().join("dist"));
    let server = site.serve(&DEV);
    site.write("assets/css/a.css", "a { margin: 11px }");
    let css = until(&server, CSS, |css| css.contains("11px"));
    assert!(css.contains("margin: 11px"), "it is not minified: {css}");
    let page = get(&server.address, "/", &[]);
    assert!(page.text().contains("href=\"/assets/css/a.css\""), "{}", page.text());
    assert_eq!(get(&server.address, "/assets/css/a.css", &[]).header("cache-control"), Some("no-cache"));
    drop(server);
    assert!(tree(&site.root().join("dist")) == before);
}

fn watch_writes_the_output_folder() {
    let site = site();
    let mut command = site.command(&["watch"]);
    command.env("FINGERPOST_OUT", "out");
    let watcher = Server::spawn(command);
    watcher.wait_for("built");
    let read = || fs::read_to_string(site.root().join("out/assets/css/a.css")).unwrap_or_default();
    assert!(read().contains("color: red"));
    site.write("assets/css/a.css", "a { margin: 11px }");
    let line = watcher.wait_for("a.css changed: built");
    assert!(line.contains("1 of "), "{line}");
    assert!(read().contains("11px"));
    site.write("assets/css/a.css", "a { background: url(none.png) }");
    watcher.wait_for("none.png");
    assert!(read().contains("11px"), "what was good stays");
    site.write("assets/css/a.css", "a { margin: 12px }");
    watcher.wait_for("a.css changed: built");
    assert!(read().contains("12px"));
    assert!(!Path::new(&site.root().join("dist")).exists());
}

fn a_port_that_is_taken() {
    let site = site();
    let first = site.serve(&DEV);
    let second = site.serve(&["dev", "--listen", &first.address]);
    assert_ne!(first.address, second.address);
    let strict = site.run(&["dev", "--listen", &first.address, "--strict-port"]);
    assert_eq!(strict.code, Some(1), "{}", strict.stderr);
    assert!(strict.stderr.contains("could not listen on"), "{}", strict.stderr);
}

fn foreign_hosts_and_pages_are_refused() {
    let site = site();
    let server =
        site.serve(&[&DEV[..], &["--allow-host", "dev.example.com", "--origin", "http://localhost:5001"]].concat());
    let ask = |fields: &[(&str, &str)]| with_host(&server.address, CSS, fields);
    for (fields, want) in [
        (vec![("host", "localhost")], 200),
        (vec![("host", "dev.example.com:8080")], 200),
        (vec![("host", "evil.example")], 403),
        (vec![("host", "localhost"), ("origin", "https://evil.example")], 403),
        (vec![("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], 403),
        (vec![("host", "localhost"), ("origin", "http://localhost:5000")], 403),
        (vec![("host", "localhost"), ("origin", "http://localhost:5001")], 200),
    ] {
        let answer = ask(&fields);
        assert_eq!(answer.status, want, "{fields:?}");
        let lets_in = answer.header("access-control-allow-origin");
        assert!(lets_in.is_none() || lets_in == Some("http://localhost:5001"), "{lets_in:?}");
    }
    let refused = ask(&[("host", "evil.example")]).text();
    assert!(refused.contains("--allow-host evil.example"), "{refused}");
}

fn it_speaks_tls_with_a_certificate_of_its_own() {
    let site = site();
    let server = site.serve(&[&DEV[..], &["--https"]].concat());
    let certificate = site.root().join(".fingerpost-cache/certificate/certificate.pem");
    let port = server.address.rsplit(':').next().expect("a port");
    let answer = Command::new("curl")
        .args(["--silent", "--cacert"])
        .arg(&certificate)
        .arg(format!("https://localhost:{port}{CSS}"))
        .output()
        .expect("curl");
    assert!(String::from_utf8_lossy(&answer.stdout).contains("color: red"), "{answer:?}");
}

fn a_development_build_is_not_published() {
    let site = site().config("[env.production]\nstore = \"store\"\n");
    site.build(&["--mode", "development"]);
    let run = site.run(&["publish", "--env", "production"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("development build"), "{}", run.stderr);
    assert!(!site.root().join("store/current.json").exists());
}

//! `[[keep]]`: files that stay as they are, for packages that compute the paths of what they load.

use libtest_mimic::Trial;

use crate::http::get;
use crate::setup::program;
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        files_keep_their_names_and_their_bytes,
        patterns_choose_among_them,
        a_single_file_gets_the_name_that_is_given,
        a_package_may_be_in_a_folder_above_the_root,
        what_is_hidden_and_packages_within_are_left_out,
        they_stay_where_pages_are,
        two_files_for_one_place_are_told,
        a_link_out_of_the_root_is_refused,
        what_is_not_there_is_told,
        what_leads_out_is_told,
        that_nothing_is_left_is_told,
        places_that_cannot_be_are_told,
    ]
}

const PAGE: &str = "<!doctype html><title>t</title><script src=/vendor/math/start.js></script>\n";

/// A package whose main file loads others by their names.
fn site(keep: &str) -> Site {
    Site::new()
        .config(&format!("[[keep]]\nfrom = \"node_modules/math\"\nto = \"vendor/math\"\n{keep}"))
        .file("node_modules/math/start.js", "load('./fonts/' + name); // as it is\n".repeat(50))
        .file("node_modules/math/start.css", "a { color: red }\n")
        .file("node_modules/math/fonts/a b.woff2", b"\x00\x01")
        .template("index.html", PAGE)
}

fn kept(site: &Site) -> Vec<String> {
    let names = site.build(&["--no-compress"]).names();
    names.into_iter().filter(|name| name.starts_with("vendor/")).collect()
}

fn failure(site: &Site) -> String {
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    run.stderr
}

fn files_keep_their_names_and_their_bytes() {
    let site = site("");
    let dist = site.build(&[]);
    let source = std::fs::read(site.root().join("node_modules/math/start.js")).expect("a file");
    assert_eq!(dist.bytes("vendor/math/start.js"), source);
    assert_eq!(dist.bytes("vendor/math/fonts/a b.woff2"), b"\x00\x01");
    assert!(dist.names().contains(&"vendor/math/start.js.br".to_owned()), "{:?}", dist.names());
    assert!(dist.read("index.html").contains("src=/vendor/math/start.js"), "{}", dist.read("index.html"));
    let file = &dist.manifest()["files"]["vendor/math/start.js"];
    assert_eq!((&file["kind"], &file["source"]), (&"public".into(), &"node_modules/math/start.js".into()));

    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let answer = get(&server.address, "/vendor/math/start.js", &[("accept-encoding", "br")]);
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("content-encoding"), Some("br"));
    let validator = answer.header("etag").expect("a validator").to_owned();
    let again =
        get(&server.address, "/vendor/math/start.js", &[("accept-encoding", "br"), ("if-none-match", &validator)]);
    assert_eq!(again.status, 304);
    assert_eq!(get(&server.address, "/vendor/math/fonts/a%20b.woff2", &[]).body, b"\x00\x01");
}

fn patterns_choose_among_them() {
    for (patterns, want) in [
        ("include = ['*.js']", vec!["vendor/math/start.js"]),
        ("exclude = ['fonts/*']", vec!["vendor/math/start.css", "vendor/math/start.js"]),
        (
            "include = ['start.*', 'fonts/*']\nexclude = ['*.css']",
            vec!["vendor/math/fonts/a b.woff2", "vendor/math/start.js"],
        ),
    ] {
        assert_eq!(kept(&site(patterns)), want, "{patterns}");
    }
}

fn a_single_file_gets_the_name_that_is_given() {
    let site =
        site("[[keep]]\nfrom = \"licences/math.txt\"\nto = \"vendor/LICENCE\"\n").file("licences/math.txt", "free");
    assert_eq!(site.build(&["--no-compress"]).read("vendor/LICENCE"), "free");
}

fn a_package_may_be_in_a_folder_above_the_root() {
    let outer = Site::new()
        .file("node_modules/math/start.js", "load()")
        .file("sites/one/fingerpost.toml", "[[keep]]\nfrom = 'node_modules/math'\nto = 'vendor/math'\n")
        .file("sites/one/templates/index.html", PAGE);
    let mut command = std::process::Command::new(program());
    let out = command.arg("--root").arg(outer.root().join("sites/one")).arg("build").output().expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(outer.root().join("sites/one/dist/vendor/math/start.js").exists());
    let manifest = std::fs::read_to_string(outer.root().join("sites/one/dist/.fingerpost/manifest.json"));
    assert!(manifest.expect("a manifest").contains("\"source\": \"node_modules/math/start.js\""));
}

fn what_is_hidden_and_packages_within_are_left_out() {
    let site = site("include = ['*.js']")
        .file("node_modules/math/.env.js", "secret")
        .file("node_modules/math/.cache/a.js", "secret")
        .file("node_modules/math/node_modules/other/a.js", "another's");
    assert_eq!(kept(&site), ["vendor/math/start.js"]);
}

fn they_stay_where_pages_are() {
    let site = Site::new()
        .config(
            "[env.production]\nasset_base = \"https://cdn.example.com/\"\n\
             [[keep]]\nfrom = \"lib\"\nto = \"vendor\"\n",
        )
        .file("lib/a.js", "load()")
        .asset("css/a.css", "a { color: red }\n")
        .template(
            "index.html",
            "<!doctype html><title>t</title><link rel=stylesheet href=/static/css/a.css><script src=/vendor/a.js></script>\n",
        );
    site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "-e", "production", "--listen", "127.0.0.1:0"]);
    let page = get(&server.address, "/", &[]).text();
    assert!(page.contains("https://cdn.example.com/assets/css/a-"), "{page}");
    assert!(page.contains("src=/vendor/a.js>"), "{page}");
    assert_eq!(get(&server.address, "/vendor/a.js", &[]).text(), "load()");
}

fn two_files_for_one_place_are_told() {
    let twice = "[[keep]]\nfrom = \"lib\"\nto = \"vendor/math\"\n";
    let run = site(twice).file("lib/start.js", "other()").run(&["build"]);
    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.stderr, @r"
    error: x `node_modules/math/start.js` and `lib/start.js` would both be written to `vendor/math/
      | start.js`
      help: rename one of them
    ");
    let run = site("").asset("public/vendor/math/start.js", "mine()").run(&["build"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("`assets/public/vendor/math/start.js` and `node_modules/math/start.js`"),
        "{}",
        run.stderr
    );
}

fn a_link_out_of_the_root_is_refused() {
    let site = site("");
    std::os::unix::fs::symlink("/etc/hostname", site.root().join("node_modules/math/link.js")).expect("a link");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(run.stderr, @r"
    error: x the link `node_modules/math/link.js` leads out of the site's root, to `/etc/hostname`
      help: copy what it points to, or pass a `--root` that holds both
    ");
}

fn what_is_not_there_is_told() {
    let site = Site::new()
        .config("[[keep]]\nfrom = \"node_modules/maths\"\nto = \"vendor/math\"\n")
        .template("index.html", PAGE);
    insta::assert_snapshot!(failure(&site), @r#"
    error: x there is no `node_modules/maths` to keep
       ,-[fingerpost.toml:2:8]
     1 | [[keep]]
     2 | from = "node_modules/maths"
       :        ^^^^^^^^^^|^^^^^^^^^
       :                  `-- here
     3 | to = "vendor/math"
       `----
      help: name a file or a folder below the root, or a package that is installed (`node_modules/…`)
    "#);
}

fn what_leads_out_is_told() {
    for from in ["../other", "/etc", "node_modules/../../other", "linked"] {
        let site =
            Site::new().config(&format!("[[keep]]\nfrom = \"{from}\"\nto = \"vendor\"\n")).template("index.html", PAGE);
        std::os::unix::fs::symlink("/etc", site.root().join("linked")).expect("a link");
        let told = failure(&site);
        assert!(told.contains(&format!("`{from}` leads out of the site's root")), "{told}");
        assert!(told.contains("fingerpost.toml:2:8"), "{told}");
    }
}

fn that_nothing_is_left_is_told() {
    insta::assert_snapshot!(failure(&site("include = [\"*.mjs\"]\n")), @r#"
    error: x no file of `node_modules/math` is kept
       ,-[fingerpost.toml:2:8]
     1 | [[keep]]
     2 | from = "node_modules/math"
       :        ^^^^^^^^^|^^^^^^^^^
       :                 `-- here
     3 | to = "vendor/math"
       `----
      help: check `include` and `exclude`: hidden files and packages within it are left out anyway
    "#);
}

fn places_that_cannot_be_are_told() {
    for (keep, want) in [
        (
            "from = \"lib\"\nto = \"../vendor\"",
            "`../vendor` can't be where files are kept: it is no path below the root",
        ),
        ("from = \"lib\"\nto = \"\"", "it is no path below the root"),
        ("from = \"lib\"\nto = \".git\"", "what is hidden is never served"),
        ("from = \"lib\"\nto = \"assets/lib\"", "names below it are those of assets"),
        ("from = \"lib\"\nto = \"static\"", "names below it are those of assets"),
        ("from = \".secret\"\nto = \"vendor\"", "`.secret` is hidden, and such files are never served"),
        ("from = \"dist/lib\"\nto = \"vendor\"", "`dist/lib` and the output folder overlap"),
        ("from = \"lib\"\nto = \"vendor\"\ninclude = [\"[\"]", "`[` is no pattern"),
    ] {
        let site = Site::new()
            .config(&format!("[[keep]]\n{keep}\n"))
            .file("lib/a.js", "a()")
            .file("dist/lib/a.js", "a()")
            .file(".secret/a.js", "a()");
        let told = failure(&site);
        assert!(told.contains(want) && told.contains("fingerpost.toml:"), "{keep}: {told}");
    }
}

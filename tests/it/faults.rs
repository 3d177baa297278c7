//! Bad input: each kind gets a message that names the file, the place and the way out, and the last good build stays.

use libtest_mimic::Trial;

use crate::setup::{Need, SmallDisk};
use crate::site::{Run, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        a_missing_import,
        a_missing_package,
        a_missing_export,
        a_script_with_a_syntax_error,
        a_stylesheet_with_a_syntax_error,
        a_template_with_a_syntax_error,
        a_template_that_extends_nothing,
        a_url_in_a_stylesheet_to_nothing,
        a_url_for_to_nothing,
        an_import_of_a_stylesheet_to_nothing,
        stylesheets_that_import_each_other,
        a_link_out_of_the_root,
        a_path_out_of_the_root,
        a_script_out_of_the_root,
        two_files_with_one_name,
        text_that_is_not_utf8,
        an_unknown_key,
        an_unknown_environment,
        an_unknown_flag,
        a_root_that_is_not_there,
        a_site_without_sources,
        an_output_folder_of_somebody_else,
        an_output_folder_among_the_sources,
        a_folder_that_cannot_be_read,
        a_manifest_that_is_not_there,
        a_module_loaded_as_a_classic_script,
        several_at_once_are_all_told,
        as_json_too,
        the_last_good_build_stays,
    ];
    trials.extend(trials![[Need::SmallDisk]; a_full_disk]);
    trials
}

/// A site that builds, before something is spoilt.
fn good() -> Site {
    Site::new()
        .asset("css/a.css", "a { color: red }\n")
        .asset("js/a.js", "console.log(1)\n")
        .template(
            "index.html",
            "<!doctype html><title>t</title>\n<link rel=stylesheet href=\"{{ url_for('static', filename='css/a.css') }}\">\n\
             <script type=module src=\"{{ asset_url('js/a.js') }}\"></script>\n",
        )
}

/// Builds, and gives what was said, with the root's path taken out.
fn failure(site: &Site, arguments: &[&str], code: i32) -> String {
    let Run { code: got, stderr, stdout } = site.run(arguments);
    assert_eq!(got, Some(code), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stdout.is_empty() || arguments.contains(&"--json"), "data only: {stdout}");
    let root = site.root().canonicalize().expect("a root");
    stderr.replace(&*root.to_string_lossy(), "ROOT").replace(&*site.root().to_string_lossy(), "ROOT")
}

fn a_missing_import() {
    let site = good().asset("js/a.js", "const a = 1;\nimport { b } from './nothing.js';\nconsole.log(a, b);\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x Could not resolve './nothing.js' in assets/js/a.js
       ,-[assets/js/a.js:2:19]
     1 | const a = 1;
     2 | import { b } from './nothing.js';
       :                   |
       :                   `-- here
     3 | console.log(a, b);
       `----
      help: check the path; a package has to be installed in `node_modules`
    "#);
}

fn a_missing_package() {
    let site = good().asset("js/a.js", "import 'no-such-package';\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x Could not resolve 'no-such-package' in assets/js/a.js
       ,-[assets/js/a.js:1:8]
     1 | import 'no-such-package';
       :        |
       :        `-- here
       `----
      help: check the path; a package has to be installed in `node_modules`
    "#);
}

fn a_missing_export() {
    let site = good()
        .asset("js/b.js", "export const a = 1;\n")
        .asset("js/a.js", "import { zz } from './b.js';\nconsole.log(zz);\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x "zz" is not exported by "assets/js/b.js", imported by "assets/js/a.js".
       ,-[assets/js/a.js:1:10]
     1 | import { zz } from './b.js';
       :          |
       :          `-- here
     2 | console.log(zz);
       `----
      help: check what the module exports, and the name's spelling
    "#);
}

fn a_script_with_a_syntax_error() {
    let site = good().asset("js/a.js", "let a = 1;\nlet b = = 2;\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/js/a.js` is not a valid script: Unexpected token
       ,-[assets/js/a.js:2:9]
     1 | let a = 1;
     2 | let b = = 2;
       :         |
       :         `-- here
       `----
      help: correct the script at the marked place
    "#);
    let site = good().asset("js/classic.js", "var ok;\nfunction (\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/js/classic.js` is not a valid script: Expected function name
       ,-[assets/js/classic.js:2:10]
     1 | var ok;
     2 | function (
       :          |
       :          `-- here
       `----
      help: correct the script at the marked place
    "#);
}

fn a_stylesheet_with_a_syntax_error() {
    let site = good().asset("css/a.css", "a { color: red }\n@media (min-width: { b { color: blue } }\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/css/a.css` is not valid CSS: Invalid media query
       ,-[assets/css/a.css:2:18]
     1 | a { color: red }
     2 | @media (min-width: { b { color: blue } }
       :                  |
       :                  `-- here
       `----
      help: correct the stylesheet at the marked place
    "#);
}

fn a_template_with_a_syntax_error() {
    let site = good().template("index.html", "<p>\n{% if x %}\n{% endfor %}\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x could not render `templates/index.html`: syntax error: unknown statement endfor
       ,-[templates/index.html:3:4]
     2 | {% if x %}
     3 | {% endfor %}
       :    ^^^|^^
       :       `-- here
       `----
      help: correct the template at the marked place
    "#);
    let site = good().template("index.html", "{% assets 'x' %}{% endassets %}\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x could not render `templates/index.html`: syntax error: unknown statement assets
       ,-[templates/index.html:1:4]
     1 | {% assets 'x' %}{% endassets %}
       :    ^^^|^^
       :       `-- here
       `----
      help: `{% assets %}` is webassets' tag: declare a `[[bundle]]` and write
            `{{ asset_tags('NAME') }}`
    "#);
}

fn a_template_that_extends_nothing() {
    let site = good().template("index.html", "{% extends 'bas.html' %}\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x could not render `templates/index.html`: template not found: template "bas.html" does not
      | exist
       ,-[templates/index.html:1:4]
     1 | {% extends 'bas.html' %}
       :    ^^^^^^^^^|^^^^^^^^
       :             `-- here
       `----
      help: check the name: it is a path below the templates folder
    "#);
}

fn a_url_in_a_stylesheet_to_nothing() {
    let site = good().asset("css/a.css", "a { color: red }\nb { background: url('../img/no.png') }\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/css/a.css` refers to `../img/no.png`, which isn't there
       ,-[assets/css/a.css:2:22]
     1 | a { color: red }
     2 | b { background: url('../img/no.png') }
       :                      ^^^^^^|^^^^^^
       :                            `-- here
       `----
      help: check the path: it is relative to the stylesheet that it stands in
    "#);
}

fn a_url_for_to_nothing() {
    let site = good().template("index.html", "<p>\n<img src=\"{{ url_for('static', filename='js/aa.js') }}\">\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x there is no asset `js/aa.js`
       ,-[templates/index.html:2:14]
     1 | <p>
     2 | <img src="{{ url_for('static', filename='js/aa.js') }}">
       :              ^^^^^^^^^^^^^^^^^^^|^^^^^^^^^^^^^^^^^^
       :                                 `-- here
       `----
      help: did you mean `js/a.js`?
    "#);
}

fn an_import_of_a_stylesheet_to_nothing() {
    let site = good().asset("css/a.css", "@import 'b.css';\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/css/a.css` imports `b.css`, which isn't there
       ,-[assets/css/a.css:1:1]
     1 | @import 'b.css';
       : |
       : `-- here
       `----
      help: check the path; a package has to be installed in `node_modules`
    "#);
}

fn stylesheets_that_import_each_other() {
    let site =
        good().asset("css/a.css", "@import 'b.css';\n").asset("css/b.css", "@import 'a.css';\nb { color: red }\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x stylesheets import each other in a circle: `assets/css/a.css` → `assets/css/b.css` → `assets/
      | css/a.css`
       ,-[assets/css/b.css:1:10]
     1 | @import 'a.css';
       :          ^^|^^
       :            `-- here
     2 | b { color: red }
       `----
      help: remove one of these imports
    "#);
}

fn a_link_out_of_the_root() {
    let site = good();
    std::os::unix::fs::symlink("/etc/hostname", site.root().join("assets/link.txt")).expect("a link");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x the link `assets/link.txt` leads out of the site's root, to `/etc/hostname`
      help: copy what it points to, or pass a `--root` that holds both
    "#);
}

fn a_path_out_of_the_root() {
    let site = good().asset("css/a.css", "a { background: url('../../../../../../etc/hostname') }\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `../../../../../../etc/hostname` leads out of the site's root
       ,-[assets/css/a.css:1:22]
     1 | a { background: url('../../../../../../etc/hostname') }
       :                      ^^^^^^^^^^^^^^^|^^^^^^^^^^^^^^
       :                                     `-- here
       `----
      help: move the file below the root, or pass a `--root` that holds both
    "#);
}

fn a_script_out_of_the_root() {
    let outer = Site::new().file("outside.js", "export const secret = 1;\n");
    let path = outer.root().join("outside.js");
    let site =
        good().asset("js/a.js", format!("import {{ secret }} from '{}';\nconsole.log(secret);\n", path.display()));
    let told = failure(&site, &["build"], 1);
    assert!(told.contains("lies out of the site's root") && told.contains("assets/js/a.js:1:"), "{told}");
}

fn two_files_with_one_name() {
    let site = good().asset("public/index.html", "<p>mine\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `assets/public/index.html` and `templates/index.html` would both be written to `index.html`
      help: rename one of them
    "#);
    let site =
        good().asset("js/a.ts", "export {}\n").template("b.html", "<script type=module src=/assets/js/a.ts></script>");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `js/a.js` and `js/a.ts` would both be written to `js/a.js`
      help: rename one of them
    "#);
}

fn text_that_is_not_utf8() {
    for path in ["assets/css/a.css", "assets/js/a.js", "templates/index.html", "fingerpost.toml"] {
        let site = good().file(path, b"/* \xe9 */");
        let told = failure(&site, &["build"], if path == "fingerpost.toml" { 2 } else { 1 });
        assert!(told.contains(&format!("`{path}` is not UTF-8: byte 3")), "{path}: {told}");
        assert!(told.contains(&format!("{path}:1:4")), "{path}: {told}");
    }
}

fn an_unknown_key() {
    let site = good().config("[build]\nasets = \"x\"\n");
    insta::assert_snapshot!(failure(&site, &["build"], 2), @r#"
    error: x unknown key `asets`
       ,-[fingerpost.toml:2:1]
     1 | [build]
     2 | asets = "x"
       : ^^|^^
       :   `-- here
       `----
      help: did you mean `assets`?
    "#);
}

fn an_unknown_environment() {
    let site = good().config("[env.production]\nasset_base = \"/\"\n");
    site.build(&[]);
    insta::assert_snapshot!(failure(&site, &["serve", "-e", "prodution", "--listen", "127.0.0.1:0"], 2), @r#"
    error: x there is no environment `prodution`
      help: did you mean `production`?
    "#);
}

fn an_unknown_flag() {
    assert!(failure(&good(), &["build", "--frob"], 2).contains("--frob"));
}

fn a_root_that_is_not_there() {
    let told = failure(&good(), &["-C", "/no/such/folder", "build"], 2);
    insta::assert_snapshot!(told, @r#"
    error: the argument '--root <DIR>' cannot be used multiple times

    Usage: fingerpost [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

fn a_site_without_sources() {
    insta::assert_snapshot!(failure(&Site::new(), &["build"], 1), @r#"
    error: x there is nothing to build: neither `assets` nor `templates` holds a file
      help: pass the site's root with `--root`, or begin one with `fingerpost init`
    "#);
}

fn an_output_folder_of_somebody_else() {
    let site = good().file("dist/precious.txt", "mine");
    insta::assert_snapshot!(failure(&site, &["build"], 2), @r#"
    error: x `ROOT/dist` holds files that no build put there, and a build would replace them
      help: empty the folder, or choose another with `--out`
    "#);
    assert!(site.root().join("dist/precious.txt").exists());
}

fn an_output_folder_among_the_sources() {
    for out in [".", "..", "assets/out", "templates"] {
        let told = failure(&good(), &["build", "--out", out], 2);
        assert!(told.contains("overlap"), "{out}: {told}");
    }
}

fn a_folder_that_cannot_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let site = good().asset("closed/a.txt", "x");
    let folder = site.root().join("assets/closed");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o000)).expect("permissions");
    let program = site.command(&["build"]);
    // Root may read everything, by a capability that is taken away here.
    let mut command = match rustix::process::geteuid().is_root() {
        true => std::process::Command::new("setpriv"),
        false => std::process::Command::new("env"),
    };
    if rustix::process::geteuid().is_root() {
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    }
    let out = command.arg(program.get_program()).args(program.get_args()).output().expect("it runs");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    assert_eq!(out.status.code(), Some(1), "{told}");
    assert!(told.contains("could not read") && told.contains("assets/closed"), "{told}");
    assert!(told.contains("give the current user access"), "{told}");
}

fn a_manifest_that_is_not_there() {
    insta::assert_snapshot!(failure(&good(), &["serve", "--listen", "127.0.0.1:0"], 1), @r#"
    error: x could not load the manifest `ROOT/dist/.fingerpost/manifest.json`: there is no
      | such file
      help: run `fingerpost build`
    "#);
}

fn a_module_loaded_as_a_classic_script() {
    let site = good().asset("js/b.ts", "export {}\n").template("index.html", "<script src=/static/js/b.ts></script>\n");
    insta::assert_snapshot!(failure(&site, &["build"], 1), @r#"
    error: x `index.html` loads `js/b.ts` as a classic script, which it can't be
      help: write `<script type="module" …>`, or `{{ asset_tags(…) }}`
    "#);
}

fn several_at_once_are_all_told() {
    let site = good()
        .asset("css/a.css", "a { background: url(no.png) }\n")
        .asset("css/b.css", "b { background: url(never.png) }\n");
    let told = failure(&site, &["build"], 1);
    assert!(told.contains("no.png") && told.contains("never.png") && told.contains("2 errors"), "{told}");
}

fn as_json_too() {
    let site = good().asset("css/a.css", "a { background: url(no.png) }\n");
    let run = site.run(&["--json", "build"]);
    assert_eq!(run.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(json["exit_code"], 1);
    assert!(json["error"].as_str().is_some_and(|error| error.contains("no.png")), "{json}");
}

fn the_last_good_build_stays() {
    let site = good();
    let built = site.build(&[]);
    let before = built.tree();
    site.write("assets/css/a.css", "a { background: url(no.png) }\n");
    failure(&site, &["build"], 1);
    assert_eq!(&crate::site::tree(&site.root().join("dist")), before);
    let mut left: Vec<_> =
        std::fs::read_dir(site.root()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, [".fingerpost-cache", "assets", "dist", "templates"], "nothing is left behind");
}

fn a_full_disk() {
    let disk = SmallDisk::mount().expect("a small disk");
    let out = disk.path().join("dist");
    let site = good();
    let arguments = ["build", "--out", out.to_str().expect("a path")];
    assert_eq!(site.run(&arguments).code, Some(0));
    let before = crate::site::tree(&out);
    site.write("assets/big.bin", vec![7; 200_000]);
    let told = failure(&site, &arguments, 1);
    assert!(told.contains("could not write") && told.contains("free some space"), "{told}");
    assert_eq!(crate::site::tree(&out), before, "what was there is whole");
    assert_eq!(std::fs::read_dir(disk.path()).expect("a folder").count(), 1, "nothing is left beside it");
}

//! Stylesheets in depth: what may be imported, from where, and under which conditions; CSS modules; Sass; the site's own tools.

use libtest_mimic::Trial;

use crate::browser::browse;
use crate::setup::{Need, packages};
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        sass_is_a_stylesheet_wherever_css_is,
        sass_finds_what_it_names,
        sass_says_where_it_is_wrong,
        sass_that_is_only_a_part_is_no_file_and_need_not_compile,
        sass_and_css_of_one_name_are_told_apart,
        what_sass_warns_of_is_told,
        names_in_a_css_module_are_its_own,
        a_css_module_comes_after_what_it_composes,
        scripts_know_the_classes_of_a_css_module,
        a_css_module_says_what_it_cannot_compose,
        maps_lead_through_what_was_compiled_before,
        imports_under_several_conditions_are_all_kept,
        an_import_that_a_later_one_outdoes_is_left_out,
        layers_keep_the_order_of_their_first_import,
        imports_of_other_sites_keep_their_conditions,
        browsers_are_those_that_other_tools_are_told,
        browsers_that_nobody_knows_are_told,
        urls_are_found_wherever_they_may_stand,
        logical_names_are_imported_like_files,
        two_bundles_of_one_name_are_told_apart,
        a_tool_makes_an_asset,
        a_tool_is_run_again_when_its_inputs_change,
        a_tool_that_fails_says_why,
    ];
    trials.extend(trials![[Need::Browser]; imports_cascade_as_in_a_browser]);
    trials.extend(trials![[Need::Packages]; bootstrap_and_fontawesome_from_their_sass]);
    trials
}

/// A site whose page loads one stylesheet, and the stylesheet that it became.
fn compiled(site: Site, name: &str) -> String {
    let site = site.template("index.html", format!("<!doctype html><title>t</title>{{{{ asset_tags('{name}') }}}}"));
    let dist = site.build(&["--no-compress"]);
    dist.read(&dist.named(name)).trim().to_owned()
}

/// What the build says where it fails, without the frame.
fn refused(site: Site, name: &str) -> String {
    let site = site.template("index.html", format!("<!doctype html><title>t</title>{{{{ asset_tags('{name}') }}}}"));
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    run.stderr
}

fn names_in_a_css_module_are_its_own() {
    let site = Site::new().asset(
        "css/card.module.css",
        ".card { animation: pulse 1s; grid-area: main; container: card / inline-size }\n\
         @keyframes pulse { to { opacity: .5 } }\n\
         :global(.dark) .card, :local(.x) { color: red }\n\
         @container card (width > 1px) { #id { --gap: 1px } }\n",
    );
    insta::assert_snapshot!(compiled(site, "css/card.module.css"), @".card_34b82b8b_card{grid-area:card_34b82b8b_main;animation:1s card_34b82b8b_pulse;container:card_34b82b8b_card/inline-size}@keyframes card_34b82b8b_pulse{to{opacity:.5}}.dark .card_34b82b8b_card,.card_34b82b8b_x{color:red}@container card_34b82b8b_card (width>1px){#card_34b82b8b_id{--gap:1px}}");
}

fn a_css_module_comes_after_what_it_composes() {
    let site = Site::new()
        .config("[[bundle]]\nname = 'all.css'\ninputs = ['b.module.css', 'c.module.css', 'base.module.css']\n")
        .asset("base.module.css", ".base { color: red }\n")
        .asset("b.module.css", ".b { composes: base from './base.module.css'; color: green }\n")
        .asset("c.module.css", ".c { composes: base from './base.module.css'; color: blue }\n");
    insta::assert_snapshot!(compiled(site, "all.css"), @".base_847e03cb_base{color:red}.b_933b11e8_b{color:green}.c_42e23f7c_c{color:#00f}");
}

fn scripts_know_the_classes_of_a_css_module() {
    let site = Site::new()
        .asset("js/app.ts", "import styles, { c } from '../css/b.module.scss';\nimport '../css/d.module.css';\ndocument.body.className = styles.b + c;\n")
        .asset("css/base.module.css", ".base { color: red }\n")
        .asset("css/b.module.scss", ".b { composes: base from './base.module.css'; i { color: green } }\n.c { color: blue }\n")
        .asset("css/d.module.css", ".d { composes: base from './base.module.css'; color: pink }\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('js/app.ts') }}");
    let dist = site.build(&["--no-compress"]);
    let sheets: Vec<String> = dist.names().into_iter().filter(|name| name.ends_with(".css")).collect();
    let css: Vec<String> = sheets.iter().map(|sheet| dist.read(sheet)).collect();
    insta::assert_snapshot!(css.join("\n"), @".base_09c106af_base{color:red}.b_b65c8b10_b i{color:green}.b_b65c8b10_c{color:#00f}.d_723a3fc7_d{color:pink}");
    let script = dist.read(&dist.named("js/app.ts"));
    assert!(sheets.iter().all(|sheet| dist.read("index.html").contains(sheet)), "{}", dist.read("index.html"));
    insta::assert_snapshot!(script.split("//#").next().unwrap_or_default().trim(), @"var e={b:`b_b65c8b10_b base_09c106af_base`,c:`b_b65c8b10_c`};document.body.className=e.b+`b_b65c8b10_c`;");
}

fn a_css_module_says_what_it_cannot_compose() {
    let site = || Site::new().asset("b.module.css", ".b { composes: a from './a.module.css' }\n").asset("c.css", "");
    let a = |text: &str| refused(site().asset("a.module.css", text), "a.module.css");
    insta::assert_snapshot!(a(".a { composes: b from './b.module.css' }\n"), @r#"
    error: x 2 errors in the site's sources

    Error: 
      x `assets/b.module.css` composes from `./a.module.css`, which composes from it
       ,-[assets/b.module.css:1:24]
     1 | .b { composes: a from './a.module.css' }
       :                        ^^^^^^^|^^^^^^
       :                               `-- here
       `----
      help: remove one of the two

    Error: 
      x `assets/a.module.css` composes from `./b.module.css`, which composes from it
       ,-[assets/a.module.css:1:24]
     1 | .a { composes: b from './b.module.css' }
       :                        ^^^^^^^|^^^^^^
       :                               `-- here
       `----
      help: remove one of the two
    "#);
    insta::assert_snapshot!(a(".a { composes: nothing }\n"), @r#"
    error: x `assets/a.module.css` composes `nothing`, and there is no such class in `assets/a.module.css`
       ,-[assets/a.module.css:1:16]
     1 | .a { composes: nothing }
       :                ^^^|^^^
       :                   `-- here
       `----
      help: check the name; one from elsewhere is written `composes: name from global`
    "#);
    insta::assert_snapshot!(a(".a { composes: c from './c.css' }\n"), @r#"
    error: x `assets/a.module.css` composes from `./c.css`, which is no CSS module
       ,-[assets/a.module.css:1:24]
     1 | .a { composes: c from './c.css' }
       :                        ^^^|^^^
       :                           `-- here
       `----
      help: let the file's name end in `.module.css`
    "#);
    insta::assert_snapshot!(a(".a { composes: c from './d.module.css' }\n"), @r#"
    error: x `assets/a.module.css` imports `./d.module.css`, which isn't there
       ,-[assets/a.module.css:1:24]
     1 | .a { composes: c from './d.module.css' }
       :                        ^^^^^^^|^^^^^^
       :                               `-- here
       `----
      help: check the path; a package has to be installed in `node_modules`
    "#);
    insta::assert_snapshot!(a("a .a { composes: c }\n"), @r#"
    error: x `assets/a.module.css` is not valid CSS: `composes` can stand in the rule of one class only,
      | outside of other rules
       ,-[assets/a.module.css:1:17]
     1 | a .a { composes: c }
       :                 |
       :                 `-- here
       `----
      help: correct the stylesheet at the marked place
    "#);
}

fn maps_lead_through_what_was_compiled_before() {
    let site = Site::new()
        .asset("css/main.css", "@import 'a.module.css';\n@import 'tool.css';\nb { color: green }\n")
        .asset("css/a.module.css", "/* a comment */\n\n.a { color: red }\n")
        .asset("css/tool.css", "c { color: blue }\n/*# sourceMappingURL=data:application/json,{\"version\":3,\"sources\":[\"../src/tool.less\"],\"sourcesContent\":[\"c{}\"],\"names\":[],\"mappings\":\"AAAA\"} */\n")
        .template("index.html", "{{ asset_tags('css/main.css') }}");
    let dist = site.build(&["--no-compress"]);
    let map = dist.read(&format!(".fingerpost/maps/{}.map", dist.named("css/main.css")));
    insta::assert_snapshot!(map, @r#"{"version":3,"sourceRoot":null,"mappings":"AAEA,wBCFA,aCEA","sources":["assets/css/a.module.css","assets/src/tool.less","assets/css/main.css"],"sourcesContent":["/* a comment */\n\n.a { color: red }\n","c{}","@import 'a.module.css';\n@import 'tool.css';\nb { color: green }\n"],"names":[]}"#);
}

fn imports_under_several_conditions_are_all_kept() {
    let site = || {
        Site::new().asset("a.css", "a { color: red }\n").asset("b.css", "@import 'a.css' screen;\nb { color: red }\n")
    };
    // With a layer, and without: unlayered rules outdo layered ones.
    let layered = "@import 'a.css' layer(x);\n@import 'a.css';\n@import 'a.css' layer(y);\n";
    insta::assert_snapshot!(compiled(site().asset("main.css", layered), "main.css"), @"@layer x{a{color:red}}a{color:red}@layer y{a{color:red}}");
    let anonymous = "@import 'a.css' layer;\n@import 'a.css' layer;\n@import 'b.css' layer;\n";
    insta::assert_snapshot!(compiled(site().asset("main.css", anonymous), "main.css"), @"@layer{a{color:red}}@layer{a{color:red}}@layer{@media screen{a{color:red}}b{color:red}}");
    let all = "@import 'b.css' layer(x.y) supports(display: grid) (width > 1px);\n@import 'b.css' supports(color: red) print;\n";
    insta::assert_snapshot!(compiled(site().asset("main.css", all), "main.css"), @"@supports (display:grid){@media (width>1px){@layer x.y{@media screen{a{color:red}}b{color:red}}}}@supports (color:red){@media print{@media screen{a{color:red}}b{color:red}}}");
}

fn an_import_that_a_later_one_outdoes_is_left_out() {
    let site = Site::new()
        .asset(
            "main.css",
            "@import 'a.css' print;\n@import 'b.css';\n@import 'c.css';\n@import 'a.css';\n@import 'b.css' print;\n",
        )
        .asset("a.css", "a { color: red }\n")
        .asset("b.css", "@import 'a.css';\nb { color: red }\n")
        .asset("c.css", "c { color: red }\n");
    insta::assert_snapshot!(compiled(site, "main.css"), @"b,c,a{color:red}@media print{a,b{color:red}}");
}

fn layers_keep_the_order_of_their_first_import() {
    let site = Site::new()
        .asset("main.css", "@import 'a.css' layer(x);\n@import 'b.css' layer(y);\n@import 'a.css' layer(x);\n")
        .asset("a.css", "a { color: red }\n")
        .asset("b.css", "b { color: red }\n");
    insta::assert_snapshot!(compiled(site, "main.css"), @"@layer x{a{color:red}}@layer y{b{color:red}}");
}

fn imports_of_other_sites_keep_their_conditions() {
    let site = |main: &str| {
        Site::new().asset("main.css", main).asset(
            "a.css",
            "@import 'https://example.com/a.css';\n@import 'https://example.com/b.css' print;\na { color: red }\n",
        )
    };
    insta::assert_snapshot!(compiled(site("@layer z;\n@import 'a.css';\n"), "main.css"), @r#"@layer z;@import "https://example.com/a.css";@import "https://example.com/b.css" print;a{color:red}"#);
    insta::assert_snapshot!(refused(site("@import 'a.css' layer(x);\n"), "main.css"), @r#"
    error: x `https://example.com/b.css` is imported under several conditions: where `assets/a.css` is
      | imported, and where it imports
       ,-[assets/a.css:2:1]
     1 | @import 'https://example.com/a.css';
     2 | @import 'https://example.com/b.css' print;
       : |
       : `-- here
     3 | a { color: red }
       `----
      help: import it in the stylesheet that the page loads, under one condition
    "#);
    insta::assert_snapshot!(refused(site("@import 'a.css';\n@import '//example.com/c.css';\n"), "main.css"), @r#"
    error: x `assets/main.css` imports `//example.com/c.css` after stylesheets that become a part of it
       ,-[assets/main.css:2:1]
     1 | @import 'a.css';
     2 | @import '//example.com/c.css';
       : |
       : `-- here
       `----
      help: put it before the other imports
    "#);
}

fn sass_is_a_stylesheet_wherever_css_is() {
    let site = Site::new()
        .config("[[bundle]]\nname = 'css/all.css'\ninputs = ['css/plain.css', 'css/main.scss', 'css/indented.sass']\n")
        .asset("css/main.scss", "@use 'sass:math';\n@use 'colors';\na { color: colors.$brand; width: math.div(10px, 4); &:hover { background: url('../img/p.png') } }\n")
        .asset("css/page.scss", "@use 'colors';\n@import url('plain.css');\nb { color: colors.$brand }\n")
        .asset("css/_colors.scss", "$brand: rebeccapurple;\n")
        .asset("css/indented.sass", "$gap: 4px\nul\n  margin: $gap * 2\n  li\n    margin: 0\n")
        .asset("css/plain.css", "@import 'part.scss';\np { color: red }\n")
        .asset("css/part.scss", "i { u { color: green } }\n")
        .asset("css/card.module.scss", "$x: blue;\n.card { .title { color: $x } }\n")
        .asset("img/p.png", "png")
        .template(
            "index.html",
            "<!doctype html><title>t</title><link rel=stylesheet href=/static/css/main.scss>\
             <link rel=stylesheet href=\"{{ url_for('static', filename='css/page.scss') }}\">{{ asset_tags('css/card.module.scss') }}",
        );
    let dist = site.build(&["--no-compress"]);
    let css = |name: &str| {
        let file = dist.named(name);
        assert!(file.starts_with("assets/css/") && file.ends_with(".css"), "{file}");
        assert!(dist.read("index.html").contains(&format!("/{file}")) || name == "css/all.css", "{file}");
        dist.read(&file)
    };
    let all: Vec<String> = ["css/all.css", "css/page.scss", "css/card.module.scss"].map(css).to_vec();
    insta::assert_snapshot!(all.concat(), @"i u{color:green}p{color:red}a{color:#639;width:2.5px}a:hover{background:url(../img/p-8f8cbb7dcf46e0bc.png)}ul{margin:8px}ul li{margin:0}i u{color:green}p{color:red}b{color:#639}.card_cf6d76a8_card .card_cf6d76a8_title{color:#00f}");
    assert!(!dist.names().iter().any(|name| name.contains("colors") || name.contains("part")), "{:?}", dist.names());
    let map = dist.read(&format!(".fingerpost/maps/{}.map", dist.named("css/page.scss")));
    assert!(map.contains("\"assets/css/page.scss.css\""), "{map}");
}

fn sass_finds_what_it_names() {
    let site = Site::new()
        .asset("css/deep/main.scss", "@use 'theme/colors';\n@use 'pkg:pkg/scss/pkg' as p;\n@use 'other/index.scss' as o;\n@import 'theme/more.scss';\n@import '~pkg/scss/mixins';\na { color: colors.$c; @include m; }\n")
        .asset("theme/_colors.scss", "$c: red;\n")
        .asset("theme/more.scss", "b { color: blue }\n")
        .file("node_modules/pkg/scss/_mixins.scss", "@mixin m { margin: 0 }\n@font-face { font-family: f; src: url(../f.woff2) }\n")
        .file("node_modules/pkg/scss/pkg.scss", "c { color: green }\n")
        .file("node_modules/pkg/f.woff2", "font")
        .file("node_modules/other/index.scss", "d { color: pink }\n");
    insta::assert_snapshot!(compiled(site, "css/deep/main.scss"), @"c{color:green}d{color:pink}b{color:#00f}@font-face{font-family:f;src:url(../../vendor/pkg/f-795ea3efa43d0872.woff2)}a{color:red;margin:0}");
}

fn sass_says_where_it_is_wrong() {
    let site = |text: &str| {
        Site::new()
            .asset("main.scss", text)
            .asset("_part.scss", "\n\nb { color: $unknown }\n")
            .file("node_modules/x", "")
    };
    insta::assert_snapshot!(refused(site("a {\n  color: red\n  margin: 0;\n}\n"), "main.scss"), @r#"
    error: x `assets/main.scss` is not valid Sass: expected ";"
       ,-[assets/main.scss:3:9]
     2 |   color: red
     3 |   margin: 0;
       :         |
       :         `-- here
     4 | }
       `----
      help: correct the stylesheet at the marked place
    "#);
    insta::assert_snapshot!(refused(site("@use 'part';\n"), "main.scss"), @r#"
    error: x `assets/_part.scss` is not valid Sass: Undefined variable
       ,-[assets/_part.scss:3:12]
     2 | 
     3 | b { color: $unknown }
       :            |
       :            `-- here
       `----
      help: correct the stylesheet at the marked place
    "#);
    insta::assert_snapshot!(refused(site("@use 'nothing';\n"), "main.scss"), @r#"
    error: x `assets/main.scss` is not valid Sass: Can't find stylesheet to import
       ,-[assets/main.scss:1:1]
     1 | @use 'nothing';
       : |
       : `-- here
       `----
      help: check the path; it is looked for beside this file, in the assets folder, and in
            `node_modules`
    "#);
    insta::assert_snapshot!(refused(site("$u: 'no.png';\na { background: url($u) }\n"), "main.scss"), @r#"
    error: x `assets/main.scss` refers to `no.png`, which isn't there
       ,-[assets/main.scss:1:6]
     1 | $u: 'no.png';
       :      ^^^|^^
       :         `-- here
     2 | a { background: url($u) }
       `----
      help: check the path: it is relative to the stylesheet that it stands in
    "#);
    insta::assert_snapshot!(refused(site("a { background: url('#{\"no\"}.png') }\n"), "main.scss"), @r#"
    error: x `assets/main.scss` refers to `no.png`, which isn't there
      help: check the path: it is relative to the stylesheet that it stands in
    "#);
    insta::assert_snapshot!(refused(site("@import '../../out.scss';\n"), "main.scss"), @r#"
    error: x `assets/main.scss` is not valid Sass: Can't find stylesheet to import
       ,-[assets/main.scss:1:9]
     1 | @import '../../out.scss';
       :         |
       :         `-- here
       `----
      help: check the path; it is looked for beside this file, in the assets folder, and in
            `node_modules`
    "#);
    let unfinished = "@use 'sass:selector';\na { b: selector.simple-selectors('> a') }\n";
    let said = refused(site(unfinished), "main.scss");
    assert!(said.contains("error: x the Sass compiler gave up on `assets/main.scss`\n  help: "), "{said}");
}

fn sass_that_is_only_a_part_is_no_file_and_need_not_compile() {
    let site = Site::new()
        .asset("main.scss", "$c: red;\n@import 'button';\n")
        .asset("button.scss", "b { color: $c }\n")
        .template("index.html", "{{ asset_tags('main.scss') }}");
    let dist = site.build(&["--no-compress"]);
    assert!(!dist.names().iter().any(|name| name.contains("button")), "{:?}", dist.names());
}

fn sass_and_css_of_one_name_are_told_apart() {
    let site = Site::new().asset("css/main.scss", "a { color: red }\n").asset("css/main.css", "a { color: blue }\n");
    insta::assert_snapshot!(refused(site, "css/main.scss"), @r#"
    error: x `css/main.css` and `css/main.scss` would both be written to `css/main.css`
      help: rename one of them, or remove it if it was compiled from the other
    "#);
}

fn what_sass_warns_of_is_told() {
    let site = Site::new()
        .asset("main.scss", "@import 'part';\na { color: red }\n")
        .asset("part.scss", "@warn 'mind this';\n@debug 1 + 1;\n")
        .template("index.html", "{{ asset_tags('main.scss') }}");
    let run = site.run(&["build", "--no-compress"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said: Vec<&str> = run.stderr.lines().filter(|line| line.contains("part.scss")).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    warning: assets/part.scss:1: "mind this"
    warning: assets/part.scss:2: 2
    "#);
}

fn bootstrap_and_fontawesome_from_their_sass() {
    let site = Site::new().asset(
        "css/site.scss",
        "$primary: #123456;\n@import 'bootstrap/scss/bootstrap';\n\
         @import '~@fortawesome/fontawesome-free/scss/fontawesome';\n@import '@fortawesome/fontawesome-free/scss/solid.scss';\n",
    );
    std::os::unix::fs::symlink(packages(), site.root().join("node_modules")).expect("a link");
    let css = compiled(site, "css/site.scss");
    assert!(css.contains("--bs-primary:#123456") && css.contains(".fa-house"), "{}", &css[..300]);
    let font = css.split("url(").find(|rest| rest.contains("fa-solid-900")).expect("a font");
    assert!(font.starts_with("../vendor/@fortawesome/fontawesome-free/webfonts/fa-solid-900-"), "{}", &font[..100]);
}

fn browsers_are_those_that_other_tools_are_told() {
    let site = |name: &str, text: &str| {
        Site::new()
            .file(name, text)
            .asset("a.css", "a { inset: 0; & b { color: red } }\n")
            .asset("a.ts", "console.log(window.name ?? 'none')\n")
            .template("index.html", "{{ asset_tags('a.css', 'a.ts') }}")
    };
    let (old, new) = ("a{top:0;bottom:0;left:0;right:0}a b{color:red}", "a{inset:0;& b{color:red}}");
    for (name, text, arguments, want) in [
        (".browserslistrc", "chrome 75 # a very old one\n", vec![], old),
        (".browserslistrc", "chrome 125\n", vec![], new),
        (".browserslistrc", "[production]\nchrome 75\n[development]\nchrome 125\n", vec![], old),
        (".browserslistrc", "[production]\nchrome 75\n[development]\nchrome 125\n", vec!["--mode", "development"], new),
        ("package.json", "{\"browserslist\": {\"production\": [\"chrome 75\"]}}", vec![], old),
        ("package.json", "{\"browserslist\": \"chrome 125\"}", vec![], new),
    ] {
        let site = site(name, text);
        let dist = site.build(&[&["--no-compress"], &arguments[..]].concat());
        let css = dist.read(&dist.named("a.css"));
        let css: String = css.split("/*#").next().expect("what comes before the map").split_whitespace().collect();
        assert_eq!(css.replace("&b", "& b").replace("ab{", "a b{").replace(";}", "}"), want, "{text}");
        assert_eq!(dist.read(&dist.named("a.ts")).contains("??"), want == new, "{text}");
    }
    let site = site(".browserslistrc", "chrome 75\n").config("[build]\ntargets = 'chrome 125'\n");
    let dist = site.build(&["--no-compress"]);
    assert!(dist.read(&dist.named("a.css")).contains("inset"), "the configuration comes first");
}

fn browsers_that_nobody_knows_are_told() {
    let site = Site::new().asset("a.css", "").file(".browserslistrc", "[production]\nnetscape 4\n");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @r#"
    error: x `netscape 4` is no browserslist query: unknown browser: 'netscape'
       ,-[.browserslistrc:2:1]
     1 | [production]
     2 | netscape 4
       : ^^^^^|^^^^
       :      `-- here
       `----
      help: write a query such as `defaults` or `last 2 versions`
    "#);
}

/// Sheets that import each other under whatever conditions, as a browser takes them, and as they are built.
fn imports_cascade_as_in_a_browser() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    const SITES: usize = 40;
    let mut site = Site::new();
    for graph in 0..SITES {
        // Layers or conditions, not both: lightningcss moves the rules of one layer together, past an `@supports` or `@media`
        // between them that adds to the same layer.
        let layers = graph % 2 == 0;
        let conditions: &[&str] = match layers {
            true => &["", "layer", "layer(x)", "layer(y)"],
            false => &["", "screen", "print", "supports(color: red)", "supports(color: red) screen"],
        };
        for file in 0..6 {
            let mut css = match layers {
                true => ["", "@layer y, x;\n", "@layer z;\n"][random(3)].to_owned(),
                false => String::new(),
            };
            for _ in 0..random(4) {
                let (to, condition) = (file + 1 + random(3), conditions[random(conditions.len())]);
                if to < 6 {
                    css += &format!("@import '{to}.css' {condition};\n");
                }
            }
            for element in 0..4 {
                // Always or never: of two rules of one selector, lightningcss keeps the later, important or not.
                let important = if element < 2 { "" } else { " !important" };
                let rule = format!(".e{element} {{ color: rgb({file}, {}, 0){important} }}\n", random(200));
                css += &match random(4) {
                    0 if layers => format!("@layer x {{ {rule} }}\n"),
                    1 if layers => format!("@layer {{ {rule} }}\n"),
                    0..=2 => rule,
                    _ => String::new(),
                };
            }
            site =
                site.asset(&format!("{graph}/{file}.css"), &css).asset(&format!("public/raw/{graph}/{file}.css"), &css);
        }
        let page = |link: &str| {
            format!("<!doctype html><title>t</title>{link}<p class=e0><p class=e1><p class=e2><p class=e3>")
        };
        site = site
            .template(&format!("built{graph}.html"), page(&format!("{{{{ asset_tags('{graph}/0.css') }}}}")))
            .template(&format!("raw{graph}.html"), page(&format!("<link rel=stylesheet href=/raw/{graph}/0.css>")));
    }
    site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let script = "return [...document.querySelectorAll('p')].map((p) => getComputedStyle(p).color).join(' ')";
    browse(async |browser| {
        for graph in 0..SITES {
            let mut colors = Vec::new();
            for page in ["raw", "built"] {
                browser.open(&format!("http://{}/{page}{graph}", server.address)).await;
                browser.until("document.readyState == 'complete'").await;
                colors.push(browser.run(script).await);
            }
            assert_eq!(colors[0], colors[1], "graph {graph}");
        }
    });
}

fn urls_are_found_wherever_they_may_stand() {
    let css = "@namespace svg url(http://www.w3.org/2000/svg);\n\
        @font-face { font-family: f; src: url('../img/p.png') format('woff2'), local('x') }\n\
        @property --p { syntax: '<url>'; inherits: true; initial-value: url('../img/p.png') }\n\
        a { --own: url(../img/p.png); cursor: url(../img/p.png) 1 1, auto; mask: url('../img/p.png#m'); filter: url(../img/p.png#f) }\n\
        b { background: image-set('../img/p.png' 1x, url(../img/p.png) 2x type('image/png')); --set: image-set('../img/p.png' 1x) }\n\
        c { background: src('../img/p.png'); list-style: var(--x) image-set(\"../img/p.png\" 1x); content: '../img/p.png' }\n\
        d { behavior: url(#default#VML); background: url(data:,x) , url(https://example.com/x.png) , url(/elsewhere.png) }\n\
        @supports (background: url(../img/p.png)) { e { border-image: url(../img/p.png) 1; clip-path: url(../img/p.png#c) } }\n\
        svg|f { fill: url(../img/p.png#g); marker: url(../img/p.png#h) }\n\
        @unknown { g { x: url(../img/p.png) } }\n\
        @counter-style s { system: cyclic; symbols: url(../img/p.png) }\n";
    let site = Site::new().asset("css/a.css", css).asset("img/p.png", "png");
    let css = compiled(site, "css/a.css");
    insta::assert_snapshot!(css.replace('}', "}\n"), @r#"
    @namespace svg "http://www.w3.org/2000/svg";@font-face{font-family:f;src:url(../img/p-8f8cbb7dcf46e0bc.png)format("woff2"),local(x)}
    @property --p{syntax:"<url>";inherits:true;initial-value:url(../img/p-8f8cbb7dcf46e0bc.png)}
    a{--own:url(../img/p-8f8cbb7dcf46e0bc.png);cursor:url(../img/p-8f8cbb7dcf46e0bc.png) 1 1,auto;filter:url(../img/p-8f8cbb7dcf46e0bc.png#f);-webkit-mask:url(../img/p-8f8cbb7dcf46e0bc.png#m);mask:url(../img/p-8f8cbb7dcf46e0bc.png#m)}
    b{--set:image-set("../img/p-8f8cbb7dcf46e0bc.png" 1x);background:-webkit-image-set(url(../img/p-8f8cbb7dcf46e0bc.png) 1x,url(../img/p-8f8cbb7dcf46e0bc.png) 2x type("image/png"));background:image-set("../img/p-8f8cbb7dcf46e0bc.png" 1x,"../img/p-8f8cbb7dcf46e0bc.png" 2x type("image/png"))}
    c{background:src("../img/p-8f8cbb7dcf46e0bc.png");list-style:var(--x) image-set("../img/p-8f8cbb7dcf46e0bc.png" 1x);content:"../img/p.png"}
    d{behavior:url(#default#VML);background:url(data:,x),url(https://example.com/x.png),url(/elsewhere.png)}
    @supports (background:url(../img/p.png)){e{clip-path:url(../img/p-8f8cbb7dcf46e0bc.png#c);border-image:url(../img/p-8f8cbb7dcf46e0bc.png) 1}
    }
    svg|f{fill:url(../img/p-8f8cbb7dcf46e0bc.png#g);marker:url(../img/p-8f8cbb7dcf46e0bc.png#h)}
    @unknown{g { x: url(../img/p-8f8cbb7dcf46e0bc.png) }
    }
    @counter-style s{system:cyclic;symbols:url(../img/p-8f8cbb7dcf46e0bc.png)}
    "#);
}

fn logical_names_are_imported_like_files() {
    let site = Site::new()
        .asset("css/main.css", "@import '/static/css/a.css';\n@import url(/assets/b.css) print;\nc { color: red }\n")
        .asset("css/a.css", "a { color: blue }\n")
        .asset("b.css", "b { color: green }\n");
    insta::assert_snapshot!(compiled(site, "css/main.css"), @"a{color:#00f}@media print{b{color:green}}c{color:red}");
    let site = Site::new().asset("css/main.css", "@import '/static/css/no.css';\n");
    insta::assert_snapshot!(refused(site, "css/main.css"), @r#"
    error: x `assets/css/main.css` imports `/static/css/no.css`, which isn't there
       ,-[assets/css/main.css:1:1]
     1 | @import '/static/css/no.css';
       : |
       : `-- here
       `----
      help: check the path; a package has to be installed in `node_modules`
    "#);
}

fn two_bundles_of_one_name_are_told_apart() {
    let bundle = "[[bundle]]\nname = 'all.css'\ninputs = ['a.css']\n";
    let site = Site::new().config(&bundle.repeat(2)).asset("a.css", "");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @r#"
    error: x two bundles are named `all.css`
       ,-[fingerpost.toml:5:9]
     4 | [[bundle]]
     5 | name = 'all.css'
       :         ^^^|^^^
       :            `-- here
     6 | inputs = ['a.css']
       `----
      help: give one of them another name, or put their inputs into one
    "#);
}

fn a_tool_makes_an_asset() {
    let site = Site::new()
        .config(
            "[[tool]]\ncommand = 'echo \"a { color: $NODE_ENV; background: url(../img/p.png) } /* $PWD */\" > {output}'\noutput = 'css/made.css'\n\
             [[tool]]\ncommand = ['hello', '--mode', 'x y']\noutput = 'data/hello.txt'\n\
             [[bundle]]\nname = 'all.css'\ninputs = ['css/made.css', 'css/own.css']\n",
        )
        .file("node_modules/.bin/hello", "#!/bin/sh\necho \"$FINGERPOST_MODE $2 $3\"\n")
        .asset("img/p.png", "png")
        .asset("css/own.css", "b { color: blue }\n")
        .asset("css/main.css", "@import 'made.css';\n")
        .template("index.html", "{{ asset_tags('all.css', 'css/main.css') }}{{ asset_url('data/hello.txt') }}");
    executable(&site, "node_modules/.bin/hello");
    let dist = site.build(&["--no-compress"]);
    insta::assert_snapshot!(dist.read(&dist.named("all.css")), @"a{color:production;background:url(img/p-8f8cbb7dcf46e0bc.png)}b{color:#00f}");
    insta::assert_snapshot!(dist.read(&dist.named("data/hello.txt")), @"production x y");
    assert!(dist.read(&dist.named("css/main.css")).contains("../img/p-"), "{}", dist.read(&dist.named("css/main.css")));
    assert!(!site.root().join("assets/css/made.css").exists(), "nothing is written among the sources");
}

fn executable(site: &Site, path: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(site.root().join(path), std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn a_tool_is_run_again_when_its_inputs_change() {
    let site = Site::new()
        .config("[[tool]]\ncommand = 'echo run >> log; cat src/*.css'\ninputs = ['src/**/*.css', 'nothing/*.html']\noutput = 'made.css'\n")
        .file("src/a.css", "a { color: red }\n")
        .template("index.html", "{{ asset_tags('made.css') }}");
    let run = site.run(&["build", "--no-compress"]);
    assert!(run.stderr.contains("no file is like `nothing/*.html`"), "{}", run.stderr);
    let runs = |site: &Site| std::fs::read_to_string(site.root().join("log")).expect("a log").lines().count();
    site.build(&["--no-compress"]);
    assert_eq!(runs(&site), 1);
    site.write("src/a.css", "a { color: blue }\n");
    let dist = site.build(&["--no-compress"]);
    assert_eq!((runs(&site), dist.read(&dist.named("made.css")).trim()), (2, "a{color:#00f}"));
    site.build(&["--no-compress", "--mode", "development"]);
    assert_eq!(runs(&site), 3);
}

fn a_tool_that_fails_says_why() {
    let failure = |command: &str| {
        let site = Site::new()
            .config(&format!("[[tool]]\ncommand = {command}\noutput = 'made.css'\n"))
            .template("index.html", "{{ asset_tags('made.css') }}");
        let run = site.run(&["build", "--no-compress"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        run.stderr
    };
    insta::assert_snapshot!(failure("'echo out; echo one >&2; echo two >&2; exit 3'"), @r#"
    error: x `echo out; echo one >&2; echo two >&2; exit 3` failed: exit status: 3
      | stderr:
      | one
      | two
      | stdout:
      | out
      help: it is run in the site's root; correct what it says, or the command
    "#);
    insta::assert_snapshot!(failure("['no-such-tool', '--input', 'x']"), @r#"
    error: x could not run `no-such-tool --input x`: there is no program `no-such-tool`
      help: install it, by `npm install` if it is a package; it is looked for in `node_modules/.bin`,
            then where the shell looks
    "#);
    insta::assert_snapshot!(failure("'true {output}'"), @r#"
    error: x `true {output}` wrote nothing to `{output}`
      help: let the command write to `{output}`, or leave that out and let it write to stdout
    "#);
    let site = Site::new().config("[[tool]]\ncommand = 'true'\noutput = 'made.css'\n").asset("made.css", "");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @r#"
    error: x a tool and a file are both named `made.css`
       ,-[fingerpost.toml:3:11]
     2 | command = 'true'
     3 | output = 'made.css'
       :           ^^^^|^^^
       :               `-- here
       `----
      help: remove the file, or let the tool's output have another name
    "#);
}

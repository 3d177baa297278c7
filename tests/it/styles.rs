//! Stylesheets in depth: what may be imported, from where, and under which conditions; CSS modules; Sass; the site's own tools.

use libtest_mimic::Trial;

use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        names_in_a_css_module_are_its_own,
        a_css_module_comes_after_what_it_composes,
        a_css_module_says_what_it_cannot_compose,
        maps_lead_through_what_was_compiled_before,
        imports_under_several_conditions_are_all_kept,
        an_import_that_a_later_one_outdoes_is_left_out,
        layers_keep_the_order_of_their_first_import,
        imports_of_other_sites_keep_their_conditions,
    ]
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
        .asset("css/tool.css", "c { color: blue }\n/*# sourceMappingURL=data:application/json,{\"version\":3,\"sources\":[\"../src/tool.less\"],\"sourcesContent\":[\"c {}\"],\"names\":[],\"mappings\":\"AAAA\"} */\n")
        .template("index.html", "{{ asset_tags('css/main.css') }}");
    let dist = site.build(&["--no-compress"]);
    let map = dist.read(&format!(".fingerpost/maps/{}.map", dist.named("css/main.css")));
    insta::assert_snapshot!(map, @"");
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

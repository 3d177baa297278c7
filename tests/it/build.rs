//! What a build makes of each kind of source.

use libtest_mimic::Trial;

use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        every_source_becomes_what_it_should,
        a_name_covers_what_it_refers_to,
        one_image_renames_what_refers_to_it_and_nothing_else,
        a_module_s_edit_renames_its_own_chunk_only,
        stylesheets_are_bundled_lowered_and_minified,
        thousands_of_stylesheets_do_not_pile_up,
        urls_in_stylesheets_are_relative,
        classic_scripts_keep_their_globals,
        node_env_and_import_meta_env_tell_the_mode,
        sidecars_decode_to_their_file,
        what_has_not_changed_keeps_its_time_and_what_was_tampered_with_is_written_again,
        source_maps_are_private_public_or_none,
        no_map_and_no_sidecar_where_none_is_wanted,
        the_vite_manifest_has_its_schema,
        parts_and_consumed_sources_are_not_emitted,
        where_nothing_is_named_the_top_of_assets_is_entries,
        modules_that_nothing_imports_are_bundled_too,
        flask_templates_render_as_they_stand,
        handwritten_urls_are_found,
        a_page_s_own_import_map_is_kept,
        public_files_keep_their_names,
        odd_names_work,
        headers_reach_the_manifest,
        a_gitkeep_is_kept,
        flags_win_over_variables_and_those_over_the_file,
        init_begins_a_site_that_builds,
        the_summary_is_a_table_or_json,
        what_another_script_may_write_is_no_constant,
        what_has_to_come_first_in_a_bundle_does,
        scripts_of_a_bundle_stay_what_they_were,
        a_written_integrity_is_made_right,
        noscript_is_looked_into,
        a_base_is_heeded,
        a_manifest_s_icons_are_found_by_key,
        sidecars_of_the_site_s_own_are_left_alone,
        deep_nesting_is_no_end,
        a_link_and_a_gitignore_stay,
    ]
}

fn page(body: &str) -> String {
    format!("<!doctype html><html lang=en><head><meta charset=utf-8><title>t</title></head><body>{body}</body></html>")
}

const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\nnot much of an image";

fn every_source_becomes_what_it_should() {
    let dist = Site::sample().build(&[]);
    let names = dist.names();
    let has = |start: &str, end: &str| names.iter().any(|name| name.starts_with(start) && name.ends_with(end));
    for (start, end) in [
        ("index.html", ".html"),
        ("strategies.html", ".br"),
        ("404.html", ".html"),
        ("assets/css/site-", ".css.zst"),
        ("assets/js/app-", ".js.gz"),
        ("assets/js/panel-", ".js"),
        ("assets/js/theme-", ".js"),
        ("assets/chunks/", ".js"),
        ("assets/fonts/fingerpost-sans-bold-", ".woff2"),
        ("assets/img/logo-", ".svg.br"),
        ("robots.txt", "robots.txt"),
        (".well-known/security.txt", ".txt"),
        ("site.webmanifest", "site.webmanifest"),
        (".vite/manifest.json", ".json"),
        (".fingerpost/maps/assets/js/app-", ".js.map"),
        (".fingerpost/maps/assets/css/site-", ".css.map"),
    ] {
        assert!(has(start, end), "{start}…{end} in {names:#?}");
    }
    let manifest = dist.manifest();
    for (path, file) in manifest["files"].as_object().expect("files") {
        assert_eq!(file["length"], dist.bytes(path).len(), "{path}");
        assert!(path.starts_with("assets/") == (file["kind"] == "asset"), "{path} is {}", file["kind"]);
    }
}

fn a_name_covers_what_it_refers_to() {
    let dist = Site::sample().build(&["--no-compress"]);
    for (path, bytes) in dist.tree().iter().filter(|(path, _)| path.starts_with("assets/")) {
        use sha2::Digest;
        let digest = hex::encode(sha2::Sha256::digest(bytes));
        assert!(path.contains(&format!("-{}.", &digest[..16])), "{path} is {digest}");
    }
}

fn one_image_renames_what_refers_to_it_and_nothing_else() {
    let site = Site::sample();
    let before = site.build(&["--no-compress"]);
    let (old_names, old) = (before.names(), before.named("css/site.css"));
    let old_page = before.read("index.html");
    let image = site.root().join("assets/img/contours.svg");
    let text = std::fs::read_to_string(&image).expect("an image");
    std::fs::write(&image, text.replacen("<svg", "<svg data-edit=\"1\"", 1)).expect("an edit");

    let after = site.build(&["--no-compress"]);
    let served =
        |names: &[String]| names.iter().filter(|name| !name.starts_with(".fingerpost")).cloned().collect::<Vec<_>>();
    let (old_names, new_names) = (served(&old_names), served(&after.names()));
    let gone: Vec<_> = old_names.iter().filter(|name| !new_names.contains(name)).collect();
    let come: Vec<_> = new_names.iter().filter(|name| !old_names.contains(name)).collect();
    let stems = |names: &[&String]| {
        names.iter().map(|name| name.rsplit_once('-').expect("a name").0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stems(&gone), ["assets/css/site", "assets/img/contours"], "{gone:?}");
    assert_eq!(stems(&come), ["assets/css/site", "assets/img/contours"], "{come:?}");

    let release = |page: &str| {
        let at = page.find("fingerpost:release").expect("a release");
        page[at..].split('"').nth(1).expect("its content").to_owned()
    };
    let new_page = after.read("index.html");
    assert_ne!(release(&old_page), release(&new_page));
    let expected =
        old_page.replace(&old, &after.named("css/site.css")).replace(&release(&old_page), &release(&new_page));
    assert_eq!(new_page, expected, "the page's reference changed, and the release that it names, and nothing else");
}

fn a_module_s_edit_renames_its_own_chunk_only() {
    let site = Site::new().asset("js/shared.ts", "export function word() { return document.title + 'one' }\n");
    let mut main = String::new();
    for index in 0..30 {
        site.write(
            &format!("assets/js/page{index}.ts"),
            format!("import {{ word }} from './shared.ts';\nconsole.log(word(), {index});\n"),
        );
        main.push_str(&format!("if (location.hash === '#{index}') import('./page{index}.ts');\n"));
    }
    let site = site.asset("js/main.ts", main).template("index.html", page("{{ asset_tags('js/main.ts') }}"));
    let scripts = |names: Vec<String>| names.into_iter().filter(|name| name.ends_with(".js")).collect::<Vec<_>>();
    let before = scripts(site.build(&["--no-compress"]).names());
    site.write("assets/js/shared.ts", "export function word() { return document.title + 'two' }\n");
    let after = scripts(site.build(&["--no-compress"]).names());
    let changed: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    assert_eq!((before.len(), changed.len()), (32, 1), "{changed:?}");
    assert!(changed[0].contains("shared"), "{changed:?}");
}

fn stylesheets_are_bundled_lowered_and_minified() {
    let site = Site::new()
        .config("[build]\ntargets = 'safari 13'\n[[bundle]]\nname = 'css/all.css'\ninputs = ['css/first.css', 'css/second.css']\n")
        .asset("css/first.css", "@import 'deep/x.css' layer(base) screen;\n.a { color: red; & .b { color: #ff0000 } }\n")
        .asset("css/deep/x.css", ".x { color: blue }\n")
        .asset("css/second.css", ".a { inset: 0 }\n");
    let dist = site.build(&[]);
    insta::assert_snapshot!(dist.read(&dist.named("css/all.css")), @"@media screen{@layer base{.x{color:#00f}}}.a{color:red}.a .b{color:red}.a{top:0;bottom:0;left:0;right:0}");
}

/// They once did, on the stacks of the threads that compile them.
fn thousands_of_stylesheets_do_not_pile_up() {
    let site = Site::new();
    for index in 0..3000 {
        site.write(&format!("assets/css/{index}.css"), format!("a{{margin:{index}px}}"));
    }
    assert_eq!(
        site.build(&["--no-compress", "-q"]).manifest()["entries"].as_object().map(serde_json::Map::len),
        Some(3000)
    );
}

fn urls_in_stylesheets_are_relative() {
    let site = Site::new()
        .asset("css/deep/a.css", "@font-face { font-family: f; src: url('../../fonts/f.woff2') format('woff2') }\n\
             a { background: url(../../img/p.png), image-set(url('../../img/p.png?v=1') 1x, '../../img/p.png#x' 2x); --u: url(/static/img/p.png) }\n\
             b { background: url(https://example.com/x.png), url('data:image/png;base64,AA=='), url(#frag), url(/robots.txt) }\n")
        .asset("fonts/f.woff2", "font")
        .asset("img/p.png", PIXEL);
    let dist = site.build(&[]);
    let css = dist.read(&dist.named("css/deep/a.css"));
    let image = dist.named("img/p.png").replacen("assets/", "../../", 1);
    let font = dist.named("fonts/f.woff2").replacen("assets/", "../../", 1);
    for want in [
        format!("url({image})"),
        format!("{image}?v=1"),
        format!("{image}#x"),
        format!("url({font})"),
        "url(https://example.com/x.png)".into(),
        "url(#frag)".into(),
        "url(/robots.txt)".into(),
        "data:image/png;base64,AA==".into(),
        format!("--u:url({image})"),
    ] {
        assert!(css.contains(&want), "{want} in {css}");
    }
}

fn classic_scripts_keep_their_globals() {
    let site = Site::new()
        .asset("js/a.js", "function shared(longName) { return longName + longName } var kept = 1; // a comment\n")
        .template("index.html", page("<script src=/static/js/a.js></script><script>function inline(longName) { return shared(longName) } // x\n</script>"));
    let dist = site.build(&[]);
    let script = dist.read(&dist.named("js/a.js"));
    assert!(script.contains("function shared(") && script.contains("kept=1"), "{script}");
    assert!(!script.contains("longName") && !script.contains("comment"), "{script}");
    let html = dist.read("index.html");
    assert!(html.contains("function inline(") && !html.contains("longName"), "{html}");
}

fn node_env_and_import_meta_env_tell_the_mode() {
    let site = Site::new()
        .asset("js/a.ts", "console.log(process.env.NODE_ENV, import.meta.env.MODE, import.meta.env.DEV);\nif (import.meta.env.PROD) console.log('only in production');\n")
        .template("index.html", page("{{ asset_tags('js/a.ts') }}"));
    for (mode, inside) in [("production", true), ("development", false)] {
        let dist = site.build(&["--mode", mode]);
        let code = dist.read(&dist.named("js/a.ts"));
        assert!(code.matches(mode).count() >= 2, "{code}");
        assert_eq!(code.contains("only in production"), inside, "{code}");
        assert_eq!(code.contains('\n') && code.trim_end().contains('\n'), mode == "development", "{code}");
        assert_eq!(dist.manifest()["mode"], mode);
    }
}

fn sidecars_decode_to_their_file() {
    let dist = Site::sample().build(&[]);
    let tree = dist.tree();
    let mut seen = 0;
    for (path, bytes) in tree {
        let Some((original, extension)) = path.rsplit_once('.').filter(|(original, _)| tree.contains_key(*original))
        else {
            continue;
        };
        let plain = match extension {
            "br" => {
                let mut out = Vec::new();
                brotli::BrotliDecompress(&mut bytes.as_slice(), &mut out).expect("brotli");
                out
            }
            "zst" => zstd::decode_all(bytes.as_slice()).expect("zstd"),
            "gz" => {
                let mut out = vec![0; tree[original].len()];
                libdeflater::Decompressor::new().gzip_decompress(bytes, &mut out).expect("gzip");
                out
            }
            _ => continue,
        };
        assert!(plain == tree[original], "{path}");
        assert!(bytes.len() < plain.len(), "{path} is smaller");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    assert!(
        !tree.keys().any(|path| path.ends_with(".png.br") || path.ends_with(".woff2.gz")),
        "what is compressed already stays"
    );
}

fn what_has_not_changed_keeps_its_time_and_what_was_tampered_with_is_written_again() {
    let site = Site::new().asset("a.txt", "one").asset("b.txt", "two").asset("c.txt", "three");
    let dist = site.build(&[]);
    let made = |name: &str| site.root().join("dist").join(dist.named(name));
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for name in ["a.txt", "b.txt"] {
        let file = std::fs::File::options().write(true).open(made(name)).expect("a file");
        file.set_modified(old).expect("a time");
    }
    std::fs::write(made("b.txt"), "TWO").expect("a file");
    std::fs::remove_file(made("c.txt")).expect("it was there");
    std::os::unix::fs::symlink(site.root().join("assets/c.txt"), made("c.txt")).expect("a link");
    let again = site.build(&[]);
    assert_eq!(dist.tree(), again.tree());
    assert_eq!(made("a.txt").metadata().expect("it is there").modified().expect("a time"), old);
    assert_ne!(made("b.txt").metadata().expect("it is there").modified().expect("a time"), old);
    assert!(!made("c.txt").is_symlink());
}

fn source_maps_are_private_public_or_none() {
    for kind in ["private", "public", "none"] {
        let site = Site::sample();
        let config = std::fs::read_to_string(site.root().join("fingerpost.toml")).expect("a configuration");
        let config = config.replace("[build]", &format!("[build]\nsource_maps = \"{kind}\""));
        assert!(config.contains("source_maps"), "the sample has a [build]");
        let dist = site.config(&config).build(&["--no-compress"]);
        let names = dist.names();
        let maps = |start: &str| names.iter().filter(|name| name.starts_with(start) && name.ends_with(".map")).count();
        assert_eq!(
            (maps(".fingerpost/maps/") > 5, maps("assets/") > 5),
            (kind == "private", kind == "public"),
            "{kind}: {names:#?}"
        );
        let code = dist.read(&dist.named("js/app.ts"));
        assert_eq!(code.contains("sourceMappingURL="), kind == "public");
        if kind == "public" {
            let map = code.rsplit("sourceMappingURL=").next().expect("a map").trim();
            let map: serde_json::Value = serde_json::from_str(&dist.read(&format!("assets/js/{map}"))).expect("JSON");
            assert!(
                map["sources"].as_array().expect("sources").iter().any(|source| source == "assets/js/app.ts"),
                "{map}"
            );
        }
    }
}

fn no_map_and_no_sidecar_where_none_is_wanted() {
    let site = Site::sample();
    let names = site.build(&["--no-compress"]).names();
    assert!(!names.iter().any(|name| [".br", ".zst", ".gz"].iter().any(|end| name.ends_with(end))), "{names:#?}");
}

fn the_vite_manifest_has_its_schema() {
    let dist = Site::sample().build(&["--no-compress"]);
    let vite: serde_json::Value = serde_json::from_str(&dist.read(".vite/manifest.json")).expect("JSON");
    let entry = &vite["assets/js/app.ts"];
    assert_eq!(entry["isEntry"], true);
    assert_eq!(entry["file"], dist.named("js/app.ts"));
    assert_eq!(entry["src"], "assets/js/app.ts");
    let later = entry["dynamicImports"].as_array().expect("dynamic imports");
    assert!(later.contains(&"assets/js/panel.ts".into()), "{entry:#}");
    assert_eq!(vite["assets/js/panel.ts"]["isDynamicEntry"], true);
    let shared = vite["assets/js/panel.ts"]["imports"][0].as_str().expect("a shared chunk");
    assert!(shared.starts_with('_') && vite[shared]["file"].is_string(), "{shared}");
    assert_eq!(vite["css/site.css"]["file"], dist.named("css/site.css"));
    for (key, chunk) in vite.as_object().expect("chunks") {
        assert!(chunk["integrity"].as_str().is_some_and(|value| value.starts_with("sha256-")), "{key}");
    }
}

fn parts_and_consumed_sources_are_not_emitted() {
    let site = Site::new()
        .asset("css/main.css", "@import 'part.css';\n")
        .asset("css/part.css", "p { color: red }\n")
        .asset("_private/x.txt", "x")
        .asset("js/main.ts", "import './inner.js';\n")
        .asset("js/inner.js", "export {}; console.log('inner')\n")
        .template("_layout.html", page("{% block b %}{% endblock %}"))
        .template("index.html", "{% extends '_layout.html' %}{% block b %}{{ asset_tags('js/main.ts', 'css/main.css') }}{% include 'inc.html' %}{% endblock %}")
        .template("inc.html", "<p>i</p>");
    let names = site.build(&["--no-compress"]).names();
    for gone in ["part", "inner", "_private", "inc.html", "_layout"] {
        assert!(!names.iter().any(|name| name.contains(gone)), "{gone} in {names:#?}");
    }
}

fn where_nothing_is_named_the_top_of_assets_is_entries() {
    let dist = Site::new()
        .asset("app.ts", "import { a } from './lib/a.ts'; console.log(a)\n")
        .asset("lib/a.ts", "export const a: number = 1\n")
        .asset("style.css", "a { color: red }\n")
        .build(&["--no-compress"]);
    assert!(dist.named("app.ts").starts_with("assets/app-") && dist.named("style.css").starts_with("assets/style-"));
    assert!(dist.read(&dist.named("app.ts")).contains("console.log"));
}

fn modules_that_nothing_imports_are_bundled_too() {
    let dist = Site::new()
        .asset("js/app.js", "import './used.js';\n")
        .asset("js/used.js", "export const u = 1; console.log(u)\n")
        .asset("js/alone.js", "import { u } from './used.js'; export const alone = u;\n")
        .template("index.html", page("<script type=module src=/static/js/app.js></script>"))
        .build(&["--no-compress"]);
    let alone = dist.read(&dist.named("js/alone.js"));
    assert!(alone.contains("export"), "{alone}");
    assert!(!dist.manifest()["entries"].as_object().expect("entries").contains_key("js/used.js"));
}

fn flask_templates_render_as_they_stand() {
    let site = Site::new()
        .asset("css/style.css", "a { color: red }\n")
        .template("base.html", "<!doctype html><html><head><link rel=\"stylesheet\" href=\"{{ url_for('static', filename='css/style.css') }}\"></head><body>\
             {% with messages = get_flashed_messages(with_categories=true) %}{% if messages %}<ul></ul>{% endif %}{% endwith %}\
             <nav><a href=\"{{ url_for('index') }}\">Home</a><a href=\"{{ url_for('blog.post', id=3, _anchor='c') }}\">Post</a></nav>\
             {% if session.user %}{{ session.user.name.upper() }}{% endif %}{% block content %}{% endblock %}<p>{{ request.path }}</p></body></html>")
        .template("index.html", "{% extends \"base.html\" %}{% block content %}{{ \"a,b\".split(\",\")|join(\"-\") }}{% endblock %}")
        .template("blog/post.html", "{% extends \"base.html\" %}");
    let dist = site.build(&["--no-compress"]);
    let html = dist.read("index.html");
    for want in [
        format!("/{}", dist.named("css/style.css")),
        "href=/>Home".into(),
        "/blog/post?id=3#c".into(),
        "a-b".into(),
        "<p>/</p>".into(),
    ] {
        assert!(html.contains(&want), "{want} in {html}");
    }
    assert!(dist.read("blog/post.html").contains("<p>/blog/post</p>"));
}

fn handwritten_urls_are_found() {
    let site = Site::new()
        .asset("img/p.png", PIXEL)
        .asset("css/a.css", "a { color: red }\n")
        .template("docs/x.html", page(
            "<link rel=stylesheet href=../assets/css/a.css><img src=/assets/img/p.png srcset='/static/img/p.png 1x, ../static/img/p.png 2x'>\
             <p style='background: url(/assets/img/p.png)'></p><img src=img/p.png><a href=https://example.com/assets/img/p.png>x</a><img src=/assets/no.png>",
        ));
    let run = site.run(&["build", "--no-compress"]);
    assert!(run.stderr.contains("warning: `docs/x.html` refers to `/assets/no.png`"), "{}", run.stderr);
    let dist = site.build(&["--no-compress"]);
    let html = dist.read("docs/x.html");
    let image = format!("/{}", dist.named("img/p.png"));
    assert_eq!(html.matches(&image).count(), 4, "{html}");
    assert!(html.contains(&format!("/{}", dist.named("css/a.css"))), "{html}");
    for kept in ["src=img/p.png", "https://example.com/assets/img/p.png", "/assets/no.png"] {
        assert!(html.contains(kept), "{kept} in {html}");
    }
}

fn a_page_s_own_import_map_is_kept() {
    let site = Site::new()
        .asset("js/a.ts", "import('./b.ts');\n")
        .asset("js/b.ts", "console.log('b');\n")
        .template("index.html", page("<script type=importmap>{\"imports\": {\"own\": \"https://example.com/own.js\"}}</script>{{ asset_tags('js/a.ts') }}"));
    let html = site.build(&["--no-compress"]).read("index.html");
    assert_eq!(html.matches("importmap").count(), 1, "{html}");
    assert!(
        html.contains("\"own\":\"https://example.com/own.js\"")
            && html.contains("/assets/js/b~")
            && html.contains("integrity"),
        "{html}"
    );
}

fn public_files_keep_their_names() {
    let dist = Site::new()
        .asset("public/robots.txt", "User-agent: *\n")
        .asset("public/.well-known/x", "x")
        .asset("public/.secret", "s")
        .asset("public/deep/a.json", "{}")
        .template("sitemap.xml", "<urlset>{{ 1 + 1 }}</urlset>")
        .build(&["--no-compress"]);
    let names = dist.names();
    for want in ["robots.txt", ".well-known/x", "deep/a.json", "sitemap.xml"] {
        assert!(names.contains(&want.to_owned()), "{want} in {names:?}");
    }
    assert!(!names.contains(&".secret".to_owned()));
    assert_eq!(dist.read("sitemap.xml"), "<urlset>2</urlset>");
}

fn odd_names_work() {
    let odd = "img/a b'ü%,#.png";
    let dist = Site::new()
        .asset(odd, PIXEL)
        .asset("css/a.css", "a { background: url(\"../img/a%20b'ü%25,%23.png\") }\n")
        .template(
            "index.html",
            page(&format!("<img src=\"{{{{ asset_url(\"{odd}\") }}}}\">{{{{ asset_tags('css/a.css') }}}}")),
        )
        .build(&["--no-compress"]);
    let url = "a%20b%27%C3%BC%25%2C%23-";
    assert!(dist.read("index.html").contains(&format!("/assets/img/{url}")), "{}", dist.read("index.html"));
    assert!(
        dist.read(&dist.named("css/a.css")).contains(&format!("../img/{url}")),
        "{}",
        dist.read(&dist.named("css/a.css"))
    );
}

fn headers_reach_the_manifest() {
    let dist = Site::new()
        .config("[[headers]]\nmatch = '*.woff2'\nset = { Access-Control-Allow-Origin = '*' }\n")
        .asset("fonts/f.woff2", "font")
        .build(&[]);
    let file = &dist.manifest()["files"][dist.named("fonts/f.woff2")];
    assert_eq!(file["headers"]["access-control-allow-origin"], "*");
}

fn a_gitkeep_is_kept() {
    let site = Site::new().asset("a.txt", "a").file("dist/.gitkeep", "");
    assert!(site.build(&[]).names().contains(&".gitkeep".to_owned()));
    assert!(site.build(&[]).names().contains(&".gitkeep".to_owned()));
}

fn flags_win_over_variables_and_those_over_the_file() {
    let site = Site::new().asset("a.txt", "a").config("[build]\nout = 'from-file'\n");
    let build = |arguments: &[&str], variable: Option<&str>| {
        let mut command = site.command(&[&["build"], arguments].concat());
        command.envs(variable.map(|out| ("FINGERPOST_OUT", out)));
        assert!(command.status().expect("it runs").success());
    };
    build(&[], None);
    build(&[], Some("from-variable"));
    build(&["--out", "from-flag"], Some("never"));
    for (folder, there) in [("from-file", true), ("from-variable", true), ("from-flag", true), ("never", false)] {
        assert_eq!(site.root().join(folder).exists(), there, "{folder}");
    }
}

fn init_begins_a_site_that_builds() {
    let site = Site::new();
    assert_eq!(site.run(&["init"]).code, Some(0));
    let dist = site.build(&[]);
    assert!(dist.read("index.html").contains("A new site"));
    assert!(dist.named("css/main.css").starts_with("assets/css/main-"));
    let again = site.run(&["init"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("already has a `fingerpost.toml`"), "{}", again.stderr);
    assert_eq!(site.run(&["init", "another"]).code, Some(0));
}

fn the_summary_is_a_table_or_json() {
    let site = Site::new()
        .asset("css/a.css", "a { color: red }\n".repeat(50))
        .template("index.html", page("{{ asset_tags('css/a.css') }}"));
    let run = site.run(&["build"]);
    insta::assert_snapshot!(format!("{}---\n{}", run.stdout, run.stderr), @r#"
     file                                size    br  from
     assets/css/a-ea159630e705fa62.css   12 B        assets/css/a.css
     index.html                         159 B  88 B  templates/index.html
    ---
    2 files, 171 B, 100 B compressed, release a92a1afab830307a
    "#);
    let json: serde_json::Value = serde_json::from_str(&site.run(&["build", "--json"]).stdout).expect("one document");
    assert_eq!(json["files"][0]["source"], "assets/css/a.css");
    assert_eq!(site.run(&["build", "-q"]).stdout, "");
}

fn what_another_script_may_write_is_no_constant() {
    let site = Site::new().asset("js/a.js", "let level = 1; function get() { return level }\n").template(
        "index.html",
        page("<script src=/static/js/a.js></script><script>let own = 1; function ours() { return own }</script>"),
    );
    let dist = site.build(&[]);
    assert!(dist.read(&dist.named("js/a.js")).contains("return level"), "{}", dist.read(&dist.named("js/a.js")));
    assert!(dist.read("index.html").contains("return own"), "{}", dist.read("index.html"));
}

fn what_has_to_come_first_in_a_bundle_does() {
    let site = Site::new()
        .config("[[bundle]]\nname = 'all.css'\ninputs = ['a.css', 'b.css']\n")
        .asset("a.css", "\u{feff}a { color: red }\n")
        .asset(
            "b.css",
            "\u{feff}@import 'https://example.com/font.css';\n@namespace s url(urn:s);\ns|b { color: red }\n",
        );
    let dist = site.build(&[]);
    insta::assert_snapshot!(dist.read(&dist.named("all.css")), @r#"
    @import "https://example.com/font.css";@namespace s "urn:s";a,s|b{color:red}
    "#);
}

fn scripts_of_a_bundle_stay_what_they_were() {
    let bundle = "[[bundle]]\nname = 'all.js'\ninputs = ['a.js', 'b.js']\n";
    let site = Site::new()
        .config(bundle)
        .asset("a.js", "\"use strict\"; var a = 1\n")
        .asset("b.js", "#!/bin/x\nfunction leak() { undeclared = a }\n");
    for mode in ["production", "development"] {
        let dist = site.build(&["--mode", mode]);
        let code = dist.read(&dist.named("all.js"));
        assert!(!code.contains("use strict") && !code.contains("#!") && code.contains("function leak"), "{code}");
    }
    let site = Site::new().config(bundle).asset("a.js", "let a = 1\n").asset("b.js", "let a = 2\n");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the scripts of `all.js` do not make one together"), "{}", run.stderr);
}

fn a_written_integrity_is_made_right() {
    let site = Site::new()
        .asset("a.css", "a { color: red }\n")
        .template("index.html", page("<link rel=stylesheet href=/static/a.css integrity=sha384-AAAA>"));
    let dist = site.build(&[]);
    let integrity = dist.manifest()["files"][dist.named("a.css")]["integrity"].as_str().expect("integrity").to_owned();
    let html = dist.read("index.html");
    assert!(html.contains(&integrity) && !html.contains("sha384"), "{html}");
}

fn noscript_is_looked_into() {
    let site = Site::new()
        .asset("css/a.css", "a { color: red }\n")
        .template("index.html", page("<noscript><link rel=stylesheet href=/static/css/a.css></noscript>"));
    let dist = site.build(&[]);
    assert!(dist.read("index.html").contains(&dist.named("css/a.css")), "{}", dist.read("index.html"));
}

fn a_base_is_heeded() {
    let site = Site::new()
        .asset("css/a.css", "a { color: red }\n")
        .template("deep/x.html", "<!doctype html><base href=/><link rel=stylesheet href=css/a.css>")
        .template("away.html", "<!doctype html><base href=https://example.com/><link rel=stylesheet href=css/a.css>");
    let dist = site.build(&[]);
    assert!(dist.read("deep/x.html").contains(&dist.named("css/a.css")), "{}", dist.read("deep/x.html"));
    assert!(dist.read("away.html").contains("href=css/a.css"), "{}", dist.read("away.html"));
}

fn a_manifest_s_icons_are_found_by_key() {
    let dist = Site::new()
        .asset("icon.svg", "<svg xmlns='http://www.w3.org/2000/svg'></svg>")
        .asset("app.webmanifest", "{\"name\": \"icon.svg\", \"icons\": [{\"src\": \"icon.svg\"}]}")
        .build(&[]);
    let want = format!("{{\"name\": \"icon.svg\", \"icons\": [{{\"src\": \"/{}\"}}]}}", dist.named("icon.svg"));
    assert_eq!(dist.read("app.webmanifest"), want);
}

fn sidecars_of_the_site_s_own_are_left_alone() {
    let site = Site::new().asset("public/map.xml", "<a/>".repeat(500)).asset("public/map.xml.gz", "mine");
    let dist = site.build(&[]);
    assert_eq!(dist.read("map.xml.gz"), "mine");
    assert!(dist.names().contains(&"map.xml.br".to_owned()));
    site.serve(&["serve", "--listen", "127.0.0.1:0"]);
}

fn deep_nesting_is_no_end() {
    let site = Site::new()
        .asset("a.css", format!("{}color: red{}", "a{".repeat(1000), "}".repeat(1000)))
        .asset("a.js", format!("var a = {}1{}", "[".repeat(2000), "]".repeat(2000)))
        .template("index.html", format!("<!doctype html>{}", "<div>".repeat(3000)));
    site.build(&["--no-compress"]);
}

fn a_link_and_a_gitignore_stay() {
    let site = Site::new().asset("a.txt", "a").file("real/.gitignore", "*\n");
    std::os::unix::fs::symlink("real", site.root().join("dist")).expect("a link");
    let dist = site.build(&[]);
    assert!(site.root().join("dist").is_symlink());
    assert_eq!(dist.read(".gitignore"), "*\n");
    assert!(site.root().join("real").join(dist.named("a.txt")).exists());
}

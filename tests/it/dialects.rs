//! The manifest in the words of other frameworks: each one is read by the framework itself, and what it makes of it is there.

use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::browser::browse;
use crate::http::get;
use crate::setup::{Need, django, laravel, packages, propshaft};
use crate::site::{Dist, Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        each_is_written_where_its_reader_looks,
        who_chose_none_gets_that_of_vite,
        what_is_chosen_is_checked,
        they_are_the_same_wherever_they_are_made,
        they_are_neither_served_nor_published,
        phoenix_has_what_its_source_asks_for,
        the_import_map_is_missed
    ];
    trials.extend(trials![
        [Need::Django];
        django_reads_its_manifest,
        whitenoise_sends_what_was_built,
        django_collects_what_is_built,
        django_manifest_loader_reads_that_of_webpack
    ]);
    trials.extend(trials![[Need::Django, Need::Browser]; django_vite_loads_a_page_with_lazy_chunks]);
    trials.extend(trials![[Need::Laravel, Need::Browser]; laravel_loads_a_page_with_lazy_chunks]);
    trials.extend(trials![[Need::Propshaft]; propshaft_reads_its_manifest]);
    trials.extend(trials![[Need::Packages, Need::Browser]; workbox_has_a_site_without_a_network]);
    trials
}

const ALL: &str = "[build]\nmanifests = ['vite', 'django', 'propshaft', 'phoenix', 'webpack', 'workbox']\n\
    import_map = 'js/import-map.js'\ntemplates = 'pages'\n";

/// Two modules that share a third, one of which loads a fourth later; with stylesheets, of which that one brings one, too.
fn site(config: &str) -> Site {
    let bundles = "[[bundle]]\nname = 'js/app.js'\ninputs = ['js/app.ts']\n[[bundle]]\nname = 'js/other.js'\ninputs = ['js/other.ts']\n\
        [[bundle]]\nname = 'js/both.js'\ninputs = ['js/one.js', 'js/two.js']\n";
    Site::new()
        .config(&format!("{config}{bundles}"))
        .asset("css/main.css", "h1 { color: rgb(1, 2, 3) }")
        .asset("css/theme.scss", "$blue: blue; a { color: $blue }")
        .asset("img/dot.svg", "<svg xmlns='http://www.w3.org/2000/svg'><rect width='1' height='1'/></svg>")
        .asset("js/app.css", "h1 { font-size: 40px }")
        .asset(
            "js/app.ts",
            "import './app.css'; import { shared } from './shared'; const data: DOMStringMap = document.documentElement.dataset;
             data.app = shared('ran'); import('./late').then(({ late }) => { data.late = late })",
        )
        .asset("js/other.ts", "import { shared } from './shared'; document.documentElement.dataset.other = shared('too')")
        .asset("js/shared.ts", "export const shared = (text: string) => [...text].map((letter) => letter.toUpperCase()).join('-')")
        .asset("js/late.ts", "import './late.css'; import { shared } from './shared'; export const late = shared('late')")
        .asset("js/late.css", "h1 { font-style: italic }")
        .asset("js/one.js", "document.documentElement.dataset.one = 'ran'; export {}")
        .asset("js/two.js", "document.documentElement.dataset.two = 'ran'; export {}")
}

/// What the page is like once all that it loads has come.
const STATE: &str = "const { app, late } = document.documentElement.dataset; const style = getComputedStyle(document.querySelector('h1'));
    return [app, late, style.color, style.fontSize, style.fontStyle]";

fn loaded() -> Value {
    json!(["R-A-N", "L-A-T-E", "rgb(1, 2, 3)", "40px", "italic"])
}

fn json_of(dist: &Dist, path: &str) -> Value {
    serde_json::from_str(&dist.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Django project over a site, with the variables that it takes.
fn project(site: &Site, command: &str, variables: &[(&str, &str)]) -> Command {
    let mut python = Command::new(django().with_file_name("python"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frameworks/site.py")).arg(command);
    python.env("SITE", site.root()).env("PYTHONDONTWRITEBYTECODE", "1").envs(variables.iter().copied());
    python
}

fn said(mut command: Command) -> String {
    let out = command.output().expect("it runs");
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn each_is_written_where_its_reader_looks() {
    let dist = site(ALL).build(&[]);
    let (main, app) = (dist.named("css/main.css"), dist.named("js/app.js"));
    let below = |file: &str| file.strip_prefix("assets/").expect("below the prefix").to_owned();
    let staticfiles = json_of(&dist, "assets/staticfiles.json");
    assert_eq!(staticfiles["version"], "1.1");
    assert_eq!(staticfiles["paths"]["css/main.css"], json!(below(&main)));
    assert_eq!(staticfiles["hash"].as_str().expect("a hash").len(), 12);
    let propshaft = json_of(&dist, "assets/.manifest.json");
    assert_eq!(propshaft["js/app.js"]["digested_path"], json!(below(&app)));
    let webpack = json_of(&dist, "assets/manifest.json");
    assert_eq!(webpack["js/app.js"], json!(below(&app)));
    assert!(webpack["js/app.css"].as_str().is_some_and(|file| file.starts_with("js/app-") && file.ends_with(".css")));
    let vite = json_of(&dist, ".vite/manifest.json");
    assert_eq!(vite["assets/js/app.ts"]["file"], json!(app));
    // Readers take it for granted that an entry has a source.
    assert_eq!(vite["js/both.js"]["src"], "js/both.js");
    let list = dist.read("precache.js");
    assert!(list.starts_with("self.__WB_MANIFEST = [{") && list.contains(&format!("/{main}")), "{list}");
    // What an entry imports at once is preloaded by others, who say no integrity.
    let map = dist.read(&dist.named("js/import-map.js"));
    let file = |name: &str| chunk(&dist, name);
    let (shared, late) = (file("shared-"), file("late-"));
    let vouches = |file: &str| map.contains(&format!("{file}\":"));
    assert!(map.contains(&shared) && !vouches(&shared) && vouches(&late), "{map}");
    // Sorted, as all that is written.
    let text = dist.read("assets/manifest.json");
    let keys: Vec<&str> = text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
    assert!(keys.len() > 5 && keys.is_sorted(), "{keys:?}");
}

/// The script's file name that begins so.
fn chunk(dist: &Dist, start: &str) -> String {
    let mut names = dist.names().into_iter().filter_map(|name| Some(name.rsplit('/').next()?.to_owned()));
    names.find(|name| name.starts_with(start) && name.ends_with(".js")).expect("a chunk")
}

fn who_chose_none_gets_that_of_vite() {
    let dist = site("[build]\ntemplates = 'pages'\n").build(&[]);
    let odd = |name: &String| name.ends_with("json") && !name.starts_with(".fingerpost/");
    let names: Vec<String> = dist.names().into_iter().filter(odd).collect();
    assert_eq!(names, [".vite/manifest.json"]);
    let none = site("[build]\nmanifests = []\ntemplates = 'pages'\n").build(&[]);
    assert!(!none.names().contains(&".vite/manifest.json".to_owned()));
}

fn what_is_chosen_is_checked() {
    let build = "[build]\ntemplates = 'pages'\nmanifests = ['vite', 'webpack']\n";
    for (config, want) in [
        ("[build]\nmanifests = ['djnago']\n".to_owned(), "no manifest is called `djnago`"),
        ("[build]\nmanifests = ['djnago']\n".to_owned(), "did you mean `django`?"),
        ("[build]\nmanifests = ['symfony']\n".to_owned(), "there are `django`, `phoenix`"),
        (format!("{build}[manifest.django]\npath = 'a.json'\n"), "`manifest.django` has no effect"),
        (format!("{build}[manifest.webpak]\npath = 'a.json'\n"), "did you mean `webpack`?"),
        (format!("{build}[manifest.vite]\npublic_path = '/'\n"), "`manifest.vite` has no `public_path`"),
        (format!("{build}[manifest.vite]\npath = '../a.json'\n"), "can't be where `manifest.vite` lies"),
        (format!("{build}[manifest.vite]\npath = '.fingerpost/a.json'\n"), "can't be where `manifest.vite` lies"),
        (format!("{build}[manifest.vite]\npath = 'assets/manifest.json'\n"), "would both be written to"),
        (format!("{build}[manifest.vite]\npath = 'robots.txt'\n"), "would replace `robots.txt`"),
        (format!("{build}import_map = 'map.json'\n"), "can't be the name of the script"),
        (format!("{build}import_map = 'js/app.js'\n"), "two things are named `js/app.js`"),
    ] {
        let run = site(&config).asset("public/robots.txt", "User-agent: *").run(&["build"]);
        assert!(run.code.is_some_and(|code| code != 0) && run.stderr.contains(want), "{config}: {}", run.stderr);
    }
    let moved = "[build]\ntemplates = 'pages'\nmanifests = ['vite', 'webpack']\n[manifest.vite]\npath = 'manifest.json'\n\
        [manifest.webpack]\npublic_path = '/assets/'\n";
    let dist = site(moved).build(&[]);
    assert!(json_of(&dist, "manifest.json")["assets/css/main.css"].is_object());
    assert_eq!(
        json_of(&dist, "assets/manifest.json")["css/main.css"],
        json!(format!("/{}", dist.named("css/main.css")))
    );
}

fn they_are_the_same_wherever_they_are_made() {
    let first = site(ALL);
    let trees = [first.build(&["--threads", "1"]), site(ALL).build(&["--threads", "4"])];
    assert_eq!(trees[0].tree(), trees[1].tree());
    let run = first.run(&["check", "--reproducible"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    // The folder is replaced whole: what is no longer wanted goes.
    first.write("fingerpost.toml", "[build]\ntemplates = 'pages'\n");
    assert!(!first.build(&[]).names().contains(&"assets/staticfiles.json".to_owned()));
}

fn they_are_neither_served_nor_published() {
    let site = site(&format!("{ALL}[env.production]\nstore = 'store'\n"));
    let dist = site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    for path in ["/.vite/manifest.json", "/assets/.manifest.json", "/assets/staticfiles.json", "/cache_manifest.json"] {
        assert!(dist.names().contains(&path[1..].to_owned()), "{path} is written");
        assert_eq!(get(&server.address, path, &[]).status, 404, "{path}");
    }
    assert_eq!(get(&server.address, "/precache.js", &[]).status, 200);
    let run = site.run(&["publish", "--env", "production"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let store = crate::site::tree(&site.root().join("store"));
    assert!(store.keys().any(|name| name.ends_with(&dist.named("css/main.css"))));
    let strange =
        |name: &&String| name.contains("staticfiles") || name.contains("cache_manifest") || name.contains(".vite");
    assert_eq!(store.keys().find(strange), None);
}

/// After `warmup_static` and `static_cache` of `lib/phoenix/endpoint/supervisor.ex`, Phoenix 1.8: no test runs Phoenix itself.
fn phoenix_has_what_its_source_asks_for() {
    let dist = site(ALL).build(&[]);
    let manifest = json_of(&dist, "cache_manifest.json");
    assert_eq!(manifest["version"], 1);
    let (latest, digests) =
        (manifest["latest"].as_object().expect("a map"), manifest["digests"].as_object().expect("a map"));
    // `static_path("/assets/css/main.css")`
    let lookup = |path: &str| {
        let value = latest[&path[1..]].as_str().expect("a file");
        (format!("/{value}?vsn=d"), format!("sha512-{}", digests[value]["sha512"].as_str().expect("base64")))
    };
    let (url, integrity) = lookup("/assets/css/main.css");
    assert_eq!(url, format!("/{}?vsn=d", dist.named("css/main.css")));
    // `printf 'h1{color:#010203}' | openssl dgst -sha512 -binary | base64`, were it minified to that.
    use base64::Engine;
    use sha2::Digest;
    let sha512 = sha2::Sha512::digest(dist.bytes(&dist.named("css/main.css")));
    assert_eq!(integrity, format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(sha512)));
    for (file, digested) in digests {
        let size = dist.bytes(file).len();
        assert_eq!(digested["size"], json!(size), "{file}");
        assert!(latest.contains_key(digested["logical_path"].as_str().expect("a path")), "{file}");
        assert!(digested["mtime"].is_u64() && digested["digest"].is_string(), "{file}");
    }
}

/// A page of another framework would find no chunk: whoever chose manifests for one is told.
fn the_import_map_is_missed() {
    let chosen = "[build]\ntemplates = 'pages'\nmanifests = ['vite']\n";
    let run = site(chosen).run(&["build"]);
    assert!(run.code == Some(0) && run.stderr.contains("import_map"), "{}", run.stderr);
    for quiet in ["[build]\ntemplates = 'pages'\n".to_owned(), format!("{chosen}import_map = 'js/import-map.js'\n")] {
        let run = site(&quiet).run(&["build"]);
        assert!(run.code == Some(0) && !run.stderr.contains("import_map"), "{}", run.stderr);
    }
}

fn django_reads_its_manifest() {
    let site = site(ALL).file(
        "views/page.html",
        "{% load static %}{% static 'css/main.css' %} {% static 'css/theme.scss' %} {% static 'css/theme.css' %} {% static 'img/dot.svg' %}",
    );
    let dist = site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let base = format!("http://{}/assets/", server.address);
    let page = said(project(&site, "render", &[("STATIC_URL", &base)]));
    let urls: Vec<&str> = page.split_whitespace().collect();
    let want: Vec<String> =
        ["css/main.css", "css/theme.scss", "css/theme.scss", "img/dot.svg"].map(|name| dist.named(name)).to_vec();
    assert_eq!(urls, want.iter().map(|file| format!("http://{}/{file}", server.address)).collect::<Vec<_>>());
    for (url, file) in urls.iter().zip(&want) {
        let answer = get(&server.address, url.split_at(base.len() - "/assets/".len()).1, &[]);
        assert_eq!((answer.status, answer.body.as_slice()), (200, dist.bytes(file)), "{url}");
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("immutable")), "{url}");
    }
    // Django is strict: what is not in the manifest is an error.
    site.write("views/page.html", "{% load static %}{% static 'css/none.css' %}");
    let out = project(&site, "render", &[]).output().expect("it runs");
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(error.contains("Missing staticfiles manifest entry for 'css/none.css'"), "{error}");
}

fn whitenoise_sends_what_was_built() {
    let site = site(ALL).file("views/page.html", "{% load static %}{% static 'css/main.css' %}");
    site.write("assets/css/main.css", crate::site::long_stylesheet());
    let dist = site.build(&[]);
    let server = Server::start(project(&site, "serve", &[("BACKEND", "whitenoise")]));
    let url = get(&server.address, "/", &[]).text();
    assert_eq!(url, format!("/{}", dist.named("css/main.css")));
    let answer = get(&server.address, &url, &[("accept-encoding", "gzip, br")]);
    let sidecar = format!("{}.br", dist.named("css/main.css"));
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("br")));
    assert_eq!(answer.body, dist.bytes(&sidecar), "the sidecar that the build made");
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("immutable")), "{answer:?}");
}

/// The way for projects whose apps have static files of their own, as the admin does.
fn django_collects_what_is_built() {
    let site = Site::new()
        .config("[build]\nmanifests = ['django']\nassets = 'collected'\ntemplates = 'pages'\n")
        .file("own/css/main.css", "h1 { color: red }")
        .file("views/page.html", "{% load static %}{% static 'css/main.css' %} {% static 'admin/css/base.css' %}");
    let collected = site.root().join("collected");
    let collected = collected.to_str().expect("a path");
    let variables = [("BACKEND", "collected"), ("COLLECTED", collected)];
    said(project(&site, "collect", &variables));
    let dist = site.build(&[]);
    let page = said(project(&site, "render", &variables));
    let want = ["css/main.css", "admin/css/base.css"].map(|name| format!("/{}", dist.named(name)));
    assert_eq!(page.split_whitespace().collect::<Vec<_>>(), want);
    // What the admin's stylesheet refers to comes with it.
    assert!(dist.named("admin/img/search.svg").starts_with("assets/admin/img/search-"));
}

fn django_manifest_loader_reads_that_of_webpack() {
    let site = site(ALL).file(
        "views/page.html",
        "{% load manifest %}{% manifest 'js/app.js' %} {% manifest 'img/dot.svg' %}{% manifest_match 'css/m*.css' ' [{match}]' %}",
    );
    let dist = site.build(&[]);
    let page = said(project(&site, "render", &[("BACKEND", "plain")]));
    let [app, dot, main] = ["js/app.js", "img/dot.svg", "css/main.css"].map(|name| dist.named(name));
    assert_eq!(page, format!("/{app} /{dot} [/{main}]"));
}

fn django_vite_loads_a_page_with_lazy_chunks() {
    // Both of Django's ways to name a file, from one folder.
    let config = "[build]\nmanifests = ['vite', 'django']\nimport_map = 'js/import-map.js'\ntemplates = 'pages'\n\
        [manifest.django]\npath = 'staticfiles.json'\n";
    let site = site(config).file(
        "views/page.html",
        "{% load django_vite static %}<!doctype html><html><head><meta charset=utf-8><title>Django</title><link rel=icon href=data:,>\
         <script src=\"{% vite_asset_url 'js/import-map.js' %}\"></script>\
         <link rel=stylesheet href=\"{% static 'css/main.css' %}\">{% vite_asset 'assets/js/app.ts' %}</head>\
         <body><h1>Django</h1></body></html>",
    );
    let dist = site.build(&[]);
    let server = Server::start(project(&site, "serve", &[("STATIC_URL", "/static/"), ("BELOW", "")]));
    let page = get(&server.address, "/", &[]).text();
    let app = dist.named("js/app.js");
    let vite = json_of(&dist, ".vite/manifest.json");
    let chunk = &vite["assets/js/app.ts"];
    let shared =
        vite[chunk["imports"][0].as_str().expect("what two share is a chunk")]["file"].as_str().expect("a file");
    assert!(
        page.contains(&format!("<script type=\"module\" crossorigin=\"\" src=\"/static/{app}\"></script>")),
        "{page}"
    );
    assert!(
        page.contains(&format!(
            "<link href=\"/static/{shared}\" type=\"text/javascript\" crossorigin=\"anonymous\" rel=\"modulepreload\""
        )),
        "{page}"
    );
    assert!(
        page.contains(&format!(
            "rel=\"stylesheet\" href=\"/static/{}\"",
            chunk["css"][0].as_str().expect("a stylesheet")
        )),
        "{page}"
    );
    browse(async |page| {
        page.open(&format!("http://{}/", server.address)).await;
        page.until("document.documentElement.dataset.late").await;
        assert_eq!(page.run(STATE).await, loaded());
        assert_eq!(page.complaints().await, Vec::<String>::new());
        let twice = "return performance.getEntriesByType('resource').map((entry) => entry.name).filter((name, at, all) => all.indexOf(name) !== at)";
        assert_eq!(page.run(twice).await, json!([]), "nothing is fetched twice");
    });
}

fn laravel_loads_a_page_with_lazy_chunks() {
    // As an application has it: everything below `public/` is served, and the build is a folder of it.
    let config = "[build]\nmanifests = ['vite']\nimport_map = 'js/import-map.js'\ntemplates = 'pages'\nout = 'public/build'\n\
        [manifest.vite]\npath = 'manifest.json'\n";
    let site = site(config);
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let public = site.root().join("public");
    let mut php = Command::new("php");
    php.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frameworks/laravel.php")).arg(laravel()).arg(&public);
    let printed = said(php);
    let (elements, image) = printed.rsplit_once('\n').expect("the image's URL comes last");
    assert!(image.starts_with("/build/assets/img/dot-") && public.join(&image[1..]).is_file(), "{image}");
    for want in [
        "<link rel=\"modulepreload\" href=\"/build/assets/",
        "integrity=\"sha256-",
        "<script type=\"module\" src=\"/build/assets/js/app-",
    ] {
        assert!(elements.contains(want), "{want} in {elements}");
    }
    let head = format!(
        "<!doctype html><html><head><meta charset=utf-8><title>Laravel</title><link rel=icon href=data:,>{elements}</head>"
    );
    std::fs::write(public.join("index.html"), format!("{head}<body><h1>Laravel</h1></body></html>")).expect("a page");
    let mut server = Command::new("php");
    // PHP's own server says where it listens only in a sentence of its own: a port that is free now is taken.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    server.args(["-S", &format!("127.0.0.1:{port}"), "-t"]).arg(&public);
    let server = Server::spawn(server);
    server.wait_for("started");
    browse(async |page| {
        page.open(&format!("http://127.0.0.1:{port}/")).await;
        page.until("document.documentElement.dataset.late && document.documentElement.dataset.two").await;
        assert_eq!(page.run(STATE).await, loaded());
        assert_eq!(page.complaints().await, Vec::<String>::new());
    });
}

fn propshaft_reads_its_manifest() {
    let site = site(ALL);
    let dist = site.build(&[]);
    let names = ["css/main.css", "css/theme.css", "js/app.js", "img/dot.svg", "js/app.css", "css/none.css"];
    let mut ruby = Command::new("ruby");
    ruby.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frameworks/propshaft.rb")).arg(propshaft());
    ruby.arg(site.root().join("dist/assets")).args(names);
    let read: Value = serde_json::from_str(&said(ruby)).expect("JSON");
    let files = dist.manifest()["files"].clone();
    for (name, read) in
        ["css/main.css", "css/theme.scss", "js/app.js", "img/dot.svg"].iter().zip(read.as_array().expect("a list"))
    {
        let file = dist.named(name);
        assert_eq!(*read, json!([format!("/{file}"), files[&file]["integrity"], dist.bytes(&file).len()]), "{name}");
    }
    assert!(
        read[4][0].as_str().is_some_and(|url| url.starts_with("/assets/js/app-") && url.ends_with(".css")),
        "{read}"
    );
    assert_eq!(read[5], json!([null, null, null]));
}

/// A worker of one's own, bundled by the build from Workbox's packages, with the list that the build has made for it.
fn workbox_has_a_site_without_a_network() {
    let page = "<!doctype html><html><head><meta charset=utf-8><title>Front</title><link rel=icon href=data:,>\
        <link rel=stylesheet href=/static/a.css><script>navigator.serviceWorker.register('/sw.js')</script>\
        <script type=module src=/static/app.js></script></head><body><h1>Front</h1></body></html>";
    let site = Site::new()
        .config(
            "[build]\nmanifests = ['workbox']\n[manifest.workbox]\nprecache = ['*.css', 'app*.js', 'late*.js', 'index.html']\n\
             [[bundle]]\nname = 'worker.js'\ninputs = ['node_modules/workbox-core/build/workbox-core.prod.js',\
             'node_modules/workbox-routing/build/workbox-routing.prod.js', 'node_modules/workbox-strategies/build/workbox-strategies.prod.js',\
             'node_modules/workbox-precaching/build/workbox-precaching.prod.js', 'worker.js']\n",
        )
        .asset("a.css", "h1 { color: rgb(1, 2, 3) }")
        .asset("app.js", "import('./late.js').then(({ late }) => { document.documentElement.dataset.late = late })")
        .asset("late.js", "export const late = 'ran'")
        .asset(
            "worker.js",
            "self.skipWaiting(); addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
             workbox.precaching.precacheAndRoute(self.__WB_MANIFEST);",
        )
        .asset("public/sw.js", "importScripts('/precache.js', '/static/worker.js')")
        .template("index.html", page);
    std::os::unix::fs::symlink(packages(), site.root().join("node_modules")).expect("a link");
    site.build(&[]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address.clone();
    browse(async |page| {
        page.open(&format!("http://{address}/")).await;
        page.until("navigator.serviceWorker.controller?.state === 'activated'").await;
        drop(server);
        page.open(&format!("http://{address}/")).await;
        page.until("document.documentElement.dataset.late === 'ran'").await;
        let color = page.run("return getComputedStyle(document.querySelector('h1')).color").await;
        assert_eq!(color, json!("rgb(1, 2, 3)"));
    });
}

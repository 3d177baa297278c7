//! Publishing as a program: to a folder, and its plan. The bucket is tested beside the code, and by `preview`.

use libtest_mimic::Trial;

use crate::site::{Site, long_stylesheet, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_folder_gets_the_release,
        the_second_time_nothing_is_uploaded,
        a_dry_run_says_why_and_changes_nothing,
        one_change_uploads_what_it_changed,
        a_store_that_fails_is_exit_code_4,
        an_environment_without_a_store,
        maps_and_dot_folders_stay_home,
        private_maps_go_to_a_store_of_their_own,
        a_release_whose_maps_have_no_place_does_not_go_live,
        the_release_before_is_live_again,
        old_releases_are_pruned,
        releases_that_are_not_there_are_told,
    ]
}

fn site() -> Site {
    Site::new()
        .config("[env.production]\nasset_base = 'https://cdn.example.com/'\nstore = 'published'\n")
        .asset("css/a.css", long_stylesheet())
        .asset("public/robots.txt", "User-agent: *\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}")
        .template("about.html", "<!doctype html><title>about</title>")
}

fn publish(site: &Site, arguments: &[&str]) -> serde_json::Value {
    let run = site.run(&[&["publish", "--json"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).expect("one JSON document")
}

fn a_folder_gets_the_release() {
    let site = site();
    let dist = site.build(&[]);
    let report = publish(&site, &[]);
    let release = dist.manifest()["release"].as_str().expect("a release").to_owned();
    assert_eq!((&report["release"], &report["moved"]), (&release.clone().into(), &true.into()));
    let store = tree(&site.root().join("published"));
    let css = dist.named("css/a.css");
    for key in [
        css.clone(),
        format!("{css}.br"),
        format!("releases/{release}/index.html"),
        format!("releases/{release}/robots.txt"),
        format!("releases/{release}.json"),
        "current.json".to_owned(),
        "index.html".to_owned(),
    ] {
        assert!(store.contains_key(&key), "{key} in {:#?}", store.keys());
    }
    let text = |key: &str| String::from_utf8_lossy(&store[key]).into_owned();
    assert!(text(&format!("releases/{release}/index.html")).contains(&format!("https://cdn.example.com/{css}")));
    let current: serde_json::Value = serde_json::from_str(&text("current.json")).expect("JSON");
    assert_eq!(current["release"], release);
    let record: serde_json::Value = serde_json::from_str(&text(&format!("releases/{release}.json"))).expect("JSON");
    let headers = &record["objects"][format!("{css}.br")]["headers"];
    assert_eq!(headers["content-type"], "text/css; charset=utf-8");
    assert_eq!(headers["content-encoding"], "br");
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");

    let place = |key: &str| {
        let steps = report["steps"].as_array().expect("steps");
        steps.iter().position(|step| step["key"] == key).unwrap_or_else(|| panic!("{key} in {steps:#?}"))
    };
    let order = [
        css.as_str(),
        &format!("releases/{release}/index.html"),
        &format!("releases/{release}.json"),
        "index.html",
        "current.json",
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{:#?}", report["steps"]);
}

fn the_second_time_nothing_is_uploaded() {
    let site = site();
    site.build(&[]);
    publish(&site, &[]);
    let before = tree(&site.root().join("published"));
    site.build(&[]);
    let report = publish(&site, &[]);
    assert_eq!((&report["uploaded"], &report["moved"]), (&0.into(), &false.into()), "{report:#}");
    assert_eq!(tree(&site.root().join("published")), before);
}

/// Publishes the site with another title; the release.
fn publish_titled(site: &Site, title: &str) -> String {
    site.write(
        "templates/index.html",
        format!("<!doctype html><title>{title}</title>{{{{ asset_tags('css/a.css') }}}}"),
    );
    site.build(&[]);
    publish(site, &[])["release"].as_str().expect("a release").to_owned()
}

fn json(site: &Site, arguments: &[&str]) -> serde_json::Value {
    let run = site.run(&[arguments, &["--json"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).expect("one JSON document")
}

fn the_release_before_is_live_again() {
    let site = site();
    let (one, two) = (publish_titled(&site, "one"), publish_titled(&site, "two"));
    let read = |path: &str| std::fs::read_to_string(site.root().join("published").join(path)).expect(path);
    let listed = json(&site, &["releases"]);
    let listed = listed["releases"].as_array().expect("releases");
    let of = |release: &str| listed.iter().find(|r| r["release"] == release).expect("it is listed");
    assert_eq!((&of(&two)["live"], &of(&one)["live"], &of(&one)["missing"]), (&true.into(), &false.into(), &0.into()));
    let table = site.run(&["releases"]);
    assert!(table.stdout.lines().any(|line| line.contains(&two) && line.contains(" live ")), "{}", table.stdout);

    let plan = json(&site, &["rollback", "--dry-run"]);
    assert_eq!((&plan["to"], &plan["moved"]), (&one.clone().into(), &true.into()));
    assert!(read("index.html").contains("two") && read("current.json").contains(&two));
    let run = site.run(&["rollback"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("release {one} is live")) && run.stderr.contains(&two), "{}", run.stderr);
    assert!(read("index.html").contains("one") && read("current.json").contains(&one));
    assert_eq!(json(&site, &["rollback", &two[..6]])["to"], two);
    assert!(read("index.html").contains("two"));
}

fn old_releases_are_pruned() {
    let site = site();
    let releases = ["one", "two", "three"].map(|title| publish_titled(&site, title));
    let store = site.root().join("published");
    for release in &releases {
        let record = std::fs::File::options().write(true).open(store.join(format!("releases/{release}.json")));
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(100 * 24 * 60 * 60);
        record.and_then(|record| record.set_modified(time)).expect("its time is set");
    }
    let before = tree(&store);
    let arguments = ["prune", "--keep-releases", "0", "--keep-days", "0"];
    let plan = json(&site, &[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(tree(&store), before, "nothing was deleted");
    assert_eq!(plan["dropped"], serde_json::json!([releases[0]]));
    let done = json(&site, &arguments);
    assert_eq!(done["deleted"], plan["deleted"]);
    let after = tree(&store);
    assert!(!after.keys().any(|key| key.contains(&releases[0])), "{:#?}", after.keys());
    assert_eq!(after.get("index.html"), before.get("index.html"));
    assert!(publish(&site, &[])["moved"] == false, "what is live is whole");
    assert_eq!(json(&site, &["rollback"])["to"], releases[1]);
}

fn releases_that_are_not_there_are_told() {
    let site = site();
    let run = site.run(&["rollback"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("holds no live release"), "{}", run.stderr);
    publish_titled(&site, "one");
    for arguments in [&["rollback"][..], &["rollback", "0000"], &["releases", "-e", "nowhere"]] {
        let run = site.run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
    }
    let run = site.run(&["prune", "-e", "development"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("has no store"), "{}", run.stderr);
}

fn a_dry_run_says_why_and_changes_nothing() {
    let site = site();
    site.build(&[]);
    let report = publish(&site, &["--dry-run"]);
    assert_eq!(report["dry_run"], true);
    let steps = report["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{steps:#?}");
    assert!(!site.root().join("published").exists());
    let table = site.run(&["publish", "--dry-run"]).stdout;
    assert!(table.contains("not in the store"), "{table}");
}

fn one_change_uploads_what_it_changed() {
    let site = site();
    site.build(&[]);
    publish(&site, &[]);
    site.write("templates/about.html", "<!doctype html><title>changed</title>");
    let dist = site.build(&[]);
    let report = publish(&site, &[]);
    let steps = report["steps"].as_array().expect("steps");
    let css = dist.named("css/a.css");
    let kept = steps.iter().filter(|step| step["key"].as_str().is_some_and(|key| key.starts_with(&css)));
    assert!(kept.clone().count() == 4 && kept.clone().all(|step| step["action"] == "keep"), "{steps:#?}");
    let root = steps.iter().find(|step| step["key"] == "about.html").expect("the page at the root");
    assert_eq!(root["action"], "replace");
    assert_eq!(report["moved"], true);
}

fn a_store_that_fails_is_exit_code_4() {
    // Nothing listens on this port: it was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let site =
        site().config(&format!("[env.production]\nstore = 's3://bucket'\nendpoint = 'http://127.0.0.1:{port}'\n"));
    site.build(&[]);
    let mut command = site.command(&["publish"]);
    command
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let out = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(4), "{told}");
    assert!(told.contains("s3://bucket") && told.contains("endpoint"), "{told}");

    let site = Site::new()
        .config("[env.production]\nstore = 'published'\n")
        .asset("a.txt", "a")
        .file("published", "a file in the way");
    site.build(&[]);
    assert_eq!(site.run(&["publish"]).code, Some(4));
}

fn an_environment_without_a_store() {
    let site = site();
    site.build(&[]);
    let run = site.run(&["publish", "-e", "development"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("has no store") && run.stderr.contains("[env.development]"), "{}", run.stderr);
}

fn maps_and_dot_folders_stay_home() {
    let site = site().asset("js/a.js", "console.log(1)\n").asset("public/.well-known/x", "x");
    site.build(&[]);
    publish(&site, &[]);
    let store = tree(&site.root().join("published"));
    assert!(
        !store.keys().any(|key| key.contains(".fingerpost") || key.contains(".vite") || key.ends_with(".map")),
        "{:#?}",
        store.keys()
    );
    assert!(store.contains_key(".well-known/x"));
}

fn site_with_maps(maps_store: &str) -> Site {
    Site::new()
        .config(&format!("[env.production]\nstore = 'published'\nmaps_store = '{maps_store}'\n"))
        .asset("js/a.ts", "const text: string = document.title;\nconsole.log(text);\n")
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('js/a.ts') }}")
}

fn private_maps_go_to_a_store_of_their_own() {
    let site = site_with_maps("maps");
    let dist = site.build(&[]);
    let plan = publish(&site, &["--dry-run"]);
    assert!(!site.root().join("maps").exists(), "nothing was changed");
    let run = site.run(&["publish"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("source maps: 2 uploaded ("), "{}", run.stderr);
    let maps = tree(&site.root().join("maps"));
    let map = format!("{}.map", dist.named("js/a.ts"));
    assert_eq!(maps.get(&map).map(Vec::as_slice), Some(dist.bytes(&format!(".fingerpost/maps/{map}"))));
    let release = dist.manifest()["release"].as_str().expect("a release").to_owned();
    let index: serde_json::Value = serde_json::from_slice(&maps[&format!("releases/{release}.json")]).expect("JSON");
    assert_eq!(index["maps"][&map]["length"], maps[&map].len());
    let planned: Vec<&str> =
        plan["maps"]["steps"].as_array().expect("steps").iter().filter_map(|step| step["key"].as_str()).collect();
    assert_eq!(planned, maps.keys().collect::<Vec<_>>());
    assert!(!tree(&site.root().join("published")).keys().any(|key| key.ends_with(".map")), "they stay private");
    let again = publish(&site, &[]);
    assert_eq!((&again["maps"]["uploaded"], &again["maps"]["kept"]), (&0.into(), &2.into()));

    let run = site_with_maps("published/maps").run(&["publish"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("would lie where the public files do"), "{}", run.stderr);
}

fn a_release_whose_maps_have_no_place_does_not_go_live() {
    let site = site_with_maps("taken/maps").file("taken", "a file");
    site.build(&[]);
    let run = site.run(&["publish"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(!site.root().join("published").exists(), "what is live stays");
}

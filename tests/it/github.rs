//! What a workflow of GitHub's is told: annotations in the log, and a summary.

use libtest_mimic::Trial;

use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        errors_are_annotated_at_their_place,
        warnings_are_annotated,
        nothing_is_annotated_elsewhere,
        the_summary_has_files_changes_and_budgets,
        a_publish_and_a_rollback_set_outputs,
        the_summary_says_what_was_published,
    ]
}

fn run(site: &Site, workspace: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = site.command(arguments);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", workspace);
    command.env("GITHUB_STEP_SUMMARY", site.root().join("summary.md"));
    command.env("GITHUB_OUTPUT", site.root().join("output"));
    let out = command.output().expect("it runs");
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

fn commands(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with("::")).collect()
}

fn errors_are_annotated_at_their_place() {
    let site = Site::new().asset("css/a,b.css", "a { color: red }\nb { background: url('no.png') }\n");
    let (folder, name) = (site.root().parent().expect("a folder"), site.root().file_name().expect("a name"));
    let (code, stderr) = run(&site, folder, &["build"]);
    assert_eq!(code, Some(1), "{stderr}");
    let want = format!(
        "::error file={}/assets/css/a%2Cb.css,line=2,col=22,title=fingerpost::`assets/css/a,b.css` refers to `no.png`, which isn't \
         there%0Acheck the path: it is relative to the stylesheet that it stands in",
        name.to_string_lossy()
    );
    assert_eq!(commands(&stderr), [want]);
}

fn warnings_are_annotated() {
    let site = Site::new().asset("a.txt", "100 %").template("index.html", "<!doctype html><img src=/assets/50%25.png>");
    let (code, stderr) = run(&site, site.root(), &["build"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        commands(&stderr),
        ["::warning title=fingerpost::`index.html` refers to `/assets/50%2525.png`, and there is no such asset"]
    );
}

fn nothing_is_annotated_elsewhere() {
    let site = Site::new().asset("a.css", "a { background: url(no.png) }");
    let mut command = site.command(&["build"]);
    command.env_remove("GITHUB_ACTIONS");
    let out = command.output().expect("it runs");
    assert_eq!(commands(&String::from_utf8_lossy(&out.stderr)), [""; 0]);
}

fn the_summary_has_files_changes_and_budgets() {
    let site = Site::new().asset("a|b.txt", "one").config("[[budget]]\nmatch = '*.txt'\nmax_raw = 2\n");
    let (code, _) = run(&site, site.root(), &["build"]);
    assert_eq!(code, Some(3));
    site.write("assets/a|b.txt", "two");
    run(&site, site.root(), &["build"]);
    let text = std::fs::read_to_string(site.root().join("summary.md")).expect("a summary");
    assert_eq!(text.matches("### fingerpost").count(), 2, "it is added to");
    let last = text.rsplit("### ").next().expect("a section");
    insta::assert_snapshot!(last, @r"
    fingerpost

    1 files, 3 B, 3 B compressed, release ae7ad8ff6c200098

    **Over budget**

    - `assets/a|b-3fc4ccfe745870e2.txt` is 3 B as it is: 1 byte (50.0 %) more than the 2 B of the budget for `*.txt`

    1 of 1 names changed: 1 edited (assets/a|b.txt)

    | file | size | br | was |
    |---|---:|---:|---|
    | `assets/a\|b-3fc4ccfe745870e2.txt` | 3 B |  | `assets/a\|b-7692c3ad3540bb80.txt` |
    ");
}

/// What the runner reads: `NAME<<END`, the value's lines, `END`.
fn outputs(site: &Site) -> std::collections::BTreeMap<String, String> {
    let path = site.root().join("output");
    let text = std::fs::read_to_string(&path).expect("outputs");
    std::fs::remove_file(path).expect("a file");
    let mut lines = text.lines();
    let mut outputs = std::collections::BTreeMap::new();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap_or_else(|| panic!("{line}"));
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        outputs.insert(name.to_owned(), value.join("\n"));
    }
    outputs
}

/// Published twice, with different pages.
fn published() -> (Site, [String; 2]) {
    // A name with a line of its own is what no plain `name=value` carries.
    let site = Site::new().config("[env.production]\nstore = \"pub\\nrelease=evil\"\n").asset("a.txt", "one");
    let releases = ["one", "two"].map(|text| {
        site.write("assets/a.txt", text);
        let (code, stderr) = run(&site, site.root(), &["build"]);
        assert_eq!(code, Some(0), "{stderr}");
        let release = outputs(&site)["release"].clone();
        std::fs::remove_file(site.root().join("summary.md")).expect("a summary");
        let (code, stderr) = run(&site, site.root(), &["publish"]);
        assert_eq!(code, Some(0), "{stderr}");
        release
    });
    (site, releases)
}

fn a_publish_and_a_rollback_set_outputs() {
    let (site, [one, two]) = published();
    let set = outputs(&site);
    let of = |name: &str| set[name].as_str();
    assert_eq!((of("release"), of("previous"), of("moved")), (two.as_str(), one.as_str(), "true"));
    assert_eq!((of("environment"), of("kept")), ("production", "0"));
    assert!(of("bytes").parse::<u64>().expect("a number") > 0 && of("uploaded") != "0");
    assert!(of("store").ends_with("/pub\nrelease=evil"), "{set:?}");

    run(&site, site.root(), &["publish"]);
    let set = outputs(&site);
    assert_eq!((set["moved"].as_str(), set["uploaded"].as_str(), &set["previous"]), ("false", "0", &two));
    run(&site, site.root(), &["publish", "--dry-run"]);
    assert_eq!(outputs(&site)["moved"], "false");

    run(&site, site.root(), &["rollback", "--dry-run"]);
    let set = outputs(&site);
    assert_eq!((&set["release"], set["moved"].as_str()), (&one, "false"));
    run(&site, site.root(), &["rollback"]);
    let set = outputs(&site);
    assert_eq!((&set["release"], &set["previous"], set["moved"].as_str()), (&one, &two, "true"));
}

fn the_summary_says_what_was_published() {
    let (site, [one, two]) = published();
    run(&site, site.root(), &["rollback"]);
    let text = std::fs::read_to_string(site.root().join("summary.md")).expect("a summary");
    let [_, published, back]: [&str; 3] = text.split("### ").collect::<Vec<_>>().try_into().expect("two sections");
    assert!(published.starts_with("fingerpost: production\n\n"), "{published}");
    assert!(published.contains(&format!("release `{two}` is live at `")) && published.contains(&one), "{published}");
    assert!(published.contains(" uploaded (") && published.contains("| point |"), "{published}");
    assert!(
        back.contains(&format!("release `{one}` is live at `")) && back.contains(&format!("after `{two}`")),
        "{back}"
    );
}

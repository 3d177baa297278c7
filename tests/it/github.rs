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
    ]
}

fn run(site: &Site, workspace: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = site.command(arguments);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", workspace);
    command.env("GITHUB_STEP_SUMMARY", site.root().join("summary.md"));
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

//! Budgets: what is over one fails the build with exit code 3, and the output is there all the same.

use libtest_mimic::Trial;

use crate::site::{Site, long_stylesheet};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_breach_says_which_file_which_limit_and_by_how_much,
        several_breaches_are_all_told,
        what_is_within_its_budget_says_nothing,
        the_sum_of_all_that_match_has_a_budget,
        brotli_is_measured_where_none_is_made,
        a_budget_that_matches_nothing_is_a_warning,
        a_breach_is_in_the_one_document,
        bad_budgets,
    ]
}

fn site(budget: &str) -> Site {
    Site::new()
        .config(&format!("[[budget]]\n{budget}\n"))
        .asset("css/a.css", long_stylesheet())
        .asset("css/b.css", "b { color: red }\n")
}

fn a_breach_says_which_file_which_limit_and_by_how_much() {
    let site = site("match = '*.css'\nmax_raw = '1 KB'");
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(3));
    let told = run.stderr.split_once("error: ").expect("an error").1;
    insta::assert_snapshot!(told, @r"
    x a budget is exceeded; the output is written all the same
      help: make the files smaller, or raise the limits in `[[budget]]`

    Error: 
      x `assets/css/a-dcff95b2bf44f09d.css` is 6.23 KiB as it is: 5378 bytes (537.8 %) more than the
      | 1000 B of the budget for `*.css`
    ");
    assert!(site.root().join("dist/.fingerpost/manifest.json").exists());
}

fn several_breaches_are_all_told() {
    let run = site("match = '*.css'\nmax_raw = 10\nmax_br = 10").run(&["build"]);
    assert_eq!(run.code, Some(3));
    assert!(run.stderr.contains("4 budgets are exceeded"), "{}", run.stderr);
}

fn what_is_within_its_budget_says_nothing() {
    let run = site("match = 'assets/css/*'\nmax_raw = '100 KB'\nmax_br = '10 KiB'\nmax_gzip = 10000").run(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("budget"), "{}", run.stderr);
}

fn the_sum_of_all_that_match_has_a_budget() {
    let run = site("match = '*.css'\nmax_raw = 12\ntotal = true").run(&["build"]);
    assert_eq!(run.code, Some(3));
    assert!(
        run.stderr.contains("a budget is exceeded") && run.stderr.contains("all that match `*.css` are"),
        "{}",
        run.stderr
    );
}

fn brotli_is_measured_where_none_is_made() {
    let site = site("match = '*.css'\nmax_br = 100\nmax_gzip = 100");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let run = site.run(&[&["build", "--json"], arguments].concat());
        assert_eq!(run.code, Some(3), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("one JSON document")
    };
    assert_eq!(json(&[])["breaches"], json(&["--no-compress"])["breaches"]);
}

fn a_budget_that_matches_nothing_is_a_warning() {
    let run = site("match = '*.jss'\nmax_raw = 1").run(&["build"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("warning: the budget for `*.jss` matches no file"), "{}", run.stderr);
}

fn a_breach_is_in_the_one_document() {
    let run = site("match = 'a-*.css'\nmax_raw = 1").run(&["build", "--json"]);
    assert_eq!(run.code, Some(3));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    let breach = &json["breaches"][0];
    assert_eq!((breach["measure"].as_str(), breach["limit"].as_u64()), (Some("raw"), Some(1)));
    assert_eq!(breach["size"], json["files"][0]["size"]);
    assert!(run.stderr.contains("a budget is exceeded"), "{}", run.stderr);
}

fn bad_budgets() {
    for (budget, want) in [
        ("match = '*.css'\nmax_br = '1 cow'", "`1 cow` is no size"),
        ("match = '*.css'\nmax_br = true", "expected a size"),
        ("match = '*.css'", "the budget for `*.css` has no limit"),
        ("match = '[z-a'\nmax_br = 1", "`[z-a` is no pattern"),
        ("match = '*.css'\nmax_brr = 1", "did you mean `max_br`?"),
    ] {
        let run = site(budget).run(&["build"]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want), "{want}: {}", run.stderr);
    }
}

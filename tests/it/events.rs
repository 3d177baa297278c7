//! `--events`: what programs are told while a command works. `docs/events.md` is the contract.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::site::{Run, Site, long_stylesheet};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_publish_tells_each_object,
        stderr_has_events_alone,
        a_failure_is_told_with_its_exit_code,
        each_event_is_documented,
        events_have_to_go_somewhere,
    ]
}

fn site() -> Site {
    Site::new()
        .config("[env.production]\nstore = 'published'\n")
        .asset("css/a.css", long_stylesheet())
        .template("index.html", "<!doctype html><title>t</title>{{ asset_tags('css/a.css') }}<img src=/assets/no.png>")
}

fn parse(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn events(site: &Site, arguments: &[&str]) -> (Run, Vec<Value>) {
    let run = site.run(&[arguments, &["--events", "events.jsonl"]].concat());
    let text = std::fs::read_to_string(site.root().join("events.jsonl")).expect("events");
    (run, parse(&text))
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

fn a_publish_tells_each_object() {
    let site = site();
    let (run, told) = events(&site, &["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("warning: ") && run.stdout.contains("css/a-"), "people are told as ever");
    assert!(of(&told, "warning")[0]["message"].as_str().expect("a text").contains("no.png"), "{told:#?}");
    assert_eq!(of(&told, "result")[0]["result"]["files"].as_array().map(Vec::len), Some(2));

    let (run, told) = events(&site, &["publish", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    assert_eq!(of(&told, "result")[0]["result"], document);
    let (first, last) = (&told[0], &told[told.len() - 1]);
    assert_eq!(
        (&first["event"], &first["version"], &first["command"]),
        (&"begin".into(), &1.into(), &"publish".into())
    );
    assert_eq!((&last["event"], &last["exit_code"]), (&"end".into(), &0.into()));
    let stage = of(&told, "stage").into_iter().find(|event| event["stage"] == "publish").expect("a stage");
    let steps: Vec<&Value> = of(&told, "step").into_iter().filter(|event| event["stage"] == "publish").collect();
    // The pointer is written, and is not among what was uploaded.
    assert_eq!(steps.len() as u64, document["uploaded"].as_u64().expect("a number") + 1);
    assert_eq!(stage["steps"], steps.len());
    let mut written: Vec<&str> = steps.iter().filter_map(|step| step["what"].as_str()).collect();
    assert_eq!(written.last(), Some(&"current.json"));
    let mut planned: Vec<&str> =
        document["steps"].as_array().expect("steps").iter().filter_map(|step| step["key"].as_str()).collect();
    written.sort_unstable();
    planned.sort_unstable();
    assert_eq!(written, planned);
    let last = steps[steps.len() - 1];
    assert_eq!((&last["done"], &last["done_bytes"]), (&stage["steps"], &stage["bytes"]));
    let sum: u64 = steps.iter().filter_map(|step| step["bytes"].as_u64()).sum();
    assert_eq!(stage["bytes"], sum);
    let elapsed: Vec<f64> = told.iter().filter_map(|event| event["elapsed"].as_f64()).collect();
    assert!(elapsed.len() == told.len() && elapsed.is_sorted(), "{elapsed:?}");
}

fn stderr_has_events_alone() {
    let site = site();
    let mut command = site.command(&["build", "--events", "-", "-v"]);
    let out = command.env("GITHUB_ACTIONS", "true").env_remove("GITHUB_STEP_SUMMARY").output().expect("it runs");
    let told = parse(&String::from_utf8_lossy(&out.stderr));
    assert_eq!((of(&told, "warning").len(), of(&told, "end").len()), (1, 1), "{told:#?}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("css/a-"), "data is where it always is");
    let said = of(&told, "note");
    assert!(said.iter().any(|note| note["message"].as_str().is_some_and(|text| text.contains("release"))), "{said:#?}");
}

fn a_failure_is_told_with_its_exit_code() {
    let site = site();
    let (run, told) = events(&site, &["check", "-e", "production"]);
    let error = of(&told, "error")[0];
    assert_eq!((run.code, &error["exit_code"]), (Some(3), &3.into()));
    assert_eq!(error["findings"], serde_json::json!(["`current.json` is missing"]));
    assert!(error["help"].is_string() && error["message"].is_string(), "{error}");
    assert_eq!(told[told.len() - 1]["exit_code"], 3);
    let (run, told) = events(&site, &["check", "-e", "nowhere"]);
    assert_eq!((run.code, &of(&told, "error")[0]["exit_code"]), (Some(2), &2.into()));
}

fn each_event_is_documented() {
    let docs = include_str!("../../docs/events.md");
    let site = site();
    let runs: [&[&str]; 3] = [&["build"], &["publish"], &["check", "-e", "nowhere"]];
    let told: Vec<Value> = runs.into_iter().flat_map(|arguments| events(&site, arguments).1).collect();
    for event in &told {
        let kind = event["event"].as_str().expect("a kind");
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let row = row.unwrap_or_else(|| panic!("`{kind}` is not in docs/events.md"));
        for key in
            event.as_object().expect("an object").keys().filter(|key| !matches!(key.as_str(), "event" | "elapsed"))
        {
            assert!(row.contains(&format!("`{key}`")), "`{key}` of `{kind}` is not in docs/events.md");
        }
    }
    let kinds: std::collections::BTreeSet<&str> = told.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds.len(), docs.lines().filter(|line| line.starts_with("| `")).count(), "{kinds:?}");
}

fn events_have_to_go_somewhere() {
    let site = site();
    let run = site.run(&["build", "--events", "no/such/folder/events"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("could not write `"), "{}", run.stderr);
    assert!(!site.root().join("dist").exists(), "nothing was begun");
}

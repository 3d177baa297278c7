//! The README keeps its word: two commands set it up, and every command that it shows is one that the program takes.

use std::path::Path;

use libtest_mimic::Trial;

use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![two_commands_set_it_up, every_command_shown_is_one_that_there_is, every_flag_and_key_is_documented]
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README")
}

/// The lines of shell blocks, without their comments.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn two_commands_set_it_up() {
    let text = readme();
    let section =
        text.split("## Set-up").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section on set-up");
    assert_eq!(commands(section), ["cargo run -- preview", "cargo test"]);
}

fn every_command_shown_is_one_that_there_is() {
    let site = Site::new();
    let shown: Vec<String> = commands(&readme()).into_iter().filter(|line| line.starts_with("fingerpost ")).collect();
    assert!(shown.len() >= 5, "{shown:?}");
    for line in shown {
        let mut words: Vec<&str> = line.split(' ').skip(1).collect();
        words.push("--help");
        let run = site.run(&words);
        assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
    }
}

fn every_flag_and_key_is_documented() {
    let (text, site) = (readme(), Site::new());
    for command in ["bench", "build", "serve", "publish", "preview", "init", "check", "export"] {
        let help = site.run(&[command, "--help"]).stdout;
        for word in help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
            let flag = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            assert!(text.contains(flag), "{flag} of {command}");
        }
    }
    let sources =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/file.rs")).expect("a file");
    let keys = sources
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "))
        .map(|(key, _)| key)
        .filter(|key| !key.contains(' '));
    for key in keys.filter(|key| {
        !matches!(
            *key,
            "pattern" | "statics" | "build" | "bundle" | "compress" | "library" | "env" | "headers" | "budget"
        )
    }) {
        assert!(text.contains(key), "the key {key}");
    }
}

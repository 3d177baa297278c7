//! The wheel of `python/`: `pip install` brings the program and the package, and an app works with both.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use crate::gunicorn::App;
use crate::http;
use crate::setup::{Need, maturin, wheels};
use crate::site::{Site, copy, tree};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![[Need::Wheel]; it_brings_the_program_and_the_package, the_source_distribution_is_whole]
}

/// Runs a program that has to succeed; gives what it wrote to both.
fn run(command: &mut Command) -> (String, String) {
    let out = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{command:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What was said of the profile when these tests were compiled.
const PROFILE: [(&str, Option<&str>); 2] = [
    ("CARGO_INCREMENTAL", option_env!("CARGO_INCREMENTAL")),
    ("CARGO_PROFILE_DEV_OPT_LEVEL", option_env!("CARGO_PROFILE_DEV_OPT_LEVEL")),
];

/// maturin, which takes what cargo has compiled for these tests.
fn maturin_in_python(arguments: &[&str]) -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let mut command = Command::new(maturin());
    command.args(arguments).current_dir(root().join("python"));
    command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    command.envs(PROFILE.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    // Stripped, it would be linked anew, and take the place of the program that other tests are running.
    command.env("MATURIN_STRIP", "false");
    command
}

/// The one file of a folder with this ending.
fn only(folder: &Path, end: &str) -> PathBuf {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files = files.filter(|path| path.to_string_lossy().ends_with(end));
    let file = files.next().expect("a file");
    assert_eq!(files.next(), None);
    file
}

fn it_brings_the_program_and_the_package() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, environment) = (folder.path().join("out"), folder.path().join("environment"));
    let profile =
        Path::new(env!("CARGO_BIN_EXE_fingerpost")).parent().and_then(Path::file_name).and_then(OsStr::to_str);
    let profile = profile.filter(|profile| *profile != "debug").unwrap_or("dev");
    let mut build =
        maturin_in_python(&["build", "--locked", "--offline", "--profile", profile, "--auditwheel", "skip", "--out"]);
    let (_, said) = run(build.arg(&out));
    assert!(
        said.contains("Finished") && !said.contains("Compiling"),
        "it is what was compiled for these tests: {said}"
    );
    let wheel = only(&out, ".whl");
    let name = wheel.file_name().and_then(OsStr::to_str).expect("a name");
    assert!(name.starts_with(concat!("fingerpost-", env!("CARGO_PKG_VERSION"), "-py3-none-")), "{name}");

    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let program = |name: &str| environment.join("bin").join(name);
    let mut install = Command::new(program("pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links"]).arg(wheels());
    run(install.arg("--find-links").arg(&out).args(["fingerpost[flask]", "gunicorn"]));
    let version = concat!("fingerpost ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(Command::new(program("fingerpost")).arg("--version")).0, version);
    let module = |arguments: &[&str]| {
        let mut command = Command::new(program("python3"));
        // What is found is what was installed, whatever else is on the path.
        command.args(["-B", "-m"]).args(arguments).current_dir(folder.path()).env("PATH", "");
        run(&mut command).0
    };
    assert_eq!(module(&["fingerpost", "--version"]), version);
    let shown = module(&["pip", "show", "fingerpost"]);
    assert!(shown.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"), "\n")), "{shown}");

    let site = Site::new();
    copy(&root().join("tests/flask"), site.root());
    run(Command::new(program("fingerpost")).arg("--root").arg(site.root()).arg("build"));
    let app = App::start_with(&program("gunicorn"), &site, "with_helper", &[]);
    let address = app.url.trim_start_matches("http://");
    let page = http::get(address, "/", &[]);
    let text = page.text();
    let (_, rest) = text.split_once("href=\"/assets/css/site-").unwrap_or_else(|| panic!("{} {text}", page.status));
    let (hash, _) = rest.split_once('"').expect("a URL");
    assert_eq!(http::get(address, &format!("/assets/css/site-{hash}"), &[]).status, 200, "{}", app.said());
}

fn the_source_distribution_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    run(maturin_in_python(&["sdist", "--out"]).arg(folder.path()));
    let archive = only(folder.path(), ".tar.gz");
    run(Command::new("tar")
        .arg("--extract")
        .arg("--gzip")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(folder.path()));
    let unpacked = folder.path().join(concat!("fingerpost-", env!("CARGO_PKG_VERSION")));
    let is_source = |path: &str| path.ends_with(".rs") || path.ends_with(".js") || path.ends_with(".toml");
    let sources = |root: &Path| {
        let files = tree(&root.join("src")).into_iter();
        files.filter(|(path, _)| is_source(path) && !path.starts_with("fingerpost/")).collect::<Vec<_>>()
    };
    assert!(sources(&unpacked) == sources(root()), "the sources of the program are there, as they are");
    let package = |path: &Path| {
        let files = tree(path).into_iter();
        files.filter(|(path, _)| path.ends_with(".py") || path.ends_with(".typed")).collect::<Vec<_>>()
    };
    assert!(
        package(&unpacked.join("src/fingerpost")) == package(&root().join("python/src/fingerpost")),
        "and the package's"
    );
    // All that the manifest names is there, by the versions that were tested.
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--offline", "--format-version", "1"]).current_dir(&unpacked);
    let (said, _) = run(&mut metadata);
    let metadata: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let own =
        metadata["packages"].as_array().and_then(|all| all.iter().find(|package| package["name"] == "fingerpost"));
    assert_eq!(own.expect("the package")["version"], env!("CARGO_PKG_VERSION"));
}

//! `fingerpost check`

use serde::Serialize;

use super::build::{ROWS, within_budget};
use super::libraries::{self, How};
use super::terminal::{Terminal, bytes};
use super::{Global, block_on_this_thread};
use crate::build::{Breach, Built};
use crate::check::{self, Difference, Found};
use crate::error::{Error, Fault, Result};
use crate::progress::Progress;
use crate::publish::{self, Drift};
use crate::release::ReleaseId;

#[derive(clap::Args)]
pub struct Args {
    /// Build two copies of the site, in two folders and on different numbers of threads, and compare every byte
    #[arg(long)]
    reproducible: bool,
    /// Compare what is live in this environment's store with its release, in place of building; where there is no store, build, and bind the pages to it
    #[arg(short, long, value_name = "NAME", env = "FINGERPOST_ENV")]
    env: Option<String>,
    /// Fetch the environment's public URLs too, as they are and in each encoding, and compare them
    #[arg(long, requires = "env", conflicts_with = "reproducible")]
    live: bool,
    /// Compare each `[library]` with its public CDN, in place of building: the version that its URL names with that of the local file; with `fetch`, the bytes
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "versions", conflicts_with_all = ["reproducible", "live"])]
    libraries: Option<How>,
}

#[derive(Serialize)]
struct Report<'a> {
    release: &'a ReleaseId,
    /// How many files a build has, its own records and the sidecars included, and their bytes; not known without a comparison.
    #[serde(flatten)]
    compared: Option<Compared<'a>>,
    breaches: &'a [Breach],
}

#[derive(Serialize)]
struct Compared<'a> {
    files: usize,
    bytes: u64,
    differences: &'a [Difference],
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    if let Some(how) = args.libraries {
        return libraries::run(&config, how, terminal);
    }
    let environment = args.env.as_deref().map(|name| config.environment(name)).transpose()?;
    if let Some(environment) = environment.filter(|environment| environment.store.is_some() || args.live)
        && !args.reproducible
    {
        let found = block_on_this_thread(async {
            let store = publish::open(&config.root, environment, terminal).await?;
            publish::drift(&store, environment, args.live, terminal).await
        })?;
        terminal.finish();
        return tell_drift(&found, terminal);
    }
    if !args.reproducible {
        let built = check::builds(&config, environment, terminal)?;
        terminal.finish();
        tell(&built, None, terminal)?;
        return within_budget(&built.breaches, "");
    }
    let found = check::reproducible(&config, global.config.as_deref(), args.env.as_deref(), terminal)?;
    terminal.finish();
    let compared = Compared { files: found.files, bytes: found.bytes, differences: &found.differences };
    tell(&found.built, Some(compared), terminal)?;
    same(&found.differences)?;
    within_budget(&found.built.breaches, "")
}

fn tell(built: &Built, compared: Option<Compared<'_>>, terminal: &Terminal) -> Result<()> {
    let release = &built.manifest.release;
    let report = Report { release, compared, breaches: &built.breaches };
    if terminal.report(&report)? {
        return Ok(());
    }
    match report.compared {
        None => terminal.say(&format!(
            "the configuration is right, and the sources build: {} files, release {release}",
            built.manifest.files.len()
        )),
        Some(Compared { files, bytes: count, differences: [] }) => {
            let size = bytes(count);
            terminal.say(&format!("{files} files, {size}, the same in both builds, byte for byte: release {release}"));
        }
        Some(_) => {}
    }
    Ok(())
}

fn tell_drift(drift: &Drift, terminal: &Terminal) -> Result<()> {
    for warning in &drift.warnings {
        terminal.warn(warning.clone());
    }
    let is_told = terminal.report(drift)?;
    let (environment, store) = (&drift.environment, &drift.store);
    let compared = match drift.urls {
        Some(urls) => format!("{} objects and {urls} answers", drift.objects),
        None => format!("{} objects", drift.objects),
    };
    if let ([], Some(release)) = (drift.differences.as_slice(), &drift.release) {
        if !is_told {
            let size = bytes(drift.bytes);
            terminal
                .say(&format!("{compared} ({size}) are what release {release} says, live in {environment} at {store}"));
        }
        return Ok(());
    }
    let release = drift.release.as_ref().map_or("any release".to_owned(), |release| format!("release {release}"));
    Err(Error::Check {
        message: match drift.differences.len() {
            1 => format!("what is live in {environment} at {store} is not {release}: there is a difference"),
            count => {
                format!("what is live in {environment} at {store} is not {release}: there are {count} differences")
            }
        },
        help: "publish that build with `fingerpost publish --repair`, which writes again what differs in the store, or go back \
               to another release; what a CDN has may have to be purged"
            .to_owned(),
        findings: findings(&drift.differences),
    })
}

/// As many as people read.
fn findings(differences: &[publish::Difference]) -> Vec<Fault> {
    let mut findings: Vec<Fault> =
        differences.iter().take(ROWS).map(|difference| Fault::new(difference.to_string())).collect();
    if let Some(more) = differences.len().checked_sub(ROWS).filter(|more| *more > 0) {
        findings.push(Fault::new(format!("… and {more} more; `--json` lists all")));
    }
    findings
}

fn same(differences: &[Difference]) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let finding = |difference: &Difference| {
        let path = &difference.path;
        Fault::new(match &difference.found {
            Found::OnlyOnce => format!("`{path}` is in one of the builds only"),
            Found::Bytes { offset, text: None } => format!("`{path}` differs from byte {offset} on"),
            Found::Bytes { offset, text: Some([a, b]) } => {
                format!("`{path}` differs from byte {offset} on: {a:?} and {b:?}")
            }
        })
    };
    Err(Error::Check {
        message: format!("two builds of the same sources differ in {} files", differences.len()),
        help: "this is a fault of fingerpost, unless a file outside the site plays a part: please report it".to_owned(),
        findings: differences.iter().map(finding).collect(),
    })
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic;

    use super::*;

    #[test]
    fn each_difference_says_where_it_is() {
        let text = Some(["<p>a".to_owned(), "<p>\n".to_owned()]);
        let differences = [
            Difference { path: "a.html".into(), found: Found::Bytes { offset: 3, text } },
            Difference { path: "a.png".into(), found: Found::Bytes { offset: 8, text: None } },
            Difference { path: "b.png".into(), found: Found::OnlyOnce },
        ];
        let error = same(&differences).expect_err("differences");
        assert_eq!(
            (error.exit_code(), error.to_string().as_str()),
            (3, "two builds of the same sources differ in 3 files")
        );
        let findings: Vec<String> = error.related().expect("findings").map(ToString::to_string).collect();
        assert_eq!(
            findings,
            [
                "`a.html` differs from byte 3 on: \"<p>a\" and \"<p>\\n\"",
                "`a.png` differs from byte 8 on",
                "`b.png` is in one of the builds only",
            ]
        );
    }
}

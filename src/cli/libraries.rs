//! What `check --libraries` says.

use serde::Serialize;

use super::block_on_this_thread;
use super::terminal::Terminal;
use crate::check::libraries::{self, Compared, Verdict};
use crate::config::Config;
use crate::error::{Error, Fault, Result};

/// How copies are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// By the versions that they name.
    Versions,
    /// By their bytes, which are fetched.
    Fetch,
}

#[derive(Serialize)]
struct Report<'a> {
    libraries: &'a [Compared],
}

pub fn run(config: &Config, how: How, terminal: &Terminal) -> Result<()> {
    let compared = match how {
        How::Versions => libraries::versions(config),
        How::Fetch => block_on_this_thread(libraries::bytes(config))?,
    };
    terminal.finish();
    let is_told = terminal.report(&Report { libraries: &compared })?;
    let (wrong, right): (Vec<&Compared>, Vec<&Compared>) = compared.iter().partition(|one| one.verdict.is_wrong());
    if !is_told {
        if compared.is_empty() {
            terminal.say("no libraries are declared");
        }
        right.iter().for_each(|one| terminal.say(&line(one, how)));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Check {
        message: match wrong.len() {
            1 => "a library is not the one that its public CDN has".to_owned(),
            count => format!("{count} libraries are not those that their public CDNs have"),
        },
        help: "declare the URL of the version that is here, or install the version that the URL names; until then browsers refuse what \
               the CDN sends, and load the local copy"
            .to_owned(),
        findings: wrong.into_iter().map(finding).collect(),
    })
}

fn line(one: &Compared, how: How) -> String {
    let Compared { name, file, cdn, declared, local, verdict } = one;
    match (verdict, declared, local) {
        (Verdict::Same, ..) if how == How::Fetch => {
            format!("`{name}`: `{file}` and `{cdn}` are the same, byte for byte")
        }
        (Verdict::Same, Some(version), _) => format!("`{name}`: version {version}, in `{file}` and in the URL"),
        (_, None, _) => format!("`{name}`: the URL `{cdn}` names no version; `--libraries=fetch` compares the bytes"),
        _ => format!("`{name}`: no version is found for `{file}`; `--libraries=fetch` compares the bytes"),
    }
}

fn finding(one: &Compared) -> Fault {
    let Compared { name, file, cdn, declared, local, verdict } = one;
    let version = |found: &Option<String>| found.clone().unwrap_or_else(|| "unknown".to_owned());
    Fault::new(match verdict {
        Verdict::OtherBytes { digest } => {
            format!("`{name}`: `{cdn}` has other bytes than `{file}`: {}", digest.integrity().as_str())
        }
        Verdict::Failed { reason } => format!("`{name}`: could not fetch `{cdn}`: {reason}"),
        Verdict::Same | Verdict::OtherVersion | Verdict::Unknown => {
            format!("`{name}`: `{file}` is of version {}, and `{cdn}` of {}", version(local), version(declared))
        }
    })
}

//! GitHub's own notation: annotations in a run's log, its summary page, and a step's outputs.
//!
//! <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>

use std::io::Write;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::build::{ROWS, Summary, tell};
use super::terminal::bytes;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::publish::{Action, Report, Rollback, Step};
use crate::release::ReleaseId;

/// Present where the program runs in a workflow of GitHub's.
pub struct Annotations {
    /// The site's root below the repository's, which annotations name files from.
    root: PathBuf,
}

impl Annotations {
    pub fn new(root: &Path) -> Option<Self> {
        if !in_workflow() {
            return None;
        }
        let workspace = std::env::var_os("GITHUB_WORKSPACE").and_then(|path| Path::new(&path).canonicalize().ok());
        let root = root.canonicalize().ok();
        let below =
            root.zip(workspace).and_then(|(root, workspace)| Some(root.strip_prefix(workspace).ok()?.to_owned()));
        Some(Annotations { root: below.unwrap_or_default() })
    }

    /// One line for each fault.
    pub fn error(&self, error: &Error) -> Vec<String> {
        match error.related() {
            Some(faults) => faults.map(|fault| self.annotate(fault)).collect(),
            None => vec![self.annotate(error)],
        }
    }

    fn annotate(&self, fault: &dyn Diagnostic) -> String {
        let label = fault.labels().and_then(|mut labels| labels.next());
        let place = label.zip(fault.source_code()).and_then(|(label, text)| {
            let span = text.read_span(label.inner(), 0, 0).ok()?;
            let file = self.root.join(span.name()?).to_string_lossy().replace('\\', "/");
            Some(format!("file={},line={},col={},", property(&file), span.line() + 1, span.column() + 1))
        });
        let help = fault.help().map(|help| format!("\n{help}")).unwrap_or_default();
        format!("::error {}title=fingerpost::{}", place.unwrap_or_default(), data(&format!("{fault}{help}")))
    }

    pub fn warning(&self, message: &str) -> String {
        format!("::warning title=fingerpost::{}", data(message))
    }
}

fn in_workflow() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// As `escapeData` of actions/toolkit (`packages/core/src/command.ts`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As `escapeProperty` there.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Tells a workflow of a build: in the step's summary and its outputs.
pub fn built(built: &Summary<'_>) -> Result<()> {
    summarize(&markdown(built))?;
    output(&[("release", built.release.to_string())])
}

/// Tells a workflow of a publish.
pub fn published(report: &Report) -> Result<()> {
    let would = if report.dry_run { "would be " } else { "" };
    let moves = report.steps.iter().any(|step| step.action == Action::Point);
    let live = if moves { format!("{would}live") } else { "live already".to_owned() };
    let mut text = told(&report.release, &live, &report.environment, &report.store, report.previous.as_ref());
    text.push_str(&format!(
        "{} {would}uploaded ({}), {} in the store already\n\n",
        report.uploaded,
        bytes(report.bytes),
        report.kept
    ));
    text.extend(report.warnings.iter().map(|warning| format!("- {warning}\n")));
    let steps: Vec<&Step> = report.steps.iter().filter(|step| step.action != Action::Keep).collect();
    if !steps.is_empty() {
        text.push_str("\n| step | size | key | why |\n|---|---:|---|---|\n");
    }
    for step in steps.iter().take(ROWS) {
        let (size, key) = (bytes(step.length), code(&step.key));
        text.push_str(&format!("| {} | {size} | {key} | {} |\n", step.action, step.reason.replace('|', "\\|")));
    }
    if let Some(more) = steps.len().checked_sub(ROWS).filter(|more| *more > 0) {
        text.push_str(&format!("\n… and {more} more\n"));
    }
    summarize(&text)?;
    output(&[
        ("release", report.release.to_string()),
        ("previous", report.previous.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("moved", report.moved.to_string()),
        ("uploaded", report.uploaded.to_string()),
        ("kept", report.kept.to_string()),
        ("bytes", report.bytes.to_string()),
        ("environment", report.environment.clone()),
        ("store", report.store.clone()),
    ])
}

/// Tells a workflow of a rollback.
pub fn rolled_back(done: &Rollback) -> Result<()> {
    let would = if done.dry_run { "would be " } else { "" };
    let live = if done.moved { format!("{would}live") } else { "live already".to_owned() };
    let mut text = told(&done.to, &live, &done.environment, &done.store, done.from.as_ref());
    if !done.replaced.is_empty() {
        text.push_str(&format!("{} files at the website's root {would}replaced\n", done.replaced.len()));
    }
    summarize(&text)?;
    output(&[
        ("release", done.to.to_string()),
        ("previous", done.from.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("moved", (done.moved && !done.dry_run).to_string()),
        ("environment", done.environment.clone()),
        ("store", done.store.clone()),
    ])
}

fn told(release: &ReleaseId, live: &str, environment: &str, store: &str, before: Option<&ReleaseId>) -> String {
    let after = before.filter(|before| *before != release).map(|before| format!(", after `{before}`"));
    let after = after.unwrap_or_default();
    format!("### fingerpost: {environment}\n\nrelease `{release}` is {live} at {}{after}\n\n", code(store))
}

/// Adds to the step's summary, if there is one.
fn summarize(text: &str) -> Result<()> {
    append("GITHUB_STEP_SUMMARY", text)
}

/// Sets the step's outputs, where there is a place for them.
///
/// A value stands between two lines that don't occur in it, as actions/toolkit writes all of them
/// (`prepareKeyValueMessage` in `packages/core/src/file-command.ts`): no value holds its own SHA-256.
fn output(values: &[(&str, String)]) -> Result<()> {
    let text: String = values
        .iter()
        .map(|(name, value)| {
            let end = format!("ghadelimiter_{}", Digest::of(value.as_bytes()));
            format!("{name}<<{end}\n{value}\n{end}\n")
        })
        .collect();
    append("GITHUB_OUTPUT", &text)
}

/// Adds to the file that a variable names, in a workflow.
fn append(variable: &str, text: &str) -> Result<()> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty() && in_workflow());
    let Some(path) = path.map(PathBuf::from) else { return Ok(()) };
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io("open", &path))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", &path))
}

fn markdown(summary: &Summary<'_>) -> String {
    let mut text = format!("### fingerpost\n\n{}\n\n", summary.headline());
    if !summary.breaches.is_empty() {
        text.push_str("**Over budget**\n\n");
        text.extend(summary.breaches.iter().map(|breach| format!("- {}\n", tell(breach))));
        text.push('\n');
    }
    if let Some(changes) = &summary.changes {
        text.push_str(&format!("{changes}\n\n"));
    }
    text.push_str("| file | size | br | was |\n|---|---:|---:|---|\n");
    let changes = || summary.changes.iter().flat_map(|changes| &changes.changes);
    for file in summary.files.iter().take(ROWS) {
        let was = changes().find(|change| change.path == file.path).and_then(|change| change.was.as_deref());
        let br = file.br.map(bytes).unwrap_or_default();
        let was = was.map(code).unwrap_or_default();
        text.push_str(&format!("| {} | {} | {br} | {was} |\n", code(file.path), bytes(file.size)));
    }
    let more = summary.files.len().saturating_sub(ROWS);
    if more > 0 {
        text.push_str(&format!("\n… and {more} more files\n"));
    }
    text
}

/// A path in a table's cell, whatever is in it.
fn code(path: &str) -> String {
    format!("`{}`", path.replace('`', "'").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_command_is_escaped() {
        assert_eq!(data("50 %: a,\r\nb"), "50 %25: a,%0D%0Ab");
        assert_eq!(property("a:b,c%.css"), "a%3Ab%2Cc%25.css");
    }
}

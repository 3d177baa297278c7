//! GitHub's own notation: annotations in a run's log, and its summary page.
//!
//! <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>

use std::io::Write;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::build::{ROWS, Summary, tell};
use super::terminal::bytes;
use crate::error::{Error, Result};

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

/// Adds the build to the step's summary, if there is one.
pub fn summarize(summary: &Summary<'_>) -> Result<()> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty() && in_workflow());
    let Some(path) = path.map(PathBuf::from) else { return Ok(()) };
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io("open", &path))?;
    file.write_all(markdown(summary).as_bytes()).map_err(Error::io("write", &path))
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

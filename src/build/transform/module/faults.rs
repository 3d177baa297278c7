//! What the bundler found wrong, in our words.

use std::collections::BTreeSet;

use rolldown_error::{BuildDiagnostic, DiagnosticOptions, EventKind};

use super::plugin::{Hooks, lock};
use crate::config::Config;
use crate::error::{Error, Fault};
use crate::fs;

pub fn faults(config: &Config, hooks: &Hooks, diagnostics: &[BuildDiagnostic]) -> Error {
    let options = DiagnosticOptions { cwd: config.root.clone() };
    let mut refused = lock(&hooks.refused).clone();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for diagnostic in diagnostics {
        let mut message = diagnostic.to_message_with(&options);
        let place = diagnostic.to_diagnostic_with(&options).get_primary_location();
        if !seen.insert((message.clone(), place.clone())) {
            continue;
        }
        let refusal = refused.keys().find(|name| message.contains(name.as_str()) || name.starts_with('/')).cloned();
        let refusal = refusal.and_then(|name| refused.remove(&name));
        if refusal.is_none() && !lock(&hooks.refused).is_empty() && is_hooks_own(&diagnostic.kind()) {
            continue;
        }
        let at = place.map(|(file, line, column, _)| (config.root.join(file), line, column + 1));
        let name = at.as_ref().map(|(path, _, _)| fs::display_name(&config.root, path)).unwrap_or_default();
        if matches!(diagnostic.kind(), EventKind::ParseError) {
            message = format!("`{name}` is not a valid script: {message}");
        }
        let fault = refusal.unwrap_or_else(|| Fault::new(message).hint(hint(&diagnostic.kind())));
        let text = |(path, line, column)| Some((std::fs::read_to_string(path).ok()?, line, column));
        faults.push(match at.filter(|_| !fault.has_place()).and_then(text) {
            Some((text, line, column)) => fault.at_line(name, text, line, column),
            None => fault,
        });
    }
    faults.extend(refused.into_values());
    Error::Build(faults)
}

/// Whether it only repeats what one of our hooks said, whose own words are kept.
fn is_hooks_own(kind: &EventKind) -> bool {
    matches!(kind, EventKind::PluginError | EventKind::UnloadableDependencyError)
}

fn hint(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::UnresolvedImport => "check the path; a package has to be installed in `node_modules`",
        EventKind::MissingExportError => "check what the module exports, and the name's spelling",
        EventKind::ParseError => "correct the script at the marked place",
        _ => "the script can't be bundled as it stands",
    }
}

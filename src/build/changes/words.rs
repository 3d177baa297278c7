//! What changed since the last build, in words.

use std::collections::BTreeSet;
use std::fmt;

use super::{Cause, Changes, Explained};
use crate::fingerprint::Digest;

/// `3 of 57 names changed: 1 edited (assets/js/util.ts), 2 that refer to it`
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.changes.is_empty() { "" } else { ": " };
        write!(f, "{} of {} names changed{colon}{}", self.changes.len(), self.names, reasons(&self.changes))?;
        for (count, what) in [(self.added.len(), "added"), (self.removed.len(), "removed")] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// How many changed for which kind of reason.
fn reasons(changes: &[Explained]) -> String {
    let mut edited = BTreeSet::new();
    let (mut by_source, mut by_setting, mut by_reference, mut unknown) = (0, 0, 0, 0);
    for change in changes {
        let mut sources = change.because.iter().filter_map(|cause| match cause {
            Cause::Source { source, .. } => Some(source.as_str()),
            _ => None,
        });
        // Several files may be made of one source, and one of several: the first stands for the rest.
        if let Some(source) = sources.next() {
            edited.insert(source);
            edited.extend(sources);
            by_source += 1;
        } else if change.because.iter().any(|cause| matches!(cause, Cause::Option { .. })) {
            by_setting += 1;
        } else if change.because.contains(&Cause::Unknown) {
            unknown += 1;
        } else {
            by_reference += 1;
        }
    }
    let mut parts = Vec::new();
    if by_source > 0 {
        parts.push(format!("{by_source} edited ({})", some(&edited)));
    }
    if by_setting > 0 {
        parts.push(format!("{by_setting} by a setting"));
    }
    if by_reference > 0 {
        let whom = if by_source + by_setting == 1 { "it" } else { "others" };
        parts.push(format!("{by_reference} that refer to {whom}"));
    }
    if unknown > 0 {
        parts.push(format!("{unknown} for no recorded reason"));
    }
    parts.join(", ")
}

/// At most three of them, and how many more.
fn some(names: &BTreeSet<&str>) -> String {
    let shown: Vec<&str> = names.iter().take(3).copied().collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A file and under it why it changed, each cause with its own causes further in.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.was {
            None => write!(f, "{path} is new")?,
            Some(_) if self.because.is_empty() => write!(f, "{path} did not change")?,
            Some(was) if was == path => write!(f, "{path} has other bytes")?,
            Some(was) => write!(f, "{path} (was {was})")?,
        }
        causes(&self.because, 1, f)
    }
}

fn causes(list: &[Cause], depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for cause in list {
        write!(f, "\n{}{}", "  ".repeat(depth), line(cause))?;
        if let Cause::Reference { because, .. } = cause {
            causes(because, depth + 1, f)?;
        }
    }
    Ok(())
}

fn line(cause: &Cause) -> String {
    match cause {
        Cause::Source { source, was: Some(was), now: Some(now) } => {
            format!("its source {source} changed (SHA-256 {} → {})", short(was), short(now))
        }
        Cause::Source { source, was: None, .. } => format!("{source} is new among its sources"),
        Cause::Source { source, .. } => format!("{source} is no longer among its sources"),
        Cause::Option { name, was, now } => {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            format!("the setting `{name}` changed (`{}` → `{}`)", value(was), value(now))
        }
        Cause::Reference { to, was, .. } if to == was => format!("imports {to}, which may lend it constants"),
        Cause::Reference { to, was, .. } => format!("refers to {to} (was {was})"),
        Cause::ReferenceAdded { to, .. } => format!("refers to {to}, which it did not before"),
        Cause::ReferenceRemoved { to, .. } => format!("no longer refers to {to}"),
        Cause::Unknown => "nothing that is recorded of it differs".to_owned(),
    }
}

fn short(digest: &Digest) -> String {
    digest.fingerprint().as_str().to_owned()
}

//! A pattern that says which files a rule is for.

use globset::{Glob, GlobMatcher};

use super::Text;
use crate::error::Fault;

/// A glob over paths below a folder: that of the output, if a rule does not say another. Without a `/` it is matched against the file's name alone.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    pub(super) fn new(text: &Text, pattern: &str) -> Result<Self, Fault> {
        let glob = Glob::new(pattern).map_err(|error| {
            text.fault(format!("`{pattern}` is no pattern: {}", error.kind()), pattern)
                .hint("write one such as `*.woff2` or `assets/fonts/*`")
        })?;
        Ok(Pattern(glob.compile_matcher()))
    }

    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }

    pub fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        match self.as_str().contains('/') {
            true => self.0.is_match(path),
            false => self.0.is_match(name),
        }
    }
}

//! `[[keep]]`: files that stay as they are, under their own names, for packages that compute the paths of what they load.

use std::path::{Path, PathBuf};

use super::{Pattern, Text, file, inside};
use crate::asset::{LogicalPath, is_hidden};
use crate::error::Fault;
use crate::fs;
use crate::manifest::logical_name;

/// Where packages lie.
const PACKAGES: &str = "node_modules";

/// A file or a folder, and where it lies in what is built.
#[derive(Debug, Clone)]
pub struct Keep {
    /// An absolute path.
    pub from: PathBuf,
    /// The path below the site's root, of the file itself or of the folder.
    pub to: LogicalPath,
    /// Which of a folder's files; all of them if there is no pattern.
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    /// What to say if no file is left: only the configuration knows the place.
    pub nothing: Fault,
}

impl Keep {
    /// Whether a file is kept, by its path below the folder.
    pub fn wants(&self, path: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(path));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    pub(super) fn resolve(root: &Path, out: &Path, prefix: &str, text: &Text, keep: file::Keep) -> Result<Self, Fault> {
        let from = source(root, text, &keep.from)?;
        if from.starts_with(out) || out.starts_with(&from) {
            return Err(text
                .fault(format!("`{}` and the output folder overlap", keep.from), &keep.from)
                .hint("keep files that no build writes"));
        }
        let refused = |reason: &str| {
            text.fault(format!("`{}` can't be where files are kept: {reason}", keep.to), &keep.to)
                .hint("write a path below the site's root, such as `vendor/mathjax`")
        };
        let to =
            LogicalPath::new(keep.to.trim_end_matches('/')).map_err(|_| refused("it is no path below the root"))?;
        if is_hidden(to.as_str()) {
            return Err(refused("what is hidden is never served"));
        }
        if logical_name(prefix, &format!("/{to}/")).is_some() {
            return Err(refused("names below it are those of assets"));
        }
        let patterns = |patterns: &[String]| -> Result<Vec<Pattern>, Fault> {
            patterns.iter().map(|pattern| Pattern::new(text, pattern)).collect()
        };
        Ok(Keep {
            from,
            to,
            include: patterns(&keep.include)?,
            exclude: patterns(&keep.exclude)?,
            nothing: text
                .fault(format!("no file of `{}` is kept", keep.from), &keep.from)
                .hint("check `include` and `exclude`: hidden files and packages within it are left out anyway"),
        })
    }
}

/// The file or the folder below the root; packages may also be in a folder above it, as for Node.
fn source(root: &Path, text: &Text, written: &str) -> Result<PathBuf, Fault> {
    let leads_out = || {
        text.fault(format!("`{written}` leads out of the site's root"), written)
            .hint("name a file or a folder below the root, or a package (`node_modules/…`)")
    };
    let below = inside(root, written).ok_or_else(leads_out)?;
    if is_hidden(&fs::display_name(root, &below)) {
        return Err(text
            .fault(format!("`{written}` is hidden, and such files are never served"), written)
            .hint("give it a name that does not begin with a dot"));
    }
    let package = Path::new(written).strip_prefix(PACKAGES).ok().and_then(Path::to_str);
    let above = root.ancestors().skip(1).filter_map(|folder| inside(&folder.join(PACKAGES), package?));
    let path = std::iter::once(below).chain(above).find(|path| path.exists()).ok_or_else(|| {
        text.fault(format!("there is no `{written}` to keep"), written)
            .hint("name a file or a folder below the root, or a package that is installed (`node_modules/…`)")
    })?;
    if fs::within(root, &path) { Ok(path) } else { Err(leads_out()) }
}

//! `[library.NAME]`: a library that lies here, and on a public CDN as well.

use std::path::{Path, PathBuf};

use super::resolve::inside;
use super::{Text, file};
use crate::asset::LogicalPath;
use crate::error::Fault;
use crate::fs;

/// A script or a stylesheet that an environment may load from a public CDN.
#[derive(Debug, Clone)]
pub struct Library {
    /// The table's name.
    pub key: String,
    /// What pages call it: `lib/jquery.js`.
    pub name: LogicalPath,
    /// An absolute path.
    pub file: PathBuf,
    pub cdn: String,
    /// The property of `window` that is there once it has run.
    pub global: Option<String>,
}

impl Library {
    pub(super) fn resolve(
        root: &Path,
        assets: &Path,
        text: &Text,
        key: String,
        written: file::Library,
    ) -> Result<Self, Fault> {
        let is_there = |path: &PathBuf| path.is_file();
        let file = [root, assets].into_iter().filter_map(|base| inside(base, &written.file)).find(is_there);
        let file = file.ok_or_else(|| {
            text.fault(format!("the library `{key}` names `{}`, which isn't there", written.file), &written.file).hint(
                format!(
                    "`file` is a path below the root (`node_modules/…`) or below `{}`: install the package, or correct the path",
                    fs::display_name(root, assets)
                ),
            )
        })?;
        let extension = match crate::asset::extension(&written.file).as_str() {
            "css" => "css",
            "js" => "js",
            _ => {
                return Err(text
                    .fault(format!("the library `{key}` is neither a classic script nor a stylesheet"), &written.file)
                    .hint("name a file that ends in `.js` or `.css`; let modules be bundled, or use `[external]`"));
            }
        };
        let name = LogicalPath::new(format!("lib/{key}.{extension}"))
            .map_err(|error| text.fault(error.to_string(), &key).hint("name the library as in `[library.jquery]`"))?;
        let is_url = written.cdn.parse::<http::Uri>().is_ok_and(|url| url.host().is_some() && url.scheme().is_some());
        if !is_url || !written.cdn.starts_with("http") || written.cdn.contains(['"', '\'', '<', '>', ';', ',']) {
            return Err(text
                .fault(format!("`{}` is no URL of a library", written.cdn), &written.cdn)
                .hint("write one such as `https://cdnjs.cloudflare.com/ajax/libs/jquery/3.6.0/jquery.min.js`"));
        }
        let is_name = |name: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
            name.chars().all(is_part) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        if let Some(global) = written.global.as_deref().filter(|global| !is_name(global)) {
            return Err(text
                .fault(format!("`{global}` is no name of a global variable"), global)
                .hint("write the property of `window` that the library makes, such as `jQuery`"));
        }
        Ok(Library { key, name, file, cdn: written.cdn, global: written.global })
    }
}

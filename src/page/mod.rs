//! Everything that depends on the environment: a page is bound to one when it is served or published, never when it is built.

mod binder;
mod csp;
mod headers;
mod links;
mod memo;
mod rewrite;
mod statics;
mod surroundings;
mod survey;

pub use binder::Binder;
pub use headers::headers;
pub use statics::{Folders, Statics};
pub use surroundings::Surroundings;

use crate::environment::Environment;
use crate::error::Result;
use crate::fs;
use crate::html;
use crate::manifest::{Kind, Manifest};

/// The page at `path` (below the output folder) as it is in `environment`; what is no page comes back as it was.
///
/// Binding twice gives what binding once gives, and binding to `development` gives what was built.
pub fn bind(manifest: &Manifest, environment: &Environment, path: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let Some(file) = manifest.files.get(path).filter(|file| file.kind == Kind::Page) else {
        return Ok(bytes.to_vec());
    };
    let text = std::str::from_utf8(bytes).map_err(|_| fs::not_utf8(path, bytes))?;
    let mut rewriter = rewrite::Rewriter::new(manifest, environment, path);
    let bound = match file.media_type.starts_with("text/html") {
        true => html::edit(path, text, &mut rewriter)?,
        false => html::rewrite_strings(text, |_, string| rewriter.string(string)).unwrap_or_else(|| text.to_owned()),
    };
    Ok(bound.into_bytes())
}

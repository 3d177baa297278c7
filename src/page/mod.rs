//! Everything that depends on the environment: a page is bound to one when it is served or published, never when it is built.

use crate::environment::Environment;
use crate::error::Result;
use crate::manifest::Manifest;

/// The page at `path` (below the output folder) as it is in `environment`; what is no page comes back as it was.
pub fn bind(_manifest: &Manifest, _environment: &Environment, _path: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(bytes.to_vec())
}

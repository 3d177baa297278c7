//! The sidecars: every file that shrinks, in every encoding, on all cores.

use rayon::prelude::*;

use super::Site;
use super::output::Outputs;
use crate::asset::{is_compressible, media_type};
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::manifest::File;

/// Compresses what is worth it, the largest first, so that no core ends alone with a long one.
pub(super) fn compress(site: &Site<'_>, outputs: &mut Outputs) -> Result<()> {
    let mut work: Vec<(&str, &[u8], Encoding)> = outputs
        .files
        .iter()
        .filter(|(path, output)| !output.bytes.is_empty() && is_compressible(&media_type(path)))
        .flat_map(|(path, output)| {
            site.config.encodings.iter().map(|encoding| (path.as_str(), output.bytes.as_slice(), *encoding))
        })
        // A file of that name that the site brings itself is the site's own affair.
        .filter(|(path, _, encoding)| !outputs.files.contains_key(&File::sidecar(path, *encoding)))
        .collect();
    work.sort_by_key(|(path, bytes, encoding)| (std::cmp::Reverse(bytes.len()), *path, *encoding));
    site.progress.stage("compress", work.len());
    let done: Vec<(String, Encoding, Vec<u8>)> = work
        .into_par_iter()
        .with_max_len(1)
        .map(|(path, bytes, encoding)| {
            let packed = encoding.compress(bytes).map_err(Error::io("compress", path))?;
            site.progress.step();
            Ok((packed.len() < bytes.len()).then(|| (path.to_owned(), encoding, packed)))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    for (path, encoding, packed) in done {
        if let Some(output) = outputs.files.get_mut(&path) {
            output.variants.insert(encoding, packed);
        }
    }
    Ok(())
}

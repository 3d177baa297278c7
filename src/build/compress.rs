//! The sidecars: every file that shrinks, in every encoding, on all cores.

use rayon::prelude::*;

use super::cache::Cache;
use super::output::{Output, Outputs};
use crate::asset::{is_compressible, media_type};
use crate::config::Config;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::manifest::File;
use crate::progress::Progress;

/// Compresses what is worth it, the largest first, so that no core ends alone with a long one.
pub(super) fn compress(config: &Config, cache: &Cache, progress: &dyn Progress, outputs: &mut Outputs) -> Result<()> {
    let encodings = &config.encodings;
    let mut work: Vec<(&str, &Output, Encoding)> = outputs
        .files
        .iter()
        .filter(|(path, output)| !output.bytes.is_empty() && is_compressible(&media_type(path)))
        .flat_map(|(path, output)| encodings.iter().map(move |encoding| (path.as_str(), output, *encoding)))
        // A file of that name that the site brings itself is the site's own affair.
        .filter(|(path, _, encoding)| !outputs.files.contains_key(&File::sidecar(path, *encoding)))
        .collect();
    work.sort_by_key(|(path, output, encoding)| (std::cmp::Reverse(output.bytes.len()), *path, *encoding));
    progress.stage("compress", work.len());
    let done: Vec<(String, Encoding, Vec<u8>)> = work
        .into_par_iter()
        .with_max_len(1)
        .map(|(path, output, encoding)| {
            let key = output.digest.to_string();
            let packed = cache.get_or_make("compress", &[key.as_bytes(), encoding.token().as_bytes()], || {
                let packed = encoding.compress(&output.bytes).map_err(Error::io("compress", path))?;
                // That it does not shrink is worth remembering too.
                Ok(if packed.len() < output.bytes.len() { packed } else { Vec::new() })
            })?;
            progress.step();
            Ok((!packed.is_empty()).then(|| (path.to_owned(), encoding, packed)))
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

//! Budgets held against what a build made.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::output::{Output, Outputs};
use crate::asset::{is_compressible, media_type};
use crate::config::{Budget, Limit, Measure};
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// A limit that is exceeded.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    /// The budget's pattern.
    pub pattern: String,
    /// The file's path; none if all that match are together too large.
    pub path: Option<String>,
    pub measure: Measure,
    /// In bytes, both.
    pub limit: u64,
    pub size: u64,
}

/// Every limit that a file, or a sum of files, exceeds.
pub fn breaches(budgets: &[Budget], outputs: &Outputs, progress: &dyn Progress) -> Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for budget in budgets {
        let files: BTreeMap<&String, &Output> =
            outputs.files.iter().filter(|(path, _)| budget.pattern.matches(path)).collect();
        if files.is_empty() {
            progress.warn(format!("the budget for `{}` matches no file", budget.pattern.as_str()));
        }
        for Limit { measure, bytes: limit } in budget.limits.iter().copied() {
            let breach = |path: Option<&&String>, size: u64| Breach {
                pattern: budget.pattern.as_str().to_owned(),
                path: path.map(|path| path.to_string()),
                measure,
                limit,
                size,
            };
            let sizes: BTreeMap<&String, u64> = files
                .par_iter()
                .map(|(path, output)| Ok((*path, size(path, output, measure)?)))
                .collect::<Result<_>>()?;
            let found = match budget.total {
                true => vec![breach(None, sizes.values().sum())],
                false => sizes.iter().map(|(path, size)| breach(Some(path), *size)).collect(),
            };
            breaches.extend(found.into_iter().filter(|breach| breach.size > limit));
        }
    }
    Ok(breaches)
}

fn size(path: &str, output: &Output, measure: Measure) -> Result<u64> {
    match measure.encoding() {
        None => Ok(output.bytes.len() as u64),
        Some(encoding) => sent(path, output, encoding),
    }
}

/// Bytes of the file as a client gets it that takes this encoding, also if the build makes no such sidecar.
pub fn sent(path: &str, output: &Output, encoding: Encoding) -> Result<u64> {
    let raw = output.bytes.len();
    if let Some(variant) = output.variants.get(&encoding) {
        return Ok(variant.len() as u64);
    }
    if raw == 0 || !is_compressible(&media_type(path)) {
        return Ok(raw as u64);
    }
    let packed = encoding.compress(&output.bytes).map_err(Error::io("compress", path))?;
    Ok(packed.len().min(raw) as u64)
}

//! `[[budget]]`: how large files may become.

use serde::{Deserialize, Serialize};

use super::{Pattern, Text, file};
use crate::encoding::Encoding;
use crate::error::Fault;

/// Limits for the files that match.
#[derive(Debug, Clone)]
pub struct Budget {
    pub pattern: Pattern,
    /// At least one.
    pub limits: Vec<Limit>,
    /// The limits are for the sum of all that match, not for each.
    pub total: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub measure: Measure,
    pub bytes: u64,
}

/// What is measured: the file as it is, or as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    Raw,
    Br,
    Gzip,
}

impl Measure {
    pub const fn encoding(self) -> Option<Encoding> {
        match self {
            Measure::Raw => None,
            Measure::Br => Some(Encoding::Brotli),
            Measure::Gzip => Some(Encoding::Gzip),
        }
    }
}

/// A size as it is written: bytes, or a number with a unit.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a size: bytes such as `2048`, or a text such as `\"170 KB\"`")]
pub enum Size {
    Bytes(u64),
    Text(String),
}

impl Size {
    pub(super) fn bytes(&self, text: &Text) -> Result<u64, Fault> {
        match self {
            Size::Bytes(bytes) => Ok(*bytes),
            Size::Text(size) => parse_size(size).ok_or_else(|| {
                text.fault(format!("`{size}` is no size"), size)
                    .hint("write bytes as a number, or a text such as `170 KB` or `1.5 MiB`")
            }),
        }
    }
}

impl Budget {
    pub(super) fn resolve(text: &Text, budget: file::Budget) -> Result<Self, Fault> {
        let pattern = Pattern::new(text, &budget.pattern)?;
        let given = [(Measure::Br, &budget.max_br), (Measure::Gzip, &budget.max_gzip), (Measure::Raw, &budget.max_raw)];
        let mut limits = Vec::new();
        for (measure, size) in given {
            if let Some(size) = size {
                limits.push(Limit { measure, bytes: size.bytes(text)? });
            }
        }
        if limits.is_empty() {
            return Err(text
                .fault(format!("the budget for `{}` has no limit", budget.pattern), &budget.pattern)
                .hint("add `max_br`, `max_gzip` or `max_raw`"));
        }
        Ok(Budget { pattern, limits, total: budget.total })
    }
}

/// `170 KB` are 170,000 bytes and `1.5 MiB` 1,572,864, as IEC 80000-13 has it; a fraction of a byte is left out.
pub fn parse_size(size: &str) -> Option<u64> {
    let size = size.trim();
    let unit = size.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(size.len());
    let (number, unit) = size.split_at(unit);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    Some((number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_that_people_write() {
        for (text, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512 B", Some(512)),
            ("170 KB", Some(170_000)),
            ("170kb", Some(170_000)),
            ("1.5 MiB", Some(1_572_864)),
            (" 2 GiB ", Some(2 << 30)),
            ("", None),
            ("KB", None),
            ("-1 KB", None),
            ("1e3", None),
            ("170 kilos", None),
            ("inf", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }
}

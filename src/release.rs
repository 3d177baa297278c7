//! A release: one build's identity, and the record of it in a store.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

use crate::fingerprint::Digest;

/// 16 hex digits of the SHA-256 over all that a build holds: the same sources give the same release, wherever they are built.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ReleaseId(String);

impl ReleaseId {
    pub fn of(digest: &Digest) -> Self {
        ReleaseId(digest.fingerprint().as_str().to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReleaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 16 && text.bytes().all(hex) {
            Ok(ReleaseId(text.to_owned()))
        } else {
            Err(format!("`{text}` is no release: one has 16 hex digits"))
        }
    }
}

impl<'de> Deserialize<'de> for ReleaseId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// `releases/ID.json`: what a release consists of, key by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub release: ReleaseId,
    pub environment: String,
    /// The release that was current when this one was published.
    pub parent: Option<ReleaseId>,
    /// Every object of the release, by key below the store's prefix.
    pub objects: BTreeMap<String, Object>,
}

impl Record {
    /// Whether an object is the copy of another, below `releases/ID/`, at the root of a website. The next release writes over it.
    pub fn is_copy(&self, key: &str) -> bool {
        self.objects.contains_key(&format!("releases/{}/{key}", self.release))
    }
}

/// One object of a release as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Bytes of the body as stored, so after encoding.
    pub length: u64,
    /// SHA-256 of the body as stored.
    pub digest: Digest,
    /// Response headers by lower-case name: `content-type`, `cache-control`, `content-encoding` and those from `[[headers]]`.
    pub headers: BTreeMap<String, String>,
}

/// `current.json`: which release is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub release: ReleaseId,
}

/// What a page can be told about itself: it fills `<meta name="fingerpost:environment">` and `<meta name="fingerpost:release">`.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    pub environment: &'a str,
    pub release: &'a ReleaseId,
}

impl Stamp<'_> {
    /// The content of the `<meta>` of that name, if it is one of ours.
    pub fn meta(&self, name: &str) -> Option<String> {
        match name {
            "fingerpost:environment" => Some(self.environment.to_owned()),
            "fingerpost:release" => Some(self.release.to_string()),
            _ => None,
        }
    }
}

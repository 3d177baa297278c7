//! An environment: where a release's assets are fetched from, and where they are published to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::asset::url_path;

/// A resolved environment. The one named `development` always exists, with everything at its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub name: String,
    /// What stands before the path of a fingerprinted file in a page.
    pub asset_base: AssetBase,
    /// The origin of the pages, `https://www.example.com`, without a slash at its end; for URLs that must be absolute.
    pub site: Option<String>,
    pub hosts: Vec<String>,
    pub store: Option<StoreUrl>,
    /// The endpoint of an S3 API that is not AWS.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Whether the store is itself a website, with no server in front: pages are then also written at its root.
    pub website: Option<bool>,
    /// `CDN-Cache-Control` for pages (RFC 9213).
    pub cdn_cache_control: Option<String>,
    /// How a server finds out that assets are not to be had from another origin; none if it does not ask.
    pub failover: Option<Failover>,
}

/// When pages are bound to the server's own origin in place of one that fails, and when back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failover {
    /// Between two probes, more or less.
    pub interval: Duration,
    /// For a whole probe.
    pub timeout: Duration,
    /// So many probes have to fail in a row before pages are bound to the server's origin.
    pub fail_after: u32,
    /// So many have to succeed in a row before they are bound back.
    pub recover_after: u32,
}

impl Default for Failover {
    fn default() -> Self {
        Failover { interval: Duration::from_secs(10), timeout: Duration::from_secs(5), fail_after: 3, recover_after: 3 }
    }
}

impl Environment {
    pub fn new(name: impl Into<String>) -> Self {
        Environment {
            name: name.into(),
            asset_base: AssetBase::default(),
            site: None,
            hosts: Vec::new(),
            store: None,
            endpoint: None,
            region: None,
            website: None,
            cdn_cache_control: None,
            failover: Some(Failover::default()),
        }
    }
}

/// `/`, `/below/`, `https://cdn.example.com/` or `//cdn.example.com/`: always with a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetBase(String);

impl AssetBase {
    /// The URL of a file, whose path is given as in the output folder (`assets/css/a-….css`).
    pub fn url(&self, file: &str) -> String {
        format!("{}{}", self.0, url_path(file))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether assets come from another origin than the pages, as far as the configuration tells.
    pub fn is_other_origin(&self) -> bool {
        self.0.contains("//")
    }
}

impl Default for AssetBase {
    fn default() -> Self {
        AssetBase("/".to_owned())
    }
}

impl fmt::Display for AssetBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AssetBase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).or_else(|| text.strip_prefix("//"));
        let well_formed = match host {
            Some(rest) => !rest.is_empty() && !rest.starts_with('/') && !rest.contains("//"),
            None => text.starts_with('/') && !text.contains("//"),
        };
        if !well_formed || text.contains(['?', '#', '"', '\'', '<', '>', '\\']) || text.contains(char::is_whitespace) {
            return Err(format!("`{text}` is no base for URLs: write `/`, `/below/` or `https://cdn.example.com/`"));
        }
        Ok(AssetBase(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

/// Where a release is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder, as the user wrote it: absolute, or relative to the root.
    Folder(String),
    /// `s3://bucket/prefix`; the prefix is without slashes at its ends, and may be empty.
    S3 { bucket: String, prefix: String },
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(format!("`{text}` names no bucket: write `s3://bucket/prefix`"));
            }
            return Ok(StoreUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        let folder = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
        if folder.is_empty() || folder.contains("://") {
            return Err(format!("`{text}` is no store: write a folder or `s3://bucket/prefix`"));
        }
        Ok(StoreUrl::Folder(folder.to_owned()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Folder(folder) => f.write_str(folder),
            StoreUrl::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            StoreUrl::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_end_with_a_slash_and_say_whose_origin_they_are() {
        for (text, url, other) in [
            ("/", "/assets/a%20b.css", false),
            ("/v1", "/v1/assets/a%20b.css", false),
            ("https://cdn.example.com", "https://cdn.example.com/assets/a%20b.css", true),
            ("//cdn.example.com/x/", "//cdn.example.com/x/assets/a%20b.css", true),
        ] {
            let base: AssetBase = text.parse().unwrap();
            assert_eq!(base.url("assets/a b.css"), url);
            assert_eq!(base.is_other_origin(), other, "{text}");
        }
        for bad in ["", "cdn.example.com", "https://", "/a//b", "https://x/?a", "ftp://x/", "/a b/"] {
            assert!(bad.parse::<AssetBase>().is_err(), "{bad}");
        }
    }

    #[test]
    fn stores_are_folders_or_buckets() {
        let s3 = |bucket: &str, prefix: &str| StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!("s3://b/p/q/".parse(), Ok(s3("b", "p/q")));
        assert_eq!("s3://b".parse(), Ok(s3("b", "")));
        assert_eq!("file:///srv/www".parse(), Ok(StoreUrl::Folder("/srv/www".into())));
        assert_eq!("out/site".parse(), Ok(StoreUrl::Folder("out/site".into())));
        for bad in ["s3://", "https://x", ""] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
    }
}

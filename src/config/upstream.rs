//! `[serve.upstream]`: the application behind the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};

use super::{Text, file};
use crate::error::Fault;

/// What is asked of an application, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub origin: Origin,
    /// The host that it is told.
    pub host: UpstreamHost,
    /// For a connection to it.
    pub connect_timeout: Duration,
    /// For the head of its answer, and for each piece of a body.
    pub timeout: Duration,
    /// How often a request that changes nothing is repeated where it could not be sent, or was not answered.
    pub retries: u8,
    /// Whether the asset URLs in its pages are those of the environment.
    pub rewrite: bool,
    /// Whether what it has not compressed is compressed.
    pub compress: bool,
    /// Where it has static files outside of the assets folder: from URL folders (`/admin/static/`) to folders below the root
    /// (`admin/static/`).
    pub statics: BTreeMap<String, String>,
}

/// Where an application listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Network {
        scheme: Scheme,
        authority: Authority,
        /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3).
        is_h2c: bool,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Which `Host` an application sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamHost {
    /// What the client asked for, so that the application's own absolute URLs are right.
    #[default]
    Client,
    /// That of its URL, for one that tells its sites apart by it.
    Upstream,
}

impl Upstream {
    pub fn new(origin: Origin) -> Self {
        Upstream {
            origin,
            host: UpstreamHost::Client,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
            retries: 1,
            rewrite: true,
            compress: true,
            statics: BTreeMap::new(),
        }
    }

    pub(super) fn resolve(root: &Path, text: &Text, written: &file::Upstream) -> Result<Self, Fault> {
        let origin = Origin::from_str(&written.url).map_err(|message| text.fault(message, &written.url).hint(URLS))?;
        let seconds = |key: &str, written: Option<f64>, default: Duration| match written {
            Some(seconds) if !(0.05..=86_400.0).contains(&seconds) => Err(text
                .fault(format!("`{key}` of `upstream` can't be {seconds} seconds"), key)
                .hint("write seconds, from 0.05 to a day")),
            written => Ok(written.map_or(default, Duration::from_secs_f64)),
        };
        let default = Upstream::new(origin.below(root));
        Ok(Upstream {
            host: written.host,
            connect_timeout: seconds("connect_timeout", written.connect_timeout, default.connect_timeout)?,
            timeout: seconds("timeout", written.timeout, default.timeout)?,
            retries: written.retries.unwrap_or(default.retries),
            rewrite: written.rewrite.unwrap_or(default.rewrite),
            compress: written.compress.unwrap_or(default.compress),
            statics: statics(text, &written.statics)?,
            ..default
        })
    }
}

fn statics(text: &Text, written: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    let folder = |path: &str| format!("{}/", path.trim_end_matches('/'));
    let mut statics = BTreeMap::new();
    for (url, path) in written {
        if !url.starts_with('/') || url.trim_matches('/').is_empty() {
            return Err(text
                .fault(format!("`{url}` is no URL folder of the application"), url)
                .hint("write it as its pages do, such as `/admin/static`"));
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        if path.starts_with('/') || path.split('/').any(|part| part == "..") || path.trim_matches('/').is_empty() {
            return Err(text
                .fault(format!("`{path}` is no folder below the root"), path)
                .hint("write where its files are, from the root, such as `admin/static`"));
        }
        statics.insert(folder(url), folder(path));
    }
    Ok(statics)
}

/// The URLs that an application can have.
pub const URLS: &str = "write one such as `http://127.0.0.1:8000`, `https://app.internal`, `h2c://127.0.0.1:8000` or \
                        `unix:/run/app.sock`";

impl Origin {
    /// A socket by a relative path lies below the site's root.
    pub fn below(self, root: &Path) -> Self {
        match self {
            Origin::Unix(path) => Origin::Unix(root.join(path)),
            network => network,
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        if let Some(path) = written.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.is_empty() {
                true => Err("`unix:` names no socket".to_owned()),
                false => Ok(Origin::Unix(path.into())),
            };
        }
        let (scheme, is_h2c) = match written.split_once("://") {
            Some(("http", _)) => (Scheme::HTTP, false),
            Some(("https", _)) => (Scheme::HTTPS, false),
            Some(("h2c", _)) => (Scheme::HTTP, true),
            _ => return Err(format!("`{written}` is no URL of an application")),
        };
        let rest = written.split_once("://").map_or("", |(_, rest)| rest);
        let uri: Uri = format!("http://{rest}").parse().map_err(|error| format!("`{written}` is no URL: {error}"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(format!(
                "`{written}` has a path: requests go to the application with the paths that they have"
            ));
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| format!("`{written}` names no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(format!("`{written}` holds a password, which is not sent"));
        }
        Ok(Origin::Network { scheme, authority, is_h2c })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_application_listens() {
        let network = |scheme: Scheme, authority: &'static str, is_h2c| {
            Ok(Origin::Network { scheme, authority: Authority::from_static(authority), is_h2c })
        };
        let fault = |text: &str| Err(text.to_owned());
        for (written, want) in [
            ("http://127.0.0.1:8000", network(Scheme::HTTP, "127.0.0.1:8000", false)),
            ("http://app/", network(Scheme::HTTP, "app", false)),
            ("https://[::1]:8443", network(Scheme::HTTPS, "[::1]:8443", false)),
            ("h2c://app:1", network(Scheme::HTTP, "app:1", true)),
            ("unix:/run/a.sock", Ok(Origin::Unix("/run/a.sock".into()))),
            ("unix:///run/a.sock", Ok(Origin::Unix("/run/a.sock".into()))),
            ("unix:a.sock", Ok(Origin::Unix("a.sock".into()))),
            ("unix:", fault("`unix:` names no socket")),
            ("127.0.0.1:8000", fault("`127.0.0.1:8000` is no URL of an application")),
            ("ftp://a", fault("`ftp://a` is no URL of an application")),
            (
                "http://a/b",
                fault("`http://a/b` has a path: requests go to the application with the paths that they have"),
            ),
            ("http://u:p@a", fault("`http://u:p@a` holds a password, which is not sent")),
        ] {
            assert_eq!(written.parse(), want, "{written}");
        }
        assert!("http://".parse::<Origin>().is_err() && "http://a b".parse::<Origin>().is_err());
        let below = Origin::Unix("run/a.sock".into()).below(Path::new("/site"));
        assert_eq!(below, Origin::Unix("/site/run/a.sock".into()));
    }
}

//! `check --libraries`: whether what a public CDN has of a library is what lies here.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use crate::client::{Client, reason};
use crate::config::{Config, Library};
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::fs;

/// What is known of a library's two copies.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub name: String,
    /// Below the root.
    pub file: String,
    pub cdn: String,
    /// The version in the URL, as far as it has one.
    pub declared: Option<String>,
    /// The version of the package that the file is of, or in the comment that it begins with.
    pub local: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Both say the same version; or, where they were fetched, the bytes are the same.
    Same,
    OtherVersion,
    OtherBytes {
        digest: Digest,
    },
    /// One of the versions is not to be found.
    Unknown,
    /// The CDN did not send it.
    Failed {
        reason: String,
    },
}

impl Verdict {
    pub fn is_wrong(&self) -> bool {
        matches!(self, Verdict::OtherVersion | Verdict::OtherBytes { .. } | Verdict::Failed { .. })
    }
}

/// Compares the versions of each library's copies; nothing is fetched.
pub fn versions(config: &Config) -> Vec<Compared> {
    config.libraries.iter().map(|library| compare(config, library)).collect()
}

fn compare(config: &Config, library: &Library) -> Compared {
    let (declared, local) = (declared(&library.cdn), local(&config.root, &library.file));
    let verdict = match (&declared, &local) {
        (Some(declared), Some(local)) if declared == local => Verdict::Same,
        (Some(_), Some(_)) => Verdict::OtherVersion,
        _ => Verdict::Unknown,
    };
    Compared {
        name: library.key.clone(),
        file: fs::display_name(&config.root, &library.file),
        cdn: library.cdn.clone(),
        declared: declared.map(str::to_owned),
        local,
        verdict,
    }
}

/// Bytes of a library at most; what is longer is none.
const LONGEST: usize = 32 << 20;

/// For a library's whole answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches each library from where it is declared, and compares the bytes.
pub async fn bytes(config: &Config) -> Result<Vec<Compared>> {
    let client = Client::new().map_err(|error| Error::Usage {
        message: format!("could not set up TLS: {error}"),
        help: "check this machine's certificates".to_owned(),
    })?;
    let mut all = Vec::new();
    for library in &config.libraries {
        let mut compared = compare(config, library);
        let own = Digest::of(&fs::read(&library.file)?);
        compared.verdict = match tokio::time::timeout(PATIENCE, fetch(&client, &library.cdn)).await {
            Err(_) => Verdict::Failed { reason: format!("no answer within {} seconds", PATIENCE.as_secs()) },
            Ok(Err(reason)) => Verdict::Failed { reason },
            Ok(Ok(bytes)) => match Digest::of(&bytes) {
                digest if digest == own => Verdict::Same,
                digest => Verdict::OtherBytes { digest },
            },
        };
        all.push(compared);
    }
    Ok(all)
}

async fn fetch(client: &Client, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url).header("user-agent", "fingerpost").body(Bytes::new());
    let answer = client.send(request.map_err(|error| error.to_string())?).await.map_err(|error| reason(&error))?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes())
}

/// The version in a URL: `/jquery@3.6.0/` as jsDelivr and unpkg have it, `/jquery/3.6.0/` as cdnjs and Google do, or
/// `/jquery-3.6.0.min.js`.
fn declared(url: &str) -> Option<&str> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest).split(['?', '#']).next()?;
    let segments = || path.split('/').skip(1);
    let at = segments().filter_map(|segment| segment.rsplit_once('@')).map(|(_, version)| version);
    let whole = at.chain(segments()).map(|text| text.strip_prefix('v').unwrap_or(text));
    let name = segments().last().unwrap_or_default();
    let in_name = name.match_indices('-').find_map(|(dash, _)| version_in(name.get(dash + 1..)?));
    whole.into_iter().find(|text| version_in(text).is_some_and(|found| found.len() == text.len())).or(in_name)
}

/// The version of the package that a file is of, or else the first one in the comment that the file begins with.
fn local(root: &Path, file: &Path) -> Option<String> {
    let packages = file.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    let is_package = |folder: &&Path| {
        let above = folder.parent();
        let is_packages = |folder: &Path| folder.ends_with("node_modules");
        let is_scope = above.is_some_and(|scope| {
            scope.file_name().is_some_and(|name| name.to_string_lossy().starts_with('@'))
                && scope.parent().is_some_and(is_packages)
        });
        above.is_some_and(is_packages) || is_scope
    };
    let package = packages.into_iter().find(is_package).and_then(|folder| {
        let text = std::fs::read(folder.join("package.json")).ok()?;
        let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
        package.get("version")?.as_str().map(str::to_owned)
    });
    package.or_else(|| banner(&String::from_utf8_lossy(&std::fs::read(file).ok()?)).map(str::to_owned))
}

/// The version in a file's first comment.
fn banner(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches('\u{feff}');
    let text = text.strip_prefix("@charset \"UTF-8\";").unwrap_or(text);
    let comment = match text.strip_prefix("/*") {
        Some(rest) => rest.split("*/").next()?,
        None => text.strip_prefix("//")?.lines().next()?,
    };
    let words = comment.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '@'));
    words.map(|word| word.trim_start_matches('v')).find_map(version_in)
}

/// The version that a text begins with: two numbers or more with dots between them, and what may follow after a `-`.
fn version_in(text: &str) -> Option<&str> {
    let numbers = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let core = text.get(..numbers)?.trim_end_matches('.');
    let is_version = core.split('.').count() >= 2 && core.split('.').all(|part| !part.is_empty());
    if !is_version {
        return None;
    }
    let rest = text.get(core.len()..)?;
    // What is called a release before the release; not `.min.js`.
    let tail = match rest.strip_prefix('-') {
        Some(more) => {
            1 + more.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-')).unwrap_or(more.len())
        }
        None => 0,
    };
    text.get(..core.len() + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_tell_their_version() {
        for (url, want) in [
            ("https://cdnjs.cloudflare.com/ajax/libs/jquery/3.6.0/jquery.min.js", Some("3.6.0")),
            ("https://cdn.jsdelivr.net/npm/bootstrap@5.3.8/dist/css/bootstrap.min.css", Some("5.3.8")),
            ("https://cdn.jsdelivr.net/npm/@popperjs/core@2.11.8/dist/umd/popper.min.js", Some("2.11.8")),
            ("https://cdn.jsdelivr.net/gh/jquery/jquery@v3.6.0/dist/jquery.min.js", Some("3.6.0")),
            ("https://unpkg.com/htmx.org@2.0.0-beta1/dist/htmx.js?x=1.2.3", Some("2.0.0-beta1")),
            ("https://ajax.googleapis.com/ajax/libs/jquery/3.6.0/jquery.min.js", Some("3.6.0")),
            ("https://code.jquery.com/jquery-3.6.0.min.js", Some("3.6.0")),
            ("https://x.example/bootstrap-icons-1.13.1.min.css", Some("1.13.1")),
            ("http://127.0.0.1:8080/jquery.js", None),
            ("https://cdn.jsdelivr.net/npm/bootstrap@5/dist/css/bootstrap.min.css", None),
        ] {
            assert_eq!(declared(url), want, "{url}");
        }
    }

    #[test]
    fn banners_tell_their_version() {
        for (text, want) in [
            ("/*! jQuery v3.6.0 | (c) OpenJS Foundation */", Some("3.6.0")),
            ("@charset \"UTF-8\";/*!\n * Bootstrap  v5.3.8 (https://getbootstrap.com/)\n */", Some("5.3.8")),
            ("// lodash 4.17.21-rc.1\nvar x = '1.2.3'", Some("4.17.21-rc.1")),
            ("/* no version */ // 1.2.3", None),
            ("var version = '1.2.3'", None),
        ] {
            assert_eq!(banner(text), want, "{text}");
        }
    }
}

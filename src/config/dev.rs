//! `[dev]`: whose pages may use what is being worked on.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

use super::{Text, file};
use crate::error::Fault;

#[derive(Debug, Clone, Default)]
pub struct Dev {
    /// Beside the development server's own.
    pub origins: Vec<WebOrigin>,
}

/// An origin of pages: RFC 6454 section 6.2.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebOrigin {
    scheme: String,
    /// In lower case; an address of IPv6 in brackets.
    host: String,
    port: u16,
}

impl FromStr for WebOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no origin: write one such as `http://localhost:5000`");
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refuse());
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty()
        {
            return Err(refuse());
        }
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| refuse())?,
            None => usual,
        };
        Ok(WebOrigin { scheme: scheme.to_owned(), host: authority.host().to_ascii_lowercase(), port })
    }
}

impl WebOrigin {
    /// The origin of a page, by its URL.
    pub fn of_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        format!("{}://{}", uri.scheme_str()?, uri.authority()?).parse().ok()
    }

    /// Whether pages of the other are pages of this one. All names of this machine for itself mean the same server.
    pub fn admits(&self, other: &WebOrigin) -> bool {
        let is_same_host = self.host == other.host || (self.is_of_this_machine() && other.is_of_this_machine());
        is_same_host && self.scheme == other.scheme && self.port == other.port
    }

    pub fn is_of_this_machine(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme.as_str(), self.port) {
            ("http", 80) | ("https", 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

pub(super) fn resolve(text: &Text, dev: &file::Dev) -> Result<Dev, Fault> {
    let origins = dev.origins.iter().map(|origin| {
        origin.parse().map_err(|_| {
            text.fault(format!("`{origin}` is no origin"), origin).hint("write one such as `http://localhost:5000`")
        })
    });
    Ok(Dev { origins: origins.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> WebOrigin {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_has_no_more_than_it_needs() {
        for (text, want) in [
            ("http://localhost:5000", "http://localhost:5000"),
            ("http://localhost:5000/", "http://localhost:5000"),
            ("https://Shop.Test:443", "https://shop.test"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(text).to_string(), want);
        }
        for text in ["", "null", "*", "localhost:5000", "http://", "http://a/b", "http://a?b", "ftp://a", "http://a@b"]
        {
            assert!(text.parse::<WebOrigin>().is_err(), "{text}");
        }
        assert_eq!(WebOrigin::of_url("http://a.test:1/b?c").unwrap().to_string(), "http://a.test:1");
        assert_eq!(WebOrigin::of_url("about:blank"), None);
    }

    #[test]
    fn this_machines_names_for_itself_are_one() {
        let here = origin("http://localhost:5000");
        for (other, want) in [
            ("http://localhost:5000", true),
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000", true),
            ("http://localhost:5001", false),
            ("https://localhost:5000", false),
            ("http://localhost.evil.example:5000", false),
            ("http://192.168.1.7:5000", false),
        ] {
            assert_eq!(here.admits(&origin(other)), want, "{other}");
        }
        assert!(!origin("http://shop.test:5000").admits(&here));
    }
}

//! Who may ask: pages of this machine, and nobody whom a foreign page sends.
//!
//! What is served while a site is being worked on are its sources. A page of another site could ask for them by a name of its own that
//! leads to this machine (DNS rebinding), or straight away, as every local server can be asked by any page
//! (<https://github.com/vitejs/vite/security/advisories/GHSA-vg6x-rcgg-rjx6>).

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{Method, Uri};

use crate::serve::{host_name, requested_host};

/// The hosts that are answered.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Beside this machine's own: names, in lower case; one that begins with a dot, or a star and a dot, stands for all below it.
    pub hosts: Vec<String>,
}

/// Whether a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// With this origin let in to what it asked for, if it is another one.
    Answer(Option<HeaderValue>),
    /// Why not.
    Refuse(String),
}

impl Guard {
    pub fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let name = host_name(requested_host(uri, headers).unwrap_or_default());
        if !self.knows(&name) {
            return Verdict::Refuse(format!(
                "`{name}` is no name that this server answers to; if it is meant to, start it with `--allow-host {name}`\n"
            ));
        }
        let Some(origin) = headers.get(ORIGIN) else {
            let is = |field: &str, value: &str| headers.get(field).is_some_and(|found| found == value);
            let is_foreign = is("sec-fetch-site", "cross-site") && !is("sec-fetch-mode", "navigate");
            return match is_foreign {
                true => Verdict::Refuse("pages of other sites are not answered\n".to_owned()),
                false => Verdict::Answer(None),
            };
        };
        let text = origin.to_str().unwrap_or_default();
        let other = text.split_once("://").map_or("", |(_, host)| host);
        if other.eq_ignore_ascii_case(authority(uri, headers)) {
            return Verdict::Answer(None);
        }
        // A server of the same machine may have pages that load from here.
        let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match is_read && self.is_of_this_machine(&host_name(other)) {
            true => Verdict::Answer(Some(origin.clone())),
            false => Verdict::Refuse(format!("pages of `{text}` are not answered\n")),
        }
    }

    /// An address can't be another's name.
    fn knows(&self, name: &str) -> bool {
        address(name).is_some() || self.is_of_this_machine(name)
    }

    /// `localhost` and all below it lead to this machine: RFC 6761 section 6.3.
    fn is_of_this_machine(&self, name: &str) -> bool {
        let is_known = |host: &String| match host.trim_start_matches('*') {
            end if end.starts_with('.') => name == &end[1..] || name.ends_with(end),
            host => name == host,
        };
        address(name).is_some_and(|address| address.is_loopback())
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.iter().any(is_known)
    }
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let own = uri.authority().map(http::uri::Authority::as_str);
    own.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(method: Method, fields: &[(&'static str, &str)]) -> String {
        let guard = Guard { hosts: ["dev.example.com", ".test.example", "*.star.example"].map(str::to_owned).into() };
        let fields = fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        match guard.judge(&method, &Uri::from_static("/a"), &fields.collect()) {
            Verdict::Answer(None) => "ok".to_owned(),
            Verdict::Answer(Some(origin)) => format!("ok for {}", origin.to_str().unwrap()),
            Verdict::Refuse(_) => "no".to_owned(),
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for (host, want) in [
            ("localhost:8080", "ok"),
            ("a.localhost", "ok"),
            ("127.0.0.1:1", "ok"),
            ("192.168.1.7", "ok"),
            ("[::1]:8080", "ok"),
            ("DEV.example.com", "ok"),
            ("a.test.example", "ok"),
            ("test.example:80", "ok"),
            ("a.star.example", "ok"),
            ("evil.example", "no"),
            ("localhost.evil.example", "no"),
            ("xtest.example", "no"),
            ("127.0.0.1.evil.example", "no"),
            ("", "no"),
        ] {
            assert_eq!(judge(Method::GET, &[("host", host)]), want, "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_get_nothing() {
        let host = ("host", "localhost:8080");
        for (method, fields, want) in [
            (Method::GET, vec![("origin", "http://localhost:8080")], "ok"),
            (Method::GET, vec![("origin", "http://127.0.0.1:5000")], "ok for http://127.0.0.1:5000"),
            (Method::GET, vec![("origin", "https://evil.example")], "no"),
            (Method::GET, vec![("origin", "null")], "no"),
            (Method::GET, vec![("origin", "http://203.0.113.5")], "no"),
            (Method::POST, vec![("origin", "http://localhost:8080")], "ok"),
            (Method::POST, vec![("origin", "http://localhost:5000")], "no"),
            (Method::GET, vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], "no"),
            (Method::GET, vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], "ok"),
            (Method::GET, vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")], "ok"),
        ] {
            let fields: Vec<_> = [host].into_iter().chain(fields).collect();
            assert_eq!(judge(method, &fields), want, "{fields:?}");
        }
    }
}

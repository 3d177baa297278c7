//! Who may ask: the server's own pages, those of origins that are let in, and nobody whom another page sends.
//!
//! What is served while a site is being worked on are its sources. A page of another site could ask for them by a name of its own that
//! leads to this machine (DNS rebinding), or straight away, as every local server can be asked by any page
//! (<https://github.com/vitejs/vite/security/advisories/GHSA-vg6x-rcgg-rjx6>).

use std::net::IpAddr;

use http::Uri;
use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN, REFERER};

use crate::config::{Config, WebOrigin};
use crate::serve::{host_name, requested_host};

/// Who is answered.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Beside this machine's own: names, in lower case; one that begins with a dot, or a star and a dot, stands for all below it.
    pub hosts: Vec<String>,
    /// Whose pages may read what is here, beside the server's own. None by default: what else runs on this machine need not be a friend.
    pub origins: Vec<WebOrigin>,
}

/// Whether a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// A page of another origin, which is let in: it reads what it asked for.
    Share(HeaderValue),
    /// The same for what it shows or runs without reading it.
    Show,
    Refuse {
        why: String,
        /// Of the page, if this machine has it.
        origin: Option<WebOrigin>,
    },
}

impl Guard {
    /// What the configuration says, and beside it the command line.
    pub fn new(config: &Config, hosts: &[String], origins: &[WebOrigin]) -> Self {
        let environments = config.environments.values();
        let named = environments.flat_map(|environment| environment.hosts.iter().cloned());
        Guard {
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).chain(named).collect(),
            origins: [origins, &config.dev.origins].concat(),
        }
    }

    pub fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let name = host_name(requested_host(uri, headers).unwrap_or_default());
        if !self.knows(&name) {
            let why = format!(
                "`{name}` is no name that this server answers to; if it is meant to, start it with `--allow-host {name}`\n"
            );
            return Verdict::Refuse { why, origin: None };
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return self.judge_by_page(uri, headers);
        };
        let text = origin.to_str().unwrap_or_default();
        let other = text.split_once("://").map_or("", |(_, host)| host);
        if other.eq_ignore_ascii_case(authority(uri, headers)) {
            return Verdict::Answer;
        }
        let asks = text.parse::<WebOrigin>().ok();
        if asks.as_ref().is_some_and(|asks| self.admits(asks)) {
            return Verdict::Share(origin.clone());
        }
        Verdict::Refuse {
            why: format!(
                "pages of `{text}` are not answered; if they are meant to be, start it with `--origin {text}`\n"
            ),
            origin: asks.filter(WebOrigin::is_of_this_machine),
        }
    }

    fn admits(&self, asks: &WebOrigin) -> bool {
        self.origins.iter().any(|origin| origin.admits(asks))
    }

    /// What a page only shows or runs is asked for without its origin, but mostly with its URL (RFC 9110 section 10.1.3), or that of the
    /// stylesheet which names it. No script can say that it was another page.
    fn judge_by_page(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let page = headers.get(REFERER).and_then(|url| url.to_str().ok()).unwrap_or_default();
        let is_own = page.split('/').nth(2).is_some_and(|host| host.eq_ignore_ascii_case(authority(uri, headers)));
        let sent = WebOrigin::of_url(page);
        if sent.as_ref().is_some_and(|sent| self.admits(sent)) || (is_own && !self.origins.is_empty()) {
            return Verdict::Show;
        }
        let is = |field: &str, value: &str| headers.get(field).is_some_and(|found| found == value);
        let is_foreign = is("sec-fetch-site", "cross-site");
        let neighbour = sent.filter(|sent| !is_own && sent.is_of_this_machine());
        match (is_foreign || (is("sec-fetch-site", "same-site") && neighbour.is_some()))
            && !is("sec-fetch-mode", "navigate")
        {
            true => Verdict::Refuse { why: "pages of other sites are not answered\n".to_owned(), origin: neighbour },
            false => Verdict::Answer,
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

    fn judge(fields: &[(&'static str, &str)]) -> String {
        let guard = Guard {
            hosts: ["dev.example.com", ".test.example", "*.star.example"].map(str::to_owned).into(),
            origins: ["http://localhost:5000", "https://shop.test"].map(|origin| origin.parse().unwrap()).into(),
        };
        let fields = fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        match guard.judge(&Uri::from_static("/a"), &fields.collect()) {
            Verdict::Answer => "ok".to_owned(),
            Verdict::Share(origin) => format!("ok for {}", origin.to_str().unwrap()),
            Verdict::Show => "shown".to_owned(),
            Verdict::Refuse { origin, .. } => {
                format!("no{}", origin.map(|origin| format!(" to {origin}")).unwrap_or_default())
            }
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
            assert_eq!(judge(&[("host", host)]), want, "{host}");
        }
    }

    #[test]
    fn only_pages_of_origins_that_are_let_in_get_anything() {
        let host = ("host", "localhost:8080");
        for (fields, want) in [
            (vec![("origin", "http://localhost:8080")], "ok"),
            (vec![("origin", "http://localhost:5000")], "ok for http://localhost:5000"),
            (vec![("origin", "http://127.0.0.1:5000")], "ok for http://127.0.0.1:5000"),
            (vec![("origin", "https://shop.test")], "ok for https://shop.test"),
            // What else runs here is not let in by that.
            (vec![("origin", "http://127.0.0.1:5001")], "no to http://127.0.0.1:5001"),
            (vec![("origin", "http://localhost")], "no to http://localhost"),
            (vec![("origin", "http://shop.test")], "no"),
            (vec![("origin", "http://dev.example.com")], "no"),
            (vec![("origin", "https://evil.example")], "no"),
            (vec![("origin", "http://localhost.evil.example:5000")], "no"),
            (vec![("origin", "null")], "no"),
            (vec![("origin", "http://203.0.113.5")], "no"),
            (vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], "no"),
            (vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], "ok"),
            (vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")], "ok"),
            (vec![("sec-fetch-site", "cross-site"), ("referer", "https://shop.test/a")], "shown"),
            (vec![("sec-fetch-site", "cross-site"), ("referer", "https://shop.test.evil.example/")], "no"),
            (vec![("sec-fetch-site", "same-site"), ("referer", "http://127.0.0.1:5000/a")], "shown"),
            (vec![("sec-fetch-site", "cross-site"), ("referer", "http://localhost:8080/a.css")], "shown"),
            (
                vec![("sec-fetch-site", "cross-site"), ("referer", "http://localhost:8081/")],
                "no to http://localhost:8081",
            ),
            (
                vec![("sec-fetch-site", "same-site"), ("referer", "http://localhost:5001/")],
                "no to http://localhost:5001",
            ),
            (vec![("sec-fetch-site", "same-origin"), ("referer", "http://localhost:5001/")], "ok"),
            (vec![("sec-fetch-site", "same-site"), ("referer", "http://a.localhost:8080/")], "ok"),
            (vec![("origin", "null"), ("referer", "https://shop.test/a")], "no"),
        ] {
            let fields: Vec<_> = [host].into_iter().chain(fields).collect();
            assert_eq!(judge(&fields), want, "{fields:?}");
        }
    }
}

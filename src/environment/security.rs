//! What an environment's answers tell browsers to refuse.

use std::collections::BTreeMap;

/// How browsers are to be told. The default is safe, and breaks no page that loads only what its HTML names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// What becomes of the `Content-Security-Policy` that is made from each page.
    pub policy: Enforcement,
    /// Whether styles may be written into the page at run time, as many packages do. Otherwise only those that the page brought
    /// along are applied.
    pub inline_styles: bool,
    /// Sources beside those that are found, by directive: `connect-src` to `https://api.example.com`.
    pub allow: BTreeMap<String, Vec<String>>,
    /// Who may show the pages in a frame: `'none'`, `'self'` or origins. Empty for anybody.
    pub frame_ancestors: String,
    /// Where browsers report what they refuse, an absolute URL.
    pub report_to: Option<String>,
    /// `Strict-Transport-Security`, sent over TLS alone (RFC 6797 section 7.2).
    pub hsts: Option<String>,
}

/// What is done with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    Enforce,
    /// Browsers complain, and refuse nothing.
    ReportOnly,
    Off,
}

impl Security {
    /// The directives that sources can be added to.
    pub const DIRECTIVES: [&str; 18] = [
        "base-uri",
        "child-src",
        "connect-src",
        "default-src",
        "font-src",
        "form-action",
        "frame-src",
        "img-src",
        "manifest-src",
        "media-src",
        "object-src",
        "script-src",
        "script-src-attr",
        "script-src-elem",
        "style-src",
        "style-src-attr",
        "style-src-elem",
        "worker-src",
    ];

    /// The defaults of an environment. Development has no HSTS: a browser would remember it for `localhost`, on every port.
    pub fn of(environment: &str) -> Self {
        let is_development = environment == "development";
        Security {
            policy: Enforcement::Enforce,
            inline_styles: true,
            allow: BTreeMap::new(),
            frame_ancestors: "'self'".to_owned(),
            report_to: None,
            hsts: (!is_development).then(|| "max-age=31536000".to_owned()),
        }
    }
}

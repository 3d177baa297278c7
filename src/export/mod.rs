//! The configuration of another server that does what [`serve`](crate::serve) does: [`Rules`] say what is answered, whichever server it
//! is, and each dialect only writes them down.

mod caddy;
mod nginx;
mod rules;
mod site;

pub use rules::{Fingerprinted, Found, Rules};
pub use site::{Folder, Layout, Site};

use crate::error::{Error, Result};

/// Whose configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Nginx,
    Caddy,
}

/// What the rules leave open.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where to listen: a port, or `ADDRESS:PORT`.
    pub listen: Option<String>,
    /// A file of the user's own that is included in the server's block.
    pub include: Option<String>,
    /// For nginx without its module for Brotli.
    pub no_brotli: bool,
}

/// The configuration's text.
pub fn write(dialect: Dialect, rules: &Rules, settings: &Settings) -> Result<String> {
    check(settings)?;
    match dialect {
        Dialect::Nginx => Ok(nginx::write(rules, settings)),
        Dialect::Caddy => caddy::write(rules, settings),
    }
}

fn check(settings: &Settings) -> Result<()> {
    let is_address = |text: &str| {
        let port = text.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        port && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '[' | ']' | '*' | '-'))
    };
    match settings.listen.as_deref().filter(|listen| !is_address(listen)) {
        None => Ok(()),
        Some(listen) => Err(Error::Usage {
            message: format!("`{listen}` is no place to listen"),
            help: "write a port, or `ADDRESS:PORT`".to_owned(),
        }),
    }
}

/// What stands at the top of each configuration.
fn preamble(rules: &Rules, server: &str, cannot: &[&str]) -> String {
    let mut text = format!("# {server} for the environment `{}`, release {}.\n", rules.environment, rules.release);
    text.push_str("# Written by `fingerpost export`: write it anew for each release, then reload the server.\n");
    if !cannot.is_empty() {
        text.push_str("# What `fingerpost serve` does and this does not:\n");
        cannot.iter().for_each(|line| text.push_str(&format!("# - {line}\n")));
    }
    text
}

/// As part of a regular expression: Perl's, Go's and PCRE agree on these.
fn regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '_' | '-' | '~' => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// A fingerprinted file's path below its folder, without what comes before the extension's dot; no part of it is hidden.
const FINGERPRINTED: &str = "(?:[^/.\\x00-\\x1f][^/\\x00-\\x1f]*/)*[^/.\\x00-\\x1f][^/\\x00-\\x1f]*-[0-9a-f]{16}";

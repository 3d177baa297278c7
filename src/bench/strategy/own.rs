//! A strategy of the user's own: a URL where it runs already, or a command that starts it.

use std::net::{IpAddr, ToSocketAddrs};

use super::app::command_at;
use super::setup::Setup;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    Url(String),
    /// With `{port}` where it takes the port to listen at.
    Command(String),
}

impl Own {
    pub fn parse(text: &str) -> Self {
        match text.starts_with("http://") || text.starts_with("https://") {
            true => Own::Url(text.to_owned()),
            false => Own::Command(text.to_owned()),
        }
    }

    /// Whether load would go to another machine.
    pub fn is_remote(&self) -> bool {
        match self {
            Own::Command(_) => false,
            Own::Url(url) => !addresses(url).is_some_and(|all| !all.is_empty() && all.iter().all(IpAddr::is_loopback)),
        }
    }

    /// Starts it, or finds it, and gives the URL for visitors if no door stands before it.
    pub async fn start(&self, setup: &mut Setup<'_>) -> Result<Option<String>, Missing> {
        match self {
            Own::Command(command) => {
                let relay = setup.door().await?;
                let root = setup.ground.root.clone();
                let address = command_at(setup, command, root).await?;
                setup.open(relay, Behind::Origin([address, address]));
                Ok(None)
            }
            // A URL's certificate and its host's name are its own: visitors go there directly.
            Own::Url(url) if url.starts_with("https://") || self.is_remote() => {
                Ok(Some(url.trim_end_matches('/').to_owned()))
            }
            Own::Url(url) => {
                let relay = setup.door().await?;
                let uri: http::Uri = url.parse().map_err(|_| no_url(url))?;
                let host = uri.authority().ok_or_else(|| no_url(url))?;
                let host = format!("{}:{}", host.host(), host.port_u16().unwrap_or(80));
                let address = host.to_socket_addrs()?.next().ok_or_else(|| no_url(url))?;
                setup.open(relay, Behind::Origin([address, address]));
                Ok(None)
            }
        }
    }
}

fn addresses(url: &str) -> Option<Vec<IpAddr>> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    Some((host, 80).to_socket_addrs().ok()?.map(|address| address.ip()).collect())
}

fn no_url(url: &str) -> Missing {
    Missing { reason: format!("`{url}` is no URL"), remedy: "write it as `http://HOST:PORT`".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_near() {
        for (text, remote) in [
            ("http://127.0.0.1:8000", false),
            ("http://[::1]:8000/", false),
            ("https://localhost", false),
            ("http://192.0.2.1/", true),
            ("https://no-such-host.invalid", true),
            ("http://", true),
            ("python3 -m http.server {port}", false),
        ] {
            assert_eq!(Own::parse(text).is_remote(), remote, "{text}");
        }
    }
}

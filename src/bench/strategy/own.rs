//! A strategy of the user's own: a URL where it runs already, or a command that starts it.

use super::app::command_at;
use super::setup::Setup;
use crate::bench::load::Origin;
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
            Own::Url(url) => !Origin::of(url).is_some_and(|origin| origin.is_here()),
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
            Own::Url(url) => {
                let origin = Origin::of(url).ok_or_else(|| no_url(url))?;
                let reached = origin.reach(setup.ground.allow_remote).await?;
                // A certificate is for a name, and what is far away has a network before it: visitors go there directly.
                if origin.is_tls || self.is_remote() {
                    setup.reached.push(reached);
                    return Ok(Some(url.trim_end_matches('/').to_owned()));
                }
                let (relay, address) = (setup.door().await?, reached.server.address);
                setup.open(relay, Behind::Origin([address, address]));
                Ok(None)
            }
        }
    }
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

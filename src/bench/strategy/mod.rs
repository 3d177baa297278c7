//! The ways to serve a site, one file each. To add one: a file with `start`, which opens its doors, and a line in each `match` here.

mod app;
mod bundled;
mod cdn;
mod disk;
mod hybrid;
mod memory;
pub mod nginx;
mod on_the_fly;
mod ours;
mod own;
mod precompressed;
mod proxy;
mod proxy_nginx;
pub mod setup;
pub mod storage;
mod unbundled;
mod worker;

use std::net::SocketAddr;

use futures_util::FutureExt;

use super::edge::{Edge, Origin};
use super::ground::Ground;
use super::report::{Measured, Missing, Way};
use super::stand::{Edges, Stand};
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::progress::Progress;
pub use own::Own;
use setup::{Setup, Told, size};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    App,
    Disk,
    Memory,
    Precompressed,
    OnTheFly,
    ProxyNginx,
    Proxy,
    Cdn,
    Bundled,
    Unbundled,
    Hybrid,
    Storage,
    Worker,
    Own(String, Own),
}

/// What a strategy is, for people.
pub struct About {
    /// As `--strategy` takes it.
    pub name: &'static str,
    /// Which of the classic ways it is.
    pub way: Option<Way>,
    /// In a few words.
    pub title: &'static str,
    /// What stands behind it.
    pub description: &'static str,
}

impl Strategy {
    /// In the order of reports.
    pub const ALL: [Strategy; 13] = [
        Strategy::App,
        Strategy::Disk,
        Strategy::Memory,
        Strategy::Precompressed,
        Strategy::OnTheFly,
        Strategy::ProxyNginx,
        Strategy::Proxy,
        Strategy::Cdn,
        Strategy::Bundled,
        Strategy::Unbundled,
        Strategy::Hybrid,
        Strategy::Storage,
        Strategy::Worker,
    ];

    /// Reads what `--strategy` takes: a name, or `NAME=URL`, or `NAME=COMMAND`.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some((name, own)) = text.split_once('=') {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_plain) || Strategy::ALL.iter().any(|known| known.name() == name)
            {
                return Err(Error::Usage {
                    message: format!("`{name}` can't be the name of a strategy of your own"),
                    help: "use letters, digits and `-`, and no name that there is already".to_owned(),
                });
            }
            let own = Own::parse(own);
            if matches!(&own, Own::Command(command) if command.trim().is_empty()) {
                return Err(Error::Usage {
                    message: format!("`{name}` has neither a URL nor a command"),
                    help: "write `NAME=http://HOST:PORT`, or `NAME=COMMAND` with `{port}` for the port".to_owned(),
                });
            }
            return Ok(Strategy::Own(name.to_owned(), own));
        }
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Strategy::ALL.iter().map(Strategy::name).collect();
            Error::Usage {
                message: format!("there is no strategy `{text}`"),
                help: match nearest(text, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}; one of your own is `NAME=URL` or `NAME=COMMAND`", names.join(", ")),
                },
            }
        })
    }

    pub fn name(&self) -> &str {
        match self {
            Strategy::Own(name, _) => name,
            ours => ours.about().map_or("", |about| about.name),
        }
    }

    /// Whether load for it would go to another machine.
    pub fn is_remote(&self) -> bool {
        matches!(self, Strategy::Own(_, own) if own.is_remote())
    }

    /// Whether it is none that the bench starts.
    pub fn runs_already(&self) -> bool {
        matches!(self, Strategy::Own(_, Own::Url(_)))
    }

    /// None of a user's own.
    fn about(&self) -> Option<&'static About> {
        Some(match self {
            Strategy::App => &app::ABOUT,
            Strategy::Disk => &disk::ABOUT,
            Strategy::Memory => &memory::ABOUT,
            Strategy::Precompressed => &precompressed::ABOUT,
            Strategy::OnTheFly => &on_the_fly::ABOUT,
            Strategy::ProxyNginx => &proxy_nginx::ABOUT,
            Strategy::Proxy => &proxy::ABOUT,
            Strategy::Cdn => &cdn::ABOUT,
            Strategy::Bundled => &bundled::ABOUT,
            Strategy::Unbundled => &unbundled::ABOUT,
            Strategy::Hybrid => &hybrid::ABOUT,
            Strategy::Storage => &storage::ABOUT,
            Strategy::Worker => &worker::ABOUT,
            Strategy::Own(..) => return None,
        })
    }

    /// What is known of it before it is measured.
    pub fn unmeasured(&self) -> Measured {
        let (title, description) = match (self, self.about()) {
            (Strategy::Own(_, Own::Url(url)), _) => (url.as_str(), "A server of your own, which ran already."),
            (Strategy::Own(_, Own::Command(command)), _) => (command.as_str(), "A command of your own."),
            (_, about) => about.map_or(("", ""), |about| (about.title, about.description)),
        };
        Measured {
            name: self.name().to_owned(),
            way: self.about().and_then(|about| about.way),
            title: title.to_owned(),
            description: description.to_owned(),
            missing: None,
            commands: Vec::new(),
            configurations: Default::default(),
            servers: Vec::new(),
            visits: Vec::new(),
            edges: Vec::new(),
            stored_bytes: 0,
            billed_requests: *self == Strategy::Storage,
            delivered_by_edge: matches!(self, Strategy::Cdn | Strategy::Hybrid),
        }
    }

    /// Starts all that it needs, and leaves word of it in `measured`.
    pub async fn start(
        &self,
        ground: &Ground,
        measured: &mut Measured,
        progress: &dyn Progress,
    ) -> Result<Running, Missing> {
        let mut setup = Setup::new(ground, self.name(), progress);
        let mut direct = None;
        let edges = match self {
            Strategy::Cdn => Some(cdn::start(&mut setup).await?),
            Strategy::Hybrid => Some(hybrid::start(&mut setup).await?),
            others => {
                match others {
                    Strategy::App => app::start(&mut setup).await?,
                    Strategy::Disk => disk::start(&mut setup).await?,
                    Strategy::Memory => memory::start(&mut setup).await?,
                    Strategy::Precompressed => precompressed::start(&mut setup).await?,
                    Strategy::OnTheFly => on_the_fly::start(&mut setup).await?,
                    Strategy::ProxyNginx => proxy_nginx::start(&mut setup).await?,
                    Strategy::Proxy => proxy::start(&mut setup).await?,
                    Strategy::Bundled => bundled::start(&mut setup).await?,
                    Strategy::Unbundled => unbundled::start(&mut setup).await?,
                    // It holds all that a publish does, which is much for a compiler to lay out at once.
                    Strategy::Storage => storage::start(&mut setup).boxed_local().await?,
                    Strategy::Worker => worker::start(&mut setup).await?,
                    Strategy::Own(_, own) => direct = own.start(&mut setup).await?,
                    Strategy::Cdn | Strategy::Hybrid => {}
                }
                None
            }
        };
        let front = setup.doors.first().map(|door| format!("http://{}", door.relay.address()));
        let page = direct.clone().or(front).map(|base| format!("{base}{}", ground.page)).unwrap_or_default();
        measured.commands = std::mem::take(&mut setup.commands);
        measured.configurations = std::mem::take(&mut setup.configurations);
        measured.stored_bytes = setup.stored.iter().map(|path| size(path)).sum::<u64>() + setup.stored_bytes;
        let of_the_user = matches!(self, Strategy::Own(..))
            || (ground.app.is_some() && matches!(self, Strategy::App | Strategy::ProxyNginx));
        let stand = Stand {
            page,
            meter: setup.meter(),
            pages: setup.pages.take(),
            doors: std::mem::take(&mut setup.doors),
            edges,
            releases: !of_the_user,
            worker: *self == Strategy::Worker,
            reached: std::mem::take(&mut setup.reached),
            emulation: ground.emulation,
        };
        Ok(Running { stand, programs: setup.programs.into_iter().collect(), _processes: setup.processes })
    }
}

/// A strategy's processes, for as long as this lives.
pub struct Running {
    pub stand: Stand,
    pub programs: Vec<(String, String)>,
    _processes: Vec<super::process::Process>,
}

/// An edge near each distance, and one beside the origin for load.
async fn edges(setup: &mut Setup<'_>, origins: [SocketAddr; 2]) -> Result<Edges, Missing> {
    let loaded = Edge::start(setup, "loaded", Origin::Beside(origins[0]), Told::Yes).await?;
    let mut near = Vec::new();
    for distance in setup.ground.distances_ms.clone() {
        near.push(Edge::start(setup, &format!("{distance} ms"), Origin::Far, Told::No).await?);
    }
    Ok(Edges { near, origins, loaded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_mistaken_ones_are_put_right() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::parse(strategy.name()).unwrap(), strategy);
        }
        assert_eq!(
            Strategy::parse("mine=./serve --port {port}").unwrap(),
            Strategy::Own("mine".to_owned(), Own::Command("./serve --port {port}".to_owned()))
        );
        for (text, want) in [
            ("memry", "did you mean `memory`?"),
            ("zzzzzzzzzz", "there are app, disk"),
            ("memory=http://127.0.0.1", "no name that there is already"),
            ("mine=", "write `NAME=http"),
        ] {
            let error = Strategy::parse(text).expect_err("a mistake");
            let help = miette::Diagnostic::help(&error).map(|help| help.to_string()).unwrap_or_default();
            assert!(help.contains(want), "{text}: {help}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}

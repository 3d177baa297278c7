//! Our own server, as a process: one for each release.

use std::net::SocketAddr;

use super::setup::{Setup, Told};
use crate::bench::ground::Releases;
use crate::bench::process::free_address;
use crate::bench::report::Missing;

/// How it is to serve.
#[derive(Debug, Default)]
pub struct Ours {
    /// Where pages find assets, if not at the server itself.
    pub asset_base: Option<String>,
    /// More lines of `[serve]`.
    pub settings: &'static str,
    /// The application behind it.
    pub upstream: Option<[SocketAddr; 2]>,
}

impl Ours {
    /// Starts a server of each release.
    pub async fn start(&self, setup: &mut Setup<'_>, outs: &Releases) -> Result<[SocketAddr; 2], Missing> {
        let first = self.one(setup, outs, 0).await?;
        Ok([first, self.one(setup, outs, 1).await?])
    }

    async fn one(&self, setup: &mut Setup<'_>, outs: &Releases, release: usize) -> Result<SocketAddr, Missing> {
        let told = if release == 0 { Told::Yes } else { Told::No };
        let folder = setup.folder(&format!("server-{}", release + 1))?;
        // The environment that other servers' pages are bound to: pages may show which it is.
        let base = self.asset_base.as_deref().unwrap_or("/");
        let text = format!(
            "[serve]\nkeep_in = \"none\"\n{settings}\n[env.development]\nasset_base = \"{base}\"\nfailover = false\n",
            settings = self.settings
        );
        setup.file(&folder, "fingerpost.toml", &text, told)?;
        let address = free_address()?;
        let program = setup.ground.program.clone();
        let mut launch = setup.launch(&program, &folder).args(["serve", "--quiet", "--env", "development", "--listen"]);
        launch = launch.arg(address.to_string()).arg("--out").arg(&outs[release]);
        if let Some(upstream) = self.upstream {
            launch = launch.arg("--upstream").arg(format!("http://{}", upstream[release]));
        }
        // What the user has set for their own server is not meant for this one.
        for name in [
            "FINGERPOST_ADMIN",
            "FINGERPOST_ACCESS_LOG",
            "FINGERPOST_STORE",
            "FINGERPOST_TLS_CERT",
            "FINGERPOST_TLS_KEY",
        ] {
            launch = launch.without(name);
        }
        setup.start(launch, address, told).await?;
        if told == Told::Yes {
            setup.stored.push(outs[release].clone());
        }
        Ok(address)
    }
}

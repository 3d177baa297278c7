//! `unbundled`: each source a file of its own, as it was written, from the same server as `bundled`.

use super::About;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "unbundled",
    way: Some(Way::Bundles),
    title: "unbundled",
    description: "`serve` from memory, each source a file of its own as it was written, types taken out of \
                  scripts.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Unbundled).await?;
    let servers = Ours::default().start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

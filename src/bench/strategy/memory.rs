//! `memory`: our server, which answers from memory, in each coding that was made ahead.

use super::About;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "memory",
    way: None,
    title: "our server, memory",
    description: "`serve` answers from memory, compressed ahead.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Site).await?;
    let servers = Ours::default().start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

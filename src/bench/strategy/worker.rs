//! `worker`: our server and the service worker that the build makes: who comes back asks for little.

use super::About;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "worker",
    way: Some(Way::Worker),
    title: "service worker",
    description: "`serve` from memory, and the build's service worker for who comes back.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Worker).await?;
    let servers = Ours::default().start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

//! `on-the-fly`: nginx compresses each answer when it is asked for, of a build that has compressed nothing.

use super::About;
use super::nginx::{Packed, files};
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "on-the-fly",
    way: None,
    title: "nginx, packed on the fly",
    description: "nginx compresses each answer (gzip, level 5); the build has compressed nothing.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Plain).await?;
    let servers = files(setup, &outs, Packed::OnTheFly).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

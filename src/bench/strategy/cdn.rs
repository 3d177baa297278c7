//! `cdn`: all of the site behind a caching edge near each visitor, with our server as the origin.

use super::About;
use super::edges;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::{Behind, Edges};

pub const ABOUT: About = About {
    name: "cdn",
    way: Some(Way::Cdn),
    title: "all behind edges",
    description: "A caching edge near each visitor, before our server; pages are asked of the origin each \
                  time.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<Edges, Missing> {
    let relay = setup.edge_door().await?;
    let outs = setup.ground.built(Made::Site).await?;
    let origins = Ours::default().start(setup, &outs).await?;
    let edges = edges(setup, origins).await?;
    setup.open(relay, Behind::Edge);
    Ok(edges)
}

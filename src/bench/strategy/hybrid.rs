//! `hybrid`: pages from our server, and their assets from a caching edge near each visitor.

use super::About;
use super::edges;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::{Behind, Edges};

pub const ABOUT: About = About {
    name: "hybrid",
    way: Some(Way::Hybrid),
    title: "pages ours, assets at edges",
    description: "Pages from our server, and assets from a caching edge near each visitor.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<Edges, Missing> {
    let (pages, assets) = (setup.door().await?, setup.edge_door().await?);
    let outs = setup.ground.built(Made::Site).await?;
    let ours = Ours { asset_base: Some(format!("http://{}/", assets.address())), ..Ours::default() };
    let origins = ours.start(setup, &outs).await?;
    let edges = edges(setup, origins).await?;
    setup.open(pages, Behind::Origin(origins));
    setup.open(assets, Behind::Edge);
    Ok(edges)
}

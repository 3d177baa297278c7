//! `precompressed`: nginx sends what the build has compressed (`gzip_static`, and `brotli_static` where the module is installed).

use super::About;
use super::nginx::{Packed, files};
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "precompressed",
    way: None,
    title: "nginx, packed ahead",
    description: "nginx sends what the build has compressed.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Site).await?;
    let servers = files(setup, &outs, Packed::Ahead).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

//! `on-the-fly`: nginx compresses each answer when it is asked for, of a build that has compressed nothing.

use super::nginx::{Packed, files};
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Plain).await?;
    let servers = files(setup, &outs, Packed::OnTheFly).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

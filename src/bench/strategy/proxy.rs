//! `proxy`: our server in front of the application (`serve --upstream`): what was built comes from memory, and pages name that.

use super::app;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let (apps, _) = app::servers(setup, "templates-for-proxy").await?;
    let outs = setup.ground.built(Made::Assets).await?;
    let ours = Ours { upstream: Some(apps), ..Ours::default() };
    let servers = ours.start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

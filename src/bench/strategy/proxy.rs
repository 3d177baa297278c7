//! `proxy`: our server in front of the application (`serve --upstream`): what was built comes from memory, and pages name that.

use super::About;
use super::app;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "proxy",
    way: Some(Way::Proxy),
    title: "ours before the app",
    description: "`serve --upstream` sends what was built from memory, passes the rest on, and points the \
                  application's pages to what was built.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let (apps, _) = app::servers(setup, "templates-for-proxy").await?;
    let outs = setup.ground.built(Made::Assets).await?;
    let ours = Ours { upstream: Some(apps), ..Ours::default() };
    let servers = ours.start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

//! `proxy-nginx`: nginx sends the application's static files, and asks the application for pages.

use super::About;
use super::setup::Setup;
use super::{app, nginx};
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "proxy-nginx",
    way: Some(Way::Proxy),
    title: "nginx before the app",
    description: "nginx sends the application's static files and passes the rest on to it.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    // Said before anything is started.
    nginx::program()?;
    let relay = setup.door().await?;
    let (apps, statics) = app::servers(setup, "templates").await?;
    let servers = nginx::before(setup, statics.as_ref(), apps).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

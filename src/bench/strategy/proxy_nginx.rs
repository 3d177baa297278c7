//! `proxy-nginx`: nginx sends the application's static files, and asks the application for pages.

use super::setup::Setup;
use super::{app, nginx};
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    // Said before anything is started.
    nginx::program()?;
    let relay = setup.door().await?;
    let (apps, statics) = app::servers(setup, "templates").await?;
    let servers = nginx::before(setup, statics.as_ref(), apps).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

//! `disk`: our server with no memory for files, which reads each from its file when it is asked for.

use super::About;
use super::ours::Ours;
use super::setup::Setup;
use crate::bench::ground::Made;
use crate::bench::report::Missing;
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "disk",
    way: None,
    title: "our server, files",
    description: "`serve` reads each file when it is asked for, compressed ahead.",
};

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let outs = setup.ground.built(Made::Site).await?;
    let ours = Ours { settings: "memory = 0\nlargest_in_memory = 0\n", ..Ours::default() };
    let servers = ours.start(setup, &outs).await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

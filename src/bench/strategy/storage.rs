//! `storage`: assets straight from a bucket, published there as `publish` does it; pages from our server, which name the bucket.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use super::About;
use super::ours::Ours;
use super::setup::{Setup, Told};
use crate::bench::ground::Made;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;
use crate::encoding::Encoding;
use crate::environment::{Environment, StoreUrl};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::preview::bucket::Bucket;
use crate::progress::Silent;
use crate::publish::s3::Credentials;
use crate::publish::{self, Build, S3};

pub const ABOUT: About = About {
    name: "storage",
    way: Some(Way::Storage),
    title: "assets from a bucket",
    description: "Assets straight from an S3 server, compressed with gzip; pages from our server.",
};

/// Of objects in the bucket.
const PREFIX: &str = "site";

/// What the bucket's process says of itself, in its first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Access {
    pub endpoint: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

/// The bucket, in a process of its own so that what it takes can be told from what others take: runs until it is ended.
pub async fn serve(folder: PathBuf, tell: impl FnOnce(&Access)) -> Result<()> {
    let bucket = Bucket::start_readable(&folder).await?;
    tell(&Access {
        endpoint: bucket.endpoint.clone(),
        bucket: bucket.name.clone(),
        access_key: bucket.access_key.clone(),
        secret_key: bucket.secret_key.clone(),
    });
    std::future::pending().await
}

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let (pages, assets) = (setup.door().await?, setup.door().await?);
    let outs = setup.ground.built(Made::Site).await?;
    let folder = setup.folder("bucket")?;
    let objects = setup.folder("bucket/objects")?;
    let program = setup.ground.program.clone();
    let launch = setup.launch(&program, &folder).arg("bench-bucket").arg(&objects);
    setup.commands.push(launch.line());
    let (process, output) = launch.start_piped()?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let access: Access = serde_json::from_str(&line).map_err(|error| Missing {
        reason: format!("the bucket does not start: {error}: {}", process.last_words()),
        remedy: String::new(),
    })?;
    setup.keep(process, Told::Yes);
    let base = format!("http://{}/{}/{PREFIX}/", assets.address(), access.bucket);
    // In the order of releases, as it happens: the bucket keeps what the first one needs.
    for out in &outs {
        publish(&access, &base, out).await?;
    }
    let servers = Ours { asset_base: Some(base), ..Ours::default() }.start(setup, &outs).await?;
    setup.stored = vec![objects];
    let endpoint = access.endpoint.trim_start_matches("http://");
    let bucket = endpoint
        .parse()
        .map_err(|_| Missing { reason: format!("`{endpoint}` is no address"), remedy: String::new() })?;
    setup.open(pages, Behind::Origin(servers));
    setup.open(assets, Behind::Origin([bucket, bucket]));
    Ok(())
}

async fn publish(access: &Access, base: &str, out: &std::path::Path) -> Result<()> {
    let usage = |message| Error::Usage { message, help: String::new() };
    let environment = Environment {
        asset_base: base.parse().map_err(usage)?,
        store: Some(StoreUrl::S3 { bucket: access.bucket.clone(), prefix: PREFIX.to_owned() }),
        endpoint: Some(access.endpoint.clone()),
        // A bucket can't choose by what a client accepts, so files lie there in the one coding that all browsers know.
        encoding: Some(Encoding::Gzip),
        ..Environment::new("bench")
    };
    let credentials = Credentials { access_key: access.access_key.clone(), secret_key: access.secret_key.clone() };
    let store = S3::connect(&access.bucket, PREFIX, Some(&access.endpoint), None, Some(credentials)).await;
    let manifest = Manifest::load(out)?;
    let build = Build { out, manifest: &manifest, environment: &environment };
    publish::publish_to(&store, build, publish::Options::default(), &Silent).boxed_local().await.map(drop)
}

//! The bucket that is started where the user has none, in a process of its own: what it takes is told from what others take.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Bucket, Setup, Told};
use crate::bench::left::Noted;
use crate::bench::report::Missing;
use crate::environment::StoreUrl;
use crate::error::Result;
use crate::preview::bucket;
use crate::publish::S3;
use crate::publish::s3::Credentials;

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

/// Runs until it is ended.
pub async fn serve(folder: PathBuf, tell: impl FnOnce(&Access)) -> Result<()> {
    let bucket = bucket::Bucket::start_readable(&folder).await?;
    tell(&Access {
        endpoint: bucket.endpoint.clone(),
        bucket: bucket.name.clone(),
        access_key: bucket.access_key.clone(),
        secret_key: bucket.secret_key.clone(),
    });
    std::future::pending().await
}

pub async fn start(setup: &mut Setup<'_>) -> Result<Bucket, Missing> {
    let (folder, objects) = (setup.folder("bucket")?, setup.folder("bucket/objects")?);
    let launch = setup.launch(&setup.ground.program, &folder).arg("bench-bucket").arg(&objects);
    setup.commands.push(launch.line());
    let (process, output) = launch.start_piped()?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let access: Access = serde_json::from_str(&line).map_err(|error| Missing {
        reason: format!("the bucket does not start: {error}: {}", process.last_words()),
        remedy: "run its command by hand to see what it lacks".to_owned(),
    })?;
    let Access { endpoint, bucket, access_key, secret_key } = access;
    let credentials = Credentials { access_key, secret_key };
    let store = S3::connect(&bucket, PREFIX, Some(&endpoint), None, Some(credentials)).await;
    Ok(Bucket {
        store: Arc::new(Noted::new(store)),
        base: format!("{endpoint}/{bucket}/{PREFIX}/"),
        url: StoreUrl::S3 { bucket, prefix: PREFIX.to_owned() },
        endpoint,
        group: Some(setup.keep(process, Told::No)),
    })
}

//! `storage`: assets straight from a bucket, published there as `publish` does it; pages from our server, which name the bucket.

mod server;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;

pub use self::server::{Access, serve};
pub use self::users::{is_remote, resolve};
use super::About;
use super::ours::Ours;
use super::setup::{Setup, Told};
use crate::bench::ground::Made;
use crate::bench::left::Noted;
use crate::bench::load::Origin;
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;
use crate::encoding::Encoding;
use crate::environment::{Environment, StoreUrl};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::progress::Silent;
use crate::publish::{self, Build, Difference, Found, Store};
use crate::release::Record;

pub const ABOUT: About = About {
    name: "storage",
    way: Some(Way::Storage),
    title: "assets from a bucket",
    description: "Assets straight from an S3 server, or from the bucket of `--store`, compressed with gzip; pages from our server.",
};

/// A bucket that both releases are published to.
struct Bucket {
    store: Arc<Noted>,
    /// Where it is: `s3://bucket/prefix`, and the endpoint of its API.
    url: StoreUrl,
    endpoint: String,
    /// Where all the world gets what is in it, with a slash at its end.
    base: String,
    /// The group of its processes; none of one that is the user's.
    group: Option<u32>,
}

pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let pages = setup.door().await?;
    let outs = setup.ground.built(Made::Site).await?;
    let bucket = match &setup.ground.store {
        Some(at) => users::open(setup, at).await?,
        None => server::start(setup).await?,
    };
    let origin = Origin::of(&bucket.base).ok_or_else(|| Missing {
        reason: format!("`{}` is no URL", bucket.base),
        remedy: "write `--endpoint` and `--asset-base` as `https://HOST`".to_owned(),
    })?;
    let reached = origin.reach(setup.ground.allow_remote).await?;
    // As for a server of the user's: what is far away has a network before it, and a certificate is for a name.
    let (base, door) = match !origin.is_tls && reached.server.address.ip().is_loopback() {
        true => {
            let relay = setup.door().await?;
            (at_door(&bucket.base, &relay.address().to_string()), Some((relay, reached.server.address)))
        }
        false => {
            setup.reached.push(reached);
            (bucket.base.clone(), None)
        }
    };
    let environment = bucket.environment(&base)?;
    setup.configurations.insert("bucket.toml".to_owned(), bucket.told());
    // In the order of releases, as it happens: the bucket keeps what the first one needs.
    bucket.publish(&environment, &outs[0]).await?;
    bucket.read(&format!("http://{}", pages.address())).await?;
    bucket.publish(&environment, &outs[1]).await?;
    setup.stored_bytes = bucket.store.list().await?.values().sum();
    let servers = Ours { asset_base: Some(base), ..Ours::default() }.start(setup, &outs).await?;
    setup.beside(bucket.group);
    setup.stored.clear();
    setup.open(pages, Behind::Origin(servers));
    if let Some((relay, address)) = door {
        setup.open(relay, Behind::Origin([address, address]));
    }
    Ok(())
}

/// The same URL with another host.
fn at_door(base: &str, door: &str) -> String {
    let rest = base.split_once("//").map_or(base, |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    format!("http://{door}/{path}")
}

impl Bucket {
    fn environment(&self, base: &str) -> Result<Environment> {
        let usage = |message| Error::Usage { message, help: "check `--asset-base` and `--endpoint`".to_owned() };
        Ok(Environment {
            asset_base: base.parse().map_err(usage)?,
            store: Some(self.url.clone()),
            endpoint: Some(self.endpoint.clone()),
            // A bucket can't choose by what a client accepts, so files lie there in the one coding that all browsers know.
            encoding: Some(Encoding::Gzip),
            ..Environment::new("bench")
        })
    }

    /// As one would write it to publish there oneself.
    fn told(&self) -> String {
        let Bucket { url, endpoint, base, .. } = self;
        format!(
            "[env.bench]\nstore = \"{url}\"\nendpoint = \"{endpoint}\"\nasset_base = \"{base}\"\nencoding = \"gzip\"\n"
        )
    }

    async fn publish(&self, environment: &Environment, out: &Path) -> Result<(), Missing> {
        let manifest = Manifest::load(out)?;
        let build = Build { out, manifest: &manifest, environment };
        let published = publish::publish_to(&*self.store, build, publish::Options::default(), &Silent).boxed_local();
        published.await.map(drop).map_err(users::missing)
    }

    /// Whether somebody without credentials gets what was published, as it was, for a page of that origin: one object of each kind.
    async fn read(&self, pages: &str) -> Result<(), Missing> {
        let record = samples(publish::live_record(&*self.store).await.map_err(users::missing)?);
        let environment = Environment { site: Some(pages.to_owned()), ..self.environment(&self.base)? };
        let found = publish::answers(&environment, &record, &Silent).await?;
        match found.first() {
            None => Ok(()),
            Some(found) => Err(Missing { reason: found.to_string(), remedy: self.remedy(found) }),
        }
    }

    fn remedy(&self, found: &Difference) -> String {
        let place = &self.url;
        let elsewhere = "name where browsers get it with `--asset-base`";
        match &found.found {
            Found::Header { name, .. } if name == "access-control-allow-origin" => format!(
                "let the origin `*` GET what is in the bucket, by its CORS rules: pages' scripts, stylesheets and fonts need it \
                 (docs/stores.md has the rules for each store), or {elsewhere}"
            ),
            Found::Header { .. } | Found::Content { .. } => {
                format!("what answers at `{}` changes what is stored: {elsewhere}", self.base)
            }
            Found::Unusable { reason } if reason.ends_with("401") || reason.ends_with("403") => {
                format!(
                    "let everybody read what is below `{place}` (`s3:GetObject`, in a bucket policy), or {elsewhere}"
                )
            }
            Found::Unusable { .. } | Found::Missing => {
                format!("`{}` has to lead to what is below `{place}`: {elsewhere}", self.base)
            }
        }
    }
}

/// Of each type and coding the smallest file.
fn samples(mut record: Record) -> Record {
    let pages = "releases/";
    let mut all: Vec<_> = std::mem::take(&mut record.objects).into_iter().collect();
    all.retain(|(key, _)| !key.starts_with(pages));
    all.sort_by_key(|(_, object)| object.length);
    let mut seen = BTreeSet::new();
    let header = |headers: &BTreeMap<String, String>, name: &str| headers.get(name).cloned();
    all.retain(|(_, object)| {
        seen.insert((header(&object.headers, "content-type"), header(&object.headers, "content-encoding")))
    });
    Record { objects: all.into_iter().collect(), ..record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_another_host_of_the_same_path() {
        assert_eq!(at_door("http://localhost:9000/site/x/", "127.0.0.1:1"), "http://127.0.0.1:1/site/x/");
        assert_eq!(at_door("http://[::1]/", "127.0.0.1:1"), "http://127.0.0.1:1/");
    }
}

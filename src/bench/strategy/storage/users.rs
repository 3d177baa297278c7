//! A bucket of the user's own: a folder of each run in it, which is deleted at the run's end.

use std::sync::Arc;

use super::{Bucket, Setup};
use crate::bench::left::Noted;
use crate::bench::load::Origin;
use crate::bench::report::{self, Missing};
use crate::environment::{AssetBase, StoreUrl};
use crate::error::{Error, Result};
use crate::publish::{S3, Store};

/// What the name of each run's folder begins with.
const FOLDER: &str = "fingerpost-bench-";

/// Checks what the flags say, and writes it in one way.
pub fn resolve(at: &report::Bucket) -> Result<report::Bucket> {
    let usage = |message: String, help: &str| Error::Usage { message, help: help.to_owned() };
    let url = match at.store.parse() {
        Ok(url @ StoreUrl::S3 { .. }) => url,
        _ => {
            return Err(usage(
                format!("`{}` is no bucket", at.store),
                "write `--store s3://BUCKET/PREFIX`; the bench has a folder of its own below",
            ));
        }
    };
    let endpoint = at.endpoint.trim_end_matches('/').to_owned();
    if Origin::of(&endpoint).is_none() {
        return Err(usage(
            format!("`{endpoint}` is no URL of an S3 API"),
            "write `--endpoint https://HOST`, at AWS `https://s3.REGION.amazonaws.com`",
        ));
    }
    let asset_base = match &at.asset_base {
        None => None,
        Some(text) => {
            let base = text.parse::<AssetBase>().ok().filter(|base| Origin::of(base.as_str()).is_some());
            let wrong = || usage(format!("`{text}` is no base of URLs"), "write `--asset-base https://HOST/PATH/`");
            Some(base.ok_or_else(wrong)?.as_str().to_owned())
        }
    };
    Ok(report::Bucket { store: url.to_string(), endpoint, asset_base, region: at.region.clone() })
}

/// Whether load, or what is published, would go to another machine.
pub fn is_remote(at: &report::Bucket) -> bool {
    let urls = [Some(&at.endpoint), at.asset_base.as_ref()];
    urls.into_iter().flatten().any(|url| !Origin::of(url).is_some_and(|origin| origin.is_here()))
}

/// Opens a folder of this run alone, which has to be empty: nothing in it is anybody else's.
pub async fn open(setup: &Setup<'_>, at: &report::Bucket) -> Result<Bucket, Missing> {
    let StoreUrl::S3 { bucket, prefix } = at.store.parse().map_err(no_bucket)? else {
        return Err(no_bucket(format!("`{}` is no bucket", at.store)));
    };
    let run = format!("{FOLDER}{:032x}", fastrand::u128(..));
    let base = at.asset_base.clone().unwrap_or_else(|| match prefix.as_str() {
        "" => format!("{}/{bucket}/", at.endpoint),
        prefix => format!("{}/{bucket}/{prefix}/", at.endpoint),
    });
    let below = if prefix.is_empty() { run.clone() } else { format!("{prefix}/{run}") };
    let store = S3::connect(&bucket, &below, Some(&at.endpoint), at.region.as_deref(), None).await;
    let store = Arc::new(Noted::new(store));
    store.preflight().await.map_err(missing)?;
    if !store.list().await.map_err(missing)?.is_empty() {
        return Err(Missing {
            reason: format!("something lies at `{}` already", store.place("")),
            remedy: "run again: each run has another folder".to_owned(),
        });
    }
    setup.ground.left.add(store.clone());
    setup.progress.warn(format!(
        "`storage` publishes to `{}/`, a folder of this run alone, and deletes at the end what it has put there; if the bench is killed \
         before, delete that folder",
        store.place("")
    ));
    Ok(Bucket {
        store,
        url: StoreUrl::S3 { bucket, prefix: below },
        endpoint: at.endpoint.clone(),
        base: format!("{base}{run}/"),
        group: None,
    })
}

/// What helps a publish, in the words of the bench's flags.
pub fn missing(error: Error) -> Missing {
    let Missing { reason, remedy } = error.into();
    let remedy = remedy
        .replace(", then publish again; what is live is still the old release", "")
        .replace("publish again", "run again")
        .replace("`store`", "`--store`")
        .replace("`endpoint`", "`--endpoint`")
        .replace("`region`", "`--region`")
        .replace("`region = ", "`--region ");
    Missing { reason, remedy }
}

fn no_bucket(reason: String) -> Missing {
    Missing { reason, remedy: "write `--store s3://BUCKET/PREFIX`".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(store: &str, endpoint: &str, asset_base: Option<&str>) -> report::Bucket {
        report::Bucket {
            store: store.to_owned(),
            endpoint: endpoint.to_owned(),
            region: None,
            asset_base: asset_base.map(str::to_owned),
        }
    }

    #[test]
    fn flags_are_checked_and_written_in_one_way() {
        let resolved = resolve(&bucket("s3://b/p/", "https://s3.example/", Some("https://cdn.example/x"))).unwrap();
        assert_eq!(resolved, bucket("s3://b/p", "https://s3.example", Some("https://cdn.example/x/")));
        assert_eq!(resolve(&resolved).unwrap(), resolved);
        for (wrong, want) in [
            (bucket("published", "https://s3.example", None), "`published` is no bucket"),
            (bucket("s3://b", "s3.example", None), "`s3.example` is no URL"),
            (bucket("s3://b", "https://s3.example", Some("/x/")), "`/x/` is no base"),
        ] {
            assert!(resolve(&wrong).unwrap_err().to_string().contains(want), "{want}");
        }
    }

    #[test]
    fn what_is_not_here_is_told() {
        let here = "http://127.0.0.1:9000";
        assert!(!is_remote(&bucket("s3://b", here, None)));
        assert!(is_remote(&bucket("s3://b", "http://192.0.2.1", None)));
        assert!(is_remote(&bucket("s3://b", here, Some("http://192.0.2.1/"))));
    }
}

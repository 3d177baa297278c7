//! The preview's CDN: serves the assets of the release that is live in a bucket, with the headers that the bucket gives.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{Any, Cors, CorsLayer};

use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::manifest::File;
use crate::publish::{self, Store};
use crate::serve::{Handler, Resource, Table, TableBuilder};

/// Objects that are fetched at once.
const CONCURRENCY: usize = 16;

/// What the bucket has, as a CDN would have fetched it. Pages are the site's own server's, and left out.
pub async fn table<S: Store>(store: &S) -> Result<Table> {
    let record = publish::live_record(store).await?;
    let exists = |key: &str| record.objects.contains_key(key);
    let sidecar = |key: &str| {
        let original = |encoding: Encoding| key.strip_suffix(encoding.extension())?.strip_suffix('.');
        Encoding::ALL.into_iter().filter_map(original).any(exists)
    };
    let assets = record.objects.keys().filter(|key| !key.starts_with("releases/") && !sidecar(key));
    let fetched: Vec<(&String, Resource)> = stream::iter(assets)
        .map(|key| async move {
            let (headers, body) = fetch(store, key).await?;
            let mut resource = Resource::new(&Digest::of(&body), headers, body);
            for encoding in Encoding::ALL {
                let variant = File::sidecar(key, encoding);
                if exists(&variant) {
                    let (_, body) = fetch(store, &variant).await?;
                    resource = resource.variant(encoding, body);
                }
            }
            Ok::<_, Error>((key, resource))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut table = TableBuilder::default();
    for (key, resource) in fetched {
        table.resource(format!("/{key}"), resource);
    }
    Ok(table.build())
}

/// An object as the bucket answers for it.
async fn fetch<S: Store>(store: &S, key: &str) -> Result<(HeaderMap, Bytes)> {
    let stored = store.get(key).await?.ok_or_else(|| Error::Publish {
        message: format!("`{}` is in the release's record, and not in the store", store.place(key)),
        help: "publish again".to_owned(),
    })?;
    let mut headers = HeaderMap::new();
    for (name, value) in &stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    // Who measures a page sees nothing of what comes from another origin without it: <https://www.w3.org/TR/resource-timing/>.
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
    Ok((headers, stored.body))
}

/// Any site may use what is on a CDN: fonts and modules, and whatever carries `integrity`, need the CDN's leave.
pub fn service(handler: Handler) -> Cors<Handler> {
    let layer = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::HEAD]).expose_headers(Any);
    tower::Layer::layer(&layer, handler)
}

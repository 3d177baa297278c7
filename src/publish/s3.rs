//! A store that is a bucket, through the S3 API: AWS and whatever speaks it (GCS, R2, Ceph, Garage).

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{self, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;

use super::store::{Body, Condition, Listing, Put, Store, Stored};
use crate::error::{Error, Result};
use crate::release::Object;

const CONNECT: Duration = Duration::from_secs(3);

/// One attempt of a request, its body not counted.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Bytes in a second that a line has to carry for an upload not to be given up; one that stands still is given up sooner, by
/// the SDK's protection against stalled streams.
const SLOWEST: u64 = 16 << 10;

/// Bytes of the longest body that one request may carry; an upload in parts, which could take more, is not made here.
const LONGEST: u64 = 5 << 30;

/// The answer to a precondition that does not hold, and to two conditional writes at once.
const REFUSED: [u16; 2] = [412, 409];

#[derive(Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    /// Without slashes at its ends; may be empty.
    prefix: String,
    /// Whether the store is not known to lack conditional writes.
    conditional: AtomicBool,
}

/// Access to a bucket that is not to be looked for in the environment.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl S3 {
    /// Makes the client; the first request is the store's first use. Whatever is not given is looked for where the AWS tools
    /// look: the environment, the shared files, the machine's role.
    pub async fn connect(
        bucket: &str,
        prefix: &str,
        endpoint: Option<&str>,
        region: Option<&str>,
        credentials: Option<Credentials>,
    ) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts);
        if let Some(Credentials { access_key, secret_key }) = credentials {
            loader = loader.credentials_provider(config::Credentials::new(access_key, secret_key, None, None, "given"));
        }
        loader = match (region, endpoint) {
            (Some(region), _) => loader.region(Region::new(region.to_owned())),
            // Other stores have one region and mostly don't care for its name; the machine's role, a matter of AWS, is not asked.
            (None, Some(_)) => loader.region(
                RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::new())
                    .or_else(Region::from_static("us-east-1")),
            ),
            (None, None) => loader,
        };
        let shared = loader.load().await;
        let mut client = config::Builder::from(&shared);
        if let Some(endpoint) = endpoint {
            client = client
                .endpoint_url(endpoint)
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        S3 {
            client: Client::from_conf(client.build()),
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            conditional: AtomicBool::new(true),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn request(&self, key: &str, body: ByteStream, object: &Object) -> PutObjectFluentBuilder {
        let header = |name: &str| object.headers.get(name).cloned();
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .body(body)
            .checksum_sha256(object.digest.base64())
            .set_content_type(header("content-type"))
            .set_cache_control(header("cache-control"))
            .set_content_encoding(header("content-encoding"))
            .set_content_disposition(header("content-disposition"))
            .set_content_language(header("content-language"))
    }

    async fn put_once(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        let bytes = match body {
            Body::Bytes(bytes) => ByteStream::from(bytes.clone()),
            Body::File(path) => ByteStream::from_path(path).await.map_err(|error| Error::Store {
                action: "send a file to",
                place: self.place(key),
                help: format!("make sure that `{}` can be read", path.display()),
                source: error.into(),
            })?,
        };
        let request = self.request(key, bytes, object);
        let request = match condition {
            Condition::Always => request,
            Condition::IfAbsent => request.if_none_match("*"),
            Condition::IfVersion(version) => request.if_match(version),
        };
        let timeout = ATTEMPT + Duration::from_secs(object.length / SLOWEST);
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(timeout).build();
        let sent = request.customize().config_override(config::Builder::new().timeout_config(timeouts)).send().await;
        let Err(error) = sent else { return Ok(Put::Written) };
        match error.raw_response().map(|response| response.status().as_u16()) {
            Some(status) if *condition != Condition::Always && REFUSED.contains(&status) => Ok(Put::Refused),
            Some(501) if *condition != Condition::Always => {
                self.conditional.store(false, Ordering::Relaxed);
                Ok(Put::Unsupported)
            }
            _ => Err(self.failed("write to", key, error)),
        }
    }

    fn failed<E>(&self, action: &'static str, key: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        Error::Store { action, place: self.place(key), help: self.help(&error), source: source(error) }
    }
}

impl Store for S3 {
    const WEBSITE: bool = false;

    fn place(&self, key: &str) -> String {
        let key = self.key(key);
        format!("s3://{}/{key}", self.bucket).trim_end_matches('/').to_owned()
    }

    async fn list(&self) -> Result<Listing> {
        let prefix = self.key("");
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix).into_paginator().send();
        let mut listing = Listing::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list", "", error))?;
            for object in page.contents() {
                if let Some(key) = object.key().and_then(|key| key.strip_prefix(&prefix)) {
                    listing.insert(key.to_owned(), object.size().unwrap_or_default().unsigned_abs());
                }
            }
        }
        Ok(listing)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let output = match self.client.get_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(output) => output,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(self.failed("read", key, error)),
        };
        let headers = headers(&output);
        let version = output.e_tag().unwrap_or_default().to_owned();
        let body = output.body.collect().await.map_err(|error| Error::Store {
            action: "read",
            place: self.place(key),
            help: UNREACHABLE.to_owned(),
            source: error.into(),
        })?;
        Ok(Some(Stored { body: body.into_bytes(), headers, version }))
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        if object.length > LONGEST {
            return Err(Error::Publish {
                message: format!("`{key}` is longer than the 5 GiB that one upload may have"),
                help: "keep files of that size out of the build".to_owned(),
            });
        }
        if *condition != Condition::Always && !self.conditional.load(Ordering::Relaxed) {
            return Ok(Put::Unsupported);
        }
        let put = self.put_once(key, body, object, condition).await?;
        match condition {
            // Ceph's gateway compares what stands between the quotes; where the version is another, so it is without them.
            Condition::IfVersion(version) if put == Put::Refused && version.starts_with('"') => {
                let bare = Condition::IfVersion(version.trim_matches('"').to_owned());
                self.put_once(key, body, object, &bare).await
            }
            _ => Ok(put),
        }
    }
}

fn headers(output: &GetObjectOutput) -> BTreeMap<String, String> {
    [
        ("content-type", output.content_type()),
        ("cache-control", output.cache_control()),
        ("content-encoding", output.content_encoding()),
        ("content-disposition", output.content_disposition()),
        ("content-language", output.content_language()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect()
}

const UNREACHABLE: &str =
    "check `endpoint`, the network and the proxy, then publish again; what is live is still the old release";

impl S3 {
    /// What to do about a failure, by the code that stores agree on or else by the status.
    fn help<E: ProvideErrorMetadata + StdError + 'static>(&self, error: &SdkError<E>) -> String {
        let Some(response) = error.raw_response() else { return local_help(error) };
        let bucket = &self.bucket;
        match (error.code().unwrap_or_default(), response.status().as_u16()) {
            ("NoSuchBucket", _) => format!("make the bucket `{bucket}`, or set another `store`"),
            ("InvalidAccessKeyId" | "NotSignedUp", _) => {
                "the store doesn't know this access key: check `AWS_ACCESS_KEY_ID` or `AWS_PROFILE`".to_owned()
            }
            ("SignatureDoesNotMatch", _) => {
                "the secret doesn't belong to the access key: check `AWS_SECRET_ACCESS_KEY`".to_owned()
            }
            ("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken", _) => {
                "the session is over: sign in again (`aws sso login`), or get new credentials".to_owned()
            }
            ("RequestTimeTooSkewed", _) => "set this machine's clock".to_owned(),
            (
                "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
                _,
            )
            | (_, 301 | 307) => match response.headers().get("x-amz-bucket-region") {
                Some(region) => format!("the bucket lies in another region: set `region = \"{region}\"`"),
                None => "the bucket lies in another region: set `region`, and `endpoint` if there is one".to_owned(),
            },
            ("AccessDenied", _) | (_, 401 | 403) => {
                format!(
                    "allow these credentials `s3:ListBucket` on `{bucket}`, and `s3:GetObject` and `s3:PutObject` on what is in it"
                )
            }
            ("BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest", _) => {
                "the bytes changed on their way or on disk: build and publish again".to_owned()
            }
            ("SlowDown", _) | (_, 500..) => {
                "the store is in trouble: publish again in a while; what is up there already isn't sent again"
                    .to_owned()
            }
            _ => "check `store`, `endpoint` and `region`, then publish again; what is live is still the old release"
                .to_owned(),
        }
    }
}

/// For failures before an answer came.
fn local_help(error: &dyn StdError) -> String {
    let causes: Vec<String> = std::iter::successors(Some(error), |&error| error.source())
        .map(|cause| cause.to_string().to_lowercase())
        .collect();
    let says = |word: &str| causes.iter().any(|cause| cause.contains(word));
    if says("credentials") {
        "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`, or sign in with `aws sso login`"
            .to_owned()
    } else if says("region") {
        "set `region` for the environment, or `AWS_REGION`".to_owned()
    } else {
        UNREACHABLE.to_owned()
    }
}

/// The cause, without the SDK's own layers that say no more than that there is one.
fn source<E>(error: SdkError<E>) -> Box<dyn StdError + Send + Sync>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (status, error.code(), error.message()) {
        (Some(status), Some(code), Some(message)) => format!("{code}: {message} (status {status})").into(),
        (Some(status), Some(code), None) => format!("{code} (status {status})").into(),
        (Some(status), None, _) => format!("it answered with status {status}").into(),
        (None, ..) => error.into_source().unwrap_or_else(|error| error.into()),
    }
}

//! How an object is sent: short ones past the SDK's orchestration, longer ones by it, under conditions as the store keeps them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_s3::config;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};

use super::super::exact::{Exact, Unsent};
use super::super::store::{Body, Condition, Put, Store, changed};
use super::trouble::{causes, outlook};
use super::{CONNECT, S3};
use crate::error::{Error, Outlook, Result};
use crate::release::Object;

/// One attempt of a request that sends a body, the time that the body takes not counted.
pub const SEND: Duration = Duration::from_secs(15);

/// Bytes in a second that a line has to carry for an upload not to be given up; one that stands still is given up sooner, by
/// the SDK's protection against stalled streams.
const SLOWEST: u64 = 64 << 10;

/// Bytes of a body that count as few: [`SEND`] is for all of these the same, and the system takes them whether or not they can be sent.
pub const SHORT: u64 = 1 << 20;

/// Bytes of the longest body that one request may carry; an upload in parts, which could take more, is not made here.
const LONGEST: u64 = 5 << 30;

/// The answer to a precondition that does not hold, and to two conditional writes at once.
const REFUSED: [u16; 2] = [412, 409];

/// What became of a request: the digest that the store tells, if it does.
type Sent = std::result::Result<Option<String>, SdkError<PutObjectError>>;

fn is_digest(told: Option<&str>, object: &Object) -> bool {
    told.is_some_and(|told| told == object.digest.base64())
}

impl S3 {
    pub(super) async fn upload(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
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

    fn request(&self, key: &str, body: ByteStream, object: &Object) -> PutObjectFluentBuilder {
        let header = |name: &str| object.headers.get(name).cloned();
        self.sender
            .load()
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
        let sent = match body {
            Body::Bytes(bytes) if bytes.len() as u64 <= SHORT => {
                self.direct.put(self.credentials.as_ref(), &self.key(key), bytes, object, condition).await
            }
            _ => None,
        };
        let sent = match sent {
            Some(sent) => sent,
            None => self.send(key, body, object, condition).await?,
        };
        let error = match sent {
            Ok(told) => {
                let is_confirmed = is_digest(told.as_deref(), object);
                if is_confirmed {
                    self.signing.confirmed();
                }
                return Ok(if is_confirmed { Put::Confirmed } else { Put::Written });
            }
            Err(error) => error,
        };
        if let (Body::File(path), Some(Unsent::Changed)) = (body, causes(&error).find_map(|cause| cause.downcast_ref()))
        {
            return Err(changed(path));
        }
        match error.raw_response().map(|response| response.status().as_u16()) {
            Some(status) if *condition != Condition::Always && REFUSED.contains(&status) => Ok(Put::Refused),
            Some(501) if *condition != Condition::Always => {
                self.conditional.store(false, Ordering::Relaxed);
                Ok(Put::Unsupported)
            }
            _ => Err(self.failed("write to", key, error)),
        }
    }

    /// Sends it once more, signed, if it went unsigned and the store does not vouch for it, or it or a bucket's policy doesn't let it in.
    async fn send(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Sent> {
        let is_signed = self.signing.covers(object.length);
        let sent = self.send_once(key, body, object, condition).await?;
        if is_signed {
            return Ok(sent);
        }
        // What lies there now may be from here, right or not: s3s-fs 0.14 keeps also what it finds damaged. There was nothing before, or else
        // it would not have come to that.
        let over = if *condition == Condition::IfAbsent { &Condition::Always } else { condition };
        let condition = match &sent {
            Ok(told) if is_digest(told.as_deref(), object) => return Ok(sent),
            Ok(_) => over,
            Err(error) => match (error.code(), error.raw_response().map(|response| response.status().as_u16())) {
                (Some("BadDigest"), _) => over,
                (Some("XAmzContentSHA256Mismatch"), _) => condition,
                (_, Some(status)) if !REFUSED.contains(&status) && outlook(error) == Outlook::Lasting => condition,
                _ => return Ok(sent),
            },
        };
        self.signing.insist();
        self.send_once(key, body, object, condition).await
    }

    /// By the SDK, of which nothing has to be known for that. Gives the digest that the store tells.
    async fn send_once(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Sent> {
        let bytes = match body {
            Body::Bytes(bytes) if bytes.len() as u64 > SHORT => {
                ByteStream::new(SdkBody::from_body_1_x(Exact::from(bytes.clone())))
            }
            Body::Bytes(bytes) => ByteStream::from(bytes.clone()),
            Body::File(path) => {
                let body = Exact::open(path, object.length, object.digest).await.map_err(|error| Error::Store {
                    action: "send a file to",
                    place: self.place(key),
                    help: format!("make sure that `{}` can be read", path.display()),
                    outlook: Outlook::Lasting,
                    source: error.into(),
                })?;
                ByteStream::new(SdkBody::from_body_1_x(body))
            }
        };
        let request = self.request(key, bytes, object);
        let request = match condition {
            Condition::Always => request,
            Condition::IfAbsent => request.if_none_match("*"),
            Condition::IfVersion(version) => request.if_match(version),
        };
        // Settings for one request alone take time to be put together, so most go without.
        let sent = match object.length {
            ..=SHORT => request.send().await,
            long => {
                let settings = config::Builder::new().timeout_config(sending(long));
                request.customize().config_override(settings).send().await
            }
        };
        if sent.is_ok() {
            self.direct.learn(&self.key(key));
        }
        Ok(sent.map(|output| output.checksum_sha256))
    }
}

/// For one attempt to send so many bytes.
pub fn sending(length: u64) -> TimeoutConfig {
    let timeout = SEND + Duration::from_secs(length / SLOWEST);
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(timeout).build()
}

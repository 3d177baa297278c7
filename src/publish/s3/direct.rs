//! Short bodies, sent past the SDK's orchestration, which takes longer over such a request than all else. How a request is made, the SDK tells
//! with its first one; connections, credentials and what errors mean are its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, HttpClient, Intercept, ProvideCredentials, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{Request, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::store::Condition;
use super::CONNECT;
use super::found::Found;
use super::upload::SEND;
use crate::release::Object;

/// What a key may have as it is: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>, `UriEncode`.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
const DIGEST: &str = "x-amz-checksum-sha256";

type Failure = SdkError<PutObjectError, HttpResponse>;

/// The way past the SDK, once it is known. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub struct Direct(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// A request of the SDK.
    seen: Mutex<Option<Line>>,
    line: ArcSwapOption<Line>,
}

/// How objects are put.
#[derive(Debug)]
struct Line {
    /// What stands before a key.
    base: String,
    region: String,
    connector: SharedHttpConnector,
}

impl Intercept for Direct {
    fn name(&self) -> &'static str {
        "Direct"
    }

    fn read_after_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.line.load().is_none() {
            *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = line(context.request(), components);
        }
        Ok(())
    }
}

/// What a signed request tells, if it is one that is made here in the same way.
fn line(request: &HttpRequest, components: &RuntimeComponents) -> Option<Line> {
    let (base, query) = request.uri().split_once('?')?;
    let authorization = request.headers().get("authorization")?;
    let scope = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?.split(',').next()?;
    let mut scope = scope.rsplit('/');
    let (is_s3, region) = (scope.next() == Some("aws4_request") && scope.next() == Some("s3"), scope.next()?);
    // Directory buckets of AWS have sessions.
    let is_plain = is_s3 && query == "x-id=PutObject" && request.headers().get("x-amz-s3session-token").is_none();
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
    let connector = components.http_client().filter(|_| is_plain)?.http_connector(&settings, components);
    Some(Line { base: base.to_owned(), region: region.to_owned(), connector })
}

impl Direct {
    /// The SDK has put an object, whole key given: what it did is known from now on.
    pub fn learn(&self, key: &str) {
        if self.0.line.load().is_some() {
            return;
        }
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It may have been that of another object.
        if let Some(line) = seen
            && let Some(base) = line.base.strip_suffix(&encoded(key))
        {
            self.0.line.store(Some(Arc::new(Line { base: base.to_owned(), ..line })));
        }
    }

    #[cfg(test)]
    pub fn is_known(&self) -> bool {
        self.0.line.load().is_some()
    }

    /// Puts an object, and gives the digest that the store tells, if it does; `None` if it is not known how to, or with what credentials,
    /// which is for the SDK to say.
    pub async fn put(
        &self,
        credentials: Option<&Found>,
        key: &str,
        body: &Bytes,
        object: &Object,
        condition: &Condition,
    ) -> Option<Result<Option<String>, Failure>> {
        let line = self.0.line.load_full()?;
        let found = tokio::time::timeout(CONNECT, credentials?.provide_credentials()).await.ok()?.ok()?;
        let identity = Identity::from(found);
        Some(match request(&line, &identity, key, body, object, condition) {
            Ok(request) => send(&line.connector, request).await,
            Err(error) => Err(SdkError::construction_failure(error)),
        })
    }
}

fn encoded(key: &str) -> String {
    utf8_percent_encode(key, &ENCODED).to_string()
}

fn request(
    line: &Line,
    identity: &Identity,
    key: &str,
    body: &Bytes,
    object: &Object,
    condition: &Condition,
) -> Result<HttpRequest, BoxError> {
    let url = format!("{}{}", line.base, encoded(key));
    let digest = object.digest.base64();
    let mut fields: Vec<(&str, &str)> = vec![(DIGEST, &digest)];
    fields.extend(super::KEPT.iter().filter_map(|name| Some((*name, object.headers.get(*name)?.as_str()))));
    match condition {
        Condition::Always => {}
        Condition::IfAbsent => fields.push(("if-none-match", "*")),
        Condition::IfVersion(version) => fields.push(("if-match", version)),
    }
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = SigningParams::builder()
        .identity(identity)
        .region(&line.region)
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()?
        .into();
    let signable = SignableBody::Precomputed(object.digest.to_string());
    let signable = SignableRequest::new("PUT", url.as_str(), fields.iter().copied(), signable)?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    let mut request = Request::put(&url).header(header::USER_AGENT, concat!("fingerpost/", env!("CARGO_PKG_VERSION")));
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let mut request = request.body(SdkBody::from(body.clone()))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(HttpRequest::try_from(request)?)
}

async fn send(connector: &SharedHttpConnector, request: HttpRequest) -> Result<Option<String>, Failure> {
    let answer = async {
        let mut response = connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        match ByteStream::new(response.take_body()).collect().await {
            Ok(body) => Ok((response, body.into_bytes())),
            Err(error) => Err(SdkError::response_error(error, response)),
        }
    };
    let (response, body) = tokio::time::timeout(SEND, answer).await.map_err(SdkError::timeout_error)??;
    match response.status().is_success() {
        true => Ok(response.headers().get(DIGEST).map(str::to_owned)),
        false => Err(SdkError::service_error(PutObjectError::generic(metadata(&body)), response)),
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn metadata(body: &[u8]) -> ErrorMetadata {
    let text = String::from_utf8_lossy(body);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
        Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
    };
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = element("Code") {
        metadata = metadata.code(code);
    }
    if let Some(message) = element("Message") {
        metadata = metadata.message(message);
    }
    metadata.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_code_and_message() {
        let told = metadata(
            b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &lt;b&gt; &amp;amp;</Message></Error>",
        );
        assert_eq!((told.code(), told.message()), (Some("SlowDown"), Some("a <b> &amp;")));
        assert_eq!((metadata(b"no").code(), metadata(b"<Code>x").message()), (None, None));
    }

    #[test]
    fn keys_are_encoded_as_signatures_have_them() {
        assert_eq!(encoded("my/a b+\u{e9}~c.js"), "my/a%20b%2B%C3%A9~c.js");
    }
}

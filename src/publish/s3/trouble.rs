//! What goes wrong with a bucket: what it comes of, what to expect of another try, and what to do about it.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use crate::error::Outlook;

pub const UNREACHABLE: &str =
    "check `endpoint` and the network, then publish again; what is live is still the old release";

/// What to do about a failure, by the code that stores agree on or else by the status.
pub fn help<E: ProvideErrorMetadata + StdError + 'static>(bucket: &str, error: &SdkError<E>) -> String {
    let Some(response) = error.raw_response() else { return local_help(error) };
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
                "allow these credentials `s3:ListBucket` on `{bucket}`, and `s3:GetObject` and `s3:PutObject` on what is in it (`s3:DeleteObject` to prune)"
            )
        }
        ("BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest", _) => {
            "the bytes changed on their way or on disk: build and publish again".to_owned()
        }
        ("SlowDown", _) | (_, 500..) => {
            "the store is in trouble: publish again in a while; what is up there already isn't sent again".to_owned()
        }
        _ => "check `store`, `endpoint` and `region`, then publish again; what is live is still the old release"
            .to_owned(),
    }
}

const SIGN_IN: &str =
    "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`, or sign in with `aws sso login`";

/// Whether an error, or one of its causes, says this in whatever case.
fn says(error: &(dyn StdError + 'static), word: &str) -> bool {
    causes(error).any(|cause| cause.to_string().to_lowercase().contains(word))
}

/// For credentials that can't be had.
pub fn credentials_help(error: &(dyn StdError + 'static)) -> &'static str {
    match () {
        () if says(error, "cargo feature(s) enabled") => {
            "that kind of credentials is left out of this build: install it with `--features sso` or `--features \
             credential-process`, or set what `aws configure export-credentials --format env` prints"
        }
        () if says(error, "assumerole") || says(error, "web identity") || says(error, "webidentity") => {
            "check `AWS_ROLE_ARN`, the token in `AWS_WEB_IDENTITY_TOKEN_FILE` and the role's trust policy"
        }
        () => SIGN_IN,
    }
}

/// For failures before an answer came.
fn local_help(error: &(dyn StdError + 'static)) -> String {
    let says = |word: &str| says(error, word);
    let help = match () {
        () if says("credential") => credentials_help(error),
        () if says("region") => "set `region` for the environment, or `AWS_REGION`",
        () if says("certificate") => {
            "the endpoint's certificate is not to be trusted: see that `endpoint` has the name that it is for, and give an \
             authority of your own in `SSL_CERT_FILE` (PEM)"
        }
        () if says("invalidcontenttype") => {
            "the endpoint doesn't speak TLS: write `endpoint` with `http://`, or its TLS port"
        }
        () if says("dns") || says("lookup address") => {
            "there is no host of that name: check `endpoint` and the network"
        }
        () => UNREACHABLE,
    };
    help.to_owned()
}

/// What stores agree on: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
pub fn outlook<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E>) -> Outlook {
    let Some(response) = error.raw_response() else { return local_outlook(error) };
    match (error.code().unwrap_or_default(), response.status().as_u16()) {
        ("ExpiredToken" | "TokenRefreshRequired", _) => Outlook::Expired,
        ("SlowDown", _) | (_, 429 | 503 | 504) => Outlook::Busy(retry_after(response.headers().get("retry-after"))),
        ("BadDigest" | "XAmzContentSHA256Mismatch", _) => Outlook::Damaged,
        (_, 501) => Outlook::Lasting,
        ("RequestTimeout" | "IncompleteBody" | "OperationAborted", _) | (_, 408 | 500..) => Outlook::Passing,
        // It could not be read: it broke off.
        (_, 200..=299) => Outlook::Passing,
        _ => Outlook::Lasting,
    }
}

/// For failures before an answer came.
fn local_outlook<E: StdError + 'static>(error: &SdkError<E>) -> Outlook {
    let connecting = |cause: &(dyn StdError + 'static)| {
        cause.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
            || cause.to_string().contains("connect timeout")
    };
    match error {
        SdkError::TimeoutError(_) => Outlook::Busy(None),
        SdkError::DispatchFailure(_) if causes(error).any(connecting) => Outlook::Unreachable,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Outlook::Busy(None),
        SdkError::DispatchFailure(failure) if !failure.is_user() => Outlook::Passing,
        _ => Outlook::Lasting,
    }
}

/// The error itself, what caused it, and so on.
pub fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// RFC 9110 section 10.2.3
pub fn retry_after(value: Option<&str>) -> Option<Duration> {
    let value = value?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// The cause, without the SDK's own layers that say no more than that there is one.
pub fn source<E>(error: SdkError<E>) -> Box<dyn StdError + Send + Sync>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (status, error.code(), error.message()) {
        (Some(status), Some(code), Some(message)) => format!("{code}: {message} (status {status})").into(),
        (Some(status), Some(code), None) => format!("{code} (status {status})").into(),
        (Some(status), None, _) => format!("it answered with status {status}").into(),
        (None, ..) => match error.into_source().map(|source| source.downcast::<ConnectorError>()) {
            Ok(Ok(connector)) => connector.into_source(),
            Ok(Err(source)) => source,
            Err(error) => error.into(),
        },
    }
}

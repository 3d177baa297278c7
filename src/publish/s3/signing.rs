//! How a body is signed.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Signs the digest that a request names already, which spares hashing the body once more, and lets a store check also a
/// body that comes from a file, which the SDK would leave unsigned.
#[derive(Debug)]
pub struct SignedDigest;

impl Intercept for SignedDigest {
    fn name(&self) -> &'static str {
        "SignedDigest"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(digest) = context.request().headers().get("x-amz-checksum-sha256") {
            let digest = hex::encode(BASE64_STANDARD.decode(digest)?);
            settings.interceptor_state().store_put(PayloadSigningOverride::Precomputed(digest));
        }
        Ok(())
    }
}

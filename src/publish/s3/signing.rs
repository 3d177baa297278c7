//! How a body is signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::upload::SHORT;

/// Signs the digest that a request names already, which spares hashing the body once more, and lets a store check also a
/// body that comes from a file, which the SDK would leave unsigned.
///
/// Once the store is known to work out that digest itself, long bodies go as `UNSIGNED-PAYLOAD`: the digest is still signed, as the
/// header that it is, and the store hashes them once and not twice, and need not hold them back until it knows who sent them
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>). Clones are of the same.
#[derive(Debug, Clone, Default)]
pub struct SignedDigest(Arc<Known>);

/// What is known of the store.
#[derive(Debug, Default)]
struct Known {
    works_out_digests: AtomicBool,
    wants_signatures: AtomicBool,
}

impl SignedDigest {
    /// The store has told the digest of what it got.
    pub fn confirmed(&self) {
        self.0.works_out_digests.store(true, Ordering::Relaxed);
    }

    /// From now on bodies are signed, whatever the store confirms.
    pub fn insist(&self) {
        self.0.wants_signatures.store(true, Ordering::Relaxed);
    }

    /// Whether a body of that length is signed.
    pub fn covers(&self, length: u64) -> bool {
        let Known { works_out_digests, wants_signatures } = &*self.0;
        length <= SHORT || !works_out_digests.load(Ordering::Relaxed) || wants_signatures.load(Ordering::Relaxed)
    }
}

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
            let is_signed = context.request().body().content_length().is_none_or(|length| self.covers(length));
            settings.interceptor_state().store_put(match is_signed {
                true => PayloadSigningOverride::Precomputed(digest),
                false => PayloadSigningOverride::UnsignedPayload,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::net::Ipv4Addr;
    use std::path::Path;
    use std::sync::Mutex;

    use http::{StatusCode, request};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::error::Result;
    use crate::fingerprint::Digest;
    use crate::preview::bucket::{Bucket, Fate, Reply};
    use crate::publish::s3::{Credentials, S3};
    use crate::publish::store::{Body, Condition, Put, Store};
    use crate::release::Object;

    async fn open(bucket: &Bucket, endpoint: &str) -> S3 {
        let credentials = Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() };
        S3::connect(&bucket.name, "", Some(endpoint), None, Some(credentials)).await
    }

    fn bytes(length: u64) -> Vec<u8> {
        (0..length).map(|n| (n / 7) as u8).collect()
    }

    async fn put(store: &S3, key: &str, length: u64) -> Result<Put> {
        let bytes = bytes(length);
        let object = Object { length, digest: Digest::of(&bytes), headers: Default::default() };
        store.put(key, &Body::Bytes(bytes.into()), &object, &Condition::IfAbsent).await
    }

    const LONG: u64 = 3 * SHORT;

    /// How the bodies were signed that came to a bucket.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<bool>>>);

    impl Seen {
        /// Whether it is signed.
        fn note(&self, request: &request::Parts) -> bool {
            let signature = request.headers["x-amz-content-sha256"].to_str().unwrap();
            assert!(signature == "UNSIGNED-PAYLOAD" || signature.len() == 64, "{signature}");
            let is_signed = signature.len() == 64;
            let scope = request.headers["authorization"].to_str().unwrap();
            assert!(scope.contains("x-amz-checksum-sha256"), "what is not signed is named by what is: {scope}");
            self.0.lock().unwrap().push(is_signed);
            is_signed
        }

        /// A bucket in a folder, where all are noted.
        async fn bucket(&self, folder: &Path) -> Bucket {
            let seen = self.clone();
            let fate = move |request: &request::Parts| {
                seen.note(request);
                ready(Fate::Served)
            };
            Bucket::start_unreliable(folder, fate).await.unwrap()
        }

        fn take(&self) -> Vec<bool> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn long_bodies_go_unsigned_once_the_store_has_shown_that_it_works_out_digests() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        let bucket = seen.bucket(folder.path()).await;
        let store = open(&bucket, &bucket.endpoint).await;
        for (key, length) in [("a", LONG), ("b", LONG), ("c", SHORT), ("d", 10), ("e", SHORT + 1)] {
            assert_eq!(put(&store, key, length).await.unwrap(), Put::Confirmed);
            assert_eq!(std::fs::read(folder.path().join("site").join(key)).unwrap(), bytes(length));
        }
        assert_eq!(seen.take(), [true, false, true, true, false]);
    }

    #[tokio::test]
    async fn where_they_are_not_let_in_they_are_signed() {
        let answers = [
            (StatusCode::FORBIDDEN, "AccessDenied"),
            (StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch"),
            (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        ];
        for (status, code) in answers {
            let folder = tempfile::tempdir().unwrap();
            let seen = Seen::default();
            let noting = seen.clone();
            let answer: &str = Box::leak(format!("<Error><Code>{code}</Code></Error>").into_boxed_str());
            let fate = move |request: &request::Parts| {
                ready(if noting.note(request) { Fate::Served } else { Fate::Lost(Reply::Answer(status, answer)) })
            };
            let bucket = Bucket::start_unreliable(folder.path(), fate).await.unwrap();
            let store = open(&bucket, &bucket.endpoint).await;
            for key in ["a", "b", "c"] {
                assert_eq!(put(&store, key, LONG).await.unwrap(), Put::Confirmed, "{code}");
            }
            assert_eq!(put(&store, "a", LONG).await.unwrap(), Put::Refused, "{code}");
            assert_eq!(seen.take(), [true, false, true, true, true], "{code}: asked for once");
        }
    }

    #[tokio::test]
    async fn what_the_store_does_not_vouch_for_is_signed() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        let noting = seen.clone();
        let silent = Fate::Done(Reply::Answer(StatusCode::OK, ""));
        let fate = move |request: &request::Parts| ready(if noting.note(request) { Fate::Served } else { silent });
        let bucket = Bucket::start_unreliable(folder.path(), fate).await.unwrap();
        let store = open(&bucket, &bucket.endpoint).await;
        for key in ["a", "b", "c"] {
            assert_eq!(put(&store, key, LONG).await.unwrap(), Put::Confirmed);
        }
        assert_eq!(seen.take(), [true, false, true, true], "`b` went twice");
    }

    #[tokio::test]
    async fn a_condition_that_does_not_hold_is_no_reason_to_sign() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let store = open(&bucket, &bucket.endpoint).await;
        put(&store, "a", 10).await.unwrap();
        std::fs::write(folder.path().join("site/b"), "mine").unwrap();
        assert_eq!(put(&store, "b", LONG).await.unwrap(), Put::Refused);
        assert!(!store.signing.covers(LONG));
        assert_eq!(std::fs::read(folder.path().join("site/b")).unwrap(), b"mine");
    }

    /// A way to a bucket on which one byte of the first long body that is not signed is another when it arrives.
    async fn damaging(bucket: &Bucket) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let to = bucket.endpoint.trim_start_matches("http://").to_owned();
        let is_done = Arc::new(AtomicBool::new(false));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut requests, mut answers) = client.into_split();
                let (mut back, mut forth) = TcpStream::connect(&to).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut back, &mut answers).await });
                let is_done = is_done.clone();
                tokio::spawn(async move {
                    let (mut buffer, mut is_unsigned) = (vec![0; 16 << 10], false);
                    while let Ok(read @ 1..) = requests.read(&mut buffer).await {
                        let bytes = &mut buffer[..read];
                        match bytes.starts_with(b"PUT ") {
                            true => is_unsigned = String::from_utf8_lossy(bytes).contains("UNSIGNED-PAYLOAD"),
                            false if is_unsigned && !is_done.swap(true, Ordering::Relaxed) => bytes[read / 2] ^= 1,
                            false => {}
                        }
                        forth.write_all(bytes).await.unwrap();
                    }
                });
            }
        });
        endpoint
    }

    #[tokio::test]
    async fn one_that_is_damaged_on_the_way_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        let bucket = seen.bucket(folder.path()).await;
        let store = open(&bucket, &damaging(&bucket).await).await;
        for key in ["a", "b", "c"] {
            assert_eq!(put(&store, key, LONG).await.unwrap(), Put::Confirmed);
            let path: &Path = &folder.path().join("site").join(key);
            assert!(std::fs::read(path).unwrap() == bytes(LONG), "{key}");
        }
        assert_eq!(seen.take(), [true, false, true, true], "`b` was damaged");
    }
}

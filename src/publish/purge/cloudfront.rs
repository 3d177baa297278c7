//! CloudFront: invalidations, within what may be in progress at a time.
//!
//! Limits: <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/InvalidationLimits.html>

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::{self, ProvideCredentials, Region};
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use backon::Retryable;

use super::client::{Failure, Patience};
use crate::environment::CloudFront;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;

/// Paths in one invalidation, and without wildcards in all that are in progress.
const PATHS: usize = 3000;

/// How long earlier invalidations may take that ours has to wait for, and how long ours, if it is waited for.
const COMPLETION: Duration = Duration::from_secs(15 * 60);

/// Access that is not to be looked for in the environment.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

#[derive(Debug)]
pub struct Api {
    client: Client,
    distribution: String,
    patience: Patience,
    requests: AtomicUsize,
}

impl Api {
    /// Fails where there are no credentials: better before a release goes live than after.
    pub async fn connect(cdn: &CloudFront, credentials: Option<Credentials>, patience: Patience) -> Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(patience.attempt);
        // It is a global service: the region only says which partition it is of.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::from_static("us-east-1"));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            // Attempts are counted and spaced here.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        if let Some(Credentials { access_key, secret_key }) = credentials {
            loader = loader.credentials_provider(config::Credentials::new(access_key, secret_key, None, None, "given"));
        }
        let shared = loader.load().await;
        let missing = |reason: String| {
            Error::Usage {
            message: format!("there are no AWS credentials to purge CloudFront with: {reason}"),
            help: "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`, or sign in with `aws sso login`; \
                   `--no-purge` publishes without"
                .to_owned(),
        }
        };
        let provider = shared.credentials_provider().ok_or_else(|| missing("none are set up".to_owned()))?;
        provider.provide_credentials().await.map_err(|error| missing(error.to_string()))?;
        let mut client = config::Builder::from(&shared);
        if let Some(endpoint) = &cdn.endpoint {
            client = client.endpoint_url(endpoint);
        }
        Ok(Api {
            client: Client::from_conf(client.build()),
            distribution: cdn.distribution.clone(),
            patience,
            requests: AtomicUsize::new(0),
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The ids of the invalidations. The same paths with the same `reference` are one invalidation, however often they are sent.
    pub async fn purge(&self, paths: &[String], reference: &str) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        for paths in paths.chunks(PATHS) {
            ids.push(self.invalidate(paths, reference).await?);
        }
        Ok(ids)
    }

    async fn invalidate(&self, paths: &[String], reference: &str) -> Result<String, Failure> {
        let unbuilt = |error: aws_sdk_cloudfront::error::BuildError| {
            Failure::new(format!("the invalidation can't be written: {error}"), "this is a fault of the program")
        };
        let quantity = i32::try_from(paths.len()).unwrap_or(i32::MAX);
        let items = Paths::builder().quantity(quantity).set_items(Some(paths.to_vec())).build().map_err(unbuilt)?;
        let content = Digest::of(paths.join("\n").as_bytes()).fingerprint();
        let reference = format!("fingerpost-{reference}-{}", content.as_str());
        let batch = InvalidationBatch::builder().paths(items).caller_reference(reference).build().map_err(unbuilt)?;
        let begun = Instant::now();
        let ask = async || {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let request = self.client.create_invalidation().distribution_id(&self.distribution);
            let answer = request.invalidation_batch(batch.clone()).send().await.map_err(|error| self.failure(error))?;
            Ok(answer.invalidation.map(|invalidation| invalidation.id).unwrap_or_default())
        };
        ask.retry(self.patience.delays())
            .when(|failure: &Failure| failure.is_passing)
            .adjust(|failure, delay| self.patience.wait(begun, failure, delay))
            .await
    }

    /// Until all edges have done it.
    pub async fn wait(&self, ids: &[String]) -> Result<(), Failure> {
        for id in ids {
            let begun = Instant::now();
            let ask = async || {
                self.requests.fetch_add(1, Ordering::Relaxed);
                let request = self.client.get_invalidation().distribution_id(&self.distribution).id(id);
                let within = Some(COMPLETION);
                let answer = request.send().await.map_err(|error| Failure { within, ..self.failure(error) })?;
                match answer.invalidation.as_ref().map(|invalidation| invalidation.status.as_str()) {
                    Some(status) if status.eq_ignore_ascii_case("Completed") => Ok(()),
                    _ => Err(Failure {
                        help: "the CDN goes on with it: nothing is to be done".to_owned(),
                        within,
                        ..Failure::passing(format!("the invalidation {id} is in progress still"))
                    }),
                }
            };
            ask.retry(self.patience.delays())
                .when(|failure: &Failure| failure.is_passing)
                .adjust(|failure, delay| self.patience.wait(begun, failure, delay))
                .await?;
        }
        Ok(())
    }

    fn failure<E>(&self, error: SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let distribution = &self.distribution;
        let Some(status) = error.raw_response().map(|response| response.status().as_u16()) else {
            let cause = std::iter::successors(Some(&error as &dyn StdError), |&error| error.source()).last();
            let cause = cause.map(ToString::to_string).unwrap_or_default();
            return Failure::passing(format!("CloudFront could not be asked: {cause}"));
        };
        let code = error.code().unwrap_or_default();
        let words: Vec<&str> = [error.code(), error.message()].into_iter().flatten().collect();
        let message = format!("CloudFront answered with status {status}: {}", words.join(": "));
        let help = match (code, status) {
            // There will be room when what is in progress is done, which takes minutes.
            ("TooManyInvalidationsInProgress", _) => {
                return Failure { within: Some(COMPLETION), ..Failure::passing(message) };
            }
            ("Throttling" | "ThrottlingException" | "RequestLimitExceeded", _) | (_, 429 | 500..) => {
                let after =
                    error.raw_response().and_then(|response| response.headers().get("retry-after")?.parse().ok());
                return Failure { after: after.map(Duration::from_secs), ..Failure::passing(message) };
            }
            ("AccessDenied", _) | (_, 401 | 403) => format!(
                "allow these credentials `cloudfront:CreateInvalidation` on the distribution `{distribution}` (and \
                 `cloudfront:GetInvalidation` to wait)"
            ),
            ("NoSuchDistribution", _) => {
                format!("there is no distribution `{distribution}` in this account: check `distribution` of `cdn`")
            }
            _ => "check `distribution` of `cdn`".to_owned(),
        };
        Failure::new(message, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::purge::fixture::{Asked, HASTY, Peer, Reply, reply};
    use std::sync::{Arc, Mutex};

    /// The API, with its limits: <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html>
    struct Edges {
        /// How long an invalidation takes.
        takes: Duration,
        invalidations: Mutex<Vec<Invalidation>>,
    }

    struct Invalidation {
        reference: String,
        paths: Vec<String>,
        begun: Instant,
    }

    fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
        let parts = text.split(&format!("<{tag}>")).skip(1).collect::<Vec<_>>();
        parts.into_iter().map(|rest| rest.split(&format!("</{tag}>")).next().unwrap()).collect()
    }

    impl Edges {
        fn answer(&self, asked: &Asked) -> Reply {
            let error = |status: u16, code: &str| {
                let text = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
                let namespace = "http://cloudfront.amazonaws.com/doc/2020-05-31/";
                reply(
                    status,
                    format!("<ErrorResponse xmlns=\"{namespace}\">{text}<RequestId>r</RequestId></ErrorResponse>"),
                )
            };
            let authorization = asked.header("authorization");
            if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=id/")
                || !authorization.contains("/cloudfront/aws4_request")
            {
                return error(403, "AccessDenied");
            }
            let Some(path) = asked.target.strip_prefix("/2020-05-31/distribution/E123/invalidation") else {
                return error(404, "NoSuchDistribution");
            };
            let mut all = self.invalidations.lock().unwrap();
            let is_done = |invalidation: &Invalidation| invalidation.begun.elapsed() >= self.takes;
            if let Some(id) = path.strip_prefix("/I") {
                return reply(200, written(&all, id.parse().unwrap(), is_done(&all[id.parse::<usize>().unwrap()])));
            }
            assert!(
                asked.body.contains("<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">"),
                "{}",
                asked.body
            );
            let paths: Vec<String> = between(&asked.body, "Path").into_iter().map(str::to_owned).collect();
            let reference = between(&asked.body, "CallerReference")[0].to_owned();
            if between(&asked.body, "Quantity") != [paths.len().to_string()] {
                return error(400, "InconsistentQuantities");
            }
            if paths.iter().any(|path| !path.starts_with('/') || path.len() > 4000) {
                return error(400, "InvalidArgument");
            }
            if let Some(nth) = all.iter().position(|invalidation| invalidation.reference == reference) {
                return match all[nth].paths == paths {
                    true => reply(201, written(&all, nth, is_done(&all[nth]))),
                    false => error(400, "InvalidationBatchAlreadyExists"),
                };
            }
            let running =
                all.iter().filter(|invalidation| !is_done(invalidation)).flat_map(|invalidation| &invalidation.paths);
            let (wild, plain): (Vec<&String>, Vec<&String>) =
                running.chain(&paths).partition(|path| path.ends_with('*'));
            if wild.len() > 15 || plain.len() > 3000 {
                return error(400, "TooManyInvalidationsInProgress");
            }
            all.push(Invalidation { reference, paths, begun: Instant::now() });
            reply(201, written(&all, all.len() - 1, false))
        }
    }

    fn written(all: &[Invalidation], nth: usize, is_done: bool) -> String {
        let status = if is_done { "Completed" } else { "InProgress" };
        let paths: String = all[nth].paths.iter().map(|path| format!("<Path>{path}</Path>")).collect();
        format!(
            "<Invalidation><Id>I{nth}</Id><Status>{status}</Status><CreateTime>2026-01-01T00:00:00Z</CreateTime>\
             <InvalidationBatch><Paths><Quantity>{}</Quantity><Items>{paths}</Items></Paths>\
             <CallerReference>{}</CallerReference></InvalidationBatch></Invalidation>",
            all[nth].paths.len(),
            all[nth].reference
        )
    }

    async fn edges(takes: u64) -> (Peer, Arc<Edges>) {
        let edges = Arc::new(Edges { takes: Duration::from_millis(takes), invalidations: Mutex::default() });
        let answering = Arc::clone(&edges);
        (Peer::start(move |asked, _| answering.answer(asked)).await, edges)
    }

    async fn api(peer: &Peer) -> Api {
        let cdn = CloudFront { distribution: "E123".into(), wait: false, endpoint: Some(peer.url.clone()) };
        let credentials = Credentials { access_key: "id".into(), secret_key: "secret".into() };
        Api::connect(&cdn, Some(credentials), HASTY).await.unwrap()
    }

    fn paths(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("/{n}.html")).collect()
    }

    #[tokio::test]
    async fn thousands_of_paths_wait_for_those_in_progress() {
        // Longer than a request is tried that fails.
        let (peer, edges) = edges(600).await;
        let api = api(&peer).await;
        let ids = api.purge(&paths(7000), "abc").await.unwrap();
        assert_eq!(ids, ["I0", "I1", "I2"]);
        let sizes: Vec<usize> = edges.invalidations.lock().unwrap().iter().map(|i| i.paths.len()).collect();
        assert_eq!(sizes, [3000, 3000, 1000]);
        assert!(api.requests() > 3 && api.requests() == peer.asked().len(), "{}", api.requests());
        assert!(edges.invalidations.lock().unwrap()[0].reference.starts_with("fingerpost-abc-"));
    }

    #[tokio::test]
    async fn the_same_purge_again_is_no_other_one() {
        let (peer, edges) = edges(0).await;
        let api = api(&peer).await;
        let count = || edges.invalidations.lock().unwrap().len();
        assert_eq!(api.purge(&paths(2), "abc").await.unwrap(), api.purge(&paths(2), "abc").await.unwrap());
        assert_eq!(count(), 1);
        api.purge(&paths(3), "abc").await.unwrap();
        api.purge(&paths(2), "abd").await.unwrap();
        assert_eq!(count(), 3);
    }

    #[tokio::test]
    async fn completion_is_waited_for() {
        let (peer, _) = edges(100).await;
        let api = api(&peer).await;
        let begun = Instant::now();
        let ids = api.purge(&["/docs/*".to_owned()], "abc").await.unwrap();
        api.wait(&ids).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
        assert!(peer.asked().len() > 2);
    }

    #[tokio::test]
    async fn what_passes_is_asked_again_and_what_does_not_is_told() {
        let (_, edges) = edges(0).await;
        let peer = Peer::start(move |asked, nth| match nth {
            0 => reply(503, ""),
            1 => reply(
                400,
                "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>",
            ),
            _ => edges.answer(asked),
        })
        .await;
        let mut api = api(&peer).await;
        assert_eq!(api.purge(&paths(1), "abc").await.unwrap(), ["I0"]);
        assert_eq!(peer.asked().len(), 3);
        api.distribution = "E999".into();
        let failure = api.purge(&paths(1), "abc").await.unwrap_err();
        assert_eq!(failure.message, "CloudFront answered with status 404: NoSuchDistribution: no");
        assert!(failure.help.contains("`E999`"), "{failure:?}");

        let peer =
            Peer::start(|_, _| reply(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"))
                .await;
        let failure = self::api(&peer).await.purge(&paths(1), "abc").await.unwrap_err();
        assert!(failure.help.contains("`cloudfront:CreateInvalidation`"), "{failure:?}");
        let peer = Peer::start(|_, _| reply(500, "")).await;
        let failure = self::api(&peer).await.purge(&paths(1), "abc").await.unwrap_err();
        assert!(failure.message.contains("status 500") && peer.asked().len() > 3, "{failure:?}");
    }
}

//! A store that is a bucket, through the S3 API: AWS and whatever speaks it (GCS, R2, Ceph, Garage).

mod direct;
mod found;
mod signing;
mod transport;
mod trouble;
mod upload;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    self, IdentityCache, ProvideCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use tokio::io::AsyncWriteExt;

use self::direct::Direct;
use self::found::Found;
use self::signing::SignedDigest;
use self::trouble::{UNREACHABLE, credentials_help, help, outlook, source};
use self::upload::{SHORT, sending};
use super::listing;
use super::store::{Body, Condition, Entries, Entry, Page, Put, Seen, Start, Store, Stored};
use crate::error::{Error, Outlook, Result};
use crate::fingerprint::Running;
use crate::release::Object;

const CONNECT: Duration = Duration::from_secs(3);

/// For all that is done before it is known that the store can be used.
const PREFLIGHT: Duration = Duration::from_secs(3);

/// One attempt of a request that sends no body.
const ASK: Duration = Duration::from_secs(10);

/// Credentials that were looked for again are not looked for once more before that.
const RENEWED: Duration = Duration::from_secs(10);

/// The headers that an S3 API keeps with an object and answers with.
const KEPT: [&str; 5] =
    ["content-type", "cache-control", "content-encoding", "content-disposition", "content-language"];

/// A bucket, or what lies below a prefix in one.
#[derive(Debug)]
pub struct S3 {
    /// For requests without a body.
    client: ArcSwap<Client>,
    /// For those with one.
    sender: ArcSwap<Client>,
    /// When they were made anew, for credentials that had expired.
    renewed: Mutex<Option<Instant>>,
    bucket: String,
    /// Without slashes at its ends; may be empty.
    prefix: String,
    credentials: Option<Found>,
    direct: Direct,
    signing: SignedDigest,
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
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ASK).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(transport::any())
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
        // Who asks for credentials goes on trying as it does; this client doesn't, since `Patient` does, and would not know how often
        // the store had asked to slow down.
        let credentials = shared.credentials_provider().map(Found::by);
        let mut client = config::Builder::from(&shared).retry_config(RetryConfig::disabled());
        client.set_credentials_provider(credentials.clone().map(SharedCredentialsProvider::new));
        if let Some(endpoint) = endpoint {
            client = client
                .endpoint_url(endpoint)
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            // Credentials are still asked for by the other.
            if let Some(clear) = transport::clear(endpoint) {
                client = client.http_client(clear);
            }
        }
        // What is found once is for both.
        client = client.identity_cache(IdentityCache::lazy().build());
        let (direct, signing) = (Direct::default(), SignedDigest::default());
        let sender =
            client.clone().timeout_config(sending(SHORT)).interceptor(signing.clone()).interceptor(direct.clone());
        S3 {
            client: ArcSwap::from_pointee(Client::from_conf(client.build())),
            sender: ArcSwap::from_pointee(Client::from_conf(sender.build())),
            renewed: Mutex::default(),
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            credentials,
            direct,
            signing,
            conditional: AtomicBool::new(true),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    async fn output(&self, key: &str) -> Result<Option<GetObjectOutput>> {
        match self.client.load_full().get_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(output) => Ok(Some(output)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }

    fn change(&self, change: impl Fn(config::Builder) -> config::Builder) {
        for client in [&self.client, &self.sender] {
            let settings = change(client.load().config().to_builder());
            client.store(Arc::new(Client::from_conf(settings.build())));
        }
    }

    /// Makes the clients forget their credentials, so that they are looked for again: whoever gives them may have newer ones by now.
    fn renew(&self) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        // Many requests find out at the same time.
        if renewed.is_none_or(|renewed| renewed.elapsed() > RENEWED) {
            self.credentials.iter().for_each(Found::forget);
            let cache = IdentityCache::lazy().build();
            self.change(|settings| settings.identity_cache(cache.clone()));
            *renewed = Some(Instant::now());
        }
    }

    /// The body of an answer that breaks off, or stands still.
    fn broke_off(&self, key: &str, source: Box<dyn StdError + Send + Sync>) -> Error {
        let (place, help) = (self.place(key), UNREACHABLE.to_owned());
        Error::Store { action: "read", place, help, outlook: Outlook::Passing, source }
    }

    fn failed<E>(&self, action: &'static str, key: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let (help, outlook) = (help(&self.bucket, &error), outlook(&error));
        if outlook == Outlook::Expired {
            self.renew();
        }
        Error::Store { action, place: self.place(key), help, outlook, source: source(error) }
    }
}

impl Store for S3 {
    fn is_website(&self) -> bool {
        false
    }

    fn place(&self, key: &str) -> String {
        let key = self.key(key);
        format!("s3://{}/{key}", self.bucket).trim_end_matches('/').to_owned()
    }

    /// Where credentials are looked for is not always quick to answer, and its silence is not the store's.
    async fn admit(&self) -> Result<()> {
        if let Some(credentials) = &self.credentials {
            let failed = |source: Box<dyn StdError + Send + Sync>| Error::Store {
                action: "find credentials for",
                place: self.place(""),
                help: credentials_help(source.as_ref()).to_owned(),
                outlook: Outlook::Lasting,
                source,
            };
            match tokio::time::timeout(PREFLIGHT * 2 / 3, credentials.provide_credentials()).await {
                Ok(found) => found.map(|_| ()).map_err(|error| failed(error.into()))?,
                Err(_) => return Err(failed("nothing that could have some answered".into())),
            }
        }
        Ok(())
    }

    async fn preflight(&self) -> Result<()> {
        let begun = Instant::now();
        self.admit().await?;
        let left = PREFLIGHT.saturating_sub(begun.elapsed());
        let timeouts = TimeoutConfig::builder().connect_timeout(left).operation_timeout(left).build();
        let quick = config::Builder::new().timeout_config(timeouts);
        let ask = self.client.load().list_objects_v2().bucket(&self.bucket).prefix(self.key("")).max_keys(1);
        let asked = ask.customize().config_override(quick).send().await;
        asked.map(|_| ()).map_err(|error| self.failed("list", "", error))
    }

    async fn entries(&self) -> Result<Entries> {
        listing::all(self).await
    }

    async fn entries_near(&self, expected: &[&str]) -> Result<Entries> {
        listing::near(self, expected).await
    }

    async fn page(&self, from: Start<'_>) -> Result<Page> {
        let prefix = self.key("");
        let request = self.client.load().list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let request = match from {
            Start::First => request,
            Start::After(key) => request.start_after(self.key(key)),
            Start::Mark(mark) => request.continuation_token(mark),
        };
        let page = request.send().await;
        let page = page.map_err(|error| self.failed("list", "", error))?;
        let mut entries = Entries::new();
        for object in page.contents() {
            if let Some(key) = object.key().and_then(|key| key.strip_prefix(&prefix)) {
                let length = object.size().unwrap_or_default().unsigned_abs();
                let modified = object.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
                // Without a time, it counts as new.
                let modified = modified.unwrap_or_else(SystemTime::now);
                entries.insert(key.to_owned(), Entry { length, modified });
            }
        }
        let next = page.next_continuation_token().filter(|_| page.is_truncated().unwrap_or_default());
        Ok(Page { entries, next: next.map(str::to_owned) })
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let Some(output) = self.output(key).await? else { return Ok(None) };
        let headers = headers(&output);
        let version = output.e_tag().unwrap_or_default().to_owned();
        let body = output.body.collect().await.map_err(|error| self.broke_off(key, error.into()))?;
        Ok(Some(Stored { body: body.into_bytes(), headers, version }))
    }

    async fn inspect(&self, key: &str) -> Result<Option<Seen>> {
        let Some(mut output) = self.output(key).await? else { return Ok(None) };
        let (mut running, mut length) = (Running::default(), 0);
        while let Some(part) = output.body.next().await {
            let part = part.map_err(|error| self.broke_off(key, error.into()))?;
            running.add(&part);
            length += part.len() as u64;
        }
        Ok(Some(Seen { length, digest: running.digest(), headers: headers(&output) }))
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &KEPT
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool> {
        let Some(mut output) = self.output(key).await? else { return Ok(false) };
        let mut to = tokio::fs::File::create(file).await.map_err(Error::io("create", file))?;
        while let Some(bytes) = output.body.try_next().await.map_err(|error| self.broke_off(key, error.into()))? {
            to.write_all(&bytes).await.map_err(Error::io("write", file))?;
        }
        to.flush().await.map_err(Error::io("write", file))?;
        Ok(true)
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put> {
        self.upload(key, body, object, condition).await
    }

    // One at a time: not every store deletes many at once (Google Cloud Storage's S3 API does not).
    async fn delete(&self, key: &str) -> Result<()> {
        match self.client.load_full().delete_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => Ok(()),
            Err(error) => Err(self.failed("delete", key, error)),
        }
    }
}

fn headers(output: &GetObjectOutput) -> BTreeMap<String, String> {
    let values = [
        output.content_type(),
        output.cache_control(),
        output.content_encoding(),
        output.content_disposition(),
        output.content_language(),
    ];
    KEPT.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;
    use http::{Method, StatusCode};

    use super::trouble::retry_after;
    use super::*;
    use crate::environment::{Environment, Keep};
    use crate::fingerprint::Digest;
    use crate::preview::bucket::{Answer, Bucket, Fate, Reply};
    use crate::progress::Silent;
    use crate::publish::site::{Built, Site};
    use crate::publish::{Options, Patient, Report, publish_to};
    use crate::publish::{prune, releases, rollback};
    use crate::release::{Current, Record};

    /// Where nobody listens: a port that was free a moment ago may be another test's by now.
    const NOBODY: &str = "http://127.0.0.1:1";

    fn credentials(bucket: &Bucket) -> Credentials {
        Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() }
    }

    async fn open(bucket: &Bucket) -> S3 {
        S3::connect(&bucket.name, "my/site", Some(&bucket.endpoint), None, Some(credentials(bucket))).await
    }

    async fn run(store: &impl Store, built: &Built) -> Result<Report> {
        publish_to(store, built.as_build(), Options::default(), &Silent).await
    }

    async fn current(store: &S3) -> Option<String> {
        let stored = store.get("current.json").await.unwrap()?;
        let current: Current = serde_json::from_slice(&stored.body).unwrap();
        Some(current.release.to_string())
    }

    fn site() -> Site {
        Site::new()
            .asset("css/a b+é.css", &"a { color: red }\n".repeat(40))
            .asset("js/a.js", "alert(1)")
            .page("about.html", "about")
            .page("index.html", &"<h1>one</h1>".repeat(40))
            .public("robots.txt", "User-agent: *\n")
    }

    /// The requests that a bucket got, as `PUT /site/…`, and the answers that it gives to some.
    #[derive(Clone, Default)]
    struct Gate {
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Gate {
        async fn start(
            &self,
            folder: &Path,
            answer: impl Fn(&str, usize) -> Option<Answer> + Send + Sync + 'static,
        ) -> Bucket {
            let seen = self.seen.clone();
            let gate = move |method: &Method, path: &str| {
                let request = format!("{method} {path}");
                let mut seen = seen.lock().unwrap();
                seen.push(request.clone());
                answer(&request, seen.iter().filter(|other| other.starts_with("PUT")).count())
            };
            Bucket::start_behind(folder, gate).await.unwrap()
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.seen.lock().unwrap())
        }
    }

    fn told(error: &Error) -> String {
        let help = miette::Diagnostic::help(error).map(|help| help.to_string()).unwrap_or_default();
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let text: Vec<String> = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect();
        format!("{} | {help}", text.join(": "))
    }

    #[tokio::test]
    async fn a_release_lies_in_the_bucket_with_its_headers() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let store = open(&bucket).await;
        let built = site().build();
        let report = run(&store, &built).await.unwrap();
        assert_eq!(report.store, "s3://site/my/site");
        assert!(store.direct.is_known(), "all but a few were sent past the SDK");
        assert!(report.moved && report.warnings.is_empty(), "{:?}", report.warnings);
        assert_eq!(current(&store).await.unwrap(), built.release().as_str());
        let key = format!("releases/{}.json", built.release());
        let record: Record = serde_json::from_slice(&store.get(&key).await.unwrap().unwrap().body).unwrap();
        for (key, object) in &record.objects {
            let stored = store.get(key).await.unwrap().unwrap();
            assert_eq!(Digest::of(&stored.body), object.digest, "{key}");
            assert_eq!(stored.headers, object.headers, "{key}");
        }
        let listing = store.list().await.unwrap();
        // The record, the pointer, the last attempt and the probe are of no release.
        assert_eq!(listing.len(), record.objects.len() + 4, "{listing:?}");
        assert!(!listing.contains_key("index.html"), "a bucket is no website unless told so");
        let brotli = record.objects.iter().find(|(key, _)| key.ends_with(".css.br")).unwrap().1;
        let headers: Vec<&str> = brotli.headers.values().map(String::as_str).collect();
        assert_eq!(headers, ["public, max-age=31536000, immutable", "br", "text/css; charset=utf-8"]);
    }

    #[tokio::test]
    async fn releases_in_a_bucket_are_listed_gone_back_to_and_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let store = open(&bucket).await;
        let (one, two) = (site().build(), site().asset("css/b.css", "b { color: red }").build());
        run(&store, &one).await.unwrap();
        run(&store, &two).await.unwrap();
        let told = releases(&store, "production").await.unwrap().releases;
        let live: Vec<(&str, bool, usize)> = told.iter().map(|r| (r.release.as_str(), r.live, r.missing)).collect();
        assert!(
            live.contains(&(two.release().as_str(), true, 0)) && live.contains(&(one.release().as_str(), false, 0))
        );
        let back = rollback(&store, &Environment::new("production"), None, Options::default(), &Silent).await.unwrap();
        assert!(back.moved && back.replaced.is_empty(), "{back:?}");
        assert_eq!(current(&store).await.unwrap(), one.release().as_str());
        let pruned = prune(&store, "production", Keep { releases: 0, days: 0 }, false, &Silent).await.unwrap();
        assert_eq!(pruned.dropped, [], "both were published just now");
        let record = format!("releases/{}.json", two.release());
        store.delete(&record).await.unwrap();
        store.delete(&record).await.unwrap();
        assert_eq!(store.get(&record).await.unwrap(), None);
        assert_eq!(releases(&store, "production").await.unwrap().releases.len(), 1);
        run(&store, &two).await.unwrap();
        assert_eq!(current(&store).await.unwrap(), two.release().as_str());
    }

    #[tokio::test]
    async fn the_same_build_again_costs_four_requests() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let bucket = gate.start(folder.path(), |_, _| None).await;
        let store = open(&bucket).await;
        let built = site().build();
        run(&store, &built).await.unwrap();
        gate.take();
        let report = run(&store, &built).await.unwrap();
        assert_eq!((report.uploaded, report.moved), (0, false));
        let mut asked = gate.take();
        assert_eq!(asked[0], "GET /site/");
        let release = built.release();
        let mut want = [
            "GET /site/".to_owned(),
            "GET /site/my/site/current.json".to_owned(),
            format!("GET /site/my/site/releases/{release}.json"),
            "GET /site/my/site/releases/attempt.json".to_owned(),
        ];
        // But for the listing, all are asked for at the same time.
        asked.sort();
        want.sort();
        assert_eq!(asked, want);
    }

    #[tokio::test]
    async fn only_what_the_store_has_not_confirmed_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let bucket = gate.start(folder.path(), |_, _| None).await;
        let store = open(&bucket).await;
        let mut listings = Vec::new();
        for site in [site(), site().asset("js/new.js", "new()")] {
            gate.take();
            run(&store, &site.build()).await.unwrap();
            let asked = gate.take();
            listings.push(asked.iter().filter(|request| *request == "GET /site/").count());
        }
        assert_eq!(listings, [1, 2], "of what was there before, a second listing tells that it still is");
    }

    #[tokio::test]
    async fn one_changed_page_uploads_no_asset_and_at_the_root_only_that_page() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let bucket = gate.start(folder.path(), |_, _| None).await;
        let store = open(&bucket).await;
        let build = |page: &str| {
            let mut site = site().page("about.html", page);
            site.environment.website = Some(true);
            site.build()
        };
        run(&store, &build("old")).await.unwrap();
        gate.take();
        run(&store, &build("new")).await.unwrap();
        let written: Vec<String> = gate.take().into_iter().filter(|request| request.starts_with("PUT")).collect();
        assert!(!written.iter().any(|request| request.contains("/assets/")), "{written:?}");
        let root: Vec<&String> = written.iter().filter(|request| !request.contains("/releases/")).collect();
        assert_eq!(root, ["PUT /site/my/site/about.html", "PUT /site/my/site/current.json"]);
    }

    #[tokio::test]
    async fn a_put_that_fails_leaves_the_pointer_and_a_rerun_finishes() {
        let new = site().asset("js/b.js", "alert(2)").page("index.html", "two").build();
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        // Three to find out about the store, one asset, the attempt, the archive, three pages, the record, the pointer.
        for nth in 1..=11 {
            let folder = tempfile::tempdir().unwrap();
            let old = site().build();
            let bucket = Bucket::start(folder.path()).await.unwrap();
            run(&open(&bucket).await, &old).await.unwrap();
            drop(bucket);

            let gate = Gate::default();
            let refuse = move |request: &str, puts| {
                (request.starts_with("PUT") && puts == nth).then_some((StatusCode::FORBIDDEN, denied))
            };
            let bucket = gate.start(folder.path(), refuse).await;
            let store = open(&bucket).await;
            let error = run(&store, &new).await.unwrap_err();
            assert_eq!(error.exit_code(), 4);
            assert!(told(&error).contains("`s3:PutObject`"), "{}", told(&error));
            assert_eq!(current(&store).await.unwrap(), old.release().as_str(), "failed at {nth}: {:?}", gate.take());
            assert!(run(&store, &new).await.unwrap().moved);
            assert_eq!(current(&store).await.unwrap(), new.release().as_str());
        }
    }

    #[tokio::test]
    async fn a_store_that_stumbles_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let stumble = |request: &str, puts| {
            (request.starts_with("PUT") && puts == 2).then_some((StatusCode::INTERNAL_SERVER_ERROR, ""))
        };
        let bucket = gate.start(folder.path(), stumble).await;
        let store = Patient::new(open(&bucket).await, &Silent);
        assert!(run(&store, &site().build()).await.unwrap().moved);
    }

    #[tokio::test]
    async fn what_keeps_a_publish_from_beginning_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let good = credentials(&bucket);
        let try_it = async |name: &str, endpoint: &str, credentials: Credentials| {
            let begun = Instant::now();
            let store = S3::connect(name, "", Some(endpoint), Some("eu-central-1"), Some(credentials)).await;
            let error = run(&store, &site().build()).await.unwrap_err();
            // Three seconds by themselves; the machine may have other work.
            assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
            assert_eq!(error.exit_code(), 4);
            told(&error)
        };
        let wrong = Credentials { secret_key: "wrong".to_owned(), ..good.clone() };
        let text = try_it("site", &bucket.endpoint, wrong).await;
        assert!(text.starts_with("could not list `s3://site`: SignatureDoesNotMatch"), "{text}");
        assert!(text.ends_with("check `AWS_SECRET_ACCESS_KEY`"), "{text}");

        let unknown = Credentials { access_key: "nobody".to_owned(), ..good.clone() };
        let text = try_it("site", &bucket.endpoint, unknown).await;
        assert!(text.contains("doesn't know this access key"), "{text}");

        let text = try_it("other", &bucket.endpoint, good.clone()).await;
        assert!(text.starts_with("could not list `s3://other`: NoSuchBucket"), "{text}");
        assert!(text.ends_with("make the bucket `other`, or set another `store`"), "{text}");

        let text = try_it("site", NOBODY, good.clone()).await;
        assert!(text.contains("check `endpoint` and the network"), "{text}");

        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = try_it("site", &format!("http://{}", silent.local_addr().unwrap()), good.clone()).await;
        assert!(text.contains("check `endpoint` and the network"), "{text}");

        let text = try_it("site", &bucket.endpoint.replace("http:", "https:"), good.clone()).await;
        assert!(text.contains("the endpoint doesn't speak TLS"), "{text}");

        let text = try_it("site", "http://no-such-host.invalid", good).await;
        assert!(text.contains("there is no host of that name"), "{text}");
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_trusts_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let pem = |path: &Path| std::fs::read(path).unwrap();
        use rustls_pki_types::pem::PemObject;
        let certs = vec![rustls_pki_types::CertificateDer::from_pem_slice(&pem(&cert)).unwrap()];
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(&pem(&key)).unwrap();
        let config = tokio_rustls::rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        let credentials = Credentials { access_key: "a".to_owned(), secret_key: "b".to_owned() };
        let store = S3::connect("site", "", Some(&endpoint), None, Some(credentials)).await;
        let text = told(&store.preflight().await.unwrap_err());
        assert!(text.contains("invalid peer certificate") && text.contains("`SSL_CERT_FILE`"), "{text}");
        server.abort();
    }

    #[tokio::test]
    async fn without_credentials_the_ways_to_give_some_are_told() {
        let none =
            aws_config::profile::ProfileFileCredentialsProvider::builder().profile_name("no such profile").build();
        let client = config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url("http://127.0.0.1:1");
        let none = SharedCredentialsProvider::new(none);
        let client = Client::from_conf(client.credentials_provider(none.clone()).build());
        let store = S3 {
            client: ArcSwap::from_pointee(client),
            credentials: Some(Found::by(none)),
            ..S3::connect("site", "", None, Some("x"), None).await
        };
        for error in [store.list().await.unwrap_err(), store.preflight().await.unwrap_err()] {
            let text = told(&error);
            assert!(text.contains(" `s3://site`: the credential provider was not enabled"), "{text}");
            assert!(text.contains("| set `AWS_ACCESS_KEY_ID`"), "{text}");
        }
    }

    /// Gives the same credentials each time, and counts that.
    #[derive(Debug)]
    struct Counted {
        key: config::Credentials,
        given: Arc<AtomicUsize>,
    }

    impl config::ProvideCredentials for Counted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.given.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(Ok(self.key.clone()))
        }
    }

    #[tokio::test]
    async fn newer_credentials_are_taken_up_when_those_in_use_expire_midway() {
        let expired = Fate::Lost(Reply::Answer(StatusCode::FORBIDDEN, "<Error><Code>ExpiredToken</Code></Error>"));
        for expire_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let (asked, given) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let fate = {
                let (asked, given) = (asked.clone(), given.clone());
                move |_: &http::request::Parts| {
                    let late = asked.fetch_add(1, Ordering::Relaxed) >= expire_at;
                    std::future::ready(match late && given.load(Ordering::Relaxed) < 2 {
                        true => expired,
                        false => Fate::Served,
                    })
                }
            };
            let bucket = Bucket::start_unreliable(folder.path(), fate).await.unwrap();
            let Credentials { access_key, secret_key } = credentials(&bucket);
            let key = config::Credentials::new(access_key, secret_key, None, None, "test");
            let provider = Counted { key, given: given.clone() };
            let store = open(&bucket).await;
            let provider = SharedCredentialsProvider::new(provider);
            store.change(|settings| settings.credentials_provider(provider.clone()));
            let report = run(&Patient::new(store, &Silent), &site().build()).await.unwrap();
            assert!(report.moved);
            if asked.load(Ordering::Relaxed) <= expire_at {
                assert!(expire_at > 10, "{expire_at}");
                return;
            }
            // Both clients have been given some, or one of them twice, or one twice and the other once.
            assert!((2..=3).contains(&given.load(Ordering::Relaxed)));
        }
    }

    #[tokio::test]
    async fn other_refusals_have_their_own_way_out() {
        for (status, body, want) in [
            (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "`s3:ListBucket`"),
            (403, "<Error><Code>ExpiredToken</Code></Error>", "sign in again"),
            (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "clock"),
            (301, "<Error><Code>PermanentRedirect</Code></Error>", "another region"),
            (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", "another region"),
            (404, "not S3 at all", "check `store`, `endpoint` and `region`"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let bucket = Bucket::start_behind(folder.path(), move |_, _| Some((status, body))).await.unwrap();
            let text = told(&open(&bucket).await.list().await.unwrap_err());
            assert!(text.contains(want), "{text}");
        }
    }

    /// What may become of a request, and what follows from it.
    fn fates() -> Vec<(Fate, Outlook)> {
        let answer = |status, body| Fate::Lost(Reply::Answer(StatusCode::from_u16(status).unwrap(), body));
        vec![
            (answer(503, "<Error><Code>SlowDown</Code></Error>"), Outlook::Busy(None)),
            (answer(429, ""), Outlook::Busy(None)),
            (answer(504, ""), Outlook::Busy(None)),
            (answer(500, "<Error><Code>InternalError</Code></Error>"), Outlook::Passing),
            (answer(502, "<html>"), Outlook::Passing),
            (answer(408, ""), Outlook::Passing),
            (answer(400, "<Error><Code>RequestTimeout</Code></Error>"), Outlook::Passing),
            (Fate::Lost(Reply::Reset), Outlook::Passing),
            (Fate::Half(Reply::Reset), Outlook::Passing),
            (answer(400, "<Error><Code>BadDigest</Code></Error>"), Outlook::Damaged),
            (answer(403, "<Error><Code>ExpiredToken</Code></Error>"), Outlook::Expired),
            (answer(403, "<Error><Code>AccessDenied</Code></Error>"), Outlook::Lasting),
            (answer(404, "<Error><Code>NoSuchBucket</Code></Error>"), Outlook::Lasting),
            (answer(501, ""), Outlook::Lasting),
        ]
    }

    #[tokio::test]
    async fn what_passes_is_told_from_what_lasts() {
        for (fate, want) in fates() {
            let folder = tempfile::tempdir().unwrap();
            let bucket = Bucket::start_unreliable(folder.path(), move |_| std::future::ready(fate)).await.unwrap();
            let error = open(&bucket).await.list().await.unwrap_err();
            assert!(matches!(error, Error::Store { outlook, .. } if outlook == want), "{fate:?}: {error:?}");
        }
        let key = Credentials { access_key: "a".to_owned(), secret_key: "b".to_owned() };
        let store = S3::connect("site", "", Some(NOBODY), None, Some(key)).await;
        let error = store.list().await.unwrap_err();
        assert!(matches!(error, Error::Store { outlook: Outlook::Unreachable, .. }), "{error:?}");
    }

    fn small(text: &'static str) -> (Body, Object) {
        let object = Object {
            length: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
            headers: BTreeMap::from([("content-type".to_owned(), "text/plain".to_owned())]),
        };
        (Body::Bytes(text.into()), object)
    }

    /// The SDK's own requests, of which there has to be one first, are served; others meet that fate.
    async fn learned(folder: &Path, fate: Fate) -> (Bucket, S3) {
        let fate = move |request: &http::request::Parts| {
            let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
            let is_direct = agent.is_some_and(|agent| agent.starts_with("fingerpost/"));
            std::future::ready(if is_direct { fate } else { Fate::Served })
        };
        let bucket = Bucket::start_unreliable(folder, fate).await.unwrap();
        let store = open(&bucket).await;
        let (body, object) = small("one");
        assert_eq!(store.put("one.txt", &body, &object, &Condition::Always).await.unwrap(), Put::Confirmed);
        assert!(store.direct.is_known());
        (bucket, store)
    }

    #[tokio::test]
    async fn what_is_sent_past_the_sdk_fails_as_what_it_sends() {
        let (body, object) = small("two");
        // Nothing of a success is read but that it is one.
        for (fate, want) in fates().into_iter().filter(|(fate, _)| !matches!(fate, Fate::Half(_))) {
            let folder = tempfile::tempdir().unwrap();
            let (_bucket, store) = learned(folder.path(), fate).await;
            let error = store.put("two.txt", &body, &object, &Condition::Always).await.unwrap_err();
            assert!(matches!(error, Error::Store { outlook, .. } if outlook == want), "{fate:?}: {error:?}");
        }
        let denied = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
        let folder = tempfile::tempdir().unwrap();
        let (_bucket, store) = learned(folder.path(), Fate::Lost(Reply::Answer(StatusCode::FORBIDDEN, denied))).await;
        let text = told(&store.put("a b/two.txt", &body, &object, &Condition::Always).await.unwrap_err());
        for want in ["`s3://site/my/site/a b/two.txt`", "AccessDenied: not you (status 403)", "`s3:PutObject`"] {
            assert!(text.contains(want), "{text}");
        }
        for (status, want) in [(412, Put::Refused), (409, Put::Refused), (501, Put::Unsupported)] {
            let fate = Fate::Lost(Reply::Answer(StatusCode::from_u16(status).unwrap(), ""));
            let folder = tempfile::tempdir().unwrap();
            let (_bucket, store) = learned(folder.path(), fate).await;
            assert_eq!(store.put("two.txt", &body, &object, &Condition::IfAbsent).await.unwrap(), want, "{status}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_past_the_sdk_arrives_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (_bucket, store) = learned(folder.path(), Fate::Served).await;
        let (body, object) = small("two");
        for key in ["two.txt", "a b+é/~(1)!.txt", "x%20y=&?#.js"] {
            assert_eq!(store.put(key, &body, &object, &Condition::IfAbsent).await.unwrap(), Put::Confirmed, "{key}");
            assert_eq!(store.put(key, &body, &object, &Condition::IfAbsent).await.unwrap(), Put::Refused, "{key}");
            let stored = store.get(key).await.unwrap().unwrap();
            assert_eq!((&stored.body[..], &stored.headers), (&b"two"[..], &object.headers), "{key}");
            let (other, its) = small("three");
            let version = Condition::IfVersion(stored.version);
            assert_eq!(store.put(key, &other, &its, &version).await.unwrap(), Put::Confirmed, "{key}");
            assert_eq!(store.put(key, &body, &object, &version).await.unwrap(), Put::Refused, "{key}");
        }
        // What is signed is what arrives: the store compares.
        let wrong = Object { digest: Digest::of(b"other"), ..object };
        assert!(store.put("wrong.txt", &body, &wrong, &Condition::Always).await.is_err());
    }

    /// Nothing that is done before the store is asked counts as an answer of it.
    #[tokio::test]
    async fn who_can_not_be_reached_is_not_waited_for() {
        let key = Credentials { access_key: "a".to_owned(), secret_key: "b".to_owned() };
        let store = S3::connect("site", "", Some(NOBODY), None, Some(key)).await;
        let begun = Instant::now();
        let error = run(&Patient::new(store, &Silent), &site().build()).await.unwrap_err();
        assert!(matches!(error, Error::Store { outlook: Outlook::Unreachable, .. }), "{error:?}");
        assert!(begun.elapsed() < PREFLIGHT, "{:?}", begun.elapsed());
    }

    #[test]
    fn the_time_to_wait_is_seconds_or_a_date() {
        assert_eq!(retry_after(Some("7")), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let wait = retry_after(Some(&date)).unwrap().as_secs();
        assert!((50..=60).contains(&wait), "{wait}");
        assert_eq!([None, Some("soon"), Some("Thu, 01 Jan 1970 00:00:00 GMT")].map(retry_after), [None; 3]);
    }

    #[tokio::test]
    async fn conditions_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let store = open(&bucket).await;
        let put = async |text: &str, condition: Condition| {
            let bytes = text.as_bytes().to_vec();
            let object = Object { length: bytes.len() as u64, digest: Digest::of(&bytes), headers: Default::default() };
            store.put("a", &Body::Bytes(bytes.into()), &object, &condition).await.unwrap()
        };
        assert_eq!(store.get("a").await.unwrap(), None);
        assert_eq!(put("one", Condition::IfAbsent).await, Put::Confirmed);
        assert_eq!(put("two", Condition::IfAbsent).await, Put::Refused);
        let version = store.get("a").await.unwrap().unwrap().version;
        assert_eq!(put("two", Condition::IfVersion(version.clone())).await, Put::Confirmed);
        assert_eq!(put("three", Condition::IfVersion(version)).await, Put::Refused);
        assert_eq!(store.get("a").await.unwrap().unwrap().body, "two");
    }

    #[tokio::test]
    async fn a_store_without_conditions_says_so_once() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let bucket = gate
            .start(folder.path(), |request, puts| {
                // What the store would see by the header; here the second write stands for it.
                (request.starts_with("PUT") && puts == 2).then_some((StatusCode::NOT_IMPLEMENTED, ""))
            })
            .await;
        let report = run(&open(&bucket).await, &site().build()).await.unwrap();
        assert!(report.moved);
        assert!(report.warnings.iter().any(|text| text.contains("conditional writes")), "{:?}", report.warnings);
    }

    #[tokio::test]
    async fn a_body_too_large_for_memory_and_a_listing_of_several_pages_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let store = open(&bucket).await;
        let source = folder.path().join("large");
        let bytes = vec![7; 17 << 20];
        std::fs::write(&source, &bytes).unwrap();
        let object = Object { length: bytes.len() as u64, digest: Digest::of(&bytes), headers: Default::default() };
        let body = Body::File(source).checked(object.length, object.digest).await.unwrap();
        assert!(matches!(body, Body::File(_)));
        assert_eq!(store.put("large", &body, &object, &Condition::IfAbsent).await.unwrap(), Put::Confirmed);
        assert_eq!(store.get("large").await.unwrap().unwrap().body, bytes);
        let wrong = Object { digest: Digest::of(b""), ..object };
        let error = store.put("large", &body, &wrong, &Condition::Always).await.unwrap_err();
        assert!(told(&error).contains("is not the file that the build made"), "{}", told(&error));

        let many = folder.path().join("site/my/site/many");
        std::fs::create_dir_all(&many).unwrap();
        for n in 0..1200 {
            std::fs::write(many.join(format!("{n}.txt")), "x").unwrap();
        }
        // Another site in the same bucket, whose prefix begins alike.
        std::fs::create_dir_all(folder.path().join("site/my/site2")).unwrap();
        std::fs::write(folder.path().join("site/my/site2/a"), "x").unwrap();
        assert_eq!(store.list().await.unwrap().len(), 1201);
    }
}

//! Purging: what a CDN has to forget when a release goes live, told to it, and noted in the store until it has been.
//!
//! `due` decides what that is. The note ([`PENDING`]) is left before anything that users can see changes, and written over with an
//! empty one when the CDN has taken it, so that whoever publishes next makes up for a purge that failed or never began.

mod client;
mod cloudflare;
mod cloudfront;
mod due;
mod fastly;
#[cfg(test)]
mod fixture;
mod http;
mod wildcards;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use self::client::Failure;
use self::client::{OfProcess, Patience, Variables};
pub use self::due::Ask;
use self::due::{Files, Objects, asks, objects_of};
use super::contents::{Item, Stage, json_item};
use super::plan::{Held, Step};
use super::store::{Condition, Put, Store, put_if_known};
use crate::environment::{Cdn, Environment};
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::progress::Progress;
use crate::release::{Record, ReleaseId};

/// What is yet to be purged. There is none where there never was a CDN.
pub const PENDING: &str = "releases/purge.json";

/// How a publish or a rollback purges.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Leaves it to the next.
    pub skip: bool,
    /// All pages, whether they have changed or not.
    pub all: bool,
    /// Waits until the CDN has done it, where it says when that is.
    pub wait: bool,
}

/// What was purged, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub provider: &'static str,
    pub asks: Vec<Ask>,
    /// Requests to the CDN, those that were made again included.
    pub requests: usize,
    /// What the CDN calls the purges, where it gives them names.
    pub ids: Vec<String>,
    /// Whether the CDN was waited for until it had done it.
    pub waited: bool,
    /// Whether it is left to the next publish.
    pub pending: bool,
    pub failure: Option<Failure>,
}

impl Report {
    /// If it failed, after `release` had gone live.
    pub fn error(&self, release: &ReleaseId) -> Option<Error> {
        let failure = self.failure.as_ref()?;
        let state = match self.pending {
            true => format!("release {release} is live, but the CDN ({}) still has old pages", self.provider),
            false => format!("release {release} is live, and the CDN ({}) was told", self.provider),
        };
        let mut help = failure.help.clone();
        if self.pending {
            help.push_str("; what is pending is purged when you publish again, also if nothing has changed");
        }
        Some(Error::Purge { message: format!("{state}: {}", failure.message), help })
    }
}

/// `releases/purge.json`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    /// Another one each time that something is added, so that who writes over it knows what that is.
    id: String,
    #[serde(flatten)]
    files: Files,
}

/// A purge that is to be.
pub struct Purge<'a> {
    environment: &'a Environment,
    cdn: &'a Cdn,
    options: Options,
    /// None where the CDN is not to be told now.
    provider: Option<Provider>,
    /// What was pending before.
    pending: Pending,
    /// What this publish adds.
    due: Files,
    /// All files that there are or were.
    site: Files,
    /// What the note says now.
    left: OnceLock<Pending>,
}

impl<'a> Purge<'a> {
    /// For an environment that has a CDN. Secrets are looked for here, before anything is changed. `listed` is whether the store has
    /// a note.
    pub async fn prepare<S: Store>(
        store: &S,
        listed: bool,
        environment: &'a Environment,
        options: Options,
        dry_run: bool,
    ) -> Result<Option<Self>> {
        let Some(cdn) = &environment.cdn else { return Ok(None) };
        let provider = match options.skip || dry_run {
            true => None,
            false => Some(Provider::connect(cdn, &OfProcess, Patience::default()).await?),
        };
        let mut purge = Purge {
            environment,
            cdn,
            options,
            provider,
            pending: Pending::default(),
            due: Files::default(),
            site: Files::default(),
            left: OnceLock::new(),
        };
        if listed && let Some((pending, _)) = read(store).await? {
            match pending {
                Some(pending) => purge.pending = pending,
                // Nobody knows what it said.
                None => purge.options.all = true,
            }
        }
        Ok(Some(purge))
    }

    /// Of a publish.
    pub fn of_publish(&mut self, held: &Held, release: &ReleaseId, items: &[Item], steps: &[Step]) {
        let live = held.current.as_ref();
        let before = live.and_then(|live| held.records.get(live)).map(|record| &record.content);
        let after = items.iter().map(|item| (item.key.as_str(), &item.object)).collect();
        self.compare(before, release, &after);
        self.due.add(Files::rewritten(items, steps, release, live == Some(release)));
    }

    /// Of a rollback, which writes the files of `replaced` at the root of a website.
    pub fn of_rollback<'r>(
        &mut self,
        before: Option<&Record>,
        record: &Record,
        replaced: impl Iterator<Item = &'r str>,
    ) {
        self.compare(before, &record.release, &objects_of(record));
        self.due.pages.extend(replaced.map(str::to_owned));
    }

    fn compare(&mut self, before: Option<&Record>, release: &ReleaseId, after: &Objects<'_>) {
        let objects = before.map(objects_of);
        let before = before.map(|record| &record.release).zip(objects.as_ref());
        self.site = Files::of(release, after);
        if let Some((release, objects)) = before {
            self.site.add(Files::of(release, objects));
        }
        self.due = match self.options.all {
            true => Files { pages: self.site.pages.clone(), ..Files::default() },
            false => Files::changed(before, release, after),
        };
    }

    /// Leaves word of what is to be purged, if there is something and that was not done yet. The note is another one then even if it
    /// names no more than the last: the CDN may have taken that one, and what is under those names has changed since.
    pub async fn leave<S: Store>(&self, store: &S) -> Result<()> {
        if self.left.get().is_some() || self.due.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let (mut pending, condition) = match read(store).await? {
                None => (Pending::default(), Condition::IfAbsent),
                Some((pending, version)) => (pending.unwrap_or_default(), Condition::IfVersion(version)),
            };
            pending.files.add(self.due.clone());
            pending.id = id();
            if write(store, &pending, &condition).await? != Put::Refused {
                let _ = self.left.set(pending);
                return Ok(());
            }
        }
        Err(Error::Publish {
            message: format!("others write `{}` all the time", store.place(PENDING)),
            help: "publish again when they have finished".to_owned(),
        })
    }

    /// Tells the CDN, and then the store that it has been told. The release is live by now, so a failure is told with the rest.
    pub async fn finish<S: Store>(self, store: &S, dry_run: bool, progress: &dyn Progress) -> Report {
        // What is to be purged though nothing was written.
        let word = if dry_run { Ok(()) } else { self.leave(store).await };
        let mut due = self.left.get().unwrap_or(&self.pending).files.clone();
        due.add(self.due.clone());
        let mut site = self.site.clone();
        site.add(due.clone());
        let mut report = Report {
            provider: self.cdn.provider(),
            asks: asks(self.cdn, self.environment, &due, &site),
            requests: 0,
            ids: Vec::new(),
            waited: false,
            pending: !due.is_empty(),
            failure: None,
        };
        if let Err(error) = word {
            report.failure = Some(of_store(&error));
            return report;
        }
        let Some(provider) = self.provider.as_ref().filter(|_| report.pending) else { return report };
        progress.stage("purge", 1);
        let id = self.left.get().unwrap_or(&self.pending).id.as_str();
        let told = match provider.purge(&report.asks, id).await {
            Ok(ids) => {
                report.ids = ids;
                report.pending = false;
                match empty(store, id).await {
                    Ok(()) => self.wait(provider, &mut report).await,
                    Err(error) => Err(of_store(&error)),
                }
            }
            Err(failure) => Err(failure),
        };
        progress.step();
        report.failure = told.err();
        report.requests = provider.requests();
        report
    }

    async fn wait(&self, provider: &Provider, report: &mut Report) -> Result<(), Failure> {
        let is_wanted = self.options.wait || matches!(self.cdn, Cdn::CloudFront(cdn) if cdn.wait);
        if let (true, Provider::CloudFront(api)) = (is_wanted, provider) {
            api.wait(&report.ids).await?;
            report.waited = true;
        }
        Ok(())
    }
}

/// How often the note is written anew because another publish has written it meanwhile.
const ATTEMPTS: usize = 10;

/// The note and its version; `Some(None)` if it can't be read.
async fn read<S: Store>(store: &S) -> Result<Option<(Option<Pending>, String)>> {
    let stored = store.get(PENDING).await?;
    Ok(stored.map(|stored| (serde_json::from_slice(&stored.body).ok(), stored.version)))
}

async fn write<S: Store>(store: &S, pending: &Pending, condition: &Condition) -> Result<Put> {
    let item = json_item(Stage::Attempt, PENDING, pending);
    put_if_known(store, &item.key, &item.body, &item.object, condition).await
}

/// Says that what the note with this id asked for is done, unless another publish has added to it.
async fn empty<S: Store>(store: &S, id: &str) -> Result<()> {
    match read(store).await? {
        Some((Some(pending), version)) if pending.id == id => {
            let emptied = Pending { id: id.to_owned(), files: Files::default() };
            write(store, &emptied, &Condition::IfVersion(version)).await.map(|_| ())
        }
        _ => Ok(()),
    }
}

fn of_store(error: &Error) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(format!("the note of what is to be purged could not be written: {error}{cause}"), "check the store")
}

/// Unique enough: 16 hex digits of the time and the process.
fn id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Digest::of(format!("{now} {}", std::process::id()).as_bytes()).fingerprint().as_str().to_owned()
}

/// A CDN's API, ready to be asked.
enum Provider {
    CloudFront(cloudfront::Api),
    Cloudflare(cloudflare::Api),
    Fastly(fastly::Api),
    Http(http::Api),
}

impl Provider {
    async fn connect(cdn: &Cdn, variables: &impl Variables, patience: Patience) -> Result<Self> {
        Ok(match cdn {
            Cdn::CloudFront(cdn) => Provider::CloudFront(cloudfront::Api::connect(cdn, None, patience).await?),
            Cdn::Cloudflare(cdn) => Provider::Cloudflare(cloudflare::Api::new(cdn, variables, patience)?),
            Cdn::Fastly(cdn) => Provider::Fastly(fastly::Api::new(cdn, variables, patience)?),
            Cdn::Http(cdn) => Provider::Http(http::Api::new(cdn, variables, patience)?),
        })
    }

    /// The ids that the CDN gives. What is asked for again under the same reference may be left out.
    async fn purge(&self, asks: &[Ask], reference: &str) -> Result<Vec<String>, Failure> {
        match self {
            Provider::CloudFront(api) => {
                let paths: Vec<String> = asks.iter().flat_map(|ask| ask.names.clone()).collect();
                api.purge(&paths, reference).await
            }
            Provider::Cloudflare(api) => api.purge(asks).await,
            Provider::Fastly(api) => api.purge(asks).await,
            Provider::Http(api) => api.purge(asks).await.map(|()| Vec::new()),
        }
    }

    fn requests(&self) -> usize {
        match self {
            Provider::CloudFront(api) => api.requests(),
            Provider::Cloudflare(api) => api.client.requests(),
            Provider::Fastly(api) => api.client.requests(),
            Provider::Http(api) => api.client.requests(),
        }
    }
}

fn secret(variables: &impl Variables, name: &str, what: &str) -> Result<String> {
    variables.get(name).ok_or_else(|| Error::Usage {
        message: format!("`{name}` is not set, which the CDN is purged with"),
        help: format!("set it to {what}; `--no-purge` publishes without"),
    })
}

fn header(name: &str, value: &str) -> Result<::http::HeaderValue> {
    let mut header = ::http::HeaderValue::from_str(value.trim()).map_err(|_| Error::Usage {
        message: format!("`{name}` holds what no header can"),
        help: "set it anew, without line breaks".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn no_client(failure: Failure) -> Error {
    Error::Usage { message: failure.message, help: failure.help }
}

fn no_request(error: ::http::Error) -> Failure {
    Failure::new(format!("the request can't be written: {error}"), "check `cdn` in the configuration")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::fixture::{Peer, reply};
    use super::*;
    use crate::environment::{By, HttpPurge};
    use crate::progress::Silent;
    use crate::publish::site::{Built, Site};
    use crate::publish::{Folder, Options as Run, publish_to, rollback};

    struct Case {
        root: tempfile::TempDir,
        store: Folder,
        cache: Peer,
        /// What the cache answers.
        status: Arc<AtomicU16>,
    }

    impl Case {
        async fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let status = Arc::new(AtomicU16::new(200));
            let answer = Arc::clone(&status);
            let cache = Peer::start(move |_, _| reply(answer.load(Ordering::Relaxed), "")).await;
            Case { store: Folder::new(root.path()), root, cache, status }
        }

        fn site(&self, text: &str) -> Site {
            let mut site = Site::new()
                .asset("a.css", "a{}")
                .page("index.html", text)
                .page("about.html", "about")
                .public("robots.txt", "x");
            site.environment = self.environment();
            site
        }

        fn environment(&self) -> Environment {
            let mut environment = Environment::new("production");
            environment.cdn = Some(Cdn::Http(HttpPurge {
                urls: vec![format!("{}{{path}}", self.cache.url)],
                method: "PURGE".to_owned(),
                headers: Vec::new(),
                body: None,
                by: By::Path,
                batch: 1,
            }));
            environment
        }

        async fn publish(&self, built: &Built, options: Options) -> Report {
            let run = Run { purge: options, ..Run::default() };
            publish_to(&self.store, built.as_build(), run, &Silent).await.unwrap().purge.unwrap()
        }

        /// The paths that were purged since so many requests. One that was given up may have come all the same.
        fn purged(&self, from: usize) -> Vec<String> {
            let mut paths: Vec<String> = self.cache.asked().drain(from..).map(|asked| asked.target).collect();
            paths.sort();
            paths.dedup();
            paths
        }

        /// The pages that the note names.
        fn noted(&self) -> Vec<String> {
            let text = std::fs::read(self.root.path().join(PENDING)).unwrap();
            serde_json::from_slice::<Pending>(&text).unwrap().files.pages.into_iter().collect()
        }
    }

    const ALL: [&str; 5] = ["/", "/about", "/about.html", "/index.html", "/robots.txt"];

    #[tokio::test]
    async fn what_changed_is_purged_and_nothing_else() {
        let case = Case::new().await;
        let (one, two) = (case.site("one").build(), case.site("two").build());
        let report = case.publish(&one, Options::default()).await;
        assert_eq!(case.purged(0), ALL, "nobody knows what was there before");
        assert_eq!((report.requests, report.pending, report.failure), (5, false, None));
        assert_eq!(case.noted(), [""; 0]);
        case.publish(&one, Options::default()).await;
        assert_eq!(case.purged(5), [""; 0]);
        case.publish(&two, Options::default()).await;
        assert_eq!(case.purged(5), ["/", "/index.html"]);
        let back = rollback(&case.store, &case.environment(), None, Run::default(), &Silent).await.unwrap();
        assert_eq!(case.purged(7), ["/", "/index.html"]);
        assert_eq!(back.purge.unwrap().requests, 2);
        let all = Options { all: true, ..Options::default() };
        case.publish(&one, all).await;
        assert_eq!(case.purged(9), ALL);
    }

    #[tokio::test]
    async fn what_failed_is_made_up_for_by_the_next() {
        let case = Case::new().await;
        let (one, two) = (case.site("one").build(), case.site("two").build());
        case.publish(&one, Options::default()).await;
        case.status.store(403, Ordering::Relaxed);
        let report = case.publish(&two, Options::default()).await;
        let error = report.error(two.release()).unwrap();
        let want = format!("release {} is live, but the CDN (http) still has old pages: ", two.release());
        assert!(error.to_string().starts_with(&want), "{error}");
        assert_eq!(error.exit_code(), 1);
        assert!(
            std::fs::read_to_string(case.root.path().join("current.json")).unwrap().contains(two.release().as_str())
        );
        assert_eq!(case.noted(), ["index.html"]);

        case.status.store(200, Ordering::Relaxed);
        let from = case.cache.asked().len();
        let report = case.publish(&two, Options::default()).await;
        assert_eq!(case.purged(from), ["/", "/index.html"], "also though nothing has changed");
        assert_eq!((report.pending, report.failure), (false, None));
        assert_eq!(case.noted(), [""; 0]);
        let from = case.cache.asked().len();
        case.publish(&two, Options::default()).await;
        assert_eq!(case.purged(from), [""; 0]);
    }

    #[tokio::test]
    async fn what_was_skipped_is_purged_with_the_next_rollback() {
        let case = Case::new().await;
        let skip = Options { skip: true, ..Options::default() };
        let (one, two) = (case.site("one").build(), case.site("two").build());
        assert!(case.publish(&one, skip).await.pending);
        assert!(case.publish(&two, skip).await.pending);
        assert_eq!(case.purged(0), [""; 0]);
        let dry = Run { dry_run: true, ..Run::default() };
        let plan = rollback(&case.store, &case.environment(), None, dry, &Silent).await.unwrap().purge.unwrap();
        assert_eq!((plan.asks[0].names.as_slice(), plan.requests), (&ALL.map(str::to_owned)[..], 0));
        assert_eq!(case.purged(0), [""; 0]);
        rollback(&case.store, &case.environment(), None, Run::default(), &Silent).await.unwrap();
        assert_eq!(case.purged(0), ALL);
    }

    #[tokio::test]
    async fn a_publish_that_stops_before_its_end_leaves_word() {
        let case = Case::new().await;
        let (one, two) = (case.site("one").build(), case.site("two").build());
        case.publish(&one, Options::default()).await;
        let from = case.cache.asked().len();
        let held = super::super::survey(&case.store, two.release(), &[]).await.unwrap().held;
        let mut purge =
            Purge::prepare(&case.store, true, &two.environment, Options::default(), false).await.unwrap().unwrap();
        let items = super::super::contents::contents(&two.as_build(), true).unwrap();
        purge.of_publish(&held, two.release(), &items, &super::super::plan::plan(two.release(), &items, &held));
        purge.leave(&case.store).await.unwrap();
        assert_eq!(case.purged(from), [""; 0]);
        // Killed here. Whoever comes next may have another release in hand.
        let three = case.site("one").page("about.html", "ABOUT").build();
        case.publish(&three, Options::default()).await;
        assert_eq!(case.purged(from), ["/", "/about", "/about.html", "/index.html"]);
    }

    #[tokio::test]
    async fn what_another_publish_notes_meanwhile_is_not_lost() {
        let case = Case::new().await;
        let built = case.site("one").build();
        let prepare = async || {
            let mut purge = Purge::prepare(&case.store, false, &built.environment, Options::default(), false)
                .await
                .unwrap()
                .unwrap();
            purge.due.pages.insert("mine.html".to_owned());
            purge
        };
        let (mut one, two) = (prepare().await, prepare().await);
        one.due.pages = ["first.html".to_owned()].into();
        one.leave(&case.store).await.unwrap();
        two.leave(&case.store).await.unwrap();
        assert_eq!(case.noted(), ["first.html", "mine.html"]);
        let report = one.finish(&case.store, false, &Silent).await;
        assert_eq!((report.pending, case.purged(0)), (false, vec!["/first".to_owned(), "/first.html".to_owned()]));
        assert_eq!(case.noted().len(), 2, "it is the other's note now");
        two.finish(&case.store, false, &Silent).await;
        assert_eq!(case.noted(), [""; 0]);
    }

    #[tokio::test]
    async fn a_page_that_changes_again_is_another_purge() {
        let case = Case::new().await;
        let (one, two) = (case.site("one").build(), case.site("two").build());
        let id = || {
            let text = std::fs::read(case.root.path().join(PENDING)).unwrap();
            serde_json::from_slice::<Pending>(&text).unwrap().id
        };
        case.publish(&one, Options::default()).await;
        case.status.store(403, Ordering::Relaxed);
        case.publish(&two, Options::default()).await;
        let first = id();
        case.publish(&two, Options::default()).await;
        assert_eq!(id(), first, "the same one, again");
        case.publish(&one, Options::default()).await;
        assert_ne!(id(), first);
        assert_eq!(case.noted(), ["index.html"]);
    }

    #[tokio::test]
    async fn a_note_that_cannot_be_read_means_all() {
        let case = Case::new().await;
        let one = case.site("one").build();
        case.publish(&one, Options::default()).await;
        std::fs::write(case.root.path().join(PENDING), "{").unwrap();
        let from = case.cache.asked().len();
        case.publish(&one, Options::default()).await;
        assert_eq!(case.purged(from), ALL);
        assert_eq!(case.noted(), [""; 0]);
    }

    #[tokio::test]
    async fn without_its_secret_nothing_is_changed() {
        let case = Case::new().await;
        let mut built = case.site("one").build();
        if let Some(Cdn::Http(cdn)) = &mut built.environment.cdn {
            cdn.headers.push(("x-key".to_owned(), "${FINGERPOST_TEST_NOT_SET}".to_owned()));
        }
        let error = publish_to(&case.store, built.as_build(), Run::default(), &Silent).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert_eq!(std::fs::read_dir(case.root.path()).unwrap().count(), 0);
        let skip = Options { skip: true, ..Options::default() };
        assert!(case.publish(&built, skip).await.pending);
    }
}

//! Publishing to a bucket that is in every kind of trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode};

use super::contents::{ATTEMPT, CURRENT, record_key};
use super::patient::{Patience, Patient};
use super::s3::{Credentials, S3};
use super::site::{Built, Site};
use super::store::{Body, Condition, Put, Store};
use super::{Folder, Options, Report, prune, publish_to, releases, rollback};
use crate::environment::{Environment, Keep};
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::preview::bucket::{Bucket, Fate, Reply};
use crate::progress::Silent;
use crate::release::{Current, Object, Record, ReleaseId};

const QUICK: Patience = Patience {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(8),
    before: Duration::from_secs(20),
    after: Duration::from_secs(20),
};

const SLOW_DOWN: Reply =
    Reply::Answer(StatusCode::SERVICE_UNAVAILABLE, "<Error><Code>SlowDown</Code><Message>less</Message></Error>");
const BROKEN: Reply = Reply::Answer(StatusCode::INTERNAL_SERVER_ERROR, "<Error><Code>InternalError</Code></Error>");
const EXPIRED: Reply = Reply::Answer(StatusCode::FORBIDDEN, "<Error><Code>ExpiredToken</Code></Error>");

fn build(text: &str) -> Built {
    Site::new()
        .asset("css/a.css", &"a { color: red }\n".repeat(40))
        .asset("js/a.js", text)
        .asset("js/b.js", &format!("{text}{text}"))
        .page("about.html", "about")
        .page("index.html", text)
        .public("robots.txt", "User-agent: *\n")
        .build()
}

/// The folder of a bucket.
struct Case {
    folder: tempfile::TempDir,
}

/// The requests that a bucket got, as `PUT assets/…`.
type Log = Arc<Mutex<Vec<String>>>;

impl Case {
    fn new() -> Self {
        Case { folder: tempfile::tempdir().unwrap() }
    }

    /// With a release in it.
    async fn with(built: &Built) -> Self {
        let case = Case::new();
        let (_bucket, store, _) = case.open(|_, _| Fate::Served).await;
        run(&store, built).await.unwrap();
        case
    }

    /// A bucket over the folder, and a patient client; the fate of each request is decided by its number and what it is.
    async fn open(
        &self,
        fate: impl Fn(usize, &Method) -> Fate + Send + Sync + 'static,
    ) -> (Bucket, Patient<'static, S3>, Log) {
        let log = Log::default();
        let oracle = {
            let log = log.clone();
            move |request: &http::request::Parts| {
                let mut log = log.lock().unwrap();
                log.push(format!("{} {}", request.method, request.uri.path().trim_start_matches("/site/www/")));
                std::future::ready(fate(log.len() - 1, &request.method))
            }
        };
        let bucket = Bucket::start_unreliable(self.folder.path(), oracle).await.unwrap();
        let credentials = Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() };
        let store = S3::connect(&bucket.name, "www", Some(&bucket.endpoint), None, Some(credentials)).await;
        (bucket, Patient::with(store, &Silent, QUICK), log)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("site/www")
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = walkdir::WalkDir::new(self.root()).into_iter().map(|entry| entry.unwrap());
        let files = names.filter(|entry| entry.file_type().is_file());
        files
            .map(|entry| (crate::fs::display_name(&self.root(), entry.path()), fs::read(entry.path()).unwrap()))
            .collect()
    }

    /// That release is live, and all that it consists of is there.
    fn assert_live(&self, release: &ReleaseId) {
        let files = self.files();
        let current: Current = serde_json::from_slice(&files[CURRENT]).unwrap();
        assert_eq!(current.release, *release);
        let record: Record = serde_json::from_slice(&files[&record_key(release)]).unwrap();
        for (key, object) in &record.objects {
            assert_eq!(Digest::of(&files[key]), object.digest, "{key}");
        }
    }
}

async fn run(store: &impl Store, built: &Built) -> Result<Report> {
    publish_to(store, built.as_build(), Options::default(), &Silent).await
}

fn told(error: &Error) -> String {
    let help = miette::Diagnostic::help(error).map(|help| help.to_string()).unwrap_or_default();
    format!("{error} | {help}")
}

#[tokio::test]
async fn storms_are_outlasted() {
    let keep = Keep { releases: 0, days: 0 };
    for seed in 0..6 {
        let case = Case::new();
        let dice = Mutex::new(fastrand::Rng::with_seed(seed));
        let fate = move |_, method: &Method| match dice.lock().unwrap().u8(..100) {
            0..40 => Fate::Lost(SLOW_DOWN),
            40..45 => Fate::Lost(Reply::Reset),
            45..50 => Fate::Done(Reply::Reset),
            50..55 => Fate::Done(BROKEN),
            55..60 if *method == Method::GET => Fate::Half(Reply::Reset),
            _ => Fate::Served,
        };
        let (_bucket, store, log) = case.open(fate).await;
        let (old, new) = (build("old"), build("new"));
        for built in [&old, &new] {
            let report = run(&store, built).await.unwrap();
            assert!(report.moved && report.warnings.is_empty(), "{:?}", report.warnings);
            case.assert_live(built.release());
        }
        assert_eq!(releases(&store, "production").await.unwrap().releases.len(), 2);
        let back = rollback(&store, &Environment::new("production"), None, Options::default(), &Silent).await.unwrap();
        assert_eq!(back.to, *old.release());
        case.assert_live(old.release());
        assert_eq!(prune(&store, "production", keep, false, &Silent).await.unwrap().kept.len(), 2);
        assert!(log.lock().unwrap().len() > 70, "most were asked more than once");
    }
}

/// Fails the `nth` request of each command in turn, until all of them have been failed.
async fn at_each_request(fate: Fate) {
    let (old, new) = (build("old"), build("new"));
    let keep = Keep { releases: 0, days: 0 };
    for nth in 0.. {
        let case = Case::with(&old).await;
        let mut is_over = true;
        for command in ["publish", "rollback", "prune"] {
            let fate = move |number, method: &Method| match fate {
                Fate::Half(_) if *method != Method::GET => Fate::Served,
                fate if number == nth => fate,
                _ => Fate::Served,
            };
            let (_bucket, store, log) = case.open(fate).await;
            match command {
                "publish" => {
                    let report = run(&store, &new).await.unwrap();
                    assert!(report.moved && report.warnings.is_empty(), "{nth}: {:?}", report.warnings);
                    case.assert_live(new.release());
                }
                "rollback" => {
                    assert!(
                        rollback(&store, &Environment::new("production"), None, Options::default(), &Silent)
                            .await
                            .unwrap()
                            .moved
                    );
                    case.assert_live(old.release());
                }
                _ => {
                    prune(&store, "production", keep, false, &Silent).await.unwrap();
                    case.assert_live(old.release());
                }
            }
            is_over &= log.lock().unwrap().len() <= nth;
        }
        if is_over {
            assert!(nth >= 12, "{nth}");
            return;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_an_error_though_the_write_happened_does_no_harm() {
    at_each_request(Fate::Done(BROKEN)).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_does_no_harm() {
    at_each_request(Fate::Done(Reply::Reset)).await;
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_asked_for_again() {
    at_each_request(Fate::Half(Reply::Reset)).await;
}

#[tokio::test]
async fn credentials_that_expire_midway_stop_it_and_the_next_run_goes_on_from_there() {
    let (old, new) = (build("old"), build("new"));
    for nth in 0.. {
        let case = Case::with(&old).await;
        let before: BTreeSet<String> = case.files().into_keys().collect();
        let (_bucket, store, _) =
            case.open(move |number, _| if number < nth { Fate::Served } else { Fate::Lost(EXPIRED) }).await;
        let Err(error) = run(&store, &new).await else {
            assert!(nth >= 12, "{nth}");
            return;
        };
        assert_eq!(error.exit_code(), 4);
        assert!(told(&error).contains("the session is over: sign in again"), "{}", told(&error));
        case.assert_live(old.release());

        // As it is when a publish takes longer than a test.
        if let Ok(attempt) = File::options().write(true).open(case.root().join(ATTEMPT)) {
            attempt.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        }
        let there: BTreeSet<String> = case.files().into_keys().filter(|key| !before.contains(key)).collect();
        let (_bucket, store, log) = case.open(|_, _| Fate::Served).await;
        assert!(run(&store, &new).await.unwrap().moved);
        case.assert_live(new.release());
        // The record is written anew for its date, and once more for the probe.
        let record = record_key(new.release());
        let again: Vec<String> = log
            .lock()
            .unwrap()
            .iter()
            .filter_map(|request| request.strip_prefix("PUT "))
            .filter(|key| there.contains(*key) && **key != record)
            .map(str::to_owned)
            .collect();
        assert_eq!(again, [""; 0], "stopped at {nth}");
    }
}

#[tokio::test]
async fn a_bucket_that_ignores_conditions_is_published_to_with_a_warning() {
    let old = build("old");
    let case = Case::with(&old).await;
    let (_bucket, store, _) = case.open(|_, _| Fate::ServedAnyway).await;
    let new = build("new");
    let report = run(&store, &new).await.unwrap();
    assert!(report.warnings.iter().any(|text| text.contains("conditional writes")), "{:?}", report.warnings);
    case.assert_live(new.release());
}

#[tokio::test]
async fn a_long_listing_goes_on_where_it_failed() {
    let case = Case::new();
    let (_bucket, store, log) =
        case.open(|number, _| if number % 2 == 0 { Fate::Lost(SLOW_DOWN) } else { Fate::Served }).await;
    fs::create_dir_all(case.root()).unwrap();
    for n in 0..2500 {
        fs::write(case.root().join(format!("{n}.txt")), "x").unwrap();
    }
    assert_eq!(store.entries().await.unwrap().len(), 2500);
    assert_eq!(log.lock().unwrap().len(), 6, "three pages, each at the second try");
}

#[tokio::test]
async fn what_stands_still_is_given_up_within_seconds_and_tried_again() {
    let case = Case::new();
    let object =
        |bytes: &[u8]| Object { length: bytes.len() as u64, digest: Digest::of(bytes), headers: BTreeMap::new() };
    // More than the system holds ready for the other side to read.
    let large = vec![7; 12 << 20];
    let (_bucket, store, _) = case.open(|_, _| Fate::Served).await;
    for key in ["silent", "half"] {
        store.put(key, &Body::Bytes(large.clone().into()), &object(&large), &Condition::Always).await.unwrap();
    }
    let begun = Instant::now();
    let ask = async |first: Fate, key: &str| {
        let (_bucket, store, log) = case.open(move |number, _| if number == 0 { first } else { Fate::Served }).await;
        match key {
            "upload" => {
                let body = Body::Bytes(large.clone().into());
                let put = store.put(key, &body, &object(&large), &Condition::IfAbsent).await.unwrap();
                assert_eq!(put, Put::Confirmed);
            }
            key => assert_eq!(store.get(key).await.unwrap().unwrap().body, large),
        }
        assert_eq!(log.lock().unwrap().len(), 2, "{key}");
        begun.elapsed()
    };
    let (silent, half, upload) = tokio::join!(
        ask(Fate::Lost(Reply::Silence), "silent"),
        ask(Fate::Half(Reply::Silence), "half"),
        ask(Fate::Lost(Reply::Silence), "upload"),
    );
    let all = [silent, half, upload];
    assert!(all.iter().all(|took| (3..14).contains(&took.as_secs())), "{all:?}");
}

#[tokio::test]
async fn a_large_file_that_changes_after_it_was_compared_is_not_stored() {
    let bytes = vec![7; 17 << 20];
    let mut other = bytes.clone();
    other[16 << 20] = 8;
    let object = Object { length: bytes.len() as u64, digest: Digest::of(&bytes), headers: BTreeMap::new() };
    let case = Case::new();
    let (_bucket, bucket, _) = case.open(|_, _| Fate::Served).await;
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    let store = Folder::new(folder.path().join("store"));
    for is_bucket in [true, false] {
        fs::write(&source, &bytes).unwrap();
        let body = Body::File(source.clone()).checked(object.length, object.digest).await.unwrap();
        fs::write(&source, &other).unwrap();
        let put = match is_bucket {
            true => bucket.put("large", &body, &object, &Condition::IfAbsent).await,
            false => store.put("large", &body, &object, &Condition::IfAbsent).await,
        };
        let text = told(&put.unwrap_err());
        assert!(text.contains("is not the file that the build made | run `fingerpost build`"), "{text}");
    }
    assert_eq!((bucket.list().await.unwrap().len(), store.list().await.unwrap().len()), (0, 0));
    assert_eq!(fs::read_dir(folder.path().join("store")).unwrap().count(), 0, "nothing is left of it");
}

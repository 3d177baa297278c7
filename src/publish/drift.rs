//! Drift: where what is live is not what was published. Every byte and header in a store is compared with the live release's record.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::CONCURRENCY;
use super::contents::{ATTEMPT, Attempt, CURRENT, json, record_key};
use super::document;
use super::history::released;
use super::pointer::Pointer;
use super::public;
use super::store::{Seen, Store};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::progress::Progress;
use crate::release::{Object, Record, ReleaseId};

/// So often the pointer may move while everything is compared, before that is given up.
const MOVES: usize = 3;

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    pub environment: String,
    /// A path, or `s3://bucket/prefix`.
    pub store: String,
    /// The release that is live, if the store says which.
    pub release: Option<ReleaseId>,
    /// How many objects of the store were compared.
    pub objects: usize,
    /// How many public URLs were compared, each in each encoding; none if that was not asked for.
    pub urls: Option<usize>,
    /// Bytes of all that was fetched.
    pub bytes: u64,
    pub differences: Vec<Difference>,
    /// What people should know of and is no drift.
    pub warnings: Vec<String>,
}

impl Drift {
    /// Of nothing that was compared yet.
    pub(super) fn new(environment: &Environment, store: String) -> Self {
        Drift {
            environment: environment.name.clone(),
            store,
            release: None,
            objects: 0,
            urls: None,
            bytes: 0,
            differences: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Something that is not as the release has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// A key below the store's prefix, or a URL.
    pub place: String,
    #[serde(flatten)]
    pub found: Found,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Found {
    /// Nothing is there.
    Missing,
    /// Other bytes.
    Content { expected: Content, actual: Content },
    /// A header has another value, or is there or not there and should not be.
    Header { name: String, expected: Option<String>, actual: Option<String> },
    /// It is there and makes no sense, or can't be had.
    Unusable { reason: String },
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Bytes.
    pub length: u64,
    /// SHA-256.
    pub digest: Digest,
}

impl Content {
    pub(super) fn of(object: &Object) -> Self {
        Content { length: object.length, digest: object.digest }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.found {
            Found::Missing => write!(f, "`{place}` is missing"),
            Found::Content { expected, actual } if expected.length != actual.length => {
                write!(f, "`{place}` has {} bytes, not {}", actual.length, expected.length)
            }
            Found::Content { expected, actual } => {
                write!(f, "`{place}` has other bytes: their SHA-256 is {}, not {}", actual.digest, expected.digest)
            }
            Found::Header { name, expected: Some(expected), actual: Some(actual) } => {
                write!(f, "`{place}` has `{name}: {actual}`, not `{expected}`")
            }
            Found::Header { name, expected: Some(expected), actual: None } => {
                write!(f, "`{place}` lacks `{name}: {expected}`")
            }
            Found::Header { name, actual, .. } => {
                write!(f, "`{place}` has `{name}: {}`, and should have none", actual.as_deref().unwrap_or_default())
            }
            Found::Unusable { reason } => write!(f, "`{place}` {reason}"),
        }
    }
}

/// Compares what is live with its release's record: each object in the store and, if `with_public`, what the environment's
/// public URLs answer.
///
/// Fails where the store can't be read; what is found there is no failure.
pub async fn drift<S: Store>(
    store: &S,
    environment: &Environment,
    with_public: bool,
    progress: &dyn Progress,
) -> Result<Drift> {
    store.preflight().await?;
    let none = Drift::new(environment, store.place(""));
    for _ in 0..MOVES {
        let (pointer, record) = match live(store).await? {
            Ok(live) => live,
            Err(difference) => {
                return Ok(Drift { differences: vec![difference], ..none });
            }
        };
        let mut found = Drift { release: Some(pointer.release.clone()), ..none.clone() };
        if with_public {
            public::compare(environment, &record, &mut found, progress).await?;
        }
        let objects: Vec<_> = record.objects.iter().map(|(key, object)| (key.as_str(), object)).collect();
        let (bytes, differences) = compare(store, &objects, progress).await?;
        found.objects += record.objects.len();
        found.bytes += bytes;
        found.differences.extend(differences);
        surroundings(store, &record, &mut found).await?;
        found.differences.sort_by(|a, b| a.place.cmp(&b.place));
        if Pointer::read(store).await.is_ok_and(|now| now.as_ref() == Some(&pointer)) {
            return Ok(found);
        }
        progress.note("another release went live meanwhile: comparing again".to_owned());
    }
    Err(Error::Publish {
        message: format!("`{}` goes on being published to", store.place("")),
        help: "check again when that is over".to_owned(),
    })
}

/// The pointer, and the record that it leads to; or why there are none.
async fn live<S: Store>(store: &S) -> Result<Result<(Pointer, Record), Difference>> {
    let at = |place: &str, found: Found| Ok(Err(Difference { place: place.to_owned(), found }));
    let unusable = |place: &str, reason: String| at(place, Found::Unusable { reason });
    let pointer = match Pointer::read(store).await {
        Ok(Some(pointer)) => pointer,
        Ok(None) => return at(CURRENT, Found::Missing),
        Err(Error::Publish { .. }) => return unusable(CURRENT, "does not say which release is live".to_owned()),
        Err(error) => return Err(error),
    };
    let key = record_key(&pointer.release);
    let Some(stored) = store.get(&key).await? else { return at(&key, Found::Missing) };
    match serde_json::from_slice::<Record>(&stored.body) {
        Ok(record) if record.release == pointer.release => Ok(Ok((pointer, record))),
        Ok(record) => unusable(&key, format!("is the record of {}", record.release)),
        Err(error) => unusable(&key, format!("is no record of a release: {error}")),
    }
}

/// Fetches objects and compares them with what they have to be: the bytes of all that is there, and what differs.
pub(super) async fn compare<S: Store>(
    store: &S,
    objects: &[(&str, &Object)],
    progress: &dyn Progress,
) -> Result<(u64, Vec<Difference>)> {
    progress.transfer("compare", objects.len(), objects.iter().map(|(_, object)| object.length).sum());
    let mut left = objects.iter();
    // A closure that takes one would tie the work to a thread (rust-lang/rust#64552).
    let looks = std::iter::from_fn(|| {
        let (key, object) = left.next()?;
        Some(look(store, key, object, progress))
    });
    let mut looks = stream::iter(looks).buffer_unordered(CONCURRENCY);
    let (mut bytes, mut all) = (0, Vec::new());
    while let Some((length, found)) = looks.try_next().await? {
        bytes += length;
        all.extend(found);
    }
    Ok((bytes, all))
}

/// The bytes that are there, and how they differ.
async fn look<S: Store>(
    store: &S,
    key: &str,
    object: &Object,
    progress: &dyn Progress,
) -> Result<(u64, Vec<Difference>)> {
    let seen = store.inspect(key).await?;
    progress.moved(key, object.length);
    let found = differences(object, seen.as_ref(), store.kept_headers());
    let found = found.into_iter().map(|found| Difference { place: key.to_owned(), found });
    Ok((seen.as_ref().map_or(0, |seen| seen.length), found.collect()))
}

/// An object as it was published against the one that is there, by the headers that its store keeps.
fn differences(object: &Object, seen: Option<&Seen>, kept: &[&str]) -> Vec<Found> {
    let Some(seen) = seen else { return vec![Found::Missing] };
    let expected = Content::of(object);
    let actual = Content { length: seen.length, digest: seen.digest };
    let content = (expected != actual).then_some(Found::Content { expected, actual });
    let headers = kept.iter().filter_map(|name| {
        let (expected, actual) = (object.headers.get(*name), seen.headers.get(*name));
        // A store makes up a type where none was given.
        let differs = expected != actual && !(*name == "content-type" && expected.is_none());
        differs.then(|| Found::Header {
            name: (*name).to_owned(),
            expected: expected.cloned(),
            actual: actual.cloned(),
        })
    });
    content.into_iter().chain(headers).collect()
}

/// What lies around the release: pages at a website's root that it has not, and a publish that was begun.
async fn surroundings<S: Store>(store: &S, record: &Record, drift: &mut Drift) -> Result<()> {
    if !record.objects.keys().any(|key| record.is_copy(key)) {
        return Ok(());
    }
    let attempt = document::<S, Attempt>(store, ATTEMPT).await?;
    let is_record = |attempt: &Attempt| attempt.record == Digest::of(&json(record));
    if attempt.is_some_and(|attempt| !is_record(&attempt)) {
        drift.warnings.push(
            "another publish is under way, or stopped midway: files at the website's root may be that release's already"
                .to_owned(),
        );
    }
    let entries = store.entries().await?;
    let others: Vec<String> = entries.keys().filter_map(|key| released(key)).map(|other| record_key(&other)).collect();
    let reads = others.iter().map(|key| document::<S, Record>(store, key));
    let records: Vec<Option<Record>> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
    let copies = records.iter().flatten().flat_map(|other| other.objects.keys().filter(|key| other.is_copy(key)));
    let left: BTreeSet<&String> =
        copies.filter(|key| entries.contains_key(*key) && !record.objects.contains_key(*key)).collect();
    if let Some(first) = left.first() {
        drift.warnings.push(format!(
            "{} files of earlier releases lie at the website's root, and this release has them not, `{first}` among them: \
             publishing never deletes",
            left.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::preview::bucket::Bucket;
    use crate::progress::Silent;
    use crate::publish::s3::{Credentials, S3};
    use crate::publish::site::{Built, Site};
    use crate::publish::store::{Body, Condition};
    use crate::publish::{Folder, Options, publish_to};

    fn site() -> Site {
        Site::new()
            .asset("css/a.css", &"a { color: red }\n".repeat(40))
            .asset("js/a.js", "alert(1)")
            .page("about.html", "about")
            .page("index.html", "<h1>one</h1>")
    }

    async fn publish(store: &impl Store, built: &Built) {
        publish_to(store, built.as_build(), Options::default(), &Silent).await.unwrap();
    }

    async fn check(store: &impl Store) -> Drift {
        drift(store, &Environment::new("production"), false, &Silent).await.unwrap()
    }

    fn told(drift: &Drift, release: &ReleaseId) -> Vec<String> {
        drift.differences.iter().map(|difference| difference.to_string().replace(release.as_str(), "ID")).collect()
    }

    fn key(folder: &Path, end: &str) -> String {
        let files = walkdir::WalkDir::new(folder.join("assets")).into_iter().flatten();
        let found = files.map(|file| crate::fs::display_name(folder, file.path())).find(|key| key.ends_with(end));
        found.unwrap_or_else(|| panic!("no {end}"))
    }

    #[tokio::test]
    async fn whatever_changed_in_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let store = Folder::new(root);
        let built = site().build();
        publish(&store, &built).await;
        let same = check(&store).await;
        assert_eq!((same.differences.len(), same.warnings.len()), (0, 0), "{same:?}");
        assert_eq!((same.objects, same.release.as_ref()), (10, Some(built.release())));
        let (css, js) = (key(root, ".css"), key(root, ".js"));
        std::fs::remove_file(root.join(format!("{css}.br"))).unwrap();
        std::fs::write(root.join(&js), "alert(2)").unwrap();
        std::fs::write(root.join("about.html"), "longer than it was").unwrap();
        let page = format!("releases/{}/index.html", built.release());
        std::fs::write(root.join(&page), "<h1>two</h1>").unwrap();
        let found = told(&check(&store).await, built.release());
        let of = |text: &str| Digest::of(text.as_bytes());
        assert_eq!(
            found,
            [
                "`about.html` has 18 bytes, not 5".to_owned(),
                format!("`{css}.br` is missing"),
                format!("`{js}` has other bytes: their SHA-256 is {}, not {}", of("alert(2)"), of("alert(1)")),
                format!(
                    "`releases/ID/index.html` has other bytes: their SHA-256 is {}, not {}",
                    of("<h1>two</h1>"),
                    of("<h1>one</h1>")
                ),
            ]
        );
    }

    #[tokio::test]
    async fn headers_that_a_bucket_lost_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let given = Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() };
        let store = S3::connect(&bucket.name, "", Some(&bucket.endpoint), None, Some(given)).await;
        // What no bucket keeps is none of its faults.
        let built = site().header("about.html", "x-frame-options", "DENY").build();
        publish(&store, &built).await;
        let same = check(&store).await;
        assert_eq!((told(&same, built.release()), same.objects), (Vec::new(), 8));
        let (css, js) = (key(&folder.path().join("site"), ".css.br"), key(&folder.path().join("site"), ".js"));
        for (key, headers) in [
            (&css, vec![("content-type", "text/css; charset=utf-8"), ("cache-control", "no-store")]),
            (
                &js,
                vec![
                    ("content-type", "text/javascript; charset=utf-8"),
                    ("cache-control", "public, max-age=31536000, immutable"),
                    ("content-language", "de"),
                ],
            ),
        ] {
            let body = store.get(key).await.unwrap().unwrap().body;
            let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let object = Object { length: body.len() as u64, digest: Digest::of(&body), headers };
            store.put(key, &Body::Bytes(body), &object, &Condition::Always).await.unwrap();
        }
        assert_eq!(
            told(&check(&store).await, built.release()),
            [
                format!("`{css}` has `cache-control: no-store`, not `public, max-age=31536000, immutable`"),
                format!("`{css}` lacks `content-encoding: br`"),
                format!("`{js}` has `content-language: de`, and should have none"),
            ]
        );
    }

    #[tokio::test]
    async fn a_pointer_that_leads_nowhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        assert_eq!(check(&store).await.differences[0].to_string(), "`current.json` is missing");
        let built = site().build();
        publish(&store, &built).await;
        let write = |key: &str, text: &str| std::fs::write(folder.path().join(key), text).unwrap();
        let record = record_key(built.release());
        let text = std::fs::read_to_string(folder.path().join(&record)).unwrap();
        write(&record, &text.replace(built.release().as_str(), "0123456789abcdef"));
        assert_eq!(
            told(&check(&store).await, built.release()),
            ["`releases/ID.json` is the record of 0123456789abcdef"]
        );
        write(&record, "{}");
        let found = told(&check(&store).await, built.release());
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("`releases/ID.json` is no record of a release: missing field"), "{found:?}");
        std::fs::remove_file(folder.path().join(&record)).unwrap();
        assert_eq!(told(&check(&store).await, built.release()), ["`releases/ID.json` is missing"]);
        write(CURRENT, "mine");
        assert_eq!(told(&check(&store).await, built.release()), ["`current.json` does not say which release is live"]);
    }

    #[tokio::test]
    async fn what_earlier_releases_and_a_publish_midway_have_left_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        publish(&store, &site().page("old.html", "old").build()).await;
        let built = site().build();
        publish(&store, &built).await;
        std::fs::write(folder.path().join("mine.html"), "not the program's").unwrap();
        let found = check(&store).await;
        assert_eq!((found.differences.len(), found.warnings.len()), (0, 1), "{found:?}");
        assert!(found.warnings[0].starts_with("1 files of earlier releases"), "{found:?}");
        assert!(found.warnings[0].contains("`old.html`"), "{found:?}");
        let attempt = Attempt { record: Digest::of(b"another") };
        std::fs::write(folder.path().join(ATTEMPT), json(&attempt)).unwrap();
        assert!(check(&store).await.warnings[0].starts_with("another publish is under way"));
    }
}

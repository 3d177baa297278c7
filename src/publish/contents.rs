//! What a release consists of in a store: each object's key, headers and digest, and where its bytes come from.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::archive;
use super::store::{Body, read_checked};
use crate::asset::is_hidden;
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::fingerprint::Digest;
use crate::manifest::{File, Kind, Manifest};
use crate::page;
use crate::release::{Current, Object, Record, ReleaseId};

/// The pointer: which release is live, a [`Current`].
pub const CURRENT: &str = "current.json";

/// Which record the last publish set out to make true, an [`Attempt`].
pub const ATTEMPT: &str = "releases/attempt.json";

/// A release's [`Record`].
pub fn record_key(release: &ReleaseId) -> String {
    format!("releases/{release}.json")
}

/// What a release has beside its objects: its manifest, and its pages as they were built.
pub fn archive_key(release: &ReleaseId) -> String {
    format!("releases/{release}.tar.zst")
}

/// A finished build, and the environment that it is published to.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The output folder.
    pub out: &'a Path,
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
}

/// An object that is to be in the store, and the bytes to put there.
#[derive(Debug, Clone)]
pub struct Item {
    pub stage: Stage,
    /// Below the store's prefix.
    pub key: String,
    pub object: Object,
    pub body: Body,
}

/// The order of writing: whatever refers to something comes after it, so that a stop anywhere leaves what is live whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Fingerprinted files: nobody asks for them yet.
    Asset,
    /// [`ATTEMPT`].
    Attempt,
    /// Pages and public files below `releases/ID/`, and `releases/ID.tar.zst`.
    Page,
    /// `releases/ID.json`.
    Record,
    /// Public files at the root of a website.
    Root,
    /// Pages at the root of a website.
    RootPage,
    /// `current.json`.
    Pointer,
}

/// `releases/attempt.json`: written before the first object that can change, so that after a publish that stopped midway the
/// records in the store are not taken for what such objects hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The digest of the record, as [`json`] writes it.
    pub record: Digest,
}

/// Keys of the release's assets, in order; nearly all that a store holds of one.
pub fn expected(build: &Build<'_>) -> Vec<String> {
    let assets = build.manifest.files.iter().filter(|(path, file)| file.kind == Kind::Asset && !is_hidden(path));
    let keys = assets.flat_map(|(path, file)| {
        let variants = file.variants.keys().filter(|_| build.environment.encoding.is_none());
        std::iter::once(path.clone()).chain(variants.map(|encoding| File::sidecar(path, *encoding)))
    });
    let mut keys: Vec<String> = keys.collect();
    keys.sort_unstable();
    keys
}

/// All objects of a release but the bookkeeping, in the order of writing.
///
/// Pages are bound to the environment here, and compressed anew if that changed them.
pub fn contents(build: &Build<'_>, website: bool) -> Result<Vec<Item>> {
    let files = build.manifest.files.par_iter().filter(|(path, _)| !is_hidden(path));
    let of_files = || files.map(|(path, file)| items_of(build, website, path, file)).collect::<Result<Vec<_>>>();
    let (items, archive) = rayon::join(of_files, || archive_item(build));
    let mut items: Vec<Item> = items?.into_iter().flatten().collect();
    items.push(archive?);
    items.sort_by(|a, b| (a.stage, &a.key).cmp(&(b.stage, &b.key)));
    Ok(items)
}

fn archive_item(build: &Build<'_>) -> Result<Item> {
    let representation = Representation::in_memory(None, archive::pack(build.out, build.manifest)?);
    let headers = [("content-type", "application/zstd"), ("cache-control", "no-cache")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Ok(representation.item(Stage::Page, archive_key(&build.manifest.release), headers))
}

/// The note that a publish has begun, and the record of the release; `parent` is the release that was current so far.
pub fn bookkeeping(build: &Build<'_>, items: &[Item], parent: Option<ReleaseId>) -> [Item; 2] {
    let release = &build.manifest.release;
    let record = Recorded {
        release,
        environment: &build.environment.name,
        parent,
        objects: items.iter().map(|item| (item.key.as_str(), &item.object)).collect(),
    };
    let record = json_item(Stage::Record, record_key(release), &record);
    [json_item(Stage::Attempt, ATTEMPT, &Attempt { record: record.object.digest }), record]
}

/// A [`Record`] that is only written, of objects that are many.
#[derive(Serialize)]
struct Recorded<'a> {
    release: &'a ReleaseId,
    environment: &'a str,
    parent: Option<ReleaseId>,
    objects: BTreeMap<&'a str, &'a Object>,
}

/// The note that what the record says is about to be made true.
pub fn attempt(record: &Record) -> Item {
    json_item(Stage::Attempt, ATTEMPT, &Attempt { record: Digest::of(&json(record)) })
}

pub fn pointer(release: &ReleaseId) -> Item {
    json_item(Stage::Pointer, CURRENT, &Current { release: release.clone() })
}

/// How the program's own documents are written.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// One of the program's own documents.
pub fn json_item(stage: Stage, key: impl Into<String>, value: &impl Serialize) -> Item {
    let representation = Representation::in_memory(None, json(value));
    let headers = [("content-type", "application/json; charset=utf-8"), ("cache-control", "no-cache")];
    representation.item(stage, key.into(), headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

/// One form of a file that a client can get: as it is, or encoded (RFC 9110 section 3.2).
#[derive(Clone)]
struct Representation {
    encoding: Option<Encoding>,
    body: Body,
    length: u64,
    digest: Digest,
}

impl Representation {
    fn in_memory(encoding: Option<Encoding>, bytes: Vec<u8>) -> Self {
        let (length, digest) = (bytes.len() as u64, Digest::of(&bytes));
        Representation { encoding, body: Body::Bytes(bytes.into()), length, digest }
    }

    /// The object that the representation is at a key.
    fn item(self, stage: Stage, key: String, mut headers: BTreeMap<String, String>) -> Item {
        let Representation { encoding, body, length, digest } = self;
        if let Some(encoding) = encoding {
            headers.insert("content-encoding".to_owned(), encoding.token().to_owned());
        }
        Item { stage, key, object: Object { length, digest, headers }, body }
    }
}

fn items_of(build: &Build<'_>, website: bool, path: &str, file: &File) -> Result<Vec<Item>> {
    let headers = headers(file, build.environment);
    let mut representations = match file.kind {
        Kind::Asset | Kind::Public => as_built(build.out, path, file),
        Kind::Page => bound(build, path, file)?,
    };
    let in_place = build.environment.encoding;
    if in_place.is_some() {
        let chosen = representations.iter().find(|it| it.encoding == in_place).and_then(|it| it.encoding);
        representations.retain(|it| it.encoding == chosen);
    }
    let (stage, key) = match file.kind {
        Kind::Asset => (Stage::Asset, path.to_owned()),
        Kind::Page | Kind::Public => (Stage::Page, format!("releases/{}/{path}", build.manifest.release)),
    };
    let mut items = Vec::new();
    for representation in representations {
        let sidecar = representation.encoding.filter(|_| in_place.is_none());
        if website && stage == Stage::Page && sidecar.is_none() {
            let html = file.media_type.starts_with("text/html");
            let stage = if html { Stage::RootPage } else { Stage::Root };
            items.push(representation.clone().item(stage, path.to_owned(), headers.clone()));
        }
        let key = sidecar.map_or(key.clone(), |encoding| File::sidecar(&key, encoding));
        items.push(representation.item(stage, key, headers.clone()));
    }
    // A file of the site's own that would lie where the store's bookkeeping lies.
    let clash = items
        .iter()
        .find(|item| item.stage != Stage::Page && (item.key == CURRENT || item.key.starts_with("releases/")));
    match clash {
        None => Ok(items),
        Some(item) => Err(Error::Publish {
            message: format!("`{}` can't be published: that name is taken by the store's own bookkeeping", item.key),
            help: "rename the file; `current.json` and `releases/` are the program's own at the root of a store"
                .to_owned(),
        }),
    }
}

fn as_built(out: &Path, path: &str, file: &File) -> Vec<Representation> {
    let plain =
        Representation { encoding: None, body: Body::File(out.join(path)), length: file.length, digest: file.digest };
    let sidecar = |(&encoding, variant): (&Encoding, &crate::manifest::Variant)| Representation {
        encoding: Some(encoding),
        body: Body::File(out.join(File::sidecar(path, encoding))),
        length: variant.length,
        digest: variant.digest,
    };
    std::iter::once(plain).chain(file.variants.iter().map(sidecar)).collect()
}

fn bound(build: &Build<'_>, path: &str, file: &File) -> Result<Vec<Representation>> {
    let source = build.out.join(path);
    let bytes = read_checked(&source, file.digest)?;
    let page = page::bind(build.manifest, build.environment, path, &bytes)?;
    if page == bytes && file.has_sidecars(build.out, path) {
        return Ok(as_built(build.out, path, file));
    }
    anew(page, file.variants.keys().copied()).map_err(Error::io("compress", &source))
}

/// The page and those of its encodings that are smaller.
fn anew(page: Vec<u8>, encodings: impl Iterator<Item = Encoding>) -> io::Result<Vec<Representation>> {
    let mut representations = Vec::new();
    for encoding in encodings {
        let packed = encoding.compress(&page)?;
        if packed.len() < page.len() {
            representations.push(Representation::in_memory(Some(encoding), packed));
        }
    }
    representations.push(Representation::in_memory(None, page));
    Ok(representations)
}

/// What the site's headers come to in a store. Policies and the like are an HTTP server's: no store has a place for them.
fn headers(file: &File, environment: &Environment) -> BTreeMap<String, String> {
    let cache_control = match file.kind {
        Kind::Page if !file.is_worker() => environment.page_cache_control(),
        _ => file.cache_control().to_owned(),
    };
    let mut headers = BTreeMap::from([
        ("content-type".to_owned(), file.media_type.clone()),
        ("cache-control".to_owned(), cache_control),
    ]);
    if let (Kind::Page, false, Some(value)) = (file.kind, file.is_worker(), environment.page_cdn_cache_control()) {
        headers.insert("cdn-cache-control".to_owned(), value);
    }
    headers.extend(file.headers.clone());
    // An empty one is left out.
    headers.retain(|_, value| !value.is_empty());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::site::Site;

    fn listed(items: &[Item]) -> String {
        let line = |item: &Item| {
            let headers: Vec<String> =
                item.object.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{:?} {} [{}]", item.stage, item.key, headers.join(" | "))
        };
        items.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_file_gets_its_keys_and_headers() {
        let mut site = Site::new()
            .asset("css/a.css", &"a { color: red }\n".repeat(40))
            .page("index.html", "<h1>hello</h1>")
            .public("robots.txt", "User-agent: *\n")
            .public(".well-known/security.txt", "Contact: x\n")
            .public(".env", "SECRET=1\n")
            .public(".fingerpost/maps/a.js.map", "{}")
            .header("index.html", "x-frame-options", "DENY")
            .header("index.html", "x-own", "")
            .header("robots.txt", "cache-control", "public, max-age=60");
        site.environment.cdn_cache_control = Some("max-age=600".to_owned());
        let built = site.build();
        let text = listed(&contents(&built.as_build(), true).unwrap()).replace(built.release().as_str(), "ID");
        insta::assert_snapshot!(text, @r"
        Asset assets/css/a-fb8628ffb4e412c9.css [cache-control: public, max-age=31536000, immutable | content-type: text/css; charset=utf-8]
        Asset assets/css/a-fb8628ffb4e412c9.css.br [cache-control: public, max-age=31536000, immutable | content-encoding: br | content-type: text/css; charset=utf-8]
        Asset assets/css/a-fb8628ffb4e412c9.css.gz [cache-control: public, max-age=31536000, immutable | content-encoding: gzip | content-type: text/css; charset=utf-8]
        Asset assets/css/a-fb8628ffb4e412c9.css.zst [cache-control: public, max-age=31536000, immutable | content-encoding: zstd | content-type: text/css; charset=utf-8]
        Page releases/ID.tar.zst [cache-control: no-cache | content-type: application/zstd]
        Page releases/ID/.well-known/security.txt [cache-control: no-cache | content-type: text/plain; charset=utf-8]
        Page releases/ID/index.html [cache-control: no-cache | cdn-cache-control: max-age=600 | content-type: text/html; charset=utf-8 | x-frame-options: DENY]
        Page releases/ID/robots.txt [cache-control: public, max-age=60 | content-type: text/plain; charset=utf-8]
        Root .well-known/security.txt [cache-control: no-cache | content-type: text/plain; charset=utf-8]
        Root robots.txt [cache-control: public, max-age=60 | content-type: text/plain; charset=utf-8]
        RootPage index.html [cache-control: no-cache | cdn-cache-control: max-age=600 | content-type: text/html; charset=utf-8 | x-frame-options: DENY]
        ");
    }

    #[test]
    fn cdns_are_told_of_staleness_where_they_look() {
        let mut site = Site::new().page("index.html", "hello");
        site.environment.cdn_cache_control = Some("max-age=600".to_owned());
        site.environment.stale_if_error = Some(60);
        let built = site.build();
        let items = contents(&built.as_build(), false).unwrap();
        let page = items.iter().find(|item| item.key.ends_with("index.html")).unwrap();
        assert_eq!(page.object.headers["cdn-cache-control"], "max-age=600, stale-if-error=60");
    }

    #[test]
    fn without_a_website_nothing_lies_at_the_root() {
        let built = Site::new().page("index.html", "hello").build();
        let items = contents(&built.as_build(), false).unwrap();
        assert_eq!(items.iter().map(|item| item.stage).collect::<Vec<_>>(), [Stage::Page, Stage::Page]);
    }

    #[test]
    fn the_stores_own_names_are_refused() {
        for name in ["current.json", "releases/x.txt"] {
            let built = Site::new().public(name, "mine").build();
            let error = contents(&built.as_build(), true).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{name}` can't be published: that name is taken by the store's own bookkeeping")
            );
            assert!(contents(&built.as_build(), false).is_ok(), "below `releases/ID/` it is in nobody's way");
        }
    }

    #[test]
    fn a_page_that_binding_changed_is_compressed_anew_where_that_helps() {
        let kinds = |text: &str| -> Vec<Option<Encoding>> {
            let made = anew(text.as_bytes().to_vec(), Encoding::ALL.into_iter()).unwrap();
            made.iter().map(|representation| representation.encoding).collect()
        };
        assert_eq!(kinds("short"), [None]);
        let all = [Some(Encoding::Brotli), Some(Encoding::Zstd), Some(Encoding::Gzip), None];
        assert_eq!(kinds(&"long ".repeat(200)), all);
    }

    #[test]
    fn a_page_that_changed_since_the_build_is_noticed() {
        let built = Site::new().page("index.html", "hello").build();
        built.overwrite("index.html", "other");
        let error = contents(&built.as_build(), false).unwrap_err();
        assert!(error.to_string().contains("is not the file that the build made"), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}

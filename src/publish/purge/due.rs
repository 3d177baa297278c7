//! What a CDN has to forget: the files whose answers have changed, and the URLs, paths or tags that it knows them by.
//!
//! Nothing here touches a store or a network.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::contents::{Item, Stage};
use super::super::plan::{Action, Step};
use super::wildcards::fold;
use crate::asset::url_path;
use crate::encoding::Encoding;
use crate::environment::{By, Cdn, Environment, tags_of};
use crate::manifest::Kind;
use crate::release::{Object, Record, ReleaseId};

/// Files of a site, by their paths below the output folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// Pages and public files: what can change under its URL.
    pub pages: BTreeSet<String>,
    /// Fingerprinted files.
    pub assets: BTreeSet<String>,
}

/// What a CDN is told to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ask {
    pub by: By,
    /// Sorted; none for everything.
    pub names: Vec<String>,
}

/// The objects of a release by their keys, be they in its record or yet to be written.
pub type Objects<'a> = BTreeMap<&'a str, &'a Object>;

pub fn objects_of(record: &Record) -> Objects<'_> {
    record.objects.iter().map(|(key, object)| (key.as_str(), object)).collect()
}

impl Files {
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.assets.is_empty()
    }

    pub fn add(&mut self, other: Files) {
        self.pages.extend(other.pages);
        self.assets.extend(other.assets);
    }

    /// All files of a release.
    pub fn of(release: &ReleaseId, objects: &Objects<'_>) -> Self {
        let pages: BTreeSet<String> = pages(release, objects).into_keys().map(|(path, _)| path.to_owned()).collect();
        let others = objects.iter().filter(|(key, _)| !key.starts_with("releases/"));
        // What lies beside the assets is the copies of pages, at a website's root.
        let assets = others.map(|(key, object)| file(key, object)).filter(|path| !pages.contains(*path));
        Files { assets: assets.map(str::to_owned).collect(), pages }
    }

    /// The pages that are not what they were: changed, new (a CDN may remember that there was none), or gone.
    pub fn changed(before: Option<(&ReleaseId, &Objects<'_>)>, release: &ReleaseId, after: &Objects<'_>) -> Self {
        let before = before.map(|(release, objects)| pages(release, objects)).unwrap_or_default();
        let after = pages(release, after);
        let paths = before.keys().chain(after.keys()).filter(|page| before.get(*page) != after.get(*page));
        Files { pages: paths.map(|(path, _)| (*path).to_owned()).collect(), assets: BTreeSet::new() }
    }

    /// What is written over under the URLs that users have, whatever the records say of it.
    pub fn rewritten(items: &[Item], steps: &[Step], release: &ReleaseId, is_live: bool) -> Self {
        let mut files = Files::default();
        let folder = format!("releases/{release}/");
        for (item, step) in items.iter().zip(steps).filter(|(_, step)| step.action != Action::Keep) {
            let path = file(&item.key, &item.object);
            match item.stage {
                // The bytes are what they were, as the name says; the headers have been repaired.
                Stage::Asset if step.action == Action::Replace => files.assets.insert(path.to_owned()),
                Stage::Root | Stage::RootPage => files.pages.insert(path.to_owned()),
                Stage::Page if is_live => {
                    path.strip_prefix(&folder).is_some_and(|path| files.pages.insert(path.to_owned()))
                }
                _ => false,
            };
        }
        files
    }
}

/// The objects of each page and public file, by its path and the encoding.
fn pages<'a>(release: &ReleaseId, objects: &Objects<'a>) -> BTreeMap<(&'a str, Option<&'a str>), &'a Object> {
    let folder = format!("releases/{release}/");
    let page = |(key, object): (&&'a str, &&'a Object)| {
        let path = key.strip_prefix(&folder)?;
        let encoding = object.headers.get("content-encoding").map(String::as_str);
        Some(((file(path, object), encoding), *object))
    };
    objects.iter().filter_map(page).collect()
}

/// The key without the extension that it has for its encoding: users ask for the file itself.
fn file<'a>(key: &'a str, object: &Object) -> &'a str {
    let token = object.headers.get("content-encoding");
    let encoding = Encoding::ALL.into_iter().find(|encoding| token.is_some_and(|token| token == encoding.token()));
    let stem = encoding.and_then(|encoding| key.strip_suffix(encoding.extension())?.strip_suffix('.'));
    stem.unwrap_or(key)
}

/// Under which paths a server has a page or a public file: its own, and the clean one.
fn page_paths(path: &str) -> Vec<String> {
    let own = format!("/{}", url_path(path));
    let clean = own.strip_suffix(".html").map(|stem| match stem.strip_suffix("/index") {
        Some(folder) => format!("{folder}/"),
        None => stem.to_owned(),
    });
    std::iter::once(own.clone()).chain(clean).collect()
}

/// Of all that a site has.
pub fn paths(files: &Files, environment: &Environment) -> BTreeSet<String> {
    let asset = |file: &String| {
        let url = environment.asset_base.url(file);
        let below = url.find("//").and_then(|at| url.get(at + 2..));
        match below {
            Some(below) => below.find('/').and_then(|at| below.get(at..)).unwrap_or("/").to_owned(),
            None => url,
        }
    };
    files.pages.iter().flat_map(|page| page_paths(page)).chain(files.assets.iter().map(asset)).collect()
}

/// Absolute ones; none where nothing says at which origin the files are.
fn urls(files: &Files, environment: &Environment) -> BTreeSet<String> {
    let origins = environment.origins();
    let at_origins = |path: String| origins.iter().map(move |origin| format!("{origin}{path}")).collect::<Vec<_>>();
    let asset = |file: &String| {
        let url = environment.asset_base.url(file);
        match url.strip_prefix("//") {
            Some(rest) => vec![format!("https://{rest}")],
            None if url.starts_with('/') => at_origins(url),
            None => vec![url],
        }
    };
    let pages = files.pages.iter().flat_map(|page| page_paths(page)).flat_map(at_origins);
    pages.chain(files.assets.iter().flat_map(asset)).collect()
}

/// A record doesn't say what is a page and what a public file, so a name is taken for either.
fn tags(files: &Files, site: &Files) -> BTreeSet<String> {
    if files.pages.len() > 1 && files.pages.is_superset(&site.pages) {
        return ["pages", "public"].map(str::to_owned).into();
    }
    let own = |kind: Kind| files.pages.iter().filter_map(move |path| tags_of(kind, path).pop());
    own(Kind::Page).chain(own(Kind::Public)).collect()
}

/// URLs without their schemes, each of which stands for all below it too.
fn prefixes(urls: BTreeSet<String>) -> BTreeSet<String> {
    let mut prefixes = BTreeSet::new();
    for url in urls {
        let bare = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        prefixes.insert(bare.trim_end_matches('/').to_owned());
    }
    let above = |prefix: &String| {
        let folders = prefix.match_indices('/').filter_map(|(at, _)| prefix.get(..at));
        folders.into_iter().any(|folder| prefixes.contains(folder))
    };
    prefixes.iter().filter(|prefix| !above(prefix)).cloned().collect()
}

fn hosts(urls: BTreeSet<String>) -> BTreeSet<String> {
    let host = |url: String| url.parse::<http::Uri>().ok().and_then(|url| Some(url.host()?.to_owned()));
    urls.into_iter().filter_map(host).collect()
}

/// What the environment's CDN is to be told so that it forgets these files; `site` is all that there are.
pub fn asks(cdn: &Cdn, environment: &Environment, due: &Files, site: &Files) -> Vec<Ask> {
    let (by, origins) = (cdn.by(), || urls(due, environment));
    let ask = |by: By, names: BTreeSet<String>| Ask { by, names: names.into_iter().collect() };
    let asks = match by {
        _ if due.is_empty() => return Vec::new(),
        By::Everything => return vec![Ask { by, names: Vec::new() }],
        By::Path if matches!(cdn, Cdn::CloudFront(_)) => {
            vec![ask(
                by,
                fold(paths(due, environment), &paths(site, environment), &paths(&assets_of(site), environment)),
            )]
        }
        By::Path => vec![ask(by, paths(due, environment))],
        By::Url => vec![ask(by, origins())],
        By::Prefix => vec![ask(by, prefixes(origins()))],
        By::Host => vec![ask(by, hosts(origins()))],
        By::Tag => {
            let by_url = match cdn {
                Cdn::Cloudflare(_) | Cdn::Fastly(_) => urls(&assets_of(due), environment),
                _ => BTreeSet::new(),
            };
            let mut names = tags(due, site);
            // All of them have one tag, so it is not used where there is another way.
            if by_url.is_empty() && !due.assets.is_empty() {
                names.extend(tags_of(Kind::Asset, ""));
            }
            vec![ask(by, names), ask(By::Url, by_url)]
        }
    };
    asks.into_iter().filter(|ask| !ask.names.is_empty()).collect()
}

fn assets_of(files: &Files) -> Files {
    Files { pages: BTreeSet::new(), assets: files.assets.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{CloudFront, Cloudflare, Fastly, HttpPurge, TagHeader};
    use crate::publish::contents::contents;
    use crate::publish::plan::{Held, plan};
    use crate::publish::site::{Built, Site};

    fn files(pages: &[&str], assets: &[&str]) -> Files {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Files { pages: set(pages), assets: set(assets) }
    }

    fn environment() -> Environment {
        let mut environment = Environment::new("production");
        environment.site = Some("https://a.example".to_owned());
        environment
    }

    fn cloudflare(by: By) -> Cdn {
        Cdn::Cloudflare(Cloudflare { zone: "z".into(), by, batch: 30, endpoint: "http://x".into() })
    }

    fn names(cdn: &Cdn, environment: &Environment, due: &Files, site: &Files) -> Vec<String> {
        let asks = asks(cdn, environment, due, site);
        asks.into_iter().map(|ask| format!("{:?} {}", ask.by, ask.names.join(" "))).collect()
    }

    fn items(built: &Built) -> Vec<Item> {
        contents(&built.as_build(), true).unwrap()
    }

    fn changed(before: &Built, after: &Built) -> Files {
        let (before_items, after_items) = (items(before), items(after));
        let objects =
            |items: &[Item]| items.iter().map(|i| (i.key.clone(), i.object.clone())).collect::<BTreeMap<_, _>>();
        let (a, b) = (objects(&before_items), objects(&after_items));
        let a: Objects = a.iter().map(|(key, object)| (key.as_str(), object)).collect();
        let b: Objects = b.iter().map(|(key, object)| (key.as_str(), object)).collect();
        Files::changed(Some((before.release(), &a)), after.release(), &b)
    }

    #[test]
    fn changed_new_and_gone_pages_are_due_and_assets_are_not() {
        let long = "long ".repeat(200);
        let old = Site::new()
            .asset("a.css", "a{}")
            .page("index.html", &long)
            .page("same.html", &long)
            .page("gone.html", "x")
            .public("robots.txt", "x")
            .public("same.txt", "x");
        let new = Site::new()
            .asset("a.css", "b{}")
            .page("index.html", &format!("{long}!"))
            .page("same.html", &long)
            .page("new.html", "x")
            .public("robots.txt", "y")
            .public("same.txt", "x")
            .header("same.txt", "x-own", "1");
        let due = changed(&old.build(), &new.build());
        assert_eq!(due, files(&["gone.html", "index.html", "new.html", "robots.txt", "same.txt"], &[]));
        let same = Site::new().page("index.html", &long);
        let again = Site::new().page("index.html", &long).asset("b.css", "b{}");
        assert_eq!(changed(&same.build(), &again.build()), Files::default(), "another release, and the same pages");
    }

    #[test]
    fn a_release_consists_of_pages_and_assets() {
        let built = Site::new()
            .asset("a.css", &"a{}".repeat(100))
            .page("index.html", &"long ".repeat(200))
            .public("data.gz", "not encoded")
            .build();
        let items = items(&built);
        let objects: Objects = items.iter().map(|item| (item.key.as_str(), &item.object)).collect();
        let all = Files::of(built.release(), &objects);
        let asset = built.manifest.files.keys().find(|path| path.starts_with("assets/")).unwrap();
        assert_eq!(all, files(&["data.gz", "index.html"], &[asset]));
    }

    #[test]
    fn repaired_headers_and_copies_at_the_root_are_due() {
        let built = Site::new().asset("a.css", &"a{}".repeat(100)).page("index.html", "x").build();
        let items = items(&built);
        let mut steps = plan(built.release(), &items, &Held::default());
        let rewritten = |steps: &[Step], is_live| Files::rewritten(&items, steps, built.release(), is_live);
        assert_eq!(rewritten(&steps, false), files(&["index.html"], &[]), "an upload is no repair");
        for (item, step) in items.iter().zip(&mut steps) {
            step.action = match item.key.ends_with(".css.br") {
                true => Action::Replace,
                false => Action::Keep,
            };
        }
        let asset = built.manifest.files.keys().find(|path| path.starts_with("assets/")).unwrap();
        assert_eq!(rewritten(&steps, false), files(&[], &[asset]));
        for (item, step) in items.iter().zip(&mut steps) {
            step.action = if item.stage == Stage::Page { Action::Replace } else { Action::Keep };
        }
        assert_eq!(rewritten(&steps, false), Files::default(), "nobody has seen those yet");
        assert_eq!(rewritten(&steps, true), files(&["index.html"], &[]));
    }

    #[test]
    fn a_page_has_its_own_path_and_the_clean_one() {
        for (file, want) in [
            ("index.html", vec!["/index.html", "/"]),
            ("docs/index.html", vec!["/docs/index.html", "/docs/"]),
            ("docs/a b.html", vec!["/docs/a%20b.html", "/docs/a%20b"]),
            ("my-index.html", vec!["/my-index.html", "/my-index"]),
            ("robots.txt", vec!["/robots.txt"]),
        ] {
            assert_eq!(page_paths(file), want);
        }
    }

    #[test]
    fn each_way_has_its_names() {
        let mut environment = environment();
        let site =
            files(&["about.html", "docs/index.html", "docs/x.html", "index.html"], &["assets/a-0123456789abcdef.css"]);
        let due = files(&["about.html", "docs/index.html"], &[]);
        let of = |by, environment: &Environment, due: &Files| names(&cloudflare(by), environment, due, &site);
        assert_eq!(of(By::Url, &environment, &Files::default()), Vec::<String>::new());
        assert_eq!(of(By::Everything, &environment, &due), ["Everything "]);
        assert_eq!(
            of(By::Url, &environment, &due),
            [
                "Url https://a.example/about https://a.example/about.html https://a.example/docs/ https://a.example/docs/index.html"
            ]
        );
        assert_eq!(of(By::Prefix, &environment, &due), ["Prefix a.example/about a.example/about.html a.example/docs"]);
        assert_eq!(of(By::Prefix, &environment, &files(&["index.html", "x.html"], &[])), ["Prefix a.example"]);
        assert_eq!(of(By::Host, &environment, &due), ["Host a.example"]);
        environment.site = None;
        environment.hosts = vec!["a.example".to_owned(), "b.example".to_owned()];
        assert_eq!(of(By::Host, &environment, &due), ["Host a.example b.example"]);
        let robots = files(&["robots.txt"], &[]);
        assert_eq!(
            of(By::Url, &environment, &robots),
            ["Url https://a.example/robots.txt https://b.example/robots.txt"]
        );
    }

    #[test]
    fn tags_are_those_that_the_server_sends() {
        let mut environment = environment();
        environment.cdn_tags = vec![TagHeader::CacheTag];
        let site = files(&["a b.html", "index.html"], &[]);
        let of = |due: &Files| names(&cloudflare(By::Tag), &environment, due, &site);
        assert_eq!(of(&files(&["a b.html"], &[])), ["Tag file-a%20b.html page-a%20b.html"]);
        assert_eq!(of(&site), ["Tag pages public"], "all of them");
    }

    #[test]
    fn repaired_assets_are_purged_where_they_are() {
        let mut environment = environment();
        let due = files(&[], &["assets/a-0123456789abcdef.css"]);
        let of = |cdn: &Cdn, environment: &Environment| names(cdn, environment, &due, &due);
        let cloudfront = Cdn::CloudFront(CloudFront { distribution: "E".into(), wait: false, endpoint: None });
        assert_eq!(of(&cloudflare(By::Url), &environment), ["Url https://a.example/assets/a-0123456789abcdef.css"]);
        assert_eq!(of(&cloudfront, &environment), ["Path /assets/a-0123456789abcdef.css"]);
        for base in ["https://cdn.example/v1/", "//cdn.example/v1/"] {
            environment.asset_base = base.parse().unwrap();
            let url = "https://cdn.example/v1/assets/a-0123456789abcdef.css";
            assert_eq!(of(&cloudflare(By::Url), &environment), [format!("Url {url}")]);
            assert_eq!(of(&cloudflare(By::Tag), &environment), [format!("Url {url}")]);
            assert_eq!(of(&cloudfront, &environment), ["Path /v1/assets/a-0123456789abcdef.css"]);
        }
        environment.asset_base = "/".parse().unwrap();
        environment.site = None;
        let fastly = Fastly { service: "s".into(), by: By::Tag, soft: true, endpoint: "http://x".into() };
        assert_eq!(of(&Cdn::Fastly(fastly), &environment), ["Tag assets"], "nothing says where they are");
        let http = HttpPurge {
            urls: vec!["http://x".into()],
            method: "POST".into(),
            headers: Vec::new(),
            body: Some("{tags}".into()),
            by: By::Tag,
            batch: 100,
        };
        assert_eq!(of(&Cdn::Http(http), &environment), ["Tag assets"]);
    }
}

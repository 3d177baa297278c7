//! From what the file says to what the program uses: paths made absolute, values checked, defaults taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::text::Text;
use super::{
    Budget, Bundle, Config, Dialects, HeaderRule, Keep, Library, Pattern, Serve, Targets, Worker, cdn, dev, failover,
    file, front, security, tool,
};
use crate::asset::{LogicalPath, is_hidden};
use crate::encoding::Encoding;
use crate::environment::{Environment, MapsStore, StoreUrl};
use crate::error::{Fault, Result};
use crate::fs;

pub fn resolve(root: &Path, text: &Text, file: file::File) -> Result<Config, Fault> {
    let folder = |path: &str| {
        inside(root, path).ok_or_else(|| {
            text.fault(format!("`{path}` leads out of the site's root"), path)
                .hint("name a folder below the root, or pass another `--root`")
        })
    };
    let build = file.build;
    let assets = folder(&build.assets)?;
    let templates = folder(&build.templates)?;
    let out = folder(&build.out)?;
    let cache = match build.cache.as_str() {
        "none" | "user" => cache_folder(root, &build.cache),
        path => Some(folder(path)?),
    };
    for (what, source) in [("assets", &assets), ("templates", &templates)] {
        if out.starts_with(source) || source.starts_with(&out) {
            return Err(text
                .fault(
                    format!("the output folder and `{what}` overlap: the output is replaced whole by each build"),
                    &build.out,
                )
                .hint("choose an `out` that holds no sources"));
        }
    }
    for (what, other) in [("out", &out), ("assets", &assets), ("templates", &templates)] {
        if cache.as_ref().is_some_and(|cache| cache.starts_with(other) || other.starts_with(cache)) {
            return Err(text
                .fault(format!("the cache and `{what}` overlap"), &build.cache)
                .hint("keep the cache in a folder of its own, or nowhere (`none`)"));
        }
    }
    let prefix = LogicalPath::new(build.prefix.trim_matches('/')).ok().filter(|prefix| !is_hidden(prefix.as_str()));
    let prefix = prefix.ok_or_else(|| {
        text.fault(format!("`{}` can't be the URL folder of fingerprinted files", build.prefix), &build.prefix)
            .hint("write a name such as `assets`")
    })?;
    let tools = file.tool.into_iter().map(|tool| tool::resolve(&assets, text, tool)).collect::<Result<Vec<_>, _>>()?;
    for (at, tool) in tools.iter().enumerate() {
        if tools[..at].iter().any(|other| other.output == tool.output) {
            return Err(text
                .fault_again(format!("two tools make `{}`", tool.output), tool.output.as_str())
                .hint("let one of them have another output"));
        }
    }
    let made: Vec<PathBuf> = tools.iter().map(|tool| assets.join(tool.output.as_str())).collect();
    let bundles = file
        .bundle
        .into_iter()
        .map(|bundle| resolve_bundle(root, &assets, &made, text, bundle))
        .collect::<Result<Vec<_>, _>>()?;
    for (at, bundle) in bundles.iter().enumerate() {
        if bundles[..at].iter().any(|other| other.name == bundle.name) {
            return Err(text
                .fault_again(format!("two bundles are named `{}`", bundle.name), bundle.name.as_str())
                .hint("give one of them another name, or put their inputs into one"));
        }
    }
    let keep = |keep| Keep::resolve(root, &out, prefix.as_str(), text, keep);
    let keeps = file.keep.into_iter().map(keep).collect::<Result<_, _>>()?;
    let library = |(key, library)| Library::resolve(root, &assets, text, key, library);
    let libraries = file.library.into_iter().map(library).collect::<Result<Vec<_>, _>>()?;
    let mut encodings = Vec::new();
    for token in &file.compress.encodings {
        encodings.push(encoding(text, token)?);
    }
    encodings.sort_unstable();
    encodings.dedup();
    let targets = match &build.targets {
        Some(query) => Targets::configured(query, text)?,
        None => Targets::of_files(root)?,
    };
    let mut environments = BTreeMap::from([("development".to_owned(), Environment::new("development"))]);
    let has_development = file.env.contains_key("development");
    for (name, env) in file.env {
        let mut resolved = resolve_environment(text, &name, &env)?;
        for written in [&file.security, &env.security] {
            security::apply(text, written, &mut resolved.security)?;
        }
        environments.insert(name, resolved);
    }
    if let Some(development) = environments.get_mut("development").filter(|_| !has_development) {
        security::apply(text, &file.security, &mut development.security)?;
    }
    let headers = file.headers.into_iter().map(|rule| resolve_headers(text, rule)).collect::<Result<_, _>>()?;
    let budgets = file.budget.into_iter().map(|budget| Budget::resolve(text, budget)).collect::<Result<_, _>>()?;
    let written = file.serve.keep_in.clone().unwrap_or_default();
    let serve = Serve::resolve(root, text, file.serve, &environments)?;
    let dev = dev::resolve(text, &file.dev)?;
    let worker = file.worker.map(|worker| Worker::resolve(text, worker)).transpose()?;
    let others =
        [("out", Some(&out)), ("assets", Some(&assets)), ("templates", Some(&templates)), ("cache", cache.as_ref())];
    for (what, other) in others {
        let kept = serve.storage.keep_in.as_ref().zip(other);
        if kept.is_some_and(|(kept, other)| kept.starts_with(other) || other.starts_with(kept)) {
            return Err(text
                .fault(format!("the folder for files of earlier releases and `{what}` overlap"), &written)
                .hint("name a folder of their own in `keep_in`, or none (`none`)"));
        }
    }
    let dialects = Dialects::resolve(prefix.as_str(), text, build.manifests, build.import_map, file.manifest)?;
    Ok(Config {
        root: root.to_owned(),
        assets,
        templates,
        out,
        prefix: prefix.as_str().to_owned(),
        targets,
        source_maps: build.source_maps,
        cache,
        cache_max_bytes: build.cache_max_mb.saturating_mul(1 << 20),
        define: file.define,
        external: file.external,
        tools,
        bundles,
        keeps,
        libraries,
        encodings,
        images: file.images,
        context: file.context,
        environments,
        headers,
        serve,
        dev,
        budgets,
        worker,
        dialects,
    })
}

fn encoding(text: &Text, token: &str) -> Result<Encoding, Fault> {
    Encoding::of_token(token).ok_or_else(|| {
        text.fault(format!("unknown encoding `{token}`"), token).hint("there are `br`, `zstd` and `gzip`")
    })
}

/// Where the cache lies, as written: a path, or `user` for the place that the system has for such, or `none`.
pub fn cache_folder(root: &Path, written: &str) -> Option<PathBuf> {
    // https://specifications.freedesktop.org/basedir-spec/latest/: a path that is not absolute has to be ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match written {
        "none" => None,
        "user" => {
            let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
            caches.map(|caches| caches.join("fingerpost"))
        }
        path => Some(fs::normalize(&root.join(path))),
    }
}

/// The path below the root, without following links; `None` if it leads out.
pub fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let mut out = root.to_owned();
    for part in Path::new(path).components() {
        match part {
            std::path::Component::Normal(part) => out.push(part),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if out != root => {
                out.pop();
            }
            _ => return None,
        }
    }
    (out != root).then_some(out)
}

/// `made` are the files that tools make.
fn resolve_bundle(
    root: &Path,
    assets: &Path,
    made: &[PathBuf],
    text: &Text,
    bundle: file::Bundle,
) -> Result<Bundle, Fault> {
    let name = LogicalPath::new(bundle.name.clone()).map_err(|error| {
        text.fault(error.to_string(), &bundle.name)
            .hint("name the bundle as a path below the assets folder, such as `css/site.css`")
    })?;
    if !matches!(name.extension().as_str(), "css" | "js" | "mjs") {
        return Err(text
            .fault(format!("the bundle `{name}` is neither a stylesheet nor a script"), &bundle.name)
            .hint("let the name end in `.css` or `.js`"));
    }
    if bundle.inputs.is_empty() {
        return Err(text
            .fault(format!("the bundle `{name}` has no inputs"), &bundle.name)
            .hint("list its sources in `inputs`"));
    }
    let is_there = |path: &PathBuf| path.is_file() || made.contains(path);
    let mut inputs = Vec::with_capacity(bundle.inputs.len());
    for input in &bundle.inputs {
        let path =
            [assets, root].into_iter().filter_map(|base| inside(base, input)).find(is_there).ok_or_else(|| {
                text.fault(format!("the bundle `{name}` names `{input}`, which isn't there"), input).hint(format!(
                    "inputs are paths below `{}`, or below the root (`node_modules/…`)",
                    fs::display_name(root, assets)
                ))
            })?;
        inputs.push(path);
    }
    Ok(Bundle { name, inputs })
}

fn resolve_environment(text: &Text, name: &str, env: &file::Environment) -> Result<Environment, Fault> {
    let mut out = Environment::new(name);
    if let Some(base) = &env.asset_base {
        out.asset_base = base.parse().map_err(|message: String| text.fault(message, base))?;
    }
    if let Some(store) = &env.store {
        out.store = Some(store.parse().map_err(|message: String| text.fault(message, store))?);
    }
    if let Some(site) = &env.site {
        if !site.starts_with("https://") && !site.starts_with("http://") {
            return Err(text
                .fault(format!("`{site}` is no origin"), site)
                .hint("write one such as `https://www.example.com`"));
        }
        out.site = Some(site.trim_end_matches('/').to_owned());
    }
    out.hosts = env.hosts.iter().map(|host| front::host(text, host)).collect::<Result<_, _>>()?;
    out.endpoint.clone_from(&env.endpoint);
    out.region.clone_from(&env.region);
    out.maps = env.maps_store.as_ref().map(|store| maps_store(text, store, env, out.store.as_ref())).transpose()?;
    out.website = env.website;
    out.encoding = env.encoding.as_deref().map(|token| encoding(text, token)).transpose()?;
    if let Some(keep) = &env.keep {
        out.keep.releases = keep.releases.unwrap_or(out.keep.releases);
        out.keep.days = keep.days.unwrap_or(out.keep.days);
    }
    let directives = |value: &Option<String>| match value {
        Some(value) if http::HeaderValue::from_str(value).is_err() => Err(text
            .fault(format!("`{value}` can't be a header's value"), value)
            .hint("write directives such as `max-age=60`")),
        value => Ok(value.clone()),
    };
    out.cdn_cache_control = directives(&env.cdn_cache_control)?;
    out.surrogate_control = directives(&env.surrogate_control)?;
    out.stale_while_revalidate = env.stale_while_revalidate;
    out.stale_if_error = env.stale_if_error;
    out.cdn_tags.clone_from(&env.cdn_tags);
    out.libraries = env.libraries;
    out.preload_headers = env.preload_headers.unwrap_or(out.preload_headers);
    if let Some(failover) = &env.failover {
        out.failover = failover::resolve(text, failover)?;
    }
    if let Some(cdn) = &env.cdn {
        out.cdn = Some(cdn::resolve(text, cdn, &out)?);
    }
    Ok(out)
}

/// Never where the site's own files go: those are public.
fn maps_store(
    text: &Text,
    written: &str,
    env: &file::Environment,
    store: Option<&StoreUrl>,
) -> Result<MapsStore, Fault> {
    let url: StoreUrl = written.parse().map_err(|message: String| text.fault(message, written))?;
    if store.is_some_and(|store| store.overlaps(&url)) {
        return Err(text
            .fault_again("private source maps would lie where the public files do".to_owned(), written)
            .hint("give `maps_store` a bucket or a folder of its own"));
    }
    Ok(MapsStore {
        url,
        endpoint: env.maps_endpoint.clone().or_else(|| env.endpoint.clone()),
        region: env.maps_region.clone().or_else(|| env.region.clone()),
    })
}

fn resolve_headers(text: &Text, rule: file::Headers) -> Result<HeaderRule, Fault> {
    let pattern = Pattern::new(text, &rule.pattern)?;
    let mut set = BTreeMap::new();
    let unset = rule.unset.into_iter().map(|name| (name, String::new()));
    for (name, value) in rule.set.into_iter().chain(unset) {
        let valid =
            http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(&value).is_ok();
        if !valid {
            return Err(text
                .fault(format!("`{name}: {value}` is no header"), if value.is_empty() { &name } else { &value })
                .hint("see RFC 9110 section 5 for what names and values may hold"));
        }
        let name = name.to_ascii_lowercase();
        // These follow from the bytes that are sent; another value would be wrong.
        if matches!(
            name.as_str(),
            "content-length"
                | "content-encoding"
                | "content-range"
                | "transfer-encoding"
                | "connection"
                | "etag"
                | "date"
                | "vary"
        ) {
            return Err(text
                .fault(
                    format!("`{name}` can't be set: it follows from what is sent"),
                    if value.is_empty() { &name } else { &value },
                )
                .hint("leave it out of `[[headers]]`"));
        }
        set.insert(name, value);
    }
    Ok(HeaderRule { pattern, set })
}

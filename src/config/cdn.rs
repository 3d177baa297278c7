//! `cdn` of an environment: each provider has keys of its own, and what it has to be told can be worked out from the environment.

use super::file::{self, OneOrMany};
use super::{Text, nearest, quoted};
use crate::environment::{By, Cdn, CloudFront, Cloudflare, Environment, Fastly, HttpPurge, TagHeader};
use crate::error::Fault;

/// Names in one request to Cloudflare, where the file says nothing: what each plan and each way of purging takes.
const CLOUDFLARE_BATCH: usize = 30;

/// The most that any plan takes: <https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits>.
const CLOUDFLARE_MOST: usize = 500;

/// Names in one request with a list, where the file says nothing.
const HTTP_BATCH: usize = 100;

/// The providers, each with its keys beside `provider`, the required one first, and how it is written.
const PROVIDERS: [(&str, &[&str], &str); 4] = [
    (
        "cloudfront",
        &["distribution", "wait", "endpoint"],
        r#"cdn = { provider = "cloudfront", distribution = "E1A2B3C4D5E6F7" }"#,
    ),
    (
        "cloudflare",
        &["zone", "by", "batch", "endpoint"],
        r#"cdn = { provider = "cloudflare", zone = "023e105f4ecef8ad9ca31a8372d0c353" }"#,
    ),
    (
        "fastly",
        &["service", "by", "soft", "endpoint"],
        r#"cdn = { provider = "fastly", service = "SU1Z0isxPaozGVKXdv0eY" }"#,
    ),
    (
        "http",
        &["url", "method", "headers", "body", "batch"],
        r#"cdn = { provider = "http", url = "http://10.0.0.5{path}", headers = { host = "{host}" } }"#,
    ),
];

/// `environment` is resolved but for its CDN.
pub(super) fn resolve(text: &Text, written: &file::Cdn, environment: &Environment) -> Result<Cdn, Fault> {
    let provider = written.provider.as_str();
    let names = PROVIDERS.map(|(name, ..)| name);
    let Some((_, keys, example)) = PROVIDERS.into_iter().find(|(name, ..)| *name == provider) else {
        let fault = match provider {
            "" => text.fault("`cdn` names no `provider`", "cdn"),
            _ => text.fault(format!("there is no CDN `{provider}`"), provider),
        };
        return Err(fault.hint(match nearest(provider, &names).filter(|_| !provider.is_empty()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", quoted(&names)),
        }));
    };
    if let Some(key) = written.keys().into_iter().find(|key| !keys.contains(key)) {
        return Err(text
            .fault(format!("`{key}` is no key of `{provider}`"), key)
            .hint(format!("it has {}", quoted(keys))));
    }
    let required = |value: &Option<String>| match value {
        Some(value) if is_name(value) => Ok(value.clone()),
        Some(value) => Err(text
            .fault(format!("`{value}` can't be the `{}` of `{provider}`", keys[0]), value)
            .hint(format!("write it as in `{example}`"))),
        None => Err(text
            .fault(format!("`{provider}` needs `{}`", keys[0]), provider)
            .hint(format!("write it as in `{example}`"))),
    };
    let cdn = match provider {
        "cloudfront" => Cdn::CloudFront(CloudFront {
            distribution: required(&written.distribution)?,
            wait: written.wait.unwrap_or_default(),
            endpoint: written.endpoint.as_deref().map(|url| address(text, url)).transpose()?,
        }),
        "cloudflare" => Cdn::Cloudflare(Cloudflare {
            zone: required(&written.zone)?,
            by: by(text, written.by.unwrap_or(By::Url), &[By::Url, By::Tag, By::Prefix, By::Host, By::Everything])?,
            batch: batch(text, written, CLOUDFLARE_BATCH, CLOUDFLARE_MOST)?,
            endpoint: address(text, written.endpoint.as_deref().unwrap_or("https://api.cloudflare.com/client/v4"))?,
        }),
        "fastly" => {
            let tagged = environment.cdn_tags.contains(&TagHeader::SurrogateKey);
            let default = if tagged { By::Tag } else { By::Url };
            Cdn::Fastly(Fastly {
                service: required(&written.service)?,
                by: by(text, written.by.unwrap_or(default), &[By::Url, By::Tag])?,
                soft: written.soft.unwrap_or(true),
                endpoint: address(text, written.endpoint.as_deref().unwrap_or("https://api.fastly.com"))?,
            })
        }
        _ => Cdn::Http(http(text, written)?),
    };
    fits(text, &cdn, environment)?;
    Ok(cdn)
}

impl file::Cdn {
    /// The keys that are written, but for `provider`.
    fn keys(&self) -> Vec<&'static str> {
        let all = [
            ("endpoint", self.endpoint.is_some()),
            ("distribution", self.distribution.is_some()),
            ("wait", self.wait.is_some()),
            ("zone", self.zone.is_some()),
            ("by", self.by.is_some()),
            ("batch", self.batch.is_some()),
            ("service", self.service.is_some()),
            ("soft", self.soft.is_some()),
            ("url", self.url.is_some()),
            ("method", self.method.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
        ];
        all.into_iter().filter(|(_, is_written)| *is_written).map(|(key, _)| key).collect()
    }
}

/// Whether it can stand in the path of a request.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn address(text: &Text, url: &str) -> Result<String, Fault> {
    let is_absolute = url.starts_with("https://") || url.starts_with("http://");
    match url.parse::<http::Uri>() {
        Ok(uri) if is_absolute && uri.query().is_none() => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(text
            .fault(format!("`{url}` is no address of an API"), url)
            .hint("write one such as `https://api.example.com`")),
    }
}

fn by(text: &Text, by: By, ways: &[By]) -> Result<By, Fault> {
    if ways.contains(&by) {
        return Ok(by);
    }
    let word = |by: &By| format!("{by:?}").to_lowercase();
    let words: Vec<String> = ways.iter().map(word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Err(text
        .fault(format!("it is not purged by `{}`", word(&by)), &word(&by))
        .hint(format!("it can be by {}", quoted(&words))))
}

fn batch(text: &Text, written: &file::Cdn, default: usize, most: usize) -> Result<usize, Fault> {
    match written.batch {
        Some(batch) if !(1..=most).contains(&batch) => {
            Err(text.fault(format!("`batch` can't be {batch}"), "batch").hint(format!("write 1 to {most}")))
        }
        batch => Ok(batch.unwrap_or(default)),
    }
}

/// Whether the environment says all that this CDN has to be told.
fn fits(text: &Text, cdn: &Cdn, environment: &Environment) -> Result<(), Fault> {
    let (name, provider) = (&environment.name, cdn.provider());
    if cdn.by().needs_origin() && environment.origins().is_empty() {
        return Err(text
            .fault(format!("`{provider}` is told whole URLs, and nothing says where the pages are"), "cdn")
            .hint(format!("set `site` (`https://www.example.com`) or `hosts` in `[env.{name}]`")));
    }
    let sent = |header| environment.cdn_tags.contains(&header);
    let header = match cdn {
        Cdn::Fastly(_) if !sent(TagHeader::SurrogateKey) => "surrogate-key",
        Cdn::Cloudflare(_) if !sent(TagHeader::CacheTag) => "cache-tag",
        Cdn::Http(_) if environment.cdn_tags.is_empty() => "surrogate-key",
        _ => return Ok(()),
    };
    if cdn.by() == By::Tag {
        return Err(text
            .fault(format!("`{provider}` is to purge by tag, and pages carry none that it knows"), "cdn")
            .hint(format!("set `cdn_tags = [\"{header}\"]` in `[env.{name}]`, or purge by URL")));
    }
    Ok(())
}

fn http(text: &Text, written: &file::Cdn) -> Result<HttpPurge, Fault> {
    let urls = match &written.url {
        None => vec!["{url}".to_owned()],
        Some(OneOrMany::One(url)) => vec![url.clone()],
        Some(OneOrMany::Many(urls)) => urls.clone(),
    };
    for url in &urls {
        let start = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if start.is_none_or(str::is_empty) && !url.starts_with("{url}") {
            return Err(text
                .fault(format!("`{url}` is no URL to ask"), url)
                .hint("write `{url}`, which is the page's own, or one such as `http://10.0.0.5:6081{path}`"));
        }
        placeholders(text, url)?;
    }
    if urls.is_empty() {
        return Err(text.fault("`url` is empty", "url").hint("write at least one, or leave it out"));
    }
    let body = written.body.clone();
    let method = written.method.clone().unwrap_or_else(|| if body.is_some() { "POST" } else { "PURGE" }.to_owned());
    if http::Method::from_bytes(method.as_bytes()).is_err() {
        return Err(text
            .fault(format!("`{method}` is no method"), &method)
            .hint("write one such as `PURGE`, `BAN` or `POST` (RFC 9110 section 9)"));
    }
    let mut headers = Vec::new();
    for (name, value) in written.headers.iter().flatten() {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() || http::HeaderValue::from_str(value).is_err() {
            return Err(text
                .fault(format!("`{name}: {value}` is no header"), name)
                .hint("see RFC 9110 section 5 for what names and values may hold"));
        }
        placeholders(text, value)?;
        headers.push((name.to_ascii_lowercase(), value.clone()));
    }
    let in_body = |name: &str| body.as_ref().is_some_and(|body| body.contains(name));
    let lists = [("{urls}", By::Url), ("{paths}", By::Path), ("{tags}", By::Tag)].into_iter();
    let lists: Vec<By> = lists.filter(|(name, _)| in_body(name)).map(|(_, by)| by).collect();
    let anywhere = |name: &str| {
        in_body(name)
            || urls.iter().any(|url| url.contains(name))
            || headers.iter().any(|(_, value)| value.contains(name))
    };
    let single = anywhere("{url}") || anywhere("{host}") || anywhere("{path}");
    let by = match lists.as_slice() {
        [] if anywhere("{url}") || anywhere("{host}") => By::Url,
        [] if single => By::Path,
        [] => By::Everything,
        [by] if !single => *by,
        _ => {
            return Err(text
                .fault("a purge by `http` names pages in two ways", "body")
                .hint("let the body have one of `{urls}`, `{paths}` and `{tags}`, and no `{url}`, `{host}` or `{path}` beside it"));
        }
    };
    if lists.is_empty() && written.batch.is_some() {
        return Err(text
            .fault("`batch` is for a body with a list", "batch")
            .hint("write `{urls}`, `{paths}` or `{tags}` in `body`, or leave `batch` out"));
    }
    let batch = if lists.is_empty() { 1 } else { batch(text, written, HTTP_BATCH, usize::MAX)? };
    Ok(HttpPurge { urls, method, headers, body, by, batch })
}

/// Fails at one that there isn't, or that does not end. A body may have braces of its own, so this is for URLs and headers.
fn placeholders(text: &Text, template: &str) -> Result<(), Fault> {
    const KNOWN: [&str; 3] = ["url", "host", "path"];
    for (at, _) in template.match_indices('{') {
        let name = template.get(at + 1..).and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        let is_variable = template.get(..at).is_some_and(|before| before.ends_with('$'));
        let is_known = |name: &str| if is_variable { is_name(name) } else { KNOWN.contains(&name) };
        if !name.is_some_and(is_known) {
            let written = name.map_or_else(|| template.to_owned(), |name| format!("{{{name}}}"));
            return Err(text
                .fault(format!("`{written}` stands for nothing"), template)
                .hint("there are `{url}`, `{host}` and `{path}`, and `${NAME}` for a variable of the environment"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    fn resolved(lines: &str) -> Result<Cdn, Fault> {
        let text = format!("[env.x]\n{lines}\n");
        let text = Text { name: "fingerpost.toml", text: &text };
        let file = file::parse(text.name, text.text)?;
        let config = crate::config::resolve::resolve(std::path::Path::new("/site"), &text, file)?;
        Ok(config.environments["x"].cdn.clone().unwrap())
    }

    fn fault(lines: &str) -> String {
        use miette::Diagnostic;
        let fault = resolved(lines).unwrap_err();
        assert!(fault.has_place(), "{fault}");
        format!("{fault} | {}", fault.help().unwrap())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let cloudfront = resolved("cdn = { provider = 'cloudfront', distribution = 'E123' }").unwrap();
        let want = CloudFront { distribution: "E123".into(), wait: false, endpoint: None };
        assert_eq!(cloudfront, Cdn::CloudFront(want));
        let Cdn::Cloudflare(cloudflare) =
            resolved("site = 'https://a'\ncdn = { provider = 'cloudflare', zone = 'z' }").unwrap()
        else {
            panic!("another CDN")
        };
        assert_eq!((cloudflare.by, cloudflare.batch), (By::Url, 30));
        assert_eq!(cloudflare.endpoint, "https://api.cloudflare.com/client/v4");
        for (tags, by) in [("[]", By::Url), ("['surrogate-key']", By::Tag)] {
            let lines = format!("hosts = ['a']\ncdn_tags = {tags}\ncdn = {{ provider = 'fastly', service = 's' }}");
            let Cdn::Fastly(fastly) = resolved(&lines).unwrap() else { panic!("another CDN") };
            assert_eq!((fastly.by, fastly.soft), (by, true));
        }
    }

    #[test]
    fn what_http_names_follows_from_what_is_written() {
        for (keys, by, method, batch) in [
            ("", By::Url, "PURGE", 1),
            ("url = 'http://a{path}'", By::Path, "PURGE", 1),
            ("url = ['http://a{path}', 'http://b{path}'], headers = { Host = '{host}' }", By::Url, "PURGE", 1),
            ("url = 'http://a/', body = '{\"files\": {urls}}'", By::Url, "POST", 100),
            ("url = 'http://a/', body = '{paths}', batch = 7", By::Path, "POST", 7),
            ("url = 'http://a/flush', method = 'DELETE'", By::Everything, "DELETE", 1),
        ] {
            let lines = format!("site = 'https://a'\ncdn = {{ provider = 'http', {keys} }}");
            let Cdn::Http(http) = resolved(&lines.replace(", }", " }")).unwrap() else { panic!("another CDN") };
            assert_eq!((http.by, http.method.as_str(), http.batch), (by, method, batch), "{keys}");
        }
    }

    #[test]
    fn faults_say_what_to_write() {
        for (lines, want) in [
            ("cdn = {}", "`cdn` names no `provider` | there are `cloudfront`, `cloudflare`, `fastly` and `http`"),
            ("cdn = { provider = 'cloudfare' }", "there is no CDN `cloudfare` | did you mean `cloudflare`?"),
            ("cdn = { provider = 'akamai' }", "there is no CDN `akamai` | there are"),
            ("cdn = { provider = 'cloudfront' }", "`cloudfront` needs `distribution` | write it as in `cdn = {"),
            ("cdn = { provider = 'cloudfront', distribution = 'a/b' }", "`a/b` can't be the `distribution`"),
            (
                "cdn = { provider = 'cloudfront', distribution = 'E', zone = 'z' }",
                "`zone` is no key of `cloudfront` | it has",
            ),
            (
                "cdn = { provider = 'cloudfront', distributon = 'E' }",
                "unknown key `distributon` | did you mean `distribution`?",
            ),
            ("cdn = { provider = 'cloudfront', distribution = 'E', endpoint = 'x' }", "`x` is no address of an API"),
            ("cdn = { provider = 'cloudflare', zone = 'z' }", "nothing says where the pages are | set `site`"),
            ("hosts = ['*.a']\ncdn = { provider = 'cloudflare', zone = 'z', by = 'host' }", "nothing says where"),
            (
                "cdn = { provider = 'cloudflare', zone = 'z', by = 'tag' }",
                "pages carry none that it knows | set `cdn_tags = [\"cache-tag\"]`",
            ),
            (
                "cdn = { provider = 'cloudflare', zone = 'z', by = 'path' }",
                "it is not purged by `path` | it can be by `url`, `tag`",
            ),
            (
                "site = 'https://a'\ncdn = { provider = 'cloudflare', zone = 'z', batch = 501 }",
                "`batch` can't be 501 | write 1 to 500",
            ),
            ("cdn = { provider = 'fastly', service = 's', by = 'tag' }", "set `cdn_tags = [\"surrogate-key\"]`"),
            ("cdn = { provider = 'fastly', service = 's', by = 'host' }", "it can be by `url` and `tag`"),
            ("cdn = { provider = 'http' }", "nothing says where the pages are"),
            ("cdn = { provider = 'http', url = '/purge' }", "`/purge` is no URL to ask"),
            ("cdn = { provider = 'http', url = 'http://a{pth}' }", "`{pth}` stands for nothing"),
            (
                "cdn = { provider = 'http', url = 'http://a{path}', headers = { a = '${TOKEN' } }",
                "`${TOKEN` stands for nothing",
            ),
            ("cdn = { provider = 'http', url = 'http://a{path}', method = 'A B' }", "`A B` is no method"),
            ("cdn = { provider = 'http', url = 'http://a{path}', headers = { 'a b' = 'c' } }", "is no header"),
            ("cdn = { provider = 'http', url = 'http://a{path}', body = '{urls}' }", "names pages in two ways"),
            ("cdn = { provider = 'http', url = 'http://a{path}', batch = 3 }", "`batch` is for a body with a list"),
        ] {
            let got = fault(lines);
            assert!(got.contains(want), "{lines}: {got}");
        }
    }
}

//! Any cache that is purged by HTTP: Varnish, nginx, Squid, a service of one's own. Requests are made as the configuration writes them.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{Answer, CONCURRENCY, Client, Failure, Patience, Refusals, Variables};
use super::due::Ask;
use super::secret;
use crate::environment::{By, HttpPurge};
use crate::error::Result;

#[derive(Debug)]
pub struct Api {
    cdn: HttpPurge,
    method: Method,
    /// What stands for `${NAME}`.
    variables: BTreeMap<String, String>,
    pub client: Client,
}

struct Words;

impl Refusals for Words {
    /// Only statuses mean the same everywhere.
    fn reason(&self, _: &Answer) -> Option<String> {
        None
    }

    fn help(&self, answer: &Answer) -> String {
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "let the cache take purges from this machine, and check `headers` of `cdn`"
            }
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                "let the cache take purges, and check `method` and `url` of `cdn`: it may be the origin that was asked"
            }
            _ => "check `url`, `method`, `headers` and `body` of `cdn`",
        }
        .to_owned()
    }
}

/// What a template's placeholders stand for.
#[derive(Default)]
struct Values<'a> {
    url: &'a str,
    host: &'a str,
    path: &'a str,
    /// A JSON array.
    list: String,
}

impl Api {
    pub fn new(cdn: &HttpPurge, variables: &impl Variables, patience: Patience) -> Result<Self> {
        let headers = cdn.headers.iter().map(|(_, value)| value);
        let mut values = BTreeMap::new();
        for name in cdn.urls.iter().chain(headers).chain(&cdn.body).flat_map(|template| names(template)) {
            values.insert(name.to_owned(), secret(variables, name, "what `cdn` in the configuration needs it for")?);
        }
        Ok(Api {
            cdn: cdn.clone(),
            method: Method::from_bytes(cdn.method.as_bytes()).unwrap_or(Method::POST),
            variables: values,
            client: Client::new(patience).map_err(super::no_client)?,
        })
    }

    pub async fn purge(&self, asks: &[Ask]) -> Result<(), Failure> {
        for ask in asks {
            let mut requests = Vec::new();
            let batches: Vec<&[String]> = match ask.by {
                By::Everything => vec![&[]],
                _ => ask.names.chunks(self.cdn.batch).collect(),
            };
            for url in &self.cdn.urls {
                for batch in &batches {
                    requests.push(self.request(url, batch)?);
                }
            }
            let answers = requests.into_iter().map(|request| self.send(request));
            stream::iter(answers).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn send(&self, request: Request<Bytes>) -> Result<(), Failure> {
        match self.client.ask(request, &Words).await {
            Ok(_) => Ok(()),
            // nginx says so of what it doesn't hold.
            Err(failure) if self.cdn.method == "PURGE" && matches!(failure.status, Some(404 | 412)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn request(&self, url: &str, batch: &[String]) -> Result<Request<Bytes>, Failure> {
        let name = batch.first().map(String::as_str).unwrap_or_default();
        let rest = name.split_once("://").map(|(_, rest)| rest);
        let (host, path) = match rest {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", name),
        };
        let list = serde_json::to_string(batch).unwrap_or_default();
        let values = Values { url: name, host, path, list };
        let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
        let mut target = self.fill(place, &values, str::to_owned);
        if let Some(query) = query {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            target = format!("{target}?{}", self.fill(query, &values, encoded));
        }
        let mut request = Request::builder().method(self.method.clone()).uri(target);
        for (name, value) in &self.cdn.headers {
            let value = HeaderValue::from_str(&self.fill(value, &values, str::to_owned));
            let bad = |_| {
                Failure::new(format!("`{name}` can't be sent: its value is no header"), "check what its variables hold")
            };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| super::no_request(error.into()))?;
            request = request.header(name.clone(), value.map_err(bad)?);
        }
        let body = self.cdn.body.as_ref().map(|body| self.fill(body, &values, json_text)).unwrap_or_default();
        let has_type = request.headers_ref().is_some_and(|headers| headers.contains_key(CONTENT_TYPE));
        if !body.is_empty() && !has_type {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Bytes::from(body)).map_err(super::no_request)
    }

    /// In one pass, so that nothing that was put in is taken for a placeholder.
    fn fill(&self, template: &str, values: &Values<'_>, escape: impl Fn(&str) -> String) -> String {
        let (mut filled, mut rest) = (String::new(), template);
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            let name = from.get(1..).and_then(|from| from.split_once('}')).map(|(name, _)| name);
            let variable = before.strip_suffix('$').zip(name.and_then(|name| self.variables.get(name)));
            let value = match name {
                _ if variable.is_some() => variable.map(|(_, value)| value.clone()),
                Some("url") => Some(escape(values.url)),
                Some("host") => Some(escape(values.host)),
                Some("path") => Some(escape(values.path)),
                Some("urls" | "paths" | "tags") => Some(values.list.clone()),
                _ => None,
            };
            filled.push_str(variable.map_or(before, |(before, _)| before));
            match (value, name) {
                (Some(value), Some(name)) => {
                    filled.push_str(&value);
                    rest = from.get(name.len() + 2..).unwrap_or_default();
                }
                _ => {
                    filled.push('{');
                    rest = from.get(1..).unwrap_or_default();
                }
            }
        }
        filled + rest
    }
}

/// As the inside of a JSON string.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.trim_matches('"').to_owned()
}

/// Of the variables that a template names.
fn names(template: &str) -> impl Iterator<Item = &str> {
    template.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::purge::fixture::{HASTY, Peer, reply};

    fn cdn(urls: &[String], method: &str, headers: &[(&str, &str)], body: Option<&str>, batch: usize) -> HttpPurge {
        HttpPurge {
            urls: urls.to_vec(),
            method: method.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.map(str::to_owned),
            by: By::Url,
            batch,
        }
    }

    fn api(cdn: &HttpPurge) -> Api {
        Api::new(cdn, &BTreeMap::from([("PURGE_TOKEN", "s3cret{url}")]), HASTY).unwrap()
    }

    fn urls(count: usize) -> Vec<Ask> {
        let names = (0..count).map(|n| format!("https://a.example/{n}.html")).collect();
        vec![Ask { by: By::Url, names }]
    }

    #[tokio::test]
    async fn each_cache_is_asked_for_each_url() {
        let varnish = |nth: usize| if nth % 10 == 4 { reply(503, "") } else { reply(200, "Purged") };
        let (one, two) = (Peer::start(move |_, nth| varnish(nth)).await, Peer::start(|_, _| reply(204, "")).await);
        let caches = [&one, &two].map(|peer| format!("{}{{path}}", peer.url));
        let headers = [("host", "{host}"), ("authorization", "Bearer ${PURGE_TOKEN}")];
        api(&cdn(&caches, "PURGE", &headers, None, 1)).purge(&urls(1000)).await.unwrap();
        let asked = one.asked();
        assert_eq!((asked.len(), two.asked().len()), (1111, 1000), "one in ten was asked again");
        assert_eq!((asked[0].method.as_str(), asked[0].header("host")), ("PURGE", "a.example"));
        assert_eq!(asked[0].header("authorization"), "Bearer s3cret{url}", "a secret is no template");
        let mut targets: Vec<String> = two.asked().into_iter().map(|asked| asked.target).collect();
        targets.sort();
        targets.dedup();
        assert_eq!((targets.len(), targets[0].as_str()), (1000, "/0.html"));
    }

    #[tokio::test]
    async fn a_list_goes_in_one_request() {
        let peer = Peer::start(|_, _| reply(200, "")).await;
        let body = r#"{"token": "${PURGE_TOKEN}", "files": {urls}, "other": {}}"#;
        api(&cdn(std::slice::from_ref(&peer.url), "POST", &[], Some(body), 2)).purge(&urls(3)).await.unwrap();
        let mut bodies: Vec<String> = peer.asked().into_iter().map(|asked| asked.body).collect();
        bodies.sort();
        assert_eq!(
            bodies,
            [
                r#"{"token": "s3cret{url}", "files": ["https://a.example/0.html","https://a.example/1.html"], "other": {}}"#,
                r#"{"token": "s3cret{url}", "files": ["https://a.example/2.html"], "other": {}}"#,
            ]
        );
        assert_eq!(peer.asked()[0].header("content-type"), "application/json");
    }

    #[tokio::test]
    async fn what_stands_in_a_query_is_encoded() {
        let peer = Peer::start(|_, _| reply(200, "")).await;
        let url = format!("{}/purge?url={{url}}", peer.url);
        let names = vec!["https://a.example/a%20b".to_owned()];
        api(&cdn(&[url], "GET", &[], None, 1)).purge(&[Ask { by: By::Url, names }]).await.unwrap();
        assert_eq!(peer.asked()[0].target, "/purge?url=https%3A%2F%2Fa%2Eexample%2Fa%2520b");
        let flush = format!("{}/flush", peer.url);
        let everything = [Ask { by: By::Everything, names: Vec::new() }];
        api(&cdn(&[flush], "DELETE", &[], None, 1)).purge(&everything).await.unwrap();
        assert_eq!((peer.asked()[1].method.as_str(), peer.asked()[1].target.as_str()), ("DELETE", "/flush"));
    }

    #[tokio::test]
    async fn what_a_cache_does_not_hold_is_purged_and_a_refusal_is_none() {
        let peer = Peer::start(|asked, _| match asked.target.as_str() {
            "/0.html" => reply(404, ""),
            "/1.html" => reply(412, ""),
            _ => reply(405, ""),
        })
        .await;
        let api = api(&cdn(&[format!("{}{{path}}", peer.url)], "PURGE", &[], None, 1));
        api.purge(&urls(2)).await.unwrap();
        let failure = api.purge(&urls(3)).await.unwrap_err();
        assert!(failure.message.ends_with("/2.html` answered with status 405"), "{failure:?}");
        assert!(failure.help.contains("it may be the origin that was asked"), "{failure:?}");
    }

    #[tokio::test]
    async fn a_cache_that_is_not_there_is_told_and_its_secrets_are_not() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/purge?key=${{PURGE_TOKEN}}&url={{url}}");
        let failure = api(&cdn(&[url], "GET", &[], None, 1)).purge(&urls(1)).await.unwrap_err();
        assert!(
            failure.message.contains(&format!("`http://127.0.0.1:{port}/purge` could not be asked")),
            "{failure:?}"
        );
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let failure = api(&cdn(&[url], "GET", &[], None, 1)).purge(&urls(1)).await.unwrap_err();
        assert!(failure.message.ends_with("did not answer in time"), "{failure:?}");
    }

    #[test]
    fn variables_have_to_be_set() {
        let cdn = cdn(&["http://127.0.0.1".to_owned()], "GET", &[("x", "${NOT_THERE}")], None, 1);
        let error = Api::new(&cdn, &BTreeMap::new(), HASTY).unwrap_err();
        assert_eq!(error.to_string(), "`NOT_THERE` is not set, which the CDN is purged with");
    }
}

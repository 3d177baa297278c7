//! Fastly: surrogate keys in batches, or URLs one by one; both can be soft, so that what is purged is still there as stale.
//!
//! <https://www.fastly.com/documentation/reference/api/purging/>

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, CONCURRENCY, Client, Failure, Patience, Refusals, Variables};
use super::due::Ask;
use super::secret;
use crate::environment::{By, Fastly};
use crate::error::Result;

pub const TOKEN: &str = "FASTLY_API_TOKEN";

/// Surrogate keys in one request, at most.
const KEYS: usize = 256;

#[derive(Debug)]
pub struct Api {
    cdn: Fastly,
    key: HeaderValue,
    pub client: Client,
}

struct Words;

impl Refusals for Words {
    /// `{"msg": "Provided credentials are missing or invalid", "detail": null}`
    fn reason(&self, answer: &Answer) -> Option<String> {
        let json = answer.json();
        if answer.status.is_success() {
            let done = json["status"].as_str().is_none_or(|status| status == "ok");
            return (!done).then(|| json["status"].to_string());
        }
        let words: Vec<&str> = ["msg", "detail"].into_iter().filter_map(|member| json[member].as_str()).collect();
        (!words.is_empty()).then(|| words.join(": "))
    }

    fn help(&self, answer: &Answer) -> String {
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("`{TOKEN}` needs the scope `purge_select` for this service")
            }
            StatusCode::NOT_FOUND => "check `service` of `cdn`, and that the token is for it".to_owned(),
            _ => "check `service` of `cdn`".to_owned(),
        }
    }
}

impl Api {
    pub fn new(cdn: &Fastly, variables: &impl Variables, patience: Patience) -> Result<Self> {
        let token = secret(variables, TOKEN, "an API token with the scope `purge_select`")?;
        Ok(Api {
            cdn: cdn.clone(),
            key: super::header(TOKEN, &token)?,
            client: Client::new(patience).map_err(super::no_client)?,
        })
    }

    /// The ids that the API gives the purges.
    pub async fn purge(&self, asks: &[Ask]) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        for ask in asks {
            let requests: Vec<Request<Bytes>> = match ask.by {
                By::Tag => ask.names.chunks(KEYS).map(|keys| self.keys(keys)).collect::<Result<_, _>>()?,
                _ => ask.names.iter().map(|url| self.url(url)).collect::<Result<_, _>>()?,
            };
            let answers = requests.into_iter().map(|request| self.client.ask(request, &Words));
            let answers: Vec<Answer> = stream::iter(answers).buffered(CONCURRENCY).try_collect().await?;
            ids.extend(answers.iter().flat_map(|answer| ids_of(&answer.json())));
        }
        Ok(ids)
    }

    fn keys(&self, keys: &[String]) -> Result<Request<Bytes>, Failure> {
        self.request(&format!("service/{}/purge", self.cdn.service), json!({ "surrogate_keys": keys }).to_string())
    }

    fn url(&self, url: &str) -> Result<Request<Bytes>, Failure> {
        let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
        self.request(&format!("purge/{bare}"), String::new())
    }

    fn request(&self, path: &str, body: String) -> Result<Request<Bytes>, Failure> {
        let mut request = Request::post(format!("{}/{path}", self.cdn.endpoint))
            .header("fastly-key", self.key.clone())
            .header(ACCEPT, "application/json");
        if self.cdn.soft {
            request = request.header("fastly-soft-purge", "1");
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Bytes::from(body)).map_err(super::no_request)
    }
}

/// `{"status": "ok", "id": "…"}` of a URL, `{"key": "id", …}` of keys.
fn ids_of(answer: &Value) -> Vec<String> {
    match answer["id"].as_str().filter(|_| answer["status"].is_string()) {
        Some(id) => vec![id.to_owned()],
        None => answer.as_object().into_iter().flatten().filter_map(|(_, id)| Some(id.as_str()?.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::purge::fixture::{Asked, HASTY, Peer, Reply, reply};
    use std::collections::{BTreeMap, BTreeSet};

    fn api(peer: &Peer, by: By, soft: bool) -> Api {
        let cdn = Fastly { service: "SU1Z0isx".into(), by, soft, endpoint: peer.url.clone() };
        Api::new(&cdn, &BTreeMap::from([(TOKEN, "secret-token")]), HASTY).unwrap()
    }

    fn fastly(asked: &Asked) -> Reply {
        if asked.header("fastly-key") != "secret-token" {
            return reply(401, r#"{"msg": "Provided credentials are missing or invalid", "detail": null}"#);
        }
        if asked.method == "POST" && asked.target.starts_with("/purge/a.example/") {
            return reply(200, json!({ "status": "ok", "id": format!("17-{}", asked.target) }).to_string());
        }
        let body = asked.json();
        let keys: Vec<&str> =
            body["surrogate_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match (asked.method.as_str(), asked.target.as_str()) {
            ("POST", "/service/SU1Z0isx/purge") if keys.len() > 256 => {
                reply(400, r#"{"msg": "Bad request", "detail": "Too many surrogate keys"}"#)
            }
            ("POST", "/service/SU1Z0isx/purge") if !keys.is_empty() => {
                let ids: BTreeMap<&str, String> = keys.iter().map(|key| (*key, format!("108-{key}"))).collect();
                reply(200, json!(ids).to_string())
            }
            _ => reply(404, r#"{"msg": "Record not found", "detail": "Cannot load service"}"#),
        }
    }

    #[tokio::test]
    async fn keys_are_sent_in_batches_and_softly() {
        let peer = Peer::start(|asked, nth| match nth {
            1 => (429, vec![("retry-after", "0".to_owned())], r#"{"msg": "Rate limit exceeded"}"#.to_owned()),
            2 => reply(502, "bad gateway"),
            _ => fastly(asked),
        })
        .await;
        let names: Vec<String> = (0..5000).map(|n| format!("page-{n}.html")).collect();
        let ids = api(&peer, By::Tag, true).purge(&[Ask { by: By::Tag, names: names.clone() }]).await.unwrap();
        assert_eq!((ids.len(), peer.asked().len()), (5000, 22));
        let keys = |asked: Asked| asked.json()["surrogate_keys"].as_array().unwrap().clone();
        let told: BTreeSet<String> =
            peer.asked().into_iter().flat_map(keys).map(|key| key.as_str().unwrap().to_owned()).collect();
        assert_eq!(told, BTreeSet::from_iter(names));
        let asked = &peer.asked()[0];
        assert_eq!(asked.header("fastly-soft-purge"), "1");
        assert_eq!((asked.header("accept"), asked.header("content-type")), ("application/json", "application/json"));
        api(&peer, By::Tag, false).purge(&[Ask { by: By::Tag, names: vec!["x".into()] }]).await.unwrap();
        assert!(!peer.asked().last().unwrap().headers.contains_key("fastly-soft-purge"));
    }

    #[tokio::test]
    async fn urls_are_purged_one_by_one() {
        let peer = Peer::start(|asked, _| fastly(asked)).await;
        let names = ["https://a.example/", "https://a.example/docs/a%20b"].map(str::to_owned).to_vec();
        let ids = api(&peer, By::Url, true).purge(&[Ask { by: By::Url, names }]).await.unwrap();
        assert_eq!(ids, ["17-/purge/a.example/", "17-/purge/a.example/docs/a%20b"]);
        assert!(peer.asked().iter().all(|asked| asked.header("fastly-soft-purge") == "1"));
    }

    #[tokio::test]
    async fn refusals_are_told_with_what_to_do() {
        let peer = Peer::start(|asked, _| fastly(asked)).await;
        let asks = [Ask { by: By::Tag, names: vec!["x".into()] }];
        let mut stranger = api(&peer, By::Tag, true);
        stranger.key = HeaderValue::from_static("other");
        let failure = stranger.purge(&asks).await.unwrap_err();
        assert!(failure.message.ends_with("status 401: Provided credentials are missing or invalid"), "{failure:?}");
        assert!(failure.help.contains("`purge_select`"), "{failure:?}");
        let mut lost = api(&peer, By::Tag, true);
        lost.cdn.service = "other".into();
        let failure = lost.purge(&asks).await.unwrap_err();
        assert!(failure.message.ends_with("Record not found: Cannot load service"), "{failure:?}");
        assert!(failure.help.contains("check `service`"), "{failure:?}");
        assert_eq!(peer.asked().len(), 2, "neither was tried again");
    }
}

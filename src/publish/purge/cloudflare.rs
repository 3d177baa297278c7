//! Cloudflare: `POST /zones/ID/purge_cache`, many names in one request.
//!
//! <https://developers.cloudflare.com/api/resources/cache/methods/purge/>, limits:
//! <https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits>

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, Client, Failure, Patience, Refusals, Variables};
use super::due::Ask;
use super::secret;
use crate::environment::{By, Cloudflare};
use crate::error::Result;

pub const TOKEN: &str = "CLOUDFLARE_API_TOKEN";

#[derive(Debug)]
pub struct Api {
    cdn: Cloudflare,
    authorization: HeaderValue,
    pub client: Client,
}

struct Words;

impl Refusals for Words {
    /// `{"success": false, "errors": [{"code": 10000, "message": "Authentication error"}]}`
    fn reason(&self, answer: &Answer) -> Option<String> {
        let json = answer.json();
        if answer.status.is_success() && json["success"] == true {
            return None;
        }
        let error = |error: &Value| {
            let message = error["message"].as_str().unwrap_or("no reason given");
            error["code"].as_i64().map_or(message.to_owned(), |code| format!("{message} (code {code})"))
        };
        match json["errors"].as_array().map(Vec::as_slice) {
            None | Some([]) if answer.status.is_success() => {
                Some("the answer does not say that it was done".to_owned())
            }
            None | Some([]) => None,
            Some(errors) => Some(errors.iter().map(error).collect::<Vec<_>>().join("; ")),
        }
    }

    fn help(&self, answer: &Answer) -> String {
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("`{TOKEN}` needs the permission `Zone`, `Cache Purge`, `Purge` for this zone")
            }
            StatusCode::NOT_FOUND => "check `zone` of `cdn`: the overview page of the site shows its id".to_owned(),
            _ => "check `zone`, `by` and `batch` of `cdn`, and that `site` is in that zone".to_owned(),
        }
    }
}

impl Api {
    pub fn new(cdn: &Cloudflare, variables: &impl Variables, patience: Patience) -> Result<Self> {
        let token = secret(variables, TOKEN, "an API token with the permission `Zone`, `Cache Purge`, `Purge`")?;
        Ok(Api {
            cdn: cdn.clone(),
            authorization: super::header(TOKEN, &format!("Bearer {token}"))?,
            client: Client::new(patience).map_err(super::no_client)?,
        })
    }

    /// The ids that the API gives the purges. One request at a time: the account's plan limits them, to few a minute with some.
    pub async fn purge(&self, asks: &[Ask]) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        for ask in asks {
            let bodies: Vec<Value> = match ask.by {
                By::Everything => vec![json!({ "purge_everything": true })],
                by => ask.names.chunks(self.cdn.batch).map(|names| json!({ member(by): names })).collect(),
            };
            for body in bodies {
                let answer = self.client.ask(self.request(&body)?, &Words).await?;
                ids.extend(answer.json()["result"]["id"].as_str().map(str::to_owned));
            }
        }
        Ok(ids)
    }

    fn request(&self, body: &Value) -> Result<Request<Bytes>, Failure> {
        Request::post(format!("{}/zones/{}/purge_cache", self.cdn.endpoint, self.cdn.zone))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body.to_string()))
            .map_err(super::no_request)
    }
}

fn member(by: By) -> &'static str {
    match by {
        By::Tag => "tags",
        By::Prefix => "prefixes",
        By::Host => "hosts",
        By::Url | By::Path | By::Everything => "files",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::purge::fixture::{Asked, HASTY, Peer, Reply, reply};
    use std::collections::BTreeMap;

    fn api(peer: &Peer, by: By, batch: usize) -> Api {
        let endpoint = format!("{}/client/v4", peer.url);
        let cdn = Cloudflare { zone: "0123abcd".into(), by, batch, endpoint };
        Api::new(&cdn, &BTreeMap::from([(TOKEN, "secret-token")]), HASTY).unwrap()
    }

    fn urls(count: usize) -> Vec<Ask> {
        let names = (0..count).map(|n| format!("https://a.example/{n}.html")).collect();
        vec![Ask { by: By::Url, names }]
    }

    /// As the API's reference has it: one member, of at most 100 strings.
    fn cloudflare(asked: &Asked) -> Reply {
        let error = |status: u16, code: u32, message: &str| {
            let errors = json!([{ "code": code, "message": message }]);
            reply(status, json!({ "success": false, "errors": errors, "messages": [], "result": null }).to_string())
        };
        if asked.header("authorization") != "Bearer secret-token" {
            return error(403, 10000, "Authentication error");
        }
        if (asked.method.as_str(), asked.target.as_str()) != ("POST", "/client/v4/zones/0123abcd/purge_cache") {
            return error(404, 7003, "Could not route to the request");
        }
        if asked.header("content-type") != "application/json" {
            return error(415, 6003, "Invalid request headers");
        }
        let Some(serde_json::Value::Object(body)) = serde_json::from_str(&asked.body).ok() else {
            return error(400, 6007, "Malformed JSON in request body");
        };
        let is_well_formed = |(name, value): (&String, &Value)| match (name.as_str(), value) {
            ("purge_everything", value) => *value == true,
            ("files" | "tags" | "prefixes" | "hosts", Value::Array(names)) => {
                (1..=100).contains(&names.len()) && names.iter().all(Value::is_string)
            }
            _ => false,
        };
        match body.len() == 1 && body.iter().all(is_well_formed) {
            true => reply(200, r#"{"success": true, "errors": [], "messages": [], "result": {"id": "9a7806061c88"}}"#),
            false => error(400, 1012, "Request must contain one of purge_everything, files, tags, hosts or prefixes"),
        }
    }

    #[tokio::test]
    async fn thousands_of_urls_are_sent_in_batches_and_limits_are_waited_for() {
        let peer = Peer::start(|asked, nth| match nth % 7 {
            3 => (429, vec![("retry-after", "0".to_owned())], String::new()),
            _ => cloudflare(asked),
        })
        .await;
        let api = api(&peer, By::Url, 30);
        let ids = api.purge(&urls(3001)).await.unwrap();
        assert_eq!(ids.len(), 101);
        let asked = peer.asked();
        assert_eq!((asked.len(), api.client.requests()), (118, 118), "one in seven was asked twice");
        assert_eq!(asked[0].json()["files"].as_array().unwrap().len(), 30);
        assert_eq!(asked[0].json()["files"][0], "https://a.example/0.html");
        assert_eq!(asked.last().unwrap().json(), json!({ "files": ["https://a.example/3000.html"] }));
    }

    #[tokio::test]
    async fn each_way_has_its_member() {
        let peer = Peer::start(|asked, _| cloudflare(asked)).await;
        for (by, want) in [
            (By::Tag, json!({ "tags": ["x"] })),
            (By::Prefix, json!({ "prefixes": ["x"] })),
            (By::Host, json!({ "hosts": ["x"] })),
            (By::Everything, json!({ "purge_everything": true })),
        ] {
            let names = if by == By::Everything { Vec::new() } else { vec!["x".to_owned()] };
            api(&peer, by, 30).purge(&[Ask { by, names }]).await.unwrap();
            assert_eq!(peer.asked().last().unwrap().json(), want);
        }
    }

    #[tokio::test]
    async fn refusals_are_told_with_what_to_do() {
        let peer = Peer::start(|asked, _| cloudflare(asked)).await;
        let mut stranger = api(&peer, By::Url, 30);
        stranger.authorization = HeaderValue::from_static("Bearer other");
        let failure = stranger.purge(&urls(1)).await.unwrap_err();
        assert!(
            failure.message.ends_with("answered with status 403: Authentication error (code 10000)"),
            "{failure:?}"
        );
        assert!(failure.help.contains("`Cache Purge`"), "{failure:?}");
        let failure = api(&peer, By::Url, 101).purge(&urls(101)).await.unwrap_err();
        assert!(failure.message.contains("status 400") && failure.help.contains("`batch`"), "{failure:?}");
        assert_eq!(peer.asked().len(), 2, "neither was tried again");

        let peer = Peer::start(|_, _| reply(200, r#"{"success": false, "errors": [{"message": "no"}]}"#)).await;
        let failure = api(&peer, By::Url, 30).purge(&urls(1)).await.unwrap_err();
        assert!(failure.message.ends_with("refused: no"), "{failure:?}");
        let peer = Peer::start(|_, _| reply(200, "<html>a captive portal</html>")).await;
        let failure = api(&peer, By::Url, 30).purge(&urls(1)).await.unwrap_err();
        assert!(failure.message.contains("does not say that it was done"), "{failure:?}");
    }

    #[tokio::test]
    async fn what_fails_for_good_is_given_up_in_time() {
        let peer = Peer::start(|_, _| reply(503, "")).await;
        let begun = std::time::Instant::now();
        let failure = api(&peer, By::Url, 30).purge(&urls(31)).await.unwrap_err();
        assert!(failure.message.ends_with("answered with status 503"), "{failure:?}");
        assert!(begun.elapsed() < HASTY.total * 20 && peer.asked().len() > 2, "{:?}", peer.asked().len());

        let peer = Peer::start(|_, _| (429, vec![("retry-after", "3600".to_owned())], String::new())).await;
        api(&peer, By::Url, 30).purge(&urls(1)).await.unwrap_err();
        assert_eq!(peer.asked().len(), 1, "nobody waits for an hour");
    }

    #[test]
    fn a_token_is_needed() {
        let cdn = Cloudflare { zone: "z".into(), by: By::Url, batch: 30, endpoint: "http://127.0.0.1".into() };
        let error = Api::new(&cdn, &BTreeMap::new(), HASTY).unwrap_err();
        assert_eq!(error.to_string(), "`CLOUDFLARE_API_TOKEN` is not set, which the CDN is purged with");
        assert_eq!(error.exit_code(), 2);
        assert!(Api::new(&cdn, &BTreeMap::from([(TOKEN, "a\nb")]), HASTY).is_err());
    }
}

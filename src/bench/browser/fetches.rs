//! What a browser asked for, put together from the events of its network.

use std::collections::HashMap;

use serde_json::Value;

use super::pipe::Event;
use crate::bench::report::{Fetch, From};

/// The fetches of one visit.
#[derive(Debug, Default)]
pub struct Fetches {
    /// The browser's own clock when the visit began, in seconds.
    begun: Option<f64>,
    list: Vec<Fetch>,
    /// Those that have not ended, by session and number.
    open: HashMap<(Option<String>, String), usize>,
}

impl Fetches {
    pub fn all_ended(&self) -> bool {
        self.open.is_empty()
    }

    pub fn into_list(self) -> Vec<Fetch> {
        self.list
    }

    /// Takes in what an event says.
    pub fn note(&mut self, event: &Event) {
        let Some(request) = event.params["requestId"].as_str() else { return };
        let key = (event.session.clone(), request.to_owned());
        let now = event.params["timestamp"].as_f64().unwrap_or_default();
        match event.method.as_str() {
            "Network.requestWillBeSent" => {
                if event.params["redirectResponse"].is_object() {
                    self.respond(&key, &event.params["redirectResponse"], now);
                    self.end(&key, now, event.params["redirectResponse"]["encodedDataLength"].as_f64());
                }
                self.begin(key, &event.params, now);
            }
            "Network.requestServedFromCache" => {
                if let Some(fetch) = self.open.get(&key).and_then(|at| self.list.get_mut(*at)) {
                    fetch.from = From::Cache;
                }
            }
            "Network.responseReceived" => self.respond(&key, &event.params["response"], now),
            "Network.loadingFinished" => self.end(&key, now, event.params["encodedDataLength"].as_f64()),
            "Network.loadingFailed" => self.end(&key, now, None),
            _ => {}
        }
    }

    fn begin(&mut self, key: (Option<String>, String), params: &Value, now: f64) {
        let url = params["request"]["url"].as_str().unwrap_or_default();
        if !url.starts_with("http") {
            return;
        }
        let begun = *self.begun.get_or_insert(now);
        let start = (now - begun) * 1000.0;
        self.open.insert(key, self.list.len());
        self.list.push(Fetch {
            url: url.to_owned(),
            kind: kind(params["type"].as_str().unwrap_or_default()).to_owned(),
            status: 0,
            from: From::Network,
            bytes: 0,
            start_ms: start,
            first_byte_ms: start,
            end_ms: start,
        });
    }

    fn respond(&mut self, key: &(Option<String>, String), response: &Value, now: f64) {
        let begun = self.begun.unwrap_or(now);
        let Some(fetch) = self.open.get(key).and_then(|at| self.list.get_mut(*at)) else { return };
        fetch.status = response["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or(0);
        // The event itself comes when the browser's own process hears of it; the network's clock is exact, where it was asked.
        let timing = &response["timing"];
        let by_network = timing["requestTime"].as_f64().zip(timing["receiveHeadersEnd"].as_f64());
        let at = by_network.map_or(now, |(asked, headers)| asked + headers / 1000.0);
        fetch.first_byte_ms = ((at - begun) * 1000.0).max(fetch.start_ms);
        fetch.end_ms = fetch.first_byte_ms;
        if response["fromServiceWorker"] == true {
            fetch.from = From::Worker;
        } else if response["fromDiskCache"] == true {
            fetch.from = From::Cache;
        }
    }

    fn end(&mut self, key: &(Option<String>, String), now: f64, bytes: Option<f64>) {
        let begun = self.begun.unwrap_or(now);
        let Some(fetch) = self.open.remove(key).and_then(|at| self.list.get_mut(at)) else { return };
        fetch.end_ms = ((now - begun) * 1000.0).max(fetch.first_byte_ms);
        if fetch.from == From::Network {
            fetch.bytes = bytes.unwrap_or_default() as u64;
        }
    }
}

/// <https://chromedevtools.github.io/devtools-protocol/tot/Network/#type-ResourceType>
fn kind(name: &str) -> &'static str {
    match name {
        "Document" => "document",
        "Stylesheet" => "stylesheet",
        "Script" => "script",
        "Image" => "image",
        "Font" => "font",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fetches(events: &[(&str, Value)]) -> Vec<Fetch> {
        let mut fetches = Fetches::default();
        for (method, params) in events {
            fetches.note(&Event { method: format!("Network.{method}"), session: None, params: params.clone() });
        }
        assert!(fetches.all_ended());
        fetches.into_list()
    }

    #[test]
    fn a_fetch_is_followed_from_its_request_to_its_end() {
        let timing = json!({ "requestTime": 10.05, "receiveHeadersEnd": 150.0 });
        let request =
            |id, url, at| json!({ "requestId": id, "type": "Document", "timestamp": at, "request": { "url": url } });
        let list = fetches(&[
            ("requestWillBeSent", request("1", "http://a/", 10.0)),
            ("requestWillBeSent", request("2", "data:,x", 10.1)),
            (
                "responseReceived",
                json!({ "requestId": "1", "timestamp": 10.6, "response": { "status": 200, "timing": timing } }),
            ),
            ("loadingFinished", json!({ "requestId": "1", "timestamp": 10.5, "encodedDataLength": 1234 })),
        ]);
        let [fetch] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!(
            (fetch.url.as_str(), fetch.status, fetch.from, fetch.bytes),
            ("http://a/", 200, From::Network, 1234)
        );
        let times = [fetch.start_ms, fetch.first_byte_ms, fetch.end_ms].map(f64::round);
        assert_eq!(times, [0.0, 200.0, 500.0]);
    }

    #[test]
    fn what_comes_from_a_cache_takes_no_bytes() {
        let request =
            json!({ "requestId": "1", "type": "Script", "timestamp": 1.0, "request": { "url": "http://a/x.js" } });
        let end = json!({ "requestId": "1", "timestamp": 1.5, "encodedDataLength": 99 });
        for (flag, from) in [("fromDiskCache", From::Cache), ("fromServiceWorker", From::Worker)] {
            let list = fetches(&[
                ("requestWillBeSent", request.clone()),
                (
                    "responseReceived",
                    json!({ "requestId": "1", "timestamp": 1.2, "response": { "status": 200, flag: true } }),
                ),
                ("loadingFinished", end.clone()),
            ]);
            assert_eq!((list[0].from, list[0].bytes, list[0].kind.as_str()), (from, 0, "script"));
        }
    }

    #[test]
    fn a_redirect_is_a_fetch_of_its_own() {
        let list = fetches(&[
            (
                "requestWillBeSent",
                json!({ "requestId": "1", "type": "Document", "timestamp": 1.0, "request": { "url": "http://a/x" } }),
            ),
            (
                "requestWillBeSent",
                json!({ "requestId": "1", "type": "Document", "timestamp": 1.1, "request": { "url": "http://a/y" },
                        "redirectResponse": { "status": 301, "encodedDataLength": 100 } }),
            ),
            ("loadingFailed", json!({ "requestId": "1", "timestamp": 1.2 })),
        ]);
        assert_eq!(list.iter().map(|fetch| (fetch.status, fetch.bytes)).collect::<Vec<_>>(), [(301, 100), (0, 0)]);
    }
}

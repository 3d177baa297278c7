//! Somebody who visits a page, once or again, with a cache of their own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Browser;
use super::fetches::Fetches;
use super::pipe::Event;
use crate::bench::report::Fetch;

/// Longer than any page takes over the slowest network.
const PATIENCE: Duration = Duration::from_secs(60);

/// After the load event, what is still under way is waited for so long.
const AFTER_LOAD: Duration = Duration::from_secs(3);

/// A visit is over when nothing was under way for so long.
const QUIET: Duration = Duration::from_millis(70);

/// What the page itself measured, once something was painted or that is late.
const TIMINGS: &str = r#"new Promise((done) => {
  let largest = null;
  new PerformanceObserver((list) => { largest = list.getEntries().at(-1).startTime; })
    .observe({ type: "largest-contentful-paint", buffered: true });
  const late = performance.now() + 1000;
  const look = () => {
    const [navigation] = performance.getEntriesByType("navigation");
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    if ((paint && largest !== null && navigation.loadEventEnd > 0) || performance.now() > late) {
      done({ byte: navigation.responseStart, paint: paint?.startTime ?? null, largest, load: navigation.loadEventEnd });
    } else {
      setTimeout(look, 20);
    }
  };
  look();
})"#;

/// A worker that is being installed fetches what it keeps; then it is active.
const WORKER: &str = r#"Promise.race([
  navigator.serviceWorker.ready.then(async (registration) => {
    while (registration.installing || registration.waiting?.state === "installing") await new Promise((next) => setTimeout(next, 20));
    return true;
  }),
  new Promise((late) => setTimeout(() => late(false), 10000)),
])"#;

/// Keeps its cache until it leaves.
pub struct Visitor {
    context: String,
    page: Option<Page>,
}

struct Page {
    target: String,
    session: String,
}

/// What a visit came to.
#[derive(Debug)]
pub struct Seen {
    pub first_byte_ms: f64,
    pub first_paint_ms: Option<f64>,
    pub largest_paint_ms: Option<f64>,
    pub load_ms: f64,
    pub fetches: Vec<Fetch>,
}

impl Browser {
    /// Somebody who has never been anywhere.
    pub async fn visitor(&mut self) -> Result<Visitor, String> {
        let made = self.call(None, "Target.createBrowserContext", json!({ "disposeOnDetach": true })).await?;
        Ok(Visitor { context: text(&made["browserContextId"]), page: None })
    }

    pub async fn leave(&mut self, visitor: Visitor) -> Result<(), String> {
        self.call(None, "Target.disposeBrowserContext", json!({ "browserContextId": visitor.context })).await.map(drop)
    }

    async fn open(&mut self, context: &str) -> Result<Page, String> {
        let made = self
            .call(None, "Target.createTarget", json!({ "url": "about:blank", "browserContextId": context }))
            .await?;
        let target = text(&made["targetId"]);
        let attached = self.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await?;
        let page = Page { target, session: text(&attached["sessionId"]) };
        for domain in ["Page.enable", "Network.enable", "Runtime.enable"] {
            self.call(Some(&page.session), domain, json!({})).await?;
        }
        Ok(page)
    }

    async fn evaluate(&mut self, page: &Page, expression: &str) -> Result<Value, String> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut got = self.call(Some(&page.session), "Runtime.evaluate", params).await?;
        match got["exceptionDetails"]["text"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(got["result"]["value"].take()),
        }
    }
}

impl Visitor {
    /// From here on this is somebody else, who has never been anywhere.
    pub async fn give_way(&mut self, browser: &mut Browser) -> Result<(), String> {
        let next = browser.visitor().await?;
        browser.leave(std::mem::replace(self, next)).await
    }

    /// Opens the page in a new tab, and waits until all is there. What was open before is closed.
    pub async fn visit(&mut self, browser: &mut Browser, url: &str) -> Result<Seen, String> {
        if let Some(page) = self.page.take() {
            browser.call(None, "Target.closeTarget", json!({ "targetId": page.target })).await?;
        }
        let page = browser.open(&self.context).await?;
        while browser.pipe.events.try_recv().is_ok_and(|event| browser.attend(&event).is_ok()) {}
        let moved = browser.call(Some(&page.session), "Page.navigate", json!({ "url": url })).await?;
        if let Some(error) = moved["errorText"].as_str() {
            return Err(format!("{url}: {error}"));
        }
        let fetches = self.watch(browser, &page.session).await.map_err(|error| format!("{url}: {error}"))?;
        let timings = browser.evaluate(&page, TIMINGS).await?;
        let number = |name: &str| timings[name].as_f64();
        self.page = Some(page);
        Ok(Seen {
            first_byte_ms: number("byte").unwrap_or_default(),
            first_paint_ms: number("paint"),
            largest_paint_ms: number("largest"),
            load_ms: number("load").unwrap_or_default(),
            fetches: fetches.into_list(),
        })
    }

    /// Waits until the page's service worker has all that it keeps.
    pub async fn await_worker(&self, browser: &mut Browser) -> Result<(), String> {
        let Some(page) = &self.page else { return Ok(()) };
        match browser.evaluate(page, WORKER).await? {
            Value::Bool(true) => Ok(()),
            _ => Err("the page's service worker does not become active".to_owned()),
        }
    }

    async fn watch(&self, browser: &mut Browser, session: &str) -> Result<Fetches, String> {
        let mut fetches = Fetches::default();
        let begun = Instant::now();
        let mut loaded: Option<Instant> = None;
        loop {
            let event = tokio::time::timeout(QUIET, browser.pipe.events.recv()).await;
            let event: Option<Event> = match event {
                Ok(None) => return Err("the browser has ended".to_owned()),
                Ok(Some(event)) => Some(event),
                Err(_) => None,
            };
            match &event {
                Some(event) => {
                    browser.attend(event)?;
                    let own = event.session.as_deref().is_some_and(|own| own == session || browser.is_worker(own));
                    if own && event.method == "Page.loadEventFired" {
                        loaded = Some(Instant::now());
                    } else if own {
                        fetches.note(event);
                    }
                }
                None if loaded.is_some() && fetches.all_ended() => return Ok(fetches),
                None => {}
            }
            if loaded.is_some_and(|loaded| loaded.elapsed() > AFTER_LOAD) {
                return Ok(fetches);
            }
            if begun.elapsed() > PATIENCE {
                return Err("the page does not load to its end".to_owned());
            }
        }
    }
}

impl Browser {
    fn is_worker(&self, session: &str) -> bool {
        self.workers.iter().any(|worker| worker == session)
    }

    /// A service worker that starts waits for us, so that none of what it asks for is missed.
    fn attend(&mut self, event: &Event) -> Result<(), String> {
        let is_worker = event.params["targetInfo"]["type"] == "service_worker";
        if event.method == "Target.attachedToTarget" && is_worker {
            let session = text(&event.params["sessionId"]);
            // Their results are of no use, and come when the worker runs.
            drop(self.pipe.send(Some(&session), "Network.enable", json!({}))?);
            drop(self.pipe.send(Some(&session), "Runtime.runIfWaitingForDebugger", json!({}))?);
            self.workers.push(session);
        } else if event.method == "Target.detachedFromTarget" {
            let session = text(&event.params["sessionId"]);
            self.workers.retain(|worker| *worker != session);
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

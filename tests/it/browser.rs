//! Headless Chromium, driven by WebDriver, with everything that it complained about.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::wd::WindowHandle as Tab;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

/// Runs a test in a fresh browser.
pub fn browse<T>(test: impl AsyncFnOnce(&Page) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let driver = Driver::start();
        let profile = tempfile::tempdir().expect("a profile");
        let page = Page { client: connect(&driver, profile.path().to_str().expect("a path")).await };
        let outcome = tokio::time::timeout(Duration::from_secs(120), test(&page)).await;
        let _ = page.client.clone().close().await;
        outcome.expect("the test ends within two minutes")
    })
}

/// chromedriver, ended when dropped.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Asked for any port, it takes one of IPv4 and then the same of IPv6, and gives up if another has that.
    fn start() -> Self {
        (0..5).find_map(|_| Self::try_start()).expect("chromedriver finds a port")
    }

    fn try_start() -> Option<Self> {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver");
        // Ends it whatever happens.
        let mut driver = Driver { child, port: 0 };
        let mut lines = BufReader::new(driver.child.stdout.take()?).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("started successfully on port"))?;
        std::thread::spawn(move || lines.for_each(drop));
        driver.port = line.trim_end_matches('.').rsplit(' ').next()?.parse().ok()?;
        Some(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(driver: &Driver, profile: &str) -> Client {
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-unsafe-swiftshader",
        &format!("--user-data-dir={profile}"),
    ];
    let capabilities = json!({
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    });
    let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
    ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{}", driver.port))
        .await
        .expect("a session")
}

pub struct Page {
    client: Client,
}

impl Page {
    /// Opens a URL and waits until it has loaded.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Opens another tab, and shows that.
    pub async fn open_tab(&self, url: &str) -> Tab {
        let tab = self.client.new_window(true).await.expect("a tab").handle;
        self.show(&tab).await;
        self.open(url).await;
        tab
    }

    /// The tab that is shown.
    pub async fn tab(&self) -> Tab {
        self.client.window().await.expect("a tab")
    }

    pub async fn show(&self, tab: &Tab) {
        self.client.switch_to_window(tab.clone()).await.expect("it is there");
    }

    /// What an async function's body returns.
    pub async fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (error) => done(`failed: ${{error}}`))"
        );
        self.client.execute_async(&script, vec![]).await.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// Waits until an expression is true. The page may load anew meanwhile, which ends whatever runs in it, so it is asked again and again.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression});");
        let start = Instant::now();
        loop {
            let answer = self.client.execute(&script, vec![]).await;
            if matches!(answer, Ok(Value::Bool(true))) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "never true: {expression}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Console errors, uncaught exceptions and requests that failed since the last look; there should be none.
    pub async fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for entry in self.log("browser").await {
            if entry["level"] == "SEVERE" || entry["level"] == "WARNING" {
                complaints.push(entry["message"].to_string());
            }
        }
        // The browser has requests of its own at its start; a page's are those of its document.
        let mut own = std::collections::BTreeSet::new();
        for entry in self.log("performance").await {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap_or_default();
            let (method, params) = (&message["message"]["method"], &message["message"]["params"]);
            let id = params["requestId"].to_string();
            if method == "Network.requestWillBeSent"
                && params["documentURL"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1"))
            {
                own.insert(id.clone());
            }
            if method == "Network.loadingFailed" && own.contains(&id) {
                complaints.push(format!("request failed: {}", params["errorText"]));
            }
            let status = params["response"]["status"].as_u64().unwrap_or_default();
            if method == "Network.responseReceived" && status >= 400 {
                complaints.push(format!("{} answered {status}", params["response"]["url"]));
            }
        }
        complaints
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let log = self.client.issue_cmd(Log(kind)).await.expect("a log");
        log.as_array().cloned().unwrap_or_default()
    }
}

/// chromedriver's own command for reading logs.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}

//! Headless Chromium, driven by WebDriver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

pub struct Browser {
    driver: Child,
    pub client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("needs chromedriver: `apt-get install chromium-driver`");
        let mut lines = BufReader::new(driver.stdout.take().expect("its words")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("started successfully on port")).expect("it starts");
        std::thread::spawn(move || lines.for_each(drop));
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap_or_default().to_owned();
        let profile = tempfile::tempdir().expect("a profile");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments }, "pageLoadStrategy": "none" });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a session");
        Browser { driver, client, _profile: profile }
    }

    /// Waits until the expression, which may fail at first, is something; gives that.
    pub async fn until(&self, expression: &str) -> Value {
        let script = format!("try {{ return ({expression}) ?? null; }} catch {{ return null; }}");
        let start = Instant::now();
        loop {
            match self.client.execute(&script, vec![]).await {
                Ok(Value::Null) | Ok(Value::Bool(false)) | Err(_) => {}
                Ok(value) => return value,
            }
            assert!(start.elapsed() < Duration::from_secs(120), "never: {expression}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is its child, and ends with it.
        let _ = Command::new("pkill").args(["--parent", &self.driver.id().to_string()]).status();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

//! A real browser: Debian's Chromium without a window, driven over WebDriver (W3C) by plain requests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::await_until;
use super::http::request;

/// Longest wait for something on a page.
const SOON: Duration = Duration::from_secs(30);

/// One window of a browser of its own; both end when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts it. Chromium and its driver are prerequisites of the tests: `tests/env/prerequisites`.
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is not installed: run tests/env/prerequisites");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let address = format!("127.0.0.1:{}", port.expect("chromedriver says its port"));
        let profile =
            std::env::temp_dir().join(format!("slipway-browser-{}", super::cluster::unique()));
        let mut browser = Self {
            driver,
            address,
            session: String::new(),
            profile,
        };
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--disable-background-networking", "--no-first-run", "--force-device-scale-factor=1",
                format!("--user-data-dir={}", browser.profile.display()),
            ],
        });
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }}});
        let answer = browser.send("POST", "/session", &capabilities).await;
        let session = answer["sessionId"].as_str().expect("a session");
        session.clone_into(&mut browser.session);
        browser
    }

    /// Waits until the browser has ended: where a test ends, nothing else can be awaited.
    fn end_session(&self) -> std::io::Result<()> {
        let mut driver = TcpStream::connect(&self.address)?;
        driver.set_read_timeout(Some(SOON))?;
        let session = &self.session;
        write!(
            driver,
            "DELETE /session/{session} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        std::io::copy(&mut driver, &mut std::io::sink())?;
        Ok(())
    }

    /// One command; panics with what the driver says when it fails.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let headers = [("content-type", "application/json; charset=utf-8")];
        let line = format!("{method} {path}");
        let answer = request(&self.address, &line, &headers, &body).await;
        let answer = answer.unwrap_or_else(|| panic!("the browser does not answer to {line}"));
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        answer.json()["value"].take()
    }

    async fn of_session(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.send("POST", &path, &body).await
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.of_session("/url", json!({"url": url})).await;
    }

    /// Runs the body of a function on the page, and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.of_session("/execute/sync", body).await
    }

    /// Waits until a script returns something that is true.
    pub(crate) async fn await_true(&self, what: &str, script: &str) -> Value {
        await_until(what, SOON, async || {
            let value = self.run(script).await;
            let is_true =
                !matches!(value, Value::Null | Value::Bool(false)) && value != 0 && value != "";
            is_true.then_some(value)
        })
        .await
    }

    /// A command of Chromium's own protocol.
    async fn command(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.of_session("/goog/cdp/execute", body).await
    }

    /// The width and height of the window's inside, and what its user prefers: `light` or `dark`.
    pub(crate) async fn looks(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.command("Emulation.setDeviceMetricsOverride", size)
            .await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// A picture of what the window shows, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let picture = self
            .command("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let data = picture["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap()
    }

    /// Presses a key, such as `Tab` or `Enter`.
    pub(crate) async fn press(&self, key: &str) {
        let letter = match key {
            "Tab" => "\u{e004}",
            "Enter" => "\u{e007}",
            other => other,
        };
        let keys =
            json!([{"type": "keyDown", "value": letter}, {"type": "keyUp", "value": letter}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.of_session("/actions", actions).await;
    }

    /// Every address that was asked for since this was called last.
    pub(crate) async fn asked_for(&self) -> Vec<String> {
        let log = self
            .of_session("/se/log", json!({"type": "performance"}))
            .await;
        let entries = log.as_array().cloned().unwrap_or_default();
        let urls = entries.iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let is_sent = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            is_sent.then(|| url.to_owned())
        });
        urls.collect()
    }

    /// What the page complained of since this was called last: refused scripts and styles among it.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.of_session("/se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session; a browser outlives a driver that is only killed.
        drop(self.end_session());
        let id = self.driver.id().to_string();
        drop(Command::new("kill").args(["-TERM", &id]).status());
        drop(self.driver.wait());
        drop(std::fs::remove_dir_all(&self.profile));
    }
}

//! A headless Chromium with a fresh profile, steered through the one driver of all tests.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::{Client, ClientBuilder, Locator, error::CmdError, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::{PATIENCE, free_port, wait_for};

/// Serves until its standard input ends, which it does when the test binary ends, however that happens.
const SCRIPT: &str = r#"
chromedriver --port="$1" &
driver=$!
while read -r _; do :; done
kill "$driver"
"#;

static DRIVER: LazyLock<Driver> = LazyLock::new(Driver::start);

/// A browser is some ten processes, which all have something to do: more of them at once are not sooner ready, and each
/// of them is slower than its driver expects.
static PLACES: Semaphore = Semaphore::const_new(3);

/// The browser must fetch nothing by itself; without a display and without privileges there is no sandbox either.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];

/// A running driver of browsers.
struct Driver {
    port: u16,
    /// Its standard input keeps it alive.
    _script: Child,
}

impl Driver {
    /// The port is one of our own choice: on port 0 the driver takes one that is free in IPv4, and gives up if it is not
    /// free in IPv6.
    fn start() -> Self {
        let is_there = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).status().is_ok();
        assert!(
            is_there,
            "these tests need Chromium; on Debian and Ubuntu: apt install chromium chromium-driver"
        );
        let port = free_port();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh", &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { port, _script: command.spawn().expect("a shell can be run") }
    }
}

/// A browser with one page; it ends with the test.
pub(crate) struct Browser {
    pub(crate) client: Client,
    session: String,
    _profile: tempfile::TempDir,
    _place: SemaphorePermit<'static>,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// If Chromium or its driver is not there: a page that nobody tried is not tested.
    pub(crate) async fn start() -> Self {
        let place = PLACES.acquire().await.expect("it is never closed");
        let profile = tempfile::tempdir().expect("a directory");
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let patience = u64::try_from(PATIENCE.as_millis()).expect("three minutes");
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": patience, "pageLoad": patience },
        });
        let Value::Object(wanted) = wanted else { unreachable!("it is an object") };
        wait_for("the driver listens", async || TcpStream::connect(("127.0.0.1", DRIVER.port)).ok()).await;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.into_iter().collect::<Map<_, _>>())
            .connect(&format!("http://127.0.0.1:{}", DRIVER.port))
            .await
            .expect("Chromium starts");
        let session = client.session_id().await.expect("an answer").expect("a session");
        Self { client, session, _profile: profile, _place: place }
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// A screen so many pixels wide and high.
    pub(crate) async fn screen(&self, width: u32, height: u32) {
        let phone = width < 600;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// What the reader's system asks for.
    pub(crate) async fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// The page as it is printed, on a system that asks for darkness.
    pub(crate) async fn as_printed(&self) {
        let features = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
        let media = json!({"media": "print", "features": features});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Where the reader lives.
    pub(crate) async fn zone(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": zone})).await;
    }

    /// Switches scripts off.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Keeps a picture of the whole page.
    pub(crate) async fn picture(&self, name: &str) {
        let whole = json!({"captureBeyondViewport": true, "optimizeForSpeed": true});
        let answer = self.devtools("Page.captureScreenshot", whole).await;
        let png = BASE64_STANDARD.decode(answer["data"].as_str().expect("a picture")).expect("base64");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{name}.png")), png).expect("a file");
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression};"), Vec::new()).await.expect("a value")
    }

    /// Waits until there is an element that fits this selector.
    pub(crate) async fn appears(&self, selector: &str) {
        let wait = self.client.wait().at_most(PATIENCE);
        wait.for_element(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let element = self.client.active_element().await.expect("something has the focus");
        element.send_keys(keys).await.expect("keys can be pressed");
    }

    /// What the browser's console tells since it was last asked: errors of scripts, violations of the policy.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Own { path: "se/log", body: json!({"type": "browser"}) }).await;
        let entries = log.expect("a log");
        let serious = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        let entries = entries.as_array().expect("a list").iter().filter(serious);
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let answer: Result<Value, CmdError> =
            self.client.issue_cmd(Own { path: "goog/cdp/execute", body }).await;
        answer.expect("the browser does it")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without this the browser outlives its test. The answer comes when it has ended.
        let (port, session) = (DRIVER.port, &self.session);
        let request = format!(
            "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n"
        );
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 256]);
        }
    }
}

/// A command of Chromium's driver beyond the standard.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

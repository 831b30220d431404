//! What the service logs. It is read while the service runs: what counts lines first waits until all are read.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::Value;

use super::{Service, wait_until};

/// One line of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    /// Such as `ERROR`.
    pub(crate) level: String,
    pub(crate) message: String,
    /// The cause, where the message does not tell it.
    pub(crate) error: String,
}

/// The lines of a log, each of which must be JSON.
pub(super) fn lines(log: &str) -> Vec<LogLine> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        LogLine { level: text("level"), message: text("message"), error: text("error") }
    };
    log.lines().map(line).collect()
}

impl Service {
    /// Waits until the service has logged so many messages with this text; answers all of them by now, which may be
    /// more.
    pub(crate) async fn logged(&self, times: usize, text: &str) -> Vec<String> {
        self.logged_such(times, text, |_| true).await
    }

    /// The same with errors alone.
    pub(crate) async fn logged_errors(&self, times: usize, text: &str) -> Vec<String> {
        self.logged_such(times, text, |line| line.level == "ERROR").await
    }

    /// Waits until the service has logged a message that begins with one of these texts. It need not answer requests.
    pub(crate) async fn has_logged(&self, beginnings: &[&str]) {
        wait_until(&format!("one of {beginnings:?} is logged"), async || {
            let told = lines(&self.log());
            told.iter().any(|line| beginnings.iter().any(|beginning| line.message.starts_with(beginning)))
        })
        .await;
    }

    /// Everything that the service has logged by now since it was started.
    pub(crate) async fn log_by_now(&self) -> Vec<LogLine> {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        // Each request is logged with its method, whatever that is, after all that was logged before it was sent.
        let mark = format!("MARK{}", MARKS.fetch_add(1, Ordering::Relaxed));
        let method = Method::from_bytes(mark.as_bytes()).expect("letters and digits");
        self.send(self.request(method, "/healthz")).await;
        wait_until("the log is read", async || self.log().contains(&mark)).await;
        lines(&self.log())
    }

    async fn logged_such(&self, times: usize, text: &str, is_sought: fn(&LogLine) -> bool) -> Vec<String> {
        let such = |log: Vec<LogLine>| -> Vec<String> {
            let sought = log.into_iter().filter(|line| is_sought(line) && line.message.contains(text));
            sought.map(|line| line.message).collect()
        };
        let what = format!("{text:?} is logged {times} times");
        wait_until(&what, async || such(lines(&self.log())).len() >= times).await;
        such(self.log_by_now().await)
    }
}

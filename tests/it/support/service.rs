//! The real binary as a child process, and what it logs.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use super::{command, wait_until};

/// The command, with everything that it could log.
const SERVE: [&str; 5] = ["serve", "--log-format", "json", "--log-level", "debug"];

/// A running service; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// Where it listens.
    pub(crate) url: String,
}

impl Service {
    /// Starts the service and waits until it listens.
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::run(command(dir, &SERVE)).await
    }

    /// The same with so many file descriptors at most.
    pub(crate) async fn start_with_descriptors(dir: &Path, limit: u32) -> Self {
        let serve = command(dir, &SERVE);
        let mut command = Command::new("/bin/sh");
        command.current_dir(dir).env_clear();
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
        command.arg(serve.get_program()).args(serve.get_args());
        Self::run(command).await
    }

    /// The same with variables in its environment.
    pub(crate) async fn start_with(dir: &Path, variables: &[(&'static str, String)]) -> Self {
        let mut command = command(dir, &SERVE);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be run");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let mut log = log.lock().expect("no panic while it is held");
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let mut service = Self { child, log, reader: Some(reader), url: String::new() };
        let url = wait_until("the service listens", async || {
            let ended = service.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the service ended at once: {}", service.log());
            service.messages().iter().find_map(|message| {
                let rest = message.strip_prefix("serving on ")?;
                rest.split_whitespace().next().map(str::to_owned)
            })
        })
        .await;
        service.url = url;
        service
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while it is held").clone()
    }

    /// The messages of all log lines; every line must be JSON.
    pub(super) fn messages(&self) -> Vec<String> {
        self.leveled().into_iter().map(|(_, message)| message).collect()
    }

    /// The level and message of all log lines.
    pub(crate) fn leveled(&self) -> Vec<(String, String)> {
        let log = self.log();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (text("level"), text("message"))
        };
        log.lines().map(line).collect()
    }

    /// Waits for a line with this text.
    pub(crate) async fn logs(&self, text: &str) -> String {
        wait_until(&format!("a log line with {text:?}"), async || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
        .await
    }

    /// The time that it has kept a processor busy.
    pub(super) fn cpu_time(&self) -> Duration {
        let stat = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(stat).expect("a running process");
        // The name in parentheses may contain blanks; what the program and the kernel used are the 12th and the 13th
        // number after it, in hundredths of a second.
        let (_, numbers) = stat.rsplit_once(") ").expect("a name");
        let hundredths =
            numbers.split(' ').skip(11).take(2).map(|number| number.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * hundredths.sum::<u64>())
    }

    /// Sends a signal such as `TERM`.
    pub(super) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().expect("a shell can be run");
        assert!(status.success(), "{script}");
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        let look = async || self.child.try_wait().expect("a child can be asked");
        wait_until("the service ends", look).await
    }

    /// Kills the process without warning, and answers what it had logged.
    pub(super) fn kill(mut self) -> String {
        self.stop();
        self.log()
    }

    /// Kills the process without warning.
    pub(crate) fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

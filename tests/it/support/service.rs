//! The real binary in a directory of its own: the service, once it is started, and the commands beside it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::{Config, client_builder, command, directory, log, output, wait_for, wait_until};

/// The command, with everything that it could log.
const SERVE: [&str; 5] = ["serve", "--log-format", "json", "--log-level", "debug"];

/// A service that can be started, killed and started again. Dropping it kills it; then neither its log nor anything that
/// it answered or printed may have shown a secret.
#[derive(Debug)]
pub(crate) struct Service {
    /// What it is configured with, unless a test wrote another file.
    pub(crate) config: Config,
    /// Talks to it.
    pub(super) http: reqwest::Client,
    /// What is set in the environment of the service and of the commands beside it.
    pub(crate) variables: Vec<(&'static str, String)>,
    dir: TempDir,
    process: Option<Process>,
    /// It was killed, and its requests may still have been under way.
    pub(super) was_killed: bool,
    /// What its earlier processes have logged.
    past: String,
    /// Answers and results.
    heard: Mutex<String>,
}

/// One life of a service.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    url: String,
}

impl Service {
    /// A service with this configuration file; it is not started yet.
    pub(super) fn new(config: Config, file: &str) -> Self {
        let http = client_builder().build().expect("a client");
        let (process, was_killed, past, heard) = (None, false, String::new(), Mutex::default());
        let (dir, variables) = (directory(), Vec::new());
        let service = Self { config, http, variables, dir, process, was_killed, past, heard };
        service.write_config(file);
        service
    }

    /// Starts the service and waits until it listens. Kills it before, if it runs.
    pub(crate) async fn launch(&mut self) {
        self.launch_as(command(self.dir(), &SERVE)).await;
    }

    /// The same for a service that may have so many files open at once.
    pub(crate) async fn launch_with_descriptors(&mut self, limit: u32) {
        self.launch_after(&format!("ulimit -n {limit}")).await;
    }

    /// The same for a service that hears of a write beyond [`Self::limit_files`] by an error, and not by a signal.
    pub(crate) async fn launch_with_bounded_files(&mut self) {
        self.launch_after("trap '' XFSZ").await;
    }

    /// Launches it from a shell that does this before.
    async fn launch_after(&mut self, preparation: &str) {
        let serve = command(self.dir(), &SERVE);
        let mut command = Command::new("/bin/sh");
        command.current_dir(self.dir()).env_clear();
        command.args(["-c", &format!("{preparation} && exec \"$0\" \"$@\"")]);
        command.arg(serve.get_program()).args(serve.get_args());
        self.launch_as(command).await;
    }

    /// Lets every write of the service fail that goes beyond this many bytes of a file, from now on.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let id = i32::try_from(self.process().child.id()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(id, Resource::Fsize, limit).expect("a process of this user can be limited");
    }

    async fn launch_as(&mut self, mut command: Command) {
        self.stop();
        self.past.push_str(&self.log());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let process = self.process.insert(Process::spawn(command));
        process.url = wait_for("the service listens", async || {
            let ended = process.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the service ended at once: {}", process.log());
            log::lines(&process.log()).iter().find_map(|line| {
                let rest = line.message.strip_prefix("serving on ")?;
                rest.split_whitespace().next().map(str::to_owned)
            })
        })
        .await;
    }

    /// Starts the service and waits for the end of its first pass.
    pub(crate) async fn start(&mut self) {
        self.launch().await;
        self.first_pass_is_over().await;
    }

    /// Waits for the end of the first pass since the service was started.
    pub(crate) async fn first_pass_is_over(&self) {
        wait_until("the first pass is over", async || {
            self.get("/metrics").await.text.contains(r#"oncall_grants_passes_total{trigger="start""#)
        })
        .await;
    }

    /// Kills the service without warning.
    pub(crate) fn kill(&mut self) {
        self.was_killed = true;
        self.stop();
    }

    pub(super) fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Sends the service a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.process().child.id());
        let status = Command::new("sh").args(["-c", &script]).status().expect("a shell can be run");
        assert!(status.success(), "{script}");
    }

    /// Waits for the end of the service.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("a service that was started");
        wait_for("the service ends", async || process.child.try_wait().expect("a child can be asked")).await
    }

    /// Runs another command of the binary beside it.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[]).await
    }

    /// The same with variables of the environment.
    pub(crate) async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = command(self.dir(), arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(variables.iter().copied());
        let output = output(command).await;
        for text in [&output.stdout, &output.stderr] {
            self.remember(&String::from_utf8_lossy(text));
        }
        output
    }

    /// Where the configuration and the store are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Replaces the configuration file.
    pub(crate) fn write_config(&self, text: &str) {
        self.write_file("oncall-grants.toml", text);
    }

    /// Writes a file beside it.
    pub(crate) fn write_file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.dir().join(name), content).expect("a writable directory");
    }

    /// Reads a file beside it.
    pub(crate) fn read_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir().join(name)).expect("a file")
    }

    /// A connection to the file of its store, to look or to meddle.
    pub(crate) async fn open_store(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.dir().join("oncall-grants.db").display());
        SqliteConnection::connect(&url).await.expect("the file of the store")
    }

    /// Where the service listens, or listened before it ended.
    pub(crate) fn url(&self) -> &str {
        &self.process().url
    }

    /// The same as an address and a port.
    pub(crate) fn address(&self) -> &str {
        self.url().rsplit('/').next().expect("a URL with an address")
    }

    /// The process of the service.
    pub(crate) fn process_id(&self) -> u32 {
        self.process().child.id()
    }

    /// The time that the service has kept a processor busy.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = format!("/proc/{}/stat", self.process_id());
        let stat = std::fs::read_to_string(stat).expect("a running process");
        // The name in parentheses may contain blanks; what the program and the kernel used are the 12th and the 13th
        // number after it, in hundredths of a second.
        let (_, numbers) = stat.rsplit_once(") ").expect("a name");
        let hundredths =
            numbers.split(' ').skip(11).take(2).map(|number| number.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * hundredths.sum::<u64>())
    }

    /// Everything that the service has logged since it was started, as far as it was read.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Keeps something that the service answered or a command printed, to look for secrets in it at the end.
    pub(super) fn remember(&self, text: &str) {
        self.heard.lock().expect("no panic while it is held").push_str(text);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("a service that was started")
    }

    /// For whoever reads the failed test: the test harness shows this together with the panic.
    fn print_log(&self) {
        let log = format!("{}{}", self.past, self.log());
        let told = log.lines().filter(|line| !line.contains(r#""message":"answered""#));
        let tail: Vec<&str> = told.rev().take(100).collect();
        let lines: String = tail.into_iter().rev().flat_map(|line| [line, "\n"]).collect();
        let url = self.process.as_ref().map_or("a service that was not started", |process| &process.url);
        #[expect(clippy::print_stderr, reason = "it is for whoever reads the failed test")]
        {
            eprintln!("the last lines of the log of {url}:\n{lines}");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            self.print_log();
            return;
        }
        let log = self.log();
        let heard = self.heard.get_mut().expect("no panic while it was held");
        for secret in self.config.secrets() {
            assert!(!log.contains(secret) && !self.past.contains(secret), "a log line shows {secret}");
            assert!(!heard.contains(secret), "an answer or a result shows {secret}");
        }
    }
}

impl Process {
    fn spawn(mut command: Command) -> Self {
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
        Self { child, log, reader: Some(reader), url: String::new() }
    }

    fn log(&self) -> String {
        self.log.lock().expect("no panic while it is held").clone()
    }

    /// Afterwards all that it has logged is read.
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

//! Both stand-ins, the service between them, and what must hold at the end of every test.

use std::{
    path::Path,
    process::{ExitStatus, Output},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use reqwest::Method;
use sandbox::{
    clock::Clock,
    pagerduty::{PagerDuty, Shift},
    strongdm::StrongDm,
    world::{self, SCHEDULE},
};
use tempfile::TempDir;

use super::{Config, command, directory, http, output, service::Service, wait_until};

/// A person: the PagerDuty ID and the address in strongDM.
pub(crate) type Person = (&'static str, &'static str);
pub(crate) const ANA: Person = (world::ANA, "ana@example.com");
pub(crate) const BO: Person = (world::BO, "bo.chen@example.com");
pub(crate) const CEM: Person = (world::CEM, "cem@example.com");
/// Has no account in strongDM.
pub(crate) const DENIZ: Person = (world::DENIZ, "deniz@example.com");

/// The stand-ins with the world of [`world::seed`], in which Ana is on call for two hours and Bo for the two hours
/// after them, and the service, once it is started.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) pagerduty: PagerDuty,
    pub(crate) strongdm: StrongDm,
    pub(crate) config: Config,
    /// What is set in the environment of the service and of the commands beside it.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The instant from which tests count.
    pub(crate) zero: DateTime<Utc>,
    pub(super) http: reqwest::Client,
    dir: TempDir,
    service: Option<Service>,
    /// Everything that the service said: answers, results, logs of those that ended.
    said: Mutex<String>,
    /// A service was killed, whose requests may still be under way.
    killed: bool,
    /// Others ask PagerDuty as well, each of them one thing at a time.
    others: bool,
}

impl Scene {
    /// The stand-ins and a configuration; the service is not started yet.
    pub(crate) async fn set(config: Config) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any, clock.clone()).await.expect("a free port");
        let strongdm = StrongDm::start(any, clock.clone()).await.expect("a free port");
        let zero = clock.now().trunc_subsecs(0);
        world::seed(&pagerduty, &strongdm, zero);
        let dir = directory();
        let scene = Self {
            pagerduty,
            strongdm,
            config,
            variables: Vec::new(),
            zero,
            http: http::client(),
            dir,
            service: None,
            said: Mutex::default(),
            killed: false,
            others: false,
        };
        scene.write_config(&scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url()));
        scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
        scene
    }

    /// A scene whose first pass is over.
    pub(crate) async fn running(config: Config) -> Self {
        let mut scene = Self::set(config).await;
        scene.start().await;
        scene
    }

    /// Starts the service and waits for the end of its first pass.
    pub(crate) async fn start(&mut self) {
        self.launch().await;
        wait_until("the first pass is over", async || {
            let metrics = self.get("/metrics").await.text;
            metrics.contains(r#"oncall_grants_passes_total{trigger="start""#).then_some(())
        })
        .await;
    }

    /// Says that the service is not the only one that asks PagerDuty.
    pub(crate) fn others_ask_pagerduty(&mut self) {
        self.others = true;
    }

    /// Starts the service and waits until it listens.
    pub(crate) async fn launch(&mut self) {
        self.service = Some(Service::start_with(self.dir.path(), &self.variables).await);
    }

    /// The same for a service that may have so many files open at once.
    pub(crate) async fn launch_with_descriptors(&mut self, limit: u32) {
        self.service = Some(Service::start_with_descriptors(self.dir.path(), limit).await);
    }

    /// Kills the service without warning.
    pub(crate) fn kill(&mut self) {
        let service = self.service.take().expect("a running service");
        self.remember(&service.kill());
        self.killed = true;
    }

    /// Sends the service a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.service().signal(name);
    }

    /// Waits for the end of the service.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut service = self.service.take().expect("a running service");
        let status = service.ended().await;
        self.remember(&service.kill());
        status
    }

    /// Runs another command of the binary beside it.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.dir.path(), arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = output(command).await;
        for text in [&output.stdout, &output.stderr] {
            self.remember(&String::from_utf8_lossy(text));
        }
        output
    }

    /// Replaces the configuration file.
    pub(crate) fn write_config(&self, text: &str) {
        std::fs::write(self.dir().join("oncall-grants.toml"), text).expect("a writable directory");
    }

    /// Where the configuration and the store are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the service listens.
    pub(crate) fn url(&self) -> &str {
        &self.service().url
    }

    /// The time that the service has kept a processor busy.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.service().cpu_time()
    }

    /// The messages that the running service has logged, as far as they were read: to be waited for.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.service().messages()
    }

    /// Waits until the running service has logged so many messages with this text; all of them by now, which may be
    /// more.
    pub(crate) async fn logged(&self, times: usize, text: &str) -> Vec<String> {
        self.matching(times, text, |_| true).await
    }

    /// The same with errors alone.
    pub(crate) async fn logged_errors(&self, times: usize, text: &str) -> Vec<String> {
        self.matching(times, text, |level| level == "ERROR").await
    }

    async fn matching(&self, times: usize, text: &str, is_sought: fn(&str) -> bool) -> Vec<String> {
        let matching = || -> Vec<String> {
            let lines = self.service().leveled().into_iter();
            let sought = lines.filter(|(level, message)| is_sought(level) && message.contains(text));
            sought.map(|(_, message)| message).collect()
        };
        let what = format!("{text:?} is logged {times} times");
        wait_until(&what, async || (matching().len() >= times).then_some(())).await;
        self.log_is_read().await;
        matching()
    }

    /// Waits until everything is read that the running service has logged by now.
    async fn log_is_read(&self) {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        // Each request is logged with its method, whatever that is, after all that was logged before it was sent.
        let mark = format!("MARK{}", MARKS.fetch_add(1, Ordering::Relaxed));
        let method = Method::from_bytes(mark.as_bytes()).expect("letters and digits");
        self.send(self.request(method, "/healthz")).await;
        wait_until("the log is read", async || self.service().log().contains(&mark).then_some(())).await;
    }

    /// The time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.pagerduty.clock().now()
    }

    /// So many seconds after the zero of this scene.
    pub(crate) fn second(&self, seconds: i64) -> DateTime<Utc> {
        self.zero + TimeDelta::seconds(seconds)
    }

    /// So many minutes after the zero of this scene.
    pub(crate) fn minute(&self, minutes: i64) -> DateTime<Utc> {
        self.second(minutes * 60)
    }

    /// Replaces the shifts of a schedule: who, from which minute, to which.
    pub(crate) fn shifts(&self, schedule: &str, shifts: &[(Person, i64, i64)]) {
        let shift =
            |((id, _), from, to): &(Person, i64, i64)| Shift::new(id, self.minute(*from), self.minute(*to));
        self.pagerduty.set_shifts(schedule, shifts.iter().map(shift).collect());
    }

    /// The minutes from the zero of this scene to a time in an answer.
    pub(crate) fn minutes_until(&self, time: &serde_json::Value) -> i64 {
        let time: DateTime<Utc> = time.as_str().expect("a time").parse().expect("a time");
        (time - self.zero).num_minutes()
    }

    /// The minutes between which this person has access from now on; what has begun begins at 0.
    ///
    /// # Panics
    /// If a grant begins or ends within a minute, unless it has begun.
    pub(crate) fn access(&self, person: Person, resource: &str) -> Vec<(i64, i64)> {
        let now = self.now();
        let mut windows: Vec<(i64, i64)> = Vec::new();
        let mut grants = self.strongdm.grants_of(person.1, resource);
        grants.sort_by_key(|grant| (grant.start, grant.end));
        let minutes = |at: DateTime<Utc>| {
            let seconds = (at - self.zero).num_seconds();
            assert_eq!(seconds % 60, 0, "{at} is not on a full minute of this scene");
            seconds / 60
        };
        for grant in grants {
            let start = if grant.start <= now { 0 } else { minutes(grant.start) };
            let end = minutes(grant.end.expect("no grant of a test is endless"));
            match windows.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => windows.push((start, end)),
            }
        }
        windows
    }

    /// Waits until this person's access is as given.
    pub(crate) async fn access_becomes(&self, person: Person, resource: &str, expected: &[(i64, i64)]) {
        let what = format!("{} has access to {resource} in {expected:?}", person.1);
        wait_until(&what, async || (self.access(person, resource) == expected).then_some(())).await;
    }

    /// Grants made and removed over the API so far.
    pub(crate) fn writes(&self) -> (usize, usize) {
        let counts = self.strongdm.counts();
        (counts.creates, counts.deletes)
    }

    /// How often PagerDuty was asked who is on call, since the last clearing.
    pub(crate) fn refreshes(&self) -> usize {
        self.pagerduty.requests().iter().filter(|request| request.path == "/oncalls").count()
    }

    /// Waits until every accepted delivery was served by a pass.
    pub(crate) async fn all_served(&self) {
        wait_until("all deliveries are served", async || {
            let waiting =
                |event: &serde_json::Value| event["status"] == "accepted" && event["pass_id"].is_null();
            (!self.events().await.iter().any(waiting)).then_some(())
        })
        .await;
    }

    /// Keeps something that the service said, to look for secrets in it at the end.
    pub(super) fn remember(&self, text: &str) {
        self.said.lock().expect("no panic while it is held").push_str(text);
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("a running service")
    }
}

impl Drop for Scene {
    /// What must hold at the end of every test.
    fn drop(&mut self) {
        let log = self.service.take().map(Service::kill).unwrap_or_default();
        if std::thread::panicking() {
            let told = log.lines().filter(|line| !line.contains(r#""message":"answered""#));
            let tail: Vec<&str> = told.rev().take(40).collect();
            let lines: String = tail.into_iter().rev().flat_map(|line| [line, "\n"]).collect();
            // The test harness shows this together with the panic.
            #[expect(clippy::print_stderr, reason = "it is for whoever reads the failed test")]
            {
                eprintln!("the last lines of the service's log:\n{lines}");
            }
            return;
        }
        let said = self.said.get_mut().expect("no panic while it was held");
        for secret in self.config.secrets() {
            assert!(!log.contains(secret), "a log line shows the secret {secret}");
            assert!(!said.contains(secret), "an answer or a result shows the secret {secret}");
        }
        assert_eq!(self.strongdm.counts().standing_grants_created, 0, "a grant without an end was made");
        assert!(
            self.killed || self.others || self.pagerduty.max_in_flight() <= 1,
            "PagerDuty was asked twice at once"
        );
    }
}

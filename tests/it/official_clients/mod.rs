//! The clients that PagerDuty and strongDM publish themselves, against the stand-ins and the real binary.
//!
//! What they list is what the service granted; so the stand-ins cannot drift into a dialect that only this workspace
//! speaks. Python and the packages of `requirements.txt` are part of the tests: without them the
//! tests fail.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the test harness shows it when a test fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use sandbox::{
    clock::Clock,
    pagerduty::{PagerDuty, User},
    strongdm::{ApiKey, SecondGrant, StrongDm, SuspendedIn},
    world,
};
use serde_json::json;

use crate::support::python;

const ADMIN_TOKEN: &str = "an-admin-token";
const READER_KEY: &str = "auth-00000000000reader";
/// More people than fit into the largest page.
const EXTRAS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_of_strongdm_sees_what_the_service_granted() {
    let stage = Stage::set().await;
    stage.agrees("strongdm_sdk.py");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_pagerduty_sees_whom_the_service_let_in() {
    let stage = Stage::set().await;
    stage.agrees("pagerduty_client.py");
}

struct Stage {
    pagerduty: PagerDuty,
    strongdm: StrongDm,
    service: Service,
    _directory: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any_port, clock.clone()).await.unwrap();
        let strongdm = StrongDm::start(any_port, clock.clone()).await.unwrap();
        world::seed(&pagerduty, &strongdm, clock.now());
        for number in 0..EXTRAS {
            let (id, email) = (format!("PX{number:05}"), format!("person-{number}@example.com"));
            pagerduty.add_user(User::new(&id, &format!("Person {number}"), &email));
        }
        assert!(strongdm.suspend_user("cem@example.com", SuspendedIn::Flag));
        strongdm.configure(|settings| {
            // The SDK tells errors apart by their details only.
            settings.error_details = true;
            settings.second_grant = SecondGrant::RefusesOverlapping;
            let reads = ["datasource:list", "user:list", "grant:read"];
            settings.keys.push(ApiKey::new(READER_KEY, world::SECRET_KEY, &reads));
        });
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("oncall-grants.toml");
        fs::write(&file, configuration(&pagerduty, &strongdm, directory.path())).unwrap();
        let service = Service::start(&file);
        Self { pagerduty, strongdm, service, _directory: directory }
    }

    /// Runs a script and fails with everything that it said, unless it found agreement.
    fn agrees(self, script: &str) {
        let users =
            self.pagerduty.edit(|world| world.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>());
        let given = json!({
            "service": self.service.url,
            "admin_token": ADMIN_TOKEN,
            "pagerduty": self.pagerduty.url(),
            "token": world::TOKEN,
            "strongdm": self.strongdm.url().trim_start_matches("http://"),
            "access_key": world::ACCESS_KEY,
            "secret_key": world::SECRET_KEY,
            "reader_key": READER_KEY,
            "schedule": world::SCHEDULE,
            "v3_schedule": world::V3_SCHEDULE,
            "lonely_schedule": world::LONELY_SCHEDULE,
            "policy": world::POLICY,
            "always": world::CEM,
            "users": users,
        });
        // The stand-ins answer from other threads meanwhile.
        let output = tokio::task::block_in_place(|| {
            run(Command::new(python::with("official-clients", &scripts().join("requirements.txt")))
                .arg("-B")
                .arg(scripts().join(script))
                .env("GIVEN", given.to_string())
                // Everything is on loopback, where no proxy may come in between.
                .envs([("NO_PROXY", "*"), ("no_proxy", "*")]))
        });
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        println!("{said}");
        assert!(
            output.status.success() && said.ends_with("all agreed\n"),
            "{script} disagrees:\n{complained}"
        );
    }
}

fn configuration(pagerduty: &PagerDuty, strongdm: &StrongDm, directory: &Path) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
admin_token = "{ADMIN_TOKEN}"
[pagerduty]
api_url = "{pagerduty}"
token = "{token}"
[strongdm]
api_url = "{strongdm}"
access_key = "{access_key}"
secret_key = "{secret_key}"
[store]
url = "sqlite:{store}"
[[rules]]
name = "production"
schedules = ["{schedule}"]
resources = ["prod-postgres"]
resource_filters = ["tags:env=prod"]
"#,
        pagerduty = pagerduty.url(),
        token = world::TOKEN,
        strongdm = strongdm.url(),
        access_key = world::ACCESS_KEY,
        secret_key = world::SECRET_KEY,
        store = directory.join("store.db").display(),
        schedule = world::SCHEDULE,
    )
}

/// The real binary; it ends with the test.
struct Service {
    url: String,
    child: Child,
}

impl Service {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oncall-grants"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("it was asked for"));
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end, so that the service never waits for us.
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("serving on ") {
                    let _ = sender.send(rest.split(' ').next().unwrap_or_default().to_owned());
                }
                eprintln!("{line}");
            }
        });
        let url = receiver.recv_timeout(Duration::from_secs(30)).expect("the service says where it listens");
        Self { url, child }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/official_clients")
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

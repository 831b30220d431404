//! Where the story plays: the stand-ins, the configuration of the service, and who has access.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sandbox::{
    clock::Clock,
    pagerduty::{Event, PagerDuty, Policy, Shift, Target},
    strongdm::StrongDm,
    world,
};

use crate::screen::{clock_time, took};

/// Longer than the slowest machine needs; what takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "demo";
/// Where everything listens if nobody else does: the service where its documentation says, and the stand-ins where
/// `cargo run -p sandbox` has them.
const PAGE_PORT: u16 = 8080;
const PAGERDUTY_PORT: u16 = 18081;
const STRONGDM_PORT: u16 = 18082;
const RESOURCES: [&str; 2] = ["prod-postgres", "prod-cluster"];
const PEOPLE: [Person; 4] = [ANA, BO, CEM, ELA];
pub(crate) const ANA: Person = Person { name: "Ana Lima", email: "ana@example.com" };
const BO: Person = Person { name: "Bo Chen", email: "bo.chen@example.com" };
pub(crate) const CEM: Person = Person { name: "Cem Öz", email: "cem@example.com" };
pub(crate) const ELA: Person = Person { name: "Ela Novak", email: "ela@example.com" };
/// How long access outlives the incident here: short, so that it is seen to end.
pub(crate) const END_LATE: &str = "2s";

#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    /// As strongDM has it.
    email: &'static str,
}

/// The two stand-ins, where the service will listen, and the directory with the configuration and the store.
pub(crate) struct Stage {
    pub(crate) pagerduty: PagerDuty,
    strongdm: StrongDm,
    listen: SocketAddr,
    directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(free(PAGERDUTY_PORT), clock.clone()).await?;
        let strongdm = StrongDm::start(free(STRONGDM_PORT), clock.clone()).await?;
        world::seed(&pagerduty, &strongdm, clock.now());
        let levels = vec![vec![Target::schedule(world::SCHEDULE)], vec![Target::user(world::ELA)]];
        pagerduty.put_policy(Policy::new(world::POLICY, "Payments", levels));
        pagerduty.set_shifts(world::V3_SCHEDULE, halves(clock.now()));
        let directory = tempfile::tempdir()?;
        let stage = Self { pagerduty, strongdm, listen: free(PAGE_PORT), directory };
        fs::write(stage.config_file(), stage.config())?;
        Ok(stage)
    }

    /// What the reader must know if the page is not where it usually is.
    pub(crate) fn another_port(&self) -> Option<String> {
        let is_another = self.listen.port() != PAGE_PORT;
        is_another
            .then(|| format!("Port {PAGE_PORT} is taken by another program, so the page is at another one."))
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("oncall-grants.toml")
    }

    /// Looks by itself once an hour only: what happens in between is the webhook's doing.
    fn config(&self) -> String {
        let store = self.directory.path().join("demo.db");
        format!(
            r#"[server]
listen = "{listen}"
admin_token = "{PASSWORD}"

[pagerduty]
api_url = "{pagerduty}"
token = "{token}"
webhook_secrets = ["{secret}"]

[strongdm]
api_url = "{strongdm}"
access_key = "{access_key}"
secret_key = "{secret_key}"

[store]
url = "sqlite:{store}"

[sync]
interval = "1h"
horizon = "1d"

[[rules]]
name = "payments on-call"
schedules = ["{schedule}"]
resources = ["prod-postgres"]
resource_filters = ["tags:team=platform"]

[[rules]]
name = "data platform"
schedules = ["{data}"]
resources = ["staging-mysql"]

[[rules]]
name = "payments incidents"
resources = ["prod-postgres"]
resource_filters = ["tags:team=platform"]
end_late = "{END_LATE}"

[rules.incidents]
services = ["{service}"]
max_duration = "1h"
"#,
            listen = self.listen,
            pagerduty = self.pagerduty.url(),
            token = world::TOKEN,
            secret = world::WEBHOOK_SECRET,
            strongdm = self.strongdm.url(),
            access_key = world::ACCESS_KEY,
            secret_key = world::SECRET_KEY,
            store = store.display(),
            schedule = world::SCHEDULE,
            data = world::V3_SCHEDULE,
            service = world::SERVICE,
        )
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.strongdm.clock().now()
    }

    /// Until when strongDM lets this person in; nothing if it does not let them in now.
    fn access(&self, email: &str, resource: &str) -> Option<DateTime<Utc>> {
        let now = self.now();
        let grants = self.strongdm.grants_of(email, resource);
        grants.iter().filter(|grant| grant.covers(now)).map(|grant| grant.end.unwrap_or(now)).max()
    }

    fn has_everything(&self, person: Person) -> bool {
        RESOURCES.iter().all(|resource| self.access(person.email, resource).is_some())
    }

    fn has_nothing(&self, person: Person) -> bool {
        RESOURCES.iter().all(|resource| self.access(person.email, resource).is_none())
    }

    /// When `person` has access, counted from `began`.
    pub(crate) async fn lets_in(&self, person: Person, began: Instant) -> Result<String> {
        wait_until(&format!("{} has access", person.name), || self.has_everything(person)).await?;
        Ok(took(began))
    }

    /// When `person` has none any more, counted from `began`.
    pub(crate) async fn keeps_out(&self, person: Person, began: Instant) -> Result<String> {
        wait_until(&format!("{} has none", person.name), || self.has_nothing(person)).await?;
        Ok(took(began))
    }

    /// Fails unless these people have access and nobody else.
    pub(crate) fn only(&self, people: &[Person]) -> Result<()> {
        for person in PEOPLE {
            let right =
                if people.contains(&person) { self.has_everything(person) } else { self.has_nothing(person) };
            ensure!(right, "{} has the wrong access", person.name);
        }
        Ok(())
    }

    /// PagerDuty delivers a signed event, and the service accepts it.
    pub(crate) async fn deliver(&self, event: &Event) -> Result<()> {
        let answer = self.pagerduty.deliver(event).await?;
        ensure!(answer.status == 202, "the webhook was answered {}: {}", answer.status, answer.body);
        Ok(())
    }

    /// Whom strongDM lets in now.
    pub(crate) fn inside(&self) -> String {
        let inside = PEOPLE.into_iter().filter(|person| self.has_everything(*person));
        let names: Vec<&str> = inside.map(|person| person.name).collect();
        names.join(", ")
    }

    /// Until when this person has access.
    pub(crate) fn end(&self, person: Person) -> String {
        let end = RESOURCES.iter().filter_map(|resource| self.access(person.email, resource)).min();
        end.map_or_else(|| "an unknown time".to_owned(), clock_time)
    }
}

/// A port that is free: this one, or any other.
fn free(preferred: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, preferred));
    let port = if TcpListener::bind(address).is_ok() { preferred } else { 0 };
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Bo and Ela share the days of the data platform.
fn halves(now: DateTime<Utc>) -> Vec<Shift> {
    let half = TimeDelta::hours(12);
    let begin = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now) - TimeDelta::hours(5);
    let half_day = |number: i32| {
        let (start, person) = (begin + half * number, [world::BO, world::ELA][usize::from(number % 2 == 1)]);
        Shift::new(person, start, start + half)
    };
    (0..6).map(half_day).collect()
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !holds() {
        ensure!(
            began.elapsed() < PATIENCE,
            "after {} s it still does not hold that {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

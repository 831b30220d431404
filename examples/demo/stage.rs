//! Where the story plays: the stand-ins, the configuration of the service, and who has access.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use sandbox::{
    clock::Clock,
    pagerduty::{Event, PagerDuty, Policy, Target},
    strongdm::StrongDm,
    world,
};

use crate::screen::{GREEN, clock_time, paint, say, took};

/// Longer than the slowest machine needs; what takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ADMIN_TOKEN: &str = "demo-admin-token";
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

/// The two stand-ins, and the directory with the configuration and the store.
pub(crate) struct Stage {
    pub(crate) pagerduty: PagerDuty,
    pub(crate) strongdm: StrongDm,
    pub(crate) control: String,
    directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any_port, clock.clone()).await?;
        let strongdm = StrongDm::start(any_port, clock.clone()).await?;
        let control = strongdm.start_control(any_port).await?;
        world::seed(&pagerduty, &strongdm, clock.now());
        let levels = vec![vec![Target::schedule(world::SCHEDULE)], vec![Target::user(world::ELA)]];
        pagerduty.put_policy(Policy::new(world::POLICY, "Payments", levels));
        let directory = tempfile::tempdir()?;
        let stage = Self { pagerduty, strongdm, control, directory };
        fs::write(stage.config_file(), stage.config())?;
        Ok(stage)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("oncall-grants.toml")
    }

    /// Looks by itself once an hour only: what happens in between is the webhook's doing.
    fn config(&self) -> String {
        let store = self.directory.path().join("demo.db");
        format!(
            r#"[server]
listen = "127.0.0.1:0"
admin_token = "{ADMIN_TOKEN}"

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
name = "payments incidents"
resources = ["prod-postgres"]
resource_filters = ["tags:team=platform"]
end_late = "{END_LATE}"

[rules.incidents]
services = ["{service}"]
max_duration = "1h"
"#,
            pagerduty = self.pagerduty.url(),
            token = world::TOKEN,
            secret = world::WEBHOOK_SECRET,
            strongdm = self.strongdm.url(),
            access_key = world::ACCESS_KEY,
            secret_key = world::SECRET_KEY,
            store = store.display(),
            schedule = world::SCHEDULE,
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

    /// Who has access now, as strongDM sees it.
    pub(crate) fn table(&self) {
        let [first, second] = RESOURCES;
        say(&format!("\n      {:<20}{first:<20}{second}", "strongDM lets in"));
        for person in PEOPLE {
            let cells = RESOURCES.map(|resource| match self.access(person.email, resource) {
                Some(end) => format!("until {}", clock_time(end)),
                None => "-".to_owned(),
            });
            let row = format!("      {:<20}{:<20}{}", person.name, cells[0], cells[1]);
            say(&if self.has_everything(person) { paint(GREEN, &row) } else { row });
        }
    }
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

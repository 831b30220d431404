//! Both stand-ins, the service between them, and what must hold at the end of every test.

use std::{
    ops::{Deref, DerefMut},
    time::Instant,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sandbox::{
    clock::Clock,
    faults::Action,
    pagerduty::{Event, PagerDuty, Shift},
    strongdm::StrongDm,
    world::{self, POLICY, SCHEDULE, SERVICE},
};
use serde_json::{Value, json};

use super::{Config, Service, wait_until};

/// A person: the PagerDuty ID and the address in strongDM.
pub(crate) type Person = (&'static str, &'static str);
pub(crate) const ANA: Person = (world::ANA, "ana@example.com");
pub(crate) const BO: Person = (world::BO, "bo.chen@example.com");
pub(crate) const CEM: Person = (world::CEM, "cem@example.com");
/// Has no account in strongDM.
pub(crate) const DENIZ: Person = (world::DENIZ, "deniz@example.com");

/// The stand-ins with the world of [`world::seed`], in which Ana is on call for two hours and Bo for the two hours
/// after them, and the service, once it is started. What a service can be asked, a scene can be asked.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) pagerduty: PagerDuty,
    pub(crate) strongdm: StrongDm,
    /// The instant from which tests count.
    pub(crate) zero: DateTime<Utc>,
    service: Service,
    /// Others ask PagerDuty as well, each of them few things at a time.
    others: bool,
}

impl Deref for Scene {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.service
    }
}

impl Scene {
    /// The stand-ins and a configuration; the service is not started yet.
    pub(crate) async fn prepared(config: Config) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any, clock.clone()).await.expect("a free port");
        let strongdm = StrongDm::start(any, clock.clone()).await.expect("a free port");
        let zero = clock.now().trunc_subsecs(0);
        world::seed(&pagerduty, &strongdm, zero);
        let file = config.text(&pagerduty.url(), &strongdm.url());
        let service = Service::new(config, &file);
        let scene = Self { pagerduty, strongdm, zero, service, others: false };
        scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
        scene
    }

    /// A scene whose first pass is over.
    pub(crate) async fn running(config: Config) -> Self {
        let mut scene = Self::prepared(config).await;
        scene.start().await;
        scene
    }

    /// One more service between these stand-ins, which is not started yet.
    pub(super) fn another_service(&self, config: Config) -> Service {
        let file = config.text(&self.pagerduty.url(), &self.strongdm.url());
        Service::new(config, &file)
    }

    /// Says that the service is not the only one that asks PagerDuty.
    pub(crate) fn others_ask_pagerduty(&mut self) {
        self.others = true;
    }

    /// The configuration file of this scene, for tests that change a word of it.
    pub(crate) fn config_file(&self) -> String {
        self.config.text(&self.pagerduty.url(), &self.strongdm.url())
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

    /// Cem takes Ana's shift over; Bo's stays.
    pub(crate) fn cem_takes_over(&self) {
        self.shifts(SCHEDULE, &[(CEM, -60, 120), (BO, 120, 240)]);
    }

    /// Ana and Bo take turns of ten minutes, so many in all.
    pub(crate) fn take_turns(&self, count: i64) {
        let turn = |n: i64| (if n % 2 == 0 { ANA } else { BO }, n * 10, n * 10 + 10);
        self.shifts(SCHEDULE, &(0..count).map(turn).collect::<Vec<_>>());
    }

    /// A fresh event about this schedule.
    pub(crate) fn about(&self, schedule: &str) -> Event {
        Event::new("schedule.updated", self.now(), json!({"id": schedule, "type": "schedule"}))
    }

    /// A fresh event about an incident that follows [`POLICY`].
    pub(crate) fn incident(&self) -> Event {
        Event::incident("incident.triggered", self.now(), POLICY, SERVICE)
    }

    /// PagerDuty refuses this path to the token from now on.
    pub(crate) fn deny_path(&self, path: &str) {
        self.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(path.to_owned()));
    }

    /// strongDM takes this right from the key.
    pub(crate) fn take_right(&self, right: &str) {
        self.strongdm.configure(|settings| _ = settings.keys[0].permissions.remove(right));
    }

    /// The minutes between which this person has access from now on; what has begun begins at 0.
    ///
    /// # Panics
    /// If a grant begins or ends within a minute, unless it has begun.
    pub(crate) fn access(&self, person: Person, resource: &str) -> Vec<(i64, i64)> {
        let now = self.now();
        let minutes = |at: DateTime<Utc>| {
            let seconds = (at - self.zero).num_seconds();
            assert_eq!(seconds % 60, 0, "{at} is not on a full minute of this scene");
            seconds / 60
        };
        let grants = self.strongdm.grants_of(person.1, resource).into_iter();
        let windows = grants.map(|grant| {
            let start = if grant.start <= now { 0 } else { minutes(grant.start) };
            (start, minutes(grant.end.expect("no grant of a test is endless")))
        });
        merged(windows)
    }

    /// Waits until this person's access is as given.
    pub(crate) async fn access_becomes(&self, person: Person, resource: &str, expected: &[(i64, i64)]) {
        let what = format!("{} has access to {resource} in {expected:?}", person.1);
        wait_until(&what, async || self.access(person, resource) == expected).await;
    }

    /// The IDs of all grants that strongDM has, in order.
    pub(crate) fn grant_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.strongdm.grants().into_iter().map(|grant| grant.id).collect();
        ids.sort_unstable();
        ids
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

    /// Asserts that PagerDuty was asked that since the last clearing, at `began`, and not more often than a burst and
    /// then once a second.
    pub(crate) fn assert_few_refreshes_since(&self, began: Instant) {
        let (refreshes, elapsed) = (self.refreshes(), began.elapsed());
        let most = 6 + usize::try_from(elapsed.as_secs()).expect("a few seconds");
        assert!((1..=most).contains(&refreshes), "{refreshes} refreshes in {elapsed:?}");
    }
}

/// PagerDuty's answer if nobody is on call.
pub(crate) fn nobody_on_call() -> Action {
    let list = json!({"oncalls": [], "limit": 100, "offset": 0, "more": false, "total": 0});
    Action::http(200, list.to_string())
}

/// The IDs of these grants, as a service lists them, in order.
pub(crate) fn grant_ids(grants: &[Value]) -> Vec<String> {
    // One that is being made has none yet.
    let id = |grant: &Value| grant["id"].as_str().unwrap_or("no ID yet").to_owned();
    let mut ids: Vec<String> = grants.iter().map(id).collect();
    ids.sort_unstable();
    ids
}

/// Windows in order, those that touch or overlap as one.
pub(crate) fn merged(windows: impl IntoIterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut windows: Vec<(i64, i64)> = windows.into_iter().collect();
    windows.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (start, end) in windows {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged
}

impl Drop for Scene {
    /// What must hold at the end of every test.
    fn drop(&mut self) {
        self.service.stop();
        if std::thread::panicking() {
            return;
        }
        assert_eq!(self.strongdm.counts().standing_grants_created, 0, "a grant without an end was made");
        assert!(
            self.service.was_killed || self.others || self.pagerduty.max_in_flight() <= 4,
            "PagerDuty was asked more than four things at once"
        );
    }
}

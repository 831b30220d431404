//! Services are killed at random moments while shifts change, webhooks arrive and answers get lost. Whatever happened,
//! afterwards access is exact, nothing is doubled or forgotten, and every accepted event was served.
//!
//! `CRASH_SEED` repeats what is done, though not to the millisecond, and `CRASH_ROUNDS` says how often it is done;
//! `scripts/crash` does it hundreds of times.

mod one;
mod several;

use std::{collections::BTreeSet, env, str::FromStr, time::Duration};

use chrono::TimeDelta;
use fastrand::Rng;
use oncall_grants::PassReport;
use sandbox::{
    faults::{Action, Fault},
    strongdm::SecondGrant,
    world::SCHEDULE,
};
use serde_json::Value;

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, Service, exit_code, grant_ids, merged, rule};

const PEOPLE: [Person; 3] = [ANA, BO, CEM];
const RESOURCES: [&str; 2] = [DB, "prod-web-1"];

/// Who, from which minute, to which.
type Shifts = Vec<(Person, i64, i64)>;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What a run is made of. Says so if the test fails.
struct Run {
    seed: u64,
    rounds: u32,
    round: u32,
    rng: Rng,
}

impl Run {
    fn new(rounds: u32) -> Self {
        let seed = setting("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
        let rounds = setting("CRASH_ROUNDS").unwrap_or(rounds);
        Self { seed, rounds, round: 0, rng: Rng::with_seed(seed) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "it is for whoever reads the failed test")]
            {
                eprintln!("CRASH_SEED={} failed in round {}", self.seed, self.round);
            }
        }
    }
}

fn config() -> Config {
    let rule = rule("crash", &[SCHEDULE], &RESOURCES);
    Config { max_revocations: 1000, ..Config::with_rules([rule]) }
}

/// Readies the stand-ins: rounds are faster than any rate limit allows.
fn ready(scene: &Scene, second_grant: SecondGrant) {
    scene.pagerduty.configure(|settings| (settings.budget, settings.oncalls_budget) = (u32::MAX, u32::MAX));
    scene.strongdm.configure(|settings| {
        (settings.read_budget, settings.write_budget) = (u32::MAX, u32::MAX);
        settings.second_grant = second_grant;
    });
}

/// Gives the schedule other shifts: three to six in a row, one of them under way; seldom a gap.
fn new_shifts(rng: &mut Rng, scene: &mut Scene) -> Shifts {
    // Long runs outlast the first shift otherwise. By whole minutes, since grants of earlier rounds may still stand.
    scene.zero += TimeDelta::minutes((scene.now() - scene.zero).num_minutes());
    let mut shifts = Vec::new();
    let mut from = -60;
    for _ in 0..rng.usize(3..7) {
        let to = from.max(0) + rng.i64(20..300);
        shifts.push((PEOPLE[rng.usize(..PEOPLE.len())], from, to));
        from = to + if rng.u8(0..5) == 0 { rng.i64(1..60) } else { 0 };
    }
    scene.shifts(SCHEDULE, &shifts);
    shifts
}

fn some_faults(rng: &mut Rng, scene: &Scene, count: usize) {
    let unavailable = || Action::grpc(14.into(), "unavailable");
    for _ in 0..count {
        let write = some_write(rng);
        let times = rng.u32(1..4);
        let fault = match rng.u8(0..7) {
            0 => Fault::on(write, unavailable()).times(times),
            1 => Fault::on(write, unavailable()).after_work().times(times),
            2 => Fault::on(write, Action::Cut).after_work().times(times),
            3 => Fault::on(write, Action::Cut).times(times),
            4 => Fault::on(write, Action::delay(Duration::from_millis(rng.u64(5..80)))).times(8),
            5 => Fault::on("AccountGrants.List", unavailable()).times(times),
            _ => {
                scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(503, "")).times(times));
                continue;
            }
        };
        scene.strongdm.faults().add(fault);
    }
}

fn some_write(rng: &mut Rng) -> &'static str {
    if rng.bool() { "AccountGrants.Create" } else { "AccountGrants.Delete" }
}

fn clear_faults(scene: &Scene) {
    scene.strongdm.faults().clear();
    scene.pagerduty.faults().clear();
}

/// Whether a pass can be had that finds everything in order and nothing left to do, now or after a pause.
async fn finds_nothing_to_do(service: &Service) -> bool {
    let Ok(answer) = service.try_send(service.sync_request()).await else { return false };
    let is_nothing = |report: &PassReport| {
        report.created.is_empty() && report.revoked.is_empty() && report.deferred.is_empty()
    };
    answer.status == 200 && is_nothing(&answer.report())
}

/// Whether everybody has access exactly while on call.
fn is_exact(scene: &Scene, shifts: &Shifts) -> bool {
    PEOPLE.iter().all(|person| {
        let wanted = on_call(shifts, *person);
        RESOURCES.iter().all(|resource| scene.access(*person, resource) == wanted)
    })
}

/// Everybody has access exactly while on call, by one grant at a time, and `ours` is all that strongDM has. The audit tells
/// whoever reads the failed test what happened.
fn check(scene: &Scene, shifts: &Shifts, ours: &[Value], audit: &[Value]) {
    for person in PEOPLE {
        let wanted = on_call(shifts, person);
        for resource in RESOURCES {
            let grants = scene.strongdm.grants_of(person.1, resource);
            let is_theirs = |grant: &Value| grant["email"] == person.1 && grant["resource"] == resource;
            let ours: Vec<&Value> = ours.iter().filter(|grant| is_theirs(grant)).collect();
            let audit: Vec<&Value> = audit.iter().filter(|entry| is_theirs(&entry["grant"])).collect();
            assert_eq!(
                scene.access(person, resource),
                wanted,
                "{} on {resource}: {grants:#?}, and by the ledger {ours:#?} after {audit:#?}",
                person.1
            );
            for (n, grant) in grants.iter().enumerate() {
                let doubled = grants[..n]
                    .iter()
                    .any(|other| Some(grant.start) < other.end && Some(other.start) < grant.end);
                assert!(!doubled, "{} has two grants for {resource} at once: {grants:?}", person.1);
            }
        }
    }
    assert_eq!(grant_ids(ours), scene.grant_ids(), "what is there is not what we know of");
}

/// Each accepted event counted once, and a pass has served it.
fn check_events(known: &[Value], accepted: &BTreeSet<String>) {
    for id in accepted {
        let is_this = |event: &&Value| event["event_id"] == **id && event["status"] == "accepted";
        let events: Vec<&Value> = known.iter().filter(is_this).collect();
        assert_eq!(events.len(), 1, "{id} was accepted, and is known so often: {events:?}");
        assert!(events[0]["pass_id"].is_string(), "{id} was not served");
    }
}

/// No number of the audit is missing or doubled, and every entry is as it was hashed.
async fn check_log(service: &Service) {
    let verified = service.run(&["audit", "verify"]).await;
    assert_eq!(exit_code(&verified), 0, "{verified:?}");
}

/// The minutes in which this person is on call, from now on.
fn on_call(shifts: &Shifts, person: Person) -> Vec<(i64, i64)> {
    let theirs = shifts.iter().filter(|(who, _, _)| *who == person);
    merged(theirs.map(|(_, from, to)| ((*from).max(0), *to)))
}

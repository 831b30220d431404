//! The service is killed at random moments while shifts change, webhooks arrive and answers get lost. Whatever
//! happened, after a restart access is exact, nothing is doubled or forgotten, and every accepted event was served.
//!
//! `CRASH_SEED` repeats a run, `CRASH_ROUNDS` makes it longer; `scripts/crash` does hundreds.

use std::{collections::BTreeSet, env, str::FromStr, time::Duration};

use fastrand::Rng;
use sandbox::{
    faults::{Action, Fault},
    strongdm::SecondGrant,
    world::SCHEDULE,
};

use crate::support::{ANA, BO, CEM, Config, Scene, wait_until};

const PEOPLE: [(&str, &str); 3] = [ANA, BO, CEM];
const RESOURCES: [&str; 2] = ["prod-postgres", "prod-web-1"];

/// Who, from which minute, to which.
type Shifts = Vec<((&'static str, &'static str), i64, i64)>;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

#[tokio::test]
async fn killed_at_random_it_neither_forgets_nor_doubles() {
    survive(SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn killed_at_random_where_overlapping_grants_are_refused_it_neither_forgets_nor_doubles() {
    survive(SecondGrant::RefusesOverlapping).await;
}

async fn survive(second_grant: SecondGrant) {
    let seed = setting("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = setting("CRASH_ROUNDS").unwrap_or(8);
    let mut rng = Rng::with_seed(seed);
    let rule = crate::support::rule("crash", &[SCHEDULE], &RESOURCES);
    let mut scene = Scene::running(Config { max_revocations: 1000, ..Config::with_rules([rule]) }).await;
    // Rounds are faster than any rate limit allows.
    scene.pagerduty.configure(|settings| (settings.budget, settings.oncalls_budget) = (u32::MAX, u32::MAX));
    scene.strongdm.configure(|settings| {
        (settings.read_budget, settings.write_budget) = (u32::MAX, u32::MAX);
        settings.second_grant = second_grant;
    });
    for round in 0..rounds {
        let mut accepted = BTreeSet::new();
        let about = format!("CRASH_SEED={seed} round {round}");
        let shifts = some_shifts(&mut rng);
        scene.shifts(SCHEDULE, &shifts);
        some_faults(&mut rng, &scene);
        for _ in 0..rng.usize(1..4) {
            let event = scene.about(SCHEDULE);
            if scene.post_signed(event.body()).await.status == 202 {
                accepted.insert(event.id.clone());
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        }
        scene.kill();
        if rng.bool() {
            clear_faults(&scene);
        }
        scene.launch().await;
        if rng.u8(0..4) == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
            scene.kill();
            scene.launch().await;
        }
        clear_faults(&scene);
        settle(&scene, &about).await;
        check(&scene, &shifts, &accepted, &about).await;
    }
}

/// Three to six shifts in a row, one of them under way; seldom a gap.
fn some_shifts(rng: &mut Rng) -> Shifts {
    let mut shifts = Vec::new();
    let mut from = -60;
    for _ in 0..rng.usize(3..7) {
        let to = from.max(0) + rng.i64(20..300);
        shifts.push((PEOPLE[rng.usize(..PEOPLE.len())], from, to));
        from = to + if rng.u8(0..5) == 0 { rng.i64(1..60) } else { 0 };
    }
    shifts
}

fn some_faults(rng: &mut Rng, scene: &Scene) {
    let unavailable = || Action::grpc(14.into(), "unavailable");
    for _ in 0..rng.usize(0..4) {
        let write = if rng.bool() { "AccountGrants.Create" } else { "AccountGrants.Delete" };
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

fn clear_faults(scene: &Scene) {
    scene.strongdm.faults().clear();
    scene.pagerduty.faults().clear();
}

/// Waits for a pass that finds everything in order and nothing left to do.
async fn settle(scene: &Scene, about: &str) {
    wait_until(&format!("{about}: all is settled"), async || {
        let answer = scene.sync().await;
        (answer.status == 200 && answer.count("created") + answer.count("revoked") == 0).then_some(())
    })
    .await;
}

async fn check(scene: &Scene, shifts: &Shifts, accepted: &BTreeSet<String>, about: &str) {
    for person in PEOPLE {
        let wanted = merged(shifts, person);
        for resource in RESOURCES {
            assert_eq!(scene.access(person, resource), wanted, "{about}: {} on {resource}", person.1);
            let grants = scene.strongdm.grants_of(person.1, resource);
            for (n, grant) in grants.iter().enumerate() {
                let doubled = grants[..n]
                    .iter()
                    .any(|other| Some(grant.start) < other.end && Some(other.start) < grant.end);
                assert!(!doubled, "{about}: {} has two grants for {resource} at once: {grants:?}", person.1);
            }
        }
    }
    let ours: BTreeSet<String> =
        scene.grants().await.iter().map(|grant| grant["id"].as_str().expect("an ID").to_owned()).collect();
    let there: BTreeSet<String> = scene.strongdm.grants().iter().map(|grant| grant.id.clone()).collect();
    assert_eq!(ours, there, "{about}: what is there is not what we know of");
    scene.all_served().await;
    let known = scene.events().await;
    for id in accepted {
        assert!(
            known.iter().any(|event| event["event_id"] == **id),
            "{about}: {id} was accepted and forgotten"
        );
    }
}

/// The minutes in which this person is on call, from now on.
fn merged(shifts: &Shifts, person: (&str, &str)) -> Vec<(i64, i64)> {
    let mut windows: Vec<(i64, i64)> = Vec::new();
    for (_, from, to) in shifts.iter().filter(|(who, _, _)| *who == person) {
        match windows.last_mut() {
            Some((_, end)) if *from <= *end => *end = *to,
            _ => windows.push(((*from).max(0), *to)),
        }
    }
    windows
}

//! The order of writes, as strongDM and the audit see it: who is on call now waits for nobody's later shift.

use chrono::{DateTime, Utc};
use sandbox::world::SCHEDULE;

use crate::support::{ANA, BO, CEM, Config, DB, Scene, rule};

const RESOURCES: [&str; 4] = [DB, "prod-web-1", "prod-cluster", "prod-new-thing"];
/// So many writes are under way at once, which may overtake each other.
const AT_ONCE: usize = 4;

/// Asserts that none of these began before one that comes more than a few places later.
fn assert_nearest_first(starts: &[DateTime<Utc>]) {
    for (place, start) in starts.iter().enumerate() {
        let later = starts.iter().skip(place + AT_ONCE);
        assert!(later.clone().all(|other| other >= start), "{start} at place {place} of {starts:?}");
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[tokio::test]
async fn who_is_on_call_now_is_served_first_and_then_the_nearest_shifts() {
    let mut scene = Scene::prepared(Config::with_rules([rule("all", &[SCHEDULE], &RESOURCES)])).await;
    // Whose account comes last by its ID.
    let people = [ANA, BO, CEM];
    let account = |person: (&str, &str)| scene.strongdm.account_id(person.1).expect("an account");
    let last = people.into_iter().max_by_key(|person| account(*person)).expect("three people");
    let account = account(last);
    let others: Vec<_> = people.into_iter().filter(|person| *person != last).collect();
    let turn = |n: i64| (others[usize::try_from(n % 2).expect("0 or 1")], n * 60, n * 60 + 60);
    let shifts: Vec<_> = [(last, -60, 60)].into_iter().chain((1..12).map(turn)).collect();
    scene.shifts(SCHEDULE, &shifts);
    scene.start().await;

    let calls = scene.strongdm.calls();
    let made: Vec<_> = calls.iter().filter(|call| call.method == "AccountGrants.Create").collect();
    assert_eq!(made.len(), RESOURCES.len() * shifts.len());
    let first: Vec<&str> = made[..RESOURCES.len()].iter().map(|call| call.fact("account_id")).collect();
    assert_eq!(first, vec![account.as_str(); RESOURCES.len()]);
    assert_nearest_first(&made.iter().map(|call| time(call.fact("start_from"))).collect::<Vec<_>>());

    let audit = scene.audit().await;
    let told = audit.iter().rev().map(|entry| time(entry["grant"]["start"].as_str().expect("a start")));
    assert_nearest_first(&told.collect::<Vec<_>>());
}

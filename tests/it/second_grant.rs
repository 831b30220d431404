//! Nobody documents whether strongDM takes a second grant for the same account and resource. In each of the three
//! plausible worlds access ends up right, foreign grants stay, and nothing is written twice.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::Shift,
    strongdm::SecondGrant::{self, RefusesAny, RefusesOverlapping, TakesAll},
    world::SCHEDULE,
};

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, merged, rule, wait_for};

const WORLDS: [SecondGrant; 3] = [TakesAll, RefusesOverlapping, RefusesAny];
const RESOURCES: [&str; 2] = [DB, "prod-web-1"];

type Shifts = &'static [(Person, i64, i64)];

async fn scene_in(world: SecondGrant) -> Scene {
    let mut scene = Scene::prepared(Config::with_rules([rule("both", &[SCHEDULE], &RESOURCES)])).await;
    scene.strongdm.configure(|settings| settings.second_grant = world);
    scene.start().await;
    scene
}

fn everyone() -> impl Iterator<Item = (Person, &'static str)> {
    [ANA, BO, CEM].into_iter().flat_map(|person| RESOURCES.map(|resource| (person, resource)))
}

/// Who has access at this moment, and who should have it.
fn assert_access_now(scene: &Scene, shifts: Shifts, about: &str) {
    for (person, resource) in everyone() {
        let on_call = shifts.iter().any(|(who, from, to)| *who == person && (*from..*to).contains(&0));
        let has = scene.strongdm.has_access(person.1, resource, scene.now());
        assert_eq!(has, on_call, "{about}: {} on {resource}", person.1);
    }
}

#[tokio::test]
async fn swapped_shortened_and_extended_shifts_end_in_right_access_in_every_world() {
    let changes: [(&str, Shifts); 8] = [
        ("swapped", &[(BO, -60, 120), (ANA, 120, 240)]),
        ("shortened", &[(BO, -60, 90), (ANA, 90, 240)]),
        ("extended", &[(BO, -60, 300)]),
        ("one handed over", &[(CEM, -60, 100), (BO, 100, 300)]),
        ("with an override in between", &[(CEM, -60, 30), (ANA, 30, 60), (CEM, 60, 100), (BO, 100, 300)]),
        ("without the override again", &[(CEM, -60, 100), (BO, 100, 300)]),
        ("nobody for a while", &[(CEM, 50, 100)]),
        ("as it was", &[(ANA, -60, 120), (BO, 120, 240)]),
    ];
    join_all(WORLDS.map(async |world| {
        let scene = scene_in(world).await;
        for (about, shifts) in changes {
            let about = format!("{about}, {world:?}");
            scene.shifts(SCHEDULE, shifts);
            let report = scene.synced().await;
            assert_access_now(&scene, shifts, &about);
            assert_eq!(report.skipped, [], "{about}");
            let deferred = report.deferred;
            assert!(world == RefusesAny || deferred.is_empty(), "{about}: {deferred:?}");
            for (person, resource) in everyone() {
                let wanted: Vec<(i64, i64)> = shifts
                    .iter()
                    .filter(|(who, ..)| *who == person)
                    .map(|(_, from, to)| ((*from).max(0), *to))
                    .collect();
                let mut granted = scene.access(person, resource);
                let theirs = deferred
                    .iter()
                    .filter(|grant| grant.email.as_str() == person.1 && grant.resource == resource);
                let minutes = |at: DateTime<Utc>| (at - scene.zero).num_minutes();
                granted
                    .extend(theirs.map(|grant| (minutes(grant.window.start()), minutes(grant.window.end()))));
                assert_eq!(merged(granted), wanted, "{about}: {} on {resource}", person.1);
            }
            let writes = scene.writes();
            let calls = scene.strongdm.calls().len();
            scene.synced().await;
            assert_eq!(scene.writes(), writes, "{about}: the second pass wrote");
            let tried = scene.strongdm.calls().split_off(calls);
            let tried =
                tried.iter().any(|call| ["Create", "Delete"].iter().any(|word| call.method.ends_with(word)));
            assert!(!tried, "{about}: the second pass tried to write");
        }
    }))
    .await;
}

#[tokio::test]
async fn foreign_grants_are_never_touched_in_any_world() {
    join_all(WORLDS.map(async |world| {
        let mut scene = Scene::prepared(Config::default()).await;
        scene.strongdm.configure(|settings| settings.second_grant = world);
        let foreign = |(_, email): Person, from, to: Option<i64>| {
            scene.strongdm.add_foreign_grant(email, DB, scene.minute(from), to.map(|to| scene.minute(to)))
        };
        let theirs = [
            foreign(ANA, -30, Some(60)),
            foreign(BO, -30, Some(500)),
            foreign(CEM, 0, None),
            foreign(BO, 300, Some(400)),
        ];
        scene.start().await;
        let mut deferred = Vec::new();
        let changes: [Shifts; 3] = [
            &[(ANA, -60, 120), (BO, 120, 240)],
            &[(CEM, -60, 120), (ANA, 120, 240), (BO, 240, 350)],
            &[(BO, -60, 700)],
        ];
        for shifts in changes {
            scene.shifts(SCHEDULE, shifts);
            let report = scene.synced().await;
            deferred.push(report.deferred.len());
            let there = scene.grant_ids();
            assert!(theirs.iter().all(|id| there.contains(id)), "{world:?}: {theirs:?} {there:?}");
            let writes = scene.writes();
            scene.synced().await;
            assert_eq!(scene.writes(), writes, "{world:?}: the second pass wrote");
        }
        let calls = scene.strongdm.calls();
        let removed = |id: &String| {
            calls.iter().any(|call| call.method == "AccountGrants.Delete" && call.fact("id") == *id)
        };
        assert!(!theirs.iter().any(removed), "{world:?}");
        // Ana's grant of others ends before her shift does, Bo's before his last one.
        let expected = if world == TakesAll { [0, 0, 0] } else { [1, 0, 1] };
        assert_eq!(deferred, if world == RefusesAny { [1, 1, 1] } else { expected }, "{world:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_deferred_window_is_granted_the_moment_the_one_in_its_way_ends() {
    let mut late = Vec::new();
    // On a busy machine there may be too little time before the end, or after it.
    for seconds in [8, 16, 32] {
        late.push(lateness_of_a_deferred_window(seconds).await);
        // A second by contract; the rest is for a busy machine.
        if late.iter().flatten().any(|late| *late < Duration::from_secs(2)) {
            return;
        }
    }
    panic!("it took {late:?}");
}

#[tokio::test]
async fn where_any_second_grant_is_refused_none_is_asked_for_before_the_one_in_its_way_is_gone() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(|settings| settings.second_grant = RefusesAny);
    scene.shifts(SCHEDULE, &[(ANA, 100, 200), (ANA, 300, 400)]);
    scene.start().await;
    assert_eq!(scene.synced().await.deferred.len(), 1, "it knows that a second grant is refused");
    let calls = scene.strongdm.calls().len();
    // Not one that the client itself tries again.
    let refused = Action::grpc(tonic::Code::InvalidArgument, "no");
    scene.strongdm.faults().add(Fault::on("AccountGrants.Delete", refused));
    scene.shifts(SCHEDULE, &[(ANA, 0, 50), (ANA, 100, 200), (ANA, 300, 400)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(ANA, DB, &[(0, 50)]).await;
    let calls = scene.strongdm.calls().split_off(calls);
    let methods = calls.iter().filter_map(|call| call.method.strip_prefix("AccountGrants."));
    let writes: Vec<&str> = methods.filter(|method| ["Create", "Delete"].contains(method)).collect();
    assert_eq!(writes, ["Delete", "Delete", "Create"]);
}

/// How long after the end of the window in its way, which ends after so many seconds, a deferred one is granted; none
/// if that ended before the service had deferred anything.
async fn lateness_of_a_deferred_window(seconds: i64) -> Option<Duration> {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(|settings| settings.second_grant = RefusesAny);
    let (end, next) = (scene.second(seconds), scene.second(seconds + 2));
    scene.pagerduty.set_shifts(
        SCHEDULE,
        vec![Shift::new(ANA.0, scene.second(-60), end), Shift::new(ANA.0, next, scene.second(600))],
    );
    scene.start().await;
    let deferred = scene.synced().await.deferred;
    if scene.now() >= end {
        return None;
    }
    assert_eq!(deferred.len(), 1);
    // The interval is an hour: nothing but the end of the first one makes it look.
    let granted = wait_for("the deferred window is granted", async || {
        scene.strongdm.all_grants().into_iter().find(|grant| grant.start == next)
    })
    .await;
    Some((granted.created_at - end).to_std().expect("not before the first one ends"))
}

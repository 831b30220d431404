//! strongDM stores another end or start than the one that was asked for: at once, behind a lost answer, or later. What it
//! stored is what the service knows, what is too much goes, what is missing comes, and nothing goes round in circles.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    strongdm::{
        SecondGrant, StoredEnd,
        StoredEnd::{Dropped, Later, SecondsFromNow, SecondsFromStart},
        StoredStart,
        StoredStart::NotInThePast,
    },
    world::SCHEDULE,
};
use serde_json::Value;

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, grant_ids, wait_for, wait_until};

const CREATE: &str = "AccountGrants.Create";

/// A scene that starts in a strongDM of this kind.
async fn scene_with(start: StoredStart, end: StoredEnd) -> Scene {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(|settings| (settings.stored_start, settings.stored_end) = (start, end));
    scene.start().await;
    scene
}

fn behave(scene: &Scene, start: StoredStart, end: StoredEnd) {
    scene.strongdm.configure(|settings| (settings.stored_start, settings.stored_end) = (start, end));
}

/// Waits until the service lists exactly the grants that strongDM has, with their windows, but for these.
async fn is_told_as_stored(scene: &Scene, but: &[&str]) {
    let instant = |at: DateTime<Utc>| at.format("%FT%TZ").to_string();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    wait_until("the service knows what is stored", async || {
        let listed = scene.grants().await;
        let ours: BTreeSet<_> = listed
            .iter()
            .map(|grant| (text(&grant["id"]), text(&grant["start"]), Some(text(&grant["end"]))))
            .collect();
        let there = scene.strongdm.grants().into_iter().filter(|grant| !but.contains(&grant.id.as_str()));
        let there: BTreeSet<_> =
            there.map(|grant| (grant.id, instant(grant.start), grant.end.map(instant))).collect();
        ours == there && ours.len() == listed.len()
    })
    .await;
}

/// Asserts that two passes in a row write nothing.
async fn assert_at_rest(scene: &Scene) {
    let tried = || scene.strongdm.calls().iter().filter(|call| call.method == CREATE).count();
    let before = (scene.writes(), tried());
    for _ in 0..2 {
        scene.sync().await;
    }
    assert_eq!((scene.writes(), tried()), before, "a pass that found nothing changed wrote");
}

/// Waits until this person has had so many grants, and asserts that nobody was without access between the first of them and
/// the last.
async fn assert_renewed_without_a_gap(scene: &Scene, person: Person, count: usize) {
    let account = scene.strongdm.account_id(person.1).expect("an account");
    let made = || {
        let mut made = scene.strongdm.all_grants();
        made.retain(|grant| grant.account_id == account);
        made
    };
    wait_until("the grant is renewed", async || made().len() >= count).await;
    for pair in made().windows(2) {
        let [one, next] = pair else { unreachable!("windows of two") };
        let (end, from) = (one.end.expect("an end"), next.start.max(next.created_at));
        assert!(from <= end, "no access from {end} until {from}");
    }
}

#[tokio::test]
async fn a_shortened_grant_is_known_as_stored_and_its_rest_waits_its_turn() {
    join_all([SecondGrant::TakesAll, SecondGrant::RefusesOverlapping, SecondGrant::RefusesAny].map(
        async |second| {
            let mut scene = Scene::prepared(Config::default()).await;
            behave(&scene, StoredStart::AsAsked, SecondsFromStart(3600));
            scene.strongdm.configure(|settings| settings.second_grant = second);
            scene.start().await;
            assert_eq!(scene.strongdm.grants().len(), 2);
            assert_eq!(scene.access(BO, DB), [(120, 180)]);
            is_told_as_stored(&scene, &[]).await;
            let report = scene.synced().await;
            assert_eq!((report.deferred.len(), report.created.len()), (2, 0), "{second:?}: {report:?}");
            assert_at_rest(&scene).await;
            // The order of things stays: whoever is not on call loses the access.
            scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
            scene.access_becomes_after_syncs(ANA, &[]).await;
            assert_at_rest(&scene).await;
        },
    ))
    .await;
}

impl Scene {
    async fn access_becomes_after_syncs(&self, person: Person, expected: &[(i64, i64)]) {
        wait_until("access is as it should be", async || {
            self.sync().await;
            self.access(person, DB) == expected
        })
        .await;
    }
}

#[tokio::test]
async fn a_grant_that_strongdm_lets_last_for_seconds_is_renewed_before_it_ends() {
    join_all([SecondsFromStart(8), SecondsFromNow(12)].map(async |end| {
        let mut scene = Scene::prepared(Config::default()).await;
        behave(&scene, StoredStart::AsAsked, end);
        scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
        scene.start().await;
        assert_renewed_without_a_gap(&scene, ANA, 4).await;
        let (creates, deletes) = scene.writes();
        assert!(creates <= 6 && deletes == 0, "{end:?}: {creates} made, {deletes} removed");
    }))
    .await;
}

#[tokio::test]
async fn where_strongdm_takes_one_grant_only_a_shortened_one_is_renewed_when_it_ends() {
    let mut scene = Scene::prepared(Config::default()).await;
    behave(&scene, StoredStart::AsAsked, SecondsFromStart(6));
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesAny);
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
    scene.start().await;
    wait_until("it is renewed twice", async || scene.strongdm.all_grants().len() >= 3).await;
    let late: Vec<TimeDelta> = scene
        .strongdm
        .all_grants()
        .windows(2)
        .map(|pair| pair[1].created_at - pair[0].end.expect("an end"))
        .collect();
    // A second by contract; the rest is for a busy machine.
    assert!(late.iter().any(|late| late.num_milliseconds() < 3000), "{late:?}");
}

#[tokio::test]
async fn what_would_give_access_for_too_long_is_taken_back_told_and_not_tried_again_all_the_time() {
    join_all([Dropped, Later(3600)].map(async |end| {
        let scene = scene_with(StoredStart::AsAsked, end).await;
        for _ in 0..6 {
            let answer = scene.sync().await;
            assert_eq!(answer.status, 502, "{}", answer.text);
            let failed = answer.report().failed;
            let told = |person: Person| {
                failed.iter().any(|it| {
                    let error = it.error.to_string();
                    it.grant.email.as_str() == person.1
                        && error.contains("instead of")
                        && error.contains("exempt")
                })
            };
            assert!(told(ANA) && told(BO), "{end:?}: {}", answer.text);
        }
        let (creates, deletes) = scene.writes();
        assert!(creates <= 8, "{end:?}: {creates} made");
        assert_eq!((creates, scene.strongdm.grants()), (deletes, vec![]), "{end:?}: all are taken back");
        let entries = scene.audit().await.len();
        assert!(entries <= 2 * creates, "{entries} entries for {creates} grants");

        behave(&scene, StoredStart::AsAsked, StoredEnd::AsAsked);
        scene.access_becomes(ANA, DB, &[(0, 120)]).await;
        scene.access_becomes(BO, DB, &[(120, 240)]).await;
        is_told_as_stored(&scene, &[]).await;
        assert_at_rest(&scene).await;
        assert_eq!(scene.synced().await.failed.len(), 0);
    }))
    .await;
}

#[tokio::test]
async fn a_start_that_strongdm_moves_is_known_as_stored_and_leads_to_nothing_more() {
    let scene = scene_with(NotInThePast, StoredEnd::AsAsked).await;
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![(120, 240)]));
    is_told_as_stored(&scene, &[]).await;
    assert_at_rest(&scene).await;
    assert_eq!(scene.writes(), (2, 0));

    // strongDM's clock is ahead.
    let scene = scene_with(StoredStart::SecondsFromNow(4), StoredEnd::AsAsked).await;
    is_told_as_stored(&scene, &[]).await;
    assert_at_rest(&scene).await;
    assert_eq!(scene.writes(), (2, 0));
    wait_until("it begins", async || scene.strongdm.has_access(ANA.1, DB, scene.now())).await;
    assert_at_rest(&scene).await;
}

#[tokio::test]
async fn access_before_its_time_is_taken_back() {
    let scene = scene_with(StoredStart::Dropped, StoredEnd::AsAsked).await;
    for _ in 0..3 {
        let failed = scene.sync().await.report().failed;
        assert!(failed.iter().any(|it| it.grant.email.as_str() == BO.1), "{failed:?}");
    }
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(0, 120)], vec![]));
    let (creates, deletes) = scene.writes();
    assert!(creates <= 6 && deletes == creates - 1, "{creates} made, {deletes} removed");
}

/// Makes the next creation lose its answer, after it was carried out.
fn lose_next_answer(scene: &Scene) {
    let lost = Action::grpc(tonic::Code::Unavailable, "come again");
    scene.strongdm.faults().add(Fault::on(CREATE, lost).after_work());
}

#[tokio::test]
async fn behind_a_lost_answer_a_grant_is_found_with_the_window_that_strongdm_gave_it() {
    join_all([(NotInThePast, StoredEnd::AsAsked), (StoredStart::AsAsked, SecondsFromStart(600))].map(
        async |(start, end)| {
            let scene = Scene::running(Config::default()).await;
            behave(&scene, start, end);
            scene.cem_takes_over();
            // So that the start that was asked for lies in the past.
            let slow = Action::delay(std::time::Duration::from_millis(1500));
            scene.strongdm.faults().add(Fault::on(CREATE, slow));
            lose_next_answer(&scene);
            scene.sync().await;
            assert_eq!(scene.strongdm.grants_of(CEM.1, DB).len(), 1, "{start:?} {end:?}: it was found");
            assert!(scene.strongdm.has_access(CEM.1, DB, scene.now()));
            let adopted = scene.audit().await.into_iter().filter(|entry| entry["action"] == "adopt").count();
            assert_eq!(adopted, 1, "{start:?} {end:?}");
            is_told_as_stored(&scene, &[]).await;
            assert_at_rest(&scene).await;
            assert_eq!(scene.writes(), (3, 1), "{start:?} {end:?}");
        },
    ))
    .await;
}

#[tokio::test]
async fn behind_a_lost_answer_a_later_end_is_taken_back() {
    let scene = Scene::running(Config::default()).await;
    behave(&scene, StoredStart::AsAsked, Later(3600));
    scene.cem_takes_over();
    lose_next_answer(&scene);
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert_eq!(scene.strongdm.grants_of(CEM.1, DB), [], "{}", answer.text);
    behave(&scene, StoredStart::AsAsked, StoredEnd::AsAsked);
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
}

#[tokio::test]
async fn behind_a_lost_answer_a_grant_without_an_end_is_told_and_left() {
    let scene = Scene::running(Config::default()).await;
    behave(&scene, StoredStart::AsAsked, Dropped);
    scene.cem_takes_over();
    lose_next_answer(&scene);
    scene.deliver(&scene.about(SCHEDULE)).await;
    let endless = wait_for("the answer is lost", async || scene.strongdm.grants_of(CEM.1, DB).pop()).await;
    behave(&scene, StoredStart::AsAsked, StoredEnd::AsAsked);
    scene.has_logged(&[&format!("strongDM has the grant {}", endless.id)]).await;
    let is_told = |entry: &Value| entry["grant"]["id"] == endless.id.as_str();
    let told = wait_for("it is told", async || scene.audit().await.into_iter().find(is_told)).await;
    let reason = told["reason"].as_str().expect("a reason");
    assert!(reason.contains("has no end") && reason.contains("remove it in strongDM"), "{reason}");
    wait_until("Cem has a grant of ours", async || {
        scene.sync().await;
        scene.grants().await.iter().any(|grant| grant["email"] == CEM.1)
    })
    .await;
    scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    wait_until("it is revoked", async || {
        scene.sync().await;
        scene.strongdm.grants_of(CEM.1, DB).len() == 1
    })
    .await;
    is_told_as_stored(&scene, &[&endless.id]).await;
    assert_eq!(scene.strongdm.grants_of(CEM.1, DB), [endless], "nothing proves that it is ours");
}

#[tokio::test]
async fn what_others_make_while_an_answer_is_lost_is_never_taken_for_ours() {
    let scene = Scene::running(Config::default()).await;
    scene.cem_takes_over();
    let lost = Action::grpc(tonic::Code::Unavailable, "come again");
    scene.strongdm.faults().add(Fault::on(CREATE, lost));
    let gate = scene.strongdm.faults().gate_with(
        Fault::on("AccountGrants.List", Action::Stall)
            .containing(scene.strongdm.account_id(CEM.1).expect("an account")),
    );
    let others = async {
        gate.arrived().await;
        let foreign = |start, end| scene.strongdm.add_foreign_grant(CEM.1, DB, start, end);
        let now = scene.now();
        let theirs = [
            foreign(now - TimeDelta::minutes(10), Some(scene.minute(120))),
            foreign(now + TimeDelta::minutes(2), Some(scene.minute(120))),
            foreign(now + TimeDelta::seconds(1), Some(scene.minute(30))),
            foreign(now, None),
        ];
        gate.open();
        theirs
    };
    let (_, theirs) = tokio::join!(scene.sync(), others);
    scene.shifts(SCHEDULE, &[(BO, 120, 240)]);
    wait_until("nobody but others gave access", async || {
        scene.sync().await;
        scene.strongdm.grants_of(CEM.1, DB).len() == theirs.len()
    })
    .await;
    let there = scene.grant_ids();
    assert!(theirs.iter().all(|id| there.contains(id)), "{theirs:?} {there:?}");
    assert!(!scene.grants().await.iter().any(|grant| grant["email"] == CEM.1));
}

/// The ID of this person's only grant.
fn only_grant(scene: &Scene, person: Person) -> String {
    let [grant] = scene.strongdm.grants_of(person.1, DB).try_into().expect("one grant");
    grant.id
}

#[tokio::test]
async fn a_comparison_notices_another_end_and_puts_it_right() {
    join_all([None, Some(300), Some(60)].map(async |minute| {
        let scene = Scene::running(Config::default()).await;
        let id = only_grant(&scene, ANA);
        scene.strongdm.edit_grant(&id, |grant| grant.end = minute.map(|minute| scene.minute(minute)));
        scene.sync().await;
        if minute == Some(60) {
            assert_eq!(scene.access(ANA, DB), [(0, 60)]);
            assert_eq!(scene.sync().await.report().deferred.len(), 1, "the rest has its time");
        } else {
            wait_until("the right one is there alone", async || {
                let there = scene.strongdm.grants_of(ANA.1, DB);
                there.len() == 1 && there[0].end == Some(scene.minute(120))
            })
            .await;
            assert!(scene.strongdm.has_access(ANA.1, DB, scene.now()));
        }
        is_told_as_stored(&scene, &[]).await;
        assert_at_rest(&scene).await;
        let altered = scene.audit().await.into_iter().filter(|entry| entry["action"] == "alter").count();
        assert_eq!(altered, 1);
    }))
    .await;
}

#[tokio::test]
async fn a_comparison_notices_an_end_that_is_near_and_the_rest_is_made_before_it() {
    let scene = Scene::running(Config::default()).await;
    let id = only_grant(&scene, ANA);
    let soon = scene.now() + TimeDelta::seconds(10);
    scene.strongdm.edit_grant(&id, |grant| grant.end = Some(soon));
    scene.sync().await;
    assert_renewed_without_a_gap(&scene, ANA, 2).await;
    assert_at_rest(&scene).await;
}

#[tokio::test]
async fn a_comparison_notices_another_start_and_puts_it_right() {
    join_all([(ANA, 10), (BO, -5)].map(async |(person, minute)| {
        let scene = Scene::running(Config::default()).await;
        let wanted = scene.access(person, DB);
        let id = only_grant(&scene, person);
        scene.strongdm.edit_grant(&id, |grant| grant.start = scene.minute(minute));
        scene.sync().await;
        scene.access_becomes(person, DB, &wanted).await;
        is_told_as_stored(&scene, &[]).await;
        assert_at_rest(&scene).await;
    }))
    .await;
}

#[tokio::test]
async fn a_strongdm_that_answers_as_asked_and_stores_something_else_leads_to_no_circle() {
    join_all([Dropped, Later(3600), SecondsFromStart(1800)].map(async |end| {
        let mut scene = Scene::prepared(Config::default()).await;
        behave(&scene, StoredStart::AsAsked, end);
        scene.strongdm.configure(|settings| settings.answer_as_asked = true);
        scene.start().await;
        for _ in 0..4 {
            scene.sync().await;
        }
        wait_until("the service knows all", async || grant_ids(&scene.grants().await) == scene.grant_ids())
            .await;
        assert_at_rest(&scene).await;
        assert!(scene.strongdm.has_access(ANA.1, DB, scene.now()), "{end:?}: nobody on call is locked out");
        let (creates, _) = scene.writes();
        assert!(creates <= 6, "{end:?}: {creates} made");
        if end == SecondsFromStart(1800) {
            return;
        }
        let answer = scene.sync().await;
        assert_eq!(answer.status, 502, "{end:?}: {}", answer.text);
        // It ends at the latest when nobody wants it any more.
        scene.shifts(SCHEDULE, &[]);
        wait_until("all is taken back", async || {
            scene.sync().await;
            scene.strongdm.grants().is_empty()
        })
        .await;
    }))
    .await;
}

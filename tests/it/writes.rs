//! strongDM fails, or the service is killed, at every point of a write: no grant is doubled, lost or forgotten.

use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    strongdm::SecondGrant,
    world::{SCHEDULE, V3_SCHEDULE},
};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{ANA, BO, CEM, Config, DB, Scene, grant_ids, rule, wait_until};

fn unavailable() -> Action {
    Action::grpc(tonic::Code::Unavailable, "come again")
}

/// Ana's and Bo's shifts are Cem's now.
fn swap(scene: &Scene) {
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
}

/// Cem alone has access, by one grant.
async fn swapped(scene: &Scene, about: &str) {
    wait_until(&format!("{about}: only Cem has access"), async || {
        scene.access(CEM, DB) == [(0, 120)] && scene.strongdm.grants().len() == 1
    })
    .await;
    // What is there is what the service knows of; nothing is left to do.
    let report = scene.synced().await;
    assert_eq!((report.created, report.revoked), (vec![], vec![]), "{about}");
    assert_eq!(grant_ids(&scene.grants().await), scene.grant_ids(), "{about}");
}

#[tokio::test]
async fn while_strongdm_is_away_passes_fail_and_afterwards_it_heals_without_an_event() {
    let scene = Scene::running(Config::default()).await;
    swap(&scene);
    scene.strongdm.server().stop().await;
    scene.deliver(&scene.about(SCHEDULE)).await;
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    let ready = scene.get("/readyz").await;
    assert_eq!(ready.status, 200, "webhooks must still come here");
    assert!(ready.json()["strongdm"]["last_error"]["message"].is_string(), "{}", ready.text);
    scene.strongdm.server().restart().await.expect("the same port");
    swapped(&scene, "after an outage").await;
}

#[tokio::test]
async fn a_service_that_starts_while_both_upstreams_are_away_heals_when_they_return() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.pagerduty.server().stop().await;
    scene.strongdm.server().stop().await;
    scene.launch().await;
    assert_eq!(scene.post_signed(scene.about(SCHEDULE).body()).await.status, 202);
    scene.pagerduty.server().restart().await.expect("the same port");
    scene.strongdm.server().restart().await.expect("the same port");
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    scene.access_becomes(BO, DB, &[(120, 240)]).await;
}

#[tokio::test]
async fn a_write_that_fails_or_loses_its_answer_leaves_exactly_one_grant() {
    let (create, delete, list) = ("AccountGrants.Create", "AccountGrants.Delete", "AccountGrants.List");
    let on = Fault::on;
    let internal = || Action::grpc(tonic::Code::Internal, "");
    let cases: Vec<(&str, Vec<Fault>)> = vec![
        ("a creation is refused", vec![on(create, unavailable())]),
        ("creations are refused for a while", vec![on(create, unavailable()).times(3)]),
        ("a creation's answer is lost", vec![on(create, unavailable()).after_work()]),
        ("a creation's answer is lost with its connection", vec![on(create, Action::Cut).after_work()]),
        ("a creation's connection breaks before the work", vec![on(create, Action::Cut)]),
        ("a creation's answer is half", vec![on(create, Action::Truncate)]),
        (
            "a creation's answer is lost, and looking for the grant fails",
            vec![on(create, internal()).after_work(), on(list, unavailable()).times(6)],
        ),
        ("a removal is refused", vec![on(delete, unavailable()).times(2)]),
        ("removals are refused for a while", vec![on(delete, internal()).times(8)]),
        ("a removal's answer is lost", vec![on(delete, unavailable()).after_work()]),
        ("a removal's answer is lost with its connection", vec![on(delete, Action::Cut).after_work()]),
        ("the rate limit is reached", vec![on(create, exhausted()), on(delete, exhausted())]),
        ("looking up accounts fails", vec![on("Accounts.List", unavailable()).times(3)]),
        ("looking up resources fails", vec![on("Resources.List", unavailable()).times(3)]),
        ("listing grants fails", vec![on(list, unavailable()).times(3)]),
    ];
    for group in cases.chunks(8) {
        join_all(group.iter().map(async |(about, faults)| {
            let scene = Scene::running(Config::default()).await;
            swap(&scene);
            for fault in faults {
                scene.strongdm.faults().add(fault.clone());
            }
            let answer = scene.sync().await;
            assert!([200, 502].contains(&answer.status), "{about}: {}", answer.text);
            swapped(&scene, about).await;
        }))
        .await;
    }
}

fn exhausted() -> Action {
    let code = tonic::Code::ResourceExhausted.into();
    Action::Grpc { code, message: String::new(), reset_in_secs: Some(1) }
}

#[tokio::test]
async fn killed_before_or_after_the_effect_of_a_write_it_comes_back_and_doubles_nothing() {
    let cases = ["AccountGrants.Create", "AccountGrants.Delete"].map(|call| [(call, false), (call, true)]);
    join_all(cases.as_flattened().iter().map(async |(call, after)| {
        let about = format!("killed at {call}, effect: {after}");
        let mut scene = Scene::running(Config::default()).await;
        swap(&scene);
        let fault = Fault::on(*call, Action::Stall);
        let gate = scene.strongdm.faults().gate_with(if *after { fault.after_work() } else { fault });
        scene.deliver(&scene.about(SCHEDULE)).await;
        gate.arrived().await;
        scene.kill();
        scene.start().await;
        swapped(&scene, &about).await;
    }))
    .await;
}

#[tokio::test]
async fn a_creation_that_arrives_after_it_was_given_up_is_found_and_doubles_nothing() {
    let mut scene = Scene::running(Config::default()).await;
    swap(&scene);
    let gate = scene.strongdm.faults().gate_with(Fault::on("AccountGrants.Create", Action::Stall));
    scene.deliver(&scene.about(SCHEDULE)).await;
    gate.arrived().await;
    scene.kill();
    scene.start().await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    assert_eq!(scene.strongdm.grants_of(CEM.1, DB).len(), 1);

    // The work of the old call is done only now.
    let calls = scene.strongdm.calls();
    let late = calls.iter().find(|call| call.method == "AccountGrants.Create" && call.code.is_none());
    let time = |name| late.expect("the call without an answer").fact(name).parse().expect("a time");
    scene.strongdm.add_foreign_grant(CEM.1, DB, time("start_from"), Some(time("valid_until")));
    scene.sync().await;
    swapped(&scene, "after a late creation").await;
}

#[tokio::test]
async fn a_creation_that_arrives_late_is_found_beside_the_one_that_was_made_instead() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (CEM, 120, 240)]);
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", Action::Cut));
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(120, 240)]).await;
    // Its window lies ahead, so both have the same to the second.
    scene.strongdm.add_foreign_grant(CEM.1, DB, scene.minute(120), Some(scene.minute(240)));
    wait_until("the second one is taken back", async || {
        scene.synced().await;
        scene.strongdm.grants_of(CEM.1, DB).len() == 1
    })
    .await;
    assert_eq!(grant_ids(&scene.grants().await), scene.grant_ids());
}

#[tokio::test]
async fn what_somebody_else_made_before_for_the_same_time_is_not_taken_for_a_lost_creation() {
    let scene = Scene::running(Config::default()).await;
    let theirs = scene.strongdm.add_foreign_grant(CEM.1, DB, scene.minute(120), Some(scene.minute(240)));
    scene.synced().await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (CEM, 120, 240)]);
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", Action::Cut));
    scene.deliver(&scene.about(SCHEDULE)).await;
    wait_until("ours is beside it", async || scene.strongdm.grants_of(CEM.1, DB).len() == 2).await;
    assert!(!grant_ids(&scene.grants().await).contains(&theirs));
}

#[tokio::test]
async fn what_turns_up_minutes_after_a_lost_creation_is_somebody_elses() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesOverlapping);
    scene.start().await;
    let (start, end, asked) = (scene.minute(120), scene.minute(240), scene.minute(-6));
    let lost = format!(
        "INSERT INTO grants (state, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms)
         SELECT 'lost', '{}', '{}', resource_id, resource, {}, {}, causes, {} FROM grants LIMIT 1",
        scene.strongdm.account_id(CEM.1).expect("an account"),
        CEM.1,
        start.timestamp(),
        end.timestamp(),
        asked.timestamp_millis()
    );
    scene.open_store().await.execute(AssertSqlSafe(lost)).await.expect("a table");
    // The service hears of it by the refusal of what it asks for.
    scene.strongdm.add_foreign_grant(CEM.1, DB, start, Some(end));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (CEM, 120, 240)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    wait_until("it is refused", async || {
        scene.audit().await.iter().any(|entry| entry["outcome"] == "refused")
    })
    .await;
    scene.synced().await;
    assert!(!scene.audit().await.iter().any(|entry| entry["action"] == "adopt"));
    assert_eq!(scene.strongdm.grants_of(CEM.1, DB).len(), 1);
}

#[tokio::test]
async fn a_removal_that_was_done_before_it_was_refused_is_not_taken_for_kept() {
    let scene = Scene::running(Config::default()).await;
    scene.cem_takes_over();
    let refused = Action::grpc(tonic::Code::PermissionDenied, "no");
    let faults = scene.strongdm.faults();
    faults.add(Fault::on("AccountGrants.Delete", unavailable()).after_work());
    faults.add(Fault::on("AccountGrants.Delete", refused).after_work().until_cleared());
    assert_eq!(scene.sync().await.status, 502);
    assert_eq!(scene.access(ANA, DB), []);
    // What an event leads to does not compare the whole ledger.
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240)]);
    faults.clear();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
}

#[tokio::test]
async fn one_failing_creation_stops_no_other() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120), (ANA, 120, 240), (BO, 240, 300)]);
    let cem = scene.strongdm.account_id(CEM.1).expect("an account");
    let fault =
        Fault::on("AccountGrants.Create", Action::grpc(tonic::Code::InvalidArgument, "no")).containing(cem);
    scene.strongdm.faults().add(fault.until_cleared());
    let answer = scene.sync().await;
    let failed = answer.report().failed;
    assert_eq!((answer.status, failed.len()), (502, 1), "{}", answer.text);
    assert_eq!((failed[0].action.as_str(), failed[0].grant.email.as_str()), ("create", CEM.1));
    assert_eq!((scene.access(ANA, DB), scene.access(BO, DB)), (vec![(120, 240)], vec![(240, 300)]));

    let entries = scene.audit().await.len();
    for _ in 0..3 {
        assert_eq!(scene.sync().await.status, 502);
    }
    assert_eq!(scene.audit().await.len(), entries, "the same failure is told once");
    scene.strongdm.faults().clear();
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
}

#[tokio::test]
async fn a_grant_that_is_there_although_strongdm_said_that_it_is_gone_is_taken_back_after_all() {
    let scene = Scene::running(Config::default()).await;
    let gone = Fault::on("AccountGrants.Delete", Action::grpc(tonic::Code::NotFound, "not found")).times(2);
    scene.strongdm.faults().add(gone);
    swap(&scene);
    scene.synced().await;
    assert_eq!(
        (scene.grants().await.len(), scene.strongdm.grants().len()),
        (1, 3),
        "it is believed at first"
    );
    wait_until("the next comparison finds them", async || {
        scene.synced().await;
        scene.strongdm.grants().len() == 1
    })
    .await;
    let found = scene.audit().await.into_iter().filter(|entry| entry["action"] == "adopt").count();
    assert_eq!(found, 2);
    swapped(&scene, "found again").await;
}

#[tokio::test]
async fn one_row_that_strongdm_will_not_tell_about_keeps_no_other_unclear() {
    for (told, untold) in [(ANA, BO), (BO, ANA)] {
        let mut scene = Scene::prepared(Config::with_rules([rule("all", &[V3_SCHEDULE], &[DB])])).await;
        scene.shifts(V3_SCHEDULE, &[(ANA, -60, 120), (BO, -60, 120)]);
        let faults = scene.strongdm.faults().clone();
        faults.add(Fault::on("AccountGrants.Create", unavailable()).after_work().until_cleared());
        faults.add(Fault::on("AccountGrants.List", unavailable()).until_cleared());
        scene.start().await;
        let account = scene.strongdm.account_id(untold.1).expect("an account");
        let refused = Action::grpc(tonic::Code::InvalidArgument, "no");
        faults.clear();
        faults.add(Fault::on("AccountGrants.List", refused).containing(account).until_cleared());
        wait_until("the other one is settled", async || {
            let grants = scene.grants().await;
            grants.iter().any(|grant| grant["email"] == told.1)
        })
        .await;
        scene.sync().await;
        let made = scene.strongdm.grants_of(untold.1, DB).len();
        assert_eq!(made, 1, "nobody makes it anew while it may be there");
    }
}

#[tokio::test]
async fn what_strongdm_refuses_to_everybody_is_not_tried_for_each_and_its_words_do_not_fill_the_audit() {
    let people = [ANA, BO, CEM];
    let resources = ["prod-postgres", "prod-web-1", "prod-cluster", "prod-new-thing"];
    let rules = [rule("payments", &[SCHEDULE], &resources)];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    let turns = people.iter().cycle().zip(0..12);
    let turns: Vec<_> = turns.map(|(person, n)| (*person, 60 * n - 30, 60 * n + 30)).collect();
    scene.shifts(SCHEDULE, &turns);
    scene.strongdm.configure(|settings| _ = settings.keys[0].permissions.remove("grant:write"));
    scene.start().await;
    let creations =
        || scene.strongdm.calls().iter().filter(|call| call.method == "AccountGrants.Create").count();
    let first = creations();
    assert!(first <= 6, "{first} calls for {} pairs", people.len() * resources.len());
    for pass in 0..20 {
        let message = format!("request {pass} of {}: no", ["alpha", "beta", "gamma"][pass % 3]);
        scene.strongdm.faults().clear();
        let action = Action::Grpc { code: 7, message, reset_in_secs: None };
        scene.strongdm.faults().add(Fault::on("AccountGrants.Create", action).until_cleared());
        let before = creations();
        let answer = scene.sync().await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.report().failed.len(), 12 * resources.len(), "{}", answer.text);
        // A retry by itself may have run in between.
        assert!(creations() - before <= 4, "pass {pass}: {}", creations() - before);
    }
    let entries = scene.audit().await.len();
    assert!(entries <= 12 * resources.len(), "{entries} entries");

    scene.strongdm.faults().clear();
    scene.strongdm.configure(|settings| _ = settings.keys[0].permissions.insert("grant:write".to_owned()));
    scene.synced().await;
    assert_eq!(scene.strongdm.grants().len(), 12 * resources.len());
}

#[tokio::test]
async fn one_pair_that_is_denied_holds_up_no_other() {
    let resources = ["prod-postgres", "prod-web-1", "prod-cluster", "prod-new-thing"];
    let scene = Scene::prepared(Config::with_rules([rule("payments", &[SCHEDULE], &resources)])).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240), (CEM, 240, 360)]);
    let denied = scene.strongdm.resource_id("prod-cluster").expect("it is there");
    let action = Action::Grpc { code: 7, message: "not this one".to_owned(), reset_in_secs: None };
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", action).containing(denied).until_cleared());
    let mut scene = scene;
    scene.start().await;
    for person in [ANA, BO, CEM] {
        for resource in ["prod-postgres", "prod-web-1", "prod-new-thing"] {
            wait_until("everything else is granted", async || !scene.access(person, resource).is_empty())
                .await;
        }
    }
}

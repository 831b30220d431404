//! Shifts to come: people without an account, gaps, and schedules of every kind.

use sandbox::{
    pagerduty::{Schedule, Shift},
    strongdm::SuspendedIn,
    world::{self, LONELY_SCHEDULE, SCHEDULE, V3_SCHEDULE},
};

use super::{check, fill};
use crate::support::{ANA, BO, Config, DB, DENIZ, Scene, rule};

#[tokio::test]
async fn who_will_be_on_call_without_an_account_is_told_with_the_start_of_the_shift() {
    let scene = Scene::prepared(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240), (BO, 240, 20_000)]);
    let start = scene.minute(120).format("%FT%TZ").to_string();
    let found = check(&scene).await;
    found.assert_problem("no_account", DENIZ.1, &format!("on call from {start}"));
    let (_, _, message) = found.one("no_account");
    assert!(message.contains("payments"), "{message}");

    fill(&scene);
    assert!(scene.strongdm.suspend_user(ANA.1, SuspendedIn::Flag));
    check(&scene).await.assert_problem("account_suspended", ANA.1, "on call since");
    assert!(scene.strongdm.resume_user(ANA.1));

    scene.pagerduty.set_email(world::BO, None);
    check(&scene).await.assert_problem("no_email", world::BO, "no e-mail address");

    scene.pagerduty.set_email(world::BO, Some("bo*@example.com"));
    check(&scene).await.assert_problem("invalid_email", "bo*@example.com", "not safe");
}

#[tokio::test]
async fn stretches_without_anyone_are_told_exactly() {
    let scene = Scene::prepared(Config::default()).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 180, 20_000)]);
    let found = check(&scene).await;
    let (severity, subject, message) = found.one("gap");
    assert_eq!((severity.as_str(), subject.as_str(), found.code), ("warning", r#"rule "payments""#, Some(0)));
    let time = |minute| scene.minute(minute).format("%FT%TZ").to_string();
    assert!(message.contains(&format!("from {} until {}", time(120), time(180))), "{message}");

    scene.shifts(SCHEDULE, &[]);
    let (_, _, message) = check(&scene).await.one("gap");
    assert!(message.contains("nobody is on call within the horizon of 7d"), "{message}");
}

#[tokio::test]
async fn schedules_in_no_policy_and_of_both_kinds_are_sound() {
    let rules = [rule("a", &[LONELY_SCHEDULE], &[DB]), rule("b", &[V3_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    let end = scene.minute(20_000);
    scene.pagerduty.put_schedule(Schedule::layers(LONELY_SCHEDULE, "In no policy").with(Shift::new(
        world::ANA,
        scene.minute(-60),
        end,
    )));
    scene.pagerduty.set_shifts(V3_SCHEDULE, vec![Shift::new(world::BO, scene.minute(-60), end)]);
    let found = check(&scene).await;
    assert_eq!((found.code, found.kinds("warning")), (Some(0), vec![]), "{:#}", found.report);
}

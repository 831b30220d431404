//! Passes take turns: whoever is paged while a large pass writes waits for none of its windows, and no storm of events keeps
//! the large pass from its end.

use std::time::{Duration, Instant};

use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Schedule, Shift, User},
    world::{SCHEDULE, V3_SCHEDULE},
};

use crate::support::{ANA, BO, CEM, Config, DB, Scene, rule, wait_until};

const MANY: [&str; 3] = [DB, "prod-web-1", "prod-cluster"];
const WEB: &str = "prod-new-thing";
const WINDOWS: usize = MANY.len() * 80;

/// A service whose first pass has begun to write 240 windows to come, each call taking a tenth of a second; Bo is on
/// call for another rule.
async fn at_its_first_pass() -> Scene {
    let rules = [rule("many", &[SCHEDULE], &MANY), rule("web", &[V3_SCHEDULE], &[WEB])];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    let turn = |n: i64| (if n % 2 == 0 { ANA } else { BO }, n * 10, n * 10 + 10);
    scene.shifts(SCHEDULE, &(1..81).map(turn).collect::<Vec<_>>());
    scene.shifts(V3_SCHEDULE, &[(BO, -60, 900)]);
    scene.strongdm.faults().set_latency(Duration::from_millis(100));
    scene.launch().await;
    wait_until("the windows to come are being written", async || scene.writes().0 > 8).await;
    scene
}

#[tokio::test]
async fn who_comes_on_call_during_a_large_pass_waits_for_no_window_to_come() {
    let scene = at_its_first_pass().await;
    assert_eq!(scene.access(BO, WEB), [(0, 900)], "who is on call at the start comes first");
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 900)]);
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    let before = scene.writes().0;
    scene.access_becomes(CEM, WEB, &[(0, 900)]).await;
    let waited_for = scene.writes().0 - before;
    assert!(waited_for <= WINDOWS / 4, "{waited_for} windows to come were written first");
    scene.access_becomes(BO, WEB, &[]).await;
    assert!(scene.writes().0 < WINDOWS, "whose access ends waits for them no more");

    wait_until("the large pass is over", async || scene.writes() == (WINDOWS + 2, 1)).await;
    let report = scene.synced().await;
    assert_eq!((report.created.len(), report.revoked.len()), (0, 0), "nothing was doubled or forgotten");
}

#[tokio::test]
async fn a_storm_of_events_does_not_keep_a_large_pass_from_its_end() {
    let scene = at_its_first_pass().await;
    let storm = async {
        loop {
            scene.deliver(&scene.about(V3_SCHEDULE)).await;
        }
    };
    tokio::select! {
        () = storm => {}
        () = wait_until("the large pass is over", async || scene.writes() == (WINDOWS + 1, 0)) => {}
    }
}

#[tokio::test]
async fn whoever_comes_on_call_waits_for_no_windows_that_events_about_others_showed() {
    const SHIFTS: i64 = 60;
    let ids: Vec<String> = (0..8).map(|n| format!("PMANY{n}")).collect();
    let mut rules: Vec<String> = ids.iter().map(|id| rule(id, &[id], &[DB])).collect();
    rules.push(rule("web", &[V3_SCHEDULE], &[WEB]));
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.shifts(V3_SCHEDULE, &[(CEM, 900, 960)]);
    for id in &ids {
        let (user, email) = (format!("U{id}"), format!("{id}@example.com"));
        scene.pagerduty.add_user(User::new(&user, id, &email));
        scene.strongdm.add_user(&email);
        scene.pagerduty.put_schedule(Schedule::layers(id, id));
    }
    scene.start().await;
    scene.strongdm.faults().set_latency(Duration::from_millis(20));
    let before = scene.writes().0;
    for id in &ids {
        let shift = |n| Shift::new(&format!("U{id}"), scene.minute(n * 10), scene.minute(n * 10 + 5));
        scene.pagerduty.set_shifts(id, (1..=SHIFTS).map(shift).collect());
        scene.deliver(&scene.about(id)).await;
        let is_looked_at = || scene.pagerduty.requests().iter().any(|request| request.query.contains(id));
        wait_until("a pass looks at that one", async || is_looked_at()).await;
        scene.pagerduty.clear_requests();
    }
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 900)]);
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.access_becomes(CEM, WEB, &[(0, 900)]).await;
    let all = ids.len() * usize::try_from(SHIFTS).expect("a few");
    let waited_for = scene.writes().0 - before;
    assert!(waited_for <= all / 2, "{waited_for} windows to come were written first");
    wait_until("all are written after all", async || scene.writes().0 - before == all + 1).await;
}

#[tokio::test]
async fn nobody_who_comes_on_call_waits_for_a_comparison_that_hangs() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.strongdm.faults().add(Fault::on("AccountGrants.List", Action::Stall).until_cleared());
    let began = Instant::now();
    scene.launch().await;
    scene.access_becomes(ANA, DB, &[(0, 120)]).await;
    scene.cem_takes_over();
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    assert!(began.elapsed() < Duration::from_secs(15), "a call may take twice that: {:?}", began.elapsed());
    scene.strongdm.faults().clear();
}

//! The comparison of the ledger with strongDM's list: over many pages, some of which fail, and with much to ask about.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::Shift,
    strongdm::{Call, SeveralIds},
    world::SCHEDULE,
};

use crate::support::{ANA, BO, CEM, Config, DB, Scene, wait_until};

const LIST: &str = "AccountGrants.List";
const GET: &str = "AccountGrants.Get";

fn unavailable() -> Action {
    Action::grpc(tonic::Code::Unavailable, "come again")
}

/// A service that compares all the time, with a list of six pages.
async fn comparing() -> Scene {
    let mut scene = Scene::prepared(Config { interval: "1s", ..Config::default() }).await;
    scene.write_config(&scene.config_file().replace("verify_interval = \"1h\"", "verify_interval = \"1s\""));
    scene.take_turns(30);
    scene.strongdm.configure(|settings| settings.max_page = 5);
    scene.start().await;
    wait_until("a list of all grants was read", async || whole(&pages(&scene)).len() == 5).await;
    scene
}

/// The cursors of the pages that were asked for so far, of the list of all grants.
fn pages(scene: &Scene) -> Vec<String> {
    let of_all = |call: &Call| call.method == LIST && call.fact("filter").is_empty();
    let calls = scene.strongdm.calls().into_iter().filter(of_all);
    calls.map(|call| call.fact("cursor").to_owned()).collect()
}

/// The cursors of the last list that is over, without the first one, which is empty.
fn whole(pages: &[String]) -> Vec<String> {
    let lists: Vec<_> = pages.split(String::is_empty).collect();
    lists.iter().rev().nth(1).map(|rest| rest.to_vec()).unwrap_or_default()
}

async fn vanished(scene: &Scene) -> usize {
    scene.audit().await.iter().filter(|entry| entry["action"] == "vanish").count()
}

#[tokio::test]
async fn after_a_page_that_failed_the_list_is_read_on_from_there() {
    let scene = comparing().await;
    let cursors = whole(&pages(&scene));
    assert_eq!(cursors.len(), 5, "{cursors:?}");
    let failing = &cursors[2];
    scene.strongdm.faults().add(Fault::on(LIST, unavailable()).containing(failing).until_cleared());
    let failures = || pages(&scene).iter().rev().take_while(|cursor| *cursor == failing).count();
    wait_until("the page failed at two attempts, of three calls each", async || failures() > 3).await;
    let report = scene.get("/readyz").await;
    assert!(report.json()["strongdm"]["last_error"]["message"].is_string(), "{}", report.text);

    // Made between the two parts of the list.
    scene.pagerduty.add_shift(SCHEDULE, Shift::new(CEM.0, scene.minute(-60), scene.minute(300)));
    scene.access_becomes(CEM, DB, &[(0, 300)]).await;
    scene.strongdm.faults().clear();
    let read = || {
        let pages = pages(&scene);
        let last = pages.iter().rposition(|cursor| cursor == failing).expect("it was asked for");
        pages[last..].to_vec()
    };
    wait_until("the next comparison has begun", async || read().iter().any(String::is_empty)).await;
    let rest: Vec<_> = read().into_iter().take_while(|cursor| !cursor.is_empty()).collect();
    assert_eq!(rest[..3], cursors[2..], "no page was read twice, and none was left out");
    assert_eq!(vanished(&scene).await, 0);
    assert_eq!(scene.access(CEM, DB), [(0, 300)]);
}

#[tokio::test]
async fn a_cursor_that_holds_no_more_makes_the_list_be_read_anew() {
    let scene = comparing().await;
    let cursors = whole(&pages(&scene));
    let refused = Action::grpc(tonic::Code::InvalidArgument, "invalid cursor");
    let before = pages(&scene).len();
    scene.strongdm.faults().add(Fault::on(LIST, refused).containing(&cursors[2]));
    let asked = || {
        let pages = &pages(&scene)[before..];
        let refused = pages.iter().position(|cursor| *cursor == cursors[2]);
        refused.map(|refused| pages[refused + 1..].to_vec()).unwrap_or_default()
    };
    wait_until("the list is read anew, to its end", async || asked().len() > cursors.len()).await;
    let expected: Vec<String> = [String::new()].into_iter().chain(cursors.clone()).collect();
    assert_eq!(asked()[..expected.len()], expected);
    assert_eq!(vanished(&scene).await, 0);
}

#[tokio::test]
async fn a_grant_that_the_list_lacks_is_asked_for_before_anything_follows() {
    let scene = comparing().await;
    let cursors = whole(&pages(&scene));
    let last = Fault::on(LIST, Action::Stall).containing(&cursors[4]).after_work();
    let gate = scene.strongdm.faults().gate_with(last);
    gate.arrived().await;
    scene.pagerduty.add_shift(SCHEDULE, Shift::new(CEM.0, scene.minute(-60), scene.minute(300)));
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.access_becomes(CEM, DB, &[(0, 300)]).await;
    let id = scene.strongdm.grants_of(CEM.1, DB).remove(0).id;
    // One whose creation is not settled yet is asked about in another way.
    let is_settled = async || scene.grants().await.iter().any(|grant| grant["id"] == *id);
    wait_until("the ledger has it", is_settled).await;
    gate.open();
    let asks = |call: &Call| call.method == GET && call.fact("id") == id;
    wait_until("it is asked for", async || scene.strongdm.calls().iter().any(asks)).await;
    scene.synced().await;
    assert_eq!(vanished(&scene).await, 0);
    assert_eq!(scene.strongdm.grants_of(CEM.1, DB)[0].id, id);
}

#[tokio::test]
async fn much_that_differs_is_asked_for_at_once_and_nothing_depends_on_how_strongdm_reads_that() {
    for (meaning, asked_at_once) in [
        (SeveralIds::AnyOf, true),
        (SeveralIds::AllOf, false),
        (SeveralIds::Last, false),
        (SeveralIds::Refused, false),
    ] {
        let mut scene = Scene::prepared(Config::default()).await;
        scene.take_turns(30);
        scene.strongdm.configure(|settings| settings.several_ids = meaning);
        scene.start().await;
        let mut grants = scene.strongdm.grants();
        grants.sort_by_key(|grant| grant.start);
        // The one in force is left alone.
        let (gone, rest) = grants[1..].split_at(12);
        for grant in gone {
            scene.strongdm.remove_grant(&grant.id);
        }
        for grant in &rest[..4] {
            scene
                .strongdm
                .edit_grant(&grant.id, |grant| grant.end = Some(grant.start + TimeDelta::minutes(5)));
        }
        let before = scene.strongdm.calls().len();
        let report = scene.sync().await;
        let calls = scene.strongdm.calls().split_off(before);
        let single = calls.iter().filter(|call| call.method == GET).count();
        assert_eq!(single, if asked_at_once { 0 } else { 16 }, "{meaning:?}: {}", report.text);
        assert_eq!(vanished(&scene).await, 12, "{meaning:?}");
        let altered = scene.audit().await.into_iter().filter(|entry| entry["action"] == "alter").count();
        assert_eq!(altered, 4, "{meaning:?}");
        for (grant, person) in gone.iter().zip([BO, ANA].into_iter().cycle()) {
            let made = scene.strongdm.grants_of(person.1, DB);
            assert!(
                made.iter().any(|other| other.start == grant.start && other.end == grant.end),
                "made anew"
            );
        }
    }
}

#[tokio::test]
async fn nobody_who_comes_on_call_waits_for_what_a_comparison_asks() {
    let scene = comparing().await;
    let stall = Fault::on(GET, Action::Stall).until_cleared();
    scene.strongdm.faults().add(stall);
    let mut grants = scene.strongdm.grants();
    grants.sort_by_key(|grant| grant.start);
    scene.strongdm.remove_grant(&grants[20].id);
    let asked = |call: &Call| call.method == GET;
    wait_until("it is asked for", async || scene.strongdm.calls().iter().any(asked)).await;
    let began = Instant::now();
    // No event tells of it: the next full pass must find it, during a comparison that hangs.
    scene.pagerduty.add_shift(SCHEDULE, Shift::new(CEM.0, scene.minute(-60), scene.minute(300)));
    scene.access_becomes(CEM, DB, &[(0, 300)]).await;
    assert!(began.elapsed() < Duration::from_secs(15), "a call may take twice that: {:?}", began.elapsed());
    scene.strongdm.faults().clear();
    wait_until("it is noticed", async || vanished(&scene).await == 1).await;
}

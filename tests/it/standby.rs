//! Whoever an incident may pull in is known before it does: nobody who is paged waits for a look-up, and who would get
//! nothing is told while there is time to mend it.

use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Event, NewIncident, Service},
    world::{self, POLICY, SERVICE, TEAM},
};

use crate::support::{CEM, Config, DB, DENIZ, Person, Scene, stdout, wait_until};

/// On call nowhere, and a member of the team.
const ELA: Person = (world::ELA, "ela@example.com");

/// Whoever is assigned, or joined and is in the team.
fn rule_about(services: &[&str]) -> Config {
    let rule = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\n[rules.incidents]\nservices = {services:?}\n\
         people = [\"assignees\", \"responders\"]\neligible = {{ teams = [{TEAM:?}] }}\n"
    );
    Config { interval: "1h", ..Config::with_rules([rule]) }
}

/// A running service that has looked up everybody beforehand.
async fn prepared(scene: &mut Scene) {
    scene.start().await;
    // In the order of the addresses, she is the last one.
    wait_until("all accounts are looked up", async || {
        let calls = scene.strongdm.calls();
        calls.iter().any(|call| call.method == "Accounts.List" && call.fact("filter").contains(ELA.1))
    })
    .await;
}

/// The calls between an event and this person's access, by either upstream.
async fn calls_until_access(scene: &Scene, event: &Event, person: Person) -> (Vec<String>, Vec<String>) {
    scene.pagerduty.clear_requests();
    let known = scene.strongdm.calls().len();
    scene.deliver(event).await;
    wait_until("there is access", async || !scene.strongdm.grants_of(person.1, DB).is_empty()).await;
    let asked = scene.pagerduty.requests().into_iter().map(|request| request.path).collect();
    let calls = scene.strongdm.calls().into_iter().skip(known).map(|call| call.method);
    (asked, calls.take_while(|method| method != "AccountGrants.Create").collect())
}

#[tokio::test]
async fn the_next_level_is_one_question_and_one_write_away_from_access() {
    let mut scene = Scene::prepared(rule_about(&[SERVICE])).await;
    scene.strongdm.add_user(DENIZ.1);
    prepared(&mut scene).await;
    let (_, escalated) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[DENIZ.0]));
    let (asked, before) = calls_until_access(&scene, &escalated, DENIZ).await;
    assert_eq!(before, [""; 0], "nothing is looked up before the grant is made");
    let incidents = asked.iter().filter(|path| *path == "/incidents").count();
    assert!(
        incidents >= 1 && asked.iter().all(|path| path == "/incidents" || path.starts_with("/teams/")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn whether_somebody_belongs_to_the_team_is_asked_at_the_same_time() {
    let mut scene = Scene::prepared(rule_about(&[SERVICE])).await;
    prepared(&mut scene).await;
    let (id, opened) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[CEM.0]));
    scene.deliver(&opened).await;
    wait_until("Cem has access", async || !scene.strongdm.grants_of(CEM.1, DB).is_empty()).await;
    scene.all_served().await;
    let incident = scene.pagerduty.incident(&id);
    incident.request_responder(ELA.0);
    let joined = incident.responder_joined(ELA.0);
    let list = scene.pagerduty.faults().gate("GET /incidents");
    let members = scene.pagerduty.faults().gate("GET /teams");
    let known = scene.strongdm.calls().len();
    scene.deliver(&joined).await;
    list.arrived().await;
    members.arrived().await;
    assert_eq!(list.count(), 1, "the list has not been asked for again: nothing was answered before");
    list.open();
    members.open();
    wait_until("Ela has access", async || !scene.strongdm.grants_of(ELA.1, DB).is_empty()).await;
    let before: Vec<String> =
        scene.strongdm.calls().into_iter().skip(known).map(|call| call.method).collect();
    assert_eq!(before.first().map(String::as_str), Some("AccountGrants.Create"), "{before:?}");
}

#[tokio::test]
async fn whoever_would_be_paged_in_vain_is_told_on_the_page_and_by_check() {
    let mut scene = Scene::prepared(rule_about(&[SERVICE])).await;
    prepared(&mut scene).await;
    let words = "level 2 (service";
    wait_until("a report after the look-up tells", async || {
        scene.synced().await;
        scene.get("/").await.text.contains(words)
    })
    .await;
    let checked = stdout(&scene.run(&["check"]).await);
    assert!(checked.contains(words) && checked.contains(DENIZ.1), "{checked}");
    scene.strongdm.add_user(DENIZ.1);
    wait_until("who has an account is not told any more", async || {
        scene.synced().await;
        !scene.get("/").await.text.contains(words)
    })
    .await;
}

#[tokio::test]
async fn looking_up_beforehand_delays_no_pass_and_ends_nothing() {
    let mut scene = Scene::prepared(rule_about(&[SERVICE])).await;
    for path in ["GET /services", "GET /oncalls", "GET /teams"] {
        scene.pagerduty.faults().add(Fault::on(path, Action::Stall).until_cleared());
    }
    let (_, opened) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[ELA.0]));
    scene.start().await;
    wait_until("Ela has access", async || !scene.strongdm.grants_of(ELA.1, DB).is_empty()).await;
    scene.deliver(&opened).await;
    scene.pagerduty.faults().clear();
    scene.synced().await;
    assert_eq!(scene.writes(), (1, 0));
}

#[tokio::test]
async fn many_services_are_read_as_a_list() {
    let names: Vec<String> = (0..40).map(|number| format!("PSMANY{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::prepared(rule_about(&names)).await;
    for id in &names {
        scene.pagerduty.add_service(Service {
            id: (*id).into(),
            name: "One of many".into(),
            policy: POLICY.into(),
        });
    }
    prepared(&mut scene).await;
    let asked = scene.pagerduty.requests();
    let about = |path: &str| asked.iter().filter(|request| request.path.starts_with(path)).count();
    assert_eq!((about("/services/"), about("/services")), (0, 1));
}

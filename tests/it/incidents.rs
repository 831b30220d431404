//! Access that follows incidents.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Event, IncidentHandle, NewIncident, Team, Visibility},
    world::{self, SERVICE, TEAM},
};
use serde_json::{Value, json};

use crate::support::{ANA, BO, CEM, Config, DB, Person, Scene, rule, wait_until};

/// On call nowhere, and a member of the team.
const ELA: Person = (world::ELA, "ela@example.com");

/// A rule about the incidents of [`SERVICE`]; `lines` go into its table.
fn incidents(end_late: &str, lines: &str) -> String {
    format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\nend_late = {end_late:?}\n\
         [rules.incidents]\nservices = [{SERVICE:?}]\n{lines}\n"
    )
}

/// Whoever is assigned, or joined and is in the team.
fn responders() -> String {
    incidents("0s", &format!("people = [\"assignees\", \"responders\"]\neligible = {{ teams = [{TEAM:?}] }}"))
}

/// Nobody is on call for any rule.
async fn scene(rules: impl IntoIterator<Item = String>) -> Scene {
    Scene::running(Config { interval: "1h", ..Config::with_rules(rules) }).await
}

/// Opens an incident that is assigned to these people by the policy.
fn open(scene: &Scene, assignees: &[&str]) -> (String, Event) {
    scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(assignees))
}

/// Whether this person may reach the database now.
fn has_access(scene: &Scene, person: Person) -> bool {
    let now = scene.now();
    let grants = scene.strongdm.grants_of(person.1, DB);
    grants.iter().any(|grant| grant.start <= now && grant.end.is_none_or(|end| now < end))
}

/// Delivers an event, and waits until the person has access, or has none.
async fn leads_to(scene: &Scene, event: &Event, person: Person, access: bool) {
    scene.deliver(event).await;
    let what = format!("{} {} access", person.1, if access { "has" } else { "has no" });
    wait_until(&what, async || has_access(scene, person) == access).await;
}

/// When this person's only grant ends.
fn end_of(scene: &Scene, person: Person) -> DateTime<Utc> {
    let grants = scene.strongdm.grants_of(person.1, DB);
    assert_eq!(grants.len(), 1, "{grants:?}");
    grants[0].end.expect("no grant is endless")
}

#[tokio::test]
async fn whoever_is_pulled_in_gets_in_and_whoever_is_done_is_out() {
    let scene = scene([incidents("0s", "")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let end = end_of(&scene, ELA) - scene.now();
    assert!((TimeDelta::minutes(239)..=TimeDelta::hours(4)).contains(&end), "{end}");
    let incident = scene.pagerduty.incident(&id);
    leads_to(&scene, &incident.assign(&[ELA.0, CEM.0]), CEM, true).await;
    assert!(has_access(&scene, ELA));
    let resolved = incident.resolve();
    leads_to(&scene, &resolved, ELA, false).await;
    wait_until("all access is over", async || !has_access(&scene, CEM)).await;
    scene.all_served().await;
    assert_eq!(scene.writes(), (2, 2), "no grant was made or removed without need");
}

#[tokio::test]
async fn who_is_done_keeps_access_for_a_while_and_it_is_not_given_anew() {
    let scene = scene([incidents("10m", "")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let resolved = scene.pagerduty.incident(&id).resolve();
    let at = scene.now();
    scene.deliver(&resolved).await;
    wait_until("the grant is cut short", async || {
        let grants = scene.strongdm.grants_of(ELA.1, DB);
        grants.len() == 1 && grants[0].end.is_some_and(|end| end - at <= TimeDelta::minutes(10))
    })
    .await;
    assert!(has_access(&scene, ELA));
    assert!(end_of(&scene, ELA) - at >= TimeDelta::minutes(10) - TimeDelta::seconds(10));
    let report = scene.synced().await;
    assert_eq!((report.created.len(), report.revoked.len()), (0, 0));
}

#[tokio::test]
async fn reopened_counts_from_the_first_part() {
    let mut scene = scene([incidents("0s", "max_duration = \"1h\"")]).await;
    let begun = scene.now() - TimeDelta::minutes(50);
    let (id, opened) =
        scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[ELA.0]).opened_at(begun));
    leads_to(&scene, &opened, ELA, true).await;
    let first = end_of(&scene, ELA);
    let hour = first - begun;
    assert!((TimeDelta::seconds(3598)..=TimeDelta::hours(1)).contains(&hour), "{hour}");
    let incident = scene.pagerduty.incident(&id);
    leads_to(&scene, &incident.resolve(), ELA, false).await;
    scene.kill();
    scene.start().await;
    scene.pagerduty.incident(&id).reopen();
    let assigned = scene.pagerduty.incident(&id).assign(&[ELA.0]);
    leads_to(&scene, &assigned, ELA, true).await;
    assert_eq!(end_of(&scene, ELA), first, "not an hour more");
}

#[tokio::test]
async fn only_what_the_rule_is_about_gives_access() {
    let scene = scene([incidents("0s", &format!("priorities = [{:?}]", world::P1))]).await;
    let (low, _) = scene
        .pagerduty
        .open_incident(NewIncident::on(SERVICE).urgency("low").priority(world::P1).assigned_to(&[ELA.0]));
    let (minor, _) =
        scene.pagerduty.open_incident(NewIncident::on(SERVICE).priority(world::P2).assigned_to(&[CEM.0]));
    let (none, _) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[BO.0]));
    assert_eq!(scene.synced().await.created, []);
    let raised = scene.pagerduty.incident(&minor).set_priority(Some(world::P1));
    leads_to(&scene, &raised, CEM, true).await;
    assert!(!has_access(&scene, ELA) && !has_access(&scene, BO));
    let lowered = scene.pagerduty.incident(&minor).set_priority(None);
    leads_to(&scene, &lowered, CEM, false).await;
    let _ = (low, none);
}

#[tokio::test]
async fn who_was_chosen_by_hand_gets_in_as_a_member_only() {
    let scene = scene([responders()]).await;
    let (id, opened) = open(&scene, &[ANA.0]);
    leads_to(&scene, &opened, ANA, true).await;
    let incident = scene.pagerduty.incident(&id);
    incident.request_responder(ELA.0);
    scene.synced().await;
    assert!(!has_access(&scene, ELA), "asked, and not joined");
    leads_to(&scene, &incident.responder_joined(ELA.0), ELA, true).await;
    incident.request_responder(CEM.0);
    incident.responder_joined(CEM.0);
    let report = scene.synced().await;
    assert!(!has_access(&scene, CEM));
    let skipped: Value = serde_json::to_value(&report.skipped).unwrap();
    assert_eq!((&skipped[0]["email"], &skipped[0]["reason"]), (&json!(CEM.1), &json!("not_eligible")));
    // The whole incident is handed to somebody by hand: its assignees count as chosen, Ana is not in the team.
    incident.reassign(&[ANA.0]);
    wait_synced(&scene, ANA, false).await;
    assert!(has_access(&scene, ELA));
}

/// Asks for passes until the person has access, or has none.
async fn wait_synced(scene: &Scene, person: Person, access: bool) {
    wait_until("a pass makes it right", async || {
        scene.send(scene.sync_request()).await;
        has_access(scene, person) == access
    })
    .await;
}

#[tokio::test]
async fn a_membership_that_cannot_be_seen_gives_nothing_and_takes_nothing() {
    let scene = scene([responders()]).await;
    let (id, _) = open(&scene, &[]);
    let incident = scene.pagerduty.incident(&id);
    join(&incident, ELA);
    wait_synced(&scene, ELA, true).await;
    scene.deny_path("/teams");
    join(&incident, BO);
    let answer = scene.send(scene.sync_request()).await;
    assert_eq!(answer.status, 502);
    let unknown: Value = serde_json::to_value(&answer.report().unknown).unwrap();
    assert_eq!(unknown[0]["service"], SERVICE, "{unknown}");
    assert!(has_access(&scene, ELA) && !has_access(&scene, BO));
}

#[tokio::test]
async fn a_team_that_is_empty_all_of_a_sudden_takes_nothing() {
    let scene = scene([responders()]).await;
    let (id, _) = open(&scene, &[]);
    join(&scene.pagerduty.incident(&id), ELA);
    wait_synced(&scene, ELA, true).await;
    scene.pagerduty.put_team(Team::new(TEAM, "Payments", &[]));
    let answer = scene.send(scene.sync_request()).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert!(has_access(&scene, ELA));
}

#[tokio::test]
async fn an_incident_that_does_not_say_who_chose_its_assignees_takes_nothing() {
    let scene = scene([incidents("0s", "")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let about = json!({"id": id, "status": "triggered", "urgency": "high", "service": {"id": SERVICE},
        "assignments": [{"at": "2026-01-01T00:00:00Z", "assignee": {"id": ELA.0}}], "acknowledgements": []});
    let list = json!({"incidents": [about], "limit": 100, "offset": 0, "more": false, "total": 1});
    let fault = Fault::on("GET /incidents", Action::http(200, list.to_string()));
    scene.pagerduty.faults().add(fault.containing("date_range").times(100));
    assert_eq!(scene.send(scene.sync_request()).await.status, 502);
    assert!(has_access(&scene, ELA));
    assert_eq!(scene.writes(), (1, 0));
}

fn join(incident: &IncidentHandle<'_>, (user, _): Person) {
    incident.request_responder(user);
    incident.responder_joined(user);
}

#[tokio::test]
async fn no_more_people_than_the_rule_allows() {
    let scene = scene([incidents("0s", "max_people = 1")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let incident = scene.pagerduty.incident(&id).at(scene.now() + TimeDelta::seconds(1));
    incident.assign(&[ELA.0, CEM.0]);
    let report = scene.synced().await;
    let skipped: Value = serde_json::to_value(&report.skipped).unwrap();
    assert_eq!((&skipped[0]["email"], &skipped[0]["reason"]), (&json!(CEM.1), &json!("too_many_people")));
    leads_to(&scene, &incident.assign(&[CEM.0]), CEM, true).await;
    wait_until("who left is out", async || !has_access(&scene, ELA)).await;
}

#[tokio::test]
async fn an_incident_that_vanishes_keeps_its_access_and_is_told() {
    let scene = scene([incidents("0s", "")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let incident = scene.pagerduty.incident(&id);
    for visibility in [Visibility::Denied, Visibility::Unlisted] {
        incident.set_visibility(visibility);
        let answer = scene.send(scene.sync_request()).await;
        let is_seen = matches!(visibility, Visibility::Unlisted);
        assert_eq!(answer.status, if is_seen { 200 } else { 502 });
        let unknown: Value = serde_json::to_value(&answer.report().unknown).unwrap();
        assert_eq!(unknown[0]["incident"].as_str(), (!is_seen).then_some(id.as_str()), "{unknown}");
        assert!(has_access(&scene, ELA));
    }
    incident.delete();
    assert_eq!(scene.send(scene.sync_request()).await.status, 502);
    assert!(has_access(&scene, ELA));
    assert_eq!(scene.writes(), (1, 0));
}

#[tokio::test]
async fn lists_that_fail_or_lie_take_nothing_away() {
    let scene = scene([incidents("0s", "")]).await;
    let (_, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let short = json!({"incidents": [], "limit": 100, "offset": 0, "more": false, "total": 1});
    let unreadable = json!({"incidents": [{"id": "QX", "service": {"id": SERVICE}}], "limit": 100, "offset": 0, "more": false, "total": 1});
    for action in [
        Action::http(500, ""),
        Action::http(403, ""),
        Action::http(200, "{}"),
        Action::http(200, short.to_string()),
        Action::http(200, unreadable.to_string()),
    ] {
        scene.pagerduty.faults().add(Fault::on("GET /incidents", action).containing("date_range").times(100));
        let answer = scene.send(scene.sync_request()).await;
        assert_eq!(answer.status, 502, "{}", answer.text);
        assert!(has_access(&scene, ELA));
        scene.pagerduty.faults().clear();
    }
    assert_eq!(scene.writes(), (1, 0));
}

#[tokio::test]
async fn an_incident_that_cannot_be_read_hides_no_other() {
    let scene = scene([incidents("0s", "")]).await;
    open(&scene, &[ELA.0]);
    let (broken, _) = open(&scene, &[CEM.0]);
    scene.pagerduty.incident(&broken).edit(|incident| incident.urgency = String::new());
    wait_synced(&scene, ELA, true).await;
    assert!(!has_access(&scene, CEM));
}

#[tokio::test]
async fn many_pages_of_incidents_are_read_whatever_moves_between_them() {
    let scene = scene([incidents("0s", "max_people = 500")]).await;
    let mut ids = Vec::new();
    for _ in 0..260 {
        ids.push(open(&scene, &[CEM.0]).0);
    }
    open(&scene, &[ELA.0]);
    scene.pagerduty.incident(&ids[3]).resolve();
    wait_synced(&scene, ELA, true).await;
    assert!(has_access(&scene, CEM));
    scene.pagerduty.clear_requests();
    scene.synced().await;
    let lists = scene.pagerduty.requests().iter().filter(|request| request.path == "/incidents").count();
    assert!(lists <= 4, "{lists} requests for three pages");
}

#[tokio::test]
async fn what_an_event_announces_before_the_list_shows_it_is_looked_at_again() {
    let scene = scene([incidents("0s", "")]).await;
    scene.pagerduty.lag();
    let (_, opened) = open(&scene, &[ELA.0]);
    scene.deliver(&opened).await;
    scene.all_served().await;
    assert!(!has_access(&scene, ELA));
    scene.pagerduty.clear_requests();
    scene.pagerduty.catch_up();
    wait_until("the service looks again by itself", async || has_access(&scene, ELA)).await;
    wait_until("and once more", async || {
        scene.pagerduty.requests().iter().filter(|request| request.path == "/incidents").count() >= 2
    })
    .await;
}

#[tokio::test]
async fn incident_and_shift_are_one_union() {
    let rules = [rule("shifts", &[world::SCHEDULE], &[DB]), incidents("0s", "")];
    let scene = scene(rules).await;
    assert!(has_access(&scene, ANA));
    let (id, opened) = open(&scene, &[ANA.0]);
    scene.deliver(&opened).await;
    scene.all_served().await;
    wait_synced(&scene, ANA, true).await;
    let incident = scene.pagerduty.incident(&id);
    incident.resolve();
    scene.synced().await;
    wait_until("the shift alone is left", async || scene.access(ANA, DB) == [(0, 120)]).await;
    assert!(has_access(&scene, ANA));
}

#[tokio::test]
async fn an_incident_that_moves_to_another_service_ends_its_access() {
    let scene = scene([incidents("0s", "")]).await;
    scene.pagerduty.add_service(sandbox::pagerduty::Service {
        id: "POTHER1".into(),
        name: "Other".into(),
        policy: world::POLICY.into(),
    });
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let moved = scene.pagerduty.incident(&id).move_to("POTHER1");
    leads_to(&scene, &moved, ELA, false).await;
}

#[tokio::test]
async fn a_merged_incident_is_over_and_its_people_follow() {
    let scene = scene([incidents("0s", "")]).await;
    let (into, _) = open(&scene, &[CEM.0]);
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    let merged = scene.pagerduty.incident(&id).merge_into(&into);
    leads_to(&scene, &merged, ELA, false).await;
    assert!(has_access(&scene, CEM));
}

#[tokio::test]
async fn a_killed_service_forgets_no_part() {
    let mut scene = scene([incidents("0s", "")]).await;
    let (id, opened) = open(&scene, &[ELA.0]);
    leads_to(&scene, &opened, ELA, true).await;
    scene.kill();
    scene.pagerduty.incident(&id).resolve();
    scene.start().await;
    wait_until("access ends after the restart", async || !has_access(&scene, ELA)).await;
}

#[tokio::test]
async fn titles_stay_where_they_belong() {
    let scene = scene([incidents("0s", "")]).await;
    let title = "customer Acme 4711 cannot pay";
    let (_, opened) =
        scene.pagerduty.open_incident(NewIncident::on(SERVICE).titled(title).assigned_to(&[ELA.0]));
    leads_to(&scene, &opened, ELA, true).await;
    let report = scene.synced().await;
    let report = serde_json::to_string(&report).unwrap();
    let audit = serde_json::to_string(&scene.audit().await).unwrap();
    let grants = serde_json::to_string(&scene.grants().await).unwrap();
    let metrics = scene.get("/metrics").await.text;
    for text in [report, audit, grants, metrics, format!("{:?}", scene.log_by_now().await)] {
        assert!(!text.contains("Acme"), "{text}");
    }
}

//! Access that follows incidents, as people see it: `explain`, the page, `check` and the `webhook` command.

use sandbox::{
    pagerduty::{Ability, NewIncident, User},
    world::{self, SERVICE, TEAM},
};
use serde_json::{Value, json};

use crate::support::{CEM, Config, DB, DENIZ, Person, Scene, exit_code, stderr, stdout, wait_until};

/// On call nowhere, and a member of the team.
const ELA: Person = (world::ELA, "ela@example.com");

const HOSTILE: &str = "<script>alert('Acme')</script> & \"cannot\" pay";

/// Whoever is assigned, or joined and is in `team`, two hours at most.
fn config(team: &str, lines: &str) -> Config {
    let rule = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\nend_late = \"15m\"\n[rules.incidents]\n\
         services = [{SERVICE:?}]\npeople = [\"assignees\", \"responders\"]\n\
         eligible = {{ teams = [{team:?}] }}\nmax_duration = \"2h\"\n{lines}\n"
    );
    Config { interval: "1h", ..Config::with_rules([rule]) }
}

/// What the first chain to the database says last, and the whole answer.
async fn explained(scene: &Scene, person: Person) -> (String, Value) {
    let path = format!("/api/explain?email={}&resource={DB}", person.1);
    let answer = scene.get(&path).await.json();
    let links = answer["resources"][0]["chains"][0]["links"].as_array().expect("links");
    let of_incident = links.iter().find(|link| link["link"] == "incident").expect("a link to the incident");
    (of_incident["message"].as_str().expect("a text").to_owned(), answer)
}

#[tokio::test]
async fn everybody_in_an_incident_hears_why_there_is_access_or_none() {
    let scene = Scene::running(config(TEAM, "")).await;
    let new = NewIncident::on(SERVICE).titled(HOSTILE).assigned_to(&[ELA.0]);
    let (id, opened) = scene.pagerduty.open_incident(new);
    let incident = scene.pagerduty.incident(&id);
    scene.deliver(&opened).await;
    wait_until("Ela's grant is recorded", async || {
        scene.grants().await.iter().any(|grant| grant["email"] == ELA.1)
    })
    .await;
    let (message, answer) = explained(&scene, ELA).await;
    let seen = incident.get();
    let number = format!("assigned to incident {}, https://", seen.number);
    assert!(message.contains(&number) && message.contains("cannot"), "{message}");
    assert!(message.contains("or 15m after it is resolved"), "{message}");
    assert_eq!((&answer["access"], &answer["resources"][0]["missing"]), (&json!("yes"), &Value::Null));
    let output = scene.run(&["explain", "--email", ELA.1, "--resource", DB]).await;
    assert!(stdout(&output).contains(&number), "{}", stdout(&output));

    let (message, _) = explained(&scene, CEM).await;
    assert!(message.contains("plays no part"), "{message}");
    incident.request_responder(CEM.0);
    let (message, _) = explained(&scene, CEM).await;
    assert!(message.contains("has not joined it yet"), "{message}");
    incident.responder_joined(CEM.0);
    let (message, answer) = explained(&scene, CEM).await;
    assert!(message.contains(&format!("none of the rule's eligible groups: team {TEAM}")), "{message}");
    assert_eq!((&answer["access"], &answer["resources"][0]["missing"]), (&json!("no"), &json!("incident")));
    scene.deny_path("/teams");
    let (message, answer) = explained(&scene, CEM).await;
    assert!(message.contains(&format!("who belongs to team {TEAM} cannot be seen")), "{message}");
    assert_eq!(answer["access"], "unknown");
}

#[tokio::test]
async fn the_page_lists_open_incidents_with_everybody_in_them_and_stays_small() {
    let mut scene = Scene::prepared(config(TEAM, "max_people = 3")).await;
    let crowd: Vec<String> = (0..32).map(|number| format!("PCROWD{number:02}")).collect();
    for (number, id) in crowd.iter().enumerate() {
        // No address that anything is looked up by.
        scene.pagerduty.add_user(User::new(id, "Somebody", &format!("<b>{number}</b>@example.com")));
    }
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    for assignees in std::iter::repeat_n(crowd.as_slice(), 69).chain([[ELA.0].as_slice()]) {
        scene.pagerduty.open_incident(NewIncident::on(SERVICE).titled(HOSTILE).assigned_to(assignees));
    }
    scene.start().await;
    scene.page_says("Open incidents").await;
    scene.page_says("70 incidents that rules are about").await;
    let page = scene.get("/").await.text;
    assert!(page.contains("&lt;script&gt;alert('Acme')&lt;/script&gt; &amp; "), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<b>1"), "titles and names are escaped");
    for words in ["And 58 older incidents", "left out", "as many people of the incident", "And 24 more"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(page.contains("at most 3 people, 2h each"), "the rule says how it is bounded");
    assert!(page.len() <= 300_000, "{} bytes", page.len());
    assert_eq!(scene.metric("open_incidents").await, Some(70));
    let why = scene.get(&format!("/why?email={}&resource={DB}", ELA.1)).await.text;
    assert!(why.contains("is assignee since") && !why.contains("</code> is on call"), "{why}");
    assert!(!why.contains("<script>alert"), "{why}");
    let log = format!("{:?}", scene.log_by_now().await);
    assert!(!log.contains("Acme") && !scene.get("/metrics").await.text.contains("Acme"));
}

/// The findings of `check` of one kind, as text.
async fn findings(scene: &Scene, kind: &str) -> Vec<String> {
    let output = scene.run(&["check", "--format", "json"]).await;
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let all = report["findings"].as_array().expect("a list").clone();
    all.iter().filter(|one| one["kind"] == kind).map(ToString::to_string).collect()
}

#[tokio::test]
async fn check_says_who_can_cause_access_whom_it_leaves_out_and_what_is_missing() {
    let scene = Scene::prepared(config(TEAM, "priorities = [\"PPRIO01\", \"PNONE99\"]")).await;
    let who = findings(&scene, "who_can_cause").await;
    assert_eq!(who.len(), 1);
    for words in ["integration key", SERVICE, TEAM, "at most 10 people", "2h"] {
        assert!(who[0].contains(words), "{words} is missing in {}", who[0]);
    }
    let found = findings(&scene, "source_not_found").await;
    assert!(found.len() == 1 && found[0].contains("priority PNONE99"), "{found:?}");
    scene.pagerduty.configure(|settings| _ = settings.lacks.insert(Ability::Priorities));
    let found = findings(&scene, "source_not_found").await;
    assert!(found.len() == 1 && found[0].contains("has no priorities"), "{found:?}");

    let scene = Scene::prepared(config(TEAM, "")).await;
    let new = NewIncident::on(SERVICE).titled(HOSTILE).directly_assigned_to(&[ELA.0, CEM.0]);
    scene.pagerduty.open_incident(new);
    let found = findings(&scene, "not_eligible").await;
    assert!(found.len() == 1 && found[0].contains(CEM.1) && found[0].contains(TEAM), "{found:?}");
    assert!(!found[0].contains("Acme") && found[0].contains("warning"), "{found:?}");
    // Deniz is at the second level of the service's policy, and has no account.
    let found = findings(&scene, "no_account").await;
    assert!(found.len() == 1 && found[0].contains(DENIZ.1) && found[0].contains("level 2"), "{found:?}");
    scene.strongdm.add_user(DENIZ.1);
    assert_eq!(findings(&scene, "no_account").await, [""; 0]);
    for (path, right) in [("/teams", "teams.read"), ("/incidents", "incidents.read")] {
        scene.deny_path(path);
        let found = findings(&scene, "right_missing").await;
        assert!(found.iter().any(|one| one.contains(right)), "{right}: {found:?}");
    }
    let scene = Scene::prepared(config("PGONE99", "")).await;
    let found = findings(&scene, "source_not_found").await;
    assert!(found.len() == 1 && found[0].contains("team PGONE99"), "{found:?}");
}

#[tokio::test]
async fn an_older_subscription_is_brought_up_to_date_where_a_rule_needs_it() {
    let old = [
        "incident.triggered",
        "incident.acknowledged",
        "incident.escalated",
        "incident.delegated",
        "incident.reassigned",
        "incident.reopened",
        "incident.responder.added",
        "service.updated",
    ];
    let without = Scene::reachable(Config::default()).await;
    let scene = Scene::reachable(config(TEAM, "")).await;
    for scene in [&without, &scene] {
        let id = scene.subscribe_without_its_secret().await;
        let events = &scene.pagerduty.subscriptions()[0].events;
        assert!(events.iter().any(|event| event == "incident.resolved"), "a new one has everything");
        scene.change_subscription(&id, json!({"events": old})).await;
    }
    assert_eq!(findings(&without, "subscription_events").await, [""; 0]);
    let enabled = without.webhook(&["enable"]).await;
    assert!(!stdout(&enabled).contains("does not deliver"), "{}", stdout(&enabled));

    let found = findings(&scene, "subscription_events").await;
    assert!(found.len() == 1 && found[0].contains("incident.resolved"), "{found:?}");
    let before = scene.pagerduty.subscriptions().remove(0);
    let enabled = scene.webhook(&["enable"]).await;
    assert_eq!(exit_code(&enabled), 0, "{}", stderr(&enabled));
    assert!(stdout(&enabled).contains("does not deliver incident.resolved, "), "{}", stdout(&enabled));
    let after = scene.pagerduty.subscriptions().remove(0);
    assert_eq!(after.events.len(), before.events.len() + 5);
    let same = |one: &sandbox::pagerduty::Subscription| {
        (one.id.clone(), one.endpoint.url.clone(), one.scope.clone(), one.description.clone(), one.active)
    };
    assert_eq!(same(&after), same(&before));
    assert_eq!(findings(&scene, "subscription_events").await, [""; 0]);
    let again = scene.webhook(&["enable"]).await;
    assert!(!stdout(&again).contains("does not deliver"), "{}", stdout(&again));
}

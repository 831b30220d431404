//! What operators and machines can read: grants, audit, events, metrics.

use reqwest::Method;
use sandbox::world::SCHEDULE;
use serde_json::Value;

use crate::support::{ANA, BO, CEM, Config, DB, Scene, rule};

#[tokio::test]
async fn the_list_of_grants_can_be_narrowed_and_shows_ended_ones_if_asked() {
    let scene = Scene::running(Config::with_rules([rule("two", &[SCHEDULE], &[DB, "prod-web-1"])])).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (CEM, 120, 240)]);
    scene.synced().await;
    for (query, expected) in [
        ("", 4),
        ("?active=true", 2),
        ("?active=false", 4),
        ("?ended=true", 6),
        ("?ended=true&email=bo.chen@example.com", 2),
        ("?email=Ana@Example.COM", 2),
        ("?email=ana@example.co", 0),
        ("?active=true&ended=true", 2),
        ("?resource=prod-web-1", 2),
        ("?resource=prod", 0),
        ("?email=cem@example.com&resource=prod-web-1&active=true", 0),
        ("?email=cem@example.com&resource=prod-web-1", 1),
    ] {
        let answer = scene.get(&format!("/api/grants{query}")).await;
        assert_eq!((answer.status, answer.json().as_array().map(Vec::len)), (200, Some(expected)), "{query}");
    }
    assert_eq!(scene.access(BO, DB), []);
    for (query, words) in [
        ("grants?email=foo", r#"email "foo": not a plain e-mail address"#),
        ("grants?email=*", r#"email "*": not a plain"#),
        ("grants?active=yes", "active must be true or false"),
        ("grants?mail=x", r#"there is no parameter "mail"; there are active, ended, email, resource"#),
        ("audit?before=-1", r#"before must be the "next" of the page before"#),
        ("events?before=0", r#"before must be the "next" of the page before"#),
        ("events?limit=ten", "limit must be a whole number from 1 to 500"),
        ("audit?limit=501", "limit must be a whole number from 1 to 500"),
        ("audit?limit=1&limit=2", "limit is given twice"),
    ] {
        let answer = scene.get(&format!("/api/{query}")).await;
        answer.assert_error(400, "bad_request");
        let message = answer.json()["message"].as_str().expect("a text").to_owned();
        assert!(message.contains(words), "{query}: {message}");
    }
}

#[tokio::test]
async fn the_list_of_grants_has_an_end_and_says_where_it_goes_on() {
    let scene = Scene::running(Config::with_rules([rule("two", &[SCHEDULE], &[DB, "prod-web-1"])])).await;
    let all: Vec<Value> = scene.grants().await;
    assert_eq!(all.len(), 4);
    assert_eq!(scene.get("/api/grants?limit=4").await.header("link"), "", "it was the last page");
    let (mut paged, mut next) = (Vec::new(), "/api/grants?limit=3&ended=true".to_owned());
    for entries in [3, 1] {
        let answer = scene.get(&next).await;
        let page = answer.json().as_array().expect("a list").clone();
        assert_eq!(page.len(), entries);
        paged.extend(page);
        let link =
            answer.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="next""#));
        assert_eq!(link.is_some(), entries == 3, "{:?}", answer.headers);
        next = link.unwrap_or_default().to_owned();
    }
    assert_eq!(paged, all);
    let narrowed = scene.get("/api/grants?limit=1&email=ana@example.com").await;
    assert!(narrowed.header("link").contains("email=ana%40example.com"), "{:?}", narrowed.headers);
    for query in ["limit=0", "limit=501", "after=x", "after=1"] {
        scene.get(&format!("/api/grants?{query}")).await.assert_error(400, "bad_request");
    }
}

#[tokio::test]
async fn the_audit_tells_what_was_done_why_and_by_which_pass() {
    let scene = Scene::running(Config::default()).await;
    scene.cem_takes_over();
    let pass = scene.synced().await.pass_id;
    let audit = scene.audit().await;
    let keys: Vec<&String> = audit[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["action", "at", "grant", "outcome", "pass_id", "reason", "trigger"]);
    let told: Vec<_> = audit
        .iter()
        .map(|entry| ["action", "outcome", "trigger"].map(|key| entry[key].as_str().expect("a text")))
        .collect();
    assert_eq!(told[..2].iter().filter(|told| **told == ["create", "done", "manual"]).count(), 1);
    assert_eq!(told[..2].iter().filter(|told| **told == ["revoke", "done", "manual"]).count(), 1);
    assert_eq!(told[2..], [["create", "done", "start"]; 2]);
    assert!(
        audit[..2].iter().all(|entry| entry["pass_id"] == pass && entry["pass_id"] != audit[2]["pass_id"])
    );
    assert!(audit.iter().all(|entry| entry["reason"].as_str().is_some_and(|reason| reason.len() > 10)));
    assert!(audit.iter().all(|entry| entry["grant"]["id"].as_str().is_some_and(|id| id.starts_with("ag-"))));
}

#[tokio::test]
async fn listings_can_be_paged_through_without_loss() {
    let scene = Scene::running(Config::default()).await;
    for _ in 0..7 {
        scene.deliver(&scene.about(SCHEDULE)).await;
    }
    scene.all_served().await;
    for path in ["/api/events", "/api/audit"] {
        let whole = scene.get(&format!("{path}?limit=500")).await.json();
        assert_eq!(whole["next"], Value::Null);
        let whole = whole["items"].as_array().expect("a list").clone();
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = scene.get(&format!("{path}?limit=2{cursor}")).await.json();
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= 2);
            pages.extend(items.clone());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&before={next}"),
                None => break,
            }
            assert!(pages.len() <= whole.len(), "the cursor goes in circles");
        }
        assert_eq!(pages, whole, "{path}");
    }
    assert_eq!(scene.events().await.len(), 7);
}

#[tokio::test]
async fn metrics_can_be_read_by_a_machine_and_carry_one_prefix() {
    let scene = Scene::running(Config::default()).await;
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.all_served().await;
    let answer = scene.send(scene.request(Method::GET, "/metrics")).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let mut families = Vec::new();
    let lines: Vec<&str> = answer.text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    for line in &lines[..lines.len() - 1] {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]) && words.len() == 3, "{line}");
            if words[0] == "TYPE" {
                families.push(words[1]);
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap_or_default();
        assert!(name.starts_with("oncall_grants_"), "{line}");
        assert!(families.iter().any(|family| name.starts_with(family)), "{line} has no type");
        for person in [ANA, BO] {
            assert!(!line.contains(person.1), "{line} names a person");
        }
    }
    for sample in [
        r#"oncall_grants_webhooks_total{result="accepted",secret="1"} 1"#,
        r#"oncall_grants_grant_writes_total{action="create",result="done"} 2"#,
        "oncall_grants_grants 2",
    ] {
        assert!(lines.contains(&sample), "{sample} is not in\n{}", answer.text);
    }
    let plain = scene.request(Method::GET, "/metrics").header("Accept", "text/plain;version=0.0.4");
    let plain = scene.send(plain).await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!plain.text.contains("# UNIT") && !plain.text.contains("# EOF"), "{}", plain.text);
    assert!(plain.text.contains("# TYPE oncall_grants_webhooks_total counter"), "{}", plain.text);
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&plain.text), samples(&answer.text));
    assert_eq!(scene.synced().await.created, []);
}

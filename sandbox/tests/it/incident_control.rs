//! Incidents over the control API.

use sandbox::world::{ANA, BO, CEM, ELA, P1, SERVICE, TEAM};
use serde_json::{Value, json};

use crate::support::{Both, answer, both};

impl Both {
    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_sandbox/{path}", self.pagerduty.url());
        let response = self.http.request(method.parse().unwrap(), url).json(&body).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

#[tokio::test]
async fn people_open_and_change_incidents_over_the_control_api() {
    let both = both().await;
    let wanted =
        json!({"incident": {"service": SERVICE, "title": "Down", "priority": P1, "assignees": [BO]}});
    let (status, opened) = both.control("POST", "incidents", wanted).await;
    assert_eq!((status, &opened["event_type"]), (200, &json!("incident.triggered")), "{opened}");
    let id = opened["incident"]["id"].as_str().unwrap();
    let path = format!("incidents/{id}");
    for (change, event) in [
        (json!("escalate"), "incident.escalated"),
        (json!({"assign": [CEM]}), "incident.escalated"),
        (json!({"reassign": [ANA, ELA]}), "incident.reassigned"),
        (json!({"acknowledge": ELA}), "incident.acknowledged"),
        (json!({"set_priority": null}), "incident.priority_updated"),
        (json!({"request_responder": BO}), "incident.responder.added"),
        (json!({"responder_joined": BO}), "incident.responder.replied"),
        (json!("resolve"), "incident.resolved"),
        (json!("reopen"), "incident.reopened"),
    ] {
        let (status, told) = both.control("POST", &path, json!({"change": change, "by": ANA})).await;
        assert_eq!((status, &told["event_type"]), (200, &json!(event)), "{told}");
    }
    let incident = both.pagerduty.incident(id).get();
    assert_eq!((incident.responders[0].state.as_str(), incident.priority), ("joined", None));

    for (path, change) in [("incidents/Q0", json!("resolve")), (&path, json!({"acknowledge": "P0"}))] {
        let (status, told) = both.control("POST", path, json!({"change": change})).await;
        assert_eq!(status, 404);
        assert!(told.as_str().unwrap().starts_with("no "), "{told}");
    }
    // Nobody listens; the change is made all the same.
    let (status, told) = both.control("POST", &path, json!({"change": "resolve", "deliver": true})).await;
    assert_eq!((status, &told["incident"]["status"]), (200, &json!("resolved")));
    assert!(told["webhook"]["error"].is_string());
}

#[tokio::test]
async fn people_hide_incidents_and_make_rest_lag_over_the_control_api() {
    let both = both().await;
    let (_, opened) = both.control("POST", "incidents", json!({"incident": {"service": SERVICE}})).await;
    let id = opened["incident"]["id"].as_str().unwrap().to_owned();
    let path = format!("/incidents/{id}");
    assert_eq!(both.control("PUT", &format!("{}/visibility", &path[1..]), json!("denied")).await.0, 204);
    assert_eq!(both.get(&path).await.0, 403);

    assert_eq!(both.control("PUT", "lag", json!({"secs": 600})).await.0, 204);
    assert_eq!(answer(both.http.delete(format!("{}/_sandbox{path}", both.pagerduty.url()))).await.0, 204);
    assert_eq!(both.get(&path).await.0, 403);
    assert_eq!(both.control("DELETE", "lag", Value::Null).await.0, 204);
    assert_eq!(both.get(&path).await.0, 404);
    assert_eq!(both.control("GET", "incidents", Value::Null).await.1, json!([]));

    let team = json!({"id": TEAM, "name": "Payments", "members": [{"user": ANA, "role": "manager"}]});
    assert_eq!(both.control("POST", "teams", team).await.0, 204);
    assert_eq!(both.get(&format!("/teams/{TEAM}/members")).await.1["members"][0]["user"]["id"], ANA);
    let (_, world) = both.control("GET", "world", Value::Null).await;
    assert_eq!(both.control("PUT", "world", world).await.0, 204);
}

//! The REST API beside `/oncalls`: schedules, people, errors, keys, budgets.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::pagerduty::{ApiToken, Schedule, Shift};
use sandbox::world::{ANA, BO, CEM, DENIZ, LONELY_SCHEDULE, POLICY, SCHEDULE, SERVICE, V3_SCHEDULE};
use serde_json::{Value, json};

use crate::support::{answer, both, sample, shape};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_override_splits_a_week_that_contains_the_end_of_summer_time() {
    let both = both().await;
    let week = Schedule::layers("PSCH001", "Payments Primary")
        .in_zone("America/New_York")
        .with(Shift::new(ANA, time("2026-10-30T13:00:00Z"), time("2026-11-06T14:00:00Z")))
        .with(Shift::new(BO, time("2026-11-06T14:00:00Z"), time("2026-11-13T14:00:00Z")));
    both.pagerduty.put_schedule(week);
    both.pagerduty.add_override("PSCH001", BO, time("2026-11-04T15:00:00Z"), time("2026-11-05T06:00:00Z"));

    let query = "since=2026-10-30T00:00:00Z&until=2026-11-09T00:00:00Z";
    let (_, body) = both.get(&format!("/schedules/PSCH001?{query}&overflow=true")).await;
    let entries = body["schedule"]["final_schedule"]["rendered_schedule_entries"].as_array().unwrap();
    let told = entries.iter().map(|entry| (entry["start"].as_str().unwrap(), entry["end"].as_str().unwrap()));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("2026-10-30T09:00:00-04:00", "2026-11-04T10:00:00-05:00"),
            ("2026-11-04T10:00:00-05:00", "2026-11-05T01:00:00-05:00"),
            ("2026-11-05T01:00:00-05:00", "2026-11-06T09:00:00-05:00"),
            ("2026-11-06T09:00:00-05:00", "2026-11-13T09:00:00-05:00"),
        ]
    );
    let (_, cut) = both.get(&format!("/schedules/PSCH001?{query}&time_zone=UTC")).await;
    let entries = &cut["schedule"]["final_schedule"]["rendered_schedule_entries"];
    assert_eq!(entries[3]["end"], "2026-11-09T00:00:00Z");

    let (_, bare) = both.get("/schedules/PSCH001").await;
    let rendered = &bare["schedule"]["final_schedule"];
    assert_eq!(rendered["rendered_schedule_entries"], json!([]));
    assert_eq!(rendered["rendered_coverage_percentage"], Value::Null);
}

#[tokio::test]
async fn resources_have_the_shape_of_the_samples() {
    let both = both().await;
    both.pagerduty.add_override(SCHEDULE, BO, both.now, both.now + TimeDelta::hours(1));
    let window = format!(
        "since={}&until={}",
        both.now.format("%Y-%m-%dT%H:%M:%SZ"),
        (both.now + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ")
    );
    for (path, name) in [
        (format!("/schedules/{SCHEDULE}?{window}"), "schedules-id.v2"),
        ("/schedules".into(), "schedules-list.v2"),
        (format!("/schedules/{SCHEDULE}/overrides?{window}"), "schedules-id-overrides.v2"),
        ("/v3/schedules".into(), "v3-schedules-list"),
        (format!("/escalation_policies/{POLICY}"), "escalation_policies-id"),
        (format!("/users/{ANA}"), "users-id"),
        (format!("/services/{SERVICE}"), "services-id"),
    ] {
        let (status, body) = both.get(&path).await;
        assert_eq!(status, 200, "{path} {body}");
        // The sample of the list has no teams.
        let known = |value: &Value| shape(value).into_iter().filter(|path| !path.contains(".teams[]"));
        assert!(known(&body).eq(known(&sample(name))), "{path}");
    }
    let (_, v3) = both.get(&format!("/v3/schedules/{V3_SCHEDULE}?include[]=final_schedule&{window}")).await;
    let missing = shape(&sample("v3-schedules-id.final_schedule"));
    // The sources of overrides are not modelled.
    let missing = missing.difference(&shape(&v3)).cloned().collect::<Vec<_>>();
    let left_out = |path: &String| path.ends_with("shift_id") || path.ends_with("override_id");
    assert!(missing.iter().all(left_out), "{missing:?}");
    let members = &v3["schedule"]["rotations"][0]["events"][0]["assignment_strategy"]["members"];
    let member = |id: &str| json!({"type": "user_member", "user_id": id});
    assert_eq!(*members, json!([member(BO), member(DENIZ)]));
}

#[tokio::test]
async fn each_generation_has_its_own_endpoints() {
    let both = both().await;
    for (path, status, name) in [
        (format!("/v3/schedules/{SCHEDULE}"), 400, "error-400.v3-endpoint-on-layer-schedule"),
        (format!("/schedules/{V3_SCHEDULE}"), 400, "error-400.v2-endpoint-on-shift-schedule"),
        ("/schedules/PNOSUCH".into(), 404, "error-404"),
        ("/v3/schedules/PNOSUCH".into(), 404, "error-404"),
        ("/users/PNOSUCH".into(), 404, "error-404"),
        ("/no/such/path".into(), 404, "error-404"),
    ] {
        assert_eq!(both.get(&path).await, (status, sample(name)), "{path}");
    }
    both.pagerduty.configure(|settings| settings.wrong_generation_is_404 = true);
    assert_eq!(both.get(&format!("/schedules/{V3_SCHEDULE}")).await.0, 404);

    both.pagerduty.upgrade_schedule(LONELY_SCHEDULE);
    assert_eq!(both.get(&format!("/v3/schedules/{LONELY_SCHEDULE}")).await.0, 200);
    both.pagerduty.delete_user(ANA);
    assert_eq!(both.get(&format!("/users/{ANA}")).await.0, 404);
}

#[tokio::test]
async fn overrides_come_and_go_over_the_api() {
    let both = both().await;
    let at = |hours| (both.now + TimeDelta::hours(hours)).to_rfc3339();
    let path = format!("/schedules/{SCHEDULE}/overrides");
    let user = json!({"id": CEM, "type": "user_reference"});
    let body = json!({"overrides": [
        {"start": at(-1), "end": at(1), "user": user},
        {"start": at(2), "end": at(3), "user": user},
        {"start": at(3), "end": at(2), "user": user},
    ]});
    let (status, results) = answer(both.request("POST", &path).json(&body)).await;
    assert_eq!(status, 201);
    assert_eq!((&results[0]["status"], &results[2]["status"]), (&json!(201), &json!(400)));
    let on_call =
        || async { both.get(&format!("/oncalls?schedule_ids[]={SCHEDULE}")).await.1["oncalls"][0].clone() };
    assert_eq!(on_call().await["user"]["id"], CEM);

    for (index, status) in [(0, 200), (1, 204)] {
        let id = results[index]["override"]["id"].as_str().unwrap();
        assert_eq!(answer(both.request("DELETE", &format!("{path}/{id}"))).await.0, status);
    }
    both.pagerduty.clock().advance(TimeDelta::seconds(1));
    assert_eq!(on_call().await["user"]["id"], ANA);
}

#[tokio::test]
async fn keys_are_checked() {
    let both = both().await;
    let bare = both.http.get(format!("{}/users", both.pagerduty.url()));
    assert_eq!(answer(bare.try_clone().unwrap()).await, (401, sample("error-401")));
    assert_eq!(answer(bare.header("Authorization", "Token token=wrong")).await.0, 401);

    both.pagerduty.configure(|settings| {
        let token = settings.tokens[0].token.clone();
        settings.tokens = vec![ApiToken { token, read_only: true, denied: ["/users".to_owned()].into() }];
    });
    assert_eq!(both.get("/users").await, (403, sample("error-403")));
    assert_eq!(both.get("/oncalls").await.0, 200);
    assert_eq!(answer(both.request("DELETE", "/webhook_subscriptions/P1")).await.0, 403);
}

#[tokio::test]
async fn the_budget_ends_in_429() {
    let both = both().await;
    both.pagerduty.configure(|settings| settings.oncalls_budget = 1);
    let response = both.request("GET", "/oncalls").send().await.unwrap();
    assert_eq!(response.headers()["ratelimit-remaining"], "0");
    assert_eq!(response.headers()["x-pd-operation-limit"], "true");
    let response = both.request("GET", "/oncalls").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["ratelimit-limit"]),
        (429, &"1".parse().unwrap())
    );
    assert!(response.headers().contains_key("ratelimit-reset"));
    assert_eq!(response.json::<Value>().await.unwrap(), sample("error-429"));
    assert_eq!(both.get("/users").await.0, 200);

    both.pagerduty.configure(|settings| settings.explain_429 = false);
    let response = both.request("GET", "/oncalls").send().await.unwrap();
    assert!(!response.headers().contains_key("ratelimit-reset"));
    assert_eq!(response.text().await.unwrap(), "");
    both.pagerduty.clock().advance(TimeDelta::minutes(1));
    assert_eq!(both.get("/oncalls").await.0, 200);
}

#[tokio::test]
async fn people_change_shifts_over_the_control_api() {
    let both = both().await;
    let url = format!("{}/_sandbox/swap", both.pagerduty.url());
    let body = json!({"schedule": SCHEDULE, "user": CEM});
    assert_eq!(answer(both.http.post(&url).json(&body)).await.0, 200);
    let (_, body) = both.get(&format!("/oncalls?schedule_ids[]={SCHEDULE}&include[]=users")).await;
    assert_eq!(body["oncalls"][0]["user"]["email"], "cem@example.com");

    let requests = both.pagerduty.requests();
    assert_eq!(requests.len(), 1, "control calls are not recorded");
    assert_eq!(requests[0].query, format!("schedule_ids[]={SCHEDULE}&include[]=users"));
    assert_eq!(requests[0].status, Some(200));
    assert!(!requests[0].headers.contains_key("authorization"));
}

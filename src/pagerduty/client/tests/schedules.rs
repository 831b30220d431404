use serde_json::{Value, json};

use super::{
    sample,
    server::{Reply, Server},
    week,
};
use crate::{
    model::OnCall,
    pagerduty::{Error, client::query_time},
};

fn lines(on_calls: &[OnCall]) -> Vec<String> {
    let line = |on_call: &OnCall| {
        let [start, end] = [on_call.start, on_call.end].map(|at| query_time(at.unwrap()));
        format!("{} {start} {end}", on_call.user)
    };
    on_calls.iter().map(line).collect()
}

fn layer_based() -> Reply {
    Reply::ok(sample("schedules-id.v2.json"))
}

fn shift_based() -> Reply {
    Reply::ok(sample("v3-schedules-id.final_schedule.json"))
}

#[tokio::test]
async fn a_layer_based_schedule_is_read_with_its_overrides() {
    let server = Server::answering(|_| layer_based()).await;
    let on_calls = server.client().schedule(&"PSCH001".into(), week()).await.unwrap();
    assert_eq!(
        lines(&on_calls)[..3],
        [
            "PA1NAL7 2026-10-30T13:00:00Z 2026-11-04T15:00:00Z",
            "PA1NAL7 2026-11-05T06:00:00Z 2026-11-06T14:00:00Z",
            "PB2BOC8 2026-11-04T15:00:00Z 2026-11-05T06:00:00Z",
        ]
    );
    let first = &on_calls[0];
    assert_eq!(first.schedule, Some("PSCH001".into()));
    assert_eq!((&first.email, &first.policy, first.level), (&None, &None, None));
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/schedules/PSCH001");
    assert_eq!(asked.all("since"), ["2026-11-01T00:00:00Z"]);
    assert_eq!(asked.all("until"), ["2026-11-08T00:00:00Z"]);
    assert_eq!(asked.all("time_zone"), ["UTC"]);
    assert_eq!(asked.all("overflow"), ["true"]);
}

#[tokio::test]
async fn a_shift_based_schedule_is_found_and_remembered_as_a_hint() {
    for refusal in [(400, "error-400.v2-endpoint-on-shift-schedule.json"), (404, "error-404.json")] {
        let server = Server::answering(move |asked| match asked.path.as_str() {
            "/v3/schedules/PSCH003" => shift_based(),
            _ => Reply::new(refusal.0, sample(refusal.1)),
        })
        .await;
        let client = server.client();

        let on_calls = client.schedule(&"PSCH003".into(), week()).await.unwrap();

        // The gap (an empty member) is nobody's.
        assert_eq!(
            lines(&on_calls),
            [
                "PA1NAL7 2026-11-02T17:00:00Z 2026-11-02T18:00:00Z",
                "PB2BOC8 2026-11-02T08:00:00Z 2026-11-02T16:00:00Z",
                "PB2BOC8 2026-11-04T15:00:00Z 2026-11-05T06:00:00Z",
                "PC3CAG9 2026-11-02T08:00:00Z 2026-11-02T16:00:00Z",
            ]
        );
        assert_eq!(client.schedule(&"PSCH003".into(), week()).await.unwrap(), on_calls);
        assert_eq!(server.paths(), ["/schedules/PSCH003", "/v3/schedules/PSCH003", "/v3/schedules/PSCH003"]);
        let asked = &server.asked()[1];
        assert_eq!(asked.all("include[]"), ["final_schedule"]);
        assert_eq!(asked.all("overflow"), ["true"]);
        assert_eq!(asked.all("since"), ["2026-11-01T00:00:00Z"]);
    }
}

#[tokio::test]
async fn a_schedule_may_change_its_kind_either_way() {
    let server = Server::answering(|asked| {
        let is_shift_based = asked.number < 3;
        match (asked.path.as_str(), is_shift_based) {
            ("/v3/schedules/PSCH003", true) => shift_based(),
            ("/schedules/PSCH003", false) => {
                let mut body: Value = serde_json::from_str(&sample("schedules-id.v2.json")).unwrap();
                body["schedule"]["id"] = json!("PSCH003");
                Reply::ok(body.to_string())
            }
            (_, true) => Reply::new(400, sample("error-400.v2-endpoint-on-shift-schedule.json")),
            (_, false) => Reply::new(400, sample("error-400.v3-endpoint-on-layer-schedule.json")),
        }
    })
    .await;
    let client = server.client();
    for _ in 0..4 {
        client.schedule(&"PSCH003".into(), week()).await.unwrap();
    }
    let (old, new) = ("/schedules/PSCH003", "/v3/schedules/PSCH003");
    assert_eq!(server.paths(), [old, new, new, new, old, old]);
}

#[tokio::test]
async fn a_schedule_of_neither_kind_does_not_exist() {
    let server = Server::answering(|asked| {
        if asked.path.starts_with("/v3") {
            Reply::new(400, sample("error-400.v3-endpoint-on-layer-schedule.json"))
        } else {
            Reply::new(404, sample("error-404.json"))
        }
    })
    .await;
    let error = server.client().schedule(&"PGONE01".into(), week()).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.starts_with("schedule PGONE01: ")), "{error}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn trouble_with_either_kind_does_not_mean_that_it_is_gone() {
    for (old, new) in [(404, 500), (500, 404), (404, 403), (401, 404)] {
        let server = Server::answering(move |asked| {
            Reply::new(if asked.path.starts_with("/v3") { new } else { old }, "")
        })
        .await;
        let error = server.client().schedule(&"PSCH001".into(), week()).await.unwrap_err();
        assert!(!matches!(error, Error::NotFound(_)), "{old} {new}: {error}");
    }
}

#[tokio::test]
async fn a_deleted_user_stays_in_the_schedule() {
    let server = Server::always(200, sample("schedules-id.v2.deleted-user.json")).await;
    let on_calls = server.client().schedule(&"PSCH001".into(), week()).await.unwrap();
    let deleted = on_calls.iter().find(|on_call| on_call.user.as_str() == "PD4DEE0").unwrap();
    assert_eq!(deleted.email, None);
}

#[tokio::test]
async fn a_schedule_without_computed_shifts_is_unknown_not_empty() {
    let unusable: Vec<(&str, Value)> = vec![
        ("not computed", serde_json::from_str(&sample("schedules-id.v2.no-window.json")).unwrap()),
        ("no final schedule", json!({"schedule": {"id": "PSCH001"}})),
        ("null", json!({"schedule": {"id": "PSCH001", "final_schedule": null}})),
        ("no entries", json!({"schedule": {"id": "PSCH001", "final_schedule": {}}})),
        (
            "another",
            json!({"schedule": {"id": "PSCH002", "final_schedule": {"rendered_schedule_entries": []}}}),
        ),
        ("nothing", json!({"schedule": null})),
    ];
    for (name, body) in unusable {
        let server = Server::always(200, body.to_string()).await;
        let result = server.client().schedule(&"PSCH001".into(), week()).await;
        assert!(matches!(result, Err(Error::Invalid(_))), "{name}: {result:?}");
    }
}

#[tokio::test]
async fn a_computed_schedule_may_be_empty() {
    let final_schedule = json!({"rendered_schedule_entries": [], "rendered_coverage_percentage": 0.0});
    let server = Server::always(
        200,
        json!({"schedule": {"id": "PSCH001", "final_schedule": final_schedule}}).to_string(),
    )
    .await;
    assert_eq!(server.client().schedule(&"PSCH001".into(), week()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn one_unreadable_shift_makes_the_whole_schedule_unknown() {
    let shift = |member: Value| json!({"start_time": "2026-11-02T03:00:00-05:00", "end_time": "2026-11-02T11:00:00-05:00", "member": member});
    let read = async |shift: Value| {
        let server = Server::answering(move |asked| match asked.path.as_str() {
            "/v3/schedules/PSCH003" => Reply::ok(
                json!({"schedule": {"id": "PSCH003", "final_schedule": {"computed_shift_assignments": [shift]}}})
                    .to_string(),
            ),
            _ => Reply::new(400, ""),
        })
        .await;
        server.client().schedule(&"PSCH003".into(), week()).await
    };
    assert_eq!(read(shift(json!({"type": "empty_member"}))).await, Ok(Vec::new()));
    assert_eq!(read(shift(json!({"type": "new_member", "user_id": "PA1NAL7"}))).await.unwrap().len(), 1);
    assert!(matches!(read(shift(json!({"type": "user_member"}))).await, Err(Error::Invalid(_))));
    let mut without_end = shift(json!({"type": "user_member", "user_id": "PA1NAL7"}));
    without_end["end_time"] = Value::Null;
    assert!(matches!(read(without_end).await, Err(Error::Invalid(_))));
}

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    sample,
    server::{Reply, Server},
    week,
};
use crate::{
    model::{OnCall, PolicyId, ScheduleId, Source},
    pagerduty::Error,
};

fn schedules(ids: &[&str]) -> Vec<Source> {
    ids.iter().map(|id| Source::Schedule((*id).into())).collect()
}

fn policies(ids: &[&str]) -> Vec<Source> {
    ids.iter().map(|id| Source::Policy((*id).into())).collect()
}

fn lines(on_calls: &[OnCall]) -> Vec<String> {
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let line = |on_call: &OnCall| {
        let OnCall { user, email, schedule, policy, level, start, end } = on_call;
        let at =
            |at: &Option<chrono::DateTime<chrono::Utc>>| at.map_or("-".to_owned(), super::super::query_time);
        [
            user.to_string(),
            or_none(email.as_deref()),
            or_none(schedule.as_ref().map(ScheduleId::as_str)),
            or_none(policy.as_ref().map(PolicyId::as_str)),
            level.map_or("-".to_owned(), |level| level.to_string()),
            at(start),
            at(end),
        ]
        .join(" ")
    };
    on_calls.iter().map(line).collect()
}

/// An entry as complete as PagerDuty's are; tests change what they are about.
fn entry(schedule: &str) -> Value {
    json!({
        "escalation_policy": {"id": "PEPAY01", "type": "escalation_policy_reference"},
        "escalation_level": 1,
        "schedule": {"id": schedule, "type": "schedule_reference"},
        "user": {"id": "PA1NAL7", "type": "user", "email": "ana.lima@example.com"},
        "start": "2026-11-02T00:00:00Z",
        "end": "2026-11-03T00:00:00Z",
    })
}

fn list(entries: &[Value]) -> String {
    json!({"oncalls": entries, "limit": 100, "offset": 0, "more": false, "total": null}).to_string()
}

/// What the client makes of a list with just this entry.
async fn read(entry: &Value) -> Result<Vec<OnCall>, Error> {
    let server = Server::always(200, list(std::slice::from_ref(entry))).await;
    let result = server.client().on_calls(&schedules(&["PSCH001"]), week()).await;
    assert_eq!(server.asked().len(), 1);
    result
}

#[tokio::test]
async fn pages_are_joined_by_what_came() {
    let first: Value = serde_json::from_str(&sample("oncalls-page1.include-users.json")).unwrap();
    let mut second: Value = serde_json::from_str(&sample("oncalls-page2.include-users.json")).unwrap();
    // The last entry of the first page is asked for again.
    second["offset"] = json!(6);
    second["oncalls"].as_array_mut().unwrap().insert(0, first["oncalls"][6].clone());
    let server = Server::answering(move |asked| match asked.all("offset")[..] {
        ["0"] => Reply::ok(first.to_string()),
        ["6"] => Reply::ok(second.to_string()),
        _ => Reply::new(400, ""),
    })
    .await;

    let on_calls = server.client().on_calls(&policies(&["PEPAY01", "PEOLD04"]), week()).await.unwrap();

    assert_eq!(
        lines(&on_calls),
        [
            "PA1NAL7 ana.lima@example.com - PEPAY01 3 - -",
            "PA1NAL7 ana.lima@example.com PSCH001 PEPAY01 1 2026-10-30T13:00:00Z 2026-11-04T15:00:00Z",
            "PA1NAL7 ana.lima@example.com PSCH001 PEPAY01 1 2026-11-05T06:00:00Z 2026-11-06T14:00:00Z",
            "PB2BOC8 Bo.Chen@Example.com PSCH001 PEPAY01 1 2026-11-04T15:00:00Z 2026-11-05T06:00:00Z",
            "PB2BOC8 Bo.Chen@Example.com PSCH001 PEPAY01 1 2026-11-06T14:00:00Z 2026-11-13T14:00:00Z",
            "PB2BOC8 Bo.Chen@Example.com PSCH002 PEPAY01 2 2026-11-01T04:00:00Z 2026-11-02T05:00:00Z",
            "PC3CAG9 cagla.oz@example.com PSCH004 PEOLD04 1 2026-01-05T14:00:00Z -",
            "PC3CAG9 cagla.oz@example.com PSCH004 PEOLD04 2 2026-01-05T14:00:00Z -",
        ]
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/oncalls");
    assert_eq!(asked.all("escalation_policy_ids[]"), ["PEOLD04", "PEPAY01"]);
    assert_eq!(asked.all("schedule_ids[]").len(), 0);
    assert_eq!(asked.all("include[]"), ["users"]);
    assert_eq!(asked.all("time_zone"), ["UTC"]);
    assert_eq!(asked.all("since"), ["2026-11-01T00:00:00Z"]);
    assert_eq!(asked.all("until"), ["2026-11-08T00:00:00Z"]);
    assert_eq!(asked.all("limit"), ["100"]);
    assert_eq!(asked.all("earliest").len(), 0);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn two_people_of_one_schedule_are_both_on_call() {
    let server = Server::always(200, sample("oncalls.utc.json")).await;
    let on_calls = server.client().on_calls(&schedules(&["PSCH003"]), week()).await.unwrap();
    let users: Vec<&str> = on_calls.iter().map(|on_call| on_call.user.as_str()).collect();
    assert_eq!(users, ["PB2BOC8", "PC3CAG9"]);
}

#[tokio::test]
async fn offsets_of_times_do_not_matter() {
    let asked = policies(&["PEPAY01", "PEMAJ03", "PEDAT02", "PEOLD04"]);
    let zoned = Server::always(200, sample("oncalls.no-include.json")).await;
    let utc = Server::always(200, sample("oncalls.utc.json")).await;
    let on_calls = utc.client().on_calls(&asked, week()).await.unwrap();
    assert_eq!(on_calls.len(), 13);
    assert_eq!(zoned.client().on_calls(&asked, week()).await.unwrap(), on_calls);
}

#[tokio::test]
async fn a_deleted_user_is_on_call_without_an_address() {
    let server = Server::always(200, sample("oncalls.deleted-user.include-users.json")).await;
    let on_calls = server.client().on_calls(&schedules(&["PSCH001"]), week()).await.unwrap();
    let emails: Vec<_> =
        on_calls.iter().map(|on_call| (on_call.user.as_str(), on_call.email.as_deref())).collect();
    assert_eq!(emails, [("PA1NAL7", Some("ana.lima@example.com")), ("PD4DEE0", None)]);
}

#[tokio::test]
async fn nothing_is_asked_about_nothing() {
    let server = Server::always(500, "").await;
    assert_eq!(server.client().on_calls(&[], week()).await, Ok(Vec::new()));
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn an_empty_list_is_an_answer() {
    let server = Server::always(200, sample("oncalls.empty.json")).await;
    assert_eq!(server.client().on_calls(&schedules(&["PSCH001"]), week()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn many_ids_are_asked_for_in_few_requests_and_each_once() {
    let server = Server::always(200, list(&[])).await;
    let ids: Vec<String> = (0..120).map(|n| format!("P{n:03}")).collect();
    let mut sources: Vec<Source> = ids.iter().map(|id| Source::Schedule(id.as_str().into())).collect();
    sources.extend(sources.clone());
    sources.extend(policies(&["PEPAY01"]));

    server.client().on_calls(&sources, week()).await.unwrap();

    let asked = server.asked();
    let mut sizes: Vec<usize> = asked.iter().map(|asked| asked.all("schedule_ids[]").len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 20, 50, 50]);
    let all: BTreeSet<&str> = asked.iter().flat_map(|asked| asked.all("schedule_ids[]")).collect();
    assert_eq!(all, ids.iter().map(String::as_str).collect());
    // Together they would narrow each other down.
    assert!(asked.iter().all(|asked| asked.all("escalation_policy_ids[]").len() + asked.all("schedule_ids[]").len() <= 50));
    let mixed = |asked: &super::server::Asked| {
        !asked.all("escalation_policy_ids[]").is_empty() && !asked.all("schedule_ids[]").is_empty()
    };
    assert!(!asked.iter().any(mixed));
}

#[tokio::test]
async fn a_page_that_promises_more_must_come_further() {
    let server = Server::answering(|asked| {
        let entries = if asked.number == 0 { vec![entry("PSCH001")] } else { Vec::new() };
        Reply::ok(json!({"oncalls": entries, "more": true}).to_string())
    })
    .await;
    let error = server.client().on_calls(&schedules(&["PSCH001"]), week()).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("empty")), "{error}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_page_must_say_whether_more_follow_and_be_the_one_asked_for() {
    for body in [
        json!({"oncalls": []}),
        json!({"oncalls": [], "more": null}),
        json!({"more": false}),
        json!({"oncalls": null, "more": false}),
        json!({"oncalls": [], "more": false, "offset": 100}),
        json!([]),
    ] {
        let server = Server::always(200, body.to_string()).await;
        let result = server.client().on_calls(&schedules(&["PSCH001"]), week()).await;
        assert!(matches!(result, Err(Error::Invalid(_))), "{body}: {result:?}");
    }
}

#[tokio::test]
async fn a_list_that_shrinks_between_pages_is_read_again() {
    let page = |total: u64| {
        Reply::ok(json!({"oncalls": [entry("PSCH001")], "more": true, "total": total}).to_string())
    };
    let last_page = |total: u64| {
        Reply::ok(json!({"oncalls": [entry("PSCH001")], "more": false, "total": total}).to_string())
    };
    let settling = Server::answering(move |asked| match asked.number {
        0 => page(3),
        1 | 2 => page(2),
        _ => last_page(2),
    })
    .await;
    assert_eq!(settling.client().on_calls(&schedules(&["PSCH001"]), week()).await.unwrap().len(), 1);
    assert_eq!(settling.asked().len(), 4);

    let restless = Server::answering(move |asked| page(1000 - asked.number as u64)).await;
    let result = restless.client().on_calls(&schedules(&["PSCH001"]), week()).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    assert_eq!(restless.asked().len(), 6);
}

#[tokio::test]
async fn a_list_that_lacks_what_it_counts_is_not_believed() {
    let body = json!({"oncalls": [entry("PSCH001")], "more": false, "total": 2}).to_string();
    let server = Server::always(200, body).await;
    let result = server.client().on_calls(&schedules(&["PSCH001"]), week()).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
}

#[tokio::test]
async fn an_entry_that_moves_between_pages_is_noticed_though_the_total_stays() {
    let page = |ids: [&str; 2], more: bool| {
        Reply::ok(json!({"oncalls": ids.map(entry), "more": more, "total": 3}).to_string())
    };
    // Between the two questions the last one moves to the front: it is on neither page.
    let server = Server::answering(move |asked| match (asked.number, &asked.all("offset")[..]) {
        (0, _) => page(["P1", "P2"], true),
        (1, _) => page(["P1", "P2"], false),
        (_, ["0"]) => page(["P3", "P1"], true),
        _ => page(["P1", "P2"], false),
    })
    .await;
    let on_calls = server.client().on_calls(&schedules(&["P1", "P2", "P3"]), week()).await.unwrap();
    assert_eq!((on_calls.len(), server.asked().len()), (3, 4), "it is read again");
}

#[tokio::test]
async fn a_list_too_long_to_be_shown_is_asked_for_in_parts() {
    let server = Server::answering(|asked| {
        let ids = asked.all("schedule_ids[]");
        let count = if ids.len() > 1 { 5_000 } else { 1 };
        let entries = vec![entry(ids[0]); count];
        Reply::ok(json!({"oncalls": entries, "more": ids.len() > 1}).to_string())
    })
    .await;
    let on_calls = server.client().on_calls(&schedules(&["P1", "P2", "P3"]), week()).await.unwrap();
    let found: Vec<&str> =
        on_calls.iter().filter_map(|on_call| Some(on_call.schedule.as_ref()?.as_str())).collect();
    assert_eq!(found, ["P1", "P2", "P3"]);

    let endless = Server::answering(|_| {
        Reply::ok(json!({"oncalls": vec![entry("P1"); 5_000], "more": true}).to_string())
    })
    .await;
    let result = endless.client().on_calls(&schedules(&["P1"]), week()).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    assert_eq!(endless.asked().len(), 3);
}

#[tokio::test]
async fn entries_that_nobody_asked_for_and_repeated_ones_are_dropped() {
    let body = list(&[entry("PSCH001"), entry("PSCH999"), entry("PSCH001")]);
    let server = Server::always(200, body).await;
    let on_calls = server.client().on_calls(&schedules(&["PSCH001"]), week()).await.unwrap();
    assert_eq!(on_calls.len(), 1);
    let by_policy = server.client().on_calls(&policies(&["PEOTHER"]), week()).await.unwrap();
    assert_eq!(by_policy, []);
}

#[tokio::test]
async fn types_are_open() {
    let mut entry = entry("PSCH001");
    entry["schedule"]["type"] = json!("schedule_v9_reference");
    entry["user"]["type"] = json!("robot");
    entry["escalation_policy"] = json!({"id": "PEPAY01"});
    assert_eq!(read(&entry).await.unwrap().len(), 1);
}

#[tokio::test]
async fn null_times_are_told_apart_from_missing_ones() {
    let mut open = entry("PSCH001");
    open["start"] = Value::Null;
    open["end"] = Value::Null;
    let on_calls = read(&open).await.unwrap();
    assert_eq!((on_calls[0].start, on_calls[0].end), (None, None));

    for field in ["start", "end", "user", "schedule", "escalation_policy", "escalation_level"] {
        let mut entry = entry("PSCH001");
        entry.as_object_mut().unwrap().remove(field);
        let error = read(&entry).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(field)), "{field}: {error}");
    }
}

#[tokio::test]
async fn nobody_is_on_call_where_the_user_is_null() {
    let mut entry = entry("PSCH001");
    entry["user"] = Value::Null;
    assert_eq!(read(&entry).await, Ok(Vec::new()));
}

#[tokio::test]
async fn one_unreadable_entry_makes_the_whole_list_unknown() {
    let changes: [(&str, Value); 6] = [
        ("user", json!({"email": "ana.lima@example.com"})),
        ("user", json!({"id": ""})),
        ("user", json!({"id": 7})),
        ("start", json!("yesterday")),
        ("end", json!("2026-11-03T00:00:00")),
        ("escalation_level", json!("one")),
    ];
    for (field, value) in changes {
        let mut entry = entry("PSCH001");
        entry[field] = value.clone();
        let error = read(&entry).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{field} {value}: {error}");
        assert!(!error.to_string().contains("yesterday"), "{error}");
    }
}

#[tokio::test]
async fn a_window_that_is_longer_than_pagerduty_answers_for_is_asked_for_in_pieces() {
    let server = Server::answering(|asked| {
        let [since, until] = ["since", "until"].map(|name| asked.all(name)[0].to_owned());
        let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        if at(&until) - at(&since) > chrono::TimeDelta::days(90) {
            return Reply::new(400, "");
        }
        // Cut at the window, as the real one may.
        let mut on_call = entry("PSCH001");
        on_call["start"] = since.into();
        on_call["end"] = until.into();
        Reply::ok(list(&[on_call]))
    })
    .await;
    let start = week().start();
    let window = crate::model::Window::new(start, start + chrono::TimeDelta::days(180)).unwrap();
    let on_calls = server.client().on_calls(&schedules(&["PSCH001"]), window).await.unwrap();
    assert_eq!(
        lines(&on_calls),
        ["PA1NAL7 ana.lima@example.com PSCH001 PEPAY01 1 2026-11-01T00:00:00Z 2027-04-30T00:00:00Z"]
    );
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_page_that_pagerduty_does_not_manage_is_asked_for_in_smaller_ones() {
    let server = Server::answering(|asked| {
        let [limit, offset] = ["limit", "offset"].map(|name| asked.all(name)[0].parse::<usize>().unwrap());
        if limit > 25 {
            return Reply::new(504, "");
        }
        let entries: Vec<Value> = (offset..60).take(limit).map(|n| entry(&format!("PSCH{n:03}"))).collect();
        let more = offset + entries.len() < 60;
        Reply::ok(
            json!({"oncalls": entries, "limit": limit, "offset": offset, "more": more, "total": 60})
                .to_string(),
        )
    })
    .await;
    let all: Vec<Source> = (0..50).map(|n| Source::Schedule(format!("PSCH{n:03}").into())).collect();
    assert_eq!(server.client().on_calls(&all, week()).await.unwrap().len(), 50);
    let limits: Vec<String> = server.asked().iter().map(|asked| asked.all("limit")[0].to_owned()).collect();
    assert_eq!(limits, ["100", "25", "25", "25"], "what was too much once is not asked for again");
}

//! `GET /oncalls`.

use chrono::TimeDelta;
use sandbox::pagerduty::{Policy, Schedule, Shift, Target};
use sandbox::world::{ANA, BO, CEM, LONELY_SCHEDULE, POLICY, SCHEDULE, V3_SCHEDULE};
use serde_json::{Value, json};

use crate::support::{Both, both, sample, shape};

impl Both {
    async fn oncalls(&self, query: &str) -> Vec<Value> {
        let (status, body) = self.get(&format!("/oncalls?{query}")).await;
        assert_eq!(status, 200, "{body}");
        body["oncalls"].as_array().unwrap().clone()
    }

    /// The range from now on, in seconds, as query parameters.
    fn range(&self, since: i64, until: i64) -> String {
        let at = |seconds| (self.now + TimeDelta::seconds(seconds)).format("%Y-%m-%dT%H:%M:%SZ");
        format!("since={}&until={}", at(since), at(until))
    }
}

#[tokio::test]
async fn entries_have_the_shape_of_the_samples() {
    let both = both().await;
    for (query, name) in
        [("include[]=users", "oncalls-page1.include-users"), ("limit=100", "oncalls.no-include")]
    {
        let (_, body) = both.get(&format!("/oncalls?{query}&time_zone=UTC")).await;
        assert_eq!(shape(&body), shape(&sample(name)), "{name}");
    }
    both.pagerduty.delete_user(ANA);
    let entries = both.oncalls(&format!("include[]=users&schedule_ids[]={SCHEDULE}")).await;
    let sample = sample("oncalls.deleted-user.include-users");
    assert_eq!(shape(&entries[0]), shape(&sample["oncalls"][0]));
    assert_eq!(entries[0]["user"]["type"], "user_reference");
}

#[tokio::test]
async fn now_shows_who_is_on_call_now_uncut() {
    let both = both().await;
    let entries = both.oncalls("time_zone=UTC").await;
    let told = entries.iter().map(|entry| {
        (entry["escalation_level"].clone(), entry["schedule"]["id"].clone(), entry["user"]["id"].clone())
    });
    let told = told.collect::<Vec<_>>();
    assert_eq!(told.len(), 4);
    assert_eq!(told[0], (json!(1), json!(SCHEDULE), json!(ANA)));
    assert_eq!(told[1], (json!(2), json!(V3_SCHEDULE), json!(BO)));
    assert_eq!(told[3], (json!(3), Value::Null, json!(CEM)));
    assert_eq!((&entries[3]["start"], &entries[3]["end"]), (&Value::Null, &Value::Null));
    assert_eq!(entries[1]["schedule"]["type"], "schedule_v3_reference");
    let start = entries[0]["start"].as_str().unwrap();
    assert!(start < both.now.to_rfc3339().as_str() && start.ends_with('Z'));

    both.pagerduty.configure(|settings| settings.cut_oncalls = true);
    let cut = both.oncalls(&format!("time_zone=UTC&{}", both.range(0, 60))).await;
    assert_eq!(cut[0]["start"], both.now.format("%Y-%m-%dT%H:%M:%SZ").to_string());
}

#[tokio::test]
async fn filters_and_ranges() {
    let both = both().await;
    let day = both.range(0, 86_400);
    for (query, count) in [
        (format!("schedule_ids[]={SCHEDULE}"), 1),
        (format!("schedule_ids[]={SCHEDULE}&schedule_ids[]=null"), 2),
        (format!("schedule_ids[]={SCHEDULE}&{day}&limit=100"), 4),
        (format!("schedule_ids[]={SCHEDULE}&{day}&earliest=true"), 3),
        (format!("schedule_ids[]={LONELY_SCHEDULE}"), 0),
        ("schedule_ids[]=PNOSUCH".into(), 0),
        (format!("escalation_policy_ids[]={POLICY}"), 4),
        ("escalation_policy_ids[]=PNOSUCH".into(), 0),
        (format!("user_ids[]={BO}&user_ids[]={CEM}"), 2),
        (format!("user_ids[]={CEM}&{}", both.range(86_400 * 200, 86_400 * 201)), 1),
    ] {
        assert_eq!(both.oncalls(&query).await.len(), count, "{query}");
    }
}

#[tokio::test]
async fn mistakes_are_400() {
    let both = both().await;
    let tomorrow = both.range(86_400, 86_400);
    for query in [
        both.range(10, 0),
        // Without an end the range would end before it starts.
        tomorrow.split('&').next().unwrap().to_owned(),
        "since=2026-11-04T10:00:00+03:00".into(),
        format!("schedule_ids={SCHEDULE}"),
        "time_zone=Mars".into(),
        "limit=100&offset=9901".into(),
        "limit=many".into(),
        "total=yes".into(),
    ] {
        let (status, body) = both.get(&format!("/oncalls?{query}")).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!(2001)), "{query}");
    }
}

#[tokio::test]
async fn pages() {
    let both = both().await;
    let query = format!("/oncalls?schedule_ids[]={SCHEDULE}&{}", both.range(0, 86_400 * 30));
    let (_, first) = both.get(&query).await;
    assert_eq!(first["oncalls"].as_array().unwrap().len(), 25);
    assert_eq!((&first["limit"], &first["more"], &first["total"]), (&json!(25), &json!(true), &Value::Null));
    let (_, second) = both.get(&format!("{query}&offset=25&total=true&limit=500")).await;
    assert_eq!(second["oncalls"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&second["limit"], &second["more"], &second["total"]),
        (&json!(100), &json!(false), &json!(30))
    );
}

#[tokio::test]
async fn offsets_endless_shifts_and_several_policies() {
    let both = both().await;
    both.pagerduty.put_schedule(Schedule::layers("PSOLO01", "Solo").with(Shift::endless(ANA, both.now)));
    for id in ["PEP0001", "PEP0002"] {
        both.pagerduty.put_policy(Policy::new(id, id, vec![vec![Target::schedule("PSOLO01")]]));
    }
    both.pagerduty.configure(|settings| settings.render_offset_minutes = 180);
    let entries = both.oncalls("schedule_ids[]=PSOLO01").await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["end"], Value::Null);
    assert!(entries[0]["start"].as_str().unwrap().ends_with("+03:00"));

    // Only what begins within 90 days is computed.
    both.pagerduty.set_shifts("PSOLO01", vec![Shift::endless(ANA, both.now + TimeDelta::days(91))]);
    assert!(
        both.oncalls(&format!("schedule_ids[]=PSOLO01&{}", both.range(86_400 * 10, 86_400 * 95)))
            .await
            .is_empty()
    );
}

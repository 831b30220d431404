//! The request budget: whose calls a report counts, what each limit has left, and who is told before it is gone.

use std::collections::BTreeMap;

use oncall_grants::PassReport;
use sandbox::{
    faults::{Action, Fault},
    world::{SCHEDULE, V3_SCHEDULE},
};

use crate::support::{ANA, BO, CEM, Config, DB, Scene, rule, wait_until};

/// How often strongDM was called since `before`, by method.
fn called(scene: &Scene, before: usize) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for call in scene.strongdm.calls().into_iter().skip(before) {
        *counts.entry(call.method).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_report_counts_what_its_pass_asked_by_upstream_and_operation() {
    let scene = Scene::running(Config::default()).await;
    scene.cem_takes_over();
    scene.pagerduty.clear_requests();
    let before = scene.strongdm.calls().len();
    let report = scene.synced().await;
    let of_pagerduty: u64 = report.calls.pagerduty.values().sum();
    assert_eq!(of_pagerduty, scene.pagerduty.requests().len() as u64, "{:?}", report.calls);
    // Both looks.
    assert!(report.calls.pagerduty["on_calls"] >= 2, "{:?}", report.calls);
    assert_eq!(report.calls.strongdm, called(&scene, before));
    for (operation, count) in
        [("AccountGrants.Create", 1), ("AccountGrants.Delete", 1), ("AccountGrants.List", 1)]
    {
        assert_eq!(report.calls.strongdm.get(operation), Some(&count), "{:?}", report.calls);
    }
    let preview = scene.sync_with(r#"{"dry_run": true}"#).await.report();
    assert!(preview.calls.pagerduty.contains_key("on_calls"), "{:?}", preview.calls);
    let page = scene.get("/").await.text;
    assert!(page.contains(&format!("Asked: {}", report.calls)), "the page shows the stored report");
    let output = scene.run(&["sync", "--dry-run"]).await;
    assert!(crate::support::stdout(&output).contains("asked: "), "{output:?}");
}

#[tokio::test]
async fn a_pass_counts_no_calls_of_another_one_that_is_under_way() {
    let rules = [rule("slow", &[SCHEDULE], &[DB]), rule("quick", &[V3_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::running(Config::with_rules(rules)).await;
    scene.all_served().await;
    // The answer about one schedule keeps its pass waiting while the pass about the other one begins and ends.
    let gate =
        scene.pagerduty.faults().gate_with(Fault::on("GET /oncalls", Action::Stall).containing(SCHEDULE));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 240), (CEM, -60, 60)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    wait_until("the first pass looks", async || gate.count() == 1).await;
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 60)]);
    scene.deliver(&scene.about(V3_SCHEDULE)).await;
    scene.access_becomes(CEM, "prod-web-1", &[(0, 60)]).await;
    assert_eq!(gate.count(), 1, "the first pass still looks");
    gate.open();
    scene.all_served().await;
    let mut store = scene.open_store().await;
    let read = async |store: &mut sqlx::SqliteConnection| -> Vec<PassReport> {
        let texts: Vec<String> = sqlx::query_scalar("SELECT report FROM passes ORDER BY id")
            .fetch_all(store)
            .await
            .expect("a table");
        let reports = texts.iter().map(|text| crate::support::report(text));
        reports.filter(|report| report.trigger.as_str() == "webhook").collect()
    };
    wait_until("both are written down", async || read(&mut store).await.len() >= 2).await;
    for report in read(&mut store).await {
        let made = report.created.len() as u64;
        assert_eq!(made, 1, "{report:?}");
        assert_eq!(report.calls.strongdm.get("AccountGrants.Create"), Some(&1), "{:?}", report.calls);
        assert_eq!(report.calls.pagerduty.get("on_calls"), Some(&1), "{:?}", report.calls);
    }
}

#[tokio::test]
async fn what_is_used_of_each_limit_shows_and_what_is_not_told_is_unknown() {
    let config = Config { public_url: Some("https://grants.example.com"), ..Config::default() };
    let mut scene = Scene::prepared(config).await;
    scene.pagerduty.configure(|settings| settings.oncalls_budget = 8);
    scene.strongdm.configure(|settings| settings.write_budget = 20);
    scene.start().await;
    let share = async |upstream: &str, budget: &str| -> Option<f64> {
        let sample = format!("rate_limit_used_ratio{{upstream={upstream:?},budget={budget:?}}}");
        scene.metric(&sample).await
    };
    let on_calls = share("pagerduty", "on_calls").await.expect("it was told");
    assert!((0.1..=0.5).contains(&on_calls), "{on_calls}");
    let writes = share("strongdm", "writes").await.expect("it was told");
    assert!((0.09..=0.11).contains(&writes), "two of twenty: {writes}");
    assert!(share("strongdm", "reads").await.expect("it was told") < 0.05);
    let limit: u64 = scene.metric(r#"rate_limit{upstream="strongdm",budget="writes"}"#).await.expect("told");
    assert_eq!(limit, 20);
    let page = scene.get("/").await.text;
    assert!(page.contains("Rate limit of writes: 10 % of 20 used at the busiest moment"), "{page}");
    assert!(!page.contains("nearly used up"), "{page}");
    // What is asked beside the passes is told apart.
    for sample in [
        r#"upstream_requests_total{upstream="pagerduty",operation="on_calls",code="200",purpose="pass"}"#,
        r#"upstream_requests_total{upstream="pagerduty",operation="list_subscriptions",code="200",purpose="subscription"}"#,
        r#"upstream_requests_total{upstream="strongdm",operation="AccountGrants.List",code="OK",purpose="comparison"}"#,
    ] {
        wait_until(sample, async || scene.metric::<u64>(sample).await.is_some_and(|count| count > 0)).await;
    }
    wait_until("little is left of the limit", async || {
        scene.sync_with(r#"{"dry_run": true}"#).await;
        share("pagerduty", "on_calls").await.is_some_and(|used| used > 0.8)
    })
    .await;
    let page = scene.get("/").await.text;
    assert!(page.contains("nearly used up"), "{page}");
}

#[tokio::test]
async fn a_limit_that_no_answer_tells_is_unknown_and_one_that_refuses_is_used_up() {
    let mut scene = Scene::prepared(Config::default()).await;
    // Answers without the headers.
    scene.pagerduty.faults().add(Fault::on("GET /", Action::http(500, "")).until_cleared());
    scene.start().await;
    let used = r#"rate_limit_used_ratio{upstream="pagerduty",budget="on_calls"}"#;
    assert_eq!(scene.metric::<f64>(used).await, None);
    let page = scene.get("/").await.text;
    assert_eq!(page.matches("Rate limit: unknown").count(), 1, "{page}");
    scene.pagerduty.faults().clear();
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(429, "")));
    scene.sync().await;
    assert_eq!(scene.metric::<f64>(used).await, Some(1.0));
}

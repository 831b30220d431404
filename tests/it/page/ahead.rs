//! What is wrong with shifts, webhooks and secrets, and how the page says so.

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};
use serde_json::json;

use super::{address, browser::Browser, is_sound, looked_at, rules, turning, turns};
use crate::support::{ANA, BO, CEM, Config, DENIZ, Scene, filter_rule, rule, stderr};

/// Nobody listens there; what the stand-in delivers is lost.
const PUBLIC_URL: &str = "http://127.0.0.1:9";

/// Nobody is on call from before now until the 200th minute, and from the 400th to the 9000th.
fn holes(scene: &Scene) {
    scene.shifts(SCHEDULE, &[(ANA, -400, -60), (BO, 200, 400), (CEM, 9000, 20_000)]);
}

/// The page without the browser.
async fn page(scene: &Scene) -> String {
    scene.get("/").await.text
}

/// The notices of the summary with their tones, in their order.
async fn notices(browser: &Browser) -> Vec<String> {
    let all = "[...document.querySelectorAll('.notice')].map(n => n.classList[1] + ': ' + n.querySelector('h2').textContent)";
    serde_json::from_value(browser.value(all).await).expect("texts")
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_told_with_their_times_and_what_mends_them() {
    let browser = Browser::start().await;
    let mut scene = Scene::prepared(Config::default()).await;
    holes(&scene);
    scene.start().await;
    let said = looked_at(&scene, &browser, "gaps").await;
    assert_eq!(notices(&browser).await, ["warn: Nobody is on call now for payments"]);
    for expected in [
        "Nobody on call for payments",
        "Nobody is on call for schedule Payments primary (PI7DH85), so nobody gets resource \"prod-postgres\"",
        "since ",
        "(in 6 h",
        "What mends it: fill the schedule in PagerDuty, unless that is meant.",
    ] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    // With its day, if that is another one.
    let until = ["until %H:%M UTC", "until %a %-d %b, %H:%M UTC"]
        .map(|form| scene.minute(200).format(form).to_string());
    assert!(until.iter().any(|until| said.contains(until)), "{until:?} is missing in {said}");
    // Bars for eyes, and words for ears.
    assert_eq!(browser.value("document.querySelectorAll('rect.gap').length").await, 3, "two, and the legend");
    let heard = "[...document.querySelectorAll('.lane .sr li')].map(li => li.textContent).join('; ')";
    let heard = browser.value(heard).await;
    assert!(heard.as_str().is_some_and(|words| words.contains("nobody on call from")), "{heard}");
    let sought = format!("{}?q=bo.chen", address(&scene));
    browser.open(&sought).await;
    is_sound(&browser, "gaps-sought").await;
    assert_eq!(browser.value("document.querySelectorAll('.lane rect.gap').length").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_outlive_the_process_and_what_cannot_be_seen_and_go_when_they_are_filled() {
    let mut scene = Scene::prepared(Config::default()).await;
    holes(&scene);
    scene.start().await;
    scene.page_says("Nobody is on call now for payments").await;
    scene.kill();
    scene.pagerduty.faults().add(Fault::on("", Action::http(503, "")).until_cleared());
    scene.start().await;
    scene.page_says("PagerDuty does not answer as it should").await;
    let said = page(&scene).await;
    assert!(said.contains("Nobody is on call now for payments"), "{said}");
    assert!(said.contains("It could not be checked the last time."), "{said}");
    scene.pagerduty.faults().clear();
    scene.shifts(SCHEDULE, &[(ANA, -60, 400), (CEM, 9000, 20_000)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.all_served().await;
    scene.page_no_longer_says("Nobody is on call now").await;
    scene.page_says("Nobody will be on call for payments, first in 6 h").await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 20_000)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.all_served().await;
    scene.page_says("All is well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_names_what_mends_it_the_most_urgent_first() {
    let browser = Browser::start().await;
    let rules = rules().rules
        + &filter_rule("crowd", "tags:env=nowhere")
        + &rule("misnamed", &[SCHEDULE], &["prod-postgras"]);
    let mut scene = Scene::prepared(Config { rules, ..Config::default() }).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 20_000)]);
    scene.start().await;
    let said = looked_at(&scene, &browser, "findings").await;
    let order = "[...document.querySelectorAll('.findings .card')].map(c => c.classList[1])";
    let order: Vec<String> = serde_json::from_value(browser.value(order).await).expect("texts");
    let rank = |tone: &String| ["bad", "warn", "info"].iter().position(|one| one == tone).expect("a tone");
    assert!(order.len() >= 3 && order.is_sorted_by_key(rank), "{order:?}");
    let silent = "[...document.querySelectorAll('.findings .card')].filter(c => !c.textContent.includes('What mends it: ')).length";
    assert_eq!(browser.value(silent).await, 0);
    let why = format!("{}why?email=deniz%40example.com&resource=prod-postgres", address(&scene));
    browser.open(&why).await;
    is_sound(&browser, "why-not").await;
    let why = browser.value("document.body.innerText").await;
    let remedy = "What mends it: make a strongDM user account";
    assert!(why.as_str().is_some_and(|words| words.contains(remedy) && !words.contains("no rule")), "{why}");
    for expected in
        ["tags:env=nowhere", "matches no resource now", "prod-postgras", DENIZ.1, "accounts.aliases"]
    {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
}

/// A service that should be reached, and the ID of its subscription, which signs with a secret that it does not have.
async fn subscribed() -> (Scene, String) {
    let mut scene = Scene::prepared(Config { public_url: Some(PUBLIC_URL), ..Config::default() }).await;
    turns(&scene);
    let id = scene.subscribe_without_its_secret().await;
    scene.start().await;
    (scene, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_subscription_is_shown_with_what_mends_it() {
    let browser = Browser::start().await;
    let scene = turning(Config::default()).await;
    scene.page_says("not watched").await;

    let (mut scene, id) = subscribed().await;
    scene.page_says("Webhooks <span class=\"chip good\">active</span>").await;
    assert!(page(&scene).await.contains("All is well"));
    for state in ["inactive", "missing"] {
        scene.kill();
        if state == "inactive" {
            scene.change_subscription(&id, json!({"active": false})).await;
        } else {
            let deleted = scene.webhook(&["delete", &id]).await;
            assert!(deleted.status.success(), "{}", stderr(&deleted));
        }
        scene.start().await;
        scene.page_says(&format!("<span class=\"chip bad\">{state}</span>")).await;
        let said = looked_at(&scene, &browser, &format!("subscription-{state}")).await;
        assert_eq!(notices(&browser).await.len(), 1, "{said}");
        assert!(said.contains("Webhook subscription") && said.contains("What mends it: "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_until_a_webhook_is_signed_well_also_after_a_restart() {
    const REFUSED: &str = "Webhooks of our own subscription are refused";
    let browser = Browser::start().await;
    let (mut scene, id) = Scene::with_wrong_secret().await;
    turns(&scene);
    scene.synced().await;
    scene.forge("PSTRANGER").await;
    assert!(!page(&scene).await.contains("wrong secret"));
    scene.forge(&id).await;
    let said = looked_at(&scene, &browser, "wrong-secret-claimed").await;
    assert_eq!(notices(&browser).await, ["good: All is well"], "it may be anybody");
    assert!(said.contains(&id) && said.contains("wrong secret?") && said.contains("webhook ping"), "{said}");

    scene.pagerduty_switches_off().await;
    // A pass keeps what was noticed.
    scene.synced().await;
    scene.kill();
    scene.start().await;
    scene.page_says(REFUSED).await;
    let said = looked_at(&scene, &browser, "wrong-secret").await;
    assert_eq!(notices(&browser).await, [format!("bad: {REFUSED}")]);
    assert!(said.contains(&id) && said.contains("webhook rotate") && said.contains("last seen"), "{said}");
    scene.deliver(&scene.about(SCHEDULE)).await;
    scene.page_no_longer_says(REFUSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_secret_the_page_says_that_webhooks_are_refused() {
    let browser = Browser::start().await;
    let scene = turning(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    let said = looked_at(&scene, &browser, "no-secret").await;
    assert_eq!(notices(&browser).await, ["warn: Webhooks are answered 503"]);
    assert!(said.contains("pagerduty.webhook_secrets"), "{said}");
}

//! The page of a large installation: it does not grow, nobody on it is lost, and what it leaves out is counted.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Policy, Schedule, Shift, Target, User},
    strongdm::ResourceKind,
    world::SCHEDULE,
};
use serde_json::Value;
use sqlx::{Connection, Row};

use super::{address, browser::Browser, fits, is_sound, looked_at, text};
use crate::support::{Config, Scene, rule};

/// The schedules, each of a rule of its own, with somebody on call now, and in each tenth somebody else next.
const SCHEDULES: usize = 1000;
const RESOURCES: usize = 40;
/// What the page may be, in bytes, at any size.
const LARGEST: usize = 300_000;
/// What the store may keep of each pass, and of the state that the newest passes saw.
const LARGEST_REPORT: i64 = 150_000;
const LARGEST_SNAPSHOT: i64 = 1_000_000;
/// Time of the processor for a page, without optimisation. It is more on a machine that is busy with other things.
const PROMPT: Duration = Duration::from_millis(2500);

fn email(person: usize) -> String {
    format!("person.{person:04}@example.com")
}

fn resource(schedule: usize) -> String {
    format!("db-{:02}", schedule % RESOURCES)
}

fn schedule(number: usize) -> String {
    format!("PLARGE{number:04}")
}

/// Whether somebody else is on call in it later.
fn hands_over(schedule: usize) -> bool {
    schedule % 10 == 8
}

/// A large world, before its first pass.
async fn prepared() -> Scene {
    let rules = (0..SCHEDULES)
        .map(|number| rule(&format!("team {number:04}"), &[&schedule(number)], &[&resource(number)]));
    let scene = Scene::prepared(Config { max_revocations: 0, ..Config::with_rules(rules) }).await;
    for number in 0..RESOURCES {
        scene.strongdm.add_resource(ResourceKind::Postgres, &resource(number), &[]);
    }
    for number in 0..SCHEDULES {
        let user = format!("PPERSON{number:04}");
        scene.pagerduty.add_user(User::new(&user, &format!("Person {number}"), &email(number)));
        scene.strongdm.add_user(&email(number));
    }
    for number in 0..SCHEDULES {
        let on_call = |person: usize| format!("PPERSON{:04}", person % SCHEDULES);
        let end = scene.zero + TimeDelta::days(9);
        let turns = Schedule::layers(&schedule(number), &format!("Team {number}"));
        scene.pagerduty.put_schedule(if hands_over(number) {
            let hand_over = scene.minute(120 + i64::try_from(number % 240).expect("small"));
            let first = Shift::new(&on_call(number), scene.minute(-60), hand_over);
            turns.with(first).with(Shift::new(&on_call(number + 1), hand_over, end))
        } else {
            turns.with(Shift::new(&on_call(number), scene.minute(-60), end))
        });
    }
    let targets = (0..SCHEDULES).map(|number| Target::schedule(&schedule(number))).collect();
    scene.pagerduty.put_policy(Policy::new("PLARGE", "Everybody", vec![targets]));
    scene
}

/// The page, which must be small and be made in time.
async fn small_page(scene: &Scene, path: &str) -> String {
    let before = scene.cpu_time();
    let answer = scene.get(path).await;
    let took = scene.cpu_time().saturating_sub(before);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.len() <= LARGEST, "{path} has {} bytes", answer.text.len());
    assert!(took <= PROMPT, "{path} took {took:?}");
    answer.text
}

/// The text as HTML has it in an address.
fn plain(html: &str) -> String {
    html.replace("&amp;", "&")
}

/// Where the list of those with access goes on.
fn next_page(page: &str) -> Option<String> {
    let (_, list) = page.split_once(r#"aria-label="Pages of access""#)?;
    let (list, _) = list.split_once("</nav>")?;
    let (_, link) = list.split_once(r#"rel="next" href=""#)?;
    // Relative to the status page.
    Some(plain(link.split_once('"')?.0).trim_start_matches('.').to_owned())
}

/// Whose access to what has a lane on this page, as the link that says why.
fn lanes(page: &str) -> Vec<String> {
    let lanes = page.split(r#"<li class="lane">"#).skip(1);
    let link = |lane: &str| Some(plain(lane.split_once(r#"href="why?"#)?.1.split_once('"')?.0));
    lanes.filter_map(link).collect()
}

/// Everybody who is listed, from this page on.
async fn paged_through(scene: &Scene, first: &str) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let page = small_page(scene, &path).await;
        let found = lanes(&page);
        assert!(!found.is_empty(), "{path} shows nobody");
        seen.extend(found);
        next = next_page(&page);
    }
    seen
}

async fn number(scene: &Scene, statement: &'static str) -> i64 {
    let mut store = scene.open_store().await;
    let row = sqlx::query(statement).fetch_one(&mut store).await.expect("a row");
    store.close().await.expect("it can be closed");
    row.try_get(0).expect("a number")
}

/// What the store keeps for people must not grow with the grants.
async fn stores_little(scene: &Scene) {
    let report = number(scene, "SELECT max(length(report)) FROM passes").await;
    assert!(report <= LARGEST_REPORT, "a report of {report} bytes is stored");
    let snapshot = number(scene, "SELECT length(value) FROM facts WHERE name = 'picture'").await;
    assert!(snapshot <= LARGEST_SNAPSHOT, "a snapshot of {snapshot} bytes is stored");
}

/// Many more grants than passes of a test could make, as if they had made them.
const GRANTS: &str = r#"
    WITH RECURSIVE counted (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM counted WHERE number < 99999)
    INSERT INTO grants (state, grant_id, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms)
    SELECT 'live', 'ag-more-' || number, 'a-' || number, printf('more.%06d@example.com', number), 'rs-' || number % 400,
      printf('more-%03d', number % 400), $1 - 3600 + number % 7200, $1 + 7200 + number % 36000,
      '[{"rule": "team 0001", "schedule": "PLARGE0001", "user": "P1", "through": null, "policy": null, "level": null,
         "shift_start": null, "shift_end": null}]', $1 * 1000
    FROM counted"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_thousand_schedules_or_of_a_hundred_thousand_grants_is_small_and_whole() {
    let mut scene = prepared().await;
    scene.start().await;
    // A machine that is busy with other things needs more than one pass.
    scene.page_says("All is well").await;
    let page = small_page(&scene, "/").await;
    assert!(page.contains(&format!("25 lanes of {SCHEDULES} ({SCHEDULES} people)")));
    assert!(page.contains("<p>1000 rules</p>") && page.contains("1 to 25 of 1000"));
    stores_little(&scene).await;

    // Everybody is on one page, and on one only.
    for (path, people) in [("/?show=now", SCHEDULES), ("/?show=all", SCHEDULES + SCHEDULES / 10)] {
        let seen = paged_through(&scene, path).await;
        assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (people, people), "{path}");
    }
    // Somebody who is far beyond the first page, and a resource.
    let last = email(SCHEDULES - 1);
    assert!(!lanes(&page).iter().any(|lane| lane.contains("person.0999")), "{:?}", lanes(&page));
    let found = small_page(&scene, &format!("/?q={}", last.to_uppercase().replace('@', "%40"))).await;
    let (now, next) = (resource(SCHEDULES - 1), resource(SCHEDULES - 2));
    let why = |resource: &str| format!("email=person.0999%40example.com&resource={resource}");
    assert_eq!(lanes(&found), [why(&next), why(&now)]);
    assert_eq!(lanes(&small_page(&scene, "/?q=db-07&show=now").await).len(), SCHEDULES / RESOURCES);
    assert!(small_page(&scene, "/?q=team%200999").await.contains("<p>1 rule of 1000"));

    // Not before it is needed: there are few places for browsers.
    let browser = Browser::start().await;
    let said = looked_at(&scene, &browser, "large").await;
    assert!(said.contains("All is well"), "{said}");

    // A hundred thousand more.
    let mut store = scene.open_store().await;
    sqlx::query(GRANTS).bind(scene.now().timestamp()).execute(&mut store).await.expect("they are stored");
    store.close().await.expect("it can be closed");
    let larger = small_page(&scene, "/").await;
    assert!(larger.len() < page.len() + page.len() / 5, "{} bytes, {} before", larger.len(), page.len());
    let sought = small_page(&scene, "/?q=more.099999&range=7d").await;
    assert_eq!(lanes(&sought), ["email=more.099999%40example.com&resource=more-399"]);
    browser.screen(1280, 900).await;
    browser.dark(false).await;
    browser.open(&format!("{}?q=more-1&show=now", address(&scene))).await;
    is_sound(&browser, "large-sought").await;
    let grants = scene.get("/api/grants?limit=500&active=true").await;
    assert!(
        grants.text.len() < 1_000_000 && grants.header("link").contains("after="),
        "{}",
        grants.text.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_without_an_account_and_writes_that_fail_are_counted_and_the_page_stays_small() {
    let mut scene = prepared().await;
    // Two hundred and fifty people have no account; no write for one resource succeeds.
    for person in 0..250 {
        scene.strongdm.remove_account(&email(person));
    }
    let refused = Action::grpc(tonic::Code::InvalidArgument, "no");
    let broken = scene.strongdm.resource_id(&resource(39)).expect("a resource");
    scene
        .strongdm
        .faults()
        .add(Fault::on("AccountGrants.Create", refused).containing(broken).until_cleared());
    scene.start().await;
    // Again, more than one pass may be needed.
    let failed = (250..SCHEDULES).filter(|number| number % RESOURCES == 39).count();
    scene.page_says(&format!("<h2>{failed} lanes without a grant of ours</h2>")).await;
    let page = small_page(&scene, "/").await;
    for told in [
        "250 findings to be mended",
        "person.0000@example.com",
        "1 to 12 of 200",
        "And 50 more that this page",
    ] {
        assert!(page.contains(told), "{told} is missing");
    }
    assert!(small_page(&scene, "/?findings=17").await.contains("193 to 200 of 200"));
    assert!(
        small_page(&scene, "/?q=person.0123").await.contains("no strongDM user account has this address")
    );
    looked_at(&scene, &Browser::start().await, "large-wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_do_no_harm() {
    const RESOURCE: &str = "'><img src=x onerror=alert(1)>";
    const RULE: &str = "<script>alert('rule')</script>";
    const PERSON: &str = "<b>&'bo@example.com";
    let browser = Browser::start().await;
    let rules = [rule(RULE, &[SCHEDULE], &[RESOURCE, "nowhere<i>"])];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    scene.strongdm.add_resource(ResourceKind::Postgres, RESOURCE, &[]);
    scene.strongdm.add_user(PERSON);
    scene.pagerduty.add_user(User::new("PHOSTILE", "<u>Bo</u>", PERSON));
    scene.pagerduty.set_shifts(SCHEDULE, vec![Shift::new("PHOSTILE", scene.minute(-60), scene.minute(60))]);
    scene.start().await;
    browser.screen(1280, 900).await;
    let sought = "q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    for path in
        ["", "?q=%3Cb%3E%26%27BO", &format!("?{sought}"), "?q=%22%3E%3Cscript%3Ealert(2)%3C%2Fscript%3E"]
    {
        browser.open(&format!("{}{path}", address(&scene))).await;
        is_sound(&browser, "hostile").await;
        let foreign = "document.querySelectorAll('main img, main script, main b, main i, main u').length";
        assert_eq!(browser.value(foreign).await, Value::from(0), "{path}");
    }
    browser.open(&format!("{}?{sought}", address(&scene))).await;
    let said = text(&browser).await;
    for name in [RESOURCE, PERSON, RULE] {
        assert!(said.contains(name), "{name} is missing in {said}");
    }
    browser
        .client
        .find(fantoccini::Locator::Css(".lane .who a[href^='why']"))
        .await
        .expect("a lane")
        .click()
        .await
        .expect("a link");
    is_sound(&browser, "hostile-why").await;
    fits(&browser, "hostile-why").await;
    assert!(text(&browser).await.contains(&format!("<u>Bo</u> ({PERSON}) on {RESOURCE}")));
    // From there to the pages about the resource and about the person.
    for (link, name) in [("h1 a:last-of-type", RESOURCE), ("h1 a:first-of-type", PERSON)] {
        let link = browser.client.find(fantoccini::Locator::Css(link)).await.expect("a link");
        link.click().await.expect("it can be followed");
        is_sound(&browser, "hostile-about").await;
        let foreign = "document.querySelectorAll('main img, main script, main b, main i, main u').length";
        assert_eq!(browser.value(foreign).await, Value::from(0), "{name}");
        let title = browser.value("document.querySelector('h1').innerText").await;
        assert!(title.as_str().is_some_and(|title| title.contains(name)), "{title}");
        browser.client.back().await.expect("it can go back");
    }
}

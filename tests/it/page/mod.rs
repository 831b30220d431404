//! The status page in a real browser: what it shows in each state of the world, on every screen, with and without
//! scripts, with the keyboard alone. Pictures of all states are left in `screenshots/` under the target directory.

mod ahead;
mod browser;
mod large;
mod lasting;

use std::time::Duration;

use chrono::TimeDelta;
use fantoccini::Locator;
use sandbox::{
    faults::{Action, Fault},
    pagerduty::{NewIncident, Shift, User},
    strongdm::SecondGrant,
    world::{ELA, SCHEDULE, SERVICE, TEAM, V3_SCHEDULE},
};
use serde_json::json;

use self::browser::Browser;
use crate::support::{ADMIN_TOKEN, ANA, BO, CEM, Config, DB, DENIZ, Scene, policy_rule, rule, wait_until};

/// A page that takes longer to make is not looked at during an incident. Measured without optimisation, in time of the
/// processor, which does not depend on what else it has to do. It takes a fifth of this, or all of it where machines are
/// slow.
const PROMPT: Duration = Duration::from_millis(500);
const LOOKS: u32 = 5;
const CROWD: usize = 200;

/// Keys as the driver names them.
const TAB: &str = "\u{e004}";
const SPACE: &str = " ";
const ENTER: &str = "\u{e007}";

/// Texts whose contrast is below what WCAG asks for (4.5 to 1), with their colours. Those in pictures are left out.
const PALE: &str = r"(() => {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const part = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const colour = numbers(getComputedStyle(element).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const own = (element) => [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    return [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && own(e)).map(element => {
        const [front, back] = [numbers(getComputedStyle(element).color), ground(element)];
        const [low, high] = [light(front), light(back)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05) < 4.5 ? `${element.className}: ${front} on ${back}` : null;
    }).filter(Boolean);
})()";

/// The page with credentials, as a person would open it.
fn address(scene: &Scene) -> String {
    format!("http://ops:{ADMIN_TOKEN}@{}/", scene.address())
}

/// Rules for databases, clusters and all of production.
fn rules() -> Config {
    let policy = policy_rule("platform", &["prod-cluster"])
        + "escalation_levels = [1, 2]\nresource_filters = [\"tags:env=staging\"]\n";
    let payments = rule("payments", &[SCHEDULE], &[DB]);
    let data = rule("data platform", &[V3_SCHEDULE], &["staging-mysql"]);
    Config { max_revocations: 2, ..Config::with_rules([payments, policy, data]) }
}

/// Turns of six hours, beyond the horizon.
fn turns(scene: &Scene) {
    let turn =
        |number: i64| ([ANA, BO, CEM][usize::try_from(number % 3).expect("small")], number * 360 - 130);
    let turns: Vec<_> = (0..30).map(turn).map(|(person, start)| (person, start, start + 360)).collect();
    scene.shifts(SCHEDULE, &turns);
}

async fn turning(config: Config) -> Scene {
    let mut scene = Scene::prepared(config).await;
    turns(&scene);
    scene.start().await;
    scene
}

/// What must hold of every page in every state. Leaves a picture.
async fn is_sound(browser: &Browser, name: &str) {
    wait_until("the page is there as a whole", async || {
        browser.value("document.readyState").await == "complete"
    })
    .await;
    let count = async |selector: &str| {
        browser
            .value(&format!("document.querySelectorAll({selector:?}).length"))
            .await
            .as_u64()
            .expect("a number")
    };
    assert_eq!(count("main").await, 1, "{name}");
    assert_eq!(count("h1").await, 1, "{name}");
    for landmark in ["header", "header nav[aria-label]", "footer", ".skip[href='#main']"] {
        assert_eq!(count(landmark).await, 1, "{name}: {landmark}");
    }
    assert_eq!(count("nav:not([aria-label])").await, 0, "{name}: ways to other pages without a name");
    assert_eq!(count("main table:not(:has(caption))").await, 0, "{name}: tables without a caption");
    // Headings do not skip a level.
    let levels = "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])";
    let levels: Vec<u64> = serde_json::from_value(browser.value(levels).await).expect("numbers");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
    for (what, selector) in [
        ("fields without a label", "input:not([type=hidden])"),
        ("links and buttons without a name", "a[href], button, summary"),
    ] {
        let nameless = format!(
            "[...document.querySelectorAll({selector:?})].filter(e => e.tagName === 'INPUT' ? !e.labels.length : \
             !e.textContent.trim() && !e.ariaLabel).map(e => e.outerHTML)"
        );
        assert_eq!(browser.value(&nameless).await, json!([]), "{name}: {what}");
    }
    let twice =
        "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)";
    assert_eq!(browser.value(twice).await, json!([]), "{name}: identifiers given twice");
    assert_eq!(browser.value(PALE).await, json!([]), "{name}: text that is hard to read");
    fits(browser, name).await;
    assert_eq!(browser.problems().await, Vec::<String>::new(), "{name}");
    browser.picture(name).await;
}

/// Nothing sticks out sideways.
async fn fits(browser: &Browser, name: &str) {
    let over =
        browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
    assert_eq!(over, 0, "{name}: the page is {over} pixels wider than the screen");
}

/// The text of the page.
async fn text(browser: &Browser) -> String {
    browser.value("document.body.innerText").await.as_str().expect("text").to_owned()
}

/// Looks at the page on a wide screen by day, on a wide one by night, and on phones.
async fn looked_at(scene: &Scene, browser: &Browser, name: &str) -> String {
    browser.screen(1280, 900).await;
    browser.dark(false).await;
    browser.open(&address(scene)).await;
    is_sound(browser, name).await;
    let said = text(browser).await;
    browser.screen(360, 780).await;
    is_sound(browser, &format!("{name}-phone")).await;
    browser.screen(320, 700).await;
    fits(browser, name).await;
    browser.screen(1280, 900).await;
    browser.dark(true).await;
    is_sound(browser, &format!("{name}-dark")).await;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_world_and_a_seeded_one() {
    let browser = Browser::start().await;
    let mut scene = Scene::prepared(Config::default()).await;
    scene.shifts(SCHEDULE, &[]);
    scene.start().await;
    let said = looked_at(&scene, &browser, "empty").await;
    assert!(said.contains("Nobody has access now") && !said.contains("All is well"), "{said}");

    let scene = turning(Config::default()).await;
    let said = looked_at(&scene, &browser, "well").await;
    assert!(said.contains("1 person has access now") && said.contains("All is well"), "{said}");

    let scene = turning(rules()).await;
    let said = looked_at(&scene, &browser, "seeded").await;
    for expected in ["ana@example.com", "prod-postgres", "prod-cluster", "data platform", "deniz@example.com"]
    {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    for range in ["6h", "3d", "7d"] {
        browser.open(&format!("{}?range={range}&q=postgres", address(&scene))).await;
        is_sound(&browser, &format!("seeded-{range}")).await;
    }
    let why = format!("{}why?email=ana%40example.com&resource=prod-postgres", address(&scene));
    browser.open(&why).await;
    is_sound(&browser, "why").await;
    let said = text(&browser).await;
    assert!(
        said.contains(&format!(
            "Rule payments → schedule Payments primary ({SCHEDULE}) → user Ana Lima ({})",
            ANA.0
        )),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn open_incidents_are_a_link_away_and_readable_on_every_screen() {
    let browser = Browser::start().await;
    let incidents = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\n[rules.incidents]\nservices = [{SERVICE:?}]\n\
         people = [\"assignees\", \"responders\"]\neligible = {{ teams = [{TEAM:?}] }}\nmax_people = 1\n"
    );
    let mut scene =
        Scene::prepared(Config::with_rules([rule("payments", &[SCHEDULE], &[DB]), incidents])).await;
    turns(&scene);
    let title = format!("<b>card</b> payments fail {}", "for-a-customer-with-a-long-name-".repeat(6));
    let (id, _) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).titled(&title).assigned_to(&[ELA]));
    let incident = scene.pagerduty.incident(&id);
    incident.request_responder(CEM.0);
    incident.responder_joined(CEM.0);
    scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[DENIZ.0]));
    scene.start().await;
    let said = looked_at(&scene, &browser, "incidents").await;
    for expected in [
        "2 incidents that rules are about are open",
        "ela@example.com",
        "in an incident since",
        "<b>card</b>",
    ] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    tab_to(&browser, "2 incidents").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_people_are_shown_promptly() {
    let browser = Browser::start().await;
    let mut scene = Scene::prepared(rules()).await;
    for number in 0..CROWD {
        let (id, email) = (format!("PCROWD{number}"), format!("person.{number:03}@example.com"));
        scene.pagerduty.add_user(User::new(&id, &format!("Person {number}"), &email));
        scene.strongdm.add_user(&email);
        let start =
            scene.zero - TimeDelta::hours(1) + TimeDelta::minutes(i64::try_from(number).expect("small"));
        scene.pagerduty.add_shift(V3_SCHEDULE, Shift::new(&id, start, start + TimeDelta::hours(9)));
    }
    turns(&scene);
    scene.start().await;
    let said = looked_at(&scene, &browser, "busy").await;
    assert!(said.contains("people have access now"), "{said}");
    let before = scene.cpu_time();
    for _ in 0..LOOKS {
        let answer = scene.get("/").await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("25 lanes of"), "{}", answer.text);
    }
    let each = scene.cpu_time().saturating_sub(before) / LOOKS;
    assert!(each < PROMPT, "the page takes {each:?}");
    assert!(
        scene.get("/?q=person.199").await.text.contains("person.199@example.com"),
        "somebody is left out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_comes_first() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    scene.pagerduty.faults().add(Fault::on("", Action::http(503, "")).until_cleared());
    assert_eq!(scene.sync().await.status, 502);
    let said = looked_at(&scene, &browser, "upstream-down").await;
    assert!(said.contains("PagerDuty does not answer as it should"), "{said}");

    let scene = turning(rules()).await;
    scene.pagerduty.delete_schedule(V3_SCHEDULE);
    assert_eq!(scene.sync().await.status, 502);
    let said = looked_at(&scene, &browser, "unknown-schedule").await;
    assert!(said.contains(&format!("schedule Data platform ({V3_SCHEDULE})")), "{said}");

    let mut scene = Scene::prepared(rules()).await;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesAny);
    turns(&scene);
    scene.start().await;
    let said = looked_at(&scene, &browser, "deferred").await;
    assert!(said.contains("deferred"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_events_takes_few_lines() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    for _ in 0..60 {
        scene.deliver(&scene.about(SCHEDULE)).await;
    }
    scene.all_served().await;
    let said = looked_at(&scene, &browser, "event-storm").await;
    assert!(said.contains("schedule.updated ×"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_revocations_are_previewed_and_confirmed_with_the_keyboard_alone() {
    let browser = Browser::start().await;
    let scene = turning(Config { max_revocations: 0, ..rules() }).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    assert_eq!(scene.sync().await.status, 409);
    let said = looked_at(&scene, &browser, "held").await;
    assert!(said.contains("held") && said.contains("max_revocations"), "{said}");

    tab_to(&browser, "Preview a sync").await;
    browser.press(ENTER).await;
    browser.appears(".confirm").await;
    browser.dark(false).await;
    is_sound(&browser, "preview").await;
    assert!(text(&browser).await.contains("Ana Lima (ana@example.com) on prod-postgres"));
    tab_to(&browser, "allow_mass_revocation").await;
    browser.press(SPACE).await;
    tab_to(&browser, "Sync now").await;
    browser.press(ENTER).await;
    browser.appears("details.pass[open]").await;
    is_sound(&browser, "synced").await;
    let said = text(&browser).await;
    assert!(!said.contains("held until") && said.contains("Revoked"), "{said}");
    assert_eq!(scene.access(ANA, DB), []);
}

/// Goes from field to field until the one with this text or name has the focus.
async fn tab_to(browser: &Browser, sought: &str) {
    for _ in 0..150 {
        browser.press(TAB).await;
        let focused = "document.activeElement.textContent.trim() + ' ' + document.activeElement.name";
        if browser.value(focused).await.as_str().is_some_and(|text| text.contains(sought)) {
            let outlined = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
            assert_eq!(browser.value(outlined).await, true, "the focus on {sought} cannot be seen");
            return;
        }
    }
    panic!("the keyboard does not reach {sought:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_without_scripts() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    browser.screen(1280, 900).await;
    browser.without_scripts().await;
    browser.open(&address(&scene)).await;
    browser.picture("without-scripts").await;
    let page = browser.client.source().await.expect("the page");
    for expected in ["ana@example.com", "Who has access", "Last passes", "Preview a sync", "UTC"] {
        assert!(page.contains(expected), "{expected} is missing");
    }
    // The browser itself loaded the style, and the form works.
    let preview = browser.client.find(Locator::Css("#sync button")).await.expect("a button");
    preview.send_keys(ENTER).await.expect("it can be pressed");
    browser.appears(".confirm").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_keep_the_page_fresh_and_show_the_zone_of_the_reader() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    browser.screen(1280, 900).await;
    browser.zone("Asia/Kolkata").await;
    browser.open(&address(&scene)).await;
    let button = browser.client.find(Locator::Css("#zones button")).await.expect("a choice of zones");
    let before = text(&browser).await;
    button.click().await.expect("it can be pressed");
    let after = text(&browser).await;
    assert!(before.contains("Times: UTC") && after.contains("Times: Asia/"), "{after}");
    assert_ne!(before, after);
    // The other zone stands beside.
    let both = "document.querySelector('#as-of time').textContent";
    let both = browser.value(both).await.as_str().expect("a text").to_owned();
    assert!(both.contains(" (") && both.ends_with(" UTC)"), "{both}");
    let rows = "[...document.querySelectorAll('.axis')].map(a => a.querySelectorAll('.other').length)";
    let rows: Vec<u64> = serde_json::from_value(browser.value(rows).await).expect("numbers");
    assert!(!rows.is_empty() && rows.iter().all(|hours| *hours > 2), "{rows:?}");
    browser.picture("zone").await;
    // The page asks anew after a while, unless somebody is at work in it.
    let marker = "document.querySelector('.headline').dataset.old = 'yes'";
    browser.value(marker).await;
    browser.value("document.activeElement.blur()").await;
    browser.value("window.dispatchEvent(new Event('oncall-grants:refresh'))").await;
    wait_until("the page is fresh", async || {
        browser.value("document.querySelector('.headline').dataset.old ?? null").await.is_null()
    })
    .await;
    assert_eq!(browser.problems().await, Vec::<String>::new());
}

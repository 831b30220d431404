//! Large installations.

use std::{fmt::Write, fs, time::Duration};

use sandbox::{
    pagerduty::{Policy, Schedule, Shift, Target, User},
    strongdm::{Grant, ResourceKind},
    world::SCHEDULE,
};
use tokio::time::{Instant, sleep};

use super::{
    Row, event_to_grant, row, slow,
    support::{Config, DB, Scene, rule},
    until,
};

const WEB: &str = "prod-web-1";
const SCHEDULES: usize = 1000;
/// How many shifts of half a day each schedule has, and how many resources they open.
const SHIFTS: i64 = 5;
const RESOURCES: usize = 20;

pub(crate) fn user(n: usize) -> String {
    format!("PUSER{n:04}")
}

pub(crate) fn email(n: usize) -> String {
    format!("person-{n}@example.com")
}

pub(crate) fn add_person(scene: &Scene, n: usize) {
    scene.pagerduty.add_user(User::new(&user(n), &format!("Person {n}"), &email(n)));
    scene.strongdm.add_user(&email(n));
}

/// A thousand schedules, each with somebody on call, in rules of a hundred; three policies; two resources each.
async fn large_installation() -> Scene {
    let ids: Vec<String> = (0..SCHEDULES).map(|n| format!("PBIG{n:04}")).collect();
    let mut rules: Vec<String> = Vec::new();
    let policies = ["PPOL001", "PPOL002", "PPOL003"];
    for (n, chunk) in ids.chunks(100).enumerate() {
        let names: Vec<&str> = chunk.iter().map(String::as_str).collect();
        rules.push(rule(&format!("rule {n}"), &names, &[DB, "prod-cluster"]));
    }
    rules.push(format!(
        "[[rules]]\nname = \"policies\"\nescalation_policies = {policies:?}\nresources = {:?}\n",
        [DB, "prod-cluster"]
    ));
    rules.push(rule("alone", &[SCHEDULE], &[WEB]));
    let scene = Scene::prepared(Config { max_revocations: 5000, ..Config::with_rules(rules) }).await;
    for (n, id) in ids.iter().enumerate() {
        add_person(&scene, n);
        let shift = Shift::new(&user(n), scene.minute(-60), scene.minute(600));
        scene.pagerduty.put_schedule(Schedule::layers(id, &format!("Schedule {n}")).with(shift));
    }
    for (n, id) in policies.iter().enumerate() {
        let levels = ids.iter().skip(n).step_by(3).map(|id| vec![Target::schedule(id)]);
        scene.pagerduty.put_policy(Policy::new(id, "Large", levels.take(20).collect()));
    }
    // Every schedule is in a policy of its own, as PagerDuty's customers have them.
    for id in &ids {
        let policy = format!("PFOR{}", &id[4..]);
        scene.pagerduty.put_policy(Policy::new(&policy, "Own", vec![vec![Target::schedule(id)]]));
    }
    lift_limits(&scene);
    scene
}

/// What the stand-ins allow is no part of what is measured.
fn lift_limits(scene: &Scene) {
    scene.pagerduty.configure(|settings| (settings.budget, settings.oncalls_budget) = (1_000_000, 1_000_000));
    scene.strongdm.configure(|settings| {
        (settings.read_budget, settings.write_budget) = (1_000_000, 1_000_000);
    });
}

fn memory(scene: &Scene) -> f64 {
    memory_by(scene, "VmRSS:")
}

/// Megabytes, now (`VmRSS:`) or at most so far (`VmHWM:`).
fn memory_by(scene: &Scene, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.process_id())).unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

pub(crate) async fn thousand_schedules() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut scene = large_installation().await;
    scene.launch().await;
    let before = scene.cpu_time();
    let idle = memory(&scene);
    let took = until(|| scene.writes().0 >= 2 * SCHEDULES).await;
    scene.first_pass_is_over().await;
    let cpu = scene.cpu_time().saturating_sub(before).as_secs_f64();
    rows.extend(row(format!("first pass: {took:.1} s, {cpu:.1} s of CPU"), "1.5 s of CPU"));

    scene.pagerduty.clear_requests();
    let strongdm_before = scene.strongdm.calls().len();
    let (before, began) = (scene.cpu_time(), Instant::now());
    scene.send(scene.sync_request()).await;
    let (took, cpu) = (began.elapsed().as_secs_f64(), scene.cpu_time().saturating_sub(before).as_secs_f64());
    let made = scene.strongdm.calls().split_off(strongdm_before);
    let pages = made.iter().filter(|call| call.method == "AccountGrants.List").count();
    let mut told = format!("POST /sync: {} calls to PagerDuty, ", scene.pagerduty.requests().len());
    let _ = write!(told, "{} to strongDM beside {pages} pages of the comparison, ", made.len() - pages);
    let _ = write!(told, "{took:.1} s, {cpu:.1} s of CPU");
    rows.extend(row(told, "60, 30"));

    let page = scene.get("/").await;
    rows.extend(row(format!("status page: {} kB", page.text.len() / 1000), "300 kB"));
    rows.extend(row(
        format!("memory: {idle:.0} MB at the start, {:.0} MB now", memory(&scene)),
        "20 MB, 100 MB",
    ));

    slow(&scene);
    let median = event_to_grant(&scene, SCHEDULE, WEB).await;
    rows.extend(row(format!("an event: the grant after {median:.2} calls' time (median)"), "2.2"));
    rows
}

/// Seconds, and seconds of CPU.
struct Spent {
    began: Instant,
    cpu_before: Duration,
}

impl Spent {
    fn since_now(scene: &Scene) -> Self {
        Self { began: Instant::now(), cpu_before: scene.cpu_time() }
    }

    fn told(&self, scene: &Scene) -> String {
        let cpu = scene.cpu_time().saturating_sub(self.cpu_before).as_secs_f64();
        format!("{:.1} s, {cpu:.1} s of CPU", self.began.elapsed().as_secs_f64())
    }
}

/// A thousand schedules whose two people take turns of half a day. The service makes the grants for one resource, and those
/// for the others are put beside them, in strongDM and in the ledger: to make them all would take hours of strongDM's limit.
async fn hundred_thousand() -> Scene {
    let ids: Vec<String> = (0..SCHEDULES).map(|n| format!("PBIG{n:04}")).collect();
    let resources: Vec<String> = (0..RESOURCES).map(|n| format!("res-{n}")).collect();
    let rules = |resources: &[String]| {
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        let of = |(n, chunk): (usize, &[String])| {
            let names: Vec<&str> = chunk.iter().map(String::as_str).collect();
            rule(&format!("rule {n}"), &names, &resources)
        };
        ids.chunks(100).enumerate().map(of).collect::<Vec<_>>()
    };
    let config = |resources| Config { max_revocations: 5000, ..Config::with_rules(rules(resources)) };
    let mut scene = Scene::prepared(config(&resources[..1])).await;
    for name in &resources {
        scene.strongdm.add_resource(ResourceKind::Postgres, name, &[]);
    }
    for (n, id) in ids.iter().enumerate() {
        add_person(&scene, 2 * n);
        add_person(&scene, 2 * n + 1);
        let mut schedule = Schedule::layers(id, &format!("Schedule {n}"));
        for turn in 0..SHIFTS {
            let person = user(2 * n + usize::from(turn % 2 == 1));
            let start = turn * 720 - 60;
            schedule = schedule.with(Shift::new(&person, scene.minute(start), scene.minute(start + 720)));
        }
        scene.pagerduty.put_schedule(schedule);
        let policy = format!("PFOR{}", &id[4..]);
        scene.pagerduty.put_policy(Policy::new(&policy, "Own", vec![vec![Target::schedule(id)]]));
    }
    lift_limits(&scene);
    scene.launch().await;
    let first = SCHEDULES * usize::try_from(SHIFTS).expect("a few");
    until(|| scene.writes().0 >= first).await;
    scene.first_pass_is_over().await;
    scene.kill();
    let made = scene.strongdm.grants();
    for name in &resources[1..] {
        copy_grants(&scene, &made, name).await;
    }
    scene.write_config(&config(&resources).text(&scene.pagerduty.url(), &scene.strongdm.url()));
    scene
}

/// Puts a grant for this resource beside each of these.
async fn copy_grants(scene: &Scene, made: &[Grant], resource: &str) {
    let resource_id = scene.strongdm.resource_id(resource).expect("a resource");
    let mut store = scene.open_store().await;
    sqlx::query("BEGIN").execute(&mut store).await.expect("a transaction");
    for grant in made {
        let id = scene.strongdm.copy_grant(&grant.id, &resource_id).expect("a grant");
        let copy = "INSERT INTO grants (state, grant_id, account_id, email, resource_id, resource, start_at, end_at, causes, intended_ms)
                    SELECT state, $2, account_id, email, $3, $4, start_at, end_at, causes, intended_ms
                    FROM grants WHERE grant_id = $1";
        let copy = sqlx::query(copy).bind(&grant.id).bind(id).bind(&resource_id).bind(resource);
        copy.execute(&mut store).await.expect("a row");
    }
    sqlx::query("COMMIT").execute(&mut store).await.expect("a transaction");
}

pub(crate) async fn hundred_thousand_grants() -> Vec<Row> {
    let mut scene = hundred_thousand().await;
    let there = scene.strongdm.grants().len();
    let writes = scene.writes();
    let began = Instant::now();
    scene.launch().await;
    let listening = began.elapsed().as_secs_f64();
    let spent = Spent::since_now(&scene);
    scene.first_pass_is_over().await;
    let mut rows = row(
        format!(
            "{there} grants: it listens after {listening:.1} s; first pass, with comparison: {}",
            spent.told(&scene)
        ),
        "",
    );
    scene.pagerduty.clear_requests();
    let before = scene.strongdm.calls().len();
    let spent = Spent::since_now(&scene);
    let answer = scene.sync().await;
    let mut told = format!("POST /sync, nothing changed: {}, ", spent.told(&scene));
    let made = scene.strongdm.calls().split_off(before);
    let pages = made.iter().filter(|call| call.method == "AccountGrants.List").count();
    let _ = write!(told, "{} calls to PagerDuty, ", scene.pagerduty.requests().len());
    let _ = write!(told, "{} to strongDM beside {pages} pages; ", made.len() - pages);
    let _ = write!(told, "answered {}, {} writes", answer.status, scene.writes().0 - writes.0);
    rows.extend(row(told, "no writes"));
    rows.extend(row(first_grants_after_events(&scene).await, ""));
    let page = Spent::since_now(&scene);
    let size = scene.get("/").await.text.len() / 1000;
    rows.extend(row(format!("status page: {size} kB in {}", page.told(&scene)), "300 kB"));
    let (now, most) = (memory(&scene), memory_by(&scene, "VmHWM:"));
    rows.extend(row(format!("memory: {now:.0} MB, {most:.0} MB at most"), ""));
    rows
}

/// Somebody else takes over, and PagerDuty says so: how long until the first and the last of the new grants.
async fn first_grants_after_events(scene: &Scene) -> String {
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for n in 0..5 {
        let schedule = format!("PBIG{n:04}");
        let next = user(2 * n + 1);
        let shift = Shift::new(&next, scene.minute(-60), scene.minute(660));
        scene.pagerduty.set_shifts(&schedule, vec![shift]);
        let (began, before) = (Instant::now(), scene.writes().0);
        scene.deliver(&scene.about(&schedule)).await;
        until(|| scene.writes().0 > before).await;
        first.push(began.elapsed().as_secs_f64());
        until(|| scene.writes().0 >= before + RESOURCES).await;
        all.push(began.elapsed().as_secs_f64());
        // The second look, and what it takes back.
        sleep(Duration::from_secs(8)).await;
    }
    first.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    format!(
        "an event: the first grant after {:.1} s, the last of {RESOURCES} after {:.1} s (median)",
        first[2], all[2]
    )
}

//! How long somebody waits for access, or keeps it, in the situations that matter: each with the real binary between
//! stand-ins whose calls take time, stall or fail, all on the loopback address.
//!
//! `cargo bench --bench situations [-- WORD]` prints a table; WORD picks the situations whose name holds it. Figures are
//! counts of calls, places in the order of writes, and seconds; those in calls' time are divided by what one call takes, so
//! that they say the same on any machine. It ends by itself after some minutes, ten of
//! them for the 100,000 grants.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::{env, pin::Pin, time::Duration};

use sandbox::{
    faults::{Action, Fault},
    pagerduty::{Event, IncidentHandle, NewIncident, Schedule, Shift, User},
    strongdm::ResourceKind,
    world::{ELA, LONELY_SCHEDULE, SCHEDULE, SERVICE, TEAM, V3_SCHEDULE},
};
use tokio::time::{Instant, sleep};

#[allow(dead_code, unused_imports, reason = "the tests need all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

mod large;

use large::{add_person, email, hundred_thousand_grants, thousand_schedules, user};
use support::{ANA, BO, CEM, Config, DB, Scene, rule};

/// What a call takes where nothing else is said.
const CALL: Duration = Duration::from_millis(50);
const WEB: &str = "prod-web-1";

/// A situation, what was measured in it, and what we want.
struct Row {
    measured: String,
    wanted: &'static str,
}

type Situation = (&'static str, fn() -> Pin<Box<dyn Future<Output = Vec<Row>>>>);

macro_rules! situations {
    ($($name:literal => $measure:ident,)+) => {
        [$(($name, || Box::pin($measure()))),+]
    };
}

const SITUATIONS: [Situation; 13] = situations![
    "first start: one person on call, 30 to come, 10 resources" => first_start,
    "strongDM's list hangs, then a hand-over" => list_hangs,
    "200 schedules in no policy, 350 ms each" => lonely_schedules,
    "one schedule makes PagerDuty stall" => stalling_schedule,
    "three people whose addresses stall" => stalling_people,
    "strongDM's budget for writes is spent" => spent_budget,
    "somebody goes off call during a first pass of 600 grants" => off_call,
    "five events about one source" => burst,
    "an event, nothing else going on" => event,
    "an incident is assigned to somebody of the next level" => incident,
    "an incident, and somebody of a team joins" => responder,
    "1,000 schedules, 3 policies, 2 resources" => thousand_schedules,
    "100,000 grants: 1,000 schedules, 5 shifts each, 20 resources" => hundred_thousand_grants,
];

#[tokio::main]
async fn main() {
    let word = env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    println!("| situation | measured | wanted |\n| --- | --- | --- |");
    for (name, measure) in SITUATIONS.iter().filter(|(name, _)| name.contains(&word)) {
        for Row { measured, wanted } in measure().await {
            println!("| {name} | {measured} | {wanted} |");
        }
    }
}

fn row(measured: String, wanted: &'static str) -> Vec<Row> {
    vec![Row { measured, wanted }]
}

/// The time until something holds; a minute and a half at most.
async fn until(mut holds: impl FnMut() -> bool) -> f64 {
    let began = Instant::now();
    while !holds() && began.elapsed() < Duration::from_secs(90) {
        sleep(Duration::from_millis(2)).await;
    }
    began.elapsed().as_secs_f64()
}

fn calls(seconds: f64) -> f64 {
    seconds / CALL.as_secs_f64()
}

fn has(scene: &Scene, person: support::Person, resource: &str) -> bool {
    scene.strongdm.has_access(person.1, resource, scene.now())
}

fn slow(scene: &Scene) {
    scene.pagerduty.faults().set_latency(CALL);
    scene.strongdm.faults().set_latency(CALL);
}

/// Cem takes over, and PagerDuty says so.
async fn hand_over(scene: &Scene, schedule: &str) {
    scene.shifts(schedule, &[(CEM, -60, 600)]);
    scene.deliver(&scene.about(schedule)).await;
}

async fn first_start() -> Vec<Row> {
    let resources: Vec<String> = (0..10).map(|n| format!("res-{n}")).collect();
    let names: Vec<&str> = resources.iter().map(String::as_str).collect();
    let mut scene = Scene::prepared(Config::with_rules([rule("all", &[SCHEDULE], &names)])).await;
    for name in &names {
        scene.strongdm.add_resource(ResourceKind::Postgres, name, &[]);
    }
    let turn = |n: i64| ([ANA, BO][usize::try_from(n % 2).expect("0 or 1")], n * 60, n * 60 + 60);
    let shifts: Vec<_> = [(CEM, -60, 60)].into_iter().chain((1..31).map(turn)).collect();
    scene.shifts(SCHEDULE, &shifts);
    slow(&scene);
    let cem = scene.strongdm.account_id(CEM.1).expect("an account");
    scene.launch().await;
    until(|| scene.writes().0 >= 310).await;
    let creations = scene.strongdm.calls();
    let creations = creations.iter().filter(|call| call.method == "AccountGrants.Create");
    let last = creations.enumerate().filter(|(_, call)| call.fact("account_id") == cem).last();
    let place = last.map_or(0, |(place, _)| place + 1);
    row(format!("the ten in force are among the first {place} of 310"), "12")
}

async fn list_hangs() -> Vec<Row> {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.write_config(&scene.config_file().replace("verify_interval = \"1h\"", "verify_interval = \"2s\""));
    scene.start().await;
    slow(&scene);
    hand_over(&scene, SCHEDULE).await;
    let without = until(|| has(&scene, CEM, DB)).await;
    scene.strongdm.faults().add(Fault::on("AccountGrants.List", Action::Stall).until_cleared());
    sleep(Duration::from_secs(3)).await;
    scene.shifts(SCHEDULE, &[(ANA, -60, 600)]);
    scene.deliver(&scene.about(SCHEDULE)).await;
    let with = until(|| has(&scene, ANA, DB)).await;
    scene.strongdm.faults().clear();
    row(format!("access {:.1} s later than without", with - without), "1 s")
}

async fn lonely_schedules() -> Vec<Row> {
    let ids: Vec<String> = (0..200).map(|n| format!("PLONE{n:03}")).collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut scene = Scene::prepared(Config::with_rules([rule("all", &names, &[DB])])).await;
    for (n, id) in ids.iter().enumerate() {
        add_person(&scene, n);
        let shift = Shift::new(&user(n), scene.minute(-60), scene.minute(600));
        scene.pagerduty.put_schedule(Schedule::layers(id, "In no policy").with(shift));
    }
    let slow = Action::delay(Duration::from_millis(350));
    scene.pagerduty.faults().add(Fault::on("GET /schedules/", slow).until_cleared());
    scene.launch().await;
    let first = until(|| scene.writes().0 > 0).await;
    let rest = until(|| scene.writes().0 >= 200).await;
    row(format!("the first after {first:.1} s, the last after {:.1} s", first + rest), "at once, 30 s")
}

async fn stalling_schedule() -> Vec<Row> {
    let rules = [rule("a", &[SCHEDULE], &[DB]), rule("b", &[LONELY_SCHEDULE], &[WEB])];
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    let stall = Fault::on("GET /", Action::Stall).containing(LONELY_SCHEDULE).until_cleared();
    scene.pagerduty.faults().add(stall);
    scene
        .pagerduty
        .faults()
        .add(Fault::on(format!("GET /schedules/{LONELY_SCHEDULE}"), Action::Stall).until_cleared());
    access_beside(scene).await
}

async fn stalling_people() -> Vec<Row> {
    let rules = [rule("a", &[SCHEDULE], &[DB]), rule("b", &[V3_SCHEDULE], &[WEB])];
    let scene = Scene::prepared(Config::with_rules(rules)).await;
    let ids = ["PSTALL1", "PSTALL2", "PSTALL3"];
    for id in ids {
        scene.pagerduty.add_user(User::new(id, "Stalls", "stalls@example.com"));
        scene.pagerduty.set_email(id, None);
        scene.pagerduty.add_shift(V3_SCHEDULE, Shift::new(id, scene.minute(-60), scene.minute(600)));
        scene.pagerduty.faults().add(Fault::on(format!("GET /users/{id}"), Action::Stall).until_cleared());
    }
    access_beside(scene).await
}

/// How long those wait for access who depend on nothing that stalls: at the start, and after an event.
async fn access_beside(mut scene: Scene) -> Vec<Row> {
    scene.launch().await;
    let at_start = until(|| has(&scene, ANA, DB)).await;
    hand_over(&scene, SCHEDULE).await;
    let by_event = until(|| has(&scene, CEM, DB)).await;
    scene.pagerduty.faults().clear();
    row(
        format!("access by another rule after {at_start:.1} s at the start, {by_event:.1} s after an event"),
        "3 s",
    )
}

async fn spent_budget() -> Vec<Row> {
    let rules = [rule("many", &[SCHEDULE], &[DB]), rule("web", &[V3_SCHEDULE], &[WEB])];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    let turn = |n: i64| ([ANA, BO][usize::try_from(n % 2).expect("0 or 1")], n * 10, n * 10 + 10);
    scene.shifts(SCHEDULE, &(1..401).map(turn).collect::<Vec<_>>());
    scene.shifts(V3_SCHEDULE, &[]);
    scene.strongdm.configure(|settings| settings.write_budget = 100);
    slow(&scene);
    scene.launch().await;
    until(|| scene.writes().0 >= 90).await;
    hand_over(&scene, V3_SCHEDULE).await;
    let before = scene.writes().0;
    until(|| has(&scene, CEM, WEB)).await;
    row(
        format!("after {} windows to come that were written first", scene.writes().0 - before - 1),
        "first when it is filled",
    )
}

async fn off_call() -> Vec<Row> {
    let rules = [
        rule("many", &[SCHEDULE], &[DB, "prod-cluster", "prod-new-thing"]),
        rule("web", &[V3_SCHEDULE], &[WEB]),
    ];
    let mut scene = Scene::prepared(Config::with_rules(rules)).await;
    let turn = |n: i64| ([ANA, BO][usize::try_from(n % 2).expect("0 or 1")], n * 10, n * 10 + 10);
    scene.shifts(SCHEDULE, &(1..201).map(turn).collect::<Vec<_>>());
    scene.shifts(V3_SCHEDULE, &[(ANA, -60, 600)]);
    scene.strongdm.configure(|settings| settings.write_budget = 10_000);
    slow(&scene);
    scene.launch().await;
    until(|| scene.writes().0 >= 20).await;
    hand_over(&scene, V3_SCHEDULE).await;
    let given = until(|| has(&scene, CEM, WEB)).await;
    let taken = until(|| !has(&scene, ANA, WEB)).await;
    row(
        format!(
            "the next one has access after {given:.1} s, the last one loses it after {:.1} s",
            given + taken
        ),
        "8 s",
    )
}

/// Five hand-overs about one schedule to people who have shifts later. First each as soon as the one before is done;
/// then, after a quiet while, each a call's time after the one before: only the last one stays on call.
async fn burst() -> Vec<Row> {
    let mut scene = Scene::prepared(Config::default()).await;
    (0..10).for_each(|n| add_person(&scene, n));
    let put_on_call = |scene: &Scene, who: Option<usize>| {
        let shift = |n, from, to| Shift::new(&user(n), scene.minute(from), scene.minute(to));
        let now = who.map(|n| shift(n, -60, 600));
        let later = (0..10).zip((700..).step_by(60)).map(|(n, from)| shift(n, from, from + 60));
        scene.pagerduty.set_shifts(SCHEDULE, now.into_iter().chain(later).collect());
    };
    put_on_call(&scene, None);
    scene.start().await;
    slow(&scene);
    let has_access = |n| scene.strongdm.has_access(&email(n), DB, scene.now());
    let mut in_a_row: f64 = 0.0;
    for n in 0..5 {
        put_on_call(&scene, Some(n));
        scene.deliver(&scene.about(SCHEDULE)).await;
        in_a_row = in_a_row.max(until(|| has_access(n)).await);
    }
    sleep(Duration::from_secs(10)).await;
    for n in 5..9 {
        put_on_call(&scene, Some(n));
        scene.deliver(&scene.about(SCHEDULE)).await;
        sleep(CALL).await;
    }
    put_on_call(&scene, Some(9));
    scene.deliver(&scene.about(SCHEDULE)).await;
    let last = until(|| has_access(9)).await;
    row(
        format!(
            "in a row, the slowest after {:.1} calls' time; a call's time apart, the last one after {:.1}",
            calls(in_a_row),
            calls(last)
        ),
        "3",
    )
}

/// The median time from an event to the grant, in calls' time.
async fn event_to_grant(scene: &Scene, schedule: &str, resource: &str) -> f64 {
    let mut times = Vec::new();
    for n in 0..15 {
        let next = if n % 2 == 0 { CEM } else { BO };
        scene.shifts(schedule, &[(next, -60, 600)]);
        let began = Instant::now();
        scene.deliver(&scene.about(schedule)).await;
        until(|| has(scene, next, resource)).await;
        times.push(calls(began.elapsed().as_secs_f64()));
        until(|| !has(scene, if n % 2 == 0 { BO } else { CEM }, resource)).await;
        sleep(Duration::from_secs(1)).await;
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn event() -> Vec<Row> {
    let scene = Scene::running(Config::default()).await;
    slow(&scene);
    let median = event_to_grant(&scene, SCHEDULE, DB).await;
    row(format!("the grant after {median:.2} calls' time (median)"), "2.2")
}

/// A running service with a rule about incidents that has looked up everybody who may be pulled in.
async fn waiting_for_incidents() -> Scene {
    let rule = format!(
        "[[rules]]\nname = \"incidents\"\nresources = [{DB:?}]\nend_late = \"0s\"\n[rules.incidents]\nservices = [{SERVICE:?}]\n\
         people = [\"assignees\", \"responders\"]\neligible = {{ teams = [{TEAM:?}] }}\n"
    );
    let scene = Scene::running(Config::with_rules([rule])).await;
    let last = || scene.strongdm.calls().iter().any(|call| call.fact("filter").contains("ela@example.com"));
    until(last).await;
    slow(&scene);
    scene
}

/// The median time from an event of `pull_in` to the grant, in calls' time.
async fn pulled_in(
    scene: &Scene,
    person: support::Person,
    pull_in: impl Fn(&IncidentHandle<'_>) -> Event,
) -> Vec<Row> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let (id, opened) = scene.pagerduty.open_incident(NewIncident::on(SERVICE).assigned_to(&[ANA.0]));
        let incident = scene.pagerduty.incident(&id);
        scene.deliver(&opened).await;
        until(|| has(scene, ANA, DB)).await;
        sleep(Duration::from_secs(1)).await;
        let event = pull_in(&incident);
        let began = Instant::now();
        scene.deliver(&event).await;
        until(|| has(scene, person, DB)).await;
        times.push(calls(began.elapsed().as_secs_f64()));
        scene.deliver(&incident.resolve()).await;
        until(|| !has(scene, person, DB) && !has(scene, ANA, DB)).await;
        sleep(Duration::from_secs(1)).await;
    }
    times.sort_by(f64::total_cmp);
    row(format!("the grant after {:.2} calls' time (median)", times[times.len() / 2]), "2.2")
}

async fn incident() -> Vec<Row> {
    let scene = waiting_for_incidents().await;
    pulled_in(&scene, CEM, |incident| incident.assign(&[CEM.0])).await
}

async fn responder() -> Vec<Row> {
    let scene = waiting_for_incidents().await;
    let ela = (ELA, "ela@example.com");
    pulled_in(&scene, ela, |incident| {
        incident.request_responder(ELA);
        incident.responder_joined(ELA)
    })
    .await
}

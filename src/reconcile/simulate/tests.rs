use chrono::{TimeDelta, TimeZone, Utc};

use super::*;
use crate::{
    model::{Account, Aliases, Observed, OnCall, PeopleSelector, Rule, SeenName, Window},
    reconcile::{
        plan::{
            Settings,
            tests::builders::{email, named, resource},
        },
        world::{AccountMatch, ResourceMatch, World},
    },
};

/// Turns of a day from six in the morning in Berlin on, over the night in which clocks are set back.
fn berlin() -> (Settings, SavedWorld, Window) {
    let first = Utc.with_ymd_and_hms(2026, 10, 23, 4, 0, 0).unwrap();
    // Six o'clock is at 04:00 UTC before, and at 05:00 after the night to Sunday, the 25th.
    let boundary = |day: i64| first + TimeDelta::days(day) + TimeDelta::hours(i64::from(day >= 2));
    let turn = |day: i64| OnCall {
        user: format!("P-{}", day % 2).as_str().into(),
        email: Some(format!("p{}@corp.example", day % 2)),
        schedule: Some("S".into()),
        policy: None,
        level: None,
        start: Some(boundary(day)),
        end: Some(boundary(day + 1)),
    };
    let source = Source::Schedule("S".into());
    let mut world = World::default();
    world.on_calls.insert(source, Observed::Known((0..14).map(turn).collect()));
    for person in 0..2 {
        let address = format!("p{person}@corp.example");
        world.people.insert(format!("P-{person}").as_str().into(), Observed::Known(Some(address)));
        let account = Account { id: format!("a-{person}").as_str().into(), suspended: false };
        world.accounts.insert(email(&format!("p{person}")), Observed::Known(AccountMatch::One(account)));
    }
    world.resources.insert(named("db"), Observed::Known(ResourceMatch::Found(vec![resource("db")])));
    let rule = Rule {
        name: "database".to_owned(),
        people: PeopleSelector::Schedules(vec!["S".into()]),
        resources: vec![named("db")],
        kubernetes_groups: crate::model::KubernetesGroups::default(),
        start_early: TimeDelta::minutes(5),
        end_late: TimeDelta::minutes(10),
    };
    let settings = Settings {
        rules: vec![rule],
        aliases: Aliases::default(),
        horizon: TimeDelta::days(3),
        max_revocations: 20,
    };
    let window = Window::new(first, first + TimeDelta::days(7)).unwrap();
    let names = vec![SeenName {
        thing: crate::model::Thing::User("P-0".into()),
        name: crate::model::Name::new("Ana Lima").unwrap(),
        address: Some("p0@corp.example".to_owned()),
    }];
    let world =
        SavedWorld::new(world, window, names, Calls { pagerduty: 4, strongdm: 9, pagerduty_limit: None });
    (settings, world, window)
}

const PACE: Pace = Pace { interval: TimeDelta::minutes(1), verify_interval: TimeDelta::minutes(15) };

#[test]
fn a_night_of_25_hours_is_granted_whole_and_nobody_waits() {
    let (settings, world, window) = berlin();
    let simulation = simulate(settings, &world, window, PACE);
    let long = simulation
        .grants
        .iter()
        .find(|own| own.grant.window.start() == Utc.with_ymd_and_hms(2026, 10, 24, 3, 55, 0).unwrap());
    let long = long.expect("a grant for the long turn").grant.window;
    assert_eq!(long.end() - long.start(), TimeDelta::hours(25) + TimeDelta::minutes(15));
    // At each instant, whoever is on call has access, and nobody else but for the margins.
    for minute in 0..7 * 24 * 60 {
        let at = window.start() + TimeDelta::minutes(minute);
        let holders: Vec<&str> = simulation
            .grants
            .iter()
            .filter(|own| own.grant.window.contains(at))
            .map(|own| own.grant.account_id.as_str())
            .collect();
        let overlap = simulation.grants.iter().any(|own| {
            let start = own.grant.window.start();
            start <= at && at < start + TimeDelta::minutes(15)
        });
        assert_eq!(
            holders.len(),
            if overlap && at >= window.start() + TimeDelta::hours(1) { 2 } else { 1 },
            "{at}: {holders:?}"
        );
    }
    assert_eq!((simulation.gaps.len(), simulation.held.len(), simulation.unknown.len()), (0, 0, 0));
    assert_eq!(simulation.events.iter().filter(|event| event.action == Write::Revoke).count(), 0);
    assert_eq!(simulation.events[0].grant.name.as_ref().map(crate::model::Name::as_str), Some("Ana Lima"));
}

#[test]
fn the_same_world_always_gives_the_same_through_a_file_as_well() {
    let (settings, world, window) = berlin();
    let text = world.text().unwrap();
    let read = SavedWorld::read(&text).unwrap();
    assert_eq!(read, world);
    assert_eq!(read.text().unwrap(), text);
    let json =
        |world: &SavedWorld| serde_json::to_string(&simulate(settings.clone(), world, window, PACE)).unwrap();
    assert_eq!(json(&world), json(&read));
}

#[test]
fn what_the_guard_would_hold_is_told_and_what_it_costs() {
    let (mut settings, world, window) = berlin();
    // Somebody else's turn makes a grant superfluous only if people move; here nothing is ever taken back.
    settings.max_revocations = 0;
    let simulation = simulate(settings, &world, window, PACE);
    assert_eq!(simulation.held.len(), 0);
    let forecast = &simulation.forecast;
    assert_eq!((forecast.passes, forecast.comparisons), (7 * 24 * 60 + 1, 7 * 24 * 4 + 1));
    assert_eq!(forecast.pagerduty_calls, 4 * (7 * 24 * 60 + 1));
    assert!((forecast.pagerduty_share - 0.004).abs() < 0.0005, "{forecast}");
    assert!(forecast.to_string().contains("of the 960 a minute that its documentation tells"), "{forecast}");
    assert_eq!(forecast.grants_created, simulation.events.len());
}

#[test]
fn a_share_is_one_of_the_limit_that_was_told_where_one_was() {
    let (settings, mut world, window) = berlin();
    world.calls.pagerduty_limit = Some(40);
    let world = SavedWorld::read(&world.text().unwrap()).unwrap();
    let forecast = simulate(settings, &world, window, PACE).forecast;
    assert!((forecast.pagerduty_share - 0.1).abs() < 0.0005, "{forecast}");
    assert!(forecast.to_string().contains("of the 40 a minute that its answers told"), "{forecast}");
}

//! Days full of incidents, compared minute by minute with what the specification wants of what could be known.
//!
//! The story knows who plays which part since when, and remembers what passes could see of it: when they were first
//! able to see that a part began or ended. From that and the true state the specification says who must have access in
//! each minute, and access must be exactly so, except
//!
//! * while something cannot be seen: but nobody who was given access and is still meant may lose it;
//! * from a write that failed until the next pass that sees everything and fails at nothing of the same pair. Where
//!   strongDM takes a second grant, nobody may lose access even then, but to the end of a grant that was to be followed
//!   by another, if something cannot be seen when that is tried again;
//! * where strongDM refuses a second grant, while one waits for another one to end, and until everything is seen again then.
//!
//! `SIMULATION_SEED` and `SIMULATION_SEEDS` as in the other simulation.

mod check;
mod story;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use self::{check::Lived, story::Story};
use super::{number, on_all_processors};
use crate::{
    model::{
        AccountId, Aliases, Group, IncidentSelector, IncidentUrgency, KubernetesGroups, Pair, PeopleSelector,
        Role, Rule, SecondGrant, UserId,
    },
    reconcile::plan::{
        Settings,
        tests::builders::{at, named, resource},
    },
};

const PEOPLE: usize = 4;
/// These belong to the team.
const MEMBERS: usize = 2;
const MINUTES: i64 = 3 * 24 * 60;
const LONGEST: TimeDelta = TimeDelta::hours(2);
const AFTERWARDS: TimeDelta = TimeDelta::minutes(10);
const SERVICE: &str = "PSV";
const RULE: &str = "db";

#[test]
fn access_follows_incidents_where_a_second_grant_is_taken() {
    live_through(SecondGrant::Taken);
}

#[test]
fn access_follows_incidents_where_overlaps_are_refused() {
    live_through(SecondGrant::RefusedIfOverlapping);
}

#[test]
fn access_follows_incidents_where_any_second_grant_is_refused() {
    live_through(SecondGrant::Refused);
}

fn live_through(really: SecondGrant) {
    let (first, seeds) = (number("SIMULATION_SEED", 0), number("SIMULATION_SEEDS", 4));
    let mut all = Lived::default();
    for lived in on_all_processors(first..first + seeds, |seed| Story::new(seed, really).live()) {
        all.add(lived);
    }
    assert!(all.is_busy(seeds), "{seeds} stories from {first} on are too quiet: {all:?}");
    println!("incidents: {really:?}: {seeds} stories of {} days", MINUTES / 24 / 60);
    all.print(&format!("incidents: {really:?}"));
}

fn settings(seed: u64) -> Settings {
    let selector = IncidentSelector {
        services: vec![SERVICE.into()],
        urgencies: BTreeSet::from([IncidentUrgency::High]),
        priorities: Vec::new(),
        roles: BTreeSet::from([Role::Assignee, Role::Acknowledger, Role::Responder]),
        eligible: vec![team()],
        max_duration: LONGEST,
        // In every other story, places are few.
        max_people: if seed.is_multiple_of(2) { PEOPLE } else { 2 },
    };
    let rule = Rule {
        name: RULE.to_owned(),
        people: PeopleSelector::Incidents(selector),
        resources: vec![named("db")],
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: AFTERWARDS,
    };
    Settings {
        rules: vec![rule],
        aliases: Aliases::default(),
        horizon: TimeDelta::days(1),
        max_revocations: 100,
    }
}

fn user(person: usize) -> UserId {
    UserId::from(format!("P-p{person}"))
}

fn pair(person: usize) -> Pair {
    Pair { account: AccountId::from(format!("a-{person}")), resource: resource("db").id }
}

fn moment(minute: i64) -> DateTime<Utc> {
    at(0) + TimeDelta::minutes(minute)
}

fn team() -> Group {
    Group::Team("PT".into())
}

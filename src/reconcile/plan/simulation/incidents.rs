//! Days full of incidents, compared minute by minute with what each person's part in them wants.
//!
//! The story knows who plays which part since when, and when somebody could have seen that a part began or ended: in the first
//! pass that saw everything. From then on access must be exact, at every minute, until the story goes on. While nothing can be
//! seen, or writes fail, nobody who is meant and had access may lose it.
//!
//! `SIMULATION_SEED` and `SIMULATION_SEEDS` as in the other simulation.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::number;
use crate::{
    model::{
        Account, AccountId, Aliases, Group, Incident, IncidentId, IncidentRef, IncidentSelector,
        IncidentState, IncidentUrgency, KubernetesGroups, Observed, Pair, PeopleSelector, Role, Rule,
        SecondGrant, UserId,
    },
    reconcile::{
        plan::{
            Released, Settings,
            tests::{
                builders::{at, email, named, resource},
                twin::{Fault, Twin},
            },
        },
        world::{AccountMatch, ResourceMatch, World},
    },
};

const PEOPLE: usize = 4;
/// These belong to the team.
const MEMBERS: usize = 2;
const MINUTES: i64 = 3 * 24 * 60;
const LONGEST: TimeDelta = TimeDelta::hours(2);
const AFTERWARDS: TimeDelta = TimeDelta::minutes(10);
const SERVICE: &str = "PSV";

/// What passes could know of one person's part in one incident.
#[derive(Clone, Copy, Debug)]
struct Known {
    since: DateTime<Utc>,
    ends: Option<DateTime<Utc>>,
}

/// What cannot be seen or done, until which minute.
#[derive(Debug, Default)]
struct Trouble {
    list: i64,
    members: i64,
    /// The process does not run.
    process: i64,
}

/// What a pass depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The list of open incidents.
    List,
    /// Who belongs to the team.
    Members,
    /// Asking for incidents that are in no list.
    Single,
    Writes,
}

/// What works in one pass.
type Working = BTreeSet<Part>;

struct Story {
    seed: u64,
    rng: Rng,
    settings: Settings,
    twin: Twin,
    incidents: BTreeMap<IncidentId, Incident>,
    known: BTreeMap<(IncidentId, usize), Known>,
    trouble: Trouble,
    /// Whether access must be exact.
    is_settled: bool,
    /// Who had access, and was meant to, in the minute before.
    in_force: BTreeSet<usize>,
    exact_minutes: u32,
    given_minutes: u32,
}

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
    let first: u64 = number("SIMULATION_SEED", 0);
    for seed in first..first + number("SIMULATION_SEEDS", 4) {
        let mut story = Story::new(seed, really);
        for minute in 0..MINUTES {
            story.live(minute);
        }
        let busy = story.exact_minutes > 2_000 && story.given_minutes > 1_000;
        assert!(busy, "seed {seed} is too quiet: {} {}", story.exact_minutes, story.given_minutes);
    }
}

fn most_people(seed: u64) -> usize {
    if seed.is_multiple_of(2) { PEOPLE } else { 2 }
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

impl Story {
    fn new(seed: u64, really: SecondGrant) -> Self {
        let selector = IncidentSelector {
            services: vec![SERVICE.into()],
            urgencies: BTreeSet::from([IncidentUrgency::High]),
            priorities: Vec::new(),
            roles: BTreeSet::from([Role::Assignee, Role::Acknowledger, Role::Responder]),
            eligible: vec![team()],
            max_duration: LONGEST,
            // In every other story, places are few.
            max_people: most_people(seed),
        };
        let rule = Rule {
            name: "db".to_owned(),
            people: PeopleSelector::Incidents(selector),
            resources: vec![named("db")],
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: AFTERWARDS,
        };
        let settings = Settings {
            rules: vec![rule],
            aliases: Aliases::default(),
            horizon: TimeDelta::days(1),
            max_revocations: 100,
        };
        Self {
            seed,
            rng: Rng::with_seed(seed),
            settings,
            twin: Twin::new(really, &World::default()),
            incidents: BTreeMap::new(),
            known: BTreeMap::new(),
            trouble: Trouble::default(),
            is_settled: true,
            in_force: BTreeSet::new(),
            exact_minutes: 0,
            given_minutes: 0,
        }
    }

    fn live(&mut self, minute: i64) {
        let now = moment(minute);
        if self.rng.u8(0..12) == 0 {
            self.something_happens(now);
            self.is_settled = false;
        }
        for until in [&mut self.trouble.list, &mut self.trouble.members, &mut self.trouble.process] {
            if self.rng.u16(0..150) == 0 {
                *until = minute + self.rng.i64(1..12);
            }
        }
        if minute >= self.trouble.process {
            self.pass(minute, now);
        }
        self.check(minute, now);
    }

    /// One change, as PagerDuty would make it.
    fn something_happens(&mut self, now: DateTime<Utc>) {
        let person = self.rng.usize(..PEOPLE);
        let open: Vec<IncidentId> = self.of(|incident| incident.state == IncidentState::Open);
        let resolved: Vec<IncidentId> = self.of(|incident| incident.state != IncidentState::Open);
        let choice = self.rng.u8(0..12);
        let chosen = match (choice, open.is_empty()) {
            (0 | 1, _) | (_, true) if open.len() < 3 => return self.open(person, now),
            (2, _) if !resolved.is_empty() => resolved[self.rng.usize(..resolved.len())].clone(),
            (_, false) => open[self.rng.usize(..open.len())].clone(),
            (_, true) => return,
        };
        let incident = self.incidents.get_mut(&chosen).expect("it was chosen among them");
        if incident.state != IncidentState::Open {
            // Reopened: its policy assigns it anew.
            (incident.state, incident.is_assigned_by_hand) = (IncidentState::Open, false);
            return take(incident, Role::Assignee, &[person], now);
        }
        match choice {
            0..=3 => {
                // It escalates.
                incident.is_assigned_by_hand = false;
                take(incident, Role::Assignee, &[person], now);
            }
            4 => {
                // Somebody hands it over.
                incident.is_assigned_by_hand = true;
                take(incident, Role::Assignee, &[person], now);
            }
            5 => add(incident, Role::Acknowledger, person, now),
            6 => incident.parts.retain(|part| part.role != Role::Acknowledger),
            7 => add(incident, Role::Responder, person, now),
            8 => incident.urgency = String::from(if incident.urgency == "high" { "low" } else { "high" }),
            9 => {
                let elsewhere = if incident.service.as_str() == SERVICE { "PELSEWHERE" } else { SERVICE };
                incident.service = elsewhere.into();
            }
            // Resolved, or merged into another one.
            _ => {
                incident.state = IncidentState::Resolved { at: Some(now) };
                incident.parts.clear();
            }
        }
    }

    fn of(&self, which: impl Fn(&Incident) -> bool) -> Vec<IncidentId> {
        self.incidents.iter().filter(|(_, incident)| which(incident)).map(|(id, _)| id.clone()).collect()
    }

    fn open(&mut self, person: usize, now: DateTime<Utc>) {
        let id = IncidentId::from(format!("Q{}", self.incidents.len()));
        let mut incident = Incident {
            about: IncidentRef { id: id.clone(), number: None, html_url: None },
            title: String::new(),
            service: SERVICE.into(),
            state: IncidentState::Open,
            urgency: "high".to_owned(),
            priority: None,
            is_assigned_by_hand: false,
            parts: Vec::new(),
            asked: Vec::new(),
            tells_responders: true,
        };
        take(&mut incident, Role::Assignee, &[person, self.rng.usize(..PEOPLE)], now);
        self.incidents.insert(id, incident);
    }

    fn pass(&mut self, minute: i64, now: DateTime<Utc>) {
        let working = [
            (Part::List, minute >= self.trouble.list),
            (Part::Members, minute >= self.trouble.members),
            (Part::Single, self.rng.u8(0..20) > 0),
            (Part::Writes, self.rng.u8(0..20) > 0),
        ];
        let working: Working =
            working.into_iter().filter(|(_, works)| *works).map(|(part, _)| part).collect();
        let works = |part| working.contains(&part);
        let world = self.observe(&working);
        self.twin.settle();
        self.twin.verify(now);
        let mut is_undone = false;
        let rng = &mut self.rng;
        let (plan, _) = self.twin.pass(now, &self.settings, &world, Released::Nothing, &mut |_| {
            let fault = match rng.u8(0..6) {
                _ if works(Part::Writes) => Fault::None,
                0 | 1 => Fault::Fails,
                2 => Fault::RequestLost,
                3 => Fault::AnswerLost,
                _ => Fault::None,
            };
            is_undone |= fault != Fault::None;
            fault
        });
        if works(Part::List) {
            self.learn(now, &working);
        }
        let sees_all = [Part::List, Part::Members, Part::Single].into_iter().all(works);
        // Where strongDM takes one grant only, a window waits for its turn after an outage.
        if sees_all && !is_undone && plan.unsettled.is_empty() && plan.deferred.is_empty() {
            self.is_settled = true;
        } else if is_undone {
            self.is_settled = false;
        }
    }

    /// What PagerDuty tells: open incidents of the service by list, all others by ID.
    fn observe(&self, working: &Working) -> World {
        let mut world = World::default();
        for person in 0..PEOPLE {
            let address = format!("p{person}@corp.example");
            world.people.insert(user(person), Observed::Known(Some(address)));
            let account = Account { id: pair(person).account, suspended: false };
            world.accounts.insert(email(&format!("p{person}")), Observed::Known(AccountMatch::One(account)));
        }
        world.resources.insert(named("db"), Observed::Known(ResourceMatch::Found(vec![resource("db")])));
        let members = Observed::Known((0..MEMBERS).map(user).collect());
        let unseen = || Observed::Unknown("HTTP 500".into());
        world.members.insert(team(), if working.contains(&Part::Members) { members } else { unseen() });
        let (listed, others): (Vec<&Incident>, Vec<&Incident>) =
            self.incidents.values().partition(|one| is_listed(one));
        let mut told: Vec<Incident> = listed.into_iter().cloned().collect();
        if working.contains(&Part::Single) {
            told.extend(others.into_iter().cloned());
        } else {
            let unseen = others.into_iter().map(|one| (one.about.id.clone(), "HTTP 500".into()));
            world.unseen_incidents.extend(unseen);
        }
        let told = if working.contains(&Part::List) {
            Observed::Known(told)
        } else {
            Observed::Unknown("HTTP 500".into())
        };
        world.incidents.insert(SERVICE.into(), told);
        world
    }

    /// What a pass that saw the list can know.
    fn learn(&mut self, now: DateTime<Utc>, working: &Working) {
        for (id, incident) in &self.incidents {
            if concerns(incident) {
                self.known.extend(seated(self.seed, (id, incident), &self.known, (now, working)));
            }
            for person in 0..PEOPLE {
                let is_in = concerns(incident) && since(incident, person).is_some();
                if is_in || !working.contains(&Part::Single) && !is_listed(incident) {
                    continue;
                }
                let Some(known) = self.known.get_mut(&(id.clone(), person)) else { continue };
                let over = match incident.state {
                    IncidentState::Resolved { at: Some(at) } => at,
                    _ => now,
                };
                // Of a part whose time is used up, nothing is kept.
                if known.ends.is_none() && known.since + LONGEST > now {
                    known.ends = Some(over + AFTERWARDS);
                }
            }
        }
    }

    /// Whether the person should have access now.
    fn wants(&self, person: usize, now: DateTime<Utc>) -> bool {
        self.known
            .iter()
            .filter(|((_, who), _)| *who == person)
            .any(|(_, known)| now < known.since + LONGEST && known.ends.is_none_or(|ends| now < ends))
    }

    /// Whether the person plays a part now, and some of its time is left.
    fn is_in(&self, person: usize, now: DateTime<Utc>) -> bool {
        self.incidents.iter().any(|(id, incident)| {
            let known = self.known.get(&(id.clone(), person));
            concerns(incident)
                && is_meant(incident, person)
                && known.is_some_and(|known| known.ends.is_none() && now < known.since + LONGEST)
        })
    }

    fn check(&mut self, minute: i64, now: DateTime<Utc>) {
        for person in 0..PEOPLE {
            let has = self.twin.ours_gives(&pair(person), now);
            let context = || format!("seed {}, minute {minute}, person {person}", self.seed);
            if self.is_settled {
                assert_eq!(has, self.wants(person, now), "{}", context());
                self.exact_minutes += 1;
                self.given_minutes += u32::from(has);
            }
            let is_in = self.is_in(person, now);
            // Where any second grant is refused, a longer one waits for the end of the one that is there.
            let waits = self.twin.really == SecondGrant::Refused;
            assert!(
                has || !is_in || waits || !self.in_force.contains(&person),
                "{}: access was lost",
                context()
            );
            if has && is_in {
                self.in_force.insert(person);
            } else {
                self.in_force.remove(&person);
            }
        }
    }
}

/// What becomes known of everybody in an incident: those who came first have the places.
fn seated(
    seed: u64,
    (id, incident): (&IncidentId, &Incident),
    known: &BTreeMap<(IncidentId, usize), Known>,
    (now, working): (DateTime<Utc>, &Working),
) -> BTreeMap<(IncidentId, usize), Known> {
    let key = |person: usize| (id.clone(), person);
    let first = |person: usize| {
        let began = since(incident, person)?;
        Some((known.get(&key(person)).map_or(began, |known| known.since.min(began)), person))
    };
    let mut people: Vec<(DateTime<Utc>, usize)> = (0..PEOPLE).filter_map(first).collect();
    people.sort_unstable();
    let (mut certain, mut possible) = (0, 0);
    let mut learned = BTreeMap::new();
    for (since, person) in people {
        let is_unclear = !working.contains(&Part::Members) && !by_policy(incident, person);
        let may_be_meant = is_unclear || is_meant(incident, person);
        let has_time = since + LONGEST > now;
        if !may_be_meant || has_time && certain >= most_people(seed) {
            // At once.
            if let Some(known) = known.get(&key(person)) {
                let ends = known.ends.filter(|ends| *ends < now).unwrap_or(now);
                learned.insert(key(person), Known { ends: Some(ends), ..*known });
            }
        } else if !is_unclear && (!has_time || possible < most_people(seed)) {
            learned.insert(key(person), Known { since, ends: None });
        }
        certain += usize::from(has_time && may_be_meant && !is_unclear);
        possible += usize::from(has_time && may_be_meant);
    }
    learned
}

/// Gives a part to these people alone; whoever had it keeps it since then.
fn take(incident: &mut Incident, role: Role, people: &[usize], now: DateTime<Utc>) {
    incident.parts.retain(|part| part.role != role || people.iter().any(|person| part.user == user(*person)));
    for person in people {
        add(incident, role, *person, now);
    }
}

fn add(incident: &mut Incident, role: Role, person: usize, now: DateTime<Utc>) {
    if !incident.parts.iter().any(|part| part.role == role && part.user == user(person)) {
        incident.parts.push(crate::model::Part { user: user(person), email: None, role, since: now });
    }
}

fn is_listed(incident: &Incident) -> bool {
    incident.state == IncidentState::Open && incident.service.as_str() == SERVICE
}

/// Whether the rule is about it.
fn concerns(incident: &Incident) -> bool {
    is_listed(incident) && incident.urgency == "high"
}

fn since(incident: &Incident, person: usize) -> Option<DateTime<Utc>> {
    incident.parts.iter().filter(|part| part.user == user(person)).map(|part| part.since).min()
}

fn by_policy(incident: &Incident, person: usize) -> bool {
    !incident.is_assigned_by_hand
        && incident.parts.iter().any(|part| part.role == Role::Assignee && part.user == user(person))
}

fn is_meant(incident: &Incident, person: usize) -> bool {
    since(incident, person).is_some() && (by_policy(incident, person) || person < MEMBERS)
}

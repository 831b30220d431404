//! What happens in a story of incidents, what passes see and do, and what they can know from then on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use fastrand::Rng;

use super::{
    AFTERWARDS, LONGEST, MEMBERS, MINUTES, PEOPLE, RULE, SERVICE, check::Lived, moment, pair, settings, team,
    user,
};
use crate::{
    model::{
        Account, Incident, IncidentId, IncidentRef, IncidentState, Observed, Pair, Part as Playing,
        RememberedPart, Role, SecondGrant,
    },
    reconcile::{
        plan::{
            Plan, Released, Settings,
            specification::Specification,
            tests::{
                builders::{email, named, own, resource},
                twin::{Fault, Twin},
            },
        },
        world::{AccountMatch, Recorded, ResourceMatch, World},
    },
};

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

pub(super) struct Story {
    pub(super) seed: u64,
    rng: Rng,
    pub(super) settings: Settings,
    pub(super) twin: Twin,
    incidents: BTreeMap<IncidentId, Incident>,
    /// What passes could know of parts.
    pub(super) known: Vec<RememberedPart>,
    trouble: Trouble,
    /// Whether the process runs, and its last pass saw everything.
    pub(super) sees_all: bool,
    /// A write of theirs failed, and no pass has done without since then.
    pub(super) failed: BTreeSet<Pair>,
    /// A window of theirs waited for another grant's end when everything was seen for the last time, or waits by now.
    pub(super) waiting: BTreeSet<Pair>,
    /// The last pass's.
    pub(super) plan: Plan,
    /// Who had access, and was known to be meant, in the minute before.
    pub(super) in_force: BTreeSet<usize>,
    /// Until when whoever had access had it, unless it was taken back.
    pub(super) given_until: BTreeMap<usize, DateTime<Utc>>,
    /// For how many minutes access that was lost has been missing.
    pub(super) missing_for: BTreeMap<usize, u64>,
    pub(super) lived: Lived,
}

impl Story {
    pub(super) fn new(seed: u64, really: SecondGrant) -> Self {
        Self {
            seed,
            rng: Rng::with_seed(seed),
            settings: settings(seed),
            twin: Twin::new(really, &World::default()),
            incidents: BTreeMap::new(),
            known: Vec::new(),
            trouble: Trouble::default(),
            sees_all: true,
            failed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            plan: Plan::default(),
            in_force: BTreeSet::new(),
            given_until: BTreeMap::new(),
            missing_for: BTreeMap::new(),
            lived: Lived::default(),
        }
    }

    pub(super) fn live(mut self) -> Lived {
        for minute in 0..MINUTES {
            self.live_minute(minute);
        }
        self.lived
    }

    fn live_minute(&mut self, minute: i64) {
        let now = moment(minute);
        if self.rng.u8(0..12) == 0 {
            self.something_happens(now);
        }
        for until in [&mut self.trouble.list, &mut self.trouble.members, &mut self.trouble.process] {
            if self.rng.u16(0..150) == 0 {
                *until = minute + self.rng.i64(1..12);
            }
        }
        if minute >= self.trouble.process {
            self.pass(minute, now);
        } else {
            self.sees_all = false;
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
        let mut world = self.observe(&working);
        self.twin.settle();
        self.twin.verify(now);
        let mut failed: BTreeSet<Pair> = BTreeSet::new();
        let rng = &mut self.rng;
        let (plan, _) = self.twin.pass(now, &self.settings, &world, Released::Nothing, &mut |action| {
            let fault = match rng.u8(0..6) {
                _ if works(Part::Writes) => Fault::None,
                0 | 1 => Fault::Fails,
                2 => Fault::RequestLost,
                3 => Fault::AnswerLost,
                _ => Fault::None,
            };
            if fault != Fault::None {
                failed.insert(action.grant().pair());
            }
            fault
        });
        if works(Part::List) {
            self.learn(now, &mut world, &working);
        }
        self.sees_all = [Part::List, Part::Members, Part::Single].into_iter().all(works);
        if self.sees_all {
            self.failed.retain(|pair| plan.unsettled.contains(pair));
            self.waiting.clear();
        }
        self.waiting.extend(plan.deferred.iter().map(|deferred| deferred.grant.pair()));
        self.failed.extend(failed);
        self.plan = plan;
    }

    /// The true state, with what passes could know of it.
    pub(super) fn truth(&self) -> World {
        let recorded = Recorded { parts: self.known.clone(), ..Recorded::default() };
        World { recorded, ..self.observe(&[Part::List, Part::Members, Part::Single].into()) }
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

    /// What a pass that saw the list can know: of those who play a part, whom the specification wants in this incident
    /// alone; of those who do not any more, that the part is over.
    fn learn(&mut self, now: DateTime<Utc>, seen: &mut World, working: &Working) {
        for (id, incident) in &self.incidents {
            let is_of_this = |part: &&RememberedPart| part.incident.id == *id;
            let is_open = |part: &RememberedPart| part.ends.is_none() && part.since + LONGEST > now;
            if !concerns(incident) && !self.known.iter().filter(is_of_this).any(is_open) {
                continue;
            }
            seen.incidents = BTreeMap::from([(SERVICE.into(), Observed::Known(vec![incident.clone()]))]);
            seen.recorded.parts = self.known.iter().filter(is_of_this).cloned().collect();
            let specification =
                Specification { settings: &self.settings, world: seen, now, noticed: now }.at(now);
            for person in 0..PEOPLE {
                let known =
                    self.known.iter_mut().find(|part| part.incident.id == *id && part.user == user(person));
                let plays_since = since(incident, person).filter(|_| concerns(incident));
                match (plays_since, known) {
                    (Some(since), known)
                        if specification.wants(&pair(person))
                            || is_used_up(&self.settings, seen, incident, person, known.as_deref(), now) =>
                    {
                        match known {
                            Some(known) => (known.since, known.ends) = (known.since.min(since), None),
                            None => self.known.push(remembered(incident, person, since)),
                        }
                    }
                    // At once, unless it is unclear.
                    (Some(_), Some(known)) => {
                        let may_be = specification.may_want(&own(1, &person.to_string(), 0, 1));
                        if !may_be {
                            known.ends = Some(known.ends.filter(|ends| *ends < now).unwrap_or(now));
                        }
                    }
                    (None, Some(known))
                        if is_open(known) && (is_listed(incident) || working.contains(&Part::Single)) =>
                    {
                        let over = match incident.state {
                            IncidentState::Resolved { at: Some(at) } => at,
                            _ => now,
                        };
                        known.ends = Some(over + AFTERWARDS);
                    }
                    (_, _) => {}
                }
            }
        }
    }
}

/// Whether somebody is certainly meant whose time is over, so that there will be no more of it in this incident.
fn is_used_up(
    settings: &Settings,
    seen: &World,
    incident: &Incident,
    person: usize,
    known: Option<&RememberedPart>,
    now: DateTime<Utc>,
) -> bool {
    let Some(since) = since(incident, person)
        .filter(|since| known.map_or(*since, |known| known.since.min(*since)) + LONGEST <= now)
    else {
        return false;
    };
    let mut alone = incident.clone();
    alone.parts.retain(|part| part.user == user(person));
    let incidents = BTreeMap::from([(SERVICE.into(), Observed::Known(vec![alone]))]);
    let world = World { incidents, recorded: Recorded::default(), ..seen.clone() };
    let specification = Specification { settings, world: &world, now: since, noticed: since };
    specification.at(since).wants(&pair(person))
}

fn remembered(incident: &Incident, person: usize, since: DateTime<Utc>) -> RememberedPart {
    RememberedPart {
        rule: RULE.to_owned(),
        incident: incident.about.clone(),
        service: SERVICE.into(),
        user: user(person),
        role: Role::Assignee,
        since,
        ends: None,
    }
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
        incident.parts.push(Playing { user: user(person), email: None, role, since: now });
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

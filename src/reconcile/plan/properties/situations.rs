//! What comes up in arbitrary worlds, so that a property that never meets a hard case is noticed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::worlds::{Case, HORIZON};
use crate::{
    model::{
        Asked, IncidentState, KubernetesGroups, Observed, PeopleSelector, ResourceSelector, Rule, Source,
    },
    reconcile::{
        plan::{Action, Plan, Released, Wanted, tests::builders::at},
        world::{AccountMatch, ResourceMatch},
    },
};

/// Every situation that must come up, and in how many of ten thousand cases at least.
const EXPECTED: [(&str, usize); 58] = [
    ("answer: a filter matches nothing", 500),
    ("answer: a resource is unknown", 300),
    ("answer: a source lacks something", 300),
    ("answer: a source was not asked", 300),
    ("answer: a suspended account", 500),
    ("incident: a part ended a while ago", 1_000),
    ("incident: a part has just ended", 1_000),
    ("incident: a part renewed, the first one counts", 300),
    ("incident: assigned by hand", 1_000),
    ("incident: members are unknown", 300),
    ("incident: reopened, or the person came back", 300),
    ("incident: resolved", 1_000),
    ("plan: a grant stays for another cause", 100),
    ("plan: awaits a second look", 300),
    ("plan: gives access", 300),
    ("plan: leaves a grant alone", 1_000),
    ("plan: nothing to do", 1_000),
    ("plan: takes access away: Duplicate", 50),
    ("plan: takes access away: MoreGroups", 30),
    ("plan: takes access away: NotWanted", 300),
    ("plan: takes access away: OtherGroups", 15),
    ("plan: takes access away: TooLong", 30),
    ("plan: the guard holds something", 100),
    ("rule: a domain is mapped", 1_000),
    ("rule: ends late", 1_000),
    ("rule: levels", 1_000),
    ("rule: starts early", 1_000),
    ("rule: with those who are always on call", 1_000),
    ("skipped: AccountSuspended", 100),
    ("skipped: AmbiguousAccount", 100),
    ("skipped: InvalidEmail", 100),
    ("skipped: NoAccount", 100),
    ("skipped: NoEmail", 100),
    ("skipped: NotEligible", 300),
    ("skipped: ResourceNotFound", 300),
    ("skipped: TooManyPeople", 5),
    ("store: a foreign grant", 1_000),
    ("store: a refusal", 1_000),
    ("store: an unsettled write", 1_000),
    ("store: more than two grants in force", 500),
    ("store: no grant", 500),
    ("store: somebody confirmed", 1_000),
    ("store: this is a first look", 1_000),
    ("unknown: account", 300),
    ("unknown: incident", 100),
    ("unknown: schedule or policy", 300),
    ("unknown: service or members", 300),
    ("unknown: user", 300),
    ("wanted: beyond the horizon", 300),
    ("wanted: by two rules at once", 200),
    ("wanted: for a shift and an incident", 15),
    ("wanted: for an incident", 100),
    ("wanted: later only", 300),
    ("wanted: nothing at all", 1_000),
    ("wanted: two windows that overlap", 300),
    ("wanted: two windows that touch", 30),
    ("wanted: with two sets of groups at once", 100),
    ("wanted: without an end", 300),
];
/// Among fewer cases, what is rare may be missing by chance.
const ENOUGH: usize = 20_000;

/// In how many cases each situation came up.
#[derive(Debug, Default)]
pub(super) struct Counts {
    cases: usize,
    of: BTreeMap<String, usize>,
}

impl Counts {
    /// Counts one case, by the plan of a first look at it.
    pub(super) fn add(&mut self, case: &Case, plan: &Plan) {
        self.cases += 1;
        let mut found = Found::default();
        found.in_plan(plan);
        found.in_wanted(&case.settings.rules, &plan.wanted);
        found.in_answers(case);
        found.in_incidents(case);
        found.in_store(case);
        for situation in found.0 {
            *self.of.entry(situation).or_default() += 1;
        }
    }

    pub(super) fn nothing_is_rare(&self) {
        let count = |situation: &str| self.of.get(situation).copied().unwrap_or(0);
        let is_rare = |situation: &str, least: usize| count(situation) * 10_000 < least * self.cases;
        let rare = EXPECTED.iter().filter(|(situation, least)| is_rare(situation, *least));
        let rare: Vec<&str> = rare.map(|(situation, _)| *situation).collect();
        assert!(rare.is_empty() || self.cases < ENOUGH, "too rare among {} cases: {rare:#?}", self.cases);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9} cases, of which", self.cases)?;
        for (situation, count) in &self.of {
            writeln!(f, "{count:>9} {situation}")?;
        }
        Ok(())
    }
}

/// The situations of one case.
#[derive(Debug, Default)]
struct Found(BTreeSet<String>);

impl Found {
    fn note(&mut self, is_so: bool, situation: &str) {
        if is_so {
            self.0.insert(situation.to_owned());
        }
    }

    fn in_plan(&mut self, plan: &Plan) {
        for action in plan.actions() {
            match action {
                Action::Create(_) => self.note(true, "plan: gives access"),
                Action::Revoke(due) => self.note(true, &format!("plan: takes access away: {:?}", due.reason)),
            }
        }
        self.note(plan.actions().next().is_none(), "plan: nothing to do");
        self.note(!plan.held.is_empty(), "plan: the guard holds something");
        self.note(!plan.awaiting.is_empty(), "plan: awaits a second look");
        self.note(plan.unchanged > 0, "plan: leaves a grant alone");
        self.note(!plan.relabelled.is_empty(), "plan: a grant stays for another cause");
        for skipped in &plan.skipped {
            self.note(true, &format!("skipped: {:?}", skipped.reason));
        }
        for unknown in &plan.unknown {
            let what = match &unknown.about {
                Asked::Schedule(_) | Asked::Policy(_) => "schedule or policy",
                Asked::Service(_) => "service or members",
                Asked::Incident(_) => "incident",
                Asked::User(_) => "user",
                Asked::Account(_) => "account",
                _ => "other",
            };
            self.note(true, &format!("unknown: {what}"));
        }
    }

    fn in_wanted(&mut self, rules: &[Rule], wanted: &[Wanted]) {
        let groups = |one: &Wanted| -> KubernetesGroups {
            let rule = rules.iter().find(|rule| rule.name == one.rule);
            rule.map(|rule| rule.kubernetes_groups.clone()).unwrap_or_default()
        };
        self.note(wanted.is_empty(), "wanted: nothing at all");
        for (index, one) in wanted.iter().enumerate() {
            self.note(one.end.is_none(), "wanted: without an end");
            self.note(one.end.is_some_and(|end| end > at(HORIZON)), "wanted: beyond the horizon");
            self.note(one.start > at(0), "wanted: later only");
            self.note(matches!(one.source, Source::Service(_)), "wanted: for an incident");
            let same = |other: &&Wanted| other.email == one.email && other.resource == one.resource;
            for other in wanted[index + 1..].iter().filter(same) {
                let ends_before = |one: &Wanted, other: &Wanted| one.end.is_some_and(|end| end < other.start);
                let touch = one.end == Some(other.start) || other.end == Some(one.start);
                let overlap = !touch && !ends_before(one, other) && !ends_before(other, one);
                self.note(touch, "wanted: two windows that touch");
                self.note(overlap, "wanted: two windows that overlap");
                self.note(overlap && one.rule != other.rule, "wanted: by two rules at once");
                self.note(overlap && groups(one) != groups(other), "wanted: with two sets of groups at once");
                let is_incident = |one: &Wanted| matches!(one.source, Source::Service(_));
                self.note(
                    overlap && is_incident(one) != is_incident(other),
                    "wanted: for a shift and an incident",
                );
            }
        }
    }

    fn in_answers(&mut self, case: &Case) {
        let (settings, world) = (&case.settings, &case.world);
        for rule in &settings.rules {
            let is_shift = !matches!(rule.people, PeopleSelector::Incidents(_));
            self.note(is_shift && rule.start_early > chrono::TimeDelta::zero(), "rule: starts early");
            self.note(is_shift && rule.end_late > chrono::TimeDelta::zero(), "rule: ends late");
            if let PeopleSelector::Policies { levels, include_always_on_call, ids: _ } = &rule.people {
                self.note(!levels.is_empty(), "rule: levels");
                self.note(*include_always_on_call, "rule: with those who are always on call");
            }
            for source in rule.sources() {
                self.note(!world.is_asked(&source), "answer: a source was not asked");
                self.note(world.doubts.contains_key(&source), "answer: a source lacks something");
            }
        }
        let accounts = world.accounts.values().filter_map(|answer| match answer {
            Observed::Known(AccountMatch::One(account)) => Some(account),
            _ => None,
        });
        self.note(accounts.into_iter().any(|account| account.suspended), "answer: a suspended account");
        for (selector, answer) in &world.resources {
            match (selector, answer) {
                (_, Observed::Unknown(_)) => self.note(true, "answer: a resource is unknown"),
                (ResourceSelector::Filter(_), Observed::Known(ResourceMatch::Found(found))) => {
                    self.note(found.is_empty(), "answer: a filter matches nothing");
                }
                _ => {}
            }
        }
        self.note(!settings.aliases.domains().is_empty(), "rule: a domain is mapped");
    }

    fn in_incidents(&mut self, case: &Case) {
        let world = &case.world;
        for incident in world.seen_incidents() {
            let is_open = incident.state == IncidentState::Open;
            self.note(!is_open, "incident: resolved");
            self.note(is_open && incident.is_assigned_by_hand, "incident: assigned by hand");
            for part in &world.recorded.parts {
                let is_in_it = part.incident.id == incident.about.id;
                let same = incident.parts.iter().filter(|now| is_in_it && now.user == part.user);
                for now in same {
                    self.note(part.since < now.since, "incident: a part renewed, the first one counts");
                    self.note(part.ends.is_some(), "incident: reopened, or the person came back");
                }
                let is_gone = is_in_it && !incident.parts.iter().any(|now| now.user == part.user);
                self.note(is_gone && part.ends.is_none(), "incident: a part has just ended");
            }
        }
        self.note(
            world.recorded.parts.iter().any(|part| part.ends.is_some_and(|ends| ends > case.now)),
            "incident: a part ended a while ago",
        );
        self.note(world.members.values().any(|answer| !answer.is_known()), "incident: members are unknown");
    }

    fn in_store(&mut self, case: &Case) {
        let recorded = &case.world.recorded;
        let ours = |at| recorded.ledger.iter().filter(move |own| own.grant.window.contains(at));
        self.note(recorded.ledger.is_empty(), "store: no grant");
        self.note(ours(case.now).count() > 2, "store: more than two grants in force");
        self.note(!recorded.foreign.is_empty(), "store: a foreign grant");
        self.note(!recorded.unsettled.is_empty(), "store: an unsettled write");
        self.note(!recorded.refusals.is_empty(), "store: a refusal");
        self.note(recorded.due.due.is_empty() && !recorded.ledger.is_empty(), "store: this is a first look");
        self.note(case.released != Released::Nothing, "store: somebody confirmed");
    }
}

//! What a pass looks at: its scope, what it is asked to do, and the marks that events leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{plan::Guard, world::ResourceMatch};
use crate::{
    model::{
        IncidentId, Links, Mark, Observed, PolicyId, ResourceSelector, Rule, ScheduleId, ServiceId, Source,
    },
    pagerduty::{Hint, Mentioned},
};

/// What a pass looks at. Written as the list of sources; an empty one means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "BTreeSet<Source>", into = "BTreeSet<Source>")]
pub(crate) enum Scope {
    /// Every rule.
    #[default]
    All,
    /// The rules that name one of these, and those that share a resource with them.
    Sources(BTreeSet<Source>),
}

impl Scope {
    /// The scope that satisfies all `marks`.
    pub(crate) fn of(marks: impl IntoIterator<Item = Mark>) -> Self {
        let mut sources = BTreeSet::new();
        for mark in marks {
            match mark {
                Mark::Everything => return Self::All,
                Mark::Source(source) => sources.insert(source),
            };
        }
        Self::Sources(sources)
    }

    /// These schedules, or everything if there are none; fails with the first that no rule names.
    pub(crate) fn of_schedules(rules: &[Rule], schedules: Vec<ScheduleId>) -> Result<Self, ScheduleId> {
        let named: BTreeSet<Source> = rules.iter().flat_map(Rule::sources).collect();
        let mut sources = BTreeSet::new();
        for id in schedules {
            let source = Source::Schedule(id.clone());
            if !named.contains(&source) {
                return Err(id);
            }
            sources.insert(source);
        }
        Ok(sources.into())
    }

    /// What satisfies both.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sources(mut one), Self::Sources(mut other)) => {
                one.append(&mut other);
                Self::Sources(one)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    /// Whether all of `sources` are looked at; if nothing is named, everything is meant.
    pub(super) fn covers(&self, sources: &BTreeSet<Source>) -> bool {
        match self {
            Self::All => true,
            Self::Sources(named) => !sources.is_empty() && sources.is_subset(named),
        }
    }

    /// The rules that are named and those that could justify the same grants, because they share a resource with them:
    /// without these, no revocation could be decided.
    pub(super) fn with_neighbours<'r>(
        &self,
        rules: &'r [Rule],
        resources: &BTreeMap<ResourceSelector, Observed<ResourceMatch>>,
    ) -> Vec<&'r Rule> {
        if *self == Self::All {
            return rules.iter().collect();
        }
        let of = |rule: &Rule| -> BTreeSet<String> {
            let found = rule.resources.iter().flat_map(|selector| match resources.get(selector) {
                Some(Observed::Known(ResourceMatch::Found(found))) => {
                    found.iter().map(|resource| resource.id.to_string()).collect()
                }
                _ => vec![selector.to_string()],
            });
            found.collect()
        };
        let (mut named, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| self.names(rule));
        let concerned: BTreeSet<String> = named.iter().copied().flat_map(of).collect();
        named.extend(others.into_iter().filter(|rule| !of(rule).is_disjoint(&concerned)));
        named
    }

    /// Whether a rule is looked at because one of its own sources is named.
    pub(crate) fn names(&self, rule: &Rule) -> bool {
        match self {
            Self::All => true,
            Self::Sources(sources) => sources.iter().any(|source| rule.names(source)),
        }
    }
}

impl From<BTreeSet<Source>> for Scope {
    fn from(sources: BTreeSet<Source>) -> Self {
        if sources.is_empty() { Self::All } else { Self::Sources(sources) }
    }
}

impl From<Scope> for BTreeSet<Source> {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::All => Self::new(),
            Scope::Sources(sources) => sources,
        }
    }
}

/// What a pass is asked to do; equal requests share a pass. Other replicas, also of other versions, read it in the
/// lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PassRequest {
    /// What to look at.
    #[serde(rename = "sources")]
    pub(crate) scope: Scope,
    /// Only plan.
    pub(crate) dry_run: bool,
    /// Whether the pass may revoke any number of grants in force.
    #[serde(rename = "allow_mass_revocation")]
    pub(crate) guard: Guard,
}

/// What an event that says this leads to.
pub(super) fn marks_for(rules: &[Rule], seen: &Seen, hint: &Hint) -> BTreeSet<Mark> {
    match hint {
        Hint::Nothing => BTreeSet::new(),
        Hint::Everything => BTreeSet::from([Mark::Everything]),
        Hint::About(mentioned) => concerned(rules, seen, mentioned),
    }
}

/// What the last answers showed together.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Which schedule was seen under which escalation policy.
    pub(super) links: Arc<Links>,
    /// Through which services incidents give access.
    pub(super) incidents: Arc<BTreeMap<IncidentId, BTreeSet<ServiceId>>>,
}

/// The rules' sources that an event which mentions this could concern: by name, or because the last answers showed the two
/// together. If none is concerned as far as we know, everything is: what we know may be old.
fn concerned(rules: &[Rule], seen: &Seen, mentioned: &Mentioned) -> BTreeSet<Mark> {
    let Mentioned { schedules, policies, services, incidents } = mentioned;
    let links = &seen.links;
    let beside = |(_, policy): &&(ScheduleId, PolicyId)| policies.contains(policy);
    let linked_schedules: BTreeSet<&ScheduleId> =
        links.iter().filter(beside).map(|(schedule, _)| schedule).collect();
    let beside = |(schedule, _): &&(ScheduleId, PolicyId)| schedules.contains(schedule);
    let linked_policies: BTreeSet<&PolicyId> =
        links.iter().filter(beside).map(|(_, policy)| policy).collect();
    // Where an incident was seen before: it may have moved to another service.
    let former: BTreeSet<&ServiceId> =
        incidents.iter().filter_map(|incident| seen.incidents.get(incident)).flatten().collect();
    let is_concerned = |source: &Source| match source {
        Source::Schedule(id) => schedules.contains(id) || linked_schedules.contains(id),
        Source::Policy(id) => policies.contains(id) || linked_policies.contains(id),
        Source::Service(id) => services.contains(id) || former.contains(id),
    };
    let sources = rules.iter().flat_map(Rule::sources).filter(is_concerned);
    let marks: BTreeSet<Mark> = sources.map(Mark::Source).collect();
    if marks.is_empty() { BTreeSet::from([Mark::Everything]) } else { marks }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        model::{KubernetesGroups, PeopleSelector},
        reconcile::plan::tests::incident_selector,
    };

    fn rule(people: PeopleSelector) -> Rule {
        let (start_early, end_late) = (TimeDelta::zero(), TimeDelta::zero());
        let kubernetes_groups = KubernetesGroups::default();
        Rule { name: "r".into(), people, resources: Vec::new(), kubernetes_groups, start_early, end_late }
    }

    fn rules() -> Vec<Rule> {
        let ids = vec![PolicyId::from("PP")];
        vec![
            rule(PeopleSelector::Schedules(vec!["PS1".into(), "PS2".into()])),
            rule(PeopleSelector::Policies { ids, levels: Vec::new(), include_always_on_call: false }),
            rule(PeopleSelector::Incidents(incident_selector(&["PSV1", "PSV2"]))),
        ]
    }

    fn marks(mentioned: &Mentioned) -> Vec<String> {
        let links = Links::from_iter([("PS2".into(), "PX".into()), ("PS9".into(), "PP".into())]);
        let incidents = BTreeMap::from([("Q1".into(), BTreeSet::from(["PSV2".into()]))]);
        let seen = Seen { links: Arc::new(links), incidents: Arc::new(incidents) };
        concerned(&rules(), &seen, mentioned).iter().map(Mark::to_string).collect()
    }

    fn ids<T: for<'a> From<&'a str> + Ord>(ids: &[&str]) -> BTreeSet<T> {
        ids.iter().map(|id| T::from(id)).collect()
    }

    fn of(schedules: &[&str], policies: &[&str]) -> Vec<String> {
        marks(&Mentioned { schedules: ids(schedules), policies: ids(policies), ..Mentioned::default() })
    }

    #[test]
    fn an_event_of_an_incident_concerns_its_service_and_the_one_where_it_was_seen() {
        let of = |services, incidents| {
            marks(&Mentioned { services: ids(services), incidents: ids(incidents), ..Mentioned::default() })
        };
        assert_eq!(of(&["PSV1"], &["Q7"]), ["service:PSV1"]);
        assert_eq!(of(&["PSV9"], &["Q1"]), ["service:PSV2"], "it moved away");
        assert_eq!(of(&["PSV9"], &["Q7"]), ["*"]);
    }

    #[test]
    fn an_event_concerns_what_it_names_and_what_was_seen_with_it() {
        assert_eq!(of(&["PS1"], &[]), ["schedule:PS1"]);
        assert_eq!(of(&[], &["PP"]), ["policy:PP"]);
        assert_eq!(of(&[], &["PX"]), ["schedule:PS2"], "the schedule was seen under the policy");
        assert_eq!(of(&["PS9"], &[]), ["policy:PP"], "the policy was seen with the schedule");
    }

    #[test]
    fn an_event_about_strangers_concerns_everything() {
        assert_eq!(of(&["PS77"], &["PP77"]), ["*"]);
        assert_eq!(of(&[], &[]), ["*"]);
    }

    #[test]
    fn a_request_reads_the_same_in_every_version() {
        let request = |scope| PassRequest { scope, dry_run: false, guard: Guard::Lifted };
        let everything = serde_json::to_value(request(Scope::All)).unwrap();
        let lists = serde_json::json!({ "sources": [], "dry_run": false, "allow_mass_revocation": true });
        assert_eq!(everything, lists);
        let narrow = request(Scope::of([Mark::Source(Source::Schedule("PS1".into()))]));
        let text = serde_json::to_string(&narrow).unwrap();
        assert_eq!(serde_json::from_str::<PassRequest>(&text).unwrap(), narrow);
        assert_eq!(serde_json::from_value::<PassRequest>(lists).unwrap(), request(Scope::All));
    }

    #[test]
    fn a_mark_survives_the_store() {
        for text in ["*", "schedule:P:1", "policy:PX", "service:PSV"] {
            let mark: Mark = text.parse().unwrap();
            assert_eq!(mark.to_string(), text);
        }
    }
}

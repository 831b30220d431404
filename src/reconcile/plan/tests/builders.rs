//! Words for building worlds and settings. Everything is known and healthy until a test says otherwise, and hours
//! are counted from a midnight.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{
        Account, AccountId, Aliases, Cause, DueRevocation, DueRevocations, Email, FOREVER, ForeignGrant,
        Grant, GrantId, KubernetesGroups, Observed, OnCall, OwnGrant, Pair, PeopleSelector, PolicyId,
        Refusal, Resource, ResourceId, ResourceSelector, Rule, ScheduleId, SecondGrant, Source, UserId,
        Window,
    },
    reconcile::{
        plan::{Plan, Released, Settings, plan},
        world::{AccountMatch, ResourceMatch, World},
    },
};

/// Hours after 2027-03-01T00:00:00Z.
pub(in crate::reconcile) fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_803_859_200 + hours * 3600, 0).unwrap()
}

pub(in crate::reconcile::plan) fn span(start: i64, end: i64) -> Window {
    Window::new(at(start), at(end)).unwrap()
}

pub(in crate::reconcile) fn email(who: &str) -> Email {
    format!("{who}@corp.example").parse().unwrap()
}

pub(in crate::reconcile::plan) fn schedule(id: &str) -> Source {
    Source::Schedule(ScheduleId::from(id))
}

pub(in crate::reconcile::plan) fn policy(id: &str) -> Source {
    Source::Policy(PolicyId::from(id))
}

/// `who` is on call from hour to hour, through whatever the test lists it under.
pub(in crate::reconcile::plan) fn shift(who: &str, start: i64, end: i64) -> OnCall {
    OnCall {
        user: UserId::from(format!("P-{who}")),
        email: None,
        schedule: None,
        policy: None,
        level: None,
        start: Some(at(start)),
        end: Some(at(end)),
    }
}

pub(in crate::reconcile::plan) fn level(level: u32, on_call: OnCall) -> OnCall {
    OnCall { level: Some(level), ..on_call }
}

pub(in crate::reconcile::plan) fn without_end(on_call: OnCall) -> OnCall {
    OnCall { end: None, ..on_call }
}

pub(in crate::reconcile::plan) fn always(who: &str) -> OnCall {
    OnCall { start: None, end: None, ..shift(who, 0, 0) }
}

pub(in crate::reconcile) fn named(name: &str) -> ResourceSelector {
    ResourceSelector::Name(name.to_owned())
}

pub(in crate::reconcile::plan) fn filter(filter: &str) -> ResourceSelector {
    ResourceSelector::Filter(filter.to_owned())
}

pub(in crate::reconcile) fn resource(name: &str) -> Resource {
    Resource { id: ResourceId::from(format!("rs-{name}")), name: name.to_owned() }
}

/// A rule about schedules that gives access to the resource `db`.
pub(in crate::reconcile::plan) fn schedule_rule(name: &str, schedules: &[&str]) -> Rule {
    let ids = schedules.iter().map(|id| ScheduleId::from(*id)).collect();
    Rule {
        name: name.to_owned(),
        people: PeopleSelector::Schedules(ids),
        resources: vec![named("db")],
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::zero(),
    }
}

/// The same rule with these Kubernetes groups.
pub(in crate::reconcile::plan) fn with_groups(groups: &[&str], rule: Rule) -> Rule {
    Rule { kubernetes_groups: groups.iter().copied().collect(), ..rule }
}

/// The same grant with these Kubernetes groups.
pub(in crate::reconcile::plan) fn in_groups(groups: &[&str], own: OwnGrant) -> OwnGrant {
    let kubernetes_groups = groups.iter().copied().collect();
    OwnGrant { grant: Grant { kubernetes_groups, ..own.grant }, ..own }
}

/// A rule about one policy that gives access to the resource `db`.
pub(in crate::reconcile::plan) fn policy_rule(name: &str, id: &str, levels: &[u32]) -> Rule {
    let (ids, levels) = (vec![PolicyId::from(id)], levels.to_vec());
    Rule {
        people: PeopleSelector::Policies { ids, levels, include_always_on_call: false },
        ..schedule_rule(name, &[])
    }
}

/// The same, also about users who are named directly and never go off call.
pub(in crate::reconcile::plan) fn policy_rule_with_always(name: &str, id: &str, levels: &[u32]) -> Rule {
    let (ids, levels) = (vec![PolicyId::from(id)], levels.to_vec());
    Rule {
        people: PeopleSelector::Policies { ids, levels, include_always_on_call: true },
        ..schedule_rule(name, &[])
    }
}

/// The account of `who`, and `db`.
pub(in crate::reconcile::plan) fn on_db(who: &str) -> Pair {
    Pair { account: format!("a-{who}").into(), resource: "rs-db".into() }
}

pub(in crate::reconcile::plan) fn foreign(id: &str, who: &str, window: Window) -> ForeignGrant {
    ForeignGrant { id: GrantId::from(id), pair: on_db(who), window, groups: KubernetesGroups::default() }
}

/// A grant of ours on `db`.
pub(in crate::reconcile) fn own(row: i64, who: &str, start: i64, end: i64) -> OwnGrant {
    let grant = Grant {
        id: Some(GrantId::from(format!("ag-{row}"))),
        email: email(who),
        name: None,
        account_id: AccountId::from(format!("a-{who}")),
        resource: "db".to_owned(),
        resource_id: ResourceId::from("rs-db"),
        window: span(start, end),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec!["db".to_owned()],
    };
    OwnGrant { row: row.into(), grant, causes: Vec::<Cause>::new() }
}

/// The same grant, made because `who` was on call for this schedule by the rule `db`.
pub(in crate::reconcile::plan) fn made_for(who: &str, id: &str, own: OwnGrant) -> OwnGrant {
    let cause = Cause {
        rule: "db".to_owned(),
        source: schedule(id),
        user: UserId::from(format!("P-{who}")),
        address: Some(format!("{who}@corp.example")),
        through: None,
        policy: None,
        level: None,
        shift_start: None,
        shift_end: None,
        incident: None,
    };
    OwnGrant { causes: vec![cause], ..own }
}

/// Settings and a world at 12:00 with a horizon of a week. The people `day`, `night` and `backup` have accounts,
/// the resources `db` and `web` exist.
#[derive(Clone, Debug)]
pub(in crate::reconcile::plan) struct Scene {
    pub(in crate::reconcile::plan) now: DateTime<Utc>,
    pub(in crate::reconcile::plan) settings: Settings,
    pub(in crate::reconcile::plan) world: World,
}

impl Scene {
    pub(in crate::reconcile::plan) fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let settings = Settings {
            rules: rules.into_iter().collect(),
            aliases: Aliases::default(),
            horizon: TimeDelta::days(7),
            max_revocations: 20,
        };
        let mut world = World::default();
        for who in ["day", "night", "backup"] {
            let address = format!("{who}@corp.example");
            world.people.insert(UserId::from(format!("P-{who}")), Observed::Known(Some(address)));
            let account = Account { id: AccountId::from(format!("a-{who}")), suspended: false };
            world.accounts.insert(email(who), Observed::Known(AccountMatch::One(account)));
        }
        for name in ["db", "web"] {
            let found = ResourceMatch::Found(vec![resource(name)]);
            world.resources.insert(named(name), Observed::Known(found));
        }
        Self { now: at(12), settings, world }
    }

    /// One rule `db` about the schedule `PS`, where these people are on call.
    pub(in crate::reconcile::plan) fn with_shifts(on_calls: impl IntoIterator<Item = OnCall>) -> Self {
        Self::new([schedule_rule("db", &["PS"])]).on_call(schedule("PS"), on_calls)
    }

    pub(in crate::reconcile::plan) fn on_call(
        mut self,
        source: Source,
        on_calls: impl IntoIterator<Item = OnCall>,
    ) -> Self {
        let on_calls = on_calls.into_iter().map(|on_call| match &source {
            Source::Schedule(id) => OnCall { schedule: Some(id.clone()), ..on_call },
            Source::Policy(id) => OnCall { policy: Some(id.clone()), ..on_call },
            Source::Service(_) => panic!("nobody is on call for a service"),
        });
        let on_calls = Observed::Known(on_calls.collect());
        self.world.on_calls.insert(source, on_calls);
        self
    }

    pub(in crate::reconcile::plan) fn unseen(mut self, source: Source) -> Self {
        self.world.on_calls.insert(source, Observed::Unknown("HTTP 500".into()));
        self
    }

    pub(in crate::reconcile::plan) fn ours(mut self, ours: impl IntoIterator<Item = OwnGrant>) -> Self {
        self.world.recorded.ledger.extend(ours);
        self
    }

    pub(in crate::reconcile::plan) fn foreign(mut self, foreign: ForeignGrant) -> Self {
        self.world.recorded.foreign.push(foreign);
        self
    }

    pub(in crate::reconcile::plan) fn second_grant(mut self, second_grant: SecondGrant) -> Self {
        self.world.recorded.second_grant = second_grant;
        self
    }

    pub(in crate::reconcile::plan) fn refused(mut self, who: &str, until: i64) -> Self {
        self.world.recorded.refusals.push(Refusal { pair: on_db(who), until: at(until) });
        self
    }

    pub(in crate::reconcile::plan) fn account(mut self, who: &str, found: Observed<AccountMatch>) -> Self {
        self.world.accounts.insert(email(who), found);
        self
    }

    pub(in crate::reconcile::plan) fn suspended(self, who: &str) -> Self {
        let account = Account { id: AccountId::from(format!("a-{who}")), suspended: true };
        self.account(who, Observed::Known(AccountMatch::One(account)))
    }

    pub(in crate::reconcile::plan) fn resource(
        mut self,
        selector: ResourceSelector,
        found: Observed<ResourceMatch>,
    ) -> Self {
        self.world.resources.insert(selector, found);
        self
    }

    pub(in crate::reconcile::plan) fn now(mut self, hours: i64) -> Self {
        self.now = at(hours);
        self
    }

    pub(in crate::reconcile::plan) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The plan of a first look, which remembers nothing of an earlier one.
    pub(in crate::reconcile::plan) fn first_look(&self) -> Plan {
        let world = World { asked_at: self.now, ..self.world.clone() };
        plan(self.now, &self.settings, &world, Released::Nothing)
    }

    /// The plan of a look that agrees with every earlier one.
    pub(in crate::reconcile::plan) fn plan(&self) -> Plan {
        self.plan_releasing(Released::Nothing)
    }

    pub(in crate::reconcile::plan) fn plan_releasing(&self, released: Released) -> Plan {
        let mut world = World { asked_at: self.now, ..self.world.clone() };
        agree(&mut world.recorded.due, &world.recorded.ledger, self.now);
        plan(self.now, &self.settings, &world, released)
    }

    /// The plan in words.
    pub(in crate::reconcile::plan) fn words(&self) -> String {
        self.plan().to_string()
    }
}

/// An earlier look found everything due that is not remembered otherwise.
pub(in crate::reconcile::plan) fn agree(due: &mut DueRevocations, ours: &[OwnGrant], now: DateTime<Utc>) {
    let since = now - TimeDelta::hours(1);
    let lost = Window::new(since, FOREVER).into_iter().collect();
    let all = DueRevocation { since, lost, lost_groups: BTreeMap::new(), held: false };
    for own in ours {
        due.due.entry(own.row).or_insert_with(|| all.clone());
    }
}

//! Arbitrary worlds on a coarse grid: few people, few resources and whole hours, so that everything overlaps.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use super::incidents::{selector, told};
use crate::{
    model::{
        Account, AccountId, Aliases, Email, ForeignGrant, Grant, KubernetesGroups, Observed, OnCall,
        OwnGrant, Pair, PeopleSelector, PolicyId, Refusal, ResourceSelector, Rule, ScheduleId, SecondGrant,
        Source, UserId,
    },
    reconcile::{
        plan::{
            Plan, Released, Settings, plan,
            tests::builders::{
                agree, always, at, filter, foreign, named, own, policy, resource, schedule, shift, span,
            },
        },
        world::{AccountMatch, ResourceMatch, World},
    },
};

/// In hours.
pub(super) const HORIZON: i64 = 8;
/// Beyond every window of every world, in hours.
pub(super) const LAST: i64 = 30;

const PEOPLE: [&str; 4] = ["p0", "p1", "p2", "p3"];
const RESOURCES: [&str; 2] = ["r0", "r1"];

/// One arbitrary decision.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) now: DateTime<Utc>,
    pub(super) settings: Settings,
    pub(super) world: World,
    pub(super) released: Released,
    /// What strongDM really does.
    pub(super) really: SecondGrant,
}

impl Case {
    pub(super) fn plan(&self) -> Plan {
        let world = World { asked_at: self.now, ..self.world.clone() };
        plan(self.now, &self.settings, &world, self.released)
    }
}

/// All pairs that a world could be about. Two addresses share the last account.
pub(super) fn pairs() -> impl Iterator<Item = Pair> {
    let accounts = (0..3).map(|index| AccountId::from(format!("a-{index}")));
    accounts.flat_map(|account| {
        RESOURCES.map(|name| Pair { account: account.clone(), resource: resource(name).id })
    })
}

/// Anything may be unknown, unusable, unsettled or refused.
pub(super) fn any_case() -> BoxedStrategy<Case> {
    cases(Doubt::Allowed)
}

/// Everything is known and nothing is unsettled, refused or held; people may still be unusable.
pub(super) fn known_case() -> BoxedStrategy<Case> {
    cases(Doubt::Excluded)
}

/// Whether anything in a world may be unknown, unsettled, refused or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Allowed,
    Excluded,
}

fn cases(doubt: Doubt) -> BoxedStrategy<Case> {
    let (weight, guard) = match doubt {
        Doubt::Allowed => (1, (0..5_usize).boxed()),
        Doubt::Excluded => (0, Just(100).boxed()),
    };
    let settings = (vec(rule(), 1..4), (any::<bool>(), any::<bool>()), guard, 0..1000_i64);
    let knowledge = (second_grants(), second_grants(), option::of(0..4_usize), any::<bool>());
    (settings, (upstream(weight), told(weight)), ledger(), knowledge, setbacks(doubt))
        .prop_map(
            |(
                (mut rules, (alias, domain), max_revocations, ms),
                (mut world, told),
                ledger,
                knowledge,
                setbacks,
            )| {
                world.incidents = told.incidents;
                world.unseen_incidents = told.unseen.into_iter().map(|id| (id, "404".into())).collect();
                world.members = told.members;
                world.recorded.parts = told.remembered;
                for (index, rule) in rules.iter_mut().enumerate() {
                    rule.name = format!("rule {index}");
                }
                let aliases: Aliases = alias.then(|| (address("p1"), address("p0"))).into_iter().collect();
                let domains = domain.then(|| ("old.example".to_owned(), "corp.example".to_owned()));
                let aliases = aliases.with_domains(domains.into_iter().collect());
                let settings =
                    Settings { rules, aliases, horizon: TimeDelta::hours(HORIZON), max_revocations };
                (world.recorded.ledger, world.recorded.foreign) = ledger;
                (world.recorded.unsettled, world.recorded.refusals) = setbacks;
                let (really, known, confirmed, is_second_look) = knowledge;
                let released = confirmed.map_or(Released::Nothing, Released::Held);
                world.recorded.second_grant = known;
                if is_second_look {
                    agree(&mut world.recorded.due, &world.recorded.ledger, at(0));
                }
                Case { now: at(0) + TimeDelta::milliseconds(ms), settings, world, released, really }
            },
        )
        .boxed()
}

fn second_grants() -> impl Strategy<Value = SecondGrant> {
    use SecondGrant::{Refused, RefusedIfOverlapping, Taken};
    prop_oneof![Just(Taken), Just(RefusedIfOverlapping), Just(Refused)]
}

fn rule() -> impl Strategy<Value = Rule> {
    let of_schedules = subsequence(vec!["S0", "S1"], 1..=2)
        .prop_map(|ids| PeopleSelector::Schedules(ids.into_iter().map(ScheduleId::from).collect()));
    let levels = subsequence(vec![1_u32, 2], 0..=2);
    let of_policies = (subsequence(vec!["E0", "E1"], 1..=2), levels, any::<bool>()).prop_map(
        |(ids, levels, include_always_on_call)| PeopleSelector::Policies {
            ids: ids.into_iter().map(PolicyId::from).collect(),
            levels,
            include_always_on_call,
        },
    );
    let resources = subsequence(vec![named("r0"), named("r1"), filter("f")], 1..=3);
    (prop_oneof![of_schedules, of_policies, selector()], resources, groups(), 0..3_i64, 0..3_i64).prop_map(
        |(people, resources, kubernetes_groups, early, late)| Rule {
            name: String::new(),
            people,
            resources,
            kubernetes_groups,
            start_early: TimeDelta::hours(early),
            end_late: TimeDelta::hours(late),
        },
    )
}

/// Half of all things are about none.
fn groups() -> impl Strategy<Value = KubernetesGroups> {
    let some = subsequence(vec!["a", "b", "c"], 0..=2);
    prop_oneof![Just(Vec::new()), some].prop_map(|groups| groups.into_iter().collect())
}

/// The answer, or none, or (in a world with doubts) that it is not known.
pub(super) fn observed<T: Clone + std::fmt::Debug + 'static>(
    doubt: u32,
    known: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<Observed<T>>> {
    prop_oneof![
        8 => known.prop_map(|known| Some(Observed::Known(known))),
        doubt => Just(Some(Observed::Unknown("HTTP 500".into()))),
        doubt => Just(None),
    ]
    .boxed()
}

fn on_call() -> impl Strategy<Value = OnCall> {
    let ends = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)];
    (0..PEOPLE.len(), -6..12_i64, 1..12_i64, ends, option::of(1..4_u32)).prop_map(
        |(who, start, length, ends, level)| {
            let on_call = shift(PEOPLE[who], start, start + length);
            let (start, end) = match ends {
                0 => (on_call.start, on_call.end),
                1 => (on_call.start, None),
                _ => (always(PEOPLE[who]).start, always(PEOPLE[who]).end),
            };
            OnCall { level, start, end, ..on_call }
        },
    )
}

fn upstream(doubt: u32) -> impl Strategy<Value = World> {
    let on_calls = vec(observed(doubt, vec(on_call(), 0..4)), 4);
    let people = vec((observed(doubt, Just(())), 0..16_u32), PEOPLE.len());
    let accounts = vec((observed(doubt, Just(())), 0..16_u32), PEOPLE.len());
    let found = subsequence(RESOURCES.to_vec(), 0..=2);
    let resources = vec((observed(doubt, found), 0..12_u32), 3);
    let doubts = subsequence(all_sources(), 0..=usize::from(doubt > 0));
    (on_calls, people, accounts, resources, doubts).prop_map(
        |(on_calls, people, accounts, resources, doubts)| {
            let mut world = World::default();
            for (source, answer) in sources().into_iter().zip(on_calls) {
                world.on_calls.extend(answer.map(|answer| (source, answer)));
            }
            world.doubts.extend(doubts.into_iter().map(|source| (source, "a page is missing".into())));
            for (index, (who, (answer, odd))) in PEOPLE.iter().zip(people).enumerate() {
                let raw = match odd {
                    0 => None,
                    1 => Some(format!("p{index}*@corp.example")),
                    // Where the domain is mapped, these are two people under one address, unless the neighbour is odd
                    // as well.
                    2 => Some(format!("p{}@old.example", (index + 1) % PEOPLE.len())),
                    3 => Some(format!("p{index}@old.example")),
                    _ => Some(format!("P{index}@corp.example")),
                };
                let user = UserId::from(format!("P-{who}"));
                world.people.extend(answer.map(|answer| (user, replace(answer, raw))));
            }
            for (index, (who, (answer, odd))) in PEOPLE.iter().zip(accounts).enumerate() {
                let found = match odd {
                    0 => AccountMatch::None,
                    1 => AccountMatch::Many,
                    _ => AccountMatch::One(Account { id: account_of(index), suspended: odd == 2 }),
                };
                world.accounts.extend(answer.map(|answer| (address(who), replace(answer, found))));
            }
            let selectors = [named("r0"), named("r1"), filter("f")];
            for (selector, (answer, odd)) in selectors.into_iter().zip(resources) {
                let answer = answer.map(|answer| match answer {
                    Observed::Known(names) => Observed::Known(match_of(&selector, &names, odd)),
                    Observed::Unknown(error) => Observed::Unknown(error),
                });
                world.resources.extend(answer.map(|answer| (selector, answer)));
            }
            world
        },
    )
}

fn sources() -> [Source; 4] {
    [schedule("S0"), schedule("S1"), policy("E0"), policy("E1")]
}

/// Those, and the services.
fn all_sources() -> Vec<Source> {
    let services = super::incidents::SERVICES.map(|id| Source::Service(id.into()));
    sources().into_iter().chain(services).collect()
}

fn replace<T>(answer: Observed<()>, with: T) -> Observed<T> {
    match answer {
        Observed::Known(()) => Observed::Known(with),
        Observed::Unknown(error) => Observed::Unknown(error),
    }
}

fn match_of(selector: &ResourceSelector, names: &[&str], odd: u32) -> ResourceMatch {
    match (selector, odd) {
        (_, 0) => ResourceMatch::Refused("not a filter".to_owned()),
        (ResourceSelector::Filter(_), _) => {
            ResourceMatch::Found(names.iter().copied().map(resource).collect())
        }
        (ResourceSelector::Name(_), 1) => ResourceMatch::None,
        (ResourceSelector::Name(_), 2) => ResourceMatch::Many,
        (ResourceSelector::Name(name), _) => ResourceMatch::Found(vec![resource(name)]),
    }
}

fn address(who: &str) -> Email {
    crate::reconcile::plan::tests::builders::email(who)
}

fn account_of(person: usize) -> AccountId {
    AccountId::from(format!("a-{}", person.min(2)))
}

fn ledger() -> impl Strategy<Value = (Vec<OwnGrant>, Vec<ForeignGrant>)> {
    let start = || prop_oneof![-6..0_i64, -6..12_i64];
    let grant = || (0..PEOPLE.len(), 0..RESOURCES.len(), start(), 1..14_i64, groups());
    // Every other world has one of our grants twice.
    let ours = (vec(grant(), 0..7), any::<bool>()).prop_map(|(mut ours, twice)| {
        ours.extend(ours.first().cloned().filter(|_| twice));
        ours
    });
    (ours, vec(grant(), 0..3)).prop_map(|(ours, others)| {
        let ours = (1..).zip(ours).map(|(row, (who, what, start, length, kubernetes_groups))| {
            let OwnGrant { row, grant, causes } = own(row, PEOPLE[who], start, start + length);
            let found = resource(RESOURCES[what]);
            let (account_id, resource_id, resource) = (account_of(who), found.id, found.name);
            let grant = Grant { account_id, resource, resource_id, kubernetes_groups, ..grant };
            OwnGrant { row, grant, causes }
        });
        let others = others.into_iter().enumerate().map(|(index, (who, what, start, length, groups))| {
            let foreign = foreign(&format!("fg-{index}"), "nobody", span(start, start + length));
            let pair = Pair { account: account_of(who), resource: resource(RESOURCES[what]).id };
            ForeignGrant { pair, groups, ..foreign }
        });
        (ours.collect(), others.collect())
    })
}

fn setbacks(doubt: Doubt) -> impl Strategy<Value = (Vec<Pair>, Vec<Refusal>)> {
    let number = match doubt {
        Doubt::Allowed => 0..2_usize,
        Doubt::Excluded => 0..1,
    };
    let all: Vec<Pair> = pairs().collect();
    let unsettled = subsequence(all.clone(), number.clone());
    let refused = (subsequence(all, number), 1..4_i64);
    (unsettled, refused).prop_map(|(unsettled, (refused, until))| {
        let refusals = refused.into_iter().map(|pair| Refusal { pair, until: at(until) });
        (unsettled, refusals.collect())
    })
}

//! The decision about one account and one resource: which of our grants stay, which go, and what is missing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Deferred, Revocation, RevocationReason,
    pairs::{Decision, PairFacts},
    second_grant,
    timeline::Timeline,
};
use crate::model::{FOREVER, KubernetesGroups, LedgerRow, OwnGrant, SecondGrant, Terms, Window, Windows};

/// What becomes of a grant of which only a part is wanted, or which has other groups than are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    Replace,
    Keep,
}

/// Decides about one pair. The grants in `retained` stay, due or not.
pub(super) fn decide(facts: &PairFacts<'_>, retained: &BTreeSet<LedgerRow>) -> Decision {
    if facts.unsettled {
        return Decision { kept: facts.ours.len(), ..Decision::default() };
    }
    let decision = decide_retaining(facts, retained, Unfit::Replace);
    if !second_grant::leaves_a_gap(facts, &decision) {
        return decision;
    }
    // Access for too long does less harm than a responder without access.
    let retry = decision.deferred.iter().filter_map(|deferred| deferred.until).min();
    let safe = decide_retaining(facts, retained, Unfit::Keep);
    Decision { look_again: retry.into_iter().chain(safe.look_again).min(), ..safe }
}

fn decide_retaining(facts: &PairFacts<'_>, retained: &BTreeSet<LedgerRow>, unfit: Unfit) -> Decision {
    let stays = |own: &OwnGrant| retained.contains(&own.row);
    let (mut kept, mut revoke) = keep_or_revoke(facts, stays, unfit);
    let (mut missing, mut look_again) = missing(facts, &kept, &revoke);
    if facts.second_grant == SecondGrant::Refused
        && !kept.iter().any(|own| stays(own))
        && second_grant::make_way(facts, &kept, &missing)
    {
        revoke.extend(kept.drain(..).map(|own| revocation(own, RevocationReason::InTheWay)));
        (missing, look_again) = self::missing(facts, &kept, &revoke);
    }
    let (create, deferred) = second_grant::create_or_defer(facts, missing, &kept);
    if !deferred.is_empty() {
        // Where several are in the way, the end of the first may let the others make way.
        look_again = second_grant::first_end(facts, &kept).into_iter().chain(look_again).min();
    }
    Decision {
        create: create.into_iter().map(|terms| facts.new_grant(terms)).collect(),
        deferred: deferred
            .into_iter()
            .map(|(terms, until, wait)| Deferred { grant: facts.new_grant(terms).grant, until, wait })
            .collect(),
        // Also what is due and may not go yet: whoever wants the rest of it protects it by that, should a filter of theirs
        // find nothing any more.
        relabelled: kept.iter().filter_map(|own| facts.relabel(own)).collect(),
        kept: kept.len(),
        revoke,
        look_again,
        revoke_first: facts.second_grant != SecondGrant::Taken,
    }
}

/// Tells the grants that stay from those that are due for revocation.
fn keep_or_revoke<'a>(
    facts: &PairFacts<'a>,
    stays: impl Fn(&OwnGrant) -> bool,
    unfit: Unfit,
) -> (Vec<&'a OwnGrant>, Vec<Revocation>) {
    let (mut kept, mut revoke): (Vec<&OwnGrant>, Vec<Revocation>) = (Vec::new(), Vec::new());
    for own in &facts.ours {
        match reason_to_revoke(facts, own) {
            Some(reason) if reason.is_replaced() && unfit == Unfit::Keep => kept.push(own),
            Some(reason) if !stays(own) => revoke.push(revocation(own, reason)),
            Some(_) | None => kept.push(own),
        }
    }
    if facts.terms.is_empty() {
        return (kept, revoke);
    }
    let is_certain = |own: &&OwnGrant| {
        facts.in_view(own).is_some_and(|view| facts.terms.include(view, &own.grant.kubernetes_groups))
    };
    let mut by_groups: BTreeMap<&KubernetesGroups, Vec<&OwnGrant>> = BTreeMap::new();
    for own in kept.iter().copied().filter(is_certain) {
        by_groups.entry(&own.grant.kubernetes_groups).or_default().push(own);
    }
    let certain: BTreeMap<&KubernetesGroups, Containers> =
        by_groups.into_iter().map(|(groups, ours)| (groups, Containers::new(facts.now, &ours))).collect();
    kept.retain(|own| {
        let duplicate = !stays(own) && is_duplicate(facts, own, &certain);
        if duplicate {
            revoke.push(revocation(own, RevocationReason::Duplicate));
        }
        !duplicate
    });
    (kept, revoke)
}

/// Why a grant of ours should go, if it should: it gives access between now and the horizon that nobody is
/// known or suspected to want.
fn reason_to_revoke(facts: &PairFacts<'_>, own: &OwnGrant) -> Option<RevocationReason> {
    let (wanted, in_view) = (&facts.wanted, facts.in_view(own)?);
    let groups = &own.grant.kubernetes_groups;
    if facts.terms.are(in_view, groups) {
        return None;
    }
    // What is certainly wanted with more groups comes back with all that it has; everything else may be somebody's.
    let comes_back = own.grant.window.from(facts.now).is_some_and(|rest| facts.terms.include(rest, groups));
    if !comes_back && facts.may_be_wanted(own, in_view) {
        return None;
    }
    let useful = wanted.first_overlapping(in_view).is_some();
    // While strongDM refuses this pair, what the grant rightly covers could not be granted again.
    if useful && facts.refused_until.is_some() {
        return None;
    }
    Some(match useful {
        true if facts.terms.include(in_view, groups) => RevocationReason::MoreGroups,
        true if wanted.cover(in_view) => RevocationReason::OtherGroups,
        true => RevocationReason::TooLong,
        false if facts.all_claims.has_other_address(own) => RevocationReason::OtherAddress,
        false => RevocationReason::NotWanted,
    })
}

/// Whether coverage stays the same without this grant, because a grant that certainly stays contains it; of
/// equal ones the oldest stays.
fn is_duplicate(
    facts: &PairFacts<'_>,
    own: &OwnGrant,
    certain: &BTreeMap<&KubernetesGroups, Containers>,
) -> bool {
    certain.get(&own.grant.kubernetes_groups).is_some_and(|certain| certain.contain(facts.now, own))
        && facts.in_view(own).is_some_and(|in_view| !facts.may_be_wanted(own, in_view))
}

/// Grants in such an order that one that contains another comes before it.
struct Containers {
    order: Vec<Place>,
    /// The last end of all grants up to this place.
    last_ends: Vec<DateTime<Utc>>,
}

/// By start, the longest first, then by age.
type Place = (DateTime<Utc>, Reverse<DateTime<Utc>>, LedgerRow);

impl Containers {
    fn new(now: DateTime<Utc>, grants: &[&OwnGrant]) -> Self {
        let mut order: Vec<Place> = grants.iter().filter_map(|own| Self::place(now, own)).collect();
        order.sort_unstable();
        let mut last = now;
        let ends = order.iter().map(|(_, Reverse(end), _)| {
            last = last.max(*end);
            last
        });
        Self { last_ends: ends.collect(), order }
    }

    /// Whether one of them, and not this grant itself, gives all the access that this one still gives.
    fn contain(&self, now: DateTime<Utc>, own: &OwnGrant) -> bool {
        let Some(place) = Self::place(now, own) else { return false };
        let before = self.order.partition_point(|other| *other < place);
        let Reverse(end) = place.1;
        before.checked_sub(1).is_some_and(|last| self.last_ends[last] >= end)
    }

    fn place(now: DateTime<Utc>, own: &OwnGrant) -> Option<Place> {
        let rest = own.grant.window.from(now)?;
        Some((rest.start(), Reverse(rest.end()), own.row))
    }
}

/// What is wanted and not given by `kept`, in order of time, and when a rolling grant is to be renewed. What a grant that
/// goes gave is not left to the renewal: it comes back at once.
fn missing(
    facts: &PairFacts<'_>,
    kept: &[&OwnGrant],
    going: &[Revocation],
) -> (Vec<Terms>, Option<DateTime<Utc>>) {
    let PairFacts { now, horizon, view_ends, .. } = *facts;
    if facts.terms.is_empty() {
        return (Vec::new(), None);
    }
    let kept = Timeline::new(kept.iter().map(|own| (own.grant.window, *own)));
    let (mut missing, mut renew_at) = (Vec::new(), None);
    // Shifts that end are granted whole at once, also where an on-call without an end goes on after them.
    let ends = facts.claims.iter().map(|(window, _)| window.end()).filter(|end| *end < FOREVER);
    let last_end = ends.max().unwrap_or(now);
    for wanted in facts.terms.iter() {
        let window = wanted.window;
        let given = kept.overlapping(window).into_iter().map(|own| &own.grant);
        let given = given.filter(|grant| grant.kubernetes_groups.include(&wanted.groups));
        let given: Vec<Window> = given.map(|grant| grant.window).collect();
        let covered: Windows = given.iter().copied().collect();
        if window.end() < FOREVER {
            missing.extend(covered.missing_from(window).into_iter().map(|gap| wanted.over(gap)));
            continue;
        }
        let Some(rolling) = window.until(view_ends.max(last_end)) else { continue };
        let mut gaps = covered.missing_from(rolling);
        let tail = gaps.last().filter(|tail| tail.start() > rolling.start() && tail.end() == rolling.end());
        let runs_until = tail.map_or(rolling.end(), Window::start);
        let renew = (runs_until - horizon / 2).trunc_subsecs(0);
        // Once: whatever replaced it up to the tail is renewed like any other, should the old one be hard to remove.
        let is_given_up = |tail: &Window| {
            let is_replaced = |going: &Window| {
                given.iter().any(|given| given.start() >= going.start() && given.end() == tail.start())
            };
            let going = going.iter().map(|going| going.grant.window);
            going.filter(|going| going.overlaps(tail)).any(|going| !is_replaced(&going))
        };
        if renew > now && tail.is_none_or(|tail| runs_until >= last_end && !is_given_up(tail)) {
            renew_at = Some(renew);
            if tail.is_some() {
                gaps.pop();
            }
        }
        missing.extend(gaps.into_iter().map(|gap| wanted.over(gap)));
    }
    (missing, renew_at)
}

fn revocation(own: &OwnGrant, reason: RevocationReason) -> Revocation {
    Revocation { row: own.row, grant: own.grant.clone(), reason, released: false }
}

//! Where strongDM refuses a second grant for the same account and resource: what it takes now, what must wait until
//! when, and which of our grants make way.

use chrono::{DateTime, Utc};

use super::{
    Deferred, Wait,
    pairs::{Decision, PairFacts},
    timeline::Timeline,
};
use crate::model::{FOREVER, Grant, OwnGrant, SecondGrant, Terms, Windows};

/// Grants that wait, each with the instant at which it is tried again, and for what; no instant while a grant without an
/// end is in the way.
type Waiting = Vec<(Terms, Option<DateTime<Utc>>, Wait)>;

/// Splits what is missing into what strongDM takes now and what must wait until when.
pub(super) fn create_or_defer(
    facts: &PairFacts<'_>,
    missing: Vec<Terms>,
    kept: &[&OwnGrant],
) -> (Vec<Terms>, Waiting) {
    if let Some(until) = facts.refused_until {
        let waiting = missing.into_iter().map(|terms| (terms, Some(until), Wait::InTheWay));
        return (Vec::new(), waiting.collect());
    }
    let is_served = |terms: &Terms| given_by_others(facts, terms).cover(terms.window);
    let until = |at: DateTime<Utc>| (at < FOREVER).then_some(at);
    let (missing, mut deferred) = wait_for_altered(facts, missing);
    let mut create = Vec::new();
    match facts.second_grant {
        SecondGrant::Taken => create = missing,
        SecondGrant::RefusedIfOverlapping => {
            // One of ours stands in the way if it stays although it has other groups.
            let kept = Timeline::new(kept.iter().map(|own| (own.grant.window, own.grant.window)));
            for terms in missing.into_iter().filter(|terms| !is_served(terms)) {
                let window = terms.window;
                let foreign = facts.foreign.overlapping(window).into_iter().map(|other| other.window);
                let blockers: Windows =
                    foreign.chain(kept.overlapping(window).into_iter().copied()).collect();
                let Some(blocker) = blockers.first_overlapping(window) else {
                    create.push(terms);
                    continue;
                };
                create.extend(window.until(blocker.start()).map(|before| terms.over(before)));
                let rest = window.from(blocker.start()).map(|rest| terms.over(rest));
                deferred.extend(rest.map(|rest| (rest, until(blocker.end()), Wait::InTheWay)));
            }
        }
        SecondGrant::Refused => {
            let ours = kept.iter().map(|own| own.grant.window);
            let foreign = facts.foreign.iter().map(|(window, _)| *window);
            let mut in_the_way = ours.chain(foreign).map(|window| window.end()).max();
            for terms in missing.into_iter().filter(|terms| !is_served(terms)) {
                if let Some(end) = in_the_way {
                    deferred.push((terms, until(end), Wait::InTheWay));
                } else {
                    in_the_way = Some(terms.window.end());
                    create.push(terms);
                }
            }
        }
    }
    (create, deferred)
}

/// When other people's grants give access with all these groups.
fn given_by_others(facts: &PairFacts<'_>, terms: &Terms) -> Windows {
    let foreign = facts.foreign.overlapping(terms.window).into_iter();
    foreign.filter(|other| other.groups.include(&terms.groups)).map(|other| other.window).collect()
}

/// Keeps back what strongDM did not store as asked, from there on: to ask for the same in every pass would be a storm.
fn wait_for_altered(facts: &PairFacts<'_>, missing: Vec<Terms>) -> (Vec<Terms>, Waiting) {
    let (mut open, mut waiting) = (Vec::new(), Vec::new());
    for terms in missing {
        let window = terms.window;
        let in_it = facts.altered.iter().filter(|altered| altered.window.overlaps(&window));
        let Some(first) = in_it.min_by_key(|altered| altered.window.start()) else {
            open.push(terms);
            continue;
        };
        open.extend(window.until(first.window.start()).map(|before| terms.over(before)));
        let rest = window.from(first.window.start()).map(|rest| terms.over(rest));
        waiting.extend(rest.map(|rest| (rest, Some(first.until), Wait::Altered)));
    }
    (open, waiting)
}

/// Where strongDM takes one grant only: whether our grants, all of them later, should make way for the first window
/// that is missing.
pub(super) fn make_way(facts: &PairFacts<'_>, kept: &[&OwnGrant], missing: &[Terms]) -> bool {
    let Some(Terms { window: first, .. }) = missing.first() else { return false };
    let waits = facts.altered.iter().any(|altered| altered.window.overlaps(first));
    if facts.refused_until.is_some() || !facts.foreign.is_empty() || waits {
        return false;
    }
    // What is certainly wanted is granted anew in its turn; what is only suspected would be lost.
    let stays = |own: &&OwnGrant| {
        let window = own.grant.window;
        window.start() <= first.start().max(facts.now)
            || !facts.terms.include(window, &own.grant.kubernetes_groups) && facts.may_be_wanted(own, window)
    };
    !kept.iter().any(stays)
}

/// When the first of the grants ends that may be in the way.
pub(super) fn first_end(facts: &PairFacts<'_>, kept: &[&OwnGrant]) -> Option<DateTime<Utc>> {
    let ours = kept.iter().map(|own| own.grant.window.end());
    ours.chain(facts.foreign.iter().map(|(window, _)| window.end())).min()
}

/// Whether a part of a grant that is to be revoked is wanted, but could not be granted anew in time, because
/// something stays in the way that does not give the same.
pub(super) fn leaves_a_gap(facts: &PairFacts<'_>, decision: &Decision) -> bool {
    let waits = decision.deferred.iter().filter_map(|Deferred { grant, until, wait: _ }| {
        let window = grant.window.until(until.unwrap_or(FOREVER))?;
        Some((window, (window, &grant.kubernetes_groups)))
    });
    let waits = Timeline::new(waits);
    decision.revoke.iter().filter(|due| due.reason.is_replaced()).any(|due| {
        let Grant { window: goes, kubernetes_groups, .. } = &due.grant;
        waits.overlapping(*goes).into_iter().any(|(waits, wanted)| {
            let both = waits.from(goes.start()).and_then(|from| from.until(goes.end()));
            both.is_some_and(|window| {
                let lost = Terms { window, groups: kubernetes_groups.common(wanted) };
                !given_by_others(facts, &lost).cover(window)
            })
        })
    })
}

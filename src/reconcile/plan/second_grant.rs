//! Where strongDM refuses a second grant for the same account and resource: what it takes now, what must wait until
//! when, and which of our grants make way.

use chrono::{DateTime, Utc};

use super::{
    Deferred, RevocationReason, Wait,
    pairs::{Decision, PairFacts},
};
use crate::model::{FOREVER, OwnGrant, SecondGrant, Window, Windows};

/// Windows that wait, each with the instant at which it is tried again, and for what; no instant while a grant without an
/// end is in the way.
type Waiting = Vec<(Window, Option<DateTime<Utc>>, Wait)>;

/// Splits what is missing into what strongDM takes now and what must wait until when.
pub(super) fn create_or_defer(
    facts: &PairFacts<'_>,
    missing: Vec<Window>,
    kept: &[&OwnGrant],
) -> (Vec<Window>, Waiting) {
    if let Some(until) = facts.refused_until {
        let waiting = missing.into_iter().map(|window| (window, Some(until), Wait::InTheWay));
        return (Vec::new(), waiting.collect());
    }
    let foreign: Windows = facts.foreign.iter().copied().collect();
    let until = |at: DateTime<Utc>| (at < FOREVER).then_some(at);
    let (missing, mut deferred) = wait_for_altered(facts, missing);
    let mut create = Vec::new();
    match facts.second_grant {
        SecondGrant::Taken => create = missing,
        SecondGrant::RefusedIfOverlapping => {
            for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                let Some(blocker) = foreign.first_overlapping(window) else {
                    create.push(window);
                    continue;
                };
                create.extend(window.until(blocker.start()));
                let rest = window.from(blocker.start());
                deferred.extend(rest.map(|rest| (rest, until(blocker.end()), Wait::InTheWay)));
            }
        }
        SecondGrant::Refused => {
            let ours = kept.iter().map(|own| own.grant.window);
            let mut in_the_way = ours.chain(foreign.iter().copied()).map(|window| window.end()).max();
            for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                if let Some(end) = in_the_way {
                    deferred.push((window, until(end), Wait::InTheWay));
                } else {
                    in_the_way = Some(window.end());
                    create.push(window);
                }
            }
        }
    }
    (create, deferred)
}

/// Keeps back what strongDM did not store as asked, from there on: to ask for the same in every pass would be a storm.
fn wait_for_altered(facts: &PairFacts<'_>, missing: Vec<Window>) -> (Vec<Window>, Waiting) {
    let (mut open, mut waiting) = (Vec::new(), Vec::new());
    for window in missing {
        let in_it = facts.altered.iter().filter(|altered| altered.window.overlaps(&window));
        let Some(first) = in_it.min_by_key(|altered| altered.window.start()) else {
            open.push(window);
            continue;
        };
        open.extend(window.until(first.window.start()));
        let rest = window.from(first.window.start());
        waiting.extend(rest.map(|rest| (rest, Some(first.until), Wait::Altered)));
    }
    (open, waiting)
}

/// Where strongDM takes one grant only: whether our grants, all of them later, should make way for the first window
/// that is missing.
pub(super) fn make_way(
    facts: &PairFacts<'_>,
    kept: &[&OwnGrant],
    wanted: &Windows,
    missing: &[Window],
) -> bool {
    let Some(first) = missing.first() else { return false };
    let waits = facts.altered.iter().any(|altered| altered.window.overlaps(first));
    if facts.refused_until.is_some() || !facts.foreign.is_empty() || waits {
        return false;
    }
    // What is certainly wanted is granted anew in its turn; what is only suspected would be lost.
    let stays = |own: &&OwnGrant| {
        let window = own.grant.window;
        window.start() <= first.start().max(facts.now)
            || !wanted.cover(window) && facts.may_be_wanted(own, window)
    };
    !kept.iter().any(stays)
}

/// When the first of the grants ends that may be in the way.
pub(super) fn first_end(facts: &PairFacts<'_>, kept: &[&OwnGrant]) -> Option<DateTime<Utc>> {
    let ours = kept.iter().map(|own| own.grant.window.end());
    ours.chain(facts.foreign.iter().map(Window::end)).min()
}

/// Whether a part of a grant that is to be revoked is wanted, but could not be granted anew in time, because
/// something stays in the way.
pub(super) fn leaves_a_gap(facts: &PairFacts<'_>, decision: &Decision) -> bool {
    let foreign: Windows = facts.foreign.iter().copied().collect();
    let useful = decision.revoke.iter().filter(|due| due.reason == RevocationReason::TooLong);
    let useful: Windows = useful.map(|due| due.grant.window).collect();
    decision.deferred.iter().any(|Deferred { grant, until, wait: _ }| {
        let waits = grant.window.until(until.unwrap_or(FOREVER));
        let gaps = waits.map(|waits| foreign.missing_from(waits)).unwrap_or_default();
        gaps.into_iter().any(|gap| useful.first_overlapping(gap).is_some())
    })
}

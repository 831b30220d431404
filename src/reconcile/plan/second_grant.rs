//! Where strongDM refuses a second grant for the same account and resource: what it takes now, what must wait until
//! when, and which of our grants make way.

use chrono::{DateTime, Utc};

use super::{
    Deferred, RevocationReason,
    pairs::{Decision, PairFacts},
};
use crate::model::{FOREVER, OwnGrant, SecondGrant, Window, Windows};

/// Windows that wait, each with the instant at which it is tried again; none while a grant without an end is in the
/// way.
type Waiting = Vec<(Window, Option<DateTime<Utc>>)>;

/// Splits what is missing into what strongDM takes now and what must wait until when.
pub(super) fn create_or_defer(
    facts: &PairFacts<'_>,
    missing: Vec<Window>,
    kept: &[&OwnGrant],
) -> (Vec<Window>, Waiting) {
    if let Some(until) = facts.refused_until {
        return (Vec::new(), missing.into_iter().map(|window| (window, Some(until))).collect());
    }
    let foreign: Windows = facts.foreign.iter().copied().collect();
    let until = |at: DateTime<Utc>| (at < FOREVER).then_some(at);
    let (mut create, mut deferred) = (Vec::new(), Vec::new());
    match facts.second_grant {
        SecondGrant::Taken => create = missing,
        SecondGrant::RefusedIfOverlapping => {
            for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                let Some(blocker) = foreign.first_overlapping(window) else {
                    create.push(window);
                    continue;
                };
                create.extend(window.until(blocker.start()));
                deferred.extend(window.from(blocker.start()).map(|rest| (rest, until(blocker.end()))));
            }
        }
        SecondGrant::Refused => {
            let ours = kept.iter().map(|own| own.grant.window);
            let mut in_the_way = ours.chain(foreign.iter().copied()).map(|window| window.end()).max();
            for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                if let Some(end) = in_the_way {
                    deferred.push((window, until(end)));
                } else {
                    in_the_way = Some(window.end());
                    create.push(window);
                }
            }
        }
    }
    (create, deferred)
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
    if facts.refused_until.is_some() || !facts.foreign.is_empty() {
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
    decision.deferred.iter().any(|Deferred { grant, until }| {
        let waits = grant.window.until(until.unwrap_or(FOREVER));
        let gaps = waits.map(|waits| foreign.missing_from(waits)).unwrap_or_default();
        gaps.into_iter().any(|gap| useful.first_overlapping(gap).is_some())
    })
}

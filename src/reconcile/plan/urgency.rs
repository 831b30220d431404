//! In which order a plan is carried out: whoever lacks access now comes first, the windows of next week come last.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Action, PairActions, Revocation, RevocationReason, Urgency};
use crate::model::{Pair, SecondGrant, Window};

/// Splits the writes about one pair into those that must stay together, each with its urgency. They stay in their order.
///
/// Writes about windows that overlap belong together: one replaces the other. Where strongDM takes one grant only, all
/// of them do: each makes room for the next.
pub(super) fn split(
    now: DateTime<Utc>,
    pair: &Pair,
    actions: Vec<Action>,
    second_grant: SecondGrant,
) -> Vec<PairActions> {
    let parts = match second_grant {
        SecondGrant::Refused => vec![actions],
        SecondGrant::Taken | SecondGrant::RefusedIfOverlapping => apart(actions),
    };
    let parts = parts.into_iter().filter(|actions| !actions.is_empty());
    parts
        .map(|actions| PairActions { pair: pair.clone(), urgency: urgency(now, &actions), actions })
        .collect()
}

/// Parts whose windows do not overlap, by start.
fn apart(actions: Vec<Action>) -> Vec<Vec<Action>> {
    let mut by_start: Vec<(Window, usize)> =
        actions.iter().enumerate().map(|(index, action)| (action.grant().window, index)).collect();
    by_start.sort_unstable();
    let mut part_of = vec![0; actions.len()];
    let mut ends: Vec<DateTime<Utc>> = Vec::new();
    for (window, index) in by_start {
        match ends.last_mut() {
            Some(end) if window.start() < *end => *end = window.end().max(*end),
            _ => ends.push(window.end()),
        }
        part_of[index] = ends.len() - 1;
    }
    let mut parts = vec![Vec::new(); ends.len()];
    for (part, action) in part_of.into_iter().zip(actions) {
        parts[part].push(action);
    }
    parts
}

/// How soon writes are due that belong together: as soon as the first of them.
fn urgency(now: DateTime<Utc>, actions: &[Action]) -> Urgency {
    let (mut gives, mut ends, mut replaces) = (false, false, false);
    for action in actions.iter().filter(|action| action.grant().window.contains(now)) {
        match action {
            // Somebody lacks the groups that the new grant has.
            Action::Revoke(Revocation { reason: RevocationReason::MoreGroups, .. }) => replaces = true,
            Action::Create(_) => gives = true,
            Action::Revoke(_) => ends = true,
        }
    }
    let first = actions.iter().map(|action| action.grant().window.start()).min();
    match first {
        // Whoever gets the right grant for a wrong one has access meanwhile.
        _ if ends => Urgency::Ending,
        _ if replaces && !gives => Urgency::Ending,
        Some(start) if !gives => Urgency::Coming(start),
        _ => Urgency::Missing,
    }
}

/// Hands out the writes of a plan in their order, those about one pair one after the other: what strongDM says of the
/// first may concern the next.
#[derive(Debug)]
pub(crate) struct Queue<'p> {
    all: Vec<&'p PairActions>,
    /// What may be handed out, as places in `all`.
    ready: BTreeSet<usize>,
    /// By place, the next writes about the same pair.
    next_of_pair: Vec<Option<usize>>,
}

/// Writes that were handed out.
#[derive(Debug)]
pub(crate) struct HandedOut<'p> {
    pub(crate) writes: &'p PairActions,
    place: usize,
}

impl<'p> Queue<'p> {
    pub(crate) fn new(writes: impl IntoIterator<Item = &'p PairActions>) -> Self {
        let all: Vec<&PairActions> = writes.into_iter().collect();
        let mut next_of_pair = vec![None; all.len()];
        let mut last_of: BTreeMap<&Pair, usize> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        for (place, writes) in all.iter().enumerate() {
            if let Some(before) = last_of.insert(&writes.pair, place) {
                next_of_pair[before] = Some(place);
            } else {
                ready.insert(place);
            }
        }
        Self { all, ready, next_of_pair }
    }

    /// The first writes of those that wait for nothing; none if nothing is left, or what is left waits for writes
    /// that are not over.
    pub(crate) fn next(&mut self) -> Option<HandedOut<'p>> {
        let place = self.ready.pop_first()?;
        Some(HandedOut { writes: self.all[place], place })
    }

    /// Says that these are over, so that the next writes about its pair may be handed out. Without it they never are.
    pub(crate) fn finish(&mut self, done: &HandedOut<'_>) {
        self.ready.extend(self.next_of_pair[done.place]);
    }
}

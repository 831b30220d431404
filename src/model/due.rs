//! Grants of ours that should go: what passes remember of them from one look to the next.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{LedgerRow, Source, Window};

/// To take access away takes two looks; the second begins at least this long after the first is over.
pub const BETWEEN_LOOKS: TimeDelta = TimeDelta::seconds(2);

/// A source that says one thing and then the other may not make us look again and again: the second look comes so much
/// later at most.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// Looks that began longer ago than this count no more.
const COUNTED_FOR: TimeDelta = TimeDelta::minutes(10);

/// What passes remember of the revocations that were due. A grant that is not named was not due when it was last seen
/// whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct DueRevocations {
    /// What is due, by the grant's row.
    pub due: BTreeMap<LedgerRow, DueRevocation>,
    /// When the revocations were decided that the guard counted and let through lately.
    pub counted: BTreeMap<LedgerRow, DateTime<Utc>>,
    /// By the grant's row, how often a first look found it due lately.
    pub first_looks: BTreeMap<LedgerRow, FirstLooks>,
}

/// How often a first look found a grant due lately. More than one means that a look after the one before said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FirstLooks {
    /// How many there were before the newest.
    pub before: u32,
    /// When the newest was over.
    pub newest: DateTime<Utc>,
}

impl FirstLooks {
    /// Whether they still count.
    pub fn count_at(self, at: DateTime<Utc>) -> bool {
        at - self.newest < COUNTED_FOR
    }

    /// How long after the newest one a second look is due.
    pub fn pause(self) -> TimeDelta {
        (BETWEEN_LOOKS * 2_i32.pow(self.before.min(5))).min(LONGEST_PAUSE)
    }
}

/// A grant that should go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DueRevocation {
    /// When the first of the looks was over that all found it due.
    pub since: DateTime<Utc>,
    /// The access that goes with it, as all these looks agree.
    pub lost: Vec<Window>,
    /// By name, when a Kubernetes group goes while the access stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_groups: BTreeMap<String, Vec<Window>>,
    /// Whether the guard holds it.
    #[serde(default)]
    pub held: bool,
}

/// A look that is to confirm what an earlier one found due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondLook {
    /// Not before this instant.
    pub at: DateTime<Utc>,
    /// At what; everything if nothing is named.
    pub sources: BTreeSet<Source>,
}

impl DueRevocation {
    /// Whether a look that begins then is late enough after the first one to confirm it.
    pub fn may_be_confirmed_at(&self, begins: DateTime<Utc>) -> bool {
        begins - self.since >= BETWEEN_LOOKS
    }
}

impl DueRevocations {
    /// Whether a look that begins then may let something go.
    pub fn may_be_confirmed_at(&self, begins: DateTime<Utc>) -> bool {
        self.due.values().any(|due| !due.held && due.may_be_confirmed_at(begins))
    }

    /// The first looks at a grant, after one more that was over at `at`.
    pub fn one_more_first_look(&self, row: LedgerRow, at: DateTime<Utc>) -> FirstLooks {
        let earlier = self.first_looks.get(&row).filter(|looks| looks.count_at(at));
        FirstLooks { before: earlier.map_or(0, |looks| looks.before.saturating_add(1)), newest: at }
    }

    /// The grants that the guard holds, also those that ended meanwhile.
    pub fn held(&self) -> impl Iterator<Item = LedgerRow> {
        self.due.iter().filter(|(_, due)| due.held).map(|(row, _)| *row)
    }

    /// How many grants of `ledger` the guard holds.
    pub fn held_among(&self, ledger: impl IntoIterator<Item = LedgerRow>) -> usize {
        ledger.into_iter().filter(|row| self.due.get(row).is_some_and(|due| due.held)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_count_for_ten_minutes() {
        let looks = FirstLooks { before: 0, newest: DateTime::UNIX_EPOCH };
        let count = [599, 600].map(|second| looks.count_at(looks.newest + TimeDelta::seconds(second)));
        assert_eq!(count, [true, false]);
    }

    fn due(since: DateTime<Utc>, held: bool) -> DueRevocation {
        DueRevocation { since, lost: Vec::new(), lost_groups: BTreeMap::new(), held }
    }

    #[test]
    fn a_look_confirms_what_is_not_held_and_was_found_two_seconds_before() {
        let since = DateTime::UNIX_EPOCH;
        let is_confirmed = |due: &DueRevocations| {
            [1_999, 2_000].map(|ms| due.may_be_confirmed_at(since + TimeDelta::milliseconds(ms)))
        };
        let mut known = DueRevocations::default();
        assert_eq!(is_confirmed(&known), [false, false]);
        known.due.insert(1.into(), due(since, true));
        assert_eq!(is_confirmed(&known), [false, false]);
        known.due.insert(2.into(), due(since, false));
        assert_eq!(is_confirmed(&known), [false, true]);
    }

    #[test]
    fn what_is_held_is_counted_among_what_there_is() {
        let mut known = DueRevocations::default();
        known.due.extend([1, 2, 3].map(|row| (row.into(), due(DateTime::UNIX_EPOCH, true))));
        known.due.insert(4.into(), due(DateTime::UNIX_EPOCH, false));
        assert_eq!(known.held_among([2, 3, 4, 5].map(LedgerRow::from)), 2);
    }
}

//! What is wanted for one account and resource over time: when, and with which Kubernetes groups.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::model::{KubernetesGroups, Terms, Window};

/// Stretches of time in their order. They do not overlap, and neighbours that touch have different groups: each is what one
/// grant is made for.
#[derive(Debug, Default)]
pub(super) struct WantedTerms(Vec<Terms>);

impl WantedTerms {
    /// The union of what single claims want: at every instant the groups of all that want it then.
    pub(super) fn union<'c>(claims: impl Iterator<Item = (Window, &'c KubernetesGroups)>) -> Self {
        let mut changes: BTreeMap<DateTime<Utc>, Vec<(Change, &KubernetesGroups)>> = BTreeMap::new();
        for (window, groups) in claims {
            changes.entry(window.start()).or_default().push((Change::Begins, groups));
            changes.entry(window.end()).or_default().push((Change::Ends, groups));
        }
        let (mut sweep, mut stretches) = (Sweep::default(), Vec::new());
        let mut open: Option<(DateTime<Utc>, KubernetesGroups)> = None;
        for (at, changes) in changes {
            if !sweep.pass(&changes) {
                continue;
            }
            let is_over = open
                .take()
                .and_then(|(start, groups)| Some(Terms { window: Window::new(start, at)?, groups }));
            stretches.extend(is_over);
            open = (sweep.claims > 0).then(|| (at, sweep.groups.keys().copied().collect()));
        }
        Self(stretches)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Terms> {
        self.0.iter()
    }

    /// The stretches that share an instant with `window`.
    pub(super) fn overlapping(&self, window: Window) -> &[Terms] {
        let first = self.0.partition_point(|terms| terms.window.end() <= window.start());
        let after = self.0.partition_point(|terms| terms.window.start() < window.end());
        &self.0[first..after.max(first)]
    }

    /// Whether exactly these groups are wanted throughout this window.
    pub(super) fn are(&self, window: Window, groups: &KubernetesGroups) -> bool {
        matches!(self.overlapping(window), [one] if one.groups == *groups && contains(one.window, window))
    }

    /// Whether these groups, and perhaps more, are wanted throughout this window.
    pub(super) fn include(&self, window: Window, groups: &KubernetesGroups) -> bool {
        let stretches = self.overlapping(window);
        let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return false };
        first.window.start() <= window.start()
            && window.end() <= last.window.end()
            && stretches.windows(2).all(|two| two[0].window.end() == two[1].window.start())
            && stretches.iter().all(|wanted| wanted.groups.include(groups))
    }
}

fn contains(outer: Window, inner: Window) -> bool {
    outer.start() <= inner.start() && inner.end() <= outer.end()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Begins,
    Ends,
}

/// What is wanted at the instant that the sweep has reached.
#[derive(Debug, Default)]
struct Sweep<'c> {
    claims: usize,
    /// How many claims want each group.
    groups: BTreeMap<&'c str, usize>,
}

impl<'c> Sweep<'c> {
    /// Passes an instant at which claims begin or end. True if something else is wanted from there on.
    fn pass(&mut self, changes: &[(Change, &'c KubernetesGroups)]) -> bool {
        let was_wanted = self.claims > 0;
        let mut differing: BTreeSet<&str> = BTreeSet::new();
        for (change, groups) in changes {
            match change {
                Change::Begins => self.claims += 1,
                Change::Ends => self.claims -= 1,
            }
            for group in groups.iter() {
                if self.count(group, *change) && !differing.remove(group) {
                    differing.insert(group);
                }
            }
        }
        was_wanted != (self.claims > 0) || !differing.is_empty()
    }

    /// True if the group is the first one of its name, or was the last one.
    fn count(&mut self, group: &'c str, change: Change) -> bool {
        let number = self.groups.entry(group).or_default();
        match change {
            Change::Begins => *number += 1,
            // At one instant, a claim may end before another one begins, but none ends that has not begun.
            Change::Ends => *number -= 1,
        }
        let number = *number;
        if number == 0 {
            self.groups.remove(group);
        }
        match change {
            Change::Begins => number == 1,
            Change::Ends => number == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::subsequence};

    use super::*;
    use crate::model::Windows;

    fn window(start: i64, end: i64) -> Window {
        let at = |second| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        Window::new(at(start), at(end)).unwrap()
    }

    fn terms(start: i64, end: i64, groups: &[&str]) -> Terms {
        Terms { window: window(start, end), groups: groups.iter().copied().collect() }
    }

    fn union(claims: &[Terms]) -> WantedTerms {
        WantedTerms::union(claims.iter().map(|claim| (claim.window, &claim.groups)))
    }

    #[test]
    fn windows_are_cut_where_the_union_changes_and_nowhere_else() {
        let claims = [terms(0, 9, &["a"]), terms(3, 6, &["b"]), terms(9, 12, &["a"]), terms(4, 5, &["a"])];
        let wanted = union(&claims);
        assert_eq!(wanted.0, [terms(0, 3, &["a"]), terms(3, 6, &["a", "b"]), terms(6, 12, &["a"])]);
        let groups = |names: &[&str]| names.iter().copied().collect::<KubernetesGroups>();
        let (a, b) = (groups(&["a"]), groups(&["b"]));
        assert!(wanted.are(window(7, 12), &a) && !wanted.are(window(5, 7), &a));
        assert!(wanted.include(window(0, 12), &a) && !wanted.include(window(3, 7), &b));
        assert!(!wanted.include(window(0, 13), &groups(&[])), "it ends before");
    }

    #[test]
    fn what_ends_when_the_same_begins_goes_on() {
        let wanted = union(&[terms(0, 5, &["a"]), terms(5, 9, &["a"]), terms(5, 7, &[])]);
        assert_eq!(wanted.0, [terms(0, 9, &["a"])]);
        assert_eq!(union(&[terms(0, 5, &["a"]), terms(6, 9, &["a"])]).0.len(), 2, "nothing in between");
    }

    proptest! {
        #[test]
        fn every_instant_has_the_groups_of_all_that_want_it(
            claims in vec((0..30_i64, 1..9_i64, subsequence(vec!["a", "b", "c"], 0..=3)), 0..8),
        ) {
            let claims: Vec<Terms> =
                claims.iter().map(|(start, length, groups)| terms(*start, start + length, groups)).collect();
            let wanted = union(&claims);
            for second in 0..40 {
                let now = window(second, second + 1);
                let of_claims: Vec<&Terms> = claims.iter().filter(|claim| claim.window.overlaps(&now)).collect();
                let expected: KubernetesGroups =
                    of_claims.iter().flat_map(|claim| claim.groups.iter()).map(str::to_owned).collect();
                match wanted.overlapping(now) {
                    [] => prop_assert!(of_claims.is_empty()),
                    [one] => prop_assert_eq!((&one.groups, of_claims.is_empty()), (&expected, false)),
                    several => prop_assert!(false, "{:?}", several),
                }
            }
            let all: Windows = claims.iter().map(|claim| claim.window).collect();
            prop_assert_eq!(wanted.iter().map(|terms| terms.window).collect::<Windows>(), all);
            for two in wanted.0.windows(2) {
                prop_assert!(two[0].window.end() < two[1].window.start() || two[0].groups != two[1].groups);
            }
        }
    }
}

//! What a refusal shows of strongDM's way with a second grant for the same account and resource. Pure.

use crate::model::{ForeignGrant, SecondGrant, Window};

/// A refusal, and what was known when it came.
#[derive(Debug)]
pub(super) struct Refused<'r> {
    /// The window that was refused.
    pub(super) window: Window,
    /// All grants that strongDM shows for the pair, ours included.
    pub(super) in_the_way: &'r [ForeignGrant],
    /// Those of them that are not ours.
    pub(super) foreign: &'r [ForeignGrant],
    /// One of these is a live grant of ours. The plan did not know it, or it would not have asked: it was made
    /// meanwhile, by a replica that took over.
    pub(super) is_ours_in_the_way: bool,
    /// What is known of second grants by now.
    pub(super) known: SecondGrant,
    /// What the plan knew.
    pub(super) planned_with: SecondGrant,
}

/// What follows from a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lesson {
    /// What strongDM does with a second grant; none if it shows no grant that explains the refusal.
    pub(super) second_grant: Option<SecondGrant>,
    /// It is stricter than was known.
    pub(super) is_new: bool,
    /// The planner learns nothing from it: without a pause it would try the same again.
    pub(super) needs_pause: bool,
}

impl Refused<'_> {
    pub(super) fn lesson(&self) -> Lesson {
        let Self { window, in_the_way, foreign, is_ours_in_the_way, known, planned_with } = *self;
        if in_the_way.is_empty() {
            return Lesson { second_grant: None, is_new: false, needs_pause: true };
        }
        let shown = if in_the_way.iter().any(|other| other.window.overlaps(&window)) {
            SecondGrant::RefusedIfOverlapping
        } else {
            SecondGrant::Refused
        };
        let is_new = shown > known;
        let needs_pause = !is_new && shown <= planned_with && foreign.is_empty() && !is_ours_in_the_way;
        Lesson { second_grant: Some(shown.max(known)), is_new, needs_pause }
    }
}

#[cfg(test)]
mod tests {
    use SecondGrant::{Refused as Never, RefusedIfOverlapping as Apart, Taken};
    use chrono::DateTime;

    use super::*;
    use crate::model::{KubernetesGroups, Pair};

    fn window(from: i64, to: i64) -> Window {
        let at = |hour: i64| DateTime::from_timestamp(1_800_000_000 + hour * 3600, 0).unwrap();
        Window::new(at(from), at(to)).unwrap()
    }

    fn grant(window: Window) -> ForeignGrant {
        let pair = Pair { account: "a-day".into(), resource: "rs-db".into() };
        ForeignGrant { id: "ag-1".into(), pair, window, groups: KubernetesGroups::default() }
    }

    /// The lesson of a refusal from 8 to 20 o'clock.
    fn lesson(
        in_the_way: &[ForeignGrant],
        foreign: &[ForeignGrant],
        [known, planned_with]: [SecondGrant; 2],
    ) -> (Option<SecondGrant>, bool, bool) {
        let is_ours_in_the_way = false;
        let window = window(8, 20);
        let refused = Refused { window, in_the_way, foreign, is_ours_in_the_way, known, planned_with };
        let Lesson { second_grant, is_new, needs_pause } = refused.lesson();
        (second_grant, is_new, needs_pause)
    }

    #[test]
    fn a_refusal_without_anything_in_the_way_teaches_nothing_and_needs_a_pause() {
        assert_eq!(lesson(&[], &[], [Taken, Taken]), (None, false, true));
        assert_eq!(lesson(&[], &[], [Never, Never]), (None, false, true));
    }

    #[test]
    fn what_is_in_the_way_shows_how_strict_strongdm_is() {
        assert_eq!(lesson(&[grant(window(12, 14))], &[], [Taken, Taken]), (Some(Apart), true, false));
        assert_eq!(lesson(&[grant(window(30, 31))], &[], [Taken, Taken]), (Some(Never), true, false));
        assert_eq!(lesson(&[grant(window(30, 31))], &[], [Apart, Apart]), (Some(Never), true, false));
    }

    #[test]
    fn a_milder_refusal_does_not_make_strongdm_milder() {
        assert_eq!(lesson(&[grant(window(12, 14))], &[], [Never, Never]), (Some(Never), false, true));
    }

    #[test]
    fn no_pause_is_needed_if_the_next_plan_knows_more_than_this_one() {
        let ours = [grant(window(12, 14))];
        assert_eq!(lesson(&ours, &[], [Apart, Taken]), (Some(Apart), false, false), "learned meanwhile");
        assert_eq!(lesson(&ours, &ours, [Apart, Apart]), (Some(Apart), false, false), "a grant of others");
        assert_eq!(
            lesson(&ours, &[], [Apart, Apart]),
            (Some(Apart), false, true),
            "it planned with all that"
        );
        let refused = Refused {
            window: window(8, 20),
            in_the_way: &ours,
            foreign: &[],
            is_ours_in_the_way: true,
            known: Apart,
            planned_with: Apart,
        };
        assert!(!refused.lesson().needs_pause, "another replica made it meanwhile");
    }
}

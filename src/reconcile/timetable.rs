//! When the next pass is due, and why. Pure: instants in, instants out. What it decides by is in the store, where
//! all replicas see it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{report::Trigger, scope::Scope};
use crate::{
    model::SecondLook,
    store::{DirtyMark, Timetable, Workload},
};

/// Events about the same thing within this time share a refresh: the first is served at once, the rest together.
const SPACING: TimeDelta = TimeDelta::seconds(1);
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// By how much the clocks of replicas may differ without one of them taking it for a clock that was set back.
const SKEW: TimeDelta = TimeDelta::seconds(2);

/// How often passes look at everything, whatever happens meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// A full pass happens at least this often.
    pub(crate) full_pass: TimeDelta,
    /// A pass compares the ledger with strongDM's list at least this often.
    pub(crate) comparison: TimeDelta,
}

/// Whether a full pass with a comparison has begun since this process came up, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstPass {
    Pending,
    Begun,
}

/// A pass that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) trigger: Trigger,
    pub(super) scope: Scope,
    /// The marks that the pass serves.
    pub(super) marks: Vec<DirtyMark>,
}

impl Intervals {
    /// The pass that is due at `now`, if any. A full pass serves all marks.
    pub(super) fn pass_due(
        &self,
        now: DateTime<Utc>,
        first_pass: FirstPass,
        workload: &Workload,
    ) -> Option<Due> {
        let Workload { timetable, dirty, abandoned } = workload;
        let full = if first_pass == FirstPass::Pending {
            Some(Trigger::Start)
        } else if *abandoned {
            Some(Trigger::Retry)
        } else {
            self.full_pass_due(now, timetable)
        };
        if let Some(trigger) = full {
            return Some(Due { trigger, scope: Scope::All, marks: dirty.clone() });
        }
        let marks: Vec<DirtyMark> = dirty.iter().filter(|dirty| may_look(now, dirty)).cloned().collect();
        let second_look = timetable.second_look.as_ref().filter(|look| look.at <= now);
        let trigger = match (marks.is_empty(), second_look) {
            (false, _) => Trigger::Webhook,
            (true, Some(_)) => Trigger::SecondLook,
            (true, None) => return None,
        };
        let again = second_look.map(|look| Scope::from(look.sources.clone()));
        let scopes = marks.iter().map(|dirty| Scope::of([dirty.mark.clone()])).chain(again);
        let scope = scopes.reduce(Scope::and).unwrap_or_default();
        Some(Due { trigger, scope, marks })
    }

    /// Whether a pass at `now` compares the ledger with strongDM's list.
    pub(super) fn is_comparison_due(
        &self,
        now: DateTime<Utc>,
        trigger: Trigger,
        timetable: &Timetable,
    ) -> bool {
        let is_asked = matches!(trigger, Trigger::Start | Trigger::Manual | Trigger::Command);
        // A comparison in the future means that the clock was set back.
        let is_recent = |at| (TimeDelta::zero()..self.comparison).contains(&(now - at));
        is_asked || !timetable.verified_at.is_some_and(is_recent)
    }

    fn full_pass_due(&self, now: DateTime<Utc>, timetable: &Timetable) -> Option<Trigger> {
        let Some(last) = timetable.last_full else { return Some(Trigger::Start) };
        // A last pass in the future means that the clock was set back.
        if last - now > SKEW || now - last >= self.full_pass {
            return Some(Trigger::Interval);
        }
        if timetable.wake.is_some_and(|wake| wake <= now) {
            return Some(Trigger::Boundary);
        }
        timetable.retry_at.is_some_and(|retry| retry <= now).then_some(Trigger::Retry)
    }
}

fn may_look(now: DateTime<Utc>, dirty: &DirtyMark) -> bool {
    dirty.looked_at.is_none_or(|looked| now < looked || now - looked >= SPACING)
}

/// Records a pass that ended.
pub(super) fn record(timetable: &mut Timetable, pass: &Passed<'_>) {
    let Passed { scope, began, ended, complete, next_wake } = *pass;
    let full = *scope == Scope::All;
    if full {
        timetable.last_full = Some(began);
        timetable.wake = next_wake;
    } else {
        // A narrow pass knows nothing of the other boundaries.
        timetable.wake = [timetable.wake, next_wake].into_iter().flatten().min();
    }
    match (complete, full) {
        (true, true) => {
            timetable.failures = 0;
            timetable.retry_at = None;
        }
        // What failed elsewhere is not mended by this.
        (true, false) => {}
        (false, _) => {
            let retry = ended + pause_after(timetable.failures);
            timetable.failures = timetable.failures.saturating_add(1);
            // Events that keep failing must not put off what else is to be tried again.
            let planned = timetable.retry_at.filter(|planned| !full && *planned < retry);
            timetable.retry_at = planned.or(Some(retry));
        }
    }
}

/// Records the look that is to confirm what a pass of `scope` found due to be revoked.
pub(super) fn record_look(timetable: &mut Timetable, scope: &Scope, second_look: Option<SecondLook>) {
    // A pass that looks elsewhere leaves it to whoever comes next.
    let elsewhere = timetable.second_look.take().filter(|look| !scope.covers(&look.sources));
    timetable.second_look = match (elsewhere, second_look) {
        (Some(one), Some(other)) => Some(join(&one, &other)),
        (one, other) => one.or(other),
    };
}

/// One look that does for both.
fn join(one: &SecondLook, other: &SecondLook) -> SecondLook {
    let of = |look: &SecondLook| Scope::from(look.sources.clone());
    SecondLook { at: one.at.min(other.at), sources: of(one).and(of(other)).into() }
}

/// How long to wait after so many failures before.
pub(super) fn pause_after(failures: u32) -> TimeDelta {
    (FIRST_PAUSE * 2_i32.pow(failures.min(6))).min(LONGEST_PAUSE)
}

/// A pass that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed<'s> {
    pub(super) scope: &'s Scope,
    pub(super) began: DateTime<Utc>,
    pub(super) ended: DateTime<Utc>,
    /// Whether everything was seen and done.
    pub(super) complete: bool,
    /// When its plan expects a change.
    pub(super) next_wake: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mark, Source};

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    fn dirty(id: &str, version: i64, looked_at: Option<DateTime<Utc>>) -> DirtyMark {
        DirtyMark { mark: Mark::Source(Source::Schedule(id.into())), version, looked_at, since: None }
    }

    fn complete(scope: &Scope, began: DateTime<Utc>, next_wake: Option<DateTime<Utc>>) -> Passed<'_> {
        Passed { scope, began, ended: began, complete: true, next_wake }
    }

    fn incomplete(scope: &Scope, began: DateTime<Utc>) -> Passed<'_> {
        Passed { complete: false, ..complete(scope, began, None) }
    }

    fn narrow() -> Scope {
        Scope::of([dirty("A", 1, None).mark])
    }

    fn intervals() -> Intervals {
        Intervals { full_pass: TimeDelta::hours(1), comparison: TimeDelta::minutes(15) }
    }

    fn after_start() -> Workload {
        let mut workload = Workload::default();
        let due = intervals().pass_due(at(0), FirstPass::Pending, &workload).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Start, Scope::All));
        record(&mut workload.timetable, &complete(&Scope::All, at(0), Some(at(50_000))));
        workload
    }

    fn trigger(workload: &Workload, now: DateTime<Utc>) -> Option<Trigger> {
        intervals().pass_due(now, FirstPass::Begun, workload).map(|due| due.trigger)
    }

    #[test]
    fn a_full_pass_is_due_at_boundaries_and_intervals() {
        let workload = after_start();
        assert_eq!(trigger(&workload, at(49_999)), None);
        assert_eq!(trigger(&workload, at(50_000)), Some(Trigger::Boundary));
        assert_eq!(trigger(&workload, at(3_600_000)), Some(Trigger::Interval));
    }

    #[test]
    fn every_process_sees_a_full_pass_begin_after_it_came_up() {
        let due = intervals().pass_due(at(1_000), FirstPass::Pending, &after_start()).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Start, Scope::All));
    }

    #[test]
    fn a_pass_that_somebody_abandoned_is_made_up_for() {
        let workload = Workload { abandoned: true, ..after_start() };
        let due = intervals().pass_due(at(1_000), FirstPass::Begun, &workload).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Retry, Scope::All));
    }

    #[test]
    fn a_clock_that_was_set_back_leads_to_a_pass_but_not_one_that_is_a_little_late() {
        assert_eq!(trigger(&after_start(), at(-5_000)), Some(Trigger::Interval));
        assert_eq!(trigger(&after_start(), at(-2_000)), None);
    }

    #[test]
    fn a_burst_about_one_schedule_is_served_at_once_and_then_together() {
        let mut workload = after_start();
        workload.dirty = vec![dirty("A", 1, None)];
        let first = intervals().pass_due(at(1_000), FirstPass::Begun, &workload).unwrap();
        assert_eq!((first.trigger, first.scope), (Trigger::Webhook, narrow()));
        workload.dirty = vec![dirty("A", 2, Some(at(1_000)))];
        assert_eq!(trigger(&workload, at(1_200)), None, "too soon");
        workload.dirty.push(dirty("B", 1, None));
        let other = intervals().pass_due(at(1_200), FirstPass::Begun, &workload).unwrap();
        assert_eq!(other.marks, [dirty("B", 1, None)], "a storm about one does not hold up another");
        workload.dirty = vec![dirty("A", 99, Some(at(1_000)))];
        assert_eq!(
            intervals().pass_due(at(2_000), FirstPass::Begun, &workload).unwrap().marks,
            workload.dirty
        );
    }

    #[test]
    fn failures_are_retried_with_a_growing_pause_of_at_most_a_minute() {
        let mut workload = after_start();
        let mut now = at(1_000);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            record(&mut workload.timetable, &incomplete(&Scope::All, now));
            let before = now;
            while trigger(&workload, now).is_none() {
                now += TimeDelta::seconds(1);
            }
            pauses.push((now - before).num_seconds());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        record(&mut workload.timetable, &complete(&Scope::All, now, None));
        assert_eq!(trigger(&workload, now + TimeDelta::seconds(120)), None);
    }

    #[test]
    fn a_storm_of_failing_events_puts_no_retry_off() {
        let mut workload = after_start();
        record(&mut workload.timetable, &incomplete(&Scope::All, at(1_000)));
        record(&mut workload.timetable, &incomplete(&narrow(), at(1_500)));
        assert_eq!(trigger(&workload, at(1_999)), None);
        assert_eq!(trigger(&workload, at(2_000)), Some(Trigger::Retry));
        record(&mut workload.timetable, &incomplete(&Scope::All, at(2_000)));
        assert_eq!(trigger(&workload, at(5_999)), None, "a full pass is what the retry was for");
        assert_eq!(trigger(&workload, at(6_000)), Some(Trigger::Retry));
    }

    #[test]
    fn a_comparison_is_due_when_the_last_is_old_or_somebody_waits_for_the_pass() {
        let due = |now, trigger, verified_at| {
            let timetable = Timetable { verified_at, ..Timetable::default() };
            intervals().is_comparison_due(now, trigger, &timetable)
        };
        assert!(due(at(0), Trigger::Webhook, None));
        assert!(!due(at(899_999), Trigger::Webhook, Some(at(0))));
        assert!(due(at(900_000), Trigger::Webhook, Some(at(0))));
        assert!(due(at(1), Trigger::Manual, Some(at(0))));
        assert!(due(at(-1), Trigger::Interval, Some(at(0))), "the clock was set back");
    }
}

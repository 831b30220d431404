//! When the next pass is due, and why. Pure: instants in, instants out. What it decides by is in the store, where
//! all replicas see it.

use chrono::{DateTime, TimeDelta, Utc};

use super::report::Trigger;
use crate::store::{DirtyMark, Timetable, Workload};

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
pub struct Intervals {
    /// A full pass happens at least this often.
    pub full_pass: TimeDelta,
    /// A pass compares the ledger with strongDM's list at least this often.
    pub comparison: TimeDelta,
}

/// Decides when it is time to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agenda {
    interval: TimeDelta,
}

/// A pass that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) trigger: Trigger,
    /// Look at everything; otherwise only at what `marks` name.
    pub(super) full: bool,
    /// The marks that the pass serves.
    pub(super) marks: Vec<DirtyMark>,
}

impl Agenda {
    pub(super) fn new(interval: TimeDelta) -> Self {
        Self { interval }
    }

    /// The pass that is due at `now`, if any. `started` says whether a full pass has begun since this process came
    /// up. A full pass serves all marks.
    pub(super) fn due(&self, now: DateTime<Utc>, started: bool, outlook: &Workload) -> Option<Due> {
        let Workload { timetable, dirty, abandoned } = outlook;
        let full = if !started {
            Some(Trigger::Start)
        } else if *abandoned {
            Some(Trigger::Retry)
        } else {
            self.full_pass_due(now, timetable)
        };
        if let Some(trigger) = full {
            return Some(Due { trigger, full: true, marks: dirty.clone() });
        }
        let marks: Vec<DirtyMark> = dirty.iter().filter(|dirty| may_look(now, dirty)).cloned().collect();
        (!marks.is_empty()).then_some(Due { trigger: Trigger::Webhook, full: false, marks })
    }

    fn full_pass_due(&self, now: DateTime<Utc>, timetable: &Timetable) -> Option<Trigger> {
        let Some(last) = timetable.last_full else { return Some(Trigger::Start) };
        // A last pass in the future means that the clock was set back.
        if last - now > SKEW || now - last >= self.interval {
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

/// Notes a pass: whether it looked at everything, whether all went well, and when its plan expects a change.
pub(super) fn note(timetable: &mut Timetable, pass: &Passed) {
    let Passed { full, began, ended, complete, next_wake } = *pass;
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

/// How long to wait after so many failures before.
pub(super) fn pause_after(failures: u32) -> TimeDelta {
    (FIRST_PAUSE * 2_i32.pow(failures.min(6))).min(LONGEST_PAUSE)
}

/// A pass that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) full: bool,
    pub(super) began: DateTime<Utc>,
    pub(super) ended: DateTime<Utc>,
    pub(super) complete: bool,
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

    fn passed(full: bool, began: DateTime<Utc>, complete: bool, next_wake: Option<DateTime<Utc>>) -> Passed {
        Passed { full, began, ended: began, complete, next_wake }
    }

    fn agenda() -> Agenda {
        Agenda::new(TimeDelta::hours(1))
    }

    fn after_start() -> Workload {
        let mut outlook = Workload::default();
        let due = agenda().due(at(0), false, &outlook).unwrap();
        assert_eq!((due.trigger, due.full), (Trigger::Start, true));
        note(&mut outlook.timetable, &passed(true, at(0), true, Some(at(50_000))));
        outlook
    }

    fn trigger(outlook: &Workload, now: DateTime<Utc>) -> Option<Trigger> {
        agenda().due(now, true, outlook).map(|due| due.trigger)
    }

    #[test]
    fn a_full_pass_is_due_at_boundaries_and_intervals() {
        let outlook = after_start();
        assert_eq!(trigger(&outlook, at(49_999)), None);
        assert_eq!(trigger(&outlook, at(50_000)), Some(Trigger::Boundary));
        assert_eq!(trigger(&outlook, at(3_600_000)), Some(Trigger::Interval));
    }

    #[test]
    fn every_process_sees_a_full_pass_begin_after_it_came_up() {
        let due = agenda().due(at(1_000), false, &after_start()).unwrap();
        assert_eq!((due.trigger, due.full), (Trigger::Start, true));
    }

    #[test]
    fn a_pass_that_somebody_abandoned_is_made_up_for() {
        let outlook = Workload { abandoned: true, ..after_start() };
        let due = agenda().due(at(1_000), true, &outlook).unwrap();
        assert_eq!((due.trigger, due.full), (Trigger::Retry, true));
    }

    #[test]
    fn a_clock_that_was_set_back_leads_to_a_pass_but_not_one_that_is_a_little_late() {
        assert_eq!(trigger(&after_start(), at(-5_000)), Some(Trigger::Interval));
        assert_eq!(trigger(&after_start(), at(-2_000)), None);
    }

    #[test]
    fn a_burst_about_one_schedule_is_served_at_once_and_then_together() {
        let mut outlook = after_start();
        outlook.dirty = vec![dirty("A", 1, None)];
        let first = agenda().due(at(1_000), true, &outlook).unwrap();
        assert_eq!((first.trigger, first.full), (Trigger::Webhook, false));
        outlook.dirty = vec![dirty("A", 2, Some(at(1_000)))];
        assert_eq!(trigger(&outlook, at(1_200)), None, "too soon");
        outlook.dirty.push(dirty("B", 1, None));
        let other = agenda().due(at(1_200), true, &outlook).unwrap();
        assert_eq!(other.marks, [dirty("B", 1, None)], "a storm about one does not hold up another");
        outlook.dirty = vec![dirty("A", 99, Some(at(1_000)))];
        assert_eq!(agenda().due(at(2_000), true, &outlook).unwrap().marks, outlook.dirty);
    }

    #[test]
    fn failures_are_retried_with_a_growing_pause_of_at_most_a_minute() {
        let mut outlook = after_start();
        let mut now = at(1_000);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            note(&mut outlook.timetable, &passed(true, now, false, None));
            let before = now;
            while trigger(&outlook, now).is_none() {
                now += TimeDelta::seconds(1);
            }
            pauses.push((now - before).num_seconds());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        note(&mut outlook.timetable, &passed(true, now, true, None));
        assert_eq!(trigger(&outlook, now + TimeDelta::seconds(120)), None);
    }

    #[test]
    fn a_storm_of_failing_events_puts_no_retry_off() {
        let mut outlook = after_start();
        note(&mut outlook.timetable, &passed(true, at(1_000), false, None));
        note(&mut outlook.timetable, &passed(false, at(1_500), false, None));
        assert_eq!(trigger(&outlook, at(1_999)), None);
        assert_eq!(trigger(&outlook, at(2_000)), Some(Trigger::Retry));
        note(&mut outlook.timetable, &passed(true, at(2_000), false, None));
        assert_eq!(trigger(&outlook, at(5_999)), None, "a full pass is what the retry was for");
        assert_eq!(trigger(&outlook, at(6_000)), Some(Trigger::Retry));
    }
}

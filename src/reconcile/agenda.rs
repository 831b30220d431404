//! When the next pass is due, and why. Pure: instants in, instants out.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{report::Trigger, scope::Mark};
use crate::store::DirtyMark;

/// Events about the same thing within this time share a refresh: the first is served at once, the rest together.
const SPACING: TimeDelta = TimeDelta::seconds(1);
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// What the loop knows about the time to come.
#[derive(Debug)]
pub(super) struct Agenda {
    interval: TimeDelta,
    last_full: Option<DateTime<Utc>>,
    /// The next instant at which the last plans expect a change.
    wake: Option<DateTime<Utc>>,
    failures: u32,
    retry_at: Option<DateTime<Utc>>,
    /// When each mark was last looked at because of an event.
    looked: BTreeMap<Mark, DateTime<Utc>>,
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
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval: TimeDelta::from_std(interval).unwrap_or(TimeDelta::MAX),
            last_full: None,
            wake: None,
            failures: 0,
            retry_at: None,
            looked: BTreeMap::new(),
        }
    }

    /// The pass that is due at `now`, if any. A full pass serves all marks.
    pub(super) fn due(&self, now: DateTime<Utc>, dirty: &[DirtyMark]) -> Option<Due> {
        if let Some(trigger) = self.full_pass_due(now) {
            return Some(Due { trigger, full: true, marks: dirty.to_vec() });
        }
        let marks: Vec<DirtyMark> =
            dirty.iter().filter(|dirty| self.may_look(now, &dirty.mark)).cloned().collect();
        (!marks.is_empty()).then_some(Due { trigger: Trigger::Webhook, full: false, marks })
    }

    fn full_pass_due(&self, now: DateTime<Utc>) -> Option<Trigger> {
        let Some(last) = self.last_full else { return Some(Trigger::Start) };
        // A last pass in the future means that the clock was set back.
        if now < last || now - last >= self.interval {
            return Some(Trigger::Interval);
        }
        if self.wake.is_some_and(|wake| wake <= now) {
            return Some(Trigger::Boundary);
        }
        self.retry_at.is_some_and(|retry| retry <= now).then_some(Trigger::Retry)
    }

    fn may_look(&self, now: DateTime<Utc>, mark: &Mark) -> bool {
        self.looked.get(mark).is_none_or(|looked| now < *looked || now - *looked >= SPACING)
    }

    /// Notes that the events behind `marks` were served by a pass that began at `began`.
    pub(super) fn looked(&mut self, marks: &[DirtyMark], began: DateTime<Utc>) {
        self.looked.retain(|_, looked| began - *looked < SPACING);
        self.looked.extend(marks.iter().map(|dirty| (dirty.mark.clone(), began)));
    }

    /// Notes a pass: whether it looked at everything, whether all went well, and when its plan expects a change.
    pub(super) fn passed(&mut self, pass: &Passed) {
        let Passed { full, began, ended, complete, next_wake } = *pass;
        if full {
            self.last_full = Some(began);
            self.wake = next_wake;
        } else {
            // A narrow pass knows nothing of the other boundaries.
            self.wake = [self.wake, next_wake].into_iter().flatten().min();
        }
        match (complete, full) {
            (true, true) => {
                self.failures = 0;
                self.retry_at = None;
            }
            // What failed elsewhere is not mended by this.
            (true, false) => {}
            (false, _) => {
                let pause = FIRST_PAUSE * 2_i32.pow(self.failures.min(6));
                self.failures += 1;
                let retry = ended + pause.min(LONGEST_PAUSE);
                // Events that keep failing must not put off what else is to be tried again.
                let planned = self.retry_at.filter(|planned| !full && *planned < retry);
                self.retry_at = planned.or(Some(retry));
            }
        }
    }
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
    use crate::model::Source;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    fn dirty(id: &str, version: i64) -> DirtyMark {
        DirtyMark { mark: Mark::Source(Source::Schedule(id.into())), version }
    }

    fn passed(full: bool, began: DateTime<Utc>, complete: bool, next_wake: Option<DateTime<Utc>>) -> Passed {
        Passed { full, began, ended: began, complete, next_wake }
    }

    fn agenda_after_start() -> Agenda {
        let mut agenda = Agenda::new(Duration::from_hours(1));
        let due = agenda.due(at(0), &[]).unwrap();
        assert_eq!((due.trigger, due.full), (Trigger::Start, true));
        agenda.passed(&passed(true, at(0), true, Some(at(50_000))));
        agenda
    }

    fn trigger(agenda: &Agenda, now: DateTime<Utc>) -> Option<Trigger> {
        agenda.due(now, &[]).map(|due| due.trigger)
    }

    #[test]
    fn a_full_pass_is_due_at_boundaries_and_intervals() {
        let agenda = agenda_after_start();
        assert_eq!(trigger(&agenda, at(49_999)), None);
        assert_eq!(trigger(&agenda, at(50_000)), Some(Trigger::Boundary));
        assert_eq!(trigger(&agenda, at(3_600_000)), Some(Trigger::Interval));
    }

    #[test]
    fn a_clock_that_was_set_back_leads_to_a_pass() {
        assert_eq!(trigger(&agenda_after_start(), at(-5_000)), Some(Trigger::Interval));
    }

    #[test]
    fn a_burst_about_one_schedule_is_served_at_once_and_then_together() {
        let mut agenda = agenda_after_start();
        let first = agenda.due(at(1_000), &[dirty("A", 1)]).unwrap();
        assert_eq!((first.trigger, first.full), (Trigger::Webhook, false));
        agenda.looked(&first.marks, at(1_000));
        agenda.passed(&passed(false, at(1_000), true, None));
        assert_eq!(agenda.due(at(1_200), &[dirty("A", 2)]), None, "too soon");
        let other = agenda.due(at(1_200), &[dirty("A", 2), dirty("B", 1)]).unwrap();
        assert_eq!(other.marks, [dirty("B", 1)], "a storm about one does not hold up another");
        assert_eq!(agenda.due(at(2_000), &[dirty("A", 99)]).unwrap().marks, [dirty("A", 99)]);
    }

    #[test]
    fn failures_are_retried_with_a_growing_pause_of_at_most_a_minute() {
        let mut agenda = agenda_after_start();
        let mut now = at(1_000);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            agenda.passed(&passed(true, now, false, None));
            let before = now;
            while agenda.due(now, &[]).is_none() {
                now += TimeDelta::seconds(1);
            }
            pauses.push((now - before).num_seconds());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        agenda.passed(&passed(true, now, true, None));
        assert_eq!(trigger(&agenda, now + TimeDelta::seconds(120)), None);
    }

    #[test]
    fn a_storm_of_failing_events_puts_no_retry_off() {
        let mut agenda = agenda_after_start();
        agenda.passed(&passed(true, at(1_000), false, None));
        agenda.passed(&passed(false, at(1_500), false, None));
        assert_eq!(trigger(&agenda, at(1_999)), None);
        assert_eq!(trigger(&agenda, at(2_000)), Some(Trigger::Retry));
        agenda.passed(&passed(true, at(2_000), false, None));
        assert_eq!(trigger(&agenda, at(5_999)), None, "a full pass is what the retry was for");
        assert_eq!(trigger(&agenda, at(6_000)), Some(Trigger::Retry));
    }
}

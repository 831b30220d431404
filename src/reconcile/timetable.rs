//! When the next pass is due, and why. Pure: instants in, instants out. What it decides by is in the store, where
//! all replicas see it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    report::{PassReport, Trigger},
    scope::Scope,
};
use crate::{
    model::{Asked, Mark, Retry, Rule, SecondLook, Source, later},
    store::{DirtyMark, Timetable, Workload},
};

/// Looks at one thing that events ask for: after a quiet while so many without delay …
const LOOKS_AT_ONCE: i32 = 5;
/// … and then one in this time.
const TIME_PER_LOOK: TimeDelta = TimeDelta::seconds(1);
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// By how much the clocks of replicas may differ without one of them taking it for a clock that was set back.
const SKEW: TimeDelta = TimeDelta::seconds(2);
/// So many passes at once; each looks by itself, and they take turns to write.
const PASSES_AT_ONCE: usize = 6;
/// So many failures are told apart. Where there are more, everything is tried again together.
const RETRIES: usize = 200;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) trigger: Trigger,
    pub(super) scope: Scope,
    /// The marks that the pass serves.
    pub(super) marks: Vec<DirtyMark>,
}

/// A pass of this process that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) due: Due,
    pub(super) began: DateTime<Utc>,
}

impl Intervals {
    /// The pass that is to begin at `now` beside those that are under way, if any: what somebody may be waiting for first.
    pub(super) fn pass_due(
        &self,
        now: DateTime<Utc>,
        first_pass: FirstPass,
        workload: &Workload,
        under_way: &[UnderWay],
    ) -> Option<Due> {
        if under_way.len() >= PASSES_AT_ONCE {
            return None;
        }
        let Workload { timetable, dirty, abandoned: _ } = workload;
        let marks: Vec<DirtyMark> = dirty
            .iter()
            .filter(|dirty| may_look(now, dirty) && !under_way.iter().any(|pass| pass.serves(dirty)))
            .cloned()
            .collect();
        let full = self.full_pass_due(now, first_pass, workload, under_way);
        let everything = marks.iter().any(|dirty| dirty.mark == Mark::Everything);
        if everything || full == Some(Trigger::Start) {
            return Some(Due { trigger: full.unwrap_or(Trigger::Webhook), scope: Scope::All, marks });
        }
        if !marks.is_empty() {
            let scope = Scope::of(marks.iter().map(|dirty| dirty.mark.clone()));
            return Some(Due { trigger: Trigger::Webhook, scope, marks });
        }
        let second_look = timetable.second_look.as_ref().filter(|look| look.at <= now);
        let second_look = second_look.filter(|look| !is_covered(under_way, look.at, &look.sources));
        if let Some(look) = second_look {
            let scope = Scope::from(look.sources.clone());
            return Some(Due { trigger: Trigger::SecondLook, scope, marks });
        }
        if let Some(trigger) = full {
            return Some(Due { trigger, scope: Scope::All, marks });
        }
        let retries = timetable.retries.values().filter(|retry| {
            retry.at <= now && !retry.sources.is_empty() && !is_covered(under_way, retry.at, &retry.sources)
        });
        let sources: BTreeSet<Source> = retries.flat_map(|retry| retry.sources.iter().cloned()).collect();
        (!sources.is_empty()).then(|| Due { trigger: Trigger::Retry, scope: sources.into(), marks })
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

    /// Why a full pass is due that none under way makes superfluous. One that only has windows to come left to write does not
    /// keep the next from looking.
    fn full_pass_due(
        &self,
        now: DateTime<Utc>,
        first_pass: FirstPass,
        Workload { timetable, dirty: _, abandoned }: &Workload,
        under_way: &[UnderWay],
    ) -> Option<Trigger> {
        let everything = BTreeSet::new();
        let is_due = |at: Option<DateTime<Utc>>| {
            at.is_some_and(|at| at <= now && !is_covered(under_way, at, &everything))
        };
        let begun = under_way.iter().filter(|pass| pass.due.scope == Scope::All).map(|pass| pass.began).max();
        if first_pass == FirstPass::Pending {
            return begun.is_none().then_some(Trigger::Start);
        }
        if *abandoned && begun.is_none() {
            return Some(Trigger::Retry);
        }
        let Some(last) = timetable.last_full.max(begun) else { return Some(Trigger::Start) };
        // A last pass in the future means that the clock was set back.
        if last - now > SKEW || now - last >= self.full_pass {
            return Some(Trigger::Interval);
        }
        // Narrow passes do not compare. One that failed is not tried again all the time.
        if now - last >= self.comparison.min(LONGEST_PAUSE)
            && self.is_comparison_due(now, Trigger::Interval, timetable)
        {
            return Some(Trigger::Interval);
        }
        if is_due(timetable.wake) {
            return Some(Trigger::Boundary);
        }
        let retries = timetable.retries.values().filter(|retry| retry.sources.is_empty());
        let retry = retries.map(|retry| retry.at).chain(timetable.retry_at).min();
        is_due(retry).then_some(Trigger::Retry)
    }
}

impl UnderWay {
    /// Whether it looks at this mark for the same events. A narrow pass is over soon, and what came meanwhile follows; a full
    /// one may take long.
    fn serves(&self, dirty: &DirtyMark) -> bool {
        let Due { scope, marks, trigger: _ } = &self.due;
        let mark = marks.iter().find(|served| served.mark == dirty.mark);
        mark.is_some_and(|served| served.version >= dirty.version || *scope != Scope::All)
    }
}

/// Whether a pass under way looks at all of `sources` (everything, if nothing is named) and began at or after `at`.
fn is_covered(under_way: &[UnderWay], at: DateTime<Utc>, sources: &BTreeSet<Source>) -> bool {
    under_way.iter().any(|pass| pass.began >= at && pass.due.scope.covers(sources))
}

fn may_look(now: DateTime<Utc>, dirty: &DirtyMark) -> bool {
    let ahead = dirty.paced_until.map(|until| until - now);
    // More than can be in a burst: the clock was set back.
    ahead.is_none_or(|ahead| {
        ahead <= TIME_PER_LOOK * (LOOKS_AT_ONCE - 1) || ahead > TIME_PER_LOOK * (2 * LOOKS_AT_ONCE)
    })
}

/// Paces marks that a pass looks at from `began` on.
pub(super) fn pace(marks: &mut [DirtyMark], began: DateTime<Utc>) {
    for dirty in marks {
        let burst = TIME_PER_LOOK * LOOKS_AT_ONCE;
        let until = dirty.paced_until.filter(|until| *until - began <= burst);
        dirty.paced_until = Some(later(until.unwrap_or(began).max(began), TIME_PER_LOOK));
    }
}

/// Records a pass that ended.
pub(super) fn record(timetable: &mut Timetable, pass: &Passed<'_>) {
    let Passed { scope, began, ended, next_wake, .. } = *pass;
    if *scope == Scope::All {
        timetable.last_full = timetable.last_full.max(Some(began));
        timetable.wake = next_wake;
        timetable.failures = 0;
        timetable.retry_at = pass.ran_out_of_time.then_some(ended);
    } else {
        // A narrow pass knows nothing of the other boundaries.
        timetable.wake = [timetable.wake, next_wake].into_iter().flatten().min();
        if pass.ran_out_of_time {
            timetable.retry_at = [timetable.retry_at, Some(ended)].into_iter().flatten().min();
        }
    }
}

/// Records a pass that broke off.
pub(super) fn record_broken(timetable: &mut Timetable, scope: &Scope, ended: DateTime<Utc>) {
    let retry = ended + pause_after(timetable.failures);
    timetable.failures = timetable.failures.saturating_add(1);
    // Events that keep failing must not put off what else is to be tried again.
    let planned = timetable.retry_at.filter(|planned| *scope != Scope::All && *planned < retry);
    timetable.retry_at = planned.or(Some(retry));
}

/// Records what a pass of `scope` could not see or do, each by its own clock, and forgets what it could.
pub(super) fn record_failures(timetable: &mut Timetable, rules: &[Rule], scope: &Scope, report: &PassReport) {
    let here: BTreeSet<Source> = scope.clone().into();
    let of_rules = |names: &[String]| -> BTreeSet<Source> {
        rules.iter().filter(|rule| names.contains(&rule.name)).flat_map(Rule::sources).collect()
    };
    let unknown = report.unknown.iter().filter(|unknown| !matches!(unknown.about, Asked::List(_)));
    let unknown = unknown.map(|unknown| {
        let sources = unknown.about.source().map_or_else(|| here.clone(), |source| BTreeSet::from([source]));
        (unknown.about.to_string(), sources)
    });
    let failed = report.failed.iter().filter(|failure| !failure.is_out_of_time());
    let failed = failed.map(|failure| {
        (format!("{} {}", failure.action, failure.grant.pair()), of_rules(&failure.grant.rules))
    });
    let before = std::mem::take(&mut timetable.retries);
    for (about, sources) in unknown.chain(failed) {
        let failures = before.get(&about).map_or(0, |retry| retry.failures);
        let at = report.finished_at + pause_after(failures);
        timetable.retries.insert(about, Retry { failures: failures.saturating_add(1), at, sources });
    }
    for (about, retry) in before {
        if !scope.covers(&retry.sources) {
            timetable.retries.entry(about).or_insert(retry);
        }
    }
    if timetable.retries.len() > RETRIES {
        let soonest = timetable.retries.values().min_by_key(|retry| retry.at).cloned();
        let all = soonest.map(|retry| ("everything".to_owned(), Retry { sources: BTreeSet::new(), ..retry }));
        timetable.retries = all.into_iter().collect();
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
    /// Whether writes were left for the next pass.
    pub(super) ran_out_of_time: bool,
    /// When its plan expects a change.
    pub(super) next_wake: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mark, Source, Unknown};

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    fn source(id: &str) -> Source {
        Source::Schedule(id.into())
    }

    fn dirty(id: &str, version: i64, paced_until: Option<DateTime<Utc>>) -> DirtyMark {
        DirtyMark { mark: Mark::Source(source(id)), version, paced_until, since: None }
    }

    fn passed(scope: &Scope, began: DateTime<Utc>, next_wake: Option<DateTime<Utc>>) -> Passed<'_> {
        Passed { scope, began, ended: began, ran_out_of_time: false, next_wake }
    }

    fn narrow(id: &str) -> Scope {
        Scope::of([dirty(id, 1, None).mark])
    }

    fn intervals() -> Intervals {
        Intervals { full_pass: TimeDelta::hours(1), comparison: TimeDelta::minutes(15) }
    }

    fn due(workload: &Workload, now: DateTime<Utc>, under_way: &[UnderWay]) -> Option<Due> {
        intervals().pass_due(now, FirstPass::Begun, workload, under_way)
    }

    fn trigger(workload: &Workload, now: DateTime<Utc>) -> Option<Trigger> {
        due(workload, now, &[]).map(|due| due.trigger)
    }

    fn after_start() -> Workload {
        let mut workload = Workload::default();
        let due = intervals().pass_due(at(0), FirstPass::Pending, &workload, &[]).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Start, Scope::All));
        record(&mut workload.timetable, &passed(&Scope::All, at(0), Some(at(50_000))));
        workload.timetable.verified_at = Some(at(0));
        workload
    }

    fn full(began: DateTime<Utc>, marks: Vec<DirtyMark>) -> UnderWay {
        UnderWay { due: Due { trigger: Trigger::Interval, scope: Scope::All, marks }, began }
    }

    #[test]
    fn a_full_pass_is_due_at_boundaries_and_intervals() {
        let workload = after_start();
        assert_eq!(trigger(&workload, at(49_999)), None);
        assert_eq!(trigger(&workload, at(50_000)), Some(Trigger::Boundary));
        assert_eq!(trigger(&workload, at(3_600_000)), Some(Trigger::Interval));
    }

    #[test]
    fn a_full_pass_that_still_writes_keeps_none_from_a_boundary_that_came_since() {
        let workload = after_start();
        assert_eq!(due(&workload, at(50_000), &[full(at(50_000), Vec::new())]), None);
        let earlier = [full(at(49_000), Vec::new())];
        assert_eq!(due(&workload, at(50_000), &earlier).unwrap().trigger, Trigger::Boundary);
        assert_eq!(due(&workload, at(49_500), &earlier), None);
        assert_eq!(due(&Workload::default(), at(49_100), &earlier), None, "the first is under way");
    }

    #[test]
    fn an_event_waits_for_no_full_pass_that_looked_before_it() {
        let mut workload = after_start();
        let under_way = [full(at(0), vec![dirty("A", 1, None)])];
        workload.dirty = vec![dirty("A", 1, None)];
        assert_eq!(due(&workload, at(100), &under_way), None, "it is being looked at");
        workload.dirty = vec![dirty("A", 2, None)];
        assert_eq!(due(&workload, at(100), &under_way).unwrap().scope, narrow("A"));
        let short = UnderWay { due: due(&workload, at(100), &[]).unwrap(), began: at(100) };
        workload.dirty = vec![dirty("A", 3, None), dirty("B", 1, None)];
        assert_eq!(due(&workload, at(200), &[short]).unwrap().scope, narrow("B"), "the other is over soon");
    }

    #[test]
    fn a_full_pass_is_due_with_the_comparison_but_not_all_the_time_if_that_fails() {
        let mut workload = after_start();
        workload.timetable.wake = None;
        assert_eq!(trigger(&workload, at(899_999)), None);
        assert_eq!(trigger(&workload, at(900_000)), Some(Trigger::Interval));
        record(&mut workload.timetable, &passed(&Scope::All, at(900_000), None));
        assert_eq!(trigger(&workload, at(959_999)), None);
        assert_eq!(trigger(&workload, at(960_000)), Some(Trigger::Interval));
    }

    #[test]
    fn every_process_sees_a_full_pass_begin_after_it_came_up() {
        let due = intervals().pass_due(at(1_000), FirstPass::Pending, &after_start(), &[]).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Start, Scope::All));
    }

    #[test]
    fn a_pass_that_somebody_abandoned_is_made_up_for() {
        let workload = Workload { abandoned: true, ..after_start() };
        let due = due(&workload, at(1_000), &[]).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Retry, Scope::All));
    }

    #[test]
    fn a_clock_that_was_set_back_leads_to_a_pass_but_not_one_that_is_a_little_late() {
        assert_eq!(trigger(&after_start(), at(-5_000)), Some(Trigger::Interval));
        assert_eq!(trigger(&after_start(), at(-2_000)), None);
    }

    /// When a source is looked at that has an event at each of `events`.
    fn looks(events: impl Iterator<Item = i64>, until: i64) -> Vec<i64> {
        let mut workload = after_start();
        workload.timetable.wake = None;
        let (mut events, mut looks) = (events.peekable(), Vec::new());
        let (mut version, mut served, mut paced_until) = (0, 0, None);
        for ms in (0..until).step_by(10) {
            while events.next_if(|event| *event <= ms).is_some() {
                version += 1;
            }
            workload.dirty =
                (version > served).then(|| dirty("A", version, paced_until)).into_iter().collect();
            if let Some(mut due) = due(&workload, at(ms), &[]) {
                pace(&mut due.marks, at(ms));
                (served, paced_until) = (version, due.marks[0].paced_until);
                looks.push(ms);
            }
        }
        looks
    }

    #[test]
    fn the_first_events_of_a_quiet_source_are_served_at_once_and_a_storm_once_a_second() {
        assert_eq!(looks([0, 100, 200, 300, 400].into_iter(), 10_000), [0, 100, 200, 300, 400]);
        let storm = looks((0..20_000).step_by(20), 20_000);
        assert!(storm[..5].iter().all(|look| *look < 100), "{storm:?}");
        assert!((19..=25).contains(&storm.len()), "{storm:?}");
        assert!(storm[5..].windows(2).all(|two| two[1] - two[0] >= 990), "{storm:?}");
        assert_eq!(looks([0, 10, 20, 30, 40, 50, 9_000].into_iter(), 10_000).last(), Some(&9_000));
    }

    #[test]
    fn a_storm_about_one_does_not_hold_up_another() {
        let mut workload = after_start();
        workload.dirty = vec![dirty("A", 9, Some(at(9_000))), dirty("B", 1, None)];
        assert_eq!(due(&workload, at(1_000), &[]).unwrap().marks, [dirty("B", 1, None)]);
        workload.dirty = vec![dirty("A", 9, Some(at(900_000)))];
        assert!(due(&workload, at(1_000), &[]).is_some(), "the clock was set back");
    }

    #[test]
    fn what_somebody_waits_for_begins_first() {
        let mut workload = after_start();
        workload.timetable.second_look =
            Some(SecondLook { at: at(0), sources: BTreeSet::from([source("B")]) });
        workload.dirty = vec![dirty("A", 1, None)];
        let now = at(60_000);
        let mut under_way = Vec::new();
        while let Some(due) = due(&workload, now, &under_way) {
            under_way.push(UnderWay { due, began: now });
        }
        let begun: Vec<_> = under_way.iter().map(|pass| (pass.due.trigger, pass.due.scope.clone())).collect();
        assert_eq!(
            begun,
            [
                (Trigger::Webhook, narrow("A")),
                (Trigger::SecondLook, narrow("B")),
                (Trigger::Boundary, Scope::All)
            ]
        );
    }

    fn report(unknown: &[&str], now: DateTime<Utc>) -> PassReport {
        let mut report = PassReport::begin(String::new(), Trigger::Interval, now);
        let unknown = unknown.iter().map(|id| Unknown { about: source(id).into(), error: "HTTP 500".into() });
        report.unknown = unknown.collect();
        report
    }

    #[test]
    fn failures_are_retried_each_by_its_own_clock_with_a_pause_of_at_most_a_minute() {
        let mut workload = after_start();
        workload.timetable.wake = None;
        let mut now = at(1_000);
        let mut pauses = Vec::new();
        record_failures(&mut workload.timetable, &[], &Scope::All, &report(&["A"], now));
        for _ in 0..9 {
            let before = now;
            let due = loop {
                now += TimeDelta::seconds(1);
                if let Some(due) = due(&workload, now, &[]) {
                    break due;
                }
            };
            assert_eq!((due.trigger, &due.scope), (Trigger::Retry, &narrow("A")));
            pauses.push((now - before).num_seconds());
            record_failures(&mut workload.timetable, &[], &due.scope, &report(&["A"], now));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        record_failures(&mut workload.timetable, &[], &narrow("B"), &report(&["B"], now));
        let soon = due(&workload, now + TimeDelta::seconds(1), &[]).unwrap();
        assert_eq!(soon.scope, narrow("B"), "what has just failed does not wait for what always fails");
        record_failures(&mut workload.timetable, &[], &narrow("B"), &report(&[], now));
        assert_eq!(workload.timetable.retries.len(), 1, "nobody looked at A");
        record_failures(&mut workload.timetable, &[], &Scope::All, &report(&[], now));
        assert!(workload.timetable.retries.is_empty());
    }

    #[test]
    fn more_failures_than_can_be_told_apart_are_tried_again_together() {
        let mut timetable = after_start().timetable;
        let ids: Vec<String> = (0..=RETRIES).map(|n| format!("P{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        record_failures(&mut timetable, &[], &Scope::All, &report(&ids, at(0)));
        let workload = Workload { timetable, ..Workload::default() };
        let due = due(&workload, at(1_000), &[]).unwrap();
        assert_eq!((due.trigger, due.scope), (Trigger::Retry, Scope::All));
    }

    #[test]
    fn a_pass_that_broke_off_is_made_up_for_and_a_storm_of_such_events_puts_it_not_off() {
        let mut workload = after_start();
        record_broken(&mut workload.timetable, &Scope::All, at(1_000));
        record_broken(&mut workload.timetable, &narrow("A"), at(1_500));
        assert_eq!(trigger(&workload, at(1_999)), None);
        assert_eq!(trigger(&workload, at(2_000)), Some(Trigger::Retry));
        record_broken(&mut workload.timetable, &Scope::All, at(2_000));
        assert_eq!(trigger(&workload, at(5_999)), None, "a full pass is what the retry was for");
        assert_eq!(trigger(&workload, at(6_000)), Some(Trigger::Retry));
    }

    #[test]
    fn what_a_pass_had_no_time_for_is_done_by_the_next_one_at_once() {
        let mut workload = after_start();
        let late = Passed { ran_out_of_time: true, ..passed(&Scope::All, at(1_000), None) };
        record(&mut workload.timetable, &late);
        assert_eq!(trigger(&workload, at(1_000)), Some(Trigger::Retry));
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

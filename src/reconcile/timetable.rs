//! When the next pass is due, and why. Pure: instants in, instants out. What it decides by is in the store, where
//! all replicas see it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    report::{PassReport, Trigger},
    scope::Scope,
};
use crate::{
    model::{Asked, Mark, Retry, Rule, SecondLook, ServiceId, Source, later},
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
/// While so many are under way, none begins about what another one looks at already: the last places are for what
/// nobody does.
const PASSES_ABOUT_THE_SAME: usize = 4;
/// So long after a pass left windows to come, all are made up for at once, should no look at everything be at them.
const LEFT_FOR: TimeDelta = TimeDelta::seconds(15);
/// So long after an event, services are looked at once more.
const AFTER_EVENT: [TimeDelta; 2] = [TimeDelta::seconds(2), TimeDelta::seconds(10)];
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
        let marks = dirty.iter().filter(|dirty| !are_enough(under_way, dirty));
        let paced = marks.map(|dirty| with_looks_under_way(dirty.clone(), under_way));
        let marks: Vec<DirtyMark> = paced.filter(|dirty| may_look(now, dirty)).collect();
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
        let follow_ups: BTreeSet<Source> = follow_ups_due(now, timetable, under_way).collect();
        if !follow_ups.is_empty() {
            return Some(Due { trigger: Trigger::FollowUp, scope: follow_ups.into(), marks });
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

    /// Why a full pass is due that none under way makes superfluous. One that only has windows to come left to write
    /// does not keep the next from looking.
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
    /// The same mark, as it was when the pass began.
    fn mark(&self, dirty: &DirtyMark) -> Option<&DirtyMark> {
        self.due.marks.iter().find(|served| served.mark == dirty.mark)
    }
}

/// Whether no further pass is to look at this mark for now: one does for the same events, or does soon enough where
/// many are under way. A full pass may take long.
fn are_enough(under_way: &[UnderWay], dirty: &DirtyMark) -> bool {
    under_way.iter().any(|pass| {
        let is_soon_over = pass.due.scope != Scope::All && under_way.len() >= PASSES_ABOUT_THE_SAME;
        pass.mark(dirty).is_some_and(|served| served.version >= dirty.version || is_soon_over)
    })
}

/// Whether a pass under way looks at all of `sources` (everything, if nothing is named) and began at or after `at`.
fn is_covered(under_way: &[UnderWay], at: DateTime<Utc>, sources: &BTreeSet<Source>) -> bool {
    under_way.iter().any(|pass| pass.began >= at && pass.due.scope.covers(sources))
}

/// The services that are to be looked at once more, and that no pass under way looks at.
fn follow_ups_due(
    now: DateTime<Utc>,
    timetable: &Timetable,
    under_way: &[UnderWay],
) -> impl Iterator<Item = Source> {
    let due = timetable.follow_ups.iter().filter_map(move |(service, times)| {
        let at = *times.first().filter(|at| **at <= now)?;
        let source = Source::Service(service.clone());
        let is_looked_at = is_covered(under_way, at, &BTreeSet::from([source.clone()]));
        (!is_looked_at).then_some(source)
    });
    due.collect::<Vec<_>>().into_iter()
}

/// Paces a mark by the passes under way that look at it: what they record when they are over is not in the store yet.
fn with_looks_under_way(dirty: DirtyMark, under_way: &[UnderWay]) -> DirtyMark {
    let looks =
        under_way.iter().filter_map(|pass| Some(paced_until(pass.mark(&dirty)?.paced_until, pass.began)));
    DirtyMark { paced_until: dirty.paced_until.max(looks.max()), ..dirty }
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
        dirty.paced_until = Some(paced_until(dirty.paced_until, began));
    }
}

fn paced_until(before: Option<DateTime<Utc>>, began: DateTime<Utc>) -> DateTime<Utc> {
    let burst = TIME_PER_LOOK * LOOKS_AT_ONCE;
    let until = before.filter(|until| *until - began <= burst);
    later(until.unwrap_or(began).max(began), TIME_PER_LOOK)
}

/// Records a pass that ended.
pub(super) fn record(timetable: &mut Timetable, pass: &Passed<'_>) {
    let Passed { scope, began, ended, left, next_wake } = *pass;
    let retry_at = left.map(|left| match left {
        Left::Anything => ended,
        Left::WindowsToCome => later(ended, LEFT_FOR),
    });
    if *scope == Scope::All {
        timetable.last_full = timetable.last_full.max(Some(began));
        timetable.wake = next_wake;
        timetable.failures = 0;
        timetable.retry_at = retry_at;
    } else {
        // A narrow pass knows nothing of the other boundaries.
        timetable.wake = [timetable.wake, next_wake].into_iter().flatten().min();
        timetable.retry_at = [timetable.retry_at, retry_at].into_iter().flatten().min();
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

/// Records that a pass looked at services, and, if an event made it look, that they are looked at again: REST may lag behind
/// events. In a storm, what is planned already stays, so that looks come no more often than without one.
pub(super) fn record_follow_ups(
    timetable: &mut Timetable,
    rules: &[Rule],
    scope: &Scope,
    trigger: Trigger,
    began: DateTime<Utc>,
) {
    let services: BTreeSet<ServiceId> = rules.iter().flat_map(Rule::sources).filter_map(service).collect();
    timetable.follow_ups.retain(|service, _| services.contains(service));
    let is_looked_at =
        |service: &ServiceId| scope.covers(&BTreeSet::from([Source::Service(service.clone())]));
    for service in services.into_iter().filter(is_looked_at) {
        let planned = timetable.follow_ups.entry(service).or_default();
        // One further ahead than the last of them was planned before the clock was set back.
        planned.retain(|at| *at > began && *at - began <= AFTER_EVENT[1]);
        if trigger == Trigger::Webhook {
            let first = planned.first().copied().unwrap_or(later(began, AFTER_EVENT[0]));
            *planned = vec![first.min(later(began, AFTER_EVENT[0])), later(began, AFTER_EVENT[1])];
        }
    }
    timetable.follow_ups.retain(|_, planned| !planned.is_empty());
}

fn service(source: Source) -> Option<ServiceId> {
    match source {
        Source::Service(id) => Some(id),
        Source::Schedule(_) | Source::Policy(_) => None,
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

/// Which writes a pass left undone, beside those that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The time was over.
    Anything,
    /// Somebody else wanted the turn, or strongDM takes hardly a write now.
    WindowsToCome,
}

/// A pass that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed<'s> {
    pub(super) scope: &'s Scope,
    pub(super) began: DateTime<Utc>,
    pub(super) ended: DateTime<Utc>,
    /// What was left for a look at everything.
    pub(super) left: Option<Left>,
    /// When its plan expects a change.
    pub(super) next_wake: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests;

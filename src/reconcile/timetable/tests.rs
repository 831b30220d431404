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
    Passed { scope, began, ended: began, left: None, next_wake }
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
}

#[test]
fn an_event_waits_for_no_pass_about_an_earlier_one_as_long_as_there_are_places() {
    let mut workload = after_start();
    let mut under_way = Vec::new();
    for n in 1..=4 {
        workload.dirty = vec![dirty("A", n, None)];
        let due = due(&workload, at(n), &under_way).unwrap();
        under_way.push(UnderWay { due, began: at(n) });
    }
    workload.dirty = vec![dirty("A", 5, None), dirty("B", 1, None)];
    let other = due(&workload, at(5), &under_way).unwrap();
    assert_eq!(other.scope, narrow("B"), "nobody looks at it yet");
    under_way.remove(0);
    let both = due(&workload, at(5), &under_way).unwrap();
    assert_eq!(both.scope, narrow("A").and(narrow("B")));
}

#[test]
fn looks_under_way_count_for_the_pace() {
    let mut workload = after_start();
    workload.dirty = vec![dirty("A", 2, Some(at(3_900)))];
    let first = Due { marks: vec![dirty("A", 1, Some(at(3_900)))], ..due(&workload, at(0), &[]).unwrap() };
    let under_way = [UnderWay { due: first, began: at(0) }];
    let second = due(&workload, at(900), &under_way);
    assert_eq!(second.unwrap().marks[0].paced_until, Some(at(4_900)), "as if it were over");
    assert_eq!(due(&workload, at(899), &under_way), None, "that is a storm");
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
        workload.dirty = (version > served).then(|| dirty("A", version, paced_until)).into_iter().collect();
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
    workload.timetable.second_look = Some(SecondLook { at: at(0), sources: BTreeSet::from([source("B")]) });
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
    let unknown = unknown.iter().map(|id| Unknown::new(source(id), "HTTP 500"));
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
    let late = Passed { left: Some(Left::Anything), ..passed(&Scope::All, at(1_000), None) };
    record(&mut workload.timetable, &late);
    assert_eq!(trigger(&workload, at(1_000)), Some(Trigger::Retry));
}

#[test]
fn windows_to_come_that_were_left_are_made_up_for_soon_and_no_event_puts_that_off() {
    let mut workload = after_start();
    for began in [1_000, 3_000, 5_000] {
        let scope = narrow("A");
        let left = Passed { left: Some(Left::WindowsToCome), ..passed(&scope, at(began), None) };
        record(&mut workload.timetable, &left);
    }
    assert_eq!(trigger(&workload, at(15_999)), None);
    assert_eq!(trigger(&workload, at(16_000)), Some(Trigger::Retry));
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

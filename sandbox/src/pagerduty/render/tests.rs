use chrono::{DateTime, Utc};

use super::{final_entries, unbroken};
use crate::pagerduty::schedule::{Override, Schedule, Shift};

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_762_000_000 / 3600 * 3600 + hour * 3600, 0).unwrap()
}

fn shown(shifts: &[Shift]) -> Vec<String> {
    let hour = |time: DateTime<Utc>| (time - at(0)).num_hours();
    let end = |shift: &Shift| shift.end.map_or("…".into(), |end| hour(end).to_string());
    shifts.iter().map(|s| format!("{} {}-{}", s.user.as_deref().unwrap(), hour(s.start), end(s))).collect()
}

fn over(user: &str, start: i64, end: i64) -> Override {
    Override { id: format!("PO{start}"), user: user.into(), start: at(start), end: at(end) }
}

fn week() -> Schedule {
    Schedule::layers("PSCH001", "Primary").with(Shift::new("ana", at(0), at(8))).with(Shift::new(
        "bo",
        at(8),
        at(16),
    ))
}

#[test]
fn an_override_splits_the_shift_it_lies_in() {
    let mut schedule = week();
    schedule.overrides.push(over("cem", 2, 4));
    assert_eq!(shown(&final_entries(&schedule)), ["ana 0-2", "cem 2-4", "ana 4-8", "bo 8-16"]);
}

#[test]
fn an_override_may_reach_over_shifts_and_gaps_and_the_newest_wins() {
    let mut schedule = week();
    schedule.overrides.extend([over("cem", 6, 20), over("ana", 10, 12)]);
    assert_eq!(shown(&final_entries(&schedule)), ["ana 0-6", "cem 6-10", "ana 10-12", "cem 12-20"],);
}

#[test]
fn an_endless_shift_goes_on_after_an_override() {
    let mut schedule = Schedule::layers("PSCH004", "Solo").with(Shift::endless("ana", at(0)));
    schedule.overrides.push(over("bo", 3, 5));
    assert_eq!(shown(&unbroken(&schedule)), ["ana 0-3", "bo 3-5", "ana 5-…"]);
}

#[test]
fn adjoining_shifts_of_one_person_are_one_on_call() {
    let schedule = Schedule::layers("PSCH001", "Primary")
        .with(Shift::new("ana", at(0), at(8)))
        .with(Shift::new("ana", at(8), at(16)))
        .with(Shift::new("ana", at(17), at(18)));
    assert_eq!(shown(&unbroken(&schedule)), ["ana 0-16", "ana 17-18"]);
    assert_eq!(final_entries(&schedule).len(), 3);
}

#[test]
fn a_shift_based_schedule_has_several_people_at_once_and_gaps() {
    let schedule = Schedule::shifts("PSCH003", "Round the clock")
        .with(Shift::new("ana", at(0), at(8)))
        .with(Shift::new("bo", at(0), at(8)))
        .with(Shift::nobody(at(8), at(9)))
        .with(Shift::new("ana", at(6), at(12)));
    assert_eq!(shown(&unbroken(&schedule)), ["ana 0-12", "bo 0-8"]);
}

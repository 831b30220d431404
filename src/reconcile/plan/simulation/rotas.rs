//! The truth about who is on call: rotations with local hand-off times across the changes of the clocks, and
//! overrides, minute by minute.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

/// How long a simulation lasts, in days.
pub(super) const DAYS: i64 = 62;
/// Known before and after it, in days.
const BEFORE: i64 = 20;
const AFTER: i64 = 60;
const MINUTES_A_DAY: i64 = 24 * 60;

/// Minutes from the start of the simulation.
pub(super) type Minute = i64;

/// From this instant on (year, month, day, hour, minute in UTC), this many minutes east of UTC.
type Change = ((i32, u32, u32, u32, u32), i64);

/// A place's offset from UTC in minutes: at first, and from these instants on.
struct Zone {
    first: i64,
    changes: [Change; 3],
}

const NEVER: Change = ((2030, 1, 1, 0, 0), 0);
const NEW_YORK: Zone =
    Zone { first: -240, changes: [((2026, 11, 1, 6, 0), -300), ((2027, 3, 14, 7, 0), -240), NEVER] };
const BERLIN: Zone =
    Zone { first: 120, changes: [((2026, 10, 25, 1, 0), 60), ((2027, 3, 28, 1, 0), 120), NEVER] };
const LORD_HOWE: Zone =
    Zone { first: 630, changes: [((2026, 10, 3, 15, 30), 660), ((2027, 4, 3, 15, 0), 630), NEVER] };
const LONDON: Zone =
    Zone { first: 60, changes: [((2026, 10, 25, 1, 0), 0), ((2027, 3, 28, 1, 0), 60), NEVER] };
const AUCKLAND: Zone =
    Zone { first: 720, changes: [((2026, 9, 26, 14, 0), 780), ((2027, 4, 3, 14, 0), 720), NEVER] };
/// In each of them the clocks change in autumn and in spring; in two of them they go forward in the north's autumn.
const ZONES: [Zone; 5] = [NEW_YORK, BERLIN, LORD_HOWE, LONDON, AUCKLAND];

impl Zone {
    fn offset(&self, at: DateTime<Utc>) -> i64 {
        let since = |change: &&Change| {
            let (year, month, day, hour, minute) = change.0;
            Utc.with_ymd_and_hms(year, month, day, hour, minute, 0).unwrap() <= at
        };
        self.changes.iter().take_while(since).last().map_or(self.first, |(_, offset)| *offset)
    }

    /// When the clocks there show `local`: the first time if twice, and as if they had not changed yet if never.
    fn instant(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let before = self.offset(local.and_utc() - Duration::days(1));
        let after = self.offset(local.and_utc() + Duration::days(1));
        let at = |offset: i64| local.and_utc() - Duration::minutes(offset);
        if self.offset(at(before)) != before && self.offset(at(after)) == after {
            at(after)
        } else {
            at(before)
        }
    }
}

/// Somebody covers for somebody else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Override {
    pub(super) from: Minute,
    pub(super) until: Minute,
    pub(super) person: usize,
}

/// A stretch of time that one person is on call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) start: Minute,
    pub(super) end: Minute,
    pub(super) person: usize,
}

/// One schedule.
pub(super) struct Rota {
    base: Vec<usize>,
    pub(super) overrides: Vec<Override>,
    /// What it comes to, in order of time.
    pub(super) shifts: Vec<Shift>,
    /// Whether long shifts are listed in pieces, as after an upgrade of the schedule.
    pub(super) in_pieces: bool,
}

impl Rota {
    /// Three rotations: weekly; daily at an hour that the clocks of most zones skip or repeat once a year; twice a day. Each
    /// follows the clocks of another zone; `zones` says which.
    pub(super) fn all(start: DateTime<Utc>, zones: u64) -> [Self; 3] {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        let first = usize::try_from(zones).unwrap();
        let zone = |which: usize| &ZONES[(first + which) % ZONES.len()];
        [
            Self::new(start, zone(0), 7, &[at(9, 0)], &[0, 1, 2]),
            Self::new(start, zone(1), 1, &[at(2, 30)], &[1, 2, 3, 4]),
            Self::new(start, zone(2), 1, &[at(7, 0), at(19, 0)], &[3, 4, 0, 5]),
        ]
    }

    fn new(start: DateTime<Utc>, zone: &Zone, every: i64, clocks: &[NaiveTime], people: &[usize]) -> Self {
        let mut base = vec![people[0]; usize::try_from((BEFORE + DAYS + AFTER) * MINUTES_A_DAY).unwrap()];
        let monday = NaiveDate::from_ymd_opt(2026, 8, 3).unwrap();
        assert_eq!(monday.weekday().num_days_from_monday(), 0);
        let mut turn = 0;
        for day in (0..400).step_by(usize::try_from(every).unwrap()) {
            for at in clocks {
                let hand_off = zone.instant((monday + Duration::days(day)).and_time(*at));
                let from = index((hand_off - start).num_minutes()).min(base.len());
                base[from..].fill(people[turn % people.len()]);
                turn += 1;
            }
        }
        let mut rota = Self { base, overrides: Vec::new(), shifts: Vec::new(), in_pieces: false };
        rota.work_out();
        rota
    }

    /// Works the shifts out again after the overrides were changed.
    pub(super) fn work_out(&mut self) {
        let mut people = self.base.clone();
        for Override { from, until, person } in &self.overrides {
            people[index(*from)..index(*until)].fill(*person);
        }
        let mut shifts: Vec<Shift> = Vec::new();
        for (minute, person) in (-BEFORE * MINUTES_A_DAY..).zip(people) {
            match shifts.last_mut() {
                Some(last) if last.person == person => last.end = minute + 1,
                _ => shifts.push(Shift { start: minute, end: minute + 1, person }),
            }
        }
        self.shifts = shifts;
    }

    /// Takes an override back; what it did already stays.
    pub(super) fn remove_override(&mut self, which: usize, now: Minute) {
        let until = now.max(self.overrides[which].from);
        self.overrides[which].until = until.min(self.overrides[which].until);
        self.work_out();
    }
}

fn index(minute: Minute) -> usize {
    usize::try_from(minute + BEFORE * MINUTES_A_DAY).unwrap_or(0)
}

#[test]
fn hand_offs_follow_the_local_clocks() {
    let local = |text: &str| text.parse::<NaiveDateTime>().unwrap();
    let utc = |zone: &Zone, text| zone.instant(local(text)).to_rfc3339();
    assert_eq!(utc(&NEW_YORK, "2027-03-08T09:00:00"), "2027-03-08T14:00:00+00:00");
    assert_eq!(utc(&NEW_YORK, "2027-03-15T09:00:00"), "2027-03-15T13:00:00+00:00");
    assert_eq!(utc(&BERLIN, "2027-03-28T02:30:00"), "2027-03-28T01:30:00+00:00", "skipped");
    assert_eq!(utc(&BERLIN, "2026-10-25T02:30:00"), "2026-10-25T00:30:00+00:00", "twice");
    assert_eq!(utc(&LORD_HOWE, "2027-04-03T07:00:00"), "2027-04-02T20:00:00+00:00");
    assert_eq!(utc(&LORD_HOWE, "2027-04-05T07:00:00"), "2027-04-04T20:30:00+00:00");
    assert_eq!(utc(&AUCKLAND, "2026-09-27T02:30:00"), "2026-09-26T14:30:00+00:00", "skipped");
    assert_eq!(utc(&AUCKLAND, "2027-04-04T02:30:00"), "2027-04-03T13:30:00+00:00", "twice");
    assert_eq!(utc(&LONDON, "2027-03-28T02:30:00"), "2027-03-28T01:30:00+00:00");
    assert_eq!(TimeDelta::days(1).num_minutes(), MINUTES_A_DAY);
}

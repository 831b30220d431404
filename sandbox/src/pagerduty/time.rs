//! Times on the wire: reading what a client sends, and rendering in a zone with its offsets.

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc,
    Weekday,
};

/// A time zone of the few that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    standard_minutes: i32,
    summer: Summer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summer {
    Never,
    /// Second Sunday of March to first Sunday of November, at 2:00 local time.
    American,
    /// Last Sunday of March to last Sunday of October, at 1:00 UTC.
    European,
}

impl Zone {
    pub(crate) const UTC: Self = Self::fixed(0);

    /// A zone that keeps one offset all year.
    pub(crate) const fn fixed(minutes: i32) -> Self {
        Self { standard_minutes: minutes, summer: Summer::Never }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let (hours, summer) = match name {
            "UTC" | "Etc/UTC" => (0, Summer::Never),
            "Europe/Istanbul" => (3, Summer::Never),
            "Asia/Tokyo" => (9, Summer::Never),
            "Asia/Kolkata" => return Some(Self::fixed(330)),
            "Europe/London" => (0, Summer::European),
            "Europe/Berlin" | "Europe/Paris" => (1, Summer::European),
            "America/New_York" => (-5, Summer::American),
            "America/Los_Angeles" => (-8, Summer::American),
            _ => return None,
        };
        Some(Self { standard_minutes: hours * 60, summer })
    }

    fn offset_at(self, time: DateTime<Utc>) -> FixedOffset {
        let standard = TimeDelta::minutes(self.standard_minutes.into());
        let year = time.year();
        let summer = match self.summer {
            Summer::Never => None,
            Summer::American => Some((
                sunday(year, 3, 8, 2) - standard,
                sunday(year, 11, 1, 2) - standard - TimeDelta::hours(1),
            )),
            Summer::European => Some((sunday(year, 3, 25, 1), sunday(year, 10, 25, 1))),
        };
        let ahead = summer.is_some_and(|(from, to)| from <= time && time < to);
        let seconds = self.standard_minutes * 60 + if ahead { 3600 } else { 0 };
        FixedOffset::east_opt(seconds).expect("offsets are less than a day")
    }

    /// As the API writes times: whole seconds, `Z` for no offset.
    pub(crate) fn render(self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self.offset_at(time)).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// ISO 8601 with an offset, or local to this zone, or a date alone.
    pub(crate) fn parse(self, text: &str) -> Option<DateTime<Utc>> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(time.to_utc());
        }
        let local = text
            .parse::<NaiveDateTime>()
            .or_else(|_| text.parse::<NaiveDate>().map(|date| date.and_time(chrono::NaiveTime::MIN)))
            .ok()?;
        let guess = local.and_utc() - TimeDelta::minutes(self.standard_minutes.into());
        self.offset_at(guess).from_local_datetime(&local).single().map(|time| time.to_utc())
    }
}

/// The first Sunday on or after the day, at this hour.
fn sunday(year: i32, month: u32, day: u32, hour: u32) -> DateTime<Utc> {
    let mut date = NaiveDate::from_ymd_opt(year, month, day).expect("the days asked for exist");
    while date.weekday() != Weekday::Sun {
        date = date.succ_opt().expect("within the calendar");
    }
    date.and_hms_opt(hour, 0, 0).expect("a full hour").and_utc()
}

#[cfg(test)]
mod tests {
    use super::Zone;

    #[test]
    fn a_zone_changes_its_offset_when_summer_ends() {
        let zone = Zone::named("America/New_York").unwrap();
        let render = |text: &str| zone.render(text.parse().unwrap());
        assert_eq!(render("2026-10-30T13:00:00Z"), "2026-10-30T09:00:00-04:00");
        assert_eq!(render("2026-11-01T05:59:59Z"), "2026-11-01T01:59:59-04:00");
        assert_eq!(render("2026-11-01T06:00:00Z"), "2026-11-01T01:00:00-05:00");
        assert_eq!(render("2026-11-04T15:00:00Z"), "2026-11-04T10:00:00-05:00");
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.render("2026-10-25T00:59:59Z".parse().unwrap()), "2026-10-25T02:59:59+02:00");
        assert_eq!(Zone::UTC.render("2026-10-25T01:00:00Z".parse().unwrap()), "2026-10-25T01:00:00Z");
    }

    #[test]
    fn local_times_are_read_in_the_zone_and_a_lost_plus_is_refused() {
        let zone = Zone::named("America/New_York").unwrap();
        let parse = |text| zone.parse(text).map(|time| time.to_rfc3339());
        assert_eq!(parse("2026-11-04T10:00:00").unwrap(), "2026-11-04T15:00:00+00:00");
        assert_eq!(parse("2026-07-04").unwrap(), "2026-07-04T04:00:00+00:00");
        assert_eq!(parse("2026-11-04T10:00:00+03:00").unwrap(), "2026-11-04T07:00:00+00:00");
        assert_eq!(parse("2026-11-04T10:00:00 03:00"), None);
    }
}

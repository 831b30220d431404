//! Instants as people type and read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The text names no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time; write one such as 2026-11-22T14:00:00Z or 2026-11-22T15:00:00+01:00 (in a URL, + is %2B), or a \
     distance from now such as +2h or -30m"
)]
pub(crate) struct NoTime(String);

/// An instant in UTC to the second, such as `2026-11-22T14:00:00Z`.
pub(crate) fn to_second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A length of time as the configuration writes it, such as `7d` or `1d12h`; `0s` if it is none.
pub(crate) fn span(delta: TimeDelta) -> String {
    let parts = [
        (delta.num_days(), "d"),
        (delta.num_hours() % 24, "h"),
        (delta.num_minutes() % 60, "m"),
        (delta.num_seconds() % 60, "s"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let text: String = told.flat_map(|(count, unit)| [count.to_string(), (*unit).to_owned()]).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads an instant with its offset, or a signed distance from `now`.
pub(crate) fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, NoTime> {
    let wrong = || NoTime(text.to_owned());
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    let distance = |text: &str| -> Result<TimeDelta, NoTime> {
        let length = humantime::parse_duration(text).map_err(|_| wrong())?;
        TimeDelta::from_std(length).map_err(|_| wrong())
    };
    let shifted = if let Some(ahead) = text.strip_prefix('+') {
        now.checked_add_signed(distance(ahead)?)
    } else if let Some(ago) = text.strip_prefix('-') {
        now.checked_sub_signed(distance(ago)?)
    } else {
        DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
    };
    shifted.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_distances_are_read_and_nothing_else() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (text, expected) in [
            ("now", Some(0)),
            ("+2h", Some(7200)),
            ("-30m", Some(-1800)),
            ("2027-01-15T08:00:00Z", Some(0)),
            ("2027-01-15T09:00:01+01:00", Some(1)),
            ("2027-01-15", None),
            ("tomorrow", None),
            ("+", None),
            ("2h", None),
            ("+99999999999999999999y", None),
            ("", None),
        ] {
            let read = instant(text, now).ok().map(|at| (at - now).num_seconds());
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn lengths_are_written_as_in_the_configuration() {
        for (minutes, words) in [(7 * 24 * 60, "7d"), (36 * 60, "1d12h"), (90 * 24 * 60, "90d"), (61, "1h1m")]
        {
            assert_eq!(span(TimeDelta::minutes(minutes)), words);
        }
    }
}

//! Times on the wire.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use prost_types::Timestamp;

/// A time as a message carries it.
pub(super) fn write(time: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).expect("less than two seconds");
    Timestamp { seconds: time.timestamp(), nanos }
}

/// The time that a message carries; absent and epoch 0 both mean that none was given.
pub(super) fn read(stamp: Option<&Timestamp>) -> Result<Option<DateTime<Utc>>, &'static str> {
    let Some(Timestamp { seconds, nanos }) = stamp else { return Ok(None) };
    if (*seconds, *nanos) == (0, 0) {
        return Ok(None);
    }
    let nanos = u32::try_from(*nanos).map_err(|_| "invalid timestamp")?;
    DateTime::from_timestamp(*seconds, nanos).map(Some).ok_or("invalid timestamp")
}

/// The same time, cut to microseconds.
pub(super) fn cut_to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}

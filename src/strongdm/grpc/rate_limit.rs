//! What strongDM last said about its rate limit, and how long to wait for it. Pure but for the lock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::strongdm::{convert, operation::Kind, proto::RateLimitMetadata};

/// The state of one budget of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) limit: i64,
    pub(super) remaining: i64,
    /// When the budget is refilled; none if strongDM did not say.
    pub(super) reset_at: Option<DateTime<Utc>>,
}

impl From<&RateLimitMetadata> for RateLimit {
    fn from(message: &RateLimitMetadata) -> Self {
        let RateLimitMetadata { limit, remaining, reset_at, bucket: _ } = message;
        Self { limit: *limit, remaining: *remaining, reset_at: convert::instant(*reset_at) }
    }
}

/// Other programs may draw on the same budget, and four of our own writes may be in flight: leave this many.
const RESERVE: i64 = 5;

impl RateLimit {
    /// Whether hardly anything is left; never true of a small budget that nobody has drawn on.
    fn is_low(&self) -> bool {
        self.remaining <= (self.limit / 10).clamp(0, RESERVE)
    }

    /// When the budget is refilled, if that is still to come.
    fn next_reset(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.reset_at.filter(|reset_at| *reset_at > now)
    }
}

/// The last known state of both budgets: strongDM counts reads and writes separately.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    limits: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    reads: Option<RateLimit>,
    writes: Option<RateLimit>,
}

impl Budgets {
    fn of(&mut self, kind: Kind) -> &mut Option<RateLimit> {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::Create | Kind::Delete => &mut self.writes,
        }
    }
}

impl RateLimits {
    /// Records what an answer said. Answers may overtake each other, so until the reset the lowest counts.
    pub(super) fn record(&self, kind: Kind, new: RateLimit) {
        let mut limits = self.limits.lock();
        let known = limits.of(kind);
        let overtaken = known.is_some_and(|known| {
            known.reset_at > new.reset_at
                || (known.reset_at == new.reset_at && known.remaining < new.remaining)
        });
        if !overtaken || new.reset_at.is_none() {
            *known = Some(new);
        }
    }

    /// When the budget is refilled, if it is almost used up until then.
    pub(super) fn low_until(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.known(kind).filter(RateLimit::is_low)?.next_reset(now)
    }

    /// When the budget is refilled, as far as known.
    pub(super) fn next_reset(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.known(kind)?.next_reset(now)
    }

    fn known(&self, kind: Kind) -> Option<RateLimit> {
        *self.limits.lock().of(kind)
    }
}

/// How long it is until then, but no longer than `longest`: clocks differ, and a call must end.
pub(super) fn wait_until(until: Option<DateTime<Utc>>, now: DateTime<Utc>, longest: Duration) -> Duration {
    let wait = until.map(|until| (until - now).to_std().unwrap_or_default());
    wait.unwrap_or_default().min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn left(limit: i64, remaining: i64, reset: i64) -> RateLimit {
        RateLimit { limit, remaining, reset_at: Some(at(reset)) }
    }

    #[test]
    fn writes_hold_back_only_when_little_is_left_before_the_reset() {
        for (limit, now, until) in [
            (left(500, 6, 60), 0, None),
            (left(500, 5, 60), 0, Some(60)),
            (left(500, 0, 60), 59, Some(60)),
            (left(500, 0, 60), 60, None),
            (left(10, 2, 60), 0, None),
            (left(10, 1, 60), 0, Some(60)),
            (left(4, 1, 60), 0, None),
            (left(4, 0, 60), 0, Some(60)),
            (RateLimit { limit: 500, remaining: 0, reset_at: None }, 0, None),
        ] {
            let limits = RateLimits::default();
            limits.record(Kind::Create, limit);
            assert_eq!(limits.low_until(Kind::Delete, at(now)), until.map(at), "{limit:?} at {now}");
            assert_eq!(limits.low_until(Kind::Read, at(now)), None);
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let limits = RateLimits::default();
        limits.record(Kind::Create, left(500, 3, 60));
        limits.record(Kind::Create, left(500, 7, 60));
        assert_eq!(limits.low_until(Kind::Create, at(0)), Some(at(60)));
        limits.record(Kind::Create, left(500, 400, 120));
        assert_eq!(limits.low_until(Kind::Create, at(0)), None);
    }

    #[test]
    fn no_wait_is_longer_than_allowed() {
        let longest = Duration::from_secs(15);
        for (until, expected) in [(None, 0), (Some(at(-5)), 0), (Some(at(3)), 3), (Some(at(3600)), 15)] {
            assert_eq!(wait_until(until, at(0), longest), Duration::from_secs(expected));
        }
    }
}

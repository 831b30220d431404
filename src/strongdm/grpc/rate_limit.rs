//! What strongDM last said about its rate limit, and how long to wait for it. Pure but for the lock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::strongdm::{convert, operation::Kind, proto::RateLimitMetadata};

/// The state of one budget of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::strongdm) struct RateLimit {
    pub(in crate::strongdm) limit: i64,
    pub(in crate::strongdm) remaining: i64,
    pub(in crate::strongdm) reset_at: Option<DateTime<Utc>>,
}

impl From<&RateLimitMetadata> for RateLimit {
    fn from(wire: &RateLimitMetadata) -> Self {
        let RateLimitMetadata { limit, remaining, reset_at, bucket: _ } = wire;
        Self { limit: *limit, remaining: *remaining, reset_at: convert::instant(*reset_at) }
    }
}

/// Calls of other programs may share the budget, and four of our own writes may be on their way: leave this many.
const RESERVE: i64 = 5;

impl RateLimit {
    /// Whether hardly anything is left; never true of a small budget that is still whole.
    fn is_low(&self) -> bool {
        self.remaining <= (self.limit / 10).clamp(0, RESERVE)
    }

    /// Until when it is as it is.
    fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.reset_at.filter(|reset_at| *reset_at > now)
    }
}

/// The latest word on each budget: strongDM counts reads and writes apart.
#[derive(Debug, Default)]
pub(in crate::strongdm) struct Pace {
    limits: Mutex<Limits>,
}

#[derive(Debug, Default)]
struct Limits {
    reads: Option<RateLimit>,
    writes: Option<RateLimit>,
}

impl Limits {
    fn of(&mut self, kind: Kind) -> &mut Option<RateLimit> {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::Create | Kind::Delete => &mut self.writes,
        }
    }
}

impl Pace {
    /// Remembers what an answer said. Answers may overtake each other, so within one stretch the lowest counts.
    pub(in crate::strongdm) fn note(&self, kind: Kind, new: RateLimit) {
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

    /// Until when to hold back because the budget is almost used up.
    pub(in crate::strongdm) fn low_until(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.known(kind).filter(RateLimit::is_low)?.until(now)
    }

    /// When the budget is filled again, as far as known.
    pub(in crate::strongdm) fn reset_at(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.known(kind)?.until(now)
    }

    fn known(&self, kind: Kind) -> Option<RateLimit> {
        *self.limits.lock().of(kind)
    }
}

/// How long it is until then, but no longer than `longest`: clocks differ, and a call must end.
pub(in crate::strongdm) fn wait(
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    longest: Duration,
) -> Duration {
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
            let pace = Pace::default();
            pace.note(Kind::Create, limit);
            assert_eq!(pace.low_until(Kind::Delete, at(now)), until.map(at), "{limit:?} at {now}");
            assert_eq!(pace.low_until(Kind::Read, at(now)), None);
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let pace = Pace::default();
        pace.note(Kind::Create, left(500, 3, 60));
        pace.note(Kind::Create, left(500, 7, 60));
        assert_eq!(pace.low_until(Kind::Create, at(0)), Some(at(60)));
        pace.note(Kind::Create, left(500, 400, 120));
        assert_eq!(pace.low_until(Kind::Create, at(0)), None);
    }

    #[test]
    fn no_wait_is_longer_than_allowed() {
        let longest = Duration::from_secs(15);
        for (until, expected) in [(None, 0), (Some(at(-5)), 0), (Some(at(3)), 3), (Some(at(3600)), 15)] {
            assert_eq!(wait(until, at(0), longest), Duration::from_secs(expected));
        }
    }
}

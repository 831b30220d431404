//! What strongDM last said about its rate limit, and how long to wait for it. Pure but for the lock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::strongdm::{convert, operation::Kind, proto::RateLimitMetadata};

/// The state of one budget of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Which budget it is: a key may draw on its own and on its organisation's.
    pub(crate) bucket: String,
    /// How many requests it allows.
    pub(crate) limit: i64,
    /// How many are left.
    pub(crate) remaining: i64,
    /// When the budget is refilled; none if strongDM did not say.
    pub(crate) reset_at: Option<DateTime<Utc>>,
}

impl From<&RateLimitMetadata> for RateLimit {
    fn from(message: &RateLimitMetadata) -> Self {
        let RateLimitMetadata { limit, remaining, reset_at, bucket } = message.clone();
        Self { bucket, limit, remaining, reset_at: convert::instant(reset_at) }
    }
}

/// More budgets than a key can draw on; whatever else is named is not remembered.
const BUCKETS: usize = 16;
/// Answers overtake each other by seconds. A reset that moves back by more was a mistake.
const OVERTAKEN_BY: TimeDelta = TimeDelta::minutes(2);

/// Other programs may draw on the same budget, and four of our own writes may be in flight: leave this many.
const RESERVE: i64 = 5;

impl RateLimit {
    /// Whether hardly anything is left; never true of a small budget that nobody has drawn on.
    fn is_low(&self) -> bool {
        self.remaining <= (self.limit / 10).clamp(0, RESERVE)
    }

    /// Whether `new` was said before this, about the same budget.
    fn overtook(&self, new: &Self) -> bool {
        match (self.reset_at, new.reset_at) {
            (Some(known), Some(new_reset)) if known == new_reset => self.remaining < new.remaining,
            (Some(known), Some(new_reset)) => known > new_reset && known - new_reset <= OVERTAKEN_BY,
            _ => false,
        }
    }

    /// When the budget is refilled, if that is still to come.
    pub(super) fn next_reset(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.reset_at.filter(|reset_at| *reset_at > now)
    }
}

/// The last known state of all budgets: strongDM counts reads and writes separately.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    limits: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    reads: Vec<RateLimit>,
    writes: Vec<RateLimit>,
}

impl Budgets {
    fn of(&mut self, kind: Kind) -> &mut Vec<RateLimit> {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::Create | Kind::Delete => &mut self.writes,
        }
    }
}

impl RateLimits {
    /// Records what an answer said. Answers may overtake each other, so until the reset the lowest counts.
    pub(super) fn record(&self, kind: Kind, new: RateLimit, now: DateTime<Utc>) {
        let mut limits = self.limits.lock();
        let known = limits.of(kind);
        // What was refilled since says nothing any more.
        known.retain(|known| known.next_reset(now).is_some());
        let same = known.iter().position(|known| known.bucket == new.bucket);
        match same {
            Some(at) if known[at].overtook(&new) => {}
            Some(at) => known[at] = new,
            None if known.len() < BUCKETS => known.push(new),
            None => {}
        }
    }

    /// When a budget is refilled that is almost used up until then; the last of several.
    pub(super) fn low_until(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut limits = self.limits.lock();
        limits.of(kind).iter().filter(|known| known.is_low()).filter_map(|known| known.next_reset(now)).max()
    }

    /// When a request may be taken again that was refused without a word about the time: once the low budgets are refilled,
    /// or the first of all.
    pub(super) fn next_reset(&self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = || self.limits.lock().of(kind).iter().filter_map(|known| known.next_reset(now)).min();
        self.low_until(kind, now).or_else(first)
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
        of("key", limit, remaining, reset)
    }

    fn of(bucket: &str, limit: i64, remaining: i64, reset: i64) -> RateLimit {
        RateLimit { bucket: bucket.to_owned(), limit, remaining, reset_at: Some(at(reset)) }
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
            (RateLimit { reset_at: None, ..left(500, 0, 60) }, 0, None),
        ] {
            let limits = RateLimits::default();
            limits.record(Kind::Create, limit.clone(), at(now));
            assert_eq!(limits.low_until(Kind::Delete, at(now)), until.map(at), "{limit:?} at {now}");
            assert_eq!(limits.low_until(Kind::Read, at(now)), None);
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let limits = RateLimits::default();
        limits.record(Kind::Create, left(500, 3, 60), at(0));
        limits.record(Kind::Create, left(500, 7, 60), at(0));
        assert_eq!(limits.low_until(Kind::Create, at(0)), Some(at(60)));
        limits.record(Kind::Create, left(500, 400, 120), at(0));
        assert_eq!(limits.low_until(Kind::Create, at(0)), None);
        limits.record(Kind::Create, left(500, 2, 60), at(0));
        assert_eq!(limits.low_until(Kind::Create, at(0)), None, "it is from before the reset");
    }

    #[test]
    fn each_budget_counts_by_itself_whichever_is_refilled_last() {
        let limits = RateLimits::default();
        limits.record(Kind::Create, of("organisation", 50_000, 40_000, 3600), at(0));
        limits.record(Kind::Create, of("key", 500, 0, 60), at(1));
        assert_eq!(limits.low_until(Kind::Create, at(2)), Some(at(60)));
        assert_eq!(limits.next_reset(Kind::Create, at(2)), Some(at(60)));
        // The other way round, what is low stays low, however much another budget has.
        limits.record(Kind::Create, of("organisation", 50_000, 1, 3600), at(3));
        limits.record(Kind::Create, of("key", 500, 499, 120), at(61));
        assert_eq!(limits.low_until(Kind::Create, at(62)), Some(at(3600)));
    }

    #[test]
    fn a_reset_that_was_a_mistake_does_not_stick() {
        let limits = RateLimits::default();
        limits.record(Kind::Create, left(500, 0, 1_000_000_000), at(0));
        limits.record(Kind::Create, left(500, 400, 60), at(1));
        assert_eq!(limits.low_until(Kind::Create, at(1)), None);
    }

    #[test]
    fn no_wait_is_longer_than_allowed() {
        let longest = Duration::from_secs(15);
        for (until, expected) in [(None, 0), (Some(at(-5)), 0), (Some(at(3)), 3), (Some(at(3600)), 15)] {
            assert_eq!(wait_until(until, at(0), longest), Duration::from_secs(expected));
        }
    }
}

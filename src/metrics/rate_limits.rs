//! How much of the upstreams' limits is used, as far as their answers tell. Nothing is assumed: what no answer of the last
//! minutes told is unknown.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::model::Upstream;

/// For how long an answer counts. Longer than the minute for which limits are set, so that whoever looks now and then misses
/// no busy one.
const COUNTS_FOR: TimeDelta = TimeDelta::minutes(5);
/// More buckets than a key can draw on; whatever else is named is not remembered.
const BUCKETS: usize = 32;

/// Which limit an answer told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Budget {
    /// Whose it is.
    pub(crate) upstream: Upstream,
    /// What it is a limit of, one of a few words: PagerDuty's list of on-calls has a limit of its own, and strongDM
    /// counts reads and writes apart.
    pub(crate) kind: &'static str,
    /// Which of several, where the upstream names them: of the key, or of the organisation. It is shown nowhere.
    pub(crate) bucket: String,
}

/// What an answer told of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How many requests it allows; none if that was not told.
    pub(crate) limit: Option<u64>,
    /// How many are left.
    pub(crate) remaining: u64,
}

/// A limit as it was told lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LimitView {
    /// Whose it is.
    pub(crate) upstream: Upstream,
    /// What it is a limit of.
    pub(crate) kind: &'static str,
    /// What the last answer told.
    pub(crate) last: Told,
    /// The largest part of it that was used in any answer of the last five minutes, from 0 to 1; none if no answer told how
    /// much is allowed.
    pub(crate) used: Option<f64>,
}

/// All limits that were told of.
#[derive(Debug, Default)]
pub(super) struct RateLimits(Mutex<BTreeMap<Budget, Lately>>);

/// What answers of the last minutes told, the newest last: what was used of each minute, at most.
type Lately = VecDeque<(DateTime<Utc>, Told)>;

impl Told {
    /// The part that is used; whatever has nothing left is used up, however much it was.
    fn used(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
        let share = |limit: u64| 1.0 - (self.remaining.min(limit) as f64 / limit as f64);
        match self {
            Self { remaining: 0, .. } => Some(1.0),
            Self { limit, .. } => limit.filter(|limit| *limit > 0).map(share),
        }
    }
}

impl RateLimits {
    pub(super) fn record(&self, budget: Budget, told: Told, now: DateTime<Utc>) {
        let mut limits = self.0.lock();
        forget(&mut limits, now);
        if limits.len() >= BUCKETS && !limits.contains_key(&budget) {
            return;
        }
        let lately = limits.entry(budget).or_default();
        // Older ones that used no more say nothing any more; so no more are kept than there are different shares.
        while lately.back().is_some_and(|(_, before)| before.used() <= told.used()) {
            lately.pop_back();
        }
        lately.push_back((now, told));
    }

    /// What is known now: of several buckets of one kind, the one that is used most.
    pub(super) fn view(&self, now: DateTime<Utc>) -> Vec<LimitView> {
        let mut limits = self.0.lock();
        forget(&mut limits, now);
        let mut views: BTreeMap<(Upstream, &'static str), LimitView> = BTreeMap::new();
        for (Budget { upstream, kind, bucket: _ }, lately) in &*limits {
            // The first used most.
            let (Some((_, most)), Some((_, last))) = (lately.front(), lately.back()) else { continue };
            let view = LimitView { upstream: *upstream, kind, last: *last, used: most.used() };
            let known = views.entry((*upstream, kind)).or_insert(view);
            if known.used < view.used {
                *known = view;
            }
        }
        views.into_values().collect()
    }
}

fn forget(limits: &mut BTreeMap<Budget, Lately>, now: DateTime<Utc>) {
    limits.retain(|_, lately| {
        while lately.front().is_some_and(|(at, _)| now - *at > COUNTS_FOR) {
            lately.pop_front();
        }
        !lately.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn budget(kind: &'static str, bucket: &str) -> Budget {
        Budget { upstream: Upstream::StrongDm, kind, bucket: bucket.to_owned() }
    }

    fn told(limit: u64, remaining: u64) -> Told {
        Told { limit: Some(limit), remaining }
    }

    /// Kind, what is left, and per cent that are used at most.
    fn view(limits: &RateLimits, second: i64) -> Vec<(&'static str, u64, Option<f64>)> {
        let percent = |share: f64| (share * 100.0).round();
        let views = limits.view(at(second)).into_iter();
        views.map(|view| (view.kind, view.last.remaining, view.used.map(percent))).collect()
    }

    #[test]
    fn the_busiest_answer_counts_for_five_minutes_and_then_nothing_is_known() {
        let limits = RateLimits::default();
        limits.record(budget("writes", ""), told(500, 450), at(0));
        limits.record(budget("writes", ""), told(500, 50), at(30));
        limits.record(budget("writes", ""), told(500, 499), at(60));
        limits.record(budget("reads", ""), told(5000, 4000), at(60));
        assert_eq!(view(&limits, 61), [("reads", 4000, Some(20.0)), ("writes", 499, Some(90.0))]);
        assert_eq!(view(&limits, 331), [("reads", 4000, Some(20.0)), ("writes", 499, Some(0.0))]);
        assert_eq!(view(&limits, 361), []);
    }

    #[test]
    fn the_bucket_that_is_used_most_is_shown() {
        let limits = RateLimits::default();
        limits.record(budget("writes", "key"), told(500, 400), at(0));
        limits.record(budget("writes", "organisation"), told(5000, 500), at(0));
        assert_eq!(view(&limits, 1), [("writes", 500, Some(90.0))]);
    }

    #[test]
    fn what_is_not_told_is_unknown_but_what_has_nothing_left_is_used_up() {
        let limits = RateLimits::default();
        limits.record(budget("reads", ""), Told { limit: None, remaining: 7 }, at(0));
        assert_eq!(view(&limits, 0), [("reads", 7, None)]);
        limits.record(budget("reads", ""), Told { limit: None, remaining: 0 }, at(1));
        assert_eq!(view(&limits, 1), [("reads", 0, Some(100.0))]);
        limits.record(budget("writes", ""), told(0, 3), at(1));
        assert_eq!(view(&limits, 1)[1], ("writes", 3, None));
    }

    #[test]
    fn no_more_is_kept_than_a_key_can_draw_on() {
        let limits = RateLimits::default();
        for second in 0..1000 {
            limits.record(budget("reads", &second.to_string()), told(10, 5), at(0));
            limits.record(budget("writes", ""), told(1000, 1000 - (second % 7)), at(0));
        }
        let kept = limits.0.lock();
        assert!(kept.len() <= BUCKETS);
        assert!(kept.values().all(|lately| lately.len() <= 7));
    }
}

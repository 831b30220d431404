//! Questions that found no answer: whoever needs something else does not wait for them again, and each is asked again by
//! a clock of its own.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    model::{Fault, Source},
    reconcile::scope::Scope,
};

/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// For so long, a look that is about something else does not ask.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// A failure of so long ago says nothing.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// What is known of the failures of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing speaks against asking.
    Fine,
    /// It failed, and it is time to try it again; nobody should wait for it long.
    Suspect(Fault),
    /// It failed just now, or somebody is at it.
    Resting(Fault),
}

/// Why something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Something happened to it.
    Named,
    /// Everything is asked.
    Everything,
    /// It could justify what is decided about something else.
    Beside,
}

impl Reason {
    /// Why a look of this scope asks about a source.
    pub(super) fn of(scope: &Scope, source: &Source) -> Self {
        match scope {
            Scope::All => Self::Everything,
            Scope::Sources(named) if named.contains(source) => Self::Named,
            Scope::Sources(_) => Self::Beside,
        }
    }
}

/// The failed questions of one kind.
#[derive(Debug)]
pub(super) struct Failures<K>(Mutex<BTreeMap<K, Failure>>);

#[derive(Debug)]
struct Failure {
    fault: Fault,
    times: u32,
    last: Instant,
    /// Until when somebody tries it again.
    tried_until: Option<Instant>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Failures<K> {
    /// What is known at `now`.
    pub(super) fn standing(&self, key: &K, reason: Reason, now: Instant) -> Standing {
        let failures = self.0.lock();
        let Some(Failure { fault, times, last, tried_until }) = failures.get(key) else {
            return Standing::Fine;
        };
        let pause = FIRST_PAUSE.saturating_mul(1 << (times - 1).min(6)).min(LONGEST_PAUSE);
        let rests_until = match reason {
            Reason::Named => *last,
            Reason::Everything => *last + pause,
            Reason::Beside => *last + pause.max(LEFT_ALONE),
        };
        if now >= *last + FORGOTTEN {
            Standing::Fine
        } else if now < rests_until || tried_until.is_some_and(|until| now < until) {
            Standing::Resting(fault.clone())
        } else {
            Standing::Suspect(fault.clone())
        }
    }

    /// Says that somebody tries it again until then.
    pub(super) fn try_again(&self, key: &K, until: Instant) {
        if let Some(failure) = self.0.lock().get_mut(key) {
            failure.tried_until = Some(until);
        }
    }

    /// Remembers that it failed at `now`.
    pub(super) fn failed(&self, key: &K, fault: Fault, now: Instant) {
        let mut failures = self.0.lock();
        failures.retain(|_, failure| now < failure.last + FORGOTTEN);
        let times = failures.get(key).map_or(1, |before| before.times.saturating_add(1));
        failures.insert(key.clone(), Failure { fault, times, last: now, tried_until: None });
    }

    pub(super) fn answered(&self, key: &K) {
        self.0.lock().remove(key);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_rests_longer_and_longer_and_half_a_minute_for_those_who_want_something_else() {
        let failures = Failures::default();
        let mut now = Instant::now();
        let rests = |reason, at| matches!(failures.standing(&"PS", reason, at), Standing::Resting(_));
        assert_eq!(failures.standing(&"PS", Reason::Beside, now), Standing::Fine);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            failures.failed(&"PS", "500".into(), now);
            assert!(!rests(Reason::Named, now));
            now += Duration::from_millis(pause * 1000 - 1);
            assert!(rests(Reason::Everything, now) && rests(Reason::Beside, now), "{pause}");
            now += Duration::from_millis(1);
            assert!(!rests(Reason::Everything, now));
            assert_eq!(rests(Reason::Beside, now), pause < 30, "{pause}");
        }
        failures.try_again(&"PS", now + Duration::from_secs(10));
        assert!(rests(Reason::Named, now), "somebody is at it");
        assert!(!rests(Reason::Named, now + Duration::from_secs(10)));
        failures.answered(&"PS");
        assert_eq!(failures.standing(&"PS", Reason::Beside, now), Standing::Fine);
    }
}

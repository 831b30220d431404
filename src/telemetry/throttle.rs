//! Log lines that strangers can cause are written now and then only.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Limits how often one log line is written, and counts what it would have told in between.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    every: Duration,
    state: Mutex<Throttled>,
}

#[derive(Debug)]
struct Throttled {
    logged_at: Option<Instant>,
    /// Occurrences since the last line.
    count: u64,
}

impl LogThrottle {
    /// Allows a line at most once in `every`; the first at once.
    pub(crate) const fn every(every: Duration) -> Self {
        Self { every, state: Mutex::new(Throttled { logged_at: None, count: 0 }) }
    }

    /// Counts an occurrence. If a line may be written now, returns how many occurrences it stands for.
    pub(crate) fn count(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.count += 1;
        if state.logged_at.is_some_and(|at| at.elapsed() < self.every) {
            return None;
        }
        state.logged_at = Some(Instant::now());
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_all_occurrences_since_the_one_before() {
        let throttle = LogThrottle::every(Duration::from_millis(1));
        assert_eq!(throttle.count(), Some(1), "the first is told at once");
        let (mut counted, mut told) = (1, 1);
        while told < 1000 {
            counted += 1;
            if let Some(count) = throttle.count() {
                told += count;
                assert_eq!(told, counted);
            }
        }
        let seldom = LogThrottle::every(Duration::from_hours(1));
        assert_eq!((seldom.count(), seldom.count()), (Some(1), None));
    }
}

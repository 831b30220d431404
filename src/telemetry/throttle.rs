//! What strangers can cause is logged now and then only.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Counts what is logged only now and then: when it last was, and how many there were since.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// Counts one; how many there were since the last line, if it is time for another.
    pub fn note(&self, every: Duration) -> Option<u64> {
        let mut state = self.0.lock();
        let (logged, count) = &mut *state;
        *count += 1;
        if logged.is_some_and(|logged| logged.elapsed() < every) {
            return None;
        }
        let count = *count;
        *state = (Some(Instant::now()), 0);
        Some(count)
    }
}

//! Waiting for a state with a bound, and promises about time on a machine that may be busy with other things.

use std::time::{Duration, Instant};

/// Longer than anything that is waited for without a bound of its own takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often a state is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(10);
/// How often a promise about time is tried.
const ATTEMPTS: u32 = 8;

/// Waits until `look` finds something.
///
/// # Panics
/// If it takes too long; `what` says what was waited for.
pub(crate) async fn wait_until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(PATIENCE, what, look).await
}

/// The same with a bound of its own.
pub(crate) async fn wait_for<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < patience, "waited in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Makes attempts until one takes less time than `bound`. A machine that is busy with other things slows some of them
/// down, a service that breaks the promise slows all of them.
///
/// # Panics
/// If none was fast enough; `what` says what was tried.
pub(crate) async fn in_time(bound: Duration, what: &str, mut attempt: impl AsyncFnMut()) {
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        let began = Instant::now();
        attempt().await;
        took.push(began.elapsed());
        if began.elapsed() < bound {
            return;
        }
    }
    panic!("{what} takes {took:?}, never less than {bound:?}");
}

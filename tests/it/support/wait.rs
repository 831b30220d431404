//! Waiting for a state with a bound, and promises about time on a machine that may be busy with other things.

use std::time::{Duration, Instant};

/// Longer than anything that is waited for takes, on a slow and busy machine as well: a lease whose holder died lasts
/// 30 s, and the pause after failures grows to a minute.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// The first pause between two looks at a state that is waited for. Looks cost the time of processors that others need:
/// whatever takes longer is looked at less often.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How often a promise about time is tried.
const ATTEMPTS: u32 = 8;

/// Waits until `holds` is true.
///
/// # Panics
/// If it takes longer than [`PATIENCE`]; `what` says what was waited for.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    wait_for(what, async || holds().await.then_some(())).await;
}

/// Waits until `look` finds something, and answers that.
///
/// # Panics
/// If it takes longer than [`PATIENCE`]; `what` says what was waited for.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        let waited = began.elapsed();
        assert!(waited < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep((waited / 10).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Makes attempts until one takes less time than `bound`. A machine that is busy with other things slows some of them
/// down, a service that breaks the promise slows all of them.
///
/// # Panics
/// If none was fast enough; `what` says what was tried.
pub(crate) async fn some_attempt_within(bound: Duration, what: &str, mut attempt: impl AsyncFnMut()) {
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        let began = Instant::now();
        attempt().await;
        let elapsed = began.elapsed();
        if elapsed < bound {
            return;
        }
        took.push(elapsed);
    }
    panic!("{what} takes {took:?}, never less than {bound:?}");
}

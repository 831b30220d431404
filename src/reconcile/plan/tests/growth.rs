//! A decision about ten times as much takes about ten times as long, and not a hundred times.

use std::{fs, time::Duration};

use super::large::{Decision, Large};

/// How long this thread has used a processor, so that a machine that is busy with other things makes no difference.
fn used() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// What a decision takes, at best of a few times.
fn cost(decision: &Decision) -> Duration {
    let once = || {
        let before = used();
        let (elapsed, _) = decision.cost(1);
        before.zip(used()).map_or(elapsed, |(before, after)| after.saturating_sub(before))
    };
    (0..4).map(|_| once()).min().expect("four times")
}

#[test]
fn no_step_grows_with_the_square_of_what_there_is() {
    const FEW: usize = 500;
    /// So many times as much.
    const MORE: usize = 16;
    for what in Large::ALL {
        let few = cost(&what.decision(FEW)).max(Duration::from_millis(4));
        let many = cost(&what.decision(FEW * MORE));
        // Sixteen times as much, with its logarithm, takes some twenty times as long; with its square, 256 times.
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        assert!(ratio < 80.0, "{what:?}: {FEW} windows take {few:?}, {MORE} times as many {many:?}");
    }
}

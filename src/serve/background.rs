//! Tasks that run beside the web side and the reconciler. The service can go on without them for a while, but not silently
//! and not for ever: one that dies is told, counted, shown in `/readyz`, and begun again.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::metrics::{ByTask, Metrics};

/// The pause before a task that died begins again, at first and at most; it doubles each time that the task dies soon after
/// its beginning, which must not fill the log.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// The tasks that run, each until `shutdown`.
pub(super) struct Background {
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    /// [`PAUSES`]; tests shorten them.
    pauses: (Duration, Duration),
    tasks: JoinSet<()>,
}

impl Background {
    pub(super) fn new(metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        Self { metrics, shutdown, pauses: PAUSES, tasks: JoinSet::new() }
    }

    /// Runs `task`, which ends once its token is cancelled. If it ends before, or panics, it begins again after a pause, and
    /// an error says what is missing `until_then`.
    pub(super) fn spawn<F>(
        &mut self,
        name: &'static str,
        until_then: &'static str,
        task: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (shutdown, metrics) = (self.shutdown.clone(), Arc::clone(&self.metrics));
        let (first, longest) = self.pauses;
        self.tasks.spawn(async move {
            let mut pause = first;
            loop {
                let began = Instant::now();
                let panicked = AssertUnwindSafe(task(shutdown.clone())).catch_unwind().await.is_err();
                if shutdown.is_cancelled() && !panicked {
                    return;
                }
                if began.elapsed() > longest {
                    pause = first;
                }
                let how = if panicked { "panicked" } else { "ended by itself" };
                tracing::error!("{name} {how}; it begins again in {pause:?}, until then {until_then}");
                metrics.task_failures.get_or_create(&ByTask { task: name }).inc();
                metrics.tasks.record(Err(format!("{name} {how}")));
                tokio::select! {
                    () = sleep(pause) => {}
                    () = shutdown.cancelled() => return,
                }
                pause = (pause * 2).min(longest);
            }
        });
    }

    /// Waits at most `limit` for all tasks to end, after `shutdown`; what still runs then is dropped.
    pub(super) async fn finish(mut self, limit: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(limit, all).await.is_err() {
            tracing::debug!("a background task did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use parking_lot::Mutex;

    use super::*;
    use crate::metrics::Exposition;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_task_that_dies_is_told_counted_shown_and_begun_again() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let (metrics, shutdown) = (Arc::new(Metrics::new()), CancellationToken::new());
        let mut background = Background::new(Arc::clone(&metrics), shutdown.clone());
        background.pauses = (Duration::from_millis(2), Duration::from_millis(20));
        let mopped = Arc::new(AtomicUsize::new(0));
        background.spawn("sweeping", "dust gathers", async |_| {});
        let times = Arc::clone(&mopped);
        background.spawn("mopping", "stains stay", move |shutdown: CancellationToken| {
            let time = times.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(time > 0, "no water");
                shutdown.cancelled().await;
            }
        });
        background
            .spawn("waiting", "nobody waits", async |shutdown: CancellationToken| shutdown.cancelled().await);
        let swept = metrics.task_failures.get_or_create(&ByTask { task: "sweeping" }).clone();
        while swept.get() < 6 || mopped.load(Ordering::Relaxed) < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        shutdown.cancel();
        background.finish(Duration::from_secs(10)).await;

        let log = String::from_utf8(log.0.lock().clone()).unwrap();
        let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        for pause in ["2ms", "4ms", "8ms", "16ms", "20ms"] {
            let line =
                format!("sweeping ended by itself; it begins again in {pause}, until then dust gathers");
            assert!(told(&line) > 0, "{line}: {log}");
        }
        assert_eq!(told("mopping panicked; it begins again in 2ms, until then stains stay"), 1, "{log}");
        assert_eq!((mopped.load(Ordering::Relaxed), told("waiting")), (2, 0), "{log}");
        assert!(
            metrics
                .text(Exposition::OpenMetrics)
                .contains(r#"oncall_grants_task_failures_total{task="mopping"} 1"#)
        );
        assert!(metrics.tasks.view().last_error.is_some());
    }
}

//! Tasks that run beside the web side and the reconciler. The service can go on without them, but not silently.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// The tasks that run, each until `shutdown`.
pub(super) struct Background {
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Background {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, tasks: JoinSet::new() }
    }

    /// Runs `task`, which ends once its token is cancelled. If it ends before, or panics, an error says what is missing
    /// `until_restart`.
    pub(super) fn spawn<F>(
        &mut self,
        name: &'static str,
        until_restart: &'static str,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let task = AssertUnwindSafe(task(shutdown.clone())).catch_unwind();
        self.tasks.spawn(async move {
            let panicked = task.await.is_err();
            if panicked || !shutdown.is_cancelled() {
                let how = if panicked { "panicked" } else { "ended by itself" };
                tracing::error!("{name} {how}; until a restart {until_restart}");
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
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    use super::*;

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
    async fn a_task_that_ends_before_it_is_told_to_is_an_error() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let shutdown = CancellationToken::new();
        let mut background = Background::new(shutdown.clone());
        background.spawn("sweeping", "dust gathers", async |_| {});
        background.spawn("mopping", "stains stay", async |_| panic!("no water"));
        background
            .spawn("waiting", "nobody waits", async |shutdown: CancellationToken| shutdown.cancelled().await);
        while background.tasks.len() > 1 {
            background.tasks.join_next().await;
        }
        shutdown.cancel();
        background.finish(Duration::from_secs(10)).await;
        let log = String::from_utf8(log.0.lock().clone()).unwrap();
        assert!(
            log.contains("ERROR") && log.contains("sweeping ended by itself; until a restart dust gathers")
        );
        assert!(log.contains("mopping panicked; until a restart stains stay"), "{log}");
        assert!(!log.contains("waiting"), "{log}");
    }
}

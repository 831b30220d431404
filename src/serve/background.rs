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

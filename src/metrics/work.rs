//! On whose behalf requests are sent: which pass made a request is known where it is counted, however many passes are
//! under way.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{Calls, Upstream};

tokio::task_local! {
    static WORK: Work;
}

/// What requests are sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A pass.
    Pass,
    /// strongDM's list of all grants, which is read beside the passes.
    Comparison,
    /// Whom incidents may pull in, looked up beforehand.
    Standby,
    /// Somebody only wants to know: a dry run, an explanation.
    Question,
    /// Watching our webhook subscription.
    Subscription,
    /// Everything else: a command, what a probe left, a token of an OAuth app, which serves everybody.
    Other,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Comparison => "comparison",
            Self::Standby => "standby",
            Self::Question => "question",
            Self::Subscription => "subscription",
            Self::Other => "other",
        }
    }
}

/// A piece of work and the requests that were sent for it. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    purpose: Purpose,
    calls: Arc<Mutex<Calls>>,
}

impl Work {
    /// Work that has not sent anything yet.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, calls: Arc::default() }
    }

    /// What the present task works on.
    pub(crate) fn current() -> Self {
        WORK.try_with(Clone::clone).unwrap_or_else(|_| Self::new(Purpose::Other))
    }

    /// Runs `future` as part of this work. What it spawns is only part of it if it is run so as well.
    pub(crate) fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        WORK.scope(self, future)
    }

    /// The requests that were sent for it so far.
    pub(crate) fn calls(&self) -> Calls {
        self.calls.lock().clone()
    }

    /// Counts a request that the present task sent, and says what for.
    pub(super) fn count(upstream: Upstream, operation: &str) -> &'static str {
        let count = |work: &Self| {
            work.calls.lock().add(upstream, operation);
            work.purpose
        };
        WORK.try_with(count).unwrap_or(Purpose::Other).as_str()
    }
}

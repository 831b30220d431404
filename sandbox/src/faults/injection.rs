//! What faults do to one call.

use std::time::Duration;

use super::fault::Action;
use super::gate::Gate;

/// What faults do to one call, before and after its work.
#[derive(Debug, Default)]
pub(crate) struct Injection {
    pub(crate) before: Stage,
    pub(crate) after: Stage,
}

/// The waits of one stage, and how the call ends there, if it does.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(super) waits: Vec<Wait>,
    pub(super) end: Option<Action>,
}

#[derive(Debug)]
pub(super) enum Wait {
    For(Duration),
    At(Gate),
}

impl Stage {
    /// Waits; returns how the call ends, or nothing if it goes on.
    pub(crate) async fn run(self) -> Option<Action> {
        for wait in self.waits {
            match wait {
                Wait::For(duration) => tokio::time::sleep(duration).await,
                Wait::At(gate) => gate.pass().await,
            }
        }
        self.end
    }
}

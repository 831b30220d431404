//! What a pass is asked to do.

use crate::reconcile::{compare::ReadFor, plan::Released, report::Trigger, scope::PassRequest};

/// A pass that is to be run.
#[derive(Debug)]
pub(crate) struct PassOrder {
    pub(crate) pass_id: String,
    pub(crate) trigger: Trigger,
    pub(crate) request: PassRequest,
    /// What may be revoked although the guard holds it.
    pub(crate) released: Released,
    pub(crate) looks: Looks,
}

/// When the look happens that is to confirm what a pass finds due to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    /// In a pass of its own, so that nobody waits for it.
    Apart,
    /// In the same pass: somebody waits for its report.
    Together,
}

impl Looks {
    /// Whoever waits for the report is told how things are now, not how they were when a list was begun.
    pub(super) fn read_for(self) -> ReadFor {
        match self {
            Self::Apart => ReadFor::Whoever,
            Self::Together => ReadFor::This,
        }
    }
}

//! What the service counts and measures, in one registry, and each upstream's last success and error.

mod exposition;
mod health;
mod labels;
mod names;
mod rate_limits;
mod registry;
mod work;

pub(crate) use self::{
    exposition::Exposition,
    health::{Health, HealthView, LastError},
    labels::{
        ByAction, ByAnswer, ByBudget, ByCall, ByCertainty, ByKind, ByOperation, ByResult, ByRule, ByState,
        ByTask, ByTrigger, ByUpstream,
    },
    names::Durations,
    rate_limits::{Budget, LimitView, Told},
    registry::{Metrics, Sent},
    work::{Purpose, Work},
};

#[cfg(test)]
mod tests;

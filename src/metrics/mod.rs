//! What the service counts and measures, in one registry, and each upstream's last success and error.

mod exposition;
mod health;
mod labels;
mod names;
mod registry;

pub(crate) use self::{
    exposition::Exposition,
    health::{Health, HealthView, LastError},
    labels::{
        ByAction, ByAnswer, ByCall, ByCertainty, ByKind, ByOperation, ByResult, ByRule, ByState, ByTask,
        ByTrigger, ByUpstream,
    },
    names::Durations,
    registry::Metrics,
};

#[cfg(test)]
mod tests;

//! `oncall-grants webhook enable`.

use super::{
    call::{Request, call},
    target::Target,
};
use crate::{
    cli::{ExitStatus, print},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::State,
};

pub(super) async fn enable(config: &Config, client: &Client, target: Target) -> anyhow::Result<ExitStatus> {
    let Some(subscription) = target.find(config, client).await? else { return Ok(ExitStatus::Misused) };
    let id = &subscription.id;
    match State::of(&subscription) {
        State::TemporarilyDisabled => {}
        State::Active => {
            print(&format!("{id} is on, and was not off"));
            return Ok(ExitStatus::Done);
        }
        // To enable undoes what PagerDuty did, and nothing that people did.
        State::Inactive | State::Missing | State::Forbidden | State::Unknown => {
            print(&why_disabled(&subscription).unwrap_or_default());
            return Ok(ExitStatus::Incomplete);
        }
    }
    call(Request::Enable, client.enable_subscription(id)).await?;
    print(&format!(
        "{id} is on; what happened while it was off was not delivered: POST /sync looks at everything now, the timer soon"
    ));
    Ok(ExitStatus::Done)
}

/// Who disabled it, and what enables it again; none if it is enabled.
pub(super) fn why_disabled(subscription: &Subscription) -> Option<String> {
    let id = &subscription.id;
    match State::of(subscription) {
        State::TemporarilyDisabled => Some(format!(
            "{id} is switched off: PagerDuty did that for up to a day, because deliveries were refused; see that its secret \
             is configured, then: oncall-grants webhook enable {id}"
        )),
        State::Inactive => Some(format!(
            "{id} is switched off by its owner; switch it on in PagerDuty (Integrations, Generic Webhooks)"
        )),
        State::Active | State::Missing | State::Forbidden | State::Unknown => None,
    }
}

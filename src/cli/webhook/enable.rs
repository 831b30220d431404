//! `oncall-grants webhook enable`.

use super::{
    call::{Request, call},
    target::Target,
};
use crate::{
    cli::{ExitStatus, print},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{State, missing_events, wanted_events},
};

pub(super) async fn enable(config: &Config, client: &Client, target: Target) -> anyhow::Result<ExitStatus> {
    let Some(subscription) = target.find(config, client).await? else { return Ok(ExitStatus::Misused) };
    let id = &subscription.id;
    match State::of(&subscription) {
        State::TemporarilyDisabled => {
            call(Request::Enable, client.enable_subscription(id)).await?;
            print(&format!(
                "{id} is on; what happened while it was off was not delivered: POST /sync looks at everything now, the \
                 timer soon"
            ));
        }
        State::Active => print(&format!("{id} is on, and was not off")),
        // To enable undoes what PagerDuty did, and nothing that people did.
        State::Inactive | State::Missing | State::Forbidden | State::Unknown => {
            print(&why_disabled(&subscription).unwrap_or_default());
            return Ok(ExitStatus::Incomplete);
        }
    }
    add_missing_events(config, client, &subscription).await?;
    Ok(ExitStatus::Done)
}

/// Lets it deliver what the rules need beside what it delivers now.
async fn add_missing_events(
    config: &Config,
    client: &Client,
    subscription: &Subscription,
) -> anyhow::Result<()> {
    let missing = missing_events(subscription, &wanted_events(&config.rules));
    if missing.is_empty() {
        return Ok(());
    }
    let (id, added) = (&subscription.id, missing.join(", "));
    print(&format!(
        "{id} does not deliver {added}, which the rules need; they are added, and nothing else is changed"
    ));
    let all: Vec<&str> = subscription.events.iter().map(String::as_str).chain(missing).collect();
    call(Request::Update, client.set_subscription_events(id, &all)).await?;
    print(&format!("{id} delivers {} event types now; its secret stays the same", all.len()));
    Ok(())
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

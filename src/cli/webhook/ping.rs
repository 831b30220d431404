//! `oncall-grants webhook ping`, which `create` and `rotate` do as well.

use std::path::Path;

use super::{
    call::{Request, call},
    enable::why_disabled,
    running_service::RunningService,
    target::Target,
};
use crate::{
    cli::{ExitStatus, print},
    config::{Config, secrets_in},
    pagerduty::Client,
};

pub(super) async fn ping(config: &Config, client: &Client, target: Target) -> anyhow::Result<ExitStatus> {
    let Some(subscription) = target.find(config, client).await? else { return Ok(ExitStatus::Misused) };
    // Nothing would be delivered.
    if let Some(why) = why_disabled(&subscription) {
        print(&why);
        return Ok(ExitStatus::Incomplete);
    }
    Ok(match ping_subscription(config, client, &subscription.id, &print).await? {
        PingResult::Received => ExitStatus::Done,
        PingResult::NotReceived | PingResult::Unknown => ExitStatus::Incomplete,
    })
}

/// What is known of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PingResult {
    /// The running service has received it, signed with a secret that it knows.
    Received,
    /// The running service has not received it.
    NotReceived,
    /// No running service could be asked, or none was pinged.
    Unknown,
}

/// Pings a subscription, and says whether the running service saw it.
pub(super) async fn ping_subscription(
    config: &Config,
    client: &Client,
    id: &str,
    tell: &dyn Fn(&str),
) -> anyhow::Result<PingResult> {
    let service = RunningService::find(config).await;
    call(Request::Ping, client.ping_subscription(id)).await?;
    let service = match service {
        Ok(service) => service,
        Err(why) => {
            tell(&format!(
                "{id} was pinged, but whether that arrived is not known: {why}; look for pagey.ping in /api/events"
            ));
            return Ok(PingResult::Unknown);
        }
    };
    if service.receives_ping(id).await {
        tell(&format!("{id} works: the running service has received its signed ping"));
        return Ok(PingResult::Received);
    }
    // What the configuration named when this began may have been written since.
    let lacks_secret = config.pagerduty.webhook_secrets.is_empty()
        && config.pagerduty.webhook_secrets_file.as_ref().is_none_or(|file| !holds_a_secret(file));
    let why = if lacks_secret {
        "no webhook secret is configured, so it answers every webhook 503; configure the secret of the subscription, or make \
         a new one with oncall-grants webhook rotate"
    } else {
        "its log says why if the ping reached it and the secret is wrong; if the log says nothing, PagerDuty does not reach \
         it there"
    };
    tell(&format!("the running service has not received the ping of {id}: {why}"));
    Ok(PingResult::NotReceived)
}

fn holds_a_secret(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| !secrets_in(&text).is_empty())
}

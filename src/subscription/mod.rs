//! Our webhook subscription at PagerDuty: which one it is, what is wrong with it, and enabling it again after PagerDuty
//! disabled it.

mod diagnose;
mod watch;

use url::Url;

use crate::{
    config::Config,
    model::{PeopleSelector, Rule},
    pagerduty::{COMMON_EVENTS, INCIDENT_EVENTS},
};

pub(crate) use self::{
    diagnose::{
        READ_RIGHT, SecretStatus, State, WRITE_RIGHT, delivering_to, diagnose, missing_events, without_events,
    },
    watch::{LastSeen, Watcher},
};

/// The route of the service that takes webhooks.
const PATH: &str = "/webhooks/pagerduty";

/// The event types that a subscription must deliver, so that nobody waits for the timer.
pub(crate) fn wanted_events(rules: &[Rule]) -> Vec<&'static str> {
    let follows_incidents = rules.iter().any(|rule| matches!(rule.people, PeopleSelector::Incidents(_)));
    let of_incidents = if follows_incidents { INCIDENT_EVENTS } else { &[] };
    COMMON_EVENTS.iter().chain(of_incidents).copied().collect()
}

/// The URL to which our subscription delivers, if the configuration says where PagerDuty reaches us.
pub(crate) fn our_url(config: &Config) -> Option<Url> {
    config.server.public_url.as_ref().map(webhook_url)
}

/// The URL of the webhook route of a service at this address, which may have a path.
pub(crate) fn webhook_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{PATH}", base.path().trim_end_matches('/')));
    url
}

/// Whether this is the webhook route of some service.
pub(crate) fn is_webhook_url(url: &Url) -> bool {
    url.path().ends_with(PATH)
}

//! Our webhook subscription at PagerDuty: which one it is, what is wrong with it, and keeping it alive.

mod diagnose;
mod watch;

use url::Url;

use crate::config::Config;

pub use self::{
    diagnose::{CHANGEABLE_WITH, READABLE_WITH, State, delivering_to, judge, state, unheard},
    watch::{Watch, Watched},
};

/// Where PagerDuty delivers to.
const PATH: &str = "/webhooks/pagerduty";

/// The URL of our subscription, if the configuration says where PagerDuty reaches us.
pub fn our_url(config: &Config) -> Option<Url> {
    config.server.public_url.as_ref().map(webhook_url)
}

/// The webhook route of a service at this address.
pub fn webhook_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(PATH);
    url
}

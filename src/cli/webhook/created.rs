//! A subscription that a command has just created, and its one-time secret.

use std::path::Path;

use anyhow::Context;
use url::Url;

use super::{
    call::{Request, call},
    ping::{PingResult, ping_subscription},
    secret_sink::SecretSink,
};
use crate::{
    config::Config,
    pagerduty::{Client, NewSubscription, SubscriptionRequest},
};

/// What people in PagerDuty read about it.
pub(super) const DESCRIPTION: &str = "oncall-grants: temporary strongDM access for whoever is on call";

pub(super) struct CreatedSubscription {
    pub(super) id: String,
    /// Where its secret is.
    pub(super) sink: SecretSink,
}

impl CreatedSubscription {
    /// Creates a subscription and keeps its secret; one whose secret cannot be kept is removed again.
    pub(super) async fn create(
        client: &Client,
        request: SubscriptionRequest<'_>,
        mut sink: SecretSink,
    ) -> anyhow::Result<Self> {
        let NewSubscription { subscription, secret } =
            match call(Request::Create, client.create_subscription(request)).await {
                Ok(new) => new,
                Err(error) => {
                    sink.discard();
                    return Err(error);
                }
            };
        if let Err(error) = sink.keep(&secret) {
            let id = &subscription.id;
            let removed = client.delete_subscription(id).await;
            let rest = if removed.is_ok() { "it is removed again" } else { "remove it with webhook delete" };
            return Err(error)
                .with_context(|| format!("{id} was made, but its secret cannot be kept; {rest}"));
        }
        Ok(Self { id: subscription.id, sink })
    }

    pub(super) fn announce(&self, url: &Url) {
        let Self { id, sink } = self;
        let place = sink
            .path()
            .map_or("above, on standard output".to_owned(), |path| format!("in {}", path.display()));
        sink.tell(&format!(
            "made {id}, which delivers to {url}; its secret is {place}, and is never shown again"
        ));
    }

    /// Whether the configuration reads the file that the secret went to.
    fn is_configured(&self, config: &Config) -> bool {
        let canonical = |path: &Path| path.canonicalize().ok();
        let configured = config.pagerduty.webhook_secrets_file.as_deref().and_then(canonical);
        configured.is_some() && self.sink.path().and_then(canonical) == configured
    }

    /// Says how the service learns the secret.
    pub(super) fn advise(&self, config: &Config) {
        if self.is_configured(config) {
            return;
        }
        let how = if let Some(read) = configured_secrets_file(config) {
            format!("add it as another line to {read}, which a running service reads again without a restart")
        } else {
            let file = self.sink.path().map(|path| path.display().to_string());
            format!(
                "set webhook_secrets_file in [pagerduty] to {} (one secret a line) and restart the service",
                file.as_deref().unwrap_or("a file of mode 0600")
            )
        };
        self.sink
            .tell(&format!("the service must know it: {how}, then: oncall-grants webhook ping {}", self.id));
    }

    /// Pings, if the service may know the secret: a ping that it must refuse would only count against it.
    pub(super) async fn ping(&self, config: &Config, client: &Client) -> anyhow::Result<PingResult> {
        if !self.is_configured(config) {
            return Ok(PingResult::Unknown);
        }
        ping_subscription(config, client, &self.id, &|text| self.sink.tell(text)).await
    }
}

/// What to call the configured file with the secrets. A path to nothing is not shown: it may be a secret in the wrong
/// place.
pub(super) fn configured_secrets_file(config: &Config) -> Option<String> {
    let file = config.pagerduty.webhook_secrets_file.as_deref()?;
    let named = "the file that pagerduty.webhook_secrets_file names";
    Some(if file.exists() { file.display().to_string() } else { named.to_owned() })
}

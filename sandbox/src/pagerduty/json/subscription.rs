//! Webhook subscriptions.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::pagerduty::webhook::subscription::Subscription;

/// Whether the answer tells the secret: only the one to the creation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    Shown,
    Hidden,
}

pub(crate) fn subscription_json(subscription: &Subscription, secret: Secret, now: DateTime<Utc>) -> Value {
    let endpoint = &subscription.endpoint;
    let secret = match secret {
        Secret::Shown => endpoint.secrets.first(),
        Secret::Hidden => None,
    };
    let headers = endpoint.custom_headers.iter();
    let mut filter = json!({"type": format!("{}_reference", subscription.scope.kind())});
    if let Some(id) = subscription.scope.id() {
        filter["id"] = json!(id);
    }
    let id = &subscription.id;
    json!({
        "id": id,
        "type": "webhook_subscription",
        "active": subscription.active,
        "delivery_method": {
            "id": format!("PWDM{}", &id[id.len().saturating_sub(3)..]),
            "secret": secret,
            "temporarily_disabled": subscription.disabled(now),
            "type": "http_delivery_method",
            "url": endpoint.url,
            "custom_headers": headers
                .map(|(name, _)| json!({"name": name, "value": "-- redacted --"}))
                .collect::<Vec<_>>(),
        },
        "description": subscription.description,
        "events": subscription.events,
        "filter": filter,
        "oauth_client": null,
    })
}

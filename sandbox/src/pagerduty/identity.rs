//! The identity service: an OAuth app of the account, and the access tokens that it got.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::credentials;

/// The scope that is left when none was granted.
const NOTHING: &str = "openid";

/// A scoped OAuth app that may ask for tokens of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthApp {
    /// The ID of the client.
    pub client_id: String,
    /// Its secret.
    #[serde(skip)]
    pub client_secret: String,
    /// `us` or `eu`: with the subdomain it makes the scope `as_account-us.acme`, without which a token opens nothing.
    pub region: String,
    /// The first part of the account's host name.
    pub subdomain: String,
    /// The scopes that the app has; others are dropped without a word.
    pub granted: BTreeSet<String>,
    /// How long a token lives.
    pub lifetime_secs: i64,
}

/// A token that an app got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The text of the token.
    pub token: String,
    /// The scopes that the app asked for.
    pub asked: Vec<String>,
    /// The scopes that it has.
    pub scopes: Vec<String>,
    /// The first instant at which it is not accepted any more.
    pub expires_at: DateTime<Utc>,
}

impl Default for OAuthApp {
    fn default() -> Self {
        let read = [
            "escalation_policies.read",
            "incidents.read",
            "oncalls.read",
            "priorities.read",
            "schedules.read",
            "services.read",
            "teams.read",
            "users.read",
            "webhook_subscriptions.read",
            "webhook_subscriptions.write",
        ];
        Self {
            client_id: credentials::CLIENT_ID.into(),
            client_secret: credentials::CLIENT_SECRET.into(),
            region: "us".into(),
            subdomain: credentials::SUBDOMAIN.into(),
            granted: read.map(Into::into).into(),
            lifetime_secs: 86_400,
        }
    }
}

impl OAuthApp {
    /// The scope that names the account.
    pub(crate) fn account_scope(&self) -> String {
        format!("as_account-{}.{}", self.region, self.subdomain)
    }

    /// A token for these scopes, as far as the app has them.
    pub(crate) fn issue(&self, asked: Vec<String>, now: DateTime<Utc>) -> AccessToken {
        let account = self.account_scope();
        let has = |scope: &&String| **scope == account || self.granted.contains(*scope);
        let mut scopes = asked.iter().filter(has).cloned().collect::<Vec<_>>();
        if scopes.is_empty() {
            scopes.push(NOTHING.into());
        }
        AccessToken {
            token: format!("pdus+_0SANDBOX_{}", uuid::Uuid::now_v7()),
            asked,
            scopes,
            expires_at: now + TimeDelta::seconds(self.lifetime_secs),
        }
    }
}

impl AccessToken {
    /// Whether it has this scope.
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|one| one == scope)
    }
}

//! The credentials that a fresh stand-in accepts. None of them opens anything real.

/// The PagerDuty API key.
pub const TOKEN: &str = "sandbox-pagerduty-token";
/// The ID of the PagerDuty OAuth app.
pub const CLIENT_ID: &str = "sandbox-pagerduty-app";
/// The secret of the PagerDuty OAuth app.
pub const CLIENT_SECRET: &str = "sandbox-pagerduty-app-secret";
/// The subdomain of the PagerDuty account.
pub const SUBDOMAIN: &str = "acme";
/// The public half of the strongDM API key.
pub const ACCESS_KEY: &str = "auth-5a4db0c5a4db0c50";
/// The secret half of the strongDM API key, base64.
pub const SECRET_KEY: &str = "c2FuZGJveC1zdHJvbmdkbS1zZWNyZXQta2V5LTAwMDE=";
/// The secret that webhooks to the service under test are signed with.
pub const WEBHOOK_SECRET: &str = "c2FuZGJveC13ZWJob29rLXNlY3JldC1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDAx";

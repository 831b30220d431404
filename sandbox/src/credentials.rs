//! The credentials that a fresh stand-in accepts. None of them opens anything real.

/// The PagerDuty API key.
pub const TOKEN: &str = "sandbox-pagerduty-token";
/// The public half of the strongDM API key.
pub const ACCESS_KEY: &str = "auth-5a4db0c5a4db0c50";
/// The secret half of the strongDM API key, base64.
pub const SECRET_KEY: &str = "c2FuZGJveC1zdHJvbmdkbS1zZWNyZXQta2V5LTAwMDE=";
/// The secret that webhooks to the service under test are signed with.
pub const WEBHOOK_SECRET: &str = "c2FuZGJveC13ZWJob29rLXNlY3JldC1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDAx";

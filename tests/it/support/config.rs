//! The configuration of a test, as a file that an operator could have written.

use std::fmt::Write;

use sandbox::world;

/// What the operator's routes want to see.
pub(crate) const ADMIN_TOKEN: &str = "admin-token-of-the-tests-7f3a";
/// The resource of the default rule.
pub(crate) const DB: &str = "prod-postgres";

/// The settings that tests change; the rest stands in [`Config::text`].
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// So long that nothing happens by itself, unless a test wants it.
    pub(crate) interval: &'static str,
    pub(crate) horizon: &'static str,
    pub(crate) max_revocations: usize,
    pub(crate) webhook_secrets: Vec<String>,
    /// Who may make the service look.
    pub(crate) trigger_tokens: Vec<&'static str>,
    /// Where PagerDuty should reach the service.
    pub(crate) public_url: Option<&'static str>,
    /// How long it keeps connections; the default, if nothing is said.
    pub(crate) idle_timeout: Option<&'static str>,
    /// The address of the store.
    pub(crate) store: String,
    /// `[[rules]]` tables.
    pub(crate) rules: String,
    /// PagerDuty address and strongDM address.
    pub(crate) aliases: Vec<(&'static str, &'static str)>,
    /// Domain of PagerDuty addresses and domain of strongDM addresses.
    pub(crate) domain_aliases: Vec<(&'static str, &'static str)>,
}

impl Default for Config {
    /// Whoever is on call through [`world::SCHEDULE`] gets [`DB`].
    fn default() -> Self {
        Self {
            interval: "1h",
            horizon: "7d",
            max_revocations: 20,
            webhook_secrets: vec![world::WEBHOOK_SECRET.to_owned()],
            trigger_tokens: Vec::new(),
            public_url: None,
            idle_timeout: None,
            store: "sqlite:oncall-grants.db".to_owned(),
            rules: rule("payments", &[world::SCHEDULE], &[DB]),
            aliases: Vec::new(),
            domain_aliases: Vec::new(),
        }
    }
}

/// A `[[rules]]` table for whoever is on call through schedules; lines may be added at its end.
pub(crate) fn rule(name: &str, schedules: &[&str], resources: &[&str]) -> String {
    format!("[[rules]]\nname = {name:?}\nschedules = {schedules:?}\nresources = {resources:?}\n")
}

/// The same for whoever is on call through the escalation policy [`world::POLICY`].
pub(crate) fn policy_rule(name: &str, resources: &[&str]) -> String {
    let policy = world::POLICY;
    format!("[[rules]]\nname = {name:?}\nescalation_policies = [{policy:?}]\nresources = {resources:?}\n")
}

/// The same for whoever is on call through [`world::SCHEDULE`], and all resources that the filter finds.
pub(crate) fn filter_rule(name: &str, filter: &str) -> String {
    let schedule = world::SCHEDULE;
    format!("[[rules]]\nname = {name:?}\nschedules = [{schedule:?}]\nresource_filters = [{filter:?}]\n")
}

impl Config {
    /// The default with other rules.
    pub(crate) fn with_rules(rules: impl IntoIterator<Item = String>) -> Self {
        Self { rules: rules.into_iter().collect(), ..Self::default() }
    }

    /// The file.
    pub(crate) fn text(&self, pagerduty: &str, strongdm: &str) -> String {
        let Self {
            interval,
            horizon,
            max_revocations,
            webhook_secrets,
            trigger_tokens,
            public_url,
            idle_timeout,
            store,
            rules,
            aliases,
            domain_aliases,
        } = self;
        let idle_timeout =
            idle_timeout.map(|limit| format!("\nidle_timeout = {limit:?}")).unwrap_or_default();
        let triggers = if trigger_tokens.is_empty() {
            String::new()
        } else {
            format!("\ntrigger_tokens = {trigger_tokens:?}")
        };
        let public_url = public_url.map(|url| format!("\npublic_url = {url:?}")).unwrap_or_default();
        let pairs = |pairs: &[(&str, &str)]| {
            let mut text = String::new();
            for (from, to) in pairs {
                write!(text, "{from:?} = {to:?}, ").expect("a String takes everything");
            }
            text
        };
        let aliases = pairs(aliases);
        let domains = if domain_aliases.is_empty() {
            String::new()
        } else {
            format!("\ndomain_aliases = {{ {} }}", pairs(domain_aliases))
        };
        let (token, access_key, secret_key) = (world::TOKEN, world::ACCESS_KEY, world::SECRET_KEY);
        format!(
            r#"[server]
listen = "127.0.0.1:0"
admin_token = "{ADMIN_TOKEN}"{triggers}{public_url}{idle_timeout}
[pagerduty]
api_url = "{pagerduty}"
token = "{token}"
webhook_secrets = {webhook_secrets:?}
[strongdm]
api_url = "{strongdm}"
access_key = "{access_key}"
secret_key = "{secret_key}"
[store]
url = "{store}"
[sync]
interval = "{interval}"
horizon = "{horizon}"
verify_interval = "1h"
max_revocations = {max_revocations}
[accounts]
aliases = {{ {aliases} }}{domains}
{rules}"#
        )
        .replace("webhook_secrets = []\n", "")
    }

    /// What must never be shown.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let fixed = [ADMIN_TOKEN, world::TOKEN, world::ACCESS_KEY, world::SECRET_KEY];
        let webhook = self.webhook_secrets.iter().map(String::as_str);
        fixed.into_iter().chain(webhook).chain(self.trigger_tokens.iter().copied()).collect()
    }
}

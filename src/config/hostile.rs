//! Configuration files as somebody changed them.

use std::{io, path::Path};

use chrono::TimeDelta;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use toml::de::{DeTable, DeValue};

use super::{Config, Credentials, Error, parse};
use crate::model::{
    PeopleSelector,
    tests::{mutated, runs},
};

/// As short as a file can be, with a rule of each kind.
const SAMPLE: &str = r#"[server]
admin_token = "hush-admin"
trigger_tokens = ["hush-trigger"]
idle_timeout = "75s"
[pagerduty]
token = "hush-pagerduty"
webhook_secrets = ["hush-webhook"]
[strongdm]
access_key = "hush-access"
secret_key = "aHVzaC1zZWNyZXQ="
[store]
keep = "90d"
[sync]
interval = "1m"
horizon = "7d"
verify_interval = "15m"
max_revocations = 20
[[rules]]
name = "prod database"
schedules = ["PI7DH85"]
resources = ["prod-postgres"]
start_early = "10m"
end_late = "5m"
kubernetes_groups = ["on-call"]
[[rules]]
name = "incident command"
escalation_policies = ["PT20YPA"]
escalation_levels = [1, 2]
resource_filters = ["tags:env=prod"]
[[rules]]
name = "payments incidents"
resources = ["prod-postgres"]
[rules.incidents]
services = ["PSPAY01"]
urgencies = ["high"]
people = ["assignees", "responders"]
eligible = { teams = ["PTEAM1"], schedules = ["PI7DH85"] }
max_duration = "4h"
max_people = 10
[accounts]
aliases = { "al@pd.example.com" = "alice@example.com" }
[[notices]]
name = "ours"
url = "https://hooks.example.com/hush-path"
secret = "whsec_aHVzaC1ub3RpY2VzLXNlY3JldA=="
events = ["access.granted"]
[[notices]]
name = "slack"
url = "https://hooks.example.com/hush-slack"
format = "slack"
"#;

const SECRETS: [&str; 8] = [
    "hush-admin",
    "hush-trigger",
    "hush-pagerduty",
    "hush-webhook",
    "hush-access",
    "hush-path",
    "aHVzaC1ub3RpY2VzLXNlY3JldA",
    "hush-slack",
];

/// Every secret in a file of its own.
const WITH_FILES: &str = r#"[server]
admin_token_file = "admin"
trigger_tokens_file = "trigger"
[pagerduty]
token_file = "pagerduty"
webhook_secrets_file = "webhook"
[strongdm]
access_key_file = "access"
secret_key_file = "secret"
[audit]
signing_key_file = "key"
[[rules]]
name = "prod database"
schedules = ["PI7DH85"]
resources = ["prod-postgres"]
[[notices]]
name = "ours"
url_file = "url"
secret_file = "notices"
"#;

/// What these files hold, with `hush` in each secret, or in the base64 of it.
const FILES: [(&str, &str); 9] = [
    ("admin", "hush-admin\n"),
    ("trigger", "hush-trigger\r\n\n hush-other-trigger\n"),
    ("pagerduty", "\"hush-pagerduty\""),
    ("webhook", "hush-webhook\n\nhush-other-webhook\n"),
    ("access", "auth-hush\n"),
    ("secret", "aHVzaC1zZWNyZXQ=\n"),
    (
        "key",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIC0taHVzaC1rZXktb2YtZXhhY3RseS10aGlydHktYnl0\n-----END PRIVATE KEY-----\n",
    ),
    ("url", "https://hooks.example.com/hush-path\n"),
    ("notices", "whsec_aHVzaC1ub3RpY2VzLXNlY3JldA==\nwhsec_aHVzaC1ub3RpY2VzLW90aGVyLXNlY3JldA==\n"),
];

/// What may be set beside them.
const VARIABLES: [(&str, &str); 8] = [
    ("ONCALL_GRANTS_ADMIN_TOKEN", "hush-admin"),
    ("ONCALL_GRANTS_TRIGGER_TOKENS", "hush-trigger,hush-other-trigger"),
    ("ONCALL_GRANTS_LISTEN", "127.0.0.1:8080"),
    ("ONCALL_GRANTS_STORE_URL", "postgres://grants:hush-store@db.example.com:5432/grants?sslmode=require"),
    ("PAGERDUTY_TOKEN", "'hush-pagerduty'"),
    ("PAGERDUTY_WEBHOOK_SECRETS", "hush-webhook, hush-other-webhook"),
    ("SDM_API_ACCESS_KEY", "auth-hush"),
    ("SDM_API_SECRET_KEY", "aHVzaC1zZWNyZXQ="),
];

/// One of the files or variables, and what somebody made of it.
fn changed() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let places: Vec<_> = FILES.into_iter().chain(VARIABLES).collect();
    let changed = |(name, text): (&'static str, &str)| (Just(name), mutated(vec![text.into()]));
    prop::sample::select(places).prop_flat_map(changed)
}

/// Whether the text stands in a key. Keys are shown to whoever mistyped one.
fn stands_in_a_key(table: &DeTable<'_>, text: &str) -> bool {
    table.iter().any(|(key, value)| key.get_ref().contains(text) || holds_such_a_key(value.get_ref(), text))
}

fn holds_such_a_key(value: &DeValue<'_>, text: &str) -> bool {
    match value {
        DeValue::Table(table) => stands_in_a_key(table, text),
        DeValue::Array(items) => items.iter().any(|item| holds_such_a_key(item.get_ref(), text)),
        _ => false,
    }
}

/// Whether it can be meant as a secret, and be sent and compared as it is.
fn is_sound(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    !text.is_empty()
        && text.trim() == text
        && !text.contains(char::is_control)
        && !text.starts_with("replace-with-")
}

fn read(text: &str) -> Result<Config, Error> {
    parse(Path::new("etc/grants.toml"), text, &|_| None, &|_| Err(io::ErrorKind::NotFound.into()))
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_file_is_read_as_something_sound_or_refused_without_its_secrets(text in mutated(vec![SAMPLE.into()])) {
        let text = String::from_utf8_lossy(&text);
        let shown = match read(&text) {
            Ok(config) => {
                prop_assert!(!config.rules.is_empty());
                let day = TimeDelta::days(1);
                prop_assert!(config.sync.horizon > TimeDelta::zero() && config.sync.horizon <= day * 90);
                for (index, rule) in config.rules.iter().enumerate() {
                    prop_assert!(!rule.sources().is_empty() && !rule.resources.is_empty(), "{}", rule.name);
                    prop_assert!(rule.start_early >= TimeDelta::zero() && rule.end_late >= TimeDelta::zero());
                    prop_assert!(config.rules[..index].iter().all(|other| other.name != rule.name));
                    if let PeopleSelector::Incidents(selector) = &rule.people {
                        prop_assert!(selector.max_duration > TimeDelta::zero() && selector.max_duration <= day);
                        prop_assert!(selector.max_people > 0 && !selector.roles.is_empty());
                    }
                }
                let again = read(&text).map(|again| format!("{again:?}"));
                let config = format!("{config:?}");
                prop_assert_eq!(Some(config.clone()), again.ok());
                config
            }
            Err(error) => {
                prop_assert!(!error.mistakes().is_empty());
                format!("{error}\n{error:?}")
            }
        };
        // One that was copied to where no secret belongs, or has become a key, is no secret there.
        let is_key = |secret: &str| DeTable::parse(&text).is_ok_and(|table| stands_in_a_key(table.get_ref(), secret));
        let is_secret = |secret: &&str| text.matches(secret).count() == 1 && !is_key(secret);
        for secret in SECRETS.into_iter().filter(is_secret) {
            prop_assert!(!shown.contains(secret), "{secret} is shown in: {shown}");
        }
    }

    #[test]
    fn a_credential_is_read_as_something_sound_or_refused_without_being_shown((name, bytes) in changed()) {
        let env = |variable: &str| (variable == name).then(|| String::from_utf8_lossy(&bytes).into_owned());
        let file = |path: &Path| {
            let of_name = FILES.iter().find(|(file, _)| path.ends_with(file));
            let (file, text) = of_name.ok_or(io::ErrorKind::NotFound)?;
            Ok(if *file == name { bytes.clone() } else { text.as_bytes().to_vec() })
        };
        let shown = match parse(Path::new("etc/grants.toml"), WITH_FILES, &env, &file) {
            Ok(config) => {
                let (server, pagerduty) = (&config.server, &config.pagerduty);
                let Credentials::Key(token) = &pagerduty.credentials else { panic!("an app") };
                let secrets = [&server.admin_token, token, &config.strongdm.access_key];
                let secrets = secrets.into_iter().chain(&server.trigger_tokens).chain(&pagerduty.webhook_secrets);
                for secret in secrets {
                    prop_assert!(is_sound(secret), "{:?}", secret.expose_secret());
                }
                format!("{config:?}")
            }
            Err(error) => {
                prop_assert!(!error.mistakes().is_empty());
                format!("{error}\n{error:?}")
            }
        };
        prop_assert!(!shown.contains("hush") && !shown.contains("aHVzaC"), "{shown}");
    }
}

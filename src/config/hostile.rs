//! Configuration files as somebody changed them.

use std::{io, path::Path};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{Config, Error, parse};
use crate::model::{
    PeopleSelector,
    tests::{mutated, runs},
};

/// As short as a file can be, with a rule of each kind.
const SAMPLE: &str = r#"[server]
admin_token = "hush-admin"
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
"#;

const SECRETS: [&str; 4] = ["hush-admin", "hush-pagerduty", "hush-webhook", "hush-access"];

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
        // One that was copied to where no secret belongs is no secret there.
        for secret in SECRETS.into_iter().filter(|secret| text.matches(secret).count() == 1) {
            prop_assert!(!shown.contains(secret), "{secret} is shown in: {shown}");
        }
    }
}

//! Every mistake with its exact message; defaults; and that no secret is ever shown.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::*;
use crate::model::{OnCallSelector, ResourceSelector};

/// A sound file; the cases below replace one line of it.
const SOUND: &str = r#"[server]
listen = "127.0.0.1:8080"
admin_token = "hush-admin"

[pagerduty]
token = "hush-pagerduty"
webhook_secrets = ["hush-webhook"]

[strongdm]
access_key = "hush-access"
secret_key = "aHVzaC1zZWNyZXQ="

[store]
url = "postgres://app:hush-store@db.example.com/grants"

[sync]
interval = "1m"

[[rules]]
name = "prod database"
schedules = ["PI7DH85"]
resources = ["prod-postgres"]

[[rules]]
name = "incident command"
escalation_policies = ["PT20YPA"]
escalation_levels = [1]
resource_filters = ["tags:env=prod"]

[accounts]
aliases = { "al@pd.example.com" = "alice@example.com" }
"#;

const SECRETS: [&str; 7] = [
    "hush-admin",
    "hush-pagerduty",
    "hush-webhook",
    "hush-access",
    "hush-secret",
    "aHVzaC1zZWNyZXQ",
    "hush-store",
];

/// The world around the file.
#[derive(Default)]
struct World {
    variables: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
}

impl World {
    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.insert(path, text);
        self
    }

    fn parse(&self, text: &str) -> Result<Config, Error> {
        let env = |name: &str| self.variables.get(name).map(ToString::to_string);
        let read = |path: &Path| {
            let text = self.files.get(path.to_str().unwrap());
            text.map(ToString::to_string).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        parse(Path::new("etc/grants.toml"), text, &env, &read)
    }

    fn mistakes(&self, text: &str) -> String {
        let error = self.parse(text).expect_err(text);
        let shown = format!("{error}\n{error:?}");
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} is shown in: {shown}");
        }
        error.to_string()
    }
}

fn with(line: &str, replacement: &str) -> String {
    assert!(SOUND.contains(line), "{line}");
    SOUND.replacen(line, replacement, 1)
}

/// Checks that replacing a line of the sound file gives these mistakes.
fn check(cases: &[(&str, &str, &str)]) {
    for (line, replacement, expected) in cases {
        let mistakes = World::default().mistakes(&with(line, replacement));
        assert_eq!(mistakes.replace("etc/grants.toml:", ""), *expected, "after writing {replacement}");
    }
}

#[test]
fn the_sound_file_is_read_with_its_defaults() {
    let config = World::default().parse(SOUND).unwrap();
    let Config { file, server, pagerduty, strongdm, store, sync, rules, aliases } = &config;
    assert_eq!(file, Path::new("etc/grants.toml"));
    assert_eq!(server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(server.admin_token.expose_secret(), "hush-admin");
    assert!(server.public_url.is_none() && server.tls.is_none());
    assert_eq!(pagerduty.api_url.as_str(), "https://api.pagerduty.com/");
    assert_eq!(pagerduty.token.expose_secret(), "hush-pagerduty");
    assert_eq!(pagerduty.webhook_secrets.len(), 1);
    assert_eq!(strongdm.api_url.as_str(), "https://app.strongdm.com/");
    assert_eq!(strongdm.access_key.expose_secret(), "hush-access");
    assert_eq!(strongdm.secret_key.expose_secret(), b"hush-secret");
    assert_eq!(store.kind, StoreKind::Postgres);
    assert_eq!(store.keep, TimeDelta::days(90));
    assert_eq!(sync.interval, Duration::from_secs(60));
    assert_eq!(sync.horizon, TimeDelta::days(7));
    assert_eq!(sync.verify_interval, Duration::from_secs(15 * 60));
    assert_eq!(sync.max_revocations, 20);
    let expected = [
        Rule {
            name: "prod database".into(),
            on_calls: OnCallSelector::Schedules(vec!["PI7DH85".into()]),
            resources: vec![ResourceSelector::Name("prod-postgres".into())],
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        },
        Rule {
            name: "incident command".into(),
            on_calls: OnCallSelector::Policies {
                ids: vec!["PT20YPA".into()],
                levels: vec![1],
                include_always_on_call: false,
            },
            resources: vec![ResourceSelector::Filter("tags:env=prod".into())],
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        },
    ];
    assert_eq!(*rules, expected);
    assert_eq!(aliases.account_email("AL@pd.example.com").unwrap().as_str(), "alice@example.com");
}

#[test]
fn what_is_not_given_takes_its_default() {
    let text = with("listen = \"127.0.0.1:8080\"", "").replace("interval = \"1m\"", "");
    let text = text.replace("url = \"postgres://app:hush-store@db.example.com/grants\"", "");
    let config = World::default().parse(&text.replace("webhook_secrets = [\"hush-webhook\"]", "")).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.sync.interval, Duration::from_secs(60));
    assert_eq!(config.store.url.expose_secret(), "sqlite:oncall-grants.db");
    assert_eq!(config.store.kind, StoreKind::Sqlite { path: "oncall-grants.db".into() });
    assert!(config.pagerduty.webhook_secrets.is_empty());
}

#[test]
fn the_example_is_sound_and_shows_every_key() {
    let example = include_str!("../../oncall-grants.example.toml");
    let config = World::default().parse(example).unwrap();
    assert_eq!(config.rules.len(), 2);
    for (table, keys) in schema::TABLES {
        let shown = |key: &&str| {
            example.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} = "))
                    || [format!("[{key}]"), format!("[[{key}]]")].contains(&line.into())
            })
        };
        assert_eq!(
            keys.iter().filter(|key| !shown(key)).collect::<Vec<_>>(),
            <[&&str; 0]>::default(),
            "{table}"
        );
    }
}

/// A known key that nothing reads would be ignored in silence.
#[test]
fn every_known_key_is_read_and_refuses_a_date() {
    for (table, keys) in schema::TABLES {
        for key in keys {
            let (text, path) = match table {
                "" => (format!("{key} = 2020-01-01"), (*key).to_owned()),
                "rules" => (format!("[[rules]]\n{key} = 2020-01-01"), format!("rules[0].{key}")),
                _ => (format!("[{table}]\n{key} = 2020-01-01"), format!("{table}.{key}")),
            };
            let error = World::default().parse(&text).unwrap_err();
            let told = error.mistakes().iter().any(|mistake| {
                matches!(&mistake.place, Place::Line { key, .. } if *key == path)
                    && mistake.message.ends_with("not a date or time")
            });
            assert!(told, "{path}: {error}");
        }
    }
}

#[test]
fn five_mistakes_are_reported_at_once_with_their_lines() {
    let text = with("listen = \"127.0.0.1:8080\"", "lisen = \"127.0.0.1:8080\"")
        .replace("access_key = \"hush-access\"", "")
        .replace("interval = \"1m\"", "interval = 60")
        .replace("name = \"incident command\"", "name = \"prod database\"")
        .replace("escalation_levels = [1]", "escalation_levels = [\n  1,\n  0,\n]");
    insta::assert_snapshot!(World::default().mistakes(&text), @r#"
etc/grants.toml:2: server.lisen: unknown key; did you mean listen? allowed here: listen, admin_token, admin_token_file, public_url, tls_cert, tls_key, client_ca, client_names
etc/grants.toml:9: strongdm.access_key: is missing; give it here, as access_key_file (a path) or as SDM_API_ACCESS_KEY
etc/grants.toml:17: sync.interval: must be a duration in quotes such as "90s", "15m" or "7d", not a number
etc/grants.toml:25: rules[1].name: "prod database" is already the name of the rule in line 20; names must be unique
etc/grants.toml:29: rules[1].escalation_levels[1]: must be a whole number from 1 to 4294967295
"#);
}

#[test]
fn syntax_mistakes_name_their_line() {
    check(&[
        ("listen = \"127.0.0.1:8080\"", "listen = 127.0.0.1:8080", "2: is not valid TOML: invalid float"),
        (
            "admin_token = \"hush-admin\"",
            "admin_token = \"hush-admin",
            "3: is not valid TOML: invalid basic string, expected `\"`",
        ),
        (
            "admin_token = \"hush-admin\"",
            "listen = \"127.0.0.1:8080\"",
            "3: is not valid TOML: duplicate key",
        ),
    ]);
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    check(&[
        (
            "[store]",
            "[stores]",
            "13: stores: unknown key; did you mean store? allowed here: server, pagerduty, strongdm, store, sync, rules, accounts",
        ),
        (
            "token = \"hush-pagerduty\"",
            "token = \"hush-pagerduty\"\ntoken_flie = \"x\"",
            "7: pagerduty.token_flie: unknown key; did you mean token_file? allowed here: api_url, token, token_file, webhook_secrets, webhook_secrets_file",
        ),
        (
            "schedules = [\"PI7DH85\"]",
            "schedules = [\"PI7DH85\"]\n\"odd key\" = 1",
            "22: rules[0].\"odd key\": unknown key; allowed here: name, schedules, escalation_policies, escalation_levels, include_always_on_call, resources, resource_filters, start_early, end_late",
        ),
        (
            "[accounts]",
            "[accounts]\nalias = {}",
            "31: accounts.alias: unknown key; did you mean aliases? allowed here: aliases",
        ),
    ]);
}

#[test]
fn mistakes_of_the_server_table() {
    check(&[
        (
            "listen = \"127.0.0.1:8080\"",
            "listen = \"localhost:8080\"",
            "2: server.listen: must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "listen = 8080",
            "2: server.listen: must be text in quotes, not a number",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "listen = \" \"",
            "2: server.listen: must not be empty; write text in quotes",
        ),
        (
            "admin_token = \"hush-admin\"",
            "",
            "1: server.admin_token: is missing; give it here, as admin_token_file (a path) or as ONCALL_GRANTS_ADMIN_TOKEN",
        ),
        (
            "admin_token = \"hush-admin\"",
            "admin_token = \"\"",
            "3: server.admin_token: must not be empty; write text in quotes",
        ),
        (
            "admin_token = \"hush-admin\"",
            "admin_token = \"hush-admin two\"",
            "3: server.admin_token: must be visible ASCII characters without blanks or line breaks",
        ),
        (
            "admin_token = \"hush-admin\"",
            "admin_token = \"hush-admin\"\nadmin_token_file = \"hush-admin\"",
            "4: server.admin_token_file: admin_token and admin_token_file are both given; keep one of them",
        ),
        (
            "admin_token = \"hush-admin\"",
            "admin_token_file = \"hush-admin\"",
            "3: server.admin_token_file: the file cannot be read: entity not found (a relative path starts beside the configuration file)",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "public_url = \"grants.example.com\"",
            "2: server.public_url: is no web address; write an address such as https://grants.example.com",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "public_url = \"https://grants.example.com/webhooks/pagerduty\"",
            "2: server.public_url: must be scheme, host and port alone, without user, path, query or fragment; write an address such as https://grants.example.com",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "tls_cert = \"a.pem\"",
            "2: server.tls_cert: tls_key is missing: tls_cert and tls_key go together",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "tls_key = \"a.key\"",
            "2: server.tls_key: tls_cert is missing: tls_cert and tls_key go together",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "client_ca = \"a.pem\"",
            "2: server.client_ca: client certificates need HTTPS: give tls_cert and tls_key as well\n\
             2: server.client_ca: client_names is missing: client_ca and client_names go together",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "client_names = [\"a\"]\nclient_ca = \"a.pem\"",
            "2: server.client_names: client certificates need HTTPS: give tls_cert and tls_key as well\n\
             3: server.client_ca: client certificates need HTTPS: give tls_cert and tls_key as well",
        ),
        (
            "listen = \"127.0.0.1:8080\"",
            "tls_cert = \"a.pem\"\ntls_key = \"a.key\"\nclient_ca = \"a.pem\"\nclient_names = []",
            "5: server.client_names: must not be empty; list at least one item, a name that client certificates carry",
        ),
        (
            "[server]",
            "server = \"x\"\n[servers]",
            "1: server: must be a table, not text\n\
             2: servers: unknown key; did you mean server? allowed here: server, pagerduty, strongdm, store, sync, rules, accounts",
        ),
        ("[server]", "[[server]]", "1: server: must be a table, not a list"),
    ]);
}

#[test]
fn mistakes_of_the_pagerduty_table() {
    check(&[
        (
            "token = \"hush-pagerduty\"",
            "",
            "5: pagerduty.token: is missing; give it here, as token_file (a path) or as PAGERDUTY_TOKEN",
        ),
        (
            "token = \"hush-pagerduty\"",
            "token = \"\"",
            "6: pagerduty.token: must not be empty; write text in quotes",
        ),
        (
            "token = \"hush-pagerduty\"",
            "token = [\"hush-pagerduty\"]",
            "6: pagerduty.token: must be text in quotes, not a list",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"api.pagerduty.com\"",
            "6: pagerduty.api_url: is no web address; write an address such as https://api.pagerduty.com",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"ftp://api.pagerduty.com\"",
            "6: pagerduty.api_url: is no web address; write an address such as https://api.pagerduty.com",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"http://api.pagerduty.com\"",
            "6: pagerduty.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"http://128.0.0.1:80\"",
            "6: pagerduty.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"https://me:hush-admin@api.pagerduty.com\"",
            "6: pagerduty.api_url: must be scheme, host and port alone, without user, path, query or fragment; write an address such as https://api.pagerduty.com",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\napi_url = \"https://api.pagerduty.com?a=b\"",
            "6: pagerduty.api_url: must be scheme, host and port alone, without user, path, query or fragment; write an address such as https://api.pagerduty.com",
        ),
        (
            "webhook_secrets = [\"hush-webhook\"]",
            "webhook_secrets = []",
            "7: pagerduty.webhook_secrets: must not be empty; list at least one item, a secret in quotes",
        ),
        (
            "webhook_secrets = [\"hush-webhook\"]",
            "webhook_secrets = [\"hush-webhook\", \"\"]",
            "7: pagerduty.webhook_secrets[1]: must not be empty; write a secret in quotes",
        ),
        (
            "webhook_secrets = [\"hush-webhook\"]",
            "webhook_secrets = \"hush-webhook\"",
            "7: pagerduty.webhook_secrets: must be a list, each item a secret in quotes, not text",
        ),
        (
            "[pagerduty]",
            "[pagerduty]\nwebhook_secrets_file = \"hush-webhook\"",
            "6: pagerduty.webhook_secrets_file: webhook_secrets and webhook_secrets_file are both given; keep one of them",
        ),
    ]);
}

#[test]
fn mistakes_of_the_strongdm_table() {
    check(&[
        (
            "access_key = \"hush-access\"",
            "",
            "9: strongdm.access_key: is missing; give it here, as access_key_file (a path) or as SDM_API_ACCESS_KEY",
        ),
        (
            "secret_key = \"aHVzaC1zZWNyZXQ=\"",
            "",
            "9: strongdm.secret_key: is missing; give it here, as secret_key_file (a path) or as SDM_API_SECRET_KEY",
        ),
        (
            "secret_key = \"aHVzaC1zZWNyZXQ=\"",
            "secret_key = \"aHVzaC1zZWNyZXQ\"",
            "11: strongdm.secret_key: is not standard base64; copy the secret key whole, as strongDM showed it",
        ),
        (
            "secret_key = \"aHVzaC1zZWNyZXQ=\"",
            "secret_key = \"hush-secret\"",
            "11: strongdm.secret_key: is not standard base64; copy the secret key whole, as strongDM showed it",
        ),
        (
            "[strongdm]",
            "[strongdm]\napi_url = \"http://app.strongdm.com\"",
            "10: strongdm.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
        ),
        (
            "[strongdm]",
            "[strongdm]\napi_url = \"app.strongdm.com:443\"",
            "10: strongdm.api_url: is no web address; write an address such as https://app.strongdm.com",
        ),
    ]);
}

#[test]
fn mistakes_of_the_store_table() {
    let url = "url = \"postgres://app:hush-store@db.example.com/grants\"";
    check(&[
        (
            url,
            "url = \"mysql://app:hush-store@db.example.com/grants\"",
            "14: store.url: must start with sqlite: or postgres://",
        ),
        (url, "url = \"oncall-grants.db\"", "14: store.url: must start with sqlite: or postgres://"),
        (
            url,
            "url = \"sqlite:\"",
            "14: store.url: names no file; write a path, such as sqlite:/var/lib/oncall-grants/oncall-grants.db",
        ),
        (
            url,
            "url = \"sqlite::memory:\"",
            "14: store.url: must be a file: a store in memory would forget its grants at every restart",
        ),
        (
            url,
            "url = \"sqlite:oncall-grants.db?mode=rwc\"",
            "14: store.url: takes no parameters; write the path alone, such as sqlite:oncall-grants.db",
        ),
        (
            url,
            "url = \"postgres:grants\"",
            "14: store.url: is no valid address; write postgres://user:password@host:port/database, with special characters of the password percent-encoded",
        ),
        (
            url,
            "url = \"postgres://app:hush-store@db.example.com:port/grants\"",
            "14: store.url: is no valid address; write postgres://user:password@host:port/database, with special characters of the password percent-encoded",
        ),
        (url, "keep = \"0s\"", "14: store.keep: must be from 1s to 36500d"),
        (url, "keep = \"200000d\"", "14: store.keep: must be from 1s to 36500d"),
    ]);
}

#[test]
fn mistakes_of_the_sync_table() {
    let line = "interval = \"1m\"";
    check(&[
        (
            line,
            "interval = 60",
            "17: sync.interval: must be a duration in quotes such as \"90s\", \"15m\" or \"7d\", not a number",
        ),
        (line, "interval = \"0s\"", "17: sync.interval: must be from 1s to 1d"),
        (line, "interval = \"2d\"", "17: sync.interval: must be from 1s to 1d"),
        (
            line,
            "interval = \"-5m\"",
            "17: sync.interval: is not a duration; write numbers and units such as \"90s\", \"15m\", \"7d\" or \"1h30m\"",
        ),
        (line, "interval = \"1500ms\"", "17: sync.interval: must be whole seconds"),
        (line, "horizon = \"91d\"", "17: sync.horizon: must be from 1s to 90d"),
        (line, "horizon = \"0s\"", "17: sync.horizon: must be from 1s to 90d"),
        (
            line,
            "horizon = \"30s\"",
            "17: sync.horizon: is shorter than sync.interval: shifts could begin unseen between two passes",
        ),
        (
            line,
            "verify_interval = \"30\"",
            "17: sync.verify_interval: is not a duration; write numbers and units such as \"90s\", \"15m\", \"7d\" or \"1h30m\"",
        ),
        (line, "verify_interval = \"0s\"", "17: sync.verify_interval: must be from 1s to 7d"),
        (
            line,
            "max_revocations = -1",
            "17: sync.max_revocations: must be a whole number from 0 to 4294967295",
        ),
        (
            line,
            "max_revocations = \"20\"",
            "17: sync.max_revocations: must be a whole number, 0 or more, not text",
        ),
        (
            line,
            "max_revocations = 2.5",
            "17: sync.max_revocations: must be a whole number, 0 or more, not a number with a fraction",
        ),
        (
            line,
            "max_revocations = 99_999_999_999",
            "17: sync.max_revocations: must be a whole number from 0 to 4294967295",
        ),
    ]);
}

#[test]
fn mistakes_of_the_rules() {
    let (schedules, policies) = ("schedules = [\"PI7DH85\"]", "escalation_policies = [\"PT20YPA\"]");
    let (names, filters) = ("resources = [\"prod-postgres\"]", "resource_filters = [\"tags:env=prod\"]");
    check(&[
        ("name = \"prod database\"", "", "19: rules[0].name: is missing; give the rule a name of its own"),
        (
            "name = \"prod database\"",
            "name = \"\"",
            "20: rules[0].name: must not be empty; write a name for the rule",
        ),
        (
            "name = \"prod database\"",
            "name = \"prod\\ndatabase\"",
            "20: rules[0].name: must not contain control characters such as line breaks",
        ),
        (
            "name = \"incident command\"",
            "name = \"prod database\"",
            "25: rules[1].name: \"prod database\" is already the name of the rule in line 20; names must be unique",
        ),
        (schedules, "", "19: rules[0].schedules: is missing; a rule names schedules or escalation_policies"),
        (
            schedules,
            "schedules = [\"PI7DH85\"]\nescalation_policies = [\"PT20YPA\"]",
            "22: rules[0].escalation_policies: schedules and escalation_policies are both given; keep one and write a second rule for the other",
        ),
        (
            schedules,
            "schedules = []",
            "21: rules[0].schedules: must not be empty; list at least one item, a PagerDuty schedule ID",
        ),
        (
            schedules,
            "schedules = \"PI7DH85\"",
            "21: rules[0].schedules: must be a list, each item a PagerDuty schedule ID, not text",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\", \"\"]",
            "21: rules[0].schedules[1]: must not be empty; write a PagerDuty schedule ID",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\", 7]",
            "21: rules[0].schedules[1]: must be a PagerDuty schedule ID, not a number",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\", \" P2\"]",
            "21: rules[0].schedules[1]: must be an ID as PagerDuty shows it, without blanks",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\", \"P2\",\n  \"PI7DH85\"]",
            "22: rules[0].schedules[2]: \"PI7DH85\" is listed twice; name it once",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\"]\nescalation_levels = [1]",
            "22: rules[0].escalation_levels: belongs to escalation_policies, not to schedules; remove it",
        ),
        (
            schedules,
            "schedules = [\"PI7DH85\"]\ninclude_always_on_call = false",
            "22: rules[0].include_always_on_call: belongs to escalation_policies, not to schedules; remove it",
        ),
        (
            policies,
            "escalation_policies = []",
            "26: rules[1].escalation_policies: must not be empty; list at least one item, a PagerDuty escalation policy ID",
        ),
        (
            policies,
            "escalation_policies = [\"PT20YPA\"]\ninclude_always_on_call = \"yes\"",
            "27: rules[1].include_always_on_call: must be true or false, not text",
        ),
        (
            "escalation_levels = [1]",
            "escalation_levels = []",
            "27: rules[1].escalation_levels: must not be empty; list at least one item, a level such as 1",
        ),
        (
            "escalation_levels = [1]",
            "escalation_levels = 1",
            "27: rules[1].escalation_levels: must be a list, each item a level such as 1, not a number",
        ),
        (
            "escalation_levels = [1]",
            "escalation_levels = [0, -1, \"2\"]",
            "27: rules[1].escalation_levels[0]: must be a whole number from 1 to 4294967295\n\
             27: rules[1].escalation_levels[1]: must be a whole number from 1 to 4294967295\n\
             27: rules[1].escalation_levels[2]: must be a whole number, 1 or more, not text",
        ),
        (
            "escalation_levels = [1]",
            "escalation_levels = [1, 2, 1]",
            "27: rules[1].escalation_levels[2]: level 1 is listed twice; name it once",
        ),
        (names, "", "19: rules[0].resources: is missing; a rule names resources, resource_filters or both"),
        (
            names,
            "resources = []",
            "22: rules[0].resources: must not be empty; list at least one item, an exact strongDM resource name",
        ),
        (
            names,
            "resources = [\"prod-*\"]",
            "22: rules[0].resources[0]: must be an exact resource name, without *, \", \\, comma or control characters; for patterns there is resource_filters",
        ),
        (
            names,
            "resources = ['say \"x\"', 'a\\b', \"a,b\", \"a\\tb\"]",
            "22: rules[0].resources[0]: must be an exact resource name, without *, \", \\, comma or control characters; for patterns there is resource_filters\n\
             22: rules[0].resources[1]: must be an exact resource name, without *, \", \\, comma or control characters; for patterns there is resource_filters\n\
             22: rules[0].resources[2]: must be an exact resource name, without *, \", \\, comma or control characters; for patterns there is resource_filters\n\
             22: rules[0].resources[3]: must be an exact resource name, without *, \", \\, comma or control characters; for patterns there is resource_filters",
        ),
        (
            names,
            "resources = [\"prod-postgres\", \"prod-postgres\"]",
            "22: rules[0].resources[1]: \"prod-postgres\" is listed twice; name it once",
        ),
        (
            filters,
            "resource_filters = [\" \"]",
            "28: rules[1].resource_filters[0]: must not be empty; write a strongDM filter expression",
        ),
        (
            filters,
            "resource_filters = [\"tags:\\nenv=prod\"]",
            "28: rules[1].resource_filters[0]: must not contain control characters such as line breaks",
        ),
        (
            names,
            "resources = [\"a\"]\nstart_early = \"-1m\"",
            "23: rules[0].start_early: is not a duration; write numbers and units such as \"90s\", \"15m\", \"7d\" or \"1h30m\"",
        ),
        (names, "resources = [\"a\"]\nend_late = \"91d\"", "23: rules[0].end_late: must be from 0s to 90d"),
    ]);
}

#[test]
fn a_file_without_rules_is_refused() {
    let (before, _) = SOUND.split_once("[[rules]]").unwrap();
    let world = World::default();
    insta::assert_snapshot!(world.mistakes(before), @r#"etc/grants.toml:1: rules: there is no rule; write at least one [[rules]] table"#);
    insta::assert_snapshot!(world.mistakes(&format!("rules = []\n{before}")), @r#"etc/grants.toml:1: rules: must not be empty; list at least one item, a table headed [[rules]]"#);
    insta::assert_snapshot!(world.mistakes(&format!("{before}[rules]\nname = \"a\"")), @r#"etc/grants.toml:19: rules: must be a list, each item a table headed [[rules]], not a table"#);
    insta::assert_snapshot!(world.mistakes(&format!("rules = [7]\n{before}")), @r#"etc/grants.toml:1: rules[0]: must be a table, not a number"#);
}

#[test]
fn mistakes_of_the_accounts_table() {
    let line = "aliases = { \"al@pd.example.com\" = \"alice@example.com\" }";
    check(&[
        (line, "aliases = [\"al@pd.example.com\"]", "31: accounts.aliases: must be a table, not a list"),
        (
            line,
            "aliases = { \"al\" = \"alice@example.com\" }",
            "31: accounts.aliases.al: the PagerDuty address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)",
        ),
        (
            line,
            "aliases = { \"*@pd.example.com\" = \"alice\" }",
            "31: accounts.aliases.\"*@pd.example.com\": the PagerDuty address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)\n\
             31: accounts.aliases.\"*@pd.example.com\": the strongDM address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)",
        ),
        (
            line,
            "aliases = { \"al@pd.example.com\" = 1 }",
            "31: accounts.aliases.\"al@pd.example.com\": must be the strongDM e-mail address in quotes, not a number",
        ),
        (
            line,
            "[accounts.aliases]\n\"al@pd.example.com\" = \"a@example.com\"\n\"AL@pd.example.com\" = \"b@example.com\"",
            "33: accounts.aliases.\"AL@pd.example.com\": is the address of line 32 in other letters; case does not count",
        ),
    ]);
}

#[test]
fn an_empty_file_names_everything_that_must_be_given() {
    insta::assert_snapshot!(World::default().mistakes(""), @r#"
etc/grants.toml:1: pagerduty.token: is missing; give it here, as token_file (a path) or as PAGERDUTY_TOKEN
etc/grants.toml:1: rules: there is no rule; write at least one [[rules]] table
etc/grants.toml:1: server.admin_token: is missing; give it here, as admin_token_file (a path) or as ONCALL_GRANTS_ADMIN_TOKEN
etc/grants.toml:1: strongdm.access_key: is missing; give it here, as access_key_file (a path) or as SDM_API_ACCESS_KEY
etc/grants.toml:1: strongdm.secret_key: is missing; give it here, as secret_key_file (a path) or as SDM_API_SECRET_KEY
"#);
}

#[test]
fn the_environment_wins_over_the_file() {
    let world = World::default()
        .variable("ONCALL_GRANTS_LISTEN", "[::1]:9000")
        .variable("ONCALL_GRANTS_ADMIN_TOKEN", "admin-2")
        .variable("PAGERDUTY_TOKEN", "pagerduty-2")
        .variable("PAGERDUTY_WEBHOOK_SECRETS", "webhook-2, webhook-3")
        .variable("SDM_API_ACCESS_KEY", " access-2\n")
        .variable("SDM_API_SECRET_KEY", "c2VjcmV0LTI=\n")
        .variable("ONCALL_GRANTS_STORE_URL", "sqlite:///var/lib/oncall-grants/store.db");
    // The file that the environment replaces need not even exist.
    let text = with("admin_token = \"hush-admin\"", "admin_token_file = \"nowhere\"");
    let config = world.parse(&text).unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:9000");
    assert_eq!(config.server.admin_token.expose_secret(), "admin-2");
    assert_eq!(config.pagerduty.token.expose_secret(), "pagerduty-2");
    let secrets: Vec<_> = config.pagerduty.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["webhook-2", "webhook-3"]);
    assert_eq!(config.strongdm.access_key.expose_secret(), "access-2");
    assert_eq!(config.strongdm.secret_key.expose_secret(), b"secret-2");
    assert_eq!(config.store.kind, StoreKind::Sqlite { path: "/var/lib/oncall-grants/store.db".into() });
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let world = World::default()
        .variable("ONCALL_GRANTS_LISTEN", "here")
        .variable("ONCALL_GRANTS_ADMIN_TOKEN", "")
        .variable("PAGERDUTY_TOKEN", "hush-pagerduty\nX-Other: 1")
        .variable("PAGERDUTY_WEBHOOK_SECRETS", "hush-webhook,")
        .variable("SDM_API_ACCESS_KEY", "\n")
        .variable("SDM_API_SECRET_KEY", "hush-secret")
        .variable("ONCALL_GRANTS_STORE_URL", "hush-store");
    insta::assert_snapshot!(world.mistakes(SOUND), @r#"
environment variable ONCALL_GRANTS_ADMIN_TOKEN (server.admin_token): is set but empty; give it a value or unset it
environment variable ONCALL_GRANTS_LISTEN (server.listen): must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
environment variable ONCALL_GRANTS_STORE_URL (store.url): must start with sqlite: or postgres://
environment variable PAGERDUTY_TOKEN (pagerduty.token): must be visible ASCII characters without blanks or line breaks
environment variable PAGERDUTY_WEBHOOK_SECRETS (pagerduty.webhook_secrets): holds an empty secret; separate secrets by single commas
environment variable SDM_API_ACCESS_KEY (strongdm.access_key): is set but empty; give it a value or unset it
environment variable SDM_API_SECRET_KEY (strongdm.secret_key): is not standard base64; copy the secret key whole, as strongDM showed it
"#);
}

#[test]
fn secrets_may_stand_in_files_of_their_own() {
    let text = with("admin_token = \"hush-admin\"", "admin_token_file = \"/run/secrets/admin\"")
        .replace("token = \"hush-pagerduty\"", "token_file = \"pagerduty\"")
        .replace("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets_file = \"webhook\"")
        .replace("access_key = \"hush-access\"", "access_key_file = \"access\"")
        .replace("secret_key = \"aHVzaC1zZWNyZXQ=\"", "secret_key_file = \"secret\"")
        .replace("url = \"postgres://app:hush-store@db.example.com/grants\"", "url_file = \"store\"");
    let world = World::default()
        .file("/run/secrets/admin", "hush-admin\n")
        .file("etc/pagerduty", "hush-pagerduty\r\n")
        .file("etc/webhook", "hush-webhook\n\n  hush-webhook-2\r\n\n")
        .file("etc/access", "hush-access")
        .file("etc/secret", "  aHVzaC1zZWNyZXQ=\n\n")
        .file("etc/store", "sqlite:a b.db\n");
    let config = world.parse(&text).unwrap();
    assert_eq!(config.server.admin_token.expose_secret(), "hush-admin");
    assert_eq!(config.pagerduty.token.expose_secret(), "hush-pagerduty");
    let secrets: Vec<_> = config.pagerduty.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["hush-webhook", "hush-webhook-2"]);
    assert_eq!(config.strongdm.access_key.expose_secret(), "hush-access");
    assert_eq!(config.strongdm.secret_key.expose_secret(), b"hush-secret");
    assert_eq!(config.store.kind, StoreKind::Sqlite { path: "a b.db".into() });

    let world = World::default()
        .file("/run/secrets/admin", "\n")
        .file("etc/pagerduty", "hush-pagerduty\n\n")
        .file("etc/webhook", "\n\n")
        .file("etc/access", "")
        .file("etc/secret", "hush-secret\n");
    insta::assert_snapshot!(world.mistakes(&text), @r#"
etc/grants.toml:3: server.admin_token_file: the file is empty
etc/grants.toml:6: pagerduty.token_file: must be visible ASCII characters without blanks or line breaks
etc/grants.toml:7: pagerduty.webhook_secrets_file: the file is empty
etc/grants.toml:10: strongdm.access_key_file: the file is empty
etc/grants.toml:11: strongdm.secret_key_file: is not standard base64; copy the secret key whole, as strongDM showed it
etc/grants.toml:14: store.url_file: the file cannot be read: entity not found (a relative path starts beside the configuration file)
"#);
}

#[test]
fn paths_of_certificates_start_beside_the_file() {
    let tls = "tls_cert = \"tls/server.pem\"\ntls_key = \"/keys/server.key\"\n\
               client_ca = \"ca.pem\"\nclient_names = [\"webhooks.example.com\"]";
    let config = World::default().parse(&with("listen = \"127.0.0.1:8080\"", tls)).unwrap();
    let Tls { cert, key, client } = config.server.tls.unwrap();
    let ClientAuth { ca, names } = client.unwrap();
    assert_eq!(cert, Path::new("etc/tls/server.pem"));
    assert_eq!(key, Path::new("/keys/server.key"));
    assert_eq!(ca, Path::new("etc/ca.pem"));
    assert_eq!(names, ["webhooks.example.com"]);
}

#[test]
fn what_an_operator_may_well_write_is_accepted() {
    for (line, replacement) in [
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://localhost:9000/\""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://127.8.0.1:9000\""),
        ("[strongdm]", "[strongdm]\napi_url = \"http://[::1]:9000\""),
        ("[strongdm]", "[strongdm]\napi_url = \"https://app.eu.strongdm.com:443\""),
        ("interval = \"1m\"", "interval = \"1h30m\"\nmax_revocations = 1_000"),
        ("interval = \"1m\"", "interval = \"1s\"\nhorizon = \"1s\"\nmax_revocations = 0"),
        (
            "resources = [\"prod-postgres\"]",
            "resources = [\"Prod Postgres (EU)\"]\nresource_filters = [\"name:prod*\"]",
        ),
        (
            "url = \"postgres://app:hush-store@db.example.com/grants\"",
            "url = \"postgresql:///grants?host=/run/pg\"",
        ),
        ("listen = \"127.0.0.1:8080\"", "public_url = \"http://127.0.0.1:8080\""),
    ] {
        World::default().parse(&with(line, replacement)).unwrap();
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", World::default().parse(SOUND).unwrap());
    assert!(shown.contains("PI7DH85"), "{shown}");
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} is shown in: {shown}");
    }
    // Neither as the numbers of its bytes.
    assert!(!shown.contains("104, 117, 115, 104"), "{shown}");
}

#[test]
fn a_secret_pasted_anywhere_is_not_shown() {
    let keys = schema::TABLES.into_iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, *key)));
    for (table, key) in keys.chain([("server", "unknown"), ("rules", "unknown"), ("accounts", "aliases.x")]) {
        let head = match table {
            "" => String::new(),
            "rules" => "[[rules]]\n".to_owned(),
            _ => format!("[{table}]\n"),
        };
        for secret in SECRETS {
            for text in [
                format!("{head}{key} = \"{secret}\""),
                format!("{head}{key} = [\"{secret}\"]"),
                format!("{head}{key} = {{ name = \"{secret}\" }}"),
                format!("{head}{key} = [{{ name = \"{secret}\" }}]"),
                format!("{head}{key} = \"https://{secret}@host/{secret}\""),
                format!("{head}{key} = \"{secret}\\n\""),
                format!("{head}{key} = \"{secret}"),
                format!("{head}{key} = {secret}"),
                format!("{head}{key} = \"\"\n{key} = \"{secret}\""),
            ] {
                World::default().mistakes(&text);
            }
        }
    }
}

#[test]
fn the_file_is_looked_for_in_order() {
    let (here, system) =
        (Path::new("oncall-grants.toml"), Path::new("/etc/oncall-grants/oncall-grants.toml"));
    let set = |name: &str| (name == FILE_VARIABLE).then(|| "from-env.toml".to_owned());
    let unset = |_: &str| None;
    let given = Some(Path::new("given.toml"));
    assert_eq!(find(given, &set, &|_| true).unwrap(), Path::new("given.toml"));
    assert_eq!(find(None, &set, &|_| true).unwrap(), Path::new("from-env.toml"));
    assert_eq!(find(None, &unset, &|_| true).unwrap(), here);
    assert_eq!(find(None, &unset, &|path| path == system).unwrap(), system);
    insta::assert_snapshot!(find(None, &unset, &|_| false).unwrap_err(), @r#"no configuration: there is neither ./oncall-grants.toml nor /etc/oncall-grants/oncall-grants.toml; name one with --config or ONCALL_GRANTS_CONFIG"#);
    insta::assert_snapshot!(find(None, &|_| Some(String::new()), &|_| true).unwrap_err(), @r#"environment variable ONCALL_GRANTS_CONFIG: must not be empty"#);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grants.toml");
    let shown = |error: Error| error.to_string().replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @r#"FOLDER/grants.toml:1: cannot be read: No such file or directory (os error 2)"#);
    fs::write(&file, b"[server]\n# caf\xe9\n").unwrap();
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @r#"FOLDER/grants.toml:2: is not UTF-8 text"#);
    fs::write(folder.path().join("admin"), "from-file\n").unwrap();
    fs::write(&file, with("admin_token = \"hush-admin\"", "admin_token_file = \"admin\"")).unwrap();
    assert_eq!(load(Some(&file), &|_| None).unwrap().server.admin_token.expose_secret(), "from-file");
}

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
        let error = self.parse(text).expect_err(text).to_string();
        for secret in SECRETS {
            assert!(!error.contains(secret), "{secret} is shown in: {error}");
        }
        error
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
    insta::assert_snapshot!(World::default().mistakes(&text), @"");
}

#[test]
fn syntax_mistakes_name_their_line() {
    check(&[
        ("listen = \"127.0.0.1:8080\"", "listen = 127.0.0.1:8080", ""),
        ("admin_token = \"hush-admin\"", "admin_token = \"hush-admin", ""),
        ("admin_token = \"hush-admin\"", "listen = \"127.0.0.1:8080\"", ""),
    ]);
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    check(&[
        ("[store]", "[stores]", ""),
        ("token = \"hush-pagerduty\"", "token = \"hush-pagerduty\"\ntoken_flie = \"x\"", ""),
        ("schedules = [\"PI7DH85\"]", "schedules = [\"PI7DH85\"]\n\"odd key\" = 1", ""),
        ("[accounts]", "[accounts]\nalias = {}", ""),
    ]);
}

#[test]
fn mistakes_of_the_server_table() {
    check(&[
        ("listen = \"127.0.0.1:8080\"", "listen = \"localhost:8080\"", ""),
        ("listen = \"127.0.0.1:8080\"", "listen = 8080", ""),
        ("listen = \"127.0.0.1:8080\"", "listen = \" \"", ""),
        ("admin_token = \"hush-admin\"", "", ""),
        ("admin_token = \"hush-admin\"", "admin_token = \"\"", ""),
        ("admin_token = \"hush-admin\"", "admin_token = \"hush-admin two\"", ""),
        (
            "admin_token = \"hush-admin\"",
            "admin_token = \"hush-admin\"\nadmin_token_file = \"hush-admin\"",
            "",
        ),
        ("admin_token = \"hush-admin\"", "admin_token_file = \"hush-admin\"", ""),
        ("listen = \"127.0.0.1:8080\"", "public_url = \"grants.example.com\"", ""),
        ("listen = \"127.0.0.1:8080\"", "public_url = \"https://grants.example.com/webhooks/pagerduty\"", ""),
        ("listen = \"127.0.0.1:8080\"", "tls_cert = \"a.pem\"", ""),
        ("listen = \"127.0.0.1:8080\"", "tls_key = \"a.key\"", ""),
        ("listen = \"127.0.0.1:8080\"", "client_ca = \"a.pem\"", ""),
        ("listen = \"127.0.0.1:8080\"", "client_names = [\"a\"]\nclient_ca = \"a.pem\"", ""),
        (
            "listen = \"127.0.0.1:8080\"",
            "tls_cert = \"a.pem\"\ntls_key = \"a.key\"\nclient_ca = \"a.pem\"\nclient_names = []",
            "",
        ),
        ("[server]", "server = \"x\"\n[serve]", ""),
        ("[server]", "[[server]]", ""),
    ]);
}

#[test]
fn mistakes_of_the_pagerduty_table() {
    check(&[
        ("token = \"hush-pagerduty\"", "", ""),
        ("token = \"hush-pagerduty\"", "token = \"\"", ""),
        ("token = \"hush-pagerduty\"", "token = [\"hush-pagerduty\"]", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"api.pagerduty.com\"", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"ftp://api.pagerduty.com\"", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://api.pagerduty.com\"", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://128.0.0.1:80\"", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"https://me:hush-admin@api.pagerduty.com\"", ""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"https://api.pagerduty.com?a=b\"", ""),
        ("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets = []", ""),
        ("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets = [\"hush-webhook\", \"\"]", ""),
        ("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets = \"hush-webhook\"", ""),
        ("[pagerduty]", "[pagerduty]\nwebhook_secrets_file = \"hush-webhook\"", ""),
    ]);
}

#[test]
fn mistakes_of_the_strongdm_table() {
    check(&[
        ("access_key = \"hush-access\"", "", ""),
        ("secret_key = \"aHVzaC1zZWNyZXQ=\"", "", ""),
        ("secret_key = \"aHVzaC1zZWNyZXQ=\"", "secret_key = \"aHVzaC1zZWNyZXQ\"", ""),
        ("secret_key = \"aHVzaC1zZWNyZXQ=\"", "secret_key = \"hush-secret\"", ""),
        ("[strongdm]", "[strongdm]\napi_url = \"http://app.strongdm.com\"", ""),
        ("[strongdm]", "[strongdm]\napi_url = \"app.strongdm.com:443\"", ""),
    ]);
}

#[test]
fn mistakes_of_the_store_table() {
    let url = "url = \"postgres://app:hush-store@db.example.com/grants\"";
    check(&[
        (url, "url = \"mysql://app:hush-store@db.example.com/grants\"", ""),
        (url, "url = \"oncall-grants.db\"", ""),
        (url, "url = \"sqlite:\"", ""),
        (url, "url = \"sqlite::memory:\"", ""),
        (url, "url = \"sqlite:oncall-grants.db?mode=rwc\"", ""),
        (url, "url = \"postgres:grants\"", ""),
        (url, "url = \"postgres://app:hush-store@db.example.com:port/grants\"", ""),
        (url, "keep = \"0s\"", ""),
        (url, "keep = \"200000d\"", ""),
    ]);
}

#[test]
fn mistakes_of_the_sync_table() {
    let line = "interval = \"1m\"";
    check(&[
        (line, "interval = 60", ""),
        (line, "interval = \"0s\"", ""),
        (line, "interval = \"2d\"", ""),
        (line, "interval = \"-5m\"", ""),
        (line, "interval = \"1500ms\"", ""),
        (line, "horizon = \"91d\"", ""),
        (line, "horizon = \"0s\"", ""),
        (line, "horizon = \"30s\"", ""),
        (line, "verify_interval = \"30\"", ""),
        (line, "verify_interval = \"0s\"", ""),
        (line, "max_revocations = -1", ""),
        (line, "max_revocations = \"20\"", ""),
        (line, "max_revocations = 2.5", ""),
        (line, "max_revocations = 99_999_999_999", ""),
    ]);
}

#[test]
fn mistakes_of_the_rules() {
    let (schedules, policies) = ("schedules = [\"PI7DH85\"]", "escalation_policies = [\"PT20YPA\"]");
    let (names, filters) = ("resources = [\"prod-postgres\"]", "resource_filters = [\"tags:env=prod\"]");
    check(&[
        ("name = \"prod database\"", "", ""),
        ("name = \"prod database\"", "name = \"\"", ""),
        ("name = \"prod database\"", "name = \"prod\\ndatabase\"", ""),
        ("name = \"incident command\"", "name = \"prod database\"", ""),
        (schedules, "", ""),
        (schedules, "schedules = [\"PI7DH85\"]\nescalation_policies = [\"PT20YPA\"]", ""),
        (schedules, "schedules = []", ""),
        (schedules, "schedules = \"PI7DH85\"", ""),
        (schedules, "schedules = [\"PI7DH85\", \"\"]", ""),
        (schedules, "schedules = [\"PI7DH85\", 7]", ""),
        (schedules, "schedules = [\"PI7DH85\", \" P2\"]", ""),
        (schedules, "schedules = [\"PI7DH85\", \"P2\",\n  \"PI7DH85\"]", ""),
        (schedules, "schedules = [\"PI7DH85\"]\nescalation_levels = [1]", ""),
        (schedules, "schedules = [\"PI7DH85\"]\ninclude_always_on_call = false", ""),
        (policies, "escalation_policies = []", ""),
        (policies, "escalation_policies = [\"PT20YPA\"]\ninclude_always_on_call = \"yes\"", ""),
        ("escalation_levels = [1]", "escalation_levels = []", ""),
        ("escalation_levels = [1]", "escalation_levels = 1", ""),
        ("escalation_levels = [1]", "escalation_levels = [0, -1, \"2\"]", ""),
        ("escalation_levels = [1]", "escalation_levels = [1, 2, 1]", ""),
        (names, "", ""),
        (names, "resources = []", ""),
        (names, "resources = [\"prod-*\"]", ""),
        (names, "resources = ['say \"x\"', 'a\\b', \"a,b\", \"a\\tb\"]", ""),
        (names, "resources = [\"prod-postgres\", \"prod-postgres\"]", ""),
        (filters, "resource_filters = [\" \"]", ""),
        (filters, "resource_filters = [\"tags:\\nenv=prod\"]", ""),
        (names, "resources = [\"a\"]\nstart_early = \"-1m\"", ""),
        (names, "resources = [\"a\"]\nend_late = \"91d\"", ""),
    ]);
}

#[test]
fn a_file_without_rules_is_refused() {
    let (before, _) = SOUND.split_once("[[rules]]").unwrap();
    let world = World::default();
    insta::assert_snapshot!(world.mistakes(before), @"");
    insta::assert_snapshot!(world.mistakes(&format!("rules = []\n{before}")), @"");
    insta::assert_snapshot!(world.mistakes(&format!("{before}[rules]\nname = \"a\"")), @"");
    insta::assert_snapshot!(world.mistakes(&format!("rules = [7]\n{before}")), @"");
}

#[test]
fn mistakes_of_the_accounts_table() {
    let line = "aliases = { \"al@pd.example.com\" = \"alice@example.com\" }";
    check(&[
        (line, "aliases = [\"al@pd.example.com\"]", ""),
        (line, "aliases = { \"al\" = \"alice@example.com\" }", ""),
        (line, "aliases = { \"*@pd.example.com\" = \"alice\" }", ""),
        (line, "aliases = { \"al@pd.example.com\" = 1 }", ""),
        (
            line,
            "[accounts.aliases]\n\"al@pd.example.com\" = \"a@example.com\"\n\"AL@pd.example.com\" = \"b@example.com\"",
            "",
        ),
    ]);
}

#[test]
fn an_empty_file_names_everything_that_must_be_given() {
    insta::assert_snapshot!(World::default().mistakes(""), @"");
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
    insta::assert_snapshot!(world.mistakes(SOUND), @"");
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
    insta::assert_snapshot!(world.mistakes(&text), @"");
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

proptest::proptest! {
    /// Whatever is cut out of the file or doubled in it, a message never carries a secret's value.
    #[test]
    fn no_message_shows_a_secret(start in 0..SOUND.len(), length in 0..200_usize, doubled: bool) {
        let end = (start + length).min(SOUND.len());
        let again = if doubled { start } else { end };
        let text = format!("{}{}", &SOUND[..end.min(if doubled { end } else { start })], &SOUND[again..]);
        let shown = match World::default().parse(&text) {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error}\n{error:?}"),
        };
        for secret in SECRETS {
            proptest::prop_assert!(!shown.contains(secret), "{} is shown in: {}", secret, shown);
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
    insta::assert_snapshot!(find(None, &unset, &|_| false).unwrap_err(), @"");
    insta::assert_snapshot!(find(None, &|_| Some(String::new()), &|_| true).unwrap_err(), @"");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grants.toml");
    let shown = |error: Error| error.to_string().replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @"");
    fs::write(&file, b"[server]\n# caf\xe9\n").unwrap();
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @"");
    fs::write(folder.path().join("admin"), "from-file\n").unwrap();
    fs::write(&file, with("admin_token = \"hush-admin\"", "admin_token_file = \"admin\"")).unwrap();
    assert_eq!(load(Some(&file), &|_| None).unwrap().server.admin_token.expose_secret(), "from-file");
}

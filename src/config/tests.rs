//! What a configuration gives, where it is found, and that no secret is ever shown.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret;

use super::*;
use crate::{
    evidence::SigningKey,
    model::{
        Group, IncidentSelector, IncidentUrgency, KubernetesGroups, PeopleSelector, ResourceSelector, Role,
    },
    tls::ClientAuth,
};

mod mistakes;

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

const SECRETS: [&str; 8] = [
    "hush-trigger",
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
    files: BTreeMap<&'static str, String>,
}

impl World {
    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn file(mut self, path: &'static str, text: impl Into<String>) -> Self {
        self.files.insert(path, text.into());
        self
    }

    fn parse(&self, text: &str) -> Result<Config, Error> {
        let env = |name: &str| self.variables.get(name).map(ToString::to_string);
        let read = |path: &Path| {
            let text = self.files.get(path.to_str().unwrap());
            text.map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        parse(Path::new("etc/grants.toml"), text, &env, &read)
    }

    fn mistakes(&self, text: &str) -> String {
        let error = self.parse(text).expect_err(text);
        let shown = format!("{error}\n{error:?}");
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} is shown in: {shown}");
        }
        // Messages say where relative paths start.
        let here = std::env::current_dir().unwrap();
        error.to_string().replace(here.to_str().unwrap(), "HERE")
    }

    /// The same with a certificate, its key and an authority where the cases and the example look for them.
    fn certificates(mut self) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for folder in ["etc", "etc/tls", "/keys"] {
            for (name, text) in [
                ("server.pem", made.cert.pem()),
                ("clients.pem", made.cert.pem()),
                ("server.key", made.signing_key.serialize_pem()),
            ] {
                let path: &'static str = Box::leak(format!("{folder}/{name}").into_boxed_str());
                self = self.file(path, text);
            }
        }
        self
    }
}

fn with(line: &str, replacement: &str) -> String {
    assert!(SOUND.contains(line), "{line}");
    SOUND.replacen(line, replacement, 1)
}

fn is_file(config: &Config, name: &str) -> bool {
    matches!(&config.store.address, Address::Sqlite { path } if path == Path::new(name))
}

#[test]
fn the_sound_file_is_read_with_its_defaults() {
    let config = World::default().parse(SOUND).unwrap();
    let Config { file, server, pagerduty, strongdm, store, sync, rules, aliases, audit, notices } = &config;
    assert_eq!(file, Path::new("etc/grants.toml"));
    assert_eq!(server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(server.admin_token.expose_secret(), "hush-admin");
    assert!(server.public_url.is_none() && server.tls.is_none());
    assert_eq!(server.idle_timeout, TimeDelta::seconds(75));
    assert_eq!(pagerduty.api_url.as_str(), "https://api.pagerduty.com/");
    assert_eq!(key(&config), "hush-pagerduty");
    assert_eq!(pagerduty.webhook_secrets.len(), 1);
    assert_eq!(strongdm.api_url.as_str(), "https://app.strongdm.com/");
    assert_eq!(strongdm.access_key.expose_secret(), "hush-access");
    assert_eq!(strongdm.secret_key.expose_secret(), b"hush-secret");
    assert!(matches!(store.address, Address::Postgres { .. }));
    assert_eq!(store.keep, TimeDelta::days(90));
    assert_eq!(sync.interval, TimeDelta::minutes(1));
    assert_eq!(sync.horizon, TimeDelta::days(7));
    assert_eq!(sync.verify_interval, TimeDelta::minutes(15));
    assert_eq!((sync.max_revocations, sync.max_filter_matches), (20, 1000));
    assert!(audit.signing_key.is_none() && notices.is_empty());
    let expected = [
        Rule {
            name: "prod database".into(),
            people: PeopleSelector::Schedules(vec!["PI7DH85".into()]),
            resources: vec![ResourceSelector::Name("prod-postgres".into())],
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        },
        Rule {
            name: "incident command".into(),
            people: PeopleSelector::Policies {
                ids: vec!["PT20YPA".into()],
                levels: vec![1],
                include_always_on_call: false,
            },
            resources: vec![ResourceSelector::Filter("tags:env=prod".into())],
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        },
    ];
    assert_eq!(*rules, expected);
    assert_eq!(aliases.account_email("AL@pd.example.com").unwrap().as_str(), "alice@example.com");
}

#[test]
fn whole_domains_are_mapped_beside_single_addresses() {
    let text = with("[accounts]", "[accounts]\ndomain_aliases = { \"PD.example.com\" = \"Example.com\" }");
    let aliases = World::default().parse(&text).unwrap().aliases;
    for (raw, email) in [("AL@pd.example.com", "alice@example.com"), ("bo@Pd.example.com", "bo@example.com")]
    {
        assert_eq!(aliases.account_email(raw).unwrap().as_str(), email);
    }
}

/// The API key that PagerDuty is asked with.
fn key(config: &Config) -> &str {
    match &config.pagerduty.credentials {
        Credentials::Key(key) => key.expose_secret(),
        Credentials::App(_) => panic!("an OAuth app is configured"),
    }
}

#[test]
fn the_public_url_may_have_a_path() {
    for (given, read) in [
        ("https://grants.example.com", "https://grants.example.com/"),
        ("https://example.com:8443/ops/grants/", "https://example.com:8443/ops/grants"),
    ] {
        let config =
            World::default().parse(&with("[server]", &format!("[server]\npublic_url = {given:?}"))).unwrap();
        assert_eq!(config.server.public_url.unwrap().as_str(), read);
    }
}

#[test]
fn an_oauth_app_takes_the_place_of_the_key() {
    let app = "client_id = \"hush-id\"\nclient_secret_file = \"app\"\nsubdomain = \"acme-2\"";
    let text = with("token = \"hush-pagerduty\"", app);
    let world = || World::default().file("etc/app", "hush-app\n");
    let given = |world: World| {
        let config = world.parse(&text).unwrap();
        assert!(!format!("{config:?}").contains("hush"), "{config:?}");
        let Credentials::App(app) = config.pagerduty.credentials else { panic!("a key is configured") };
        app
    };
    let app = given(world());
    assert_eq!((app.client_id.expose_secret(), app.client_secret.expose_secret()), ("hush-id", "hush-app"));
    assert_eq!(
        (app.subdomain.as_str(), app.identity_url.as_str()),
        ("acme-2", "https://identity.pagerduty.com/")
    );
    let app =
        given(world().variable("PAGERDUTY_CLIENT_ID", "id-2").variable("PAGERDUTY_CLIENT_SECRET", "'app-2'"));
    assert_eq!((app.client_id.expose_secret(), app.client_secret.expose_secret()), ("id-2", "app-2"));
    let both = world().variable("PAGERDUTY_TOKEN", "hush-pagerduty").mistakes(&text);
    assert_eq!(
        both,
        "environment variable PAGERDUTY_TOKEN (pagerduty.token): is a key, and there is an OAuth app as well (client_id, \
         client_secret, subdomain); keep one of the two"
    );
}

#[test]
fn what_is_not_given_takes_its_default() {
    let text = with("listen = \"127.0.0.1:8080\"", "").replace("interval = \"1m\"", "");
    let text = text.replace("url = \"postgres://app:hush-store@db.example.com/grants\"", "");
    let config = World::default().parse(&text.replace("webhook_secrets = [\"hush-webhook\"]", "")).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.sync.interval, TimeDelta::minutes(1));
    assert!(is_file(&config, "oncall-grants.db"));
    assert!(config.pagerduty.webhook_secrets.is_empty());
}

const EXAMPLE: &str = include_str!("../../oncall-grants.example.toml");

#[test]
fn a_rule_about_incidents_is_read_with_its_defaults() {
    let read = |lines: &str| {
        let rule = format!("[[rules]]\nname = \"i\"\nresources = [\"db\"]\n{lines}\n\n[accounts]");
        World::default().parse(&with("[accounts]", &rule)).unwrap().rules.remove(2)
    };
    let defaults = IncidentSelector {
        services: vec!["PS".into()],
        urgencies: BTreeSet::from([IncidentUrgency::High]),
        priorities: Vec::new(),
        roles: BTreeSet::from([Role::Assignee]),
        eligible: Vec::new(),
        max_duration: TimeDelta::hours(4),
        max_people: 10,
    };
    let rule = read("start_early = \"0s\"\n[rules.incidents]\nservices = [\"PS\"]");
    assert_eq!(
        (rule.people, rule.end_late),
        (PeopleSelector::Incidents(defaults.clone()), TimeDelta::minutes(15))
    );
    let everything = "end_late = \"0s\"\n[rules.incidents]\nservices = [\"PS\"]\nurgencies = [\"low\", \"high\"]\n\
                      priorities = [\"P1\"]\npeople = [\"assignees\", \"acknowledgers\", \"responders\"]\n\
                      max_duration = \"1h\"\nmax_people = 1\n\
                      eligible = { teams = [\"PT\"], schedules = [\"PS\"], escalation_policies = [\"PP\"] }";
    let expected = IncidentSelector {
        urgencies: BTreeSet::from([IncidentUrgency::High, IncidentUrgency::Low]),
        priorities: vec!["P1".into()],
        roles: BTreeSet::from([Role::Assignee, Role::Acknowledger, Role::Responder]),
        eligible: vec![Group::Team("PT".into()), Group::Schedule("PS".into()), Group::Policy("PP".into())],
        max_duration: TimeDelta::hours(1),
        max_people: 1,
        ..defaults
    };
    let rule = read(everything);
    assert_eq!((rule.people, rule.end_late), (PeopleSelector::Incidents(expected), TimeDelta::zero()));
}

#[test]
fn the_example_shows_every_key_and_is_sound_but_for_its_placeholders() {
    insta::assert_snapshot!(World::default().mistakes(EXAMPLE), @r#"
    etc/grants.toml:23: server.admin_token: is still the placeholder of the example; put your own in its place
    etc/grants.toml:74: pagerduty.token: is still the placeholder of the example; put your own in its place
    etc/grants.toml:92: strongdm.access_key: is still the placeholder of the example; put your own in its place
    etc/grants.toml:94: strongdm.secret_key: is still the placeholder of the example; put your own in its place
    "#);
    let world = World::default()
        .variable("ONCALL_GRANTS_ADMIN_TOKEN", "admin")
        .variable("PAGERDUTY_TOKEN", "pagerduty")
        .variable("SDM_API_ACCESS_KEY", "access")
        .variable("SDM_API_SECRET_KEY", "c2VjcmV0");
    assert_eq!(world.parse(EXAMPLE).unwrap().rules.len(), 3);

    let mut shown = BTreeSet::new();
    let mut table = "";
    for line in EXAMPLE.lines() {
        if line.trim_start_matches("# ").starts_with('[') {
            table = line.trim_start_matches("# ").trim_matches(['[', ']']);
            shown.insert(table.rsplit_once('.').unwrap_or(("", table)));
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            shown.insert((table, key));
        }
    }
    for (table, keys) in schema::TABLES {
        for key in keys {
            assert!(shown.contains(&(table, *key)), "the example lacks {key} of [{table}]");
        }
    }
}

#[test]
fn the_alternatives_in_the_example_are_sound() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        // A key of PagerDuty is the alternative to an OAuth app.
        if line.starts_with("token = ") || line.starts_with("# token_file = ") {
            continue;
        }
        // A value that a file can replace stands right before it.
        if lines.get(index + 1).is_some_and(|next| next.starts_with("# ") && next.contains("_file = ")) {
            continue;
        }
        let alternative =
            line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('['));
        text.push_str(alternative.unwrap_or(line));
        text.push('\n');
    }
    let world = World::default()
        .certificates()
        .file("/run/secrets/admin-token", "c2VjcmV0\n")
        .file("/run/secrets/trigger-tokens", "bG9vaw\n")
        .file("/run/secrets/pagerduty-client-id", "c2VjcmV0\n")
        .file("/run/secrets/pagerduty-client-secret", "c2VjcmV0\n")
        .file("/run/secrets/pagerduty-webhook", "c2VjcmV0\n")
        .file("/var/lib/oncall-grants/audit-key", SigningKey::generate().unwrap())
        .file("/run/secrets/notices-url", "https://hooks.example.com/x\n")
        .file("/run/secrets/notices-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=\n")
        .file("/run/secrets/sdm-access-key", "c2VjcmV0\n")
        .file("/run/secrets/sdm-secret-key", "c2VjcmV0\n")
        .file("/run/secrets/store-url", "postgres://user:password@db.example.com/grants\n");
    let config = world.parse(&text).unwrap();
    assert!(config.server.tls.is_some_and(|tls| tls.client.is_some()));
    assert!(matches!(config.pagerduty.credentials, Credentials::App(_)));
    assert_eq!(config.server.admin_token.expose_secret(), "c2VjcmV0");
    assert!(matches!(config.store.address, Address::Postgres { .. }));
    assert!(config.audit.signing_key.is_some() && config.notices.len() == 1);
}

/// A known key that nothing reads would be ignored in silence.
#[test]
fn every_known_key_is_read_and_refuses_a_date() {
    for (table, keys) in schema::TABLES {
        for key in keys {
            let (text, path) = match table {
                "" => (format!("{key} = 2020-01-01"), (*key).to_owned()),
                "rules" | "notices" => {
                    (format!("[[{table}]]\n{key} = 2020-01-01"), format!("{table}[0].{key}"))
                }
                "rules.incidents" | "rules.incidents.eligible" => (
                    format!("[[rules]]\n[{table}]\n{key} = 2020-01-01"),
                    format!("{}.{key}", table.replacen("rules", "rules[0]", 1)),
                ),
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
    etc/grants.toml:2: server.lisen: unknown key; did you mean listen? allowed here: listen, admin_token, admin_token_file, trigger_tokens, trigger_tokens_file, public_url, idle_timeout, tls_cert, tls_key, client_ca, client_names
    etc/grants.toml:9: strongdm.access_key: is missing; give it here, as access_key_file (a path) or as SDM_API_ACCESS_KEY
    etc/grants.toml:17: sync.interval: must be a duration in quotes such as "90s", "15m" or "7d", not a number
    etc/grants.toml:25: rules[1].name: "prod database" is already the name of the rule in line 20; names must be unique
    etc/grants.toml:29: rules[1].escalation_levels[1]: must be a whole number from 1 to 4294967295
    "#);
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
fn an_empty_file_names_everything_that_must_be_given() {
    insta::assert_snapshot!(World::default().mistakes(""), @r#"
    etc/grants.toml:1: pagerduty.token: is missing; give it here, as token_file (a path) or as PAGERDUTY_TOKEN; or give an OAuth app: client_id, client_secret and subdomain
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
    assert_eq!(key(&config), "pagerduty-2");
    let secrets: Vec<_> = config.pagerduty.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["webhook-2", "webhook-3"]);
    assert_eq!(config.strongdm.access_key.expose_secret(), "access-2");
    assert_eq!(config.strongdm.secret_key.expose_secret(), b"secret-2");
    assert!(is_file(&config, "/var/lib/oncall-grants/store.db"));
}

fn webhook_secrets(config: &Config) -> Vec<&str> {
    config.pagerduty.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect()
}

#[test]
fn what_cannot_be_meant_as_part_of_a_secret_is_taken_away() {
    let world = World::default()
        .variable("ONCALL_GRANTS_LISTEN", "\"[::1]:9000\"")
        .variable("ONCALL_GRANTS_ADMIN_TOKEN", "\u{feff}admin-2")
        .variable("PAGERDUTY_TOKEN", "\"pagerduty-2\"")
        .variable("SDM_API_ACCESS_KEY", "'access-2'\n")
        .variable("SDM_API_SECRET_KEY", "\"c2VjcmV0LTI=\"");
    let config = world.parse(SOUND).unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:9000");
    assert_eq!(config.server.admin_token.expose_secret(), "admin-2");
    assert_eq!(key(&config), "pagerduty-2");
    assert_eq!(config.strongdm.access_key.expose_secret(), "access-2");
    assert_eq!(config.strongdm.secret_key.expose_secret(), b"secret-2");
    for text in ["one\ntwo", "'one','two'", "\"one,two\"", "\u{feff}one\r\n,\"two\"\r\n"] {
        let config = World::default().variable("PAGERDUTY_WEBHOOK_SECRETS", text).parse(SOUND).unwrap();
        assert_eq!(webhook_secrets(&config), ["one", "two"], "{text:?}");
    }
    let inline = with("[\"hush-webhook\"]", "[\"'one'\", \" two \"]");
    assert_eq!(webhook_secrets(&World::default().parse(&inline).unwrap()), ["one", "two"]);
    let text = with("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets_file = \"webhook\"");
    let world = World::default().file("etc/webhook", "\u{feff}\"one\"\n'two'\n");
    assert_eq!(webhook_secrets(&world.parse(&text).unwrap()), ["one", "two"]);
}

#[test]
fn what_cannot_be_meant_as_a_secret_is_refused() {
    let secrets = with("[\"hush-webhook\"]", "[\"hush-webhook\\nhush-webhook\", \"''\", \"'hush-webhook\"]");
    let world = World::default().variable("ONCALL_GRANTS_ADMIN_TOKEN", "\"hush-admin");
    insta::assert_snapshot!(world.mistakes(&secrets), @r#"
    environment variable ONCALL_GRANTS_ADMIN_TOKEN (server.admin_token): has a quote at its beginning or end; a secret has none
    etc/grants.toml:7: pagerduty.webhook_secrets[0]: must be one secret, without line breaks or other control characters
    etc/grants.toml:7: pagerduty.webhook_secrets[1]: must not be empty; write a secret in quotes
    etc/grants.toml:7: pagerduty.webhook_secrets[2]: has a quote at its beginning or end; a secret has none
    "#);
}

#[test]
fn the_path_that_was_tried_is_shown_unless_it_may_be_a_secret() {
    let tried = |path: &str| {
        World::default()
            .mistakes(&with("admin_token = \"hush-admin\"", &format!("admin_token_file = {path:?}")))
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens/admin");
    assert!(tried(path.to_str().unwrap()).ends_with(&format!("entity not found; tried {}", path.display())));
    assert!(tried("/hush-admin/x").ends_with("entity not found"));
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
    assert_eq!(key(&config), "hush-pagerduty");
    let secrets: Vec<_> = config.pagerduty.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["hush-webhook", "hush-webhook-2"]);
    assert_eq!(config.strongdm.access_key.expose_secret(), "hush-access");
    assert_eq!(config.strongdm.secret_key.expose_secret(), b"hush-secret");
    assert!(is_file(&config, "a b.db"));

    let world = World::default()
        .file("/run/secrets/admin", "\n")
        .file("etc/pagerduty", "hush-pagerduty\n\n")
        .file("etc/webhook", "replace-with-the-signing-secret\n")
        .file("etc/access", "")
        .file("etc/secret", "hush-secret\n");
    insta::assert_snapshot!(world.mistakes(&text), @r#"
    etc/grants.toml:3: server.admin_token_file: the file is empty
    etc/grants.toml:6: pagerduty.token_file: must be visible ASCII characters without blanks or line breaks
    etc/grants.toml:7: pagerduty.webhook_secrets_file: is still the placeholder of the example; put your own in its place
    etc/grants.toml:10: strongdm.access_key_file: the file is empty
    etc/grants.toml:11: strongdm.secret_key_file: is not standard base64; copy the secret key whole, as strongDM showed it
    etc/grants.toml:14: store.url_file: the file cannot be read: entity not found; a relative path starts in HERE/etc
    "#);
}

#[test]
fn paths_of_certificates_start_beside_the_file() {
    let tls = "tls_cert = \"tls/server.pem\"\ntls_key = \"/keys/server.key\"\n\
               client_ca = \"clients.pem\"\nclient_names = [\"webhooks.example.com\"]";
    let config = World::default().certificates().parse(&with("listen = \"127.0.0.1:8080\"", tls)).unwrap();
    let Tls { cert, key, client } = config.server.tls.unwrap();
    let ClientAuth { ca, names } = client.unwrap();
    assert_eq!(cert, Path::new("etc/tls/server.pem"));
    assert_eq!(key, Path::new("/keys/server.key"));
    assert_eq!(ca, Path::new("etc/clients.pem"));
    assert_eq!(names, ["webhooks.example.com"]);
}

/// The first secret comes from `webhook create`, which needs a configuration.
#[test]
fn trigger_tokens_are_given_like_every_secret() {
    let given = |config: &Config| -> Vec<String> {
        config.server.trigger_tokens.iter().map(|token| token.expose_secret().to_owned()).collect()
    };
    assert_eq!(given(&World::default().parse(SOUND).unwrap()), Vec::<String>::new());
    let inline = with("[server]", "[server]\ntrigger_tokens = [\"one\", \"two\"]");
    assert_eq!(given(&World::default().parse(&inline).unwrap()), ["one", "two"]);
    let variable = World::default().variable("ONCALL_GRANTS_TRIGGER_TOKENS", "three, four");
    assert_eq!(given(&variable.parse(&inline).unwrap()), ["three", "four"], "the environment wins");
    let in_file = with("[server]", "[server]\ntrigger_tokens_file = \"triggers\"");
    let world = World::default().file("etc/triggers", "five\n\n 'six'\r\n");
    assert_eq!(given(&world.parse(&in_file).unwrap()), ["five", "six"]);
    let empty = World::default().file("etc/triggers", "\n");
    assert_eq!(empty.mistakes(&in_file), "etc/grants.toml:2: server.trigger_tokens_file: the file is empty");
}

#[test]
fn a_file_of_webhook_secrets_may_still_be_missing_or_empty() {
    let text = with("webhook_secrets = [\"hush-webhook\"]", "webhook_secrets_file = \"webhook\"");
    for world in [World::default(), World::default().file("etc/webhook", "\n\n")] {
        let PagerDuty { webhook_secrets, webhook_secrets_file, .. } = world.parse(&text).unwrap().pagerduty;
        assert!(webhook_secrets.is_empty());
        assert_eq!(webhook_secrets_file.as_deref(), Some(Path::new("etc/webhook")));
    }
    // Where the environment wins, no file is read, now or later.
    let world = World::default().variable("PAGERDUTY_WEBHOOK_SECRETS", "one");
    assert_eq!(world.parse(&text).unwrap().pagerduty.webhook_secrets_file, None);
}

#[test]
fn certificate_files_must_make_sense() {
    let tls = "tls_cert = \"server.pem\"\ntls_key = \"server.key\"\n\
               client_ca = \"clients.pem\"\nclient_names = [\"webhooks.example.com\"]";
    let text = with("listen = \"127.0.0.1:8080\"", tls);
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (stranger.cert.pem(), stranger.signing_key.serialize_pem());
    let world = || World::default().certificates();
    world().parse(&text).unwrap();
    insta::assert_snapshot!(World::default().mistakes(&text), @r#"
    etc/grants.toml:2: server.tls_cert: the file cannot be read: entity not found; a relative path starts in HERE/etc
    etc/grants.toml:3: server.tls_key: the file cannot be read: entity not found; a relative path starts in HERE/etc
    etc/grants.toml:4: server.client_ca: the file cannot be read: entity not found; a relative path starts in HERE/etc
    "#);
    insta::assert_snapshot!(world().file("etc/server.key", key.clone()).mistakes(&text), @r#"etc/grants.toml:3: server.tls_key: the certificate and the private key do not belong together"#);
    insta::assert_snapshot!(world().file("etc/server.pem", key.clone()).mistakes(&text), @r#"etc/grants.toml:2: server.tls_cert: the file holds no certificate in PEM text (-----BEGIN CERTIFICATE-----)"#);
    insta::assert_snapshot!(world().file("etc/server.key", certificate).mistakes(&text), @r#"etc/grants.toml:3: server.tls_key: the file holds no private key in PEM text (-----BEGIN PRIVATE KEY-----)"#);
    let cut_off = &key[..key.len() / 2];
    insta::assert_snapshot!(world().file("etc/server.key", cut_off).mistakes(&text), @r#"etc/grants.toml:3: server.tls_key: the file is no sound PEM text"#);
    insta::assert_snapshot!(world().file("etc/clients.pem", "hush-admin").mistakes(&text), @r#"etc/grants.toml:4: server.client_ca: the file holds no certificate in PEM text (-----BEGIN CERTIFICATE-----)"#);
    let broken = "-----BEGIN CERTIFICATE-----\nAA\n";
    insta::assert_snapshot!(world().file("etc/clients.pem", broken).mistakes(&text), @r#"etc/grants.toml:4: server.client_ca: the file is no sound PEM text"#);
    let nonsense = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    insta::assert_snapshot!(world().file("etc/server.pem", nonsense).mistakes(&text), @r#"etc/grants.toml:2: server.tls_cert: the file holds a certificate that cannot be read"#);
}

#[test]
fn what_an_operator_may_well_write_is_accepted() {
    for (line, replacement) in [
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://localhost:9000/\""),
        ("[pagerduty]", "[pagerduty]\napi_url = \"http://127.8.0.1:9000\""),
        ("[strongdm]", "[strongdm]\napi_url = \"http://[::1]:9000\""),
        ("[strongdm]", "[strongdm]\napi_url = \"https://app.eu.strongdm.com:443\""),
        ("interval = \"1m\"", "interval = \"1h30m\"\nmax_revocations = 1_000\nmax_filter_matches = 1"),
        ("interval = \"1m\"", "interval = \"1s\"\nhorizon = \"1s\"\nmax_revocations = 0"),
        (
            "resources = [\"prod-postgres\"]",
            "resources = [\"Prod Postgres (EU)\"]\nresource_filters = [\"name:prod*\"]",
        ),
        (
            "url = \"postgres://app:hush-store@db.example.com/grants\"",
            "url = \"postgresql:///grants?host=/run/pg\"",
        ),
        (
            "url = \"postgres://app:hush-store@db.example.com/grants\"",
            "url = \"postgres://db.example.com/grants?sslmode=verify-full&sslrootcert=/ca.pem&options[x]=y\"",
        ),
        (
            "schedules = [\"PI7DH85\"]",
            "schedules = [\"PI7DH85\", \"Q1\", \"01JABCDEFGHJKMNPQRSTVWXYZ0\", \"p-1_a\"]",
        ),
        ("listen = \"127.0.0.1:8080\"", "public_url = \"http://127.0.0.1:8080\""),
        ("[server]\n", "\u{feff}[server]\r\n"),
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
    for (table, key) in keys.chain([
        ("server", "unknown"),
        ("rules", "unknown"),
        ("accounts", "aliases.x"),
        ("accounts", "domain_aliases.x"),
    ]) {
        let head = match table {
            "" => String::new(),
            "rules" | "notices" => format!("[[{table}]]\n"),
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
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @r#"FOLDER/grants.toml: cannot be read: No such file or directory (os error 2)"#);
    fs::write(&file, b"[server]\n# caf\xe9\n").unwrap();
    insta::assert_snapshot!(shown(load(Some(&file), &|_| None).unwrap_err()), @r#"FOLDER/grants.toml:2: is not UTF-8 text"#);
    fs::write(folder.path().join("admin"), "from-file\n").unwrap();
    fs::write(&file, with("admin_token = \"hush-admin\"", "admin_token_file = \"admin\"")).unwrap();
    assert_eq!(load(Some(&file), &|_| None).unwrap().server.admin_token.expose_secret(), "from-file");
}

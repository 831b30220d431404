//! Every mistake with its line and its exact message.

use super::{World, with};

/// Checks what is said when a line of the sound file is replaced; the file's name before each line is left out here.
fn check(line: &str, cases: &[(&str, &[&str])]) {
    for (replacement, expected) in cases {
        let mistakes = World::default().mistakes(&with(line, replacement)).replace("etc/grants.toml:", "");
        assert_eq!(mistakes.lines().collect::<Vec<_>>(), *expected, "after writing {replacement}");
    }
}

#[test]
fn syntax_mistakes_name_their_line() {
    check(
        r#"listen = "127.0.0.1:8080""#,
        &[("listen = 127.0.0.1:8080", &["2: is not valid TOML: invalid float"])],
    );
    check(
        r#"admin_token = "hush-admin""#,
        &[
            (
                r#"admin_token = "hush-admin"#,
                &[r#"3: is not valid TOML: invalid basic string, expected `"`"#],
            ),
            (r#"listen = "127.0.0.1:8080""#, &["3: is not valid TOML: duplicate key listen"]),
            (
                "admin_token = \"hush-admin\"\nadmin_token = \"hush-admin\"",
                &["4: is not valid TOML: duplicate key admin_token"],
            ),
            ("a = { b = \"hush-admin\", b = \"hush-admin\" }", &["3: is not valid TOML: duplicate key b"]),
            ("[pagerduty]", &["5: is not valid TOML: duplicate key pagerduty"]),
        ],
    );
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    check(
        "[store]",
        &[(
            "[stores]",
            &[
                "13: stores: unknown key; did you mean store? allowed here: server, pagerduty, strongdm, store, sync, rules, accounts, audit, notices",
            ],
        )],
    );
    check(
        r#"token = "hush-pagerduty""#,
        &[(
            "token = \"hush-pagerduty\"\ntoken_flie = \"x\"",
            &[
                "7: pagerduty.token_flie: unknown key; did you mean token_file? allowed here: api_url, client_id, client_id_file, client_secret, client_secret_file, subdomain, identity_url, token, token_file, webhook_secrets, webhook_secrets_file",
            ],
        )],
    );
    check(
        r#"schedules = ["PI7DH85"]"#,
        &[(
            "schedules = [\"PI7DH85\"]\n\"odd key\" = 1",
            &[
                r#"22: rules[0]."odd key": unknown key; allowed here: name, schedules, escalation_policies, escalation_levels, include_always_on_call, incidents, resources, resource_filters, kubernetes_groups, start_early, end_late"#,
            ],
        )],
    );
    check(
        "[accounts]",
        &[(
            "[accounts]\nalias = {}",
            &["31: accounts.alias: unknown key; did you mean aliases? allowed here: aliases, domain_aliases"],
        )],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn mistakes_of_the_server_table() {
    check(
        r#"listen = "127.0.0.1:8080""#,
        &[
            (
                r#"listen = "localhost:8080""#,
                &[
                    "2: server.listen: must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
                ],
            ),
            ("listen = 8080", &["2: server.listen: must be text in quotes, not a number"]),
            (r#"listen = " ""#, &["2: server.listen: must not be empty; write text in quotes"]),
            (
                r#"public_url = "grants.example.com""#,
                &[
                    "2: server.public_url: is no web address; write an address such as https://grants.example.com or https://example.com/grants",
                ],
            ),
            (
                r#"public_url = "https://grants.example.com/x/webhooks/pagerduty""#,
                &["2: server.public_url: must be the address of the service; leave /webhooks/pagerduty out"],
            ),
            (
                r#"public_url = "https://example.com/api/grants/""#,
                &[
                    "2: server.public_url: has a path that begins with /api, which is a route of the service; choose another one",
                ],
            ),
            (
                r#"public_url = "https://example.com/a%20b""#,
                &[
                    "2: server.public_url: has a path of other characters than letters, digits and - . _ ~, or with an empty part",
                ],
            ),
            (
                r#"public_url = "https://user@example.com/grants?a=b""#,
                &[
                    "2: server.public_url: must be without user, query or fragment; write an address such as https://grants.example.com or https://example.com/grants",
                ],
            ),
            (
                r#"trigger_tokens = "hush-trigger""#,
                &["2: server.trigger_tokens: must be a list, each item a secret in quotes, not text"],
            ),
            (
                r#"trigger_tokens = ["", "hush-admin", "one", "one", "a b", "replace-with-x", "'half"]"#,
                &[
                    "2: server.trigger_tokens[0]: must not be empty; write a secret in quotes",
                    "2: server.trigger_tokens[1]: is the admin token, which may do everything; give it a text of its own",
                    "2: server.trigger_tokens[3]: is listed twice; give each sender a token of its own",
                    "2: server.trigger_tokens[4]: must be visible ASCII characters without blanks",
                    "2: server.trigger_tokens[5]: is still the placeholder of the example; put your own in its place",
                    "2: server.trigger_tokens[6]: has a quote at its beginning or end; a secret has none",
                ],
            ),
            (
                "trigger_tokens = [\"one\"]\ntrigger_tokens_file = \"triggers\"",
                &[
                    "3: server.trigger_tokens_file: trigger_tokens and trigger_tokens_file are both given; keep one of them",
                ],
            ),
            (
                r#"trigger_tokens_file = "nowhere""#,
                &[
                    "2: server.trigger_tokens_file: the file cannot be read: entity not found; a relative path starts in HERE/etc",
                ],
            ),
            (r#"idle_timeout = "0s""#, &["2: server.idle_timeout: must be from 1s to 2h"]),
            (
                r#"tls_cert = "a.pem""#,
                &["2: server.tls_cert: tls_key is missing: tls_cert and tls_key go together"],
            ),
            (
                r#"tls_key = "a.key""#,
                &["2: server.tls_key: tls_cert is missing: tls_cert and tls_key go together"],
            ),
            (
                r#"client_ca = "a.pem""#,
                &[
                    "2: server.client_ca: client certificates need HTTPS: give tls_cert and tls_key as well",
                    "2: server.client_ca: client_names is missing: client_ca and client_names go together",
                ],
            ),
            (
                "client_names = [\"a\"]\nclient_ca = \"a.pem\"",
                &[
                    "2: server.client_names: client certificates need HTTPS: give tls_cert and tls_key as well",
                    "3: server.client_ca: client certificates need HTTPS: give tls_cert and tls_key as well",
                ],
            ),
            (
                "tls_cert = \"a.pem\"\ntls_key = \"a.key\"\nclient_ca = \"a.pem\"\nclient_names = []",
                &[
                    "2: server.tls_cert: the file cannot be read: entity not found; a relative path starts in HERE/etc",
                    "3: server.tls_key: the file cannot be read: entity not found; a relative path starts in HERE/etc",
                    "4: server.client_ca: the file cannot be read: entity not found; a relative path starts in HERE/etc",
                    "5: server.client_names: must not be empty; list at least one item, a name that client certificates carry",
                ],
            ),
        ],
    );
    check(
        "[server]",
        &[(
            "[server]\nclient_names = [\"*.x.com\"]",
            &[
                "2: server.client_names: client certificates need HTTPS: give tls_cert and tls_key as well",
                "2: server.client_names: client_ca is missing: client_ca and client_names go together",
                "2: server.client_names[0]: is a pattern, and wildcards do not count; write each name whole, as the certificate carries it",
            ],
        )],
    );
    check(
        r#"admin_token = "hush-admin""#,
        &[
            (
                "",
                &[
                    "1: server.admin_token: is missing; give it here, as admin_token_file (a path) or as ONCALL_GRANTS_ADMIN_TOKEN",
                ],
            ),
            (r#"admin_token = """#, &["3: server.admin_token: must not be empty; write text in quotes"]),
            (
                r#"admin_token = "hush-admin two""#,
                &["3: server.admin_token: must be visible ASCII characters without blanks or line breaks"],
            ),
            (
                "admin_token = \"hush-admin\"\nadmin_token_file = \"hush-admin\"",
                &[
                    "4: server.admin_token_file: admin_token and admin_token_file are both given; keep one of them",
                ],
            ),
            (
                r#"admin_token_file = "hush-admin""#,
                &[
                    "3: server.admin_token_file: the file cannot be read: entity not found; a relative path starts in HERE/etc",
                ],
            ),
            (
                r#"admin_token_file = "/hush-admin""#,
                &["3: server.admin_token_file: the file cannot be read: entity not found"],
            ),
            (
                r#"admin_token = "replace-with-a-long-random-text""#,
                &[
                    "3: server.admin_token: is still the placeholder of the example; put your own in its place",
                ],
            ),
        ],
    );
    check(
        "[server]",
        &[
            (
                "server = \"x\"\n[servers]",
                &[
                    "1: server: must be a table, not text",
                    "2: servers: unknown key; did you mean server? allowed here: server, pagerduty, strongdm, store, sync, rules, accounts, audit, notices",
                ],
            ),
            ("[[server]]", &["1: server: must be a table, not a list"]),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn mistakes_of_the_pagerduty_table() {
    check(
        r#"token = "hush-pagerduty""#,
        &[
            (
                "",
                &[
                    "5: pagerduty.token: is missing; give it here, as token_file (a path) or as PAGERDUTY_TOKEN; or give an OAuth app: client_id, client_secret and subdomain",
                ],
            ),
            (r#"token = """#, &["6: pagerduty.token: must not be empty; write text in quotes"]),
            (r#"token = ["hush-pagerduty"]"#, &["6: pagerduty.token: must be text in quotes, not a list"]),
            (
                "token = \"hush-pagerduty\"\nclient_id = \"i\"\nclient_secret = \"s\"\nsubdomain = \"acme\"",
                &[
                    "6: pagerduty.token: is a key, and there is an OAuth app as well (client_id, client_secret, subdomain); keep one of the two",
                ],
            ),
            (
                r#"client_id = "i""#,
                &[
                    "5: pagerduty.client_secret: is missing; an OAuth app needs client_id, client_secret and subdomain; give it here, as client_secret_file (a path) or as PAGERDUTY_CLIENT_SECRET",
                    "5: pagerduty.subdomain: is missing; an OAuth app needs it: the first part of the account's address in quotes, such as \"acme\" of https://acme.pagerduty.com",
                ],
            ),
            (
                "client_id = \"i\"\nclient_secret = \"s t\"\nsubdomain = \"acme.pagerduty.com\"\nidentity_url = \"http://identity.example.com\"",
                &[
                    "7: pagerduty.client_secret: must be visible ASCII characters without blanks or line breaks",
                    "8: pagerduty.subdomain: must be lower-case letters, digits and hyphens alone; write the first part of the account's address in quotes, such as \"acme\" of https://acme.pagerduty.com",
                    "9: pagerduty.identity_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
                ],
            ),
        ],
    );
    check(
        "[pagerduty]",
        &[
            (
                "[pagerduty]\napi_url = \"api.pagerduty.com\"",
                &[
                    "6: pagerduty.api_url: is no web address; write an address such as https://api.pagerduty.com",
                ],
            ),
            (
                "[pagerduty]\napi_url = \"ftp://api.pagerduty.com\"",
                &[
                    "6: pagerduty.api_url: is no web address; write an address such as https://api.pagerduty.com",
                ],
            ),
            (
                "[pagerduty]\napi_url = \"http://api.pagerduty.com\"",
                &[
                    "6: pagerduty.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
                ],
            ),
            (
                "[pagerduty]\napi_url = \"http://128.0.0.1:80\"",
                &[
                    "6: pagerduty.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
                ],
            ),
            (
                "[pagerduty]\napi_url = \"https://me:hush-admin@api.pagerduty.com\"",
                &[
                    "6: pagerduty.api_url: must be scheme, host and port alone, without user, path, query or fragment; write an address such as https://api.pagerduty.com",
                ],
            ),
            (
                "[pagerduty]\napi_url = \"https://api.pagerduty.com?a=b\"",
                &[
                    "6: pagerduty.api_url: must be scheme, host and port alone, without user, path, query or fragment; write an address such as https://api.pagerduty.com",
                ],
            ),
            (
                "[pagerduty]\nwebhook_secrets_file = \"hush-webhook\"",
                &[
                    "6: pagerduty.webhook_secrets_file: webhook_secrets and webhook_secrets_file are both given; keep one of them",
                ],
            ),
        ],
    );
    check(
        r#"webhook_secrets = ["hush-webhook"]"#,
        &[
            (
                "webhook_secrets = []",
                &[
                    "7: pagerduty.webhook_secrets: must not be empty; list at least one item, a secret in quotes",
                ],
            ),
            (
                r#"webhook_secrets = ["replace-with-the-signing-secret"]"#,
                &[
                    "7: pagerduty.webhook_secrets[0]: is still the placeholder of the example; put your own in its place",
                ],
            ),
            (
                r#"webhook_secrets = ["hush-webhook", ""]"#,
                &["7: pagerduty.webhook_secrets[1]: must not be empty; write a secret in quotes"],
            ),
            (
                r#"webhook_secrets = "hush-webhook""#,
                &["7: pagerduty.webhook_secrets: must be a list, each item a secret in quotes, not text"],
            ),
        ],
    );
}

#[test]
fn mistakes_of_the_strongdm_table() {
    check(
        r#"access_key = "hush-access""#,
        &[(
            "",
            &[
                "9: strongdm.access_key: is missing; give it here, as access_key_file (a path) or as SDM_API_ACCESS_KEY",
            ],
        )],
    );
    check(
        r#"secret_key = "aHVzaC1zZWNyZXQ=""#,
        &[
            (
                "",
                &[
                    "9: strongdm.secret_key: is missing; give it here, as secret_key_file (a path) or as SDM_API_SECRET_KEY",
                ],
            ),
            (
                r#"secret_key = "aHVzaC1zZWNyZXQ""#,
                &[
                    "11: strongdm.secret_key: is not standard base64; copy the secret key whole, as strongDM showed it",
                ],
            ),
            (
                r#"secret_key = "cmVwbGFjZS13aXRoLWEtc2VjcmV0LWtleQ==""#,
                &[
                    "11: strongdm.secret_key: is still the placeholder of the example; put your own in its place",
                ],
            ),
            (
                r#"secret_key = "hush-secret""#,
                &[
                    "11: strongdm.secret_key: is not standard base64; copy the secret key whole, as strongDM showed it",
                ],
            ),
        ],
    );
    check(
        "[strongdm]",
        &[
            (
                "[strongdm]\napi_url = \"http://app.strongdm.com\"",
                &[
                    "10: strongdm.api_url: must be https: plain http would send credentials in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
                ],
            ),
            (
                "[strongdm]\napi_url = \"app.strongdm.com:443\"",
                &[
                    "10: strongdm.api_url: is no web address; write an address such as https://app.strongdm.com",
                ],
            ),
        ],
    );
}

#[test]
fn mistakes_of_the_store_table() {
    check(
        r#"url = "postgres://app:hush-store@db.example.com/grants""#,
        &[
            (
                r#"url = "mysql://app:hush-store@db.example.com/grants""#,
                &["14: store.url: must start with sqlite: or postgres://"],
            ),
            (r#"url = "oncall-grants.db""#, &["14: store.url: must start with sqlite: or postgres://"]),
            (
                r#"url = "sqlite:""#,
                &[
                    "14: store.url: names no file; write a path, such as sqlite:/var/lib/oncall-grants/oncall-grants.db",
                ],
            ),
            (
                r#"url = "sqlite::memory:""#,
                &[
                    "14: store.url: must be a file: a store in memory would forget its grants at every restart",
                ],
            ),
            (
                r#"url = "sqlite:oncall-grants.db?mode=rwc""#,
                &[
                    "14: store.url: takes no parameters; write the path alone, such as sqlite:oncall-grants.db",
                ],
            ),
            (
                r#"url = "postgres:grants""#,
                &[
                    "14: store.url: is no valid address; write postgres://user:password@host:port/database, with special characters of the password percent-encoded",
                ],
            ),
            (
                r#"url = "postgres://app:hush-store@db.example.com/grants?sslmode=bogus""#,
                &[
                    "14: store.url: has an unknown sslmode; allowed are disable, allow, prefer, require, verify-ca and verify-full",
                ],
            ),
            (
                r#"url = "postgres://app:hush-store@db.example.com/grants?sslmod=verify-full""#,
                &[
                    "14: store.url: has a parameter that is not known after the ?; known are sslmode, sslrootcert, sslcert, sslkey, host, port, dbname, user, password, application_name and options",
                ],
            ),
            (
                r#"url = "postgres://app:hush-store@db.example.com/grants?port=hush-store""#,
                &["14: store.url: has a parameter after the ? whose value makes no sense"],
            ),
            (
                r#"url = "postgres://app:hush-store@db.example.com:port/grants""#,
                &[
                    "14: store.url: is no valid address; write postgres://user:password@host:port/database, with special characters of the password percent-encoded",
                ],
            ),
            (r#"keep = "0s""#, &["14: store.keep: must be from 1s to 36500d"]),
            (r#"keep = "200000d""#, &["14: store.keep: must be from 1s to 36500d"]),
        ],
    );
}

#[test]
fn mistakes_of_the_sync_table() {
    check(
        r#"interval = "1m""#,
        &[
            (
                "interval = 60",
                &[
                    r#"17: sync.interval: must be a duration in quotes such as "90s", "15m" or "7d", not a number"#,
                ],
            ),
            (r#"interval = "0s""#, &["17: sync.interval: must be from 1s to 1d"]),
            (r#"interval = "2d""#, &["17: sync.interval: must be from 1s to 1d"]),
            (
                r#"interval = "-5m""#,
                &[
                    r#"17: sync.interval: is not a duration; write numbers and units such as "90s", "15m", "7d" or "1h30m""#,
                ],
            ),
            (r#"interval = "1500ms""#, &["17: sync.interval: must be whole seconds"]),
            (r#"horizon = "91d""#, &["17: sync.horizon: must be from 1s to 90d"]),
            (r#"horizon = "0s""#, &["17: sync.horizon: must be from 1s to 90d"]),
            (
                r#"horizon = "30s""#,
                &[
                    "17: sync.horizon: is shorter than sync.interval: shifts could begin unseen between two passes",
                ],
            ),
            (
                r#"verify_interval = "30""#,
                &[
                    r#"17: sync.verify_interval: is not a duration; write numbers and units such as "90s", "15m", "7d" or "1h30m""#,
                ],
            ),
            (r#"verify_interval = "0s""#, &["17: sync.verify_interval: must be from 1s to 7d"]),
            (
                "max_revocations = -1",
                &["17: sync.max_revocations: must be a whole number from 0 to 4294967295"],
            ),
            (
                r#"max_revocations = "20""#,
                &["17: sync.max_revocations: must be a whole number, 0 or more, not text"],
            ),
            (
                "max_revocations = 2.5",
                &[
                    "17: sync.max_revocations: must be a whole number, 0 or more, not a number with a fraction",
                ],
            ),
            (
                "max_revocations = 99_999_999_999",
                &["17: sync.max_revocations: must be a whole number from 0 to 4294967295"],
            ),
            (
                "max_filter_matches = 0",
                &["17: sync.max_filter_matches: must be a whole number from 1 to 4294967295"],
            ),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn mistakes_of_the_rules() {
    check(
        r#"name = "prod database""#,
        &[
            ("", &["19: rules[0].name: is missing; give the rule a name of its own"]),
            (r#"name = """#, &["20: rules[0].name: must not be empty; write a name for the rule"]),
            (
                r#"name = "prod\ndatabase""#,
                &["20: rules[0].name: must not contain control characters such as line breaks"],
            ),
        ],
    );
    check(
        r#"name = "incident command""#,
        &[(
            r#"name = "prod database""#,
            &[
                r#"25: rules[1].name: "prod database" is already the name of the rule in line 20; names must be unique"#,
            ],
        )],
    );
    check(
        r#"schedules = ["PI7DH85"]"#,
        &[
            (
                "",
                &[
                    "19: rules[0].schedules: is missing; a rule names schedules, escalation_policies or, in a table [rules.incidents], incidents",
                ],
            ),
            (
                "schedules = [\"PI7DH85\"]\nescalation_policies = [\"PT20YPA\"]",
                &[
                    "22: rules[0].escalation_policies: schedules and escalation_policies are both given; keep one, and give each other a rule of its own",
                ],
            ),
            (
                "schedules = []",
                &[
                    "21: rules[0].schedules: must not be empty; list at least one item, a PagerDuty schedule ID",
                ],
            ),
            (
                r#"schedules = "PI7DH85""#,
                &["21: rules[0].schedules: must be a list, each item a PagerDuty schedule ID, not text"],
            ),
            (
                r#"schedules = ["PI7DH85", ""]"#,
                &["21: rules[0].schedules[1]: must not be empty; write a PagerDuty schedule ID"],
            ),
            (
                r#"schedules = ["PI7DH85", 7]"#,
                &["21: rules[0].schedules[1]: must be a PagerDuty schedule ID, not a number"],
            ),
            (
                r#"schedules = ["PI7DH85", " P2"]"#,
                &[
                    "21: rules[0].schedules[1]: must be an ID as PagerDuty shows it, letters and digits: the last part of the address of its page, such as PI7DH85",
                ],
            ),
            (
                r#"schedules = ["https://x.pagerduty.com/schedules#PI7DH85"]"#,
                &[
                    "21: rules[0].schedules[0]: must be an ID as PagerDuty shows it, letters and digits: the last part of the address of its page, such as PI7DH85",
                ],
            ),
            (
                "schedules = [\"PI7DH85\", \"P2\",\n  \"PI7DH85\"]",
                &[r#"22: rules[0].schedules[2]: "PI7DH85" is listed twice; name it once"#],
            ),
            (
                "schedules = [\"PI7DH85\"]\nescalation_levels = [1]",
                &[
                    "22: rules[0].escalation_levels: belongs to escalation_policies, not to schedules; remove it",
                ],
            ),
            (
                "schedules = [\"PI7DH85\"]\ninclude_always_on_call = false",
                &[
                    "22: rules[0].include_always_on_call: belongs to escalation_policies, not to schedules; remove it",
                ],
            ),
        ],
    );
    check(
        r#"escalation_policies = ["PT20YPA"]"#,
        &[
            (
                "escalation_policies = []",
                &[
                    "26: rules[1].escalation_policies: must not be empty; list at least one item, a PagerDuty escalation policy ID",
                ],
            ),
            (
                "escalation_policies = [\"PT20YPA\"]\ninclude_always_on_call = \"yes\"",
                &["27: rules[1].include_always_on_call: must be true or false, not text"],
            ),
        ],
    );
    check(
        "escalation_levels = [1]",
        &[
            (
                "escalation_levels = []",
                &[
                    "27: rules[1].escalation_levels: must not be empty; list at least one item, a level such as 1",
                ],
            ),
            (
                "escalation_levels = 1",
                &[
                    "27: rules[1].escalation_levels: must be a list, each item a level such as 1, not a number",
                ],
            ),
            (
                r#"escalation_levels = [0, -1, "2"]"#,
                &[
                    "27: rules[1].escalation_levels[0]: must be a whole number from 1 to 4294967295",
                    "27: rules[1].escalation_levels[1]: must be a whole number from 1 to 4294967295",
                    "27: rules[1].escalation_levels[2]: must be a whole number, 1 or more, not text",
                ],
            ),
            (
                "escalation_levels = [1, 2, 1]",
                &["27: rules[1].escalation_levels[2]: level 1 is listed twice; name it once"],
            ),
        ],
    );
    check(
        r#"resources = ["prod-postgres"]"#,
        &[
            ("", &["19: rules[0].resources: is missing; a rule names resources, resource_filters or both"]),
            (
                "resources = []",
                &[
                    "22: rules[0].resources: must not be empty; list at least one item, an exact strongDM resource name",
                ],
            ),
            (
                r#"resources = ["prod-*"]"#,
                &[
                    r#"22: rules[0].resources[0]: must be an exact resource name, without *, ", \, comma or control characters; for patterns there is resource_filters"#,
                ],
            ),
            (
                r#"resources = ['say "x"', 'a\b', "a,b", "a\tb"]"#,
                &[
                    r#"22: rules[0].resources[0]: must be an exact resource name, without *, ", \, comma or control characters; for patterns there is resource_filters"#,
                    r#"22: rules[0].resources[1]: must be an exact resource name, without *, ", \, comma or control characters; for patterns there is resource_filters"#,
                    r#"22: rules[0].resources[2]: must be an exact resource name, without *, ", \, comma or control characters; for patterns there is resource_filters"#,
                    r#"22: rules[0].resources[3]: must be an exact resource name, without *, ", \, comma or control characters; for patterns there is resource_filters"#,
                ],
            ),
            (
                r#"resources = [" prod-postgres "]"#,
                &[
                    "22: rules[0].resources[0]: begins or ends with a blank, as no resource name does; remove it",
                ],
            ),
            (
                r#"resources = ["prod-postgres", "prod-postgres"]"#,
                &[r#"22: rules[0].resources[1]: "prod-postgres" is listed twice; name it once"#],
            ),
            (
                "resources = [\"a\"]\nstart_early = \"-1m\"",
                &[
                    r#"23: rules[0].start_early: is not a duration; write numbers and units such as "90s", "15m", "7d" or "1h30m""#,
                ],
            ),
            ("resources = [\"a\"]\nend_late = \"91d\"", &["23: rules[0].end_late: must be from 0s to 90d"]),
        ],
    );
    check(
        r#"resources = ["prod-postgres"]"#,
        &[
            (
                "resources = [\"db\"]\nkubernetes_groups = []",
                &[
                    "23: rules[0].kubernetes_groups: must not be empty; list at least one item, the name of a Kubernetes group",
                ],
            ),
            (
                "resources = [\"db\"]\nkubernetes_groups = [\"viewer\", \" \", \" admin\", \"a\\tb\", \"viewer\", 1]",
                &[
                    "23: rules[0].kubernetes_groups[1]: must not be empty; write the name of a Kubernetes group",
                    "23: rules[0].kubernetes_groups[2]: begins or ends with a blank, as no group does; remove it",
                    "23: rules[0].kubernetes_groups[3]: must not contain control characters such as line breaks",
                    "23: rules[0].kubernetes_groups[4]: \"viewer\" is listed twice; name it once",
                    "23: rules[0].kubernetes_groups[5]: must be the name of a Kubernetes group, not a number",
                ],
            ),
            (
                "resources = [\"db\"]\nkubernetes_groups = \"viewer\"",
                &[
                    "23: rules[0].kubernetes_groups: must be a list, each item the name of a Kubernetes group, not text",
                ],
            ),
        ],
    );
    check(
        r#"resource_filters = ["tags:env=prod"]"#,
        &[
            (
                r#"resource_filters = [" "]"#,
                &["28: rules[1].resource_filters[0]: must not be empty; write a strongDM filter expression"],
            ),
            (
                r#"resource_filters = ["tags:\nenv=prod"]"#,
                &[
                    "28: rules[1].resource_filters[0]: must not contain control characters such as line breaks",
                ],
            ),
        ],
    );
}

#[test]
fn mistakes_of_the_accounts_table() {
    check(
        r#"aliases = { "al@pd.example.com" = "alice@example.com" }"#,
        &[
            (r#"aliases = ["al@pd.example.com"]"#, &["31: accounts.aliases: must be a table, not a list"]),
            (
                r#"aliases = { "al" = "alice@example.com" }"#,
                &[
                    "31: accounts.aliases.al: the PagerDuty address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)",
                ],
            ),
            (
                r#"aliases = { "*@pd.example.com" = "alice" }"#,
                &[
                    r#"31: accounts.aliases."*@pd.example.com": the PagerDuty address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)"#,
                    r#"31: accounts.aliases."*@pd.example.com": the strongDM address is not a plain e-mail address (blank, quote, comma, backslash, * or control character, or no @)"#,
                ],
            ),
            (
                r#"aliases = { "al@pd.example.com" = 1 }"#,
                &[
                    r#"31: accounts.aliases."al@pd.example.com": must be the strongDM e-mail address in quotes, not a number"#,
                ],
            ),
            (
                "[accounts.aliases]\n\"al@pd.example.com\" = \"a@example.com\"\n\"AL@pd.example.com\" = \"b@example.com\"",
                &[
                    r#"33: accounts.aliases."AL@pd.example.com": is the address of line 32 in other letters; case does not count"#,
                ],
            ),
        ],
    );
}

#[test]
fn mistakes_of_incidents() {
    let rule = |lines: &str| format!("[[rules]]\nname = \"i\"\nresources = [\"db\"]\n{lines}\n\n[accounts]");
    let incidents = |lines: &str| rule(&format!("[rules.incidents]\n{lines}"));
    let cases: [(String, &[&str]); 11] = [
        (
            incidents("urgencies = [\"high\"]"),
            &[
                "33: rules[2].incidents.services: is missing; name the PagerDuty services whose incidents give access",
            ],
        ),
        (
            incidents("services = [\"PS\"]\nurgencies = [\"urgent\"]"),
            &[r#"35: rules[2].incidents.urgencies[0]: "urgent" is not allowed here; write "high", "low""#],
        ),
        (
            incidents("services = [\"PS\"]\nurgencies = [\"low\", \"low\"]"),
            &[r#"35: rules[2].incidents.urgencies[1]: "low" is listed twice; name it once"#],
        ),
        (
            incidents("services = [\"PS\"]\npeople = [\"responders\"]"),
            &[
                "35: rules[2].incidents.people: anybody who can act on an incident can make others acknowledgers or responders; add eligible, which says whose members may get access so",
            ],
        ),
        (
            incidents("services = [\"PS\"]\neligible = {}"),
            &[
                "35: rules[2].incidents.eligible: names nobody; write teams, schedules or escalation_policies, or remove it",
            ],
        ),
        (
            incidents("services = [\"PS\"]\neligible = { team = [\"PT\"], schedules = [\"P\"] }"),
            &[
                "35: rules[2].incidents.eligible.team: unknown key; did you mean teams? allowed here: teams, schedules, escalation_policies",
            ],
        ),
        (
            incidents("services = [\"PS\"]\nmax_duration = \"25h\""),
            &["35: rules[2].incidents.max_duration: must be from 1m to 24h"],
        ),
        (
            incidents("services = [\"PS\"]\nmax_people = 0"),
            &["35: rules[2].incidents.max_people: must be a whole number from 1 to 4294967295"],
        ),
        (
            rule("escalation_levels = [1]\nincidents = { services = [\"PS\"] }"),
            &["33: rules[2].escalation_levels: belongs to escalation_policies, not to incidents; remove it"],
        ),
        (
            rule("schedules = [\"P\"]\nincidents = { services = [\"PS\"] }"),
            &[
                "34: rules[2].incidents: schedules and incidents are both given; keep one, and give each other a rule of its own",
            ],
        ),
        (
            rule("start_early = \"1h\"\nincidents = { services = [\"PS\"] }"),
            &[
                "33: rules[2].start_early: belongs to shifts, since nobody knows beforehand when an incident begins; remove it",
            ],
        ),
    ];
    for (text, expected) in &cases {
        check("[accounts]", &[(text.as_str(), *expected)]);
    }
}

#[test]
fn mistakes_of_domain_aliases() {
    const DOMAIN: &str = "must be what stands behind the @ of an address, such as corp.example; a subdomain needs a line of its own";
    check(
        r#"aliases = { "al@pd.example.com" = "alice@example.com" }"#,
        &[
            (r#"domain_aliases = "pd.example""#, &["31: accounts.domain_aliases: must be a table, not text"]),
            (
                r#"domain_aliases = { "@pd.example" = "al@corp.example", "*.pd.example" = "corp.example" }"#,
                &[
                    &format!(r#"31: accounts.domain_aliases."*.pd.example": the PagerDuty domain {DOMAIN}"#),
                    &format!(r#"31: accounts.domain_aliases."@pd.example": the PagerDuty domain {DOMAIN}"#),
                    &format!(r#"31: accounts.domain_aliases."@pd.example": the strongDM domain {DOMAIN}"#),
                ],
            ),
            (
                r#"domain_aliases = { "pd.example" = ["corp.example"] }"#,
                &[
                    r#"31: accounts.domain_aliases."pd.example": must be the domain of the strongDM addresses in quotes, not a list"#,
                ],
            ),
            (
                "[accounts.domain_aliases]\n\"pd.example\" = \"PD.example\"\n\"PD.Example\" = \"corp.example\"",
                &[
                    r#"32: accounts.domain_aliases."pd.example": maps the domain to itself; remove it"#,
                    r#"33: accounts.domain_aliases."PD.Example": is the domain of line 32 in other letters; case does not count"#,
                ],
            ),
        ],
    );
}

#[test]
fn mistakes_of_notices() {
    let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let told = |lines: &str| {
        let text = format!("{}\n[[notices]]\n{lines}", super::SOUND);
        let mistakes = World::default().mistakes(&text);
        let lines =
            mistakes.lines().map(|line| line.split_once(": ").map_or("", |(_, said)| said).to_owned());
        lines.collect::<Vec<String>>()
    };
    let url = "url = \"https://hooks.example.com/x\"";
    let case = |lines: &str, expected: &[&str]| assert_eq!(told(lines), expected, "{lines}");
    case(
        "",
        &[
            "notices[0].name: is missing; give the endpoint a name of its own",
            "notices[0].secret: is missing: the format \"standard\" is signed; write whsec_ and the base64 of 32 random bytes, here or in a file (secret_file)",
            "notices[0].url: is missing; give it here or as url_file (a path)",
        ],
    );
    case(
        &format!("name = \"a\"\nurl = \"http://hooks.example.com/x\"\nsecret = \"{good}\""),
        &[
            "notices[0].url: must be https: plain http would send names in the clear; it is allowed to localhost, 127.0.0.0/8 and [::1] only",
        ],
    );
    case(
        &format!("name = \"a\"\n{url}\nsecret = [\"{good}\", \"whsec_AAAA\"]"),
        &["notices[0].secret[1]: must be whsec_ and the base64 of 24 to 64 bytes"],
    );
    case(
        &format!("name = \"a\"\n{url}\nformat = \"slack\"\nsecret = \"{good}\""),
        &["notices[0].secret: belongs to the format \"standard\": Slack knows no signatures; remove it"],
    );
    case(
        &format!("name = \"a\"\n{url}\nformat = \"teams\"\nsecret = \"{good}\""),
        &["notices[0].format: must be \"standard\" (Standard Webhooks) or \"slack\""],
    );
    case(
        &format!(
            "name = \"a\"\n{url}\nformat = \"slack\"\nevents = [\"access.given\"]\n[[notices]]\nname = \"a\"\n{url}\nformat = \"slack\""
        ),
        &[
            "notices[0].events[0]: is no event; there are access.granted, access.revoked, access.failed, revocations.held, person.without_account, subscription.disabled, audit.checkpoint",
            "notices[1].name: is already the name of the endpoint in line 34; names must be unique",
        ],
    );
}

//! A line for every key, as somebody would write it: what to write in place of a mistake.

use super::{Error, Mistake, Place, is_found_by_itself, schema, suggest};

/// For each table, a line for every key of it. A secret is best kept in a file of its own.
const LINES: [(&str, &[&str]); 12] = [
    (
        "",
        &[
            "[server]",
            "[pagerduty]",
            "[strongdm]",
            "[store]",
            "[sync]",
            "[[rules]]",
            "[accounts]",
            "[audit]",
            "[[notices]]",
        ],
    ),
    (
        "server",
        &[
            "listen = \"127.0.0.1:8080\"",
            "admin_token = \"A-LONG-RANDOM-TEXT\"",
            "admin_token_file = \"admin-token\"",
            "trigger_tokens = [\"A-LONG-RANDOM-TEXT\"]",
            "trigger_tokens_file = \"trigger-tokens\"",
            "public_url = \"https://grants.example.com\"",
            "idle_timeout = \"75s\"",
            "tls_cert = \"tls/server.pem\"",
            "tls_key = \"tls/server.key\"",
            "client_ca = \"tls/clients.pem\"",
            "client_names = [\"webhooks.example.com\"]",
        ],
    ),
    (
        "pagerduty",
        &[
            "api_url = \"https://api.pagerduty.com\"",
            "client_id = \"CLIENT-ID\"",
            "client_id_file = \"pagerduty-client-id\"",
            "client_secret = \"CLIENT-SECRET\"",
            "client_secret_file = \"pagerduty-client-secret\"",
            "subdomain = \"acme\"",
            "identity_url = \"https://identity.pagerduty.com\"",
            "token = \"API-KEY\"",
            "token_file = \"pagerduty-token\"",
            "webhook_secrets = [\"SIGNING-SECRET\"]",
            "webhook_secrets_file = \"pagerduty-webhook\"",
        ],
    ),
    (
        "strongdm",
        &[
            "api_url = \"https://app.strongdm.com\"",
            "access_key = \"ACCESS-KEY\"",
            "access_key_file = \"sdm-access-key\"",
            "secret_key = \"SECRET-KEY\"",
            "secret_key_file = \"sdm-secret-key\"",
        ],
    ),
    ("store", &["url = \"sqlite:oncall-grants.db\"", "url_file = \"store-url\"", "keep = \"90d\""]),
    (
        "sync",
        &[
            "interval = \"1m\"",
            "horizon = \"7d\"",
            "verify_interval = \"15m\"",
            "max_revocations = 20",
            "max_filter_matches = 1000",
        ],
    ),
    (
        "rules",
        &[
            "name = \"prod database\"",
            "schedules = [\"PI7DH85\"]",
            "escalation_policies = [\"PT20YPA\"]",
            "escalation_levels = [1]",
            "include_always_on_call = true",
            "[rules.incidents]",
            "resources = [\"prod-postgres\"]",
            "resource_filters = [\"tags:env=prod\"]",
            "kubernetes_groups = [\"on-call\"]",
            "start_early = \"15m\"",
            "end_late = \"15m\"",
        ],
    ),
    (
        "rules.incidents",
        &[
            "services = [\"PSPAY01\"]",
            "urgencies = [\"high\"]",
            "priorities = [\"PPRIO1\"]",
            "people = [\"assignees\"]",
            "eligible = { teams = [\"PTEAM01\"] }",
            "max_duration = \"4h\"",
            "max_people = 10",
        ],
    ),
    (
        "rules.incidents.eligible",
        &["teams = [\"PTEAM01\"]", "schedules = [\"PI7DH85\"]", "escalation_policies = [\"PT20YPA\"]"],
    ),
    (
        "accounts",
        &[
            "aliases = { \"al@pd.example.com\" = \"alice@example.com\" }",
            "domain_aliases = { \"old.example.com\" = \"example.com\" }",
        ],
    ),
    ("audit", &["signing_key_file = \"audit-key\""]),
    (
        "notices",
        &[
            "name = \"security channel\"",
            "url = \"https://hooks.example.com/x\"",
            "url_file = \"notices-url\"",
            "format = \"slack\"",
            "secret = \"whsec_SIGNING-SECRET\"",
            "secret_file = \"notices-secret\"",
            "events = [\"access.granted\", \"access.revoked\"]",
        ],
    ),
];

/// The shortest file that works, for whoever has none.
const SHORTEST: &str = r#"[server]
admin_token_file = "admin-token"          # made by: head -c 32 /dev/urandom | base64 > admin-token
[pagerduty]
token_file = "pagerduty-token"            # a read-only REST API key
[strongdm]
access_key_file = "sdm-access-key"
secret_key_file = "sdm-secret-key"
[[rules]]
name = "prod database"
schedules = ["PI7DH85"]                   # the ID in the address of the schedule's page
resources = ["prod-postgres"]             # the resource's exact name in strongDM"#;

/// The mistakes with what to write instead, and the command to run then: for people at a terminal.
pub(crate) fn guide(error: &Error) -> String {
    let mut lines = Vec::new();
    for (mistake, told) in error.told() {
        lines.push(told);
        let line = instead_of(mistake);
        lines.extend(line.map(|line| format!("  -> write, for example: {line}")));
    }
    if error.file().is_none() {
        lines.push("  -> write oncall-grants.toml; this much is enough:".to_owned());
        lines.extend(SHORTEST.lines().map(|line| format!("    {line}")));
    }
    let named = error.file().filter(|file| !is_found_by_itself(file));
    let named = named.map(|file| format!(" --config {}", file.display())).unwrap_or_default();
    lines.push(format!("Next: oncall-grants{named} check --offline"));
    lines.join("\n")
}

/// What somebody could write where this mistake is, if it is about a key.
fn instead_of(mistake: &Mistake) -> Option<String> {
    let (Place::Line { key, .. } | Place::Variable { key, .. }) = &mistake.place else { return None };
    let (table, key) = split(key)?;
    let known = schema::keys_of(&table);
    let key = suggest::nearest(&key, known)?;
    let is_missing = |file: &str| mistake.message.contains("is missing") && known.contains(&file);
    // Whoever has not written a secret yet is best told to keep it in a file.
    let file = format!("{key}_file");
    let key = if is_missing(&file) { file.as_str() } else { key };
    let at = known.iter().position(|known| *known == key)?;
    let line = LINES.iter().find(|(name, _)| *name == table)?.1.get(at)?;
    Some(match heading(&table) {
        None => (*line).to_owned(),
        Some(heading) => format!("{line}   under {heading}"),
    })
}

/// The table in which a key stands, and its own name; positions in lists do not count.
fn split(path: &str) -> Option<(String, String)> {
    let mut parts = Vec::new();
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or(part);
        // Keys that are the operator's own follow.
        let is_table = |name: &str| !schema::keys_of(name).is_empty();
        parts.push(name);
        if !is_table(&parts.join(".")) {
            break;
        }
    }
    let key = parts.pop().filter(|key| !key.is_empty())?;
    Some((parts.join("."), key.to_owned()))
}

fn heading(table: &str) -> Option<String> {
    match table {
        "" => None,
        "rules" | "notices" => Some(format!("[[{table}]]")),
        table => Some(format!("[{table}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_line_that_can_be_written() {
        for ((table, keys), (of, lines)) in schema::TABLES.into_iter().zip(LINES) {
            let all = "`LINES` has a line for each key, in the order of the schema";
            assert_eq!((table, keys.len()), (of, lines.len()), "{all}");
            for (key, line) in keys.iter().zip(lines) {
                if !line.starts_with('[') {
                    let read: toml::Table = line.parse().unwrap();
                    assert!(read.contains_key(*key), "{line}");
                }
            }
        }
    }

    #[test]
    fn a_mistake_is_answered_by_the_line_that_was_meant() {
        let line = |key: &str, message: &str| {
            let place = Place::Line { line: 1, key: key.to_owned() };
            instead_of(&Mistake { place, message: message.to_owned() })
        };
        for (key, message, expected) in [
            ("server.admin_token", "is missing", Some("admin_token_file = \"admin-token\"   under [server]")),
            ("server.listen", "must be", Some("listen = \"127.0.0.1:8080\"   under [server]")),
            (
                "pagerduty.token_flie",
                "unknown key",
                Some("token_file = \"pagerduty-token\"   under [pagerduty]"),
            ),
            ("stores", "unknown key", Some("[store]")),
            ("rules[2].escalation_levels[0]", "must be", Some("escalation_levels = [1]   under [[rules]]")),
            (
                "rules[0].incidents.services",
                "is missing",
                Some("services = [\"PSPAY01\"]   under [rules.incidents]"),
            ),
            (
                "accounts.aliases.\"a@b.example\"",
                "must be",
                Some("aliases = { \"al@pd.example.com\" = \"alice@example.com\" }   under [accounts]"),
            ),
            ("rules", "there is no rule", Some("[[rules]]")),
            ("rules[0].\"odd key\"", "unknown key", None),
            ("", "is not valid TOML", None),
        ] {
            assert_eq!(line(key, message).as_deref(), expected, "{key}");
        }
    }
}
